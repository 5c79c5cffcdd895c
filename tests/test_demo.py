"""The demo from end to end, small: a region's twin, the study, the report; and the study's golden numbers."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import nbformat
import numpy as np
import pytest
import xarray as xr

import twinkit as tk
from twinkit import TwinError, study
from twinkit.cli import main
from twinkit.cli._places import notebook
from twinkit.cli._regression import regressions, source_of

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The folder that the command leaves, and what it printed."""
    out = tmp_path_factory.mktemp("demo") / "out"
    command = [sys.executable, "-m", "twinkit", "demo", "--small", "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return out, done.stdout, done.stderr


def test_the_table_is_short_and_says_what_to_type_next(made):
    _, printed, _ = made
    found = ["people", "radio sites", "people covered now", "worst served places", "people gained by eight new sites"]
    for row in [*found, "seconds", "peak memory"]:
        assert f"│ {row} " in printed, row
    assert "twinkit info" in printed
    assert "twinkit dashboard" in printed


def test_a_file_of_what_is_said_holds_a_line_for_each_step_and_no_bar(made):
    _, printed, errors = made
    assert errors == ""
    assert [line[:3] for line in printed.splitlines()[:4]] == ["1/4", "2/4", "3/4", "4/4"]


def test_whoever_counts_sites_reads_why_some_have_no_cells(made):
    twin = tk.open(made[0] / "shimla.twin")
    every, bearing = twin["sites"].sizes["site"], len(set(twin["cells"]["site"].values))
    assert every == bearing + 2
    assert re.search(rf"│ radio sites .*│ {bearing} of {every} sites", made[1])
    assert f"{bearing} radio sites ({every} sites with exchange and data centre)." in (
        made[0] / "report.html"
    ).read_text(encoding="utf-8")


def test_store_results_maps_and_report_are_left(made):
    out, printed, _ = made
    assert {p.name for p in out.iterdir()} == {
        "shimla.twin", "coverage.ipynb", "maps", "report.html", "results.json",
    }  # fmt: skip
    twin = tk.open(out / "shimla.twin")
    assert tk.verify(out / "shimla.twin")
    results = study.recorded(out / "results.json")
    assert results["people"] == pytest.approx(float(twin["surface/people"].sum(dtype=float)))
    whole = json.loads((out / "results.json").read_text())
    assert whole["commits"] == {"store": twin.encoding["head"]}
    assert results["twin"]["head"] == twin.encoding["head"]
    assert 100e6 < whole["demo"]["peak_memory"] < 2e9
    assert f"{whole['demo']['peak_memory'] / 1e6:,.0f} MB" in printed
    assert whole["demo"]["maps"] == sorted(p.name for p in (out / "maps").iterdir())
    assert len(whole["demo"]["maps"]) >= 4


def test_the_report_stands_by_itself_and_describes_its_figures(made):
    page = (made[0] / "report.html").read_text(encoding="utf-8")
    assert "Shimla, India" in page
    images = re.findall(r"<img[^>]*>", page)
    assert len(images) >= 4
    for image in images:
        alt = re.search(r'alt="([^"]*)"', image)[1]
        assert len(re.findall(r"\d", alt)) >= 3, alt  # numbers, not "a map"
        assert 'src="data:image/png;base64,' in image
    assert "<script" not in page
    assert not re.search(r'(src|href)="(?!data:|https://doi\.org/)', page)
    folded = re.sub(r"<details>.*?</details>", "", page, flags=re.DOTALL)
    assert "import twinkit" in page
    assert "import twinkit" not in folded
    for kind in ("measured", "modelled", "generated"):
        assert f"<b>{kind}" in folded
    assert "commit " + tk.open(made[0] / "shimla.twin").encoding["head"][:12] in folded


def test_the_numbers_are_the_golden_ones(made):
    """The study on the stored twin finds what it finds on the twin that was never stored."""
    found = study.compare(study.recorded(made[0] / "results.json"), GOLDEN / "coverage.json", notebook="coverage.ipynb")
    found.require()


def test_the_numbers_agree_with_each_other(made):
    r = study.recorded(made[0] / "results.json")
    assert r["people_covered"] == pytest.approx(r["share_covered"] * r["people"])
    assert (r["share_after"] - r["share_covered"]) * r["people"] == pytest.approx(r["people_gained"], rel=1e-6)
    assert float(r["gained_by_site"].sum()) == pytest.approx(r["people_gained"])
    assert r["people_gained"] <= r["people_bound"] * (1 + 1e-9)
    assert r["share_by_shift"] == sorted(r["share_by_shift"], reverse=True)
    assert r["share_by_shift"][2] == r["share_covered"]


def test_the_demo_needs_no_network(tmp_path):
    if not shutil.which("unshare") or subprocess.run(["unshare", "-rn", "true"], check=False).returncode:
        pytest.skip("this system lets nobody make a network of his own (unshare -rn)")
    command = ["unshare", "-rn", sys.executable, "-m", "twinkit", "demo", "--region", "RW:Kigali", "--radius", "8000"]
    done = subprocess.run([*command, "--out", str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "report.html").is_file()


def test_an_unknown_place_leaves_nothing(tmp_path):
    command = [sys.executable, "-m", "twinkit", "demo", "--region", "IN:Shimlaa", "--out", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "Shimla" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


# ---------------------------------------------------------------- the notebook


def test_the_notebook_is_stripped_and_its_cells_keep_their_names():
    book = nbformat.read(notebook("coverage"), as_version=4)
    nbformat.validate(book)
    assert all(not c.get("outputs") and c.get("execution_count") is None for c in book.cells)
    ids = [c.id for c in book.cells]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[a-z][a-z-]+", i) for i in ids)


def test_a_model_of_your_own_and_a_stored_twin_are_taken(made, tmp_path):
    (tmp_path / "mine.py").write_text("def loss(distance):\n    return 60.0\n")
    run = study.run(
        notebook("coverage"), folder=tmp_path, path_loss="mine.loss", store=str(made[0] / "shimla.twin"), small=True
    )
    assert run.results["share_covered"] == pytest.approx(1.0)
    assert run.results["people_gained"] == 0


def test_names_in_a_store_are_shown_and_never_obeyed(made, tmp_path):
    """A store may come from anybody: what it calls itself and its places is text, in notebook and report."""
    hostile = "<script>alert(1)</script><img src=x onerror=alert(2)> a|b $\\frac$ \x1b[2J"
    twin = tk.open(made[0] / "shimla.twin").load()
    twin.attrs = {**twin.attrs, "title": hostile}
    places = twin["places"].to_dataset(inherit=False)
    places["name"] = places["name"].copy(data=np.full(places.sizes["place"], hostile, dtype=object))
    surface = twin["surface"].to_dataset(inherit=False)
    surface["people"].attrs["provenance"] = hostile
    twin["places"], twin["surface"] = xr.DataTree(places), xr.DataTree(surface)
    tk.save(twin, tmp_path / "hostile.twin", message=hostile.replace("\x1b", ""))
    choices = ["-p", f"store={tmp_path / 'hostile.twin'}", "-p", "small=true"]
    with pytest.raises(SystemExit) as ended:
        main(["run", "coverage", *choices, "--report", "--out", str(tmp_path)])
    assert not ended.value.code
    for cell in nbformat.read(tmp_path / "coverage.ipynb", as_version=4).cells:
        for output in cell.get("outputs", []):
            for kind in ("text/html", "text/markdown"):
                assert not re.search("<(script|img src=x)", output.get("data", {}).get(kind, "")), cell.id
    page = (tmp_path / "coverage.html").read_text(encoding="utf-8")
    elements = []
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, attrs: elements.append((tag, dict(attrs)))
    parser.feed(page)
    assert "script" not in {tag for tag, _ in elements}
    assert not [a for _, a in elements if any(name.startswith("on") for name in a) or a.get("src") == "x"]
    assert "&lt;script&gt;alert(1)" in page  # it is shown: a reader sees what the store says


# ---------------------------------------------------------------- the regression


def test_every_golden_file_has_its_notebook():
    files = sorted(GOLDEN.glob("*.json"))
    assert {source_of(p).name for p in files} >= {"coverage.ipynb"}
    for path in files:
        assert source_of(path).exists()
        # where a notebook has a small form, that is what the regression runs unless its full one takes as little time
        assert study.expected(path)["parameters"].get("small", True) or path.stem in {"delay", "remaining_life"}
    regions = {study.expected(p)["parameters"]["region"] for p in files if p.name.startswith("coverage")}
    assert regions == {"IN:Shimla", "RW:Kigali", "IR:Tehran"}


def test_a_changed_number_is_told_with_its_notebook(tmp_path, monkeypatch):
    text = (GOLDEN / "coverage.json").read_text(encoding="utf-8")
    whole = json.loads(text)
    whole["results"]["people"]["value"] += 1000
    (tmp_path / "coverage.json").write_text(json.dumps(whole), encoding="utf-8")
    numbers = {k: tk.study._results.decoded(v["value"]) for k, v in json.loads(text)["results"].items()}

    def run(path, given, folder):
        return study.Run(path.name, dict(given), numbers, 1.0, 1, {}, {}, "", "")

    monkeypatch.setattr(study, "run", run)
    ((name, found),) = regressions(tmp_path, ["coverage"], update=False)
    assert name == "coverage"
    assert [c.name for c in found.changes if c.verdict == "changed"] == ["people"]
    assert "coverage.ipynb" in repr(found)
    ((_, again),) = regressions(tmp_path, ["coverage"], update=True)
    assert again.ok


def test_golden_numbers_that_are_missing_are_made(tmp_path, monkeypatch):
    def run(path, given, folder):
        return study.Run(path.name, dict(given), {"people": 3.0}, 1.0, 1, {}, {}, "", "")

    monkeypatch.setattr(study, "run", run)
    assert all(found.ok for _, found in regressions(tmp_path, ["coverage"], update=True))
    assert study.expected(tmp_path / "coverage.json")["results"]["people"]["value"] == 3.0
    with pytest.raises(TwinError, match="a notebook of that name"):
        list(regressions(tmp_path, ["no-notebook"], update=True))


def test_a_missing_or_stray_golden_file_is_one_message(tmp_path):
    with pytest.raises(TwinError, match="golden numbers for every research notebook"):
        list(regressions(tmp_path, [], update=False))
    with pytest.raises(TwinError, match=r"no other\.json.*regression other --update"):
        list(regressions(tmp_path, ["other"], update=False))
    (tmp_path / "other.json").write_text("{}")
    with pytest.raises(TwinError, match="a notebook of that name"):
        list(regressions(tmp_path, ["other"], update=False))
