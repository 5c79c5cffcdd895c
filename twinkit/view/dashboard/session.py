"""A session: one person in front of one store, and what this person may do.

It knows nothing of Panel. Whether somebody may do something is asked anew for each act, here, on the server: a page can
show or hide a button, but only `Session.act` opens the door.
"""

from __future__ import annotations

import csv
import functools
import importlib.resources
import logging
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from twinkit.error import TwinError, close_to, escaped

if TYPE_CHECKING:
    from collections.abc import Callable

    import xarray as xr

__all__ = ["DOES", "LONGEST", "ROLES", "Notice", "Session", "phrases", "said"]

ROLES = ("viewer", "citizen", "planner", "moderator", "administrator")
DOES = {
    "viewer": frozenset({"viewer"}),
    "citizen": frozenset({"viewer", "citizen"}),
    "planner": frozenset({"viewer", "citizen", "planner"}),
    "moderator": frozenset({"viewer", "citizen", "moderator"}),
    "administrator": frozenset(ROLES),
}
"""What each role may do, each act named by the role that it needs."""
LONGEST = 600
"""Characters of a text that somebody types."""
log = logging.getLogger("twinkit.dashboard")
Given = TypeVar("Given")


@functools.cache
def _rows(file: str) -> dict[str, dict[str, str]]:
    text = importlib.resources.files("twinkit.view.dashboard").joinpath(file).read_text(encoding="utf-8")
    return {row.pop("key"): row for row in csv.DictReader(text.splitlines())}


def said(key: str, *, language: str, file: str = "words.csv", **parts: Any) -> str:
    """A phrase of the dashboards in a language, its parts filled in; an app's own stand in its own file.

    >>> said("skip", language="fr")
    'Aller aux images'
    """
    row = _rows(file)[key]
    return (row.get(language) or row["en"]).format(**parts)


def phrases(file: str) -> Callable[..., str]:
    """What says the phrases of an app's own file in a language, their parts filled in.

    >>> say = phrases("words_plan.csv")
    >>> say("moved_on", "en", count="2", who="Asha", why="a new mast")
    'Meanwhile ...'
    """
    return lambda key, language, **parts: said(key, language=language, file=file, **parts)


@dataclass(frozen=True)
class Notice:
    """What a person is told: `alert` when something did not work, else `status`.

    One that `stays` is no answer to an act: no act that succeeds takes it away.
    """

    text: str
    kind: str = "status"
    stays: bool = False


class Session:
    """One person, one store, one page.

    Parameters
    ----------
    store : path, optional
    twin : DataTree, optional
        In place of a store: nothing can be saved then.
    language : str
        en, hi, fr or fa.
    user : str
    role : str
        One of `ROLES`.
    asked : function, optional
        Gives the role anew, for each act; None when the person is no longer known. Left out, `role` holds.

    Attributes
    ----------
    app : str
        The app of this page, where a server serves it; `apps` are all that it serves.
    signs_in : bool
        Whether people sign in on this server.
    register : twinkit.participate.Register, optional
        Where citizens' pins are, on a server that has one.

    Errors
    ------
    TwinError
        Neither store nor twin, an unknown role or language; from `twin` what opening a store gives.

    Examples
    --------
    >>> import twinkit as tk
    >>> twin = tk.assemble({}, title="one mast", crs="EPSG:32643")
    >>> session = Session(twin=twin, role="viewer")
    >>> session.act("planner", lambda: "saved") is None, session.notices[-1].kind
    (True, 'alert')
    >>> Session(twin=twin, role="planner").act("planner", lambda: "saved")
    'saved'
    """

    def __init__(
        self,
        store: str | Path | None = None,
        *,
        twin: xr.DataTree | None = None,
        language: str = "en",
        user: str = "",
        role: str = "viewer",
        asked: Callable[[], str | None] | None = None,
    ) -> None:
        from twinkit.view._figure import checked_language

        if store is None and twin is None:
            raise TwinError("a store or a twin", found="neither", hint='tk.view.dashboard("out/shimla.twin")')
        if role not in ROLES:
            near = close_to(str(role), ROLES)
            hint = f"did you mean {near}?" if near else "choose one of them"
            raise TwinError(f"one of {', '.join(ROLES)}", found=repr(role)[:60], hint=hint, where="role")
        self.store = None if store is None else Path(store)
        self.language = checked_language(language)
        self.user = user
        self.follows = False
        """Whether the app shows each newer state by itself, so that one is no news."""
        self.notices: list[Notice] = []
        self.standing: Notice | None = None
        """The notice that the page shows now."""
        self.app, self.apps, self.signs_in = "", (), False  # type: str, tuple[str, ...], bool
        self.register: Any = None
        self._role, self._asked, self._twin = role, asked, twin
        self._listeners: list[Callable[[Notice | None], None]] = []
        self._was = "same"
        self._lock = threading.RLock()

    # ---------------------------------------------------------------- the twin

    @property
    def twin(self) -> xr.DataTree:
        """The twin as this page shows it, opened when first asked for; `reopen` takes the newest."""
        with self._lock:
            if self._twin is None:
                self._twin = self._newest()
            return self._twin

    def reopen(self) -> xr.DataTree:
        """The newest state of the store; a session on a twin keeps it."""
        with self._lock:
            if self.store is not None:
                self._twin = self._newest()
            return self.twin

    def _newest(self) -> xr.DataTree:
        from twinkit import store

        if self.store is None:
            raise TwinError("a store", found="a twin that was never saved", hint='tk.save(twin, "town.twin")')
        return store.open(self.store)

    def fresh(self) -> str:
        """How the store stands to the page: "same", "newer" or "gone"; said as a notice when it changes."""
        if self.store is None:
            return "same"
        from twinkit import store

        try:
            head = store.branches(self.store)["main"]
        except (TwinError, KeyError, OSError):
            now = "gone"
        else:
            shown = "" if self._twin is None else self._twin.encoding.get("head", "")
            now = "newer" if shown and shown != head and not self.follows else "same"
        before, self._was = self._was, now
        if now != before:
            self._turned(now, before)
        return now

    def _turned(self, now: str, before: str) -> None:
        assert self.store is not None  # noqa: S101  (for the type checker: a twin in memory never turns)
        if now == "gone":
            self.tell(self.say("gone", where=escaped(self.store.name)), kind="alert", stays=True)
        elif now == "newer":
            # beside what was just said, not in its place: nobody asked for this
            there = self.standing
            before_it = f"{there.text}\n" if there is not None and there.kind == "status" else ""
            self.tell(before_it + self.say("newer"))
        elif before == "gone":
            self.tell(self.say("back"))

    # ---------------------------------------------------------------- who may

    @property
    def role(self) -> str:
        """The role of now: whoever was dismissed a second ago is a viewer already."""
        if self._asked is None:
            return self._role
        now = self._asked()
        return now if now in ROLES else "viewer"

    def may(self, role: str) -> bool:
        """Whether this person may do what `role` may do."""
        return role in DOES[self.role]

    def act(self, role: str, function: Callable[[], Given], *, done: str = "", by_itself: bool = False) -> Given | None:
        """Do something that needs a role; what goes wrong becomes a notice, never a traceback.

        When it works, what the act before said of its failure is taken off the page.

        Parameters
        ----------
        role : str
            The least role: "viewer" for what only looks.
        function : function of nothing
        done : str
            Said when it worked.
        by_itself : bool
            Nobody pressed anything, the page renews itself: what a person was told before still holds.

        Returns
        -------
        what the function gives, or None when it was not allowed or did not work
        """
        if role not in ROLES:
            raise TwinError(f"one of {', '.join(ROLES)}", found=repr(role), hint="choose one of them", where="role")
        before = self.standing
        try:
            if not self.may(role):
                parts = {"needed": self.say(role), "role": self.say(self.role)}
                self.tell(self.say("forbidden", **parts), kind="alert")
                return None
            given = function()
        except TwinError as fault:
            if self.fresh() != "gone":
                self.tell(str(fault), kind="alert")
            return None
        except Exception:
            log.exception("an act on %s failed", self.store)
            if self.fresh() != "gone":
                self.tell(self.say("failed"), kind="alert")
            return None
        if done:
            self.tell(done)
        elif not by_itself and self.standing is before:  # not what this very act had to say
            self.calm()
        return given

    def text(self, given: object, *, most: int = LONGEST) -> str:
        r"""What somebody typed, without the marks that a screen obeys; too long is an error, not cut.

        >>> import twinkit as tk
        >>> Session(twin=tk.assemble({}, title="", crs="EPSG:32643")).text(" two\u202e masts ")
        'two\\u202e masts'
        """
        whole = str(given).strip()
        if len(whole) > most:
            raise TwinError(
                f"a text of at most {most:,} characters",
                found=f"{len(whole):,} characters",
                hint="say it in fewer words",
            )
        return escaped(whole)

    # ---------------------------------------------------------------- what is said

    def say(self, key: str, **parts: Any) -> str:
        """A phrase that all dashboards share, in the session's language; `phrases` says an app's own."""
        return said(key, language=self.language, **parts)

    def tell(self, text: str, *, kind: str = "status", stays: bool = False) -> None:
        """Put a notice on the page: it is read out, too. `kind` is "status" or "alert"; `stays` as in `Notice`."""
        notice = Notice(escaped(text, keeping="\n"), kind, stays)
        self.notices.append(notice)
        del self.notices[:-50]
        self._stand(notice)

    def calm(self) -> None:
        """Take away the alert that stands, unless it stays: what it says no longer holds."""
        if self.standing is not None and self.standing.kind == "alert" and not self.standing.stays:
            self._stand(None)

    def _stand(self, notice: Notice | None) -> None:
        self.standing = notice
        for listener in tuple(self._listeners):
            listener(notice)

    def listen(self, listener: Callable[[Notice | None], None]) -> None:
        """Call a function with each notice from now on, and with None when the one that stood is taken away."""
        self._listeners.append(listener)
