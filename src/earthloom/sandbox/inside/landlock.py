"""The files that a worker may read while it imports libraries, as one Landlock ruleset shared by all forks.

Landlock holds opening, listing, writing and connecting, but not stat, access and readlink: the second system-call
filter does. Numbers and structures as in the kernel's linux/landlock.h; the calls have the same numbers everywhere.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import stat
import struct
from collections.abc import Iterable

_CREATE, _ADD, _RESTRICT = 444, 445, 446
_VERSION_FLAG, _PATH_BENEATH = 1, 1
_READ_FILE, _READ_DIR = 1 << 2, 1 << 3
# All rights over files by version of the interface; older kernels refuse bits that they do not know.
_FILES = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}
_TCP = 0b11  # bind and connect, from version 4
_SCOPED = 0b11  # abstract sockets and signals to the outside, from version 6
_HIGH = 40  # beyond the descriptors that a worker puts in order before it locks itself

_libc = ctypes.CDLL(None, use_errno=True)


def version() -> int:
    """Version of the kernel's Landlock interface.

    Raises
    ------
    OSError
        The kernel or a container's filter has none.
    """
    found = int(_libc.syscall(_CREATE, None, 0, _VERSION_FLAG))
    if found < 1:
        raise OSError(ctypes.get_errno(), "Landlock is not available")
    return found


def ruleset(readable: Iterable[str], listable: Iterable[str]) -> int:
    """A ruleset that allows reading below some paths and listing some folders, and nothing else; its descriptor.

    Parameters
    ----------
    readable
        Files, and folders with all that is below them. Paths that do not exist are passed over.
    listable
        Folders whose names may be listed, with those below them, but whose files may not be read.
    """
    abi = version()
    rights = _FILES[max(known for known in _FILES if known <= abi)]
    fields = [rights, *([_TCP] if abi >= 4 else []), *([_SCOPED] if abi >= 6 else [])]
    attributes = struct.pack(f"={len(fields)}Q", *fields)
    rules = int(_libc.syscall(_CREATE, attributes, len(attributes), 0))
    if rules < 0:
        raise OSError(ctypes.get_errno(), "no Landlock ruleset could be made")
    for paths, allowed in ((readable, _READ_FILE | _READ_DIR), (listable, _READ_DIR)):
        for path in paths:
            _add(rules, path, allowed)
    high = fcntl.fcntl(rules, fcntl.F_DUPFD_CLOEXEC, _HIGH)
    os.close(rules)
    return high


def restrict(rules: int) -> None:
    """Put this process under a ruleset, for good; needs no_new_privs."""
    if _libc.syscall(_RESTRICT, rules, 0):
        raise OSError(ctypes.get_errno(), "the kernel refuses a Landlock ruleset")


def _add(rules: int, path: str, allowed: int) -> None:
    """Allow something below a path. A path that may not be opened is passed over too: it could not be read anyway."""
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError as problem:
        if problem.errno in (errno.ENOENT, errno.ENOTDIR, errno.EACCES):
            return
        raise
    try:
        if not stat.S_ISDIR(os.fstat(place).st_mode):
            allowed &= _READ_FILE
        rule = struct.pack("=Qi", allowed, place)
        if allowed and _libc.syscall(_ADD, rules, _PATH_BENEATH, rule, 0):
            raise OSError(ctypes.get_errno(), "no Landlock rule could be added", path)
    finally:
        os.close(place)
