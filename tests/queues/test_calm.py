"""Jobs that write into the SQLite file that their queue lies in, while others of us write there too."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time

import pytest

from bridge.queues.calm import LONGEST, Calm
from bridge.queues.database import DatabaseQueue
from tests.queues.conftest import sqlite_store  # noqa: F401
from tests.queues.stores import SqlStore, broadcast


def count_in_one_transaction(path: str) -> None:
    """As a job may do it: what was read is written."""
    with contextlib.closing(sqlite3.connect(path, timeout=60, isolation_level=None)) as connection:
        connection.execute("begin")
        count = connection.execute("select count(*) from jobs").fetchone()[0]
        time.sleep(0.01)
        connection.execute("update counts set count = ?", [count])
        connection.execute("commit")


@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_no_transaction_of_a_job_ends_because_broadcasts_are_taken(
    sqlite_store: SqlStore,  # noqa: F811
    mode: str,
) -> None:
    calm = Calm(longest=30)  # the machine may be slow
    broadcasts, others = (DatabaseQueue(sqlite_store.engine, calm=calm) for _ in range(2))
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
        for _ in range(50):
            with others.at_work():
                count_in_one_transaction(str(sqlite_store.engine.url.database))
    finally:
        over.set()
        thread.join()
        for queue in (broadcasts, others):
            queue.close()
    assert taken >= 10, "the jobs kept the broadcasts from being taken"


def test_neither_waits_for_the_other_for_long() -> None:
    calm = Calm()
    with calm.job(), calm.job():
        began = time.monotonic()
        with calm.write():
            assert time.monotonic() - began >= LONGEST
            with calm.job():
                assert time.monotonic() - began >= 2 * LONGEST


def test_alone_nobody_waits() -> None:
    calm = Calm()
    began = time.monotonic()
    for _ in range(100):
        with calm.write():
            pass
        with calm.job():
            pass
    assert time.monotonic() - began < 100 * LONGEST
