"""How often and how late a job is tried again, where Laravel's worker does not say it itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bridge.jobs.queue.queue import Job
from bridge.jobs.queue.selection import whole_number


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """`Worker::markJobAsFailedIfWillExceedMaxAttempts` and `calculateBackoff`.

    tries    for jobs whose payload has no `maxTries`; 0: without end
    backoff  seconds before the 2nd, 3rd, … try, the last one repeated; for payloads that say nothing
    """

    tries: int
    backoff: Sequence[int]

    def limit(self, job: Job) -> int:
        limit = whole_number(job.document, "maxTries")
        return self.tries if limit is None else limit

    def delay(self, job: Job) -> int:
        """Seconds until the next try: `backoff` of the payload, else its `delay`, else the worker's own."""
        delays = _delays(job.document.get("backoff")) or _delays(job.document.get("delay")) or self.backoff
        return delays[min(job.attempts, len(delays)) - 1] if delays else 0

    def is_last(self, job: Job, now: float) -> bool:
        """Whether this attempt is the last, at `now` in unix seconds."""
        until = retry_until(job)
        if until is not None:
            return until <= now
        limit = self.limit(job)
        return 0 < limit <= job.attempts


def retry_until(job: Job) -> int | None:
    """`retryUntil`, unix seconds; `timeoutAt` is its name before Laravel 8."""
    until = whole_number(job.document, "retryUntil")
    return until if until is not None else whole_number(job.document, "timeoutAt")


def _delays(value: object) -> tuple[int, ...]:
    """A number, or numbers with commas in a string; nothing else is understood."""
    try:
        return tuple(int(float(part)) for part in str(value).split(",")) if value not in (None, "") else ()
    except (ValueError, OverflowError):
        return ()
