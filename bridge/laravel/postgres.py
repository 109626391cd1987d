"""What only PostgreSQL's client needs: imported where there is such a database, and nowhere else."""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping
from typing import Any

import psycopg
from psycopg.sql import SQL, Composed, Literal


def set_all(settings: Mapping[str, str], *, local: bool) -> Composed:
    """The statement that sets them: for the session, or `local` for the transaction."""
    calls = [
        SQL("set_config({}, {}, {})").format(Literal(name), Literal(value), Literal(local))
        for name, value in settings.items()
    ]
    return SQL("SELECT {}").format(SQL(", ").join(calls))


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


def connect(
    patience: float, dialect: Any, record: Any, arguments: Any, named: Any
) -> psycopg.Connection[Any]:
    connection = _Answering.connect(*arguments, **named)
    connection.patience = patience
    return connection
