"""One lane of jobs that are no broadcasts: a thread, a queue driver, and a PHP process with Laravel's worker.

A job is reserved (`prefetch.py`) and handed to the process (`worker.php`). What becomes of it is decided by
Laravel, and reports it at once: deleted, or released. What the process does not survive
counts as an attempt: the job is released, and at its next reservation Laravel itself sees whether that was
one too many. What is no job at all goes to `failed_jobs` from here: Laravel would drop it without a word.
"""

from __future__ import annotations

import collections
import logging
import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bridge.errors import BridgeError, Refused, ServiceUnavailable
from bridge.jobs.other.prefetch import Prefetcher, about
from bridge.jobs.php_process.app_processes import AppProcesses
from bridge.jobs.php_process.process import OUTPUT_KEPT, Frame, PhpProcess, ProcessDied, ProcessTimedOut
from bridge.jobs.queue.failed_jobs import FailedJobs
from bridge.jobs.queue.queue import Job, Queue
from bridge.jobs.queue.selection import whole_number
from bridge.jobs.worker.failed_job_entry import KEPT_BACK, failed_job, no_job
from bridge.jobs.worker.progress import OtherJobRun, RunListener, ignore_progress
from bridge.jobs.worker.quota import Grant, Quota
from bridge.jobs.worker.retry_policy import RetryPolicy
from bridge.jobs.worker.store_retry import LONGEST_PAUSE, StopDeadlinePassed, StoreRetry

WORKER = Path(__file__).with_name("worker.php")
IDLE = 1.0  # seconds of one wait
LOOP = 3.0  # seconds between two rounds of an idle worker, which its listeners count on
KILL_AFTER = 1.0  # seconds past its timeout until a job is killed that Laravel's alarm does not end
LATE_JOB_LIMIT = 30.0  # seconds that Laravel has to end a late job, once the alarm has come through
NEXT_JOB_LIMIT = 60.0  # seconds until a worker asks for its next job: listeners of the app may hold it up
STOP_RESERVE = 2.0  # of a stop: for what is left when PHP was killed

# What `PhpWorkerLane.counts` counts since the start, in jobs; the last in faults.
COUNTED = ("reserved", "done", "failed", "released", "given_back", "died", "fenced", "store_faults")

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class LaneOptions:
    """
    name     of the thread
    timeout  seconds, for jobs that name none; 0: none
    paused   the queues from which nothing shall be taken now, None where that is not known yet; asked before
             every reservation
    on_run   is called with every attempt, in the lane's thread
    """

    name: str = "jobs"
    timeout: int = 60
    paused: Callable[[], Collection[str] | None] = frozenset
    on_run: RunListener = ignore_progress


class PhpWorkerLane:
    """Works through the other jobs of a queue.

    processes  has one process
    failed    for what is no job; Laravel itself keeps the others
    retries   for a job that ended its process
    quota     when to stop by itself
    """

    def __init__(
        self,
        queue: Queue,
        processes: AppProcesses,
        failed: FailedJobs,
        *,
        retries: RetryPolicy,
        quota: Quota | None = None,
        options: LaneOptions = LaneOptions(),
    ) -> None:
        self._queue = queue
        self._processes = processes
        self._failed = failed
        self._retries = retries
        self._timeout = options.timeout
        self._paused = options.paused
        self._quota = quota or Quota()
        self._on_run = options.on_run
        self._looped_at = 0.0
        self._thread = threading.Thread(target=self._run, name=options.name, daemon=True)
        self.counts: collections.Counter[str] = collections.Counter(dict.fromkeys(COUNTED, 0))
        self._retrying = StoreRetry(fault=lambda: self.counts.update(store_faults=1))
        self._stopping = self._retrying.stopping
        self._prefetcher = Prefetcher(queue, self._retrying, self._turn, self._quota, self.counts)

    @property
    def down(self) -> str | None:
        """Why no job is run at present; None if all is well."""
        return self._processes.down

    @property
    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        """Looks for a job now, for there may be one. Any thread may call it."""
        self._queue.wake()

    def recycle(self) -> None:
        """Has the process replaced before the next job."""
        self._processes.recycle()

    def stop(self, timeout: float) -> bool:
        """No job is begun any more, and the one at work is finished, or killed when its time is up.

        Returns whether the thread ended within `timeout` seconds. The queue may be closed when it did."""
        self._retrying.stop(timeout)
        self._queue.wake()
        if self._thread.ident is not None:
            self._thread.join(max(timeout - STOP_RESERVE, 0))
        self._processes.close()
        if self._thread.ident is not None:
            self._thread.join(min(timeout, STOP_RESERVE))
        return not self.is_alive

    def close(self) -> None:
        """Ends the process, and closes the connections if the thread has ended."""
        self._processes.close()
        if not self.is_alive:
            self._queue.close()
            self._failed.close()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                job = self._prefetcher.next()
                if job is None:
                    self._rest()
                else:
                    self._work(job)
            except StopDeadlinePassed:
                log.warning("stopped while the queue did not answer", extra={"action": "stopped_late"})
            except MemoryError:
                log.warning("the memory does not suffice for a job", extra={"action": "memory"})
                self._stopping.wait(LONGEST_PAUSE)
            except Exception:
                log.exception("a lane of jobs met a fault of its own", extra={"action": "lane_fault"})
                self._stopping.wait(LONGEST_PAUSE)
        try:
            self._prefetcher.give_back_all()
        except StopDeadlinePassed:
            log.warning("a job stays reserved until retry_after", extra={"action": "stopped_late"})

    def _turn(self, jobs: int) -> Grant | None:
        """Leave to reserve up to so many jobs, if they are to be had and PHP to run them."""
        if self._stopping.is_set() or self._processes.down is not None:
            return None
        paused = self._paused()
        if paused is None:
            return None
        self._queue.pause(paused)
        return self._quota.turn(jobs)

    def _rest(self) -> None:
        if self._processes.down is not None:
            self._stopping.wait(IDLE)
        now = time.monotonic()
        if self._processes.is_awake and now - self._looped_at >= LOOP:
            self._looped_at = now
            try:
                with self._processes.lease() as process:
                    self._ask(process, {"idle": True})
            except (ProcessDied, Refused, ServiceUnavailable) as loss:
                log.info("an idle PHP worker was lost", extra={"action": "worker_lost", "why": str(loss)})
        self._retrying(lambda: self._queue.wait(IDLE))

    def _work(self, job: Job) -> None:
        """Attempts the job, or gives it back untried."""
        tried = 0
        try:
            tried = self._attempted(job)
        except (Refused, ServiceUnavailable) as problem:
            log.error("PHP cannot run a job", extra={**about(job, "job_given_back"), "why": str(problem)})
            self._prefetcher.give_back([job])
        except WorkerNotReady as problem:
            log.warning("a PHP worker takes no job", extra={"action": "worker_held", "why": str(problem)})
            self._prefetcher.give_back([job])
            self._stopping.wait(LONGEST_PAUSE)
        finally:
            self._looped_at = 0.0
            self._quota.finished(tried, given_back=1 - tried)

    def _attempted(self, job: Job) -> int:
        """1: the job has had its attempt. Raises Refused, ServiceUnavailable, WorkerNotReady."""
        attempt = _Attempt(job)
        if not job.document:
            self._bury(attempt)
            return 1
        try:
            self._hand_over(attempt)
        except ProcessDied as death:
            self._after(death, attempt)
        return 1

    def _bury(self, attempt: _Attempt) -> None:
        """Records what is no job in `failed_jobs`, or releases it."""
        job, problem = attempt.job, no_job()
        attempt.begun = time.monotonic()
        try:
            self._failed.record(failed_job(self._queue, job, problem, time.time()))
        except Exception as refusal:
            known = isinstance(refusal, BridgeError)
            why = {"why": str(refusal) if known else type(refusal).__name__}
            log.error(
                "failed_jobs cannot be written",
                extra={**about(job, "bury_failed"), **why},
                exc_info=not known,
            )
            attempt.delay = KEPT_BACK
            self._release(job, KEPT_BACK)
            return
        self._prefetcher.end(job)
        self.counts["failed"] += 1
        self._on_run(attempt.run("failed", why=str(problem)))
        log.error("job failed", extra={**about(job, "job_failed"), "why": str(problem)})

    def _hand_over(self, attempt: _Attempt) -> None:
        """Gives the job to a process that runs it, or ends it as late.

        Raises ProcessDied, and what `lease` raises."""
        while not attempt.is_over:
            with self._processes.lease() as process:
                self._converse(process, attempt)
            if not attempt.is_over:
                self._prefetcher.give_back_all()  # another process must boot first

    def _converse(self, process: PhpProcess, attempt: _Attempt) -> None:
        """Talks with the process until the job is over, or the process wants to be replaced first.

        Raises ProcessDied, ProcessTimedOut, WorkerNotReady.
        """
        if process.questions == 1:  # it has just booted
            self._await_first(process)
        job = attempt.job
        question = {
            "queue": job.queue,
            "payload": job.payload.decode(),
            **self._queue.laravel_job_fields(job),
        }
        number = _send(process, question | ({"timed_out": True} if attempt.is_late else {}))
        seconds = self._seconds(job)
        begun = attempt.begun = time.monotonic()
        deadline = begun + seconds + KILL_AFTER
        self._prefetcher.ahead()
        while True:
            frame = process.receive(min(deadline - time.monotonic(), self._prefetcher.due))
            if frame is None and self._prefetcher.tick():
                continue
            if frame is None:
                raise ProcessTimedOut(f"it ran longer than its timeout of {seconds:g} s")
            if frame.get("id") != number:
                raise ProcessDied("it answered a question that was not asked")
            match frame:
                case {"end": "deleted"}:
                    attempt.has_ended = True
                    self._prefetcher.end(job)
                    deadline += NEXT_JOB_LIMIT
                case {"end": "released", "delay": int(delay)}:
                    attempt.has_ended, attempt.delay = True, delay
                    self._release(job, delay)
                case {"late": True}:
                    attempt.alarmed = True
                    deadline = time.monotonic() + LATE_JOB_LIMIT
                case {"done": True}:
                    attempt.is_over = True
                    process.retired = bool(frame.get("last"))
                    self._prefetcher.pace(time.monotonic() - begun)
                    why = str(frame.get("why", ""))[:500] if frame.get("failed") else None
                    self._finish(attempt, process, why)
                    if process.retired:
                        self._prefetcher.give_back_all()  # another process must boot first
                    return
                case {"stale": True}:
                    process.retired = True
                    return
                case {"died": why}:
                    raise ProcessDied(str(why)[:300])
                case _:
                    raise ProcessDied("it answered with something that is no answer")

    def _await_first(self, process: PhpProcess) -> None:
        """Waits until Laravel's worker asks for a job. Raises WorkerNotReady where it does not."""
        try:
            frame = process.receive(NEXT_JOB_LIMIT)
        except ProcessDied as death:
            raise WorkerNotReady(str(death)) from death
        if frame is None or not frame.get("done"):
            raise WorkerNotReady(
                f"it asked for none within {NEXT_JOB_LIMIT:g} s: a listener of Looping may hold it back"
            )

    def _ask(self, process: PhpProcess, question: Frame) -> None:
        if process.questions == 1:
            return
        number = _send(process, question)
        frame = process.receive(NEXT_JOB_LIMIT)
        if frame is None or frame.get("id") != number or "done" not in frame:
            raise ProcessDied("it does not come round")
        process.retired = bool(frame.get("last"))

    def _finish(self, attempt: _Attempt, process: PhpProcess, why: str | None) -> None:
        """Records the end of the attempt. `why`: it has failed."""
        job, failed = attempt.job, why is not None
        self.counts["failed" if failed else "done"] += 1
        self._processes.breaker.close()
        self._on_run(attempt.run("failed" if failed else "done", why=why or ""))
        if failed:
            log.error("job failed", extra={**about(job, "job_failed"), "why": why})
        elif log.isEnabledFor(logging.DEBUG):
            log.debug("job done", extra={**about(job, "job_done"), "ended": attempt.has_ended})
        if process.printed:
            sizes = {"printed_bytes": process.printed, "kept_bytes": OUTPUT_KEPT}
            output = process.output.decode("utf-8", "replace")
            log.info("a job printed", extra={**about(job, "job_output"), "output": output, **sizes})

    def _after(self, death: ProcessDied, attempt: _Attempt) -> None:
        """Ends a job that ended its process: counts the attempt, and does what Laravel says to that."""
        job = attempt.job
        self._prefetcher.give_back_all()
        self.counts["died"] += 1
        why = "its time was up" if attempt.alarmed else str(death)
        late = attempt.alarmed or isinstance(death, ProcessTimedOut)
        said = {**about(job, "worker_died"), "why": why, "late": late}
        log.warning("a job ended its PHP worker", extra=said)
        if not late and not self._processes.closed:
            problem = ServiceUnavailable(f"PHP was lost while it ran {job.display_name}: {death}")
            self._processes.breaker.record_crash(problem)
        if attempt.has_ended:
            return
        if isinstance(death, ProcessTimedOut) and not attempt.is_late and not self._processes.closed:
            attempt.is_late = True
            try:
                return self._hand_over(attempt)
            except (ProcessDied, Refused, ServiceUnavailable, WorkerNotReady) as problem:
                log.warning("a late job cannot be ended", extra={**said, "why": str(problem)})
        attempt.delay = self._retries.delay(job)
        self._on_run(attempt.run("released", why=why))
        self._release(job, attempt.delay)

    def _release(self, job: Job, delay: int) -> None:
        self._prefetcher.release(job, delay)
        log.info("job is tried later", extra={**about(job, "job_released"), "delay_s": delay})

    def _seconds(self, job: Job) -> float:
        given = whole_number(job.document, "timeout")
        seconds = self._timeout if given is None else given
        return seconds if seconds > 0 else float("inf")


class WorkerNotReady(Exception):
    """A process that has booted asks for no job; `str()` says why."""


class _Attempt:
    """How far a job has come.

    has_ended  it was deleted or released, as Laravel wanted
    alarmed    Laravel has noticed that it is late
    is_late    it was killed for that, and is not to be run again
    is_over    nothing more comes of it
    begun      monotonic seconds
    delay      seconds until it comes again; None if it does not
    """

    __slots__ = ("alarmed", "begun", "delay", "has_ended", "is_late", "is_over", "job")

    def __init__(self, job: Job) -> None:
        self.job = job
        self.has_ended = self.alarmed = self.is_late = self.is_over = False
        self.begun = 0.0
        self.delay: float | None = None

    def run(self, ended: Literal["done", "failed", "released"], why: str = "") -> OtherJobRun:
        job = self.job
        seconds = time.monotonic() - self.begun
        due_at = job.queued_at
        waited = None if due_at is None or job.attempts > 1 else max(0.0, time.time() - seconds - due_at)
        return OtherJobRun(
            ended=ended if self.delay is None else "released",
            uuid=job.uuid,
            name=job.display_name,
            queue=job.queue,
            attempts=job.attempts,
            seconds=seconds,
            delay=self.delay,
            why=why,
            waited=waited,
        )


def _send(process: PhpProcess, question: Mapping[str, object]) -> int:
    number = process.questions
    process.send({"id": number, **question})
    return number
