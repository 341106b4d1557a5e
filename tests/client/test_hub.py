"""A browser's way to the embedded engine through a real Jupyter server with jupyter-server-proxy, as on JupyterHub."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from earthloom.chain import session
from earthloom.chain.collection import ImageCollection
from earthloom.cli.serve import address, listen
from earthloom.client import embedded
from earthloom.client.connect import connect

pytest.importorskip("jupyter_server_proxy")
pytestmark = pytest.mark.slow

PREFIX = "/user/ann/"  # as JupyterHub gives it to the server of a user, and to its kernels


@pytest.fixture
def jupyter(tmp_path: Path) -> Iterator[str]:
    """Address of a Jupyter server under PREFIX that wants the token "secret"."""
    with listen("127.0.0.1", 0) as bound:
        origin = address(bound)
    port = origin.rpartition(":")[2]
    command = [sys.executable, "-m", "jupyter_server", f"--ServerApp.port={port}", "--ServerApp.port_retries=0"]
    command += [f"--ServerApp.base_url={PREFIX}", f"--ServerApp.root_dir={tmp_path}", "--no-browser", "--allow-root"]
    command += [
        "--ServerApp.jpserver_extensions={'jupyter_server_proxy': True}",
        "--ServerApp.allow_remote_access=True",
    ]
    env = os.environ | {"JUPYTER_TOKEN": "secret", "HOME": str(tmp_path), "JUPYTER_RUNTIME_DIR": str(tmp_path / "run")}
    with (tmp_path / "jupyter.log").open("wb") as log:
        process = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            _wait_for(f"{origin}{PREFIX}api", process, tmp_path / "jupyter.log")
            yield origin
        finally:
            process.terminate()
            process.wait(20)


def _wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end and process.poll() is None:
        try:
            if httpx.get(url).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    raise AssertionError(log.read_text())


def test_a_browser_reaches_the_embedded_engine(jupyter: str, own_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EARTHLOOM_URL", raising=False)
    monkeypatch.setenv("EARTHLOOM_DATA", str(own_data))
    monkeypatch.setenv("JUPYTERHUB_SERVICE_PREFIX", PREFIX)
    connected = connect()
    # A browser that has signed in to the hub, which it knows by another name than the engine does.
    with httpx.Client(base_url=jupyter, headers={"Host": "hub.example.org"}) as browser:
        try:
            chain = ImageCollection("sentinel2-series").mosaic()["B04"].color("viridis", vmin=0, vmax=0.3)
            path = connected.address(f"/tiles/{connected.put(chain.graph)}/12/2299/1471.png")
            assert path.startswith(f"{PREFIX}proxy/")
            assert browser.get(path).status_code in (302, 403)  # nobody else gets there

            signed_in = browser.get(f"{PREFIX}api/status", params={"token": "secret"})
            assert signed_in.status_code == 200
            tile = browser.get(path)
            assert tile.status_code == 200, tile.text
            assert tile.content.startswith(b"\x89PNG")
            assert browser.get(connected.address("/health")).json()["title"] == "Earthloom"
        finally:
            embedded.stop()
            connected.close()
            session.use(None)
