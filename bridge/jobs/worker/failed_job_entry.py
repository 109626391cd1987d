"""The entry of failed_jobs for a job that fails; `_bury` in loop.py writes it there."""

from __future__ import annotations

import traceback
from datetime import UTC, datetime

from bridge.errors import BridgeError, Unreadable
from bridge.jobs.queue.failed_jobs import FailedJob
from bridge.jobs.queue.queue import Job, Queue

KEPT_BACK = 60  # seconds until a job is tried again that could not be written to failed_jobs


def no_job() -> Unreadable:
    """Why a job fails whose document is empty."""
    return Unreadable("the payload is no JSON that PHP can read, or lacks what each job has: job, attempts")


def failed_job(queue: Queue, job: Job, error: Exception, now: float) -> FailedJob:
    """The entry of a job from this queue; `now` in unix seconds."""
    return FailedJob(
        connection_name=queue.connection_name,
        queue=job.queue,
        payload=job.payload,
        exception=_exception_text(error),
        uuid=job.uuid,
        failed_at=datetime.fromtimestamp(now, UTC),
        unread=job.unread,
    )


def _exception_text(error: Exception) -> str:
    """Class and message in the first line, where `queue:failed` looks; then, if unexpected, the traceback."""
    first = f"{type(error).__module__}.{type(error).__qualname__}: {error}"
    return first if isinstance(error, BridgeError) else "\n".join((first, *traceback.format_exception(error)))
