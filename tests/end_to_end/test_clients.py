"""The official clients against the server alone, in Node and in Chromium: what the protocol lets them do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import pytest

from bridge.sockets.pusher import close_codes
from bridge.sockets.pusher.app import App
from tests.end_to_end.clients import Threaded, serving
from tests.end_to_end.echo import Client, Driver, Place, echo_driver
from tests.end_to_end.processes import wait_until
from tests.sockets.server.running import Running

APP = App(id="app-id", key="app-key", secret="app-secret")


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driver]:
    with echo_driver(tmp_path_factory.mktemp("driver") / "log.txt") as driver:
        yield driver


@pytest.fixture(scope="module")
def server() -> Iterator[Threaded]:
    with serving(APP) as server:
        yield server


@pytest.fixture(params=["node", "chromium"])
def open_client(request: pytest.FixtureRequest, driver: Driver, server: Threaded) -> Iterator[Opener]:
    opener = Opener(driver, server, request.param)
    yield opener
    for client in opener.clients:
        client.close()


class Opener:
    def __init__(self, driver: Driver, server: Threaded, place: Place) -> None:
        self.driver = driver
        self.server = server
        self.place: Place = place
        self.clients: list[Client] = []

    def __call__(self, user: str, *, key: str = APP.key, server: Threaded | None = None) -> Client:
        """A client of this user, connected, or refused for good."""
        origin = f"http://127.0.0.1:{self.server.port}"
        client = self.driver.open(f"{user}-{self.place}", self.place, page=f"{origin}/page")
        self.clients.append(client)
        port = (server or self.server).port
        client.do("connect", key=key, host="127.0.0.1", port=port, app=origin, token=user)
        return client


def publish(server: Threaded, channel: str, data: str = '{"n":1}', **more: str) -> int:
    return server.do(lambda running: running.publish(channel, data=data, **more))


def seen(client: Client, channel: str) -> list[str]:
    """The names of all that came for a channel to which pusher-js itself is subscribed."""
    return [it["event"] for it in client.saw("raw", channel=channel)]


def test_after_unsubscribing_nothing_comes_any_more(open_client: Opener, server: Threaded) -> None:
    ann = open_client("ann")
    assert ann.do("subscribe", channel="news") == {"subscribed": "news"}
    publish(server, "news")
    wait_until("the event", lambda: "event" in seen(ann, "news"))
    ann.do("unsubscribe", channel="news")
    ann.catch_up()
    assert publish(server, "news") == 0


def test_members_see_each_other_come_and_go_and_whisper(open_client: Opener) -> None:
    ann, bob = open_client("ann"), open_client("bob")
    ann.listen("presence", "room", whispers=("typing",))
    bob.listen("presence", "room")
    assert ann.saw("here") == [{**ann.saw("here")[0], "members": ["ann"]}]
    wait_until("bob's list", lambda: bob.saw("here", members=["ann", "bob"]))
    wait_until("ann sees bob come", lambda: ann.saw("joining", member="bob"))
    bob.whisper("room", "typing", {"at": 3})
    wait_until("the whisper", lambda: ann.saw("whisper", event="typing", data={"at": 3}))
    bob.leave("room")
    wait_until("ann sees bob leave", lambda: ann.saw("leaving", member="bob"))
    assert not bob.saw("whisper")


def test_a_refused_subscription_is_told(open_client: Opener) -> None:
    nobody = open_client("nobody")
    assert nobody.do("subscribe", channel="private-a") == {"refused": 403}  # by the app
    assert nobody.do("subscribe", channel="a b") == {"refused": 400}  # by the server


def test_a_cache_channel_gives_the_last_event_or_tells_that_there_is_none(
    open_client: Opener, server: Threaded
) -> None:
    channel = f"cache-{open_client.place}"
    ann, bob = open_client("ann"), open_client("bob")
    ann.do("subscribe", channel=channel)
    wait_until("the miss", lambda: "pusher:cache_miss" in seen(ann, channel))
    publish(server, channel, '{"n":1}')
    publish(server, channel, '{"n":2}')
    bob.do("subscribe", channel=channel)
    wait_until("the last event", lambda: bob.saw("raw", channel=channel, event="event", data={"n": 2}))
    bob.catch_up()
    assert not bob.saw("raw", channel=channel, event="event", data={"n": 1})
    assert "pusher:cache_miss" not in seen(bob, channel)


def test_a_signed_in_user_gets_its_own_events_and_sees_who_is_online(
    open_client: Opener, server: Threaded
) -> None:
    ann = open_client("ann")
    ann.do("signin", events=["greeting", "event"])
    bob = open_client("bob")
    bob.do("signin")
    wait_until("bob is online", lambda: ann.saw("online", users=["bob"]))
    assert publish(server, "#server-to-user-ann", '{"n":7}') == 1
    wait_until("ann's event", lambda: ann.saw("user", event="event", data={"n": 7}))
    assert not bob.saw("user")
    bob.do("disconnect")
    wait_until("bob is offline", lambda: ann.saw("offline", users=["bob"]))


def test_a_client_that_is_sent_away_comes_back_to_its_channels(open_client: Opener, server: Threaded) -> None:
    ann = open_client("ann")
    ann.listen("private", "orders", events=(".event",))

    def send_away(code: int) -> None:
        def close(running: Running) -> None:
            for socket in tuple(running.node.hubs["app-id"].sockets.values()):
                socket.close(code)

        server.do(close)

    for times, code in enumerate((close_codes.RECONNECT, close_codes.OVER_CAPACITY, 1001), start=2):
        send_away(code)
        wait_until("connected again", partial(is_connected, ann, times))
        tag = f"after {code}"
        arrives = partial(publish, server, "private-orders", json.dumps({"tag": tag}))
        wait_until("subscribed again", arrives)
        ann.await_received(tag)


def is_connected(client: Client, times: int) -> bool:
    return len(client.saw("state", state="connected")) >= times


@pytest.mark.parametrize(
    ("app", "key", "code"),
    [
        pytest.param(APP, "other", close_codes.UNKNOWN_APP, id="unknown app"),
        pytest.param(replace(APP, enabled=False), APP.key, close_codes.APP_DISABLED, id="disabled app"),
        pytest.param(replace(APP, max_connections=0), APP.key, close_codes.OVER_QUOTA, id="full app"),
        pytest.param(
            replace(APP, allowed_origins=("elsewhere.test",)), APP.key, close_codes.UNAUTHORIZED, id="origin"
        ),
    ],
)
def test_a_client_that_may_not_connect_is_told_the_code_and_stays_away(
    open_client: Opener, app: App, key: str, code: int
) -> None:
    if code == close_codes.UNAUTHORIZED and open_client.place == "node":
        app = replace(APP, enabled=False)  # Node has no origin
        code = close_codes.APP_DISABLED
    with serving(app) as closed:
        ann = open_client("ann", key=key, server=closed)
        wait_until("the error", lambda: ann.saw("error", code=code))
        assert ann.saw("state", state="disconnected")
        assert not ann.saw("state", state="connected")
        ann.do("disconnect")


def test_an_error_message_leaves_the_connection_as_it_is(open_client: Opener) -> None:
    with serving(replace(APP, client_events=False)) as quiet:
        ann = open_client("ann", server=quiet)
        ann.listen("private", "a")
        ann.whisper("a", "typing", {})
        wait_until("the error", lambda: ann.saw("error", code=close_codes.CLIENT_EVENT_REFUSED))
        ann.catch_up()
        assert len(ann.saw("state", state="connected")) == 1
        ann.do("disconnect")
