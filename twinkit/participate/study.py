"""From what citizens say to branches of the stored twin: a site where a proposal asks for one, a layer of wishes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from twinkit.error import TwinError

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    import xarray as xr

    from twinkit.participate.pin import Pin
    from twinkit.participate.register import Register

__all__ = ["BRANCH", "study", "weigh"]

BRANCH = "wishes"
"""Of the layer of wishes."""


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
        Of a proposal that is shown; one that was studied is studied anew.
    path_loss : function
        As for `twinkit.radio.coverage`.
    by : str
        The planner.
    threshold : float [dBm]
        From this level on a person is reached.

    Returns
    -------
    Pin
        Studied, with the figures ``people gained``, and of the proposal's square ``people in the square``, how many of
        them are ``reached now`` and ``reached then``; the branch is ``proposal-<number>``.

    Errors
    ------
    TwinError
        No such proposal, one that is decided, a twin of another region, and as `twinkit.store.save`.
    """
    from twinkit import plan
    from twinkit.radio.coverage import coverage

    pin = register.pin(number)
    if pin.subject != "proposal" or pin.state not in ("received", "studied"):
        raise TwinError(
            "a proposal that is shown and not decided", found=f"{pin.subject}, {pin.state}", hint="moderate it"
        )
    twin = _of_the_region(register, store)
    x, y = register._middle(pin.square)
    spots = plan.candidates(twin, spacing=register.choices["square"])
    away = np.hypot(spots["x"].values - x, spots["y"].values - y)
    spot = spots.isel(candidate=[int(np.argmin(away))]).compute()
    if float(away.min()) > register.choices["square"]:
        raise TwinError("a proposal on the twin's surface", found="none near it", hint="is this the region's twin?")
    name = f"proposal-{number}"
    spot = spot.assign_coords(candidate=np.array([name], dtype=object))
    gained = plan.gain(twin, spot, path_loss=path_loss, threshold=threshold)
    reached = coverage(twin, path_loss=path_loss).rsrp > threshold
    figures = _figures(twin, gained, reached, (x, y), register.choices["square"])
    _saved(store, name, twin, plan.built(twin, spot), by, f"a site where proposal {number} asks for one")
    model = getattr(path_loss, "__name__", "a model")
    reason = f"branch {name}; model {model}; reached from {threshold:g} dBm on"
    return register.advance(number, "studied", by=by, reason=reason, figures=figures)


def _figures(
    twin: xr.DataTree, gained: xr.Dataset, reached: xr.DataArray, middle: tuple[float, float], side: float
) -> dict[str, float]:
    """What a study says: of the whole region, and of the square whose people asked."""
    import dask

    people = twin["surface/people"].transpose("y", "x").fillna(0.0)
    inside = (abs(people["x"] - middle[0]) <= side / 2) & (abs(people["y"] - middle[1]) <= side / 2)
    adds = gained["adds"].isel(candidate=0).data.reshape(people.shape)
    here = people.where(inside.transpose("y", "x"), 0.0)
    whole, square, now, more = dask.compute(
        gained["people_gained"].sum().data, here.sum().data, here.where(reached.transpose("y", "x"), 0.0).sum().data,
        (here * adds).sum().data,
    )  # fmt: skip
    figures = {
        "people gained": whole, "people in the square": square, "reached now": now, "reached then": now + more
    }  # fmt: skip
    # people are spread over pixels: whole ones are what a reply can say
    return {name: float(np.round(float(value))) for name, value in figures.items()}


def weigh(register: Register, store: str | os.PathLike[str], *, by: str) -> xr.DataArray:
    """Save what citizens ask for as the layer ``surface/pins`` on the branch ``wishes``, for plans to weigh.

    Only squares that may be published: a store is copied and shared, and nobody should be found by it.

    Parameters
    ----------
    register : Register
    store : path
        The region's twin.
    by : str
        The planner.

    Returns
    -------
    DataArray (y, x) [1]
        As `wished` gives it.

    Errors
    ------
    TwinError
        No square with enough pins, a twin of another region, and as `twinkit.store.save`.
    """
    from twinkit import extend
    from twinkit.participate.weight import wished

    twin = _of_the_region(register, store)
    counts = register.squares()
    if not counts.sizes["square"]:
        raise TwinError(
            f"a square with {register.choices['fewest']} pins", found="none yet", hint="wait until more citizens wrote"
        )
    surface = twin.children["surface"].to_dataset(inherit=False)
    layer = wished(counts["pins"], surface["people"], square=register.choices["square"]).compute()
    with_wishes = extend(twin, surface=surface.assign(pins=layer))
    _saved(store, BRANCH, twin, with_wishes, by, f"{int(counts.pins.sum())} pins of citizens as a layer")
    return layer


def _of_the_region(register: Register, store: str | os.PathLike[str]) -> xr.DataTree:
    from twinkit import store as stores

    twin = stores.open(store)
    if twin.attrs.get("crs") != register.choices["crs"]:
        raise TwinError(
            f"a twin in {register.choices['crs']}",
            found=f"one in {twin.attrs.get('crs')}",
            hint="the register and the store must be of one region",
            where=str(store),
        )
    return twin


def _saved(
    store: str | os.PathLike[str], branch: str, opened: xr.DataTree, made: xr.DataTree, by: str, message: str
) -> None:
    """Save on a branch, which begins where `made` was opened. The message never repeats a citizen's words.

    History does not forget, and citizens may ask to be forgotten.
    """
    from twinkit import store as stores

    start = None if branch in stores.branches(store) else opened.encoding["head"]
    stores.save(made, store, branch=branch, author=by, message=message, start=start)
