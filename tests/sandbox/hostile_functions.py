"""Hostile functions as users would write them: the behaviours that the sandbox must bear, by number.

Each function stands alone when it travels, with the helpers of the first part of this file. What is expected:

- "refused": the user sees an error, the worker lives.
- "nothing": the function comes back and could do none of what it tried (`count` gives 0), the worker lives.
- "killed": the worker dies, or is ended by the server.
- "timeout": it is ended at the deadline.
- "own": any of these, or any result; only its own.
- "done": the function comes back; what it printed or returned is looked at.
"""

# ruff: noqa: E722, SIM105

from __future__ import annotations

import ctypes
import os
import sys

import numpy as np

LIBC = ctypes.CDLL(None, use_errno=True)


def call(number, *arguments):
    """A raw system call; OSError as the kernel says."""
    found = LIBC.syscall(ctypes.c_long(number), *(ctypes.c_long(a) if isinstance(a, int) else a for a in arguments))
    if found == -1:
        raise OSError(ctypes.get_errno(), "refused")
    return found


def count(img, *attempts):
    """How many attempts succeeded, in an image; their numbers are printed."""
    done = []
    for number, attempt in enumerate(attempts):
        try:
            if attempt() not in (None, False, -1):
                done.append(number)
        except (OSError, RuntimeError, ValueError, ImportError, MemoryError, AttributeError):
            pass
    if done:
        print("succeeded:", done)
    return np.full(img.shape[-2:], len(done), "uint8")


def code(instructions):
    """Run machine code of x86-64."""
    import mmap

    page = mmap.mmap(-1, 4096, prot=7)
    page.write(instructions + b"\xc3")
    return ctypes.CFUNCTYPE(ctypes.c_long)(ctypes.addressof(ctypes.c_char.from_buffer(page)))()


def inner():
    """The worker's own object, its module of frames, and the request that it answers: all can be had by a function."""
    frame = sys._getframe()
    while not hasattr(frame.f_locals.get("self"), "arena") or "request" not in frame.f_locals:
        frame = frame.f_back
    return frame.f_locals["self"], sys.modules["earthloom.sandbox.inside.frames"], frame.f_locals["request"]


# The functions: what stands above goes with each of them.

BEHAVIOURS = []  # (number, function, expected, text that the error or the log must hold, only on x86-64)


def behaviour(number, expected, text="", x86=False):
    """Enter a function in the table."""

    def enter(function):
        BEHAVIOURS.append((number, function, expected, text, x86))
        return function

    return enter


@behaviour(1, "refused", "PermissionError")
def read_password_file(img):
    return len(open("/etc/passwd").read())


@behaviour(2, "refused", "PermissionError")
def read_file_of_another_tenant(img, folder):
    return len(open(folder + "/secret.txt").read())


@behaviour(3, "nothing")
def read_source_and_configuration(img, folder, package):
    import linecache

    places = [package + "/__init__.py", package + "/server/app.py", folder + "/settings.toml", "/etc/shadow"]
    return count(
        img,
        *[lambda p=p: os.open(p, os.O_RDONLY) for p in places],
        *[lambda p=p: linecache.getlines(p) or None for p in places],
        lambda: os.open(os.path.expanduser("~/.bashrc"), os.O_RDONLY),
    )


@behaviour(4, "nothing")
def list_folders(img, folder, package):
    import glob

    places = ["/", "/tmp", "/proc", "/dev", "/home", "/root", ".", "..", folder, package, os.path.dirname(np.__file__)]
    return count(
        img,
        *[lambda p=p: os.listdir(p) for p in places],
        *[lambda p=p: next(os.scandir(p)) for p in places],
        lambda: glob.glob(folder + "/*") or None,
        lambda: next(os.walk(folder), None),
    )


@behaviour(5, "nothing")
def look_at_paths(img, folder):
    return count(
        img,
        *[lambda p=p: os.stat(p) for p in ("/", folder, folder + "/secret.txt", "/etc/passwd", np.__file__)],
        *[lambda p=p: os.path.exists(p) for p in ("/", folder, folder + "/secret.txt")],
        lambda: os.access(folder, os.F_OK),
        lambda: os.readlink("/proc/self/exe"),
        lambda: os.readlink(folder + "/link"),
        lambda: os.statvfs("/"),
        lambda: os.getxattr(folder, "user.x"),
        lambda: os.path.realpath(folder + "/link") != folder + "/link",
    )


@behaviour(6, "nothing")
def write_anywhere(img, folder):
    import tempfile

    places = ["/tmp", "/dev/shm", "/var/tmp", "/", ".", folder, os.path.dirname(np.__file__), "/run", "/proc/self"]
    return count(
        img,
        *[lambda p=p: open(p + "/earthloom-harm", "w") for p in places],
        lambda: open(folder + "/secret.txt", "a"),
        lambda: open("/dev/null", "w"),
        lambda: tempfile.TemporaryFile(),
        lambda: os.open(folder, os.O_TMPFILE | os.O_RDWR),
        lambda: np.save(folder + "/harm.npy", img) or 1,
    )


@behaviour(7, "nothing")
def change_files(img, folder):
    secret = folder + "/secret.txt"
    return count(
        img,
        lambda: os.unlink(secret) or 1,
        lambda: os.chmod(secret, 0) or 1,
        lambda: os.chown(secret, 0, 0) or 1,
        lambda: os.symlink(secret, folder + "/harm") or 1,
        lambda: os.link(secret, folder + "/harm") or 1,
        lambda: os.mkdir(folder + "/harm") or 1,
        lambda: os.mkfifo(folder + "/harm") or 1,
        lambda: os.mknod(folder + "/harm") or 1,
        lambda: os.rename(secret, folder + "/harm") or 1,
        lambda: os.rmdir(folder) or 1,
        lambda: os.truncate(secret, 0) or 1,
        lambda: os.utime(secret) or 1,
        lambda: os.setxattr(secret, "user.x", b"1") or 1,
        lambda: os.chdir("/") or 1,
        lambda: os.removexattr(secret, "user.x") or 1,
    )


@behaviour(8, "nothing")
def openat2(img, folder):
    return count(img, lambda: call(437, -100, folder.encode() + b"/secret.txt", bytes(24), 24))


@behaviour(8, "killed", x86=True)
def name_to_handle(img, folder):
    call(303, -100, folder.encode(), ctypes.create_string_buffer(200), ctypes.create_string_buffer(8), 0)


@behaviour(8, "killed", x86=True)
def open_by_handle(img, folder):
    call(304, -100, ctypes.create_string_buffer(200), 0)


@behaviour(9, "nothing")
def read_process_files(img, parent):
    names = ("environ", "maps", "mem", "fd", "fd/0", "status", "cmdline", "root", "cwd", "map_files", "task")
    places = [f"/proc/{pid}/{name}" for pid in ("self", 1, parent, os.getpid(), "thread-self") for name in names]
    return count(
        img,
        *[lambda p=p: os.open(p, os.O_RDONLY) for p in (*places, "/proc/mounts", "/proc/cpuinfo", "/sys/kernel")],
        *[lambda p=p: os.listdir(p) for p in places],
    )


@behaviour(10, "nothing")
def read_environment(img, canary):
    pointer = ctypes.POINTER(ctypes.c_char_p).in_dll(LIBC, "environ")
    found, at = [], 0
    while pointer[at]:
        found.append(pointer[at].decode())
        at += 1
    own = [f"{name}={value}" for name, value in os.environ.items()]
    secrets = ("TOKEN", "SECRET", "PASSWORD", "KEY=", "HOME=", "PATH=", "USER=", canary)
    return count(img, lambda: any(s in text for s in secrets for text in found + own + sys.argv + sys.orig_argv))


@behaviour(11, "nothing")
def find_open_files(img):
    return count(
        img,
        *[lambda n=n: os.get_inheritable(n) in (True, False) for n in range(5, 1100)],
        *[lambda n=n: os.read(n, 1) or None for n in (0, 1, 2)],
    )


@behaviour(12, "nothing")
def read_by_numpy(img, folder):
    secret = folder + "/secret.txt"
    return count(
        img,
        lambda: np.memmap(secret, mode="r"),
        lambda: np.memmap("/etc/passwd", mode="r"),
        lambda: np.fromfile(secret, "uint8"),
        lambda: np.load(folder + "/array.npy", allow_pickle=True),
        lambda: np.genfromtxt(secret),
        lambda: np.loadtxt(secret),
        lambda: np.lib.format.open_memmap(folder + "/array.npy"),
        lambda: np.__loader__.get_data(secret),
        lambda: np.__loader__.get_data(np.__file__),
        lambda: ctypes.CDLL(secret),
        lambda: ctypes.CDLL("libpthread.so.0") and None,
    )


@behaviour(13, "refused", "numpy")
def import_forbidden_library(img):
    import rasterio

    return rasterio.open


@behaviour(13, "refused", "numpy")
def import_forbidden_library_by_name(img):
    return __import__("importlib").import_module("rasterio" + ".io")


@behaviour(13, "refused")
def import_our_server(img):
    return __import__("importlib").import_module("earthloom.server.app")


@behaviour(14, "nothing")
def open_sockets(img, door):
    import socket

    kinds = [(family, kind) for family in range(46) for kind in (1, 2, 3, 5)]
    return count(
        img,
        *[lambda f=f, k=k: socket.socket(f, k) for f, k in kinds],
        lambda: socket.socketpair(),
        lambda: socket.create_connection(("127.0.0.1", door), 0.2),
        lambda: socket.getaddrinfo("localhost", 80),
        lambda: socket.getaddrinfo("example.org", 80),
        lambda: socket.gethostbyname("example.org"),
        lambda: __import__("urllib.request").request.urlopen(f"http://127.0.0.1:{door}/", timeout=0.2),
    )


@behaviour(15, "nothing")
def start_processes(img):
    import subprocess
    import threading

    return count(
        img,
        lambda: os.fork() or os._exit(0),
        lambda: call(57),
        lambda: call(58),
        lambda: call(56, 0x100, 0, 0, 0, 0),
        lambda: call(435, ctypes.create_string_buffer(88), 88),
        lambda: threading.Thread(target=print).start() or 1,
        lambda: subprocess.run(["true"]),
        lambda: subprocess.Popen("true", shell=True, close_fds=False),
        lambda: os.execv("/bin/true", ["true"]),
        lambda: os.execve("/proc/self/exe", ["python"], {}),
        lambda: os.system("true") == 0,
        lambda: os.posix_spawn("/bin/true", ["true"], {}),
        lambda: os.popen("true"),
    )


@behaviour(15, "refused")
def pool_of_threads(img):
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(2) as pool:
        return pool.submit(img.sum).result()


@behaviour(16, "killed")
def make_namespace(img):
    LIBC.unshare(0x10000000)


@behaviour(16, "killed")
def enter_namespace(img):
    LIBC.setns(0, 0)


@behaviour(16, "killed")
def mount(img):
    LIBC.mount(b"none", b"/tmp", b"tmpfs", 0, None)


@behaviour(16, "killed")
def change_root(img):
    LIBC.chroot(b"/")


@behaviour(16, "killed", x86=True)
def pivot_root(img):
    call(155, b"/", b"/")


@behaviour(17, "nothing")
def kill_others(img, parent):
    import signal

    neighbours = [n for pid in (os.getpid(), parent) for n in range(max(1, pid - 30), pid + 30)]
    return count(
        img,
        lambda: os.kill(parent, 9) or 1,
        lambda: os.kill(os.getppid(), 9) or 1,
        lambda: os.kill(-1, 9) or 1,
        lambda: os.kill(0, 9) or 1,
        lambda: os.killpg(0, 9) or 1,
        *[lambda n=n: os.kill(n, 9) or 1 for n in neighbours],
        *[lambda n=n: call(234, n, n, 9) or 1 for n in neighbours],
        lambda: call(129, parent, 9, bytes(128)) or 1,
        lambda: os.pidfd_open(parent) + 1,
        lambda: os.pidfd_open(os.getpid()) + 1,
        lambda: signal.pidfd_send_signal(1, 9) or 1,
        lambda: signal.pthread_kill(__import__("threading").get_ident(), 9) or 1,
    )


@behaviour(18, "killed")
def trace_parent(img, parent):
    LIBC.ptrace(16, parent, 0, 0)


@behaviour(18, "killed")
def trace_me(img):
    LIBC.ptrace(0, 0, 0, 0)


@behaviour(18, "killed", x86=True)
def read_memory_of_parent(img, parent):
    call(310, parent, ctypes.create_string_buffer(16), 1, ctypes.create_string_buffer(16), 1, 0)


@behaviour(18, "killed", x86=True)
def write_memory_of_sibling(img):
    call(311, os.getpid() - 1, ctypes.create_string_buffer(16), 1, ctypes.create_string_buffer(16), 1, 0)


@behaviour(19, "nothing")
def io_uring(img):
    return count(img, lambda: call(425, 8, ctypes.create_string_buffer(120)) + 1, lambda: call(426, 0, 1, 0, 0, 0) + 1)


@behaviour(19, "killed", x86=True)
def userfaultfd(img):
    call(323, 0)


@behaviour(19, "killed", x86=True)
def bpf(img):
    call(321, 0, ctypes.create_string_buffer(64), 64)


@behaviour(19, "killed", x86=True)
def keyring(img):
    call(250, 0, -3, 0)


@behaviour(19, "killed", x86=True)
def performance_counter(img):
    call(298, ctypes.create_string_buffer(128), 0, -1, -1, 0)


@behaviour(20, "killed", x86=True)
def old_system_call(img):
    code(b"\x53\xb8\x14\x00\x00\x00\xcd\x80\x5b")


@behaviour(21, "killed", x86=True)
def x32_system_call(img):
    call(0x40000000 + 39)


@behaviour(22, "nothing")
def hoard_kernel_memory(img):
    import fcntl
    import select

    return count(
        img,
        lambda: os.memfd_create("hoard") + 1,
        lambda: os.pipe(),
        lambda: os.eventfd(0) + 1,
        lambda: select.epoll(),
        lambda: LIBC.inotify_init1(0),
        lambda: LIBC.signalfd(-1, ctypes.create_string_buffer(8), 0),
        lambda: LIBC.timerfd_create(1, 0),
        lambda: LIBC.shmget(0, 1 << 20, 0o1777),
        lambda: LIBC.msgget(0, 0o1777),
        lambda: LIBC.semget(0, 8, 0o1777),
        lambda: LIBC.shm_open(b"/hoard", os.O_CREAT | os.O_RDWR, 0o777),
        lambda: LIBC.mq_open(b"/hoard", os.O_CREAT | os.O_RDWR, 0o777, None),
        lambda: fcntl.fcntl(4, 1031, 1 << 20),
        lambda: LIBC.mlockall(3),
        lambda: call(447, 0) + 1,
        lambda: __import__("multiprocessing.shared_memory").shared_memory.SharedMemory(create=True, size=4096),
        lambda: [os.dup(4) for _ in range(100)],
    )


@behaviour(23, "nothing")
def change_own_rights(img):
    import resource
    import signal

    return count(
        img,
        lambda: os.setuid(0) or 1,
        lambda: os.setresuid(0, 0, 0) or 1,
        lambda: os.setgid(0) or 1,
        lambda: os.setgroups([0]) or 1,
        lambda: LIBC.capset(ctypes.create_string_buffer(8), ctypes.create_string_buffer(24)) == 0,
        *[lambda n=n: resource.setrlimit(n, (resource.getrlimit(n)[1],) * 2) or 1 for n in range(16)],
        lambda: LIBC.prctl(4, 1, 0, 0, 0) == 0,
        lambda: LIBC.prctl(1, 0, 0, 0, 0) == 0,
        lambda: LIBC.prctl(15, b"name", 0, 0, 0) == 0,
        lambda: LIBC.prctl(22, 2, ctypes.create_string_buffer(16), 0, 0) == 0,
        lambda: os.nice(-5) or 1,
        lambda: os.setpriority(0, 0, 0) or 1,
        lambda: os.sched_setaffinity(0, {0}) or 1,
        lambda: os.sched_setscheduler(0, 0, os.sched_param(0)) or 1,
        lambda: signal.setitimer(signal.ITIMER_REAL, 100) or 1,
        lambda: LIBC.personality(0x0040000) >= 0,
        lambda: os.setsid() or 1,
        lambda: os.umask(0) or 1,
    )


@behaviour(24, "refused", "MemoryError")
def eight_gigabytes(img):
    return np.ones(1 << 33, "uint8")


@behaviour(25, "refused", "MemoryError")
def memory_in_small_pieces(img):
    pieces = []
    while True:
        pieces.append(np.ones(1 << 20, "uint8"))


@behaviour(26, "nothing")
def shared_anonymous_memory(img):
    import mmap

    return count(img, lambda: mmap.mmap(-1, 8 << 30), lambda: mmap.mmap(-1, 1 << 30, flags=mmap.MAP_SHARED | 32))


@behaviour(27, "refused")
def huge_strided_result(img):
    return np.lib.stride_tricks.as_strided(img, (1 << 20, *img.shape[-2:]), (0, 0, 0))


@behaviour(27, "refused")
def empty_result(img):
    return np.empty((0, *img.shape[-2:]))


@behaviour(28, "refused")
def objects(img):
    return np.full(img.shape[-2:], object())


@behaviour(28, "refused")
def strings(img):
    return np.full(img.shape[-2:], "<b>")


@behaviour(28, "refused")
def complex_numbers(img):
    return np.ones(img.shape[-2:], complex)


@behaviour(28, "refused")
def records(img):
    return np.zeros(img.shape[-2:], [("a", "O"), ("b", "f4")])


@behaviour(28, "refused")
def wrong_shape(img):
    return np.ones((3, 5))


@behaviour(28, "refused")
def too_many_dimensions(img):
    return np.ones((1,) * 20 + img.shape[-2:])


@behaviour(28, "refused")
def masked_array(img):
    return np.ma.masked_less(img[0], 2)


@behaviour(28, "refused")
def hostile_subclass(img):
    class Hostile(np.ndarray):
        def __array__(self, *_):
            raise SystemExit

        def __array_finalize__(self, _):
            raise KeyboardInterrupt

        @property
        def shape(self):
            return (1 << 40,)

    return np.ndarray.__new__(Hostile, img.shape[-2:])


@behaviour(28, "refused")
def hostile_object(img):
    class Hostile:
        def __getattr__(self, name):
            raise MemoryError

        def __array__(self, *_):
            while True:
                pass

        @property
        def __class__(self):
            return np.ndarray

    return Hostile()


@behaviour(28, "refused")
def number(img):
    return 1.0


@behaviour(29, "timeout")
def endless_loop(img):
    while True:
        pass


@behaviour(30, "timeout", x86=True)
def endless_machine_code(img):
    code(b"\xeb\xfe")


@behaviour(31, "timeout")
def sleep(img):
    __import__("time").sleep(1000)


@behaviour(32, "timeout")
def giant_integer(img):
    return 3 ** (10**8)


@behaviour(33, "timeout")
def catastrophic_expression(img):
    return __import__("re").match(r"(a+)+$", "a" * 50 + "b")


@behaviour(34, "own")
def endless_recursion(img):
    sys.setrecursionlimit(1 << 30)

    def deeper(n):
        return deeper(n + 1) + 1

    return deeper(0)


@behaviour(34, "own")
def endless_recursion_in_c(img):
    sys.setrecursionlimit(1 << 30)

    class Deeper:
        def __repr__(self):
            return repr([self])

    return repr(Deeper())


@behaviour(35, "timeout")
def catch_everything(img):
    kept = []
    while True:
        try:
            kept.append(bytearray(1 << 24))
            raise SystemExit
        except:
            pass


@behaviour(35, "timeout")
def catch_signals(img):
    import signal

    for number in range(1, 65):
        try:
            signal.signal(number, lambda *_: None)
        except (OSError, ValueError):
            pass
    signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))
    while True:
        pass


@behaviour(36, "done", "(cut)")
def print_a_gigabyte(img):
    text = "x" * (1 << 20)
    for _ in range(1024):
        print(text)
    return img[0]


@behaviour(36, "done")
def warn_endlessly(img):
    import warnings

    for n in range(2000):
        warnings.warn(f"warning {n}", stacklevel=1)
    return img[0]


@behaviour(37, "refused", "xxx")
def long_exception(img):
    raise ValueError("x" * (20 << 20))


@behaviour(37, "refused", "xxx")
def long_key(img):
    return {}["x" * (10 << 20)]


@behaviour(38, "refused", "Silent")
def exception_without_text(img):
    class Silent(Exception):
        def __str__(self):
            raise SystemExit

        __repr__ = __str__

    raise Silent


@behaviour(38, "own")
def exception_that_loops(img):
    class Endless(Exception):
        def __str__(self):
            while True:
                pass

    raise Endless


@behaviour(38, "refused")
def exception_with_false_text(img):
    class Text(str):
        def __str__(self):
            return self

        def __getitem__(self, _):
            raise KeyboardInterrupt

        def __len__(self):
            return 1 << 40

        def encode(self, *_):
            os._exit(1)

    class False_(Exception):
        def __str__(self):
            return Text("x")

    raise False_


@behaviour(38, "own")
def exception_with_hostile_type(img):
    class Meta(type):
        @property
        def __name__(cls):
            raise KeyboardInterrupt

    class Hostile(Exception, metaclass=Meta):
        pass

    raise Hostile


@behaviour(38, "refused")
def group_of_exceptions(img):
    error = ValueError("inner")
    for _ in range(2000):
        error = ExceptionGroup("outer", [error])
    raise error


@behaviour(39, "done", "script")
def markup_in_log(img):
    print("<script>alert(1)</script>\x1b[2J\x1b]0;title\x07\0\r\n\u202e\ud800")
    return img[0]


@behaviour(39, "refused", "script")
def markup_in_error(img):
    raise ValueError("<script>alert(1)</script>\x1b[2J\0\r\u202e\ud800")


@behaviour(40, "killed")
def segmentation_fault(img):
    ctypes.string_at(0)


@behaviour(40, "killed")
def abort(img):
    os.abort()


@behaviour(40, "killed")
def leave_at_once(img):
    os._exit(0)


@behaviour(40, "own", "SystemExit")
def leave(img):
    sys.exit("enough")


@behaviour(40, "own", "KeyboardInterrupt")
def interrupt(img):
    raise KeyboardInterrupt


@behaviour(40, "killed")
def illegal_free(img):
    LIBC.free(ctypes.c_void_p(0x1234))


@behaviour(41, "killed")
def forge_reply(img):
    os.write(4, bytes(64))
    return img[0]


@behaviour(41, "own")
def forge_reply_with_nonce(img):
    _, frames, request = inner()
    os.write(4, frames.pack(frames.Frame(request.nonce, frames.DONE, 11, (1 << 31,) * 6, first=1 << 31)))
    return img[0]


@behaviour(41, "own")
def forge_reply_with_texts(img):
    worker, frames, request = inner()
    text = b"[" * 200000
    at = 2 * worker.half - frames.OUT_TEXT
    worker.arena[at : at + len(text)] = text
    os.write(4, frames.pack(frames.Frame(request.nonce, frames.FAILED, first=len(text))))
    return img[0]


@behaviour(42, "killed")
def flood_of_replies(img):
    while True:
        os.write(4, bytes(1 << 16))


@behaviour(43, "killed")
def reply_before_request(img):
    _, frames, request = inner()
    for nonce in range(request.nonce + 1, request.nonce + 5):
        os.write(4, frames.pack(frames.Frame(nonce, frames.FAILED)))
    os.read(3, 64)
    return img[0]


@behaviour(44, "killed")
def closed_pipes(img):
    os.close(3)
    os.close(4)
    return img[0]


@behaviour(45, "killed")
def slow_halves(img):
    os.write(4, bytes(32))
    __import__("time").sleep(0.2)
    os.write(4, bytes(32))
    __import__("time").sleep(100)


@behaviour(46, "nothing")
def resize_arena(img):
    return count(
        img,
        *[lambda n=n, s=s: os.ftruncate(n, s) or 1 for n in range(64) for s in (0, 1 << 30)],
        *[lambda n=n: LIBC.fallocate(n, 3, 0, 1 << 20) == 0 for n in range(5)],
        lambda: call(28, 0, 0, 9) or 1,
    )


@behaviour(46, "killed")
def unmap_arena(img):
    LIBC.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    LIBC.munmap(img.ctypes.data & ~4095, 1 << 20)
    return img[0]


@behaviour(46, "own")
def discard_arena(img):
    LIBC.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    for advice in (4, 8, 9):
        LIBC.madvise(img.ctypes.data & ~4095, 1 << 20, advice)
    return img[0]


@behaviour(48, "done")
def bool_of_other_bytes(img):
    return (np.arange(img[0].size, dtype="uint8").reshape(img[0].shape) % 254 + 2).view(bool)


@behaviour(49, "own")
def patch_numpy(img):
    def lie(*_, **__):
        raise KeyboardInterrupt

    np.ndarray_ = np.copyto = np.asarray = np.array = np.full = lie
    import json

    json.dumps = json.loads = lie
    sys.stdout = sys.stderr = None
    return img[0]


@behaviour(49, "own")
def empty_builtins(img):
    import builtins

    vars(builtins).clear()
    return img[0]


@behaviour(49, "own")
def clear_modules(img):
    sys.modules.clear()
    return img[0]


@behaviour(49, "own")
def patch_worker(img):
    worker = sys.modules["earthloom.sandbox.inside.worker"]
    worker.Worker._reply = lambda *_: None
    os.write = lambda *_: 64
    return img[0]


@behaviour(49, "own")
def trace_everything(img):
    sys.settrace(lambda *_: 1 / 0)
    sys.setprofile(lambda *_: 1 / 0)
    __import__("gc").disable()
    return img[0]


@behaviour(49, "own")
def freeze_everything(img):
    for found in __import__("gc").get_objects():
        if isinstance(found, dict):
            try:
                found.clear()
            except (TypeError, RuntimeError):
                pass
    return img[0]


def writes_on(img):
    """A reply that is true in form, then writing on in the arena."""
    import time

    worker, frames, request = inner()
    out = np.ndarray(img.shape[-2:], "<f4", worker.arena, worker.half + frames.DATA)
    os.write(4, frames.pack(frames.Frame(request.nonce, frames.DONE, frames.CODES[out.dtype], out.shape)))
    end = time.monotonic() + 0.5
    while time.monotonic() < end:
        out += 1
    return img[0]


# What a source does while it is loaded, by a text of its own: number, name, text, expected, what the error must hold.
SOURCES = [
    (29, "loop_while_loading", "while True:\n    pass\n", "timeout", ""),
    (40, "leave_while_loading", "import os\nos._exit(0)\n", "killed", ""),
    (40, "exit_while_loading", "raise SystemExit('enough')\n", "own", ""),
    (41, "forge_while_loading", "import os\nos.write(4, bytes(64))\n", "killed", ""),
    (1, "read_while_loading", "open('/etc/passwd')\n", "refused", "PermissionError"),
    (1, "read_by_coding", "# coding: rot13\nvzcbeg bf\n", "own", ""),
    (28, "no_function", "f = 3\n", "refused", ""),
    (51, "nested_parentheses", "x = " + "(" * 30000 + ")" * 30000, "own", ""),
    (51, "nested_lists", "x = " + "[" * 90 + "]" * 90 + "\ndef f(img): return img[0]\n", "own", ""),
    (51, "many_terms", "x = " + "1+" * 30000 + "1", "own", ""),
    (51, "unary_chain", "x = " + "-" * 60000 + "1", "own", ""),
    (51, "not_chain", "x = " + "not " * 15000 + "1", "own", ""),
    (51, "many_digits", "x = " + "9" * 60000, "refused", ""),
    (
        51,
        "nested_functions",
        "".join(" " * n + "def f(img):\n" for n in range(99)) + " " * 99 + "return img",
        "own",
        "",
    ),
    (51, "attribute_chain", "x = a" + ".b" * 30000, "own", ""),
    (51, "constant_power", "x = " + "**".join(["9"] * 9), "own", ""),
    (51, "constant_text", "x = ('x' * 4000) * 4000 * 4000\n", "own", ""),
    (51, "null_byte", "x = 1\0\n", "refused", ""),
    (51, "lone_surrogate", "x = '\ud800'\ndef f(img): return img[0]\n", "own", ""),
    (51, "import_everything", "import " + ", ".join(sorted(sys.stdlib_module_names)), "own", ""),
]


def source_of(function):
    """The text that travels: helpers of this file, then the function without its decorator."""
    import inspect
    from pathlib import Path

    whole = Path(__file__).read_text()
    helpers = whole[whole.index("import ctypes") : whole.index("# The functions:")]
    text = inspect.getsource(function)
    return helpers + text[text.index("def ") :]
