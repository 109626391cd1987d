"""A job that is done for the next one: `Queue.exchange`, on each of the four stores."""

from __future__ import annotations

import threading

import pytest

from bridge.errors import ServiceUnavailable
from bridge.queues.queue import Job, Queue
from tests.queues.stores import RETRY_AFTER, RedisStore, Store, broadcast, foreign, uuid_of


def push(store: Store, count: int, queue: str = "default") -> list[str]:
    payloads = [broadcast() for _ in range(count)]
    for payload in payloads:
        store.push(payload, queue)
    return [uuid_of(payload) for payload in payloads]


def take(queue: Queue) -> Job:
    (job,) = queue.reserve(1)
    return job


def worked_off(queue: Queue) -> list[str]:
    """All jobs in the order in which they come, each exchanged for the next."""
    seen = []
    job: Job | None = take(queue)
    while job is not None:
        seen.append(job.uuid)
        was_ours, job = queue.exchange(job)()
        assert was_ours
    return seen


def test_each_is_gone_and_the_next_comes_in_order(store: Store) -> None:
    pushed = push(store, 120)  # more than one look brings
    assert worked_off(store.single()) == pushed
    assert not store.payloads()


def test_the_next_is_ours_with_one_more_attempt(store: Store) -> None:
    push(store, 2)
    queue = store.single()
    _, job = queue.exchange(take(queue))()
    assert job is not None
    assert job.attempts == 1
    assert not store.single().reserve(1)
    store.clock.now += RETRY_AFTER
    again = take(store.single())
    assert (again.uuid, again.attempts) == (job.uuid, 2)


def test_without_a_next_one_there_is_none(store: Store) -> None:
    push(store, 1)
    queue = store.single()
    assert queue.exchange(take(queue))() == (True, None)
    assert not store.payloads()


def test_the_more_urgent_queue_is_emptied_first(store: Store) -> None:
    low = push(store, 3, "low")
    high = push(store, 3, "high")
    assert worked_off(store.single("high", "low")) == [*high, *low]


def test_what_others_have_taken_meanwhile_is_passed_over(store: Store) -> None:
    pushed = push(store, 4)
    queue, other = store.single(), store.single()
    job = take(queue)
    assert other.exchange(take(other))()[0]
    was_ours, following = queue.exchange(job)()
    assert was_ours
    assert following is not None
    assert following.uuid == pushed[3]


def test_jobs_that_are_not_ours_stay(store: Store) -> None:
    store.push(foreign())
    ours = push(store, 3)
    store.push(foreign())
    assert worked_off(store.single()) == ours
    assert len(store.payloads()) == 2


def test_a_late_one_is_left_to_its_new_owner_and_the_next_comes_all_the_same(store: Store) -> None:
    pushed = push(store, 2)
    slow, quick = store.single(), store.single()
    late = take(slow)
    store.clock.now += RETRY_AFTER
    owned = take(quick)
    if owned.uuid != late.uuid:  # in Redis an expired one goes to the end of the list
        owned = take(quick)
    assert owned.uuid == late.uuid
    was_ours, job = slow.exchange(late)()
    assert not was_ours
    assert (job and job.uuid) in (None, pushed[1])
    assert quick.delete([owned]) == 1


def test_each_of_many_jobs_goes_to_one_of_several_lanes(store: Store) -> None:
    pushed = push(store, 300)
    taken: list[list[str]] = [[] for _ in range(3)]
    failures: list[BaseException] = []

    def work(queue: Queue, mine: list[str]) -> None:
        try:
            job = next(iter(queue.reserve(1)), None)
            while job is not None:
                mine.append(job.uuid)
                was_ours, job = queue.exchange(job)()
                assert was_ours
        except BaseException as error:
            failures.append(error)
            raise

    threads = [threading.Thread(target=work, args=(store.single(), mine)) for mine in taken]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not failures
    assert sorted(uuid for mine in taken for uuid in mine) == sorted(pushed)
    assert not store.payloads()


def test_redis_that_forgot_the_script_is_given_it_again(redis_store: RedisStore) -> None:
    pushed = push(redis_store, 3)
    queue = redis_store.single()
    job = take(queue)
    redis_store.client.script_flush()
    was_ours, following = queue.exchange(job)()
    assert was_ours
    assert following is not None
    assert [following.uuid, *worked_off(queue)] == pushed[1:]


def test_a_connection_that_redis_closed_between_two_is_made_anew(redis_store: RedisStore) -> None:
    push(redis_store, 4)
    queue = redis_store.single()
    _, job = queue.exchange(take(queue))()
    assert job is not None
    redis_store.client.client_kill_filter(_type="normal", skipme=True)
    was_ours, following = queue.exchange(job)()
    assert was_ours
    assert following is not None


def test_an_exchange_whose_answer_is_lost_may_be_begun_anew(redis_store: RedisStore) -> None:
    push(redis_store, 4)
    queue = redis_store.single()
    _, job = queue.exchange(take(queue))()
    assert job is not None
    redis_store.client.client_pause(500)
    outcome = queue.exchange(job)
    redis_store.client.client_unpause()
    redis_store.client.client_kill_filter(_type="normal", skipme=True)
    try:
        _, following = outcome()
    except ServiceUnavailable:
        _, following = queue.exchange(job)()
    assert following is not None
    assert len(redis_store.reserved()) <= 2  # the one at hand, and at most one whose answer was lost
    queue.delete([following])


@pytest.mark.parametrize("paused", [{"default"}, set()])
def test_a_pause_counts_for_what_was_seen_before(store: Store, paused: set[str]) -> None:
    pushed = push(store, 3)
    queue = store.single()
    job = take(queue)
    queue.pause(paused)
    was_ours, following = queue.exchange(job)()
    assert was_ours
    assert (following and following.uuid) == (None if paused else pushed[1])
