"""The page for people at `/`, and the files that it is made of: they hold no secret, so nobody signs in for them."""

from __future__ import annotations

from pathlib import Path

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from earthloom.base.errors import NotFound

WEB = Path(__file__).parents[1] / "web"
STATIC = "/static/"

# The page asks nobody but this server, and runs no script but its files. Pictures of tiles are blobs, hatches data.
_CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)
_HEADERS = {
    # no-cache: asked for again each time, and answered by 304 as long as the file is the same.
    "Cache-Control": "no-cache",
    "Content-Security-Policy": _CSP,
    "Referrer-Policy": "no-referrer",  # the address may hold a token
    "X-Content-Type-Options": "nosniff",
    "Vary": "Accept",  # of "/"
}


class Page:
    """ASGI wrapper: answers browsers at `/` and what they load from `/static/`; all else goes on.

    A program that asks for `/` gets the JSON of the application inside: a browser says that it takes HTML.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.files = StaticFiles(directory=WEB, packages=[("js_lib_leaflet", "static/js_lib_leaflet")])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked = scope["type"] == "http" and scope["method"] in ("GET", "HEAD")
        path = scope["path"].removeprefix(scope.get("root_path", "")) if asked else ""
        if path == "/" and _takes_html(scope):
            name = "page.html"
        elif path.startswith(STATIC):
            name = path.removeprefix(STATIC)
        else:
            await self.app(scope, receive, send)
            return
        try:
            response = await self.files.get_response(name, scope)
        except HTTPException:
            raise NotFound(f'There is no file "{path}".') from None
        response.headers.update(_HEADERS)
        await response(scope, receive, send)


def _takes_html(scope: Scope) -> bool:
    return "text/html" in Headers(scope=scope).get("accept", "")
