"""A cyclone on its track: the gust at every asset and hour, with what a best track does not know as members."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr

from twinkit.contract import contract, whole_seed, within
from twinkit.error import TwinError, close_to
from twinkit.resilience.assets import assets, whole
from twinkit.resilience.footprint import clock, footprint
from twinkit.resilience.wind import KNOT, holland, holland_shape, maximum_wind_radius, pressure_drop

if TYPE_CHECKING:
    from collections.abc import Mapping

    from twinkit.resilience.fragility import Curve

__all__ = ["GUST", "best_track", "cyclone", "track", "wind_at"]

GUST = 1.17
"""Gust of 3 s over mean of 3 min at sea: Harper, Kepert and Ginger, WMO/TD 1555 (2010), Table 1.1. Over land the ground
takes from the mean about what it adds to the gusts."""
BACKGROUND = 0.55
"""Part of the storm's own motion that is felt at the ground, turned by 20 degree (Lin and Chavas, 2012)."""
TURNED = 20.0
SPREAD = {"radius": 0.448, "shape": 0.226, "wind": 10 * KNOT, "place": 28e3}
"""Standard deviations of what a best track does not know: ln of the radius and Holland's B (Vickery and Wadhera, 2008),
wind [m/s] and place [m] of an analysis from satellites (Torn and Snyder, 2012; Landsea and Franklin, 2013)."""
EARTH = 6.371e6
LONGEST = 100
"""[day] No cyclone has lived half as long: it is a track of two, or a year mistyped."""
REACH = 600e3
"""Hours in which the centre is farther than this from every asset are left out."""


def track(
    times: Any, longitude: Any, latitude: Any, *, wind: Any, pressure: Any = None, radius: Any = None, name: str = ""
) -> xr.Dataset:
    """The track of a cyclone.

    Parameters
    ----------
    times : array of datetime64 (time)
        UTC, without zone.
    longitude, latitude : array (time) [degree]
    wind : array (time) [m/s]
        Largest wind, mean of 3 minutes as IMD gives it.
    pressure : array (time) [Pa], optional
        In the centre; where it is missing or NaN it follows from the wind (`pressure_drop`).
    radius : array (time) [m], optional
        Of maximum wind; where missing, `maximum_wind_radius`.
    name : str, optional

    Returns
    -------
    Dataset (time)
        longitude, latitude, wind_speed, pressure_drop, maximum_wind_radius; ``attrs["filled"]`` says what was not
        measured.

    Errors
    ------
    TwinError
        Times with a zone or out of order, columns of other length, a wind that is missing where there is no pressure
        either, a place that is none, or winds that look like knots or km/h.

    Examples
    --------
    >>> made = track(["2019-05-03T00:00", "2019-05-03T06:00"], [85.5, 85.9], [19.1, 20.2], wind=[54.0, 43.7])
    >>> made.attrs["filled"], (made.pressure_drop.values / 100).round().tolist()
    ('pressure, radius', [55.0, 36.0])
    """
    index = clock(times, where="times")
    days = (int(index.asi8[-1]) - int(index.asi8[0])) / 86_400e9
    if days > LONGEST:
        raise TwinError(
            f"a storm of at most {LONGEST} days", found=f"{days:.0f}",
            hint="one storm a track: strike with each, or with also=", where="times",
        )  # fmt: skip
    columns = {"longitude": longitude, "latitude": latitude, "wind": wind, "pressure": pressure, "radius": radius}
    values: dict[str, np.ndarray] = {}
    for key, column in columns.items():
        values[key] = np.full(len(index), np.nan) if column is None else _numbers(column, key)
        if values[key].shape != (len(index),):
            raise TwinError(
                f"{len(index)} values, one a time",
                found=f"{values[key].size}",
                hint="give all columns alike",
                where=key,
            )
    for key, most in (("longitude", 360.0), ("latitude", 90.0)):
        if not (np.abs(values[key]) <= most).all():
            raise TwinError(
                f"degrees up to {most:g}", found="a place that is none", hint="drop times without a fix", where=key
            )
    ambient = 101_000.0
    measured = np.isfinite(values["pressure"])
    if (
        measured.any()
        and not ((values["pressure"][measured] > 85_000) & (values["pressure"][measured] < 104_000)).all()
    ):
        raise TwinError(
            "central pressures from 85000 to 104000 Pa",
            found=f"{values['pressure'][measured].min():g}",
            hint="hPa times 100",
            where="pressure",
        )
    drop = np.where(measured, np.maximum(ambient - values["pressure"], 100.0), np.nan)
    blown = np.isfinite(values["wind"])
    # Mishra and Gupta the other way round, where only the pressure is known
    gale = np.where(blown, values["wind"], 14.2 * KNOT * np.sqrt(drop / 100.0))
    if not np.isfinite(gale).all():
        at = int(np.argmax(~np.isfinite(gale)))
        raise TwinError(
            "a wind or a central pressure at every time",
            found=f"neither at {index[at]}",
            hint="drop that time: places between two fixes are interpolated",
            where="wind",
        )
    if (gale < 0).any() or (gale > 110).any():
        raise TwinError(
            "winds from 0 to 110 m/s",
            found=f"{gale.max() if (gale > 110).any() else gale.min():g}",
            hint="knots times 0.514, km/h divided by 3.6",
            where="wind",
        )
    drop = np.where(np.isfinite(drop), drop, np.maximum(pressure_drop(gale), 100.0))
    eye = np.where(
        np.isfinite(values["radius"]), values["radius"], maximum_wind_radius(gale, latitude=values["latitude"])
    )
    within(eye, 1e3, 5e5, name="radius", unit="m")
    filled = [k for k in ("wind", "pressure", "radius") if not np.isfinite(values[k]).all()]
    data = {
        "wind_speed": (gale, "m/s"),
        "pressure_drop": (drop, "Pa"),
        "maximum_wind_radius": (eye, "m"),
    }
    return xr.Dataset(
        {k: ("time", v, {"units": u}) for k, (v, u) in data.items()},
        {
            "time": index,
            "longitude": ("time", values["longitude"], {"units": "degree"}),
            "latitude": ("time", values["latitude"], {"units": "degree"}),
        },
        {"name": name, "filled": ", ".join(filled)},
    )


def _numbers(column: Any, where: str) -> np.ndarray:
    try:
        return np.asarray(column, float)
    except (TypeError, ValueError) as fault:
        raise TwinError("numbers", found=str(fault)[:80], hint="NaN where there is none", where=where) from None


def best_track(path: str | Path, *, storm: str, name: str = "") -> xr.Dataset:
    """One storm of a table of best tracks as IMD's are passed on (DATETIME, CS_ID, LAT, LON, MSWS in knots).

    Parameters
    ----------
    path : path of a CSV file
    storm : str
        Its id, ``"201902"``: year, and number within it.
    name : str, optional

    Returns
    -------
    Dataset (time)
        As `track`.

    Errors
    ------
    TwinError
        No file, no such column, no such storm (near ones are offered), or a number that is none.
    """
    file = Path(path)
    if not file.is_file():
        raise TwinError("a table of best tracks", found="no file", hint="check the path", where=str(file))
    try:
        table = pd.read_csv(file, dtype=str)
    except (ValueError, UnicodeDecodeError) as e:
        raise TwinError(
            "a CSV table", found=f"{type(e).__name__}", hint="open it and look at its first lines", where=file.name
        ) from None
    needed = ["DATETIME", "CS_ID", "LAT", "LON", "MSWS"]
    missing = [c for c in needed if c not in table]
    if missing:
        raise TwinError(
            f"columns {', '.join(needed)}", found=f"no {', '.join(missing)}", hint="rename the columns", where=file.name
        )
    own = table[table["CS_ID"] == str(storm)]
    if own.empty:
        near = close_to(str(storm), table["CS_ID"].dropna().unique())
        raise TwinError(
            "the id of a storm in the table",
            found=f"'{storm}'",
            hint=f"did you mean {near}?" if near else "look at the column CS_ID",
            where=file.name,
        )
    own = own.drop_duplicates("DATETIME")
    numbers = {c: pd.to_numeric(own[c], errors="coerce").to_numpy(float) for c in ("LAT", "LON", "MSWS")}
    try:
        read = pd.DatetimeIndex(pd.to_datetime(own["DATETIME"]))
    except ValueError as fault:
        raise TwinError(
            "times in the column DATETIME", found=str(fault).splitlines()[0][:80], hint="write them like "
            "'2019-05-03 03:00:00'", where=file.name,
        ) from None  # fmt: skip
    order = np.argsort(read.to_numpy(), kind="stable")
    times = read[order]
    placed = np.isfinite(numbers["LAT"][order]) & np.isfinite(numbers["LON"][order])
    lat, lon, knots = (numbers[c][order][placed] for c in ("LAT", "LON", "MSWS"))
    return track(times[placed], lon, lat, wind=knots * KNOT, name=name or str(storm))


def wind_at(
    longitude: np.ndarray, latitude: np.ndarray, moment: Mapping[str, float], *, factor: float = GUST
) -> np.ndarray:
    """Gust at places for one moment of a storm.

    The profile is Holland's, scaled so that its largest value and the part of the storm's motion that is felt at the
    ground add up to the track's wind; to the right of the track (on the northern half of the earth) they add, to the
    left they oppose.

    Parameters
    ----------
    longitude, latitude : array [degree]
    moment : dict
        longitude, latitude [degree], wind, east and north (motion) [m/s], drop [Pa], radius [m], shape [1].
    factor : float [1]
        Gust over mean wind.

    Returns
    -------
    array [m/s]
    """
    lat, lon = np.radians(latitude), np.radians(longitude)
    lat0, lon0 = np.radians(moment["latitude"]), np.radians(moment["longitude"])
    # plane around the centre: within 600 km it is off by less than a percent
    dx = EARTH * np.cos((lat + lat0) / 2) * ((lon - lon0 + np.pi) % (2 * np.pi) - np.pi)
    dy = EARTH * (lat - lat0)
    far = np.hypot(dx, dy)
    shape = {k: moment[k] for k in ("radius", "shape")} | {"latitude": moment["latitude"]}
    profile = holland(np.minimum(far, 1e7), pressure_drop=moment["drop"], **shape)
    top = float(holland(moment["radius"], pressure_drop=moment["drop"], **shape))
    share = profile / max(top, 1e-9)
    spin = 1.0 if moment["latitude"] >= 0 else -1.0
    turn = np.radians(TURNED) * spin
    east = BACKGROUND * (moment["east"] * np.cos(turn) - moment["north"] * np.sin(turn))
    north = BACKGROUND * (moment["east"] * np.sin(turn) + moment["north"] * np.cos(turn))
    around = max(moment["wind"] - float(np.hypot(east, north)), 0.0) * share
    unit = np.maximum(far, 1.0)
    speed = np.hypot(-spin * dy / unit * around + east * share, spin * dx / unit * around + north * share)
    return np.asarray(factor * speed)


@contract(
    reads=[
        "sites/x",
        "sites/y",
        "links/source",
        "links/target",
        "wind_speed",
        "pressure_drop",
        "maximum_wind_radius",
    ],
    gives=["wind_gust", "failure"],
    computes=True,
)
def cyclone(
    twin: xr.DataTree,
    track: xr.Dataset,
    *,
    members: int = 20,
    seed: int = 0,
    step: float = 1.0,
    gust: float = GUST,
    spread: Mapping[str, float] = SPREAD,
    fragility: Mapping[str, Curve] | None = None,
) -> xr.Dataset:
    """Gust and probability of failure at every asset, hour and member of a cyclone.

    Parameters
    ----------
    twin : DataTree
        With ``sites`` and maybe ``links`` and ``feeders`` (`electrified`).
    track : Dataset (time)
        As `track` or `best_track` gives it.
    members : int
        Storms that could have left this track: radius, Holland's B, wind and place are drawn about what the track
        says. 1 takes the track at its word.
    seed : int
    step : float [h]
        Between the hours of the result.
    gust : float [1]
        Gust of 3 s over the track's mean wind.
    spread : dict of str to float
        Standard deviations of the members, as `SPREAD`.
    fragility : dict of str to Curve, optional
        Kind of asset to the curve that replaces the one of `CURVES`.

    Returns
    -------
    Dataset (member, time, asset)
        ``wind_gust`` [m/s], the worst along a link, and ``failure`` [1], the probability of having failed by then.
        ``attrs["misses"]`` is "true" where nothing has a chance above 0.001 to fail.

    Validity
    --------
    Flat land and sea. Hills, forest and the rain that undermines a mast are not in it; the track's own decay after
    landfall is. Wind alone: join a flood with `together`.

    Errors
    ------
    TwinError
        Not a track, no members, a step that is not positive, or a kind of asset without a curve.

    Examples
    --------
    >>> from twinkit import assemble
    >>> sites = xr.Dataset({"x": ("site", [0.0, 90e3]), "y": ("site", [0.0, 0.0])}, {"site": ["a", "b"]})
    >>> links = xr.Dataset({"source": ("link", ["a"]), "target": ("link", ["b"])}, {"link": ["ab"]})
    >>> twin = assemble({"sites": sites, "links": links}, title="two", crs="+proj=tmerc +lat_0=20 +lon_0=86 +units=m")
    >>> storm = track(["2020-05-03T00", "2020-05-03T12"], [86, 86], [18.5, 21.5], wind=[45.0, 45.0])
    >>> hit = cyclone(twin, storm, members=1)
    >>> hit.wind_gust.max("time").squeeze().values.round().tolist(), hit.attrs["misses"]
    ([49.0, 34.0, 49.0], 'false')

    References
    ----------
    Holland (1980), see `holland`. N. Lin and D. Chavas, On hurricane parametric wind and applications in storm surge
    modeling, Journal of Geophysical Research 117, 2012, doi:10.1029/2011JD017126. B. A. Harper, J. D. Kepert and
    J. D. Ginger, Guidelines for converting between various wind averaging periods in tropical cyclone conditions,
    WMO/TD 1555, 2010.
    """
    members = whole(members, 1, 10_000, name="members")
    _check_spread(spread)
    within(step, 0.05, 24.0, name="step", unit="h")
    within(gust, 0.5, 3.0, name="gust", unit="1")
    _check_track(track)
    made = assets(twin)
    longitude, latitude = _degrees(twin, made["x"].values, made["y"].values)
    hours, filled = _hourly(track, step), str(track.attrs.get("filled", ""))
    kept = _near(hours, longitude, latitude)
    rng = np.random.default_rng(np.random.SeedSequence([whole_seed(seed), 1980]))
    off = rng.standard_normal((members, 5)) if members > 1 else np.zeros((1, 5))
    gusts = np.zeros((members, len(kept), made.sizes["asset"]), np.float32)
    for m in range(members):
        for t, moment in enumerate(_moments(hours, kept, off[m], spread)):
            gusts[m, t] = wind_at(longitude, latitude, moment, factor=gust).max(axis=1)
    name = str(track.attrs.get("name", "")) or "a cyclone"
    spreads = ", ".join(f"{k} {v:.3g}" for k, v in spread.items())
    says = {
        "model": f"Holland (1980) along the track of {name}",
        "assumptions": f"not in the track: {filled or 'nothing'}; gust {gust:g} times the mean of 3 min; "
        + (f"{members:g} members with spread {spreads}; seed {seed}" if members > 1 else "the track at its word"),
    }
    return footprint("wind_gust", gusts, made, hours["time"][kept], table=fragility, says=says)


# ---------------------------------------------------------------- the track by the hour


def _check_track(storm: Any) -> None:
    needed = ("longitude", "latitude", "wind_speed", "pressure_drop", "maximum_wind_radius")
    if (
        not isinstance(storm, xr.Dataset)
        or any(n not in storm.variables for n in needed)
        or "time" not in storm.indexes
    ):
        raise TwinError(
            f"a track with {', '.join(needed)} over time",
            found=f"a {type(storm).__name__}"
            + (f" with {', '.join(map(str, storm))}" if isinstance(storm, xr.Dataset) else ""),
            hint="tk.resilience.track(times, longitude, latitude, wind=...) or best_track(file, storm=...)",
            where="track",
        )


def _check_spread(spread: Mapping[str, float]) -> None:
    strange = [k for k in spread if k not in SPREAD]
    if strange:
        raise TwinError(
            f"a spread of {', '.join(SPREAD)}", found=f"'{strange[0]}'",
            hint=f"did you mean {close_to(str(strange[0]), SPREAD)}?" if close_to(str(strange[0]), SPREAD)
            else "leave it out", where="spread",
        )  # fmt: skip
    for name, value in spread.items():
        within(value, 0.0, 1e6, name=f"spread of {name}", unit={"wind": "m/s", "place": "m"}.get(name, "1"))


def _hourly(storm: xr.Dataset, step: float) -> dict[str, Any]:
    """The track in even steps, with the motion of its centre."""
    index = clock(storm["time"].values, where="track")
    times = pd.date_range(index[0], index[-1], freq=pd.Timedelta(hours=float(step)), unit="ns")
    seconds = (index - index[0]) / pd.Timedelta(seconds=1)
    at = (times - index[0]) / pd.Timedelta(seconds=1)
    turned = np.unwrap(np.asarray(storm["longitude"].values, float), period=360.0)
    columns = {"longitude": turned} | {
        k: np.asarray(storm[n].values, float)
        for k, n in (("latitude", "latitude"), ("wind", "wind_speed"), ("drop", "pressure_drop"))
    }
    columns["radius"] = np.asarray(storm["maximum_wind_radius"].values, float)
    out: dict[str, Any] = {k: np.interp(at, seconds, v) for k, v in columns.items()}
    if len(index) > 1:
        # a motion for each leg, so that a track of two fixes moves too
        leg = np.clip(np.searchsorted(seconds, at, side="right") - 1, 0, len(index) - 2)
        pace = np.diff(seconds)
        middle = np.radians(columns["latitude"][:-1] + np.diff(columns["latitude"]) / 2)
        out["east"] = (EARTH * np.cos(middle) * np.radians(np.diff(turned)) / pace)[leg]
        out["north"] = (EARTH * np.radians(np.diff(columns["latitude"])) / pace)[leg]
    else:
        out["east"] = out["north"] = np.zeros(1)
    out["time"] = times
    return out


def _near(hours: dict[str, Any], longitude: np.ndarray, latitude: np.ndarray) -> np.ndarray:
    """Hours within reach of any asset; where there is none the nearest six, so that a miss is a result too."""
    lat, lon = np.radians(latitude[:, :1]), np.radians(longitude[:, :1])
    lat0, lon0 = np.radians(hours["latitude"]), np.radians(hours["longitude"])
    half = np.sin((lat - lat0) / 2) ** 2 + np.cos(lat) * np.cos(lat0) * np.sin((lon - lon0) / 2) ** 2
    away = (2 * EARTH * np.arcsin(np.sqrt(np.clip(half, 0, 1)))).min(axis=0)
    close = np.flatnonzero(away <= REACH)
    if close.size:
        return np.arange(close[0], close[-1] + 1)
    nearest = int(np.argmin(away))
    return np.arange(max(nearest - 3, 0), min(nearest + 3, len(away)))


def _moments(hours: dict[str, Any], kept: np.ndarray, off: np.ndarray, spread: Mapping[str, float]) -> Any:
    """The storm hour by hour, moved by what this member differs in."""
    for t in kept:
        lat = float(hours["latitude"][t]) + np.degrees(off[3] * spread.get("place", 0.0) / EARTH)
        sideways = np.degrees(off[4] * spread.get("place", 0.0) / (EARTH * max(np.cos(np.radians(lat)), 0.1)))
        radius = float(np.clip(hours["radius"][t] * np.exp(off[0] * spread.get("radius", 0.0)), 5e3, 2e5))
        shape = float(np.clip(holland_shape(radius, latitude=lat) + off[1] * spread.get("shape", 0.0), 0.8, 2.5))
        wind = max(float(hours["wind"][t]) + off[2] * spread.get("wind", 0.0) * min(hours["wind"][t] / 30.0, 1.0), 0.0)
        yield {
            "longitude": float(hours["longitude"][t]) + sideways,
            "latitude": lat,
            "wind": wind,
            "drop": float(hours["drop"][t]),
            "radius": radius,
            "shape": shape,
            "east": float(hours["east"][t]),
            "north": float(hours["north"][t]),
        }


def _degrees(twin: xr.DataTree, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    import pyproj

    to = pyproj.Transformer.from_crs(twin.attrs["crs"], "EPSG:4326", always_xy=True)
    lon, lat = to.transform(x, y)
    return np.asarray(lon), np.asarray(lat)
