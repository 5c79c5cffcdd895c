"""The map of squares that citizens see: where they lie, what they are called, who lives there."""

from __future__ import annotations

import math
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from twinkit.error import TwinError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import xarray as xr

__all__ = ["ACROSS", "Grid", "View", "short"]

ACROSS = 12
"""Squares across the map: each is a link, and a page stays small."""
STEPS = (1.0, 100.0, 1000.0)
"""[people/km²] From each of these on a square is drawn a shade darker."""
EM, LETTER = 13 / 328, 0.55
"""A name's height as a share of the map on the smallest telephone, and a letter's width as a share of that."""
SPOTS = (
    ("start", 0.5, 0.35), ("end", -0.5, 0.35), ("middle", 0.0, -0.5), ("middle", 0.0, 1.3), ("start", 0.2, -0.3),
    ("end", -0.2, -0.3), ("start", 0.2, 1.1), ("end", -0.2, 1.1),
)  # fmt: skip
"""Where a name may stand beside its dot: from where it is written, then heights of it to the right and down."""


@dataclass(frozen=True)
class View:
    """A part of the grid: `wide` by `high` squares from (`first`, `down`), drawn in blocks of `step` squares."""

    first: int
    down: int
    wide: int
    high: int
    step: int


def short(count: int) -> str:
    """A count that fits into a circle.

    >>> short(7), short(999), short(1240), short(52_000)
    ('7', '999', '1.2k', '52k')
    """
    return str(count) if count < 1000 else f"{count / 1000:.1f}k" if count < 10_000 else f"{count // 1000}k"


def _plain(text: str) -> str:
    """A name as a telephone's keyboard types it: without accents and capitals.

    >>> _plain("Rāmpur ")
    'rampur'
    """
    apart = unicodedata.normalize("NFKD", text).casefold()
    return "".join(c for c in apart if unicodedata.category(c) != "Mn" or ord(c) > 0x36F).strip()


class Grid:
    """The squares of a register over its twin: names, neighbours, people."""

    def __init__(self, choices: Mapping[str, Any], twin: xr.DataTree) -> None:
        left, right, low, high = choices["bounds"]
        self.left, self.low, self.side = left, low, float(choices["square"])
        self.columns = max(1, math.ceil((right - left) / self.side - 1e-9))
        self.rows = max(1, math.ceil((high - low) / self.side - 1e-9))
        self.places: list[tuple[str, float, float]] = []
        if "places" in twin.children:
            places = twin.children["places"].to_dataset(inherit=False)
            name, x, y = (places[n].values for n in ("name", "x", "y"))
            order = np.argsort(-places["population"].values) if "population" in places else range(len(name))
            at = ((str(name[i]), float(x[i]), float(y[i])) for i in order)
            self.places = [p for p in at if left <= p[1] <= right and low <= p[2] <= high]
        self.people = self._people(twin)
        self._near: dict[tuple[int, int], str] = {}

    def _people(self, twin: xr.DataTree) -> np.ndarray | None:
        """People in each square (row, column), or None where the twin does not say."""
        if "surface" not in twin.children or "people" not in twin.children["surface"]:
            return None
        layer = twin.children["surface"]["people"].transpose("y", "x")
        row, column = (
            np.clip((np.asarray(layer[d].values, float) - low) // self.side, 0, many - 1).astype(int)
            for d, low, many in (("y", self.low, self.rows), ("x", self.left, self.columns))
        )
        out = np.zeros((self.rows, self.columns))
        np.add.at(out, (row[:, None], column[None, :]), np.nan_to_num(np.asarray(layer.values, float)))
        return out

    # ---------------------------------------------------------------- names

    def name(self, square: tuple[int, int]) -> str:
        """A square as people call it: letters from the west, numbers from the south, as on a chessboard."""
        letters, column = "", square[0] + 1
        while column:
            column, digit = divmod(column - 1, 26)
            letters = chr(65 + digit) + letters
        return f"{letters}{square[1] + 1}"

    def near(self, square: tuple[int, int]) -> str:
        """The place nearest to a square's middle; "" where the twin has none."""
        if square not in self._near:
            x, y = self.left + (square[0] + 0.5) * self.side, self.low + (square[1] + 0.5) * self.side
            by = min(self.places, key=lambda p: math.hypot(p[1] - x, p[2] - y), default=("", x, y))
            self._near[square] = by[0]
        return self._near[square]

    def square(self, text: str) -> tuple[int, int]:
        """The square that an address names as "column,row"; a `TwinError` for anything else."""
        column, comma, row = text.partition(",")
        if comma and column.isascii() and row.isascii() and column.isdigit() and row.isdigit() and len(text) < 16:
            found = int(column), int(row)
            if found[0] < self.columns and found[1] < self.rows:
                return found
        raise TwinError("a square of the map", found="another", hint="choose one on the map", where="square")

    def found(self, words: str, most: int = 8) -> list[tuple[str, tuple[int, int]]]:
        """Places of this name with their squares: the same first, then such as begin with it, then such as hold it."""
        wanted = _plain(words)
        if not wanted:
            return []
        ranked = []
        for order, (name, x, y) in enumerate(self.places):
            plain = _plain(name)
            rank = 0 if plain == wanted else 1 if plain.startswith(wanted) else 2 if wanted in plain else 3
            if rank < 3:
                column = min(int((x - self.left) // self.side), self.columns - 1)
                row = min(int((y - self.low) // self.side), self.rows - 1)
                ranked.append((rank, order, name, (column, row)))
        return [(name, square) for _, _, name, square in sorted(ranked)[:most]]

    # ---------------------------------------------------------------- the picture

    def view(self, corner: tuple[int, ...] | None) -> View:
        """The whole region in blocks, or from a corner on the squares themselves."""
        step = max(1, math.ceil(max(self.columns, self.rows) / ACROSS))
        if corner is None or step == 1:
            return View(0, 0, self.columns, self.rows, step)
        first = min(corner[0], max(0, self.columns - ACROSS))
        down = min(corner[1], max(0, self.rows - ACROSS))
        return View(first, down, min(ACROSS, self.columns), min(ACROSS, self.rows), 1)

    def around(self, square: tuple[int, int]) -> tuple[int, int]:
        """The corner of a view with a square in its middle."""
        return max(0, square[0] - ACROSS // 2), max(0, square[1] - ACROSS // 2)

    def cells(self, view: View, held: Mapping[tuple[int, int], int]) -> list[dict[str, Any]]:
        """Blocks of a view from the north-west on: place and size in percent, people's shade, pins."""
        counts = np.zeros((self.rows, self.columns), int)
        for (column, row), many in held.items():
            counts[row, column] = many
        blocks = self._blocks(view)
        sums = [int(counts[r : r + h, c : c + w].sum()) for c, r, w, h in blocks]
        out = []
        most = max([1, *sums])
        diagonal = math.sqrt((view.wide**2 + view.high**2) / 2)
        for block, pins in zip(blocks, sums, strict=True):
            column, row, width, height = block
            share = math.sqrt(pins / most) if pins else 0.0
            x, y = column - view.first, view.down + view.high - row - height
            out.append({
                "square": (column, row), "shade": self._shade(block), "pins": pins,
                "x": _percent(x / view.wide), "y": _percent(y / view.high),
                "w": _percent(width / view.wide), "h": _percent(height / view.high),
                "cx": _percent((x + width / 2) / view.wide), "cy": _percent((y + height / 2) / view.high),
                # the area of a circle goes with its pins; the smallest still holds its number
                "r": _percent(min(width, height) * (0.34 + 0.14 * share) / diagonal),
            })  # fmt: skip
        return out

    def _blocks(self, view: View) -> list[tuple[int, int, int, int]]:
        rows = range(view.down, view.down + view.high, view.step)
        columns = range(view.first, view.first + view.wide, view.step)
        return [
            (c, r, min(view.step, view.first + view.wide - c), min(view.step, view.down + view.high - r))
            for r in reversed(rows)
            for c in columns
        ]

    def _shade(self, block: tuple[int, int, int, int]) -> int:
        if self.people is None:
            return 0
        column, row, width, height = block
        people = self.people[row : row + height, column : column + width].sum()
        return sum(people / (width * height * (self.side / 1000) ** 2) >= step for step in STEPS)

    def names(self, view: View, cells: list[dict[str, Any]], most: int = 14) -> list[dict[str, Any]]:
        """Names of the largest places of a view, each where it hides neither another name nor a number of pins.

        A name stands at ``x, y`` in percent, moved by ``dx, dy`` times its own height, so that it stays at its dot on
        any screen; a dot that would lie upon a number is left out, and its name stands beside the circle.
        """
        tall = EM * view.wide / view.high
        circles = [
            ((c["cx"] - c["r"]) / 100, (c["cy"] - c["r"]) / 100, 2 * c["r"] / 100, 2 * c["r"] / 100)
            for c in cells if c["pins"]
        ]  # fmt: skip
        taken: list[tuple[float, ...]] = list(circles)
        out: list[dict[str, Any]] = []
        for name, px, py in self.places:
            x = ((px - self.left) / self.side - view.first) / view.wide
            y = 1 - ((py - self.low) / self.side - view.down) / view.high
            if not (0 <= x <= 1 and 0 <= y <= 1):
                continue
            text = name if len(name) <= 18 else f"{name[:17]}…"
            width = EM * LETTER * len(text)
            upon = next((c for c in circles if _meets((x, y, 0.0, 0.0), [c])), None)
            for anchor, dx, dy in SPOTS if upon is None else SPOTS[:4]:
                at = x, y
                if upon is not None:
                    at = (upon[0] + upon[2] * (0.5 + np.sign(dx) / 2),
                          upon[1] + upon[3] * (0.5 if dx else 0.5 + np.sign(dy) / 2))  # fmt: skip
                left = at[0] + dx * EM - {"start": 0, "middle": width / 2, "end": width}[anchor]
                box = (left, at[1] + (dy - 0.9) * tall, width, 1.15 * tall)
                if left > 0 and left + width < 1 and box[1] > 0 and box[1] + box[3] < 1 and not _meets(box, taken):
                    taken += [box, (x - EM / 4, y - tall / 4, EM / 2, tall / 2)]
                    out.append({
                        "name": text, "anchor": anchor, "x": _percent(at[0]), "y": _percent(at[1]), "dx": dx, "dy": dy,
                        "dot": upon is None,
                    })  # fmt: skip
                    break
            if len(out) == most:
                break
        return out

    def scale(self, view: View) -> tuple[float, float]:
        """Length of a scale bar [m] and its share of the map's width in percent."""
        whole = view.wide * self.side
        length = 10 ** math.floor(math.log10(whole / 2))
        length *= max(m for m in (1, 2, 5) if m * length <= whole / 2)
        return length, _percent(length / whole)


def _percent(share: float) -> float:
    return round(100 * share, 2)


def _meets(box: tuple[float, ...], others: Sequence[tuple[float, ...]]) -> bool:
    x, y, w, h = box
    return any(x < u + g and u < x + w and y < v + k and v < y + h for u, v, g, k in others)
