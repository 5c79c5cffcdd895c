"""The research notebook on delay: both roads to one number, on a network that we made and on a real one."""

from __future__ import annotations

from pathlib import Path

import pytest

from twinkit import study
from twinkit.cli._places import notebook

GOLDEN = Path(__file__).parent / "golden" / "delay.json"


@pytest.fixture(scope="module")
def generated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("notebook")
    return study.run(notebook("delay"), out=folder / "delay.ipynb", folder=folder, small=True, maps=str(folder))


def test_what_needs_no_packets_is_the_golden_number(generated):
    golden = study.expected(GOLDEN)["results"]
    for name in ("delay_by_formula", "load_after", "mean_load"):
        assert generated.results[name] == pytest.approx(golden[name]["value"], rel=1e-6)
    assert generated.results["failed"] == golden["failed"]["value"]


def test_the_two_roads_meet(generated):
    found = generated.results
    assert found["delay_by_formula"] == pytest.approx(found["delay_by_packets"], rel=0.05)
    # the simulations are short: what is uncertain may be off
    for error, noise in zip(found["median_error"], found["noise"], strict=True):
        assert error < 0.05 + noise
    assert found["error_if_bursts_are_ignored"] > 0.03


def test_the_picture_is_described(generated):
    text = generated.path.read_text(encoding="utf-8")
    assert "Delay by formula over delay by packets of 182 demands" in text
    assert (generated.path.parent / "delay.png").exists()


@pytest.mark.slow
def test_the_numbers_are_the_golden_ones(tmp_path):
    run = study.run(notebook("delay"), study.expected(GOLDEN)["parameters"], folder=tmp_path)
    study.compare(run.results, GOLDEN, notebook="delay.ipynb").require()


def test_a_real_network_goes_in(testdata, tmp_path):
    file = testdata("sndlib/native/polska/polska.txt")
    found = study.run(notebook("delay"), folder=tmp_path, network=str(file), small=True, utilisation=0.5).results
    assert found["links"] == 18
    assert found["demands"] == 132
    assert max(found["median_error"]) < 0.06
