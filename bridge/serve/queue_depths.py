"""How many jobs wait in the queues: the store is asked, but no more often than it can bear."""

from __future__ import annotations

import asyncio
import time

from bridge.errors import BridgeError
from bridge.jobs.queue.queue import Queue
from bridge.monitoring.timeseries import TimeSeries

IDLE_INTERVAL = 15.0  # seconds between two looks while nobody watches
RESTING_SHARE = 20  # a look that took t seconds is followed by 20 t of rest


class QueueDepths:
    """Puts the depths into `time_series`; empty where the store does not answer. On the loop."""

    def __init__(self, time_series: TimeSeries) -> None:
        self._time_series = time_series
        self._looking: asyncio.Task[None] | None = None
        self._looked: tuple[float, float] | None = None  # monotonic, when a look ended, and what it took

    async def refresh_if_due(self, queue: Queue | None, *, is_watched: bool) -> None:
        """Asks the store, unless it was asked a short time ago. Call it about once a second."""
        if self._looked is not None:
            ended, took = self._looked
            rest = max(0.0 if is_watched else IDLE_INTERVAL, RESTING_SHARE * took)
            if time.monotonic() < ended + rest:
                return
        await self._refresh(queue)

    async def refresh_within(self, seconds: float, queue: Queue | None) -> None:
        """Asks the store now. Afterwards the depths are of now, or empty where it takes longer than that."""
        try:
            async with asyncio.timeout(seconds):
                await self._refresh(queue)
        except TimeoutError:
            self._time_series.depths = {}

    async def _refresh(self, queue: Queue | None) -> None:
        """Asks the store, or waits for the answer to a question that is under way."""
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._ask(queue))
        await asyncio.shield(self._looking)

    async def _ask(self, queue: Queue | None) -> None:
        started, at = time.monotonic(), time.time()
        try:
            depths = {} if queue is None else await asyncio.to_thread(queue.depth)
        except BridgeError:  # the worker says so
            depths = {}
        self._time_series.depths, self._time_series.looked_at = depths, at
        self._looked = (time.monotonic(), time.monotonic() - started)
