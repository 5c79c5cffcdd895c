"""The one loop that runs a dynamic model: `step(state, dt, forcing, rng) -> state`, again and again.

The same step function simulates here, forecasts and assimilates there, and answers what-ifs: a ``member`` dim of
the state broadcasts through it.
"""

from __future__ import annotations

import inspect
import sys
import time
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pandas as pd
import xarray as xr

from twinkit.contract import stamp, whole_seed, within
from twinkit.error import TwinError
from twinkit.vocabulary import words

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

__all__ = ["generators", "shown", "simulate"]

Item = TypeVar("Item")

# Wider than a person's: a forecast joins its seed and the instant at which it starts into one.
SEED_BITS = 128
PATIENCE = 2.0
"""Seconds before a progress bar appears."""


def simulate(
    step: Callable[..., Any],
    state: xr.Dataset,
    *,
    times: Any = None,
    steps: int | None = None,
    dt: float | None = None,
    forcing: xr.Dataset | Callable[[Any], Any] | None = None,
    seed: int,
    over: str | None = None,
    every: int = 1,
    progress: bool = True,
) -> xr.Dataset:
    r"""The states that a model runs through, on ``time``.

    .. math:: s_{i+1} = step(s_i,\ t_{i+1} - t_i,\ F(t_i),\ rng_i)

    Parameters
    ----------
    step : function of (state, dt, forcing, rng)
        Gives the next state: a Dataset with the same variables, dims and sizes. `dt` is in seconds, `forcing` what
        holds during the step (None where none is given), `rng` a `numpy.random.Generator` of that step. It must not
        change its arguments.
    state : Dataset
        Where the model starts.
    times : array of datetime64 (n,), optional
        When, in UTC, ascending; the first is the time of `state`.
    steps, dt : int and float [s], optional
        Instead of `times`: how many steps of which length, from the state's scalar coordinate ``time`` on. Where it
        has none, ``time`` of the result is what has passed (timedelta64).
    forcing : Dataset with dim time, or function of a time, optional
        Each step takes the values of the latest time not after its start.
    seed : int
        Same seed, same bytes. Step i draws from a stream of its own, whatever the steps before it drew.
    over : str, optional
        A dim (``"member"``, ``"draw"``) along which each index runs by itself with a stream of its own, in parallel
        under dask's scheduler or a ``dask.distributed`` client: the same bytes whatever the number of workers, and
        member 3 is the same in an ensemble of 5 as in one of 500. Without it the state goes through `step` whole,
        which is faster where `step` is vectorised.
    every : int
        Keep the start, then every so manieth state, and always the last.
    progress : bool
        Show a bar once the run has taken two seconds.

    Returns
    -------
    Dataset (time, ...)
        Computed. Known variables are stamped with the vocabulary's unit, the others keep the attributes that they
        had at the start.

    Errors
    ------
    TwinError
        A step that gives something else than a like state, or a value that is not finite where all were before, is
        stopped at once, with its number, variable and place; so is a state changed in place. Times that do not
        ascend, forcing that does not cover them, or both or neither of `times` and `steps`.

    Examples
    --------
    Newton's cooling towards the forcing, one hour by the minute:

    >>> def cooling(state, dt, forcing, rng):
    ...     return state + (forcing - state) * dt / 1200
    >>> warm = xr.Dataset({"warmth": ("room", [40.0, 30.0])})
    >>> run = simulate(cooling, warm, steps=60, dt=60, forcing=lambda time: 20.0, seed=1)
    >>> dict(run.sizes), run.warmth.isel(time=-1).values.round(2).tolist()
    ({'time': 61, 'room': 2}, [20.92, 20.46])
    """
    if not isinstance(state, xr.Dataset):
        raise TwinError(
            "a Dataset as state", found=f"a {type(state).__name__}", hint="name it: array.to_dataset(name='load')",
            where="state",
        )  # fmt: skip
    _check_step(step)
    within(every, 1, np.inf, name="every", unit="steps")
    clock = _clock(state, times, steps, dt)
    # Read from disk or graph once, here; a copy, so that a step that changes it in place cannot harm the caller.
    start = state.drop_vars("time", errors="ignore").compute().copy(deep=True)
    _check_finite(start, start, "the start", "state")
    _check_forcing(forcing, clock)
    forcing = forcing.compute() if isinstance(forcing, xr.Dataset) else forcing
    root = np.random.SeedSequence(whole_seed(seed, bits=SEED_BITS))
    keep = _kept(len(clock), every)
    if over is None:
        out = _run(step, start, clock, forcing, root, keep, progress)
    else:
        out = _each(step, start, clock, forcing, root, keep, progress, over)
    return _described(out, start)


def generators(seed: int, count: int) -> list[np.random.Generator]:
    """As many independent random streams: stream i is the same however many are asked for.

    Parameters
    ----------
    seed : int
    count : int

    Examples
    --------
    >>> a, b = generators(1, 2)[1].random(), generators(1, 9)[1].random()
    >>> a == b
    True
    """
    return [np.random.default_rng(s) for s in np.random.SeedSequence(whole_seed(seed, bits=SEED_BITS)).spawn(count)]


# ---------------------------------------------------------------- one run


def _run(
    step: Callable[..., Any],
    start: xr.Dataset,
    clock: pd.Index,
    forcing: Any,
    root: np.random.SeedSequence,
    keep: np.ndarray,
    progress: bool,
) -> xr.Dataset:
    kept: dict[str, np.ndarray] = {}
    state, row = start, 1
    seconds = np.diff(clock.to_numpy()).astype("timedelta64[ns]").astype(float) / 1e9
    for i in shown(range(len(clock) - 1), progress):
        # spawned by number, not in turn: step i has its stream even if step i - 1 drew nothing
        rng = np.random.default_rng(np.random.SeedSequence(root.entropy, spawn_key=(*root.spawn_key, i)))
        before = state.copy(deep=True) if i == 0 else None
        new = _like(step(state, float(seconds[i]), _forced(forcing, clock[i]), rng), state, i)
        if before is not None and not state.identical(before):
            raise TwinError(
                "a step that leaves its arguments as they were",
                found="a state changed in place",
                hint="return state.assign(...) or state + ...",
                where=f"step {i + 1}",
            )
        _check_finite(new, state, f"step {i + 1} ({clock[i + 1]})", "state")
        state = new
        kept = kept or _room(start, state, len(keep))
        if keep[row] == i + 1:
            _put(kept, state, row)
            row += 1
    kept = kept or _room(start, start, len(keep))
    data = {name: (("time", *start[name].dims), values) for name, values in kept.items()}
    return xr.Dataset(data, coords={**start.coords, "time": ("time", clock[keep])})


def _room(start: xr.Dataset, state: xr.Dataset, count: int) -> dict[str, np.ndarray]:
    """Arrays for all kept states, the start already in; integers become floats where the model makes them so."""
    kept = {
        str(k): np.empty((count, *v.shape), np.result_type(v.dtype, state[k].dtype)) for k, v in start.data_vars.items()
    }
    _put(kept, start, 0)
    return kept


def _put(kept: dict[str, np.ndarray], state: xr.Dataset, row: int) -> None:
    for name, array in kept.items():
        array[row] = state[name].to_numpy()


def _each(
    step: Callable[..., Any],
    start: xr.Dataset,
    clock: pd.Index,
    forcing: Any,
    root: np.random.SeedSequence,
    keep: np.ndarray,
    progress: bool,
    over: str,
) -> xr.Dataset:
    """Every index along `over` by itself: one task each, whose stream hangs on its position alone."""
    import dask
    from dask.diagnostics import ProgressBar

    if over not in start.dims:
        raise TwinError(
            f"a dim among {', '.join(map(str, start.dims))}",
            found=f"'{over}'",
            hint=f"expand it: state.expand_dims({over}=20)",
            where="over",
        )
    count = start.sizes[over]
    fixed = [n for n, v in start.data_vars.items() if over not in v.dims]
    if fixed:
        raise TwinError(
            f"variables that all have the dim '{over}'",
            found=f"'{fixed[0]}' without it",
            hint=f"expand it: state['{fixed[0]}'].expand_dims({over}={count})",
            where="state",
        )
    driven = isinstance(forcing, xr.Dataset) and over in forcing.dims
    shared = None if driven else dask.delayed(forcing)
    runs = [
        dask.delayed(_run, pure=False)(
            step,
            start.isel({over: i}),
            clock,
            forcing.isel({over: i}) if driven else shared,
            np.random.SeedSequence(root.entropy, spawn_key=(i,)),
            keep,
            False,
        )
        for i in range(count)
    ]
    if progress:
        with ProgressBar(minimum=PATIENCE):
            done = dask.compute(*runs)
    else:
        done = dask.compute(*runs)
    out = xr.concat(done, dim=over, coords="minimal", compat="override", join="override")
    out = out.transpose("time", *(d for d in start.dims if d in out.dims), missing_dims="ignore")
    axis = {over: start[over]} if over in start.coords else {}
    ordered = {n: out[n].transpose("time", *start[n].dims) for n in start.data_vars}
    return out.assign(ordered).drop_vars(over, errors="ignore").assign_coords(axis)


# ---------------------------------------------------------------- what a step is held to


def _like(new: Any, old: xr.Dataset, i: int) -> xr.Dataset:
    where = f"step {i + 1}"
    if not isinstance(new, xr.Dataset):
        raise TwinError(
            "a Dataset from step", found=f"a {type(new).__name__}", hint="return the next state", where=where
        )
    lost, more = set(old.data_vars) - set(new.data_vars), set(new.data_vars) - set(old.data_vars)
    if lost or more:
        raise TwinError(
            f"the variables {', '.join(map(str, old.data_vars))}",
            found=f"no '{min(map(str, lost))}'" if lost else f"'{min(map(str, more))}' as well",
            hint="return every variable of the state; start with all that the model carries",
            where=where,
        )
    for name, was in old.data_vars.items():
        got = new[name]
        if set(got.dims) != set(was.dims) or any(got.sizes[d] != was.sizes[d] for d in was.dims):
            raise TwinError(
                f"'{name}' on ({', '.join(f'{d}: {n}' for d, n in was.sizes.items())})",
                found=f"({', '.join(f'{d}: {n}' for d, n in got.sizes.items())})",
                hint="a dim too many comes from a forcing or an array that broadcasts, a size too few from an"
                " alignment of different labels",
                where=where,
            )
    return new[list(old.data_vars)].transpose(*old.dims, missing_dims="ignore").map(_ordered, args=(old,)).compute()


def _ordered(array: xr.DataArray, like: xr.Dataset) -> xr.DataArray:
    return array.transpose(*like[array.name].dims)


def _check_finite(new: xr.Dataset, old: xr.Dataset, when: str, where: str) -> None:
    for name, array in new.data_vars.items():
        if array.dtype.kind != "f":
            continue
        values, before = array.to_numpy(), old[name].to_numpy()
        # what was unknown before may stay unknown
        bad = (
            np.isinf(values) | (np.isnan(values) & ~np.isnan(before))
            if before.dtype.kind == "f"
            else ~np.isfinite(values)
        )
        if bad.any():
            at = np.unravel_index(np.flatnonzero(bad)[0], values.shape)
            spot = ", ".join(
                f"{d} {array[d].to_numpy()[i] if d in array.coords else i}" for d, i in zip(array.dims, at, strict=True)
            )
            raise TwinError(
                f"finite values of '{name}'",
                found=f"{values[at]} at {spot or 'its only value'} after {when}",
                hint="take a shorter dt, or look for a division by zero or a logarithm of zero in step",
                where=where,
            )


def _check_step(step: Any) -> None:
    try:
        inspect.signature(step).bind(None, None, None, None)
    except (TypeError, ValueError):
        found = f"{getattr(step, '__name__', repr(step))}"
        if callable(step):
            found += str(inspect.signature(step)) if not isinstance(step, type) else ""
        raise TwinError(
            "a function step(state, dt, forcing, rng)",
            found=found,
            hint="let it take the four in this order, used or not",
            where="step",
        ) from None


def _check_forcing(forcing: Any, clock: pd.Index) -> None:
    if forcing is None or callable(forcing):
        return
    if not isinstance(forcing, xr.Dataset) or "time" not in forcing.indexes:
        raise TwinError(
            "a Dataset with a time index, or a function of time",
            found=f"a {type(forcing).__name__}" + (" without a time index" if isinstance(forcing, xr.Dataset) else ""),
            hint="give forcing=lambda time: ... for a constant",
            where="forcing",
        )
    index = forcing.indexes["time"]
    if not index.is_monotonic_increasing:
        raise TwinError(
            "forcing in the order of time", found="times that go back", hint="forcing.sortby('time')", where="forcing"
        )
    if index.dtype.kind != clock.dtype.kind:
        raise TwinError(
            f"forcing over {'times' if clock.dtype.kind == 'M' else 'time that has passed'}",
            found=f"{index.dtype}",
            hint="give times=, or a state with a scalar coordinate time",
            where="forcing",
        )
    if len(clock) > 1 and index[0] > clock[0]:
        raise TwinError(
            f"forcing from {clock[0]} on", found=f"a start at {index[0]}", hint="add the time before", where="forcing"
        )


def _forced(forcing: Any, now: Any) -> Any:
    if forcing is None:
        return None
    if callable(forcing):
        return forcing(now)
    return forcing.isel(time=int(forcing.indexes["time"].searchsorted(now, side="right")) - 1)


# ---------------------------------------------------------------- time, keeping, progress


def _clock(state: xr.Dataset, times: Any, steps: int | None, dt: float | None) -> pd.Index:
    if (times is None) == (steps is None or dt is None) or (times is not None and (steps, dt) != (None, None)):
        raise TwinError(
            "either times=, or steps= with dt=",
            found=", ".join(k for k, v in (("times", times), ("steps", steps), ("dt", dt)) if v is not None)
            or "neither",
            hint="simulate(step, state, steps=96, dt=900, seed=1)",
            where="times",
        )
    if times is None:
        within(steps, 0, np.inf, name="steps", unit="1")
        within(dt, 1e-9, 3e10, name="dt", unit="s")
        passed = pd.to_timedelta(np.round(np.arange(int(steps or 0) + 1) * float(dt or 0) * 1e9), unit="ns")
        if "time" in state.coords and state["time"].ndim == 0:
            return pd.DatetimeIndex(pd.Timestamp(state["time"].to_numpy().item()) + passed, name="time")
        return pd.TimedeltaIndex(passed, name="time")
    try:
        clock = pd.DatetimeIndex(np.asarray(times))
    except (TypeError, ValueError):
        raise TwinError(
            "times as datetime64",
            found=f"{np.asarray(times).dtype} values",
            hint="pandas.date_range(...)",
            where="times",
        ) from None
    if len(clock) == 0 or clock.hasnans or not clock.is_monotonic_increasing or not clock.is_unique:
        raise TwinError(
            "times that ascend", found="none" if len(clock) == 0 else "times that stand, go back or are missing",
            hint="sort them and drop what comes twice", where="times",
        )  # fmt: skip
    return clock.rename("time")


def _kept(count: int, every: int) -> np.ndarray:
    keep = np.arange(0, count, int(every))
    return keep if keep[-1] == count - 1 else np.append(keep, count - 1)


def shown(items: Collection[Item], progress: bool = True) -> Iterator[Item]:
    """The items, with a bar on stderr once they have taken a while."""
    began, drawn = time.monotonic(), 0.0
    for done, item in enumerate(items):
        yield item
        now = time.monotonic()
        if progress and now - began > PATIENCE and now - drawn > 0.2:
            drawn, share = now, (done + 1) / len(items)
            bar = "#" * int(30 * share)
            left = (now - began) * (1 - share) / share
            print(f"\r[{bar:<30}] {share:4.0%}, {left:.0f} s left", end="", file=sys.stderr, flush=True)
    if drawn:
        print(f"\r[{'#' * 30}] 100%, {time.monotonic() - began:.1f} s   ", file=sys.stderr, flush=True)


def _described(out: xr.Dataset, start: xr.Dataset) -> xr.Dataset:
    known = words()
    data = {}
    for name in out.data_vars:
        array, attrs = out[name], dict(start[name].attrs)
        w = known.get(str(name))
        if w is not None and w.fits(array.dims) and attrs.get("units", w.unit) == w.unit:
            array = stamp(array.assign_attrs(attrs), str(name), given_by="twinkit.dynamics.simulate")
        else:
            array = array.assign_attrs(attrs)
        data[name] = array
    return out.assign(data).assign_attrs(start.attrs)
