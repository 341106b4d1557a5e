"""The application: which route lies where, and what stands around all of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.routing import Router
from starlette.types import ASGIApp

from earthloom.engine.engine import Engine
from earthloom.server import (
    capabilities,
    chains,
    collections,
    errors,
    functions,
    health,
    metrics,
    points,
    shared,
    tiles,
)
from earthloom.server.access import Access, SignIn
from earthloom.server.addresses import Network
from earthloom.server.context import CORES, Context
from earthloom.server.guard import LOOPBACK_ORIGINS, Guard
from earthloom.server.limits import Limits
from earthloom.server.metrics import Metrics
from earthloom.server.npz import NPZ
from earthloom.server.page import Page
from earthloom.server.queue import FairQueue
from earthloom.server.requestlog import LogRequests
from earthloom.server.rights import Hide, Rights
from earthloom.server.settings import DEFAULT_QUEUE, PeopleOptions
from earthloom.server.shares import Shares
from earthloom.server.version import VERSION

GZIP_FROM_BYTES = 1000


def create_app(
    engine: Engine,
    access: Access,
    hosts: Sequence[str],
    shares: Shares,
    people: PeopleOptions,
    proxies: Sequence[Network] = (),
    queue: int = DEFAULT_QUEUE,
) -> ASGIApp:
    """The ASGI application over an engine.

    A tile passes CORS, the log, the door for errors, the guard, the page, the sign-in, the limits, the rights and one
    route. All other paths go on to FastAPI, which describes itself in `/openapi.json`; its pages for people are off,
    for they load scripts from elsewhere.

    Parameters
    ----------
    engine
        What answers. Nothing is started or compiled here.
    access
        Who may ask.
    hosts
        Names under which the server may be asked; none means all.
    shares
        What the page shows.
    people
        What one name may ask for.
    proxies
        From where it is believed how a request reached them.
    queue
        How many plain tiles may wait for their turn.
    """
    context = Context(engine, access, Metrics(engine.sandbox), FairQueue(CORES, queue))
    api = FastAPI(title="Earthloom", version=VERSION, docs_url=None, redoc_url=None)
    api.state.context, api.state.shares = context, shares
    for door in (chains, points, collections, functions, health, metrics, shared, capabilities):
        api.include_router(door.router)
    errors.install(api)
    # JSON and SVG. What is compressed already, and large arrays of floats, are sent as they are.
    packed = ("image/png", NPZ)
    api.add_middleware(GZipMiddleware, minimum_size=GZIP_FROM_BYTES, compresslevel=5, exclude_content_types=packed)

    @asynccontextmanager
    async def lifespan(_: object) -> AsyncIterator[None]:
        yield
        context.close()

    front = Router(routes=tiles.routes(context), default=api, lifespan=lifespan)
    inside = Limits(Hide(front, Rights(access.tokens), access, engine), people)
    # Any page may ask a shared server, for no page gets anything by itself: it needs a token.
    origins = ".*" if access.shared else LOOPBACK_ORIGINS
    return CORSMiddleware(
        LogRequests(errors.ErrorsAsJson(Guard(Page(SignIn(inside, access)), hosts, origins, proxies))),
        allow_origins=("*",) if access.shared else (),
        allow_origin_regex=None if access.shared else origins,
        allow_methods=("GET", "POST"),
        allow_headers=("Authorization", "Content-Type", "If-None-Match"),
        expose_headers=("ETag", "Server-Timing", "Retry-After"),
    )
