"""What is known of a row of the `jobs` table: before it is reserved, and after."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bridge.jobs.queue.failed_jobs import StoredPayload
from bridge.jobs.queue.queue import Job


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """The receipt of a row: it is ours as long as it still shows these numbers.

    is_marked  False: it could not be marked as reserved, and nobody has touched it since
    copied_at  reserved then instead, once it has been copied to failed_jobs
    """

    id: int
    attempts: int
    reserved_at: int | None
    is_marked: bool = True
    copied_at: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A free row whose job is ours. `unread`: where its payload stands that is not read."""

    queue: str
    payload: bytes
    document: Mapping[str, object]
    attempts: int
    due_at: int
    unread: StoredPayload | None = None

    def job(self, attempts: int, receipt: Reservation) -> Job:
        return Job(
            queue=self.queue,
            payload=self.payload,
            document=self.document,
            attempts=attempts,
            receipt=receipt,
            due_at=self.due_at,
            unread=self.unread,
        )


def receipt_of(job: Job) -> Reservation:
    if not isinstance(job.receipt, Reservation):
        raise TypeError("this job was reserved from another queue")
    return job.receipt


def by_fence(jobs: Sequence[Job]) -> list[list[Reservation]]:
    """The receipts of these jobs, in groups that agree in all but the id."""

    def fence(receipt: Reservation) -> tuple[int, int, int]:
        return receipt.attempts, receipt.reserved_at or 0, receipt.copied_at or 0

    receipts = sorted((receipt_of(job) for job in jobs), key=lambda receipt: (fence(receipt), receipt.id))
    return [list(group) for _, group in itertools.groupby(receipts, fence)]
