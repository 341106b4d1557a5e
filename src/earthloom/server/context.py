"""What every route is given: the engine, who asks, and where work runs.

Three places, so that one kind of work never takes another's: tiles and points of plain chains have a thread for each
core (more would only make each tile later) behind a queue that is fair to users and layers; previews and arrays of
plain chains have the threads of the JSON routes; and all that runs a user's function, which mostly waits for it, has
many threads of its own behind an admission by tenant.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, Any, TypeVar

import orjson
from fastapi import Depends, Request
from starlette.concurrency import run_in_threadpool
from starlette.types import Receive

from earthloom.base.lru import Lru
from earthloom.engine.engine import Engine
from earthloom.sandbox.settings import cores
from earthloom.server.access import Access
from earthloom.server.admission import Admission
from earthloom.server.failures import Failures
from earthloom.server.metrics import Metrics
from earthloom.server.queue import FairQueue, Job, Jobs

CORES = cores()
# Of one tenant: enough to read the input of the next tiles while functions run.
_EACH = CORES + 2
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
    queue: FairQueue
    jobs: Jobs = field(default_factory=Jobs)
    functions: ThreadPoolExecutor = field(default_factory=partial(ThreadPoolExecutor, _EACH * _TENANTS, "functions"))
    admission: Admission = field(default_factory=partial(Admission, _EACH, _WAIT_S))
    failures: Failures = field(default_factory=Failures)
    uses: Lru[str, bool] = field(default_factory=partial(Lru, _KEYS))

    def __post_init__(self) -> None:
        self.metrics.watch(self.queue, self.jobs)

    async def uses_functions(self, key: str) -> bool:
        """Whether a chain has functions of users; NotFound if it is not kept here."""
        known = self.uses.get(key)
        if known is None:
            known = has_functions(await run_in_threadpool(self.engine.graph, key))
            self.uses.put(key, known)
        return known

    async def run(
        self, tenant: str, functions: bool, work: Callable[..., Result], *args: Any, layer: str = ""
    ) -> Result:
        """Do some work in a thread, where it belongs.

        Parameters
        ----------
        tenant
            Who asks.
        functions
            Whether the work runs functions of users.
        layer
            Key of the chain, if the work is small, as a tile and a point are.
        """
        if functions:
            async with self.admission.enter(tenant):
                return await asyncio.get_running_loop().run_in_executor(self.functions, work, *args)
        if layer:
            result: Result = await self.queue.put(tenant, layer, partial(work, *args)).result
            return result
        return await run_in_threadpool(work, *args)

    async def once(
        self,
        name: Hashable,
        tenant: str,
        layer: str,
        functions: bool,
        work: Callable[[], Result],
        receive: Receive,
    ) -> Result:
        """As `run`, for work that others who ask for the same `name` share; see `Jobs.once`."""

        def make() -> Job:
            return self._admitted(tenant, work) if functions else self.queue.put(tenant, layer, work)

        result: Result = await self.jobs.once(name, make, receive)
        return result

    def _admitted(self, tenant: str, work: Callable[[], Result]) -> Job:
        async def run() -> Result:
            async with self.admission.enter(tenant):
                job.begun = True
                return await asyncio.get_running_loop().run_in_executor(self.functions, work)

        task = asyncio.create_task(run())
        job = Job(task, task.cancel)
        return job

    def close(self) -> None:
        """Start no more work."""
        self.queue.close()
        self.functions.shutdown(wait=False, cancel_futures=True)


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
