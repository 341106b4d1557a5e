"""`earthloom serve`: one engine behind HTTP, on this machine or, for those who have a token, beyond it."""

from __future__ import annotations

import errno
import os
import signal
import socket
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from earthloom.base.errors import InvalidArgument
from earthloom.base.log import log, to_terminal
from earthloom.cli.parent import end_with
from earthloom.cli.stopping import stop_on_signals

if TYPE_CHECKING:
    from earthloom.sandbox.sandbox import Sandbox

_BACKLOG = 2048
# What a stopping server waits for answers under way.
_GRACE_S = 3


def serve(
    data: Annotated[Path | None, typer.Option(help="Folder of the catalogue and the chains.")] = None,
    host: Annotated[
        str | None, typer.Option(help="Address to listen on; others than this machine's own need tokens.")
    ] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = None,
    cache_bytes: Annotated[int | None, typer.Option(help="Limit of the cache of decoded blocks [bytes].")] = None,
    places: Annotated[Path | None, typer.Option(help="Folder of the place names' files.")] = None,
    queue: Annotated[int | None, typer.Option(help="How many tiles may wait; who asks for more comes again.")] = None,
    allowed_hosts: Annotated[
        str | None, typer.Option(help="Names under which it is asked, with commas: behind a proxy, the public one.")
    ] = None,
    store: Annotated[
        str | None, typer.Option(help="Where chains are kept: a file, redis://, rediss:// or postgresql://.")
    ] = None,
    store_days: Annotated[float | None, typer.Option(help="How long a chain stays that nobody uses [days].")] = None,
    trusted_proxies: Annotated[
        str | None, typer.Option(help="Addresses or networks of proxies whose X-Forwarded-* are believed.")
    ] = None,
    parent: Annotated[int | None, typer.Option(hidden=True, help="Stop when this process is gone.")] = None,
    own: Annotated[str | None, typer.Option(hidden=True, help="SHA-256 of the one token of the parent.")] = None,
) -> None:
    """Answer chains, tiles, points and collections over HTTP.

    When it is ready, the first line of its output is its address. Ctrl-C stops it.
    """
    from earthloom.server import requestlog
    from earthloom.server.access import Access
    from earthloom.server.settings import load, load_people, load_sandbox
    from earthloom.server.tokens import Tokens

    settings = load(
        data=data,
        host=host,
        port=port,
        cache_bytes=cache_bytes,
        places=places,
        queue=queue,
        allowed_hosts=allowed_hosts,
        store=store,
        store_days=store_days,
        trusted_proxies=trusted_proxies,
    )
    access = Access(Tokens(settings.data), shared=settings.shared, own=own or "")
    if settings.shared and not access.tokens.names():
        raise InvalidArgument(
            "Others than you can reach this server, and nobody has a token yet.",
            hint=f"Make one first: earthloom token add NAME --data {settings.data}",
        )
    # Where each request needs the one token, foreign names are no danger: a notebook on a hub comes by the hub's.
    hosts = () if own else settings.hosts
    sandbox = load_sandbox(shared=settings.shared, own=own is not None)
    people = load_people(shared=settings.shared)
    to_terminal()
    if people.log_requests:
        requestlog.to_stderr()
    stop_on_signals()
    if parent is not None:
        end_with(parent)
    # The port first: if it is taken, that is said before any work.
    with listen(settings.host, settings.port) as listener:
        import uvicorn

        from earthloom.engine.engine import open_engine
        from earthloom.server.app import create_app
        from earthloom.server.shares import Shares
        from earthloom.server.version import VERSION

        code = 0
        engine = open_engine(
            settings.data,
            places=settings.places,
            cache_bytes=settings.cache_bytes,
            store=settings.store,
            store_days=settings.store_days,
            sandbox=sandbox,
        )
        try:
            # Before the first request: a user's first tile must not wait for a compiler.
            engine.warm()
            try:
                listener.listen(_BACKLOG)
            except OSError as error:  # another program was quicker, after the port was bound
                raise _closed(error, settings.host, settings.port) from None
            url = address(listener)
            print(url, flush=True)
            log.info("Earthloom %s answers at %s; its data are in %s. Ctrl-C stops it.", VERSION, url, settings.data)
            # Beside the first answers: loading all libraries takes seconds, and most chains need none of them.
            threading.Thread(target=_start, args=(engine.sandbox,), name="sandbox-start", daemon=True).start()
            config = uvicorn.Config(
                create_app(
                    engine, access, hosts, Shares(settings.data), people, settings.trusted_proxies, settings.queue
                ),
                proxy_headers=False,  # the guard reads them
                log_config=None,
                log_level="warning",
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=_GRACE_S,
            )
            server = uvicorn.Server(config)
            # uvicorn takes over the other two while it runs; an exception from a handler would only hit its loop.
            signal.signal(signal.SIGHUP, server.handle_exit)
            try:
                server.run(sockets=[listener])
            except SystemExit as stopped:  # uvicorn hands the signal on once it has stopped
                code = int(stopped.code or 0)
        finally:
            engine.close()
    # Threads that still compute an answer which nobody waits for would keep the process for as long as they take.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _start(sandbox: Sandbox) -> None:
    """Start the sandbox and say how well it isolates."""
    sandbox.start()
    report = sandbox.report()
    if report.level is None:
        log.warning("Functions of users are refused. %s", report.refusal)
    elif report.level == "none":
        log.warning("Functions of users are NOT ISOLATED: they run in a plain process.")
    else:
        log.info("Functions of users run at the level %s.", report.level)
    for fence in report.fences:
        if not fence.ok:
            log.info("Fence missing: %s: %s. %s", fence.name, fence.reason, fence.remedy)


def listen(host: str, port: int) -> socket.socket:
    """A socket bound to host and port, not yet listening.

    Raises
    ------
    InvalidArgument
        If the port is taken or not ours to open.
    """
    family, kind, protocol, _, target = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    bound = socket.socket(family, kind, protocol)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(target)
    except OSError as error:
        bound.close()
        raise _closed(error, host, port) from None
    return bound


def _closed(error: OSError, host: str, port: int) -> InvalidArgument:
    """Why a port cannot be had, in words."""
    if error.errno == errno.EADDRINUSE:
        return InvalidArgument(
            f"Port {port} is taken by another program.",
            hint="Give another one with --port; --port 0 takes a free one.",
            argument="port",
        )
    return InvalidArgument(f"Port {port} of {host} cannot be opened: {error.strerror}.", argument="port")


def address(listener: socket.socket) -> str:
    """The address under which a listening socket is reached."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
