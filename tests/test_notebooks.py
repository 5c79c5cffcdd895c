"""The research notebook on propagation: what it must find in a drive that we made, and in a real one."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from twinkit import TwinError, study
from twinkit.cli._places import notebook

GOLDEN = Path(__file__).parent / "golden" / "propagation.json"
COLUMNS = "BTS_ID;height;lat;lon;elev;bcch\n"


@pytest.fixture(scope="module")
def generated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("notebook")
    parameters = study.expected(GOLDEN)["parameters"] | {"maps": str(folder)}
    return study.run(notebook("propagation"), parameters, out=folder / "propagation.ipynb", folder=folder)


def test_the_numbers_of_the_generated_drive_are_the_golden_ones(generated):
    study.compare(generated.results, GOLDEN, notebook="propagation.ipynb").require()
    assert generated.results["generated"] is True


def test_the_planted_fault_and_the_planted_slope_are_found(generated):
    found = generated.results
    assert found["repairs"] == [f"{s}: lon × 10" for s in "ABC"]
    assert found["position_error"] < 0.01
    # 36 dB a decade under 8 dB of shadowing
    assert found["fitted_slope"] == pytest.approx(36, abs=1.5)
    # what the line leaves is the shadowing, and the offsets of three stations that one line cannot follow
    left = float(found["deviation_error"].sel(model="a line fitted here"))
    assert 7 < left < 10
    assert abs(float(found["mean_error"].sel(model="a line fitted here"))) < 0.5


def test_errors_add_up_and_intervals_hold_their_value(generated):
    found = generated.results
    mean, deviation, rmse = (found[f"{k}_error"] for k in ("mean", "deviation", "rmse"))
    np.testing.assert_allclose(mean**2 + deviation**2, rmse**2, rtol=1e-9)
    low, high = (found["rmse_interval"].sel(end=e) for e in ("low", "high"))
    assert bool(((low < rmse) & (rmse < high)).all())
    # squares, not rows, are the observations: many rows in each
    assert found["squares"] < found["measurements"] / 5


def test_every_picture_has_a_description_with_its_numbers(generated):
    cells = json.loads(generated.path.read_text(encoding="utf-8"))["cells"]
    pages = ["".join(o.get("data", {}).get("text/html", "")) for c in cells for o in c.get("outputs", [])]
    described = re.findall(r'<img alt="([^"]*)"', " ".join(pages))
    assert len(described) == 2
    mean = float(generated.results["mean_error"].sel(model="uma"))
    assert f"uma: mean {mean:.1f} dB" in described[1]
    assert {p.name for p in generated.path.parent.glob("*.png")} == {"models.png", "errors.png"}


def test_the_table_says_that_the_measurements_are_generated(generated):
    text = generated.path.read_text(encoding="utf-8")
    assert "**These measurements are generated**" in text
    assert "A: lon × 10; B: lon × 10; C: lon × 10" in text


def test_a_real_drive_is_repaired_and_judged(testdata, tmp_path):
    folder = testdata("recife-gsm/measurements.csv").parent
    run = study.run(notebook("propagation"), folder=tmp_path, measurements=str(folder), draws=200)
    found = run.results
    assert found["generated"] is False
    assert found["repairs"] == [f"BTS_0{k}: lon × 10" for k in (1, 2, 3)]
    assert found["position_error"] < 2.0
    assert found["measurements"] == 3 * found["positions"] == 6981
    error = found["mean_error"]
    # free space is no town: tens of dB too hopeful; the model for towns is nearest
    assert float(error.sel(model="free_space")) < -30
    assert found["best"] == "uma"
    assert float(found["rmse_error"].sel(model="uma")) == pytest.approx(14.7, abs=0.2)
    # masts of 41 and 53 m are beyond the model for streets, so it is not asked
    assert "umi" not in error.model


def test_a_station_that_no_shift_mends_is_told(tmp_path):
    (tmp_path / "BTSs_Data.csv").write_text(COLUMNS + "X;30;10.0;20.0;5;662\n")
    rows = [f"{10 + 0.001 * k},{20 + 0.001 * k},5,{100 + k},9.9,X" for k in range(20)]
    (tmp_path / "measurements.csv").write_text("lat,lon,elev,PLreal,dist,BTS_ID\n" + "\n".join(rows) + "\n")
    with pytest.raises(TwinError, match="nothing is guessed here"):
        study.run(notebook("propagation"), folder=tmp_path, measurements=str(tmp_path))


def test_a_folder_without_the_tables_is_one_message(tmp_path):
    with pytest.raises(TwinError, match=r"measurements\.csv in the folder"):
        study.run(notebook("propagation"), folder=tmp_path, measurements=str(tmp_path))
