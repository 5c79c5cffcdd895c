"""Where the notebooks lie: in the checkout, or in the installed package."""

from __future__ import annotations

from pathlib import Path

import twinkit
from twinkit.error import TwinError, close_to

__all__ = ["notebook", "notebooks"]


def notebooks() -> Path:
    """The folder of the research notebooks."""
    package = Path(twinkit.__file__).resolve().parent
    for folder in (package.parent / "notebooks", package / "notebooks"):
        if (folder / "coverage.ipynb").is_file():
            return folder
    raise TwinError(
        "the folder of notebooks",
        found="none beside the package or in it",
        hint="install twinkit again, or run from a checkout",
        where=str(package),
    )


def notebook(name: str) -> Path:
    """A notebook by its path, or by the bare name of one of twinkit's own."""
    path = Path(name)
    if path.suffix == ".ipynb" or path.exists():
        return path
    own = notebooks() / f"{name}.ipynb"
    if not own.is_file():
        near = close_to(name, [p.stem for p in notebooks().glob("*.ipynb")])
        raise TwinError(
            "a notebook: a path, or the name of one of twinkit's",
            found=f"'{name}'",
            hint=f"did you mean {near}?" if near else "give the path of an .ipynb file",
        )
    return own
