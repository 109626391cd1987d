"""Jobs that are done for the next ones: `Queue.delete_and_reserve`, on each of the four stores."""

from __future__ import annotations

import pytest

from bridge.errors import ServiceUnavailable
from bridge.jobs.queue.queue import Job, Queue
from tests.jobs.queue.stores import RETRY_AFTER, RedisStore, Store, drain, foreign, in_threads, push, uuids


def take(queue: Queue) -> Job:
    (job,) = queue.reserve(1)
    return job


def worked_off(queue: Queue, limit: int = 4) -> list[str]:
    """All jobs in the order in which they come, some exchanged for the next ones, some deleted later."""
    seen = []
    late: list[Job] = []
    _, jobs = queue.delete_and_reserve([], limit)()
    while jobs:
        assert len(jobs) <= limit
        seen += uuids(jobs)
        done, late = [*late, *jobs[:-1]], [jobs[-1]]
        deleted, jobs = queue.delete_and_reserve(done, limit)()
        assert deleted == len(done)
    assert queue.delete(late) == len(late)
    return seen


@pytest.mark.parametrize("limit", [1, 4])
def test_each_is_gone_and_the_next_come_in_order(store: Store, limit: int) -> None:
    pushed = push(store, 120)  # more than one look brings
    assert worked_off(store.queue(), limit) == pushed
    assert not store.payloads()


def test_the_next_are_ours_with_one_more_attempt(store: Store) -> None:
    push(store, 3)
    queue = store.queue()
    _, jobs = queue.delete_and_reserve([take(queue)], 5)()
    assert [job.attempts for job in jobs] == [1, 1]
    assert not store.queue().reserve(1)
    store.clock.now += RETRY_AFTER
    again = drain(store.queue())
    assert sorted(uuids(again)) == sorted(uuids(jobs))
    assert {job.attempts for job in again} == {2}


def test_without_a_next_one_there_is_none(store: Store) -> None:
    push(store, 1)
    queue = store.queue()
    assert queue.delete_and_reserve([take(queue)], 3)() == (1, ())
    assert not store.payloads()
    assert queue.delete_and_reserve([], 3)() == (0, ())


def test_the_more_urgent_queue_is_emptied_first(store: Store) -> None:
    low = push(store, 6, "low")
    high = push(store, 6, "high")
    assert worked_off(store.queue("high", "low")) == [*high, *low]


def test_what_others_have_taken_meanwhile_is_passed_over(store: Store) -> None:
    pushed = push(store, 7)
    queue, other = store.queue(), store.queue()
    _, jobs = queue.delete_and_reserve([], 1)()
    assert other.delete(other.reserve(4)) == 4
    deleted, following = queue.delete_and_reserve(jobs, 2)()
    assert deleted == 1
    assert uuids(following) == pushed[5:]


def test_jobs_that_are_not_ours_stay(store: Store) -> None:
    store.push(foreign())
    ours = push(store, 3)
    store.push(foreign())
    assert worked_off(store.queue()) == ours
    assert len(store.payloads()) == 2


def test_a_late_one_is_left_to_its_new_owner_and_the_next_come_all_the_same(store: Store) -> None:
    pushed = push(store, 1)
    slow, quick = store.queue(), store.queue()
    late = take(slow)
    store.clock.now += RETRY_AFTER
    owned = take(quick)
    pushed = push(store, 1)
    deleted, jobs = slow.delete_and_reserve([late], 2)()
    assert deleted == 0
    assert uuids(jobs) == pushed
    assert quick.delete([owned]) == 1


def test_each_of_many_jobs_goes_to_one_of_several_lanes(store: Store) -> None:
    pushed = push(store, 300)
    assert sorted(in_threads(store, 3, worked_off)) == sorted(pushed)
    assert not store.payloads()


def test_redis_that_forgot_the_script_is_given_it_again(redis_store: RedisStore) -> None:
    pushed = push(redis_store, 3)
    queue = redis_store.queue()
    job = take(queue)
    redis_store.client.script_flush()
    deleted, jobs = queue.delete_and_reserve([job], 2)()
    assert deleted == 1
    assert uuids(jobs) == pushed[1:]


def test_a_connection_that_redis_closed_between_two_is_made_anew(redis_store: RedisStore) -> None:
    pushed = push(redis_store, 3)
    queue = redis_store.queue()
    _, jobs = queue.delete_and_reserve([take(queue)], 1)()
    redis_store.client.client_kill_filter(_type="normal", skipme=True)
    deleted, following = queue.delete_and_reserve(jobs, 1)()
    assert deleted == 1
    assert uuids(following) == pushed[2:]


def test_an_exchange_whose_answer_is_lost_may_be_begun_anew(redis_store: RedisStore) -> None:
    pushed = push(redis_store, 20)
    queue = redis_store.queue()
    _, jobs = queue.delete_and_reserve([take(queue)], 1)()
    redis_store.client.client_pause(500)
    outcome = queue.delete_and_reserve(jobs, 1)
    redis_store.client.client_unpause()
    redis_store.client.client_kill_filter(_type="normal", skipme=True)
    try:
        _, following = outcome()
    except ServiceUnavailable:
        _, following = queue.delete_and_reserve(jobs, 1)()
    assert len(following) == 1
    assert jobs[0].payload not in redis_store.payloads()
    redis_store.clock.now += RETRY_AFTER  # what was reserved unheard comes again
    assert sorted(uuids(drain(redis_store.queue()))) == sorted(pushed[2:])


def test_a_pause_counts_for_what_was_seen_before(store: Store) -> None:
    pushed = push(store, 3)
    queue = store.queue()
    _, jobs = queue.delete_and_reserve([], 1)()
    queue.pause({"default"})
    assert queue.delete_and_reserve(jobs, 2)() == (1, ())
    queue.pause(())
    assert uuids(queue.delete_and_reserve([], 2)()[1]) == pushed[1:]
