"""What is wrong with readings: gaps, outages, stuck values, slips of the unit, spikes, clocks that jumped, drift.

Each rule compares a sensor with what it says at that hour on other days and with what its fellows say at that moment,
and measures the difference against the sensor's own scatter. The thresholds stand here by name; how often they are
wrong on healthy readings, and how often they find a fault that was put in, is a test.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import xarray as xr

from twinkit.contract import contract
from twinkit.error import TwinError, close_to
from twinkit.vocabulary import words

__all__ = ["FLAGS", "cleaned", "marked", "quality"]

FLAGS = ("good", "gap", "outage", "stuck", "unit", "spike", "clock", "drift")
"""Their places are the values of ``flag``. Where several hold for a reading, the first of them stands."""

STUCK = 4
"""Readings: a run of the same value is at least this long before anybody wonders."""
CHANCE = 1e-9
"""Of a run as long in a sensor that repeats itself as often as its fellows do."""
SPIKE = 9.0
"""Scatters that a reading stands off the middle of its five."""
SLIP = 5.0
"""Scatters within which a reading lies of what it should be, once the slip is undone."""
LAG = 6
"""Readings that a clock must be off, an hour and a half of quarters."""
GAIN = 0.2
"""Of the mean square of the residuals, in scatters, that a shifted course must save."""
DRIFT = 5.0
"""Scatters of a day's mean, two days in turn."""

FACTORS = (1000.0, 100.0, 3600.0, 60.0)
"""Slips that happen and stand out of the scatter: kilo, percent, hours and seconds, minutes; either way."""
FEW = 5.0
"""Users: so few may stay the same all night, and a cell that has fewer most of the time has no course to compare."""

LOGARITHMIC = ("bit/s", "Wh", "W", "people", "Hz")
FEWEST = 5
"""Sensors from which on their middle says something about each."""
DAY = np.timedelta64(1, "D")


@contract(gives=["flag"], computes=True)
def quality(telemetry: xr.Dataset) -> xr.Dataset:
    r"""A flag for every reading that was due, and the faults that they add up to.

    With y the readings on a scale on which their scatter is even (log-odds of a share, the logarithm of a rate, the
    root of a count), a sensor's residual is

    .. math:: r_t = y_t - a - b\,m_t - p_{h(t)}

    with m the middle of all sensors at that moment, a and b the sensor's own, and p its middle at that quarter of the
    day. s is 1.4826 times the median of \|r - median r\|. The rules, each on every sensor of every variable:

    - **gap**: a reading was due, by the variable's period in the vocabulary, and none is there.
    - **outage**: load, traffic or users are 0 at least twice in turn where the sensor never is at that hour.
    - **stuck**: a run of one value, at least `STUCK` long, that a sensor which repeats itself as often as the middle
      of its fellows does by chance has with less than `CHANCE`. Runs of 0, or of so `FEW` users,
      are no fault of a sensor.
    - **unit**: y is far off, and near (`SLIP` s) once it is divided or multiplied by one of `FACTORS`, or taken as
      kelvin or degrees Fahrenheit; at least twice in turn.
    - **spike**: y is more than `SPIKE` s off the middle of its five neighbours, itself included.
    - **clock**: on two days in turn the course fits better where it is shifted by `LAG` readings or more, both alike.
    - **drift**: the mean of r over a day is more than `DRIFT` scatters of such means off, on two days in turn.

    Parameters
    ----------
    telemetry : Dataset (time, cell or site)
        ``twin["telemetry"].to_dataset()``, one variable or many; variables without ``time`` and one more dim are left
        out. ``time`` is evenly spaced and ascends.

    Returns
    -------
    Dataset
        ``flag`` (time, series) uint8: a place in `FLAGS`. A series is one sensor's readings of one variable, named by
        the coordinates ``variable`` and ``sensor``; `marked` gives the flags of one variable on its own dims.
        The faults found are rows on ``event``: ``event_variable``, ``event_sensor``, ``event_flag``, ``start``,
        ``end`` (its last reading) and ``readings``. ``found.drop_dims("time").to_dataframe()`` makes a table of them.

    Validity
    --------
    Clock and drift need four days; a rhythm that repeats; and a fault that holds for less than half of the time. With
    fewer than five sensors a change in all of them looks like a fault of each. Readings that are no rhythm at all,
    rain for one, are looked at for gaps, and for runs of a value other than 0; counts of users that are below `FEW`
    most of the time, for gaps, outages and runs.

    Errors
    ------
    TwinError
        No Dataset with a ``time`` that ascends evenly; readings in another unit than the vocabulary's.

    Examples
    --------
    >>> times = np.datetime64("2026-03-02", "ns") + np.arange(96) * np.timedelta64(900, "s")
    >>> load = 0.5 + 0.2 * np.sin(np.arange(96) / 9)[:, None] * [1, 0.9]
    >>> load[40:50, 0] = np.nan
    >>> found = quality(xr.Dataset({"load": (("time", "cell"), load)}, {"time": times, "cell": ["a", "b"]}))
    >>> [FLAGS[f] for f in found.event_flag.values], found.event_sensor.values.tolist(), found.readings.values.tolist()
    (['gap'], ['a'], [10])
    """
    times = _times(telemetry)
    names = [
        str(n)
        for n, v in telemetry.data_vars.items()
        if "time" in v.dims and v.ndim == 2 and v.dtype.kind in "fiu" and _other(v) in telemetry.indexes
    ]
    _check_units(telemetry, names)
    whole = telemetry[names].compute()
    flags, variables, sensors, rows = [], [], [], []
    for name in names:
        dim = _other(whole[name])
        values = whole[name].transpose("time", dim).to_numpy().astype(float)
        flag = _flags(name, values, times)
        ids = [str(i) for i in whole[dim].to_numpy().tolist()]
        flags.append(flag)
        variables += [name] * len(ids)
        sensors += ids
        rows += [(name, ids[s], *event) for s, *event in _events(flag, _due(name, times))]
    flag = np.concatenate(flags, axis=1) if flags else np.zeros((len(times), 0), np.uint8)
    columns: list[Any] = list(zip(*rows, strict=True)) if rows else [[]] * 6
    kinds = (object, object, np.uint8, np.int64, np.int64, np.int64)
    named = ("event_variable", "event_sensor", "event_flag", "start", "end", "readings")
    table = {n: ("event", np.array(c, dtype=k)) for n, c, k in zip(named, columns, kinds, strict=True)}
    table |= {n: ("event", times[table[n][1]]) for n in ("start", "end")}
    known = {"flag_values": np.arange(len(FLAGS)).tolist(), "flag_meanings": " ".join(FLAGS)}
    provenance = {"provenance": "modelled: rules of telemetry.quality"}
    return xr.Dataset(
        {"flag": (("time", "series"), flag, known | provenance), **table},
        {
            "time": times,
            "variable": ("series", np.array(variables, dtype=object)),
            "sensor": ("series", np.array(sensors, dtype=object)),
        },
    )


def marked(found: xr.Dataset, variable: str) -> xr.DataArray:
    """The flags of one variable, on time and sensor.

    Parameters
    ----------
    found : Dataset
        From `quality`.
    variable : str

    Returns
    -------
    DataArray (time, sensor) [1]

    Errors
    ------
    TwinError
        `quality` has seen no such variable.
    """
    if "flag" not in found or "series" not in found["flag"].dims:
        raise TwinError("what quality found", found=f"{list(found.data_vars)}", hint="quality(telemetry) first")
    own = found["variable"].to_numpy() == variable
    if not own.any():
        seen = sorted(set(found["variable"].to_numpy().tolist()))
        near = close_to(variable, seen)
        raise TwinError(
            "a variable that quality has looked at",
            found=f"'{variable}'",
            hint=f"did you mean {near}?" if near else f"it saw {', '.join(seen) or 'none'}",
        )
    part = found["flag"].isel(series=own)
    ids = found["sensor"].to_numpy()[own]
    out = part.drop_vars(["variable", "sensor"]).rename(series="sensor").assign_coords(sensor=ids)
    return out.rename(f"{variable}_flag")


def cleaned(telemetry: xr.Dataset, found: xr.Dataset, *, keep: tuple[str, ...] = ("good", "outage")) -> xr.Dataset:
    """The telemetry with every reading left out that is not good; an outage is true and stays.

    Parameters
    ----------
    telemetry : Dataset
    found : Dataset
        `quality` of the same telemetry.
    keep : tuple of str
        The `FLAGS` whose readings stay.

    Returns
    -------
    Dataset like `telemetry`

    Errors
    ------
    TwinError
        The two are not of the same times and sensors, or a flag that there is not.
    """
    strange = [f for f in keep if f not in FLAGS]
    if strange:
        raise TwinError(f"flags among {', '.join(FLAGS)}", found=f"'{strange[0]}'", hint="leave keep out", where="keep")
    out = telemetry
    for name in dict.fromkeys(found["variable"].to_numpy().tolist()):
        flag = marked(found, name)
        if name not in telemetry or not np.array_equal(flag["time"], telemetry["time"]):
            raise TwinError(
                "quality of the same telemetry", found=f"other times or no '{name}'", hint="quality(telemetry) anew"
            )
        dim = _other(telemetry[name])
        if [str(i) for i in telemetry[dim].to_numpy().tolist()] != flag["sensor"].to_numpy().tolist():
            raise TwinError("quality of the same telemetry", found=f"other sensors of '{name}'", hint="do it anew")
        stays = np.isin(flag.to_numpy(), [FLAGS.index(f) for f in keep])
        kept = xr.DataArray(stays, dims=("time", dim))
        out = out.assign({name: telemetry[name].where(kept).assign_attrs(telemetry[name].attrs)})
    return out


# ---------------------------------------------------------------- what is looked at


def _other(array: xr.DataArray) -> str:
    return next((str(d) for d in array.dims if d != "time"), "")


def _times(telemetry: Any) -> np.ndarray:
    if isinstance(telemetry, xr.Dataset) and not telemetry.data_vars and "time" not in telemetry.indexes:
        return np.zeros(0, "datetime64[ns]")
    if not isinstance(telemetry, xr.Dataset) or "time" not in telemetry.indexes:
        raise TwinError(
            "telemetry as a Dataset with an index time",
            found=f"a {type(telemetry).__name__}",
            hint='twin["telemetry"].to_dataset()',
            where="telemetry",
        )
    times = telemetry["time"].to_numpy()
    if times.dtype.kind != "M":
        raise TwinError("time as datetime64", found=f"{times.dtype}", hint="UTC without zone", where="time")
    steps = np.diff(times)
    if (len(times) > 1 and not (steps == steps[0]).all()) or (len(steps) and steps[0] <= np.timedelta64(0)):
        raise TwinError(
            "times that ascend evenly",
            found=f"steps from {steps.min()} to {steps.max()}",
            hint='put gaps back: telemetry.resample(time="15min").nearest(tolerance="1min")',
            where="time",
        )
    return times.astype("datetime64[ns]")


def _check_units(telemetry: xr.Dataset, names: list[str]) -> None:
    known = words()
    for name in names:
        unit = telemetry[name].attrs.get("units")
        if name in known and unit is not None and unit != known[name].unit:
            raise TwinError(
                f"{name} in {known[name].unit}", found=f"unit '{unit}'", hint="convert and stamp it", where=name
            )


def _due(name: str, times: np.ndarray) -> np.ndarray:
    """At which of the times the variable is read (time)."""
    word = words().get(name)
    if word is None or not np.isfinite(word.period) or len(times) < 2:
        return np.ones(len(times), bool)
    period = np.int64(round(word.period * 1e9))
    if period <= np.int64(times[1] - times[0]):
        return np.ones(len(times), bool)
    return np.asarray(times.astype(np.int64) % period == 0)


# ---------------------------------------------------------------- the rules


def _flags(name: str, values: np.ndarray, times: np.ndarray) -> np.ndarray:
    """The flag of every reading of one variable (time, sensor)."""
    out = np.zeros(values.shape, np.uint8)
    due = _due(name, times)
    if not due.any() or not values.size:
        return out
    part = values[due]
    clock = times[due]
    flag = np.zeros(part.shape, np.uint8)
    forward, backward = _scale(name)
    missing = np.isnan(part)
    rhythmic = name != "rain" and len(part) >= 8
    found = {"gap": missing, "stuck": _stuck(part, FEW if name == "users" else 0.0)}
    if rhythmic:
        y = forward(part)
        step = float((clock[1] - clock[0]) / np.timedelta64(1, "s"))
        daily = round(86400 / step) if 86400 % step == 0 else 0
        expected = _expected(y, clock, daily)
        residual = y - expected
        scatter = _scatter(residual)
        found["outage"] = _outage(name, part, expected, backward)
        found["unit"] = _unit(name, part, y, expected, scatter, forward)
        found["spike"] = _spike(residual)
        # one fault must not pass for another: what is spoilt otherwise is left out of the slow rules
        spoilt = found["stuck"] | found["outage"] | found["unit"] | found["spike"]
        slow = np.where(spoilt, np.nan, y)
        if daily and len(part) >= 4 * daily:
            found["clock"] = _clock(slow, expected, scatter, daily)
            found["drift"] = _drift(np.where(found["clock"] | spoilt, np.nan, residual), daily)
        if name == "users":
            lively = _median(part, 0) >= FEW
            found |= {kind: found[kind] & lively for kind in ("unit", "spike", "clock", "drift") if kind in found}
    for kind in reversed(FLAGS[1:]):
        if kind in found:
            flag[found[kind]] = FLAGS.index(kind)
    flag[missing] = FLAGS.index("gap")
    out[due] = flag
    return out


def _scale(name: str) -> tuple[Any, Any]:
    """To a scale on which the scatter is even, and back."""
    word = words().get(name)
    if word is not None and word.unit == "1" and (word.low, word.high) == (0, 1):

        def odds(v: np.ndarray) -> np.ndarray:
            share = np.clip(v, 1e-3, 1 - 1e-3)
            return np.asarray(np.log(share / (1 - share)))

        return odds, lambda y: 1 / (1 + np.exp(-y))
    if word is not None and word.unit in LOGARITHMIC and word.low >= 0:
        return lambda v: np.log(np.maximum(v, 1e-3)), np.exp
    if word is not None and word.unit == "1" and word.low == 0:
        return lambda v: 2 * np.sqrt(np.maximum(v, 0) + 0.375), lambda y: np.maximum((y / 2) ** 2 - 0.375, 0)
    return lambda v: v, lambda y: y


def _median(values: np.ndarray, axis: int) -> np.ndarray:
    """Of what is there; NaN where nothing is, without a word."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return np.asarray(np.nanmedian(values, axis=axis))


def _scatter(residual: np.ndarray) -> np.ndarray:
    """1.4826 times the median deviation of each sensor (sensor)."""
    middle = _median(residual, 0)
    return np.maximum(1.4826 * _median(np.abs(residual - middle), 0), 1e-9)


def _expected(y: np.ndarray, clock: np.ndarray, daily: int) -> np.ndarray:
    """What each sensor should say by its fellows and by its own other days (time, sensor)."""
    own = _median(y, 0)
    out = np.broadcast_to(own, y.shape).copy()
    if y.shape[1] >= FEWEST:
        common = np.nan_to_num(_median(y - own, 1))
        rest = np.where(np.isnan(y), 0.0, y - own)
        # twice, the second time without what lies far off, so that a fault does not bend the slope
        slope = np.ones(y.shape[1])
        for _ in range(2):
            off = np.abs(rest - slope * common[:, None])
            use = ~np.isnan(y) & (off <= 4 * np.maximum(1.4826 * _median(np.where(np.isnan(y), np.nan, off), 0), 1e-9))
            power = (use * common[:, None] ** 2).sum(0)
            slope = np.where(power > 1e-12, (use * rest * common[:, None]).sum(0) / np.maximum(power, 1e-12), 1.0)
        out += slope * common[:, None]
    days = len(y) // daily if daily else 0
    if days >= 4:
        residual = y - out
        slot = (clock.astype(np.int64) // (86_400_000_000_000 // daily)) % daily
        weekend = (clock.astype("datetime64[D]").astype(np.int64) + 3) % 7 >= 5
        group = weekend & (weekend.sum() >= 3 * daily)
        for kind in (False, True):
            rows = np.flatnonzero(group == kind)
            if len(rows) >= 3 * daily:
                order = rows[np.argsort(slot[rows], kind="stable")]
                counts = np.bincount(slot[rows], minlength=daily)
                most = int(counts.max())
                cube = np.full((daily, most, y.shape[1]), np.nan)
                ends = np.cumsum(counts)
                place = np.arange(len(order)) - np.repeat(ends - counts, counts)
                cube[slot[order], place] = residual[order]
                out[rows] += np.nan_to_num(_median(cube, 1))[slot[rows]]
    return out


def _lengths(same: np.ndarray) -> np.ndarray:
    """How many in turn are true up to here (time, sensor)."""
    count = np.zeros(same.shape, np.int32)
    running = np.zeros(same.shape[1], np.int32)
    for i in range(len(same)):
        running = (running + 1) * same[i]
        count[i] = running
    return count


def _runs(same: np.ndarray, least: Any) -> np.ndarray:
    """Where at least so many in turn are true (time, sensor)."""
    if not same.any():
        return np.zeros(same.shape, bool)
    count = _lengths(same)
    out = np.zeros(same.shape, bool)
    alive = np.zeros(same.shape[1], bool)
    for i in range(len(same) - 1, -1, -1):
        end = same[i] if i + 1 == len(same) else same[i] & ~same[i + 1]
        alive = np.where(end, count[i] >= least, alive) & same[i]
        out[i] = alive
    return out


def _stuck(values: np.ndarray, least: float) -> np.ndarray:
    """Runs of one value, larger than `least`, that chance does not make."""
    again = (values[1:] == values[:-1]) & (np.abs(values[1:]) > least)
    # how often a sensor repeats itself by nature: without its longest run, which may be the fault
    longest = _lengths(again).max(0, initial=0)
    pairs = (~np.isnan(values[1:]) & ~np.isnan(values[:-1])).sum(0) - longest
    share = np.where(pairs > STUCK, (again.sum(0) - longest) / np.maximum(pairs, 1), 0.0)
    share = np.clip(np.maximum(share, np.median(share) if len(share) else 0), 1e-9, 0.98)
    long = _runs(again, np.maximum(STUCK, np.ceil(np.log(CHANCE) / np.log(share)) + 1) - 1)
    repeated = np.zeros(values.shape, bool)
    repeated[1:] |= long
    repeated[:-1] |= long
    return repeated


def _outage(name: str, values: np.ndarray, expected: np.ndarray, backward: Any) -> np.ndarray:
    if name not in ("load", "traffic", "users"):
        return np.zeros(values.shape, bool)
    usual = backward(expected)
    # a count of 20 on the average is 0 once in half a billion readings
    some = usual > (20 if name == "users" else 0)
    return _runs((values == 0) & some, 2)


def _unit(
    name: str, values: np.ndarray, y: np.ndarray, expected: np.ndarray, scatter: np.ndarray, forward: Any
) -> np.ndarray:
    undone = [values / f for f in FACTORS] + [values * f for f in FACTORS]
    word = words().get(name)
    if word is not None and word.unit == "degC":
        undone = [values - 273.15, (values - 32) / 1.8]
    elif word is not None and word.low < 0:
        return np.zeros(values.shape, bool)
    raw = np.abs(y - expected) / scatter
    if word is not None and word.high == 1:
        raw = np.where(values > 1, np.inf, raw)
    far = raw > 3 * SLIP
    out = np.zeros(values.shape, bool)
    if not far.any():
        return out
    where = np.nonzero(far)
    for candidate in undone:
        off = np.abs(forward(candidate[where]) - expected[where]) / scatter[where[1]]
        inside = (candidate[where] <= word.high) if word is not None else True
        out[where] |= (off < SLIP) & inside
    return _runs(out, 2)


def _spike(residual: np.ndarray) -> np.ndarray:
    padded = np.concatenate([residual[2:0:-1], residual, residual[-2:-4:-1]])
    five = np.stack([padded[k : k + len(residual)] for k in range(5)])
    middle = np.sort(five, axis=0)  # NaN go last, so that few are left out of the middle
    count = (~np.isnan(five)).sum(0)
    middle = np.take_along_axis(middle, np.maximum((count - 1) // 2, 0)[None], 0)[0]
    off = residual - middle
    scatter = np.maximum(_scatter(np.where(off == 0, np.nan, off)), 0.2 * _scatter(residual))
    return np.asarray((np.abs(off) > SPIKE * scatter) & (count >= 3))


def _by_day(values: np.ndarray, daily: int) -> np.ndarray:
    """(day, reading of the day, sensor); the last day may overlap the one before it."""
    days = len(values) // daily
    return values[: days * daily].reshape(days, daily, -1)


def _over_days(flag: np.ndarray, daily: int, length: int) -> np.ndarray:
    """A flag of each day, on its readings; what is left after the last whole day goes with it."""
    out = np.repeat(flag, daily, axis=0)
    return np.concatenate([out, np.repeat(out[-1:], length - len(out), axis=0)])


def _clock(y: np.ndarray, expected: np.ndarray, scatter: np.ndarray, daily: int) -> np.ndarray:
    """Days on which the course fits better elsewhere, by correlation round the clock."""
    said, due = _by_day(y, daily), _by_day(expected, daily)
    there = ~np.isnan(said)
    count = np.maximum(there.sum(1, keepdims=True), 1)
    said = np.where(there, said - np.nansum(said, 1, keepdims=True) / count, 0.0)
    due = due - due.mean(1, keepdims=True)
    one, two = np.fft.rfft(said, axis=1), np.fft.rfft(due, axis=1)
    match = np.fft.irfft(np.conj(two) * one, n=daily, axis=1)
    lag = match.argmax(1)
    lag = np.where(lag > daily // 2, lag - daily, lag)
    best, here = match.max(1), match[:, 0]
    # twice the gain is what the squares of the residuals fall by; correlated noise brings a part of it by itself
    gain = 2 * (best - here) / (scatter**2 * daily)
    rhythm = (due**2).mean(1) > 0.5 * scatter**2
    off = (np.abs(lag) >= LAG * daily / 96) & (gain > GAIN) & rhythm & (there.sum(1) > 0.7 * daily)
    # noise shifts one day this way and the next that way, a clock that jumped shifts them alike
    alike = off[1:] & off[:-1] & (np.abs(np.diff(lag, axis=0)) <= LAG * daily / 96)
    flag = np.zeros(off.shape, bool)
    flag[1:] |= alike
    flag[:-1] |= alike
    return _over_days(flag, daily, len(y)) & ~np.isnan(y)


def _drift(residual: np.ndarray, daily: int) -> np.ndarray:
    parts = _by_day(residual, daily)
    there = (~np.isnan(parts)).sum(1)
    mean = np.where(there >= daily / 3, np.nansum(parts, 1) / np.maximum(there, 1), np.nan)
    middle = _median(mean, 0)
    scatter = np.maximum(1.4826 * _median(np.abs(mean - middle), 0), 0.3 * _scatter(residual))
    off = np.nan_to_num(mean - middle)
    flag = _runs(off > DRIFT * scatter, 2) | _runs(-off > DRIFT * scatter, 2)
    return _over_days(flag, daily, len(residual)) & ~np.isnan(residual)


def _events(flag: np.ndarray, due: np.ndarray) -> list[tuple[int, int, int, int, int]]:
    """Runs of one flag: sensor, flag, first and last position, readings."""
    rows = np.flatnonzero(due)
    part = flag[rows]
    if not part.any():
        return []
    change = np.ones((len(part) + 1, part.shape[1]), bool)
    change[1:-1] = part[1:] != part[:-1]
    out = []
    for sensor in np.flatnonzero(part.any(0)):
        edges = np.flatnonzero(change[:, sensor])
        for a, b in itertools.pairwise(edges):
            if part[a, sensor]:
                out.append((int(sensor), int(part[a, sensor]), int(rows[a]), int(rows[b - 1]), int(b - a)))
    return out
