"""A program for the tests: a server under load in one environment, while tenants crash, or workers or the zygote die.

`python storm.py ENVIRONMENT STORM` prints one JSON line: how many good calls were made and lost, and times [ms].
Storms: "crash" (four hostile tenants), "workers" (random workers are killed), "zygote" (it is killed again and again),
"server" (a second server with busy workers is killed: how many of its processes are left, and after what time).
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import environments
import numpy as np

TENANTS, THREADS, CALLS = 8, 100, 1200
IMG = np.arange(4 * 256 * 256, dtype="uint16").reshape(4, 256, 256)
GOOD = "def mean(img, add):\n    return (img.astype('float32').mean(axis=0) + add).astype('float32')\n"
BAD = (
    "import ctypes\ndef bad(img):\n    ctypes.string_at(0)\n",
    "import os\ndef bad(img):\n    os._exit(1)\n",
    "def bad(img):\n    while True:\n        pass\n",
    "def bad(img):\n    kept = []\n    while True:\n        kept.append(bytearray(1 << 20))\n",
)
_killed: list[int] = []


def main(environment: str, storm: str) -> None:
    """Enter the environment and let the storm loose."""
    lacking = environments.lacking(environment)
    if not lacking:
        try:
            environments.enter(environment)
        except OSError as problem:
            lacking = str(problem)
    if lacking:
        print(json.dumps({"lacking": lacking}))
        return
    from earthloom.sandbox.sandbox import Sandbox
    from earthloom.sandbox.settings import SandboxSettings

    settings = SandboxSettings(libraries=("numpy",), call_s=1, first_s=1, wait_s=30, memory_bytes=128 << 20)
    sandbox = Sandbox(settings)
    sandbox.start()
    try:
        if storm == "serve":
            serve(sandbox)
        elif storm == "server":
            print(json.dumps(kill_server(environment)))
        else:
            print(json.dumps(under_load(sandbox, STORMS[storm])))
    finally:
        sandbox.close()


def under_load(sandbox: Any, storm: Callable[[Any, threading.Event], None]) -> dict[str, Any]:
    """Good calls of eight tenants from a hundred threads, calm and in the storm."""
    from earthloom.sandbox.function import Function

    function = Function(GOOD, "mean")
    lost: list[str] = []
    expected = IMG.astype("float32").mean(axis=0)

    def good(number: int) -> float:
        begin = time.perf_counter()
        try:
            result = sandbox.call(f"good {number % TENANTS}", function, IMG, arguments={"add": number}, context={})
            if not np.array_equal(result, expected + np.float32(number)):
                lost.append("wrong")
        except Exception as problem:
            lost.append(f"{type(problem).__name__}: {problem}")
        return time.perf_counter() - begin

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(good, range(CALLS // 4)))
        calm = sorted(pool.map(good, range(CALLS // 4)))
        stop = threading.Event()
        raging = threading.Thread(target=storm, args=(sandbox, stop))
        raging.start()
        try:
            times = sorted(pool.map(good, range(CALLS)))
        finally:
            stop.set()
            raging.join()
    counters = sandbox.counters()
    return {
        "calls": CALLS,
        "lost": lost[:10],
        "calm_ms": [round(1000 * calm[int(len(calm) * q)], 1) for q in (0.5, 0.99)],
        "storm_ms": [round(1000 * times[int(len(times) * q)], 1) for q in (0.5, 0.99)],
        **{name: counters[name] for name in ("kills", "restarts", "strikes", "workers")},
        "killed": len(_killed),
    }


def crash(sandbox: Any, stop: threading.Event) -> None:
    """Four tenants whose functions crash, leave, loop, and eat memory, without a pause; always new text."""
    from earthloom.base.errors import EarthloomError
    from earthloom.sandbox.function import Function

    def attack(tenant: int) -> None:
        number = 0
        while not stop.is_set():
            number += 1
            text = f"{BAD[(number + tenant) % len(BAD)]}# {number % 5}\n"
            with contextlib.suppress(EarthloomError):
                sandbox.call(f"evil {tenant}", Function(text, "bad"), IMG, arguments={}, context={})
            stop.wait(0.005)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(attack, range(4)))


def kill_workers(sandbox: Any, stop: threading.Event) -> None:
    """Twenty workers a second, at random."""
    while not stop.wait(0.05):
        found = [pid for pid, parent in processes().items() if parent in zygotes()]
        if found:
            kill(random.choice(found))


def kill_zygote(sandbox: Any, stop: threading.Event) -> None:
    """The zygote, three times, each time when calls are answered again."""
    for _ in range(3):
        done = sandbox.counters()["calls"]
        while not stop.is_set() and sandbox.counters()["calls"] < done + 300:
            time.sleep(0.01)
        for pid in zygotes():
            kill(pid)


STORMS = {"crash": crash, "workers": kill_workers, "zygote": kill_zygote}


def serve(sandbox: Any) -> None:
    """Keep workers busy until this process is killed; prints their numbers."""
    from earthloom.sandbox.function import Function

    def busy(tenant: int) -> None:
        while True:
            text = "import time\ndef loop(img):\n    end = time.time() + 0.9\n    while time.time() < end: pass\n"
            with contextlib.suppress(Exception):
                sandbox.call(f"busy {tenant}", Function(text, "loop"), IMG, arguments={}, context={})

    for tenant in range(2):
        threading.Thread(target=busy, args=(tenant,), daemon=True).start()
    time.sleep(1)
    print(json.dumps(sorted(processes())), flush=True)
    time.sleep(60)


def kill_server(environment: str) -> dict[str, Any]:
    """Start a server as `serve`, kill it, and wait until all of its processes are gone."""
    # What this process entered holds for its children: they enter nothing more.
    code = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import storm; storm.serve_here()"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        found: list[int] = json.loads(server.stdout.readline())
        begin = time.perf_counter()
        server.kill()
        while (left := [pid for pid in found if runs(pid)]) and time.perf_counter() - begin < 5:
            time.sleep(0.002)
    return {"processes": len(found), "left": left, "ms": round(1000 * (time.perf_counter() - begin), 1)}


def serve_here() -> None:
    """`serve` in the environment that this process was born into."""
    from earthloom.sandbox.sandbox import Sandbox
    from earthloom.sandbox.settings import SandboxSettings

    sandbox = Sandbox(SandboxSettings(libraries=("numpy",), call_s=1, first_s=1))
    sandbox.start()
    serve(sandbox)


def processes() -> dict[int, int]:
    """All that descend from this process: number -> parent."""
    parents: dict[int, int] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError):
                parents[int(entry)] = int(Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()[1])
    found: dict[int, int] = {}
    while more := {p: q for p, q in parents.items() if p not in found and (q == os.getpid() or q in found)}:
        found |= more
    return found


def zygotes() -> list[int]:
    """Python processes of a box whose parent is none."""
    boxed = {pid: parent for pid, parent in processes().items() if _is_python(pid)}
    return [pid for pid, parent in boxed.items() if parent not in boxed]


def _is_python(pid: int) -> bool:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return b"python" in words[0] and b"zygote" in b" ".join(words)


def runs(pid: int) -> bool:
    """Whether it runs; one that has ended and waits for its parent does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
        _killed.append(pid)


if __name__ == "__main__":
    main(*sys.argv[1:])
