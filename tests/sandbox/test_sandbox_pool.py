"""Which worker serves whom, which ends for whom, and what is left at the end: real workers of small boxes."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from earthloom.base.errors import Busy, EarthloomError, FunctionFailed, Unavailable
from earthloom.sandbox import pool
from earthloom.sandbox.function import Function
from earthloom.sandbox.process import may_change_nice
from earthloom.sandbox.sandbox import Sandbox
from earthloom.sandbox.settings import SandboxSettings

IMG = np.arange(2 * 8 * 8, dtype=np.uint16).reshape(2, 8, 8)
COUNTER = "count = 0\ndef f(img):\n    global count\n    count += 1\n    return img[0] * 0 + count\n# {}\n"
WAIT = "import time\ndef f(img, s):\n    time.sleep(s)\n    return img[0]\n# {}\n"


LIMITS: dict[str, Any] = {"workers": 3, "workers_per_tenant": 2, "running": 4, "running_per_tenant": 2, "first_s": 5}


def small(**more: Any) -> Sandbox:
    """A sandbox with room for few workers."""
    return Sandbox(SandboxSettings(libraries=("numpy",), **(LIMITS | more)))


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    made = small()
    yield made
    made.close()


def call(sandbox: Sandbox, tenant: str, source: str, **arguments: Any) -> NDArray[Any]:
    return sandbox.call(tenant, Function(source, "f"), IMG, arguments=arguments, context={})


def count(sandbox: Sandbox, tenant: str, number: int) -> int:
    """Which call of its worker this is."""
    return int(call(sandbox, tenant, COUNTER.format(number))[0, 0])


def test_a_worker_stays_with_its_tenant_and_function(sandbox: Sandbox) -> None:
    assert [count(sandbox, "a", 1) for _ in range(3)] == [1, 2, 3]
    assert count(sandbox, "b", 1) == 1
    assert count(sandbox, "a", 2) == 1
    assert count(sandbox, "a", 1) == 4
    assert sandbox.counters()["workers"] == 3


def test_a_tenant_with_many_functions_ends_its_own_worker_used_longest_ago(sandbox: Sandbox) -> None:
    assert count(sandbox, "b", 1) == 1
    for number in range(1, 5):
        assert count(sandbox, "a", number) == 1
    assert count(sandbox, "a", 4) == 2
    assert count(sandbox, "a", 3) == 2
    assert count(sandbox, "a", 1) == 1
    assert count(sandbox, "b", 1) == 2
    assert sandbox.counters()["evictions"] == 3


def test_a_worker_lives_a_second_before_another_tenant_ends_it(sandbox: Sandbox) -> None:
    for tenant in "abc":
        count(sandbox, tenant, 1)
    begin = time.monotonic()
    assert count(sandbox, "d", 1) == 1
    assert time.monotonic() - begin > 0.5
    assert count(sandbox, "b", 1) == 2
    assert count(sandbox, "c", 1) == 2
    assert sandbox.counters()["evictions"] == 1


def test_no_room_while_all_work_is_busy() -> None:
    sandbox = small(wait_s=0.2)
    for tenant in "abc":
        call(sandbox, tenant, WAIT, s=0)
    threads = [threading.Thread(target=call, args=(sandbox, t, WAIT), kwargs={"s": 1.5}) for t in "abc"]
    for thread in threads:
        thread.start()
    time.sleep(0.5)
    with pytest.raises(Busy, match="room") as busy:
        count(sandbox, "d", 1)
    assert busy.value.where["retry_after"] > 0
    for thread in threads:
        thread.join(10)
    time.sleep(0.6)
    assert count(sandbox, "d", 1) == 1
    sandbox.close()


def test_worn_workers_are_replaced(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "MOST_CALLS", 3)
    assert [count(sandbox, "a", 1) for _ in range(7)] == [1, 2, 3, 1, 2, 3, 1]
    assert sandbox.counters()["workers"] == 1


def test_idle_workers_end() -> None:
    sandbox = small(idle_s=0.2)
    count(sandbox, "a", 1)
    until(lambda: sandbox.counters()["workers"] == 0)
    assert count(sandbox, "a", 1) == 1
    sandbox.close()


def test_spares_are_made_again(sandbox: Sandbox) -> None:
    for number in range(3):
        count(sandbox, "a", number)
    until(lambda: sandbox.counters()["spares"] == 2)


def test_a_killed_worker_costs_its_tile_nothing(sandbox: Sandbox) -> None:
    call(sandbox, "a", WAIT, s=0)
    result: list[NDArray[Any]] = []
    thread = threading.Thread(target=lambda: result.append(call(sandbox, "a", WAIT, s=1)))
    thread.start()
    time.sleep(0.3)
    for pid in in_boxes():
        if "bwrap" not in command(pid) and not children(pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    thread.join(20)
    np.testing.assert_array_equal(result[0], IMG[0])
    assert sandbox.counters()["strikes"] == 0


@pytest.mark.skipif(not may_change_nice(), reason="nice values cannot be lowered again here")
def test_a_slow_call_lets_quick_ones_go_first(sandbox: Sandbox) -> None:
    call(sandbox, "a", WAIT, s=0)
    found: list[list[int]] = []
    thread = threading.Thread(target=call, args=(sandbox, "a", WAIT), kwargs={"s": 0.6})
    thread.start()
    for _ in range(2):
        time.sleep(0.3)
        found.append(sorted(os.getpriority(os.PRIO_PROCESS, pid) for pid in in_boxes()))
        thread.join(5)
    nice = os.getpriority(os.PRIO_PROCESS, 0) + sandbox.settings.nice
    assert found[0].count(max(nice, 10)) == found[1].count(max(nice, 10)) + 1
    assert found[1].count(nice) >= 3


def test_a_function_that_crashes_is_stopped_and_others_are_not(sandbox: Sandbox) -> None:
    source = "import os\ndef f(img):\n    os._exit(1)\n"
    for _ in range(3):
        with pytest.raises(FunctionFailed, match="ended its own process"):
            call(sandbox, "a", source)
    begin = time.monotonic()
    with pytest.raises(FunctionFailed, match="stopped for"):
        call(sandbox, "a", source)
    assert time.monotonic() - begin < 0.1
    assert count(sandbox, "a", 1) == 1
    with pytest.raises(FunctionFailed, match="ended its own process"):
        call(sandbox, "b", source)
    assert sandbox.counters()["strikes"] == 4


def test_a_source_that_cannot_be_loaded_costs_one_worker(sandbox: Sandbox) -> None:
    def fail() -> None:
        with pytest.raises(FunctionFailed, match="not Python"):
            call(sandbox, "a", "def f(img:\n")

    sandbox.start()
    threads = [threading.Thread(target=fail) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    fail()
    assert 1 <= sandbox.counters()["errors"] <= LIMITS["running_per_tenant"]


def test_the_thread_that_starts_it_may_end(sandbox: Sandbox) -> None:
    thread = threading.Thread(target=sandbox.start)
    thread.start()
    thread.join(20)
    time.sleep(0.3)
    assert [count(sandbox, "a", 1) for _ in range(2)] == [1, 2]
    assert sandbox.counters()["restarts"] == 0


def test_closing_leaves_no_process(sandbox: Sandbox) -> None:
    before = set(children(os.getpid()))
    for number in range(3):
        count(sandbox, "a", number)
    mine = set(children(os.getpid())) - before
    assert len(mine) >= 3
    sandbox.close()
    until(lambda: not any(map(lives, mine)), 2)


def test_a_call_that_runs_while_it_is_closed_says_so(sandbox: Sandbox) -> None:
    call(sandbox, "a", WAIT, s=0)
    problems: list[BaseException] = []

    def work() -> None:
        try:
            call(sandbox, "a", WAIT, s=1.8)
        except EarthloomError as problem:
            problems.append(problem)

    thread = threading.Thread(target=work)
    thread.start()
    time.sleep(0.3)
    begin = time.monotonic()
    sandbox.close()
    thread.join(10)
    assert time.monotonic() - begin < 3
    assert isinstance(problems[0], Unavailable), problems


BEGIN = """
import os, sys, warnings
warnings.simplefilter("ignore")
import numpy as np
from earthloom.sandbox.function import Function
from earthloom.sandbox.sandbox import Sandbox
from earthloom.sandbox.settings import SandboxSettings

sandbox = Sandbox(SandboxSettings(libraries=("numpy",)))
function = Function({source!r}, "f")
img = np.ones((2, 8, 8), np.uint16)

def count():
    return int(sandbox.call("a", function, img, arguments={{}}, context={{}})[0, 0])

print(count(), flush=True)
"""
FORK = """
pid = os.fork()
if not pid:
    print(count(), flush=True)
    sandbox.close()
    os._exit(0)
os.waitpid(pid, 0)
print(count(), sandbox.counters()["restarts"], flush=True)
sandbox.close()
"""


def test_a_forked_process_has_a_sandbox_of_its_own() -> None:
    code = BEGIN.format(source=COUNTER) + FORK
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.split() == ["1", "1", "2", "0"], done.stderr


def test_an_interpreter_that_ends_without_closing_says_nothing_and_leaves_nothing() -> None:
    code = BEGIN.format(source=COUNTER) + "from test_sandbox_pool import children\nprint(*children(os.getpid()))\n"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env={**os.environ, "PYTHONPATH": os.path.dirname(__file__)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    mine = [int(pid) for pid in done.stdout.split()[1:]]
    assert len(mine) >= 3
    until(lambda: not any(map(lives, mine)), 2)


def children(pid: int) -> list[int]:
    """All descendants of a process."""
    parents: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat") as file:
                    parent = int(file.read().rpartition(")")[2].split()[1])
            except OSError:
                continue
            parents.setdefault(parent, []).append(int(name))
    found, waiting = [], [pid]
    while waiting:
        more = parents.get(waiting.pop(), [])
        found += more
        waiting += more
    return found


def in_boxes() -> list[int]:
    """Of this process's descendants those of its boxes: others are servers of other tests."""
    return [pid for pid in children(os.getpid()) if "earthloom.sandbox.inside" in command(pid)]


def lives(pid: int) -> bool:
    """Whether a process runs; one that nobody has waited for does not."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def command(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/cmdline") as file:
            return file.read()
    except OSError:
        return ""


def until(true: Any, seconds: float = 10) -> None:
    """Wait for something; fail if it does not come."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)
