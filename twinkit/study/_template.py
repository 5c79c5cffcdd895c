"""A process that has imported what a notebook imports, and forks a new kernel from that state on request.

``python -m twinkit.study._template``: one JSON object a line on standard input, one answer a line on standard
output. Each kernel is a process of its own with a clean namespace; only the seconds of importing are shared. No cell
ever runs in here. Linux only: elsewhere a fork without exec is not safe, and kernels start the ordinary way, which is
this module with arguments: ``python -m twinkit.study._template -f connection.json``.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import io
import json
import os
import sys
import warnings
from pathlib import Path
from typing import Any


def main() -> None:
    """Answer requests until the other end closes: ``{"warm": ...}``, ``{"fork": ...}`` or ``{"poll": pid}``."""
    # ipykernel reads this when it is imported: a kernel ends itself when its template is gone
    os.environ["JPY_PARENT_PID"] = str(os.getpid())
    reply = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever an import prints must not be read as an answer
    for line in sys.stdin:
        request = json.loads(line)
        if "warm" in request:
            answer: dict[str, Any] = {"safe": warmed(request["warm"])}
        elif "fork" in request:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # newer Pythons count jemalloc's thread too
                pid = os.fork()
            if pid == 0:
                reply.close()
                detached(request["fork"]["env"], request["fork"]["cwd"])
                kernel(request["fork"]["arguments"])
            answer = {"pid": pid}
        else:
            answer = {"code": ended(request["poll"])}
        reply.write(json.dumps(answer) + "\n")
        reply.flush()


def warmed(names: list[list[str]]) -> bool:
    """Import modules and touch their lazy attributes; whether this process may still be forked."""
    importlib.import_module("ipykernel.kernelapp")
    importlib.import_module("ipykernel.ipkernel")
    if any(name.partition(".")[0] in {"xarray", "twinkit"} for name, *_ in names):
        names = [*names, ["xarray"], ["dask.array"]]  # xarray imports dask when it meets the first array
    for name, *attributes in names:
        # what cannot be imported will say so in the notebook's own cell
        with contextlib.suppress(BaseException):
            module = importlib.import_module(name)
            for attribute in attributes:
                with contextlib.suppress(BaseException):
                    getattr(module, attribute)
    # a thread does not survive a fork, but the lock that it holds does; jemalloc alone prepares its thread for that
    names_of_threads = [task.joinpath("comm").read_text().strip() for task in Path("/proc/self/task").iterdir()]
    return sum(name != "jemalloc_bg_thd" for name in names_of_threads) == 1


def detached(env: dict[str, str], cwd: str) -> None:
    """Give a freshly forked process its own session, environment and folder."""
    os.setsid()
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.environ.clear()
    os.environ.update(env)
    os.chdir(cwd)
    if "numpy" in sys.modules:
        # an unseeded draw must differ from kernel to kernel, as it does when each is started afresh
        sys.modules["numpy"].random.seed()


def kernel(arguments: list[str]) -> None:
    """Be a Jupyter kernel until it is shut down; does not return."""
    code = 1
    try:
        from ipykernel.kernelapp import IPKernelApp

        sys.argv = ["ipykernel_launcher", *arguments]
        sys.path[:] = ["", *(p for p in sys.path if p not in {"", os.getcwd()})]  # noqa: PTH109
        app = IPKernelApp.instance()
        app.initialize(arguments)
        app.start()
        # ipykernel's own farewell waits ten seconds for a thread that has already gone: leave without it, but do
        # what the notebook may count on, its exit functions and its open files
        atexit.unregister(app.close)
        atexit._run_exitfuncs()
        for held in gc.get_objects():
            if isinstance(held, io.TextIOWrapper | io.BufferedWriter):
                with contextlib.suppress(OSError, ValueError):
                    held.flush()
        code = 0
    finally:
        os._exit(code)


def ended(pid: int) -> int | None:
    """The exit code of a kernel, None while it lives."""
    try:
        done, status = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return 0
    return os.waitstatus_to_exitcode(status) if done else None


if __name__ == "__main__":
    if len(sys.argv) > 1:
        kernel(sys.argv[1:])
    else:
        main()
