"""Run `make demo` as a stranger would, ask the engine for a tile, press Ctrl-C, and look whether anything is left.

Plain Python without packages: it runs before anything is installed.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

START_TIMEOUT_S = 900
STOP_TIMEOUT_S = 60
MARK = f"try-demo-{os.getpid()}"
CHECKOUT = Path(__file__).resolve().parents[1]
# One band of the world's picture: what a first map shows.
CHAIN = {
    "load": {
        "process_id": "load_collection",
        "arguments": {"id": "basemap", "spatial_extent": None, "temporal_extent": None},
    },
    "mosaic": {"process_id": "mosaic", "arguments": {"data": {"from_node": "load"}}, "result": True},
}


def main() -> int:
    """Exit code 0 if the demo started, answered, stopped and left nothing behind."""
    started = time.monotonic()
    env = os.environ | {"HEADLESS": "1", "TRY_DEMO": MARK}
    # A session of its own, so that the signal reaches make and the demo as Ctrl-C in a terminal does.
    demo = subprocess.Popen(
        ["make", "demo"], cwd=CHECKOUT, env=env, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    watchdog = threading.Timer(START_TIMEOUT_S, os.killpg, (demo.pid, signal.SIGKILL))
    watchdog.start()
    engine = page = ""
    assert demo.stdout is not None
    for line in demo.stdout:
        print(line, end="", flush=True)
        if found := re.match(r"(Engine|JupyterLab) +(http\S+)", line):
            engine, page = (found[2], page) if found[1] == "Engine" else (engine, found[2])
        if line.startswith("Ready."):
            break
    else:
        print("make demo ended before it was ready")
        return 1
    print(f"ready after {time.monotonic() - started:.0f} s")
    try:
        print("health:", _get(f"{engine}/health").decode())
        tile = _get(_post(f"{engine}/chains", CHAIN)["tiles"].format(z=0, x=0, y=0))
        print(f"tile: {len(tile)} bytes")
        ok = tile.startswith(b"\x89PNG") and b"JupyterLab" in _get(page)
    finally:
        os.killpg(demo.pid, signal.SIGINT)
        for line in demo.stdout:
            print(line, end="", flush=True)
        code = demo.wait(STOP_TIMEOUT_S)
        watchdog.cancel()
    left = _wait_until_gone()
    print(f"make ended with {code}; left running: {left or 'nothing'}; answers right: {ok}")
    # make itself is interrupted, too: it says 2 or 130, or dies of the signal.
    return 0 if ok and not left and code in (0, 2, 130, -signal.SIGINT) else 1


def _get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=60) as answer:
        return bytes(answer.read())


def _post(url: str, document: object) -> dict[str, str]:
    request = urllib.request.Request(url, json.dumps(document).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return dict(json.load(answer))


def _marked() -> list[str]:
    """Processes that descend from the demo: they carry its mark in their environment. A bare system has no `ps`."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if MARK.encode() in (folder / "environ").read_bytes():
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                found.append(f"{folder.name} {command}".strip())
        except OSError:
            continue  # it has just ended, or is another user's
    return found


def _wait_until_gone() -> list[str]:
    """What is left of the demo after five seconds at most."""
    for _ in range(50):
        if not _marked():
            return []
        time.sleep(0.1)
    return _marked()


if __name__ == "__main__":
    sys.exit(main())
