"""A plan and the store: kept as a branch, laid beside other branches, and what happened meanwhile."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from twinkit.error import TwinError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from twinkit.store import Commit
    from twinkit.view.dashboard.plan_state import Plan

__all__ = ["Kept", "beside", "meanwhile"]


@dataclass
class Kept:
    """The branches that a plan was saved as, and where it left each."""

    store: Path
    heads: dict[str, str] = field(default_factory=dict)

    def save(self, plan: Plan, name: str, message: str, *, author: str | None) -> Commit:
        """Commit the plan with its coverage to a branch, which begins at the commit that was opened.

        Parameters
        ----------
        plan : Plan
        name : str
            A new branch, or one on which this plan made the newest commit.
        message : str
            Why.
        author : str, optional

        Returns
        -------
        Commit

        Errors
        ------
        TwinError
            Nothing planned; a branch that somebody else made or went on with; as `twinkit.store.save`.
        """
        from twinkit import store as stores
        from twinkit.twin import extend

        if not plan.edits:
            raise TwinError("a plan with a change", found="none", hint="move, add, remove or retune a site first")
        if not message.strip():
            raise TwinError("a message that says why", found="none", hint="it is read long after", where="message")
        twin = plan.twin()
        # a map of the network as it was would be a wrong one on this branch
        kept = extend(twin.drop_nodes("coverage", errors="ignore"), coverage=plan.coverage())
        there = stores.branches(self.store)
        if name in there and there[name] != self.heads.get(name):
            raise TwinError(
                "a branch that this plan began and nobody went on with",
                found=f"'{name}', whose newest commit is {there[name][:12]}",
                hint=f"save under another name, e.g. '{_free(name, there)}'",
                where="branch",
            )
        start = None if name in there else plan.base.encoding.get("head") or "main"
        done = stores.save(kept, self.store, branch=name, message=message, author=author, start=start)
        self.heads[name] = done.head
        return done


def _free(name: str, taken: Any) -> str:
    number = 2
    while f"{name}-{number}" in taken:
        number += 1
    return f"{name}-{number}"


def meanwhile(plan: Plan, store: Path) -> list[Commit]:
    """Commits of the main branch that are newer than the one the plan stands on, the newest first."""
    from twinkit import store as stores

    own = plan.base.encoding.get("head")
    newer: list[Commit] = []
    for commit in stores.history(store):
        if commit.head == own:
            return newer
        newer.append(commit)
    return []  # the plan stands on another branch


def beside(
    plan: Plan, store: Path, names: Sequence[str | None], *, this: str = "(this plan)"
) -> tuple[xr.Dataset, list[xr.DataArray], list[xr.DataTree]]:
    """Saved branches of one ground, all judged by a plan's model and threshold.

    Parameters
    ----------
    plan : Plan
    store : path
    names : list of str or None
        Branches; None is the plan itself, not saved. The first is what the others are counted against.
    this : str
        What the plan itself is called.

    Returns
    -------
    table : Dataset (branch)
        people covered, gained and lost against the first [people], share [%], sites, who, when and why.
    covered : list of DataArray (y, x), truth
    twins : list of DataTree

    Errors
    ------
    TwinError
        No such branch, another surface, and what the path loss model says.
    """
    from twinkit import store as stores

    people = np.nan_to_num(plan.fine_people())
    everybody = float(people.sum())
    covered, twins, rows = [], [], []
    for name in names:
        twin = plan.twin() if name is None else stores.open(store, branch=name)
        truth = plan.covered(twin)
        covered.append(truth)
        twins.append(twin)
        newest = None if name is None else stores.history(store, branch=name)[0]
        now, was = truth.values, covered[0].values
        reached = float(people[now].sum())
        rows.append(
            {
                "covered": reached,
                "share": 100.0 * reached / everybody if everybody else np.nan,
                "gained": float(people[now & ~was].sum()),
                "lost": float(people[was & ~now].sum()),
                "sites": len(np.unique(np.asarray(twin["cells/site"].values, str))),
                "when": f"{newest.when:%Y-%m-%d %H:%M}" if newest else "",
                "who": newest.author if newest else "",
                "why": newest.message.partition("\n")[0][:200] if newest else "",
            }
        )
    units = {"covered": "people", "share": "%", "gained": "people", "lost": "people"}
    columns = {k: ("branch", [r[k] for r in rows], {"units": units[k]} if k in units else {}) for k in rows[0]}
    return xr.Dataset(columns, {"branch": [this if n is None else n for n in names]}), covered, twins
