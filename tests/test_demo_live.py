"""The live demo, whole: broker, sensors, ingester, estimate, and the alarm that names what was put in."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

import twinkit as tk
from twinkit.cli import _demo_live as module
from twinkit.error import TwinError

pytest.importorskip("amqtt")
pytest.importorskip("paho.mqtt.client")


def run(out, fault, **choices):
    lines = []
    done = module.live(
        "town",
        radius=15e3,
        seed=choices.pop("seed", 1),
        out=out,
        fault=fault,
        seconds=3.0,
        say=lambda *line: lines.append(line),
        **choices,
    )
    return done, lines


@pytest.fixture(scope="module")
def biased(tmp_path_factory):
    out = tmp_path_factory.mktemp("live")
    return out, *run(out, "bias")


def test_the_alarm_names_the_sensor_that_went_wrong(biased):
    _, done, lines = biased
    assert done.named
    assert [(a["fault"], a["sensor"]) for a in done.alarms] == [("sensor biased", done.sensor)]
    assert 0 < done.hours < 25  # a hundred quarters of an hour
    order = [who for who, _, _ in lines if who != "estimate"]
    assert order == ["twin", "broker", "ingester", "sensors", "fault", "ALARM", "store"]
    alarm = next(line for line in lines if line[0] == "ALARM")
    assert done.sensor in alarm[2]


def test_what_was_sent_is_in_the_store_once_and_no_more(biased):
    _, done, lines = biased
    assert done.sent == done.stored == 12 * 288
    assert "each once" in lines[-1][2]
    # value for value what the sensors said, as they rounded it
    town = module._town("town", radius=15e3, seed=1, fault="bias")
    held = tk.open(done.store)["telemetry/load"].sel(cell=town.seen["cell"], time=town.seen["time"])
    np.testing.assert_array_equal(held.transpose("time", "cell").to_numpy(), np.round(town.seen.to_numpy(), 4))
    assert tk.verify(done.store, thorough=True)
    assert held.attrs["provenance"].startswith("generated: ")  # nobody measured it
    # the sensors' slip of unit was refused, with the reason kept
    assert done.rejected == 1
    letters = tk.store.rejected(done.store)
    assert "between 0 and 1" in letters["reason"].iloc[0]


def test_it_leaves_a_picture_and_numbers(biased):
    out, done, _ = biased
    assert done.picture == out / "live.png"
    assert done.picture.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    said = json.loads((out / "live.json").read_text(encoding="utf-8"))
    assert said["named"]
    assert said["sensor"] == done.sensor
    assert said["rmse_of_honest_cells"] < module.NOISE
    assert said["inside_two_spreads"] > 0.9


def test_without_a_fault_the_alarm_is_still_and_the_store_is_made_anew(biased):
    out, before, _ = biased
    done, lines = run(out, "none")
    assert done.store == before.store
    assert done.named
    assert done.alarms == []
    assert {"fault", "ALARM"}.isdisjoint(who for who, _, _ in lines)


def test_the_command_says_it_all(tmp_path, monkeypatch):
    from twinkit.cli import app

    monkeypatch.setattr(module, "SECONDS", 3.0)
    made = CliRunner().invoke(
        app, ["demo", "--live", "--region", "town", "--fault", "stuck", "--out", str(tmp_path)], catch_exceptions=False
    )
    assert made.exit_code == 0, made.output
    assert "ALARM" in made.output
    assert "sensor stale" in made.output
    assert "The alarm named" in made.output
    assert ".live.twin --app operate" in made.output, "how to watch it"
    assert "\x1b[" not in made.output


def test_what_cannot_be_is_refused_before_anything_runs(tmp_path):
    from twinkit.cli import app

    with pytest.raises(TwinError, match="a fault"):
        run(tmp_path, "lightning")
    with pytest.raises(TwinError, match="--live"):
        CliRunner().invoke(app, ["demo", "--fault", "bias"], catch_exceptions=False)
    assert not list(tmp_path.iterdir())
    name = f"{module.store_name(tk.datasets.town(sites=24, seed=1))}.live.twin"
    (tmp_path / name).mkdir()
    (tmp_path / name / "mine").write_text("kept")
    with pytest.raises(TwinError, match="earlier live demo"):
        run(tmp_path, "bias")
    assert (tmp_path / name / "mine").read_text() == "kept"
