"""One regression for all series: how a day differs from the usual week, learned from thousands of series at once.

Each value is the usual value of its hour of the week, and what the last hours, the last day, the last week, the other
series, a holiday and the weather say on top. The weights of these signals are estimated over all series together, let
go a little for each lead and for each series, and drawn back to the common ones where data are few. All of it is sums
of products over blocks of series; no loop runs over series.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["SIGNALS", "Calendar", "Fit", "fitted"]

MEMORY = (12, 3, 1)
"""Weeks over which the slow, the middle and the fast profile forget; each is a plain mean until it is that old."""

EAGER = 1.0
"""Weight of the newest week against each older one, while a profile is young."""

DAYS = 10
"""Days over which the profile of a kind of day forgets."""

SIGNALS = (
    "usual",
    "last weeks",
    "week ago",
    "kind of day",
    "day ago",
    "last day",
    "last week",
    "last hours",
    "all series",
    "holiday",
    "holiday as a working day",
    "holiday as the last ones",
    "after holiday",
    "one",
)
"""What the regression sees of each value; two more for each variable of the weather: of then, and of the day before."""

COMMON, LEAD, OWN = 14.0, 56.0, 14.0
"""Days of evidence with which no signal at all, the common weights, and those of the lead resist a change.

Days, because all hours and series of one day go wrong together: a holiday seen once in a thousand series was seen once.
"""

FOLDS = 5
"""Blocks of origins, each forecast by weights that have not seen it."""

BLOCK = 1_400_000
"""Values (series, origin, lead) that are worked on at once, about; it bounds the memory. The signal of all series is
that of the block: hundreds stand for thousands."""

FAR = 8.0
"""Seasonal differences, of the series' mean one, beyond which a value is a fault or an event and is drawn in."""


@dataclass(frozen=True)
class Calendar:
    """What is known of each time of history and horizon before anything is read.

    Attributes
    ----------
    slot : array (time,) of int
        Place in the week; a holiday bears the slots of the day of rest.
    weekday : array (time,) of int
        Place in the week by the calendar alone.
    kind : array (time,) of int
        Place in the day, for one of four kinds of day: of work, before the day of rest, of rest, a holiday.
    holiday, after : array (time,) of bool
        Of a holiday that is not the day of rest anyway; of the day after one.
    day, season : int
        Steps in a day and in a week.
    """

    slot: np.ndarray
    weekday: np.ndarray
    kind: np.ndarray
    holiday: np.ndarray
    after: np.ndarray
    day: int
    season: int


@dataclass(frozen=True)
class Fit:
    """The forecast of all series, and how far forecasts of the same kind were off.

    Attributes
    ----------
    point : array (lead, series)
    past : array (origin, lead, series)
        Forecasts from past origins, by weights that never saw the origin's block of days.
    residual : array (origin, lead, series)
        Truth less `past`; NaN where nothing was read.
    weight : array (lead, signal)
        Common weights, of values in the series' mean seasonal difference.
    """

    point: np.ndarray
    past: np.ndarray
    residual: np.ndarray
    weight: np.ndarray


def fitted(values: np.ndarray, calendar: Calendar, weather: np.ndarray, *, horizon: int, origins: int) -> Fit:
    """Learn from the origins of the history, one a day at the hour of the last one, and forecast from its end.

    Parameters
    ----------
    values : array (time, series)
        History; NaN where nothing was read.
    calendar : Calendar
        Of history and horizon.
    weather : array (variable, time)
        Anomalies in their own deviation, of history and horizon.
    horizon : int
        Steps ahead.
    origins : int
        Past origins to learn from, at most.

    Returns
    -------
    Fit
    """
    length, count = values.shape
    whole_days = -(-horizon // calendar.day) * calendar.day
    starts = np.arange(length - whole_days, calendar.season - 1, -calendar.day)[:origins][::-1]
    fold = np.arange(len(starts)) * min(FOLDS, len(starts)) // len(starts)
    folds, signals = int(fold[-1]) + 1, len(SIGNALS) + 2 * len(weather)
    scale = _scale(values, calendar.season)
    blocks = min(count, max(1, round(count * len(starts) * horizon / BLOCK)))
    parts = np.array_split(np.arange(count), blocks)
    gram = np.zeros((folds, horizon, signals, signals))
    active = np.zeros((folds, signals))
    moment = np.zeros((folds, horizon, signals))
    for part in parts:
        block = _block(values[:, part] / scale[part], calendar, weather, starts, horizon)
        for f in range(folds):
            some = fold == f
            x = block.signal[:, some].transpose(2, 0, 1, 3).reshape(horizon, -1, signals)
            y = block.target[:, some].transpose(2, 0, 1).reshape(horizon, -1, 1)
            gram[f] += np.matmul(x.transpose(0, 2, 1), x)
            active[f] += np.count_nonzero(x.reshape(-1, signals), axis=0)
            moment[f] += np.matmul(x.transpose(0, 2, 1), y)[..., 0]
    # what one value tells of a signal, on the days on which it says anything
    told = np.einsum("fhpp->p", gram) / np.maximum(active.sum(0), 1)
    told = np.diag(np.maximum(told, 1e-6 * told.max()) + 1e-12)
    total, pull = gram.sum(0), moment.sum(0)
    whole = _weights(total, pull, told, count)
    held = [
        _weights(total - g, pull - m, told, count) if folds > 1 else 0 * whole
        for g, m in zip(gram, moment, strict=True)
    ]
    resist = OWN * horizon * told
    point = np.empty((horizon, count))
    past = np.empty((len(starts), horizon, count), np.float32)
    residual = np.empty_like(past)
    for part in parts:
        block = _block(values[:, part] / scale[part], calendar, weather, starts, horizon)
        ahead, before = _own(block, fold, whole, held, resist)
        unit = scale[part]
        point[:, part] = (ahead + block.usual_ahead).T.astype(float) * unit
        past[:, :, part] = (before + block.usual).transpose(1, 2, 0) * unit
        for k, start in enumerate(starts):
            residual[k, :, part] = (values[start : start + horizon, part] - past[k][:, part]).T
    still = np.nanmax(values, axis=0) == np.nanmin(values, axis=0)
    if still.any():
        point[:, still] = np.nanmax(values[:, still], axis=0)
        past[:, :, still] = np.nanmax(values[:, still], axis=0)
        residual[:, :, still] = 0
    return Fit(point, past, residual, whole)


# ---------------------------------------------------------------- weights


def _weights(gram: np.ndarray, moment: np.ndarray, told: np.ndarray, count: int) -> np.ndarray:
    """Weights by lead (lead, signal): the common ones, and what each lead adds to them."""
    common = np.linalg.solve(gram.sum(0) + COMMON * len(gram) * count * told, moment.sum(0))
    left = moment - gram @ common
    return np.asarray(common + np.linalg.solve(gram + LEAD * count * told, left[..., None])[..., 0])


def _own(
    block: _Block, fold: np.ndarray, whole: np.ndarray, held: list[np.ndarray], resist: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """What is to be added to the usual value: ahead (series, lead), and at past origins (series, origin, lead)."""
    size, _, _, signals = block.signal.shape
    guess = np.zeros_like(block.target)
    grams, moments, places = [], [], []
    for f, weights in enumerate(held):
        some = np.flatnonzero(fold == f)
        x = block.signal[:, some]
        guess[:, some] = np.einsum("cdhp,hp->cdh", x, weights.astype(np.float32), optimize=True)
        left = np.where(block.seen[:, some], block.target[:, some] - guess[:, some], 0)
        x = x.reshape(size, -1, signals)
        grams.append(np.matmul(x.transpose(0, 2, 1), x).astype(float))
        moments.append(np.matmul(x.transpose(0, 2, 1), left.reshape(size, -1, 1)).astype(float))
        places.append(some)
    gram, moment = sum(grams), sum(moments)
    own = np.linalg.solve(gram + resist, moment)[..., 0]
    if len(held) > 1:
        for some, g, m in zip(places, grams, moments, strict=True):
            without = np.linalg.solve(gram - g + resist, moment - m)
            x = block.signal[:, some].reshape(size, -1, signals)
            guess[:, some] += np.matmul(x, without.astype(np.float32)).reshape(size, len(some), -1)
    weights = whole[None] + own[:, None]
    return np.einsum("chp,chp->ch", block.ahead, weights), guess


# ---------------------------------------------------------------- signals


@dataclass(frozen=True)
class _Block:
    """Signals (series, origin, lead, signal) and targets of some series, in their mean seasonal difference."""

    signal: np.ndarray
    target: np.ndarray
    seen: np.ndarray
    usual: np.ndarray
    ahead: np.ndarray
    usual_ahead: np.ndarray


def _scale(values: np.ndarray, season: int) -> np.ndarray:
    """The mean difference of each series to a season before; for one that has none, its mean, or 1."""
    with np.errstate(invalid="ignore"):
        apart = np.abs(values[season:] - values[:-season])
        many = np.isfinite(apart).sum(0)
        found = np.nansum(apart, axis=0) / np.maximum(many, 1)
        size = np.nansum(np.abs(values), axis=0) / np.maximum(np.isfinite(values).sum(0), 1)
    # a series that hardly ever moves would count its one event a thousandfold
    found = np.maximum(found, 0.02 * size)
    return np.where(found > 0, found, np.where(size > 0, size, 1.0))


def _block(values: np.ndarray, calendar: Calendar, weather: np.ndarray, starts: np.ndarray, horizon: int) -> _Block:
    length, size = values.shape
    values = values.astype(np.float32)
    day, every = calendar.day, [*starts.tolist(), length]
    profile = _Profile(size, calendar)
    apart = np.zeros((length, size), np.float32)  # of the usual value as it was known that morning
    usual = np.zeros((length, size), np.float32)
    signal = np.empty((size, len(every), horizon, len(SIGNALS) + 2 * len(weather)), np.float32)
    base = np.empty((size, len(every), horizon), np.float32)
    number = {start: k for k, start in enumerate(every)}
    for start in range(length % day, length + 1, day):
        known = slice(max(0, start - day), start)
        if start in number:
            then = np.arange(start, start + horizon)
            slow, middle, fast, kind = profile.at(then)
            off = calendar.holiday[then, None]
            working = profile.week[0, calendar.weekday[then]]
            working = np.where(np.isnan(working), slow, working)
            # the same hour of the last day that is over
            ago = then - day * (1 + (then - start) // day)
            rows = [slow, middle - slow, fast - slow, (kind - slow) * ~off, apart[ago]]
            last = _relative(apart[known], usual[known])
            week = slice(max(0, start - calendar.season), start)
            hours = max(1, day // 8)
            rows += [last * slow, _relative(apart[week], usual[week]) * slow]
            rows += [np.broadcast_to(apart[start - hours : start].mean(0), slow.shape)]
            rows += [_relative(apart[known].sum(1), usual[known].sum(1)) * slow]
            rows += [off * slow, off * (working - slow), off * (kind - slow)]
            rows += [calendar.after[then, None] * slow, np.ones_like(slow)]
            for variable in weather:
                rows += [variable[then, None] * slow, variable[ago, None] * slow]
            k = number[start]
            signal[:, k] = np.stack(rows, -1).transpose(1, 0, 2)
            base[:, k] = slow.T
        if start < length:
            now = np.arange(start, min(start + day, length))
            said, usual[now] = profile.read(now, values[now])
            # how a holiday went tells little of the next day
            apart[now] = np.where(calendar.holiday[now, None], 0, said)
    target = np.stack([values[s : s + horizon].T for s in starts], 1) - base[:, :-1]
    seen = np.isfinite(target)
    target = np.where(seen, np.clip(target, -FAR, FAR), 0)
    ahead = signal[:, -1].copy()
    signal = signal[:, :-1]
    signal *= seen[..., None]
    return _Block(signal, target, seen, base[:, :-1], ahead, base[:, -1])


def _relative(apart: np.ndarray, usual: np.ndarray) -> np.ndarray:
    """How far a time was off the usual, as a share of it."""
    over = np.maximum(np.abs(usual).sum(0), 1e-6)
    return np.clip(apart.sum(0) / over, -1, 2)


class _Profile:
    """What is usual at each slot of the week, as it becomes known day by day."""

    def __init__(self, size: int, calendar: Calendar) -> None:
        self.calendar = calendar
        self.week = np.full((len(MEMORY), calendar.season, size), np.nan, np.float32)
        self.read_before = np.zeros((calendar.season, size), np.float32)
        self.kinds = np.full((4 * calendar.day, size), np.nan, np.float32)
        self.kind_before = np.zeros((4 * calendar.day, size), np.float32)

    def at(self, then: np.ndarray) -> list[np.ndarray]:
        """The slow, the middle and the fast profile and that of the kind of day, each (lead, series)."""
        slot, kind = self.calendar.slot[then], self.calendar.kind[then]
        slow, middle, fast = self.week[:, slot]
        alike = self.kinds[kind]
        if np.isnan(slow).any():
            slow = np.where(np.isnan(slow), self._like_others(slot, kind, alike), slow)
        middle, fast, alike = (np.where(np.isnan(a), slow, a) for a in (middle, fast, alike))
        return [slow, middle, fast, alike]

    def _like_others(self, slot: np.ndarray, kind: np.ndarray, alike: np.ndarray) -> np.ndarray:
        """For slots that a series has not lived yet: its days of that kind or else its size, in the others' week."""
        slow = self.week[0]
        known = np.isfinite(slow)
        filled = np.where(known, slow, 0)
        complete = known.all(0) & (filled.sum(0) > 0)
        shape, of_kind = np.ones(len(slow), np.float32), np.ones(len(kind), np.float32)
        if complete.any():
            size = filled[:, complete].mean(0)
            shape = (filled[:, complete] / size).mean(1)
            of_kind = (self.kinds[kind][:, complete] / size).mean(1)
        own = filled.sum(0) / np.maximum((known * shape[:, None]).sum(0), 1e-6)
        ratio = np.clip(np.where(of_kind > 0, shape[slot] / np.where(of_kind > 0, of_kind, 1), 1.0), 0.1, 10)
        return np.asarray(np.where(np.isnan(alike), shape[slot][:, None] * own, alike * ratio[:, None]))

    def read(self, now: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Take a day in; how far it was off what was usual before, and what that was."""
        slot, kind = self.calendar.slot[now], self.calendar.kind[now]
        slow = self.week[0, slot]
        usual = self.at(now)[0]
        seen = np.isfinite(values)
        first = seen & ~np.isfinite(slow)
        apart = np.where(seen, np.clip(values - usual, -FAR, FAR), 0)
        drawn_in = np.where(first, values, usual + apart)
        # a holiday stands in for a day of rest until one has been lived
        part = np.where(self.calendar.holiday[now, None] & ~first, 0, 1).astype(np.float32)
        before = self.read_before[slot]
        for k, memory in enumerate(MEMORY):
            old = self.week[k, slot]
            share = part * np.maximum(EAGER / (before + EAGER), 1 / memory)
            new = np.where(first, values, old + share * (drawn_in - old))
            self.week[k, slot] = np.where(seen, new, old)
        self.read_before[slot] = before + seen * part
        before, old = self.kind_before[kind], self.kinds[kind]
        share = np.maximum(1 / (before + 1), 1 / DAYS)
        new = np.where(np.isfinite(old), old + share * (drawn_in - old), drawn_in)
        self.kinds[kind] = np.where(seen, new, old)
        self.kind_before[kind] = before + seen
        return np.where(first, 0, apart), np.where(seen, usual, 0)
