"""The jobs of one lane on their way out of the queue: the next come in time, those that ended are deleted.

While jobs are quick, PHP never waits for the queue: the next few are reserved while one is at work, and those
that have ended are deleted together, with the same message to the store that reserves others. Where our
writes would disturb the job at work, all is done between two jobs.
"""

from __future__ import annotations

import collections
import logging
from collections.abc import Callable, Sequence
from functools import partial

from bridge.jobs.queue.queue import Exchange, Job, Queue
from bridge.jobs.worker.quota import Grant, Quota
from bridge.jobs.worker.store_retry import StoreRetry

MOST = 8  # jobs that wait for their turn
WORTH = 0.05  # seconds that these may take together, as far as the last tells; slow ones are not prefetched
LONGEST_WAIT = 0.2  # seconds that they may wait while another is at work; then others may have them
SOON = 0.005  # seconds of silence after which a job that has ended is deleted, whatever comes next

log = logging.getLogger(__name__)


class Prefetcher:
    """For one thread. Every call waits for the store (`retrying`) and may raise StopDeadlinePassed.

    leave   a turn of `quota` for so many jobs, None where none may be taken now
    counts  gets `reserved`, `released`, `given_back`, `fenced`
    """

    def __init__(
        self,
        queue: Queue,
        retrying: StoreRetry,
        leave: Callable[[int], Grant | None],
        quota: Quota,
        counts: collections.Counter[str],
    ) -> None:
        self._queue = queue
        self._retrying = retrying
        self._leave = leave
        self._quota = quota
        self._counts = counts
        self._most = 0
        self._prefetched: collections.deque[Job] = collections.deque()  # reserved, and not begun
        self._ended: list[Job] = []  # Laravel has deleted them; the queue has them still
        self._under_way: Callable[[], None] | None = None  # an exchange; brings what came of it

    @property
    def due(self) -> float:
        """Seconds until `tick` is wanted, if PHP says nothing."""
        if self._ended or self._under_way is not None:
            return LONGEST_WAIT if self._queue.is_single_writer else SOON
        return LONGEST_WAIT if self._prefetched else float("inf")

    def next(self) -> Job | None:
        """The job whose turn it is, if there is one; if there is none, all that have ended are deleted."""
        if not self._prefetched:
            self._arrive()
        if not self._prefetched:
            self._delete_and_reserve(max(1, self._most))
            self._arrive()
        return self._prefetched.popleft() if self._prefetched else None

    def ahead(self) -> None:
        """Begins to prefetch jobs while PHP works, if jobs are quick; else gives back what it has."""
        if not self._most and self._prefetched:
            self.give_back_all()
        elif self._most and len(self._prefetched) <= self._most // 2 and self._under_way is None:
            self._delete_and_reserve(self._most - len(self._prefetched))

    def end(self, job: Job) -> None:
        """Deletes the job, as Laravel has."""
        self._ended.append(job)

    def pace(self, seconds: float) -> None:
        """Notes how many seconds a job took."""
        self._most = 0 if self._queue.is_single_writer else min(MOST, int(WORTH / max(seconds, 0.001)))

    def tick(self) -> bool:
        """What is due is done; False if nothing was."""
        if self._under_way is not None:
            self._arrive()
        elif self._ended and not self._prefetched and not self._queue.is_single_writer:  # Laravel tidies up
            self._delete_and_reserve(max(1, self._most))
        elif self._ended:
            self._delete_ended()
        elif self._prefetched:
            self.give_back_all()
        else:
            return False
        return True

    def give_back_all(self) -> None:
        """Gives back all prefetched jobs and deletes ended ones; jobs count as slow until one was quick."""
        self._arrive()
        self._most = 0
        self._delete_ended()
        jobs, self._prefetched = list(self._prefetched), collections.deque()
        if jobs:
            self.give_back(jobs)
            self._quota.finished(0, given_back=len(jobs))

    def give_back(self, jobs: Sequence[Job]) -> None:
        """Makes the jobs as they were before their reservation."""
        self._retrying(lambda: self._queue.give_back(jobs))
        self._counts["given_back"] += len(jobs)

    def release(self, job: Job, delay: float) -> None:
        """Puts the job back into the queue, due in `delay` seconds."""
        self._retrying(lambda: self._queue.release(job, delay))
        self._counts["released"] += 1

    def _delete_and_reserve(self, limit: int) -> None:
        """Jobs are prefetched, if there are any to be had, or will be once the exchange has arrived."""
        turn = self._leave(limit)
        if turn is None or not turn.jobs:
            self._delete_ended()
            if turn is not None:
                self._note_reserved(turn, ())
            return
        ended, self._ended = self._ended, []
        try:
            begun = [self._retrying(partial(self._queue.delete_and_reserve, ended, turn.jobs))]
        except BaseException:
            self._quota.took(turn, 0)
            raise
        self._under_way = partial(self._arrived, turn, ended, begun)

    def _arrive(self) -> None:
        """Waits for the exchange under way."""
        under_way, self._under_way = self._under_way, None
        if under_way is not None:
            under_way()

    def _arrived(self, turn: Grant, ended: Sequence[Job], begun: list[Exchange]) -> None:
        def outcome() -> tuple[int, Sequence[Job]]:
            return (begun.pop() if begun else self._queue.delete_and_reserve(ended, turn.jobs))()

        jobs: Sequence[Job] = ()
        try:
            deleted, jobs = self._retrying(outcome)
        finally:
            self._note_reserved(turn, jobs)
        self._note_deleted(ended, deleted)

    def _note_reserved(self, turn: Grant, jobs: Sequence[Job]) -> None:
        self._quota.took(turn, len(jobs))
        self._counts["reserved"] += len(jobs)
        self._prefetched += jobs

    def _delete_ended(self) -> None:
        ended, self._ended = self._ended, []
        if ended:
            self._note_deleted(ended, self._retrying(partial(self._queue.delete, ended)))

    def _note_deleted(self, jobs: Sequence[Job], deleted: int) -> None:
        lost = len(jobs) - deleted
        if lost:
            self._counts["fenced"] += lost
            log.warning(
                "jobs took longer than retry_after: somebody else may have them too",
                extra={"action": "job_fenced", "jobs": lost},
            )


def about(job: Job, action: str) -> dict[str, object]:
    """What the log says of a job."""
    return {"action": action, "uuid": job.uuid, "job_class": job.display_name, "queue": job.queue}
