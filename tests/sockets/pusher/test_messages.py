import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.errors import ProtocolError
from bridge.sockets.pusher import close_codes, messages
from bridge.sockets.pusher.messages import ClientEvent, Ping, Pong, Signin, Subscribe, Unsubscribe

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
broken_text = st.text(st.characters(codec=None))  # lone surrogates too


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"event":"pusher:ping","data":{}}', Ping()),
        ('{"event":"pusher:ping"}', Ping()),
        ('{"event":"pusher:pong","data":{}}', Pong()),
        (
            '{"event":"pusher:subscribe","data":{"auth":"","channel":"news"}}',
            Subscribe(channel="news", auth="", channel_data=None),
        ),
        (
            '{"event":"pusher:subscribe","data":{"channel":"news"}}',
            Subscribe(channel="news", auth="", channel_data=None),
        ),
        (
            '{"event":"pusher:subscribe","data":"{\\"channel\\":\\"news\\",\\"auth\\":\\"k:s\\"}"}',
            Subscribe(channel="news", auth="k:s", channel_data=None),
        ),
        (
            '{"event":"pusher:subscribe","data":{"channel":"presence-x","auth":"k:s","channel_data":"{ }"}}',
            Subscribe(channel="presence-x", auth="k:s", channel_data="{ }"),
        ),
        ('{"event":"pusher:unsubscribe","data":{"channel":"news"}}', Unsubscribe(channel="news")),
        (
            '{"event":"pusher:signin","data":{"auth":"k:s","user_data":"{}"}}',
            Signin(auth="k:s", user_data="{}"),
        ),
        (
            '{"event":"client-typing","channel":"private-x","data":{"name":"A"}}',
            ClientEvent(name="client-typing", channel="private-x", data='{"name":"A"}', size=12),
        ),
        (
            '{"event":"client-typing","channel":"private-x"}',
            ClientEvent(name="client-typing", channel="private-x", data="null", size=4),
        ),
    ],
)
def test_what_clients_send_is_read(text: str, message: object) -> None:
    assert messages.read(text) == message


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "null",
        "[]",
        '"text"',
        "{}",
        '{"event":5}',
        '{"event":"unknown"}',
        '{"event":"pusher:connection_established","data":{}}',
        '{"event":"pusher_internal:member_added","data":{}}',
        '{"event":"pusher:subscribe"}',
        '{"event":"pusher:subscribe","data":null}',
        '{"event":"pusher:subscribe","data":"text"}',
        '{"event":"pusher:subscribe","data":{"channel":7}}',
        '{"event":"pusher:subscribe","data":{"channel":"x","auth":7}}',
        '{"event":"pusher:subscribe","data":{"channel":"x","channel_data":{}}}',
        '{"event":"client-x","channel":7}',
        '{"event":"client-x","channel":"private-x","data":NaN}',
        '{"event":"client-x","channel":"private-x","data":-Infinity}',
        '{"event":"client-x","channel":"private-x","data":1e999}',
        '{"event":"client-x","channel":"private-x","data":' + "9" * 5_000 + "}",
        "[" * 60_000,
        '{"a":' * 10_000,
    ],
)
def test_anything_else_is_a_protocol_error_that_does_not_close(text: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        messages.read(text)
    assert caught.value.code == close_codes.MALFORMED
    assert not caught.value.close


@given(st.text() | anything.map(json.dumps))
def test_no_text_makes_the_reader_fail_otherwise(text: str) -> None:
    with suppress(ProtocolError):
        messages.read(text)


@given(anything)
def test_client_event_data_arrives_as_it_was_sent(data: Any) -> None:
    text = json.dumps({"event": "client-x", "channel": "presence-a", "data": data})
    message = messages.read(text)
    assert isinstance(message, ClientEvent)
    sent = json.loads(messages.client_event(message, "7"))
    assert sent == {"event": "client-x", "channel": "presence-a", "data": data, "user_id": "7"}


@given(broken_text, broken_text, broken_text)
def test_an_event_carries_its_data_as_exactly_that_string(name: str, channel: str, data: str) -> None:
    text = messages.event(name, channel, data)
    assert text.isascii()
    assert json.loads(text) == {"event": name, "channel": channel, "data": data}


@given(broken_text, st.dictionaries(broken_text, st.none() | anything.map(json.dumps)))
def test_a_roster_is_an_object_keyed_by_user_id(channel: str, members: dict[str, str | None]) -> None:
    entries = [messages.roster_entry(user_id, info) for user_id, info in members.items()]
    text = messages.roster_succeeded(channel, [key for key, _ in entries], [info for _, info in entries])
    assert text.isascii()
    told = json.loads(text)
    assert (told["event"], told["channel"]) == ("pusher_internal:subscription_succeeded", channel)
    presence = json.loads(told["data"])["presence"]
    assert presence["count"] == len(members)
    assert presence["ids"] == list(members)
    assert presence["hash"] == {key: json.loads(info or "{}") for key, info in members.items()}


def test_the_size_of_a_client_events_string_is_that_of_the_string() -> None:
    message = messages.read('{"event":"client-x","channel":"private-a","data":"\u00e4\u00e4"}')
    assert isinstance(message, ClientEvent)
    assert message.size == 4
