"""Where the app keeps its failed jobs."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import partial
from pathlib import Path

from bridge.errors import ConfigurationError
from bridge.jobs.queue.failed_jobs import DatabaseFailedJobs, FailedJob, FailedJobs, KeptJob, NoFailedJobs
from bridge.jobs.queue.failed_jobs_file import FileFailedJobs
from bridge.jobs.queue.redis.horizon import HorizonFailedJobs
from bridge.laravel.application import LaravelApp
from bridge.laravel.cache import FileStore, cache_store
from bridge.laravel.database import QUEUE_TIMEOUT, engine
from bridge.phpeval.laravel.version import NEWEST
from bridge.serve.wiring.queue import build_horizon


def build_failed_jobs(laravel: LaravelApp) -> FailedJobs:
    """Where the app keeps its failed jobs; if that cannot be used, they stay in the queue."""
    try:
        kept = failed_jobs(laravel)
    except ConfigurationError as problem:
        return KeptInQueue(problem)
    horizon = build_horizon(laravel)
    return kept if horizon is None else HorizonFailedJobs(kept, horizon)


class KeptInQueue:
    """A `failed_jobs.FailedJobs` that takes none, for the reason given: the worker releases the job."""

    def __init__(self, problem: ConfigurationError) -> None:
        self._problem = problem

    def check(self) -> None:
        raise self._problem

    def record(self, job: FailedJob) -> None:
        raise self._problem

    def kept(self) -> Iterator[KeptJob]:
        raise self._problem

    def find(self, id: str) -> KeptJob | None:
        raise self._problem

    def forget(self, id: str) -> bool:
        raise self._problem

    def forget_retried(self, job: KeptJob) -> None:
        raise self._problem

    def flush(self, before: datetime | None) -> None:
        raise self._problem

    def close(self) -> None:
        pass


def failed_jobs(laravel: LaravelApp) -> FailedJobs:
    """Where the app keeps its failed jobs. ConfigurationError where bridge cannot."""
    facts = laravel.failed()
    match facts.driver:
        case "database" | "database-uuids":
            database = laravel.database(facts.connection)
            return DatabaseFailedJobs(
                engine(database, timeout=QUEUE_TIMEOUT),
                timezone=laravel.timezone,
                table=database.prefix + facts.table,
                with_uuid=facts.driver == "database-uuids",
            )
        case "file":
            return FileFailedJobs(
                Path(facts.path), timezone=laravel.timezone, limit=facts.limit, lock=_file_lock(laravel)
            )
        case "null":
            return NoFailedJobs()
    raise ConfigurationError(
        "queue.failed.driver",
        f"is {facts.driver}, which bridge cannot write",
        remedy="set QUEUE_FAILED_DRIVER to database-uuids, database, file or null",
    )


def _file_lock(laravel: LaravelApp) -> Callable[[], contextlib.AbstractContextManager[None]]:
    """The lock under which Laravel changes its file of failed jobs; none where it has no such cache."""
    try:
        store = cache_store(laravel, "file")
    except ConfigurationError:
        return contextlib.nullcontext
    if not isinstance(store, FileStore):
        return contextlib.nullcontext
    return partial(store.hold, "laravel-failed-jobs", laravel.release or NEWEST, seconds=5, patience=10)
