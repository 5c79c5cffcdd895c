"""What the Withstand app knows of a store: its branches as plans, and every answer that somebody asked for before.

No Panel here. An answer is kept under the commit, the hazard, the plan and the seed, so that nobody waits twice for the
same draws; a branch that vanished under the page is an error with a name, and what was found before stays.
"""

from __future__ import annotations

import dataclasses
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import xarray as xr

from twinkit import resilience
from twinkit.error import TwinError, close_to
from twinkit.view.dashboard.withstand_answer import (
    Answer,
    Question,
    Reach,
    Scene,
    answered,
    ranking,
    reached,
    scene_of,
)
from twinkit.view.dashboard.withstand_hazard import lacking
from twinkit.view.dashboard.withstand_plan import Plan, dependent, kept

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["Memory", "Withstand"]

LARGEST = 400e6
"""[byte] that the answers of all pages may hold."""


class Memory:
    """The newest answers of all pages, up to a number of bytes."""

    def __init__(self, most: float = LARGEST) -> None:
        self.most = most
        self._all: OrderedDict[Any, Any] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Any) -> Any:
        """What was kept under a key, or None."""
        with self._lock:
            if key in self._all:
                self._all.move_to_end(key)
            return self._all.get(key)

    def put(self, key: Any, value: Any) -> None:
        """Keep it, and let go of what nobody asked for longest."""
        with self._lock:
            self._all[key] = value
            self._all.move_to_end(key)
            while len(self._all) > 1 and self._size() > self.most:
                self._all.popitem(last=False)

    def _size(self) -> float:
        return float(sum(getattr(v, "bytes", getattr(v, "nbytes", 1e4)) for v in self._all.values()))


SHARED = Memory()
NODES = ("sites", "cells", "links", "feeders", "places", "surface")
LAYERS = ("people", "ground_height", "flood_depth", "clutter")


class Withstand:
    """Plans of a store, or of one twin in memory, under hazards.

    Parameters
    ----------
    store : path, optional
    twin : DataTree, optional
        In place of a store.
    memory : Memory, optional
        Where answers are kept; left out, all pages share one.

    Errors
    ------
    TwinError
        Neither; from each method what the store and the stages refuse.
    """

    def __init__(
        self, store: str | Path | None = None, *, twin: xr.DataTree | None = None, memory: Memory | None = None
    ) -> None:
        if store is None and twin is None:
            raise TwinError("a store or a twin", found="neither", hint='Withstand("town.twin")')
        self.store = store
        self._twin = twin
        self._memory = SHARED if memory is None else memory
        # what another page keeps of another twin in memory must never be taken for this one's
        self._own = object()

    def branches(self) -> dict[str, str]:
        """Branches and their heads; of a twin in memory the one that it is."""
        if self.store is None:
            return {"main": ""}
        from twinkit import store

        return dict(store.branches(self.store))

    def head(self, branch: str) -> str:
        """The newest commit of a branch.

        Errors
        ------
        TwinError
            The branch is not there, or no longer.
        """
        known = self.branches()
        if branch not in known:
            near = close_to(branch, known)
            raise TwinError(
                f"a branch of the store ({', '.join(sorted(known)[:12])})", found=f"no '{branch}', or no longer",
                hint=f"did you mean {near}?" if near else "choose another", where="branch",
            )  # fmt: skip
        return known[branch]

    def twin(self, branch: str = "main") -> xr.DataTree:
        """The newest twin of a branch, what matters here in memory.

        Errors
        ------
        TwinError
            No such branch; a twin of which no hazard can ask anything.
        """
        head = self.head(branch)
        key = self._key("twin", head)
        found = self._memory.get(key)
        if found is None:
            found = _Loaded(self._loaded(branch, head))
            self._memory.put(key, found)
        missing = lacking(found.twin)
        if missing:
            raise TwinError(
                f"a twin with {missing}", found="none of it", where=branch,
                hint="tk.datasets.region makes a twin with all that hazards need",
            )  # fmt: skip
        return found.twin

    def begin(self, branch: str = "main", *, count: int = 10) -> tuple[str, ...]:
        """Sites at which a plan may begin: without them most people lose service."""
        key = self._key("begin", self.head(branch), count)
        found = self._memory.get(key)
        if found is None:
            found = dependent(self.twin(branch), catchment=self.catchment(branch), count=count)
            self._memory.put(key, found)
        return tuple(found)

    def catchment(self, branch: str) -> xr.Dataset:
        """Who relies on which sites of a branch; kept."""
        key = self._key("catchment", self.head(branch))
        found = self._memory.get(key)
        if found is None:
            found = resilience.catchment(self.twin(branch))
            self._memory.put(key, found)
        return found

    def scene(self, question: Question, plan: Plan) -> Scene:
        """A plan, ready to be struck; kept."""
        key = self._key("scene", self.head(plan.branch), question, _nameless(plan))
        found = self._memory.get(key)
        if found is None:
            groups = self.catchment(plan.branch)
            found = scene_of(self.twin(plan.branch), question, plan, catchment=groups)
            self._memory.put(key, found)
        return found

    def answer(
        self,
        question: Question,
        plan: Plan,
        *,
        draws: int,
        stop: Callable[[], bool] | None = None,
        report: Callable[[int, int], None] | None = None,
    ) -> Answer:
        """People served under a plan; what was drawn before is not drawn again."""
        # whom the alert finds is another question: two that differ in it alone share their draws
        same = dataclasses.replace(question, warning=0.0, radius=0.0)
        key = self._key("answer", self.head(plan.branch), same, _nameless(plan))
        begun = self._memory.get(key)
        if begun is not None and begun.draws >= draws:
            return begun.first(draws)
        found = answered(self.scene(question, plan), draws=draws, begun=begun, stop=stop, report=report)
        self._memory.put(key, found)
        return found

    def ranked(
        self, question: Question, plan: Plan, *, count: int = 10, stop: Callable[[], bool] | None = None
    ) -> xr.Dataset:
        """The most critical sites under a plan; kept."""
        key = self._key("ranked", self.head(plan.branch), question, _nameless(plan), count)
        found = self._memory.get(key)
        if found is None:
            found = ranking(self.scene(question, plan), count=count, stop=stop)
            self._memory.put(key, found)
        return found

    def reached(self, question: Question, plan: Plan, *, draws: int) -> Reach:
        """Whom the warning reaches under a plan; kept."""
        key = self._key("reached", self.head(plan.branch), question, _nameless(plan), draws)
        found = self._memory.get(key)
        if found is None:
            found = reached(self.scene(question, plan), draws=draws)
            self._memory.put(key, found)
        return found

    def save(self, plan: Plan, name: str, *, message: str, author: str | None = None) -> Any:
        """Keep a plan as a new branch: what it buys in the twin, its crews in the attributes.

        Parameters
        ----------
        plan : Plan
        name : str
            Of the branch.
        message : str
        author : str, optional

        Returns
        -------
        Commit

        Errors
        ------
        TwinError
            A twin without a store, a name that is taken or unfit, an empty message, a site that is not there.
        """
        if self.store is None:
            raise TwinError("a store", found="a twin in memory", hint='tk.save(twin, "town.twin") first')
        from twinkit import store

        head = self.head(plan.branch)
        if not message.strip():
            raise TwinError("a message that says why", found="none", hint="a line will do", where="message")
        # the commit on which the branch begins, even where the plan's own branch has moved on by now
        made = kept(plan, store.open(self.store, commit=head))
        return store.save(made, self.store, message=message, branch=name, author=author, start=head)

    def _key(self, *parts: Any) -> tuple[Any, ...]:
        return (self._own if self.store is None else str(self.store), *parts)

    def _loaded(self, branch: str, head: str) -> xr.DataTree:
        if self._twin is not None and self.store is None:
            whole = self._twin
        else:
            from twinkit import store

            whole = store.open(self.store, commit=head) if head else store.open(self.store, branch=branch)  # type: ignore[arg-type]
        nodes: dict[str, xr.Dataset] = {}
        for name in NODES:
            if name in whole.children:
                table = whole.children[name].to_dataset(inherit=False)
                if name == "surface":
                    table = table[[n for n in LAYERS if n in table.variables]]
                nodes[name] = table.compute()
        return xr.DataTree.from_dict({"/": xr.Dataset(attrs=dict(whole.attrs)), **nodes})


@dataclass(frozen=True)
class _Loaded:
    """A twin in memory, with its weight."""

    twin: xr.DataTree

    @property
    def bytes(self) -> int:
        return sum(int(c.to_dataset(inherit=False).nbytes) for c in self.twin.children.values())


def _nameless(plan: Plan) -> Plan:
    """The plan without the name of its branch: what counts is the commit."""
    return dataclasses.replace(plan, branch="")
