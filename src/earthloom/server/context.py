"""What every route is given: the engine, who asks, and where work runs.

Three places, so that one kind of work never takes another's: tiles and points of plain chains have a thread for each
core (more would only make each tile later); previews and arrays of plain chains have those of the JSON routes; and all
that runs a user's function, which mostly waits for it, has many threads of its own behind an admission by tenant.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, Any, TypeVar

import orjson
from fastapi import Depends, Request
from starlette.concurrency import run_in_threadpool

from earthloom.base.lru import Lru
from earthloom.engine.engine import Engine
from earthloom.server.access import Access
from earthloom.server.admission import Admission
from earthloom.server.failures import Failures
from earthloom.server.metrics import Metrics

_CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
# Of one tenant: enough to read the input of the next tiles while functions run.
_EACH = _CORES + 2
_TENANTS = 16  # that can all be at work at once
_WAIT_S = 10.0
_KEYS = 10_000

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Context:
    """The engine behind the routes, and the threads in which it works."""

    engine: Engine
    access: Access
    metrics: Metrics
    pixels: ThreadPoolExecutor = field(default_factory=partial(ThreadPoolExecutor, _CORES, "pixels"))
    functions: ThreadPoolExecutor = field(default_factory=partial(ThreadPoolExecutor, _EACH * _TENANTS, "functions"))
    admission: Admission = field(default_factory=partial(Admission, _EACH, _WAIT_S))
    failures: Failures = field(default_factory=Failures)
    uses: Lru[str, bool] = field(default_factory=partial(Lru, _KEYS))

    async def uses_functions(self, key: str) -> bool:
        """Whether a chain has functions of users; NotFound if it is not kept here."""
        known = self.uses.get(key)
        if known is None:
            loop = asyncio.get_running_loop()
            known = has_functions(await loop.run_in_executor(self.pixels, self.engine.graph, key))
            self.uses.put(key, known)
        return known

    async def run(
        self, tenant: str, functions: bool, work: Callable[..., Result], *args: Any, tile: bool = False
    ) -> Result:
        """Do some work in a thread, where it belongs.

        Parameters
        ----------
        tenant
            Who asks.
        functions
            Whether the work runs functions of users.
        tile
            Whether it is small, as a tile and a point are.
        """
        loop = asyncio.get_running_loop()
        if functions:
            async with self.admission.enter(tenant):
                return await loop.run_in_executor(self.functions, work, *args)
        if tile:
            return await loop.run_in_executor(self.pixels, work, *args)
        return await run_in_threadpool(work, *args)

    def close(self) -> None:
        """Start no more work."""
        for pool in (self.pixels, self.functions):
            pool.shutdown(wait=False, cancel_futures=True)


def has_functions(document: Mapping[str, Any]) -> bool:
    """Whether a process graph, or a body that holds one, has functions of users somewhere.

    A text that merely looks so counts too; it costs a thread of the other kind, nothing more.
    """
    try:
        return b'"run_udf"' in orjson.dumps(document)
    except orjson.JSONEncodeError:  # deeper than any graph that is accepted
        return False


def context(request: Request) -> Context:
    """The context of the application that was asked."""
    found: Context = request.app.state.context
    return found


def _engine(request: Request) -> Engine:
    return context(request).engine


TheContext = Annotated[Context, Depends(context)]
TheEngine = Annotated[Engine, Depends(_engine)]
