"""What sensors said, laid beside what each member says that they should have: innovations and their statistics.

Readings come in any shape that labels can bear: one time or many, a variable or several, with gaps (NaN) and sensors
that were silent. Inside they are flat: one row a time, one column a sensor.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numba
import numpy as np
import xarray as xr

from twinkit.assimilate.localise import positions
from twinkit.error import TwinError, close_to

if TYPE_CHECKING:
    from collections.abc import Callable

    Observe = Callable[[xr.Dataset], xr.DataArray | xr.Dataset]

__all__ = ["Readings", "View", "innovation", "readings"]


@dataclass(frozen=True)
class Readings:
    """Flat readings.

    Attributes
    ----------
    times : array of datetime64 (time,)
        NaT where the readings bear no time.
    read : array (time, sensor)
        NaN where a sensor was silent.
    noise : array (time, sensor)
        Standard deviation of the readings.
    labels : array of str (sensor,)
    parts : tuple of DataArray
        One time of each variable, for its dims and coordinates.
    """

    times: np.ndarray
    read: np.ndarray
    noise: np.ndarray
    labels: np.ndarray
    parts: tuple[xr.DataArray, ...]


def readings(seen: Any, noise: Any) -> Readings:
    """Flat readings from labelled ones, with their noise.

    Parameters
    ----------
    seen : DataArray or Dataset
        Any dims; ``time`` (a dim, ascending, or a scalar coordinate) says when.
    noise : float, DataArray, or mapping of variable to either [unit of the reading]
        Standard deviation, independent between sensors and times.

    Errors
    ------
    TwinError
        Unnamed or empty readings, times that go back, infinite readings, or noise that is not positive.
    """
    if isinstance(seen, xr.DataArray):
        if seen.name is None:
            raise TwinError(
                "named readings", found="a DataArray without a name", hint="seen.rename('load')", where="seen"
            )
        arrays = [seen]
    elif isinstance(seen, xr.Dataset) and len(seen.data_vars):
        arrays = [seen[k] for k in seen.data_vars]
    else:
        raise TwinError(
            "readings as a named DataArray or a Dataset",
            found=f"{'an empty' if isinstance(seen, xr.Dataset) else 'a'} {type(seen).__name__}",
            hint="name variable and sensors: DataArray(values, dims=('time', 'cell'), coords=..., name='load')",
            where="seen",
        )
    times = _times(seen)
    values, sigmas, labels, parts = [], [], [], []
    for array in arrays:
        name = str(array.name)
        if array.dtype.kind not in "fiub":
            raise TwinError("readings as numbers", found=f"{array.dtype} values", hint="convert them", where=name)
        # a variable of the Dataset that has no time was read once, and belongs to every time
        rows = array.expand_dims("time") if "time" not in array.dims else array
        rows = rows.transpose("time", ...)
        sigma = _noise(noise, name, rows)
        flat = rows.values.astype(float).reshape(rows.sizes["time"], -1)
        flat = np.broadcast_to(flat, (len(times), flat.shape[1]))
        if np.isinf(flat).any():
            raise TwinError("finite readings or NaN", found="an infinite one", hint="set it to NaN", where=name)
        values.append(flat)
        sigmas.append(np.broadcast_to(sigma, flat.shape))
        labels += _labels(array, name, alone=len(arrays) == 1)
        parts.append(array.isel(time=0) if "time" in array.dims else array)
    return Readings(times, np.hstack(values), np.hstack(sigmas), np.array(labels), tuple(parts))


class View:
    """What the sensors of some readings see of a state; built once, read at every cycle.

    Parameters
    ----------
    state : Dataset
        With dim ``member``.
    seen : Readings
    observe : function of the state, optional
        Gives what the sensors would read, in the dims of the readings and ``member``. Without it a sensor reads the
        state's variable of its name, at its labels.
    """

    def __init__(self, state: xr.Dataset, seen: Readings, observe: Observe | None) -> None:
        self.observe, self.seen = observe, seen
        # per variable of the readings: the flat positions in the state's variable of the same name
        self.at = [] if observe else [_found(state, part) for part in seen.parts]

    def predicted(self, state: xr.Dataset) -> np.ndarray:
        """What each sensor would read in each member: array (member, sensor)."""
        out, variables = [], state.variables
        if self.observe is None:
            for part, at in zip(self.seen.parts, self.at, strict=True):
                variable = variables[str(part.name)]
                if variable.dims[0] != "member":
                    variable = variable.transpose("member", ...)
                data: Any = variable.data.reshape(len(variable), -1)[:, at]
                out.append(np.asarray(data.compute() if hasattr(data, "dask") else data, dtype=float))
        else:
            given = self.observe(state)
            out += [self._like(given, part) for part in self.seen.parts]
        return out[0] if len(out) == 1 else np.hstack(out)

    def _like(self, given: Any, part: xr.DataArray) -> np.ndarray:
        name = str(part.name)
        array = given[name] if isinstance(given, xr.Dataset) and name in given else given
        wanted = {"member", *part.dims}
        if not isinstance(array, xr.DataArray) or set(array.dims) != wanted:
            found = f"a {type(array).__name__}" + (f" on {array.dims}" if isinstance(array, xr.DataArray) else "")
            raise TwinError(
                f"'{name}' on {', '.join(sorted(map(str, wanted)))} from observe",
                found=found,
                hint="let it give a DataArray in the dims of the readings and member",
                where="observe",
            )
        for dim in part.dims:
            if dim in array.indexes and dim in part.indexes and not array.indexes[dim].equals(part.indexes[dim]):
                array = array.sel({dim: part.indexes[dim]})
        array = array.transpose("member", *part.dims)
        if array.shape[1:] != part.shape:
            raise TwinError(
                f"'{name}' of shape {part.shape} from observe",
                found=f"{array.shape[1:]}",
                hint="select the sensors in observe, or label them",
                where="observe",
            )
        return array.values.astype(float).reshape(array.sizes["member"], -1)

    def positions(self, state: xr.Dataset, along: tuple[str, ...]) -> np.ndarray:
        """Where the sensors lie: array (sensor, axis)."""
        out = []
        given = self.observe(state) if self.observe else None
        for i, part in enumerate(self.seen.parts):
            own = positions(part.squeeze(), along)
            if own is not None and len(own[1]) == part.size:
                out.append(own[1])
                continue
            name = str(part.name)
            if given is None:
                place = positions(state[name].isel(member=0), along)
                if place is not None:
                    inside = state[name].isel(member=0)
                    full = np.broadcast_to(
                        np.arange(len(place[1])).reshape(
                            [inside.sizes[d] if d in place[0] else 1 for d in inside.dims]
                        ),
                        inside.shape,
                    ).ravel()
                    out.append(place[1][full[self.at[i]]])
                    continue
            else:
                array = given[name] if isinstance(given, xr.Dataset) else given
                place = positions(array.isel(member=0), along)
                if place is not None and len(place[1]) == part.size:
                    out.append(place[1])
                    continue
            raise TwinError(
                f"a position ({', '.join(along)}) for every sensor of '{name}'",
                found=f"coordinates {', '.join(map(str, part.coords)) or 'none'}",
                hint=f"add them: seen.assign_coords({along[0]}=('{part.dims[0] if part.dims else 'sensor'}', ...))",
                where="letkf",
            )
        return np.concatenate(out)


def innovation(state: xr.Dataset, seen: xr.DataArray | xr.Dataset, *, noise: Any, observe: Observe | None = None,
               seed: int = 0) -> xr.Dataset:  # fmt: skip
    """What the readings say beyond the forecast, and how surprising that is: a row of the record that `alarm` reads.

    ::

        d = y - mean(H x),   S = cov(H x) + R,   NIS = dᵀ S⁻¹ d

    Parameters
    ----------
    state : Dataset with dim member
        A forecast for the time of the readings.
    seen, noise, observe
        As for `update`.
    seed : int
        For the rank: each member's prediction gets noise, as the reading has it.

    Returns
    -------
    Dataset
        ``observed``, ``innovation`` [unit of the reading], ``innovation_spread`` (what the forecast expects of it),
        ``noise`` and ``rank`` (members below the reading, -1 where silent) on ``sensor``; ``nis``, ``count`` of
        readings, and how many of them are ``independent`` in the forecast's eyes, (Σ S_ii)² / Σ S_ij² with unit S_ii.

    Validity
    --------
    NIS follows χ² with ``count`` degrees of freedom where forecast and noise are Gaussian, the ensemble is right, and
    its members are many more than the readings: fewer see chance correlations, and NIS comes out too large.

    Errors
    ------
    TwinError
        As `update`.

    Examples
    --------
    >>> state = xr.Dataset({"load": (("member", "cell"), [[0.2], [0.4]])}, {"cell": ["a"]})
    >>> seen = xr.DataArray([0.5], {"cell": ["a"]}, "cell", name="load")
    >>> innovation(state, seen, noise=0.1).innovation.values.round(3)
    array([0.2])

    References
    ----------
    Y. Bar-Shalom, X. R. Li and T. Kirubarajan, Estimation with Applications to Tracking and Navigation (2001),
    section 5.4; T. M. Hamill, Mon. Weather Rev. 129 (2001) 550-560 (rank histogram).
    """
    row = readings(seen, noise)
    if len(row.times) != 1:
        raise TwinError(
            "readings of one time", found=f"{len(row.times)} times", hint="seen.isel(time=0), or estimate(...)",
            where="seen",
        )  # fmt: skip
    from twinkit.assimilate.belief import checked

    view = View(checked(state), row, observe)
    predicted = view.predicted(state)
    rng = np.random.default_rng(seed)
    found = surprise(predicted, row.read[0], row.noise[0], rng.standard_normal(predicted.shape))
    d, spread, rank, nis, independent = (np.asarray(f)[None] for f in found)
    return record(row, d, spread, rank, nis, independent, members=len(predicted)).isel(time=0)


def record(row: Readings, d: Any, spread: Any, rank: Any, nis: Any, independent: Any, *, members: int) -> xr.Dataset:
    """The statistics of many cycles under their names, on time and sensor."""
    both = ("time", "sensor")
    out = xr.Dataset(
        {
            "observed": (both, row.read),
            "innovation": (both, d),
            "innovation_spread": (both, spread),
            "noise": (both, np.array(row.noise)),
            "rank": (both, rank),
            "nis": ("time", nis),
            "count": ("time", np.isfinite(row.read).sum(1)),
            "independent": ("time", independent),
        },
        {"sensor": row.labels, "time": row.times},
    )
    said = {
        "observed": "reading",
        "innovation": "reading minus the forecast's mean",
        "innovation_spread": "standard deviation that the forecast expects of the innovation, noise included",
        "noise": "standard deviation of the noise, as assumed",
        "rank": "members below the reading (-1: silent)",
        "nis": "normalised innovation squared",
        "count": "readings",
        "independent": "as many independent readings would say as much about the spread",
    }
    for name, text in said.items():
        out[name].attrs["long_name"] = text
    for name in ("rank", "nis", "count", "independent"):
        out[name].attrs["units"] = "1"
    out["rank"].attrs["members"] = members
    return out


@numba.njit(nogil=True, cache=True)
def surprise(predicted, observed, noise, draws):  # type: ignore[no-untyped-def]
    """Innovation, its expected spread, the reading's rank, NIS and the independent readings, in one pass.

    With Y the anomalies and δ the innovations in units of the noise, S⁻¹ is applied in the smaller of the spaces of
    sensors and of members (Woodbury): dᵀS⁻¹d = |δ|² - (Yᵀδ)ᵀ (YᵀY + (N - 1) I)⁻¹ (Yᵀδ).
    """
    members, sensors = predicted.shape
    d, spread = np.full(sensors, np.nan), np.full(sensors, np.nan)
    rank = np.full(sensors, -1, np.int32)
    count = 0
    for s in range(sensors):
        count += np.isfinite(observed[s])
    scaled, alike, gap = np.empty((count, members)), np.empty((count, members)), np.empty(count)
    at, diagonal = 0, 0.0
    for s in range(sensors):
        if not np.isfinite(observed[s]):
            continue
        mean = 0.0
        for i in range(members):
            mean += predicted[i, s]
        mean /= members
        d[s] = observed[s] - mean
        variance, below = 0.0, 0
        for i in range(members):
            one = (predicted[i, s] - mean) / noise[s]
            scaled[at, i] = one
            variance += one * one
            below += predicted[i, s] + noise[s] * draws[i, s] < observed[s]
        rank[s] = below
        variance /= members - 1
        spread[s] = noise[s] * np.sqrt(variance + 1)
        gap[at] = d[s] / noise[s]
        # anomalies in units of the expected spread; what noise adds to S_ii = 1 beside them
        for i in range(members):
            alike[at, i] = scaled[at, i] / np.sqrt((variance + 1) * (members - 1))
        share = 1 / (variance + 1)
        diagonal += share * share + 2 * share * (1 - share)
        at += 1
    if count == 0:
        return d, spread, rank, np.nan, 0.0
    if count <= members:
        inner, both = scaled @ scaled.T, alike @ alike.T
        for s in range(count):
            inner[s, s] += members - 1
        square = float(gap @ np.linalg.solve(inner, gap)) * (members - 1)
    else:
        inner, both = scaled.T @ scaled, alike.T @ alike
        for i in range(members):
            inner[i, i] += members - 1
        push = gap @ scaled
        square = float(gap @ gap) - float(push @ np.linalg.solve(inner, push))
    # Σ S_ij² = |Y Yᵀ|² + 2 Σ |Y_i|² R_ii + Σ R_ii², and |Y Yᵀ| = |Yᵀ Y|
    total = diagonal
    for row in both:
        for value in row:
            total += value * value
    return d, spread, rank, square, count * count / total


# ---------------------------------------------------------------- parts


def _times(seen: xr.DataArray | xr.Dataset) -> np.ndarray:
    if "time" not in seen.coords:
        if "time" in seen.dims:
            raise TwinError(
                "times of the readings", found="a dim 'time' without values", hint="seen.assign_coords(time=...)",
                where="seen",
            )  # fmt: skip
        return np.array(["NaT"], "datetime64[ns]")
    times = np.atleast_1d(seen["time"].values)
    if times.dtype.kind != "M":
        raise TwinError(
            "times as datetime64 (UTC)", found=f"{times.dtype} values", hint="pandas.to_datetime(...)", where="seen"
        )
    times = times.astype("datetime64[ns]")
    back = np.flatnonzero(np.diff(times) <= np.timedelta64(0, "ns"))
    if back.size:
        raise TwinError(
            "readings in the order of time, one row each",
            found=f"{times[back[0] + 1]} after {times[back[0]]}",
            hint="seen.sortby('time'), then drop_duplicates('time')",
            where="seen",
        )
    return times


def _noise(noise: Any, name: str, rows: xr.DataArray) -> np.ndarray:
    if isinstance(noise, xr.Dataset | Mapping):
        if name not in noise:
            raise TwinError(
                f"noise of '{name}'", found=", ".join(map(str, noise)) or "none", hint=f"add '{name}'", where="noise"
            )
        noise = noise[name]
    if isinstance(noise, xr.DataArray):
        strange = set(noise.dims) - set(rows.dims)
        if strange:
            raise TwinError(
                f"noise on dims of the readings {rows.dims}",
                found=f"dims {noise.dims}",
                hint="reduce it",
                where="noise",
            )
        for dim in noise.dims:
            if dim in noise.indexes and dim in rows.indexes:
                lost = [k for k in rows.indexes[dim] if k not in noise.indexes[dim]]
                if lost:
                    raise TwinError(f"noise of every {dim}", found=f"none of '{lost[0]}'", hint="add it", where="noise")
                noise = noise.sel({dim: rows.indexes[dim]})
        noise = noise.broadcast_like(rows).transpose(*rows.dims).values
    sigma = np.asarray(noise, dtype=float)
    if not (np.isfinite(sigma).all() and (sigma > 0).all()):
        raise TwinError(
            "noise as a positive standard deviation", found=f"{sigma.min():g}", hint="in the unit of the readings",
            where="noise",
        )  # fmt: skip
    return sigma if sigma.ndim == 0 else sigma.reshape(len(sigma), -1)


def _labels(array: xr.DataArray, name: str, *, alone: bool) -> list[str]:
    dims = [d for d in array.dims if d != "time"]
    axes = [array[d].values if d in array.coords else np.arange(array.sizes[d]) for d in dims]
    if not dims:
        return [name]
    joined = [
        " ".join(map(str, spot))
        for spot in np.array(np.meshgrid(*axes, indexing="ij"), object).reshape(len(dims), -1).T
    ]
    return joined if alone else [f"{name} {j}" for j in joined]


def _found(state: xr.Dataset, part: xr.DataArray) -> np.ndarray:
    """Flat positions of the sensors within the state's variable (without member)."""
    name = str(part.name)
    if name not in state.data_vars:
        near = close_to(name, state.data_vars)
        raise TwinError(
            f"a state with '{name}', which the readings are of",
            found=", ".join(map(str, state.data_vars)),
            hint=f"did you mean {near}?" if near else "say what the sensors see: observe=lambda state: ...",
            where="seen",
        )
    variable = state[name]
    if "member" not in variable.dims:
        raise TwinError(
            f"'{name}' with a dim member", found=f"dims {variable.dims}", hint="assimilate.ensemble(state, ...)",
            where="state",
        )  # fmt: skip
    inside = [d for d in variable.dims if d != "member"]
    if set(inside) != set(part.dims):
        raise TwinError(
            f"readings of '{name}' on {', '.join(map(str, inside)) or 'no dim'}",
            found=f"dims {part.dims}",
            hint="say what the sensors see: observe=lambda state: ...",
            where="seen",
        )
    index = []
    for dim in inside:
        if dim in part.indexes and dim in variable.indexes:
            at = variable.indexes[dim].get_indexer(part.indexes[dim])
            if (at < 0).any():
                lost = part.indexes[dim][at < 0][0]
                near = close_to(str(lost), variable.indexes[dim])
                raise TwinError(
                    f"readings at the {dim}s of the state",
                    found=f"'{lost}'",
                    hint=f"did you mean {near}?" if near else "drop it, or add it to the state",
                    where="seen",
                )
        elif part.sizes[dim] == variable.sizes[dim]:
            at = np.arange(part.sizes[dim])
        else:
            raise TwinError(
                f"labels on '{dim}', or as many readings as the state has ({variable.sizes[dim]})",
                found=f"{part.sizes[dim]} readings without labels",
                hint=f"seen.assign_coords({dim}=...)",
                where="seen",
            )
        index.append(at)
    sizes = [variable.sizes[d] for d in inside]
    if not inside:
        return np.zeros(1, np.int64)
    flat = np.ravel_multi_index(np.ix_(*index), sizes) if len(index) > 1 else index[0]
    order = [inside.index(d) for d in part.dims]
    return np.asarray(flat).transpose(order).ravel()
