"""The store in PostgreSQL: the suite of all stores, and a user who may make no tables."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest

from earthloom.base.errors import Unavailable
from earthloom.stores.postgres import PostgresStore
from earthloom.stores.protocol import Store
from earthloom.testing.stores import GRAPH, StoreTests


class TestPostgres(StoreTests):
    @pytest.fixture
    def open_store(self, postgres_server) -> Callable[[], Store]:
        postgres_server.empty()
        return lambda: PostgresStore(postgres_server.url, postgres_server.name)

    def test_a_user_who_may_make_no_table_uses_one_that_is_there(self, store: Store, postgres_server) -> None:
        store.put("k", GRAPH)
        with psycopg.connect(postgres_server.url, autocommit=True) as db:
            db.execute("create role guest login")
            db.execute("grant select, insert, update, delete on earthloom_chain to guest")
        db.close()
        guest = PostgresStore(postgres_server.url.replace("//earthloom", "//guest"), postgres_server.name)
        guest.put("other", GRAPH)
        assert guest.get("k") == GRAPH
        store.close()
        postgres_server.empty()
        guest.close()
        with pytest.raises(Unavailable, match="permission denied"):
            guest.get("k")
