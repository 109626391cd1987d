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
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import cast

from starlette.routing import BaseRoute

from bridge.errors import BridgeError, ServiceUnavailable
from bridge.jobs.queue.failed_jobs import FailedJobs
from bridge.jobs.resolve.rungs.php import PhpRung
from bridge.jobs.worker.loop import Worker
from bridge.jobs.worker.set_aside import SetAside
from bridge.monitoring.timeseries import Sample
from bridge.serve.deployment import BROADCAST_BACKOFF, BROADCAST_TRIES, Deployment
from bridge.serve.lifecycle import (
    START_PATIENCE,
    first_error,
    hang_up_signal,
    stop_signal,
    wait_for_store,
)
from bridge.serve.monitors import MonitoredParts, Monitors
from bridge.serve.reconnect_gate import Present, ReconnectGate
from bridge.serve.reload import Reloader, ServedApps, read_apps
from bridge.serve.sockets_wiring import build_cluster
from bridge.serve.threads import OtherJobsWorkers, WorkerThreads
from bridge.serve.wiring import (
    php_rung,
    state_file,
)
from bridge.settings.load import Settings
from bridge.sockets.cluster.cluster import Cluster, Home
from bridge.sockets.pusher.close_codes import OVER_CAPACITY, RECONNECT
from bridge.sockets.server.binding import Listening, bind
from bridge.sockets.server.certificate import Certificate
from bridge.sockets.server.listener import Listener, new_event_loop
from bridge.sockets.server.node import Node, Peers
from bridge.sockets.server.socket import Socket
from bridge.sockets.server.trusted_proxies import Proxies
from bridge.sockets.webhooks.webhooks import Webhooks

SWITCH_INTERVAL = 0.0005  # seconds: the worker's computing shall not hold up the sockets

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Daemon:
    """One `bridge serve`. `announce` is called with the address once connections and jobs are taken.

    reread     gives the settings as they are after a deploy
    show       is told how the work goes, every second
    listening  where it listens; None: as the settings say. Closed at the end
    """

    settings: Settings
    announce: Callable[[str], None]
    reread: Callable[[], Settings] | None = None
    routes: Sequence[BaseRoute] = ()
    open_dashboard: bool = False
    show: Callable[[Sample], None] | None = None
    listening: Listening | None = None

    def run(self) -> int:
        """Serves until SIGTERM or SIGINT; the exit code. Raises ConfigurationError or ServiceUnavailable."""
        settings = self.settings
        settings.certificate()  # TLS that is half configured is no plain HTTP
        listening = self.listening or Listening([bind(settings.host, settings.port)])
        with contextlib.closing(listening), php_rung(settings) as php:
            return self._run(listening, php)

    def _run(self, listening: Listening, php: PhpRung | None) -> int:
        settings = self.settings
        try:
            instruments = Monitors(settings, is_open=self.open_dashboard, show=self.show)
            served = wait_for_store(partial(read_apps, settings))
            cluster = build_cluster(settings)
            node = Node(
                [app for app, _ in served],
                observers=[instruments.observe],
                max_connections=settings.max_connections,
                max_backlog=settings.max_backlog,
                stall_timeout=settings.stall_timeout,
                proxies=Proxies(settings.trusted_proxies),
                peers=cast("Peers | None", cluster),
            )
            others = OtherJobsWorkers.build(settings, lambda: deployment.known_paused, instruments.ran)
            queue, failed = others.queue, others.failed
            aside = SetAside()
            deployment = Deployment(
                settings,
                node.publish_from_thread,
                php=php,
                reread=self.reread,
                tell=instruments.step,
                aside=aside,
                restarted=others.recycle,
                on_disagree=instruments.disagreed,
            )
            worker = Worker(
                queue,
                failed,
                deployment.attempt,
                batch=settings.batch_size,
                tries=BROADCAST_TRIES if settings.tries is None else settings.tries,
                backoff=settings.backoff or BROADCAST_BACKOFF,
                paused=deployment.paused
                if cluster is None
                else partial(_paused, deployment, settings.queue_names(), cluster),
                unlock=deployment.unlock,
                tell=instruments.step,
                ending=others.ending,
                beside=others.wake,
                aside=aside,
                hurry=(lambda: None) if php is None else php.close,
            )
            helpers = dict if php is None else php.processes
            watched = MonitoredParts(
                node=node,
                worker=worker,
                queue=queue,
                helpers=helpers,
                php_is_down=lambda: (
                    (php is not None and php.down is not None)
                    or any(lane.down is not None for lane in others.lanes)
                ),
                cluster=cluster,
            )
            sys.setswitchinterval(SWITCH_INTERVAL)
            with (
                contextlib.closing(deployment),
                asyncio.Runner(loop_factory=new_event_loop) as runner,
            ):
                crew = WorkerThreads(worker, others)
                runner.run(
                    self._serve(listening, watched, crew, instruments, served, deployment.renew, cluster)
                )
            return 0
        except BaseExceptionGroup as group:
            raise first_error(group) from None

    async def _serve(
        self,
        listening: Listening,
        watched: MonitoredParts,
        crew: WorkerThreads,
        instruments: Monitors,
        served: ServedApps,
        tell: Callable[[], bool],
        cluster: Cluster[Socket] | None,
    ) -> None:
        node = watched.node
        stopping, hung_up = stop_signal(), hang_up_signal()
        crew.others.ending.end = partial(asyncio.get_running_loop().call_soon_threadsafe, stopping.set)
        files = self.settings.certificate()
        certificate = Certificate(*files) if files else None
        webhooks = Webhooks() if cluster is None else Webhooks(delay=0.0)  # it has waited already
        listener = Listener(
            node,
            listening.sockets,
            routes=[*self.routes, *instruments.routes(watched, webhooks.attempts)],
            ready=lambda: {**crew.ready(), **_readiness(cluster, gate)},
            certificate=certificate,
            proxy_protocol=self.settings.proxy_protocol,
            path_prefix=self.settings.path_prefix,
            request_timeout=self.settings.request_timeout,
        )
        gate = ReconnectGate(
            _clients_file(self.settings, listening),
            lambda: Present(*instruments.clients()),
            self.settings.reconnect_gate,
        )
        renewal = Reloader(self.settings, node, webhooks, certificate, self.reread, tell, instruments.renew)
        renewal.use(served)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(listener.run())
            renewing = tasks.create_task(renewal.run(hung_up))
            keeping: asyncio.Task[None] | None = None
            try:
                await listener.listening.wait()
                if cluster is not None:
                    await _meet(cluster, node)
                    keeping = tasks.create_task(cluster.run())
                await asyncio.to_thread(wait_for_store, crew.others.queue.check)
                watched.worker.store_answers.set()
                await asyncio.to_thread(_look_at_failed_jobs, crew.others.failed)
                if self.settings.max_time:
                    asyncio.get_running_loop().call_later(self.settings.max_time, stopping.set)
                instruments.start(watched)
                self.announce(listening.address(tls=certificate is not None))
                working = tasks.create_task(_work(crew, gate))
                await stopping.wait()
                log.info("stopping", extra={"action": "drain"})
                working.cancel()
                await asyncio.wait([working])
                others = self.settings.drain_jobs_seconds
                await asyncio.to_thread(crew.stop, self.settings.drain_seconds, others=others)
                await gate.close()
            finally:
                renewing.cancel()
                if cluster is not None:
                    cluster.leave()
                await listener.stop(code=RECONNECT if listening.is_kept else OVER_CAPACITY)
                await webhooks.stop(self.settings.drain_seconds)
                await instruments.stop(watched)
                if cluster is not None and keeping is not None:
                    await cluster.stop()
                    keeping.cancel()
        await asyncio.to_thread(crew.close)


async def _work(crew: WorkerThreads, gate: ReconnectGate) -> None:
    """Jobs are taken once the clients of before are back; for ever."""
    await gate.wait()
    crew.start()
    await gate.keep()


def _clients_file(settings: Settings, listening: Listening) -> Path | None:
    """Where the number of clients outlives a restart; None: jobs never wait for them."""
    ends_by_itself = settings.once or settings.stop_when_empty
    if settings.reconnect_gate == 0 or ends_by_itself or (settings.port == 0 and not listening.is_kept):
        return None
    return state_file(settings, f"clients-{listening.port or 'unix'}")


def _readiness(cluster: Cluster[Socket] | None, gate: ReconnectGate) -> dict[str, bool]:
    """For `/ready`, what is there only for some."""
    bus = {} if cluster is None else {"bus": cluster.is_up}
    return bus | ({"waiting_for_clients": True} if gate.is_shut else {})


async def _meet(cluster: Cluster[Socket], node: Node) -> None:
    """The other nodes are met. Raises ServiceUnavailable if the bus does not answer in START_PATIENCE."""
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
    """The queues from which nothing may be taken now: all, while not all nodes can be told."""
    paused = deployment.paused()
    return paused if cluster.is_publishing else names


def _look_at_failed_jobs(failed: FailedJobs) -> None:
    """A job that cannot be kept would be released for ever: say so at the start, and go on."""
    try:
        failed.check()
    except BridgeError as problem:
        log.warning(
            "jobs that fail cannot be kept, they will stay in the queue",
            extra={"action": "failed_jobs", "why": str(problem)},
        )
