"""What every store must pass.

Inherit from `StoreTests` in a test module, and give it the fixture `open_store`:

    class TestMine(StoreTests):
        @pytest.fixture
        def open_store(self):
            return lambda: MyStore(...)      # each call opens the same store, which is empty at first
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from earthloom.base.errors import InvalidArgument, TooLarge
from earthloom.stores.protocol import Store
from earthloom.stores.record import MAX_GRAPH_BYTES, Record, now_ms, text_of
from earthloom.stores.transfer import export_chains, import_chains

GRAPH: dict[str, Any] = {
    "load": {"process_id": "load_collection", "arguments": {"id": "Åre €", "bands": ["B04"]}, "result": True}
}
DAY_MS = 86_400_000


class StoreTests:
    """The tests; see the module."""

    @pytest.fixture
    def open_store(self) -> Callable[[], Store]:
        """A function that opens the store under test, empty at first."""
        pytest.fail(f"{type(self).__name__} gives the suite no fixture open_store")

    @pytest.fixture
    def store(self, open_store: Callable[[], Store]) -> Iterator[Store]:
        """The store under test, open."""
        store = open_store()
        yield store
        store.close()

    def test_gives_back_what_was_put(self, store: Store) -> None:
        store.put("k", GRAPH)
        assert store.get("k") == GRAPH
        assert store.get("other") is None

    def test_the_order_of_a_graph_is_kept(self, store: Store) -> None:
        graph = {name: {"process_id": "add", "arguments": {"y": 1, "x": 2}} for name in ("z", "a", "m")}
        store.put("k", graph)
        assert text_of(store.get("k") or {}) == text_of(graph)

    def test_keeps_the_graph_that_was_posted_first(self, store: Store) -> None:
        store.put("k", GRAPH)
        store.put("k", {"other": {}})
        assert store.get("k") == GRAPH

    def test_delete_says_whether_it_was_there(self, store: Store) -> None:
        store.put("k", GRAPH)
        assert store.delete("k")
        assert not store.delete("k")
        assert store.get("k") is None

    def test_keys_that_none_of_ours_can_be_are_not_there(self, store: Store) -> None:
        for key in ("", "\0", "a\0b", "*", "k' or 1=1 --", "k" * 3000):
            assert store.get(key) is None
            store.touch(key)
            assert not store.pin(key)
            assert not store.delete(key)
        assert list(store.records()) == []

    def test_a_graph_that_is_no_json_is_refused(self, store: Store) -> None:
        for value in (float("nan"), object(), "\ud800"):
            with pytest.raises(InvalidArgument, match="no JSON"):
                store.put("k", {"a": value})
        assert store.get("k") is None

    def test_a_graph_of_more_than_a_megabyte_is_refused(self, store: Store) -> None:
        graph = {"a": "x" * (MAX_GRAPH_BYTES - len('{"a":""}'))}
        store.put("largest", graph)
        assert store.get("largest") == graph
        with pytest.raises(TooLarge, match="at most 1 MB"):
            store.put("larger", {"a": graph["a"] + "x"})
        assert store.get("larger") is None

    def test_any_use_is_noted(self, store: Store) -> None:
        for key in ("touched", "posted", "idle"):
            assert store.restore(_used(key, days_ago=10))
        before = now_ms()
        store.touch("touched")
        store.put("posted", {"other": {}})
        found = {r.key: r for r in store.records()}
        assert found["idle"] == _used("idle", days_ago=10, like=found["idle"])
        for key in ("touched", "posted"):
            assert before <= found[key].used_ms <= now_ms()
            assert found[key].created_ms < before - 9 * DAY_MS
            assert found[key].graph == text_of(GRAPH)

    def test_a_new_chain_is_made_and_used_now(self, store: Store) -> None:
        before = now_ms()
        store.put("k", GRAPH)
        (found,) = store.records()
        assert before <= found.created_ms == found.used_ms <= now_ms()
        assert found == Record("k", text_of(GRAPH), found.created_ms, found.used_ms, pinned=False)

    def test_clean_forgets_what_nobody_uses_and_nobody_pinned(self, store: Store) -> None:
        for key, days_ago in (("old", 10), ("older", 100), ("kept", 100), ("touched", 100), ("new", 1)):
            store.restore(_used(key, days_ago))
        assert store.pin("kept")
        store.touch("touched")
        assert store.clean(now_ms() - 5 * DAY_MS) == 2
        assert [r.key for r in store.records()] == ["kept", "new", "touched"]
        assert store.pin("kept", False)
        assert store.clean(now_ms() - 5 * DAY_MS) == 1
        assert store.get("kept") is None

    def test_pin_says_whether_it_is_there(self, store: Store) -> None:
        store.put("k", GRAPH)
        assert store.pin("k")
        assert store.pin("k")
        assert not store.pin("other")
        assert [r.pinned for r in store.records()] == [True]

    def test_restore_keeps_what_is_there(self, store: Store) -> None:
        store.put("k", GRAPH)
        assert not store.restore(replace(_used("k", 10), graph="{}"))
        assert store.get("k") == GRAPH
        assert store.restore(_used("other", 10))

    def test_all_records_are_given_once(self, store: Store) -> None:
        keys = [f"{n:04}" for n in range(250)]
        for key in keys:
            store.put(key, {"n": {"value": key}})
        assert [r.key for r in store.records()] == keys

    def test_export_and_import_give_the_same_chains(self, store: Store, tmp_path: Path) -> None:
        store.put("new", GRAPH)
        store.restore(_used("old", 100))
        store.pin("old")
        before = list(store.records())
        assert export_chains(store, tmp_path / "chains.jsonl") == 2
        store.delete("new")
        assert import_chains(store, tmp_path / "chains.jsonl") == (1, 1)
        assert list(store.records()) == before

    def test_threads_and_a_second_opening_see_the_same(self, store: Store, open_store: Callable[[], Store]) -> None:
        other = open_store()
        stores = (store, other)

        def write(which: int) -> None:
            for n in range(100):
                stores[which].put(f"{which}-{n}", {"n": {"value": n}})
                assert stores[which].get(f"{which}-{n}") == {"n": {"value": n}}

        with ThreadPoolExecutor(2) as pool:
            list(pool.map(write, (0, 1)))
        assert all(store.get(f"1-{n}") for n in range(100))
        assert all(other.get(f"0-{n}") for n in range(100))
        other.close()

    def test_of_many_who_post_one_key_one_is_first(self, open_store: Callable[[], Store]) -> None:
        stores = [open_store() for _ in range(4)]  # the first calls of all at once: a table is made only once
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda n: stores[n].put("k", {"n": {"value": n}}), range(4)))
        assert len({text_of(store.get("k") or {}) for store in stores}) == 1
        for store in stores:
            store.close()

    def test_a_chain_outlives_a_restart(self, open_store: Callable[[], Store]) -> None:
        first = open_store()
        first.put("k", GRAPH)
        first.close()
        second = open_store()
        assert second.get("k") == GRAPH
        second.close()

    def test_a_look_up_is_quick(self, store: Store) -> None:
        store.put("k", GRAPH)
        start = time.monotonic()
        for _ in range(100):
            store.get("k")
        assert time.monotonic() - start < 5  # 50 ms each: what a tile can bear, also on a busy machine


def _used(key: str, days_ago: int, like: Record | None = None) -> Record:
    used = like.used_ms if like else now_ms() - days_ago * DAY_MS
    return Record(key, text_of(GRAPH), used - DAY_MS, used)
