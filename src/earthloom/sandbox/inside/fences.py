"""What a worker puts around itself before it sees a user's text: the one door of all fences.

Prepared once in the zygote and inherited by its forks, so that a lock costs a few system calls.
"""

from __future__ import annotations

import ctypes
import os
import signal
import struct
from collections.abc import Sequence

from . import landlock, rlimits, seccomp

_SET_PDEATHSIG, _SET_DUMPABLE, _SET_NO_NEW_PRIVS, _AMBIENT, _AMBIENT_CLEAR = 1, 4, 38, 47, 4
_CAPABILITY_VERSION = 0x20080522

_libc = ctypes.CDLL(None, use_errno=True)


class Fences:
    """The fences of one level.

    Parameters
    ----------
    level
        "full", "container": all of them. "minimal": without Landlock. "none": limits alone, for a plain child process
        that is not isolated.
    memory_bytes
        Address space that a worker may add to what it has when it locks itself.
    readable, listable
        Paths for Landlock: what may be read with all below, folders of which names only may be listed.
    nice
        Added to the worker's nice value.

    Raises
    ------
    OSError
        A fence of the level is not to be had here; its text names it.
    """

    def __init__(
        self, level: str, memory_bytes: int, readable: Sequence[str], listable: Sequence[str], nice: int
    ) -> None:
        self.level = level
        self.memory_bytes = memory_bytes
        self.nice = nice
        self._parent = os.getpid()
        machine = os.uname().machine
        isolated = level != "none"
        self._load = seccomp.load_filter(machine) if isolated else b""
        self._run = seccomp.run_filter(machine) if isolated else b""
        self._rules = landlock.ruleset(readable, listable) if level in ("full", "container") else None

    @property
    def descriptors(self) -> tuple[int, ...]:
        """Open files that a worker must keep open until `lock`, which closes them."""
        return () if self._rules is None else (self._rules,)

    def lock(self, uid: int | None) -> None:
        """Give up all that this forked process has and does not need, for good, before any text of a user.

        Only one thread may run. Arenas must be mapped already, and no program is started afterwards.

        Parameters
        ----------
        uid
            The user and group to become; None to stay as it is.

        Raises
        ------
        OSError
            A fence does not hold: the worker must end at once.
        """
        if self.level == "none":
            rlimits.limit(self.memory_bytes)
            return
        if uid is not None:
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
        _drop_capabilities()
        # Both after the change of user, which undoes them.
        _prctl(_SET_PDEATHSIG, signal.SIGKILL)
        _prctl(_SET_DUMPABLE, 0)
        if os.getppid() != self._parent:
            raise ProcessLookupError("the zygote has ended")
        if self.nice:
            os.nice(self.nice)
        rlimits.limit(self.memory_bytes)
        _prctl(_SET_NO_NEW_PRIVS, 1)
        if self._rules is not None:
            landlock.restrict(self._rules)
            os.close(self._rules)
        seccomp.install(self._load)

    def run_only(self) -> None:
        """Take away what loading needed: from here no system call that takes a path works. Before a user's text runs.

        Raises
        ------
        OSError
            The filter does not hold: the worker must end at once.
        """
        if self._run:
            seccomp.install(self._run)


def _drop_capabilities() -> None:
    """No capability in any set but the bounding one, which means nothing under no_new_privs."""
    _prctl(_AMBIENT, _AMBIENT_CLEAR)
    head = struct.pack("=Ii", _CAPABILITY_VERSION, 0)
    if _libc.capset(head, bytes(24)):
        raise OSError(ctypes.get_errno(), "capabilities could not be dropped")


def _prctl(option: int, value: int) -> None:
    if _libc.prctl(option, ctypes.c_ulong(value), ctypes.c_ulong(0), ctypes.c_ulong(0), ctypes.c_ulong(0)):
        raise OSError(ctypes.get_errno(), f"prctl({option}) is refused")
