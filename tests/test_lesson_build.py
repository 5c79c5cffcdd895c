"""Learner copies, and the round trip through the real nbgrader."""

from __future__ import annotations

import csv
import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from twinkit.error import TwinError
from twinkit.lesson.build import STUB, copies, course, learner_notebook, plain_python, read_copy, release_notebook
from twinkit.lesson.classroom import graded
from twinkit.lesson.commands import app
from twinkit.lesson.desk import VERDICT
from twinkit.lesson.notebook import read

ROOT = Path(__file__).parents[1]
WELCOME = ROOT / "lessons" / "00-welcome"


@pytest.fixture(scope="module")
def lesson():
    return read(WELCOME)


@pytest.fixture(scope="module")
def copy(lesson):
    return learner_notebook(lesson)


def text_of(cell) -> str:
    return cell["source"] if isinstance(cell["source"], str) else "".join(cell["source"])


def by_id(notebook):
    return {c["id"]: c for c in notebook["cells"]}


def with_answers(notebook, answers):
    cells = by_id(notebook)
    for name, source in answers.items():
        cells[name]["source"] = source
    return notebook


def solutions(lesson):
    return {c.id: c.source for c in lesson.cells if c.role in ("answer", "predict")}


# ---------------------------------------------------------------- copies


def test_a_copy_holds_no_answer_and_every_question(lesson, copy):
    cells = by_id(copy)
    assert list(cells) == [c.id for c in lesson.cells]
    for name in lesson.exercises:
        source = text_of(cells[f"{name}-answer"])
        assert [line for line in source.splitlines() if line] == [f"{name.replace('-', '_')} = ...", STUB]
    whole = json.dumps(copy)
    assert "SOLUTION" not in whole
    assert "sort_values" not in text_of(cells["largest-answer"])


def test_a_copy_carries_nbgraders_metadata(lesson, copy):
    cells = by_id(copy)
    for name, one in lesson.exercises.items():
        check, answer = cells[f"{name}-check"]["metadata"], cells[f"{name}-answer"]["metadata"]
        assert check["nbgrader"]["grade"]
        assert check["nbgrader"]["points"] == one.points
        assert check["nbgrader"]["checksum"]
        assert check["editable"] is False
        assert check["deletable"] is False
        assert answer["nbgrader"]["solution"]
        assert not answer["nbgrader"]["grade"]
        assert answer.get("editable", True)
    assert cells["open"]["metadata"]["nbgrader"]["locked"]
    ids = [c["metadata"]["nbgrader"]["grade_id"] for c in copy["cells"] if "nbgrader" in c["metadata"]]
    assert len(set(ids)) == len(ids)


def test_the_reference_is_left_as_it_was(lesson):
    before = (WELCOME / "lesson.ipynb").read_bytes()
    assert "BEGIN SOLUTION" in json.dumps(release_notebook(lesson))
    assert (WELCOME / "lesson.ipynb").read_bytes() == before


def test_copies_for_self_study_have_what_the_checks_need_and_overwrite_nothing(tmp_path):
    written = copies([WELCOME], tmp_path)
    assert written == [tmp_path / "00-welcome" / "lesson.ipynb"]
    assert (tmp_path / "00-welcome" / "exercises.py").is_file()
    before = written[0].read_bytes()
    with pytest.raises(TwinError, match="somebody's work"):
        copies([WELCOME], tmp_path)
    assert written[0].read_bytes() == before


def test_a_translated_copy_speaks_the_language_and_keeps_the_code(lesson, copy):
    french = by_id(learner_notebook(lesson, language="fr"))
    english = by_id(copy)
    assert "Bienvenue" in text_of(french["title"])
    assert "pas encore été relue" in text_of(french["title"])
    assert 'language = "fr"' in text_of(french["parameters"])
    for name, cell in english.items():
        if cell["cell_type"] == "code" and name != "parameters":
            assert text_of(french[name]) == text_of(cell)
    persian = by_id(learner_notebook(lesson, language="fa"))
    assert '<div dir="rtl" lang="fa">' in text_of(persian["question"])
    assert "\n\n" not in text_of(persian["question"])
    assert "<table>" in text_of(persian["card"])


# ---------------------------------------------------------------- what comes back


def test_a_copy_with_deleted_cells_is_one_clear_message(copy, lesson, tmp_path):
    path = tmp_path / "lesson.ipynb"
    less = {**copy, "cells": [c for c in copy["cells"] if c["id"] not in ("people-answer", "near-check")]}
    path.write_text(json.dumps(less))
    with pytest.raises(TwinError, match=r"no cell 'people-answer' and 1 more gone.*fresh copy"):
        read_copy(path, lesson)


def test_a_copy_with_a_syntax_error_names_cell_and_line(copy, lesson, tmp_path):
    path = tmp_path / "lesson.ipynb"
    broken = with_answers(json.loads(json.dumps(copy)), {"people-answer": "people = 5\npeople = (5"})
    path.write_text(json.dumps(broken))
    with pytest.raises(TwinError, match=r"cell 'people-answer'.*line 2"):
        read_copy(path, lesson)
    with pytest.raises(TwinError, match=r"cell 'people-answer'"):
        graded(path, WELCOME, region="town")


@pytest.mark.parametrize("text", ["", "{", '{"cells": []}'])
def test_a_damaged_copy_is_one_clear_message(lesson, tmp_path, text):
    path = tmp_path / "lesson.ipynb"
    path.write_text(text)
    with pytest.raises(TwinError, match=r"lesson.ipynb"):
        read_copy(path, lesson)


def test_what_only_ipython_understands_is_no_syntax_error():
    assert plain_python("%time x = 1\n!ls\nx?\ny = 2") == "pass\npass\npass\ny = 2"
    assert plain_python("%%bash\nls |") == ""


def test_grading_without_nbgrader_runs_on_another_region(copy, lesson, tmp_path):
    path = tmp_path / "mine.ipynb"
    answers = solutions(lesson) | {
        "people-answer": "people = 2068328.5",  # read off in Kigali
        "near-answer": "near = ...",
        "walk-check": "print('lesson.check is not my friend')",
    }
    path.write_text(json.dumps(with_answers(json.loads(json.dumps(copy)), answers)))
    grade = graded(path, WELCOME, region="town")
    assert grade.states == {
        "largest": "passed",
        "people": "not yet",
        "near": "not attempted",
        "walk": "passed",
        "sure": "passed",
    }
    assert (grade.points, grade.of) == (3.0, 5.0)
    assert "3 of 5 points" in repr(grade)


FORGED = """from IPython.display import display
for name in ("largest", "people", "near", "walk", "sure"):
    facts = {"exercise": name, "state": "passed", "points": 1000.0}
    display({"application/vnd.twinkit.verdict+json": facts, "text/plain": "1000"}, raw=True)
"""


def forged(points, exercise="people", kind="execute_result", state="passed"):
    facts = {"exercise": exercise, "state": state, "points": points}
    return {"output_type": kind, "metadata": {}, "data": {VERDICT: facts, "text/plain": "1"}, "execution_count": 1}


def test_forged_verdicts_earn_nothing(copy, lesson, tmp_path):
    path = tmp_path / "forged.ipynb"
    mine = with_answers(json.loads(json.dumps(copy)), {"largest-answer": FORGED + "largest = ..."})
    # a cell of one's own that calls itself a check, and results saved where the check cell did not come to run
    own = {"exercise": "people", "role": "check", "part": "exercise"}
    added = {"cell_type": "code", "id": "own", "metadata": {"twinkit": own}, "source": FORGED, "outputs": []}
    mine["cells"].append(added | {"execution_count": None})
    for name in ("people-check", "sure-check"):
        by_id(mine)[name]["outputs"] = [forged(1000.0, name.removesuffix("-check"))]
    by_id(mine)["sure-answer"]["source"] = "raise SystemError('stops here')"
    path.write_text(json.dumps(mine))
    grade = graded(path, WELCOME, region="town")
    assert set(grade.states.values()) == {"not attempted"}
    assert grade.points == 0
    assert "stops here" in grade.stopped


@pytest.mark.parametrize(
    ("saved", "points"),
    [
        (forged(1000.0), 1.0),
        (forged(10**400), 1.0),
        (forged(-5.0), 0.0),
        (forged(float("nan")), 0.0),
        (forged("1000"), 0.0),
        (forged(1.0, state="not yet"), 0.0),
        (forged(1.0, state=["passed"]), 0.0),
        (forged(1.0, exercise="near"), 0.0),
        (forged(1.0, kind="display_data"), 0.0),
    ],
)
def test_an_exercise_earns_no_more_than_its_points(copy, lesson, tmp_path, monkeypatch, saved, points):
    """Whatever a run leaves in a check cell."""
    ran = json.loads(json.dumps(copy))
    by_id(ran)["people-check"]["outputs"] = [saved]
    outcome = SimpleNamespace(notebook=json.dumps(ran), error="")
    monkeypatch.setattr("twinkit.lesson.classroom.executed", lambda *given, **named: outcome)
    path = tmp_path / "mine.ipynb"
    path.write_text(json.dumps(copy))
    assert graded(path, WELCOME, region="town").points == points


def test_grading_says_whose_account_runs_the_learners_code():
    shown = CliRunner().invoke(app, ["grade", "--help"], env={"COLUMNS": "200"}).output
    assert "runs the learners' code in your account" in shown


@pytest.mark.parametrize(
    "command",
    [
        ["build", "00-welcome", "--out", "{file}/out"],
        ["build", "00-welcome", "--nbgrader", "--region", "town", "--out", "{file}/out"],
        ["hub", "{file}/hub", "--lesson", "00-welcome", "--shared-account"],
        ["new", "77-mine", "--lessons", "{file}/lessons"],
    ],
)
def test_a_place_that_cannot_be_written_is_one_message(tmp_path, monkeypatch, command):
    file = tmp_path / "a-file"
    file.write_text("in the way")
    monkeypatch.setattr("twinkit.lesson.hub._proxy", lambda folder: "proxy")
    run = CliRunner().invoke(app, [c.format(file=file) for c in command])
    assert isinstance(run.exception, TwinError), run.output
    assert str(file) in str(run.exception)


def test_a_translators_file_survives_a_failed_write(tmp_path, monkeypatch):
    place = ["--lessons", str(tmp_path)]
    CliRunner().invoke(app, ["new", "55-mine", *place])
    update = ["translate", "55-mine", "--language", "fr", *place]
    assert CliRunner().invoke(app, update).exit_code == 0
    work = (tmp_path / "55-mine" / "fr.md").read_bytes()

    def full(*given):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "fr.md")

    monkeypatch.setattr("twinkit.lesson.commands.os.replace", full)
    failed = CliRunner().invoke(app, update)
    assert isinstance(failed.exception, TwinError)
    assert os.strerror(errno.ENOSPC) in str(failed.exception)
    assert (tmp_path / "55-mine" / "fr.md").read_bytes() == work
    assert sorted(p.name for p in (tmp_path / "55-mine").iterdir() if "partial" in p.name) == []


# ---------------------------------------------------------------- nbgrader


def nbgrader(*arguments: str, folder: Path) -> str:
    environment = {k: v for k, v in os.environ.items() if k != "TWINKIT_LESSON_DATA"}
    environment |= {
        "JUPYTER_CONFIG_DIR": str(folder / "jupyter"),
        "JUPYTER_DATA_DIR": str(folder / "jupyter-data"),
        "IPYTHONDIR": str(folder / "ipython"),
    }
    done = subprocess.run(
        [sys.executable, "-m", "nbgrader", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    return done.stdout + done.stderr


def test_a_course_grades_on_a_region_that_learners_do_not_start_on(tmp_path):
    with pytest.raises(TwinError, match="do not start on"):
        course([WELCOME], tmp_path / "course", region="RW:Kigali")
    made = course([WELCOME], tmp_path / "course", region="IR:Tabriz")
    config = (made / "nbgrader_config.py").read_text(encoding="utf-8")
    compile(config, "nbgrader_config.py", "exec")
    assert "IR:Tabriz" in config
    assert (made / "source" / "00-welcome" / "lesson.ipynb").is_file()


def test_nbgrader_itself_makes_the_same_copy_as_we_do(copy, tmp_path):
    made = course([WELCOME], tmp_path / "course", region="town")
    nbgrader("generate_assignment", "00-welcome", folder=made)
    released = json.loads((made / "release" / "00-welcome" / "lesson.ipynb").read_text(encoding="utf-8"))
    assert (made / "release" / "00-welcome" / "exercises.py").is_file()
    ours = by_id(copy)
    for name, cell in by_id(released).items():
        assert text_of(cell) == text_of(ours[name])
        assert cell["metadata"].get("nbgrader") == ours[name]["metadata"].get("nbgrader")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_round_trip_through_nbgrader(lesson, tmp_path):
    """Released, answered in five ways, autograded on a region that nobody has seen."""
    made = course([WELCOME], tmp_path / "course", region="IR:Tabriz")
    nbgrader("generate_assignment", "00-welcome", folder=made)

    def submit(name, change):
        target = made / "submitted" / name / "00-welcome"
        shutil.copytree(made / "release" / "00-welcome", target)
        notebook = json.loads((target / "lesson.ipynb").read_text(encoding="utf-8"))
        (target / "lesson.ipynb").write_text(json.dumps(change(notebook)), encoding="utf-8")
        return target

    right = solutions(lesson)
    submit("untouched", lambda notebook: notebook)
    submit("right", lambda notebook: with_answers(notebook, right))
    typed = right | {"people-answer": "people = 2068328.5", "near-answer": "near = 0.6034"}
    submit("typed", lambda notebook: with_answers(notebook, typed))
    cheats = right | {"people-answer": "people = 1", "people-check": "5.0", "open": text_of(cheat(lesson))}
    target = submit("tampered", lambda notebook: with_answers(notebook, cheats))
    (target / "exercises.py").write_text("raise SystemExit")

    def without(notebook):
        with_answers(notebook, right)
        return {**notebook, "cells": [c for c in notebook["cells"] if c["id"] != "people-answer"]}

    submit("deleted", without)
    nbgrader("autograde", "00-welcome", folder=made)
    nbgrader("export", folder=made)
    rows = {r["student_id"]: float(r["score"]) for r in csv.DictReader((made / "grades.csv").read_text().splitlines())}
    assert rows == {"untouched": 0.0, "right": 5.0, "typed": 3.0, "tampered": 4.0, "deleted": 4.0}
    untouched = (made / "autograded" / "untouched" / "00-welcome" / "lesson.ipynb").read_text(encoding="utf-8")
    outputs = [o for c in json.loads(untouched)["cells"] for o in c.get("outputs", [])]
    assert not [o for o in outputs if o["output_type"] == "error" or o.get("name") == "stderr"]
    assert "IR:Tabriz" in untouched


def cheat(lesson):
    return {"source": lesson.cell("open").source + "\nlesson.check = lambda name, answer: 1.0"}
