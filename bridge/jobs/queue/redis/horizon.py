"""What Laravel Horizon keeps of each job, written as its own workers write it.

Horizon notes every job when the app pushes it, so one whose end nobody writes would stay `pending`. These
are the listeners of its events JobReserved, JobReleased, JobDeleted and JobFailed (`EventMap.php`), with what
they do to Redis (`Repositories/RedisJobRepository.php` and its siblings, of 5.9 to 5.29). Nothing depends on
it: where it cannot be written, the job goes its way.
"""

from __future__ import annotations

import contextlib
import json
import logging
import re
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib import resources
from typing import Any

import redis
from redis.exceptions import RedisError

from bridge.jobs.queue.failed_jobs import FailedJob, FailedJobs, KeptJob
from bridge.jobs.queue.queue import Depth, Exchange, Job, Queue
from bridge.laravel.payload import json_object

_DONE = resources.files(__package__).joinpath("horizon_done.lua").read_text()

# a job's key stands beside Horizon's own (`pending_jobs`, `job:…`), none of which may be taken for one
_ID = re.compile(r"(?!(?:masters|supervisors|monitoring)\Z)[0-9A-Za-z-]{1,255}")

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trim:
    """Minutes for which Horizon keeps a job, by what became of it."""

    completed: int = 60
    failed: int = 10_080
    monitored: int = 10_080


class Horizon:
    """Horizon's Redis. The client is ours to close; `prefix` stands before every key."""

    def __init__(
        self,
        client: redis.Redis,
        *,
        prefix: str,
        trim: Trim | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._client = client
        self._prefix = prefix
        self._trim = trim or Trim()
        self._clock = clock
        self._done = client.register_script(_DONE)
        self._warned = False

    def reserved(self, jobs: Sequence[tuple[Job, str]]) -> None:
        """Records that these were reserved, each with its payload as it is now."""
        self._mark(jobs, "reserved", "reserved_at")

    def released(self, jobs: Sequence[tuple[Job, str]]) -> None:
        """Records that these wait again."""
        self._mark(jobs, "pending")

    def done(self, jobs: Sequence[tuple[Job, float]], connection_name: str) -> None:
        """Records that these were deleted from the queue, after so many milliseconds."""
        now = self._clock()
        with self._quietly():
            pipeline = self._client.pipeline(transaction=False)
            for job, runtime in jobs:
                id = _id(job.document)
                tags = job.document.get("tags")
                texts = [tag for tag in (tags if isinstance(tags, list) else ()) if isinstance(tag, str)]
                where = "silenced_jobs" if job.document.get("silenced") else "completed_jobs"
                name = _readable(job.display_name)
                keys = (
                    id, "pending_jobs", where, f"job:{name}", "measured_jobs", f"queue:{job.queue}",
                    "measured_queues", "monitoring", "monitored_jobs",
                )  # fmt: skip
                arguments: tuple[str | bytes | float, ...] = (
                    id, _seconds(now), int(now) + 60 * self._trim.completed, round(runtime, 2),
                    int(now) + 60 * self._trim.monitored, connection_name, job.queue, name, job.payload,
                    *map(_readable, texts),
                )  # fmt: skip
                self._done([self._prefix + key for key in keys], arguments, client=pipeline)
            for (job, _), completed in zip(jobs, pipeline.execute(), strict=True):
                if completed:
                    self._update_parent(job.document, "completed")

    def failed(self, failed: FailedJob) -> None:
        document = json_object(failed.payload) or {}
        if not is_horizons(document):
            return
        now, id = self._clock(), _id(document)
        expires = 60 * self._trim.failed
        with self._quietly():
            pipeline = self._client.pipeline(transaction=False)
            for name in ("failed_jobs", "recent_failed_jobs"):
                pipeline.zadd(self._prefix + name, {id: -now})
            for name in ("pending_jobs", "completed_jobs", "silenced_jobs"):
                pipeline.zrem(self._prefix + name, id)
            fields: dict[Any, Any] = {
                "id": id,
                "connection": failed.connection_name,
                "queue": failed.queue,
                "name": _readable(str(document.get("displayName", ""))),
                "status": "failed",
                "payload": failed.payload,
                "exception": failed.exception,
                "failed_at": _seconds(now),
            }
            pipeline.hset(self._prefix + id, mapping=fields)
            pipeline.expireat(self._prefix + id, int(now) + expires)
            tags = document.get("tags")
            for tag in tags if isinstance(tags, list) else ():
                key = f"{self._prefix}failed:{_readable(str(tag))}"
                pipeline.zadd(key, {id: now})
                pipeline.expire(key, expires)
            pipeline.execute()
            self._update_parent(document, "failed")

    def close(self) -> None:
        self._client.close()

    def _mark(self, jobs: Sequence[tuple[Job, str]], status: str, moment: str | None = None) -> None:
        now = _seconds(self._clock())
        with self._quietly():
            pipeline = self._client.pipeline(transaction=False)
            for job, payload in jobs:
                fields: dict[Any, Any] = {"status": status, "payload": payload, "updated_at": now}
                fields |= {moment: now} if moment else {}
                pipeline.hset(self._prefix + _id(job.document), mapping=fields)
            pipeline.execute()

    def _update_parent(self, document: Mapping[str, object], status: str) -> None:
        """Lists a job that is tried again from the dashboard among the retries of the one that failed."""
        parent = document.get("retry_of")
        if not isinstance(parent, str) or not _ID.fullmatch(parent):
            return
        key = self._prefix + parent
        found: Any = self._client.hget(key, "retried_by")
        retries = json.loads(found) if found else []
        if not isinstance(retries, list):
            return
        for retry in retries:
            if isinstance(retry, dict) and retry.get("id") == _id(document):
                retry["status"] = status
        if retries:
            self._client.hset(key, "retried_by", json.dumps(retries))

    @contextlib.contextmanager
    def _quietly(self) -> Iterator[None]:
        try:
            yield
        except (RedisError, ValueError, RecursionError) as error:
            level = logging.DEBUG if self._warned else logging.WARNING
            self._warned = True
            why = type(error).__name__
            log.log(level, "Horizon is not told of all jobs", extra={"action": "horizon", "why": why})


def is_horizons(document: Mapping[str, object]) -> bool:
    """Whether Horizon noted this job when it was pushed."""
    return "pushedAt" in document and bool(_id(document))


def _id(document: Mapping[str, object]) -> str:
    found = document.get("uuid") or document.get("id")
    return found if isinstance(found, str) and _ID.fullmatch(found) else ""


def _readable(text: str) -> str:
    """Without what no UTF-8 can hold: one such job would keep the others of its batch from Horizon."""
    return text.encode("utf-8", "replace").decode()


def _seconds(moment: float) -> str:
    return f"{moment:.4f}"


class HorizonQueue:
    """A queue whose jobs Horizon knows; see `queue.Queue`. Both are ours to close."""

    def __init__(self, queue: Queue, horizon: Horizon) -> None:
        self._queue = queue
        self._horizon = horizon
        self._begun: dict[str, float] = {}  # uuid → monotonic seconds

    @property
    def connection_name(self) -> str:
        return self._queue.connection_name

    @property
    def retry_after(self) -> float:
        return self._queue.retry_after

    @property
    def is_single_writer(self) -> bool:
        return self._queue.is_single_writer

    def check(self) -> None:
        self._queue.check()

    def reserve(self, limit: int) -> Sequence[Job]:
        return self._taken(self._queue.reserve(limit))

    def pause(self, queues: Collection[str]) -> None:
        self._queue.pause(queues)

    def wait(self, timeout: float) -> None:
        self._queue.wait(timeout)

    def wake(self) -> None:
        self._queue.wake()

    def delete(self, jobs: Sequence[Job]) -> int:
        deleted = self._queue.delete(jobs)
        self._done(jobs)
        return deleted

    def delete_and_reserve(self, done: Sequence[Job], limit: int) -> Exchange:
        begun = self._queue.delete_and_reserve(done, limit)

        def end() -> tuple[int, Sequence[Job]]:
            deleted, jobs = begun()
            self._done(done)
            return deleted, self._taken(jobs)

        return end

    def release(self, job: Job, delay: float, *, tried: bool = True) -> None:
        self._queue.release(job, delay, tried=tried)
        self._waiting([job])

    def give_back(self, jobs: Sequence[Job]) -> None:
        self._queue.give_back(jobs)
        self._waiting(jobs)

    def leave(self, job: Job) -> None:
        self._queue.leave(job)

    def skip(self, jobs: Collection[Job]) -> None:
        self._queue.skip(jobs)

    def clear_skipped(self) -> None:
        self._queue.clear_skipped()

    def renew(self, jobs: Sequence[Job]) -> list[Job | None]:
        return self._queue.renew(jobs)

    def laravel_job_fields(self, job: Job) -> Mapping[str, object]:
        return self._queue.laravel_job_fields(job)

    def mark_sent(self, jobs: Sequence[Job]) -> None:
        self._queue.mark_sent(jobs)

    def was_sent(self, job: Job) -> bool:
        return self._queue.was_sent(job)

    def depth(self) -> dict[str, Depth]:
        return self._queue.depth()

    def close(self) -> None:
        self._queue.close()
        self._horizon.close()

    def _taken(self, jobs: Sequence[Job]) -> Sequence[Job]:
        known = [job for job in jobs if is_horizons(job.document)]
        now = time.monotonic()
        self._begun.update((job.uuid, now) for job in known)
        if known:
            self._horizon.reserved([(job, str(self.laravel_job_fields(job)["reserved"])) for job in known])
        return jobs

    def _waiting(self, jobs: Sequence[Job]) -> None:
        known = [job for job in jobs if is_horizons(job.document)]
        for job in known:
            self._begun.pop(job.uuid, None)
        if known:
            self._horizon.released([(job, str(self.laravel_job_fields(job)["reserved"])) for job in known])

    def _done(self, jobs: Sequence[Job]) -> None:
        now = time.monotonic()
        known = [job for job in jobs if is_horizons(job.document)]
        if known:
            times = [1000 * (now - self._begun.pop(job.uuid, now)) for job in known]
            self._horizon.done(list(zip(known, times, strict=True)), self.connection_name)


class HorizonFailedJobs:
    """Failed jobs that Horizon hears of; see `failed_jobs.FailedJobs`. Both are ours to close."""

    def __init__(self, kept: FailedJobs, horizon: Horizon) -> None:
        self._kept = kept
        self._horizon = horizon

    def check(self) -> None:
        self._kept.check()

    def record(self, job: FailedJob) -> None:
        self._kept.record(job)
        self._horizon.failed(job)

    def kept(self) -> Iterator[KeptJob]:
        return self._kept.kept()

    def find(self, id: str) -> KeptJob | None:
        return self._kept.find(id)

    def forget(self, id: str) -> bool:
        return self._kept.forget(id)

    def forget_retried(self, job: KeptJob) -> None:
        self._kept.forget_retried(job)

    def flush(self, before: datetime | None) -> None:
        self._kept.flush(before)

    def close(self) -> None:
        self._kept.close()
        self._horizon.close()
