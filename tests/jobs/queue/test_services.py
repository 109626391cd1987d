"""The servers that the other tests stand on."""

from __future__ import annotations

import contextlib

import pytest
import sqlalchemy

from tests import services


def test_each_database_is_new_and_has_laravels_tables(database: services.Database) -> None:
    engine = database.engine()
    with contextlib.closing(engine.connect()) as connection:
        for table in ("jobs", "failed_jobs"):
            rows = connection.execute(sqlalchemy.text(f"select count(*) from {table}"))
            assert rows.scalar_one() == 0
    engine.dispose()


def test_redis_answers_with_its_password(redis_server: services.Redis) -> None:
    with contextlib.closing(redis_server.client()) as client:
        assert client.ping()


def test_cpu_time_of_a_server_grows_with_its_work(redis_server: services.Redis) -> None:
    with contextlib.closing(redis_server.client()) as client:
        before = redis_server.cpu_seconds()
        for _ in range(1_000):  # the system counts in hundredths of a second, on a quick machine too
            client.eval("for i = 1, 2000000 do end", 0)
            if redis_server.cpu_seconds() > before:
                return
        pytest.fail("no CPU time was counted")


def test_a_server_comes_back_with_its_data() -> None:
    with services.redis_server(persistent=True) as server, contextlib.closing(server.client()) as client:
        client.set("kept", "yes")
        server.stop()
        server.start()
        assert client.get("kept") == b"yes"


def test_a_missing_program_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(services.MissingProgram, match="apt-get install no-such-package"):
        services.program("no-such-program", "no-such-package")
