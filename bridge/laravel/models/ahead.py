"""Rows that a batch of jobs will ask for, read with one statement for all of them.

What is kept here stands for statements by one key, so it must say exactly what each of these would:
only plain keys are looked for, a row must carry the very key that was asked for, and where the order of
several rows or the way the database compares could matter, nothing is kept and each job asks by itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from bridge.laravel.models.statements import Condition, Join, Query, is_any_of
from bridge.php.values import PhpArray, Value

MOST = 1000  # keys of one statement
_PLAIN = re.compile(rb"[0-9A-Za-z_-]{1,64}\Z")

Key = int | bytes
_Asked = tuple[str, str, str, tuple[Condition, ...], tuple[tuple[str, str], ...], Join | None]


def plain_keys(keys: Iterable[Value]) -> list[Key]:
    """Each once, if they may be looked for together: all integers, or texts that no database takes for
    another."""
    distinct = dict.fromkeys(
        key for key in keys if isinstance(key, int | bytes) and key is not True and key is not False
    )
    texts = [key for key in distinct if isinstance(key, bytes)]
    if texts and (
        len(texts) < len(distinct)
        or len({text.lower() for text in texts}) < len(texts)
        or not all(map(_PLAIN.match, texts))
    ):
        return []
    return list(distinct)[:MOST]


@dataclass(slots=True)
class Ahead:
    """The rows of one batch; `until` in the seconds of the reader's clock."""

    until: float
    _rows: dict[_Asked, dict[Key, PhpArray | None]] = field(default_factory=dict)

    def keep(self, connection: str, query: Query, keys: Sequence[Key], rows: Sequence[PhpArray]) -> None:
        """`rows` are the answer to `query` for these keys, which `plain_keys` gave."""
        column = _column(query)
        found: dict[Key, PhpArray | None] = {}
        several = set()
        wanted = set(keys)
        for row in rows:
            key = row.get(column)
            if type(key) not in (int, bytes) or key not in wanted:
                return  # the database took it for the same as one of ours: its way to compare is not known
            if key in found:
                several.add(key)
            found[key] = row  # type: ignore[index]
        if type(keys[0]) is int:  # a text that is not found may yet be the same as another one
            found = dict.fromkeys(keys) | found
        self._rows[_asked(connection, query)] = {k: row for k, row in found.items() if k not in several}

    def rows(self, connection: str, query: Query) -> list[PhpArray] | None:
        """The answer to the query, in rows of its own; None where it is not known."""
        known = self._rows.get(_asked(connection, query))
        if known is None:
            return None
        keys = query.key.value if isinstance(query.key.value, tuple) else (query.key.value,)
        answer = []
        for key in keys:
            if type(key) not in (int, bytes) or key not in known:
                return None
            row = known[key]  # type: ignore[index]
            if row is not None:
                answer.append(row.copy())
        return answer


def together(query: Query, keys: Sequence[Key]) -> Query:
    """The query for all of these keys."""
    return Query(
        table=query.table,
        key=is_any_of(query.key.column, tuple(keys)),
        conditions=query.conditions,
        orders=query.orders,
        join=query.join,
    )


def _asked(connection: str, query: Query) -> _Asked:
    return connection, query.table, query.key.column, query.conditions, query.orders, query.join


def _column(query: Query) -> bytes:
    """The name by which the row holds the key."""
    owner, _, name = query.key.column.rpartition(".")
    pivot = query.join is not None and owner == query.join.table
    return (f"pivot_{name}" if pivot else name).encode()
