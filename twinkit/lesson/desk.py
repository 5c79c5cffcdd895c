"""The learner's desk: one opened lesson with its twin, its checks, hints and solutions, and what it remembers.

Nothing leaves the machine, and nothing here knows who the learner is.
"""

from __future__ import annotations

import html
import json
import shutil
import tempfile
import warnings
import weakref
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from twinkit.error import TwinError
from twinkit.lesson.exercise import HINTS, Exercise, as_values, compare, find, kind_of
from twinkit.lesson.messages import RIGHT_TO_LEFT, say
from twinkit.lesson.slips import Diagnosis, diagnose

__all__ = ["NOT_ATTEMPTED", "NOT_YET", "PASSED", "VERDICT", "Lesson", "Verdict"]

PASSED, NOT_YET, NOT_ATTEMPTED = "passed", "not yet", "not attempted"
VERDICT = "application/vnd.twinkit.verdict+json"
STYLE = {  # colour, sign: the state never hangs on colour alone
    PASSED: ("#1a7f37", "✓"),
    NOT_YET: ("#9a6700", "↻"),
    NOT_ATTEMPTED: ("#57606a", "…"),
}


@dataclass(frozen=True)
class Verdict:
    """What a check says: the state, a message, and what probably happened.

    In a notebook it shows as text, while its plain form is the points earned: nbgrader reads them as credit.
    """

    exercise: str
    state: str
    message: str
    points: float = 0.0
    diagnoses: tuple[Diagnosis, ...] = ()
    language: str = "en"

    def __repr__(self) -> str:
        return f"{STYLE[self.state][1]} {self.exercise}: {say(self.state, self.language)}. {self.message}"

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        if not _in_notebook():
            return {"text/plain": repr(self)}
        colour, sign = STYLE[self.state]
        side = "right" if self.language in RIGHT_TO_LEFT else "left"
        lines = html.escape(self.message).replace("\n", "<br>")
        page = (
            f'<div role="status" lang="{self.language}" dir="{"rtl" if side == "right" else "ltr"}" '
            f'style="border-{side}: 4px solid {colour}; padding: 0.4em 0.8em; margin: 0.3em 0">'
            f'<b style="color: {colour}">{sign} {html.escape(say(self.state, self.language))}</b> '
            f"<code>{html.escape(self.exercise)}</code><br>{lines}</div>"
        )
        facts = {
            "exercise": self.exercise,
            "state": self.state,
            "points": self.points,
            "slips": [d.name for d in self.diagnoses],
        }
        return {"text/plain": repr(self.points), "text/html": page, VERDICT: facts}


@dataclass(frozen=True)
class Note:
    """A hint, a solution or a remark: Markdown in a notebook, text elsewhere."""

    text: str

    def __repr__(self) -> str:
        return self.text

    def _repr_markdown_(self) -> str:
        return self.text


@dataclass
class Record:
    """What one exercise has seen."""

    state: str = NOT_ATTEMPTED
    attempts: int = 0
    hints: int = 0
    solution: bool = False
    slips: Counter[str] = field(default_factory=Counter)
    guess: Any = None
    value: Any = None


class Lesson:
    """One opened lesson; `twinkit.lesson.open` makes it.

    Attributes
    ----------
    name, title, region, seed, small, language
        As opened; `region` is the one in use, which in autograding is another than the learner's.
    twin : DataTree
        The twin in front of the learner: every expected answer is computed from it.
    desk : Path
        An empty folder for the stores and files that the lesson makes; it goes away with the kernel.
    exercises : dict of str to Exercise
    """

    def __init__(
        self,
        *,
        name: str,
        title: str,
        twin: Any,
        exercises: dict[str, Exercise],
        region: str,
        seed: int,
        small: bool,
        language: str = "en",
        texts: dict[str, str] | None = None,
    ) -> None:
        self.name, self.title, self.twin, self.exercises = name, title, twin, exercises
        self.region, self.seed, self.small, self.language = region, seed, small, language
        self._texts = texts or {}
        self._records = {e: Record() for e in exercises}
        self._folder = ""

    def __repr__(self) -> str:
        done = sum(r.state == PASSED for r in self._records.values())
        return f"{self.name}: {self.title} ({self.region}); {done} of {len(self._records)} exercises passed"

    @property
    def desk(self) -> Path:
        """An empty folder for what the lesson makes."""
        if not self._folder:
            self._folder = tempfile.mkdtemp(prefix=f"twinkit-{self.name}-")
            weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        return Path(self._folder)

    # ------------------------------------------------------------ what the learner calls

    def check(self, name: str, answer: Any) -> Verdict:
        """Say whether an answer is right: passed, not yet, or not attempted; and if not, what probably happened.

        Parameters
        ----------
        name : str
            The exercise.
        answer : number, array, text, list of ids, True or False, or a function: whatever is asked
            ``...`` means not attempted.

        Errors
        ------
        TwinError
            No exercise of that name; close ones are offered. A wrong answer never raises.
        """
        exercise = find(self.exercises, name, where=self.name)
        record = self._records[name]
        if answer is Ellipsis:
            return Verdict(name, NOT_ATTEMPTED, say("not-attempted-text", self.language), language=self.language)
        with warnings.catch_warnings():
            # nbgrader takes any line on standard error for a failed test, so a warning would cost the points
            warnings.simplefilter("ignore")
            message, found, value = self._judged(exercise, answer)
        record.attempts += record.state != PASSED
        if not message:
            record.state, record.value = PASSED, value
            text = say("passed-text", self.language, value=_shown(value, exercise))
            if record.guess is not None:
                text += " " + say("predicted", self.language, guess=_shown(record.guess, exercise))
            return Verdict(name, PASSED, text, points=exercise.points, language=self.language)
        if record.state != PASSED:
            record.state = NOT_YET
            record.slips.update(d.name for d in found)
        return Verdict(name, NOT_YET, message, diagnoses=tuple(found), language=self.language)

    def predict(self, name: str, guess: Any) -> Note:
        """Keep a guess, made before anything is computed; the check shows it beside the right answer."""
        exercise = find(self.exercises, name, where=self.name)
        if guess is Ellipsis:
            return Note(say("not-attempted-text", self.language))
        self._records[name].guess = guess
        return Note(say("prediction-kept", self.language, guess=_shown(guess, exercise)))

    def hint(self, name: str) -> Note:
        """The next of three hints: where to look, which step, almost the code. The third repeats."""
        exercise = find(self.exercises, name, where=self.name)
        record = self._records[name]
        record.hints = min(record.hints + 1, HINTS)
        text = self._texts.get(f"{name}.hint.{record.hints}", exercise.hints[record.hints - 1])
        return Note(say("hint", self.language, step=record.hints, of=HINTS, text=text))

    def solution(self, name: str) -> Note:
        """One way to the answer, with its reason."""
        exercise = find(self.exercises, name, where=self.name)
        self._records[name].solution = True
        return Note(f"```python\n{exercise.solution}\n```")

    def report(self, path: str | Path | None = None) -> Note:
        """Write what this session did into one small file that may be handed in: no name, no place, nothing sent.

        For each exercise: objective, state, attempts, hints, whether the solution was shown, and which slips were
        named how often. The numbers passed with are recorded in the notebook, for `twinkit.study`.

        Parameters
        ----------
        path : path, optional
            ``report-01-twin.json`` in the current folder by default.
        """
        path = Path(path or f"report-{self.name}.json")
        content = {
            "twinkit": "report",
            "lesson": self.name,
            "region": self.region,
            "exercises": {
                name: {
                    "objective": self.exercises[name].objective,
                    "state": r.state,
                    "attempts": r.attempts,
                    "hints": r.hints,
                    "solution": r.solution,
                    "slips": dict(r.slips),
                }
                for name, r in self._records.items()
            },
        }
        try:
            path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        except OSError as fault:
            raise TwinError(
                "a file that can be written", found=str(fault.strerror), hint="give another path", where=str(path)
            ) from None
        self._record()
        return Note(f"{path}: " + "; ".join(f"{n}: {say(r.state, self.language)}" for n, r in self._records.items()))

    def show(self, what: Any) -> Any:
        """A map with the twin's masts and places, labelled in the lesson's language, with alt text from its numbers.

        Parameters
        ----------
        what : str or DataArray (y, x)
            ``"surface/people"`` of the twin, or a map of your own.

        Returns
        -------
        twinkit.view.Figure
            Where the extra ``view`` is not installed, a note that says so: the lesson goes on without the picture.
        """
        array = what
        if isinstance(what, str):
            node, _, name = what.rpartition("/")
            try:
                array = self.twin[node].to_dataset(inherit=False)[name]
            except KeyError:
                raise TwinError(
                    "a variable of the twin", found=f"'{what}'", hint="name it like 'surface/people'", where="show"
                ) from None
        from twinkit import view

        try:
            return view.map_of(array, twin=self.twin, language=self.language)
        except TwinError as fault:
            if "twinkit[view]" not in fault.hint:
                raise
            return Note(str(fault))

    # ------------------------------------------------------------ how it judges

    def _judged(self, exercise: Exercise, answer: Any) -> tuple[str, list[Diagnosis], Any]:
        """The message ("" when right), what probably happened, and the answer's values."""
        expected = exercise.answer(self.twin)
        try:
            given = answer
            if exercise.probe is not None:
                if not callable(answer):
                    from twinkit.lesson.exercise import described

                    said = say("wrong-type", self.language, wanted="def ...", found=described(answer))
                    return said, [], None
                answer = exercise.probed(self.twin, answer)
            fault = compare(exercise, answer, expected, language=self.language)
            if fault is None and exercise.contract is not None:
                # last: a wrong number says more about what was misunderstood than a broken form does
                exercise.contract(self.twin, given)
        except TwinError as broken:
            return str(broken), [], None
        except Exception as broken:  # noqa: BLE001 - whatever the learner's code or graph raises is told, not thrown
            said = f"{type(broken).__name__}: {broken}"
            return say("raised", self.language, error=said[:300]), [], None
        if fault is None:
            return "", [], answer
        found = diagnose(exercise, self.twin, answer, expected, language=self.language, texts=self._own_texts(exercise))
        if found:
            return self._told(found), found, None
        message = fault.text or self._direction(exercise, answer, expected)
        return message + "\n" + say("hint-line", self.language, name=exercise.name), [], None

    def _told(self, found: list[Diagnosis]) -> str:
        texts = list(dict.fromkeys(d.text for d in found))
        if len(texts) == 1:
            return texts[0]
        return say("either", self.language) + "".join(f"\n• {t}" for t in texts)

    def _own_texts(self, exercise: Exercise) -> dict[str, str]:
        prefix = f"{exercise.name}.misconception."
        return {k.removeprefix(prefix): v for k, v in self._texts.items() if k.startswith(prefix)}

    def _direction(self, exercise: Exercise, answer: Any, expected: Any) -> str:
        kind = kind_of(expected)
        if kind == "number":
            larger = float(as_values(answer)) > float(as_values(expected))
            return say("too-large" if larger else "too-small", self.language)
        if kind == "array":
            values, goal = as_values(answer).astype(float), as_values(expected).astype(float)
            allowed = exercise.absolute + exercise.tolerance * abs(goal)
            differ = int((abs(values - goal) > allowed).sum()) if values.shape == goal.shape else goal.size
            return say("some-differ", self.language, count=differ, of=goal.size)
        return say("not-it", self.language)

    def _record(self) -> None:
        """The numbers passed with, for the regression: shown as an output of our own type, invisible to the eye."""
        from twinkit import study

        numbers = {}
        for name, r in self._records.items():
            if r.state == PASSED and kind_of(self.exercises[name].answer(self.twin)) == "number":
                numbers[name.replace("-", "_")] = float(as_values(r.value))
        if numbers and _in_notebook():
            study.record(**numbers)


def _shown(value: Any, exercise: Exercise) -> str:
    """A value in a sentence, with its unit."""
    unit = "" if exercise.unit == "1" else f" {exercise.unit}"
    try:
        kind = kind_of(value)
    except TwinError:
        return str(value)
    if kind == "number":
        number = as_values(value)[()]
        if (
            number.dtype.kind in "iu"
            or 1e3 <= abs(number) < 1e15
            or (number == round(float(number)) and abs(number) < 1e15)
        ):
            return f"{round(float(number)):,}{unit}".replace(",", "\u202f")
        return f"{float(number):.4g}{unit}"
    if kind == "array":
        values = as_values(value)
        return f"{values.shape}{unit}"
    if kind == "ids":
        ids = sorted(value) if isinstance(value, set | frozenset) else list(value)
        return ", ".join(ids[:6]) + (", …" if len(ids) > 6 else "")
    return str(value)


def _in_notebook() -> bool:
    """Whether a Jupyter kernel shows our results (a terminal shows plain text)."""
    import sys

    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return shell is not None and hasattr(shell, "kernel")


def short_errors() -> None:
    """In a notebook, a TwinError or a missing answer shows as its one message, not as a traceback."""
    import sys

    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if shell is None or not hasattr(shell, "set_custom_exc"):
        return

    def show(self: Any, kind: Any, fault: Any, trace: Any, tb_offset: Any = None) -> Any:
        if isinstance(fault, NameError):
            history = self.history_manager
            cell = history.input_hist_raw[-1] if history is not None else ""
            if "lesson.check(" not in cell:
                self.showtraceback((kind, fault, trace), tb_offset=tb_offset, running_compiled_code=True)
                return None
            fault = TwinError(
                f"an answer named '{fault.name}'",
                found="no such name",
                hint="run the answer cell above; if it is gone, copy it back from a fresh copy of the lesson",
            )
        text = str(fault)
        self._showtraceback(TwinError, fault, [text])
        return [text]

    shell.set_custom_exc((TwinError, NameError), show)
