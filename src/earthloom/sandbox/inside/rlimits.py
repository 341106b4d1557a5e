"""Limits of a worker that the kernel holds: memory, open files, processor time, and nothing written."""

from __future__ import annotations

import mmap
import resource
import sys

_FILES = 64
_STACK = 8 << 20
_SIGNALS = 64
_SECONDS = 300
_STEP = 1 << 20


def limit(memory_bytes: int) -> None:
    """Set the limits of this process; a user's function cannot raise them, for the calls are refused afterwards.

    Parameters
    ----------
    memory_bytes
        Address space beyond what is in use now. A hard bound, for no second process, thread, shared memory or pipe
        can be made. Linux only.
    """
    for name, most in (
        ("RLIMIT_CORE", 0),
        ("RLIMIT_FSIZE", 0),
        ("RLIMIT_MEMLOCK", 0),
        ("RLIMIT_MSGQUEUE", 0),
        ("RLIMIT_NOFILE", _FILES),
        ("RLIMIT_SIGPENDING", _SIGNALS),
        ("RLIMIT_STACK", _STACK),
        ("RLIMIT_CPU", _SECONDS),
    ):
        if hasattr(resource, name):
            _at_most(getattr(resource, name), most)
    if sys.platform == "linux":
        _at_most(resource.RLIMIT_AS, address_space() + memory_bytes)


def address_space() -> int:
    """Address space of this process [bytes], to the next MiB: the least limit under which a page can still be had.

    Asked of the limit itself, for there is no /proc in the box.
    """
    before = resource.getrlimit(resource.RLIMIT_AS)
    low, high = 0, (1 << 47 if before[1] == resource.RLIM_INFINITY else before[1])
    try:
        while high - low > _STEP:
            middle = (low + high) // 2
            if _fits(middle, before[1]):
                high = middle
            else:
                low = middle
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
    return high


def _fits(limit_bytes: int, hard: int) -> bool:
    try:
        resource.setrlimit(resource.RLIMIT_AS, (limit_bytes, hard))
        mmap.mmap(-1, mmap.PAGESIZE).close()
    except (OSError, MemoryError):
        return False
    return True


def _at_most(which: int, most: int) -> None:
    """Lower a limit; a lower one that holds already stays."""
    hard = resource.getrlimit(which)[1]
    value = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(which, (value, value))
