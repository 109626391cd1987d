"""Broadcast jobs that lie in a queue, seen and left as they are: nothing is reserved, locked or written.

A look reads the oldest entries, `MOST` and `MOST_BYTES` of them at most; what is too large for the memory
that is left is not read at all.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import redis
import sqlalchemy as sa
from redis.exceptions import RedisError

from bridge.jobs.queue.memory import Memory
from bridge.jobs.queue.portion import LARGE, MOST_BYTES, Portion
from bridge.jobs.queue.redis.errors import unavailable
from bridge.jobs.queue.redis.keys import Keys
from bridge.jobs.queue.redis.scripts import SCRIPTS, Entry, with_scripts
from bridge.jobs.queue.selection import BROADCASTS, broadcast_document, job_uuid
from bridge.jobs.queue.sql.connection import SqlConnection
from bridge.jobs.queue.sql.large_rows import LargeRows
from bridge.jobs.queue.sql.statements import jobs_table, looks_ours

MOST = 1_000  # entries of a look, the oldest ones

log = logging.getLogger(__name__)


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


class _Known(Generic[K]):
    """Entries by what tells one from the other in the store, so that each payload is decoded once."""

    def __init__(self) -> None:
        self._known: dict[K, SeenJob | None] = {}
        self._present: frozenset[str] = frozenset()

    def unknown(self, keys: Iterable[K]) -> list[K]:
        return [key for key in keys if key not in self._known]

    def known(self, is_there: Callable[[K], bool]) -> list[K]:
        """Those of the last look that are still there, though this one does not read them."""
        return [key for key in self._known if is_there(key)]

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


class _Limit:
    """Up to how many bytes a payload is read, by the memory that is left."""

    def __init__(self, memory: Memory | None) -> None:
        self._memory = memory or Memory()
        self._has_warned = False

    def __call__(self) -> int:
        return max(LARGE, self._memory.largest())

    def leaves_some(self) -> None:
        """Warns, once, that something was too large to read."""
        if not self._has_warned:
            self._has_warned = True
            about = {"action": "memory", "kib": self() >> 10}
            log.warning("larger jobs are not looked at: the memory does not suffice", extra=about)


class DatabaseInspector:
    """The `jobs` table; `table` with its prefix. The engine is ours to dispose of."""

    def __init__(
        self,
        engine: sa.Engine,
        *,
        queues: Sequence[str],
        table: str,
        clock: Callable[[], float] = time.time,
        memory: Memory | None = None,
    ) -> None:
        self._engine = engine
        self._sql = SqlConnection(engine)
        self._known = _Known[int]()
        self._clock = clock
        self._checked = False
        self._readable = _Limit(memory)
        jobs = jobs_table(table)
        self._large = LargeRows(jobs, engine.url, queues)
        row = jobs.c
        # SQLite may hold any bytes as text, and its driver would raise over what is not UTF-8
        payload = sa.cast(row.payload, sa.LargeBinary) if self._sql.dialect == "sqlite" else row.payload
        self._ids = (
            sa.select(row.id)
            .where(
                row.queue.in_(queues),
                row.available_at <= sa.bindparam("now"),
                looks_ours(jobs, self._sql.dialect, BROADCASTS),
            )
            .order_by(row.id)
            .limit(MOST)
        )
        some = row.id.in_(sa.bindparam("ids", expanding=True))
        size = sa.func.length(payload) if self._sql.dialect == "sqlite" else sa.func.octet_length(payload)
        self._sizes = sa.select(row.id, size).where(some).order_by(row.id)
        self._payloads = sa.select(row.id, payload).where(some)

    def look(self) -> Snapshot:
        if not self._checked:
            self._sql.check()  # SQLite would make a file that is missing
            self._checked = True
        return self._sql.run(self._look)

    def _look(self, connection: sa.Connection) -> Snapshot:
        given: dict[str, object] = {"now": int(self._clock())}
        large: Mapping[int, int] = {}
        if self._sql.dialect == "sqlite":
            given["unreadable"] = list(large := self._large.above(connection, self._readable()))
            if large:
                self._readable.leaves_some()
        keys = list(connection.scalars(self._ids, given))
        keys += self._known.known(large.__contains__)  # there was more memory when they were read
        wanted = self._wanted(connection, self._known.unknown(keys))
        rows = connection.execute(self._payloads, {"ids": wanted}) if wanted else ()
        payloads = {id: text if isinstance(text, bytes) else text.encode() for id, text in rows}
        return self._known.sight(keys, payloads)

    def _wanted(self, connection: sa.Connection, unknown: Sequence[int]) -> list[int]:
        """Those that this look reads; others come with the next ones."""
        wanted: list[int] = []
        portion = Portion(MOST)
        for id, size in connection.execute(self._sizes, {"ids": unknown}) if unknown else ():
            if size > self._readable():
                self._readable.leaves_some()
            elif portion.takes(size, 0):
                wanted.append(id)
            else:
                break
        return wanted

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
        memory: Memory | None = None,
    ) -> None:
        self._client = client
        self._known = _Known[bytes]()
        self._clock = clock
        self._readable = _Limit(memory)
        self._keys = [Keys.of(prefix, name, tagged=tagged) for name in queues]

    def look(self) -> Snapshot:
        script, first = SCRIPTS["head"].sha1, (0, MOST - 1, MOST_BYTES, self._readable())

        def entries() -> list[Entry]:
            with self._client.pipeline(transaction=True) as pipeline:  # a job that moves is seen once
                for keys in self._keys:
                    pipeline.evalsha(script, 1, keys.list, *first)
                    pipeline.evalsha(script, 1, keys.reserved, *first, "+inf")
                    pipeline.evalsha(script, 1, keys.delayed, *first, int(self._clock()))
                return [entry for entries in pipeline.execute() for entry in entries]

        try:
            found = with_scripts(self._client, entries)
        except RedisError as error:
            raise unavailable(error) from error
        read = [entry for entry in found if isinstance(entry, bytes)]
        there = list(read)
        if starts := tuple(entry[1] for entry in found if not isinstance(entry, bytes)):
            self._readable.leaves_some()
            # there was more memory when they were read; the attempts stand near the end
            there += self._known.known(lambda entry: entry.startswith(starts))
        return self._known.sight(there, {entry: entry for entry in self._known.unknown(read)})

    def close(self) -> None:
        self._client.close()
