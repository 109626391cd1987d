"""A look at a queue sees every broadcast job that is due or at work and leaves no trace, on all stores."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bridge.jobs.queue.inspect import DatabaseInspector, QueueInspector, RedisInspector
from tests.jobs.queue.stores import PREFIX, RedisStore, SqlStore, Store, broadcast, foreign, uuid_of, uuids


@pytest.fixture
def look(store: Store) -> Iterator[QueueInspector]:
    made: QueueInspector
    if isinstance(store, RedisStore):
        client = store.server.client()
        made = RedisInspector(client, queues=["high", "default"], prefix=PREFIX, clock=store.clock)
    else:
        assert isinstance(store, SqlStore)
        made = DatabaseInspector(
            store.database.engine(), queues=["high", "default"], table="jobs", clock=store.clock
        )
    yield made
    made.close()


def test_broadcast_jobs_of_its_queues_are_new_once(store: Store, look: QueueInspector) -> None:
    first, second = broadcast(), broadcast()
    store.push(first)
    store.push(foreign())
    store.push(broadcast(), "another")
    assert uuids(look.look().new) == [uuid_of(first)]
    store.push(second, "high")
    sight = look.look()
    assert uuids(sight.new) == [uuid_of(second)]
    assert sight.present == {uuid_of(first), uuid_of(second)}


def test_a_reserved_job_is_present_and_not_new_again(store: Store, look: QueueInspector) -> None:
    store.push(payload := broadcast())
    assert len(look.look().new) == 1
    queue = store.queue()
    [job] = queue.reserve(1)
    sight = look.look()
    assert sight.present == {uuid_of(payload)}
    assert not sight.new
    queue.delete([job])
    assert look.look().present == frozenset()


def test_a_job_that_is_first_seen_when_it_is_reserved_is_new(store: Store, look: QueueInspector) -> None:
    store.push(payload := broadcast())
    store.queue().reserve(1)
    assert uuids(look.look().new) == [uuid_of(payload)]


def test_a_delayed_job_is_seen_when_it_is_due(store: Store, look: QueueInspector) -> None:
    store.push(payload := broadcast(), delay=60)
    assert look.look().present == frozenset()
    store.clock.now += 60
    assert uuids(look.look().new) == [uuid_of(payload)]


def test_a_job_that_comes_back_is_new(store: Store, look: QueueInspector) -> None:
    store.push(payload := broadcast())
    look.look()
    queue = store.queue()
    queue.delete(queue.reserve(1))
    look.look()
    store.push(payload)
    assert uuids(look.look().new) == [uuid_of(payload)]


def test_looking_changes_nothing(store: Store, look: QueueInspector) -> None:
    for payload in (broadcast(), foreign()):
        store.push(payload)
    store.push(broadcast(), delay=-60)
    before = store.payloads(), store.rows() if isinstance(store, SqlStore) else None
    for _ in range(3):
        look.look()
    assert (store.payloads(), store.rows() if isinstance(store, SqlStore) else None) == before
    assert len(store.queue().reserve(10)) == 2
