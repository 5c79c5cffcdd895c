"""A mast dragged in a real browser, from the pointer's event to the picture on the page.

`drag-coarse` is the picture while the mast is on its way, `drag-fine` the one of all pixels after the last movement:
1 000 × 1 000 pixels, 60 sites of three cells, 3GPP's rural macro model (with ``--quick`` 400 × 400 and 20 sites). The
column *peer* has what was asked. The rows that end in ``-server`` are the server's share: the answer alone, without
browser, socket or page. Server and browser share the machine's cores. `benchmarks.participate` has the work `pins`.
"""

from __future__ import annotations

import contextlib
import math
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks import Row, main, seconds
from benchmarks.coverage import twin_of

if TYPE_CHECKING:
    from collections.abc import Iterator

COARSE, FINE = 0.15, 1.0
"""[s] that were asked."""
PATIENCE = 120
SITE = "s7"

WATCH = """() => {
    const models = [...Bokeh.documents[0]._all_models.values()];
    const tables = models.filter(m => m.type === 'ColumnDataSource');
    const held = tables.find(m => m.data.phase !== undefined);
    const seen = tables.find(m => m.data.dw !== undefined && m.js_property_callbacks['change:data'] !== undefined);
    const began = {}, done = [];
    let moved = 0;
    // before anybody else hears of it
    window.addEventListener('pointermove', event => { moved = performance.now() }, {capture: true});
    window.addEventListener('mousemove', event => { moved = performance.now() }, {capture: true});
    held.properties.data.change.connect(() => { began[held.data.number[0]] = moved });
    seen.properties.data.change.connect(() => {
        const number = seen.data.number[0], pixels = seen.data.image[0].length;
        // painted when the frame after the next one begins
        requestAnimationFrame(() => requestAnimationFrame(
            () => done.push({number, pixels, taken: performance.now() - began[number]})));
    });
    window.drags = done;
    window.masts = () => {
        const figure = models.find(m => m.type === 'Figure');
        const masts = tables.find(m => m.data.colour !== undefined).data, i = [...masts.site].indexOf('SITE');
        const {x_range: x, y_range: y, inner_width: width, inner_height: height} = figure;
        return [(masts.x[i] - x.start) / (x.end - x.start) * width, (y.end - masts.y[i]) / (y.end - y.start) * height];
    };
}""".replace("SITE", SITE)


def made(size: int, sites: int) -> Any:
    """A twin with people in villages on fractal ground."""
    import twinkit as tk

    twin = twin_of(size, 3 * sites)
    rng = np.random.default_rng(1)
    surface = twin["surface"].to_dataset()
    y, x = np.meshgrid(surface.y.values, surface.x.values, indexing="ij")
    people = np.zeros((size, size), np.float32)
    for east, north, many in zip(*rng.uniform(x[0, 0], x[0, -1], (2, 40)), rng.gamma(0.5, 8.0, 40), strict=True):
        people += many * np.exp(-((x - east) ** 2 + (y - north) ** 2) / 9e5).astype(np.float32)
    said = {"provenance": "generated: seed 1"}
    return tk.extend(twin, surface=surface.assign(people=(("y", "x"), people, said)))


@contextlib.contextmanager
def served(store: Path) -> Iterator[str]:
    """The address of the app in a process of its own."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    command = [sys.executable, "-W", "ignore", "-m", "twinkit", "dashboard", str(store), "--app", "plan"]
    server = subprocess.Popen([*command, "--port", str(port)], stdout=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}/plan"
    try:
        for _ in range(4 * PATIENCE):
            with contextlib.suppress(OSError), urllib.request.urlopen(address, timeout=PATIENCE):
                break
            if server.poll() is not None:
                raise RuntimeError("twinkit dashboard ended")
            time.sleep(0.25)
        yield address
    finally:
        server.terminate()
        server.wait()


def chromium() -> str:
    for name in ("chromium", "chromium-browser", "google-chrome"):
        found = shutil.which(name, path=os.pathsep.join([os.defpath, "/usr/bin", "/usr/local/bin"]))
        if found:
            return found
    raise SystemExit("no program 'chromium' on this machine: make system installs it")


def dragged(address: str, moves: int, whole: int) -> tuple[list[float], list[float]]:
    """Seconds from each movement to its coarse picture, and from the last one of a drag to its fine picture."""
    from playwright.sync_api import sync_playwright

    coarse, fine = [], []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1440, "height": 1000})
        page.goto(address, timeout=1000 * PATIENCE)
        page.get_by_text("Fine picture").wait_for(timeout=1000 * PATIENCE)
        page.evaluate(WATCH)
        page.locator(".bk-Figure").first.scroll_into_view_if_needed()
        box = page.locator(".bk-Figure").first.bounding_box()
        if box is None:
            raise RuntimeError("no map on the page")
        for turn in range(moves + 1):  # the first warms up
            page.evaluate("window.drags.length = 0")
            east, south = page.evaluate("window.masts()")
            x, y = box["x"] + east, box["y"] + south
            way = 1 if turn % 2 else -1
            page.mouse.move(x, y)
            page.mouse.down()
            for step in range(1, 13):
                page.mouse.move(x + way * 4 * step, y + way * 2 * step)
                page.wait_for_timeout(40)
            # hold still: the fine picture comes before the mast is let go
            page.wait_for_function(
                f"() => window.drags.some(d => d.pixels === {whole} && d.number > 0)", timeout=1000 * PATIENCE
            )
            page.wait_for_timeout(100)
            found = page.evaluate("window.drags")
            page.mouse.up()
            page.wait_for_timeout(1200)  # what this drag asked for comes to its end
            if turn:
                coarse += [d["taken"] / 1e3 for d in found if d["pixels"] < whole]
                last = [d["taken"] / 1e3 for d in found if d["pixels"] == whole]
                fine.append(last[-1])
        browser.close()
    return coarse, fine


def answered(twin: Any, *, rounds: int) -> list[float]:
    """Seconds of the server's answers alone, coarse and fine, each to a new place of the mast."""
    import twinkit as tk
    from twinkit.view.dashboard.plan_edits import Edit
    from twinkit.view.dashboard.plan_state import Plan

    plan = Plan(twin, path_loss=tk.radio.rma)
    plan.coarse()
    plan.fine()
    at = twin["sites"].to_dataset().sel(site=SITE)

    def place(number: int) -> Edit:
        return Edit("move", SITE, {"x": float(at.x) + 100.0 * (number % 7), "y": float(at.y)})

    return seconds(lambda n: plan.coarse(place(n)), lambda n: plan.fine(place(n)), rounds=rounds, warm=2)


def rows(*, quick: bool) -> Iterator[Row]:
    """Medians of drags."""
    import twinkit as tk

    size, sites, moves = (400, 20, 3) if quick else (1000, 60, 12)
    twin = made(size, sites)
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "wide.twin"
        tk.save(twin, store, message="made for the benchmark")
        with served(store) as address:
            coarse, fine = dragged(address, moves, size * size)
    yield Row("drag-coarse", statistics.median(coarse), COARSE, "asked", "s", "lower")
    yield Row("drag-coarse-worst", max(coarse), math.nan, "", "s", "lower")
    yield Row("drag-fine", statistics.median(fine), FINE, "asked", "s", "lower")
    yield Row("drag-fine-worst", max(fine), math.nan, "", "s", "lower")
    alone = answered(twin, rounds=5 if quick else 20)
    yield Row("drag-coarse-server", alone[0], math.nan, "", "s", "lower")
    yield Row("drag-fine-server", alone[1], math.nan, "", "s", "lower")


if __name__ == "__main__":
    raise SystemExit(main(rows))
