"""One zip for a classroom without internet: wheels, lessons, ready-made twins, rendered pages, and an installer.

The learners' laptops are not the trainer's: the wheels are those of the platform and Python asked for. What a
platform needs is read from the lock, whose markers are evaluated for the target, and every wheel is checked against
the lock's hashes.
"""

from __future__ import annotations

import email
import json
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twinkit.error import TwinError, close_to
from twinkit.lesson import REGIONS
from twinkit.lesson.build import copies, learner_notebook
from twinkit.lesson.ground import TOWN, ground, keep, stored_name
from twinkit.lesson.notebook import card, read
from twinkit.lesson.trial import executed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["EXTRAS", "MOST_BYTES", "Packed", "Target", "packed", "ready_made", "target_of", "wheels"]

EXTRAS = ("course", "geo", "view")
MOST_BYTES = 1_200_000_000
"""What still fits on a small stick and downloads over a night."""
OLDEST, NEWEST = 11, 13

_LINUX = [f"manylinux_2_{minor}_{{}}" for minor in (28, 27, 26, 24, 17, 12, 5)] + ["manylinux2014_{}", "linux_{}"]
# macOS on Intel is not among them: numba makes no wheels for it any more.
# What pip calls the platform, and what the markers of a requirement see there
PLATFORMS: dict[str, tuple[list[str], dict[str, str]]] = {
    "linux": (
        [p.format("x86_64") for p in _LINUX],
        {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix", "platform_machine": "x86_64"},
    ),
    "linux-arm": (
        [p.format("aarch64") for p in _LINUX],
        {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix", "platform_machine": "aarch64"},
    ),
    "win": (
        ["win_amd64"],
        {"sys_platform": "win32", "platform_system": "Windows", "os_name": "nt", "platform_machine": "AMD64"},
    ),
    "mac": (
        ["macosx_15_0_arm64"],
        {"sys_platform": "darwin", "platform_system": "Darwin", "os_name": "posix", "platform_machine": "arm64"},
    ),
}


@dataclass(frozen=True)
class Target:
    """A platform and a Python: ``win-3.12``."""

    system: str
    python: str

    def __str__(self) -> str:
        return f"{self.system}-{self.python}"

    @property
    def pip(self) -> list[str]:
        """The options that make pip choose for the target."""
        tags = [option for p in PLATFORMS[self.system][0] for option in ("--platform", p)]
        return [*tags, "--python-version", self.python, "--implementation", "cp", "--only-binary", ":all:"]

    @property
    def markers(self) -> dict[str, str]:
        """What the markers of a requirement see on the target."""
        return PLATFORMS[self.system][1] | {
            "python_version": self.python,
            "python_full_version": f"{self.python}.0",
            "implementation_name": "cpython",
            "implementation_version": f"{self.python}.0",
            "platform_python_implementation": "CPython",
            "platform_release": "",
            "platform_version": "",
            "extra": "",
        }


@dataclass(frozen=True)
class Packed:
    """A pack that was made: where, how large, for what."""

    path: Path
    size: int
    wheels: int
    target: Target


def target_of(text: str = "") -> Target:
    """The target that a text names; "" is this machine.

    Errors
    ------
    TwinError
        No such platform, or a Python that twinkit is not tested on.

    Examples
    --------
    >>> str(target_of("win-3.12"))
    'win-3.12'
    """
    if not text:
        machine = platform.machine().lower()
        arm = machine in ("arm64", "aarch64")
        system = {"Windows": "win", "Darwin": "mac"}.get(platform.system(), "linux")
        system += "-arm" if system == "linux" and arm else ""
        return Target(system, f"3.{sys.version_info.minor}")
    system, _, python = text.rpartition("-")
    version = re.fullmatch(r"3\.(\d+)", python)
    if system not in PLATFORMS or not version or not OLDEST <= int(version.group(1)) <= NEWEST:
        every = [f"{s}-3.{v}" for s in PLATFORMS for v in range(OLDEST, NEWEST + 1)]
        near = close_to(text, every)
        raise TwinError(
            "a platform and a Python, like win-3.12",
            found=f"'{text}'",
            hint=f"did you mean {near}?"
            if near
            else f"platforms: {', '.join(PLATFORMS)}; Python 3.{OLDEST} to 3.{NEWEST}",
            where="--for",
        )
    return Target(system, python)


def packed(
    lessons: Iterable[Path],
    out: Path,
    *,
    target: str = "",
    regions: Iterable[str] = (),
    told: Callable[[str], Any] = print,
) -> Packed:
    """Make the zip.

    Parameters
    ----------
    lessons : folders
    out : folder
        The zip is written there: ``twinkit-lessons-win-3.12.zip``.
    target : str
        Platform and Python of the learners' laptops; this machine by default.
    regions : list of str
        Ready-made twins, beside those on the lessons' cards and the generated town.
    told : function of str
        Where progress is told.

    Returns
    -------
    Packed

    Errors
    ------
    TwinError
        Unknown target, no lock beside the lessons, a wheel that does not exist for the target, a pack that is too
        large. Nothing half-made is left.
    """
    folders = list(lessons)
    aim = target_of(target)
    root = _root(folders)
    out.mkdir(parents=True, exist_ok=True)
    final = out / f"twinkit-lessons-{aim}.zip"
    with tempfile.TemporaryDirectory(prefix="twinkit-pack-") as scratch:
        stage = Path(scratch) / f"twinkit-lessons-{aim}"
        stage.mkdir()
        told(f"wheels for {aim}")
        names = wheels(root, stage / "wheels", aim)
        told(f"{len(folders)} lessons")
        copies(folders, stage / "lessons")
        told("ready-made twins")
        ready_made({*(r for f in folders for r in card(f).regions), *regions}, stage / "data")
        told("rendered pages")
        _pages(folders, stage / "pages")
        _write_installer(stage, aim)
        partial = final.with_suffix(".partial")
        try:
            _zip(stage, partial)
            size = partial.stat().st_size
            if size > MOST_BYTES:
                raise TwinError(
                    f"a pack of at most {MOST_BYTES / 1e9:.1f} GB",
                    found=f"{size / 1e9:.2f} GB",
                    hint="leave out lessons or regions",
                    where=final.name,
                )
            partial.replace(final)
        finally:
            partial.unlink(missing_ok=True)
    return Packed(final, size, len(names), aim)


def _root(folders: list[Path]) -> Path:
    if not folders:
        raise TwinError("lessons to pack", found="none", hint="name some, or run it in the clone")
    for parent in folders[0].resolve().parents:
        if (parent / "requirements.lock").is_file() and (parent / "pyproject.toml").is_file():
            return parent
    raise TwinError(
        "lessons of a clone, with requirements.lock and pyproject.toml above them",
        found=str(folders[0]),
        hint="clone the repository and run twinkit lesson pack there",
    )


# ---------------------------------------------------------------- wheels


def wheels(root: Path, folder: Path, target: Target) -> list[str]:
    """Every wheel that twinkit with its extras needs on the target, and twinkit's own.

    Parameters
    ----------
    root : Path
        A clone: pyproject.toml and requirements.lock.
    folder : Path
        Where the wheels go.
    target : Target

    Returns
    -------
    list of str
        Names of the distributions.
    """
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    folder.mkdir(parents=True, exist_ok=True)
    _pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(root), what="a wheel of twinkit")
    locked = _locked((root / "requirements.lock").read_text(encoding="utf-8"), target)
    done: dict[str, set[str]] = {}
    todo: list[tuple[str, set[str]]] = [("twinkit", set(EXTRAS))]
    while todo:
        level = sorted({name for name, _ in todo if name != "twinkit" and name not in done})
        lines = []
        for name in level:
            if name not in locked:
                raise TwinError(
                    f"'{name}' in requirements.lock for {target}",
                    found="no line whose marker holds there",
                    hint="make lock",
                    where=str(root / "requirements.lock"),
                )
            lines.append(locked[name])
        if lines:
            _download(lines, folder, target)
        after: list[tuple[str, set[str]]] = []
        for name, extras in todo:
            fresh = extras - done.get(name, set()) if name in done else extras | {""}
            if not fresh:
                continue
            done.setdefault(name, set()).update(fresh)
            for line in _needs(folder, name):
                need = Requirement(line)
                holds = need.marker is None or any(need.marker.evaluate(target.markers | {"extra": e}) for e in fresh)
                other = canonicalize_name(need.name)
                if holds and (other not in done or set(need.extras) - done[other]):
                    after.append((other, set(need.extras)))
        todo = after
    return sorted(done)


def _locked(text: str, target: Target) -> dict[str, str]:
    """Name to its line of the lock (version and hashes), for the lines whose marker holds on the target."""
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    found: dict[str, str] = {}
    for block in re.split(r"\n(?=[A-Za-z0-9])", re.sub(r"\\\n", " ", text)):
        head, *hashes = re.split(r"\s+(?=--hash)", block.strip())
        if not head or head.startswith("#"):
            continue
        need = Requirement(head.strip())
        if need.marker is None or need.marker.evaluate(target.markers):
            found[canonicalize_name(need.name)] = f"{need.name}{need.specifier} {' '.join(hashes)}"
    return found


def _needs(folder: Path, name: str) -> list[str]:
    """What a downloaded wheel requires."""
    stem = re.compile(re.escape(name).replace(r"\-", r"[-_.]+") + r"-\d", re.IGNORECASE)
    path = next(p for p in folder.glob("*.whl") if stem.match(p.name.replace("_", "-")) or stem.match(p.name))
    with zipfile.ZipFile(path) as wheel:
        metadata = next(n for n in wheel.namelist() if n.endswith(".dist-info/METADATA"))
        return email.message_from_bytes(wheel.read(metadata)).get_all("Requires-Dist") or []


def _download(lines: list[str], folder: Path, target: Target) -> None:
    with tempfile.NamedTemporaryFile("w", suffix=".txt", delete=False) as wanted:
        wanted.write("\n".join(lines) + "\n")
    try:
        options = ["--no-deps", "--require-hashes", "--dest", str(folder), *target.pip, "-r", wanted.name]
        _pip("download", *options, what=f"wheels for {target}")
    finally:
        Path(wanted.name).unlink()


def _pip(*arguments: str, what: str) -> None:
    run = subprocess.run(  # noqa: S603 - our own interpreter's pip
        [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    if run.returncode:
        said = [line for line in run.stderr.splitlines() if line.startswith("ERROR")] or run.stderr.splitlines()
        raise TwinError(
            what,
            found="; ".join(line.removeprefix("ERROR: ") for line in said[-2:]),
            hint="check the network of this machine; making a pack needs it once",
        )


# ---------------------------------------------------------------- the rest of the pack


def ready_made(regions: Iterable[str], data: Path) -> None:
    """Twins stored under the names by which `ground` finds them, so that no maps are needed."""
    for region in sorted({*(regions or REGIONS), TOWN}):
        keep(ground(region, seed=1, small=True), data / stored_name(region, seed=1, small=True))


def _pages(folders: list[Path], pages: Path) -> None:
    """Each lesson as a page to read on any device: run, with the answers left open."""
    import nbformat
    from nbconvert import HTMLExporter

    pages.mkdir()
    rows = []
    for folder in folders:
        lesson = read(folder)
        outcome = executed(learner_notebook(lesson), name=lesson.name, place=folder.parent)
        if outcome.error:
            raise TwinError("a lesson that runs", found=outcome.error, hint=f"twinkit lesson test {lesson.name}")
        exporter = HTMLExporter(mathjax_url="", require_js_url="", jquery_url="")
        page, _ = exporter.from_notebook_node(nbformat.reads(outcome.notebook, as_version=4))
        page = re.sub(r'href="\.\./([\w-]+)/lesson\.ipynb"', r'href="\1.html"', page)
        (pages / f"{lesson.name}.html").write_text(page, encoding="utf-8")
        rows.append(f'<li><a href="{lesson.name}.html">{lesson.name}</a>: {lesson.card.title}</li>')
    index = f"<!doctype html><meta charset=utf-8><title>twinkit</title><h1>Lessons</h1><ul>{''.join(rows)}</ul>"
    (pages / "index.html").write_text(index, encoding="utf-8")


def _write_installer(stage: Path, target: Target) -> None:
    from twinkit import __version__
    from twinkit.lesson import installer

    # one file of the standard library, copied as it stands, and what it must know beside it
    shutil.copyfile(str(installer.__file__), stage / "install.py")
    about = {"target": str(target), "python": target.python, "extras": list(EXTRAS), "version": __version__}
    (stage / "pack.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")


def _zip(stage: Path, path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(p for p in stage.rglob("*") if p.is_file()):
            # wheels are compressed already
            kind = zipfile.ZIP_STORED if file.suffix == ".whl" else zipfile.ZIP_DEFLATED
            archive.write(file, file.relative_to(stage.parent).as_posix(), compress_type=kind)
