"""A store on another machine, in words: its name without the password, and that it does not answer."""

from __future__ import annotations

from urllib.parse import urlsplit

from earthloom.base.errors import InvalidArgument, Unavailable


def name_of(url: str) -> str:
    """The address of a store as people may see it: without password and options.

    Raises
    ------
    InvalidArgument
        If it is no address.
    """
    try:
        parts = urlsplit(url)
        port = "" if parts.port is None else f":{parts.port}"
    except ValueError:
        raise bad_address(url.partition(":")[0]) from None
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{host}{port}{parts.path}"


def bad_address(scheme: str) -> InvalidArgument:
    """That an address cannot be read. It is not repeated, for a password may stand in it."""
    return InvalidArgument(
        f"The address {scheme}://… of the store cannot be read.",
        hint="It is written scheme://user:password@host:port/name; in a password, write %40 for @ and %25 for %.",
        argument="store",
    )


def unavailable(name: str, reason: str) -> Unavailable:
    """That a store does not answer."""
    reason = (reason.strip().splitlines() or ["no reason given"])[0].rstrip(".")
    return Unavailable(
        f"The store of chains {name} does not answer: {reason}.",
        hint="Nothing that it kept is lost by this. Try again; the engine goes on as soon as the store does.",
        store=name,
    )
