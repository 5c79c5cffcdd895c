"""A plan under a hazard, and two of them with the same luck: people served, critical sites, the warning's reach.

The stages of `twinkit.resilience` are asked slice by slice of the draws, so that an answer can be shown while it grows
and given up when it is no longer wanted. A finer answer begins where the coarse one ended: draw 7 of 200 is draw 7 of
10 000.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from twinkit import resilience
from twinkit.error import TwinError
from twinkit.view.dashboard.withstand_hazard import FORESEEN, Chosen, Event, Field, ring, struck
from twinkit.view.dashboard.withstand_plan import Plan, dependent, invested, rule

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "FIELDS",
    "LEVEL",
    "STEPS",
    "Answer",
    "Comparison",
    "Question",
    "Reach",
    "Scene",
    "Stopped",
    "answered",
    "compared",
    "curve",
    "difference",
    "gridded",
    "order_unsure",
    "question",
    "ranking",
    "reached",
    "scene_of",
]

STEPS = (200, 1_000, 10_000)
"""Draws of the coarse answer, of the usual one and of the fine one."""
SLICE = 250
"""Draws between two looks at whether somebody still wants to know."""
RANKED = 200
"""Draws for the order of the critical sites."""
LEVEL = 0.9
"""Of every interval."""
PERSON = 0.5
"""[people] below which a difference is nobody: it would be told as 0 and yet called more."""
DAY = 24.0
"""[h] of battery that the ranking adds to one site at a time."""
LATER = 24.0
"""[h] after landfall, at which the warning's reach is asked once more."""
FIELDS = (
    Field("days", 10.0, 1.0, 60.0, "days"),
    Field("hours", 24.0, 0.0, 1440.0, "h"),
    Field("seed", 1, 0, 2**31 - 1, whole=True),
    Field("warning", 24.0, 0.0, 240.0, "h"),
    Field("radius", 0.0, 0.0, 1000e3, "km", 1e3),
    Field("spacing", 8000.0, 1000.0, 100e3, "km", 1e3),
)


class Stopped(Exception):  # noqa: N818, somebody's wish and no error
    """Nobody wants the answer any more."""


@dataclass(frozen=True)
class Question:
    """What strikes, and how long to look.

    Attributes
    ----------
    hazard, also : Chosen
        `also` strikes besides, with luck of its own.
    spacing : float [m]
        Of the grid that is generated for a twin without one; 0 leaves such a twin without.
    days : float
        To look at, from landfall on.
    seed : int
    warning : float [h]
        Before landfall, when the alert is sent; 0 for a hazard that nobody foresees.
    radius : float [m]
        Of the alert about the hazard's place; 0 for the whole region.
    """

    hazard: Chosen
    also: Chosen | None = None
    spacing: float = 8000.0
    days: float = 10.0
    seed: int = 1
    warning: float = 24.0
    radius: float = 0.0


def question(
    hazard: Chosen, values: dict[str, Any], *, also: Chosen | None = None, generated: bool = True
) -> tuple[Question, float]:
    """A question whose numbers are within their limits, and the hours after landfall that are asked for.

    Parameters
    ----------
    hazard, also : Chosen
    values : dict of str to value
        As `FIELDS` names them, in SI.
    generated : bool
        Whether a twin without a grid gets a generated one.

    Errors
    ------
    TwinError
        A value out of its limits; hours beyond the days that are looked at.
    """
    made = {f.key: f.checked(values.get(f.key, f.default)) for f in FIELDS}
    hours = made.pop("hours")
    if hours >= 24 * made["days"]:
        raise TwinError(
            f"hours within the {made['days']:g} days that are looked at", found=f"{hours:g} h",
            hint="look at more days, or ask for an earlier hour", where="hours",
        )  # fmt: skip
    if not generated:
        made["spacing"] = 0.0
    if hazard.kind not in FORESEEN:
        made["warning"] = 0.0
    return Question(hazard, also, **made), float(hours)


# ---------------------------------------------------------------- a plan, ready to be struck


@dataclass(frozen=True)
class Scene:
    """A plan's twin with everything that its draws need."""

    twin: xr.DataTree
    question: Question
    plan: Plan
    catchment: xr.Dataset
    events: tuple[Event, ...]
    rule: Any

    @property
    def hazards(self) -> list[xr.Dataset]:
        """Of all events."""
        return [h for e in self.events for h in e.hazards]

    @property
    def moment(self) -> np.datetime64:
        """The hour of landfall."""
        return self.events[0].moment

    @property
    def members(self) -> int:
        """Storms or earthquakes that are taken in turn."""
        return max(e.members for e in self.events)

    @property
    def before(self) -> float:
        """[h] from the first hour of the hazard to landfall; negative where it begins later."""
        start = min(h["time"].values[0] for h in self.hazards)
        return float((self.moment - start) / np.timedelta64(1, "h"))

    @property
    def hours(self) -> float:
        """[h] to look, from the first hour of the hazard on."""
        return float(round(max(self.before, 0.0) + 24 * self.question.days))

    @property
    def bytes(self) -> int:
        """[byte] that the hazards hold: the twin's arrays are shared."""
        return int(sum(h.nbytes for h in self.hazards) + self.catchment.nbytes)

    def hit(self, draws: int) -> xr.Dataset:
        """What falls when; lazy."""
        first, *more = self.hazards
        return resilience.strike(self.twin, first, draws=draws, seed=self.question.seed, also=more)

    def mended(self, hit: xr.Dataset) -> xr.Dataset:
        """The crews at work; lazy."""
        plan = self.plan
        begins = max(self.before + plan.begins, 0.0)
        return resilience.recovery(hit, crews=plan.crews, grid_crews=plan.grid_crews, begins=begins, rule=self.rule)


def scene_of(twin: xr.DataTree, question: Question, plan: Plan, *, catchment: xr.Dataset | None = None) -> Scene:
    """A plan on its branch's twin, under a hazard.

    Parameters
    ----------
    twin : DataTree
        Of the plan's branch, in memory.
    question : Question
    plan : Plan
    catchment : Dataset, optional
        Of the branch: nothing that a plan buys changes it.

    Errors
    ------
    TwinError
        What the stages refuse.
    """
    made = gridded(invested(twin, plan), question.spacing)
    groups = resilience.catchment(made) if catchment is None else catchment
    asked = [question.hazard, *([question.also] if question.also else [])]
    events = tuple(struck(made, one, seed=question.seed) for one in asked)
    return Scene(made, question, plan, groups, events, rule(plan, made, catchment=groups))


def gridded(twin: xr.DataTree, spacing: float) -> xr.DataTree:
    """The twin with a generated grid where it has none and `spacing` [m] is above 0."""
    if spacing > 0 and "feeders" not in twin.children:
        return resilience.electrified(twin, spacing=spacing)
    return twin


# ---------------------------------------------------------------- what is found


@dataclass(frozen=True)
class Answer:
    """People served in every draw of one plan under one hazard.

    Attributes
    ----------
    people_served : DataArray (draw, time) [people]
    people_hours_lost : DataArray (draw) [people h]
    hours_dark : DataArray (draw, site) [h]
    people_before : float
        Who has service with nothing broken.
    moment : datetime64
        Of landfall.
    members : int
    misses : bool
        Nothing has a chance to fail.
    generated, assumptions : str
        Layers that nobody measured, and what the stages assume.
    """

    people_served: xr.DataArray
    people_hours_lost: xr.DataArray
    hours_dark: xr.DataArray
    people_before: float
    moment: np.datetime64
    members: int
    misses: bool = False
    generated: str = ""
    assumptions: str = ""

    @property
    def draws(self) -> int:
        """How many there are."""
        return int(self.people_served.sizes["draw"])

    @property
    def bytes(self) -> int:
        """[byte] that the draws hold."""
        return int(self.people_served.nbytes + self.hours_dark.nbytes + self.people_hours_lost.nbytes)

    def first(self, draws: int) -> Answer:
        """The same answer from its first draws alone."""
        some = slice(0, draws)
        parts = {n: getattr(self, n).isel(draw=some) for n in ("people_served", "people_hours_lost", "hours_dark")}
        return dataclasses.replace(self, **parts)


def answered(
    scene: Scene,
    *,
    draws: int,
    begun: Answer | None = None,
    stop: Callable[[], bool] | None = None,
    report: Callable[[int, int], None] | None = None,
) -> Answer:
    """Strike, repair and count, a slice of the draws at a time.

    Parameters
    ----------
    scene : Scene
    draws : int
    begun : Answer, optional
        Of the same scene with fewer draws, to go on from.
    stop : function of nothing, optional
        True when nobody wants to know any more.
    report : function(done, draws), optional

    Returns
    -------
    Answer

    Errors
    ------
    Stopped
        `stop` said so.
    """
    hit = scene.hit(draws)
    parts: list[xr.Dataset] = []
    at = 0 if begun is None else begun.draws
    while at < draws:
        if stop is not None and stop():
            raise Stopped
        some = hit.isel(draw=slice(at, min(at + SLICE, draws)))
        out = resilience.served(scene.twin, scene.mended(some), catchment=scene.catchment, hours=scene.hours).compute(
            scheduler="synchronous"
        )
        # heads are whole numbers or sums of them that 32 bits hold: half the memory for ten thousand draws
        parts.append(out.assign({n: out[n].astype(np.float32) for n in ("people_served", "hours_dark")}))
        at = min(at + SLICE, draws)
        if report is not None:
            report(at, draws)
    if begun is not None and not parts:
        return begun.first(draws)
    names = ("people_served", "people_hours_lost", "hours_dark")
    joined = {
        n: xr.concat([*([] if begun is None else [getattr(begun, n)]), *(p[n] for p in parts)], "draw") for n in names
    }
    last = parts[-1]
    first = scene.hazards[0]
    said = [str(hit["fails_at"].attrs.get("assumptions", "")), *(str(h.attrs.get("hazard", "")) for h in scene.hazards)]
    said += [
        str(first["failure"].attrs.get("assumptions", "")),
        str(last["people_served"].attrs.get("assumptions", "")),
    ]
    return Answer(
        **joined,
        people_before=float(last.attrs["people_before"]),
        moment=scene.moment,
        members=scene.members,
        misses=hit.attrs.get("misses") == "true",
        generated=str(last.attrs.get("generated", "")),
        assumptions="; ".join(dict.fromkeys(s for s in said if s)),
    )


def curve(answer: Answer) -> xr.Dataset:
    """People served over time: expected with its interval, and between which single events fall (time)."""
    return resilience.interval(answer.people_served.astype(float), level=LEVEL, members=answer.members)


def difference(first: Answer, second: Answer) -> xr.Dataset:
    """People served more by the second plan, draw by draw on the same luck, over time: as `curve`."""
    a, b = paired(first, second)
    return resilience.interval(b - a, level=LEVEL, members=first.members)


def paired(first: Answer, second: Answer) -> tuple[xr.DataArray, xr.DataArray]:
    """People served by both plans, on the draws and hours that both have."""
    a, b = (x.people_served.astype(float) for x in (first, second))
    both = xr.align(a, b, join="inner")
    if min(both[0].sizes.values()) == 0:
        raise TwinError(
            "two answers to one question", found="no hour or draw in common", hint="ask both again", where="plans"
        )
    return both[0], both[1]


@dataclass(frozen=True)
class Comparison:
    """What is said of two plans at one hour after landfall; the second is compared with the first.

    Attributes
    ----------
    hours : float
    draws, members : int
    first, second : tuple of float
        People served: expected, and between which nine of ten single events fall.
    more, low, high : float
        People served more by the second, in the mean over draws, and the interval of that mean.
    single_low, single_high : float
        Between which the difference of nine of ten single events falls.
    better, worse : float [1]
        Shares of draws in which the second serves more people, and fewer: at least half a person.
    hours_more, hours_low, hours_high : float [people h]
        Fewer people-hours lost with the second over all days looked at.
    """

    hours: float
    draws: int
    members: int
    first: tuple[float, float, float]
    second: tuple[float, float, float]
    more: float
    low: float
    high: float
    single_low: float
    single_high: float
    better: float
    worse: float
    hours_more: float
    hours_low: float
    hours_high: float

    @property
    def verdict(self) -> str:
        """same, more, fewer or unsure: what the interval of the mean allows to say."""
        if max(abs(self.more), abs(self.low), abs(self.high)) < PERSON:
            return "same"
        return "more" if self.low > 0 else "fewer" if self.high < 0 else "unsure"


def compared(first: Answer, second: Answer, *, hours: float) -> Comparison:
    """Two plans at one hour after landfall, on the same luck.

    Parameters
    ----------
    first, second : Answer
        Of one question.
    hours : float [h]
        After landfall.

    Returns
    -------
    Comparison

    Errors
    ------
    TwinError
        An hour that was not looked at.
    """
    a, b = paired(first, second)
    when = first.moment + np.timedelta64(round(hours * 60), "m")
    times = a["time"].values
    if when > times[-1] + np.timedelta64(1, "h"):
        raise TwinError("an hour that was looked at", found=f"{hours:g} h", hint="look at more days", where="hours")
    # before the first hour nothing is broken
    at = int(np.clip(np.searchsorted(times, when, side="right") - 1, 0, len(times) - 1))
    one, two = a.isel(time=at, drop=True), b.isel(time=at, drop=True)
    found = resilience.interval(two - one, level=LEVEL, members=first.members)
    draws = one.sizes["draw"]
    lost = first.people_hours_lost[:draws] - second.people_hours_lost[:draws]
    hours_found = resilience.interval(lost, level=LEVEL, members=first.members)
    ends = [resilience.interval(x, level=LEVEL, members=first.members) for x in (one, two)]
    spans = [tuple(float(e[n]) for n in ("expected", "low", "high")) for e in ends]
    gap = (two - one).values
    return Comparison(
        hours=float(hours),
        draws=draws,
        members=first.members,
        first=spans[0],  # type: ignore[arg-type]
        second=spans[1],  # type: ignore[arg-type]
        more=float(found.expected),
        low=float(found.expected_low),
        high=float(found.expected_high),
        single_low=float(found.low),
        single_high=float(found.high),
        better=float((gap >= PERSON).mean()),
        worse=float((gap <= -PERSON).mean()),
        hours_more=float(hours_found.expected),
        hours_low=float(hours_found.expected_low),
        hours_high=float(hours_found.expected_high),
    )


def ranking(
    scene: Scene, *, draws: int = RANKED, count: int = 10, stop: Callable[[], bool] | None = None
) -> xr.Dataset:
    """What saves most people-hours at one site, the most first: that it cannot fail, or a day more of battery.

    Parameters
    ----------
    scene : Scene
    draws : int
    count : int
    stop : function of nothing, optional

    Returns
    -------
    Dataset (asset)
        What `resilience.critical` gives, without what saves nothing, with ``site``, ``battery`` (whether it is one) and
        ``unsure``: this one and the next could change places.
    """

    def crews(hit: xr.Dataset) -> xr.Dataset:
        if stop is not None and stop():
            raise Stopped
        return scene.mended(hit)

    hit = scene.hit(draws).compute(scheduler="synchronous")
    found = resilience.critical(
        scene.twin,
        hit,
        catchment=scene.catchment,
        hours=scene.hours,
        step=3.0 if scene.hours > 120 else 1.0,
        crews=crews,
        candidates=_looked_at(scene, hit, count),
        battery=DAY,
        members=scene.members,
        level=LEVEL,
    )
    found = found.isel(asset=found["people_hours_saved"].values > 0)
    ids = [str(a).partition("/") for a in found["asset"].values]
    more = {
        "unsure": ("asset", order_unsure(found)),
        "site": ("asset", np.array([i[2] for i in ids], dtype=object)),
        "battery": ("asset", np.array([i[0] == "battery" for i in ids], dtype=bool)),
    }
    return found.assign(more).isel(asset=slice(0, count))


def _looked_at(scene: Scene, hit: xr.Dataset, count: int) -> list[str]:
    """Sites that may matter: those that fail often and carry many, and those that carry many and may go dark."""
    sites = (hit["node"] == "sites").values
    names = hit["asset"].values[sites]
    share = np.isfinite(hit["fails_at"].transpose("draw", "asset").values[:, sites]).mean(axis=0)
    alone = resilience.depending(scene.twin, catchment=scene.catchment, ids=names).values
    order = np.lexsort((-share, -share * alone))
    often = [str(names[i]) for i in order[: 2 * count] if share[i] > 0]
    carry = [f"sites/{s}" for s in dependent(scene.twin, catchment=scene.catchment, count=2 * count)]
    return list(dict.fromkeys([*often, *carry]))


def order_unsure(found: xr.Dataset) -> np.ndarray:
    """For each asset of a ranking, whether its interval meets that of the next: then nobody knows which is first."""
    low, high = found["low"].values, found["high"].values
    return np.append(low[:-1] <= high[1:], False)[: len(low)]


@dataclass(frozen=True)
class Reach:
    """Whom an alert finds: people inside its area, and reached when it is sent and a day after landfall.

    Attributes
    ----------
    inside, before : float [people]
        Who lives in the area; whom a broadcast reaches with nothing broken.
    sent, later : tuple of float [people]
        Expected, and between which nine of ten single events fall.
    polygon : list of (longitude, latitude)
    draws : int
    """

    inside: float
    before: float
    sent: tuple[float, float, float]
    later: tuple[float, float, float]
    polygon: tuple[tuple[float, float], ...]
    draws: int


def reached(scene: Scene, *, draws: int) -> Reach:
    """Whom a warning reaches, before landfall and a day after it: `resilience.warning_reach`.

    Parameters
    ----------
    scene : Scene
    draws : int

    Errors
    ------
    TwinError
        An area in which nobody lives.
    """
    polygon = ring(scene.twin, scene.events[0].centre, scene.question.radius)
    surface = scene.twin.children["surface"].to_dataset(inherit=False)
    where = resilience.inside(surface, polygon, crs=str(scene.twin.attrs.get("crs", "")))
    if not float(surface["people"].where(where, 0.0).sum()) > 0:
        raise TwinError(
            "an area of the alert in which people live", found="nobody in it", where="radius",
            hint="give a larger radius, or 0 for the whole region",
        )  # fmt: skip
    mended = scene.mended(scene.hit(draws)).compute(scheduler="synchronous")
    spans = []
    for hours in (-scene.question.warning, LATER):
        when = scene.moment + np.timedelta64(round(hours * 60), "m")
        found = resilience.warning_reach(scene.twin, mended, polygon=polygon, time=when).compute(
            scheduler="synchronous"
        )
        whole = resilience.interval(found.drop_vars(("people_inside", "people_before")), members=scene.members)
        spans.append(tuple(float(whole[n]) for n in ("expected", "low", "high")))
    inside, before = float(found["people_inside"]), float(found["people_before"])
    return Reach(inside, before, spans[0], spans[1], tuple(polygon), draws)  # type: ignore[arg-type]
