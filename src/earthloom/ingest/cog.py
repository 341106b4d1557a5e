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
import shapely

from earthloom.base import times
from earthloom.base.errors import EarthloomError, InvalidArgument, ReadError
from earthloom.base.grid import to_lonlat
from earthloom.catalog.footprint import footprint, rectangles
from earthloom.catalog.protocol import Catalogue, Search
from earthloom.ingest.items import Found, ingest_items, standing
from earthloom.ingest.report import Progress, Report, silent
from earthloom.raster.header import Header, header, open_level

SUFFIXES = (".tif", ".tiff")
EDGE_POINTS = 8  # on each side of a footprint, so that straight lines of the projection stay so

_STATE = "earthloom:file"


def ingest_folder(
    catalogue: Catalogue,
    collection: str,
    folder: str | Path,
    *,
    datetime: str | date | None = None,
    pattern: str | None = None,
    title: str = "",
    progress: Progress = silent,
) -> Report:
    """Take up every GeoTIFF below a folder as an item of one collection; running it again takes up what changed.

    The date of a file is the one given, else the one in its path, else that of its tags (IMAGERY's
    ACQUISITIONDATETIME, TIFFTAG_DATETIME); a file without any is refused.

    Parameters
    ----------
    catalogue
        Where they go.
    collection
        Id of the collection.
    folder
        A folder, one file, or a path with wildcards (`*`, `?`, `**`).
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
    root, files = _files(Path(folder))
    if not files:
        raise ReadError(f"There is no GeoTIFF in {folder}.", file=str(folder))
    expression = _expression(pattern)
    given = None if datetime is None else times.to_text(times.parse(datetime))
    document = standing(catalogue, collection, f"GeoTIFFs of {root.name}", title)
    known = _known(catalogue, collection)
    report = Report()
    taken: dict[str, Path] = {}
    items: list[Found] = []
    for file in files:
        relative = file.relative_to(root).as_posix()
        name = re.sub(r"[^\w.-]+", "_", relative.removesuffix(file.suffix))
        try:
            if (other := taken.setdefault(name, file)) != file:
                raise InvalidArgument(f'It would be the item "{name}", as {other.relative_to(root)} is.')
            when = given or _date_in(relative, expression)
            item = known.get(name)
            if item is None or not _fits(item, file, when):
                item = item_of(file, name, collection, when or _date_of(file))
            items.append((item, file))
        except EarthloomError as error:
            report.rejected.append((relative, str(error)))
    ingest_items(catalogue, document, items, report, progress, grows=True)
    report.seconds = time.monotonic() - started
    return report


def item_of(file: Path, name: str, collection: str, when: str) -> dict[str, Any]:
    """A GeoTIFF as STAC item; its footprint is that of the image, in degrees.

    Raises
    ------
    ReadError
        If the file cannot be read, or does not say where it lies.
    """
    head = header(str(file))
    shape = footprint(_outline(head), "footprint")
    bands: list[dict[str, Any]] = []
    for band in head.bands:
        label = band.description or (f"band{band.index}" if len(head.bands) > 1 else "data")
        entry: dict[str, Any] = {"name": label, "data_type": band.dtype}
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
        "id": name,
        "collection": collection,
        "geometry": json.loads(shapely.to_geojson(shape)),
        "bbox": [float(v) for v in rectangles(np.array([shape]))[0]],
        # A file that is written anew gets another item, although all else may be equal.
        "properties": {"datetime": when, _STATE: _state(file)},
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


def _files(path: Path) -> tuple[Path, list[Path]]:
    """The folder that ids count from, and the GeoTIFFs."""
    wild = next((n for n, part in enumerate(path.parts) if any(c in part for c in "*?[")), None)
    if wild is not None and not path.exists():
        root = Path(*path.parts[:wild]).resolve()
        found = root.glob(str(Path(*path.parts[wild:])))
    else:
        root, found = path.resolve(), path.resolve().rglob("*")
        if root.is_file():
            return root.parent, [root]
    return root, sorted(file for file in found if file.suffix.lower() in SUFFIXES and file.is_file())


def _known(catalogue: Catalogue, collection: str) -> dict[str, dict[str, Any]]:
    """The items of the collection, by id; none if there is no collection."""
    if not catalogue.collections([collection]):
        return {}
    items: dict[str, dict[str, Any]] = {}
    token = None
    while True:
        page = catalogue.search(Search(collection), token=token)
        items |= {item["id"]: item for item in map(json.loads, page.items)}
        if (token := page.next) is None:
            return items


def _fits(item: dict[str, Any], file: Path, when: str | None) -> bool:
    """Whether an item still tells of this state of the file, and of the date wanted."""
    properties, asset = item["properties"], item["assets"].get("data", {})
    same = properties.get(_STATE) == _state(file) and asset.get("href") == str(file)
    return same and when in (None, properties["datetime"])


def _state(file: Path) -> str:
    """Which state of a file: from its size and the time of its last change."""
    stat = file.stat()
    return hashlib.sha256(f"{stat.st_size} {stat.st_mtime_ns}".encode()).hexdigest()[:16]


def _outline(head: Header) -> dict[str, Any]:
    """The edge of an image in degrees, GeoJSON; it may run across 180 or round a pole."""
    x0, y0, x1, y1 = head.bounds
    steps, full = np.linspace(0.0, 1.0, EDGE_POINTS + 1)[:-1], np.ones(EDGE_POINTS)
    # Counter-clockwise as seen in the projection: round a pole the direction tells which side is inside.
    x = x0 + np.concatenate([steps, full, 1 - steps, 0 * full]) * (x1 - x0)
    y = y0 + np.concatenate([0 * full, steps, full, 1 - steps]) * (y1 - y0)
    lon, lat = to_lonlat(head.epsg).transform(x, y)
    if not (np.isfinite(lon).all() and np.isfinite(lat).all()):
        name = Path(head.path).name
        raise ReadError(f"{name} reaches beyond where its projection EPSG:{head.epsg} is defined.", file=head.path)
    ring = np.column_stack([np.round(lon, 7), np.round(lat, 7)]).tolist()
    return {"type": "Polygon", "coordinates": [[*ring, ring[0]]]}


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


def _date_in(path: str, expression: re.Pattern[str] | None) -> str | None:
    """The date in a path, if one is looked for."""
    if expression is None:
        return None
    match = expression.search(path)
    if match is None:
        raise InvalidArgument("The pattern finds no date in the path.")
    compact = re.fullmatch(r"(\d{4})(\d{2})(\d{2})", match["date"])
    return times.to_text(times.parse("-".join(compact.groups()) if compact else match["date"]))


def _date_of(file: Path) -> str:
    """The date that a file's tags tell."""
    with open_level(str(file)) as dataset:
        acquired = dataset.tags(ns="IMAGERY").get("ACQUISITIONDATETIME")
        written = dataset.tags().get("TIFFTAG_DATETIME", "")
    if acquired:
        return times.to_text(times.parse(acquired))
    match = re.fullmatch(r"(\d{4}):(\d{2}):(\d{2}) (\d{2}:\d{2}:\d{2})", written)
    if match is None:
        raise InvalidArgument(
            "The file tells no date.", hint="Give one for all files, or a pattern with a group date.", file=str(file)
        )
    return times.to_text(times.parse(f"{match[1]}-{match[2]}-{match[3]}T{match[4]}"))
