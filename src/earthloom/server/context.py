"""What every route is given: the engine and the threads in which pixels are computed."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request

from earthloom.engine.engine import Engine


def _threads() -> ThreadPoolExecutor:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return ThreadPoolExecutor(max_workers=cores, thread_name_prefix="pixels")


@dataclass(frozen=True, slots=True)
class Context:
    """The engine behind the routes, and a pool of as many threads as cores for tiles and points.

    More threads would only make each tile later. Previews and arrays run in the JSON routes' own threads, so that one
    long computation takes no tile's place.
    """

    engine: Engine
    pixels: ThreadPoolExecutor = field(default_factory=_threads)


def _engine(request: Request) -> Engine:
    context: Context = request.app.state.context
    return context.engine


TheEngine = Annotated[Engine, Depends(_engine)]
