"""How long things last, from lives that ended and lives that have not yet: curves, and the law of wear."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import xarray as xr

from twinkit.contract import physics
from twinkit.error import TwinError

__all__ = ["kaplan_meier", "survival", "weibull", "weibull_survival"]


def survival(duration: Any, ended: Any, *, level: float = 0.95) -> xr.Dataset:
    r"""The share that lives on, with its interval, whatever the law (Kaplan and Meier).

    .. math:: S(t) = \prod_{t_i \le t} \Big(1 - \frac{d_i}{n_i}\Big)

    with d the number that ended at a time and n the number that might have.

    Parameters
    ----------
    duration : array (unit,) [any unit of time]
        Until the end, or until it was last seen alive.
    ended : array (unit,) of bool
        False where it was still alive: leaving those out would make all lives look short.
    level : float [1]
        Of the interval (log-log, by Greenwood's formula).

    Returns
    -------
    Dataset (duration)
        ``survival``, ``low``, ``high`` [1] and ``at_risk``, from duration 0 on, at each time at which one ended or
        left.

    Validity
    --------
    Whoever leaves the watch does not leave it because it is about to fail.

    Errors
    ------
    TwinError
        Durations below 0 or missing, none ended, lengths that differ.

    Examples
    --------
    >>> curve = survival([2, 3, 3, 5], [True, True, False, True])
    >>> curve.survival.sel(duration=3).round(3).item()
    0.5

    References
    ----------
    Kaplan and Meier (1958), Nonparametric estimation from incomplete observations, equation (2b).
    """
    lifelines = _lifelines()
    lived, over = _lives(duration, ended)
    if not 0 < level < 1:
        raise TwinError("a level between 0 and 1", found=repr(level), hint="give 0.95", where="level")
    with warnings.catch_warnings():
        # lifelines asks pandas for what pandas will change; its numbers do not hang on it
        warnings.simplefilter("ignore")
        fitted = lifelines.KaplanMeierFitter(alpha=1 - level).fit(lived, over)
        curve, interval = fitted.survival_function_.iloc[:, 0], fitted.confidence_interval_
        risk = fitted.event_table["at_risk"]
    parts = {
        "survival": curve.to_numpy(),
        "low": interval.iloc[:, 0].to_numpy(),
        "high": interval.iloc[:, 1].to_numpy(),
        "at_risk": risk.to_numpy().astype(float),
    }
    said = {"units": "1", "provenance": "modelled: Kaplan-Meier"}
    out = {n: ("duration", np.asarray(v, dtype=float), dict(said)) for n, v in parts.items()}
    return xr.Dataset(out, {"duration": curve.index.to_numpy(dtype=float)})


def kaplan_meier(*, duration: Any, ended: Any, at: Any) -> np.ndarray:
    """`survival` read at given times: the last value at or before each.

    >>> kaplan_meier(duration=[2, 3, 3, 5], ended=[1, 1, 0, 1], at=[0, 2.5, 9]).round(9).tolist()
    [1.0, 0.75, 0.0]
    """
    curve = survival(duration, ended)
    place = np.searchsorted(curve["duration"].to_numpy(), np.asarray(at, dtype=float), side="right") - 1
    return np.asarray(curve["survival"].to_numpy()[np.maximum(place, 0)])


def weibull(*, duration: Any, ended: Any) -> np.ndarray:
    r"""Shape and scale of the Weibull law of lives, by maximum likelihood.

    .. math:: S(t) = e^{-(t/λ)^k}, \qquad
       \ell = \sum_\text{ended} \ln\frac{k}{λ}\Big(\frac{t}{λ}\Big)^{k-1} - \sum_\text{all} \Big(\frac{t}{λ}\Big)^k

    Parameters
    ----------
    duration, ended
        As of `survival`; durations above 0.

    Returns
    -------
    array (2,)
        k [1]: above 1 things wear, 1 is chance, below 1 the weak go first; λ [the unit of duration].

    Errors
    ------
    TwinError
        As `survival`; a duration of 0; fewer than two that ended.

    Examples
    --------
    >>> lives = 100 * np.random.default_rng(1).weibull(2.0, 2000)
    >>> weibull(duration=np.minimum(lives, 120), ended=lives < 120).round(1).tolist()
    [2.0, 99.6]

    References
    ----------
    Kalbfleisch and Prentice (2002), The statistical analysis of failure time data, section 3.5.
    """
    lifelines = _lifelines()
    lived, over = _lives(duration, ended)
    if (lived <= 0).any() or over.sum() < 2:
        raise TwinError(
            "durations above 0, two of them ended", found="a 0, or fewer ends", hint="drop what never lived"
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted = lifelines.WeibullFitter().fit(lived, over)
    return np.array([float(fitted.rho_), float(fitted.lambda_)])


@physics(valid={"time": (0.0, np.inf), "shape": (1e-3, 1e3), "scale": (1e-9, np.inf)})
def weibull_survival(time: Any, *, shape: Any, scale: Any) -> Any:
    r"""The share that lives on after a time, under the Weibull law.

    .. math:: S(t) = e^{-(t/λ)^k}

    Parameters
    ----------
    time : float or array [any unit of time]
    shape : float [1]
        k.
    scale : float [the unit of time]
        λ.

    Returns
    -------
    float or array [1]

    Validity
    --------
    One way to fail.

    Errors
    ------
    TwinError
        A negative time, a shape or scale not above 0.

    Examples
    --------
    >>> round(float(weibull_survival(100.0, shape=2.0, scale=100.0)), 4)
    0.3679
    """
    t = time if isinstance(time, xr.DataArray) else np.asarray(time, dtype=float)
    return np.exp(-((t / scale) ** shape))


def _lives(duration: Any, ended: Any) -> tuple[np.ndarray, np.ndarray]:
    lived, over = np.asarray(duration, dtype=float), np.asarray(ended)
    if lived.ndim != 1 or lived.shape != over.shape or not len(lived):
        raise TwinError(
            "a duration and an end for each unit", found=f"{lived.shape} and {over.shape}", hint="pair them"
        )
    if not (np.isfinite(lived).all() and (lived >= 0).all()):
        raise TwinError("durations of 0 or more", found="a missing or negative one", hint="did time go backwards?")
    if not np.isin(over, (0, 1)).all():
        raise TwinError("True or False for each unit", found="other values", hint="ended=True", where="ended")
    over = over.astype(bool)
    if not over.any():
        raise TwinError("a unit or more that ended", found="none", hint="watch longer", where="ended")
    return lived, over


def _lifelines() -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import lifelines
    except ImportError:
        raise TwinError("lifelines", found="none installed", hint="pip install 'twinkit[learn]'") from None
    return lifelines
