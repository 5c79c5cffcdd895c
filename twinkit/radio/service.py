"""Service: what the best cell's signal is worth amid interference and noise, as SINR and as bits a second."""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from twinkit.contract import contract, physics, within
from twinkit.error import TwinError, close_to
from twinkit.radio.best_server import OCCUPIED, Model, Network, levels
from twinkit.radio.coverage import described, flagged, model_for, validity_of
from twinkit.radio.elementwise import over
from twinkit.radio.tiling import READS, answers

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["MODULATIONS", "noise_power", "rate", "service"]

# Bits a symbol, and code rate x 1024, of CQI 1 to 15
_QPSK_TO_64 = (
    *((2, r) for r in (78, 120, 193, 308, 449, 602)),
    *((4, r) for r in (378, 490, 616)),
    *((6, r) for r in (466, 567, 666, 772, 873, 948)),
)
_QPSK_TO_256 = (
    *((2, r) for r in (78, 193, 449)),
    *((4, r) for r in (378, 490, 616)),
    *((6, r) for r in (466, 567, 666, 772, 873)),
    *((8, r) for r in (711, 797, 885, 948)),
)
MODULATIONS = {
    "64QAM": tuple(bits * rate / 1024 for bits, rate in _QPSK_TO_64),
    "256QAM": tuple(bits * rate / 1024 for bits, rate in _QPSK_TO_256),
}
"""Bits a resource element of CQI 1 to 15: TS 38.214, Tables 5.2.2.1-2 and 5.2.2.1-3."""

RECORD = np.dtype([("rsrp", np.float32), ("server", np.int32), ("sinr", np.float32), ("rate", np.float32)])
OVER_TERRAIN = np.dtype([*((n, RECORD[n]) for n in RECORD.names or ()), ("validity", np.int8)])


def noise_power(subcarrier_spacing: float, *, noise_figure: float) -> float:
    r"""Noise in one resource element [dBm].

    .. math:: N = 10 \log_{10}(k T \Delta f / 1\,\text{mW}) + F,\quad T = 290\,\text{K}

    Parameters
    ----------
    subcarrier_spacing : float [Hz]
    noise_figure : float [dB]
        Of the receiver; 9 dB is 3GPP's assumption for a handset (TR 36.942), 7 dB that of ITU-R M.2412.

    Returns
    -------
    float [dBm]

    Examples
    --------
    >>> round(noise_power(15e3, noise_figure=9), 1)
    -123.2
    """
    return 10.0 * math.log10(1.380649e-23 * 290.0 * subcarrier_spacing * 1e3) + noise_figure


@physics(
    gives="rate",
    valid={"bandwidth": (1e3, 1e11), "efficiency": (0.01, 1.0), "overhead": (0.0, 0.9)},
    sinr="dB",
    bandwidth="Hz",
)
def rate(sinr: Any, *, bandwidth: Any, efficiency: Any, overhead: Any, modulation: str = "64QAM") -> Any:
    r"""Bits a second that one user gets from a whole channel, by the modulation and code that the SINR allows.

    .. math:: R = 0.9\,B\,(1 - o)\,\max\{s_i : s_i \le \eta \log_2(1 + SINR)\}

    Parameters
    ----------
    sinr : float, array or DataArray [dB]
    bandwidth : float, array or DataArray [Hz]
        Of the channel, of which subcarriers fill nine tenths.
    efficiency : float
        Share η of Shannon's limit that receivers reach; 0.6 is that of TR 36.942 for LTE.
    overhead : float
        Share of the resource elements that carry control and reference signals; 3GPP counts 0.14 (TS 38.306).
    modulation : {"64QAM", "256QAM"}
        Highest modulation of the device; it chooses the table.

    Returns
    -------
    float, array or DataArray [bit/s]
        One layer; 0 below the first entry, NaN where the SINR is unknown.

    Validity
    --------
    A long-term mean without fading and retransmissions.

    Errors
    ------
    TwinError
        A value outside its range, or a modulation without a table.

    Examples
    --------
    >>> rate(np.array([-10, 0, 30]), bandwidth=10e6, efficiency=0.6, overhead=0.14).round(-3)
    array([       0.,  2918000., 42993000.])

    References
    ----------
    3GPP TS 38.214, Tables 5.2.2.1-2 and 5.2.2.1-3; TR 36.942, Annex A.2; TS 38.306, 4.1.2.
    """
    if modulation not in MODULATIONS:
        near = close_to(str(modulation), MODULATIONS)
        raise TwinError(
            f"a modulation among {', '.join(MODULATIONS)}",
            found=repr(modulation),
            hint=f"use {near}" if near else "choose one of them",
            where="modulation",
        )
    steps = np.array((0.0, *MODULATIONS[modulation]))

    def bits(decibel: Any, hertz: Any, share: Any, lost: Any) -> Any:
        known = np.isfinite(decibel)
        limit = share * np.log2(1.0 + 10.0 ** (np.where(known, decibel, 0.0) / 10.0))
        found = steps[np.searchsorted(steps[1:], limit, side="right")]
        return np.where(known, OCCUPIED * hertz * (1.0 - lost) * found, np.nan)

    return over(bits, sinr, bandwidth, efficiency, overhead)


@contract(reads=READS, gives=["rsrp", "server", "sinr", "rate"])
def service(
    twin: xr.DataTree,
    *,
    path_loss: Callable[..., Any],
    load: float | xr.DataArray,
    noise_figure: float,
    efficiency: float,
    overhead: float,
    modulation: str = "64QAM",
    paths: Callable[..., Any] | None = None,
    near: Callable[..., Any] | None = None,
    entry: Callable[..., Any] | None = None,
    farthest: float | None = None,
    receiver_height: float = 1.5,
    subcarrier_spacing: float = 15e3,
    antennas: Mapping[str, Callable[..., Any]] | None = None,
) -> xr.Dataset:
    r"""Signal to interference and noise of the best cell at every pixel, and the rate that it carries.

    .. math:: SINR = \frac{P_s}{N + \sum_{c \ne s} l_c\, o_{sc}\, P_c}

    Parameters
    ----------
    twin, path_loss, paths, near, entry, farthest, receiver_height, subcarrier_spacing, antennas
        As for `coverage`. What is farther than `farthest` does not disturb either.
    load : float or DataArray (cell) [1]
        Share l of its resource elements that each cell fills, 0 to 1.
    noise_figure : float [dB]
    efficiency, overhead : float
        As for `rate`.
    modulation : {"64QAM", "256QAM"}

    Returns
    -------
    Dataset (y, x)
        ``rsrp`` [dBm], ``server``, ``sinr`` [dB] and ``rate`` [bit/s], that of one user to whom the whole channel is
        given. Over terrain ``validity`` too.

    Validity
    --------
    That of `coverage`. Channels that overlap in part (o) disturb by the share of the server's band that they cover.
    Every cell within reach is summed, none is left out: it takes longer than `coverage`.

    Errors
    ------
    TwinError
        As `coverage`; a load outside 0 to 1 or not of every cell; a modulation without a table.

    Examples
    --------
    Half way between two cells of one channel, full load leaves 0 dB, and no load what noise allows:

    >>> from twinkit import assemble
    >>> names = ["a", "b"]
    >>> make = {"azimuth": 0.0, "downtilt": 0.0, "frequency": 8e8, "bandwidth": 1e7, "transmit_power": 46.0}
    >>> cells = {k: ("cell", [v, v]) for k, v in make.items()} | {"antenna": ("cell", ["omni"] * 2)}
    >>> twin = assemble(
    ...     {
    ...         "sites": xr.Dataset(
    ...             {"x": ("site", [0.0, 2e3]), "y": ("site", [0.0, 0.0]), "height": ("site", [30.0, 30.0])},
    ...             {"site": names},
    ...         ),
    ...         "cells": xr.Dataset(cells | {"site": ("cell", names)}, {"cell": names}),
    ...         "surface": xr.Dataset(
    ...             {"ground_height": (("y", "x"), np.zeros((1, 3)))}, {"y": [0.0], "x": [0.0, 1e3, 2e3]}
    ...         ),
    ...     },
    ...     title="two masts", crs="EPSG:32643",
    ... )
    >>> def mine(distance):
    ...     return 20 + 35 * np.log10(distance)
    >>> for share in (0.0, 1.0):
    ...     found = service(twin, path_loss=mine, load=share, noise_figure=9, efficiency=0.6, overhead=0.14)
    ...     print(found.sinr.values[0, 1].round(1), (found.rate.values[0, 1] / 1e6).round(1))
    16.4 21.1
    -0.1 2.9

    References
    ----------
    3GPP TS 36.214, 5.1; TS 38.214, 5.2.2.1; TR 36.942, Annex A.
    """
    within(receiver_height, 0.1, 400, name="receiver_height", unit="m")
    within(subcarrier_spacing, 1e3, 1e6, name="subcarrier_spacing", unit="Hz")
    within(noise_figure, 0.0, 40.0, name="noise_figure", unit="dB")
    rate(0.0, bandwidth=1e7, efficiency=efficiency, overhead=overhead, modulation=modulation)
    model = model_for(
        twin, path_loss, receiver_height=receiver_height, entry=entry, paths=paths, near=near, farthest=farthest
    )
    record = OVER_TERRAIN if hasattr(model, "halo") else RECORD
    carried = functools.partial(rate, efficiency=efficiency, overhead=overhead, modulation=modulation)
    found = answers(
        twin,
        model=model,
        antennas=antennas,
        subcarrier_spacing=subcarrier_spacing,
        ask=functools.partial(
            _served, noise=noise_power(subcarrier_spacing, noise_figure=noise_figure), carried=carried, record=record
        ),
        record=record,
        load=_loads(twin, load),
    )
    ground = twin.children["surface"].to_dataset(inherit=False)["ground_height"].transpose("y", "x")
    attrs = described(model, receiver_height, subcarrier_spacing)
    attrs["provenance"] = attrs["provenance"].replace("coverage", "service")
    shown = f"{load:g}" if isinstance(load, int | float) else "as given for each cell"
    attrs["assumptions"] += (
        f"; load {shown}; noise figure {noise_figure:g} dB at 290 K; {efficiency:g} of Shannon's limit in the steps of"
        f" TS 38.214 up to {modulation}, {overhead:.0%} overhead, one layer, the whole channel to one user"
    )
    out = {n: (("y", "x"), found[n], dict(attrs)) for n in RECORD.names or ()}
    result = xr.Dataset(out, coords={d: ground.coords[d] for d in ("y", "x")})
    return flagged(result, found, attrs, given_by=f"{__name__}.service")


def _loads(twin: xr.DataTree, load: Any) -> Any:
    """The load of every cell, in their order; values are checked where the network is joined."""
    cells = twin.children["cells"].to_dataset(inherit=False)
    if not isinstance(load, xr.DataArray):
        within(load, 0.0, 1.0, name="load", unit="1")
        return np.full(cells.sizes["cell"], float(load))
    ids = [a.indexes.get("cell") for a in (load, cells)]
    same = ids[0] is None or ids[1] is None or ids[0].equals(ids[1])
    if load.dims != ("cell",) or load.sizes["cell"] != cells.sizes["cell"] or not same:
        raise TwinError(
            "a load of every cell, in the order of cells",
            found=f"dims {load.dims} of {load.shape}" + ("" if same else ", with other ids"),
            hint="load.mean('time').reindex(cell=twin['cells'].cell)",
            where="load",
        )
    return load.data


# ---------------------------------------------------------------- some pixels


def _served(
    network: Network,
    model: Model,
    ground: np.ndarray,
    y: np.ndarray,
    x: np.ndarray,
    *,
    noise: float,
    carried: Callable[..., Any],
    record: np.dtype[Any],
) -> np.ndarray:
    """Best server, SINR and rate."""
    load = network.load
    channel, shared = _channels(network)
    heard = np.zeros((len(shared), ground.size))
    best = np.full(ground.size, -np.inf, np.float32)
    server = np.full(ground.size, -1, np.int32)
    for cell, some, level in levels(network, model, ground, y, x):
        at = slice(None) if some is None else some
        if load[cell] > 0.0:
            heard[channel[cell], at] += load[cell] * _milliwatt(level)
        better = (level > best[at]) | ((level == best[at]) & (cell < server[at]))
        best[at] = np.where(better, level, best[at])
        server[at] = np.where(better, np.int32(cell), server[at])
    none = server < 0
    own = np.where(none, 0, server)
    disturbed = np.zeros(ground.size)
    for j, row in enumerate(heard):
        disturbed += shared[channel[own], j] * row
    disturbed -= np.where(none, 0.0, load[own] * _milliwatt(np.where(none, -np.inf, best)))
    out = np.empty(ground.size, record)
    sinr = best - 10.0 * np.log10(_milliwatt(np.float64(noise)) + np.maximum(disturbed, 0.0))
    out["sinr"] = np.where(none, np.nan, sinr)
    out["rate"] = carried(out["sinr"].astype(float), bandwidth=network.bandwidth[own])
    out["rsrp"], out["server"] = np.where(none, np.float32(np.nan), best), server
    if "validity" in (record.names or ()):
        out["validity"] = validity_of(network, model, server, y, x)
    return out


def _milliwatt(level: Any) -> Any:
    return 10.0 ** (np.asarray(level, float) / 10.0)


def _channels(network: Network) -> tuple[np.ndarray, np.ndarray]:
    """Channel of each cell, and the share of a channel's band that another covers (server, other)."""
    bands, channel = np.unique(np.stack([network.frequency, network.bandwidth]), axis=1, return_inverse=True)
    low, high = bands[0] - bands[1] / 2, bands[0] + bands[1] / 2
    common = np.minimum(high[:, None], high) - np.maximum(low[:, None], low)
    return channel.reshape(-1), np.clip(common / bands[1][:, None], 0.0, 1.0)
