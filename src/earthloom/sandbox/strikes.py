"""Functions that end their worker again and again are stopped for a while, so that they cost others nothing."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from earthloom.base.errors import FunctionFailed

COUNT, WITHIN_S = 3, 60
FIRST_STOP_S, LONGEST_STOP_S = 10, 600
MOST_KEPT = 1000

Key = tuple[str, str]  # tenant, digest of the function


@dataclass(slots=True)
class _Record:
    times: list[float] = field(default_factory=list)
    until: float = 0
    stop_s: float = FIRST_STOP_S
    last: FunctionFailed | None = None


class Strikes:
    """What functions did to their workers of late.

    Parameters
    ----------
    clock
        Seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._records: OrderedDict[Key, _Record] = OrderedDict()
        self.count = 0

    def check(self, key: Key) -> None:
        """Raise FunctionFailed if this function is stopped now."""
        record = self._records.get(key)
        if record is None or record.last is None:
            return
        left = record.until - self._clock()
        if left > 0:
            raise FunctionFailed(
                f"The function is stopped for {left:.0f} s more, after it failed {COUNT} times: {record.last.message}",
                hint="Change the function, or wait.",
                reason=record.last.where.get("reason"),
            )

    def strike(self, key: Key, error: FunctionFailed) -> None:
        """Note that this function ended its worker, with what its user is told."""
        with self._lock:
            now = self._clock()
            record = self._records.setdefault(key, _Record())
            self._records.move_to_end(key)
            record.times = [t for t in record.times if now - t < WITHIN_S] + [now]
            # A copy: the error itself holds the frames of the call, with its arrays and its worker.
            record.last = FunctionFailed(error.message, reason=error.where.get("reason"))
            self.count += 1
            if len(record.times) >= COUNT:
                record.until = now + record.stop_s
                record.stop_s = min(2 * record.stop_s, LONGEST_STOP_S)
                record.times = []
            while len(self._records) > MOST_KEPT:
                self._records.popitem(last=False)

    def clear(self, key: Key) -> None:
        """Forget what this function did: it gave a result."""
        if self._records:
            with self._lock:
                self._records.pop(key, None)
