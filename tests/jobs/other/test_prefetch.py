"""The jobs of one lane on their way out of the queue, out of a real store."""

from __future__ import annotations

import collections
from collections.abc import Callable

import pytest

from bridge.jobs.other.prefetch import LONGEST_WAIT, MOST, Prefetcher
from bridge.jobs.queue.queue import Job
from bridge.jobs.worker.quota import Quota
from bridge.jobs.worker.store_retry import StoreRetry
from tests.jobs.conftest import mariadb_store, redis_store, sqlite_store  # noqa: F401
from tests.jobs.queue.stores import RETRY_AFTER, Store, broadcast, uuid_of

Made = Callable[..., Prefetcher]

reserves_ahead = pytest.mark.parametrize("store", ["mariadb", "redis"], indirect=True)


@pytest.fixture(params=["sqlite", "redis"])
def store(request: pytest.FixtureRequest) -> Store:
    made: Store = request.getfixturevalue(f"{request.param}_store")
    return made


@pytest.fixture
def counts() -> collections.Counter[str]:
    return collections.Counter()


@pytest.fixture
def supply(store: Store, counts: collections.Counter[str]) -> Made:
    """A supply that may be told to take no more, or so many jobs in all."""

    def made(*, most: int = 0, may_take: Callable[[], bool] = lambda: True) -> Prefetcher:
        quota = Quota(most=most)
        leave = lambda jobs: quota.turn(jobs) if may_take() else None  # noqa: E731
        return Prefetcher(store.queue(), StoreRetry(), leave, quota, counts)

    return made


def push(store: Store, count: int) -> list[str]:
    payloads = [broadcast() for _ in range(count)]
    for payload in payloads:
        store.push(payload)
    return [uuid_of(payload) for payload in payloads]


def left(store: Store) -> set[str]:
    """What is in the queue, reserved or not."""
    return {uuid_of(payload) for payload in store.payloads()}


def free(store: Store) -> list[str]:
    """What another worker may take."""
    queue = store.queue()
    jobs = queue.reserve(50)
    queue.give_back(jobs)
    return [job.uuid for job in jobs]


def the_next(supply: Prefetcher) -> Job:
    job = supply.next()
    assert job is not None
    return job


def test_quick_jobs_come_in_order_and_are_deleted_when_the_next_is_at_work(
    store: Store, supply: Made, counts: collections.Counter[str]
) -> None:
    pushed = push(store, 60)
    jobs = supply()
    seen = []
    while (job := jobs.next()) is not None:
        seen.append(job.uuid)
        jobs.ahead()
        jobs.end(job)
        jobs.pace(0.0005)
        assert len(left(store)) <= 60 - len(seen) + MOST + 1  # what has ended is not put off for long
    assert seen == pushed
    assert not left(store)
    assert counts == {"reserved": 60}


@reserves_ahead
@pytest.mark.parametrize(
    ("seconds", "prefetched"), [(0.0, MOST), (0.0005, MOST), (0.02, 2), (0.04, 1), (0.2, 0)]
)
def test_the_quicker_jobs_are_the_more_are_reserved_before_their_turn(
    store: Store, supply: Made, seconds: float, prefetched: int
) -> None:
    pushed = push(store, 12)
    jobs = supply()
    jobs.end(the_next(jobs))
    jobs.give_back_all()
    the_next(jobs)
    jobs.pace(seconds)
    jobs.ahead()
    while jobs.due < LONGEST_WAIT:
        assert jobs.tick()
    assert free(store) == pushed[2 + prefetched :]


@reserves_ahead
def test_those_that_wait_too_long_for_their_turn_are_given_back_untried(
    store: Store, supply: Made, counts: collections.Counter[str]
) -> None:
    pushed = push(store, 4)
    jobs = supply()
    jobs.pace(0.001)
    the_next(jobs)
    while jobs.due < float("inf"):
        assert jobs.tick()
    assert free(store) == pushed[1:]
    assert counts["given_back"] == 3
    assert not jobs.tick()
    following = the_next(jobs)
    assert (following.uuid, following.attempts) == (pushed[1], 1)


def test_after_a_slow_one_none_waits_for_its_turn(store: Store, supply: Made) -> None:
    pushed = push(store, 6)
    jobs = supply()
    jobs.pace(0.01)
    the_next(jobs)
    jobs.pace(3.0)
    the_next(jobs)
    jobs.ahead()
    assert free(store) == pushed[2:]


@reserves_ahead
def test_one_that_ended_is_deleted_soon_and_the_next_reserved_while_laravel_tidies_up(
    store: Store, supply: Made
) -> None:
    pushed = push(store, 3)
    jobs = supply()
    jobs.end(the_next(jobs))
    while jobs.due < LONGEST_WAIT:
        assert jobs.tick()
    assert left(store) == set(pushed[1:])
    assert free(store) == pushed[2:]
    jobs.give_back_all()
    assert free(store) == pushed[1:]


def test_after_let_go_nothing_is_prefetched_and_nothing_is_left_undeleted(store: Store, supply: Made) -> None:
    pushed = push(store, 12)
    jobs = supply()
    for number in range(1, 4):
        jobs.pace(0.001)
        job = the_next(jobs)
        jobs.ahead()  # an exchange may be under way
        jobs.end(job)
        jobs.give_back_all()
        assert left(store) == set(pushed[number:])
        assert free(store) == pushed[number:]


def test_where_no_job_may_be_taken_what_ended_is_deleted_all_the_same(store: Store, supply: Made) -> None:
    pushed = push(store, 2)
    allowed = [True]
    jobs = supply(may_take=lambda: allowed[0])
    jobs.end(the_next(jobs))
    allowed[0] = False
    assert jobs.next() is None
    assert free(store) == pushed[1:]
    assert left(store) == set(pushed[1:])


def test_no_more_jobs_are_taken_than_there_shall_be(store: Store, supply: Made) -> None:
    pushed = push(store, 6)
    jobs = supply(most=4)
    jobs.pace(0.001)
    for _ in range(4):
        job = the_next(jobs)
        jobs.ahead()
        jobs.end(job)
    assert jobs.next() is None
    assert left(store) == set(pushed[4:])


def test_a_job_that_came_too_late_is_counted(
    store: Store, supply: Made, counts: collections.Counter[str]
) -> None:
    push(store, 1)
    jobs = supply()
    late = the_next(jobs)
    store.clock.now += RETRY_AFTER
    other = store.queue()
    (owned,) = other.reserve(1)
    jobs.end(late)
    assert jobs.next() is None
    assert counts["fenced"] == 1
    assert other.delete([owned]) == 1


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
def test_where_it_would_disturb_the_job_at_work_nothing_is_written_until_that_is_over(
    store: Store, supply: Made
) -> None:
    pushed = push(store, 3)
    jobs = supply()
    jobs.pace(0.0005)
    for number in range(3):
        job = the_next(jobs)
        assert left(store) == set(pushed[number:])
        jobs.ahead()
        assert free(store) == pushed[number + 1 :]
        jobs.end(job)
        assert jobs.due == LONGEST_WAIT  # Laravel may tidy up
        jobs.pace(0.0005)
    assert jobs.tick()
    assert not left(store)
    assert jobs.due == float("inf")
