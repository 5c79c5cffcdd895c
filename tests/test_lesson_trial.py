"""`twinkit lesson test`, translations, courses, class reports: what they find, and that they can fail."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from twinkit.error import TwinError
from twinkit.lesson.classroom import class_report
from twinkit.lesson.commands import app
from twinkit.lesson.notebook import Card, card, lessons_in, read
from twinkit.lesson.path import check_graph, plan
from twinkit.lesson.skeleton import begin
from twinkit.lesson.translate import check as check_translation
from twinkit.lesson.translate import digest, exercise_texts, missing, read_translation, stale, template
from twinkit.lesson.trial import Finding, refreshed_card, trial, verdicts, without_alt

ROOT = Path(__file__).parents[1]
LESSONS = ROOT / "lessons"


@pytest.fixture
def folder(tmp_path):
    """A lesson of one's own that passes, to be broken."""
    made = begin("42-own", tmp_path / "lessons")
    source = 'lesson.show("surface/people")\n'
    changed(made, lambda raw: cell(raw, "people-look").update(source=source))
    changed(made, lambda raw: cell(raw, "sources").update(source="[doi](https://doi.org/10.5334/jors.148)"))
    changed(made, lambda raw: raw["metadata"]["twinkit"]["lesson"].update(minutes=7))
    refreshed_card(made)
    return made


def changed(folder: Path, change) -> None:
    path = folder / "lesson.ipynb"
    raw = json.loads(path.read_text(encoding="utf-8"))
    change(raw)
    path.write_text(json.dumps(raw), encoding="utf-8")


def cell(raw, name):
    return next(c for c in raw["cells"] if c["id"] == name)


def rewritten(folder: Path, old: str, new: str) -> None:
    path = folder / "exercises.py"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def failures(made) -> dict[str, str]:
    return {f.side: f.text for f in made.findings if f.holds is False}


PLACES = ["town", "RW:Kigali"]


# ---------------------------------------------------------------- the trial


def test_a_whole_lesson_passes_from_every_side(folder):
    told = []
    made = trial(folder, regions=["town"], told=told.append)
    assert failures(made) == {}
    assert made.passed
    sides = {f.side for f in told}
    assert {"format", "prerequisites", "links", "minutes", "rhythm", "sources", "wrong answers"} <= sides
    assert {"reference", "memory", "learner copy"} <= sides
    assert set(made.seconds) == {"town"}
    assert all(50 < m < 1000 for m in made.memory.values())


@pytest.mark.parametrize(
    ("old", "new", "side", "said"),
    [
        # a check that is too generous accepts twice what it should
        ("tolerance=0.005", "tolerance=3.0", "wrong answers", "accepts"),
        # the expected answer is stored instead of computed: it does not travel
        ('float(twin["surface/people"].sum())\n\n\n@', "36000.0\n\n\n@", "wrong answers", "accepts the answer of"),
        # a misconception that is never wrong
        ('float(twin["surface/people"].mean())', "people.answer(twin)", "misconceptions", "mean_of_a_pixel"),
        ('float(twin["surface/people"].mean())', "None", "misconceptions", "mean_of_a_pixel"),
        ('float(twin["surface/people"].mean())', "1 / 0", "wrong answers", "ZeroDivisionError"),
    ],
)
def test_a_weak_exercise_is_found(folder, old, new, side, said):
    rewritten(folder, old, new)
    made = trial(folder, regions=PLACES, kernels=False)
    assert not made.passed
    assert said in failures(made)[side]


@pytest.mark.parametrize(
    ("change", "side", "said"),
    [
        (lambda raw: cell(raw, "limits").update(source="[next](../99-gone/lesson.ipynb)"), "links", "99-gone"),
        (lambda raw: cell(raw, "limits").update(source="[out](../../../../etc/hosts)"), "links", "etc/hosts"),
        (lambda raw: cell(raw, "limits").update(source="![](lesson.ipynb)"), "alt text", "limits"),
        (lambda raw: cell(raw, "limits").update(source="<img src='exercises.py'>"), "alt text", "limits"),
        (lambda raw: cell(raw, "sources").update(source="my own head"), "sources", "none"),
        (lambda raw: cell(raw, "limits").update(source="word " * 3000), "minutes", "on the card"),
        (lambda raw: cell(raw, "people-shown").update(source="word " * 3000), "rhythm", "without an exercise"),
        (lambda raw: raw["metadata"].update(twinkit={}), "format", "card"),
    ],
)
def test_a_fault_of_the_notebook_is_found_without_a_kernel(folder, change, side, said):
    changed(folder, change)
    made = trial(folder, regions=["town"], kernels=False)
    assert said in failures(made)[side]


@pytest.mark.slow
def test_faults_that_only_a_run_shows_are_found(folder):
    changed(folder, lambda raw: raw["metadata"]["twinkit"]["lesson"].update(memory=60))
    refreshed_card(folder)
    wrong = "people = ...\n### BEGIN SOLUTION\npeople = 5.0\n### END SOLUTION"
    changed(folder, lambda raw: cell(raw, "people-answer").update(source=wrong))
    reach = 'import urllib.request\n\nurllib.request.urlopen("http://192.0.2.1", timeout=2)\n'
    own = {"cell_type": "code", "outputs": [], "execution_count": None, "metadata": {"twinkit": {"part": "limits"}}}
    picture = "from IPython.display import Image, display\n\ndisplay(Image(data=lesson.show('surface/people').png))"
    changed(folder, lambda raw: cell(raw, "people-look").update(source=picture))
    found = failures(trial(folder, regions=["town"]))
    assert found["reference"] == "does not pass people"
    assert "people-look" in found["alt text"]
    assert "60 MB on the card" in found["memory"]
    changed(folder, lambda raw: raw["cells"].insert(-3, {**own, "id": "reach", "source": reach}))
    found = failures(trial(folder, regions=["town"]))
    assert "offline" in found["reference"]
    assert "offline" in found["learner copy"]


def test_a_copy_that_stumbles_over_the_dots_is_found(folder):
    changed(folder, lambda raw: cell(raw, "own-model").update(cell_type="code", outputs=[], source="people + 1"))
    changed(folder, lambda raw: cell(raw, "own-model").update(execution_count=None))
    found = failures(trial(folder, regions=["town"]))
    assert list(found) == ["learner copy"]
    assert "own-model" in found["learner copy"]


def test_a_finding_reads_as_one_line():
    assert str(Finding("links", "resolve")) == "ok   links: resolve"
    assert str(Finding("memory", "much", holds=False, region="town")) == "FAIL memory (town): much"


def test_pictures_without_alt_text_are_seen_in_every_form():
    def notebook(data, metadata=None):
        output = {"output_type": "display_data", "data": data, "metadata": metadata or {}}
        return json.dumps({"cells": [{"id": "a", "outputs": [output]}]})

    assert without_alt(notebook({"image/png": "x"})) == ["a"]
    assert without_alt(notebook({"text/html": "<img src='x'>"})) == ["a"]
    assert without_alt(notebook({"text/html": ['<img alt="" ', "src='x'>"]})) == ["a"]
    assert without_alt(notebook({"image/png": "x"}, {"image/png": {"alt": "a map"}})) == []
    assert without_alt(notebook({"text/html": '<img alt="a map" src="x">'})) == []
    assert verdicts(notebook({"text/plain": "1"})) == {}


@pytest.mark.parametrize("name", ["00-welcome", "01-twin"])
def test_the_first_lessons_reject_their_bank_of_wrong_answers(name):
    made = trial(LESSONS / name, kernels=False)
    assert failures(made) == {}
    assert sum(f.side == "wrong answers" for f in made.findings) >= 3


# ---------------------------------------------------------------- the command line


def test_the_command_line_says_what_failed(folder):
    run = CliRunner().invoke
    place = ["--lessons", str(folder.parent)]
    good = run(app, ["test", "42-own", "--quick", "--region", "town", *place])
    assert good.exit_code == 0, good.output
    changed(folder, lambda raw: cell(raw, "sources").update(source="my own head"))
    bad = run(app, ["test", "--all", "--quick", "--region", "town", *place])
    assert bad.exit_code == 1
    assert "failed: 42-own" in bad.output
    assert isinstance(run(app, ["test", *place]).exception, TwinError)
    changed(folder, lambda raw: cell(raw, "card").update(source="old"))
    assert "written" in run(app, ["card", *place]).output
    assert "was fresh" in run(app, ["card", *place]).output


def test_the_command_line_plans_and_reports(tmp_path):
    run = CliRunner().invoke
    planned = run(app, ["path", "--goal", "data", "--minutes", "180", "--lessons", str(LESSONS)])
    assert "01-twin" in planned.output
    assert planned.output.index("00-welcome") < planned.output.index("01-twin")
    begun = run(app, ["new", "55-mine", "--lessons", str(tmp_path)])
    assert (tmp_path / "55-mine" / "lesson.ipynb").is_file(), begun.output
    written = run(app, ["translate", "55-mine", "--language", "fr", "--lessons", str(tmp_path)])
    assert "written" in written.output
    assert missing(read(tmp_path / "55-mine"), read_translation(tmp_path / "55-mine", "fr")) == []


# ---------------------------------------------------------------- prerequisites


def about(minutes=30, needs=(), gives=(), goals=()):
    return Card("t", minutes, 500, dict(needs), tuple(gives), {"a": "b"}, tuple(goals))


def test_a_circle_of_prerequisites_is_named():
    known = {
        "01-a": about(needs=[("c", "03-c")], gives=["a"]),
        "02-b": about(needs=[("a", "01-a")], gives=["b"]),
        "03-c": about(needs=[("b", "02-b")], gives=["c"]),
        "04-d": about(needs=[("c", "03-c")]),
    }
    with pytest.raises(TwinError, match="01-a needs 03-c needs 02-b needs 01-a"):
        check_graph(known)


def test_a_prerequisite_that_nobody_gives_is_named():
    with pytest.raises(TwinError, match="did you mean '01-twin'"):
        check_graph({"01-twin": about(), "02-b": about(needs=[("labels", "01-twins")])})
    with pytest.raises(TwinError, match="did you mean 'labels'"):
        check_graph({"01-a": about(gives=["labels"]), "02-b": about(needs=[("label", "01-a")])})


def test_a_circle_on_disk_is_a_finding(folder):
    other = begin("43-other", folder.parent)
    for here, there in ((folder, "43-other"), (other, "42-own")):
        changed(here, lambda raw, t=there: raw["metadata"]["twinkit"]["lesson"].update(needs=[["x", t]], gives=["x"]))
        refreshed_card(here)
    assert (
        "42-own needs 43-other needs 42-own"
        in failures(trial(folder, regions=["town"], kernels=False))["prerequisites"]
    )


def course_of(tmp_path, **lessons):
    for name, about_it in lessons.items():
        folder = tmp_path / name.strip("_").replace("_", "-")
        folder.mkdir()
        card_ = {"title": "t", "memory": 500, "objectives": [["a", "b"]], "needs": [], "gives": []} | about_it
        notebook = {"metadata": {"twinkit": {"lesson": card_}}, "cells": []}
        (folder / "lesson.ipynb").write_text(json.dumps(notebook))
    return lessons_in(tmp_path)


def test_a_course_honours_prerequisites_and_time(tmp_path):
    folders = course_of(
        tmp_path,
        _00_start={"minutes": 30, "gives": ["start"]},
        _01_twin={"minutes": 60, "needs": [["start", "00-start"]], "gives": ["twin"]},
        _03_coverage={"minutes": 50, "needs": [["twin", "01-twin"]], "gives": ["cover"], "goals": ["resilience"]},
        _08_energy={"minutes": 40, "needs": [["start", "00-start"]], "gives": ["power"]},
        _09_resilience={"minutes": 70, "needs": [["cover", "03-coverage"], ["power", "08-energy"]]},
    )
    whole = plan(folders, goal="resilience", minutes=300)
    assert whole.lessons == ("00-start", "01-twin", "03-coverage", "08-energy", "09-resilience")
    assert whole.minutes == 250
    short = plan(folders, goal="Resilience", minutes=180)
    assert short.lessons == ("00-start", "01-twin", "03-coverage")
    assert short.left_out == ("09-resilience",)
    assert "no time left for: 09-resilience" in repr(short)
    with pytest.raises(TwinError, match="takes 140 minutes"):
        plan(folders, goal="coverage", minutes=60)
    with pytest.raises(TwinError, match="did you mean 'resilience'"):
        plan(folders, goal="resiliance", minutes=300)


def test_the_lessons_that_ship_form_a_graph():
    order = check_graph({f.name: card(f) for f in lessons_in(LESSONS)})
    assert order[0] == "00-welcome"


# ---------------------------------------------------------------- translations


@pytest.mark.parametrize("name", ["00-welcome", "01-twin"])
@pytest.mark.parametrize("language", ["hi", "fr", "fa"])
def test_the_first_lessons_are_translated_whole_fresh_and_marked(name, language):
    lesson = read(LESSONS / name)
    translation = read_translation(lesson.folder, language)
    check_translation(lesson, translation)
    assert stale(lesson, translation) == []
    assert not [m for m in missing(lesson, translation) if "." not in m]
    assert translation.reviewed is False


def test_numbers_code_and_links_survive_translation():
    import re

    for name in ("00-welcome", "01-twin"):
        lesson = read(LESSONS / name)
        english = {c.id: c.source for c in lesson.cells if c.kind == "markdown"}
        for language in ("hi", "fr", "fa"):
            for key, (_, text) in read_translation(lesson.folder, language).cells.items():
                for kept in (r"`[^`]+`", r"https://\S+?(?=\))", r"\]\((\.\./[^)]+)\)", r"^#+ "):
                    ours, theirs = (sorted(re.findall(kept, s, re.MULTILINE)) for s in (text, english[key]))
                    assert ours == theirs, f"{name}/{language}.md: {key}"


def _entry(kind, name, text, of="0" * 12):
    return f"<!-- {kind}: {name}, of: {of} -->\n{text}\n"


HEAD = "---\nlanguage: fr\nreviewed: no\n---\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "language: fr"),
        ("---\nlanguage: hi\nreviewed: no\n---\n", "language: fr"),
        ("---\nlanguage: fr\n---\n", "reviewed"),
        (HEAD + _entry("cell", "title", ""), "'title' without text"),
        (HEAD + _entry("cell", "title", "a") + _entry("cell", "title", "b"), "'title' twice"),
        (HEAD + _entry("cell", "gone", "a"), "'gone', which is gone"),
        (HEAD + _entry("text", "people.hint.9", "a"), "'people.hint.9', which is gone"),
    ],
)
def test_a_translation_that_does_not_fit_is_one_clear_message(folder, text, said):
    (folder / "fr.md").write_text(text, encoding="utf-8")
    lesson = read(folder)
    with pytest.raises(TwinError, match=said) as caught:
        check_translation(lesson, read_translation(folder, "fr"))
    assert "fr.md" in str(caught.value)
    assert "translation" in failures(trial(folder, regions=["town"], kernels=False))


def test_a_translation_in_other_bytes_or_of_another_language(folder):
    (folder / "fr.md").write_bytes("été".encode("utf-16"))
    with pytest.raises(TwinError, match="UTF-8"):
        read_translation(folder, "fr")
    with pytest.raises(TwinError, match="a language among"):
        read_translation(folder, "xx")
    with pytest.raises(TwinError, match="no such file"):
        read_translation(folder, "hi")


def test_a_cell_that_changed_since_is_stale_and_shown_in_english(folder):
    from twinkit.lesson.build import release_notebook

    lesson = read(folder)
    text = template(lesson, "fr").replace("A mayor asks: ...", "Une maire demande : ...")
    (folder / "fr.md").write_text(text, encoding="utf-8")
    lesson = read(folder)
    assert stale(lesson, read_translation(folder, "fr")) == []

    def question(made):
        return next(c for c in release_notebook(made, language="fr")["cells"] if c["id"] == "question")["source"]

    assert "Une maire demande" in question(lesson)
    changed(folder, lambda raw: cell(raw, "question").update(source="## The question\n\nA minister asks: ..."))
    lesson = read(folder)
    assert stale(lesson, read_translation(folder, "fr")) == ["question"]
    assert "A minister asks" in "".join(question(lesson))
    notes = [f for f in trial(folder, regions=["town"], kernels=False).findings if f.side == "translation"]
    assert notes[0].holds is None
    assert "stale question" in notes[0].text
    # bringing it up to date keeps the old text and its hash: still to be redone
    renewed = template(lesson, "fr", old=read_translation(folder, "fr"))
    assert "Une maire demande" in renewed
    (folder / "fr.md").write_text(renewed, encoding="utf-8")
    assert stale(lesson, read_translation(folder, "fr")) == ["question"]


def test_hints_and_misconceptions_are_translated_while_they_are_fresh(folder):
    hint = "Which layer holds people?"
    entry = _entry("text", "people.hint.1", "Quelle couche porte des habitants ?", of=digest(hint))
    (folder / "fr.md").write_text(HEAD + entry, encoding="utf-8")
    assert exercise_texts(folder, "fr") == {"people.hint.1": "Quelle couche porte des habitants ?"}
    rewritten(folder, hint, "Which layer holds the people?")
    assert exercise_texts(folder, "fr") == {}
    assert exercise_texts(folder, "hi") == {}


# ---------------------------------------------------------------- a class


def report(state, slips=None, *, hints=0, lesson="00-welcome"):
    return {
        "twinkit": "report",
        "lesson": lesson,
        "region": "town",
        "exercises": {
            "near": {
                "objective": "people",
                "state": state,
                "attempts": 1,
                "hints": hints,
                "solution": False,
                "slips": slips or {},
            },
            "sure": {
                "objective": "people",
                "state": "passed",
                "attempts": 1,
                "hints": 0,
                "solution": False,
                "slips": {},
            },
            "people": {
                "objective": "count",
                "state": "not attempted",
                "attempts": 0,
                "hints": 0,
                "solution": False,
                "slips": {},
            },
        },
    }


def test_a_class_report_counts_objectives_and_slips_and_names_nobody(tmp_path):
    handed = tmp_path / "reports"
    handed.mkdir()
    for name, content in {
        "amina": report("passed"),
        "seat-2": report("not yet", {"pixel-person": 4, "far": 1}, hints=2),
        "seat-3": report("not yet", {"pixel-person": 1}),
    }.items():
        (handed / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
    (handed / "holiday.json").write_text("{}")
    (handed / "broken.json").write_text("{")
    made = class_report(handed, LESSONS)
    assert made.reports == 3
    assert made.objectives["00-welcome", "people"] == {"passed": 1, "not yet": 2}
    assert made.objectives["00-welcome", "count"] == {"not attempted": 3}
    assert made.slips.most_common(1) == [(("00-welcome", "near", "pixel-person"), 2)]
    assert set(made.unread) == {"holiday.json", "broken.json"}
    text = str(made)
    assert "amina" not in text
    assert "counts pixels, not people" in text
    assert "These are the people who live far away" in text
    assert "1 / 2 / 0" in text


@pytest.mark.parametrize(
    "content", [[], {"twinkit": "report"}, {"twinkit": "report", "lesson": "x", "exercises": {"a": 1}}]
)
def test_a_folder_without_reports_is_one_clear_message(tmp_path, content):
    with pytest.raises(TwinError, match="no such folder"):
        class_report(tmp_path / "gone")
    (tmp_path / "x.json").write_text(json.dumps(content))
    with pytest.raises(TwinError, match="folder with reports"):
        class_report(tmp_path)


def test_a_file_that_is_far_too_large_is_left_out(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(report("passed")))
    (tmp_path / "huge.json").write_text(" " * 300_000)
    assert class_report(tmp_path, tmp_path).unread == {"huge.json": "a file that is too large for one"}
    shutil.rmtree(tmp_path)
