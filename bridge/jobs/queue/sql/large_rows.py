"""The sizes of payloads in SQLite, found without reading them.

SQLite runs in this process and reads a payload as a whole, be it only to compare it or to tell its length.
Rows that the memory does not suffice for have to be known before.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from bridge.jobs.queue.portion import LARGE

KEPT = 1_000  # sizes that are remembered before those of rows that are gone are dropped


class LargeRows:
    """For one thread.

    jobs    the `jobs` table
    url     of its database, which is SQLite's
    queues  empty: all
    """

    def __init__(self, jobs: sa.TableClause, url: sa.URL, queues: Sequence[str] = ()) -> None:
        self._jobs = jobs
        self._url = url
        row = jobs.c
        wanted = row.queue.in_(queues) if queues else sa.true()
        self._new = sa.select(row.id).where(row.id > sa.bindparam("after"), wanted).order_by(row.id)
        self._top = sa.select(sa.func.max(row.id))
        self._there = sa.select(row.id).where(row.id.in_(sa.bindparam("ids", expanding=True)))
        self._after = 0
        self._sizes: dict[int, int] = {}  # of payloads from LARGE on

    def above(self, connection: sa.Connection, most: int) -> Mapping[int, int]:
        """Id → bytes of the rows whose payload has more than so many, which are LARGE at least. A row that
        SQLite does not call by its id is not found."""
        if self._bytes_of_all() <= most:
            return {}
        self._after = min(self._after, connection.execute(self._top).scalar() or 0)  # ids may begin anew
        for id in connection.execute(self._new, {"after": self._after}).scalars().all():
            self._measure(connection, id)
            self._after = id
        if len(self._sizes) > KEPT:
            self._drop_gone(connection, self._sizes)
        self._drop_gone(connection, [id for id, size in self._sizes.items() if size > most])
        for id in [id for id, size in self._sizes.items() if size > most]:
            self._measure(connection, id)  # another row may have the id by now
        return {id: size for id, size in self._sizes.items() if size > most}

    def _measure(self, connection: sa.Connection, id: int) -> None:
        with contextlib.suppress(DBAPIError, sqlite3.Error), blob(connection, self._jobs, id) as payload:
            if len(payload) >= LARGE and has_rowid(connection, self._jobs, id):
                self._sizes[id] = len(payload)
            else:
                self._sizes.pop(id, None)

    def _drop_gone(self, connection: sa.Connection, ids: Sequence[int] | Mapping[int, int]) -> None:
        if ids:
            there = set(connection.execute(self._there, {"ids": list(ids)}).scalars())
            for id in set(ids) - there:
                del self._sizes[id]

    def _bytes_of_all(self) -> int:
        """All that the file holds, and what is not yet written there: no row has more."""
        file = self._url.database
        if not file or not Path(file).is_file():
            return 0
        size = Path(file).stat().st_size
        with contextlib.suppress(FileNotFoundError):
            size += Path(f"{file}-wal").stat().st_size
        return size


@contextlib.contextmanager
def blob(connection: sa.Connection, jobs: sa.TableClause, id: int) -> Iterator[sqlite3.Blob]:
    """A payload, to be read in part; the id must be its rowid."""
    driver = connection.connection.dbapi_connection
    if not isinstance(driver, sqlite3.Connection):
        raise TypeError("this is another database")
    with driver.blobopen(jobs.name, "payload", id, readonly=True) as payload:
        yield payload


def has_rowid(connection: sa.Connection, jobs: sa.TableClause, id: int) -> bool:
    """Whether SQLite calls the row by its id: it does in Laravel's own table."""
    rowid: sa.ColumnElement[int] = sa.literal_column("rowid")
    one = sa.select(sa.literal(1)).select_from(jobs).where(rowid == id, jobs.c.id == id)
    return connection.execute(one).first() is not None
