r"""Antenna pattern files of planning tools (MSI, Planet), read with distrust, and the gain between their two cuts.

A file holds the loss below the maximum along the horizontal and along the vertical cut. Vertical angles run from
the horizon ahead downwards: 90 degree is the ground below the mast, 180 the horizon behind, 270 the zenith.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import numba
import numpy as np
import xarray as xr

from twinkit.contract import physics
from twinkit.error import TwinError
from twinkit.radio.antenna import tilted
from twinkit.radio.elementwise import mapped, over

__all__ = ["DIPOLE", "antenna_pattern", "pattern_gain"]

DIPOLE = 2.15
"""Gain of a half-wave dipole over the isotropic antenna [dB]: dBi = dBd + 2.15."""

_MOST_BYTES = 10_000_000
_MOST_ROWS = 36_000  # a hundredth of a degree
_NUMBER = r"[+-]?\d+(?:[.,]\d+)?(?:[eE][+-]?\d+)?"
_CUTS = ("HORIZONTAL", "VERTICAL")


def antenna_pattern(file: str | Path, *, gain_unit: str | None = None) -> xr.Dataset:
    r"""Read an MSI or Planet antenna file.

    Parameters
    ----------
    file : path
    gain_unit : {"dBi", "dBd"}, optional
        For a file whose GAIN has no unit. Planet means dBd then, other tools dBi: 2.15 dB are not guessed.

    Returns
    -------
    Dataset
        horizontal_loss (azimuth) and vertical_loss (depression) [dB] below the maximum, over 0 to 360 degree;
        attributes gain [dBi] and, where the file has them, name, make, frequency [Hz], electrical_tilt [degree],
        polarisation and comment.

    Validity
    --------
    One pattern a file; losses, not gains, in the rows.

    Errors
    ------
    TwinError
        With the line: a block that is missing, twice there or not as long as it says, an angle or a loss that is no
        number or out of range, angles out of order, a gain without a unit, a file that is no text or too large.

    Examples
    --------
    >>> import tempfile
    >>> rows = [f"{a} {min(12 * (min(a, 360 - a) / 65) ** 2, 30):.1f}" for a in range(360)]
    >>> text = "\n".join(["NAME Example", "GAIN 15 dBd", "HORIZONTAL 360", *rows, "VERTICAL 360", *rows])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "example.msi"
    ...     _ = path.write_text(text)
    ...     pattern = antenna_pattern(path)
    >>> pattern.attrs["gain"]
    17.15
    >>> round(float(pattern_gain(32.5, 0, pattern=pattern)), 2)
    14.15

    References
    ----------
    Planet antenna format, as vendors of base station antennas publish it.
    """
    path = Path(file)
    lines = _lines(path)
    if gain_unit not in (None, "dBi", "dBd"):
        raise TwinError("gain_unit 'dBi' or 'dBd'", found=repr(gain_unit), hint="see the vendor's data sheet")
    header: dict[str, tuple[int, str]] = {}
    cuts: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    at = 0
    while at < len(lines):
        key, _, rest = lines[at].strip().partition(" ")
        word = key.upper().rstrip(":=")
        if word in _CUTS:
            if word in cuts:
                raise _wrong(path, at, f"one {word} block", "a second one", "keep one pattern in a file")
            cuts[word], at = _block(path, lines, at, word, rest.strip())
            continue
        if key:
            if re.fullmatch(_NUMBER, key):
                raise _wrong(path, at, "a key word", f"'{lines[at].strip()[:40]}'", "let blocks be as long as they say")
            header.setdefault(word, (at, rest.strip()))
        at += 1
    for word in _CUTS:
        if word not in cuts:
            raise TwinError(
                f"a {word} block", found="none in the file", hint="export both cuts of the antenna", where=str(path)
            )
    attributes: dict[str, Any] = {"gain": _gain(path, header, gain_unit), "units": "dB"}
    for word, name in (("NAME", "name"), ("MAKE", "make"), ("POLARIZATION", "polarisation"), ("COMMENT", "comment")):
        if word in header:
            attributes[name] = header[word][1]
    attributes |= _optional(header)
    (azimuth, across), (depression, along) = cuts["HORIZONTAL"], cuts["VERTICAL"]
    return xr.Dataset(
        {
            "horizontal_loss": ("azimuth", across, {"units": "dB"}),
            "vertical_loss": ("depression", along, {"units": "dB"}),
        },
        {
            "azimuth": ("azimuth", azimuth, {"units": "degree"}),
            "depression": ("depression", depression, {"units": "degree"}),
        },
        attributes,
    )


def _wrong(path: Path, line: int, expected: str, found: str, hint: str) -> TwinError:
    return TwinError(expected, found=found, hint=hint, where=f"{path}, line {line + 1}")


def _lines(path: Path) -> list[str]:
    try:
        size = path.stat().st_size
        content = b"" if size > _MOST_BYTES else path.read_bytes()
    except (OSError, ValueError) as error:
        said = getattr(error, "strerror", None) or str(error)
        raise TwinError("an antenna file", found=said, hint="check the path", where=str(path)) from None
    if size > _MOST_BYTES:
        raise TwinError(
            "an antenna file below 10 MB", found=f"{size / 1e6:.0f} MB", hint="give one pattern", where=str(path)
        )
    if not content.strip() or b"\0" in content:
        what = "a binary file" if content.strip() else "an empty file"
        raise TwinError("a text file", found=what, hint="export the pattern as MSI or Planet text", where=str(path))
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("latin-1")  # vendors' names and degree signs
    # not splitlines: a stray form feed or a latin-1 control sign is no new line
    return re.sub(r"[\t\x0b\x0c ]+", " ", text.replace("\r\n", "\n").replace("\r", "\n")).split("\n")


def _number(text: str) -> float:
    """The number that a token is, decimal commas too; NaN where it is none."""
    return float(text.replace(",", ".")) if re.fullmatch(_NUMBER, text) else math.nan


def _block(
    path: Path, lines: list[str], start: int, word: str, length: str
) -> tuple[tuple[np.ndarray, np.ndarray], int]:
    """Angles and losses of one cut, closed over 360 degree, and the line after it."""
    if not re.fullmatch(r"\d{1,6}", length) or not 2 <= int(length) <= _MOST_ROWS:
        hint = f"write {word} and the number of rows that follow"
        raise _wrong(path, start, f"{word} and a number of rows from 2 to {_MOST_ROWS}", f"'{length[:40]}'", hint)
    rows: list[tuple[float, float]] = []
    at = start + 1
    while at < len(lines):
        tokens = lines[at].replace(";", " ").split()
        if tokens and not re.fullmatch(_NUMBER, tokens[0]):
            break
        if tokens:
            values = [_number(t) for t in tokens]
            if len(values) != 2 or not all(map(math.isfinite, values)):
                raise _wrong(path, at, "an angle and a loss", f"'{lines[at].strip()[:40]}'", "write '12 0.5'")
            if not -180 <= values[0] <= 360:
                raise _wrong(path, at, "an angle from -180 to 360 degree", f"{values[0]:g}", "correct the row")
            if not 0 <= values[1] <= 200:
                hint = "rows hold the loss below the maximum, as a positive number"
                raise _wrong(path, at, "a loss from 0 to 200 dB", f"{values[1]:g}", hint)
            rows.append((values[0], values[1]))
            if len(rows) > int(length):
                raise _wrong(path, at, f"{length} rows under {word}", "more of them", "correct the number or the rows")
        at += 1
    if len(rows) != int(length):
        found = f"{len(rows)} before the block ends"
        raise _wrong(path, at - 1, f"{length} rows under {word}", found, "the file is cut off, or the number is wrong")
    angle, loss = np.array(rows).T
    if (np.diff(angle) <= 0).any():
        bad = int(np.flatnonzero(np.diff(angle) <= 0)[0]) + 1
        raise _wrong(
            path,
            start + 1 + bad,
            f"growing angles under {word}",
            f"{angle[bad]:g} after {angle[bad - 1]:g}",
            "sort them",
        )
    if angle[-1] - angle[0] > 360:
        raise _wrong(path, start, "angles over at most 360 degree", f"{angle[0]:g} to {angle[-1]:g}", "drop the rest")
    if angle[-1] - angle[0] == 360:
        if abs(loss[0] - loss[-1]) > 0.5:
            found = f"{loss[0]:g} and {loss[-1]:g} dB"
            raise _wrong(path, at - 1, "the same loss at both ends of the circle", found, "correct one of them")
        angle, loss = angle[:-1], loss[:-1]
    gaps = np.diff(np.append(angle, angle[0] + 360))
    if gaps.max() > 45:
        found = f"{gaps.max():g} degree without a row"
        raise _wrong(path, start, f"the whole circle under {word}", found, "export the whole cut, 0 to 359 degree")
    turned = angle % 360.0
    order = np.argsort(turned)
    turned, loss = turned[order], loss[order]
    return (turned, loss), at


def _gain(path: Path, header: dict[str, tuple[int, str]], unit: str | None) -> float:
    if "GAIN" not in header:
        raise TwinError("a GAIN", found="none in the file", hint="add 'GAIN 17.5 dBi'", where=str(path))
    line, text = header["GAIN"]
    match = re.fullmatch(rf"({_NUMBER}) ?(dB[id])?\b.*", text, re.IGNORECASE)
    value = _number(match[1]) if match else math.nan
    if match is None or not -30 <= value <= 60:
        raise _wrong(path, line, "a gain from -30 to 60 dBi or dBd", f"'{text[:40]}'", "write 'GAIN 17.5 dBi'")
    stated = (match[2] or "").lower()
    if not stated and unit is None:
        hint = "give gain_unit='dBd' (Planet's own) or gain_unit='dBi', as the data sheet says"
        raise _wrong(path, line, "a gain with its unit", f"'{text[:40]}'", hint)
    if stated and unit is not None and stated != unit.lower():
        raise _wrong(path, line, f"a gain in {unit}, as asked", f"'{text[:40]}'", "leave gain_unit out")
    return round(value + (DIPOLE if (stated or str(unit).lower()) == "dbd" else 0.0), 6)


def _optional(header: dict[str, tuple[int, str]]) -> dict[str, float]:
    """Frequency and tilt where they are plain numbers: a range or a remark is left alone."""
    found = {}
    frequency = re.fullmatch(rf"({_NUMBER}) ?(MHz)?", header.get("FREQUENCY", (0, ""))[1], re.IGNORECASE)
    if frequency and _number(frequency[1]) > 0:
        found["frequency"] = _number(frequency[1]) * 1e6
    for word in ("ELECTRICAL_TILT", "TILT"):
        tilt = _number(header.get(word, (0, ""))[1])
        if math.isfinite(tilt):
            found["electrical_tilt"] = tilt
            break
    return found


# ---------------------------------------------------------------- gain between the cuts


@numba.njit(nogil=True, cache=True)
def _seen_azimuth(azimuth: float, elevation: float, downtilt: float) -> float:
    return tilted(azimuth, elevation, downtilt)[0]


@numba.njit(nogil=True, cache=True)
def _seen_elevation(azimuth: float, elevation: float, downtilt: float) -> float:
    return tilted(azimuth, elevation, downtilt)[1]


_azimuth, _elevation = mapped(_seen_azimuth), mapped(_seen_elevation)


@physics(
    gives="gain",
    valid={"elevation": (-90.0, 90.0), "downtilt": (-90.0, 90.0)},
    azimuth="degree",
    elevation="degree",
    downtilt="degree",
)
def pattern_gain(azimuth: Any, elevation: Any, *, pattern: xr.Dataset, downtilt: Any = 0.0) -> Any:
    r"""Gain of a measured pattern in any direction, interpolated between its two cuts.

    .. math::
        G = G_0 - A_h(\varphi) - (1 - \tfrac{|\varphi|}{180°}) \left(A_v(-\theta) - A_h(0)\right)
            - \tfrac{|\varphi|}{180°} \left(A_v(180° + \theta) - A_h(180°)\right)

    Parameters
    ----------
    azimuth : float, array or DataArray [degree]
        Off boresight, clockwise positive.
    elevation : float, array or DataArray [degree]
        Above the horizon.
    pattern : Dataset
        What `antenna_pattern` gives.
    downtilt : float, array or DataArray [degree]
        Mechanical, beside the electrical one that the pattern already holds.

    Returns
    -------
    float, array or DataArray [dBi]
        At most the pattern's gain.

    Validity
    --------
    Exact on the vertical cut, before and behind the antenna, and on the horizontal one where the two agree at their
    crossings; between them an interpolation.

    Errors
    ------
    TwinError
        A Dataset that is no pattern, an angle outside its range or in another unit.

    Examples
    --------
    See `antenna_pattern`.

    References
    ----------
    F. Gil et al., "A 3D interpolation method for base-station-antenna radiation patterns", IEEE Antennas and
    Propagation Magazine 43 (2001).
    """
    missing = {"horizontal_loss", "vertical_loss"} - set(pattern) if isinstance(pattern, xr.Dataset) else {"Dataset"}
    if missing or "gain" not in pattern.attrs:
        raise TwinError(
            "an antenna pattern",
            found=f"no {', '.join(sorted(missing)) or 'gain'}",
            hint="read one with tk.radio.antenna_pattern",
            where="pattern",
        )
    ring, across = pattern["azimuth"].values, pattern["horizontal_loss"].values
    wheel, along = pattern["depression"].values, pattern["vertical_loss"].values
    ahead, behind = np.interp([0.0, 180.0], ring, across, period=360)
    gain = float(pattern.attrs["gain"])

    def block(a: np.ndarray, e: np.ndarray, t: np.ndarray) -> np.ndarray:
        seen = np.asarray(_azimuth(a, e, t))
        up = np.asarray(_elevation(a, e, t))
        share = np.abs((seen + 180.0) % 360.0 - 180.0) / 180.0
        loss = np.interp(seen, ring, across, period=360)
        loss = loss + (1.0 - share) * (np.interp(-up, wheel, along, period=360) - ahead)
        loss = loss + share * (np.interp(180.0 + up, wheel, along, period=360) - behind)
        return gain - np.maximum(loss, 0.0)

    return over(block, azimuth, elevation, downtilt)
