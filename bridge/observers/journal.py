"""Journal: the last things that happened, in order, for whoever opens the dashboard."""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

from bridge.pusher.happenings import (
    ApiCalled,
    ConnectionRefused,
    Counted,
    Cut,
    Happening,
    MessageRefused,
    Received,
    SubscriptionRefused,
)
from bridge.queues.steps import JobRun, JobStep

KEPT = 1_000  # entries of what is common, and as many of what is rare

UNTOLD = (Received, Counted)  # every ping is one; every subscription says the number itself
RARE = frozenset({ConnectionRefused, SubscriptionRefused, MessageRefused, Cut})
RARE_STEPS = frozenset({"nothing", "failed", "released"})


class Entry(NamedTuple):
    """`number` counts all entries since the start; `at` in unix seconds."""

    number: int
    at: float
    what: Happening | JobStep | JobRun


class Journal:
    """Two rings: what is rare is not washed away by what is common.

    Written on the loop and in worker threads without a lock: `append` and `next` are atomic.
    """

    def __init__(self, *, kept: int = KEPT, clock: Callable[[], float] = time.time) -> None:
        self._common: deque[Entry] = deque(maxlen=kept)
        self._rare: deque[Entry] = deque(maxlen=kept)
        self._numbers = itertools.count(1)
        self._clock = clock

    def observe(self, happening: Happening) -> None:
        if type(happening) not in UNTOLD:
            self._keep(happening)

    def step(self, step: JobStep) -> None:
        self._keep(step)

    def ran(self, run: JobRun) -> None:
        self._keep(run)

    def _keep(self, what: Happening | JobStep | JobRun) -> None:
        ring = self._rare if is_rare(what) else self._common
        ring.append(Entry(next(self._numbers), self._clock(), what))

    def since(self, number: int) -> Sequence[Entry]:
        """What came after that entry and is still there, oldest first."""
        newer = [entry for ring in (self._common, self._rare) for entry in _newer(ring, number)]
        return sorted(newer, key=_number)

    def newest(self, number: int, most: int) -> tuple[Sequence[Entry], int]:
        """At most so many of what came after that entry, oldest first: what is rare, then the newest; and the
        number of the newest. It costs what it gives, however much has happened."""
        rare = _newer(self._rare, number, most)
        common = _newer(self._common, number, most)
        latest = max([number, *(ring[0].number for ring in (rare, common) if ring)])
        return sorted([*rare, *common[: most - len(rare)]], key=_number), latest

    def way(self, job: str) -> Sequence[Entry]:
        """All that is still known of a job, oldest first."""
        return [entry for entry in self.since(0) if getattr(entry.what, "job", "") == job]


def is_rare(what: Happening | JobStep | JobRun) -> bool:
    """Whether somebody may want to look at it: a refusal, a failure."""
    if type(what) is JobStep:
        return what.step in RARE_STEPS
    if type(what) is JobRun:
        return what.ended in RARE_STEPS
    if type(what) is ApiCalled:
        return what.status >= 400 and what.app_id != ""
    return type(what) in RARE


def _newer(ring: deque[Entry], number: int, most: int = KEPT) -> list[Entry]:
    """Newest first."""
    while True:
        try:
            newer: list[Entry] = []
            for entry in reversed(ring):
                if entry.number <= number or len(newer) == most:
                    break
                newer.append(entry)
            return newer
        except RuntimeError:  # another thread has appended meanwhile
            continue


def _number(entry: Entry) -> int:
    return entry.number
