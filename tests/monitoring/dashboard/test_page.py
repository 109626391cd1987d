"""The page in real Chromium: each panel with live data, an event and a job made, a failed job retried."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sqlite3
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.laravel import BROWSER
from tests.monitoring.dashboard.serving import PASSWORD, Served, cache_in_files, serving, until
from tests.sockets.webhooks.receiver import receiving

EVENT = "App\\Events\\ComesLate"
COUNT = "select count(*) from failed_jobs"
ALIKE = "App\\Events\\" + "VeryLongNamespaceOfAnApp\\" * 4 + "Alike" + "WithALongClassName" * 4
SOURCE = """\
<?php

namespace App\\Events;

class ComesLate implements \\Illuminate\\Contracts\\Broadcasting\\ShouldBroadcast
{
    public $roomId;
    public $text;

    public function broadcastOn()
    {
        return new \\Illuminate\\Broadcasting\\Channel('ChatChannel');
    }

    public function broadcastAs()
    {
        return NAME;
    }
}
"""


@pytest.mark.timeout(1_500)  # ten panels, each in three looks
def test_a_person_sees_makes_and_mends_what_happens(tmp_path: Path) -> None:
    with (
        receiving() as receiver,
        serving(
            tmp_path,
            statistics_of_the_month,
            dashboard_payloads="true",
            statistics_interval="900",
            webhooks=json.dumps([{"url": receiver.url}]),
        ) as served,
    ):
        seen = _use(served)
    assert json.loads(seen["straight"]) == {"text": "straight <b>ы</b>"}
    assert json.loads(seen["queued"]) == {"text": "queued"}
    assert seen["steps"] == ["Queued", "Reserved", "Resolved: framework", "Published", "Sent to 1", "Done"]
    assert seen["retried"][2] == "Resolved: native"
    assert any("framework" in bar for bar in seen["bars"])
    assert "file_get_contents" in seen["reason"]
    assert seen["faults"] == []
    assert (seen["wide"], seen["complaints"], seen["foreign"]) == ([], [], [])
    assert seen["broadest"] <= 0
    assert seen["day"] == ["7", "70", "3"], "the last span"
    assert ALIKE in json.loads(seen["shownPayload"])["displayName"]
    for secret in (PASSWORD, served.app.secret.reveal(), served.app.key):
        assert secret not in seen["source"]


def statistics_of_the_month(folder: Path) -> None:
    """The app's table has a row of each of the last days, and two of today; others see what is cached."""
    cache_in_files(folder)
    columns = "peak_connection_count, websocket_message_count, api_message_count"
    with contextlib.closing(sqlite3.connect(folder / "database.sqlite")) as database, database:
        database.execute(
            "create table websockets_statistics_entries (id integer primary key autoincrement not null,"
            f" app_id varchar not null, {columns.replace(',', ' integer,')} integer, created_at datetime,"
            " updated_at datetime)"
        )
        for hours, peak in [(24 * day, day) for day in range(2, 29)] + [(3, 5), (0, 7)]:
            database.execute(
                f"insert into websockets_statistics_entries (app_id, {columns}, created_at)"
                f" values ('demo', ?, ?, 3, datetime('now', '-{hours} hours'))",
                (peak, 10 * peak),
            )


def _write(served: Served, name: str) -> None:
    """The event's class is in the app; `name` is the PHP expression of its `broadcastAs`."""
    file = served.app.path / "app/Events/ComesLate.php"
    file.write_text(SOURCE.replace("NAME", name), encoding="utf-8")


def _use(served: Served) -> dict[str, Any]:
    """What the script reports; where it waits, it gets what it waits for."""
    executable = shutil.which("chromium") or shutil.which("chromium-browser") or "/usr/bin/chromium"
    shots = os.environ.get("DASHBOARD_SHOTS", "")
    arguments = [served.address, executable, PASSWORD, served.app.key, EVENT, shots]
    script = Path(__file__).with_name("page.mjs")
    with subprocess.Popen(
        ["node", str(script), *arguments],
        cwd=BROWSER,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            for line in process.stdout:
                report: dict[str, Any] = json.loads(line)
                match report.get("wait"):
                    case None:
                        assert "problem" not in report, report
                        return report
                    case "a job that waits":
                        until("the worker knows", lambda: "queues are paused" in served.log.read_text())
                        served.queue_refused(ALIKE)
                    case "equal failures":
                        for _ in range(29):
                            served.queue_refused(ALIKE)
                        until("the jobs have failed", lambda: served.rows(COUNT) == [(30,)])
                    case "its mend":
                        _write(served, "'mended'")
                    case _:
                        _write(served, "file_get_contents('name.txt')")  # a side effect: refused
                        served.queue_refused(EVENT)
                        until("the job has failed", lambda: served.rows("select 1 from failed_jobs"))
                process.stdin.write("\n")
                process.stdin.flush()
            raise AssertionError(f"the script ended with {process.wait()}")
        finally:
            process.kill()
