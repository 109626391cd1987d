"""The `jobs` table of MySQL, MariaDB, PostgreSQL or SQLite.

Reserving looks first and locks second. A plain SELECT finds candidates by their text and their JSON; then
one transaction locks just those rows by primary key, asks again whether they are free, and marks them. So
a row that is not ours is never locked, not even for a moment, and other workers never wait for us
where the server can skip locked rows.

Nothing tells of a new row, so an idle queue is polled: every 20 ms the last hundred rows. A look for free
rows goes on where the last one ended (`_ScanPosition`), and once a second it begins with the first row
(delayed jobs, expired reservations, rows whose transaction took long). So the rows of others, and those that
are gone and not yet cleared away, cost no more than a look a second. A slow server is asked less often:
polling takes at most a tenth of the time, and so do looks at all rows.
"""

from __future__ import annotations

import collections
import contextlib
import itertools
import logging
import re
import sqlite3
import threading
import time
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from bridge.errors import ConfigurationError, ServiceUnavailable
from bridge.jobs.queue.failed_jobs import StoredPayload, Unreserved
from bridge.jobs.queue.lookahead import Lookahead, fresh
from bridge.jobs.queue.memory import Memory
from bridge.jobs.queue.portion import LARGE, Portion
from bridge.jobs.queue.queue import DEFAULTS, Depth, Exchange, Job, QueueOptions
from bridge.jobs.queue.selection import Selection, like, name_and_uuid
from bridge.jobs.queue.sql.connection import SqlConnection
from bridge.jobs.queue.sql.large_rows import LargeRows, blob, has_rowid
from bridge.jobs.queue.sql.write_lock import SqliteWriteLock

POLL_INTERVAL = 0.02  # seconds between looks at the newest rows
SCAN_INTERVAL = 1.0  # seconds between looks at all rows
RESTING_SHARE = 10  # a poll that took t seconds is followed by 10 t of rest
NEWEST = 100  # rows a poll looks at, and ids before the end of the last look: their rows may appear late
SPAN = 250  # ids of one statement of a look, where a server might read all rows to sort them
LAST = (1 << 63) - 1  # no id is greater
MOST_ATTEMPTS = 255  # the column is an unsigned tinyint
UUID_WITHIN = 200  # characters of a payload in which Laravel puts its uuid
SURE_WITHIN = 1 << 16  # bytes of a payload in which it shows whose it is
FOREIGN_LIMIT = 10_000  # ids remembered of rows that look like ours and are not

# Servers that can step over locked rows, by the version they report; the first line that fits decides.
# Laravel's own table is `DatabaseQueue::getLockForPopping`.
SKIP_LOCKED: tuple[tuple[str, tuple[int, ...]], ...] = (
    (r"(\d+)\.(\d+)\S*(?:vitess|planetscale)", (19, 0)),
    (r"(\d+)\.(\d+)\.\d+-mariadb", (10, 6)),  # not the 5.5.5- that may stand before
    (r"postgresql (\d+)(?:\.(\d+))?", (9, 5)),
    (r"(\d+)\.(\d+)\.(\d+)", (8, 0, 1)),  # MySQL
)

_UUID = re.compile(r'"uuid":"([0-9A-Za-z-]{1,64})"')

log = logging.getLogger(__name__)

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """The receipt of a row: it is ours as long as it still shows these numbers.

    is_held    False: it could not be marked as reserved, and nobody has touched it since
    copied_at  reserved then instead, once it has been copied to failed_jobs
    """

    id: int
    attempts: int
    reserved_at: int | None
    is_held: bool = True
    copied_at: int | None = None


class DatabaseQueue:
    """See `queue.Queue` for what every method guarantees.

    engine       on the queue's database; an engine made here from a URL is disposed of by `close`
    table        with its prefix; `schema.table` is understood
    write_lock   on SQLite, where jobs write into the same file
    memory       what is too large for it is not read
    """

    def __init__(
        self,
        engine: sa.Engine | sa.URL | str,
        *,
        options: QueueOptions = DEFAULTS,
        table: str = "jobs",
        write_lock: SqliteWriteLock | None = None,
        memory: Memory | None = None,
    ) -> None:
        queues, selection = options.queues, options.selection
        self._engine = engine if isinstance(engine, sa.Engine) else sa.create_engine(engine)
        self._owns_engine = not isinstance(engine, sa.Engine)
        self._sql = SqlConnection(self._engine)
        self._connection_name = options.connection_name or "database"
        self._queues = tuple(queues)
        self._active = self._queues  # but for those that are paused
        self._retry_after = options.retry_after
        self._clock = options.clock
        self._jobs = jobs_table(table)
        self._selection = selection
        self._is_certain = like(selection.certain)
        self._interval = options.interval or POLL_INTERVAL
        self._write_lock = write_lock if self._sql.dialect == "sqlite" else None
        self._lookahead = Lookahead(self._look_ahead, fresh=fresh(queues))
        self._page = _page(self._jobs, self._sql.dialect, selection)
        self._page_behind = _page(self._jobs, self._sql.dialect, selection, behind=True)
        self._payload = sa.select(_payload(self._jobs, self._sql.dialect)).where(
            self._jobs.c.id == sa.bindparam("id")
        )
        self._start = sa.select(sa.func.substr(self._jobs.c.payload, 1, SURE_WITHIN)).where(
            self._jobs.c.id == sa.bindparam("id")
        )
        self._surely = _surely(self._jobs, self._sql.dialect, selection)
        self._poll = _poll(self._jobs, self._sql.dialect, self._queues, selection)
        self._skip_locked: bool | None = None
        self._woken = threading.Event()
        # Id and available_at: a table that was emptied gives its ids again, as MySQL 5.7 may at a restart.
        self._foreign: set[tuple[int, float | None]] = set()
        self._skipped: set[tuple[int, float | None]] = set()
        self._too_large: set[tuple[int, int]] = set()  # that the memory does not suffice to read
        self._unreadable: set[int] = set()  # and not even to compare, in SQLite
        self._to_fail: dict[int, float] = {}  # those of them that may be ours; not before these seconds
        self._waiting: set[int] = set()  # of rows that SQLite does not compare until there is memory
        self._told_waiting: set[int] = set()
        self._memory = memory or Memory()
        self._large = LargeRows(self._jobs, self._sql.url, self._queues)
        self._poll_rest = self._interval
        # the quickest of the last polls is what the server needs; the rest is a busy machine's waiting
        self._polls: collections.deque[float] = collections.deque(maxlen=8)
        self._positions = {queue: _ScanPosition() for queue in self._queues}
        self._polled: int | None = None  # the first id that the last poll has found
        self._top = sa.select(sa.func.max(self._jobs.c.id))
        # What PostgreSQL knows of a queue's table is mostly old: a backlog may have come since.
        self._span = SPAN if self._sql.dialect == "postgresql" else LAST
        self._next = sa.select(sa.func.min(self._jobs.c.id)).where(self._jobs.c.id > sa.bindparam("after"))
        self._version: object = None

    @property
    def connection_name(self) -> str:
        return self._connection_name

    @property
    def retry_after(self) -> float:
        return self._retry_after

    @property
    def is_single_writer(self) -> bool:
        return self._sql.dialect == "sqlite"

    def check(self) -> None:
        self._sql.check()
        columns = sa.select(*self._jobs.c).where(sa.false())
        try:
            self._sql.run(lambda connection: connection.execute(columns).all())
        except ServiceUnavailable as error:
            if isinstance(error.__cause__, DBAPIError) and not error.__cause__.connection_invalidated:
                raise ConfigurationError(
                    f"the table {self._jobs.fullname}",
                    "is missing or not Laravel's",
                    remedy="php artisan queue:table (make:queue-table from Laravel 11) and php artisan "
                    "migrate",
                ) from error
            raise

    def reserve(self, limit: int) -> Sequence[Job]:
        now = int(self._clock())
        due = [id for id, at in self._to_fail.items() if at <= now]
        if due and (unread := self._sql.run(lambda connection: self._job_to_fail(connection, due, now))):
            return [unread]
        with self._passing_unreadable(now):
            found = self._sql.run(lambda connection: self._find(connection, Portion(limit), now))
        if not found:
            return ()
        with self._rescanning_after_faults():
            taken = self._write(lambda connection: self._claim(connection, list(found), now)) or {}
        return self._reserved(found, taken, now)

    def pause(self, queues: Collection[str]) -> None:
        active = tuple(queue for queue in self._queues if queue not in queues)
        if active != self._active:
            self._active = active
            self._lookahead.forget()
            self._rescan()
            self._poll = _poll(self._jobs, self._sql.dialect, active, self._selection)

    def wait(self, timeout: float) -> None:
        until = time.monotonic() + min(timeout, SCAN_INTERVAL)
        while (rest := until - time.monotonic()) > 0:
            if self._woken.wait(min(rest, self._poll_rest)):
                self._woken.clear()
                return
            before = time.monotonic()
            new = self._sql.run(self._has_new)
            self._polls.append(time.monotonic() - before)
            self._poll_rest = max(self._interval, RESTING_SHARE * min(self._polls))
            if new:
                return

    def wake(self) -> None:
        self._woken.set()

    def delete(self, jobs: Sequence[Job]) -> int:
        groups = _by_fence(jobs)
        statements = [self._jobs.delete().where(self._still(group)) for group in groups]
        gone = self._write(
            lambda connection: sum(connection.execute(sql).rowcount for sql in statements),
            alone=len(statements) == 1,
        )
        return gone or 0

    def delete_and_reserve(self, done: Sequence[Job], limit: int) -> Exchange:
        deleted = 0
        jobs: Sequence[Job] = ()
        while not jobs:
            now = int(self._clock())
            found = dict(self._lookahead.pop(limit))
            if not found:
                deleted += self.delete(done) if done else 0
                break
            with self._rescanning_after_faults():
                more, taken = self._write(partial(self._delete_and_reserve, done, list(found), now)) or (
                    0,
                    {},
                )
            jobs, done, deleted = self._reserved(found, taken, now), (), deleted + more
        return lambda: (deleted, jobs)

    def release(self, job: Job, delay: float, *, tried: bool = True) -> None:
        """Deletes the row and adds a new one with the same payload at the end, as Laravel does."""
        receipt = _receipt(job)
        if not receipt.is_held:
            self._to_fail[receipt.id] = self._clock() + delay
            return
        now = int(self._clock())
        row = self._jobs.c
        ours = self._still([receipt])
        number = sa.BigInteger()
        copy = sa.select(
            row.queue,
            row.payload,
            row.attempts if tried else row.attempts - 1,
            sa.null(),
            sa.literal(now + max(0, round(delay)), number),
            sa.literal(now, number),
        ).where(ours)
        columns = ["queue", "payload", "attempts", "reserved_at", "available_at", "created_at"]

        def move(connection: sa.Connection) -> int | None:
            connection.execute(self._jobs.insert().from_select(columns, copy))
            return connection.execute(self._jobs.delete().where(ours)).rowcount or None  # None: undo the copy

        self._write(move)

    def give_back(self, jobs: Sequence[Job]) -> None:
        self._lookahead.forget()
        self._rescan()
        jobs = [job for job in jobs if _receipt(job).is_held]
        free = {"reserved_at": None, "attempts": self._jobs.c.attempts - 1}
        statements = [self._jobs.update().where(self._still(group)).values(free) for group in _by_fence(jobs)]
        self._write(lambda connection: sum(connection.execute(sql).rowcount for sql in statements))

    def leave(self, job: Job) -> None:
        self.give_back([job])
        id = _receipt(job).id
        self._foreign.add((id, job.due_at))
        self._to_fail.pop(id, None)

    def skip(self, jobs: Collection[Job]) -> None:
        self._skipped.update((_receipt(job).id, job.due_at) for job in jobs)

    def clear_skipped(self) -> None:
        if self._skipped:
            self._skipped.clear()
            self._rescan()

    def renew(self, jobs: Sequence[Job]) -> list[Job | None]:
        now = int(self._clock())
        begin = self._jobs.update().values(reserved_at=now)

        def renewed(connection: sa.Connection) -> list[bool]:
            mine = [begin.where(self._still([_receipt(job)])) for job in jobs]
            return [connection.execute(one).rowcount == 1 for one in mine]

        still = self._write(renewed) or []
        return [
            replace(job, receipt=replace(_receipt(job), reserved_at=now)) if ours else None
            for job, ours in zip(jobs, still, strict=True)
        ]

    def laravel_job_fields(self, job: Job) -> Mapping[str, object]:
        return {"driver": "database", "row": {"id": _receipt(job).id, "attempts": job.attempts}}

    def mark_sent(self, jobs: Sequence[Job]) -> None:
        """Laravel's tables have no place for it. The row of a job that was sent goes with the next statement,
        so another process meets it only if this one dies between the two."""

    def was_sent(self, job: Job) -> bool:
        return False

    def depth(self) -> dict[str, Depth]:
        row = self._jobs.c
        now = int(self._clock())
        reserved = sa.func.count(row.reserved_at)
        waiting = sa.func.count(sa.case((row.reserved_at.is_(None) & (row.available_at <= now), 1)))
        due = sa.func.min(sa.case((row.reserved_at.is_(None) & (row.available_at <= now), row.available_at)))
        # by the configured name, which the database may take for equal to another spelling, as in MySQL
        number = sa.case(*((row.queue == queue, index) for index, queue in enumerate(self._queues)))
        counts = (
            sa.select(number.label("number"), waiting, reserved, sa.func.count(), due)
            .where(row.queue.in_(self._queues))
            .group_by("number")
        )
        depths = dict.fromkeys(self._queues, Depth(pending=0, delayed=0, reserved=0))
        for index, pending, held, total, oldest_at in self._sql.aside(
            lambda connection: connection.execute(counts).all()
        ):
            depths[self._queues[index]] = Depth(
                pending=pending, delayed=total - pending - held, reserved=held, oldest_at=oldest_at
            )
        return depths

    def close(self) -> None:
        self._sql.close()
        if self._owns_engine:
            self._engine.dispose()

    def _write(self, work: Callable[[sa.Connection], Result | None], *, alone: bool = False) -> Result | None:
        """`work` in one transaction, or `alone` if it is one statement."""
        with nullcontext() if self._write_lock is None else self._write_lock.write():
            return self._sql.write(work) if alone else self._sql.transaction(work)

    def _find(self, connection: sa.Connection, portion: Portion, now: int) -> dict[int, _Candidate]:
        """Free jobs of ours by id, in order of service, as many as fit into the portion. Locks nothing."""
        if self._sql.dialect == "sqlite":
            self._version = _data_version(connection)  # before the rows are read: no change goes unseen
            self._measure(connection)
        found: dict[int, _Candidate] = {}
        polled, self._polled = self._polled, None
        for queue in self._active:
            if portion.left > 0:
                self._find_in(connection, queue, portion, now, polled, found)
        return found

    def _job_to_fail(self, connection: sa.Connection, due: Sequence[int], now: int) -> Job | None:
        """One that the memory does not even suffice to compare, nor to reserve: SQLite writes whole rows."""
        row = self._jobs.c
        columns = row.id, row.queue, row.attempts, row.available_at, row.reserved_at
        left = sa.select(*columns).where(row.id.in_(due))
        free = left.where(row.queue.in_(self._active), _is_free(self._jobs)).order_by(row.id).limit(1)
        for id, queue, attempts, due_at, reserved_at in connection.execute(free, self._times(now)).all():
            with blob(connection, self._jobs, id) as payload:
                size, start = len(payload), payload.read(SURE_WITHIN)
            if not self._selection.may_take(start):
                self._foreign.add((id, due_at))
                del self._to_fail[id]
                continue
            seen = Unreserved(attempts=attempts, reserved_at=reserved_at, at=now)
            found = self._unread(connection, queue, id, attempts, due_at, size, seen)
            if found is not None:
                receipt = Reservation(
                    id=id, attempts=attempts, reserved_at=reserved_at, is_held=False, copied_at=now
                )
                return found.job(attempts, receipt)
        for id in set(due).difference(id for id, *_ in connection.execute(left).all()):
            self._to_fail.pop(id, None)
            self._unreadable.discard(id)
        return None

    def _find_in(
        self,
        connection: sa.Connection,
        queue: str,
        portion: Portion,
        now: int,
        polled: int | None,
        found: dict[int, _Candidate],
    ) -> None:
        """Those of one queue are in `found` as well; `polled`: the first id that a poll has found."""
        position = self._positions[queue]
        began, at = time.monotonic(), self._clock()
        is_whole = position.is_due(at)
        top = connection.execute(self._top).scalar() or 0 if is_whole else position.after
        after = 0 if is_whole else max(0, min(top - NEWEST, top if polled is None else polled - 1))
        is_end = False
        while (wanted := portion.left) > 0 and not is_end:
            page, last = self._page, LAST
            if not is_whole:
                page, last = self._page_behind, min(after + self._span, LAST)
            given = {**self._given(now), "queue": queue, "after": after, "last": last, "wanted": wanted}
            rows = connection.execute(page, given).all()
            for row in rows:
                if not self._takes_row(connection, queue, row, portion, found):
                    break
                after = row[0]
            else:
                if len(rows) < wanted:
                    behind = self._behind(connection, last)
                    after, is_end = (after, True) if behind is None else (behind, False)
        position.after = max(after, top) if is_end else after
        if is_whole:
            position.rest(at, time.monotonic() - began)

    def _behind(self, connection: sa.Connection, last: int) -> int | None:
        """Where a look goes on that has come to this id; None at the end of the table."""
        following = None if last == LAST else connection.execute(self._next, {"after": last}).scalar()
        return None if following is None else following - 1

    def _takes_row(
        self,
        connection: sa.Connection,
        queue: str,
        row: sa.Row[Any],
        portion: Portion,
        found: dict[int, _Candidate],
    ) -> bool:
        """Whether the row was looked at: it is in `found`, or not for us. If not, the portion is full."""
        id, text, attempts, due_at, size = tuple(row)
        if (id, due_at) in self._foreign or (id, due_at) in self._skipped:
            return True
        if text is None:  # it is large: only if it comes next, and then by itself
            if found:
                portion.close()
                return False
            if (id, due_at) in self._too_large or size > self._possible():
                candidate = self._unread(connection, queue, id, attempts, due_at, size)
            elif size > self._readable():
                self._say_that_it_waits(connection, id, size)
                return True
            else:
                with self._noting_too_large(id, due_at):
                    text = connection.execute(self._payload, {"id": id}).scalar()
                    if text is None:
                        return True
                    candidate = self._candidate(queue, id, text, attempts, due_at)
        else:
            candidate = self._candidate(queue, id, text, attempts, due_at)
        if candidate is None:
            return True
        if not portion.takes(size, attempts):
            return False
        found[id] = candidate
        return True

    def _rescan(self) -> None:
        """The next look begins with the first row."""
        for position in self._positions.values():
            position.forget()

    @contextlib.contextmanager
    def _rescanning_after_faults(self) -> Iterator[None]:
        """What was found within is looked for anew where it could not be claimed."""
        try:
            yield
        except BaseException:
            self._rescan()
            raise

    @contextlib.contextmanager
    def _noting_too_large(self, id: int, due_at: int) -> Iterator[None]:
        """A large row is read, or not again if the memory does not suffice for it."""
        try:
            yield
        except MemoryError:
            self._too_large.add((id, due_at))
            raise

    def _unread(
        self,
        connection: sa.Connection,
        queue: str,
        id: int,
        attempts: int,
        due_at: int,
        size: int,
        unreserved: Unreserved | None = None,
    ) -> _Candidate | None:
        """A job that is not read, if it is surely ours: it goes to `failed_jobs` as it stands there."""
        start = self._beginning(connection, id)
        if start is None:
            self._foreign.add((id, due_at))
            self._to_fail.pop(id, None)
            about = {"action": "memory", "id": id, "queue": queue, "kib": size >> 10}
            log.error("a job stays in the queue: the memory does not suffice to read it", extra=about)
            return None
        known = _UUID.search(start)
        own = uuid.uuid5(uuid.NAMESPACE_OID, f"{self._jobs.fullname} {id} {due_at}")
        return _Candidate(
            queue=queue,
            payload=b"",
            document={"uuid": known[1] if known else str(own)},
            attempts=attempts,
            due_at=due_at,
            unread=StoredPayload(
                database=self._sql.url, table=self._jobs, id=id, size=size, unreserved=unreserved
            ),
        )

    def _beginning(self, connection: sa.Connection, id: int) -> str | None:
        """The first characters of a payload, if it is surely ours."""
        if self._sql.dialect != "sqlite":
            start = connection.execute(self._surely, {"id": id}).scalar()
        elif self._selection.certain and has_rowid(connection, self._jobs, id):
            with blob(connection, self._jobs, id) as payload:
                start = payload.read(SURE_WITHIN)
            start = start[:UUID_WITHIN] if self._is_certain.search(start) else None
        else:
            start = None
        return start.decode(errors="replace") if isinstance(start, bytes) else start

    @contextlib.contextmanager
    def _passing_unreadable(self, now: int) -> Iterator[None]:
        """SQLite itself must read a payload to compare it: where the memory does not suffice, the rows that
        are too large are left from now on. Raises MemoryError all the same."""
        try:
            yield
        except MemoryError:
            if self._sql.dialect == "sqlite":
                self._sql.run(partial(self._leave_unreadable, now))
            raise

    def _leave_unreadable(self, now: int, connection: sa.Connection) -> None:
        row = self._jobs.c
        free = sa.select(row.id, row.queue).where(row.queue.in_(self._queues), _is_free(self._jobs))
        one = self._page.where(row.id == sa.bindparam("id"))  # takes as much as to look for it
        for id, queue in connection.execute(free, self._times(now)).all():
            if id in self._unreadable or id in self._waiting:
                continue
            try:
                connection.execute(
                    one, {**self._given(now), "queue": queue, "after": 0, "wanted": 1, "id": id}
                ).all()
            except MemoryError:
                self._pass_over(connection, id)

    def _measure(self, connection: sa.Connection) -> None:
        """The rows that are too large to be compared are left, before SQLite reads them: for good, or until
        there is more memory."""
        self._waiting.clear()
        for id, size in self._large.above(connection, self._readable()).items():
            if size <= self._possible():
                self._waiting.add(id)
                self._say_that_it_waits(connection, id, size)
            elif id not in self._unreadable:
                self._pass_over(connection, id)

    def _pass_over(self, connection: sa.Connection, id: int) -> None:
        """A row that SQLite shall not read: from now on it is passed, and once it is free, it fails if it is
        surely ours."""
        self._unreadable.add(id)
        if has_rowid(connection, self._jobs, id):
            self._to_fail[id] = 0
        else:
            about = {"action": "memory", "id": id}
            log.error("a job stays in the queue: the memory does not suffice to read it", extra=about)

    def _readable(self) -> int:
        """Bytes up to which a payload is read now: whoever reads more may be killed for it."""
        return max(LARGE, self._memory.largest())

    def _possible(self) -> int:
        """Bytes above which a payload is never read."""
        return max(LARGE, self._memory.possible())

    def _say_that_it_waits(self, connection: sa.Connection, id: int, size: int) -> None:
        if id in self._told_waiting or len(self._told_waiting) >= FOREIGN_LIMIT:
            return
        self._told_waiting.add(id)
        start = b""
        if self._sql.dialect == "sqlite":
            with contextlib.suppress(DBAPIError, sqlite3.Error), blob(connection, self._jobs, id) as payload:
                start = payload.read(SURE_WITHIN)
        else:
            start = str(connection.execute(self._start, {"id": id}).scalar() or "").encode()
        if self._selection.may_take(start):
            name, uuid = name_and_uuid(start)
            about = {"action": "memory", "id": id, "uuid": uuid, "event_class": name, "kib": size >> 10}
            log.warning("a job is not read until there is more memory", extra=about)

    def _look_ahead(self, limit: int) -> Sequence[tuple[int, _Candidate]]:
        if self._lookahead.is_left:
            self._rescan()
        now = int(self._clock())
        portion = Portion(limit, alone=False)
        with self._passing_unreadable(now):
            found = self._sql.run(lambda connection: self._find(connection, portion, now))
        return list(found.items())

    def _delete_and_reserve(
        self, done: Sequence[Job], ids: Sequence[int], now: int, connection: sa.Connection
    ) -> tuple[int, Mapping[int, int]]:
        """How many of these were still ours and are gone; id → attempts of those that are now ours."""
        gone = [self._jobs.delete().where(self._still(group)) for group in _by_fence(done)]
        deleted = sum(connection.execute(sql).rowcount for sql in gone)
        return deleted, self._claim(connection, ids, now) or {}

    def _reserved(self, found: Mapping[int, _Candidate], taken: Mapping[int, int], now: int) -> Sequence[Job]:
        return [
            row.job(taken[id], Reservation(id=id, attempts=taken[id], reserved_at=now))
            for id, row in found.items()
            if id in taken
        ]

    def _candidate(
        self, queue: str, id: int, text: str | bytes, attempts: int, due_at: int
    ) -> _Candidate | None:
        payload = text.encode() if isinstance(text, str) else bytes(text)
        document = self._selection.document(queue, payload)
        if document is None:
            if len(self._foreign) >= FOREIGN_LIMIT:
                self._foreign.clear()
            self._foreign.add((id, due_at))
            return None
        return _Candidate(queue=queue, payload=payload, document=document, attempts=attempts, due_at=due_at)

    def _claim(self, connection: sa.Connection, ids: Sequence[int], now: int) -> dict[int, int] | None:
        """Id → attempts of those rows that were still free and are now ours."""
        row = self._jobs.c
        free = sa.select(row.id, row.attempts).where(row.id.in_(ids), _is_free(self._jobs))
        if self._sql.dialect != "sqlite":  # there, the transaction itself is the lock
            free = free.with_for_update(skip_locked=self._skips_locked(connection))
        # without the hint a small table is read as a whole, and its other rows are locked in passing
        free = free.with_hint(self._jobs, "FORCE INDEX (PRIMARY)", "mysql")
        free = free.with_hint(self._jobs, "FORCE INDEX (PRIMARY)", "mariadb")
        held = {id: attempts for id, attempts in connection.execute(free, self._times(now))}
        if not held:
            return None
        more = sa.case((row.attempts < MOST_ATTEMPTS, row.attempts + 1), else_=row.attempts)
        connection.execute(
            self._jobs.update().where(row.id.in_(list(held))).values(reserved_at=now, attempts=more)
        )
        return {id: attempts + (attempts < MOST_ATTEMPTS) for id, attempts in held.items()}

    def _has_new(self, connection: sa.Connection) -> bool:
        if self._sql.dialect == "sqlite":
            version = _data_version(connection)
            if version == self._version:
                return False
            self._version = version
            self._measure(connection)
        rows = connection.execute(self._poll, self._given(int(self._clock())))
        new = [row[0] for row in rows if tuple(row) not in self._foreign and tuple(row) not in self._skipped]
        self._polled = min(new, default=None)
        return bool(new)

    def _given(self, now: int) -> dict[str, object]:
        """What statements ask for that look at payloads."""
        if self._sql.dialect != "sqlite":
            return dict(self._times(now))
        return {**self._times(now), "unreadable": [*self._unreadable, *self._waiting]}

    def _times(self, now: int) -> dict[str, int]:
        return {"now": now, "expired": now - self._retry_after}

    def _still(self, receipts: Sequence[Reservation]) -> sa.ColumnElement[bool]:
        """True for rows that are reserved as these receipts say; they agree in all but the id."""
        row = self._jobs.c
        fence = receipts[0]
        reserved = row.reserved_at == fence.reserved_at
        if fence.copied_at is not None:
            reserved = sa.or_(reserved, row.reserved_at == fence.copied_at)
        return sa.and_(
            row.id.in_([receipt.id for receipt in receipts]), row.attempts == fence.attempts, reserved
        )

    def _skips_locked(self, connection: sa.Connection) -> bool:
        if self._skip_locked is None:
            version = connection.exec_driver_sql("SELECT version()").scalar_one()
            self._skip_locked = skips_locked(version)
        return self._skip_locked


class _ScanPosition:
    """Where a look for free rows of a queue goes on: those up to `after` were not free, or not ours."""

    __slots__ = ("_looked_at", "_rest", "after")

    def __init__(self) -> None:
        self.after = 0
        self._looked_at = float("-inf")  # unix seconds; when all rows were looked at
        self._rest = 0.0

    def is_due(self, now: float) -> bool:
        """Whether all rows are to be looked at again."""
        return abs(now - self._looked_at) >= self._rest

    def rest(self, now: float, seconds: float) -> None:
        """Notes that a look at all rows began `now`, and how long it took."""
        self._looked_at, self._rest = now, max(SCAN_INTERVAL, RESTING_SHARE * seconds)

    def forget(self) -> None:
        self._looked_at = float("-inf")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Candidate:
    queue: str
    payload: bytes
    document: Mapping[str, object]
    attempts: int
    due_at: int
    unread: StoredPayload | None = None

    def job(self, attempts: int, receipt: Reservation) -> Job:
        return Job(
            queue=self.queue,
            payload=self.payload,
            document=self.document,
            attempts=attempts,
            receipt=receipt,
            due_at=self.due_at,
            unread=self.unread,
        )


def skips_locked(version: str) -> bool:
    """Whether a server that reports this `version()` knows SKIP LOCKED."""
    for pattern, least in SKIP_LOCKED:
        if match := re.search(pattern, version.lower()):
            return tuple(int(part) for part in match.groups(default="0")) >= least
    return False


def jobs_table(name: str) -> sa.TableClause:
    schema, _, table = name.rpartition(".")
    big, text, number = sa.BigInteger(), sa.Text(), sa.Integer()
    return sa.table(
        table,
        sa.column("id", big),
        sa.column("queue", text),
        sa.column("payload", text),
        sa.column("attempts", number),
        sa.column("reserved_at", big),
        sa.column("available_at", big),
        sa.column("created_at", big),
        schema=schema or None,
    )


def _page(
    jobs: sa.TableClause, dialect: str, selection: Selection, *, behind: bool = False
) -> sa.Select[Any]:
    """Free rows of one queue that look like ours, from an id on: id, payload (null where it is large),
    attempts, since when due, bytes of the payload. `behind`: most rows lie before that id; up to a `last`."""
    row = jobs.c
    queue = _queue_column(jobs, dialect) if behind else row.queue
    payload = _payload(jobs, dialect)
    size = sa.func.length(payload) if dialect == "sqlite" else sa.func.octet_length(row.payload)
    return (
        sa.select(row.id, sa.case((size < LARGE, payload)), row.attempts, row.available_at, size)
        .where(
            queue == sa.bindparam("queue"),
            row.id > sa.bindparam("after"),
            row.id <= sa.bindparam("last") if behind else sa.true(),
            _is_free(jobs),
            looks_ours(jobs, dialect, selection),
        )
        .order_by(row.id)
        .limit(sa.bindparam("wanted", type_=sa.Integer()))
    )


def _payload(jobs: sa.TableClause, dialect: str) -> sa.ColumnElement[Any]:
    # SQLite may hold any bytes as text, and its driver would raise over what is not UTF-8
    return sa.cast(jobs.c.payload, sa.LargeBinary) if dialect == "sqlite" else jobs.c.payload


def _surely(jobs: sa.TableClause, dialect: str, selection: Selection) -> sa.Select[Any]:
    """The beginning of a payload, where its text alone tells that the job is ours."""
    text = sa.cast(jobs.c.payload, sa.LargeBinary) if dialect == "mysql" else jobs.c.payload
    sure = sa.or_(sa.false(), *(sa.type_coerce(text, sa.Text).like(pattern) for pattern in selection.certain))
    start = sa.func.substr(_payload(jobs, dialect), 1, UUID_WITHIN)
    return sa.select(start).where(jobs.c.id == sa.bindparam("id"), sure)


def _poll(jobs: sa.TableClause, dialect: str, queues: Sequence[str], selection: Selection) -> sa.Select[Any]:
    """Ids of waiting rows that look like ours, among the newest, and since when they are due."""
    row = jobs.c
    newest = sa.select(sa.cast(sa.func.max(row.id), sa.BigInteger) - NEWEST).scalar_subquery()
    column = _queue_column(jobs, dialect)
    any_queue = sa.or_(sa.false(), *(column == queue for queue in queues))
    ours = looks_ours(jobs, dialect, selection)
    waiting = _is_waiting(jobs)
    return sa.select(row.id, row.available_at).where(row.id > newest, row.id < LAST, any_queue, waiting, ours)


def _queue_column(jobs: sa.TableClause, dialect: str) -> sa.ColumnElement[Any]:
    """For a few rows whose ids are known: PostgreSQL would read an index over all rows of the queue first,
    and without the other bound of the ids (`LAST`) the whole table."""
    return jobs.c.queue + "" if dialect == "postgresql" else jobs.c.queue


def looks_ours(jobs: sa.TableClause, dialect: str, selection: Selection) -> sa.ColumnElement[bool]:
    """True for payloads that match the selection's patterns. In SQLite, the statement wants `unreadable`: ids
    of rows that are not to be compared, for which it is false."""
    # MySQL's collations compare letter by letter, which takes ten times as long as comparing bytes
    text = sa.cast(jobs.c.payload, sa.LargeBinary) if dialect == "mysql" else jobs.c.payload
    payload = sa.type_coerce(text, sa.Text)
    like = [payload.like(selection.like)] if selection.like else []
    ours = sa.and_(sa.true(), *like, *(payload.not_like(pattern) for pattern in selection.unlike))
    if dialect != "sqlite":
        return ours
    unreadable = jobs.c.id.in_(sa.bindparam("unreadable", expanding=True))
    return sa.case((unreadable, sa.false()), else_=ours)  # the second is read only where the first is not so


def _is_waiting(jobs: sa.TableClause) -> sa.ColumnElement[bool]:
    return sa.and_(jobs.c.reserved_at.is_(None), jobs.c.available_at <= sa.bindparam("now"))


def _is_free(jobs: sa.TableClause) -> sa.ColumnElement[bool]:
    """Waiting, or reserved so long ago that the reservation has expired."""
    return sa.or_(_is_waiting(jobs), jobs.c.reserved_at <= sa.bindparam("expired"))


def _receipt(job: Job) -> Reservation:
    if not isinstance(job.receipt, Reservation):
        raise TypeError("this job was reserved from another queue")
    return job.receipt


def _by_fence(jobs: Sequence[Job]) -> list[list[Reservation]]:
    def fence(receipt: Reservation) -> tuple[int, int, int]:
        return receipt.attempts, receipt.reserved_at or 0, receipt.copied_at or 0

    receipts = sorted((_receipt(job) for job in jobs), key=lambda receipt: (fence(receipt), receipt.id))
    return [list(group) for _, group in itertools.groupby(receipts, fence)]


def _data_version(connection: sa.Connection) -> object:
    """Changes when another connection has changed the SQLite file."""
    return connection.exec_driver_sql("PRAGMA data_version").scalar_one()
