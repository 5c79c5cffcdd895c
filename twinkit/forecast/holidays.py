"""Holidays, known years ahead: national days by law, Easter by its rule, and what makes them forcing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from twinkit.error import TwinError, close_to

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["REST_DAY", "easter", "holidays"]

FIXED = {
    "BW": ("01-01", "01-02", "05-01", "07-01", "09-30", "12-25", "12-26"),
    "DE": ("01-01", "05-01", "10-03", "12-25", "12-26"),
    "FR": ("01-01", "05-01", "05-08", "07-14", "08-15", "11-01", "11-11", "12-25"),
    "GB": ("01-01", "12-25", "12-26"),
    "IN": ("01-26", "08-15", "10-02"),
    "KE": ("01-01", "05-01", "06-01", "10-20", "12-12", "12-25", "12-26"),
    "RW": ("01-01", "01-02", "02-01", "04-07", "05-01", "07-01", "07-04", "08-15", "12-25", "12-26"),
    "US": ("01-01", "06-19", "07-04", "11-11", "12-25"),
    "ZA": ("01-01", "03-21", "04-27", "05-01", "06-16", "08-09", "09-24", "12-16", "12-25", "12-26"),
}
"""National days on fixed dates (month-day) by country; those that follow the moon are the user's to add."""

EASTER = {
    "BW": (-2, 1, 39),
    "DE": (-2, 1, 39, 50),
    "FR": (1, 39, 50),
    "GB": (-2, 1),
    "KE": (-2, 1),
    "RW": (-2, 1),
    "ZA": (-2, 1),
}
"""Days after Easter Sunday that are holidays, by country."""

REST_DAY = 6
"""Sunday, of days from Monday, 0: whose course a holiday takes. Friday, 4, in Iran."""


def easter(year: int) -> np.datetime64:
    r"""Easter Sunday of the Gregorian calendar.

    .. math:: h = (19 (Y \bmod 19) + b - d - g + 15) \bmod 30,\quad b = \lfloor Y/100 \rfloor

    with d, g the corrections of the century; the Sunday after that full moon.

    Parameters
    ----------
    year : int

    Returns
    -------
    datetime64[D]

    Validity
    --------
    From 1583.

    Errors
    ------
    TwinError
        A year before 1583 or none.

    Examples
    --------
    >>> str(easter(2026))
    '2026-04-05'

    References
    ----------
    J. Meeus, *Astronomical Algorithms*, 2nd edition, chapter 8 (the rule of Butcher's Ecclesiastical Calendar, 1876).
    """
    if isinstance(year, bool) or not isinstance(year, int | np.integer) or not 1583 <= year <= 9999:
        raise TwinError("a year from 1583", found=repr(year), hint="write year=2026", where="year")
    golden, (century, rest) = year % 19, divmod(year, 100)
    leap, left = divmod(century, 4)
    moon = (century - (century + 8) // 25 + 1) // 3
    full = (19 * golden + century - leap - moon + 15) % 30
    week = (32 + 2 * left + 2 * (rest // 4) - full - rest % 4) % 7
    late = (golden + 11 * full + 22 * week) // 451
    month, day = divmod(full + week - 7 * late + 114, 31)
    return np.datetime64(f"{year:04d}-{month:02d}-{day + 1:02d}", "D")


def holidays(country: str, *, years: Iterable[int], more: Iterable[Any] = ()) -> np.ndarray:
    """The national holidays of a country, with those that you add.

    Parameters
    ----------
    country : str
        Two letters of ISO 3166, ``"IN"``; a region of it may follow (``"IN:Shimla"``).
    years : iterable of int
    more : iterable of str or datetime64
        Local dates: a festival that follows the moon, an election, a strike that was announced.

    Returns
    -------
    array of datetime64[D]
        Local dates, ascending, each once.

    Validity
    --------
    Fixed dates and those of Easter, as by law in 2025. Festivals of a moon calendar, of one state or of one city, and
    days in lieu are not in it.

    Errors
    ------
    TwinError
        A country without an entry, or a date that is none.

    Examples
    --------
    >>> holidays("IN", years=[2025], more=["2025-10-20"]).astype(str).tolist()
    ['2025-01-26', '2025-08-15', '2025-10-02', '2025-10-20']
    """
    code = str(country).partition(":")[0].upper()
    if code not in FIXED:
        near = close_to(code, FIXED)
        raise TwinError(
            f"a country among {', '.join(FIXED)}",
            found=f"'{country}'",
            hint=(f"did you mean {near}? Or " if near else "") + "give the dates themselves: holidays=['2026-03-21']",
            where="country",
        )
    out: list[np.datetime64] = []
    for year in years:
        sunday = easter(int(year))
        out += [np.datetime64(f"{int(year):04d}-{date}", "D") for date in FIXED[code]]
        out += [sunday + np.timedelta64(days, "D") for days in EASTER.get(code, ())]
    return np.unique(np.concatenate([np.array(out, "datetime64[D]"), dates(more, where="more")]))


def dates(given: Any, *, where: str = "holidays") -> np.ndarray:
    """Local dates from texts or times."""
    many = list(np.atleast_1d(np.asarray(list(given) if not isinstance(given, np.ndarray) else given)))
    try:
        out = np.array(many, dtype="datetime64[D]")
    except (ValueError, TypeError):
        out = np.array(["NaT"], "datetime64[D]")
    if np.isnat(out).any():
        raise TwinError("dates", found=repr(many[:3]), hint="write them like '2026-08-15'", where=where)
    return np.unique(out)
