"""When work ends by itself: after so many jobs, or once there is nothing to do in any lane.

A lane takes a `Grant` before it reserves and says how it went (`took`, `finished`). Several threads must
agree on what is left and whether all is empty, hence the lock.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Grant:
    """Leave to reserve up to `jobs`; `moment` says whether another turn has ended since."""

    jobs: int
    moment: int


class Quota:
    """`end`, set before the first turn, is called once, by the thread that meets the condition.

    lanes       how many threads take turns
    most        jobs in all; 0: no limit
    when_empty  end when every lane has found nothing since the last job was finished
    """

    def __init__(
        self,
        *,
        lanes: int = 1,
        most: int = 0,
        when_empty: bool = False,
    ) -> None:
        self.end: Callable[[], object] = lambda: None
        self._lock = threading.Lock()
        self._lanes = lanes
        self._left = most if most else None
        self._to_finish = most
        self._when_empty = when_empty
        self._has_ended = False
        self._moment = 0
        self._empty: set[int] = set()
        self._at_work = 0

    def turn(self, jobs: int) -> Grant:
        """Leave for one reservation, perhaps of fewer jobs, perhaps of none."""
        with self._lock:
            granted = jobs if self._left is None else min(jobs, self._left)
            if self._left is not None:
                self._left -= granted
            return Grant(granted, self._moment)

    def took(self, turn: Grant, jobs: int) -> None:
        """Counts what the reservation brought; the thread is the lane."""
        with self._lock:
            self._return(turn.jobs - jobs)
            self._at_work += jobs
            if jobs or turn.jobs == 0:
                self._empty.discard(threading.get_ident())
            elif turn.moment == self._moment:
                self._empty.add(threading.get_ident())
        self._consider()

    def finished(self, jobs: int, *, given_back: int = 0) -> None:
        """Counts the jobs that have had their attempt; others went back untried."""
        with self._lock:
            self._at_work -= jobs + given_back
            self._return(given_back)
            if self._left is not None:
                self._to_finish -= jobs
            self._moment += 1  # what a job queued may have come after another lane looked
            self._empty.clear()
        self._consider()

    def _return(self, jobs: int) -> None:
        if self._left is not None:
            self._left += jobs

    def _consider(self) -> None:
        with self._lock:
            done = self._left is not None and self._to_finish <= 0
            idle = self._when_empty and not self._at_work and len(self._empty) >= self._lanes
            if self._has_ended or not (done or idle):
                return
            self._has_ended = True
        self.end()
