"""Fixtures that every room may use: real servers, started once per run and only when asked for."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from tests import services

Running = TypeVar("Running")


@pytest.fixture(scope="session")
def mariadb() -> Iterator[services.MariaDB]:
    with _or_fail(services.mariadb()) as server:
        yield server


@pytest.fixture(scope="session")
def postgres() -> Iterator[services.PostgreSQL]:
    with _or_fail(services.postgres()) as server:
        yield server


@pytest.fixture(scope="session")
def redis_server() -> Iterator[services.Redis]:
    with _or_fail(services.redis_server()) as server:
        yield server


@pytest.fixture
def mariadb_database(mariadb: services.MariaDB) -> Iterator[services.Database]:
    with mariadb.database() as database:
        yield database


@pytest.fixture
def postgres_database(postgres: services.PostgreSQL) -> Iterator[services.Database]:
    with postgres.database() as database:
        yield database


@pytest.fixture
def sqlite_database(tmp_path: Path) -> Iterator[services.Database]:
    with services.sqlite(tmp_path) as database:
        yield database


@pytest.fixture(params=["mariadb", "postgres", "sqlite"])
def database(request: pytest.FixtureRequest) -> services.Database:
    """The test runs once on each engine, each time with an empty database."""
    made = request.getfixturevalue(f"{request.param}_database")
    assert isinstance(made, services.Database)
    return made


@contextlib.contextmanager
def _or_fail(server: contextlib.AbstractContextManager[Running]) -> Iterator[Running]:
    """A missing program fails the test, in one line; it is never skipped."""
    with contextlib.ExitStack() as stack:
        try:
            running = stack.enter_context(server)
        except services.MissingProgram as missing:
            pytest.fail(str(missing), pytrace=False)
        yield running
