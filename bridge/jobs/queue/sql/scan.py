"""What waits in the `jobs` table: free rows whose jobs are ours. Nothing is locked or changed here.

A look goes on where the last one ended (`_ScanPosition`), and once a second it begins with the first row
(delayed jobs, expired reservations, rows whose transaction took long). So the rows of others, and those that
are gone and not yet cleared away, cost no more than a look a second.
"""

from __future__ import annotations

import collections
import contextlib
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Any

import sqlalchemy as sa

from bridge.jobs.queue.memory import Memory
from bridge.jobs.queue.portion import Portion
from bridge.jobs.queue.queue import Job
from bridge.jobs.queue.selection import Selection
from bridge.jobs.queue.sql.connection import SqlConnection
from bridge.jobs.queue.sql.rows import Candidate
from bridge.jobs.queue.sql.statements import LAST, NEWEST, Statements
from bridge.jobs.queue.sql.unread_rows import UnreadRows

SCAN_INTERVAL = 1.0  # seconds between looks at all rows
RESTING_SHARE = 10  # a look at all rows that takes t seconds is followed by 10 t without one
LONGEST_REST = 60.0  # seconds without one at most: whatever a look took, delayed jobs are waited for
SPAN = 250  # ids of one statement of a look, where a server might read all rows to sort them
FOREIGN_LIMIT = 10_000  # ids remembered of rows that look like ours and are not


class Scan:
    """For one thread. Every call may raise ServiceUnavailable.

    queues  plain names, the most urgent first
    clock   unix seconds
    memory  what is too large for it is not read
    """

    def __init__(
        self,
        sql: SqlConnection,
        statements: Statements,
        selection: Selection,
        queues: Sequence[str],
        clock: Callable[[], float],
        memory: Memory,
    ) -> None:
        self._sql = sql
        self._statements = statements
        self._selection = selection
        self._queues = tuple(queues)
        self._active = self._queues  # but for those that are paused
        self._clock = clock
        self._unread = UnreadRows(sql, statements, selection, self._queues, memory, self.ignore)
        self._poll = statements.poll(self._queues)
        # Id and available_at: a table that was emptied gives its ids again, as MySQL 5.7 may at a restart.
        self._foreign: set[tuple[int, float | None]] = set()
        self._skipped: set[tuple[int, float | None]] = set()
        self._positions = {queue: _ScanPosition() for queue in self._queues}
        self._polled: int | None = None  # the first id that the last poll has found
        # What PostgreSQL knows of a queue's table is mostly old: a backlog may have come since.
        self._span = SPAN if sql.dialect == "postgresql" else LAST
        self._version: object = None  # of SQLite's file

    def find(self, portion: Portion, now: int) -> dict[int, Candidate]:
        """Free jobs of ours by id, in order of service, as many as fit into the portion.

        Raises MemoryError where it does not suffice; the next call passes over what was too large."""
        try:
            return self._sql.run(lambda connection: self._find(connection, portion, now))
        except MemoryError:
            if self._sql.dialect == "sqlite":  # which must read a payload to compare it
                self._sql.run(
                    lambda connection: self._unread.find_not_comparable(connection, self._queues, now)
                )
            raise

    def job_to_fail(self, now: int) -> Job | None:
        """One that is not reserved, since SQLite could not write its row, and that fails unread."""
        if not self._unread.has_to_fail(now):
            return None
        return self._sql.run(lambda connection: self._unread.job_to_fail(connection, self._active, now))

    def has_new(self) -> bool:
        """Whether one of the newest rows is to be looked at."""
        return self._sql.run(self._has_new)

    def restart(self) -> None:
        """Begins the next look with the first row."""
        for position in self._positions.values():
            position.forget()

    @contextlib.contextmanager
    def restarting_after_faults(self) -> Iterator[None]:
        """What was found within is looked for anew where it could not be claimed."""
        try:
            yield
        except BaseException:
            self.restart()
            raise

    def pause(self, queues: Collection[str]) -> bool:
        """Finds nothing of these queues from now on. Whether that is new."""
        active = tuple(queue for queue in self._queues if queue not in queues)
        if active == self._active:
            return False
        self._active = active
        self.restart()
        self._poll = self._statements.poll(active)
        return True

    def ignore(self, id: int, due_at: float | None) -> None:
        """Does not find this row any more."""
        self._foreign.add((id, due_at))
        self._unread.forget(id)

    def fail_from(self, id: int, moment: float) -> None:
        """Keeps `job_to_fail` from finding this row before so many unix seconds."""
        self._unread.fail_from(id, moment)

    def skip(self, rows: Iterable[tuple[int, float | None]]) -> None:
        """Does not find these rows (id, available_at) until `clear_skipped`."""
        self._skipped.update(rows)

    def clear_skipped(self) -> None:
        if self._skipped:
            self._skipped.clear()
            self.restart()

    def _find(self, connection: sa.Connection, portion: Portion, now: int) -> dict[int, Candidate]:
        if self._sql.dialect == "sqlite":
            self._version = _data_version(connection)  # before the rows are read: no change goes unseen
            self._unread.measure(connection)
        found: dict[int, Candidate] = {}
        polled, self._polled = self._polled, None
        for queue in self._active:
            if portion.left > 0:
                self._find_in(connection, queue, portion, now, polled, found)
        return found

    def _find_in(
        self,
        connection: sa.Connection,
        queue: str,
        portion: Portion,
        now: int,
        polled: int | None,
        found: dict[int, Candidate],
    ) -> None:
        """Adds those of one queue to `found`; `polled`: the first id that a poll has found."""
        position = self._positions[queue]
        began, at = time.monotonic(), self._clock()
        is_whole = position.is_due(at)
        top = connection.execute(self._statements.top).scalar() or 0 if is_whole else position.after
        after = 0 if is_whole else max(0, min(top - NEWEST, top if polled is None else polled - 1))
        is_end = False
        while (wanted := portion.left) > 0 and not is_end:
            page, last = self._statements.page, LAST
            if not is_whole:
                page, last = self._statements.page_behind, min(after + self._span, LAST)
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
        following = (
            None if last == LAST else connection.execute(self._statements.next, {"after": last}).scalar()
        )
        return None if following is None else following - 1

    def _takes_row(
        self,
        connection: sa.Connection,
        queue: str,
        row: sa.Row[Any],
        portion: Portion,
        found: dict[int, Candidate],
    ) -> bool:
        """Whether the row was looked at: it is in `found`, or not for us. If not, the portion is full."""
        id, text, attempts, due_at, size = tuple(row)
        if (id, due_at) in self._foreign or (id, due_at) in self._skipped:
            return True
        if text is None:  # it is large: only if it comes next, and then by itself
            if found:
                portion.close()
                return False
            if self._unread.is_never_read(id, due_at, size):
                candidate = self._unread.candidate(connection, queue, id, attempts, due_at, size)
            elif self._unread.waits(connection, id, size):
                return True
            else:
                with self._unread.noting_too_large(id, due_at):
                    text = connection.execute(self._statements.payload, {"id": id}).scalar()
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

    def _candidate(
        self, queue: str, id: int, text: str | bytes, attempts: int, due_at: int
    ) -> Candidate | None:
        payload = text.encode() if isinstance(text, str) else bytes(text)
        document = self._selection.document(queue, payload)
        if document is None:
            if len(self._foreign) >= FOREIGN_LIMIT:
                self._foreign.clear()
            self._foreign.add((id, due_at))
            return None
        return Candidate(queue=queue, payload=payload, document=document, attempts=attempts, due_at=due_at)

    def _has_new(self, connection: sa.Connection) -> bool:
        if self._sql.dialect == "sqlite":
            version = _data_version(connection)
            if version == self._version:
                return False
            self._version = version
            self._unread.measure(connection)
        rows = connection.execute(self._poll, self._given(int(self._clock())))
        new = [row[0] for row in rows if tuple(row) not in self._foreign and tuple(row) not in self._skipped]
        self._polled = min(new, default=None)
        return bool(new)

    def _given(self, now: int) -> dict[str, object]:
        """The parameters of statements that look at payloads."""
        given: dict[str, object] = {**self._statements.times(now)}
        return given | ({"unreadable": self._unread.not_compared} if self._sql.dialect == "sqlite" else {})


class _ScanPosition:
    """Where a look for free rows of a queue goes on: those up to `after` were not free, or not ours."""

    __slots__ = ("_looked_at", "_looks", "_rest", "after")

    def __init__(self) -> None:
        self.after = 0
        # the quickest of the last looks is what the server needs; the rest is a machine that stood still
        self._looks: collections.deque[float] = collections.deque(maxlen=8)
        self._looked_at = float("-inf")  # unix seconds; when all rows were looked at
        self._rest = 0.0

    def is_due(self, now: float) -> bool:
        """Whether all rows are to be looked at again."""
        return abs(now - self._looked_at) >= self._rest

    def rest(self, now: float, seconds: float) -> None:
        """Notes that a look at all rows began `now`, and how long it took."""
        self._looks.append(seconds)
        self._looked_at = now
        self._rest = min(max(SCAN_INTERVAL, RESTING_SHARE * min(self._looks)), LONGEST_REST)

    def forget(self) -> None:
        self._looked_at = float("-inf")


def _data_version(connection: sa.Connection) -> object:
    """Changes when another connection has changed the SQLite file."""
    return connection.exec_driver_sql("PRAGMA data_version").scalar_one()
