"""Rows of the app's database, by Laravel's name of the connection; those of a batch read together."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

import sqlalchemy as sa

from bridge.errors import Refused
from bridge.phpeval.laravel.eloquent.connection import Source
from bridge.phpeval.laravel.eloquent.prefetched_rows import Key, PrefetchedRows, together
from bridge.phpeval.laravel.eloquent.sql_text import Query
from bridge.phpeval.php.runtime.values import PhpArray

FRESH = 1.0  # seconds in which a row that was read ahead may be used


class Records:
    """`connect` gives engine and table prefix of a connection name; the engines are ours to close.

    clock    seconds, monotonic
    refused  connection name → why nothing is read from it; may be set anew
    """

    def __init__(
        self,
        connect: Callable[[str], tuple[sa.Engine, str]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connect = connect
        self._clock = clock
        self._sources: dict[str, Source] = {}
        self._ahead: PrefetchedRows | None = None
        self.refused: Mapping[str, Refused] = {}

    def select(self, connection: str, query: Query) -> list[PhpArray]:
        """The rows, column → value. Raises ServiceUnavailable, Refused also where the query itself fails."""
        self._allow(connection)
        if self._ahead is not None:
            if self._clock() >= self._ahead.until:
                self._ahead = None
            elif (known := self._ahead.rows(connection, query)) is not None:
                return known
        return self._source(connection).select(query)

    def begin_batch(self) -> None:
        """What `read_ahead` reads from now on answers `select`, until `end_batch` or FRESH seconds later."""
        self._ahead = PrefetchedRows(until=self._clock() + FRESH)

    def end_batch(self) -> None:
        """Every query asks the database again."""
        self._ahead = None

    def read_ahead(self, connection: str, query: Query, keys: Sequence[Key]) -> list[PhpArray]:
        """The rows for all `keys` (of `plain_keys`), by one statement like `query`; raises as `select`."""
        self._allow(connection)
        rows = self._source(connection).select(together(query, keys))
        if self._ahead is not None:
            self._ahead.keep(connection, query, keys, rows)
        return rows

    def _allow(self, connection: str) -> None:
        if connection in self.refused:
            raise self.refused[connection].anew()

    def close(self) -> None:
        for source in self._sources.values():
            source.close()
        self._sources.clear()

    def _source(self, connection: str) -> Source:
        if connection not in self._sources:
            engine, prefix = self._connect(connection)
            self._sources[connection] = Source(connection, engine, prefix)
        return self._sources[connection]
