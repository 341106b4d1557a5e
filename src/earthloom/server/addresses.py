"""Addresses of our own routes, as the asker reaches us: directly, or through a proxy under another name and path."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import Scope

from earthloom.base.errors import InvalidArgument
from earthloom.server.access import query

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# Steps of plain characters: nothing that a browser reads as the beginning of another host, or as a way up.
_PREFIX = re.compile(r"(/(?!\.{1,2}(/|$))[A-Za-z0-9._~@%+-]+)*")


def address(request: Request, path: str) -> str:
    """The absolute address of a path. The `Host` in it has passed the guard; a token in the asker's address goes on."""
    return f"{str(request.base_url).rstrip('/')}{path}{query(request)}"


def as_asked(scope: Scope, proxies: Sequence[Network]) -> Scope:
    """The request as it reached the outermost proxy, if a proxy that is believed says how that was.

    `X-Forwarded-Proto` is the scheme, `X-Forwarded-Host` the name, `X-Forwarded-Prefix` the path that the proxy took
    away before it asked us. From anybody else these headers say nothing.

    Parameters
    ----------
    proxies
        From where these headers are believed.

    Raises
    ------
    InvalidArgument
        If the proxy sends a scheme or a prefix that is none.
    """
    headers = Headers(scope=scope)
    if not _from(scope.get("client"), proxies):
        return scope
    scheme, host, prefix = (_outermost(headers, name) for name in ("proto", "host", "prefix"))
    prefix = prefix.rstrip("/")
    if scheme not in ("", "http", "https") or not _PREFIX.fullmatch(prefix):
        raise InvalidArgument(
            "The proxy in front of this server sends an X-Forwarded-Proto or X-Forwarded-Prefix that cannot be.",
            hint="The first is http or https, the second a path such as /earthloom. docs/how-to/https.md shows both.",
        )
    said = dict(scope)
    if scheme:
        said["scheme"] = scheme
    if host:
        kept = [pair for pair in scope["headers"] if pair[0] != b"host"]
        said["headers"] = [(b"host", host.encode("latin-1")), *kept]
    if prefix:
        # As ASGI has it: the path is whole again, and `root_path` says what routes are to overlook.
        said |= {"root_path": prefix, "path": prefix + scope["path"]}
    return said


def _outermost(headers: Headers, name: str) -> str:
    """What the first of several proxies has written; each appends, with a comma."""
    return headers.get(f"x-forwarded-{name}", "").partition(",")[0].strip()


def _from(client: Sequence[object] | None, proxies: Sequence[Network]) -> bool:
    if not client or not proxies:
        return False
    try:
        sender = ipaddress.ip_address(str(client[0]))
    except ValueError:  # no address of the internet, such as a test's
        return False
    if isinstance(sender, ipaddress.IPv6Address) and sender.ipv4_mapped:
        sender = sender.ipv4_mapped
    return any(sender in network for network in proxies)
