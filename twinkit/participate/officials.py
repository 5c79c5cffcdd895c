"""Officials: who may moderate, plan and appoint, and how they show that it is they."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import hmac
import secrets
from typing import TYPE_CHECKING

from twinkit.error import TwinError, close_to, escaped
from twinkit.participate.limits import counted

if TYPE_CHECKING:
    from twinkit.participate.register import Register

__all__ = ["MAY", "appoint", "dismiss", "known", "leave", "pass_for", "passed", "role_of"]

MAY = {
    "viewer": frozenset({"look"}),
    "moderator": frozenset({"look", "moderate"}),
    "planner": frozenset({"look", "plan"}),
    "administrator": frozenset({"look", "moderate", "plan"}),
}
COST = {"n": 2**14, "r": 8, "p": 1}
SHORTEST = 10
LASTS = dt.timedelta(hours=8)


def appoint(register: Register, name: str, role: str, *, password: str) -> None:
    """Give somebody a role, or another role and password.

    Parameters
    ----------
    register : Register
    name : str
    role : str
        viewer, moderator, planner or administrator.
    password : str
        At least ten characters; kept as scrypt makes it.

    Errors
    ------
    TwinError
        An unknown role, a name or password that is too short or too long.
    """
    from twinkit.participate import tables

    if role not in MAY:
        near = close_to(role, list(MAY))
        raise TwinError(
            f"one of {', '.join(MAY)}",
            found=f"'{escaped(role[:40])}'",
            hint=f"did you mean {near}?" if near else "choose one of them",
            where="role",
        )
    if not 1 <= len(name.strip()) <= 80 or name != name.strip() or not name.isprintable():
        raise TwinError("a name of 1 to 80 letters", found=f"'{escaped(name[:90])}'", hint="'Asha'", where="name")
    if not SHORTEST <= len(password) <= 200:
        raise TwinError(
            f"a password of {SHORTEST} to 200 characters",
            found=f"{len(password)}",
            hint="three words that nobody would put together",
        )
    salt = secrets.token_bytes(16)
    secret = f"{salt.hex()}:{hashlib.scrypt(password.encode(), salt=salt, **COST).hex()}"
    with register._change(f"official {name}") as (connection, _):
        connection.execute(tables.official.delete().where(tables.official.c.name == name))
        connection.execute(tables.official.insert().values(name=name, role=role, secret=secret))


def dismiss(register: Register, name: str) -> None:
    """Take a role away; whoever is signed in under the name is out at once.

    Errors
    ------
    TwinError
        Nobody of this name.
    """
    from twinkit.participate import tables

    with register._change(f"official {name}") as (connection, _):
        if not connection.execute(tables.official.delete().where(tables.official.c.name == name)).rowcount:
            raise TwinError("the name of an official", found=f"'{escaped(name[:90])}'", hint="names are as appointed")


def known(register: Register, name: str, password: str, *, source: str) -> bool:
    """Whether the password is that of the official; as many tries in an hour from one source as pins.

    Errors
    ------
    TwinError
        Too many tries.
    """
    from twinkit.participate import tables

    with register._change(f"source {source}") as (connection, now):
        counted(connection, f"password {source}", now, keyed=register._keyed, most=register.choices["hourly"])
        held = tables.official
        row = connection.execute(held.select().where(held.c.name == name[:80])).mappings().first()
    # A name that nobody has takes as long as one that somebody has.
    salt, _, right = (row["secret"] if row else f"{bytes(16).hex()}:").partition(":")
    made = hashlib.scrypt(password[:200].encode(), salt=bytes.fromhex(salt), **COST).hex()
    return hmac.compare_digest(made, right)


def pass_for(register: Register, name: str) -> str:
    """What a signed-in official's browser carries: the name and an end, signed, bound to the password."""
    until = int((register._clock() + LASTS).timestamp())
    text = f"{until}:{name}"
    return (
        base64.urlsafe_b64encode(text.encode()).decode() + "." + register._keyed(f"pass {text} {_of(register, name)}")
    )


def passed(register: Register, carried: str) -> tuple[str, str] | None:
    """Name and role of whoever carries a pass that holds; None for any other."""
    body, _, signed = carried[:600].partition(".")
    try:
        text = base64.urlsafe_b64decode(body.encode()).decode()
        until, _, name = text.partition(":")
        late = int(until) < register._clock().timestamp()
    except (ValueError, UnicodeError):
        return None
    held = _of(register, name)
    if late or not held or not hmac.compare_digest(register._keyed(f"pass {text} {held}"), signed):
        return None
    return name, held.partition(" ")[0]


def role_of(register: Register, name: str) -> str | None:
    """The role that somebody was given; None for nobody."""
    return _of(register, name).partition(" ")[0] or None


def leave(register: Register, name: str) -> None:
    """Sign somebody out everywhere: the passes given so far open nothing any more."""
    from twinkit.participate import tables

    held = tables.official
    with register._change(f"official {name}") as (connection, _):
        connection.execute(held.update().where(held.c.name == name).values(turn=held.c.turn + 1))


def _of(register: Register, name: str) -> str:
    """Role, turn and kept secret of an official: a new password, another role or signing out ends the passes so far."""
    from twinkit.participate import tables

    with register._look() as connection:
        held = tables.official
        row = connection.execute(held.select().where(held.c.name == name[:80])).mappings().first()
    return f"{row['role']} {row['turn']} {row['secret']}" if row else ""
