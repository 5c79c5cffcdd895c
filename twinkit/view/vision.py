"""Colours as people with another colour vision see them, and how far apart they look."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from twinkit.error import TwinError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["VISIONS", "colours_apart", "lightness", "seen_colours"]

VISIONS = ("typical", "protanopia", "deuteranopia", "tritanopia", "grey")
"""Colour visions: about one man in twelve has a form of the second or third; grey is a print or a dim screen."""

# Machado, Oliveira and Fernandes (2009), severity 1.0, on linear sRGB
_SEEN = {
    "protanopia": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "deuteranopia": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)),
    "tritanopia": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.303900)),
}
# IEC 61966-2-1: linear sRGB to CIE XYZ, whose white is D65
_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)


def seen_colours(colours: Iterable[str], *, vision: str) -> list[str]:
    """Colours as somebody with this colour vision sees them.

    Parameters
    ----------
    colours : iterable of str
        ``"#RRGGBB"``.
    vision : str
        One of `VISIONS`.

    Returns
    -------
    list of str

    Validity
    --------
    Of a simulation for the complete form (severity 1); most people have a weaker one.

    Errors
    ------
    TwinError
        A colour that is none, or an unknown vision.

    Examples
    --------
    >>> seen_colours(["#FF0000", "#00A000"], vision="deuteranopia")
    ['#A39000', '#958521']

    References
    ----------
    G. M. Machado, M. M. Oliveira, L. A. F. Fernandes, A Physiologically-based Model for Simulation of Color Vision
    Deficiency, IEEE TVCG 15(6), 2009, the matrices of severity 1.0.
    """
    linear = _changed(_linear(colours), vision)
    back = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * np.maximum(linear, 0.0031308) ** (1 / 2.4) - 0.055)
    return ["#" + "".join(f"{v:02X}" for v in row) for row in np.rint(255 * np.clip(back, 0, 1)).astype(int)]


def colours_apart(colours: Iterable[str], *, vision: str) -> float:
    r"""The least difference between any two of the colours, as this vision sees them.

    .. math:: \Delta E^*_{ab} = \sqrt{\Delta L^{*2} + \Delta a^{*2} + \Delta b^{*2}}

    Parameters
    ----------
    colours : iterable of str
        Two or more.
    vision : str

    Returns
    -------
    float [1]
        About 2.3 is just seen between two surfaces side by side; a legend needs several times that.

    Errors
    ------
    TwinError
        As `seen_colours`; fewer than two colours.

    Examples
    --------
    >>> red_and_green = ["#D62728", "#2CA02C"]
    >>> [round(colours_apart(red_and_green, vision=v)) for v in ("typical", "deuteranopia")]
    [120, 7]

    References
    ----------
    ISO/CIE 11664-4:2019, equations for CIE 1976 L*a*b*.
    """
    lab = _lab(_changed(_linear(colours), vision))
    if len(lab) < 2:
        raise TwinError("two colours or more", found=str(len(lab)), hint='["#0072B2", "#D55E00"]', where="colours")
    apart = np.sqrt(((lab[:, None] - lab[None]) ** 2).sum(-1))
    return float(apart[np.triu_indices(len(lab), 1)].min())


def lightness(colours: Iterable[str]) -> np.ndarray:
    """How light each colour looks, 0 (black) to 100 (white): what a grey print leaves of it.

    Parameters
    ----------
    colours : iterable of str

    Returns
    -------
    ndarray [1]
        L* of CIE 1976. A scale for numbers rises or falls all the way, or the eye sees edges that are not there.

    Errors
    ------
    TwinError
        A colour that is none.

    Examples
    --------
    >>> lightness(["#000000", "#777777", "#FFFFFF"]).round().tolist()
    [0.0, 50.0, 100.0]

    References
    ----------
    ISO/CIE 11664-4:2019.
    """
    return np.asarray(_lab(_linear(colours))[:, 0])


def _linear(colours: Iterable[str]) -> np.ndarray:
    rows = []
    for colour in colours:
        if not isinstance(colour, str) or not re.fullmatch("#[0-9A-Fa-f]{6}", colour):
            raise TwinError("colours as '#RRGGBB'", found=repr(colour), hint="'#0072B2'", where="colours")
        rows.append([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    values = np.array(rows).reshape(-1, 3)
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def _changed(linear: np.ndarray, vision: str) -> np.ndarray:
    if vision not in VISIONS:
        raise TwinError(f"one of {', '.join(VISIONS)}", found=repr(vision), hint="'deuteranopia'", where="vision")
    if vision == "typical":
        return linear
    if vision == "grey":
        return np.repeat((linear @ _XYZ[1])[:, None], 3, axis=1)
    return np.clip(linear @ np.array(_SEEN[vision]).T, 0, 1)


def _lab(linear: np.ndarray) -> np.ndarray:
    relative = linear @ _XYZ.T / _XYZ.sum(axis=1)
    edge = 6 / 29
    root = np.where(relative > edge**3, np.cbrt(relative), relative / (3 * edge**2) + 4 / 29)
    x, y, z = root.T
    return np.column_stack([116 * y - 16, 500 * (x - y), 200 * (y - z)])
