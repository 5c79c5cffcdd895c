"""`twinkit participate`: the citizens' pages of a region, served."""

from __future__ import annotations

import getpass
import os
from typing import TYPE_CHECKING, TypedDict

from twinkit.cli._shown import say, shown
from twinkit.error import TwinError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Choices", "appointed", "serve"]


class Choices(TypedDict):
    """What is chosen when a register is made; as for `twinkit.participate.register`."""

    square: float
    fewest: int
    hourly: int
    keep: float
    moderated: bool


def appointed(store: Path, register: str | None, official: str, choices: Choices) -> None:
    """Ask for a password, twice, and give somebody a role."""
    import twinkit as tk
    from twinkit.participate.officials import appoint

    name, _, role = official.rpartition(":")
    password = os.environ.get("TWINKIT_OFFICIAL_PASSWORD") or getpass.getpass(f"Password for {name}: ")
    if "TWINKIT_OFFICIAL_PASSWORD" not in os.environ and getpass.getpass("Again: ") != password:
        raise TwinError("the same password twice", found="two that differ", hint="type it again")
    with tk.participate.register(_where(store, register), twin=tk.open(store), **choices) as pins:
        appoint(pins, name, role, password=password)
    say(f"{shown(name)} is {role} from now on")


def serve(
    store: Path,
    *,
    register: str | None,
    host: str,
    port: int,
    prefix: str,
    path_loss: str,
    secure: bool,
    choices: Choices,
) -> None:
    """Serve until SIGINT or SIGTERM."""
    import twinkit as tk
    from twinkit.participate.web import site
    from twinkit.study import resolve

    try:
        import uvicorn
    except ImportError:
        raise TwinError(
            "uvicorn, which serves the pages", found="none installed", hint="pip install 'twinkit[participate]'"
        ) from None
    if prefix and not prefix.startswith("/"):
        raise TwinError("a path that starts with /", found=prefix, hint="--prefix /pins", where="--prefix")
    twin = tk.open(store)
    where = _where(store, register)
    with tk.participate.register(where, twin=twin, **choices) as pins:
        other = {name: pins.choices[name] for name, asked in choices.items() if pins.choices[name] != asked}
        if other:
            held = ", ".join(f"{name} {value:g}" for name, value in other.items())
            say(f"this register was made with {held}, and stays so", err=True)
        pages = site(pins, twin, store=store, path_loss=resolve(path_loss), secure=secure)
        say(f"{twin.attrs.get('title') or twin.attrs.get('place')}: http://{host}:{port}{prefix}/   (Ctrl-C ends it)")
        say(f"officials: twinkit participate {store} --official Asha:planner")
        if host not in ("127.0.0.1", "::1", "localhost") and not secure:
            say("this address is open to others without TLS: put a proxy with TLS in front, and say --secure", err=True)
        uvicorn.run(
            pages,
            host=host,
            port=port,
            root_path=prefix,
            log_level="warning",
            access_log=False,  # a list of addresses and pages is what a register of pins must not become
            server_header=False,
            limit_concurrency=200,
            proxy_headers=secure,
        )


def _where(store: Path, register: str | None) -> str:
    return register or str(store.with_suffix(".pins.db"))
