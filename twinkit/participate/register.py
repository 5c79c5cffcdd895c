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
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from twinkit.contract import stamp, within
from twinkit.error import TwinError, close_to, escaped
from twinkit.participate import database, rows
from twinkit.participate.limits import DAY, counted, flagged
from twinkit.participate.pin import Happening, Pin, Receipt, digest, hashed, said

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

__all__ = ["Happening", "Pin", "Receipt", "Register", "register"]

SHOWN = ("received", "studied", "accepted", "rejected")
BEFORE = {"waiting": "moderate it first", "hidden": "moderate it first", "received": "study it first"}
NEXT = {"received": ("studied", "rejected"), "studied": ("studied", "accepted", "rejected")}


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
        kept = said(words)
        place = self._square(x, y)
        same, code = digest(kept), self._code(key)
        with self._change(f"source {source}") as (connection, now):
            known = rows.known(connection, key)
            if known is not None:
                return Receipt(known[0], code, known[1])
            counted(connection, source, now, keyed=self._keyed, most=self.choices["hourly"])
            flag = flagged(connection, same, place, now)
            state = "waiting" if flag or self.choices["moderated"] else "received"
            number = self._insert(
                connection, subject=subject, words=kept, digest=same, place=place, state=state, flag=flag, now=now
            )
            connection.execute(tables.receipt.insert().values(key=hashed(key), pin=number, code=hashed(code)))
            rows.happened(connection, number, state, "citizen", now=now)
        return Receipt(number, code, state)

    def support(self, number: int, *, person: str, source: str, on: bool = True) -> int:
        """Support a pin that is shown, or take the support back; twice is once. Gives how many do.

        Parameters
        ----------
        number : int
        person : str
            What tells one person from another, such as a cookie's value; kept as a keyed digest.
        source : str
            As for `receive`: ten times as many supports as pins in an hour.
        on : bool
            False takes it back.

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
                raise rows.nothing(number)
            who = self._keyed(f"person {person}")
            mine = (tables.support.c.pin == number) & (tables.support.c.person == who)
            if not on:
                connection.execute(tables.support.delete().where(mine))
            elif connection.execute(sql.select(tables.support.c.pin).where(mine)).first() is None:
                most = 10 * self.choices["hourly"]
                counted(connection, f"support {source}", now, keyed=self._keyed, most=most)
                connection.execute(tables.support.insert().values(pin=number, person=who, received=now))
            count = sql.select(sql.func.count()).where(tables.support.c.pin == number)
            return int(connection.execute(count).scalar_one())

    def supported(self, person: str) -> set[int]:
        """Numbers of the pins that a person supports."""
        import sqlalchemy as sql

        from twinkit.participate import tables

        s = tables.support.c
        with self._look() as connection:
            mine = connection.execute(sql.select(s.pin).where(s.person == self._keyed(f"person {person}")))
            return {int(number) for (number,) in mine}

    def follow(self, code: str) -> Pin:
        """The pin of a receipt, with all that happened to it.

        Errors
        ------
        TwinError
            No pin has this code, or it was taken back.
        """
        with self._look() as connection:
            return rows.the_pin(connection, rows.number_of(connection, code))

    def withdraw(self, code: str) -> None:
        """Take a pin back: its words, its supports and what happened to it are deleted.

        Errors
        ------
        TwinError
            No pin has this code, or it was taken back before.
        """
        with self._change("withdraw") as (connection, now):
            self._delete(connection, rows.number_of(connection, code), "citizen", "", now)
        self._forgotten()

    # ---------------------------------------------------------------- what everybody sees

    def counted(
        self, *, fewest: int | None = None, square: tuple[int, int] | None = None
    ) -> dict[tuple[int, int], tuple[int, ...]]:
        """Pins that are shown, counted: of each square where enough lie, how many of each subject, in their order.

        Parameters
        ----------
        fewest : int, optional
            As for `squares`.
        square : (int, int), optional
            Of this square alone.
        """
        import sqlalchemy as sql

        from twinkit.participate import tables

        least = self.choices["fewest"] if fewest is None else fewest
        within(least, 1, 1e6, name="fewest", unit="1")
        p = tables.pin.c
        wanted: Any = p.state.in_(SHOWN)
        if square is not None:
            wanted &= (p.column == square[0]) & (p.row == square[1])
        many = sql.select(p.column, p.row, p.subject, sql.func.count()).where(wanted)
        with self._look() as connection:
            found = connection.execute(many.group_by(p.column, p.row, p.subject)).all()
        counts: dict[tuple[int, int], list[int]] = {}
        for column, row, subject, count in found:
            one = counts.setdefault((int(column), int(row)), [0] * len(tables.SUBJECTS))
            one[tables.SUBJECTS.index(subject)] = int(count)
        return {where: tuple(counts[where]) for where in sorted(counts) if sum(counts[where]) >= least}

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
        from twinkit.participate import tables

        found = self.counted(fewest=fewest)
        middle = np.array([self._middle(w) for w in found]).reshape(-1, 2)
        coords = {
            "square": np.array([f"{c},{r}" for c, r in found], dtype=object),
            "subject": np.array(tables.SUBJECTS, dtype=object),
        }
        counts = np.array(list(found.values()), float).reshape(-1, len(tables.SUBJECTS))
        made = xr.DataArray(counts, coords, ("square", "subject"), attrs={"provenance": "measured: citizens' pins"})
        out = stamp(made, "pins", given_by="participate.Register.squares").to_dataset()
        out = out.assign_coords(x=("square", middle[:, 0], {"units": "m"}), y=("square", middle[:, 1], {"units": "m"}))
        return out.assign_attrs(square=self.choices["square"], crs=self.choices["crs"])

    def proposals(self, *, states: Sequence[str] = SHOWN, most: int = 100, skip: int = 0) -> list[Pin]:
        """Proposals that are shown, the most supported first, with all that happened to them.

        Parameters
        ----------
        states : sequence of str
            Of these states alone.
        most, skip : int
            How many, after leaving out so many.
        """
        import sqlalchemy as sql

        from twinkit.participate import tables

        p = tables.pin.c
        many = sql.select(sql.func.count()).where(tables.support.c.pin == p.id).correlate(tables.pin).scalar_subquery()
        wanted = (p.subject == "proposal") & p.state.in_([s for s in states if s in SHOWN])
        return self._listed(wanted, (many.desc(), p.id), most, skip)

    def counts(self) -> dict[str, int]:
        """How many pins are in each state, and how many were deleted by their authors and by officials."""
        import sqlalchemy as sql

        from twinkit.participate import tables

        p, s = tables.pin.c, tables.spent.c
        out = dict.fromkeys((*tables.STATES, "taken back", "deleted"), 0)
        with self._look() as connection:
            held = connection.execute(sql.select(p.state, sql.func.count()).group_by(p.state))
            out |= {str(state): int(many) for state, many in held}
            for by, many in connection.execute(sql.select(s.by, sql.func.count()).group_by(s.by)):
                out["taken back" if by == "citizen" else "deleted"] += int(many)
        return out

    # ---------------------------------------------------------------- a moderator, a planner

    def pin(self, number: int) -> Pin:
        """A pin by its number, whatever its state: for officials.

        Errors
        ------
        TwinError
            No such pin.
        """
        with self._look() as connection:
            return rows.the_pin(connection, number)

    def waiting(self, *, most: int = 100, skip: int = 0) -> list[Pin]:
        """Pins that wait for a moderator, the oldest first; `flag` says why one waits although others do not."""
        from twinkit.participate import tables

        return self._listed(tables.pin.c.state == "waiting", (tables.pin.c.id,), most, skip)

    def reports(self, *, most: int = 100, skip: int = 0) -> list[Pin]:
        """What citizens report, proposals apart, that was not decided: by squares, the fullest first."""
        import sqlalchemy as sql

        from twinkit.participate import tables

        p = tables.pin.c
        other = tables.pin.alias()
        near = (other.c.column == p.column) & (other.c.row == p.row) & other.c.state.in_(SHOWN)
        many = sql.select(sql.func.count()).select_from(other).where(near).correlate(tables.pin).scalar_subquery()
        wanted = (p.subject != "proposal") & p.state.in_(("received", "studied"))
        return self._listed(wanted, (many.desc(), p.column, p.row, p.id), most, skip)

    def moderate(self, number: int, *, show: bool, by: str, reason: str = "") -> Pin:
        """Show a pin, or hide it and say why.

        Errors
        ------
        TwinError
            No such pin, one that was studied already, no name, or a pin hidden without a reason.
        """
        with self._change(f"pin {number}") as (connection, now):
            pin = rows.the_pin(connection, number)
            if pin.state not in ("waiting", "hidden", "received"):
                raise TwinError(
                    "a pin that is not studied yet", found=f"one that is {pin.state}", hint="advance it instead"
                )
            if not show and not reason.strip():
                raise TwinError(
                    "a reason", found="none", hint="its author can read it: say what was wrong", where="reason"
                )
            state = "received" if show else "hidden"
            if state != pin.state:
                rows.becomes(connection, number, state, by, reason, now=now)
            return rows.the_pin(connection, number)

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
            pin = rows.the_pin(connection, number)
            after = NEXT.get(pin.state, ())
            if state not in after:
                raise TwinError(
                    f"one of {', '.join(after)}" if after else "a pin that is shown and not decided",
                    found=f"'{escaped(str(state)[:40])}' after {pin.state}",
                    hint=BEFORE.get(pin.state, "a decision stays"),
                    where="state",
                )
            if state == "studied" and (not found or not all(math.isfinite(v) for v in found.values())):
                raise TwinError("the figures of the study", found=f"{found}", hint='figures={"people gained": 1200}')
            if state in ("accepted", "rejected") and not reason.strip():
                raise TwinError("the reason of the decision", found="none", hint="its author reads it", where="reason")
            rows.becomes(connection, number, state, by, reason, found, now=now)
            return rows.the_pin(connection, number)

    def delete(self, number: int, *, by: str, reason: str) -> None:
        """Delete a pin on request, such as of somebody whom it names: its words are gone, not hidden.

        That it was done, by whom and why, is kept; neither its number nor its words. Do not repeat them in the reason.

        Errors
        ------
        TwinError
            No such pin, no name, no reason.
        """
        with self._change("withdraw") as (connection, now):
            if not reason.strip():
                raise TwinError("a reason", found="none", hint="who asked for it? without names", where="reason")
            rows.the_pin(connection, number)
            self._delete(connection, number, said(by), said(reason, where="reason"), now)
        self._forgotten()

    def expire(self) -> int:
        """Delete what is older than the register keeps, but for accepted proposals; gives how many pins went."""
        from twinkit.participate import tables

        p = tables.pin.c
        with self._change("expire") as (connection, now):
            before = now - dt.timedelta(days=self.choices["keep"])
            gone = rows.deleted(connection, (p.received < before) & (p.state != "accepted"))
            connection.execute(tables.spent.delete().where(tables.spent.c.at < before))
            connection.execute(tables.visit.delete().where(tables.visit.c.at < now - DAY))
        self._forgotten()
        return gone

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
        held.pop("last", None)
        self.choices = held

    @contextlib.contextmanager
    def _look(self) -> Iterator[Any]:
        looking = self._engine.execution_options(looks=True)
        with database.faults(self._engine), looking.begin() as connection:
            yield connection

    def _listed(self, wanted: Any, order: tuple[Any, ...], most: int, skip: int) -> list[Pin]:
        import sqlalchemy as sql

        from twinkit.participate import tables

        chosen = sql.select(tables.pin.c.id).where(wanted).order_by(*order).limit(most).offset(skip)
        with self._look() as connection:
            return rows.pins(connection, [int(number) for (number,) in connection.execute(chosen)])

    def _delete(self, connection: Any, number: int, by: str, reason: str, now: dt.datetime) -> None:
        """Delete a pin, and remember its form, so that the same form, or the same import, does not bring it back."""
        import sqlalchemy as sql

        from twinkit.participate import tables

        r, p = tables.receipt.c, tables.pin.c
        key = connection.execute(sql.select(r.key).where(r.pin == number)).scalar()
        reference = connection.execute(sql.select(p.reference).where(p.id == number)).scalar()
        row = {"key": key or hashed(reference or secrets.token_hex(16)), "by": by, "reason": reason, "at": now}
        connection.execute(tables.spent.insert().values(row))
        rows.deleted(connection, p.id == number)

    @contextlib.contextmanager
    def _change(self, what: str) -> Iterator[tuple[Any, dt.datetime]]:
        """A transaction and its moment; changes of the same name follow one another."""
        number = int.from_bytes(hashlib.sha256(what.encode()).digest()[:7], "big")
        with database.faults(self._engine), self._engine.begin() as connection:
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
        row = {
            "subject": subject, "words": words, "digest": digest, "column": place[0], "row": place[1], "state": state,
            "flag": flag, "received": now, "reference": reference,
        }  # fmt: skip
        return rows.inserted(connection, row)

    def _forgotten(self) -> None:
        """What was deleted leaves SQLite's log, too."""
        if self._engine.dialect.name == "sqlite":
            raw = self._engine.raw_connection()
            try:
                raw.driver_connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").close()
            finally:
                raw.close()


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
