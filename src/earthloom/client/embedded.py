"""An engine for this Python alone: a child process that ends when this process does, however that ends.

It answers only with a token that this process makes. A port of loopback is open to every user of the machine, and to
every page that a browser on it shows; either could else post a function, which the engine would run.
"""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import importlib.util
import os
import secrets
import select
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from typing import IO

from earthloom.base.errors import Unavailable

START_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 5.0
_ENDING_S = 1.0  # between the loss of its connections and the end of a process
# What tells an installation with the extra `engine` from a thin one; looked for, never imported.
_ENGINE_MODULES = ("rasterio", "numba", "uvicorn", "fastapi")
_OF_SERVERS = ("EARTHLOOM_HOST", "EARTHLOOM_PORT", "EARTHLOOM_ALLOWED_HOSTS")


@dataclass(frozen=True, slots=True)
class _Child:
    process: subprocess.Popen[str]
    url: str
    token: str
    log: IO[str]
    owner_pid: int


_lock = threading.Lock()
_child: _Child | None = None


def own_engine() -> tuple[str, str]:
    """Address and token of this process's own engine, which is started if it does not run.

    Raises
    ------
    Unavailable
        If the engine is not installed, or does not start; the message holds its last line.
    """
    global _child
    with _lock:
        # A fork has its parent's variables but is not the engine's parent.
        if _child is None or _child.owner_pid != os.getpid() or _child.process.poll() is not None:
            _forget(_child)
            _child = None
            _child = _start()
            atexit.register(stop)
        return _child.url, _child.token


def own_engine_again() -> tuple[str, str]:
    """As `own_engine`, for who was not answered: an engine that is just ending is given the time to do so."""
    child = _child
    if child is not None and child.owner_pid == os.getpid():
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.process.wait(_ENDING_S)
    return own_engine()


def stop() -> None:
    """Stop this process's own engine, if there is one."""
    global _child
    with _lock:
        child, _child = _child, None
    _forget(child)


def _start() -> _Child:
    missing = [name for name in _ENGINE_MODULES if importlib.util.find_spec(name) is None]
    if missing:
        raise Unavailable(
            f"No server is named, and no engine is installed here ({', '.join(missing)} missing).",
            hint="Set EARTHLOOM_URL, call el.connect(url), or run: pip install 'earthloom[engine]'",
        )
    token = secrets.token_urlsafe(32)
    command = [sys.executable, "-m", "earthloom", "serve", "--port", "0", "--parent", str(os.getpid())]
    # Others can see this command line, but cannot make the token of its digest.
    command += ["--own", hashlib.sha256(token.encode()).hexdigest()]
    # What an environment says of where servers listen is meant for those that serve others.
    env = {name: value for name, value in os.environ.items() if name not in _OF_SERVERS}
    log = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115 - lives as the engine does
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
        env=env,
        # A session of its own: the notebook's interrupt goes to the kernel's whole process group.
        start_new_session=True,
    )
    url = _first_line(process)
    if not url.startswith("http://"):
        _end(process)
        log.seek(0)
        lines = log.read().strip().splitlines()
        log.close()
        raise Unavailable(
            f"The embedded engine did not start: {lines[-1].strip() if lines else 'it gave no reason'}",
            hint="`earthloom serve` shows all that it says.",
        )
    return _Child(process, url, token, log, os.getpid())


def _first_line(process: subprocess.Popen[str]) -> str:
    """What the engine prints when it is ready: its address. Empty if it ends or takes too long."""
    assert process.stdout is not None
    end = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < end:
        # A line comes whole, and it is the only one: readline does not wait once there is something to read.
        if select.select([process.stdout], [], [], 0.5)[0]:
            return process.stdout.readline().strip()
    return ""


def _forget(child: _Child | None) -> None:
    if child is not None and child.owner_pid == os.getpid():
        _end(child.process)
        child.log.close()


def _end(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()
