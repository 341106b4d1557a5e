"""Calls of the sandbox with a real box: results, arguments, contexts, and each kind of mistake with its own message."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from earthloom.base.errors import EarthloomError, FunctionFailed, NotSupported, TooLarge, Unavailable
from earthloom.base.tilecontext import context_json
from earthloom.sandbox.function import Function
from earthloom.sandbox.plain import PlainBox
from earthloom.sandbox.sandbox import Sandbox
from earthloom.sandbox.settings import SandboxSettings
from earthloom.sandbox.worker import Died, Failed

IMG = np.arange(4 * 16 * 16, dtype=np.uint16).reshape(4, 16, 16)
BANDS = ("B04", "B08", "B11", "B12")
STUBBLE = """
import numpy as np

def stubble(img, limit=300, scale=1.0):
    green, red, nir, swir = img.astype(np.float32)
    return np.where(red < limit, (nir - swir) / (nir + swir) * scale, np.nan)
"""


def context(dims: tuple[str, ...] = ("bands", "y", "x"), **more: Any) -> dict[str, Any]:
    x, y, sides = (0.0, 10.0, 5, 16), (0.0, -10.0, 5, 16), ([9.5] * 16, [9.5] * 16)
    return context_json("EPSG:3857", x, y, sides, dims, **more)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    made = Sandbox(SandboxSettings(load_s=10, call_s=1, first_s=10))
    yield made
    made.close()


def call(sandbox: Sandbox, source: str, name: str = "f", tenant: str = "a", **more: Any) -> NDArray[Any]:
    more = {"arguments": {}, "context": {}, "place": "3/2/1", "img": IMG} | more
    return sandbox.call(tenant, Function(source, name), **more)


def failure(sandbox: Sandbox, source: str, **more: Any) -> FunctionFailed:
    with pytest.raises(FunctionFailed) as caught:
        call(sandbox, source, **more)
    return caught.value


def test_a_function_gives_what_it_gives_in_process(sandbox: Sandbox) -> None:
    space: dict[str, Any] = {}
    exec(STUBBLE, space)
    for limit in (10, 300):
        expected = space["stubble"](IMG, limit, scale=2.0)
        got = call(sandbox, STUBBLE, "stubble", arguments={"limit": limit, "scale": 2.0})
        assert got.dtype == expected.dtype
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize(
    "dtype", ["bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "f2", "f4", "f8"]
)
def test_every_type_goes_in_and_comes_out(sandbox: Sandbox, dtype: str) -> None:
    img = (IMG % 2).astype(dtype)
    got = call(sandbox, "def f(img):\n    return img[1:3]\n", img=img)
    assert got.dtype == img.dtype
    np.testing.assert_array_equal(got, img[1:3])


def test_any_memory_layout_goes_in(sandbox: Sandbox) -> None:
    for img in (IMG[:, ::2, ::-1], IMG.transpose(0, 2, 1), IMG.astype(">u2"), IMG[0], np.stack([IMG, IMG])):
        got = call(sandbox, "def f(img):\n    return img\n", img=img)
        np.testing.assert_array_equal(got, img)


def test_a_function_may_change_its_array(sandbox: Sandbox) -> None:
    before = IMG.copy()
    got = call(sandbox, "def f(img):\n    img[img < 300] = 0\n")
    np.testing.assert_array_equal(got, np.where(IMG < 300, 0, IMG))
    np.testing.assert_array_equal(IMG, before)


def test_the_globals_convention(sandbox: Sandbox) -> None:
    source = "def f():\n    global img\n    img = band1 + numpy.float32(n)\n".replace("f()", "f(n)")
    got = call(sandbox, source, arguments={"n": 5})
    np.testing.assert_array_equal(got, IMG[1] + np.float32(5))


def test_arguments_are_the_same_in_every_call(sandbox: Sandbox) -> None:
    source = "def f(img, add):\n    add.append(1)\n    return img * len(add)\n"
    for _ in range(3):
        np.testing.assert_array_equal(call(sandbox, source, arguments={"add": [1, 2]}), IMG * 3)
    array = {"$array": [1, 2], "dtype": "int64", "shape": [2]}
    source = "def f(img, a, low):\n    a += 1\n    return img * (a.sum() if low < 0 else 0)\n"
    for _ in range(2):
        got = call(sandbox, source, arguments={"a": array, "low": {"$float": "-inf"}})
        np.testing.assert_array_equal(got, IMG * 5)


def test_another_argument_starts_no_worker(sandbox: Sandbox) -> None:
    source = "def f(img, n):\n    return img[0] + n\n"
    call(sandbox, source, arguments={"n": 0}, tenant="slider")
    before = sandbox.counters()
    for n in range(1, 50):
        np.testing.assert_array_equal(call(sandbox, source, arguments={"n": n}, tenant="slider"), IMG[0] + n)
    after = sandbox.counters()
    assert (after["workers"], after["evictions"]) == (before["workers"], before["evictions"])
    assert after["calls"] == before["calls"] + 49


def test_the_context_and_the_mask_arrive(sandbox: Sandbox) -> None:
    source = """
def f(img, context):
    assert context.bands == ("B04", "B08", "B11", "B12"), context
    assert context.x[0] == 55 and context.y[0] == -55, context
    assert context.resolution[0].shape == (16, 1)
    return img[0] * context.mask[0]
"""
    mask = IMG % 3 == 0
    got = call(sandbox, source, context=context(bands=BANDS), mask=mask)
    np.testing.assert_array_equal(got, IMG[0] * mask[0])


def test_the_margin_is_cut_off(sandbox: Sandbox) -> None:
    source = "from scipy.ndimage import maximum_filter\ndef f(img):\n    return maximum_filter(img[0], 5)\n"
    got = call(sandbox, source, context=context(margin=2))
    assert got.shape == (12, 12)
    np.testing.assert_array_equal(got, IMG[0, 4:, 4:])


def test_large_arguments_do_not_fit_in_the_page_and_arrive(sandbox: Sandbox) -> None:
    source = "def f(img, text, context):\n    return img[0] * len(text)\n"
    got = call(sandbox, source, arguments={"text": "x" * 60_000}, context=context(bands=BANDS), mask=IMG > 3)
    np.testing.assert_array_equal(got, IMG[0] * 60_000)


def test_openeo_functions(sandbox: Sandbox) -> None:
    source = """
from openeo.udf import XarrayDataCube

def apply_datacube(cube: XarrayDataCube, context: dict) -> XarrayDataCube:
    array = cube.get_array()
    return XarrayDataCube(array.max("bands") + context["add"])
"""
    told = {**context(bands=BANDS), "user": {"add": 0.5}}
    got = call(sandbox, source, name="", context=told, img=IMG.astype("f4"))
    np.testing.assert_array_equal(got, IMG.max(0) + np.float32(0.5))


def test_prints_and_warnings_are_kept(sandbox: Sandbox) -> None:
    source = """
import sys
import warnings
print("loaded")

def f(img):
    print("red \\x1b[31m", img.shape, "<b>")
    print("two\\nlines", file=sys.stderr)
    warnings.warn("careful")
    return img[0] / img[0]
"""
    for _ in range(2):
        call(sandbox, source, tenant="logs")
    lines = sandbox.logs("logs", Function(source, "f"))
    assert [line.text for line in lines if line.stream == "stdout"] == [
        "loaded",
        *["red \\x1b[31m (4, 16, 16) <b>"] * 2,
    ]
    assert [line.text for line in lines if line.stream == "stderr"] == ["two", "lines"] * 2
    warned = [line.text for line in lines if line.stream == "warning"]
    assert warned == [
        'UserWarning: careful (warnings.warn("careful"))',
        "RuntimeWarning: invalid value encountered in divide (return img[0] / img[0])",
    ]
    assert {line.place for line in lines} == {"3/2/1"}
    assert abs(lines[-1].time - time.time()) < 60
    assert sandbox.logs("another", Function(source, "f")) == []


def test_much_print_is_cut(sandbox: Sandbox) -> None:
    source = "def f(img):\n    for i in range(100_000):\n        print('ä' * 100)\n    return img[0]\n"
    call(sandbox, source, tenant="much")
    lines = sandbox.logs("much", Function(source, "f"))
    assert 500 < len(lines) <= 1000
    assert sum(len(line.text) for line in lines) < 70_000


def test_an_exception_shows_the_users_lines_alone(sandbox: Sandbox) -> None:
    source = "import numpy as np\n\ndef half(x):\n    return np.linalg.inv(x)\n\ndef f(img):\n    return half(img[0])\n"
    error = failure(sandbox, source)
    assert error.message == "LinAlgError: Singular matrix"
    assert error.where == {
        "function": "half",
        "place": "3/2/1",
        "reason": "exception",
        "line": 2,
        "traceback": "  line 2 of f\n    return half(img[0])\n  line 2 of half\n    return np.linalg.inv(x)\n"
        "LinAlgError: Singular matrix",
    }


def test_each_mistake_has_its_own_message(sandbox: Sandbox) -> None:
    cases = {
        "def f(img, n):\n    return img[img<=n] = 0\n": ("syntax", "line 2, column 24: return img[img<=n] = 0"),
        "def g(img):\n    return img\n": ("syntax", 'defines no function "f"'),
        "f = 3\n": ("syntax", '"f" is int, and cannot be called'),
        "import pandas\ndef f(img):\n    return img\n": ("import", "pandas cannot be imported"),
        "def f(img):\n    import torch\n    return img\n": ("import", "torch cannot be imported"),
        "def f(img):\n    return img[:, :3, :3]\n": ("result", "returned the shape (4, 3, 3)"),
        "def f(img):\n    return img.astype(complex)\n": ("result", "an array of complex128"),
        "def f(img):\n    return 3\n": ("result", "returned int, not a numpy array"),
        "import numpy as np\ndef f(img):\n    return np.ones(1 << 31)\n": ("memory", "the 512 MiB that it may use"),
        "def f(img):\n    raise KeyError('no')\n": ("exception", "KeyError: 'no'"),
        "import sys\ndef f(img):\n    sys.exit('bye')\n": ("exception", "SystemExit: bye"),
        "def f(img, n):\n    return img\n": ("exception", "missing 1 required positional argument: 'n'"),
        "import os\ndef f(img):\n    os._exit(7)\n": ("killed", "ended its own process (exit code 7)"),
        "import ctypes\ndef f(img):\n    ctypes.string_at(0)\n": ("killed", "crashed (SIGSEGV)"),
        "def f(img):\n    return open('/etc/passwd')\n": ("exception", "Operation not permitted"),
    }
    for source, (reason, text) in cases.items():
        error = failure(sandbox, source)
        assert error.where["reason"] == reason, (source, error)
        assert text in error.message, (source, error)
        assert "earthloom" not in str(error.where.get("traceback")), source
    repair = failure(sandbox, "def f(img, n):\n    return img[img<=n] = 0\n")
    assert "img[img<=n] = 0; return img" in repair.hint
    allowed = failure(sandbox, "import pandas\ndef f(img):\n    return img\n")
    assert "numpy, scipy, numba, scikit-image" in allowed.hint


def test_too_slow_names_the_limit(sandbox: Sandbox) -> None:
    source = "def f(img, n):\n    while n:\n        pass\n    return img[0]\n"
    call(sandbox, source, arguments={"n": 0}, tenant="slow")
    begin = time.monotonic()
    error = failure(sandbox, source, arguments={"n": 1}, tenant="slow")
    assert "longer than 1 s" in error.message
    assert error.where["reason"] == "timeout"
    assert 0.9 < time.monotonic() - begin < 10


def test_limits_of_what_goes_in(sandbox: Sandbox) -> None:
    before = sandbox.counters()["workers"]
    with pytest.raises(TooLarge, match="source of the function has 70 KiB"):
        call(sandbox, "#" * (70 << 10))
    with pytest.raises(TooLarge, match="arguments have 70 KiB"):
        call(sandbox, "def f(img, a):\n    return img\n", arguments={"a": "x" * (70 << 10)})
    assert sandbox.counters()["workers"] == before
    with pytest.raises(TooLarge, match="40 MiB"):
        call(sandbox, "def f(img):\n    return img\n", img=np.zeros((40, 1024, 1024), np.uint8))
    error = failure(sandbox, "import numpy as np\ndef f(img):\n    return np.ones((20_000, 16, 16))\n")
    assert "at most" in error.message


def test_libraries_of_all_kinds_run(sandbox: Sandbox) -> None:
    source = """
import datetime
import numba
import scipy.signal
from numba import prange
from scipy import ndimage, stats
from skimage import filters, morphology

@numba.njit(cache=True)
def twice(a):
    out = a * 0
    for i in range(a.shape[0]):
        for j in range(a.shape[1]):
            out[i, j] = 2 * a[i, j]
    return out

def f(img):
    datetime.datetime.strptime("2026", "%Y")
    a = ndimage.median_filter(img[0], 3).astype("f4")
    b = scipy.signal.convolve2d(a, np.ones((3, 3)), mode="same")
    c = morphology.opening(filters.gaussian(b)) > filters.threshold_otsu(b)
    return twice(img[0]) + np.uint16(c) * 0 + np.uint16(stats.norm.cdf(0))
"""
    np.testing.assert_array_equal(call(sandbox, source), 2 * IMG[0])


def test_threads_share_one_sandbox(sandbox: Sandbox) -> None:
    problems: list[BaseException] = []

    def work(number: int) -> None:
        source = f"def f(img, n):\n    return img[0] + {number} * n\n"
        try:
            for n in range(30):
                got = call(sandbox, source, tenant=f"t{number}", arguments={"n": n})
                np.testing.assert_array_equal(got, IMG[0] + number * n)
        except BaseException as problem:
            problems.append(problem)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not problems
    assert not any(thread.is_alive() for thread in threads)


def test_the_report(sandbox: Sandbox) -> None:
    unused = Sandbox()
    assert unused.report().ready is False
    assert unused.report().level is None
    assert unused.counters()["workers"] == 0
    unused.close()
    sandbox.start()
    report = sandbox.report()
    assert report.ready
    assert report.level in ("full", "container", "minimal")
    assert report.required == "minimal"
    assert report.libraries["numpy"] == np.__version__


def test_a_closed_sandbox_says_so() -> None:
    closed = Sandbox()
    closed.close()
    closed.close()
    closed.start()
    with pytest.raises(Unavailable, match="closed"):
        call(closed, "def f(img):\n    return img\n")


def test_a_library_that_is_not_installed_is_named() -> None:
    lacking = Sandbox(SandboxSettings(libraries=("numpy", "no-such-library")))
    with pytest.raises(NotSupported, match="no-such-library"):
        call(lacking, "def f(img):\n    return img\n")
    lacking.close()


def test_a_plain_child_runs_functions_where_nothing_isolates() -> None:
    box = PlainBox(SandboxSettings())
    worker = box.worker()
    worker.load(Function("import numpy as np\ndef f(img, n):\n    print(n)\n    return np.sqrt(img[0])\n", "f"), 20)
    answer = worker.run(IMG, arguments=b'{"n": 1}', deadline_s=10)
    np.testing.assert_array_equal(answer.result, np.sqrt(IMG[0]))
    assert [line.text for line in answer.lines] == ["1"]
    with pytest.raises(Failed, match="TypeError"):
        worker.run(IMG, deadline_s=10)
    worker.kill()
    other = box.worker()
    other.load(Function("import os\ndef f(img):\n    os._exit(5)\n", "f"), 20)
    with pytest.raises(Died) as died:
        other.run(IMG, deadline_s=10)
    assert (died.value.kind, died.value.code) == ("closed", 5)
    box.close()


def test_errors_are_data(sandbox: Sandbox) -> None:
    error = failure(sandbox, "def f(img):\n    return 1 / 0\n")
    again = EarthloomError.from_dict(error.to_dict())
    assert isinstance(again, FunctionFailed)
    assert again.to_dict() == error.to_dict()
