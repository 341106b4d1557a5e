"""How a user's function names what is installed: the import statements that a server can run as well."""

from __future__ import annotations

import importlib.util
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from earthloom.base.errors import InvalidArgument

_STANDARD = Path(sysconfig.get_path("stdlib"))
_FOLDERS = {"site-packages", "dist-packages"}
_HOMES_OF_UFUNCS = ("numpy", "scipy.special")  # a ufunc does not tell its module


def installed(module: str) -> bool:
    """Whether a module is of the standard library or of an installed package, not a file of the user's own."""
    top = module.partition(".")[0]
    if top in ("", "__main__"):
        return False
    loaded = sys.modules.get(top)
    try:
        spec = loaded.__spec__ if loaded is not None else importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return False
    if spec is None:
        return False
    if spec.origin in ("built-in", "frozen"):
        return True
    places = [Path(place) for place in (spec.origin, *(spec.submodule_search_locations or ())) if place]
    # A file of the user's own may be called like a module of the standard library.
    standard = top in sys.stdlib_module_names and any(place.is_relative_to(_STANDARD) for place in places)
    return standard or any(_FOLDERS & set(place.parts) for place in places)


def import_module(module: ModuleType, name: str) -> str:
    """The statement that gives a module under a name.

    Raises
    ------
    InvalidArgument
        If it is a file of the user's own.
    """
    full = module.__name__
    if not installed(full):
        raise _own_file(full, f"from {full} import ..." if full == name else f"from {full} import ..., not {name}")
    parent, _, last = full.rpartition(".")
    if full == name:
        return f"import {full}"
    return f"from {parent} import {last}" if parent and last == name else f"import {full} as {name}"


def _own_file(module: str, instead: str) -> InvalidArgument:
    return InvalidArgument(
        f"{module} is a module of your own; the server can import only what is installed there.",
        hint=f"Functions and constants of yours travel when the function uses them by their own names: {instead}",
        argument=module,
    )


def check_import(module: str, level: int = 0) -> None:
    """Refuse an import inside a function of what is a file of the user's own; what is unknown here the server may have.

    Raises
    ------
    InvalidArgument
        Names the module.
    """
    top = module.partition(".")[0]
    if level or (not installed(top) and (top in sys.modules or importlib.util.find_spec(top) is not None)):
        raise _own_file("." * level + module, f"from {module or '.'} import ... outside the function")


def submodules(module: ModuleType, attributes: list[str]) -> Iterator[str]:
    """Modules below one that the user reaches by its attributes and that it does not load by itself when asked."""
    full = module.__name__
    for attribute in attributes:
        if hasattr(module, "__getattr__"):
            return
        inner = getattr(module, attribute, None)
        full = f"{full}.{attribute}"
        if not isinstance(inner, ModuleType) or inner.__name__ != full:
            return
        yield full
        module = inner


def import_object(value: Any, name: str) -> str:
    """The statement that gives a function or class of an installed library under a name; empty if it is none."""
    attribute = getattr(value, "__qualname__", None) or getattr(value, "__name__", None)
    if not isinstance(attribute, str) or not attribute.isidentifier():
        return ""
    home = getattr(value, "__module__", None)
    for module in _public_first(home) if isinstance(home, str) else _HOMES_OF_UFUNCS:
        if installed(module) and module in sys.modules and _member(sys.modules[module], attribute) is value:
            return f"from {module} import {attribute}" + (f" as {name}" if name != attribute else "")
    return ""


def _public_first(module: str) -> list[str]:
    """A module's parents from the top, then itself: scipy, scipy.ndimage, scipy.ndimage._filters."""
    parts = module.split(".")
    return [".".join(parts[: i + 1]) for i in range(len(parts))]


def _member(module: ModuleType, name: str) -> Any:
    try:
        return getattr(module, name, None)
    except ImportError:  # a library that loads its parts late, and lacks one
        return None
