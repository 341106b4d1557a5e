"""Arguments of a user's function, declarations, where raw numbers may be asked for, and how the step is shown."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import earthloom as el
from earthloom.base.errors import InvalidArgument
from earthloom.chain import show
from earthloom.chain.declare import Declaration, declaration
from earthloom.chain.logs import Logs
from earthloom.chain.steps import quantity, short_name

scene = el.ImageCollection("sentinel2-coast").mosaic()


def f(img, n, m=2, *, how="a"):  # type: ignore[no-untyped-def]
    return img


def with_context(img, context, n=1):  # type: ignore[no-untyped-def]
    return img


def layers(*layers, n=1):  # type: ignore[no-untyped-def]
    return layers[0]


def more(img, **more):  # type: ignore[no-untyped-def]
    return img


def fills(n=3, context=None):  # type: ignore[no-untyped-def]
    global img
    img = band0 * n  # type: ignore[name-defined]  # noqa: F821


def apply_datacube(cube, context):  # type: ignore[no-untyped-def]
    return cube


def apply_udf_data(data):  # type: ignore[no-untyped-def]
    return data


def context_of(function: Callable[..., Any], *args: Any, **kwargs: Any) -> dict[str, Any]:
    return dict(scene.execute(function, *args, **kwargs).graph["runudf1"]["arguments"]["context"])


def arguments_of(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    return context_of(function, *args, **kwargs).get("arguments")


def test_arguments_are_bound_and_defaults_filled_in() -> None:
    assert arguments_of(f, 1) == {"n": 1, "m": 2, "how": "a"}
    assert arguments_of(f, 1, how="b", m=0) == {"n": 1, "m": 0, "how": "b"}
    assert arguments_of(f, m=3, n=(1, np.int16(2))) == {"n": [1, 2], "m": 3, "how": "a"}
    assert arguments_of(with_context) == arguments_of(with_context, 1) == {"n": 1}
    assert arguments_of(layers) == {"n": 1}
    assert arguments_of(layers, 5, 6) == {"*layers": [5, 6], "n": 1}
    assert arguments_of(more) is None
    assert arguments_of(more, a=1) == {"more": {"a": 1}}
    assert arguments_of(fills, 4) == {"n": 4}


def test_nan_and_arrays_travel_in_their_tagged_form() -> None:
    assert arguments_of(f, math.nan, np.array([[1.5]], np.float32)) == {
        "n": {"$float": "nan"},
        "m": {"$array": [1.5], "dtype": "float32", "shape": [1, 1]},
        "how": "a",
    }


def test_equal_calls_have_one_key_and_others_another() -> None:
    assert scene.execute(f, 1).key == scene.execute(f, n=1.0, m=2).key
    assert scene.execute(f, 1).key != scene.execute(f, 2).key


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda: scene.execute(f), r"f\(img, n, m=2, \*, how='a'\): missing a required argument: 'n'\. Give n, m, how"),
        (lambda: scene.execute(f, 1, 2, 3), "too many positional arguments.*img comes with each tile"),
        (lambda: scene.execute(f, img=1, n=2), "unexpected keyword argument 'img'.*img comes with each tile"),
        (lambda: scene.execute(f, 1, hwo=3), "unexpected keyword argument 'hwo'.*Near names: how"),
        (lambda: scene.execute(with_context, context=3), "img and context come with each tile"),
        (lambda: scene.execute(f, object()), "n is of type object, which cannot travel"),
        (lambda: scene.execute(f, [1, {"x": {2, 3}}]), r"n\[1\]\['x'\] is of type set"),
        (lambda: scene.execute(f, {"from_node": "a"}), "n has the key 'from_node'"),
        (lambda: scene.execute(f, np.zeros(5000)), "n is an array of 5000 values"),
        (lambda: scene.execute(apply_datacube, 3), "one of openEO's own functions: its one argument is context"),
        (lambda: scene.execute(apply_datacube, context={"function": 1}), 'cannot have a member "function"'),
        (lambda: scene.execute(apply_datacube, raw=True), "which know no raw"),
        (lambda: scene.execute(el.tile_function(margin=2)(lambda_copy())), "which know no tile_function"),
        (lambda: (scene["B04"] * 2).execute(f, 1, raw=True), "apply stands before the function"),
        (lambda: scene.median("bands").execute(f, 1, raw=True), "reduce_dimension stands before the function"),
        (lambda: scene.execute(f, 1).execute(f, 1, raw=True), "run_udf stands before the function"),
    ],
)
def test_wrong_arguments_are_named(wrong: Callable[[], Any], words: str) -> None:
    with pytest.raises(InvalidArgument, match=words):
        wrong()


def lambda_copy() -> Callable[..., Any]:
    def apply_timeseries(series, context):  # type: ignore[no-untyped-def]
        return series

    return apply_timeseries


def test_raw_directly_after_load_mosaic_and_bands() -> None:
    cube = el.ImageCollection("sentinel2-coast").cube(["B04", "B08"])
    for chain in (
        scene,
        scene["B04"],
        scene[["B04", "B08"]],
        cube,
        cube["B04"],
        el.Chain.of("digital_numbers", {"data": scene.node}),
    ):
        assert chain.execute(f, 1, raw=True).graph["runudf1"]["arguments"]["context"]["raw"] is True
    assert "raw" not in context_of(f, 1)


def test_openeo_functions_take_their_own_context() -> None:
    assert context_of(apply_datacube, context={"factor": (1, 2)}) == {"factor": [1, 2]}
    assert context_of(apply_udf_data) == {}
    assert scene.execute(apply_datacube).graph["runudf1"]["arguments"]["udf"].startswith("def apply_datacube")


def test_what_is_declared_travels_without_the_defaults() -> None:
    assert declaration(f) == Declaration()
    all_of_it = el.tile_function(margin=128, dtype=np.uint8, bands=2, nodata="nan", mask="own")

    def g(img):  # type: ignore[no-untyped-def]
        return img

    assert all_of_it(g) is g
    assert context_of(g) == {
        "function": "g", "margin": 128, "dtype": "uint8", "bands": 2, "nodata": "nan", "mask": "own"
    }  # fmt: skip
    el.tile_function(margin=0, dtype=None, bands=None, nodata="keep", mask="input")(g)
    assert context_of(g) == {"function": "g"}


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"margin": -1}, "margin of -1"),
        ({"margin": 129}, "margin of 129 is not 0 to 128"),
        ({"margin": 1.5}, "margin of 1.5"),
        ({"margin": True}, "margin of True"),
        ({"bands": 0}, "0 is no number of bands"),
        ({"dtype": "floot32"}, 'the type "floot32". Near names: float32'),
        ({"dtype": "complex64"}, 'the type "complex64"'),
        ({"nodata": "none"}, "nodata is 'none'. Write keep or nan"),
        ({"mask": 3}, "mask is 3. Write input or own"),
    ],
)
def test_what_cannot_be_declared(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidArgument, match=words):
        el.tile_function(**wrong)
    with pytest.raises(InvalidArgument, match="stands over a function"):
        el.tile_function()(3)  # type: ignore[type-var]


def test_the_step_names_the_function_its_arguments_and_what_is_declared() -> None:
    chain = scene["B04"].execute(el.tile_function(margin=3, dtype="uint8")(layers), 1.5, n=np.zeros((2, 3)))
    assert repr(chain).split("\n")[-1] == "  4  execute layers(*layers=[1.5], n=array of 2 x 3), margin 3 px, uint8"
    assert quantity(chain.graph) == ("layers", "")
    assert short_name(chain.graph) == "sentinel2-coast, layers(*layers=[1.5], n=array of 2 x 3), margin 3 px, uint8"
    raw = scene.execute(f, "x", raw=True).where(scene["B04"] > 1)
    assert '  3  execute f(n="x", m=2, how="a"), numbers as stored' in repr(raw)
    assert "  3  execute apply_datacube(factor 2)" in repr(scene.execute(apply_datacube, context={"factor": 2}))
    html = scene.execute(f, "<b>")._repr_html_()
    assert "n=&quot;&lt;b&gt;&quot;" in html
    assert "<details><summary>source</summary><pre>def f(img, n, m=2, *, how=&quot;a&quot;)" in html


def test_a_foreign_context_of_any_kind_is_shown() -> None:
    for context in ({"function": 3, "arguments": [1]}, {"function": "g", "arguments": {"a": {"$array": [1]}}}):
        udf = {"udf": "x", "runtime": "Python", "context": context, "data": {"from_node": "m"}}
        graph = {
            "m": {"process_id": "mosaic", "arguments": {}},
            "u": {"process_id": "run_udf", "arguments": udf, "result": True},
        }
        assert "execute" in show.chain_text(graph, "0" * 32)


def test_logs_read_well() -> None:
    line = {"time": "2026-11-25T14:00:01.250Z", "place": "12/2231/1423", "stream": "stderr", "text": "<b>hi</b>"}
    logs = Logs([line] * 201)
    text = repr(logs).split("\n")
    assert text[0] == "201 lines, the last 200 shown"
    assert text[1] == "  14:00:01  12/2231/1423      stderr: <b>hi</b>"
    assert len(text) == 201
    assert "&lt;b&gt;hi" in logs._repr_html_()
    assert "<b>hi" not in logs._repr_html_()
    assert repr(Logs()) == "Nothing was printed."
