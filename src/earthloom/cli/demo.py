"""`earthloom demo`: the engine over the demo data and JupyterLab with the tutorials, until Ctrl-C."""

from __future__ import annotations

import os
import secrets
import sys
import time
import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from earthloom.base.errors import InvalidArgument, Unavailable
from earthloom.cli import children, pack
from earthloom.cli.children import Child
from earthloom.cli.serve import address, listen
from earthloom.cli.stopping import ignore_signals, stop_on_signals

_LAB_PORT = 8888
_PORTS_TRIED = 50
# The first start compiles the kernels, and JupyterLab reads its extensions from a cold disk.
_START_TIMEOUT_S = 180.0


def demo(
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port of the engine; else the first free one from 8642.")
    ] = None,
    lab: Annotated[bool, typer.Option("--lab/--no-lab", help="Whether to start JupyterLab.")] = True,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Whether to open a browser; HEADLESS=1 opens none.")
    ] = True,
    folder: Annotated[Path | None, typer.Option("--pack", help="Folder of the demo pack.")] = None,
) -> None:
    """Start the engine over the demo data, and JupyterLab with the tutorials. Ctrl-C stops everything."""
    stop_on_signals()
    place = pack.find(folder)
    running: list[Child] = []
    try:
        if not pack.is_built(place):
            _build(place)
        with pack.in_use(place, alone=False):
            engine = _start_engine(place, port, running)
            page = _start_lab(place, engine, running, any_port=port == 0) if lab else None
            typer.echo("Starting; the first time the engine compiles its kernels.")
            children.wait_until_ready(running, _START_TIMEOUT_S)
            _tell(engine, page)
            if page and browser and _has_screen():
                webbrowser.open(page)
            while True:
                children.check(running)
                time.sleep(0.5)
    finally:
        ignore_signals()
        if running:
            typer.echo("Stopping.")
        children.stop(running)


def _build(place: pack.Place) -> None:
    from earthloom.cli.ingest import ingest_catalogue

    typer.echo(f"Building the catalogue of {place.pack}.")
    with pack.in_use(place, alone=True):
        pack.build(place, lambda file: ingest_catalogue(file, place.pack / "catalog.json"))


def _start_engine(place: pack.Place, port: int | None, running: list[Child]) -> str:
    """Start the engine; its address."""
    from earthloom.server.settings import DEFAULT_PORT

    url = _free(DEFAULT_PORT) if port is None else _exactly(port)
    command = [sys.executable, "-m", "earthloom", "serve", "--parent", str(os.getpid()), "--data", str(place.data)]
    command += ["--port", url.rpartition(":")[2], "--places", str(place.pack / "vectors")]
    env = {name: value for name, value in os.environ.items() if not name.startswith("EARTHLOOM_")}
    running.append(children.start("The engine", command, place.folder / "engine.log", f"{url}/health", env))
    return url


def _start_lab(place: pack.Place, engine_url: str, running: list[Child], *, any_port: bool) -> str:
    """Start JupyterLab over copies of the notebooks; the address to open."""
    notebooks = pack.copy_notebooks(place)
    url, token = _exactly(0) if any_port else _free(_LAB_PORT), secrets.token_hex(16)
    state = place.folder / "jupyter"
    # Without this JupyterLab asks at its first start whether it may fetch news.
    settings = state / "settings" / "@jupyterlab" / "apputils-extension" / "notification.jupyterlab-settings"
    settings.parent.mkdir(parents=True, exist_ok=True)
    settings.write_text('{"fetchNews": "false"}', encoding="utf-8")
    options = {
        "ServerApp.ip": "127.0.0.1",
        "ServerApp.port": url.rpartition(":")[2],
        "ServerApp.port_retries": 0,
        "ServerApp.open_browser": False,
        "ServerApp.root_dir": place.folder / "notebooks",
        # The demo leaves the user's own JupyterLab alone, and asks nothing of the network.
        "LabApp.workspaces_dir": state / "workspaces",
        "LabApp.user_settings_dir": state / "settings",
        "LabApp.news_url": "None",
        "LabApp.check_for_updates_class": "jupyterlab.NeverCheckForUpdate",
        "LabApp.extension_manager": "readonly",
    }
    command = [sys.executable, "-m", "earthloom.cli.lab", str(os.getpid())]
    command += [f"--{name}={value}" for name, value in options.items()]
    if os.geteuid() == 0:
        command.append("--allow-root")
    env = os.environ | {"EARTHLOOM_URL": engine_url, "JUPYTER_TOKEN": token, "JUPYTER_PREFER_ENV_PATH": "1"}
    running.append(children.start("JupyterLab", command, place.folder / "jupyter.log", f"{url}/api", env))
    page = f"/lab/tree/{notebooks[0].name}" if notebooks else "/lab"
    return f"{url}{page}?token={token}"


def _tell(engine: str, page: str | None) -> None:
    typer.echo(f"Engine      {engine}")
    if page is None:
        typer.echo(f"In Python:  import earthloom as el; el.connect({engine!r})")
    else:
        typer.echo(f"JupyterLab  {page}")
        typer.echo("Open the second address and run the cells one after another with Shift+Enter.")
    typer.echo("Ready. Ctrl-C stops everything.")
    sys.stdout.flush()


def _exactly(port: int) -> str:
    with listen("127.0.0.1", port) as probe:
        return address(probe)


def _free(first: int) -> str:
    """The address with the first free port from `first` on; says which ones are taken."""
    for port in range(first, first + _PORTS_TRIED):
        try:
            return _exactly(port)
        except InvalidArgument:
            typer.echo(f"Port {port} is taken; trying the next one.")
    raise Unavailable(f"No port from {first} to {first + _PORTS_TRIED - 1} is free.")


def _has_screen() -> bool:
    if os.environ.get("HEADLESS", "0") not in ("", "0"):
        return False
    # Without a screen, webbrowser takes a text browser, which would take the terminal.
    return sys.platform != "linux" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
