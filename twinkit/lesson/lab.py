"""JupyterLab on a ready workspace: the welcome lesson left, its map right.

Learners get copies without answers, made once in ``learn``; what they write there stays.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from twinkit.error import TwinError
from twinkit.lesson.build import copies
from twinkit.lesson.ground import TOWN, ground
from twinkit.lesson.notebook import lessons_in

__all__ = ["start", "workspace"]

LEARN = Path("learn")
MAP = "map.png"
PAGE = "map.md"


def workspace(notebook: str, picture: str) -> dict[str, Any]:
    """A JupyterLab workspace: a notebook left, a page with the map right; paths from the server's folder."""
    left, right = f"notebook:{notebook}", f"markdownviewer-widget:{picture}"
    main = {
        "dock": {
            "type": "split-area",
            "orientation": "horizontal",
            "sizes": [0.6, 0.4],
            "children": [
                {"type": "tab-area", "currentIndex": 0, "widgets": [left]},
                {"type": "tab-area", "currentIndex": 0, "widgets": [right]},
            ],
        },
        "current": left,
    }
    return {
        "data": {
            "layout-restorer:data": {
                "main": main,
                "left": {"collapsed": True, "visible": True, "current": "filebrowser", "widgets": ["filebrowser"]},
                "right": {"collapsed": True, "visible": True, "widgets": []},
            },
            left: {"data": {"path": notebook, "factory": "Notebook"}},
            right: {"data": {"path": picture, "factory": "Markdown Preview"}},
            "file-browser-filebrowser:cwd": {"path": Path(notebook).parts[0]},
        },
        "metadata": {"id": "twinkit"},
    }


def prepared(place: Path, root: Path, *, language: str = "en") -> Path:
    """Learner copies and the map under ``root/learn``; copies that are there already are left as they are.

    Returns
    -------
    Path
        The folder of the copies.
    """
    learn = root / LEARN
    folders = lessons_in(place)
    copies([f for f in folders if not (learn / f.name / "lesson.ipynb").exists()], learn, language=language)
    if not (learn / PAGE).exists():
        from twinkit import view

        try:
            twin = ground("RW:Kigali", seed=1, small=True)
        except TwinError:
            twin = ground(TOWN, seed=1, small=True)
        picture = view.map_of(twin["surface"].to_dataset().people, twin=twin, language=language)
        picture.save(learn / MAP)
        # a page, because JupyterLab's image viewer neither scales a picture nor reads its alt text
        page = f"# {twin.attrs['title']}\n\n![{picture.alt}]({MAP})\n"
        (learn / PAGE).write_text(page, encoding="utf-8")
    return learn


def start(place: Path, *, port: int = 8888, root: Path | None = None, open_browser: bool = True) -> None:
    """Start JupyterLab on the workspace and stay until it is ended (Ctrl+C).

    Parameters
    ----------
    place : Path
        The folder of lessons.
    port : int
    root : Path, optional
        The server's folder; the current one by default.
    open_browser : bool

    Errors
    ------
    TwinError
        The extra ``course`` is missing.
    """
    root = (root or Path()).resolve()
    learn = prepared(place, root)
    first = next(iter(sorted(learn.glob("[0-9][0-9]-*/lesson.ipynb")))).relative_to(root).as_posix()
    said = workspace(first, (learn / PAGE).relative_to(root).as_posix())
    with tempfile.TemporaryDirectory(prefix="twinkit-lab-") as scratch:
        path = Path(scratch) / "workspace.json"
        path.write_text(json.dumps(said), encoding="utf-8")
        run = [sys.executable, "-m", "jupyterlab"]
        added = subprocess.run(  # noqa: S603 - our own interpreter
            [sys.executable, "-m", "jupyter", "lab", "workspaces", "import", str(path)],
            capture_output=True,
            text=True,
            check=False,
        )
        if added.returncode:
            raise TwinError(
                "JupyterLab",
                found=(added.stderr.strip().splitlines() or ["nothing"])[-1],
                hint='install the extra: pip install "twinkit[course]"',
            )
        url = "--LabApp.default_url=/lab/workspaces/twinkit"
        options = [url, f"--ServerApp.port={port}", f"--ServerApp.root_dir={root}"]
        options += ["--no-browser"] if not open_browser else []
        # a container's only account is often root, and Jupyter refuses it unasked
        options += ["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
        quiet = os.environ | {"JUPYTERLAB_SETTINGS_DIR": str(_settings(learn))}
        ended = subprocess.run([*run, *options], check=False, env=quiet)  # noqa: S603 - our own interpreter
    if ended.returncode:
        raise TwinError(
            "JupyterLab to run",
            found=f"that it ended with code {ended.returncode}",
            hint=f"read the lines above; if port {port} is taken, choose another: --port {port + 1}",
        )


def _settings(place: Path) -> Path:
    """The learner's settings of JupyterLab; at first without its news, which nobody can fetch offline."""
    settings = place / ".settings"
    news = settings / "@jupyterlab" / "apputils-extension" / "notification.jupyterlab-settings"
    if not news.exists():
        news.parent.mkdir(parents=True, exist_ok=True)
        news.write_text(json.dumps({"fetchNews": "false", "checkForUpdates": False}), encoding="utf-8")
    return settings
