"""The SQL of the `jobs` table, for every server: which rows are free, which are ours, and how they change."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from bridge.jobs.queue.portion import LARGE
from bridge.jobs.queue.selection import Selection
from bridge.jobs.queue.sql.rows import Reservation

NEWEST = 100  # rows a poll looks at, and ids before the end of the last look: their rows may appear late
LAST = (1 << 63) - 1  # no id is greater
MOST_ATTEMPTS = 255  # the column is an unsigned tinyint
UUID_WITHIN = 200  # characters of a payload in which Laravel puts its uuid
SURE_WITHIN = 1 << 16  # bytes of a payload in which it shows whose it is

# Servers that can step over locked rows, by the version they report; the first line that fits decides.
# Laravel's own table is `DatabaseQueue::getLockForPopping`.
SKIP_LOCKED: tuple[tuple[str, tuple[int, ...]], ...] = (
    (r"(\d+)\.(\d+)\S*(?:vitess|planetscale)", (19, 0)),
    (r"(\d+)\.(\d+)\.\d+-mariadb", (10, 6)),  # not the 5.5.5- that may stand before
    (r"postgresql (\d+)(?:\.(\d+))?", (9, 5)),
    (r"(\d+)\.(\d+)\.(\d+)", (8, 0, 1)),  # MySQL
)


class Statements:
    """The statements of one driver. Those that ask which rows are free take `times` as parameters.

    jobs         see `jobs_table`
    dialect      `mysql` (MariaDB too), `postgresql`, `sqlite`
    retry_after  seconds after which a reservation has expired
    """

    def __init__(self, jobs: sa.TableClause, dialect: str, selection: Selection, retry_after: int) -> None:
        row = jobs.c
        by_id = row.id == sa.bindparam("id")
        self.jobs = jobs
        self.page = _page(jobs, dialect, selection)
        self.page_behind = _page(jobs, dialect, selection, behind=True)
        self.payload = sa.select(_payload(jobs, dialect)).where(by_id)
        self.start = sa.select(sa.func.substr(row.payload, 1, SURE_WITHIN)).where(by_id)
        self.surely = _surely(jobs, dialect, selection)
        self.top = sa.select(sa.func.max(row.id))
        self.next = sa.select(sa.func.min(row.id)).where(row.id > sa.bindparam("after"))
        self.nothing = sa.select(*row).where(sa.false())
        self._dialect = dialect
        self._selection = selection
        self._retry_after = retry_after

    def times(self, now: int) -> Mapping[str, int]:
        return {"now": now, "expired": now - self._retry_after}

    def poll(self, queues: Sequence[str]) -> sa.Select[Any]:
        """Ids of waiting rows that look like ours, among the newest, and since when they are due."""
        return _poll(self.jobs, self._dialect, queues, self._selection)

    def lock(self, ids: Sequence[int], *, skip_locked: bool) -> sa.Select[Any]:
        """Id and attempts of those rows that are still free; locked from now on."""
        row = self.jobs.c
        free = sa.select(row.id, row.attempts).where(row.id.in_(ids), is_free(self.jobs))
        if self._dialect != "sqlite":  # there, the transaction itself is the lock
            free = free.with_for_update(skip_locked=skip_locked)
        # without the hint a small table is read as a whole, and its other rows are locked in passing
        free = free.with_hint(self.jobs, "FORCE INDEX (PRIMARY)", "mysql")
        return free.with_hint(self.jobs, "FORCE INDEX (PRIMARY)", "mariadb")

    def reserve(self, ids: Sequence[int], now: int) -> sa.Update:
        row = self.jobs.c
        more = sa.case((row.attempts < MOST_ATTEMPTS, row.attempts + 1), else_=row.attempts)
        return self.jobs.update().where(row.id.in_(ids)).values(reserved_at=now, attempts=more)

    def delete(self, receipts: Sequence[Reservation]) -> sa.Delete:
        return self.jobs.delete().where(self._still(receipts))

    def give_back(self, receipts: Sequence[Reservation]) -> sa.Update:
        free = {"reserved_at": None, "attempts": self.jobs.c.attempts - 1}
        return self.jobs.update().where(self._still(receipts)).values(free)

    def renew(self, receipt: Reservation, now: int) -> sa.Update:
        return self.jobs.update().values(reserved_at=now).where(self._still([receipt]))

    def copy(self, receipt: Reservation, *, now: int, due_at: int, tried: bool) -> sa.Insert:
        """Adds a row with the same payload, not reserved."""
        row = self.jobs.c
        number = sa.BigInteger()
        copy = sa.select(
            row.queue,
            row.payload,
            row.attempts if tried else row.attempts - 1,
            sa.null(),
            sa.literal(due_at, number),
            sa.literal(now, number),
        ).where(self._still([receipt]))
        columns = ["queue", "payload", "attempts", "reserved_at", "available_at", "created_at"]
        return self.jobs.insert().from_select(columns, copy)

    def depth(self, queues: Sequence[str], now: int) -> sa.Select[Any]:
        """By queue: its index, rows that wait, that are reserved, all; since when the oldest waits."""
        row = self.jobs.c
        is_waiting = row.reserved_at.is_(None) & (row.available_at <= now)
        waiting = sa.func.count(sa.case((is_waiting, 1)))
        due = sa.func.min(sa.case((is_waiting, row.available_at)))
        # by the configured name, which the database may take for equal to another spelling, as in MySQL
        number = sa.case(*((row.queue == queue, index) for index, queue in enumerate(queues)))
        reserved = sa.func.count(row.reserved_at)
        return (
            sa.select(number.label("number"), waiting, reserved, sa.func.count(), due)
            .where(row.queue.in_(queues))
            .group_by("number")
        )

    def _still(self, receipts: Sequence[Reservation]) -> sa.ColumnElement[bool]:
        """True for rows that are reserved as these receipts say; they agree in all but the id."""
        row = self.jobs.c
        fence = receipts[0]
        reserved = row.reserved_at == fence.reserved_at
        if fence.copied_at is not None:
            reserved = sa.or_(reserved, row.reserved_at == fence.copied_at)
        return sa.and_(
            row.id.in_([receipt.id for receipt in receipts]), row.attempts == fence.attempts, reserved
        )


def skips_locked(version: str) -> bool:
    """Whether a server that reports this `version()` knows SKIP LOCKED."""
    for pattern, least in SKIP_LOCKED:
        if match := re.search(pattern, version.lower()):
            return tuple(int(part) for part in match.groups(default="0")) >= least
    return False


def jobs_table(name: str) -> sa.TableClause:
    """`name`: with its prefix; `schema.table` is understood."""
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
            is_free(jobs),
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


def is_free(jobs: sa.TableClause) -> sa.ColumnElement[bool]:
    """Waiting, or reserved so long ago that the reservation has expired."""
    return sa.or_(_is_waiting(jobs), jobs.c.reserved_at <= sa.bindparam("expired"))
