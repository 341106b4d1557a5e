"""What an ingestion did: numbers by collection, and what was refused and why."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from earthloom.catalog.protocol import PutReport

if TYPE_CHECKING:
    from rich.console import RenderableType

Progress = Callable[[int, int, str], None]  # done, of how many, what

_COUNTS = ("added", "replaced", "same")


def silent(done: int, total: int, what: str) -> None:
    """Progress that tells nobody."""


@dataclass(slots=True)
class Report:
    """The result of an ingestion; grows while it runs.

    Parameters
    ----------
    collections
        What was put into each collection, by its id.
    rejected
        (id or file, reason) of what was refused.
    files
        Number of raster files that were opened.
    seconds
        How long it took.
    """

    collections: dict[str, PutReport] = field(default_factory=dict)
    rejected: list[tuple[str, str]] = field(default_factory=list)
    files: int = 0
    seconds: float = 0.0

    @property
    def added(self) -> int:
        """Number of new items."""
        return sum(put.added for put in self.collections.values())

    @property
    def replaced(self) -> int:
        """Number of items with a new content."""
        return sum(put.replaced for put in self.collections.values())

    @property
    def same(self) -> int:
        """Number of items that were left as they were."""
        return sum(put.same for put in self.collections.values())

    def count(self, collection: str, put: PutReport) -> None:
        """Note what was put into a collection."""
        self.collections[collection] = put
        self.rejected += put.rejected

    def __str__(self) -> str:
        items = self.added + self.replaced + self.same
        lines = [
            f"{items} items in {len(self.collections)} collections: {self.added} new, {self.replaced} replaced, "
            f"{self.same} unchanged; {self.files} files opened ({self.seconds:.1f} s)"
        ]
        lines += [f"refused: {what}: {why}" for what, why in self.rejected]
        return "\n".join(lines)

    def __rich__(self) -> RenderableType:
        """A table with a row a collection, and what was refused below it."""
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        table = Table("collection", *[{"same": "unchanged", "added": "new"}.get(c, c) for c in _COUNTS])
        for column in table.columns[1:]:
            column.justify = "right"
        for name, put in self.collections.items():
            table.add_row(Text(name), *[str(getattr(put, c)) for c in _COUNTS])
        head, *refused = str(self).splitlines()
        return Group(table, Text(head), *[Text(line, style="red") for line in refused])
