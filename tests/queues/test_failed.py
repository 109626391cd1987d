"""Failed jobs in each of Laravel's forms."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from bridge.errors import ConfigurationError, ServiceUnavailable
from bridge.queues.failed import DatabaseFailedJobs, FailedJob, FileFailedJobs, NoFailedJobs
from tests import services
from tests.queues.stores import broadcast, uuid_of

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
    failed.bury(job)
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


def test_burying_a_job_again_changes_nothing(engine: sa.Engine) -> None:
    job = failed_job()
    failed = DatabaseFailedJobs(engine, timezone=BERLIN)
    failed.bury(job)
    failed.bury(replace(job, exception="another"))
    failed.close()
    assert [row["exception"] for row in rows(engine)] == ["Some\\Error: no 'channel'  for Zoë 🎉"]


def test_the_old_table_without_uuid_takes_jobs_too(engine: sa.Engine) -> None:
    execute(engine, "alter table failed_jobs rename column uuid to unused")
    execute(engine, "drop table failed_jobs")
    ddl = services.TABLES[2].replace("uuid {string} unique, ", "")
    execute(engine, ddl.format(prefix="", **services.TYPES[engine.dialect.name]))
    failed = DatabaseFailedJobs(engine, timezone=BERLIN, with_uuid=False)
    failed.check()
    failed.bury(failed_job())
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
        failed.bury(failed_job())
    failed.close()
    engine.dispose()


def test_the_file_holds_the_newest_first_up_to_its_limit(tmp_path: Path) -> None:
    path = tmp_path / "failed-jobs.json"
    failed = FileFailedJobs(path, timezone=BERLIN, limit=2)
    failed.check()
    jobs = [failed_job() for _ in range(3)]
    for job in (*jobs, jobs[-1]):
        failed.bury(job)
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
    }


def test_a_damaged_file_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "failed-jobs.json"
    path.write_text("[{")
    with pytest.raises(ServiceUnavailable, match="cannot take a failed job"):
        FileFailedJobs(path, timezone=BERLIN).bury(failed_job())
    assert path.read_text() == "[{"


def test_a_folder_that_is_not_there_is_a_wrong_setting(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"failed-jobs\.json"):
        FileFailedJobs(tmp_path / "nowhere" / "failed-jobs.json", timezone=BERLIN).check()


def test_without_a_driver_failed_jobs_are_forgotten() -> None:
    failed = NoFailedJobs()
    failed.check()
    failed.bury(failed_job())
    failed.close()
