"""`twinkit replay`: a stored period or a trace to a broker, at any speed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twinkit.cli._live import VERSIONS
from twinkit.cli._shown import say
from twinkit.error import TwinError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["replayed"]


def replayed(
    source: Path,
    *,
    broker: str,
    speed: str,
    region: str | None,
    start: str | None,
    end: str | None,
    password_file: Path | None,
    ca: Path | None,
    mqtt: str,
) -> None:
    """Publish, and say how many readings the broker has acknowledged."""
    from twinkit import store
    from twinkit.telemetry import password, publish, replay
    from twinkit.telemetry import region as own

    if mqtt not in VERSIONS:
        raise TwinError(f"{' or '.join(VERSIONS)}", found=f"'{mqtt}'", hint="leave it out for 5", where="--mqtt")
    try:
        rate = float("inf") if speed == "max" else float(speed)
    except ValueError:
        raise TwinError("a number or max", found=f"'{speed}'", hint="--speed 60", where="--speed") from None
    if source.is_file():
        if region is None:
            raise TwinError(
                "the region whose sensors these are", found="a file alone", hint="--region IN:Shimla", where="--region"
            )
        batches = replay(source, speed=rate, start=start, end=end)
    else:
        twin = store.open(source)
        region = own(twin) if region is None else region
        batches = replay(twin, speed=rate, start=start, end=end)
    secret = password(password_file)
    sent = publish(batches, broker=broker, region=region, secret=secret, ca=ca, version=VERSIONS[mqtt])
    say(f"{sent:,} readings acknowledged by {broker}")
