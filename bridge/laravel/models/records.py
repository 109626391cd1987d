"""Rows of the app's database, with every value as PHP's PDO gives it to Eloquent.

Sources: spec BroadcastEvent section 9.3 (types by driver on PHP 8.2); Query/Grammars for the statements.
"""

from __future__ import annotations

import decimal
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from psycopg.types.string import TextLoader
from pymysql.constants import FIELD_TYPE
from sqlalchemy import event

from bridge.errors import Refused, ServiceUnavailable
from bridge.php.values import INT_MAX, INT_MIN, CustomSerialized, PhpArray, Value

# Values that PDO gives as text; without a decoder pymysql does the same.
_MYSQL_TEXT = (
    FIELD_TYPE.DECIMAL, FIELD_TYPE.NEWDECIMAL, FIELD_TYPE.TIMESTAMP, FIELD_TYPE.DATE, FIELD_TYPE.TIME,
    FIELD_TYPE.DATETIME, FIELD_TYPE.NEWDATE,
)  # fmt: skip
_MYSQL_UNSURE = (FIELD_TYPE.BIT, FIELD_TYPE.YEAR)
_POSTGRES_TEXT = (
    "numeric", "float4", "float8", "date", "timestamp", "timestamptz", "time", "timetz", "interval", "json",
    "jsonb", "uuid", "inet", "cidr",
)  # fmt: skip
_IDENTIFIER = re.compile(r"[\w$ -]+")
OPERATORS = {"=", "<", ">", "<=", ">=", "<>", "!=", "like"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """`column` with its table where two are joined. `operator` of OPERATORS, or `in`, `null`, `not null`."""

    column: str
    operator: str
    value: Value | tuple[Value, ...] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Join:
    """A pivot table: joined where `first` = `second`; its `columns` come as `pivot_NAME`."""

    table: str
    first: str
    second: str
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """All columns of `table` (without the connection's prefix) where every condition holds."""

    table: str
    conditions: tuple[Condition, ...] = ()
    orders: tuple[tuple[str, str], ...] = ()
    join: Join | None = None
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class _Source:
    engine: sa.Engine
    prefix: str


class Records:
    """`connect` gives engine and table prefix of a Laravel connection name; the engines are ours to close."""

    def __init__(self, connect: Callable[[str], tuple[sa.Engine, str]]) -> None:
        self._connect = connect
        self._sources: dict[str, _Source] = {}

    def select(self, connection: str, query: Query) -> list[PhpArray]:
        """The rows, column → value. Raises ServiceUnavailable, or Refused where the query itself fails."""
        source = self._source(connection)
        statement, parameters = _statement(source, query)
        try:
            with source.engine.connect() as open_connection:
                result = open_connection.exec_driver_sql(statement, tuple(parameters))
                names = [name.encode() for name in result.keys()]  # noqa: SIM118 - not a dict
                driver = source.engine.dialect.name
                return [
                    PhpArray(zip(names, [_value(value, driver) for value in row], strict=True))
                    for row in result.fetchall()
                ]
        except sa.exc.DBAPIError as error:
            lost = isinstance(error, sa.exc.OperationalError | sa.exc.InterfaceError)
            if (lost or error.connection_invalidated) and not _is_missing(error):
                raise ServiceUnavailable(f"the database connection {connection} does not answer") from None
            raise Refused(f"the table {query.table} of the connection {connection} cannot be read") from None

    def close(self) -> None:
        for source in self._sources.values():
            source.engine.dispose()
        self._sources.clear()

    def _source(self, connection: str) -> _Source:
        if connection not in self._sources:
            engine, prefix = self._connect(connection)
            prepare = _PREPARE.get(engine.dialect.name)
            if prepare is not None:
                prepare(engine)
            self._sources[connection] = _Source(engine, prefix)
        return self._sources[connection]


def _is_missing(error: sa.exc.DBAPIError) -> bool:
    """A table or column that does not exist: waiting does not help."""
    code = error.orig.args[0] if error.orig is not None and error.orig.args else None
    return code in (1054, 1146) or "no such" in str(code)


def _prepare_mysql(engine: sa.Engine) -> None:
    def keep_text(connection: Any, record: Any) -> None:
        decoders = dict(connection.decoders)
        for kind in _MYSQL_TEXT:
            decoders.pop(kind, None)
        for kind in _MYSQL_UNSURE:
            decoders[kind] = lambda text: CustomSerialized("a BIT or YEAR column", b"")
        connection.decoders = decoders

    event.listen(engine, "connect", keep_text)


def _prepare_postgres(engine: sa.Engine) -> None:
    def keep_text(connection: Any, record: Any) -> None:
        for name in _POSTGRES_TEXT:
            connection.adapters.register_loader(name, TextLoader)

    event.listen(engine, "connect", keep_text)


_PREPARE: Mapping[str, Callable[[sa.Engine], None]] = {
    "mysql": _prepare_mysql,
    "mariadb": _prepare_mysql,
    "postgresql": _prepare_postgres,
}


def _value(value: object, driver: str) -> Value:
    match value:
        case None | bool() | float():
            return value
        case int():
            return value if INT_MIN <= value <= INT_MAX else str(value).encode()
        case str():
            return value.encode("utf-8", "surrogateescape")
        case bytes() if driver != "postgresql":
            return value
        case decimal.Decimal():
            return str(value).encode()
        case CustomSerialized():
            return value
    return CustomSerialized(f"a {type(value).__name__} column", b"")


def _statement(source: _Source, query: Query) -> tuple[str, list[object]]:
    preparer = source.engine.dialect.identifier_preparer

    def quote(name: str) -> str:
        if not _IDENTIFIER.fullmatch(name):
            raise Refused("a table or column name with unusual characters")
        return preparer.quote_identifier(name)

    def table(name: str) -> str:
        schema, _, last = name.rpartition(".")
        return (
            ".".join(quote(part) for part in ([schema] if schema else []))
            + ("." if schema else "")
            + quote(source.prefix + last)
        )

    def column(name: str) -> str:
        owner, _, last = name.rpartition(".")
        return f"{table(owner)}.{quote(last)}" if owner else quote(last)

    columns = "*"
    joined = ""
    if query.join is not None:
        join = query.join
        pivots = (f"{table(join.table)}.{quote(c)} as {quote('pivot_' + c)}" for c in join.columns)
        columns = ", ".join([f"{table(query.table)}.*", *pivots])
        joined = f" inner join {table(join.table)} on {column(join.first)} = {column(join.second)}"
    parameters: list[object] = []
    place = "?" if source.engine.dialect.paramstyle == "qmark" else "%s"

    def bind(value: object) -> str:
        parameters.append(value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else value)
        return place

    wheres = []
    for condition in query.conditions:
        name = column(condition.column)
        if condition.operator == "in":
            values = condition.value if isinstance(condition.value, tuple) else ()
            wheres.append(f"{name} in ({', '.join(bind(v) for v in values)})" if values else "0 = 1")
        elif condition.operator in ("null", "not null"):
            wheres.append(f"{name} is {condition.operator}")
        else:
            wheres.append(f"{name} {condition.operator} {bind(condition.value)}")
    where = f" where {' and '.join(wheres)}" if wheres else ""
    order = ", ".join(f"{column(name)} {direction}" for name, direction in query.orders)
    order = f" order by {order}" if order else ""
    limit = f" limit {query.limit}" if query.limit is not None else ""
    return f"select {columns} from {table(query.table)}{joined}{where}{order}{limit}", parameters  # noqa: S608 - names are quoted, values bound
