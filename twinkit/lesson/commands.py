"""`twinkit lesson ...`: write, test, build, translate, hand out and collect lessons."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from twinkit.error import TwinError
from twinkit.lesson.notebook import find_folder, lessons_in

__all__ = ["app"]


class Commands(TyperGroup):
    """The commands; a folder or file that cannot be read or written is one message, whichever of them met it."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was asked for."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            # the reader of our output has gone, which typer ends quietly
            raise
        except OSError as fault:
            raise TwinError(
                "files and folders that this account may read and write",
                found=fault.strerror or str(fault),
                hint="choose another folder, or make room for it there",
                where=str(fault.filename or ""),
            ) from None


app = typer.Typer(cls=Commands, no_args_is_help=True, help="Lessons: write, test, build, translate, hand out, collect.")

Names = Annotated[list[str] | None, typer.Argument(help="Lessons by name or folder; none for all.", show_default=False)]
Place = Annotated[Path, typer.Option("--lessons", help="The folder of lessons.")]
Out = Annotated[Path, typer.Option("--out", help="Where to write.")]
Language = Annotated[str, typer.Option("--language", help="en, hi, fr or fa.")]
LESSONS = Path("lessons")


def _chosen(names: list[str] | None, place: Path) -> list[Path]:
    if not names:
        return lessons_in(place)
    return [place / n if (place / n / "exercises.py").is_file() else find_folder(n) for n in names]


def _golden(given: Path | None, folder: Path, *, update: bool) -> Path | None:
    """The folder of golden numbers: the one named, or that of the checkout in which a lesson lies."""
    if given is None:
        own = folder.resolve().parents[1] / "tests" / "golden"
        return own if own.is_dir() else None
    if not given.is_dir() and not update:
        raise TwinError("a folder of golden numbers", found="no such folder", hint="tests/golden", where=str(given))
    return given


@app.command()
def new(name: Annotated[str, typer.Argument(help="NN-word, e.g. 04-radio.")], place: Place = LESSONS) -> None:
    """Begin a lesson: a folder that already passes the test's format, to be filled."""
    from twinkit.lesson.skeleton import begin

    folder = begin(name, place)
    typer.echo(f"{folder}: fill in lesson.ipynb, exercises.py and trainer.md, then: twinkit lesson test {name} --quick")


@app.command()
def card(names: Names = None, place: Place = LESSONS) -> None:
    """Render the card cell anew from the notebook's metadata."""
    from twinkit.lesson.trial import refreshed_card

    for folder in _chosen(names, place):
        typer.echo(f"{folder.name}: {'written' if refreshed_card(folder) else 'was fresh'}")


@app.command("test")
def try_(
    names: Names = None,
    place: Place = LESSONS,
    every: Annotated[bool, typer.Option("--all", help="All lessons of the folder.")] = False,
    region: Annotated[list[str] | None, typer.Option(help="Only here (may be given more than once).")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Without kernels: seconds instead of a minute.")] = False,
    golden: Annotated[
        Path | None,
        typer.Option(help="Folder of the golden numbers; a checkout's own by default.", show_default=False),
    ] = None,
    update: Annotated[bool, typer.Option("--update", help="Write the golden numbers anew from these runs.")] = False,
) -> None:
    """Test lessons from every side: reference, numbers, untouched copy, wrong answers, links, minutes, memory."""
    from twinkit.lesson.trial import trial

    if not names and not every:
        raise TwinError("which lessons to test", found="none named", hint="twinkit lesson test 01-twin, or --all")
    if update and quick:
        raise TwinError("runs to take golden numbers from", found="--quick", hint="leave --quick out")
    failed = []
    for folder in _chosen(names, place):
        typer.echo(folder.name)
        made = trial(
            folder,
            regions=region or (),
            kernels=not quick,
            golden=_golden(golden, folder, update=update),
            update=update,
            told=lambda f: typer.echo(f"  {f}"),
        )
        if not made.passed:
            failed.append(made.name)
    if failed:
        typer.echo(f"failed: {', '.join(failed)}", err=True)
        raise typer.Exit(1)


@app.command()
def build(
    names: Names = None,
    place: Place = LESSONS,
    out: Out = Path("out/learn"),
    language: Language = "en",
    nbgrader: Annotated[bool, typer.Option("--nbgrader", help="Lay out an nbgrader course instead.")] = False,
    region: Annotated[str, typer.Option(help="With --nbgrader: where autograding runs.")] = "IR:Tabriz",
) -> None:
    """Make learner copies for self-study, or an nbgrader course to release, collect and autograde."""
    from twinkit.lesson import build as builder

    folders = _chosen(names, place)
    if nbgrader:
        made = builder.course(folders, out, region=region, language=language)
        typer.echo(f"{made}: cd there, then: nbgrader generate_assignment {folders[0].name}")
        return
    for path in builder.copies(folders, out, language=language):
        typer.echo(str(path))


@app.command()
def grade(
    copies: Annotated[list[Path], typer.Argument(help="Learners' notebooks.")],
    lesson: Annotated[str, typer.Option(help="The lesson they belong to.")],
    place: Place = LESSONS,
    region: Annotated[str, typer.Option(help="A region that the learners have not seen.")] = "IR:Tabriz",
) -> None:
    """Run learners' notebooks on another region and print what passes: autograding without nbgrader.

    This runs the learners' code in your account: it can do whatever you can. Use an account in which nothing is lost.
    """
    from twinkit.lesson.classroom import graded

    for path in copies:
        typer.echo(graded(path, _chosen([lesson], place)[0], region=region))


@app.command("class")
def class_(
    reports: Annotated[Path, typer.Argument(help="A folder of report files.")],
    place: Place = LESSONS,
) -> None:
    """Which objectives the class passed, and which slips were commonest; no names beyond file names."""
    from twinkit.lesson.classroom import class_report

    typer.echo(str(class_report(reports, place)))


@app.command()
def translate(
    name: Annotated[str, typer.Argument(help="The lesson.")],
    language: Annotated[str, typer.Option(help="hi, fr or fa.")],
    place: Place = LESSONS,
) -> None:
    """Begin a translation, or bring one up to date: new cells in English, stale ones listed."""
    from twinkit.lesson.notebook import read
    from twinkit.lesson.translate import read_translation, stale, template

    lesson = read(_chosen([name], place)[0])
    path = lesson.folder / f"{language}.md"
    old = read_translation(lesson.folder, language) if path.is_file() else None
    # in one step: a translator's work is never half written
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_text(template(lesson, language, old=old), encoding="utf-8")
        os.replace(partial, path)  # noqa: PTH105 - in one step
    finally:
        partial.unlink(missing_ok=True)
    redo = stale(lesson, old) if old else []
    typer.echo(f"{path}: written" + (f"; stale: {', '.join(redo)}" if redo else ""))


@app.command()
def path(
    goal: Annotated[str, typer.Option(help="resilience, radio, a concept, or a lesson.")],
    minutes: Annotated[int, typer.Option(help="Time for the course.")],
    place: Place = LESSONS,
) -> None:
    """Plan a course from the prerequisites."""
    from twinkit.lesson.path import plan

    typer.echo(repr(plan(lessons_in(place), goal=goal, minutes=minutes)))


@app.command()
def pack(
    names: Names = None,
    place: Place = LESSONS,
    out: Out = Path("out"),
    target: Annotated[str, typer.Option("--for", help="linux-3.11, linux-arm-3.12, win-3.12, mac-3.13")] = "",
    region: Annotated[list[str] | None, typer.Option(help="Ready-made twins (may be given more than once).")] = None,
) -> None:
    """Make one zip that installs and runs the lessons without a network."""
    from twinkit.lesson.pack import packed

    made = packed(_chosen(names, place), out, target=target, regions=region or (), told=typer.echo)
    typer.echo(f"{made.path}: {made.size / 1e6:.0f} MB, {made.wheels} wheels, for {made.target}")


@app.command()
def hub(
    folder: Annotated[Path, typer.Argument(help="Where the hub keeps its files.")] = Path("hub"),
    place: Place = LESSONS,
    names: Annotated[
        list[str] | None, typer.Option("--lesson", help="Only these (may be given more than once).")
    ] = None,
    learners: Annotated[int, typer.Option(help="How many names and passphrases to make.")] = 30,
    address: Annotated[str, typer.Option(help="Where it listens; 0.0.0.0 for the local network.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port.")] = 8000,
    shared_account: Annotated[
        bool,
        typer.Option("--shared-account", help="Run everybody in your account: only among people who trust another."),
    ] = False,
    language: Language = "en",
) -> None:
    """Prepare a JupyterHub for a classroom on a local network: lessons, learners, configuration."""
    from twinkit.lesson.hub import prepared

    made = prepared(
        folder,
        _chosen(names, place),
        learners=learners,
        address=address,
        port=port,
        shared_account=shared_account,
        language=language,
    )
    typer.echo(repr(made))


@app.command()
def lab(place: Place = LESSONS, port: Annotated[int, typer.Option(help="Port.")] = 8888) -> None:
    """Open JupyterLab on a ready workspace: the welcome lesson left, the map right."""
    from twinkit.lesson.lab import start

    start(place, port=port)


def main() -> None:
    """The commands by themselves; `twinkit lesson` is the usual door."""
    try:
        app()
    except TwinError as fault:
        typer.echo(str(fault), err=True)
        raise SystemExit(2) from None
