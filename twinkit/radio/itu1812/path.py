"""P.1812 for one path: the loss, or every intermediate by its name."""

# mypy: disallow-untyped-defs=False, check-untyped-defs=False
# The kernels take their types from Numba; the public functions state theirs.

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numba import njit

from twinkit.contract import physics, within
from twinkit.error import TwinError
from twinkit.radio.itu1812 import diffraction, propagation
from twinkit.radio.itu1812.profile import horizons, profile, roughness, smooth_heights, zone_lengths

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "STANDARD_GRADIENT",
    "TERMS",
    "field_strength",
    "location_deviation",
    "p1812",
    "p1812_terms",
    "refractivity_gradient",
]

STANDARD_GRADIENT = 39.25
"""Lapse [N-units/km] that makes the effective earth 4/3 of the real one: the atmosphere assumed where none is given."""
STANDARD_REFRACTIVITY = 325.0

POLARISATIONS = ("horizontal", "vertical")
BETA_EARTH = 3.0 * 6371.0

# name -> (unit, where the Recommendation defines it, meaning). The order is that of the kernel's result.
TERMS = {
    "distance": ("km", "", "length of the path"),
    "centre_latitude": ("degree", "section 3.3", "latitude of the path's centre"),
    "sea_fraction": ("1", "section 3.2", "fraction of the path over sea"),
    "land_length": ("km", "section 3.3", "longest continuous section over land"),
    "inland_length": ("km", "section 3.3", "longest continuous section inland"),
    "anomalous_percentage": ("%", "(5)", "time with a lapse above 100 N-units/km near the ground, beta_0"),
    "median_earth_radius": ("km", "(7a)", "effective earth radius, median"),
    "beta_earth_radius": ("km", "(7b)", "effective earth radius exceeded for beta_0 of time"),
    "transmitter_altitude": ("m", "", "antenna above sea level"),
    "receiver_altitude": ("m", "", "antenna above sea level"),
    "transmitter_horizon": ("km", "(78)", "distance from the transmitter to its horizon"),
    "receiver_horizon": ("km", "(81)", "distance from the receiver to its horizon"),
    "transmitter_angle": ("mrad", "(77)", "elevation of the transmitter's horizon"),
    "receiver_angle": ("mrad", "(79)", "elevation of the receiver's horizon"),
    "path_angle": ("mrad", "(82)", "angular distance of the path"),
    "smooth_start": ("m", "(85)", "smooth-earth height at the transmitter"),
    "smooth_end": ("m", "(86)", "smooth-earth height at the receiver"),
    "ducting_start": ("m", "(90a)", "smooth-earth height at the transmitter, not above the ground"),
    "ducting_end": ("m", "(90b)", "smooth-earth height at the receiver, not above the ground"),
    "diffraction_start": ("m", "(89)", "smooth-earth height of the diffraction model at the transmitter"),
    "diffraction_end": ("m", "(89)", "smooth-earth height of the diffraction model at the receiver"),
    "transmitter_diffraction_height": ("m", "(37a)", "transmitter above the smooth earth of the diffraction model"),
    "receiver_diffraction_height": ("m", "(37b)", "receiver above the smooth earth of the diffraction model"),
    "transmitter_ducting_height": ("m", "(92a)", "effective height of the transmitter in the ducting model"),
    "receiver_ducting_height": ("m", "(92b)", "effective height of the receiver in the ducting model"),
    "terrain_roughness": ("m", "(93)", "highest ground above the smooth earth between the horizons"),
    "time_factor": ("1", "(40)", "interpolation with time, F_i"),
    "angle_factor": ("1", "(57)", "interpolation with the path's angle, F_j"),
    "distance_factor": ("1", "(58)", "interpolation with distance, F_k"),
    "free_space_loss": ("dB", "(8)", "loss in free space"),
    "sight_loss": ("dB", "(10)", "loss in line of sight at the time percentage"),
    "sight_loss_beta": ("dB", "(11)", "loss in line of sight at beta_0"),
    "bullington_median": ("dB", "(21)", "Bullington loss of the profile, median earth"),
    "bullington_smooth_median": ("dB", "(21)", "Bullington loss of the smooth path, median earth"),
    "spherical_median": ("dB", "(27)", "spherical-earth loss, median earth"),
    "bullington_beta": ("dB", "(21)", "Bullington loss of the profile, earth of beta_0"),
    "bullington_smooth_beta": ("dB", "(21)", "Bullington loss of the smooth path, earth of beta_0"),
    "spherical_beta": ("dB", "(27)", "spherical-earth loss, earth of beta_0"),
    "diffraction_median": ("dB", "(39)", "diffraction loss, median earth"),
    "diffraction_beta": ("dB", "(39)", "diffraction loss, earth of beta_0"),
    "diffraction": ("dB", "(41)", "diffraction loss at the time percentage"),
    "diffracted_median": ("dB", "(42)", "basic loss by diffraction, median"),
    "diffracted": ("dB", "(43)", "basic loss by diffraction at the time percentage"),
    "least_sight": ("dB", "(59)", "notional least loss with sight and over-sea diffraction"),
    "ducting": ("dB", "(46)", "loss by ducting and layer reflection"),
    "least_ducting": ("dB", "(60)", "notional least loss with sight and ducting"),
    "enhanced": ("dB", "(61)", "loss by diffraction with enhancement"),
    "modified": ("dB", "(62)", "the same, modified near line of sight"),
    "troposcatter": ("dB", "(44)", "loss by troposcatter"),
    "median_location_loss": ("dB", "(63)", "basic loss at half of the locations"),
    "path_loss": ("dB", "(69)", "basic loss at the time and location percentages"),
    "field_strength": ("dB", "(70)", "field strength for 1 kW e.r.p. [dB(uV/m)]"),
}


@njit(cache=True)
def _terms(
    d, h, g, zone, above_t, above_r, latitude, frequency, percentage, locations, deviation, vertical,
    gradient, refractivity, coast_t, coast_r, out,
):  # fmt: skip
    """Fill `out` with the terms in their order; km, m, GHz, %."""
    n = d.size
    total = d[n - 1]
    transmitter, receiver = h[0] + above_t, h[n - 1] + above_r
    sea, land, inland = zone_lengths(d, zone)
    beta_0 = propagation.anomalous_percentage(latitude, land, inland)
    median = 6371.0 * 157.0 / (157.0 - gradient)
    beta_earth = BETA_EARTH
    if zone[0] == 1:
        coast_t = 0.0
    if zone[n - 1] == 1:
        coast_r = 0.0

    first, last, angle_t, angle_r, beyond = horizons(
        d, h, transmitter, receiver, median, diffraction.WAVELENGTH / frequency
    )
    horizon_t, horizon_r = d[first], total - d[last]
    angle = 1e3 * total / median + angle_t + angle_r
    start, end, start_d, end_d = smooth_heights(d, h, transmitter, receiver)
    start_a, end_a = min(start, h[0]), min(end, h[n - 1])
    rough = roughness(d, h, start_a, end_a, first, last)

    factor = 1.0
    if percentage > beta_0:
        factor = propagation.inverse_normal(percentage / 100.0) / propagation.inverse_normal(beta_0 / 100.0)
    free = propagation.free_space(total, transmitter, receiver, frequency)
    sight_p = free + propagation.enhancement(horizon_t + horizon_r, percentage)
    sight_beta = free + propagation.enhancement(horizon_t + horizon_r, beta_0)

    effective_t, effective_r = transmitter - start_d, receiver - end_d
    loss_50, actual_50, smooth_50, sphere_50 = diffraction.delta_bullington(
        d, g, transmitter, receiver, effective_t, effective_r, median, frequency, sea, vertical
    )
    loss_b, actual_b, smooth_b, sphere_b = diffraction.delta_bullington(
        d, g, transmitter, receiver, effective_t, effective_r, beta_earth, frequency, sea, vertical
    )
    loss_p = loss_50
    if percentage < 50.0:
        loss_p = loss_50 + factor * (loss_b - loss_50)

    duct = propagation.ducting(
        total, horizon_t, horizon_r, angle_t, angle_r, coast_t, coast_r, transmitter, receiver,
        transmitter - start_a, receiver - end_a, rough, inland, sea, median, frequency, percentage, beta_0,
    )  # fmt: skip
    scatter = propagation.troposcatter(total, angle, frequency, percentage, refractivity)
    half, angle_factor, distance_factor, least, ducts, enhanced, modified = propagation.combined(
        total, angle, sight_p, sight_beta, free, loss_p, loss_50, duct, scatter, sea, factor, percentage < beta_0
    )
    variation = 0.0
    if zone[n - 1] != 1:
        variation = -propagation.inverse_normal(locations / 100.0) * deviation
    loss = max(sight_p, half + variation)
    field = 199.36 + 20.0 * math.log10(frequency) - loss

    values = (
        total, latitude, sea, land, inland, beta_0, median, beta_earth, transmitter, receiver,
        horizon_t, horizon_r, angle_t, angle_r, angle, start, end, start_a, end_a, start_d, end_d,
        effective_t, effective_r, transmitter - start_a, receiver - end_a, rough, factor, angle_factor, distance_factor,
        free, sight_p, sight_beta, actual_50, smooth_50, sphere_50, actual_b, smooth_b, sphere_b,
        loss_50, loss_b, loss_p, free + loss_50, sight_p + loss_p, least, duct, ducts, enhanced, modified,
        scatter, half, loss, field,
    )  # fmt: skip
    for k in range(len(values)):
        out[k] = values[k]
    return beyond


def _checked(path: Any) -> xr.Dataset:
    """The path as `profile` gives it, whoever made it."""
    if isinstance(path, xr.Dataset) and path.attrs.get("profile") == "checked":
        return path
    if isinstance(path, xr.Dataset) and "ground_height" in path and "distance" in path.coords:
        clutter = path.get("clutter_height")
        zone = path["zone"].values if "zone" in path else 4
        return profile(path["distance"], path["ground_height"], clutter_height=clutter, zone=zone)
    raise TwinError(
        "a profile: a Dataset with ground_height along distance",
        found=type(path).__name__,
        hint="make one with tk.radio.profile(distance, ground_height)",
        where="profile",
    )


def conditions(choices: Mapping[str, Any]) -> str:
    """For which share of time and places a loss holds, in which polarisation and how far from the sea, in words."""

    def told(name: str, per: float = 1.0) -> str:
        return f"{np.asarray(choices[name]) / per:g}" if np.ndim(choices[name]) == 0 else "as given"

    said = f"time {told('time_percentage')} %; locations {told('location_percentage')} %"
    said += f" with deviation {told('location_deviation')} dB; {choices['polarisation']} polarisation"
    if "transmitter_coast" in choices:
        said += f"; coasts {told('transmitter_coast', 1e3)} and {told('receiver_coast', 1e3)} km away"
    return said


def _computed(path: Any, choices: dict[str, Any]) -> tuple[np.ndarray, tuple[int, ...], list[str]]:
    ds = _checked(path)
    assumptions = []
    gradient = choices["refractivity_gradient"]
    if gradient is None:
        gradient = STANDARD_GRADIENT
        assumptions.append(f"refractivity gradient {gradient:g} N-units/km (effective earth 4/3)")
    refractivity = choices["surface_refractivity"]
    if refractivity is None:
        refractivity = STANDARD_REFRACTIVITY
        assumptions.append(f"surface refractivity {refractivity:g} N-units")
    polarisation = choices["polarisation"]
    if polarisation not in POLARISATIONS:
        raise TwinError(
            "polarisation 'horizontal' or 'vertical'", found=f"{polarisation!r}", hint="use one of the two words",
            where="polarisation",
        )  # fmt: skip
    said = "ITU-R P.1812-8, section 1"
    within(choices["frequency"], 3e7, 6e9, name="frequency", unit="Hz", why=said)
    within(choices["transmitter_height"], 1.0, 3000.0, name="transmitter_height", unit="m", why=said)
    within(choices["receiver_height"], 1.0, 3000.0, name="receiver_height", unit="m", why=said)
    within(choices["time_percentage"], 1.0, 50.0, name="time_percentage", unit="%", why=said)
    within(choices["location_percentage"], 1.0, 99.0, name="location_percentage", unit="%", why=said)
    within(choices["location_deviation"], 0.0, 30.0, name="location_deviation", unit="dB")
    within(choices["latitude"], -90.0, 90.0, name="latitude", unit="degree")
    within(gradient, -100.0, 150.0, name="refractivity_gradient", unit="N-units/km")
    within(refractivity, 150.0, 500.0, name="surface_refractivity", unit="N-units")
    within(choices["transmitter_coast"], 0.0, math.inf, name="transmitter_coast", unit="m")
    within(choices["receiver_coast"], 0.0, math.inf, name="receiver_coast", unit="m")

    scalars = np.broadcast_arrays(
        *(
            np.asarray(v, dtype=np.float64)
            for v in (
                choices["transmitter_height"], choices["receiver_height"], choices["latitude"],
                np.asarray(choices["frequency"]) / 1e9, choices["time_percentage"], choices["location_percentage"],
                choices["location_deviation"], gradient, refractivity,
                np.asarray(choices["transmitter_coast"]) / 1e3, np.asarray(choices["receiver_coast"]) / 1e3,
            )
        )
    )  # fmt: skip
    d = ds["distance"].to_numpy() / 1000.0
    h = np.ascontiguousarray(ds["ground_height"].to_numpy(), dtype=np.float64)
    g = h + ds["clutter_height"].to_numpy()
    g[0], g[-1] = h[0], h[-1]
    zone = np.ascontiguousarray(ds["zone"].to_numpy(), dtype=np.int8)
    out = np.empty((scalars[0].size, len(TERMS)))
    for k, values in enumerate(zip(*(s.ravel() for s in scalars), strict=True)):
        above_t, above_r, latitude, frequency, percentage, locations, deviation, dn, n0, coast_t, coast_r = values
        _terms(
            d, h, g, zone, above_t, above_r, latitude, frequency, percentage, locations, deviation,
            polarisation == "vertical", dn, n0, coast_t, coast_r, out[k],
        )  # fmt: skip
    return out, scalars[0].shape, [*assumptions, conditions(choices)]


@physics(
    frequency="Hz",
    transmitter_height="m",
    receiver_height="m",
    latitude="degree",
    location_deviation="dB",
    transmitter_coast="m",
    receiver_coast="m",
)
def p1812(
    profile: xr.Dataset,
    *,
    frequency: Any,
    transmitter_height: Any,
    receiver_height: Any,
    latitude: Any,
    time_percentage: Any = 50.0,
    location_percentage: Any = 50.0,
    location_deviation: Any = 0.0,
    polarisation: str = "vertical",
    refractivity_gradient: Any = None,
    surface_refractivity: Any = None,
    transmitter_coast: Any = 5e5,
    receiver_coast: Any = 5e5,
) -> Any:
    """Basic transmission loss over a terrain profile, not exceeded for a share of time and of locations.

    L_b = max(L_b0p, -5 log10(10^(-0.2 L_bs) + 10^(-0.2 L_bam)) + L_loc): sight as the floor, troposcatter beside
    diffraction with ducting, and the spread among locations.

    Parameters
    ----------
    profile : Dataset
        From `profile`: ground_height, clutter_height and zone along distance.
    frequency : float [Hz]
        30 MHz to 6 GHz.
    transmitter_height, receiver_height : float [m above ground]
        1 to 3000 m.
    latitude : float [degree]
        Of the path's centre, see `path_centre`.
    time_percentage : float [%]
        1 to 50: the loss is not exceeded for this share of an average year.
    location_percentage : float [%]
        1 to 99: nor at this share of the locations.
    location_deviation : float [dB]
        Their standard deviation, see `location_deviation`; it counts for nothing over sea.
    polarisation : "vertical" or "horizontal"
    refractivity_gradient : float [N-units/km], optional
        Median lapse of the lowest km, positive (Delta N), see `refractivity_gradient`; assumed 39.25 where left
        out: an effective earth of 4/3.
    surface_refractivity : float [N-units], optional
        At sea level (N_0); assumed 325 where left out.
    transmitter_coast, receiver_coast : float [m]
        Distance over land to the coast along the path; 500 km where there is none near.

    All numbers may be arrays that broadcast against each other.

    Returns
    -------
    float, or an array of the broadcast shape [dB]

    Validity
    --------
    Paths of 250 m to 3000 km over ground that is known, both antennas below about 3 km.

    Errors
    ------
    TwinError
        A value outside these ranges, or no profile.

    Examples
    --------
    >>> from twinkit.radio.itu1812.profile import profile
    >>> path = profile([0, 250, 500, 750, 1000], [0, 0, 60, 0, 0])
    >>> float(round(p1812(path, frequency=9e8, transmitter_height=30, receiver_height=1.5, latitude=45), 1))
    131.0

    References
    ----------
    ITU-R P.1812-8, equations (1) to (70). Checked against its validation examples: tests/test_radio_p1812.py.
    """
    choices = dict(locals())
    out, shape, _ = _computed(choices.pop("profile"), choices)
    loss = out[:, _INDEX["path_loss"]].reshape(shape)
    return float(loss) if loss.ndim == 0 else loss


_INDEX = {name: k for k, name in enumerate(TERMS)}


def p1812_terms(
    profile: xr.Dataset,
    *,
    frequency: float,
    transmitter_height: float,
    receiver_height: float,
    latitude: float,
    time_percentage: float = 50.0,
    location_percentage: float = 50.0,
    location_deviation: float = 0.0,
    polarisation: str = "vertical",
    refractivity_gradient: float | None = None,
    surface_refractivity: float | None = None,
    transmitter_coast: float = 5e5,
    receiver_coast: float = 5e5,
) -> xr.Dataset:
    """Every intermediate of `p1812` by its name, with the number of its equation.

    Parameters
    ----------
    The same as those of `p1812`, one number each.

    Returns
    -------
    Dataset of numbers, in the units in which the Recommendation writes them (km, mrad): each says its unit, its
    meaning and its equation. `attrs["assumptions"]` lists what was assumed.

    Errors
    ------
    TwinError
        As `p1812`.

    Examples
    --------
    >>> from twinkit.radio.itu1812.profile import profile
    >>> path = profile([0, 250, 500, 750, 1000], [0, 0, 60, 0, 0])
    >>> terms = p1812_terms(path, frequency=9e8, transmitter_height=30, receiver_height=1.5, latitude=45)
    >>> float(terms.transmitter_horizon), terms.transmitter_horizon.attrs["units"]
    (0.5, 'km')
    >>> terms.attrs["assumptions"]
    'refractivity gradient 39.25 N-units/km (effective earth 4/3); surface refractivity 325 N-units; time 50 %; ...'

    References
    ----------
    ITU-R P.1812-8; its validation examples print the same terms.
    """
    choices = dict(locals())
    out, shape, assumptions = _computed(choices.pop("profile"), choices)
    if shape:
        raise TwinError(
            "one number for each parameter",
            found=f"shape {shape}",
            hint="use p1812 for arrays, or loop",
            where="p1812_terms",
        )
    terms = xr.Dataset(
        {
            name: ((), out[0, k], {"units": unit, "long_name": meaning} | ({"equation": equation} if equation else {}))
            for k, (name, (unit, equation, meaning)) in enumerate(TERMS.items())
        }
    )
    terms.attrs["assumptions"] = "; ".join(assumptions)
    return terms


def field_strength(path_loss: Any, *, frequency: Any, power: Any = 1000.0) -> Any:
    """Field strength that goes with a basic transmission loss.

    E = 199.36 + 20 log10(f/GHz) - L_b + 10 log10(P/kW)

    Parameters
    ----------
    path_loss : float or array [dB]
    frequency : float [Hz]
    power : float [W]
        Effective radiated power; 1 kW in the Recommendation.

    Returns
    -------
    float or array [dB(uV/m)]

    Errors
    ------
    TwinError
        A frequency or power that is not positive.

    Examples
    --------
    >>> round(field_strength(129.0969126, frequency=95.3e6), 6)
    49.844945

    References
    ----------
    ITU-R P.1812-8, equation (70).
    """
    within(frequency, 3e7, 6e9, name="frequency", unit="Hz", why="ITU-R P.1812-8, section 1")
    within(power, 1e-12, math.inf, name="power", unit="W")
    out = 199.36 + 20.0 * np.log10(np.asarray(frequency) / 1e9) - path_loss + 10.0 * np.log10(np.asarray(power) / 1e3)
    return float(out) if np.ndim(out) == 0 else out


def location_deviation(frequency: Any, *, receiver_height: Any, clutter_height: Any, resolution: Any) -> Any:
    """Standard deviation of the loss among the locations of one pixel.

    sigma = (0.52 + 0.024 f/GHz) w^0.28 u, where u falls from 1 to 0 as the antenna rises 10 m above the clutter

    Parameters
    ----------
    frequency : float [Hz]
    receiver_height, clutter_height : float or array [m above ground]
    resolution : float [m]
        Width w of the square over which the loss varies, below 1000 m.

    Returns
    -------
    float or array [dB]

    Errors
    ------
    TwinError
        A value outside its range.

    Examples
    --------
    >>> round(location_deviation(9e8, receiver_height=1.5, clutter_height=15, resolution=100), 2)
    1.97

    References
    ----------
    ITU-R P.1812-8, section 4.8.
    """
    within(frequency, 3e7, 6e9, name="frequency", unit="Hz", why="ITU-R P.1812-8, section 1")
    within(resolution, 1.0, 1000.0, name="resolution", unit="m", why="ITU-R P.1812-8, section 4.8")
    within(receiver_height, 1.0, 3000.0, name="receiver_height", unit="m")
    over = np.asarray(receiver_height, dtype=np.float64) - np.asarray(clutter_height)
    share = np.clip(1.0 - over / 10.0, 0.0, 1.0)
    out = (0.52 + 0.024 * np.asarray(frequency) / 1e9) * np.asarray(resolution) ** 0.28 * share
    return float(out) if np.ndim(out) == 0 else out


def refractivity_gradient(longitude: Any, latitude: Any) -> Any:
    """Median lapse of the refractivity over the lowest kilometre, from the maps of ITU-R P.453.

    Parameters
    ----------
    longitude, latitude : float or array [degree]

    Returns
    -------
    float or array [N-units/km], positive: the Delta N of P.1812

    Validity
    --------
    P.453's own map at 50 % of the time; P.1812 ships an older one, which differs by a few N-units/km.

    Errors
    ------
    TwinError
        `itur` is not installed, or a coordinate is out of range.

    References
    ----------
    ITU-R P.453, section 3; ITU-R P.1812-8, section 3.5.
    """
    within(longitude, -360.0, 360.0, name="longitude", unit="degree")
    within(latitude, -90.0, 90.0, name="latitude", unit="degree")
    try:
        from itur.models import itu453
    except ImportError:
        raise TwinError(
            "the package itur, which carries the maps",
            found="none installed",
            hint="pip install 'twinkit[geo]', or give refractivity_gradient yourself",
            where="refractivity_gradient",
        ) from None
    # itur counts eastward from 0
    value = -np.asarray(itu453.DN1(np.asarray(latitude), np.asarray(longitude) % 360.0, 50).value, dtype=np.float64)
    return float(value) if value.ndim == 0 else value
