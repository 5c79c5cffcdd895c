"""From a proposal to a what-if: a branch of the stored twin with a site in the proposal's square, and its figures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from twinkit.error import TwinError

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from twinkit.participate.register import Pin, Register

__all__ = ["study"]


def study(
    register: Register,
    store: str | os.PathLike[str],
    number: int,
    *,
    path_loss: Callable[..., Any],
    by: str,
    threshold: float = -105.0,
) -> Pin:
    """Put a site into a proposal's square on a branch of its own, and write down what it would gain.

    Parameters
    ----------
    register : Register
    store : path
        The region's twin.
    number : int
        Of a proposal that is shown.
    path_loss : function
        As for `twinkit.radio.coverage`.
    by : str
        The planner.
    threshold : float [dBm]
        From this level on a person is covered.

    Returns
    -------
    Pin
        Studied, with the figures ``people gained`` and ``people covered of those in the square``; the branch is
        ``proposal-<number>``.

    Errors
    ------
    TwinError
        No such proposal, one that is decided, a twin of another region, and as `twinkit.store.save`.
    """
    from twinkit import plan
    from twinkit import store as stores
    from twinkit.participate import rows

    with register._look() as connection:
        pin = rows.the_pin(connection, number)
    if pin.subject != "proposal" or pin.state not in ("received", "studied"):
        raise TwinError(
            "a proposal that is shown and not decided", found=f"{pin.subject}, {pin.state}", hint="moderate it"
        )
    twin = stores.open(store)
    if twin.attrs.get("crs") != register.choices["crs"]:
        raise TwinError(
            f"a twin in {register.choices['crs']}",
            found=f"one in {twin.attrs.get('crs')}",
            hint="the register and the store must be of one region",
            where=str(store),
        )
    x, y = register._middle(pin.square)
    spots = plan.candidates(twin, spacing=register.choices["square"])
    away = np.hypot(spots["x"].values - x, spots["y"].values - y)
    spot = spots.isel(candidate=[int(np.argmin(away))]).compute()
    if float(away.min()) > register.choices["square"]:
        raise TwinError("a proposal on the twin's surface", found="none near it", hint="is this the region's twin?")
    spot = spot.assign_coords(candidate=np.array([f"proposal-{number}"], dtype=object))
    gained = plan.gain(twin, spot, path_loss=path_loss, threshold=threshold)
    figures = {"people gained": float(gained["people_gained"].sum())}
    name = f"proposal-{number}"
    if name not in stores.branches(store):
        stores.branch(store, name)
    stores.save(
        plan.built(twin, spot),
        store,
        branch=name,
        author=by,
        message=f"a site as proposal {number} asks: {pin.words[:80]}",
    )
    return register.advance(number, "studied", by=by, reason=f"branch {name}", figures=figures)
