"""Jobs looked at in one go and claimed one by one, for who takes them singly."""

from __future__ import annotations

import collections
import time
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from bridge.queues.queue import Job

MOST = 50  # jobs of one look
FRESH = 0.1  # seconds for which a look counts: so long may an urgent job wait for a less urgent one

Candidate = TypeVar("Candidate")


class Ahead(Generic[Candidate]):
    """Nothing is reserved before its turn: what was seen is claimed only if it is still free then.

    look   up to so many jobs that are free now, in order of service
    claim  the job, now ours; None if somebody was quicker
    """

    def __init__(
        self, look: Callable[[int], Iterable[Candidate]], claim: Callable[[Candidate], Job | None]
    ) -> None:
        self._look = look
        self._claim = claim
        self._seen: collections.deque[Candidate] = collections.deque()
        self._until = 0.0

    def next(self) -> Job | None:
        """The next job, if there is one."""
        if time.monotonic() < self._until and (job := self._claimed()):
            return job
        self._seen = collections.deque(self._look(MOST))
        self._until = time.monotonic() + FRESH
        return self._claimed()

    def pop(self, suits: Callable[[Candidate], bool] = lambda seen: True) -> Candidate | None:
        """The next of those that were seen lately, if it suits; the caller is to claim it."""
        if self._seen and time.monotonic() < self._until and suits(self._seen[0]):
            return self._seen.popleft()
        return None

    def forget(self) -> None:
        """The next job is looked for anew."""
        self._until = 0.0

    def _claimed(self) -> Job | None:
        while self._seen:
            if job := self._claim(self._seen.popleft()):
                return job
        return None
