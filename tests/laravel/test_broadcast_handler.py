"""What Laravel's broadcaster does with an event, whoever knows the event: names, channels, limits.

That it is Laravel's is shown by the recorded payloads; here are the turns that few apps take.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from bridge.errors import Refused, WouldFail
from bridge.laravel.broadcast_handler import Call, Connections, handle
from bridge.phpeval.laravel.version import Version
from bridge.phpeval.php.runtime.operators import to_string
from bridge.phpeval.php.runtime.values import EnumCase, PhpArray, PhpObject, Value
from bridge.phpeval.php.serialization.json_encode import json_encode

CONNECTIONS = Connections(
    drivers={"pusher": "pusher", "own": "reverb", "quiet": "log", "soketi": "ably"}, default="pusher"
)


@dataclass(frozen=True, kw_only=True)
class Event:
    """An `EventView` whose answers are given."""

    sent_name: Value = b"sent"
    sent_channels: Value = b"c"
    sent_connections: tuple[Value, ...] = (None,)
    sent_payload: PhpArray = field(default_factory=lambda: PhpArray({b"a": 1}))

    def name(self) -> Value:
        return self.sent_name

    def channels(self) -> Value:
        return self.sent_channels

    def connections(self) -> PhpArray:
        return PhpArray.of(self.sent_connections)

    def payload(self) -> PhpArray:
        return self.sent_payload

    def text(self, value: Value) -> bytes:
        return to_string(value)

    def json(self, payload: PhpArray) -> str:
        return json_encode(payload, lambda _: PhpObject("stdClass"))

    def enum_value(self, case: EnumCase) -> Value:
        return case.case.lower().encode()


def calls(event: Event, version: Version = (11, 38), connections: Connections = CONNECTIONS) -> list[Call]:
    return handle(event, version, connections)


def many(count: int) -> PhpArray:
    return PhpArray.of(f"c{number}".encode() for number in range(count))


@pytest.mark.parametrize(("version", "fails"), [((9, 11), True), ((9, 12), False), ((13, 0), False)])
def test_more_channels_than_one_call_takes_are_split_from_the_release_that_splits(
    version: Version, fails: bool
) -> None:
    event = Event(sent_channels=many(250))
    if fails:
        with pytest.raises(WouldFail, match="100 channels at most"):
            calls(event, version)
    else:
        assert [len(call.channels) for call in calls(event, version)] == [100, 100, 50]


@pytest.mark.parametrize("channels", [None, PhpArray()])
def test_without_channels_nothing_is_sent_but_by_old_releases(channels: Value) -> None:
    assert calls(Event(sent_channels=channels), (8, 45)) == []
    with pytest.raises(Refused, match="without a channel"):
        calls(Event(sent_channels=channels), (8, 44))


@pytest.mark.parametrize("name", [b"a b", b"", b"c\n", "ä".encode(), b"c/d"])
def test_a_channel_name_that_pusher_does_not_take_fails(name: bytes) -> None:
    with pytest.raises(WouldFail, match="channel name"):
        calls(Event(sent_channels=PhpArray.of([b"good", name])))


def test_an_encrypted_channel_is_alone_in_its_call() -> None:
    with pytest.raises(WouldFail, match="that channel only"):
        calls(Event(sent_channels=PhpArray.of([b"private-encrypted-a", b"b"])))
    assert calls(Event(sent_channels=b"private-encrypted-a"))[0].channels == ("private-encrypted-a",)
    spread = Event(sent_channels=PhpArray.of([*many(100).values(), b"private-encrypted-a"]))
    assert calls(spread)[1].channels == ("private-encrypted-a",)


@pytest.mark.parametrize("socket", [b"1.2", None])
def test_the_socket_is_taken_out_of_the_data(socket: Value) -> None:
    (call,) = calls(Event(sent_payload=PhpArray({b"a": 1, b"socket": socket})))
    assert (call.data, call.socket) == ('{"a":1}', socket.decode() if isinstance(socket, bytes) else None)


@pytest.mark.parametrize("socket", [b"", b"x", b"1.2.3", b"1.2\n", 7])
def test_a_socket_that_is_no_socket_id_fails(socket: Value) -> None:
    with pytest.raises(WouldFail, match="socket_id"):
        calls(Event(sent_payload=PhpArray({b"socket": socket})))


def test_each_connection_gets_its_call_and_those_that_send_nothing_get_none() -> None:
    event = Event(sent_connections=(b"pusher", b"quiet", b"own", None))
    assert [call.connection for call in calls(event)] == ["pusher", "own", "pusher"]
    assert calls(Event(), connections=Connections(drivers={}, default=None)) == []


def test_a_connection_that_is_no_pusher_server_is_refused_and_one_that_is_missing_fails() -> None:
    with pytest.raises(Refused, match="soketi"):
        calls(Event(sent_connections=(b"soketi",)))
    with pytest.raises(WouldFail, match="is not defined"):
        calls(Event(sent_connections=(b"nowhere",)))


def test_a_connection_may_have_channels_and_data_of_its_own_from_the_release_that_has_them() -> None:
    event = Event(
        sent_connections=(b"own", b"pusher"),
        sent_channels=PhpArray({b"own": PhpArray.of([b"mine"]), 0: b"all"}),
        sent_payload=PhpArray({b"own": PhpArray({b"b": 2}), b"socket": b"1.2"}),
    )
    (mine, *_) = calls(Event(sent_connections=(b"own",), sent_channels=event.sent_channels,
                             sent_payload=event.sent_payload))  # fmt: skip
    assert (mine.channels, mine.data, mine.socket) == (("mine",), '{"b":2}', "1.2")


@pytest.mark.parametrize("name", [None, PhpArray(), b"\xff"])
def test_an_event_without_a_readable_name_fails(name: Value) -> None:
    with pytest.raises(WouldFail, match="broadcastAs"):
        calls(Event(sent_name=name))


def test_an_enum_is_a_name_and_a_connection_from_the_releases_that_take_one() -> None:
    case = EnumCase("App\\Names", "Own")
    assert calls(Event(sent_name=case), (13, 16))[0].name == "own"
    with pytest.raises(WouldFail):
        calls(Event(sent_name=case), (13, 15))
    assert calls(Event(sent_connections=(case,)))[0].connection == "own"
