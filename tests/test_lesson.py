"""An opened lesson: three states, hints, solution, report; and a folder held to its format."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import twinkit as tk
from twinkit.error import TwinError
from twinkit.lesson.desk import VERDICT, Lesson
from twinkit.lesson.ground import _built, ground, keep, kept, stored_name
from twinkit.lesson.notebook import PARTS, card_text, find_folder, lessons_in, read, read_exercises
from twinkit.lesson.skeleton import begin

ROOT = Path(__file__).parents[1]
LESSONS = ROOT / "lessons"


@pytest.fixture(scope="module")
def town():
    return ground("town", seed=1, small=True)


@pytest.fixture
def lesson(town):
    folder = LESSONS / "00-welcome"
    return Lesson(
        name="00-welcome",
        title="Welcome",
        twin=town,
        exercises=read_exercises(folder),
        region="town",
        seed=1,
        small=True,
    )


@pytest.fixture
def folder(tmp_path):
    """A lesson of one's own, whole, to be broken."""
    return begin("42-own", tmp_path / "lessons")


def changed(folder: Path, change) -> None:
    path = folder / "lesson.ipynb"
    raw = json.loads(path.read_text(encoding="utf-8"))
    change(raw)
    path.write_text(json.dumps(raw), encoding="utf-8")


def cell(raw, name):
    return next(c for c in raw["cells"] if c["id"] == name)


# ---------------------------------------------------------------- three states


def test_a_check_has_three_states(lesson, town):
    people = float(town["surface/people"].sum())
    assert lesson.check("people", ...).state == "not attempted"
    wrong = lesson.check("people", people / 1000)
    assert (wrong.state, wrong.points) == ("not yet", 0.0)
    assert "factor of 1000" in wrong.message
    right = lesson.check("people", people)
    assert (right.state, right.points) == ("passed", 1.0)


def test_a_wrong_answer_never_raises_and_never_costs_the_points_that_were_earned(lesson, town, recwarn):
    people = float(town["surface/people"].sum())
    assert lesson.check("people", people).state == "passed"
    assert lesson.check("people", object()).state == "not yet"
    assert lesson._records["people"].state == "passed"

    def noisy(distance):
        import warnings

        warnings.warn("nbgrader takes this line for a failed test", stacklevel=1)
        raise ZeroDivisionError("in the learner's own function")

    verdict = lesson.check("walk", noisy)
    assert verdict.state == "not yet"
    assert "ZeroDivisionError" in verdict.message
    assert not recwarn.list


def test_an_answer_that_fails_when_it_is_computed_is_told(lesson):
    import dask.array as da
    import xarray as xr

    def stops(block):
        raise KeyError("missing")

    lazy = xr.DataArray(da.map_blocks(stops, da.ones(3), dtype=float, meta=da.ones(1)._meta).sum())
    verdict = lesson.check("people", lazy)
    assert verdict.state == "not yet"
    assert "KeyError" in verdict.message


def test_unknown_exercises_are_refused_with_close_ones(lesson):
    with pytest.raises(TwinError, match="did you mean 'largest'"):
        lesson.check("larges", "x")


def test_a_verdict_shows_as_text_and_is_worth_its_points(lesson, monkeypatch):
    verdict = lesson.check("people", "many")
    assert repr(verdict).startswith("↻ people: not yet")
    monkeypatch.setattr("twinkit.lesson.desk._in_notebook", lambda: True)
    bundle = verdict._repr_mimebundle_()
    assert float(bundle["text/plain"]) == 0.0
    assert "&#x27;many&#x27;" in bundle["text/html"]
    assert bundle[VERDICT]["state"] == "not yet"


def test_a_guess_stands_beside_the_answer(lesson, town):
    assert "Noted: 5" in repr(lesson.predict("people", 5))
    assert "dots" in repr(lesson.predict("near", ...))
    assert "You predicted 5" in lesson.check("people", float(town["surface/people"].sum())).message


def test_three_hints_then_the_last_again_and_a_solution_with_its_reason(lesson):
    said = [repr(lesson.hint("people")) for _ in range(4)]
    assert [s[:11] for s in said] == ["Hint 1 of 3", "Hint 2 of 3", "Hint 3 of 3", "Hint 3 of 3"]
    solution = repr(lesson.solution("people"))
    assert 'twin["surface/people"].sum()' in solution
    assert "# every pixel holds people" in solution
    assert "misconception" not in solution


@pytest.mark.parametrize(("language", "said"), [("hi", "अभी नहीं"), ("fr", "pas encore"), ("fa", "هنوز نه")])
def test_a_check_speaks_the_learners_language(lesson, language, said):
    lesson.language = language
    assert said in repr(lesson.check("people", -1.0))


def test_a_report_has_no_name_in_it_and_nothing_is_sent(lesson, town, tmp_path):
    lesson.check("people", float(town["places/population"].sum()) / 7)
    lesson.check("people", float(town["surface/people"].sum()) / 1000)
    lesson.hint("near")
    path = tmp_path / "report.json"
    lesson.report(path)
    text = path.read_text(encoding="utf-8")
    content = json.loads(text)
    assert content["exercises"]["people"] == {
        "objective": "count",
        "state": "not yet",
        "attempts": 2,
        "hints": 0,
        "solution": False,
        "slips": {"thousand-down": 1},
    }
    assert content["exercises"]["near"]["hints"] == 1
    assert set(content) == {"twinkit", "lesson", "region", "exercises"}
    assert len(text) < 4000
    assert str(Path.home().name) not in text.replace("00-welcome", "")
    with pytest.raises(TwinError, match="can be written"):
        lesson.report(tmp_path / "nowhere" / "report.json")


def test_the_desk_is_a_folder_of_the_lessons_own(lesson):
    desk = lesson.desk
    assert desk.is_dir()
    assert not any(desk.iterdir())
    assert lesson.desk == desk


def test_a_map_that_is_not_there_is_refused(lesson):
    with pytest.raises(TwinError, match="surface/people"):
        lesson.show("surface/nothing")
    assert "Map of" in lesson.show("surface/people").alt


# ---------------------------------------------------------------- opening


def test_a_lesson_opens_by_name_from_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert tk.lesson.open("00-welcome", region="town").region == "town"
    assert find_folder("01-twin") == LESSONS / "01-twin"
    with pytest.raises(TwinError, match="did you mean '01-twin'"):
        tk.lesson.open("01-twins")
    with pytest.raises(TwinError, match="a language among"):
        tk.lesson.open("01-twin", language="xx")


def test_autograding_opens_another_region_and_nothing_else_does(monkeypatch):
    monkeypatch.setenv("TWINKIT_GRADING_REGION", "town")
    assert tk.lesson.open("00-welcome", region="RW:Kigali").region == "RW:Kigali"
    monkeypatch.setenv("NBGRADER_EXECUTION", "autograde")
    assert tk.lesson.open("00-welcome", region="RW:Kigali").region == "town"


@pytest.mark.parametrize("region", ["town", "RW:Kigali"])
def test_a_ready_made_twin_is_the_same_as_a_built_one(region, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    built = _built(region, seed=1, small=True)
    keep(built, tmp_path / stored_name(region, seed=1, small=True))
    monkeypatch.setenv("TWINKIT_LESSON_DATA", str(tmp_path))
    monkeypatch.setattr("twinkit.lesson.ground._built", None)  # whoever builds one now fails
    stored = ground(region, seed=1, small=True)
    assert stored.attrs == built.attrs
    tk.validate(stored)
    for node in built.children:
        one, other = (t[node].to_dataset(inherit=False) for t in (stored, built))
        assert one.equals(other)
        assert list(one.variables) == list(other.variables)
        for name in other.variables:
            assert one[name].dtype == other[name].dtype
            assert {k: str(v) for k, v in one[name].attrs.items()} == {k: str(v) for k, v in other[name].attrs.items()}


def test_a_twin_is_built_once_and_a_damaged_file_is_said_or_built_anew(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("twinkit.lesson.ground._cache", lambda: tmp_path / "twinkit")
    first = ground("town", seed=2, small=True)
    (cached,) = (tmp_path / "twinkit").iterdir()
    count = []
    again = _built
    monkeypatch.setattr("twinkit.lesson.ground._built", lambda *a, **k: count.append(a) or again(*a, **k))
    assert ground("town", seed=2, small=True)["surface/people"].equals(first["surface/people"])
    assert count == []
    whole = cached.read_bytes()
    for spoilt in (b"", b"not an archive", whole[: len(whole) // 2]):
        cached.write_bytes(spoilt)
        with pytest.raises(TwinError, match="ready-made twin"):
            kept(cached)
        assert ground("town", seed=2, small=True)["surface/people"].equals(first["surface/people"])
        assert cached.read_bytes() == whole
    assert len(count) == 3
    # a cache that cannot be written costs seconds, not the lesson
    monkeypatch.setattr("twinkit.lesson.ground._cache", lambda: cached / "below a file")
    assert ground("town", seed=2, small=True).attrs == first.attrs


def test_regions_that_look_alike_do_not_share_a_file():
    names = {
        stored_name(r, seed=1, small=True) for r in ("76.5,30", "76,5.30", "IN:Shimla", "IN-Shimla ", "शिमला", "कोटा")
    }
    assert len(names) == 6
    assert all("/" not in n and ":" not in n for n in names)


def test_opening_a_lesson_loads_neither_papermill_nor_nbgrader():
    code = (
        "import sys, twinkit as tk; tk.lesson.open('00-welcome', region='town').check('people', 1.0); "
        "print([m for m in ('papermill', 'nbgrader', 'nbformat', 'panel', 'matplotlib') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


# ---------------------------------------------------------------- the format


def test_the_lessons_that_ship_are_whole():
    names = [f.name for f in lessons_in(LESSONS)]
    assert names[:2] == ["00-welcome", "01-twin"]
    for name in names:
        made = read(LESSONS / name)
        assert {c.part for c in made.cells} == set(PARTS)


def test_a_new_lesson_is_whole(folder):
    made = read(folder)
    assert list(made.exercises) == ["people"]
    with pytest.raises(TwinError, match="not there yet"):
        begin("42-own", folder.parent)
    with pytest.raises(TwinError, match="04-radio"):
        begin("radio", folder.parent)


@pytest.mark.parametrize("name", ["lesson.ipynb", "exercises.py", "trainer.md"])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(TwinError, match=f"found no {name}"):
        read(folder)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"cells": []}', "null", '{"cells": 3, "metadata": {}}'])
def test_a_damaged_notebook_is_one_clear_message(folder, text):
    (folder / "lesson.ipynb").write_text(text)
    with pytest.raises(TwinError, match=r"lesson.ipynb"):
        read(folder)


def _drop(name):
    return lambda raw: raw["cells"].remove(cell(raw, name))


def _set(name, **about):
    return lambda raw: cell(raw, name)["metadata"]["twinkit"].update(about)


def _card(**about):
    return lambda raw: raw["metadata"]["twinkit"]["lesson"].update(about)


def _last_of_pair(raw, name):
    moved = cell(raw, name)
    raw["cells"].remove(moved)
    raw["cells"].insert(raw["cells"].index(cell(raw, "own-model")), moved)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda raw: cell(raw, "decide").update(id="limits"), "'limits' twice"),
        (lambda raw: cell(raw, "decide").update(id=""), "none in cell"),
        (_drop("limits"), "part 'limits'"),
        (_drop("sources"), "part 'sources'"),
        (_drop("people-check"), "one check cell for exercise 'people'"),
        (_drop("people-answer"), "one answer cell for exercise 'people'"),
        (lambda raw: [_last_of_pair(raw, name) for name in ("people-shown", "people-look")], "shown example before"),
        (_set("people-shown", part="own-model"), "too late|order"),
        (_set("people-shown", part="show"), "did you mean 'shown'"),
        (_set("people-task", exercise="peopel"), "task cell for exercise 'people'"),
        (_set("predict-answer", exercise="peopel"), "did you mean 'people'"),
        (_set("people-task", role="question"), "task cell"),
        (lambda raw: cell(raw, "people-answer").update(source="people = 5"), "BEGIN SOLUTION"),
        (lambda raw: cell(raw, "people-check").update(source='lesson.check("people", 5)'), "last line"),
        (lambda raw: cell(raw, "parameters")["metadata"].pop("tags"), "tagged 'parameters'"),
        (lambda raw: cell(raw, "parameters").update(source="region = 'town'\nseed = 1\nsmall = True"), "no language"),
        (lambda raw: cell(raw, "open").update(execution_count=3), "outputs stripped"),
        (lambda raw: cell(raw, "card").update(source="a text of my own"), "card rendered"),
        (lambda raw: raw["metadata"].pop("twinkit"), "card in the notebook's metadata"),
        (_card(minutes="long"), "'minutes' on the card"),
        (_card(memory=-3), "'memory' on the card"),
        (_card(objective=[]), "fields that a card has"),
        (_card(needs=[["a concept"]]), "pairs of text"),
        (_card(objectives=[["other", "..."]]), "objective of the card for exercise 'people'"),
        (_card(objectives=[["count", "..."], ["other", "..."]]), "exercise for objective 'other'"),
    ],
)
def test_what_is_wrong_with_a_lesson_is_said_once(folder, change, said):
    changed(folder, change)
    with pytest.raises(TwinError, match=said) as caught:
        read(folder)
    assert "Try:" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("def people(twin:\n    pass", "syntax error.*|line 1"),
        ("import nothing_of_that_name", "ModuleNotFoundError"),
        ("x = 1", "at least one exercise"),
        ("from twinkit.lesson import exercise\n@exercise('a', objective='', hints=[])\ndef a(t): ...", "objective"),
    ],
)
def test_what_is_wrong_with_the_exercises_is_said_with_its_place(folder, text, said):
    (folder / "exercises.py").write_text(text)
    with pytest.raises(TwinError, match=said) as caught:
        read(folder)
    assert "exercises.py" in str(caught.value)


def test_a_folder_that_is_no_lesson(tmp_path):
    with pytest.raises(TwinError, match="no such folder"):
        read(tmp_path / "04-radio")
    (tmp_path / "radio").mkdir()
    with pytest.raises(TwinError, match="04-radio"):
        read(tmp_path / "radio")
    with pytest.raises(TwinError, match="folder with lessons"):
        lessons_in(tmp_path)


def test_the_card_shows_what_the_metadata_says():
    about = read(LESSONS / "01-twin").card
    text = card_text(about)
    assert f"**{about.minutes} minutes**" in text
    assert "[00-welcome](../00-welcome/lesson.ipynb)" in text
    for objective in about.objectives.values():
        assert objective in text


# ---------------------------------------------------------------- in a kernel


def test_in_a_notebook_an_error_is_one_message(folder):
    from twinkit.lesson.trial import executed

    def run(source):
        raw = json.loads((folder / "lesson.ipynb").read_text(encoding="utf-8"))
        last = cell(raw, "people-check")
        raw["cells"] = [*raw["cells"][: raw["cells"].index(cell(raw, "predict-task"))], {**last, "source": source}]
        outcome = executed(raw, name="broken", place=folder.parent, region="town")
        outputs = json.loads(outcome.notebook)["cells"][-1]["outputs"]
        return next(o for o in outputs if o["output_type"] == "error")

    gone = run('lesson.check("people", people)')
    assert gone["ename"] == "TwinError"
    assert len(gone["traceback"]) == 1
    assert "expected an answer named 'people'" in gone["traceback"][0]
    mistyped = run('lesson.check("poeple", 5)')
    assert "did you mean 'people'" in mistyped["traceback"][0]


def test_a_run_without_network_reaches_nothing_beyond_loopback(tmp_path):
    from twinkit.lesson.offline import offline

    code = """
import socket, urllib.request, sys
for reach in (
    lambda: socket.create_connection(("192.0.2.1", 80), timeout=2),
    lambda: urllib.request.urlopen("http://example.org", timeout=2),
    lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("192.0.2.1", 53)),
):
    try:
        reach()
    except OSError as fault:
        assert "offline" in str(fault), fault
    else:
        sys.exit("reached the network")
server = socket.create_server(("127.0.0.1", 0))
socket.create_connection(server.getsockname()).close()
print("alone")
"""
    environment = os.environ | offline(tmp_path / "site")
    out = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert out.stdout.strip() == "alone", out.stderr
    shutil.rmtree(tmp_path / "site")


def test_a_function_may_give_a_state_of_several_variables():
    """A step of dynamics: its variables count, not the order in which they stand, nor scalar coordinates."""
    import xarray as xr

    from twinkit.lesson import exercise

    @exercise("stepping", objective="step", hints=["a", "b", "c"], probe=lambda twin: [{"dt": 1.0}, {"dt": 2.0}])
    def stepping(twin):
        return lambda dt: xr.Dataset({"load": ("cell", [dt, 2 * dt]), "growth": 1.0})

    turned = stepping.probed(None, lambda dt: xr.Dataset({"growth": 1.0, "load": ("cell", [dt, 2 * dt])}, {"time": 3}))
    xr.testing.assert_identical(stepping.probed(None, stepping.expected(None)), turned)
    wrong = stepping.probed(None, lambda dt: xr.Dataset({"load": ("cell", [dt, dt]), "growth": 1.0}))
    assert not wrong.equals(turned)
