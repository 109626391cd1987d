"""A look at a queue sees every broadcast job that is due or at work and leaves no trace, on all stores."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from urllib.parse import quote

import pytest

from bridge.jobs.queue.inspect import DatabaseInspector, QueueInspector, RedisInspector
from bridge.jobs.queue.memory import Memory
from bridge.jobs.queue.portion import LARGE, MOST_BYTES
from tests.jobs.queue.stores import PREFIX, RedisStore, SqlStore, Store, broadcast, foreign, uuid_of, uuids


class Changing(Memory):
    """So many bytes can be read as the test says."""

    most = 1 << 30

    def largest(self) -> int:
        return self.most


@pytest.fixture
def memory() -> Changing:
    return Changing()


@pytest.fixture
def look(store: Store, memory: Changing) -> Iterator[QueueInspector]:
    made: QueueInspector
    if isinstance(store, RedisStore):
        client = store.server.client()
        made = RedisInspector(
            client, queues=["high", "default"], prefix=PREFIX, clock=store.clock, memory=memory
        )
    else:
        assert isinstance(store, SqlStore)
        made = DatabaseInspector(
            store.database.engine(),
            queues=["high", "default"],
            table="jobs",
            clock=store.clock,
            memory=memory,
        )
    yield made
    made.close()


def test_broadcast_jobs_of_its_queues_are_new_once(store: Store, look: QueueInspector) -> None:
    first, second = broadcast(), broadcast()
    store.push(first)
    store.push(foreign())
    store.push(broadcast(), "another")
    assert uuids(look.look().new) == [uuid_of(first)]
    store.push(second, "high")
    sight = look.look()
    assert uuids(sight.new) == [uuid_of(second)]
    assert sight.present == {uuid_of(first), uuid_of(second)}


def test_a_reserved_job_is_present_and_not_new_again(store: Store, look: QueueInspector) -> None:
    store.push(payload := broadcast())
    assert len(look.look().new) == 1
    queue = store.queue()
    [job] = queue.reserve(1)
    sight = look.look()
    assert sight.present == {uuid_of(payload)}
    assert not sight.new
    queue.delete([job])
    assert look.look().present == frozenset()


def test_a_job_that_is_first_seen_when_it_is_reserved_is_new(store: Store, look: QueueInspector) -> None:
    store.push(payload := broadcast())
    store.queue().reserve(1)
    assert uuids(look.look().new) == [uuid_of(payload)]


def test_a_delayed_job_is_seen_when_it_is_due(store: Store, look: QueueInspector) -> None:
    store.push(payload := broadcast(), delay=60)
    assert look.look().present == frozenset()
    store.clock.now += 60
    assert uuids(look.look().new) == [uuid_of(payload)]


def test_a_job_that_comes_back_is_new(store: Store, look: QueueInspector) -> None:
    store.push(payload := broadcast())
    look.look()
    queue = store.queue()
    queue.delete(queue.reserve(1))
    look.look()
    store.push(payload)
    assert uuids(look.look().new) == [uuid_of(payload)]


def test_looking_changes_nothing(store: Store, look: QueueInspector) -> None:
    for payload in (broadcast(), foreign()):
        store.push(payload)
    store.push(broadcast(), delay=-60)
    before = store.payloads(), store.rows() if isinstance(store, SqlStore) else None
    for _ in range(3):
        look.look()
    assert (store.payloads(), store.rows() if isinstance(store, SqlStore) else None) == before
    assert len(store.queue().reserve(10)) == 2


@pytest.mark.parametrize("is_reserved", [False, True])
def test_a_large_job_is_present_although_the_memory_has_fallen_since(
    store: Store, look: QueueInspector, memory: Changing, is_reserved: bool
) -> None:
    """Who is not told so takes it for one that was never posted."""
    store.push(large := broadcast(note="x" * 2 * LARGE))
    store.push(small := broadcast())
    assert uuids(look.look().new) == [uuid_of(large), uuid_of(small)]
    queue = store.queue()
    jobs = queue.reserve(1) if is_reserved else ()
    memory.most = LARGE
    for _ in range(2):
        sight = look.look()
        assert sight.present == {uuid_of(large), uuid_of(small)}
        assert not sight.new
    memory.most = 1 << 30
    assert not look.look().new
    memory.most = LARGE
    jobs = jobs or queue.reserve(1)
    assert uuids(jobs) == [uuid_of(large)]
    queue.delete(jobs)
    assert look.look().present == {uuid_of(small)}


def test_a_large_job_that_was_never_read_is_not_present(
    store: Store, look: QueueInspector, memory: Changing
) -> None:
    memory.most = LARGE
    store.push(broadcast(note="x" * 2 * LARGE))
    assert look.look().present == frozenset()
    memory.most = 1 << 30
    assert len(look.look().new) == 1


# Looks three times with so many MiB more than it has, and prints the uuids that are new, and present at last.
LOOKING = """
import json, resource, sys
from pathlib import Path
import redis, sqlalchemy
from bridge.jobs.queue.inspect import DatabaseInspector, RedisInspector
from bridge.jobs.queue.memory import Memory
class Small(Memory):
    def largest(self):
        return int(sys.argv[3])
url, prefix, spare = sys.argv[1], sys.argv[2], int(sys.argv[4]) << 20
if url.startswith("redis:"):
    look = RedisInspector(redis.Redis.from_url(url), queues=["default"], prefix=prefix, memory=Small())
else:
    look = DatabaseInspector(sqlalchemy.create_engine(url), queues=["default"], table="jobs", memory=Small())
look.look()
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + spare,) * 2)
print(json.dumps(sorted(look.look().present)))
"""


def test_what_is_too_large_for_the_memory_is_not_read(store: Store) -> None:
    """In a process that would fail if it were."""
    store.push(first := broadcast())
    store.push(broadcast(note="x" * 3 * MOST_BYTES))
    store.push(last := broadcast())
    if isinstance(store, RedisStore):
        url = f"redis://:{quote(store.server.password)}@{store.server.host}:{store.server.port}"
    else:
        assert isinstance(store, SqlStore)
        url = store.database.url.render_as_string(hide_password=False)
    done = subprocess.run(
        [sys.executable, "-c", LOOKING, url, PREFIX, str(MOST_BYTES), "15"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout, done.stderr
    assert json.loads(done.stdout) == sorted(map(uuid_of, (first, last)))


def test_a_look_reads_no_more_bytes_than_a_portion_of_the_worker(store: Store, look: QueueInspector) -> None:
    payloads = [broadcast(note="x" * (MOST_BYTES // 3)) for _ in range(4)]
    for payload in payloads:
        store.push(payload)
    assert uuids(look.look().new) == [uuid_of(payload) for payload in payloads[:2]]
    if isinstance(store, RedisStore):
        store.queue().delete(store.queue().reserve(2))
    assert uuids(look.look().new) == [uuid_of(payload) for payload in payloads[2:]]
