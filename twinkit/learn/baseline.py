"""Baselines that stand in every table: what a model must beat before it is worth its keep."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from twinkit.error import TwinError

__all__ = ["linear", "logistic", "seasonal_naive"]


def seasonal_naive(history: xr.DataArray, *, horizon: int, season: int) -> xr.DataArray:
    r"""Tomorrow is as its last season was: the same hour of last week.

    .. math:: \hat y_{T+h} = y_{T+h-m\lceil h/m \rceil}

    Parameters
    ----------
    history : DataArray (time, ...)
        Evenly spaced; what is missing in the last season is taken from the season before.
    horizon : int
        Steps ahead.
    season : int
        Steps in a season, m: 24 for a day of hours, 168 for a week.

    Returns
    -------
    DataArray (time, ...)
        At the `horizon` moments that follow.

    Validity
    --------
    NaN where a place in the season was never seen.

    Errors
    ------
    TwinError
        Fewer steps than a season, unevenly spaced or repeated times.

    Examples
    --------
    >>> time = np.arange("2026-03-01", "2026-03-03", dtype="datetime64[h]").astype("datetime64[ns]")
    >>> history = xr.DataArray(np.arange(48.0), {"time": time}, ("time",))
    >>> seasonal_naive(history, horizon=3, season=24).values
    array([24., 25., 26.])

    References
    ----------
    Hyndman and Athanasopoulos, Forecasting: principles and practice, 3rd edition, section 5.2.
    """
    if "time" not in history.dims or "time" not in history.coords:
        raise TwinError("a history along 'time'", found=f"dims {history.dims}", hint="rename the dim")
    time = history["time"].to_numpy()
    steps = np.diff(time)
    if len(time) < 2 or (steps <= np.timedelta64(0, "ns")).any() or (steps != steps[0]).any():
        raise TwinError(
            "evenly spaced times that go forward",
            found="repeated, backward or uneven ones" if len(time) > 1 else "a single one",
            hint="sort, drop duplicates and resample first",
            where="time",
        )
    for value, name in ((horizon, "horizon"), (season, "season")):
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
            raise TwinError(f"a {name} of 1 step or more", found=repr(value), hint=f"{name}=24", where=name)
    if len(time) < season:
        raise TwinError(f"a season of history, {season} steps", found=f"{len(time)}", hint="more history")
    y = history.transpose("time", ...).to_numpy()
    whole = len(y) // season
    seasons = y[len(y) - whole * season :].reshape(whole, season, *y.shape[1:])
    last = seasons[-1]
    for earlier in seasons[-2::-1]:
        last = np.where(np.isnan(last), earlier, last)
    ahead = last[np.arange(horizon) % season]
    moments = time[-1] + steps[0] * np.arange(1, horizon + 1)
    coords = {n: c for n, c in history.coords.items() if "time" not in c.dims} | {"time": moments}
    return xr.DataArray(ahead, coords, ("time", *(d for d in history.dims if d != "time")), name=history.name)


def linear(*, penalty: float = 1.0) -> Any:
    """A linear model: missing features at their median, all at one scale, a ridge so that copies do no harm.

    Parameters
    ----------
    penalty : float

    Returns
    -------
    sklearn estimator, unfitted

    Errors
    ------
    TwinError
        scikit-learn is not installed.

    Examples
    --------
    >>> x = np.arange(10.0)[:, None]
    >>> bool(abs(linear().fit(x, 2 * x[:, 0]).predict([[3.0]])[0] - 6) < 0.3)
    True
    """
    _sklearn()
    from sklearn.linear_model import Ridge

    return _prepared(Ridge(alpha=penalty))


def logistic(*, penalty: float = 1.0) -> Any:
    """The linear model of a yes or no, prepared as in `linear`.

    Parameters
    ----------
    penalty : float

    Returns
    -------
    sklearn estimator, unfitted

    Errors
    ------
    TwinError
        scikit-learn is not installed.

    Examples
    --------
    >>> x = np.arange(10.0)[:, None]
    >>> bool(logistic().fit(x, x[:, 0] > 4).predict([[9.0]])[0])
    True
    """
    _sklearn()
    from sklearn.linear_model import LogisticRegression

    return _prepared(LogisticRegression(C=1 / penalty, max_iter=2000))


def _prepared(model: Any) -> Any:
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(SimpleImputer(strategy="median", keep_empty_features=True), StandardScaler(), model)


def _sklearn() -> None:
    try:
        import sklearn  # noqa: F401 - only asked whether it is there
    except ImportError:
        raise TwinError("scikit-learn", found="none installed", hint="pip install 'twinkit[learn]'") from None
