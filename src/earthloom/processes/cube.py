"""openEO's processes on whole cubes, and our `where`. Callbacks arrive compiled, see `engine/callback.py`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np

from earthloom.base import times
from earthloom.base.cube import DIMS, Cube
from earthloom.base.errors import InvalidArgument, NotFound
from earthloom.processes.context import Array, Context
from earthloom.processes.define import process
from earthloom.processes.schema import (
    Band,
    Bands,
    Box,
    Data,
    Dimension,
    Epsg,
    Interval,
    PerValue,
    Reducer,
    Resolver,
    Value,
)


@process(kind="cube", standard=True)
def filter_bands(data: Data, bands: Bands = [], wavelengths: list[Any] = []) -> Data:  # noqa: B006
    """Keep some bands, in the order given.

    Parameters
    ----------
    data
        A cube with bands.
    bands
        Names of the bands.
    wavelengths
        Not supported: name the bands.
    """
    if wavelengths or not bands:
        raise InvalidArgument("filter_bands needs the names of bands.", argument="bands")
    labels = _labels(data, "bands")
    if tuple(bands) == tuple(labels):  # the reader has brought these alone: nothing to copy
        return data
    index = [labels.index(_known(b, labels)) for b in bands]
    return data.with_values(np.take(data.values, index, axis=data.axis("bands")), bands=tuple(bands))


@process(kind="cube", standard=True)
def filter_temporal(data: Data, extent: Interval, dimension: Dimension | None = None) -> Data:
    """Keep the dates of an interval.

    Parameters
    ----------
    data
        A cube with time.
    extent
        Start, inside, and end, outside; null is open.
    dimension
        Name of the dimension; null takes t.
    """
    labels = _labels(data, dimension or "t")
    start, end = (times.to_text(times.parse(e)) if e else None for e in extent)
    kept = [i for i, t in enumerate(labels) if (start is None or t >= start) and (end is None or t < end)]
    if not kept:
        raise InvalidArgument(f"No date of the cube lies in {extent[0]} to {extent[1]}.", argument="extent")
    values = np.take(data.values, kept, axis=data.axis("t"))
    return data.with_values(values, t=tuple(labels[i] for i in kept))


@process(kind="cube", standard=True)
def filter_bbox(data: Data, extent: Box) -> Data:
    """Keep the pixels whose centre lies in a box; the others become no data.

    Parameters
    ----------
    data
        A cube.
    extent
        west, south, east, north in degrees; west > east crosses the antimeridian.
    """
    lon, lat = data.grid.lonlat_centres()
    west, east = extent["west"], extent["east"]
    across = (lon >= west) & (lon <= east) if west <= east else (lon >= west) | (lon <= east)
    inside = across & (lat >= extent["south"]) & (lat <= extent["north"])
    return data.with_values(np.where(inside, data.values, data.values.dtype.type(np.nan)))


@process(kind="cube", standard=True)
def mask(data: Data, mask: Data, replacement: float | None = None) -> Data:
    """Hide the pixels where a mask is true.

    Parameters
    ----------
    data
        A cube.
    mask
        A cube of truth values; what is neither 0 nor no data hides. A dimension that it lacks is broadcast.
    replacement
        The value of hidden pixels; null is no data.
    """
    values, hidden, labels, dims = _aligned(data, mask, "mask")
    new = data.values.dtype.type(np.nan if replacement is None else replacement)
    return Cube(np.where((hidden != 0) & ~np.isnan(hidden), new, values), dims, data.grid, labels)


@process(kind="cube")
def where(data: Data, condition: Data) -> Data:
    """Keep the pixels where a condition is true; the others become no data, also where it is unknown.

    Parameters
    ----------
    data
        A cube.
    condition
        A cube of truth values; a dimension that it lacks is broadcast.

    Returns
    -------
    The cube with NaN where the condition is 0 or NaN.
    """
    values, kept, labels, dims = _aligned(data, condition, "condition")
    keep = (kept != 0) & ~np.isnan(kept)
    return Cube(np.where(keep, values, data.values.dtype.type(np.nan)), dims, data.grid, labels)


@process(kind="cube", standard=True)
def reduce_dimension(
    data: Data, reducer: Reducer, dimension: Dimension, context: Value = None, *, ctx: Context
) -> Data:
    """Drop a dimension by a reducer, such as the median over time.

    Parameters
    ----------
    data
        A cube.
    reducer
        What makes one value of many.
    dimension
        Name of the dimension: t or bands.
    context
        Handed to the reducer.
    """
    labels = _labels(data, dimension)
    inner = Context(ctx.grid, axis=data.axis(dimension), labels=labels)
    values = reducer({"data": data.values, "context": context}, inner)
    reduced = tuple(n for d, n in zip(data.dims, data.values.shape, strict=True) if d != dimension)
    return data.with_values(_full(values, reduced), drop=dimension)


@process(kind="cube", standard=True)
def apply(data: Data, process: PerValue, context: Value = None, *, ctx: Context) -> Data:
    """Apply a process to each value.

    Parameters
    ----------
    data
        A cube.
    process
        What to do with a value x.
    context
        Handed to the process.
    """
    values = process({"x": data.values, "context": context}, Context(ctx.grid))
    return data.with_values(_full(values, data.values.shape))


@process(kind="cube", standard=True)
def merge_cubes(
    cube1: Data, cube2: Data, overlap_resolver: Resolver | None = None, context: Value = None, *, ctx: Context
) -> Data:
    """Join two cubes; where both have a value the resolver makes one.

    Labels of a dimension that differ are united, the first cube's first, those of time in order. A dimension that one
    side lacks is broadcast. With the context `{"labels": "equal"}` unequal labels are an error instead.

    Parameters
    ----------
    cube1, cube2
        The cubes.
    overlap_resolver
        What makes one value of the values x and y of both.
    context
        Handed to the resolver.
    """
    strict = isinstance(context, dict) and context.get("labels") == "equal"
    if not strict and set(cube1.dims) == set(cube2.dims) and dict(cube1.labels) != dict(cube2.labels):
        return _united(cube1, cube2, overlap_resolver, context, ctx)
    left, right, labels, dims = _aligned(cube1, cube2, "cube2")
    if overlap_resolver is None:
        raise InvalidArgument("Both cubes have values for the same labels.", hint="Give an overlap_resolver.")
    shape = np.broadcast_shapes(left.shape, right.shape)
    values = overlap_resolver({"x": left, "y": right, "context": context}, Context(ctx.grid))
    return Cube(_full(values, shape), dims, cube1.grid, labels)


@process(kind="source", standard=True)
def resample_spatial(
    data: Data,
    resolution: float | list[float] = 0,
    projection: Epsg | None = None,
    method: Literal["near", "bilinear"] = "near",
    align: Literal["lower-left", "upper-left", "lower-right", "upper-right"] = "upper-left",
) -> Data:
    """Choose how pixels are resampled, right after a collection is loaded. The grid itself is that of the map or job.

    Parameters
    ----------
    data
        A loaded collection.
    resolution
        Only 0: the resolution of the map or job.
    projection
        Only null: the projection of the map or job.
    method
        near (the value of the nearest pixel, also for classes) or bilinear.
    align
        Has no effect: grids are anchored to the origin of their projection.
    """
    raise AssertionError("bound by the engine")


@process(kind="cube", standard=True)
def ndvi(data: Data, nir: Band = "nir", red: Band = "red", target_band: Band | None = None) -> Data:
    """Normalised difference vegetation index, (nir - red) / (nir + red).

    Tucker 1979, doi 10.1016/0034-4257(79)90013-0.

    Parameters
    ----------
    data
        A cube with bands.
    nir, red
        Names of the near infrared and the red band.
    target_band
        Keep the bands and add the index under this name; null drops the bands.
    """
    labels = _labels(data, "bands")
    axis = data.axis("bands")
    near, far = (np.take(data.values, labels.index(_known(b, labels)), axis=axis) for b in (nir, red))
    index = np.divide(near - far, near + far)
    if target_band is None:
        return data.with_values(index, drop="bands")
    values = np.concatenate([data.values, np.expand_dims(index, axis)], axis=axis)
    return data.with_values(values, bands=(*labels, target_band))


def _labels(data: Cube, dimension: str) -> tuple[str, ...]:
    """The labels of a dimension; an error that names the dimensions if the cube lacks it."""
    if dimension not in data.labels:
        known = [d for d in data.dims if d in data.labels]
        raise NotFound.name("dimension", dimension, known, argument="dimension")
    return data.labels[dimension]


def _known(band: str, labels: tuple[str, ...]) -> str:
    if band not in labels:
        raise NotFound.name("band", band, labels, argument="bands", band=band)
    return band


def _full(values: Any, shape: tuple[int, ...]) -> Array:
    """The result of a callback as float32 or float64 of a shape; callbacks of scalars only give one number."""
    array = np.asarray(values)
    if array.dtype not in (np.float32, np.float64):
        array = array.astype(np.float32)
    return array if array.shape == shape else np.broadcast_to(array, shape).copy()


def _aligned(a: Cube, b: Cube, argument: str) -> tuple[Array, Array, dict[str, tuple[str, ...]], tuple[str, ...]]:
    """Two cubes as arrays that broadcast, with the labels and dimensions of both; unequal labels raise."""
    dims = tuple(d for d in DIMS if d in a.dims or d in b.dims)
    for d in dims:
        if d in a.labels and d in b.labels and a.labels[d] != b.labels[d]:
            one, two = (
                ", ".join(sorted(set(x) - set(y))[:3]) or "none"
                for x, y in ((a.labels[d], b.labels[d]), (b.labels[d], a.labels[d]))
            )
            raise InvalidArgument(
                f"The labels of {d} differ: only in the first {one}; only in the second {two}.",
                hint="Combine cubes of the same selection, or reduce the dimension first.",
                argument=argument,
            )

    def spread(cube: Cube) -> Array:
        missing = tuple(i for i, d in enumerate(dims) if d not in cube.dims)
        return np.expand_dims(cube.values, missing)

    return spread(a), spread(b), {**b.labels, **a.labels}, dims


def _united(a: Cube, b: Cube, resolver: Callable[..., Array] | None, context: Any, ctx: Context) -> Cube:
    """Both cubes on the union of their labels."""
    labels: dict[str, tuple[str, ...]] = {}
    for d in a.labels:
        union = (*a.labels[d], *(x for x in b.labels[d] if x not in a.labels[d]))
        labels[d] = tuple(sorted(union)) if d == "t" else union
    shape = tuple(len(labels[d]) for d in a.dims[:-2]) + a.grid.shape
    dtype = np.result_type(a.values, b.values)

    def spread(cube: Cube) -> tuple[Array, Array]:
        full, has = np.full(shape, np.nan, dtype), np.zeros(shape, bool)
        index = np.ix_(*([labels[d].index(x) for x in cube.labels[d]] for d in cube.dims[:-2]))
        full[index], has[index] = cube.values, True
        return full, has

    (left, has_left), (right, has_right) = spread(a), spread(b)
    values, both = np.where(has_left, left, right), has_left & has_right
    if both.any():
        if resolver is None:
            raise InvalidArgument("Both cubes have values for the same labels.", hint="Give an overlap_resolver.")
        joined = resolver({"x": left, "y": right, "context": context}, Context(ctx.grid))
        values = np.where(both, joined, values)
    return Cube(values, a.dims, a.grid, labels)
