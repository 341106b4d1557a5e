"""The tree `collections`: paths of the original and the server's collections, as attributes to complete by TAB."""

from __future__ import annotations

import re
from typing import cast

from earthloom.base.errors import NotFound
from earthloom.chain.session import current
from earthloom.client.api import HttpSession

# Path -> ids that its collection usually has on a server, best first; the last is that of the demo pack. A path may be
# shortened to any part of it: then the first path with a collection counts.
PATHS: dict[str, tuple[str, ...]] = {
    "EarthObservation.Copernicus.Sentinel2.Level1C": ("sentinel-2-l1c", "sentinel2-l1c", "sentinel2-coast"),
    "EarthObservation.Copernicus.Sentinel2.Level2A": ("sentinel-2-l2a", "sentinel2-l2a", "sentinel2-series"),
    "BaseData.Elevation": ("cop-dem-glo-30", "cop-dem-glo-90", "elevation"),
}
SHORT = {"S2": "EarthObservation.Copernicus.Sentinel2", "DEM": "BaseData.Elevation"}


class Path:
    """A place in the tree of collections; its parts are attributes.

    A collection of the server stands at the root under its id, with `_` for what no name of Python holds.
    """

    def __init__(self, *names: str) -> None:
        self._names = names

    def __getattr__(self, name: str) -> Path:
        if name.startswith("_"):  # what notebooks probe for
            raise AttributeError(name)
        path = Path(*self._names, name)
        if not _matching(str(path)) and (self._names or name not in _by_name()):
            raise NotFound.name("path", name, dir(self), within=repr(self))
        return path

    def __dir__(self) -> list[str]:
        if not self._names:
            return [*dict.fromkeys(path.split(".")[0] for path in PATHS), *_by_name()]
        after = (f".{path}.".partition(f".{self}.")[2] for path in _matching(str(self)))
        return list(dict.fromkeys(rest.split(".")[0] for rest in after if rest))

    def __str__(self) -> str:
        return ".".join(self._names)

    def __repr__(self) -> str:
        return ".".join(("collections", *self._names))


def resolve(name: Path | str) -> str:
    """Id of the collection that a path, a short name such as "S2", or an id stands for.

    Raises
    ------
    NotFound
        If the server has none; names those that it has.
    """
    text = str(name)
    known = _by_name()
    if text in known.values():
        return text
    if text in known:
        return known[text]
    paths = _matching(SHORT.get(text, text))
    usual = [id for path in paths for id in PATHS[path]]
    for id in usual:
        if id in known.values():
            return id
    if usual:
        raise NotFound(
            f"The server has no collection for {text}: none of {', '.join(usual)}.",
            hint=f"It has: {', '.join(f'collections.{k}' for k in known)}." if known else "It has no collections.",
            collection=text,
        )
    raise NotFound.name("collection", text, [*known.values(), *PATHS, *SHORT], collection=text)


def path_of(id: str) -> str:
    """The name under which a collection of the server stands at the root of the tree."""
    return re.sub(r"\W|^(?=\d)", "_", id)


def _by_name() -> dict[str, str]:
    """The ids of the server's collections, by a name that Python takes as an attribute."""
    session = cast(HttpSession, current())
    return {path_of(document["id"]): document["id"] for document in session.collections()}


def _matching(text: str) -> list[str]:
    """The paths of which `text` is a part, from one point to another."""
    return [path for path in PATHS if f".{text}." in f".{path}."]
