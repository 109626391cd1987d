"""The four places where a Laravel app can keep its queue, looked at from outside of bridge and of Laravel."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import sqlalchemy

from tests import services

StoreName = Literal["sqlite", "mariadb", "postgres", "redis"]
STORES: tuple[StoreName, ...] = ("sqlite", "mariadb", "postgres", "redis")


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """Jobs in the queue: free (delayed ones included), and reserved by a worker."""

    waiting: int
    reserved: int


NOTHING = Left(waiting=0, reserved=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """`settings` are the lines of an app's .env that lead here."""

    name: StoreName
    connection: Literal["database", "redis"]
    settings: dict[str, str]
    left: Callable[[], Left]
    engine: sqlalchemy.Engine

    def failed(self) -> int:
        """Rows of `failed_jobs`."""
        with self.engine.connect() as connection:
            return int(connection.exec_driver_sql("select count(*) from failed_jobs").scalar_one())


@contextlib.contextmanager
def sql_store(name: StoreName, database: services.Database) -> Iterator[Store]:
    engine = database.engine()
    sql = "select count(*) - count(reserved_at), count(reserved_at) from jobs"

    def left() -> Left:
        with engine.connect() as connection:
            waiting, reserved = connection.exec_driver_sql(sql).one()
        return Left(waiting=waiting, reserved=reserved)

    try:
        settings = {**database.env, "QUEUE_CONNECTION": "database"}
        yield Store(name=name, connection="database", settings=settings, left=left, engine=engine)
    finally:
        engine.dispose()


@contextlib.contextmanager
def redis_store(server: services.Redis, database: services.Database, prefix: str) -> Iterator[Store]:
    """The queue in Redis under a prefix of its own, users and failed jobs in `database`."""
    client = server.client()
    engine = database.engine()
    key = f"{prefix}queues:default"

    def left() -> Left:
        pipeline = client.pipeline(transaction=True)
        pipeline.llen(key)
        pipeline.zcard(f"{key}:delayed")
        pipeline.zcard(f"{key}:reserved")
        ready, delayed, reserved = pipeline.execute()
        return Left(waiting=ready + delayed, reserved=reserved)

    try:
        settings = {**database.env, **server.env, "QUEUE_CONNECTION": "redis", "REDIS_PREFIX": prefix}
        yield Store(name="redis", connection="redis", settings=settings, left=left, engine=engine)
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
