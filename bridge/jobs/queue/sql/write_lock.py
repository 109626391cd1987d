"""SqliteWriteLock: transactions of jobs and our own writes into the same SQLite file take turns.

SQLite has one writer. A transaction that has read and wants to write ends at once while somebody else
writes: our writes would end those of the job at work, which under `queue:work` has the file for itself. So
both hold a lock meanwhile, `jobs/other/worker.php` for the time of each transaction. It is on a file of our
own, and nobody waits for it for long.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import tempfile
import time
import weakref
from collections.abc import Iterator
from pathlib import Path

log = logging.getLogger(__name__)

LONGEST = 1.0  # seconds until a write goes on without the lock; in worker.php as well
STEP = 0.001  # seconds between two tries


class SqliteWriteLock:
    """One for all drivers of a queue. Any thread may use it.

    longest  seconds that a write waits
    beside   a folder for the file where there is none for temporary ones: the database's own can be written
    path     the file that is locked, by flock(2); gone with this object. Empty where there can be none: then
             nobody takes turns
    """

    def __init__(self, longest: float = LONGEST, *, beside: Path | None = None) -> None:
        self._longest = longest
        self.path = ""
        for folder in (None, beside):
            with contextlib.suppress(OSError):
                number, self.path = tempfile.mkstemp(prefix="bridge-", suffix=".lock", dir=folder)
                os.close(number)
                weakref.finalize(self, Path(self.path).unlink, missing_ok=True)
                return
        log.warning("no lock file can be made: transactions of jobs may fail", extra={"action": "write_lock"})

    @contextlib.contextmanager
    def write(self) -> Iterator[None]:
        """While the queue is written to."""
        with contextlib.ExitStack() as stack:
            with contextlib.suppress(OSError):  # somebody has tidied up: the write goes on without it
                # a lock belongs to one opening of the file: so it holds other threads off too
                self._await(stack.enter_context(open(self.path, "rb")).fileno())
            yield

    def _await(self, file: int) -> None:
        for _ in range(round(self._longest / STEP)):  # not by the clock: the whole machine may stall
            try:
                return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(STEP)
