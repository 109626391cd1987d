"""What the dashboard asks of the jobs half: failed jobs, a job of one's own, statistics.

Its own connections, opened at the first need, since those of the worker are the worker's; one lock, since the
dashboard asks from any thread and a driver is for one at a time.
"""

from __future__ import annotations

import itertools
import re
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, TypeVar

from bridge.errors import ConfigurationError, JobError, Unreadable
from bridge.jobs.queue.failed_jobs import FailedJobs, KeptJob, storable
from bridge.jobs.queue.listing import QueuedJob, QueueListing
from bridge.jobs.queue.push import Push
from bridge.jobs.queue.requeue import retry
from bridge.laravel.anonymous_event import anonymous_job
from bridge.laravel.operator_signals import Pauses
from bridge.laravel.payload import read_payload
from bridge.monitoring.dashboard.failures import LOOKED_AT, FailedRow
from bridge.monitoring.job_history import Jobs
from bridge.monitoring.job_recorder import JobRecorder
from bridge.monitoring.statistics import Counts, History, StatisticsTable
from bridge.serve.wiring.failed_jobs import failed_jobs
from bridge.serve.wiring.queue import build_listing, build_pauses, build_push, refresher
from bridge.settings.load import Settings

LONGEST = 4_000  # characters of an exception
LONGEST_PAYLOAD = 200_000  # characters
NO_SUCH_JOB = "there is no such failed job: somebody may have retried or deleted it already"

Value = TypeVar("Value")


class AppBackend:
    """`dashboard.backend.DashboardBackend` of an app. `statistics`: None where there is no place for them."""

    def __init__(self, settings: Settings, statistics: StatisticsTable | None, recorder: JobRecorder) -> None:
        self._settings = settings
        self._statistics = statistics
        self._recorder = recorder
        self.use(settings)
        self._failed: FailedJobs | None = None
        self._pushes: dict[str, Push] = {}
        self._listing: QueueListing | None = None
        self._pauses: Pauses | None = None
        self._lock = threading.Lock()

    def use(self, settings: Settings) -> None:
        """Uses these settings: the apps for which jobs can be made, and whether payloads are shown."""
        self._connections = {app.id: next(iter(app.connections), None) for app in settings.apps()}
        self._shows_payloads = settings.dashboard_payloads

    @property
    def shows_payloads(self) -> bool:
        return self._shows_payloads

    def failed(self) -> tuple[Sequence[FailedRow], bool]:
        def work() -> tuple[list[FailedRow], bool]:
            kept = self._kept().kept()
            rows = [_row(job) for job in itertools.islice(kept, LOOKED_AT)]
            return rows, next(kept, None) is None

        return self._alone(work)

    def retry(self, id: str) -> None:
        def work() -> None:
            failed = self._kept()
            job = failed.find(id)
            if job is None:
                raise JobError(NO_SUCH_JOB)
            retry(job, failed, self._push(job.connection_name), refresher(self._settings.laravel))

        self._alone(work)

    def delete(self, id: str) -> None:
        if not self._alone(lambda: self._kept().forget(id)):
            raise JobError(NO_SUCH_JOB)

    def payload(self, id: str) -> str:
        if not self._shows_payloads:
            raise JobError(
                "payloads are not shown, since they may hold personal data:"
                " see dashboard_payloads (BRIDGE_DASHBOARD_PAYLOADS)"
            )
        job = self._alone(lambda: self._kept().find(id))
        if job is None:
            raise JobError(NO_SUCH_JOB)
        text = job.payload.decode(errors="replace")
        if len(text) <= LONGEST_PAYLOAD:
            return text
        return f"{text[:LONGEST_PAYLOAD]}… ({len(text):,} characters)"

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

    def jobs(self, seconds: int, width: int, event: str, queue: str) -> tuple[Jobs, bool]:
        return self._recorder.jobs(seconds, width, event=event, queue=queue), self._recorder.keeps

    def queued(self) -> Sequence[QueuedJob]:
        def work() -> Sequence[QueuedJob]:
            if self._listing is None:
                self._listing = build_listing(self._settings)
            return self._listing.jobs()

        return self._alone(work)

    def paused(self) -> Collection[str]:
        return self._alone(lambda: self._known_pauses().paused(self._settings.queue_names()))

    def pause(self, queue: str) -> None:
        self._of_a_queue(queue, lambda: self._known_pauses().pause(queue))

    def resume(self, queue: str) -> None:
        self._of_a_queue(queue, lambda: self._known_pauses().resume(queue))

    def _of_a_queue(self, queue: str, work: Callable[[], None]) -> None:
        if queue not in self._settings.queue_names():
            raise JobError("bridge works on no queue of this name")
        self._alone(work)

    def _known_pauses(self) -> Pauses:
        if self._pauses is None:
            self._pauses = build_pauses(self._settings)
        return self._pauses

    def entries(self, app_id: str) -> Mapping[str, Mapping[str, Sequence[Any]]]:
        return self._table().latest(app_id)

    def history(self, app_id: str, seconds: int, width: int) -> History:
        rare = min(seconds, 2 * self._settings.statistics_interval)  # else most spans would have no row
        return self._table().history(app_id, seconds, max(width, rare))

    def add_entry(self, app_id: str, counts: Counts) -> None:
        self._table().add({app_id: counts})

    def close(self) -> None:
        with self._lock:
            if self._failed is not None:
                self._failed.close()
            for push in self._pushes.values():
                push.close()
            for opened in (self._listing, self._pauses):
                if opened is not None:
                    opened.close()
            self._failed, self._pushes, self._listing, self._pauses = None, {}, None, None

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
                "statistics", "have no place: the app has no database", remedy="see DB_* in the app's .env"
            )
        return self._statistics


def _row(job: KeptJob) -> FailedRow:
    first = job.exception.partition("\n")[0]
    uuid, event = _named(job.payload)
    return FailedRow(
        id=storable(job.id),
        uuid=uuid,
        event=event,
        queue=storable(job.queue),
        connection=storable(job.connection_name),
        failed_at=job.failed_at,
        reason=storable(re.sub(r"^[\w\\.]+: ", "", first)[:500]),
        whole=storable(job.exception[:LONGEST]),
    )


def _named(payload: bytes) -> tuple[str, str]:
    """The job's uuid and its class, as far as the payload tells them."""
    try:
        known = read_payload(payload)
    except Unreadable:
        return "", ""
    return storable(known.uuid or ""), storable(known.display_name)
