"""Suppression of small counts, as many offices do it; here for comparison, because it is no protection by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from twinkit.error import TwinError
from twinkit.privacy import contribution

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

__all__ = ["k_anonymous"]


def k_anonymous(
    data: xr.DataArray | xr.Dataset | pd.DataFrame, *, k: int, over: Mapping[str, Any] | None = None
) -> xr.DataArray:
    """Exact counts in which cells of fewer than k are left empty. This does not protect: see `differencing`.

    Parameters
    ----------
    data : DataArray of counts, or Dataset or DataFrame of records
        Of records, different subscribers are counted.
    k : int, 2 or more
    over : mapping of str to labels
        For records: dim to all its labels.

    Returns
    -------
    DataArray [count]
        NaN where the count is from 1 to k - 1; zeros stay zeros.

    Errors
    ------
    TwinError
        k below 2, or no counts.

    Examples
    --------
    >>> k_anonymous(xr.DataArray([0, 3, 12], dims="zone"), k=5).values.tolist()
    [0.0, nan, 12.0]

    References
    ----------
    L. Sweeney, k-Anonymity: A Model for Protecting Privacy, 2002.
    """
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 2:
        raise TwinError("a whole number k from 2", found=repr(k), hint="k=5 is usual", where="k")
    if isinstance(data, xr.DataArray):
        counts = data
    else:
        if not over:
            raise TwinError("over={dim: all its labels}", found="none", hint="name the cells", where="over")
        people = contribution.table(data, list(dict.fromkeys(("subscriber", *over)))).drop_duplicates()
        counts = contribution.counted(people, over)
    if counts.dtype.kind not in "iuf" or not np.isfinite(counts).all() or (counts < 0).any():
        raise TwinError("counts of 0 or more", found=f"values of type {counts.dtype}", hint="count first", where="data")
    out = counts.astype(float).where((counts == 0) | (counts >= k))
    out.attrs = {
        "units": data.attrs.get("units", "count") if isinstance(data, xr.DataArray) else "people",
        "provenance": f"modelled: exact counts, those from 1 to {int(k) - 1} left empty",
        "assumptions": "nobody compares this table with another one, or knows a margin of it",
    }
    return out
