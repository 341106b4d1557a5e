"""The door for static STAC: a catalogue, a collection, an ItemCollection or an item, as files."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from earthloom.base.errors import ReadError
from earthloom.catalog.protocol import Catalogue
from earthloom.ingest.items import Found, ingest_items, standing
from earthloom.ingest.report import Progress, Report, silent


def ingest_stac(catalogue: Catalogue, path: Path, progress: Progress = silent) -> Report:
    """Take up all collections and items below a STAC file; each collection is one transaction.

    The files of an item are opened: an item with a missing or corrupt file is refused with its reason, as is a linked
    STAC file that cannot be read; the others go on. Taking up the same files again changes nothing.

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
        If the file itself is missing or no STAC, or leads to no collection.
    """
    started = time.monotonic()
    report = Report()
    for found in _walk(Path(path).resolve(), report):
        document = found.document or standing(catalogue, found.id, f"Items of {Path(path).name}")
        ingest_items(catalogue, document, found.items, report, progress, grows=found.document is None)
    if not report.collections:
        reasons = "".join(f" {what}: {why}" for what, why in report.rejected[:3])
        raise ReadError(f"{path} leads to no STAC item.{reasons}", file=str(path))
    report.seconds = time.monotonic() - started
    return report


@dataclass(slots=True)
class _Collection:
    """A collection: its id, its document if there is one, its items."""

    id: str
    document: dict[str, Any] | None = None
    items: list[Found] = field(default_factory=list)


def _walk(path: Path, report: Report) -> Iterator[_Collection]:
    """Each collection below a file, with its items; what cannot be read below it goes into the report."""
    loose: list[Found] = []
    waiting, met = [path], {path}
    while waiting:
        file = waiting.pop(0)
        try:
            document = _read(file)
            kind = document.get("type")
            if kind in ("Catalog", "Collection"):
                items = list(_linked_items(document, file, report))
                if kind == "Collection" and isinstance(document.get("id"), str):
                    yield _Collection(document["id"], document, items)
                else:
                    loose += items
                children = [child for child in dict.fromkeys(_linked(document, file, "child")) if child not in met]
                met.update(children)
                waiting = children + waiting
            elif kind == "FeatureCollection":
                loose += [(item, file) for item in document.get("features", []) if isinstance(item, dict)]
            elif kind == "Feature":
                loose.append((document, file))
            else:
                raise ReadError(f"{file} is no STAC: its type is {kind!r}.", file=str(file))
        except ReadError as error:
            if file == path:
                raise
            report.rejected.append((str(file), error.message))
    yield from _gathered(loose, report)


def _linked_items(document: dict[str, Any], path: Path, report: Report) -> Iterator[Found]:
    for file in _linked(document, path, "item"):
        try:
            yield _read(file), file
        except ReadError as error:
            report.rejected.append((str(file), error.message))


def _gathered(loose: list[Found], report: Report) -> Iterator[_Collection]:
    """Items outside of a collection's file, by the collection that they name."""
    by_name: dict[str, _Collection] = {}
    for item, file in loose:
        name = item.get("collection")
        if not isinstance(name, str):
            report.rejected.append((str(item.get("id", file)), 'it names no collection; write "collection": "my-data"'))
            continue
        if name not in by_name:
            by_name[name] = _parent(name, item, file)
        by_name[name].items.append((item, file))
    yield from by_name.values()


def _parent(name: str, item: dict[str, Any], file: Path) -> _Collection:
    """The collection that an item names, with the document that it links to, if that is to be had."""
    try:
        for link in _linked(item, file, "collection"):
            document = _read(link)
            if document.get("id") == name:
                return _Collection(name, document)
    except ReadError:
        pass  # an item on its own, cut off from its catalogue
    return _Collection(name)


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
    links = [link for link in document.get("links") or () if isinstance(link, dict) and link.get("rel") == rel]
    hrefs = [str(link.get("href", "")) for link in links]
    for href in hrefs:
        if "://" in href and not href.startswith("file://"):
            raise ReadError(f"{path} links to {href}, which is no file.", file=str(path))
    return [(path.parent / unquote(urlsplit(href).path)).resolve() for href in hrefs]
