"""What sensors say: messages from a broker, checked, made durable, and acknowledged only then."""

from __future__ import annotations

from twinkit.telemetry.message import Admitted, Gate, Letter, region, sensors, topic

__all__ = ["Admitted", "Gate", "Letter", "region", "sensors", "topic"]
