"""View: pictures that everybody can read, described by the numbers in them."""

from __future__ import annotations

import csv
import html
import importlib.resources
import io
import string
import tracemalloc

import numpy as np
import pytest
import xarray as xr

from twinkit import TwinError, assemble, view
from twinkit.view import _figure, _furnish, _map, _raster
from twinkit.vocabulary import LANGUAGES, words


def surface(values, name, *, step=1000.0, **attrs):
    rows, columns = np.shape(values)
    coords = {"y": np.arange(rows) * step, "x": np.arange(columns) * step}
    return xr.DataArray(values, dims=("y", "x"), coords=coords, name=name, attrs=attrs)


@pytest.fixture
def twin():
    """Two masts, three places, forty kilometres of hills."""
    rng = np.random.default_rng(1)
    people = surface(np.full((30, 40), 10.0), "people")
    ground = surface(500 + 400 * rng.random((30, 40)), "ground_height")
    places = xr.Dataset(
        {
            "x": ("place", [10e3, 11e3, 30e3]),
            "y": ("place", [10e3, 10.2e3, 20e3]),
            "name": ("place", np.array(["Rāmpur", "Theog", "शिमला"], dtype=object)),
            "population": ("place", [5000.0, 4000.0, 3000.0]),
        },
        {"place": np.array(["1", "2", "3"], dtype=object)},
    )
    sites = xr.Dataset({"x": ("site", [5e3, 25e3]), "y": ("site", [5e3, 25e3])}, {"site": ["a", "b"]})
    for array, origin in ((people, "modelled: evenly"), (ground, "generated: seed 1")):
        array.attrs["provenance"] = origin
    nodes = {"surface": xr.Dataset({"people": people, "ground_height": ground}), "places": places, "sites": sites}
    return assemble(nodes, title="hills", crs="EPSG:32643")


def pixels(figure):
    from PIL import Image

    image = Image.open(io.BytesIO(figure.png))
    assert image.text["Description"] == figure.alt
    return np.asarray(image.convert("RGB"))


# ---------------------------------------------------------------- what the alt text says


def test_alt_text_tells_the_numbers_of_the_map():
    values = np.arange(1200.0).reshape(30, 40)
    alt = view.map_of(surface(values, "ground_height")).alt
    assert "Map of ground height above sea level [m], 40 by 30 km." in alt
    assert "Values from 0 to 1,200, median 600; the largest lies in the north-east." in alt


def test_alt_text_tells_the_share_below_a_threshold_and_beyond_reach():
    rsrp = surface([[-120.0, -100.0], [-90.0, np.nan]], "rsrp")
    figure = view.map_of(rsrp, threshold=-105)
    assert "50.0% of the area lies at or below -105 dBm, or where no cell reaches" in figure.alt


def test_a_map_of_people_counts_people_per_square_kilometre():
    figure = view.map_of(surface([[0.0, 40.0], [10.0, 10.0]], "people", step=2000.0))
    assert "[people/km²]" in figure.alt
    assert "from 0 to 10, median 2.5" in figure.alt


def test_coverage_counts_people_not_pixels(twin):
    people = twin["surface/people"].copy()
    people[0, 0] = 10 * 1199.0  # half of all people in one pixel
    from twinkit import extend

    uneven = extend(twin, surface=people.to_dataset())
    covered = xr.zeros_like(people, dtype=bool)
    covered[0, 0] = True
    assert "50.0% of 24,000 people are covered" in view.coverage(covered, twin=uneven).alt
    assert "0.1% of the area" in view.coverage(covered).alt


def test_before_and_after_tells_gain_and_rest(twin):
    before = twin["surface/people"].x < 10e3
    before = before.broadcast_like(twin["surface/people"]).transpose("y", "x")
    after = (twin["surface/people"].x < 30e3).broadcast_like(before).transpose("y", "x")
    new = xr.Dataset({"x": ("candidate", [15e3]), "y": ("candidate", [15e3])})
    alt = view.before_after(before, after, twin=twin, new=new).alt
    assert "25.0% of 12,000 people are covered before and 75.0% after; 6,000 people are gained, and 3,000 stay" in alt
    assert "1 new sites" in alt


def test_worst_served_names_each_place(twin):
    table = xr.Dataset(
        {
            "served": ("place", [0.0, 0.123]),
            "population": ("place", [1850.0, 34100.0]),
            "name": ("place", ["Chaupāl", "Kālka"]),
        }
    )
    assert view.worst_served(table).alt == (
        "Bar chart of the 2 places with the least share of people served: Chaupāl 0% of 1,850, Kālka 12.3% of 34,100."
    )


def test_classes_are_named(twin):
    clutter = surface(np.array([[1, 2], [2, 5]], dtype=np.int8), "clutter")
    alt = view.map_of(clutter).alt
    assert "water: 25.0% of the area. open: 50.0% of the area. dense urban: 25.0% of the area." in alt
    land = surface(np.array([[0, 1]]), "land_use", flag_meanings="bare_soil rice")
    assert "bare soil: 50.0% of the area. rice: 50.0%" in view.map_of(land).alt


def test_a_map_without_values_says_so():
    assert view.map_of(surface(np.full((3, 3), np.nan), "rsrp")).alt.endswith("It holds no values.")


# ---------------------------------------------------------------- pictures


def test_colours_stand_where_the_values_are(twin):
    covered = (twin["surface/people"].x < 20e3).broadcast_like(twin["surface/people"]).transpose("y", "x")
    flat = assemble({}, title="", crs="EPSG:32643")
    image = pixels(view.coverage(covered, twin=flat))
    from matplotlib.colors import to_rgb

    blue = np.all(np.abs(image - 255 * np.array(to_rgb(_furnish.COVERED))) < 3, axis=-1)
    grey = np.all(np.abs(image - 255 * np.array(to_rgb(_furnish.GREY))) < 3, axis=-1)
    map_rows = slice(0, int(0.85 * image.shape[0]))  # the legend below has both colours too
    assert blue[map_rows].sum() == pytest.approx(grey[map_rows].sum(), rel=0.1)
    assert np.nonzero(blue[map_rows])[1].mean() < np.nonzero(grey[map_rows])[1].mean()


def test_names_do_not_hide_each_other(twin, monkeypatch):
    """Theog lies a kilometre from the larger Rāmpur: one of two names that would lie on each other is left out."""
    drawn = {}

    def kept(made, alt, language, *_):
        renderer = made.canvas.get_renderer()
        drawn["boxes"] = {t.get_text(): t.get_window_extent(renderer) for t in made.axes[0].texts}
        return view.Figure(b"", alt, language)

    monkeypatch.setattr(_map, "drawn", kept)
    view.map_of(twin["surface/ground_height"], twin=twin)
    boxes = drawn["boxes"]
    assert {"Rāmpur", "शिमला"} <= set(boxes)
    assert "Theog" not in boxes
    named = [b for t, b in boxes.items() if t]
    assert not any(a.overlaps(b) for i, a in enumerate(named) for b in named[:i])


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1), (200, 10), (10, 200)])
def test_any_shape_is_drawn(shape):
    image = pixels(view.map_of(surface(np.random.default_rng(1).random(shape), "ground_height")))
    assert min(image.shape[:2]) > 100
    assert max(image.shape[:2]) < 2500


def test_descending_axes_are_turned(twin):
    array = twin["surface/ground_height"]
    up, down = (_raster.thinned(a)[0] for a in (array, array.isel(y=slice(None, None, -1))))
    np.testing.assert_array_equal(up.values, down.values)
    assert up.extent == down.extent == (-500.0, 39500.0, -500.0, 29500.0)


def test_a_figure_shows_its_alt_text_in_a_notebook_and_is_saved(tmp_path):
    figure = view.map_of(surface([[0.0, 1.0]], "ground_height", long_name='a "quoted" name'))
    shown = figure._repr_html_()
    assert f'alt="{figure.alt}"' in shown.replace("&quot;", '"')
    assert figure.save(tmp_path / "deep" / "map.png").read_bytes() == figure.png
    for wrong in (tmp_path / "map.jpg", tmp_path / "deep" / "map.png" / "x.png"):
        with pytest.raises(TwinError):
            figure.save(wrong)


def test_the_same_numbers_give_the_same_bytes(twin):
    assert view.map_of(twin["surface/people"], twin=twin).png == view.map_of(twin["surface/people"], twin=twin).png


def test_no_window_and_no_pyplot():
    import subprocess
    import sys

    code = (
        "import sys, numpy as np, xarray as xr\nfrom twinkit import view\n"
        "a = xr.DataArray(np.eye(3), dims=('y', 'x'), coords={'y': [0., 1, 2], 'x': [0., 1, 2]}, name='people')\n"
        "view.map_of(a)\nheavy = {'matplotlib.pyplot', 'panel', 'bokeh', 'holoviews', 'datashader'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# ---------------------------------------------------------------- large maps


def test_a_large_lazy_map_is_never_whole_in_memory():
    import dask.array as da

    n = 4000
    lazy = da.random.default_rng(1).random((n, n), chunks=500)  # 128 MB
    coords = {"y": np.arange(n) * 30.0, "x": np.arange(n) * 30.0}
    array = xr.DataArray(lazy, dims=("y", "x"), coords=coords, name="ground_height")
    view.map_of(xr.DataArray(np.eye(3), dims=("y", "x"), coords={"y": [0.0, 1, 2], "x": [0.0, 1, 2]}))  # imports
    tracemalloc.start()
    try:
        raster = _raster.thinned(array)[0]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert raster.values.shape == (800, 800)
    assert peak < 60e6
    np.testing.assert_allclose(raster.values[7, 9], lazy[35:40, 45:50].mean().compute(), rtol=1e-6)


def test_thinning_keeps_means_and_classes():
    values = np.arange(1_000_000.0).reshape(1000, 1000)
    mean, middle = _raster.thinned(surface(values, "a"), surface(values, "b"), means=(True, False), most=100)
    np.testing.assert_allclose(mean.values[0, 0], values[:10, :10].mean())
    assert middle.values[0, 0] == values[5, 5]
    gaps = np.where(values < 5e5, np.nan, values)
    assert np.isnan(_raster.thinned(surface(gaps, "c"), most=100)[0].values[0, 0])


# ---------------------------------------------------------------- languages


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_draws_every_figure(twin, language):
    covered = twin["surface/ground_height"] > 700
    table = xr.Dataset({"served": ("place", [0.5]), "population": ("place", [1.0e6]), "name": ("place", ["Kigali"])})
    figures = [
        view.map_of(twin["surface/ground_height"], twin=twin, threshold=600, language=language, title="شیملا"),
        view.coverage(covered, twin=twin, language=language),
        view.before_after(covered, covered, twin=twin, language=language),
        view.worst_served(table, language=language),
    ]
    for figure in figures:
        assert "{" not in figure.alt
        assert figure.language == language
        pixels(figure)  # a missing letter is a warning, and warnings are errors here


def test_every_letter_of_the_vocabulary_is_in_a_font():
    from fontTools.ttLib import TTFont
    from matplotlib import font_manager

    own = set(TTFont(font_manager.findfont("DejaVu Sans")).getBestCmap())
    rows = _figure._phrases().values()
    for language, name in _figure.FONTS.items():
        with importlib.resources.as_file(importlib.resources.files("twinkit") / "fonts" / name) as path:
            held = own | set(TTFont(path).getBestCmap())
        texts = [w.meaning.get(language, "") for w in words().values()] + [r[language] for r in rows]
        letters = set("".join(texts)) | set(_figure.PERSIAN.values() if language == "fa" else "")
        missing = {c for c in letters if (ord(c) if isinstance(c, str) else c) not in held}
        assert not missing


def test_hindi_and_persian_letters_are_joined():
    """Shaping: क्ष is one glyph, and the three letters of بیت touch; unshaped they stand apart."""
    from matplotlib.ft2font import FT2Font, LoadFlags

    for name, text in (("devanagari.ttf", "क्ष"), ("arabic.ttf", "بیت")):
        with importlib.resources.as_file(importlib.resources.files("twinkit") / "fonts" / name) as path:
            font = FT2Font(str(path))
            shaped = [item.glyph_index for item in font._layout(text, LoadFlags.DEFAULT)]
            apart = [font.get_char_index(ord(c)) for c in text]
        assert shaped != apart
        assert sorted(shaped) != sorted(apart)


def test_phrases_are_whole_in_every_language():
    text = importlib.resources.files("twinkit.view").joinpath("words.csv").read_text(encoding="utf-8")
    fields = string.Formatter()
    for row in csv.DictReader(text.splitlines()):
        parts = [{f for _, f, _, _ in fields.parse(row[language]) if f} for language in LANGUAGES]
        assert all(row[language] for language in LANGUAGES), row["key"]
        assert all(p == parts[0] for p in parts), row["key"]


def test_numbers_are_written_as_readers_expect():
    number = _figure.number
    assert [number(v, language="en") for v in (0.0, 0.0123, 12.3, 123.4, 1234567.0)] == [
        "0", "0.0123", "12.3", "123", "1,230,000",
    ]  # fmt: skip
    assert number(0.5, language="fa", share=True) == "۵۰٫۰٪"
    assert number(1.0, language="en", share=True) == "100%"
    assert number(0.9996, language="en", share=True) == ">99.9%"
    assert number(0.0004, language="fr", share=True) == "<0,1 %"
    assert number(float("nan"), language="en") == "NaN"
    assert number(-105.0, language="en", unit="dBm") == "-105 dBm"


def test_names_in_a_script_without_a_font_are_left_out(twin):
    places = twin["places"].to_dataset().copy()
    places["name"] = ("place", np.array(["深圳", "Theog", "शिमला"], dtype=object))
    from twinkit import extend

    pixels(view.map_of(twin["surface/people"], twin=extend(twin, places=places)))
    table = xr.Dataset({"served": ("place", [0.5]), "population": ("place", [1.0]), "name": ("place", ["深圳"])})
    assert "深圳" in view.worst_served(table).alt


# ---------------------------------------------------------------- measured or generated


def test_layers_say_what_is_measured_and_what_is_generated(twin):
    found = view.layers(twin)
    assert found.of("generated") == ["surface/ground_height"]
    assert found.of("modelled") == ["surface/people"]
    assert "places: x, y, name, population" in found.of("unknown")
    assert "generated: seed 1" not in repr(found)
    assert "seed 1" in repr(found)
    assert "<table" in found._repr_html_()


def test_a_layer_of_two_origins_says_both(twin):
    from twinkit import extend

    people = twin["surface/people"].assign_attrs(provenance="measured: census, by town; modelled: the rest")
    assert view.layers(extend(twin, surface=people.to_dataset())).of("modelled") == ["surface/people"]
    assert view.layers(extend(twin, surface=people.to_dataset())).of("measured") == ["surface/people"]


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("draw", "words"),
    [
        (lambda m, t: view.map_of(m.isel(y=0)), "dims and coordinates y and x"),
        (lambda m, t: view.map_of(m.values), "a ndarray"),
        (lambda m, t: view.map_of(m.drop_vars("x")), "coordinates"),
        (lambda m, t: view.map_of(m.isel(y=slice(0))), "with pixels"),
        (lambda m, t: view.map_of(m, language="de"), "en, hi, fr, fa"),
        (lambda m, t: view.coverage(m), "truths"),
        (lambda m, t: view.before_after(m > 0, m.isel(y=slice(5)) > 0), "on one grid"),
        (lambda m, t: view.worst_served(xr.Dataset()), "no served"),
        (lambda m, t: view.layers(m), "a twin"),
    ],
)
def test_bad_input_is_one_message(twin, draw, words):
    with pytest.raises(TwinError, match=words):
        draw(twin["surface/ground_height"], twin)


def test_a_dollar_in_a_name_is_no_formula():
    name = r"$\nonsense{$"
    table = xr.Dataset({"served": ("place", [0.5]), "population": ("place", [10.0]), "name": ("place", [name])})
    assert name in view.worst_served(table, title=name).alt
    assert view.map_of(surface(np.eye(3), "people"), title=name).png


@pytest.mark.parametrize("name", ["<script>x</script>", "a|b\nc", "**b** _i_ [l](javascript:x)", "&lt;b&gt;", "`c`"])
def test_plain_text_is_shown_as_it_is_in_markdown(name):
    from markdown_it import MarkdownIt

    page = MarkdownIt("commonmark").enable("table").render(f"> {view.plain(name)}")
    assert page == f"<blockquote>\n<p>{html.escape(' '.join(name.split()))}</p>\n</blockquote>\n"
    table = MarkdownIt("commonmark").enable("table").render(f"| a | b |\n|---|---|\n| {view.plain(name)} | 2 |")
    assert table.count("<td>") == 2
