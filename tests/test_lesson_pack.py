"""The pack: what it holds, that it installs without a network, and that other platforms resolve."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from twinkit.error import TwinError
from twinkit.lesson import installer
from twinkit.lesson.offline import offline
from twinkit.lesson.pack import EXTRAS, MOST_BYTES, PLATFORMS, _locked, packed, target_of, wheels

ROOT = Path(__file__).parents[1]
WELCOME = ROOT / "lessons" / "00-welcome"
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")


# ---------------------------------------------------------------- targets


def test_a_target_is_a_platform_and_a_python():
    assert str(target_of("win-3.12")) == "win-3.12"
    assert target_of("linux-arm-3.13").system == "linux-arm"
    assert target_of().python == f"3.{sys.version_info.minor}"
    assert "win_amd64" in target_of("win-3.12").pip


@pytest.mark.parametrize("text", ["windows-3.12", "win-3.10", "win-4.1", "win", "3.12", "win-3.x", "mac-intel-3.12"])
def test_an_unknown_target_is_refused(text):
    with pytest.raises(TwinError, match="--for"):
        target_of(text)


@pytest.mark.parametrize("system", list(PLATFORMS))
@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
def test_the_lock_is_read_with_the_targets_eyes(system, python):
    locked = _locked(LOCK, target_of(f"{system}-{python}"))
    assert ("pywinpty" in locked) == (system == "win")
    assert ("pexpect" in locked) == (system != "win")
    for line in locked.values():
        assert "==" in line
        assert "--hash=sha256:" in line
        assert ";" not in line


# ---------------------------------------------------------------- the installer


def test_the_installer_needs_nothing_but_the_standard_library():
    import ast

    tree = ast.parse(Path(installer.__file__).read_text(encoding="utf-8"))
    names = {
        (n.names[0].name if isinstance(n, ast.Import) else n.module or "").partition(".")[0]
        for n in ast.walk(tree)
        if isinstance(n, ast.Import | ast.ImportFrom)
    }
    assert names <= sys.stdlib_module_names


def test_the_installer_says_when_the_pack_is_for_another_machine():
    here = f"{sys.version_info[0]}.{sys.version_info[1]}"
    system = {"linux": "linux", "win32": "win", "darwin": "mac"}[sys.platform]
    assert installer.fits({"target": f"{system}-{here}", "python": here}) == ""
    assert "this is Python" in installer.fits({"target": f"{system}-3.10", "python": "3.10"})
    other = "win" if system != "win" else "mac"
    assert "--for" in installer.fits({"target": f"{other}-{here}", "python": here})


# ---------------------------------------------------------------- bad input


def test_a_pack_of_nothing_and_of_lessons_outside_a_clone(tmp_path):
    with pytest.raises(TwinError, match="lessons to pack"):
        packed([], tmp_path / "out")
    shutil.copytree(WELCOME, tmp_path / "lessons" / "00-welcome")
    with pytest.raises(TwinError, match=r"requirements\.lock"):
        packed([tmp_path / "lessons" / "00-welcome"], tmp_path / "out")


def test_a_lock_without_what_is_needed_is_named(tmp_path, monkeypatch):
    clone = tmp_path / "clone"
    clone.mkdir()
    (clone / "requirements.lock").write_text("numpy==2.0.0 --hash=sha256:00\n")
    # the wheel of twinkit itself, without building one
    made = tmp_path / "wheels"
    made.mkdir()
    with zipfile.ZipFile(made / "twinkit-0.1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("twinkit-0.1.0.dist-info/METADATA", "Name: twinkit\nRequires-Dist: dask[array]>=2025.1\n")
    monkeypatch.setattr("twinkit.lesson.pack._pip", lambda *a, **k: None)
    with pytest.raises(TwinError, match=r"'dask' in requirements\.lock"):
        wheels(clone, made, target_of("win-3.12"))


def test_a_pack_that_is_too_large_leaves_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.setattr("twinkit.lesson.pack.wheels", lambda root, folder, target: folder.mkdir() or ["twinkit"])
    monkeypatch.setattr("twinkit.lesson.pack._pages", lambda folders, pages: pages.mkdir())
    monkeypatch.setattr("twinkit.lesson.pack.MOST_BYTES", 1000)
    with pytest.raises(TwinError, match="leave out lessons"):
        packed([WELCOME], tmp_path / "out", told=lambda text: None)
    assert list((tmp_path / "out").iterdir()) == []


# ---------------------------------------------------------------- the real thing


@pytest.fixture(scope="module")
def online():
    """Making a pack needs a package index once; a machine without one says so."""
    asked = subprocess.run(
        [sys.executable, "-m", "pip", "index", "versions", "packaging"], capture_output=True, text=True, check=False
    )
    if asked.returncode:
        pytest.skip("no package index on this machine: a pack is made where there is one")


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_pack_installs_and_runs_without_a_network(online, tmp_path):
    made = packed([WELCOME], tmp_path / "out", told=lambda text: None)
    assert made.size == made.path.stat().st_size <= MOST_BYTES
    with zipfile.ZipFile(made.path) as archive:
        archive.extractall(tmp_path)
    home = tmp_path / made.path.stem
    assert "SOLUTION" not in (home / "lessons" / "00-welcome" / "lesson.ipynb").read_text(encoding="utf-8")
    page = (home / "pages" / "00-welcome.html").read_text(encoding="utf-8")
    assert "not attempted" in page
    assert '<img alt="Map of' in page
    # neither this environment nor the network can help it
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("TWINKIT", "PIP", "VIRTUAL"))}
    environment |= offline(tmp_path / "site") | {"HOME": str(tmp_path), "PIP_CONFIG_FILE": os.devnull}
    python = Path(sys.base_prefix) / ("python.exe" if os.name == "nt" else "bin/python3")
    done = subprocess.run(
        [python, "install.py"], cwd=home, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "00-welcome runs in" in done.stdout
    assert "ready" in done.stdout
    assert (home / "start.py").is_file()
    env = home / "env" / ("Scripts" if os.name == "nt" else "bin") / "python"
    where = subprocess.run(
        [env, "-c", "import twinkit; print(twinkit.__file__)"], cwd=home, capture_output=True, text=True, check=True
    )
    assert str(home / "env") in where.stdout
    again = subprocess.run(
        [python, "install.py"], cwd=home, env=environment, capture_output=True, text=True, check=False
    )
    assert again.returncode == 0, again.stdout + again.stderr


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", ["win-3.12", "mac-3.13", "linux-3.13"])
def test_other_platforms_resolve_without_an_index(online, tmp_path, name):
    """A second resolver, with the target's markers, finds everything in the pack's wheels and nowhere else.

    pip's own dry run cannot tell: it reads markers with the eyes of the machine it runs on.
    """
    target = target_of(name)
    names = wheels(ROOT, tmp_path / "wheels", target)
    assert importlib.util.find_spec("uv"), "uv is in the extra dev"
    system = {"win": "windows", "mac": "aarch64-apple-darwin", "linux": "x86_64-manylinux_2_28"}[target.system]
    (tmp_path / "wanted.in").write_text(f"twinkit[{','.join(EXTRAS)}]\n")
    resolve = [
        *(sys.executable, "-m", "uv", "pip", "compile", "--no-index", "--find-links", str(tmp_path / "wheels")),
        *("--python-platform", system, "--python-version", target.python, "--only-binary", ":all:"),
        *("--no-header", "--no-annotate", "--no-config", str(tmp_path / "wanted.in")),
    ]
    done = subprocess.run(
        resolve,
        capture_output=True,
        text=True,
        check=False,
        env={k: v for k, v in os.environ.items() if not k.startswith("UV_")}
        | {"UV_CACHE_DIR": str(tmp_path / "cache"), "MACOSX_DEPLOYMENT_TARGET": "15.0"},
    )
    assert done.returncode == 0, done.stderr
    found = {line.partition("=")[0].partition(" ")[0].partition("[")[0] for line in done.stdout.splitlines()}
    assert found == set(names)
