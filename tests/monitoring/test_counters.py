"""Counts and durations, and what the chart and Prometheus make of them."""

from __future__ import annotations

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from bridge.jobs.queue.queue import Depth
from bridge.jobs.worker.progress import JobProgress
from bridge.monitoring.counters import Counters, Durations
from bridge.monitoring.metrics import ScrapeState
from bridge.monitoring.prometheus import BridgeCollector
from bridge.monitoring.statistics import Counts, StatisticsWindow
from bridge.monitoring.timeseries import TimeSeries
from bridge.sockets.pusher.hub_events import (
    ApiCalled,
    ClientEventSent,
    Connected,
    ConnectionRefused,
    Disconnected,
    MessageRefused,
    Published,
    Received,
    SlowClientClosed,
    Subscribed,
    SubscriptionRefused,
)


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


def published(*channels: str, receivers: int = 0, origin: str = "queue") -> Published:
    return Published(
        app_id="1", channels=channels, name="n", data="{}", socket_id=None, origin=origin, receivers=receivers
    )


def step(name: str, **more: object) -> JobProgress:
    return JobProgress(step=name, job="7", event="E", queue="q", attempts=1, **more)  # type: ignore[arg-type]


def busy(clock: Clock) -> Counters:
    """One of everything."""
    tally = Counters(["1"], clock=clock)
    for event in (
        Connected(app_id="1", socket_id="1.1"),
        Connected(app_id="1", socket_id="2.1"),
        Disconnected(app_id="1", socket_id="2.1", code=1006),
        Disconnected(app_id="1", socket_id="9.1", code=4999),
        Connected(app_id="1", socket_id="3.1"),
        Received(app_id="1", socket_id="1.1", size=30),
        Subscribed(app_id="1", channel="c", socket_id="1.1", user_id=None, subscriptions=1),
        published("a", "b", receivers=5),
        published("a", "b", receivers=2, origin="api"),
        ClientEventSent(
            app_id="1", channel="c", name="client-x", data="1", socket_id="1.1", user_id=None, receivers=3
        ),
        ApiCalled(app_id="1", method="POST", path="/events", status=200, seconds=0.003),
        ApiCalled(app_id="", method="BREW", path="/events", status=404, seconds=0.003),
        ConnectionRefused(app_id="", code=4001),
        SubscriptionRefused(app_id="1", channel="c", socket_id="1.1", status=401, reason="r"),
        MessageRefused(app_id="1", socket_id="1.1", code=4301, reason="r"),
        SlowClientClosed(app_id="1", socket_id="1.1", reason="r"),
    ):  # fmt: skip
        tally.observe(event)
    tally.step(step("reserved", queued_at=clock.now - 2))
    tally.step(step("resolved", rung="native", seconds=0.002))
    clock.now += 0.25
    tally.step(step("delivered"))
    tally.step(step("reserved"))
    tally.step(step("resolved", seconds=0.001), step("failed", error="Refused"))
    return tally


def test_a_histogram_counts_up_to_and_including_its_bounds() -> None:
    durations = Durations((1.0, 2.0))
    for seconds in (0.5, 1.0, 1.5, 9.0):
        durations.add(seconds)
    assert durations.buckets() == [("1.0", 2), ("2.0", 3), ("+Inf", 4)]
    assert durations.total == 12.0


def test_prometheus_reads_every_number_of_the_tally() -> None:
    clock = Clock()
    now = ScrapeState(
        channels={"1": 4},
        depths={"default": Depth(pending=3, delayed=2, reserved=1, oldest_at=90.0)},
        looked_at=100.0,
        slow=1,
        answers=True,
        php_processes={"living": 1, "busy": 0, "most": 2},
    )
    registry = CollectorRegistry()
    registry.register(BridgeCollector(busy(clock), lambda: now, lambda: 6))
    text = generate_latest(registry).decode()
    samples = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    expected = {
        ("bridge_connections", "1"): 1,
        ("bridge_connections_opened_total", "1"): 3,
        ("bridge_connections_closed_total", "1", "1006"): 1,
        ("bridge_connections_closed_total", "1", "other"): 1,
        ("bridge_messages_received_total", "1"): 1,
        ("bridge_messages_sent_total", "1"): 10,
        ("bridge_messages_received_characters_total", "1"): 30,
        ("bridge_messages_sent_characters_total", "1"): 17,
        ("bridge_broadcasts_total", "1"): 2,
        ("bridge_client_events_total", "1"): 1,
        ("bridge_api_messages_total", "1"): 2,
        ("bridge_api_calls_total", "1", "200", "POST"): 1,
        ("bridge_api_calls_total", "", "404", "other"): 1,
        ("bridge_api_seconds_count",): 2,
        ("bridge_refusals_total", "", "4001", "connection"): 1,
        ("bridge_refusals_total", "1", "401", "subscription"): 1,
        ("bridge_refusals_total", "1", "4301", "message"): 1,
        ("bridge_slow_clients_cut_total", "1"): 1,
        ("bridge_subscriptions", "1"): 1,
        ("bridge_channels", "1"): 4,
        ("bridge_jobs_total", "reserved"): 2,
        ("bridge_jobs_total", "delivered"): 1,
        ("bridge_jobs_total", "failed"): 1,
        ("bridge_jobs_resolved_total", "native"): 1,
        ("bridge_jobs_resolved_total", "none"): 1,
        ("bridge_job_errors_total", "Refused"): 1,
        ("bridge_job_wait_seconds_sum",): 2,
        ("bridge_job_seconds_sum",): 0.25,
        ("bridge_job_seconds_bucket", "0.25"): 1,
        ("bridge_job_seconds_bucket", "0.1"): 0,
        ("bridge_resolve_seconds_sum", "native"): 0.002,
        ("bridge_queue_jobs", "default", "pending"): 3,
        ("bridge_queue_jobs", "default", "delayed"): 2,
        ("bridge_queue_jobs", "default", "reserved"): 1,
        ("bridge_store_faults_total",): 6,
        ("bridge_store_up",): 1,
        ("bridge_slow_clients",): 1,
        ("bridge_php_processes", "most"): 2,
    }
    assert {key: samples[key] for key in expected} == expected
    assert samples["bridge_queue_oldest_seconds", "default"] == 10.0, "as of the look, whatever the time is"


def test_what_is_reserved_comes_to_one_end() -> None:
    tally = busy(Clock())
    ends = ("delivered", "nothing", "failed", "released", "given_back")
    assert tally.steps["reserved"] == sum(tally.steps[end] for end in ends)
    assert tally._reserved == {}


def test_a_point_is_a_second_of_all_of_it() -> None:
    clock = Clock()
    tally = Counters(["1"], clock=clock)
    chart = TimeSeries(tally, clock=clock)
    tally.observe(Connected(app_id="1", socket_id="1.1"))
    tally.observe(published("a", receivers=6))
    tally.step(step("reserved"))
    clock.now += 0.5
    tally.step(step("delivered"))
    clock.now += 1.5
    chart.depths = {
        "a": Depth(pending=3, delayed=0, reserved=0),
        "b": Depth(pending=1, delayed=5, reserved=0),
    }
    chart.sample()
    [point] = chart.points
    assert (point.connections, point.sent, point.broadcasts, point.jobs) == (1, 3.0, 0.5, 0.5)
    assert (point.depth, point.median, point.slow) == (4, 500.0, 500.0)
    clock.now += 1
    chart.sample()
    assert (chart.points[1].sent, chart.points[1].median, chart.numbers) == (0.0, None, 2)


def test_statistics_take_what_came_since_the_last_time_and_the_peak_begins_at_the_present() -> None:
    tally = Counters(["1"])
    taker = StatisticsWindow(tally)
    for number in range(3):
        tally.observe(Connected(app_id="1", socket_id=f"{number}.1"))
        tally.observe(Received(app_id="1", socket_id=f"{number}.1"))
    tally.observe(published("a", "b", origin="api"))
    tally.observe(Disconnected(app_id="1", socket_id="0.1", code=1000))
    assert taker.take("1") == Counts(peak=3, websocket=3, api=2)
    assert taker.take("1") == Counts(peak=2, websocket=0, api=0)
    assert taker.take("unknown") == Counts(peak=0, websocket=0, api=0)
