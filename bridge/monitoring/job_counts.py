"""Jobs by class, queue and rung: how many, how long they waited and ran, minute by minute.

Durations are counted in classes of length, so that minutes can be added up to days and still tell medians.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0)
"""Seconds: `counts[i]` of a row counts what took up to `BOUNDS[i]`, the last what took longer."""
LENGTHS = len(BOUNDS) + 1
MOST_KEYS = 200  # classes, queues and rungs that are told apart; the rest is counted together
OTHERS = "(other classes)"
LONGEST_NAME = 255  # characters

Outcome = Literal["done", "nothing", "failed", "released"]


class JobKey(NamedTuple):
    """`rung`: mapping, framework, native, php; empty where nobody resolved it; `other`: no broadcast."""

    event: str
    queue: str
    rung: str


@dataclass(slots=True)
class JobRow:
    """`waits`: from when the job was due until it was reserved; `runs`: until it was done."""

    done: int = 0
    nothing: int = 0
    failed: int = 0
    released: int = 0
    waits: list[int] = field(default_factory=lambda: [0] * LENGTHS)
    runs: list[int] = field(default_factory=lambda: [0] * LENGTHS)

    def add(self, other: JobRow) -> None:
        self.done += other.done
        self.nothing += other.nothing
        self.failed += other.failed
        self.released += other.released
        self.waits = [one + more for one, more in zip(self.waits, other.waits, strict=True)]
        self.runs = [one + more for one, more in zip(self.runs, other.runs, strict=True)]


class JobCounts:
    """`add` in any thread; `take` gives what came since it was last called."""

    def __init__(self) -> None:
        self._rows: dict[JobKey, JobRow] = {}
        self._known: set[JobKey] = set()
        self._lock = threading.Lock()  # never held for more than a count

    def add(
        self, key: JobKey, outcome: Outcome, *, waited: float | None = None, ran: float | None = None
    ) -> None:
        with self._lock:
            row = self._rows.get(key)
            if row is None:
                row = self._row(key)
            match outcome:
                case "done":
                    row.done += 1
                case "nothing":
                    row.nothing += 1
                case "failed":
                    row.failed += 1
                case "released":
                    row.released += 1
            if waited is not None:
                row.waits[bisect_left(BOUNDS, waited)] += 1
            if ran is not None:
                row.runs[bisect_left(BOUNDS, ran)] += 1

    def take(self) -> dict[JobKey, JobRow]:
        with self._lock:
            rows, self._rows = self._rows, {}
        return rows

    def now(self) -> dict[JobKey, JobRow]:
        """What `take` would give, which stays."""
        with self._lock:
            return added([self._rows])

    def _row(self, key: JobKey) -> JobRow:
        key = JobKey(key.event[:LONGEST_NAME], key.queue[:LONGEST_NAME], key.rung)
        if key not in self._known:
            if len(self._known) < MOST_KEYS:
                self._known.add(key)
            else:
                key = JobKey(OTHERS, "", "")
        return self._rows.setdefault(key, JobRow())


def added(parts: Iterable[Mapping[JobKey, JobRow]]) -> dict[JobKey, JobRow]:
    """The rows of all parts, added up by key; the parts stay as they are."""
    whole: dict[JobKey, JobRow] = {}
    for part in parts:
        for key, row in part.items():
            whole.setdefault(key, JobRow()).add(row)
    return whole


def quantile(counts: Sequence[int], share: float) -> float | None:
    """Seconds that `share` (0 to 1) of what was counted took at most, about: straight lines between BOUNDS.

    None where nothing was counted. What took longer than the last bound counts as that bound."""
    wanted = share * sum(counts)
    if not wanted:
        return None
    passed, least = 0, 0.0
    for count, bound in zip(counts, BOUNDS, strict=False):
        if count and passed + count >= wanted:
            return least + (bound - least) * (wanted - passed) / count
        passed, least = passed + count, bound
    return BOUNDS[-1]
