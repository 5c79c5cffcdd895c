"""Free space: the loss that remains when nothing stands in the way."""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np

from twinkit.contract import physics
from twinkit.error import TwinError
from twinkit.radio.elementwise import mapped, over

__all__ = ["SPEED_OF_LIGHT", "free_space", "free_space_loss"]

SPEED_OF_LIGHT = 299_792_458.0
"""In vacuum [m/s]."""


@numba.njit(cache=True, nogil=True)
def free_space_loss(distance: float, frequency: float) -> float:
    """Basic free-space loss [dB]; the kernel of `free_space`."""
    return 20.0 * math.log10(4.0 * math.pi * distance * frequency / SPEED_OF_LIGHT)


_loss = mapped(free_space_loss)


# Radio waves end at 3 000 GHz (Radio Regulations, 1.5); below 3 kHz a frequency was given in another unit.
@physics(
    gives="path_loss",
    valid={"frequency": (3e3, 3e12)},
    why="radio waves, RR 1.5",
    grows_with="distance",
    distance="m",
    frequency="Hz",
)
def free_space(distance: Any, *, frequency: Any) -> Any:
    r"""Basic transmission loss between isotropic antennas in free space.

    .. math:: L = 20 \log_{10} \frac{4 \pi d f}{c}

    Parameters
    ----------
    distance : float, array or DataArray [m]
        Straight line between the antennas.
    frequency : float, array or DataArray [Hz]

    Returns
    -------
    float, array or DataArray [dB]
        Lazy where an argument is.

    Validity
    --------
    The far field: from one wavelength on. The Recommendation's 32.4 + 20 log f + 20 log d (MHz, km) is this
    equation, rounded to a tenth of a dB.

    Errors
    ------
    TwinError
        A distance below one wavelength, a frequency outside 3 kHz to 3 000 GHz, or another unit.

    Examples
    --------
    Ten times the distance costs 20 dB.

    >>> round(free_space(1000, frequency=2.4e9), 2)
    100.05
    >>> free_space([1000, 10_000], frequency=2.4e9).round(2)
    array([100.05, 120.05])

    A kilometre is not a metre:

    >>> free_space(0.001, frequency=2.4e9)
    Traceback (most recent call last):
    ...
    twinkit.error.TwinError: distance: expected a distance of at least one wavelength (0.124914 m); found 0.001 m...

    References
    ----------
    ITU-R P.525-4, equations (5) and (6). Rows of tests/published.csv: twinkit.radio.free_space.
    """
    return over(_far, distance, frequency)


def _far(distance: Any, frequency: Any) -> Any:
    near = ~(distance * frequency >= SPEED_OF_LIGHT)
    if np.any(near):
        d, f = (np.broadcast_to(a, near.shape)[near].flat[0] for a in (distance, frequency))
        raise TwinError(
            f"a distance of at least one wavelength ({SPEED_OF_LIGHT / f:g} m)",
            found=f"{d:g} m",
            hint="give the distance in metres; nearer than that there is no far field",
            where="distance",
        )
    return _loss(distance, frequency)
