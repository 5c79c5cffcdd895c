"""View: our colours stay apart for every colour vision, and the scales for numbers rise all the way."""

from __future__ import annotations

import numpy as np
import pytest

from twinkit import TwinError, view
from twinkit.view import _furnish, _map, fan, recovery
from twinkit.view.vision import _lab, _linear

IMPAIRED = ("protanopia", "deuteranopia", "tritanopia")
PALETTES = {
    "classes": _map.CLASSES,
    "coverage": (_furnish.COVERED, _furnish.NEW, _furnish.GREY, _furnish.MARK),
    "fan": (fan.LINE, fan.SEEN),
    "curve": (recovery.LINE, "#FFFFFF"),
}


def scale(name, count=32):
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    return [to_hex(colormaps[name](i / (count - 1))).upper() for i in range(count)]


@pytest.mark.parametrize("vision", ["typical", *IMPAIRED])
@pytest.mark.parametrize("palette", PALETTES)
def test_colours_that_mean_different_things_look_different(palette, vision):
    # 2.3 is just noticeable side by side; a legend lies apart from what it names
    assert view.colours_apart(PALETTES[palette], vision=vision) > 15


def test_the_test_can_fail():
    """Red and green of a common palette are one colour to a man in a hundred."""
    assert view.colours_apart(["#D62728", "#2CA02C"], vision="deuteranopia") < 10


@pytest.mark.parametrize("name", ["cividis", "viridis"])
@pytest.mark.parametrize("vision", ["typical", *IMPAIRED, "grey"])
def test_our_scales_rise_in_lightness_for_everybody(name, vision):
    steps = np.diff(view.lightness(view.seen_colours(scale(name), vision=vision)))
    assert (steps > 0).all()
    if vision != "tritanopia":  # for whom the simulation cuts viridis at the edge of what a screen shows
        assert steps.min() > 0.5


def test_a_rainbow_does_not():
    steps = np.diff(view.lightness(scale("jet")))
    assert (steps < -1).any()
    assert (steps > 1).any()


def test_lightness_and_colour_agree_with_the_published_primaries():
    """CIE L*a*b* of the primaries of sRGB with the white D65, as printed in many tables."""
    known = [[53.24, 80.09, 67.20], [87.73, -86.18, 83.18], [32.30, 79.19, -107.86], [100, 0, 0]]
    np.testing.assert_allclose(_lab(_linear(["#FF0000", "#00FF00", "#0000FF", "#FFFFFF"])), known, atol=0.01)


@pytest.mark.parametrize("vision", view.VISIONS)
def test_grey_is_grey_to_everybody(vision):
    greys = ["#000000", "#777777", "#FFFFFF"]
    for seen, grey in zip(view.seen_colours(greys, vision=vision), greys, strict=True):
        parts = [int(seen[i : i + 2], 16) for i in (1, 3, 5)]
        assert np.ptp([*parts, int(grey[1:3], 16)]) <= 1


@pytest.mark.parametrize(
    ("colours", "vision", "word"),
    [
        (["red", "#000000"], "typical", "#RRGGBB"),
        (["#12345", "#000000"], "typical", "#RRGGBB"),
        ([None, "#000000"], "typical", "#RRGGBB"),
        (["#000000"], "typical", "two colours"),
        (["#000000", "#FFFFFF"], "myopia", "deuteranopia"),
    ],
)
def test_other_things_than_colours_are_one_message(colours, vision, word):
    with pytest.raises(TwinError, match=word):
        view.colours_apart(colours, vision=vision)
