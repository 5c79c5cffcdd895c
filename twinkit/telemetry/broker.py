"""A broker without an installation, for lessons and the demo; and the settings that Mosquitto needs for all else.

The embedded broker is amqtt: MQTT 3.1.1, in a thread of this process, on loopback. It keeps sessions in memory and
some thousand messages a second; whoever has sensors runs Mosquitto.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import getpass
import logging
import pathlib
import threading
from typing import TYPE_CHECKING, Any

from twinkit.error import TwinError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["broker", "mosquitto"]


@contextlib.contextmanager
def broker(*, port: int = 0) -> Iterator[str]:
    """An MQTT 3.1.1 broker on loopback for as long as the block lasts.

    Parameters
    ----------
    port : int
        0 takes a free one.

    Yields
    ------
    str
        Its address, for `twinkit live` with ``--mqtt 3.1.1``.

    Errors
    ------
    TwinError
        The port is taken; the extra ``live`` is missing.

    Examples
    --------
    >>> with broker() as url:
    ...     url.startswith("mqtt://127.0.0.1:")
    True
    """
    try:
        from amqtt.broker import Broker
    except ImportError:
        raise TwinError(
            "amqtt, the embedded broker", found="none installed", hint="pip install 'twinkit[live]'"
        ) from None
    loop = asyncio.new_event_loop()
    quiet = [logging.getLogger(name) for name in ("amqtt", "transitions")]
    levels = [(log, log.level) for log in quiet]
    for log in quiet:
        log.setLevel(logging.CRITICAL)  # its refusals of bad clients are no business of a notebook's reader
    thread = threading.Thread(target=_forever, args=(loop,), name="twinkit-broker", daemon=True)
    thread.start()

    def done(work: Any, patience: float = 20.0) -> Any:
        return asyncio.run_coroutine_threadsafe(work, loop).result(patience)

    async def made() -> Any:
        served = Broker(
            {
                "listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{port}"}},
                "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
            }
        )
        await served.start()
        return served

    try:
        try:
            served = done(made())
        except Exception as fault:  # noqa: BLE001 - it wraps whatever kept it from the port in errors of its own
            raise TwinError(
                "a free port for the embedded broker", found=_cause(fault), hint="port=0 takes a free one"
            ) from None
        try:
            yield f"mqtt://127.0.0.1:{_port(served)}"
        finally:
            done(served.shutdown())
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
        for log, level in levels:
            log.setLevel(level)


def _forever(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    loop.run_forever()
    left = asyncio.all_tasks(loop)
    for task in left:
        task.cancel()
    if left:
        loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
    # it leaves the connections of clients that it refused to the garbage collector, which complains;
    # by `type`, because `isinstance` asks every weak proxy for its class, and one whose object is gone raises
    for writer in [o for o in gc.get_objects() if type(o) is asyncio.StreamWriter]:
        if getattr(writer.transport, "_loop", None) is loop:
            writer.transport.abort()
    loop.run_until_complete(asyncio.sleep(0))


def _port(served: Any) -> int:
    """The port that a broker listens at; its own account of it names the one that was asked for."""
    server = next(iter(served._servers.values())).instance
    return int(server.sockets[0].getsockname()[1])


def _cause(fault: BaseException) -> str:
    while fault.__cause__ is not None or fault.__context__ is not None:
        fault = fault.__cause__ or fault.__context__  # type: ignore[assignment]
    return getattr(fault, "strerror", None) or str(fault) or type(fault).__name__


def mosquitto(
    path: str | pathlib.Path,
    *,
    port: int = 1883,
    host: str = "127.0.0.1",
    folder: str | pathlib.Path | None = None,
    passwords: str | pathlib.Path | None = None,
    certificate: str | pathlib.Path | None = None,
    key: str | pathlib.Path | None = None,
    access: str | pathlib.Path | None = None,
) -> pathlib.Path:
    """Write the settings with which Mosquitto loses nothing on its way to us.

    Its defaults throttle a subscriber at 20 messages under way, and drop what waits beyond a thousand without a word.

    Parameters
    ----------
    path : path
        The file to write, e.g. ``/etc/mosquitto/conf.d/twinkit.conf``.
    port : int
    host : str
        Address to listen at; another one than loopback asks for passwords.
    folder : path, optional
        Where sessions and queues are kept over a restart; left out, beside the file.
    passwords : path, optional
        File that ``mosquitto_passwd`` makes; without it everybody on this machine may come in.
    certificate, key : path, optional
        PEM files of the broker, for TLS.
    access : path, optional
        Access list; see docs/live.md.

    Returns
    -------
    Path

    Errors
    ------
    TwinError
        Open to the network without passwords; one of certificate and key alone; a folder that cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> file = mosquitto(tempfile.mkdtemp() + "/mosquitto.conf", port=18830)
    >>> [line for line in file.read_text().splitlines() if line.startswith("max_queued_m")]
    ['max_queued_messages 1000000']
    """
    file = pathlib.Path(path).absolute()
    kept = pathlib.Path(folder).absolute() if folder is not None else file.parent
    if passwords is None and host not in ("127.0.0.1", "::1", "localhost"):
        raise TwinError(
            "a file of passwords for a broker that others can reach",
            found=f"none, for {host}",
            hint="make one: mosquitto_passwd -c passwords USER, then passwords='passwords'",
        )
    if (certificate is None) != (key is None):
        raise TwinError("a certificate and its key", found="one of the two", hint="give both, or neither")
    lines = [
        f"listener {port} {host}",
        f"allow_anonymous {'true' if passwords is None else 'false'}",
    ]
    named = {"password_file": passwords, "acl_file": access, "certfile": certificate, "keyfile": key}
    lines += [f"{word} {pathlib.Path(given).absolute()}" for word, given in named.items() if given is not None]
    lines += [
        "# Started by root, it would become the user 'mosquitto', who may not write in your folders.",
        f"user {getpass.getuser()}",
        "",
        "# The window: how many messages may be under way to a subscriber unacknowledged. MQTT 5 subscribers ask for",
        "# theirs (twinkit for 10000); this is for MQTT 3.1.1. The default of 20 asks for one fsync every 20.",
        "max_inflight_messages 10000",
        "# The queue behind the window, for a subscriber that is away or slow. The default drops beyond 1000, unsaid.",
        "max_queued_messages 1000000",
        "max_queued_bytes 1073741824",
        "# Messages of more than a mebibyte are refused; a sender that speaks MQTT 5 is told.",
        "message_size_limit 1048576",
        "",
        "# Sessions and queues outlive a restart. What came since the last autosave does not outlive a kill or a power",
        "# cut: Mosquitto tells senders that it has a message before it is on the disk.",
        "persistence true",
        f"persistence_location {kept}/",
        "autosave_interval 60",
        "persistent_client_expiration 14d",
    ]
    try:
        kept.mkdir(parents=True, exist_ok=True)
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    except OSError as fault:
        raise TwinError(
            "a file that can be written",
            found=fault.strerror or str(fault),
            hint="choose a folder of yours",
            where=str(path),
        ) from None
    return file
