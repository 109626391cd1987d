"""Rows that were read for several keys: when they stand for a statement by one key, and when not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bridge.phpeval.laravel.eloquent.prefetched_rows import Key, PrefetchedRows, plain_keys, together
from bridge.phpeval.laravel.eloquent.sql_text import Condition, Join, Query
from bridge.phpeval.php.runtime.values import PhpArray, Value


def by_key(key: Value, column: str = "posts.id") -> Query:
    return Query(table="posts", key=Condition(column=column, operator="=", value=key))


def row(key: Value, title: bytes = b"T") -> PhpArray:
    return PhpArray({b"id": key, b"title": title})


def ahead(keys: list[Key], *rows: PhpArray) -> PrefetchedRows:
    made = PrefetchedRows(until=0)
    made.keep("mysql", together(by_key(0), keys), keys, rows)
    return made


@pytest.mark.parametrize(
    ("keys", "plain"),
    [
        ([1, 2, 1], [1, 2]),
        ([b"a-1", b"b_2"], [b"a-1", b"b_2"]),
        ([], []),
        ([1, b"2"], []),  # databases compare a number and a text in their own ways
        ([b"abc", b"ABC"], []),
        ([b"caf\xc3\xa9"], []),
        ([b"abc "], []),
        ([b""], []),
        ([True, 3], [3]),
        ([None, 1.5, 3], [3]),
    ],
)
def test_only_keys_that_no_database_takes_for_others_are_looked_for_together(
    keys: list[Value], plain: list[Key]
) -> None:
    assert plain_keys(keys) == plain


def test_one_key_gets_its_row() -> None:
    assert ahead([1, 2], row(1), row(2)).rows("mysql", by_key(2)) == [row(2)]


def test_several_keys_get_their_rows() -> None:
    query = together(by_key(0), [2, 3, 2])
    assert ahead([1, 2, 3], row(1), row(2), row(3)).rows("mysql", query) == [row(2), row(3)]


def test_a_number_that_was_not_found_has_no_row() -> None:
    assert ahead([1, 2], row(1)).rows("mysql", by_key(2)) == []


def test_a_text_that_was_not_found_is_asked_for_again() -> None:
    assert ahead([b"a", b"b"], row(b"a")).rows("mysql", by_key(b"b")) is None


@pytest.mark.parametrize("found", [b"1", 1.0, True, b"1x", None])
def test_where_a_row_holds_another_key_than_was_asked_for_nothing_is_known(found: Value) -> None:
    made = ahead([1, 2], row(found), row(2))
    assert made.rows("mysql", by_key(1)) is None
    assert made.rows("mysql", by_key(2)) is None


def test_several_rows_of_a_key_are_not_known_as_their_order_may_be_another() -> None:
    made = ahead([1, 2], row(1, b"A"), row(1, b"B"), row(2))
    assert made.rows("mysql", by_key(1)) is None
    assert made.rows("mysql", by_key(2)) == [row(2)]


def test_several_rows_of_the_only_key_are_known_in_order() -> None:
    made = ahead([1], row(1, b"A"), row(1, b"B"))
    assert made.rows("mysql", by_key(1)) == [row(1, b"A"), row(1, b"B")]
    assert made.rows("mysql", replace(by_key(1), limit=1)) is None


@pytest.mark.parametrize(
    ("connection", "query"),
    [
        ("other", by_key(1)),
        ("mysql", by_key(b"1")),
        ("mysql", by_key(True)),
        ("mysql", by_key(3)),
        ("mysql", by_key(1, "posts.user_id")),
        ("mysql", replace(by_key(1), table="comments")),
        ("mysql", replace(by_key(1), orders=(("id", "asc"),))),
        ("mysql", replace(by_key(1), conditions=(Condition(column="deleted_at", operator="null"),))),
        ("mysql", together(by_key(0), [1, 3])),
    ],
)
def test_another_question_is_not_answered(connection: str, query: Query) -> None:
    assert ahead([1, 2], row(1), row(2)).rows(connection, query) is None


def test_every_answer_has_rows_of_its_own() -> None:
    made = ahead([1, 2], row(1), row(2))
    first = made.rows("mysql", by_key(1))
    assert first is not None
    del first[0][b"title"]
    assert made.rows("mysql", by_key(1)) == [row(1)]


def test_rows_through_a_pivot_table_are_known_by_the_key_in_it() -> None:
    join = Join(table="post_tag", first="tags.id", second="post_tag.tag_id", columns=("post_id", "tag_id"))
    query = Query(table="tags", key=Condition(column="post_tag.post_id", operator="=", value=1), join=join)
    made = PrefetchedRows(until=0)
    tag = PhpArray({b"id": 9, b"pivot_post_id": 1, b"pivot_tag_id": 9})
    made.keep("mysql", together(query, [1, 2]), [1, 2], [tag])
    assert made.rows("mysql", query) == [tag]
