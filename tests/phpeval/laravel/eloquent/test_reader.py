"""Rows of a batch: read once, for as long as the batch and a second at most."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from bridge.errors import Refused
from bridge.laravel.application import load
from bridge.laravel.database import engine
from bridge.phpeval.laravel.eloquent.prefetched_rows import Key
from bridge.phpeval.laravel.eloquent.reader import FRESH, Records
from bridge.phpeval.laravel.eloquent.sql_text import Condition, Query
from bridge.phpeval.php.runtime.values import Value


class Posts:
    """Records on a file with the posts 1 to 3; `now` is their clock."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "app.sqlite"
        self.now = 100.0
        self.connected: list[str] = []
        with closing(sqlite3.connect(self.file)) as database, database:
            database.execute("create table posts (id integer primary key, title varchar)")
            database.executemany("insert into posts values (?, 'Old')", [(1,), (2,), (3,)])
        (folder / ".env").write_text(f"DB_CONNECTION=sqlite\nDB_DATABASE={self.file}\n")
        facts = load(folder, {}, "11.0").database()

        def connect(name: str):  # type: ignore[no-untyped-def]
            self.connected.append(name)
            if name == "gone":
                raise Refused("the connection gone is not configured")
            return engine(facts), ""

        self.records = Records(connect, lambda: self.now)

    def change(self, title: str) -> None:
        with closing(sqlite3.connect(self.file)) as database, database:
            database.execute("update posts set title = ?", (title,))

    def ahead(self, *keys: Key) -> None:
        self.records.read_ahead("main", post(0), keys)

    def title(self, key: Value) -> Value:
        (row,) = self.records.select("main", post(key))
        return row[b"title"]


def post(key: Value) -> Query:
    return Query(table="posts", key=Condition(column="posts.id", operator="=", value=key), limit=1)


@pytest.fixture
def posts(tmp_path: Path) -> Iterator[Posts]:
    made = Posts(tmp_path)
    with closing(made.records):
        yield made


def test_a_row_that_was_read_for_the_batch_is_not_read_again(posts: Posts) -> None:
    posts.records.begin_batch()
    posts.ahead(1, 2)
    posts.change("New")
    assert posts.title(1) == posts.title(2) == b"Old"
    assert posts.title(3) == b"New"


def test_when_the_batch_has_ended_rows_are_read_again(posts: Posts) -> None:
    posts.records.begin_batch()
    posts.ahead(1, 2)
    posts.change("New")
    posts.records.end_batch()
    assert posts.title(1) == b"New"


def test_the_next_batch_knows_nothing_of_the_one_before(posts: Posts) -> None:
    posts.records.begin_batch()
    posts.ahead(1, 2)
    posts.change("New")
    posts.records.begin_batch()
    assert posts.title(1) == b"New"


def test_when_the_rows_have_grown_old_they_are_read_again(posts: Posts) -> None:
    posts.records.begin_batch()
    posts.ahead(1, 2)
    posts.change("New")
    posts.now += FRESH - 0.01
    assert posts.title(1) == b"Old"
    posts.now += 0.01
    assert posts.title(1) == b"New"
    posts.now -= FRESH  # once is for good
    assert posts.title(1) == b"New"


def test_without_a_batch_nothing_is_kept(posts: Posts) -> None:
    posts.ahead(1, 2)
    posts.change("New")
    assert posts.title(1) == b"New"


def test_a_connection_is_made_once_for_each_name_and_again_after_it_was_closed(posts: Posts) -> None:
    posts.title(1)
    posts.title(2)
    posts.records.select("other", post(1))
    assert posts.connected == ["main", "other"]
    posts.records.close()
    posts.title(1)
    assert posts.connected == ["main", "other", "main"]


def test_a_connection_that_cannot_be_used_says_so_each_time(posts: Posts) -> None:
    for _ in range(2):
        with pytest.raises(Refused, match="gone is not configured"):
            posts.records.select("gone", post(1))
