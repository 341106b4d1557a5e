"""What a box may read: the standard library, the C libraries, the allowed distributions, and a few modules of ours."""

from __future__ import annotations

import os
import re
import sys
import sysconfig
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from earthloom.base.errors import NotFound

_OURS = Path(__file__).parents[1]
# Modules of ours that run inside; the folder `inside` is there as a whole.
_FILES = (
    *(
        "__init__.py",
        "base/__init__.py",
        "base/tilecontext.py",
        "base/tilefunction.py",
        "base/tileresult.py",
        "base/openeo_udf.py",
    ),
    *("sandbox/__init__.py", "sandbox/inside"),
)
_HIDDEN = ("site-packages", "dist-packages")  # other distributions, below the standard library


@dataclass(frozen=True, slots=True)
class Paths:
    """What may be read in a box.

    Parameters
    ----------
    python
        The interpreter that is executed there, outside any virtual environment.
    search
        `sys.path` inside.
    system
        Folders of the C libraries, with the loader's cache.
    standard, hidden
        Folder of the standard library, and what in it is not part of it.
    readable
        Files and folders of Python's distributions and ours.
    listable
        Folders whose names may be listed, for imports look there.
    packages
        Names of the packages that may be imported beyond the standard library.
    versions
        Version of each allowed distribution.
    """

    python: str
    search: tuple[str, ...]
    system: tuple[str, ...]
    standard: str
    hidden: tuple[str, ...]
    readable: tuple[str, ...]
    listable: tuple[str, ...]
    packages: tuple[str, ...]
    versions: tuple[tuple[str, str], ...]

    def all_readable(self) -> tuple[str, ...]:
        """Everything that may be read, where no mount hides parts of a folder."""
        standard = (str(p) for p in Path(self.standard).iterdir() if str(p) not in self.hidden)
        return (*self.system, *standard, *self.readable)


@lru_cache(maxsize=4)
def paths_for(libraries: Sequence[str]) -> Paths:
    """What a box of these distributions may read.

    Parameters
    ----------
    libraries
        Names of installed distributions; what they need comes along.

    Raises
    ------
    NotFound
        If one is not installed.
    """
    found = _with_requirements(libraries)
    standard = Path(sysconfig.get_path("stdlib"))
    sites: dict[str, None] = {}
    readable: list[str] = []
    packages = {"earthloom", "openeo"}
    for part in found:
        site = str(part.locate_file(""))
        sites[site] = None
        tops = _tops(part)
        readable += [f"{site}/{top}" for top in sorted(tops)]
        packages |= {top.partition(".")[0] for top in tops if "-" not in top}
    readable += [str(_OURS / name) for name in _FILES]
    ours = str(_OURS.parent)
    standards = [str(standard), str(standard / "lib-dynload")]
    return Paths(
        python=os.path.realpath(getattr(sys, "_base_executable", sys.executable)),
        search=(*standards, *dict.fromkeys([*sites, ours])),
        system=tuple(_system()),
        standard=str(standard),
        hidden=tuple(str(standard / name) for name in _HIDDEN if (standard / name).is_dir()),
        readable=tuple(readable),
        listable=(str(standard), *sites, ours, *(str(_OURS / name) for name in ("", "base", "sandbox"))),
        packages=tuple(sorted(packages)),
        versions=tuple((name, distribution(name).version) for name in libraries),
    )


def _system() -> Iterable[str]:
    """Folders and files of the C libraries that exist here."""
    triplet = sysconfig.get_config_var("MULTIARCH") or ""
    own = sysconfig.get_config_var("LIBDIR") or ""
    folders = ["/lib64", "/usr/lib64", *(f"{p}/{triplet}" for p in ("/lib", "/usr/lib") if triplet)]
    loaders = sorted(str(p) for p in Path("/lib").glob("ld-*.so*"))
    yield from (f for f in [*folders, *loaders, "/etc/ld.so.cache"] if os.path.exists(f))
    if os.path.isdir(f"{sys.base_prefix}/conda-meta"):
        yield own  # conda keeps the C libraries of all packages there
    elif own:
        yield from sorted(str(p) for p in Path(own).glob("libpython*.so*"))


def _with_requirements(libraries: Iterable[str]) -> list[Distribution]:
    """The distributions and all that they need, each once; what is not installed is not needed here."""
    found: dict[str, Distribution] = {}
    waiting = [(name, True) for name in libraries]
    while waiting:
        name, asked = waiting.pop()
        key = re.sub(r"[-_.]+", "-", name).lower()
        if key in found:
            continue
        try:
            part = distribution(name)
        except PackageNotFoundError:
            if asked:
                raise NotFound(
                    f'The library "{name}", which functions may import, is not installed.',
                    hint="Install it, or leave it out of the setting sandbox libraries.",
                ) from None
            continue
        found[key] = part
        for need in part.requires or ():
            match = re.match(r"[A-Za-z0-9._-]+", need)
            if match and "extra ==" not in need:
                waiting.append((match.group(), False))
    return list(found.values())


def _tops(part: Distribution) -> set[str]:
    """First parts of the paths of a distribution: packages, modules, C libraries, metadata."""
    tops = {file.parts[0] for file in part.files or ()}
    return {top for top in tops if top not in ("..", "__pycache__")}
