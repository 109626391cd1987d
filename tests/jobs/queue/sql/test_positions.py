"""A look for free rows goes on where the last one ended, and misses none for that."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from bridge.jobs.queue.sql.driver import DatabaseQueue
from bridge.jobs.queue.sql.scan import LONGEST_REST, RESTING_SHARE, SCAN_INTERVAL, _ScanPosition
from bridge.jobs.queue.sql.statements import NEWEST
from tests.jobs.queue.stores import RETRY_AFTER, SqlStore, broadcast, drain, foreign, push, uuid_of, uuids

BESIDE = 3_000  # rows that are not to be had
FEW = 600  # rows that may be read for one that is


def work_of(store: SqlStore, queue: DatabaseQueue, look: Callable[[], object]) -> int:
    """About how many rows the server has read during the look."""
    if store.engine.dialect.name == "sqlite":
        steps = 0

        def count() -> int:
            nonlocal steps
            steps += 1
            return 0

        driver: Any = queue._sql._open().connection.dbapi_connection
        driver.set_progress_handler(count, 10)  # virtual machine instructions; a row takes more
        look()
        driver.set_progress_handler(None, 0)
        return steps
    if store.engine.dialect.name == "postgresql":
        return postgres_work(store, queue, look)
    before = handler_reads(store)
    look()
    return handler_reads(store) - before


def handler_reads(store: SqlStore) -> int:
    with store.engine.connect() as connection:
        found = connection.execute(sa.text("show global status like 'Handler_read%'")).all()
    return sum(int(value) for _, value in found)


def postgres_work(store: SqlStore, queue: DatabaseQueue, look: Callable[[], object]) -> int:
    """The plan of each look, without statistics of the table, tells it."""
    plans: list[str] = []

    def explained(connection: Any, cursor: Any, sql: str, given: Any, *rest: object) -> None:
        if sql.startswith("SELECT") and "FOR UPDATE" not in sql:
            with connection.connection.dbapi_connection.cursor() as own:
                plans.extend(line for (line,) in own.execute(f"explain analyze {sql}", given).fetchall())

    sa.event.listen(store.engine, "before_cursor_execute", explained)
    try:
        look()
    finally:
        sa.event.remove(store.engine, "before_cursor_execute", explained)
    assert plans
    text = "\n".join(plans)
    removed = sum(map(int, re.findall(r"Rows Removed by Filter: (\d+)", text)))
    return removed + sum(map(int, re.findall(r"actual time=\S+ rows=(\d+)", text)))


@pytest.mark.parametrize("delayed", [True, False])
def test_a_new_job_costs_the_same_beside_many_rows_that_are_not_to_be_had(
    sql_store: SqlStore, delayed: bool
) -> None:
    payloads = [broadcast() if delayed else foreign() for _ in range(BESIDE)]
    sql_store.push_many(payloads, delay=1000 if delayed else 0)
    queue = sql_store.queue()
    assert not queue.reserve(50)
    (uuid,) = push(sql_store, 1)
    found: list[str] = []

    def look() -> None:
        queue.wait(1)
        found.extend(uuids(queue.reserve(50)))

    assert work_of(sql_store, queue, look) < FEW
    assert found == [uuid]


def test_a_backlog_is_not_passed_again_for_each_portion(sql_store: SqlStore) -> None:
    sql_store.push_many([foreign() for _ in range(BESIDE)])
    pushed = push_many(sql_store, 100)
    queue = sql_store.queue()
    found = uuids(queue.reserve(10))

    def look() -> None:
        found.extend(uuids(queue.reserve(10)))

    assert work_of(sql_store, queue, look) < FEW
    found += uuids(drain(queue))
    assert found == pushed


def test_a_portion_costs_the_same_however_many_are_behind_it(sql_store: SqlStore) -> None:
    pushed = push_many(sql_store, BESIDE)
    queue = sql_store.queue()
    found = uuids(queue.reserve(10))

    def look() -> None:
        found.extend(uuids(queue.reserve(10)))

    assert work_of(sql_store, queue, look) < FEW
    assert found == pushed[:20]


def test_what_comes_after_a_gap_in_the_ids_is_found_in_order(sql_store: SqlStore) -> None:
    pushed = push_many(sql_store, 6)
    with sql_store.engine.begin() as connection:
        last = connection.execute(sa.text("select max(id) from jobs")).scalar_one()
        for gap, rows in ((5_000_000, 2), (10_000, 4)):
            move = sa.text("update jobs set id = id + :gap where id > :after and id <= :last")
            connection.execute(move, {"gap": gap, "after": last - rows, "last": last - rows + 2})
    queue = sql_store.queue()
    assert uuids(queue.reserve(1)) == pushed[:1]
    assert uuids(queue.reserve(50)) == pushed[1:]


def push_many(store: SqlStore, count: int) -> list[str]:
    payloads = [broadcast() for _ in range(count)]
    store.push_many(payloads)
    return [uuid_of(payload) for payload in payloads]


def test_what_becomes_free_behind_the_position_is_found_within_a_second(sql_store: SqlStore) -> None:
    (late,) = push(sql_store, 1, delay=30)
    (expired,) = uuids(sql_store.queue().reserve(1)) or push(sql_store, 1)
    other = sql_store.queue()
    other.reserve(5)  # and dies
    new = push_many(sql_store, 2 * NEWEST)
    queue = sql_store.queue()
    assert uuids(drain(queue)) == new
    sql_store.clock.now += 30
    assert uuids(drain(queue)) == [late]
    sql_store.clock.now += RETRY_AFTER
    assert expired in uuids(drain(queue))


@pytest.fixture
def slow_looks_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.jobs.queue.sql.scan.RESTING_SHARE", RESTING_SHARE)


@pytest.mark.usefixtures("slow_looks_rest")
def test_looks_that_take_long_are_followed_by_a_rest_and_one_that_stood_still_is_not() -> None:
    position = _ScanPosition()
    for _ in range(20):
        position.rest(100.0, 0.5)
    assert not position.is_due(100 + 0.4 * RESTING_SHARE)
    assert position.is_due(100 + 0.5 * RESTING_SHARE)
    position.rest(200.0, 0.001)
    position.rest(300.0, 600.0)  # as after SIGSTOP and SIGCONT, or behind a lock
    assert position.is_due(300 + SCAN_INTERVAL)


@pytest.mark.usefixtures("slow_looks_rest")
def test_delayed_jobs_are_looked_for_again_soon_whatever_the_first_look_took() -> None:
    position = _ScanPosition()
    position.rest(100.0, 600.0)
    assert position.is_due(100 + LONGEST_REST)


def test_a_row_that_appears_late_is_found_at_once(sql_store: SqlStore) -> None:
    """Its transaction took longer than that of the rows after it."""
    push_many(sql_store, 2)
    (late, *_) = uuids(drain(queue := sql_store.queue()))
    with sql_store.engine.begin() as connection:
        connection.execute(sa.text("update jobs set reserved_at = null where id = 1"))
    assert late in uuids(queue.reserve(5))


def test_what_was_given_back_far_behind_is_found_at_once_and_in_order(sql_store: SqlStore) -> None:
    queue = sql_store.queue()
    first = push_many(sql_store, 3)
    jobs = queue.reserve(3)
    push_many(sql_store, 3 * NEWEST)
    drain(queue, 100)
    queue.give_back(jobs)
    assert uuids(queue.reserve(5)) == first


def test_an_urgent_queue_comes_first_wherever_the_others_are(sql_store: SqlStore) -> None:
    queue = sql_store.queue("high", "low")
    low = push(sql_store, 3, "low")
    assert uuids(queue.reserve(1)) == low[:1]
    high = push(sql_store, 2, "high")
    assert uuids(queue.reserve(3)) == [*high, low[1]]
    assert uuids(queue.reserve(3)) == low[2:]


def test_ids_that_begin_anew_are_found(sql_store: SqlStore) -> None:
    """A table that was emptied with its counter."""
    queue = sql_store.queue()
    push_many(sql_store, 3 * NEWEST)
    drain(queue, 100)
    with sql_store.engine.begin() as connection:
        connection.execute(sa.text("delete from jobs"))
        payload = broadcast()
        now = int(sql_store.clock())
        connection.execute(
            sa.text(
                "insert into jobs (id, queue, payload, attempts, available_at, created_at)"
                " values (1, 'default', :payload, 0, :now, :now)"
            ),
            {"payload": payload.decode(), "now": now},
        )
    queue.wait(1)  # a poll sees it
    assert uuids(queue.reserve(5)) == [uuid_of(payload)]


def test_where_a_claim_fails_what_was_found_is_found_again(
    sql_store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = sql_store.queue()
    first = push_many(sql_store, 1)
    push_many(sql_store, 3 * NEWEST)

    def fails(*given: object, **named: object) -> None:
        raise MemoryError

    monkeypatch.setattr(queue, "_claim", fails)
    with pytest.raises(MemoryError):
        queue.reserve(2 * NEWEST + 50)
    monkeypatch.undo()
    assert uuids(queue.reserve(1)) == first


def test_the_clock_may_be_set_back(sql_store: SqlStore) -> None:
    queue = sql_store.queue()
    drain(queue)
    (delayed,) = push(sql_store, 1, delay=5)
    push_many(sql_store, 2 * NEWEST)
    drain(queue, 100)
    sql_store.clock.now -= 3600
    drain(queue)
    sql_store.clock.now += 3600 + 5
    assert uuids(drain(queue)) == [delayed]
