"""The twin stays a plain tree: nothing is changed in place, and what is wrong with one is named."""

import numpy as np
import pytest
import xarray as xr

from twinkit import TwinError, assemble, axis, extend, tiles, validate


def test_assembled_variables_are_stamped_and_attributes_stand_at_the_root(small_twin):
    twin = small_twin()
    assert twin["surface/ground_height"].attrs["units"] == "m"
    assert twin["cells/frequency"].attrs["units"] == "Hz"
    assert twin["surface/x"].attrs["units"] == "m"
    assert twin.attrs["crs"] == "EPSG:32643"
    assert twin.attrs["seed"] == 1


def test_provenance_survives_the_stamp():
    height = xr.DataArray([3.0], dims="site", attrs={"provenance": "measured: by hand"})
    twin = assemble({"sites": xr.Dataset({"height": height}, {"site": ["a"]})}, title="", crs="EPSG:32643")
    assert twin["sites/height"].attrs["provenance"] == "measured: by hand"


def test_extend_changes_nothing_in_place(small_twin):
    twin = small_twin()
    before = twin.copy(deep=True)
    new = extend(twin, sites=xr.Dataset({"power_source": ("site", ["grid"] * 4)}, {"site": twin["sites/site"].values}))
    assert twin.identical(before)
    assert "power_source" in new["sites"]
    assert "height" in new["sites"]
    assert new["surface/people"].data is twin["surface/people"].data, "arrays are shared, not copied"


def test_another_index_replaces_the_node(small_twin):
    twin = extend(small_twin(), places=xr.Dataset({"population": ("place", [10.0])}, {"place": ["z"]}))
    assert list(twin["places"].data_vars) == ["population"]


def test_extend_takes_named_arrays_and_refuses_others(small_twin):
    twin = small_twin()
    rsrp = xr.DataArray(np.zeros((40, 40)), dims=("y", "x"), name="rsrp")
    assert extend(twin, coverage=rsrp)["coverage/rsrp"].attrs["units"] == "dBm"
    with pytest.raises(TwinError, match="without a name"):
        extend(twin, coverage=rsrp.rename(None))
    with pytest.raises(TwinError, match="a dict"):
        extend(twin, coverage={"rsrp": rsrp})
    with pytest.raises(TwinError, match="unit 'W'"):
        extend(twin, coverage=rsrp.assign_attrs(units="W"))
    with pytest.raises(TwinError, match=r"an xarray\.DataTree"):
        extend(twin["sites"].to_dataset(), coverage=rsrp)


def site(**columns):
    ids = columns.pop("ids", ["a", "b"])
    return xr.Dataset({k: ("site", v) for k, v in columns.items()}, {"site": ids})


CELLS = xr.Dataset({"site": ("cell", ["a", "q"])}, {"cell": ["a1", "q1"]})

BAD = {
    "an id twice": ({"sites": site(height=[1.0, 2.0], ids=["a", "a"])}, "'a' more than once"),
    "a stranger": ({"sites": site(height=[1.0, 2.0]), "cells": CELLS}, "found 'q'"),
    "no sites at all": ({"cells": CELLS}, "found 'a' and 1 more"),
    "too high": ({"sites": site(height=[30.0, 4000.0])}, "4000 at site 'b'"),
    "infinite": ({"sites": site(x=[0.0, np.inf])}, "inf at site 'b'"),
    "text for numbers": ({"sites": site(height=["30", "20"])}, "<U2 values"),
    "swapped degrees": ({"places": xr.Dataset({"latitude": ("place", [103.0])}, {"place": ["p"]})}, "103 at place 'p'"),
    "other dims": ({"surface": xr.Dataset({"people": (("x", "time"), [[1.0]])})}, "dims"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_wrong_is_named(case):
    nodes, said = BAD[case]
    with pytest.raises(TwinError, match=said):
        assemble(nodes, title="bad", crs="EPSG:32643")


@pytest.mark.parametrize(
    ("crs", "said"), [("EPSG:4326", "degree"), ("EPSG:99999", "EPSG:99999"), (None, "None"), ("EPSG:2263", "foot")]
)
def test_the_crs_is_in_metres(crs, said):
    with pytest.raises(TwinError, match=said):
        assemble({}, title="bad", crs=crs)


def test_a_deep_tree_and_a_root_with_variables_are_refused():
    deep = xr.DataTree.from_dict({"/": xr.Dataset(attrs={"crs": "EPSG:32643"}), "/a/b": xr.Dataset()})
    with pytest.raises(TwinError, match="nodes below 'a'"):
        validate(deep)
    rooted = xr.DataTree(xr.Dataset({"n": 1}, attrs={"crs": "EPSG:32643"}))
    with pytest.raises(TwinError, match="attributes only at the root"):
        validate(rooted)


def test_values_in_a_graph_are_not_read_by_a_check():
    def never(block):
        raise AssertionError("computed")

    lazy = xr.DataArray(np.zeros((2, 2)), dims=("y", "x")).chunk().map_blocks(lambda b: b)
    lazy = lazy.copy(data=lazy.data.map_blocks(never, meta=np.empty((0, 0))))
    twin = assemble({"surface": xr.Dataset({"people": lazy})}, title="lazy", crs="EPSG:32643")
    assert twin["surface/people"].chunks


def test_a_gap_in_the_data_is_no_fault():
    ground = xr.DataArray([[1.0, np.nan]], dims=("y", "x"))
    assemble({"surface": xr.Dataset({"ground_height": ground})}, title="void", crs="EPSG:32643")


def test_a_lent_axis_keeps_an_outer_difference_in_tiles():
    surface = xr.Dataset(coords={"y": np.arange(4000.0), "x": np.arange(4000.0)})
    mast = xr.DataArray(np.arange(60.0), dims="site").chunk(site=1)
    natural = (mast - surface.x) ** 2 + (mast - surface.y) ** 2
    lent = (mast - axis(surface.x)) ** 2 + (mast - axis(surface.y)) ** 2
    largest = [max(np.prod(c) for c in np.array(np.meshgrid(*a.chunks)).T.reshape(-1, 3)) for a in (natural, lent)]
    assert largest[0] == 4000 * 4000, "xarray has learnt to chunk an index: axis() may go"
    assert largest[1] == 512 * 512
    assert lent.dims == ("site", "x", "y")


def test_tiles_cover_every_pixel_once():
    seen = xr.DataArray(np.zeros((7, 5)), dims=("y", "x"))
    for window in tiles(seen, size=3):
        seen.data[window["y"], window["x"]] += 1
    assert (seen == 1).all()
    with pytest.raises(TwinError, match="at least one pixel"):
        next(tiles(seen, size=0))
    with pytest.raises(TwinError, match="dims y and x"):
        next(tiles(seen.rename(y="row")))
