"""Failed jobs in each of Laravel's forms."""

from __future__ import annotations

import json
import subprocess
import time
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from bridge.errors import ConfigurationError, ServiceUnavailable
from bridge.jobs.queue.failed_jobs import DatabaseFailedJobs, FailedJob, FailedJobs, NoFailedJobs
from bridge.jobs.queue.failed_jobs_file import FileFailedJobs
from bridge.jobs.queue.requeue import retry
from bridge.laravel.cache import FileStore
from tests import services
from tests.jobs.queue.stores import broadcast, uuid_of

BERLIN = ZoneInfo("Europe/Berlin")
NOON = datetime(2024, 5, 17, 12, 0, 0, tzinfo=UTC)


def failed_job() -> FailedJob:
    payload = broadcast()
    return FailedJob(
        connection_name="database",
        queue="default",
        payload=payload,
        exception="Some\\Error: no 'channel' \x00 for Zoë 🎉",
        uuid=uuid_of(payload),
        failed_at=NOON,
    )


@pytest.fixture
def engine(database: services.Database) -> Iterator[sa.Engine]:
    made = database.engine()
    yield made
    made.dispose()


def rows(engine: sa.Engine) -> list[dict[str, object]]:
    with engine.connect() as connection:
        return [dict(row._mapping) for row in connection.execute(sa.text("select * from failed_jobs"))]


def execute(engine: sa.Engine, sql: str) -> None:
    with engine.begin() as connection:
        connection.execute(sa.text(sql))


def test_a_buried_job_is_a_row_with_the_apps_local_time(engine: sa.Engine) -> None:
    job = failed_job()
    failed = DatabaseFailedJobs(engine, timezone=BERLIN)
    failed.check()
    failed.record(job)
    failed.close()
    (row,) = rows(engine)
    assert row.pop("id") == 1
    assert str(row.pop("failed_at")) == "2024-05-17 14:00:00"
    assert row == {
        "uuid": job.uuid,
        "connection": "database",
        "queue": "default",
        "payload": job.payload.decode(),
        "exception": "Some\\Error: no 'channel'  for Zoë 🎉",
    }


def test_nothing_stays_in_the_memory_of_the_jobs_that_are_buried(engine: sa.Engine) -> None:
    failed = DatabaseFailedJobs(engine, timezone=BERLIN)
    failed.record(failed_job())
    before = len(engine._compiled_cache or ())
    for second in range(20):
        failed.record(replace(failed_job(), failed_at=NOON + timedelta(seconds=second)))
    assert len(engine._compiled_cache or ()) == before
    failed.close()
    assert len(rows(engine)) == 21


def test_burying_a_job_again_replaces_its_entry(engine: sa.Engine) -> None:
    job = failed_job()
    failed = DatabaseFailedJobs(engine, timezone=BERLIN)
    failed.record(job)
    failed.record(replace(job, exception="another"))
    failed.close()
    assert [row["exception"] for row in rows(engine)] == ["another"]


def test_the_old_table_without_uuid_takes_jobs_too(engine: sa.Engine) -> None:
    execute(engine, "alter table failed_jobs rename column uuid to unused")
    execute(engine, "drop table failed_jobs")
    ddl = services.TABLES[2].replace("uuid {string} unique, ", "")
    execute(engine, ddl.format(prefix="", **services.TYPES[engine.dialect.name]))
    failed = DatabaseFailedJobs(engine, timezone=BERLIN, with_uuid=False)
    failed.check()
    failed.record(failed_job())
    failed.close()
    assert [row["queue"] for row in rows(engine)] == ["default"]


def test_a_missing_table_is_named_with_the_command_that_makes_it(engine: sa.Engine) -> None:
    execute(engine, "drop table failed_jobs")
    failed = DatabaseFailedJobs(engine, timezone=BERLIN)
    with pytest.raises(ConfigurationError, match=r"failed_jobs.*queue:failed-table"):
        failed.check()
    failed.close()


def test_a_row_that_the_table_refuses_for_another_reason_is_not_taken_as_done(
    sqlite_database: services.Database,
) -> None:
    engine = sqlite_database.engine()
    execute(engine, "create trigger no before insert on failed_jobs begin select raise(abort, 'no'); end")
    failed = DatabaseFailedJobs(engine, timezone=BERLIN)
    with pytest.raises(ServiceUnavailable):
        failed.record(failed_job())
    failed.close()
    engine.dispose()


def test_the_file_holds_the_newest_first_up_to_its_limit(tmp_path: Path) -> None:
    path = tmp_path / "failed-jobs.json"
    failed = FileFailedJobs(path, timezone=BERLIN, limit=2)
    failed.check()
    jobs = [failed_job() for _ in range(3)]
    for job in (*jobs, jobs[-1]):
        failed.record(job)
    entries = json.loads(path.read_text())
    assert [entry["id"] for entry in entries] == [jobs[2].uuid, jobs[1].uuid]
    assert entries[0] == {
        "id": jobs[2].uuid,
        "connection": "database",
        "queue": "default",
        "payload": jobs[2].payload.decode(),
        "exception": "Some\\Error: no 'channel'  for Zoë 🎉",
        "failed_at": "2024-05-17 14:00:00",
        "failed_at_timestamp": int(NOON.timestamp()),
        "number": entries[0]["number"],
    }


def test_a_damaged_file_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "failed-jobs.json"
    path.write_text("[{")
    with pytest.raises(ServiceUnavailable, match="cannot be read or written"):
        FileFailedJobs(path, timezone=BERLIN).record(failed_job())
    assert path.read_text() == "[{"


def test_a_folder_that_is_not_there_is_a_wrong_setting(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"failed-jobs\.json"):
        FileFailedJobs(tmp_path / "nowhere" / "failed-jobs.json", timezone=BERLIN).check()


def test_without_a_driver_failed_jobs_are_forgotten() -> None:
    failed = NoFailedJobs()
    failed.check()
    failed.record(failed_job())
    failed.close()


# ---- what was kept ------------------------------------------------------------------------------


@pytest.fixture(params=["database-uuids", "database", "file"])
def failed(
    request: pytest.FixtureRequest, sqlite_database: services.Database, tmp_path: Path
) -> Iterator[FailedJobs]:
    if request.param == "file":
        yield FileFailedJobs(tmp_path / "failed-jobs.json", timezone=BERLIN)
        return
    engine = sqlite_database.engine()
    made = DatabaseFailedJobs(engine, timezone=BERLIN, with_uuid=request.param == "database-uuids")
    if request.param == "database":
        execute(engine, "drop table failed_jobs")
        ddl = services.TABLES[2].replace("uuid {string} unique, ", "")
        execute(engine, ddl.format(prefix="", **services.TYPES[engine.dialect.name]))
    yield made
    made.close()
    engine.dispose()


def three(failed: FailedJobs) -> list[FailedJob]:
    """Jobs of noon, one and two o'clock."""
    jobs = [replace(failed_job(), failed_at=NOON + timedelta(hours=hours)) for hours in range(3)]
    for job in jobs:
        failed.record(job)
    return jobs


def test_what_is_kept_comes_back_newest_first(failed: FailedJobs) -> None:
    jobs = three(failed)
    kept = list(failed.kept())
    assert [job.payload for job in kept] == [job.payload for job in reversed(jobs)]
    assert [job.failed_at for job in kept] == [f"2024-05-17 {hour}:00:00" for hour in (16, 15, 14)]
    assert {(job.connection_name, job.queue) for job in kept} == {("database", "default")}
    assert kept[0].exception == "Some\\Error: no 'channel'  for Zoë 🎉"
    assert [failed.find(job.id) for job in kept] == kept


def test_more_than_a_page_is_all_there(failed: FailedJobs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.jobs.queue.failed_jobs.PAGE", 2)
    jobs = three(failed)
    assert [job.payload for job in failed.kept()] == [job.payload for job in reversed(jobs)]


def test_what_is_forgotten_is_gone_and_only_that(failed: FailedJobs) -> None:
    three(failed)
    newest, *others = failed.kept()
    assert failed.forget(newest.id)
    assert not failed.forget(newest.id)
    assert failed.find(newest.id) is None
    assert list(failed.kept()) == others


class _Fails:
    """A queue whose worker fails the job before its `push` has returned."""

    def __init__(self, failed: FailedJobs, job: FailedJob) -> None:
        self._failed = failed
        self._job = job

    def push(self, queue: str, payload: bytes) -> None:
        self._failed.record(self._job)

    def close(self) -> None: ...


def test_a_retried_job_that_fails_at_once_is_kept(failed: FailedJobs) -> None:
    oldest, *_, newest = three(failed)
    kept = failed.find(next(iter(failed.kept())).id)
    assert kept is not None
    retry(kept, failed, _Fails(failed, newest), lambda command: {})
    assert len(list(failed.kept())) == 3
    again = next(job for job in failed.kept() if job.payload == newest.payload)
    retry(again, failed, _Fails(failed, replace(oldest, uuid=str(uuid.uuid4()))), lambda command: {})
    assert again not in list(failed.kept())


@pytest.mark.parametrize("id", ["", "0", "99", "²", "1; drop table failed_jobs", "9" * 30])
def test_an_id_that_nothing_has_is_nothing(failed: FailedJobs, id: str) -> None:
    three(failed)
    assert failed.find(id) is None
    assert not failed.forget(id)
    assert len(list(failed.kept())) == 3


def test_a_flush_takes_what_failed_until_then_or_all(failed: FailedJobs) -> None:
    three(failed)
    failed.flush(NOON + timedelta(hours=1))
    assert [job.failed_at for job in failed.kept()] == ["2024-05-17 16:00:00"]
    failed.flush(None)
    assert list(failed.kept()) == []


def test_every_database_gives_back_what_it_took(engine: sa.Engine) -> None:
    failed = DatabaseFailedJobs(engine, timezone=BERLIN)
    jobs = three(failed)
    assert [(job.id, job.payload) for job in failed.kept()] == [(j.uuid, j.payload) for j in reversed(jobs)]
    failed.flush(NOON + timedelta(minutes=30))
    assert [job.failed_at[11:] for job in failed.kept()] == ["16:00:00", "15:00:00"]
    assert failed.forget(jobs[1].uuid)
    assert failed.find(jobs[1].uuid) is None
    failed.close()


# Laravel's own way with the file, 8.83's cache lock under it. Source: FileFailedJobProvider::log.
PHP_WRITER = """
require 'Illuminate/autoload.php';
[, $file, $cache, $count] = $argv;
$store = new Illuminate\\Cache\\FileStore(new Illuminate\\Filesystem\\Filesystem, $cache);
for ($n = 0; $n < $count; $n++) {
    $store->lock('laravel-failed-jobs', 60)->block(60, function () use ($file, $n) {
        $jobs = file_exists($file) ? json_decode(file_get_contents($file)) : [];
        array_unshift($jobs, ['id' => "php $n", 'connection' => 'database', 'queue' => 'default',
            'payload' => '{}', 'exception' => '', 'failed_at' => '', 'failed_at_timestamp' => 0]);
        usleep(2000);
        file_put_contents($file, json_encode($jobs, JSON_PRETTY_PRINT));
    });
}
"""


@pytest.mark.parametrize("kind", ["blob", "text"])
def test_bytes_that_are_no_text_are_listed_all_the_same(tmp_path: Path, kind: str) -> None:
    """SQLite keeps in any column what it is given."""
    with services.sqlite(tmp_path) as database:
        engine = database.engine()
        held = f"cast(x'61ff62' as {kind})"
        execute(
            engine,
            "insert into failed_jobs (uuid, connection, queue, payload, exception, failed_at)"
            f" values ({held}, {held}, {held}, {held}, {held}, cast('2024-05-17 14:00:00' as {kind}))",
        )
        failed = DatabaseFailedJobs(engine, timezone=BERLIN)
        [job] = failed.kept()
        failed.close()
        engine.dispose()
    assert job.payload == b"a\xffb"
    assert [job.id, job.connection_name, job.queue, job.exception] == ["a\ufffdb"] * 4
    assert job.failed_at == "2024-05-17 14:00:00"


def test_laravel_and_bridge_lose_nothing_when_both_write_the_file(tmp_path: Path) -> None:
    path, cache = tmp_path / "failed-jobs.json", tmp_path / "cache"
    cache.mkdir()
    store = FileStore(cache, cache, clock=time.time)
    failed = FileFailedJobs(
        path,
        timezone=BERLIN,
        limit=100_000,  # however many bridge writes while PHP waits for the lock
        lock=lambda: store.hold("laravel-failed-jobs", (8, 83), seconds=60, patience=60),
    )
    command = ["php", "-r", PHP_WRITER, str(path), str(cache), "15"]
    ours: list[FailedJob] = []
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as php:
        while php.poll() is None or len(ours) < 15:
            ours.append(failed_job())
            failed.record(ours[-1])
        assert php.stderr is not None
        assert (php.returncode, php.stderr.read()) == (0, "")
    kept = {job.id for job in failed.kept()}
    assert kept == {job.uuid for job in ours} | {f"php {n}" for n in range(15)}
