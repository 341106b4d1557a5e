"""Items of one collection into the catalogue: files looked at, bands described, one transaction."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson

from earthloom.base import times
from earthloom.base.errors import EarthloomError, ReadError
from earthloom.catalog.item import Record, records, union
from earthloom.catalog.normalise import Band, bands_of, epsg_of
from earthloom.catalog.protocol import Bbox, Catalogue, Search
from earthloom.ingest.report import Progress, Report, silent
from earthloom.ingest.statistics import ITEMS_A_BAND, band_documents, spread
from earthloom.raster.header import header

Found = tuple[dict[str, Any], Path]  # an item, and the file that it stands in

_OURS = ("bands", "earthloom:epsg")  # what we add to a collection's document


def ingest_items(
    catalogue: Catalogue,
    collection: dict[str, Any],
    items: list[Found],
    report: Report,
    progress: Progress = silent,
    *,
    grows: bool = False,
) -> None:
    """Take up items of one collection in one transaction, and describe the collection's bands.

    Files are opened of items that are new or changed only, and statistics are made only if there are such: taking up
    the same items again is quick.

    Parameters
    ----------
    catalogue
        Where they go.
    collection
        The collection's document.
    items
        Its items, or some more of them.
    report
        Is told what was put, and what was refused.
    progress
        Is told (done, total, collection).
    grows
        Whether the document's extent follows the items: where no producer has written it.
    """
    name = str(collection["id"])
    before = next(iter(catalogue.collections([name])), None)
    known = _known(catalogue, name, [item for item, _ in items]) if before else {}
    document = {key: value for key, value in collection.items() if key not in _OURS}
    changed = before is None or {k: v for k, v in before.items() if k not in _OURS} != document or "bands" not in before
    good: list[tuple[Record, Found, list[Band]]] = []
    for done, (found, record) in enumerate(zip(items, records([item for item, _ in items], name), strict=True)):
        progress(done, len(items), name)
        item, file = found
        try:
            if not isinstance(record, Record):
                report.rejected.append((str(item.get("id", file)), record))
                continue
            bands = bands_of(item, document, str(file))
            if known.get(record.id) != (orjson.dumps(item), str(file)):
                changed = True
                for href in dict.fromkeys(band.asset.href for band in bands):
                    report.files += 1
                    header(href)
            good.append((record, found, bands))
        except EarthloomError as error:
            report.rejected.append((str(item.get("id", file)), str(error)))
    if changed:
        if grows:
            document["extent"] = _extent([record for record, _, _ in good], document.get("extent"))
        good.sort(key=lambda g: g[0].t_ms)
        old = [] if before is None else before.get("bands", [])
        document |= _bands(catalogue, document, good, old, elsewhere=before is not None)
    else:
        document |= {key: before[key] for key in _OURS if before and key in before}
    catalogue.put_collection(document)
    texts, bases = [item for _, (item, _), _ in good], [str(file) for _, (_, file), _ in good]
    report.count(name, catalogue.put(name, texts, bases=bases))
    progress(len(items), len(items), name)


def standing(catalogue: Catalogue, name: str, description: str, title: str = "") -> dict[str, Any]:
    """The collection that is there, under the title given; else one made up for items that come without."""
    made_up = {
        "type": "Collection",
        "stac_version": "1.1.0",
        "id": name,
        "title": name,
        "description": description,
        "license": "other",
        "links": [],
    }
    document = next(iter(catalogue.collections([name])), made_up)
    return document | {"title": title} if title else document


def _known(catalogue: Catalogue, name: str, items: list[dict[str, Any]]) -> dict[str, tuple[bytes, str]]:
    """What the catalogue has of these items: text and base by id."""
    ids = tuple(str(item.get("id")) for item in items)
    page = catalogue.search(Search(name, ids=ids), page=max(1, len(ids)))
    return {orjson.loads(text)["id"]: (text, base) for text, base in zip(page.items, page.bases, strict=True)}


def _bands(
    catalogue: Catalogue,
    document: dict[str, Any],
    good: list[tuple[Record, Found, list[Band]]],
    old: list[dict[str, Any]],
    *,
    elsewhere: bool,
) -> dict[str, Any]:
    """`bands` and `earthloom:epsg` of a collection from these items and, if it has others, from some of those."""
    dated = [(record.t_ms, item, bands) for record, (item, _), bands in good]
    if elsewhere:
        here = {record.id for record, _, _ in good}
        others = [f for f in reversed(catalogue.cover(Search(document["id"]))[0]) if f.id not in here]
        chosen = {f.id: f.t_ms for f in spread(others, ITEMS_A_BAND)}
        page = catalogue.search(Search(document["id"], ids=tuple(chosen)))
        for text, base in zip(page.items, page.bases, strict=True):
            item = orjson.loads(text)
            dated.append((chosen[item["id"]], item, bands_of(item, document, base)))
        dated.sort(key=lambda d: d[0])
    touched = {band.asset.band for _, _, bands in good for band in bands}
    described: dict[str, Any] = {"bands": band_documents([bands for _, _, bands in dated], old, touched)}
    epsg = next((code for _, item, bands in dated if (code := _epsg(item, bands)) is not None), None)
    return described if epsg is None else described | {"earthloom:epsg": epsg}


def _epsg(item: dict[str, Any], bands: list[Band]) -> int | None:
    """The coordinate system of an item: what it says, else what its first file says."""
    if (code := epsg_of(item)) is not None or not bands:
        return code
    try:
        return header(bands[0].asset.href).epsg
    except ReadError:
        return None  # an item of an earlier ingestion whose file is gone; another item will tell


def _extent(good: list[Record], before: dict[str, Any] | None) -> dict[str, Any]:
    """STAC's extent of a collection: what it was, grown by these items."""
    boxes: list[Bbox] = [record.bbox for record in good if record.bbox is not None]
    moments = [times.to_text(times.from_ms(ms)) for record in good for ms in (record.t_ms, record.t2_ms)]
    if before is not None:
        boxes += [(b[0], b[1], b[2], b[3]) for b in before["spatial"]["bbox"]]
        moments += [moment for moment in before["temporal"]["interval"][0] if moment]
    box = union(boxes) or (-180.0, -90.0, 180.0, 90.0)
    interval = [min(moments), max(moments)] if moments else [None, None]
    return {"spatial": {"bbox": [list(box)]}, "temporal": {"interval": [interval]}}
