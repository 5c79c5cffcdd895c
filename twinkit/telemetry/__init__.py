"""What sensors say: brought in and made durable, replayed, made up, and looked through for faults."""

from __future__ import annotations

from twinkit.telemetry.broker import broker, mosquitto
from twinkit.telemetry.connection import Subscription, address, password
from twinkit.telemetry.generate import FAULTS, Fault, generate, peak_load, spoil
from twinkit.telemetry.health import health
from twinkit.telemetry.ingest import Ingester, session
from twinkit.telemetry.message import Admitted, Gate, Letter, region, sensors, topic
from twinkit.telemetry.quality import FLAGS, cleaned, marked, quality
from twinkit.telemetry.replay import Batch, publish, replay
from twinkit.telemetry.trace import trace

__all__ = [
    "FAULTS",
    "FLAGS",
    "Admitted",
    "Batch",
    "Fault",
    "Gate",
    "Ingester",
    "Letter",
    "Subscription",
    "address",
    "broker",
    "cleaned",
    "generate",
    "health",
    "marked",
    "mosquitto",
    "password",
    "peak_load",
    "publish",
    "quality",
    "region",
    "replay",
    "sensors",
    "session",
    "spoil",
    "topic",
    "trace",
]
