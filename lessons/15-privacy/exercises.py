"""Exercises of 15-privacy: four points, two tables, noise, what survives; all functions of the twin."""

import functools

import numpy as np
import xarray as xr

from twinkit import privacy
from twinkit.lesson import exercise

PAIR = ("origin", "destination")
POINT = ["day", "hour", "origin"]
PEOPLE = 4000  # subscribers of the made file
BOUND = 4  # trips of a person on a day that count, at most
LINES = 5  # that the city can pay


def once(function):
    """The same answer for the same twin, without computing it again."""
    known = {}

    @functools.wraps(function)
    def kept(twin, *given):
        key = (id(twin), *given)
        if key not in known:
            # the twin stays beside its answer, so that no other can take its id
            known[key] = (twin, function(twin, *given))
        return known[key][1]

    return kept


# ---------------------------------------------------------------- the file of the lesson


@once
def zones(twin):
    """One zone around each mast: where it stands, and the people to whom it is the nearest."""
    sites, people = twin["sites"].to_dataset(), twin["surface/people"]
    apart = [np.hypot(people.x - x, people.y - y) for x, y in zip(sites.x.values, sites.y.values, strict=True)]
    nearest = xr.concat(apart, "zone").argmin("zone").values
    count = np.bincount(nearest.ravel(), weights=people.values.ravel(), minlength=sites.sizes["site"])
    x, y = (("zone", sites[n].values) for n in ("x", "y"))
    return xr.Dataset({"x": x, "y": y, "people": ("zone", count)}, {"zone": sites.site.values})


@once
def diaries(twin):
    return privacy.diaries(
        zones(twin), subscribers=PEOPLE, days=5, first_day="2026-03-02", reach=5e3, working=0.8, errands=0.5, seed=1
    )


def over(twin):
    return {dim: zones(twin).zone.values for dim in PAIR}


def counted(twin, records):
    return records.groupby(list(PAIR)).size().to_xarray().reindex(over(twin), fill_value=0).fillna(0)


@once
def truth(twin):
    return counted(twin, diaries(twin))


@once
def released(twin, epsilon, seed=1):
    choices = {"epsilon": epsilon, "protects": "subscriber-day", "bound": BOUND, "seed": seed}
    return privacy.release(diaries(twin), over=over(twin), **choices)


# ---------------------------------------------------------------- a file without names


@once
def found(twin, points, on=tuple(POINT)):
    return float(privacy.reidentification(diaries(twin), on=list(on), points=points, people=500, seed=1).found)


@exercise(
    "alone",
    objective="pseudonym",
    tolerance=0.002,
    minutes=8,
    hints=[
        "tk.privacy.reidentification looks for 500 people in the file.",
        "A point is a day, an hour and a zone: on=['day', 'hour', 'origin'].",
        "float(tk.privacy.reidentification(records, on=point, points=2, people=500, seed=1).found)",
    ],
)
def alone(twin):
    # two moments at which somebody was seen, and the pseudonyms that were there at both
    return found(twin, 2)


@alone.misconception("That is with one point. Two are asked for: a shop and a stop, a picture and a call.")
def one_point(twin):
    return found(twin, 1)


@alone.misconception("Your points have no day. Who saw somebody knows the day, too.")
def no_day(twin):
    return found(twin, 2, ("hour", "origin"))


@alone.misconception("That is the share whom the two points do not single out: the rest to one.")
def not_alone(twin):
    return 1 - found(twin, 2)


@alone.misconception("That is with four points, which is nearly everybody. Two are asked for.")
def four_points(twin):
    return found(twin, 4)


# ---------------------------------------------------------------- small counts left empty


@once
def two_tables(twin):
    """Exact tables of k=5: of all, and of all but the ten people who objected."""
    records = diaries(twin)
    tables = (records, records[records.subscriber >= 10])
    return tuple(privacy.k_anonymous(counted(twin, t), k=5) for t in tables)


@exercise(
    "exposed",
    objective="differencing",
    tolerance=0,
    minutes=8,
    hints=[
        "tk.privacy.exposed compares two tables, and shows the cells whose difference is below k.",
        "It gives NaN where nothing is exposed: count what is not NaN.",
        "int(tk.privacy.exposed(all_of_them, without_ten, below=5).count())",
    ],
)
def exposed(twin):
    # cells in which the difference tells of one to four trips of the ten
    return int(privacy.exposed(*two_tables(twin), below=5).count())


@exposed.misconception("That is the number of all cells. Those that tell nothing are NaN: count the others.")
def all_cells(twin):
    return int(truth(twin).size)


@exposed.misconception("You added up the trips. The cells are asked for: count those that are not NaN.")
def trips_exposed(twin):
    return int(privacy.exposed(*two_tables(twin), below=5).sum())


# ---------------------------------------------------------------- noise


@exercise(
    "spread",
    objective="noise",
    tolerance=0.01,
    minutes=8,
    hints=[
        "The deviation of one cell stands in safe.attrs['deviation']. Noise of different cells is independent.",
        "Variances add up: the deviation of a sum of n cells is that of one times the root of n.",
        "safe.attrs['deviation'] * np.sqrt(len(zones.zone))",
    ],
)
def spread(twin):
    # all trips out of one zone: as many cells as there are zones
    return float(released(twin, 1.0).attrs["deviation"] * np.sqrt(zones(twin).sizes["zone"]))


@spread.misconception("You added deviations. Independent noise partly cancels: variances add up.")
def deviations_added(twin):
    return float(released(twin, 1.0).attrs["deviation"] * zones(twin).sizes["zone"])


@spread.misconception("That is the noise of one cell; a row has one for each zone.")
def one_cell(twin):
    return float(released(twin, 1.0).attrs["deviation"])


# ---------------------------------------------------------------- a measure of one's own


def tables(twin):
    """Pairs on which a measure is compared."""
    others = [released(twin, e).values for e in (0.1, 1.0, 10.0)]
    return [{"truth": truth(twin).values, "released": o} for o in [*others, truth(twin).values.T]]


@exercise(
    "common",
    objective="utility",
    tolerance=1e-6,
    minutes=12,
    probe=tables,
    hints=[
        "Trips that both tables have in a cell: the smaller of the two numbers.",
        "Twice the sum of np.minimum, over the sum of both tables.",
        "2 * np.minimum(truth, released).sum() / (truth.sum() + released.sum())",
    ],
)
def common(twin):
    # the measure that those who model commuting have used since 2012
    return lambda truth, released: 2 * np.minimum(truth, released).sum() / (truth.sum() + released.sum())


@common.misconception("You forgot the factor of two: two equal tables must give 1.")
def halved(twin):
    return lambda truth, released: np.minimum(truth, released).sum() / (truth.sum() + released.sum())


@common.misconception("You divide by the truth alone: a release with more trips than there were gets too much.")
def by_truth(twin):
    return lambda truth, released: np.minimum(truth, released).sum() / truth.sum()


# ---------------------------------------------------------------- the decision


def lost(twin, epsilon, seed):
    choose = functools.partial(privacy.corridors, count=LINES)
    return privacy.regret(truth(twin), released(twin, epsilon, seed), choose=choose, value=privacy.carried).share


@once
def losses(twin, epsilon=0.1):
    return [lost(twin, epsilon, seed) for seed in range(10)]


@exercise(
    "regret",
    objective="decide",
    tolerance=0.001,
    absolute=1e-6,
    minutes=10,
    hints=[
        "A release for each seed from 0 to 9, the regret of each; which one is the worst?",
        "tk.privacy.regret(truth, safe, choose=choose, value=tk.privacy.carried).share",
        "max(lost(published(0.1, seed=s)) for s in range(10))",
    ],
)
def regret(twin):
    # the noise is drawn once, so the worst draw of ten is what the office should be ready for
    return float(max(losses(twin)))


@regret.misconception("That is the mean of ten draws. The city draws once: the worst of ten is asked for.")
def mean_loss(twin):
    return float(np.mean(losses(twin)))


@regret.misconception("That is what remains. What is lost is the rest to one.")
def what_remains(twin):
    return 1 - float(max(losses(twin)))
