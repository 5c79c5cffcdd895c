"""The register: pins that citizens put on the map, who supports them, and what became of them.

What a person can be found by is not kept. A place is written down as its square of the grid; an address as a keyed
digest that changes with the day and is gone after two; a receipt as a digest of its code. A square is shown only when
enough pins lie in it.
"""

from __future__ import annotations

import base64
import contextlib
import datetime as dt
import hashlib
import hmac
import json
import math
import secrets
import unicodedata
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from twinkit.contract import stamp, within
from twinkit.error import TwinError, close_to, escaped
from twinkit.participate import database

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

__all__ = ["Happening", "Pin", "Receipt", "Register", "register"]

LONGEST = 600
"""Characters of a pin's words."""
DAY = dt.timedelta(days=1)
SHOWN = ("received", "studied", "accepted", "rejected")
NEXT = {"received": ("studied", "rejected"), "studied": ("studied", "accepted", "rejected")}
FLOOD = 5
"""The same words so often in a day, wherever, are a flood: they wait for a moderator."""


@dataclass(frozen=True)
class Receipt:
    """What a citizen is given for a pin: its number, and the code that alone follows it and takes it back."""

    pin: int
    code: str
    state: str


@dataclass(frozen=True)
class Happening:
    """One step in the life of a pin.

    Attributes
    ----------
    state : str
    by : str
        Who: "citizen", or the name under which an official acts.
    reason : str
    figures : dict of str to float
        What a study found.
    at : datetime, UTC
    """

    state: str
    by: str
    reason: str
    figures: dict[str, float]
    at: dt.datetime


@dataclass(frozen=True)
class Pin:
    """A pin as the register has it; `square` is its column and row in the grid, never a finer place."""

    id: int
    subject: str
    words: str
    square: tuple[int, int]
    state: str
    flag: str
    supports: int
    received: dt.datetime
    reference: str = ""
    happenings: tuple[Happening, ...] = field(default=())


def register(
    where: str | Path,
    *,
    twin: xr.DataTree | None = None,
    square: float = 1000.0,
    fewest: int = 5,
    hourly: int = 10,
    keep: float = 730.0,
    moderated: bool = True,
    clock: Callable[[], dt.datetime] | None = None,
) -> Register:
    """The register of a region's pins, made when there is none yet.

    Parameters
    ----------
    where : path or URL
        A file for SQLite, or ``postgresql://user@host/name`` (the password in ``PGPASSWORD`` or ``.pgpass``).
    twin : DataTree
        Its surface says where the region lies. Needed when the register is made; the choices below count then, too, and
        stay as they were made.
    square : float [m]
        Side of the squares in which places are kept.
    fewest : int
        A square is shown from so many pins on.
    hourly : int
        Pins from one source in an hour at most.
    keep : float [day]
        What is older is deleted by `expire`, but for proposals that were accepted.
    moderated : bool
        Whether pins wait for a moderator; repeated and flooding ones always do.
    clock : function, optional
        Gives the time, in UTC; left out, the machine's.

    Returns
    -------
    Register

    Errors
    ------
    TwinError
        No register there and no twin, a twin without a surface, choices out of range, a database that does not answer.

    Examples
    --------
    >>> import tempfile, twinkit as tk
    >>> people = xr.DataArray(np.ones((40, 40)), dims=("y", "x"), name="people")
    >>> axis = np.arange(40) * 250.0
    >>> surface = people.assign_coords(x=700e3 + axis, y=3440e3 + axis).to_dataset()
    >>> twin = tk.assemble({"surface": surface}, title="a valley", crs="EPSG:32643")
    >>> with register(tempfile.mkdtemp() + "/pins.db", twin=twin, moderated=False) as pins:
    ...     done = pins.receive("no signal", "None at the school.", x=704e3, y=3444e3, source="a", key="form 1")
    ...     pins.follow(done.code).state
    'received'
    """
    made = database.engine(where)
    try:
        database.prepared(made)
        out = Register(made, clock or (lambda: dt.datetime.now(dt.UTC)))
        out._settle(twin, square=square, fewest=fewest, hourly=hourly, keep=keep, moderated=moderated)
    except BaseException:
        made.dispose()
        raise
    return out


class Register:
    """Pins of one region in a database; made by `register`. Usable by many threads and processes at once."""

    def __init__(self, made: Any, clock: Callable[[], dt.datetime]) -> None:
        self._engine, self._clock = made, clock
        self.choices: dict[str, Any] = {}
        self._secret = b""

    def __enter__(self) -> Register:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Register of {self.choices.get('place') or 'a region'} in {self._engine.url.render_as_string()}"

    def close(self) -> None:
        """Let go of the database."""
        self._engine.dispose()

    # ---------------------------------------------------------------- a citizen

    def receive(self, subject: str, words: str, *, x: float, y: float, source: str, key: str) -> Receipt:
        """Write down a pin; it is on the disk when this returns.

        Parameters
        ----------
        subject : str
            "no signal", "slow", "proposal" or "worry".
        words : str
            At most 600 characters.
        x, y : float [m]
            In the twin's CRS; kept as the square in which they lie.
        source : str
            Where it came from, such as a network address: for the hourly limit, never kept as it is.
        key : str
            Of the form. The same key again gives the same receipt and no second pin.

        Returns
        -------
        Receipt

        Errors
        ------
        TwinError
            Another subject, no words or too many, a place outside the region, too many pins from there in this hour.
        """
        from twinkit.participate import tables

        if subject not in tables.SUBJECTS:
            near = close_to(str(subject), tables.SUBJECTS)
            raise TwinError(
                f"one of {', '.join(tables.SUBJECTS)}",
                found=f"'{escaped(str(subject)[:40])}'",
                hint=f"did you mean {near}?" if near else "choose one of them",
                where="subject",
            )
        said = _said(words)
        place = self._square(x, y)
        digest, code = _digest(said), self._code(key)
        with self._change(f"source {source}") as (connection, now):
            known = self._known(connection, key)
            if known is not None:
                return Receipt(known[0], code, known[1])
            self._limited(connection, source, now)
            flag = self._flag(connection, digest, place, now)
            state = "waiting" if flag or self.choices["moderated"] else "received"
            number = self._insert(
                connection, subject=subject, words=said, digest=digest, place=place, state=state, flag=flag, now=now
            )
            connection.execute(tables.receipt.insert().values(key=_hash(key), pin=number, code=_hash(code)))
            self._happened(connection, number, state, "citizen", "", {}, now)
        return Receipt(number, code, state)

    def support(self, number: int, *, person: str, source: str) -> int:
        """Support a pin that is shown; twice is once. Gives how many do.

        Parameters
        ----------
        number : int
        person : str
            What tells one person from another, such as a cookie's value; kept as a keyed digest.
        source : str
            As for `receive`: ten times as many supports as pins in an hour.

        Errors
        ------
        TwinError
            No such pin is shown, or too many from one source.
        """
        import sqlalchemy as sql

        from twinkit.participate import tables

        with self._change(f"source {source}") as (connection, now):
            shown = connection.execute(
                sql.select(tables.pin.c.id).where(tables.pin.c.id == number, tables.pin.c.state.in_(SHOWN))
            ).first()
            if shown is None:
                raise _nothing(number)
            who = self._keyed(f"person {person}")
            mine = (tables.support.c.pin == number) & (tables.support.c.person == who)
            if connection.execute(sql.select(tables.support.c.pin).where(mine)).first() is None:
                self._limited(connection, f"support {source}", now, times=10)
                connection.execute(tables.support.insert().values(pin=number, person=who, received=now))
            count = sql.select(sql.func.count()).where(tables.support.c.pin == number)
            return int(connection.execute(count).scalar_one())

    def follow(self, code: str) -> Pin:
        """The pin of a receipt, with all that happened to it.

        Errors
        ------
        TwinError
            No pin has this code, or it was taken back.
        """
        with self._look() as connection:
            return self._pin(connection, self._of_code(connection, code))

    def withdraw(self, code: str) -> None:
        """Take a pin back: its words, its supports and what happened to it are deleted.

        Errors
        ------
        TwinError
            No pin has this code, or it was taken back before.
        """
        from twinkit.participate import tables

        with self._change("withdraw") as (connection, _):
            number = self._of_code(connection, code)
            connection.execute(tables.pin.delete().where(tables.pin.c.id == number))
        self._forgotten()

    # ---------------------------------------------------------------- what everybody sees

    def squares(self, *, fewest: int | None = None) -> xr.Dataset:
        """Pins that are shown, counted in squares of the grid, where enough of them lie.

        Parameters
        ----------
        fewest : int, optional
            Pins that a square must have; left out, the register's own number, which is what may be published.

        Returns
        -------
        Dataset
            ``pins`` (square, subject) [1], with ``x`` and ``y`` [m] of the squares' middles. No words.
        """
        import sqlalchemy as sql

        from twinkit.participate import tables

        least = self.choices["fewest"] if fewest is None else fewest
        within(least, 1, 1e6, name="fewest", unit="1")
        p = tables.pin.c
        counted = (
            sql.select(p.column, p.row, p.subject, sql.func.count())
            .where(p.state.in_(SHOWN))
            .group_by(p.column, p.row, p.subject)
        )
        with self._look() as connection:
            rows = connection.execute(counted).all()
        where = sorted({(int(c), int(r)) for c, r, _, _ in rows})
        counts = np.zeros((len(where), len(tables.SUBJECTS)))
        for column, row, subject, many in rows:
            counts[where.index((column, row)), tables.SUBJECTS.index(subject)] = many
        enough = counts.sum(axis=1) >= least
        where = [w for w, e in zip(where, enough, strict=True) if e]
        middle = np.array([self._middle(w) for w in where]).reshape(-1, 2)
        coords = {
            "square": np.array([f"{c},{r}" for c, r in where], dtype=object),
            "subject": np.array(tables.SUBJECTS, dtype=object),
        }
        made = xr.DataArray(
            counts[enough], coords, ("square", "subject"), attrs={"provenance": "measured: citizens' pins"}
        )
        out = stamp(made, "pins", given_by="participate.Register.squares").to_dataset()
        out = out.assign_coords(x=("square", middle[:, 0], {"units": "m"}), y=("square", middle[:, 1], {"units": "m"}))
        return out.assign_attrs(square=self.choices["square"], crs=self.choices["crs"])

    def proposals(self, *, most: int = 100) -> list[Pin]:
        """Proposals that are shown, the most supported first, with all that happened to them."""
        import sqlalchemy as sql

        from twinkit.participate import tables

        p = tables.pin.c
        many = sql.select(sql.func.count()).where(tables.support.c.pin == p.id).correlate(tables.pin).scalar_subquery()
        wanted = (
            sql.select(p.id).where(p.subject == "proposal", p.state.in_(SHOWN)).order_by(many.desc(), p.id).limit(most)
        )
        with self._look() as connection:
            return [self._pin(connection, number) for (number,) in connection.execute(wanted).all()]

    # ---------------------------------------------------------------- a moderator, a planner

    def waiting(self, *, most: int = 100) -> list[Pin]:
        """Pins that wait for a moderator, the oldest first; `flag` says why one waits although others do not."""
        import sqlalchemy as sql

        from twinkit.participate import tables

        p = tables.pin.c
        with self._look() as connection:
            wanted = sql.select(p.id).where(p.state == "waiting").order_by(p.id).limit(most)
            return [self._pin(connection, number) for (number,) in connection.execute(wanted).all()]

    def moderate(self, number: int, *, show: bool, by: str, reason: str = "") -> Pin:
        """Show a pin, or hide it and say why.

        Errors
        ------
        TwinError
            No such pin, one that was studied already, no name, or a pin hidden without a reason.
        """
        with self._change(f"pin {number}") as (connection, now):
            pin = self._pin(connection, number)
            if pin.state not in ("waiting", "hidden", "received"):
                raise TwinError(
                    "a pin that is not studied yet", found=f"one that is {pin.state}", hint="advance it instead"
                )
            if not show and not reason.strip():
                raise TwinError("a reason", found="none", hint="its author can read it: say what was wrong")
            state = "received" if show else "hidden"
            if state != pin.state:
                self._becomes(connection, number, state, by, reason, {}, now)
            return self._pin(connection, number)

    def advance(
        self, number: int, state: str, *, by: str, reason: str = "", figures: Mapping[str, float] | None = None
    ) -> Pin:
        """Take a pin a step further: studied, with the figures found, then accepted or rejected, with the reason.

        Parameters
        ----------
        number : int
        state : str
            "studied", "accepted" or "rejected".
        by : str
            The name under which the planner acts.
        reason : str
        figures : mapping of name to number, optional

        Errors
        ------
        TwinError
            No such pin, a step that does not follow, a study without figures, a decision without a reason.
        """
        found = {str(k): float(v) for k, v in (figures or {}).items()}
        with self._change(f"pin {number}") as (connection, now):
            pin = self._pin(connection, number)
            after = NEXT.get(pin.state, ())
            if state not in after:
                raise TwinError(
                    f"one of {', '.join(after)}" if after else "a pin that is shown and not decided",
                    found=f"'{escaped(str(state)[:40])}' after {pin.state}",
                    hint="moderate it first" if pin.state in ("waiting", "hidden") else "a decision stays",
                    where="state",
                )
            if state == "studied" and (not found or not all(math.isfinite(v) for v in found.values())):
                raise TwinError("the figures of the study", found=f"{found}", hint='figures={"people gained": 1200}')
            if state in ("accepted", "rejected") and not reason.strip():
                raise TwinError("the reason of the decision", found="none", hint="whoever wrote the pin will read it")
            self._becomes(connection, number, state, by, reason, found, now)
            return self._pin(connection, number)

    def expire(self) -> int:
        """Delete what is older than the register keeps, but for accepted proposals; gives how many pins went."""
        from twinkit.participate import tables

        p = tables.pin.c
        with self._change("expire") as (connection, now):
            old = (p.received < now - dt.timedelta(days=self.choices["keep"])) & (p.state != "accepted")
            gone = connection.execute(tables.pin.delete().where(old)).rowcount
        self._forgotten()
        return int(gone)

    # ---------------------------------------------------------------- within

    def _settle(self, twin: xr.DataTree | None, **choices: Any) -> None:
        from twinkit.participate import tables

        with self._change("settings") as (connection, _):
            held = {name: json.loads(value) for name, value in connection.execute(tables.setting.select())}
            if not held:
                held = _choices(twin, **choices) | {"secret": secrets.token_hex(32)}
                rows = [{"name": n, "value": json.dumps(v)} for n, v in held.items()]
                connection.execute(tables.setting.insert(), rows)
        self._secret = bytes.fromhex(held.pop("secret"))
        self.choices = held

    @contextlib.contextmanager
    def _look(self) -> Iterator[Any]:
        with database.faults(self._engine), self._engine.begin() as connection:
            yield connection

    @contextlib.contextmanager
    def _change(self, what: str) -> Iterator[tuple[Any, dt.datetime]]:
        """A transaction and its moment; changes of the same name follow one another."""
        number = int.from_bytes(hashlib.sha256(what.encode()).digest()[:7], "big")
        with self._look() as connection:
            database.alone(connection, number)
            yield connection, self._clock().astimezone(dt.UTC).replace(tzinfo=None)

    def _keyed(self, text: str) -> str:
        return hmac.new(self._secret, text.encode(), "sha256").hexdigest()

    def _code(self, key: str) -> str:
        # made from the key of the form, so that a form sent twice is answered twice with the same code
        if not isinstance(key, str) or not 1 <= len(key) <= 200:
            raise TwinError("the key of a form, 1 to 200 characters", found="another", hint="a random one a form")
        made = hmac.new(self._secret, f"code {key}".encode(), "sha256").digest()
        return base64.b32encode(made[:15]).decode().lower()

    def _square(self, x: float, y: float) -> tuple[int, int]:
        left, right, low, high = self.choices["bounds"]
        if not (
            all(isinstance(v, (int, float, np.floating, np.integer)) and math.isfinite(v) for v in (x, y))
            and left <= x <= right
            and low <= y <= high
        ):
            raise TwinError(
                "a place in the region",
                found="one outside it",
                hint=f"x from {left:.0f} to {right:.0f}, y from {low:.0f} to {high:.0f} m",
                where="x, y",
            )
        side = self.choices["square"]
        return int((x - left) // side), int((y - low) // side)

    def _middle(self, square: tuple[int, int]) -> tuple[float, float]:
        left, _, low, _ = self.choices["bounds"]
        side = self.choices["square"]
        return left + (square[0] + 0.5) * side, low + (square[1] + 0.5) * side

    def _known(self, connection: Any, key: str) -> tuple[int, str] | None:
        import sqlalchemy as sql

        from twinkit.participate import tables

        r, p = tables.receipt.c, tables.pin.c
        row = connection.execute(sql.select(p.id, p.state).where(r.key == _hash(key), p.id == r.pin)).first()
        return None if row is None else (int(row[0]), str(row[1]))

    def _limited(self, connection: Any, source: str, now: dt.datetime, *, times: int = 1) -> None:
        """Count a visit, or raise where there were too many; digests of days before yesterday are deleted."""
        import sqlalchemy as sql

        from twinkit.participate import tables

        if not isinstance(source, str) or not source or len(source) > 400:
            raise TwinError("where it came from, as text", found="nothing or too much", hint="a network address")
        v = tables.visit.c
        connection.execute(tables.visit.delete().where(v.at < now - DAY))
        mine = [self._keyed(f"visit {day} {source}") for day in ((now - DAY).date(), now.date())]
        hour = now - dt.timedelta(hours=1)
        before = connection.execute(sql.select(v.at).where(v.source.in_(mine), v.at > hour).order_by(v.at)).all()
        if len(before) >= times * self.choices["hourly"]:
            wait = math.ceil((before[0][0] - hour).total_seconds() / 60)
            raise TwinError(
                f"at most {times * self.choices['hourly']} in an hour from one place",
                found="more",
                hint=f"come back in {max(wait, 1)} min; what you sent before is kept",
                where="source",
            )
        connection.execute(tables.visit.insert().values(source=mine[1], at=now))

    def _flag(self, connection: Any, digest: str, place: tuple[int, int], now: dt.datetime) -> str:
        import sqlalchemy as sql

        from twinkit.participate import tables

        p = tables.pin.c
        same = sql.select(p.column, p.row).where(p.digest == digest, p.received > now - DAY)
        before = [(int(c), int(r)) for c, r in connection.execute(same)]
        return "flood" if len(before) >= FLOOD else "repeated" if place in before else ""

    def _insert(
        self,
        connection: Any,
        *,
        subject: str,
        words: str,
        digest: str,
        place: tuple[int, int],
        state: str,
        flag: str,
        now: dt.datetime,
        reference: str | None = None,
    ) -> int:
        from twinkit.participate import tables

        row = {
            "subject": subject, "words": words, "digest": digest, "column": place[0], "row": place[1], "state": state,
            "flag": flag, "received": now, "reference": reference,
        }  # fmt: skip
        return int(connection.execute(tables.pin.insert().values(row)).inserted_primary_key[0])

    def _happened(
        self,
        connection: Any,
        number: int,
        state: str,
        by: str,
        reason: str,
        figures: dict[str, float],
        now: dt.datetime,
    ) -> None:
        from twinkit.participate import tables

        if not by.strip() or len(by) > 80:
            raise TwinError("a name of 1 to 80 characters", found="another", hint="who answers for this?", where="by")
        row = {
            "pin": number, "state": state, "by": _said(by), "reason": _said(reason) if reason.strip() else "",
            "figures": json.dumps(figures), "at": now,
        }  # fmt: skip
        connection.execute(tables.event.insert().values(row))

    def _becomes(
        self,
        connection: Any,
        number: int,
        state: str,
        by: str,
        reason: str,
        figures: dict[str, float],
        now: dt.datetime,
    ) -> None:
        from twinkit.participate import tables

        connection.execute(tables.pin.update().where(tables.pin.c.id == number).values(state=state))
        self._happened(connection, number, state, by, reason, figures, now)

    def _of_code(self, connection: Any, code: str) -> int:
        import sqlalchemy as sql

        from twinkit.participate import tables

        tidy = str(code)[:200].strip().lower().replace(" ", "").replace("-", "")
        held = sql.select(tables.receipt.c.pin).where(tables.receipt.c.code == _hash(tidy))
        row = connection.execute(held).first()
        if row is None:
            raise TwinError("the code of a receipt", found="one that no pin has", hint="was the pin taken back?")
        return int(row[0])

    def _pin(self, connection: Any, number: int) -> Pin:
        import sqlalchemy as sql

        from twinkit.participate import tables

        row = connection.execute(tables.pin.select().where(tables.pin.c.id == number)).mappings().first()
        if row is None:
            raise _nothing(number)
        many = connection.execute(sql.select(sql.func.count()).where(tables.support.c.pin == number)).scalar_one()
        e = tables.event.c
        steps = connection.execute(tables.event.select().where(e.pin == number).order_by(e.id)).mappings()
        happenings = tuple(
            Happening(s["state"], s["by"], s["reason"], json.loads(s["figures"]), s["at"].replace(tzinfo=dt.UTC))
            for s in steps
        )
        return Pin(
            row["id"], row["subject"], row["words"], (row["column"], row["row"]), row["state"], row["flag"], int(many),
            row["received"].replace(tzinfo=dt.UTC), row["reference"] or "", happenings,
        )  # fmt: skip

    def _forgotten(self) -> None:
        """What was deleted leaves SQLite's log, too."""
        if self._engine.dialect.name == "sqlite":
            raw = self._engine.raw_connection()
            try:
                raw.driver_connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").close()
            finally:
                raw.close()


def _nothing(number: Any) -> TwinError:
    return TwinError("the number of a pin", found=escaped(str(number)[:40]), hint="it is not shown, or was taken back")


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _said(words: Any) -> str:
    """Words as they are kept: no control characters, no marks that turn the direction of what follows."""
    if not isinstance(words, str) or len(words) > 8 * LONGEST:
        raise TwinError(f"at most {LONGEST} characters", found="far more, or no text", hint="say it shorter")
    kept = "".join(
        " " if c.isspace() else c for c in unicodedata.normalize("NFC", words)
        if c.isspace() or unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Co", "Cn") or c in "\u200c\u200d"
    )  # fmt: skip
    out = " ".join(kept.split())
    if not 1 <= len(out) <= LONGEST:
        raise TwinError(
            f"1 to {LONGEST} characters", found=f"{len(out)}", hint="say it shorter" if out else "say what is wrong"
        )
    return out


def _digest(words: str) -> str:
    """Of the letters and digits alone: what is said again with other dots and capitals is the same."""
    folded = unicodedata.normalize("NFKC", words).casefold()
    return _hash("".join(c for c in folded if c.isalnum()) or folded)


def _choices(
    twin: xr.DataTree | None, *, square: float, fewest: int, hourly: int, keep: float, moderated: bool
) -> dict[str, Any]:
    if not isinstance(twin, xr.DataTree) or "surface" not in twin.children:
        raise TwinError(
            "the twin whose surface says where the region lies",
            found="no register here yet, and no twin" if twin is None else "a twin without a surface",
            hint="register(where, twin=twin)",
            where="twin",
        )
    within(square, 100, 1e5, name="square", unit="m")
    within(fewest, 1, 1e6, name="fewest", unit="1")
    within(hourly, 1, 1e6, name="hourly", unit="1")
    within(keep, 1, 36525, name="keep", unit="day")
    surface = twin.children["surface"]
    x, y = (np.asarray(surface[d].values, float) for d in ("x", "y"))
    half = [float(abs(a[1] - a[0])) / 2 if len(a) > 1 else square / 2 for a in (x, y)]
    bounds = [x.min() - half[0], x.max() + half[0], y.min() - half[1], y.max() + half[1]]
    return {
        "bounds": [float(b) for b in bounds], "crs": str(twin.attrs.get("crs", "")),
        "place": str(twin.attrs.get("place", "") or twin.attrs.get("title", "")), "square": float(square),
        "fewest": int(fewest), "hourly": int(hourly), "keep": float(keep), "moderated": bool(moderated),
    }  # fmt: skip
