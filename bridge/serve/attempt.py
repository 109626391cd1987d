"""One attempt of the broadcasts' worker at a batch of jobs: resolved in order, published together."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from bridge.broadcast import Broadcast
from bridge.errors import BridgeError, NotTried, Refused, ServiceUnavailable, WouldFail
from bridge.jobs.queue.queue import Job
from bridge.jobs.resolve.resolution import Answer, Resolution
from bridge.jobs.resolve.rungs.php import HelperRung, Try
from bridge.jobs.worker.loop import Delivered, Failed, NotBegun, Nothing, Result, Retry
from bridge.jobs.worker.progress import Tell, say_nothing, step
from bridge.laravel.payload import BroadcastEvent
from bridge.serve.wiring import Destination, addressed

log = logging.getLogger(__name__)

ResolveAll = Callable[[Sequence[Mapping[str, object]]], Iterable[Callable[[], Resolution]]]


class Attempt:
    """`jobs.worker.loop.Attempt`: resolves a batch of jobs and publishes all their broadcasts at once.

    `resolve` gives for each document a call that resolves it, made before the next one is taken. What is
    ready goes out earlier where the next job may take long (`flush`); `after` is called once all of a batch
    is out. It never raises: what one job meets is that job's result, so that no other is attempted, or
    published, a second time. For one thread.
    """

    def __init__(
        self,
        resolve: ResolveAll,
        destinations: Mapping[str, Destination],
        publish: Callable[[Sequence[Broadcast]], object],
        tell: Tell = say_nothing,
        after: Callable[[], object] = lambda: None,
    ) -> None:
        self._resolve = resolve
        self._after = after
        self._tell = tell
        self._destinations = destinations
        self._publish = publish
        self._results: list[Result] = []
        self._ready: list[Broadcast] = []
        self._published = 0  # results up to here are final
        self.job: Job | None = None  # that is being resolved

    def __call__(
        self, jobs: Sequence[Job], is_enough: Callable[[], bool] = lambda: False
    ) -> Sequence[Result]:
        self._results, self._ready, self._published = [], [], 0
        try:
            for job, resolve in zip(jobs, self._resolve([job.document for job in jobs]), strict=True):
                if self._results and is_enough():
                    self._results.append(NotBegun())
                    continue
                self.job = job
                result, broadcasts = self._one(job, resolve)
                self._results.append(result)
                self._ready += broadcasts
        except Exception as fault:
            log.exception("a batch met a fault of bridge's own", extra={"action": "batch_fault"})
            self._results += [_after(fault) for _ in jobs[len(self._results) :]]
        self.job = None
        self.flush()
        self._after()
        if len(jobs) > 1:  # one that alone is too much for the memory fails
            self._results = [_NO_ROOM if _lacks_memory(result) else result for result in self._results]
        return self._results

    def flush(self) -> None:
        """The broadcasts of the jobs resolved so far are out, or their jobs are to be tried again."""
        if self._ready:
            try:
                self._publish(self._ready)
            except Exception as problem:
                if not isinstance(problem, ServiceUnavailable):
                    log.exception("broadcasts cannot be published", extra={"action": "publish_fault"})
                for at, result in enumerate(self._results[self._published :], self._published):
                    if isinstance(result, Delivered):
                        self._results[at] = Retry(problem)
        self._ready, self._published = [], len(self._results)

    def _one(self, job: Job, resolve: Callable[[], Resolution]) -> tuple[Result, Sequence[Broadcast]]:
        started = time.perf_counter()
        try:
            resolution = resolve()
            took = time.perf_counter() - started
            self._tell(step(job, "resolved", event=resolution.event, rung=resolution.by or "", seconds=took))
            if resolution.outcome == "broadcast":
                broadcasts = [addressed(call, self._destinations, job.uuid) for call in resolution.broadcasts]
                return Delivered(resolution.keeps_lock), broadcasts
        except Exception as problem:
            if not isinstance(problem, BridgeError | OSError):
                about = {"action": "attempt_fault", "uuid": job.uuid, "event_class": job.display_name}
                log.exception("a job met a fault of bridge's own", extra=about)
            return _after(problem), ()
        match resolution.outcome:
            case "nothing":
                return Nothing(resolution.why, resolution.keeps_lock), ()
            case "failed" if resolution.retry_in is not None:
                return Retry(WouldFail(resolution.why), resolution.retry_in), ()
            case "failed":
                return Failed(WouldFail(resolution.why), resolution.keeps_lock), ()
        return Failed(Refused(resolution.why)), ()


_NO_ROOM = NotBegun(lacks_memory=True)


def _lacks_memory(result: Result) -> bool:
    return isinstance(result, Failed | Retry) and isinstance(result.error, MemoryError)


def _after(problem: Exception) -> Result:
    """What a job comes to that was not resolved: what passes by itself is no verdict."""
    match problem:
        case OSError():
            return Retry(NotTried.because_of(problem))
        case ServiceUnavailable():
            return Retry(problem)
    return Failed(problem)


class Unhurried:
    """The PHP rung of an attempt: before it everything that is ready goes out, since PHP may take its time.

    tries, backoff  of jobs that say none themselves, as `queue:work` takes them
    """

    name = "php"

    def __init__(self, php: HelperRung, attempt: Callable[[], Attempt], *, tries: int, backoff: str) -> None:
        self._php = php
        self._attempt = attempt
        self._tries = tries
        self._backoff = backoff

    def resolve(self, event: BroadcastEvent) -> Answer:
        attempt = self._attempt()
        attempt.flush()
        job = attempt.job
        if job is None:
            return self._php.resolve(event)
        told = Try(number=job.attempts, queue=job.queue, tries=self._tries, backoff=self._backoff)
        return self._php.resolve(event, told)
