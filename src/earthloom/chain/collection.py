"""`ImageCollection`: which items, as data. Immutable and lazy; filters select items and crop nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from earthloom.base import times
from earthloom.base.errors import InvalidArgument, nearest
from earthloom.chain import show
from earthloom.chain.build import Chain
from earthloom.chain.canonical import plain
from earthloom.chain.graph import Callback, Node, Parameter, to_json
from earthloom.chain.session import current
from earthloom.chain.steps import period

OPERATORS = {"<": "lt", "<=": "lte", ">": "gt", ">=": "gte", "=": "eq", "==": "eq", "!=": "neq"}


@dataclass(frozen=True, eq=False, repr=False)
class ImageCollection:
    """The items of a collection, narrowed by filters.

    Every method gives a new collection. Names are checked at the first contact with a server.

    Parameters
    ----------
    id
        Id of the collection.
    """

    id: str
    interval: tuple[str | None, str | None] | None = None
    intersects: Mapping[str, Any] | None = None
    place: str = ""
    conditions: tuple[tuple[str, str, Any], ...] = ()
    order: tuple[tuple[str, bool], ...] = ()
    most: int | None = None

    def filter_date(self, start: str | date | None, end: str | date | None = None) -> ImageCollection:
        """Keep items of a period, UTC; both ends are included as days, months or years.

        Parameters
        ----------
        start, end
            2020, 2020-05, 2020-05-18 or a date-time; None is open. Without `end` the period is `start` itself.
        """
        if self.interval is not None:
            raise InvalidArgument("The collection has a date filter already.", hint="Start from the collection again.")
        if start is None and end is None:
            raise InvalidArgument("filter_date needs a start or an end.", argument="start")
        last = end if end is not None or start is None else start
        bounds = (
            None if start is None else times.to_text(times.parse(start)),
            None if last is None or (end is None and start is None) else times.to_text(times.parse_end(last)),
        )
        if bounds[0] and bounds[1] and bounds[0] >= bounds[1]:
            raise InvalidArgument(f"The period {start} to {end} ends before it starts.", argument="end")
        return replace(self, interval=bounds)

    def filter_place(self, name: str, country: str | None = None, enlarge: float = 0) -> ImageCollection:
        """Keep items that meet a place; the server is asked for it at once.

        Parameters
        ----------
        name
            Name of a place, province or country; accents and case do not matter.
        country
            ISO code of the country, where a name is not unique.
        enlarge
            Degrees by which a rectangle around the place grows on each side.
        """
        self._no_place_yet()
        found = current().place(name, country)
        geometry, text = found["geometry"], f"{found['name']}, {found['country']}"
        if enlarge:
            west, south, east, north = found["bbox"]
            geometry = _rectangle((west - enlarge, max(south - enlarge, -90), east + enlarge, min(north + enlarge, 90)))
            text += f", enlarged by {enlarge:g} degrees"
        return replace(self, intersects=geometry, place=text)

    def filter_bounds(self, area: Sequence[float] | Mapping[str, Any]) -> ImageCollection:
        """Keep items that meet a box (west, south, east, north in degrees) or a GeoJSON geometry."""
        self._no_place_yet()
        if isinstance(area, Mapping):
            return replace(self, intersects=plain(area.get("geometry", area)))
        if len(area) != 4:
            raise InvalidArgument("A box is west, south, east, north in degrees.", argument="area")
        west, south, east, north = (float(v) for v in area)
        return replace(self, intersects=_rectangle((west, south, east, north)))

    def filter(self, property: str, op: str, value: Any) -> ImageCollection:
        """Keep items whose property meets a condition, such as `filter("eo:cloud_cover", "<=", 20)`."""
        if op not in OPERATORS:
            raise InvalidArgument(
                f'"{op}" is no comparison.', near=nearest(op, OPERATORS), hint="< <= > >= = !=", argument="op"
            )
        return replace(self, conditions=(*self.conditions, (property, OPERATORS[op], plain(value))))

    def sort(self, property: str, ascending: bool = True) -> ImageCollection:
        """Order the items by a property; after it the newest first. The first item of a mosaic lies on top."""
        return replace(self, order=(*self.order, (property, ascending)))

    def limit(self, count: int) -> ImageCollection:
        """Keep the first `count` items in the order."""
        if count < 1:
            raise InvalidArgument(f"A limit of {count} leaves nothing.", argument="count")
        return replace(self, most=count)

    def mosaic(self) -> Chain:
        """Start a chain: the items laid over each other, the first valid pixel wins (bands, y, x)."""
        return Chain.of("mosaic", {"data": self._node(None)})

    def cube(self, bands: Sequence[str] | None = None) -> Chain:
        """Start a chain: all dates (t, bands, y, x), lazily."""
        return Chain(self._node([bands] if isinstance(bands, str) else bands))

    def count(self) -> int:
        """Number of items."""
        return int(current().search(self.graph)["matched"])

    def items(self) -> list[dict[str, Any]]:
        """The STAC items, in order."""
        return list(current().search(self.graph, items=True)["items"])

    @property
    def graph(self) -> dict[str, Any]:
        """The selection as an openEO process graph."""
        return to_json(self._node(None))

    def _node(self, bands: Sequence[str] | None) -> Node:
        arguments: dict[str, Any] = {
            "id": self.id,
            "spatial_extent": None,
            "temporal_extent": None if self.interval is None else list(self.interval),
        }
        if bands is not None:
            arguments["bands"] = list(bands)
        if self.conditions:
            arguments["properties"] = self._properties()
        load = Chain.of("load_collection", arguments).node
        if self.intersects is None and not self.order and self.most is None:
            return load
        chosen: dict[str, Any] = {"data": load}
        if self.intersects is not None:
            chosen["intersects"] = dict(self.intersects)
        if self.order:
            chosen["sort"] = [list(o) for o in self.order]
        if self.most is not None:
            chosen["limit"] = self.most
        return Node("select_items", chosen, description=self.place)

    def _properties(self) -> dict[str, Callback]:
        properties: dict[str, Callback] = {}
        for name, process_id, value in self.conditions:
            node = Node(process_id, {"x": Parameter("value"), "y": value})
            if name in properties:
                node = Node("and", {"x": properties[name].result, "y": node})
            properties[name] = Callback(node)
        return properties

    def _no_place_yet(self) -> None:
        if self.intersects is not None:
            raise InvalidArgument("The collection has a place already.", hint="Start from the collection again.")

    def filters(self) -> list[str]:
        """The filters as short texts."""
        signs = {v: k for k, v in OPERATORS.items() if k != "=="}
        return [
            *([self.place or "inside an area"] if self.intersects is not None else []),
            *([period(*self.interval)] if self.interval else []),
            *(f"{name} {signs[op]} {value}" for name, op, value in self.conditions),
            *(f"by {name}{'' if up else ', falling'}" for name, up in self.order),
            *([f"the first {self.most}"] if self.most is not None else []),
        ]

    def __repr__(self) -> str:
        return show.collection_text({"id": self.id, **current().search(self.graph)}, self.filters())

    def _repr_html_(self) -> str:
        return show.collection_html({"id": self.id, **current().search(self.graph)}, self.filters())


def _rectangle(box: tuple[float, float, float, float]) -> dict[str, Any]:
    west, south, east, north = box
    if not (-90 <= south <= north <= 90):
        raise InvalidArgument(f"The box {box} has no latitudes from south to north.", argument="area")

    def ring(w: float, e: float) -> list[list[float]]:
        return [[w, south], [e, south], [e, north], [w, north], [w, south]]

    if west <= east:
        return {"type": "Polygon", "coordinates": [ring(west, east)]}
    return {"type": "MultiPolygon", "coordinates": [[ring(west, 180.0)], [ring(-180.0, east)]]}
