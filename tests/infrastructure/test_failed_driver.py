"""The driver dynamodb of failed jobs, which bridge cannot write."""

from __future__ import annotations

import contextlib
import logging

import pytest

from bridge.errors import ConfigurationError, Refused
from bridge.jobs.worker.loop import Failed, Worker, WorkerHooks
from bridge.jobs.worker.retry_policy import RetryPolicy
from bridge.laravel.application import load
from bridge.serve.wiring.failed_jobs import build_failed_jobs, failed_jobs
from tests import services
from tests.infrastructure.conftest import MakeApp
from tests.jobs.queue.stores import SqlStore, push
from tests.services import wait_until


def test_a_failing_job_stays_in_the_queue_and_one_line_says_why(
    app: MakeApp, sqlite_database: services.Database, caplog: pytest.LogCaptureFixture
) -> None:
    path = app("[]", "database").path
    driver = "<?php return ['failed' => ['driver' => 'dynamodb', 'table' => 'failed_jobs']];"
    (path / "config/queue.php").write_text(driver)
    laravel = load(path, {}, "12.30")
    with pytest.raises(ConfigurationError, match=r"dynamodb.*QUEUE_FAILED_DRIVER to database-uuids"):
        failed_jobs(laravel)
    store = SqlStore(sqlite_database)
    push(store, 1)
    with contextlib.closing(store):
        failing = [Failed(Refused("it cannot be known"))]
        kept = build_failed_jobs(laravel)
        worker = Worker(
            store.queue(),
            kept,
            lambda jobs, is_enough: failing,
            batch=50,
            retries=RetryPolicy(tries=3, backoff=(1,)),
            hooks=WorkerHooks(clock=store.clock),
        )
        worker.start()
        wait_until(lambda: worker.counts["released"] == 1, "the job is put back")
        assert worker.stop(60)
        assert len(store.payloads()) == 1
    (record,) = [one for one in caplog.records if one.message == "failed_jobs cannot be written"]
    assert record.levelno == logging.ERROR
    assert not record.exc_info
    assert "dynamodb" in record.__dict__["why"]
