"""Apps for a map: panels of widgets for people who do not program. `el.apps.dem(m)` is the one for elevation."""

from __future__ import annotations

from earthloom.lab.apps.dem import dem

__all__ = ["dem"]
