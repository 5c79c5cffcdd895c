"""Ensemble filters on Lorenz's models, against DAPPER on the same truth and readings: cycles a second, and the score.

DAPPER asks for an old Jupyter and cannot live beside twinkit. It runs in an interpreter of its own: the one that
TWINKIT_DAPPER names, or a virtual environment that is made beside this interpreter at the first run (a few minutes).
"""

from __future__ import annotations

import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks import Row, main, seconds

if TYPE_CHECKING:
    from collections.abc import Iterator

PEER = "dapper==1.7.1"
WORKS = {
    "letkf": "lorenz96 letkf 7",
    "perturbed": "lorenz96 perturbed 40",
    "finite-size": "lorenz63 finite size 10",
    "interpolation": "lorenz96 optimal interpolation",
}


def interpreter() -> str | None:
    """A Python that has DAPPER, or None with the reason on stderr."""
    if os.environ.get("TWINKIT_DAPPER"):
        return os.environ["TWINKIT_DAPPER"]
    folder = Path(sys.prefix) / "peers" / "dapper"
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    if (folder / "ready").exists():
        return str(python)
    print(f"installing {PEER} into an environment of its own (once)", file=sys.stderr, flush=True)
    try:
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True, capture_output=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", PEER], check=True, capture_output=True)
    except (subprocess.CalledProcessError, OSError) as e:
        said = getattr(e, "stderr", b"") or b""
        print(f"no peer: {e}. {said.decode(errors='replace')[-300:]}", file=sys.stderr)
        return None
    (folder / "ready").touch()
    return str(python)


class Peer:
    """DAPPER behind a pipe: a line of JSON there, a line back."""

    def __init__(self, python: str) -> None:
        script = Path(__file__).with_name("_dapper.py")
        self.process = subprocess.Popen(
            [python, str(script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "MPLBACKEND": "Agg"},
        )

    def __call__(self, **asked: Any) -> dict[str, float]:
        assert self.process.stdin
        assert self.process.stdout
        print(json.dumps(asked), file=self.process.stdin, flush=True)
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("the interpreter with DAPPER stopped; does TWINKIT_DAPPER name one that has it?")
        return json.loads(line)

    def close(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait()


def rows(*, quick: bool) -> Iterator[Row]:
    from twinkit.assimilate import scores
    from twinkit.assimilate.lorenz import rmse

    cycles, seeds = (500, [1]) if quick else (1000, [1, 2, 3, 4, 5])
    python = interpreter()
    peer = Peer(python) if python else None
    try:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "experiment.npz"
            for work, name in WORKS.items():
                ours, theirs = [], []
                for seed in seeds:
                    test, record = scores.run(name, seed=seed, cycles=cycles)
                    ours.append(rmse(record["u"], test.truth, burn=test.burn))
                    np.savez(file, truth=test.truth, seen=test.seen)
                    if peer:
                        theirs.append(peer(work=work, file=str(file), burn=test.burn, seed=seed)["rmse"])
                if work == "letkf":
                    yield speed(name, peer, file, seeds[-1], cycles, quick=quick)
                score = statistics.median(theirs) if theirs else math.nan
                yield Row(f"{work}-rmse", statistics.median(ours), score, "dapper", "rmse", "lower")
    finally:
        if peer:
            peer.close()


def speed(name: str, peer: Peer | None, file: Path, seed: int, cycles: int, *, quick: bool) -> Row:
    """Cycles a second with everything that each code writes down about a cycle, in turns."""
    from twinkit.assimilate import ensemble, estimate
    from twinkit.assimilate.scores import PUBLISHED

    row = PUBLISHED[name]
    test = row.experiment(cycles=cycles, seed=seed)
    first = ensemble(test.first, members=row.members, spread=test.spread, seed=seed)

    def ours(number: int) -> None:
        estimate(first, test.step, test.seen, noise=test.noise, method=row.method, dt=test.dt, seed=number)

    def theirs(number: int) -> None:
        if peer:
            peer(work="letkf", file=str(file), burn=test.burn, seed=number)

    one, two = seconds(ours, theirs, rounds=3 if quick else 7)
    return Row("letkf", cycles / one, cycles / two if peer else math.nan, "dapper", "cycles/s", "higher")


if __name__ == "__main__":
    raise SystemExit(main(rows))
