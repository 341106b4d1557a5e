"""Places in which a server may run, entered by a program of the tests for good: users, containers, old kernels.

A container is what Docker makes by default: its capabilities, and a system-call filter that refuses what its default
profile refuses, set here by libseccomp from the facts of its documentation.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import sys
import tempfile
from collections.abc import Iterable
from ctypes.util import find_library
from pathlib import Path

USER = 1000
# Name -> (user, the filter, the level that must be reached there).
ENVIRONMENTS = {
    "root": (0, "", "full"),
    "user": (USER, "", "full"),
    "container-root": (0, "docker", "container"),
    "container-user": (USER, "docker", "container"),
    "container-closed": (0, "docker", "container"),  # with the interpreter in a folder that is root's own
    "old-root": (0, "old", "minimal"),
    "old-user": (USER, "old", "minimal"),
}

_NAMESPACES = (0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000)
_NO_NAMESPACES = ("unshare", "setns", "mount", "umount2", "pivot_root", "move_mount", "open_tree", "fsopen", "fsmount")
_DOCKER = (
    *("acct", "add_key", "bpf", "clock_adjtime", "clock_settime", "delete_module", "finit_module", "get_mempolicy"),
    *("init_module", "io_uring_setup", "io_uring_enter", "io_uring_register", "ioperm", "iopl", "kcmp", "kexec_load"),
    *("kexec_file_load", "keyctl", "lookup_dcookie", "mbind", "mount_setattr", "move_pages", "name_to_handle_at"),
    *("nfsservctl", "open_by_handle_at", "perf_event_open", "quotactl", "reboot", "request_key", "set_mempolicy"),
    *("settimeofday", "swapon", "swapoff", "sysfs", "syslog", "uselib", "userfaultfd", "ustat", "vhangup"),
    *("fsconfig", "fspick"),
)
_LANDLOCK = ("landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self")
# chown, dac_override, fowner, fsetid, kill, setgid, setuid, setpcap, net_bind_service, net_raw, sys_chroot, mknod,
# audit_write, setfcap
_CAPABILITIES = 0xA80425FB

_libc = ctypes.CDLL(None, use_errno=True)


def lacking(name: str) -> str:
    """Why an environment cannot be entered here; empty if it can."""
    user, profile, level = ENVIRONMENTS[name]
    if os.geteuid() != user and os.geteuid() != 0:
        return "" if user else "the tests do not run as root"
    if profile and find_library("seccomp") is None:
        return "the library libseccomp2 is not installed"
    if level == "full" and not _has_bwrap():
        return "bubblewrap is not installed"
    return ""


def enter(name: str) -> None:
    """Become a process of this environment; what is started from here on is in it too."""
    user, profile, _ = ENVIRONMENTS[name]
    root = os.geteuid() == 0
    if root and (user or profile) and name != "container-closed":
        open_to_all((sys.base_prefix, sys.prefix, str(Path(__file__).parents[2])))
    if profile:
        _install(profile, privileged=root)
    if root and profile == "docker":
        _keep_capabilities(_CAPABILITIES)
    if root and user:
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
    os.environ["HOME"] = "/nowhere"


def open_to_all(paths: Iterable[str]) -> None:
    """Let every user reach these folders, in mounts of this process's own: closed folders on the way show only them."""
    _check(_libc.unshare(0x20000), "unshare")
    _mount(b"none", b"/", 0x4000 | 0x40000)  # MS_REC | MS_PRIVATE
    closed: dict[Path, list[Path]] = {}
    for path in map(Path, map(os.path.realpath, paths)):
        shut = next((p for p in reversed([path, *path.parents]) if not p.stat().st_mode & 0o001), None)
        if shut is not None:
            closed.setdefault(shut, []).append(path)
    for shut, inner in closed.items():
        substitute = Path(tempfile.mkdtemp(prefix="earthloom-open-"))
        _mount(b"none", str(substitute).encode(), 0, b"tmpfs", b"mode=755")
        for path in inner:
            place = substitute / path.relative_to(shut)
            place.mkdir(parents=True, exist_ok=True)
            _mount(str(path).encode(), str(place).encode(), 0x1000)  # MS_BIND
        _mount(str(substitute).encode(), str(shut).encode(), 0x1000 | 0x4000)
        _check(_libc.umount2(str(substitute).encode(), 2), "umount")
        substitute.rmdir()


def _mount(source: bytes, target: bytes, flags: int, kind: bytes | None = None, options: bytes | None = None) -> None:
    _check(_libc.mount(source, target, kind, ctypes.c_ulong(flags), options), f"mount {target.decode()}")


def _check(result: int, what: str) -> None:
    if result:
        raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")


def _has_bwrap() -> bool:
    return any(os.access(f"{folder}/bwrap", os.X_OK) for folder in os.environ["PATH"].split(":"))


def _keep_capabilities(kept: int) -> None:
    """As a container's runtime does: bounding set, then all others."""
    for number in range(64):
        if not kept >> number & 1:
            _libc.prctl(24, ctypes.c_ulong(number), 0, 0, 0)  # PR_CAPBSET_DROP
    low, high = kept & 0xFFFFFFFF, kept >> 32
    sets = struct.pack("=6I", low, low, 0, high, high, 0)
    _check(_libc.capset(struct.pack("=Ii", 0x20080522, 0), sets), "capset")


def _install(profile: str, *, privileged: bool) -> None:
    """A filter that allows everything but what the profile refuses."""
    library = ctypes.CDLL(find_library("seccomp"))
    library.seccomp_init.argtypes, library.seccomp_init.restype = [ctypes.c_uint32], ctypes.c_void_p
    library.seccomp_attr_set.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_uint32]
    library.seccomp_load.argtypes = library.seccomp_release.argtypes = [ctypes.c_void_p]
    library.seccomp_rule_add_array.argtypes = [ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int, ctypes.c_uint]
    library.seccomp_rule_add_array.argtypes += [ctypes.c_void_p]
    context = library.seccomp_init(0x7FFF0000)
    library.seccomp_attr_set(context, 3, 0 if privileged else 1)  # no_new_privs

    def refuse(name: str, code: int, condition: bytes = b"") -> None:
        number = library.seccomp_syscall_resolve_name(name.encode())
        assert number != -1, name
        if number >= 0:
            added = library.seccomp_rule_add_array(context, 0x50000 | code, number, bool(condition), condition or None)
            assert added == 0, (name, added)

    for name in (*_NO_NAMESPACES, *(_DOCKER if profile == "docker" else ())):
        refuse(name, errno.EPERM)
    for flag in _NAMESPACES:
        refuse("clone", errno.EPERM, struct.pack("@IiQQ", 0, 7, flag, flag))
    refuse("clone3", errno.ENOSYS)
    if profile == "old":
        for name in _LANDLOCK:
            refuse(name, errno.ENOSYS)
    assert library.seccomp_load(context) == 0
    library.seccomp_release(context)
