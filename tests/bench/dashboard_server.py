"""A node with the dashboard that publishes when it is told to, for `tests.bench.dashboard`.

    python -m tests.bench.dashboard_server PORT

Reads lines from stdin: `MESSAGES RATE CHANNELS` publishes so many at this rate, in batches of a twentieth of
a second as the worker does, and answers with a line of JSON: what the whole process spent on them.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from bridge.broadcast import Broadcast
from bridge.jobs.queue.listing import QueuedJob
from bridge.monitoring.counters import Counters
from bridge.monitoring.dashboard.event_stream import EventStream
from bridge.monitoring.dashboard.failures import FailedRow
from bridge.monitoring.dashboard.routes import Dashboard
from bridge.monitoring.dashboard.session import SessionGuard
from bridge.monitoring.job_history import Jobs
from bridge.monitoring.journal import Journal
from bridge.monitoring.statistics import Counts, History
from bridge.monitoring.timeseries import POINT_INTERVAL, TimeSeries
from bridge.sockets.pusher.app import App, Limits
from bridge.sockets.pusher.hub_events import HubEvent
from bridge.sockets.server.binding import bind
from bridge.sockets.server.listener import Listener, new_event_loop
from bridge.sockets.server.node import Node

APP = App(id="app-id", key="app-key", secret="app-secret", limits=Limits(messages_per_second=10**9))
DATA = json.dumps({"id": 7, "status": "shipped", "total": 129.5, "note": "x" * 140})
BATCHES = 20  # a second


class Nobody:
    """A `monitoring.dashboard.backend.DashboardBackend` without failed jobs, queue and statistics."""

    shows_payloads = False

    def failed(self) -> tuple[Sequence[FailedRow], bool]:
        return (), True

    def retry(self, id: str) -> None: ...

    def delete(self, id: str) -> None: ...

    def payload(self, id: str) -> str:
        return ""

    def jobs(self, seconds: int, width: int, event: str, queue: str) -> tuple[Jobs, bool]:
        return Jobs(start=0, end=0, width=width, rows={}, spans={}), False

    def queued(self) -> Sequence[QueuedJob]:
        return ()

    def paused(self) -> Collection[str]:
        return ()

    def pause(self, queue: str) -> None: ...

    def resume(self, queue: str) -> None: ...

    def push(self, app_id: str, channels: Sequence[str], event: str, data: Any) -> str:
        return ""

    def entries(self, app_id: str) -> Mapping[str, Mapping[str, Sequence[Any]]]:
        return {}

    def history(self, app_id: str, seconds: int, width: int) -> History:
        return History(start=0.0, end=0.0, width=width, spans=())

    def add_entry(self, app_id: str, counts: Counts) -> None: ...


async def serve(port: int) -> None:
    journal, tally = Journal(), Counters([APP.id])
    chart = TimeSeries(tally)

    def observe(event: HubEvent) -> None:
        journal.observe(event)
        tally.observe(event)

    def summary() -> dict[str, Any]:
        return {
            "connections": tally.total("connections"), "channels": 0, "subscriptions": 0, "failed": 0,
            "delivered": 0, "rungs": {}, "store": True, "queues": {}, "oldest": None,
        }  # fmt: skip

    node = Node([APP], observers=[observe])
    dashboard = Dashboard(
        path="dashboard",
        node=node,
        access=SessionGuard(password=None, link_secret=None, is_open=True),
        feed=EventStream(journal, chart, summary, is_over=lambda: node.is_draining),
        journal=journal,
        backend=Nobody(),
        about={"name": "bench", "queue": "none", "queues": []},
    )
    listener = Listener(node, [bind("127.0.0.1", port)], routes=dashboard.routes())
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(listener.run())
        await listener.listening.wait()
        sampling = tasks.create_task(_sample(chart))
        while line := await asyncio.to_thread(sys.stdin.readline):
            messages, rate, channels = map(int, line.split())
            print(json.dumps(await asyncio.to_thread(_publish, node, messages, rate, channels)), flush=True)
        sampling.cancel()
        await listener.stop(drain=0.5)


async def _sample(chart: TimeSeries) -> None:
    while True:
        chart.sample()
        await asyncio.sleep(POINT_INTERVAL)


def _publish(node: Node, messages: int, rate: int, channels: int) -> dict[str, float]:
    """CPU-µs of the process per message, and how many seconds it took."""
    size = rate // BATCHES
    spent, started = time.process_time(), time.monotonic()
    receivers = 0
    for first in range(0, messages, size):
        batch = [
            Broadcast(
                app_id=APP.id, channels=(f"bench-{at % channels}",), name="App\\Events\\Load", data=DATA
            )
            for at in range(first, min(first + size, messages))
        ]
        receivers += node.publish_from_thread(batch, timeout=60)
        time.sleep(max(0.0, started + (first + size) / rate - time.monotonic()))
    return {
        "cpu_us": (time.process_time() - spent) / messages * 1e6,
        "seconds": time.monotonic() - started,
        "receivers": receivers / messages,
    }


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(serve(int(sys.argv[1])))
