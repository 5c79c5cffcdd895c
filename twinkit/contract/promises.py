"""The one test of every stage, ours and a learner's: does it keep what its contract promises?"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from twinkit.error import TwinError
from twinkit.vocabulary import word

if TYPE_CHECKING:
    from collections.abc import Callable

    from twinkit.contract import Stage

__all__ = ["check"]


def check(stage: Callable[..., Any], *data: Any, **choices: Any) -> list[str]:
    """Hold a stage to its contract on one example; every broken promise raises, the kept ones are listed.

    What comes back is stamped and is the same twice; missing input and wrong unit are refused, and nothing is read
    that is not declared; nothing is changed in place; lazy inputs stay lazy (a stage that ``computes`` reads each
    block at most once) and give the same numbers in the end.

    Parameters
    ----------
    stage : a function under `contract`
    *data, **choices
        One valid call.

    Returns
    -------
    list of str
        One line for each promise kept.

    Errors
    ------
    TwinError
        The first broken promise.
    """
    made: Stage | None = getattr(stage, "stage", None)
    if made is None:
        raise TwinError("a stage", found=f"{stage!r} without a contract", hint="decorate it with @contract(...)")
    kept = []
    names = tuple(choices)

    def call(given: tuple[Any, ...]) -> Any:
        return stage(*given[: len(data)], **dict(zip(names, given[len(data) :], strict=True)))

    # frozen before the first call: a change in place that is made once and for all shows only there
    given = (*data, *choices.values())
    before = [_frozen(g) for g in given]
    result = call(given)
    _check_stamps(result, made)
    kept.append("gives stamped arrays")
    if not _computed(result).identical(_computed(call(given))):
        raise _broken(made, "the same answer twice", "two answers", "take a seed, and change nothing in place")
    kept.append("gives the same twice")
    if any(not _same(b, g) for b, g in zip(before, given, strict=True)):
        raise _broken(made, "inputs left as they were", "an input changed in place", "work on a copy, or use assign")
    kept.append("changes nothing in place")

    for need in made.reads:
        for spoilt, what in ((_without(given, need), "missing"), (_other_unit(given, need), "in another unit")):
            if spoilt is None:
                continue
            _check_refused(functools.partial(call, spoilt), made, need, what)
            kept.append(f"refuses {need} {what}")
    try:
        call(tuple(_declared(g, made.reads) for g in given))
    except Exception as fault:  # noqa: BLE001 - whatever a learner's stage raises is the verdict
        raise _broken(
            made, "an answer from what is declared alone", f"{fault}", "name what is missing in reads=[...]"
        ) from None
    kept.append("reads nothing that it does not declare")

    reads: dict[str, int] = {}
    lazy = call(tuple(_counting(g, reads, f"{i}") for i, g in enumerate(given)))
    if made.computes:
        most = max(reads.values(), default=0)
        if most > 1:
            raise _broken(
                made, "one pass over the data", f"a block read {most} times", "compute all that is needed at once"
            )
        kept.append("reads its data once")
    elif reads:
        raise _broken(
            made, "a lazy result", f"{len(reads)} blocks computed", "use xarray operations, or declare computes=True"
        )
    else:
        kept.append("stays lazy")
    _check_stamps(lazy, made)
    _check_alike(_computed(result), _computed(lazy), made)
    kept.append("gives the same numbers from lazy data")
    return kept


def _broken(stage: Stage, expected: str, found: str, hint: str) -> TwinError:
    return TwinError(expected, found=found, hint=hint, where=f"contract of {stage.name}")


def _check_refused(call: Callable[[], Any], stage: Stage, need: str, what: str) -> None:
    try:
        call()
    except TwinError:
        return
    except Exception as fault:  # noqa: BLE001 - whatever a learner's stage raises is the verdict
        found = f"a {type(fault).__name__} from further in"
    else:
        found = "an answer"
    raise _broken(stage, f"a TwinError when {need} is {what}", found, f"name '{need}' in reads=[...]") from None


def _check_stamps(result: Any, stage: Stage) -> None:
    for name in stage.gives:
        if isinstance(result, xr.DataArray):
            found: dict[Any, xr.DataArray] = {result.name: result}
        else:
            found = {k: result[k] for k in result.variables} if isinstance(result, xr.Dataset) else {}
        if name not in found:
            raise _broken(stage, f"'{name}' in the result", f"{', '.join(map(str, found)) or 'nothing'}", "return it")
        w, array = word(name), found[name]
        if not w.fits(array.dims):
            raise _broken(stage, f"'{name}' stamped", f"dims {tuple(map(str, array.dims))}", "rename or reduce them")
        for attribute, value in (("units", w.unit), ("given_by", stage.name)):
            if array.attrs.get(attribute) != value:
                raise _broken(
                    stage,
                    f"'{name}' stamped with {attribute} '{value}'",
                    repr(array.attrs.get(attribute)),
                    "let @contract be the outermost decorator, so that nothing follows its stamp",
                )


def _check_alike(eager: Any, lazy: Any, stage: Stage) -> None:
    for name in stage.gives:
        a, b = (r.values if isinstance(r, xr.DataArray) else r[name].values for r in (eager, lazy))
        # sums over blocks round otherwise than one sum
        alike = (
            np.array_equal(a, b)
            if a.dtype.kind not in "fc"
            else a.shape == b.shape and np.allclose(a, b, 1e-5, 1e-9, True)
        )
        if not alike:
            raise _broken(stage, f"the same '{name}' from lazy data", "other numbers", "look at how blocks are joined")


def _computed(result: Any) -> Any:
    return result.compute() if isinstance(result, xr.DataArray | xr.Dataset | xr.DataTree) else result


def _with(data: tuple[Any, ...], need: str, change: Callable[[xr.Dataset], xr.Dataset]) -> tuple[Any, ...] | None:
    """The same arguments with one of them changed at `need`; None where it cannot be changed."""
    node, _, name = need.rpartition("/")
    out: list[Any] = []
    done = False
    for d in data:
        if node and isinstance(d, xr.DataTree) and not done:
            whole = {path: n.to_dataset(inherit=False) for path, n in d.subtree_with_keys}
            whole[node] = change(whole[node])
            out.append(xr.DataTree.from_dict({("/" if k == "." else k): v for k, v in whole.items()}))
            done = True
        elif not node and isinstance(d, xr.Dataset) and name in d.variables and not done:
            out.append(change(d))
            done = True
        elif not node and isinstance(d, xr.DataArray) and d.name == name and not done:
            changed = change(d.to_dataset(name=name))
            out.append(changed[name] if name in changed else d.rename("something_else"))
            done = True
        else:
            out.append(d)
    return tuple(out) if done else None


def _without(data: tuple[Any, ...], need: str) -> tuple[Any, ...] | None:
    name = need.rpartition("/")[2]
    return _with(data, need, lambda ds: ds.drop_vars(name))


def _declared(d: Any, reads: tuple[str, ...], node: str = "") -> Any:
    """The same data without the variables that the stage does not declare; indexes stay."""
    if isinstance(d, xr.DataTree):
        nodes = {path: _declared(n.to_dataset(inherit=False), reads, f"{path}/") for path, n in d.subtree_with_keys}
        return xr.DataTree.from_dict({("/" if k == "." else k): v for k, v in nodes.items()})
    if isinstance(d, xr.Dataset):
        return d.drop_vars([name for name in d.data_vars if f"{node}{name}" not in reads])
    return d


def _other_unit(data: tuple[Any, ...], need: str) -> tuple[Any, ...] | None:
    name = need.rpartition("/")[2]
    if word(name).kind != "number":
        return None

    def change(ds: xr.Dataset) -> xr.Dataset:
        out = ds.copy()
        out[name].attrs = {**ds[name].attrs, "units": "furlong"}
        return out

    return _with(data, need, change)


def _frozen(d: Any) -> Any:
    return d.copy(deep=True) if isinstance(d, xr.DataArray | xr.Dataset | xr.DataTree) else d


def _same(before: Any, after: Any) -> bool:
    return before.identical(after) if isinstance(before, xr.DataArray | xr.Dataset | xr.DataTree) else True


def _counting(d: Any, reads: dict[str, int], at: str) -> Any:
    """The same data as dask arrays of which every computed block is counted."""
    import dask.array as da

    def counted(array: xr.DataArray, name: str) -> xr.DataArray:
        if array.dtype.kind not in "fiub" or array.ndim == 0:
            return array
        source = array.data if hasattr(array.data, "dask") else da.from_array(array.values, chunks=array.shape)

        def count(block: Any, block_info: Any = None) -> Any:
            if block_info:
                key = f"{at}/{name}{block_info[0]['chunk-location']}"
                reads[key] = reads.get(key, 0) + 1
            return block

        return array.copy(data=da.map_blocks(count, source, dtype=source.dtype, meta=source._meta))

    if isinstance(d, xr.Dataset):
        return d.assign({k: counted(v, str(k)) for k, v in d.data_vars.items()})
    if isinstance(d, xr.DataArray):
        return counted(d, str(d.name))
    if isinstance(d, xr.DataTree):
        nodes = {path: _counting(n.to_dataset(inherit=False), reads, f"{at}/{path}") for path, n in d.subtree_with_keys}
        return xr.DataTree.from_dict({("/" if k == "." else k): v for k, v in nodes.items()})
    return d
