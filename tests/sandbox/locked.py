"""A program for the tests of the fences: forks, locks the child, tries one thing in it, and says what came of it.

Started as `python locked.py LEVEL UID PHASE FOLDER [NAME ...]`; prints JSON: name -> ["refused", errno name],
["killed", signal name] or ["done", value]. Every try is a real system call in a process of its own.
"""

from __future__ import annotations

import ctypes
import errno
import importlib
import json
import mmap
import os
import resource
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any

import numpy
import numpy.random

from earthloom.sandbox.inside.fences import Fences

LIBC = ctypes.CDLL(None, use_errno=True)


def call(number: int, *arguments: int | bytes | None) -> int:
    """A raw system call; raises OSError as the kernel says."""
    found = int(
        LIBC.syscall(ctypes.c_long(number), *(ctypes.c_long(a) if isinstance(a, int) else a for a in arguments))
    )
    if found == -1:
        raise OSError(ctypes.get_errno(), "")
    return found


def machine_code(code: bytes) -> int:
    """Run x86-64 instructions of our own."""
    page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    page.write(code + b"\xc3")
    return int(ctypes.CFUNCTYPE(ctypes.c_long)(ctypes.addressof(ctypes.c_char.from_buffer(page)))())


def grow(step: int) -> int:
    """How many bytes can be had in steps, up to 4 GiB."""
    kept = []
    try:
        while len(kept) * step < 4 << 30:
            kept.append(mmap.mmap(-1, step, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))
    except OSError:
        pass
    return len(kept) * step


def compute() -> int:
    """What functions do all day: memory, arithmetic, random numbers, clocks."""
    time.sleep(0.001)
    noise = numpy.random.default_rng().random((512, 512))
    return len(numpy.linalg.inv(noise @ noise.T + numpy.eye(512))) if time.process_time() else 0


def tries(folder: str) -> dict[str, Callable[[], Any]]:
    """Name -> what is tried. `folder` is readable, its sister `folder + "-secret"` is not."""
    allowed, secret = f"{folder}/allowed.txt", f"{folder}-secret/secret.txt"
    return {
        "compute": compute,
        "status": hold,
        "read allowed": lambda: open(allowed).read(),
        "list allowed": lambda: sorted(os.listdir(folder)),
        "import": lambda: importlib.import_module("colorsys").__name__,
        "read secret": lambda: open(secret).read(),
        "list secret": lambda: os.listdir(f"{folder}-secret"),
        "stat secret": lambda: os.stat(secret).st_size,
        "access secret": lambda: os.access(secret, os.R_OK) or 1 / 0,
        "readlink": lambda: os.readlink("/proc/self/exe"),
        "write allowed": lambda: open(allowed, "a"),
        "write new": lambda: open(f"{folder}/new", "w"),
        "write tmp": lambda: open("/tmp/earthloom-probe", "w"),
        "path only": lambda: os.open(allowed, os.O_PATH),
        "unlink": lambda: os.unlink(allowed),
        "mkdir": lambda: os.mkdir(f"{folder}/new"),
        "chmod": lambda: os.chmod(allowed, 0o777),
        "chdir": lambda: os.chdir("/"),
        "memfd": lambda: os.memfd_create("hoard"),
        "pipe": lambda: os.pipe(),
        "eventfd": lambda: os.eventfd(0),
        "socket": lambda: socket.socket(),
        "unix socket": lambda: socket.socket(socket.AF_UNIX),
        "socketpair": lambda: socket.socketpair(),
        "netlink": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW),
        "fork": os.fork,
        "thread": lambda: threading.Thread(target=int).start(),
        "exec": lambda: os.execv("/bin/true", ["true"]),
        "kill parent": lambda: os.kill(os.getppid(), 0),
        "kill all": lambda: os.kill(-1, 0),
        "kill self": lambda: os.kill(os.getpid(), 0),
        "setuid": lambda: os.setuid(0),
        "raise limit": lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)),
        "read limit": lambda: resource.getrlimit(resource.RLIMIT_NOFILE)[1],
        "dumpable": lambda: LIBC.prctl(4, 1, 0, 0, 0) and 1 / 0,
        "nice": lambda: os.nice(-1),
        "affinity": lambda: os.sched_setaffinity(0, {0}),
        "timer": lambda: signal.setitimer(signal.ITIMER_REAL, 1),
        "descriptors": lambda: [n for n in range(64) if _open(n)],
        "memory": lambda: grow(1 << 20),
        "shared memory": lambda: mmap.mmap(-1, 2 << 30),
        "stack": lambda: resource.getrlimit(resource.RLIMIT_STACK)[0],
        "duplicate": lambda: os.close(os.dup(0)),
        "pipe size": lambda: __import__("fcntl").fcntl(0, 1031, 1 << 20),
        "merge pages": lambda: mmap.mmap(-1, 4096).madvise(12),
        "huge pages": lambda: mmap.mmap(-1, 2 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x40000),
        "priority lock": lambda: call(202, ctypes.create_string_buffer(4).raw, 6, 0, 0, 0, 0),
        "io_uring": lambda: call(425, 8, bytes(120)),
        "clone3": lambda: call(435, bytes(88), 88),
        "openat2": lambda: call(437, -100, b"/etc/passwd", bytes(24), 24),
        "pidfd": lambda: call(434, os.getppid(), 0),
        "second filter": lambda: call(317, 1, 0, bytes(16)),
        "ptrace": lambda: call(101, 16, os.getppid(), 0, 0),
        "process_vm_readv": lambda: call(310, os.getppid(), bytes(16), 1, bytes(16), 1, 0),
        "unshare": lambda: call(272, 0x10000000),
        "mount": lambda: call(165, b"none", b"/mnt", b"tmpfs", 0, 0),
        "chroot": lambda: call(161, b"/"),
        "userfaultfd": lambda: call(323, 0),
        "bpf": lambda: call(321, 0, bytes(64), 64),
        "keyctl": lambda: call(250, 0, -3, 0),
        "perf": lambda: call(298, bytes(128), 0, -1, -1, 0),
        "handle": lambda: call(303, -100, b"/", bytes(200), bytes(8), 0),
        "x32": lambda: call(0x40000000 + 39),
        "int 0x80": lambda: machine_code(b"\x53\xb8\x14\x00\x00\x00\xcd\x80\x5b"),
        "own syscall": lambda: machine_code(b"\xb8\x39\x00\x00\x00\x0f\x05") and 1 / 0,
    }


def _open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def outcome(fences: Fences, uid: int | None, run: bool, attempt: Callable[[], Any]) -> list[Any]:
    """Fork, lock, try, and say what came of it."""
    answers, tell = os.pipe()
    child = os.fork()
    if child == 0:
        os.dup2(tell, 3)
        os.closerange(4, fences.descriptors[0] if fences.descriptors else 256)
        answer: list[Any] = ["broken", ""]
        try:
            fences.lock(uid)
            if run:
                fences.run_only()
            try:
                answer = ["done", attempt()]
            except OSError as problem:
                answer = ["refused", errno.errorcode[problem.errno or 0]]
            except Exception as problem:
                answer = ["raised", f"{type(problem).__name__}: {problem}"]
        except BaseException:
            answer = ["broken", traceback.format_exc()]
        finally:
            os.write(3, json.dumps(answer).encode())
            time.sleep(0.2 if attempt.__name__ == "hold" else 0)
            os._exit(0)
    os.close(tell)
    text = os.read(answers, 1 << 16)
    if attempt.__name__ == "hold":
        text = json.dumps(["done", status(child)]).encode()
    os.close(answers)
    ended = os.waitpid(child, 0)[1]
    if os.WIFSIGNALED(ended):
        return ["killed", signal.Signals(os.WTERMSIG(ended)).name]
    return list(json.loads(text))


def hold() -> None:
    """Live on for a moment, to be looked at."""


def status(child: int) -> dict[str, str]:
    """What the kernel tells of a process, and who may look into it."""
    with open(f"/proc/{child}/status") as lines:
        found = dict(line.rstrip("\n").split(":\t", 1) for line in lines if ":\t" in line)
    return found | {
        "owner": str(os.stat(f"/proc/{child}/environ").st_uid),
        "nice": str(os.getpriority(os.PRIO_PROCESS, child)),
    }


def main(level: str, uid: str, phase: str, folder: str, *names: str) -> None:
    """Run the named tries, or all."""
    numpy.linalg.inv(numpy.eye(4))
    readable = [folder, os.path.dirname(os.__file__), "/lib", "/usr/lib"]
    fences = Fences(level, 256 << 20, readable, [], 5)
    attempts = tries(folder)
    print(
        json.dumps(
            {
                name: outcome(fences, int(uid) if uid != "-" else None, phase == "run", attempts[name])
                for name in names or attempts
            }
        )
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
