"""Longley-Rice point to point over profiles of 258 points, made here: twinkit on all cores, itmlogic on one.

Both compute the same paths from the same heights; the losses are compared before anything is timed.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks import Row, main, seconds

if TYPE_CHECKING:
    from collections.abc import Iterator

POINTS = 258
LINK = {"frequency": 2.6e9, "transmitter_height": 30.0, "receiver_height": 1.5, "climate": "continental temperate"}


def profiles(count: int, *, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Fractal ground heights [m] of `count` paths (amplitude falling as k^-1.6) and their steps [m]: 1 to 20 km."""
    rng = np.random.default_rng(seed)
    number = np.arange(1, POINTS // 2 + 1)
    waves = rng.normal(size=(count, number.size)) * number**-1.6
    phase = rng.uniform(0, 2 * math.pi, (count, number.size))
    spectrum = np.concatenate([np.zeros((count, 1)), waves * np.exp(1j * phase)], axis=1)
    heights = 500 + 60 * POINTS * np.fft.irfft(spectrum, n=POINTS, axis=1)
    return heights.astype(np.float32), rng.uniform(1e3, 20e3, count) / (POINTS - 1)


def itmlogic_loss(heights: np.ndarray, spacing: float) -> float:
    """The same path by itmlogic: median in the broadcast mode, average ground, vertical polarisation."""
    from itmlogic.preparatory_subroutines.qlrpfl import qlrpfl
    from itmlogic.preparatory_subroutines.qlrps import qlrps
    from itmlogic.statistics.avar import avar

    last, mhz = heights.size - 1, LINK["frequency"] / 1e6
    tenth = int(0.1 * last)
    masts = [LINK["transmitter_height"], LINK["receiver_height"]]
    state: dict[str, Any] = {"pfl": [last, spacing, *heights.tolist()], "hg": masts, "fmhz": mhz}
    state |= {"kwx": 0, "lvar": 5, "mdvarx": 3, "mdvar": 3, "klimx": 0, "klim": 5, "wlos": 0, "wscat": 0}
    system = float(heights[tenth : last - tenth + 1].mean())
    state["wn"], state["gme"], state["ens"], state["zgnd"] = qlrps(mhz, system, 301.0, 1, 15.0, 0.005)
    excess, _ = avar(0.0, 0.0, 0.0, qlrpfl(state))
    return 32.45 + 20 * math.log10(mhz * last * spacing / 1e3) + excess


def rows(*, quick: bool) -> Iterator[Row]:
    """One row: paths a second."""
    from twinkit.radio import longley_rice

    count, few = (20_000, 100) if quick else (200_000, 400)
    heights, spacing = profiles(count)
    ours = longley_rice(heights, spacing=spacing, **LINK)
    try:
        theirs = np.array([itmlogic_loss(heights[i], float(spacing[i])) for i in range(few)])
    except ImportError:
        (own,) = seconds(lambda _: longley_rice(heights, spacing=spacing, **LINK), rounds=3 if quick else 7)
        yield Row("itm", count / own, math.nan, "itmlogic", "paths/s", "higher")
        return
    off = np.abs(ours[:few] - theirs)
    if np.quantile(off, 0.95) > 0.05:
        raise ValueError(
            f"twinkit and itmlogic differ by {np.quantile(off, 0.95):.3f} dB: they do not do the same work"
        )
    own, other = seconds(
        lambda _: longley_rice(heights, spacing=spacing, **LINK),
        lambda _: [itmlogic_loss(heights[i], float(spacing[i])) for i in range(few)],
        rounds=3 if quick else 7,
    )
    yield Row("itm", count / own, few / other, "itmlogic", "paths/s", "higher")


if __name__ == "__main__":
    main(rows)
