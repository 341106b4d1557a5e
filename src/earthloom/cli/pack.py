"""The demo's folder: a catalogue made from the demo pack, and copies of the tutorial notebooks."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from earthloom.base.errors import InvalidArgument, NotFound

_PACKAGE = Path(__file__).parents[1]
_CHECKOUT = Path(__file__).parents[3]
_CATALOGUE = "catalogue.sqlite"


@dataclass(frozen=True, slots=True)
class Place:
    """Where the demo finds and keeps its things.

    Parameters
    ----------
    pack
        The demo pack: a folder with `catalog.json`.
    folder
        What the demo may write to.
    notebooks
        The tutorial notebooks, to be copied.
    """

    pack: Path
    folder: Path
    notebooks: tuple[Path, ...]

    @property
    def data(self) -> Path:
        """The engine's data folder."""
        return self.folder / "data"


def find(pack: Path | None) -> Place:
    """The demo pack that was named, or the one of the checkout.

    Raises
    ------
    NotFound
        If no pack is named and this is no checkout.
    InvalidArgument
        If the folder holds no pack.
    """
    examples = _CHECKOUT / "examples"
    checkout = (examples / "demo_pack" / "catalog.json").is_file()
    if pack is None:
        if not checkout:
            raise NotFound("There is no demo pack beside this installation.", hint="Name its folder with --pack.")
        pack = examples / "demo_pack"
    pack = pack.expanduser().absolute()
    if not (pack / "catalog.json").is_file():
        raise InvalidArgument(f"{pack} is no demo pack: it has no catalog.json.", argument="pack")
    if checkout:
        return Place(pack, _CHECKOUT / ".demo", tuple(sorted(examples.glob("*.ipynb"))))
    cache = os.environ.get("XDG_CACHE_HOME", "")
    base = Path(cache) if os.path.isabs(cache) else Path.home() / ".cache"
    return Place(pack, base / "earthloom" / "demo", ())


@contextmanager
def in_use(place: Place, *, alone: bool) -> Iterator[None]:
    """Hold the demo's folder: several demos may read it, one alone may rebuild it.

    Raises
    ------
    InvalidArgument
        If it is held otherwise.
    """
    place.folder.mkdir(parents=True, exist_ok=True)
    with (place.folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InvalidArgument(
                f"Another demo uses {place.folder}, and its catalogue has to be built anew.",
                hint="Stop that one first.",
            ) from None
        yield


def is_built(place: Place) -> bool:
    """Whether the catalogue is there and made from this very pack, by this very code."""
    try:
        built = json.loads((place.data / "built.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return False
    return bool(built == _state(place.pack) and (place.data / _CATALOGUE).is_file())


def build(place: Place, ingest: Callable[[Path], object]) -> None:
    """Make the catalogue by `ingest(file)`; the old one stays until the new one is whole.

    Parameters
    ----------
    ingest
        Writes the catalogue of the pack into a new file and closes it.
    """
    place.data.mkdir(parents=True, exist_ok=True)
    state = _state(place.pack)
    with tempfile.TemporaryDirectory(dir=place.folder, prefix="building.") as building:
        new = Path(building) / _CATALOGUE
        ingest(new)
        (place.data / "built.json").unlink(missing_ok=True)
        for old in place.data.glob(f"{_CATALOGUE}*"):
            old.unlink()
        for file in Path(building).glob(f"{_CATALOGUE}*"):
            file.rename(place.data / file.name)
    (place.data / "built.json").write_text(json.dumps(state), encoding="utf-8")


def copy_notebooks(place: Place) -> list[Path]:
    """Copies of the notebooks to work in, so that the checkout stays clean; what the user changed is kept."""
    folder = place.folder / "notebooks"
    folder.mkdir(parents=True, exist_ok=True)
    ledger = place.folder / "notebooks.json"
    try:
        given: dict[str, str] = json.loads(ledger.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        given = {}
    for source in place.notebooks:
        copy = folder / source.name
        if not copy.exists() or _digest(copy) == given.get(source.name):
            shutil.copyfile(source, copy)
            given[source.name] = _digest(source)
    ledger.write_text(json.dumps(given), encoding="utf-8")
    return [folder / source.name for source in place.notebooks]


def _state(pack: Path) -> dict[str, Any]:
    """What the catalogue depends on: the pack's files, its place, and the code that reads it."""
    files = sorted(path for path in pack.rglob("*") if path.is_file())
    listing = [(str(path.relative_to(pack)), path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    code = [_digest(path) for room in ("catalog", "ingest") for path in sorted((_PACKAGE / room).glob("*.py"))]
    return {
        "pack": str(pack),
        "files": hashlib.sha256(json.dumps(listing).encode()).hexdigest(),
        "code": hashlib.sha256(json.dumps(code).encode()).hexdigest(),
    }


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
