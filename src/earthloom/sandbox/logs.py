"""What users' functions printed, kept by tenant and function in rings of bounded size."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, cast

from earthloom.sandbox.claims import Line

RING_BYTES = 1 << 20
MOST_RINGS = 500
MOST_WARNINGS = 100  # different ones of a function that are known as told already
LINE_BYTES = 100  # what a line costs beside its text

Stream = Literal["stdout", "stderr", "warning", "error"]
Key = tuple[str, str]  # tenant, digest of the function


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line that a function printed, or an error.

    Parameters
    ----------
    time
        Seconds since 1970.
    place
        The tile, as zoom/column/row.
    stream
        Where it was printed.
    text
        The line; control characters are escaped.
    """

    time: float
    place: str
    stream: Stream
    text: str


@dataclass(slots=True)
class _Ring:
    lines: deque[LogLine] = field(default_factory=deque)
    size: int = 0
    warned: set[str] = field(default_factory=set)


class Logs:
    """The rings of all functions; those not written to for longest are dropped."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rings: OrderedDict[Key, _Ring] = OrderedDict()

    def add(self, key: Key, place: str, lines: Iterable[Line]) -> None:
        """Keep lines; a warning only once for a function."""
        now = time.time()
        with self._lock:
            ring = self._rings.setdefault(key, _Ring())
            self._rings.move_to_end(key)
            for line in lines:
                if line.stream == "warning":
                    if line.text in ring.warned or len(ring.warned) >= MOST_WARNINGS:
                        continue
                    ring.warned.add(line.text)
                ring.lines.append(LogLine(now, place, cast(Stream, line.stream), line.text))
                ring.size += LINE_BYTES + 4 * len(line.text)
                while ring.size > RING_BYTES:
                    ring.size -= LINE_BYTES + 4 * len(ring.lines.popleft().text)
            while len(self._rings) > MOST_RINGS:
                self._rings.popitem(last=False)

    def get(self, key: Key) -> list[LogLine]:
        """The lines of a function, oldest first."""
        with self._lock:
            ring = self._rings.get(key)
            return list(ring.lines) if ring is not None else []
