"""The four places where a Laravel app can keep its queue, looked at from outside of bridge and of Laravel."""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import redis
import sqlalchemy

from tests import services

StoreName = Literal["sqlite", "mariadb", "postgres", "redis"]
STORES: tuple[StoreName, ...] = ("sqlite", "mariadb", "postgres", "redis")
INSERT = sqlalchemy.text(
    "insert into jobs (queue, payload, attempts, available_at, created_at)"
    " values ('default', :payload, 0, :now, :now)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """Jobs in the queue: free (delayed ones included), and reserved by a worker."""

    waiting: int
    reserved: int


NOTHING = Left(waiting=0, reserved=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """`settings` are the lines of an app's .env that lead here.

    push      payloads go to the end of the queue `default`, as Laravel puts them there, in one step
    payloads  of all jobs in the queue, whatever their state, in no order
    clear     the queue is empty
    """

    name: StoreName
    connection: Literal["database", "redis"]
    settings: dict[str, str]
    left: Callable[[], Left]
    push: Callable[[Sequence[str]], None]
    payloads: Callable[[], list[str]]
    clear: Callable[[], None]
    engine: sqlalchemy.Engine

    def failed(self) -> int:
        """Rows of `failed_jobs`."""
        with self.engine.connect() as connection:
            return int(connection.exec_driver_sql("select count(*) from failed_jobs").scalar_one())

    def failed_payloads(self) -> list[str]:
        """Of `failed_jobs`."""
        with self.engine.connect() as connection:
            return list(connection.exec_driver_sql("select payload from failed_jobs").scalars())


def left_in_redis(client: redis.Redis, key: str) -> Left:
    """Of the queue whose list is `key`, in one step: jobs move between its three keys all the time."""
    pipeline = client.pipeline(transaction=True)
    pipeline.llen(key)
    pipeline.zcard(f"{key}:delayed")
    pipeline.zcard(f"{key}:reserved")
    ready, delayed, reserved = pipeline.execute()
    return Left(waiting=ready + delayed, reserved=reserved)


@contextlib.contextmanager
def sql_store(name: StoreName, database: services.Database) -> Iterator[Store]:
    engine = database.engine()
    sql = "select count(*) - count(reserved_at), count(reserved_at) from jobs"

    def left() -> Left:
        with engine.connect() as connection:
            waiting, reserved = connection.exec_driver_sql(sql).one()
        return Left(waiting=waiting, reserved=reserved)

    def push(payloads: Sequence[str]) -> None:
        now = int(time.time())
        rows = [{"payload": payload, "now": now} for payload in payloads]
        with engine.begin() as connection:
            connection.execute(INSERT, rows)

    def payloads() -> list[str]:
        with engine.connect() as connection:
            return list(connection.exec_driver_sql("select payload from jobs").scalars())

    def clear() -> None:
        with engine.begin() as connection:
            connection.exec_driver_sql("delete from jobs")

    try:
        settings = {**database.env, "QUEUE_CONNECTION": "database"}
        yield Store(
            name=name, connection="database", settings=settings, left=left,
            push=push, payloads=payloads, clear=clear, engine=engine,
        )  # fmt: skip
    finally:
        engine.dispose()


@contextlib.contextmanager
def redis_store(server: services.Redis, database: services.Database, prefix: str) -> Iterator[Store]:
    """The queue in Redis under a prefix of its own, users and failed jobs in `database`."""
    client = server.client()
    engine = database.engine()
    key = f"{prefix}queues:default"

    def left() -> Left:
        return left_in_redis(client, key)

    def push(payloads: Sequence[str]) -> None:
        pipeline = client.pipeline(transaction=True)
        pipeline.rpush(key, *payloads)
        pipeline.rpush(f"{key}:notify", *(["1"] * len(payloads)))
        pipeline.execute()

    def payloads() -> list[str]:
        pipeline = client.pipeline(transaction=True)
        pipeline.lrange(key, 0, -1)
        for other in ("delayed", "reserved"):
            pipeline.zrange(f"{key}:{other}", 0, -1)
        return [payload.decode() for found in pipeline.execute() for payload in found]

    def clear() -> None:
        client.delete(key, *(f"{key}:{other}" for other in ("delayed", "reserved", "notify")))

    try:
        settings = {**database.env, **server.env, "QUEUE_CONNECTION": "redis", "REDIS_PREFIX": prefix}
        yield Store(
            name="redis", connection="redis", settings=settings, left=left,
            push=push, payloads=payloads, clear=clear, engine=engine,
        )  # fmt: skip
    finally:
        for found in client.scan_iter(match=f"{prefix}*"):
            client.delete(found)
        client.close()
        engine.dispose()


@contextlib.contextmanager
def open_store(name: StoreName, folder: Path, server: Callable[[str], object]) -> Iterator[Store]:
    """An empty store; `server` gives a running server by the name of its fixture, `folder` is for SQLite."""
    with contextlib.ExitStack() as stack:
        match name:
            case "sqlite":
                database = stack.enter_context(services.sqlite(folder))
                yield stack.enter_context(sql_store(name, database))
            case "mariadb" | "postgres":
                sql_server = server(name)
                assert isinstance(sql_server, services.SqlServer)
                yield stack.enter_context(sql_store(name, stack.enter_context(sql_server.database())))
            case "redis":
                redis_server = server("redis_server")
                assert isinstance(redis_server, services.Redis)
                database = stack.enter_context(services.sqlite(folder))
                prefix = f"e2e_{uuid.uuid4().hex[:8]}_"
                yield stack.enter_context(redis_store(redis_server, database, prefix))
