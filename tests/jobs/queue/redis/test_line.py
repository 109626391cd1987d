"""Commands that travel together: their answers, their errors, and a connection that is cut."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from redis.exceptions import ConnectionError, ResponseError

from bridge.jobs.queue.redis.line import Line, script
from tests.jobs.queue.stores import RedisStore


@pytest.fixture
def line(redis_store: RedisStore) -> Iterator[Line]:
    made = Line(redis_store.client)
    yield made
    made.close()


def test_answers_come_in_the_order_of_the_commands(line: Line) -> None:
    assert line.ask(("RPUSH", b"some", b"\x00\r\n", 7), ("LLEN", "some"), ("LPOP", "some")) == [
        2,
        2,
        b"\x00\r\n",
    ]
    assert line.run(("LPOP", "some")) == b"7"


def test_an_error_is_raised_once_all_answers_are_read(line: Line) -> None:
    line.run(("SET", "text", "x"))
    with pytest.raises(ResponseError, match="WRONGTYPE"):
        line.ask(("LLEN", "text"), ("RPUSH", "some", 1), ("RPUSH", "text", 1))
    assert line.ask(("LLEN", "some"), ("GET", "text")) == [1, b"x"]


def test_scripts_that_the_server_does_not_know_are_given_first(line: Line, redis_store: RedisStore) -> None:
    line.run(("RPUSH", "some", "a", "b"))
    for _ in range(2):
        redis_store.client.script_flush()
        look = script("head", (b"some",), 0, 9, 1000, 1000)
        assert line.ask(look, ("LLEN", "some"), look) == [[b"a", b"b"], 2, [b"a", b"b"]]


def test_a_connection_that_was_cut_is_replaced(line: Line, redis_store: RedisStore) -> None:
    for _ in range(2):
        number = line.run(("CLIENT", "ID"))
        redis_store.client.client_kill_filter(_id=number)
        assert line.run(("CLIENT", "ID")) != number


def test_a_connection_that_is_cut_amid_a_command_is_replaced_once(line: Line) -> None:
    line.run(("PING",))
    with pytest.raises(ConnectionError):  # and again over the second connection
        line.ask(("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "no"), ("PING",))
    assert line.run(("PING",)) == b"PONG"
