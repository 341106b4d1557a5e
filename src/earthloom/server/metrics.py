"""`/metrics`: what the server has done, for Prometheus."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from fastapi import APIRouter, Request
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.responses import Response

from earthloom.base.errors import EarthloomError
from earthloom.sandbox.sandbox import Sandbox
from earthloom.server.queue import FairQueue, Jobs

router = APIRouter(tags=["server"])

_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
# Of the sandbox's counters, what goes down again; all others only grow.
_GAUGES = {
    "workers": "Processes that can run a user's function",
    "spares": "Processes that wait for a new function",
    "queue": "Calls of users' functions that wait for their turn",
}


class Metrics:
    """The numbers of one server. A registry of its own: two servers in one process do not share them."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.registry = CollectorRegistry()
        self._tiles = Counter("earthloom_tiles", "Tiles asked for", ["outcome"], registry=self.registry)
        self._seconds = Histogram(
            "earthloom_tile_seconds", "Time of a tile", ["user_code"], buckets=_BUCKETS_S, registry=self.registry
        )
        self.registry.register(_OfSandbox(sandbox))

    def watch(self, queue: FairQueue, jobs: Jobs) -> None:
        """Tell of a queue and of jobs in flight, too."""
        self.registry.register(_OfQueue(queue, jobs))

    @contextmanager
    def tile(self) -> Iterator[dict[str, bool]]:
        """Count and time a tile. The block says in the dictionary whether it was `known`, nobody waited (`gone`), or
        it ran `user_code`."""
        said = {"known": False, "gone": False, "user_code": False}
        started, outcome = time.perf_counter(), "error"
        try:
            yield said
            outcome = "gone" if said["gone"] else "known" if said["known"] else "drawn"
        except EarthloomError as error:
            outcome = error.code
            raise
        finally:
            self._tiles.labels(outcome).inc()
            self._seconds.labels("yes" if said["user_code"] else "no").observe(time.perf_counter() - started)


class _OfSandbox:
    """The sandbox's counters, read when somebody asks."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox

    def collect(self) -> Iterator[Metric]:
        for name, value in self.sandbox.counters().items():
            if name in _GAUGES:
                yield GaugeMetricFamily(f"earthloom_sandbox_{name}", _GAUGES[name], value=value)
            else:
                text = f"Sum of the sandbox's {name.replace('_', ' ')} since the server started"
                yield CounterMetricFamily(f"earthloom_sandbox_{name}", text, value=value)


class _OfQueue:
    """The queue of plain tiles, and what was asked for while it was computed already."""

    def __init__(self, queue: FairQueue, jobs: Jobs) -> None:
        self.queue, self.jobs = queue, jobs

    def collect(self) -> Iterator[Metric]:
        text = "Tiles and points of plain chains that wait for their turn"
        yield GaugeMetricFamily("earthloom_tiles_waiting", text, value=self.queue.waiting)
        text = "Tiles that were being computed for somebody else already"
        yield CounterMetricFamily("earthloom_tiles_joined", text, value=self.jobs.joined)


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
def metrics(request: Request) -> Response:
    """Counts and times, as Prometheus reads them."""
    of: Metrics = request.app.state.context.metrics
    return Response(generate_latest(of.registry), media_type=CONTENT_TYPE_LATEST)
