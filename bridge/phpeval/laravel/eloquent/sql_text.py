"""What models ask of a database, and the text of the statement. Source: Query/Grammars of Laravel.

The text depends on the shape of a query only, not on its values, and is kept by shape.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from bridge.errors import Refused
from bridge.phpeval.php.runtime.values import Value

OPERATORS = {"=", "<", ">", "<=", ">=", "<>", "!=", "like"}
_IDENTIFIER = re.compile(r"[\w$ -]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """`column` with its table where two are joined. `operator` of OPERATORS, or `in`, `null`, `not null`."""

    column: str
    operator: str
    value: Value | tuple[Value, ...] = None


def is_any_of(column: str, keys: tuple[Value, ...]) -> Condition:
    """The column holds one of the keys."""
    if len(keys) == 1:
        return Condition(column=column, operator="=", value=keys[0])
    return Condition(column=column, operator="in", value=keys)


@dataclass(frozen=True, slots=True, kw_only=True)
class Join:
    """A table in between: joined where `first` = `second`; its `columns` come as `pivot_NAME`, or one of them
    as `name`."""

    table: str
    first: str
    second: str
    columns: tuple[str, ...]
    name: str = ""


@dataclass(slots=True, kw_only=True)  # not frozen: one is made for each statement
class Query:
    """All columns of `table` (without the connection's prefix), or only some, where every condition holds,
    `key` first; or, with `counts`, how many rows that are, as `aggregate`. Not to be changed."""

    table: str
    key: Condition
    conditions: tuple[Condition, ...] = ()
    orders: tuple[tuple[str, str], ...] = ()
    join: Join | None = None
    limit: int | None = None
    columns: tuple[str, ...] = ()
    counts: bool = False


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a connection writes: the sign around names, the place of a value, the prefix of tables."""

    quote: str
    place: str
    prefix: str

    def name(self, name: str) -> str:
        if not _IDENTIFIER.fullmatch(name):
            raise Refused("a table or column name with unusual characters")
        return f"{self.quote}{name}{self.quote}"

    def table(self, name: str) -> str:
        schema, _, last = name.rpartition(".")
        return (f"{self.name(schema)}." if schema else "") + self.name(self.prefix + last)

    def column(self, name: str) -> str:
        owner, _, last = name.rpartition(".")
        return f"{self.table(owner)}.{self.name(last)}" if owner else self.name(last)


_Shape = tuple[
    str,
    tuple[tuple[str, str, int], ...],
    tuple[tuple[str, str], ...],
    Join | None,
    int | None,
    tuple[str, ...],
    bool,
]  # table, conditions with the number of their values, orders, join, limit, columns, whether it counts


def statement(query: Query, dialect: Dialect) -> tuple[str, tuple[object, ...]]:
    """The text and its values, strings as text. Refused for names that cannot stand in it."""
    conditions = []
    values: list[object] = []
    for one in (query.key, *query.conditions):
        if one.operator in ("null", "not null"):
            conditions.append((one.column, one.operator, 0))
            continue
        given = one.value if isinstance(one.value, tuple) else (one.value,)
        conditions.append((one.column, one.operator, len(given)))
        values += [v.decode("utf-8", "surrogateescape") if isinstance(v, bytes) else v for v in given]
    shape = (
        query.table,
        tuple(conditions),
        () if query.counts else query.orders,
        query.join,
        query.limit,
        query.columns,
        query.counts,
    )
    return _text(shape, dialect), tuple(values)


@lru_cache(maxsize=1024)
def _text(shape: _Shape, dialect: Dialect) -> str:
    table, conditions, orders, join, limit, wanted, counts = shape
    owner = f"{dialect.table(table)}." if join is not None else ""
    columns = ", ".join(owner + dialect.name(one) for one in wanted) or f"{owner}*"
    joined = ""
    if join is not None:
        pivot = dialect.table(join.table)
        pivots = (
            f"{pivot}.{dialect.name(c)} as {dialect.name(join.name or 'pivot_' + c)}" for c in join.columns
        )
        columns = ", ".join([columns, *pivots])
        joined = f" inner join {pivot} on {dialect.column(join.first)} = {dialect.column(join.second)}"
    if counts:
        columns = "count(*) as aggregate"
    where = " and ".join(_condition(*one, dialect) for one in conditions)
    order = ", ".join(f"{dialect.column(name)} {direction}" for name, direction in orders)
    order = f" order by {order}" if order else ""
    most = f" limit {limit}" if limit is not None else ""
    return f"select {columns} from {dialect.table(table)}{joined} where {where}{order}{most}"  # noqa: S608 - names are quoted, values bound


def _condition(column: str, operator: str, count: int, dialect: Dialect) -> str:
    name = dialect.column(column)
    if operator == "in":
        return f"{name} in ({', '.join([dialect.place] * count)})" if count else "0 = 1"
    return f"{name} {operator} {dialect.place}" if count else f"{name} is {operator}"
