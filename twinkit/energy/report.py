"""Energy efficiency and carbon of a network, and the table that a regulator asks for: ETSI ES 203 228, ITU-T L.1331."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from twinkit.contract import contract, physics, within
from twinkit.energy.hours import period, same_hours
from twinkit.error import TwinError
from twinkit.radio.elementwise import over

__all__ = [
    "assessment",
    "carbon",
    "carbon_mass",
    "coverage_efficiency",
    "coverage_quality",
    "energy_efficiency",
    "latency_efficiency",
    "site_efficiency",
]

WEEK = 7 * 24 * 3600.0
"""[s] The shortest measurement that the standard takes; a month and a year are the others."""


@physics(gives="energy_efficiency", valid={"bits": (0.0, 1e30), "energy": (1e-12, 1e30)}, bits="bit", energy="J")
def energy_efficiency(bits: Any, *, energy: Any) -> Any:
    r"""Bits that a network carries for each joule: its data energy efficiency.

    .. math:: EE_{MN,DV} = \frac{DV_{MN}}{EC_{MN}}

    Parameters
    ----------
    bits : float, array or DataArray [bit]
        Data volume DV carried both ways, in the time of the measurement.
    energy : float, array or DataArray [J]
        Energy EC of base stations, backhaul and site equipment in the same time; 3600 J are 1 Wh.

    Returns
    -------
    float, array or DataArray [bit/J]

    Validity
    --------
    A week at least, so that nights and weekends are in it.

    Errors
    ------
    TwinError
        No energy, or a negative volume.

    Examples
    --------
    A terabyte carried with a megawatt-hour:

    >>> round(energy_efficiency(8e12, energy=3.6e9))
    2222

    References
    ----------
    ETSI ES 203 228, Environmental Engineering; Assessment of mobile network energy efficiency, clause on energy
    efficiency metrics; Recommendation ITU-T L.1331 (09/2020), clause 7.4.
    """
    return over(lambda volume, joule: volume / joule, bits, energy)


@physics(gives="coverage_efficiency", valid={"area": (0.0, 1e15), "energy": (1e-12, 1e30)}, area="m2", energy="J")
def coverage_efficiency(area: Any, *, energy: Any) -> Any:
    r"""Area that a network covers for each joule: what counts where traffic is thin.

    .. math:: EE_{MN,CoA} = \frac{CoA_{des}}{EC_{MN}}

    Parameters
    ----------
    area : float, array or DataArray [m2]
        Designated coverage area, times `coverage_quality` where failures are counted.
    energy : float, array or DataArray [J]
        Of a year: the area does not grow with the time of the measurement, so only equal times compare.

    Returns
    -------
    float, array or DataArray [m2/J]

    Validity
    --------
    Rural and deep rural networks, says the standard.

    Errors
    ------
    TwinError
        No energy, or a negative area.

    Examples
    --------
    >>> round(coverage_efficiency(1e9, energy=3.6e11), 5)
    0.00278

    References
    ----------
    ETSI ES 203 228, clause on energy efficiency metrics; Recommendation ITU-T L.1331 (09/2020), clause 7.4.
    """
    return over(lambda square, joule: square / joule, area, energy)


@physics(valid={"setup": (0.0, 1.0), "bearer": (0.0, 1.0), "dropped": (0.0, 1.0)}, setup="1")
def coverage_quality(setup: Any, *, bearer: Any, dropped: Any) -> Any:
    r"""Quality factor of a coverage area, from the failures that counters count.

    .. math:: CoA_Q = (1 - f_{setup})(1 - f_{bearer})(1 - f_{dropped})

    Parameters
    ----------
    setup, bearer, dropped : float, array or DataArray [1]
        Shares of radio connections that fail to be set up, of bearers that do, and of bearers released abnormally.

    Returns
    -------
    float, array or DataArray [1]

    Validity
    --------
    Failures for all reasons; congestion is among them.

    Errors
    ------
    TwinError
        A share outside 0 to 1.

    Examples
    --------
    >>> round(coverage_quality(0.01, bearer=0.01, dropped=0.02), 4)
    0.9605

    References
    ----------
    ETSI ES 203 228, clause on coverage quality; Recommendation ITU-T L.1331 (09/2020), clause 8.3.3.4.
    """
    return over(lambda a, b, c: (1 - a) * (1 - b) * (1 - c), setup, bearer, dropped)


@physics(valid={"latency": (1e-9, 1e6), "energy": (1e-12, 1e30)}, latency="s", energy="J")
def latency_efficiency(latency: Any, *, energy: Any) -> Any:
    r"""How quick a network is for each joule.

    .. math:: EE_{MN,L} = \frac{1}{T_{e2e}\, EC_{MN}}

    Parameters
    ----------
    latency : float, array or DataArray [s]
        End to end.
    energy : float, array or DataArray [J]

    Returns
    -------
    float, array or DataArray [1/(s J)]

    Validity
    --------
    One service; equal times of measurement.

    Errors
    ------
    TwinError
        No time or no energy.

    Examples
    --------
    >>> latency_efficiency(0.02, energy=1e6)
    5e-05

    References
    ----------
    Recommendation ITU-T L.1331 (09/2020), clause 7.4.
    """
    return over(lambda second, joule: 1.0 / (second * joule), latency, energy)


@physics(valid={"equipment": (0.0, 1e30), "site": (1e-12, 1e30)}, equipment="J", site="J")
def site_efficiency(equipment: Any, *, site: Any) -> Any:
    r"""Share of a site's energy that its telecommunication equipment takes: the inverse of a data centre's PUE.

    .. math:: SEE = \frac{EC_{equipment}}{EC_{site}}

    Parameters
    ----------
    equipment, site : float, array or DataArray [J]
        Of radio and backhaul, and of all with cooling, rectifiers and lights.

    Returns
    -------
    float, array or DataArray [1]

    Validity
    --------
    Equal times of measurement.

    Errors
    ------
    TwinError
        A site without energy, or one that takes less than its equipment.

    Examples
    --------
    >>> site_efficiency(8.0, site=10.0)
    0.8

    References
    ----------
    ETSI ES 203 228, clause on site energy efficiency.
    """

    def share(part: Any, whole: Any) -> Any:
        if np.any(part > whole * (1 + 1e-9)):
            raise TwinError(
                "a site that takes at least what its equipment takes",
                found="less",
                hint="give the energy of the whole site second",
                where="site",
            )
        return part / whole

    return over(share, equipment, site)


@physics(gives="carbon", valid={"energy": (0.0, 1e30), "intensity": (0.0, 10.0)}, energy="Wh", intensity="kg/kWh")
def carbon_mass(energy: Any, *, intensity: Any) -> Any:
    r"""Greenhouse gases of some energy.

    .. math:: m = E\, c

    Parameters
    ----------
    energy : float, array or DataArray [Wh]
    intensity : float, array or DataArray [kg/kWh]
        Of CO2 equivalents, c; a diesel generator is near 0.8, grids lie between 0.02 and 0.9.

    Returns
    -------
    float, array or DataArray [kg]

    Validity
    --------
    Emissions of use; those of building the equipment are not in it.

    Errors
    ------
    TwinError
        A negative energy, or an intensity above 10 (grams?).

    Examples
    --------
    >>> carbon_mass(5000.0, intensity=0.7)
    3.5

    References
    ----------
    Recommendation ITU-T L.1420 (2012); the intensity's source is the caller's to state, see `carbon`.
    """
    return over(lambda watt_hours, rate: watt_hours / 1000.0 * rate, energy, intensity)


@contract(reads=["energy"], gives=["carbon"])
def carbon(energy: xr.DataArray, *, intensity: float | xr.DataArray, source: str) -> xr.DataArray:
    """Greenhouse gases of the energy used, with the source of the intensity on it.

    Parameters
    ----------
    energy : DataArray (time, site) or (time, cell) [Wh]
    intensity : float or DataArray (time) or (time, site) [kg/kWh]
        CO2 equivalents of a kilowatt-hour: no default, because it decides the answer.
    source : str
        Who says so, of which grid and year; it goes into the assumptions.

    Returns
    -------
    DataArray like `energy` [kg]

    Errors
    ------
    TwinError
        No source, an intensity outside 0 to 10, or one over other times.

    Examples
    --------
    >>> from twinkit import stamp
    >>> axes = {"time": np.array(["2026-03-02T00", "2026-03-02T01"], "datetime64[ns]"), "site": ["a"]}
    >>> used = stamp(xr.DataArray([[500.0], [700.0]], axes, ("time", "site")), "energy")
    >>> carbon(used, intensity=0.5, source="a grid of the example").values.ravel()
    array([0.25, 0.35])
    """
    if not isinstance(source, str) or len(source.strip()) < 3:
        raise TwinError(
            "the source of the carbon intensity",
            found=repr(source),
            hint="name the publisher, the grid and the year",
            where="source",
        )
    if isinstance(intensity, xr.DataArray):
        same_hours(energy, intensity, "intensity")
        intensity = intensity.assign_attrs(units=intensity.attrs.get("units", "kg/kWh"))
    out = carbon_mass(energy.drop_attrs(), intensity=intensity)
    shown = f"{intensity:g} kg/kWh" if isinstance(intensity, int | float) else "over time"
    out.attrs = {
        "provenance": energy.attrs.get("provenance", "modelled: energy used"),
        "assumptions": f"{energy.attrs.get('assumptions', '')}; carbon intensity {shown}: {source}".strip("; "),
    }
    return out


def assessment(
    twin: xr.DataTree,
    energy: xr.DataArray,
    traffic: xr.DataArray,
    *,
    covered: float,
    intensity: float,
    source: str,
    quality: float = 1.0,
) -> pd.DataFrame:
    """The assessment report of a network under test: what ES 203 228 and L.1331 want to see beside their metrics.

    Parameters
    ----------
    twin : DataTree
    energy : DataArray (time, site) [Wh]
        As `energy_used` gives it.
    traffic : DataArray (time, cell) or (time, site) [bit/s]
        Carried, both ways, at the same times.
    covered : float [m2]
        Designated coverage area.
    intensity, source
        As for `carbon`.
    quality : float [1]
        `coverage_quality`; 1 where no failures are counted, and the table says so.

    Returns
    -------
    pandas.DataFrame
        Columns ``part`` (network, sites, measurement, efficiency, carbon), ``quantity``, ``value`` and ``unit``;
        ``to_markdown`` needs the package tabulate, ``to_csv`` nothing. The coverage metric is scaled to a year.

    Errors
    ------
    TwinError
        Times that differ, unknown or negative energy or traffic, no area, no source.

    Examples
    --------
    >>> from twinkit import assemble, stamp
    >>> sites = xr.Dataset({"kind": ("site", ["macro"])}, {"site": ["a"]})
    >>> twin = assemble({"sites": sites}, title="one mast", crs="EPSG:32643")
    >>> times = np.arange("2026-03-02T00", "2026-03-09T00", dtype="datetime64[h]").astype("datetime64[ns]")
    >>> axes, dims = {"time": times, "site": ["a"]}, ("time", "site")
    >>> used = stamp(xr.DataArray(np.full((168, 1), 1000.0), axes, dims), "energy")
    >>> bits = stamp(xr.DataArray(np.full((168, 1), 5e6), axes, dims), "traffic")
    >>> table = assessment(twin, used, bits, covered=2e7, intensity=0.7, source="the example")
    >>> table[table.part == "efficiency"][["quantity", "value"]].round(4).values.tolist()[0]
    ['data energy efficiency', 5000.0]
    """
    within(covered, 1.0, 1e15, name="covered", unit="m2")
    within(quality, 0.0, 1.0, name="quality", unit="1")
    for array, name in ((energy, "energy"), (traffic, "traffic")):
        if not isinstance(array, xr.DataArray) or array.name != name or "time" not in array.dims:
            raise TwinError(
                f"{name} over time",
                found=f"'{getattr(array, 'name', None)}' with dims {getattr(array, 'dims', ())}",
                hint=f"tk.stamp(array, '{name}')",
                where=name,
            )
    same_hours(energy, traffic, "traffic")
    step = period(energy, "energy")
    used, carried = energy.compute(), traffic.compute()
    within(used, 0.0, 1e12, name="energy", unit="Wh")
    within(carried, 0.0, 1e15, name="traffic", unit="bit/s")
    gas = carbon_mass(float(used.sum()), intensity=intensity)
    carbon(used, intensity=intensity, source=source)  # refuses an unnamed source
    seconds = step * used.sizes["time"]
    joules, bits = float(used.sum()) * 3600.0, float(carried.sum()) * step
    yearly = joules * 365 * 24 * 3600 / seconds
    times = used.indexes["time"]
    sites = twin.children["sites"].to_dataset(inherit=False)
    kinds = pd.Series(sites["kind"].to_numpy()).value_counts() if "kind" in sites else pd.Series(dtype=int)
    rows: list[tuple[str, str, Any, str]] = [
        ("network", "name", twin.attrs.get("title", ""), ""),
        ("network", "designated coverage area", covered / 1e6, "km2"),
        ("network", "coverage quality", quality, "1 (no failures counted)" if quality == 1 else "1"),
        ("network", "sites", sites.sizes["site"], "1"),
        *(("sites", f"of kind {k}", int(n), "1") for k, n in sorted(kinds.items())),
    ]
    if "kind" in sites and "site" in used.dims:
        for kind in sorted(set(map(str, sites["kind"].to_numpy()))):
            own = used.sel(site=sites["site"].to_numpy()[sites["kind"].to_numpy() == kind])
            rows.append(("sites", f"energy of kind {kind}", float(own.sum()) / 1000.0, "kWh"))
    rows += [
        ("measurement", "begin (UTC)", str(times[0]), ""),
        ("measurement", "duration", seconds / 86400.0, "day"),
        ("measurement", "long enough for the standard", "yes" if seconds >= WEEK else "no: a week at least", ""),
        ("measurement", "energy", joules / 3.6e6, "kWh"),
        ("measurement", "data volume", bits, "bit"),
        ("measurement", "provenance", str(energy.attrs.get("provenance", "")), ""),
        ("efficiency", "data energy efficiency", energy_efficiency(bits, energy=joules), "bit/J"),
        (
            "efficiency",
            "coverage energy efficiency, scaled to a year",
            coverage_efficiency(covered * quality, energy=yearly),
            "m2/J",
        ),
        ("carbon", "greenhouse gases", gas, "kg"),
        ("carbon", "intensity", intensity, f"kg/kWh ({source})"),
    ]
    return pd.DataFrame(rows, columns=["part", "quantity", "value", "unit"])
