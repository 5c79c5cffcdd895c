"""View: maps that are panned. What is read, what is shown, and what the browser asks for."""

from __future__ import annotations

import http.server
import io
import re
import threading
import tracemalloc

import numpy as np
import pytest
import xarray as xr
from playwright.sync_api import expect

from twinkit import TwinError, assemble, view
from twinkit.view import _points, _pyramid, _tiles
from twinkit.view._pyramid import Pyramid, Window
from twinkit.vocabulary import LANGUAGES

HOSTILE = "<script>alert(1)</script>$$x$$ @x \\[y\\]\u202e"


def surface(values, name="rsrp", *, step=30.0, origin=0.0, **attrs):
    rows, columns = np.shape(values)
    coords = {"y": origin + np.arange(rows) * step, "x": origin + np.arange(columns) * step}
    return xr.DataArray(values, dims=("y", "x"), coords=coords, name=name, attrs=attrs)


def drive(count, *, seed=1):
    """Readings along a road whose level falls to the east."""
    rng = np.random.default_rng(seed)
    x, y = 10e3 * rng.random(count), 5e3 + 500 * rng.standard_normal(count)
    return xr.DataArray(-70 - x / 400, {"x": ("sample", x), "y": ("sample", y)}, "sample", name="rsrp")


@pytest.fixture
def twin():
    places = xr.Dataset(
        {
            "x": ("place", [3e3, 9e3]),
            "y": ("place", [3e3, 9e3]),
            "name": ("place", np.array([HOSTILE, "Theog"], dtype=object)),
            "population": ("place", [4000.0, 5000.0]),
        },
        {"place": ["1", "2"]},
    )
    sites = xr.Dataset({"x": ("site", [5e3]), "y": ("site", [5e3])}, {"site": ["a<b>"]})
    return assemble({"places": places, "sites": sites}, title="plain", crs="EPSG:32643")


@pytest.fixture
def counted():
    """A lazy map of 4 000 × 4 000 pixels that says which blocks were read."""
    import dask.array as da

    read = []

    def block(block_info=None):
        where = tuple(block_info[None]["array-location"])
        read.append(where)
        y, x = (np.arange(*w, dtype=np.float32) for w in where)
        return y[:, None] + 1e-3 * x[None, :]

    n, chunk = 4000, 500
    chunks = ((chunk,) * (n // chunk),) * 2
    data = da.map_blocks(block, chunks=chunks, dtype=np.float32, meta=np.empty((0, 0), np.float32))
    coords = {"y": np.arange(n) * 30.0, "x": np.arange(n) * 30.0}
    return xr.DataArray(data, dims=("y", "x"), coords=coords, name="ground_height"), read


# ---------------------------------------------------------------- what is read


def test_a_window_holds_the_means_of_what_lies_there():
    values = np.random.default_rng(1).random((1300, 1700))
    tower = Pyramid(surface(values))
    assert tower.extent == (-15.0, 1700 * 30 - 15.0, -15.0, 1300 * 30 - 15.0)
    for pixels in ((1300, 1700), (400, 500), (90, 120)):
        window = tower.window((3000.0, 30000.0, 6000.0, 24000.0), pixels)
        f = window.factor
        left, right, bottom, top = ((e + 15) / 30 for e in window.extent)
        part = values[round(bottom) : round(top), round(left) : round(right)]
        rows, columns = (n // f for n in part.shape)
        means = part[: rows * f, : columns * f].reshape(rows, f, columns, f).mean((1, 3))
        np.testing.assert_allclose(window.values[:rows, :columns], means, rtol=2e-6)
        # all that was asked for is there
        assert window.extent[0] <= 3000
        assert window.extent[1] >= 30000


@pytest.mark.parametrize("pixels", [(50, 50), (600, 800), (1080, 1920)])
@pytest.mark.parametrize("share", [1.0, 0.4, 0.1, 0.01])
def test_as_many_pixels_as_the_screen_has(pixels, share):
    tower = Pyramid(surface(np.zeros((3000, 4000), np.float32)))
    left, right, bottom, top = tower.extent
    window = tower.window((left, left + share * (right - left), bottom, bottom + share * (top - bottom)), pixels)
    for n, screen in zip(window.values.shape, pixels, strict=True):
        assert n <= max(_pyramid.BLUR * screen, _pyramid.TOP) + 2
        assert n >= 0.55 * screen / 1.34 or window.factor == 1


def test_lazy_and_in_memory_are_the_same(counted):
    lazy, _ = counted
    small = lazy.isel(y=slice(0, 1111), x=slice(7, 1500))
    ours, theirs = Pyramid(small, memory=1e6), Pyramid(small.compute())
    assert ours._finest > 1
    for extent in (theirs.extent, (5e3, 9e3, 2e4, 2.4e4), (4.4e4, 9e4, 3.2e4, 9e4)):
        for pixels in ((30, 40), (300, 400), (3000, 4000)):
            a, b = ours.window(extent, pixels), theirs.window(extent, pixels)
            assert a.extent == b.extent
            np.testing.assert_allclose(a.values[:-1, :-1], b.values[:-1, :-1], rtol=1e-6)
            # at the edge of the map a group of few pixels is a mean of means, and of which ones differs
            np.testing.assert_allclose(a.values, b.values, atol=a.factor / 2)


def test_of_a_lazy_map_only_the_blocks_in_view_are_read(counted):
    layer, read = counted
    tower = Pyramid(layer, memory=8e6)
    assert read == []  # a tower that nobody looks at reads nothing
    assert tower.overview.factor == 8
    assert len(read) == 64  # once, for all coarse levels
    read.clear()
    tower.window(tower.extent, (500, 500))
    assert read == []
    tower.window((30_000.0, 42_000.0, 30_000.0, 42_000.0), (400, 400))  # four hundred pixels, in one block or four
    assert 1 <= len(read) <= 4
    read.clear()
    tower.window((30_600.0, 42_600.0, 30_000.0, 42_000.0), (400, 400))  # a small pan: seen before
    assert len(read) <= 2


def test_panning_a_large_lazy_map_needs_little_memory():
    import dask.array as da

    n = 6000
    data = da.random.default_rng(1).random((n, n), chunks=500)  # 288 MB
    axis = np.arange(n) * 30.0
    layer = xr.DataArray(data, {"y": axis, "x": axis}, ("y", "x"), name="ground_height")
    Pyramid(layer.isel(y=slice(0, 600), x=slice(0, 600))).window((0.0, 9e3, 0.0, 9e3), (9, 9))  # imports
    tracemalloc.start()
    try:
        tower = Pyramid(layer)
        assert tower.overview.values.size < 1e6
        for share in np.linspace(0, 0.9, 8):
            left = share * n * 30
            window = tower.window((left, left + 0.1 * n * 30, left, left + 0.1 * n * 30), (600, 800))
            assert window.factor == 1
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 120e6


def test_what_is_kept_is_bounded(counted):
    layer, _ = counted
    tower = Pyramid(layer, memory=4e6)
    for i in range(12):
        for j in range(12):
            tower.window((i * 9e3, i * 9e3 + 12e3, j * 9e3, j * 9e3 + 12e3), (400, 400))
    kept = sum(v.nbytes for v in [*tower._levels.values(), *tower._squares.values()])
    assert kept <= 4e6


def test_unknown_pixels_do_not_spread():
    values = np.ones((1024, 1024))
    values[::2] = np.nan
    window = Pyramid(surface(values)).window((0.0, 3e4, 0.0, 3e4), (100, 100))
    assert window.factor > 1
    np.testing.assert_array_equal(window.values, 1.0)
    values[:512] = np.nan
    assert np.isnan(Pyramid(surface(values)).overview.values[:200]).all()


def test_classes_are_not_averaged():
    values = np.where(np.arange(1600) < 800, 1, 5)[None].repeat(1600, axis=0).astype(np.int8)
    tower = Pyramid(surface(values, "clutter"), classes=True)
    assert set(np.unique(tower.overview.values)) == {1, 5}


def test_axes_that_fall_are_turned():
    array = surface(np.random.default_rng(1).random((900, 700)))
    up, down = (Pyramid(a).window((3e3, 9e3, 3e3, 9e3), (60, 60)) for a in (array, array.isel(y=slice(None, None, -1))))
    np.testing.assert_array_equal(up.values, down.values)
    assert up.extent == down.extent


@pytest.mark.parametrize("extent", [(-9e9, -8e9, 0.0, 1e3), (1e7, 2e7, 1e7, 2e7), (-1e300, 1e300, -1e300, 1e300)])
def test_off_the_map_there_is_nothing_and_nothing_breaks(extent, counted):
    for layer in (surface(np.ones((50, 60))), counted[0]):
        window = Pyramid(layer).window(extent, (400, 400))
        assert window.values.size == 0 or extent[1] == 1e300


# ---------------------------------------------------------------- readings


def test_few_readings_are_drawn_and_many_are_averaged():
    points = _points.Points(drive(200_000))
    few = points.window((0.0, 200.0, 0.0, 1e4), (400, 600))
    assert len(few) == 3
    assert len(few[0]) == np.sum(drive(200_000).x < 200) < _points.APART
    many = points.window(points.extent, (400, 600))
    assert isinstance(many, Window)
    known = np.isfinite(many.values)
    # each pixel shows the level where it lies, and only the road has pixels
    x = many.extent[0] + (np.arange(600) + 0.5) / 600 * (many.extent[1] - many.extent[0])
    expected = np.broadcast_to(-70 - x / 400, known.shape)
    np.testing.assert_allclose(many.values[known], expected[known], atol=0.2)
    assert known.mean() < 0.9


def test_a_single_reading_far_away_is_seen():
    values = drive(10_000)
    far = values.isel(sample=[0]).assign_coords(x=("sample", [50e3]))
    points = _points.Points(xr.concat([values, far], "sample"))
    window = points.window(points.extent, (400, 600))
    assert np.isfinite(window.values[:, 570:]).sum() >= 4


def test_readings_without_a_place_are_left_out_and_none_at_all_is_one_message():
    values = drive(10)
    values.x.values[3] = np.nan
    assert len(_points.Points(values).x) == 9
    with pytest.raises(TwinError, match="at least one reading"):
        _points.Points(values * np.nan)
    with pytest.raises(TwinError, match="that are numbers"):
        _points.Points(values.astype(str))


# ---------------------------------------------------------------- the map


def test_the_view_moves_and_the_picture_follows(twin):
    values = np.add.outer(np.arange(1000.0), np.zeros(1000))
    shown = view.panned(surface(values, "ground_height"), twin=twin)
    assert shown.view[0] <= -15
    assert shown.view[1] >= 1000 * 30 - 15
    image = shown._renderers.image.data_source.data
    assert image["x"] == [-15.0]
    shown.look((3000.0, 6000.0, 15000.0, 18000.0))
    image = shown._renderers.image.data_source.data
    # rows 500 to 600, with what the shape of the screen adds
    assert 450 < float(np.mean(image["image"][0])) < 650
    before = shown.view
    shown.move(up=0.5)
    assert shown.view[2] == pytest.approx((before[2] + before[3]) / 2)
    shown.move(closer=2.0)
    assert shown.view[1] - shown.view[0] == pytest.approx((before[1] - before[0]) / 2)
    for _ in range(60):
        shown.move(closer=0.1)
    assert shown.view[1] - shown.view[0] < 10 * 30e3
    for _ in range(60):
        shown.move(closer=10.0)
    assert shown.view[1] - shown.view[0] >= 2.0


def test_a_kilometre_is_as_long_north_as_east_whatever_the_window():
    shown = view.panned(surface(np.ones((100, 300))))
    for width, height in ((1400, 500), (300, 500), (700, 700)):
        shown.plot.trigger("inner_width", None, width)
        shown.plot.trigger("inner_height", None, height)
        left, right, bottom, top = shown.view
        assert (right - left) / width == pytest.approx((top - bottom) / height)
        assert left <= -15
        assert right >= 300 * 30 - 15


def test_what_a_browser_may_send_changes_nothing_else():
    from bokeh.events import RangesUpdate

    shown = view.panned(surface(np.ones((100, 100))))
    for wrong in ((None, 1, 2, 3), (np.nan, 1, 2, 3), (5, 1, 2, 3), ("a", "b", "c", "d")):
        before = shown.view
        shown._ranged(RangesUpdate(shown.plot, **dict(zip(("x0", "x1", "y0", "y1"), wrong, strict=True))))
        assert shown.view == before
    shown._ranged(RangesUpdate(shown.plot, x0=0.0, x1=300.0, y0=0.0, y1=300.0))
    assert shown.view == (0.0, 300.0, 0.0, 300.0)


@pytest.mark.parametrize(
    ("layer", "unit"),
    [
        (surface(np.linspace(-130, -60, 2500).reshape(50, 50)), "dBm"),
        (surface(np.eye(50) * 40, "people", step=100.0), "people/km²"),
        (surface(np.eye(50) > 0, "covered"), ""),
        (surface(np.arange(2500).reshape(50, 50) % 6, "clutter"), ""),
        (surface(np.full((5, 5), np.nan)), "dBm"),
        (surface(np.ones((1, 1))), "dBm"),
        (drive(500), "dBm"),
    ],
    ids=["numbers", "people", "truths", "classes", "nothing", "pixel", "readings"],
)
@pytest.mark.parametrize("language", LANGUAGES)
def test_every_layer_has_a_legend_and_words(layer, unit, language, twin):
    shown = view.panned(layer, twin=twin, language=language)
    assert shown.colours.unit == unit
    assert "{" not in shown._sentence()
    if layer.size > 25:
        assert shown.colours.ticks
    if language == "fa":
        assert all(not re.search("[0-9]", text) for _, text in shown.colours.ticks)
        assert 'dir="rtl"' in shown._sentence()


def test_people_are_shown_on_a_square_kilometre():
    shown = view.panned(surface(np.full((50, 50), 3.0), "people", step=100.0))
    np.testing.assert_allclose(shown._renderers.image.data_source.data["image"][0], 300.0)


def test_what_lies_at_the_threshold_is_grey():
    shown = view.panned(surface([[-105.0, -104.99], [-130.0, -60.0]]), threshold=-105)
    assert shown.colours.mapper.low > -105
    assert shown.colours.mapper.low < -104.99
    assert "-105 dBm" in shown.colours.below


def test_the_still_picture_tells_the_same_without_a_second_look(counted, twin):
    layer, read = counted
    shown = view.panned(layer, twin=twin, title="hills")
    read.clear()
    figure = shown.figure
    assert read == []
    assert "120 by 120 km" in figure.alt
    assert figure.title == "hills"
    assert figure.table.population.values.tolist() == [5000, 4000]
    readings = view.panned(drive(300)).figure
    assert "Map of 300 readings" in readings.alt
    assert float(readings.table.readings_share.sum()) == pytest.approx(1)


def test_hostile_text_is_shown_and_never_obeyed(twin):
    layer = surface(np.eye(40), "made_up", long_name=HOSTILE, units="<i>")
    shown = view.panned(layer, twin=twin, title=HOSTILE, attribution=HOSTILE)
    assert "$$" not in shown.colours.what
    from panel.pane import HTML

    texts = [pane.object for pane in shown.__panel__().select(HTML)]
    assert not any("<script" in t or "\u202e" in t for t in texts)
    assert any("&lt;script&gt;" in t for t in texts)
    names = [r.data_source.data.get("name", []) for r in shown.plot.renderers]
    assert not any("$$" in n or "\u202e" in n for found in names for n in found)
    from bokeh.models import HoverTool

    told = [tool.tooltips for tool in shown.plot.select(HoverTool)]
    # the template has columns of its own alone, and tags of its own alone
    assert all(set(re.findall("[@$]\\w+", t)) <= {"@image", "@value", "@site"} for t in told)
    assert all(set(re.findall("<(\\w+)", t)) == {"div", "b"} for t in told)


@pytest.mark.parametrize(
    ("given", "choices", "word"),
    [
        (np.eye(3), {}, "a ndarray"),
        (surface(np.eye(3)).isel(y=0), {}, "dims and coordinates"),
        (surface(np.eye(3)).isel(y=slice(0)), {}, "with pixels"),
        (surface(np.eye(3)), {"language": "de"}, "en, hi, fr, fa"),
        (surface(np.eye(3)), {"tiles": "http://127.0.0.1/{Z}/{X}/{Y}"}, "whose CRS says"),
    ],
)
def test_bad_input_is_one_message(given, choices, word):
    with pytest.raises(TwinError, match=word):
        view.panned(given, **choices)


@pytest.mark.parametrize("tiles", ["http://127.0.0.1/{Z}/{X}", "file:///etc/{Z}/{X}/{Y}", ""])
def test_an_address_of_tiles_is_an_address(tiles, twin):
    with pytest.raises(TwinError, match="an address with"):
        view.panned(surface(np.eye(3)), twin=twin, tiles=tiles)


def test_in_a_notebook_no_sheet_comes_from_another_server(monkeypatch):
    """What Panel would send: no address of another server, at first and when the words below the map change."""
    from bokeh.models.ui import UIElement

    monkeypatch.setenv("BOKEH_RESOURCES", "cdn")  # where a notebook would load from
    shown = view.panned(surface(np.ones((50, 50))), title="flat")
    root = shown.__panel__().get_root()

    def urls():
        return [str(getattr(s, "url", "")) for m in root.select({"type": UIElement}) for s in m.stylesheets]

    assert not any("://" in u for u in urls())
    before = shown._told.object
    shown.move(closer=2.0)
    assert shown._told.object != before
    assert not any("://" in u for u in urls())


# ---------------------------------------------------------------- the base map


@pytest.fixture
def server():
    """A tile server on loopback: each tile in the colour of its column and row; it remembers what it was asked."""
    from PIL import Image

    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            if self.server.answer != 200:
                self.send_error(self.server.answer)
                return
            zoom, column, row = (int(n) for n in re.findall(r"\d+", self.path))
            data = self.server.body
            if data is None:
                stream = io.BytesIO()
                Image.new("RGB", (256, 256), (column % 256, row % 256, zoom)).save(stream, "PNG")
                data = stream.getvalue()
            self.send_response(200)
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        running.answer, running.body, running.asked = 200, None, asked
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def address(server):
    return f"http://127.0.0.1:{server.server_port}/{{Z}}/{{X}}/{{Y}}.png"


def test_a_base_map_lies_where_the_twin_lies(server):
    tiles = _tiles.Tiles(address(server), crs="EPSG:32643")
    extent, pixels = (700e3, 760e3, 3.44e6, 3.48e6), (200, 300)
    picture = tiles.picture(extent, pixels)
    colours = np.ascontiguousarray(picture).view(np.uint8).reshape(*pixels, 4)
    assert (colours[..., 3] == 255).all()
    from pyproj import Transformer

    there = Transformer.from_crs("EPSG:32643", "EPSG:4326", always_xy=True)
    zoom = int(colours[0, 0, 2])
    for row, column in ((0, 0), (199, 299), (77, 131), (199, 0)):
        # the tile in which a place lies, by the formula of the slippy map
        x = extent[0] + (column + 0.5) / 300 * 60e3
        y = extent[2] + (row + 0.5) / 200 * 40e3
        longitude, latitude = np.radians(there.transform(x, y))
        expected = (
            2**zoom * (longitude / np.pi + 1) / 2,
            2**zoom * (1 - np.arcsinh(np.tan(latitude)) / np.pi) / 2,
        )
        if all(0.01 < e % 1 < 0.99 for e in expected):  # not on the seam of two tiles
            assert tuple(colours[row, column, :2]) == tuple(int(e) % 256 for e in expected)
    before = len(server.asked)
    tiles.picture(extent, pixels)
    assert len(server.asked) == before <= _tiles.MOST


def test_without_an_answer_there_is_no_base_map_and_one_question(server, twin):
    server.answer = 503
    layer = surface(np.ones((100, 100)), origin=7e5)
    shown = view.panned(layer, twin=twin, tiles=address(server), attribution="somebody")
    assert len(server.asked) == 1
    shown.move(right=0.1)
    shown.move(right=0.1)
    assert len(server.asked) == 1
    assert shown._renderers.base.data_source.data["image"] == []
    assert shown._renderers.image.glyph.global_alpha == 1.0
    assert not shown._renderers.credit.visible


@pytest.mark.parametrize("body", [b"", b"not a picture", b"\x89PNG\r\n\x1a\n" + b"\0" * 100, b"x" * 3_000_000])
def test_an_answer_that_is_no_tile_leaves_a_gap(server, body):
    server.body = body
    picture = _tiles.Tiles(address(server), crs="EPSG:32643").picture((7e5, 7.1e5, 3.4e6, 3.41e6), (100, 100))
    assert not picture.any()


def test_nobody_is_asked_unless_told_to(monkeypatch, twin):
    import requests

    def never(*_, **__):
        raise AssertionError("a request that nobody asked for")

    monkeypatch.setattr(requests.Session, "request", never)
    shown = view.panned(surface(np.ones((100, 100))), twin=twin)
    shown.move(right=0.3)
    assert shown._renderers.base is None


def test_with_a_base_map_the_layer_lets_it_through(server, twin):
    layer = surface(np.ones((100, 100)), origin=7e5)
    shown = view.panned(layer, twin=twin, tiles=address(server), attribution="somebody")
    assert shown._renderers.base.data_source.data["image"][0].dtype == np.uint32
    assert shown._renderers.image.glyph.global_alpha < 1
    assert shown._renderers.credit.visible
    assert shown._renderers.credit.text == "somebody"


# ---------------------------------------------------------------- in a browser


def test_pan_zoom_and_keys_in_a_browser(looking, axe, free_port, twin):
    """One server, one page: drag, wheel and keys change what is in view, and no request leaves the machine."""
    import panel as pn

    layer = surface(np.random.default_rng(1).random((2000, 2000)).astype(np.float32) * 100, "ground_height")
    made = []

    def page():
        made.append(view.panned(layer, twin=twin, title=HOSTILE))
        return made[-1].__panel__()

    port = free_port()
    server = pn.serve({"map": page}, port=port, address="127.0.0.1", show=False, threaded=True, verbose=False)
    try:
        tab = looking(f"http://127.0.0.1:{port}/map", width=900, height=900)
        told = tab.get_by_role("status")
        told.wait_for()
        tab.wait_for_timeout(800)

        def after(act):
            before = told.inner_text()
            act()
            waited(lambda: told.inner_text() != before)
            return made[-1].view

        def waited(condition):
            for _ in range(1200):
                if condition():
                    return
                tab.wait_for_timeout(50)
            raise AssertionError("nothing changed within a minute")

        whole = made[-1].view
        tab.get_by_role("button", name="closer").focus()
        near = after(lambda: tab.keyboard.press("Enter"))
        assert near[1] - near[0] < 0.6 * (whole[1] - whole[0])
        middle = 450, 330
        tab.mouse.move(*middle)
        wheeled = after(lambda: tab.mouse.wheel(0, -300))
        assert wheeled[1] - wheeled[0] < near[1] - near[0]
        tab.mouse.down()
        tab.mouse.move(middle[0] + 200, middle[1], steps=5)
        tab.mouse.up()
        waited(lambda: made[-1].view[0] < wheeled[0])
        assert made[-1].view[1] - made[-1].view[0] == pytest.approx(wheeled[1] - wheeled[0])
        tab.get_by_role("button", name="whole map").focus()
        again = after(lambda: tab.keyboard.press("Space"))
        assert again == pytest.approx(whole, rel=1e-3)
        tab.get_by_text("The numbers").click()
        expect(tab.get_by_role("table").first).to_be_visible()
        # the frame around it is Panel's own page here, without a language
        assert axe(tab, rules={"html-has-lang": {"enabled": False}}) == []
    finally:
        server.stop()
