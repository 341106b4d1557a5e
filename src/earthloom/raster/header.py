"""What a GeoTIFF says about itself, read once: where it lies, its levels, its bands."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import PurePath

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.enums import ColorInterp, Interleaving, MaskFlags
from rasterio.env import set_gdal_config
from rasterio.errors import NotGeoreferencedWarning, RasterioIOError
from rasterio.io import DatasetReader

from earthloom.base.errors import InvalidArgument, ReadError
from earthloom.base.grid import crs

FileKey = tuple[str, int, int]

MIN_BLOCK_PX = 256
GDAL_CACHE_BYTES = 64 * 2**20  # Decoded blocks are kept by ourselves; GDAL's own copies of them are waste.
DTYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float32", "float64")


@dataclass(frozen=True, slots=True)
class Band:
    """One band: its number from 1, and what its stored values mean (value = stored * scale + offset)."""

    index: int
    dtype: str
    nodata: float | None
    scale: float
    offset: float
    description: str
    unit: str
    colours: Mapping[int, tuple[int, int, int, int]] | None = field(default=None, hash=False)


@dataclass(frozen=True, slots=True)
class Level:
    """The full image or one overview: its size, and the size of the blocks in which we read it [px]."""

    width: int
    height: int
    block_width: int
    block_height: int


@dataclass(frozen=True, slots=True)
class Header:
    """The facts of one file.

    Parameters
    ----------
    path, size_bytes, mtime_ns
        Which file, and which state of it.
    epsg
        Code of its coordinate reference system.
    transform
        (a, b, c, d, e, f) of x = a*col + b*row + c, y = d*col + e*row + f; b and d are 0.
    bands
        From band 1.
    full
        Size and blocks of the full image.
    overviews
        How many times smaller each overview is, in the file's order, rounded; true sizes: `Files.level`.
    masked
        Whether the file has a mask or alpha band that holds for all bands.
    interleaved
        Whether one block of the file holds all bands.
    """

    path: str
    size_bytes: int
    mtime_ns: int
    epsg: int
    transform: tuple[float, float, float, float, float, float]
    bands: tuple[Band, ...]
    full: Level
    overviews: tuple[int, ...]
    masked: bool
    interleaved: bool

    @property
    def key(self) -> FileKey:
        """Path, size and time of change: a replaced file has another key."""
        return self.path, self.size_bytes, self.mtime_ns

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) of the full image [px]."""
        return self.full.height, self.full.width

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """(x min, y min, x max, y max) in the file's CRS."""
        a, _, c, _, e, f = self.transform
        height, width = self.shape
        (x0, x1), (y0, y1) = sorted((c, c + a * width)), sorted((f, f + e * height))
        return x0, y0, x1, y1

    def band(self, index: int) -> Band:
        """The band with this number; ReadError if there is none."""
        if not 1 <= index <= len(self.bands):
            raise ReadError(
                f"{PurePath(self.path).name} has no band {index}.",
                hint=f"Its bands run from 1 to {len(self.bands)}.",
                file=self.path,
            )
        return self.bands[index - 1]


def file_key(path: str) -> FileKey:
    """Which state of which file; ReadError if it is not there."""
    name = PurePath(path).name
    if "://" in path:
        raise ReadError(f"{name} has an address; only files on this machine are read.", file=path)
    try:
        stat = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        raise ReadError(
            f"The file {name} is missing.", hint="Ingest its folder again if files have moved.", file=path
        ) from None
    except (OSError, ValueError) as error:
        raise ReadError(f"The file {name} cannot be read: {_reason(error)}.", file=path) from None
    return path, stat.st_size, stat.st_mtime_ns


def open_level(path: str, level: int = 0) -> DatasetReader:
    """Open a GeoTIFF at a level (0 is the full image) for one thread at a time.

    Raises
    ------
    ReadError
        If the file is missing, no GeoTIFF, or says nowhere where it lies.
    """
    file_key(path)
    _limit_gdal_cache()
    overview = {} if level == 0 else {"overview_level": level - 1}
    name = PurePath(path).name
    try:
        # Only the driver of GeoTIFF: a VRT or the like could name any other file of this machine.
        with rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR"):
            return rasterio.open(path, driver="GTiff", sharing=False, **overview)
    except NotGeoreferencedWarning:  # an error where the user has made warnings errors
        raise _not_placed(path) from None
    except RasterioIOError as error:
        raise ReadError(f"{name} is no GeoTIFF, or its beginning is damaged: {_reason(error)}.", file=path) from None


def header(path: str) -> Header:
    """Read the facts of a GeoTIFF.

    Raises
    ------
    ReadError
        If the file is missing, damaged, no GeoTIFF, or of a kind that we do not read: without a CRS that has an EPSG
        code, rotated, placed by ground control points only, or with complex numbers.
    """
    key = file_key(path)
    with open_level(path) as dataset:
        return header_of(dataset, key)


def header_of(dataset: DatasetReader, key: FileKey) -> Header:
    """The facts of an open full image; errors as `header`."""
    path = key[0]
    return Header(
        *key,
        epsg=_epsg(dataset, path),
        transform=_transform(dataset, path),
        bands=tuple(_band(dataset, i, path) for i in dataset.indexes),
        full=level_of(dataset),
        overviews=tuple(dataset.overviews(1)),
        masked=MaskFlags.per_dataset in dataset.mask_flag_enums[0],
        interleaved=dataset.count > 1 and dataset.interleaving == Interleaving.pixel,
    )


def level_of(dataset: DatasetReader) -> Level:
    """Size and blocks of an open level.

    Small blocks are read several at a time: a file of one-row strips would else be thousands of blocks.
    """
    height, width = dataset.block_shapes[0]

    def grown(block: int, whole: int) -> int:
        return min(block * max(1, -(-MIN_BLOCK_PX // block)), whole)

    return Level(dataset.width, dataset.height, grown(width, dataset.width), grown(height, dataset.height))


def read_overview(
    path: str, index: int, *, max_px: int = 1_000_000
) -> np.ma.MaskedArray[tuple[int, int], np.dtype[np.float64]]:
    """Stored values of a band, small enough for statistics.

    Parameters
    ----------
    path
        A GeoTIFF.
    index
        Number of the band, from 1.
    max_px
        Reads the finest level that has no more pixels; if there is none, every so-manieth pixel of the coarsest.

    Returns
    -------
    (y, x) float64 as stored, scale and offset not applied; masked where the file says no data, and where NaN.

    Raises
    ------
    ReadError
        As `header`, and if a block is damaged.
    """
    head = header(path)
    band = head.band(index)
    sizes = [head.full.width * head.full.height / factor**2 for factor in (1, *head.overviews)]
    small = [k for k, size in enumerate(sizes) if size <= max_px]
    level = max(small, key=sizes.__getitem__) if small else min(range(len(sizes)), key=sizes.__getitem__)
    try:
        with open_level(path, level) as dataset:
            shrink = max(1.0, (dataset.width * dataset.height / max_px) ** 0.5)
            shape = tuple(max(1, int(n / shrink)) for n in dataset.shape)
            values = dataset.read(index, out_shape=shape)
            hidden = dataset.read_masks(index, out_shape=shape) == 0
    except RasterioIOError as error:
        raise damaged(path, error) from None
    return np.ma.MaskedArray(values.astype(np.float64), hidden | no_data(values, nodata_values(band.nodata)))


def nodata_values(*values: float | None) -> tuple[float, ...]:
    """The distinct values that mean no data; NaN, which always does, is left out, so that they can be a key."""
    return tuple(sorted({v for v in values if v is not None and v == v}))


def no_data(values: NDArray[np.generic], nodata: tuple[float, ...]) -> NDArray[np.bool_]:
    """Where `values` are NaN or equal to one of `nodata`; same shape."""
    hidden: NDArray[np.bool_] = np.zeros(values.shape, np.bool_)
    if values.dtype.kind == "f":
        hidden |= np.isnan(values)
        for value in nodata:
            with np.errstate(over="ignore"):  # float64's limits as no-data of float32 files become its infinities
                hidden |= values == values.dtype.type(value)
        return hidden
    for value in nodata:
        if float(value).is_integer():
            hidden |= values == int(value)
    return hidden


def damaged(path: str, error: BaseException, where: str = "A part") -> ReadError:
    """The error for a block that cannot be decoded."""
    return ReadError(
        f"{where} of {PurePath(path).name} is damaged or cut off: {_reason(error)}.",
        hint="Copy the file again from its source.",
        file=path,
    )


def _reason(error: BaseException) -> str:
    """GDAL's own words: the innermost cause, on one line, without a full stop."""
    while error.__cause__ is not None:
        error = error.__cause__
    text = error.strerror if isinstance(error, OSError) and error.strerror else getattr(error, "errmsg", str(error))
    return " ".join(str(text).split()).rstrip(".")


def _not_placed(path: str) -> ReadError:
    return ReadError(
        f"{PurePath(path).name} does not say where it lies: it has no geotransform.",
        hint="Give it one with gdal_translate -a_ullr and -a_srs.",
        file=path,
    )


@lru_cache(maxsize=1)
def _limit_gdal_cache() -> None:
    set_gdal_config("GDAL_CACHEMAX", GDAL_CACHE_BYTES)


def _epsg(dataset: DatasetReader, path: str) -> int:
    name = PurePath(path).name
    if dataset.gcps[0]:
        raise ReadError(
            f"{name} is placed by ground control points.", hint="Rectify it first with gdalwarp -t_srs.", file=path
        )
    if dataset.crs is None:
        raise ReadError(
            f"{name} has no coordinate reference system.", hint="Give it one with gdal_edit.py -a_srs.", file=path
        )
    epsg = dataset.crs.to_epsg()
    if epsg is None:
        raise ReadError(
            f"The coordinate reference system of {name} has no EPSG code.",
            hint="Warp it to one that has, with gdalwarp -t_srs.",
            file=path,
        )
    try:
        crs(int(epsg))
    except InvalidArgument as error:  # GDAL and pyproj each have a list of their own
        raise ReadError(f"{name} cannot be placed: {error.message}", file=path) from None
    return int(epsg)


def _transform(dataset: DatasetReader, path: str) -> tuple[float, float, float, float, float, float]:
    t = dataset.transform
    if t.is_identity:
        raise _not_placed(path)
    if t.b != 0 or t.d != 0 or t.a == 0 or t.e == 0:
        raise ReadError(
            f"{PurePath(path).name} is rotated or sheared.", hint="Warp it north up with gdalwarp.", file=path
        )
    return t.a, t.b, t.c, t.d, t.e, t.f


def _band(dataset: DatasetReader, index: int, path: str) -> Band:
    k = index - 1
    dtype = dataset.dtypes[k]
    if dtype not in DTYPES:
        raise ReadError(f"Band {index} of {PurePath(path).name} holds {dtype}, which is not read.", file=path)
    return Band(
        index=index,
        dtype=dtype,
        nodata=dataset.nodatavals[k],
        scale=dataset.scales[k],
        offset=dataset.offsets[k],
        description=dataset.descriptions[k] or "",
        unit=dataset.units[k] or "",
        colours=dataset.colormap(index) if dataset.colorinterp[k] == ColorInterp.palette else None,
    )
