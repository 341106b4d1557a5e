"""The numbers and both filters are what libseccomp makes of the same policy, on both architectures."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import struct
import sys
from collections.abc import Callable, Mapping
from ctypes.util import find_library
from pathlib import Path
from types import ModuleType

import pytest

if sys.platform != "linux":
    pytest.skip("seccomp is Linux's", allow_module_level=True)

from earthloom.sandbox.inside import seccomp, syscalls
from earthloom.sandbox.inside.numbers import NUMBERS
from earthloom.sandbox.inside.syscalls import Check

TOOL = Path(__file__).parents[2] / "tools" / "syscalls.py"
ALLOW, ERRNO, KILL = 0x7FFF0000, 0x00050000, 0x80000000
MASKED_EQUAL = 7
ARGUMENTS = (
    (0,) * 6,
    (1,) * 6,
    (3,) * 6,
    (9,) * 6,
    (14,) * 6,
    (1 << 32,) * 6,
    (0o102,) * 6,
    (1030,) * 6,
    (128,) * 6,
    (0x40022,) * 6,
)


@pytest.fixture(scope="module")
def library() -> ctypes.CDLL:
    """libseccomp, or skip."""
    name = find_library("seccomp")
    if name is None:
        reason = "the library libseccomp2 is not installed"
        if os.environ.get("EARTHLOOM_TEST_REQUIRE") == "all":
            pytest.fail(reason)
        pytest.skip(reason)
    found = ctypes.CDLL(name)
    found.seccomp_init.argtypes, found.seccomp_init.restype = [ctypes.c_uint32], ctypes.c_void_p
    found.seccomp_release.argtypes = [ctypes.c_void_p]
    found.seccomp_arch_native.restype = ctypes.c_uint32
    for function in (found.seccomp_arch_add, found.seccomp_arch_remove):
        function.argtypes = [ctypes.c_void_p, ctypes.c_uint32]
    found.seccomp_attr_set.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_uint32]
    found.seccomp_export_bpf.argtypes = [ctypes.c_void_p, ctypes.c_int]
    found.seccomp_rule_add_array.argtypes = [ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int, ctypes.c_uint]
    found.seccomp_rule_add_array.argtypes += [ctypes.c_void_p]
    return found


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("syscalls_tool", TOOL)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_numbers_are_libseccomps(library: ctypes.CDLL, tool: ModuleType) -> None:
    assert tool.TARGET.read_text() == tool.text()
    for machine in NUMBERS:
        assert tool.numbers(machine) == NUMBERS[machine]


def test_every_name_is_known_somewhere() -> None:
    assert set(syscalls.NAMES) == set().union(*NUMBERS.values())


@pytest.mark.parametrize("machine", list(NUMBERS))
@pytest.mark.parametrize("phase", ["load", "run"])
def test_filters_answer_as_libseccomps(
    library: ctypes.CDLL, tool: ModuleType, machine: str, phase: str, tmp_path: Path
) -> None:
    """Every number, with arguments on both sides of every check, gets the same answer from both filters."""
    allowed = syscalls.RUN if phase == "run" else {**syscalls.RUN, **syscalls.LOAD}
    killed = () if phase == "run" else syscalls.KILL
    architecture = tool.ARCHITECTURES[machine]
    theirs = exported(library, architecture, NUMBERS[machine], allowed, killed, tmp_path / "filter")
    ours = {"load": seccomp.load_filter, "run": seccomp.run_filter}[phase](machine)
    assert len(ours) // 8 < 300
    for number in range(480):
        for arguments in ARGUMENTS:
            data = struct.pack("<iIQ6Q", number, architecture, 0, *arguments)
            assert verdict(ours, data) == verdict(theirs, data), (number, arguments)


@pytest.mark.parametrize("make", [seccomp.load_filter, seccomp.run_filter])
def test_other_architectures_are_killed(make: Callable[[str], bytes]) -> None:
    for machine, foreign in (("x86_64", 0x40000003), ("x86_64", 0xC00000B7), ("aarch64", 0x40000028)):
        assert verdict(make(machine), struct.pack("<iIQ6Q", 0, foreign, 0, *(0,) * 6)) == KILL
    own = 0xC000003E
    for number in (0x40000000, 0x40000027, 0xFFFFFFFF):
        assert verdict(make("x86_64"), struct.pack("<IIQ6Q", number, own, 0, *(0,) * 6)) == KILL


def verdict(program: bytes, data: bytes) -> int:
    """What a filter answers, by interpreting its instructions as the kernel does."""
    code = [struct.unpack_from("<HBBI", program, i) for i in range(0, len(program), 8)]
    accumulator, at = 0, 0
    while True:
        kind, yes, no, k = code[at]
        at += 1
        if kind == 0x20:
            accumulator = int(struct.unpack_from("<I", data, k)[0])
        elif kind == 0x54:
            accumulator &= k
        elif kind == 0x05:
            at += k
        elif kind == 0x06:
            return int(k)
        else:
            at += yes if {0x15: accumulator == k, 0x25: accumulator > k, 0x35: accumulator >= k}[kind] else no


def exported(
    library: ctypes.CDLL,
    architecture: int,
    numbers: Mapping[str, int],
    allowed: Mapping[str, Check | None],
    killed: tuple[str, ...],
    path: Path,
) -> bytes:
    """The filter that libseccomp makes for an architecture."""
    native = NUMBERS[os.uname().machine]  # rules are given by native numbers, and translated
    context = library.seccomp_init(ERRNO | 1)
    assert library.seccomp_attr_set(context, 2, KILL) == 0  # what a foreign architecture gets
    if architecture != library.seccomp_arch_native():
        assert library.seccomp_arch_add(context, architecture) == 0
        assert library.seccomp_arch_remove(context, library.seccomp_arch_native()) == 0
    rules: list[tuple[int, str, tuple[int, int, int] | None]] = []
    for name, check in allowed.items():
        if check is None:
            rules.append((ALLOW, name, None))
        else:
            rules += [(ALLOW, name, (check.argument, check.mask, value)) for value in check.values]
    rules += [(ERRNO | code, name, None) for name, code in syscalls.ANSWERS.items()]
    rules += [(KILL, name, None) for name in killed]
    for action, name, condition in rules:
        if name in numbers:
            packed = b"" if condition is None else struct.pack("@IiQQ", condition[0], MASKED_EQUAL, *condition[1:])
            added = library.seccomp_rule_add_array(context, action, native[name], bool(packed), packed or None)
            assert added == 0, (name, added)
    with path.open("w+b") as file:
        assert library.seccomp_export_bpf(context, file.fileno()) == 0
        library.seccomp_release(context)
        file.seek(0)
        return file.read()
