"""A sweep of short runs on two workers, against the same runs one after another through plain papermill.

Each run on either side has a kernel of its own and a clean namespace, and kernel start-up is counted. The sweep shares
among its kernels the seconds of importing, and runs two at a time.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import Row, main, seconds

if TYPE_CHECKING:
    from collections.abc import Iterator

PARAMETERS = "seed = 1\nfrequency = 900e6"
IMPORTS = "import numpy as np\nimport xarray as xr\n\nimport twinkit as tk"
WORK = """\
distance = xr.DataArray(np.random.default_rng(seed).uniform(10, 5000, 100_000), dims="distance", attrs={"units": "m"})
loss = tk.radio.free_space(distance, frequency=frequency)
tk.study.record(mean=float(loss.mean()))"""


def notebook(folder: Path) -> Path:
    """A short run as research has them: imports, a little work, a recorded result."""
    cells: list[dict[str, Any]] = [
        {"cell_type": "code", "id": i, "metadata": {}, "outputs": [], "execution_count": None, "source": text}
        for i, text in (("parameters", PARAMETERS), ("imports", IMPORTS), ("work", WORK))
    ]
    cells[0]["metadata"]["tags"] = ["parameters"]
    spec = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    path = folder / "short.ipynb"
    path.write_text(json.dumps({"cells": cells, "metadata": spec, "nbformat": 4, "nbformat_minor": 5}))
    return path


def rows(*, quick: bool) -> Iterator[Row]:
    import papermill

    from twinkit import study

    count = 8 if quick else 24
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = notebook(folder)

        def swept(number: int) -> None:
            study.sweep(path, seed=range(count), workers=2, out=folder / f"sweep-{number}", progress=False)

        def one_by_one(number: int) -> None:
            for seed in range(count):
                out = folder / f"run-{number}-{seed}.ipynb"
                papermill.execute_notebook(
                    str(path), str(out), parameters={"seed": seed}, progress_bar=False, log_output=False
                )

        two, one = seconds(swept, one_by_one, rounds=1 if quick else 3, warm=0)
        yield Row(f"sweep-{count}", two, one, f"papermill, {count} runs one by one", "s", "lower")


if __name__ == "__main__":
    raise SystemExit(main(rows))
