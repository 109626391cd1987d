"""The list of what lies in the queues: of all stores, in all states, whatever a payload holds."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from bridge.jobs.queue.listing import HEAD, MOST, DatabaseListing, QueueListing, RedisListing
from tests.jobs.queue.stores import PREFIX, RedisStore, SqlStore, Store, broadcast, foreign, uuid_of


@pytest.fixture
def listing(store: Store) -> Iterator[QueueListing]:
    made: QueueListing
    if isinstance(store, RedisStore):
        made = RedisListing(store.server.client(), queues=["high", "default"], prefix=PREFIX)
    else:
        assert isinstance(store, SqlStore)
        engine = store.database.engine()
        made = DatabaseListing(engine, queues=["high", "default"], table="jobs", clock=store.clock)
    yield made
    made.close()


def put(store: Store, payloads: list[str]) -> None:
    """Entries as they are, whatever they hold."""
    if isinstance(store, SqlStore):
        store.push_many([payload.encode() for payload in payloads])
    else:
        assert isinstance(store, RedisStore)
        for payload in payloads:
            store.push_entry(payload.encode())


def test_jobs_of_all_states_are_listed_with_queue_and_uuid(store: Store, listing: QueueListing) -> None:
    held, waiting, delayed = broadcast(), foreign(), broadcast()
    store.push(held)
    store.queue().reserve(1)
    store.push(waiting, "high")
    store.push(delayed, delay=600)
    store.push(broadcast(), "another")
    found = {job.uuid: job for job in listing.jobs()}
    assert {uuid: (job.queue, job.state, job.attempts) for uuid, job in found.items()} == {
        uuid_of(held): ("default", "reserved", 1),
        uuid_of(waiting): ("high", "waiting", 0),
        uuid_of(delayed): ("default", "delayed", 0),
    }
    assert found[uuid_of(held)].name == json.loads(held)["displayName"]
    assert found[uuid_of(delayed)].due_at == pytest.approx(store.clock.now + 600, abs=1)


def test_payloads_of_any_kind_are_listed_and_hold_up_nobody(store: Store, listing: QueueListing) -> None:
    large = {"displayName": 'App\\Jobs\\"Ы', "uuid": "u-1", "data": "x" * 3 * HEAD}
    tagged = {"uuid": "u-2", "displayName": "Tagged", "tags": ["App\\Models\\Order:7", 8], "pushedAt": "12.5"}
    odd = ["", "no json", "[]", '{"displayName": [1], "uuid": {"a": 1}, "tags": "x", "attempts": "y"}']
    half = '{"displayName": "\\ud800", "uuid": "u-3"}'
    put(store, [json.dumps(large), json.dumps(tagged), *odd, half, '{"displayName": "cut \\u12'])
    found = listing.jobs()
    assert len(found) == 8
    by_uuid = {job.uuid: job for job in found}
    assert by_uuid["u-1"].name == 'App\\Jobs\\"Ы'
    assert by_uuid["u-2"].tags == ("App\\Models\\Order:7", "")
    assert by_uuid["u-3"].name.encode()


def test_a_long_queue_is_listed_as_far_as_the_limit_goes(store: Store, listing: QueueListing) -> None:
    put(store, ['{"uuid": "u"}'] * (MOST + 5))
    assert MOST // 2 <= len(listing.jobs()) <= MOST
