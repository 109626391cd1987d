"""One database of the app, with every value as PHP's PDO gives it to Eloquent.

Its connection stays open between queries and is never in a transaction: each query sees what is committed
when it is asked. Source: spec BroadcastEvent section 9.3 (types by driver on PHP 8.2).
"""

from __future__ import annotations

import contextlib
import decimal
import math
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.pool import PoolProxiedConnection

from bridge.errors import Refused, ServiceUnavailable
from bridge.phpeval.laravel.eloquent.sql_text import Dialect, Query, statement
from bridge.phpeval.php.runtime.values import INT_MAX, INT_MIN, CustomSerialized, PhpArray, Value, array_key

# Values that PDO gives as text; without a decoder pymysql does the same.
_MYSQL_TEXT = ("DECIMAL", "NEWDECIMAL", "TIMESTAMP", "DATE", "TIME", "DATETIME", "NEWDATE")
_MYSQL_UNSURE = ("BIT", "YEAR")
_POSTGRES_TEXT = (
    "numeric", "date", "timestamp", "timestamptz", "time", "timetz", "interval", "json",
    "jsonb", "uuid", "inet", "cidr",
)  # fmt: skip
FLOAT_COLUMN = "a float column of PostgreSQL"  # text before PHP 8.4, a float from then on
_ZEROFILL = 64  # flag of a MySQL column
_MISSING = (1046, 1054, 1146)  # MySQL: a database, a column, a table


class Source:
    """`engine` is closed with it; `prefix` stands before every table name."""

    def __init__(self, name: str, engine: sa.Engine, prefix: str) -> None:
        self._name = name
        self._engine = engine
        self._driver = _DRIVERS[engine.dialect.name]
        self._dialect = Dialect(self._driver.quote, self._driver.place, prefix)
        self._idle: deque[PoolProxiedConnection] = deque()  # one for each thread that ever asked at once
        dbapi = engine.dialect.loaded_dbapi
        self._errors: tuple[type[Exception], ...] = (dbapi.Error, sa.exc.SQLAlchemyError)
        self._down = (dbapi.OperationalError, dbapi.InterfaceError, sa.exc.SQLAlchemyError)

    def select(self, query: Query) -> list[PhpArray]:
        """The rows, column → value. Raises ServiceUnavailable, or Refused where the query itself fails."""
        text, values = statement(query, self._dialect)
        try:
            return self._retrying(text, values)
        except UnicodeError:
            raise Refused(f"a key in the table {query.table} that is no UTF-8") from None
        except self._errors as error:
            if isinstance(error, self._down) and not (_is_missing(error) or is_denied(error)):
                raise ServiceUnavailable(f"the database connection {self._name} does not answer") from None
            raise Refused(f"the table {query.table} of the connection {self._name} cannot be read") from None

    def close(self) -> None:
        while self._idle:
            with contextlib.suppress(*self._errors):
                self._idle.pop().close()
        self._engine.dispose()

    def _retrying(self, text: str, values: tuple[object, ...]) -> list[PhpArray]:
        """Where the server has closed the connection meanwhile, once more on a new one, as Laravel does."""
        try:
            kept = self._idle.pop()
        except IndexError:
            return self._ask(self._open(), text, values)
        try:
            return self._ask(kept, text, values)
        except self._errors:
            if kept.is_valid:
                raise
        return self._ask(self._open(), text, values)

    def _open(self) -> PoolProxiedConnection:
        connection = self._engine.raw_connection()
        connection.detach()  # ours from now on, no longer the pool's
        self._driver.prepare(connection.dbapi_connection)
        return connection

    def _ask(
        self, connection: PoolProxiedConnection, text: str, values: tuple[object, ...]
    ) -> list[PhpArray]:
        try:
            cursor = connection.cursor()
            cursor.execute(text, values)
            names = tuple(column[0] for column in cursor.description or ())
            rows = cursor.fetchall()
            filled = self._driver.filled(cursor)
            cursor.close()
        except BaseException as error:
            if self._is_lost(connection, error):
                with contextlib.suppress(*self._errors):
                    connection.close()
            else:
                self._idle.append(connection)
            raise
        self._idle.append(connection)
        keys = _keys(names)
        plain, convert = self._driver.plain, self._driver.convert
        found = [
            PhpArray(
                zip(
                    keys,
                    row
                    if plain.issuperset(map(type, row))
                    else [v if type(v) in plain else convert(v) for v in row],
                    strict=True,
                )
            )
            for row in rows
        ]
        for at, width in filled.items():
            for row in found:
                row[keys[at]] = _filled(row[keys[at]], width)
        return found

    def _is_lost(self, connection: PoolProxiedConnection, error: BaseException) -> bool:
        """Whether the connection cannot be used again."""
        if not isinstance(error, self._errors):
            return True
        return self._engine.dialect.is_disconnect(error, connection, None)  # type: ignore[arg-type]


@lru_cache(maxsize=1024)
def _keys(names: tuple[str, ...]) -> tuple[bytes, ...]:
    """Columns as a row holds them. Refused where one would be a key that is no text."""
    keys = tuple(name.encode() for name in names)
    for key in keys:
        if isinstance(array_key(key), int):
            raise Refused(f"a table with a column {key.decode()}")
    return keys


def _is_missing(error: Exception) -> bool:
    """A table or column that does not exist, or no database at all: waiting does not help."""
    code = error.args[0] if error.args else None
    return code in _MISSING or "no such" in str(code)


def _filled(value: Value, width: int) -> Value:
    """An integer with zeros in front, as the server shows it; decimals come as such texts anyway."""
    if isinstance(value, float):
        return CustomSerialized("a ZEROFILL column of floats", b"")
    return b"%0*d" % (width, value) if isinstance(value, int) else value


def _convert(value: object) -> Value:
    match value:
        case int():
            return value if INT_MIN <= value <= INT_MAX else str(value).encode()
        case str():
            return value.encode("utf-8", "surrogateescape")
        case decimal.Decimal():
            return str(value).encode()
        case CustomSerialized():
            return value
    return CustomSerialized(f"a {type(value).__name__} column", b"")


def _prepare_mysql(connection: Any) -> None:
    from pymysql.constants import FIELD_TYPE  # its client is there by now; who has another database spares it

    decoders = dict(connection.decoders)
    for kind in _MYSQL_TEXT:
        decoders.pop(getattr(FIELD_TYPE, kind), None)
    for kind in _MYSQL_UNSURE:
        decoders[getattr(FIELD_TYPE, kind)] = lambda text: CustomSerialized("a BIT or YEAR column", b"")
    connection.decoders = decoders
    connection.use_unicode = False
    connection.autocommit(True)


def _prepare_postgres(connection: Any) -> None:
    from psycopg.types.string import TextLoader  # as above

    from bridge.phpeval.laravel.eloquent.float_columns import FloatLoader

    for name in _POSTGRES_TEXT:
        connection.adapters.register_loader(name, TextLoader)
    for name in ("float4", "float8"):
        connection.adapters.register_loader(name, FloatLoader)
    connection.autocommit = True


def _zero_filled(cursor: Any) -> dict[int, int]:
    """Place of a ZEROFILL column of integers → its width."""
    fields = getattr(cursor._result, "fields", ())  # no public name for what the server says of a column
    return {at: field.length for at, field in enumerate(fields) if field.flags & _ZEROFILL}


def float_of(value: Value) -> Value:
    """A value of a float column as a float, where it is a number; anything else as it is."""
    if not isinstance(value, CustomSerialized) or value.class_name != FLOAT_COLUMN:
        return value
    number = float(value.text)
    return number if math.isfinite(number) else value


def read_by(
    row: PhpArray, php_version: tuple[int, int] | None, is_float: Callable[[bytes], bool]
) -> PhpArray:
    """The row as that PHP reads it, changed in place. Where the version is not known, only a cast to float
    (`is_float` of the column) can read a float column; others are refused."""
    for name, value in row.items():
        if type(value) is not CustomSerialized or value.class_name != FLOAT_COLUMN or isinstance(name, int):
            continue
        if php_version is not None:
            row[name] = float_of(value) if php_version >= (8, 4) else value.text
        elif not is_float(name):
            raise Refused(f"{FLOAT_COLUMN}, which PHP reads as text before 8.4 and as a number from then on,")
    return row


def _prepare_sqlite(connection: Any) -> None:
    connection.text_factory = bytes
    connection.isolation_level = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Driver:
    """plain    types of values that PDO gives alike
    convert  any other value
    filled   of a cursor that was executed, see `_zero_filled`
    prepare  makes of a connection one that gives such values and is in no transaction
    """

    quote: str
    place: str
    plain: frozenset[type]
    prepare: Callable[[Any], None]
    convert: Callable[[object], Value] = _convert
    filled: Callable[[Any], Mapping[int, int]] = lambda cursor: {}


_ALIKE = {type(None), bool, float}
_MYSQL = _Driver(
    quote="`", place="%s", plain=frozenset({*_ALIKE, bytes}), prepare=_prepare_mysql, filled=_zero_filled
)
_DRIVERS: Mapping[str, _Driver] = {
    "mysql": _MYSQL,
    "mariadb": _MYSQL,
    "postgresql": _Driver(quote='"', place="%s", plain=frozenset({*_ALIKE, int}), prepare=_prepare_postgres),
    "sqlite": _Driver(quote='"', place="?", plain=frozenset({*_ALIKE, int, bytes}), prepare=_prepare_sqlite),
}


# A wrong user, password or database name: MySQL's errno, SQLSTATE, and the words of a PostgreSQL server to
# which the connection was never made (libpq gives no code for that).
_DENIED_CODES = frozenset({1044, 1045, 1049, 1698, "28000", "28P01", "3D000"})
_DENIED_WORDS = ("authentication failed", "no pg_hba.conf entry", "does not exist")


def is_denied(error: BaseException) -> bool:
    """Whether the server answers, but does not let us in: another user, password or database is wanted."""
    codes = {*(arg for arg in error.args[:1] if isinstance(arg, int)), getattr(error, "sqlstate", None)}
    unmade = getattr(error, "sqlstate", "") is None  # of psycopg, without an answer of the server
    return bool(codes & _DENIED_CODES) or (unmade and any(words in str(error) for words in _DENIED_WORDS))
