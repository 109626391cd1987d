"""The stream to the page: server-sent events, four frames a second at most.

What a frame costs does not grow with the traffic: it has at most so many rows, those that need a look first,
and says how many it left out.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import asdict
from typing import Any

from bridge.dashboard.rows import Row, row
from bridge.observers.chart import Chart
from bridge.observers.journal import Entry, Journal
from bridge.pusher.happenings import Published
from bridge.queues.steps import JobStep

INTERVAL = 0.25  # seconds between frames
MOST_ROWS = 25  # of a frame
FIRST_ROWS = 150  # of the first frame
MOST_WAYS = 60
WATCHERS = 8  # pages at once


class Feed:
    """`summary` gives what is shown beside the points: small, and quickly made."""

    def __init__(
        self,
        journal: Journal,
        chart: Chart,
        summary: Callable[[], Mapping[str, Any]],
        *,
        is_over: Callable[[], bool],
    ) -> None:
        self.watchers = 0
        self._journal = journal
        self._chart = chart
        self._summary = summary
        self._is_over = is_over

    async def frames(self) -> AsyncIterator[bytes]:
        """Server-sent events until the server stops; the first has what is known so far."""
        self.watchers += 1
        try:
            entries, number = self._journal.newest(0, FIRST_ROWS)
            drawn = self._chart.numbers
            yield _frame(
                rows=[row(entry) for entry in entries],
                points=[asdict(point) for point in self._chart.points],
                summary=self._summary(),
            )
            while not self._is_over():
                await asyncio.sleep(INTERVAL)
                fields: dict[str, Any] = {}
                entries, latest = self._journal.newest(number, MOST_ROWS)
                if entries:
                    missed, number = latest - number - len(entries), latest
                    fields["rows"] = [row(entry) for entry in entries]
                    fields |= {"missed": missed} if missed else {}
                if self._chart.numbers > drawn:
                    new = min(self._chart.numbers - drawn, len(self._chart.points))
                    drawn = self._chart.numbers
                    points = itertools.islice(reversed(self._chart.points), new)
                    fields["points"] = [asdict(point) for point in reversed(list(points))]
                    fields["summary"] = self._summary()
                if fields:
                    yield _frame(**fields)
        finally:
            self.watchers -= 1


def ways(journal: Journal) -> list[Row]:
    """The last broadcasts and what became of each, newest first: its steps in order of time."""
    found: dict[str, list[Entry]] = {}
    for entry in journal.since(0):
        what = entry.what
        if isinstance(what, JobStep | Published):
            found.setdefault(what.job or f"#{entry.number}", []).append(entry)
    newest = itertools.islice(reversed(found.items()), MOST_WAYS)
    return [{"id": key, "steps": [row(entry) for entry in entries]} for key, entries in newest]


def _frame(**fields: Any) -> bytes:
    return f"data: {json.dumps(fields, ensure_ascii=False, separators=(',', ':'))}\n\n".encode()
