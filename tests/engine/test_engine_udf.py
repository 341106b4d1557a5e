"""Users' functions as steps, in the real sandbox: against plain numpy, across tiles, over dates, with no data."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import rasterio

import earthloom as el
from earthloom.base.errors import FunctionFailed, InvalidArgument, InvalidGraph, NotFound, TooLarge
from earthloom.base.grid import Grid, Lattice, transformer
from earthloom.chain.build import Chain
from earthloom.engine.engine import Engine, open_engine
from earthloom.engine.evaluate import evaluate
from earthloom.engine.plan import plan_for
from earthloom.engine.selection import selection_for
from earthloom.engine.stretch import style_for
from earthloom.engine.style import RgbStyle
from earthloom.engine.udf import tile_input
from earthloom.engine.views import compute_grid, etag, preview_grid
from earthloom.sandbox.settings import SandboxSettings

BANDS = ["B04", "B06", "B08", "B11"]
COAST = el.ImageCollection("sentinel2-coast")
SERIES = el.ImageCollection("sentinel2-series")
SCENE = Grid(Lattice(32618, 10, 10), 44340, -417510, 540, 540)  # the very pixels of the 10 m bands
EDGE = Grid(SCENE.lattice, SCENE.col - 40, SCENE.row - 40, 128, 128)  # a corner of the scene, and nothing around it

RETURNING = """
def stubble(img, v4, v6, v8, v11min, v11max):
    b4,b6,b8,b11 = img[0],img[1],img[2],img[3]
    res = numpy.ones_like(b4)
    res[b4>=v4] = 0
    res[b6>=v6] = 0
    res[b8>=v8] = 0
    res[numpy.logical_or(b11<=v11min,
                        b11>=v11max)] = 0
    return res
"""
GLOBALS = """
def stubble(v4=1000, v6=1200, v8=1200, v11_1=500, v11_2=1600):
    global img
    img = numpy.ones_like(band0)
    img[band0>v4] = 0
    img[band1>v6] = 0
    img[band2>v8] = 0
    img[numpy.logical_or(band3<v11_1, band3>v11_2)] = 0
"""
LIMITS = (1000, 1200, 1200, 500, 1600)


@pytest.fixture(scope="module")
def engine(demo_data: Path, pack: Path) -> Iterator[Engine]:
    """An engine over the demo pack whose sandbox starts fast."""
    limits = SandboxSettings(require="none", libraries=("numpy", "scipy"))
    opened = open_engine(demo_data, places=pack / "vectors", cache_bytes=256 * 2**20, sandbox=limits)
    yield opened
    opened.close()


def execute(data, source, name="f", **context):
    context = {"function": name, **context} if name else context
    return Chain.of("run_udf", {"data": data.node, "udf": source, "runtime": "Python", "context": context})


def digital(data):
    return Chain.of("digital_numbers", {"data": data.node})


def run(engine, chain, grid, **options):
    plan = plan_for(engine, engine.put(chain.graph))
    return evaluate(plan, grid, selection_for(engine, plan), engine, **options)


def stored(pack, band):
    """The numbers of a file of the scene, those of 20 m twice in each direction."""
    with rasterio.open(pack / "sentinel2-coast" / f"T18S_coast_{band}.tif") as dataset:
        numbers = dataset.read(1)
    times = 540 // numbers.shape[0]
    return numbers.repeat(times, axis=0).repeat(times, axis=1)


@pytest.fixture(scope="module")
def scene(pack: Path):
    """The four bands of the scene, (4, 540, 540) uint16."""
    return np.stack([stored(pack, band) for band in BANDS])


@pytest.mark.parametrize("numbers", [lambda data: data, digital], ids=["stored", "digital"])
def test_both_stubble_functions_equal_plain_numpy_on_the_scene(engine, scene, numbers):
    names = {"returning": ("v4", "v6", "v8", "v11min", "v11max"), "globals": ("v4", "v6", "v8", "v11_1", "v11_2")}
    b4, b6, b8, b11 = scene
    v4, v6, v8, low, high = LIMITS
    expected = {
        "returning": (b4 < v4) & (b6 < v6) & (b8 < v8) & (b11 > low) & (b11 < high),
        "globals": (b4 <= v4) & (b6 <= v6) & (b8 <= v8) & (b11 >= low) & (b11 <= high),
    }
    assert 1000 < expected["returning"].sum() < expected["globals"].sum() < scene[0].size / 2
    for kind, source in (("returning", RETURNING), ("globals", GLOBALS)):
        arguments = dict(zip(names[kind], LIMITS, strict=True))
        chain = execute(numbers(COAST.mosaic())[BANDS], source, "stubble", arguments=arguments, raw=True)
        cube = run(engine, chain, SCENE)
        assert (cube.dims, cube.values.dtype) == (("y", "x"), np.float32)
        np.testing.assert_array_equal(cube.values, expected[kind])


def test_without_raw_a_function_gets_physical_values(engine, scene):
    cube = run(engine, execute(COAST.mosaic()[BANDS], "def f(img): return img"), SCENE)
    assert cube.dims == ("bands", "y", "x")
    np.testing.assert_array_equal(cube.values, (scene * 0.0001).astype(np.float32))


def test_raw_and_physical_values_of_one_source_stand_in_one_chain(engine, scene):
    data = COAST.mosaic()["B04"]
    raw = execute(data, "def f(img): return img * 1", raw=True)
    assert len(plan_for(engine, engine.put((raw - data).graph)).sources) == 2
    physical = (scene[0] * 0.0001).astype(np.float32)
    np.testing.assert_array_equal(run(engine, raw - data, SCENE).values, scene[0].astype(np.float32) - physical)


def test_digital_numbers_are_whole_and_know_their_type(engine, pack):
    """Landsat 8 is stored with 5000 added: what is left is signed."""
    data = el.ImageCollection("landsat8-itaipu").mosaic()["OLI4"]
    grid = preview_grid(engine, *planned(engine, data), 200)
    raw = run(engine, execute(data, "def f(img): return img", raw=True), grid).values
    whole = run(engine, digital(el.ImageCollection("landsat8-itaipu").mosaic())["OLI4"], grid).values
    assert np.isfinite(raw).mean() > 0.5
    np.testing.assert_array_equal(whole, raw - 5000)
    names = "def f(img): return numpy.full(img.shape, img.dtype.num)"
    types = {"stored": data, "digital": digital(el.ImageCollection("landsat8-itaipu").mosaic())["OLI4"]}
    for kind, dtype in (("stored", np.uint16), ("digital", np.int32)):
        values = run(engine, execute(types[kind], names, raw=True), grid).values
        assert np.nanmax(values) == np.dtype(dtype).num


def planned(engine, chain):
    plan = plan_for(engine, engine.put(chain.graph))
    return plan, selection_for(engine, plan)


def test_the_automatic_range_of_digital_numbers_is_that_of_the_band(engine):
    physical, whole = (
        style_for(engine, *planned(engine, data["B04"].color("viridis")))
        for data in (COAST.mosaic(), digital(COAST.mosaic()))
    )
    assert [whole.vmin, whole.vmax] == pytest.approx([physical.vmin / 0.0001, physical.vmax / 0.0001])
    assert (whole.quantity, whole.unit) == ("B04", "")


def test_the_legend_names_the_function(engine):
    two = execute(COAST.mosaic()[["B04", "B08"]], "def double(img): return img * 2", "double")
    assert style_for(engine, *planned(engine, two["1"].color("viridis"))).quantity == "double 1"
    assert style_for(engine, *planned(engine, two["1"].classes({1: ("one", "red")}))).quantity == "double 1"


def test_no_data_comes_in_its_place_and_hides_the_result(engine):
    data = COAST.mosaic()[["B04", "B08"]]
    for raw, missing in ((True, "img == 0"), (False, "numpy.isnan(img)")):
        where = f"def f(img, context): return ({missing}).sum(axis=0) * 10 + (~context.mask).sum(axis=0)"
        seen = run(engine, execute(data, where, raw=raw, mask="own", dtype="uint8"), EDGE).values
        inside = np.zeros(EDGE.shape, bool)
        inside[40:, 40:] = True
        # With the value 0 for no data, a pixel of a result that is 0 has none.
        np.testing.assert_array_equal(seen, np.where(inside, np.nan if raw else 0, 22))
        hidden = run(engine, execute(data, "def f(img): return numpy.ones(img.shape[1:])", raw=raw), EDGE).values
        np.testing.assert_array_equal(hidden, np.where(inside, 1, np.nan))


def test_stored_numbers_can_come_as_floats(engine):
    source = "def f(img): return numpy.isnan(img) + 10 * (img.dtype == numpy.float32) + 0.0"
    values = run(engine, execute(COAST.mosaic()["B04"], source, raw=True, nodata="nan", mask="own"), EDGE).values
    assert values[0, 0] == 11
    assert values[-1, -1] == 10


def test_where_there_is_no_data_a_function_is_called_only_if_it_decides_itself(engine):
    outside = Grid(SCENE.lattice, SCENE.col - 5000, SCENE.row, 64, 64)
    source = "def f(img): return numpy.full(img.shape, 7)"
    assert np.isnan(run(engine, execute(COAST.mosaic()["B04"], source), outside).values).all()
    assert (run(engine, execute(COAST.mosaic()["B04"], source, mask="own"), outside).values == 7).all()


MEDIAN = "from scipy import ndimage\ndef f(img): return ndimage.median_filter(img, size=7)"
SPREAD = "def g(img, n): return numpy.maximum(numpy.roll(img, n, 0), numpy.roll(img, -n, 1))[n:-n, n:-n]"


def filtered():
    band = COAST.mosaic()["B04"]
    once = execute(band, MEDIAN, raw=True, margin=3)
    return {
        "7 x 7": once,
        "two functions": execute(once, SPREAD, "g", arguments={"n": 2}, margin=2),
        "after a slope": execute(band.slope(), MEDIAN, margin=3).slope(),
    }


@pytest.mark.parametrize("name", filtered())
def test_sixteen_tiles_are_one_image(engine, name):
    chain = filtered()[name]
    lattice = Lattice.web_mercator(14)
    col, row = lattice.pixel(*transformer(4326, 3857).transform(-75.611, 37.697))
    big = Grid(lattice, col - 512, row - 512, 1024, 1024)
    whole = run(engine, chain, big)
    assert np.isfinite(whole.values).mean() > 0.3
    for i, j in itertools.product(range(4), range(4)):
        tile = Grid(lattice, big.col + 256 * i, big.row + 256 * j, 256, 256)
        assert run(engine, chain, tile).values.tobytes() == np.ascontiguousarray(whole.cropped(tile).values).tobytes()


def test_a_declared_margin_reaches_the_neighbours(engine, scene):
    from scipy import ndimage

    inner = Grid(SCENE.lattice, SCENE.col + 100, SCENE.row + 100, 50, 60)
    values = run(engine, execute(COAST.mosaic()["B04"], MEDIAN, raw=True, margin=3), inner).values
    expected = ndimage.median_filter(scene[0], size=7)
    np.testing.assert_array_equal(values, expected[100:160, 100:150])


def test_the_context_tells_where_and_what(engine):
    source = """
def f(img, context):
    assert context.bands == ("B04", "B08") and context.dims == ("bands", "y", "x") and context.margin == 2
    assert context.mask.shape == img.shape and numpy.isnan(context.nodata)
    width, height = context.resolution
    return numpy.stack(numpy.broadcast_arrays(context.x[None, :], context.y[:, None], width, height))
"""
    chain = execute(COAST.mosaic()[["B04", "B08"]], source, margin=2)
    mercator = Grid(Lattice.web_mercator(14), 1216120, 1622233, 200, 200)
    for grid in (SCENE, mercator):
        cube = run(engine, chain, grid)
        assert cube.values.dtype == np.float64
        told = grid.x_centres()[None, :], grid.y_centres()[:, None], *grid.ground_resolution()
        hidden = np.where(np.isnan(cube.values[0]), np.nan, 0)
        assert np.isnan(hidden).mean() < 0.9
        np.testing.assert_array_equal(cube.values, np.stack(np.broadcast_arrays(*told)) + hidden)


FOREST = Grid(Lattice(3035, 10, 10), 527200, -253299, 90, 90)


def test_a_series_goes_in_whole_and_its_dates_can_be_kept(engine):
    cube = SERIES.filter_date("2020-05", "2020-09").filter("eo:cloud_cover", "<=", 20).cube(["B04", "B08"])
    values = run(engine, cube, FOREST).values
    assert values.ndim == 4
    assert np.isfinite(values).mean() > 0.9
    largest = run(engine, execute(cube, "def f(img): return numpy.fmax.reduce(img)"), FOREST)
    assert largest.labels == {"bands": ("0", "1")}
    np.testing.assert_array_equal(largest.values, np.fmax.reduce(values))
    smooth = "def f(img, context): return (img - img[:1]) * (context.dates[:, None, None, None] > context.dates[0])"
    kept = run(engine, execute(cube, smooth), FOREST)
    assert kept.dims == ("t", "bands", "y", "x")
    assert kept.labels["t"] == run(engine, cube, FOREST).labels["t"]
    np.testing.assert_array_equal(kept.values, values - values[:1])
    shown = run(engine, execute(cube["B04"], "def f(img): return img + 1"), FOREST, shown=True)
    np.testing.assert_array_equal(shown.values, values[-1, 0] + 1)


def test_the_number_of_bands_is_learned(engine):
    three = execute(COAST.mosaic()[["B04", "B08"]], "def f(img): return numpy.stack([img[0], img[1], img[0] - img[1]])")
    plan, selection = planned(engine, three)
    assert plan.steps[plan.value].names == ("0", "1", "2")
    style = style_for(engine, plan, selection)
    assert isinstance(style, RgbStyle)
    assert style.bands == ("0", "1", "2")
    assert compute_grid(engine, plan, selection).epsg == 32618
    values = run(engine, three, SCENE).values
    np.testing.assert_array_equal(run(engine, three["1"], SCENE).values, values[1])
    np.testing.assert_array_equal(run(engine, three[["2", "0"]], SCENE).values, values[[2, 0]])
    second = {"process_id": "array_element", "arguments": {"data": {"from_parameter": "data"}, "index": 2}}
    graph = three.graph | {}
    last = next(name for name, node in graph.items() if node.pop("result", False))
    reducer = {"process_graph": {"a": second | {"result": True}}}
    graph["r"] = {
        "process_id": "reduce_dimension",
        "arguments": {"data": {"from_node": last}, "dimension": "bands", "reducer": reducer},
        "result": True,
    }
    plan = plan_for(engine, engine.put(graph))
    picked = evaluate(plan, SCENE, selection_for(engine, plan), engine).values
    np.testing.assert_array_equal(picked, values[2])
    again = execute(three, "def f(img): return img.sum(axis=0)")
    np.testing.assert_allclose(run(engine, again, SCENE).values, 2 * values[0], atol=1e-6)
    with pytest.raises(NotFound, match='No band "B04"'):
        engine.put(three["B04"].graph)


def test_a_result_of_other_bands_than_before_is_refused(engine):
    source = "def f(img): return img if img.shape[-1] <= 32 else numpy.stack([img, img])"
    with pytest.raises(FunctionFailed, match=r"returned \(2, 512, 512\), and \(512, 512\) when it was tried") as caught:
        run(engine, execute(COAST.mosaic()["B04"], source), SCENE)
    assert caught.value.where["reason"] == "result"
    assert caught.value.where["node"] == "runudf1"


def test_a_declared_type_is_a_promise(engine, scene):
    band = COAST.mosaic()["B04"]
    values = run(engine, execute(band, "def f(img): return img / 10", raw=True, dtype="uint16"), SCENE).values
    np.testing.assert_array_equal(values, np.rint(scene[0] / 10))
    with pytest.raises(FunctionFailed, match="which the declared uint8 does not"):
        run(engine, execute(band, "def f(img): return img", raw=True, dtype="uint8"), SCENE)
    with pytest.raises(FunctionFailed, match="declared to give 1 bands and returned"):
        engine.put(execute(band, "def f(img): return numpy.stack([img, img])", bands=1).graph)
    one = run(engine, execute(band, "def f(img): return img[None]", bands=1), SCENE)
    assert one.dims == ("y", "x")


def test_the_type_of_values_is_the_same_for_every_tile(engine):
    """float32 when it was tried: float64 elsewhere would be another image than its tiles."""
    source = "def f(img): return img if img.shape[-1] <= 32 else img.astype(numpy.float64)"
    assert run(engine, execute(COAST.mosaic()["B04"], source), SCENE).values.dtype == np.float32


def test_infinite_values_are_no_data_and_the_log_tells(engine):
    chain = execute(COAST.mosaic()["B04"], "def f(img): return numpy.where(img < 0.05, numpy.inf, img)")
    values = run(engine, chain, SCENE).values
    assert 0 < np.isnan(values).mean() < 1
    [function] = engine.functions(chain.key)
    assert any("nfinite" in line.text for line in engine.sandbox.logs("local", function))


def test_tenants_do_not_share_a_function_s_memory(engine):
    chain = execute(
        COAST.mosaic()["B04"], "calls = []\ndef f(img):\n    calls.append(1)\n    return img * 0 + len(calls)"
    )
    plan, selection = planned(engine, chain)

    def count(tenant):
        return evaluate(plan, EDGE, selection, engine, tenant=tenant).values[-1, -1]

    assert [count("ada"), count("ada"), count("bob"), count("ada")] == [1, 2, 1, 3]


def test_an_empty_selection_is_not_refused(engine):
    nothing = SERIES.filter_date("2021").mosaic()["B04"]
    chain = execute(nothing, "def f(img): return img / numpy.nanmax(img[~numpy.isnan(img)])")
    plan, selection = planned(engine, chain)
    assert "could not be tried" in plan.warnings[0]
    assert np.isnan(evaluate(plan, FOREST, selection, engine).values).all()


def test_the_etag_names_the_libraries(engine):
    plain = planned(engine, COAST.mosaic()["B04"])
    made = planned(engine, execute(COAST.mosaic()["B04"], "def f(img): return img"))
    assert etag(engine, *made, None, EDGE) == etag(engine, *made, None, EDGE)
    assert engine.sandbox.report().libraries["numpy"]
    assert etag(engine, *plain, None, EDGE) != etag(engine, *made, None, EDGE)


def test_what_a_function_would_get_is_what_it_gets(engine):
    data = execute(COAST.mosaic()[["B04", "B08"]], "def f(img): return img * 2")
    broken = execute(data, "def g(img, context): return img / 0 + undefined", "g", margin=4)
    found = tile_input(engine, broken.graph, EDGE)
    assert found.dims == ("bands", "y", "x")
    assert found.labels["bands"] == ("0", "1")
    assert found.values.shape == (2, 136, 136)
    assert found.context["margin"] == 4
    assert found.context["x"][2:] == [EDGE.col - 4, 136]
    whole = run(engine, data, EDGE.grown(4)).values
    np.testing.assert_array_equal(found.values, whole)
    np.testing.assert_array_equal(found.mask, ~np.isnan(whole))
    raw = tile_input(engine, execute(COAST.mosaic()["B04"], MEDIAN, raw=True, margin=3).graph, EDGE)
    assert raw.values.dtype == np.uint16
    with pytest.raises(NotFound, match="runs no function"):
        tile_input(engine, COAST.mosaic().graph, EDGE)


BAND = COAST.mosaic()["B04"]
F = "def f(img): return img"


@pytest.mark.parametrize(
    ("chain", "kind", "words"),
    [
        (
            execute(BAND, F, argument={}),
            NotFound,
            'No setting "argument" in the context of run_udf. Near names: arguments',
        ),
        (execute(BAND, F, margin=129), InvalidArgument, "margin of run_udf is 129, not a whole number of pixels"),
        (execute(BAND, F, margin=True), InvalidArgument, "margin of run_udf is True"),
        (execute(BAND, F, dtype="complex64"), InvalidArgument, "'complex64', not one of bool, int8"),
        (execute(BAND, F, bands=0), InvalidArgument, "bands of run_udf is 0"),
        (execute(BAND, F, nodata="drop"), InvalidArgument, '"keep" or "nan"'),
        (execute(BAND, F, "f()"), InvalidArgument, "not the name of a function"),
        (execute(BAND + 1, F, raw=True), InvalidArgument, "the numbers of the files, and apply makes others"),
        (execute(COAST.mosaic().max("bands"), F, raw=True), InvalidArgument, "reduce_dimension makes others"),
        (execute(execute(BAND, F), F, raw=True), InvalidArgument, "run_udf makes others"),
        (digital(BAND), InvalidGraph, "does not follow load_collection"),
        (execute(BAND, F, "g"), FunctionFailed, 'defines no function "g"'),
        (execute(BAND, "def maskpy(img, n):\n    return img[img<=n] = 0", "maskpy"), FunctionFailed, "syntax"),
        (execute(BAND, "import tensorflow\n" + F), FunctionFailed, "tensorflow"),
        (execute(BAND, "def f(img): return img.sum()"), FunctionFailed, "not a numpy array"),
        (execute(BAND, "def f(img): return img[:5]"), FunctionFailed, "returned the shape"),
        (execute(BAND, "def f(img): return img * 1j"), FunctionFailed, "complex64"),
        (execute(BAND, F + "#" * 70_000), TooLarge, "68 KiB"),
    ],
)
def test_a_mistake_is_told_when_the_chain_is_posted(engine, chain, kind, words):
    with pytest.raises(kind, match=words) as caught:
        engine.put(chain.graph)
    assert caught.value.where["node"]
    assert engine.store.get(chain.key) is None


def test_an_exception_names_the_user_s_line(engine):
    source = "def f(img):\n    print('hello')\n    return img / undefined"
    chain = execute(BAND, source)
    with pytest.raises(FunctionFailed, match="undefined") as caught:
        engine.put(chain.graph)
    where = caught.value.where
    assert (where["node"], where["function"], where["line"]) == ("runudf1", "f", 3)
    assert "return img / undefined" in where["traceback"]
    assert "/" in where["place"]
    [function] = engine.functions(chain.key)
    assert any("hello" in line.text for line in engine.sandbox.logs("local", function))
