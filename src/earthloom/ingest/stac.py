"""The door for static STAC: a catalogue, a collection, an ItemCollection or an item, as files."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from earthloom.base.errors import EarthloomError, InvalidArgument, ReadError
from earthloom.catalog.normalise import Band, bands_of, epsg_of, times_of
from earthloom.catalog.protocol import Catalogue
from earthloom.ingest.report import Progress, Report, silent
from earthloom.ingest.statistics import band_documents
from earthloom.raster.header import header

Found = tuple[dict[str, Any], Path]  # an item, and the file it stands in


def ingest_stac(catalogue: Catalogue, path: Path, progress: Progress = silent) -> Report:
    """Take up all collections and items below a STAC file; each collection is one transaction.

    Every file of an item is opened: an item with a missing or corrupt file is refused with its reason, the others go
    on. Taking up the same files again changes nothing.

    Parameters
    ----------
    catalogue
        Where they go.
    path
        A Catalog, Collection, ItemCollection or Item (JSON).
    progress
        Is told (done, total, collection).

    Raises
    ------
    ReadError
        If the file itself, or one that it links to, is missing or no STAC.
    InvalidArgument
        If an item names no collection.
    """
    started = time.monotonic()
    report = Report()
    for collection, items in _collections(Path(path).resolve()):
        ingest_items(catalogue, collection, items, report, progress)
    if not report.collections:
        raise ReadError(f"{path} leads to no STAC item.", file=str(path))
    report.seconds = time.monotonic() - started
    return report


def ingest_items(
    catalogue: Catalogue, collection: dict[str, Any], items: list[Found], report: Report, progress: Progress = silent
) -> None:
    """Take up the items of one collection, with what is known of its bands."""
    name = str(collection["id"])
    good: list[tuple[int, Found, list[Band]]] = []
    for done, (item, file) in enumerate(items):
        progress(done, len(items), name)
        try:
            bands = bands_of(item, collection, str(file))
            for href in dict.fromkeys(b.asset.href for b in bands):
                header(href)
            good.append((times_of(item)[0], (item, file), bands))
        except EarthloomError as error:
            report.rejected.append((str(item.get("id", file)), str(error)))
    good.sort(key=lambda g: g[0])
    document = {**collection, "bands": band_documents([bands for _, _, bands in good])}
    epsg = next((e for _, (item, _), _ in good if (e := epsg_of(item)) is not None), None)
    if epsg is None and good and good[0][2]:
        epsg = header(good[0][2][0].asset.href).epsg
    if epsg is not None:
        document["earthloom:epsg"] = epsg
    catalogue.put_collection(document)
    put = catalogue.put(name, [item for _, (item, _), _ in good], bases=[str(file) for _, (_, file), _ in good])
    report.count(put)
    report.collections.append(name)
    progress(len(items), len(items), name)


def _collections(path: Path) -> Iterator[tuple[dict[str, Any], list[Found]]]:
    """Each collection below a file, with its items."""
    document = _read(path)
    kind = document.get("type")
    if kind in ("Catalog", "Collection"):
        items = [(_read(file), file) for file in _linked(document, path, "item")]
        if kind == "Collection":
            yield document, items
        elif items:
            yield from _loose(items)
        for file in _linked(document, path, "child"):
            yield from _collections(file)
    elif kind == "FeatureCollection":
        yield from _loose([(item, path) for item in document.get("features", [])])
    elif kind == "Feature":
        yield from _loose([(document, path)])
    else:
        raise ReadError(f"{path} is no STAC: its type is {kind!r}.", file=str(path))


def _loose(items: list[Found]) -> Iterator[tuple[dict[str, Any], list[Found]]]:
    """Items outside of a collection's file, by the collection that they name."""
    by_name: dict[str, list[Found]] = {}
    for item, file in items:
        name = item.get("collection")
        if not isinstance(name, str):
            raise InvalidArgument(
                f'Item "{item.get("id")}" of {file} names no collection.', hint='Write "collection": "my-collection".'
            )
        by_name.setdefault(name, []).append((item, file))
    for name, found in by_name.items():
        links = [link for item, file in found[:1] for link in _linked(item, file, "collection")]
        yield (_read(links[0]) if links else {"type": "Collection", "id": name, "description": name}), found


def _read(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ReadError(f"{path} cannot be read: {error.strerror}.", file=str(path)) from None
    except ValueError as error:
        raise ReadError(f"{path} is no JSON: {error}.", file=str(path)) from None
    if not isinstance(document, dict):
        raise ReadError(f"{path} is no STAC: it is no JSON object.", file=str(path))
    return document


def _linked(document: dict[str, Any], path: Path, rel: str) -> list[Path]:
    """The files that a document links to."""
    hrefs = [str(link.get("href", "")) for link in document.get("links", []) if link.get("rel") == rel]
    for href in hrefs:
        if "://" in href and not href.startswith("file://"):
            raise ReadError(f"{path} links to {href}, which is no file.", file=str(path))
    return [(path.parent / unquote(urlsplit(href).path)).resolve() for href in hrefs]
