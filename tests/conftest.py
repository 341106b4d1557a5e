"""What tests of several rooms need: the demo pack, its catalogue, a running server, and tools beyond Python."""

from __future__ import annotations

import contextlib
import fcntl
import glob
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from ctypes.util import find_library
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

PACK = Path(__file__).parents[1] / "examples" / "demo_pack"
# Debian's package -> the programs of which one will do; else a tool is its own program.
TOOLS: dict[str, tuple[str, ...]] = {
    "chromium": ("chromium", "chromium-browser", "google-chrome"),
    "bubblewrap": ("bwrap",),
    "postgresql": ("initdb",),
    "libseccomp2": (),
}
LIBRARIES = {"chromium": "atomic", "libseccomp2": "seccomp"}  # what drives the browser; a package that is a library

# Debian puts servers where the search path of ordinary users does not go, and those of PostgreSQL where no path goes.
PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", *glob.glob("/usr/lib/postgresql/*/bin")])

StartServer = Callable[..., AbstractContextManager[str]]


def need(tool: str) -> str:
    """Path of a program, or name of a library; without it a test is skipped, or fails if EARTHLOOM_TEST_REQUIRE=all."""
    programs, library = TOOLS.get(tool, (tool,)), LIBRARIES.get(tool)
    paths = (shutil.which(program, path=PATH) for program in programs)
    found = next(filter(None, paths), None) if programs else find_library(library or "")
    if found and (library is None or find_library(library)):
        return found
    lacking = f"the library lib{library}" if found else tool
    reason = f"{lacking} is not installed (tools/system.py tells how)"
    if os.environ.get("EARTHLOOM_TEST_REQUIRE") == "all":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session", name="need")
def _need() -> Callable[[str], str]:
    """The function `need`: path of a program, or skip."""
    return need


@pytest.fixture(scope="session")
def chromium(need: Callable[[str], str]) -> Iterator[Browser]:
    """A real Chromium; one for a worker, for Playwright starts only once in a thread."""
    path = need("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def pack() -> Path:
    """The demo pack."""
    return PACK


@pytest.fixture(scope="session")
def demo_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with the demo pack ingested by the command, once for all workers. Tests only read it."""
    data = tmp_path_factory.getbasetemp().parent / "demo-data"
    if not os.environ.get("PYTEST_XDIST_WORKER"):
        data = tmp_path_factory.mktemp("demo") / "data"
    with data.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (data / "ready").exists():
            command = [sys.executable, "-m", "earthloom", "ingest", str(PACK / "catalog.json"), "--data", str(data)]
            done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
            (data / "ready").touch()
    return data


@pytest.fixture
def own_data(demo_data: Path, tmp_path: Path) -> Path:
    """A copy of `demo_data` that a test may change."""
    return Path(shutil.copytree(demo_data, tmp_path / "data"))


@contextlib.contextmanager
def run_server(data: Path, *options: str) -> Iterator[str]:
    """A server process over a data folder, as `earthloom serve` makes it; its address."""
    command = [sys.executable, "-m", "earthloom", "serve", "--port", "0", "--data", str(data), *options]
    command += ["--places", str(PACK / "vectors"), "--parent", str(os.getpid())]
    with (data / "server.log").open("ab") as log:
        server = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True
        )
    assert server.stdout is not None
    with server.stdout:
        try:
            url = server.stdout.readline().strip()
            assert url.startswith("http://"), (data / "server.log").read_text()
            yield url
        finally:
            server.terminate()
            server.wait(20)


@pytest.fixture(scope="session")
def start_server() -> StartServer:
    """The function `run_server(data, *options)`: a context manager that gives the address of a new server."""
    return run_server


@pytest.fixture(scope="session")
def server(demo_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server over the demo data, one for a worker."""
    own = tmp_path_factory.mktemp("server") / "data"
    shutil.copytree(demo_data, own)
    with run_server(own) as url:
        yield url
