"""The live demo: broker, sensors, ingester, estimate and alarm of one town, with a fault that nobody is told of."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from twinkit.cli._places import region_of, store_name
from twinkit.error import TwinError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

__all__ = ["FAULTS", "Live", "live"]

DAYS, PERIOD = 3, 900
WATCHED = 12
"""Cells whose load is sent and estimated: few enough for an ensemble of a hundred without a taper."""
MEMBERS = 100
NOISE = 0.04
"""[1] Of a reading of load."""
SIZE = 0.25
"""[1] What a biased sensor reads too much: the estimate follows each sensor so closely that less passes for load."""
BROKEN = 36
"""[h] After the first reading the fault begins: on Tuesday at noon."""
SECONDS = 22.0
"""[s] In which the three days are sent."""
FAULTS = {"bias": "sensor biased", "stuck": "sensor stale", "gap": "sensor stale", "none": ""}
"""Faults that can be put in, and the name under which the alarm should raise each; with none it should be still."""
OURS = "twinkit demo --live"
GENERATED = "generated: sensors of twinkit demo --live"
"""Attribute of a store that the demo made, and may therefore make anew."""


@dataclass
class Live:
    """What the demo left, and what came of it."""

    store: Path
    picture: Path | None
    results: Path
    sensor: str
    fault: str
    named: bool
    """Whether the alarm named the fault and its sensor, and nothing else; without a fault, whether it was still."""
    alarms: list[dict[str, str]] = field(default_factory=list)
    hours: float = float("nan")
    """[h] of the town's time from the fault to its alarm."""
    sent: int = 0
    stored: int = 0
    rejected: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class _Town:
    """The town and what its sensors will say, which only the generator and the picture may know."""

    twin: xr.DataTree
    truth: xr.DataArray
    seen: xr.DataArray
    typical: Callable[[Any], xr.DataArray]
    sensor: str
    """Which one goes wrong; "" where none does."""
    broken: np.datetime64


def live(
    region: str,
    *,
    radius: float,
    seed: int,
    out: Path,
    fault: str = "bias",
    seconds: float | None = None,
    say: Callable[[str, str, str], None],
    **choices: Any,
) -> Live:
    """Run the whole chain for three days of a town's time, put a fault in, and see whether the alarm names it.

    Parameters
    ----------
    region : str
        As `twinkit.datasets.region` takes it, or "town" for a generated one.
    radius : float [m]
        At most 15 km are built.
    seed : int
    out : path of a folder
        For the store, live.png and live.json.
    fault : str
        One of `FAULTS`.
    seconds : float, optional
        In which the three days are sent; left out, `SECONDS`.
    say : function of (who, when, what)
        Takes one line of the timeline.
    **choices
        ``towers``, ``terrain`` as `twinkit.datasets.region` takes them.

    Returns
    -------
    Live

    Errors
    ------
    TwinError
        An unknown fault, a store of that name that is none of the demo's, the extra ``live`` missing.
    """
    import twinkit as tk

    if fault not in FAULTS:
        raise TwinError("a fault", found=f"'{fault}'", hint=f"one of {', '.join(FAULTS)}", where="--fault")
    seconds = SECONDS if seconds is None else seconds
    begun = time.perf_counter()
    town = _town(region, radius=radius, seed=seed, fault=fault, **choices)
    path = _fresh(out / f"{store_name(town.twin)}.live.twin")
    commit = tk.save(town.twin, path, message=f"{town.twin.attrs['title']}, before any reading")
    say("twin", "", f"{town.twin.attrs['title']}: {path}, head {commit.head[:12]}")
    with contextlib.ExitStack() as stack:
        url = stack.enter_context(tk.telemetry.broker())
        say("broker", "", f"{url}: embedded, on this machine alone")
        ingester, gate = stack.enter_context(_ingesting(path, url))
        count = town.seen.sizes["cell"]
        say("ingester", "", f"listens to {gate.subscription}; acknowledges what is on the disk, and not before")
        sender = stack.enter_context(_sending(town, url, gate, seconds=seconds))
        say("sensors", "", f"{count} cells, a message every quarter of an hour; {DAYS} days in {seconds:.0f} s")
        watch = _Watch(town, seed=seed, say=say)
        while not watch.done:
            watch.look(tk.open(path))
            if sender.fault:
                raise sender.fault
            if time.perf_counter() - begun > 20 * seconds + 120:
                raise TwinError(
                    f"{town.seen.sizes['time']} quarters of an hour in the store",
                    found=f"{watch.cycles}; {'; '.join(ingester.trouble.values()) or 'no trouble is known'}",
                    hint="run it again when the machine is less busy",
                )
            if not watch.done:
                time.sleep(0.4)
    done = _told(watch, path, out, fault=fault, ingester=ingester, sent=sender.sent)
    verified = tk.verify(path)
    say(
        "store",
        "",
        f"{done.stored:,} of {done.sent:,} readings, each once; {ingester.messages:,} messages acknowledged, "
        f"{done.rejected} refused; {'nothing altered, nothing missing' if verified else verified.faults[0]}",
    )
    done.seconds = time.perf_counter() - begun
    _kept(done, watch)
    return done


# ---------------------------------------------------------------- the town


def _town(region: str, *, radius: float, seed: int, fault: str, **choices: Any) -> _Town:
    import twinkit as tk
    from twinkit.telemetry.generate import Fault, generate, peak_load, spoil

    if region == "town":
        twin = tk.datasets.town(sites=24, seed=seed)
    else:
        twin = region_of(region, radius=min(radius, 15e3), seed=seed, **choices)
    twin = tk.extend(twin)
    twin.attrs["made_by"] = OURS
    known = twin.attrs.get("sources")
    twin.attrs["sources"] = f"{known}; " * bool(known) + f"telemetry: generated sensors of {OURS}"
    peak = peak_load(twin)
    # cells that are neither idle nor full at the rush: there a load says something
    order = np.argsort(np.abs(peak.to_numpy() - 0.6), kind="stable")[:WATCHED]
    names = [str(c) for c in peak["cell"].to_numpy()[np.sort(order)]]
    hours = float(np.round(twin["sites/longitude"].mean() / 7.5) / 2) if "longitude" in twin["sites"] else 0.0
    start = _monday()
    said = generate(twin, start=start, days=DAYS, seed=seed, hours=hours)
    truth = said["load"].sel(cell=names).rename("load")
    rng = np.random.default_rng((seed, 0x11FE))
    sensor = str(rng.choice(names))
    read = (truth + NOISE * rng.standard_normal(truth.shape)).rename("load")
    broken = start + np.timedelta64(BROKEN, "h")
    wrong = [Fault(fault, sensor, broken, start + np.timedelta64(DAYS, "D"), size=SIZE)]
    seen = spoil(read.to_dataset(), [] if fault == "none" else wrong)["load"].clip(0, 1)
    sensor = "" if fault == "none" else sensor
    return _Town(twin, truth, seen, tk.network.demand(peak.sel(cell=names), hours=hours), sensor, broken)


def _monday() -> np.datetime64:
    """The start of the last week that is over: sensors do not speak of tomorrow, and each Monday is like the others."""
    days = (np.datetime64("now", "D") - np.datetime64("2024-01-01", "D")).astype(int)
    return np.datetime64("2024-01-01", "ns") + np.timedelta64(int(days) // 7 * 7 - 7, "D")


def _fresh(path: Path) -> Path:
    """The path of the store, which is taken away if an earlier demo made it."""
    import twinkit as tk

    if path.exists():
        ours = False
        with contextlib.suppress(TwinError):
            ours = tk.open(path).attrs.get("made_by") == OURS
        if not ours:
            raise TwinError(
                "a new store, or one that an earlier live demo made",
                found="something else under this name",
                hint="choose --out",
                where=str(path),
            )
        shutil.rmtree(path)
    return path


# ---------------------------------------------------------------- what runs beside


@contextlib.contextmanager
def _ingesting(path: Path, url: str) -> Iterator[tuple[Any, Any]]:
    """The ingester of `twinkit live`, in a thread for as long as the block lasts; then all that came is committed."""
    import twinkit as tk
    from twinkit.telemetry import Gate, Ingester, Subscription, address, session

    gate = Gate(tk.open(path))
    with tk.store.journal(path, provenance=GENERATED) as journal:
        client = session(path, gate.region)
        subscription = Subscription(address(url), topic=gate.subscription, client=client, version=3)
        ingester = Ingester(journal, gate, subscription, every=5.0)
        subscription.connect()
        thread = threading.Thread(target=ingester.run, name="twinkit-ingester", daemon=True)
        thread.start()
        try:
            yield ingester, gate
        finally:
            ingester.stop()
            thread.join(60)


class _Sender(threading.Thread):
    """The sensors: one message a quarter of an hour, and one that is wrong."""

    def __init__(self, town: _Town, url: str, gate: Any, *, seconds: float) -> None:
        super().__init__(name="twinkit-sensors", daemon=True)
        self.town, self.gate = town, gate
        self.host, _, port = url.removeprefix("mqtt://").partition(":")
        self.port = int(port)
        self.pause = seconds / town.seen.sizes["time"]
        self.sent = 0
        self.fault: BaseException | None = None
        self.over = threading.Event()

    def run(self) -> None:
        try:
            self._speak()
        except BaseException as fault:  # noqa: BLE001 - told where the demo waits for it
            self.fault = fault

    def _speak(self) -> None:
        from paho.mqtt import client as paho

        from twinkit.telemetry import topic

        sender = paho.Client(paho.CallbackAPIVersion.VERSION2, "twinkit-sensors", protocol=paho.MQTTv311)
        sender.max_inflight_messages_set(200)
        sender.connect(self.host, self.port)
        sender.loop_start()
        try:
            seen = self.town.seen
            names = seen["cell"].to_numpy().tolist()
            # a counter that speaks in percent: the message is refused, kept with the reason, and nothing else stops
            slip = {"time": f"{seen['time'].to_numpy()[0]}Z", "value": 57}
            last = sender.publish(topic(self.gate.region, "load", names[0]), json.dumps(slip), qos=1)
            for moment, row in zip(seen["time"].to_numpy(), seen.to_numpy(), strict=True):
                if self.over.wait(self.pause):
                    return
                heard = np.isfinite(row)
                who = [n for n, h in zip(names, heard, strict=True) if h]
                said = {"variable": "load", "sensor": who, "time": f"{moment}Z"}
                body = json.dumps(said | {"value": np.round(row[heard], 4).tolist()})
                last = sender.publish(topic(self.gate.region), body, qos=1)
                self.sent += len(who)
            last.wait_for_publish(30)
        finally:
            sender.disconnect()
            sender.loop_stop()


@contextlib.contextmanager
def _sending(town: _Town, url: str, gate: Any, *, seconds: float) -> Iterator[_Sender]:
    sender = _Sender(town, url, gate, seconds=seconds)
    sender.start()
    try:
        yield sender
    finally:
        sender.over.set()
        sender.join(60)


# ---------------------------------------------------------------- who watches


class _Watch:
    """The estimate beside the store: each look takes what came since the last one, and asks the alarm."""

    def __init__(self, town: _Town, *, seed: int, say: Callable[[str, str, str], None]) -> None:
        from twinkit import assimilate

        self.town, self.seed, self.say = town, seed, say
        first = town.seen["time"].to_numpy()[0] - np.timedelta64(PERIOD, "s")
        middle = town.typical(first).to_dataset(name="load").assign_coords(time=first)
        self.state = assimilate.ensemble(middle, members=MEMBERS, spread=0.1, seed=seed)
        self.method = assimilate.square_root(inflation=1.02)
        self.records: list[xr.Dataset] = []
        self.until = first
        self.known: set[tuple[str, str]] = set()
        self.told = first
        self.broken = False

    @property
    def cycles(self) -> int:
        return sum(r.sizes["time"] for r in self.records)

    @property
    def done(self) -> bool:
        return bool(self.until >= self.town.seen["time"].to_numpy()[-1])

    @property
    def record(self) -> xr.Dataset:
        return xr.concat(self.records, "time", data_vars="minimal", coords="minimal", compat="override")

    def look(self, twin: xr.DataTree) -> None:
        """Take in what is new in the store, and tell what is to be told."""
        from twinkit import assimilate, network

        if "telemetry" not in twin.children or "load" not in twin["telemetry"]:
            return
        load = twin["telemetry/load"]
        new = load.isel(time=np.flatnonzero(load["time"].to_numpy() > self.until))
        if not new.sizes["time"]:
            return
        new = new.sel(cell=self.town.seen["cell"]).transpose("time", "cell").compute().reset_coords(drop=True)
        made, self.state = assimilate.estimate(
            self.state, network.step, new, noise=NOISE, forcing=self.town.typical, seed=self.seed, method=self.method
        )
        self.records.append(made)
        self.until = new["time"].to_numpy()[-1]
        self._tell(assimilate.alarm(self.record))

    def _tell(self, found: xr.Dataset) -> None:
        town = self.town
        if town.sensor and not self.broken and self.until >= town.broken:
            self.broken = True
            self.say("fault", _clock(town.broken), f"{town.sensor} goes wrong now; neither ingester nor filter is told")
        for row in _rows(found):
            if (row["fault"], row["sensor"]) not in self.known:
                self.known.add((row["fault"], row["sensor"]))
                who = f" {row['sensor']}" if row["sensor"] else ""
                since = _clock(np.datetime64(row["since"]))
                self.say(
                    "ALARM",
                    _clock(np.datetime64(row["raised"])),
                    f"{row['fault']}:{who}, since {since}: {row['evidence']}",
                )
        if self.until - self.told >= np.timedelta64(8, "h"):
            self.told = self.until
            record = self.record
            last = record.isel(time=slice(-32, None))
            truth = town.truth.sel(time=last["time"], cell=last["cell"])
            off = float(np.sqrt(((last["load"] - truth) ** 2).mean()))
            doubt = float(last["load_spread"].mean())
            self.say(
                "estimate",
                _clock(self.until),
                f"{record.sizes['time'] * record.sizes['cell']:,} readings; doubt {doubt:.3f}, error {off:.3f}"
                f" (reading: {NOISE}); {len(self.known) or 'no'} alarm{'' if len(self.known) == 1 else 's'}",
            )


def _rows(found: xr.Dataset) -> list[dict[str, str]]:
    names = ("fault", "sensor", "since", "raised", "evidence")
    return [{n: str(found[n].values[k]) for n in names} for k in range(found.sizes["alarm"])]


def _clock(moment: Any) -> str:
    import pandas as pd

    return f"{pd.Timestamp(moment):%a %H:%M}"


# ---------------------------------------------------------------- what is left


def _told(watch: _Watch, path: Path, out: Path, *, fault: str, ingester: Any, sent: int) -> Live:
    import twinkit as tk

    town = watch.town
    held = tk.open(path)["telemetry/load"].sel(cell=town.seen["cell"])
    alarms = _rows(tk.assimilate.alarm(watch.record))
    own = [a for a in alarms if (a["fault"], a["sensor"]) == (FAULTS[fault], town.sensor)]
    own = [a for a in own if np.datetime64(a["raised"]) >= town.broken]
    late = (np.datetime64(own[0]["raised"]) - town.broken) / np.timedelta64(1, "h") if own else float("nan")
    return Live(
        store=path,
        picture=_picture(watch, out / "live.png", own),
        results=out / "live.json",
        sensor=town.sensor,
        fault=FAULTS[fault],
        named=len(alarms) == len(own) == bool(town.sensor),
        alarms=alarms,
        hours=float(late),
        sent=sent,
        stored=int(np.isfinite(held.to_numpy()).sum()),
        rejected=ingester.rejected,
    )


def _kept(done: Live, watch: _Watch) -> None:
    from twinkit.study._run import kept

    record, truth = watch.record, watch.town.truth
    record = record.sel(cell=record["cell"] != done.sensor)
    off = record["load"] - truth.sel(time=record["time"], cell=record["cell"])
    inside = float((abs(off) < 2 * record["load_spread"]).mean())
    said = {
        "store": done.store.name,
        "fault": done.fault,
        "sensor": done.sensor,
        "named": done.named,
        "hours_to_alarm": done.hours if np.isfinite(done.hours) else None,
        "alarms": done.alarms,
        "sent": done.sent,
        "stored": done.stored,
        "rejected": done.rejected,
        "rmse_of_honest_cells": float(np.sqrt((off**2).mean())),
        "inside_two_spreads": inside,
        "seconds": round(done.seconds, 1),
    }
    kept(done.results, json.dumps(said, indent=1, ensure_ascii=False) + "\n")


def _picture(watch: _Watch, path: Path, own: list[dict[str, str]]) -> Path | None:
    """Estimate with its band, truth and readings of the sensor at fault and of an honest one, and when it was named."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return None  # without the extra 'view' the timeline tells it alone
    from twinkit import view

    town, record = watch.town, watch.record
    start = record["time"].to_numpy()[0]

    def passed(moment: Any) -> float:
        return float((np.datetime64(moment) - start) / np.timedelta64(1, "h"))

    hours = (record["time"].to_numpy() - start) / np.timedelta64(1, "h")
    honest = next(str(c) for c in record["cell"].to_numpy() if str(c) != town.sensor)
    figure = Figure(figsize=(10, 6), layout="constrained")
    highest = 1.1 * float(record["observed"].max())
    first = town.sensor or str(record["cell"].to_numpy()[-1])
    for axes, cell in zip(figure.subplots(2, 1, sharex=True), (first, honest), strict=True):
        middle, doubt = (record[n].sel(cell=cell).to_numpy() for n in ("load", "load_spread"))
        axes.fill_between(hours, middle - 2 * doubt, middle + 2 * doubt, color="#0072B2", alpha=0.25, lw=0)
        axes.plot(hours, middle, color="#0072B2", label="estimate, with two spreads to each side")
        axes.plot(hours, town.truth.sel(cell=cell), color="black", lw=0.9, label="truth, which the filter never sees")
        axes.plot(hours, record["observed"].sel(sensor=cell), ".", ms=3, color="#D55E00", label="readings in the store")
        axes.set(ylabel="load", ylim=(0, highest), xlim=(0, hours[-1]))
        axes.set_title(f"cell {cell}" + (": its sensor goes wrong" if cell == town.sensor else ": honest"), loc="left")
        if cell == town.sensor:
            axes.axvline(passed(town.broken), color="#D55E00", ls="--", label="fault begins")
            if own:
                axes.axvline(passed(own[0]["raised"]), color="black", ls=":", lw=1.5, label=f"alarm: {own[0]['fault']}")
        if cell == first:
            figure.legend(fontsize=8, ncols=3, loc="outside lower center")
    axes.set_xlabel("hours since Monday 00:00 UTC")
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=120)
    wrong = f"Its sensor goes wrong after {BROKEN} hours; " if town.sensor else ""
    told = f"the alarm comes {passed(own[0]['raised']) - passed(town.broken):.1f} hours later" if own else "no alarm"
    said = f"Load of cell {first} over three days. {wrong}{told}."
    picture = view.Figure(file.getvalue(), alt=said)
    picture.save(path)
    return path
