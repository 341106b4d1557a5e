"""One worker, seen from the server: load a function, run it on arrays, end it, and say how it ended."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earthloom.base.errors import FunctionFailed, Unavailable
from earthloom.sandbox import claims
from earthloom.sandbox.claims import Line
from earthloom.sandbox.function import Function
from earthloom.sandbox.inside import frames
from earthloom.sandbox.inside.frames import Frame
from earthloom.sandbox.process import Process, may_change_nice, processor_seconds
from earthloom.sandbox.wire import Fault, Link

READY_S = 30  # until a worker is locked and warm
END_S = 2  # until a process that has closed its end has ended
LARGE_BYTES = 4 << 20  # of arrays, for which an idle worker keeps no memory
SLOW_NICE = 10  # of what is slow: behind quick calls, but never so far that it fails for that
SLOW_S = 0.05  # after which a call does not count as quick
MOST_MORE_S = 10.0  # beyond its deadline, for a worker that gets too little of the processor


class Died(Exception):
    """A worker that is no more.

    Parameters
    ----------
    kind
        "timeout", "protocol" (a reply that is none), or "closed" (it ended, or closed its end).
    code
        Exit code, or minus the signal that ended it; None if that is not known, or if it was ours.
    """

    def __init__(self, kind: str, code: int | None) -> None:
        super().__init__(f"{kind}, {code}")
        self.kind, self.code = kind, code

    @property
    def signal(self) -> int | None:
        """The signal that ended it, other than ours."""
        return -self.code if self.code is not None and self.code < 0 else None

    @property
    def blameless(self) -> bool:
        """Whether somebody else ended it: the kernel for want of memory, an operator, or the zygote's own end."""
        return self.kind == "closed" and (self.code is None or self.code == -signal.SIGKILL)


@dataclass(frozen=True, slots=True)
class Loaded:
    """What is known of a loaded function: whether it wants the context, and what it printed."""

    wants_context: bool
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """The result of a call, and what was printed."""

    result: NDArray[Any]
    lines: tuple[Line, ...]


class Failed(Exception):
    """A function that did not give a result; its worker lives.

    Parameters
    ----------
    error
        What its user is told.
    lines
        What was printed before.
    unready
        A module was missing, in a worker that was forked before all libraries were loaded: another may have it.
    """

    def __init__(self, error: FunctionFailed, lines: tuple[Line, ...], unready: bool) -> None:
        super().__init__(str(error))
        self.error, self.lines, self.unready = error, lines, unready


class Worker:
    """A worker process and the way to it. One call at a time.

    Parameters
    ----------
    link
        Pipes and arena.
    process
        The process.
    """

    def __init__(self, link: Link, process: Process) -> None:
        self._link, self._process = link, process
        self.pid = process.pid
        self.born = self.used = time.monotonic()
        self.calls = 0
        self.seconds = 0.0  # of the user's code
        self.wants_context = False
        self.early = False  # forked before the zygote had loaded all libraries
        self._large = False  # its arena holds much memory
        self._gone = False

    def await_ready(self) -> None:
        """Wait until it is locked and warm.

        Raises
        ------
        OSError
            If a fence does not hold; the text tells which.
        Unavailable
            If somebody else ended it.
        """
        try:
            reply = self._receive(0, READY_S, None)
        except Died as died:
            if died.blameless:
                raise Unavailable("A worker was ended before it was ready.") from None
            raise OSError(f"a worker ended before it was ready ({died})") from None
        if reply.kind != frames.READY:
            problem = claims.problem(self._link.take_text(reply))
            self.kill()
            raise OSError(problem.message)

    def load(self, function: Function, deadline_s: float) -> Loaded:
        """Load a function; once for each worker.

        Raises
        ------
        Failed
            If it is not Python, imports what is not allowed, or raises.
        Died
            If the worker is no more.
        """
        request = self._link.put_text(json.dumps([function.source, function.name]).encode())
        reply = self._exchange(request, deadline_s, None)
        document = self._text(reply)
        if reply.kind == frames.FAILED:
            raise self._failed(document)
        self.wants_context = document.get("context") is True
        return Loaded(self.wants_context, claims.lines(document))

    def run(
        self,
        img: NDArray[Any],
        *,
        arguments: bytes = b"{}",
        context: bytes = b"",
        mask: NDArray[np.bool_] | None = None,
        deadline_s: float,
        slow: Callable[[], None] | None = None,
    ) -> Answer:
        """One call.

        Parameters
        ----------
        img
            (..., y, x); copied.
        arguments, context
            JSON objects.
        mask
            Of the shape of `img`; copied.
        deadline_s
            Processor time for it [s].
        slow
            Called if it has taken `SLOW_S`.

        Raises
        ------
        TooLarge
            If the array does not fit into the arena.
        Failed
            If the function raises or its result is none.
        Died
            If the worker is no more.
        """
        request = self._link.put(img, mask, arguments, context)
        begin = time.monotonic()
        reply = self._exchange(request, deadline_s, slow)
        self.used = time.monotonic()
        self.seconds += self.used - begin
        self.calls += 1
        if reply.kind == frames.FAILED:
            raise self._failed(self._text(reply))
        try:
            result = self._link.take(reply)
        except Fault as fault:
            raise self._died(fault) from None
        self._large = self._large or img.nbytes + result.nbytes > LARGE_BYTES
        lines = claims.lines(self._text(reply)) if reply.first else ()
        return Answer(result, lines)

    def trim(self) -> None:
        """Give back the memory of large arrays, between calls."""
        if self._large:
            self._large = False
            self._link.trim()

    def alive(self) -> bool:
        """Whether its process runs."""
        return not self._process.ended(0)

    def kill(self) -> None:
        """End it, without asking."""
        if not self._gone:
            self._gone = True
            self._process.kill()
            self._link.close()
            self._process.close()

    def forget(self) -> None:
        """Let go of it in a forked process, without ending it: it belongs to the other one."""
        if not self._gone:
            self._gone = True
            self._link.close()

    def _failed(self, document: claims.Document) -> Failed:
        error = claims.problem(document)
        return Failed(error, claims.lines(document), self.early and error.where.get("reason") == "import")

    def _exchange(self, request: Frame, deadline_s: float, slow: Callable[[], None] | None) -> Frame:
        nonce = _nonce()
        try:
            self._link.send(request._replace(nonce=nonce))
        except Fault as fault:
            raise self._died(fault) from None
        return self._receive(nonce, deadline_s, slow)

    def _receive(self, nonce: int, deadline_s: float, slow: Callable[[], None] | None) -> Frame:
        try:
            if not self._link.wait(min(deadline_s, SLOW_S)):
                if slow is not None:
                    slow()
                if deadline_s <= SLOW_S or not self._wait_behind(deadline_s):
                    raise Fault("timeout")
            return self._link.receive(nonce)
        except Fault as fault:
            raise self._died(fault) from None

    def _wait_behind(self, deadline_s: float) -> bool:
        """`_wait_long`, while quick calls of others go first, if the system lets us undo that."""
        if not may_change_nice():
            return self._wait_long(deadline_s)
        with suppress(ProcessLookupError):
            before = os.getpriority(os.PRIO_PROCESS, self.pid)
            os.setpriority(os.PRIO_PROCESS, self.pid, max(before, SLOW_NICE))
            try:
                return self._wait_long(deadline_s)
            finally:
                if self.alive():
                    os.setpriority(os.PRIO_PROCESS, self.pid, before)
        return self._link.wait(0)  # it has ended

    def _wait_long(self, deadline_s: float) -> bool:
        """Whether a reply comes within a deadline of which `SLOW_S` has passed.

        What counts is the worker's processor time, so that nobody's function fails because others are busy; a function
        that sleeps is given up a while later.
        """
        begin = processor_seconds(self.pid)
        if self._link.wait(deadline_s - SLOW_S):
            return True
        end = time.monotonic() + min(2 * deadline_s, MOST_MORE_S)
        while begin is not None and (now := processor_seconds(self.pid)) is not None:
            left = deadline_s - SLOW_S - (now - begin)
            if left < 0.05 * deadline_s or time.monotonic() > end:
                return False
            if self._link.wait(min(left, end - time.monotonic())):
                return True
        return self._link.wait(0)

    def _text(self, reply: Frame) -> claims.Document:
        try:
            return self._link.take_text(reply)
        except Fault as fault:
            raise self._died(fault) from None

    def _died(self, fault: Fault) -> Died:
        """End what is left of it, and learn why it ended if it was not by us."""
        code = None
        if fault.kind == "closed":
            if self._process.ended(END_S):
                code = self._process.status()
            else:
                fault = Fault("protocol")  # it lives and has closed its end
        self.kill()
        return Died(fault.kind, code)


def _nonce() -> int:
    return int.from_bytes(os.urandom(8), "little") | 1  # never that of the first frame
