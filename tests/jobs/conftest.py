"""The four stores that every guarantee is tried on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests import services
from tests.jobs.queue.stores import RedisStore, SqlStore, Store


@pytest.fixture(autouse=True)
def looks_take_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A look at all rows that takes long is followed by a rest, of the seconds of the stores' clock: which
    stands still here, however slow the machine is."""
    monkeypatch.setattr("bridge.jobs.queue.sql.scan.RESTING_SHARE", 0)


@pytest.fixture
def sql_store(database: services.Database) -> Iterator[SqlStore]:
    store = SqlStore(database)
    yield store
    store.close()


@pytest.fixture
def mariadb_store(mariadb_database: services.Database) -> Iterator[SqlStore]:
    store = SqlStore(mariadb_database)
    yield store
    store.close()


@pytest.fixture
def sqlite_store(sqlite_database: services.Database) -> Iterator[SqlStore]:
    store = SqlStore(sqlite_database)
    yield store
    store.close()


@pytest.fixture
def postgres_store(postgres_database: services.Database) -> Iterator[SqlStore]:
    store = SqlStore(postgres_database)
    yield store
    store.close()


@pytest.fixture
def redis_store(redis_server: services.Redis) -> Iterator[RedisStore]:
    store = RedisStore(redis_server)
    yield store
    store.close()


@pytest.fixture(params=["mariadb", "postgres", "sqlite", "redis"])
def store(request: pytest.FixtureRequest) -> Store:
    made: Store = request.getfixturevalue(f"{request.param}_store")
    return made
