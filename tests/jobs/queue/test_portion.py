"""No more is reserved at once than is done in time, and what was reserved before comes alone."""

from __future__ import annotations

import contextlib
import json
import tracemalloc
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from bridge.errors import Refused
from bridge.jobs.queue.failed_jobs import DatabaseFailedJobs, FailedJob, FailedJobs, StoredPayload
from bridge.jobs.queue.failed_jobs_file import FileFailedJobs
from bridge.jobs.queue.marks import KEPT, MOST, Marks
from bridge.jobs.queue.portion import MOST_BYTES, Pace, Portion
from bridge.jobs.queue.queue import Job, Queue
from bridge.jobs.queue.redis.driver import RedisQueue
from bridge.jobs.queue.sql.statements import jobs_table
from bridge.jobs.worker.loop import Delivered, Result, Worker, WorkerHooks
from bridge.jobs.worker.retry_policy import RetryPolicy
from tests.jobs.queue.stores import (
    RETRY_AFTER,
    Clock,
    SqlStore,
    Store,
    broadcast,
    drain,
    foreign,
    push,
    uuid_of,
    uuids,
    without_memory,
)
from tests.services import wait_until


def delivering(queue: Queue, failed: FailedJobs, attempted: list[str], clock: Clock) -> Worker:
    """A worker whose jobs all end well, and that notes which were attempted."""

    def attempt(jobs: Sequence[Job], is_enough: Callable[[], bool]) -> Sequence[Result]:
        attempted.extend(uuids(jobs))
        return [Delivered()] * len(jobs)

    retries = RetryPolicy(tries=3, backoff=(1,))
    return Worker(queue, failed, attempt, batch=50, retries=retries, hooks=WorkerHooks(clock=clock))


@pytest.mark.parametrize("size", [1 << 17, 1 << 19])
def test_large_payloads_come_a_few_at_a_time(store: Store, size: int) -> None:
    payloads = [broadcast(note="x" * size) for _ in range(50)]
    for payload in payloads:
        store.push(payload)
    queue = store.queue()
    found = []
    while jobs := queue.reserve(50):
        assert sum(len(job.payload) for job in jobs) <= MOST_BYTES
        found += uuids(jobs)
    assert found == [json.loads(payload)["uuid"] for payload in payloads]


def test_a_payload_that_is_too_large_for_a_portion_comes_alone(store: Store) -> None:
    before = push(store, 2)
    large = broadcast(note="x" * (MOST_BYTES + 1))
    store.push(large)
    after = push(store, 2)
    queue = store.queue()
    portions = []
    while jobs := queue.reserve(50):
        portions.append(uuids(jobs))
    assert portions == [before, [json.loads(large)["uuid"]], after]


def test_a_job_that_cannot_be_read_for_want_of_memory_holds_no_other_up(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = broadcast(note="x" * (MOST_BYTES + 1))
    store.push(large)
    pushed = push(store, 2)
    queue = store.queue()
    without_memory(queue, monkeypatch)
    found: list[Job] = []
    for _ in range(5):
        with contextlib.suppress(MemoryError):
            found += drain(queue)
    unread = [job for job in found if job.unread is not None]
    assert uuids(job for job in found if job.unread is None) == pushed
    assert uuids(unread) == ([] if isinstance(queue, RedisQueue) else [uuid_of(large)])
    assert not any(job.payload for job in unread)
    monkeypatch.undo()
    assert len(store.payloads()) == 3


@pytest.mark.parametrize("with_uuid", [True, False])
def test_a_job_that_cannot_be_read_goes_to_failed_jobs_as_it_stands(
    store: Store, monkeypatch: pytest.MonkeyPatch, with_uuid: bool
) -> None:
    if not isinstance(store, SqlStore):
        return  # Redis: see above
    note = "ä \\ ' 🚀 " + "x" * (MOST_BYTES + 1)
    large = broadcast(note=note)
    if not with_uuid:  # as before Laravel 7; two that begin alike
        document = {name: value for name, value in json.loads(large).items() if name != "uuid"}
        large = json.dumps(document, separators=(",", ":")).encode()
    store.push_many([large, large] if not with_uuid else [large])
    pushed = push(store, 2)
    queue = store.queue()
    without_memory(queue, monkeypatch)
    attempted: list[str] = []
    failed = DatabaseFailedJobs(store.engine, timezone=ZoneInfo("UTC"))
    worker = delivering(queue, failed, attempted, store.clock)
    worker.start()
    wait_until(lambda: not store.payloads(), "the queue is empty")
    assert worker.stop(60)
    kept = list(failed.kept())
    failed.close()
    assert attempted == pushed
    assert [job.payload for job in kept] == ([large] if with_uuid else [large, large])
    assert all("is too large for the memory" in job.exception for job in kept)
    if with_uuid:
        assert kept[0].id == uuid_of(large)


def test_a_large_job_that_may_be_another_is_left_where_it_cannot_be_read(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.push(foreign(note="Illuminate BroadcastEvent " + "x" * (MOST_BYTES + 1)))
    pushed = push(store, 2)
    queue = store.queue()
    without_memory(queue, monkeypatch)
    found: list[Job] = []
    for _ in range(5):
        with contextlib.suppress(MemoryError):
            found += drain(queue)
    assert uuids(found) == pushed


def test_failed_jobs_elsewhere_take_no_job_that_cannot_be_read(store: Store, tmp_path: Path) -> None:
    if not isinstance(store, SqlStore):
        return
    unread = StoredPayload(
        database=sa.make_url("sqlite:////elsewhere"), table=jobs_table("jobs"), id=1, size=1 << 26
    )
    job = FailedJob(
        connection_name="database", queue="default", payload=b"", exception="no", uuid="1",
        failed_at=datetime.now(UTC), unread=unread,
    )  # fmt: skip
    for failed in (
        DatabaseFailedJobs(store.engine, timezone=ZoneInfo("UTC")),
        FileFailedJobs(tmp_path / "failed.json", timezone=ZoneInfo("UTC")),
    ):
        with pytest.raises(Refused, match="64 MiB is too large"):
            failed.record(job)
        assert not list(failed.kept())
        failed.close()


def test_what_can_never_be_kept_is_left_in_the_queue_and_told_once(
    store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    if not isinstance(store, SqlStore):
        return  # Redis: it is not even taken
    large = broadcast(note="x" * (MOST_BYTES + 1))
    store.push(large)
    queue = store.queue()
    without_memory(queue, monkeypatch)
    attempted: list[str] = []
    failed = FileFailedJobs(tmp_path / "failed.json", timezone=ZoneInfo("UTC"))
    worker = delivering(queue, failed, attempted, store.clock)
    worker.start()
    for _ in range(3):
        push(store, 1)
        wait_until(lambda: len(store.payloads()) == 1, "the other job is done")
        store.clock.now += 3600
    assert worker.stop(60)
    assert len(attempted) == 3
    assert not list(failed.kept())
    [row] = store.rows()
    assert (row["payload"], row["attempts"], row["reserved_at"]) == (large.decode(), 0, None)
    told = [record for record in caplog.records if getattr(record, "action", "") == "job_left"]
    assert len(told) == 1


def test_a_large_job_of_others_is_stepped_over(store: Store) -> None:
    store.push(foreign(note="Illuminate BroadcastEvent " + "x" * (MOST_BYTES + 1)))
    pushed = push(store, 2)
    assert uuids(drain(store.queue())) == pushed


def test_after_a_crash_only_the_job_at_work_is_counted(store: Store) -> None:
    push(store, 20)
    assert len(store.queue().reserve(50)) == 20
    for _ in range(3):  # each time, who reserved it is no more
        store.clock.now += RETRY_AFTER
        assert len(store.queue().reserve(50)) == 1
    store.clock.now += RETRY_AFTER
    attempts = Counter(job.attempts for job in drain(store.queue(), 50))
    assert attempts[2] >= 16  # the three crashes met at most three others
    assert sum(attempts.values()) == 20


def test_what_was_given_back_counts_as_new(store: Store) -> None:
    push(store, 5)
    queue = store.queue()
    queue.give_back(queue.reserve(5))
    assert [job.attempts for job in queue.reserve(5)] == [1] * 5


def test_a_job_released_untried_has_its_attempts_as_before(store: Store) -> None:
    push(store, 1)
    queue = store.queue()
    (job,) = queue.reserve(1)
    queue.release(job, 3, tried=False)
    assert not queue.reserve(1)
    store.clock.now += 3
    assert [job.attempts for job in queue.reserve(1)] == [1]


def test_a_late_release_untried_leaves_the_job_to_its_new_owner(store: Store) -> None:
    push(store, 1)
    slow, quick = store.queue(), store.queue()
    (late,) = slow.reserve(1)
    store.clock.now += RETRY_AFTER
    (job,) = quick.reserve(1)
    slow.release(late, 0, tried=False)
    assert quick.delete([job]) == 1
    assert not store.payloads()


def test_a_portion_ends_with_the_first_job_that_does_not_fit() -> None:
    portion = Portion(3)
    assert [portion.takes(MOST_BYTES // 2, 0) for _ in range(2)] == [True, True]
    assert not portion.takes(1, 0)
    assert not portion.takes(0, 0)


def test_slow_jobs_are_reserved_a_few_at_a_time_and_quick_ones_many() -> None:
    clock = Clock(0.0)
    pace = Pace(100, 6, clock)
    assert pace.jobs == 100
    pace.took(10, 2.0)
    assert pace.jobs == 7  # of 0.2 s, in a quarter of 6 s
    pace.took(1, 60.0)
    assert pace.jobs == 1
    for _ in range(20):
        pace.took(100, 0.1)
    assert pace.jobs == 100


def test_nothing_is_begun_past_half_of_the_reservation() -> None:
    clock = Clock(0.0)
    pace = Pace(100, 6, clock)
    pace.begin()
    clock.now = 2.9
    assert not pace.is_over
    clock.now = 3.0
    assert pace.is_over
    pace.begin()
    assert not pace.is_over


def test_reservations_without_an_end_are_never_over() -> None:
    clock = Clock(0.0)
    pace = Pace(100, 0, clock)
    pace.begin()
    clock.now = 1e9
    assert not pace.is_over
    pace.took(1, 1e6)
    assert pace.jobs == 100


def test_too_many_for_the_memory_are_halved_and_grow_again() -> None:
    pace = Pace(100, 90, Clock(0.0))
    pace.halve(100)
    assert pace.jobs == 50
    pace.halve(1)
    assert pace.jobs == 1
    for _ in range(10):
        pace.took(1, 0.0)
    assert pace.jobs == 100


def test_marks_are_forgotten_after_their_time_and_beyond_their_number() -> None:
    clock = Clock(0.0)
    marks = Marks(10, clock)
    marks.add(["a"])
    clock.now = KEPT
    marks.add(["b"])
    assert "a" in marks
    clock.now = KEPT * 1.3
    marks.add(["c"])
    assert "a" not in marks
    assert "b" in marks
    for number in range(0, 2 * MOST, 50):
        marks.add(map(str, range(number, number + 50)))
    assert "b" not in marks
    assert str(MOST // 2) not in marks
    assert all(str(number) in marks for number in range(MOST, 2 * MOST))


def test_a_mark_takes_little_memory() -> None:
    tracemalloc.start()
    try:
        marks = Marks(10, Clock(0.0))
        for number in range(MOST):
            marks.add([str(uuid.UUID(int=number))])
        took, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert str(uuid.UUID(int=0)) in marks
    assert took < 150 * MOST
