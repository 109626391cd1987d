"""Jobs that write into the SQLite file that their queue lies in, while others of us write there too."""

from __future__ import annotations

import collections
import contextlib
import fcntl
import sqlite3
import threading
import time
from pathlib import Path

import pytest
import sqlalchemy as sa

from bridge.jobs.queue.queue import Job
from bridge.jobs.queue.sql.connection import BEGIN
from bridge.jobs.queue.sql.driver import DatabaseQueue
from bridge.jobs.queue.sql.write_lock import SqliteWriteLock
from tests.jobs.conftest import sqlite_store  # noqa: F401
from tests.jobs.queue.stores import SqlStore, broadcast, push, uuids


def count_in_one_transaction(path: str, write_lock: SqliteWriteLock) -> None:
    """As a job may do it: what was read is written. The lock is taken as PHP takes it."""
    with (
        open(write_lock.path) as lock,
        contextlib.closing(sqlite3.connect(path, timeout=60, isolation_level=None)) as connection,
    ):
        connection.execute("begin")
        fcntl.flock(lock, fcntl.LOCK_EX)
        count = connection.execute("select count(*) from jobs").fetchone()[0]
        time.sleep(0.01)
        connection.execute("update counts set count = ?", [count])
        connection.execute("commit")


@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_no_transaction_of_a_job_ends_because_broadcasts_are_taken(
    sqlite_store: SqlStore,  # noqa: F811
    mode: str,
) -> None:
    write_lock = SqliteWriteLock(longest=30)  # the machine may be slow
    broadcasts = DatabaseQueue(sqlite_store.engine, write_lock=write_lock)
    with sqlite_store.engine.connect() as connection:
        connection.exec_driver_sql(f"pragma journal_mode = {mode}")
        connection.exec_driver_sql("create table counts (count)")
        connection.exec_driver_sql("insert into counts values (0)")
        connection.commit()
    sqlite_store.push_many([broadcast() for _ in range(200)])
    over = threading.Event()
    taken = 0

    def take() -> None:
        nonlocal taken
        while not over.is_set():
            jobs = broadcasts.reserve(1)
            taken += broadcasts.delete(jobs) if jobs else 0

    thread = threading.Thread(target=take)
    thread.start()
    try:
        began, jobs = time.monotonic(), 0
        while jobs < 50 or (taken < 5 and time.monotonic() - began < 60):
            count_in_one_transaction(str(sqlite_store.engine.url.database), write_lock)
            time.sleep(0.002)  # a job has an end
            jobs += 1
    finally:
        over.set()
        thread.join()
        broadcasts.close()
    assert taken >= 5, "the jobs kept the broadcasts from being taken"


def test_a_write_does_not_wait_for_long() -> None:
    write_lock = SqliteWriteLock(longest=0.1)
    with open(write_lock.path) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        began = time.monotonic()
        with write_lock.write():
            assert time.monotonic() - began >= 0.1


def test_two_writes_take_turns_and_leave_nothing_locked() -> None:
    write_lock = SqliteWriteLock(longest=30)
    at_once: list[int] = []
    most = 0

    def write() -> None:
        nonlocal most
        for _ in range(20):
            with write_lock.write():
                at_once.append(1)
                most = max(most, len(at_once))
                time.sleep(0.001)
                at_once.pop()

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1
    with open(write_lock.path) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_write_goes_on_where_somebody_has_removed_the_file() -> None:
    write_lock = SqliteWriteLock()
    Path(write_lock.path).unlink()
    with write_lock.write() as nothing:
        assert nothing is None


ROUNDS = 20


def test_no_transaction_of_another_worker_ends_because_a_write_of_ours_waits(
    sqlite_store: SqlStore,  # noqa: F811
) -> None:
    """Laravel reads the job and then deletes it: SQLite ends that at once while somebody else writes, or
    waits with a lock to do so. Each try of ours holds one for microseconds, which nothing can avoid, and the
    machine may stop it just there. So a few of these transactions may end; where ours waits with its lock,
    all do."""
    pushed = push(sqlite_store, ROUNDS)
    queue = sqlite_store.queue()
    taken: list[Job] = []
    turns = threading.Semaphore(0)
    ran: collections.Counter[str] = collections.Counter()
    sa.event.listen(
        sqlite_store.engine,
        "before_cursor_execute",
        lambda connection, cursor, statement, *_: ran.update([statement]),
    )

    def work() -> None:
        while turns.acquire() and (jobs := queue.reserve(1)):
            taken.extend(jobs)
            assert queue.delete(jobs) == 1

    thread = threading.Thread(target=work)

    def await_next(statement: str, before: int) -> None:
        while ran[statement] == before and thread.is_alive():
            time.sleep(0.001)

    file = sqlite_store.engine.url.database
    assert file is not None
    ended = 0
    with contextlib.closing(sqlite3.connect(file, isolation_level=None, timeout=60)) as other:
        thread.start()
        for _ in range(ROUNDS):
            other.execute("begin")
            other.execute("select * from jobs where id = 0").fetchall()
            began, committed = ran[BEGIN["sqlite"]], ran["COMMIT"]
            turns.release()
            await_next(BEGIN["sqlite"], began)
            time.sleep(0.01)
            try:
                other.execute("update jobs set queue = queue where id = 0")
                other.execute("commit")
            except sqlite3.OperationalError:
                ended += 1
                other.execute("rollback")
            await_next("COMMIT", committed)
        turns.release()  # it finds nothing more
        thread.join()
    assert ended <= ROUNDS / 2, f"{ended} of {ROUNDS}"
    assert uuids(taken) == pushed
