"""From a connection's facts to a client: SQLAlchemy engines, redis-py clients; every wait has its limit."""

from __future__ import annotations

import sqlite3
import ssl
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pymysql.converters
import redis
import sqlalchemy as sa
from sqlalchemy import event

from bridge.errors import ConfigurationError, ServiceUnavailable
from bridge.laravel.connections import DatabaseConnection, RedisConnection
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
    server gives it but for the limits above and its time zone, if the app names one. The password shows in no
    repr or message.
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
        event.listen(made, "do_connect", partial(_connect_postgres, timeout + MARGIN))
    return made


class _Answering(psycopg.Connection[Any]):
    """Waits for no answer longer than `patience` seconds; libpq alone waits for ever."""

    patience: float

    def wait(self, gen: Any, *arguments: Any, **named: Any) -> Any:
        try:
            return super().wait(_bounded(gen, self.patience), *arguments, **named)
        except _Silence:
            self.close()  # what comes later on it is no answer to anything
            raise psycopg.OperationalError(f"no answer within {self.patience:g} s") from None


class _Silence(Exception):
    pass


def _bounded(gen: Any, seconds: float) -> Generator[Any, Any, Any]:
    """psycopg's generator of one exchange with the server, ended by _Silence when its time is up."""
    until = time.monotonic() + seconds
    try:
        wanted = next(gen)
        while True:
            ready = yield wanted
            if not ready and time.monotonic() > until:
                raise _Silence
            wanted = gen.send(ready)
    except StopIteration as end:
        return end.value


def _connect_postgres(
    patience: float, dialect: Any, record: Any, arguments: Any, named: Any
) -> psycopg.Connection[Any]:
    connection = _Answering.connect(*arguments, **named)
    connection.patience = patience
    return connection


def redis_client(facts: RedisConnection, *, socket_timeout: float = 8.0) -> redis.Redis:
    """A client on the app's Redis, answering in bytes; nothing is connected yet. The caller closes it.

    `socket_timeout` in seconds must exceed the longest blocking command. Keys are not prefixed by it.
    """
    where: dict[str, Any] = {"host": facts.host, "port": facts.port, "ssl": facts.tls}
    if facts.unix_socket:
        where = {"unix_socket_path": facts.unix_socket}
    return redis.Redis(
        db=facts.database,
        username=facts.username,
        password=facts.password.reveal() if facts.password else None,
        decode_responses=False,
        socket_connect_timeout=CONNECT_TIMEOUT,
        socket_timeout=socket_timeout,
        socket_keepalive=True,
        health_check_interval=30,
        **where,
    )


@contextmanager
def answering(facts: DatabaseConnection | RedisConnection) -> Iterator[None]:
    """Turns the clients' exceptions within into ours: ServiceUnavailable, or ConfigurationError if the server
    answers but does not let us in. Neither carries the password, nor the statement's values."""
    try:
        yield
    except (sa.exc.SQLAlchemyError, redis.RedisError) as error:
        cause = getattr(error, "orig", None) or error
        said = " ".join(str(cause).split())
        place = facts.unix_socket or f"{facts.host}:{facts.port}"
        if isinstance(facts, DatabaseConnection) and facts.driver == "sqlite":
            place = facts.database
        if isinstance(cause, redis.AuthenticationError) or is_denied(cause):
            raise ConfigurationError(
                f"the connection {facts.name}",
                f"is not let in by {place}, {said}",
                mend="correct its user, password and database name",
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
        arguments["init_command"] = f"set time_zone = '{pymysql.converters.escape_string(facts.timezone)}'"
    if facts.unix_socket:
        arguments["unix_socket"] = facts.unix_socket
    if facts.ssl_ca:
        arguments["ssl"] = _authority(facts)
    return _url("mysql+pymysql", facts), {"connect_args": arguments}, None


def _postgres(facts: DatabaseConnection, timeout: int) -> _Dialect:
    def prepare(connection: Any, record: Any) -> None:
        """Set by hand: a pooler before the server refuses them among the start-up options."""
        settings = {"statement_timeout": f"{timeout}s"}
        if facts.search_path:
            settings["search_path"] = ", ".join(
                '"' + one.replace('"', '""') + '"' for one in facts.search_path
            )
        if facts.timezone:
            settings["TimeZone"] = facts.timezone
        autocommit, connection.autocommit = connection.autocommit, True
        with connection.cursor() as cursor:
            for name, value in settings.items():
                cursor.execute("SELECT set_config(%s, %s, false)", (name, value))
        connection.autocommit = autocommit

    arguments = {
        "connect_timeout": CONNECT_TIMEOUT,
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
            mend="set DB_DATABASE to a file",
        )
    path = Path(facts.database)
    if not path.is_file():
        raise ConfigurationError(
            f"database.connections.{facts.name}.database",
            f"names no file: {path}",
            mend="set DB_DATABASE to the app's SQLite file, or make it with `php artisan migrate`",
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


def _authority(facts: DatabaseConnection) -> ssl.SSLContext:
    """The authority must have signed; the name is not compared, as hosted servers often carry another."""
    try:
        context = ssl.create_default_context(cafile=facts.ssl_ca)
    except (OSError, ssl.SSLError):
        raise ConfigurationError(
            "MYSQL_ATTR_SSL_CA", f"is no certificate: {facts.ssl_ca}", mend="correct the path"
        ) from None
    context.check_hostname = False
    return context
