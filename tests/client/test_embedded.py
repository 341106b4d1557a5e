"""The embedded engine: started once, gone with its parent, and clear when it is not installed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from earthloom.base.errors import Unavailable
from earthloom.chain import session
from earthloom.chain.collection import ImageCollection
from earthloom.client import embedded
from earthloom.client.connect import connect

pytestmark = pytest.mark.slow


def _pid_of(url: str) -> int:
    """The process that serves an address: the one with our data folder that listens, found by its command line."""
    port = url.rpartition(":")[2]
    inode = next(
        line.split()[9]
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]
        if line.split()[1].endswith(f":{int(port):04X}") and line.split()[3] == "0A"
    )
    for folder in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if os.readlink(folder) == f"socket:[{inode}]":
                return int(folder.parts[2])
        except OSError:
            continue
    raise AssertionError(f"nobody listens at {url}")


def _wait_until_gone(pid: int) -> bool:
    for _ in range(200):
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except FileNotFoundError:
            return True
        time.sleep(0.05)
    return False


@pytest.fixture
def own(own_data: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("EARTHLOOM_URL", raising=False)
    monkeypatch.setenv("EARTHLOOM_DATA", str(own_data))
    return own_data


def test_one_engine_over_the_data_folder_until_it_is_stopped(own: Path) -> None:
    first = connect()
    try:
        assert "sentinel2-series" in {c["id"] for c in first.collections()}
        second = connect()
        assert second.url == first.url
        second.close()
        os.kill(_pid_of(first.url), signal.SIGKILL)
        time.sleep(0.2)
        third = connect()  # one that has died is started anew
        assert "sentinel2-series" in {c["id"] for c in third.collections()}
        pid = _pid_of(third.url)
        third.close()
    finally:
        embedded.stop()
        first.close()
        session.use(None)
    assert _wait_until_gone(pid)


def test_a_call_after_its_death_starts_it_again(own: Path) -> None:
    connected = connect()
    try:
        chain = ImageCollection("sentinel2-series").mosaic()["B04"].color("viridis", vmin=0, vmax=1)
        key, before = connected.put(chain.graph), connected.address("/health")
        connected.renew()
        assert connected.address("/health") == before  # it lives

        os.kill(_pid_of(connected.url), signal.SIGKILL)
        assert connected.graph(key) == chain.graph  # at once, while it may still be ending
        after = connected.address("/health")
        assert httpx.get(after).json()["title"] == "Earthloom"
        assert after.partition("?")[2] != before.partition("?")[2]  # who took the old port may have heard the old token

        os.kill(_pid_of(connected.url), signal.SIGKILL)
        connected.renew()
        assert httpx.get(connected.address("/health")).status_code == 200
    finally:
        embedded.stop()
        connected.close()
        session.use(None)


@pytest.mark.parametrize("how", ["exit", "kill"])
def test_it_ends_with_its_parent(own: Path, how: str) -> None:
    code = "import time, earthloom as el; print(el.connect().url, flush=True); input()"
    parent = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=dict(os.environ)
    )
    with parent:
        assert parent.stdout is not None
        assert parent.stdin is not None
        pid = _pid_of(parent.stdout.readline().strip())
        if how == "kill":
            parent.kill()
        else:
            parent.stdin.write("\n")
            parent.stdin.flush()
    assert _wait_until_gone(pid)


def test_an_interrupt_of_the_kernel_does_not_reach_it(own: Path) -> None:
    connected = connect()
    try:
        assert os.getpgid(_pid_of(connected.url)) != os.getpgid(0)
    finally:
        embedded.stop()
        connected.close()
        session.use(None)


def test_what_is_missing_is_said(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "_ENGINE_MODULES", ("rasterio", "not_installed_anywhere"))
    with pytest.raises(Unavailable, match="not_installed_anywhere missing") as caught:
        connect()
    assert "pip install 'earthloom[engine]'" in caught.value.hint


def test_why_it_did_not_start_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.delenv("EARTHLOOM_URL", raising=False)
    monkeypatch.setenv("EARTHLOOM_DATA", str(tmp_path / "file"))
    with pytest.raises(Unavailable, match="did not start") as caught:
        connect()
    assert str(tmp_path / "file") in caught.value.message
