"""One strict run of a notebook."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import json
import os
import secrets
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twinkit.error import TwinError
from twinkit.study._kernel import Kernels, Outcome, execute
from twinkit.study._notebook import Source, admitted, read
from twinkit.study._results import decoded

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Run", "commits_of", "kept", "run", "written"]


@dataclass(frozen=True)
class Run:
    """One run of a notebook and all that is needed to believe it.

    Attributes
    ----------
    notebook : str
        The notebook's name.
    parameters : dict
        Every parameter, the given ones and the defaults.
    results : dict
        What the notebook recorded.
    seconds : float
        From the start of the kernel to its end [s].
    peak_memory : int
        The most memory that the kernel held [byte].
    versions : dict
    commits : dict

    digest : str
        sha256 of the notebook's code.
    started : str
        UTC.
    path : Path or None
        The executed notebook, where it was kept.
    """

    notebook: str
    parameters: dict[str, Any]
    results: dict[str, Any]
    seconds: float
    peak_memory: int
    versions: dict[str, str]
    commits: dict[str, str]
    digest: str
    started: str
    path: Path | None = None

    def __repr__(self) -> str:
        from twinkit.study._results import _line

        lines = [f"{self.notebook}: {self.seconds:.1f} s, {self.peak_memory / 1e6:.0f} MB"]
        lines += [f"  {name} = {_line(value)}" for name, value in self.results.items()]
        return "\n".join(lines)


def run(
    notebook: str | Path,
    /,
    values: Mapping[str, Any] | None = None,
    *,
    out: str | Path | None = None,
    folder: str | Path | None = None,
    progress: bool | None = None,
    **parameters: Any,
) -> Run:
    """Run a notebook with other parameters, and keep what it found.

    Parameters
    ----------
    notebook : path of an .ipynb file
    values : dict, optional
        Parameters as a mapping, for names that Python or this function has taken.
    out : folder or path that ends in .ipynb, optional
        Where the executed notebook goes, with its results in a .json file of the same name beside it. Written when the
        run has succeeded, each in one step; without it nothing is written.
    folder : path, optional
        Where the kernel stands, and relative paths in the notebook with it; the current folder by default.
    progress : bool, optional
        A bar on standard error; by default where that is a terminal.
    **parameters
        Names and types of the cell tagged ``parameters``. A model is given by its dotted path, or as a function that
        can be imported, which stands for its dotted path.

    Returns
    -------
    Run

    Errors
    ------
    TwinError
        Before anything runs: no such notebook, a parameter that it does not have, a value of another type. After: a
        cell that failed, with its number, id and message; nothing is written then.

    Examples
    --------
    >>> run("no-such.ipynb")
    Traceback (most recent call last):
    ...
    twinkit.error.TwinError: no-such.ipynb: expected the path of a notebook; found no such file. Try: ...
    """
    source = read(notebook)
    given = admitted(source, {**(values or {}), **parameters})
    place = _place(out, source) if out is not None else None
    commits = commits_of({**source.parameters, **given}, folder)
    started = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
    # "cell" alone would be read as a radio cell
    bar: dict[str, Any] = {
        "desc": source.path.stem,
        "unit": "notebook cell",
        "bar_format": "{desc}: notebook cell {n_fmt} of {total_fmt} |{bar}| {elapsed}",
        "disable": None if progress is None else not progress,
    }
    kernels = Kernels()
    with ThreadPoolExecutor(max_workers=1) as pool:  # a thread without an event loop, also inside a notebook
        job = pool.submit(
            execute,
            source.text,
            given,
            name=source.name,
            folder=str(Path(folder or ".").resolve()),
            progress=bar,
            kernels=kernels,
        )
        try:
            outcome = job.result()
        except BaseException:
            kernels.end()
            raise
    if outcome.error:
        raise TwinError(
            "every cell to run",
            found=outcome.error.rstrip("."),
            hint="open the notebook, set the same parameters, and run it up to that cell",
            where=outcome.where,
        )
    record = written(source, given, outcome, commits, started)
    if place is not None:
        kept(place, outcome.notebook)
        kept(place.with_suffix(".json"), json.dumps(record, indent=1, ensure_ascii=False))
    return made(record, place)


def made(record: Mapping[str, Any], place: Path | None) -> Run:
    """A Run from its JSON record."""
    fields = {f.name: record[f.name] for f in dataclasses.fields(Run) if f.name != "path"}
    fields["results"] = {name: decoded(value) for name, value in record["results"].items()}
    return Run(**fields, path=place)


def written(
    source: Source, given: Mapping[str, Any], outcome: Outcome, commits: Mapping[str, str], started: str
) -> dict[str, Any]:
    """A run as JSON: what stands in the file beside the executed notebook."""
    everything = {name: given.get(name, default) for name, default in source.parameters.items()}
    return {
        "notebook": source.name,
        "parameters": {k: v if _plain(v) else repr(v) for k, v in everything.items()},
        "results": outcome.results,
        "seconds": round(outcome.seconds, 3),
        "peak_memory": outcome.peak_memory,
        "versions": outcome.versions,
        "commits": dict(commits),
        "digest": source.digest,
        "started": started,
    }


def kept(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        partial.write_text(text, encoding="utf-8")
        os.replace(partial, path)  # noqa: PTH105 - the same in one step, and it says so
    finally:
        partial.unlink(missing_ok=True)


def commits_of(values: Mapping[str, Any], folder: str | Path | None) -> dict[str, str]:
    """The commit at the head of every store that a parameter names."""
    found: dict[str, str] = {}
    for name, value in values.items():
        if isinstance(value, str) and value.endswith(".twin"):
            path = Path(folder or ".") / value
            if path.is_dir():
                from twinkit import store

                # a store that cannot be read says so in the notebook, in the cell that opens it
                with contextlib.suppress(TwinError):
                    found[name] = store.history(path)[0].head
    return found


def _place(out: str | Path, source: Source) -> Path:
    out = Path(out)
    place = out if out.suffix == ".ipynb" else out / source.path.name
    if place.resolve() == source.path.resolve():
        raise TwinError(
            "a place that is not the notebook itself",
            found=str(out),
            hint="give another folder, e.g. out='out'",
            where="out",
        )
    if (out.exists() and not out.is_dir() and out.suffix != ".ipynb") or place.is_dir():
        raise TwinError("a folder, or a path that ends in .ipynb", found=str(out), hint="out='out'", where="out")
    return place


def _plain(value: Any) -> bool:
    try:
        json.dumps(value)
    except (TypeError, ValueError):
        return False
    return True
