"""Power of a cell from load, bandwidth, antennas and sleep: the model of the EARTH project, and what a nap saves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from twinkit.contract import contract, physics, within
from twinkit.energy.hours import period
from twinkit.error import TwinError, close_to
from twinkit.radio.elementwise import over

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "BY_KIND",
    "HARDWARE",
    "NAPS",
    "Hardware",
    "Nap",
    "cell_power",
    "chain_power",
    "energy_used",
    "nap_saving",
    "power",
    "site_power",
]

REFERENCE_BANDWIDTH = 10e6
"""[Hz] The table below was measured on a channel of 10 MHz."""

STRETCH = 2.0
"""An amplifier sends at most so many times the power of the table: Holtkamp et al. let a macro's 20 W reach 40 W."""


@dataclass(frozen=True)
class Hardware:
    """One kind of base station; every figure is of one transceiver chain (one antenna of one sector).

    Attributes
    ----------
    transmit : float [W]
        Largest power out at the antenna.
    idle : float [W]
        Drawn from the mains when nothing is sent.
    slope : float [1]
        Watts drawn for each watt sent.
    sleep : float [W]
        Drawn asleep, with the parts that can be switched off at once switched off.
    radio, baseband : float [W]
        Of the small-signal radio and of the digital part, at 10 MHz, before the losses of the supply.
    converter, mains, cooling : float [1]
        Losses of the DC-DC converter, of the mains supply, and what active cooling takes.
    """

    transmit: float
    idle: float
    slope: float
    sleep: float
    radio: float
    baseband: float
    converter: float
    mains: float
    cooling: float

    @property
    def digital(self) -> float:
        """[W] drawn from the mains for radio and baseband of one chain at 10 MHz."""
        return (self.radio + self.baseband) / (1 - self.converter) / (1 - self.mains) / (1 - self.cooling)


HARDWARE = {
    "macro": Hardware(20.0, 130.0, 4.7, 75.0, 13.0, 29.5, 0.075, 0.09, 0.10),
    "remote radio head": Hardware(20.0, 84.0, 2.8, 56.0, 13.0, 29.5, 0.075, 0.09, 0.0),
    "micro": Hardware(6.3, 56.0, 2.6, 39.0, 6.5, 27.3, 0.075, 0.09, 0.0),
    "pico": Hardware(0.13, 6.8, 4.0, 4.3, 1.0, 3.0, 0.09, 0.11, 0.0),
    "femto": Hardware(0.05, 4.8, 8.0, 2.9, 0.6, 2.5, 0.09, 0.11, 0.0),
}
"""Base stations of 2010: Auer et al. 2011, Tables 1 (parts and losses) and 2 (linear model)."""

BY_KIND = {"macro": HARDWARE["macro"], "small cell": HARDWARE["micro"]}
"""Which hardware stands at which kind of site, where nothing better is known."""


@dataclass(frozen=True)
class Nap:
    """A sleep of the carrier between two bursts.

    Attributes
    ----------
    share : float [1]
        Power asleep over idle power.
    transition : float [s]
        Time to fall asleep and to wake together, in which it draws its idle power and serves nobody.
    """

    share: float
    transition: float


NAPS = {
    "symbol": Nap(52.3 / 109, 71e-6),
    "subframe": Nap(14.3 / 109, 1e-3),
    "frame": Nap(9.51 / 109, 10e-3),
}
"""Advanced sleep modes of a macro cell with two antennas: Salem et al. 2017, after Debaillie et al. 2015."""


# ---------------------------------------------------------------- physics


@physics(gives="power", valid={"load": (0.0, 1.0), "asleep": (0.0, 1.0)}, load="1", asleep="1")
def chain_power(load: Any, *, hardware: Hardware, chains: int, asleep: Any = 0.0) -> Any:
    r"""Power that a base station draws: the linear model of EARTH.

    .. math:: P = N\,[(1 - s)\,P_0 + \Delta_p\, \chi\, P_{max} + s\, P_{sleep}], \quad \chi + s \le 1

    Parameters
    ----------
    load : float, array or DataArray [1]
        Mean share χ of the largest power that is sent.
    hardware : Hardware
    chains : int
        Transceiver chains N: antennas times sectors.
    asleep : float, array or DataArray [1]
        Share s of the time asleep.

    Returns
    -------
    float, array or DataArray [W]

    Validity
    --------
    Hardware of 2010 at 10 MHz; see `cell_power` for other bandwidths. Power control and the non-linear region of the
    amplifier near its full power are not modelled (a few percent, Auer et al., Figure 3).

    Errors
    ------
    TwinError
        A load or share outside 0 to 1, or load and sleep that do not fit into the time.

    Examples
    --------
    A macro site of three sectors with two antennas each, full, idle and asleep:

    >>> macro = HARDWARE["macro"]
    >>> [round(chain_power(x, hardware=macro, chains=6, asleep=s)) for x, s in ((1, 0), (0, 0), (0, 1))]
    [1344, 780, 450]

    References
    ----------
    G. Auer et al., How much energy is needed to run a wireless network?, IEEE Wireless Communications 18(5), 2011,
    equation (2) and Table 2, doi:10.1109/MWC.2011.6056691.
    """
    within(chains, 1, 1e4, name="chains", unit="1")

    def watts(share: Any, slept: Any) -> Any:
        _fits(share, slept)
        h = hardware
        return chains * ((1 - slept) * h.idle + h.slope * share * h.transmit + slept * h.sleep)

    return over(watts, load, asleep)


@physics(
    gives="power",
    valid={
        "load": (0.0, 1.0),
        "bandwidth": (1e5, 4e8),
        "transmit_power": (-30.0, 60.0),
        "antennas": (1, 1024),
        "digital": (0.0, 10.0),
        "asleep": (0.0, 1.0),
    },
    load="1",
    bandwidth="Hz",
    transmit_power="dBm",
    asleep="1",
)
def cell_power(
    load: Any,
    *,
    bandwidth: Any,
    transmit_power: Any,
    antennas: Any,
    digital: Any,
    hardware: Hardware,
    asleep: Any = 0.0,
) -> Any:
    r"""Power that one cell draws, by its bandwidth, transmit power and antennas.

    .. math:: P = (1 - s)\left[ D\, g\, \tfrac{W}{10\,MHz}\, P_{dig} + P_{tx}\, \tfrac{P_0 - P_{dig}}{P_{max}} \right]
        + \Delta_p\, \chi\, P_{tx} + s\, \min(D\, P_{sleep}, \cdot)

    Radio and baseband grow with bandwidth W and antennas D, the amplifiers with the power P_tx that they can send,
    sleep with the antennas; at 10 MHz, g = 1 and P_max an antenna it is `chain_power`.

    Parameters
    ----------
    load : float, array or DataArray [1]
        Share χ of the resources in use, the mean over the whole time.
    bandwidth : float, array or DataArray [Hz]
    transmit_power : float, array or DataArray [dBm]
        Of the cell over all antennas and its whole bandwidth.
    antennas : int or array
        Transceiver chains D of the cell.
    digital : float
        How much the radio and digital parts draw against those of 2010, for the same work: 1 for that year. Each
        generation of chips takes about half (Desset et al. 2012).
    hardware : Hardware
    asleep : float, array or DataArray [1]
        Share s of the time.

    Returns
    -------
    float, array or DataArray [W]

    Validity
    --------
    Fitted up to 20 MHz and 4 antennas; beyond it the law is extrapolated, and `digital` decides. Sleep is that of 2010
    whatever `digital` is, because nobody published what it is made of; it never draws more than idling.

    Errors
    ------
    TwinError
        A value outside its range, load and sleep that do not fit into the time, or more power to an antenna than twice
        the table's.

    Examples
    --------
    A carrier of 20 MHz draws more than one of 10 MHz, loaded or not:

    >>> like = {"transmit_power": 46.0, "antennas": 2, "digital": 1.0, "hardware": HARDWARE["macro"]}
    >>> [round(cell_power(0.3, bandwidth=b, **like)) for b in (10e6, 20e6)]
    [315, 428]

    References
    ----------
    H. Holtkamp, G. Auer, V. Giannini, H. Haas, A parameterized base station power model, IEEE Communications Letters
    17(11), 2013, equations (3) to (8), doi:10.1109/LCOMM.2013.091213.131042. C. Desset et al., Flexible power modeling
    of LTE base stations, WCNC 2012, doi:10.1109/WCNC.2012.6214289.
    """

    def watts(share: Any, hertz: Any, level: Any, count: Any, chips: Any, slept: Any) -> Any:
        return _watts(share, hertz, level, count, chips, slept, _columns(hardware))

    return over(watts, load, bandwidth, transmit_power, antennas, digital, asleep)


@physics(valid={"gap": (0.0, 1e9), "idle": (0.0, 1e6)}, gap="s", idle="W")
def nap_saving(gap: Any, *, idle: Any, nap: Nap) -> Any:
    r"""Energy saved by sleeping through a gap between two bursts; nothing where the gap is too short.

    .. math:: E = \max(0,\ (1 - r)\, P_{idle}\, (t - \tau))

    Parameters
    ----------
    gap : float, array or DataArray [s]
    idle : float, array or DataArray [W]
    nap : Nap
        Share r and transition τ.

    Returns
    -------
    float, array or DataArray [J]

    Errors
    ------
    TwinError
        A negative gap or power.

    Examples
    --------
    A gap of 5 ms is too short for the sleep of a frame, and worth half a joule in that of a subframe:

    >>> [round(nap_saving(5e-3, idle=109, nap=NAPS[n]), 3) for n in ("symbol", "subframe", "frame")]
    [0.279, 0.379, 0.0]

    References
    ----------
    F. E. Salem et al., Advanced sleep modes in 5G multiple base stations using non-cooperative multi-agent
    reinforcement learning and its forerunners, PIMRC 2017; B. Debaillie, C. Desset, F. Louagie, A flexible and
    future-proof power model for cellular base stations, VTC Spring 2015, doi:10.1109/VTCSpring.2015.7145603.
    """
    return over(lambda time, watt: np.maximum(0.0, (1 - nap.share) * watt * (time - nap.transition)), gap, idle)


# ---------------------------------------------------------------- stages


@contract(
    reads=["cells/site", "cells/bandwidth", "cells/transmit_power", "sites/kind", "load"],
    gives=["power"],
)
def power(
    twin: xr.DataTree,
    load: xr.DataArray,
    *,
    hardware: Mapping[str, Hardware],
    antennas: int | xr.DataArray,
    digital: float,
    asleep: xr.DataArray | None = None,
) -> xr.DataArray:
    """Power that each cell draws over time: `cell_power` on the twin.

    Parameters
    ----------
    twin : DataTree
    load : DataArray (time, cell) [1]
    hardware : dict of str to Hardware
        By the kind of the site, such as `BY_KIND`.
    antennas : int or DataArray (cell)
        Transceiver chains of a cell; registers seldom tell.
    digital : float
        As for `cell_power`.
    asleep : DataArray (time, cell) [1], optional
        Share of each period asleep, as `sleep` gives it.

    Returns
    -------
    DataArray (time, cell) [W]

    Errors
    ------
    TwinError
        Cells that are not those of the twin, a kind of site without hardware, a load over one, or unknown load.

    Examples
    --------
    >>> from twinkit import assemble, stamp
    >>> sites = xr.Dataset({"kind": ("site", ["macro"])}, {"site": ["a"]})
    >>> cells = xr.Dataset(
    ...     {"site": ("cell", ["a"]), "bandwidth": ("cell", [10e6]), "transmit_power": ("cell", [46.0])},
    ...     {"cell": ["a1"]},
    ... )
    >>> twin = assemble({"sites": sites, "cells": cells}, title="one cell", crs="EPSG:32643")
    >>> times = np.array(["2026-03-02T00", "2026-03-02T12"], "datetime64[ns]")
    >>> load = stamp(xr.DataArray([[0.1], [0.9]], {"time": times, "cell": ["a1"]}, ("time", "cell")), "load")
    >>> power(twin, load, hardware=BY_KIND, antennas=2, digital=1.0).values.round().ravel()
    array([278., 428.])
    """
    cells, sites = (twin.children[n].to_dataset(inherit=False) for n in ("cells", "sites"))
    _same_cells(load, cells, "load")
    slept: Any = 0.0 if asleep is None else asleep
    if asleep is not None:
        _same_cells(asleep, cells, "asleep")
    if isinstance(antennas, xr.DataArray):
        _same_cells(antennas, cells, "antennas")
    kind = _whole(sites["kind"])
    within(digital, 0.0, 10.0, name="digital", unit="1")
    table, order = _table(hardware)
    ids = sites["site"].values

    def block(share: Any, hertz: Any, level: Any, home: Any, count: Any, rest: Any, kinds: Any) -> Any:
        for value, low, high, name, unit in (
            (share, 0.0, 1.0, "load", "1"),
            (rest, 0.0, 1.0, "asleep", "1"),
            (hertz, 1e5, 4e8, "bandwidth", "Hz"),
            (level, -30.0, 60.0, "transmit_power", "dBm"),
            (count, 1, 1024, "antennas", "1"),
        ):
            within(np.asarray(value, float), low, high, name=name, unit=unit)
        which = order(np.asarray(home), ids, np.asarray(kinds).reshape(-1))
        return _watts(share, hertz, level, count, digital, rest, table[:, which])

    out = xr.apply_ufunc(
        block,
        load,
        cells["bandwidth"],
        cells["transmit_power"],
        _whole(cells["site"].reset_coords(drop=True)),
        antennas,
        slept,
        kind.reset_coords(drop=True),
        input_core_dims=[[], [], [], [], [], [], ["site"]],
        dask="parallelized",
        output_dtypes=[float],
        keep_attrs="drop",
        join="exact",
    )
    used = ", ".join(f"{k} as {h.idle:g} W idle a chain" for k, h in hardware.items())
    shown = f"{antennas}" if isinstance(antennas, int) else "as given"
    out.attrs = {
        "provenance": "modelled: EARTH power model, twinkit.energy.power",
        "assumptions": f"hardware by kind of site ({used}); {shown} antennas a cell; digital parts {digital:g} times"
        " those of 2010",
    }
    return out


@contract(reads=["power", "cells/site"], gives=["power"])
def site_power(power: xr.DataArray, twin: xr.DataTree, *, overhead: float) -> xr.DataArray:
    """Power that each site draws: its cells, and what stands beside them.

    Parameters
    ----------
    power : DataArray (time, cell) [W]
    twin : DataTree
        Says which cell stands where; sites without cells get the overhead alone.
    overhead : float [W]
        Of each site whatever the load: backhaul radio, router, lights, alarm.

    Returns
    -------
    DataArray (time, site) [W]

    Errors
    ------
    TwinError
        Cells that are not those of the twin, or a negative overhead.

    Examples
    --------
    >>> from twinkit import assemble, stamp
    >>> cells = xr.Dataset({"site": ("cell", ["a", "a"])}, {"cell": ["a1", "a2"]})
    >>> sites = xr.Dataset(coords={"site": ["a"]})
    >>> twin = assemble({"sites": sites, "cells": cells}, title="", crs="EPSG:32643")
    >>> drawn = stamp(xr.DataArray([[300.0, 200.0]], {"cell": ["a1", "a2"]}, ("time", "cell")), "power")
    >>> site_power(drawn, twin, overhead=100.0).values
    array([[600.]])
    """
    within(overhead, 0.0, 1e6, name="overhead", unit="W")
    cells, sites = (twin.children[n].to_dataset(inherit=False) for n in ("cells", "sites"))
    _same_cells(power, cells, "power")
    home, ids = _whole(cells["site"].reset_coords(drop=True)), sites["site"]
    if hasattr(power.data, "dask"):
        power = power.chunk({"cell": -1})

    def summed(watts: Any, where: Any) -> Any:
        member = np.asarray(where)[:, None] == ids.values[None, :]
        return np.asarray(watts) @ member.astype(float) + overhead

    out = xr.apply_ufunc(
        summed,
        power,
        home,
        input_core_dims=[["cell"], ["cell"]],
        output_core_dims=[["site"]],
        dask="parallelized",
        output_dtypes=[float],
        dask_gufunc_kwargs={"output_sizes": {"site": ids.size}},
        keep_attrs="drop",
    ).assign_coords(site=ids.reset_coords(drop=True))
    out.attrs = {
        "provenance": "modelled: EARTH power model, twinkit.energy.site_power",
        "assumptions": f"{power.attrs.get('assumptions', '')}; {overhead:g} W a site beside its cells".strip("; "),
    }
    return out


@contract(reads=["power"], gives=["energy"])
def energy_used(power: xr.DataArray) -> xr.DataArray:
    """Energy used in the period that begins at each time.

    Parameters
    ----------
    power : DataArray (time, cell) or (time, site) [W]
        Evenly spaced in time.

    Returns
    -------
    DataArray like `power` [Wh]

    Errors
    ------
    TwinError
        Times that do not ascend evenly, or fewer than two of them.

    Examples
    --------
    >>> from twinkit import stamp
    >>> times = np.arange("2026-03-02T00", "2026-03-02T02", np.timedelta64(30, "m"), "datetime64[ns]")
    >>> drawn = stamp(xr.DataArray(np.full((4, 1), 200.0), {"time": times}, ("time", "cell")), "power")
    >>> energy_used(drawn).values.ravel()
    array([100., 100., 100., 100.])
    """
    out = power * (period(power, "power") / 3600.0)
    out.attrs = {k: v for k, v in power.attrs.items() if k in ("provenance", "assumptions")}
    return out


# ---------------------------------------------------------------- parts


def _whole(names: xr.DataArray) -> xr.DataArray:
    """Names in one block where they are lazy; else as text of one width, which dask can lay beside lazy arrays."""
    return names.copy(data=names.data.rechunk(names.shape)) if hasattr(names.data, "dask") else names.astype(str)


def _columns(hardware: Hardware) -> tuple[float, ...]:
    h = hardware
    return h.digital, (h.idle - h.digital) / h.transmit, h.slope, h.sleep, h.transmit


def _watts(share: Any, hertz: Any, level: Any, count: Any, chips: Any, slept: Any, columns: Any) -> Any:
    digital, amplifier, slope, sleep, most = columns
    _fits(share, slept)
    sent = 10.0 ** ((np.asarray(level, float) - 30.0) / 10.0)
    # a hundredth for powers rounded to whole decibels
    if np.any(sent / count > STRETCH * most * 1.01):
        worst = float(np.max(sent / count / most))
        raise TwinError(
            f"at most {STRETCH:g} times the power of the table to an antenna",
            found=f"{worst:.1f} times",
            hint="give the cell more antennas, or larger hardware (see tk.energy.HARDWARE)",
            where="transmit_power",
        )
    idle = count * chips * hertz / REFERENCE_BANDWIDTH * digital + sent * amplifier
    return (1 - slept) * idle + slope * share * sent + slept * np.minimum(count * sleep, idle)


def _fits(share: Any, slept: Any) -> None:
    if np.any(np.asarray(share) + np.asarray(slept) > 1 + 1e-9):
        raise TwinError(
            "load and sleep that fit into the time: their sum at most 1",
            found=f"{float(np.max(np.asarray(share) + np.asarray(slept))):.3g}",
            hint="a cell that sleeps carries nothing: give the load after sleep(...), not before",
            where="asleep",
        )


def _table(hardware: Any) -> tuple[np.ndarray, Any]:
    if not hasattr(hardware, "items") or not all(isinstance(h, Hardware) for _, h in hardware.items()):
        raise TwinError(
            "hardware by kind of site",
            found=f"a {type(hardware).__name__}",
            hint='hardware=tk.energy.BY_KIND, or {"macro": tk.energy.HARDWARE["remote radio head"]}',
            where="hardware",
        )
    names = list(hardware)
    table = np.array([_columns(hardware[n]) for n in names]).T

    def order(home: np.ndarray, ids: np.ndarray, kinds: np.ndarray) -> np.ndarray:
        place = {str(s): i for i, s in enumerate(ids)}
        strangers = [str(s) for s in home.ravel() if str(s) not in place]
        if strangers:
            raise TwinError(
                "cells at sites of the twin", found=f"'{strangers[0]}'", hint="tk.validate(twin)", where="cells/site"
            )
        kind = [str(kinds[place[str(s)]]) for s in home.ravel()]
        unknown = sorted(set(kind) - set(names))
        if unknown:
            near = close_to(unknown[0], names)
            raise TwinError(
                f"hardware for cells at sites of kind '{unknown[0]}'",
                found=f"hardware for {', '.join(names) or 'none'}",
                hint=f"did you mean {near}?" if near else f'hardware={{**tk.energy.BY_KIND, "{unknown[0]}": ...}}',
                where="hardware",
            )
        return np.array([names.index(k) for k in kind], dtype=np.intp)

    return table, order


def _same_cells(array: xr.DataArray, cells: xr.Dataset, name: str) -> None:
    if not isinstance(array, xr.DataArray) or "cell" not in array.dims:
        raise TwinError(
            f"{name} with dim cell",
            found=f"dims {tuple(array.dims)}" if isinstance(array, xr.DataArray) else f"a {type(array).__name__}",
            hint="stack it with the cells of the twin",
            where=name,
        )
    if cells.sizes.get("cell", 0) == 0:
        raise TwinError("cells", found="a twin without any", hint="tk.datasets.town(...) has some", where="cells")
    ids = [a.indexes.get("cell") for a in (array, cells)]
    same = array.sizes["cell"] == cells.sizes["cell"]
    if same and ids[0] is not None and ids[1] is not None:
        same = ids[0].equals(ids[1])
    if not same:
        raise TwinError(
            "the cells of the twin, in their order",
            found=f"{array.sizes['cell']} cells against {cells.sizes['cell']}, or other ids",
            hint=f"{name}.reindex(cell=twin['cells'].cell)",
            where=name,
        )
