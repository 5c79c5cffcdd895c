"""The Kalman filter and its smoother: exact where the model is linear and all noise Gaussian, and of a moderate size.

They take the same `step` as the ensemble methods: its matrix is read off by stepping the columns of the identity as
members. For a step that is not linear this is the extended Kalman filter.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr

from twinkit.assimilate.cycle import _advanced, _time
from twinkit.assimilate.observation import View, readings, record
from twinkit.error import TwinError

if TYPE_CHECKING:
    from twinkit.assimilate.cycle import Step
    from twinkit.assimilate.observation import Observe

__all__ = ["filtered", "smoothed"]

MOST = 3000
"""Values of the state beyond which the covariance is too large to be wise."""

BINS = 20
"""Ranks of a Gaussian forecast are counted as if it had this many members."""


def filtered(
    state: xr.Dataset,
    step: Step,
    seen: xr.DataArray | xr.Dataset,
    *,
    spread: Any,
    noise: Any,
    model_noise: Any,
    observe: Observe | None = None,
    forcing: Any = None,
    dt: float | None = None,
) -> xr.Dataset:
    """The Kalman filter through a whole series.

    ::

        x ← M x,  P ← M P Mᵀ + Q Δt;   K = P Hᵀ (H P Hᵀ + R)⁻¹,  x ← x + K (y - H x),  P ← (I - K H) P

    Parameters
    ----------
    state : Dataset with scalar ``time``, without member
        The first mean. Variables without a spread are carried along as they are.
    step : function of (state, dt, forcing, rng)
        Without noise of its own; a dim ``member`` broadcasts through it.
    seen, noise, observe
        As for `estimate`.
    spread : float or mapping of variable to float or DataArray [unit of the variable]
        Standard deviation of the first mean.
    model_noise : like `spread` [unit of the variable / √s]
        What the model does not know: its variance grows by the square of this each second.
    forcing, dt
        As for `forecast`.

    Returns
    -------
    Dataset (time, ...)
        Each variable and its ``_spread``; the record that `alarm` reads; and on ``state`` × ``state_2`` what
        `smoothed` needs: ``mean``, ``covariance``, ``forecast_mean``, ``forecast_covariance``, ``transition``.

    Validity
    --------
    Exact for a linear (affine) step and observation. At most a few thousand values.

    Errors
    ------
    TwinError
        A step that draws random numbers, a state too large, or what `estimate` refuses.

    Examples
    --------
    >>> def stay(state, dt, forcing, rng):
    ...     return state
    >>> first = xr.Dataset({"load": ("cell", [0.5])}, {"cell": ["a"], "time": np.datetime64("2026-03-01", "ns")})
    >>> hours = pd.date_range("2026-03-01", periods=4, freq="h")
    >>> seen = xr.DataArray(np.full((4, 1), 0.7), {"time": hours, "cell": ["a"]}, ("time", "cell"), name="load")
    >>> run = filtered(first, stay, seen, spread=0.1, noise=0.1, model_noise=0.0)
    >>> run["load"].values[:, 0].round(3).tolist()
    [0.6, 0.633, 0.65, 0.66]

    References
    ----------
    R. E. Kalman, J. Basic Eng. 82 (1960) 35-45.
    """
    if not isinstance(state, xr.Dataset) or "member" in state.dims:
        raise TwinError(
            "one state, a Dataset without member", found="an ensemble" if isinstance(state, xr.Dataset) else
            f"a {type(state).__name__}", hint="estimate(...) is for ensembles", where="state",
        )  # fmt: skip
    series = readings(seen, noise)
    layout = _Layout.of(state, spread)
    x, deviation = layout.packed(state), layout.vector(spread, "spread")
    growth = layout.vector(model_noise, "model_noise") ** 2
    covariance = np.diag(deviation**2)
    view = View(layout.members(state, x[None].repeat(2, 0)), series, observe)
    cycles, size = len(series.times), len(x)
    kept = {k: np.empty((cycles, size)) for k in ("mean", "forecast_mean")}
    kept |= {k: np.empty((cycles, size, size)) for k in ("covariance", "forecast_covariance", "transition")}
    d, expected = np.full(series.read.shape, np.nan), np.full(series.read.shape, np.nan)
    rank, nis, independent = np.full(d.shape, -1, np.int32), np.full(cycles, np.nan), np.zeros(cycles)
    now = _time(state).value
    for k, then in enumerate(series.times.astype(np.int64).tolist()):
        heights = 1e-3 * np.sqrt(np.diag(covariance))
        heights = np.where(heights > 0, heights, 1e-6 * np.maximum(1.0, np.abs(x)))
        columns = layout.members(state, np.vstack([x, x + np.diag(heights)]))
        moved = _noiseless(columns, step, now, then, dt, forcing, check=k == 0)
        rows = layout.packed(moved)
        x, transition = rows[0], ((rows[1:] - rows[0]) / heights[:, None]).T
        covariance = transition @ covariance @ transition.T
        covariance[np.diag_indices(size)] += growth * (then - now) / 1e9
        kept["forecast_mean"][k], kept["forecast_covariance"][k], kept["transition"][k] = x, covariance, transition
        predicted = view.predicted(layout.members(state, np.vstack([x, x + np.diag(heights)])))
        operator = ((predicted[1:] - predicted[0]) / heights[:, None]).T
        heard = np.isfinite(series.read[k])
        if heard.any():
            h, sigma = operator[heard], series.noise[k, heard]
            gap = series.read[k, heard] - predicted[0, heard]
            total = h @ covariance @ h.T + np.diag(sigma**2)
            gain = np.linalg.solve(total, h @ covariance).T
            d[k, heard], expected[k, heard] = gap, np.sqrt(np.diag(total))
            nis[k] = gap @ np.linalg.solve(total, gap)
            independent[k] = heard.sum() ** 2 / ((total / np.outer(expected[k, heard], expected[k, heard])) ** 2).sum()
            rank[k, heard] = _ranks(gap / expected[k, heard])
            x = x + gain @ gap
            # Joseph's form stays symmetric and positive
            left = np.eye(size) - gain @ h
            covariance = left @ covariance @ left.T + (gain * sigma**2) @ gain.T
        kept["mean"][k], kept["covariance"][k] = x, covariance
        now = then
    out = record(series, d, expected, rank, nis, independent, members=BINS)
    return layout.described(out, state, kept)


def smoothed(run: xr.Dataset) -> xr.Dataset:
    """Each time's state given all readings, also later ones: Rauch, Tung and Striebel's pass backwards.

    ::

        G = P Mᵀ (P_f)⁻¹,   x_s ← x + G (x_s⁺ - x_f⁺),   P_s ← P + G (P_s⁺ - P_f⁺) Gᵀ

    Parameters
    ----------
    run : Dataset
        From `filtered`.

    Returns
    -------
    Dataset (time, ...)
        Each variable and its ``_spread``, ``mean`` and ``covariance``.

    Errors
    ------
    TwinError
        A Dataset that `filtered` did not give.

    Examples
    --------
    >>> def stay(state, dt, forcing, rng):
    ...     return state
    >>> first = xr.Dataset({"load": ("cell", [0.5])}, {"cell": ["a"], "time": np.datetime64("2026-03-01", "ns")})
    >>> hours = pd.date_range("2026-03-01", periods=4, freq="h")
    >>> seen = xr.DataArray(np.full((4, 1), 0.7), {"time": hours, "cell": ["a"]}, ("time", "cell"), name="load")
    >>> run = filtered(first, stay, seen, spread=0.1, noise=0.1, model_noise=0.0)
    >>> smoothed(run)["load"].values[:, 0].round(3).tolist()
    [0.66, 0.66, 0.66, 0.66]

    References
    ----------
    H. E. Rauch, F. Tung and C. T. Striebel, AIAA J. 3 (1965) 1445-1450.
    """
    needed = ("mean", "covariance", "forecast_mean", "forecast_covariance", "transition")
    if not isinstance(run, xr.Dataset) or any(n not in run for n in needed):
        raise TwinError(
            "what assimilate.filtered gives", found=f"a {type(run).__name__} without {needed[0]} or covariances",
            hint="smoothed(filtered(...)); an ensemble has no smoother here", where="run",
        )  # fmt: skip
    mean, covariance = run["mean"].to_numpy().copy(), run["covariance"].to_numpy().copy()
    before, spread = run["forecast_mean"].to_numpy(), run["forecast_covariance"].to_numpy()
    transition = run["transition"].to_numpy()
    for k in range(len(mean) - 2, -1, -1):
        # least squares, because a forecast without doubt has no inverse
        gain = np.linalg.lstsq(spread[k + 1], transition[k + 1] @ covariance[k], rcond=None)[0].T
        mean[k] += gain @ (mean[k + 1] - before[k + 1])
        covariance[k] += gain @ (covariance[k + 1] - spread[k + 1]) @ gain.T
    out = xr.Dataset(coords=run.coords)
    out["mean"] = (("time", "state"), mean)
    out["covariance"] = (("time", "state", "state_2"), covariance)
    deviation = np.sqrt(np.maximum(np.diagonal(covariance, axis1=1, axis2=2), 0.0))
    belongs = run["variable"].to_numpy()
    for name in pd.unique(belongs):
        like = run[str(name)]
        for key, rows in ((str(name), mean), (f"{name}_spread", deviation)):
            out[key] = (like.dims, rows[:, belongs == name].reshape(like.shape), like.attrs)
    return out


# ---------------------------------------------------------------- parts


@dataclass(frozen=True)
class _Layout:
    """Where each value of each variable stands in the state vector."""

    names: tuple[str, ...]
    dims: tuple[tuple[str, ...], ...]
    shapes: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, state: xr.Dataset, spread: Any) -> _Layout:
        every = (
            sorted(map(str, spread)) if isinstance(spread, Mapping | xr.Dataset) else sorted(map(str, state.data_vars))
        )
        strangers = [n for n in every if n not in state.data_vars]
        if strangers:
            raise TwinError(
                f"spread of {', '.join(map(str, state.data_vars))}", found=f"'{strangers[0]}'",
                hint="name variables of the state", where="spread",
            )  # fmt: skip
        layout = cls(
            tuple(every), tuple(tuple(map(str, state[n].dims)) for n in every), tuple(state[n].shape for n in every)
        )
        if layout.size > MOST:
            raise TwinError(
                f"a state of at most {MOST} values", found=str(layout.size), hint="estimate(...) with an ensemble",
                where="state",
            )  # fmt: skip
        return layout

    @property
    def sizes(self) -> list[int]:
        return [int(np.prod(s)) for s in self.shapes]

    @property
    def size(self) -> int:
        return sum(self.sizes)

    def packed(self, state: xr.Dataset) -> np.ndarray:
        rows = []
        for name, dims in zip(self.names, self.dims, strict=True):
            variable = state[name].variable
            lead = ("member",) if "member" in variable.dims else ()
            data = np.asarray(variable.transpose(*lead, *dims).data, float)
            rows.append(data.reshape(len(data), -1) if lead else data.reshape(-1))
        return np.concatenate(rows, axis=-1)

    def members(self, state: xr.Dataset, rows: np.ndarray) -> xr.Dataset:
        new, begin = {}, 0
        for name, dims, shape, size in zip(self.names, self.dims, self.shapes, self.sizes, strict=True):
            new[name] = (("member", *dims), rows[:, begin : begin + size].reshape(len(rows), *shape), state[name].attrs)
            begin += size
        return state.assign(new)

    def vector(self, given: Any, where: str) -> np.ndarray:
        rows = []
        for name, dims, shape in zip(self.names, self.dims, self.shapes, strict=True):
            if isinstance(given, Mapping | xr.Dataset):
                if name not in given:
                    raise TwinError(f"{where} of '{name}'", found="none", hint=f"add '{name}'", where=where)
                one = given[name]
            else:
                one = given
            values = (
                one.transpose(*(d for d in dims if d in one.dims)).to_numpy() if isinstance(one, xr.DataArray) else one
            )
            rows.append(np.broadcast_to(np.asarray(values, float), shape).reshape(-1))
        out = np.concatenate(rows)
        if not (np.isfinite(out).all() and (out >= 0).all()):
            raise TwinError(f"a {where} of zero or more", found=f"{out.min():g}", hint="give deviations", where=where)
        return out

    def described(self, out: xr.Dataset, state: xr.Dataset, kept: dict[str, np.ndarray]) -> xr.Dataset:
        labels, belongs = [], []
        for name, dims, size in zip(self.names, self.dims, self.sizes, strict=True):
            index = [state[d].to_numpy() if d in state.coords else np.arange(state.sizes[d]) for d in dims]
            spots = np.array(np.meshgrid(*index, indexing="ij"), object).reshape(len(dims), -1).T if dims else [()]
            labels += [" ".join(map(str, (name, *spot))) for spot in spots]
            belongs += [name] * size
        coords = {str(c): v.drop_vars("time", errors="ignore") for c, v in state.coords.items() if c not in out.coords}
        out = out.assign_coords(coords | {"state": labels, "state_2": labels, "variable": ("state", belongs)})
        deviation, begin = np.sqrt(np.diagonal(kept["covariance"], axis1=1, axis2=2)), 0
        for name, dims, shape, size in zip(self.names, self.dims, self.shapes, self.sizes, strict=True):
            for key, rows in ((name, kept["mean"]), (f"{name}_spread", deviation)):
                values = rows[:, begin : begin + size].reshape(-1, *shape)
                out[key] = (("time", *dims), values, state[name].attrs)
            begin += size
        for key, values in kept.items():
            out[key] = (("time", "state", "state_2")[: values.ndim], values)
        return out


def _noiseless(
    columns: xr.Dataset, step: Step, now: int, then: int, dt: float | None, forcing: Any, *, check: bool
) -> xr.Dataset:
    moved = _advanced(columns, step, now, then, dt, forcing, 0)
    if check and then > now and not moved.equals(_advanced(columns, step, now, then, dt, forcing, 1)):
        raise TwinError(
            "a step without random numbers", found="two answers from one state",
            hint="leave rng unused, and state what the model does not know as model_noise", where="step",
        )  # fmt: skip
    return moved


def _ranks(normal: np.ndarray) -> np.ndarray:
    from scipy.special import ndtr

    return np.minimum((ndtr(normal) * (BINS + 1)).astype(np.int32), BINS)
