"""A worker's fences hold real system calls; each is tried in a locked process of its own."""

from __future__ import annotations

import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

if sys.platform != "linux":
    pytest.skip("seccomp is Linux's", allow_module_level=True)

from earthloom.sandbox.inside import landlock, rlimits, seccomp

LEVELS = ("full", "minimal")
Outcomes = dict[str, list[Any]]
_known: dict[tuple[str, str], Outcomes] = {}


def has_landlock() -> bool:
    try:
        return landlock.version() > 0
    except OSError:
        return False


@pytest.fixture(params=LEVELS)
def level(request: pytest.FixtureRequest) -> str:
    if request.param == "full" and not has_landlock():
        pytest.skip("this kernel has no Landlock")
    return str(request.param)


@pytest.fixture
def outcomes(level: str) -> dict[str, Outcomes]:
    """Phase -> name of the try -> what came of it."""
    for phase in ("load", "run"):
        if (level, phase) not in _known:
            with tempfile.TemporaryDirectory() as folder:  # one that another user may enter
                _known[level, phase] = attempt(level, phase, Path(folder))
    return {phase: _known[level, phase] for phase in ("load", "run")}


def attempt(level: str, phase: str, folder: Path, *names: str) -> Outcomes:
    own, secret = folder / "own", folder / "own-secret"
    for place, name in ((own, "allowed.txt"), (secret, "secret.txt")):
        place.mkdir()
        (place / name).write_text("text")
    for place in (folder, own, secret):
        place.chmod(0o755)
    uid = "64001" if os.geteuid() == 0 else "-"
    command = [sys.executable, str(Path(__file__).parent / "locked.py"), level, uid, phase, str(own), *names]
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert (own / "allowed.txt").read_text() == "text"
    assert sorted(p.name for p in folder.rglob("*.txt")) == ["allowed.txt", "secret.txt"]
    return dict(json.loads(done.stdout))


def test_work_goes_on(outcomes: dict[str, Outcomes]) -> None:
    for phase in ("load", "run"):
        assert outcomes[phase]["compute"] == ["done", 512]
        assert outcomes[phase]["read limit"] == ["done", 64]
        assert outcomes[phase]["stack"] == ["done", 8 << 20]


def test_process_has_given_up_all_rights(outcomes: dict[str, Outcomes]) -> None:
    kind, status = outcomes["run"]["status"]
    assert kind == "done"
    for capabilities in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
        assert int(status[capabilities], 16) == 0, capabilities
    assert (status["NoNewPrivs"], status["Seccomp"], status["Seccomp_filters"]) == ("1", "2", "2")
    assert int(status["nice"]) >= 5
    if os.geteuid() == 0:
        assert status["Uid"].split() == status["Gid"].split() == ["64001"] * 4
        assert status["Groups"].strip() == ""
        assert status["owner"] == "0", "a process that is not dumpable belongs to root in /proc"


def test_load_phase_reads_what_it_may(outcomes: dict[str, Outcomes], level: str) -> None:
    found = outcomes["load"]
    assert found["read allowed"] == ["done", "text"]
    assert found["list allowed"] == ["done", ["allowed.txt"]]
    for name in ("write allowed", "write new", "write tmp", "path only", "unlink", "mkdir", "chmod"):
        assert found[name] == ["refused", "EPERM"], name
    if level == "full":
        assert found["read secret"] == found["list secret"] == ["refused", "EACCES"]


def test_run_phase_takes_no_path(outcomes: dict[str, Outcomes]) -> None:
    found = outcomes["run"]
    paths = ("read allowed", "list allowed", "read secret", "list secret", "stat secret", "readlink", "write allowed")
    for name in (*paths, "write new", "write tmp", "path only", "unlink", "mkdir", "chmod", "chdir", "openat2"):
        assert found[name] == ["refused", "EPERM"], name
    assert found["access secret"][0] == "raised", "access() must not say whether a file is there"
    assert found["second filter"] == ["refused", "EPERM"]


@pytest.mark.parametrize("phase", ["load", "run"])
def test_refused(outcomes: dict[str, Outcomes], phase: str) -> None:
    found = outcomes[phase]
    names = ("memfd", "pipe", "eventfd", "socket", "unix socket", "socketpair", "netlink", "exec", "io_uring")
    names += ("kill parent", "kill all", "kill self", "setuid", "nice", "affinity", "timer", "pidfd", "pipe size")
    for name in (*names, "merge pages", "huge pages", "priority lock"):
        if name == "priority lock" and platform.machine() != "x86_64":
            continue
        assert found[name] == ["refused", "EPERM"], name
    assert found["fork"] == ["refused", "EAGAIN"]
    assert found["clone3"] == ["refused", "ENOSYS"]
    assert found["thread"] == ["raised", "RuntimeError: can't start new thread"]
    assert found["raise limit"][0] == "raised"
    assert found["dumpable"][0] == "raised"


@pytest.mark.parametrize("phase", ["load", "run"])
def test_memory_is_bounded(outcomes: dict[str, Outcomes], phase: str) -> None:
    kind, got = outcomes[phase]["memory"]
    assert kind == "done"
    assert 250 << 20 <= got <= 257 << 20
    assert outcomes[phase]["shared memory"] == ["refused", "ENOMEM"]


@pytest.mark.skipif(platform.machine() != "x86_64", reason="numbers and machine code are of x86-64")
@pytest.mark.parametrize("phase", ["load", "run"])
def test_attacks_kill(outcomes: dict[str, Outcomes], phase: str) -> None:
    attacks = ("ptrace", "process_vm_readv", "unshare", "mount", "chroot", "userfaultfd", "bpf", "keyctl", "perf")
    for name in (*attacks, "handle", "x32", "int 0x80"):
        assert outcomes[phase][name] == ["killed", "SIGSYS"], name


def test_a_fence_that_is_missing_is_told() -> None:
    with pytest.raises(OSError, match="no table of system calls for the machine sparc"):
        seccomp.load_filter("sparc")


def test_address_space_is_what_the_kernel_says() -> None:
    before = resource.getrlimit(resource.RLIMIT_AS)
    found = rlimits.address_space()
    with open("/proc/self/status") as lines:
        size = next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmSize"))
    assert abs(found - size) <= 3 << 20
    assert resource.getrlimit(resource.RLIMIT_AS) == before
