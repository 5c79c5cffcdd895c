"""Dashboards: the twin for people who do not read arrays.

``tk.view.dashboard("town.twin", app="plan")`` is one app in a notebook cell; ``twinkit dashboard town.twin`` serves
them all, with who may do what. An app is one function that takes a `Session` and gives what Panel shows.
"""

from __future__ import annotations

import importlib
import sys
import types
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twinkit.error import TwinError, close_to

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["APPS", "app_of", "dashboard"]

APPS = {
    "plan": "twinkit.view.dashboard.plan.app",
    "operate": "twinkit.view.dashboard.operate.app",
    "withstand": "twinkit.view.dashboard.withstand.app",
}
"""Name → dotted path of a function of a `Session`."""


def dashboard(
    store: str | Path | xr.DataTree, *, app: str = "plan", language: str = "en", role: str = "administrator"
) -> Any:
    """One app on one twin, for a notebook cell or for Panel to serve.

    Parameters
    ----------
    store : path or DataTree
        A stored twin; on a twin in memory nothing can be saved.
    app : str
        plan, operate or withstand.
    language : str
        en, hi, fr or fa.
    role : str
        viewer, citizen, planner, moderator or administrator: in a notebook of your own you are the last.

    Returns
    -------
    panel Viewable

    Errors
    ------
    TwinError
        An unknown app, role or language, a store that does not open, or Panel is not installed.

    Examples
    --------
    >>> dashboard("town.twin", app="plam")
    Traceback (most recent call last):
    ...
    twinkit.error.TwinError: app: expected one of plan, operate, withstand; found 'plam'. Try: did you mean 'plan'?
    """
    from twinkit.view.dashboard.session import Session

    made = app_of(app)
    if isinstance(store, str | Path):
        session = Session(store, language=language, role=role)
        _ = session.twin  # what is wrong with the store is said in the cell, not on a page
    else:
        session = Session(twin=store, language=language, role=role)
    need().extension(inline=True)
    return made(session)


def need() -> Any:
    """Panel, or one message that says what to install."""
    try:
        import panel as pn
    except ImportError:
        raise TwinError(
            "Panel, which shows the dashboards",
            found="no module 'panel'",
            hint='install the extra: pip install "twinkit[view]"',
        ) from None
    return pn


def app_of(name: str) -> Any:
    """The function of an app: a `Session` → what Panel shows; by its name, or a dotted path to one of yours."""
    module, _, function = APPS.get(name, name if isinstance(name, str) else "").rpartition(".")
    if not module:
        near = close_to(str(name), APPS)
        raise TwinError(
            f"one of {', '.join(APPS)}",
            found=repr(name),
            hint=f"did you mean {near}?" if near else "choose one of them, or give the dotted path of yours",
            where="app",
        )
    need()
    try:
        return getattr(importlib.import_module(module), function)
    except (ModuleNotFoundError, AttributeError) as fault:
        raise TwinError(
            "the dotted path of a function of a session",
            found=f"{name!r}: {fault}",
            hint="my_apps.mine, with my_apps.py in the folder of now or on PYTHONPATH",
            where="app",
        ) from None


class _Callable(types.ModuleType):
    """The module is the verb, too: importing one of its files would else put it where the function was."""

    def __call__(self, *given: Any, **choices: Any) -> Any:
        return dashboard(*given, **choices)


sys.modules[__name__].__class__ = _Callable
