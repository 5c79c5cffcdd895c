"""A subscription that outlives broker and network: one paho client, driven from the thread that uses it.

The session is persistent: its client id is stable and it is never started clean, so that the broker keeps what was
sent while nobody listened. Acknowledgement is manual. Acknowledgements leave in one write a batch, because one system
call for each took as long as all else that is done about a message.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import select
import ssl
import time
import urllib.parse
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from twinkit.error import TwinError
from twinkit.store.shown import quoted

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Address", "Message", "Subscription", "address", "password"]

ENVIRONMENT = "TWINKIT_BROKER_PASSWORD"
RECEIVE = 10_000
"""Messages that the broker may have under way to us unacknowledged: MQTT 5's receive maximum."""

PACKET = 2**24
"""Bytes of the largest packet that an MQTT 5 broker may send us; what is larger, it drops. It is far more than a
message may have, so that one that is too large meets the gate and leaves a dead letter."""

SESSION = 7 * 86400
"""Seconds for which the broker keeps what is sent while nobody listens."""

HELD = 2**26
"""Bytes of payload that wait here at most; reading stops there until they are durable."""

BRIEF = 5.0
"""A connection that is lost sooner [s] is made again after a longer wait than before."""

TAKEN_OVER = 142  # MQTT 5, 3.14.2.1: another client came with our id


class Message(NamedTuple):
    """One message as it came: topic, payload, and its number on one of our connections (0 asks for no answer)."""

    topic: str
    payload: bytes
    number: int
    connection: int


@dataclass(frozen=True)
class Address:
    """Where a broker is, and as whom to speak to it."""

    host: str
    port: int
    user: str = ""
    tls: bool = False

    def __str__(self) -> str:
        who = f"{urllib.parse.quote(self.user)}@" if self.user else ""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"mqtt{'s' if self.tls else ''}://{who}{host}:{self.port}"


def address(url: str) -> Address:
    """A broker's address from its URL.

    Parameters
    ----------
    url : str
        ``mqtt://user@host:1883``, or ``mqtts://`` over TLS (port 8883); user and port may be left out.

    Errors
    ------
    TwinError
        Another scheme, no host, a path, or a password, which all users of the machine could read in its list of
        processes.

    Examples
    --------
    >>> address("mqtts://twin@broker.example.org")
    Address(host='broker.example.org', port=8883, user='twin', tls=True)
    """
    example = "mqtt://user@host:1883, or mqtts:// over TLS"
    _, at, after = url.rpartition("@")
    shown = quoted(f"...@{after}" if at else url)  # a password may stand before it
    try:
        parts = urllib.parse.urlsplit(url)
        port = parts.port
        user = urllib.parse.unquote(parts.username or "", errors="strict")
    except ValueError:
        raise TwinError("a broker's address", found=shown, hint=f"write it like {example}") from None
    if parts.password is not None:
        raise TwinError(
            "an address without a password, which others could read on the screen and in the list of processes",
            found="a user and a password",
            hint=f"write the password into a file for --password-file, or into the environment as {ENVIRONMENT}",
        )
    # what no broker takes, and what would write on a terminal
    odd = port == 0 or not user.isprintable() or len(url) > 1000
    rest = parts.path.strip("/") or parts.query or parts.fragment or odd
    if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname or rest:
        raise TwinError("a broker's address", found=shown, hint=f"write it like {example}")
    tls = parts.scheme == "mqtts"
    return Address(parts.hostname, port or (8883 if tls else 1883), user, tls)


def password(file: str | pathlib.Path | None = None) -> str | None:
    """The password for the broker: the first line of a file, or what the environment holds; None where neither does."""
    if file is None:
        return os.environ.get(ENVIRONMENT)
    try:
        lines = pathlib.Path(file).read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as fault:
        said = getattr(fault, "strerror", None) or "no text"
        raise TwinError("a file with the password", found=said, hint="check its path", where=str(file)) from None
    if not lines or not lines[0]:
        raise TwinError("a file with the password", found="no text", hint="write it as the first line", where=str(file))
    return lines[0]


class Subscription:
    """What a broker has for us on one topic filter, for one thread.

    Parameters
    ----------
    broker : Address
    topic : str
        Filter, e.g. ``twinkit/IN:Shimla/telemetry/#``.
    client : str
        Stable id of the session.
    secret : str, optional
        Password.
    ca : path, optional
        Certificate of the authority that vouches for the broker; left out, the system's authorities.
    version : {5, 3}
        MQTT 5, or 3.1.1.
    receive : int
        Receive maximum (MQTT 5); an MQTT 3.1.1 broker has its own, e.g. Mosquitto's max_inflight_messages.
    largest : int
        Bytes of a payload that are kept, and one more, so that what is cut is seen to be.
    """

    def __init__(
        self,
        broker: Address,
        *,
        topic: str,
        client: str,
        secret: str | None = None,
        ca: str | pathlib.Path | None = None,
        version: int = 5,
        receive: int = RECEIVE,
        largest: int = 2**18,
    ) -> None:
        self.broker, self.topic, self.client, self.version = broker, topic, client, version
        self.secret, self.ca, self.receive, self.largest = secret, ca, receive, largest
        self.connected = False
        self.forgotten = 0
        """How often the broker no longer knew our session: what was sent meanwhile is lost."""
        self.connections = 0
        self.trouble = ""
        """What keeps us from the broker now; "" when nothing does."""
        self._subscribed = False
        self._inbox: list[Message] = []
        self._bytes = 0
        self._fatal: TwinError | None = None
        self._next, self._wait = 0.0, 0.0
        self._since = 0.0
        self._met, self._brief = 0.0, 0
        self._misc = 0.0
        self._paho = self._made()

    def _made(self) -> Any:
        try:
            from paho.mqtt import client as mqtt
        except ImportError:
            raise TwinError(
                "paho-mqtt, which speaks to brokers", found="none installed", hint="pip install 'twinkit[live]'"
            ) from None
        five = self.version == 5
        made = _client(mqtt)(
            mqtt.CallbackAPIVersion.VERSION2,
            self.client,
            clean_session=None if five else False,
            protocol=mqtt.MQTTv5 if five else mqtt.MQTTv311,
            manual_ack=True,
        )
        made.connect_timeout = 5.0
        if self.broker.user or self.secret is not None:
            made.username_pw_set(self.broker.user, self.secret)
        if self.broker.tls:
            made.tls_set_context(_trust(self.ca))
        made.on_connect, made.on_disconnect = self._on_connect, self._on_disconnect
        made.on_subscribe, made.on_message = self._on_subscribe, self._on_message
        made.taken = self._taken
        return made

    # What paho calls, always from within `read`.

    def _on_connect(self, paho: Any, _user: Any, flags: Any, code: Any, _properties: Any) -> None:
        if code.is_failure:
            self.trouble = str(code)
            self._fatal = self._refused(str(code), int(code.value))
            return
        if self.connections and not flags.session_present:
            self.forgotten += 1
        self.connections += 1
        self.connected, self.trouble, self._subscribed = True, "", False
        self._met = time.monotonic()
        if self.version == 5:
            from paho.mqtt.subscribeoptions import SubscribeOptions

            # what the broker retains comes once, not again after each loss of the line
            paho.subscribe(self.topic, options=SubscribeOptions(qos=1, retainHandling=1))
        else:
            paho.subscribe(self.topic, qos=1)

    def _on_subscribe(self, _paho: Any, _user: Any, _mid: int, codes: list[Any], _properties: Any) -> None:
        if any(c.is_failure for c in codes):
            self._fatal = TwinError(
                "a broker that lets us read the twin's telemetry",
                found=f"'{codes[0]}' for {self.topic}",
                hint="give this user read access to the topic in the broker's access list",
                where=str(self.broker),
            )
            return
        self._subscribed = True

    def _on_disconnect(self, _paho: Any, _user: Any, _flags: Any, code: Any, _properties: Any) -> None:
        self._lost(str(code))
        if int(code.value) == TAKEN_OVER:
            self._fatal = TwinError(
                "one ingester a session",
                found=f"another one that took over the session '{self.client}'",
                hint="stop one of the two, or give this one its own id with --client",
                where=str(self.broker),
            )

    def _on_message(self, _paho: Any, _user: Any, message: Any) -> None:
        try:
            name = message.topic
        except UnicodeDecodeError:
            name = "(a topic that is no UTF-8)"
        self._taken(name, message.payload, message.mid if message.qos else 0)

    def _taken(self, name: str, payload: bytes, number: int) -> None:
        if len(payload) > self.largest:
            payload = payload[: self.largest + 1]
        self._bytes += len(payload)
        self._inbox.append(Message(name, payload, number, self.connections))

    # What the ingester calls.

    def connect(self, *, patience: float = 10.0) -> None:
        """Connect and subscribe for the first time.

        Errors
        ------
        TwinError
            Nobody answers, the certificate is not vouched for, or the broker refuses user, password or topic.
        """
        from paho.mqtt.packettypes import PacketTypes
        from paho.mqtt.properties import Properties

        options: dict[str, Any] = {"keepalive": 60}
        if self.version == 5:
            options["properties"] = said = Properties(PacketTypes.CONNECT)
            said.SessionExpiryInterval = SESSION
            said.ReceiveMaximum = self.receive
            said.MaximumPacketSize = PACKET
            options["clean_start"] = False
        self._since = time.monotonic()
        try:
            self._paho.connect(self.broker.host, self.broker.port, **options)
        except (OSError, ValueError) as fault:
            raise self._unreachable(fault) from None
        end = time.monotonic() + patience
        # a broker that knows our session may send what it kept before it answers the subscription
        while not (self._subscribed or self._inbox):
            if self.trouble and self._fatal is None:
                raise self._unreachable(ConnectionError(self.trouble))
            if time.monotonic() > end:
                raise self._unreachable(TimeoutError(f"no answer within {patience:g} s"))
            self._turn(0.1)

    def read(self, most: int, timeout: float, *, burst: float = 0.02) -> list[Message]:
        """What comes within `timeout` seconds, which may be nothing; it stops after `most` messages or `burst` seconds.

        A lost connection is made again here. What came over it and was not acknowledged comes again over the next.

        Errors
        ------
        TwinError
            The broker refuses us, or another ingester took our session over.
        """
        if not self._inbox:
            self._turn(timeout, most, burst)
        found, self._inbox, self._bytes = self._inbox, [], 0
        return found

    def acknowledge(self, messages: Sequence[Message]) -> int:
        """Tell the broker that these are durable, in the order in which they came; how many it was told of.

        A number means nothing on another connection: what came over one that is gone comes again, as a duplicate.
        """
        now = self.connections if self.connected else -1
        numbers = [m.number for m in messages if m.connection == now and m.number]
        packets = b"".join([b"\x40\x02" + n.to_bytes(2, "big") for n in numbers])  # PUBACK, MQTT 3.1.1 and 5, 3.4
        try:
            while self._paho.want_write():
                self._paho.loop_write()  # a packet of paho's that is half out must be out before ours
            self._send(memoryview(packets))
        except OSError as fault:
            self._drop(str(fault))
            return 0
        return len(numbers)

    def close(self) -> None:
        """Leave; the session stays at the broker."""
        with contextlib.suppress(OSError, ValueError):
            self._paho.disconnect()
            for _ in range(20):
                if not self._paho.want_write():
                    break
                self._paho.loop_write()
        self.connected = False

    def _turn(self, timeout: float, most: int = 1, burst: float = 0.02) -> None:
        """One round of the loop: wait for the socket, read what is there, keep the connection alive."""
        if self._fatal is not None:
            raise self._fatal
        socket = self._paho.socket()
        if socket is None:
            self._again(timeout)
            return
        pending = isinstance(socket, ssl.SSLSocket) and socket.pending()
        writing = [socket] if self._paho.want_write() else []
        ready, writable, _ = select.select([socket], writing, [], 0 if pending else timeout)
        if writable:
            self._paho.loop_write()
        if ready or pending:
            end = time.monotonic() + burst
            while len(self._inbox) < most and self._bytes < HELD and time.monotonic() < end:
                before = len(self._inbox)
                self._paho.loop_read()
                if len(self._inbox) == before:
                    break
        now = time.monotonic()
        if now > self._misc + 1:
            self._misc = now
            self._paho.loop_misc()
            if not self.connected and self._paho.socket() is not None and now > self._since + 10:
                self._drop("the broker did not answer within 10 s")
        if self._fatal is not None:
            raise self._fatal

    def _again(self, timeout: float) -> None:
        """Connect again: at once, then after waits that grow to ten seconds."""
        now = time.monotonic()
        if now < self._next:
            time.sleep(min(timeout, self._next - now))
            return
        self._wait = min(10.0, 2 * self._wait or 0.1)
        self._next = now + self._wait
        self._since = now
        try:
            self._paho.reconnect()
        except (OSError, ValueError) as fault:
            self.trouble = str(fault)

    def _lost(self, why: str) -> None:
        """What came over a connection that is gone comes again over the next: the numbers here mean nothing more."""
        if self.connected:
            if time.monotonic() > self._met + BRIEF:
                self._brief, self._wait = 0, 0.0
            self._brief += 1
        if self._brief > 3:
            why += f", again and again: does another program use the session '{self.client}'?"
        self.connected, self.trouble = False, why
        self._inbox, self._bytes = [], 0

    def _drop(self, why: str) -> None:
        socket = self._paho.socket()
        if socket is not None:
            with contextlib.suppress(OSError):
                socket.shutdown(2)
        self._lost(why)
        with contextlib.suppress(OSError, ValueError):
            self._paho.loop_read()  # paho meets the end of the connection and forgets it

    def _send(self, left: memoryview) -> None:
        while left:
            socket = self._paho.socket()
            if socket is None:
                raise ConnectionError("the connection is gone")
            try:
                left = left[socket.send(left) :]
            except (BlockingIOError, ssl.SSLWantWriteError):
                if not select.select([], [socket], [], 10)[1]:
                    raise TimeoutError("the broker takes nothing from us") from None
            except ssl.SSLWantReadError:
                select.select([socket], [], [], 10)

    def _refused(self, said: str, code: int) -> TwinError | None:
        """The error for a broker that says no; None where it may say yes later."""
        if code in (136, 137, 3):  # unavailable, busy
            return None
        if code in (134, 135, 4, 5):
            word = "the password" if self.secret is not None else "no password was given"
            return TwinError(
                "a broker that knows us",
                found=f"'{said}' for user '{self.broker.user}'",
                hint=f"check the user and {word}"
                if self.secret is not None
                else f"{word}: write it into a file for --password-file, or into {ENVIRONMENT}",
                where=str(self.broker),
            )
        hint = "try the other version: --mqtt 3.1.1" if self.version == 5 else "look into the broker's log"
        return TwinError("a broker that takes us in", found=f"'{said}'", hint=hint, where=str(self.broker))

    def _unreachable(self, fault: Exception) -> TwinError:
        where = str(self.broker)
        if isinstance(fault, ssl.SSLCertVerificationError):
            return TwinError(
                "a broker whose certificate our authority vouches for",
                found=fault.verify_message or "one that it does not",
                hint="name the authority's certificate with --ca, and the broker as the certificate names it",
                where=where,
            )
        if isinstance(fault, ssl.SSLError):
            return TwinError(
                "a broker that speaks TLS", found=str(fault.reason or fault), hint="mqtt:// without TLS", where=where
            )
        said = getattr(fault, "strerror", None) or str(fault) or type(fault).__name__
        silent = isinstance(fault, TimeoutError) or "onnection lost" in said or "nspecified" in said
        hint = "is it mqtts://, or MQTT 3.1.1 alone (--mqtt 3.1.1)?" if silent else "start it, or check host and port"
        return TwinError("a broker that answers", found=said, hint=hint, where=where)


def _client(mqtt: Any) -> Any:
    """Paho's client with a short way for what comes most: a message of QoS 1 without properties.

    Paho makes an object of properties for each and asks every callback whether it is meant: two thirds of all time
    spent here. What is anything else, or does not look as expected, goes paho's own way.
    """

    class Client(mqtt.Client):
        taken: Any = None

        def _handle_publish(self) -> Any:
            try:
                packet = self._in_packet["packet"]
                end = 2 + (packet[0] << 8 | packet[1])
                start = end + 2
                if self._protocol == mqtt.MQTTv5:
                    start += 1
                    plain = packet[start - 1] == 0  # the length of the properties
                else:
                    plain = end > 2
                if plain and self._in_packet["command"] & 0x06 == 0x02:
                    number = packet[end] << 8 | packet[end + 1]
                    self.taken(packet[2:end].decode(), bytes(packet[start:]), number)
                    return mqtt.MQTT_ERR_SUCCESS
            except (AttributeError, LookupError, TypeError, UnicodeDecodeError):
                pass
            return super()._handle_publish()

    return Client


class _Handshake(ssl.SSLSocket):
    """Closes itself where the handshake fails; paho leaves that to the garbage collector."""

    def do_handshake(self, block: bool = False) -> None:
        try:
            super().do_handshake(block)
        except OSError as fault:
            if not isinstance(fault, ssl.SSLWantReadError | ssl.SSLWantWriteError):
                self.close()
            raise


def _trust(ca: str | pathlib.Path | None) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=None if ca is None else str(ca))
    except (OSError, ValueError) as fault:
        said = getattr(fault, "strerror", None) or "no certificate"
        raise TwinError(
            "the certificate of an authority (PEM)", found=said, hint="check the path", where=str(ca)
        ) from None
    context.sslsocket_class = _Handshake
    return context
