"""A connection that falls silent (a router has forgotten it) is given up, and a new one taken."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.jobs.queue.queue import Queue
from bridge.jobs.queue.redis.driver import RedisQueue
from bridge.jobs.queue.sql.driver import DatabaseQueue
from bridge.jobs.worker.store_retry import SILENT, StoreRetry
from bridge.laravel.application import load
from bridge.laravel.database import CONNECT_TIMEOUT, MARGIN, QUEUE_TIMEOUT, engine
from bridge.laravel.redis_client import redis_client
from tests import services
from tests.proxy import Proxy, proxy

SILENT_FOR = 6  # seconds; longer than a blocking command, and than a server stands still on a busy machine


@pytest.fixture(params=["mariadb", "postgres", "redis"])
def silenced(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Queue, Proxy]]:
    """A queue as bridge makes it, but for the seconds, and the proxy that it goes through."""
    server = request.getfixturevalue("redis_server" if request.param == "redis" else request.param)
    with proxy(server.port) as between:
        if request.param == "redis":
            server.client().flushall()
            env = {**server.env, "REDIS_PORT": str(between.port)}
        else:
            database: services.Database = request.getfixturevalue(f"{request.param}_database")
            env = {**database.env, "DB_PORT": str(between.port)}
        (tmp_path / ".env").write_text("".join(f"{name}={value}\n" for name, value in env.items()))
        laravel = load(tmp_path, {}, "11.0")
        queue: Queue
        if request.param == "redis":
            client = redis_client(laravel.redis("default"), socket_timeout=SILENT_FOR)
            queue = RedisQueue(client)
            yield queue, between
            queue.close()
            client.close()
        else:
            made = engine(laravel.database(), timeout=SILENT_FOR)
            queue = DatabaseQueue(made)
            yield queue, between
            queue.close()
            made.dispose()


def test_a_silent_connection_is_given_up(silenced: tuple[Queue, Proxy]) -> None:
    queue, between = silenced
    patiently = StoreRetry()
    assert not patiently(lambda: queue.reserve(1))
    between.silence()
    assert not patiently(lambda: queue.reserve(1))  # on a new one
    assert patiently(queue.depth)


def test_all_idle_connections_are_given_up_with_the_first_that_is_silent(
    silenced: tuple[Queue, Proxy],
) -> None:
    queue, between = silenced
    faults: list[int] = []
    patiently = StoreRetry(fault=lambda: faults.append(1))
    assert not patiently(lambda: queue.reserve(1))
    if isinstance(queue, RedisQueue):  # the others keep one
        pool = queue._client.connection_pool
        for one in [pool.get_connection() for _ in range(3)]:
            pool.release(one)
    between.silence()
    patiently(lambda: queue.wait(1))
    assert not patiently(lambda: queue.reserve(1))
    assert len(faults) == (1 if isinstance(queue, RedisQueue) else 0)  # SQL has one, and replaces it


def test_ten_seconds_suffice_to_notice_it() -> None:
    assert QUEUE_TIMEOUT + MARGIN < 10
    assert CONNECT_TIMEOUT < 10


def test_a_store_that_is_silent_does_not_count_as_one_that_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    patiently = StoreRetry()
    patiently(lambda: None)
    seen: list[bool] = []

    def slow() -> None:
        seen.append(patiently.answers)
        now = time.monotonic()
        monkeypatch.setattr("bridge.jobs.worker.store_retry.time.monotonic", lambda: now + SILENT)
        seen.append(patiently.answers)

    patiently(slow)
    assert seen == [True, False]
    assert patiently.answers
