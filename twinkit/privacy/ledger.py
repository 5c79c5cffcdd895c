"""The ledger: every release that a store has paid for, and a budget that none of them can exceed.

It is the node `privacy` on a branch `privacy` of the store, beside the twin and out of the way of whoever saves it.
Each line is a commit, so `tk.verify` finds a line that was altered and `tk.history(path, branch="privacy")` shows them
all. A release is reserved before any noise is drawn, in the same change that checks the budget under the store's
lock: of two in a race the second one sees the first, and one that was killed half way stays spent.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import pathlib
import secrets
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from twinkit.error import TwinError
from twinkit.privacy.account import Cost, composed, positive
from twinkit.privacy.contribution import UNITS, units

if TYPE_CHECKING:
    from collections.abc import Callable

    from twinkit.store import Commit, Path

__all__ = ["BRANCH", "budget", "confirm", "entries", "ledger", "reserve", "spent"]

BRANCH = NODE = "privacy"
TITLE = "ledger of privacy"
PATIENCE = 60.0
"""Seconds to wait for another writer of the store."""

TEXT = ("act", "release", "protects", "mechanism", "message", "author", "first_day", "last_day", "content")
NUMBERS = ("epsilon", "delta", "rho", "aside", "bound", "each", "scale")
UNIT = {"bound": "count", "each": "count", "scale": "count"}


def budget(
    path: Path,
    *,
    epsilon: float,
    protects: str,
    delta: float = 0.0,
    message: str,
    author: str | None = None,
) -> Commit:
    """State how much privacy all releases of a store together may spend of each unit; the newest statement holds.

    Parameters
    ----------
    path : str or Path
        Of an existing store, a folder or an address such as ``"s3://bucket/town.twin"``.
    epsilon : float [1], 0 or more
        0 forbids every release.
    protects : {"subscriber-day", "subscriber"}
        A store may have a budget for each.
    delta : float [1]
        0 adds epsilons up; above 0 releases compose by zero-concentrated privacy where that is less.
    message : str
        Why; who may change it later reads it.
    author : str, optional

    Returns
    -------
    Commit

    Errors
    ------
    TwinError
        No store, a number out of range, a ledger that somebody else wrote to.

    Examples
    --------
    >>> import tempfile, twinkit as tk
    >>> path = tempfile.mkdtemp() + "/one.twin"
    >>> _ = tk.save(tk.assemble({}, title="one mast", crs="EPSG:32643"), path, message="the beginning")
    >>> _ = budget(path, epsilon=2.0, protects="subscriber-day", message="data protection officer, letter of 3 March")
    >>> float(ledger(path).epsilon[0])
    2.0
    """
    epsilon = positive(epsilon, "epsilon", zero=True)
    delta = positive(delta, "delta", zero=True, below=1.0)
    units(protects)
    line = _line(act="budget", protects=protects, epsilon=epsilon, delta=delta, message=message, author=_who(author))
    return _written(path, line, None)


def ledger(path: Path) -> xr.Dataset:
    """Every line of the ledger: budgets, reservations, releases, refusals.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    Dataset, dim entry
        `act` (budget, reserved, released, refused), `release` (its id), `protects`, `mechanism`, `epsilon`, `delta`,
        `rho`, `bound`, `each`, `scale`, `first_day`, `last_day`, `message`, `author`, `when`, `content` (SHA-256 of
        what was released). Empty where the store has no ledger.

    Errors
    ------
    TwinError
        No store, or a ledger that is not as its last release left it.
    """
    from twinkit.store import repository

    root = repository.located(path, anywhere=True)
    for _ in range(4):
        # a line may be written between two looks
        with contextlib.suppress(TwinError):
            return _held(path, root)
        time.sleep(0.05)
    return _held(path, root)


def _held(path: Path, root: Any) -> xr.Dataset:
    """The ledger at one moment, if its branch stands where its last line left it, and holds what that line wrote."""
    from twinkit import store
    from twinkit.store import commit, repository

    if isinstance(root, pathlib.Path):
        commit.sealed(root, f"branch.{BRANCH}")
    if BRANCH not in store.branches(path):
        return _empty()
    repo = repository.reader(root)
    at = repository.snapshot(repo, root, branch=BRANCH)
    with repository.engine(root):
        _unaltered(commit.content_faults(repo, repo.lookup_snapshot(at)), path)
    held = _stored(store.open(path, branch=BRANCH))
    _tidy(held.sizes["entry"], path)
    return held


def _stored(found: xr.DataTree) -> xr.Dataset:
    """The ledger in what a branch holds; an empty one where something else stands there."""
    stored = found.children[NODE].to_dataset(inherit=False) if NODE in found.children else xr.Dataset()
    return stored.load() if stored.attrs.get("title") == TITLE else _empty()


def spent(path: Path, *, protects: str, delta: float | None = None) -> float:
    """The epsilon that all releases so far have spent of each unit, whatever became of them after they were reserved.

    Parameters
    ----------
    path : str or Path
    protects : {"subscriber-day", "subscriber"}
        Releases that protect the other unit count, too: one that protects a subscriber protects each of its days; one
        that protects a day costs a subscriber once for each day. Releases of different days do not add up for a day.
    delta : float [1], optional
        At which epsilon is stated; left out, that of the budget.

    Returns
    -------
    float [1]
        Infinite where the releases keep no promise for this unit.
    """
    units(protects)
    lines = entries(ledger(path))
    if delta is None:
        stated = _budget(lines, protects)
        delta = stated["delta"] if stated else 0.0
    return _spent(lines, protects, positive(delta, "delta", zero=True, below=1.0))


# ---------------------------------------------------------------- reserve and confirm


def reserve(path: Path, cost: Cost, *, protects: str, author: str | None, message: str, **said: Any) -> str:
    """Write a release into the ledger before it is made, if the budgets allow it; gives its id.

    Errors
    ------
    TwinError
        It would exceed a budget (the refusal is written down, too), or there is none.
    """
    line = _line(
        act="reserved",
        release=secrets.token_hex(8),
        protects=protects,
        epsilon=cost.epsilon,
        delta=cost.delta,
        rho=cost.rho,
        aside=cost.aside,
        message=message,
        author=_who(author),
        **said,
    )
    verdict: list[TwinError] = []

    def judged(lines: list[dict[str, Any]]) -> dict[str, Any]:
        verdict.clear()  # a change may be tried again from a newer state
        fault = _over(lines, line, path)
        if fault is None:
            return line
        verdict.append(fault)
        return {**line, "act": "refused"}

    _written(path, line, judged)
    if verdict:
        raise verdict[0]
    return str(line["release"])


def confirm(path: Path, release: str, *, content: str) -> Commit:
    """Write down that a reserved release was made, and the digest of what went out."""

    def done(lines: list[dict[str, Any]]) -> dict[str, Any]:
        was = next((n for n in lines if n["release"] == release and n["act"] == "reserved"), None)
        if was is None:
            raise TwinError("a release that was reserved", found=release, hint="privacy.ledger(path)", where=str(path))
        return {**was, "act": "released", "content": content, "when": _now()}

    return _written(path, _line(act="released", release=release, message="", author=""), done)


def _over(lines: list[dict[str, Any]], line: dict[str, Any], path: Path) -> TwinError | None:
    """Why a release may not be, or None."""
    if _budget(lines, line["protects"]) is None:
        return TwinError(
            f"a budget for each {line['protects']} in this store",
            found="none",
            hint=f"privacy.budget(path, epsilon=..., protects='{line['protects']}', message='who decided')",
            where=str(path),
        )
    for unit in UNITS:
        stated = _budget(lines, unit)
        if stated is None:
            continue
        before = _spent(lines, unit, stated["delta"])
        after = _spent([*lines, line], unit, stated["delta"])
        if after <= stated["epsilon"]:
            continue
        said = [f"{v:.4g}" for v in (before, after)]
        days = unit == "subscriber" and line["protects"] == "subscriber-day" and not line["first_day"]
        return TwinError(
            f"a release within the budget of epsilon {stated['epsilon']:g} for each {unit}",
            found="{} spent, {} with this one".format(*(said if said[0] != said[1] else (before, after))),
            hint=(
                "say which days it covers, days=(first, last): a subscriber pays for each of them"
                if days
                else "publish what was released already, or let the owner of the budget decide on a greater one"
            ),
            where=str(path),
        )
    return None


def _budget(lines: list[dict[str, Any]], protects: str) -> dict[str, Any] | None:
    return next((n for n in reversed(lines) if n["act"] == "budget" and n["protects"] == protects), None)


def _spent(lines: list[dict[str, Any]], protects: str, delta: float) -> float:
    """Composition of all that was reserved, for one unit; of a day, on the day that lost most."""
    paid = [n for n in lines if n["act"] == "reserved"]
    if protects == "subscriber":
        costs = []
        for n in paid:
            cost = Cost(n["epsilon"], n["delta"], n["rho"], n["aside"])
            if n["protects"] == "subscriber-day":
                if not n["first_day"]:
                    return np.inf
                days = (dt.date.fromisoformat(n["last_day"]) - dt.date.fromisoformat(n["first_day"])).days + 1
                cost = cost.for_group(days)
            costs.append(cost)
        return composed(costs, delta=delta)
    # What any day lost changes only where a period begins, and nothing is lost before the first.
    begins = {n["first_day"] for n in paid}
    return max((composed(_on(paid, day), delta=delta) for day in begins), default=0.0)


def _on(paid: list[dict[str, Any]], day: str) -> list[Cost]:
    """What was spent of one day; releases that name no days touch each of them."""
    touching = [n for n in paid if not n["first_day"] or (day and n["first_day"] <= day <= n["last_day"])]
    return [Cost(n["epsilon"], n["delta"], n["rho"], n["aside"]) for n in touching]


# ---------------------------------------------------------------- lines of the node


def _now() -> np.datetime64:
    return np.datetime64(dt.datetime.now(dt.UTC).replace(tzinfo=None), "ns")


def _who(author: str | None) -> str:
    from twinkit.store.write import author_of

    return author_of(author)


def _line(**said: Any) -> dict[str, Any]:
    from twinkit.store.commit import check_text

    if said["act"] != "released":
        check_text(said["message"], "message")
    return dict.fromkeys(TEXT, "") | dict.fromkeys(NUMBERS, 0.0) | {"when": _now()} | said


def entries(held: xr.Dataset) -> list[dict[str, Any]]:
    """The lines as dicts, oldest first."""
    names = (*TEXT, *NUMBERS, "when")
    columns = {n: held[n].values for n in names}
    return [
        {
            n: (str(columns[n][i]) if n in TEXT else columns[n][i] if n == "when" else float(columns[n][i]))
            for n in names
        }
        for i in range(held.sizes["entry"])
    ]


def _empty() -> xr.Dataset:
    return _dataset([])


def _dataset(lines: list[dict[str, Any]]) -> xr.Dataset:
    out = {n: ("entry", np.array([x[n] for x in lines], dtype=object)) for n in TEXT}
    out |= {
        n: ("entry", np.array([x[n] for x in lines], dtype=float), {"units": UNIT.get(n, "1")})  # type: ignore[misc]
        for n in NUMBERS
    }
    out["when"] = ("entry", np.array([x["when"] for x in lines], dtype="datetime64[ns]"))
    meaning = {"title": TITLE, "provenance": "measured: written by twinkit.privacy"}
    return xr.Dataset(out, {"entry": np.arange(len(lines))}, meaning)


def _begun(path: Path) -> int:
    """How many lines the commits of the branch have made, as far back as the store remembers them."""
    from twinkit import store

    known = store.history(path, branch=BRANCH)
    made = next((n for n, c in enumerate(known) if not c.message.startswith(TITLE)), len(known))
    if made < len(known):
        return made
    # older ones expired: what they wrote stands in the oldest one that is left
    return made - 1 + _stored(store.open(path, commit=known[-1].head)).sizes["entry"]


def _tidy(lines: int, path: Path) -> None:
    """Whether each line is a commit and each commit since the first a line: nobody saved another ledger over it."""
    made = _begun(path)
    if made != lines:
        raise TwinError(
            f"a ledger to which twinkit.privacy alone wrote (branch '{BRANCH}')",
            found=f"{lines} lines and {made} commits of them",
            hint=f"tk.history(path, branch='{BRANCH}') shows who else did; restore the store from a copy",
            where=str(path),
        )


def _written(path: Path, line: dict[str, Any], judged: Any) -> Commit:
    """Commit one more line; `judged` turns the lines so far into it, under the lock of the store."""
    from twinkit import store
    from twinkit.store import commit, repository, tree
    from twinkit.store.write import committed

    root = repository.located(path, anywhere=True)
    if BRANCH not in store.branches(path):
        try:
            _patient(lambda: store.branch(path, BRANCH))
        except TwinError:
            # another one may have made it meanwhile
            if BRANCH not in store.branches(path):
                raise

    def change(group: Any, said: dict[str, Any]) -> Any:
        own = NODE in said["nodes"] and group[NODE].attrs.get("title") == TITLE
        # Values are looked at too: an epsilon that was lowered on the disk must not make room for another release.
        _unaltered(commit.group_faults(group, said) if own else [], path)
        stored = tree.read(group, said, commit="")
        lines = entries(stored.children[NODE].to_dataset(inherit=False).load()) if own else []
        _tidy(len(lines), path)
        new = line if judged is None else judged(lines)
        if own:
            # anew, each column in one block: an array that grows would keep the block of its first line
            del group[NODE]
        # The branch begins with the twin; from its first line on it holds the ledger alone.
        root_attrs = xr.Dataset(attrs=stored.attrs)
        return tree.write(group, xr.DataTree.from_dict({"/": root_attrs, NODE: _dataset([*lines, new])}), said)

    message = f"{TITLE}: {line['message'] or line['act']}"
    return _patient(lambda: committed(root, BRANCH, message, line["author"] or "twinkit", change, act="save"))


def _unaltered(faults: list[str], path: Path) -> None:
    if faults:
        raise TwinError(
            "a ledger that is as its last release left it",
            found=faults[0],
            hint="tk.verify(path) names all that is wrong; restore it from a copy of the store",
            where=str(path),
        )


def _patient(change: Callable[[], Commit]) -> Commit:
    """A change of the store, tried again while another one writes."""
    until = time.monotonic() + PATIENCE
    while True:
        try:
            return change()
        except TwinError as fault:
            if fault.expected != "one writer at a time" or time.monotonic() > until:
                raise
            time.sleep(0.01 + 0.02 * secrets.randbelow(100) / 100)
