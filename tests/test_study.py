"""The study: strict runs, sweeps, golden numbers; on real kernels."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from html.parser import HTMLParser

import nbformat
import numpy as np
import pytest
import xarray as xr

from twinkit import TwinError, study
from twinkit.study import _kernel, _sweep


def notebook(path, *cells, parameters="seed = 1\nfrequency = 9e8\nname = 'mast'"):
    """A notebook with a parameters cell and other code cells."""
    made = nbformat.v4.new_notebook()
    made.cells = [nbformat.v4.new_code_cell(parameters, id="choices", metadata={"tags": ["parameters"]})]
    made.cells += [nbformat.v4.new_code_cell(text, id=f"cell-{i}") for i, text in enumerate(cells, 1)]
    nbformat.write(made, path)
    return path


WORK = """\
import numpy as np
import xarray as xr
from twinkit import study
if seed == 13:
    raise ValueError("an unlucky seed")
values = np.random.default_rng(seed).normal(size=3) * frequency
"""
RECORD = """\
study.record(
    mean=float(values.mean()), name=name, count=len(values), far=float("inf"),
    reach=xr.DataArray(values, dims="place", coords={"place": list("abc")}, attrs={"units": "m"}),
)"""


@pytest.fixture
def short(tmp_path):
    return notebook(tmp_path / "short.ipynb", WORK, RECORD)


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """One run with everything kept, and the folder of it."""
    folder = tmp_path_factory.mktemp("done")
    path = notebook(folder / "short.ipynb", WORK, RECORD)
    return study.run(path, out=folder / "out", folder=folder, seed=7), folder


# ---------------------------------------------------------------- run


def test_a_run_keeps_notebook_results_cost_and_versions(done):
    run, folder = done
    expected = np.random.default_rng(7).normal(size=3) * 9e8
    assert run.results["mean"] == expected.mean()
    assert run.results["count"] == 3
    assert run.results["far"] == np.inf
    reach = xr.DataArray(expected, dims="place", coords={"place": list("abc")}, attrs={"units": "m"})
    xr.testing.assert_identical(
        run.results["reach"].astype(float), reach.assign_coords(place=reach.place.astype(object))
    )
    assert run.parameters == {"seed": 7, "frequency": 9e8, "name": "mast"}
    assert run.seconds > 0
    assert run.peak_memory > 20e6  # NumPy and xarray do not fit in less
    assert run.versions["numpy"] == np.__version__
    assert run.path == folder / "out" / "short.ipynb"
    assert nbformat.read(run.path, as_version=4).cells[-1].outputs[0].data[study.MIME]
    assert sorted(p.name for p in (folder / "out").iterdir()) == ["short.ipynb", "short.json"]


def test_a_bar_counts_notebook_cells_and_only_on_a_terminal(short, capfd):
    study.run(short, progress=True)
    assert re.search(r"short: notebook cell \d of \d \|", capfd.readouterr().err)
    study.run(short)
    assert "notebook cell" not in capfd.readouterr().err


def test_recorded_reads_both_files_of_a_run(done):
    run, folder = done
    for name in ("short.ipynb", "short.json"):
        found = study.recorded(folder / "out" / name)
        assert found["mean"] == run.results["mean"]
        xr.testing.assert_identical(found["reach"], run.results["reach"])


def test_the_source_notebook_is_not_touched(done):
    _, folder = done
    assert all(not c.outputs for c in nbformat.read(folder / "short.ipynb", as_version=4).cells)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"sed": 1}, ["'sed'", "seed, frequency, name", "'seed'"]),
        ({"seed": "x"}, ["seed", "whole number", "'x'"]),
        ({"seed": 1.5}, ["seed", "whole number"]),
        ({"seed": True}, ["seed", "whole number"]),
        ({"seed": None}, ["seed", "None"]),
        ({"frequency": "900 MHz"}, ["frequency", "a number"]),
        ({"name": 3}, ["name", "text"]),
        ({"name": lambda distance: distance}, ["name", "this session"]),
    ],
)
def test_strict_before_anything_runs(short, tmp_path, given, words, monkeypatch):
    monkeypatch.setattr(_kernel, "_papermill", lambda: pytest.fail("something ran"))
    with pytest.raises(TwinError) as told:
        study.run(short, out=tmp_path / "out", **given)
    assert all(w in str(told.value) for w in words)
    assert not (tmp_path / "out").exists()


def test_whole_floats_functions_and_paths_are_taken_as_what_they_mean(tmp_path):
    path = notebook(
        tmp_path / "n.ipynb",
        "from twinkit import study\nstudy.record(radius=radius, model=model, kind=type(radius).__name__, place=place)",
        parameters="radius = 10\nmodel = 'math.sqrt'\nplace = 'x'\nfree: float = 1\nwhere = __import__('os').sep",
    )
    import math

    run = study.run(path, radius=60e3, model=math.log10, place=tmp_path / "a", free=2, where=3)
    assert run.results == {"radius": 60000, "model": "math.log10", "kind": "int", "place": str(tmp_path / "a")}
    assert run.parameters["free"] == 2.0


def test_a_failing_cell_is_named_and_nothing_is_left(short, tmp_path):
    with pytest.raises(TwinError) as told:
        study.run(short, out=tmp_path / "out", seed=13)
    message = str(told.value)
    assert "short.ipynb, cell 2 (id cell-1)" in message
    assert "ValueError: an unlucky seed" in message
    assert "Traceback" not in message
    assert not (tmp_path / "out").exists()


def test_an_earlier_run_survives_a_failing_one(short, tmp_path):
    study.run(short, out=tmp_path / "out")
    before = (tmp_path / "out" / "short.ipynb").read_bytes()
    with pytest.raises(TwinError):
        study.run(short, out=tmp_path / "out", seed=13)
    assert (tmp_path / "out" / "short.ipynb").read_bytes() == before


def test_a_twin_error_inside_a_notebook_keeps_its_words(tmp_path):
    path = notebook(tmp_path / "n.ipynb", "import twinkit as tk\ntk.vocabulary.word('rsrpp')")
    with pytest.raises(TwinError, match=r"cell 2.*TwinError: expected a name of the vocabulary.*'rsrp'"):
        study.run(path)


def test_a_kernel_that_dies_is_told(tmp_path):
    path = notebook(tmp_path / "n.ipynb", "import os\nos._exit(3)")
    with pytest.raises(TwinError, match="a kernel that died"):
        study.run(path)


@pytest.mark.parametrize("text", ["", "{", '{"cells": 3}', "[]", '{"a": 1}', "\x00\x01"])
def test_a_damaged_notebook_is_one_message(tmp_path, text):
    (tmp_path / "n.ipynb").write_text(text, encoding="utf-8")
    with pytest.raises(TwinError, match="a Jupyter notebook"):
        study.run(tmp_path / "n.ipynb")


def test_a_missing_notebook_offers_its_neighbour(short):
    with pytest.raises(TwinError, match=r"did you mean 'short\.ipynb'"):
        study.run(short.with_name("shorts.ipynb"))


def test_parameters_without_a_tagged_cell(tmp_path):
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("seed = 1")])
    nbformat.write(made, tmp_path / "n.ipynb")
    with pytest.raises(TwinError, match="no such cell"):
        study.run(tmp_path / "n.ipynb", seed=2)


def test_a_parameters_cell_that_is_no_python(tmp_path):
    path = notebook(tmp_path / "n.ipynb", parameters="seed = 1\nradius = = 3")
    with pytest.raises(TwinError, match="line 2"):
        study.parameters(path)


def test_the_notebook_itself_is_never_written_over(short):
    with pytest.raises(TwinError, match="not the notebook itself"):
        study.run(short, out=short.parent)


def test_open_files_and_exit_functions_of_a_notebook_are_honoured(tmp_path):
    cells = (
        "import atexit\nheld = open('held.txt', 'w')\nheld.write('all of it')",
        ("def last():\n    with open('last.txt', 'w') as f:\n        f.write('done')\natexit.register(last)"),
    )
    study.run(notebook(tmp_path / "n.ipynb", *cells), folder=tmp_path)
    assert (tmp_path / "held.txt").read_text() == "all of it"
    assert (tmp_path / "last.txt").read_text() == "done"


# ---------------------------------------------------------------- record


@pytest.mark.parametrize(
    "value",
    [
        3,
        -2.5,
        True,
        None,
        "पहाड़",
        float("inf"),
        [1, 2.5, "x"],
        np.float32(0.5),
        np.int16(3),
        np.arange(6).reshape(2, 3),
    ],
)
def test_values_come_back_as_they_were(value):
    from twinkit.study._results import decoded, encoded

    back = decoded(json.loads(json.dumps(encoded(value, name="x"), allow_nan=False)))
    if isinstance(value, np.ndarray):
        assert back.dtype == value.dtype
    np.testing.assert_array_equal(back, value)


def test_times_gaps_and_labels_come_back_as_they_were():
    from twinkit.study._results import decoded, encoded

    time = np.array(["2026-03-01", "NaT"], dtype="datetime64[ns]")
    array = xr.DataArray(
        [[1.0, np.nan], [np.inf, -np.inf]],
        dims=("time", "quantile"),
        coords={"time": time, "quantile": [0.1, 0.9], "season": ("time", np.array(["dry", "wet"], dtype=object))},
        attrs={"units": "dB", "long_name": "loss"},
        name="loss",
    )
    back = decoded(json.loads(json.dumps(encoded(array, name="x"), allow_nan=False)))
    xr.testing.assert_identical(back, array)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (np.zeros(10_001), "at most 10000"),
        (xr.DataArray(np.zeros((101, 100)), dims=("y", "x")), "in a store"),
        ({"a": 1}, "one by one"),
        (xr.Dataset(), "one by one"),
        (object(), "a object"),
        (np.array([1 + 2j]), "complex"),
    ],
)
def test_what_cannot_be_recorded_is_told(value, words):
    with pytest.raises(TwinError, match=words):
        study.record(share=0.3, big=value)


def test_a_lazy_map_is_refused_without_computing_it():
    import dask.array as da

    lazy = xr.DataArray(da.from_delayed(_never(), shape=(4000, 4000), dtype=float), dims=("y", "x"))
    with pytest.raises(TwinError, match="at most"):
        study.record(rsrp=lazy)


def _never():
    import dask

    return dask.delayed(lambda: pytest.fail("computed"))()


@pytest.mark.parametrize("text", ["{", "{}", '{"results": {"a": {"kind": "array"}}}', '{"cells": []}'])
def test_damaged_results_are_one_message(tmp_path, text):
    (tmp_path / "r.json").write_text(text, encoding="utf-8")
    with pytest.raises(TwinError):
        study.recorded(tmp_path / "r.json")


# ---------------------------------------------------------------- resolve


def test_a_model_is_resolved_once_and_offers_close_ones():
    import math

    assert study.resolve("math.sqrt") is math.sqrt
    assert study.resolve("tk.vocabulary.word") is study.resolve("twinkit.vocabulary.word")
    for wrong, words in [
        ("sqrt", "a dotted path"),
        ("math.sqr", "'sqrt'"),
        ("no_such_module.loss", "no module 'no_such_module'"),
        ("math.pi", "a function"),
        ("os; import sys", "a dotted path"),
        (3, "a dotted path"),
    ]:
        with pytest.raises(TwinError, match=words):
            study.resolve(wrong)


# ---------------------------------------------------------------- sweep


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    folder = tmp_path_factory.mktemp("swept")
    path = notebook(folder / "short.ipynb", WORK, RECORD)
    two = study.sweep(path, seed=[2, 13, 1], frequency=[7e8, 3.5e9], name="x", workers=2, out=folder / "out")
    return two, path, folder / "out"


def test_a_sweep_is_one_labelled_dataset(swept):
    ds, _, _ = swept
    assert dict(ds.sizes) == {"seed": 3, "frequency": 2, "place": 3}
    assert ds["reach"].dims == ("seed", "frequency", "place")
    assert ds["reach"].attrs["units"] == "m"
    expected = np.random.default_rng(2).normal(size=3) * 3.5e9
    np.testing.assert_array_equal(ds["reach"].sel(seed=2, frequency=3.5e9), expected)
    assert (ds["name"].sel(seed=1) == "x").all()
    assert ds.attrs["name"] == "x"


def test_a_failing_run_is_recorded_and_the_others_go_on(swept):
    ds, _, out = swept
    assert "an unlucky seed" in ds["error"].sel(seed=13, frequency=7e8).item()
    assert ds["mean"].sel(seed=13).isnull().all()
    assert ds["mean"].sel(seed=[1, 2]).notnull().all()
    assert (ds["error"].sel(seed=[1, 2]) == "").all()
    assert len(list(out.glob("*.ipynb"))) == 4
    assert "an unlucky seed" in (out / "sweep.csv").read_text()


def test_the_same_whatever_the_workers(swept):
    ds, path, _ = swept
    one = study.sweep(path, seed=[2, 13, 1], frequency=[7e8, 3.5e9], name="x", workers=1)
    xr.testing.assert_identical(one, ds)


def test_a_forked_kernel_and_one_started_afresh_agree(swept, monkeypatch):
    ds, path, _ = swept
    monkeypatch.setattr(_kernel.Template, "possible", staticmethod(lambda: False))
    fresh = study.sweep(path, seed=[2], frequency=[7e8, 3.5e9], name="x")
    xr.testing.assert_identical(fresh["reach"], ds["reach"].sel(seed=[2]))


def test_a_sweep_goes_on_where_it_stopped(swept, monkeypatch):
    ds, path, out = swept
    ran = []
    real = _sweep.execute

    def counted(text, values, **rest):
        ran.append(values["seed"])
        return real(text, values, **rest)

    monkeypatch.setattr(_sweep, "execute", counted)
    more = study.sweep(path, seed=[2, 13, 1, 5], frequency=[7e8, 3.5e9], name="x", workers=2, out=out)
    assert sorted(ran) == [5, 5, 13, 13]  # new ones, and failed ones again
    xr.testing.assert_identical(more.sel(seed=[2, 13, 1]), ds)


def test_a_damaged_record_is_run_again(tmp_path, short):
    first = study.sweep(short, seed=[1, 2], out=tmp_path / "out")
    victim = min((tmp_path / "out").glob("short-*.json"))
    victim.write_text("{", encoding="utf-8")
    xr.testing.assert_identical(study.sweep(short, seed=[1, 2], out=tmp_path / "out"), first)


def test_points_stand_on_one_dim(short):
    ds = study.sweep(short, points=[{"seed": 1, "frequency": 1e9}, {"seed": 4}], workers=2)
    assert ds["mean"].dims == ("point",)
    assert ds["seed"].values.tolist() == [1, 4]
    assert ds["frequency"].values.tolist() == [1e9, 9e8]


def test_each_run_has_a_clean_namespace_and_its_own_chance(tmp_path):
    cells = (
        "import numpy as np\nfrom twinkit import study\nbefore = 'leak' in globals() or hasattr(np, 'leak')",
        "leak = np.leak = True\nstudy.record(before=before, drawn=np.random.rand())",
    )
    ds = study.sweep(notebook(tmp_path / "n.ipynb", *cells), seed=range(3))
    assert not ds["before"].any()
    assert len(set(ds["drawn"].values)) == 3


def test_results_of_other_lengths_are_filled(tmp_path):
    text = (
        "import numpy as np, xarray as xr\nfrom twinkit import study\n"
        "study.record(a=np.arange(seed), b=xr.DataArray(np.arange(seed), dims='place',"
        " coords={'place': list('xyz')[-seed:]}), seed=seed)"
    )
    ds = study.sweep(notebook(tmp_path / "n.ipynb", text), seed=[1, 3])
    np.testing.assert_array_equal(ds["a"].values, [[0, np.nan, np.nan], [0, 1, 2]])
    assert ds["b"].sel(seed=1, place="z").item() == 0
    assert np.isnan(ds["b"].sel(seed=1, place="x"))
    assert ds["seed_result"].values.tolist() == [1, 3]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"seed": []}, "at least one value"),
        ({"seed": [1, 1]}, "twice"),
        ({"seed": [1, "x"]}, "whole number"),
        ({"sed": [1, 2]}, "'seed'"),
        ({"seed": [1], "points": [{"seed": 2}]}, "a grid or points"),
        ({"points": []}, "at least one point"),
        ({"seed": [1], "workers": 0}, "workers"),
        ({"seed": [1], "workers": "two"}, "workers"),
    ],
)
def test_a_wrong_sweep_is_told_before_it_runs(short, given, words):
    with pytest.raises(TwinError, match=words):
        study.sweep(short, **given)


def test_a_sweep_of_failures_is_an_error(short):
    with pytest.raises(TwinError, match="an unlucky seed"):
        study.sweep(short, seed=[13])


def test_a_dask_client_runs_a_sweep(swept):
    from distributed import Client, LocalCluster

    ds, path, _ = swept
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, protocol="tcp://") as cluster,
        Client(cluster) as client,
    ):
        far = study.sweep(path, seed=[2, 13], frequency=[7e8, 3.5e9], name="x", workers=client)
    xr.testing.assert_identical(far.sel(seed=2)["reach"], ds.sel(seed=2)["reach"])
    assert "an unlucky seed" in far["error"].sel(seed=13, frequency=7e8).item()


def test_an_interrupted_sweep_keeps_what_is_done_and_leaves_no_kernel(tmp_path):
    path = notebook(
        tmp_path / "n.ipynb",
        "import os, time\nfrom twinkit import study\nopen(f'{seed}.pid', 'w').write(str(os.getpid()))",
        "time.sleep(0 if seed == 1 else 300)\nstudy.record(seed=seed)",
    )
    # a background process of a shell ignores Ctrl-C, and its children do
    code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from twinkit import study; "
    code += f"study.sweep({str(path)!r}, seed=[1, 2, 3], workers=1, out='out')"
    child = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, stderr=subprocess.DEVNULL)
    try:
        until(lambda: (tmp_path / "2.pid").exists() and (tmp_path / "2.pid").read_text())
        until(lambda: list((tmp_path / "out").glob("*.ipynb")))
        import signal

        child.send_signal(signal.SIGINT)
        child.wait(timeout=120)
    finally:
        child.kill()
        child.wait()
    assert len(list((tmp_path / "out").glob("*.ipynb"))) == 1
    assert not (tmp_path / "3.pid").exists()
    kernel = int((tmp_path / "2.pid").read_text())
    until(lambda: not alive(kernel))


def test_no_kernel_begins_once_all_were_ended(tmp_path):
    from twinkit.study._kernel import Kernels, execute

    path = notebook(tmp_path / "n.ipynb", "open(f'{seed}.pid', 'w').close()")
    kernels = Kernels()
    kernels.end()
    outcome = execute(path.read_text(), {"seed": 1}, name="n.ipynb", folder=str(tmp_path), kernels=kernels)
    assert "stopped before the kernel began" in outcome.error
    assert not (tmp_path / "1.pid").exists()


def until(true, *, within=60.0):
    end = time.monotonic() + within
    while not true():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.05)


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


# ---------------------------------------------------------------- golden numbers


def test_the_same_results_compare_as_the_same(done, tmp_path):
    run, folder = done
    golden = study.keep(run, tmp_path / "golden.json", absolute={"count": 1})
    for results in (run, folder / "out" / "short.json", folder / "out" / "short.ipynb"):
        found = study.compare(results, golden)
        assert found.ok
        assert found
        found.require()
    entries = json.loads(golden.read_text())["results"]
    assert entries["count"]["absolute"] == 1
    assert entries["mean"]["relative"] == 1e-6


def test_a_changed_number_names_notebook_old_and_new(done, tmp_path):
    run, _ = done
    golden = study.keep(run, tmp_path / "golden.json")
    whole = json.loads(golden.read_text())
    whole["results"]["mean"]["value"] *= 1.001
    whole["results"]["lost"] = {"value": 3}
    whole["results"]["reach"]["values"] = None
    del whole["results"]["reach"]["values"]
    whole["results"]["reach"]["value"]["values"][2] *= 1.1
    del whole["results"]["name"]
    found = study.compare(run, whole)
    assert not found
    assert [c.name for c in found.changes if c.verdict == "changed"] == ["mean", "reach"]
    assert [c.name for c in found.changes if c.verdict == "missing"] == ["lost"]
    assert [c.name for c in found.changes if c.verdict == "new"] == ["name"]
    old, new = whole["results"]["mean"]["value"], run.results["mean"]
    with pytest.raises(TwinError) as told:
        found.require()
    assert "short.ipynb" in str(told.value)
    assert f"{old:.10g}" in str(told.value)
    assert f"{new:.10g}" in str(told.value)


@pytest.mark.parametrize(
    ("entry", "value", "ok"),
    [
        ({"value": 10.0}, 10.0, True),
        ({"value": 10.0}, 10.0000001, False),
        ({"value": 10.0, "absolute": 0.5}, 10.5, True),
        ({"value": 10.0, "absolute": 0.5}, 10.6, False),
        ({"value": 10.0, "relative": 0.1}, 9.0, True),
        ({"value": 10.0, "relative": 0.1}, 8.9, False),
        ({"value": 10, "relative": 0.1}, float("nan"), False),
        ({"value": {"kind": "number", "value": "NaN"}}, float("nan"), True),
        ({"value": {"kind": "number", "value": "Infinity"}}, float("inf"), True),
        ({"value": "a"}, "b", False),
        ({"value": True}, 1, False),
        ({"value": 1}, True, False),
        ({"value": {"kind": "list", "values": ["a", "b"]}}, ["a", "b"], True),
        ({"value": {"kind": "list", "values": ["a", "b"]}}, ["a"], False),
        ({"value": 1.0}, xr.DataArray(1.0), False),
    ],
)
def test_tolerances(entry, value, ok):
    assert study.compare({"x": value}, {"results": {"x": entry}}).ok is ok


def test_coordinates_and_units_count(done):
    run, _ = done
    other = run.results["reach"].assign_coords(place=list("abd"))
    from twinkit.study._results import encoded

    entry = {"value": encoded(run.results["reach"], name="reach"), "relative": 1.0}
    assert study.compare({"reach": run.results["reach"]}, {"results": {"reach": entry}})
    assert not study.compare({"reach": other}, {"results": {"reach": entry}})
    assert not study.compare({"reach": run.results["reach"].assign_attrs(units="km")}, {"results": {"reach": entry}})


def test_golden_numbers_of_other_parameters_are_told(done, tmp_path):
    run, _ = done
    whole = json.loads(study.keep(run, tmp_path / "g.json").read_text())
    whole["parameters"]["seed"] = 8
    assert "parameter seed: was 8, is 7" in str(study.compare(run, whole))


def test_keeping_again_keeps_the_tolerances(done, tmp_path):
    run, _ = done
    study.keep(run, tmp_path / "g.json", relative={"mean": 0.25})
    study.keep(run, tmp_path / "g.json")
    assert json.loads((tmp_path / "g.json").read_text())["results"]["mean"]["relative"] == 0.25


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "no such file"),
        ("", "JSON"),
        ("[]", "under 'results'"),
        ('{"results": {"a": 3}}', "a value and its tolerance"),
        ('{"results": {"a": {"value": 3, "absolute": -1}}}', "a value and its tolerance"),
        ('{"results": {"a": {"value": {"kind": "array"}}}}', "damaged"),
        ('{"notebook": "other.ipynb", "results": {}}', "those of other.ipynb"),
    ],
)
def test_a_missing_or_damaged_golden_file_is_one_message(done, tmp_path, text, words):
    run, _ = done
    if text is not None:
        (tmp_path / "g.json").write_text(text, encoding="utf-8")
    with pytest.raises(TwinError, match=words):
        study.compare(run, tmp_path / "g.json")


# ---------------------------------------------------------------- the report


def executed(tmp_path, *outputs):
    book = nbformat.v4.new_notebook()
    book.cells = [
        nbformat.v4.new_markdown_cell("# Who &lt;is&gt; covered?\n\n| a | b |\n|---|---|\n| 1 | 2 |"),
        nbformat.v4.new_code_cell("secret = 1 < 2", outputs=list(outputs)),
    ]
    nbformat.write(book, tmp_path / "n.ipynb")
    return tmp_path / "n.ipynb"


def test_a_report_folds_the_code_and_shows_the_richest_output(tmp_path):
    bundles = [
        {"text/html": "<table><tr><td>rich</td></tr></table>", "text/plain": "poor"},
        {"image/png": "iVBORw0KGgo=", "text/plain": "Figure: 3 masts"},
        {"text/markdown": "> a **box**"},
        {study.MIME: {"version": 1, "results": {"x": 1}}, "text/plain": "for machines"},
    ]
    outputs = [nbformat.v4.new_output("display_data", data=b) for b in bundles]
    outputs.append(nbformat.v4.new_output("stream", name="stderr", text="a warning"))
    path = study.report(executed(tmp_path, *outputs), tmp_path / "r.html", subject="A & B", cards={"people": "<3"})
    page = path.read_text(encoding="utf-8")
    assert "<title>A &amp; B: Who &lt;is&gt; covered?</title>" in page
    assert "<details><summary>code</summary><pre><code>secret = 1 &lt; 2</code></pre></details>" in page
    assert "rich" in page
    assert "poor" not in page
    assert '<img alt="Figure: 3 masts" src="data:image/png;base64,iVBORw0KGgo=">' in page
    assert "<strong>box</strong>" in page
    assert "for machines" not in page
    assert "a warning" not in page
    assert "<td>1</td>" in page
    assert "<b>&lt;3</b><span>people</span>" in page


def test_a_persian_report_reads_from_the_right(tmp_path):
    page = study.report(executed(tmp_path), tmp_path / "r.html", language="fa").read_text(encoding="utf-8")
    assert '<html lang="fa" dir="rtl">' in page


def test_a_report_of_no_notebook_is_one_message(tmp_path):
    (tmp_path / "n.ipynb").write_text("{}")
    with pytest.raises(TwinError, match="an executed notebook"):
        study.report(tmp_path / "n.ipynb", tmp_path / "r.html")
    with pytest.raises(TwinError, match="can be written"):
        study.report(executed(tmp_path), tmp_path / "n.ipynb" / "r.html")


# ---------------------------------------------------------------- what a report lets through

HOSTILE = (
    "<script>alert(1)</script><img src=x onerror=alert(2)><b>x</b> | [a](javascript:alert(3)) ![t](http://e/p.png)"
)


class Elements(HTMLParser):
    """Every element of a page with its attributes."""

    def __init__(self, page):
        super().__init__()
        self.found = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


def harmless(page):
    """Raise where anything in the page can act or fetch."""
    for tag, attrs in Elements(page).found:
        assert tag not in {"script", "iframe", "object", "embed", "form", "input", "svg", "base", "link", "template"}
        assert not [name for name in attrs if name.startswith("on")], (tag, attrs)
        assert re.match("data:image/", attrs.get("src", "data:image/")), (tag, attrs)
        assert re.match("https?://|mailto:|#", attrs.get("href", "#")), (tag, attrs)


@pytest.mark.parametrize(
    "bundle",
    [
        {"text/html": HOSTILE},
        {"text/html": f"</div></main>{HOSTILE}<style>*{{display:none}}</style><svg onload=alert(1)><b>"},
        {"text/html": '<a href="java&#10;script:alert(1)" onclick=x>a</a><p style="position:fixed">b'},
        {"text/html": '<noscript><p title="</noscript><img src=x onerror=alert(1)>"></noscript><!-- <script> -->'},
        {"text/html": "<svg><style><img src=x onerror=alert(1)></style></svg>", "text/plain": "<svg> in words"},
        {"text/markdown": HOSTILE},
        {"text/plain": HOSTILE},
        {"image/svg+xml": f"<svg onload=alert(1)>{HOSTILE}</svg>", "text/plain": HOSTILE},
        {"image/png": '"><script>alert(1)</script>', "text/plain": HOSTILE},
    ],
)
def test_nothing_that_a_cell_shows_acts_in_a_report(tmp_path, bundle):
    path = executed(tmp_path, nbformat.v4.new_output("display_data", data=bundle))
    page = study.report(path, tmp_path / "r.html", subject=HOSTILE, cards={HOSTILE: HOSTILE}, notes=HOSTILE).read_text()
    harmless(page)
    assert "default-src 'none'" in next(
        a["content"] for tag, a in Elements(page).found if a.get("http-equiv") == "Content-Security-Policy"
    )
    # what an output leaves open ends with it, and what it closes was its own
    assert page.count("<main>") == page.count("</main>") == 1
    assert page.index("</main>") > page.index("<footer>")


def test_a_form_that_the_page_cannot_hold_gives_way_to_the_text(tmp_path):
    rich = {"text/html": "<svg></svg><input type=checkbox><b>rich</b>", "text/plain": "in words"}
    path = executed(tmp_path, nbformat.v4.new_output("display_data", data=rich))
    page = study.report(path, tmp_path / "r.html").read_text()
    assert "<pre>in words</pre>" in page
    assert "rich</b>" not in page


def test_a_browser_runs_nothing_of_a_hostile_report(tmp_path):
    playwright = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium")
    if not chromium:
        pytest.skip("no chromium here")
    outputs = [{"text/html": HOSTILE}, {"text/markdown": HOSTILE}, {"image/svg+xml": f"<svg>{HOSTILE}</svg>"}]
    path = executed(tmp_path, *(nbformat.v4.new_output("display_data", data=o) for o in outputs))
    page = study.report(path, tmp_path / "r.html", subject=HOSTILE)
    # and were the rewriting to fail, the policy holds
    raw = tmp_path / "raw.html"
    raw.write_text(page.read_text().replace("</main>", f"{HOSTILE}</main>"))
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        try:
            for file in (page, raw):
                seen, opened = [], browser.new_page()
                opened.on("dialog", lambda d, seen=seen: (seen.append(d.message), d.dismiss()))
                opened.on("request", lambda r, seen=seen: r.url.startswith("http") and seen.append(r.url))
                opened.goto(file.as_uri())
                opened.wait_for_timeout(300)
                assert seen == []
                acting = (
                    "[...document.querySelectorAll('*')].filter(e => [...e.attributes].some(a => /^on/.test(a.name)))"
                )
                if file == page:
                    assert opened.evaluate(f"{acting}.length + document.scripts.length") == 0
        finally:
            browser.close()
