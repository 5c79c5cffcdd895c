"""Write the tables of the generated towns: `python datasets/make.py` after a change of recipe or generator."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

import twinkit as tk

HERE = Path(__file__).resolve().parent
NODES = ("sites", "cells", "links", "places")


def tables(folder: Path) -> list[Path]:
    """Every town's nodes as CSV under `folder`/NAME: ids and text as they are, numbers to ten digits."""
    written = []
    for name, recipe in tomllib.loads((HERE / "towns.toml").read_text(encoding="utf-8")).items():
        twin = tk.datasets.town(sites=recipe["sites"], seed=recipe["seed"])
        (folder / name).mkdir(parents=True, exist_ok=True)
        for node in NODES:
            file = folder / name / f"{node}.csv"
            frame = twin[node].to_dataset(inherit=False).to_dataframe()
            frame.to_csv(file, float_format="%.10g", lineterminator="\n")
            written.append(file)
    return written


if __name__ == "__main__":
    sys.stdout.write("\n".join(str(f) for f in tables(HERE / "towns")) + "\n")
