"""Times in which no process is started: after a boot that failed, after many crashes in a row."""

from __future__ import annotations

import logging
import time

from bridge.errors import Refused, ServiceUnavailable

CRASHES = 5  # processes in a row that died at work, until there is a pause
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0  # seconds without a new process

log = logging.getLogger(__name__)


class CircuitBreaker:
    """What is wrong at present, if anything, and until when nothing is tried."""

    def __init__(self) -> None:
        self._problem: Refused | ServiceUnavailable | None = None
        self._until = 0.0
        self._pause = FIRST_PAUSE
        self._crashes = 0

    def problem(self) -> Refused | ServiceUnavailable | None:
        """Why nothing is started now; None when a start is allowed."""
        return self._problem if time.monotonic() < self._until else None

    def open(self, problem: Refused | ServiceUnavailable) -> None:
        """Allows no start until the pause is over; the next pause is twice as long."""
        self._problem = problem
        self._until = time.monotonic() + self._pause
        self._pause = min(2 * self._pause, LONGEST_PAUSE)
        about = {"why": str(problem), "pause_s": round(self._until - time.monotonic(), 1)}
        log.error("PHP processes are down", extra={"action": "helper_down", **about})

    def record_crash(self, problem: ServiceUnavailable) -> None:
        """Counts a process that died at work; too many in a row open the breaker."""
        self._crashes += 1
        if self._crashes >= CRASHES:
            self.open(problem)

    def close(self) -> None:
        """Allows starts again, as after an answered job; the next pause is short."""
        self._problem, self._pause, self._crashes = None, FIRST_PAUSE, 0
