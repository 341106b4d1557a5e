"""A worker's process as the server holds it: to end it, and to learn how it ended."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Protocol

SYS_NICE = 23  # number of a capability


class Process(Protocol):
    """A process of which we are told how it ended, though it need not be our child."""

    pid: int

    def kill(self) -> None:
        """End it; nothing happens if it has ended."""

    def ended(self, seconds: float) -> bool:
        """Whether it has ended, or does within this time."""

    def status(self) -> int | None:
        """Exit code, or minus the signal, of a process that has ended; None if nobody knows."""

    def close(self) -> None:
        """Let go of it."""


def processor_seconds(pid: int) -> float | None:
    """Processor time that a process has used, all of its threads; None where the system does not tell."""
    try:
        return time.clock_gettime(~pid << 3 | 2)  # the kernel's clock of another process
    except OSError:
        return None


def has_capabilities(*numbers: int) -> bool:
    """Whether this process holds these capabilities of Linux."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return False
    held = next((int(line.split()[1], 16) for line in lines if line.startswith("CapEff")), 0)
    return all(held >> number & 1 for number in numbers)


@cache
def may_change_nice() -> bool:
    """Whether a worker's nice value can be raised and lowered again."""
    return has_capabilities(SYS_NICE)


class Forked:
    """A fork of the zygote, held by its pidfd: a number that no other process can take over.

    Parameters
    ----------
    handle
        The pidfd, owned from now on.
    why
        Asks the zygote for the wait status.
    """

    def __init__(self, handle: int, why: Callable[[], int | None]) -> None:
        self._handle, self._why = handle, why
        self._poll = select.poll()
        self._poll.register(handle, select.POLLIN)
        known = [line for line in Path(f"/proc/self/fdinfo/{handle}").read_text().splitlines() if line[:4] == "Pid:"]
        self.pid = int(known[0].split()[1]) if known else 0

    def kill(self) -> None:
        """End it."""
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._handle, signal.SIGKILL)

    def ended(self, seconds: float) -> bool:
        """Whether it has ended, or does within this time."""
        return bool(self._poll.poll(seconds * 1000))

    def status(self) -> int | None:
        """Exit code, or minus the signal; None if the zygote has ended too."""
        status = self._why()
        return None if status is None else os.waitstatus_to_exitcode(status)

    def close(self) -> None:
        """Let go of it."""
        os.close(self._handle)


class Child:
    """A plain child process of ours."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process, self.pid = process, process.pid

    def kill(self) -> None:
        """End it."""
        self._process.kill()

    def ended(self, seconds: float) -> bool:
        """Whether it has ended, or does within this time."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def status(self) -> int | None:
        """Exit code, or minus the signal."""
        return self._process.poll()

    def close(self) -> None:
        """Let go of it, when it has ended."""
        self._process.wait()
