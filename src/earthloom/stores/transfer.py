"""A store's chains to a file and back, over any two stores: one JSON object a line."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from earthloom.base.errors import EarthloomError, ReadError
from earthloom.stores.protocol import Store
from earthloom.stores.record import Record, text_of

_KINDS = {"key": str, "created": int, "used": int, "pinned": bool, "graph": dict}


def export_chains(store: Store, path: Path) -> int:
    """Write all chains of a store to a file; how many these are. The file is there as a whole, or not at all."""
    number = 0
    try:
        handle, part = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise _unwritable(path, error) from None
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            for record in store.records():
                file.write(_line(record))
                number += 1
        os.replace(part, path)
    except BaseException as error:
        os.unlink(part)
        if isinstance(error, OSError):
            raise _unwritable(path, error) from None
        raise
    return number


def import_chains(store: Store, path: Path) -> tuple[int, int]:
    """Keep the chains of a file; how many were new, and how many were there already and stay as they are.

    Raises
    ------
    ReadError
        If a line is no chain; it names the line, and nothing of the file is kept.
    """
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                _record(line, path, number)
            file.seek(0)
            kept = [store.restore(_record(line, path, number)) for number, line in enumerate(file, 1)]
    except (OSError, UnicodeDecodeError) as error:
        raise ReadError(f"{path} cannot be read: {getattr(error, 'strerror', error)}.", file=str(path)) from None
    return sum(kept), len(kept) - sum(kept)


def _line(record: Record) -> str:
    head = {"key": record.key, "created": record.created_ms, "used": record.used_ms, "pinned": record.pinned}
    return f'{json.dumps(head)[:-1]}, "graph": {record.graph}}}\n'


def _record(line: str, path: Path, number: int) -> Record:
    try:
        found: Any = json.loads(line)
        if not isinstance(found, dict) or any(type(found.get(name)) is not kind for name, kind in _KINDS.items()):
            raise ValueError("it needs key, created, used, pinned and graph")
        if not found["key"].isprintable() or not found["key"]:
            raise ValueError("its key has characters that none of ours has")
        return Record(found["key"], text_of(found["graph"]), found["created"], found["used"], found["pinned"])
    except (ValueError, EarthloomError) as error:
        raise ReadError(
            f"Line {number} of {path} is no chain: {error}.",
            hint="Give a file that earthloom store export wrote.",
            file=str(path),
            line=number,
        ) from None


def _unwritable(path: Path, error: OSError) -> ReadError:
    return ReadError(f"{path} cannot be written: {error.strerror}.", file=str(path))
