"""The stream to the page: server-sent events, four frames a second at most.

What a frame costs does not grow with the traffic: it has at most so many rows, those that need a look first,
and says how many it left out.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from bridge.dashboard.rows import Row, row
from bridge.observers.chart import Chart
from bridge.observers.journal import Entry, Journal, is_rare
from bridge.pusher.happenings import Published
from bridge.queues.steps import JobStep

INTERVAL = 0.25  # seconds between frames
MOST_ROWS = 40  # of a frame
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
            entries = self._journal.since(0)
            number = entries[-1].number if entries else 0
            drawn = self._chart.numbers
            yield _frame(
                rows=[row(entry) for entry in _important(entries, FIRST_ROWS)],
                points=[asdict(point) for point in self._chart.points],
                summary=self._summary(),
            )
            while not self._is_over():
                await asyncio.sleep(INTERVAL)
                entries = self._journal.since(number)
                fields: dict[str, Any] = {}
                if entries:
                    chosen = _important(entries, MOST_ROWS)
                    missed = entries[-1].number - number - len(chosen)
                    number = entries[-1].number
                    fields["rows"] = [row(entry) for entry in chosen]
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


def _important(entries: Sequence[Entry], most: int) -> list[Entry]:
    """At most so many, what needs a look first, then the newest; in order of time."""
    if len(entries) <= most:
        return list(entries)
    ranked = sorted(entries, key=lambda entry: (is_rare(entry.what), entry.number), reverse=True)
    return sorted(ranked[:most], key=lambda entry: entry.number)


def _frame(**fields: Any) -> bytes:
    return f"data: {json.dumps(fields, ensure_ascii=False, separators=(',', ':'))}\n\n".encode()
