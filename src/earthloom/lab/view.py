"""Where a map has to look to show a rectangle, and the rectangle of what a chain reads."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from earthloom.base.lru import Lru
from earthloom.chain.graph import Node, inputs, ordered, to_json
from earthloom.chain.key import key
from earthloom.chain.session import Session

Box = tuple[float, float, float, float]  # west, south, east, north [degree]

WORLD: Box = (-180.0, -85.0, 180.0, 85.0)
TILE_PX = 256
# A cell's width is known to the browser alone; this much of it is free of the layer list in a usual window.
_WIDTH_PX = 640
_MARGIN = 1.15  # of the rectangle, so that its edges are seen
_CLOSEST = 18
_KEPT = 64  # answers of a server
_KEPT_S = 60.0


@dataclass(frozen=True, slots=True)
class Selected:
    """What the sources of a chain select: number of items, rectangle around them, attribution, nearest date."""

    matched: int
    bbox: Box | None
    attribution: str
    nearest: str | None


class Selections:
    """Asks a server what chains select, about each source once a minute: a slider adds a chain many times a second."""

    def __init__(self) -> None:
        self._known: Lru[tuple[str, str], tuple[float, dict[str, Any]]] = Lru(_KEPT)

    def of(self, session: Session, result: Node) -> Selected:
        """What a chain reads, of all its sources together."""
        answers = [self._search(session, source) for source in sources(result)]
        nearest = [answer["nearest"] for answer in answers if answer.get("nearest")]
        credits = [answer["attribution"] for answer in answers if answer.get("attribution")]
        return Selected(
            matched=sum(answer["matched"] for answer in answers),
            bbox=around(answer["bbox"] for answer in answers if answer["bbox"]),
            attribution=" · ".join(dict.fromkeys(credits)),
            nearest=nearest[0] if nearest else None,
        )

    def _search(self, session: Session, source: Node) -> dict[str, Any]:
        name = (session.url, key(source))
        known = self._known.get(name)
        if known is not None and time.monotonic() - known[0] < _KEPT_S:
            return known[1]
        answer = session.search(to_json(source))
        if answer["matched"]:  # who finds nothing may be ingesting
            self._known.put(name, (time.monotonic(), answer))
        return answer


def sources(result: Node) -> list[Node]:
    """The nodes of a chain that choose items: `select_items`, and each `load_collection` without one."""
    nodes = ordered(result)
    chosen = [node for node in nodes if node.process_id == "select_items"]
    narrowed = {id(load) for node in chosen for load in inputs(node)}
    return [*chosen, *(n for n in nodes if n.process_id == "load_collection" and id(n) not in narrowed)]


def around(boxes: Iterable[Sequence[float]]) -> Box | None:
    """The rectangle around rectangles; one across the antimeridian counts as the whole turn of the Earth."""
    whole = [(w, s, e, n) if w <= e else (-180.0, s, 180.0, n) for w, s, e, n in boxes]
    if not whole:
        return None
    west, south, east, north = zip(*whole, strict=True)
    return min(west), min(south), max(east), max(north)


def look_at(box: Box, height_px: int) -> tuple[tuple[float, float], int]:
    """Centre (lat, lon) and the closest zoom at which a map so high shows a rectangle whole."""
    west, south, east, north = box
    top, bottom = mercator(north), mercator(south)
    centre = (_latitude((top + bottom) / 2), (west + east) / 2)
    # Parts of the world's width, of which the map shows so many pixels at zoom 0.
    wide = max((east - west) / 360 * _MARGIN * TILE_PX / _WIDTH_PX, 1e-9)
    high = max((bottom - top) * _MARGIN * TILE_PX / height_px, 1e-9)
    return centre, max(0, min(_CLOSEST, math.floor(-math.log2(max(wide, high)))))


def mercator(lat: float) -> float:
    """Web mercator's y, from 0 at the top of the world to 1 at its bottom."""
    phi = math.radians(max(-85.05, min(85.05, lat)))
    return 0.5 - math.asinh(math.tan(phi)) / (2 * math.pi)


def _latitude(y: float) -> float:
    return math.degrees(math.atan(math.sinh(math.pi * (1 - 2 * y))))
