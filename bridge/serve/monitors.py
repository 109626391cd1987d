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
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from starlette.routing import BaseRoute, Route

from bridge.broadcast import Broadcast
from bridge.errors import BridgeError, ConfigurationError, ServiceUnavailable
from bridge.jobs.queue.queue import Queue
from bridge.jobs.resolve.trust import Disagreement
from bridge.jobs.worker.loop import Worker
from bridge.jobs.worker.progress import JobProgress, OtherJobRun
from bridge.laravel.packages import installed_version
from bridge.monitoring.alert_sender import AlertSender, mail_server, recipient
from bridge.monitoring.alerts import AlertRules, Alerts, Facts
from bridge.monitoring.counters import Counters
from bridge.monitoring.dashboard.event_stream import EventStream
from bridge.monitoring.dashboard.processes import routes_for_others
from bridge.monitoring.dashboard.routes import Dashboard
from bridge.monitoring.dashboard.session import SessionGuard
from bridge.monitoring.job_recorder import JobRecorder
from bridge.monitoring.journal import Journal
from bridge.monitoring.legacy_dashboard import ORIGIN, LegacyDashboard
from bridge.monitoring.metrics import (
    BridgeCollector,
    Bus,
    MetricsAccess,
    ScrapeState,
    metrics_route,
    metrics_text,
)
from bridge.monitoring.statistics import Counts, StatisticsWindow
from bridge.monitoring.summary import SUMMARY_INTERVAL, Summary
from bridge.monitoring.timeseries import NONE_BESIDE, POINT_INTERVAL, Beside, Sample, TimeSeries
from bridge.secret import Secret
from bridge.serve.dashboard_backend import AppBackend
from bridge.serve.siblings import Siblings, forwarding_routes, metrics_of_all, numbers_route
from bridge.serve.wiring.history import build_job_history, build_statistics
from bridge.settings.load import Settings
from bridge.sockets.pusher.app import App
from bridge.sockets.pusher.hub_events import HubEvent, Published
from bridge.sockets.server import occupancy
from bridge.sockets.server.node import Node
from bridge.sockets.server.socket import Socket
from bridge.sockets.webhooks.attempts import WebhookAttempt

if TYPE_CHECKING:
    from bridge.sockets.cluster.cluster import Cluster

DEPTH_INTERVAL, IDLE_DEPTH_INTERVAL = 1.0, 15.0  # seconds; the latter while nobody looks
SCRAPE_PATIENCE = 5.0  # seconds that /metrics waits for the queue's store
ALERT_INTERVAL = 15.0  # seconds
SIBLINGS_INTERVAL = 1.0  # seconds
CHANNELS_INTERVAL = 3.0  # seconds
SIBLINGS_ROWS = 50  # of each process, each time
ALERT_PATIENCE = 5.0  # seconds that a stop waits for alerts that are on their way
RESTING_SHARE = 20  # a look at the queue that took t seconds is followed by 20 t of rest

log = logging.getLogger(__name__)


class _Access(TypedDict):
    password: Secret | None
    link_secret: Secret | None
    gate: str | None
    origins: Sequence[str]


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
        self._statistics_window = StatisticsWindow(self._counters)
        self._jobs = JobRecorder(self._counters.jobs, build_job_history(settings))
        self._backend = AppBackend(settings, self._statistics, self._jobs)
        self._scheduler = AsyncIOScheduler(timezone=UTC)
        self._legacy_dashboard: LegacyDashboard | None = None
        self._feed: EventStream | None = None
        self._access = SessionGuard(**_access_options(settings), is_open=is_open)
        self._apps: Callable[[], Sequence[App]] = tuple  # that are served now
        self._summary_of_log = Summary(self._counters)
        self._looking: asyncio.Task[None] | None = None
        self._looked: tuple[float, float] | None = None  # monotonic, when a look ended, and what it took
        self._statistics_problem = ""
        self._alerts = Alerts(_alert_rules(settings))
        self._alert_sender = _alert_sender(settings)
        self._jobs_problem = ""
        self._channels = 0  # of all nodes, where there are others

    def observe(self, event: HubEvent) -> None:
        if self._legacy_dashboard is not None:
            if isinstance(event, Published) and event.origin == ORIGIN:
                return
            self._legacy_dashboard.observe(event)
        self._journal.observe(event)
        self._counters.observe(event)

    def step(self, step: JobProgress) -> None:
        self._journal.step(step)
        self._counters.step(step)

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
        collector = BridgeCollector(
            self._counters,
            lambda: self._now(watched),
            (lambda: 0) if worker is None else lambda: worker.counts["store_faults"],
        )
        return metrics_text(collector, lambda: self._scrape(watched))

    def _metrics_access(self) -> MetricsAccess:
        return MetricsAccess(self._settings.metrics_addresses, self._settings.metrics_token)

    def clients(self) -> tuple[int, int]:
        """Connections and subscriptions of all apps, as they are now."""
        return self._counters.total("connections"), self._counters.total("subscriptions")

    def renew(self, settings: Settings) -> None:
        """Who may look, what is shown and the apps of the forms are these settings'. On the loop."""
        self._access.use(**_access_options(settings))
        self._backend.use(settings)

    def start(self, watched: MonitoredParts) -> None:
        """On the loop."""
        self._apps = lambda: [hub.app for hub in watched.node.hubs.values()]
        self._legacy_dashboard = _legacy_dashboard(self._settings, watched.node)
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
            looks = self._feed is not None and self._feed.watchers > 0
            for one in await self._siblings.listen(SIBLINGS_ROWS if looks else 0):
                self._journal.elsewhere(one)

    async def _count_channels(self, watched: MonitoredParts) -> None:
        """Of all nodes, for those who look."""
        if self._feed is not None and self._feed.watchers:
            node = watched.node
            with contextlib.suppress(ServiceUnavailable):  # /ready and the log say so
                counts = [await occupancy.channels(node, hub) for hub in list(node.hubs.values())]
                self._channels = sum(map(len, counts))

    async def _look_at_queue(self, watched: MonitoredParts) -> None:
        if self._looked is not None:
            ended, took = self._looked
            looks = self._show is not None or (self._feed is not None and self._feed.watchers > 0)
            rest = max(0.0 if looks else IDLE_DEPTH_INTERVAL, RESTING_SHARE * took)
            if time.monotonic() < ended + rest:
                return
        await self._look(watched)

    async def _scrape(self, watched: MonitoredParts) -> None:
        """The depths are those of now, or none where the store does not answer in time."""
        try:
            async with asyncio.timeout(SCRAPE_PATIENCE):
                await self._look(watched)
        except TimeoutError:
            self._time_series.depths = {}

    async def _look(self, watched: MonitoredParts) -> None:
        """Whoever wants a look while one is under way gets that one."""
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._ask_depths(watched))
        await asyncio.shield(self._looking)

    async def _ask_depths(self, watched: MonitoredParts) -> None:
        started, at = time.monotonic(), time.time()
        try:
            depths = {} if watched.queue is None else await asyncio.to_thread(watched.queue.depth)
        except BridgeError:  # the worker says so
            depths = {}
        self._time_series.depths, self._time_series.looked_at = depths, at
        self._looked = (time.monotonic(), time.monotonic() - started)

    def _log_minute(self) -> None:
        numbers = self._summary_of_log.take()
        if numbers is not None:
            waiting = sum(depth.pending for depth in self._time_series.depths.values())
            about = {"action": "summary", **numbers, "waiting": waiting}
            log.info("the last minute", extra=about)

    async def _write_statistics(self, watched: MonitoredParts) -> None:
        if self._statistics is None:
            return
        rows = {app.id: self._statistics_window.take(app.id) for app in self._apps() if app.keeps_statistics}
        try:
            if watched.cluster is not None:
                numbers = {app_id: (row.peak, row.websocket, row.api) for app_id, row in rows.items()}
                rows = {
                    app_id: Counts(peak=peak, websocket=websocket, api=api)
                    for app_id, (peak, websocket, api) in (await watched.cluster.share(numbers)).items()
                }
            await asyncio.to_thread(self._statistics.add, rows)
            self._statistics_problem = ""
            if self._legacy_dashboard is not None:
                self._legacy_dashboard.counted(rows)
        except BridgeError as problem:
            if self._statistics_problem != str(problem):  # once, not every minute
                self._statistics_problem = str(problem)
                about = {"action": "statistics", "why": str(problem)}
                level = logging.INFO if isinstance(problem, ConfigurationError) else logging.WARNING
                log.log(level, "statistics are not written", extra=about)

    async def _check_alerts(self, watched: MonitoredParts) -> None:
        if self._alert_sender is None:
            return
        tally = self._counters
        tells_of_queue = watched.cluster is None or watched.cluster.has_duty  # one bridge of several
        facts = Facts(
            oldest=self._time_series.oldest() if tells_of_queue else None,
            failed=tally.steps["failed"] + tally.others["failed"],
            cut=tally.total("cut") + self._beside().cut,
            disagreements=tally.disagreements,
            php_is_down=watched.php_is_down(),
        )
        for alert in self._alerts.check(facts, time.monotonic()):
            self._alert_sender.send(alert)

    async def _record_jobs(self, watched: MonitoredParts) -> None:
        tidies = watched.cluster is None or watched.cluster.has_duty
        try:
            await asyncio.to_thread(self._jobs.record, tidies=tidies)
            self._jobs_problem = ""
        except BridgeError as problem:
            if self._jobs_problem != str(problem):
                self._jobs_problem = str(problem)
                about = {"action": "job_history", "why": str(problem)}
                log.warning("the history of jobs is not written", extra=about)

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


def _legacy_dashboard(settings: Settings, node: Node) -> LegacyDashboard | None:
    release = settings.legacy_dashboard
    if release is None:
        version = installed_version(settings.laravel.path, "beyondcode/laravel-websockets")
        release = "off" if version is None else "1" if version.startswith("1.") else "2"
    if release == "off":
        return None
    loop = asyncio.get_running_loop()

    def publish(broadcast: Broadcast) -> None:
        # in the next turn, for the hub is still busy with this event
        loop.call_soon(deliver, broadcast)

    def deliver(broadcast: Broadcast) -> None:
        if broadcast.app_id in node.hubs:
            node.publish([broadcast], origin=ORIGIN)

    zone = settings.laravel.timezone
    return LegacyDashboard("1" if release == "1" else "2", publish, clock=lambda: datetime.now(zone))


def _bus(cluster: Cluster[Socket]) -> Bus:
    return Bus(
        is_up=cluster.is_up,
        nodes=1 + len(cluster.others),
        gaps=cluster.gaps,
        repairs=cluster.repairs,
        rejected=dict(cluster.rejected),
    )


def _alert_rules(settings: Settings) -> AlertRules:
    return AlertRules(
        wait=settings.alert_wait,
        failures=settings.alert_failures,
        cut_clients=settings.alert_cut_clients,
        php_down=settings.alert_php_down,
        disagreements=settings.alert_disagreements,
    )


def _alert_sender(settings: Settings) -> AlertSender | None:
    """None where nobody gets alerts. ConfigurationError for mail without a mail server."""
    recipients = [recipient(address.reveal()) for address in settings.alert_to]
    if not recipients:
        return None
    has_mail = any(one.kind == "mail" for one in recipients)
    mail = mail_server(settings.laravel) if has_mail else None
    return AlertSender(recipients, app=settings.laravel.name, mail=mail)


def _access_options(settings: Settings) -> _Access:
    return {
        "password": settings.dashboard_password,
        "link_secret": settings.link_secret(),
        "gate": settings.dashboard_gate,
        "origins": settings.dashboard_origins,
    }
