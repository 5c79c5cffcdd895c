"""A ranking that followed one change after the other shows the map that `coverage` makes anew, bit for bit."""

from functools import partial

import numpy as np
import pytest

import twinkit as tk
from twinkit.error import TwinError
from twinkit.radio.coverage import model_for
from twinkit.radio.ranking import Ranking, Stopped


def short(distance):
    """A model that knows a range, beyond which cells are silent."""
    return 30 + 35 * np.log10(np.maximum(distance, 1.0))


def steps(distance):
    """A model of few levels: many cells are equally strong."""
    return 10 * np.ceil(distance / 3000)


MODELS = {
    "rma": {"path_loss": tk.radio.rma},
    "free space": {"path_loss": tk.radio.free_space},
    "a student's": {"path_loss": short, "farthest": 4000.0},
    "equals": {"path_loss": steps},
    "indoors": {"path_loss": tk.radio.uma, "entry": partial(tk.radio.entry_loss, building="traditional")},
    "P.1812": {"path_loss": tk.radio.p1812, "paths": tk.radio.exact},
    "radials": {"path_loss": tk.radio.p1812, "paths": tk.radio.sweep, "farthest": 6000.0},
}


def model_of(twin, path_loss, **choices):
    whole = {"receiver_height": 1.5, "entry": None, "paths": None, "near": None, "farthest": None} | choices
    return model_for(twin, path_loss, **whole)


def same(ranking, twin, choices):
    made = tk.radio.coverage(twin, **choices)
    np.testing.assert_array_equal(ranking.server, made.server.values)
    np.testing.assert_array_equal(ranking.rsrp, made.rsrp.values)
    if "validity" in made:
        np.testing.assert_array_equal(ranking.validity(), made.validity.values)
    else:
        assert ranking.validity() is None


def changed(twin, rng, whole):
    """Another network on the same ground: one site moved, tuned, taken out, or all as at the beginning."""
    sites, cells = (twin[n].to_dataset() for n in ("sites", "cells"))
    kind = rng.choice(["move", "move", "tune", "remove", "back"])
    if kind == "back" or sites.sizes["site"] < 3:
        return whole
    at = int(rng.integers(sites.sizes["site"]))
    name = sites.site.values[at]
    own = cells.site.values == name
    if kind == "remove":
        kept = cells.isel(cell=np.flatnonzero(~own))
        return tk.extend(twin, sites=sites.drop_sel(site=name), cells=kept)
    if kind == "tune":
        turned = np.where(own, (cells.azimuth.values + 40) % 360, cells.azimuth.values)
        power = np.where(own, cells.transmit_power.values - 3, cells.transmit_power.values)
        more = {"azimuth": cells.azimuth.copy(data=turned), "transmit_power": cells.transmit_power.copy(data=power)}
        return tk.extend(twin, cells=cells.assign(more))
    x = sites.x.values.copy()
    x[at] = rng.uniform(*whole["surface"].x.values[[0, -1]])
    return tk.extend(twin, sites=sites.assign(x=sites.x.copy(data=x)))


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("deep", [1, 2])
def test_a_chain_of_changes_is_exact(small_twin, name, deep):
    choices = MODELS[name]
    over_terrain = "paths" in choices
    twin = whole = small_twin(sites=6, pixels=24 if over_terrain else 150, step=250.0 if over_terrain else 60.0)
    ranking = Ranking(twin, model=model_of(twin, **choices), deep=deep)
    rng = np.random.default_rng(7)
    ranking.follow(twin)
    same(ranking, twin, choices)
    for _ in range(5 if over_terrain else 14):
        twin = changed(twin, rng, whole)
        ranking.follow(twin)
        same(ranking, twin, choices)


def test_new_sites_come_and_go(small_twin):
    twin = small_twin(sites=5, pixels=60)
    spots = tk.plan.candidates(twin, spacing=9000).isel(candidate=[0, 1])
    more = tk.plan.built(twin, spots)
    other = tk.plan.built(twin, spots.isel(candidate=[1]))
    ranking = Ranking(twin, model=model_of(twin, tk.radio.rma))
    for one in (twin, more, other, more, twin, other):
        ranking.follow(one)
        same(ranking, one, {"path_loss": tk.radio.rma})


def test_cells_in_another_order_are_ranked_anew(small_twin):
    twin = small_twin(sites=4, pixels=40)
    turned = tk.extend(twin, cells=twin["cells"].to_dataset().isel(cell=slice(None, None, -1)))
    ranking = Ranking(twin, model=model_of(twin, steps))
    for one in (twin, turned, twin):
        ranking.follow(one)
        same(ranking, one, {"path_loss": steps})


def test_dragging_one_site_asks_the_others_at_most_once(small_twin):
    twin = small_twin(sites=8, pixels=80)
    ranking = Ranking(twin, model=model_of(twin, tk.radio.rma), deep=1)
    ranking.follow(twin)
    sites = twin["sites"].to_dataset()
    asked = []
    for step in range(5):
        x = sites.x.values.copy()
        x[2] += 400.0 * step
        ranking.follow(tk.extend(twin, sites=sites.assign(x=sites.x.copy(data=x))))
        asked.append(ranking.asked)
    assert asked[-1] == asked[1] < 2 * 80 * 80


def test_some_rows_and_columns_are_those_of_the_whole(small_twin):
    twin = small_twin(sites=5, pixels=70)
    every = np.arange(3, 70, 8)
    coarse = Ranking(twin, model=model_of(twin, tk.radio.rma), rows=every, columns=every)
    coarse.follow(twin)
    whole = tk.radio.coverage(twin, path_loss=tk.radio.rma)
    np.testing.assert_array_equal(coarse.rsrp, whole.rsrp.values[3::8, 3::8])
    np.testing.assert_array_equal(coarse.server, whole.server.values[3::8, 3::8])


def test_a_stopped_ranking_goes_on_from_where_it_is(small_twin):
    twin = small_twin(sites=6, pixels=300, step=40.0)
    sites = twin["sites"].to_dataset()
    x = sites.x.values.copy()
    x[1] += 3000.0
    moved = tk.extend(twin, sites=sites.assign(x=sites.x.copy(data=x)))
    ranking = Ranking(twin, model=model_of(twin, tk.radio.rma))
    for patience in (1, 3, 0, 5):
        calls = iter(range(1000))
        with pytest.raises(Stopped):
            ranking.follow(moved if patience % 2 else twin, stop=lambda c=calls, p=patience: next(c) >= p)
    ranking.follow(moved)
    same(ranking, moved, {"path_loss": tk.radio.rma})


def test_a_copy_goes_its_own_way(small_twin):
    twin = small_twin(sites=5, pixels=40)
    ranking = Ranking(twin, model=model_of(twin, tk.radio.rma))
    ranking.follow(twin)
    other = ranking.copy()
    fewer = tk.extend(twin, cells=twin["cells"].to_dataset().isel(cell=slice(3, None)))
    other.follow(fewer)
    same(ranking, twin, {"path_loss": tk.radio.rma})
    same(other, fewer, {"path_loss": tk.radio.rma})


def test_unknown_ground_stays_unknown(small_twin):
    twin = small_twin(sites=4, pixels=40)
    surface = twin["surface"].to_dataset()
    here = (surface.x < surface.x[4]) & (surface.y < surface.y[4])
    twin = tk.extend(twin, surface=surface.assign(ground_height=surface.ground_height.where(~here)))
    ranking = Ranking(twin, model=model_of(twin, tk.radio.rma))
    ranking.follow(twin)
    same(ranking, twin, {"path_loss": tk.radio.rma})
    assert np.isnan(ranking.rsrp[:4, :4]).all()


def test_what_is_wrong_is_said_and_leaves_the_ranking_whole(small_twin):
    twin = small_twin(sites=4, pixels=40)
    ranking = Ranking(twin, model=model_of(twin, tk.radio.rma))
    ranking.follow(twin)
    cells = twin["cells"].to_dataset()
    bad = cells.assign(frequency=cells.frequency.copy(data=np.full(cells.sizes["cell"], 1e8)))
    with pytest.raises(TwinError, match="frequency"):
        ranking.follow(tk.extend(twin, cells=bad))
    ranking.follow(twin)
    same(ranking, twin, {"path_loss": tk.radio.rma})


def test_all_sites_gone_is_silence(small_twin):
    twin = small_twin(sites=3, pixels=30)
    ranking = Ranking(twin, model=model_of(twin, tk.radio.rma))
    ranking.follow(twin)
    ranking.follow(tk.extend(twin, cells=twin["cells"].to_dataset().isel(cell=slice(0, 0))))
    assert (ranking.server == -1).all()
    assert np.isnan(ranking.rsrp).all()
    ranking.follow(twin)
    same(ranking, twin, {"path_loss": tk.radio.rma})
