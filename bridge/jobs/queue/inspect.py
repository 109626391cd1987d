"""Broadcast jobs that lie in a queue, seen and left as they are: nothing is reserved, locked or written."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import redis
import sqlalchemy as sa
from redis.exceptions import RedisError

from bridge.jobs.queue.redis.driver import Keys, unavailable
from bridge.jobs.queue.selection import BROADCASTS, broadcast_document, job_uuid
from bridge.jobs.queue.sql.connection import SqlConnection
from bridge.jobs.queue.sql.driver import jobs_table

MOST = 1_000  # entries of a look, the oldest ones


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenJob:
    """A broadcast job that is due or at work; `document` is its payload, decoded, to be read only."""

    uuid: str
    document: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """`present`: the uuid of every such job that lies there now; `new`: those that did not the last time."""

    present: frozenset[str]
    new: Sequence[SeenJob]


class QueueInspector(Protocol):
    """For one thread."""

    def look(self) -> Snapshot:
        """Raises ServiceUnavailable, and at first ConfigurationError where the store lets nobody in."""
        ...

    def close(self) -> None: ...


K = TypeVar("K", bound=Hashable)


class _Memory(Generic[K]):
    """Entries by what tells one from the other in the store, so that each payload is read once."""

    def __init__(self) -> None:
        self._known: dict[K, SeenJob | None] = {}
        self._present: frozenset[str] = frozenset()

    def unknown(self, keys: Iterable[K]) -> list[K]:
        return [key for key in keys if key not in self._known]

    def sight(self, keys: Sequence[K], payloads: Mapping[K, bytes]) -> Snapshot:
        """What lies there: `keys`, with the payloads of the unknown ones; a key without one is gone again."""
        for key, payload in payloads.items():
            document = broadcast_document(payload)
            self._known[key] = (
                None if document is None else SeenJob(uuid=job_uuid(document), document=document)
            )
        self._known = {key: self._known[key] for key in keys if key in self._known}
        seen = {job.uuid: job for job in self._known.values() if job is not None}
        before, self._present = self._present, frozenset(seen)
        return Snapshot(present=self._present, new=[job for uuid, job in seen.items() if uuid not in before])


class DatabaseInspector:
    """The `jobs` table; `table` with its prefix. The engine is ours to dispose of."""

    def __init__(
        self,
        engine: sa.Engine,
        *,
        queues: Sequence[str],
        table: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._engine = engine
        self._sql = SqlConnection(engine)
        self._memory = _Memory[int]()
        self._clock = clock
        self._checked = False
        row = jobs_table(table).c
        # SQLite may hold any bytes as text, and its driver would raise over what is not UTF-8
        payload = sa.cast(row.payload, sa.LargeBinary) if self._sql.dialect == "sqlite" else row.payload
        self._ids = (
            sa.select(row.id)
            .where(
                row.queue.in_(queues),
                row.available_at <= sa.bindparam("now"),
                row.payload.like(BROADCASTS.like),
            )
            .order_by(row.id)
            .limit(MOST)
        )
        self._payloads = sa.select(row.id, payload).where(row.id.in_(sa.bindparam("ids", expanding=True)))

    def look(self) -> Snapshot:
        if not self._checked:
            self._sql.check()  # SQLite would make a file that is missing
            self._checked = True
        return self._sql.run(self._look)

    def _look(self, connection: sa.Connection) -> Snapshot:
        keys = list(connection.scalars(self._ids, {"now": int(self._clock())}))
        unknown = self._memory.unknown(keys)
        rows = connection.execute(self._payloads, {"ids": unknown}) if unknown else ()
        payloads = {id: text if isinstance(text, bytes) else text.encode() for id, text in rows}
        return self._memory.sight(keys, payloads)

    def close(self) -> None:
        self._sql.close()
        self._engine.dispose()


class Looks:
    """Several, at several servers."""

    def __init__(self, looks: Sequence[QueueInspector]) -> None:
        self._looks = looks

    def look(self) -> Snapshot:
        sights = [one.look() for one in self._looks]
        present = frozenset[str]().union(*(sight.present for sight in sights))
        return Snapshot(present=present, new=[job for sight in sights for job in sight.new])

    def close(self) -> None:
        for one in self._looks:
            one.close()


class RedisInspector:
    """Laravel's lists and sorted sets; the client is ours to close. `tagged`: see `Keys.of`."""

    def __init__(
        self,
        client: redis.Redis,
        *,
        queues: Sequence[str],
        prefix: str,
        tagged: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._client = client
        self._memory = _Memory[bytes]()
        self._clock = clock
        self._keys = [Keys.of(prefix, name, tagged=tagged) for name in queues]

    def look(self) -> Snapshot:
        now = int(self._clock())
        try:
            with self._client.pipeline(transaction=True) as pipeline:  # a job that moves is seen once
                for keys in self._keys:
                    pipeline.lrange(keys.list, 0, MOST - 1)
                    pipeline.zrange(keys.reserved, 0, MOST - 1)
                    pipeline.zrangebyscore(keys.delayed, "-inf", now, 0, MOST)
                entries: list[bytes] = [entry for entries in pipeline.execute() for entry in entries]
        except RedisError as error:
            raise unavailable(error) from error
        return self._memory.sight(entries, {entry: entry for entry in self._memory.unknown(entries)})

    def close(self) -> None:
        self._client.close()
