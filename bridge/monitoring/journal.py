"""Journal: the last things that happened, in order, for whoever opens the dashboard."""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from bridge.jobs.resolve.trust import Disagreement
from bridge.jobs.worker.progress import JobProgress, OtherJobRun
from bridge.sockets.pusher.hub_events import (
    ApiCalled,
    ConnectionRefused,
    HubEvent,
    MessageRefused,
    Published,
    Received,
    SlowClientClosed,
    SubscriptionCounted,
    SubscriptionRefused,
)

KEPT = 1_000  # entries of each ring

UNTOLD = (Received, SubscriptionCounted)  # every ping is one; every subscription says the number itself
REFUSALS = frozenset({ConnectionRefused, SubscriptionRefused, MessageRefused, SlowClientClosed})
RARE_STEPS = frozenset({"nothing", "failed", "released"})
REFUSAL_SHARE = 4  # one of so many rows that a page gets at once may be a refusal, more if there is room


class Elsewhere(NamedTuple):
    """What happened in another process of this bridge; `row` is what the page gets of it (`rows.py`)."""

    process: str
    row: Mapping[str, Any]


What: TypeAlias = HubEvent | JobProgress | OtherJobRun | Disagreement | Elsewhere


class Entry(NamedTuple):
    """`number` counts all entries since the start; `at` in unix seconds."""

    number: int
    at: float
    what: What


_new = tuple.__new__


class Journal:
    """Four rings, since nothing may push out what is of another kind: jobs that need a look; jobs and
    broadcasts; what clients do; and what was refused to anybody, which costs no signature to send.

    Written on the loop and in worker threads without a lock: `append` and `next` are atomic.
    """

    def __init__(self, *, kept: int = KEPT, clock: Callable[[], float] = time.time) -> None:
        self._rare: deque[Entry] = deque(maxlen=kept)
        self._jobs: deque[Entry] = deque(maxlen=kept)
        self._clients: deque[Entry] = deque(maxlen=kept)
        self._refusals: deque[Entry] = deque(maxlen=kept)
        self._numbers = itertools.count(1)
        self._clock = clock

    def observe(self, event: HubEvent) -> None:
        if type(event) not in UNTOLD:
            self._keep(event)

    def step(self, *steps: JobProgress) -> None:
        now = self._clock()
        for step in steps:
            ring = self._rare if step.step in RARE_STEPS else self._jobs
            ring.append(_new(Entry, (next(self._numbers), now, step)))  # see `progress.step`

    def ran(self, run: OtherJobRun) -> None:
        self._keep(run)

    def disagreed(self, found: Disagreement) -> None:
        self._keep(found)

    def elsewhere(self, what: Elsewhere) -> None:
        self._ring(what).append(Entry(next(self._numbers), float(what.row["at"]), what))

    def _keep(self, what: What) -> None:
        self._ring(what).append(_new(Entry, (next(self._numbers), self._clock(), what)))

    def _ring(self, what: What) -> deque[Entry]:
        if type(what) is Published:  # most of all
            return self._jobs
        match what:
            case Elsewhere() if what.row["kind"] == "broadcast":
                return self._jobs
            case OtherJobRun():
                return self._rare if what.ended in RARE_STEPS else self._jobs
            case Disagreement():
                return self._rare
        return self._refusals if is_refusal(what) else self._clients

    def since(self, number: int) -> Sequence[Entry]:
        """What came after that entry and is still there, oldest first."""
        rings = (self._rare, self._jobs, self._clients, self._refusals)
        return sorted((entry for ring in rings for entry in _newer(ring, number)), key=_number)

    def newest(self, number: int, most: int) -> tuple[Sequence[Entry], int]:
        """At most so many of what came after that entry, oldest first: jobs that need a look, some refusals,
        then the newest; and the number of the newest. It costs what it gives, however much has happened."""
        rings = (self._rare, self._jobs, self._clients, self._refusals)
        rare, *others, refusals = (_newer(ring, number, most) for ring in rings)
        common = sorted((entry for ring in others for entry in ring), key=_number, reverse=True)
        latest = max([number, *(ring[0].number for ring in (rare, common, refusals) if ring)])
        room = most - len(rare)
        shown = min(len(refusals), max(room // REFUSAL_SHARE, room - len(common)))
        return sorted([*rare, *common[: room - shown], *refusals[:shown]], key=_number), latest

    def trace(self, job: str) -> Sequence[Entry]:
        """All that is still known of a job, oldest first."""
        return [entry for entry in self.since(0) if getattr(entry.what, "job", "") == job]


def is_refusal(what: What) -> bool:
    """Whether something was refused to a client or a caller."""
    if isinstance(what, Elsewhere):
        return what.row["kind"] == "refusal" or (what.row["kind"] == "api" and what.row.get("tone") == "bad")
    if type(what) is ApiCalled:
        return what.status >= 400
    return type(what) in REFUSALS


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
