"""Which system calls a worker may make, by name: while libraries are loaded, and while a user's function runs.

What no list names is refused with EPERM, so that libraries and users see a usual PermissionError.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Check:
    """The condition under which a system call is allowed: `argument & mask` is one of `values`.

    `argument` counts from 0. Values fit in 32 bits; a mask beyond 32 bits asks that the upper half be 0.
    """

    argument: int
    mask: int
    values: tuple[int, ...]


_WHOLE = 0xFFFFFFFF
_POINTER = 0xFFFFFFFF_FFFFFFFF
# Writing, creating and O_PATH, which no Landlock rule holds; these numbers are the same on both architectures.
_NOT_READING = 0o3 | 0o100 | 0o1000 | 0o2000 | 0o10000000 | 0o20000000

# Of the memory, the clock, the process itself, and pipes that are open already; nothing that takes a path.
RUN: dict[str, Check | None] = {
    **dict.fromkeys(("read", "write", "munmap", "mprotect", "mremap", "brk", "getrandom", "getcwd")),
    **dict.fromkeys(("close", "fstat", "lseek", "clock_gettime", "clock_getres", "clock_nanosleep", "nanosleep")),
    **dict.fromkeys(("gettimeofday", "time", "times", "getrusage", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn")),
    **dict.fromkeys(("sigaltstack", "exit", "exit_group", "sched_yield", "sched_getaffinity", "getpid", "gettid")),
    **dict.fromkeys(("restart_syscall", "rseq", "uname", "sysinfo")),
    # Neither MAP_LOCKED nor MAP_HUGETLB: the huge pages that a host has set aside are others'.
    "mmap": Check(3, 0x42000, (0,)),
    # F_GETFD, F_SETFD, F_GETFL, F_DUPFD_CLOEXEC
    "fcntl": Check(1, _WHOLE, (1, 2, 3, 1030)),
    # Reading limits only.
    "prlimit64": Check(2, _POINTER, (0,)),
    # WAIT, WAKE, REQUEUE, CMP_REQUEUE, WAKE_OP, WAIT_BITSET, WAKE_BITSET: what locks need; no priority inheritance.
    "futex": Check(1, 0x7F, (0, 1, 3, 4, 5, 9, 10)),
    # DONTNEED, FREE, HUGEPAGE, NOHUGEPAGE; not MERGEABLE, by which equal pages of others can be found.
    "madvise": Check(2, _WHOLE, (4, 8, 14, 15)),
}

# Beyond these while our own code imports libraries: reading files, and the call that ends this phase.
LOAD: dict[str, Check | None] = {
    "openat": Check(2, _NOT_READING, (0,)),
    "open": Check(1, _NOT_READING, (0,)),
    **dict.fromkeys(("stat", "lstat", "newfstatat", "statx", "access", "faccessat", "faccessat2")),
    **dict.fromkeys(("readlink", "readlinkat", "getdents64", "pread64", "readv", "writev", "poll", "ppoll", "dup")),
    **dict.fromkeys(("getuid", "geteuid", "getgid", "getegid", "getresuid", "getresgid", "getgroups", "getppid")),
    # SECCOMP_SET_MODE_FILTER
    "seccomp": Check(0, _WHOLE, (1,)),
}

# Answers that callers know how to take: no new thread, an old kernel, no terminal.
ANSWERS: dict[str, int] = {"clone": errno.EAGAIN, "clone3": errno.ENOSYS, "ioctl": errno.ENOTTY}

# Nobody makes these by accident: the process is killed.
KILL: tuple[str, ...] = (
    *("ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "pidfd_getfd", "kcmp"),
    *("bpf", "perf_event_open", "userfaultfd", "add_key", "request_key", "keyctl", "modify_ldt"),
    *("mount", "umount2", "move_mount", "open_tree", "fsopen", "fsconfig", "fsmount", "fspick", "mount_setattr"),
    *("pivot_root", "chroot", "unshare", "setns", "open_by_handle_at", "name_to_handle_at"),
    *("init_module", "finit_module", "delete_module", "kexec_load", "kexec_file_load", "reboot"),
    *("swapon", "swapoff", "acct", "syslog", "quotactl", "quotactl_fd"),
)

NAMES: tuple[str, ...] = tuple(sorted({*RUN, *LOAD, *ANSWERS, *KILL}))
