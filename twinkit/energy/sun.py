"""Sun and clouds: where the sun stands at a place and an hour of UTC, and what solar panels make of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from twinkit.contract import contract, physics, whole_seed, within
from twinkit.energy.hours import index
from twinkit.radio.elementwise import over

__all__ = ["clear_sky", "cloud_cover", "clouded", "declination", "equation_of_time", "sun_elevation", "sunlight"]

INSIDE = 6
"""Instants in each period over which sunshine is averaged: the error of the mean of an hour stays below 0.1 %."""

SPREAD = 0.6
"""Sum of the two parameters of the cover's Beta law: below 2 the sky is mostly clear or mostly overcast, as it is."""


@physics(valid={"day": (0.0, 367.0)}, day="1")
def declination(day: Any) -> Any:
    r"""Declination of the sun.

    .. math:: \delta = 0.006918 - 0.399912 \cos\Gamma + 0.070257 \sin\Gamma - 0.006758 \cos 2\Gamma
        + 0.000907 \sin 2\Gamma - 0.002697 \cos 3\Gamma + 0.00148 \sin 3\Gamma, \quad \Gamma = 2\pi (n - 1)/365

    Parameters
    ----------
    day : float, array or DataArray [1]
        Day of the year n with its fraction; 1.0 is midnight (UTC) before 1 January.

    Returns
    -------
    float, array or DataArray [degree]

    Validity
    --------
    Within 0.3 degree: the calendar slips a quarter of a day a year.

    Errors
    ------
    TwinError
        A day outside the year.

    Examples
    --------
    >>> [round(declination(n), 1) for n in (80.5, 172.5, 355.5)]
    [0.1, 23.5, -23.4]

    References
    ----------
    J. W. Spencer, Fourier series representation of the position of the sun, Search 2(5), 1971.
    """

    def degrees(n: Any) -> Any:
        a = 2 * np.pi * (n - 1) / 365
        return np.degrees(
            0.006918
            - 0.399912 * np.cos(a)
            + 0.070257 * np.sin(a)
            - 0.006758 * np.cos(2 * a)
            + 0.000907 * np.sin(2 * a)
            - 0.002697 * np.cos(3 * a)
            + 0.00148 * np.sin(3 * a)
        )

    return over(degrees, day)


@physics(valid={"day": (0.0, 367.0)}, day="1")
def equation_of_time(day: Any) -> Any:
    r"""Minutes by which a sundial is ahead of a clock.

    .. math:: E = 229.18\,(0.000075 + 0.001868 \cos\Gamma - 0.032077 \sin\Gamma - 0.014615 \cos 2\Gamma
        - 0.040849 \sin 2\Gamma)

    Parameters
    ----------
    day : float, array or DataArray [1]
        As for `declination`.

    Returns
    -------
    float, array or DataArray [min]

    Validity
    --------
    Within 0.6 minutes.

    Errors
    ------
    TwinError
        A day outside the year.

    Examples
    --------
    >>> [round(equation_of_time(n)) for n in (42.5, 307.5)]
    [-14, 16]

    References
    ----------
    J. W. Spencer, Fourier series representation of the position of the sun, Search 2(5), 1971.
    """

    def minutes(n: Any) -> Any:
        a = 2 * np.pi * (n - 1) / 365
        return 229.18 * (
            0.000075 + 0.001868 * np.cos(a) - 0.032077 * np.sin(a) - 0.014615 * np.cos(2 * a) - 0.040849 * np.sin(2 * a)
        )

    return over(minutes, day)


@physics(valid={"longitude": (-180.0, 180.0), "latitude": (-90.0, 90.0)}, longitude="degree", latitude="degree")
def sun_elevation(time: Any, *, longitude: Any, latitude: Any) -> Any:
    r"""Height of the sun over the horizon.

    .. math:: \sin h = \sin\varphi \sin\delta + \cos\varphi \cos\delta \cos\omega, \quad
        \omega = 15^\circ\, (t_{UTC} + \lambda/15^\circ + E/60 - 12)

    Parameters
    ----------
    time : datetime64, array or DataArray of them
        UTC.
    longitude, latitude : float, array or DataArray [degree]

    Returns
    -------
    float, array or DataArray [degree]
        Below 0 at night; without the air's refraction.

    Validity
    --------
    Within 0.4 degree from 1950 to 2050.

    Errors
    ------
    TwinError
        A place outside the globe.

    Examples
    --------
    Noon at Shimla comes long before noon of UTC:

    >>> hours = np.array(["2026-06-21T06:53", "2026-06-21T12:00"], "datetime64[ns]")
    >>> sun_elevation(hours, longitude=77.17, latitude=31.1).round(1)
    array([82.4, 22.6])
    """
    if isinstance(time, xr.DataArray):
        parts: Any = [time.copy(data=part) for part in _parts(time.to_numpy())]
    else:
        parts = _parts(np.asarray(time, "datetime64[ns]"))

    def degrees(n: Any, hour: Any, east: Any, north: Any) -> Any:
        tilt, latitude = np.radians(declination(n)), np.radians(north)
        angle = np.radians(15.0 * (hour + east / 15.0 + equation_of_time(n) / 60.0 - 12.0))
        height = np.sin(latitude) * np.sin(tilt) + np.cos(latitude) * np.cos(tilt) * np.cos(angle)
        return np.degrees(np.arcsin(np.clip(height, -1.0, 1.0)))

    return over(degrees, *parts, longitude, latitude)


@physics(valid={"elevation": (-90.0, 90.0)}, elevation="degree")
def clear_sky(elevation: Any) -> Any:
    r"""Sunshine on level ground under a clear sky.

    .. math:: G = 1098\, \sin h\, e^{-0.059 / \sin h}

    Parameters
    ----------
    elevation : float, array or DataArray [degree]
        Of the sun.

    Returns
    -------
    float, array or DataArray [W/m2]
        0 at night.

    Validity
    --------
    An average sky at low altitude; it knows no haze, dust or height.

    Errors
    ------
    TwinError
        An elevation outside -90 to 90.

    Examples
    --------
    >>> [round(clear_sky(h)) for h in (-5, 10, 90)]
    [0, 136, 1035]

    References
    ----------
    B. Haurwitz, Insolation in relation to cloudiness and cloud density, Journal of Meteorology 2, 1945; compared with
    others in M. Reno, C. Hansen, J. Stein, Global horizontal irradiance clear sky models, Sandia report SAND2012-2389,
    2012.
    """

    def watts(degree: Any) -> Any:
        height = np.sin(np.radians(degree))
        up = np.where(height > 1e-3, height, 1.0)
        return np.where(height > 1e-3, 1098.0 * up * np.exp(-0.059 / up), 0.0)

    return over(watts, elevation)


@physics(valid={"cover": (0.0, 1.0)}, cover="1")
def clouded(cover: Any) -> Any:
    r"""Share of the clear sky's sunshine that a cloud cover lets through.

    .. math:: G / G_{clear} = 1 - 0.75\, n^{3.4}

    Parameters
    ----------
    cover : float, array or DataArray [1]
        Share n of the sky that is covered; meteorologists count eighths.

    Returns
    -------
    float, array or DataArray [1]

    Validity
    --------
    Hourly means; ten years of Hamburg.

    Errors
    ------
    TwinError
        A cover outside 0 to 1.

    Examples
    --------
    >>> [round(clouded(n), 2) for n in (0.0, 0.5, 1.0)]
    [1.0, 0.93, 0.25]

    References
    ----------
    F. Kasten, G. Czeplak, Solar and terrestrial radiation dependent on the amount and type of cloud, Solar Energy 24,
    1980, equation (3), doi:10.1016/0038-092X(80)90391-6.
    """
    return over(lambda n: 1.0 - 0.75 * n**3.4, cover)


def cloud_cover(times: Any, *, mean: float, memory: float, rng: np.random.Generator) -> np.ndarray:
    r"""Cloud cover over time, drawn: mostly clear or mostly overcast hours that last.

    .. math:: n = B^{-1}(\Phi(z)), \quad z_{i+1} = \varphi z_i + \sqrt{1 - \varphi^2}\, \epsilon, \quad
        \varphi = e^{-\Delta t / \tau}

    with B the Beta distribution of that mean whose parameters sum to `SPREAD`.

    Parameters
    ----------
    times : array of datetime64 (n,)
    mean : float [1]
        Of the cover, 0 to 1.
    memory : float [s]
        Time τ after which a sky has forgotten itself.
    rng : Generator

    Returns
    -------
    array (n,) [1]

    Errors
    ------
    TwinError
        A mean outside 0 to 1, or a memory that is not positive.

    Examples
    --------
    >>> hours = np.arange("2026-03-02T00", "2026-06-02T00", dtype="datetime64[h]")
    >>> cover = cloud_cover(hours, mean=0.4, memory=6 * 3600, rng=np.random.default_rng(1))
    >>> bool(abs(cover.mean() - 0.4) < 0.08), bool(((cover < 0.1) | (cover > 0.9)).mean() > 0.5)
    (True, True)
    """
    from scipy.special import betaincinv, ndtr

    found = index(times)
    within(mean, 0.0, 1.0, name="mean", unit="1")
    within(memory, 1.0, 1e9, name="memory", unit="s")
    kept = float(np.exp(-(found[1] - found[0]).total_seconds() / memory))
    noise = rng.standard_normal(len(found))
    state = np.empty(len(found))
    state[0] = noise[0]
    for i in range(1, len(found)):
        state[i] = kept * state[i - 1] + np.sqrt(1 - kept * kept) * noise[i]
    if mean in (0.0, 1.0):
        return np.full(len(found), mean)
    return np.asarray(betaincinv(mean * SPREAD, (1 - mean) * SPREAD, ndtr(state)))


@contract(reads=["sites/longitude", "sites/latitude"], gives=["solar_yield"])
def sunlight(
    twin: xr.DataTree, *, times: Any, cover: float, memory: float, performance: float, seed: int
) -> xr.DataArray:
    r"""What level solar panels make at each site, over their rated power.

    .. math:: y = r\, \bar G / 1000\ W/m^2, \quad \bar G \text{ the mean over the period that begins at the time}

    Parameters
    ----------
    twin : DataTree
    times : array of datetime64 (time,)
        UTC, evenly spaced.
    cover : float [1]
        Mean cloud cover; climatologies print it.
    memory : float [s]
        How long a sky lasts; some hours.
    performance : float [1]
        Share r of the rated power that is left behind wires, heat, dust and the charger; 0.7 to 0.85 are usual.
    seed : int
        Of the clouds. One sky stands over all sites.

    Returns
    -------
    DataArray (time, site) [1]

    Validity
    --------
    Regions of some tens of kilometres (one sky), panels that lie level, no shade of hills.

    Errors
    ------
    TwinError
        Times in a zone, unsorted or uneven; a cover or performance outside 0 to 1.

    Examples
    --------
    >>> from twinkit import assemble
    >>> sites = xr.Dataset({"longitude": ("site", [77.2]), "latitude": ("site", [31.1])}, {"site": ["a"]})
    >>> twin = assemble({"sites": sites}, title="", crs="EPSG:32643")
    >>> hours = np.arange("2026-06-21T00", "2026-06-22T00", dtype="datetime64[h]")
    >>> made = sunlight(twin, times=hours, cover=0.0, memory=3600, performance=0.8, seed=1)
    >>> int(made.argmax("time")[0]), float(made.max().round(2))
    (6, 0.82)
    """
    found = index(times)
    within(performance, 0.0, 1.0, name="performance", unit="1")
    sky = np.random.default_rng(whole_seed(seed))
    through = clouded(cloud_cover(found, mean=cover, memory=memory, rng=sky))
    step = (found[1] - found[0]) / INSIDE
    instants = found.to_numpy()[:, None] + (np.arange(INSIDE) + 0.5) * step.to_timedelta64()

    def made(east: Any, north: Any) -> Any:
        # not a number where a site has no place: the range check of the elevation would name the wrong thing
        within(np.asarray(east), -180.0, 180.0, name="longitude", unit="degree")
        within(np.asarray(north), -90.0, 90.0, name="latitude", unit="degree")
        high = sun_elevation(instants[..., None], longitude=np.asarray(east), latitude=np.asarray(north))
        return np.moveaxis(clear_sky(high).mean(1) / 1000.0 * through[:, None] * performance, 0, -1)

    sites = twin.children["sites"].to_dataset(inherit=False)
    out = xr.apply_ufunc(
        made,
        sites["longitude"],
        sites["latitude"],
        output_core_dims=[["time"]],
        dask="parallelized",
        output_dtypes=[float],
        dask_gufunc_kwargs={"output_sizes": {"time": len(found)}},
        keep_attrs="drop",
    )
    out = out.transpose("time", "site").assign_coords(time=("time", found.to_numpy()))
    out.attrs = {
        "provenance": f"generated: clouds of seed {seed} under a clear-sky model, twinkit.energy.sunlight",
        "assumptions": f"level panels; mean cloud cover {cover:g}, memory {memory / 3600:g} h; performance"
        f" {performance:g}; one sky over all sites",
    }
    return out


def _parts(time: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Day of the year with its fraction, and hour of the day."""
    instant = time.astype("datetime64[ns]")
    year = instant.astype("datetime64[Y]").astype("datetime64[ns]")
    days = (instant - year) / np.timedelta64(1, "D") + 1.0
    return days, 24.0 * np.mod(days, 1.0)
