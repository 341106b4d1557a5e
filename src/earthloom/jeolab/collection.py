"""`ImageCollection` as the original has it: every filter changes the collection and gives it back."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import replace
from datetime import date
from typing import Any

from earthloom.base.errors import InvalidArgument
from earthloom.chain import collection
from earthloom.jeolab.calls import number, told, whole
from earthloom.jeolab.paths import Path, resolve
from earthloom.jeolab.process import ImageProcess

# The original's attributes of images, and the properties of STAC items.
ATTRIBUTES = {"cloudcover": "eo:cloud_cover", "cloudcoverpercentage": "eo:cloud_cover"}

_in_use: list[ImageCollection] = []  # the last one made or changed


class ImageCollection:
    """Which images, as filters that change it in place. Of two filters of one kind the last one counts.

    Parameters
    ----------
    name
        A path in `collections`, a short name ("S2"), or the id of a collection.
    """

    def __init__(self, name: Path | str) -> None:
        self.items = collection.ImageCollection(resolve(name))
        self.last_bands: tuple[str, ...] = ()  # of the last processMulti
        _in_use[:] = [self]

    @told
    def filterOnGeoName(self, name: str, enlargeByDegree: float = 0, countryCode: str = "") -> ImageCollection:
        """Keep images that meet a place, found by its name; its rectangle grows by some degrees."""
        enlarge = number(enlargeByDegree, "filterOnGeoName", "enlargeByDegree")
        anywhere = replace(self.items, intersects=None, place="")
        return self._become(anywhere.filter_place(name, countryCode or None, enlarge))

    @told
    def filterOnRect(self, lonmin: float, latmin: float, lonmax: float, latmax: float) -> ImageCollection:
        """Keep images that meet a rectangle in degrees, longitude first."""
        sides = {"lonmin": lonmin, "latmin": latmin, "lonmax": lonmax, "latmax": latmax}
        box = [number(value, "filterOnRect", name) for name, value in sides.items()]
        return self._become(replace(self.items, intersects=None, place="").filter_bounds(box))

    @told
    def filterOnLocation(self, lon: float, lat: float) -> ImageCollection:
        """Keep images that hold a place, given in degrees, longitude first."""
        place = [number(value, "filterOnLocation", name) for name, value in (("lon", lon), ("lat", lat))]
        anywhere = replace(self.items, intersects=None, place="")
        return self._become(anywhere.filter_bounds({"type": "Point", "coordinates": place}))

    @told
    def filterOnDay(self, year: int, month: int, day: int) -> ImageCollection:
        """Keep images of one day, UTC."""
        start = _day("filterOnDay", year, month, day)
        return self._become(replace(self.items, interval=None).filter_date(start))

    @told
    def filterOnDate(self, year1: int, month1: int, day1: int, year2: int, month2: int, day2: int) -> ImageCollection:
        """Keep images from one day to another, both included, UTC."""
        start, end = _day("filterOnDate", year1, month1, day1), _day("filterOnDate", year2, month2, day2)
        return self._become(replace(self.items, interval=None).filter_date(start, end))

    @told
    def filterOn(self, attribute: str, operator: str, value: Any) -> ImageCollection:
        """Keep images whose attribute meets a condition, such as `filterOn("cloudcover", "<=", 5)`.

        Attributes are `cloudcover`, `cloudcoverpercentage`, or any property of the STAC items. The original's
        `filterOn("jrc_filepath", "<>", "")`, "the file is there", holds for every image of ours and changes nothing.
        """
        if attribute == "jrc_filepath":
            return self._become(self.items)
        new = self.items.filter(ATTRIBUTES.get(attribute, attribute), "!=" if operator == "<>" else operator, value)
        *before, last = new.conditions
        return self._become(replace(new, conditions=(*(c for c in before if c[:2] != last[:2]), last)))

    @told
    def sort(self, attribute: str, ascending: bool = True) -> ImageCollection:
        """Order the images; the first lies on top. It comes before `limit`, whichever is written first."""
        name = ATTRIBUTES.get(attribute, attribute)
        others = tuple(o for o in self.items.order if o[0] != name)
        return self._become(replace(self.items, order=others).sort(name, bool(ascending)))

    @told
    def limit(self, count: int) -> ImageCollection:
        """Keep the first images in the order."""
        return self._become(self.items.limit(whole(count, "limit", "count")))

    @told
    def count(self) -> int:
        """Number of images."""
        return self.items.count()

    @told
    def copyTo(self) -> ImageCollection:
        """A copy, which later filters of this one do not reach."""
        copied = copy(self)
        _in_use[:] = [copied]
        return copied

    @told
    def process(self) -> ImageProcess:
        """A processing chain over all bands; filters added later do not reach it."""
        return ImageProcess(self.items)

    @told
    def processMulti(self, bands: Sequence[str]) -> ImageProcess:
        """A processing chain over several bands, in this order; `band(0)` picks the first of them."""
        if isinstance(bands, str) or not bands:
            raise InvalidArgument('processMulti takes a list of bands, as ["B04", "B08"].', argument="bands")
        chain = ImageProcess(self.items, tuple(bands))
        self.last_bands = tuple(bands)
        _in_use[:] = [self]
        return chain

    def _become(self, items: collection.ImageCollection) -> ImageCollection:
        self.items = items
        _in_use[:] = [self]
        return self

    def __repr__(self) -> str:
        return repr(self.items)

    def _repr_html_(self) -> str:
        return self.items._repr_html_()


@told
def Collection(path: Path | str) -> ImageCollection:
    """The images of a collection: a path in `collections`, a short name, or an id."""
    return ImageCollection(path)


def in_use() -> ImageCollection:
    """The collection that was made or changed last.

    Raises
    ------
    InvalidArgument
        If there is none yet.
    """
    if not _in_use:
        raise InvalidArgument("There is no collection yet.", hint="Make one: coll = Collection(collections.Sentinel2).")
    return _in_use[-1]


def _day(call: str, *numbers: Any) -> date:
    try:
        return date(*(whole(n, call, name) for n, name in zip(numbers, ("year", "month", "day"), strict=True)))
    except ValueError as error:
        raise InvalidArgument(f"{call}: {'-'.join(map(str, numbers))} is no day: {error}.") from None
