"""Forecast, update, and the two in turn: the cycle that keeps a twin beside its readings."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numba
import numpy as np
import pandas as pd
import xarray as xr

from twinkit.assimilate.belief import checked
from twinkit.assimilate.local import Local
from twinkit.assimilate.localise import neighbours, positions
from twinkit.assimilate.observation import Readings, View, readings, record, surprise
from twinkit.assimilate.transform import _transformed, rotation, square_root
from twinkit.contract import whole_seed
from twinkit.dynamics import simulate
from twinkit.error import TwinError

if TYPE_CHECKING:
    from collections.abc import Callable

    from twinkit.assimilate.observation import Observe
    from twinkit.assimilate.transform import Method

    Step = Callable[[xr.Dataset, float, Any, np.random.Generator], xr.Dataset]

__all__ = ["estimate", "forecast", "update"]


def forecast(
    state: xr.Dataset,
    step: Step,
    *,
    until: Any,
    seed: int,
    dt: float | None = None,
    forcing: Any = None,
) -> xr.Dataset:
    """The state at a later time, by the model's own step.

    Parameters
    ----------
    state : Dataset
        With a scalar coordinate ``time``; with dim ``member`` or without.
    step : function of (state, dt, forcing, rng)
        As `dynamics.simulate` takes it.
    until : datetime64 or DataArray of one
        Not before the state's time.
    seed : int
        Each start time draws from a stream of its own, so that one seed serves a whole run.
    dt : float [s], optional
        Longest step; the way is divided evenly. Without it, one step.
    forcing : Dataset with dim time, or function of a time, optional

    Returns
    -------
    Dataset with its new ``time``

    Errors
    ------
    TwinError
        A state without time, a way back, or what `dynamics.simulate` refuses.

    Examples
    --------
    >>> def halve(state, dt, forcing, rng):
    ...     return state * 0.5 ** (dt / 3600)
    >>> now = xr.Dataset({"load": ("cell", [0.8])}, {"time": np.datetime64("2026-03-01T00:00", "ns")})
    >>> forecast(now, halve, until=np.datetime64("2026-03-01T02:00"), seed=1)["load"].values
    array([0.2])
    """
    clock = _clock(_time(state).value, _instant(until).value, dt)
    if len(clock) == 1:
        return state
    run = simulate(
        step,
        state,
        times=pd.DatetimeIndex(clock),
        forcing=forcing,
        seed=_stream(seed, clock[0]),
        every=len(clock) - 1,
        progress=False,
    )
    return run.isel(time=-1)


def update(
    state: xr.Dataset,
    seen: xr.DataArray | xr.Dataset,
    *,
    noise: Any,
    method: Method | Local | None = None,
    observe: Observe | None = None,
    seed: int = 0,
) -> xr.Dataset:
    """The forecast, drawn towards the readings as far as both are trusted.

    Every method is a mixture of members, so that all variables of the state that have a dim ``member`` are updated,
    observed or not: a parameter that is part of the state is estimated with it.

    Parameters
    ----------
    state : Dataset with dim member
        A forecast for the time of the readings.
    seen : DataArray named as the state's variable that it reads, or Dataset of several
        Readings of one time; NaN where a sensor was silent. Sensors are matched by their labels.
    noise : float, DataArray, or mapping of variable to either [unit of the reading]
        Standard deviation of a reading, independent between sensors.
    method : function or `letkf(...)`, optional
        `perturbed()`, `square_root()`, `finite_size()`, `particle()`, `letkf(radius=...)` or a function of your own
        (see `twinkit.assimilate.transform`). Without it the square root filter.
    observe : function of the state, optional
        What the sensors would read: gives a DataArray (or Dataset) in the dims of `seen` and ``member``.
    seed : int
        Each time draws from a stream of its own.

    Returns
    -------
    Dataset like `state`; lazy where `state` is

    Validity
    --------
    Kalman methods weigh by mean and covariance alone: a variable with bounds (a load between 0 and 1) may leave them.

    Errors
    ------
    TwinError
        Readings that match nothing in the state, readings of another time, noise that is not positive.

    Examples
    --------
    >>> state = xr.Dataset({"load": (("member", "cell"), [[0.2], [0.4], [0.6]])}, {"cell": ["a"]})
    >>> seen = xr.DataArray([0.6], {"cell": ["a"]}, "cell", name="load")
    >>> update(state, seen, noise=0.2)["load"].mean("member").values
    array([0.5])
    """
    row = readings(seen, noise)
    if len(row.times) != 1:
        raise TwinError(
            "readings of one time", found=f"{len(row.times)} times", hint="estimate(...) goes through all of them",
            where="seen",
        )  # fmt: skip
    if "time" in checked(state).coords and not np.isnat(row.times[0]):
        was = _time(state)
        if was != pd.Timestamp(row.times[0]):
            raise TwinError(
                f"a forecast for {row.times[0]}, when the readings were taken",
                found=f"the state of {was}",
                hint="state = assimilate.forecast(state, step, until=seen.time, seed=1)",
                where="state",
            )
    plan = _Plan(state, row, method, observe)
    out, _ = plan.updated(state, plan.view.predicted(state), 0, seed)
    return out


def estimate(
    state: xr.Dataset,
    step: Step,
    seen: xr.DataArray | xr.Dataset,
    *,
    noise: Any,
    seed: int,
    method: Method | Local | None = None,
    observe: Observe | None = None,
    forcing: Any = None,
    dt: float | None = None,
) -> tuple[xr.Dataset, xr.Dataset]:
    """Forecast to each reading and update, through a whole series: the estimate, its doubt, and the record of both.

    The same numbers as `forecast` and `update` called in turn with the same seed, without their overhead.

    Parameters
    ----------
    state : Dataset with dim member and scalar ``time``
        The first belief, not after the first reading.
    step, forcing, dt, seed
        As for `forecast`.
    seen : DataArray or Dataset with dim time
        Readings at any times, ascending; NaN where a sensor was silent.
    noise, method, observe
        As for `update`.

    Returns
    -------
    record : Dataset (time, ...)
        Each variable's mean and ``<variable>_spread`` after the update, and what `innovation` gives for each time:
        `alarm` reads it.
    state : Dataset
        The belief after the last reading, from which the next call goes on.

    Errors
    ------
    TwinError
        As `forecast` and `update`.

    Examples
    --------
    >>> from twinkit.assimilate.belief import ensemble
    >>> def stay(state, dt, forcing, rng):
    ...     return state
    >>> first = xr.Dataset({"load": ("cell", [0.5])}, {"cell": ["a"], "time": np.datetime64("2026-03-01", "ns")})
    >>> first = ensemble(first, members=40, spread=0.2, seed=1)
    >>> hours = pd.date_range("2026-03-01", periods=24, freq="h")
    >>> seen = xr.DataArray(np.full((24, 1), 0.7), {"time": hours, "cell": ["a"]}, ("time", "cell"), name="load")
    >>> record, last = estimate(first, stay, seen, noise=0.1, seed=1)
    >>> record["load"].values[-1].round(2), record.load_spread.values[-1].round(2)
    (array([0.7]), array([0.02]))
    """
    series = readings(seen, noise)
    if np.isnat(series.times[0]):
        raise TwinError("readings with a dim time", found="none", hint="seen.expand_dims(time=[...])", where="seen")
    clock, now = pd.DatetimeIndex(series.times), _time(checked(state))
    if clock[0] < now:
        raise TwinError(
            f"readings from {now} on, where the state stands", found=f"{clock[0]}", hint="seen.sel(time=slice(...))",
            where="seen",
        )  # fmt: skip
    plan = _Plan(state, series, method, observe)
    ledger = _Ledger(state, series)
    instants = series.times.astype(np.int64).tolist()
    for k, then in enumerate(instants):
        # the first way is gone with every check of dynamics.simulate, the others lightly
        state = forecast(state, step, until=clock[0], seed=seed, dt=dt, forcing=forcing) if k == 0 else _advanced(
            state, step, instants[k - 1], then, dt, forcing, seed)  # fmt: skip
        predicted = plan.view.predicted(state)
        state, draws = plan.updated(state, predicted, k, seed)
        ledger.write(k, state, predicted, draws)
    return ledger.closed(series), state.assign_coords(time=clock[-1].to_datetime64())


# ---------------------------------------------------------------- the update of a state


class _Plan:
    """What stays the same from cycle to cycle: where the sensors lie in the state, and who hears whom."""

    def __init__(self, state: xr.Dataset, series: Readings, method: Any, observe: Observe | None) -> None:
        self.series, self.view = series, View(state, series, observe)
        self.instants = series.times.astype(np.int64).tolist()
        self.gaps = np.isnan(series.read)
        self.silent, self.some = self.gaps.all(1).tolist(), self.gaps.any(1).tolist()
        self.streams: dict[int, Any] = {}
        self.method: Any = square_root() if method is None else method
        if not (callable(self.method) or isinstance(self.method, Local)):
            raise TwinError(
                "a method: perturbed(), square_root(), letkf(radius=...), or a function",
                found=repr(method),
                hint="method=assimilate.square_root(inflation=1.02)",
                where="method",
            )
        self.every = list(map(str, state.data_vars))
        self.names = [str(n) for n, v in state.data_vars.items() if "member" in v.dims]
        for name in self.names:
            if state[name].dtype.kind != "f":
                raise TwinError(
                    "floating-point variables in the ensemble", found=f"{state[name].dtype} values",
                    hint="state.astype(float)", where=name,
                )  # fmt: skip
        self.places: dict[tuple[str, ...], Any] = {}
        self.dims: dict[str, tuple[str, ...] | None] = {}
        if isinstance(self.method, Local):
            sensors = self.view.positions(state, self.method.along)
            for name in self.names:
                place = positions(state[name].isel(member=0), self.method.along)
                self.dims[name] = place[0] if place else None
                if place and place[0] not in self.places:
                    self.places[place[0]] = neighbours(
                        place[1], sensors, radius=self.method.radius, period=self.method.box
                    )

    def updated(self, state: xr.Dataset, predicted: np.ndarray, k: int, seed: int) -> tuple[xr.Dataset, np.ndarray]:
        """The state after readings k, and the standard normal draws that the record's ranks use."""
        observed, noise = self.series.read[k], self.series.noise[k]
        rng = self._rng(seed, self.instants[k])
        draws = rng.standard_normal(predicted.shape)
        if self.silent[k]:
            return state, draws
        if isinstance(self.method, Local):
            sigma = np.where(self.gaps[k], np.inf, noise) if self.some[k] else noise
            return self._locally(state, predicted, observed, sigma, rng), draws
        if self.some[k]:
            heard = ~self.gaps[k]
            predicted, observed, noise = predicted[:, heard], observed[heard], noise[heard]
        weights = self.method(predicted, observed, noise, rng)
        if getattr(weights, "shape", None) != (len(predicted),) * 2:
            raise TwinError(
                f"weights of shape {(len(predicted),) * 2} from the method",
                found=f"{getattr(weights, 'shape', type(weights).__name__)}",
                hint="row i makes new member i from all old ones",
                where="method",
            )
        variables = state.variables
        return state.copy(data=self._all(state, {n: _mixed(variables[n], weights) for n in self.names})), draws

    def _rng(self, seed: int, instant: int) -> np.random.Generator:
        """A stream for each instant: a counter-based generator set to a place of its own, far from all others."""
        if seed not in self.streams:
            self.streams[seed] = np.random.Generator(np.random.Philox(key=whole_seed(seed)))
            self.blank = self.streams[seed].bit_generator.state
        rng: np.random.Generator = self.streams[seed]
        self.blank["state"]["counter"][2] = instant & (2**64 - 1)
        rng.bit_generator.state = self.blank
        return rng

    def _all(self, state: xr.Dataset, new: dict[str, Any]) -> dict[str, Any]:
        variables = state.variables
        return {n: new[n] if n in new else variables[n]._data for n in self.every}

    def _locally(
        self,
        state: xr.Dataset,
        predicted: np.ndarray,
        observed: np.ndarray,
        noise: np.ndarray,
        rng: np.random.Generator,
    ) -> xr.Dataset:
        method = self.method
        turn = rotation(len(predicted), rng) if method.rotate else None
        new: dict[str, Any] = {}
        variables = state.variables
        everywhere = [n for n in self.names if self.dims[n] is None]
        if everywhere:
            heard = np.isfinite(noise)
            weights = _transformed(predicted[:, heard], observed[heard], noise[heard], 1.0, method.inflation, turn)
            new |= {n: _mixed(variables[n], weights) for n in everywhere}
        for dims, near in self.places.items():
            names = [n for n in self.names if self.dims[n] == dims]
            lazy = [n for n in names if hasattr(variables[n]._data, "dask")]
            for name in lazy:
                new[name] = _local_blocks(state[name], dims, near, method, predicted, observed, noise, turn)
            eager = [n for n in names if n not in lazy]
            if not eager:
                continue
            order = {n: _arranged(variables[n], dims) for n in eager}
            stacked = (
                next(iter(order.values()))[0] if len(eager) == 1 else np.concatenate([o[0] for o in order.values()])
            )
            done = method.updated(stacked, near, predicted, observed, noise, turn)
            begin = 0
            for name, (rows, back) in order.items():
                new[name] = back(done[begin : begin + len(rows)])
                begin += len(rows)
        return state.copy(data=self._all(state, new))


def _mixed(variable: xr.Variable, weights: Any) -> Any:
    """Weights (new, old) times the members, wherever their dim stands; lazy where the variable is."""
    if hasattr(variable._data, "dask"):
        mixed = xr.apply_ufunc(
            lambda block: (weights @ block.reshape(-1, block.shape[-1]).T).T.reshape(block.shape).astype(block.dtype),
            variable.chunk({"member": -1}),
            input_core_dims=[["member"]],
            output_core_dims=[["member"]],
            dask="parallelized",
            output_dtypes=[variable.dtype],
        )
        return mixed.transpose(*variable.dims).data
    at = variable.dims.index("member")
    moved = np.moveaxis(np.asarray(variable.data), at, 0)
    out = weights.astype(moved.dtype, copy=False) @ moved.reshape(len(moved), -1)
    return np.moveaxis(out.reshape(moved.shape), 0, at)


def _arranged(variable: xr.Variable, dims: tuple[str, ...]) -> tuple[np.ndarray, Callable[[np.ndarray], np.ndarray]]:
    """The variable as (rest, member, location), and the way back."""
    if variable.dims == ("member", *dims):
        shape = variable.shape
        return np.asarray(variable.data).reshape(1, shape[0], -1), lambda new: new.reshape(shape)
    rest = [d for d in variable.dims if d != "member" and d not in dims]
    ordered = (*rest, "member", *dims)
    turned = variable if variable.dims == ordered else variable.transpose(*ordered)
    count, shape = variable.sizes["member"], turned.shape
    rows = np.ascontiguousarray(turned.data).reshape(-1, count, int(np.prod(shape[len(rest) + 1 :])))

    def back(new: np.ndarray) -> np.ndarray:
        whole = new.reshape(shape)
        if variable.dims == ordered:
            return whole
        return np.transpose(whole, [ordered.index(d) for d in variable.dims])

    return rows, back


def _local_blocks(
    array: xr.DataArray,
    dims: tuple[str, ...],
    near: Any,
    method: Local,
    predicted: np.ndarray,
    observed: np.ndarray,
    noise: np.ndarray,
    turn: np.ndarray | None,
) -> Any:
    """The local update of a lazy variable, block by block."""
    sizes = [array.sizes[d] for d in dims]
    index = xr.DataArray(np.arange(int(np.prod(sizes))).reshape(sizes), dims=dims).chunk(
        {d: array.chunksizes[d] for d in dims}
    )

    def block(values: np.ndarray, at: np.ndarray) -> np.ndarray:
        flat = np.ascontiguousarray(values.reshape(-1, values.shape[-1]).T)[None]
        where = np.ascontiguousarray(np.broadcast_to(at, values.shape[:-1]).ravel())
        done = method.updated(flat, near, predicted, observed, noise, turn, where=where, threads=1)
        return done[0].T.reshape(values.shape)

    out = xr.apply_ufunc(
        block,
        array.chunk({"member": -1}).variable,
        index.variable,
        input_core_dims=[["member"], []],
        output_core_dims=[["member"]],
        dask="parallelized",
        output_dtypes=[array.dtype],
    )
    return out.transpose(*array.dims).data


# ---------------------------------------------------------------- the way between two readings


def _advanced(
    state: xr.Dataset, step: Step, now: int, then: int, dt: float | None, forcing: Any, seed: int
) -> xr.Dataset:
    """The state from one instant to another [ns]; the same numbers as `forecast`, with few checks."""
    clock = _clock(now, then, dt).tolist()
    root = _stream(seed, now)
    names = list(state.data_vars)
    for i in range(len(clock) - 1):
        rng = np.random.default_rng(np.random.SeedSequence(root, spawn_key=(i,)))
        new = step(state, (clock[i + 1] - clock[i]) / 1e9, _held(forcing, clock[i]), rng)
        before, after = state.variables, new.variables
        for name in names:
            was, got = before[name], after[name]
            if got.dims != was.dims:
                new = new.assign({name: new[name].transpose(*was.dims)})
                after = new.variables
                got = after[name]
            if not _finite(np.asarray(got.data).reshape(-1)) and _finite(np.asarray(was.data).reshape(-1)):
                raise TwinError(
                    f"finite values of '{name}'",
                    found=f"others in the step from {pd.Timestamp(clock[i])}",
                    hint="take a shorter dt, more members, or a smaller inflation",
                    where="estimate",
                )
        state = new
    return state


@numba.njit(nogil=True, cache=True)
def _finite(values):  # type: ignore[no-untyped-def]
    # a tenth of the time of NumPy's two passes on a small state
    bad = 0
    for value in values:
        bad += not np.isfinite(value)
    return bad == 0


def _held(forcing: Any, now: int) -> Any:
    """What the forcing holds from an instant on, as `dynamics.simulate` takes it."""
    if forcing is None:
        return None
    if callable(forcing):
        return forcing(pd.Timestamp(now))
    return forcing.isel(time=int(forcing.indexes["time"].searchsorted(pd.Timestamp(now), side="right")) - 1)


def _clock(now: int, then: int, dt: float | None) -> np.ndarray:
    """Instants [ns], evenly from now to then in steps of at most dt."""
    span = then - now
    if span < 0:
        raise TwinError(
            f"a time not before {pd.Timestamp(now)}", found=str(pd.Timestamp(then)), hint="a forecast goes forward",
            where="until",
        )  # fmt: skip
    if dt is not None and not (np.isfinite(dt) and dt > 0):
        raise TwinError("a positive dt", found=repr(dt), hint="in seconds", where="dt")
    # a millionth of a step is rounding, not a step
    steps = 0 if span == 0 else 1 if dt is None else max(1, math.ceil(span / (dt * 1e9) - 1e-6))
    return now + (np.arange(steps + 1) * span) // max(steps, 1)


def _stream(seed: int, now: int) -> int:
    """A seed for the way that starts now: one seed serves a run, and each way has its own stream.

    A mixture of both (Steele, Lea and Flood's SplitMix64) in 63 bits, which is what a seed may have.
    """
    full = 2**64 - 1
    mixed = (whole_seed(seed) * 0x9E3779B97F4A7C15 + int(now)) & full
    mixed = (mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9 & full
    mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EB & full
    return (mixed ^ mixed >> 31) >> 1


def _time(state: xr.Dataset) -> pd.Timestamp:
    if "time" not in state.coords or state["time"].ndim:
        many = "time" in state.dims
        raise TwinError(
            "a state with a scalar coordinate time",
            found="dim time" if many else "none",
            hint="state.isel(time=-1)" if many else "state.assign_coords(time=np.datetime64('2026-03-01'))",
            where="state",
        )
    return _instant(state["time"])


def _instant(time: Any) -> pd.Timestamp:
    value = np.asarray(time.data if isinstance(time, xr.DataArray) else time)
    try:
        instant = pd.Timestamp(value.astype("datetime64[ns]").item() if value.ndim == 0 else "many")
    except (TypeError, ValueError):
        instant = pd.NaT
    if instant is pd.NaT:
        raise TwinError("one time (UTC)", found=repr(time)[:80], hint="np.datetime64('2026-03-01T06:00')", where="time")
    return instant.as_unit("ns")


# ---------------------------------------------------------------- what is written down


class _Ledger:
    """Mean, spread and innovation of every cycle, in arrays made once."""

    def __init__(self, state: xr.Dataset, series: Readings) -> None:
        cycles, sensors = series.read.shape
        self.series = series
        self.start = state
        self.moments = {}
        for name, array in state.data_vars.items():
            if "member" in array.dims:
                dims = [d for d in array.dims if d != "member"]
                # flat, so that a row is a view also where the variable has no dim
                flat = (cycles, array.size // array.sizes["member"])
                self.moments[str(name)] = (dims, np.empty(flat), np.empty(flat))
        self.innovation, self.spread = np.empty((cycles, sensors)), np.empty((cycles, sensors))
        self.rank = np.empty((cycles, sensors), np.int32)
        self.nis, self.independent = np.empty(cycles), np.empty(cycles)

    def write(self, k: int, state: xr.Dataset, predicted: np.ndarray, draws: np.ndarray) -> None:
        self.innovation[k], self.spread[k], self.rank[k], self.nis[k], self.independent[k] = surprise(
            predicted, self.series.read[k], self.series.noise[k], draws
        )
        variables = state.variables
        for name, (_, mean, spread) in self.moments.items():
            variable = variables[name]
            data = np.asarray(variable.data)
            if variable.dims[0] != "member":
                data = np.moveaxis(data, variable.dims.index("member"), 0)
            _moments(data.reshape(len(data), -1), mean[k], spread[k])

    def closed(self, series: Readings) -> xr.Dataset:
        out = record(
            series,
            self.innovation,
            self.spread,
            self.rank,
            self.nis,
            self.independent,
            members=self.start.sizes["member"],
        )
        for name, (dims, mean, spread) in self.moments.items():
            attrs, shape = self.start[name].attrs, [len(mean), *(self.start.sizes[d] for d in dims)]
            out[name] = (("time", *dims), mean.reshape(shape), attrs)
            out[f"{name}_spread"] = (("time", *dims), spread.reshape(shape), attrs)
        kept = {
            str(c): v.drop_vars("time", errors="ignore")
            for c, v in self.start.coords.items()
            if c not in out.coords and "member" not in v.dims
        }
        return out.assign_coords(kept)


@numba.njit(nogil=True, cache=True)
def _moments(rows, mean, spread):  # type: ignore[no-untyped-def]
    members, values = rows.shape
    mean[:] = 0.0
    spread[:] = 0.0
    for i in range(members):
        for j in range(values):
            mean[j] += rows[i, j]
    for j in range(values):
        mean[j] /= members
    for i in range(members):
        for j in range(values):
            spread[j] += (rows[i, j] - mean[j]) ** 2
    for j in range(values):
        spread[j] = np.sqrt(spread[j] / (members - 1))
