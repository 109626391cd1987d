"""Jobs that lie in the queues, broadcasts and others, as a list for people; nothing is reserved or written.

Of each queue and state the oldest `MOST` are read, of each payload the first `HEAD` characters: enough for
the job's name and uuid. Tags are in payloads that Horizon has written.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import redis
import sqlalchemy as sa
from redis.exceptions import RedisError

from bridge.jobs.queue.redis.errors import unavailable
from bridge.jobs.queue.redis.keys import Keys
from bridge.jobs.queue.redis.scripts import SCRIPTS, with_scripts
from bridge.jobs.queue.selection import name_and_uuid, queued_at
from bridge.jobs.queue.sql.connection import SqlConnection
from bridge.jobs.queue.sql.statements import jobs_table
from bridge.laravel.payload import json_object

MOST = 500  # jobs
HEAD = 20_000  # characters of a payload
LONGEST = 300  # characters of a name, uuid or tag
MOST_TAGS = 20

State = Literal["waiting", "delayed", "reserved"]


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuedJob:
    """due_at: unix seconds, of a delayed job when it is due, of a reserved one when it was reserved, or, in
    Redis, when its reservation ends; None where nobody tells. `queued_at`: when it was put into the queue."""

    name: str
    uuid: str
    queue: str
    state: State
    attempts: int
    due_at: float | None
    queued_at: float | None
    tags: tuple[str, ...] = ()


class QueueListing(Protocol):
    """Raises ServiceUnavailable. For one thread."""

    def jobs(self) -> Sequence[QueuedJob]:
        """The oldest of each queue, as far as `MOST` goes."""
        ...

    def close(self) -> None: ...


class DatabaseListing:
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
        self._clock = clock
        row = jobs_table(table).c
        head: sa.ColumnElement[object] = sa.func.substr(row.payload, 1, HEAD)
        if self._sql.dialect == "sqlite":  # where any bytes may stand as text
            head = sa.cast(head, sa.LargeBinary)
        self._rows = (
            sa.select(row.queue, head, row.attempts, row.reserved_at, row.available_at, row.created_at)
            .where(row.queue.in_(queues))
            .order_by(row.id)
            .limit(MOST)
        )

    def jobs(self) -> Sequence[QueuedJob]:
        now = self._clock()
        found = self._sql.run(lambda connection: connection.execute(self._rows).all())
        return [
            _job(
                payload if isinstance(payload, bytes) else str(payload).encode(),
                queue=str(queue),
                state="reserved" if reserved_at else "delayed" if available_at > now else "waiting",
                attempts=int(attempts),
                due_at=float(reserved_at or available_at),
                created_at=float(created_at),
            )
            for queue, payload, attempts, reserved_at, available_at, created_at in found
        ]

    def close(self) -> None:
        self._sql.close()
        self._engine.dispose()


class RedisListing:
    """Laravel's lists and sorted sets; the client is ours to close. `tagged`: see `Keys.of`."""

    def __init__(
        self, client: redis.Redis, *, queues: Sequence[str], prefix: str, tagged: bool = False
    ) -> None:
        self._client = client
        self._keys = {name: Keys.of(prefix, name, tagged=tagged) for name in queues}

    def jobs(self) -> Sequence[QueuedJob]:
        most = max(1, MOST // max(1, len(self._keys)))
        script = SCRIPTS["listing"].sha1

        def look() -> list[Any]:
            with self._client.pipeline(transaction=False) as pipeline:
                for keys in self._keys.values():
                    pipeline.evalsha(script, 3, keys.reserved, keys.list, keys.delayed, most, HEAD)
                return pipeline.execute()

        try:
            answers = with_scripts(self._client, look)
        except RedisError as error:
            raise unavailable(error) from error
        found: list[QueuedJob] = []
        for queue, (reserved, waiting, delayed) in zip(self._keys, answers, strict=True):
            found += [_job(it, queue=queue, state="reserved", due_at=at) for it, at in _scored(reserved)]
            found += [_job(it, queue=queue, state="waiting") for it in waiting]
            found += [_job(it, queue=queue, state="delayed", due_at=at) for it, at in _scored(delayed)]
        return found

    def close(self) -> None:
        self._client.close()


def _scored(answer: Sequence[bytes]) -> Iterator[tuple[bytes, float]]:
    """The entries of a sorted set, each with its score."""
    return zip(answer[::2], map(float, answer[1::2]), strict=True)


class Listings:
    """Several, at several servers."""

    def __init__(self, listings: Sequence[QueueListing]) -> None:
        self._listings = listings

    def jobs(self) -> Sequence[QueuedJob]:
        return [job for one in self._listings for job in one.jobs()]

    def close(self) -> None:
        for one in self._listings:
            one.close()


def _job(
    payload: bytes,
    *,
    queue: str,
    state: State,
    attempts: int | None = None,
    due_at: float | None = None,
    created_at: float | None = None,
) -> QueuedJob:
    document = json_object(payload)
    known = document or dict(zip(("displayName", "uuid"), name_and_uuid(payload[:HEAD]), strict=True))
    tags = known.get("tags")
    tried = known.get("attempts")
    return QueuedJob(
        name=_plain(known.get("displayName") or known.get("job")),
        uuid=_plain(known.get("uuid") or known.get("id")),
        queue=queue,
        state=state,
        attempts=attempts if attempts is not None else tried if isinstance(tried, int) else 0,
        due_at=due_at,
        queued_at=created_at if created_at is not None else queued_at(known),
        tags=tuple(_plain(tag) for tag in tags[:MOST_TAGS]) if isinstance(tags, list) else (),
    )


def _plain(value: object) -> str:
    """A text that can be shown; nothing for what is none."""
    return value.encode("utf-8", "replace").decode()[:LONGEST] if isinstance(value, str) else ""
