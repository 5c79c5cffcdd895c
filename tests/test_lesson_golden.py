"""Golden numbers of the lessons: there for every lesson and region, readable, and a change is told."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from twinkit import study
from twinkit.cli._regression import regressions, source_of
from twinkit.error import TwinError
from twinkit.lesson import REGIONS, trial
from twinkit.lesson.desk import VERDICT
from twinkit.lesson.exercise import kind_of
from twinkit.lesson.golden import file_of, missing, places_of
from twinkit.lesson.ground import ground
from twinkit.lesson.notebook import lessons_in, read
from twinkit.study._kernel import Outcome

ROOT = Path(__file__).parents[1]
LESSONS, GOLDEN = ROOT / "lessons", ROOT / "tests" / "golden"
PAIRS = [(folder, region) for folder in lessons_in(LESSONS) for region in places_of(folder)]
CHANGED = "02-city"


@pytest.mark.parametrize(("folder", "region"), PAIRS, ids=[f"{f.name}-{r}" for f, r in PAIRS])
def test_a_lesson_has_golden_numbers_on_a_region(folder, region):
    path = file_of(GOLDEN, folder.name, region)
    held = study.expected(path)
    assert held["notebook"] == f"{folder.name}/lesson.ipynb"
    assert source_of(path) == folder / "lesson.ipynb"
    assert {k: held["parameters"][k] for k in ("region", "seed", "small")} == {
        "region": region,
        "seed": 1,
        "small": True,
    }
    exercises = {name.replace("-", "_") for name in read(folder).exercises}
    assert set(held["results"]) <= exercises
    assert held["results"]
    assert all("relative" in entry or "absolute" in entry for entry in held["results"].values())


def test_the_golden_numbers_are_the_answers_of_the_exercises():
    """What stands in the files is computed here again, without a kernel, and nothing numeric is left out."""
    lesson = read(LESSONS / CHANGED)
    for region in REGIONS:
        twin = ground(region, seed=1, small=True)
        answers = {n.replace("-", "_"): e.answer(twin) for n, e in lesson.exercises.items()}
        numbers = {n: float(a) for n, a in answers.items() if kind_of(a) == "number"}
        held = study.expected(file_of(GOLDEN, CHANGED, region))["results"]
        assert set(held) == set(numbers)
        exercises = {n.replace("-", "_"): e for n, e in lesson.exercises.items()}
        for name, entry in held.items():
            near = max(exercises[name].tolerance, entry["relative"])
            assert entry["value"] == pytest.approx(numbers[name], rel=near, abs=exercises[name].absolute)


def test_three_countries_and_none_forgotten(tmp_path):
    assert {r.partition(":")[0] for _, r in PAIRS} >= {"IN", "RW", "IR"}
    assert missing(LESSONS, GOLDEN) == []
    for path in GOLDEN.glob("*.json"):
        shutil.copy(path, tmp_path)
    gone = file_of(tmp_path, CHANGED, "IN:Shimla")
    gone.unlink()
    assert missing(LESSONS, tmp_path) == [gone.name]
    with pytest.raises(TwinError, match=f"no {gone.name}.*twinkit lesson test {CHANGED} --update"):
        list(regressions(tmp_path, [], update=False))
    with pytest.raises(TwinError, match=f"twinkit lesson test {CHANGED} --update"):
        list(regressions(tmp_path, [gone.stem], update=True))


@pytest.fixture
def ran(monkeypatch):
    """A lesson's run that found what the golden file of its region says, without its kernel."""
    lesson = read(LESSONS / CHANGED)
    checks = {c.exercise: c for c in lesson.cells if c.role == "check"}

    def executed(notebook, *, name, place, **given):
        state = "not attempted" if "copy" in name else "passed"
        cells = []
        for exercise, cell in checks.items():
            data = {VERDICT: {"exercise": exercise, "state": state}}
            about = {"twinkit": {"role": "check", "exercise": exercise}}
            outputs = [{"output_type": "execute_result", "data": data, "metadata": {}}]
            cells.append({"id": cell.id, "metadata": about, "outputs": outputs})
        path = file_of(GOLDEN, CHANGED, given.get("region", "RW:Kigali"))
        results = {k: e["value"] for k, e in study.expected(path)["results"].items()}
        return Outcome(json.dumps({"cells": cells}), results, 1.0, 300_000_000)

    monkeypatch.setattr("twinkit.lesson.trial.executed", executed)
    monkeypatch.setattr("twinkit.lesson.trial._bank", lambda *_: [])


def numbers(golden, **choices):
    made = trial.trial(LESSONS / CHANGED, regions=["RW:Kigali"], golden=golden, **choices)
    (found,) = [f for f in made.findings if f.side == "numbers"]
    assert made.passed == (found.holds is not False)
    return found


def test_a_changed_number_is_told_with_its_lesson_its_old_and_its_new_value(ran, tmp_path):
    path = file_of(tmp_path, CHANGED, "RW:Kigali")
    shutil.copy(file_of(GOLDEN, CHANGED, "RW:Kigali"), path)
    assert numbers(tmp_path).holds is True
    whole = json.loads(path.read_text(encoding="utf-8"))
    name, entry = next(iter(whole["results"].items()))
    new = entry["value"]
    entry["value"] = old = 1.5 * new
    path.write_text(json.dumps(whole), encoding="utf-8")
    found = numbers(tmp_path)
    assert found.holds is False
    for part in (f"{CHANGED}/lesson.ipynb", f"{name}: was {old:.10g}, is {new:.10g}"):
        assert part in found.text
    assert numbers(tmp_path, update=True).holds is True
    assert study.expected(path)["results"][name]["value"] == new


def test_missing_and_damaged_golden_numbers_are_one_message(ran, tmp_path):
    found = numbers(tmp_path)
    assert found.holds is False
    assert f"twinkit lesson test {CHANGED} --update" in found.text
    file_of(tmp_path, CHANGED, "RW:Kigali").write_text("{", encoding="utf-8")
    found = numbers(tmp_path)
    assert found.holds is False
    assert "version control" in found.text


def test_the_regression_leaves_lessons_to_their_own_test_only_when_told(monkeypatch):
    seen = []

    def run(path, given, folder):
        seen.append(source := study._notebook.read(path).name)
        results = {k: study._results.decoded(e["value"]) for k, e in by_notebook[source, given.get("region")].items()}
        return study.Run(source, dict(given), results, 1.0, 1, {}, {}, "", "")

    files = [study.expected(p) for p in GOLDEN.glob("*.json")]
    by_notebook = {(f["notebook"], f["parameters"].get("region")): f["results"] for f in files}
    monkeypatch.setattr(study, "run", run)
    assert all(found.ok for _, found in regressions(GOLDEN, [], update=False, research=True))
    assert seen
    assert not [name for name in seen if name.endswith("lesson.ipynb")]
    alone = set(seen)
    seen.clear()
    assert all(found.ok for _, found in regressions(GOLDEN, [], update=False))
    assert set(seen) == alone | {f"{folder.name}/lesson.ipynb" for folder in lessons_in(LESSONS)}
    ((_, found),) = regressions(GOLDEN, [f"{CHANGED}.rw-kigali"], update=False, research=True)
    assert found.notebook == f"{CHANGED}/lesson.ipynb"
