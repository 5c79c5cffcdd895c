"""The alarm: an estimate that knows when it is wrong, says so by name, since when, and on what evidence.

Only what is at hand in operation is used: innovations, what the forecast expected of them, and which sensors spoke.
Each suspicion is a running sum (CUSUM) of evidence for a fault against evidence for health; it forgets at zero, and
raises at a height that chance reaches about once in a million cycles. Where the sum last left zero is since when.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import xarray as xr

from twinkit.contract import within
from twinkit.error import TwinError

__all__ = ["FAULTS", "alarm", "rank_histogram", "reliability", "staleness"]

FAULTS = ("diverged", "over-confident", "under-confident", "sensor biased", "sensor stale")
"""What can be wrong, in the words of the alarm."""

# Innovations squared over expectation, averaged over sensors: health is between 1/HEALTHY and HEALTHY, faults are
# tested at FAULTY and 1/FAULTY. No filter is calibrated to better than that, and none need be.
HEALTHY, FAULTY = 1.1, 1.6
# Sensors of one forecast are not independent, and models err alike everywhere: no more than this many count.
INDEPENDENT = 8
# Evidence [nats] for a wrong spread.
SURE = 14.0
# Correlation of innovations from one cycle to the next; in health there is none, beyond this the estimate is lost.
PERSISTENT = 0.25
# So is one whose innovations are three times what it expects.
LOST = 9.0
# A sensor's mean innovation in spreads that is let pass, and the height of its sum.
DRIFT, HEIGHT = 0.5, 18.0


def alarm(record: xr.Dataset, *, settle: int = 20, patience: int = 20) -> xr.Dataset:
    """What is wrong with the estimate: diverged, over-confident, under-confident, sensor biased, sensor stale.

    With z the innovations over their expected spread (NIS of one sensor is z²):

    - *over-confident*, *under-confident*: mean z² is not near 1 (χ² likelihood ratio of 1.6, or 1/1.6, against 1.1, or
      1/1.1);
    - *diverged*: errors stay from cycle to cycle (mean of z(t) z(t-1) above a quarter of z²), or innovations are three
      times what was expected: the update no longer pulls the estimate back;
    - *sensor biased*: z of one sensor keeps one sign (mean beyond ±0.5, most others not);
    - *sensor stale*: silent, or repeating one value, much longer than it usually is.

    Parameters
    ----------
    record : Dataset (time, sensor)
        From `estimate`, `filtered`, or rows of `innovation` joined along time.
    settle : int
        First cycles that are not judged.
    patience : int
        Cycles that a sensor may be silent, or repeat itself, before it is stale; more for one that often is.

    Returns
    -------
    Dataset (alarm)
        ``fault`` and ``sensor`` (empty where it is not about one), ``since``, ``raised`` and ``cleared`` (NaT: not
        yet), and ``evidence`` as a sentence. In the order in which they were raised; none where all is well. Nothing
        later than ``raised`` was used to raise it, so that a live twin and a replay give the same alarms.

    Validity
    --------
    Twice too large or too small a spread, a bias of one standard deviation, or a lost state are seen within tens of
    cycles; with one or two sensors a bias and a divergence look alike. Innovations say nothing of what no sensor sees.

    Errors
    ------
    TwinError
        A Dataset that is no such record.

    Examples
    --------
    A filter that believes its sensors twice as good as they are:

    >>> rng = np.random.default_rng(1)
    >>> d = rng.normal(size=(100, 5)) * np.where(np.arange(100) < 50, 1, 2)[:, None]
    >>> time = np.datetime64("2026-03-01", "ns") + np.arange(100) * np.timedelta64(900, "s")
    >>> flat = (("time", "sensor"), np.ones((100, 5)))
    >>> said = {"innovation": (("time", "sensor"), d), "innovation_spread": flat, "noise": flat}
    >>> said |= {"observed": (("time", "sensor"), d), "independent": ("time", [5] * 100)}
    >>> found = alarm(xr.Dataset(said, {"time": time, "sensor": list("abcde")}))
    >>> found.fault.values.tolist(), ((found.since - time[50]) / np.timedelta64(900, "s")).values.tolist()
    (['over-confident'], [2.0])

    References
    ----------
    E. S. Page, Biometrika 41 (1954) 100-115 (CUSUM); Y. Bar-Shalom, X. R. Li and T. Kirubarajan, Estimation with
    Applications to Tracking and Navigation (2001), section 5.4 (NIS, whiteness).
    """
    _checked(record)
    within(settle, 0, np.inf, name="settle", unit="cycles")
    within(patience, 2, np.inf, name="patience", unit="cycles")
    order = ("time", "sensor")
    observed = record["observed"].transpose(*order).to_numpy()
    with np.errstate(invalid="ignore"):
        z = (record["innovation"] / record["innovation_spread"]).transpose(*order).to_numpy()
    events = _watched(z, record["independent"].to_numpy().astype(float), observed, int(settle), int(patience))
    times, sensors = record["time"].to_numpy(), record["sensor"].to_numpy()
    rows = []
    for kind, sensor, since, raised, cleared, value in events:
        fault = FAULTS[int(kind)]
        who = str(sensors[int(sensor)]) if sensor >= 0 else ""
        rows.append((
            fault,
            who,
            times[int(since)],
            times[int(raised)],
            times[int(cleared)] if cleared >= 0 else np.datetime64("NaT", "ns"),
            _evidence(fault, z, record, int(sensor), int(since), int(raised), value),
        ))  # fmt: skip
    columns = list(zip(*rows, strict=True)) if rows else [()] * 6
    kinds: dict[str, Any] = dict.fromkeys(("fault", "sensor", "evidence"), object)
    names = ("fault", "sensor", "since", "raised", "cleared", "evidence")
    made = {n: np.array(c, kinds.get(n, "datetime64[ns]")) for n, c in zip(names, columns, strict=True)}
    out = xr.Dataset({n: ("alarm", c) for n, c in made.items()})
    out.attrs["cycles"] = len(times)
    return out


def rank_histogram(record: xr.Dataset) -> xr.DataArray:
    """How often a reading fell below all, one, two, ... members: flat where the ensemble is right.

    Parameters
    ----------
    record : Dataset (time, sensor)
        With ``rank``.

    Returns
    -------
    DataArray (rank) [1]
        Shares, which sum to one. A valley means over-confident, a hill under-confident, a slope biased.

    Errors
    ------
    TwinError
        No ranks, or none but silent sensors.

    Examples
    --------
    >>> said = xr.Dataset({"rank": (("time", "sensor"), [[0], [2], [1], [-1]], {"members": 2})})
    >>> rank_histogram(said).values.round(2).tolist()
    [0.33, 0.33, 0.33]

    References
    ----------
    T. M. Hamill, Mon. Weather Rev. 129 (2001) 550-560.
    """
    if "rank" not in record or "members" not in record["rank"].attrs:
        raise TwinError(
            "a record with ranks", found="none", hint="estimate(...) and innovation(...) give them", where="rank"
        )
    members = int(record["rank"].attrs["members"])
    ranks = record["rank"].to_numpy()
    counts = np.bincount(ranks[ranks >= 0].ravel(), minlength=members + 1)
    if counts.sum() == 0:
        raise TwinError("readings", found="silent sensors only", hint="give a longer record", where="rank")
    out = xr.DataArray(counts / counts.sum(), {"rank": np.arange(members + 1)}, "rank", name="share")
    out.attrs = {"units": "1", "long_name": "share of readings above so many members"}
    return out


def reliability(record: xr.Dataset, *, window: int = 50) -> xr.Dataset:
    """Spread against error, as the readings show them, in a window that moves with time.

    ::

        error² = mean(d²) - mean(σ²),   spread² = mean(S) - mean(σ²)

    Parameters
    ----------
    record : Dataset (time, sensor)
    window : int
        Cycles.

    Returns
    -------
    Dataset (time)
        ``error`` and ``spread`` of the forecast [unit of the readings], ``ratio`` of innovations² to expectation [1].

    Validity
    --------
    `error` is known only as well as the noise: where it is much below the noise, `ratio` is what to look at.

    Examples
    --------
    >>> both = ("time", "sensor")
    >>> said = {"innovation": (both, [[3.0], [-3.0]]), "innovation_spread": (both, [[2.0], [2.0]])}
    >>> said |= {"noise": (both, [[1.0], [1.0]]), "observed": (both, [[3.0], [3.0]])}
    >>> said |= {"independent": ("time", [1.0, 1.0])}
    >>> time = np.array(["2026-03-01", "2026-03-02"], "datetime64[ns]")
    >>> shown = reliability(xr.Dataset(said, {"time": time, "sensor": ["a"]}))
    >>> [round(float(shown[k][-1]), 2) for k in ("error", "spread", "ratio")]
    [2.83, 1.73, 2.25]
    """
    _checked(record)
    within(window, 1, np.inf, name="window", unit="cycles")
    heard = record["innovation"].notnull()
    each = xr.Dataset({
        "d": (record["innovation"] ** 2).sum("sensor"),
        "s": (record["innovation_spread"] ** 2).where(heard).sum("sensor"),
        "r": (record["noise"] ** 2).where(heard).sum("sensor"),
        "n": heard.sum("sensor"),
        "z": ((record["innovation"] / record["innovation_spread"]) ** 2).sum("sensor"),
    })  # fmt: skip
    moving = each.rolling(time=int(window), min_periods=1).sum()
    count = moving["n"].where(moving["n"] > 0)
    out = xr.Dataset({
        "error": np.sqrt(((moving["d"] - moving["r"]) / count).clip(min=0)),
        "spread": np.sqrt(((moving["s"] - moving["r"]) / count).clip(min=0)),
        "ratio": moving["z"] / count,
    })  # fmt: skip
    out["error"].attrs["long_name"] = "error of the forecast, from innovations"
    out["spread"].attrs["long_name"] = "error that the forecast expects of itself"
    out["ratio"].attrs = {"units": "1", "long_name": "innovations² over what the forecast expects"}
    return out


def staleness(record: xr.Dataset) -> xr.DataArray:
    """For how long each sensor has said nothing new: silent, or repeating its last value.

    Parameters
    ----------
    record : Dataset (time, sensor)

    Returns
    -------
    DataArray (time, sensor) [s]
        0 where a new value came; before the first it counts from the start.

    Examples
    --------
    >>> time = np.datetime64("2026-03-01", "ns") + np.arange(4) * np.timedelta64(60, "s")
    >>> said = xr.Dataset({"observed": (("time", "sensor"), [[1.0], [1.0], [np.nan], [2.0]])}, {"time": time})
    >>> staleness(said).values[:, 0].tolist()
    [0.0, 60.0, 120.0, 0.0]
    """
    if "observed" not in record or "time" not in record.coords:
        raise TwinError(
            "a record with what was observed", found="none", hint="estimate(...) gives it", where="observed"
        )
    values = record["observed"].transpose("time", "sensor").to_numpy()
    seconds = (record["time"].to_numpy() - record["time"].to_numpy()[0]) / np.timedelta64(1, "s")
    fresh = _fresh(values)
    out = xr.DataArray(
        seconds[:, None] - seconds[fresh], dims=("time", "sensor"), name="staleness", attrs={"units": "s"}
    )
    return out.assign_coords({k: v for k, v in record.coords.items() if set(v.dims) <= {"time", "sensor"}})


def _fresh(values: np.ndarray) -> np.ndarray:
    """Position of the last new value of each sensor at each time."""
    heard = np.isfinite(values)
    rows = np.arange(len(values))[:, None]
    last = np.maximum.accumulate(np.where(heard, rows, 0), axis=0)
    held = np.take_along_axis(values, last, axis=0)
    new = heard & (held != np.vstack([np.full((1, values.shape[1]), np.nan), held[:-1]]))
    return np.maximum.accumulate(np.where(new, rows, 0), axis=0)


# ---------------------------------------------------------------- the watch


@numba.njit(nogil=True, cache=True)
def _watched(z, independent, observed, settle, patience):  # type: ignore[no-untyped-def]
    """Go through the cycles once; events (fault, sensor, since, raised, cleared, value)."""
    cycles, sensors = z.shape
    events = [(-1.0, -1.0, 0.0, 0.0, -1.0, 0.0)]
    events.clear()
    total, begun, open_ = np.zeros(3), np.zeros(3, np.int64), np.full(3, -1)
    lost = 0.0  # of three times the spread
    lost_begun = 0
    up, down = np.zeros(sensors), np.zeros(sensors)
    up_begun, down_begun, open_bias = np.zeros(sensors, np.int64), np.zeros(sensors, np.int64), np.full(sensors, -1)
    last, fresh = np.full(sensors, np.nan), np.zeros(sensors, np.int64)
    spoke, gaps, readings = np.full(sensors, -1, np.int64), np.zeros(sensors), np.zeros(sensors)
    repeats, run, open_stale = np.zeros(sensors), np.zeros(sensors), np.full(sensors, -1)
    size, tie = 1.0, 0.0  # moving averages: z² over sensors, and its correlation from cycle to cycle
    pool = np.empty(sensors)
    for t in range(cycles):
        # ---- who says nothing new
        for s in range(sensors):
            if np.isfinite(observed[t, s]):
                if readings[s]:
                    gaps[s] += t - spoke[s]
                spoke[s] = t
                readings[s] += 1
                if observed[t, s] == last[s]:
                    run[s] += 1
                else:
                    repeats[s] += run[s]
                    run[s] = 0.0
                    last[s], fresh[s] = observed[t, s], t
                    if open_stale[s] >= 0:
                        e = events[open_stale[s]]
                        events[open_stale[s]] = (e[0], e[1], e[2], e[3], float(t), e[5])
                        open_stale[s] = -1
            usual = gaps[s] / (readings[s] - 1) if readings[s] > 1 else 1.0
            # chance of one more repetition, as its past shows it
            again = (repeats[s] + 0.1) / (readings[s] + 1.0)
            stuck = max(float(patience), 20.0 / -np.log(min(again, 0.999)))
            silent = t - spoke[s] > patience * usual
            if open_stale[s] < 0 and t >= settle and (silent or run[s] >= stuck):
                open_stale[s] = len(events)
                events.append((4.0, float(s), float(fresh[s]), float(t), -1.0, 1.0 if run[s] >= stuck else 0.0))
        if t < settle:
            continue
        # ---- who is suspect by itself, and may not speak for all
        heard, strange = 0, 0
        for s in range(sensors):
            if np.isfinite(z[t, s]):
                heard += 1
                strange += _alone(up[s], down[s], run[s], open_bias[s], open_stale[s])
        if heard == 0:
            continue
        some = 0 < strange <= max(1, heard // 4) and heard > strange
        used, square, kept, cross = 0, 0.0, 0, 0.0
        for s in range(sensors):
            if not np.isfinite(z[t, s]) or (some and _alone(up[s], down[s], run[s], open_bias[s], open_stale[s])):
                continue
            pool[used] = abs(z[t, s])
            used += 1
            square += min(z[t, s] ** 2, 100.0)
            if t and np.isfinite(z[t - 1, s]):
                kept += 1
                cross += min(max(z[t, s] * z[t - 1, s], -25.0), 25.0)
        # z² of each sensor and not the joint NIS, which chance correlations of a small ensemble make too large
        ratio = square / used
        counted = min(max(independent[t] * used / heard, 1.0), INDEPENDENT)
        bounded = min(ratio, 8.0)
        stays = cross / kept if kept else 0.0
        # ---- is it lost?
        gain = (min(stays / max(ratio, 1.0), 1.0) if kept else PERSISTENT) - PERSISTENT
        # by the variance of a mean of products: few sensors must say it longer
        limit = SURE / (2 * PERSISTENT * counted)
        begun[0] = t if total[0] == 0.0 else begun[0]
        total[0] = min(max(0.0, total[0] + gain), 2 * limit)
        lost_begun = t if lost == 0.0 else lost_begun
        lost = min(max(0.0, lost + (min(ratio, 30.0) - LOST) / LOST), 8.0)
        gone = total[0] > limit or lost > 4.0
        if open_[0] < 0 and gone:
            since = begun[0] if total[0] > limit else lost_begun
            open_[0] = len(events)
            events.append((0.0, -1.0, float(since), float(t), -1.0, stays))
        # ---- is it sure of itself beyond reason, or too modest?
        half = counted / 2
        begun[1] = t if total[1] == 0.0 else begun[1]
        rise = half * (bounded * (1 / HEALTHY - 1 / FAULTY) - np.log(FAULTY / HEALTHY))
        total[1] = min(max(0.0, total[1] + rise), 2 * SURE)
        begun[2] = t if total[2] == 0.0 else begun[2]
        rise = half * (np.log(FAULTY / HEALTHY) - bounded * (FAULTY - HEALTHY))
        total[2] = min(max(0.0, total[2] + rise), 2 * SURE)
        for kind in (1, 2):
            # what is lost is not called over-confident as well
            if open_[kind] < 0 and total[kind] > SURE and not (kind == 1 and (gone or total[0] > limit / 2)):
                open_[kind] = len(events)
                events.append((float(kind), -1.0, float(begun[kind]), float(t), -1.0, ratio))
        for kind in range(3):
            over = total[kind] == 0.0 and (kind > 0 or lost == 0.0)
            if open_[kind] >= 0 and over:
                e = events[open_[kind]]
                events[open_[kind]] = (e[0], e[1], e[2], e[3], float(t), e[5])
                open_[kind] = -1
        # ---- does one sensor pull to one side?
        size += 0.05 * (bounded - size)
        tie += 0.05 * (min(max(stays / max(ratio, 0.1), -0.5), 0.9) - tie)
        width = np.sqrt(max(size, bounded, 1.0))
        bar = HEIGHT * (1 + max(tie, 0.0)) / (1 - max(tie, 0.0))
        for s in range(sensors):
            if not np.isfinite(z[t, s]) or run[s] > 3:
                continue
            own = min(max(z[t, s] / width, -4.0), 4.0)
            up_begun[s] = t if up[s] == 0.0 else up_begun[s]
            up[s] = min(max(0.0, up[s] + own - DRIFT), 2 * bar)
            down_begun[s] = t if down[s] == 0.0 else down_begun[s]
            down[s] = min(max(0.0, down[s] - own - DRIFT), 2 * bar)
            far = max(up[s], down[s])
            if open_bias[s] < 0 and far > bar and not gone and open_[0] < 0 and strange <= max(1, heard // 4):
                open_bias[s] = len(events)
                since = up_begun[s] if up[s] > down[s] else down_begun[s]
                events.append((3.0, float(s), float(since), float(t), -1.0, 1.0 if up[s] > down[s] else -1.0))
            elif open_bias[s] >= 0 and far == 0.0:
                e = events[open_bias[s]]
                events[open_bias[s]] = (e[0], e[1], e[2], e[3], float(t), e[5])
                open_bias[s] = -1
    return events


@numba.njit(nogil=True, cache=True)
def _alone(up, down, run, open_bias, open_stale):  # type: ignore[no-untyped-def]
    return max(up, down) > HEIGHT / 3 or run > 3 or open_bias >= 0 or open_stale >= 0


# ---------------------------------------------------------------- words


def _evidence(fault: str, z: np.ndarray, record: xr.Dataset, sensor: int, since: int, raised: int, value: float) -> str:
    """One sentence with the figures that raised the alarm."""
    span = slice(since, raised + 1)
    cycles = raised - since + 1
    if fault == "sensor stale":
        at = str(np.datetime_as_string(record["time"].to_numpy()[since], unit="s"))
        if value:
            return f"repeats {record['observed'].to_numpy()[raised, sensor]:.6g} since {at}, {cycles} cycles"
        return f"silent since {at}, {cycles} cycles"
    own = z[span]
    if fault == "sensor biased":
        one = own[:, sensor]
        one = one[np.isfinite(one)]
        raw = np.nanmean(record["innovation"].transpose("time", "sensor").to_numpy()[span, sensor])
        return f"mean innovation {raw:+.3g} ({one.mean():+.2f} of its expected spread) over {len(one)} readings"
    said = f"innovations² are {np.nanmean(own**2):.2f} times what is expected over {cycles} cycles"
    if fault == "diverged":
        products = own[1:] * own[:-1]
        stays = (np.nanmean(products) if np.isfinite(products).any() else value) / np.nanmean(own**2)
        return f"{said}; {stays:.0%} of it stays from cycle to cycle"
    if "rank" in record and "members" in record["rank"].attrs:
        ranks, members = record["rank"].to_numpy()[span], int(record["rank"].attrs["members"])
        ends = ((ranks == 0) | (ranks == members)).sum() / max((ranks >= 0).sum(), 1)
        said += f"; {ends:.0%} of readings outside all members, {2 / (members + 1):.0%} expected"
    return said


def _checked(record: Any) -> None:
    needed = ("observed", "innovation", "innovation_spread", "noise", "independent")
    if not isinstance(record, xr.Dataset) or any(n not in record for n in needed) or "time" not in record.coords:
        lost = [n for n in (*needed, "time") if not isinstance(record, xr.Dataset) or n not in record]
        raise TwinError(
            "the record that estimate(...) gives",
            found=f"a {type(record).__name__} without {', '.join(lost)}",
            hint="record, state = assimilate.estimate(...), or join rows of innovation(...) along time",
            where="alarm",
        )
