"""Where jobs go that cannot be broadcast: in the form that `queue:failed` and `queue:retry` read.

The drivers are those of Laravel's `queue.failed.driver`, all behind `FailedJobs`;
`dynamodb` is not among them.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, IntegrityError

from bridge.errors import ConfigurationError, ServiceUnavailable
from bridge.queues.sql import SqlConnection

FILE_LIMIT = 100  # entries; `queue.failed.limit`


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedJob:
    """What is kept of a job that was given up.

    connection_name  the queue connection (`database`, `redis`), not the database's
    queue            plain name
    payload          as it stood in the queue
    exception        the text a person reads: class, message, where
    uuid             identity of the job
    failed_at        with a time zone
    """

    connection_name: str
    queue: str
    payload: bytes
    exception: str
    uuid: str
    failed_at: datetime


class FailedJobs(Protocol):
    """Used by one thread at a time."""

    def check(self) -> None:
        """Returns once a failed job could be kept. ServiceUnavailable or ConfigurationError otherwise."""
        ...

    def bury(self, job: FailedJob) -> None:
        """The job is kept; burying the same uuid again changes nothing. May raise ServiceUnavailable."""
        ...

    def close(self) -> None: ...


class NoFailedJobs:
    """Driver `null`: failed jobs are forgotten, as the app wants it."""

    def check(self) -> None:
        pass

    def bury(self, job: FailedJob) -> None:
        pass

    def close(self) -> None:
        pass


class DatabaseFailedJobs:
    """Drivers `database-uuids` and, without the column `uuid`, `database`."""

    def __init__(
        self, engine: sa.Engine, *, timezone: ZoneInfo, table: str = "failed_jobs", with_uuid: bool = True
    ) -> None:
        self._sql = SqlConnection(engine)
        self._timezone = timezone
        schema, _, name = table.rpartition(".")
        self._with_uuid = with_uuid
        columns = (
            "connection",
            "queue",
            "payload",
            "exception",
            "failed_at",
            *(["uuid"] if with_uuid else []),
        )
        self._table = sa.table(name, *(sa.column(column) for column in columns), schema=schema or None)

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
                    mend="php artisan queue:failed-table (make:queue-failed-table from Laravel 11)"
                    " and php artisan migrate",
                ) from error
            raise

    def bury(self, job: FailedJob) -> None:
        # a text literal takes the column's own type everywhere, a bound string does not in PostgreSQL
        failed_at: sa.ColumnElement[str] = sa.literal_column(f"'{_local(job, self._timezone)}'")
        values: dict[str, str | sa.ColumnElement[str]] = {
            "connection": job.connection_name,
            "queue": job.queue,
            "payload": job.payload.decode(errors="replace"),
            "exception": _storable(job.exception),
            "failed_at": failed_at,
        }
        if self._with_uuid:
            values["uuid"] = job.uuid
        insert = self._table.insert().values(values)

        def write(connection: sa.Connection) -> None:
            try:
                connection.execute(insert)
            except IntegrityError:  # uuid is unique: is it here already, or is something else wrong?
                if not self._with_uuid or not self._holds(connection, job.uuid):
                    raise

        self._sql.run(write)

    def close(self) -> None:
        self._sql.close()

    def _holds(self, connection: sa.Connection, uuid: str) -> bool:
        known = sa.select(sa.literal(1)).select_from(self._table).where(self._table.c.uuid == uuid)
        return connection.execute(known).first() is not None


class FileFailedJobs:
    """Driver `file` (Laravel 10.10.1 and later): a JSON list, newest first. Source: `FileFailedJobProvider`.

    Other bridges are waited for; PHP processes lock through the app's file cache, which is not looked at.
    """

    def __init__(self, path: Path, *, timezone: ZoneInfo, limit: int = FILE_LIMIT) -> None:
        self._path = path
        self._timezone = timezone
        self._limit = limit

    def check(self) -> None:
        existing = self._path if self._path.exists() else self._path.parent
        if not os.access(existing, os.W_OK) or not os.access(self._path.parent, os.W_OK):
            raise ConfigurationError(
                "queue.failed.path", f"cannot be written: {self._path}", mend="see its owner"
            )

    def bury(self, job: FailedJob) -> None:
        entry = {
            "id": job.uuid,
            "connection": job.connection_name,
            "queue": job.queue,
            "payload": job.payload.decode(errors="replace"),
            "exception": _storable(job.exception),
            "failed_at": _local(job, self._timezone),
            "failed_at_timestamp": int(job.failed_at.timestamp()),
        }
        try:
            with _locked(self._path.parent):
                entries = json.loads(self._path.read_text()) if self._path.exists() else []
                if not any(known["id"] == job.uuid for known in entries):
                    _replace(self._path, json.dumps([entry, *entries][: self._limit], indent=4))
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise ServiceUnavailable(
                f"{self._path} cannot take a failed job: {type(error).__name__}"
            ) from error

    def close(self) -> None:
        pass


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _replace(path: Path, text: str) -> None:
    """The file has this content, the rights it had, and never half of either."""
    new = path.with_name(path.name + ".new")
    new.write_text(text)
    if path.exists():
        shutil.copymode(path, new)
        owner = path.stat()
        with contextlib.suppress(PermissionError):
            os.chown(new, owner.st_uid, owner.st_gid)
    new.replace(path)


def _storable(text: str) -> str:
    """Valid UTF-8 without NUL, which PostgreSQL refuses."""
    return text.encode(errors="replace").decode().replace("\0", "")


def _local(job: FailedJob, timezone: ZoneInfo) -> str:
    return job.failed_at.astimezone(timezone).strftime("%Y-%m-%d %H:%M:%S")
