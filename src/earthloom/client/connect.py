"""Find a server: the one named, the one of the environment, or an embedded one."""

from __future__ import annotations

import os

from earthloom.chain import session
from earthloom.client.api import HttpSession
from earthloom.client.embedded import own_engine, own_engine_again
from earthloom.client.transport import is_loopback


def connect(url: str | None = None, token: str | None = None, public_url: str | None = None) -> HttpSession:
    """Connect to a server and make it the one in use for chains, collections and maps.

    Parameters
    ----------
    url
        Address of a server. Without one `$EARTHLOOM_URL` counts, and without that an engine is started for as long as
        this Python runs. It keeps its chains and its catalogue in the data folder (`$EARTHLOOM_DATA`).
    token
        Who asks, for a server that wants to know; without one `$EARTHLOOM_TOKEN` counts, unless `$EARTHLOOM_URL`
        names another server. The addresses of a map's tiles hold the token: do not share a notebook that was saved with
        its maps' state.
    public_url
        Address under which the browser that shows a map reaches the server, where it is another than `url`: behind a
        proxy, "/user/ann/proxy/{port}" for instance, with "{port}" for the server's own. Without one
        `$EARTHLOOM_PUBLIC_URL` counts. In JupyterHub a server of the notebook's own machine is reached through
        jupyter-server-proxy without being told.

    Raises
    ------
    Unauthorized
        If the server wants a token and there is none, or knows nobody who has this one.
    Unavailable
        If nothing answers there, or no engine is installed here.
    """
    usual = os.environ.get("EARTHLOOM_URL")
    url = url or usual
    if url == usual or not usual:  # the environment's token is no other server's business
        token = token or os.environ.get("EARTHLOOM_TOKEN")
    renew = None
    if not url:
        url, token = own_engine()
        renew = own_engine_again
    public_url = public_url or os.environ.get("EARTHLOOM_PUBLIC_URL") or _through_hub(url)
    connected = HttpSession(url, token=token, renew=renew, public_url=public_url)
    try:
        connected.health()
    except BaseException:
        connected.close()
        raise
    session.use(connected)
    return connected


def _through_hub(url: str) -> str | None:
    """The way of a browser to a server on loopback, where JupyterHub has started this Python."""
    prefix = os.environ.get("JUPYTERHUB_SERVICE_PREFIX")
    return f"{prefix}proxy/{{port}}" if prefix and is_loopback(url) else None
