"""Redis users with few rights: the least set, what is said of a missing one, and that none loses a job."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator

import pytest
import redis

from bridge.errors import ConfigurationError, ServiceUnavailable
from bridge.jobs.queue.queue import Job, QueueOptions
from bridge.jobs.queue.redis.driver import RedisQueue
from bridge.jobs.queue.redis.rights import RIGHTS
from bridge.jobs.queue.redis.scripts import SCRIPTS
from tests import services
from tests.infrastructure.servers import command
from tests.jobs.queue.stores import PREFIX, RedisStore, broadcast, uuid_of

KEYS = f"~{PREFIX}queues:*"
CHEAP = {"set", "exists"}  # of marks, which are left out where they are not allowed


@pytest.fixture
def store(redis_server: services.Redis) -> Iterator[RedisStore]:
    made = RedisStore(redis_server)
    yield made
    made.client.acl_deluser("few")
    made.close()


def _allow(store: RedisStore, *rights: str, keys: str = KEYS) -> None:
    """The user `few` has these rights and no others."""
    granted = [f"+{right}" for right in rights]
    command(store.client, "ACL", "SETUSER", "few", "reset", "on", ">few", keys, *granted)


@contextlib.contextmanager
def _queue(store: RedisStore) -> Iterator[RedisQueue]:
    client = redis.Redis(port=store.server.port, username="few", password="few")
    queue = RedisQueue(client, prefix=PREFIX, options=QueueOptions(retry_after=90, clock=store.clock))
    try:
        yield queue
    finally:
        queue.close()
        client.close()


def _push(store: RedisStore) -> set[str]:
    """Jobs that wait, one that is due, one whose reservation has expired; their uuids."""
    payloads = [broadcast(id=str(number), attempts=0) for number in range(5)]
    for payload in payloads[:3]:
        store.push_entry(payload)
    store.push_entry(payloads[3], delay=1)
    store.client.zadd(f"{PREFIX}queues:default:reserved", {payloads[4]: store.clock() - 1})
    store.clock.now += 2
    return {uuid_of(payload) for payload in payloads}


def _steps(queue: RedisQueue) -> Iterator[object]:
    """All that a queue is used for; a step that fails leaves the next ones to be tried."""
    held: list[Job] = []

    def taken(jobs: object) -> None:
        held.extend(jobs)  # type: ignore[arg-type]

    yield lambda: taken(queue.reserve(2))
    yield lambda: queue.release(held.pop(), 0)
    yield lambda: queue.give_back([held.pop()])
    yield lambda: taken(queue.reserve(2))
    yield lambda: queue.mark_sent(held)
    yield lambda: queue.was_sent(held[0])
    yield lambda: queue.renew(held)
    yield lambda: taken(queue.delete_and_reserve([], 1)()[1])
    yield lambda: queue.depth()
    yield lambda: taken(queue.reserve(10))
    yield lambda: queue.give_back(held)


def _waits(queue: RedisQueue) -> None:
    """It blocks in an empty queue until somebody ends that."""
    while queue.reserve(10):
        pass
    waking = threading.Timer(0.2, queue.wake)
    started = time.monotonic()
    waking.start()
    queue.wait(1)
    assert time.monotonic() - started > 0.1
    waking.join()


def test_the_least_rights_suffice_for_everything(store: RedisStore) -> None:
    _allow(store, *RIGHTS)
    store.client.script_flush()
    with _queue(store) as queue:
        queue.check()
        _push(store)
        for step in _steps(queue):
            step()  # type: ignore[operator]
        _waits(queue)
    assert store.client.exists(f"{PREFIX}queues:default:bridge_check") == 0


@pytest.mark.parametrize("right", RIGHTS)
def test_a_missing_right_is_named_at_the_start_with_the_command_that_gives_it(
    store: RedisStore, right: str
) -> None:
    _allow(store, *(one for one in RIGHTS if one != right))
    with _queue(store) as queue, pytest.raises(ConfigurationError) as caught:
        queue.check()
    assert str(caught.value).endswith(f"lacks rights that a queue needs: {right}: ACL SETUSER few +{right}")


def test_missing_keys_are_named_at_the_start(store: RedisStore) -> None:
    _allow(store, *RIGHTS, keys="~other:*")
    with _queue(store) as queue, pytest.raises(ConfigurationError, match=r"ACL SETUSER few ~laravel_.*\*$"):
        queue.check()


def test_every_command_of_the_scripts_is_among_the_rights() -> None:
    for script in SCRIPTS.values():
        for part in script.text.split("call('")[1:]:
            assert part.partition("'")[0].lower() in RIGHTS


@pytest.mark.parametrize("right", [right for right in RIGHTS if right not in ("ping", "select")])
def test_a_right_that_is_lost_amid_the_work_loses_no_job(store: RedisStore, right: str) -> None:
    with _queue(store) as queue:
        _allow(store, *RIGHTS)
        queue.check()
        pushed = _push(store)
        _allow(store, *(one for one in RIGHTS if one != right))
        for step in _steps(queue):
            with contextlib.suppress(ServiceUnavailable, IndexError):
                step()  # type: ignore[operator]
            assert {uuid_of(payload) for payload in store.payloads()} == pushed
        assert len(store.payloads()) == len(pushed)  # and none is there twice
        _allow(store, *RIGHTS)
        store.clock.now += 100
        found: set[str] = set()
        while jobs := queue.reserve(10):
            found |= {job.uuid for job in jobs}
        assert found == pushed


def test_a_right_that_is_lost_is_told_as_that(store: RedisStore) -> None:
    with _queue(store) as queue:
        _allow(store, *RIGHTS)
        queue.check()
        _push(store)
        _allow(store, *(one for one in RIGHTS if one != "zadd"))
        with pytest.raises(ServiceUnavailable, match=r"rights that a queue needs \(ACL SETUSER\)"):
            queue.reserve(1)
