"""HTTP to a server of ours, with its errors made our errors again."""

from __future__ import annotations

import ipaddress
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx

from earthloom.base.errors import EarthloomError, InvalidArgument, Unavailable

CONNECT_TIMEOUT_S = 5.0
# A tile takes milliseconds, a large array minutes: the server itself refuses what would take longer.
ANSWER_TIMEOUT_S = 600.0


Renew = Callable[[], tuple[str, str | None]]  # gives address and token


@dataclass(frozen=True, slots=True, eq=False)
class _Server:
    url: str
    token: str | None
    client: httpx.Client


class Transport:
    """One server. Safe to use from several threads.

    Parameters
    ----------
    url
        Address of the server; without a scheme it is http.
    inner
        How requests travel; None is the network.
    token
        Who asks; goes along in the header `Authorization`.
    renew
        Where the server is now, for one that may have ended and been started again elsewhere; None is for one that
        stays where it is. A request that found nobody is sent there once more.
    """

    def __init__(
        self,
        url: str,
        inner: httpx.BaseTransport | None = None,
        token: str | None = None,
        renew: Renew | None = None,
    ) -> None:
        self._inner, self._renew = inner, renew
        self._server = self._open(url, token)
        self._left: list[_Server] = []  # their clients may still be in use by other threads
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        """Address of the server, without a slash at its end."""
        return self._server.url

    @property
    def token(self) -> str | None:
        """Who asks."""
        return self._server.token

    def get(self, path: str, **params: Any) -> httpx.Response:
        """GET; parameters that are None are left out."""
        return self._send("GET", path, params={name: value for name, value in params.items() if value is not None})

    def post(self, path: str, document: dict[str, Any]) -> httpx.Response:
        """POST a JSON document."""
        try:
            content = json.dumps(document, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise InvalidArgument(f"This cannot be sent as JSON: {error}.") from None
        return self._send("POST", path, content=content, headers={"Content-Type": "application/json"})

    def close(self) -> None:
        """Let the connections go."""
        for server in (self._server, *self._left):
            server.client.close()

    def renew(self) -> bool:
        """Whether the server is elsewhere now; from then on it is asked there."""
        return self._moved(self._server)

    def _open(self, url: str, token: str | None) -> _Server:
        url, token = _tidy(url), _checked(token)
        client = httpx.Client(
            base_url=url,
            timeout=httpx.Timeout(ANSWER_TIMEOUT_S, connect=CONNECT_TIMEOUT_S),
            headers={"Authorization": f"Bearer {token}"} if token else None,
            transport=self._inner,
            # A proxy for the world outside cannot reach this machine's loopback.
            trust_env=not is_loopback(url),
        )
        return _Server(url, token, client)

    def _moved(self, asked: _Server) -> bool:
        if self._renew is None:
            return False
        url, token = self._renew()
        with self._lock:
            if self._server is asked and (url, token) != (asked.url, asked.token):
                self._server = self._open(url, token)
                self._left.append(asked)
            return self._server is not asked

    def _send(self, method: str, path: str, *, again: bool = True, **given: Any) -> httpx.Response:
        server = self._server
        try:
            response = server.client.request(method, path, **given)
        except httpx.ConnectTimeout:
            raise _silent(server.url, f"within {CONNECT_TIMEOUT_S:g} s") from None
        except httpx.TimeoutException:
            raise _silent(server.url, f"within {ANSWER_TIMEOUT_S:g} s") from None
        except httpx.TransportError as error:
            # What we ask for can be asked for twice: no request changes what another has made.
            if again and self._moved(server):
                return self._send(method, path, again=False, **given)
            raise _silent(server.url, f"({error})") from None
        if response.is_success:
            return response
        raise _error(server.url, response)


def _tidy(url: str) -> str:
    full = url.strip() if "://" in url else f"http://{url.strip()}"
    parts = urlsplit(full)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InvalidArgument(f'"{url}" is not the address of a server.', hint="Write http://127.0.0.1:8642.")
    return full.rstrip("/")


def _checked(token: str | None) -> str | None:
    """A token as it can travel in a header. What is wrong with it is told without showing it."""
    token = (token or "").strip()
    if not (token.isascii() and token.isprintable() and " " not in token):
        raise InvalidArgument("The token has characters that none has.", hint="Copy it whole, and alone.")
    return token or None


def is_loopback(url: str) -> bool:
    """Whether an address is one of this machine alone."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _silent(url: str, how: str) -> Unavailable:
    return Unavailable(
        f"The server at {url} does not answer {how}.",
        hint="Start one with `earthloom serve`, or connect to another with el.connect(url).",
        url=url,
    )


def _error(url: str, response: httpx.Response) -> EarthloomError:
    try:
        document = response.json()
    except ValueError:
        document = None
    if isinstance(document, dict) and "code" in document and "message" in document:
        return EarthloomError.from_dict(document)
    return Unavailable(
        f"The server at {url} answered {response.status_code} {response.reason_phrase}, which is not Earthloom's way.",
        hint="Another program may answer at this address.",
        url=url,
    )
