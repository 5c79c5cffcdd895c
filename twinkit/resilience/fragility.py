"""How much is too much: the probability that an asset fails under wind, water or shaking."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from twinkit.contract import physics, within
from twinkit.error import TwinError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["CURVES", "Curve", "curves", "fragility"]

GRAVITY = 9.80665

ERAD = "NREL, Energy Resilience Analysis for electric Distribution systems (ERAD), default curves"
HAZUS = "FEMA, Hazus Earthquake Model Technical Manual, lifelines: extensive damage"
TOWER = (
    "assumed: median 1.15 times the 50 m/s of IS 875 Part 3 on India's east coast, dispersion of masts built to one"
    " code (ERAD has 55 m/s and 0.40 for transmission towers of all codes); towers there have fallen below their design"
    " speed (Abraham et al., J. Structural Engineering 32(3), 2005)"
)
WATER = "assumed: a cabinet stands 1 m above ground, and water in it ends its work; dispersion as ERAD's switchgear"


@dataclass(frozen=True)
class Curve:
    """A lognormal fragility curve: half of the assets fail at `median`, two thirds within a factor exp(dispersion).

    Attributes
    ----------
    median : float
        In the unit of the hazard: m/s (gust of 3 s), m (depth), m/s² (peak acceleration).
    dispersion : float
        Standard deviation of the logarithm.
    source : str
    """

    median: float
    dispersion: float
    source: str


CURVES: Mapping[str, Mapping[str, Curve]] = {
    "wind_gust": {
        "macro": Curve(57.5, 0.30, TOWER),
        "small cell": Curve(45.0, 0.40, f"{ERAD}: distribution pole"),
        "exchange": Curve(75.0, 0.30, "assumed: a building of engineered concrete"),
        "data centre": Curve(75.0, 0.30, "assumed: a building of engineered concrete"),
        "microwave": Curve(60.0, 0.30, "assumed: a dish is turned off its aim about when its tower is lost"),
        "fibre": Curve(70.0, 0.40, "assumed: half of a route hangs on poles, the rest lies in the ground"),
        "satellite": Curve(50.0, 0.30, "assumed: a dish of 1 m on a roof"),
        "feeder": Curve(45.0, 0.35, f"{ERAD}: overhead distribution line"),
        "substation": Curve(55.0, 0.40, f"{ERAD}: substation"),
    },
    "flood_depth": {
        "macro": Curve(1.0, 0.35, WATER),
        "small cell": Curve(3.0, 0.35, "assumed: hangs 3 m up on a wall or a pole"),
        "exchange": Curve(1.0, 0.35, WATER),
        "data centre": Curve(1.0, 0.35, WATER),
        "microwave": Curve(1.0, 0.35, WATER),
        "fibre": Curve(6.0, 0.50, "assumed: fails where the flood takes the road or the bridge with it"),
        "satellite": Curve(1.0, 0.35, WATER),
        "feeder": Curve(2.0, 0.50, "assumed: transformers on plinths are switched off before they drown"),
        "substation": Curve(1.0, 0.35, f"{ERAD}: as switchgear on a plinth"),
    },
    "shaking": {
        "macro": Curve(0.46 * GRAVITY, 0.55, f"{HAZUS}, communication facility, components not anchored"),
        "small cell": Curve(0.60 * GRAVITY, 0.62, f"{HAZUS}, communication facility, components anchored"),
        "exchange": Curve(0.60 * GRAVITY, 0.62, f"{HAZUS}, communication facility, components anchored"),
        "data centre": Curve(0.60 * GRAVITY, 0.62, f"{HAZUS}, communication facility, components anchored"),
        "microwave": Curve(0.80 * GRAVITY, 0.60, "assumed: needs new alignment"),
        "fibre": Curve(1.50 * GRAVITY, 0.60, "assumed: shaking alone seldom cuts a cable, moving ground does"),
        "satellite": Curve(0.80 * GRAVITY, 0.60, "assumed: needs new alignment"),
        "feeder": Curve(0.58 * GRAVITY, 0.15, f"{HAZUS}, distribution circuit, components not anchored"),
        "substation": Curve(0.45 * GRAVITY, 0.45, f"{HAZUS}, substation of low voltage, anchored"),
    },
}
"""Hazard to kind of asset to curve. What nobody has published for telecoms is assumed, and says so."""


@physics()
def fragility(intensity: Any, *, median: Any, dispersion: Any) -> Any:
    r"""Probability that an asset fails at an intensity or before it is reached.

    .. math:: P = \Phi\left(\frac{\ln(x / m)}{\beta}\right)

    Parameters
    ----------
    intensity : float or array
        Wind [m/s], depth [m], acceleration [m/s²]; 0 or less never fails anything.
    median : float or array, in the same unit
        At which half of the assets fail; infinite for one that never does.
    dispersion : float or array [1]
        Standard deviation of the logarithm; 0 fails at the median exactly.

    Returns
    -------
    float or array [1]

    Validity
    --------
    As far as the curve's source goes. A curve for a class says nothing about one tower's rust.

    Errors
    ------
    TwinError
        A median that is not positive, or a negative dispersion.

    Examples
    --------
    >>> round(float(fragility(45.0, median=45.0, dispersion=0.35)), 3)
    0.5

    References
    ----------
    FEMA, Hazus Earthquake Model Technical Manual, equation for the probability of reaching a damage state.
    """
    from scipy.special import ndtr

    within(median, 1e-12, np.inf, name="median", unit="the hazard's unit")
    within(dispersion, 0.0, 10.0, name="dispersion", unit="1")
    level = np.maximum(np.asarray(intensity, float), 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        away = np.log(level / np.asarray(median, float))
        # 0/0 is meant: at the median of a curve without spread the asset fails
        out = ndtr(np.where(np.asarray(dispersion) > 0, away / dispersion, np.where(away >= 0, np.inf, -np.inf)))
    if hasattr(intensity, "dims"):
        return intensity.copy(data=out)
    return out if np.ndim(out) else float(out)


def curves(
    hazard: str, kinds: np.ndarray, *, table: Mapping[str, Curve] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Median and dispersion for each asset.

    Parameters
    ----------
    hazard : {"wind_gust", "flood_depth", "shaking"}
    kinds : array of str (asset)
    table : dict of str to Curve, optional
        Kinds of asset whose curves replace those of `CURVES`.

    Errors
    ------
    TwinError
        A kind without a curve.
    """
    known = {**CURVES[hazard], **(table or {})}
    strange = [k for k in dict.fromkeys(kinds) if k not in known]
    if strange:
        raise TwinError(
            f"a kind of asset with a fragility curve for {hazard} ({', '.join(known)})",
            found=f"'{strange[0]}'",
            hint=f"give one: fragility={{'{strange[0]}': Curve(50.0, 0.3, 'source')}}",
            where="fragility",
        )
    return tuple(np.array([getattr(known[k], part) for k in kinds], float) for part in ("median", "dispersion"))  # type: ignore[return-value]
