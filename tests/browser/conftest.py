"""The real demo in a folder of its own, and a Chromium that looks at its JupyterLab."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Locator, Page, Route, TimeoutError

CHECKOUT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Demo:
    """A running demo: addresses of engine and JupyterLab, and the pack that it reads."""

    engine: str
    lab: str
    token: str
    pack: Path


@contextlib.contextmanager
def run_demo(copy: Path, *notebooks: Path) -> Iterator[Demo]:
    """`earthloom demo` of a copy of the checkout, so that files may be broken and the user's own demo is left alone.

    Parameters
    ----------
    copy
        An empty folder.
    notebooks
        Further notebooks that JupyterLab shows beside the tutorials.
    """
    (copy / "src").symlink_to(CHECKOUT / "src")
    shutil.copytree(CHECKOUT / "examples", copy / "examples", ignore=shutil.ignore_patterns(".ipynb_checkpoints"))
    for notebook in notebooks:
        shutil.copy(notebook, copy / "examples")
    env = os.environ | {"PYTHONPATH": str(copy / "src"), "HEADLESS": "1", "IPYTHONDIR": str(copy / "ipython")}
    process = subprocess.Popen(
        [sys.executable, "-m", "earthloom", "demo", "--no-browser", "--port", "0"],
        cwd=copy,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    found: dict[str, str] = {}
    said = ""
    try:
        for line in process.stdout:
            said += line
            if match := re.match(r"(Engine|JupyterLab) +(http\S+)", line):
                found[match[1]] = match[2]
            if line.startswith("Ready."):
                break
        assert set(found) == {"Engine", "JupyterLab"}, said
        page = urlsplit(found["JupyterLab"])
        token = page.query.removeprefix("token=")
        yield Demo(found["Engine"], f"{page.scheme}://{page.netloc}", token, copy / "examples" / "demo_pack")
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(40)
        finally:
            process.stdout.close()


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """The demo, one for a worker; with the notebooks of this folder."""
    with run_demo(tmp_path_factory.mktemp("checkout"), *Path(__file__).parent.glob("*.ipynb")) as running:
        yield running


class Notebook:
    """A notebook in JupyterLab, opened in a page of its own."""

    def __init__(self, page: Page, demo: Demo, name: str) -> None:
        self.page = page
        self.demo = demo
        self.hosts: set[str] = set()
        page.on("request", lambda request: self.hosts.add(urlsplit(request.url).hostname or ""))
        # A workspace of its own: no other notebook of an earlier test comes back.
        workspace = name.removesuffix(".ipynb")
        page.goto(f"{demo.lab}/lab/workspaces/{workspace}/tree/{name}?token={demo.token}")
        self.cells.first.wait_for(timeout=120_000)
        page.locator("#jp-main-statusbar").get_by_text("| Idle").wait_for(timeout=120_000)

    @property
    def cells(self) -> Locator:
        return self.page.locator(".jp-Notebook .jp-Cell")

    @property
    def map(self) -> Locator:
        """Leaflet's container of the first map."""
        return self.page.locator(".jp-OutputArea .leaflet-container").first

    def write_cell(self, number: int, text: str) -> None:
        """Put another text into a cell, the first is 0."""
        self.cells.nth(number).locator(".cm-content").click()
        self.page.keyboard.press("Control+A")
        self.page.keyboard.insert_text(text)

    def run_cell(self, number: int) -> str:
        """Run one cell, the first is 0, and wait until it is done; what it printed."""
        cell = self.cells.nth(number)
        prompt = cell.locator(".jp-InputArea-prompt")
        before = prompt.inner_text()
        cell.locator(".cm-content").click()
        self.page.keyboard.press("Control+Enter")
        self.page.wait_for_function(
            "([prompt, before]) => /\\[\\d+\\]/.test(prompt.innerText) && prompt.innerText !== before",
            arg=[prompt.element_handle(), before],
            timeout=60_000,
        )
        return "\n".join(cell.locator(".jp-OutputArea-output").all_inner_texts())

    def run_all(self) -> None:
        """Run all cells and wait until the last one is done; no cell fails."""
        prompts = self.page.locator(".jp-CodeCell .jp-InputArea-prompt")
        begun = prompts.filter(has_text=re.compile(r"\[[*\d]")).first
        # A notebook whose kernel or widgets are still on their way forgets what it was told to run.
        for _ in range(20):
            self.page.get_by_role("menuitem", name="Run", exact=True).click()
            self.page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
            try:
                begun.wait_for(timeout=6_000)
                break
            except TimeoutError:
                continue
        failed = self.page.locator('.jp-OutputArea-output[data-mime-type="application/vnd.jupyter.error"]')
        done = prompts.last.filter(has_text=re.compile(r"\[\d+\]"))
        failed.or_(done).first.wait_for(timeout=300_000)
        assert failed.all_inner_texts() == []

    def wait_for_tiles(self, layers: int) -> None:
        """Wait until so many layers have a card and no tile is on its way."""
        self.map.scroll_into_view_if_needed()
        cards = self.map.locator(".el-layer")
        cards.nth(layers - 1).wait_for(timeout=60_000)
        self.page.wait_for_timeout(500)
        self.map.locator('.el-map-line[aria-valuenow="100"]').wait_for(timeout=120_000, state="attached")
        self.page.wait_for_timeout(500)  # Leaflet fades tiles in


@pytest.fixture
def open_notebook(chromium: Browser, demo: Demo) -> Iterator[Callable[..., Notebook]]:
    """The function that opens a notebook of the demo by name; in the dark theme, if asked."""
    pages: list[Page] = []

    def opened(name: str, dark: bool = False) -> Notebook:
        # So high that JupyterLab, which keeps only cells in view in the page, keeps all.
        page = chromium.new_page(viewport={"width": 1280, "height": 4000})
        pages.append(page)
        if dark:
            page.route(re.compile(r"/lab/api/settings\b"), _dark)
        return Notebook(page, demo, name)

    yield opened
    for page in pages:
        page.close()


def _dark(route: Route) -> None:
    """The settings of themes, as if the user had chosen the dark one: nothing is saved in the user's own."""
    answer = route.fetch()
    document = answer.json()
    for settings in document.get("settings", [document]):
        if settings["id"] == "@jupyterlab/apputils-extension:themes":
            settings |= {"raw": '{"theme": "JupyterLab Dark"}'}
    route.fulfill(response=answer, json=document)
