"""Joins the two houses, starts, drains and stops.

The worker thread resolves a batch of jobs and hands all their broadcasts to the node in one crossing; a job
is deleted only after the node has them. Order of a start: the address is bound, the node takes connections,
the queue must answer, then jobs are reserved. Order of a stop: no job is reserved any more, those at hand
are finished, sockets are flushed and closed.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from bridge.errors import BridgeError, ServiceUnavailable
from bridge.jobs.queue.failed_jobs import FailedJobs
from bridge.jobs.resolve.rungs.php import PhpRung
from bridge.jobs.worker.at_work import AtWork
from bridge.jobs.worker.loop import Worker, WorkerHooks, WorkerState
from bridge.jobs.worker.retry_policy import RetryPolicy
from bridge.jobs.worker.set_aside import SetAside
from bridge.monitoring.timeseries import Sample
from bridge.serve.allocator import few_arenas
from bridge.serve.child import Child
from bridge.serve.deployment import BROADCAST_BACKOFF, BROADCAST_TRIES, Deployment, DeploymentHooks
from bridge.serve.lifecycle import (
    START_PATIENCE,
    first_error,
    reload_signals,
    stop_signal,
    wait_for_store,
)
from bridge.serve.monitors import MonitoredParts, Monitors
from bridge.serve.notify import STATUS_INTERVAL, ServiceManager
from bridge.serve.reconnect_gate import Present, ReconnectGate
from bridge.serve.reload import Reloader, ServedApps, read_apps
from bridge.serve.running import RunningFile
from bridge.serve.siblings import Siblings
from bridge.serve.threads import OtherJobsWorkers, WorkerThreads
from bridge.serve.wiring.ladder import php_rung
from bridge.serve.wiring.sockets import build_cluster
from bridge.settings.load import Settings
from bridge.settings.state import state_file
from bridge.sockets.pusher.close_codes import OVER_CAPACITY, RECONNECT
from bridge.sockets.server.binding import Listening, bind
from bridge.sockets.server.certificate import Certificate
from bridge.sockets.server.http_server import HttpOptions
from bridge.sockets.server.listener import Listener, ListenerOptions, Sharing, application, new_event_loop
from bridge.sockets.server.node import Node, NodeLimits, Peers
from bridge.sockets.server.socket import Socket
from bridge.sockets.server.trusted_proxies import Forwarded, Proxies
from bridge.sockets.webhooks.webhooks import Webhooks

if TYPE_CHECKING:
    from bridge.sockets.cluster.bus import Home
    from bridge.sockets.cluster.cluster import Cluster

SWITCH_INTERVAL = 0.0005  # seconds: the worker's computing shall not hold up the sockets
REPORT_PATIENCE = 10.0  # seconds that native events wait once for the app's boot
ALIVE = 4.0  # seconds between two signs of life to a service manager that wants them more seldom

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Jobs:
    """The jobs half: its threads, and what a deploy changes."""

    workers: WorkerThreads
    deployment: Deployment


@dataclass(slots=True)
class Daemon:
    """One `bridge serve`. `announce` is called with the address once connections and jobs are taken.

    reread     gives the settings as they are after a deploy
    show       is called every second with how the work goes
    listening  where it listens; None: as the settings say. Closed at the end
    child      this process is one of several, which has a part of the work; None: it has all of it
    manager    what has started this process, where it wants to hear of it
    """

    settings: Settings
    announce: Callable[[str], None]
    reread: Callable[[], Settings] | None = None
    routes: Sequence[BaseRoute] = ()
    open_dashboard: bool = False
    show: Callable[[Sample], None] | None = None
    listening: Listening | None = None
    child: Child | None = None
    manager: ServiceManager = field(default_factory=ServiceManager)

    def run(self) -> int:
        """Serves until SIGTERM or SIGINT; the exit code. Raises ConfigurationError or ServiceUnavailable."""
        settings = self.settings
        settings.certificate()  # TLS that is half configured is no plain HTTP
        listening = self.listening or Listening([bind(settings.host, settings.port)])
        few_arenas()
        asks_php = (
            php_rung(settings, patience=REPORT_PATIENCE) if self._has_jobs else contextlib.nullcontext()
        )
        with contextlib.closing(listening), asks_php as php:
            return self._run(listening, php)

    @property
    def _has_jobs(self) -> bool:
        return self.child is None or self.child.role == "jobs"

    def _run(self, listening: Listening, php: PhpRung | None) -> int:
        settings, child = self.settings, self.child
        try:
            instruments = Monitors(settings, is_open=self.open_dashboard, show=self.show)
            served = wait_for_store(partial(read_apps, settings))
            cluster = build_cluster(settings)
            node = Node(
                [app for app, _ in served],
                observers=[instruments.observe],
                limits=NodeLimits(
                    max_connections=settings.max_connections,
                    beside=(lambda: 0) if child is None else child.beside,
                    max_backlog=settings.max_backlog,
                    stall_timeout=settings.stall_timeout,
                ),
                proxies=Proxies(settings.trusted_proxies),
                peers=cast("Peers | None", cluster),
            )
            at_work = AtWork(_at_work_file(settings, listening))
            jobs = self._jobs(node, instruments, php, cluster, at_work) if self._has_jobs else None
            watched = MonitoredParts(
                node=node,
                worker=None if jobs is None else jobs.workers.worker,
                queue=None if jobs is None else jobs.workers.others.queue,
                php_processes=dict if php is None else php.processes,
                php_is_down=lambda: (
                    (php is not None and php.down is not None)
                    or (jobs is not None and any(lane.down is not None for lane in jobs.workers.others.lanes))
                ),
                cluster=cluster,
            )
            sys.setswitchinterval(SWITCH_INTERVAL)
            with (
                contextlib.nullcontext() if jobs is None else contextlib.closing(jobs.deployment),
                asyncio.Runner(loop_factory=new_event_loop) as runner,
            ):
                runner.run(self._serve(listening, watched, jobs, instruments, served, cluster))
            return 0
        except BaseExceptionGroup as group:
            raise first_error(group) from None

    def _jobs(
        self,
        node: Node,
        instruments: Monitors,
        php: PhpRung | None,
        cluster: Cluster[Socket] | None,
        at_work: AtWork,
    ) -> _Jobs:
        settings = self.settings
        others = OtherJobsWorkers.build(settings, lambda: deployment.last_paused, instruments.ran)
        aside = SetAside()
        deployment = Deployment(
            settings,
            node.publish_from_thread,
            php=php,
            reread=self.reread,
            hooks=DeploymentHooks(
                on_step=instruments.step, restarted=others.recycle, on_disagree=instruments.disagreed
            ),
            aside=aside,
            at_work=at_work,
        )
        worker = Worker(
            others.queue,
            others.failed,
            deployment.attempt,
            batch=settings.batch_size,
            retries=RetryPolicy(
                tries=BROADCAST_TRIES if settings.tries is None else settings.tries,
                backoff=settings.backoff or BROADCAST_BACKOFF,
            ),
            hooks=WorkerHooks(
                paused=deployment.paused
                if cluster is None
                else partial(_paused, deployment, settings.queue_names(), cluster),
                unlock=deployment.unlock,
                on_step=instruments.step,
                beside=others.wake,
                hurry=(lambda: None) if php is None else php.close,
            ),
            state=WorkerState(quota=others.quota, aside=aside, at_work=at_work),
        )
        return _Jobs(WorkerThreads(worker, others), deployment)

    # Longer than others: what starts in which order, and ends in which, can be seen only side by side.
    async def _serve(
        self,
        listening: Listening,
        watched: MonitoredParts,
        jobs: _Jobs | None,
        instruments: Monitors,
        served: ServedApps,
        cluster: Cluster[Socket] | None,
    ) -> None:
        node, child = watched.node, self.child
        loop = asyncio.get_running_loop()
        stopping, reload_requested = stop_signal(), reload_signals()
        if jobs is not None:
            jobs.workers.others.quota.end = partial(loop.call_soon_threadsafe, stopping.set)
        files = self.settings.certificate()
        certificate = Certificate(*files) if files else None
        webhooks = Webhooks() if cluster is None else Webhooks(delay=0.0)  # it has waited already
        gate = self._gate(listening, instruments, has_jobs=jobs is not None)

        def state() -> dict[str, object]:
            return {**({} if jobs is None else jobs.workers.ready()), **_readiness(cluster, gate)}

        def ready() -> dict[str, object]:
            # from the signal on, so that a proxy has time to see it while clients are still served
            return {**state(), **({"draining": True} if stopping.is_set() else {})}

        may_listen = asyncio.Event()
        listener = self._listener(listening, watched, instruments, webhooks, certificate, may_listen, ready)
        file = RunningFile(None if child else _running_file(self.settings, listening), 1)
        renewal = self._reloader(node, webhooks, certificate, jobs, instruments, file)
        renewal.use(served)
        if child is not None:
            child.start(stopping, lambda: listener.connections, instruments.clients, state)
        else:
            may_listen.set()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(listener.run())
            renewing = tasks.create_task(renewal.run(reload_requested))
            reporting = tasks.create_task(_report_status(self.manager, listener))
            keeping: asyncio.Task[None] | None = None
            try:
                await listener.started.wait()
                if cluster is not None:
                    await _meet(cluster, node)
                    keeping = tasks.create_task(cluster.run())
                may_listen.set()
                await listener.listening.wait()
                if jobs is not None:
                    await _stores_answer(jobs.workers)
                    if self.settings.max_time:
                        loop.call_later(self.settings.max_time, stopping.set)
                instruments.start(watched)
                self._report_ready(listening, file, tls=certificate is not None)
                working = tasks.create_task(_work(jobs.workers, gate, child)) if jobs is not None else None
                await stopping.wait()
                self.manager.stopping()
                log.info("stopping", extra={"action": "drain"})
                if jobs is not None and working is not None:
                    await self._drain_jobs(jobs.workers, gate, working)
            finally:
                renewing.cancel()
                if cluster is not None:
                    cluster.leave()
                await self._close(listener, is_kept=listening.is_kept)
                if cluster is not None:
                    await cluster.end_departures()
                await webhooks.stop(self.settings.drain_seconds)
                await instruments.stop(watched)
                reporting.cancel()
                file.remove()
                if cluster is not None and keeping is not None:
                    await cluster.stop()
                    keeping.cancel()
        if jobs is not None:
            await asyncio.to_thread(jobs.workers.close)

    def _reloader(
        self,
        node: Node,
        webhooks: Webhooks,
        certificate: Certificate | None,
        jobs: _Jobs | None,
        instruments: Monitors,
        file: RunningFile,
    ) -> Reloader:
        return Reloader(
            self.settings,
            node,
            webhooks,
            certificate,
            self.reread,
            (lambda: True) if jobs is None else jobs.deployment.renew,
            instruments.renew,
            begun=lambda: self._reload_begins(file),
            done=lambda is_done: self._reloaded(file, is_done=is_done),
        )

    async def _drain_jobs(
        self, workers: WorkerThreads, gate: ReconnectGate, working: asyncio.Task[None]
    ) -> None:
        """Takes no further job, and finishes those at work, in the time that they have."""
        working.cancel()
        await asyncio.wait([working])
        others = self.settings.drain_jobs_seconds
        await asyncio.to_thread(workers.stop, self.settings.drain_seconds, others=others)
        await gate.close()

    def _report_ready(self, listening: Listening, file: RunningFile, *, tls: bool) -> None:
        if self.child is None:
            self.announce(listening.address(tls=tls))
            file.write()
            self.manager.ready()
            return
        if self.child.address is not None:
            self.announce(self.child.address)
        self.child.serves()

    async def _close(self, listener: Listener, *, is_kept: bool) -> None:
        """Closes all connections. `is_kept`: the port, by whoever holds it for the next bridge."""
        code, spread = RECONNECT if is_kept else OVER_CAPACITY, 0.0
        if self.child is not None:
            self.child.end()
            code, spread = self.child.code, self.child.spread
        await listener.stop(code=code, spread=spread)

    def _gate(self, listening: Listening, instruments: Monitors, *, has_jobs: bool) -> ReconnectGate:
        """Holds jobs back until the clients of before are here again."""
        child = self.child
        gate = ReconnectGate(
            _clients_file(self.settings, listening) if has_jobs else None,
            lambda: Present(*(instruments.clients() if child is None else child.clients)),
            self.settings.reconnect_gate,
        )
        if child is not None and not child.is_first:  # clients are with the others
            gate.is_shut = False
        return gate

    def _listener(
        self,
        listening: Listening,
        watched: MonitoredParts,
        instruments: Monitors,
        webhooks: Webhooks,
        certificate: Certificate | None,
        may_listen: asyncio.Event,
        ready: Callable[[], dict[str, object]],
    ) -> Listener:
        child = self.child
        routes = instruments.routes(watched, webhooks.attempts) if child is None else ()
        if child is not None and child.role == "sockets":
            routes = instruments.routes_for_all(watched, child.folder, child.name)
        return Listener(
            watched.node,
            listening.sockets,
            routes=[*self.routes, *routes],
            sharing=Sharing(
                private=None
                if child is None
                else ([child.private], _private(instruments, watched, child, webhooks)),
                yields=None if child is None else child.yields,
                may_listen=may_listen,
            ),
            ready=ready if child is None else child.ready,
            options=ListenerOptions(
                certificate=certificate,
                proxy_protocol=self.settings.proxy_protocol,
                http=HttpOptions(
                    path_prefix=self.settings.path_prefix, request_timeout=self.settings.request_timeout
                ),
            ),
        )

    def _reload_begins(self, file: RunningFile) -> None:
        if self.child is None:
            self.manager.reloading()
            file.begin()

    def _reloaded(self, file: RunningFile, *, is_done: bool) -> None:
        if self.child is not None:
            self.child.rereads(is_done)
            return
        self.manager.ready()
        if is_done:
            file.end(0, "apps, webhooks, certificate and the app's code are read anew; the process stays")
        else:
            file.end(1, "what could not be read stays as it was: the log says why")


async def _report_status(manager: ServiceManager, listener: Listener) -> None:
    """Reports for ever to the service manager: the loop turns, how many clients there are, a stop makes
    progress."""
    pause = min(ALIVE, STATUS_INTERVAL if manager.watchdog is None else manager.watchdog / 3)
    reported_at = 0.0
    while True:
        manager.alive()
        if listener.is_stopping:
            manager.extend()
        elif time.monotonic() - reported_at >= STATUS_INTERVAL:
            reported_at = time.monotonic()
            manager.status(f"{listener.connections} connections")
        await asyncio.sleep(pause)


def _private(instruments: Monitors, watched: MonitoredParts, child: Child, webhooks: Webhooks) -> ASGIApp:
    """What other processes of this bridge may ask; they name the client."""
    siblings = Siblings(child.folder, child.name) if child.role == "jobs" else None
    routes = instruments.private_routes(watched, webhooks.attempts, siblings)
    return Forwarded(application(routes), Proxies(on_unix=True))


async def _stores_answer(workers: WorkerThreads) -> None:
    """Waits until the queue's store answers, and checks failed_jobs."""
    await asyncio.to_thread(wait_for_store, workers.others.queue.check)
    workers.worker.store_answers.set()
    await asyncio.to_thread(_look_at_failed_jobs, workers.others.failed)


async def _work(workers: WorkerThreads, gate: ReconnectGate, child: Child | None) -> None:
    """Takes jobs for ever, once the clients of before are back."""
    if child is not None:
        await child.may_take_jobs.wait()
    await gate.wait()
    workers.start()
    await gate.keep()


def _running_file(settings: Settings, listening: Listening) -> Path | None:
    """None for what ends by itself."""
    if settings.once or settings.stop_when_empty:
        return None
    return state_file(settings, f"serving-{listening.port or 'unix'}")


def _clients_file(settings: Settings, listening: Listening) -> Path | None:
    """Where the number of clients outlives a restart; None: jobs never wait for them."""
    ends_by_itself = settings.once or settings.stop_when_empty
    if settings.reconnect_gate == 0 or ends_by_itself or (settings.port == 0 and not listening.is_kept):
        return None
    port = listening.port if listening.sockets else settings.port
    return state_file(settings, f"clients-{port or 'unix'}")


def _at_work_file(settings: Settings, listening: Listening) -> Path | None:
    """Where it stands which job is at work; None for what ends by itself, or has another port each time."""
    ends_by_itself = settings.once or settings.stop_when_empty
    if ends_by_itself or (settings.port == 0 and not listening.is_kept):
        return None
    port = listening.port if listening.sockets else settings.port
    return state_file(settings, f"at-work-{port or 'unix'}")


def _readiness(cluster: Cluster[Socket] | None, gate: ReconnectGate) -> dict[str, bool]:
    """For `/ready`, what is there only for some."""
    bus = {} if cluster is None else {"bus": cluster.is_up}
    return bus | ({"waiting_for_clients": True} if gate.is_shut else {})


async def _meet(cluster: Cluster[Socket], node: Node) -> None:
    """Meets the other nodes. Raises ServiceUnavailable if the bus does not answer in START_PATIENCE."""
    deadline = time.monotonic() + START_PATIENCE
    home = cast("Home[Socket]", node)  # whose hubs are the cluster's, since it has made them
    while True:
        try:
            await cluster.start(home)
            return
        except ServiceUnavailable:
            if time.monotonic() > deadline:
                raise
        await asyncio.sleep(0.25)


def _paused(deployment: Deployment, names: Collection[str], cluster: Cluster[Socket]) -> Collection[str]:
    """The queues from which nothing may be taken now: all, while not all nodes can be reached."""
    paused = deployment.paused()
    return paused if cluster.is_publishing else names


def _look_at_failed_jobs(failed: FailedJobs) -> None:
    """Warns at the start if failed jobs cannot be kept: they would be released for ever."""
    try:
        failed.check()
    except BridgeError as problem:
        log.warning(
            "jobs that fail cannot be kept, they will stay in the queue",
            extra={"action": "failed_jobs", "why": str(problem)},
        )
