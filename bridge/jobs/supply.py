"""The jobs of one lane on their way out of the queue: the next comes in time, those that ended are deleted.

While jobs are quick, PHP never waits for the queue: the next job is reserved while one is at work, and one
that has ended is deleted when PHP has the next, in the same message to the store that reserves another.
"""

from __future__ import annotations

import collections
import logging
from collections.abc import Callable
from functools import partial

from bridge.queues.ending import Ending, Turn
from bridge.queues.patience import Patience
from bridge.queues.queue import Exchange, Job, Queue

HELD = 0.2  # seconds that a job may wait for its turn while another is at work; then others may have it
SOON = 0.005  # seconds until a job that has ended is deleted also if PHP does not take the next

log = logging.getLogger(__name__)


class Supply:
    """For one thread. Every call waits for the store (`patiently`) and may raise OutOfTime.

    leave   a turn of `ending`, None where no job may be taken now
    counts  gets `reserved`, `released`, `given_back`, `fenced`
    """

    def __init__(
        self,
        queue: Queue,
        patiently: Patience,
        leave: Callable[[], Turn | None],
        ending: Ending,
        counts: collections.Counter[str],
    ) -> None:
        self._queue = queue
        self._patiently = patiently
        self._leave = leave
        self._ending = ending
        self._counts = counts
        self._held: Job | None = None  # reserved, and not begun
        self._ended: Job | None = None  # Laravel has deleted it; the queue has it still
        self._under_way: Callable[[], None] | None = None  # an exchange; brings what came of it

    @property
    def due(self) -> float:
        """Seconds until `tend` is wanted, if PHP says nothing."""
        if self._ended is not None or self._under_way is not None:
            return SOON
        return float("inf") if self._held is None else HELD

    def next(self) -> Job | None:
        """The job whose turn it is, if there is one; if there is none, all that have ended are deleted."""
        self._arrive()
        if self._held is None:
            self._exchange()
            self._arrive()
        job, self._held = self._held, None
        return job

    def ahead(self, *, reserve: bool) -> None:
        """PHP is at work: what has ended is being deleted, and the next job reserved if so wanted."""
        if reserve:
            self._exchange()
        else:
            self._delete_ended()

    def end(self, job: Job) -> None:
        """Laravel has deleted the job."""
        self._delete_ended()
        self._ended = job

    def tend(self) -> bool:
        """What is due is done; False if nothing was."""
        if self._under_way is not None:
            self._arrive()
        elif self._ended is not None:  # Laravel tidies up
            self.ahead(reserve=self._held is None)
        elif self._held is not None:
            self.let_go()
        else:
            return False
        return True

    def let_go(self) -> None:
        """No job is held, and none is left that has ended."""
        self._arrive()
        self._delete_ended()
        job, self._held = self._held, None
        if job is not None:
            self.give_back(job)
            self._ending.finished(0, given_back=1)

    def give_back(self, job: Job) -> None:
        """The job is as before its reservation."""
        self._patiently(lambda: self._queue.give_back([job]))
        self._counts["given_back"] += 1

    def release(self, job: Job, delay: float) -> None:
        """The job comes again in `delay` seconds."""
        self._patiently(lambda: self._queue.release(job, delay))
        self._counts["released"] += 1

    def _exchange(self) -> None:
        """The next job is held, if there is one to be had, or will be once the exchange has arrived."""
        turn = self._leave()
        if turn is None or not turn.jobs:
            self._delete_ended()
            if turn is not None:
                self._hold(turn, None)
        elif (ended := self._ended) is None:
            self._hold(turn, next(iter(self._patiently(partial(self._queue.reserve, 1))), None))
        else:
            self._ended = None
            tries = [self._patiently(partial(self._queue.exchange, ended))]
            self._under_way = partial(self._arrived, turn, ended, tries)

    def _arrive(self) -> None:
        """No exchange is under way."""
        under_way, self._under_way = self._under_way, None
        if under_way is not None:
            under_way()

    def _arrived(self, turn: Turn, ended: Job, begun: list[Exchange]) -> None:
        def outcome() -> tuple[bool, Job | None]:
            return (begun.pop() if begun else self._queue.exchange(ended))()

        was_ours, job = self._patiently(outcome)
        self._note_deleted(ended, was_ours=was_ours)
        self._hold(turn, job)

    def _hold(self, turn: Turn, job: Job | None) -> None:
        self._ending.took(turn, 0 if job is None else 1)
        self._counts["reserved"] += job is not None
        self._held = job

    def _delete_ended(self) -> None:
        ended, self._ended = self._ended, None
        if ended is not None:
            deleted = self._patiently(partial(self._queue.delete, [ended]))
            self._note_deleted(ended, was_ours=deleted > 0)

    def _note_deleted(self, job: Job, *, was_ours: bool) -> None:
        if not was_ours:
            self._counts["fenced"] += 1
            log.warning(
                "a job took longer than retry_after: somebody else may have it too",
                extra=about(job, "job_fenced"),
            )


def about(job: Job, action: str) -> dict[str, object]:
    """What the log says of a job."""
    return {"action": action, "uuid": job.uuid, "job_class": job.display_name, "queue": job.queue}
