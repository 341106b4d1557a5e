"""The store in Redis: the suite of all stores, and keys that expire by themselves."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest
import redis

from earthloom.stores.protocol import Store
from earthloom.stores.redis import RedisStore
from earthloom.testing.stores import GRAPH, StoreTests

DAY_S = 86_400


class TestRedis(StoreTests):
    @pytest.fixture
    def open_store(self, redis_server) -> Callable[[], Store]:
        redis_server.empty()
        return lambda: RedisStore(redis_server.url, redis_server.name, days=90)

    def test_a_key_expires_by_its_last_use_unless_it_is_pinned(self, store: Store, redis_server) -> None:
        with redis.Redis.from_url(redis_server.url) as client:
            name = "earthloom:chain:k"
            store.put("k", GRAPH)
            assert 90 * DAY_S - 60 < client.ttl(name) <= 90 * DAY_S
            for use in (lambda: store.touch("k"), lambda: store.put("k", GRAPH)):
                client.expire(name, DAY_S)
                use()
                assert client.ttl(name) > 89 * DAY_S
            store.pin("k")
            assert client.ttl(name) == -1
            store.touch("k")
            store.put("k", GRAPH)
            assert client.ttl(name) == -1
            store.pin("k", False)
            assert client.ttl(name) > 89 * DAY_S
            store.delete("k")
            store.touch("k")
            assert not client.exists(name)

    def test_an_old_record_has_its_time_from_now(self, store: Store, redis_server) -> None:
        store.put("k", GRAPH)
        (record,) = store.records()
        store.delete("k")
        store.restore(record)
        with redis.Redis.from_url(redis_server.url) as client:
            assert client.ttl("earthloom:chain:k") > 89 * DAY_S

    def test_scripts_are_sent_again_after_a_restart(self, store: Store, redis_server) -> None:
        store.put("k", GRAPH)
        redis_server.kill()
        redis_server.start()
        store.touch("k")
        assert store.get("k") == GRAPH

    def test_a_store_that_forgets_is_told_at_the_start(self, store: Store, redis_server, caplog) -> None:
        with redis.Redis.from_url(redis_server.url) as client:
            with caplog.at_level(logging.WARNING, "earthloom"):
                store.check()
                assert not caplog.records
                client.config_set("appendonly", "no")
                try:
                    store.check()
                finally:
                    client.config_set("appendonly", "yes")
            assert "appendonly yes" in caplog.text
            assert redis_server.name in caplog.text
