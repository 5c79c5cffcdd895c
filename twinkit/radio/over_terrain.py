"""Path loss models that look at the terrain between the antennas, as coverage asks them.

Three kinds fit: `p1812`, whose kernels walk whole rasters; a model of ``heights`` and ``spacing``, which takes many
paths at once, as `longley_rice` does; and one of ``profile``, which is asked path by path. `exact` gives every
receiver a profile of its own; `sweep` takes profiles along radials.

All positions are counted from the map's corner in numbers short enough for exact arithmetic, so that a pixel's loss
does not depend on the tile in which it is computed.
"""

from __future__ import annotations

import inspect
import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numba
import numpy as np
import xarray as xr

from twinkit.contract import within
from twinkit.error import TwinError
from twinkit.radio.best_server import QUANTITIES, Model, Network, asked, left, level_is_least, named
from twinkit.radio.free_space import SPEED_OF_LIGHT
from twinkit.radio.itm import longley_rice
from twinkit.radio.itu1812.area import Raster, exact, raster, sweep
from twinkit.radio.itu1812.path import STANDARD_GRADIENT, STANDARD_REFRACTIVITY, p1812
from twinkit.radio.itu1812.profile import INLAND, LEAST_LENGTH
from twinkit.radio.terrain import height_at

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["BEYOND", "NEAR", "VALID", "Relief", "needs_terrain", "relief_of"]

VALID, NEAR, BEYOND = 0, 1, 2
"""Flags of validity: the model's own loss, that of the near model, no cell within reach."""

TERRAIN = ("profile", "heights", "spacing", "latitude")
"""What a model may ask for beside the quantities of every path loss."""

# Distance [m] at which a model begins, where it does not say so itself.
LEAST = {p1812: LEAST_LENGTH, longley_rice: 1000.0}
# Longest step of a profile [m]: the shortest path of P.1812 then has the five steps that it needs.
STEP = 50.0
# Paths of one batch have the same number of steps, a multiple of this.
GRAIN = 8
# Heights held at once for one batch of paths.
MOST = 4_000_000
SET_BY_COVERAGE = {
    *("surface", "transmitter", "transmitter_height", "receiver_height", "frequency", "latitude", "x", "y", "radius"),
    *("near", "threads"),
}


def needs_terrain(path_loss: Any) -> bool:
    """Whether a model asks for the ground between the antennas."""
    try:
        return bool({"profile", "heights"} & set(inspect.signature(path_loss).parameters))
    except (TypeError, ValueError):
        return False


@dataclass(frozen=True)
class Relief(Model):
    """A model over terrain; `on` binds it to a piece of ground and to a rectangle of its pixels.

    Attributes
    ----------
    paths : function
        `exact` or `sweep`, possibly with choices set by `functools.partial`.
    near : function
        Gives the loss nearer than `least` [m].
    farthest : float [m]
        Beyond it no cell is heard.
    latitude : float [degree]
    axes : (y, x) of the whole map [m]
    """

    paths: Any = exact
    near: Any = None
    farthest: float = math.inf
    least: float = LEAST_LENGTH
    latitude: float = 0.0
    axes: tuple[np.ndarray, np.ndarray] = field(default_factory=lambda: (np.empty(0), np.empty(0)))
    terrain: Raster | None = None
    rows: np.ndarray = field(default_factory=lambda: np.empty(0))
    columns: np.ndarray = field(default_factory=lambda: np.empty(0))

    def reach(self, quantity: str) -> tuple[float, float]:
        """Every path on the map up to `farthest`: nearer ones have the near model."""
        return (0.0, self.farthest if quantity == "ground_distance" else math.inf)

    @property
    def pixel(self) -> float:
        """Spacing of the map [m] in twenty bits, a millionth from the true one."""
        x = self.axes[1]
        mantissa, exponent = math.frexp((x[-1] - x[0]) / (x.size - 1))
        return math.ldexp(round(mantissa * 2**20), exponent - 20)

    def step(self) -> float:
        """Longest step of a profile [m]."""
        chosen = getattr(self.paths, "keywords", {}).get("step", min(self.pixel, STEP))
        within(chosen, 1.0, 1000.0, name="step", unit="m")
        return float(chosen)

    def radials(self) -> int:
        """Around the circle: one pixel apart at the farthest pixel that a mast may reach."""
        y, x = self.axes
        most = min(self.farthest, math.hypot(x[-1] - x[0], y[-1] - y[0]) + self.pixel)
        spread = math.ceil(2.0 * math.pi * most / self.pixel)
        chosen = getattr(self.paths, "keywords", {}).get("radials") or min(max(spread, 4), 1_000_000)
        within(chosen, 4, 1_000_000, name="radials", unit="1")
        return int(chosen)

    def assumed(self) -> str:
        """What is assumed of ground and air between the antennas, in words."""
        said = f"profiles of bilinear ground in steps of at most {self.step():g} m"
        if getattr(self.paths, "func", self.paths) is sweep:
            said += f" along {self.radials()} radials"
        if math.isfinite(self.farthest):
            said += f"; cells farther than {self.farthest:g} m are silent"
        if not self._raster_model():
            return said
        choices = getattr(self.function, "keywords", {})
        said += f"; latitude {self.latitude:.2f} degree"
        if choices.get("refractivity_gradient") is None:
            said += f"; refractivity gradient {STANDARD_GRADIENT:g} N-units/km (effective earth 4/3)"
        if choices.get("surface_refractivity") is None:
            said += f"; surface refractivity {STANDARD_REFRACTIVITY:g} N-units"
        return said

    def defaults(self) -> str:
        """What the model takes of itself; over a raster `p1812` takes fewer choices than on one path."""
        given = {*QUANTITIES, *TERRAIN, "details"}
        if self._raster_model():
            given |= set(inspect.signature(p1812).parameters) - set(inspect.signature(exact).parameters)
        return left(self.function, given)

    def halo(self) -> int | None:
        """How many pixels about a tile its masts and paths may lie; None for the whole map."""
        return None if math.isinf(self.farthest) else math.ceil(self.farthest / self.pixel) + 2

    def ground(self, corner: tuple[int, int], **layers: Any) -> Raster:
        """A piece of terrain whose first pixel is `corner` (row, column) of the map."""
        shape = layers["ground_height"].shape
        local = {d: self.pixel * (corner[k] + np.arange(shape[k])) for k, d in enumerate(("y", "x"))}
        known = {n: (("y", "x"), np.asarray(v)) for n, v in layers.items() if v is not None}
        return raster(xr.Dataset(known, local), zone=None if "zone" in known else INLAND)

    def on(self, terrain: Raster, rows: np.ndarray, columns: np.ndarray) -> Relief:
        """The same for the pixels of some rows and columns of the map."""
        return replace(self, terrain=terrain, rows=self.pixel * rows, columns=self.pixel * columns)

    def place(self, x: float, y: float) -> tuple[float, float]:
        """A point of the map [m] from its corner, on a grid of 1/4096 pixel."""
        corner = self.axes[1][0], self.axes[0][0]
        steps = (round((v - c) / self.pixel * 4096) / 4096 for v, c in zip((x, y), corner, strict=True))
        return tuple(self.pixel * s for s in steps)  # type: ignore[return-value]

    def loss(self, ground_distance: np.ndarray, drop: np.ndarray, frequency: float, height: float) -> np.ndarray:  # noqa: ARG002 - the signature of every model
        """The floor: what is left of the loss where no terrain is looked at."""
        floor = self.floor(ground_distance, frequency)
        return np.full(np.shape(ground_distance), -np.inf) if floor is None else floor

    def floor(self, away: np.ndarray, frequency: float) -> np.ndarray | None:
        """P.1812 is never below its loss in line of sight, equations (8), (10) and (69)."""
        if not self._raster_model():
            return None
        percentage = getattr(self.function, "keywords", {}).get("time_percentage", 50.0)
        # a hundredth of a dB for single precision; all of the horizon's focusing
        spare = 2.6 * math.log10(percentage / 50.0) - 0.01
        free = 92.4 + 20.0 * math.log10(frequency / 1e9) + 20.0 * np.log10(np.maximum(away, 1.0) / 1e3) + spare
        return np.where(away < self.least, -np.inf, free)

    def _raster_model(self) -> bool:
        return getattr(self.function, "func", self.function) is p1812

    def losses(
        self,
        network: Network,
        site: int,
        frequency: float,
        away: np.ndarray,
        drop: np.ndarray,
        some: np.ndarray | None,
        needed: np.ndarray | None,
    ) -> np.ndarray:
        """Loss [dB] from a mast to the pixels `some`; +inf where it is not needed."""
        height = float(network.height[site])
        mast = self.place(network.x[site], network.y[site])
        if self._raster_model():
            return self._over_raster(mast, height, frequency, some, needed)
        out = np.full(away.shape, np.inf)
        wanted = np.ones(away.shape, bool) if needed is None else needed
        close = wanted & (away < self.least)
        if close.any():
            out[close] = self._nearby(away[close], drop[close], frequency, height)
        far = np.flatnonzero(wanted & ~close)
        if far.size:
            pixels = far if some is None else some[far]
            row, column = np.divmod(pixels, self.columns.size)
            out[far] = self._at(mast, self.columns[column], self.rows[row], frequency, height)
        return out

    # ------------------------------------------------------------ the raster kernels of P.1812

    def _over_raster(
        self, mast: tuple[float, float], height: float, frequency: float, some: Any, needed: Any
    ) -> np.ndarray:
        shape = self.rows.size, self.columns.size
        wanted = np.zeros(shape, bool)
        flat = wanted.reshape(-1)
        flat[slice(None) if some is None else some] = True if needed is None else needed
        rows, columns = np.flatnonzero(wanted.any(axis=1)), np.flatnonzero(wanted.any(axis=0))
        out = np.full(shape, np.inf)
        at = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
        x, y = self.columns[at[1]], self.rows[at[0]]
        choices = {k: v for k, v in getattr(self.function, "keywords", {}).items() if k not in SET_BY_COVERAGE}
        walked: dict[str, Any] = {"step": self.step()}
        if getattr(self.paths, "func", self.paths) is sweep:
            walked["radials"] = self.radials()
        there = self.paths(
            self.terrain,
            transmitter=mast,
            transmitter_height=height,
            receiver_height=self.receiver_height,
            frequency=frequency,
            latitude=self.latitude,
            x=x,
            y=y,
            # all of the pixels: those out of reach are left out by who asks
            radius=None,
            near=self.near,
            **{**walked, **choices},
        )
        out[at] = there.path_loss.values
        return out.reshape(-1) if some is None else out.reshape(-1)[some]

    # ------------------------------------------------------------ models that take profiles

    def _nearby(self, away: np.ndarray, drop: np.ndarray, frequency: float, height: float) -> np.ndarray:
        apart = np.maximum(away, 1.0)
        given = {
            # no antenna stands in another's near field, where free space would promise a gain
            "distance": np.maximum(np.hypot(apart, drop), SPEED_OF_LIGHT / frequency),
            "ground_distance": apart,
            "frequency": frequency,
            "transmitter_height": height,
            "receiver_height": self.receiver_height,
        }
        names = asked(self.near, QUANTITIES, "near")
        return self.checked(self.near(**{n: given[n] for n in names}), away, frequency)

    def _at(
        self, mast: tuple[float, float], x: np.ndarray, y: np.ndarray, frequency: float, height: float
    ) -> np.ndarray:
        """Losses at points [m from the corner]: with a profile each, or those of the nearest points on radials."""
        away = np.hypot(x - mast[0], y - mast[1])
        if getattr(self.paths, "func", self.paths) is exact:
            return self._along(mast, x, y, away, frequency, height)
        radials, step = self.radials(), self.step()
        turn = np.rint(np.arctan2(y - mast[1], x - mast[0]) * radials / (2.0 * math.pi)).astype(np.int64) % radials
        ring = np.maximum(np.rint(away / step).astype(np.int64), math.ceil(self.least / step))
        key, back = np.unique(turn * 2**32 + ring, return_inverse=True)
        angle, length = (key >> 32) * (2.0 * math.pi / radials), (key & (2**32 - 1)) * step
        node_x, node_y = mast[0] + length * np.cos(angle), mast[1] + length * np.sin(angle)
        found = self._along(mast, node_x, node_y, length, frequency, height)
        # the pixel keeps its own distance
        return found[back] + 20.0 * np.log10(away / length[back])

    def _along(
        self, mast: tuple[float, float], x: np.ndarray, y: np.ndarray, away: np.ndarray, frequency: float, height: float
    ) -> np.ndarray:
        """Losses of one profile each, in batches of as many steps."""
        terrain = self.terrain
        assert terrain is not None  # noqa: S101 - for the type checker: `on` comes first
        steps = GRAIN * np.ceil(away / (GRAIN * self.step()) - 1e-9).astype(np.int64)
        out = np.empty(away.shape)
        tx, ty = terrain.place(*mast)
        px, py = terrain.place(x, y)
        for count in np.unique(steps):
            alike = np.flatnonzero(steps == count)
            for part in np.array_split(alike, math.ceil(alike.size * (count + 1) / MOST)):
                heights = np.empty((part.size, count + 1), np.float32)
                shape = terrain.x.size, terrain.y.size
                _sampled(terrain.ground, *shape, tx, ty, px[part], py[part], heights)
                cover = np.zeros_like(heights)
                if terrain.clutter.size:
                    _nearest(terrain.clutter, *shape, tx, ty, px[part], py[part], cover)
                out[part] = self._asked(heights, cover, away[part], frequency, height)
        return out

    def _asked(
        self, heights: np.ndarray, cover: np.ndarray, away: np.ndarray, frequency: float, height: float
    ) -> np.ndarray:
        steps = heights.shape[1] - 1
        rise = heights[:, -1] + self.receiver_height - heights[:, 0] - height
        given: dict[str, Any] = {
            "heights": heights,
            "spacing": away / steps,
            "distance": np.hypot(away, rise),
            "ground_distance": away,
            "frequency": frequency,
            "transmitter_height": height,
            "receiver_height": self.receiver_height,
            "latitude": self.latitude,
        }
        if "profile" not in self.asks:
            return self.checked(self.function(**{n: given[n] for n in self.asks}), away, frequency)
        found = np.empty(away.shape)
        share = np.linspace(0.0, 1.0, steps + 1)
        zone = np.full(steps + 1, INLAND, np.int8)
        for k in range(away.size):
            layers = {"ground_height": heights[k].astype(float), "clutter_height": cover[k].astype(float), "zone": zone}
            units = {"ground_height": "m", "clutter_height": "m", "zone": "1"}
            one = dict(given, profile=xr.Dataset(
                {n: ("distance", v, {"units": units[n]}) for n, v in layers.items()},
                {"distance": ("distance", away[k] * share, {"units": "m"})},
                {"profile": "checked"},
            ))  # fmt: skip
            one |= {n: float(given[n][k]) for n in ("distance", "ground_distance", "spacing")} | {"heights": heights[k]}
            answer = np.asarray(self.function(**{n: one[n] for n in self.asks}), float)
            if answer.size != 1:
                raise TwinError(
                    "one loss for a profile",
                    found=f"shape {answer.shape}",
                    hint="give a number, or take heights and spacing, which come for many paths at once",
                    where=self.name,
                )
            found[k] = answer.item()
        return self.checked(found, away, frequency)


def relief_of(
    path_loss: Any,
    *,
    receiver_height: float,
    entry: Callable[..., Any] | None,
    paths: Any,
    near: Any,
    farthest: float | None,
    latitude: float,
    axes: tuple[np.ndarray, np.ndarray],
) -> Relief:
    """What a model over terrain asks for, or why it cannot be used.

    Errors
    ------
    TwinError
        A parameter that is unknown or set twice, another way to walk than the two, pixels that are not square.
    """
    asks = asked(path_loss, (*QUANTITIES, *TERRAIN))
    inner = getattr(path_loss, "func", path_loss)
    chosen = getattr(path_loss, "keywords", {})
    asks = tuple(a for a in asks if a not in chosen or a not in TERRAIN)
    way = getattr(paths, "func", paths)
    if way not in (exact, sweep) and inner is not p1812:
        raise TwinError(
            "paths=tk.radio.exact or tk.radio.sweep", found=repr(paths), hint="pass the function itself", where="paths"
        )
    if not callable(paths):
        raise TwinError(
            "paths=tk.radio.exact or tk.radio.sweep", found=repr(paths), hint="pass the function itself", where="paths"
        )
    asked(near, QUANTITIES, "near")
    if inner is p1812:
        takes = set(inspect.signature(paths).parameters)
        strange = sorted(set(chosen) - takes)
        if strange:
            raise TwinError(
                f"choices of P.1812 that hold for a whole map ({', '.join(sorted(takes - SET_BY_COVERAGE))})",
                found=strange[0],
                hint="leave it out: coasts and zones come from surface/zone",
                where="path_loss",
            )
    elif way is sweep and "precision" in getattr(paths, "keywords", {}):
        raise TwinError("precision of P.1812 alone", found=named(inner), hint="leave precision out", where="paths")
    if farthest is not None:
        within(farthest, 1.0, 3e6, name="farthest", unit="m")
    y, x = axes
    if min(x.size, y.size) < 2:
        raise TwinError(
            "terrain of at least two rows and columns", found=f"{y.size} and {x.size}", hint="take a larger region",
            where="surface",
        )  # fmt: skip
    east, north = (x[-1] - x[0]) / (x.size - 1), (y[-1] - y[0]) / (y.size - 1)
    if abs(east - north) > 1e-6 * east:
        raise TwinError(
            "the same spacing along x and y", found=f"{east:g} m and {north:g} m", hint="resample it", where="surface"
        )
    valid = getattr(inner, "valid", {})
    least = LEAST.get(inner, max(valid.get(q, (0.0,))[0] for q in ("distance", "ground_distance")) or LEAST_LENGTH)
    return Relief(
        path_loss,
        asks,
        float(receiver_height),
        valid,
        getattr(inner, "why", ""),
        # a floor that grows with distance, plus what the way in takes
        inner is p1812 and (entry is None or level_is_least(entry)),
        entry,
        paths=paths,
        near=near,
        farthest=math.inf if farthest is None else float(farthest),
        least=least,
        latitude=float(chosen.get("latitude", latitude)),
        axes=axes,
    )


# ---------------------------------------------------------------- profiles of many paths


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _sampled(
    ground: Any, width: int, height: int, tx: float, ty: float, x: Any, y: Any, out: Any
) -> None:  # pragma: no cover - compiled
    """Ground [m] at equal steps from (tx, ty) to each of the points x, y [pixels], both ends included."""
    count = out.shape[1] - 1
    for p in range(out.shape[0]):
        dx, dy = (x[p] - tx) / count, (y[p] - ty) / count
        for k in range(count + 1):
            out[p, k] = height_at(ground, width, height, tx + dx * k, ty + dy * k)


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _nearest(
    clutter: Any, width: int, height: int, tx: float, ty: float, x: Any, y: Any, out: Any
) -> None:  # pragma: no cover - compiled
    """Clutter height [m] of the nearest pixel at the same points; none at the antennas."""
    count = out.shape[1] - 1
    for p in range(out.shape[0]):
        dx, dy = (x[p] - tx) / count, (y[p] - ty) / count
        for k in range(1, count):
            i = min(max(math.floor(tx + dx * k + 0.5), 0), width - 1)
            j = min(max(math.floor(ty + dy * k + 0.5), 0), height - 1)
            out[p, k] = clutter[j * width + i]
