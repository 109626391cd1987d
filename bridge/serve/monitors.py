"""The instruments: journal, tally, chart, statistics, metrics and dashboard, built, joined and run together.

`observe` goes to the node, `step` to the worker; both only note down. On intervals (apscheduler) the chart
gets a point, the store is asked for its depth, and the statistics are written.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from starlette.routing import BaseRoute, Route

from bridge.errors import ServiceUnavailable
from bridge.jobs.queue.queue import Queue
from bridge.jobs.resolve.trust import Disagreement
from bridge.jobs.worker.loop import Worker
from bridge.jobs.worker.progress import JobProgress, OtherJobRun
from bridge.monitoring.alerts import Alerts, Facts
from bridge.monitoring.counters import Counters
from bridge.monitoring.dashboard.event_stream import EventStream
from bridge.monitoring.dashboard.processes import routes_for_others
from bridge.monitoring.dashboard.routes import Dashboard
from bridge.monitoring.dashboard.session import SessionGuard
from bridge.monitoring.job_recorder import JobRecorder
from bridge.monitoring.journal import Journal
from bridge.monitoring.legacy_dashboard import ORIGIN, LegacyDashboard
from bridge.monitoring.metrics import Bus, MetricsAccess, ScrapeState, metrics_route, metrics_text
from bridge.monitoring.statistics import Counts
from bridge.monitoring.summary import SUMMARY_INTERVAL, Summary
from bridge.monitoring.timeseries import NONE_BESIDE, POINT_INTERVAL, Beside, Sample, TimeSeries
from bridge.serve.dashboard_backend import AppBackend
from bridge.serve.queue_depths import QueueDepths
from bridge.serve.record_writers import JobHistoryWriter, StatisticsWriter
from bridge.serve.siblings import Siblings, forwarding_routes, metrics_of_all, numbers_route
from bridge.serve.wiring.history import build_job_history, build_statistics
from bridge.serve.wiring.monitoring import (
    access_options,
    alert_rules,
    build_alert_sender,
    build_legacy_dashboard,
)
from bridge.settings.load import Settings
from bridge.sockets.pusher.app import App
from bridge.sockets.pusher.hub_events import HubEvent, Published
from bridge.sockets.server import occupancy
from bridge.sockets.server.node import Node
from bridge.sockets.server.socket import Socket
from bridge.sockets.webhooks.attempts import WebhookAttempt

if TYPE_CHECKING:
    from bridge.sockets.cluster.cluster import Cluster

DEPTH_INTERVAL = 1.0  # seconds
SCRAPE_PATIENCE = 5.0  # seconds that /metrics waits for the queue's store
ALERT_INTERVAL = 15.0  # seconds
SIBLINGS_INTERVAL = 1.0  # seconds
CHANNELS_INTERVAL = 3.0  # seconds
SIBLINGS_ROWS = 50  # of each process, each time
ALERT_PATIENCE = 5.0  # seconds that a stop waits for alerts that are on their way

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitoredParts:
    """What is monitored. `worker` and `queue` are None where another process takes the jobs.

    php_processes  by state
    php_is_down    whether none can be started
    cluster        None where this process is alone
    """

    node: Node
    worker: Worker | None
    queue: Queue | None
    php_processes: Callable[[], Mapping[str, int]] = dict
    php_is_down: Callable[[], bool] = lambda: False
    cluster: Cluster[Socket] | None = None


def _until_stopped(look: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    """`look`, whose end by a stop is no error: apscheduler would log one."""

    async def looked(*watched: MonitoredParts) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await look(*watched)

    return looked


def _in_thread(look: Callable[[], None]) -> Callable[[], Awaitable[None]]:
    return _until_stopped(lambda: asyncio.to_thread(look))


class Monitors:
    """`is_open`: the dashboard asks for no password, and answers only to a name of this machine.

    `show` is called with every point of the chart."""

    def __init__(
        self, settings: Settings, *, is_open: bool = False, show: Callable[[Sample], None] | None = None
    ) -> None:
        self._show = show
        self._settings = settings
        self._siblings: Siblings | None = None  # others, where this one of several has the dashboard
        self._journal = Journal()
        self._counters = Counters([app.id for app in settings.apps()])
        self._time_series = TimeSeries(self._counters, beside=self._beside)
        self._statistics = build_statistics(settings)
        self._statistics_writer = (
            None
            if self._statistics is None
            else StatisticsWriter(self._statistics, self._counters, self._show_counted)
        )
        self._jobs = JobRecorder(self._counters.jobs, build_job_history(settings))
        self._job_history = JobHistoryWriter(self._jobs)
        self._backend = AppBackend(settings, self._statistics, self._jobs)
        self._scheduler = AsyncIOScheduler(timezone=UTC)
        self._legacy_dashboard: LegacyDashboard | None = None
        self._feed: EventStream | None = None
        self._access = SessionGuard(**access_options(settings), is_open=is_open)
        self._apps: Callable[[], Sequence[App]] = tuple  # that are served now
        self._summary_of_log = Summary(self._counters)
        self._depths = QueueDepths(self._time_series)
        self._alerts = Alerts(alert_rules(settings))
        self._alert_sender = build_alert_sender(settings)
        self._channels = 0  # of all nodes, where there are others

    def observe(self, event: HubEvent) -> None:
        if self._legacy_dashboard is not None:
            if isinstance(event, Published) and event.origin == ORIGIN:
                return
            self._legacy_dashboard.observe(event)
        self._journal.observe(event)
        self._counters.observe(event)

    def step(self, *steps: JobProgress) -> None:
        self._journal.step(*steps)
        self._counters.step(*steps)

    def ran(self, run: OtherJobRun) -> None:
        """An attempt of a job that is no broadcast. The lanes count these themselves."""
        self._journal.ran(run)
        self._counters.ran(run)
        self._summary_of_log.ran(run)

    def disagreed(self, found: Disagreement) -> None:
        """From the worker's thread, or that of its checks."""
        self._journal.disagreed(found)
        self._counters.disagreements += 1

    def routes(
        self, watched: MonitoredParts, attempts: Collection[WebhookAttempt] = ()
    ) -> Sequence[BaseRoute]:
        """What is served besides the node's own: the dashboard and `/metrics`. `attempts`: the last requests
        to webhooks."""
        return [
            *self._dashboard(watched, attempts),
            metrics_route(self._metrics(watched), self._metrics_access()),
        ]

    def routes_for_all(self, watched: MonitoredParts, folder: Path, name: str) -> Sequence[BaseRoute]:
        """`routes` where this process is one of several, which have their private sockets in `folder`."""
        own = self._metrics(watched)
        return [
            *forwarding_routes(self._settings.dashboard_path.strip("/"), folder),
            metrics_route(partial(metrics_of_all, folder, name, own), self._metrics_access()),
        ]

    def private_routes(
        self, watched: MonitoredParts, attempts: Collection[WebhookAttempt], siblings: Siblings | None
    ) -> Sequence[BaseRoute]:
        """What the others of this bridge ask; `siblings`: these, where this one has the dashboard."""
        self._siblings = siblings
        if siblings is None:
            numbers = numbers_route(self._journal, self._counters, watched.node)
            own = [numbers, *routes_for_others(watched.node, attempts)]
        else:
            own = self._dashboard(watched, attempts)
        return [*own, metrics_route(self._metrics(watched), None)]

    def _dashboard(self, watched: MonitoredParts, attempts: Collection[WebhookAttempt]) -> list[Route]:
        settings, node = self._settings, watched.node
        self._feed = EventStream(
            self._journal, self._time_series, lambda: self._summary(watched), is_over=lambda: node.is_draining
        )
        return Dashboard(
            path=settings.dashboard_path.strip("/"),
            node=node,
            access=self._access,
            feed=self._feed,
            journal=self._journal,
            backend=self._backend,
            attempts=attempts,
            others=self._siblings,
            about={
                "name": settings.laravel.name,
                "queue": settings.queue_connection().name,
                "queues": settings.queue_names(),
            },
        ).routes()

    def _metrics(self, watched: MonitoredParts) -> Callable[[], Awaitable[bytes]]:
        worker = watched.worker
        return metrics_text(
            self._counters,
            lambda: self._now(watched),
            store_faults=(lambda: 0) if worker is None else lambda: worker.counts["store_faults"],
            look=lambda: self._depths.refresh_within(SCRAPE_PATIENCE, watched.queue),
        )

    def _metrics_access(self) -> MetricsAccess:
        return MetricsAccess(self._settings.metrics_addresses, self._settings.metrics_token)

    def clients(self) -> tuple[int, int]:
        """Connections and subscriptions of all apps, as they are now."""
        return self._counters.total("connections"), self._counters.total("subscriptions")

    def renew(self, settings: Settings) -> None:
        """Who may look, what is shown and the apps of the forms are these settings'. On the loop."""
        self._access.use(**access_options(settings))
        self._backend.use(settings)

    def start(self, watched: MonitoredParts) -> None:
        """On the loop."""
        self._apps = lambda: [hub.app for hub in watched.node.hubs.values()]
        self._legacy_dashboard = build_legacy_dashboard(self._settings, watched.node)
        every = self._scheduler.add_job
        lasting = {"max_instances": 1, "coalesce": True, "misfire_grace_time": None}
        every(_in_thread(self._sample), "interval", seconds=POINT_INTERVAL, **lasting)
        every(
            _until_stopped(self._look_at_queue), "interval", seconds=DEPTH_INTERVAL, args=[watched], **lasting
        )
        if watched.cluster is not None:
            count = _until_stopped(self._count_channels)
            every(count, "interval", seconds=CHANNELS_INTERVAL, args=[watched], **lasting)
        if self._siblings is not None:
            every(_until_stopped(self._ask_siblings), "interval", seconds=SIBLINGS_INTERVAL, **lasting)
        every(_in_thread(self._log_minute), "interval", seconds=SUMMARY_INTERVAL, **lasting)
        has_jobs = watched.worker is not None  # of several processes one looks at all of them
        if self._alert_sender is not None and has_jobs:
            check = _until_stopped(self._check_alerts)
            every(check, "interval", seconds=ALERT_INTERVAL, args=[watched], **lasting)
        if has_jobs:
            record = _until_stopped(self._record_jobs)
            every(record, "cron", second=0, args=[watched], **lasting)
        if self._statistics is not None:
            seconds = self._settings.statistics_interval
            write = _until_stopped(self._write_statistics)
            every(write, "interval", seconds=seconds, args=[watched], **lasting)
        self._scheduler.start()

    async def stop(self, watched: MonitoredParts) -> None:
        """Writes the last statistics, and closes every connection of the monitors."""
        if self._scheduler.running:  # else the start has failed
            self._scheduler.pause()
            await asyncio.sleep(0)  # what is due has begun: only then its end is not logged as an error
            self._scheduler.shutdown(wait=False)
            await self._write_statistics(watched)
            await self._record_jobs(watched)
        if self._alert_sender is not None:
            await self._alert_sender.stop(ALERT_PATIENCE)
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self._backend.close()
        self._jobs.close()
        if self._statistics is not None:
            self._statistics.close()

    # ---- on intervals -----------------------------------------------------------------------------

    def _sample(self) -> None:
        self._time_series.sample()
        if self._show is not None:
            self._show(self._time_series.points[-1])

    async def _ask_siblings(self) -> None:
        """Rows are for those who look."""
        if self._siblings is not None:
            for one in await self._siblings.listen(SIBLINGS_ROWS if self._is_watched else 0):
                self._journal.elsewhere(one)

    async def _count_channels(self, watched: MonitoredParts) -> None:
        """Of all nodes, for those who look."""
        if self._is_watched:
            node = watched.node
            with contextlib.suppress(ServiceUnavailable):  # /ready and the log say so
                counts = [await occupancy.channels(node, hub) for hub in list(node.hubs.values())]
                self._channels = sum(map(len, counts))

    async def _look_at_queue(self, watched: MonitoredParts) -> None:
        await self._depths.refresh_if_due(
            watched.queue, is_watched=self._show is not None or self._is_watched
        )

    @property
    def _is_watched(self) -> bool:
        """Whether somebody looks at the dashboard."""
        return self._feed is not None and self._feed.watchers > 0

    def _log_minute(self) -> None:
        numbers = self._summary_of_log.take()
        if numbers is not None:
            waiting = sum(depth.pending for depth in self._time_series.depths.values())
            about = {"action": "summary", **numbers, "waiting": waiting}
            log.info("the last minute", extra=about)

    async def _write_statistics(self, watched: MonitoredParts) -> None:
        if self._statistics_writer is not None:
            await self._statistics_writer.write(self._apps(), watched.cluster)

    def _show_counted(self, rows: Mapping[str, Counts]) -> None:
        if self._legacy_dashboard is not None:
            self._legacy_dashboard.counted(rows)

    async def _record_jobs(self, watched: MonitoredParts) -> None:
        await self._job_history.write(tidies=watched.cluster is None or watched.cluster.is_leader)

    async def _check_alerts(self, watched: MonitoredParts) -> None:
        if self._alert_sender is None:
            return
        tally = self._counters
        tells_of_queue = watched.cluster is None or watched.cluster.is_leader  # one bridge of several
        facts = Facts(
            oldest=self._time_series.oldest() if tells_of_queue else None,
            failed=tally.steps["failed"] + tally.others["failed"],
            cut=tally.total("cut") + self._beside().cut,
            disagreements=tally.disagreements,
            php_is_down=watched.php_is_down(),
        )
        for alert in self._alerts.check(facts, time.monotonic()):
            self._alert_sender.send(alert)

    # ---- on request -------------------------------------------------------------------------------

    def _summary(self, watched: MonitoredParts) -> dict[str, Any]:
        node, tally, oldest = watched.node, self._counters, self._time_series.oldest()
        hubs = node.hubs.values()
        return {
            "connections": sum(node.connections_of(hub) for hub in hubs),
            "channels": self._channels if watched.cluster else sum(len(hub.channels) for hub in hubs),
            "subscriptions": tally.total("subscriptions") + self._beside().subscriptions,
            "slow": len(node.slow) + self._beside().slow,
            "failed": tally.steps["failed"],
            "delivered": tally.steps["delivered"],
            "rungs": {rung or "none": count for rung, count in list(tally.rungs.items())},
            "store": watched.worker is None or watched.worker.answers,
            "queues": {
                name: [depth.pending, depth.delayed, depth.reserved]
                for name, depth in self._time_series.depths.items()
            },
            "oldest": None if oldest is None else round(oldest, 1),
        }

    def _beside(self) -> Beside:
        return NONE_BESIDE if self._siblings is None else self._siblings.beside

    def _now(self, watched: MonitoredParts) -> ScrapeState:
        node = watched.node
        return ScrapeState(
            channels={hub.app.id: len(hub.channels) for hub in node.hubs.values()},
            depths=self._time_series.depths,
            looked_at=self._time_series.looked_at,
            slow=len(node.slow),
            answers=None if watched.worker is None else watched.worker.answers,
            php_processes=watched.php_processes(),
            php_is_down=watched.php_is_down(),
            bus=None if watched.cluster is None else _bus(watched.cluster),
        )


def _bus(cluster: Cluster[Socket]) -> Bus:
    return Bus(
        is_up=cluster.is_up,
        nodes=1 + len(cluster.others),
        gaps=cluster.gaps,
        repairs=cluster.repairs,
        rejected=dict(cluster.rejected),
    )
