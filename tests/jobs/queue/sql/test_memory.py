"""A payload that the memory does not suffice for holds no other job up."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests import services
from tests.jobs.queue.stores import SqlStore, broadcast, foreign, uuid_of

MIB = 1 << 20
# Reserves all that it can with so many MiB more than it has, and prints their uuids; what it cannot read
# fails.
RESERVING = """
import json, resource, sys
from pathlib import Path
from zoneinfo import ZoneInfo
import sqlalchemy
from bridge.errors import Unreadable
from bridge.jobs.queue.failed_jobs import DatabaseFailedJobs
from bridge.jobs.worker.burial import failed_job
from bridge.jobs.queue.sql.driver import DatabaseQueue
queue = DatabaseQueue(sys.argv[1], clock=lambda: 1_700_000_000)
assert queue.check() is None and queue.depth()
failed = DatabaseFailedJobs(sqlalchemy.create_engine(sys.argv[1]), timezone=ZoneInfo("UTC"))
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
                failed.record(failed_job(queue, job, Unreadable("too large"), 0))
                queue.delete([job])
    except MemoryError:
        pass
print(json.dumps(found))
"""


@pytest.mark.parametrize("spare", [15, 30, 40])
def test_good_jobs_come_beside_one_that_sqlite_cannot_read_and_that_one_fails(
    tmp_path: Path, spare: int
) -> None:
    """Also where this process has not the memory to copy it."""
    with services.sqlite(tmp_path) as database:
        store = SqlStore(database)
        first, large, *others = [broadcast() for _ in range(6)]
        large = broadcast(note="ä" * 10 * MIB)
        other = foreign(note="Illuminate BroadcastEvent " + "x" * 20 * MIB)
        store.push(first)
        store.push(large)
        store.push(other)
        store.push_many(others)
        url = database.url.render_as_string(hide_password=False)
        done = subprocess.run(
            [sys.executable, "-c", RESERVING, url, str(spare)], capture_output=True, text=True, check=True
        )
        assert sorted(json.loads(done.stdout)) == sorted(uuid_of(one) for one in (first, large, *others))
        with store.engine.connect() as connection:
            kept = connection.exec_driver_sql("select uuid, payload, typeof(payload) from failed_jobs").all()
        assert [tuple(row) for row in kept] == [(uuid_of(large), large.decode(), "text")]
        assert {other, first, *others} == set(store.payloads())
        store.close()
