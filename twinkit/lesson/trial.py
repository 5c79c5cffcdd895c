"""`twinkit lesson test`: one lesson from every side.

Without a kernel: the format, the graph of prerequisites, links, minutes, translations, and on every region a bank of
wrong answers against each exercise. In a kernel of its own, offline: the reference passes on every region, and the
untouched learner copy says "not attempted" and raises nothing.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twinkit.error import TwinError
from twinkit.lesson.bank import answers
from twinkit.lesson.build import learner_notebook
from twinkit.lesson.desk import NOT_ATTEMPTED, NOT_YET, PASSED, VERDICT, Lesson
from twinkit.lesson.golden import file_of, held, places_of
from twinkit.lesson.ground import ground
from twinkit.lesson.notebook import card_text, lessons_in, read
from twinkit.lesson.offline import offline
from twinkit.lesson.path import cards, check_graph
from twinkit.lesson.translate import check as check_translation
from twinkit.lesson.translate import missing, read_translation, stale

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from twinkit.lesson.notebook import LessonFolder

__all__ = ["Finding", "Trial", "checks_of", "executed", "trial", "verdicts"]

MOST_MEMORY = 1000
"""A classroom laptop gives one lesson no more [MB]."""
LONGEST_WITHOUT_EXERCISE = 15
READING, TYPING = 130, 5
"""Words a minute of somebody who reads in a second language, and lines of shown code understood a minute."""
DOI = re.compile(r"doi\.org/10\.\d{4,9}/\S+")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)|<img[^>]+src=[\"']([^\"']+)")
IMAGE = re.compile(r"!\[([^\]]*)\]\(([^)\s]+)\)")


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: the side, what was found, and whether it holds (None: a remark)."""

    side: str
    text: str
    holds: bool | None = True
    region: str = ""

    def __str__(self) -> str:
        sign = {True: "ok  ", False: "FAIL", None: "note"}[self.holds]
        return f"{sign} {self.side}{f' ({self.region})' if self.region else ''}: {self.text}"


@dataclass
class Trial:
    """All findings on one lesson, and what its runs cost."""

    name: str
    findings: list[Finding] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    memory: dict[str, float] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Whether everything holds."""
        return all(f.holds is not False for f in self.findings)

    def __repr__(self) -> str:
        return "\n".join([self.name, *(f"  {f}" for f in self.findings)])


def trial(
    folder: str | Path,
    *,
    regions: Iterable[str] = (),
    kernels: bool = True,
    golden: Path | None = None,
    update: bool = False,
    told: Callable[[Finding], None] | None = None,
) -> Trial:
    """Test a lesson from every side.

    Parameters
    ----------
    folder : path
        The lesson.
    regions : list of str
        Where; by default the card's, and at least `twinkit.lesson.REGIONS`.
    kernels : bool
        False leaves out what needs a kernel, for a quick look while writing.
    golden : Path, optional
        A folder of golden numbers: what the reference records on each region is held against them. A region that the
        card names must have them; of any other one that has none, that is a remark.
    update : bool
        Write the golden numbers anew from these runs.
    told : function of a Finding, optional
        Called with each finding as it is made.

    Returns
    -------
    Trial
        Never raises for a fault of the lesson: that is a finding.
    """
    made = Trial(Path(folder).name)

    def note(finding: Finding) -> None:
        made.findings.append(finding)
        if told is not None:
            told(finding)

    try:
        lesson = read(folder)
    except TwinError as fault:
        note(Finding("format", str(fault), holds=False))
        return made
    note(Finding("format", f"{len(lesson.cells)} cells, {len(lesson.exercises)} exercises"))
    for look in (_graph, _links, _minutes, _sources, _translations):
        for finding in look(lesson):
            note(finding)
    places = list(regions) or places_of(lesson.folder)
    for finding in _bank(lesson, places):
        note(finding)
    if kernels:
        for finding in _runs(lesson, places, made, golden=golden, update=update):
            note(finding)
    return made


# ---------------------------------------------------------------- what needs no kernel


def _graph(lesson: LessonFolder) -> Iterator[Finding]:
    try:
        known = cards(lessons_in(lesson.folder.parent, strict=False))
        check_graph(known)
    except TwinError as fault:
        yield Finding("prerequisites", str(fault), holds=False)
    else:
        yield Finding("prerequisites", "no circle; every concept is given by the lesson named")


def _links(lesson: LessonFolder) -> Iterator[Finding]:
    """Relative links lead to files of the repository; pictures have alt text."""
    root = _root(lesson.folder)
    broken, plain = [], []
    for cell in lesson.cells:
        if cell.kind != "markdown":
            continue
        plain += [cell.id for alt, _ in IMAGE.findall(cell.source) if not alt.strip()]
        plain += [cell.id for tag in re.findall(r"<img[^>]*>", cell.source) if not re.search(r"alt=[\"'][^\"']", tag)]
        for pair in LINK.findall(cell.source):
            link = (pair[0] or pair[1]).partition("#")[0]
            if not link or re.match(r"[a-z]+:", link):
                continue
            target = (lesson.folder / link).resolve()
            if not target.exists() or not target.is_relative_to(root):
                broken.append(f"'{link}' in cell '{cell.id}'")
    yield Finding("links", f"lead nowhere in the repository: {', '.join(broken)}" if broken else "resolve", not broken)
    if plain:
        yield Finding("alt text", f"missing for pictures in {', '.join(plain)}", holds=False)


def _root(folder: Path) -> Path:
    return next((p for p in folder.parents if (p / "pyproject.toml").is_file()), folder.parent)


def _minutes(lesson: LessonFolder) -> Iterator[Finding]:
    """The card's minutes against reading, code and exercises; never long without an exercise."""
    total = since = longest = 0.0
    for cell in lesson.cells:
        if cell.kind == "markdown":
            spent = len(re.findall(r"\w+", re.sub(r"\(http\S+\)", "", cell.source))) / READING
        elif cell.role in ("answer", "check"):
            spent = lesson.exercises[cell.exercise].minutes if cell.role == "answer" else 0.0
        else:
            spent = sum(1 for line in cell.source.splitlines() if line.strip()) / TYPING
        total += spent
        if cell.role == "answer":
            since = 0.0
        else:
            since += spent
            longest = max(longest, since)
    declared = lesson.card.minutes
    holds = 0.75 * total <= declared <= 1.5 * total
    yield Finding("minutes", f"{declared} on the card, {total:.0f} by its text and exercises", holds)
    holds = longest <= LONGEST_WITHOUT_EXERCISE
    yield Finding("rhythm", f"at most {longest:.0f} minutes without an exercise", holds)


def _sources(lesson: LessonFolder) -> Iterator[Finding]:
    text = "\n".join(c.source for c in lesson.cells if c.part == "sources")
    found = len(DOI.findall(text))
    yield Finding("sources", f"{found} with a DOI" if found else "none with a DOI", holds=found > 0)


def _translations(lesson: LessonFolder) -> Iterator[Finding]:
    for language in lesson.languages:
        try:
            translation = read_translation(lesson.folder, language)
            check_translation(lesson, translation)
        except TwinError as fault:
            yield Finding("translation", str(fault), holds=False)
            continue
        old, none = stale(lesson, translation), missing(lesson, translation)
        review = "" if translation.reviewed else ", not yet reviewed by a native speaker"
        if old or none:
            # cells by name; hints and diagnoses, which have a dot in their key, by number
            cells, texts = [n for n in none if "." not in n], sum("." in n for n in none)
            said = [f"stale {', '.join(old)}"] if old else []
            said += [f"missing {', '.join(cells)}"] if cells else []
            said += [f"{texts} hints and diagnoses still in English"] if texts else []
            yield Finding("translation", f"{language}: {'; '.join(said)}{review}", holds=None)
        else:
            yield Finding("translation", f"{language}: complete and fresh{review}")


def _bank(lesson: LessonFolder, places: list[str]) -> Iterator[Finding]:
    """The right answer passes, and every wrong one is rejected and, where it has a name, named."""
    twins = {}
    for region in places:
        try:
            twins[region] = ground(region, seed=1, small=True)
        except TwinError as fault:
            yield Finding("region", str(fault), holds=False, region=region)
    unseen = {(e.name, m) for e in lesson.exercises.values() for m in e.misconceptions}
    for region, twin in twins.items():
        desk = Lesson(
            name=lesson.name,
            title=lesson.card.title,
            twin=twin,
            exercises=lesson.exercises,
            region=region,
            seed=1,
            small=True,
        )
        others = {r: t for r, t in twins.items() if r != region}
        faults, count = [], 0
        for name, exercise in lesson.exercises.items():
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    right = desk.check(name, exercise.expected(twin))
                    if right.state != PASSED:
                        faults.append(f"{name}: its own answer is '{right.state}': {right.message}")
                    for wrong in answers(exercise, twin, others):
                        count += 1
                        verdict = desk.check(name, wrong.answer)
                        unseen.discard((name, wrong.name))
                        if verdict.state != NOT_YET:
                            faults.append(f"{name}: accepts {wrong.what}")
                        elif wrong.name and wrong.name not in {d.name for d in verdict.diagnoses}:
                            faults.append(f"{name}: {wrong.what} is not named")
            except TwinError as fault:
                faults.append(str(fault))
        text = "; ".join(faults) if faults else f"{count} wrong answers rejected, slips and misconceptions named"
        yield Finding("wrong answers", text, not faults, region)
    if unseen and twins:
        names = ", ".join(f"{e}.{m}" for e, m in sorted(unseen))
        yield Finding("misconceptions", f"cannot be told from the right answer anywhere: {names}", holds=False)


# ---------------------------------------------------------------- what needs a kernel


def executed(notebook: Any, *, name: str, place: Path, **parameters: Any) -> Any:
    """One offline run of a lesson's notebook in a kernel of its own.

    Parameters
    ----------
    notebook : dict
        As JSON.
    name : str
        For messages.
    place : Path
        The folder of lessons in which it is looked up.
    **parameters
        region, seed, small, language.

    Returns
    -------
    twinkit.study's outcome
        Executed notebook (JSON text), results, seconds, peak_memory [byte], error ("" if none).
    """
    from twinkit.study._kernel import execute

    with tempfile.TemporaryDirectory(prefix="twinkit-trial-") as scratch:
        environment = offline(Path(scratch) / "site") | {"TWINKIT_LESSONS": str(place), "MPLBACKEND": "Agg"}
        desk = Path(scratch) / "desk"
        desk.mkdir()
        return execute(json.dumps(notebook), parameters, name=name, folder=str(desk), environment=environment)


def verdicts(text: str, checks: Mapping[str, str] | None = None) -> dict[str, dict[str, Any]]:
    """Exercise to its verdict in an executed notebook, as its check cell returned it.

    Parameters
    ----------
    text : str
        The executed notebook.
    checks : dict of cell id to exercise, optional
        The lesson's check cells. For a notebook that somebody else wrote, give it: what another cell shows in the form
        of a verdict is none. Without it the cells count that the notebook itself calls checks.
    """
    found = {}
    for cell in json.loads(text)["cells"]:
        about = cell.get("metadata", {}).get("twinkit", {})
        own = about.get("exercise") if about.get("role") == "check" else None
        exercise = own if checks is None else checks.get(cell.get("id"))
        if not exercise:
            continue
        for output in cell.get("outputs", []):
            # what the cell's last line gives; anything can be displayed on the way there
            facts = output.get("data", {}).get(VERDICT) if output.get("output_type") == "execute_result" else None
            if isinstance(facts, dict) and facts.get("exercise") == exercise:
                found[exercise] = facts
    return found


def checks_of(lesson: LessonFolder) -> dict[str, str]:
    """The check cells of a lesson: id to exercise."""
    return {c.id: c.exercise for c in lesson.cells if c.role == "check"}


def _stopped(outcome: Any) -> str:
    """Where and why a run stopped."""
    for cell in json.loads(outcome.notebook)["cells"]:
        for output in cell.get("outputs", []):
            if output.get("output_type") == "error":
                return f"cell '{cell.get('id')}': {output['ename']}: {output['evalue']}"
    return str(outcome.error)


def without_alt(text: str) -> list[str]:
    """The cells of an executed notebook that show a picture without alt text."""
    found = []
    for cell in json.loads(text)["cells"]:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            page = "".join(data.get("text/html", ""))
            tags = re.findall(r"<img[^>]*>", page)
            bad = any(not re.search(r"alt=\"[^\"]", tag) for tag in tags)
            for kind in data:
                if kind.startswith("image/") and not output.get("metadata", {}).get(kind, {}).get("alt"):
                    bad = bad or not tags
            if bad:
                found.append(cell["id"])
    return found


def _numbers(
    lesson: LessonFolder, region: str, outcome: Any, given: dict[str, Any], golden: Path, update: bool
) -> Finding:
    """The numbers that a run recorded, against the golden ones."""
    path = file_of(golden, lesson.name, region)
    if not path.is_file() and not update and region not in places_of(lesson.folder):
        return Finding("numbers", "no golden ones of this region", holds=None, region=region)
    try:
        found = held(lesson.folder, outcome, given, path, update=update)
    except TwinError as fault:
        again = f" Make it: twinkit lesson test {lesson.name} --update" if not path.is_file() else ""
        return Finding("numbers", f"{fault}{again}", holds=False, region=region)
    return Finding("numbers", repr(found), found.ok and bool(found.changes), region)


def _runs(
    lesson: LessonFolder, places: list[str], made: Trial, *, golden: Path | None, update: bool
) -> Iterator[Finding]:
    reference = json.loads((lesson.folder / "lesson.ipynb").read_text(encoding="utf-8"))
    for region in places:
        given: dict[str, Any] = {"region": region, "seed": 1, "small": True}
        outcome = executed(reference, name=f"{lesson.name}/lesson.ipynb", place=lesson.folder.parent, **given)
        made.seconds[region], made.memory[region] = outcome.seconds, outcome.peak_memory / 1e6
        if outcome.error:
            yield Finding("reference", _stopped(outcome), holds=False, region=region)
            continue
        states = {k: v["state"] for k, v in verdicts(outcome.notebook, checks_of(lesson)).items()}
        open_ = [e for e in lesson.exercises if states.get(e) != PASSED]
        text = f"does not pass {', '.join(open_)}" if open_ else f"passes offline in {outcome.seconds:.0f} s"
        yield Finding("reference", text, not open_, region)
        if golden is not None:
            yield _numbers(lesson, region, outcome, given, golden, update and not open_)
        bare = without_alt(outcome.notebook)
        if bare:
            yield Finding("alt text", f"missing for figures of {', '.join(bare)}", holds=False, region=region)
    if made.memory:
        most, declared = max(made.memory.values()), lesson.card.memory
        holds = most <= declared <= MOST_MEMORY
        yield Finding("memory", f"{declared} MB on the card, {most:.0f} MB at the peak", holds)
    outcome = executed(
        learner_notebook(lesson), name=f"{lesson.name}, learner copy", place=lesson.folder.parent, region=places[0]
    )
    if outcome.error:
        yield Finding("learner copy", f"an untouched copy stops: {_stopped(outcome)}", holds=False)
        return
    states = {k: v["state"] for k, v in verdicts(outcome.notebook, checks_of(lesson)).items()}
    wrong = [e for e in lesson.exercises if states.get(e) != NOT_ATTEMPTED]
    text = (
        f"says something else in {', '.join(wrong)}" if wrong else "untouched, says 'not attempted' and raises nothing"
    )
    yield Finding("learner copy", text, not wrong)


def refreshed_card(folder: Path) -> bool:
    """Write the card cell anew from the metadata; whether it changed."""
    from twinkit.lesson.notebook import card, read_json

    path = folder / "lesson.ipynb"
    raw = read_json(path)
    text = card_text(card(folder))
    for cell in raw["cells"]:
        if cell.get("id") == "card":
            before = cell["source"] if isinstance(cell["source"], str) else "".join(cell["source"])
            if before == text:
                return False
            cell["source"] = text.splitlines(keepends=True)
            partial = path.with_suffix(".partial")
            partial.write_text(json.dumps(raw, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
            os.replace(partial, path)  # noqa: PTH105 - in one step
            return True
    raise TwinError("a cell with the id 'card'", found="none", hint="add one", where=str(path))
