"""Reading an app's database: what values are, what a query sees, and what becomes of a lost connection."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from bridge.errors import Refused, ServiceUnavailable
from bridge.laravel.application import load
from bridge.laravel.database import engine
from bridge.phpeval.laravel.eloquent.connection import Source, float_of, read_by
from bridge.phpeval.laravel.eloquent.sql_text import Condition, Query
from bridge.phpeval.php.runtime.values import CustomSerialized, PhpArray, Value
from tests import services

POST = Query(table="posts", key=Condition(column="id", operator="=", value=1))
END = {  # ends every other connection to the database
    "mysql": "select concat('kill ', id) from information_schema.processlist where db = database()"
    " and id <> connection_id()",
    "mariadb": "select concat('kill ', id) from information_schema.processlist where db = database()"
    " and id <> connection_id()",
    "postgresql": "select 'select pg_terminate_backend(' || pid || ')' from pg_stat_activity"
    " where datname = current_database() and pid <> pg_backend_pid()",
}


@dataclass(frozen=True, slots=True)
class Posts:
    """A source on a table `posts`, and another way into the same database."""

    source: Source
    other: sa.Engine

    def run(self, *statements: str) -> None:
        with self.other.begin() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)

    def columns(self, kinds: str, values: str) -> PhpArray:
        """The row that is read of a table made with these columns and values."""
        self.run(
            "drop table posts",
            f"create table posts (id int, {kinds})",
            f"insert into posts values (1, {values})",
        )
        (row,) = self.source.select(POST)
        del row[b"id"]
        return row

    def end_connections(self) -> None:
        with self.other.connect() as connection:
            for ending in connection.exec_driver_sql(END[self.other.dialect.name]).scalars().all():
                connection.exec_driver_sql(ending)


def source_of(tmp_path: Path, database: services.Database) -> Source:
    folder = tmp_path / "app"
    folder.mkdir(exist_ok=True)
    (folder / ".env").write_text("\n".join(f"{name}={value}" for name, value in database.env.items()))
    return Source("main", engine(load(folder, {}, "11.0").database()), "")


@pytest.fixture
def posts(tmp_path: Path, database: services.Database) -> Iterator[Posts]:
    other = database.engine()
    made = Posts(source_of(tmp_path, database), other)
    made.run(
        "create table posts (id int primary key, title varchar(50))", "insert into posts values (1, 'Old')"
    )
    with closing(made.source):
        yield made
    other.dispose()


def test_a_row_is_columns_in_order(posts: Posts) -> None:
    assert [list(row.items()) for row in posts.source.select(POST)] == [[(b"id", 1), (b"title", b"Old")]]


def test_every_query_sees_what_is_committed_by_then(posts: Posts) -> None:
    assert posts.source.select(POST)[0][b"title"] == b"Old"
    posts.run("update posts set title = 'New'")
    assert posts.source.select(POST)[0][b"title"] == b"New"


def test_reading_keeps_no_lock(posts: Posts) -> None:
    posts.source.select(POST)
    posts.run("drop table posts")
    with pytest.raises(Refused, match="the table posts of the connection main cannot be read"):
        posts.source.select(POST)


def test_after_a_query_that_failed_the_next_one_is_answered(posts: Posts) -> None:
    for column in ("nothing.id", "posts.missing"):
        with pytest.raises(Refused):
            posts.source.select(Query(table="posts", key=Condition(column=column, operator="=", value=1)))
    assert posts.source.select(POST)


def test_a_key_that_is_no_utf8_is_refused_or_not_found(posts: Posts) -> None:
    query = Query(table="posts", key=Condition(column="title", operator="=", value=b"\xff\xfe"))
    with contextlib.suppress(Refused):  # MySQL compares bytes
        assert posts.source.select(query) == []
    assert posts.source.select(POST)


def test_threads_read_side_by_side(posts: Posts) -> None:
    read: list[PhpArray] = []
    together = threading.Barrier(4)

    def ask() -> None:
        together.wait(60)
        for _ in range(20):
            read.extend(posts.source.select(POST))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert read == [PhpArray({b"id": 1, b"title": b"Old"})] * 80


def test_text_that_is_no_utf8_comes_as_it_is(tmp_path: Path, sqlite_database: services.Database) -> None:
    with closing(sqlite3.connect(str(sqlite_database.url.database))) as made, made:
        made.execute("create table posts (id int, title text)")
        made.execute("insert into posts values (1, cast(x'ff41' as text))")
    with closing(source_of(tmp_path, sqlite_database)) as source:
        assert source.select(POST)[0][b"title"] == b"\xffA"


@pytest.mark.parametrize("database", ["mariadb", "postgres"], indirect=True)
def test_a_connection_that_the_server_has_ended_is_made_anew(posts: Posts) -> None:
    posts.source.select(POST)
    posts.end_connections()
    assert posts.source.select(POST)
    assert posts.source.select(POST)


def test_a_server_that_is_away_is_told_as_such_and_answers_when_it_is_back(tmp_path: Path) -> None:
    with services.mariadb() as server, server.database() as database:
        other = database.engine()
        made = Posts(source_of(tmp_path, database), other)
        with closing(made.source):
            made.run("create table posts (id int)", "insert into posts values (1)")
            made.source.select(POST)
            other.dispose()
            server.stop()
            with pytest.raises(ServiceUnavailable, match="main does not answer"):
                made.source.select(POST)
            server.start()
            assert made.source.select(POST) == [PhpArray({b"id": 1})]


@pytest.mark.parametrize("database", ["mariadb"], indirect=True)
@pytest.mark.parametrize(
    ("kind", "written", "read"),
    [
        ("tinyint(1)", "1", 1),
        ("bigint unsigned", "18446744073709551615", b"18446744073709551615"),
        ("decimal(8,2)", "12.5", b"12.50"),
        ("double", "1.5", 1.5),
        ("int(5) zerofill", "42", b"00042"),
        ("int(3) zerofill", "12345", b"12345"),
        ("smallint unsigned zerofill", "null", None),
        ("decimal(6,2) zerofill", "1.5", b"0001.50"),
        ("datetime", "'2024-01-02 03:04:05'", b"2024-01-02 03:04:05"),
        ("date", "'2024-01-02'", b"2024-01-02"),
        ("time", "'03:04:05'", b"03:04:05"),
        ("varchar(9) charset utf8mb4", "'\u00e9\U0001f30d'", "\u00e9\U0001f30d".encode()),
        ("json", "'{\"a\": 1}'", b'{"a": 1}'),
        ("varbinary(3)", "x'ff00fe'", b"\xff\x00\xfe"),
        ("enum('a','b')", "'b'", b"b"),
        ("int", "null", None),
    ],
)
def test_values_of_mysql_are_those_of_pdo(posts: Posts, kind: str, written: str, read: Value) -> None:
    assert posts.columns(f"c {kind}", written) == PhpArray({b"c": read})


@pytest.mark.parametrize("database", ["postgres"], indirect=True)
@pytest.mark.parametrize(
    ("kind", "written", "read"),
    [
        ("boolean", "true", True),
        ("bigint", "9223372036854775807", 2**63 - 1),
        ("numeric(8,2)", "12.5", b"12.50"),
        ("timestamp(0)", "'2024-01-02 03:04:05'", b"2024-01-02 03:04:05"),
        ("text", "'\u00e9'", "\u00e9".encode()),
        ("jsonb", "'{\"a\": 1}'", b'{"a": 1}'),
        ("uuid", "'0f8b7c1e-5a3d-4f6b-9c2e-1a2b3c4d5e6f'", b"0f8b7c1e-5a3d-4f6b-9c2e-1a2b3c4d5e6f"),
        ("int", "null", None),
    ],
)
def test_values_of_postgres_are_those_of_pdo(posts: Posts, kind: str, written: str, read: Value) -> None:
    assert posts.columns(f"c {kind}", written) == PhpArray({b"c": read})


@pytest.mark.parametrize("database", ["postgres"], indirect=True)
@pytest.mark.parametrize("kind", ["real", "double precision"])
def test_float_columns_of_postgres_are_read_by_the_apps_php(posts: Posts, kind: str) -> None:
    def read(version: tuple[int, int] | None, *, cast: bool = False) -> Value:
        row = posts.columns(f"c {kind}, d varchar(9)", "0.1, 'x'")
        assert read_by(row, version, lambda name: cast)[b"d"] == b"x"
        return row[b"c"]

    assert read((8, 3)) == b"0.1"
    assert read((8, 4)) == 0.1
    assert float_of(read(None, cast=True)) == 0.1
    with pytest.raises(Refused, match="float column"):
        read(None)


@pytest.mark.parametrize(
    ("database", "kind", "zone", "shown"),
    [
        ("mariadb", "timestamp", "+05:30", b"2024-01-02 08:34:05"),
        ("mariadb", "datetime", "+05:30", b"2024-01-02 03:04:05"),
        ("postgres", "timestamptz", "Asia/Kolkata", b"2024-01-02 08:34:05+05:30"),
        ("postgres", "timestamptz", "it's", None),
    ],
    indirect=["database"],
)
def test_the_time_zone_that_a_connection_names_counts(
    tmp_path: Path, database: services.Database, kind: str, zone: str, shown: bytes | None
) -> None:
    other = database.engine()
    utc = "set time_zone = '+00:00'" if other.dialect.name in ("mysql", "mariadb") else "set time zone 'UTC'"
    with other.begin() as connection:
        for statement in (
            utc,
            f"create table posts (id int, at {kind})",
            "insert into posts values (1, '2024-01-02 03:04:05')",
        ):
            connection.exec_driver_sql(statement)
    other.dispose()
    source_of(tmp_path, database).close()
    laravel = load(tmp_path / "app", {}, "11.0")
    facts = replace(laravel.database(), timezone=zone)
    with closing(Source("main", engine(facts), "")) as source:
        if shown is None:
            with pytest.raises((Refused, ServiceUnavailable)):
                source.select(POST)
        else:
            assert source.select(POST)[0][b"at"] == shown


def test_a_session_that_cannot_be_set_up_is_ended(
    tmp_path: Path, postgres_database: services.Database
) -> None:
    source_of(tmp_path, postgres_database).close()
    facts = replace(load(tmp_path / "app", {}, "11.0").database(), timezone="it's")
    sessions = (
        "select count(*) from pg_stat_activity where datname = current_database()"
        " and backend_type = 'client backend' and pid <> pg_backend_pid()"
    )
    other = postgres_database.engine().execution_options(isolation_level="AUTOCOMMIT")
    with other.connect() as connection, closing(Source("main", engine(facts), "")) as source:
        with pytest.raises((Refused, ServiceUnavailable)) as caught:
            source.select(POST)
        services.wait_until(lambda: connection.exec_driver_sql(sessions).scalar() == 0, "it is over")
        assert caught.traceback  # which kept the client's connection from the garbage collection
    other.dispose()


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("kind", "written", "read"),
    [
        ("integer", "7", 7),
        ("varchar", "'é'", "é".encode()),
        ("float", "1.5", 1.5),
        ("blob", "x'ff00'", b"\xff\x00"),
        ("datetime", "'2024-01-02 03:04:05'", b"2024-01-02 03:04:05"),
        ("varchar", "null", None),
    ],
)
def test_values_of_sqlite_are_those_of_pdo(posts: Posts, kind: str, written: str, read: Value) -> None:
    assert posts.columns(f"c {kind}", written) == PhpArray({b"c": read})


@pytest.mark.parametrize(
    ("database", "kind", "written"),
    [
        ("mariadb", "bit(3)", "b'101'"),
        ("mariadb", "year", "2024"),
        ("postgres", "bytea", "'\\xff'"),
        ("postgres", "int[]", "'{1}'"),
    ],
    indirect=["database"],
)
def test_a_value_that_pdo_gives_in_its_own_way_is_not_known(posts: Posts, kind: str, written: str) -> None:
    assert isinstance(posts.columns(f"c {kind}", written)[b"c"], CustomSerialized)
