"""The database of a register: SQLite in a file, or PostgreSQL by its URL, brought up to date when it is opened."""

from __future__ import annotations

import contextlib
import importlib.resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twinkit.error import TwinError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Unanswered", "alone", "engine", "faults", "prepared"]

PATIENCE = 20
"""[s] A writer waits for the one before it, then gives up."""
LOCK = 0x7477696E
"""Number of the lock under which PostgreSQL brings the tables up to date."""


class Unanswered(TwinError):  # noqa: N818  (named as it is said: nobody answered)
    """The database does not answer: nobody's words are at fault, and the same may work in a while."""

    def __reduce__(self) -> tuple[object, ...]:
        return _unanswered, (self.expected, self.found, self.hint, self.where)


def _unanswered(expected: str, found: str, hint: str, where: str) -> Unanswered:
    return Unanswered(expected, found=found, hint=hint, where=where)


def _need() -> Any:
    try:
        import alembic  # noqa: F401  (tables cannot be made without it)
        import sqlalchemy
    except ImportError as fault:
        raise TwinError(
            "SQLAlchemy and Alembic, which keep the register",
            found=f"no module '{fault.name}'",
            hint="pip install 'twinkit[participate]'",
        ) from None
    return sqlalchemy


def engine(where: str | Path) -> Any:
    """An engine of SQLAlchemy for a file or a URL; what it says never holds the password.

    Errors
    ------
    TwinError
        Another database than SQLite or PostgreSQL, a folder that is not there, an extra that is not installed.
    """
    sql = _need()
    text = str(where)
    if "://" not in text:
        text = f"sqlite:///{text}"
    try:
        url = sql.make_url(text)
    except (sql.exc.ArgumentError, ValueError):
        raise _unknown("an address that no database has") from None
    backend = url.get_backend_name()
    if backend == "postgresql":
        made = sql.create_engine(url.set(drivername="postgresql+psycopg"), pool_pre_ping=True, pool_size=5)
    elif backend == "sqlite":
        file = url.database or ""
        if not file or file == ":memory:":
            raise TwinError(
                "a file for the register", found="a database in memory", hint="register('pins.db')", where="url"
            )
        if not Path(file).resolve().parent.is_dir():
            raise TwinError(
                "a folder that is there", found="none", hint="make the folder, or choose another", where=file
            )
        made = sql.create_engine(url.set(drivername="sqlite"), connect_args={"timeout": PATIENCE})
        sql.event.listen(made, "connect", _settled)
        # Pysqlite begins late and as a reader; two writers would then read the same count and both be below the limit.
        # Who only looks says so, and waits for no writer.
        sql.event.listen(made, "begin", _begun)
    else:
        raise _unknown(f"a {backend} database")
    return made


def _begun(connection: Any) -> None:
    looks = connection.get_execution_options().get("looks", False)
    connection.exec_driver_sql("BEGIN" if looks else "BEGIN IMMEDIATE")


def _unknown(found: str) -> TwinError:
    return TwinError(
        "a file for SQLite, or the URL of a PostgreSQL database",
        found=found,
        hint="register('pins.db') or register('postgresql://user@host/name')",
        where="url",
    )


def _settled(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # SQLAlchemy says when a transaction begins
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",  # a pin that was confirmed outlives a power cut
        "foreign_keys=ON",
        "secure_delete=ON",  # what is deleted is overwritten
    ):
        connection.execute(f"PRAGMA {pragma}").close()


@contextlib.contextmanager
def faults(made: Any) -> Iterator[None]:
    """What goes wrong in the database, as one message without its password."""
    sql = _need()
    try:
        yield
    except sql.exc.SQLAlchemyError as fault:
        cause = getattr(fault, "orig", None) or fault
        said = str(cause).strip().splitlines() or [type(cause).__name__]
        raise Unanswered(
            "a database that answers",
            found=said[0][:200],
            hint="is it running, may this user write there, is the disk full?",
            where=made.url.render_as_string(hide_password=True),
        ) from None


def prepared(made: Any) -> None:
    """Bring the tables up to date; two processes that open a register at once make them once."""
    from alembic.config import Config
    from alembic.runtime.environment import EnvironmentContext
    from alembic.script import ScriptDirectory

    from twinkit.participate.tables import metadata

    with importlib.resources.as_file(importlib.resources.files("twinkit.participate") / "migrations") as folder:
        config = Config()
        config.set_main_option("script_location", str(folder).replace("%", "%%"))
        script = ScriptDirectory.from_config(config)
        known = {r.revision for r in script.walk_revisions()}
        # Alembic's own env.py would open a connection of its own; this one holds the lock.
        steps = EnvironmentContext(config, script, fn=lambda now, _: script._upgrade_revs("head", now))
        with faults(made), made.begin() as connection:
            alone(connection, LOCK)
            if made.dialect.has_table(connection, "alembic_version"):
                now = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
                if now is not None and now not in known:
                    raise TwinError(
                        "a register that this version of twinkit knows",
                        found=f"one at revision {now!r}",
                        hint="pip install --upgrade twinkit",
                        where=made.url.render_as_string(hide_password=True),
                    )
            steps.configure(connection=connection, target_metadata=metadata)
            with steps.begin_transaction():
                steps.run_migrations()


def alone(connection: Any, number: int) -> None:
    """Until the end of the transaction, nobody else passes here with this number (SQLite has one writer anyway)."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(%s)", (number % 2**63,))
