"""Writes statistics and the history of jobs into the app's database; a problem is logged once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from bridge.errors import BridgeError, ConfigurationError
from bridge.monitoring.counters import Counters
from bridge.monitoring.job_recorder import JobRecorder
from bridge.monitoring.statistics import Counts, StatisticsTable, StatisticsWindow
from bridge.sockets.pusher.app import App
from bridge.sockets.server.socket import Socket

if TYPE_CHECKING:
    from bridge.sockets.cluster.cluster import Cluster

log = logging.getLogger(__name__)


class StatisticsWriter:
    """`written` is called with the rows that were written, by app id. On the loop."""

    def __init__(
        self,
        table: StatisticsTable,
        counters: Counters,
        written: Callable[[Mapping[str, Counts]], None],
    ) -> None:
        self._table = table
        self._window = StatisticsWindow(counters)
        self._written = written
        self._problem = ""

    async def write(self, apps: Sequence[App], cluster: Cluster[Socket] | None) -> None:
        """Writes a row for each app that keeps statistics; in a cluster, one of the nodes writes for all."""
        rows = {app.id: self._window.take(app.id) for app in apps if app.keeps_statistics}
        try:
            if cluster is not None:
                own = {app_id: (row.peak, row.websocket, row.api) for app_id, row in rows.items()}
                rows = {
                    app_id: Counts(peak=peak, websocket=websocket, api=api)
                    for app_id, (peak, websocket, api) in (await cluster.share(own)).items()
                }
            await asyncio.to_thread(self._table.add, rows)
            self._problem = ""
            self._written(rows)
        except BridgeError as problem:
            if self._problem != str(problem):  # once, not every minute
                self._problem = str(problem)
                about = {"action": "statistics", "why": str(problem)}
                level = logging.INFO if isinstance(problem, ConfigurationError) else logging.WARNING
                log.log(level, "statistics are not written", extra=about)


class JobHistoryWriter:
    """Call `write` at the beginning of each minute. On the loop."""

    def __init__(self, recorder: JobRecorder) -> None:
        self._recorder = recorder
        self._problem = ""

    async def write(self, *, tidies: bool) -> None:
        """Writes the minute that has ended. `tidies`: deletes old rows too; one bridge of several does so."""
        try:
            await asyncio.to_thread(self._recorder.record, tidies=tidies)
            self._problem = ""
        except BridgeError as problem:
            if self._problem != str(problem):
                self._problem = str(problem)
                about = {"action": "job_history", "why": str(problem)}
                log.warning("the history of jobs is not written", extra=about)
