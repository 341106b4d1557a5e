"""Which version runs, as its installation says: no room imports the root package."""

from __future__ import annotations

from importlib.metadata import version

VERSION = version("earthloom")
