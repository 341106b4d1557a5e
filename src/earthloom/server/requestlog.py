"""A line in the log for each request: when, who, what (a tile's path holds key and tile), status, milliseconds."""

from __future__ import annotations

import logging
import time
from urllib.parse import quote

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = logging.getLogger("earthloom.requests")
log.setLevel(logging.WARNING)  # silent until `to_stderr`: it would else speak through the project's logger


def to_stderr() -> None:
    """Write the lines, each as it is: programs read them, so they are neither coloured nor wrapped."""
    if not log.handlers:
        handler = logging.StreamHandler()
        form = logging.Formatter("%(asctime)s.%(msecs)03dZ %(message)s", datefmt="%Y-%m-%dT%H:%M:%S")
        form.converter = time.gmtime
        handler.setFormatter(form)
        log.addHandler(handler)
    log.propagate = False
    log.setLevel(logging.INFO)


class LogRequests:
    """ASGI wrapper: logs each request of the application inside, if somebody listens.

    `SignIn` says inside who asked; nobody known is "-". The address's query is left out: it may hold a token.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not log.isEnabledFor(logging.INFO):
            await self.app(scope, receive, send)
            return
        said: dict[str, str] = {}
        # 499, as nginx has it: who asked went away before there was an answer.
        status, made, started = 499, "", time.perf_counter()

        async def watched(message: Message) -> None:
            nonlocal status, made
            if message["type"] == "http.response.start":
                status = message["status"]
                location = Headers(raw=message.get("headers", [])).get("location", "")
                # Of a chain that is posted, its key is known only now.
                made = f" -> {location.rpartition('/')[2]}" if status == 201 and location else ""
            await send(message)

        try:
            await self.app({**scope, "said": said}, receive, watched)
        finally:
            ms = (time.perf_counter() - started) * 1e3
            # Quoted: a path with a line break in it must not write a line of its own.
            path = quote(scope["path"], safe="/@.-_~:,")
            log.info("%s %s %s%s %d %.1f ms", said.get("who", "-"), scope["method"], path, made, status, ms)
