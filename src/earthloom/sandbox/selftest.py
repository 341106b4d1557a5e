"""Does the isolation hold? Real harm, tried from inside a real worker; version numbers and flags prove nothing.

Sixteen probes: twelve that must be refused, four that must end the worker. Afterwards the canary folder must be as it
was, and nobody may have called at the canary's door.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from earthloom.base.errors import Unavailable
from earthloom.sandbox.function import Function
from earthloom.sandbox.worker import Died, Failed, Worker

_SECRET = "secret.txt"
_WRITTEN = "written.txt"

# What the probes do, as a user would write it: 1 where harm was done, 0 where it was refused.
_SOURCE = """
import ctypes
import os
import platform
import socket

import numpy as np

LIBC = ctypes.CDLL(None, use_errno=True)


def harm(img, what, folder="", door=0, variables=(), parent=0):
    try:
        done = PROBES[what](folder, door, variables, parent)
    except (OSError, MemoryError, RuntimeError):
        done = 0
    return np.full(img.shape[-2:], done, "uint8")


def read(folder, *_):
    with open(folder + "/secret.txt") as file:
        return bool(file.read())


def examine(folder, *_):
    return os.stat(folder + "/secret.txt").st_size > 0 or os.access(folder, os.R_OK)


def write(folder, *_):
    with open(folder + "/written.txt", "w") as file:
        return file.write("harm")


def scan(folder, *_):
    return bool(os.listdir(folder))


def environment(folder, door, variables, parent):
    for process in (os.getppid(), parent, 1, "self"):
        try:
            with open("/proc/%s/environ" % process, "rb") as file:
                return bool(file.read(1))
        except OSError:
            pass
    return 0


def variable(folder, door, variables, parent):
    return bool(set(os.environ) - set(variables))


def connect(folder, door, *_):
    with socket.create_connection(("127.0.0.1", door), 1):
        return 1


def fork(*_):
    if os.fork() == 0:
        os._exit(0)
    return 1


def execute(*_):
    os.execv("/proc/self/exe", ["python", "-c", ""])


def kill(folder, door, variables, parent):
    os.kill(parent, 0)
    return 1


def memory(*_):
    return np.empty(2 << 30, "uint8").nbytes > 0


def descriptors(*_):
    found = []
    for number in range(5, 1024):
        try:
            os.get_inheritable(number)
        except OSError:
            continue
        found.append(number)
    return bool(found)


def ptrace(*_):
    LIBC.ptrace(0, 0, 0, 0)
    return 1


def x32(*_):
    if platform.machine() != "x86_64":
        return ptrace()
    LIBC.syscall(ctypes.c_long(0x40000000 + 39))
    return 1


def unshare(*_):
    LIBC.unshare(0x10000000)
    return 1


def loop(*_):
    while True:
        pass


PROBES = {
    "read": read, "examine": examine, "write": write, "list": scan, "environment": environment,
    "variable": variable, "connect": connect, "fork": fork, "execute": execute, "kill": kill, "memory": memory,
    "descriptors": descriptors, "ptrace": ptrace, "x32": x32, "unshare": unshare, "loop": loop,
}
"""

# Name -> what the harm is, as the operator reads it; those that must be refused, then those that must kill.
REFUSED = {
    "read": "a file of the server can be read",
    "examine": "size and presence of the server's files can be seen",
    "write": "a file can be written",
    "list": "a folder of the server can be listed",
    "environment": "another process's environment can be read",
    "variable": "variables of the server's environment are visible",
    "connect": "a network connection can be made",
    "fork": "a process can be started",
    "execute": "a program can be started",
    "kill": "signals reach the server",
    "memory": "the memory is not bounded",
    "descriptors": "files of the server are open",
}
KILLED = {
    "ptrace": "ptrace does not end the worker",
    "x32": "a call of a foreign architecture does not end the worker",
    "unshare": "a new namespace does not end the worker",
    "loop": "an endless loop is not ended",
}
SHORT = ("read", "connect", "memory")
_FUNCTION = Function(_SOURCE, "harm")
_DEADLINE_S = 10
_LOOP_S = 0.1


class Probe(NamedTuple):
    """What came of one probe: `ok` if the harm was not done, else `reason` says what went wrong."""

    name: str
    ok: bool
    reason: str


@dataclass(frozen=True, slots=True)
class _Canary:
    folder: Path
    token: str
    listener: socket.socket

    def harmed(self) -> str:
        """What somebody has done to it; empty if nothing."""
        if [p.name for p in self.folder.iterdir()] != [_SECRET] or (self.folder / _SECRET).read_text() != self.token:
            return "the canary folder was changed"
        try:
            self.listener.accept()[0].close()
        except BlockingIOError:
            return ""
        return "somebody connected to the canary's door"


def run(start: Callable[[], Worker], variables: Iterable[str], *, short: bool = False) -> list[Probe]:
    """Try to do harm from inside workers.

    Parameters
    ----------
    start
        Makes a locked worker.
    variables
        Names that the workers' environment may have.
    short
        Only three probes: for a zygote that was started again.
    """
    with _canary() as canary:
        arguments = {
            "folder": str(canary.folder),
            "door": canary.listener.getsockname()[1],
            "variables": ["PWD", *variables],  # PWD is bubblewrap's
            "parent": os.getpid(),
        }
        names = SHORT if short else (*REFUSED, *KILLED)
        probes: list[Probe] = []
        worker: Worker | None = None
        try:
            for name in names:
                if worker is None:
                    worker = _loaded(start)
                probe, lives = _try(worker, name, arguments)
                probes.append(probe)
                worker = worker if lives else None
        finally:
            if worker is not None:
                worker.kill()
        harmed = canary.harmed()
    return [*probes, *([Probe("canary", False, harmed)] if harmed else [])]


def _loaded(start: Callable[[], Worker]) -> Worker:
    worker = start()
    try:
        worker.load(_FUNCTION, _DEADLINE_S)
    except (Failed, Died) as problem:
        worker.kill()
        if isinstance(problem, Died) and problem.blameless:
            raise Unavailable("The worker of the self-test was ended by somebody else.") from None
        raise OSError(f"the self-test cannot run in a worker: {problem}") from None
    return worker


def _try(worker: Worker, name: str, arguments: Mapping[str, Any]) -> tuple[Probe, bool]:
    """One probe, and whether the worker lives after it: it must come back with nothing done, or die."""
    text = json.dumps({"what": name, **arguments}).encode()
    deadline_s = _LOOP_S if name == "loop" else _DEADLINE_S
    try:
        done = bool(worker.run(np.zeros((1, 1, 1), np.uint8), arguments=text, deadline_s=deadline_s).result.any())
    except Failed as problem:
        return Probe(name, False, f"the probe could not be run: {problem}"), True
    except Died as died:
        if died.blameless:
            raise Unavailable("The worker of the self-test was ended by somebody else.") from None
        ended = died.kind == "timeout" if name == "loop" else died.signal == signal.SIGSYS
        expected = name in KILLED and ended
        return Probe(name, expected, "" if expected else f"the worker ended otherwise: {died}"), False
    if name in KILLED:
        return Probe(name, False, KILLED[name]), True
    return Probe(name, not done, REFUSED[name] if done else ""), True


@contextmanager
def _canary() -> Iterator[_Canary]:
    """A folder that anybody may read and write, with a secret, and a door that listens."""
    with tempfile.TemporaryDirectory(prefix="earthloom-canary-") as folder, socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.setblocking(False)
        place, token = Path(folder), secrets.token_hex()
        (place / _SECRET).write_text(token)
        place.chmod(0o777)
        yield _Canary(place, token, listener)
