"""Limits: how often one source may send, and which words are said again."""

from __future__ import annotations

import datetime as dt
import math
from typing import TYPE_CHECKING, Any

from twinkit.error import TwinError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["DAY", "FLOOD", "TooOften", "counted", "flagged"]

DAY = dt.timedelta(days=1)
FLOOD = 5
"""The same words so often in a day, wherever, are a flood: they wait for a moderator."""


class TooOften(TwinError):  # noqa: N818  (named as it is said: who sends too often)
    """One source sent more than the register takes in an hour; `minutes` until the next is taken."""

    def __init__(self, most: int, minutes: int) -> None:
        self.most, self.minutes = most, minutes
        super().__init__(
            f"at most {most} in an hour from one place",
            found="more",
            hint=f"come back in {minutes} min; what you sent before is kept",
            where="source",
        )

    def __reduce__(self) -> tuple[object, ...]:
        return TooOften, (self.most, self.minutes)


def counted(connection: Any, source: str, now: dt.datetime, *, keyed: Callable[[str], str], most: int) -> None:
    """Count a visit, or raise where there were too many in the hour; digests of days before yesterday are deleted.

    Parameters
    ----------
    connection : of SQLAlchemy, in a transaction
    source : str
        Kept as its digest under `keyed`, which changes with the day.
    now : datetime, UTC
    keyed : function of text
    most : int
        Visits in an hour.

    Errors
    ------
    TooOften
        Too many visits; the hint says when the next one may come.
    TwinError
        No source.
    """
    import sqlalchemy as sql

    from twinkit.participate import tables

    if not isinstance(source, str) or not source or len(source) > 400:
        raise TwinError("where it came from, as text", found="nothing or too much", hint="a network address")
    v = tables.visit.c
    connection.execute(tables.visit.delete().where(v.at < now - DAY))
    mine = [keyed(f"visit {day} {source}") for day in ((now - DAY).date(), now.date())]
    hour = now - dt.timedelta(hours=1)
    before = connection.execute(sql.select(v.at).where(v.source.in_(mine), v.at > hour).order_by(v.at)).all()
    if len(before) >= most:
        wait = math.ceil((before[-most][0] - hour).total_seconds() / 60)
        raise TooOften(most, max(wait, 1))
    connection.execute(tables.visit.insert().values(source=mine[1], at=now))


def flagged(connection: Any, digest: str, place: tuple[int, int], now: dt.datetime) -> str:
    """Why a pin waits for a moderator although others do not: "repeated", "flood", or "" where nothing is odd."""
    import sqlalchemy as sql

    from twinkit.participate import tables

    p = tables.pin.c
    same = sql.select(p.column, p.row).where(p.digest == digest, p.received > now - DAY)
    before = [(int(c), int(r)) for c, r in connection.execute(same)]
    return "flood" if len(before) >= FLOOD else "repeated" if place in before else ""
