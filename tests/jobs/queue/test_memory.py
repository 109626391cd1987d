"""What is too large for the memory that is left is not read, since no MemoryError would come of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bridge.jobs.queue.listing import RedisListing
from bridge.jobs.queue.memory import NEEDED, UNLIMITED, Memory
from bridge.jobs.queue.portion import LARGE, MOST_BYTES
from bridge.jobs.queue.queue import Job, QueueOptions
from bridge.jobs.queue.redis.driver import RedisQueue
from bridge.jobs.queue.redis.scan import WINDOW
from bridge.jobs.queue.selection import others
from bridge.jobs.queue.sql.driver import DatabaseQueue
from tests.jobs.queue.stores import (
    PREFIX,
    RETRY_AFTER,
    RedisStore,
    SqlStore,
    Store,
    broadcast,
    drain,
    foreign,
    keys,
    push,
    use_memory,
    uuid_of,
    uuids,
    without_memory,
)

MIB = 1 << 20
SIZE = 5 * MIB


def system(
    folder: Path,
    *,
    total: int = 9 << 10,
    available: int = 1 << 40,
    cgroup: str = "0::/",
    **files: dict[str, int | str],
) -> Memory:
    """One with so many bytes in all and available, and these files in its groups."""
    (folder / "proc/self").mkdir(parents=True)
    (folder / "proc/meminfo").write_text(f"MemTotal: {total >> 10} kB\nMemAvailable: {available >> 10} kB\n")
    (folder / "proc/self/cgroup").write_text(cgroup)
    for group, contents in files.items():
        place = folder / "groups" / group
        place.mkdir(parents=True, exist_ok=True)
        for name, content in contents.items():
            (place / name).write_text(str(content))
    return Memory(folder / "proc", folder / "groups")


V2 = {"memory.max": 256 * MIB, "memory.current": 200 * MIB}
V2 |= {"memory.stat": f"anon 1\ninactive_file {30 * MIB}\nactive_file {4 * MIB}\n"}  # type: ignore[dict-item]
V1 = {"memory.limit_in_bytes": 128 * MIB, "memory.usage_in_bytes": 100 * MIB}
V1 |= {"memory.stat": f"inactive_file 1\ntotal_inactive_file {2 * MIB}\ntotal_active_file {MIB}\n"}  # type: ignore[dict-item]


@pytest.mark.parametrize(
    ("given", "left"),
    [
        ({}, 1 << 40),
        ({"available": 70 * MIB}, 70 * MIB),
        ({"cgroup": "0::/app/bridge\n", "app": V2, "app/bridge": {"memory.max": "max"}}, 90 * MIB),
        ({"cgroup": "0::/app\n", "app": {**V2, "memory.current": 400 * MIB}}, 0),
        ({"cgroup": "4:cpu:/x\n3:hugetlb,memory:/docker/1\n0::/\n", "memory/docker/1": V1}, 31 * MIB),
        ({"cgroup": "3:memory:/not/shown/here\n", "memory": V1}, 31 * MIB),
        ({"cgroup": "3:memory:/\n", "memory": {**V1, "memory.limit_in_bytes": (1 << 63) - 4096}}, 1 << 40),
    ],
)  # fmt: skip
def test_what_is_left_is_what_the_system_and_every_group_have(
    tmp_path: Path, given: dict[str, object], left: int
) -> None:
    memory = system(tmp_path, **given)  # type: ignore[arg-type]
    assert memory.left() == left
    assert memory.largest() == left // NEEDED


def test_a_system_that_tells_nothing_has_no_limit(tmp_path: Path) -> None:
    assert Memory(tmp_path, tmp_path).left() == UNLIMITED


def test_what_is_possible_is_what_the_narrowest_of_system_and_groups_may_take(tmp_path: Path) -> None:
    full = {**V2, "memory.current": 256 * MIB}
    groups = {"cgroup": "0::/app/bridge\n", "app": full, "app/bridge": {"memory.max": "max"}}
    roomy = system(tmp_path / "roomy", total=1 << 40, available=0, **groups)  # type: ignore[arg-type]
    assert roomy.possible() == 256 * MIB // NEEDED
    small = system(tmp_path / "small", total=90 * MIB, **groups)  # type: ignore[arg-type]
    assert small.possible() == 90 * MIB // NEEDED


def test_a_job_that_does_not_fit_for_a_moment_is_read_when_it_does(store: Store, tmp_path: Path) -> None:
    store.push(large := broadcast(note="x" * SIZE))
    (small,) = push(store, 1)
    queue = store.queue()
    assert isinstance(queue, RedisQueue | DatabaseQueue)
    use_memory(queue, system(tmp_path / "full", total=1 << 40, available=MIB))
    assert uuids(drain(queue)) == [small]
    use_memory(queue, system(tmp_path / "free", total=1 << 40))
    store.clock.now += 2  # by then all rows are looked at again
    jobs = drain(queue)
    assert uuids(jobs) == [uuid_of(large)]
    assert [job.unread for job in jobs] == [None]


def test_sqlite_compares_no_large_row_that_is_only_in_its_log_of_writes(
    sqlite_store: SqlStore,
    tmp_path: Path,
) -> None:
    assert (file := sqlite_store.engine.url.database)
    with sqlite_store.engine.connect() as connection:
        connection.exec_driver_sql("pragma journal_mode = wal")
    sqlite_store.push(large := broadcast(note="x" * LARGE))
    assert Path(file).stat().st_size < LARGE
    queue = sqlite_store.queue()
    use_memory(queue, system(tmp_path, available=MIB))
    assert not queue.reserve(1)
    [job] = queue.reserve(1)
    assert job.uuid == uuid_of(large)
    assert job.unread
    assert job.unread.unreserved


def test_of_large_rows_in_sqlite_the_log_tells_only_what_concerns_the_driver(
    sqlite_store: SqlStore,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    sqlite_store.push(held := broadcast(note="x" * LARGE))
    assert uuids(sqlite_store.queue().reserve(1)) == [uuid_of(held)]  # in progress elsewhere
    sqlite_store.push(foreign(note="x" * LARGE))
    broadcasts = sqlite_store.queue()
    use_memory(broadcasts, system(tmp_path / "broadcasts", available=MIB))
    assert [drain(broadcasts) for _ in range(3)] == [[], [], []]
    assert not caplog.records
    options = QueueOptions(retry_after=RETRY_AFTER, clock=sqlite_store.clock, selection=others())
    lane = DatabaseQueue(
        sqlite_store.engine, options=options, memory=system(tmp_path / "lane", available=MIB)
    )
    assert [drain(lane) for _ in range(3)] == [[], [], []]
    told = [record.getMessage() for record in caplog.records]
    assert told == ["a job stays in the queue: the memory does not suffice to read it"]
    sqlite_store.clock.now += RETRY_AFTER + 1
    assert drain(lane) == []
    assert len(caplog.records) == 1
    assert uuids(broadcasts.reserve(1)) == [uuid_of(held)]


def test_a_row_of_sqlite_with_the_id_of_one_that_was_too_large_is_a_new_one(
    sqlite_store: SqlStore, tmp_path: Path
) -> None:
    sqlite_store.push(foreign(note="x" * SIZE))
    queue = sqlite_store.queue()
    use_memory(queue, system(tmp_path, available=MIB))
    assert [drain(queue) for _ in range(3)] == [[], [], []]
    with sqlite_store.engine.begin() as connection:  # as `truncate()` does
        connection.exec_driver_sql("delete from jobs")
        connection.exec_driver_sql("delete from sqlite_sequence where name = 'jobs'")
    sqlite_store.clock.now += 2  # by then all rows are looked at again
    sent = push(sqlite_store, 2)
    assert sorted(uuids(drain(queue))) == sorted(sent)


def test_a_job_that_is_too_large_is_not_read_and_holds_no_other_up(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = broadcast(note="x" * SIZE)
    store.push(large)
    store.push(large, delay=600)
    pushed = push(store, 3)
    queue = store.queue()
    assert isinstance(queue, RedisQueue | DatabaseQueue)
    use_memory(queue, system(tmp_path, available=(SIZE - MIB // 2) * NEEDED))
    without_memory(queue, monkeypatch)
    queue.check()
    assert queue.depth()["default"].pending == 4
    found: list[Job] = []
    unread: list[Job] = []
    while jobs := queue.reserve(10):
        found += jobs
        unread += (seen := [job for job in jobs if job.unread is not None])
        for job in seen:
            queue.leave(job)
    assert uuids(job for job in found if job.unread is None) == pushed
    assert uuids(unread) == ([] if isinstance(queue, RedisQueue) else [uuid_of(large)])
    if isinstance(store, SqlStore) and store.engine.dialect.name == "sqlite":  # it is not even compared
        assert [job.unread.unreserved is None for job in unread if job.unread] == [False]
    monkeypatch.undo()
    assert len(store.payloads()) == 5


def test_a_large_job_is_not_read_when_its_reservation_has_expired(
    redis_store: RedisStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Its worker was killed, maybe for reading it."""
    redis_store.push(large := broadcast(note="x" * SIZE))
    assert uuids(redis_store.queue().reserve(1)) == [uuid_of(large)]
    (behind,) = push(redis_store, 1)
    assert uuids(redis_store.queue().reserve(1)) == [behind]
    redis_store.clock.now += RETRY_AFTER + 1
    (waiting,) = push(redis_store, 1)
    queue = redis_store.queue()
    use_memory(queue, system(tmp_path, available=(SIZE - MIB // 2) * NEEDED))
    without_memory(queue, monkeypatch)
    assert uuids(drain(queue)) == [waiting, behind]
    monkeypatch.undo()
    assert len(redis_store.reserved()) == 3
    assert [record.getMessage() for record in caplog.records] == [
        "a job stays in the queue until there is memory to read it"
    ]
    [told] = caplog.records
    assert (told.uuid, told.queue, told.kib) == (uuid_of(large), "default", SIZE >> 10)  # type: ignore[attr-defined]
    assert told.event_class == json.loads(large)["displayName"]  # type: ignore[attr-defined]


def test_behind_large_jobs_of_others_each_of_ours_is_found_in_turn(
    redis_store: RedisStore, tmp_path: Path
) -> None:
    """Where a search goes on is told by an entry that is not read."""
    for _ in range(WINDOW):
        redis_store.push(foreign())
    redis_store.push(foreign(note="x" * LARGE))
    queue = redis_store.queue()
    use_memory(queue, system(tmp_path, available=MIB))
    assert not queue.reserve(1)  # looks up to the large one
    ours = push(redis_store, 1)
    redis_store.push(foreign(note="x" * LARGE))
    for _ in range(2):  # somebody else works at the head
        redis_store.client.lpop(keys().list)
        redis_store.push(foreign())
    assert uuids(queue.reserve(1) or queue.reserve(1)) == ours


def test_a_large_job_behind_many_of_others_is_read_when_there_is_memory(
    redis_store: RedisStore, tmp_path: Path
) -> None:
    for _ in range(WINDOW):
        redis_store.push(foreign())
    redis_store.push(large := broadcast(note="x" * SIZE))
    for _ in range(2 * WINDOW):
        redis_store.push(foreign())
    queue = redis_store.queue()
    use_memory(queue, system(tmp_path / "full", total=1 << 40, available=MIB))
    assert [queue.reserve(1) for _ in range(4)] == [[], [], [], []]
    use_memory(queue, system(tmp_path / "free", total=1 << 40))
    jobs = [job for _ in range(4) for job in queue.reserve(1)]
    assert uuids(jobs) == [uuid_of(large)]


def test_more_bytes_of_expired_reservations_than_one_look_reads_hide_none(redis_store: RedisStore) -> None:
    others = [foreign(note="x" * (MOST_BYTES // 2)) for _ in range(4)]
    redis_store.client.zadd(keys().reserved, dict.fromkeys(others, redis_store.clock.now))
    (ours,) = push(redis_store, 1)
    assert uuids(redis_store.queue().reserve(1)) == [ours]
    redis_store.clock.now += RETRY_AFTER + 1
    assert uuids(redis_store.queue().reserve(1)) == [ours]


def test_a_list_for_people_holds_the_beginning_of_a_large_job(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    if isinstance(store, SqlStore):
        return  # its statement asks for no more
    assert isinstance(store, RedisStore)
    store.push(broadcast(note="x" * SIZE))
    store.queue().reserve(1)
    store.push(broadcast(note="x" * SIZE))
    store.push(broadcast(note="x" * SIZE), delay=600)
    without_memory(store.queue(), monkeypatch)
    listing = RedisListing(store.server.client(), queues=["default"], prefix=PREFIX)
    assert [job.state for job in listing.jobs()] == ["reserved", "waiting", "delayed"]
    listing.close()
