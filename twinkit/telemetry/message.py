"""What a message must be to come in: topic and payload held against the vocabulary and the twin's own sensors.

A message is on the topic of one sensor, or on the topic of all:

    twinkit/REGION/telemetry/VARIABLE/SENSOR   {"time": "2026-03-01T12:15:00Z", "value": 0.42}
    twinkit/REGION/telemetry                   {"variable": "load", "sensor": ["a", "b"], "time": 1772367300,
                                                "value": [0.42, 0.38]}

`time` is ISO 8601 (UTC where it names no offset) or seconds since 1970. Each of variable, sensor, time, value and
unit is one or a list; lists are equally long, and one stands for all. `unit` may be left out; given, it must be that of
the vocabulary. What does not fit is refused with the reason: a whole message that cannot be understood, and only the
readings at fault of one that can.
"""

from __future__ import annotations

import datetime as dt
import json
import math
import re
import time as clock
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from twinkit import vocabulary
from twinkit.error import TwinError, close_to

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import xarray as xr

__all__ = ["KEPT", "Admitted", "Gate", "Letter", "region", "sensors", "topic"]

KEPT = 1024
"""Bytes of a refused payload that its dead letter keeps."""

LARGEST = 2**18
"""Bytes of the largest payload that is looked into: a batch of some 5 000 readings."""

EARLIEST = dt.datetime(2000, 1, 1, tzinfo=dt.UTC).timestamp()
"""A clock that says an earlier time was never set [s since 1970]."""

KEYS = frozenset({"variable", "sensor", "time", "value", "unit"})
NUMBERS = frozenset({int, float})
MOMENTS = frozenset({int, float, str})
NOWHERE = -1  # the pair of a reading whose variable or sensor nobody knows


class Letter(NamedTuple):
    """A dead letter: what was refused, and why.

    Attributes
    ----------
    topic : str
    payload : bytes
        Its first `KEPT` bytes.
    reason : str
    """

    topic: str
    payload: bytes
    reason: str


class Admitted(NamedTuple):
    """What a batch of messages comes to: readings as four columns, and dead letters.

    Attributes
    ----------
    variable, sensor : ndarray of str objects
    time : ndarray of datetime64[ns], UTC
    value : ndarray of float
        In the unit of the vocabulary.
    letters : list of Letter
    """

    variable: np.ndarray
    sensor: np.ndarray
    time: np.ndarray
    value: np.ndarray
    letters: list[Letter]

    @property
    def readings(self) -> dict[str, np.ndarray]:
        """The four columns by name, as the journal takes them."""
        return {"variable": self.variable, "sensor": self.sensor, "time": self.time, "value": self.value}


class RefusedError(ValueError):
    """A message, or a reading of it, does not come in; the text says why."""


def region(twin: xr.DataTree) -> str:
    """The level of the topic that stands for the twin's place; what MQTT keeps for itself becomes a hyphen.

    Examples
    --------
    >>> import twinkit as tk
    >>> region(tk.assemble({}, title="Pont-à-Mousson / north", crs="EPSG:32632"))
    'Pont-à-Mousson - north'
    >>> region(tk.assemble({}, title="Shimla, India", crs="EPSG:32643", place="IN:Shimla"))
    'IN:Shimla'
    """
    name = str(twin.attrs.get("place") or twin.attrs.get("title") or "")
    plain = re.sub(r"[/+#\x00-\x1f\x7f-\x9f]", "-", name).strip()
    if not plain:
        raise TwinError(
            "a twin with a place or a title",
            found="neither",
            hint="name the region yourself: region='IN:Shimla'",
            where="region",
        )
    return plain


def topic(region: str, variable: str = "", sensor: str = "") -> str:
    """The topic of one sensor's readings of a variable, or that of all.

    >>> topic("IN:Shimla", "load", "s1-0"), topic("IN:Shimla")
    ('twinkit/IN:Shimla/telemetry/load/s1-0', 'twinkit/IN:Shimla/telemetry')
    """
    return "/".join(["twinkit", region, "telemetry", *([variable, sensor] if variable else [])])


def sensors(twin: xr.DataTree) -> dict[str, list[str]]:
    """What may send readings: for each variable of the vocabulary with a sampling period, the ids in the twin.

    Parameters
    ----------
    twin : DataTree

    Returns
    -------
    dict of str to list of str
        Variable to ids of cells, sites or whatever else the vocabulary lets it vary over; variables without any
        are left out.

    Examples
    --------
    >>> import twinkit as tk
    >>> ids = sensors(tk.datasets.town(sites=3, seed=1))
    >>> ids["load"][:2], "height" in ids
    (['s003a', 's003b'], False)
    """
    found: dict[str, list[str]] = {}
    for name, word in vocabulary.words().items():
        if math.isnan(word.period) or word.kind != "number":
            continue
        dims = [d for own in word.dims for d in own if d != "time"]
        ids = dict.fromkeys(i for d in dims for i in _ids(twin, d))
        if ids:
            found[name] = list(ids)
    return found


def _ids(twin: xr.DataTree, dim: str) -> list[str]:
    """The ids along a dim: those of its own node, or of whatever node has it."""
    own = [f"{dim}s"] if f"{dim}s" in twin.children else [n for n in twin.children if n != "telemetry"]
    for node in own:
        table = twin.children[node].to_dataset(inherit=False)
        if dim in table.coords and table[dim].dims == (dim,):
            return [str(i) for i in np.asarray(table[dim].values)]
    return []


class Gate:
    """Turns messages into readings, and refuses with a reason what is none of the twin's.

    Parameters
    ----------
    twin : DataTree
        Whose sensors may speak.
    region : str, optional
        The second level of the topics; left out, the twin's place.
    ahead : float [s]
        How far a sensor's clock may run ahead of ours.
    behind : float [s]
        How old a reading may be. Every new time costs a row of all sensors: with `behind`, a sensor that is not
        trusted cannot ask for a row for each quarter of an hour since 2000.
    largest : int
        Bytes of the largest payload that is looked into.
    clock : function
        Seconds since 1970; `time.time` but in tests.

    Errors
    ------
    TwinError
        A twin without anything that could send readings; a region with a character that MQTT keeps for itself.

    Examples
    --------
    >>> import twinkit as tk
    >>> gate = Gate(tk.datasets.town(sites=3, seed=1), region="town", clock=lambda: 1772370000.0)
    >>> name = gate.sensors["load"][0]
    >>> seen = gate.admit([
    ...     (topic("town", "load", name), b'{"time": "2026-03-01T12:15:00Z", "value": 0.42}'),
    ...     (topic("town", "load", name), b'{"time": "2026-03-01T12:30:00Z", "value": 42}'),
    ... ])
    >>> seen.value, seen.letters[0].reason
    (array([0.42]), 'value 42: load lies between 0 and 1')
    """

    def __init__(
        self,
        twin: xr.DataTree,
        *,
        region: str | None = None,
        ahead: float = 300.0,
        behind: float = math.inf,
        largest: int = LARGEST,
        clock: Callable[[], float] = clock.time,
    ) -> None:
        self.region = _region(twin) if region is None else region
        if not self.region or re.search(r"[/+#\x00]", self.region):
            raise TwinError(
                "a region without / + # as a level of a topic",
                found=f"'{self.region}'",
                hint="leave it out for the twin's own place",
                where="region",
            )
        self.sensors = sensors(twin)
        if not self.sensors:
            raise TwinError(
                "a twin with cells or sites that can send readings",
                found=f"none among its nodes ({', '.join(map(str, twin.children)) or 'it has none'})",
                hint="build one: tk.datasets.town(sites=24, seed=1)",
            )
        self.topic = topic(self.region)
        self.ahead, self.behind, self.largest, self.clock = float(ahead), float(behind), int(largest), clock
        self._loads = _parser()
        # every pair of a variable and a sensor has a number, so that columns are taken by number at the end
        pairs = [(v, s) for v, ids in self.sensors.items() for s in ids]
        self._pair = {v: {} for v in self.sensors}  # type: dict[str, dict[str, int]]
        for number, (variable, sensor) in enumerate(pairs):
            self._pair[variable][sensor] = number
        self._word = {v: vocabulary.word(v) for v in self.sensors}
        self._variable = np.array([v for v, _ in pairs], dtype=object)
        self._sensor = np.array([s for _, s in pairs], dtype=object)
        self._low = np.array([self._word[v].low for v, _ in pairs])
        self._high = np.array([self._word[v].high for v, _ in pairs])
        self._topics = {topic(self.region, v, s): n for n, (v, s) in enumerate(pairs)}

    @property
    def subscription(self) -> str:
        """The filter that catches all of the region's telemetry, also that which is refused."""
        return f"{self.topic}/#"

    def admit(self, messages: Sequence[tuple[str, bytes]]) -> Admitted:
        """The readings of a batch of messages, and what was refused of it.

        Parameters
        ----------
        messages : sequence of (str, bytes)
            Topic and payload.

        Returns
        -------
        Admitted
        """
        pairs: list[int] = []
        times: list[Any] = []
        values: list[Any] = []
        counts: list[int] = []
        faults: dict[int, str] = {}  # place of a reading → why it is refused, where that was seen before the numbers
        refused: dict[int, str] = {}  # place of a message → why
        for number, (name, payload) in enumerate(messages):
            if len(payload) > self.largest:
                refused[number] = f"more than {self.largest:,} bytes, the most that a message may have"
                counts.append(0)
                continue
            try:
                pair = self._topics.get(name)
                said = self._loads(payload)
                if type(said) is dict:
                    # most messages are these two: one number on its sensor's own topic, or on the topic of all
                    quotes = 4 if pair is not None and len(said) == 2 else 0
                    if len(said) == 4 and name == self.topic:
                        variable, sensor = said.get("variable"), said.get("sensor")
                        if type(variable) is str and type(sensor) is str:
                            pair = self._pair.get(variable, {}).get(sensor)
                            quotes = 0 if pair is None else 12
                    moment: Any = said.get("time")
                    value = said.get("value")
                    text = type(moment) is str
                    plain = quotes and (text or type(moment) in NUMBERS) and type(value) in NUMBERS
                    # a second key of the same name would have brought its quotes with it
                    if plain and payload.count(b'"') == quotes + 2 * text:
                        times.append(_seconds(moment) if text else moment)
                        pairs.append(pair)  # type: ignore[arg-type]
                        values.append(value)
                        counts.append(1)
                        continue
                several = self._several(name, payload, said)
            except RefusedError as fault:
                refused[number] = str(fault)
                counts.append(0)
            except (ValueError, RecursionError) as fault:
                refused[number] = _no_json(payload, fault)
                counts.append(0)
            else:
                faults.update({len(pairs) + place: reason for place, reason in several[3].items()})
                pairs += several[0]
                times += several[1]
                values += several[2]
                counts.append(len(several[0]))
        return self._columns(messages, pairs, times, values, counts, faults, refused)

    def _several(self, name: str, payload: bytes, said: Any) -> tuple[list[int], list[Any], list[Any], dict[int, str]]:
        """Pairs, times and values of any message that is not the plain one, and which of them are at fault."""
        if type(said) is not dict:
            raise RefusedError('no JSON object: a message is {"time": ..., "value": ...}')
        _once(payload, said)
        stated = self._of_topic(name)
        strange = [k for k in said if k not in KEYS or k in stated]
        if strange:
            known = sorted(KEYS - set(stated))
            raise RefusedError(f"key '{_short(strange[0])}': known here are {', '.join(known)}")
        said = {**said, **stated}
        missing = [k for k in ("variable", "sensor", "time", "value") if k not in said]
        if missing:
            raise RefusedError(f"no {missing[0]}")
        lengths = {k: len(v) for k, v in said.items() if type(v) is list}
        if len(set(lengths.values())) > 1:
            raise RefusedError("lists of unlike length: " + ", ".join(f"{n} of {k}" for k, n in lengths.items()))
        size = next(iter(lengths.values()), 1)
        if not size:
            raise RefusedError("lists without a reading")
        columns = {k: v if type(v) is list else [v] * size for k, v in said.items()}
        faults: dict[int, str] = {}
        pairs = self._pairs(said["variable"], columns, faults)
        if "unit" in columns:
            for place, (pair, unit) in enumerate(zip(pairs, columns["unit"], strict=True)):
                own = self._word[self._variable[pair]].unit if pair >= 0 else unit
                if unit != own:
                    faults.setdefault(place, f"unit '{_short(unit)}': {self._variable[pair]} is in {own}")
        return pairs, _moments(said["time"], columns["time"], faults), _numbers(columns["value"], faults), faults

    def _of_topic(self, name: str) -> dict[str, str]:
        """What the topic says itself: variable and sensor, or nothing on the topic of all."""
        if name == self.topic:
            return {}
        own, _, rest = name.partition(f"{self.topic}/")
        levels = rest.split("/", 1)
        if own or len(levels) != 2 or not all(levels):
            raise RefusedError(f"topic '{_short(name)}': {self.topic}, or {self.topic}/VARIABLE/SENSOR")
        return {"variable": levels[0], "sensor": levels[1]}

    def _pairs(self, variable: Any, columns: dict[str, list[Any]], faults: dict[int, str]) -> list[int]:
        """The number of each reading's variable and sensor; -1 and a fault where there is no such pair."""
        ids = columns["sensor"]
        if type(variable) is str and set(map(type, ids)) == {str}:
            pairs = list(map(self._pair.get(variable, {}).get, ids))
            if None not in pairs:
                return pairs  # type: ignore[return-value]
        found = []
        for place, (word, sensor) in enumerate(zip(columns["variable"], ids, strict=True)):
            known = self._pair.get(word) if type(word) is str else None
            pair = NOWHERE if known is None or type(sensor) is not str else known.get(sensor, NOWHERE)
            if pair < 0:
                faults[place] = self._unknown(word, sensor)
            found.append(pair)
        return found

    def _unknown(self, variable: Any, sensor: Any) -> str:
        known = self._pair.get(variable) if type(variable) is str else None
        if known is None:
            near = close_to(variable, self._pair) if type(variable) is str and len(variable) < 50 else ""
            return f"variable '{_short(variable)}': " + (f"near is {near}" if near else ", ".join(self._pair))
        return f"sensor '{_short(sensor)}': no such {self._kind(variable)} in this twin"

    def _kind(self, variable: str) -> str:
        return " or ".join(d for own in self._word[variable].dims for d in own if d != "time")

    def _columns(
        self,
        messages: Sequence[tuple[str, bytes]],
        pairs: list[int],
        times: list[Any],
        values: list[Any],
        counts: list[int],
        faults: dict[int, str],
        refused: dict[int, str],
    ) -> Admitted:
        """All readings of the batch held against clock and vocabulary at once."""
        pair = np.array(pairs, dtype=np.intp)
        second = np.array(times, dtype=float)
        value = np.array(values, dtype=float)
        now = self.clock()
        latest, earliest = now + self.ahead, max(EARLIEST, now - self.behind)
        good = (second >= earliest) & (second <= latest)
        if len(pair):
            # what has no pair was refused for that: the last pair's range stands in
            good &= (value >= self._low[pair]) & (value <= self._high[pair]) & np.isfinite(value)
        if faults:
            good[list(faults)] = False
        if not good.all():
            owner = np.repeat(np.arange(len(counts)), counts)
            first: dict[int, tuple[int, int]] = {}
            for place in np.flatnonzero(~good).tolist():
                own = int(owner[place])
                at, number = first.get(own, (place, 0))
                first[own] = (at, number + 1)
            starts = np.cumsum([0, *counts])
            for own, (at, number) in first.items():
                reason = faults.get(at) or self._why(pair[at], second[at], value[at], now)
                many = f"{number} of {counts[own]} readings, the first of them at place {at - starts[own]}: "
                refused[own] = reason if counts[own] == 1 else many + reason
            pair, second, value = pair[good], second[good], value[good]
        letters = [
            Letter(_short(messages[n][0], 256), bytes(messages[n][1][:KEPT]), refused[n]) for n in sorted(refused)
        ]
        moment = (np.rint(second * 1e6).astype(np.int64) * 1000).astype("datetime64[ns]")
        return Admitted(self._variable[pair], self._sensor[pair], moment, value, letters)

    def _why(self, pair: int, second: float, value: float, now: float) -> str:
        if not second <= now + self.ahead:
            # milliseconds since 2000 at least; a date of the year 9999 is less
            unit = ": seconds are asked for, are these milliseconds?" if 9e11 < second < 1e14 else ""
            return f"time {_moment(second)} lies {_span(second - now)} ahead of our clock{unit}"
        if not second >= EARLIEST:
            return f"time {_moment(second)} is before {_moment(EARLIEST)[:10]}: was the sensor's clock never set?"
        if not second >= now - self.behind:
            return f"time {_moment(second)} is {_span(now - second)} old: at most {_span(self.behind)} are taken"
        if not math.isfinite(value):
            return f"value {value}: a number is asked for"
        word = self._word[self._variable[pair]]
        unit = "" if word.unit == "1" else f" {word.unit}"
        return f"value {value:.6g}: {word.name} lies between {word.low:g} and {word.high:g}{unit}"


_region = region  # within Gate the name is that of a parameter


def _parser() -> Callable[[bytes], Any]:
    try:
        import orjson
    except ImportError:
        raise TwinError(
            "orjson, which reads messages", found="none installed", hint="pip install 'twinkit[live]'"
        ) from None
    return orjson.loads


def _once(payload: bytes, said: dict[str, Any]) -> None:
    """Refuse a key that is there twice; parsers keep one of the two and say nothing."""
    texts = len(said)
    for value in said.values():
        texts += list(map(type, value)).count(str) if type(value) is list else type(value) is str
    if payload.count(b'"') == 2 * texts:
        return

    # quotes within texts, or a key twice: only reading the pairs tells
    def pairs(found: list[tuple[str, Any]]) -> dict[str, Any]:
        once = dict(found)
        if len(once) < len(found):
            names = [k for k, _ in found]
            raise RefusedError(f"key '{_short(max(names[:1000], key=names[:1000].count))}' is there twice")
        return once

    json.loads(payload, object_pairs_hook=pairs)


def _moments(said: Any, column: list[Any], faults: dict[int, str]) -> list[float]:
    """Seconds since 1970 of each reading; NaN and a fault where that is no time."""
    if type(said) is not list:
        return [_second(said)] * len(column)
    if set(map(type, column)) <= NUMBERS:
        return column
    found = []
    for place, moment in enumerate(column):
        try:
            found.append(_second(moment))
        except RefusedError as fault:
            faults.setdefault(place, str(fault))
            found.append(math.nan)
    return found


def _second(said: Any) -> float:
    if type(said) is str:
        return _seconds(said)
    if type(said) not in NUMBERS:
        raise RefusedError(_no_moment(said))
    return said


def _seconds(text: str) -> float:
    """Seconds since 1970 of a time in ISO 8601."""
    try:
        if not 16 <= len(text) <= 40:  # a day without its hours says too little
            raise RefusedError(_no_moment(text))
        moment = dt.datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)).timestamp()
    except (ValueError, OverflowError):
        raise RefusedError(_no_moment(text)) from None


def _numbers(column: list[Any], faults: dict[int, str]) -> list[float]:
    if set(map(type, column)) <= NUMBERS:
        return column
    found = []
    for place, value in enumerate(column):
        number = type(value) in NUMBERS
        if not number:
            faults.setdefault(place, f"value {_short(json.dumps(value))}: a number is asked for")
        found.append(value if number else math.nan)
    return found


def _no_moment(said: Any) -> str:
    shown = _short(said) if type(said) is str else _short(json.dumps(said))
    return f"time '{shown}': ISO 8601 (2026-03-01T12:15:00Z) or seconds since 1970"


def _no_json(payload: bytes, fault: Exception) -> str:
    if re.search(rb"\b(NaN|-?Infinity)\b", payload[: 2 * KEPT]):
        return "NaN or Infinity, which JSON does not have: leave the reading out"
    return f"no JSON: {_short(str(fault), 120)}"


def _short(said: Any, most: int = 60) -> str:
    text = str(said)
    return text if len(text) <= most else f"{text[:most]}..."


def _moment(second: float) -> str:
    try:
        return dt.datetime.fromtimestamp(second, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return f"{second:g}"


def _span(seconds: float) -> str:
    for size, unit in ((86400 * 365.25, "years"), (86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.4g} {unit}"
    return f"{seconds:.4g} s"
