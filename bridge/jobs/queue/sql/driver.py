"""The `jobs` table of MySQL, MariaDB, PostgreSQL or SQLite.

Reserving looks first and locks second. A plain SELECT finds candidates by their text and their JSON
(`scan`); then one transaction locks just those rows by primary key, asks again whether they are free, and
marks them. So a row that is not ours is never locked, not even for a moment, and other workers never wait
for us where the server can skip locked rows.

Nothing tells of a new row, so an idle queue is polled: every 20 ms the last hundred rows. A slow server is
asked less often: polling takes at most a tenth of the time.
"""

from __future__ import annotations

import collections
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from typing import TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from bridge.errors import ConfigurationError, ServiceUnavailable
from bridge.jobs.queue.lookahead import Lookahead, fresh
from bridge.jobs.queue.memory import Memory
from bridge.jobs.queue.portion import Portion
from bridge.jobs.queue.queue import DEFAULTS, Depth, Exchange, Job, QueueOptions
from bridge.jobs.queue.sql.connection import SqlConnection
from bridge.jobs.queue.sql.rows import Candidate, Reservation, by_fence, receipt_of
from bridge.jobs.queue.sql.scan import SCAN_INTERVAL, Scan
from bridge.jobs.queue.sql.statements import MOST_ATTEMPTS, Statements, jobs_table, skips_locked
from bridge.jobs.queue.sql.write_lock import SqliteWriteLock

POLL_INTERVAL = 0.02  # seconds between looks at the newest rows
RESTING_SHARE = 10  # a poll that took t seconds is followed by 10 t of rest

Result = TypeVar("Result")


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
        self._retry_after = options.retry_after
        self._clock = options.clock
        self._jobs = jobs_table(table)
        self._statements = Statements(self._jobs, self._sql.dialect, selection, options.retry_after)
        self._scan = Scan(self._sql, self._statements, selection, queues, options.clock, memory or Memory())
        self._lookahead = Lookahead(self._look_ahead, fresh=fresh(queues))
        self._interval = options.interval or POLL_INTERVAL
        self._write_lock = write_lock if self._sql.dialect == "sqlite" else None
        self._skip_locked: bool | None = None
        self._woken = threading.Event()
        self._poll_rest = self._interval
        # the quickest of the last polls is what the server needs; the rest is a busy machine's waiting
        self._polls: collections.deque[float] = collections.deque(maxlen=8)

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
        try:
            self._sql.run(lambda connection: connection.execute(self._statements.nothing).all())
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
        if unread := self._scan.job_to_fail(now):
            return [unread]
        found = self._scan.find(Portion(limit), now)
        if not found:
            return ()
        with self._scan.restarting_after_faults():
            taken = self._write(lambda connection: self._claim(connection, list(found), now)) or {}
        return _reserved(found, taken, now)

    def pause(self, queues: Collection[str]) -> None:
        if self._scan.pause(queues):
            self._lookahead.forget()

    def wait(self, timeout: float) -> None:
        until = time.monotonic() + min(timeout, SCAN_INTERVAL)
        while (rest := until - time.monotonic()) > 0:
            if self._woken.wait(min(rest, self._poll_rest)):
                self._woken.clear()
                return
            before = time.monotonic()
            new = self._scan.has_new()
            self._polls.append(time.monotonic() - before)
            self._poll_rest = max(self._interval, RESTING_SHARE * min(self._polls))
            if new:
                return

    def wake(self) -> None:
        self._woken.set()

    def delete(self, jobs: Sequence[Job]) -> int:
        statements = [self._statements.delete(group) for group in by_fence(jobs)]
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
            with self._scan.restarting_after_faults():
                more, taken = self._write(partial(self._delete_and_reserve, done, list(found), now)) or (
                    0,
                    {},
                )
            jobs, done, deleted = _reserved(found, taken, now), (), deleted + more
        return lambda: (deleted, jobs)

    def release(self, job: Job, delay: float, *, tried: bool = True) -> None:
        """Deletes the row and adds a new one with the same payload at the end, as Laravel does."""
        receipt = receipt_of(job)
        if not receipt.is_marked:
            self._scan.fail_from(receipt.id, self._clock() + delay)
            return
        now = int(self._clock())
        copy = self._statements.copy(receipt, now=now, due_at=now + max(0, round(delay)), tried=tried)

        def move(connection: sa.Connection) -> int | None:
            connection.execute(copy)
            return connection.execute(self._statements.delete([receipt])).rowcount or None  # None: no copy

        self._write(move)

    def give_back(self, jobs: Sequence[Job]) -> None:
        self._lookahead.forget()
        self._scan.restart()
        marked = [job for job in jobs if receipt_of(job).is_marked]
        statements = [self._statements.give_back(group) for group in by_fence(marked)]
        self._write(lambda connection: sum(connection.execute(sql).rowcount for sql in statements))

    def leave(self, job: Job) -> None:
        self.give_back([job])
        self._scan.ignore(receipt_of(job).id, job.due_at)

    def skip(self, jobs: Collection[Job]) -> None:
        self._scan.skip((receipt_of(job).id, job.due_at) for job in jobs)

    def clear_skipped(self) -> None:
        self._scan.clear_skipped()

    def renew(self, jobs: Sequence[Job]) -> list[Job | None]:
        now = int(self._clock())

        def renewed(connection: sa.Connection) -> list[bool]:
            mine = [self._statements.renew(receipt_of(job), now) for job in jobs]
            return [connection.execute(one).rowcount == 1 for one in mine]

        still = self._write(renewed) or []
        return [
            replace(job, receipt=replace(receipt_of(job), reserved_at=now)) if ours else None
            for job, ours in zip(jobs, still, strict=True)
        ]

    def laravel_job_fields(self, job: Job) -> Mapping[str, object]:
        return {"driver": "database", "row": {"id": receipt_of(job).id, "attempts": job.attempts}}

    def mark_sent(self, jobs: Sequence[Job]) -> None:
        """Laravel's tables have no place for it. The row of a job that was sent goes with the next statement,
        so another process meets it only if this one dies between the two."""

    def was_sent(self, job: Job) -> bool:
        return False

    def depth(self) -> dict[str, Depth]:
        counts = self._statements.depth(self._queues, int(self._clock()))
        depths = dict.fromkeys(self._queues, Depth(pending=0, delayed=0, reserved=0))
        for index, pending, reserved, total, oldest_at in self._sql.aside(
            lambda connection: connection.execute(counts).all()
        ):
            depths[self._queues[index]] = Depth(
                pending=pending, delayed=total - pending - reserved, reserved=reserved, oldest_at=oldest_at
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

    def _look_ahead(self, limit: int) -> Sequence[tuple[int, Candidate]]:
        if self._lookahead.is_left:
            self._scan.restart()
        return list(self._scan.find(Portion(limit, alone=False), int(self._clock())).items())

    def _delete_and_reserve(
        self, done: Sequence[Job], ids: Sequence[int], now: int, connection: sa.Connection
    ) -> tuple[int, Mapping[int, int]]:
        """How many of these were still ours and are gone; id → attempts of those that are now ours."""
        gone = [self._statements.delete(group) for group in by_fence(done)]
        deleted = sum(connection.execute(sql).rowcount for sql in gone)
        return deleted, self._claim(connection, ids, now) or {}

    def _claim(self, connection: sa.Connection, ids: Sequence[int], now: int) -> dict[int, int] | None:
        """Id → attempts of those rows that were still free and are now ours."""
        free = self._statements.lock(ids, skip_locked=self._skips_locked(connection))
        claimed = {id: attempts for id, attempts in connection.execute(free, self._statements.times(now))}
        if not claimed:
            return None
        connection.execute(self._statements.reserve(list(claimed), now))
        return {id: attempts + (attempts < MOST_ATTEMPTS) for id, attempts in claimed.items()}

    def _skips_locked(self, connection: sa.Connection) -> bool:
        if self._skip_locked is None:
            self._skip_locked = self._sql.dialect != "sqlite" and skips_locked(
                connection.exec_driver_sql("SELECT version()").scalar_one()
            )
        return self._skip_locked


def _reserved(found: Mapping[int, Candidate], taken: Mapping[int, int], now: int) -> Sequence[Job]:
    return [
        row.job(taken[id], Reservation(id=id, attempts=taken[id], reserved_at=now))
        for id, row in found.items()
        if id in taken
    ]
