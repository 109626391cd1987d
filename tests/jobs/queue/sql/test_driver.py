"""What only the database driver does: locks, versions, faults of the server."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import sqlalchemy.exc

from bridge.errors import ConfigurationError, ServiceUnavailable
from bridge.jobs.queue.queue import QueueOptions
from bridge.jobs.queue.selection import others
from bridge.jobs.queue.sql.driver import DatabaseQueue
from bridge.jobs.queue.sql.statements import skips_locked
from bridge.jobs.worker.progress import step
from tests import services
from tests.jobs.queue.stores import (
    RETRY_AFTER,
    SqlStore,
    broadcast,
    drain,
    entry_bytes,
    foreign,
    recorded,
    uuid_of,
    uuids,
)


@pytest.mark.parametrize(
    ("version", "can"),
    [
        ("8.0.36", True),
        ("8.0.0", False),
        ("8.4.3-cluster", True),
        ("5.7.44-log", False),
        ("10.11.6-MariaDB-0+deb12u1", True),
        ("10.5.23-MariaDB", False),
        ("5.5.5-10.6.16-MariaDB-log", True),
        ("5.5.5-10.3.39-MariaDB", False),
        ("11.4.2-MariaDB-ubu2404", True),
        ("8.0.30-Vitess", False),
        ("19.0.4-Vitess", True),
        ("18.0.1-PlanetScale", False),
        ("PostgreSQL 15.8 (Debian 15.8-0+deb12u1) on x86_64-pc-linux-gnu", True),
        ("PostgreSQL 9.4.26 on x86_64", False),
        ("something else", False),
    ],
)
def test_skip_locked_is_used_from_the_version_that_has_it(version: str, can: bool) -> None:
    assert skips_locked(version) is can


def push(store: SqlStore, count: int) -> list[str]:
    payloads = [broadcast() for _ in range(count)]
    store.push_many(payloads)
    return [uuid_of(payload) for payload in payloads]


OTHERS = (1, 2, 3, 4, 5, 11, 12, 13, 14, 15)  # ids in the test below


def lock(connection: sa.Connection, ids: Sequence[int]) -> None:
    """These rows and no others are locked; an error if somebody else holds one."""
    for id in ids:  # one by one: with a list, a small table would be read and locked as a whole
        connection.execute(sa.text(f"select id from jobs where id = {id} for update nowait")).one()


@pytest.mark.parametrize("engine", ["mariadb", "postgres"])
def test_nothing_of_ours_waits_for_or_locks_other_jobs(engine: str, request: pytest.FixtureRequest) -> None:
    store: SqlStore = request.getfixturevalue(f"{engine}_store")
    store.push_many([foreign() for _ in range(5)])
    push(store, 5)
    store.push_many([foreign() for _ in range(5)])
    queue = store.queue()
    watcher = store.database.engine()
    watched: list[str] = []
    refused: list[str] = []

    def lock_the_others(_: Any, cursor: Any, statement: str, *rest: object) -> None:
        """In the middle of our transactions, after each of their statements."""
        watched.append(statement.split()[0])
        try:
            with watcher.begin() as other:
                lock(other, OTHERS)
        except sa.exc.OperationalError:
            refused.append(statement)

    sa.event.listen(store.engine, "after_cursor_execute", lock_the_others)
    jobs = queue.reserve(10)
    queue.release(jobs[0], 0)
    queue.give_back(jobs[1:2])
    assert queue.delete(jobs[2:]) == 3
    sa.event.remove(store.engine, "after_cursor_execute", lock_the_others)
    assert {"UPDATE", "INSERT", "DELETE"} <= set(watched)
    assert refused == []

    with watcher.begin() as other:
        lock(other, OTHERS)
        started = time.monotonic()
        store.clock.now += 1
        assert queue.delete(drain(queue)) == 2
        assert time.monotonic() - started < 40
    watcher.dispose()


@pytest.mark.parametrize("engine", ["mariadb", "postgres"])
def test_rows_that_another_worker_holds_are_stepped_over(engine: str, request: pytest.FixtureRequest) -> None:
    store: SqlStore = request.getfixturevalue(f"{engine}_store")
    pushed = push(store, 3)
    with store.engine.begin() as other:
        lock(other, (1,))
        assert uuids(store.queue().reserve(3)) == pushed[1:]


def test_payload_of_a_released_row_is_the_same_to_the_byte(sql_store: SqlStore) -> None:
    payload = broadcast(note="Zoë 🎉 \\ ' %s :x")
    sql_store.push(payload)
    queue = sql_store.queue()
    (job,) = queue.reserve(1)
    queue.release(job, 30)
    (row,) = sql_store.rows()
    assert row["payload"].encode() == payload
    assert (row["attempts"], row["reserved_at"], row["id"]) == (1, None, 2)
    assert row["available_at"] == row["created_at"] + 30 == sql_store.clock.now + 30


def test_a_job_knows_since_when_it_was_due_and_so_does_whoever_looks_on(sql_store: SqlStore) -> None:
    sql_store.push(broadcast())
    sql_store.push(broadcast(), delay=30)
    sql_store.clock.now += 50
    queue = sql_store.queue()
    assert queue.depth()["default"].oldest_at == sql_store.clock.now - 50
    jobs = queue.reserve(2)
    assert [job.due_at for job in jobs] == [sql_store.clock.now - 50, sql_store.clock.now - 20]
    assert [step(job, "reserved").queued_at for job in jobs] == [job.due_at for job in jobs]


def test_a_full_attempts_column_does_not_stop_the_queue(mariadb_store: SqlStore) -> None:
    push(mariadb_store, 2)
    with mariadb_store.engine.begin() as connection:
        connection.execute(sa.text("update jobs set attempts = 255 where id = 1"))
    queue = mariadb_store.queue()
    jobs = drain(queue)
    assert [job.attempts for job in jobs] == [255, 1]
    assert queue.delete(jobs) == 2


def test_every_recorded_row_is_reserved_or_left_and_none_breaks_the_queue(sqlite_store: SqlStore) -> None:
    held = [entry for _, entry in recorded("database")]
    with sqlite_store.engine.begin() as connection:
        for entry in held:
            connection.exec_driver_sql(
                "insert into jobs (queue, payload, attempts, available_at, created_at)"
                " values ('default', cast(? as text), 0, 0, 0)",
                (entry,),
            )
    queue = sqlite_store.queue()
    taken = 0
    while jobs := queue.reserve(100):
        taken += len(jobs)
        assert queue.delete(jobs) == len(jobs)
    assert taken > 1500
    assert 100 < len(held) - taken < 400


def test_a_text_that_only_looks_like_a_broadcast_is_read_once(sql_store: SqlStore) -> None:
    sql_store.push(foreign(note="Illuminate\\Broadcasting\\BroadcastEvent"))
    queue = sql_store.queue()
    assert not queue.reserve(10)
    started = time.monotonic()
    queue.wait(0.3)
    assert time.monotonic() - started > 0.25  # it does not pass for news
    (mine,) = push(sql_store, 1)
    assert uuids(queue.reserve(1)) == [mine]


def test_a_table_in_another_schema_or_with_a_prefix_is_found(mariadb_database: services.Database) -> None:
    services.create_tables(mariadb_database.url, "app_")
    queue = DatabaseQueue(mariadb_database.url, table=f"{mariadb_database.url.database}.app_jobs")
    queue.check()
    assert not queue.reserve(1)
    queue.close()


def test_a_missing_table_is_named_with_the_command_that_makes_it(sql_store: SqlStore) -> None:
    queue = DatabaseQueue(sql_store.engine, table="no_jobs")
    with pytest.raises(ConfigurationError, match=r"no_jobs.*artisan queue:table"):
        queue.check()
    queue.close()


def test_a_missing_file_is_not_made(tmp_path: Path) -> None:
    path = tmp_path / "none.sqlite"
    queue = DatabaseQueue(f"sqlite:///{path}")
    with pytest.raises(ConfigurationError, match=r"none\.sqlite"):
        queue.check()
    queue.close()
    assert not path.exists()


@pytest.mark.parametrize("engine", ["mariadb", "postgres"])
def test_a_wrong_password_is_a_wrong_setting_and_not_told(
    engine: str, request: pytest.FixtureRequest
) -> None:
    database: services.Database = request.getfixturevalue(f"{engine}_database")
    queue = DatabaseQueue(database.url.set(password="hunter2"))
    with pytest.raises(ConfigurationError) as caught:
        queue.check()
    queue.close()
    assert "hunter2" not in str(caught.value)


def test_an_unreachable_server_is_unavailable() -> None:
    queue = DatabaseQueue(f"mysql+pymysql://bridge:hunter2@127.0.0.1:{services.free_port()}/laravel")
    with pytest.raises(ServiceUnavailable) as caught:
        queue.check()
    queue.close()
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("engine", ["mariadb", "postgres"])
def test_a_connection_cut_by_the_server_is_replaced_unnoticed(
    engine: str, request: pytest.FixtureRequest
) -> None:
    store: SqlStore = request.getfixturevalue(f"{engine}_store")
    pushed = push(store, 3)
    queue = store.queue()
    taken = []
    for _ in range(3):
        jobs = queue.reserve(1)
        cut_connections(store)
        assert queue.delete(jobs) == 1
        taken += uuids(jobs)
        cut_connections(store)
    assert taken == pushed
    assert store.payloads() == []


def cut_connections(store: SqlStore) -> None:
    with store.engine.connect() as connection:
        if store.database.driver == "pgsql":
            connection.execute(
                sa.text(
                    "select pg_terminate_backend(pid) from pg_stat_activity"
                    " where datname = current_database() and pid <> pg_backend_pid()"
                )
            )
            return
        own = connection.execute(sa.text("select connection_id()")).scalar_one()
        threads = connection.execute(sa.text("show processlist")).all()
        for thread in threads:
            if thread[0] != own and thread[3] == store.database.url.database:
                connection.execute(sa.text(f"kill {thread[0]}"))


@pytest.mark.parametrize(
    "start",
    [
        lambda: services.mariadb("--innodb-flush-log-at-trx-commit=2"),
        lambda: services.postgres("-c", "synchronous_commit=on"),
    ],
    ids=["mariadb", "postgres"],
)
def test_a_server_that_crashes_and_returns_loses_nothing(start: Any) -> None:
    with start() as server, server.database() as database:
        store = SqlStore(database)
        pushed = push(store, 4)
        queue = store.queue()
        first = queue.reserve(2)
        server.stop(signal.SIGKILL)
        with pytest.raises(ServiceUnavailable):
            queue.delete(first)
        with pytest.raises(ServiceUnavailable):
            queue.reserve(2)
        server.start()
        assert queue.delete(first) == 2
        assert uuids(queue.reserve(10)) == pushed[2:]
        store.close()


def test_a_locked_sqlite_file_is_waited_for(sqlite_store: SqlStore) -> None:
    pushed = push(sqlite_store, 1)
    queue = sqlite_store.queue()
    locked, free = threading.Event(), threading.Event()

    def hold() -> None:
        with sqlite_store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("BEGIN EXCLUSIVE")
            locked.set()
            free.wait(60)
            connection.exec_driver_sql("COMMIT")

    holder = threading.Thread(target=hold)
    holder.start()
    assert locked.wait(60)
    threading.Timer(0.5, free.set).start()
    assert uuids(queue.reserve(1)) == pushed
    holder.join(60)


def test_an_expired_row_is_taken_with_its_attempts_counted(sql_store: SqlStore) -> None:
    push(sql_store, 1)
    crashed, queue = sql_store.queue(), sql_store.queue()
    crashed.reserve(1)
    sql_store.clock.now += RETRY_AFTER
    (job,) = queue.reserve(1)
    (row,) = sql_store.rows()
    assert (
        (row["attempts"], row["reserved_at"])
        == (job.attempts, sql_store.clock.now)
        == (2, sql_store.clock.now)
    )


def test_recorded_rows_keep_their_bytes(sqlite_store: SqlStore) -> None:
    row = next(row for row, _ in recorded("database") if row["id"] == "scalar-seed")
    sqlite_store.push(entry_bytes(row["row"]))
    (job,) = sqlite_store.queue().reserve(1)
    assert job.payload == entry_bytes(row["row"])


def test_a_row_with_the_id_of_one_that_was_left_is_taken(sql_store: SqlStore) -> None:
    """A table that was emptied gives its ids again, and so does MySQL 5.7 where it was empty at a restart."""
    sql_store.push(foreign(tags=["left"]))
    options = QueueOptions(
        clock=sql_store.clock, selection=others(lambda _, document: document.get("tags") != ["left"])
    )
    with contextlib.closing(DatabaseQueue(sql_store.engine, options=options)) as lane:
        assert not lane.reserve(1)
        [row] = sql_store.rows()
        sql_store.clock.now += 60
        again = {**row, "payload": foreign().decode(), "available_at": int(sql_store.clock())}
        columns = ", ".join(again)
        with sql_store.engine.begin() as connection:
            connection.exec_driver_sql("delete from jobs")
            values = ", ".join(f":{name}" for name in again)
            connection.execute(sa.text(f"insert into jobs ({columns}) values ({values})"), again)
        assert uuids(lane.reserve(1)) == [uuid_of(again["payload"].encode())]


def test_depth_counts_by_the_name_that_was_asked_for(mariadb_store: SqlStore) -> None:
    """For MySQL's collations, `Default` is `default`, as for Laravel's own size()."""
    for name in ("Default", "default", "Default"):
        mariadb_store.push(broadcast(), name)
    queue = mariadb_store.queue("high", "default")
    assert {name: depth.pending for name, depth in queue.depth().items()} == {"high": 0, "default": 3}
    assert len(drain(queue)) == 3
