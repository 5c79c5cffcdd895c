"""Land cover of Zion on grids in other CRS: against GDAL's own warp, against a second legend, and bad files."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import twinkit as tk
from twinkit.error import TwinError
from twinkit.radio.land_cover import HEIGHTS, NLCD, NLCD_GROUPS, WORLDCOVER, land_cover

rasterio = pytest.importorskip("rasterio")


def twin(x, y, *, crs="EPSG:32612", step=100.0, shape=(120, 90)):
    surface = xr.Dataset(
        {"ground_height": (("y", "x"), np.zeros(shape, np.float32))},
        {"y": y + step * np.arange(shape[0]), "x": x + step * np.arange(shape[1])},
    )
    return tk.assemble({"surface": surface}, title="Zion", crs=crs)


ZION = (315_000.0, 4_125_000.0)  # in UTM 12N


def raster(path, codes, *, crs="EPSG:26912", dtype="uint8", nodata=None, count=1, size=30.0):
    codes = np.asarray(codes, dtype)
    transform = rasterio.Affine(size, 0, ZION[0] - 1000, 0, -size, ZION[1] + 1000 + size * codes.shape[0])
    kwargs = {"height": codes.shape[0], "width": codes.shape[1], "count": count, "dtype": dtype, "nodata": nodata}
    with rasterio.open(path, "w", driver="GTiff", crs=crs, transform=transform, **kwargs) as file:
        for band in range(count):
            file.write(codes, band + 1)
    return path


def warped(file, there, *, resampling, src_crs=None):
    """The codes of the file on the twin's grid, by GDAL."""
    from rasterio.warp import reproject

    surface = there["surface"]
    step = float(surface.x[1] - surface.x[0])
    left, top = float(surface.x[0]) - step / 2, float(surface.y[-1]) + step / 2
    transform = rasterio.Affine(step, 0, left, 0, -step, top)
    out = np.zeros((surface.sizes["y"], surface.sizes["x"]), np.uint8)
    with rasterio.open(file) as source:
        reproject(
            source.read(1),
            out,
            src_transform=source.transform,
            src_crs=src_crs or source.crs,
            src_nodata=255,
            dst_transform=transform,
            dst_crs=there.attrs["crs"],
            resampling=resampling,
        )
    return out[::-1]


@pytest.mark.parametrize(
    ("crs", "corner"), [("EPSG:32612", ZION), ("EPSG:32611", (846_000.0, 4_135_000.0)), ("EPSG:26912", ZION)]
)
def test_each_pixel_has_the_class_that_gdal_finds(testdata, crs, corner):
    there = twin(*corner, crs=crs, step=20.0)
    file = testdata("zion/nlcd.tif")
    found = land_cover(there, file, classes=NLCD_GROUPS).compute()
    codes = warped(file, there, resampling=rasterio.enums.Resampling.nearest)
    expected = np.vectorize({0: 0, **NLCD_GROUPS}.get)(codes)
    # GDAL's warp is approximate by an eighth of a pixel, so that some pixels on edges differ
    assert (found.clutter.values == expected).mean() > 0.995
    assert set(np.unique(found.clutter)) >= {2, 4}
    np.testing.assert_array_equal(found.clutter_height, np.vectorize(HEIGHTS.get)(found.clutter.values))


def test_a_coarse_pixel_takes_the_class_that_covers_most_of_it(testdata):
    there = twin(*ZION, step=250.0, shape=(60, 50))
    file = testdata("zion/nlcd.tif")
    found = land_cover(there, file, classes=NLCD_GROUPS).compute()
    with rasterio.open(file) as source:
        fine, spot = source.read(1), ~source.transform
    kinds = np.vectorize({255: 0, **NLCD_GROUPS}.get)(fine)
    agreed, heights = [], []
    for j in range(0, 60, 7):
        for i in range(0, 50, 7):
            # the datums differ by less than a metre here, so that the box may be cut in the map's own CRS
            x, y = float(there["surface"].x[i]), float(there["surface"].y[j])
            left, top = spot @ (x - 125, y + 125)
            right, bottom = spot @ (x + 125, y - 125)
            box = kinds[round(top) : round(bottom), round(left) : round(right)].ravel()
            agreed.append(np.bincount(box, minlength=6).argmax() == found.clutter.values[j, i])
            heights.append((np.vectorize(HEIGHTS.get)(box).mean(), found.clutter_height.values[j, i]))
    assert np.mean(agreed) > 0.9
    ours, theirs = np.array(heights).T
    assert np.abs(ours - theirs).mean() < 0.7


def test_a_crs_that_is_not_made_for_the_place_is_noticed_and_can_be_corrected(testdata):
    there = twin(*ZION, step=30.0)
    # the same raster with its full legend, whose CRS lost its datum and reads as one of Mexico
    with pytest.raises(TwinError, match=r"6367.*Mexico"):
        land_cover(there, testdata("zion/nlcd2011.tif"), classes=NLCD)
    full = land_cover(there, testdata("zion/nlcd2011.tif"), classes=NLCD, crs="EPSG:26912").compute()
    groups = land_cover(there, testdata("zion/nlcd.tif"), classes=NLCD_GROUPS).compute()
    # developed land is one group there and four classes here: elsewhere both legends say the same
    same = groups.clutter.values != 3
    same &= ~np.isin(groups.clutter.values, [4, 2]) | (full.clutter.values == groups.clutter.values)
    wet = warped(testdata("zion/nlcd.tif"), there, resampling=rasterio.enums.Resampling.nearest) == 8
    assert ((full.clutter.values == groups.clutter.values) | (groups.clutter.values == 3) | wet).mean() > 0.999


def test_tiles_stay_lazy_and_give_the_same_as_the_whole(testdata):
    file = testdata("zion/nlcd.tif")
    there = twin(*ZION, step=40.0, shape=(700, 600))
    found = land_cover(there, file, classes=NLCD_GROUPS)
    assert len(found.clutter.data.to_delayed().ravel()) > 1
    part = twin(ZION[0] + 400 * 40.0, ZION[1] + 500 * 40.0, step=40.0, shape=(100, 100))
    alone = land_cover(part, file, classes=NLCD_GROUPS)
    np.testing.assert_array_equal(alone.clutter, found.clutter[500:600, 400:500])


def test_the_stage_keeps_its_contract(testdata):
    tk.contract.check(land_cover, twin(*ZION), str(testdata("zion/nlcd.tif")), classes=NLCD_GROUPS)


def test_what_the_map_does_not_hold_is_unknown(tmp_path):
    codes = np.full((80, 80), 41)
    codes[:, :40] = 0
    file = raster(tmp_path / "half.tif", codes, nodata=0)
    found = land_cover(twin(*ZION, step=30.0, shape=(100, 100)), file, classes=NLCD).compute()
    assert (found.clutter[:, 80:] == 0).all()  # beyond the map
    assert set(np.unique(found.clutter)) == {0, 4}
    assert (found.clutter_height.values[found.clutter.values == 0] == 0).all()
    assert found.clutter.attrs["provenance"] == "measured: half.tif (EPSG:26912)"


def test_tables_fit_their_legends(tmp_path):
    for table in (NLCD, NLCD_GROUPS, WORLDCOVER):
        codes = np.resize(np.array(list(table), np.uint8), (80, 80))
        found = land_cover(twin(*ZION), raster(tmp_path / "all.tif", codes), classes=table).compute()
        assert set(np.unique(found.clutter)) <= {0, *table.values()}


@pytest.mark.parametrize(
    ("make", "choices", "word"),
    [
        ({}, {"classes": {}}, "codes"),
        ({}, {"classes": {41: 7}}, "classes from 0 to 5"),
        ({}, {"classes": {11: 1}}, "code 41"),
        ({}, {"heights": {4: 900.0}}, "300 m"),
        ({}, {"heights": {2: 0.0}}, "none for class"),
        ({"crs": None}, {}, "CRS"),
        ({}, {"crs": "EPSG:banana"}, "CRS"),
        ({"crs": "EPSG:32743"}, {}, "overlaps|fits"),
        ({}, {"crs": "EPSG:32615"}, "overlaps"),
        ({"dtype": "float32"}, {}, "whole-number"),
        ({"count": 3}, {}, "3 bands"),
    ],
)
@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_bad_maps_and_tables_are_one_clear_error(tmp_path, make, choices, word):
    file = raster(tmp_path / "map.tif", np.full((80, 80), 41), **make)
    with pytest.raises(TwinError, match=word):
        land_cover(twin(*ZION), file, **({"classes": NLCD} | choices))


def test_files_that_are_no_maps(tmp_path):
    with pytest.raises(TwinError, match="readable"):
        land_cover(twin(*ZION), tmp_path / "nowhere.tif", classes=NLCD)
    (tmp_path / "text.tif").write_text("II*")
    with pytest.raises(TwinError, match="readable"):
        land_cover(twin(*ZION), tmp_path / "text.tif", classes=NLCD)
    whole = raster(tmp_path / "map.tif", np.full((400, 400), 41)).read_bytes()
    (tmp_path / "cut.tif").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(TwinError, match="readable"):
        land_cover(twin(*ZION), tmp_path / "cut.tif", classes=NLCD)


@pytest.mark.parametrize("name", ["map.vrt", "map.tif"])
def test_a_file_that_names_another_is_refused(tmp_path, name):
    hidden = raster(tmp_path / "hidden.tif", np.full((80, 80), 41))
    with rasterio.open(hidden) as source:
        there = ", ".join(map(repr, source.transform.to_gdal()))
    (tmp_path / name).write_text(
        f"""<VRTDataset rasterXSize="80" rasterYSize="80"><SRS>EPSG:26912</SRS><GeoTransform>{there}</GeoTransform>
        <VRTRasterBand dataType="Byte" band="1"><SimpleSource>
        <SourceFilename relativeToVRT="0">{hidden}</SourceFilename><SourceBand>1</SourceBand>
        </SimpleSource></VRTRasterBand></VRTDataset>"""
    )
    with rasterio.open(tmp_path / name) as source:  # GDAL would follow it
        assert source.driver == "VRT"
        assert (source.read(1) == 41).all()
    with pytest.raises(TwinError, match="a readable GeoTIFF") as caught:
        land_cover(twin(*ZION), tmp_path / name, classes=NLCD)
    assert "gdal_translate" in caught.value.hint
