"""The command line: `twinkit demo`, and the acts of every day on stores and notebooks."""

from __future__ import annotations

from twinkit.cli._app import app, main

__all__ = ["app", "main"]
