"""The evaluator on real data: snippets against plain numpy, tiles against one big computation, points against tiles."""

import itertools

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import earthloom as el
from earthloom.base.errors import EmptySelection, InvalidGraph, TooLarge
from earthloom.base.grid import Grid, Lattice, transformer
from earthloom.engine.evaluate import evaluate
from earthloom.engine.plan import plan_for
from earthloom.engine.selection import selection_for
from earthloom.engine.stretch import style_for
from earthloom.engine.style import RgbStyle
from earthloom.engine.views import compute_grid, point_grid, preview_grid

SERIES = el.ImageCollection("sentinel2-series").filter_date("2020-05", "2020-09").filter("eo:cloud_cover", "<=", 20)
CLOUDS = [3, 8, 9, 10]


def run(engine, chain, grid=None, **options):
    key = engine.put(chain.graph)
    plan = plan_for(engine, key)
    selection = selection_for(engine, plan)
    grid = grid or preview_grid(engine, plan, selection, 128)
    return evaluate(plan, grid, selection, engine, **options)


def place(lon, lat, zoom, size=256):
    """A grid of `size` pixels whose centre is a place."""
    lattice = Lattice.web_mercator(zoom)
    col, row = lattice.pixel(*transformer(4326, 3857).transform(lon, lat))
    return Grid(lattice, col - size // 2, row - size // 2, size, size)


FOREST = place(22.152, 45.205, 15)
ALPS = place(5.5, 45.5, 11)


def test_the_first_snippet_equals_numpy(engine):
    red = SERIES.mosaic()["B04"]
    values = run(engine, red, FOREST).values
    kept = run(engine, red.where(red >= 0.03), FOREST).values
    assert values.dtype == np.float32
    assert np.isfinite(values).mean() > 0.2
    np.testing.assert_array_equal(kept, np.where(values >= np.float32(0.03), values, np.nan))


def test_the_second_snippet_equals_numpy(engine):
    s2 = SERIES.cube(["B04", "B08", "SCL"])
    ndvi = (s2["B08"] - s2["B04"]) / (s2["B08"] + s2["B04"])
    chain = ndvi.mask(s2["SCL"].isin(CLOUDS)).median("t")
    cube = run(engine, s2, FOREST)
    assert cube.dims == ("t", "bands", "y", "x")
    assert list(cube.labels["t"]) == sorted(cube.labels["t"])
    red, nir, scl = (cube.values[:, i] for i in range(3))
    with np.errstate(all="ignore"):
        index = (nir - red) / (nir + red)
        index[np.isin(scl, CLOUDS)] = np.nan
        expected = np.full(index.shape[1:], np.nan)
        some = np.isfinite(index).any(axis=0)
        expected[some] = np.nanmedian(index[:, some], axis=0)
    got = run(engine, chain.color("RdYlGn", vmin=0, vmax=0.9), FOREST).values
    np.testing.assert_allclose(got, expected, rtol=1e-6)
    assert 0.6 < np.nanmedian(got) < 0.95


def test_items_without_the_bands_make_no_date(engine):
    everything = el.ImageCollection("sentinel2-series")
    with_b04 = run(engine, everything.cube(["B04"]), point_grid(22.152, 45.205, 14))
    assert len(with_b04.labels["t"]) == 33
    assert with_b04.labels["t"][0] == "2020-02-01T00:00:00Z"


def chains():
    dem = el.ImageCollection("elevation").mosaic()["elevation"]
    smooth = (
        el.Chain.of("resample_spatial", {"data": el.ImageCollection("elevation").mosaic().node, "method": "bilinear"})
    )["elevation"]
    s2 = SERIES.cube(["B04", "B08"])
    return {
        "hillshade": (dem.hillshade(), ALPS),
        "slope of bilinear": (smooth.slope(), ALPS),
        "aspect where steep": (smooth.aspect().where(smooth.slope() > 20), ALPS),
        "two margins": (smooth.slope().hillshade(), ALPS),
        "mean of ndvi": ((s2["B08"].normalized_difference(s2["B04"])).mean("t"), FOREST),
        "sd": (s2["B08"].sd("t") / s2["B04"].mean("t"), FOREST),
    }


@pytest.mark.parametrize("name", chains())
@settings(deadline=None, max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_window_has_the_bits_of_the_whole(engine, name, data):
    chain, big = chains()[name]
    whole = run(engine, chain, big)
    width, height = data.draw(st.integers(1, 120)), data.draw(st.integers(1, 120))
    col, row = data.draw(st.integers(0, big.width - width)), data.draw(st.integers(0, big.height - height))
    part = Grid(big.lattice, big.col + col, big.row + row, width, height)
    assert run(engine, chain, part).values.tobytes() == np.ascontiguousarray(whole.cropped(part).values).tobytes()


def test_sixteen_tiles_are_one_image(engine):
    chain = el.ImageCollection("elevation").mosaic()["elevation"].hillshade()
    z, x, y = 11, 1053, 731
    whole = run(engine, chain, Grid(Lattice.web_mercator(z), x * 256, y * 256, 1024, 1024))
    assert np.isfinite(whole.values).mean() > 0.3
    for i, j in itertools.product(range(4), range(4)):
        tile = Grid.tile(z, x + i, y + j)
        assert run(engine, chain, tile).values.tobytes() == np.ascontiguousarray(whole.cropped(tile).values).tobytes()


def test_a_point_is_the_very_pixel_of_the_tile(engine):
    chain = el.ImageCollection("elevation").mosaic()["elevation"].slope()
    z = 11
    grid = point_grid(5.71, 45.31, z)
    tile = Grid.tile(z, grid.col // 256, grid.row // 256)
    rows, cols = tile.window(grid)
    assert run(engine, chain, grid).values.tobytes() == run(engine, chain, tile).values[rows, cols].tobytes()


def test_itaipu_has_no_seam(engine):
    """Two scenes of one date-time: where they overlap no pixel is missing, in the mosaic and in the cube."""
    coll = el.ImageCollection("landsat8-itaipu")
    grid = place(-54.54, -25.37, 12, 512)
    mosaic = run(engine, coll.mosaic()["OLI4"], grid).values
    cube = run(engine, coll.cube(["OLI4"]), grid)
    assert len(cube.labels["t"]) == 1
    np.testing.assert_array_equal(cube.values[0, 0], mosaic)
    rows = np.flatnonzero(np.isfinite(mosaic).sum(axis=1) > 100)
    inner = np.isfinite(mosaic[rows[0] : rows[-1] + 1])
    for line in inner:
        valid = np.flatnonzero(line)
        assert line[valid[0] : valid[-1] + 1].all()
    reflectance = mosaic[np.isfinite(mosaic)]
    assert 0 < np.median(reflectance) < 0.3


def test_a_cube_shows_its_newest_valid_value(engine):
    cube = run(engine, SERIES.cube(["B04"]), FOREST)
    shown = run(engine, SERIES.cube(["B04"])["B04"], FOREST, shown=True).values
    expected = cube.values[-1, 0].copy()
    for k in range(len(cube.labels["t"]) - 2, -1, -1):
        expected = np.where(np.isnan(expected), cube.values[k, 0], expected)
    np.testing.assert_array_equal(shown, expected)


def test_spatial_extent_crops_and_bounds_do_not(engine):
    box = (22.150, 45.203, 22.154, 45.206)
    whole = run(engine, SERIES.filter_bounds(box).mosaic()["B04"], FOREST).values
    cut = run(engine, SERIES.mosaic()["B04"].within(box), FOREST).values
    assert np.isfinite(whole).sum() > 2 * np.isfinite(cut).sum() > 0
    lon, lat = FOREST.lonlat_centres()
    inside = (lon >= box[0]) & (lon <= box[2]) & (lat >= box[1]) & (lat <= box[3])
    np.testing.assert_array_equal(cut, np.where(inside, whole, np.nan))


def test_an_automatic_range_comes_from_the_bands_statistics(engine):
    key = engine.put(SERIES.mosaic()["B04"].color("viridis").graph)
    plan = plan_for(engine, key)
    style = style_for(engine, plan, selection_for(engine, plan))
    doc = next(b for b in engine.band_docs("sentinel2-series") if b["name"] == "B04")["statistics"]
    assert style.vmax == pytest.approx(min(doc["mean"] + 2 * doc["stddev"], doc["maximum"]))


def test_an_automatic_range_of_computed_values_comes_from_the_values(engine):
    s2 = SERIES.mosaic()
    chain = (s2["B08"] / s2["B04"]).color("viridis")
    plan = plan_for(engine, engine.put(chain.graph))
    selection = selection_for(engine, plan)
    style = style_for(engine, plan, selection)
    values = evaluate(plan, preview_grid(engine, plan, selection, 256), selection, engine).values
    assert [style.vmin, style.vmax] == pytest.approx(np.nanpercentile(values.astype(float), [2, 98]))


def test_without_colours_one_band_is_grey_and_three_are_rgb(engine):
    plan = plan_for(engine, engine.put(SERIES.mosaic()[["B04", "B03", "B02"]].graph))
    style = style_for(engine, plan, selection_for(engine, plan))
    assert isinstance(style, RgbStyle)
    assert style.bands == ("B04", "B03", "B02")
    plan = plan_for(engine, engine.put(SERIES.mosaic()[["B04", "B03"]].graph))
    with pytest.raises(InvalidGraph, match="rgb"):
        style_for(engine, plan, selection_for(engine, plan))


def test_compute_is_anchored_and_native(engine):
    plan = plan_for(engine, engine.put(SERIES.mosaic()["B04"].graph))
    selection = selection_for(engine, plan)
    grid = compute_grid(engine, plan, selection)
    assert grid.epsg == 3035
    assert grid.lattice == Lattice(3035, 10.0, 10.0)
    coarse = compute_grid(engine, plan, selection, (22.15, 45.2, 22.16, 45.21), resolution=20, crs="EPSG:32634")
    assert (coarse.epsg, coarse.lattice.res_x) == (32634, 20.0)
    with pytest.raises(TooLarge, match="coarser"):
        compute_grid(engine, plan, selection, (10, 40, 20, 50), resolution=10)


def test_an_empty_selection_is_said(engine):
    empty = el.ImageCollection("sentinel2-series").filter_date("2021")
    found = engine.search(empty.graph)
    assert found["matched"] == 0
    assert found["nearest"] == "2020-12-22T00:00:00Z"
    plan = plan_for(engine, engine.put(empty.mosaic()["B04"].graph))
    with pytest.raises(EmptySelection, match="no item"):
        preview_grid(engine, plan, selection_for(engine, plan), 64)
    assert np.isnan(run(engine, empty.mosaic()["B04"], FOREST).values).all()


def test_the_store_keeps_the_graph_as_it_was_posted(engine):
    load = {"id": "basemap", "spatial_extent": None, "temporal_extent": None}
    graph = {
        "my load": {"process_id": "load_collection", "arguments": load, "title": "mine"},
        "my mosaic": {"process_id": "mosaic", "arguments": {"data": {"from_node": "my load"}}, "result": True},
    }
    assert engine.graph(engine.put({"process": {"process_graph": graph}})) == graph
