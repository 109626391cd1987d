"""What `queue.Queue` guarantees, on each of the four stores."""

from __future__ import annotations

import threading
import time

import pytest

from bridge.jobs.queue.queue import Job, Queue
from tests.jobs.queue.stores import (
    RETRY_AFTER,
    Store,
    broadcast,
    drain,
    foreign,
    in_threads,
    push,
    uuid_of,
    uuids,
)


def take(queue: Queue) -> Job:
    (job,) = queue.reserve(10)
    return job


def test_check_passes_on_laravels_own_tables_and_keys(store: Store) -> None:
    store.queue().check()


def test_jobs_come_in_the_order_they_were_pushed(store: Store) -> None:
    pushed = push(store, 7)
    queue = store.queue()
    assert uuids(queue.reserve(3)) == pushed[:3]
    assert uuids(queue.reserve(10)) == pushed[3:]
    assert not queue.reserve(10)


def test_a_job_carries_queue_payload_attempts_and_names(store: Store) -> None:
    payload = broadcast()
    store.push(payload)
    stored = store.payloads()
    job = take(store.queue())
    assert (job.queue, job.attempts, [job.payload]) == ("default", 1, stored)
    assert (job.uuid, job.display_name) == (uuid_of(payload), "App\\Events\\ChatEvent")
    assert job.document["maxTries"] is None


def test_the_first_queue_is_emptied_before_the_second(store: Store) -> None:
    low = push(store, 2, "low")
    high = push(store, 2, "high")
    assert uuids(store.queue("high", "low").reserve(3)) == [*high, low[0]]


def test_queues_not_asked_for_are_left_alone(store: Store) -> None:
    push(store, 1, "other")
    assert not store.queue("default").reserve(10)


def test_a_paused_queue_keeps_its_jobs_until_it_is_not_paused_any_more(store: Store) -> None:
    low = push(store, 1, "low")
    high = push(store, 1, "high")
    queue = store.queue("high", "low")
    queue.pause({"high"})
    assert uuids(queue.reserve(10)) == low
    queue.pause({"high", "low"})
    push(store, 1, "low")
    assert not queue.reserve(10)
    queue.pause(())
    assert uuids(queue.reserve(1)) == high


def test_a_push_to_a_paused_queue_does_not_end_a_wait_again_and_again(store: Store) -> None:
    queue = store.queue("high", "low")
    queue.pause({"high"})
    push(store, 1, "high")
    for _ in range(2):  # what has changed in the store may end one wait
        assert not queue.reserve(10)
        started = time.monotonic()
        queue.wait(0.3)
    assert time.monotonic() - started > 0.2


def test_a_wait_with_every_queue_paused_ends_by_itself_or_by_wake(store: Store) -> None:
    queue = store.queue("high")
    queue.pause({"high"})
    push(store, 1, "high")
    queue.wait(1.0)
    assert not queue.reserve(10)
    queue.wake()
    started = time.monotonic()
    queue.wait(60)
    assert time.monotonic() - started < 50


def test_a_delayed_job_comes_when_it_is_due(store: Store) -> None:
    pushed = push(store, 1, delay=30)
    queue = store.queue()
    store.clock.now += 29
    assert not queue.reserve(10)
    store.clock.now += 1
    assert uuids(queue.reserve(10)) == pushed


def test_a_reserved_job_comes_again_after_retry_after_with_one_more_attempt(store: Store) -> None:
    pushed = push(store, 1)
    first, second = store.queue(), store.queue()
    assert take(first).attempts == 1
    store.clock.now += RETRY_AFTER - 1
    assert not second.reserve(10)
    store.clock.now += 1
    again = take(second)
    assert (again.uuid, again.attempts) == (pushed[0], 2)


def test_a_deleted_job_is_gone(store: Store) -> None:
    push(store, 3)
    queue = store.queue()
    assert queue.delete(queue.reserve(10)) == 3
    store.clock.now += RETRY_AFTER
    assert not queue.reserve(10)
    assert store.payloads() == []


def test_jobs_of_several_attempts_and_reservations_are_deleted_together(store: Store) -> None:
    push(store, 2)
    queue = store.queue()
    (first,) = queue.reserve(1)
    queue.release(first, 0)
    store.clock.now += 1
    jobs = drain(queue)
    assert sorted(job.attempts for job in jobs) == [1, 2]
    push(store, 1)
    store.clock.now += 1
    assert queue.delete([*jobs, *queue.reserve(1)]) == 3
    assert store.payloads() == []


def test_a_late_delete_leaves_the_job_to_its_new_owner(store: Store) -> None:
    push(store, 2)
    slow, quick = store.queue(), store.queue()
    late = slow.reserve(10)
    store.clock.now += RETRY_AFTER
    (owned, *_) = quick.reserve(1)
    assert slow.delete(late) == (0 if store_moves_expired(store) else 1)
    assert quick.delete([owned]) == 1


def store_moves_expired(store: Store) -> bool:
    """In Redis an expired reservation is ended for all members at once, by whoever looks first."""
    return hasattr(store, "client")


def test_a_late_release_or_give_back_does_nothing(store: Store) -> None:
    push(store, 1)
    slow, quick = store.queue(), store.queue()
    late = take(slow)
    store.clock.now += RETRY_AFTER
    owned = take(quick)
    before = store.payloads()
    slow.release(late, 0)
    slow.give_back([late])
    assert store.payloads() == before
    assert not slow.reserve(10)
    assert quick.delete([owned]) == 1


def test_deleting_twice_counts_once(store: Store) -> None:
    push(store, 1)
    queue = store.queue()
    jobs = queue.reserve(10)
    assert [queue.delete(jobs), queue.delete(jobs)] == [1, 0]


def test_a_released_job_waits_its_delay_keeps_its_attempts_and_goes_to_the_end(store: Store) -> None:
    first, second = push(store, 2)
    queue = store.queue()
    (job,) = queue.reserve(1)
    queue.release(job, 20)
    store.clock.now += 19
    (other,) = queue.reserve(10)
    assert other.uuid == second
    store.clock.now += 1
    again = take(queue)
    assert (again.uuid, again.attempts) == (first, 2)


def test_a_released_job_is_there_once(store: Store) -> None:
    push(store, 1)
    queue = store.queue()
    job = take(queue)
    queue.release(job, 0)
    queue.release(job, 0)
    store.clock.now += 1
    assert len(queue.reserve(10)) == 1


def test_jobs_given_back_are_as_before(store: Store) -> None:
    pushed = push(store, 3)
    before = store.payloads()
    queue = store.queue()
    queue.give_back(queue.reserve(2))
    assert store.payloads() == before
    jobs = store.queue().reserve(10)
    assert uuids(jobs) == pushed
    assert {job.attempts for job in jobs} == {1}


def test_other_jobs_stay_byte_for_byte_and_in_order(store: Store) -> None:
    others = []
    for number in range(12):
        payload = broadcast() if number % 3 else foreign()
        store.push(payload)
        others += [payload] if not number % 3 else []
    everything = store.payloads()
    queue = store.queue()
    jobs = queue.reserve(50)
    assert len(jobs) == 8
    queue.delete(jobs)
    store.clock.now += 2 * RETRY_AFTER
    assert not queue.reserve(50)
    ours = set(uuids(jobs))
    assert store.payloads() == [entry for entry in everything if uuid_of(entry) not in ours]
    assert [uuid_of(entry) for entry in store.payloads()] == [uuid_of(entry) for entry in others]


def test_a_broadcast_behind_a_long_backlog_of_others_is_found(store: Store) -> None:
    for _ in range(1300):
        store.push(foreign())
    (mine,) = push(store, 1)
    queue = store.queue()
    deadline = time.monotonic() + 60
    jobs: list[Job] = []
    while not jobs and time.monotonic() < deadline:
        jobs += queue.reserve(10)
        queue.wait(0 if jobs else 0.1)
    assert uuids(jobs) == [mine]
    (next_one,) = push(store, 1)
    assert uuids(queue.reserve(10)) == [next_one]


def test_depth_counts_pending_delayed_and_reserved(store: Store) -> None:
    push(store, 3)
    push(store, 2, delay=60)
    store.push(foreign())
    queue = store.queue("default", "empty")
    queue.reserve(1)
    depths = {name: (of.pending, of.delayed, of.reserved) for name, of in queue.depth().items()}
    assert depths == {"default": (3, 2, 1), "empty": (0, 0, 0)}


def test_wait_ends_when_a_job_is_pushed(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.jobs.queue.redis.tokens.TICK", 30)  # no wait ends with the look that is due
    monkeypatch.setattr("bridge.jobs.queue.sql.driver.SCAN_INTERVAL", 30.0)
    queue = store.queue("high", "default")
    while queue.reserve(10):
        pass

    def push_soon() -> None:
        time.sleep(0.2)
        store.push(broadcast())

    pusher = threading.Thread(target=push_soon)
    started = time.monotonic()
    pusher.start()
    jobs: list[Job] = []
    while not jobs and time.monotonic() < started + 60:
        queue.wait(30)
        jobs += queue.reserve(10)
    found_after = time.monotonic() - started
    pusher.join()
    assert len(jobs) == 1
    assert found_after < 25


def test_wait_ends_in_time_when_nothing_comes(store: Store) -> None:
    queue = store.queue()
    queue.reserve(1)
    started = time.monotonic()
    queue.wait(0.15)
    assert time.monotonic() - started < 50


def test_wake_ends_a_wait_under_way(store: Store) -> None:
    queue = store.queue()
    queue.reserve(1)
    queue.wait(0.01)
    waker = threading.Timer(0.2, queue.wake)
    waker.start()
    started = time.monotonic()
    queue.wait(60)
    waker.join()
    assert time.monotonic() - started < 50


def test_wake_before_a_wait_is_not_lost(store: Store) -> None:
    queue = store.queue()
    queue.reserve(1)
    queue.wait(0.01)
    queue.wake()
    started = time.monotonic()
    queue.wait(60)
    assert time.monotonic() - started < 50


@pytest.mark.parametrize("workers", [4])
def test_each_of_a_thousand_jobs_goes_to_one_of_several_workers(store: Store, workers: int) -> None:
    pushed = push(store, 500) + push(store, 500)
    others = [foreign() for _ in range(20)]
    for payload in others:
        store.push(payload)

    def work(queue: Queue) -> list[str]:
        mine: list[str] = []
        empty = 0
        while empty < 5:
            jobs = queue.reserve(13)
            mine += uuids(jobs)
            assert queue.delete(jobs) == len(jobs) if jobs else True
            empty = 0 if jobs else empty + 1
            if not jobs:
                queue.wait(0.02)
        return mine

    assert sorted(in_threads(store, workers, work)) == sorted(pushed)
    assert sorted(map(uuid_of, store.payloads())) == sorted(map(uuid_of, others))
