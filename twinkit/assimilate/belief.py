"""A belief about the state: an ensemble of equally likely states on the dim ``member``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from twinkit.error import TwinError

__all__ = ["checked", "ensemble", "spread"]


def ensemble(state: xr.Dataset, *, members: int, spread: Any, seed: int) -> xr.Dataset:
    """An ensemble around a state: Gaussian, independent between values.

    Parameters
    ----------
    state : Dataset
        The middle; without dim member.
    members : int
    spread : float, DataArray, or mapping of variable to either [unit of the variable]
        Standard deviation. Variables that a mapping leaves out are the same in all members and are not estimated.
    seed : int

    Returns
    -------
    Dataset with dim member first

    Errors
    ------
    TwinError
        Fewer than two members, a negative spread, or a spread of an unknown variable.

    Examples
    --------
    >>> middle = xr.Dataset({"load": ("cell", [0.3, 0.6])}, {"cell": ["a", "b"]})
    >>> dict(ensemble(middle, members=20, spread=0.1, seed=1).sizes)
    {'member': 20, 'cell': 2}
    """
    if not isinstance(state, xr.Dataset) or "member" in state.dims:
        many = isinstance(state, xr.Dataset)
        raise TwinError(
            "a Dataset without member",
            found="dim member" if many else f"a {type(state).__name__}",
            hint="give one state: state.isel(member=0, drop=True)" if many else "array.to_dataset(name='load')",
            where="state",
        )
    if not isinstance(members, int | np.integer) or members < 2:
        raise TwinError("at least two members", found=repr(members), hint="members=50", where="members")
    each = dict(spread) if isinstance(spread, xr.Dataset | Mapping) else dict.fromkeys(state.data_vars, spread)
    strangers = set(each) - set(state.data_vars)
    if strangers:
        raise TwinError(
            f"spread of {', '.join(map(str, state.data_vars))}", found=f"'{min(map(str, strangers))}'",
            hint="name variables of the state", where="spread",
        )  # fmt: skip
    streams = np.random.SeedSequence(seed).spawn(len(each))
    out = {}
    # in the order of names, so that another order of variables changes no number
    for name, stream in zip(sorted(map(str, each)), streams, strict=True):
        middle = state[name]
        wide = each[name] if isinstance(each[name], xr.DataArray) else xr.DataArray(each[name])
        if not bool((wide >= 0).all()):
            raise TwinError(
                "a spread of zero or more", found=f"{float(wide.min()):g}", hint="give the deviation", where=name
            )
        draws = np.random.default_rng(stream).standard_normal((members, *middle.shape))
        kind = middle.dtype if middle.dtype.kind == "f" else np.dtype(float)
        noise = xr.DataArray(draws.astype(kind, copy=False), dims=("member", *middle.dims))
        out[name] = (middle + wide.astype(kind) * noise).transpose("member", *middle.dims).assign_attrs(middle.attrs)
    return state.assign(out)


def spread(state: xr.Dataset) -> xr.Dataset:
    """The standard deviation of the members, unbiased.

    Parameters
    ----------
    state : Dataset with dim member

    Returns
    -------
    Dataset without member, the unit of each variable

    Examples
    --------
    >>> spread(xr.Dataset({"load": ("member", [1.0, 3.0])}))["load"].item().__round__(3)
    1.414
    """
    return checked(state).std("member", ddof=1, keep_attrs=True)


def checked(state: Any) -> xr.Dataset:
    """The same ensemble, if it is one."""
    if not isinstance(state, xr.Dataset):
        raise TwinError(
            "a Dataset as state", found=f"a {type(state).__name__}", hint="array.to_dataset(name='load')", where="state"
        )
    if state.sizes.get("member", 0) < 2:
        raise TwinError(
            "an ensemble: dim member with at least two",
            found=f"dims {', '.join(f'{k}: {v}' for k, v in state.sizes.items()) or 'none'}",
            hint="draw one: assimilate.ensemble(state, members=50, spread=..., seed=1)",
            where="state",
        )
    return state
