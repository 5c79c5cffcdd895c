"""How an ingester is doing: one line for people, and an endpoint for Prometheus.

The line says what a watcher asks first: how much comes in, how long it takes to be durable, how much waits for a
commit and since when, what was refused, and what is wrong.
"""

from __future__ import annotations

import contextlib
import ipaddress
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from twinkit.error import TwinError, escaped

if TYPE_CHECKING:
    from collections.abc import Iterator

    from twinkit.telemetry.ingest import Ingester

__all__ = ["Gauge", "endpoint", "line"]

EXAMPLE = "--metrics 127.0.0.1:9108"


class Gauge:
    """Rates of an ingester over the last seconds.

    Parameters
    ----------
    ingester : Ingester
    over : float [s]
    """

    def __init__(self, ingester: Ingester, *, over: float = 5.0) -> None:
        self.ingester, self.over = ingester, over
        self._past: deque[tuple[float, int, int]] = deque()

    def rates(self) -> tuple[float, float]:
        """Messages and readings a second."""
        now = (time.monotonic(), self.ingester.messages, self.ingester.readings)
        self._past.append(now)
        while len(self._past) > 2 and self._past[1][0] < now[0] - self.over:
            self._past.popleft()
        then = self._past[0]
        passed = now[0] - then[0]
        return ((now[1] - then[1]) / passed, (now[2] - then[2]) / passed) if passed else (0.0, 0.0)


def line(ingester: Ingester, rates: tuple[float, float]) -> str:
    """The status line: rate, lag, what waits for a commit, the last commit, rejects, trouble."""
    state = "connected" if ingester.subscription.connected else "not connected"
    parts = [
        state,
        f"{rates[0]:,.0f} messages/s",
        f"{rates[1]:,.0f} readings/s",
        f"lag {_seconds(ingester.lag)}",
        f"{ingester.new:,} new" + (f", {ingester.corrected:,} corrected" if ingester.corrected else ""),
        f"{ingester.duplicate:,} duplicate" if ingester.duplicate else "",
        f"{ingester.pending:,} before the next commit",
        f"last commit {_seconds(time.time() - ingester.committed)} ago" if ingester.committed else "no commit yet",
        f"{ingester.rejected:,} rejected",
        f"{ingester.held:,} waiting for the journal" if "journal" in ingester.trouble else "",
        *(f"{what.upper()}: {escaped(said)}" for what, said in sorted(ingester.trouble.items())),
    ]
    return " | ".join(p for p in parts if p)


def _seconds(value: float) -> str:
    return f"{value * 1e3:.0f} ms" if value < 1 else f"{value:.1f} s" if value < 120 else f"{value / 60:.0f} min"


class _Collector:
    """Reads the ingester's counters when Prometheus asks."""

    def __init__(self, ingester: Ingester) -> None:
        self.ingester = ingester

    def collect(self) -> Iterator[Any]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        i = self.ingester

        def counter(name: str, says: str, value: float) -> Any:
            return CounterMetricFamily(f"twinkit_{name}", says, value=value)

        def gauge(name: str, says: str, value: float) -> Any:
            return GaugeMetricFamily(f"twinkit_{name}", says, value=value)

        yield counter("messages", "Messages that are durable or were refused.", i.messages)
        readings = CounterMetricFamily(
            "twinkit_readings", "Readings that are durable, by what they were.", labels=["kind"]
        )
        for kind in ("new", "duplicate", "corrected"):
            readings.add_metric([kind], getattr(i, kind))
        yield readings
        yield counter("rejected_messages", "Messages that were refused, wholly or in part.", i.rejected)
        yield counter("acknowledged_messages", "Messages that the broker was told of.", i.acknowledged)
        yield counter("commits", "Commits to the store.", i.commits)
        yield counter("connections", "Connections to the broker.", i.subscription.connections)
        yield counter("forgotten_sessions", "Times the broker no longer knew the session.", i.subscription.forgotten)
        yield gauge("connected", "1 while the broker is connected.", float(i.subscription.connected))
        yield gauge("lag_seconds", "From a message's arrival to its acknowledgement.", i.lag)
        yield gauge("held_messages", "Messages that came and are not yet durable.", i.held)
        yield gauge("pending_readings", "Readings in the journal that are not yet in a commit.", i.pending)
        yield gauge("last_commit_timestamp_seconds", "When the last commit was made.", i.committed)
        trouble = GaugeMetricFamily("twinkit_trouble", "1 for what fails now.", labels=["what"])
        for what in ("broker", "journal", "commit"):
            trouble.add_metric([what], float(what in i.trouble))
        yield trouble


@contextlib.contextmanager
def endpoint(ingester: Ingester, where: str) -> Iterator[str]:
    """Serve the counters to Prometheus, to this machine alone.

    Parameters
    ----------
    ingester : Ingester
    where : str
        Address and port, ``127.0.0.1:9108``; port 0 takes a free one.

    Yields
    ------
    str
        The URL.

    Errors
    ------
    TwinError
        An address that others could reach: nothing here asks who they are. A port that is taken.
    """
    try:
        from prometheus_client import CollectorRegistry, start_http_server
    except ImportError:
        raise TwinError(
            "prometheus-client, which serves metrics", found="none installed", hint="pip install 'twinkit[live]'"
        ) from None
    host, port = _place(where)
    registry = CollectorRegistry()
    registry.register(_Collector(ingester))
    try:
        server, thread = start_http_server(port, addr=host, registry=registry)
    except OSError as fault:
        raise TwinError(
            "a free port for the metrics", found=fault.strerror or str(fault), hint="choose another", where=where
        ) from None
    try:
        shown = f"[{host}]" if ":" in host else host
        yield f"http://{shown}:{server.server_port}/metrics"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _place(where: str) -> tuple[str, int]:
    host, _, port = where.rpartition(":")
    host = "127.0.0.1" if host in ("", "localhost") else host.strip("[]")
    try:
        number, local = int(port), ipaddress.ip_address(host).is_loopback
    except ValueError:
        number, local = -1, False
    if not 0 <= number < 65536:
        raise TwinError("an address and a port", found=f"'{where}'", hint=EXAMPLE, where="metrics")
    if not local:
        raise TwinError(
            "an address of this machine alone, because whoever reaches the endpoint may read it",
            found=f"'{host}'",
            hint=f"{EXAMPLE}, and a proxy that knows who may ask",
            where="metrics",
        )
    return host, number
