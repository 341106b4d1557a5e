"""A function travels as the text of a module: it does there what it does here, and always is the same text."""

from __future__ import annotations

import functools
import importlib.util
import math
import os.path
import subprocess
import sys
import xml.dom
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numba
import numpy as np
import pytest
import scipy
from numba import njit
from numpy import sqrt as root
from scipy import ndimage
from scipy.ndimage import gaussian_filter as smooth
from scipy.special import expit

import earthloom as el
from earthloom.base.errors import EarthloomError, InvalidArgument, TooLarge
from earthloom.base.tilecontext import from_json
from earthloom.base.tilefunction import TileFunction, namespace
from earthloom.chain.udf import udf_arguments

IMG = np.arange(1, 25, dtype=np.float32).reshape(2, 3, 4)

LIMIT = 3
TABLE = {4: 0.5, 5: math.inf}
CLOUDS = {3, 8, 9}
PAIR = (1, 2.5)
WEIGHTS = np.array([[0.1, np.nan], [-0.0, -np.inf]], np.float32)
HALF = np.float32(0.1)
WORDS = {"a": ["b", b"c"], "none": None, "yes": True}


def double(a: Any) -> Any:
    return a * LIMIT


def quadruple(a: Any) -> Any:
    return double(double(a))


def even(n: int) -> bool:
    return n == 0 or odd(n - 1)


def odd(n: int) -> bool:
    return n > 0 and even(n - 1)


clip = lambda a: np.minimum(a, LIMIT)  # noqa: E731 - a lambda alone on its line travels
again = double


@njit
def fast(a):  # type: ignore[no-untyped-def]
    return a * LIMIT + 1


@numba.vectorize
def each(a, b):  # type: ignore[no-untyped-def]
    return a + b


def captured(function: Callable[..., Any], *args: Any, **kwargs: Any) -> dict[str, Any]:
    return udf_arguments(function, args, kwargs)


def run(document: dict[str, Any], img: np.ndarray = IMG) -> Any:
    """The text, executed where nothing else is, as a server does."""
    names = namespace()
    exec(compile(document["udf"], "<udf>", "exec", dont_inherit=True), names)
    context = document["context"]
    found = TileFunction.find(names, context["function"])
    return found.call(img.copy(), from_json(context.get("arguments", {})))


def constants(img):  # type: ignore[no-untyped-def]
    near = sum(v in CLOUDS for v in (3, 4))
    words = WORDS["a"][1] == b"c" and WORDS["none"] is None and WORDS["yes"] is True
    return img * LIMIT + TABLE[4] + near + PAIR[1] + np.nansum(WEIGHTS[:, 0]) + words + (img * HALF).dtype.itemsize


def infinite(img):  # type: ignore[no-untyped-def]
    return np.where(np.isinf(WEIGHTS[1, 1]) & math.isinf(TABLE[5]) & np.signbit(WEIGHTS[1, 0]), img, 0)


def helpers(img):  # type: ignore[no-untyped-def]
    return quadruple(img) + even(4) + clip(img) + again(1)


def only_inside(img, n=2):  # type: ignore[no-untyped-def]
    scale = [double(v) for v in range(n)]
    bounded = (lambda v: clip(v))(img)
    return bounded + sum(scale) + {k: again(k) for k in (1,)}[1]


def modules(img):  # type: ignore[no-untyped-def]
    path = os.path.join("a", "b").count("b")
    kind = xml.dom.Node.ELEMENT_NODE
    return ndimage.sobel(smooth(img, 1)) + scipy.ndimage.laplace(img) + root(img) + expit(img) + path + kind


def defaults(img, n=LIMIT, how=("a", 1), *, much=np.float32(2), **more):  # type: ignore[no-untyped-def]  # noqa: B008
    return img * n * much + how[1] + more.get("less", 0)


def several(*layers, factor=2):  # type: ignore[no-untyped-def]
    return sum(layers) * factor


def annotated(img: np.ndarray, n: int | None = None) -> Undefined:  # type: ignore[name-defined]  # noqa: F821
    return img * (n or LIMIT)


def in_place(img, n):  # type: ignore[no-untyped-def]
    img[img <= n] = 0


def with_numba(img):  # type: ignore[no-untyped-def]
    return fast(img) + each(img, img)


def text_of_lines(img):  # type: ignore[no-untyped-def]
    """Twice.

    More.
    """
    words = """a
      b
    """
    return img * len(words) + len(f"""
  {LIMIT}
 """)


def inner_class(img):  # type: ignore[no-untyped-def]
    class Box:
        size = LIMIT
        twice = size * 2

        def apply(self, a):  # type: ignore[no-untyped-def]
            return double(a) * self.twice

    return Box().apply(img)


def closure(limit: int) -> Callable[..., Any]:
    offset = np.array([1.5])

    def helper(a):  # type: ignore[no-untyped-def]
        return a + offset

    def count(n):  # type: ignore[no-untyped-def]
        return 0 if n == 0 else 1 + count(n - 1)

    def inner(img, n=limit):  # type: ignore[no-untyped-def]
        return helper(img) * n + limit + count(2)

    return inner


@njit
def jitted(img, n=2):  # type: ignore[no-untyped-def]
    return fast(img) * n


@el.tile_function(
    margin=2,  # as the kernel
    dtype="float32",
)
@njit(cache=False)
# a remark between
def declared(img):  # type: ignore[no-untyped-def]
    return img + 1


@el.tile_function
def bare(img):  # type: ignore[no-untyped-def]
    return img


alone = lambda img, n=3: img * n + LIMIT  # noqa: E731


@pytest.mark.parametrize(
    ("function", "args", "kwargs"),
    [
        (constants, (), {}),
        (infinite, (), {}),
        (helpers, (), {}),
        (only_inside, (), {}),
        (only_inside, (3,), {}),
        (modules, (), {}),
        (defaults, (), {}),
        (defaults, (5,), {"much": 1.5, "less": 4}),
        (several, (), {}),
        (several, (1, 2), {"factor": 3}),
        (annotated, (), {}),
        (with_numba, (), {}),
        (text_of_lines, (), {}),
        (inner_class, (), {}),
        (closure(7), (), {}),
        (closure(7), (8,), {}),
        (jitted, (), {}),
        (jitted, (4,), {}),
        (declared, (), {}),
        (bare, (), {}),
        (alone, (), {"n": 2}),
        (each, (2,), {}),
    ],
)
def test_what_travels_does_the_same_there(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    np.testing.assert_array_equal(run(captured(function, *args, **kwargs)), function(IMG.copy(), *args, **kwargs))


def test_in_place() -> None:
    assert (run(captured(in_place, 5)) == 0).sum() == 5


def test_the_module_reads_as_one_writes_it() -> None:
    assert captured(only_inside)["udf"] == (
        "import numpy as np\n"
        "\n"
        "LIMIT = 3\n"
        "\n"
        "\n"
        "def double(a: Any) -> Any:\n"
        "    return a * LIMIT\n"
        "\n"
        "\n"
        "clip = lambda a: np.minimum(a, LIMIT)  # noqa: E731 - a lambda alone on its line travels\n"
        "\n"
        "\n"
        "def only_inside(img, n=2):  # type: ignore[no-untyped-def]\n"
        "    scale = [double(v) for v in range(n)]\n"
        "    bounded = (lambda v: clip(v))(img)\n"
        "    return bounded + sum(scale) + {k: again(k) for k in (1,)}[1]\n"
        "\n"
        "\n"
        "again = double\n"
    ).replace("import numpy", "from __future__ import annotations\n\nimport numpy", 1)


def test_imports_are_written_as_the_user_wrote_them() -> None:
    lines = captured(modules)["udf"].split("\n\n\n")[0].split("\n")
    assert lines[0] == "import os"
    assert set(lines[1:]) >= {
        "import scipy",
        "import xml",
        "import xml.dom",
        "from numpy import sqrt as root",
        "from scipy import ndimage",
        "from scipy.ndimage import gaussian_filter as smooth",
        "from scipy.special import expit",
    }


def test_arrays_are_one_readable_line() -> None:
    assert 'WEIGHTS = numpy.array([[0.1, numpy.nan], [-0.0, -numpy.inf]], "float32")\n' in captured(infinite)["udf"]


def test_the_declaring_decorator_is_cut_and_others_stay() -> None:
    document = captured(declared)
    body = document["udf"].split("\n\n\n")[-1]
    assert body == (
        "@njit(cache=False)\n"
        "# a remark between\n"
        "def declared(img):  # type: ignore[no-untyped-def]\n"
        "    return img + 1\n"
    )
    assert document["context"] == {"function": "declared", "margin": 2, "dtype": "float32"}
    assert captured(bare)["udf"].startswith("def bare")
    assert bare(1) == 1


def load(folder: Path, text: bytes | str, name: str = "theirs") -> ModuleType:
    """A module of the user's own."""
    path = folder / f"{name}.py"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    finally:
        del sys.modules[name]
    return module


FUNCTION = '''
import numpy as np

LIMIT = 3

def f(img, n=LIMIT):
    """Doc.

      more
    """
    # a remark
    return np.where(img > n, img, """x
    """.count("x"))
'''


@pytest.mark.parametrize(
    "text",
    [
        FUNCTION.replace("\n", "\r\n"),
        FUNCTION.replace("return", "return").replace("remark\n", "remark   \n").replace("Doc.\n\n", "Doc.\n   \n"),
        "if True:\n"
        + "".join(f"    {line}\n" if line else "\n" for line in FUNCTION.replace('    """.c', '""".c').split("\n")),
        "B = 1\n" + FUNCTION + "\n\nC = 2\n",
        FUNCTION.replace("\ndef f", "\nimport earthloom as el\n@el.tile_function()\ndef f"),
    ],
    ids=["line ends", "trailing blanks", "indented", "elsewhere in the file", "declared"],
)
def test_the_key_does_not_depend_on_how_the_file_is_written(tmp_path: Path, text: str) -> None:
    (tmp_path / "a").mkdir()
    first = captured(load(tmp_path / "a", FUNCTION).f)
    assert captured(load(tmp_path, text).f) == first


def test_a_remark_or_a_constant_makes_another_text(tmp_path: Path) -> None:
    first = captured(load(tmp_path, FUNCTION, "one").f)["udf"]
    assert captured(load(tmp_path, FUNCTION.replace("a remark", "a word"), "two").f)["udf"] != first
    assert captured(load(tmp_path, FUNCTION.replace("LIMIT = 3", "LIMIT = 4"), "three").f)["udf"] != first


SESSION = """
import sys
import math
import numpy as np

SETS = {"b", "a", "d", "c"}
ARRAY = np.array([[1.5, 2]], np.float32)

def helper(a, words=SETS):
    return a * len(words)

def f(img, n=3, **more):
    return helper(img) + ARRAY[0, 0] + math.pi + n + len(SETS & set(more))

if __name__ == "__main__":
    import earthloom as el
    print(el.ImageCollection("a").mosaic().execute(f, 4, z=1, y=[1, (2, 3)]).key)
"""


def test_the_key_is_the_same_in_every_session(tmp_path: Path) -> None:
    module = load(tmp_path, SESSION)
    here = el.ImageCollection("a").mosaic().execute(module.f, 4, y=[1, (2, 3)], z=1).key
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, str(tmp_path / "theirs.py")],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.stdout.strip() == here, done.stderr


class Thing:
    def method(self, img):  # type: ignore[no-untyped-def]
        return img

    def __call__(self, img):  # type: ignore[no-untyped-def]
        return img


@functools.lru_cache
def cached(img):  # type: ignore[no-untyped-def]
    return img


def wrapping(function: Any) -> Any:
    @functools.wraps(function)
    def wrapper(img):  # type: ignore[no-untyped-def]
        return function(img) + 1

    return wrapper


@wrapping
def wrapped(img):  # type: ignore[no-untyped-def]
    return img


def generator(img):  # type: ignore[no-untyped-def]
    yield img


async def later(img):  # type: ignore[no-untyped-def]
    return img


def raw_parameter(img, raw):  # type: ignore[no-untyped-def]
    return img


counter = 0
thing = Thing()
big = np.zeros(5000)
unknown_type = object()
nested = {"a": [1, thing]}
dates = np.array(["2020-01-01"], "datetime64[D]")
part = functools.partial(double)


def changes_global(img):  # type: ignore[no-untyped-def]
    global counter
    counter += 1
    return img


def changes_outer() -> Any:
    count = 0

    def inner(img):  # type: ignore[no-untyped-def]
        nonlocal count
        count += 1
        return img

    return inner


def undefined(img):  # type: ignore[no-untyped-def]
    return img * not_there  # type: ignore[name-defined]  # noqa: F821


def not_yet() -> Any:
    def inner(img):  # type: ignore[no-untyped-def]
        return img * later_on

    yield inner
    later_on = 3
    yield later_on


def uses(value: Any) -> Any:
    def inner(img):  # type: ignore[no-untyped-def]
        return img * value

    return inner


def no_array(*, n=3):  # type: ignore[no-untyped-def]
    return n


made = namespace()
exec("def made_by_exec(img):\n    return img", made)


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (3, "int is not a function"),
        (functools.partial(in_place, n=3), "functools.partial"),
        (Thing().method, "method is a method of Thing"),
        (Thing, "Thing is a class"),
        (Thing(), "Thing is a callable object"),
        (np.sqrt, "sqrt is a function of numpy, not one of your own. Write a function of your own"),
        (len, "len is a function of builtins"),
        (ndimage.sobel, "sobel is a function of scipy"),
        (generator, "generator is a generator"),
        (later, "later is an async function"),
        (cached, "cached has the decorator functools.lru_cache"),
        (wrapped, "wrapped has the decorator wrapping"),
        (wrapping(bare), "bare is wrapped by another object"),
        (njit(bare), "bare is wrapped by another object .* numba's decorator"),
        (lambda img: img, "A lambda must stand alone on its line"),
        (made["made_by_exec"], "text of made_by_exec cannot be found"),
        (raw_parameter, 'raw_parameter has a parameter named "raw"'),
        (no_array, "no_array takes no array"),
        (changes_global, "changes_global changes the variable counter"),
        (changes_outer(), "inner changes the variable count"),
        (undefined, 'undefined uses the name "not_there", which is not defined'),
        (next(not_yet()), 'inner uses the name "later_on"'),
        (uses(thing), "value is of type Thing, which cannot travel"),
        (uses(nested), r"value\['a'\]\[1\] is of type Thing"),
        (uses(unknown_type), "value is of type object"),
        (uses(big), "value is an array of 5000 values; 4096"),
        (uses(dates), r"value is a numpy array of type datetime64\[D\]"),
        (uses(Thing), "value is a class of your own"),
        (uses(part), "value is of type partial"),
        (uses(cached), "cached has the decorator functools.lru_cache"),
        (uses(generator), "generator is a generator"),
        (uses(lambda v: v), "A lambda must stand alone"),
        (uses(sys.modules[__name__]), "is a module of your own"),
    ],
)  # fmt: skip
def test_what_cannot_travel_is_refused_by_name(function: Any, words: str) -> None:
    with pytest.raises(EarthloomError, match=words) as caught:
        captured(function)
    assert caught.value.hint or "callable" in words


def test_two_meanings_of_one_name(tmp_path: Path) -> None:
    theirs = load(tmp_path, "LIMIT = 5\n\ndef of_theirs(a):\n    return a * LIMIT\n")

    def both(img):  # type: ignore[no-untyped-def]
        return theirs_of(img) * LIMIT

    theirs_of = theirs.of_theirs
    with pytest.raises(InvalidArgument, match='"LIMIT" means two things'):
        captured(both)


def test_a_module_of_ones_own_inside_the_function(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_tools.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)

    def inside(img):  # type: ignore[no-untyped-def]
        import my_tools

        return my_tools.f(img)

    with pytest.raises(InvalidArgument, match="my_tools is a module of your own"):
        captured(inside)

    def elsewhere(img):  # type: ignore[no-untyped-def]
        import perhaps_on_the_server

        return perhaps_on_the_server.f(img)

    assert "import perhaps_on_the_server" in captured(elsewhere)["udf"]


def test_a_file_that_changed_after_its_import(tmp_path: Path) -> None:
    module = load(tmp_path, FUNCTION)
    (tmp_path / "theirs.py").write_text(FUNCTION.replace("img > n", "img >= n + 1"))
    with pytest.raises(InvalidArgument, match="has changed since it was imported"):
        captured(module.f)
    (tmp_path / "theirs.py").write_text("")
    with pytest.raises(InvalidArgument, match=r"cannot be found|has changed"):
        captured(module.f)


def test_a_default_keeps_its_value_when_its_name_moves_on(tmp_path: Path) -> None:
    module = load(tmp_path, FUNCTION)
    module.LIMIT = 9
    document = captured(module.f)
    assert document["context"]["arguments"] == {"n": 3}
    assert "LIMIT = 3\n" in document["udf"]


def test_text_and_arguments_have_a_limit(tmp_path: Path) -> None:
    with pytest.raises(TooLarge, match="65536 can travel"):
        captured(load(tmp_path, "def f(img):\n" + "    img = img + 1  # long\n" * 3000 + "    return img\n").f)
    with pytest.raises(TooLarge, match="The arguments of defaults"):
        captured(defaults, how="a" * 70000)


def test_lambdas_that_cannot_be_told_apart() -> None:
    two = [lambda img: img, lambda img: -img]
    pair = lambda img: (lambda a: a)(img)  # noqa: E731
    for function in (*two, pair):
        with pytest.raises(InvalidArgument, match="alone on its line"):
            captured(function)


def test_numpy_is_there_without_an_import(tmp_path: Path) -> None:
    module = load(tmp_path, "def f(img):\n    return numpy.ones_like(img) + np.pi\n")
    assert captured(module.f)["udf"] == "def f(img):\n    return numpy.ones_like(img) + np.pi\n"


def test_functions_that_fill_a_global_img(tmp_path: Path) -> None:
    text = (
        "img = 'something of the notebook'\n"
        "def stubble(v4=1000, v6=1200):\n"
        "    global img\n"
        "    img = numpy.ones_like(band0)\n"
        "    img[band0>v4] = 0\n"
        "    img[band1>v6] = 0\n"
    )
    document = captured(load(tmp_path, text).stubble, 5)
    assert document["udf"].startswith("def stubble")
    assert document["context"] == {"function": "stubble", "arguments": {"v4": 5, "v6": 1200}}
    np.testing.assert_array_equal(run(document), IMG[0] <= 5)


def test_line_ends_of_foreign_graphs_are_no_difference() -> None:
    scene = el.ImageCollection("a").mosaic()
    graph = scene.execute(bare).graph
    node = graph["runudf1"]["arguments"]
    for text in (node["udf"].replace("\n", "\r\n"), node["udf"].replace("\n", "\r"), node["udf"] + "\n  \n"):
        again = graph | {"runudf1": graph["runudf1"] | {"arguments": node | {"udf": text}}}
        assert el.Chain.from_graph(again).key == scene.execute(bare).key
