"""Release: counts that may leave the building, with noise that was paid for from the budget of their store."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr

from twinkit.contract import whole_seed
from twinkit.error import TwinError
from twinkit.privacy import contribution
from twinkit.privacy.account import Cost, positive, promised, shared, total
from twinkit.privacy.consistent import consistent, non_negative
from twinkit.privacy.ledger import confirm, reserve
from twinkit.privacy.mechanism import Bound, Noise, geometric, thresholded

if TYPE_CHECKING:
    from twinkit.store import Path

__all__ = ["release"]

Mechanism = Callable[..., Noise]


def release(
    data: xr.DataArray | xr.Dataset | pd.DataFrame,
    *,
    epsilon: float,
    protects: str,
    bound: int,
    each: int | None = None,
    mechanism: Mechanism = geometric,
    delta: float = 0.0,
    over: Mapping[str, Any] | None = None,
    dims: Sequence[str] = (),
    days: tuple[Any, Any] | None = None,
    margins: Sequence[Sequence[str] | str] = (),
    margin_share: float = 0.3,
    whole_table: bool = True,
    threshold: float = 0.0,
    store: Path | None = None,
    message: str = "",
    author: str | None = None,
    seed: int | None = None,
) -> xr.DataArray:
    """Counts with noise, so that what is published tells hardly more about anybody than if they had not been counted.

    Equation: P(release of D in S) <= exp(epsilon) P(release of D' in S) + delta, for D and D' that differ in all
    records of one protected unit.

    Parameters
    ----------
    data : Dataset or DataFrame of records, or DataArray of counts
        Records: one row an event, with the columns of the unit (`subscriber`, and for "subscriber-day" `day`, or else
        `time`, whose days in UTC are taken) and one for each dim of the counts: what `tk.mobility.trips` gives, for
        example. Counts: whole numbers of 0 or more;
        that no unit adds more than `bound` is then your word, not twinkit's.
    epsilon : float [1], from 1e-6 to 100
        Privacy that this release spends; less protects more.
    protects : {"subscriber-day", "subscriber"}
        Unit whose presence nobody must be able to tell: one day of a person, or all of a person.
    bound : int [count]
        Most that one unit adds to all cells together. Of records beyond it, a fair sample stays.
    each : int [count], optional
        Most that one unit adds to one cell; `bound` if left out. It matters for Gaussian noise.
    mechanism : function
        `geometric`, `laplace`, `gaussian`, or yours: ``mechanism(bound, *, epsilon, delta) -> Noise``.
    delta : float [1]
        Chance with which the promise may fail: for `gaussian`, and for cells that nobody lists (no `over`).
    over : mapping of str to labels, optional
        For records: dim to all its labels, known without looking at the records. Left out, only cells with clearly
        more than one unit are named; that needs a `delta`, and `dims` for the columns.
    dims : list of str
        For records without `over`: the columns of the counts.
    days : (first, last), optional
        The release covers these days alone; records of others are left out. The ledger then charges no other day.
    margins : list of dims
        Sums that are measured by themselves, ``["origin", "destination", ()]`` (the last one is the total), and to
        which the cells are then fitted.
    margin_share : float [1]
        Share of epsilon that they get together.
    whole_table : bool
        No count below zero, the sum left as it is. False gives unbiased cells, some of them negative.
    threshold : float [count]
        Cells below it become 0.
    store : str or Path
        The store whose budget pays. See `budget`.
    message : str
        With `store`: what is released, and for whom.
    author : str, optional
    seed : int, optional
        Instead of `store`: the same noise each time, for tests and lessons. Who knows the seed can take it off again.

    Returns
    -------
    DataArray [count]
        Dims of the counts. `attrs` state mechanism, epsilon, delta, unit, `deviation` (of the noise in a cell) and the
        id of the release in the ledger, or that it is a test; `ledger` the head of the ledger's branch, with which
        whoever holds these numbers finds out whether somebody turned the ledger back: ``tk.verify(store, head=...)``.

    Validity
    --------
    Labels in `over` and counts' coordinates must be public: they are released as they are. Noise is drawn by OpenDP
    from the operating system's cryptographic generator.

    Errors
    ------
    TwinError
        A number out of range, records without unit or with moments for days, labels that are none, no budget or none
        left (which is logged), store and seed at once.

    Examples
    --------
    >>> trips = pd.DataFrame({"subscriber": [1, 1, 2], "day": 0, "origin": ["a", "a", "b"], "destination": "b"})
    >>> zones = ["a", "b"]
    >>> safe = release(trips, epsilon=1.0, protects="subscriber-day", bound=2, seed=1,
    ...                over={"origin": zones, "destination": zones})
    >>> safe.dims, safe.attrs["release"]
    (('origin', 'destination'), 'a test with a seed: it protects nobody')

    References
    ----------
    C. Dwork, F. McSherry, K. Nissim, A. Smith, Calibrating Noise to Sensitivity in Private Data Analysis, 2006.
    """
    epsilon = promised(epsilon)
    delta = positive(delta, "delta", zero=True, below=1.0)
    share = positive(margin_share, "margin_share", below=1.0)
    threshold = positive(threshold, "threshold", zero=True)
    limit, unit = Bound(bound, bound if each is None else each), contribution.units(protects)
    span = contribution.period(days)
    _one_road(store, seed, message)
    generator = None if seed is None else np.random.default_rng(whole_seed(seed))
    lot = np.random.default_rng() if generator is None else generator

    counts: xr.DataArray | pd.DataFrame
    if isinstance(dims, str):
        dims = (dims,)
    if isinstance(data, xr.DataArray):
        if over is not None or dims:
            raise TwinError(
                "counts as they are", found="`over` or `dims` beside them", hint="leave it out", where="over"
            )
        counts = _counts(data)
    else:
        counts = _from_records(data, unit, limit, over, tuple(dims), span, lot)
    sums = [_sum_of(m, counts) for m in _several(margins)]
    if isinstance(counts, pd.DataFrame):
        if mechanism is not geometric:
            raise TwinError(
                "geometric noise on cells that nobody lists", found="another", hint="give `over`", where="mechanism"
            )
        scale, least, cost, draw = thresholded(limit, epsilon=epsilon, delta=delta)
        noises: list[Noise] = []
        name, scales = f"geometric above {least}", scale
    else:
        many = len(sums)
        epsilons = shared(epsilon, [1 - share] + [share / many] * many) if sums else [epsilon]
        deltas = shared(delta, [1.0] * (many + 1))
        # a margin adds up cells, so one unit may weigh its whole bound in one sum
        bounds = [limit] + [Bound(limit.total, limit.total)] * many
        parts = zip(bounds, epsilons, deltas, strict=True)
        noises = [_noise(mechanism, b, epsilon=e, delta=d) for b, e, d in parts]
        cost = _together([n.cost for n in noises])
        name, scales = noises[0].name, noises[0].scale

    said = {"first_day": str(span[0]), "last_day": str(span[1])} if span else {}
    paid = ""
    if store is not None:
        numbers = {"bound": float(limit.total), "each": float(limit.each), "scale": float(scales)}
        paid = reserve(
            store, cost, protects=protects, author=author, message=message, mechanism=name, **numbers, **said
        )
    if isinstance(counts, pd.DataFrame):
        listed = {str(row): int(n) for row, n in enumerate(counts["count"])}
        out = _table(draw(listed, generator), tuple(dims), counts)
        deviation = scales * np.sqrt(2)
    else:
        out = _fitted(counts, noises, sums, generator, whole_table=whole_table)
        deviation = noises[0].deviation
    if threshold:
        out = out.where(out >= threshold, 0.0)
    out.attrs = {
        "units": data.attrs.get("units", "count") if isinstance(data, xr.DataArray) else "count",
        "provenance": f"modelled: {name} noise, epsilon {epsilon:g} for each {protects}"
        + ("" if paid else ", from a seed: it protects nobody"),
        "assumptions": f"no {protects} adds more than {limit.total}, nor more than {limit.each} to one cell",
        "mechanism": name,
        "epsilon": cost.epsilon,
        "delta": cost.delta,
        "protects": protects,
        "deviation": float(deviation),
        "release": paid or "a test with a seed: it protects nobody",
    }
    if store is not None:
        out.attrs["ledger"] = confirm(store, paid, content=_digest(out)).head
    return out


# ---------------------------------------------------------------- what comes in


def _one_road(store: object, seed: object, message: str) -> None:
    if (store is None) == (seed is None):
        raise TwinError(
            "either a store, whose budget pays, or a seed, for a test",
            found="both" if store is not None else "neither",
            hint="a seed makes noise that anybody can take off again: it never stands in a ledger",
            where="store" if store is None else "seed",
        )
    if store is not None and (not isinstance(message, str) or not message.strip()):
        raise TwinError(
            "a message: what is released, and for whom",
            found=repr(message),
            hint="it stands in the ledger: message='trips between wards, for the transport department'",
            where="message",
        )


def _counts(data: xr.DataArray) -> xr.DataArray:
    values = data.to_numpy()
    if values.dtype.kind not in "iuf" or not values.size:
        raise TwinError(
            "an array of counts", found=f"{values.size} values of type {values.dtype}", hint="give whole numbers"
        )
    if not np.isfinite(values).all() or (values < 0).any() or (values != np.floor(values)).any():
        raise TwinError(
            "whole numbers of 0 or more",
            found="others (not a number, below zero, or fractions)",
            hint="count first and scale up afterwards: what is released may be scaled as you like",
        )
    if values.sum(dtype=float) > 2**53:
        found = f"{values.max():g}, and {values.sum(dtype=float):g} together"
        raise TwinError("counts that add up to less than 2^53", found=found, hint="count events, not bytes")
    for d, index in data.indexes.items():
        if not index.is_unique:
            raise TwinError(
                f"labels of '{d}', each once", found=f"{index[index.duplicated()][0]!r} twice", hint="add them up"
            )
    return data.copy(data=values.astype(np.int64))


def _from_records(
    data: Any,
    unit: tuple[str, ...],
    limit: Bound,
    over: Mapping[str, Any] | None,
    dims: tuple[str, ...],
    span: tuple[np.datetime64, np.datetime64] | None,
    lot: np.random.Generator,
) -> xr.DataArray | pd.DataFrame:
    if over is not None and not isinstance(over, Mapping):
        raise TwinError("over={dim: all its labels}", found=f"a {type(over).__name__}", hint="a dict", where="over")
    cells = tuple(over) if over is not None else dims
    if not cells or (over is not None and dims):
        raise TwinError(
            "over={dim: all its labels}, or dims=[...] and a delta",
            found="both" if cells else "neither",
            hint="labels that are known beforehand make better counts",
            where="over",
        )
    day = ("day",) if span is not None else ()
    events = contribution.table(data, list(dict.fromkeys((*unit, *cells, *day))))
    # cells that nobody lists are told apart by their names, as units are
    contribution.owned(events, list(dict.fromkeys((*unit, *day, *dims))))
    if span is not None:
        when = _days(events["day"])
        events = events[(when >= span[0]) & (when <= span[1])].reset_index(drop=True)
    if over is not None:
        # elsewhere first, so that events outside the table take nobody's place in the sample
        inside = np.ones(len(events), bool)
        for d, labels in contribution.labels(over, events).items():
            inside &= events[d].isin(labels).to_numpy()
        events = events[inside].reset_index(drop=True)
    events = events[contribution.bounded(events, unit, cells, limit, lot)]
    if over is not None:
        return contribution.counted(events, over)
    grouped = events.groupby(list(cells), sort=True, observed=True).size()  # only cells that occur
    return grouped.rename("count").reset_index()


def _days(column: pd.Series) -> np.ndarray:
    if column.dtype.kind in "iu" and len(column):
        raise TwinError(
            "days as dates where `days` names some",
            found="numbers",
            hint="records.assign(day=pd.Timestamp('2026-03-02') + pd.to_timedelta(records.day, 'D'))",
            where="day",
        )
    return np.asarray(pd.to_datetime(column).to_numpy(), dtype="datetime64[D]")


# ---------------------------------------------------------------- what goes out


def _several(margins: object) -> Sequence[Any]:
    if not isinstance(margins, list | tuple):
        raise TwinError("a list of margins", found=repr(margins), hint="margins=['origin', ()]", where="margins")
    return margins


def _sum_of(margin: Sequence[str] | str, counts: xr.DataArray | pd.DataFrame) -> tuple[str, ...]:
    """Dims that stay in a margin, checked."""
    stay = tuple(margin) if isinstance(margin, list | tuple) else (margin,)
    if isinstance(counts, pd.DataFrame):
        raise TwinError(
            "margins of a known table", found="no `over`", hint="give `over`, or no margins", where="margins"
        )
    wrong = [d for d in stay if d not in counts.dims]
    if wrong or len(set(stay)) != len(stay) or len(stay) >= counts.ndim:
        raise TwinError(
            f"some of the dims {counts.dims}, not all of them",
            found=repr(margin),
            hint="margins=['origin', ()] measures sums over destinations and the total",
            where="margins",
        )
    return stay


def _noise(mechanism: Mechanism, limit: Bound, *, epsilon: float, delta: float) -> Noise:
    made = mechanism(limit, epsilon=epsilon, delta=delta)
    if not isinstance(made, Noise):
        raise TwinError(
            "a mechanism that gives a Noise",
            found=f"a {type(made).__name__}",
            hint="pass privacy.geometric itself, without calling it, or see privacy.Noise",
            where="mechanism",
        )
    return made


def _together(costs: Sequence[Cost]) -> Cost:
    """Cost of parts that are released at once."""
    if len(costs) == 1:
        return costs[0]
    return Cost(*(total(getattr(c, k) for c in costs) for k in ("epsilon", "delta", "rho", "aside")))


def _fitted(
    counts: xr.DataArray,
    noises: Sequence[Noise],
    sums: Sequence[tuple[str, ...]],
    generator: np.random.Generator | None,
    *,
    whole_table: bool,
) -> xr.DataArray:
    """Noisy cells, fitted to noisy sums."""
    table = np.asarray(noises[0].draw(counts.values, generator), float)
    margins = []
    for stay, noise in zip(sums, noises[1:], strict=True):
        axes = tuple(sorted(counts.get_axis_num(d) for d in stay))
        exact = counts.to_numpy().sum(axis=tuple(a for a in range(counts.ndim) if a not in axes))
        margins.append((axes, noise.draw(np.asarray(exact), generator), noise.deviation))
    if margins:
        table = consistent(table, margins, deviation=noises[0].deviation)
    return counts.copy(data=non_negative(table) if whole_table else table)


def _table(kept: Mapping[str, int], dims: tuple[str, ...], rows: pd.DataFrame) -> xr.DataArray:
    """The named cells as a table over the labels that occur in them; all others are 0."""
    named = rows.iloc[[int(r) for r in kept]]
    labels = {d: pd.Index(np.unique(named[d].to_numpy())) for d in dims}
    out = np.zeros(tuple(map(len, labels.values())))
    out[tuple(labels[d].get_indexer(named[d]) for d in dims)] = list(kept.values())
    return xr.DataArray(out, {d: index.to_numpy() for d, index in labels.items()}, dims, name="count")


def _digest(released: xr.DataArray) -> str:
    """SHA-256 of the numbers, as eight bytes each in C order: whoever holds a file can find its line in the ledger."""
    return hashlib.sha256(np.ascontiguousarray(released.values, "<f8").tobytes()).hexdigest()
