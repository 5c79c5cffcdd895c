"""Exercises of 14-mobility: a morning in the twin's own town, by SUMO and by the records of one operator."""

import functools

import numpy as np
import xarray as xr

from twinkit import mobility, radio, stamp
from twinkit.lesson import exercise

PERSONS, SHARE = 1500, 0.3
WHEN = {"date": "2026-03-02", "timezone": "UTC"}


def once(function):
    """The same answer for the same twin, without computing it again."""
    known = {}

    @functools.wraps(function)
    def kept(twin):
        if id(twin) not in known:
            # the twin stays beside its answer, so that no other can take its id
            known[id(twin)] = (twin, function(twin))
        return known[id(twin)][1]

    return kept


def spacing(twin):
    """Between two streets: a thirtieth of the map."""
    x = twin["surface/x"].values
    return float(x[-1] - x[0]) / 30


@once
def streets(twin):
    return mobility.streets(twin, spacing=spacing(twin), seed=1)


@once
def done(twin):
    return mobility.simulate(streets(twin), mobility.diary(twin, persons=PERSONS, seed=1), seed=1)


@once
def truth(twin):
    return mobility.trip_flow(twin, done(twin))


@once
def hours(twin):
    return mobility.trip_flow(twin, done(twin), hours=True)


@once
def estimated(twin):
    server = radio.coverage(twin, path_loss=radio.free_space).server
    cells = twin["cells"].cell.values
    seen = mobility.event_records(server, done(twin), streets=streets(twin), cells=cells, share=SHARE, seed=1, **WHEN)
    home = mobility.nearest_place(twin, done(twin).home_x.values, done(twin).home_y.values)
    ids = twin["places"].place.values
    lives = xr.DataArray(np.bincount(home, minlength=len(ids)).astype(float), {"place": ids}, ("place",))
    prints = mobility.footprint(twin, server)
    people = stamp(lives, "population")
    return mobility.origin_destination(seen, people, cells=prints, timezone="UTC", draws=50, seed=1).flow


def between(flow):
    """The table without those who stay within a place."""
    own = xr.DataArray(np.eye(flow.sizes["origin"], dtype=bool), flow.coords, ("origin", "destination"))
    return flow.where(~own, 0.0)


# ---------------------------------------------------------------- crossing


@exercise(
    "crossing",
    objective="crossing",
    tolerance=0.002,
    minutes=8,
    hints=[
        "Trips within a place stand on the diagonal of the table. What share of all is off it?",
        "np.trace(truth) sums the diagonal; truth.sum() is all.",
        "float(1 - np.trace(truth) / truth.sum())",
    ],
)
def crossing(twin):
    # all trips less those of the diagonal, over all
    return float(1 - np.trace(truth(twin)) / truth(twin).sum())


@crossing.misconception("That is the share of trips that stay within a place. Those that leave it are asked for.")
def staying(twin):
    return float(np.trace(truth(twin)) / truth(twin).sum())


# ---------------------------------------------------------------- the morning


def morning(twin):
    return between(hours(twin).isel(time=slice(6, 10)).sum("time"))


@exercise(
    "magnet",
    objective="magnet",
    minutes=8,
    hints=[
        "Of trips from other places that begin from six to ten, which place receives most?",
        "Hours 6, 7, 8 and 9 are hours.isel(time=slice(6, 10)); `between` takes the diagonal away.",
        "arrivals = between(hours.isel(time=slice(6, 10)).sum('time')).sum('origin'); the id of its largest",
    ],
)
def magnet(twin):
    # who arrives is summed over where they come from
    into = morning(twin).sum("origin")
    return str(into.destination.values[int(into.values.argmax())])


@magnet.misconception("You summed over the destinations: that is the place that most people leave.")
def source(twin):
    out = morning(twin).sum("destination")
    return str(out.origin.values[int(out.values.argmax())])


# ---------------------------------------------------------------- own model


def common_part(a, b):
    """Twice what two tables share, over all of both."""
    a, b = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    return float(2 * np.minimum(a, b).sum() / (a.sum() + b.sum()))


def tables(twin):
    """Calls on which the function is compared."""
    own = np.asarray(truth(twin), dtype=float)
    pairs = [(own, np.roll(own, 1)), (own, own), (np.eye(3), 2 * np.ones((3, 3)))]
    return [{"a": a, "b": b} for a, b in pairs]


@exercise(
    "common",
    objective="common",
    tolerance=1e-6,
    minutes=12,
    probe=tables,
    hints=[
        "Cell by cell of the two tables, how many people do both of them place there?",
        "np.minimum(a, b) is what they share; it counts in both, so take it twice, over the sum of both.",
        "return float(2 * np.minimum(a, b).sum() / (a.sum() + b.sum()))",
    ],
)
def common(twin):
    # 1 for two tables alike, 0 where they share nobody
    return common_part


@common.misconception(
    "What they share counts in both tables: take it twice, or the same table against itself gives 0.5."
)
def half(twin):
    return lambda a, b: common_part(a, b) / 2


# ---------------------------------------------------------------- records


@exercise(
    "agreement",
    objective="agreement",
    tolerance=0.002,
    minutes=8,
    hints=[
        "How much do the flows from records have in common with the true ones, between places?",
        "Take the diagonal away from both tables first.",
        "tk.mobility.common_part(between(flow), between(truth))",
    ],
)
def agreement(twin):
    # between places: records say little about who stays within one
    return common_part(between(estimated(twin)), between(truth(twin)))


@agreement.misconception("You left the diagonal in: trips within a place are in your number.")
def with_diagonal(twin):
    return common_part(estimated(twin), truth(twin))


# ---------------------------------------------------------------- a decision


def corridor_of(flow):
    both = np.asarray(between(flow), dtype=float)
    both = np.triu(both + both.T, 1)
    ids = flow.origin.values
    a, b = np.unravel_index(int(both.argmax()), both.shape)
    return {str(ids[a]), str(ids[b])}


@exercise(
    "corridor",
    objective="corridor",
    minutes=8,
    hints=[
        "A bus goes there and back: which two places exchange most people in both directions together?",
        "both = table + table.T has the sum of the two directions; take the largest off the diagonal.",
        "a, b = np.unravel_index(both.argmax(), both.shape); {ids[a], ids[b]}",
    ],
)
def corridor(twin):
    # from records alone: nobody has the truth
    return corridor_of(estimated(twin))
