"""What reads data: declared here, without a body. The engine binds them to the catalogue and the reader."""

from __future__ import annotations

from typing import Any

from earthloom.processes.define import process
from earthloom.processes.schema import Bands, Box, CollectionId, Data, Geometry, Interval, Properties


@process(kind="source", standard=True)
def load_collection(
    id: CollectionId,
    spatial_extent: Box | None,
    temporal_extent: Interval | None,
    bands: Bands | None = None,
    properties: Properties | None = None,
) -> Data:
    """Load a collection as a lazy cube (t, bands, y, x) of physical values.

    Scale and offset of the files are applied once, when they are read. Items that share a date-time are mosaicked.
    Items that lack every band that is asked for are left out.

    Parameters
    ----------
    id
        Id of the collection.
    spatial_extent
        Keep items that meet this box, and the pixels whose centre lies inside; null keeps all.
    temporal_extent
        Keep items of this half-open interval, UTC; null keeps all.
    bands
        Names of the bands, in the order wanted; null takes all.
    properties
        Conditions on properties of the items: name to a callback of the parameter `value`.

    Returns
    -------
    A cube with the dimensions t, bands, y, x.
    """
    raise AssertionError("bound by the engine")


@process(kind="source")
def select_items(
    data: Data,
    intersects: Geometry | None = None,
    sort: list[list[Any]] | None = None,
    limit: int | None = None,
) -> Data:
    """Choose and order the items of a collection, right after `load_collection`. It crops nothing.

    Parameters
    ----------
    data
        The loaded collection.
    intersects
        Keep items whose footprint meets this geometry (GeoJSON, degrees).
    sort
        Order of the items: a list of [property, ascending]; after that the newest first, then by id.
    limit
        Keep so many items, in that order.

    Returns
    -------
    The cube of the items that are left.
    """
    raise AssertionError("bound by the engine")


@process(kind="source")
def mosaic(data: Data) -> Data:
    """Lay the items over each other: for each pixel and band the first valid value in the order of the items.

    Without another order the newest item lies on top.

    Parameters
    ----------
    data
        A loaded collection.

    Returns
    -------
    A cube with the dimensions bands, y, x.
    """
    raise AssertionError("bound by the engine")


@process(kind="source")
def digital_numbers(data: Data) -> Data:
    """The numbers of the files with their offset taken off, instead of physical values.

    Sentinel-2's reflectance times 10,000 is the usual case: also of files whose numbers are shifted by 1,000
    (processing baseline 04.00), so that thresholds keep their meaning. They are the stored integers plus
    offset / scale, never computed back from physical values.

    Parameters
    ----------
    data
        A loaded collection or its mosaic.

    Returns
    -------
    The cube of digital numbers.
    """
    raise AssertionError("bound by the engine")
