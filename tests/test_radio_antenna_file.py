"""Antenna files as vendors write them, as they break them, and as nobody would."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from twinkit.error import TwinError
from twinkit.radio.antenna import sector
from twinkit.radio.antenna_file import antenna_pattern, pattern_gain

ANGLES = np.arange(360)


def across(angle):
    off = (np.asarray(angle) + 180) % 360 - 180
    return np.minimum(12 * (off / 65) ** 2, 25)


def along(depression, tilt=6):
    off = (np.asarray(depression) - tilt + 180) % 360 - 180
    return np.minimum(12 * (off / 8) ** 2, 30)


def rows(loss):
    return [f"{a} {v:.3f}" for a, v in zip(ANGLES, loss, strict=True)]


def text(**change):
    parts = {
        "head": ["NAME 742 265", "MAKE Käthe & Söhne", "FREQUENCY 1855", "GAIN 17.5 dBi", "ELECTRICAL_TILT 6"],
        "horizontal": ["HORIZONTAL 360", *rows(across(ANGLES))],
        "vertical": ["VERTICAL 360", *rows(along(ANGLES))],
    } | change
    return "\n".join(line for part in parts.values() for line in part) + "\n"


def written(folder, content, encoding="utf-8"):
    file = folder / "antenna.msi"
    file.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
    return file


def test_a_file_is_read_whole(tmp_path):
    pattern = antenna_pattern(written(tmp_path, text()))
    assert pattern.attrs["gain"] == 17.5
    assert pattern.attrs["frequency"] == 1.855e9
    assert pattern.attrs["electrical_tilt"] == 6
    assert pattern.attrs["name"] == "742 265"
    np.testing.assert_allclose(pattern.horizontal_loss, across(ANGLES), atol=5e-4)
    np.testing.assert_allclose(pattern.vertical_loss, along(ANGLES), atol=5e-4)


@pytest.mark.parametrize(
    "dress",
    [
        lambda t: t.replace("\n", "\r\n"),
        lambda t: t.replace("\n", "\r"),
        lambda t: t.replace(" ", "\t"),
        lambda t: t.encode("latin-1"),
        lambda t: b"\xef\xbb\xbf" + t.encode(),
        lambda t: t.replace("\n", "\n\n"),
        lambda t: t.replace("HORIZONTAL", "horizontal").replace("GAIN", "Gain"),
        lambda t: t.replace(".", ","),
        lambda t: t + "\n\n",
        lambda t: t.rstrip("\n"),
    ],
)
def test_however_it_is_dressed(tmp_path, dress):
    plain = antenna_pattern(written(tmp_path, text()))
    pattern = antenna_pattern(written(tmp_path, dress(text())))
    xr.testing.assert_equal(pattern, plain)
    assert pattern.attrs["make"].replace(" ", "").replace("\t", "") == "Käthe&Söhne"
    assert pattern.attrs["gain"] == 17.5


@pytest.mark.parametrize(
    ("gain", "unit", "expected"),
    [
        ("GAIN 15.35 dBd", None, 17.5),
        ("GAIN 15.35dBd", None, 17.5),
        ("GAIN 15.35", "dBd", 17.5),
        ("GAIN 17.5", "dBi", 17.5),
    ],
)
def test_gain_over_a_dipole_is_2_15_db_more_over_isotropic(tmp_path, gain, unit, expected):
    file = written(tmp_path, text(head=["NAME a", gain]))
    assert antenna_pattern(file, gain_unit=unit).attrs["gain"] == pytest.approx(expected)


def test_circles_that_close_or_start_elsewhere(tmp_path):
    closed = text(horizontal=["HORIZONTAL 361", *rows(across(ANGLES)), "360 0.000"])
    centred = ["HORIZONTAL 361", *(f"{a} {across(a):.3f}" for a in range(-180, 181))]
    plain = antenna_pattern(written(tmp_path, text()))
    for content in (closed, text(horizontal=centred)):
        xr.testing.assert_allclose(antenna_pattern(written(tmp_path, content)), plain)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"horizontal": ["HORIZONTAL 360", *rows(across(ANGLES))[:-2]]}, "358 before the block ends"),
        ({"vertical": ["VERTICAL 360", *rows(along(ANGLES))[:100]]}, "100 before"),
        ({"horizontal": ["HORIZONTAL 350", *rows(across(ANGLES))]}, "more of them"),
        ({"horizontal": ["HORIZONTAL 1000000000", *rows(across(ANGLES))]}, "number of rows"),
        ({"horizontal": ["HORIZONTAL -5", *rows(across(ANGLES))]}, "number of rows"),
        ({"horizontal": ["HORIZONTAL", *rows(across(ANGLES))]}, "number of rows"),
        ({"horizontal": ["HORIZONTAL 0"]}, "number of rows"),
        ({"horizontal": []}, "HORIZONTAL block"),
        ({"vertical": []}, "VERTICAL block"),
        ({"vertical": ["VERTICAL 360", *rows(along(ANGLES)), "VERTICAL 360", *rows(along(ANGLES))]}, "second one"),
        ({"head": ["NAME a"]}, "GAIN"),
        ({"head": ["GAIN 17.5"]}, "unit"),
        ({"head": ["GAIN high"]}, "gain from"),
        ({"head": ["GAIN 1e9 dBi"]}, "gain from"),
        ({"horizontal": ["HORIZONTAL 360", *rows(across(ANGLES))[:-1], "359 nan"]}, "an angle and a loss"),
        ({"horizontal": ["HORIZONTAL 360", *rows(across(ANGLES))[:-1], "359 -3"]}, "loss from 0"),
        ({"horizontal": ["HORIZONTAL 360", *rows(across(ANGLES))[:-1], "999 3"]}, "angle from"),
        ({"horizontal": ["HORIZONTAL 360", *rows(across(ANGLES))[:-1], "3 3"]}, "growing angles"),
        ({"horizontal": ["HORIZONTAL 360", *rows(across(ANGLES))[:-1], "359 3 3"]}, "an angle and a loss"),
        ({"horizontal": ["HORIZONTAL 361", *rows(across(ANGLES)), "360 9"]}, "both ends"),
        ({"horizontal": ["HORIZONTAL 180", *rows(across(ANGLES))[:180]]}, "whole circle"),
        ({"horizontal": [*rows(across(ANGLES)), "HORIZONTAL 360"]}, "a key word"),
    ],
)
def test_files_that_lie_are_caught_with_their_place(tmp_path, change, word):
    with pytest.raises(TwinError, match=word):
        antenna_pattern(written(tmp_path, text(**change)))


@pytest.mark.parametrize("content", [b"", b"  \n", b"\x00\x01\x02", b"PK\x03\x04\x00", b"hello", b"\xff" * 50])
def test_what_is_no_antenna_file(tmp_path, content):
    with pytest.raises(TwinError):
        antenna_pattern(written(tmp_path, content))


def test_no_file_a_folder_and_too_much(tmp_path):
    for path in (tmp_path / "none.msi", tmp_path, "a\0b"):
        with pytest.raises(TwinError):
            antenna_pattern(path)
    with pytest.raises(TwinError, match="10 MB"):
        antenna_pattern(written(tmp_path, b"1 2\n" * 2_600_000))


FUZZ = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@FUZZ
@given(content=st.one_of(st.binary(max_size=300), st.text(max_size=200).map(lambda t: t.encode("utf-8", "replace"))))
def test_any_bytes_are_read_or_refused(tmp_path, content):
    try:
        antenna_pattern(written(tmp_path, content), gain_unit="dBi")
    except TwinError:
        return


LINES = text().splitlines()


@FUZZ
@given(
    edits=st.lists(
        st.tuples(
            st.integers(0, len(LINES) - 1),
            st.sampled_from(["drop", "double", "swap", "garble"]),
            st.one_of(st.text(max_size=12), st.from_regex(r"[0-9.,eE+\- ]{0,12}", fullmatch=True)),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_a_broken_file_is_refused_or_a_whole_pattern(tmp_path, edits):
    lines = list(LINES)
    for at, how, new in edits:
        i = min(at, len(lines) - 1)
        if how == "drop":
            del lines[i]
        elif how == "double":
            lines.insert(i, lines[i])
        elif how == "swap":
            lines[i - 1], lines[i] = lines[i], lines[i - 1]
        else:
            lines[i] = new
    try:
        pattern = antenna_pattern(written(tmp_path, "\n".join(lines).encode("utf-8", "replace")))
    except TwinError:
        return
    for name, ring in (("horizontal_loss", "azimuth"), ("vertical_loss", "depression")):
        values = pattern[name].values
        assert np.isfinite(values).all()
        assert (values >= 0).all()
        assert (np.diff(pattern[ring].values) > 0).all()
        assert pattern[ring].size >= 8
    gain = pattern_gain(np.linspace(-180, 180, 7)[:, None], np.linspace(-90, 90, 5), pattern=pattern)
    assert np.isfinite(gain).all()
    assert (gain <= pattern.attrs["gain"]).all()


# ---------------------------------------------------------------- gain between the cuts


@pytest.fixture(scope="module")
def pattern(tmp_path_factory):
    return antenna_pattern(written(tmp_path_factory.mktemp("antenna"), text()))


def test_the_gain_is_the_file_on_both_cuts(pattern):
    up = np.arange(-90, 91)
    np.testing.assert_allclose(pattern_gain(0, up, pattern=pattern), 17.5 - along(-up), atol=1e-3)
    np.testing.assert_allclose(pattern_gain(180, up, pattern=pattern), 17.5 - along(180 + up), atol=1e-3)
    level = antenna_pattern_without_tilt(pattern)
    turn = np.arange(-180, 181)
    # the floors behind differ by 5 dB, which the crossing there settles for the vertical cut
    ahead = np.abs(turn) < 20
    ours = pattern_gain(turn, 0, pattern=level)
    np.testing.assert_allclose(ours[ahead], 17.5 - across(turn[ahead]), atol=0.6)
    assert ours[0] == pytest.approx(17.5 - 30, abs=1e-3)


def antenna_pattern_without_tilt(pattern):
    return pattern.assign(vertical_loss=("depression", along(pattern.depression.values, tilt=0)))


def test_the_vertical_angle_runs_downwards(pattern):
    # 6 degree of electrical tilt in the file: the maximum is below the horizon
    assert pattern_gain(0, -6, pattern=pattern) == pytest.approx(17.5)
    assert pattern_gain(0, 6, pattern=pattern) < pattern_gain(0, -3, pattern=pattern)
    assert pattern_gain(0, -9, pattern=pattern, downtilt=3) == pytest.approx(17.5, abs=1e-6)


def test_a_file_of_the_3gpp_sector_gives_the_sector_near_its_beam(pattern):
    a, e = np.meshgrid(np.linspace(-60, 60, 25), np.linspace(-14, 2, 17))
    formula = sector(
        a, e, downtilt=6, gain=17.5, horizontal_beamwidth=65, vertical_beamwidth=8, front_to_back=60, side_lobe=30
    )
    ours = pattern_gain(a, e, pattern=pattern)
    near = np.abs(a) < 15
    assert np.abs(ours - formula)[near].max() < 3
    assert np.median(np.abs(ours - formula)[near]) < 0.5


def test_labels_and_lazy_arrays_go_through(pattern):
    x = xr.DataArray(np.linspace(-180, 180, 5), dims="x").chunk()
    y = xr.DataArray(np.array([-10.0, 0.0]), dims="y")
    gain = pattern_gain(x, y, pattern=pattern)
    assert gain.attrs["units"] == "dBi"
    assert hasattr(gain.data, "dask")
    np.testing.assert_allclose(gain.compute(), pattern_gain(x.values[:, None], y.values, pattern=pattern))


def test_what_is_no_pattern(pattern):
    for wrong in (None, xr.Dataset(), pattern.drop_vars("vertical_loss")):
        with pytest.raises(TwinError, match="pattern"):
            pattern_gain(0, 0, pattern=wrong)
    with pytest.raises(TwinError):
        pattern_gain(0, 100, pattern=pattern)
