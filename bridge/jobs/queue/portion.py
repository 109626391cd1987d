"""How much is reserved at once: only what is surely done well before the reservations end.

A reservation that ends while its job waits for its turn brings the job to somebody else as well, and counts
as an attempt. So a portion is bounded by bytes and by number (`Portion`), by how long the last jobs took
(`Pace`), and what is not begun at half of `retry_after` goes back untried. A job that was reserved before
comes alone: it may be what ended its worker, and then no other one is at hand that would count as tried.
"""

from __future__ import annotations

import time
from collections.abc import Callable

MOST_BYTES = 4 << 20  # of payloads reserved at once, unless one alone has more
LARGE = 1 << 18  # bytes; a payload from here on is read by itself
SHARE = 0.25  # of retry_after, which a portion may take as far as the last jobs tell
BEGUN = 0.5  # of retry_after, after which no job is begun any more
MEMORY = 0.5  # weight of what was known in the average, where jobs become quicker


class Portion:
    """Jobs in order of service, as long as they may be reserved together.

    limit  jobs at most
    alone  a job that was reserved before comes alone
    """

    def __init__(self, limit: int, *, alone: bool = True) -> None:
        self.left = limit
        self._alone = alone
        self._bytes = 0
        self._is_empty = True

    def close(self) -> None:
        """Lets no further job in."""
        self.left = 0

    def takes(self, size: int, attempts: int) -> bool:
        """Whether a job of so many bytes that was reserved so often before is one of them; once it is not,
        none is after it."""
        again = self._alone and attempts > 0
        if self.left <= 0:
            return False
        if not self._is_empty and (again or self._bytes + size > MOST_BYTES):
            self.left = 0
            return False
        self._is_empty = False
        self._bytes += size
        self.left = 0 if again else self.left - 1
        return True


class Pace:
    """How long jobs take, and how many of them may be reserved therefore. For one thread.

    most         jobs at most
    retry_after  seconds that a reservation counts; 0 and less: for ever
    clock        monotonic seconds
    """

    def __init__(self, most: int, retry_after: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._ceiling = most
        self._retry_after = retry_after if retry_after > 0 else float("inf")
        self._clock = clock
        self._seconds = 0.0  # of one job
        self._until = self._ends = float("inf")

    @property
    def jobs(self) -> int:
        """Jobs to be reserved next."""
        fit = self._retry_after * SHARE / self._seconds if self._seconds else self._most
        return max(1, min(self._ceiling, int(min(fit, self._most))))

    @property
    def has_ended(self) -> bool:
        """Whether the reservations made last have ended: this process stood still, or its store did."""
        return self._clock() >= self._ends

    @property
    def is_over(self) -> bool:
        """Whether none of those that were reserved last may be begun any more."""
        return self._clock() >= self._until

    def begin(self) -> None:
        """Notes that jobs are about to be reserved."""
        now = self._clock()
        self._until, self._ends = now + BEGUN * self._retry_after, now + self._retry_after

    def took(self, jobs: int, seconds: float) -> None:
        """Notes how many jobs were attempted one after another, and in how many seconds."""
        if jobs:
            each = seconds / jobs
            self._seconds = max(each, MEMORY * self._seconds + (1 - MEMORY) * each)
            self._ceiling = min(self._most, 2 * self._ceiling)

    def halve(self, jobs: int) -> None:
        """Halves the portion, for so many were too many for the memory."""
        self._ceiling = max(1, jobs // 2)
