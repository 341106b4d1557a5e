"""Chains in Redis: the store of several engines that answer the same keys.

Each chain is one hash, `earthloom:chain:KEY`, with its graph and its times. What must be decided and written at once is
a small script that Redis runs as a whole. A key that nobody uses expires by itself; a pinned one has no expiry.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from earthloom.base.errors import Unavailable
from earthloom.base.log import log
from earthloom.stores.record import Record, now_ms, text_of
from earthloom.stores.remote import bad_address, unavailable

PREFIX = "earthloom:chain:"
TIMEOUT_S = 2
PAGE = 500  # keys asked for at once

# Arguments: graph, created, used, pinned ("1" or "0"), seconds to live, and "1" if a known key is used by this.
_KEEP = """
local new = redis.call('hsetnx', KEYS[1], 'graph', ARGV[1])
if new == 1 then
  redis.call('hset', KEYS[1], 'created', ARGV[2], 'used', ARGV[3], 'pinned', ARGV[4])
  if ARGV[4] == '0' then redis.call('expire', KEYS[1], ARGV[5]) end
elseif ARGV[6] == '1' then
  redis.call('hset', KEYS[1], 'used', ARGV[3])
  if redis.call('hget', KEYS[1], 'pinned') == '0' then redis.call('expire', KEYS[1], ARGV[5]) end
end
return new
"""
# Arguments: used, seconds to live.
_TOUCH = """
if redis.call('exists', KEYS[1]) == 1 then
  redis.call('hset', KEYS[1], 'used', ARGV[1])
  if redis.call('hget', KEYS[1], 'pinned') == '0' then redis.call('expire', KEYS[1], ARGV[2]) end
end
"""
# Arguments: pinned, seconds to live.
_PIN = """
if redis.call('exists', KEYS[1]) == 0 then return 0 end
redis.call('hset', KEYS[1], 'pinned', ARGV[1])
if ARGV[1] == '1' then redis.call('persist', KEYS[1]) else redis.call('expire', KEYS[1], ARGV[2]) end
return 1
"""
# Argument: the moment before which a key must have been used.
_CLEAN = """
local found = redis.call('hmget', KEYS[1], 'used', 'pinned')
if found[1] and found[2] == '0' and tonumber(found[1]) < tonumber(ARGV[1]) then
  return redis.call('del', KEYS[1])
end
return 0
"""


class RedisStore:
    """Process graphs by key in Redis; implements `Store`. It connects when it is first asked.

    Parameters
    ----------
    url
        `redis://[user:password@]host:port/number`, or `rediss://` for an encrypted connection.
    name
        The address as errors show it, without the password.
    days
        How long a key stays that nobody uses [days].

    Raises
    ------
    InvalidArgument
        If the address cannot be read.
    """

    def __init__(self, url: str, name: str, days: float) -> None:
        self.name = name
        self._live_s = max(1, round(days * 86_400))
        # One more try at once: a connection that lay idle may have been cut by a restart. A slow answer is not asked
        # for again, for that would only double the wait.
        retry = Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,))
        try:
            self._redis = redis.Redis.from_url(
                url, decode_responses=True, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S, retry=retry
            )
            self._redis.connection_pool.make_connection()  # without connecting: only to see that it knows the options
        except (ValueError, TypeError):
            raise bad_address(url.partition(":")[0]) from None
        self._keep, self._touch, self._pin, self._clean = map(
            self._redis.register_script, (_KEEP, _TOUCH, _PIN, _CLEAN)
        )

    def put(self, key: str, graph: dict[str, Any]) -> None:
        """Keep a graph; a key that is there already keeps the graph that was posted first, and is used now.

        Raises
        ------
        InvalidArgument, TooLarge
            If the graph is no JSON, or too large.
        """
        text, now = text_of(graph), now_ms()
        self._ask(self._keep, [PREFIX + key], [text, now, now, 0, self._live_s, 1])

    def get(self, key: str) -> dict[str, Any] | None:
        """The graph of a key, or None."""
        text = self._ask(self._redis.hget, PREFIX + key, "graph")
        return None if text is None else json.loads(text)

    def touch(self, key: str) -> None:
        """Note that the key was used now."""
        self._ask(self._touch, [PREFIX + key], [now_ms(), self._live_s])

    def pin(self, key: str, pinned: bool = True) -> bool:
        """Keep a key for ever, or no longer; whether it is there."""
        return bool(self._ask(self._pin, [PREFIX + key], [int(pinned), self._live_s]))

    def delete(self, key: str) -> bool:
        """Forget a key; whether it was there."""
        return bool(self._ask(self._redis.delete, PREFIX + key))

    def clean(self, before_ms: int) -> int:
        """Forget what was last used before a moment and is not pinned; how many keys these were."""
        return sum(self._ask(self._clean, [key], [before_ms]) for key in self._keys())

    def records(self) -> Iterator[Record]:
        """All that is kept, by key."""
        for key in self._keys():
            found = self._ask(self._redis.hgetall, key)
            if found:  # it may have expired since the keys were listed
                created, used = int(found["created"]), int(found["used"])
                yield Record(key.removeprefix(PREFIX), found["graph"], created, used, found["pinned"] == "1")

    def restore(self, record: Record) -> bool:
        """Keep a record as another store gave it, if its key is not there; whether it was not.

        Its time to live begins now.
        """
        values = [record.graph, record.created_ms, record.used_ms, int(record.pinned), self._live_s, 0]
        return bool(self._ask(self._keep, [PREFIX + record.key], values))

    def close(self) -> None:
        """Close the connections."""
        self._redis.close()

    def check(self) -> None:
        """Tell the log what an operator should know at the start: a store that is away, or that forgets."""
        try:
            info = self._ask(self._redis.info, "persistence")
        except Unavailable as error:
            log.warning("%s", error)
            return
        if not info.get("aof_enabled"):
            log.warning("The store %s loses chains when it is ended: set appendonly yes in redis.conf.", self.name)

    def _keys(self) -> list[str]:
        # A scan may tell a key twice.
        found: set[str] = self._ask(lambda: set(self._redis.scan_iter(PREFIX + "*", count=PAGE)))
        return sorted(found)

    def _ask(self, call: Callable[..., Any], *args: Any) -> Any:
        try:
            return call(*args)
        except redis.RedisError as error:
            raise unavailable(self.name, str(error)) from None
