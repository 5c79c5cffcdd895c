"""The command line: help that teaches, one message for an error, the acts of every day."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

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


def test_another_twin_does_not_silently_become_a_stores_next_commit(call, tmp_path):
    assert call("new", "town", "--sites", "4", "--out", "t.twin")[0] == 0
    assert call("new", "town", "--sites", "4", "--out", "t.twin")[0] == 0  # the same once more
    for other in (("new", "town", "--sites", "4", "--seed", "2"), ("new", "RW:Kigali", "--radius", "6000")):
        code, _, err = call(*other, "--out", "t.twin")
        assert code == 2
        assert "the store exists and holds" in err
        assert "choose --out" in err
    assert {c.message for c in tk.history("t.twin")} == {tk.history("t.twin")[0].message}
    assert "seed 1" in tk.history("t.twin")[0].message
    assert call("new", "RW:Kigali", "--radius", "6000")[0] == 0
    assert "Kigali, Rwanda (RW:Kigali), radius 6 km, seed 1" in tk.history("kigali.twin")[0].message
    code, _, err = call("new", "RW:Kigali", "--radius", "7000")
    assert code == 2
    assert "radius 6 km" in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("KE:Nakuru", "--sites", "5"), "--sites only for town"),
        (("town", "--radius", "9000"), "--radius only for a region"),
        (("town", "--towers", "t.csv"), "--towers only for a region"),
    ],
)
def test_an_option_that_would_do_nothing_is_refused(call, arguments, words):
    code, _, err = call("new", *arguments)
    assert code == 2
    assert words in err


def test_a_bare_name_is_offered_with_its_country(call):
    code, _, err = call("new", "Nakuru")
    assert code == 2
    assert "did you mean 'KE:Nakuru' (Kenya)?\n" in err


def test_a_terminal_shows_what_it_could_obey(call, tmp_path):
    twin = tk.datasets.town(sites=4, seed=1)
    evil = "\x1b[2J\x1b]0;owned\x07 \u202egnp\nforged: line\x9b1m"
    twin.attrs = {**twin.attrs, "title": evil, "sources": evil}
    twin["surface/people"].attrs["provenance"] = f"measured: {evil}"
    tk.save(twin, "t.twin", message="odd")
    code, out, _ = call("info", "t.twin")
    assert code == 0
    assert not set("\x1b\x07\x9b\u202e") & set(out)
    assert out.startswith(r"\x1b[2J\x1b]0;owned\x07 \u202egnp\nforged: line\x9b1m")
    assert not [line for line in out.splitlines() if line.startswith("forged")]
    code, _, err = call("info", "no\x1b[31m.twin")
    assert code == 2
    assert "\x1b" not in err
    code, out, _ = call("history", "t.twin", "--verify")
    assert code == 0
    assert not set("\x1b\x07\x9b\u202e") & set(out)


def test_hints_at_the_command_line_are_commands(call):
    _, _, err = call("data", "zzzzzz")
    assert "Try: twinkit data lists them." in err
    _, _, err = call("compare", "a.json", "b.json")
    assert "regression NAME --update" in err
    assert "tk." not in err


def test_the_help_of_compare_says_how_golden_numbers_are_made(call):
    _, out, _ = call("compare", "--help")
    assert "regression NAME --update" in out


def test_an_example_of_the_help_can_be_typed(call):
    _, out, _ = call("data", "--help")
    name = out.split("\n      twinkit data ")[1].split()[0]
    assert name in tk.datasets.registry()
    _, out, _ = call("history", "--help")
    assert len(out.split("--head ")[1].split()[0]) >= 8


def test_what_to_type_next_can_be_typed_where_twinkit_is_not_on_path(call, monkeypatch):
    from twinkit.cli._shown import called

    monkeypatch.setenv("PATH", "")
    assert called() == str(Path(sys.executable).parent / "twinkit")
    assert subprocess.run([called(), "--version"], capture_output=True, text=True, check=True).stdout
    monkeypatch.chdir(Path(sys.executable).parents[1])
    assert called() == str(Path("bin") / "twinkit")
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent))
    assert called() == "twinkit"


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
    assert [line.split() for line in out.splitlines()[:2]] == [["seed", "name", "double", "said"], ["0", "a", "0", "a"]]
    assert "xarray" not in out
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
