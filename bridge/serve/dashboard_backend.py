"""What the dashboard asks of the house of jobs: failed jobs, a job of one's own, statistics.

Its own connections, opened at the first need, since those of the worker are the worker's; one lock, since the
dashboard asks from any thread and a driver is for one at a time.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from bridge.errors import ConfigurationError, JobError, Unreadable
from bridge.jobs.queue.failed_jobs import FailedJobs, KeptJob
from bridge.jobs.queue.push import Push
from bridge.jobs.queue.requeue import retry
from bridge.laravel.anonymous_event import anonymous_job
from bridge.laravel.payload import read_payload
from bridge.monitoring.dashboard.routes import FailedRow
from bridge.monitoring.statistics import Counts, StatisticsTable
from bridge.serve.wiring import build_push, failed_jobs, refresher
from bridge.settings.apps import AppSettings
from bridge.settings.load import Settings

MOST = 100  # failed jobs of a list
LONGEST = 4_000  # characters of an exception

Value = TypeVar("Value")


class DashboardBackstage:
    """`dashboard.routes.Backstage` of an app. `statistics` is None where there is no place for them."""

    def __init__(self, settings: Settings, statistics: StatisticsTable | None) -> None:
        self._settings = settings
        self._statistics = statistics
        self.use(settings.apps())
        self._failed: FailedJobs | None = None
        self._pushes: dict[str, Push] = {}
        self._lock = threading.Lock()

    def use(self, apps: Sequence[AppSettings]) -> None:
        """Jobs for these apps can be made from now on."""
        self._connections = {app.id: next(iter(app.connections), None) for app in apps}

    def failed(self) -> Sequence[FailedRow]:
        def work() -> list[FailedRow]:
            rows: list[FailedRow] = []
            for job in self._kept().kept():
                rows.append(_row(job))
                if len(rows) == MOST:
                    break
            return rows

        return self._alone(work)

    def retry(self, id: str) -> None:
        def work() -> None:
            failed = self._kept()
            job = failed.find(id)
            if job is None:
                raise JobError("there is no such failed job: somebody may have retried it already")
            retry(job, failed, self._push(job.connection_name), refresher(self._settings.laravel))

        self._alone(work)

    def push(self, app_id: str, channels: Sequence[str], event: str, data: Any) -> str:
        if not isinstance(data, dict | list):
            raise JobError("the data of a job are an object or a list: put the value into one")
        connection = self._connections.get(app_id)
        if connection is None:
            raise JobError(
                f"no connection of config/broadcasting.php leads to the app {app_id}: send an event instead"
            )
        uuid, payload = anonymous_job(channels, event, data, connection=connection)

        def work() -> str:
            queue = self._settings.queue_connection().name
            self._push(queue).push(self._settings.queue_names()[0], payload)
            return uuid

        return self._alone(work)

    def entries(self, app_id: str) -> Mapping[str, Mapping[str, Sequence[Any]]]:
        return self._table().latest(app_id)

    def add_entry(self, app_id: str, counts: Counts) -> None:
        self._table().add({app_id: counts})

    def close(self) -> None:
        with self._lock:
            if self._failed is not None:
                self._failed.close()
            for push in self._pushes.values():
                push.close()
            self._failed, self._pushes = None, {}

    def _alone(self, work: Callable[[], Value]) -> Value:
        with self._lock:
            return work()

    def _kept(self) -> FailedJobs:
        if self._failed is None:
            self._failed = failed_jobs(self._settings.laravel)
        return self._failed

    def _push(self, connection: str) -> Push:
        if connection not in self._pushes:
            self._pushes[connection] = build_push(self._settings, connection)
        return self._pushes[connection]

    def _table(self) -> StatisticsTable:
        if self._statistics is None:
            raise ConfigurationError(
                "statistics", "have no place: the app has no database", mend="see DB_* in the app's .env"
            )
        return self._statistics


def _row(job: KeptJob) -> FailedRow:
    first = job.exception.partition("\n")[0]
    return FailedRow(
        id=job.id,
        event=_event(job.payload),
        queue=job.queue,
        connection=job.connection_name,
        failed_at=job.failed_at,
        reason=re.sub(r"^[\w\\.]+: ", "", first)[:500],
        whole=job.exception[:LONGEST],
    )


def _event(payload: bytes) -> str:
    try:
        return read_payload(payload).display_name
    except Unreadable:
        return ""
