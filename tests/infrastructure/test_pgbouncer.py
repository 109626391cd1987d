"""Databases behind pgbouncer in transaction mode, where each transaction may come to another session."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from bridge.jobs.queue.queue import QueueOptions
from bridge.jobs.queue.sql.driver import DatabaseQueue
from bridge.laravel.application import load
from bridge.laravel.connections import DatabaseConnection
from bridge.laravel.database import QUEUE_TIMEOUT, engine
from tests import services
from tests.infrastructure.servers import pgbouncer
from tests.jobs.queue.stores import SqlStore, push, uuids


@dataclass(frozen=True)
class Pooled:
    """The app's database through a pool of one session; and the same without it."""

    facts: DatabaseConnection
    direct: services.Database


@pytest.fixture
def pooled(
    tmp_path: Path, postgres: services.PostgreSQL, postgres_database: services.Database
) -> Iterator[Pooled]:
    (tmp_path / ".env").write_text("\n".join(f"{k}={v}" for k, v in postgres_database.env.items()))
    with pgbouncer(postgres, size=1) as pool:
        facts = load(tmp_path, {}, "11.0").database()
        yield Pooled(replace(facts, port=pool.port, timezone="Asia/Tokyo"), postgres_database)


def _left_behind(pooled: Pooled) -> dict[str, str]:
    """What the pool's session has that the server did not give it."""
    url = pooled.direct.url.set(port=pooled.facts.port)
    made = sa.create_engine(url, poolclass=sa.NullPool)
    with made.connect() as connection:
        rows = connection.exec_driver_sql("select name, setting from pg_settings where source = 'session'")
        # what the pooler itself keeps the same for each of its clients may be there
        kept = ("application_name", "client_encoding", "DateStyle", "standard_conforming_strings", "TimeZone")
        return {name: setting for name, setting in rows if name not in kept}


def test_a_queue_behind_pgbouncer_finds_its_table_and_leaves_nothing_on_the_pools_session(
    pooled: Pooled,
) -> None:
    direct = pooled.direct.engine()
    with direct.begin() as connection:
        connection.exec_driver_sql("create schema elsewhere")
        connection.exec_driver_sql("alter table jobs set schema elsewhere")
    direct.dispose()
    facts = replace(pooled.facts, search_path=("public", "it's 100% other", "elsewhere"))
    url = pooled.direct.url.update_query_dict({"options": "-csearch_path=elsewhere"})
    store = SqlStore(replace(pooled.direct, url=url))
    pushed = push(store, 3)
    pool = engine(facts, timeout=QUEUE_TIMEOUT)
    with contextlib.closing(
        DatabaseQueue(pool, options=QueueOptions(retry_after=90, clock=store.clock))
    ) as queue:
        queue.check()
        assert _left_behind(pooled) == {}
        jobs = list(queue.reserve(10))
        assert uuids(jobs) == pushed
        queue.release(jobs[0], 5)
        queue.give_back(jobs[1:2])
        assert queue.delete(jobs[2:]) == 1
        assert queue.depth()["default"].pending == 1
        queue.wait(0)
    pool.dispose()
    store.close()
    assert _left_behind(pooled) == {}


def test_an_engine_behind_pgbouncer_has_its_settings_in_every_transaction_and_nowhere_else(
    pooled: Pooled,
) -> None:
    made = engine(pooled.facts)
    try:
        for _ in range(2):
            with made.connect() as connection:
                assert connection.scalar(sa.text("show statement_timeout")) == "30s"
                assert connection.scalar(sa.text("show search_path")) == '"public"'
                assert connection.scalar(sa.text("show timezone")) == "Asia/Tokyo"
            assert _left_behind(pooled) == {}
    finally:
        made.dispose()


def test_many_statements_behind_pgbouncer_prepare_none(pooled: Pooled) -> None:
    made = engine(pooled.facts)
    try:
        with made.connect() as connection:
            for number in range(12):
                assert connection.scalar(sa.text("select :n"), {"n": number}) == number
            assert connection.scalar(sa.text("select count(*) from pg_prepared_statements")) == 0
    finally:
        made.dispose()


def test_without_a_pooler_the_session_has_the_settings_and_a_poll_is_one_message(
    pooled: Pooled, postgres: services.PostgreSQL
) -> None:
    made = engine(replace(pooled.facts, port=postgres.port))
    try:
        with made.connect() as connection:
            connection.rollback()
            assert connection.scalar(sa.text("show statement_timeout")) == "30s"
            assert "bridge_local_settings" not in connection.info
    finally:
        made.dispose()
