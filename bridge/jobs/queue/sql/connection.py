"""SqlConnection: one connection to MySQL, MariaDB, PostgreSQL or SQLite that survives the server's faults.

It is kept open between calls and in autocommit, so that a poll is one message to the server and one back;
transactions are opened by hand. It is detached from the engine's pool: what is set on it stays on it.
"""

from __future__ import annotations

import contextlib
import random
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal, TypeVar

from sqlalchemy import URL, Connection, Engine
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from bridge.errors import ConfigurationError, ServiceUnavailable
from bridge.laravel.database import LOCAL
from bridge.laravel.tls import explain_tls_error

RETRIES = 5  # of a statement or transaction that met a deadlock or a lock
TLS_MEND = (
    "correct sslmode, sslrootcert, sslcert, sslkey (PostgreSQL) or PDO::MYSQL_ATTR_SSL_… of the connection in"
    " config/database.php"
)
LOCK_WAIT = 5  # seconds until a wait for somebody else's lock is given up
ALONE_STEP = 0.004  # seconds between two tries to be alone in a SQLite file, at most
BUSY_TIMEOUT = f"PRAGMA busy_timeout = {LOCK_WAIT * 1000}"

OPENING: dict[str, tuple[str, ...]] = {
    "mysql": (
        "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",  # no gap locks: other jobs stay free
        f"SET SESSION innodb_lock_wait_timeout = {LOCK_WAIT}",
    ),
    "postgresql": (),
    "sqlite": (BUSY_TIMEOUT,),
}
BEGIN: dict[str, str] = {
    "mysql": "START TRANSACTION",
    "postgresql": "BEGIN ISOLATION LEVEL READ COMMITTED",
    "sqlite": "BEGIN EXCLUSIVE",  # see `_begin_alone`
}

# What an error says, by the driver's own code: MySQL errno, SQLSTATE, primary result code of SQLite.
BUSY = frozenset({1020, 1205, 1213, "40001", "40P01", "55P03", 5, 6})
LOST = frozenset({1053, 1927, 2006, 2013, "57P01", "57P02", "57P03"})
DENIED = frozenset({1044, 1045, 1049, 1698})
DENIED_TEXT = re.compile(
    r"authentication failed|pg_hba|FATAL: .*does not exist"
)  # PostgreSQL gives no code yet

Result = TypeVar("Result")


class SqlConnection:
    """Runs pieces of work; used by one thread at a time, except `aside`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.dialect = _family(engine)
        self._connection: Connection | None = None

    @property
    def url(self) -> URL:
        return self._engine.url

    def run(self, work: Callable[[Connection], Result]) -> Result:
        """What `work` returns; each of its statements stands alone.

        Work that met a deadlock or lost its connection is done again, so it must bear being repeated.
        Raises ServiceUnavailable when that does not help."""
        return self._retried(lambda: self._alone(work))

    def write(self, work: Callable[[Connection], Result]) -> Result:
        """Like `run`, for what changes something; in SQLite all of it at once."""
        if self.dialect != "sqlite":
            return self.run(work)
        results: list[Result] = []

        def whole(connection: Connection) -> bool:
            results.append(work(connection))
            return True

        self.transaction(whole)
        return results[-1]

    def transaction(self, work: Callable[[Connection], Result | None]) -> Result | None:
        """What `work` returns, committed; rolled back if it returns None or raises. Else like `run`."""

        def attempt() -> Result | None:
            connection = self._open()
            if self.dialect == "sqlite":
                _begin_alone(connection)
            else:
                connection.exec_driver_sql(BEGIN[self.dialect])
            try:
                if local := connection.info.get(LOCAL):
                    connection.exec_driver_sql(local)
                result = work(connection)
                connection.exec_driver_sql("ROLLBACK" if result is None else "COMMIT")
            except BaseException:
                self._roll_back(connection)
                raise
            return result

        return self._retried(attempt)

    def _alone(self, work: Callable[[Connection], Result]) -> Result:
        """`work` in autocommit; through a pooler in a transaction all the same, which has our settings."""
        connection = self._open()
        local = connection.info.get(LOCAL)
        if not local:
            return work(connection)
        connection.exec_driver_sql(BEGIN[self.dialect])
        try:
            connection.exec_driver_sql(local)
            result = work(connection)
            connection.exec_driver_sql("COMMIT")
        except BaseException:
            self._roll_back(connection)
            raise
        return result

    def aside(self, work: Callable[[Connection], Result]) -> Result:
        """What `work` returns, on a connection of the engine's pool. Any thread may call it."""
        try:
            with self._engine.connect() as connection:
                return work(connection)
        except SQLAlchemyError as error:
            raise self._unavailable(error) from error

    def check(self) -> None:
        """Returns once the server has let us in. ServiceUnavailable or ConfigurationError otherwise."""
        file = self._engine.url.database
        if self.dialect == "sqlite" and file and file != ":memory:" and not Path(file).is_file():
            raise ConfigurationError(
                "DB_DATABASE", f"names no file: {file}", remedy="create it, or correct the path"
            )
        try:
            self.run(lambda connection: connection.exec_driver_sql("SELECT 1").scalar())
        except ServiceUnavailable as error:
            cause = error.__cause__
            if isinstance(cause, DBAPIError) and (fault := explain_tls_error(str(cause.orig))):
                raise ConfigurationError("TLS to the database", f"fails, {fault}: {error}") from error
            if isinstance(cause, DBAPIError) and (
                _code(cause) in DENIED or DENIED_TEXT.search(str(cause.orig))
            ):
                raise ConfigurationError(
                    "the database's user, password or name",
                    f"is not accepted: {error}",
                    remedy="see DB_* in .env",
                ) from error
            raise

    def close(self) -> None:
        """Closes the connection; a later call opens another."""
        self._drop()

    def _open(self) -> Connection:
        if self._connection is None:
            connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
            try:
                connection.detach()
                for statement in OPENING[self.dialect]:
                    connection.exec_driver_sql(statement)
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        return self._connection

    def _roll_back(self, connection: Connection) -> None:
        try:
            connection.exec_driver_sql("ROLLBACK")
        except SQLAlchemyError:
            self._drop()  # the server rolls back what its client leaves open

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(Exception):  # it may be broken in any way; it only has to go
                driver = connection.connection.dbapi_connection
                if driver is not None:
                    driver.close()
            connection.invalidate()

    def _retried(self, attempt: Callable[[], Result]) -> Result:
        fresh = self._connection is None
        for tries in range(1, RETRIES + 1):
            try:
                return attempt()
            except MemoryError:
                self._drop()  # in the middle of an answer
                raise
            except SQLAlchemyError as error:
                kind = _kind(error)
                if kind == "busy" and tries < RETRIES:
                    time.sleep(random.uniform(0, 0.02 * 2**tries))  # noqa: S311 - two workers must not meet again
                    continue
                self._drop()
                if kind != "lost" or fresh:
                    raise self._unavailable(error) from error
                fresh = True  # a connection that had died while idle: once more on a new one
        raise AssertionError("unreachable")

    def _unavailable(self, error: SQLAlchemyError) -> ServiceUnavailable:
        where = self._engine.url.render_as_string(hide_password=True)
        reason = _reason(error)
        remedy = "start it, or correct DB_HOST and DB_PORT in .env"
        if fault := explain_tls_error(reason):
            reason, remedy = f"TLS fails, {fault}, {reason}", TLS_MEND
        return ServiceUnavailable(f"the database {where} cannot serve: {reason}: {remedy}")


def _begin_alone(connection: Connection) -> None:
    """Begins a transaction that writes, at a moment when nobody reads.

    Another worker's transaction that has read and wants to write, as Laravel's do that delete a job, is ended
    by SQLite at once if a writer waits for it. So none of ours waits: each try ends as soon as it is not
    alone, and comes again. A try itself locks for microseconds, since SQLite gives no way to look first: a
    transaction that wants to write just then ends, as it may beside another of Laravel's workers."""
    deadline = time.monotonic() + LOCK_WAIT
    connection.exec_driver_sql("PRAGMA busy_timeout = 0")
    try:
        while True:
            try:
                connection.exec_driver_sql(BEGIN["sqlite"])
                return
            except DBAPIError as error:
                if _kind(error) != "busy" or time.monotonic() >= deadline:
                    raise
            time.sleep(random.uniform(0.5, 1) * ALONE_STEP)  # noqa: S311 - two workers must not meet again
    finally:
        connection.exec_driver_sql(BUSY_TIMEOUT)


def _family(engine: Engine) -> str:
    name = "mysql" if engine.dialect.name == "mariadb" else engine.dialect.name
    if name not in BEGIN:
        raise ConfigurationError(
            "DB_CONNECTION", f"names a {name} database", remedy="use MySQL, PostgreSQL or SQLite"
        )
    return name


def _code(error: SQLAlchemyError) -> int | str | None:
    original = error.orig if isinstance(error, DBAPIError) else None
    if isinstance(sqlite := getattr(original, "sqlite_errorcode", None), int):
        return sqlite & 0xFF
    arguments = getattr(original, "args", ())
    if arguments and isinstance(arguments[0], int):  # MySQL; newer drivers give a vaguer SQLSTATE beside it
        return arguments[0]
    return getattr(original, "sqlstate", None)


def _kind(error: SQLAlchemyError) -> Literal["busy", "lost", "other"]:
    code = _code(error)
    if (isinstance(error, DBAPIError) and error.connection_invalidated) or code in LOST:
        return "lost"
    return "busy" if code in BUSY else "other"


def _reason(error: SQLAlchemyError) -> str:
    """One line without statement or parameters: those may hold a payload."""
    if not isinstance(error, DBAPIError):
        return type(error).__name__
    name = type(error.orig).__name__
    if name not in ("OperationalError", "InterfaceError"):  # others may quote the row
        return f"{name} {_code(error) or ''}".rstrip()
    return re.sub(r"\s+", " ", f"{name} {error.orig}")[:200]
