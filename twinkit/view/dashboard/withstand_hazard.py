"""Hazards that the Withstand app offers: their fields, what each needs of a twin, and what it does to one.

Nothing here knows Panel. A choice is a `Chosen`, frozen and checked, so that it can be compared, kept and repeated; it
becomes a hazard of `twinkit.resilience` on a twin, and a map of its footprint by the same function on a grid of points.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from twinkit import resilience
from twinkit.error import TwinError, close_to, escaped
from twinkit.resilience.assets import web
from twinkit.resilience.cyclone import EARTH, _degrees
from twinkit.resilience.footprint import clock
from twinkit.resilience.wind import KNOT

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "CALM",
    "CATEGORIES",
    "FORESEEN",
    "KINDS",
    "Chosen",
    "Event",
    "Field",
    "category",
    "chosen",
    "fields",
    "first",
    "footprint",
    "lacking",
    "ring",
    "struck",
    "unfit",
]

CATEGORIES = {
    "cyclonic storm": (34 * KNOT, 41 * KNOT),
    "severe": (48 * KNOT, 56 * KNOT),
    "very severe": (64 * KNOT, 77 * KNOT),
    "extremely severe": (90 * KNOT, 105 * KNOT),
    "super": (120 * KNOT, 125 * KNOT),
}
"""India Meteorological Department's classes of cyclonic storm: least wind [m/s], mean of 3 minutes, and one to try."""
KINDS = ("cyclone", "track", "flood", "flood_map", "earthquake", "blackout", "cut", "common_mode")
FORESEEN = ("cyclone", "track", "flood", "flood_map")
"""Kinds that a warning can go before; nobody foresees the hour of the others."""
MEMBERS = 20
"""Storms that fit one track, or earthquakes of one magnitude."""
BEFORE, AFTER = 48.0, 24.0
"""[h] that a scenario's storm is followed on its straight way before and after the place where it is asked for."""
DISTINCT = 50
"""A text with more values than this is a name, not a make."""
LONGEST_TRACK = 200
"""Fixes of a track that somebody types."""

CALM = 5.0
"""[degree] from the equator, within which the turning of the earth is too weak for a cyclone to form."""
WHEN = "2026-05-01T00:00"


@dataclass(frozen=True)
class Field:
    """One thing to choose: a number within its limits, a whole number, a text, or one of some options.

    `scale` is the unit on the page over the SI unit of the value: 1000 where metres are shown as kilometres.
    """

    key: str
    default: Any
    low: float = -math.inf
    high: float = math.inf
    unit: str = ""
    scale: float = 1.0
    whole: bool = False
    options: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """options, text or number."""
        return "options" if self.options else "text" if isinstance(self.default, str) else "number"

    def checked(self, value: Any) -> Any:
        """The value in SI, given in SI.

        Errors
        ------
        TwinError
            Not a number, out of its limits, no such option.
        """
        if self.kind == "options":
            if value not in self.options:
                near = close_to(str(value), self.options)
                raise TwinError(
                    f"one of {', '.join(map(escaped, self.options[:12]))}",
                    found=repr(value)[:60],
                    hint=f"did you mean {near}?" if near else "choose one of them",
                    where=self.key,
                )
            return value
        if self.kind == "text":
            return str(value).strip()
        unit = f" {self.unit}" if self.unit and self.unit != "1" else ""
        low, high = self.low / self.scale, self.high / self.scale
        asked = f"a {'whole ' if self.whole else ''}number from {low:g} to {high:g}{unit}"
        try:
            number = math.nan if value is None or isinstance(value, bool) else float(value)
        except (TypeError, ValueError, OverflowError):
            number = math.nan
        if not self.low <= number <= self.high or (self.whole and number != int(number)):
            empty = value is None or (isinstance(value, str) and not value.strip())
            found = (
                "nothing" if empty else repr(str(value)[:40]) if number != number else f"{number / self.scale:g}{unit}"
            )
            raise TwinError(asked, found=found, hint=f"{self.default / self.scale:g}, for example", where=self.key)
        return int(number) if self.whole else number


@dataclass(frozen=True)
class Chosen:
    """A hazard with all its choices made and checked; `chosen` makes one."""

    kind: str
    values: tuple[tuple[str, Any], ...] = ()

    def __getitem__(self, key: str) -> Any:
        return dict(self.values)[key]


@dataclass(frozen=True)
class Event:
    """A hazard on a twin: what strikes, when (the hour of landfall), where (longitude and latitude), on which track."""

    hazards: tuple[xr.Dataset, ...]
    moment: np.datetime64
    centre: tuple[float, float]
    members: int
    track: xr.Dataset | None = None


# ---------------------------------------------------------------- what a twin is good for


def lacking(twin: xr.DataTree) -> str:
    """What a twin lacks for any question at all, as a sentence; "" when it lacks nothing."""
    needs = {"sites": ("x", "y"), "cells": ("site",), "links": ("source", "target"), "surface": ("people",)}
    for node, names in needs.items():
        there = twin.children[node].to_dataset(inherit=False).variables if node in twin.children else ()
        missing = [n for n in names if n not in there]
        if missing:
            return f"{node}/{missing[0]}"
    try:
        web(twin, feeds=False)
    except TwinError as fault:
        return f"{fault.expected}"
    return ""


def unfit(twin: xr.DataTree) -> dict[str, str]:
    """Hazards that a twin cannot answer: kind → the variable that it lacks (`lacking` says what all of them need)."""
    surface = twin.children["surface"].to_dataset(inherit=False).variables if "surface" in twin.children else {}
    out = {}
    if "ground_height" not in surface:
        out["flood"] = "surface/ground_height"
    if "flood_depth" not in surface:
        out["flood_map"] = "surface/flood_depth"
    if "feeders" not in twin.children:
        out["blackout"] = "feeders"
    if not groups(twin):
        out["common_mode"] = "sites/operator"
    return out


def groups(twin: xr.DataTree) -> dict[str, int]:
    """Makes that sites share, "power_source=grid", and how many sites have each: from every text about sites."""
    out: dict[str, int] = {}
    if "sites" not in twin.children:
        return out
    sites = twin.children["sites"].to_dataset(inherit=False)
    # what a site is comes last: who makes it says more of a common fault
    for name, array in sorted(sites.data_vars.items(), key=lambda item: item[0] == "kind"):
        if array.dims != ("site",) or array.dtype.kind not in "OUT" or name in ("name", "feeder"):
            continue
        values, counts = np.unique(np.array([str(v) for v in array.values]), return_counts=True)
        if len(values) <= min(DISTINCT, max(len(array) - 1, 0)):
            out |= {f"{name}={v}": int(c) for v, c in zip(values, counts, strict=True) if v}
    return out


def middle(twin: xr.DataTree) -> tuple[float, float]:
    """Longitude and latitude [degree] of the middle of the region."""
    surface = twin.children["surface"].to_dataset(inherit=False)
    x, y = (float(surface[d].min() + surface[d].max()) / 2 for d in ("x", "y"))
    longitude, latitude = _degrees(twin, np.array(x), np.array(y))
    return float(longitude), float(latitude)


def first(twin: xr.DataTree) -> str:
    """The hazard to begin with, one that happens there: a cyclone, or near the equator, where none forms, a quake."""
    return "cyclone" if abs(middle(twin)[1]) >= CALM else "earthquake"


def fields(twin: xr.DataTree, kind: str) -> tuple[Field, ...]:
    """What there is to choose for a hazard on a twin.

    Parameters
    ----------
    twin : DataTree
    kind : str
        One of `KINDS`.

    Errors
    ------
    TwinError
        An unknown kind.
    """
    if kind not in KINDS:
        near = close_to(str(kind), KINDS)
        raise TwinError(
            f"one of {', '.join(KINDS)}", found=repr(kind)[:60], where="hazard",
            hint=f"did you mean {near}?" if near else "choose one of them",
        )  # fmt: skip
    longitude, latitude = (round(v, 2) for v in middle(twin))
    when = Field("time", WHEN)
    place = (
        Field("longitude", longitude, -180.0, 180.0, "degree"),
        Field("latitude", latitude, -85.0, 85.0, "degree"),
    )
    sure = Field("probability", 1.0, 0.0, 1.0, "%", 0.01)
    if kind == "cyclone":
        return (
            Field("wind", round(CATEGORIES["extremely severe"][1], 1), 5.0, 110.0, "m/s"),
            *place,
            Field("heading", 0.0, 0.0, 360.0, "degree"),
            Field("speed", 5.0, 0.5, 20.0, "m/s"),
            when,
        )
    if kind == "track":
        return (Field("fixes", _example(longitude, latitude)),)
    if kind == "flood":
        low, start, high = _heights(twin)
        return (
            Field("level", round(start, 1), math.floor(low), min(math.ceil(high) + 10.0, math.floor(low) + 99.0), "m"),
            Field("flows", "from the lowest ground", options=("from the lowest ground", "in from the edge")),
            when,
        )
    if kind == "flood_map":
        return (when,)
    if kind == "earthquake":
        faults = ("unspecified", "strike-slip", "normal", "reverse")
        return (
            Field("magnitude", 6.5, 5.0, 8.0),
            *place,
            Field("length", 0.0, 0.0, 500e3, "km", 1e3),
            Field("strike_angle", 0.0, 0.0, 360.0, "degree"),
            Field("shear_velocity", 360.0, 180.0, 1300.0, "m/s"),
            Field("fault", "unspecified", options=faults),
            when,
        )
    if kind == "blackout":
        return (sure, when)
    if kind == "cut":
        count = twin["sites"].sizes["site"]
        return (Field("central", min(3, count), 0, count, whole=True), Field("ids", ""), sure, when)
    return (Field("group", next(iter(groups(twin)), ""), options=tuple(groups(twin)) or ("",)), sure, when)


def chosen(twin: xr.DataTree, kind: str, values: Mapping[str, Any]) -> Chosen:
    """A hazard with its choices checked; what is not given takes its default.

    Parameters
    ----------
    twin : DataTree
    kind : str
    values : dict of str to value
        In SI, as `fields` names them.

    Returns
    -------
    Chosen

    Errors
    ------
    TwinError
        An unknown kind or field, a value out of its range, data that the twin lacks.
    """
    known = fields(twin, kind)
    missing = unfit(twin).get(kind)
    if missing:
        raise TwinError(
            f"a twin with {missing}", found="none", where=kind,
            hint="let the grid be generated" if kind == "blackout" else "choose another hazard",
        )  # fmt: skip
    strange = sorted(set(values) - {f.key for f in known})
    if strange:
        raise TwinError(
            f"fields {', '.join(f.key for f in known)}", found=f"'{strange[0]}'", hint="leave it out", where=kind
        )
    made = tuple((f.key, f.checked(values.get(f.key, f.default))) for f in known)
    return Chosen(kind, made)


def category(wind: float) -> str:
    """The class of a cyclonic storm by its wind [m/s]; "" below the weakest.

    >>> category(54.0), category(10.0)
    ('extremely severe', '')
    """
    return next((name for name, (least, _) in reversed(CATEGORIES.items()) if wind >= least - 1e-9), "")


# ---------------------------------------------------------------- what it does


def struck(twin: xr.DataTree, hazard: Chosen, *, seed: int, members: int = MEMBERS, step: float = 1.0) -> Event:
    """The hazard on a twin, by the function of `twinkit.resilience` that is made for it.

    Parameters
    ----------
    twin : DataTree
    hazard : Chosen
    seed : int
    members : int
        Of a cyclone or an earthquake.
    step : float [h]
        In which a cyclone moves.

    Returns
    -------
    Event

    Errors
    ------
    TwinError
        What the stage refuses.
    """
    kind = hazard.kind
    if kind in ("cyclone", "track"):
        way = _way(hazard)
        made = resilience.cyclone(twin, way, members=members, seed=seed, step=step)
        moment, centre = _nearest(twin, way) if kind == "track" else (_moment(hazard), _place(hazard))
        return Event((made,), moment, centre, members, way)
    moment, centre = _moment(hazard), middle(twin)
    if kind in ("flood", "flood_map"):
        made = resilience.flood(twin, _depth(twin, hazard), times=[moment])
    elif kind == "earthquake":
        centre = _place(hazard)
        keys = ("longitude", "latitude", "magnitude", "length", "strike_angle", "shear_velocity", "fault")
        asked = {k: hazard[k] for k in keys}
        made = resilience.earthquake(twin, **asked, time=moment, members=members, seed=seed)
    elif kind == "blackout":
        made = resilience.cut(twin, time=moment, node="feeders", probability=hazard["probability"])
    elif kind == "cut":
        made = resilience.cut(twin, time=moment, ids=targets(twin, hazard), probability=hazard["probability"])
    else:
        name, _, value = str(hazard["group"]).partition("=")
        group = twin.children["sites"].to_dataset(inherit=False)[name]
        # a plan may have taken every site out of the group: then the fault finds nobody
        there = bool((group.astype(str) == value).any())
        chance = {value: hazard["probability"]} if there else {}
        made = resilience.common_mode(twin, group, time=moment, probability=chance)
    return Event((made,), moment, centre, made.sizes.get("member", 1))


def targets(twin: xr.DataTree, hazard: Chosen) -> list[str]:
    """Assets that a targeted cut takes out: the most central sites, and those that were named."""
    named = [p for p in str(hazard["ids"]).replace(",", " ").split() if p]
    central = resilience.most_central(twin, count=hazard["central"]) if hazard["central"] else []
    out = list(dict.fromkeys([*central, *named]))
    if not out:
        raise TwinError(
            "sites or links to cut", found="none", hint="give a number of central sites, or ids like s001", where="cut"
        )
    return out


def footprint(twin: xr.DataTree, hazard: Chosen, *, pixels: int = 60) -> xr.DataArray | None:
    """The map of a hazard: the worst gust, the depth of water or the shaking, as the median storm or earthquake has it.

    Parameters
    ----------
    twin : DataTree
    hazard : Chosen
    pixels : int
        Along the longer edge, for wind and shaking: both are smooth.

    Returns
    -------
    DataArray (y, x) or None
        ``wind_gust`` [m/s], ``flood_depth`` [m] or ``shaking`` [m/s²]; None where a hazard has no place.
    """
    if hazard.kind in ("flood", "flood_map"):
        return _depth(twin, hazard).rename("flood_depth").assign_attrs(units="m")
    if hazard.kind not in ("cyclone", "track", "earthquake"):
        return None
    points, y, x = _points(twin, pixels)
    # by the hour a swift storm would leave rings on the map
    made = struck(points, hazard, seed=0, members=1, step=0.25).hazards[0]
    name = "shaking" if hazard.kind == "earthquake" else "wind_gust"
    worst = made[name].isel(member=0).max("time").values[: len(y) * len(x)].reshape(len(y), len(x))
    return xr.DataArray(worst, {"y": y, "x": x}, ("y", "x"), name=name, attrs={"units": made[name].attrs["units"]})


def ring(twin: xr.DataTree, centre: tuple[float, float], radius: float) -> list[tuple[float, float]]:
    """Corners of the area of an alert: a circle about a place, or the whole region where the radius is 0.

    Parameters
    ----------
    twin : DataTree
    centre : (longitude, latitude) [degree]
    radius : float [m]

    Returns
    -------
    list of (longitude, latitude) [degree]
    """
    if radius > 0:
        turn = np.linspace(0.0, 2 * np.pi, 48, endpoint=False)
        up = np.degrees(radius / EARTH) * np.cos(turn)
        across = np.degrees(radius / (EARTH * math.cos(math.radians(centre[1])))) * np.sin(turn)
        return [(centre[0] + float(a), centre[1] + float(u)) for a, u in zip(across, up, strict=True)]
    surface = twin.children["surface"].to_dataset(inherit=False)
    (left, right), (low, high) = ((float(surface[d].min()) - 1e3, float(surface[d].max()) + 1e3) for d in ("x", "y"))
    longitude, latitude = _degrees(twin, np.array([left, right, right, left]), np.array([low, low, high, high]))
    return [(float(a), float(b)) for a, b in zip(longitude, latitude, strict=True)]


# ---------------------------------------------------------------- parts


def _moment(hazard: Chosen) -> np.datetime64:
    text = str(hazard["time"])
    return clock([text], where="time")[0].to_datetime64()


def _place(hazard: Chosen) -> tuple[float, float]:
    return float(hazard["longitude"]), float(hazard["latitude"])


def _heights(twin: xr.DataTree) -> tuple[float, float, float]:
    """Lowest and highest ground [m], and between them a level that stands deep at the lowest site."""
    surface = twin.children["surface"].to_dataset(inherit=False)
    if "ground_height" not in surface:
        return 0.0, 3.0, 10.0
    heights = surface["ground_height"].transpose("y", "x")
    sites = twin.children["sites"].to_dataset(inherit=False)
    at = heights.sel({d: xr.DataArray(sites[d].values, dims="site") for d in ("x", "y")}, method="nearest").values
    low = float(heights.min())
    return low, min(float(np.nanmin(at)) + 2.0, low + 90.0), float(heights.max())


def _depth(twin: xr.DataTree, hazard: Chosen) -> xr.DataArray:
    surface: Any = twin.children["surface"].to_dataset(inherit=False)
    if hazard.kind == "flood_map":
        depth = surface["flood_depth"]
        return depth.max("time") if "time" in depth.dims else depth
    edge = hazard["flows"] == "in from the edge"
    return resilience.flood_level(surface["ground_height"], level=hazard["level"], sea=edge)


def _way(hazard: Chosen) -> xr.Dataset:
    """The track of a cyclone: as typed, or straight and at one strength through the place that was chosen."""
    if hazard.kind == "track":
        return _typed(hazard["fixes"])
    moment, (longitude, latitude) = _moment(hazard), _place(hazard)
    hours = np.array([-BEFORE, 0.0, AFTER])
    gone = hazard["speed"] * 3600 * hours
    angle = math.radians(hazard["heading"])
    north = latitude + np.degrees(gone * math.cos(angle) / EARTH)
    east = longitude + np.degrees(gone * math.sin(angle) / (EARTH * math.cos(math.radians(latitude))))
    times = moment + (hours * 3600).astype("timedelta64[s]")
    wind = np.full(3, hazard["wind"])
    return resilience.track(times, east, np.clip(north, -89.0, 89.0), wind=wind, name="a scenario")


def _typed(text: str) -> xr.Dataset:
    """A track from lines of time, longitude, latitude and wind [m/s]."""
    lines = [line for line in text.splitlines() if line.strip()]
    if not 2 <= len(lines) <= LONGEST_TRACK:
        raise TwinError(
            f"2 to {LONGEST_TRACK} lines of time, longitude, latitude, wind", found=f"{len(lines)}",
            hint="one fix a line, like 2019-05-03T03:00 85.7 19.6 51", where="fixes",
        )  # fmt: skip
    rows = [line.replace(",", " ").split() for line in lines]
    for number, row in enumerate(rows, 1):
        try:
            good = len(row) == 4 and all(math.isfinite(float(v)) for v in row[1:])
        except ValueError:
            good = False
        if not good:
            raise TwinError(
                "time, longitude, latitude and wind [m/s], with blanks between", found=escaped(lines[number - 1][:60]),
                hint="like 2019-05-03T03:00 85.7 19.6 51", where=f"fixes, line {number}",
            )  # fmt: skip
    columns = [np.array([float(row[i]) for row in rows]) for i in (1, 2, 3)]
    return resilience.track([row[0] for row in rows], columns[0], columns[1], wind=columns[2], name="a track as typed")


def _example(longitude: float, latitude: float) -> str:
    """A track of four fixes over the region, to be written over."""
    offsets = ((-24, -3.0, 50.0), (-12, -1.5, 52.0), (0, 0.0, 50.0), (12, 1.5, 35.0))
    start = np.datetime64(WHEN, "m")
    lines = [
        f"{start + np.timedelta64(hours, 'h')} {longitude:.2f} {latitude + up:.2f} {wind:.0f}"
        for hours, up, wind in offsets
    ]
    return "\n".join(lines)


def _nearest(twin: xr.DataTree, way: xr.Dataset) -> tuple[np.datetime64, tuple[float, float]]:
    """The hour at which a track comes nearest to the middle of the region, and where it is then."""
    times = way["time"].values.astype("M8[ns]")
    hours = np.arange(times[0], times[-1] + np.timedelta64(1, "ns"), np.timedelta64(1, "h"))
    at, known = (v.astype("int64").astype(float) for v in (hours, times))
    longitude = np.interp(at, known, np.unwrap(way["longitude"].values.astype(float), period=360.0))
    latitude = np.interp(at, known, way["latitude"].values.astype(float))
    home = middle(twin)
    across = (longitude - home[0] + 180) % 360 - 180
    away = np.hypot(across * math.cos(math.radians(home[1])), latitude - home[1])
    nearest = int(np.argmin(away))
    return hours[nearest], (float(longitude[nearest]), float(latitude[nearest]))


def _points(twin: xr.DataTree, pixels: int) -> tuple[xr.DataTree, np.ndarray, np.ndarray]:
    """A grid of points over the region as a twin of its own, row by row, so that any hazard can be asked there."""
    from twinkit.twin import assemble

    surface = twin.children["surface"].to_dataset(inherit=False)
    spans = {d: (float(surface[d].min()), float(surface[d].max())) for d in ("x", "y")}
    step = max(max(high - low for low, high in spans.values()) / pixels, 1.0)
    x, y = (np.arange(low + step / 2, max(high, low + step), step) for low, high in spans.values())
    across, up = np.meshgrid(x, y)
    names = np.array([f"p{i}" for i in range(across.size)], dtype=object)
    sites = {"x": ("site", across.ravel()), "y": ("site", up.ravel())}
    ends = {"source": ("link", names[:1]), "target": ("link", names[-1:])}
    nodes = {"sites": xr.Dataset(sites, {"site": names}), "links": xr.Dataset(ends, {"link": ["p"]})}
    whole = {**nodes, "surface": xr.Dataset(coords={d: surface[d] for d in ("y", "x")})}
    return assemble(whole, title="points", crs=twin.attrs["crs"]), y, x
