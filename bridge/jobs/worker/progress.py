"""JobProgress and OtherJobRun: the steps of a job, for those who watch; nothing depends on them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

from bridge.jobs.queue.queue import Job

Step = Literal["reserved", "resolved", "delivered", "nothing", "failed", "released", "given_back"]


class JobProgress(NamedTuple):
    """One step on a job's way. A tuple, since it is made several times for every job.

    job        its uuid
    event      class of the event
    queued_at  unix seconds, as the store or the payload says; None where neither does (Redis before
               Laravel 12)
    why        one sentence, where it is not plain: nothing, failed, released
    error      class of the error: failed, released
    rung       who resolved it: mapping, framework, native, php; empty for nobody
    seconds    what resolving took; for `released` the delay
    """

    step: Step
    job: str
    event: str
    queue: str
    attempts: int
    queued_at: float | None = None
    why: str = ""
    error: str = ""
    rung: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherJobRun:
    """One attempt of a job that is no broadcast, which PHP has run.

    uuid      of the job
    name      what Laravel displays, mostly its class
    attempts  this one included
    seconds   from its beginning until it was over
    delay     seconds until it comes again; for `released`
    why       it ended its process, and how
    waited    seconds that it had been due before its first attempt; None where that is not known
    """

    ended: Literal["done", "failed", "released"]
    uuid: str
    name: str
    queue: str
    attempts: int
    seconds: float
    delay: float | None = None
    why: str = ""
    waited: float | None = None


_new = tuple.__new__


class ProgressListener(Protocol):
    def __call__(self, *steps: JobProgress) -> object:
        """Gets steps as they happen, those of a batch together."""


RunListener = Callable[[OtherJobRun], object]


def ignore_progress(*_: JobProgress | OtherJobRun) -> None:
    """Does nothing: nobody listens."""


def step(
    job: Job,
    name: Step,
    *,
    event: str = "",
    why: str = "",
    error: Exception | None = None,
    rung: str = "",
    seconds: float = 0.0,
) -> JobProgress:
    event = event or job.display_name
    failure = "" if error is None else type(error).__name__
    # past the constructor, which takes two to three times as long to do the same
    return _new(
        JobProgress,
        (name, job.uuid, event, job.queue, job.attempts, job.queued_at, why, failure, rung, seconds),
    )


def steps(jobs: Sequence[Job], name: Step) -> list[JobProgress]:
    """`step` of each of these jobs, where there is no more to say of it."""
    return [
        _new(
            JobProgress,
            (name, job.uuid, job.display_name, job.queue, job.attempts, job.queued_at, "", "", "", 0.0),
        )
        for job in jobs
    ]
