"""Keeps the history of jobs: an hour in memory, all of it in the app's database where it has a place.

What the database does not take now is kept for an hour, and written when it answers again.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping

from bridge.errors import BridgeError
from bridge.monitoring.job_counts import JobCounts, JobKey, JobRow, added
from bridge.monitoring.job_history import HOUR, MINUTE, JobHistoryTable, Jobs

REMEMBERED = 60  # minutes

Minute = tuple[int, Mapping[JobKey, JobRow]]


class JobRecorder:
    """`table`: None where the app has no database. Any thread may use it; every call may block."""

    def __init__(
        self, counts: JobCounts, table: JobHistoryTable | None, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._counts = counts
        self._table = table
        self._clock = clock
        self._recent: deque[Minute] = deque(maxlen=REMEMBERED)
        self._unwritten: deque[Minute] = deque(maxlen=REMEMBERED)
        self._tidied = 0.0
        self._lock = threading.Lock()

    def record(self, *, tidies: bool = True) -> None:
        """The minute that has just ended is kept; once an hour old rows go, if this bridge is the one that
        `tidies`. Raises BridgeError where the database takes nothing: it comes with the next minute."""
        now = self._clock()
        with self._lock:
            minute = (int(now - 1) // MINUTE * MINUTE, self._counts.take())
            if minute[1]:
                self._recent.append(minute)
                self._unwritten.append(minute)
            if self._table is None or not self._table.is_there():
                return
            self._table.add(list(self._unwritten))
            self._unwritten.clear()
            if tidies and now - self._tidied > HOUR / 2 and now % HOUR > MINUTE:
                self._table.tidy()
                self._tidied = now

    @property
    def keeps(self) -> bool:
        """Whether a restart loses nothing; blocks."""
        try:
            return self._table is not None and self._table.is_there()
        except BridgeError:
            return False

    def jobs(self, seconds: int, width: int, *, event: str = "", queue: str = "") -> Jobs:
        """The last `seconds` in spans of `width`; only the last hour where there is no table.

        Raises BridgeError where the database does not answer."""
        now = int(self._clock())
        end = -(-(now + 1) // width) * width
        start = end - seconds
        with self._lock:
            if self._table is not None and self._table.is_there():
                known = self._table.jobs(start, end, width, event=event, queue=queue)
                parts = list(self._unwritten)
            else:
                known = Jobs(start=start, end=end, width=width, rows={}, spans={})
                parts = list(self._recent)
            parts.append((now, self._counts.now()))
        parts = [part for part in parts if part[0] >= start]
        spans = {at: added([{_ALL: row}])[_ALL] for at, row in known.spans.items()}
        for at, rows in parts:
            chosen = [row for key, row in rows.items() if not event or key[:2] == (event, queue)]
            for row in chosen:
                spans.setdefault(at - (at - start) % width, JobRow()).add(row)
        whole = added([known.rows, *(rows for _, rows in parts)])
        return Jobs(start=start, end=end, width=width, rows=whole, spans=dict(sorted(spans.items())))

    def close(self) -> None:
        if self._table is not None:
            self._table.close()


_ALL = JobKey("", "", "")
