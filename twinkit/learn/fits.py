"""Fits that do not wait for each other."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["side_by_side"]

Given = TypeVar("Given")
Made = TypeVar("Made")


def side_by_side(fit: Callable[[Given], Made], given: Iterable[Given]) -> list[Made]:
    """Independent fits, one on each core, in the order given.

    Trees that are grown by all cores at once wait at every node for the slowest: beside other work on the machine one
    fit takes ten times as long. So each fit keeps to one core, and several run at once.

    Parameters
    ----------
    fit : function of one argument
        It changes nothing that another one reads.
    given : iterable

    Returns
    -------
    list

    Examples
    --------
    >>> side_by_side(lambda n: n * n, range(4))
    [0, 1, 4, 9]
    """
    from threadpoolctl import threadpool_limits

    def alone(one: Given) -> Made:
        with threadpool_limits(1, user_api="openmp"):
            return fit(one)

    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as cores:
        return list(cores.map(alone, given))
