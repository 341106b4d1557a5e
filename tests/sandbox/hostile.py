"""A program for the tests: a server that runs every hostile function in one environment and watches itself.

`python hostile.py ENVIRONMENT [NAME ...]` prints a JSON line for what is there (level, fences), then one for each
function: its name, what came of it, and `wrong`: what should not have been, empty if all was well. After each function
another tenant's call must be right, no file of this process may be open that was not before, its memory may not have
grown, and the canary folder must be as it was.
"""

from __future__ import annotations

import contextlib
import gc
import inspect
import json
import os
import platform
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import environments
import hostile_functions
import numpy as np

ROOM_MIB = 24  # that the server's own memory may grow by in all
IMG = np.arange(2 * 16 * 16, dtype="float32").reshape(2, 16, 16)


def main(environment: str, *names: str) -> None:
    """Enter the environment and run the functions."""
    lacking = environments.lacking(environment)
    if not lacking:
        try:
            environments.enter(environment)
        except OSError as problem:
            lacking = str(problem)
    if lacking:
        say({"lacking": lacking})
        return
    os.environ["EARTHLOOM_CANARY"] = "canary-of-the-environment"
    from earthloom.sandbox.sandbox import Sandbox
    from earthloom.sandbox.settings import SandboxSettings

    settings = SandboxSettings(
        libraries=("numpy",),
        load_s=0.6,
        first_s=0.6,
        call_s=0.6,
        workers=12,
        running=2,
        running_per_tenant=2,
        memory_bytes=96 << 20,
    )
    before = len(os.listdir("/proc/self/fd"))
    sandbox = Sandbox(settings)
    begin = time.perf_counter()
    sandbox.start()
    report = sandbox.report()
    told = [list(fence) for fence in report.fences]
    say({"level": report.level, "fences": told, "seconds": time.perf_counter() - begin})
    try:
        with Watched(sandbox) as watched:
            for name, attempt in table(watched).items():
                if not names or name in names:
                    begin = time.perf_counter()
                    for watched.attempt in range(4):
                        outcome, wrong = attempt()
                        if not (wrong and outcome.startswith("timeout")):  # else the machine may be busy
                            break
                    wrong = wrong or watched.harm()
                    say({"name": name, "came": outcome, "wrong": wrong, "seconds": time.perf_counter() - begin})
    finally:
        sandbox.close()
    gc.collect()
    own = Path("/proc/self/task").iterdir()
    children = [text for task in own if (text := (task / "children").read_text())]
    more = len(os.listdir("/proc/self/fd")) - before
    say(
        {
            "name": "the end",
            "came": f"{more} more files, children {children}",
            "wrong": "not closed" if more or children else "",
        }
    )


def say(line: dict[str, Any]) -> None:
    print(json.dumps(line), flush=True)


class Watched:
    """A sandbox, its other tenants, and what must not change."""

    def __init__(self, sandbox: Any) -> None:
        from earthloom.sandbox.function import Function

        self.sandbox, self.Function, self.attempt = sandbox, Function, 0
        self.good = Function("def double(img, factor=2):\n    return img[0] * factor\n", "double")

    def __enter__(self) -> Watched:
        self.folder = Path(tempfile.mkdtemp(prefix="earthloom-hostile-"))
        (self.folder / "secret.txt").write_text("a tenant's own")
        (self.folder / "settings.toml").write_text("password = 'secret'")
        np.save(self.folder / "array.npy", IMG)
        (self.folder / "link").symlink_to(self.folder / "secret.txt")
        self.folder.chmod(0o777)
        self.door = socket.socket()
        self.door.bind(("127.0.0.1", 0))
        self.door.listen()
        self.door.setblocking(False)
        self.double()
        self.files, self.memory, self.canary = open_files(), memory_mib(), self.snapshot()
        return self

    def __exit__(self, *_: object) -> None:
        self.door.close()
        shutil.rmtree(self.folder)

    def arguments(self, function: Any) -> dict[str, Any]:
        """What a function may ask for by the name of a parameter."""
        known = {
            "folder": str(self.folder),
            "package": str(Path(inspect.getfile(self.Function)).parents[1]),
            "parent": os.getpid(),
            "door": self.door.getsockname()[1],
            "canary": os.environ["EARTHLOOM_CANARY"],
        }
        return {name: known[name] for name in inspect.signature(function).parameters if name != "img"}

    def call(self, tenant: str, source: str, name: str, arguments: dict[str, Any] | None = None) -> tuple[Any, ...]:
        """What comes of a call: what kind of end, its text, its result, the text of the log."""
        from earthloom.base.errors import EarthloomError, FunctionFailed

        function = self.Function(source, name)
        tenant = f"{tenant} {self.attempt}"  # without the strikes of an earlier attempt
        result = None
        try:
            result = self.sandbox.call(tenant, function, IMG, arguments=arguments or {}, context={}, place="1/2/3")
        except FunctionFailed as error:
            reason = error.where.get("reason")
            kind = reason if reason in ("killed", "timeout") else "refused"
            text = told(error)
        except EarthloomError as error:
            kind, text = error.code, told(error)
        else:
            kind, text = "done", ""
        log = "\n".join(line.text for line in self.sandbox.logs(tenant, function))
        return kind, text, result, log

    def double(self) -> None:
        """A call of another tenant, which must be right."""
        result = self.sandbox.call("good", self.good, IMG, arguments={"factor": 3}, context={}, place="0/0/0")
        assert np.array_equal(result, IMG[0] * 3)

    def snapshot(self) -> dict[str, Any]:
        return {p.name: (p.lstat().st_mode, p.lstat().st_mtime_ns, p.read_bytes()) for p in self.folder.iterdir()}

    def harm(self) -> str:
        """What is not as it was; empty if all is."""
        self.double()
        if self.snapshot() != self.canary:
            return "the canary folder has changed"
        with contextlib.suppress(BlockingIOError):
            self.door.accept()
            return "somebody connected"
        if extra := open_files() - self.files:
            return f"files were opened: {extra}"
        if (grown := memory_mib() - self.memory) > ROOM_MIB:
            return f"the server's memory has grown by {grown} MiB"
        leaks = [p for p in ("/tmp", "/dev/shm", "/var/tmp", "/") if os.path.exists(f"{p}/earthloom-harm")]
        return f"a file was written in {leaks}" if leaks else ""


def table(watched: Watched) -> dict[str, Any]:
    """Name -> what runs it and gives (what came, what was wrong)."""
    found: dict[str, Any] = {}
    for number, function, expected, text, x86 in hostile_functions.BEHAVIOURS:
        name = function.__name__
        if x86 and platform.machine() != "x86_64":
            continue
        source = hostile_functions.source_of(function)
        found[f"{number} {name}"] = lambda s=source, f=function, e=expected, t=text: judge(
            e, t, watched.call(f"evil {f.__name__}", s, f.__name__, watched.arguments(f))
        )
    for number, name, source, expected, text in hostile_functions.SOURCES:
        found[f"{number} {name}"] = lambda s=source, n=name, e=expected, t=text: judge(
            e, t, watched.call(f"evil {n}", s, "f")
        )
    found["47 write_after_reply"] = lambda: write_after_reply(watched)
    found["48 true_bytes"] = lambda: true_bytes(watched)
    found["50 state_left"] = lambda: state_left(watched)
    found["51 ten_megabytes"] = lambda: ten_megabytes(watched)
    return dict(sorted(found.items(), key=lambda item: int(item[0].split()[0])))


def judge(expected: str, needed: str, came: tuple[Any, ...]) -> tuple[str, str]:
    """What came of a function, and what is wrong with that."""
    kind, text, result, log = came
    short = f"{kind} {text[:600]} {log[:200]}"
    accepted = {
        "refused": ("refused",),
        "nothing": ("done",),
        "killed": ("killed",),
        "timeout": ("timeout",),
        "own": ("refused", "done", "killed", "timeout"),
        "done": ("done",),
    }[expected]
    if kind not in accepted:
        return short, f"it should be {expected}"
    if expected == "nothing" and result.any():
        return short, "it could do what it tried"
    if kind != "killed" and needed not in text + log:
        return short, f'"{needed}" is not told'
    if len(text) > 40_000 or len(log) > 100_000:
        return short, "text is not cut"
    shown = text + log
    for harmful in ("\x1b", "\0", "\x07", "\r", "\u202e", "\ud800"):
        if harmful in shown:
            return short, f"control character {harmful!r} is let through"
    for private in (str(Path(hostile_functions.__file__).parents[2]), "/inside/", "site-packages"):
        if private in text:
            return short, f"a path of the server is told: {private}"
    return short, ""


def told(error: Any) -> str:
    """All texts of an error, as they are."""
    return "\n".join([error.message, error.hint, *(f"{name}: {value}" for name, value in error.where.items())])


def write_after_reply(watched: Watched) -> tuple[str, str]:
    """A reply that is true in form, while the arena is written on: the result is the copy taken."""
    source = hostile_functions.source_of(hostile_functions.writes_on)
    kind, text, result, _ = watched.call("evil 47", source, "writes_on")
    if kind != "done":
        return f"{kind} {text[:300]}", "it should be done"
    before = result.copy()
    time.sleep(0.3)
    same = np.array_equal(before, result)
    again = watched.call("evil 47", source, "writes_on")[0]
    return f"done, then {again}", "" if same else "the tile changed after it was taken"


def true_bytes(watched: Watched) -> tuple[str, str]:
    """A bool of a byte beyond 1 is true."""
    source = "import numpy as np\ndef f(img):\n    return np.full(img.shape[-2:], 7, 'u1').view(bool)\n"
    kind, text, result, _ = watched.call("evil 48", source, "f")
    if kind != "done":
        return f"{kind} {text[:300]}", "it should be done"
    right = result.dtype == bool and result.view("u1").max() == 1 and result.all()
    return "done", "" if right else "bytes of a bool are let through"


def state_left(watched: Watched) -> tuple[str, str]:
    """What a function leaves behind is there for the same tenant, at most, and for no other."""
    source = (
        "import builtins\nimport numpy as np\nSEEN = []\n"
        "def f(img):\n    found = hasattr(builtins, 'mark') + len(SEEN)\n"
        "    builtins.mark = 1\n    np.mark = 1\n    SEEN.append(img.copy())\n"
        "    return np.full(img.shape[-2:], min(found, 1), 'u1')\n"
    )
    seen = [int(watched.call(tenant, source, "f")[2].max()) for tenant in ("a", "a", "b", "c", "a", "b")]
    return str(seen), "" if seen[0] == seen[2] == seen[3] == 0 and seen[1] == 1 else "state is shared by tenants"


def ten_megabytes(watched: Watched) -> tuple[str, str]:
    """A source over the limit is refused before anything is done with it."""
    begin = time.perf_counter()
    kind, text, _, _ = watched.call("evil 51", "x=1\n" * (10 << 18), "f")
    quick = time.perf_counter() - begin < 1
    return f"{kind} {text[:300]}", "" if kind in ("too-large", "invalid-argument") and quick else "it is not refused"


def open_files() -> set[str]:
    """What this process holds open, without pipes, arenas and handles, of which each worker has its own."""
    return set(_links()) - {""}


def _links() -> Iterator[str]:
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):
            link = os.readlink(f"/proc/self/fd/{name}")
            own = link.startswith(("pipe:", "anon_inode:", "/memfd:", "/proc/"))
            yield "" if own else link.partition(":")[0] if link.startswith("socket:") else link


def memory_mib() -> float:
    """Memory of this process's own, without what it shares with workers [MiB]."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("RssAnon"))


if __name__ == "__main__":
    main(*sys.argv[1:])
