"""Our errors as HTTP answers: the only place that knows which code has which status."""

from __future__ import annotations

import asyncio
import math
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from earthloom.base.errors import EarthloomError, InvalidArgument, NotFound, Unavailable
from earthloom.base.log import log
from earthloom.server.body import Json

STATUS = {
    "invalid-argument": 400,
    "invalid-graph": 400,
    "not-found": 404,
    "empty-selection": 404,
    "too-large": 413,
    "needs-whole-image": 422,
    "function-failed": 422,
    "unauthorized": 401,
    "not-supported": 501,
    "busy": 503,
    "too-many-requests": 429,
    # A file of ours that cannot be read is our fault. Not 502: proxies take that for a dead server.
    "read-error": 500,
    "unavailable": 503,
}
RETRY_AFTER_S = 4


def answer(error: EarthloomError, status: int | None = None) -> Response:
    """The error as JSON: code, message, hint, near, where."""
    status = status or STATUS.get(error.code, 500)
    # An error may go away (a file is put back, an item comes in): it is never kept.
    headers = {"Cache-Control": "no-store"}
    if status in (429, 503):
        headers["Retry-After"] = str(math.ceil(error.where.get("retry_after", RETRY_AFTER_S)))
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return Json(error.to_dict(), status, headers)


def unexpected(request: Request | None = None, error: Exception | None = None) -> Response:
    """The answer when we are wrong: no traceback leaves the server."""
    return answer(EarthloomError("The server failed unexpectedly.", hint="The reason is in the server's log."))


class ErrorsAsJson:
    """ASGI wrapper: every error of the application inside becomes JSON; unexpected ones are logged with traceback."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self.app(scope, receive, watched)
        except EarthloomError as error:
            await answer(error)(scope, receive, send)
        except asyncio.CancelledError:  # the server stops, and has waited long enough
            if not started:
                await answer(Unavailable("The server is stopping."))(scope, receive, send)
        except Exception:  # the last door: the log gets the traceback, the user a sentence
            log.exception("%s %s failed", scope["method"], scope["path"])
            if not started:
                await unexpected()(scope, receive, send)


def install(api: FastAPI) -> None:
    """Give FastAPI's own errors our form."""

    async def ours(request: Request, error: Exception) -> Response:
        assert isinstance(error, EarthloomError)
        return answer(error)

    async def route(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        if error.status_code == 404:
            return answer(NotFound(f'No route "{request.url.path}".', hint="/openapi.json lists them."))
        if error.status_code == 405:
            return answer(InvalidArgument(f"{request.url.path} does not take {request.method}."), 405)
        return answer(InvalidArgument(f"{error.detail}."), error.status_code)

    async def parameter(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return answer(_parameter(error.errors()[0]))

    async def failed(request: Request, error: Exception) -> Response:
        return unexpected()

    api.add_exception_handler(EarthloomError, ours)
    api.add_exception_handler(HTTPException, route)
    api.add_exception_handler(RequestValidationError, parameter)
    api.add_exception_handler(Exception, failed)


def _parameter(first: dict[str, Any]) -> InvalidArgument:
    name = str(first["loc"][-1])
    if first["type"] == "missing":
        return InvalidArgument(f'The parameter "{name}" is missing.', argument=name)
    return InvalidArgument(f'The parameter "{name}" cannot be "{first["input"]}": {first["msg"]}.', argument=name)
