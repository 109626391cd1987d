"""Statistics in the app's own table `websockets_statistics_entries`, as laravel-websockets keeps them.

A row for each app and interval: the most connections at once, messages of clients, messages by the HTTP API,
each since the row before. Release 2 of laravel-websockets writes its columns with another s; the table that
is there decides. Source: laravel-websockets, database/migrations of 1.x and 2.x; Statistics/.
"""

from __future__ import annotations

import calendar
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from bridge.errors import ConfigurationError
from bridge.monitoring.counters import AppCounters, Counters
from bridge.monitoring.transaction import T, in_transaction

TABLE = "websockets_statistics_entries"
SHOWN = 120  # rows of an answer, as in laravel-websockets
RELEASE_1 = ("peak_connection_count", "websocket_message_count", "api_message_count")
RELEASE_2 = ("peak_connections_count", "websocket_messages_count", "api_messages_count")
ANSWERED = ("peak_connections", "websocket_message_count", "api_message_count")


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """One app's, of one interval."""

    peak: int
    websocket: int
    api: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Statistics of one app from `at` (unix seconds) on, for as long as the history's spans are."""

    at: float
    counts: Counts


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """Spans of `width` seconds between `start` and `end` (unix seconds), the oldest first.

    Where no row was written there is no span."""

    start: float
    end: float
    width: int
    spans: Sequence[Span]


class StatisticsWindow:
    """Takes an app's counts since it was last asked; on the loop, like the tally."""

    def __init__(self, tally: Counters) -> None:
        self._counters = tally
        self._before: dict[str, tuple[int, int]] = {}

    def take(self, app_id: str) -> Counts:
        app = self._counters.apps.get(app_id) or AppCounters()
        received, api = self._before.get(app_id, (0, 0))
        self._before[app_id] = (app.received, app.api_messages)
        peak, app.peak = max(app.peak, app.connections), app.connections
        return Counts(peak=peak, websocket=app.received - received, api=app.api_messages - api)


class StatisticsTable:
    """Any thread may use it. `prefix`: of the app's tables; `may_create`: it is made where it is missing.

    Every call may raise ServiceUnavailable, and ConfigurationError where there is no such table.
    """

    def __init__(
        self,
        engine: sa.Engine,
        *,
        prefix: str = "",
        timezone: ZoneInfo,
        may_create: bool = False,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._engine = engine
        self._name = prefix + TABLE
        self._timezone = timezone
        self._may_create = may_create
        self._clock = clock
        self._columns: tuple[str, str, str] | None = None

    @property
    def name(self) -> str:
        return self._name

    def create(self) -> bool:
        """Creates the table where it is missing; whether it was."""

        def work(connection: sa.Connection) -> bool:
            if sa.inspect(connection).has_table(self._name):
                return False
            self._make(connection)
            return True

        return bool(self._run(work))

    def add(self, rows: Mapping[str, Counts]) -> None:
        """Adds a row for each app id, all with the present time."""
        if not rows:
            return

        def work(connection: sa.Connection) -> None:
            table = self._table(connection)
            now = self._now()
            values = [
                {
                    "app_id": app_id,
                    **dict(zip(self._known(), (counts.peak, counts.websocket, counts.api), strict=True)),
                    "created_at": now,
                    "updated_at": now,
                }
                for app_id, counts in rows.items()
            ]
            if values:
                connection.execute(table.insert(), values)

        self._run(work)

    def latest(self, app_id: str) -> dict[str, dict[str, Sequence[Any]]]:
        """The newest rows, oldest first, as laravel-websockets answers them: counter → times and numbers."""

        def work(connection: sa.Connection) -> list[Any]:
            table = self._table(connection)
            newest = (
                sa.select(table.c.created_at, *(table.c[name] for name in self._known()))
                .where(table.c.app_id == app_id)
                .order_by(table.c.id.desc())
                .limit(SHOWN)
            )
            return list(reversed(connection.execute(newest).all()))

        rows = self._run(work)
        times = [str(row[0]) for row in rows]
        return {name: {"x": times, "y": [row[at] for row in rows]} for at, name in enumerate(ANSWERED, 1)}

    def history(self, app_id: str, seconds: int, width: int) -> History:
        """The last `seconds`: the highest peak and the sum of the messages of every `width` seconds.

        Spans begin at whole multiples of `width`, counted in local time. The database adds up, so that a
        month costs no more memory than an hour."""
        now = self._now()
        end = -(-calendar.timegm(now.timetuple()) // width) * width
        start = end - (-(-seconds // width)) * width
        since = _naive(start)

        def work(connection: sa.Connection) -> list[Any]:
            table = self._table(connection)
            peak, websocket, api = (table.c[name] for name in self._known())
            passed = _seconds_since(since, table.c.created_at, connection.dialect.name)
            rows = (
                sa.select(
                    sa.cast(sa.func.floor(passed / width), sa.Integer()).label("span"),
                    peak.label("peak"),
                    websocket.label("websocket"),
                    api.label("api"),
                )
                .where(table.c.app_id == app_id)
                .where(table.c.created_at >= since, table.c.created_at < _naive(end))
                .subquery()
            )
            added = sa.select(
                rows.c.span, sa.func.max(rows.c.peak), sa.func.sum(rows.c.websocket), sa.func.sum(rows.c.api)
            )
            return list(connection.execute(added.group_by(rows.c.span).order_by(rows.c.span)).all())

        def moment(seconds: float) -> float:
            return _naive(seconds).replace(tzinfo=self._timezone).timestamp()

        return History(
            start=moment(start),
            end=moment(end),
            width=width,
            spans=[
                Span(
                    at=moment(start + int(span) * width),
                    counts=Counts(peak=int(peak), websocket=int(websocket), api=int(api)),
                )
                for span, peak, websocket, api in self._run(work)
            ],
        )

    def clean(self, days: int, app_id: str | None = None) -> int:
        """Rows older than that are gone, of one app or of all; how many that were."""

        def work(connection: sa.Connection) -> int:
            table = self._table(connection)
            old = table.c.created_at < self._now() - timedelta(days=days)
            mine = sa.true() if app_id is None else table.c.app_id == app_id
            return connection.execute(table.delete().where(old, mine)).rowcount

        return int(self._run(work))

    def close(self) -> None:
        self._engine.dispose()

    def _run(self, work: Callable[[sa.Connection], T]) -> T:
        return in_transaction(self._engine, work, problem="the database of the statistics does not answer")

    def _known(self) -> tuple[str, str, str]:
        return self._columns or RELEASE_1

    def _table(self, connection: sa.Connection) -> sa.TableClause:
        """The table with the columns that it has; made where that is allowed."""
        if self._columns is None:
            inspector = sa.inspect(connection)
            if not inspector.has_table(self._name):
                self._create(connection)
                inspector = sa.inspect(connection)
            there = {column["name"] for column in inspector.get_columns(self._name)}
            fitting = [names for names in (RELEASE_1, RELEASE_2) if there.issuperset(names)]
            if not fitting:
                raise ConfigurationError(
                    f"the table {self._name}",
                    "has not laravel-websockets' columns",
                    remedy="rename it, or switch statistics off with BRIDGE_ENABLE_STATISTICS=false",
                )
            self._columns = fitting[0]
        return sa.table(
            self._name,
            sa.column("id", sa.Integer()),
            sa.column("app_id", sa.String()),
            *(sa.column(name, sa.Integer()) for name in self._columns),
            sa.column("created_at", sa.DateTime()),
            sa.column("updated_at", sa.DateTime()),
        )

    def _create(self, connection: sa.Connection) -> None:
        if not self._may_create:
            raise ConfigurationError(
                f"the table {self._name}",
                "is missing, so no statistics are kept",
                remedy="make it with `bridge statistics create`, or BRIDGE_CREATE_STATISTICS_TABLE=true",
            )
        self._make(connection)

    def _make(self, connection: sa.Connection) -> None:
        big = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
        table = sa.Table(
            self._name,
            sa.MetaData(),
            sa.Column("id", big, primary_key=True, autoincrement=True),
            sa.Column("app_id", sa.String(255), nullable=False),
            *(sa.Column(name, sa.Integer(), nullable=False) for name in RELEASE_1),
            sa.Column("created_at", sa.DateTime(), nullable=True),
            sa.Column("updated_at", sa.DateTime(), nullable=True),
        )
        table.create(connection)

    def _now(self) -> datetime:
        """Local time of the app, as Eloquent writes it: whole seconds, no zone."""
        return self._clock().astimezone(self._timezone).replace(tzinfo=None, microsecond=0)


def _naive(seconds: float) -> datetime:
    """Local time without a zone, counted as if it were UTC."""
    return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)


def _seconds_since(
    since: datetime, moment: sa.ColumnElement[datetime], dialect: str
) -> sa.ColumnElement[float]:
    """Seconds from `since` to the moment of a column, for the database to work out."""
    given = sa.bindparam("since_for_span", since, type_=sa.DateTime())
    match dialect:
        case "mysql" | "mariadb":
            return sa.func.timestampdiff(sa.text("second"), given, moment, type_=sa.Float())
        case "postgresql":
            return sa.cast(
                sa.extract("epoch", sa.cast(moment, sa.DateTime()) - sa.cast(given, sa.DateTime())),
                sa.Float(),
            )
        case _:
            at = sa.cast(sa.func.strftime("%s", moment), sa.Integer())
            return sa.cast(at - sa.cast(sa.func.strftime("%s", given), sa.Integer()), sa.Float())
