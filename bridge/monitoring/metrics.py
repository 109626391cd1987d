"""Metrics for Prometheus: made from the tally when they are asked for, so that counting costs nothing more.

No label holds a text that a client or a job chose: channels, events and reasons stay out of it.
"""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bridge import __version__
from bridge.jobs.queue.queue import Depth
from bridge.monitoring.counters import Counters, Durations
from bridge.secret import Secret

# AppCounters's own numbers: attribute → metric and what it means.
_COUNTERS = {
    "opened": ("bridge_connections_opened", "Connections since the start."),
    "received": ("bridge_messages_received", "Messages of clients, pings too."),
    "sent": ("bridge_messages_sent", "Events given to sockets: broadcasts times their receivers."),
    "size_in": ("bridge_messages_received_characters", "Characters of the messages of clients."),
    "size_out": ("bridge_messages_sent_characters", "Characters of the data of events given to sockets."),
    "broadcasts": ("bridge_broadcasts", "Broadcasts, wherever they came from."),
    "client_events": ("bridge_client_events", "Events of clients to each other."),
    "api_messages": ("bridge_api_messages", "Channels of events that came over the HTTP API."),
    "cut": ("bridge_slow_clients_cut", "Clients that were cut because they read too slowly."),
    "resumed": ("bridge_resumed_channels", "Channels that a client came back to with `resume_seconds`."),
    "replayed": ("bridge_replayed_events", "Events that such a client got because it had missed them."),
    "gaps": ("bridge_resume_gaps", "Times that such a client was told that it may have missed more."),
}
_GAUGES = {
    "connections": ("bridge_connections", "Connections now."),
    "subscriptions": ("bridge_subscriptions", "Subscriptions now."),
}
_STEPS = ("reserved", "delivered", "nothing", "failed", "released", "given_back")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bus:
    """What joins this process with others.

    nodes     that are known, with this one
    gaps      channels in which events were missed and could not be had again
    repairs   channels that were asked for again since something was missing
    rejected  messages that were not believed, by reason
    """

    is_up: bool
    nodes: int
    gaps: int
    repairs: int
    rejected: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScrapeState:
    """What is asked at the moment of a scrape.

    channels  app id → occupied channels
    depths    queue → jobs as of `looked_at`, in unix seconds; empty where the store does not answer
    slow      clients that have not read what they were sent
    answers   whether the queue's store does; None where another process takes the jobs
    php_processes  PHP processes: state (`living`, `most`) → how many; empty where there is no PHP
    php_is_down  whether no PHP process can be started at present
    bus       None where this process is alone
    """

    channels: Mapping[str, int]
    depths: Mapping[str, Depth]
    looked_at: float
    slow: int
    answers: bool | None
    php_processes: Mapping[str, int]
    php_is_down: bool = False
    bus: Bus | None = None


class BridgeCollector(Collector):
    """`store_faults` counts the times that the queue's store did not answer."""

    def __init__(
        self, tally: Counters, now: Callable[[], ScrapeState], store_faults: Callable[[], int]
    ) -> None:
        self._counters = tally
        self._now = now
        self._store_faults = store_faults

    def collect(self) -> Iterator[Metric]:
        info = GaugeMetricFamily("bridge_info", "The version of bridge.", labels=["version"])
        info.add_metric([__version__], 1)
        yield info
        yield from self._of_apps()
        yield from self._of_jobs()
        yield from self._of_now(self._now())

    def _of_apps(self) -> Iterator[Metric]:
        apps = {app_id: app for app_id, app in self._counters.apps.items() if app_id}
        for attribute, (name, help) in _GAUGES.items():
            gauge = GaugeMetricFamily(name, help, labels=["app"])
            for app_id, app in apps.items():
                gauge.add_metric([app_id], getattr(app, attribute))
            yield gauge
        for attribute, (name, help) in _COUNTERS.items():
            counter = CounterMetricFamily(name, help, labels=["app"])
            for app_id, app in apps.items():
                counter.add_metric([app_id], getattr(app, attribute))
            yield counter
        closed = CounterMetricFamily(
            "bridge_connections_closed", "Connections that ended, by close code.", labels=["app", "code"]
        )
        refused = CounterMetricFamily(
            "bridge_refusals",
            "Connections, subscriptions and messages that were refused.",
            labels=["app", "what", "code"],
        )
        calls = CounterMetricFamily(
            "bridge_api_calls", "Requests to the HTTP API.", labels=["app", "method", "status"]
        )
        for app_id, app in self._counters.apps.items():
            for code, count in list(app.closed.items()):
                closed.add_metric([app_id, _close_code(code)], count)
            for (what, code), count in list(app.refused.items()):
                refused.add_metric([app_id, what, str(code)], count)
            for (method, status), count in list(app.calls.items()):
                calls.add_metric([app_id, method, str(status)], count)
        yield from (closed, refused, calls)
        yield _histogram("bridge_api_seconds", "Time to answer the HTTP API.", {"": self._counters.called})

    def _of_jobs(self) -> Iterator[Metric]:
        tally = self._counters
        jobs = CounterMetricFamily("bridge_jobs", "Steps of jobs: reserved, then one end.", labels=["step"])
        for step in _STEPS:
            jobs.add_metric([step], tally.steps[step])
        resolved = CounterMetricFamily(
            "bridge_jobs_resolved", "Jobs by the rung that resolved them.", labels=["rung"]
        )
        for rung, count in list(tally.rungs.items()):
            resolved.add_metric([rung or "none"], count)
        others = CounterMetricFamily(
            "bridge_other_jobs", "Attempts of jobs that are no broadcasts, by their end.", labels=["ended"]
        )
        for ended in ("done", "failed", "released"):
            others.add_metric([ended], tally.others[ended])
        errors = CounterMetricFamily(
            "bridge_job_errors", "Jobs that failed or were released, by class of the error.", labels=["error"]
        )
        for error, count in list(tally.errors.items()):
            errors.add_metric([error], count)
        disagreements = CounterMetricFamily(
            "bridge_native_disagreements", "Classes for which native evaluation and PHP were found to differ."
        )
        disagreements.add_metric([], tally.disagreements)
        yield disagreements
        faults = CounterMetricFamily("bridge_store_faults", "Times the queue's store did not answer.")
        faults.add_metric([], self._store_faults())
        yield from (jobs, others, resolved, errors, faults)
        yield _histogram(
            "bridge_job_wait_seconds",
            "From due to reserved, where the store or the payload says since when.",
            {"": tally.waited},
        )
        yield _histogram("bridge_job_seconds", "From reserved to delivered.", {"": tally.worked})
        yield _histogram(
            "bridge_resolve_seconds", "Resolving a job, by rung.", dict(tally.resolved), label="rung"
        )

    def _of_now(self, now: ScrapeState) -> Iterator[Metric]:
        channels = GaugeMetricFamily("bridge_channels", "Occupied channels.", labels=["app"])
        for app_id, count in now.channels.items():
            channels.add_metric([app_id], count)
        depth = GaugeMetricFamily(
            "bridge_queue_jobs", "Jobs in the queue, broadcasts and others.", labels=["queue", "state"]
        )
        oldest = GaugeMetricFamily(
            "bridge_queue_oldest_seconds",
            "How long the oldest job has been due, at this look.",
            labels=["queue"],
        )
        for queue, jobs in now.depths.items():
            for state in ("pending", "delayed", "reserved"):
                depth.add_metric([queue, state], getattr(jobs, state))
            if jobs.oldest_at is not None:
                oldest.add_metric([queue], max(0.0, now.looked_at - jobs.oldest_at))
        slow = GaugeMetricFamily("bridge_slow_clients", "Clients that lag behind with reading.")
        slow.add_metric([], now.slow)
        up = GaugeMetricFamily("bridge_store_up", "1 while the queue's store answers.")
        if now.answers is not None:
            up.add_metric([], int(now.answers))
        processes = GaugeMetricFamily("bridge_php_processes", "Resident PHP processes.", labels=["state"])
        for state, count in now.php_processes.items():
            processes.add_metric([state], count)
        down = GaugeMetricFamily("bridge_php_down", "1 while no PHP process can be started.")
        down.add_metric([], int(now.php_is_down))
        yield from (channels, depth, oldest, slow, up, processes, down)
        if now.bus is not None:
            yield from _of_bus(now.bus)


def _of_bus(bus: Bus) -> Iterator[Metric]:
    yield GaugeMetricFamily("bridge_bus_up", "1 while events go to other processes.", int(bus.is_up))
    yield GaugeMetricFamily("bridge_bus_nodes", "Processes that serve together.", bus.nodes)
    yield CounterMetricFamily("bridge_bus_gaps", "Channels with events that were missed for good.", bus.gaps)
    yield CounterMetricFamily("bridge_bus_repairs", "Channels that had to be asked for again.", bus.repairs)
    rejected = CounterMetricFamily(
        "bridge_bus_rejected", "Messages on the bus that were not believed.", labels=["reason"]
    )
    for reason, count in bus.rejected.items():
        rejected.add_metric([reason], count)
    yield rejected


class MetricsAccess:
    """Who may scrape: these addresses, but not through a proxy, and whoever bears the token.

    A proxy on this machine has its address. It gives itself away by what it adds, by the Host that its
    clients asked for, or by HTTP/1.0, which nginx speaks where it is told nothing else."""

    def __init__(self, addresses: Sequence[str], token: Secret | None) -> None:
        self._addresses = frozenset(addresses)
        self._token = token

    def allows(self, request: Request) -> bool:
        given = request.headers.get("authorization", "").removeprefix("Bearer ")
        if self._token and hmac.compare_digest(given.encode(), self._token.reveal().encode()):
            return True
        if request.client is None or request.client.host not in self._addresses:
            return False
        return not any(_forwards(name) for name in request.headers) and not _is_proxied(request)


def _forwards(header: str) -> bool:
    return header.startswith("x-forwarded-") or header in (
        "forwarded",
        "via",
        "x-real-ip",
        "cf-connecting-ip",
    )


def _is_proxied(request: Request) -> bool:
    """Whether a request of this machine was made for another that knows it by a name."""
    if request.client is None or not _is_loopback(request.client.host):
        return False
    given = request.headers.get("host", "")
    try:
        host = urlsplit(f"//{given}").hostname or ""
    except ValueError:
        return True
    if "@" in given:
        return True
    return not (host == "localhost" or _is_loopback(host)) or request.scope.get("http_version") == "1.0"


def _is_loopback(text: str) -> bool:
    try:
        return ipaddress.ip_address(text).is_loopback
    except ValueError:
        return False


def metrics_text(
    collector: Collector, look: Callable[[], Awaitable[object]]
) -> Callable[[], Awaitable[bytes]]:
    """Gives the metrics of this process. `look` is done before: what it gives is of now."""
    registry = CollectorRegistry()
    for own in (collector, ProcessCollector(registry=None), PlatformCollector(registry=None)):
        registry.register(own)
    GCCollector(registry=registry)

    async def text() -> bytes:
        await look()
        return generate_latest(registry)

    return text


def metrics_route(text: Callable[[], Awaitable[bytes]], access: MetricsAccess | None) -> Route:
    """`GET /metrics`; `access` None: whoever gets here may."""

    async def metrics(request: Request) -> Response:
        if access is not None and not access.allows(request):
            raise HTTPException(
                403,
                "from here, or through a proxy, this needs the token: see metrics_token, metrics_addresses",
            )
        return Response(await text(), media_type=CONTENT_TYPE_LATEST)

    return Route("/metrics", metrics)


def _histogram(name: str, help: str, found: Mapping[str, Durations], label: str = "") -> Metric:
    family = HistogramMetricFamily(name, help, labels=[label] if label else [])
    for value, durations in found.items():
        family.add_metric([value or "none"] if label else [], durations.buckets(), durations.total)
    return family


def _close_code(code: int) -> str:
    """Clients may send any code from 3000 to 4999: those that are not the protocol's are one."""
    return str(code) if code in range(1000, 1016) or code in range(4000, 4400) else "other"
