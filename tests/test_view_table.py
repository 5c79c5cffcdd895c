"""View: the table behind each picture, and the picture as one page of HTML."""

from __future__ import annotations

import base64
import hashlib
import html
import re
from html.parser import HTMLParser

import numpy as np
import pytest
import xarray as xr

from twinkit import TwinError, assemble, city, view
from twinkit.view import _map_table, _table
from twinkit.vocabulary import LANGUAGES, words

TIME = np.datetime64("2026-03-01T00:00", "ns") + np.arange(500) * np.timedelta64(1, "h")
HOSTILE = "<script>alert(1)</script>\"'&\u202e<img src=x onerror=alert(2)>"


def surface(values, name, *, step=1000.0, **attrs):
    rows, columns = np.shape(values)
    coords = {"y": np.arange(rows) * step, "x": np.arange(columns) * step}
    return xr.DataArray(values, dims=("y", "x"), coords=coords, name=name, attrs=attrs)


@pytest.fixture
def twin():
    """Forty by thirty kilometres; half of the people live in the west."""
    people = surface(np.full((30, 40), 10.0), "people")
    places = xr.Dataset(
        {
            "x": ("place", [10e3, 30e3, 35e3]),
            "y": ("place", [10e3, 10e3, 20e3]),
            "name": ("place", np.array(["Rāmpur", HOSTILE, "शिमला"], dtype=object)),
            "population": ("place", [4000.0, 5000.0, 3000.0]),
        },
        {"place": np.array(["1", "2", "3"], dtype=object)},
    )
    return assemble({"surface": people.to_dataset(), "places": places}, title="plain", crs="EPSG:32643")


def fan():
    values = np.arange(1.0, 100.0)[:, None] + np.where(np.arange(500) == 271, 10.0, 0.0)
    return xr.DataArray(values, {"time": TIME}, ("member", "time"), name="traffic")


def network():
    count = 130
    names = np.array([f"s{i}" for i in range(count + 1)], dtype=object)
    sites = xr.Dataset({"x": ("site", np.arange(count + 1.0)), "y": ("site", np.arange(count + 1.0) ** 2)})
    ends = {"source": ("link", names[:-1]), "target": ("link", names[1:])}
    links = xr.Dataset(ends, {"link": np.array([f"l{i}" for i in range(count)], dtype=object)})
    twin = assemble({"sites": sites.assign_coords(site=names), "links": links}, title="chain", crs="EPSG:32643")
    load = xr.DataArray(np.arange(count) / count, {"link": links.link}, "link", name="link_load")
    return twin, load.where(load > 0)


def figures(twin, language):
    level = surface(np.linspace(-120, -60, 1200).reshape(30, 40), "rsrp")
    served = city.served(twin, level > -90)
    draws = xr.DataArray(np.linspace(5.0, 10.0, 300)[None] + np.arange(3.0)[:, None], {"time": TIME[:300]},
                         ("draw", "time"))  # fmt: skip
    grid, load = network()
    return {
        "numbers": view.map_of(level, twin=twin, threshold=-105, language=language, title=HOSTILE),
        "people": view.map_of(twin["surface/people"], twin=twin, language=language),
        "classes": view.map_of(surface(np.tile([1, 5], (30, 20)), "clutter"), twin=twin, language=language),
        "truths": view.coverage(level > -90, twin=twin, language=language),
        "change": view.before_after(level > -90, level > -110, twin=twin, language=language),
        "bars": view.worst_served(city.worst_served(twin, served), language=language),
        "curve": view.recovery_curve(draws, before=20.0, language=language),
        "fan": view.fan_chart(fan(), seen=fan().isel(member=3), language=language),
        "network": view.network_diagram(grid, load, language=language),
    }


@pytest.fixture(scope="module")
def english():
    made = {}

    def one(twin, name):
        if not made:
            made.update(figures(twin, "en"))
        return made[name]

    return one


class Page(HTMLParser):
    """What stands in a page: tags with their attributes, and text."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.tags, self.text = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text.append(data)


# ---------------------------------------------------------------- what stands in the tables


@pytest.mark.parametrize(
    "name", ["numbers", "people", "classes", "truths", "change", "bars", "curve", "fan", "network"]
)
def test_every_picture_has_a_small_table_with_labels_and_units(english, twin, name):
    table = english(twin, name).table
    assert table.data_vars
    assert max(table.sizes.values()) <= _table.MOST
    for column in table.data_vars.values():
        assert column.ndim == 1
        assert column.attrs["long_name"]
        assert column.attrs["units"]
    for dim in table.dims:
        assert table[dim].attrs["caption"]
    known = words()
    for column in (c for n, c in table.data_vars.items() if n in known):
        assert column.attrs["long_name"] == known[str(column.name)].meaning["en"]
        assert column.attrs["units"] == known[str(column.name)].unit


def test_a_map_of_numbers_counts_area_and_people_in_classes_that_hold_all(english, twin):
    table = english(twin, "numbers").table
    edges, level = table["class"].values, np.linspace(-120, -60, 1200)
    assert -105 in edges
    np.testing.assert_array_equal(table["to"].values[:-1], edges[1:])
    for low, high, area, people in zip(
        edges, table["to"].values, table.area_share.values, table.people_in.values, strict=True
    ):
        inside = (level > low) & (level <= high) | (level == level.min()) & (low == edges[0])
        assert area == pytest.approx(inside.mean())
        assert people == pytest.approx(10 * inside.sum())
    assert float(table.area_share.sum()) == pytest.approx(1)
    assert float(table.people_share.sum()) == pytest.approx(1)
    # the value where each place lies, the largest place first
    assert table.population.values.tolist() == [5000, 4000, 3000]
    grid = level.reshape(30, 40)
    np.testing.assert_allclose(table.rsrp.values, [grid[10, 30], grid[10, 10], grid[20, 35]])


def test_what_is_unknown_is_a_class_of_its_own():
    table = view.map_of(surface([[-120.0, -100.0], [np.nan, np.nan]], "rsrp")).table
    assert np.isnan(table["class"].values[-1])
    assert table.area_share.values[-1] == 0.5
    assert "people_in" not in table


def test_a_thinned_map_of_people_loses_nobody():
    table = view.map_of(surface(np.full((1600, 1200), 3.0), "people", step=100.0)).table
    assert float(table.people_in.sum()) == pytest.approx(3.0 * 1600 * 1200, rel=1e-6)


def test_a_map_of_classes_names_what_lies_where(english, twin):
    table = english(twin, "classes").table
    assert table["class"].values.tolist() == ["water", "dense urban"]
    np.testing.assert_allclose(table.area_share, 0.5)
    np.testing.assert_allclose(table.people_in, 6000)
    assert set(table.class_at.values) <= {"water", "dense urban"}


def test_coverage_tells_area_people_and_each_place(english, twin):
    table = english(twin, "truths").table
    covered = surface(np.linspace(-120, -60, 1200).reshape(30, 40), "rsrp") > -90
    assert table["class"].values.tolist() == ["covered", "not covered"]
    assert table.area_share.values[0] == pytest.approx(float(covered.mean()))
    assert table.people_in.values.sum() == pytest.approx(12000)
    served = city.served(twin, covered).sel(place=["2", "1", "3"])
    np.testing.assert_allclose(table.served, served)


def test_before_and_after_stand_side_by_side(english, twin):
    table = english(twin, "change").table
    assert table["class"].values.tolist() == ["covered: before", "covered: after"]
    assert np.all(np.diff(table.area_share) > 0)
    assert (table.served_after >= table.served_before).all()
    # the sentence and the table say the same
    alt = english(twin, "change").alt
    assert f"{100 * table.people_share.values[0]:.1f}% of 12,000" in alt


def test_a_fan_keeps_its_peak_among_a_hundred_moments(english, twin):
    table = english(twin, "fan").table
    assert TIME[271] in table.time.values
    peak = table.sel(time=TIME[271])
    assert float(peak.middle) == 60
    assert float(peak.low_90) == pytest.approx(np.quantile(np.arange(11.0, 110.0), 0.05))
    assert table.middle.attrs["units"] == words()["traffic"].unit
    assert "of 500 rows" in table.time.attrs["note"]
    # readings are a table of their own, at their own moments
    values = fan().isel(member=3).sel(time=table["read"].values)
    np.testing.assert_allclose(table.reading, values)


def test_a_curve_keeps_its_worst_day_and_a_network_its_largest_links(english, twin):
    curve = english(twin, "curve").table
    assert float(curve.expected.min()) == pytest.approx(6.0 / 20)
    assert (curve.low <= curve.expected).all()
    assert (curve.high >= curve.expected).all()
    links = english(twin, "network").table
    assert links.link.values[:2].tolist() == ["l129", "l128"]
    assert links.source.values[0] == "s129"
    assert "100 of 130 rows" in links.link.attrs["note"]


def test_a_picture_without_a_twin_has_a_table_too():
    assert view.coverage(surface(np.eye(4) > 0, "x")).table.area_share.values.tolist() == [0.25, 0.75]
    assert view.map_of(surface(np.full((3, 3), np.nan), "rsrp")).table is None


@pytest.mark.parametrize("language", ["hi", "fr", "fa"])
def test_tables_speak_the_language_of_the_picture(twin, language):
    table = view.coverage(surface(np.eye(30, 40) > 0, "x"), twin=twin, language=language).table
    assert table.population.attrs["long_name"] == words()["population"].meaning[language]
    shown = view.markup(table, language=language)
    assert html.escape(words()["population"].meaning[language]) in shown
    assert not re.search(r"covered|people who|largest", shown)
    if language == "fa":
        assert "۴٬۰۰۰" in shown
        assert '<bdi dir="ltr">' in shown


def test_edges_are_round_and_few():
    rng = np.random.default_rng(1)
    for _ in range(50):
        values = rng.normal(rng.uniform(-1e3, 1e3), 10 ** rng.uniform(-6, 6), 50)
        edges = _map_table.edges_of(values)
        assert len(edges) <= 9
        assert np.all(np.diff(edges) > 0)
        assert (edges[0], edges[-1]) == (values.min(), values.max())
    assert _map_table.edges_of(np.array([3.0, 3.0])).tolist() == [3.0, 3.0]


# ---------------------------------------------------------------- as HTML


def test_markup_is_a_table_with_headers_that_say_what_they_head(english, twin):
    page = Page(view.markup(english(twin, "truths").table))
    assert [t for t, _ in page.tags].count("table") == 2
    assert all(a.get("scope") in {"col", "row"} for t, a in page.tags if t == "th")
    assert "people who live in the place [people]" in page.text
    assert "5,000" in page.text


def test_of_a_long_table_the_head_is_shown_and_the_rest_counted():
    shown = view.markup(xr.Dataset({"load": ("time", np.arange(1000.0))}, {"time": np.arange(1000)}))
    assert shown.count("<tr>") == _table.MOST + 1
    assert "<p>100 of 1,000 rows are shown.</p>" in shown


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (np.array([True]), "<td>yes</td>"),
        (np.array([np.nan]), '<td class="number">unknown</td>'),
        (np.array(["2026-03-01T05:30"], "M8[ns]"), "<td>2026-03-01 05:30</td>"),
        (np.array([1234567.0]), '<td class="number">1,235,000</td>'),
        (np.array([-1e300]), "<td"),
    ],
)
def test_every_kind_of_value_is_written_for_people(values, said):
    assert said in view.markup(xr.Dataset({"a": ("row", values)}))


@pytest.mark.parametrize(
    ("table", "word"),
    [
        (xr.Dataset({"a": (("y", "x"), np.eye(2))}), "one dim each"),
        (np.eye(2), "a ndarray"),
    ],
)
def test_another_thing_than_a_table_is_one_message(table, word):
    with pytest.raises(TwinError, match=word):
        view.markup(table)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_is_one_file_that_asks_for_nothing(twin, tmp_path, language):
    level = surface(np.linspace(-120, -60, 1200).reshape(30, 40), "rsrp")
    figure = view.map_of(level, twin=twin, title=HOSTILE, language=language)
    text = figure.save(tmp_path / "deep" / "map.html").read_text(encoding="utf-8")
    assert text == figure.page()
    page = Page(text)
    tags = [t for t, _ in page.tags]
    assert not {"script", "link", "iframe", "object", "form", "base"} & set(tags)
    assert tags.count("img") == 1
    assert not any(key.startswith("on") for _, attrs in page.tags for key in attrs)
    assert all(a["src"].startswith("data:image/png;base64,") for _, a in page.tags if "src" in a)
    assert not [a for _, a in page.tags if "href" in a]
    (image,) = (a for t, a in page.tags if t == "img")
    assert base64.b64decode(image["src"].partition(",")[2]) == figure.png
    assert image["alt"] == figure.alt
    (whole,) = (a for t, a in page.tags if t == "html")
    assert whole == {"lang": language, "dir": "rtl" if language == "fa" else "ltr"}
    # the policy allows one style, and it is the one that is there
    style = re.search(r"<style>(.*?)</style>", text, flags=re.DOTALL)[1]
    mark = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{mark}'" in text
    assert "default-src 'none'" in text
    assert "prefers-color-scheme: dark" in style
    assert "url(" not in style
    assert "\u202e" not in text


def test_hostile_text_stays_text_in_the_notebook_too(english, twin):
    shown = english(twin, "numbers")._repr_html_()
    page = Page(shown)
    assert "script" not in [t for t, _ in page.tags]
    assert [t for t, _ in page.tags].count("img") == 1
    assert any("<script>alert(1)</script>" in t for t in page.text)


def test_the_report_keeps_the_table_and_drops_what_acts(english, twin):
    from twinkit.study._sanitised import sanitised

    shown, lost = sanitised(english(twin, "truths")._repr_html_())
    assert not lost
    assert shown.count("<table>") == 2
    assert "<summary>The numbers</summary>" in shown


def test_a_report_prints_the_table_and_leaves_out_the_code(english, twin, tmp_path):
    import json

    from twinkit import study

    shown = english(twin, "truths")
    output = {"output_type": "execute_result", "data": {"text/html": shown._repr_html_(), "text/plain": repr(shown)}}
    cell = {"cell_type": "code", "source": "figure", "metadata": {}, "outputs": [output]}
    path = tmp_path / "run.ipynb"
    path.write_text(json.dumps({"cells": [cell], "metadata": {}}), encoding="utf-8")
    page = study.report(path, tmp_path / "page.html").read_text(encoding="utf-8")
    assert page.count("<table>") == 2
    # the table has a language and the code has none
    assert '<details lang="en"><summary>The numbers' in page
    assert "<details><summary>code" in page
    assert "details:not([lang]) { display: none; }" in page


@pytest.mark.parametrize(("scheme", "width"), [("light", 1440), ("dark", 360)])
def test_the_page_in_a_browser(english, twin, tmp_path, looking, axe, scheme, width):
    """Light and dark, wide and narrow: nothing is asked for, nothing complains, nothing is wider than the page."""
    path = english(twin, "numbers").save(tmp_path / "map.html")
    page = looking(scheme=scheme, width=width)
    asked = []
    page.on("request", lambda r: asked.append(r.url))
    page.goto(path.as_uri())
    assert [u for u in asked if not u.startswith("data:")] == [path.as_uri()]
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("document.images[0].naturalWidth") > 300
    style = "[getComputedStyle(document.body).color, getComputedStyle(document.querySelector('main')).backgroundColor]"
    assert _contrast(*page.evaluate(style)) > 7
    assert axe(page) == []


def _contrast(ink, paper):
    """The contrast of WCAG 2 between two colours as a browser writes them."""

    def light(colour):
        parts = [int(n) / 255 for n in re.findall(r"\d+", colour)[:3]]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))

    high, low = sorted((light(ink), light(paper)), reverse=True)
    return (high + 0.05) / (low + 0.05)
