"""The text of a model's query. What the databases make of it stands in test_sources."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bridge.errors import Refused
from bridge.phpeval.laravel.eloquent.sql_text import Condition, Dialect, Join, Query, is_any_of, statement

MYSQL = Dialect(quote="`", place="%s", prefix="app_")
SQLITE = Dialect(quote='"', place="?", prefix="")
QUERY = Query(table="posts", key=Condition(column="posts.id", operator="=", value=7))


def test_names_are_quoted_and_tables_have_their_prefix() -> None:
    assert statement(QUERY, MYSQL) == ("select * from `app_posts` where `app_posts`.`id` = %s", (7,))
    assert statement(QUERY, SQLITE) == ('select * from "posts" where "posts"."id" = ?', (7,))


def test_a_schema_stands_before_the_prefix() -> None:
    query = Query(table="shop.posts", key=Condition(column="shop.posts.id", operator="=", value=7))
    text, _ = statement(query, MYSQL)
    assert text == "select * from `shop`.`app_posts` where `shop`.`app_posts`.`id` = %s"


def test_conditions_stand_in_order_with_their_values() -> None:
    query = replace(
        QUERY,
        key=is_any_of("posts.id", (7, b"8")),
        conditions=(
            Condition(column="state", operator="<>", value=b"draft"),
            Condition(column="posts.deleted_at", operator="null"),
            Condition(column="sent_at", operator="not null"),
        ),
        orders=(("sent_at", "desc"), ("posts.id", "asc")),
        limit=3,
    )
    assert statement(query, SQLITE) == (
        'select * from "posts" where "posts"."id" in (?, ?) and "state" <> ? and "posts"."deleted_at" is null'
        ' and "sent_at" is not null order by "sent_at" desc, "posts"."id" asc limit 3',
        (7, "8", "draft"),
    )


def test_no_keys_find_nothing() -> None:
    assert statement(replace(QUERY, key=is_any_of("posts.id", ())), SQLITE) == (
        'select * from "posts" where 0 = 1',
        (),
    )


def test_columns_of_a_pivot_table_have_names_of_their_own() -> None:
    join = Join(table="post_tag", first="tags.id", second="post_tag.tag_id", columns=("post_id", "weight"))
    query = Query(table="tags", key=is_any_of("post_tag.post_id", (7,)), join=join)
    assert statement(query, MYSQL)[0] == (
        "select `app_tags`.*, `app_post_tag`.`post_id` as `pivot_post_id`,"
        " `app_post_tag`.`weight` as `pivot_weight` from `app_tags` inner join `app_post_tag`"
        " on `app_tags`.`id` = `app_post_tag`.`tag_id` where `app_post_tag`.`post_id` = %s"
    )


@pytest.mark.parametrize("name", ["a`b", 'a"b', "a;b", "a->b", "a%sb"])
def test_a_name_that_could_end_its_quotes_is_refused(name: str) -> None:
    for query in (
        replace(QUERY, table=name),
        replace(QUERY, key=Condition(column=name, operator="=", value=1)),
        replace(QUERY, orders=((name, "asc"),)),
    ):
        with pytest.raises(Refused, match="unusual characters"):
            statement(query, MYSQL)


def test_statements_of_one_shape_share_their_text_and_not_their_values() -> None:
    other = replace(QUERY, key=Condition(column="posts.id", operator="=", value=8))
    assert statement(QUERY, MYSQL)[0] is statement(other, MYSQL)[0]
    assert statement(other, MYSQL)[1] == (8,)
    assert (
        statement(replace(QUERY, key=Condition(column="posts.id", operator="<", value=8)), MYSQL)[0]
        != (statement(QUERY, MYSQL)[0])
    )
