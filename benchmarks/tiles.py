"""Tile times beside rio-tiler and a hand-written WarpedVRT: one process, all contenders in turn for each tile.

Pictures are compared before anything is timed. Prints Markdown; `docs/reference/benchmarks.md` explains the columns.
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

# For all contenders; and no threads inside rio-tiler, whose new ones for each tile make it slower on local files.
os.environ |= {"GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR", "VSI_CACHE": "TRUE", "RIO_TILER_MAX_THREADS": "1"}

import numpy as np
import pystac
import rasterio
import rio_tiler
from affine import Affine
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.io import MemoryFile
from rasterio.vrt import WarpedVRT
from rio_tiler.constants import WEB_MERCATOR_TMS
from rio_tiler.io import Reader, STACReader
from rio_tiler.models import ImageData
from rio_tiler.mosaic import mosaic_reader
from rio_tiler.mosaic.methods.defaults import MedianMethod

from earthloom.base.cube import Cube
from earthloom.base.grid import Grid, Lattice
from earthloom.chain.build import Chain
from earthloom.chain.collection import ImageCollection
from earthloom.engine.encode import encode
from earthloom.engine.engine import Engine, open_engine
from earthloom.engine.evaluate import evaluate
from earthloom.engine.paint import paint
from earthloom.engine.plan import plan_for
from earthloom.engine.selection import selection_for
from earthloom.engine.stretch import style_for
from earthloom.engine.style import RampStyle, RgbStyle, Style
from earthloom.engine.views import tile_grid
from earthloom.ingest.stac import ingest_stac
from earthloom.raster import coords
from earthloom.raster.blocks import BlockCache
from earthloom.raster.files import Files
from earthloom.raster.header import Band, header
from earthloom.raster.mosaic import MosaicReader

PACK = Path(__file__).parents[1] / "examples" / "demo_pack"
ZOOMS = (14, 12, 9)
LEVELS_APART = 2  # of 255; a pixel with a larger difference in any channel counts as different

Tile = tuple[int, int, int]
Values = NDArray[Any]
Draw = Callable[[Tile], bytes]


@dataclass(frozen=True, slots=True)
class Workload:
    """One chain and what the peers need to draw the same.

    Parameters
    ----------
    name
        What the table calls it.
    chain
        Ours.
    items
        STAC items of the pack that it reads.
    bands
        Names of the assets, in the order that `formula` takes them.
    formula
        Bands (bands, y, x) with the window's grid to values, in numpy; used by the hand-written path.
    expression
        The same for rio-tiler; None shows the bands themselves.
    margin
        Pixels around the tile that `formula` needs.
    resampling
        Of the hand-written path.
    rio_tiler
        Whether rio-tiler has it.
    most
        Tiles at a zoom, at most.
    """

    name: str
    chain: Chain
    items: Sequence[Path]
    bands: tuple[str, ...]
    formula: Callable[[Values, Grid], Values]
    expression: str | None = None
    margin: int = 0
    resampling: Resampling = Resampling.nearest
    rio_tiler: bool = True
    most: int = 4


def workloads() -> list[Workload]:
    """The five rows of the table."""
    coast = ImageCollection("sentinel2-coast")
    scene = [PACK / "sentinel2-coast" / "S2A_T18S_coast_L1C.json"]
    series = sorted((PACK / "sentinel2-series").glob("S2_L2A_*.json"))
    dates = ImageCollection("sentinel2-series").cube(["B08", "B04"])
    terrain = ImageCollection("elevation").filter_bounds([5.4, 45.4, 5.6, 45.6]).mosaic()
    nir_red = coast.mosaic()
    return [
        Workload("red, ramp", coast.mosaic()["B04"].color("viridis", 0, 0.3), scene, ("B04",), _first),
        Workload(
            "NDVI",
            _ndvi_chain(nir_red).color("viridis", -0.2, 0.9),
            scene,
            ("B08", "B04"),
            _ndvi,
            expression="(b1-b2)/(b1+b2)",
        ),
        Workload("RGB", coast.mosaic().rgb("B04", "B03", "B02", stretch=(0, 0.3)), scene, ("B04", "B03", "B02"), _all),
        Workload(
            "hillshade",
            terrain.resample_spatial(method="bilinear")["elevation"].hillshade().color("gray", 0, 255),
            [PACK / "elevation" / "copdem_grenoble.json"],
            ("elevation",),
            _hillshade,
            margin=1,
            resampling=Resampling.bilinear,
            rio_tiler=False,
        ),
        Workload(
            f"median NDVI of {len(series)} dates",
            _ndvi_chain(dates).median("t").color("viridis", -0.2, 0.9),
            series,
            ("B08", "B04"),
            _ndvi,
            expression="(b1-b2)/(b1+b2)",
            most=1,
        ),
    ]


def _ndvi_chain(cube: Chain) -> Chain:
    return (cube["B08"] - cube["B04"]) / (cube["B08"] + cube["B04"])


def _first(bands: Values, grid: Grid) -> Values:
    return bands[0]


def _all(bands: Values, grid: Grid) -> Values:
    return bands


def _ndvi(bands: Values, grid: Grid) -> Values:
    return (bands[0] - bands[1]) / (bands[0] + bands[1])


def _hillshade(bands: Values, grid: Grid) -> Values:
    """Horn's gradient over true ground distances, sun at azimuth 315 and altitude 45 degrees."""
    z = bands[0].astype(np.float64)
    dx, dy = grid.grown(-1).ground_resolution()
    west, east = z[:-2, :-2] + 2 * z[1:-1, :-2] + z[2:, :-2], z[:-2, 2:] + 2 * z[1:-1, 2:] + z[2:, 2:]
    north, south = z[:-2, :-2] + 2 * z[:-2, 1:-1] + z[:-2, 2:], z[2:, :-2] + 2 * z[2:, 1:-1] + z[2:, 2:]
    p, q = (east - west) / (8 * dx), (north - south) / (8 * dy)
    light = (np.sqrt(0.5) + 0.5 * p - 0.5 * q) / np.sqrt(1 + p * p + q * q)
    return np.maximum(255 * light, 0.0)


class Ours:
    """The five calls of a tile."""

    def __init__(self, engine: Engine, work: Workload) -> None:
        self.engine, self.key = engine, engine.put(work.chain.graph)
        self.reader = MosaicReader()

    def __call__(self, tile: Tile) -> bytes:
        plan = plan_for(self.engine, self.key)
        selection = selection_for(self.engine, plan)
        style = style_for(self.engine, plan, selection)
        cube = evaluate(plan, tile_grid(*tile), selection, self.reader, shown=True)
        return encode(paint(cube, style))

    def forget(self) -> None:
        """Drop decoded blocks, open files, headers and control points; threads, plans and selections stay."""
        self.reader.files.close()
        self.reader.files, self.reader.blocks = Files(), BlockCache()
        coords._cache.clear()

    def style(self) -> Style:
        """The colours, for the peers."""
        plan = plan_for(self.engine, self.key)
        return style_for(self.engine, plan, selection_for(self.engine, plan))


class SortedMedian(MedianMethod):
    """A median for rio-tiler's mosaics that takes a fraction of the time of its own, `numpy.ma.median`."""

    @property
    def data(self) -> np.ma.MaskedArray | None:
        """Median of what was fed."""
        return np.ma.masked_invalid(_median(np.stack([a.astype(np.float32).filled(np.nan) for a in self.stack])))


class RioTiler:
    """rio-tiler as its documentation shows; items are parsed before."""

    def __init__(self, work: Workload, style: Style) -> None:
        self.work = work
        self.items = [pystac.Item.from_file(path) for path in work.items]
        self.single = _paths(work)[0][0] if len(work.items) == len(work.bands) == 1 else None
        self.kept: Reader | None = None
        # Half a step lower, for rio-tiler rounds down where we round to the nearest colour.
        if isinstance(style, RgbStyle):
            self.ranges = [_lower(low, high, 255) for low, high in style.ranges]
            self.out, self.colours = (0, 255), None
        else:
            assert isinstance(style, RampStyle)
            self.ranges, self.out = [_lower(style.vmin, style.vmax, 254)], (0, 254)
            table = np.frombuffer(style.table, np.uint8).reshape(-1, 4)
            self.colours = {i: tuple(int(c) for c in colour) for i, colour in enumerate(table)}
        if work.expression is None:
            with rasterio.open(_paths(work)[0][0]) as dataset:
                scale = dataset.scales[0]
            self.ranges = [(low / scale, high / scale) for low, high in self.ranges]

    def __call__(self, tile: Tile) -> bytes:
        z, x, y = tile
        if self.kept is not None:
            image = self.kept.tile(x, y, z)
        elif self.single is not None:
            with Reader(self.single) as source:
                image = source.tile(x, y, z)
        elif len(self.items) == 1:
            image = self._item(self.items[0], x, y, z)
        else:
            image, _ = mosaic_reader(self.items, self._item, x, y, z, pixel_selection=SortedMedian)
        image.rescale(self.ranges, [self.out])
        return image.render(img_format="PNG", colormap=self.colours)

    def _item(self, item: pystac.Item, x: int, y: int, z: int) -> ImageData:
        with STACReader(None, item=item) as source:
            return source.tile(x, y, z, assets=self.work.bands, expression=self.work.expression)

    def keep(self) -> None:
        """Keep the file open from now on, where rio-tiler can: its STAC and mosaic readers open for each tile."""
        if self.single is not None:
            self.kept = Reader(self.single)

    def forget(self) -> None:
        """Close the kept file."""
        if self.kept is not None:
            self.kept.close()
            self.kept = None


class ByHand:
    """A WarpedVRT of just the tile from the right overview, numpy, and our own painter and encoder."""

    def __init__(self, work: Workload, style: Style) -> None:
        self.work, self.style = work, style
        self.paths = _paths(work)
        self.levels = {
            (p, z): coords.choose_level(header(p), Lattice.web_mercator(z))
            for ps in self.paths
            for p in ps
            for z in ZOOMS
        }
        self.facts = {p: header(p).bands[0] for ps in self.paths for p in ps}  # overviews lack no-data
        self.open: dict[tuple[str, int], rasterio.DatasetReader] | None = None

    def __call__(self, tile: Tile) -> bytes:
        inner = tile_grid(*tile)
        grid = inner.grown(self.work.margin)
        shown = []
        with np.errstate(all="ignore"):
            for paths in self.paths:
                bands = np.stack([self._band(path, tile[0], grid) for path in paths])
                shown.append(self.work.formula(bands, grid))
            values = shown[0] if len(shown) == 1 else _median(np.stack(shown))
        if isinstance(self.style, RgbStyle):
            cube = Cube(values, ("bands", "y", "x"), inner, {"bands": self.work.bands})
        else:
            cube = Cube(values, ("y", "x"), inner)
        return encode(paint(cube, self.style))

    def _band(self, path: str, zoom: int, grid: Grid) -> Values:
        level = self.levels[path, zoom]
        if self.open is None:
            with _level(path, level) as dataset:
                return self._warped(dataset, self.facts[path], grid)
        if (path, level) not in self.open:
            self.open[path, level] = _level(path, level)
        return self._warped(self.open[path, level], self.facts[path], grid)

    def _warped(self, dataset: rasterio.DatasetReader, band: Band, grid: Grid) -> Values:
        west, _, _, north = grid.bounds
        options = {
            "crs": "EPSG:3857",
            "transform": Affine(grid.lattice.res_x, 0, west, 0, -grid.lattice.res_y, north),
            "width": grid.width,
            "height": grid.height,
            "src_nodata": band.nodata,
            "nodata": band.nodata,
            "resampling": self.work.resampling,
        }
        if self.work.resampling != Resampling.nearest:
            options["dtype"] = "float32"  # weighed values are not whole numbers
        with WarpedVRT(dataset, **options) as vrt:
            stored = vrt.read(1)
        values = stored.astype(np.float32)
        if band.scale != 1:
            values *= np.float32(band.scale)
        values[stored == band.nodata] = np.nan
        return values

    def keep(self) -> None:
        """Keep all files open from now on, and with them GDAL's decoded blocks."""
        self.open = {}

    def forget(self) -> None:
        """Close the kept files."""
        for dataset in (self.open or {}).values():
            dataset.close()
        self.open = None


def _level(path: str, level: int) -> rasterio.DatasetReader:
    return rasterio.open(path, overview_level=level - 1) if level else rasterio.open(path)


def _median(stack: Values) -> Values:
    """Median along the first axis without NaN: a sort puts them last (quicker than `np.nanmedian`)."""
    stack.sort(axis=0)
    count = np.isfinite(stack).sum(axis=0)
    low, high = np.maximum(count - 1, 0) // 2, count // 2
    high = np.minimum(high, len(stack) - 1)
    both = np.take_along_axis(stack, np.stack([low, high]), axis=0)
    return np.where(count > 0, (both[0] + both[1]) / 2, np.nan)


def _lower(low: float, high: float, steps: int) -> tuple[float, float]:
    half = (high - low) / steps / 2
    return low - half, high - half


def _paths(work: Workload) -> list[list[str]]:
    """Files of each item, in the order of the bands."""
    items = [pystac.Item.from_file(path) for path in work.items]
    return [[str(item.assets[band].get_absolute_href()) for band in work.bands] for item in items]


def tiles_of(work: Workload, zoom: int) -> list[Tile]:
    """Tiles that meet the first item, the nearest to its centre first."""
    west, south, east, north = pystac.Item.from_file(work.items[0]).bbox
    centre = WEB_MERCATOR_TMS.tile((west + east) / 2, (south + north) / 2, zoom)
    tiles = list(WEB_MERCATOR_TMS.tiles(west, south, east, north, zooms=zoom))
    tiles.sort(key=lambda t: (abs(t.x - centre.x) + abs(t.y - centre.y), t.y, t.x))
    return [(zoom, t.x, t.y) for t in tiles[: work.most]]


def pixels(png: bytes) -> Values:
    """The decoded picture as (4, y, x); what is transparent is all 0."""
    with warnings.catch_warnings(), MemoryFile(png) as file:
        warnings.simplefilter("ignore")
        with file.open() as dataset:
            bands = dataset.read()
            palette = dataset.colormap(1) if dataset.count == 1 and _has_palette(dataset) else None
    if palette is not None:
        table = np.array([palette.get(i, (0, 0, 0, 0)) for i in range(256)], np.uint8)
        bands = table[bands[0]].transpose(2, 0, 1)
    if len(bands) == 3:
        bands = np.concatenate([bands, np.full_like(bands[:1], 255)])
    return np.where(bands[3] == 0, 0, bands).astype(np.int16)


def _has_palette(dataset: rasterio.DatasetReader) -> bool:
    return dataset.colorinterp[0] == rasterio.enums.ColorInterp.palette


def different(ours: Sequence[bytes], theirs: Sequence[bytes]) -> float:
    """Share of the pixels that either shows of which a channel is more than LEVELS_APART from the other's."""
    first, second = (np.concatenate([pixels(png) for png in pngs], axis=1) for pngs in (ours, theirs))
    shown = (first[3] > 0) | (second[3] > 0)
    return float((np.abs(first - second).max(axis=0) > LEVELS_APART)[shown].mean())


def timed(draw: Draw, tile: Tile) -> tuple[float, float]:
    """Wall and processor time of one tile [ms]; the latter of all threads."""
    wall, cpu = time.perf_counter(), time.process_time()
    draw(tile)
    return (time.perf_counter() - wall) * 1e3, (time.process_time() - cpu) * 1e3


def measure(contenders: Mapping[str, Any], tiles: Sequence[Tile], repeats: int) -> dict[str, dict[str, Any]]:
    """Medians over tiles and repeats, cold and warm: {state: {contender: (wall, cpu)}}."""
    found: dict[str, dict[str, Any]] = {}
    for state in ("cold", "warm"):
        times: dict[str, list[tuple[float, float]]] = {name: [] for name in contenders}
        for contender in contenders.values():
            contender.forget()
            if state == "warm" and hasattr(contender, "keep"):
                contender.keep()
        for round_ in range(repeats + 1):
            for tile in tiles:
                for name, contender in contenders.items():
                    if state == "cold":
                        contender.forget()
                    once = timed(contender, tile)
                    if round_:  # the first is not counted
                        times[name].append(once)
        found[state] = {n: tuple(median(part) for part in zip(*t, strict=True)) for n, t in times.items()}
    return found


def filled(data: Path) -> Engine:
    """An engine over the demo pack, ingested anew."""
    engine = open_engine(data)
    ingest_stac(engine.catalogue, PACK / "catalog.json")
    engine.warm()
    return engine


def machine() -> str:
    """What the figures were measured on."""
    return (
        f"{os.cpu_count()} cores ({platform.machine()}), load {os.getloadavg()[0]:.1f}, "
        f"Python {platform.python_version()}, numpy {np.__version__}, GDAL {rasterio.__gdal_version__}, "
        f"rasterio {rasterio.__version__}, rio-tiler {rio_tiler.__version__}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=9)
    repeats = parser.parse_args().repeats
    warnings.simplefilter("ignore")  # rio-tiler warns at each tile of items without statistics
    print(f"{machine()}; medians of {repeats} repeats, ms wall / CPU.\n")
    print("| workload | zoom | tiles | state | ours | rio-tiler | x | by hand | x | differs from rio-tiler, by hand |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        engine = filled(Path(folder))
        for work in workloads():
            ours = Ours(engine, work)
            contenders: dict[str, Any] = {"ours": ours}
            if work.rio_tiler:
                contenders["rio-tiler"] = RioTiler(work, ours.style())
            contenders["by hand"] = ByHand(work, ours.style())
            for zoom in ZOOMS:
                tiles = tiles_of(work, zoom)
                drawn = {name: [draw(tile) for tile in tiles] for name, draw in contenders.items()}
                apart = {name: different(drawn["ours"], drawn[name]) for name in contenders if name != "ours"}
                for state, times in measure(contenders, tiles, repeats).items():
                    print(_row(work, zoom, len(tiles), state, times, apart), flush=True)
        engine.close()


def _row(work: Workload, zoom: int, tiles: int, state: str, times: Mapping[str, Any], apart: Mapping[str, Any]) -> str:
    cells = [work.name, str(zoom), str(tiles), state, "{:.2f} / {:.2f}".format(*times["ours"])]
    for peer in ("rio-tiler", "by hand"):
        if peer in times:
            ratios = [theirs / ours for theirs, ours in zip(times[peer], times["ours"], strict=True)]
            cells += ["{:.1f} / {:.1f}".format(*times[peer]), "{:.1f} / {:.1f}".format(*ratios)]
        else:
            cells += ["", ""]
    cells.append(", ".join(f"{apart[p]:.1%}" if p in apart else "-" for p in ("rio-tiler", "by hand")))
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
