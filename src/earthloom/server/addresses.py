"""Addresses of our own routes, as the asker reaches us."""

from __future__ import annotations

from starlette.requests import Request

from earthloom.server.access import query


def address(request: Request, path: str) -> str:
    """The absolute address of a path. The `Host` in it has passed the guard; a token in the asker's address goes on."""
    return f"{str(request.base_url).rstrip('/')}{path}{query(request)}"
