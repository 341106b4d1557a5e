"""`gui`: the panels for people who do not program."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from earthloom.base.errors import NotFound
from earthloom.jeolab.calls import told
from earthloom.lab.apps.dem import dem

APPS: dict[str, Callable[[Any], Any]] = {"DEM": dem}


@told
def gui(name: str, map: Any) -> Any:
    """The panel of an app for a map; as a cell's last line it shows. There is "DEM", for elevation.

    Raises
    ------
    NotFound
        If there is no app of this name.
    """
    if name not in APPS:
        raise NotFound.name("app", str(name), APPS)
    return APPS[name](map)
