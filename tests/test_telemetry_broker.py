"""Who gets in, to which broker, and what is said when nobody does."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import shutil
import socket
import subprocess
import threading
import time

import pytest

import twinkit as tk
from twinkit.error import TwinError
from twinkit.telemetry import Gate, Ingester, Subscription, address, broker, mosquitto, password

mqtt = pytest.importorskip("paho.mqtt.client")
pytest.importorskip("orjson")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def until(condition, *, patience=60.0):
    end = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


@contextlib.contextmanager
def running(program, file, port):
    process = subprocess.Popen([program, "-c", str(file)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(200):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait(20)


def authority(folder, name):
    """A certificate authority, and a broker's certificate and key of its making: paths of ca, certificate, key."""
    x509 = pytest.importorskip("cryptography.x509")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    now = dt.datetime.now(dt.UTC)

    def certificate(subject, own, issuer, signer, extensions):
        made = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(own.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=1))
        )
        for extension, critical in extensions:
            made = made.add_extension(extension, critical)
        return made.sign(signer, hashes.SHA256())

    def named(text):
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    root, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    signs = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
    top = named(f"{name} authority")
    ca = certificate(top, root, top, root, [(x509.BasicConstraints(True, None), True), (signs, True)])
    local = x509.SubjectAlternativeName([x509.DNSName("localhost")])
    served = certificate(named("localhost"), key, top, root, [(local, False)])
    files = [folder / f"{name}-{part}.pem" for part in ("ca", "certificate", "key")]
    files[0].write_bytes(ca.public_bytes(serialization.Encoding.PEM))
    files[1].write_bytes(served.public_bytes(serialization.Encoding.PEM))
    files[2].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
    )
    return files


@pytest.fixture(scope="module")
def guarded(program, tmp_path_factory):
    """A Mosquitto with TLS, a user 'twin' who may read all telemetry, and 'guest' who may not: (url, ca, other ca)."""
    folder = tmp_path_factory.mktemp("guarded")
    own, other = authority(folder, "own"), authority(folder, "other")
    passwords, access = folder / "passwords", folder / "access"
    tool = shutil.which("mosquitto_passwd") or program("mosquitto_passwd")
    subprocess.run([tool, "-b", "-c", str(passwords), "twin", "right horse"], check=True)
    subprocess.run([tool, "-b", str(passwords), "guest", "guest"], check=True)
    access.write_text("user twin\ntopic readwrite twinkit/#\n\nuser guest\ntopic read nothing/#\n")
    port = free_port()
    file = mosquitto(
        folder / "mosquitto.conf",
        port=port,
        passwords=passwords,
        certificate=own[1],
        key=own[2],
        access=access,
    )
    with running(program("mosquitto"), file, port):
        yield port, own[0], other[0]


def subscription(port, *, user="twin", secret="right horse", ca=None, scheme="mqtts", version=5, host="localhost"):
    return Subscription(
        address(f"{scheme}://{user}@{host}:{port}"),
        topic="twinkit/small/telemetry/#",
        client=f"test-{user}",
        secret=secret,
        ca=ca,
        version=version,
    )


@pytest.mark.parametrize("version", [5, 3])
def test_tls_and_the_right_password_get_in_and_readings_come_through(guarded, small_twin, tmp_path, version):
    port, ca, _ = guarded
    path = tmp_path / "live.twin"
    tk.save(small_twin(), path, message="the beginning")
    gate = Gate(tk.open(path))
    with tk.store.journal(path) as journal:
        seen = subscription(port, ca=ca, version=version)
        one = Ingester(journal, gate, seen)
        seen.connect()
        thread = threading.Thread(target=one.run)
        thread.start()
        sender = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, "sensor", protocol=mqtt.MQTTv5)
        sender.tls_set(ca_certs=str(ca))
        sender.username_pw_set("twin", "right horse")
        sender.connect("localhost", port)
        sender.loop_start()
        for number in range(300):
            cell = gate.sensors["load"][number % 12]
            said = json.dumps({"time": 1_000_000_800 + 900 * (number // 12), "value": number / 300})
            sender.publish(f"{gate.topic}/load/{cell}", said, qos=1)
        until(lambda: one.new == 300)
        sender.disconnect()
        sender.loop_stop()
        one.stop()
        thread.join()
    assert one.acknowledged == 300
    assert tk.open(path)["telemetry/load"].shape == (25, 12)


@pytest.mark.parametrize(
    ("choices", "said"),
    [
        ({"secret": "wrong horse"}, "a broker that knows us"),
        ({"secret": None}, "no password was given"),
        ({"user": "nobody"}, "for user 'nobody'"),
    ],
)
def test_who_is_not_known_is_told_in_one_error(guarded, choices, said):
    port, ca, _ = guarded
    with pytest.raises(TwinError, match=said):
        subscription(port, ca=ca, **choices).connect()


def test_a_subscription_that_is_refused_is_one_error(guarded):
    """Mosquitto's list of rights lets everybody subscribe and delivers nothing; other brokers say no."""
    from paho.mqtt.packettypes import PacketTypes
    from paho.mqtt.reasoncodes import ReasonCode

    port, ca, _ = guarded
    asked = subscription(port, ca=ca)
    asked._on_subscribe(None, None, 1, [ReasonCode(PacketTypes.SUBACK, "Not authorized")], None)
    with pytest.raises(TwinError, match="lets us read the twin's telemetry"):
        asked.connect()


def test_a_wrong_authority_is_one_error_and_so_is_none(guarded):
    port, _, other = guarded
    for ca in (other, None):
        with pytest.raises(TwinError, match="certificate our authority vouches for"):
            subscription(port, ca=ca).connect()


def test_a_broker_under_another_name_than_its_certificates(guarded):
    port, ca, _ = guarded
    with pytest.raises(TwinError, match="certificate"):
        subscription(port, ca=ca, host="127.0.0.1").connect()


def test_an_authority_that_is_no_certificate(guarded, tmp_path):
    port, _, _ = guarded
    for content in (None, "no certificate"):
        file = tmp_path / "ca.pem"
        if content:
            file.write_text(content)
        with pytest.raises(TwinError, match="certificate of an authority"):
            subscription(port, ca=file)


def test_plain_speech_to_a_broker_with_tls_is_one_error(guarded):
    port, _, _ = guarded
    with pytest.raises(TwinError, match="a broker that answers"):
        subscription(port, scheme="mqtt").connect(patience=30)


def test_tls_to_a_broker_without_it_is_one_error():
    with broker() as url, pytest.raises(TwinError, match="a broker that"):
        subscription(address(url).port).connect(patience=30)


def test_nobody_there_is_one_error():
    with pytest.raises(TwinError, match=r"a broker that answers.*start it, or check host and port"):
        subscription(free_port(), scheme="mqtt").connect()


def test_the_embedded_broker_carries_readings_into_the_store(small_twin, tmp_path):
    path = tmp_path / "live.twin"
    tk.save(small_twin(), path, message="the beginning")
    gate = Gate(tk.open(path))
    with broker() as url, tk.store.journal(path) as journal:
        seen = Subscription(address(url), topic=gate.subscription, client="embedded", version=3)
        one = Ingester(journal, gate, seen)
        seen.connect()
        thread = threading.Thread(target=one.run)
        thread.start()
        sender = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, "sensor")
        sender.connect("127.0.0.1", address(url).port)
        sender.loop_start()
        for number in range(120):
            cell = gate.sensors["load"][number % 12]
            said = json.dumps({"time": 1_000_000_800 + 900 * (number // 12), "value": number / 300})
            sender.publish(f"{gate.topic}/load/{cell}", said, qos=1).wait_for_publish(10)
        sender.publish(gate.topic, "[" * 5000, qos=1).wait_for_publish(10)
        until(lambda: one.new == 120 and one.rejected == 1)
        # the line is cut, and found again
        seen._paho.socket().shutdown(socket.SHUT_RDWR)
        # this broker keeps nothing for a session that has not subscribed again
        until(lambda: seen.connections == 2 and seen.connected and seen._subscribed)
        sender.publish(f"{gate.topic}/load/{gate.sensors['load'][0]}", '{"time": 1100000700, "value": 1}', qos=1)
        until(lambda: one.new == 121)
        sender.disconnect()
        sender.loop_stop()
        one.stop()
        thread.join()
    assert one.subscription.connections == 2
    assert one.acknowledged >= 122  # what came again was acknowledged again
    assert tk.open(path)["telemetry/load"].sizes["time"] == 11


def test_a_port_that_is_taken_is_one_error():
    with broker() as url, pytest.raises(TwinError, match="a free port"), broker(port=address(url).port):
        pass


def test_mqtt_5_to_the_embedded_broker_names_the_other_version():
    with broker() as url:
        asked = Subscription(address(url), topic="x/#", client="five")
        with pytest.raises(TwinError, match=r"3\.1\.1"):
            asked.connect(patience=30)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://host", "a broker's address"),
        ("host:1883", "a broker's address"),
        ("mqtt://", "a broker's address"),
        ("mqtt://host:99999999", "a broker's address"),
        ("mqtt://host/topic", "a broker's address"),
        ("mqtt://user:secret@host", "without a password"),
    ],
)
def test_addresses_that_are_none(url, said):
    with pytest.raises(TwinError, match=said) as fault:
        address(url)
    assert "secret@" not in str(fault.value)


def test_addresses():
    assert str(address("mqtt://a.b")) == "mqtt://a.b:1883"
    assert str(address("mqtts://me%40x@[::1]")) == "mqtts://me%40x@[::1]:8883"


def test_the_password_comes_from_a_file_or_the_environment(tmp_path, monkeypatch):
    monkeypatch.delenv("TWINKIT_BROKER_PASSWORD", raising=False)
    assert password() is None
    monkeypatch.setenv("TWINKIT_BROKER_PASSWORD", "from there")
    assert password() == "from there"
    file = tmp_path / "secret"
    file.write_text("from here\n")
    assert password(file) == "from here"
    file.write_text("")
    with pytest.raises(TwinError, match="a file with the password"):
        password(file)
    with pytest.raises(TwinError, match="a file with the password"):
        password(tmp_path / "none")


def test_the_settings_for_mosquitto(tmp_path):
    text = mosquitto(tmp_path / "a.conf", port=1999).read_text()
    for line in ("listener 1999 127.0.0.1", "max_inflight_messages 10000", "persistence true"):
        assert line in text.splitlines()
    with pytest.raises(TwinError, match="a file of passwords"):
        mosquitto(tmp_path / "b.conf", host="0.0.0.0")
    with pytest.raises(TwinError, match="a certificate and its key"):
        mosquitto(tmp_path / "b.conf", certificate="one.pem")
    with pytest.raises(TwinError, match="can be written"):
        mosquitto(tmp_path / "a.conf" / "c.conf")


def test_the_page_shows_the_settings_that_are_written(tmp_path):
    import pathlib

    page = (pathlib.Path(__file__).parent.parent / "docs" / "live.md").read_text()
    text = mosquitto(tmp_path / "a.conf").read_text()
    for line in text.splitlines():
        word = line.partition(" ")[0]
        if line and not line.startswith("#") and word not in ("persistence_location", "user"):
            assert line in page, f"docs/live.md lacks '{line}'"


@pytest.mark.parametrize("version", [5, 3])
@pytest.mark.parametrize("properties", [b"", b"\x01\x01", b"\x26\x00\x01a\x00\x01b"])
@pytest.mark.parametrize("qos", [0, 1])
@pytest.mark.parametrize("name", ["a", "twinkit/small/telemetry/load/तेहर", "x" * 300])
def test_the_short_way_of_a_message_is_paho_s_own(version, properties, qos, name):
    """Our shorter reading of a PUBLISH packet against paho's, byte by byte made by hand (MQTT 3.3)."""
    topic = name.encode()
    packet = len(topic).to_bytes(2, "big") + topic + (b"\x12\x34" if qos else b"")
    if version == 5:
        packet += bytes([len(properties)]) + properties
    payload = b'{"time": 1, "value": 2}'
    found = []
    for own in (True, False):
        one = Subscription(address("mqtt://host"), topic="#", client="bytes", version=version)
        client = one._paho
        client._in_packet |= {"command": 0x30 | qos << 1, "packet": bytearray(packet + payload)}
        if own:
            client._handle_publish()
        else:
            mqtt.Client._handle_publish(client)
        found.append(one._inbox)
    assert found[0] == found[1]
    assert found[0] == [(name, payload, 0x1234 if qos else 0, 0)]


def test_a_broken_packet_is_paho_s_to_judge():
    one = Subscription(address("mqtt://host"), topic="#", client="bytes")
    for packet in (b"", b"\x00", b"\x00\x05abc", b"\x00\x01a\x00", b"\x00\x01a\x00\x01"):
        one._paho._in_packet |= {"command": 0x32, "packet": bytearray(packet)}
        with pytest.raises(mqtt.MalformedPacket):
            one._paho._handle_publish()
    assert not one._inbox


@pytest.mark.parametrize(
    "url",
    [
        "mqtt://u:secret@h:99999",
        "mqtt:u:secret@h",
        "mqtt://h:0",
        "mqtt://%00@h",
        "mqtt://%1b[31m@h",
        "mqtt://%ff@h",
        "mqtt://\x1b[31mh",
        "mqtt://" + "a" * 70_000 + "@h",
    ],
)
def test_a_strange_address_is_one_short_error_without_the_password(url):
    with pytest.raises(TwinError) as fault:
        address(url)
    assert str(fault.value).isprintable()
    assert "secret" not in str(fault.value)
    assert len(str(fault.value)) < 400
