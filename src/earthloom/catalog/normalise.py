"""What an item says, made regular: when it is, in which coordinate system, and which bands its files hold.

Producers write the same facts in two versions of STAC (1.0 with `eo:bands` and `raster:bands`, 1.1 with `bands`),
on the band, the asset or the collection. Here they become one form; the item itself stays as delivered.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

from earthloom.base import times
from earthloom.base.asset import Asset
from earthloom.base.errors import InvalidArgument, ReadError

_NO_DATA_ROLES = {"thumbnail", "overview", "metadata"}
_RASTER_TYPES = ("image/tiff", "image/vnd.stac.geotiff", "image/x.geotiff", "image/jp2")
_RASTER_ENDINGS = (".tif", ".tiff", ".jp2")
_DTYPES = {"int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32", "float64"}

# The names of STAC 1.1 for what STAC 1.0 says in an asset's `eo:bands` and `raster:bands`.
_EO_BANDS = {"name": "name", "common_name": "eo:common_name", "center_wavelength": "eo:center_wavelength"}
_RASTER_BANDS = {
    "data_type": "data_type",
    "nodata": "nodata",
    "unit": "unit",
    "scale": "raster:scale",
    "offset": "raster:offset",
    "spatial_resolution": "raster:spatial_resolution",
    "classification:classes": "classification:classes",
}
_OF_ASSET = (*_RASTER_BANDS.values(), "eo:common_name", "eo:center_wavelength")
_OF_BAND = ("name", *_OF_ASSET)

# ESA, Sentinel-2 processing baseline 04.00 (January 2022): reflectances are stored with 1000 added.
_BASELINE_WITH_OFFSET = 4.0
_BASELINE_OFFSET = -1000.0
_SENTINEL2_BAND = re.compile(r"B(0?[1-9]|1[0-2]|8A)$")


@dataclass(frozen=True, slots=True)
class Band:
    """A band of an item.

    Parameters
    ----------
    asset
        What to read.
    about
        What is known about it, in the words of STAC 1.1: name, data_type, nodata, unit, raster:scale, raster:offset,
        raster:spatial_resolution, eo:common_name, eo:center_wavelength, title, classification:classes.
    """

    asset: Asset
    about: dict[str, Any]


def times_of(item: Mapping[str, Any]) -> tuple[int, int]:
    """First and last moment of an item, milliseconds since 1970; equal for an item with a `datetime`.

    Raises
    ------
    InvalidArgument
        If it has neither a `datetime` nor both ends, or they are no dates, or the end lies before the start.
    """
    properties = item.get("properties") or {}
    when, ends = properties.get("datetime"), (properties.get("start_datetime"), properties.get("end_datetime"))
    if when is not None:
        start = end = _ms(when)
    elif ends[0] is not None and ends[1] is not None:
        start, end = _ms(ends[0]), _ms(ends[1])
    else:
        raise InvalidArgument("It has no datetime, nor start_datetime and end_datetime.")
    if end < start:
        raise InvalidArgument(f"Its end_datetime {ends[1]} lies before its start_datetime {ends[0]}.")
    return start, end


def updated_of(item: Mapping[str, Any]) -> int | None:
    """When the item was last changed, milliseconds since 1970: its `updated`, else its `created`, else None."""
    properties = item.get("properties") or {}
    stamp = properties.get("updated") or properties.get("created")
    return None if stamp is None else _ms(stamp)


def epsg_of(item: Mapping[str, Any]) -> int | None:
    """EPSG code of the item's files: `proj:code` or `proj:epsg` of the item, else of its first asset that tells."""
    for holder in (item.get("properties") or {}, *(item.get("assets") or {}).values()):
        code = str(holder.get("proj:code") or "")
        if code.upper().startswith("EPSG:") and code[5:].isdigit():
            return int(code[5:])
        if isinstance(holder.get("proj:epsg"), int):
            return int(holder["proj:epsg"])
    return None


def absolute(href: str, base: str) -> str:
    """An address of an item as absolute path or URL.

    Parameters
    ----------
    href
        The address as the item writes it.
    base
        Path or URL of the item; a folder ends with a slash.
    """
    if href.startswith("file://"):
        return unquote(urlsplit(href).path)
    if "://" in href or href.startswith("/vsi"):
        return href
    if base.startswith(("http://", "https://")):
        return urljoin(base, href)
    if href.startswith("/"):
        return href
    scheme, mark, path = base.removeprefix("file://").rpartition("://")
    return scheme + mark + posixpath.normpath(path[: path.rfind("/") + 1] + href)


def assets_of(item: dict[str, Any], collection: dict[str, Any], base: str = "") -> list[Asset]:
    """What can be read of an item: one asset a band of each of its rasters, in the order of the files.

    Scale and offset come from one source: the item's asset; else the collection's `item_assets`; else, for
    Sentinel-2 of processing baseline 04.00 and later, an offset of -1000. Pixels that the provider has shifted
    already (`earthsearch:boa_offset_applied`) have none.

    Parameters
    ----------
    item
        A STAC item.
    collection
        Its collection.
    base
        Where the item was read from; without it, its `self` link tells.

    Raises
    ------
    ReadError
        If an address is relative and nobody tells to what.
    InvalidArgument
        If a scale or an offset is no number.
    """
    return [band.asset for band in bands_of(item, collection, base)]


def bands_of(item: dict[str, Any], collection: dict[str, Any], base: str = "") -> list[Band]:
    """The bands of an item with all that is known about them; see `assets_of`.

    A band is called by its name, else by the key of its asset. Of two with one name in an item, that of a picture
    made for the eye (role `visual`), else the later one, gets the key of its asset before it.
    """
    where = base or next((li["href"] for li in item.get("links") or () if li.get("rel") == "self"), "")
    known = {band["name"]: band for band in collection.get("bands") or ()}
    models = collection.get("item_assets") or {}
    found: list[tuple[str, int, dict[str, Any], dict[str, Any]]] = []
    for key, asset in (item.get("assets") or {}).items():
        model = models.get(key) or {}
        if _is_raster(model | asset):
            abouts = _abouts(key, asset, model, item)
            found += [(key, index, asset, about) for index, about in enumerate(abouts, 1)]
    names = _names([(key, about, "visual" in (asset.get("roles") or ())) for key, _, asset, about in found])
    bands = []
    for name, (_, index, asset, about) in zip(names, found, strict=True):
        href = absolute(asset["href"], where)
        if not where and not (href.startswith("/") or "://" in href):
            raise ReadError(
                f'Item "{item["id"]}" gives the relative address "{href}", and nobody tells to what.',
                hint="Ingest the item from its file, or give it a link `self`.",
                item=item["id"],
                file=href,
            )
        dtype = about.get(
            "data_type", known.get(name, {}).get("data_type", Asset.__dataclass_fields__["dtype"].default)
        )
        about = {"name": name} | {k: v for k, v in about.items() if k != "name"}
        nodata = about.get("nodata")
        bands.append(
            Band(
                Asset(
                    item=item["id"],
                    band=name,
                    href=href,
                    index=index,
                    dtype=dtype,
                    scale=about["raster:scale"],
                    offset=about["raster:offset"],
                    nodata=None if nodata is None else float(nodata),
                ),
                about,
            )
        )
    return bands


def _ms(text: Any) -> int:
    if not isinstance(text, str):
        raise InvalidArgument(f"{text!r} is not a date.")
    return times.to_ms(times.parse(text))


def _is_raster(asset: Mapping[str, Any]) -> bool:
    roles = set(asset.get("roles") or ())
    if not isinstance(asset.get("href"), str) or (roles and roles <= _NO_DATA_ROLES):
        return False
    kind = str(asset.get("type") or "").lower()
    if kind:
        return kind.startswith(_RASTER_TYPES)
    declares = any(asset.get(k) for k in ("bands", "raster:bands", "eo:bands"))
    return declares or urlsplit(asset["href"]).path.lower().endswith(_RASTER_ENDINGS)


def _abouts(key: str, asset: dict[str, Any], model: dict[str, Any], item: dict[str, Any]) -> list[dict[str, Any]]:
    own, modelled = _declared(asset), _declared(model)
    count = max(len(own), len(modelled), 1)
    abouts = []
    for n in range(count):
        mine = own[n] if n < len(own) else _shared(asset)
        theirs = modelled[n] if n < len(modelled) else _shared(model)
        about = theirs | mine
        about["name"] = str(about.get("name") or (key if count == 1 else f"{key}_{n + 1}"))
        title = asset.get("title") or model.get("title")
        if title:
            about["title"] = title
        if about.get("data_type") not in _DTYPES:
            about.pop("data_type", None)
        if "nodata" in about and not _is_number(about["nodata"]):
            del about["nodata"]
        scale, offset = _scale(mine, theirs, item, _is_reflectance(key, about, count))
        try:
            about["raster:scale"], about["raster:offset"] = float(scale), float(offset)
        except (TypeError, ValueError):
            raise InvalidArgument(
                f'Item "{item["id"]}" gives band {about["name"]} the scale {scale!r} and the offset {offset!r}.',
                hint="Both must be numbers.",
                item=item["id"],
                band=about["name"],
            ) from None
        abouts.append(about)
    return abouts


def _declared(asset: Mapping[str, Any]) -> list[dict[str, Any]]:
    new, eo, raster = (asset.get(k) or [] for k in ("bands", "eo:bands", "raster:bands"))
    bands = []
    for n in range(max(len(new), len(eo), len(raster))):
        about = _shared(asset)
        for source, words in ((eo, _EO_BANDS), (raster, _RASTER_BANDS)):
            if n < len(source):
                about |= {
                    ours: source[n][theirs] for theirs, ours in words.items() if source[n].get(theirs) is not None
                }
        if n < len(new):
            about |= {word: new[n][word] for word in _OF_BAND if new[n].get(word) is not None}
        bands.append(about)
    return bands


def _shared(asset: Mapping[str, Any]) -> dict[str, Any]:
    return {word: asset[word] for word in _OF_ASSET if asset.get(word) is not None}


def _scale(
    mine: Mapping[str, Any], theirs: Mapping[str, Any], item: Mapping[str, Any], reflectance: bool
) -> tuple[Any, Any]:
    properties = item.get("properties") or {}
    shifted = properties.get("earthsearch:boa_offset_applied") is True
    for source in (mine, theirs):
        if "raster:scale" in source or "raster:offset" in source:
            return source.get("raster:scale", 1.0), 0.0 if shifted else source.get("raster:offset", 0.0)
    return 1.0, _BASELINE_OFFSET if reflectance and not shifted and _has_baseline_offset(properties) else 0.0


def _has_baseline_offset(properties: Mapping[str, Any]) -> bool:
    mission = str(properties.get("constellation") or properties.get("platform") or "").lower()
    baseline = properties.get("s2:processing_baseline") or properties.get("processing:version")
    return mission.startswith("sentinel-2") and _is_number(baseline) and float(str(baseline)) >= _BASELINE_WITH_OFFSET


def _is_reflectance(key: str, about: Mapping[str, Any], count: int) -> bool:
    # A picture of three bands is no reflectance, whatever its bands are called.
    named = any(_SENTINEL2_BAND.match(name) for name in (key, about["name"]))
    return count == 1 and (named or "eo:center_wavelength" in about)


def _is_number(value: Any) -> bool:
    """Whether it is a number, or a text that is one ("nan" and "inf" among them, as STAC writes no-data values)."""
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return not isinstance(value, bool)


def _names(bands: list[tuple[str, dict[str, Any], bool]]) -> list[str]:
    names: list[str] = [""] * len(bands)
    taken: set[str] = set()
    for n in sorted(range(len(bands)), key=lambda n: bands[n][2]):
        key, about, _ = bands[n]
        name = str(about["name"])
        if name in taken:
            alone = sum(other == key for other, _, _ in bands) == 1
            name = key if alone and key not in taken else f"{key}_{name}"
        taken.add(name)
        names[n] = name
    return names
