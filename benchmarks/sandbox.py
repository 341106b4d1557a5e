"""What isolation costs: the user's own function in the sandbox beside the same function called in process.

Both are called in turn in one process; medians of many calls. Prints Markdown; `docs/reference/benchmarks-functions.md`
explains the columns.
"""

from __future__ import annotations

import argparse
import os
import platform
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earthloom.base.errors import EarthloomError
from earthloom.sandbox.function import Function
from earthloom.sandbox.sandbox import Sandbox
from earthloom.sandbox.settings import SandboxSettings

Array = NDArray[Any]
TRIVIAL = "def f(img):\n    return img[0]\n"
STUBBLE = """
import numpy as np

def f(img, v4=1000, v6=1200, v8=1200, v11min=500, v11max=1600):
    b4, b6, b8, b11 = img
    res = np.ones_like(b4)
    res[b4 >= v4] = 0
    res[b6 >= v6] = 0
    res[b8 >= v8] = 0
    res[np.logical_or(b11 <= v11min, b11 >= v11max)] = 0
    return res
"""
MEDIAN = """
from scipy import ndimage

def f(img):
    return ndimage.median_filter(img[0], 5)
"""
SPIN = "def f(img):\n    while True:\n        pass\n"
FUNCTIONS = {"trivial (a view of one band)": TRIVIAL, "stubble burning": STUBBLE, "5 x 5 median filter": MEDIAN}


def in_process(source: str) -> Callable[[Array], Array]:
    """The function called as any Python function; it gets a copy, as in the sandbox it may change what it gets."""
    names: dict[str, Any] = {}
    exec(source, names)
    function = names["f"]
    return lambda img: np.array(function(img.copy()))


def in_pool(job: tuple[str, Array]) -> Array:
    """The function in a process pool, for comparison: what a server without isolation would do."""
    source, img = job
    known = _functions.get(source) or _functions.setdefault(source, in_process(source))
    return known(img)


_functions: dict[str, Callable[[Array], Array]] = {}


def tile(bands: int, px: int) -> Array:
    """Numbers as of a Sentinel-2 tile."""
    return np.random.default_rng(1).integers(0, 4000, (bands, px, px)).astype(np.uint16)


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds of some calls."""

    seconds: Sequence[float]

    def ms(self, part: float = 0.5) -> float:
        """A quantile in milliseconds."""
        ordered = sorted(self.seconds)
        return 1e3 * ordered[min(len(ordered) - 1, int(part * len(ordered)))]


def alternate(contenders: Sequence[Callable[[], Any]], repeats: int) -> list[Times]:
    """Call all in turn, so that other work on the machine meets them alike."""
    found: list[list[float]] = [[] for _ in contenders]
    for _ in range(repeats):
        for seconds, call in zip(found, contenders, strict=True):
            start = time.perf_counter()
            call()
            seconds.append(time.perf_counter() - start)
    return [Times(seconds) for seconds in found]


def one_user(sandbox: Sandbox, repeats: int) -> None:
    """Added time of one call after another."""
    print("\n| function | tile | in process [ms] | sandbox [ms] | added [ms] | process pool [ms] |")
    print("| --- | --- | --- | --- | --- | --- |")
    with ProcessPoolExecutor(1) as pool:
        for name, source in FUNCTIONS.items():
            for px in (256, 512, 1024):
                img, function, here = tile(4, px), Function(source, "f"), in_process(source)
                ours = sandbox_call(sandbox, "one", function, img)
                peer = lambda s=source, i=img: pool.submit(in_pool, (s, i)).result()  # noqa: E731
                assert np.array_equal(ours(), here(img))
                assert np.array_equal(peer(), here(img))
                count = repeats if px == 256 else max(10, repeats // 10)
                a, b = alternate((lambda h=here, i=img: h(i), ours), count)
                (c,) = alternate((peer,), count)
                added = median(y - x for x, y in zip(a.seconds, b.seconds, strict=True)) * 1e3
                print(f"| {name} | 4 x {px} x {px} | {a.ms():.3f} | {b.ms():.3f} | {added:+.3f} | {c.ms():.3f} |")


def many_users(sandbox: Sandbox, users: int, seconds: float) -> None:
    """Throughput of several users at once, beside as many threads that call in process."""
    print(
        f"\n| function, {users} users | in process [calls/s] | sandbox [calls/s] | added for each call [ms] |", end=""
    )
    print(" ratio of rates | sandbox p50, p99 [ms] |\n| --- | --- | --- | --- | --- | --- |")
    img = tile(4, 256)
    for name, source in FUNCTIONS.items():
        here = in_process(source)
        ours = [sandbox_call(sandbox, f"user{i}", Function(source, "f"), img) for i in range(users)]
        for call in ours:
            call()
        rounds: list[tuple[float, Times]] = []
        for _ in range(3):
            plain = together([lambda h=here: h(img)] * users, seconds)
            rounds.append((len(plain.seconds) / seconds, together(ours, seconds)))
        base = median(r[0] for r in rounds)
        rate = median(len(r[1].seconds) / seconds for r in rounds)
        last = rounds[-1][1]
        added, ratio = 1e3 / rate - 1e3 / base, rate / base
        tail = f"{last.ms():.2f}, {last.ms(0.99):.2f}"
        print(f"| {name} | {base:.0f} | {rate:.0f} | {added:+.3f} | {ratio:.2f} | {tail} |")


def together(calls: Sequence[Callable[[], Any]], seconds: float) -> Times:
    """Call each in a thread of its own for so long."""
    found: list[float] = []
    end = time.perf_counter() + seconds

    def run(call: Callable[[], Any]) -> None:
        while (start := time.perf_counter()) < end:
            call()
            found.append(time.perf_counter() - start)

    threads = [threading.Thread(target=run, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return Times(found)


def new_functions(sandbox: Sandbox, repeats: int) -> None:
    """Time to the first result of a function that was never seen, with a spare worker at hand."""
    print("\n| a new function | first result p10, p50, p90 [ms] |")
    print("| --- | --- |")
    img = tile(4, 256)
    for name, source in FUNCTIONS.items():
        seconds = []
        for i in range(repeats):
            time.sleep(0.15)  # the spare is refilled while nobody asks
            function = Function(f"{source}\nNUMBER = {time.time()} + {i}\n", "f")
            start = time.perf_counter()
            sandbox_call(sandbox, "one", function, img)()
            seconds.append(time.perf_counter() - start)
        times = Times(seconds)
        print(f"| {name} | {times.ms(0.1):.1f}, {times.ms():.1f}, {times.ms(0.9):.1f} |")


def hostile_neighbours(seconds: float) -> None:
    """Eight good users alone, then beside four whose function never ends."""
    print("\n| eight users | p50 [ms] | p99 [ms] | calls | lost |")
    print("| --- | --- | --- | --- | --- |")
    img = tile(4, 256)
    with_limits = SandboxSettings(libraries=("numpy",), running_per_tenant=1)
    sandbox = Sandbox(with_limits)
    try:
        good = [sandbox_call(sandbox, f"good{i}", Function(STUBBLE, "f"), img) for i in range(8)]
        for call in good:
            call()
        for label, bad in (("alone", 0), ("beside four whose function never ends", 4)):
            stop = threading.Event()
            threads = [threading.Thread(target=misbehave, args=(sandbox, f"bad{i}", img, stop)) for i in range(bad)]
            for thread in threads:
                thread.start()
            lost: list[EarthloomError] = []
            times = together([lambda c=call, missed=lost: counting(c, missed) for call in good], seconds)
            stop.set()
            for thread in threads:
                thread.join()
            print(f"| {label} | {times.ms():.2f} | {times.ms(0.99):.1f} | {len(times.seconds)} | {len(lost)} |")
    finally:
        sandbox.close()


def misbehave(sandbox: Sandbox, tenant: str, img: Array, stop: threading.Event) -> None:
    """Ask for a function that never ends, again and again."""
    call = sandbox_call(sandbox, tenant, Function(SPIN, "f"), img)
    while not stop.is_set():
        counting(call, [])


def counting(call: Callable[[], Any], lost: list[EarthloomError]) -> None:
    """Call, and remember an error."""
    try:
        call()
    except EarthloomError as error:
        lost.append(error)
        time.sleep(0.01)


def sandbox_call(sandbox: Sandbox, tenant: str, function: Function, img: Array) -> Callable[[], Array]:
    """A call of the sandbox as the engine makes it."""
    return lambda: sandbox.call(tenant, function, img, arguments={}, context={})


def main() -> None:
    """Run all tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=300, help="calls of a 256 px tile")
    parser.add_argument("--seconds", type=float, default=2.0, help="length of a round of several users")
    given = parser.parse_args()
    sandbox = Sandbox(SandboxSettings())
    start = time.perf_counter()
    try:
        sandbox.start()
        sandbox_call(sandbox, "one", Function(MEDIAN, "f"), tile(4, 256))()
        level = sandbox.report().level
        print(
            f"Level {level}, {os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()},", end=""
        )
        print(f" numpy {np.__version__}; first result, with scipy, {time.perf_counter() - start:.1f} s after the start")
        one_user(sandbox, given.repeats)
        many_users(sandbox, 8, given.seconds)
        new_functions(sandbox, max(10, given.repeats // 10))
    finally:
        sandbox.close()
    hostile_neighbours(3 * given.seconds)


if __name__ == "__main__":
    main()
