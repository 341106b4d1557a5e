"""Find a server: the one named, the one of the environment, or an embedded one."""

from __future__ import annotations

import os

from earthloom.chain import session
from earthloom.client.api import HttpSession
from earthloom.client.embedded import engine_url


def connect(url: str | None = None) -> HttpSession:
    """Connect to a server and make it the one in use for chains, collections and maps.

    Parameters
    ----------
    url
        Address of a server. Without one `$EARTHLOOM_URL` counts, and without that an engine is started for as long as
        this Python runs. It keeps its chains and its catalogue in the data folder (`$EARTHLOOM_DATA`).

    Raises
    ------
    Unavailable
        If nothing answers there, or no engine is installed here.
    """
    connected = HttpSession(url or os.environ.get("EARTHLOOM_URL") or engine_url())
    try:
        connected.health()
    except BaseException:
        connected.close()
        raise
    session.use(connected)
    return connected
