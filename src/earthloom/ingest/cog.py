"""The door for a folder of GeoTIFFs: each file becomes an item."""

from __future__ import annotations

import hashlib
import json
import re
import time
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import shapely

from earthloom.base import times
from earthloom.base.errors import EarthloomError, InvalidArgument, ReadError
from earthloom.base.grid import to_lonlat
from earthloom.catalog.protocol import Catalogue
from earthloom.ingest.report import Progress, Report, silent
from earthloom.ingest.stac import ingest_items
from earthloom.raster.header import Header, header

SUFFIXES = (".tif", ".tiff")
EDGE_POINTS = 8  # on each side of a footprint, so that straight lines of the projection stay so


def ingest_folder(
    catalogue: Catalogue,
    collection: str,
    folder: Path,
    *,
    datetime: str | date | None = None,
    pattern: str | None = None,
    title: str = "",
    progress: Progress = silent,
) -> Report:
    """Take up every GeoTIFF below a folder as an item of one collection; running it again takes up what changed.

    Parameters
    ----------
    catalogue
        Where they go.
    collection
        Id of the collection.
    folder
        A folder, or one file.
    datetime
        Date of all files.
    pattern
        Regular expression with a group `date`, looked for in the path (20200518, 2020-05-18, 2020, ...).
    title
        Title of the collection.
    progress
        Is told (done, total, collection).

    Raises
    ------
    ReadError
        If there is no GeoTIFF.
    InvalidArgument
        If the date or the pattern is none.
    """
    started = time.monotonic()
    folder = Path(folder).resolve()
    files = [folder] if folder.is_file() else sorted(f for f in folder.rglob("*") if f.suffix.lower() in SUFFIXES)
    if not files:
        raise ReadError(f"There is no GeoTIFF in {folder}.", file=str(folder))
    expression = _expression(pattern)
    given = None if datetime is None else times.to_text(times.parse(datetime))
    root = folder.parent if folder.is_file() else folder
    report, items = Report(), []
    for file in files:
        try:
            when = given or _date(file, root, expression)
            items.append((item_of(file, root, collection, when), file))
        except EarthloomError as error:
            report.rejected.append((str(file.relative_to(root)), str(error)))
    document = {
        "type": "Collection",
        "stac_version": "1.1.0",
        "id": collection,
        "title": title or collection,
        "description": title or f"GeoTIFFs of {root.name}",
        "license": "other",
        "links": [],
    }
    ingest_items(catalogue, document, items, report, progress)
    report.seconds = time.monotonic() - started
    return report


def item_of(file: Path, root: Path, collection: str, when: str) -> dict[str, Any]:
    """A GeoTIFF as STAC item; its footprint is that of the image, in degrees."""
    head = header(str(file))
    footprint = _footprint(head)
    relative = file.relative_to(root).with_suffix("").as_posix()
    bands: list[dict[str, Any]] = []
    for band in head.bands:
        name = band.description or (f"band{band.index}" if len(head.bands) > 1 else "data")
        entry: dict[str, Any] = {"name": name, "data_type": band.dtype}
        entry["raster:spatial_resolution"] = abs(head.transform[0])
        if band.nodata is not None:
            entry["nodata"] = band.nodata if np.isfinite(band.nodata) else str(band.nodata)
        if (band.scale, band.offset) != (1.0, 0.0):
            entry |= {"raster:scale": band.scale, "raster:offset": band.offset}
        if band.unit:
            entry["unit"] = band.unit
        bands.append(entry)
    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        "id": re.sub(r"[^\w.-]+", "_", relative),
        "collection": collection,
        "geometry": json.loads(shapely.to_geojson(footprint)),
        "bbox": list(footprint.bounds),
        "properties": {
            "datetime": when,
            # A file that is written anew gets another item, although all else may be equal.
            "earthloom:file": hashlib.sha256(f"{head.size_bytes} {head.mtime_ns}".encode()).hexdigest()[:16],
        },
        "assets": {
            "data": {
                "href": str(file),
                "type": "image/tiff; application=geotiff",
                "roles": ["data"],
                "bands": bands,
                "proj:code": f"EPSG:{head.epsg}",
                "proj:shape": list(head.shape),
                "proj:transform": list(head.transform),
            }
        },
        "links": [],
    }


def _footprint(head: Header) -> Any:
    a, _, c, _, e, f = head.transform
    height, width = head.shape
    steps = np.linspace(0.0, 1.0, EDGE_POINTS + 1)[:-1]
    across = np.concatenate([steps, np.ones(EDGE_POINTS), 1 - steps, np.zeros(EDGE_POINTS)]) * width
    down = np.concatenate([np.zeros(EDGE_POINTS), steps, np.ones(EDGE_POINTS), 1 - steps]) * height
    lon, lat = to_lonlat(head.epsg).transform(c + a * across, f + e * down)
    if not np.isfinite(lon).all():
        raise ReadError(f"{head.path} reaches beyond its own projection EPSG:{head.epsg}.", file=head.path)
    return shapely.Polygon(np.column_stack([np.round(lon, 7), np.round(lat, 7)]))


def _expression(pattern: str | None) -> re.Pattern[str] | None:
    if pattern is None:
        return None
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise InvalidArgument(
            f"The pattern {pattern!r} is no regular expression: {error}.", argument="pattern"
        ) from None
    if "date" not in expression.groupindex:
        raise InvalidArgument(
            f"The pattern {pattern!r} has no group date.",
            hint=r"Write for example (?P<date>\d{8}).",
            argument="pattern",
        )
    return expression


def _date(file: Path, root: Path, expression: re.Pattern[str] | None) -> str:
    """The date of a file: from its path, else from its tag TIFFTAG_DATETIME."""
    if expression is not None:
        match = expression.search(file.relative_to(root).as_posix())
        if match is None:
            raise InvalidArgument("The pattern finds no date in the path.", file=str(file))
        text = match["date"]
        compact = re.fullmatch(r"(\d{4})(\d{2})(\d{2})", text)
        return times.to_text(times.parse("-".join(compact.groups()) if compact else text))
    header(str(file))  # tells what is wrong with a file that is none
    with rasterio.open(file) as dataset:
        tag = dataset.tags().get("TIFFTAG_DATETIME", "")
    match = re.fullmatch(r"(\d{4}):(\d{2}):(\d{2}) (\d{2}:\d{2}:\d{2})", tag)
    if match is None:
        raise InvalidArgument(
            "The file tells no date.", hint="Give one for all files, or a pattern with a group date.", file=str(file)
        )
    return times.to_text(times.parse(f"{match[1]}-{match[2]}-{match[3]}T{match[4]}"))
