"""TimeSeries: one point a second of the last ten minutes, kept whether somebody looks or not."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bridge.jobs.queue.queue import Depth
from bridge.monitoring.counters import Counters

KEPT = 600  # points
POINT_INTERVAL = 1.0  # seconds between them
FEWEST = 20  # durations that the middle and the slowest of a point are taken from


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What a moment looked like; `received` to `jobs` are a second's worth, durations in milliseconds.

    depth   jobs that wait in the queues, None where the store has not answered
    median  from reserved to delivered, of the last jobs; None while there was none
    slow    the same of the slowest twentieth
    """

    at: float
    connections: int
    received: float
    sent: float
    broadcasts: float
    calls: float
    jobs: float
    failed: float
    depth: int | None
    median: float | None
    slow: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """Of the other processes of this bridge: what is there now, and what they have counted."""

    connections: int = 0
    subscriptions: int = 0
    slow: int = 0
    received: int = 0
    sent: int = 0
    broadcasts: int = 0
    calls: int = 0
    cut: int = 0


NONE_BESIDE = Beside()


class TimeSeries:
    """`sample` is called about once a second, on the loop."""

    def __init__(
        self,
        tally: Counters,
        *,
        clock: Callable[[], float] = time.time,
        beside: Callable[[], Beside] = lambda: NONE_BESIDE,
    ) -> None:
        self.points: deque[Sample] = deque(maxlen=KEPT)
        self.depths: Mapping[str, Depth] = {}  # as of `looked_at`
        self.looked_at = 0.0  # unix seconds
        self.numbers = 0  # points ever made
        self._counters = tally
        self._clock = clock
        self._beside = beside
        self._before = (clock(), self._totals())

    def oldest(self) -> float | None:
        """Seconds that the oldest waiting job had been due when the queue was looked at; None: there is
        none."""
        due = [depth.oldest_at for depth in self.depths.values() if depth.oldest_at is not None]
        return max(0.0, self.looked_at - min(due)) if due else None

    def sample(self) -> None:
        now, totals = self._clock(), self._totals()
        then, before = self._before
        self._before = (now, totals)
        span = max(now - then, 0.001)
        rates = [round((new - old) / span, 1) for new, old in zip(totals, before, strict=True)]
        delivered = round(rates[4] * span)
        recent = sorted(list(self._counters.recent)[-max(delivered, FEWEST) :]) if delivered else []
        received, sent, broadcasts, calls, jobs, failed = rates
        self.numbers += 1
        self.points.append(
            Sample(
                at=round(now, 1),
                connections=self._counters.total("connections") + self._beside().connections,
                received=received,
                sent=sent,
                broadcasts=broadcasts,
                calls=calls,
                jobs=jobs,
                failed=failed,
                depth=sum(depth.pending for depth in self.depths.values()) if self.depths else None,
                median=_milliseconds(recent, 0.5),
                slow=_milliseconds(recent, 0.95),
            )
        )

    def _totals(self) -> tuple[int, ...]:
        tally, beside = self._counters, self._beside()
        return (
            tally.total("received") + beside.received,
            tally.total("sent") + beside.sent,
            tally.total("broadcasts") + beside.broadcasts,
            tally.calls() + beside.calls,
            tally.steps["delivered"],
            tally.steps["failed"],
        )


def _milliseconds(sorted_seconds: list[float], share: float) -> float | None:
    if not sorted_seconds:
        return None
    return round(sorted_seconds[min(int(len(sorted_seconds) * share), len(sorted_seconds) - 1)] * 1000, 2)
