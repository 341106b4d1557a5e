"""A small JSON file of the data folder that commands change while servers read it."""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Generic, TypeVar

from earthloom.base.errors import EarthloomError

T = TypeVar("T")


class DataFile(Generic[T]):
    """A table of one file, safe to use from several threads and processes. Nobody but its owner may read it.

    Parameters
    ----------
    path
        The file. While it is not there, the table is empty.
    read, write
        The entry of a name from its JSON, and its JSON from the entry.
    remedy
        What an operator does when the file cannot be read.
    """

    def __init__(self, path: Path, read: Callable[[Any], T], write: Callable[[T], Any], remedy: str) -> None:
        self.path, self._from_json, self._to_json, self.remedy = path, read, write, remedy
        self._seen: tuple[int, int, int] | None = None
        self._entries: dict[str, T] = {}

    def current(self) -> dict[str, T]:
        """The entries by name, not to be changed; read again when the file is another one."""
        try:
            state = self.path.stat()
        except FileNotFoundError:
            return {}
        seen = (state.st_ino, state.st_mtime_ns, state.st_size)
        if seen != self._seen:
            self._entries, self._seen = self._read(), seen
        return self._entries

    @contextmanager
    def changed(self) -> Iterator[dict[str, T]]:
        """The entries, to be changed; written when the block ends well. One process at a time."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            entries = self._read()
            yield entries
            self._write(entries)
        finally:
            os.close(folder)

    def _read(self) -> dict[str, T]:
        try:
            document = json.loads(self.path.read_text(encoding="utf-8"))
            return {str(name): self._from_json(entry) for name, entry in document[self.path.stem].items()}
        except FileNotFoundError:
            return {}
        except (ValueError, KeyError, TypeError, AttributeError):
            # Not its path: whoever asks the server is told this.
            raise EarthloomError(f"The server's file {self.path.name} cannot be read.", hint=self.remedy) from None

    def _write(self, entries: dict[str, T]) -> None:
        document = {self.path.stem: {name: self._to_json(entry) for name, entry in entries.items()}}
        # A new file, for the rename makes it whole at once; made by mkstemp, nobody else ever may read it (0600).
        descriptor, new = tempfile.mkstemp(dir=self.path.parent, prefix=f"{self.path.stem}.")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump(document, file, indent=1)
                file.flush()
                os.fsync(descriptor)
            os.rename(new, self.path)
        except BaseException:
            os.unlink(new)
            raise
