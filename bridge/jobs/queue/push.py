"""Puts a payload into a queue, due at once, as Laravel's `pushRaw` does."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

import redis
import sqlalchemy as sa
from redis.exceptions import RedisError

from bridge.jobs.queue.redis.errors import unavailable
from bridge.jobs.queue.redis.keys import Keys
from bridge.jobs.queue.sql.connection import SqlConnection
from bridge.jobs.queue.sql.statements import jobs_table


class Push(Protocol):
    """One queue connection, for writing. May raise ServiceUnavailable."""

    def push(self, queue: str, payload: bytes) -> None:
        """Adds the payload to the queue of this name, as a new job that nobody has tried."""
        ...

    def close(self) -> None: ...


class DatabasePush:
    """The `jobs` table; `table` with its prefix. The engine is ours to dispose of."""

    def __init__(
        self, engine: sa.Engine, *, table: str = "jobs", clock: Callable[[], float] = time.time
    ) -> None:
        self._engine = engine
        self._sql = SqlConnection(engine)
        self._table = jobs_table(table)
        self._clock = clock

    def push(self, queue: str, payload: bytes) -> None:
        now = int(self._clock())
        row = {
            "queue": queue,
            "payload": payload.decode(),
            "attempts": 0,
            "reserved_at": None,
            "available_at": now,
            "created_at": now,
        }
        self._sql.write(lambda connection: connection.execute(self._table.insert().values(row)))

    def close(self) -> None:
        self._sql.close()
        self._engine.dispose()


class RedisPush:
    """Laravel's list, and the token that wakes a worker.

    `connect` gives a client for the queue of a name, ours to close; `tagged`: see `Keys.of`."""

    def __init__(self, connect: Callable[[str], redis.Redis], *, prefix: str, tagged: bool = False) -> None:
        self._connect = connect
        self._prefix = prefix
        self._tagged = tagged
        self._clients: dict[str, redis.Redis] = {}

    def push(self, queue: str, payload: bytes) -> None:
        keys = Keys.of(self._prefix, queue, tagged=self._tagged)
        client = self._clients.get(queue) or self._clients.setdefault(queue, self._connect(queue))
        try:
            with client.pipeline(transaction=True) as pipeline:
                pipeline.rpush(keys.list, payload)
                pipeline.rpush(keys.notify, 1)
                pipeline.execute()
        except RedisError as error:
            raise unavailable(error) from error

    def close(self) -> None:
        for client in self._clients.values():
            client.close()
