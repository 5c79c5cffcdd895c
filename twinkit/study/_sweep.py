"""Many runs of one notebook as one labelled Dataset."""

from __future__ import annotations

import datetime as dt
import hashlib
import itertools
import json
import os
from collections.abc import Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from twinkit.error import TwinError
from twinkit.study._kernel import Kernels, Outcome, Template, execute, modules_of
from twinkit.study._notebook import Source, admitted, read
from twinkit.study._results import decoded
from twinkit.study._run import commits_of, kept, written

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = ["sweep"]

# One thread in each kernel's linear algebra: the kernels themselves are what runs side by side, the last bits of a
# result then do not depend on how many there are, and a process with one thread can be forked.
ALONE = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def sweep(
    notebook: str | Path,
    /,
    values: Mapping[str, Any] | None = None,
    *,
    points: Iterable[Mapping[str, Any]] | None = None,
    workers: Any = 1,
    out: str | Path | None = None,
    folder: str | Path | None = None,
    progress: bool | None = None,
    **grid: Any,
) -> xr.Dataset:
    """Run a notebook over a grid, or over a list, of parameters; one labelled Dataset of all that it recorded.

    Parameters
    ----------
    notebook : path of an .ipynb file
    values : dict, optional
        Parameters that stay the same in all runs, for names or values that ``grid`` cannot say: a list as a value.
    points : list of dict, optional
        The runs one by one, in place of a grid: dim ``point``, with each parameter as a coordinate on it.
    workers : int or dask.distributed.Client
        Runs at the same time: kernels on this machine, or tasks on the client's workers.
    out : folder, optional
        Keeps each run there (executed notebook and record) as soon as it is done. A sweep that finds runs of the same
        code, parameters and stored twins there takes them over, and runs the rest: so it goes on where it stopped.
        Failed runs are tried again.
    folder : path, optional
        Where the kernels stand; the current folder by default.
    progress : bool, optional
        A bar on standard error; by default where that is a terminal.
    **grid
        A list, tuple, range or array of values makes a dim of that name; any other value stays the same in all runs.

    Returns
    -------
    Dataset
        Dims: the swept parameters in the order given, then those of each result. Beside the results ``error`` (text,
        empty where the run succeeded); where a run failed, its results are NaN, or empty text. The same whatever the
        number of workers. A result that bears a parameter's name gets ``_result`` behind it.

    Errors
    ------
    TwinError
        As `run` before anything runs; when not a single run succeeded; when a result has other dims in other runs.

    Examples
    --------
    >>> sweep("no-such.ipynb", seed=range(3))
    Traceback (most recent call last):
    ...
    twinkit.error.TwinError: no-such.ipynb: expected the path of a notebook; found no such file. Try: ...
    """
    source = read(notebook)
    axes, runs = _plan(source, dict(values or {}), grid, points)
    where = str(Path(folder or ".").resolve())
    place = Path(out) if out is not None else None
    if place is not None and place.exists() and not place.is_dir():
        raise TwinError("a folder", found="a file", hint="out='out/sweep'", where=str(out))
    records: list[dict[str, Any] | None] = [None] * len(runs)
    commits = [commits_of({**source.parameters, **given}, folder) for given in runs]
    names = [_name(source, given, c) for given, c in zip(runs, commits, strict=True)]
    if place is not None:
        records = [_earlier(place / f"{name}.json") for name in names]
    rest = [i for i, record in enumerate(records) if record is None]
    try:
        for i, outcome in _bar(_outcomes(source, runs, rest, workers, where), len(runs), len(rest), progress, source):
            started = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
            record = written(source, runs[i], outcome, commits[i], started)
            record["error"] = f"{outcome.where}: {outcome.error}" if outcome.error else ""
            records[i] = record
            if place is not None:
                if not outcome.error:
                    kept(place / f"{names[i]}.ipynb", outcome.notebook)
                kept(place / f"{names[i]}.json", json.dumps(record, indent=1, ensure_ascii=False))
    finally:
        if place is not None and any(records):
            kept(place / "sweep.csv", _table(source, runs, records))
    done = [r for r in records if r is not None]
    if done and all(r["error"] for r in done):
        raise TwinError(
            "at least one run that succeeds",
            found=f"{len(done)} that failed, the first with {done[0]['error'].rstrip('.')}",
            hint="run the notebook once with tk.study.run and mend it",
            where=source.name,
        )
    return _dataset(source, axes, runs, done)


# ---------------------------------------------------------------- which runs


def _plan(
    source: Source, values: dict[str, Any], grid: Mapping[str, Any], points: Iterable[Mapping[str, Any]] | None
) -> tuple[dict[str, list[Any]], list[dict[str, Any]]]:
    """The axes by name, and the parameters of each run, in the order of the Dataset."""
    swept = {k: list(v) for k, v in grid.items() if _several(v)}
    same = {**values, **{k: v for k, v in grid.items() if k not in swept}}
    for name, choices in swept.items():
        if not choices:
            raise TwinError("at least one value", found="none", hint=f"give {name}=[...]", where=f"parameter '{name}'")
    if points is not None:
        if swept:
            raise TwinError(
                "a grid or points",
                found=f"points beside a grid over {', '.join(swept)}",
                hint="put every swept parameter into the points",
                where="points",
            )
        listed = [dict(p) for p in points]
        if not listed:
            raise TwinError(
                "at least one point", found="none", hint="points=[{'seed': 1}, {'seed': 2}]", where="points"
            )
        runs = [admitted(source, {**same, **p}) for p in listed]
        return {"point": list(range(len(runs)))}, runs
    # each axis is checked by itself, so that a wrong value is told once
    taken = {k: [admitted(source, {k: v})[k] for v in choices] for k, choices in swept.items()}
    for name, choices in taken.items():
        texts = [json.dumps(v) for v in choices]
        if len(set(texts)) < len(texts):
            twice = next(t for t in texts if texts.count(t) > 1)
            raise TwinError(
                "different values", found=f"{twice} twice", hint="leave one out", where=f"parameter '{name}'"
            )
    fixed = admitted(source, same)
    runs = [{**fixed, **dict(zip(taken, c, strict=True))} for c in itertools.product(*taken.values())]
    return taken, runs


def _several(value: Any) -> bool:
    return isinstance(value, list | tuple | range | np.ndarray | xr.DataArray)


def _name(source: Source, given: Mapping[str, Any], commits: Mapping[str, str]) -> str:
    """The name of a run in the folder: the same code, parameters and stored twins give the same one."""
    import twinkit

    what = json.dumps([source.digest, twinkit.__version__, dict(given), dict(commits)], sort_keys=True)
    return f"{source.path.stem}-{hashlib.sha256(what.encode()).hexdigest()[:16]}"


def _earlier(path: Path) -> dict[str, Any] | None:
    """The record of a run that succeeded before; None for any other, which is then run again."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        whole = record["error"] == "" and isinstance(record["results"], dict) and path.with_suffix(".ipynb").is_file()
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return record if whole else None


# ---------------------------------------------------------------- running them


def _outcomes(
    source: Source, runs: Sequence[Mapping[str, Any]], rest: Sequence[int], workers: Any, folder: str
) -> Iterator[tuple[int, Outcome]]:
    """Position and outcome of each run, as they end."""
    if hasattr(workers, "submit") and hasattr(workers, "scheduler"):
        yield from _on_cluster(source, runs, rest, workers, folder)
        return
    if not isinstance(workers, int | np.integer) or isinstance(workers, bool) or workers < 1:
        raise TwinError(
            "a number of workers from 1, or a dask.distributed.Client",
            found=repr(workers),
            hint=f"this machine has {os.cpu_count()} cores: workers={os.cpu_count()}",
            where="workers",
        )
    if not rest:
        return
    environment = {name: os.environ.get(name, value) for name, value in ALONE.items()}
    kernels = Kernels()
    with ExitStack() as stack:
        template = None
        if Template.possible() and len(rest) > 1:
            made = stack.enter_context(Template(modules_of(source.text), folder=folder, environment=environment))
            template = made if made.safe else None
        pool = ThreadPoolExecutor(max_workers=min(int(workers), len(rest)), thread_name_prefix="sweep")
        waiting: dict[Future[Outcome], int] = {}
        try:
            for i in rest:
                job = pool.submit(
                    execute,
                    source.text,
                    runs[i],
                    name=source.name,
                    folder=folder,
                    template=template,
                    kernels=kernels,
                    environment=environment,
                )
                waiting[job] = i
            while waiting:
                for job in wait(waiting, return_when=FIRST_COMPLETED).done:
                    yield waiting.pop(job), job.result()
        finally:
            # on Ctrl-C the runs that wait are dropped and the kernels that run are ended; what is done is kept
            for job in waiting:
                job.cancel()
            kernels.end()
            pool.shutdown(wait=True)


def _on_cluster(
    source: Source, runs: Sequence[Mapping[str, Any]], rest: Sequence[int], client: Any, folder: str
) -> Iterator[tuple[int, Outcome]]:
    from distributed import as_completed

    jobs = {
        client.submit(execute, source.text, runs[i], name=source.name, folder=folder, environment=ALONE, pure=False): i
        for i in rest
    }
    try:
        for job in as_completed(list(jobs)):
            fault = job.exception()
            if fault is None:
                yield jobs[job], job.result()
            else:  # the worker was lost: the run failed, the others go on
                yield jobs[job], Outcome("", {}, 0.0, 0, where=source.name, error=f"{type(fault).__name__}: {fault}")
    finally:
        client.cancel(list(jobs))


def _bar(
    outcomes: Iterator[tuple[int, Outcome]], total: int, rest: int, progress: bool | None, source: Source
) -> Iterator[tuple[int, Outcome]]:
    from tqdm.auto import tqdm

    disable = None if progress is None else not progress
    with tqdm(total=total, initial=total - rest, unit="run", desc=source.path.stem, disable=disable) as bar:
        failed = 0
        for i, outcome in outcomes:
            failed += bool(outcome.error)
            bar.update()
            if failed:
                bar.set_postfix(failed=failed)
            yield i, outcome


# ---------------------------------------------------------------- one Dataset


def _dataset(
    source: Source,
    axes: Mapping[str, list[Any]],
    runs: Sequence[Mapping[str, Any]],
    records: Sequence[Mapping[str, Any]],
) -> xr.Dataset:
    shape = tuple(len(choices) for choices in axes.values())
    coords: dict[str, Any] = {name: (name, _column(choices)) for name, choices in axes.items()}
    if list(axes) == ["point"]:
        names = list(dict.fromkeys(k for given in runs for k in given))
        for name in names:
            coords[name] = ("point", _column([given.get(name, source.parameters[name]) for given in runs]))
    found: dict[str, list[xr.DataArray | None]] = {}
    for position, record in enumerate(records):
        for name, value in record["results"].items():
            if record["error"]:
                continue
            known = found.setdefault(name, [None] * len(records))
            known[position] = _as_array(decoded(value), name)
    data: dict[str, xr.DataArray] = {}
    for name, arrays in found.items():
        named = f"{name}_result" if name in coords else name
        data[named] = _stacked(arrays, axes, shape, where=f"result '{name}' of {source.name}")
    errors = np.array([record["error"] for record in records], dtype=object).reshape(shape)
    data["error"] = xr.DataArray(errors, dims=tuple(axes))
    attrs: dict[str, Any] = {"notebook": source.name, "digest": source.digest}
    same = {k: v for k, v in runs[0].items() if all(given.get(k) == v for given in runs) and k not in coords}
    attrs |= {k: v if isinstance(v, str | int | float) else json.dumps(v) for k, v in same.items() if v is not None}
    return xr.Dataset(data, coords, attrs)


def _column(values: Sequence[Any]) -> np.ndarray:
    kinds = {type(v) for v in values}
    if kinds <= {int, float} or kinds == {bool}:
        return np.asarray(values)
    texts = [v if isinstance(v, str) else json.dumps(v) for v in values]
    return np.asarray(texts, dtype=object)


def _as_array(value: Any, name: str) -> xr.DataArray:
    if isinstance(value, xr.DataArray):
        return value.reset_coords(drop=True).rename(name)
    if isinstance(value, list):
        value = _column(value)
    if isinstance(value, dict):
        value = json.dumps(value)
    array = np.asarray(np.nan if value is None else value)
    if array.dtype.kind in "UT":
        array = array.astype(object)
    return xr.DataArray(array, dims=[f"{name}_{i}" for i in range(array.ndim)], name=name)


def _stacked(
    arrays: Sequence[xr.DataArray | None], axes: Mapping[str, list[Any]], shape: tuple[int, ...], *, where: str
) -> xr.DataArray:
    """One result of all runs on the swept dims; missing ones are NaN or empty text."""
    there = [a for a in arrays if a is not None]
    dims = there[0].dims
    if any(a.dims != dims for a in there):
        other = next(a for a in there if a.dims != dims)
        raise TwinError(
            f"dims {dims} in every run", found=f"dims {other.dims} in another", hint="record it alike", where=where
        )
    if set(dims) & set(axes):
        raise TwinError(
            "dims that no swept parameter has",
            found=f"dim '{next(d for d in dims if d in axes)}'",
            hint="rename the dim where the notebook records it",
            where=where,
        )
    for d in dims:  # dims without labels can differ in length: the short ones are filled at the end
        longest = max(a.sizes[d] for a in there)
        if any(d not in a.coords for a in there):
            there = [a.drop_vars([d], errors="ignore").pad({d: (0, longest - a.sizes[d])}) for a in there]
    text = any(a.dtype.kind == "O" for a in there)
    filling: dict[str, Any] = {"fill_value": ""} if text else {}
    aligned = xr.align(*there, join="outer", copy=False, **filling)
    template = aligned[0]
    blank: Any = np.full(template.shape, "" if text else np.nan, dtype=object if text else float)
    values = iter(aligned)
    rows: list[np.ndarray] = [blank if a is None else np.asarray(next(values).values) for a in arrays]
    whole = np.stack([r.astype(object) for r in rows]) if text else np.stack(rows)
    coords = {d: template.coords[d] for d in dims if d in template.coords}
    return xr.DataArray(
        whole.reshape(*shape, *template.shape), dims=(*axes, *dims), coords=coords, attrs=there[0].attrs
    )


def _table(source: Source, runs: Sequence[Mapping[str, Any]], records: Sequence[Mapping[str, Any] | None]) -> str:
    """The runs as CSV: parameters, results that are single values, seconds, peak memory, error."""
    import csv
    import io

    names = list(dict.fromkeys(k for given in runs for k in given))
    found = [record["results"] if record else {} for record in records]
    single = [k for k in dict.fromkeys(k for f in found for k in f) if all(_single(f.get(k)) for f in found)]
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow([*names, *(f"{k}_result" if k in names else k for k in single), "seconds", "peak_memory", "error"])
    for given, record, own in zip(runs, records, found, strict=True):
        parameters = [given.get(n, source.parameters[n]) for n in names]
        cost = [record["seconds"], record["peak_memory"], record["error"]] if record else ["", "", "not run"]
        rows.writerow([*parameters, *(decoded(own.get(k)) for k in single), *cost])
    return text.getvalue()


def _single(value: Any) -> bool:
    return not isinstance(value, Mapping) or value.get("kind") == "number"
