"""From a database connection's facts to an SQLAlchemy engine; every wait has its limit."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import redis
import sqlalchemy as sa
from redis.exceptions import RedisClusterException
from sqlalchemy import event

from bridge.errors import ConfigurationError, ServiceUnavailable
from bridge.laravel.connections import DatabaseConnection
from bridge.laravel.redis_connections import RedisConnection
from bridge.laravel.tls import explain_tls_error
from bridge.phpeval.laravel.eloquent.connection import is_denied

CONNECT_TIMEOUT = 5  # seconds until a server must have let us in
STATEMENT_TIMEOUT = 30  # seconds until an answer must have come
QUEUE_TIMEOUT = 8  # the same for the queue, whose statements are short
MARGIN = 1.0  # seconds that the server has longer to say itself that a statement took too long
POOL_SIZE = 4  # connections kept; as many again in a rush


def engine(facts: DatabaseConnection, *, timeout: int = STATEMENT_TIMEOUT) -> sa.Engine:
    """An engine on the app's database; nothing is connected yet. The caller disposes of it.

    `timeout`: seconds until an answer must have come, also where the connection has fallen silent.

    Raises ConfigurationError if an SQLite file is missing: it is never created. The session is as the
    server gives it but for the limits above, its schemas and its time zone, if the app names them. Behind a
    pooler (pgbouncer, …) the next transaction may come to another session of the server, and others to this
    one: there, each transaction sets them for itself. The password shows in no repr or message.
    """
    url, arguments, prepare = _DIALECTS[facts.driver](facts, timeout)
    made = sa.create_engine(
        url,
        pool_size=POOL_SIZE,
        max_overflow=POOL_SIZE,
        pool_pre_ping=True,
        hide_parameters=True,
        **arguments,
    )
    if prepare:
        event.listen(made, "connect", prepare)
    if made.dialect.driver == "psycopg":
        from bridge.laravel.postgres import connect

        event.listen(made, "do_connect", partial(connect, timeout + MARGIN))
        event.listen(made, "begin", _set_locally)
    return made


LOCAL = "bridge_local_settings"
"""In the `info` of a connection through a pooler: the statement that each transaction has to begin with. It
does so by itself, but for one that is opened by hand on a connection in autocommit."""


def _set_locally(connection: sa.Connection) -> None:
    local = connection.info.get(LOCAL)
    if local and connection.get_execution_options().get("isolation_level") != "AUTOCOMMIT":
        connection.exec_driver_sql(local)


@contextmanager
def answering(facts: DatabaseConnection | RedisConnection) -> Iterator[None]:
    """Turns the clients' exceptions within into ours: ServiceUnavailable, or ConfigurationError if the server
    answers but does not let us in. Neither carries the password, nor the statement's values."""
    try:
        yield
    except (sa.exc.SQLAlchemyError, redis.RedisError, RedisClusterException) as error:
        cause = getattr(error, "orig", None) or error
        said = " ".join(str(cause).split())
        place = facts.place
        if isinstance(cause, redis.AuthenticationError) or is_denied(cause):
            raise ConfigurationError(
                f"the connection {facts.name}",
                f"is not let in by {place}, {said}",
                remedy="correct its user, password and database name",
            ) from None
        if fault := explain_tls_error(said):
            raise ServiceUnavailable(
                f"the connection {facts.name} to {place} has no TLS, {fault}, {said}: {facts.tls_mend}"
            ) from None
        raise ServiceUnavailable(f"the connection {facts.name} to {place} does not answer: {said}") from None


_Prepare = Callable[[Any, Any], None]
_Dialect = tuple[sa.URL, dict[str, Any], _Prepare | None]


def _mysql(facts: DatabaseConnection, timeout: int) -> _Dialect:
    arguments: dict[str, Any] = {
        "charset": facts.charset or "utf8mb4",
        "connect_timeout": CONNECT_TIMEOUT,
        "read_timeout": timeout,
        "write_timeout": timeout,
    }
    if facts.timezone:
        from pymysql.converters import escape_string  # takes 9 MB, which others spare

        arguments["init_command"] = f"set time_zone = '{escape_string(facts.timezone)}'"
    if facts.unix_socket:
        arguments["unix_socket"] = facts.unix_socket
    if facts.tls is not None:
        arguments["ssl"] = facts.tls.context()
    return _url("mysql+pymysql", facts), {"connect_args": arguments}, None


def _postgres(facts: DatabaseConnection, timeout: int) -> _Dialect:
    from bridge.laravel.postgres import set_all  # takes 12 MB, which others spare

    settings = {"statement_timeout": f"{timeout}s"}
    if facts.search_path:
        settings["search_path"] = ", ".join('"' + one.replace('"', '""') + '"' for one in facts.search_path)
    if facts.timezone:
        settings["TimeZone"] = facts.timezone

    def prepare(connection: Any, record: Any) -> None:
        """Set by hand: a pooler refuses them among the start-up options."""
        try:
            autocommit, connection.autocommit = connection.autocommit, True
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_backend_pid()")
                if cursor.fetchone()[0] == connection.info.backend_pid:
                    cursor.execute(set_all(settings, local=False))
                else:  # who greeted us was not the server
                    # % doubled: SQLAlchemy's driver reads the text as one with placeholders
                    local = set_all(settings, local=True).as_string(connection)
                    record.info[LOCAL] = local.replace("%", "%%")
            connection.autocommit = autocommit
        except BaseException:
            connection.close()  # not every SQLAlchemy does
            raise

    arguments = {
        "connect_timeout": CONNECT_TIMEOUT,
        "client_encoding": "utf8",  # as Laravel sets it; a database in SQL_ASCII names none
        "prepare_threshold": None,
        "keepalives_idle": 5,
        "keepalives_interval": 2,
        "keepalives_count": 2,
        "tcp_user_timeout": 9_000,  # milliseconds
        **facts.ssl,
    }
    return _url("postgresql+psycopg", facts), {"connect_args": arguments}, prepare


def _sqlite(facts: DatabaseConnection, timeout: int) -> _Dialect:
    if facts.database == ":memory:":
        raise ConfigurationError(
            f"database.connections.{facts.name}.database",
            "is in memory, which no other process can see",
            remedy="set DB_DATABASE to a file",
        )
    path = Path(facts.database)
    if not path.is_file():
        raise ConfigurationError(
            f"database.connections.{facts.name}.database",
            f"names no file: {path}",
            remedy="set DB_DATABASE to the app's SQLite file, or make it with `php artisan migrate`",
        )

    def connect() -> sqlite3.Connection:
        # mode=rw: a file that was removed meanwhile is not made again, empty
        address = f"file:{quote(str(path))}?mode=rw"
        return sqlite3.connect(address, uri=True, timeout=CONNECT_TIMEOUT, check_same_thread=False)

    return sa.URL.create("sqlite", database=str(path)), {"creator": connect, "poolclass": sa.QueuePool}, None


_DIALECTS: dict[str, Callable[[DatabaseConnection, int], _Dialect]] = {
    "mysql": _mysql,
    "mariadb": _mysql,
    "pgsql": _postgres,
    "sqlite": _sqlite,
}


def _url(driver: str, facts: DatabaseConnection) -> sa.URL:
    return sa.URL.create(
        driver,
        username=facts.username,
        password=facts.password.reveal() if facts.password else None,
        host=facts.host,
        port=facts.port,
        database=facts.database,
    )
