"""The registry: every process is documented, its examples run, and standard ones have the official signature."""

import inspect
import json
from pathlib import Path

import numpy as np
import pytest

from earthloom.base.grid import Grid
from earthloom.processes.check import mismatch
from earthloom.processes.context import Context
from earthloom.processes.define import get_process, registry

OFFICIAL = Path(__file__).parents[2].parent / "shared" / "openeo" / "processes"
CTX = Context(Grid.tile(0, 0, 0))


@pytest.mark.parametrize("process", registry().values(), ids=lambda p: p.id)
def test_a_process_tells_what_it_is(process):
    spec = process.spec()
    assert spec["summary"].endswith(".")
    assert all(p["description"] for p in spec["parameters"])
    json.dumps(spec, allow_nan=False)
    assert inspect.getdoc(process.function)


EXAMPLES = [(p, a, r) for p in registry().values() for a, r in p.examples]


@pytest.mark.parametrize(("process", "arguments", "result"), EXAMPLES, ids=lambda v: getattr(v, "id", ""))
def test_examples(process, arguments, result):
    context = {"ctx": CTX} if process.wants_context else {}
    got = process.function(**arguments, **context)
    assert np.asarray(got, np.float64) == pytest.approx(np.asarray(result, np.float64), nan_ok=True)


@pytest.mark.shared
@pytest.mark.parametrize("process", [p for p in registry().values() if p.standard], ids=lambda p: p.id)
def test_a_standard_process_has_the_official_signature(process):
    if not OFFICIAL.is_dir():
        pytest.skip("the official specifications are not beside the checkout")
    official = json.loads((OFFICIAL / f"{process.id}.json").read_text(encoding="utf-8"))["parameters"]
    mine = [(p.name, p.optional, p.default if p.optional else None) for p in process.parameters]
    assert mine == [(p["name"], bool(p.get("optional")), p.get("default")) for p in official]


@pytest.mark.shared
def test_our_own_ids_clash_with_no_official_one():
    if not OFFICIAL.is_dir():
        pytest.skip("the official specifications are not beside the checkout")
    official = {f.stem for f in OFFICIAL.rglob("*.json")}
    assert not official & {p.id for p in registry().values() if not p.standard}


def test_an_unknown_process_has_near_names():
    with pytest.raises(Exception, match="Near names: median"):
        get_process("medain")


@pytest.mark.parametrize(
    ("value", "schema", "why"),
    [
        (1, {"type": "number"}, None),
        (True, {"type": "number"}, "is not a number"),
        (1.0, {"type": "integer"}, None),
        (1.5, {"type": "integer"}, "is not a whole number"),
        (None, {"type": ["number", "null"]}, None),
        ("x", {"type": "string", "enum": ["a", "b"]}, "is none of a, b"),
        ({"west": 1}, {"type": "object", "required": ["west", "east"]}, "lacks east"),
        ([1, "x"], {"type": "array", "items": {"type": "number"}}, "holds 'x', which is not a number"),
        ([], {"type": "array", "minItems": 1}, "has too few entries"),
        (5, {"anyOf": [{"type": "string"}, {"type": "array"}]}, "is neither a string nor a list"),
    ],
)
def test_schema_check(value, schema, why):
    assert mismatch(value, schema) == why
