"""Habits of real clients, by their own timers and sizes; the clock is the test's."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from bridge.sockets.pusher.app import App, Limits
from bridge.sockets.pusher.outcome import Close
from tests.sockets.pusher.clients import APP, Room

DAY = 24 * 3_600


class Swift:
    """pusher-websocket-swift 10, below Flutter and React Native too.

    Its activity timer starts again with every event that it gets, `pusher:ping` too; when it runs out it
    sends a WebSocket ping frame. It never answers `pusher:ping`; its library answers ping frames.
    """

    def __init__(self, room: Room) -> None:
        self.room = room
        self.client = room.join()
        established = json.loads(self.client.take()[0]["data"])
        self.timeout = established["activity_timeout"]
        self.client.subscribe("prices")
        self.last_event = room.now

    def second(self) -> Close | None:
        """One second passes; how the server closes the connection, if it does."""
        room, connection = self.room, self.client.connection
        room.now += 1
        outcome = connection.check(room.now)
        room.perform(self.client, outcome)
        if outcome.ping:
            connection.ponged(room.now)
        if self.client.take():
            self.last_event = room.now
        if room.now - self.last_event >= self.timeout:
            connection.alive(room.now)
            self.last_event = room.now
        return outcome.close


@pytest.mark.parametrize("activity_timeout", [30, 120])
@pytest.mark.parametrize("every", [None, 7, 40, 49, 61], ids=lambda every: f"an event every {every} s")
def test_a_day_of_the_ios_sdk_is_never_cut(activity_timeout: int, every: int | None) -> None:
    room = Room(replace(APP, activity_timeout=activity_timeout))
    swift = Swift(room)
    for second in range(1, DAY + 1):
        if every is not None and second % every == 0:
            room.publish("prices")
        assert swift.second() is None, f"cut after {second} s"


@pytest.mark.parametrize("has_answered", [False, True], ids=["at once", "after a while"])
def test_a_page_out_of_sight_whose_browser_answers_ping_frames_is_closed(has_answered: bool) -> None:
    """As Chromium keeps a page in its back/forward cache: nothing of the page runs, the socket stays."""
    room = Room()
    page = room.join()
    connection = page.connection
    connection.answers = not has_answered  # known from its handshake, or from its first answer
    if has_answered:
        page.send("pusher:pong", {})
    for second in range(1, 300):
        room.now += 1
        outcome = connection.check(room.now)
        if outcome.ping:
            connection.ponged(room.now)
        if outcome.close is not None:
            assert outcome.close.code == 4201
            assert second <= APP.ping_interval + APP.pong_timeout
            return
    raise AssertionError("the page is still there")


def test_a_client_that_answers_neither_kind_of_ping_is_closed() -> None:
    room = Room()
    client = room.join()
    for _ in range(300):
        room.now += 1
        outcome = client.connection.check(room.now)
        if outcome.close is not None:
            assert outcome.close.code == 4201
            return
    raise AssertionError("the dead client is still connected")


TEXTS = ["a" * 900, "ж" * 450, "日" * 300, "😀" * 225, "\u2028" * 300, '"' * 450, "é" * 450]


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: text[0])
def test_what_a_member_shows_is_measured_in_bytes_of_utf8(text: str) -> None:
    most = 1_024 - len('{"n":}') - len(json.dumps(text, ensure_ascii=False).encode())
    for extra, event in (
        (most, "pusher_internal:subscription_succeeded"),
        (most + 1, "pusher:subscription_error"),
    ):
        info = {"n": text + "x" * extra}
        size = len(json.dumps(info, ensure_ascii=False, separators=(",", ":")).encode())
        assert (size <= 1_024) == event.endswith("succeeded")
        data = json.dumps({"user_id": "1", "user_info": info})
        assert Room().join().subscribe("presence-x", data)[0]["event"] == event


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: text[0])
@pytest.mark.parametrize("is_object", [False, True])
def test_a_whisper_is_measured_in_bytes_of_utf8(text: str, is_object: bool) -> None:
    room = Room()
    one, other = room.join(), room.join()
    for client in (one, other):
        client.subscribe("private-x")
    other.take()

    def size(data: Any) -> int:
        shown = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False, separators=(",", ":"))
        return len(shown.encode())

    text *= 10
    missing = 10_240 - size({"t": text} if is_object else text)
    for extra in (missing, missing + 1):
        data: Any = {"t": text + "x" * extra} if is_object else text + "x" * extra
        answers = one.send("client-t", data, channel="private-x")
        if size(data) <= 10_240:
            assert answers == []
            assert [message["data"] for message in other.take()] == [data]
        else:
            assert answers[0]["data"]["code"] == 4301
            assert other.take() == []


def test_a_cache_miss_has_data() -> None:
    answers = Room().join().subscribe("cache-x")
    assert answers[1] == {"event": "pusher:cache_miss", "channel": "cache-x", "data": "{}"}


def test_channel_data_of_a_private_channel_is_signed_with_it() -> None:
    client = Room().join()
    assert client.subscribe("private-x", '{"any":"thing"}')[0]["event"].endswith("succeeded")
    auth = client.sign("private-y")
    data = {"channel": "private-y", "auth": auth, "channel_data": "{}"}
    assert client.send("pusher:subscribe", data)[0]["data"]["status"] == 401


def test_all_channels_may_be_joined_and_left_at_once_again_and_again_but_not_for_ever() -> None:
    room = Room(App(id="a", key="k", secret="s", limits=Limits(subscriptions=500)))
    client = room.join()
    for _ in range(3):
        for number in range(500):
            client.subscribe(f"private-{number}")
        for number in range(500):
            client.send("pusher:unsubscribe", {"channel": f"private-{number}"})
        assert client.close is None
        room.now += 20
    rounds = 0
    while client.close is None:
        client.subscribe("private-x")
        if client.close is None:
            client.send("pusher:unsubscribe", {"channel": "private-x"})
        rounds += 1
        assert rounds < 2_000
    assert client.close.code == 4100
