"""View: fan charts and network diagrams, by their alt texts and by the colours at known places."""

from __future__ import annotations

import io

import numpy as np
import pytest
import xarray as xr

from twinkit import TwinError, assemble, view
from twinkit.vocabulary import LANGUAGES

TIME = np.datetime64("2026-03-01T00:00", "ns") + np.arange(24) * np.timedelta64(1, "h")


def pixels(figure):
    from PIL import Image

    image = Image.open(io.BytesIO(figure.png))
    assert image.text["Description"] == figure.alt
    return np.asarray(image.convert("RGB")).astype(int)


def near(picture, colour, *, by=12):
    return int((np.abs(picture - np.array(colour)).max(axis=2) <= by).sum())


@pytest.fixture
def members():
    """Ninety-nine members: the value of member i is i, every hour; the hour 5 is ten higher."""
    values = np.arange(1.0, 100.0)[:, None] + np.where(np.arange(24) == 5, 10.0, 0.0)
    return xr.DataArray(values, {"time": TIME}, ("member", "time"), name="traffic")


@pytest.fixture
def twin():
    sites = xr.Dataset(
        {"x": ("site", [0.0, 9e3, 9e3]), "y": ("site", [0.0, 0.0, 7e3])}, {"site": np.array(["a", "b", "c"], object)}
    )
    ends = {"source": ("link", np.array(["a", "b"], object)), "target": ("link", np.array(["b", "c"], object))}
    links = xr.Dataset(ends, {"link": np.array(["ab", "bc"], object)})
    return assemble({"sites": sites, "links": links}, title="three masts", crs="EPSG:32643")


def load(values, links=("ab", "bc"), name="link_load"):
    return xr.DataArray(np.array(values, float), {"link": np.array(links, object)}, "link", name=name)


# ---------------------------------------------------------------- fans


def test_a_fan_tells_peak_band_and_how_many_readings_it_held(members):
    seen = xr.DataArray([50.0, 500.0], {"time": TIME[:2]}, "time")
    alt = view.fan_chart(members, seen=seen).alt
    # of 1 to 99, plus ten at hour 5: the median 60; nine of ten between the 5th and the 95th percentile
    assert "The middle is largest, 60, at 2026-03-01 05:00" in alt
    low, high = np.quantile(np.arange(11.0, 110.0), [0.05, 0.95])
    assert f"between {low:.3g} and {high:.3g} there in 90 %" in alt
    assert "2 readings; 50.0% of them lie in the widest band" in alt


def test_quantiles_and_members_of_one_spread_say_the_same(members):
    quantile = members.quantile([0.05, 0.25, 0.5, 0.75, 0.95], "member").rename("traffic")
    assert view.fan_chart(quantile).alt == view.fan_chart(members).alt
    shuffled = quantile.isel(quantile=[3, 0, 4, 2, 1])
    assert view.fan_chart(shuffled).png == view.fan_chart(quantile).png


def test_readings_are_drawn_only_where_the_chart_is(members):
    outside = xr.DataArray([50.0], {"time": TIME[:1] - np.timedelta64(1, "D")}, "time")
    vermilion = (0xD5, 0x5E, 0x00)
    assert near(pixels(view.fan_chart(members, seen=outside)), vermilion) == 0
    assert near(pixels(view.fan_chart(members, seen=members.isel(member=3))), vermilion) > 100


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_draws_both(members, twin, language):
    for figure in (
        view.fan_chart(members, seen=members.isel(member=0), language=language),
        view.network_diagram(twin, load([0.2, 0.9]), language=language),
    ):
        assert pixels(figure).std() > 5
        assert figure.language == language
        assert "{" not in figure.alt


def test_a_persian_date_keeps_its_order(members):
    assert "۲۰۲۶/۰۳/۰۱" in view.fan_chart(members, language="fa").alt


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda m: m.isel(member=0, drop=True), "one of quantile"),
        (lambda m: m.expand_dims(cell=["a"]), "choose one cell"),
        (lambda m: m.isel(time=slice(0)), "at least one moment"),
        (lambda m: m.assign_coords(time=np.arange(24)), "as datetimes"),
        (lambda m: m.isel(time=slice(None, None, -1)), "sortby"),
        (lambda m: m * np.nan, "NaN alone"),
        (lambda m: m.quantile([0.1, 0.5], "member"), "in pairs"),
        (lambda m: m.quantile([0.1, 0.5, 0.8], "member"), "in pairs"),
        (lambda m: m.to_dataset(name="load"), "values over time"),
    ],
)
def test_a_fan_of_something_else_is_one_message(members, change, word):
    with pytest.raises(TwinError, match=word):
        view.fan_chart(change(members))


def test_readings_of_several_cells_are_refused(members):
    with pytest.raises(TwinError, match="over time alone"):
        view.fan_chart(members, seen=members)


# ---------------------------------------------------------------- networks


def test_a_diagram_names_the_largest_link(twin):
    alt = view.network_diagram(twin, load([0.9, 0.2])).alt
    assert alt.startswith("Diagram of a network of 3 sites and 2 links.")
    assert "from 0.2 to 0.9, largest on link ab between a and b" in alt
    # whatever the order in which the values come
    assert (
        view.network_diagram(twin, load([0.2, 0.9], ("bc", "ab"))).png
        == view.network_diagram(twin, load([0.9, 0.2])).png
    )


def test_without_values_the_links_are_grey_and_with_them_they_are_not(twin):
    grey = (140, 140, 140)
    assert near(pixels(view.network_diagram(twin)), grey, by=4) > 200
    assert (
        near(pixels(view.network_diagram(twin, load([0.2, 0.9]))), (0, 34, 78), by=6) > 200
    )  # the dark end of cividis
    unknown = view.network_diagram(twin, load([np.nan, np.nan]))
    assert unknown.alt == view.network_diagram(twin).alt


def test_a_site_without_a_place_keeps_its_links(twin):
    lost = twin.copy(deep=True)
    lost["sites"] = lost["sites"].to_dataset().assign(x=("site", [0.0, 9e3, np.nan]))
    assert view.network_diagram(lost, load([0.2, 0.9])).alt == view.network_diagram(twin, load([0.2, 0.9])).alt
    nowhere = twin.copy(deep=True)
    nowhere["sites"] = nowhere["sites"].to_dataset().drop_vars(["x", "y"])
    assert pixels(view.network_diagram(nowhere)).std() > 3


def test_control_characters_in_ids_do_not_reach_the_description(twin):
    odd = twin.copy(deep=True)
    odd["links"] = odd["links"].to_dataset().assign_coords(link=np.array(["a\x1b[31m", "bc"], object))
    assert "\x1b" not in view.network_diagram(odd, load([0.9, 0.2], ("a\x1b[31m", "bc"))).alt


@pytest.mark.parametrize(
    ("values", "word"),
    [
        (load([0.1], ("ab",)), "one value for each link"),
        (load([0.1, 0.2], ("ab", "xy")), "one value for each link"),
        (load([0.1, 0.2]).expand_dims(time=2), "one time"),
        (3.0, "one value for each link"),
    ],
)
def test_values_of_other_links_are_refused(twin, values, word):
    with pytest.raises(TwinError, match=word):
        view.network_diagram(twin, values)


def test_a_link_to_nowhere_and_no_network_are_refused(twin):
    broken = twin.copy(deep=True)
    broken["links"] = broken["links"].to_dataset().assign(target=("link", np.array(["b", "z"], object)))
    with pytest.raises(TwinError, match="link bc to a site that is not there"):
        view.network_diagram(broken)
    with pytest.raises(TwinError, match="a twin with sites and links"):
        view.network_diagram(xr.Dataset())
