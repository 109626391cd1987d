"""A queue entry's JSON: what is a broadcast, what is not, and what cannot be read."""

from __future__ import annotations

import base64
import json

import pytest

from bridge.errors import Refused, Unreadable
from bridge.laravel.encryption import Encrypter
from bridge.laravel.payload import BroadcastEvent, NotABroadcast, broadcast_event, json_object, read_payload
from bridge.phpeval.php.runtime.values import PhpArray, PhpObject, Value
from bridge.secret import Secret
from tests.phpeval.laravel.eloquent.app import job
from tests.phpeval.php.oracle import serialize

EVENT = PhpObject("App\\Events\\Shipped", {b"id": 7})


def read(raw: bytes) -> BroadcastEvent:
    return broadcast_event(read_payload(raw), lambda text: text, version=(11, 0))


def with_command(command: str, **document: object) -> bytes:
    whole = json.loads(job(EVENT)) | document
    whole["data"]["command"] = command
    return json.dumps(whole).encode()


def test_the_event_is_the_object_inside_the_command() -> None:
    event = read(job(EVENT))
    assert (event.class_name, event.event.get("id"), event.only_php) == ("App\\Events\\Shipped", 7, "")


def test_the_label_does_not_decide() -> None:
    assert read(job(EVENT, displayName="App\\Jobs\\Other")).class_name == "App\\Events\\Shipped"


@pytest.mark.parametrize("raw", [b"", b"no json", b"[]", b'{"a":1}', b"\xff", b"[" * 100_000])
def test_what_is_no_job_is_unreadable(raw: bytes) -> None:
    with pytest.raises(Unreadable):
        read_payload(raw)


@pytest.mark.parametrize("before", [b"", b" \r\n\t", b"\xef\xbb\xbf", b"\x0b", b"x"])
@pytest.mark.parametrize("after", [b"", b" \r\n\t", b"\0", b"}", b"{}", b"\xa0", b",", b"x"])
def test_white_space_may_stand_around_an_object_and_nothing_else(before: bytes, after: bytes) -> None:
    white = (b"", b" \r\n\t")
    is_read = before in white and after in white
    assert json_object(before + b'{"a": [1]}' + after) == ({"a": [1]} if is_read else None)


@pytest.mark.parametrize(
    "command", ["", "O:1", "i:5;", 'O:8:"stdClass":1:{s:5:"event";i:1;}', "O:9999999999:"]
)
def test_a_command_that_is_no_broadcast_is_not_guessed(command: str) -> None:
    with pytest.raises((Unreadable, Refused)) as caught:
        read(with_command(command))
    assert "9999" not in str(caught.value)


@pytest.mark.parametrize("digits", [600, 5_000])
def test_a_number_of_any_length_is_read_as_php_reads_it(digits: int) -> None:
    """Python refuses to convert long ones; `bridge resolve` and the worker must say the same."""
    document = read_payload(job(EVENT)[:-1] + b', "more": ' + b"9" * digits + b"}").document
    assert document["more"] == (float("inf") if digits > 600 else int("9" * digits))


@pytest.mark.parametrize("raw", [b"[1]", b"7", b"9" * 5_000, b"\xff\xfe{\x00}\x00"])
def test_what_is_no_object_is_said_to_be_none(raw: bytes) -> None:
    with pytest.raises(Unreadable, match="the payload is not a JSON object"):
        read_payload(raw)


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("", "the job's command is empty"),
        ("9" * 5_000, "neither a serialized object nor encrypted"),
        ("N;", "neither a serialized object nor encrypted"),
        (' O:8:"stdClass":0:{}', "neither a serialized object nor encrypted"),
        ("W10=", "neither a serialized object nor encrypted"),  # the base64 of `[]`
        ("e30=", "encrypted command does not have the form"),  # of `{}`
    ],
)
def test_a_command_is_said_to_be_encrypted_only_where_it_is(command: str, said: str) -> None:
    encrypter = Encrypter([Secret("base64:" + base64.b64encode(bytes(32)).decode())])
    with pytest.raises(Unreadable, match=said):
        broadcast_event(read_payload(with_command(command)), encrypter.decrypt, version=(11, 0))


def test_another_handler_is_another_job() -> None:
    other = json.dumps({"job": "App\\Jobs\\Old@handle", "data": {}}).encode()
    with pytest.raises(NotABroadcast):
        read(other)


def test_a_broadcast_that_another_handler_runs_is_refused() -> None:
    with pytest.raises(Refused, match="not Laravel's own"):
        read(job(EVENT, job="App\\Handler@call"))


@pytest.mark.parametrize(
    ("command", "what"),
    [
        ({"middleware": PhpArray.of([EVENT])}, "job middleware"),
        ({"chained": PhpArray.of([b"O:"])}, "a chain"),
    ],
)
def test_what_only_laravel_runs_is_named(command: dict[str, Value], what: str) -> None:
    assert read(job(EVENT, command=command)).only_php == what


def test_an_encrypted_command_is_opened_first() -> None:
    plain = json.loads(job(EVENT))["data"]["command"].encode()
    event = broadcast_event(read_payload(with_command("sealed")), lambda text: plain, version=(11, 0))
    assert event.class_name == "App\\Events\\Shipped"


def test_a_job_of_the_apps_own_that_calls_itself_a_broadcast_is_refused() -> None:
    own = serialize(PhpObject("App\\Jobs\\Own", {b"event": EVENT})).decode()
    with pytest.raises(Refused, match="calls itself a broadcast"):
        read(with_command(own))
