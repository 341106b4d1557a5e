"""The demo's child processes: started with a log file each, watched, and stopped together."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx

from earthloom.base.errors import Unavailable

# JupyterLab first shuts its kernels down, and gives a busy one five seconds.
_STOP_TIMEOUT_S = 12.0
_LAST_LINES = 8


@dataclass(frozen=True, slots=True)
class Child:
    """A running child: `name` as the user reads it; `door` answers with success as soon as it is ready."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    door: str


def start(name: str, command: Sequence[str], log: Path, door: str, env: Mapping[str, str]) -> Child:
    """Start a child whose output goes to `log`."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=dict(env),
            # Ctrl-C in the terminal must reach the demo alone, which then stops its children in order.
            start_new_session=True,
        )
    return Child(name, process, log, door)


def wait_until_ready(children: Sequence[Child], timeout_s: float) -> None:
    """Return when all children answer.

    Raises
    ------
    Unavailable
        If one ends before, or has not answered in time.
    """
    end = time.monotonic() + timeout_s
    waiting = list(children)
    with httpx.Client(trust_env=False, timeout=5.0) as client:
        while waiting:
            check(children)
            try:
                if client.get(waiting[0].door).is_success:
                    waiting.pop(0)
                    continue
            except httpx.TransportError:
                pass  # not listening yet
            if time.monotonic() > end:
                first = waiting[0]
                raise Unavailable(f"{first.name} has not answered within {timeout_s:g} s.", hint=f"See {first.log}.")
            time.sleep(0.1)


def check(children: Sequence[Child]) -> None:
    """Raise Unavailable with its last lines if one of the children has ended."""
    for child in children:
        code = child.process.poll()
        if code is not None:
            how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
            raise Unavailable(f"{child.name} has stopped ({how}).{_last_lines(child)}", hint=f"All of it: {child.log}")


def stop(children: Sequence[Child]) -> None:
    """Ask all children to stop, and end those that do not, with what they started."""
    for child in children:
        if child.process.poll() is None:
            child.process.terminate()
    end = time.monotonic() + _STOP_TIMEOUT_S
    for child in children:
        try:
            child.process.wait(max(0.0, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            os.killpg(child.process.pid, signal.SIGKILL)
            child.process.wait()


def _last_lines(child: Child) -> str:
    lines = child.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-_LAST_LINES:]
    return "".join(f"\n  {line}" for line in lines) + "\n" if lines else ""
