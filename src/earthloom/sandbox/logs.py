"""What users' functions printed, kept by tenant and function in rings of bounded size."""

from __future__ import annotations

import threading
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, cast

from earthloom.sandbox.claims import Line

RING_BYTES = 1 << 20
TENANT_BYTES, ALL_BYTES = 8 << 20, 64 << 20
EMPTY_BYTES = 64 << 10  # what a ring counts beside its lines: so nobody's many functions push out the logs of others
MOST_WARNINGS = 100  # different ones of a function that are known as told already
LINE_BYTES = 300  # what a line costs beside its text

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
    size: int = EMPTY_BYTES
    warned: set[int] = field(default_factory=set)  # hashes of what was told


class Logs:
    """The rings of all functions; beyond the room of a tenant, or of all, those not written to for longest go."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rings: OrderedDict[Key, _Ring] = OrderedDict()
        self._sizes: Counter[str] = Counter()  # of each tenant's rings

    def add(self, key: Key, place: str, lines: Iterable[Line]) -> None:
        """Keep lines; a warning only once for a function."""
        now = time.time()
        with self._lock:
            before = self._rings[key].size if key in self._rings else 0
            ring = self._rings.setdefault(key, _Ring())
            self._rings.move_to_end(key)
            for line in lines:
                if line.stream == "warning":
                    if hash(line.text) in ring.warned or len(ring.warned) >= MOST_WARNINGS:
                        continue
                    ring.warned.add(hash(line.text))
                ring.lines.append(LogLine(now, place, cast(Stream, line.stream), line.text))
                ring.size += LINE_BYTES + 4 * len(line.text)
                while ring.size > RING_BYTES + EMPTY_BYTES:
                    ring.size -= LINE_BYTES + 4 * len(ring.lines.popleft().text)
            self._sizes[key[0]] += ring.size - before
            while self._sizes[key[0]] > TENANT_BYTES:
                self._drop(next(k for k in self._rings if k[0] == key[0]))
            while self._sizes.total() > ALL_BYTES:
                self._drop(next(iter(self._rings)))

    def get(self, key: Key) -> list[LogLine]:
        """The lines of a function, oldest first."""
        with self._lock:
            ring = self._rings.get(key)
            return list(ring.lines) if ring is not None else []

    def _drop(self, key: Key) -> None:
        tenant = key[0]
        self._sizes[tenant] -= self._rings.pop(key).size
        if not self._sizes[tenant]:
            del self._sizes[tenant]
