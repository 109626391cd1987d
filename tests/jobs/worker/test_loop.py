"""From a reserved job to its end, on a real SQLite queue."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

import bridge.jobs.worker.loop
from bridge.errors import NotTried, Refused, ServiceUnavailable
from bridge.jobs.queue.failed_jobs import DatabaseFailedJobs
from bridge.jobs.queue.portion import Pace
from bridge.jobs.queue.queue import Job
from bridge.jobs.worker.at_work import AtWork
from bridge.jobs.worker.loop import (
    Attempt,
    Delivered,
    Failed,
    NotBegun,
    NothingToSend,
    Result,
    Retry,
    Worker,
    WorkerHooks,
    WorkerState,
)
from bridge.jobs.worker.retry_policy import RetryPolicy
from tests import services
from tests.jobs.queue.stores import RETRY_AFTER, Clock, SqlStore, broadcast, foreign, uuid_of


class Bench:
    """A worker on a store, and what became of its jobs."""

    def __init__(self, store: SqlStore) -> None:
        self.store = store
        self.failed = DatabaseFailedJobs(store.engine, timezone=ZoneInfo("UTC"))
        self.attempted: list[str] = []
        self._workers: list[Worker] = []

    def start(
        self,
        attempt: Attempt,
        tries: int = 3,
        *,
        paused: Callable[[], Collection[str]] = frozenset,
        unlock: Callable[[Sequence[Job]], None] = lambda jobs: None,
        at_work: AtWork | None = None,
    ) -> Worker:
        def noting(jobs: Sequence[Job], is_enough: Callable[[], bool]) -> Sequence[Result]:
            self.attempted += [job.uuid for job in jobs]
            return attempt(jobs, is_enough)

        worker = Worker(
            self.store.queue(),
            self.failed,
            noting,
            batch=50,
            retries=RetryPolicy(tries=tries, backoff=(2, 7)),
            hooks=WorkerHooks(clock=self.store.clock, paused=paused, unlock=unlock),
            state=WorkerState(at_work=at_work or AtWork()),
        )
        self._workers.append(worker)
        worker.start()
        return worker

    def push(self, **changes: object) -> str:
        payload = broadcast(**changes)
        self.store.push(payload)
        return uuid_of(payload)

    def failures(self) -> dict[str, str]:
        with self.store.engine.connect() as connection:
            rows = connection.execute(sa.text("select uuid, exception from failed_jobs")).all()
        return {uuid: exception for uuid, exception in rows}

    def close(self) -> None:
        for worker in self._workers:
            assert worker.stop(60)
        self.failed.close()


@pytest.fixture
def bench(sqlite_store: SqlStore) -> Iterator[Bench]:
    made = Bench(sqlite_store)
    yield made
    made.close()


def eventually(true: Callable[[], object], limit: float = 60) -> None:
    services.wait_until(lambda: bool(true()), "the expected state", limit)


def always(result: Result) -> Attempt:
    return lambda jobs, is_enough: [result] * len(jobs)


@pytest.mark.parametrize(
    ("result", "count"), [(Delivered(), "delivered"), (NothingToSend("no channels"), "nothing")]
)
def test_a_job_that_ended_well_is_deleted(bench: Bench, result: Result, count: str) -> None:
    bench.push()
    worker = bench.start(always(result))
    eventually(lambda: not bench.store.payloads())
    eventually(lambda: worker.counts[count] == worker.counts["reserved"] == 1)
    assert not bench.failures()


def test_a_job_that_cannot_be_broadcast_goes_to_failed_jobs(bench: Bench) -> None:
    uuid = bench.push()
    worker = bench.start(always(Failed(Refused("broadcastOn cannot be known", file="app/X.php", line=7))))
    eventually(lambda: not bench.store.payloads())
    assert bench.failures() == {uuid: "bridge.errors.Refused: broadcastOn cannot be known (app/X.php:7)"}
    assert worker.counts["failed"] == 1


def test_a_job_is_tried_again_with_the_workers_backoff_and_then_failed(bench: Bench) -> None:
    uuid = bench.push()
    worker = bench.start(always(Retry(ServiceUnavailable("the database is down"))), tries=3)
    for released, delay in ((1, 2), (2, 7)):
        eventually(lambda released=released: worker.counts["released"] == released)  # type: ignore[misc]
        (row,) = bench.store.rows()
        assert row["available_at"] - row["created_at"] == delay
        assert bench.attempted == [uuid] * released
        bench.store.clock.now += delay
    eventually(lambda: not bench.store.payloads())
    assert bench.attempted == [uuid] * 3
    assert "the database is down" in bench.failures()[uuid]


@pytest.mark.parametrize(
    ("payload", "delay"), [({"backoff": "11,12"}, 11), ({"backoff": "5"}, 5), ({"delay": 9}, 9), ({}, 2)]
)
def test_the_payloads_own_backoff_comes_first(bench: Bench, payload: dict[str, object], delay: int) -> None:
    bench.push(**payload)
    worker = bench.start(always(Retry(ServiceUnavailable("down"))))
    eventually(lambda: worker.counts["released"] == 1)
    (row,) = bench.store.rows()
    assert row["available_at"] - row["created_at"] == delay


def test_max_tries_of_the_payload_comes_before_the_workers(bench: Bench) -> None:
    uuid = bench.push(maxTries=1)
    worker = bench.start(always(Retry(ServiceUnavailable("down"))), tries=5)
    eventually(lambda: uuid in bench.failures())
    assert worker.counts["released"] == 0


def test_retry_until_is_used_in_place_of_tries(bench: Bench) -> None:
    soon = int(bench.store.clock.now) + 60
    patient, late = bench.push(retryUntil=soon, maxTries=1), bench.push(retryUntil=soon - 61)
    worker = bench.start(always(Retry(ServiceUnavailable("down"))), tries=1)
    eventually(lambda: late in bench.failures())
    eventually(lambda: worker.counts["released"] == 1)
    assert bench.attempted == [patient]
    bench.store.clock.now = soon
    eventually(lambda: patient in bench.failures())


def test_a_job_that_never_comes_to_an_end_is_failed_before_its_next_attempt(bench: Bench) -> None:
    uuid = bench.push(maxTries=1)
    crashing = bench.store.queue()
    for attempts in (1, 2, 3):
        assert [job.attempts for job in crashing.reserve(1)] == [attempts]
        bench.store.clock.now += RETRY_AFTER
    good = bench.push()
    bench.start(always(Delivered()))
    eventually(lambda: not bench.store.payloads())
    assert bench.attempted == [good]
    assert "was taken 3 times" in bench.failures()[uuid]


@pytest.mark.parametrize("allows", [{"maxTries": 1}, {"maxTries": 0}, {"retryUntil": 2_000_000_000}])
def test_a_crash_counts_for_the_job_at_work_alone(
    bench: Bench, tmp_path: Path, allows: dict[str, int]
) -> None:
    """A batch is lost three times with the same job at work: it alone is failed, whatever it allows."""
    file = tmp_path / "at-work.json"
    innocent, killer = bench.push(**allows), bench.push(**allows)
    crashing = bench.store.queue()
    for _ in range(3):
        jobs = [*crashing.reserve(1), *crashing.reserve(1)]
        assert {job.uuid for job in jobs} == {innocent, killer}
        work = AtWork(file)
        work.reserved(jobs)
        work.only(next(job for job in jobs if job.uuid == killer))
        left = file.read_bytes()
        work.close()
        file.write_bytes(left)  # as a kill leaves it
        bench.store.clock.now += RETRY_AFTER
    bench.start(always(Delivered()), at_work=AtWork(file))
    eventually(lambda: not bench.store.payloads())
    assert bench.attempted == [innocent]
    assert list(bench.failures()) == [killer]


def test_a_stop_that_cuts_a_job_off_is_no_crash_of_it(bench: Bench, tmp_path: Path) -> None:
    file = tmp_path / "at-work.json"
    uuid = bench.push()
    at_work, begun, over = AtWork(file), threading.Event(), threading.Event()

    def attempt(jobs: Sequence[Job], is_enough: Callable[[], bool]) -> Sequence[Result]:
        at_work.only(jobs[0])
        begun.set()
        assert over.wait(60)
        return [Delivered()] * len(jobs)

    worker = bench.start(attempt, at_work=at_work)
    assert begun.wait(60)
    crashed = file.read_bytes()
    assert not worker.stop(0)
    cut_off = file.read_bytes()
    over.set()
    eventually(lambda: not worker.is_alive)
    job = Job(queue="default", payload=b"", document={"uuid": uuid}, attempts=1, receipt=None)
    for left, crashes in ((crashed, 1), (cut_off, 0)):
        file.write_bytes(left)
        work = AtWork(file)
        work.reserved(())
        assert work.crashes(job) == crashes
        work.close()


def test_a_job_lost_in_a_crash_is_delivered_though_it_allows_one_try(bench: Bench) -> None:
    uuid = bench.push(maxTries=1)
    bench.store.queue().reserve(1)
    bench.store.clock.now += RETRY_AFTER
    bench.start(always(Delivered()))
    eventually(lambda: not bench.store.payloads())
    assert bench.attempted == [uuid]


def test_one_bad_job_does_not_sink_its_batch(bench: Bench) -> None:
    good = [bench.push() for _ in range(3)]
    bad = bench.push(displayName="Bad")
    good.append(bench.push())

    def attempt(jobs: Sequence[Job], is_enough: Callable[[], bool]) -> Sequence[Result]:
        if any(job.display_name == "Bad" for job in jobs):
            raise KeyError("surprise")
        return [Delivered()] * len(jobs)

    worker = bench.start(attempt)
    eventually(lambda: not bench.store.payloads())
    assert list(bench.failures()) == [bad]
    assert bench.failures()[bad].startswith("builtins.KeyError: 'surprise'\nTraceback")
    assert worker.counts["delivered"] == 4
    assert set(bench.attempted) == {*good, bad}


def test_a_job_that_cannot_be_kept_is_not_deleted(bench: Bench) -> None:
    uuid = bench.push()
    with bench.store.engine.begin() as connection:
        connection.execute(sa.text("alter table failed_jobs rename to hidden"))
    worker = bench.start(always(Failed(Refused("cannot be known"))))
    eventually(lambda: worker.counts["released"] == 1)
    assert [uuid_of(payload) for payload in bench.store.payloads()] == [uuid]
    with bench.store.engine.begin() as connection:
        connection.execute(sa.text("alter table hidden rename to failed_jobs"))
    bench.store.clock.now += 61
    eventually(lambda: uuid in bench.failures())
    eventually(lambda: not bench.store.payloads())  # the row is written first


def test_stop_finishes_the_batch_at_hand(bench: Bench) -> None:
    bench.push()
    begun, finish = threading.Event(), threading.Event()

    def attempt(jobs: Sequence[Job], is_enough: Callable[[], bool]) -> Sequence[Result]:
        begun.set()
        assert finish.wait(60)
        return [Delivered()] * len(jobs)

    worker = bench.start(attempt)
    assert begun.wait(60)
    stopping = threading.Thread(target=worker.stop, args=(60,))
    stopping.start()
    eventually(worker._stopping.is_set)
    finish.set()
    stopping.join(60)
    assert not worker.is_alive
    assert not bench.store.payloads()


def test_a_stop_ends_the_wait_of_an_idle_worker(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bridge.jobs.worker.loop, "IDLE", 100.0)
    worker = bench.start(always(Delivered()))
    assert worker.store_answers.wait(60)
    started = time.monotonic()
    assert worker.stop(60)
    assert time.monotonic() - started < 50


def test_jobs_reserved_and_not_begun_are_given_back_with_their_attempts(bench: Bench) -> None:
    bench.push()
    before = bench.store.payloads()
    queue = bench.store.queue()
    worker = Worker(
        queue,
        bench.failed,
        always(Delivered()),
        batch=50,
        retries=RetryPolicy(tries=3, backoff=(1,)),
        hooks=WorkerHooks(clock=bench.store.clock),
    )
    reserve = queue.reserve

    def reserve_as_the_stop_comes(limit: int) -> Sequence[Job]:
        jobs = reserve(limit)
        worker._stopping.set()
        return jobs

    queue.reserve = reserve_as_the_stop_comes  # type: ignore[method-assign]
    worker.start()
    eventually(lambda: not worker.is_alive)
    (row,) = bench.store.rows()
    assert (row["attempts"], row["reserved_at"]) == (0, None)
    assert bench.store.payloads() == before
    assert worker.counts["given_back"] == 1


def test_what_was_reserved_so_long_ago_that_it_has_ended_is_not_begun(bench: Bench) -> None:
    pushed = bench.push()
    queue = bench.store.queue()
    now = Clock(0.0)
    attempted: list[int] = []

    def attempt(jobs: Sequence[Job], is_enough: Callable[[], bool]) -> Sequence[Result]:
        attempted.extend(job.attempts for job in jobs)
        return [Delivered()] * len(jobs)

    worker = Worker(
        queue,
        bench.failed,
        attempt,
        batch=50,
        retries=RetryPolicy(tries=3, backoff=(1,)),
        hooks=WorkerHooks(clock=bench.store.clock),
    )
    worker._pace = Pace(50, RETRY_AFTER, now)
    reserve, pauses = queue.reserve, [float(RETRY_AFTER)]

    def reserve_slowly(limit: int) -> Sequence[Job]:
        jobs = reserve(limit)
        if jobs and pauses:
            now.now += pauses.pop()  # as after SIGSTOP and SIGCONT
        return jobs

    queue.reserve = reserve_slowly  # type: ignore[method-assign]
    worker.start()
    eventually(lambda: not bench.store.payloads())
    assert worker.stop(60)
    assert attempted == [1]
    assert (worker.counts["given_back"], worker.counts["delivered"]) == (1, 1)
    assert pushed not in bench.failures()


def test_jobs_of_the_app_that_are_no_broadcasts_stay(bench: Bench) -> None:
    payload = foreign()
    bench.store.push(payload)
    bench.push()
    worker = bench.start(always(Delivered()))
    eventually(lambda: worker.counts["delivered"] == 1)
    eventually(lambda: bench.store.payloads() == [payload])


def test_the_worker_goes_on_when_its_store_was_away(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with bench.store.engine.begin() as connection:
        connection.execute(sa.text("alter table jobs rename to hidden"))
    worker = bench.start(always(Delivered()))
    eventually(lambda: worker.counts["store_faults"] >= 3)
    assert not worker.store_answers.is_set()
    with bench.store.engine.begin() as connection:
        connection.execute(sa.text("alter table hidden rename to jobs"))
    uuid = bench.push()
    eventually(lambda: bench.attempted == [uuid], limit=60)
    assert worker.store_answers.is_set()
    actions = [record.__dict__.get("action") for record in caplog.records]
    assert (actions.count("store_lost"), actions.count("store_back")) == (1, 1)


def test_no_payload_is_logged(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="bridge")
    secret = broadcast()
    secret = json.dumps({**json.loads(secret), "note": "hunter2"}).encode()
    bench.store.push(secret)

    def attempt(jobs: Sequence[Job], is_enough: Callable[[], bool]) -> Sequence[Result]:
        raise ValueError(jobs[0].payload)

    bench.start(attempt)
    eventually(lambda: bench.failures())
    eventually(lambda: any("job failed" in record.message for record in caplog.records))
    assert not [record for record in caplog.records if "hunter2" in str(record.__dict__)]


def test_a_paused_worker_takes_no_job_until_the_pause_ends(bench: Bench) -> None:
    bench.push()
    asked, paused = threading.Event(), {"default"}

    def pauses() -> set[str]:
        if len(paused) == 1:
            asked.set()
        return set(paused)

    worker = bench.start(always(Delivered()), paused=pauses)
    assert asked.wait(60)
    asked.clear()
    assert asked.wait(60)  # a whole round without a job
    assert worker.counts["reserved"] == 0
    paused.clear()
    eventually(lambda: worker.counts["delivered"] == 1)


@pytest.mark.parametrize(
    ("result", "unlocked"),
    [
        (Delivered(), True),
        (NothingToSend("no channels"), True),
        (Failed(Refused("unknown")), True),
        (Delivered(keeps_lock=True), False),
        (NothingToSend("its model is gone", keeps_lock=True), False),
    ],
)
def test_a_job_that_ended_is_unlocked_before_it_is_deleted(
    bench: Bench, result: Result, unlocked: bool
) -> None:
    uuid = bench.push()
    seen: list[tuple[str, int]] = []

    def unlock(jobs: Sequence[Job]) -> None:
        seen.extend((job.uuid, len(bench.store.payloads())) for job in jobs)

    bench.start(always(result), unlock=unlock)
    eventually(lambda: not bench.store.payloads())
    assert seen == ([(uuid, 1)] if unlocked else [])


def test_a_job_that_is_tried_again_stays_locked(bench: Bench) -> None:
    bench.push()
    seen: list[Job] = []
    worker = bench.start(always(Retry(ServiceUnavailable("down"))), tries=2, unlock=seen.extend)
    eventually(lambda: worker.counts["released"] == 1)
    assert not seen
    bench.store.clock.now += 10
    eventually(lambda: not bench.store.payloads())
    assert len(seen) == 1


def test_a_fault_while_unlocking_does_not_bring_the_job_back(bench: Bench) -> None:
    bench.push()

    def unlock(jobs: Sequence[Job]) -> None:
        raise RuntimeError("a fault")

    worker = bench.start(always(Delivered()), unlock=unlock)
    eventually(lambda: not bench.store.payloads())
    assert worker.counts["delivered"] == 1


def test_a_job_whose_broadcasts_went_out_is_only_deleted_when_it_comes_again(bench: Bench) -> None:
    uuid = bench.push()
    late = threading.Event()

    def attempt(jobs: Sequence[Job], is_enough: Callable[[], bool]) -> Sequence[Result]:
        bench.store.clock.now += RETRY_AFTER  # it takes so long,
        bench.store.queue().reserve(1)  # and another process that dies has it meanwhile
        late.set()
        return [Delivered()] * len(jobs)

    worker = bench.start(attempt, tries=1)
    assert late.wait(60)
    eventually(lambda: worker.counts["fenced"] == 1)
    bench.store.clock.now += RETRY_AFTER
    eventually(lambda: not bench.store.payloads())
    assert bench.attempted == [uuid]
    assert not bench.failures()
    assert (worker.counts["delivered"], worker.counts["nothing"]) == (1, 1)


def test_a_failed_job_that_is_tried_anew_goes_out(bench: Bench) -> None:
    uuid = bench.push()
    results: list[Result] = [Failed(Refused("not yet")), Delivered()]
    worker = bench.start(lambda jobs, is_enough: [results.pop(0)])
    eventually(lambda: uuid in bench.failures())
    bench.store.push(broadcast(uuid=uuid))
    eventually(lambda: worker.counts["delivered"] == 1)


def test_jobs_without_a_uuid_are_told_apart(bench: Bench) -> None:
    """Two that are equal may both be meant."""
    payload = json.loads(broadcast())
    del payload["uuid"]
    bench.store.push(json.dumps(payload).encode())
    worker = bench.start(always(Delivered()))
    eventually(lambda: worker.counts["delivered"] == 1)
    assert worker.stop(60)
    bench.store.push(json.dumps(payload).encode())
    assert bench.store.queue().reserve(1)  # by somebody who dies
    bench.store.clock.now += RETRY_AFTER
    paused = {"default"}
    again = bench.start(always(Delivered()), paused=lambda: set(paused))
    again._marks = worker._marks
    paused.clear()
    eventually(lambda: again.counts["delivered"] == 1)


def test_what_is_not_begun_in_time_goes_back_untried(bench: Bench) -> None:
    pushed = [bench.push() for _ in range(5)]

    def attempt(jobs: Sequence[Job], is_enough: Callable[[], bool]) -> Sequence[Result]:
        return [Delivered(), *[NotBegun()] * (len(jobs) - 1)]

    worker = bench.start(attempt, tries=1)
    eventually(lambda: not bench.store.payloads())
    assert (worker.counts["delivered"], worker.counts["given_back"]) == (5, 10)
    assert set(bench.attempted) == set(pushed)
    assert not bench.failures()


def test_what_is_postponed_costs_no_try(bench: Bench) -> None:
    bench.push()
    results: list[Result] = [*[Retry(NotTried("the app is being changed"))] * 5, Delivered()]
    worker = bench.start(lambda jobs, is_enough: [results.pop(0)], tries=1)
    for number in range(1, 6):
        eventually(lambda number=number: worker.counts["released"] == number)  # type: ignore[misc]
        bench.store.clock.now += 3
    eventually(lambda: worker.counts["delivered"] == 1)
    assert not bench.failures()


def test_where_memory_does_not_suffice_fewer_are_taken(bench: Bench) -> None:
    for _ in range(8):
        bench.push()
    sizes: list[int] = []

    def attempt(jobs: Sequence[Job], is_enough: Callable[[], bool]) -> Sequence[Result]:
        sizes.append(len(jobs))
        return [NotBegun(lacks_memory=True) if len(jobs) > 2 else Delivered()] * len(jobs)

    worker = bench.start(attempt)
    eventually(lambda: worker.counts["delivered"] == 8)
    assert sizes[:3] == [8, 4, 2]
    assert not bench.failures()


@pytest.mark.parametrize(
    "damage", [lambda text: text[:-20], lambda text: text + b"}", lambda text: b'{"a":' * 100_000 + text]
)
def test_a_broadcast_whose_json_is_damaged_goes_to_failed_jobs(
    bench: Bench, damage: Callable[[bytes], bytes]
) -> None:
    damaged = damage(broadcast())
    bench.store.push(damaged)
    good = bench.push()
    worker = bench.start(always(Delivered()))
    eventually(lambda: not bench.store.payloads())
    assert bench.attempted == [good]
    (exception,) = bench.failures().values()
    assert "is no JSON that PHP can read" in exception
    assert worker.counts["failed"] == 1


def test_a_number_too_long_for_python_is_read_as_php_does(bench: Bench) -> None:
    text = broadcast()
    bench.store.push(b'{"note":' + b"9" * 6000 + b"," + text[1:])
    bench.start(always(Delivered()))
    eventually(lambda: not bench.store.payloads())
    assert bench.attempted == [uuid_of(text)]
    assert not bench.failures()
