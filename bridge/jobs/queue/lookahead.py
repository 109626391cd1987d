"""Jobs looked at in one go and claimed a few at a time, for who takes only as many as are soon begun."""

from __future__ import annotations

import collections
import itertools
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Generic, TypeVar

MOST = 50  # jobs of one look
FRESH = 1.0  # seconds for which a look counts
URGENT = 0.1  # the same where a more urgent queue may get a job meanwhile

Candidate = TypeVar("Candidate")


class Lookahead(Generic[Candidate]):
    """Nothing is reserved before its turn: what was seen is to be claimed, and may be gone by then.

    look       up to so many jobs that are free now, in order of service
    group_key  those that may be claimed together have this in common
    fresh      seconds for which a look counts
    """

    def __init__(
        self,
        look: Callable[[int], Iterable[Candidate]],
        *,
        group_key: Callable[[Candidate], object] = lambda seen: None,
        fresh: float,
    ) -> None:
        self._look = look
        self._group_key = group_key
        self._fresh = fresh
        self._seen: collections.deque[Candidate] = collections.deque()
        self._until = 0.0

    def pop(self, limit: int) -> Sequence[Candidate]:
        """Up to `limit` of the next jobs, all of one group; each is given once. Empty when there is none."""
        if not self._seen or time.monotonic() >= self._until:
            self._seen = collections.deque(self._look(MOST))
            self._until = time.monotonic() + self._fresh
        _, group = next(itertools.groupby(self._seen, self._group_key), (None, ()))
        popped = list(itertools.islice(group, limit))
        for _ in popped:
            self._seen.popleft()
        return popped

    @property
    def is_left(self) -> bool:
        """Whether some of the last look were never given."""
        return bool(self._seen)

    def forget(self) -> None:
        """Makes the next jobs be looked for anew."""
        self._until = 0.0


def fresh(queues: Sequence[str]) -> float:
    """Seconds for which a look at these queues counts."""
    return FRESH if len(queues) == 1 else URGENT
