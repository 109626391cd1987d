from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import redis
import sqlalchemy as sa

from bridge.errors import ConfigurationError, ServiceUnavailable
from bridge.laravel.application import LaravelApp, load
from bridge.laravel.database import answering, engine
from bridge.laravel.redis_client import redis_client
from tests import services

LoadApp = Callable[..., LaravelApp]


@pytest.fixture
def app(tmp_path: Path) -> LoadApp:
    def make(env: dict[str, str]) -> LaravelApp:
        folder = tmp_path / "app"
        folder.mkdir(exist_ok=True)
        (folder / ".env").write_text("\n".join(f"{name}={value}" for name, value in env.items()))
        return load(folder, {}, "11.0")

    return make


def test_an_engine_reaches_the_database_that_laravels_variables_name(
    app: LoadApp, database: services.Database
) -> None:
    made = engine(app(dict(database.env)).database())
    try:
        with made.begin() as connection:
            assert connection.scalar(sa.text("select count(*) from jobs")) == 0
    finally:
        made.dispose()


def test_neither_engine_nor_error_shows_the_password(
    app: LoadApp, mariadb: services.MariaDB, postgres: services.PostgreSQL
) -> None:
    for server in (mariadb, postgres):
        env = {
            "DB_CONNECTION": server.driver,
            "DB_HOST": server.host,
            "DB_PORT": str(server.port),
            "DB_DATABASE": "nope",
            "DB_USERNAME": server.user,
            "DB_PASSWORD": "canary",
        }
        made = engine(app(env).database())
        try:
            with pytest.raises(sa.exc.OperationalError) as caught:
                made.connect()
        finally:
            made.dispose()
        seen: list[str] = [repr(made), str(made.url)]
        error: BaseException | None = caught.value
        while error is not None:
            seen += [str(error), repr(error)]
            error = error.__cause__ or error.__context__
        assert "canary" not in " ".join(seen)


def test_a_postgres_session_has_its_schemas_and_a_limit_on_statements(
    tmp_path: Path, postgres_database: services.Database
) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config/database.php").write_text(
        """<?php return ['default' => 'c', 'connections' => ['c' => [
            'driver' => 'pgsql', 'host' => env('DB_HOST'), 'port' => env('DB_PORT'),
            'database' => env('DB_DATABASE'), 'username' => env('DB_USERNAME'),
            'password' => env('DB_PASSWORD'), 'search_path' => '"$user", first,public', 'sslmode' => 'prefer',
        ]]];"""
    )
    (tmp_path / ".env").write_text("\n".join(f"{k}={v}" for k, v in postgres_database.env.items()))
    made = engine(load(tmp_path, {}).database())
    try:
        with made.connect() as connection:
            assert connection.scalar(sa.text("show search_path")) == '"$user", "first", "public"'
            assert connection.scalar(sa.text("show statement_timeout")) == "30s"
            connection.rollback()
            assert connection.scalar(sa.text("show statement_timeout")) == "30s"
    finally:
        made.dispose()


def test_a_postgres_database_without_an_encoding_is_read_as_utf8(
    app: LoadApp, postgres_database: services.Database
) -> None:
    """As under Laravel, which says `set names 'utf8'`."""
    name = f"ascii_{postgres_database.env['DB_DATABASE']}"
    postgres = postgres_database.engine()
    with postgres.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql(f"create database {name} encoding 'SQL_ASCII' template template0")
    postgres.dispose()
    made = engine(app({**postgres_database.env, "DB_DATABASE": name}).database())
    try:
        with made.connect() as connection:
            assert connection.scalar(sa.text("show client_encoding")) == "UTF8"
            assert connection.scalar(sa.text("select cast('zoë' as text)")) == "zoë"
    finally:
        made.dispose()


def test_a_missing_sqlite_file_is_named_and_never_created(app: LoadApp, tmp_path: Path) -> None:
    path = tmp_path / "none.sqlite"
    facts = app({"DB_CONNECTION": "sqlite", "DB_DATABASE": str(path)}).database()
    with pytest.raises(ConfigurationError, match=r"none\.sqlite.*DB_DATABASE"):
        engine(facts)
    path.touch()
    made = engine(facts)
    path.unlink()
    try:
        with pytest.raises(sa.exc.OperationalError):
            made.connect()
    finally:
        made.dispose()
    assert not path.exists()


def test_a_relative_sqlite_path_lies_in_the_app(app: LoadApp) -> None:
    made = app({"DB_CONNECTION": "sqlite", "DB_DATABASE": "data/app #1.sqlite"})
    (made.path / "data").mkdir()
    (made.path / "data/app #1.sqlite").touch()
    opened = engine(app({"DB_CONNECTION": "sqlite", "DB_DATABASE": '"data/app #1.sqlite"'}).database())
    try:
        with opened.connect() as connection:
            assert connection.scalar(sa.text("select 1")) == 1
    finally:
        opened.dispose()


def test_a_redis_client_reaches_the_server_and_answers_in_bytes(
    app: LoadApp, redis_server: services.Redis
) -> None:
    env = {
        "REDIS_HOST": redis_server.host,
        "REDIS_PORT": str(redis_server.port),
        "REDIS_PASSWORD": "canary",
        "REDIS_DB": "3",
    }
    env |= {"REDIS_PASSWORD": f'"{redis_server.password}"'}
    facts = app(env).redis()
    with redis_client(facts) as client:
        client.set("key", "ü")
        assert client.get("key") == "ü".encode()
        assert client.connection_pool.connection_kwargs["db"] == 3
        client.delete("key")


def test_no_redis_client_or_error_shows_the_password(app: LoadApp, redis_server: services.Redis) -> None:
    env = {"REDIS_HOST": redis_server.host, "REDIS_PORT": str(redis_server.port), "REDIS_PASSWORD": "canary"}
    with redis_client(app(env).redis()) as client:
        with pytest.raises(redis.AuthenticationError) as caught:
            client.ping()
        assert "canary" not in repr(client) + repr(client.connection_pool) + str(caught.value)


def test_a_server_that_refuses_us_is_wrong_configuration_and_one_that_is_gone_is_unavailable(
    app: LoadApp, mariadb: services.MariaDB, postgres: services.PostgreSQL, redis_server: services.Redis
) -> None:
    gone = {"DB_PORT": str(services.free_port()), "REDIS_PORT": str(services.free_port())}
    for server in (mariadb, postgres):
        env = {
            "DB_CONNECTION": server.driver,
            "DB_HOST": server.host,
            "DB_PORT": str(server.port),
            "DB_DATABASE": "nope",
            "DB_USERNAME": server.user,
            "DB_PASSWORD": f'"{server.password}"',
        }
        for changed, kind in (
            ({"DB_PASSWORD": "canary"}, ConfigurationError),
            ({}, ConfigurationError),
            (gone, ServiceUnavailable),
        ):
            facts = app(env | changed).database()
            made = engine(facts)
            with pytest.raises(kind, match=facts.name) as caught, answering(facts):
                made.connect()
            made.dispose()
            assert "canary" not in str(caught.value)
            assert server.password not in str(caught.value)
    redis_env = redis_server.env
    for changed, kind in (({"REDIS_PASSWORD": "canary"}, ConfigurationError), (gone, ServiceUnavailable)):
        redis_connection = app(redis_env | changed).redis()
        client = redis_client(redis_connection)
        with client, pytest.raises(kind, match="default") as caught, answering(redis_connection):
            client.ping()
        assert "canary" not in str(caught.value)
