"""Who is let in: passes, roles, and what every request has to show.

A visit is one page in one browser. Its key is in the session's signed token, its pass stays here, and the websocket
must come from the browser that fetched the page. The role of a visit is asked of the register for each act.
"""

from __future__ import annotations

import contextlib
import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from twinkit.error import TwinError
from twinkit.view.dashboard.session import ROLES

if TYPE_CHECKING:
    from twinkit.participate.register import Register

__all__ = ["PASS", "Door", "Visit"]

PASS = "twinkit-pass"  # noqa: S105  (a cookie's name)
MOST = 400
"""Visits at a time: each costs the memory of a page."""


@dataclass(frozen=True)
class Visit:
    """A page in a browser: what the browser carried when it fetched the page."""

    key: str
    carried: str
    begun: float


class Door:
    """Who is somebody, and what may he do.

    Parameters
    ----------
    register : Register, optional
        Its officials; without one nobody signs in.
    kind : str
        "open" (nobody signs in), "password" or "oauth".
    everybody : str
        Role of whoever comes when nobody signs in.
    guests : bool
        Whether somebody who did not sign in, or whom the register does not know, may look.
    """

    def __init__(
        self, register: Register | None, *, kind: str, everybody: str = "viewer", guests: bool = False
    ) -> None:
        self.register, self.kind, self.everybody, self.guests = register, kind, everybody, guests
        self.visits: dict[str, Visit] = {}
        self.ended: set[str] = set()
        self.sockets: set[Any] = set()

    # ---------------------------------------------------------------- what a browser carries

    def carried(self, request: Any) -> str:
        """What says who it is: the signed cookie of a request, unread."""
        name = "user" if self.kind == "oauth" else PASS
        cookie = request.cookies.get(name)
        return "" if cookie is None else str(getattr(cookie, "value", cookie))[:2000]

    def known(self, carried: str) -> tuple[str, str] | None:
        """Name and role of whoever carries this; None when nobody does, any more."""
        if self.kind == "open" or not carried or carried in self.ended:
            return None
        if self.kind == "password":
            from twinkit.participate import officials

            assert self.register is not None  # noqa: S101  (for the type checker: `doors` made it so)
            return officials.passed(self.register, carried)
        from panel.config import config
        from tornado.web import decode_signed_value

        read = decode_signed_value(config.cookie_secret, "user", carried, max_age_days=config.oauth_expiry)
        if read is None:
            return None
        name = read.decode("utf-8", "replace")
        return name, self._appointed(name)

    def _appointed(self, name: str) -> str:
        from twinkit.participate import officials

        role = officials.role_of(self.register, name) if self.register is not None else None
        return role or ("viewer" if self.guests else "")

    def user(self, request: Any) -> str | None:
        """The name under which a request may go on; None sends it to sign in."""
        if self.kind == "open":
            return "everybody"
        found = self.known(self.carried(request))
        return found[0] if found is not None else "guest" if self.guests else None

    def unknown(self, request: Any) -> str:
        """The name of somebody who signed in, but to whom the register gives no role; else ""."""
        found = None if self.kind == "open" else self.known(self.carried(request))
        return found[0] if found is not None and found[1] not in ROLES else ""

    # ---------------------------------------------------------------- visits

    def begin(self, request: Any) -> str:
        """Note a page that a browser fetches; its key goes into the page's token."""
        visit = Visit(secrets.token_urlsafe(18), self.carried(request), time.monotonic())
        self.visits[visit.key] = visit
        return visit.key

    def end(self, key: str) -> None:
        """Forget a page that is closed."""
        self.visits.pop(key, None)

    def full(self) -> bool:
        """Whether no further page can be opened."""
        return len(self.visits) >= MOST

    def same(self, key: str, request: Any) -> bool:
        """Whether a socket's request comes from the browser that fetched the page, and may still go on."""
        visit = self.visits.get(key)
        if visit is None or visit.carried != self.carried(request):
            return False
        try:
            return self.role(key) is not None
        except TwinError:
            return False  # a register that does not answer lets nobody in

    def name(self, key: str) -> str:
        """Who is signed in on a page; "" for nobody."""
        visit = self.visits.get(key)
        found = self.known(visit.carried) if visit else None
        return found[0] if found else ""

    def role(self, key: str) -> str | None:
        """The role of a page's visitor now; None when he may not even look, any more."""
        if self.kind == "open":
            return self.everybody
        visit = self.visits.get(key)
        found = self.known(visit.carried) if visit else None
        if found is not None and found[1] in ROLES:
            return found[1]
        return "viewer" if self.guests and visit is not None else None

    def leave(self, request: Any) -> None:
        """Sign out: the pass opens nothing any more, on any page."""
        carried = self.carried(request)
        found = self.known(carried)
        if carried:
            self.ended.add(carried)
        if found is not None and self.kind == "password" and self.register is not None:
            from twinkit.participate import officials

            officials.leave(self.register, found[0])

    def sweep(self) -> None:
        """Close the sockets of visitors who may not look any more."""
        with contextlib.suppress(TwinError):  # a register that does not answer: each act still asks it
            for socket in tuple(self.sockets):
                if self.role(socket.visit) is None:
                    socket.close(1008, "signed out")
