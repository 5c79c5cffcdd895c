"""The house: the lock, binder, notebooks and the two commands are what the README promises."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LOCK = (ROOT / "requirements.lock").read_text()


def tracked(*patterns):
    out = subprocess.run(["git", "ls-files", *patterns], cwd=ROOT, capture_output=True, text=True, check=False)
    if out.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / line for line in out.stdout.splitlines() if (ROOT / line).exists()]


def pins(text):
    """Name → {(version, marker)}: what a requirements file pins."""
    found = {}
    for name, version, marker in re.findall(r"^([\w.-]+)==([\w.+!-]+)(?: *; *([^\\\n]*))?", text, re.MULTILINE):
        found.setdefault(name, set()).add((version, marker.strip()))
    return found


def test_the_lock_pins_every_package_with_hashes_and_names_no_index():
    assert pins(LOCK), "an empty lock"
    entries = [e for e in re.split(r"\n(?=\S)", LOCK.strip()) if not e.startswith("#")]
    for entry in entries:
        assert "==" in entry.splitlines()[0], entry
        assert "--hash=sha256:" in entry, entry
    assert "://" not in LOCK
    assert "--index" not in LOCK


def test_the_lock_holds_every_dependency_of_pyproject():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = project["dependencies"] + [r for extra in project["optional-dependencies"].values() for r in extra]
    names = {re.match(r"[\w.-]+", r)[0].lower().replace("_", "-") for r in asked} - {"twinkit"}
    assert names <= set(pins(LOCK))


def test_binder_pins_what_the_lock_pins():
    lock, binder = pins(LOCK), pins((ROOT / "binder/requirements.txt").read_text())
    assert binder
    strangers = {n: v for n, v in binder.items() if not {x for x, _ in v} <= {x for x, _ in lock.get(n, set())}}
    assert not strangers
    text = (ROOT / "binder/requirements.txt").read_text()
    assert not re.search(r"^(-e|\.|/|file:)", text, re.MULTILINE), "a local path breaks the image's layer cache"


def test_binder_builds_the_python_that_it_states():
    out = subprocess.run(
        [sys.executable, "-m", "repo2docker", "--no-build", "--debug", "."],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    said = out.stdout + out.stderr
    assert out.returncode == 0, said[-2000:]
    assert "python=3.11" in said
    assert re.search(r"py(-|-2d)3(\.|-2e)11", out.stdout), "the Dockerfile builds another Python"
    assert 'pip install --no-cache-dir -r "binder/requirements.txt"' in said
    assert "binder/postBuild" in said
    assert "binder/start" in said


def test_binder_opens_on_the_learners_copy_of_lesson_00(tmp_path):
    from twinkit.lesson.lab import PAGE, prepared, workspace

    stated = json.loads((ROOT / "binder/workspace.json").read_text())
    assert stated == workspace("learn/00-welcome/lesson.ipynb", f"learn/{PAGE}")
    # what postBuild does
    learn = prepared(ROOT / "lessons", tmp_path)
    assert (learn / "00-welcome/lesson.ipynb").is_file()
    assert "BEGIN SOLUTION" not in (learn / "00-welcome/lesson.ipynb").read_text()
    assert (learn / PAGE).is_file()


def test_notebooks_are_committed_without_outputs_and_with_stable_ids():
    notebooks = tracked("*.ipynb")
    assert notebooks
    for path in notebooks:
        cells = json.loads(path.read_text())["cells"]
        ids = [c["id"] for c in cells]
        assert len(set(ids)) == len(ids), f"{path}: two cells with one id"
        assert not any(c.get("outputs") or c.get("execution_count") for c in cells), f"{path}: run nbstripout"


def test_nothing_names_a_machine_or_an_index():
    machine = re.compile(r"""(^|[\s"'=(])/(work|root|tmp|home/\w+)/""")
    index = re.compile(r"(?<!no-emit-)index-url|extra-index|//[^ ]*/simple/?[\"' ]")
    for path in tracked():
        if path.suffix in {".png", ".ttf", ".woff2", ".zip", ".lock"} or path == Path(__file__).resolve():
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
            assert not machine.search(line), f"{path}:{number}"
            assert path.suffix == ".md" or not index.search(line), f"{path}:{number}"


def test_links_of_the_pages_lead_somewhere():
    for page in tracked("*.md"):
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8")):
            if "://" not in target and not target.startswith("mailto:"):
                assert (page.parent / target).exists(), f"{page.relative_to(ROOT)}: {target}"


def test_the_two_commands_are_where_the_readme_says():
    readme, makefile = (ROOT / "README.md").read_text(), (ROOT / "Makefile").read_text()
    for command in ("demo", "test"):
        assert f"make {command}" in readme
        assert re.search(rf"^{command}:", makefile, re.MULTILINE)
    assert "python -m twinkit demo" in readme
    assert "make test" in (ROOT / ".ci/run").read_text()
    assert "make system" in (ROOT / ".ci/run").read_text()
