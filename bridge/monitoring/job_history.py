"""History of jobs in a table of bridge's own, `bridge_job_history`, in the app's database.

It is kept where the table is there; `bridge statistics create` makes it. A row counts the jobs of one class,
queue and rung that ended in one minute, or in one hour. Every bridge adds rows for its own minutes; one of
them adds up the hours, and deletes minutes after a day and hours after a month. So there are at most
`MOST_KEYS` rows a minute, and nothing has to be read before it is written.

    span 60    from `at` (unix seconds), a row of each bridge
    span 3600  what the minutes of an hour came to, once it is over
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from bridge.monitoring.job_counts import LENGTHS, LONGEST_NAME, JobKey, JobRow
from bridge.monitoring.transaction import T, in_transaction

TABLE = "bridge_job_history"
MINUTE, HOUR = 60, 3_600  # seconds
KEEP_MINUTES = 25 * HOUR  # a day, and the hour that is not over
KEEP_HOURS = 31 * 24 * HOUR
LATE = 3 * HOUR  # a minute may be written so late, and still count in its hour
_COUNTS = {f"{outcome}_count": outcome for outcome in ("done", "nothing", "failed", "released")}
_WAITS = tuple(f"wait_{at}" for at in range(LENGTHS))
_RUNS = tuple(f"run_{at}" for at in range(LENGTHS))
_NUMBERS = (*_COUNTS, *_WAITS, *_RUNS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Jobs:
    """Jobs that ended between `start` and `end` (unix seconds): by key, and by spans of `width` seconds.

    `spans`: the beginning of each → its jobs; where none ended, there is no span."""

    start: int
    end: int
    width: int
    rows: Mapping[JobKey, JobRow]
    spans: Mapping[int, JobRow]


class JobHistoryTable:
    """Any thread may use it. Calls raise ServiceUnavailable where the database does not do it."""

    def __init__(
        self, engine: sa.Engine, *, prefix: str = "", clock: Callable[[], float] = time.time
    ) -> None:
        self._engine = engine
        self._clock = clock
        big = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
        self._table = sa.Table(
            prefix + TABLE,
            sa.MetaData(),
            sa.Column("id", big, primary_key=True, autoincrement=True),
            sa.Column("span", sa.Integer(), nullable=False),
            sa.Column("at", sa.BigInteger(), nullable=False),
            sa.Column("event", sa.String(LONGEST_NAME), nullable=False),
            sa.Column("queue", sa.String(LONGEST_NAME), nullable=False),
            sa.Column("rung", sa.String(16), nullable=False),
            *(sa.Column(name, sa.Integer(), nullable=False) for name in _NUMBERS),
            sa.Index(f"{prefix}{TABLE}_span_at", "span", "at"),
        )
        self._is_there = False

    @property
    def name(self) -> str:
        return self._table.name

    def is_there(self) -> bool:
        """Whether the table is, so that history is kept."""
        if not self._is_there:
            self._is_there = bool(
                self._run(lambda connection: sa.inspect(connection).has_table(self._table.name))
            )
        return self._is_there

    def create(self) -> bool:
        """Creates the table where it is missing; whether it was."""
        if self.is_there():
            return False
        self._run(self._table.create)
        return True

    def add(self, minutes: Sequence[tuple[int, Mapping[JobKey, JobRow]]]) -> None:
        """Adds jobs, by the beginning of the minute (unix seconds) in which they ended."""
        rows = [
            {
                "span": MINUTE,
                "at": at,
                **key._asdict(),
                **{name: getattr(row, outcome) for name, outcome in _COUNTS.items()},
                **dict(zip(_WAITS, row.waits, strict=True)),
                **dict(zip(_RUNS, row.runs, strict=True)),
            }
            for at, jobs in minutes
            for key, row in jobs.items()
        ]
        if rows:
            self._run(lambda connection: connection.execute(self._table.insert(), rows))

    def tidy(self) -> None:
        """Hours that are over are added up, and what is too old is gone. For one bridge at a time."""
        now = int(self._clock())
        table = self._table.c

        def work(connection: sa.Connection) -> None:
            old = sa.or_(
                sa.and_(table.span == MINUTE, table.at < now - KEEP_MINUTES),
                sa.and_(table.span == HOUR, table.at < now - KEEP_HOURS),
            )
            begun = sa.select(table.at - table.at % HOUR).where(table.span == MINUTE).distinct()
            there = sa.select(table.at).where(table.span == HOUR).distinct()
            known = set(connection.scalars(there))
            for hour in sorted(connection.scalars(begun)):
                is_over, is_fresh = hour + HOUR <= now, hour > now - HOUR - LATE
                if is_over and (is_fresh or hour not in known):
                    self._add_up(connection, hour)
            connection.execute(self._table.delete().where(old))

        self._run(work)

    def _add_up(self, connection: sa.Connection, hour: int) -> None:
        table = self._table.c
        key = (table.event, table.queue, table.rung)
        minutes = (
            sa.select(*key, *(sa.func.sum(table[name]) for name in _NUMBERS))
            .where(table.span == MINUTE, table.at >= hour, table.at < hour + HOUR)
            .group_by(*key)
        )
        rows = [
            {
                "span": HOUR,
                "at": hour,
                **dict(zip(("event", "queue", "rung"), row[:3], strict=True)),
                **{name: int(number) for name, number in zip(_NUMBERS, row[3:], strict=True)},
            }
            for row in connection.execute(minutes)
        ]
        connection.execute(self._table.delete().where(table.span == HOUR, table.at == hour))
        if rows:
            connection.execute(self._table.insert(), rows)

    def jobs(self, start: int, end: int, width: int, *, event: str = "", queue: str = "") -> Jobs:
        """From `start` to `end` in spans of `width` seconds, which are whole minutes, or whole hours where
        `start` is longer ago than minutes are kept. `event` and `queue`: spans of these only."""
        table = self._table.c
        is_long = start < self._clock() - KEEP_MINUTES

        def work(connection: sa.Connection) -> Jobs:
            wanted = sa.and_(table.span == MINUTE, table.at >= start, table.at < end)
            if is_long:
                last = connection.scalar(sa.select(sa.func.max(table.at)).where(table.span == HOUR))
                added_up = 0 if last is None else last + HOUR
                hours = sa.and_(table.span == HOUR, table.at >= start, table.at < end)
                wanted = sa.or_(hours, sa.and_(wanted, table.at >= added_up))
            sums = [sa.func.sum(table[name]) for name in _NUMBERS]
            key = (table.event, table.queue, table.rung)
            rows = connection.execute(sa.select(*key, *sums).where(wanted).group_by(*key))
            by_key = {JobKey(*row[:3]): _row(row[3:]) for row in rows}
            if event:
                wanted = sa.and_(wanted, table.event == event, table.queue == queue)
            numbers = [table[name] for name in _NUMBERS]
            begun = (table.at - (table.at - start) % width).label("begun")  # once: it is grouped by
            inner = sa.select(begun, *numbers).where(wanted).subquery()
            sums = [sa.func.sum(inner.c[name]) for name in _NUMBERS]
            spans = connection.execute(sa.select(inner.c.begun, *sums).group_by(inner.c.begun))
            return Jobs(
                start=start,
                end=end,
                width=width,
                rows=by_key,
                spans={int(row[0]): _row(row[1:]) for row in spans},
            )

        found: Jobs = self._run(work)
        return found

    def close(self) -> None:
        self._engine.dispose()

    def _run(self, work: Callable[[sa.Connection], T]) -> T:
        return in_transaction(
            self._engine,
            work,
            problem="the database does not keep or tell the history of jobs",
            remedy="see DB_* in .env, and whether its user may write",
        )


def _row(numbers: Sequence[Any]) -> JobRow:
    done, nothing, failed, released, *lengths = map(int, numbers)
    return JobRow(done, nothing, failed, released, lengths[:LENGTHS], lengths[LENGTHS:])
