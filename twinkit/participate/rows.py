"""Rows of a register's tables, read and written within a transaction that somebody else holds."""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING, Any

from twinkit.error import TwinError, escaped
from twinkit.participate.pin import Happening, Pin, hashed, said

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["becomes", "deleted", "happened", "inserted", "known", "nothing", "number_of", "pins", "the_pin"]

AT_ONCE = 500
"""Pins read with one statement."""


def nothing(number: Any) -> TwinError:
    """There is no such pin to be seen."""
    return TwinError(
        "the number of a pin", found=escaped(str(number)[:40]), hint="it is not shown, or was taken back", where="pin"
    )


def pins(connection: Any, numbers: Sequence[int]) -> list[Pin]:
    """The pins of these numbers, in their order, with all that happened to them; those that are gone are left out."""
    import sqlalchemy as sql

    from twinkit.participate import tables

    found: dict[int, Pin] = {}
    for first in range(0, len(numbers), AT_ONCE):
        some = list(numbers[first : first + AT_ONCE])
        s, e = tables.support.c, tables.event.c
        many = connection.execute(sql.select(s.pin, sql.func.count()).where(s.pin.in_(some)).group_by(s.pin))
        supports = {int(number): int(count) for number, count in many}
        steps: dict[int, list[Happening]] = {}
        for row in connection.execute(tables.event.select().where(e.pin.in_(some)).order_by(e.id)).mappings():
            at = row["at"].replace(tzinfo=dt.UTC)
            one = Happening(row["state"], row["by"], row["reason"], json.loads(row["figures"]), at)
            steps.setdefault(row["pin"], []).append(one)
        for row in connection.execute(tables.pin.select().where(tables.pin.c.id.in_(some))).mappings():
            found[row["id"]] = Pin(
                row["id"], row["subject"], row["words"], (row["column"], row["row"]), row["state"], row["flag"],
                supports.get(row["id"], 0), row["received"].replace(tzinfo=dt.UTC), row["reference"] or "",
                tuple(steps.get(row["id"], ())),
            )  # fmt: skip
    return [found[number] for number in numbers if number in found]


def the_pin(connection: Any, number: int) -> Pin:
    """One pin, or a `TwinError`."""
    found = pins(connection, [number])
    if not found:
        raise nothing(number)
    return found[0]


def number_of(connection: Any, code: str) -> int:
    """The number of the pin whose receipt has this code, as people type it; or a `TwinError`."""
    import sqlalchemy as sql

    from twinkit.participate import tables

    tidy = "".join(c for c in str(code)[:200].lower() if c.isalnum())
    row = connection.execute(sql.select(tables.receipt.c.pin).where(tables.receipt.c.code == hashed(tidy))).first()
    if row is None:
        raise TwinError(
            "the code of a receipt", found="one that no pin has", hint="was the pin taken back?", where="code"
        )
    return int(row[0])


def known(connection: Any, key: str) -> tuple[int, str] | None:
    """Number and state of the pin that a form made before; None for a new form.

    Errors
    ------
    TwinError
        The pin of this form was deleted.
    """
    import sqlalchemy as sql

    from twinkit.participate import tables

    r, p = tables.receipt.c, tables.pin.c
    row = connection.execute(sql.select(p.id, p.state).where(r.key == hashed(key), p.id == r.pin)).first()
    if row is not None:
        return int(row[0]), str(row[1])
    if connection.execute(sql.select(tables.spent.c.at).where(tables.spent.c.key == hashed(key))).first():
        raise TwinError(
            "a form that was not sent before", found="one whose pin was deleted", hint="open a new one", where="key"
        )
    return None


def inserted(connection: Any, values: Mapping[str, Any]) -> int:
    """Write a pin; gives its number, which no pin had before."""
    import sqlalchemy as sql

    from twinkit.participate import tables

    row = dict(values)
    if connection.dialect.name == "sqlite":
        # SQLite gives the number of the newest pin again once it is deleted: a page that was open before would then
        # support another's proposal. It has one writer, so that counting here is safe.
        highest = connection.execute(sql.select(sql.func.max(tables.pin.c.id))).scalar() or 0
        row["id"] = 1 + max(highest, _last(connection))
    return int(connection.execute(tables.pin.insert().values(row)).inserted_primary_key[0])


def _last(connection: Any) -> int:
    from twinkit.participate import tables

    held = connection.execute(tables.setting.select().where(tables.setting.c.name == "last")).first()
    return int(held[1]) if held else 0


def deleted(connection: Any, where: Any) -> int:
    """Delete pins with all that hangs on them; gives how many."""
    import sqlalchemy as sql

    from twinkit.participate import tables

    if connection.dialect.name == "sqlite":
        highest = connection.execute(sql.select(sql.func.max(tables.pin.c.id)).where(where)).scalar() or 0
        if highest > _last(connection):
            connection.execute(tables.setting.delete().where(tables.setting.c.name == "last"))
            connection.execute(tables.setting.insert().values(name="last", value=str(highest)))
    return int(connection.execute(tables.pin.delete().where(where)).rowcount)


def happened(
    connection: Any,
    number: int,
    state: str,
    by: str,
    reason: str = "",
    figures: Mapping[str, float] | None = None,
    *,
    now: dt.datetime,
) -> None:
    """Write down a step: who, when, why."""
    from twinkit.participate import tables

    if not by.strip() or len(by) > 80:
        raise TwinError("a name of 1 to 80 characters", found="another", hint="who answers for this?", where="by")
    row = {
        "pin": number, "state": state, "by": said(by), "reason": said(reason, where="reason") if reason.strip() else "",
        "figures": json.dumps(dict(figures or {})), "at": now,
    }  # fmt: skip
    connection.execute(tables.event.insert().values(row))


def becomes(connection: Any, number: int, state: str, *step: Any, now: dt.datetime) -> None:
    """Give a pin another state, and write down the step."""
    from twinkit.participate import tables

    connection.execute(tables.pin.update().where(tables.pin.c.id == number).values(state=state))
    happened(connection, number, state, *step, now=now)
