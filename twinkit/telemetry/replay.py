"""A stored period or a trace once more, in the order of its time, at any speed: into a loop, or to a broker."""

from __future__ import annotations

import math
import time as clock
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import xarray as xr

from twinkit.contract import within
from twinkit.error import TwinError
from twinkit.telemetry.connection import address
from twinkit.telemetry.message import LARGEST, topic

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

__all__ = ["Batch", "publish", "readings", "replay"]

BLOCK = 256
"""Times that are read from the disk at once."""
UNDER_WAY = 20
"""Messages that wait for the broker's acknowledgement at once, as Mosquitto's own default."""
MOST = 1000
"""Readings in a message."""


class Batch(NamedTuple):
    """The readings of one moment, as four columns.

    Attributes
    ----------
    variable, sensor : ndarray of str objects
    time : ndarray of datetime64[ns], UTC
        All the same.
    value : ndarray of float
    """

    variable: np.ndarray
    sensor: np.ndarray
    time: np.ndarray
    value: np.ndarray

    @property
    def readings(self) -> dict[str, np.ndarray]:
        """The four columns by name, as the journal takes them."""
        return self._asdict()


def readings(source: Any) -> xr.Dataset:
    """The telemetry of a source: variables on time, or on the samples of a drive test.

    Parameters
    ----------
    source : Dataset, DataTree, str or Path
        Telemetry, a twin with telemetry, a stored twin, or a file that `trace` reads.

    Returns
    -------
    Dataset

    Errors
    ------
    TwinError
        None of these, or one without readings.
    """
    if isinstance(source, str | Path):
        if Path(source).is_file():
            from twinkit.telemetry.trace import trace

            source = trace(source)
        else:
            from twinkit import store

            source = store.open(source)
    if isinstance(source, xr.DataTree):
        if "telemetry" not in source.children:
            raise TwinError(
                "a twin with telemetry",
                found=", ".join(source.children) or "an empty one",
                hint="make some: tk.telemetry.generate(twin, start=..., days=..., seed=...)",
            )
        source = source["telemetry"].to_dataset()
    if not isinstance(source, xr.Dataset) or "time" not in source.variables:
        raise TwinError(
            "telemetry, a twin, a store or a trace",
            found=f"a {type(source).__name__}" + (" without time" if isinstance(source, xr.Dataset) else ""),
            hint='twin["telemetry"].to_dataset()',
        )
    along = source["time"].dims
    kept = [n for n, v in source.data_vars.items() if v.dtype.kind in "fiu" and along and along[0] in v.dims]
    kept = [n for n in kept if source[n].ndim <= 2]
    if not kept or len(along) != 1:
        raise TwinError("readings over time", found="none", hint="numbers on time, or on time and sensor")
    return source[kept]


def replay(
    source: Any,
    *,
    speed: float,
    start: Any = None,
    end: Any = None,
    sleep: Callable[[float], None] = clock.sleep,
    now: Callable[[], float] = clock.monotonic,
) -> Iterator[Batch]:
    r"""The readings of a source, moment by moment, each when it is due.

    A moment t is due :math:`(t - t_0) / speed` after the first. Whoever is late does not wait, so that a slow reader
    falls behind for as long as it is slow and no longer.

    Parameters
    ----------
    source : Dataset, DataTree, str or Path
        As for `readings`.
    speed : float
        Seconds of the source in a second: 1 is as it was, 60 a minute a second, ``float("inf")`` without waiting.
    start, end : datetime64 or str, optional
        UTC: from `start` on, and before `end`.
    sleep, now : function
        Of the clock that is waited by.

    Yields
    ------
    Batch
        The values that are there, none that is missing. The sensor of a drive test is its trace.

    Validity
    --------
    Blocks of the source are read as they are due, so that a long one need not fit into memory.

    Errors
    ------
    TwinError
        As `readings`; a speed that is not positive; no reading in the period.

    Examples
    --------
    >>> times = np.datetime64("2026-03-02", "ns") + np.arange(3) * np.timedelta64(900, "s")
    >>> said = xr.Dataset({"load": (("time", "cell"), [[0.1], [np.nan], [0.3]])}, {"time": times, "cell": ["a"]})
    >>> [batch.value.tolist() for batch in replay(said, speed=float("inf"))]
    [[0.1], [0.3]]
    """
    if not (isinstance(speed, float | int) and speed > 0):
        raise TwinError("a speed above 0", found=repr(speed), hint='60, or float("inf")', where="speed")
    data = readings(source)
    along = str(data["time"].dims[0])
    times = data["time"].to_numpy().astype("datetime64[ns]")
    due = ~np.isnat(times)
    for bound, side in ((start, "start"), (end, "end")):
        if bound is not None:
            moment = _moment(bound, side)
            due &= times >= moment if side == "start" else times < moment
    rows = np.flatnonzero(due)
    if not len(rows):
        seen = f"{times[0]} to {times[-1]}" if len(times) else "an empty source"
        raise TwinError("readings in the period", found=seen, hint="give start and end in UTC", where="start")
    rows = rows[np.argsort(times[rows], kind="stable")]
    return _paced(data, along, times, rows, float(speed), sleep, now)


def _moment(said: Any, where: str) -> np.datetime64:
    try:
        moment = np.datetime64(said, "ns")
    except (ValueError, TypeError):
        moment = np.datetime64("NaT", "ns")
    if np.isnat(moment):
        raise TwinError("a time in UTC", found=repr(said), hint="write 2026-03-02T12:00", where=where)
    return moment


def _paced(
    data: xr.Dataset,
    along: str,
    times: np.ndarray,
    rows: np.ndarray,
    speed: float,
    sleep: Callable[[float], None],
    now: Callable[[], float],
) -> Iterator[Batch]:
    began, first = now(), times[rows[0]]
    for at in range(0, len(rows), BLOCK):
        part = rows[at : at + BLOCK]
        columns = _columns(data.isel({along: part}).compute(), along)
        moments = times[part]
        edges = np.flatnonzero(np.diff(moments, prepend=moments[:1] - np.timedelta64(1, "ns")))
        for a, b in zip(edges, np.append(edges[1:], len(part)), strict=True):
            if math.isfinite(speed):
                wait = began + float((moments[a] - first) / np.timedelta64(1, "s")) / speed - now()
                if wait > 0:
                    sleep(wait)
            batch = _batch(columns, int(a), int(b), moments[a])
            if len(batch.value):
                yield batch


def _columns(block: xr.Dataset, along: str) -> list[tuple[str, np.ndarray, np.ndarray | None]]:
    """Name, values (time, sensor) and ids of each variable; no ids where each row has its own."""
    out: list[tuple[str, np.ndarray, np.ndarray | None]] = []
    for name, array in block.data_vars.items():
        if array.ndim == 2:
            dim = next(str(d) for d in array.dims if d != along)
            ids = array[dim].to_numpy() if dim in array.coords else np.arange(array.sizes[dim])
            out.append((str(name), array.transpose(along, dim).to_numpy(), ids.astype(str).astype(object)))
        else:
            out.append((str(name), array.to_numpy()[:, None], None))
    own = block["trace"].to_numpy() if "trace" in block.coords else np.full(block.sizes[along], "trace", dtype=object)
    return [(n, v, own[:, None] if ids is None else np.broadcast_to(ids, v.shape)) for n, v, ids in out]


def _batch(columns: list[Any], a: int, b: int, moment: np.datetime64) -> Batch:
    names, ids, values = [], [], []
    for name, array, sensor in columns:
        there = ~np.isnan(array[a:b].astype(float))
        values.append(array[a:b][there].astype(float))
        ids.append(sensor[a:b][there])
        names.append(np.full(len(values[-1]), name, dtype=object))
    value = np.concatenate(values)
    return Batch(np.concatenate(names), np.concatenate(ids), np.full(len(value), moment), value)


# ---------------------------------------------------------------- to a broker


def publish(
    batches: Iterable[Batch],
    *,
    broker: str,
    region: str,
    secret: str | None = None,
    ca: str | Path | None = None,
    version: int = 5,
    most: int = MOST,
    patience: float = 60.0,
) -> int:
    """Send batches to a broker, each message at QoS 1, and wait until it has acknowledged all.

    Parameters
    ----------
    batches : iterable of Batch
        `replay`'s.
    broker : str
        ``mqtt://user@host:1883``, or ``mqtts://`` over TLS.
    region : str
        As `telemetry.region` names it; the readings go to `telemetry.topic` of it.
    secret : str, optional
        Password; `telemetry.password` finds it.
    ca : path, optional
        Certificate of the authority that vouches for the broker.
    version : {5, 3}
        MQTT 5, or 3.1.1, which is all that the embedded broker speaks.
    most : int
        Readings in a message.
    patience : float [s]
        Without an acknowledgement the broker is given up.

    Returns
    -------
    int
        Readings that the broker has acknowledged.

    Errors
    ------
    TwinError
        No such broker, a password that it refuses, a connection that was lost and does not come back; the extra
        ``live`` is missing.
    """
    import contextlib

    mqtt, dumps = _paho()
    within(most, 1, 5000, name="most", unit="readings")
    where = address(broker)
    if version not in (5, 3):
        raise TwinError("MQTT 5 or 3 (3.1.1)", found=repr(version), hint="version=3 for amqtt", where="version")
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5 if version == 5 else mqtt.MQTTv311)
    if where.user or secret is not None:
        client.username_pw_set(where.user, secret)
    if where.tls:
        client.tls_set(ca_certs=None if ca is None else str(ca))
    client.max_inflight_messages_set(UNDER_WAY)
    said: list[str] = []
    client.on_connect = lambda _c, _u, _f, code, _p: said.append(str(code)) if code.is_failure else None
    sent = 0
    waiting: list[tuple[Any, int]] = []

    def settle(left: int) -> int:
        done = 0
        while len(waiting) > left:
            info, size = waiting.pop(0)
            until = clock.monotonic() + patience
            while not info.is_published():
                if said or clock.monotonic() > until:
                    raise TwinError(
                        "a broker that acknowledges",
                        found=said[0] if said else f"none within {patience:g} s",
                        hint="check its address, user and password",
                        where=str(where),
                    )
                info.wait_for_publish(0.2)
            done += size
        return done

    try:
        client.connect(where.host, where.port)
    except (OSError, ValueError) as fault:
        raise TwinError(
            "a broker that answers", found=str(fault)[:120] or type(fault).__name__, hint="is it running?",
            where=str(where),
        ) from None  # fmt: skip
    client.loop_start()
    try:
        for batch in batches:
            for payload, size in _payloads(batch, most, dumps):
                waiting.append((client.publish(topic(region), payload, qos=1), size))
                sent += settle(4 * UNDER_WAY)
        sent += settle(0)
    finally:
        with contextlib.suppress(OSError):
            client.disconnect()
        client.loop_stop()
    return sent


def _paho() -> tuple[Any, Callable[[Any], bytes]]:
    try:
        import orjson
        from paho.mqtt import client as mqtt
    except ImportError:
        raise TwinError(
            "paho-mqtt and orjson, which speak to brokers", found="not both installed",
            hint="pip install 'twinkit[live]'",
        ) from None  # fmt: skip
    return mqtt, orjson.dumps


def _payloads(batch: Batch, most: int, dumps: Callable[[Any], bytes]) -> Iterator[tuple[bytes, int]]:
    """Messages on the topic of all: one variable and moment each."""
    if not len(batch.value):
        return
    moment = np.datetime_as_string(batch.time[0].astype("datetime64[us]"), timezone="UTC")
    change = np.flatnonzero(batch.variable[1:] != batch.variable[:-1]) + 1
    for a, b in zip([0, *change], [*change, len(batch.value)], strict=True):
        for i in range(a, b, most):
            part = slice(i, min(i + most, b))
            said = {
                "variable": batch.variable[a],
                "sensor": batch.sensor[part].tolist(),
                "time": moment,
                "value": batch.value[part].tolist(),
            }
            payload = dumps(said)
            if len(payload) > LARGEST:
                raise TwinError(f"messages of {LARGEST} bytes", found=f"{len(payload)}", hint=f"most={most // 4}")
            yield payload, part.stop - part.start
