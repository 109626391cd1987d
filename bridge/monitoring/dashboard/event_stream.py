"""The stream to the page: server-sent events, four frames a second at most.

What a frame costs does not grow with the traffic: it has at most so many rows, those that need a look first,
and says how many it left out. Nor does it grow with the pages: a frame is made once, by whoever comes first
when it is due, and all get the same bytes.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from dataclasses import asdict
from typing import Any

from bridge.jobs.worker.progress import JobProgress
from bridge.monitoring.dashboard.rows import Row, row
from bridge.monitoring.journal import Elsewhere, Entry, Journal
from bridge.monitoring.timeseries import TimeSeries
from bridge.sockets.pusher.hub_events import Published

INTERVAL = 0.25  # seconds between frames
BUSY_INTERVAL = 0.5  # after one that had to leave rows out: nobody can read more, and the page rests
MOST_ROWS = 25  # of a frame
FIRST_ROWS = 150  # of the first frame
MOST_TRACES = 60
WATCHERS = 8  # pages at once
EARLY = 0.01  # seconds that a timer may be too early
KEPT = 8  # frames; a page that is further behind begins anew


class EventStream:
    """`summary` gives what is shown beside the points: small, and quickly made. Lives on one loop.

    A frame has the rows after those of the frame before; a page's first frame has what is known so far, and
    `since`, by which a page that comes back knows whether the rows are still numbered as before.
    """

    def __init__(
        self,
        journal: Journal,
        chart: TimeSeries,
        summary: Callable[[], Mapping[str, Any]],
        *,
        is_over: Callable[[], bool],
    ) -> None:
        self.watchers = 0
        self._journal = journal
        self._time_series = chart
        self._summary = summary
        self._is_over = is_over
        self._since = round(time.time(), 3)
        self._frames: deque[bytes] = deque(maxlen=KEPT)
        self._made = 0  # frames ever
        self._due_at = 0.0
        self._number = 0  # of the last entry that is in a frame
        self._drawn = 0  # points that are in a frame

    async def frames(self) -> AsyncGenerator[bytes, None]:
        """Server-sent events until the server stops."""
        self.watchers += 1
        try:
            if self.watchers > 1:
                self._make()  # what the others have not got yet; then this one begins where they are
            seen = self._made
            yield self._first()
            while not self._is_over():
                rest = self._due_at - time.monotonic()
                await asyncio.sleep(rest if rest > 0 else INTERVAL)
                if time.monotonic() >= self._due_at - EARLY:
                    self._make()
                missing, seen = self._made - seen, self._made
                if missing > len(self._frames):
                    yield self._first()
                elif missing:
                    yield b"".join(itertools.islice(self._frames, len(self._frames) - missing, None))
        finally:
            self.watchers -= 1

    def _first(self) -> bytes:
        """For one page."""
        entries, number = self._journal.newest(0, FIRST_ROWS)
        if self.watchers == 1:
            self._number, self._drawn = number, self._time_series.numbers
        return _frame(
            since=self._since,
            rows=[row(entry) for entry in entries],
            points=[asdict(point) for point in self._time_series.points],
            summary=self._summary(),
        )

    def _make(self) -> None:
        """Makes the next frame, for all; none where nothing has happened."""
        interval = INTERVAL
        fields: dict[str, Any] = {}
        entries, latest = self._journal.newest(self._number, MOST_ROWS)
        if entries:
            missed, self._number = latest - self._number - len(entries), latest
            fields["rows"] = [row(entry) for entry in entries]
            if missed:
                fields["missed"], interval = missed, BUSY_INTERVAL
        if self._time_series.numbers > self._drawn:
            new = min(self._time_series.numbers - self._drawn, len(self._time_series.points))
            self._drawn = self._time_series.numbers
            points = itertools.islice(reversed(self._time_series.points), new)
            fields["points"] = [asdict(point) for point in reversed(list(points))]
            fields["summary"] = self._summary()
        self._due_at = time.monotonic() + interval
        if fields:
            self._frames.append(_frame(**fields))
            self._made += 1


def traces(journal: Journal, search: str = "", app_id: str = "") -> list[Row]:
    """The last broadcasts and what became of each, newest first: its steps in order of time. `search`: only
    those of which a step holds this text; `app_id`: only those that went to this app, or to none."""
    found: dict[str, list[Entry]] = {}
    for entry in journal.since(0):
        what = entry.what
        if isinstance(what, JobProgress | Published):
            found.setdefault(what.job or f"#{entry.number}", []).append(entry)
        elif isinstance(what, Elsewhere) and what.row["kind"] == "broadcast":
            found.setdefault(what.row.get("job") or f"#{entry.number}", []).append(entry)
    newest: Iterator[Row] = (
        {"id": key, "steps": [row(entry) for entry in found[key]]} for key in reversed(found)
    )
    wanted = search.lower()
    matching = (
        trace for trace in newest if not wanted or any(matches(step, wanted) for step in trace["steps"])
    )
    of_app = (trace for trace in matching if not app_id or _apps_of(trace) in (set(), {app_id}))
    return list(itertools.islice(of_app, MOST_TRACES))


def _apps_of(trace: Row) -> set[str]:
    return {step["app"] for step in trace["steps"] if "app" in step}


def matches(shown: Row, text: str) -> bool:
    """Whether a field of the row holds the text, which is in lower case."""
    return any(text in str(value).lower() for value in shown.values())


def _frame(**fields: Any) -> bytes:
    text = json.dumps(fields, ensure_ascii=False, separators=(",", ":"))
    return f"data: {text}\n\n".encode(errors="replace")  # clients and jobs may name half a character
