"""`twinkit live`: the ingester with its signals, its status line and its last words."""

from __future__ import annotations

import contextlib
import signal
import threading
from typing import TYPE_CHECKING, Any

from twinkit.cli._shown import called, say, shown
from twinkit.error import TwinError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["listing", "live", "write_conf"]

VERSIONS = {"5": 5, "3.1.1": 3}
EVERY = 10.0
"""Seconds between two status lines where no terminal redraws one."""


def live(
    store: Path,
    *,
    broker: str,
    region: str | None,
    password_file: Path | None,
    ca: Path | None,
    mqtt: str,
    client: str | None,
    metrics: str | None,
    every: float,
    ahead: float,
    plain: bool,
    provenance: str | None,
    behind: float,
) -> None:
    """Run an ingester until SIGINT or SIGTERM; then commit all, and say what came of it."""
    import twinkit as tk
    from twinkit.telemetry import Gate, Ingester, Subscription, address, password, session

    if mqtt not in VERSIONS:
        raise TwinError("MQTT 5 or 3.1.1", found=f"'{mqtt}'", hint="--mqtt 3.1.1", where="--mqtt")
    if not (every > 0 and ahead >= 0 and behind > 0):
        raise TwinError(
            "seconds above 0",
            found=f"--every {every:g} --ahead {ahead:g} --behind {behind:g}",
            hint="--every 10 --ahead 300 --behind 604800",
        )
    where = address(broker)
    gate = Gate(tk.open(store), region=region, ahead=ahead, behind=behind)
    said = {} if provenance is None else {"provenance": provenance}
    with tk.store.journal(store, **said) as journal:
        subscription = Subscription(
            where,
            topic=gate.subscription,
            client=client or session(store, gate.region),
            secret=password(password_file),
            ca=ca,
            version=VERSIONS[mqtt],
            largest=gate.largest,
        )
        console = _console(plain)
        ingester = Ingester(journal, gate, subscription, every=every, said=console.said)
        with _signals(ingester):
            subscription.connect()
            counted = sum(map(len, gate.sensors.values()))
            console.print(f"{store}: listening to {where} as {subscription.client}")
            console.print(f"  topics   {gate.topic}/VARIABLE/SENSOR, and {gate.topic} for batches")
            console.print(
                f"  sensors  {counted:,} pairs: " + ", ".join(f"{v} {len(s):,}" for v, s in gate.sensors.items())
            )
            with contextlib.ExitStack() as stack:
                if metrics is not None:
                    from twinkit.telemetry.metrics import endpoint

                    console.print(f"  metrics  {stack.enter_context(endpoint(ingester, metrics))}")
                console.print("  stop with Ctrl-C: what came is committed first")
                stack.enter_context(console.watching(ingester))
                ingester.run()
        for text in _summary(ingester, journal, store):
            console.print(text)


def _summary(ingester: Any, journal: Any, store: Path) -> Iterator[str]:
    pending = journal.status().pending
    yield (
        f"{ingester.messages:,} messages: {ingester.new:,} new readings, {ingester.corrected:,} corrected, "
        f"{ingester.duplicate:,} duplicate; {ingester.rejected:,} messages rejected; {ingester.commits:,} commits"
    )
    if pending:
        why = ingester.trouble.get("commit", "a commit that did not come about")
        yield f"{pending:,} readings stay in the journal ({why}): the next 'twinkit live' commits them"
    if ingester.subscription.forgotten:
        yield (
            f"{ingester.subscription.forgotten} times the broker had forgotten our session: what was sent while we "
            "were away is lost; see persistence in docs/live.md"
        )
    if ingester.rejected:
        yield f"Why they were rejected: {called()} live {store} --rejected"


@contextlib.contextmanager
def _signals(ingester: Any) -> Iterator[None]:
    """The first SIGINT or SIGTERM ends the reading; a second one the process, as ever."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before: dict[int, Any] = {}

    def end(number: int, _frame: Any) -> None:
        signal.signal(number, before[number])
        ingester.stop()

    for number in (int(signal.SIGINT), int(signal.SIGTERM)):
        before[number] = signal.signal(number, end)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _console(plain: bool) -> Any:
    from rich.console import Console

    console = Console(stderr=False)
    return _Terminal(console) if console.is_terminal and not plain else _Lines()


class _Lines:
    """Plain lines, for a log."""

    def print(self, text: str) -> None:
        say(text)

    def said(self, text: str) -> None:
        say(text, err=True)

    @contextlib.contextmanager
    def watching(self, ingester: Any) -> Iterator[None]:
        with _ticking(lambda text: say(text), ingester, EVERY):
            yield


class _Terminal:
    """One line that is redrawn, below what is said."""

    def __init__(self, console: Any) -> None:
        self.console = console

    def print(self, text: str) -> None:
        self.console.print(shown(text), markup=False, highlight=False, soft_wrap=True)

    def said(self, text: str) -> None:
        from rich.text import Text

        self.console.print(
            Text(shown(text), style="green" if text.endswith("well again") else "yellow"), soft_wrap=True
        )

    @contextlib.contextmanager
    def watching(self, ingester: Any) -> Iterator[None]:
        with (
            self.console.status("connected", spinner="dots") as status,
            _ticking(lambda text: status.update(_text(text)), ingester, 0.5),
        ):
            yield


def _text(text: str) -> Any:
    from rich.text import Text

    return Text(shown(text, line=True))


@contextlib.contextmanager
def _ticking(show: Any, ingester: Any, every: float) -> Iterator[None]:
    from twinkit.telemetry.metrics import Gauge, line

    gauge, over = Gauge(ingester), threading.Event()

    def tick() -> None:
        gauge.rates()
        while not over.wait(every):
            show(line(ingester, gauge.rates()))

    thread = threading.Thread(target=tick, name="twinkit-status", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def listing(store: Path, *, most: int = 50) -> str:
    """The dead letters of a store: how many for each reason, and the newest of them."""
    import twinkit as tk
    from twinkit.store.chest import kind

    table = tk.store.rejected(store)
    if not len(table):
        return "no message was rejected"
    kinds = table["reason"].map(kind).value_counts()
    counted = "1 rejected message is" if len(table) == 1 else f"{len(table):,} rejected messages are"
    lines = [f"{counted} kept:", ""]
    lines += [f"  {count:8,}  {shown(reason, line=True)}" for reason, count in kinds.head(20).items()]
    shown_rows = table.tail(most)
    lines += ["", f"The newest {len(shown_rows):,}:"]
    for row in shown_rows.itertuples():
        start = bytes(row.payload[:120]).decode("utf-8", "backslashreplace")
        more = "..." if len(row.payload) > 120 else ""
        lines += [
            f"  {row.received:%Y-%m-%dT%H:%M:%SZ}  {shown(row.topic, line=True)}",
            f"      {shown(row.reason, line=True)}",
            f"      {shown(start, line=True)}{more}",
        ]
    return "\n".join(lines)


def write_conf(path: Path) -> str:
    """Write Mosquitto's settings, and say how it is started with them."""
    from twinkit.telemetry import mosquitto

    return f"{mosquitto(path)}: the settings that lose nothing. Type next: mosquitto -c {path}"
