"""The demo: a real region's twin, a study on it, a report; in the words of a planner."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from twinkit.cli._places import notebook, region_of, same_region, silent, spoken, store_name

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from twinkit.study import Run

__all__ = ["Demo", "demo"]


@dataclass(frozen=True)
class Demo:
    """What the demo left, and what it cost."""

    title: str
    run: Run
    store: Path
    report: Path
    results: Path
    maps: list[Path]
    seconds: float
    peak_memory: int
    among: str = ""

    def rows(self) -> list[tuple[str, str]]:
        """The short table: what a number means, and the number."""
        found = self.run.results
        worst = ", ".join(
            f"{n} {100 * s:.0f}%" for n, s in zip(found["worst_places"][:5], found["worst_served"].values, strict=False)
        )
        return [
            ("people", _people(found["people"])),
            ("radio sites", f"{found['sites']:,}{self.among}"),
            ("people covered now", f"{_people(found['people_covered'])} ({found['share_covered']:.1%})"),
            ("worst served places", worst or "none listed"),
            (
                f"people gained by {_counted(found['new_sites'])}",
                f"{_people(found['people_gained'])} (then {found['share_after']:.1%})",
            ),
            ("seconds", f"{self.seconds:.0f}"),
            ("peak memory", f"{self.peak_memory / 1e6:,.0f} MB"),
        ]


def _people(number: float) -> str:
    """A head count as one says it: results.json holds the digits that mean nothing."""
    return f"{float(f'{number:.3g}'):,.0f}"


def _counted(sites: int) -> str:
    words = ["no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
    return f"{words[sites] if sites < len(words) else sites} new site{'' if sites == 1 else 's'}"


def demo(
    region: str,
    *,
    radius: float,
    seed: int,
    out: Path,
    towers: Path | None = None,
    terrain: Path | None = None,
    small: bool = False,
    language: str = "en",
    say: Callable[[str], None] = print,
) -> Demo:
    """Build a region's twin, save it, run the coverage study on it, and write the report.

    Parameters
    ----------
    region : str
        As `twinkit.datasets.region` takes it.
    radius : float [m]
    seed : int
    out : path of a folder
        For the store, the executed notebook, report.html, maps/ and results.json.
    towers, terrain : path, optional
        Replace the generated network and relief.
    small : bool
        A small region, for a look that takes seconds.
    language : str
        Of the figures' labels.
    say : callable
        Takes one line about each step as it begins.

    Returns
    -------
    Demo

    Errors
    ------
    TwinError
        As the steps.
    """
    import twinkit as tk
    from twinkit.study._kernel import peak_memory

    begun = time.perf_counter()
    if small:
        radius = min(radius, 15e3)
    say(f"1/4  building the twin of {region}")
    twin = region_of(region, radius=radius, seed=seed, towers=towers, terrain=terrain)
    title = str(twin.attrs["title"])
    path = out / f"{store_name(twin)}.twin"
    same_region(path, twin, option="--out", place_alone=True)
    width, height = (float(twin["surface"][d].max() - twin["surface"][d].min()) / 1e3 for d in ("x", "y"))
    say(f"2/4  saving it as {path} ({width:.0f} by {height:.0f} km)")
    every = twin["sites"].sizes["site"]
    among = f" of {every:,} sites (exchange and data centre have no cells)" if silent(twin, "sites") else ""
    tk.save(twin, path, message=spoken(twin))
    del twin
    say("3/4  running the study on it (notebooks/coverage.ipynb)")
    maps = out / "maps"
    run = tk.study.run(
        notebook("coverage"),
        out=out,
        region=region,
        radius=radius,
        seed=seed,
        store=str(path),
        maps=str(maps),
        language=language,
        small=small,
    )
    say("4/4  writing the report")
    # both processes are alive at once, so their peaks add up
    done = Demo(
        title=title,
        run=run,
        store=path,
        report=out / "report.html",
        results=out / "results.json",
        maps=sorted(maps.glob("*.png")),
        seconds=time.perf_counter() - begun,
        peak_memory=run.peak_memory + peak_memory(),
        among=among,
    )
    _write(done, out)
    return done


def _write(done: Demo, out: Path) -> None:
    from twinkit import study
    from twinkit.study._run import kept

    found = done.run.results
    cards: dict[str, str] = {
        "people live here": _people(found["people"]),
        "are covered now": f"{found['share_covered']:.1%}",
        f"gained by {_counted(found['new_sites'])}": _people(found["people_gained"]),
        "would be covered then": f"{found['share_after']:.1%}",
    }
    commit = done.run.commits.get("store", "")[:12]
    used = ", ".join(f"{k} {v}" for k, v in done.run.versions.items())
    study.report(
        out / "coverage.ipynb",
        done.report,
        subject=done.title,
        cards=cards,
        notes=f"Twin {done.store.name}, commit {commit}; seed {done.run.parameters['seed']}; {used}.",
    )
    record: dict[str, Any] = json.loads((out / "coverage.json").read_text(encoding="utf-8"))
    whole = {"title": done.title, "seconds": round(done.seconds, 1), "peak_memory": done.peak_memory}
    record["demo"] = whole | {"store": done.store.name, "maps": [m.name for m in done.maps]}
    kept(done.results, json.dumps(record, indent=1, ensure_ascii=False) + "\n")
    (out / "coverage.json").unlink()
