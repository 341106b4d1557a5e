"""Users' functions over HTTP: values, mistakes, logs, tenants, and what is counted."""

from __future__ import annotations

import io
import json
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from earthloom.server.tokens import Tokens

Graph = dict[str, Any]
Start = Callable[..., AbstractContextManager[str]]
Z, X, Y = 17, 73599, 47044  # over the series, and three more to the east


@pytest.fixture(scope="module")
def http(server: str, asker: Any) -> Iterator[Any]:
    with asker(server) as client:
        yield client


def test_a_function_gives_what_numpy_gives(
    http: Any, function: Callable[..., Graph], without: Callable[[Graph], Graph]
) -> None:
    graph = function(
        """
        def f(img, gain):
            return (img[1] - img[0]) / (img[1] + img[0]) * gain
        """,
        arguments={"gain": 2},
    )
    answer = http.post("/chains", json=graph).json()
    assert (answer["dims"], answer["bands"], answer["warnings"]) == (["y", "x"], None, [])
    red, near = http.tile(http.keep(without(graph)), Z, X, Y)
    assert np.isfinite(red).any()
    np.testing.assert_array_equal(http.tile(answer["key"], Z, X, Y), (near - red) / (near + red) * 2)


def test_a_mistake_is_told_where_the_chain_is_posted(http: Any, function: Callable[..., Graph]) -> None:
    answer = http.post("/chains", json=function("def f(img):\n    limit = 0\n    return img / [][limit]\n"))
    assert (answer.status_code, answer.json()["code"]) == (422, "function-failed")
    where = answer.json()["where"]
    assert (where["node"], where["function"], where["line"]) == ("run", "f", 3)
    assert "IndexError" in answer.json()["message"]
    assert "return img / [][limit]" in where["traceback"]
    for ours in ("earthloom", "site-packages", str(Path(__file__).parents[2]), "sandbox"):
        assert ours not in answer.text


@pytest.mark.parametrize(
    ("source", "status", "code", "word"),
    [
        ("def f(img) return img", 422, "function-failed", "not Python"),
        ("f = 3", 422, "function-failed", '"f"'),
        ("def f(img):\n    return img[0, :5]", 422, "function-failed", "shape"),
        ("import requests\ndef f(img):\n    return img", 422, "function-failed", "requests"),
        ("#" * (65 << 10) + "\ndef f(img):\n    return img", 413, "too-large", "source"),
    ],
)
def test_what_is_no_function(
    http: Any, function: Callable[..., Graph], source: str, status: int, code: str, word: str
) -> None:
    answer = http.post("/chains", json=function(source))
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert word in answer.json()["message"]


def test_what_a_function_is_given(http: Any, function: Callable[..., Graph], without: Callable[[Graph], Graph]) -> None:
    graph = function("def f(img):\n    raise ValueError", margin=2)  # it fails, and does not run
    asked = {"process_graph": graph, "lon": 22.152, "lat": 45.205, "zoom": Z}
    answer = http.post("/udf/input", json=asked)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/x-npz")
    with np.load(io.BytesIO(answer.content), allow_pickle=False) as archive:
        values, mask, header = archive["values"], archive["mask"], json.loads(str(archive["header"]))
    assert (values.shape, mask.shape, header["dims"]) == ((2, 516, 516), (2, 516, 516), ["bands", "y", "x"])
    grid = header["grid"]
    assert (grid["width"], grid["height"], header["zoom"]) == (512, 512, Z)
    x, y = grid["col"] // 256, grid["row"] // 256
    key = http.keep(without(graph))
    whole = np.block([[http.tile(key, Z, x + i, y + j) for i in (0, 1)] for j in (0, 1)])
    np.testing.assert_array_equal(values[:, 2:-2, 2:-2], whole)
    np.testing.assert_array_equal(mask, np.isfinite(values))
    # The place is in the middle half of the window, so that there are neighbours on each side of it.
    pixel = (22.152 + 180) / 360 * 256 * 2**Z
    assert 128 <= pixel - grid["col"] < 384


@pytest.mark.parametrize(
    ("changed", "argument"),
    [
        ({"lon": None}, "lon"),
        ({"lat": 91}, "lat"),
        ({"zoom": 1.5}, "zoom"),
        ({"zoom": True}, "zoom"),
        ({"tiles": 3}, "tiles"),
    ],
)
def test_places_that_are_none(http: Any, function: Callable[..., Graph], changed: Graph, argument: str) -> None:
    asked = {"process_graph": function("def f(img):\n    return img"), "lon": 22, "lat": 45, "zoom": Z} | changed
    answer = http.post("/udf/input", json=asked)
    assert (answer.status_code, answer.json()["where"]) == (400, {"argument": argument})


def test_tenants_share_neither_state_nor_logs(
    own_data: Path, start_server: Start, function: Callable[..., Graph], asker: Any
) -> None:
    graph = function(
        """
        count = 0
        def f(img):
            global count
            count += 1
            print("call", count)
            return img[0] * 0 + count
        """,
        mask="own",
    )
    anna, ben = (Tokens(own_data).add(name) for name in ("anna", "ben"))
    with start_server(own_data) as url, asker(url, anna) as one, asker(url, ben) as two, asker(url) as local:
        key = one.keep(graph)
        counts = [np.nanmax(one.tile(key, Z, X, Y)) for _ in range(4)]
        assert counts == sorted(set(counts))  # her worker remembers
        assert np.nanmax(two.tile(key, Z, X, Y)) == 1
        assert np.nanmax(local.tile(key, Z, X, Y)) == 1
        lines = one.get(f"/logs/{key}").json()["lines"]
        assert [line["text"] for line in lines] == [f"call {i}" for i in range(1, int(counts[-1]) + 1)]
        assert {line["stream"] for line in lines} == {"stdout"}
        assert lines[-1]["place"] == f"{Z}/{X}/{Y}"
        assert [line["time"] for line in lines] == sorted(line["time"] for line in lines)
        assert [line["text"] for line in two.get(f"/logs/{key}").json()["lines"]] == ["call 1"]
        assert two.get(f"/logs/{'0' * 32}").status_code == 404


@pytest.mark.slow
def test_who_waits_too_long_is_told_when_to_come_back(
    own_data: Path, start_server: Start, function: Callable[..., Graph], monkeypatch: pytest.MonkeyPatch, asker: Any
) -> None:
    monkeypatch.setenv("EARTHLOOM_SANDBOX_WAIT_S", "0.1")
    monkeypatch.setenv("EARTHLOOM_SANDBOX_RUNNING", "1")
    graph = function("import time\ndef f(img):\n    time.sleep(0.8)\n    return img[0]\n")
    with start_server(own_data) as url, asker(url) as http:
        key = http.keep(graph)
        paths = [f"/tiles/{key}/{Z}/{X + i}/{Y}.npy" for i in range(3)]
        with ThreadPoolExecutor(3) as threads:
            answers = list(threads.map(http.get, paths))
        assert sorted({answer.status_code for answer in answers}) == [200, 503]
        late = next(answer for answer in answers if answer.status_code == 503)
        assert late.json()["code"] == "busy"
        assert late.headers["retry-after"] == str(late.json()["where"]["retry_after"])


def test_what_is_counted(http: Any, function: Callable[..., Graph]) -> None:
    def read() -> dict[tuple[str, ...], float]:
        answer = http.get("/metrics")
        assert answer.headers["content-type"].startswith("text/plain")
        families = text_string_to_metric_families(answer.text)
        return {(s.name, *s.labels.values()): s.value for family in families for s in family.samples}

    key = http.keep(function("def f(img):\n    return img[0] + 1\n"))
    before = read()
    http.tile(key, Z, X, Y)
    http.tile(key, Z, X, Y)
    http.get(f"/tiles/{key}/{Z}/{X}/{Y}.npy", headers={"If-None-Match": "*"})
    http.get(f"/tiles/{'0' * 32}/{Z}/{X}/{Y}.png")
    after = read()

    def more(*name: str) -> float:
        return after[name] - before.get(name, 0)

    assert more("earthloom_tiles_total", "drawn") == 2
    assert more("earthloom_tiles_total", "known") == 1
    assert more("earthloom_tiles_total", "not-found") == 1
    assert more("earthloom_tile_seconds_count", "yes") == 3
    assert more("earthloom_sandbox_calls_total") == 2
    assert after["earthloom_sandbox_workers",] >= 1
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "user-code.md").read_text()
    shown = {re.sub("_(count|sum|bucket|created)$", "", name) for name, *_ in after} - {"earthloom_tiles"}
    assert shown == set(re.findall(r"`(earthloom_\w+)`", page))


def test_a_tile_that_failed_just_now_is_not_tried_again(
    http: Any, function: Callable[..., Graph], tried_once: Callable[[Graph], Graph]
) -> None:
    graph = tried_once(function("def f(img):\n    print('ran')\n    raise ValueError('no')\n"))
    key = http.keep(graph)
    first, second, other = (http.get(f"/tiles/{key}/{Z}/{x}/{Y}.npy") for x in (X, X, X + 1))
    assert first.json() == second.json()
    assert (first.status_code, second.status_code, other.status_code) == (422, 422, 422)
    assert [line["text"] for line in http.get(f"/logs/{key}").json()["lines"]].count("ran") == 2
    time.sleep(2.1)
    assert http.get(f"/tiles/{key}/{Z}/{X}/{Y}.npy").status_code == 422
    assert [line["text"] for line in http.get(f"/logs/{key}").json()["lines"]].count("ran") == 3
