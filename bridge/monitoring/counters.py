"""Counters: counts and durations since the start. One small method for each kind of event and step."""

from __future__ import annotations

import itertools
import threading
import time
from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bridge.jobs.worker.progress import JobProgress, OtherJobRun
from bridge.monitoring.job_counts import JobCounts, JobKey, Outcome
from bridge.sockets.pusher.hub_events import (
    ApiCalled,
    ClientEventSent,
    Connected,
    ConnectionRefused,
    Disconnected,
    HubEvent,
    MessageRefused,
    Published,
    Received,
    Resumed,
    SlowClientClosed,
    Subscribed,
    SubscriptionRefused,
    Unsubscribed,
)

RECENT = 500  # durations from which the chart takes its middle and its slowest
OTHER_JOB = "other"  # in place of a rung: no broadcast
UNDER_WAY = 10_000  # jobs whose time is taken at once

_OUTCOMES: Mapping[str, Outcome] = {
    "delivered": "done",
    "nothing": "nothing",
    "failed": "failed",
    "released": "released",
}

WAIT_BOUNDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)  # seconds
WORK_BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


class Durations:
    """A histogram: `counts[i]` of what took up to `bounds[i]` seconds, the last of all that took longer."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, seconds: float) -> None:
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.total += seconds

    def buckets(self) -> list[tuple[str, int]]:
        """Upper bound → how many took up to that, as Prometheus counts."""
        names = [*(str(bound) for bound in self.bounds), "+Inf"]
        return list(zip(names, itertools.accumulate(self.counts), strict=True))


# A reserved job: since when, how long it had waited, and by whom it was resolved.
_UnderWay = tuple[float, float | None, str]
# An attempt that ended: its last step, by whom it was resolved, how long it had waited, and ran.
_End = tuple[JobProgress, str, float | None, float | None]


class AppCounters:
    """One app. `connections` and `subscriptions` are of now, the rest since the start.

    peak          the most connections at once since it was last `taken`
    received      messages of clients, pings too
    sent          events given to sockets
    size_in, size_out  characters of those messages, and of the events' data: nearly bytes
    api_messages  channels of events that came over the HTTP API
    calls         (method, status) → requests of the HTTP API
    closed        close code → connections
    refused       (what, code) → connection, subscription, message
    resumed       channels that a page came back to; `replayed`: events that it got; `gaps`: perhaps not all
    """

    __slots__ = (
        "api_messages",
        "broadcasts",
        "calls",
        "client_events",
        "closed",
        "connections",
        "cut",
        "gaps",
        "opened",
        "peak",
        "received",
        "refused",
        "replayed",
        "resumed",
        "sent",
        "size_in",
        "size_out",
        "subscriptions",
    )

    def __init__(self) -> None:
        self.connections = self.subscriptions = self.peak = self.opened = 0
        self.received = self.sent = self.broadcasts = self.client_events = self.api_messages = self.cut = 0
        self.size_in = self.size_out = self.resumed = self.replayed = self.gaps = 0
        self.calls: Counter[tuple[str, int]] = Counter()
        self.closed: Counter[int] = Counter()
        self.refused: Counter[tuple[str, int]] = Counter()


class Counters:
    """`observe` on the loop, `step` in any worker thread."""

    def __init__(self, apps: Sequence[str], *, clock: Callable[[], float] = time.time) -> None:
        """`apps`: the ids; what belongs to none is counted under the empty one."""
        self.apps: dict[str, AppCounters] = {app_id: AppCounters() for app_id in (*apps, "")}
        self.steps: Counter[str] = Counter()
        self.rungs: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()
        self.others: Counter[str] = Counter()  # attempts of jobs that are no broadcasts, by their end
        self.disagreements = 0  # classes for which native evaluation and PHP differ
        self.waited = Durations(WAIT_BOUNDS)
        self.worked = Durations(WORK_BOUNDS)
        self.resolved: dict[str, Durations] = {}
        self.called = Durations(WORK_BOUNDS)
        self.recent: deque[float] = deque(maxlen=RECENT)  # seconds from reserved to delivered, newest last
        self._clock = clock
        self.jobs = JobCounts()
        self._reserved: dict[str, _UnderWay] = {}
        self._lock = threading.Lock()  # several workers may tell at once; never held for more than a count

    def observe(self, event: HubEvent) -> None:
        count = _COUNTS.get(type(event))
        if count is not None:
            app = self.apps.get(event.app_id)
            if app is None:  # an app that came later
                app = self.apps[event.app_id] = AppCounters()
            count(self, app, event)

    def step(self, *steps: JobProgress) -> None:
        now = self._clock()
        with self._lock:
            ends = [end for step in steps if (end := self._count(step, now)) is not None]
        for step, rung, waited, ran in ends:
            key = JobKey(step.event, step.queue, rung)
            self.jobs.add(key, _OUTCOMES[step.step], waited=waited, ran=ran)

    def _count(self, step: JobProgress, now: float) -> _End | None:
        """Counts a step, under the lock; of one with which an attempt ends, how that went."""
        name = step.step
        self.steps[name] += 1
        match name:
            case "reserved":
                waited = None
                if step.queued_at is not None and step.attempts == 1:
                    waited = max(0.0, now - step.queued_at)
                    self.waited.add(waited)
                if len(self._reserved) < UNDER_WAY:
                    self._reserved[step.job] = (now, waited, "")
                return None
            case "resolved":
                self.rungs[step.rung] += 1
                if (known := self._reserved.get(step.job)) is not None:
                    self._reserved[step.job] = (known[0], known[1], step.rung)
                durations = self.resolved.get(step.rung)
                if durations is None:
                    durations = self.resolved[step.rung] = Durations(WORK_BOUNDS)
                durations.add(step.seconds)
                return None
            case "failed" | "released":
                self.errors[step.error] += 1
        at, waited, rung = self._reserved.pop(step.job, (None, None, ""))
        ran = None
        if name == "delivered" and at is not None:
            ran = now - at
            self.worked.add(ran)
            self.recent.append(ran)
        return (step, rung, waited, ran) if name in _OUTCOMES else None

    def ran(self, run: OtherJobRun) -> None:
        """Counts an attempt of a job that is no broadcast. In any thread."""
        with self._lock:
            self.others[run.ended] += 1
        key = JobKey(run.name, run.queue, OTHER_JOB)
        self.jobs.add(key, run.ended, waited=run.waited, ran=run.seconds)

    def total(self, name: str) -> int:
        """A number of every app's, added up."""
        return sum(getattr(app, name) for app in self.apps.values())

    def calls(self) -> int:
        """Of the HTTP API, for all apps."""
        return sum(sum(app.calls.values()) for app in self.apps.values())


# ---- how each event counts -------------------------------------------------------------------


def _connected(tally: Counters, app: AppCounters, event: Connected) -> None:
    app.opened += 1
    app.connections += 1
    app.peak = max(app.peak, app.connections)


def _disconnected(tally: Counters, app: AppCounters, event: Disconnected) -> None:
    app.connections -= 1
    app.closed[event.code] += 1


def _received(tally: Counters, app: AppCounters, event: Received) -> None:
    app.received += 1
    app.size_in += event.size


def _subscribed(tally: Counters, app: AppCounters, event: Subscribed) -> None:
    app.subscriptions += 1


def _unsubscribed(tally: Counters, app: AppCounters, event: Unsubscribed) -> None:
    app.subscriptions -= 1


def _published(tally: Counters, app: AppCounters, event: Published) -> None:
    app.broadcasts += 1
    app.sent += event.receivers
    app.size_out += event.receivers * len(event.data)
    if event.origin == "api":
        app.api_messages += len(event.channels)


def _client_event(tally: Counters, app: AppCounters, event: ClientEventSent) -> None:
    app.client_events += 1
    app.sent += event.receivers
    app.size_out += event.receivers * len(event.data)


def _called(tally: Counters, app: AppCounters, event: ApiCalled) -> None:
    method = event.method if event.method in ("GET", "POST") else "other"
    app.calls[method, event.status] += 1
    tally.called.add(event.seconds)


def _connection_refused(tally: Counters, app: AppCounters, event: ConnectionRefused) -> None:
    app.refused["connection", event.code] += 1


def _subscription_refused(tally: Counters, app: AppCounters, event: SubscriptionRefused) -> None:
    app.refused["subscription", event.status] += 1


def _message_refused(tally: Counters, app: AppCounters, event: MessageRefused) -> None:
    app.refused["message", event.code] += 1


def _cut(tally: Counters, app: AppCounters, event: SlowClientClosed) -> None:
    app.cut += 1


def _resumed(tally: Counters, app: AppCounters, event: Resumed) -> None:
    app.resumed += 1
    app.replayed += event.events
    app.gaps += event.has_gap


_COUNTS: Mapping[type[HubEvent], Callable[[Counters, AppCounters, Any], None]] = {
    Connected: _connected,
    Disconnected: _disconnected,
    Received: _received,
    Subscribed: _subscribed,
    Unsubscribed: _unsubscribed,
    Published: _published,
    ClientEventSent: _client_event,
    ApiCalled: _called,
    ConnectionRefused: _connection_refused,
    SubscriptionRefused: _subscription_refused,
    MessageRefused: _message_refused,
    SlowClientClosed: _cut,
    Resumed: _resumed,
}
