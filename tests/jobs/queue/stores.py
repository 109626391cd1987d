"""One way to fill and inspect a queue, whichever store it lies in; and real payloads to put there."""

from __future__ import annotations

import base64
import functools
import gzip
import json
import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pytest
import redis
import sqlalchemy as sa

from bridge.jobs.queue.memory import Memory
from bridge.jobs.queue.portion import LARGE
from bridge.jobs.queue.queue import Job, Queue, QueueOptions
from bridge.jobs.queue.redis.driver import RedisQueue
from bridge.jobs.queue.sql.driver import DatabaseQueue
from tests import services

PAYLOADS = Path(__file__).parents[3] / "fixtures" / "payloads"
PREFIX = "laravel_database_"
RELEASES = ("8.83", "9.52", "10.50", "11.56", "12.67", "13.31")
RETRY_AFTER = 90


@functools.cache
def corpus(release: str) -> tuple[dict[str, Any], ...]:
    """The recorded entries of one Laravel release, in order."""
    with gzip.open(PAYLOADS / f"laravel-{release}.jsonl.gz", "rt") as lines:
        return tuple(json.loads(line) for line in lines)


def recorded(driver: str) -> Iterator[tuple[dict[str, Any], bytes]]:
    """Every queue entry of the corpus that was recorded for this driver, with its bytes."""
    for release in RELEASES:
        for row in corpus(release):
            held = row.get("redis") if driver == "redis" else row.get("row")
            if row["driver"] == driver and held:
                yield row, entry_bytes(held)


def entry_bytes(held: dict[str, Any]) -> bytes:
    for key in ("payload", "value"):
        if (text := held.get(key)) is not None:
            assert isinstance(text, str)
            return text.encode()
        if (encoded := held.get(f"{key}_base64")) is not None:
            return base64.b64decode(encoded)
    raise LookupError("no entry recorded")


@functools.cache
def _sample(id: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        next(entry for row, entry in recorded("database") if row["id"] == id and row["laravel"] >= "12")
    )
    return found


def broadcast(**changes: object) -> bytes:
    """A real broadcast job, with a uuid of its own."""
    return _as_laravel({**_sample("scalar-seed"), "uuid": str(uuid.uuid4()), **changes})


def foreign(**changes: object) -> bytes:
    """A real job of the app that is no broadcast."""
    return _as_laravel({**_sample("other-plain"), "uuid": str(uuid.uuid4()), **changes})


def _as_laravel(document: dict[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).replace("/", r"\/").encode()


def uuids(jobs: Any) -> list[str]:
    return [job.uuid for job in jobs]


def uuid_of(payload: bytes) -> str:
    found: str = json.loads(payload)["uuid"]
    return found


def push(store: Store, count: int, queue: str = "default", delay: int = 0) -> list[str]:
    """So many broadcasts are in the queue; their uuids."""
    payloads = [broadcast() for _ in range(count)]
    for payload in payloads:
        store.push(payload, queue, delay)
    return [uuid_of(payload) for payload in payloads]


def drain(queue: Queue, limit: int = 10) -> list[Job]:
    """All that can be reserved now, one portion after the other."""
    found: list[Job] = []
    while jobs := queue.reserve(limit):
        found += jobs
    return found


def in_threads(store: Store, count: int, work: Callable[[Queue], list[str]]) -> list[str]:
    """What `work` gave in each of so many threads, on a queue of its own, all together."""
    taken: list[str] = []
    failures: list[BaseException] = []

    def run(queue: Queue) -> None:
        try:
            taken.extend(work(queue))
        except BaseException as error:
            failures.append(error)
            raise

    threads = [threading.Thread(target=run, args=(store.queue(),)) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(300)
    assert not failures
    assert not any(thread.is_alive() for thread in threads)
    return taken


def without_memory(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is large cannot be read."""
    if not isinstance(queue, RedisQueue):
        assert isinstance(queue, DatabaseQueue)
        monkeypatch.setattr(queue._statements, "payload", NoMemory())
        return
    read = redis.connection.Connection.read_response

    def response(self: redis.connection.Connection, *given: object, **named: object) -> object:
        answer = read(self, *given, **named)
        if _is_large(answer):
            raise MemoryError
        return answer

    monkeypatch.setattr(redis.connection.Connection, "read_response", response)


def use_memory(queue: Queue, memory: Memory) -> None:
    """From now on this is what the queue's driver may take."""
    if isinstance(queue, DatabaseQueue):
        queue._scan._unread._memory = memory
    else:
        assert isinstance(queue, RedisQueue)
        queue._scan._memory = memory


def _is_large(answer: object) -> bool:
    if isinstance(answer, list):
        return any(map(_is_large, answer))
    return isinstance(answer, bytes) and len(answer) > LARGE


class NoMemory:
    """A statement whose answer is too much."""

    def _execute_on_connection(self, *given: object) -> object:
        raise MemoryError


class Clock:
    """Unix seconds that move when told."""

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class Store(Protocol):
    clock: Clock

    def queue(self, *names: str) -> Queue:
        """A new driver on this store, closed with it."""
        ...

    def push(self, payload: bytes, queue: str = "default", delay: int = 0) -> None:
        """As the app does it."""
        ...

    def payloads(self) -> list[bytes]:
        """All payloads that wait, are delayed or reserved, as they stand there; waiting ones in order."""
        ...

    def close(self) -> None: ...


class SqlStore:
    def __init__(self, database: services.Database) -> None:
        self.clock = Clock()
        self.database = database
        self.engine = database.engine()
        self._queues: list[DatabaseQueue] = []

    def queue(self, *names: str) -> DatabaseQueue:
        queue = DatabaseQueue(
            self.engine,
            options=QueueOptions(queues=names or ("default",), retry_after=RETRY_AFTER, clock=self.clock),
        )
        self._queues.append(queue)
        return queue

    def push(self, payload: bytes, queue: str = "default", delay: int = 0) -> None:
        self.push_many([payload], queue, delay)

    def push_many(self, payloads: list[bytes], queue: str = "default", delay: int = 0) -> None:
        now = int(self.clock())
        insert = sa.text(
            "insert into jobs (queue, payload, attempts, reserved_at, available_at, created_at)"
            " values (:queue, :payload, 0, null, :available, :now)"
        )
        rows = [
            {"queue": queue, "payload": payload.decode(), "available": now + delay, "now": now}
            for payload in payloads
        ]
        with self.engine.begin() as connection:
            connection.execute(insert, rows)

    def rows(self) -> list[dict[str, Any]]:
        with self.engine.connect() as connection:
            return [
                dict(row._mapping) for row in connection.execute(sa.text("select * from jobs order by id"))
            ]

    def payloads(self) -> list[bytes]:
        return [row["payload"].encode() for row in self.rows()]

    def close(self) -> None:
        for queue in self._queues:
            queue.close()
        self.engine.dispose()


@dataclass(frozen=True)
class Keys:
    list: str
    delayed: str
    reserved: str
    notify: str


def keys(queue: str = "default") -> Keys:
    key = f"{PREFIX}queues:{queue}"
    return Keys(list=key, delayed=f"{key}:delayed", reserved=f"{key}:reserved", notify=f"{key}:notify")


class RedisStore:
    def __init__(self, server: services.Redis) -> None:
        self.clock = Clock()
        self.server = server
        self.client = server.client()
        self.client.flushall()
        self._queues: list[RedisQueue] = []

    def queue(self, *names: str) -> RedisQueue:
        queue = RedisQueue(
            self.client,
            options=QueueOptions(queues=names or ("default",), retry_after=RETRY_AFTER, clock=self.clock),
            prefix=PREFIX,
        )
        self._queues.append(queue)
        return queue

    def push(self, payload: bytes, queue: str = "default", delay: int = 0) -> None:
        with_id = json.loads(payload)
        with_id |= {"id": with_id["uuid"].replace("-", ""), "attempts": 0}
        self.push_entry(_as_laravel(with_id), queue, delay)

    def push_entry(self, entry: bytes, queue: str = "default", delay: int = 0) -> None:
        if delay:
            self.client.zadd(keys(queue).delayed, {entry: int(self.clock()) + delay})
        else:
            pipeline = self.client.pipeline()
            pipeline.rpush(keys(queue).list, entry)
            pipeline.rpush(keys(queue).notify, b"1")
            pipeline.execute()

    def waiting(self, queue: str = "default") -> list[bytes]:
        found: Any = self.client.lrange(keys(queue).list, 0, -1)
        return list(found)

    def delayed(self, queue: str = "default") -> dict[bytes, float]:
        found: Any = self.client.zrange(keys(queue).delayed, 0, -1, withscores=True)
        return {member: score for member, score in found}

    def reserved(self, queue: str = "default") -> dict[bytes, float]:
        found: Any = self.client.zrange(keys(queue).reserved, 0, -1, withscores=True)
        return {member: score for member, score in found}

    def tokens(self, queue: str = "default") -> int:
        found: Any = self.client.llen(keys(queue).notify)
        return int(found)

    def payloads(self) -> list[bytes]:
        names = {str(key).split("queues:")[1].split(":")[0] for key in map(bytes.decode, self._keys())}
        at_once = self.client.pipeline(transaction=True)  # or a job that a worker moves meanwhile is not seen
        for name in sorted(names):
            at_once.lrange(keys(name).list, 0, -1)
            at_once.zrange(keys(name).delayed, 0, -1)
            at_once.zrange(keys(name).reserved, 0, -1)
        return [payload for found in at_once.execute() for payload in found]

    def _keys(self) -> list[bytes]:
        found: Any = self.client.keys(f"{PREFIX}queues:*")
        return list(found)

    def close(self) -> None:
        for queue in self._queues:
            queue.close()
        self.client.close()
