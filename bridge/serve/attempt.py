"""One attempt of the broadcasts' worker at a batch of jobs: resolved in order, published together."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from bridge.broadcast import Broadcast
from bridge.errors import BridgeError, JobError, NotTried, Refused, ServiceUnavailable, WouldFail
from bridge.jobs.queue.queue import Job
from bridge.jobs.resolve.resolution import Answer, Resolution
from bridge.jobs.resolve.rungs.php import Full, PhpRung, Slow, Try
from bridge.jobs.worker.at_work import AtWork
from bridge.jobs.worker.loop import Delivered, Failed, NotBegun, NothingToSend, Result, Retry, TakesLong
from bridge.jobs.worker.progress import JobProgress, ProgressListener, ignore_progress, step
from bridge.jobs.worker.set_aside import Channels, SetAside
from bridge.laravel.payload import BroadcastEvent
from bridge.serve.destinations import Destination, addressed

CLASS_PATIENCE = 20.0  # seconds that events whose class is missing wait for it
MOST_MISSING = 1_000  # classes remembered
PHP_PATIENCE = 3.0  # seconds that the other jobs wait for an answer
FULL_PAUSE = 2.0  # seconds until PHP is asked again that was at work for long

log = logging.getLogger(__name__)

ResolveAll = Callable[[Sequence[Mapping[str, object]]], Iterable[Callable[[], Resolution]]]


@dataclass(frozen=True)
class Order:
    """Which jobs may not overtake others.

    aside     the jobs that take long
    channels  where the event of a document goes, None if that is not known beforehand
    """

    aside: SetAside = field(default_factory=SetAside)
    channels: Callable[[Mapping[str, object]], Channels] = lambda document: None


class Attempt:
    """`jobs.worker.loop.Attempt`: resolves a batch of jobs and publishes all their broadcasts at once.

    `resolve` gives for each document a call that resolves it, made before the next one is taken. What is
    ready goes out earlier where the next job may take long (`flush`); `after` is called once all of a batch
    is out. `order`: which jobs may not overtake others; `at_work`: where it stands which job is. It never
    raises: what one job meets is that job's result, so that no other is attempted, or published, a second
    time. For one thread.
    """

    def __init__(
        self,
        resolve: ResolveAll,
        destinations: Mapping[str, Destination],
        publish: Callable[[Sequence[Broadcast]], object],
        on_step: ProgressListener = ignore_progress,
        after: Callable[[], object] = lambda: None,
        order: Order | None = None,
        at_work: AtWork | None = None,
    ) -> None:
        order = order or Order()
        self._at_work = AtWork() if at_work is None else at_work
        self._aside = order.aside
        self._channels = order.channels
        self._resolve = resolve
        self._after = after
        self._on_step = on_step
        self._destinations = destinations
        self._publish = publish
        self._results: list[Result] = []
        self._ready: list[tuple[int, Sequence[Broadcast]]] = []  # of which result
        self._resolved: list[JobProgress] = []  # steps not yet reported
        self._published = 0  # results up to here are final
        self.job: Job | None = None  # that is being resolved

    def __call__(
        self, jobs: Sequence[Job], is_enough: Callable[[], bool] = lambda: False
    ) -> Sequence[Result]:
        self._results, self._ready, self._published = [], [], 0
        self._at_work.any()  # what they have in common is read first
        try:
            for job, resolve in zip(jobs, self._resolve([job.document for job in jobs]), strict=True):
                if self._results and is_enough():
                    self._results.append(NotBegun())
                    continue
                if self._aside.blocks and not self._aside.may_go(job, None):
                    self._block(job, self._channels(job.document))
                    continue
                self.job = job
                self._at_work.only(job)
                result, broadcasts = self._one(job, resolve)
                if self._aside.blocks and broadcasts:
                    channels = {channel for broadcast in broadcasts for channel in broadcast.channels}
                    if not self._aside.may_go(job, channels):
                        self._block(job, channels)
                        continue
                self._results.append(result)
                if broadcasts:
                    self._ready.append((len(self._results) - 1, broadcasts))
        except Exception as fault:
            log.exception("a batch met a fault of bridge's own", extra={"action": "batch_fault"})
            self._results += [_after(fault) for _ in jobs[len(self._results) :]]
        self.job = None
        self.flush()
        self._at_work.none()
        self._after()
        if len(jobs) > 1:  # one that alone is too much for the memory fails
            self._results = [_NO_ROOM if _lacks_memory(result) else result for result in self._results]
        return self._results

    def require_turn(self) -> None:
        """Raises Behind, if the job that is being resolved would overtake another; else PHP may be asked."""
        if self.job is not None and self._aside.blocks:
            channels = self._channels(self.job.document)
            if not self._aside.may_go(self.job, channels):
                raise Behind(channels)

    def _block(self, job: Job, channels: Channels) -> None:
        self._aside.block(job, channels)
        self._results.append(_BEHIND)

    def flush(self) -> None:
        """Publishes the broadcasts of the jobs resolved so far, or has their jobs tried again."""
        if self._resolved:
            self._on_step(*self._resolved)
            self._resolved = []
        if self._ready:
            self._at_work.any()
            try:
                self._publish([broadcast for _, broadcasts in self._ready for broadcast in broadcasts])
            except JobError:
                self._publish_each()
            except Exception as problem:
                self._not_published(problem, [at for at, _ in self._ready])
        self._ready, self._published = [], len(self._results)
        if self.job is not None:
            self._at_work.only(self.job)

    def _publish_each(self) -> None:
        """One of them cannot be published, which is no other's fault; what went out does not go out again."""
        for number, (at, broadcasts) in enumerate(self._ready):
            try:
                self._publish(broadcasts)
            except ServiceUnavailable as problem:
                self._not_published(problem, [at for at, _ in self._ready[number:]])
                return
            except Exception as problem:
                self._not_published(problem, [at])

    def _not_published(self, problem: Exception, at: Sequence[int]) -> None:
        """The jobs with these results are tried again."""
        if isinstance(problem, ServiceUnavailable):  # no job's fault, so it costs none a try
            problem = NotTried(str(problem))
        else:
            about = {"action": "publish_fault"}
            log.error("broadcasts cannot be published", extra=about, exc_info=problem)
        for number in at:
            self._results[number] = Retry(problem)

    def _one(self, job: Job, resolve: Callable[[], Resolution]) -> tuple[Result, Sequence[Broadcast]]:
        started = time.perf_counter()
        try:
            resolution = resolve()
            took = time.perf_counter() - started
            self._resolved.append(
                step(job, "resolved", event=resolution.event, rung=resolution.by or "", seconds=took)
            )
            if resolution.outcome == "broadcast":
                broadcasts = [addressed(call, self._destinations, job.uuid) for call in resolution.broadcasts]
                return _DELIVERED[resolution.keeps_lock], broadcasts
        except Slow as slow:
            channels = self._channels(job.document)
            self._aside.block(job, channels)
            return TakesLong(slow.answer, channels), ()
        except Full as full:
            is_slow = any(isinstance(result, TakesLong) for result in self._results)
            if not self._aside and not is_slow:  # nothing would report its end
                return Retry(NotTried(str(full), pause=FULL_PAUSE)), ()
            channels = self._channels(job.document)
            self._aside.block(job, channels)
            return _BEHIND, ()
        except Behind as behind:
            self._aside.block(job, behind.channels)
            return _BEHIND, ()
        except Exception as problem:
            if not isinstance(problem, BridgeError | OSError):
                about = {"action": "attempt_fault", "uuid": job.uuid, "event_class": job.display_name}
                log.exception("a job met a fault of bridge's own", extra=about)
            return _after(problem), ()
        match resolution.outcome:
            case "nothing":
                return NothingToSend(resolution.why, resolution.keeps_lock), ()
            case "failed" if resolution.retry_in is not None:
                return Retry(WouldFail(resolution.why), resolution.retry_in), ()
            case "failed":
                return Failed(WouldFail(resolution.why), resolution.keeps_lock), ()
        return Failed(Refused(resolution.why)), ()


class Behind(BridgeError):
    """The job would overtake one that is set aside; `channels` of its event, as far as they are known."""

    def __init__(self, channels: Channels) -> None:
        super().__init__("another job must come to its end first")
        self.channels = channels


_DELIVERED = {keeps_lock: Delivered(keeps_lock) for keeps_lock in (False, True)}
_NO_ROOM = NotBegun(lacks_memory=True)
_BEHIND = NotBegun(is_behind=True)


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


class FlushFirst:
    """The PHP rung of an attempt: before it everything that is ready goes out, since PHP may take its time.
    A class that the app has not is waited for: a deploy may be about to bring it.

    lacks           whether an event's class is missing among the app's sources
    tries, backoff  of jobs that say none themselves, as `queue:work` takes them
    elsewhere       broadcast connections of other servers, to which the app itself sends
    """

    name = "php"

    def __init__(
        self,
        php: PhpRung,
        attempt: Callable[[], Attempt],
        *,
        tries: int,
        backoff: str,
        lacks: Callable[[BroadcastEvent], bool] = lambda event: False,
        elsewhere: Collection[str] = (),
    ) -> None:
        self._lacks = lacks
        self._elsewhere = tuple(elsewhere)
        self._missing: dict[str, float] = {}  # classes, and since when (monotonic)
        self._php = php
        self._attempt = attempt
        self._tries = tries
        self._backoff = backoff

    def resolve(self, event: BroadcastEvent) -> Answer:
        attempt = self._attempt()
        attempt.require_turn()
        self._require_class(event)
        attempt.flush()
        job = attempt.job
        if job is None:
            return self._php.resolve(event)
        try_ = Try(
            number=job.attempts,
            queue=job.queue,
            tries=self._tries,
            backoff=self._backoff,
            elsewhere=self._elsewhere,
        )
        return self._php.resolve(event, try_, PHP_PATIENCE)

    def _require_class(self, event: BroadcastEvent) -> None:
        """Raises NotTried where the event's class is missing, and was not for long."""
        name = event.class_name
        if not self._lacks(event):
            self._missing.pop(name, None)
            return
        if len(self._missing) >= MOST_MISSING:
            self._missing.clear()
        if time.monotonic() - self._missing.setdefault(name, time.monotonic()) < CLASS_PATIENCE:
            raise NotTried(f"the app has no class {name}: a deploy may be about to bring it", pause=2.0)
