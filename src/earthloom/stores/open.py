"""A store by its address: nothing or a path is a SQLite file, a URL says which server it is on."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from earthloom.base.errors import InvalidArgument, NotSupported
from earthloom.stores.protocol import Store
from earthloom.stores.remote import name_of
from earthloom.stores.sqlite import SqliteStore

DEFAULT_DAYS = 90.0
LIBRARIES = {"redis": "redis", "rediss": "redis", "postgresql": "psycopg"}  # by scheme


def open_store(address: str | None, data: Path, days: float = DEFAULT_DAYS) -> Store:
    """The store at an address. A server of its own is first asked when it is needed, and may be away until then.

    Parameters
    ----------
    address
        Path of a SQLite file, `redis://`, `rediss://` or `postgresql://`; None takes chains.sqlite in `data`.
    data
        The data folder.
    days
        How long Redis keeps a key that nobody uses [days]; the others wait for `earthloom store clean`.

    Raises
    ------
    InvalidArgument
        If the address is none that we know.
    NotSupported
        If the library for it is not installed.
    ReadError
        If the file is no store of ours.
    """
    if not address or "://" not in address:
        return SqliteStore(Path(address).expanduser() if address else data / "chains.sqlite")
    scheme = address.partition("://")[0]
    if scheme not in LIBRARIES:
        raise InvalidArgument(
            f"There is no store for {scheme}://.",
            hint="Give the path of a SQLite file, or an address that begins with one of those.",
            near=[f"{known}://" for known in LIBRARIES],
            argument="store",
        )
    if importlib.util.find_spec(LIBRARIES[scheme]) is None:
        raise NotSupported(
            f"A store at {scheme}:// needs the library {LIBRARIES[scheme]}, which is not installed.",
            hint="Install it: pip install 'earthloom[stores]'",
        )
    return _open_remote(scheme, address, days)


def _open_remote(scheme: str, address: str, days: float) -> Store:
    # Imported on use: who keeps chains in a file needs none of the libraries.
    name = name_of(address)
    if scheme == "postgresql":
        from earthloom.stores.postgres import PostgresStore

        return PostgresStore(address, name)
    from earthloom.stores.redis import RedisStore

    return RedisStore(address, name, days)
