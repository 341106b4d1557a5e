"""Failures of users' functions, remembered for a moment: who asks again at once, for the reason, is not run again.

A map knows only that a picture did not come, and asks its address once more for the words.
"""

from __future__ import annotations

import time
from collections.abc import Hashable

from earthloom.base.errors import EarthloomError, FunctionFailed
from earthloom.base.lru import Lru

KEPT_S = 2.0
MOST = 1000


class Failures:
    """The failures of the last moment, by what was asked and by whom."""

    def __init__(self) -> None:
        self._kept: Lru[Hashable, tuple[float, EarthloomError]] = Lru(MOST)

    def check(self, asked: Hashable) -> None:
        """Raise the error of the same question, if that is not older than a moment."""
        kept = self._kept.get(asked)
        if kept is not None and time.monotonic() - kept[0] < KEPT_S:
            # Another object: one that is raised again and again collects tracebacks.
            raise EarthloomError.from_dict(kept[1].to_dict())

    def note(self, asked: Hashable, error: FunctionFailed) -> None:
        """Keep an error for a moment."""
        self._kept.put(asked, (time.monotonic(), EarthloomError.from_dict(error.to_dict())))
