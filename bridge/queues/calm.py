"""Calm: jobs at work and our own writes into the SQLite file of their app take turns.

SQLite has one writer. A transaction that has read and wants to write ends at once while somebody else
writes: our writes would end those of the job at work, which under `queue:work` has the file for itself. So a
write waits until no job is at work, and the next job until it is done; none waits for long.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

LONGEST = 0.05  # seconds; a job that takes longer is seldom in the middle of a transaction


class Calm:
    """One for all drivers of a queue. Any thread may use it. `longest`: seconds that either waits."""

    def __init__(self, longest: float = LONGEST) -> None:
        self._longest = longest
        self._changed = threading.Condition()
        self._jobs = 0
        self._writes = 0

    @contextlib.contextmanager
    def job(self) -> Iterator[None]:
        """While a job is at work."""
        with self._changed:
            self._changed.wait_for(lambda: not self._writes, self._longest)
            self._jobs += 1
        try:
            yield
        finally:
            with self._changed:
                self._jobs -= 1
                self._changed.notify_all()

    @contextlib.contextmanager
    def write(self) -> Iterator[None]:
        """While the queue is written to."""
        with self._changed:
            self._writes += 1
            self._changed.wait_for(lambda: not self._jobs, self._longest)
        try:
            yield
        finally:
            with self._changed:
                self._writes -= 1
                self._changed.notify_all()
