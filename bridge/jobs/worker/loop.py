"""The loop of one thread: reserve, attempt, settle.

What an attempt comes to is a `Result`, and each has one end (`Worker._settle`):

    Delivered            deleted; so is NothingToSend
    Failed               kept in `failed_jobs`, then deleted
    Retry                released with its backoff; Failed once its tries are used up, unless it used none
    NotBegun             given back, as it was before its reservation
    TakesLong            set aside until its answer is there, then attempted again (`set_aside.py`)

A crash leaves the job reserved; it comes again after `retry_after`, whatever its `tries` say, since nobody
knows whether the broadcast happened. It comes alone then (`portion.py`). A job that was at work at three
crashes (`at_work.py`) is what crashes us, and is failed before it is attempted again. A job whose broadcasts
have gone out and that comes again all the same is only deleted (`marks.py`).
"""

from __future__ import annotations

import collections
import logging
import threading
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from typing import Any, assert_never

from bridge.errors import BridgeError, NotTried, Refused, Unreadable
from bridge.jobs.queue.failed_jobs import FailedJobs
from bridge.jobs.queue.marks import Marks
from bridge.jobs.queue.portion import Pace
from bridge.jobs.queue.queue import Job, Queue
from bridge.jobs.worker.at_work import AtWork
from bridge.jobs.worker.failed_job_entry import KEPT_BACK, failed_job, no_job
from bridge.jobs.worker.progress import ProgressListener, ignore_progress, step, steps
from bridge.jobs.worker.quota import Quota
from bridge.jobs.worker.retry_policy import RetryPolicy, retry_until
from bridge.jobs.worker.set_aside import Channels, SetAside, SlowJob
from bridge.jobs.worker.store_retry import FIRST_PAUSE, LONGEST_PAUSE, StopDeadlinePassed, StoreRetry

IDLE = 1.0  # seconds of one wait
CRASHES = 3  # of ours with the job at work, at which it fails
FORGIVEN = 10  # reservations beyond its tries that came to no end, where none such is known
RENEWED = 0.2  # of retry_after, after which the reservations of jobs that are set aside begin anew
LAST_SECONDS = 2.0  # of a stop: for what is left when an attempt was cut short

# What `Worker.counts` counts since the start, in jobs; the last in faults.
COUNTED = ("reserved", "delivered", "nothing", "failed", "released", "given_back", "fenced", "store_faults")

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Delivered:
    """The job's broadcasts have been published; `keeps_lock`: its unique lock is not ours to release."""

    keeps_lock: bool = False


@dataclass(frozen=True, slots=True)
class NothingToSend:
    """The job ended well without a broadcast; `why` in one sentence, `keeps_lock` as above."""

    why: str = ""
    keeps_lock: bool = False


@dataclass(frozen=True, slots=True)
class Failed:
    """The job cannot be broadcast, now or later; `keeps_lock` as above."""

    error: Exception
    keeps_lock: bool = False


@dataclass(frozen=True, slots=True)
class Retry:
    """Something the job needs is down: try it later.

    delay  the app's own Laravel tries it again, in so many seconds; None: the worker's own rules say when,
           and whether. An error that is NotTried costs no attempt
    """

    error: Exception
    delay: float | None = None


@dataclass(frozen=True, slots=True)
class NotBegun:
    """Nothing was done for the job.

    lacks_memory  it was too much beside the others
    is_behind     it must not overtake one that is set aside
    """

    lacks_memory: bool = False
    is_behind: bool = False


@dataclass(frozen=True, slots=True)
class TakesLong:
    """The job goes on in a thread of its own; attempted again once `answer` is done, it comes to its end.

    `channels` of its event, None where they are not known."""

    answer: Future[Any]
    channels: Channels


Result = Delivered | NothingToSend | Failed | Retry | NotBegun | TakesLong
# Gets jobs in order of service; the second is to be asked before each but the first: whether no more is to
# be begun.
Attempt = Callable[[Sequence[Job], Callable[[], bool]], Sequence[Result]]


class MaxAttemptsExceeded(BridgeError):
    """A job was reserved more often than allowed."""


@dataclass(frozen=True, kw_only=True)
class WorkerHooks:
    """What a worker calls while it works, in its thread.

    clock   unix seconds
    paused  the queues from which nothing shall be taken now; asked before every reservation
    unlock  gets jobs that have ended, before they are deleted: what is locked for them may be released
    on_step  is called with every step of every job but `resolved`; must be quick and not raise
    beside  called when the queue has changed and nothing in it was for us: for the lane of other jobs
    hurry   called in another thread when a stop's time is nearly up: ends what an attempt waits for
    """

    clock: Callable[[], float] = time.time
    paused: Callable[[], Collection[str]] = frozenset
    unlock: Callable[[Sequence[Job]], None] = lambda jobs: None
    on_step: ProgressListener = ignore_progress
    beside: Callable[[], object] = lambda: None
    hurry: Callable[[], object] = lambda: None


@dataclass(frozen=True)
class WorkerState:
    """What a worker shares with its attempts, and with other threads.

    quota    when to stop by itself
    aside    the jobs that take long; attempts look there which may go
    at_work  where it stands which job is at work; attempts write there, too
    """

    quota: Quota = field(default_factory=Quota)
    aside: SetAside = field(default_factory=SetAside)
    at_work: AtWork = field(default_factory=AtWork)


class Worker:
    """Works through a queue in a thread of its own.

    attempt  gets jobs in order of service and returns one Result for each, in this order. It should not
             raise: if it does, its jobs are attempted again one by one, and what raises alone is failed
    batch    jobs to reserve at once, at most
    retries  for jobs whose attempt raises
    """

    def __init__(
        self,
        queue: Queue,
        failed: FailedJobs,
        attempt: Attempt,
        *,
        batch: int,
        retries: RetryPolicy,
        hooks: WorkerHooks = WorkerHooks(),
        state: WorkerState | None = None,
    ) -> None:
        state = state or WorkerState()
        self._queue = queue
        self._failed = failed
        self._attempt = attempt
        self._pace = Pace(batch, queue.retry_after)
        self._marks = Marks(queue.retry_after)
        self._retries = retries
        self._clock = hooks.clock
        self._paused = hooks.paused
        self._unlock = hooks.unlock
        self._on_step = hooks.on_step
        self._beside = hooks.beside
        self._hurry = hooks.hurry
        self._quota = state.quota
        self._at_work = state.at_work
        self._aside = state.aside
        self._renewed_at = 0.0  # monotonic; when these reservations last began
        self._thread = threading.Thread(target=self._run, name=f"queue-{queue.connection_name}", daemon=True)
        self.counts: collections.Counter[str] = collections.Counter(dict.fromkeys(COUNTED, 0))
        self._retrying = StoreRetry(fault=lambda: self.counts.update(store_faults=1))
        self._stopping = self._retrying.stopping
        self.store_answers = self._retrying.store_answers  # set while the queue's store does

    def start(self) -> None:
        self._thread.start()

    def stop_begins(self) -> None:
        """Whoever stops us may kill us from now on: that is no crash of the job at work. Any thread may call
        it."""
        self._at_work.stop_begins()

    def stop(self, timeout: float) -> bool:
        """No job is reserved any more, those at hand are finished, those not begun are given back.

        Returns whether the thread ended within `timeout` seconds; what it still holds then comes again
        after `retry_after`. The queue and failed jobs may be closed when it did."""
        self.stop_begins()
        self._retrying.stop(timeout)
        self._queue.wake()
        if self._thread.ident is not None:
            last = min(LAST_SECONDS, timeout / 2)
            self._thread.join(timeout - last)
            if self._thread.is_alive():
                self._hurry()
                self._thread.join(last)
        return not self._thread.is_alive()

    @property
    def answers(self) -> bool:
        """Whether the queue's store answers, as far as is known now."""
        return self._retrying.answers

    @property
    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._go_on()
        finally:
            self._at_work.close()

    def _go_on(self) -> None:
        while not self._stopping.is_set() or self._aside:
            try:
                self._tend_aside()
                if self._stopping.is_set():
                    self._aside.wait(IDLE)
                    continue
                self._queue.pause(self._paused())
                jobs = () if self._aside.is_full else self._reserved()
                if jobs:
                    self.counts["reserved"] += len(jobs)
                    self._on_step(*steps(jobs, "reserved"))
                    self._work(jobs)
                else:
                    self._beside()
                    self._retrying(lambda: self._queue.wait(IDLE))
            except StopDeadlinePassed:
                log.warning("stopped while the queue did not answer", extra={"action": "stopped_late"})
                return
            except MemoryError:
                log.warning("the memory does not suffice: fewer jobs are taken", extra={"action": "memory"})
                if self._stopping.wait(FIRST_PAUSE):
                    return
            except Exception:
                log.exception("the worker met a fault of its own", extra={"action": "worker_fault"})
                if self._stopping.wait(LONGEST_PAUSE):
                    return

    def _reserved(self) -> Sequence[Job]:
        """The next jobs, if there are any."""
        turn = self._quota.turn(self._pace.jobs)
        self._pace.begin()
        jobs: Sequence[Job] = ()
        try:
            if turn.jobs:
                jobs = self._retrying(partial(self._queue.reserve, turn.jobs))
        except MemoryError:
            self._pace.halve(turn.jobs)
            raise
        finally:
            self._quota.took(turn, len(jobs))
        return jobs

    def _work(self, jobs: Sequence[Job], *, are_begun: bool = False) -> None:
        """Brings every job to its end, gives it back untried, or sets it aside. `are_begun`: they were."""
        untried = slow = 0
        try:
            self._at_work.reserved(jobs)
            if not are_begun and (self._stopping.is_set() or self._pace.has_ended):
                self._give_back(jobs)
                untried = len(jobs)
            else:
                known = [(job, None if are_begun else self._known(job)) for job in jobs]
                if ended := [(job, result) for job, result in known if result is not None]:
                    self._settle(ended)
                if begun := [job for job, result in known if result is None]:
                    untried, slow = self._attempt_all(begun)
        finally:
            self._quota.finished(len(jobs) - untried - slow, given_back=untried)

    def _attempt_all(self, jobs: Sequence[Job]) -> tuple[int, int]:
        """How many have gone back untried, and how many are set aside; the others have ended."""
        started = time.monotonic()
        results = list(zip(jobs, self._attempted(jobs), strict=True))
        untried = [(job, result) for job, result in results if isinstance(result, NotBegun)]
        slow = [
            SlowJob(job, result.answer, result.channels)
            for job, result in results
            if isinstance(result, TakesLong)
        ]
        if any(result.lacks_memory for _, result in untried):
            log.warning(
                "jobs are too large to be taken together", extra={"action": "memory", "jobs": len(jobs)}
            )
            self._pace.halve(len(jobs))
        elif not slow:
            self._pace.took(len(jobs) - len(untried), time.monotonic() - started)
        self._settle(
            [(job, result) for job, result in results if not isinstance(result, NotBegun | TakesLong)]
        )
        for one in slow:
            self._set_aside(one)
        if untried:
            self._give_back([job for job, _ in untried])
        if behind := [job for job, result in untried if result.is_behind]:
            self._aside.waiting += len(behind)
            self._queue.skip(behind)
        return len(untried), len(slow)

    def _set_aside(self, slow: SlowJob) -> None:
        about = {**_about(slow.job, "job_set_aside"), "channels": "known" if slow.channels else "unknown"}
        log.warning("an event takes long: others go on, but for those that must not overtake it", extra=about)
        self._aside.add(slow)
        self._renewed_at = 0.0
        slow.answer.add_done_callback(lambda _: self._queue.wake())

    def _tend_aside(self) -> None:
        """Ends the jobs that were set aside and have an answer; keeps the reservations of the others."""
        if not self._aside:
            return
        if time.monotonic() - self._renewed_at > RENEWED * self._queue.retry_after > 0:
            renewed = self._retrying(lambda: self._queue.renew(self._aside.jobs))
            self._renewed_at = time.monotonic()
            self._aside.keep(renewed)
            if lost := renewed.count(None):
                self._quota.finished(lost)
                self._count_fenced(lost)
        for job in self._aside.finished():
            self._pace.begin()
            self._work([job], are_begun=True)
        if not self._aside.waiting:
            self._queue.clear_skipped()

    def _give_back(self, jobs: Sequence[Job]) -> None:
        self._retrying(lambda: self._queue.give_back(jobs))
        self.counts["given_back"] += len(jobs)
        self._on_step(*steps(jobs, "given_back"))

    def _is_enough(self) -> bool:
        return self._stopping.is_set() or self._pace.is_over

    def _known(self, job: Job) -> Result | None:
        """What the job comes to without an attempt, if that is known."""
        if job.attempts > 1 and _has_name(job) and self._was_sent(job):
            log.info("a job came again whose broadcasts had gone out", extra=_about(job, "job_repeated"))
            return NothingToSend("its broadcasts went out at an earlier reservation", keeps_lock=True)
        if job.unread is not None:
            size = f"{job.unread.size >> 20} MiB"
            return Failed(Unreadable(f"its payload of {size} is too large for the memory"), keeps_lock=True)
        if not job.document:
            return Failed(no_job())
        error = self._exceeded(job)
        return None if error is None else Failed(error)

    def _was_sent(self, job: Job) -> bool:
        return job.uuid in self._marks or self._retrying(lambda: self._queue.was_sent(job))

    def _attempted(self, jobs: Sequence[Job]) -> Sequence[Result]:
        try:
            results = self._attempt(jobs, self._is_enough)
            if len(results) == len(jobs):
                return results
            error: Exception = RuntimeError(f"{len(results)} results for {len(jobs)} jobs")
        except Exception as raised:
            error = raised
        if len(jobs) > 1:
            log.exception(
                "a batch failed: its jobs are attempted one by one",
                exc_info=error,
                extra={"action": "batch_failed", "jobs": len(jobs)},
            )
            return [result for job in jobs for result in self._attempted([job])]
        return [Failed(error)]

    def _settle(self, results: Sequence[tuple[Job, Result]]) -> None:
        done: list[Job] = []
        sent: list[Job] = []
        unlocked: list[Job] = []
        is_debugged = log.isEnabledFor(logging.DEBUG)
        for job, result in results:
            match result:
                case Delivered(keeps_lock):
                    if is_debugged:
                        log.debug("job delivered", extra=_about(job, "job_delivered"))
                    done.append(job)
                    sent.append(job)
                    unlocked += [] if keeps_lock else [job]
                case Retry(error, float() | int() as delay):
                    self._release(job, delay, error)
                case Retry(NotTried() as error):
                    self._release(job, max(error.pause, self._retries.delay(job)), error, tried=False)
                case Retry(error) if not self._retries.is_last(job, self._clock()):
                    self._release(job, self._retries.delay(job), error)
                case Failed(error) | Retry(error):
                    keeps_lock = isinstance(result, Failed) and result.keeps_lock
                    if self._bury(job, error):
                        done.append(job)
                        unlocked += [] if keeps_lock else [job]
                case NothingToSend(why, keeps_lock):
                    self.counts["nothing"] += 1
                    if is_debugged:
                        log.debug("nothing to broadcast", extra={**_about(job, "job_nothing"), "why": why})
                    self._on_step(step(job, "nothing", why=why))
                    done.append(job)
                    unlocked += [] if keeps_lock else [job]
                case NotBegun() | TakesLong():
                    raise AssertionError("it has not come to an end")
                case _:
                    assert_never(result)
        if sent:
            self.counts["delivered"] += len(sent)
            self._on_step(*steps(sent, "delivered"))
        sent = [job for job in sent if _has_name(job)]
        self._marks.add(job.uuid for job in sent)
        if again := [job for job in sent if job.attempts > 1]:
            self._retrying(lambda: self._queue.mark_sent(again))
        try:
            self._unlock(unlocked)
        except Exception:
            log.exception("locks could not be released", extra={"action": "unlock_failed"})
        if done:
            deleted = self._retrying(lambda: self._queue.delete(done))
            if deleted < len(done):
                self._count_fenced(len(done) - deleted)
                if sent:
                    self._retrying(lambda: self._queue.mark_sent(sent))

    def _count_fenced(self, jobs: int) -> None:
        self.counts["fenced"] += jobs
        log.warning(
            "jobs took longer than retry_after: somebody else may have them too",
            extra={"action": "job_fenced", "jobs": jobs},
        )

    def _bury(self, job: Job, error: Exception) -> bool:
        """Whether the job is in failed_jobs, or nobody wants it kept; if not, it is released, or left in the
        queue where it can never be kept."""
        try:
            self._failed.record(failed_job(self._queue, job, error, self._clock()))
        except Exception as refusal:
            if job.unread is not None and isinstance(refusal, Refused):
                self._retrying(lambda: self._queue.leave(job))
                self.counts["given_back"] += 1
                log.error("a job stays in the queue", extra={**_about(job, "job_left"), "why": str(refusal)})
                self._on_step(step(job, "given_back"))
                return False
            about = {**_about(job, "bury_failed"), "why": _why(refusal)}
            # a driver that cannot be written, or a store that is away, is no fault of the code
            known = isinstance(refusal, BridgeError)
            log.error("failed_jobs cannot be written", extra=about, exc_info=not known)
            self._release(job, KEPT_BACK, refusal)
            return False
        self.counts["failed"] += 1
        self._at_work.forget(job)
        log.error("job failed", extra={**_about(job, "job_failed"), "why": _why(error)})
        self._on_step(step(job, "failed", why=_why(error), error=error))
        return True

    def _release(self, job: Job, delay: float, error: Exception, *, tried: bool = True) -> None:
        self._retrying(lambda: self._queue.release(job, delay, tried=tried))
        self.counts["released"] += 1
        about = {**_about(job, "job_released"), "why": _why(error), "delay_s": delay}
        log.warning("job is tried later", extra=about)
        self._on_step(step(job, "released", why=_why(error), error=error, seconds=delay))

    def _exceeded(self, job: Job) -> MaxAttemptsExceeded | None:
        """The reason why this job must not be attempted, if there is one."""
        crashes = self._at_work.crashes(job)
        if (crashes or 0) >= CRASHES:  # whatever its tries and its retryUntil allow
            return MaxAttemptsExceeded(
                f"{job.display_name} was at work {crashes} times when its worker ended: it may crash it"
            )
        until = retry_until(job)
        if until is not None:
            if self._clock() > until:
                return MaxAttemptsExceeded(
                    f"{job.display_name} was not done by the time its retryUntil allows"
                )
            return None
        limit = self._retries.limit(job)
        most = max(limit, CRASHES) + (0 if crashes is None else FORGIVEN)
        if limit and job.attempts > most:
            return MaxAttemptsExceeded(
                f"{job.display_name} was taken {job.attempts - 1} times and never came to an end:"
                " it may crash its worker, or take longer than retry_after"
            )
        return None


def _has_name(job: Job) -> bool:
    """Whether no other job is called like this one; two without a uuid may be equal."""
    return "uuid" in job.document


def _why(error: Exception) -> str:
    """For the log: of errors that are not ours only the class, they may quote data."""
    return str(error) if isinstance(error, BridgeError) else type(error).__name__


def _about(job: Job, action: str) -> dict[str, object]:
    return {"action": action, "uuid": job.uuid, "event_class": job.display_name, "queue": job.queue}
