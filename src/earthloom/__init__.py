"""Earthloom: processing chains over satellite imagery, shown on a map at once and run over a continent unchanged."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from earthloom.base.errors import EarthloomError
    from earthloom.chain.build import Chain
    from earthloom.chain.collection import ImageCollection
    from earthloom.chain.declare import tile_function
    from earthloom.client.connect import connect
    from earthloom.lab import apps
    from earthloom.lab.map import Map

__version__ = "0.1.0"

# Public name -> module, loaded on first use: `import earthloom` stays light, and no room imports the root.
_HOME = {
    "Chain": "earthloom.chain.build",
    "EarthloomError": "earthloom.base.errors",
    "ImageCollection": "earthloom.chain.collection",
    "Map": "earthloom.lab.map",
    "apps": "earthloom.lab.apps",
    "connect": "earthloom.client.connect",
    "tile_function": "earthloom.chain.declare",
}

__all__ = ["Chain", "EarthloomError", "ImageCollection", "Map", "__version__", "apps", "connect", "tile_function"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        module = importlib.import_module(_HOME[name])
    except ModuleNotFoundError as error:
        if name in ("Map", "apps") and error.name in {"ipyleaflet", "anywidget", "ipywidgets"}:
            raise ImportError(f"el.{name} needs the extra lab: pip install 'earthloom[lab]'") from error
        raise
    return module if name == "apps" else getattr(module, name)


def __dir__() -> list[str]:
    return sorted(__all__)
