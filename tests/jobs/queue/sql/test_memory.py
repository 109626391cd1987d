"""A payload that the memory does not suffice for holds no other job up."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from bridge.errors import Refused, ServiceUnavailable, Unreadable
from bridge.jobs.queue import failed_jobs
from bridge.jobs.queue.failed_jobs import DatabaseFailedJobs, StoredPayload, Unreserved
from bridge.jobs.queue.sql.statements import jobs_table
from bridge.jobs.worker.failed_job_entry import failed_job
from tests import services
from tests.jobs.queue.stores import SqlStore, broadcast, foreign, uuid_of

MIB = 1 << 20
# Reserves all that it can with so many MiB more than it has, and prints their uuids; what it cannot read
# fails, and where that cannot be done at first, later.
RESERVING = """
import json, resource, sys
from pathlib import Path
from zoneinfo import ZoneInfo
import sqlalchemy
from bridge.errors import ServiceUnavailable, Unreadable
from bridge.jobs.queue.failed_jobs import DatabaseFailedJobs
from bridge.jobs.worker.failed_job_entry import failed_job
from bridge.jobs.queue.queue import QueueOptions
from bridge.jobs.queue.sql.driver import DatabaseQueue
now = 1_700_000_000
engine = sqlalchemy.create_engine(sys.argv[1])
queue = DatabaseQueue(sys.argv[1], options=QueueOptions(clock=lambda: now))
assert queue.check() is None and queue.depth()
failed = DatabaseFailedJobs(engine, timezone=ZoneInfo("UTC"))
failed.check()
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (int(sys.argv[2]) << 20),) * 2)
found = []
for _ in range(20):
    try:
        jobs = queue.reserve(50)
        found += [job.uuid for job in jobs]
        for job in jobs:
            if job.unread is not None:
                try:
                    failed.record(failed_job(queue, job, Unreadable("too large"), 0))
                except ServiceUnavailable:
                    queue.release(job, 60)
                    now += 59
                    found += [job.uuid for job in queue.reserve(50)]
                    now += 1
                    with engine.begin() as connection:
                        connection.exec_driver_sql("DROP TRIGGER full_disk")
                else:
                    assert queue.delete([job]) == 1
    except MemoryError:
        pass
print(json.dumps(found))
"""


@pytest.mark.parametrize(("spare", "refusals"), [(15, 0), (15, 1), (30, 0), (40, 0)])
def test_good_jobs_come_beside_one_that_sqlite_cannot_read_and_that_one_fails(
    tmp_path: Path, spare: int, refusals: int
) -> None:
    """Also where this process has not the memory to copy it, and where a copy fails at first."""
    with services.sqlite(tmp_path) as database:
        store = SqlStore(database)
        first, large, *others = [broadcast() for _ in range(6)]
        large = broadcast(note="ä" * 10 * MIB)
        other = foreign(note="Illuminate BroadcastEvent " + "x" * 20 * MIB)
        store.push(first)
        store.push(large)
        store.push(other)
        store.push_many(others)
        if refusals:
            with store.engine.begin() as connection:
                connection.exec_driver_sql(
                    "CREATE TRIGGER full_disk BEFORE INSERT ON failed_jobs"
                    " BEGIN SELECT RAISE(ABORT, 'full'); END"
                )
        url = database.url.render_as_string(hide_password=False)
        done = subprocess.run(
            [sys.executable, "-c", RESERVING, url, str(spare)], capture_output=True, text=True, check=True
        )
        assert sorted(json.loads(done.stdout)) == sorted(
            uuid_of(one) for one in (first, large, *[large] * refusals, *others)
        )
        with store.engine.connect() as connection:
            kept = connection.exec_driver_sql("select uuid, payload, typeof(payload) from failed_jobs").all()
        assert [tuple(row) for row in kept] == [(uuid_of(large), large.decode(), "text")]
        assert {other, first, *others} == set(store.payloads())
        store.close()


def test_a_copy_that_fails_says_why_and_takes_no_job_from_somebody_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with services.sqlite(tmp_path) as database:
        store = SqlStore(database)
        store.push(payload := broadcast())
        job = store.queue().reserve(1)[0]
        [[id, attempts, reserved_at]] = rows(store, "select id, attempts, reserved_at from jobs")
        failed = DatabaseFailedJobs(store.engine, timezone=ZoneInfo("UTC"))

        def record(seen: Unreserved) -> None:
            unread = StoredPayload(
                database=store.engine.url, table=jobs_table("jobs"), id=id, size=MIB, unreserved=seen
            )
            entry = failed_job(store.queue(), job, Unreadable("too large"), 0)
            failed.record(replace(entry, unread=unread))

        seen = Unreserved(attempts=attempts, reserved_at=reserved_at, at=reserved_at + 90)
        for other in (replace(seen, reserved_at=None), replace(seen, attempts=0)):
            with pytest.raises(ServiceUnavailable, match="somebody else has taken the job"):
                record(other)
        program = tmp_path / "program.py"
        monkeypatch.setattr(failed_jobs, "COPY_ROW", program)
        program.write_text("import os; os.kill(os.getpid(), 9)")
        for _ in range(2):
            with pytest.raises(ServiceUnavailable, match="ended by SIGKILL"):
                record(seen)
        with pytest.raises(Refused, match="3 times also for a process that copies it"):
            record(seen)
        monkeypatch.setattr(failed_jobs, "COPY_TIMEOUT", 0.1)
        program.write_text("import time; time.sleep(600)")
        with pytest.raises(ServiceUnavailable, match=r"longer than 0\.1 s"):
            record(seen)
        assert rows(store, "select * from failed_jobs") == []
        monkeypatch.undo()
        record(seen)
        assert rows(store, "select payload from failed_jobs") == [(payload.decode(),)]
        assert rows(store, "select attempts, reserved_at from jobs") == [(attempts, seen.at)]
        store.close()


def rows(store: SqlStore, select: str) -> list[tuple[Any, ...]]:
    with store.engine.connect() as connection:
        return [tuple(row) for row in connection.exec_driver_sql(select)]
