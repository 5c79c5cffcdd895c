"""What sensors say: messages from a broker, checked, made durable, and acknowledged only then."""

from __future__ import annotations

from twinkit.telemetry.broker import broker, mosquitto
from twinkit.telemetry.connection import Subscription, address, password
from twinkit.telemetry.ingest import Ingester, session
from twinkit.telemetry.message import Admitted, Gate, Letter, region, sensors, topic

__all__ = [
    "Admitted",
    "Gate",
    "Ingester",
    "Letter",
    "Subscription",
    "address",
    "broker",
    "mosquitto",
    "password",
    "region",
    "sensors",
    "session",
    "topic",
]
