"""Users' functions where files are missing, collections change, and arrays are large; the types of stored numbers."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import earthloom as el
from earthloom.base.asset import Asset
from earthloom.base.errors import FunctionFailed, ReadError
from earthloom.base.grid import Grid, Lattice
from earthloom.chain.build import Chain
from earthloom.engine import function
from earthloom.engine.engine import Engine, open_engine
from earthloom.engine.evaluate import evaluate
from earthloom.engine.plan import plan_for
from earthloom.engine.selection import selection_for
from earthloom.engine.stored import Stored, offset_of, stored_of
from earthloom.ingest.stac import ingest_stac
from earthloom.sandbox.settings import SandboxSettings

COAST = el.ImageCollection("sentinel2-coast").mosaic()
SERIES = el.ImageCollection("sentinel2-series")
SCENE = Grid(Lattice(32618, 10, 10), 44340, -417510, 540, 540)


@pytest.fixture
def folder(pack: Path, tmp_path: Path) -> Path:
    """A copy of two collections of the pack that a test may change."""
    for name in ("sentinel2-coast", "sentinel2-series"):
        shutil.copytree(pack / name, tmp_path / "pack" / name)
    return tmp_path / "pack"


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """An engine without collections, whose functions get arrays of at most 1 MiB."""
    limits = SandboxSettings(require="none", libraries=("numpy",), arena_bytes=1 << 20)
    opened = open_engine(tmp_path / "data", cache_bytes=64 * 2**20, sandbox=limits)
    yield opened
    opened.close()


def execute(data, source, **context):
    context = {"function": "f", **context}
    return Chain.of("run_udf", {"data": data.node, "udf": source, "runtime": "Python", "context": context})


def run(engine, chain, grid=SCENE):
    plan = plan_for(engine, engine.put(chain.graph))
    return evaluate(plan, grid, selection_for(engine, plan), engine)


def test_a_missing_file_does_not_refuse_a_chain(engine, folder):
    ingest_stac(engine.catalogue, folder / "sentinel2-coast" / "collection.json")
    file = folder / "sentinel2-coast" / "T18S_coast_B04.tif"
    away = file.rename(file.with_suffix(".away"))
    doubled = execute(COAST["B04"], "def f(img): return numpy.stack([img, img])")
    assert plan_for(engine, engine.put(doubled.graph)).steps[-2].names == ("0", "1")
    with pytest.raises(ReadError, match="missing"):
        run(engine, doubled)
    source = "def f(img):\n    assert not numpy.isnan(img).all()\n    return numpy.stack([img, img])"
    key = engine.put(execute(COAST["B04"], source).graph)
    plan = plan_for(engine, key)
    assert "could not be tried; it is taken to give one band" in plan.warnings[0]
    assert plan.steps[plan.value].dims == ("y", "x")
    away.rename(file)
    plan = plan_for(engine, key)
    assert plan.warnings == ()
    assert plan.steps[plan.value].names == ("0", "1")
    assert plan_for(engine, key) is plan


def test_a_function_that_fails_on_data_is_refused_and_runs_again_when_mended(engine, folder):
    ingest_stac(engine.catalogue, folder / "sentinel2-coast" / "collection.json")
    with pytest.raises(FunctionFailed, match="ZeroDivisionError"):
        engine.put(execute(COAST["B04"], "def f(img, n): return img * (1 // n)", arguments={"n": 0}).graph)
    engine.put(execute(COAST["B04"], "def f(img, n): return img * (1 // n)", arguments={"n": 1}).graph)


def test_a_new_date_changes_what_a_function_of_dates_gives(engine, folder):
    items = sorted((folder / "sentinel2-series").glob("S2*.json"))
    for item in items[:3]:
        ingest_stac(engine.catalogue, item)
    key = engine.put(execute(SERIES.cube(["B04"]), "def f(img): return img[:, 0]").graph)
    plan = plan_for(engine, key)
    assert plan.steps[plan.value].names == ("0", "1", "2")
    assert plan_for(engine, key) is plan
    ingest_stac(engine.catalogue, items[3])
    plan = plan_for(engine, key)
    assert plan.steps[plan.value].names == ("0", "1", "2", "3")


def test_another_process_tries_the_function_again(engine, folder, tmp_path):
    ingest_stac(engine.catalogue, folder / "sentinel2-coast" / "collection.json")
    key = engine.put(execute(COAST["B04"], "def f(img): return numpy.stack([img, img])").graph)
    other = open_engine(tmp_path / "data", sandbox=engine.sandbox.settings)
    try:
        plan = plan_for(other, key, "ada")
        assert plan.steps[plan.value].names == ("0", "1")
        assert other.sandbox.counters()["calls"] == 1
        assert plan_for(other, key, "ada") is plan
        assert [f.name for f in other.functions(key)] == ["f"]
    finally:
        other.close()


def test_large_arrays_are_handed_over_in_blocks(engine, folder):
    ingest_stac(engine.catalogue, folder / "sentinel2-coast" / "collection.json")
    data = COAST[["B02", "B03", "B04", "B08"]]
    chain = execute(data, "def f(img):\n    print(img.shape)\n    return img[::-1]")
    np.testing.assert_array_equal(run(engine, chain).values, run(engine, data).values[::-1])
    [made] = engine.functions(chain.key)
    lines = [line.text for line in engine.sandbox.logs("local", made)]
    assert lines[0] == "(4, 32, 32)"
    assert lines.count("(4, 128, 128)") == 16
    assert len(lines) == 26


def test_items_that_are_stored_otherwise_are_named(engine, folder):
    item = folder / "sentinel2-series" / "S2_L2A_retezat_20200206.json"
    item.write_text(item.read_text().replace('"uint16"', '"int16"'))
    ingest_stac(engine.catalogue, folder / "sentinel2-series" / "collection.json")
    raw = execute(SERIES.filter_date("2020-02-06").cube(["B04"]), "def f(img): return img", raw=True)
    with pytest.raises(ReadError, match="B04 of S2_L2A_retezat_20200206 is stored as int16, in other items as uint16"):
        run(engine, raw, Grid(Lattice(3035, 10, 10), 527200, -253299, 9, 9))


@pytest.mark.parametrize(
    ("dtype", "offsets", "nodata", "expected"),
    [
        ("uint16", (), 0, ("uint16", 0)),
        ("uint16", [0, 0], 65535, ("uint16", 65535)),
        ("uint16", [0, -1000], 0, ("int32", 0)),
        ("uint8", [-10], 255, ("int16", 255)),
        ("uint8", [300], None, ("int16", 0)),
        ("int16", [-1000], -32768, ("int32", -32768)),
        ("uint16", None, 0, ("int32", 0)),
        ("int16", None, 0, ("int32", 0)),
        ("uint64", [-1], 0, ("float64", 0)),
        ("uint16", (), -9999, ("uint16", 0)),
        ("uint16", (), "nan", ("uint16", 0)),
        ("float32", (), -9999, ("float32", -9999)),
    ],
)
def test_the_type_of_digital_numbers_holds_them_all(dtype, offsets, nodata, expected):
    doc = {"data_type": dtype} | ({} if nodata is None else {"nodata": nodata})
    assert stored_of(doc, offsets) == Stored(*expected)


def test_floats_without_a_declared_value_keep_nan():
    assert np.isnan(stored_of({"data_type": "float32"}, ()).nodata)


def test_an_offset_is_taken_in_units_of_the_scale():
    assert offset_of(Asset("i", "b", "f", scale=2e-05, offset=-0.1)) == -5000
    assert offset_of(Asset("i", "b", "f", scale=0.0001, offset=-0.1)) == -1000
    assert offset_of(Asset("i", "b", "f", scale=1.0, offset=-1000.0)) == -1000
    assert offset_of(Asset("i", "b", "f", scale=0.0)) == 0


def test_a_place_is_a_tile_or_a_point():
    assert function.place_of(Grid.tile(14, 4752, 6337)) == "14/4752/6337"
    assert function.place_of(SCENE) == "-75.61135, 37.69720"
