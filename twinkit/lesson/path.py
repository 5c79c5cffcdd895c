"""The graph of lessons: which needs which, in what order to take them, and what fits into an afternoon."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from twinkit.error import TwinError, close_to
from twinkit.lesson.notebook import Card, card

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

__all__ = ["Plan", "cards", "check_graph", "plan"]


@dataclass(frozen=True)
class Plan:
    """A course: lessons in an order that honours the prerequisites, and what did not fit.

    Attributes
    ----------
    goal : str
    lessons : tuple of str
    minutes : int
    left_out : tuple of str
        Lessons that the goal also has, for which the time did not suffice.
    cards : dict of str to Card
    """

    goal: str
    lessons: tuple[str, ...]
    minutes: int
    left_out: tuple[str, ...]
    cards: Mapping[str, Card]

    def __repr__(self) -> str:
        lines = [f"{self.goal}: {len(self.lessons)} lessons, {self.minutes} minutes"]
        lines += [f"  {name:20} {self.cards[name].minutes:4} min  {self.cards[name].title}" for name in self.lessons]
        if self.left_out:
            lines.append("no time left for: " + ", ".join(self.left_out))
        return "\n".join(lines)


def cards(folders: Iterable[Path]) -> dict[str, Card]:
    """The cards of lessons by name."""
    return {folder.name: card(folder) for folder in folders}


def check_graph(known: Mapping[str, Card]) -> list[str]:
    """An order of the lessons in which each comes after what it needs (the lowest number first).

    Errors
    ------
    TwinError
        A circle, named; a concept from a lesson that does not exist or does not give it.
    """
    for name, about in known.items():
        for concept, source in about.needs.items():
            if not source:
                continue
            if source not in known:
                near = close_to(source, known)
                raise TwinError(
                    "lessons that exist as prerequisites",
                    found=f"'{source}' (for '{concept}')",
                    hint=f"did you mean {near}?"
                    if near
                    else 'name a lesson, or "" for what is known before the course',
                    where=name,
                )
            if concept not in known[source].gives:
                near = close_to(concept, known[source].gives)
                raise TwinError(
                    f"a concept that {source} gives",
                    found=f"'{concept}'",
                    hint=f"did you mean {near}?" if near else f"add it to 'gives' on the card of {source}",
                    where=name,
                )
    order: list[str] = []
    while len(order) < len(known):
        ready = [n for n in sorted(known) if n not in order and _before(known, n) <= set(order)]
        if not ready:
            circle = _circle(known, {n for n in known if n not in order})
            raise TwinError(
                "prerequisites without a circle",
                found=" needs ".join([*circle, circle[0]]),
                hint="drop the prerequisite that is only nice to have",
                where="lessons",
            )
        order.append(ready[0])
    return order


def _before(known: Mapping[str, Card], name: str) -> set[str]:
    return {source for source in known[name].needs.values() if source}


def _circle(known: Mapping[str, Card], among: set[str]) -> list[str]:
    walk = [min(among)]
    while True:
        after = min(_before(known, walk[-1]) & among)
        if after in walk:
            return walk[walk.index(after) :]
        walk.append(after)


def plan(folders: Iterable[Path], *, goal: str, minutes: int) -> Plan:
    """A course towards a goal within a time.

    Lessons that serve the goal are taken in teaching order, each with everything that it needs; one that does not
    fit any more is left out.

    Parameters
    ----------
    folders : lesson folders
    goal : str
        A word of a lesson's name ("radio"), one of its goals or concepts, or a lesson itself.
    minutes : int
        Time for the course.

    Errors
    ------
    TwinError
        No lesson serves the goal; the shortest way to it takes longer than the time; a circle.
    """
    known = cards(folders)
    order = check_graph(known)
    wanted = [n for n in order if goal.casefold() in _goals(n, known[n])]
    if not wanted:
        every = sorted({g for n in known for g in _goals(n, known[n])})
        near = close_to(goal, every)
        raise TwinError(
            "a goal that some lesson serves",
            found=f"'{goal}'",
            hint=f"did you mean {near}?" if near else "choose among " + ", ".join(g for g in every if " " not in g),
        )
    taken: set[str] = set()
    left_out = []
    shortest = 0
    for name in wanted:
        more = _closure(known, name) - taken
        cost = sum(known[n].minutes for n in more)
        if sum(known[n].minutes for n in taken) + cost > minutes:
            left_out.append(name)
            shortest = min(shortest or cost, cost)
        else:
            taken |= more
    if not taken:
        raise TwinError(
            f"enough time for '{goal}'",
            found=f"{minutes} minutes",
            hint=f"the shortest way to it takes {shortest} minutes",
        )
    lessons = tuple(n for n in order if n in taken)
    return Plan(goal, lessons, sum(known[n].minutes for n in lessons), tuple(left_out), known)


def _goals(name: str, about: Card) -> set[str]:
    return {name, name.partition("-")[2], *(g.casefold() for g in (*about.goals, *about.gives))}


def _closure(known: Mapping[str, Card], name: str) -> set[str]:
    found: set[str] = set()
    todo = [name]
    while todo:
        one = todo.pop()
        if one not in found:
            found.add(one)
            todo += _before(known, one)
    return found
