"""Valkey in the place of Redis: the queue with its scripts and rights, and the bus of several processes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests import services
from tests.infrastructure.servers import command
from tests.jobs.queue.stores import RETRY_AFTER, RedisStore, broadcast, drain, push, uuids
from tests.sockets.cluster.nodes import member
from tests.sockets.server.running import broadcast as event


@pytest.fixture(scope="module")
def valkey() -> Iterator[services.Redis]:
    with services.redis_server(valkey=True) as server:
        yield server


@pytest.fixture
def store(valkey: services.Redis) -> Iterator[RedisStore]:
    made = RedisStore(valkey)
    yield made
    made.close()


def test_it_is_valkey(store: RedisStore) -> None:
    info = command(store.client, "INFO", "server")
    assert (info["server_name"] if isinstance(info, dict) else info.decode()) == "valkey"


def test_jobs_are_taken_released_delayed_and_done(store: RedisStore) -> None:
    queue = store.queue()
    queue.check()
    pushed = push(store, 4)
    jobs = queue.reserve(3)
    assert uuids(jobs) == pushed[:3]
    queue.mark_sent(jobs[:1])
    assert queue.was_sent(jobs[0])
    queue.release(jobs[1], 10)
    queue.give_back([jobs[2]])
    deleted, more = queue.delete_and_reserve([jobs[0]], 10)()
    assert (deleted, sorted(uuids(more))) == (1, sorted(pushed[2:]))
    assert queue.depth()["default"].delayed == 1
    store.clock.now += 11
    (late,) = queue.reserve(10)
    assert late.uuid == pushed[1]
    renewed = [job for job in queue.renew([late]) if job is not None]
    store.clock.now += RETRY_AFTER + 1
    assert queue.delete(renewed) == 1
    assert sorted(uuids(drain(queue))) == sorted(pushed[2:])  # their reservations have ended


def test_a_wait_ends_with_a_job(store: RedisStore) -> None:
    queue = store.queue()
    queue.reserve(1)
    queue.wait(0)
    store.push(broadcast())
    queue.wait(60)
    assert len(queue.reserve(1)) == 1


@pytest.mark.anyio
async def test_an_event_reaches_the_clients_of_two_nodes(valkey: services.Redis) -> None:
    async with (
        member(valkey) as one,
        member(valkey) as other,
        one.server.client("presence-x") as here,
        other.server.client("presence-x") as there,
    ):
        await here.get("pusher_internal:member_added")
        await one.server.node.publish_to_all([event("presence-x", data='{"n":1}')], origin="api")
        for client in (here, there):
            assert (await client.get("event"))["data"] == '{"n":1}'
