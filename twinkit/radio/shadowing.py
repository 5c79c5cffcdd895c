r"""Shadow fading: a random field in dB whose correlation falls exponentially with distance, the same on every tile.

The field is a sum of plane waves whose directions and wavelengths are drawn from the spectrum that belongs to an
exponential correlation. Each wave is known everywhere, so that any tile can be computed alone, in any order and on
any number of workers, and two maps of one seed meet without a seam. On a grid a wave is a product of a function of x
and one of y: a tile costs two multiplications for each wave and pixel.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numba
import numpy as np
import xarray as xr

from twinkit.contract import contract, within
from twinkit.error import TwinError, close_to
from twinkit.twin import axis

__all__ = ["SHADOWING", "shadow_fading"]

SHADOWING: dict[str, tuple[float, float]] = {
    "umi los": (4.0, 10.0),
    "umi nlos": (7.82, 13.0),
    "umi indoors": (7.0, 7.0),
    "uma los": (4.0, 37.0),
    "uma nlos": (6.0, 50.0),
    "uma indoors": (7.0, 7.0),
    "rma los": (4.0, 37.0),
    "rma nlos": (8.0, 120.0),
    "rma indoors": (8.0, 120.0),
    "inh los": (3.0, 10.0),
    "inh nlos": (8.03, 6.0),
}
"""Deviation [dB] and correlation distance [m] by scenario: TR 38.901, Tables 7.4.1-1 and 7.5-6.

Rural line of sight deviates by 6 dB beyond the breakpoint distance, where the table has 4 dB before it.
"""

_WAVES = 512


@contract(reads=["surface/x", "surface/y", "sites/site"], gives=["shadowing"])
def shadow_fading(
    twin: xr.DataTree,
    *,
    seed: int,
    scenario: str | None = None,
    deviation: float | None = None,
    correlation_distance: float | None = None,
    between_sites: float = 0.0,
) -> xr.DataArray:
    r"""Shadow fading of every site over the surface, correlated in space.

    .. math:: E[s(\mathbf{p})\, s(\mathbf{q})] = \sigma^2 e^{-|\mathbf{p} - \mathbf{q}| / d_c}

    Parameters
    ----------
    twin : DataTree
    seed : int
        The same seed gives the same bytes, whatever the tiles, the extent or the number of workers.
    scenario : str, optional
        One of `SHADOWING`, for deviation and correlation distance together.
    deviation : float, optional [dB]
        Instead of the scenario's.
    correlation_distance : float, optional [m]
        Where the correlation has fallen to 1/e, instead of the scenario's.
    between_sites : float, optional
        Correlation of the fields of two sites at one place: 0 in TR 38.901, 0.5 in TR 36.814.

    Returns
    -------
    DataArray (site, y, x) [dB]
        Float32, lazy; to be added to the median path loss.

    Validity
    --------
    Gaussian by the sum of 512 waves. The cells of one site share its field.

    Errors
    ------
    TwinError
        A scenario of another name, a deviation or a distance that is not given, or out of range.

    Examples
    --------
    >>> import twinkit as tk
    >>> sites = xr.Dataset(coords={"site": ["a", "b"]})
    >>> surface = xr.Dataset(coords={"y": 100.0 * np.arange(50), "x": 100.0 * np.arange(40)})
    >>> twin = tk.assemble({"sites": sites, "surface": surface}, title="flat", crs="EPSG:32643")
    >>> shadow_fading(twin, scenario="uma nlos", seed=1).sizes
    Frozen({'site': 2, 'y': 50, 'x': 40})

    References
    ----------
    3GPP TR 38.901 V17.0.0, section 7.4.4, equation (7.4-5); M. Gudmundson, Electronics Letters 27 (1991).
    """
    if scenario is not None:
        if scenario not in SHADOWING:
            near = close_to(str(scenario), SHADOWING)
            raise TwinError(
                f"a scenario among {', '.join(SHADOWING)}",
                found=repr(scenario),
                hint=f"use {near}" if near else "choose one of them",
                where="scenario",
            )
        typical = SHADOWING[scenario]
        deviation = typical[0] if deviation is None else deviation
        correlation_distance = typical[1] if correlation_distance is None else correlation_distance
    if deviation is None or correlation_distance is None:
        raise TwinError(
            "a deviation and a correlation distance",
            found="no scenario that would give both",
            hint="give scenario='uma nlos', or deviation= and correlation_distance=",
        )
    within(deviation, 0, 30, name="deviation", unit="dB")
    within(correlation_distance, 0.1, 1e5, name="correlation_distance", unit="m")
    within(between_sites, 0, 1, name="between_sites", unit="1")
    if not isinstance(seed, int | np.integer) or seed < 0:
        raise TwinError("a seed of 0 or more", found=repr(seed), hint="give a whole number", where="seed")

    surface, names = twin["surface"].to_dataset(), twin["sites"].to_dataset()["site"]
    x, y = axis(surface["x"]), axis(surface["y"])
    own, shared = math.sqrt(1.0 - between_sites), math.sqrt(between_sites)

    def field(name: str) -> xr.DataArray:
        block = functools.partial(_field, waves=_waves(seed, name, float(correlation_distance)))
        return xr.apply_ufunc(block, y, x, dask="parallelized", output_dtypes=[np.float32], keep_attrs="drop")

    common = field("") * np.float32(shared * deviation) if shared > 0 else 0.0
    # a site keeps its field when others are added or leave: it hangs on the name, not on the place in the list
    each = [field(str(n)) * np.float32(own * deviation) + common for n in names.values]
    stack = xr.concat(each, dim="site") if each else xr.zeros_like(y * x, np.float32).expand_dims(site=0)
    stack = stack.transpose("site", "y", "x").assign_coords(site=names, y=surface["y"], x=surface["x"])
    stack.attrs = {"provenance": f"generated: seed {seed}, TR 38.901 shadow fading, correlated over space"}
    return stack


def _waves(seed: int, name: str, distance: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Wave numbers [rad/m] along x and y, and phases [rad], of one unit field."""
    rng = np.random.default_rng([seed, *name.encode()])
    # radial distribution of the spectrum (1 + k²d²)^(-3/2) in the plane, sampled once in each of equal strata
    rank = (np.arange(_WAVES) + rng.random(_WAVES)) / _WAVES
    number = np.sqrt(np.maximum((1.0 - rank) ** -2 - 1.0, 0.0)) / distance
    # directions in equal strata too, in an order of their own
    angle = 2.0 * math.pi * (rng.permutation(_WAVES) + rng.random(_WAVES)) / _WAVES
    return number * np.cos(angle), number * np.sin(angle), rng.uniform(0.0, 2.0 * math.pi, _WAVES)


@numba.njit(nogil=True, cache=True)
def _summed(even_y: Any, odd_y: Any, even_x: Any, odd_x: Any, out: Any) -> None:
    """Add cos(a + b) = cos a cos b - sin a sin b over all waves; the order of the sum is the same in every tile."""
    for j in range(out.shape[0]):
        row = out[j]
        for w in range(even_x.shape[0]):
            c, s = even_y[w, j], odd_y[w, j]
            for i in range(row.size):
                row[i] += c * even_x[w, i] - s * odd_x[w, i]


def _field(y: np.ndarray, x: np.ndarray, *, waves: tuple[np.ndarray, np.ndarray, np.ndarray]) -> np.ndarray:
    """A unit field on one tile."""
    along_x, along_y, phase = waves
    a = along_x[:, None] * np.ravel(x) + phase[:, None]
    b = along_y[:, None] * np.ravel(y)
    scale = np.float32(math.sqrt(2.0 / len(phase)))
    out = np.zeros((b.shape[1], a.shape[1]), np.float32)
    _summed(
        np.cos(b).astype(np.float32) * scale,
        np.sin(b).astype(np.float32) * scale,
        np.cos(a).astype(np.float32),
        np.sin(a).astype(np.float32),
        out,
    )
    return out
