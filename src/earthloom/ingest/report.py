"""What an ingestion did: numbers, and what was refused and why."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from earthloom.catalog.protocol import PutReport

Progress = Callable[[int, int, str], None]  # done, of how many, what


def silent(done: int, total: int, what: str) -> None:
    """Progress that tells nobody."""


@dataclass(slots=True)
class Report:
    """The result of an ingestion; grows while it runs.

    Parameters
    ----------
    collections
        Ids of the collections that were written.
    added, replaced, same
        Numbers of items.
    rejected
        (id or file, reason) of what was refused.
    seconds
        How long it took.
    """

    collections: list[str] = field(default_factory=list)
    added: int = 0
    replaced: int = 0
    same: int = 0
    rejected: list[tuple[str, str]] = field(default_factory=list)
    seconds: float = 0.0

    def count(self, put: PutReport) -> None:
        """Add the numbers of one batch."""
        self.added += put.added
        self.replaced += put.replaced
        self.same += put.same
        self.rejected += put.rejected

    def __str__(self) -> str:
        items = self.added + self.replaced + self.same
        lines = [
            f"{items} items in {len(self.collections)} collections: {self.added} new, {self.replaced} replaced, "
            f"{self.same} unchanged ({self.seconds:.1f} s)"
        ]
        lines += [f"refused: {what}: {why}" for what, why in self.rejected]
        return "\n".join(lines)
