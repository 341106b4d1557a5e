"""The original's notation: its names and its mutable objects, over the immutable chains and the map of the notebook.

`from earthloom.jeolab import *` makes a notebook of the original run. Start reading at `process.py`; what differs from
the original stands in docs/how-to/jeolab.md. Nothing here computes: each word becomes a step of a chain.
"""

from __future__ import annotations

from earthloom.jeolab import imap, inter
from earthloom.jeolab.inter import *  # noqa: F403 - its names are the room's

__all__ = [*inter.__all__, "imap", "inter"]
