"""What the register of citizens' pins keeps, as tables of SQLite or PostgreSQL.

No name, no address, no exact place: a pin lies in a square of the grid from the moment in which it is written.
"""

from __future__ import annotations

from sqlalchemy import (
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from twinkit.participate.pin import SUBJECTS

__all__ = [
    "FLAGS",
    "ROLES",
    "STATES",
    "SUBJECTS",
    "event",
    "metadata",
    "official",
    "pin",
    "receipt",
    "setting",
    "spent",
    "support",
    "visit",
]

STATES = ("waiting", "hidden", "received", "studied", "accepted", "rejected")
"""waiting: for a moderator · hidden: by one · received · studied, with figures · accepted or rejected, with reasons."""
ROLES = ("viewer", "moderator", "planner", "administrator")
FLAGS = ("", "repeated", "flood", "imported")

metadata = MetaData(
    naming_convention={
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
    }
)


def _one_of(column: str, words: tuple[str, ...]) -> str:
    return f"{column} IN ({', '.join(repr(w) for w in words)})"


setting = Table(
    "setting", metadata, Column("name", String(40), primary_key=True), Column("value", Text, nullable=False)
)
pin = Table(
    "pin",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("subject", String(12), nullable=False),
    Column("words", Text, nullable=False),
    Column("digest", String(64), nullable=False),  # of the words as compared, to find what is said again
    Column("column", Integer, nullable=False),
    Column("row", Integer, nullable=False),
    Column("state", String(12), nullable=False),
    Column("flag", String(12), nullable=False, default=""),
    Column("reference", String(80)),  # of an imported proposal, where it came from
    Column("received", DateTime, nullable=False),
    CheckConstraint(_one_of("subject", SUBJECTS), name="subject"),
    CheckConstraint(_one_of("state", STATES), name="state"),
    CheckConstraint(_one_of("flag", FLAGS), name="flag"),
    UniqueConstraint("reference"),
)
Index("ix_pin_square", pin.c.column, pin.c.row)
Index("ix_pin_digest", pin.c.digest, pin.c.received)
# What a citizen holds: the key of the form, that a form sent twice is one pin, and the digest of the code.
receipt = Table(
    "receipt",
    metadata,
    Column("key", String(64), primary_key=True),
    Column("pin", ForeignKey("pin.id", ondelete="CASCADE"), nullable=False),
    Column("code", String(64), nullable=False, unique=True),
)
support = Table(
    "support",
    metadata,
    Column("pin", ForeignKey("pin.id", ondelete="CASCADE"), primary_key=True),
    Column("person", String(64), primary_key=True),
    Column("received", DateTime, nullable=False),
)
# What became of a pin: who did what, when and why. Rows are only ever added.
event = Table(
    "event",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("pin", ForeignKey("pin.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("state", String(12), nullable=False),
    Column("by", String(80), nullable=False),
    Column("reason", Text, nullable=False),
    Column("figures", Text, nullable=False),
    Column("at", DateTime, nullable=False),
)
# For the limit of pins from one source: a keyed digest that dies with its day, never an address.
visit = Table(
    "visit",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("source", String(64), nullable=False),
    Column("at", DateTime, nullable=False),
)
Index("ix_visit_source", visit.c.source, visit.c.at)
# What was deleted before its time, by whom and why, without its words: a form sent again does not bring it back.
spent = Table(
    "spent",
    metadata,
    Column("key", String(64), primary_key=True),
    Column("by", String(80), nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", DateTime, nullable=False),
)
# Who may do what; of a password only what scrypt makes of it. `turn` goes on when its owner signs out.
official = Table(
    "official",
    metadata,
    Column("name", String(80), primary_key=True),
    Column("role", String(16), nullable=False),
    Column("secret", Text, nullable=False),
    Column("turn", Integer, nullable=False, server_default="0"),
    CheckConstraint(_one_of("role", ROLES), name="role"),
)
