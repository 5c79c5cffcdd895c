r"""Backhaul: for what share of the time a microwave link holds, in rain and in multipath fading.

Rain decides above 10 GHz and multipath below; both follow ITU-R P.530. The link holds while the fade is smaller
than its margin, so that unavailability is the sum of the two shares of time in which it is not.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
import xarray as xr

from twinkit.contract import contract, physics, within
from twinkit.datasets import climate
from twinkit.error import TwinError
from twinkit.radio.elementwise import mapped, over
from twinkit.radio.rain import rain_exponent, rain_factor, tilt_of

__all__ = [
    "availability",
    "multipath_climate",
    "multipath_occurrence",
    "multipath_outage",
    "rain_fade",
    "rain_outage",
]

WHY = "ITU-R P.530-17"
LENGTH = (1.0, 200e3)
RARE, OFTEN = 0.001, 1.0  # percentages between which the rain curve is given


# ---------------------------------------------------------------- rain


@numba.njit(nogil=True, cache=True)
def _rain_curve(frequency: float) -> tuple[float, float, float]:
    """C1, C2 and C3 of equations (35), which carry the fade at 0.01 % to other shares of time."""
    # the bracket of (35a) is the logarithm of a power; read as the power of a logarithm it differs above 10 GHz
    c_0 = 0.12 + 0.4 * 0.8 * max(math.log10(frequency / 10e9), 0.0)
    c_1 = 0.07**c_0 * 0.12 ** (1.0 - c_0)
    return c_1, 0.855 * c_0 + 0.546 * (1.0 - c_0), 0.139 * c_0 + 0.043 * (1.0 - c_0)


@numba.njit(nogil=True, cache=True)
def _hundredth(length: float, frequency: float, rate: float, tilt: float) -> float:
    """Rain fade [dB] exceeded for 0.01 % of the year; equations (32) and (33)."""
    if rate <= 0.0 or length <= 0.0:
        return 0.0
    alpha = rain_exponent(frequency, 0.0, tilt)
    d, f = length / 1000.0, frequency / 1e9
    slope = 0.477 * d**0.633 * rate ** (0.073 * alpha) * f**0.123 - 10.579 * (1.0 - math.exp(-0.024 * d))
    # the factor is limited to 2.5, and on very short links the expression turns negative before that
    factor = 2.5 if slope <= 0.4 else 1.0 / slope
    return rain_factor(frequency, 0.0, tilt) * rate**alpha * factor * d


@numba.njit(nogil=True, cache=True)
def rain_fade_exceeded(length: float, frequency: float, rate: float, tilt: float, percent: float) -> float:
    """Rain fade [dB] exceeded for `percent` of the year; the kernel of `rain_fade`."""
    c_1, c_2, c_3 = _rain_curve(frequency)
    return _hundredth(length, frequency, rate, tilt) * c_1 * percent ** -(c_2 + c_3 * math.log10(percent))


@numba.njit(nogil=True, cache=True)
def rain_percent(margin: float, length: float, frequency: float, rate: float, tilt: float) -> float:
    """Percentage of the year in which rain fades the link by more than `margin`; the kernel of `rain_outage`."""
    fade = _hundredth(length, frequency, rate, tilt)
    if fade <= 0.0:
        return 0.0
    c_1, c_2, c_3 = _rain_curve(frequency)
    # c3 x² + c2 x + c = 0 with x = log10(percent): equation (34) solved
    c = math.log10(max(margin, 1e-9) / (fade * c_1))
    root = c_2 * c_2 - 4.0 * c_3 * c
    if root <= 0.0:
        return RARE
    return min(max(10.0 ** ((math.sqrt(root) - c_2) / (2.0 * c_3)), RARE), 100.0)


_fade, _rain_percent = mapped(rain_fade_exceeded), mapped(rain_percent)
_RAIN = {"frequency": (1e9, 100e9), "rain_rate": (0.0, 300.0)}


@physics(
    valid=_RAIN | {"length": LENGTH, "time": (RARE, OFTEN)},
    why=WHY,
    length="m",
    frequency="Hz",
    rain_rate="mm/h",
    time="%",
)
def rain_fade(length: Any, *, frequency: Any, rain_rate: Any, polarisation: str, time: Any = 0.01) -> Any:
    r"""Rain fade of a link that is exceeded for a share of an average year.

    .. math::
        A_p = A_{0.01}\, C_1\, p^{-(C_2 + C_3 \log p)},\quad A_{0.01} = k R^\alpha\, d\, \min(r, 2.5)

    Parameters
    ----------
    length : float, array or DataArray [m]
    frequency : float, array or DataArray [Hz]
    rain_rate : float, array or DataArray [mm/h]
        Exceeded for 0.01 % of the year, from `twinkit.datasets.climate.rain_rate` for example.
    polarisation : {"horizontal", "vertical", "circular"}
    time : float, array or DataArray [%]

    Returns
    -------
    float, array or DataArray [dB]

    Validity
    --------
    1 to 100 GHz, links up to 60 km, 0.001 to 1 % of the year.

    Errors
    ------
    TwinError
        A value outside its range, a polarisation of another name, or another unit.

    Examples
    --------
    >>> rain_fade(5000, frequency=23e9, rain_rate=55, polarisation="vertical", time=[0.1, 0.01]).round(1)
    array([ 8.3, 22. ])

    References
    ----------
    ITU-R P.530-17, section 2.4.1, equations (32) to (35).
    """
    return over(_fade, length, frequency, rain_rate, tilt_of(polarisation), time)


@physics(
    valid=_RAIN | {"length": LENGTH, "margin": (0.0, 200.0)},
    why=WHY,
    margin="dB",
    length="m",
    frequency="Hz",
    rain_rate="mm/h",
)
def rain_outage(margin: Any, *, length: Any, frequency: Any, rain_rate: Any, polarisation: str) -> Any:
    r"""Share of an average year in which rain fades a link by more than its margin.

    .. math:: \log p = \frac{\sqrt{C_2^2 - 4 C_3 \log\left(M / (C_1 A_{0.01})\right)} - C_2}{2 C_3}

    Parameters
    ----------
    margin : float, array or DataArray [dB]
    length : float, array or DataArray [m]
    frequency : float, array or DataArray [Hz]
    rain_rate : float, array or DataArray [mm/h]
        Exceeded for 0.01 % of the year.
    polarisation : {"horizontal", "vertical", "circular"}

    Returns
    -------
    float, array or DataArray [%]
        Never below 0.001 where it rains at all: under that the Recommendation is silent, and 0.001 is safe.

    Validity
    --------
    As `rain_fade`; above 1 % of the year the curve is continued.

    Errors
    ------
    TwinError
        As `rain_fade`.

    Examples
    --------
    >>> rain_outage([10, 25, 40], length=5000, frequency=23e9, rain_rate=55, polarisation="vertical").round(4)
    array([0.0683, 0.0069, 0.0014])

    References
    ----------
    ITU-R P.530-17, section 2.4.1, equation (34) solved for the percentage.
    """
    return over(_rain_percent, margin, length, frequency, rain_rate, tilt_of(polarisation))


# ---------------------------------------------------------------- multipath


@numba.njit(nogil=True, cache=True)
def occurrence(
    length: float, frequency: float, altitude_1: float, altitude_2: float, gradient: float, roughness: float
) -> float:
    """Multipath occurrence factor p0 [%] of the worst month; equations (4), (5) and (10)."""
    d = length / 1000.0
    factor = 10.0 ** (-4.4 - 0.0027 * gradient) * (10.0 + roughness) ** -0.46
    incline = abs(altitude_1 - altitude_2) / d
    low = min(altitude_1, altitude_2)
    return factor * d**3.4 * (1.0 + incline) ** -1.03 * (frequency / 1e9) ** 0.8 * 10.0 ** (-0.00076 * low)


@numba.njit(nogil=True, cache=True)
def multipath_percent(margin: float, worst: float, length: float, incline: float, latitude: float) -> float:
    """Percentage of time in which multipath fades a link by more than `margin`; the kernel of `multipath_outage`.

    `worst` is the occurrence factor [%] of the worst month; a latitude of NaN keeps to that month.
    """
    join = 25.0 + 1.2 * math.log10(worst)
    tail = worst * 10.0 ** (-join / 10.0)
    if not math.isnan(latitude):
        sign = 1.0 if abs(latitude) <= 45.0 else -1.0
        bend = 1.1 + sign * abs(math.cos(math.radians(2.0 * latitude))) ** 0.7
        gain = 10.5 - 5.6 * math.log10(bend) - 2.7 * math.log10(length / 1000.0) + 1.7 * math.log10(1.0 + incline)
        tail *= 10.0 ** (-min(gain, 10.8) / 10.0)
    if margin >= join:
        return min(tail * 10.0 ** (-(margin - join) / 10.0), 100.0)
    # the shallow part: an empirical curve that meets the deep one at `join`
    ten = 10.0 ** (-join / 20.0)
    q_a = -20.0 * math.log10(-math.log1p(-min(tail, 99.999) / 100.0)) / join
    q_t = (q_a - 2.0) / ((1.0 + 0.3 * ten) * 10.0 ** (-0.016 * join)) - 4.3 * (ten + join / 800.0)
    ten = 10.0 ** (-margin / 20.0)
    q = 2.0 + (1.0 + 0.3 * ten) * 10.0 ** (-0.016 * margin) * (q_t + 4.3 * (ten + margin / 800.0))
    return 100.0 * -math.expm1(-(10.0 ** (-q * margin / 20.0)))


_occurrence, _multipath_percent = mapped(occurrence), mapped(multipath_percent)
_ALTITUDES = {"transmitter_altitude": (-500.0, 9000.0), "receiver_altitude": (-500.0, 9000.0)}
_CLIMATE = {"refractivity_gradient": (-2000.0, 500.0), "roughness": (0.0, 5000.0)}


@physics(
    valid=_ALTITUDES | _CLIMATE | {"length": LENGTH, "frequency": (0.1e9, 100e9)},
    why=WHY,
    length="m",
    frequency="Hz",
    transmitter_altitude="m",
    receiver_altitude="m",
    roughness="m",
)
def multipath_occurrence(
    length: Any,
    *,
    frequency: Any,
    transmitter_altitude: Any,
    receiver_altitude: Any,
    refractivity_gradient: Any,
    roughness: Any,
) -> Any:
    r"""Multipath occurrence factor: the percentage of the worst month at which the deep fading law starts.

    .. math::
        p_0 = K d^{3.4} (1 + |\varepsilon_p|)^{-1.03} f^{0.8}\, 10^{-0.00076 h_L},\quad
        K = 10^{-4.4 - 0.0027\, dN_1} (10 + s_a)^{-0.46}

    Parameters
    ----------
    length : float, array or DataArray [m]
    frequency : float, array or DataArray [Hz]
    transmitter_altitude, receiver_altitude : float, array or DataArray [m]
        Of the antennas above sea level.
    refractivity_gradient : float, array or DataArray [N-unit/km]
        In the lowest 65 m, not exceeded for 1 % of the year (dN1).
    roughness : float, array or DataArray [m]
        Deviation of the terrain heights over 110 km by 110 km (s_a). Both from `multipath_climate`.

    Returns
    -------
    float, array or DataArray [%]

    Validity
    --------
    Frequencies above 15/d [GHz, km] up to 45 GHz; links of 7 to 95 km.

    Errors
    ------
    TwinError
        A value outside its range, or another unit.

    Examples
    --------
    >>> round(multipath_occurrence(30e3, frequency=7e9, transmitter_altitude=250, receiver_altitude=200,
    ...                            refractivity_gradient=-300, roughness=50), 2)
    5.01

    References
    ----------
    ITU-R P.530-17, section 2.3.1, equations (4), (5), (7) and (10).
    """
    arguments = (length, frequency, transmitter_altitude, receiver_altitude, refractivity_gradient, roughness)
    return over(_occurrence, *arguments)


@physics(
    valid={"margin": (0.0, 200.0), "occurrence": (1e-12, 1e6), "length": LENGTH, "incline": (0.0, 1000.0)},
    why=WHY,
    margin="dB",
    occurrence="%",
    length="m",
    latitude="degree",
)
def multipath_outage(margin: Any, *, occurrence: Any, length: Any, incline: Any = 0.0, latitude: Any = None) -> Any:
    r"""Share of time in which multipath fades a link by more than its margin.

    .. math:: p = p_0\, 10^{-M/10}\quad (M \ge A_t = 25 + 1.2 \log p_0)

    and below A_t an empirical curve that meets it there.

    Parameters
    ----------
    margin : float, array or DataArray [dB]
    occurrence : float, array or DataArray [%]
        `multipath_occurrence`.
    length : float, array or DataArray [m]
    incline : float, array or DataArray [mrad]
        Difference of the antennas' altitudes over the length.
    latitude : float, array or DataArray [degree], optional
        Turns the worst month into an average year; without it the worst month is given.

    Returns
    -------
    float, array or DataArray [%]

    Validity
    --------
    As `multipath_occurrence`.

    Errors
    ------
    TwinError
        A value outside its range, or another unit.

    Examples
    --------
    >>> multipath_outage([10, 20, 30, 40], occurrence=8.22, length=30e3).round(5)
    array([0.61023, 0.07121, 0.00822, 0.00082])

    References
    ----------
    ITU-R P.530-17, sections 2.3.2 and 2.3.4, equations (11) to (18) and (24) to (25).
    """
    if latitude is not None:
        within(latitude, -90, 90, name="latitude", unit="degree")
    return over(_multipath_percent, margin, occurrence, length, incline, np.nan if latitude is None else latitude)


def multipath_climate(longitude: Any, latitude: Any) -> tuple[Any, Any]:
    """Refractivity gradient dN1 [N-unit/km] and terrain roughness s_a [m] of places, from ITU-R's maps.

    Parameters
    ----------
    longitude, latitude : float, array or DataArray [degree]

    Returns
    -------
    tuple of float, array or DataArray

    Validity
    --------
    Everywhere.

    Errors
    ------
    TwinError
        A position off the earth, or the extra ``geo`` is missing.

    Examples
    --------
    >>> gradient, roughness = multipath_climate(-43.2, -22.9)  # Rio de Janeiro
    >>> round(gradient), round(roughness)
    (-254, 217)

    References
    ----------
    ITU-R P.453-13 (dN1) and P.530-17, section 2.3.1 (s_a).
    """
    within(longitude, -180, 360, name="longitude", unit="degree")
    within(latitude, -90, 90, name="latitude", unit="degree")
    itur453, itur530 = _itur("itu453"), _itur("itu530")

    def gradient(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        x, y = np.broadcast_arrays(x, y)
        return np.reshape(itur453.DN65(y.ravel(), x.ravel() % 360.0, 1).value, x.shape)

    def roughness(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        x, y = np.broadcast_arrays(x, y)
        # the map runs from 0 to 360 degree: itur itself gives NaN for the western hemisphere
        return np.reshape(itur530._ITU530_17_.s_a(y.ravel(), x.ravel() % 360.0), x.shape)

    return over(gradient, longitude, latitude), over(roughness, longitude, latitude)


def _itur(model: str) -> Any:
    """A module of itur, which takes seconds to import and carries ITU-R's maps."""
    import importlib

    try:
        return importlib.import_module(f"itur.models.{model}")
    except ImportError:
        raise TwinError(
            "the maps of ITU-R in the package itur",
            found="itur is not installed",
            hint="pip install 'twinkit[geo]', or give the values yourself",
        ) from None


# ---------------------------------------------------------------- the twin's links


@contract(
    reads=[
        "links/source",
        "links/target",
        "links/medium",
        "links/length",
        "sites/longitude",
        "sites/latitude",
        "sites/height",
    ],
    gives=["availability"],
    computes=True,
)
def availability(twin: xr.DataTree, *, frequency: Any, margin: Any, polarisation: str = "vertical") -> xr.DataArray:
    r"""Share of an average year in which each microwave link of the twin holds.

    .. math:: a = 1 - (p_\text{rain} + p_\text{multipath}) / 100

    Parameters
    ----------
    twin : DataTree
    frequency : float or DataArray (link) [Hz]
    margin : float or DataArray (link) [dB]
        Fade margin: what the received power lies above the threshold in clear air.
    polarisation : {"vertical", "horizontal", "circular"}

    Returns
    -------
    DataArray (link) [1]
        NaN for links of another medium.

    Validity
    --------
    As `rain_outage` and `multipath_outage`. Climate, ground altitude and rain come from ITU-R's maps at the middle
    of the link; multipath counts on links longer than 5 km.

    Errors
    ------
    TwinError
        A link whose site is not in the twin, a value outside its range, or the extra ``geo`` is missing.

    Examples
    --------
    >>> import twinkit as tk
    >>> sites = xr.Dataset({"longitude": ("site", [77.1, 77.2]), "latitude": ("site", [31.1, 31.1]),
    ...                     "height": ("site", [30.0, 30.0])}, {"site": ["a", "b"]})
    >>> links = xr.Dataset({"source": ("link", ["a"]), "target": ("link", ["b"]), "medium": ("link", ["microwave"]),
    ...                     "length": ("link", [9500.0])}, {"link": ["ab"]})
    >>> twin = tk.assemble({"sites": sites, "links": links}, title="two masts", crs="EPSG:32643")
    >>> availability(twin, frequency=23e9, margin=20).round(5).item()
    0.99961

    References
    ----------
    ITU-R P.530-17, sections 2.3 and 2.4; P.837-7; P.453-13; P.1511-2.
    """
    # computed here once; .values on lazy variables would read them again at each use
    links, sites = twin["links"].to_dataset().compute(), twin["sites"].to_dataset().compute()
    ids = sites.indexes["site"]
    ends = []
    for end in ("source", "target"):
        at = ids.get_indexer(links[end].values.astype(str))
        if (at < 0).any():
            lost = str(links[end].values[int(np.argmin(at))])
            raise TwinError(
                "links between sites of the twin", found=f"{end} '{lost}'", hint="add the site", where="links"
            )
        ends.append({name: sites[name].values[at] for name in ("longitude", "latitude", "height")})
    one, two = ends
    # the short way across the date line
    east = (two["longitude"] - one["longitude"] + 180.0) % 360.0 - 180.0
    longitude = (one["longitude"] + 0.5 * east + 180.0) % 360.0 - 180.0
    latitude = 0.5 * (one["latitude"] + two["latitude"])
    # shorter than 1 m, a link has no rain on it; the formulas need a length
    length = np.maximum(links["length"].values, 1.0)
    microwave = links["medium"].values == "microwave"

    within(margin, 0, 200, name="margin", unit="dB", why=WHY)
    within(frequency, 1e9, 100e9, name="frequency", unit="Hz", why=WHY)
    f = np.broadcast_to(frequency, length.shape)
    m = np.broadcast_to(margin, length.shape)
    out = np.full(length.shape, np.nan)
    if microwave.any():
        w = microwave
        rain = rain_outage(
            m[w],
            length=length[w],
            frequency=f[w],
            rain_rate=climate.rain_rate(longitude[w], latitude[w]),
            polarisation=polarisation,
        )
        ground = [climate.topography(end["longitude"][w], end["latitude"][w]) for end in ends]
        gradient, rough = multipath_climate(longitude[w], latitude[w])
        tall = [g + end["height"][w] for g, end in zip(ground, ends, strict=True)]
        start = multipath_occurrence(
            length[w],
            frequency=f[w],
            transmitter_altitude=tall[0],
            receiver_altitude=tall[1],
            refractivity_gradient=gradient,
            roughness=rough,
        )
        incline = np.abs(tall[0] - tall[1]) / (length[w] / 1000.0)
        fading = multipath_outage(m[w], occurrence=start, length=length[w], incline=incline, latitude=latitude[w])
        out[w] = 1.0 - np.minimum(rain + np.where(length[w] > 5e3, fading, 0.0), 100.0) / 100.0
    return xr.DataArray(
        out,
        dims="link",
        coords={"link": links["link"]},
        attrs={
            "provenance": "modelled: ITU-R P.530-17, P.837-7",
            "assumptions": (
                f"{polarisation} polarisation; climate, ground altitude and rain of ITU-R's maps at the link's middle;"
                " multipath on links longer than 5 km alone"
            ),
        },
    )
