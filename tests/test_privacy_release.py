"""Releases: who is bounded, how the noise is spread, what the sums do, and what is refused."""

import math
import re

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import stats

from twinkit import TwinError, privacy
from twinkit.privacy import contribution, mechanism
from twinkit.privacy.mechanism import Bound

ZONES = ["a", "b", "c"]
OVER = {"origin": ZONES, "destination": ZONES}
PAIR = ("origin", "destination")


def trips(people=200, days=3, each=4, seed=1):
    rng = np.random.default_rng(seed)
    count = people * days * each
    who, day = np.divmod(np.arange(count) // each, days)
    columns = {"subscriber": who, "day": np.datetime64("2026-03-02", "ns") + day * np.timedelta64(1, "D")}
    return pd.DataFrame(columns | {d: rng.choice(ZONES, count, p=[0.6, 0.3, 0.1]) for d in PAIR})


def table(values=((7, 20, 0), (3, 0, 500), (0, 41, 9))):
    return xr.DataArray(np.array(values), dict.fromkeys(PAIR, ZONES), PAIR, name="trips", attrs={"units": "trips"})


def safe(data, **choices):
    known = {"epsilon": 1.0, "protects": "subscriber-day", "bound": 4, "seed": 1}
    if not isinstance(data, xr.DataArray):
        known["over"] = OVER
    return privacy.release(data, **known | choices)


# ---------------------------------------------------------------- contribution


def test_nobody_adds_more_than_the_bound():
    records = pd.concat(
        [
            trips(),
            pd.DataFrame({"subscriber": 7, "day": trips().day[0], "origin": "a", "destination": "b"}, range(5000)),
        ]
    )
    records = records.reset_index(drop=True)
    for total, each in ((1, 1), (4, 4), (4, 1), (6, 2)):
        kept = records[
            contribution.bounded(records, ["subscriber", "day"], PAIR, Bound(total, each), np.random.default_rng(3))
        ]
        assert kept.groupby(["subscriber", "day"]).size().max() <= total
        assert kept.groupby(["subscriber", "day", *PAIR]).size().max() <= each
    # a bound that nobody reaches leaves everybody
    assert contribution.bounded(records, ["subscriber", "day"], PAIR, Bound(6000, 6000), np.random.default_rng(3)).all()


def test_one_subscriber_with_a_million_events_weighs_no_more_than_another():
    crowd = trips()
    loud = pd.DataFrame({"subscriber": 7, "day": crowd.day[0], "origin": "a", "destination": "b"}, range(1_000_000))
    quiet = safe(crowd, epsilon=50.0, whole_table=False)
    both = safe(pd.concat([crowd, loud]), epsilon=50.0, whole_table=False)
    # at so great an epsilon hardly any noise is left, and of the million events four remain
    assert abs(float((both - quiet).sum())) < 8


def test_the_sample_of_a_unit_is_fair():
    records = pd.DataFrame(
        {"subscriber": np.repeat(np.arange(4000), 5), "day": 0, "place": np.tile(np.arange(5), 4000)}
    )
    kept = records[contribution.bounded(records, ["subscriber"], ["place"], Bound(2, 2), np.random.default_rng(5))]
    assert stats.chisquare(np.bincount(kept.place)).pvalue > 0.01


def test_records_outside_the_table_take_nobodys_place():
    records = pd.DataFrame({"subscriber": 1, "day": 0, "origin": ["z"] * 100 + ["a"], "destination": "b"})
    assert float(safe(records, bound=1, epsilon=90.0, whole_table=False).sel(origin="a", destination="b")) == 1


def test_records_of_other_days_are_left_out():
    records = trips()
    one = safe(records, epsilon=90.0, days=("2026-03-03", "2026-03-03"), whole_table=False)
    assert abs(float(one.sum()) - (records.day == "2026-03-03").sum()) < 3


def test_records_may_be_a_dataset():
    records = trips()
    dataset = xr.Dataset({c: ("record", records[c].to_numpy()) for c in records})
    xr.testing.assert_identical(safe(records), safe(dataset))


def test_records_with_times_have_days():
    mobility = pytest.importorskip("twinkit.mobility")
    when = np.datetime64("2026-03-02T07", "ns") + np.arange(48) * np.timedelta64(1, "h")
    seen = mobility.records(["s1"] * 48, ["c1", "c2"] * 24, when, provenance="generated: by hand")
    safe_cells = safe(seen, over={"cell": ["c1", "c2"]}, bound=1, epsilon=90.0, whole_table=False)
    # the two days and a bit of one subscriber are three units, and each adds one
    assert float(safe_cells.sum()) == 3
    with pytest.raises(TwinError, match="times as datetime64"):
        safe(trips().drop(columns="day").assign(time="noon"))


# ---------------------------------------------------------------- noise


def chi_square(drawn, chance, least=20):
    """How well whole numbers fit chances of -100 to 100, rare ones put together."""
    edge = 100
    seen = np.bincount(np.clip(drawn, -edge, edge) + edge, minlength=2 * edge + 1)
    hoped = chance(np.arange(-edge, edge + 1)) * len(drawn)
    many = hoped >= least
    seen = np.r_[seen[many], seen[~many].sum()]
    hoped = np.r_[hoped[many], len(drawn) - hoped[many].sum()]
    return stats.chisquare(seen, hoped).pvalue


def two_sided(scale):
    a = math.exp(-1 / scale)
    return lambda x: (1 - a) / (1 + a) * a ** np.abs(x)


def discrete_normal(scale):
    whole = np.exp(-(np.arange(-1000, 1001) ** 2) / (2 * scale**2)).sum()
    return lambda x: np.exp(-(x**2) / (2 * scale**2)) / whole


NOISES = {
    "geometric": (privacy.geometric(Bound(3, 3), epsilon=1.0), two_sided),
    "gaussian": (privacy.gaussian(Bound(1, 1), epsilon=1.0, delta=1e-5), discrete_normal),
}


@pytest.mark.parametrize("name", NOISES)
@pytest.mark.parametrize("seed", [1, None])
def test_whole_noise_is_spread_as_it_says(name, seed):
    noise, chance = NOISES[name]
    generator = None if seed is None else np.random.default_rng(seed)
    drawn = noise.draw(np.zeros(40_000, np.int64), generator)
    # without a seed the numbers are new each time, so that only a gross error may fail the test
    assert chi_square(drawn, chance(noise.scale)) > (0.01 if seed else 1e-9)
    assert drawn.std() == pytest.approx(noise.deviation, rel=0.03)


@pytest.mark.parametrize("seed", [1, None])
def test_laplace_noise_is_spread_as_it_says(seed):
    noise = privacy.laplace(Bound(3, 3), epsilon=1.5)
    drawn = noise.draw(np.full(20_000, 5.0), None if seed is None else np.random.default_rng(seed)) - 5
    assert stats.kstest(drawn, stats.laplace(scale=2.0).cdf).pvalue > (0.01 if seed else 1e-9)


def test_without_a_seed_the_noise_is_of_opendp_and_no_seed_of_numpy_steers_it(monkeypatch):
    asked = []
    real = mechanism._drawn
    monkeypatch.setattr(mechanism, "_drawn", lambda *given: asked.append(given) or real(*given))
    noise = NOISES["geometric"][0]
    draws = []
    for _ in range(2):
        np.random.seed(1)  # noqa: NPY002 - the point is that it changes nothing
        draws.append(noise.draw(np.zeros(200, np.int64), None))
    assert len(asked) == 2
    assert (draws[0] != draws[1]).any()


def test_a_seed_gives_the_same_noise_and_says_that_it_protects_nobody():
    first, second, other = safe(table()), safe(table()), safe(table(), seed=2)
    xr.testing.assert_identical(first, second)
    assert (first != other).any()
    assert "protects nobody" in first.attrs["release"]
    assert "protects nobody" in first.attrs["provenance"]  # which travels with every file


@pytest.mark.parametrize("make", [privacy.laplace, privacy.geometric])
def test_the_scale_is_no_smaller_than_the_promise_needs(make):
    for epsilon in (0.1, 1 / 3, 1.0, 7.7):
        noise = make(Bound(7, 2), epsilon=epsilon)
        assert noise.cost.epsilon <= epsilon
        assert noise.scale == pytest.approx(7 / epsilon, rel=1e-6)


def test_gaussian_noise_is_smaller_where_a_unit_counts_once_in_a_cell():
    once = privacy.gaussian(Bound(16, 1), epsilon=1.0, delta=1e-6)
    often = privacy.gaussian(Bound(16, 16), epsilon=1.0, delta=1e-6)
    assert often.scale == pytest.approx(4 * once.scale, rel=0.01)


# ---------------------------------------------------------------- sums


def normal_equations(cells, margins, deviation):
    """The same least squares, by brute force."""
    size = cells.size
    index = np.arange(size).reshape(cells.shape)
    rows, hoped, weight = [np.eye(size)], [cells.ravel()], [np.full(size, 1 / deviation)]
    for stay, sums, spread in margins:
        sums = np.asarray(sums, float)
        design = np.zeros((sums.size, size))
        others = tuple(a for a in range(cells.ndim) if a not in stay)
        for n, part in enumerate(np.moveaxis(index, others, range(-len(others), 0)).reshape(sums.size, -1)):
            design[n, part] = 1
        rows.append(design)
        hoped.append(sums.ravel())
        weight.append(np.full(sums.size, 1 / spread))
    w = np.concatenate(weight)
    return np.linalg.lstsq(np.concatenate(rows) * w[:, None], np.concatenate(hoped) * w, rcond=None)[0].reshape(
        cells.shape
    )


def test_the_fit_to_margins_is_that_of_least_squares():
    rng = np.random.default_rng(4)
    cells = rng.normal(20, 5, (4, 3, 2))
    margins = [
        ((0,), rng.normal(120, 3, 4), 2.0),
        ((0, 1), rng.normal(40, 3, (4, 3)), 3.0),
        ((), rng.normal(480, 1), 0.5),
    ]
    found = privacy.consistent(cells, margins, deviation=4.0)
    np.testing.assert_allclose(found, normal_equations(cells, margins, 4.0), rtol=1e-9)


def test_measured_margins_make_their_sums_better():
    truth = xr.DataArray(np.random.default_rng(2).poisson(3, (60, 60)), dims=PAIR)
    plain = [safe(truth, seed=s, whole_table=False).sum("destination") for s in range(8)]
    fitted = [safe(truth, seed=s, whole_table=False, margins=["origin"]).sum("destination") for s in range(8)]

    def error(tables):
        return np.mean([float(((t - truth.sum("destination")) ** 2).mean()) for t in tables])

    assert error(fitted) < 0.5 * error(plain)


def test_a_whole_table_has_no_count_below_zero_and_the_same_sum():
    truth = xr.DataArray(np.random.default_rng(2).poisson(0.4, (40, 40)), dims=PAIR)
    free, whole = safe(truth, whole_table=False), safe(truth)
    assert float(free.min()) < 0 <= float(whole.min())
    assert float(whole.sum()) == pytest.approx(float(free.sum()))
    # nearest such table, by the conditions of the optimum: what stays positive went down by one number
    moved = (free - whole).values[whole.values > 0]
    assert np.ptp(moved) < 1e-9
    assert (free.values[whole.values == 0] <= moved[0] + 1e-9).all()


def test_cells_below_the_threshold_become_zero():
    found = safe(table(), threshold=30.0)
    assert (found.values[found.values > 0] >= 30).all()


def test_unlisted_cells_need_a_crowd():
    crowd = pd.DataFrame({"subscriber": np.arange(3000), "day": 0, "origin": "a", "destination": "b"})
    one = pd.DataFrame({"subscriber": [9999], "day": 0, "origin": "only I", "destination": "go here"})
    for seed in (1, 2, 3):
        found = safe(pd.concat([crowd, one]), over=None, dims=PAIR, delta=1e-6, bound=1, seed=seed)
        assert found.origin.values.tolist() == ["a"]
        assert float(found[0, 0]) == pytest.approx(3000, abs=30)


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize("epsilon", [0, -1, math.inf, -math.inf, math.nan, True, "1", None, [1.0]])
def test_an_epsilon_that_is_none(epsilon):
    with pytest.raises(TwinError, match="epsilon: expected a finite number above 0"):
        safe(table(), epsilon=epsilon)


@pytest.mark.parametrize(
    ("choices", "said"),
    [
        ({"protects": "subscriber day"}, "did you mean 'subscriber-day'"),
        ({"protects": None}, "a unit of protection"),
        ({"bound": 0}, "bound: expected a whole number from 1"),
        ({"bound": 1.5}, "bound: expected a whole number from 1"),
        ({"each": 9}, "each of at most bound=4"),
        ({"delta": 1e-6}, "delta=0 with geometric noise"),
        ({"delta": 1.0}, "delta: expected"),
        ({"mechanism": privacy.gaussian}, "delta: expected a finite number above 0"),
        ({"mechanism": lambda bound, *, epsilon, delta: 3.0}, "a mechanism that gives a Noise"),
        ({"margins": ["nowhere"]}, "margins: expected some of the dims"),
        ({"margins": [PAIR]}, "not all of them"),
        ({"margins": [5]}, "margins: expected some of the dims"),
        ({"margins": "origin"}, "a list of margins"),
        ({"margins": ["origin"], "margin_share": 1.0}, "margin_share"),
        ({"threshold": math.nan}, "threshold"),
        ({"days": ("2026-03-04", "2026-03-01")}, "the first day before the last"),
        ({"days": "2026-03-04"}, "the first and the last day"),
        ({"seed": None}, "either a store, whose budget pays, or a seed"),
        ({"store": "x.twin"}, "either a store, whose budget pays, or a seed"),
        ({"store": "x.twin", "seed": None}, "a message: what is released"),
        ({"seed": -1}, "a seed of 0 or more"),
    ],
)
def test_choices_that_are_refused(choices, said):
    with pytest.raises(TwinError, match=re.escape(said)):
        safe(table(), **choices)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.drop(columns="subscriber"), "one column 'subscriber'"),
        (lambda t: t.rename(columns={"subscriber": "subscribers"}), "rename 'subscribers' to 'subscriber'"),
        (lambda t: pd.concat([t, t[["origin"]]], axis=1), "2 of that name"),
        (lambda t: t.assign(subscriber=t.subscriber.where(t.subscriber > 0)), "12 of 2400 records without"),
        (lambda t: t.to_dict(), "records: a pandas DataFrame or an xarray Dataset"),
        (lambda t: t.drop(columns="day"), "one column 'day'"),
    ],
)
def test_records_that_are_refused(change, said):
    with pytest.raises(TwinError, match=re.escape(said)):
        safe(change(trips()))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (table() - 100, "whole numbers of 0 or more"),
        (table() + 0.5, "whole numbers of 0 or more"),
        (table() / 0.0, "whole numbers of 0 or more"),
        (table().isel(origin=[]), "an array of counts"),
        (table().astype(str), "an array of counts"),
        (xr.concat([table(), table()], "origin"), "'a' twice"),
        (table() + 2.0**60, "add up to less than 2^53"),
        # whole numbers of 64 bits each, whose sum is none: a margin would wrap to below zero
        (xr.DataArray(np.full(4096, 2**52), dims="zone"), "add up to less than 2^53"),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero", "ignore:invalid value")
def test_counts_that_are_refused(data, said):
    with pytest.raises(TwinError, match=re.escape(said)):
        safe(data)


@pytest.mark.parametrize("epsilon", [1e-17, 5e-324, 1e-7, 101.0, 1e17, 1e308])
def test_an_epsilon_that_says_nothing_or_hides_nothing(epsilon):
    with pytest.raises(TwinError, match="epsilon: expected an epsilon from 1e-06 to 100"):
        safe(table(), epsilon=epsilon)


@pytest.mark.parametrize("delta", [5e-324, 1e-300, 1e-17, 0.999999])
def test_a_delta_that_no_threshold_keeps(delta):
    with pytest.raises(TwinError, match="a privacy that OpenDP can keep"):
        safe(trips(), over=None, dims=PAIR, delta=delta)


START = pd.Timestamp("2026-03-02")


@pytest.mark.parametrize(
    ("days", "found"),
    [
        (lambda n: START + pd.to_timedelta(np.arange(n), "min"), "times of day: 2026-03-02 00:01:00"),
        (lambda n: [f"2026-03-02 08:{i % 60:02}" for i in range(n)], "'2026-03-02 08:00'"),
        (lambda n: np.arange(n) / 1440, "values of kind 'floating'"),
        (lambda n: 1_772_409_600 + np.arange(n) // 2, "a number of seconds"),
        (lambda n: np.arange(n) + 1000, "2400 different numbers"),
        (lambda n: START.tz_localize("Asia/Kolkata"), "times with a zone"),
        (lambda n: "02/03/2026", "'02/03/2026'"),  # of two ways to read it, one is wrong
        (lambda n: "yesterday", "'yesterday'"),
    ],
)
def test_moments_are_no_days(days, found, monkeypatch):
    """A moment instead of a day makes each event a unit of its own, and then no bound bounds anything."""
    monkeypatch.setattr(contribution, "CENTURY", 2000)
    records = trips()
    with pytest.raises(TwinError, match=re.escape(found)):
        safe(records.assign(day=days(len(records))))


@pytest.mark.parametrize("days", [START, START.date(), "2026-03-02", 20260302])
def test_days_in_their_forms_bound_alike(days):
    loud = trips(people=1, days=1, each=5000).assign(day=days)
    assert abs(float(safe(loud, epsilon=50.0, whole_table=False).sum()) - 4) < 3


@pytest.mark.parametrize("times", [pd.Timestamp("2026-03-02 03:00", tz="Asia/Kolkata"), "2026-03-02 03:00"])
def test_times_that_have_no_day(times):
    with pytest.raises(TwinError, match="times as datetime64 in UTC, or a column 'day'"):
        safe(trips().drop(columns="day").assign(time=times))


def test_numbers_are_no_dates_where_the_release_names_days():
    with pytest.raises(TwinError, match="days as dates where `days` names some"):
        safe(trips().assign(day=0), days=("2026-03-02", "2026-03-02"))


@pytest.mark.parametrize(
    ("names", "kind"),
    [(lambda n: [i if i % 2 else str(i) for i in range(n)], "mixed-integer"), (lambda n: [[1]] * n, "mixed")],
)
def test_names_of_several_kinds_are_refused(names, kind):
    """Who is 7 in one row and '7' in another would be two people, with twice the bound."""
    records = trips()
    with pytest.raises(TwinError, match=f"values of kind '{kind}'"):
        safe(records.assign(subscriber=names(len(records))))


@pytest.mark.parametrize(
    ("over", "said"),
    [
        ({"origin": "a"}, "a list of labels"),
        ({"origin": 5}, "a list of labels"),
        ({"origin": set(ZONES)}, "a list of labels"),
        ({"origin": ["a", None]}, "an empty one"),
        ({"origin": [1, 2]}, "labels as they stand in the records: string"),
        (["origin"], "over={dim: all its labels}"),
        ({}, "labels that are known beforehand"),
    ],
)
def test_tables_that_are_none(over, said):
    with pytest.raises(TwinError, match=re.escape(said)):
        safe(trips(), over=over)


@pytest.mark.parametrize("given", [(0, 0), (-1, -1), (1.5, 1), (1, 5), (True, True), (2**40, 1)])
def test_bounds_that_are_none(given):
    with pytest.raises(TwinError, match=r"a whole number from 1 to 2\^31|each of at most bound"):
        Bound(*given)


@pytest.mark.parametrize("name", ["epsilon", "delta", "rho", "aside"])
@pytest.mark.parametrize("value", [-1.0, math.nan])
def test_a_cost_that_would_give_back_what_others_spent(name, value):
    with pytest.raises(TwinError, match="a cost of 0 or more"):
        privacy.Cost(**{"epsilon": 1.0} | {name: value})


def _image(values, count=53):
    """Whether each value is one that NumPy's formula, a logarithm of a number of 53 bits, can give around zero."""
    # the draw that would have given it, and its neighbours
    near = np.rint(np.exp(values) * 2.0 ** (count - 1))[:, None] + np.arange(-8, 9)
    made = np.vectorize(math.log)(near / 2.0 ** (count - 1))
    return (made == values[:, None]).any(axis=1)


def test_the_holes_of_floating_point_noise_tell_nothing():
    """Mironov's attack: naive noise around 0 and around 1 give different doubles, so that one look tells them apart."""
    rng = np.random.default_rng(1)
    zero, one = rng.laplace(0.0, 1.0, 4000), 1.0 + rng.laplace(0.0, 1.0, 4000)
    assert _image(zero[zero < 0]).all()
    assert not _image(one[one < 0]).all()  # each hole proves that the count was not 0
    noise = privacy.laplace(Bound(1, 1), epsilon=1.0)
    zero, one = (noise.draw(np.full(4000, float(c)), None) for c in (0, 1))
    shares = [_image(drawn[drawn < -0.05]).mean() for drawn in (zero, one)]
    assert max(shares) < 1  # neither is the formula's
    spread = math.sqrt(0.25 / 4000 * (1 / (zero < -0.05).mean() + 1 / (one < -0.05).mean()))
    assert abs(shares[0] - shares[1]) < 5 * spread  # and what hits it by chance hits it alike


def test_margins_take_no_more_than_was_asked():
    rng = np.random.default_rng(1)
    for epsilon, share in rng.uniform(0.01, 0.99, (40, 2)):
        found = safe(table(), epsilon=float(epsilon), margins=["origin", "destination", ()], margin_share=float(share))
        assert found.attrs["epsilon"] <= epsilon


def test_labels_that_are_refused():
    with pytest.raises(TwinError, match="each once"):
        safe(trips(), over={"origin": ["a", "a"], "destination": ZONES})
    with pytest.raises(TwinError, match="fewer than two thousand million cells"):
        safe(trips().replace({"a": 1, "b": 2, "c": 3}), over={d: range(10**5) for d in PAIR})
    with pytest.raises(TwinError, match="and a delta"):
        safe(trips(), over=None)
    with pytest.raises(TwinError, match="delta: expected a finite number above 0"):
        safe(trips(), over=None, dims=PAIR)


def test_records_without_any_event_give_noise_alone():
    found = safe(trips()[:0], whole_table=False)
    assert found.shape == (3, 3)
    assert (found != 0).any()
