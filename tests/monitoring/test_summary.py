"""What a minute came to, in one line of the log; a minute in which nothing happened is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.demo.app import write_app
from bridge.jobs.worker.progress import JobProgress, OtherJobRun
from bridge.monitoring.counters import Counters
from bridge.monitoring.summary import Summary
from bridge.serve.monitors import Monitors
from bridge.settings.load import load_settings
from bridge.sockets.pusher.hub_events import Connected, ConnectionRefused, Disconnected, Published


def step(name: str) -> JobProgress:
    return JobProgress(step=name, job="7", event="E", queue="default", attempts=1)  # type: ignore[arg-type]


def run(ended: str) -> OtherJobRun:
    return OtherJobRun(ended=ended, uuid="7", name="J", queue="default", attempts=1, seconds=0.1)  # type: ignore[arg-type]


def test_it_counts_what_is_new_and_is_silent_while_nothing_happens() -> None:
    tally = Counters(["1"])
    summary = Summary(tally)
    assert summary.take() is None
    tally.observe(Connected(app_id="1", socket_id="1.1"))
    tally.observe(Connected(app_id="1", socket_id="2.1"))
    tally.observe(ConnectionRefused(app_id="new", code=4001))
    tally.observe(
        Published(
            app_id="1", channels=("c",), name="E", data="{}", socket_id=None, origin="queue", receivers=2
        )
    )
    for name in ("reserved", "delivered", "failed", "released", "nothing"):
        tally.step(step(name))
    for ended in ("done", "done", "failed", "released"):
        summary.ran(run(ended))
    assert summary.take() == {
        "delivered": 1, "nothing": 1, "failed": 2, "released": 2, "other_jobs": 2, "broadcasts": 1, "sent": 2,
        "opened": 2, "refused": 1, "connections": 2,
    }  # fmt: skip
    assert summary.take() is None
    tally.observe(Disconnected(app_id="1", socket_id="1.1", code=1000))
    assert summary.take() is None, "a client that leaves is no work"
    tally.step(step("delivered"))
    told = summary.take()
    assert told is not None
    assert (told["delivered"], told["failed"], told["connections"]) == (1, 0, 1)


def test_it_is_one_line_of_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    settings = load_settings({}, {}, write_app(tmp_path).path)
    instruments = Monitors(settings)
    with caplog.at_level("INFO", "bridge"):
        instruments._log_minute()
        instruments.step(step("delivered"))
        instruments.ran(run("failed"))
        instruments._log_minute()
        instruments._log_minute()
    [record] = caplog.records
    told = vars(record)
    assert (record.getMessage(), record.levelname) == ("the last minute", "INFO")
    assert (told["delivered"], told["failed"], told["waiting"]) == (1, 1, 0)
