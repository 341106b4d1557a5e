"""What a chain reads: a load with its selection, mosaic and resampling, as one source; and which bands are needed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

from earthloom.base import times
from earthloom.base.errors import InvalidArgument, InvalidGraph, NotFound
from earthloom.catalog.protocol import Bbox, Search
from earthloom.chain.graph import Callback, Node, Parameter, inputs, ordered, references
from earthloom.chain.key import canonical_arguments
from earthloom.processes.define import get_process
from earthloom.raster.reader import Method

Numbers = Literal["physical", "stored", "digital"]

_OPERATORS = {"lt": "<", "lte": "<=", "gt": ">", "gte": ">=", "eq": "=", "neq": "!="}
_FLIPPED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "=": "=", "!=": "!="}


@dataclass(frozen=True, slots=True)
class Source:
    """One thing that a chain reads.

    Parameters
    ----------
    query
        Which items, in which order.
    asked
        Bands that the load node asks for; items that lack all of them are left out.
    bands
        Bands that the chain needs: a part of `asked`, in its order.
    mosaic
        Whether the items are laid over each other, instead of one plane a date.
    method
        Resampling.
    crop
        Box outside of which there is no data, in degrees; None crops nothing.
    numbers
        Physical values, the numbers of the files as stored, or these with their offset taken off.
    """

    query: Search
    asked: tuple[str, ...]
    bands: tuple[str, ...]
    mosaic: bool
    method: Method
    crop: Mapping[str, Any] | None
    numbers: Numbers = "physical"


def source_of(node: Node, bands_of: Callable[[str], tuple[str, ...]], needed: frozenset[str] | None) -> Source:
    """The source that ends in `node`.

    It may be load_collection, select_items, resample_spatial, mosaic or digital_numbers.
    """
    mosaic, method, chosen = False, "near", {}
    numbers: Numbers = "physical"
    while node.process_id != "load_collection":
        arguments = canonical_arguments(get_process(node.process_id), node.arguments)
        if node.process_id == "mosaic":
            mosaic = True
        elif node.process_id == "digital_numbers":
            numbers = "digital"
        elif node.process_id == "resample_spatial":
            if arguments.get("resolution") or arguments.get("projection"):
                raise InvalidArgument(
                    "The grid is that of the map or job, and cannot be chosen in a chain.",
                    hint="Leave out resolution and projection; only method counts.",
                    argument="resolution" if arguments.get("resolution") else "projection",
                )
            method = arguments.get("method", "near")
        else:
            chosen = arguments
        below = arguments.get("data")
        if not isinstance(below, Node) or get_process(below.process_id).kind != "source":
            raise InvalidGraph(
                f"{node.process_id} does not follow load_collection.",
                hint="Order, mosaic and resampling come right after the load.",
                node=node.name,
            )
        if node.process_id == "select_items" and below.process_id != "load_collection":
            raise InvalidGraph("select_items does not follow load_collection directly.", node=node.name)
        node = below
    arguments = canonical_arguments(get_process("load_collection"), node.arguments)
    collection = str(arguments["id"])
    known = bands_of(collection)
    asked = tuple(arguments.get("bands") or known)
    for bands, there in ((asked, known), (sorted(needed or ()), asked)):
        for band in bands:
            if band not in there:
                where = {"band": band, "collection": collection, "node": node.name}
                raise NotFound.name("band", band, there, within=collection, **where)
    crop = arguments.get("spatial_extent")
    return Source(
        query=_search(collection, arguments, chosen, crop),
        asked=asked,
        bands=tuple(b for b in asked if needed is None or b in needed),
        mosaic=mosaic,
        method=cast(Method, method),
        crop=crop,
        numbers=numbers,
    )


def _search(collection: str, load: Mapping[str, Any], chosen: Mapping[str, Any], crop: Any) -> Search:
    start, end = load.get("temporal_extent") or (None, None)
    box: Bbox | None = (crop["west"], crop["south"], crop["east"], crop["north"]) if crop else None
    properties: list[tuple[str, str, Any]] = []
    for name, callback in (load.get("properties") or {}).items():
        if not isinstance(callback, Callback):
            raise InvalidArgument(f"The condition on {name} is not a process graph.", argument="properties")
        properties += [(name, op, value) for op, value in conditions(callback.result)]
    order = []
    for entry in chosen.get("sort") or ():
        if len(entry) != 2 or not isinstance(entry[0], str) or not isinstance(entry[1], bool):
            raise InvalidArgument("sort is a list of [property, ascending].", argument="sort")
        order.append((entry[0], entry[1]))
    limit = chosen.get("limit")
    if limit is not None and limit < 1:
        raise InvalidArgument(f"A limit of {limit} leaves nothing.", argument="limit")
    return Search(
        collection=collection,
        bbox=box,
        intersects=chosen.get("intersects"),
        start_ms=None if start is None else times.to_ms(times.parse(start)),
        end_ms=None if end is None else times.to_ms(times.parse(end)),
        properties=tuple(properties),
        sort=tuple(order),
        limit=limit,
    )


def conditions(node: Node) -> list[tuple[str, Any]]:
    """The comparisons of a property filter: a comparison with `value`, `between`, or several joined by `and`."""
    value = Parameter("value")
    if node.process_id == "and":
        return [c for side in ("x", "y") for c in conditions(_node(node.arguments[side], node))]
    if node.process_id == "between" and node.arguments["x"] == value:
        top = "<" if node.arguments.get("exclude_max") else "<="
        return [(">=", node.arguments["min"]), (top, node.arguments["max"])]
    op = _OPERATORS.get(node.process_id)
    x, y = node.arguments.get("x"), node.arguments.get("y")
    if op and x == value and not any(True for _ in references(y)):
        return [(op, y)]
    if op and y == value and not any(True for _ in references(x)):
        return [(_FLIPPED[op], x)]
    raise InvalidGraph(
        f"A property cannot be filtered by {node.process_id} like this.",
        hint="Compare value with a constant, or join such comparisons by and.",
        node=node.name,
        argument="properties",
    )


def _node(value: Any, parent: Node) -> Node:
    if not isinstance(value, Node):
        raise InvalidGraph(f"{parent.process_id} joins comparisons only.", node=parent.name, argument="properties")
    return value


def needed_bands(nodes: Sequence[Node], known: Mapping[int, str]) -> dict[str, frozenset[str] | None]:
    """Which bands of each node's result are needed, by the node's digest; None is all.

    Bands that no later step looks at are never read. Nothing else of the result depends on it.
    """
    needs: dict[str, frozenset[str] | None] = {known[id(nodes[-1])]: None}
    for node in reversed(nodes):
        mine = needs[known[id(node)]]
        for used in inputs(node):
            wanted = _wanted(node, used, mine)
            digest = known[id(used)]
            if digest not in needs:
                needs[digest] = wanted
            else:
                before = needs[digest]
                needs[digest] = None if before is None or wanted is None else before | wanted
    return needs


def _wanted(node: Node, used: Node, mine: frozenset[str] | None) -> frozenset[str] | None:
    """The bands of `used` that `node` needs, when `mine` are needed of `node`."""
    arguments = node.arguments
    if node.process_id == "filter_bands":
        return frozenset(arguments["bands"])
    if node.process_id == "ndvi" and arguments.get("target_band") is None:
        return frozenset({arguments.get("nir", "nir"), arguments.get("red", "red")})
    if node.process_id == "reduce_dimension":
        if arguments["dimension"] in ("bands", "band"):
            return _labels_used(arguments["reducer"])
        return mine
    if get_process(node.process_id).kind == "source":
        return mine
    passes_on = node.process_id in ("apply", "mask", "where", "filter_bbox", "filter_temporal")
    if passes_on and arguments.get("data") is used and arguments.get("mask") is not used:
        return mine
    return None


def _labels_used(reducer: Any) -> frozenset[str] | None:
    """The bands that a reducer over bands picks by label; None if it looks at them in another way."""
    if not isinstance(reducer, Callback):
        return None
    labels: set[str] = set()
    for node in ordered(reducer.result):
        if Parameter("data") in list(references(node.arguments)):
            label = node.arguments.get("label")
            if node.process_id != "array_element" or not isinstance(label, str):
                return None
            labels.add(label)
    return frozenset(labels)
