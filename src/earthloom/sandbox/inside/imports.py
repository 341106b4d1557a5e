"""What a source may import: libraries are loaded, by the names in its text, before the second filter closes."""

from __future__ import annotations

import ast
import importlib
import sys
from collections.abc import Iterable, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from importlib.metadata import Distribution, DistributionFinder
from types import ModuleType

# Loaded by the standard library and numpy at first use, when it is too late: dates, codecs, formatted errors.
LAZY = (
    *("_strptime", "linecache", "traceback", "textwrap", "tokenize", "fractions", "decimal", "statistics", "random"),
    *("encodings.ascii", "encodings.latin_1", "encodings.utf_16", "encodings.idna", "encodings.unicode_escape"),
    *("numpy.ma", "numpy.fft", "numpy.random", "numpy.polynomial", "numpy.lib.recfunctions", "numpy.linalg"),
)


class Allowed:
    """The finder of files, in place of Python's own: what is not allowed is not there.

    Libraries that only try an import (`try: import yaml`) go on without it. It is no fence: it makes a name that is not
    allowed look the same at every level, and lets the message say what is allowed.

    Parameters
    ----------
    packages
        Names of top-level packages beyond the standard library.
    libraries
        What to name in the message.
    """

    def __init__(self, packages: Iterable[str], libraries: Sequence[str]) -> None:
        self.packages = frozenset(packages) | sys.stdlib_module_names
        self.libraries = libraries

    def __contains__(self, top: str) -> bool:
        return top in self.packages or top.startswith("_sysconfigdata")

    def install(self) -> None:
        """Stand in the place of Python's own finder."""
        sys.meta_path[:] = [self if finder is PathFinder else finder for finder in sys.meta_path]

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """What Python's own finder finds, if it is allowed."""
        return PathFinder.find_spec(name, path, target) if name.partition(".")[0] in self else None

    def find_distributions(self, context: DistributionFinder.Context) -> Iterable[Distribution]:
        """What Python's own finder finds: libraries ask for the versions of others."""
        return PathFinder.find_distributions(context)

    def invalidate_caches(self) -> None:
        """As Python's own finder does."""
        PathFinder.invalidate_caches()

    def explain(self, error: ImportError) -> tuple[str, str]:
        """Message and hint for a module that is not there; the error's own message for another failure."""
        name = error.name or ""
        if not isinstance(error, ModuleNotFoundError) or not name:
            return str(error), ""
        if name.partition(".")[0] not in self:
            return (
                f"{name} cannot be imported in a function.",
                f"Allowed are {', '.join(self.libraries)} and the standard library.",
            )
        return (
            f"There is no module {name}, or it was not loaded in time.",
            "Write its full name in an import statement: nothing can be loaded once the function runs.",
        )


def preload(tree: ast.Module, allowed: Allowed) -> None:
    """Import what a source imports and what it reaches by dotted names (`np.ma` is loaded at first use).

    Only libraries run here, no text of the user. A name that cannot be imported is passed over: the user's own import
    statement says so, on the user's own line.
    """
    for dotted in _dotted(tree):
        first, *rest = dotted.split(".")
        if first not in allowed or first == "earthloom":
            continue
        name, module = first, _import(first)
        for part in rest:
            if module is None:
                break
            name = f"{name}.{part}"
            module = _import(name) or _attribute(module, part)


def _dotted(tree: ast.Module) -> list[str]:
    """Full names of modules, and of their attributes, in the order of the text."""
    bound = {"np": "numpy", "numpy": "numpy"}
    found: dict[str, None] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                found[alias.name] = None
                top = alias.name.partition(".")[0]
                bound[alias.asname or top] = alias.name if alias.asname else top
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found[node.module] = None
            for alias in node.names:
                found[f"{node.module}.{alias.name}"] = None
                bound[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    for node in ast.walk(tree):
        parts: list[str] = []
        inner: ast.AST = node
        while isinstance(inner, ast.Attribute):
            parts.append(inner.attr)
            inner = inner.value
        if parts and isinstance(inner, ast.Name) and inner.id in bound:
            found[".".join([bound[inner.id], *reversed(parts)])] = None
    return list(found)


def _import(name: str) -> ModuleType | None:
    if name in sys.modules:
        return sys.modules[name]
    try:
        return importlib.import_module(name)
    except Exception:  # whatever a library's own loading raises, the user's import meets it again and tells it
        return None


def _attribute(module: ModuleType, name: str) -> ModuleType | None:
    """A member that a library loads when it is asked for; None if it is no module."""
    try:
        value = getattr(module, name, None)
    except Exception:  # as above
        return None
    return value if isinstance(value, ModuleType) else None
