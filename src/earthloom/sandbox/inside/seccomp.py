"""The two system-call filters of a worker, as programs of the kernel's packet filter, made from the policy by names.

A filter never loosens another: of two verdicts the kernel takes the stricter. An unknown architecture, a 32-bit call
(`int 0x80`) and the x32 numbers of x86-64 end the process.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Mapping

from . import syscalls
from .numbers import NUMBERS
from .syscalls import Check

_AUDIT = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_X32 = 0x40000000
# Offsets in struct seccomp_data.
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16
# Instructions: load a word, keep some of its bits, compare, answer.
_LOAD, _AND, _EQUAL, _AT_LEAST, _ANSWER = 0x20, 0x54, 0x15, 0x35, 0x06
_ALLOW, _ERRNO, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_REFUSE = _ERRNO | errno.EPERM
_SET_FILTER = 1

_libc = ctypes.CDLL(None, use_errno=True)


def load_filter(machine: str) -> bytes:
    """The filter of the load phase: our own code imports libraries, no user text runs.

    Parameters
    ----------
    machine
        As `os.uname().machine` names it.

    Raises
    ------
    OSError
        There is no table for this machine.
    """
    return _program(machine, {**syscalls.RUN, **syscalls.LOAD}, syscalls.KILL)


def run_filter(machine: str) -> bytes:
    """The filter of the run phase, to be set upon the first: no call that takes a path is left."""
    return _program(machine, syscalls.RUN, ())


def install(program: bytes) -> None:
    """Set a filter on this process, for good; needs no_new_privs or the capability of an administrator."""
    code = ctypes.create_string_buffer(program, len(program))
    head = ctypes.create_string_buffer(struct.pack("@HP", len(program) // 8, ctypes.addressof(code)))
    number = NUMBERS[os.uname().machine]["seccomp"]
    if _libc.syscall(number, _SET_FILTER, 0, head):
        raise OSError(ctypes.get_errno(), "the kernel refuses a system-call filter (seccomp)")


def _program(machine: str, allowed: Mapping[str, Check | None], killed: tuple[str, ...]) -> bytes:
    """Instructions of 8 bytes: the architecture, then two or more for each call, then the refusal of all others."""
    if machine not in NUMBERS:
        raise OSError(errno.ENOSYS, f"no table of system calls for the machine {machine}")
    numbers = NUMBERS[machine]
    code = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 1, 0, _AUDIT[machine]),
        (_ANSWER, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER),
    ]
    if machine == "x86_64":
        code += [(_AT_LEAST, 0, 1, _X32), (_ANSWER, 0, 0, _KILL)]
    for name, check in allowed.items():
        if name in numbers:
            block = [(_ANSWER, 0, 0, _ALLOW)] if check is None else _checked(check)
            code += [(_EQUAL, 0, len(block), numbers[name]), *block]
    answers = {**{name: _ERRNO | code for name, code in syscalls.ANSWERS.items()}, **dict.fromkeys(killed, _KILL)}
    for name, answer in answers.items():
        if name in numbers:
            code += [(_EQUAL, 0, 1, numbers[name]), (_ANSWER, 0, 0, answer)]
    code.append((_ANSWER, 0, 0, _REFUSE))
    return b"".join(struct.pack("<HBBI", *instruction) for instruction in code)


def _checked(check: Check) -> list[tuple[int, int, int, int]]:
    """Allow if the argument is as the check asks, else refuse. On both machines the low word comes first."""
    place = _ARGUMENTS + 8 * check.argument
    code = []
    if check.mask >> 32:
        code += [(_LOAD, 0, 0, place + 4), (_EQUAL, 1, 0, 0), (_ANSWER, 0, 0, _REFUSE)]
    code += [(_LOAD, 0, 0, place), (_AND, 0, 0, check.mask & 0xFFFFFFFF)]
    left = len(check.values)
    for value in check.values:
        code.append((_EQUAL, left, 0, value))
        left -= 1
    return [*code, (_ANSWER, 0, 0, _REFUSE), (_ANSWER, 0, 0, _ALLOW)]
