"""Child processes: told when they die, stopped together, and gone when their parent is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from earthloom.base.errors import Unavailable
from earthloom.cli import children
from earthloom.cli.serve import address, listen

NOWHERE = "http://127.0.0.1:9/"
SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_child_that_dies_is_told_with_its_last_words(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "print('no disk left'); raise SystemExit(3)"]
    child = children.start("The engine", command, tmp_path / "log", NOWHERE, os.environ)
    child.process.wait()
    with pytest.raises(Unavailable, match=r"The engine has stopped \(exit code 3\)") as caught:
        children.wait_until_ready([child], 5)
    assert "no disk left" in caught.value.message


def test_a_killed_child_names_the_signal(tmp_path: Path) -> None:
    child = children.start("JupyterLab", SLEEP, tmp_path / "log", NOWHERE, os.environ)
    child.process.kill()
    child.process.wait()
    with pytest.raises(Unavailable, match="SIGKILL"):
        children.check([child])


def test_stop_ends_all(tmp_path: Path) -> None:
    both = [children.start(name, SLEEP, tmp_path / name, NOWHERE, os.environ) for name in ("a", "b")]
    children.check(both)
    children.stop(both)
    assert [child.process.returncode for child in both] == [-signal.SIGTERM] * 2


def test_silence_has_an_end(tmp_path: Path) -> None:
    with listen("127.0.0.1", 0) as bound:
        child = children.start("JupyterLab", SLEEP, tmp_path / "log", address(bound), os.environ)
        with pytest.raises(Unavailable, match=r"within 0\.3 s"):
            children.wait_until_ready([child], 0.3)
        children.stop([child])


def test_child_ends_with_its_killed_parent() -> None:
    watched = (
        "import os, time, sys; from earthloom.cli.parent import end_with; end_with(int(sys.argv[1])); time.sleep(60)"
    )
    parent = (
        "import os, subprocess, sys, time\n"
        f"child = subprocess.Popen([sys.executable, '-c', {watched!r}, str(os.getpid())])\n"
        "print(child.pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        assert _alive(pid)
        process.kill()
    end = time.monotonic() + 10
    while _alive(pid) and time.monotonic() < end:
        time.sleep(0.05)
    assert not _alive(pid)
