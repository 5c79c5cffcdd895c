"""People count, not pixels: shares, totals, and the places left behind."""

import numpy as np
import pytest
import xarray as xr

from twinkit import TwinError, assemble, city, extend, stamp


def people(values, **coords):
    return stamp(xr.DataArray(np.asarray(values, float), dims=("y", "x"), coords=coords), "people")


def truth(values, **coords):
    return xr.DataArray(np.asarray(values, bool), dims=("y", "x"), coords=coords)


def test_a_share_of_people_is_no_share_of_pixels():
    where, of = truth([[1, 0, 0, 0]]), people([[70, 10, 10, 10]])
    assert float(city.share(where, of=of)) == 0.7
    assert float(where.mean()) == 0.25


def test_unknown_counts_for_nothing_and_as_untrue():
    rsrp = xr.DataArray([[-90.0, np.nan, -90.0]], dims=("y", "x"))
    assert float(city.share(rsrp > -100, of=people([[1, 1, np.nan]]))) == 0.5
    assert float(city.people_total(people([[1, 1, np.nan]]), where=rsrp > -100)) == 1.0


def test_draws_and_scenarios_stay():
    where = xr.DataArray(np.array([[[True, False]], [[True, True]]]), dims=("draw", "y", "x"))
    got = city.share(where, of=people([[3, 1]]))
    assert got.dims == ("draw",)
    assert got.values.tolist() == [0.75, 1.0]


def test_lazy_in_lazy_out():
    rng = np.random.default_rng(1)
    where, of = truth(rng.random((40, 50)) > 0.5), people(rng.random((40, 50)))
    lazy = city.share(where.chunk(y=7), of=of.chunk(x=11))
    assert lazy.chunks is not None
    assert float(lazy) == pytest.approx(float(city.share(where, of=of)), rel=1e-12)
    total = city.people_total(of.chunk(x=11), where=where)
    assert float(total) == pytest.approx(float(of.where(where).sum()))


def test_large_numbers_are_summed_in_double_precision():
    of = stamp(xr.DataArray(np.full((3000, 1000), 0.1, np.float32), dims=("y", "x")), "people")
    assert float(city.people_total(of)) == pytest.approx(3e6 * float(np.float32(0.1)), rel=1e-12)


AXIS = {"y": [0.0, 10.0], "x": [0.0, 10.0]}

BAD = {
    "levels for a truth": (
        xr.DataArray([[-90.0, -80.0]], dims=("y", "x")),
        people([[1, 1]]),
        "a truth for every pixel",
    ),
    "no map": (0.5, people([[1, 1]]), "a float"),
    "another grid": (truth([[1, 0, 1]]), people([[1, 1]]), "both maps on one grid along x"),
    "another place": (
        truth([[1, 0], [0, 0]], **AXIS),
        people([[1, 1], [1, 1]], y=[0.0, 10.0], x=[5.0, 15.0]),
        "along x",
    ),
    "nobody": (truth([[1, 0]]), people([[0, 0]]), "nobody in any pixel"),
    "no people": (truth([[1, 0]]), xr.DataArray([[1.0, 1.0]], dims=("y", "x"), name="load"), "named 'people'"),
    "thousands": (truth([[1, 0]]), people([[1, 0]]).assign_attrs(units="1000 people"), "unit '1000 people'"),
    "no pixels": (xr.DataArray([True], dims="site"), people([[1, 0]]), "dims y and x"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_counted_is_refused(case):
    where, of, said = BAD[case]
    with pytest.raises(TwinError, match=said):
        city.share(where, of=of)


def test_nobody_in_lazy_data_is_refused_when_it_is_computed():
    got = city.share(truth([[1, 0]]), of=people([[0, 0]]).chunk())
    with pytest.raises(TwinError, match="nobody in any pixel"):
        got.compute()


# ---------------------------------------------------------------- places


@pytest.fixture(scope="module")
def valley():
    """A row of 30 pixels of 1 km; places at 3, 10 and 26 km, and one off the map."""
    x = np.arange(30) * 1000.0
    lived = np.zeros((1, 30))
    lived[0, [2, 3, 4]] = 10, 100, 10
    lived[0, [6, 7]] = 50, 30  # nearer to 3 and to 10 km
    lived[0, 20] = 40  # nobody's within 3 km
    where = {"x": ("place", [3e3, 10e3, 26e3, 99e3]), "y": ("place", [0.0, 0, 0, 0])}
    ids = np.array(list("abcd"), dtype=object)
    told = {"name": ("place", ids), "population": ("place", [120.0, 200.0, 10.0, 5.0])}
    surface = xr.Dataset({"people": (("y", "x"), lived)}, {"y": [0.0], "x": x})
    return assemble(
        {"places": xr.Dataset(where | told, {"place": ids}), "surface": surface}, title="v", crs="EPSG:32643"
    )


def reach(valley, *pixels):
    where = xr.zeros_like(valley["surface/people"], dtype=bool)
    where[0, list(pixels)] = True
    return where.rename("covered")


def test_a_places_people_are_those_nearest_to_it_within_its_radius(valley):
    got = city.served(valley, reach(valley, 3, 6), radius=3000.0)
    # a: 10, 100, 10 and 50 at 3 km; b: 30 at 3 km; c and d: nobody
    np.testing.assert_allclose(got.values, [150 / 170, 0.0, np.nan, np.nan])
    assert got.place.values.tolist() == list("abcd")
    assert "within 3000 m" in got.attrs["assumptions"]
    assert got.attrs["provenance"] == "modelled: covered over people"
    wide = city.served(valley, reach(valley, 20), radius=1e9)
    np.testing.assert_allclose(wide.values, [0, 0, 1, np.nan])


def test_where_nobody_lives_around_the_pixel_of_the_centre_counts(valley):
    surface = valley["surface"].to_dataset()
    lived = surface.people.copy(data=np.where(np.arange(30) == 26, 7.0, 0.0)[None])
    twin = extend(valley, surface=surface.assign(people=lived))
    places = twin["places"].to_dataset()
    near = extend(twin, places=places.assign(x=places.x + 400.0))
    np.testing.assert_allclose(city.served(near, reach(near, 26), radius=100.0).values, [np.nan, np.nan, 1, np.nan])


@pytest.mark.parametrize("chunk", [1, 7, 30])
def test_served_is_the_same_from_lazy_data(valley, chunk):
    where = reach(valley, 2, 3, 7, 20)
    lazy = valley.map_over_datasets(lambda ds: ds.chunk({d: chunk for d in ("x", "place") if d in ds.dims}))
    for radius in (0.0, 3000.0):
        got = city.served(lazy, where.chunk(x=4), radius=radius)
        assert got.chunks is not None
        np.testing.assert_allclose(got.values, city.served(valley, where, radius=radius).values)


def test_the_worst_come_first_and_the_largest_of_equals(valley):
    where = reach(valley, 3)
    told = valley["places"].to_dataset().assign(x=("place", [3e3, 10e3, 20e3, 99e3]))
    twin = extend(valley, places=told)
    worst = city.worst_served(twin, city.served(twin, where, radius=3000.0), most=5)
    assert worst.place.values.tolist() == ["b", "c", "a"]
    assert worst.served.attrs["units"] == "1"
    assert city.worst_served(
        twin, city.served(twin, where, radius=3000.0), most=1, least_population=50
    ).place.values.tolist() == ["b"]


def test_bad_places_are_refused(valley):
    where = reach(valley, 3)
    lost = extend(valley, places=valley["places"].to_dataset().assign(x=("place", [np.nan, 0, 0, 0])))
    with pytest.raises(TwinError, match="a position for every place"):
        city.served(lost, where)
    with pytest.raises(TwinError, match="radius"):
        city.served(valley, where, radius=-1.0)
    with pytest.raises(TwinError, match="choose one"):
        city.served(valley, where.expand_dims(draw=2))
    with pytest.raises(TwinError, match="most"):
        city.worst_served(valley, city.served(valley, where), most=0)
