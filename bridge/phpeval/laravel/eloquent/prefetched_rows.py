"""Rows that a batch of jobs will ask for, read with one statement for all of them.

What is kept here stands for statements by one key, so it must say exactly what each of these would: only
plain keys are looked for, a row must carry the very key that was asked for, and where the order of several
rows or the way the database compares could matter, nothing is kept and each job asks by itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeGuard

from bridge.phpeval.laravel.eloquent.sql_text import Condition, Join, Query, is_any_of
from bridge.phpeval.php.runtime.values import PhpArray, Value

MOST = 1000  # keys of one statement
_PLAIN = re.compile(rb"[0-9A-Za-z_-]{1,64}\Z")

Key = int | bytes
_Asked = tuple[
    str, str, str, tuple[Condition, ...], tuple[tuple[str, str], ...], Join | None, tuple[str, ...], bool
]


def _is_key(value: Value | tuple[Value, ...]) -> TypeGuard[Key]:
    return isinstance(value, int | bytes) and not isinstance(value, bool)


def plain_keys(keys: Iterable[Value]) -> list[Key]:
    """Each once, if they may be looked for together: all integers, or texts that no database takes for
    another."""
    distinct = dict.fromkeys(filter(_is_key, keys))
    texts = [key for key in distinct if isinstance(key, bytes)]
    if texts and (
        len(texts) < len(distinct)
        or len({text.lower() for text in texts}) < len(texts)
        or not all(map(_PLAIN.match, texts))
    ):
        return []
    return list(distinct)[:MOST]


@dataclass(slots=True)
class PrefetchedRows:
    """The rows of one batch; `until` in the seconds of the reader's clock."""

    until: float
    _rows: dict[_Asked, dict[Key, list[PhpArray]]] = field(default_factory=dict)

    def keep(self, connection: str, query: Query, keys: Sequence[Key], rows: Sequence[PhpArray]) -> None:
        """`rows` are the answer to `query` for these keys, which `plain_keys` gave."""
        column = _column(query)
        by_key: dict[Key, list[PhpArray]] = {key: [] for key in keys}
        for row in rows:
            key = row.get(column)
            if not _is_key(key) or key not in by_key:
                return  # the database took it for the same as one of ours: its way to compare is not known
            by_key[key].append(row)
        if len(keys) > 1:
            # Of one key alone the rows come in another order, maybe; a text that is not found may yet be
            # the same as another one for the database
            by_key = {
                key: found
                for key, found in by_key.items()
                if len(found) == 1 or (not found and isinstance(key, int))
            }
        self._rows[_asked(connection, query)] = by_key

    def rows(self, connection: str, query: Query) -> list[PhpArray] | None:
        """The answer to the query, in rows of its own; None where it is not known."""
        known = self._rows.get(_asked(connection, query))
        if known is None:
            return None
        keys = query.key.value if isinstance(query.key.value, tuple) else (query.key.value,)
        answer = []
        for key in dict.fromkeys(keys):
            found = known.get(key) if _is_key(key) else None
            if found is None or (len(found) > 1 and (len(keys) > 1 or query.limit)):
                return None
            answer += [row.copy() for row in found]
        return answer


def together(query: Query, keys: Sequence[Key]) -> Query:
    """The query for all of these keys."""
    return Query(
        table=query.table,
        key=is_any_of(query.key.column, tuple(keys)),
        conditions=query.conditions,
        orders=query.orders,
        join=query.join,
        columns=query.columns,
    )


def _asked(connection: str, query: Query) -> _Asked:
    return (
        connection,
        query.table,
        query.key.column,
        query.conditions,
        query.orders,
        query.join,
        query.columns,
        query.counts,
    )


def _column(query: Query) -> bytes:
    """The name by which the row holds the key."""
    owner, _, name = query.key.column.rpartition(".")
    pivot = query.join is not None and owner == query.join.table
    return (f"pivot_{name}" if pivot else name).encode()
