"""Where jobs go that cannot be broadcast: in the form that `queue:failed` and `queue:retry` read.

The drivers are those of Laravel's `queue.failed.driver`, all behind `FailedJobs`; `file` is in
`failed_jobs_file.py`, and `dynamodb` is not among them.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Protocol
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, IntegrityError

from bridge.errors import ConfigurationError, Refused, ServiceUnavailable
from bridge.jobs.queue.sql.connection import SqlConnection

PAGE = 200  # rows read at once
COPY_ROW = Path(__file__).with_name("sql") / "copy_row.py"
COPY_TIMEOUT = 30.0  # seconds that it may take
COPIES = 3  # that are tried where the memory may lack for a while


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreserved:
    """A row that could not be reserved: what it shows, and the `at` at which it is once it is copied."""

    attempts: int
    reserved_at: int | None
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredPayload:
    """A payload that stands in a row of a `jobs` table: the database, the table, its id and bytes.

    unreserved  None: the row is reserved for who copies it
    """

    database: sa.URL
    table: sa.TableClause
    id: int
    size: int
    unreserved: Unreserved | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedJob:
    """What is kept of a job that was given up.

    connection_name  the queue connection (`database`, `redis`), not the database's
    queue            plain name
    payload          as it stood in the queue
    exception        the text a person reads: class, message, where
    uuid             identity of the job
    failed_at        with a time zone
    unread           where the payload stands instead, if the memory does not suffice to read it
    """

    connection_name: str
    queue: str
    payload: bytes
    exception: str
    uuid: str
    failed_at: datetime
    unread: StoredPayload | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptJob:
    """An entry as it is kept, whoever put it there.

    id         what `queue:retry` takes: the uuid, or the row's number for the driver `database`
    failed_at  local time of the app, `2024-05-17 14:00:00`
    number     another one for each time that a job is buried; 0 where Laravel buried it into a file
    """

    id: str
    connection_name: str
    queue: str
    payload: bytes
    exception: str
    failed_at: str
    number: int = 0


class FailedJobs(Protocol):
    """Used by one thread at a time; every call may raise ServiceUnavailable or ConfigurationError."""

    def check(self) -> None:
        """Returns once a failed job could be kept. ServiceUnavailable or ConfigurationError otherwise."""
        ...

    def record(self, job: FailedJob) -> None:
        """Keeps the job; recording the same uuid again replaces the entry.

        An unread payload is copied by the database that holds it; Refused where that is not this one. Its
        row is then reserved, if it was not; where it is no longer as it was seen, nothing is kept."""
        ...

    def kept(self) -> Iterator[KeptJob]:
        """Every entry, the newest first."""
        ...

    def find(self, id: str) -> KeptJob | None:
        """The entry with this id."""
        ...

    def forget(self, id: str) -> bool:
        """Removes the entry; whether it was there."""
        ...

    def forget_retried(self, job: KeptJob) -> None:
        """Deletes the entry as it was read; that of the same job which has failed again meanwhile stays."""
        ...

    def flush(self, before: datetime | None) -> None:
        """Deletes the entries that failed at that moment or earlier, for None all of them."""
        ...

    def close(self) -> None: ...


class NoFailedJobs:
    """Driver `null`: failed jobs are forgotten, as the app wants it."""

    def check(self) -> None:
        pass

    def record(self, job: FailedJob) -> None:
        pass

    def kept(self) -> Iterator[KeptJob]:
        return iter(())

    def find(self, id: str) -> KeptJob | None:
        return None

    def forget(self, id: str) -> bool:
        return False

    def forget_retried(self, job: KeptJob) -> None:
        pass

    def flush(self, before: datetime | None) -> None:
        pass

    def close(self) -> None:
        pass


_STORED = ("connection", "queue", "payload", "exception", "failed_at")


class DatabaseFailedJobs:
    """Drivers `database-uuids` and, without the column `uuid`, `database`."""

    def __init__(
        self, engine: sa.Engine, *, timezone: ZoneInfo, table: str = "failed_jobs", with_uuid: bool = True
    ) -> None:
        self._sql = SqlConnection(engine)
        self._timezone = timezone
        self._too_large: Counter[int] = Counter()  # by id in its table: how often no copy had the memory
        schema, _, name = table.rpartition(".")
        self._with_uuid = with_uuid
        columns = ("id", *_STORED, *(["uuid"] if with_uuid else []))
        self._table = sa.table(name, *(sa.column(column) for column in columns), schema=schema or None)
        self._id = self._table.c.uuid if with_uuid else self._table.c.id
        # One statement for all: of each that differs in its text, the engine keeps some hundreds, with the
        # payload that they were made for.
        self._stored: dict[str, sa.ColumnElement[Any]] = {
            column: sa.bindparam(column, type_=sa.Text()) for column in columns if column != "id"
        }
        self._stored["failed_at"] = self._moment("failed_at")
        self._insert = self._table.insert().values(self._stored)

    def check(self) -> None:
        self._sql.check()
        columns = sa.select(*self._table.c).where(sa.false())
        try:
            self._sql.run(lambda connection: connection.execute(columns).all())
        except ServiceUnavailable as error:
            if isinstance(error.__cause__, DBAPIError) and not error.__cause__.connection_invalidated:
                raise ConfigurationError(
                    f"the table {self._table.fullname}",
                    "is missing or does not fit `queue.failed.driver`",
                    remedy="php artisan queue:failed-table (make:queue-failed-table from Laravel 11)"
                    " and php artisan migrate",
                ) from error
            raise

    def record(self, job: FailedJob) -> None:
        if job.unread is not None and job.unread.database != self._sql.url:
            raise not_copied(job.unread, "failed jobs are not kept in its own database, which could copy it")
        insert = self._insert if job.unread is None else self._copying(job.unread)
        values = {
            "connection": job.connection_name,
            "queue": job.queue,
            **({"payload": job.payload.decode(errors="replace")} if job.unread is None else {}),
            "exception": storable(job.exception),
            "failed_at": local_time(job.failed_at, self._timezone),
        }
        if self._with_uuid:
            values["uuid"] = job.uuid
        if job.unread is not None and self._sql.dialect == "sqlite":
            self._copy_apart(job.unread, values)
            return

        def write(connection: sa.Connection) -> None:
            if self._with_uuid and self._holds(connection, job.uuid):
                connection.execute(sa.delete(self._table).where(self._table.c.uuid == job.uuid))
            try:
                connection.execute(insert, values)
            except IntegrityError:  # uuid is unique: did another bury it, or is something else wrong?
                if not self._with_uuid or not self._holds(connection, job.uuid):
                    raise

        self._sql.write(write)

    def _copy_apart(self, unread: StoredPayload, values: dict[str, str]) -> None:
        """SQLite copies in the memory of its process, so that is another one, which the kernel ends before
        this one. It also reserves the row."""
        given = {
            "file": self._sql.url.database,
            "from": unread.table.fullname,
            "id": unread.id,
            "into": self._table.fullname,
            "values": values,
            "unreserved": None if unread.unreserved is None else asdict(unread.unreserved),
        }
        command = [sys.executable, "-I", str(COPY_ROW)]
        try:
            done = subprocess.run(
                command, input=json.dumps(given), capture_output=True, text=True, timeout=COPY_TIMEOUT
            )
        except subprocess.TimeoutExpired:
            why = f"it takes longer than {COPY_TIMEOUT:g} s"
        except OSError as problem:
            why = problem.strerror or type(problem).__name__
        else:
            if not done.returncode:
                return
            why = _why(done)
            if done.returncode == -signal.SIGKILL or why == "MemoryError":
                self._too_large[unread.id] += 1
                if self._too_large[unread.id] >= COPIES:
                    raise not_copied(unread, f"{COPIES} times also for a process that copies it: {why}")
        raise ServiceUnavailable(
            f"a payload of {unread.size >> 20} MiB could not be copied to failed_jobs: {why}"
        )

    def _copying(self, unread: StoredPayload) -> sa.Insert:
        given = {name: value for name, value in self._stored.items() if name != "payload"}
        row = unread.table.c
        copy = sa.select(row.payload, *given.values()).where(row.id == unread.id)
        return self._table.insert().from_select(["payload", *given], copy)

    def kept(self) -> Iterator[KeptJob]:
        row, below = self._table.c, None
        while True:
            page = self._select().order_by(row.id.desc()).limit(PAGE)
            if below is not None:
                page = page.where(row.id < below)
            found = self._sql.run(partial(_all, page))
            yield from map(_kept, found)
            if len(found) < PAGE:
                return
            below = found[-1].number

    def find(self, id: str) -> KeptJob | None:
        if (key := self._key(id)) is None:
            return None
        one = self._select().where(self._id == key).limit(1)
        found = self._sql.run(lambda connection: connection.execute(one).first())
        return None if found is None else _kept(found)

    def forget(self, id: str) -> bool:
        if (key := self._key(id)) is None:
            return False
        delete = sa.delete(self._table).where(self._id == key)
        return bool(self._sql.write(lambda connection: connection.execute(delete).rowcount))

    def forget_retried(self, job: KeptJob) -> None:
        delete = sa.delete(self._table).where(self._table.c.id == job.number)
        self._sql.write(lambda connection: connection.execute(delete))

    def flush(self, before: datetime | None) -> None:
        delete = sa.delete(self._table)
        if before is not None:
            delete = delete.where(self._table.c.failed_at <= self._moment("before"))
        given = {} if before is None else {"before": local_time(before, self._timezone)}
        self._sql.write(lambda connection: connection.execute(delete, given))

    def close(self) -> None:
        self._sql.close()

    def _moment(self, name: str) -> sa.ColumnElement[Any]:
        """A local time in a statement, of the column's type: only PostgreSQL takes no text for it."""
        text = sa.bindparam(name, type_=sa.Text())
        return sa.cast(text, sa.TIMESTAMP) if self._sql.dialect == "postgresql" else text

    def _select(self) -> sa.Select[tuple[Any, ...]]:
        row = self._table.c
        texts: list[sa.ColumnElement[Any]] = [self._id, row.connection, row.queue, row.payload, row.exception]
        failed_at: sa.ColumnElement[Any] = sa.cast(row.failed_at, sa.String(32))
        if self._sql.dialect == "sqlite":
            # it may hold any bytes as text, and its driver would raise over what is not UTF-8
            texts = [sa.cast(text, sa.LargeBinary) for text in texts]
            failed_at = sa.cast(row.failed_at, sa.LargeBinary)
        return sa.select(row.id.label("number"), *texts, failed_at)

    def _key(self, id: str) -> str | int | None:
        """The id as its column has it; None where no row can have it."""
        if self._with_uuid:
            return id
        return int(id) if id.isascii() and id.isdecimal() and len(id) < 19 else None

    def _holds(self, connection: sa.Connection, uuid: str) -> bool:
        known = sa.select(sa.literal(1)).select_from(self._table).where(self._table.c.uuid == uuid)
        return connection.execute(known).first() is not None


def _all(select: sa.Select[tuple[Any, ...]], connection: sa.Connection) -> Sequence[sa.Row[Any]]:
    return connection.execute(select).all()


def _kept(row: sa.Row[Any]) -> KeptJob:
    number, id, connection, queue, payload, exception, failed_at = tuple(row)
    return KeptJob(
        id=_text(id),
        connection_name=_text(connection),
        queue=_text(queue),
        payload=payload.encode() if isinstance(payload, str) else bytes(payload),
        exception=_text(exception),
        failed_at=_text(failed_at)[:19],
        number=number,
    )


def _text(value: object) -> str:
    """A column as text, whatever bytes it holds."""
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def not_copied(unread: StoredPayload, why: str) -> Refused:
    """Why a payload that cannot be read stays in the queue."""
    return Refused(
        f"a payload of {unread.size >> 20} MiB is too large for the memory, and {why};"
        " give bridge more memory, or delete the job"
    )


def _why(ended: subprocess.CompletedProcess[str]) -> str:
    """The class of its error, or its own words; the text of an error may quote data."""
    if ended.returncode < 0:
        return f"its process was ended by {signal.Signals(-ended.returncode).name}"
    return ended.stderr.rstrip().rpartition("\n")[2].partition(":")[0][:100]


def storable(text: str) -> str:
    """Valid UTF-8 without NUL, which PostgreSQL refuses."""
    return text.encode(errors="replace").decode().replace("\0", "")


def local_time(moment: datetime, timezone: ZoneInfo) -> str:
    """The moment as Laravel stores it."""
    return moment.astimezone(timezone).strftime("%Y-%m-%d %H:%M:%S")
