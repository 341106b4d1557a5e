"""The process from which all workers of a box are forked: libraries loaded once, one thread, no text of a user.

Its server talks to it through one socket, a message a request: `fork` makes a worker, `why` tells how one ended; after
`load` it loads further libraries between requests, one step at a time: the first function need not wait for all.
"""

from __future__ import annotations

import array
import contextlib
import ctypes
import gc
import importlib
import json
import os
import pkgutil
import select
import signal
import socket
from typing import Any, NoReturn

from earthloom.base import openeo_udf
from earthloom.sandbox.inside import imports, worker
from earthloom.sandbox.inside.fences import Fences

MESSAGE_BYTES = 1 << 18
MOST_ENDED = 1000  # of which nobody asked


def main(control: int) -> NoReturn:
    """Serve until the server closes its end.

    Parameters
    ----------
    control
        Descriptor of the socket.
    """
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PDEATHSIG: with the server, also in the middle of a long import
    # Read with recvmsg alone: closing happens with the process.
    Zygote(socket.socket(fileno=control)).serve()


class Zygote:
    """The zygote's state: fences, libraries still to be loaded, workers' numbers."""

    def __init__(self, control: socket.socket) -> None:
        self.control = control
        self.setup = setup = json.loads(control.recv(MESSAGE_BYTES))
        self.allowed = imports.Allowed(setup["packages"], setup["libraries"])
        self.steps: list[str] = setup["preload"]
        self.loading = False  # from the server's word on, when it has its first workers
        self.loaded = 0
        self.slots: dict[int, int] = {}  # process -> number, of which its user follows
        self.ended: dict[int, int] = {}  # process -> wait status
        for name in imports.LAZY:
            importlib.import_module(name)
        if setup["openeo"]:
            openeo_udf.install()
        self.allowed.install()
        self.fences = Fences(setup["level"], setup["memory_bytes"], setup["readable"], setup["listable"], setup["nice"])
        _settle()
        self._say({"loaded": 0})

    def serve(self) -> NoReturn:
        """Answer requests; load libraries while there are none."""
        poll = select.poll()
        poll.register(self.control, select.POLLIN)
        while True:
            if poll.poll(0 if self.loading and self.steps else None):
                self._answer()
            else:
                self._load(self.steps.pop(0))

    def _load(self, name: str) -> None:
        package = name.removesuffix(".*")
        with contextlib.suppress(Exception):  # whatever a library lacks here, a user's own import meets it and tells it
            module = importlib.import_module(package)
            if package != name:
                for found in pkgutil.iter_modules(module.__path__, f"{package}."):
                    importlib.import_module(found.name)
            if name == "numba":
                _compile()
        _settle()
        self.loaded += 1

    def _answer(self) -> None:
        data, ancillary, _, _ = self.control.recvmsg(MESSAGE_BYTES, socket.CMSG_SPACE(3 * 4))
        if not data:
            os._exit(0)
        ends = array.array("i")
        for _, kind, content in ancillary:
            if kind == socket.SCM_RIGHTS:
                ends.frombytes(content[: len(content) - len(content) % ends.itemsize])
        request = json.loads(data)
        self._reap()
        if request["do"] == "why":
            self._say({"status": self.ended.pop(request["pid"], None)})
        elif request["do"] == "load":
            self.loading = True
            self._say({"loaded": self.loaded})
        else:
            self._fork(tuple(ends))

    def _fork(self, ends: tuple[int, ...]) -> None:
        slot = next(n for n in range(len(self.slots) + 1) if n not in self.slots.values())
        uid = self.setup["first_uid"] + slot if self.setup["first_uid"] else None
        pid = os.fork()
        if not pid:
            self._become_worker(ends, uid)
        for end in ends:
            os.close(end)
        self.slots[pid] = slot
        handle = os.pidfd_open(pid)
        self._say({"pid": pid, "loaded": self.loaded}, handle)
        os.close(handle)

    def _become_worker(self, ends: tuple[int, ...], uid: int | None) -> NoReturn:
        try:
            requests, replies, arena = ends
            worker.begin(
                (requests, replies, arena),
                self.setup["half"],
                lambda: self.fences.lock(uid),
                self.fences.run_only,
                self.allowed,
                keep=self.fences.descriptors,
            )
        finally:
            os._exit(70)

    def _reap(self) -> None:
        """Keep how workers have ended, for the server may ask."""
        with contextlib.suppress(ChildProcessError):
            while (found := os.waitpid(-1, os.WNOHANG))[0]:
                self.slots.pop(found[0], None)
                self.ended[found[0]] = found[1]
        while len(self.ended) > MOST_ENDED:
            self.ended.pop(next(iter(self.ended)))

    def _say(self, message: dict[str, Any], *descriptors: int) -> None:
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
        self.control.sendmsg([json.dumps(message).encode()], rights)


def _settle() -> None:
    """What lives now lives for good: forks need not copy its pages to count references."""
    gc.collect()
    gc.freeze()


def _compile() -> None:
    """One kernel, so that the compiler itself is loaded; a cache on disk, which functions cannot have, is no error."""
    import numba
    import numba.core.dispatcher
    import numpy

    numba.core.dispatcher.Dispatcher.enable_caching = lambda self: None  # type: ignore[method-assign]

    @numba.njit
    def kernel(img: Any, limit: float) -> Any:
        out = numpy.zeros(img.shape[1:], numpy.float32)
        for y in range(out.shape[0]):
            for x in range(out.shape[1]):
                out[y, x] = img[0, y, x] if img[0, y, x] > limit else numpy.nan
        return out

    kernel(numpy.ones((2, 3, 3), numpy.float32), 0.5)
