"""What Prometheus is told: made from the tally when it is asked for, so that counting costs nothing more.

No label holds a text that a client or a job chose: channels, events and reasons stay out of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from bridge import __version__
from bridge.monitoring.counters import Counters, Durations
from bridge.monitoring.metrics import Bus, ScrapeState

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


def exposition(
    tally: Counters, now: Callable[[], ScrapeState], store_faults: Callable[[], int]
) -> Callable[[], bytes]:
    """Gives the metrics of this process as text."""
    registry = CollectorRegistry()
    collector = BridgeCollector(tally, now, store_faults)
    for own in (collector, ProcessCollector(registry=None), PlatformCollector(registry=None)):
        registry.register(own)
    GCCollector(registry=registry)
    return lambda: generate_latest(registry)


def joined(texts: Mapping[str, bytes | None]) -> bytes:
    """Metrics of several processes as those of one; None: a process has not answered."""
    families: dict[str, Metric] = {}
    up = Metric("bridge_process_up", "1 for each process that answers for its metrics.", "gauge")
    for process, text in texts.items():
        up.add_sample("bridge_process_up", {"process": process}, 0.0 if text is None else 1.0)
        for family in text_string_to_metric_families((text or b"").decode()):
            known = families.setdefault(
                family.name, Metric(family.name, family.documentation, family.type, family.unit)
            )
            for sample in family.samples:
                labels = {**sample.labels, "process": process}
                known.add_sample(sample.name, labels, sample.value, sample.timestamp, sample.exemplar)
    return generate_latest(_Collected([up, *families.values()]))


class _Collected(Collector):
    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def _histogram(name: str, help: str, found: Mapping[str, Durations], label: str = "") -> Metric:
    family = HistogramMetricFamily(name, help, labels=[label] if label else [])
    for value, durations in found.items():
        family.add_metric([value or "none"] if label else [], durations.buckets(), durations.total)
    return family


def _close_code(code: int) -> str:
    """Clients may send any code from 3000 to 4999: those that are not the protocol's are one."""
    return str(code) if code in range(1000, 1016) or code in range(4000, 4400) else "other"
