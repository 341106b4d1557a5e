"""Where workers live: a zygote in its box at one level of isolation, started by exec with a clean environment."""

from __future__ import annotations

import array
import json
import os
import shutil
import socket
import struct
import subprocess
import threading
from pathlib import Path

from earthloom.base.errors import Unavailable
from earthloom.sandbox.environment import ENVIRONMENT, OPTIONS, preload_steps
from earthloom.sandbox.levels import own_users
from earthloom.sandbox.paths import Paths, paths_for
from earthloom.sandbox.process import Forked
from earthloom.sandbox.settings import Level, SandboxSettings
from earthloom.sandbox.wire import Ends, half_bytes, open_ends
from earthloom.sandbox.worker import Worker

START_S = 20  # until a zygote says that it is there; then each answer, which a long import may precede
ANSWER_S = 30


class Box:
    """A running zygote.

    Parameters
    ----------
    level
        Its isolation; "none" is `plain.PlainBox`.
    settings
        Libraries and limits.
    openeo
        With xarray, for functions of openEO's own signatures.

    Raises
    ------
    OSError
        If a box of this level cannot be had here; the text tells why.
    """

    def __init__(self, level: Level, settings: SandboxSettings, *, openeo: bool = False) -> None:
        self.level, self.settings = level, settings
        libraries = (*settings.libraries, "xarray") if openeo else settings.libraries
        self.paths = paths_for(libraries)
        self._lock = threading.Lock()
        self.loaded = 0  # steps of preloading done
        self.steps = preload_steps(libraries)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
            self._process = subprocess.Popen(
                _command(level, self.paths, theirs.fileno()),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                cwd="/",
                env=ENVIRONMENT,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,  # an interrupt in the terminal is for the server
            )
        self._control = ours
        try:
            ours.settimeout(START_S)
            ours.send(json.dumps(self._setup(libraries, openeo)).encode())
            _, _, self.pid = self._receive()
            ours.settimeout(ANSWER_S)
        except (OSError, Unavailable) as problem:
            self._process.kill()
            _, told = self._process.communicate()
            ours.close()
            last = told.decode("utf-8", "replace").strip().splitlines()[-1:] or [str(problem)]
            raise OSError(last[0]) from None
        assert self._process.stderr is not None
        self._process.stderr.close()
        self._let_it_die_first()

    def worker(self) -> Worker:
        """A new worker: forked, locked, warm.

        Raises
        ------
        Unavailable
            If the zygote has ended.
        OSError
            If a fence does not hold.
        """
        half = half_bytes(self.settings.arena_bytes)
        link, theirs = open_ends(half)
        try:
            answer, handles, _ = self._ask({"do": "fork"}, theirs)
        except Unavailable:
            link.close()
            raise
        finally:
            theirs.close()
        self.loaded = answer["loaded"]
        worker = Worker(link, Forked(handles[0], lambda: self._why(answer["pid"])))
        worker.await_ready()
        return worker

    def preload(self) -> None:
        """Let the zygote load libraries between requests, from now on; tells how far it is."""
        self.loaded = self._ask({"do": "load"})[0]["loaded"]

    def complete(self) -> bool:
        """Whether all libraries are loaded."""
        return self.loaded >= len(self.steps)

    def alive(self) -> bool:
        """Whether the zygote runs."""
        return self._process.poll() is None

    def close(self) -> None:
        """End the zygote, and with it every worker."""
        self._process.kill()
        self._process.wait()
        self._control.close()

    def forget(self) -> None:
        """Let go of it in a forked process: the box belongs to the other one."""
        self._control.close()
        self._process.returncode = 0

    def _why(self, pid: int) -> int | None:
        """Wait status of a worker that has ended; None if the zygote does not know."""
        try:
            answer, _, _ = self._ask({"do": "why", "pid": pid})
        except Unavailable:
            return None
        status: int | None = answer["status"]
        return status

    def _ask(self, request: dict[str, object], ends: Ends | None = None) -> tuple[dict[str, int], list[int], int]:
        rights = []
        if ends is not None:
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", ends.descriptors()))]
        with self._lock:
            try:
                self._control.sendmsg([json.dumps(request).encode()], rights)
                return self._receive()
            except OSError as problem:
                self._process.kill()  # a late answer would be taken for that to another question
                raise Unavailable(f"The zygote does not answer: {problem}") from None

    def _receive(self) -> tuple[dict[str, int], list[int], int]:
        """An answer: its JSON, the descriptors that came along, the process that sent it."""
        room = socket.CMSG_SPACE(4) + socket.CMSG_SPACE(12)
        data, ancillary, _, _ = self._control.recvmsg(1 << 16, room)
        if not data:
            raise Unavailable("The zygote has ended.")
        descriptors, sender = array.array("i"), 0
        for level, kind, content in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                descriptors.frombytes(content)
            elif (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS):
                sender = struct.unpack("3i", content)[0]
        return json.loads(data), descriptors.tolist(), sender

    def _setup(self, libraries: tuple[str, ...], openeo: bool) -> dict[str, object]:
        """What the zygote must know."""
        settings, readable = self.settings, self.paths.all_readable()
        return {
            "level": self.level,
            "memory_bytes": settings.memory_bytes,
            "nice": settings.nice,
            "readable": readable,
            "listable": self.paths.listable,
            "packages": self.paths.packages,
            "libraries": libraries,
            "preload": self.steps,
            "half": half_bytes(settings.arena_bytes),
            "openeo": openeo,
            "first_uid": settings.first_uid if own_users(self.level, readable)[0] else 0,
        }

    def _let_it_die_first(self) -> None:
        """Where memory runs out the kernel ends users' code before anything else."""
        try:
            Path(f"/proc/{self.pid}/oom_score_adj").write_text("800")
        except OSError:
            return  # a kernel or container that does not let us say so


def _command(level: Level, paths: Paths, control: int) -> list[str]:
    """The command line of a zygote."""
    code = (
        f"import sys; sys.path[:] = {list(paths.search)!r}\n"
        f"from earthloom.sandbox.inside.zygote import main; main({control})"
    )
    python = [paths.python, *OPTIONS, "-c", code]
    if level != "full":
        return python
    bwrap = shutil.which("bwrap")
    if bwrap is None:
        raise OSError("bubblewrap (bwrap) is not installed")
    namespaces = ["net", "pid", "ipc", "uts", "cgroup-try", *([] if os.geteuid() == 0 else ["user"])]
    command = [bwrap, *(f"--unshare-{name}" for name in namespaces)]
    command += ["--die-with-parent", "--new-session", "--cap-drop", "ALL"]
    if os.geteuid() == 0:  # each worker gets a user of its own
        command += ["--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
    # Parents of what is bound must be open to other users than the one that starts the box.
    visible = [paths.python, *paths.system, paths.standard, *paths.readable]
    parents = dict.fromkeys(str(p) for path in visible for p in reversed(Path(path).parents) if str(p) != "/")
    for parent in parents:
        if not parent.startswith(f"{paths.standard}/"):
            command += ["--perms", "0755", "--dir", parent]
    for path in visible:
        command += ["--ro-bind", path, path]
        if path == paths.standard:
            for hidden in paths.hidden:
                command += ["--tmpfs", hidden]
    command += ["--dir", "/dev", "--dev-bind", "/dev/null", "/dev/null"]
    for folder in (*paths.hidden, "/"):
        command += ["--remount-ro", folder]
    return [*command, "--chdir", "/", "--", *python]
