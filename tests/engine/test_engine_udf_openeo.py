"""openEO's own signatures of functions, on cubes of the demo pack."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import earthloom as el
from earthloom.base.grid import Grid, Lattice
from earthloom.chain.build import Chain
from earthloom.engine.engine import Engine, open_engine
from earthloom.engine.evaluate import evaluate
from earthloom.engine.plan import plan_for
from earthloom.engine.selection import selection_for
from earthloom.sandbox.settings import SandboxSettings

SERIES = el.ImageCollection("sentinel2-series").filter_date("2020-05", "2020-09").cube(["B04", "B08"])
EDGE = Grid(Lattice(3035, 10, 10), 527150, -253330, 80, 80)  # with a part where there is nothing


@pytest.fixture(scope="module")
def engine(demo_data: Path, pack: Path) -> Iterator[Engine]:
    """An engine over the demo pack; its first function waits until xarray is loaded."""
    limits = SandboxSettings(require="none", libraries=("numpy", "scipy"))
    opened = open_engine(demo_data, places=pack / "vectors", cache_bytes=256 * 2**20, sandbox=limits)
    yield opened
    opened.close()


def run(engine, chain):
    plan = plan_for(engine, engine.put(chain.graph))
    return evaluate(plan, EDGE, selection_for(engine, plan), engine)


def execute(data, source, **context):
    return Chain.of("run_udf", {"data": data.node, "udf": source, "runtime": "Python", "context": context})


def test_a_data_array_goes_in_and_comes_out_with_its_dates(engine):
    source = """
import xarray

def apply_datacube(cube: xarray.DataArray, context: dict) -> xarray.DataArray:
    ratio = cube.sel(bands="B08") / cube.sel(bands="B04")
    return ratio.fillna(context["fill"])
"""
    cube, made = run(engine, SERIES), run(engine, execute(SERIES, source, fill=-1))
    assert made.dims == ("t", "bands", "y", "x")
    assert made.labels == {"t": cube.labels["t"], "bands": ("0",)}
    with np.errstate(all="ignore"):
        ratio = cube.values[:, 1] / cube.values[:, 0]
    assert 0 < np.isnan(ratio).mean() < 1
    np.testing.assert_allclose(made.values[:, 0], np.where(np.isnan(ratio), -1, ratio), rtol=1e-6)


def test_openeo_s_classes_are_there(engine):
    source = """
from openeo.udf import UdfData, XarrayDataCube, inspect

def apply_udf_data(data: UdfData):
    cube = data.get_datacube_list()[0]
    inspect(message=str(data.user_context["what"]))
    data.set_datacube_list([XarrayDataCube(cube.get_array().max("t"))])
"""
    chain = execute(SERIES, source, what="the maximum")
    cube, made = run(engine, SERIES), run(engine, chain)
    assert made.labels == {"bands": ("0", "1")}
    np.testing.assert_array_equal(made.values, np.fmax.reduce(cube.values))
    [function] = engine.functions(chain.key)
    assert "the maximum" in engine.sandbox.logs("local", function)[-1].text
