"""What is turned away at the door: foreign host names, posts by foreign pages, and bodies that are too large."""

from __future__ import annotations

import re
from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from earthloom.base.errors import InvalidArgument, TooLarge
from earthloom.server.addresses import Network, as_asked
from earthloom.server.settings import LOOPBACK

MAX_BODY_BYTES = 1_000_000
# Pages of this machine, JupyterLab first of all, may read our answers; others may not.
LOOPBACK_ORIGINS = r"https?://(localhost|127\.0\.0\.1|\[::1\])(:\d{1,5})?"
# A host name or address and a port, nothing that would be read otherwise in an address of ours.
_HOST = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?")


class Guard:
    """ASGI wrapper: checks `Host`, so that no foreign name can be pointed at this machine; limits the body.

    Parameters
    ----------
    hosts
        The names under which this server is asked, in lower case; none means all.
    origins
        Pages that may post, as a regular expression. A browser lets every page post blindly; without a token in the
        way, one could have functions run here.
    proxies
        From where `X-Forwarded-*` are believed. Both names are checked, the proxy's for us and the public one.
    """

    def __init__(
        self,
        app: ASGIApp,
        hosts: Sequence[str] = LOOPBACK,
        origins: str = LOOPBACK_ORIGINS,
        proxies: Sequence[Network] = (),
    ) -> None:
        self.app, self.hosts, self.origins, self.proxies = app, tuple(hosts), re.compile(origins), tuple(proxies)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            self._check(scope)
            scope = as_asked(scope, self.proxies)
            self._check(scope)
            origin = Headers(scope=scope).get("origin")
            if scope["method"] not in ("GET", "HEAD", "OPTIONS"):
                if origin is not None and not self.origins.fullmatch(origin):
                    raise InvalidArgument(f'Pages of "{origin}" may not post to this server.')
                receive = replay(await whole_body(receive), receive)
        await self.app(scope, receive, send)

    def _check(self, scope: Scope) -> None:
        host = Headers(scope=scope).get("host", "")
        if not _HOST.fullmatch(host) or (self.hosts and _name(host) not in self.hosts):
            names = f"It is called {', '.join(self.hosts)}." if self.hosts else ""
            raise InvalidArgument(f'This server is not called "{host}".', hint=names)


def _name(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].lower()


async def whole_body(receive: Receive) -> bytes:
    """The whole body. It is counted as it comes: the header that announces its size may lie."""
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > MAX_BODY_BYTES:
            raise TooLarge(
                f"The body is larger than {MAX_BODY_BYTES} bytes.", hint="A chain's graph is a few kilobytes."
            )
        if not message.get("more_body"):
            return bytes(body)


def replay(body: bytes, receive: Receive) -> Receive:
    first = True

    async def replayed() -> Message:
        nonlocal first
        if first:
            first = False
            return {"type": "http.request", "body": body, "more_body": False}
        return await receive()

    return replayed
