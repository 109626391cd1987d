"""A payload that the memory does not suffice for holds no other job up."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests import services
from tests.jobs.queue.stores import SqlStore, broadcast, uuid_of

MIB = 1 << 20
# Reserves all that it can with so many MiB more than it has, and prints their uuids.
RESERVING = """
import json, resource, sys
from pathlib import Path
from bridge.jobs.queue.sql.driver import DatabaseQueue
queue = DatabaseQueue(sys.argv[1], clock=lambda: 1_700_000_000)
assert queue.check() is None and queue.depth()
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (int(sys.argv[2]) << 20),) * 2)
found = []
for _ in range(20):
    try:
        found += [job.uuid for job in queue.reserve(50)]
    except MemoryError:
        pass
print(json.dumps(found))
"""


@pytest.mark.parametrize("spare", [30, 60, 80])
def test_good_jobs_come_beside_one_that_sqlite_cannot_read(tmp_path: Path, spare: int) -> None:
    with services.sqlite(tmp_path) as database:
        store = SqlStore(database)
        first, *others = [broadcast() for _ in range(5)]
        store.push(first)
        store.push(broadcast(note="x" * 40 * MIB))
        store.push_many(others)
        url = database.url.render_as_string(hide_password=False)
        done = subprocess.run(
            [sys.executable, "-c", RESERVING, url, str(spare)], capture_output=True, text=True, check=True
        )
        assert json.loads(done.stdout) == [uuid_of(payload) for payload in (first, *others)]
        assert len(store.payloads()) == 6
        store.close()
