"""Rows whose payload is not read, because the memory does not suffice: some wait, others fail unread."""

from __future__ import annotations

import contextlib
import logging
import re
import sqlite3
import uuid
from collections.abc import Callable, Iterator, Sequence

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from bridge.jobs.queue.failed_jobs import StoredPayload, Unreserved
from bridge.jobs.queue.memory import Memory
from bridge.jobs.queue.portion import LARGE
from bridge.jobs.queue.queue import Job
from bridge.jobs.queue.selection import Selection, like, name_and_uuid
from bridge.jobs.queue.sql.connection import SqlConnection
from bridge.jobs.queue.sql.large_rows import LargeRows, blob, has_rowid
from bridge.jobs.queue.sql.rows import Candidate, Reservation
from bridge.jobs.queue.sql.statements import SURE_WITHIN, UUID_WITHIN, Statements, is_free

MOST_REPORTED = 10_000  # rows that the log names, at most

_UUID = re.compile(r'"uuid":"([0-9A-Za-z-]{1,64})"')

log = logging.getLogger(__name__)


class UnreadRows:
    """For one thread.

    memory  decides what is too large
    ignore  called with id and available_at of a row that is not to be looked at again
    """

    def __init__(
        self,
        sql: SqlConnection,
        statements: Statements,
        selection: Selection,
        queues: Sequence[str],
        memory: Memory,
        ignore: Callable[[int, int], None],
    ) -> None:
        self._sql = sql
        self._statements = statements
        self._jobs = statements.jobs
        self._selection = selection
        self._is_certain = like(selection.certain)
        self._memory = memory
        self._ignore = ignore
        self._large = LargeRows(self._jobs, sql.url, queues)
        self._too_large: set[tuple[int, int]] = set()  # id and available_at: see `Scan`
        self._not_compared: set[int] = set()  # ids of rows too large even to be compared, in SQLite
        self._measured: set[int] = set()  # those of them that are known by their size
        self._to_fail: dict[int, float] = {}  # those of them that may be ours; not before these seconds
        self._waiting: set[int] = set()  # of rows that SQLite does not compare until there is memory
        self._reported: set[int] = set()

    @property
    def not_compared(self) -> list[int]:
        """Ids of rows that SQLite shall not compare now."""
        return [*self._not_compared, *self._waiting]

    def is_never_read(self, id: int, due_at: int, size: int) -> bool:
        return (id, due_at) in self._too_large or size > self._possible()

    def waits(self, connection: sa.Connection, id: int, size: int) -> bool:
        """Whether a payload of so many bytes is not read until there is more memory; the log names it."""
        if size <= self._readable():
            return False
        self._log_that_it_waits(connection, id, size)
        return True

    @contextlib.contextmanager
    def noting_too_large(self, id: int, due_at: int) -> Iterator[None]:
        """Within, a large row is read: not again if the memory does not suffice for it."""
        try:
            yield
        except MemoryError:
            self._too_large.add((id, due_at))
            raise

    def candidate(
        self,
        connection: sa.Connection,
        queue: str,
        id: int,
        attempts: int,
        due_at: int,
        size: int,
        unreserved: Unreserved | None = None,
    ) -> Candidate | None:
        """A job that is not read, if it is surely ours: it goes to `failed_jobs` as it stands there."""
        start = self._beginning(connection, id)
        if start is None:
            self._ignore(id, due_at)
            about = {"action": "memory", "id": id, "queue": queue, "kib": size >> 10}
            log.error("a job stays in the queue: the memory does not suffice to read it", extra=about)
            return None
        known = _UUID.search(start)
        own = uuid.uuid5(uuid.NAMESPACE_OID, f"{self._jobs.fullname} {id} {due_at}")
        return Candidate(
            queue=queue,
            payload=b"",
            document={"uuid": known[1] if known else str(own)},
            attempts=attempts,
            due_at=due_at,
            unread=StoredPayload(
                database=self._sql.url, table=self._jobs, id=id, size=size, unreserved=unreserved
            ),
        )

    def has_to_fail(self, now: int) -> bool:
        """Whether `job_to_fail` may find one."""
        return any(at <= now for at in self._to_fail.values())

    def job_to_fail(self, connection: sa.Connection, queues: Sequence[str], now: int) -> Job | None:
        """One that the memory does not even suffice to compare, nor to reserve: SQLite writes whole rows."""
        due = [id for id, at in self._to_fail.items() if at <= now]
        row = self._jobs.c
        columns = row.id, row.queue, row.attempts, row.available_at, row.reserved_at
        left = sa.select(*columns).where(row.id.in_(due))
        free = left.where(row.queue.in_(queues), is_free(self._jobs)).order_by(row.id).limit(1)
        times = self._statements.times(now)
        for id, queue, attempts, due_at, reserved_at in connection.execute(free, times).all():
            with blob(connection, self._jobs, id) as payload:
                size, start = len(payload), payload.read(SURE_WITHIN)
            if not self._selection.may_take(start):
                self._ignore(id, due_at)
                continue
            seen = Unreserved(attempts=attempts, reserved_at=reserved_at, at=now)
            found = self.candidate(connection, queue, id, attempts, due_at, size, seen)
            if found is not None:
                receipt = Reservation(
                    id=id, attempts=attempts, reserved_at=reserved_at, is_marked=False, copied_at=now
                )
                return found.job(attempts, receipt)
        for id in set(due).difference(id for id, *_ in connection.execute(left).all()):
            self._to_fail.pop(id, None)
            self._not_compared.discard(id)
        return None

    def fail_from(self, id: int, moment: float) -> None:
        """Keeps `job_to_fail` from finding this row before so many unix seconds."""
        self._to_fail[id] = moment

    def forget(self, id: int) -> None:
        """Keeps `job_to_fail` from finding this row any more."""
        self._to_fail.pop(id, None)

    def measure(self, connection: sa.Connection) -> None:
        """Leaves the rows that are too large to be compared, before SQLite reads them: for good, or until
        there is more memory."""
        self._waiting.clear()
        large = self._large.above(connection, self._readable())
        for id in self._measured - large.keys():  # gone, and a new row may have the id
            self._not_compared.discard(id)
            self._to_fail.pop(id, None)
        self._measured &= large.keys()
        for id, size in large.items():
            if size <= self._possible():
                self._waiting.add(id)
                self._log_that_it_waits(connection, id, size)
            elif id not in self._not_compared:
                self._pass_over(connection, id)
                self._measured.add(id)

    def find_not_comparable(self, connection: sa.Connection, queues: Sequence[str], now: int) -> None:
        """The same where SQLite has just run out of memory over one of them: each is tried by itself."""
        row = self._jobs.c
        free = sa.select(row.id, row.queue).where(row.queue.in_(queues), is_free(self._jobs))
        one = self._statements.page.where(row.id == sa.bindparam("id"))  # takes as much as to look for it
        times = self._statements.times(now)
        for id, queue in connection.execute(free, times).all():
            if id in self._not_compared or id in self._waiting:
                continue
            given = {**times, "unreadable": self.not_compared, "queue": queue, "after": 0, "wanted": 1}
            try:
                connection.execute(one, {**given, "id": id}).all()
            except MemoryError:
                self._pass_over(connection, id)

    def _readable(self) -> int:
        """Bytes up to which a payload is read now: whoever reads more may be killed for it."""
        return max(LARGE, self._memory.largest())

    def _possible(self) -> int:
        """Bytes above which a payload is never read."""
        return max(LARGE, self._memory.possible())

    def _beginning(self, connection: sa.Connection, id: int) -> str | None:
        """The first characters of a payload, if it is surely ours."""
        if self._sql.dialect != "sqlite":
            start = connection.execute(self._statements.surely, {"id": id}).scalar()
        elif self._selection.certain and has_rowid(connection, self._jobs, id):
            with blob(connection, self._jobs, id) as payload:
                start = payload.read(SURE_WITHIN)
            start = start[:UUID_WITHIN] if self._is_certain(start) else None
        else:
            start = None
        return start.decode(errors="replace") if isinstance(start, bytes) else start

    def _pass_over(self, connection: sa.Connection, id: int) -> None:
        """SQLite shall not compare this row from now on. Once it is free, it fails if it is surely ours."""
        self._not_compared.add(id)
        if has_rowid(connection, self._jobs, id):
            self._to_fail[id] = 0
        else:
            about = {"action": "memory", "id": id}
            log.error("a job stays in the queue: the memory does not suffice to read it", extra=about)

    def _log_that_it_waits(self, connection: sa.Connection, id: int, size: int) -> None:
        if id in self._reported or len(self._reported) >= MOST_REPORTED:
            return
        self._reported.add(id)
        start = b""
        if self._sql.dialect == "sqlite":
            with contextlib.suppress(DBAPIError, sqlite3.Error), blob(connection, self._jobs, id) as payload:
                start = payload.read(SURE_WITHIN)
        else:
            start = str(connection.execute(self._statements.start, {"id": id}).scalar() or "").encode()
        if self._selection.may_take(start):
            name, uuid = name_and_uuid(start)
            about = {"action": "memory", "id": id, "uuid": uuid, "event_class": name, "kib": size >> 10}
            log.warning("a job is not read until there is more memory", extra=about)
