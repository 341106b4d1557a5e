"""Who asks: a token becomes a name, and what lies inside never sees the token."""

from __future__ import annotations

import hmac
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated
from urllib.parse import quote, unquote_plus

from fastapi import Depends, Request
from starlette.types import ASGIApp, Receive, Scope, Send

from earthloom.base.errors import EarthloomError, Unauthorized
from earthloom.base.log import log
from earthloom.server.tokens import LOCAL, Tokens, sha256, this_hour

# Beside the requests: none waits for the disk.
_writer = ThreadPoolExecutor(1, "token-use")


@dataclass(frozen=True, slots=True)
class Access:
    """Who may ask a server.

    Parameters
    ----------
    tokens
        The named tokens.
    shared
        Whether nobody may ask without a token: the server listens beyond this machine, or stands behind a proxy.
    own
        SHA-256 of the token of the process that started this server for itself alone, as hex digits; every request
        then needs it and comes from "local". Empty for all other servers.
    """

    tokens: Tokens
    shared: bool = False
    own: str = ""
    _noted: dict[str, datetime] = field(default_factory=dict)

    def principal(self, token: str | None) -> str:
        """The name of who asks.

        Raises
        ------
        Unauthorized
            If a token is needed and there is none, or nobody has this one.
        """
        if token is None:
            if self.shared or self.own:
                raise Unauthorized(
                    "This server answers only with a token.",
                    hint="Pass yours: el.connect(url, token=...), EARTHLOOM_TOKEN, the header "
                    '"Authorization: Bearer ...", or ?token=... in an address. '
                    "Who runs the server makes one with: earthloom token add NAME",
                )
            return LOCAL
        if self.own:
            if hmac.compare_digest(sha256(token), self.own):
                return LOCAL
            found = None
        else:
            found = self.tokens.find(token)
        if found is None:
            raise Unauthorized(
                "Nobody has this token here.",
                hint="It was removed, belongs to another server, or was not copied whole.",
            )
        name, kept = found
        if kept.ended:
            raise Unauthorized(
                f"This token of {name} ended on {kept.ends:%Y-%m-%d} at {kept.ends:%H:%M} UTC.",
                hint=f"Who runs the server makes a new one with: earthloom token remove {name}, "
                f"then earthloom token add {name}",
            )
        return name

    def note_use(self, name: str) -> None:
        """Keep in which hour a name last asked. That it cannot be kept, as on a full disk, is no reason to refuse."""
        kept = self.tokens.all().get(name)
        if kept is None or kept.used == this_hour() or self._noted.get(name) == this_hour():
            return
        self._noted[name] = this_hour()
        _writer.submit(self._write_use, name)

    def _write_use(self, name: str) -> None:
        try:
            self.tokens.note_use(name)
        except (OSError, EarthloomError) as error:
            log.warning("When %s last asked cannot be kept: %s", name, error)


class SignIn:
    """ASGI wrapper: finds out who asks, and takes the token out of the request, so that no log or answer holds it."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self.app, self.access = app, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            in_header, headers = _of_header(scope["headers"])
            in_query, query = _of_query(scope["query_string"])
            name = self.access.principal(in_query if in_header is None else in_header)
            self.access.note_use(name)
            scope.setdefault("said", {})["who"] = name  # to those around this one
            scope = {**scope, "headers": headers, "query_string": query, "principal": name, "query_token": in_query}
        await self.app(scope, receive, send)


def tenant(request: Request) -> str:
    """Who asks, as `SignIn` found out."""
    return str(request.scope["principal"])


Tenant = Annotated[str, Depends(tenant)]


def query(request: Request) -> str:
    """`?token=...` for addresses in an answer, if the asker came with one in the address: web maps send no header."""
    token = request.scope["query_token"]
    return "" if token is None else f"?token={quote(token, safe='')}"


def _of_header(headers: list[tuple[bytes, bytes]]) -> tuple[str | None, list[tuple[bytes, bytes]]]:
    for name, value in headers:
        if name == b"authorization":
            scheme, _, rest = value.decode("latin-1").partition(" ")
            if scheme.lower() == "bearer":
                return rest.strip(), [pair for pair in headers if pair[0] != b"authorization"]
    return None, headers


def _of_query(text: bytes) -> tuple[str | None, bytes]:
    if b"token=" not in text:
        return None, text
    parts = text.split(b"&")
    tokens = [part for part in parts if part.startswith(b"token=")]
    if not tokens:
        return None, text
    rest = b"&".join(part for part in parts if not part.startswith(b"token="))
    return unquote_plus(tokens[-1][6:].decode("latin-1")), rest
