"""The command line: help that teaches, one message for an error, the acts of every day."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import nbformat
import pytest

import twinkit as tk
from twinkit.cli import main
from twinkit.cli._doctor import Finding

COMMANDS = ("demo", "new", "info", "history", "data", "doctor", "run", "sweep", "compare", "regression", "lesson")


@pytest.fixture
def call(capsys, monkeypatch, tmp_path):
    """Run a command in an empty folder: exit code, standard output, standard error."""
    monkeypatch.chdir(tmp_path)

    def called(*arguments):
        with pytest.raises(SystemExit) as ended:
            main(list(arguments))
        printed = capsys.readouterr()
        return ended.value.code or 0, printed.out, printed.err

    return called


@pytest.fixture
def short(tmp_path):
    made = nbformat.v4.new_notebook()
    made.cells = [
        nbformat.v4.new_code_cell("seed = 1\nname = 'a'", metadata={"tags": ["parameters"]}),
        nbformat.v4.new_code_cell("from twinkit import study\nstudy.record(double=2 * seed, said=name)"),
    ]
    nbformat.write(made, tmp_path / "short.ipynb")
    return "short.ipynb"


def test_help_names_every_command_and_where_to_begin(call):
    code, out, _ = call("--help")
    assert code == 0
    assert all(f"\n  {c} " in out for c in COMMANDS)
    assert "twinkit demo --region" in out


@pytest.mark.parametrize("command", [c for c in COMMANDS if c not in {"lesson", "doctor"}])
def test_every_command_shows_an_example_on_a_line_of_its_own(call, command):
    code, out, _ = call(command, "--help")
    assert code == 0
    assert f"\n      twinkit {command}" in out


def test_help_is_quick_and_loads_nothing_heavy():
    code = (
        "import sys\nfrom twinkit.cli import main\ntry:\n main(['--help'])\nexcept SystemExit: pass\n"
        "heavy = {'xarray', 'panel', 'papermill', 'matplotlib', 'numba', 'icechunk', 'twinkit.lesson.commands'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_python_m_twinkit_is_twinkit():
    done = subprocess.run([sys.executable, "-m", "twinkit", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == tk.__version__


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("info", "nowhere.twin"), "nowhere.twin"),
        (("history", "nowhere.twin"), "nowhere.twin"),
        (("data", "no-such-file.csv"), "no-such-file.csv"),
        (("new", "ZZ:Nowhere"), "ZZ"),
        (("new", "town", "--sites", "1"), "sites"),
        (("run", "coverag"), "did you mean 'coverage'"),
        (("run", "no.ipynb"), "no.ipynb"),
        (("run", "coverage", "-p", "reegion=IN:Shimla"), "did you mean 'region'"),
        (("run", "coverage", "-p", "budget"), "NAME=VALUE"),
        (("run", "coverage", "-p", "budget=eight"), "a whole number"),
        (("sweep", "coverage"), "parameters to sweep"),
        (("compare", "a.json", "b.json"), "b.json"),
        (("regression", "nothing"), "golden numbers"),
    ],
)
def test_an_error_is_one_message_and_exit_code_2(call, arguments, words):
    code, _, err = call(*arguments)
    assert code == 2
    assert words in err
    assert "Try:" in err
    assert "Traceback" not in err
    assert err.count("\n") == 1


def test_a_wrong_option_is_told_by_its_name(call):
    code, _, err = call("demo", "--regoin", "IN:Shimla")
    assert code == 2
    assert "--regoin" in err


def test_new_info_and_history_tell_the_story_of_a_twin(call, tmp_path):
    code, out, _ = call("new", "town", "--sites", "4", "--out", "t.twin")
    assert code == 0
    head = tk.open("t.twin").encoding["head"]
    assert head[:12] in out
    code, out, _ = call("info", "t.twin")
    assert code == 0
    assert head in out
    assert "generated" in out
    assert "surface" in out
    twin = tk.open("t.twin")
    twin.attrs = {**twin.attrs, "title": "renamed"}
    tk.save(twin, "t.twin", message="another name", author="Asha")
    code, out, _ = call("history", "t.twin", "--verify", "--head", head)
    assert code == 0
    assert "another name" in out
    assert "nothing altered" in out


def test_history_fails_where_a_file_was_altered(call, tmp_path):
    call("new", "town", "--sites", "4", "--out", "t.twin")
    victim = max((p for p in (tmp_path / "t.twin").rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)
    data = bytearray(victim.read_bytes())
    data[len(data) // 2] ^= 1
    victim.write_bytes(data)
    code, out, _ = call("history", "t.twin", "--verify")
    assert code == 1
    assert victim.name in out


def test_data_lists_the_registered_files(call):
    code, out, _ = call("data")
    assert code == 0
    assert "licence" in out


def test_run_keeps_results_and_report(call, short, tmp_path):
    code, out, _ = call("run", short, "-p", "seed=4", "-p", "name=7", "--report")
    assert code == 0
    assert "double = 8" in out
    assert json.loads((tmp_path / "out" / "short.json").read_text())["results"] == {"double": 8, "said": "7"}
    assert (tmp_path / "out" / "short.html").is_file()


def test_sweep_writes_a_table_and_goes_on(call, short, tmp_path):
    code, out, _ = call("sweep", short, "--over", "seed=0:3", "--over", "name=a;b,c", "--workers", "2")
    assert code == 0
    assert "double" in out
    lines = (tmp_path / "out" / "sweep" / "sweep.csv").read_text().splitlines()
    assert lines[0].startswith("seed,name,double,said,seconds")
    assert lines[1].startswith("0,a,0,a,")
    assert lines[-1].startswith('2,"b,c",4,"b,c",')
    before = time.perf_counter()
    assert call("sweep", short, "--over", "seed=0:3", "--over", "name=a;b,c")[0] == 0
    assert time.perf_counter() - before < 60  # nothing ran: it would need kernels


def test_compare_says_what_changed_and_exits_with_1(call, short, tmp_path):
    call("run", short)
    golden = {"notebook": "short.ipynb", "results": {"double": {"value": 2}, "said": {"value": "a"}}}
    (tmp_path / "g.json").write_text(json.dumps(golden))
    assert call("compare", "out/short.json", "g.json")[0] == 0
    golden["results"]["double"]["value"] = 3
    (tmp_path / "g.json").write_text(json.dumps(golden))
    code, out, _ = call("compare", "out/short.ipynb", "g.json")
    assert code == 1
    assert "short.ipynb" in out
    assert "double: was 3, is 2" in out


def test_the_doctor_finds_this_machine_well_and_says_what_is_broken(call, monkeypatch):
    from twinkit.cli import _doctor

    code, out, _ = call("doctor")
    assert code == 0
    assert "compiled kernels" in out
    assert "92.45 dB" in out
    monkeypatch.setattr(_doctor, "_store", lambda: Finding("store", False, "OSError: [Errno 28] no space left"))
    code, out, _ = call("doctor")
    assert code == 1
    assert "[Errno 28] no space left" in out


def test_lesson_commands_are_reached(call):
    code, out, _ = call("lesson", "--help")
    assert code == 0
    assert "twinkit lesson" in out
