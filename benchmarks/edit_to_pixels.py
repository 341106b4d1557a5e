"""Edit to pixels: from `m.add` of a changed chain to the last of 24 tiles, over HTTP and in JupyterLab with Chromium.

Three kinds of change: the function's text (a new worker), one of its arguments (the same worker), and the same
arithmetic of built-in steps, without any function. Prints Markdown; `docs/reference/benchmarks-functions.md`
has a run of it.
"""

from __future__ import annotations

import argparse
import json
import linecache
import math
import os
import platform
import shutil
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from statistics import median
from threading import local
from typing import Any

import httpx
from playwright.sync_api import Browser, sync_playwright

import earthloom as el

CHECKOUT = Path(__file__).parents[1]
sys.path.insert(0, str(CHECKOUT / "tests" / "browser"))

from conftest import Demo, Notebook, run_demo  # noqa: E402 - the demo machinery of the browser tests

KINDS = {"function": "the function", "argument": "an argument", "steps": "built-in steps"}
CONNECTIONS = 6  # a browser opens so many to a server
ZOOM, COLUMN, ROW, WIDE, HIGH = 15, 9499, 12672, 6, 4  # the 24 tiles, which the scene fills

# What a person has in the notebook; {n} is what the edit changes.
CHAINS = """
scene = el.ImageCollection("sentinel2-coast").mosaic()[["B04", "B08"]]
red_band, nir_band = (el.ImageCollection("sentinel2-coast").mosaic()[band] for band in ("B04", "B08"))

def greenness(img, strength=1.0):
    red, nir = img
    return strength * (nir - red) / (nir + red)

def shown(chain):
    m.add(chain.color("viridis", vmin=0, vmax=1), name="edited")
"""
FUNCTION = """
def edited(img):
    red, nir = img
    return {n} * (nir - red) / (nir + red)
"""
EDIT = {
    "function": "shown(scene.execute(edited))",
    "argument": "shown(scene.execute(greenness, strength={n}))",
    "steps": "shown((nir_band - red_band) / (nir_band + red_band) * {n})",
}
# In the page: when every tile of a chain that was not there before is drawn; null while it is not.
WATCH = """(most) => {
    const keyOf = (img) => img.src.split("/tiles/")[1]?.split("/")[0];
    const tiles = () => [...document.querySelectorAll(".leaflet-container img.leaflet-tile")];
    const before = new Set(tiles().map(keyOf));
    window.drawn = null;
    (function look() {
        const news = tiles().filter((img) => keyOf(img) && !before.has(keyOf(img)));
        const there = news.length >= most && news.every((img) => img.complete && img.naturalWidth > 0);
        if (there) window.drawn = { at: (performance.timeOrigin + performance.now()) / 1000, tiles: news.length };
        else requestAnimationFrame(look);
    })();
}"""


@dataclass(frozen=True, slots=True)
class Edit:
    """One change: its kind, milliseconds of `m.add`, milliseconds from its begin to the last tile, tiles."""

    kind: str
    added_ms: float
    drawn_ms: float
    tiles: int


def edits(count: int) -> list[tuple[str, float]]:
    """The changes, all kinds in turn; the first of each kind is not counted."""
    return [(kind, 1 + i / 1000) for i in range(count + 1) for kind in KINDS]


def centre() -> tuple[float, float]:
    """Latitude and longitude of the point in the middle of the tiles."""
    x, y = (COLUMN + WIDE / 2) / 2**ZOOM, (ROW + HIGH / 2) / 2**ZOOM
    return math.degrees(math.atan(math.sinh(math.pi * (1 - 2 * y)))), 360 * x - 180


def over_http(engine: str, count: int) -> list[Edit]:
    """A client in Python: `m.add`, then the tiles over six connections that stay open."""
    session = el.connect(engine)
    space: dict[str, Any] = {"el": el, "m": el.Map(center=centre(), zoom=ZOOM)}
    _run(CHAINS, space, "chains")
    own = local()

    def tile(address: str) -> int:
        if not hasattr(own, "client"):
            own.client = httpx.Client(trust_env=False)
        return int(own.client.get(address).raise_for_status().status_code)

    places = list(product(range(COLUMN, COLUMN + WIDE), range(ROW, ROW + HIGH)))
    done = []
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        for i, (kind, number) in enumerate(edits(count)):
            _run(FUNCTION.format(n=number), space, f"function {i}")
            began = time.perf_counter()
            _run(EDIT[kind].format(n=number), space, f"edit {i}")
            added = time.perf_counter()
            url = space["m"].layers[-1].url
            addresses = [url.format(z=ZOOM, x=x, y=y) for x, y in places]
            assert set(pool.map(tile, addresses)) == {200}
            drawn = time.perf_counter()
            done.append(Edit(kind, 1e3 * (added - began), 1e3 * (drawn - began), len(places)))
    session.close()
    return done[len(KINDS) :]


def notebook(file: Path) -> None:
    """A notebook of three cells: the chains, the map, and an empty one to edit."""
    shown = f"m = el.Map(center={centre()}, zoom={ZOOM}, height=800)\nm.layout.width = '1300px'\nm"
    cells = [
        {"cell_type": "code", "id": f"c{i}", "metadata": {}, "outputs": [], "execution_count": None, "source": text}
        for i, text in enumerate([f"import time\nimport earthloom as el\n{CHAINS}", shown, ""])
    ]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    file.write_text(json.dumps({"cells": cells, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}), "utf-8")


def in_browser(demo: Demo, name: str, browser: Browser, count: int) -> list[Edit]:
    """A person at the notebook: edits the last cell and runs it, which prints when `m.add` began and when it ended."""
    page = browser.new_page(viewport={"width": 1900, "height": 1900})  # JupyterLab keeps only cells in view
    opened = Notebook(page, demo, name)
    opened.run_cell(0)
    opened.run_cell(1)
    opened.map.locator(".el-layer").first.wait_for(timeout=60_000)
    page.wait_for_timeout(3000)
    done = []
    for kind, number in edits(count):
        edit = f"began = time.time()\n{EDIT[kind].format(n=number)}\nprint(began, time.time())"
        opened.write_cell(2, FUNCTION.format(n=number) + edit)
        page.evaluate(WATCH, WIDE * HIGH)
        began, added = (float(text) for text in opened.run_cell(2).split())
        drawn = page.wait_for_function("window.drawn", timeout=60_000).json_value()
        done.append(Edit(kind, 1e3 * (added - began), 1e3 * (drawn["at"] - began), drawn["tiles"]))
        page.wait_for_timeout(300)  # Leaflet fades tiles in
    page.close()
    return done[len(KINDS) :]


def table(http: list[Edit], browser: list[Edit]) -> str:
    """Medians, with the slowest in brackets."""
    lines = [
        "| changed | `m.add` | 24 tiles over HTTP | `m.add` in JupyterLab | 24 tiles in the browser |",
        "|---|---|---|---|---|",
    ]
    for kind, name in KINDS.items():
        cells = [name]
        for done in (http, browser):
            for figure in ("added_ms", "drawn_ms"):
                values = [getattr(edit, figure) for edit in done if edit.kind == kind]
                cells.append(f"{median(values):.0f} ({max(values):.0f})" if values else "")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--edits", type=int, default=9, help="of each kind")
    count = parser.parse_args().edits
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "edits.ipynb"
        notebook(file)
        (Path(folder) / "checkout").mkdir()
        with run_demo(Path(folder) / "checkout", file) as demo:
            http = over_http(demo.engine, count)
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
                seen = in_browser(demo, file.name, browser, count)
                browser.close()
    assert {edit.tiles for edit in seen} == {WIDE * HIGH}
    machine = f"{os.cpu_count()} cores ({platform.machine()}), load {os.getloadavg()[0]:.1f}"
    print(f"{machine}, Python {platform.python_version()}.")
    print(f"Milliseconds from the begin of `m.add`; medians of {count} edits, the slowest in brackets.\n")
    print(table(http, seen))


def _run(text: str, space: dict[str, Any], name: str) -> None:
    """Execute a text as a notebook does, so that the source of its functions can be found."""
    file = f"<{name}>"
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
    exec(compile(text, file, "exec"), space)


if __name__ == "__main__":
    main()
