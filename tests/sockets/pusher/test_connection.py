import json
import random
from dataclasses import replace
from typing import Any

import pytest

from bridge.sockets.pusher import messages
from bridge.sockets.pusher.app import Limits
from bridge.sockets.pusher.connection import Connection
from bridge.sockets.pusher.hub_events import (
    ClientEventSent,
    MemberAdded,
    Occupied,
    Subscribed,
    SubscriptionRefused,
    Unsubscribed,
    Vacated,
)
from bridge.sockets.pusher.outcome import Outcome
from tests.sockets.pusher.clients import APP, Client, Room


def room_with(**limits: Any) -> Room:
    return Room(replace(APP, limits=replace(Limits(), **limits)))


def test_the_first_message_tells_socket_id_and_activity_timeout() -> None:
    client = Room().join()
    (first,) = client.received
    assert first["event"] == "pusher:connection_established"
    assert json.loads(first["data"]) == {"socket_id": "1.1", "activity_timeout": 120}


def test_ping_is_answered_and_pong_is_not() -> None:
    client = Room().join()
    assert client.send("pusher:ping", {}) == [{"event": "pusher:pong", "data": {}}]
    assert client.send("pusher:pong", {}) == []


# Subscriptions


@pytest.mark.parametrize("channel", ["news", "private-x", "private-encrypted-x"])
def test_a_subscription_is_confirmed(channel: str) -> None:
    room = Room()
    client = room.join()
    assert client.subscribe(channel) == [
        {"event": "pusher_internal:subscription_succeeded", "channel": channel, "data": "{}"}
    ]
    assert room.happened(Occupied) == [Occupied(app_id="app-id", channel=channel)]


@pytest.mark.parametrize("channel", ["private-x", "private-encrypted-x", "presence-x", "private-cache-x"])
def test_a_wrong_signature_is_a_subscription_error_and_leaves_no_trace(channel: str) -> None:
    room = Room()
    client = room.join()
    for auth in ("", "app-key:" + "0" * 64, client.sign("private-other")):
        data = {"channel": channel, "auth": auth, "channel_data": '{"user_id":"1"}'}
        (answer,) = client.send("pusher:subscribe", data)
        assert answer["event"] == "pusher:subscription_error"
        assert answer["channel"] == channel
        assert answer["data"]["type"] == "AuthError"
        assert answer["data"]["status"] == 401
    assert room.hub.channels == {}
    assert len(room.happened(SubscriptionRefused)) == 3
    assert room.happened(Occupied) == []


def test_a_signature_holds_for_one_socket_only() -> None:
    room = Room()
    one, other = room.join(), room.join()
    (answer,) = other.send("pusher:subscribe", {"channel": "private-x", "auth": one.sign("private-x")})
    assert answer["event"] == "pusher:subscription_error"


@pytest.mark.parametrize("channel", ["", "a b", "#server-to-user-1", "x" * 165, "a\nb"])
def test_a_bad_channel_name_is_a_subscription_error(channel: str) -> None:
    client = Room().join()
    (answer,) = client.send("pusher:subscribe", {"channel": channel, "auth": ""})
    assert answer["event"] == "pusher:subscription_error"
    assert answer["data"]["status"] == 400


def test_a_second_subscription_to_the_same_channel_changes_nothing() -> None:
    room = Room()
    client, watcher = room.join(), room.join()
    watcher.enter("presence-x", "2")
    client.enter("presence-x", "1")
    watcher.take()
    (answer,) = client.enter("presence-x", "1")
    assert answer["event"] == "pusher_internal:subscription_succeeded"
    assert watcher.take() == []
    assert len(room.happened(Subscribed)) == 2
    client.leave()
    assert [message["event"] for message in watcher.take()] == ["pusher_internal:member_removed"]


def test_unsubscribing_ends_events_and_vacates_the_channel() -> None:
    room = Room()
    client = room.join()
    client.subscribe("news")
    assert client.send("pusher:unsubscribe", {"channel": "news"}) == []
    assert room.publish("news") == 0
    assert room.happened(Vacated) == [Vacated(app_id="app-id", channel="news")]
    assert client.send("pusher:unsubscribe", {"channel": "news"}) == []
    assert len(room.happened(Unsubscribed)) == 1


def test_there_is_a_limit_to_subscriptions() -> None:
    client = room_with(subscriptions=2).join()
    client.subscribe("a")
    client.subscribe("b")
    (answer,) = client.subscribe("c")
    assert answer["event"] == "pusher:subscription_error"
    assert answer["data"]["type"] == "LimitReached"


def test_a_reconnect_with_hundreds_of_subscriptions_is_no_flood() -> None:
    client = Room().join()
    for number in range(500):
        (answer,) = client.subscribe(f"private-{number}")
        assert answer["event"] == "pusher_internal:subscription_succeeded"
    assert client.close is None


# Presence


def test_a_member_sees_everybody_and_everybody_sees_it_once() -> None:
    room = Room()
    first, second = room.join(), room.join()
    first.enter("presence-x", "1", name="A")
    first.take()
    (answer,) = second.enter("presence-x", "2", name="B")
    assert json.loads(answer["data"]) == {
        "presence": {"ids": ["1", "2"], "hash": {"1": {"name": "A"}, "2": {"name": "B"}}, "count": 2}
    }
    (added,) = first.take()
    assert added["event"] == "pusher_internal:member_added"
    assert json.loads(added["data"]) == {"user_id": "2", "user_info": {"name": "B"}}


def test_members_are_users_and_not_sockets() -> None:
    room = Room()
    watcher, tab, other_tab = room.join(), room.join(), room.join()
    watcher.enter("presence-x", "9")
    tab.enter("presence-x", "1", page="one")
    watcher.take()
    other_tab.enter("presence-x", "1", page="two")
    assert watcher.take() == []
    tab.leave()
    assert watcher.take() == []
    told = json.loads(json.loads(room.hub.channels["presence-x"].roster.confirmation("presence-x"))["data"])
    assert told["presence"]["hash"]["1"] == {"page": "two"}
    other_tab.leave()
    (removed,) = watcher.take()
    assert removed["event"] == "pusher_internal:member_removed"
    assert json.loads(removed["data"]) == {"user_id": "1"}
    assert len(room.happened(MemberAdded)) == 2


def test_a_number_as_user_id_is_the_same_user() -> None:
    room = Room()
    one, other = room.join(), room.join()
    one.enter("presence-x", "7")
    (answer,) = other.enter("presence-x", 7)
    assert json.loads(answer["data"])["presence"]["ids"] == ["7"]


def test_a_member_without_user_info_is_an_empty_object_in_the_hash() -> None:
    room = Room()
    watcher, client = room.join(), room.join()
    watcher.enter("presence-x", "0")
    watcher.take()
    (answer,) = client.subscribe("presence-x", '{"user_id":"1"}')
    assert json.loads(answer["data"])["presence"]["hash"] == {"0": {}, "1": {}}
    assert json.loads(watcher.take()[0]["data"]) == {"user_id": "1"}


@pytest.mark.parametrize(
    "channel_data",
    [
        "{}",
        "[]",
        "nonsense",
        '{"user_id":""}',
        '{"user_id":null}',
        '{"user_id":true}',
        '{"user_id":1.5}',
        json.dumps({"user_id": "x" * 129}),
        json.dumps({"user_id": "1", "user_info": "x" * 1_100}),
        None,
    ],
)
def test_bad_channel_data_is_a_subscription_error(channel_data: str | None) -> None:
    client = Room().join()
    (answer,) = client.subscribe("presence-x", channel_data)
    assert answer["event"] == "pusher:subscription_error"


def test_what_is_no_json_is_named() -> None:
    client = Room().join()
    (answer,) = client.subscribe("presence-x", "nonsense")
    assert answer["data"]["error"] == "channel_data is not JSON"
    (answer,) = client.send("pusher:subscribe", "nonsense")
    assert answer["data"]["message"] == "data is not JSON"
    (answer,) = client.sign_in("nonsense")
    assert answer["data"]["message"] == "user_data is not JSON"


def test_a_full_presence_channel_takes_further_sockets_of_its_members_only() -> None:
    room = room_with(members=2)
    for user_id in ("1", "2"):
        room.join().enter("presence-x", user_id)
    (refused,) = room.join().enter("presence-x", "3")
    assert refused["data"]["type"] == "LimitReached"
    (answer,) = room.join().enter("presence-x", "2")
    assert answer["event"] == "pusher_internal:subscription_succeeded"


# Client events


def pair(channel: str = "private-x", room: Room | None = None) -> tuple[Room, Client, Client]:
    room = room or Room()
    sender, receiver = room.join(), room.join()
    for number, client in enumerate((sender, receiver)):
        client.subscribe(channel, json.dumps({"user_id": str(number)}) if "presence" in channel else None)
        client.take()
    sender.take()
    return room, sender, receiver


def test_a_client_event_goes_to_the_others_and_never_to_its_sender() -> None:
    room, sender, receiver = pair()
    assert sender.send("client-typing", {"name": "A"}, channel="private-x") == []
    assert receiver.take() == [{"event": "client-typing", "channel": "private-x", "data": {"name": "A"}}]
    (told,) = room.happened(ClientEventSent)
    assert isinstance(told, ClientEventSent)
    assert (told.data, told.socket_id, told.receivers) == ('{"name":"A"}', "1.1", 1)


def test_a_client_event_on_a_presence_channel_names_its_sender_whatever_the_client_says() -> None:
    _, sender, receiver = pair("presence-x")
    sender.send("client-typing", "text", channel="presence-x", user_id="1")
    assert receiver.take() == [
        {"event": "client-typing", "channel": "presence-x", "data": "text", "user_id": "0"}
    ]


@pytest.mark.parametrize("channel", ["news", "private-encrypted-x", "cache-x"])
def test_client_events_are_refused_on_other_kinds_of_channels(channel: str) -> None:
    _, sender, receiver = pair(channel)
    (answer,) = sender.send("client-x", {}, channel=channel)
    assert answer["data"]["code"] == 4301
    assert [message for message in receiver.take() if message["event"] == "client-x"] == []
    assert sender.close is None


def test_a_client_event_from_outside_the_channel_is_refused() -> None:
    room, _, receiver = pair()
    (answer,) = room.join().send("client-x", {}, channel="private-x")
    assert answer["data"]["code"] == 4301
    assert receiver.take() == []


def test_client_events_can_be_switched_off() -> None:
    _, sender, receiver = pair(room=Room(replace(APP, client_events=False)))
    (answer,) = sender.send("client-x", {}, channel="private-x")
    assert answer["data"]["code"] == 4301
    assert receiver.take() == []


def test_the_eleventh_client_event_in_a_second_is_refused() -> None:
    room, sender, receiver = pair()
    for _ in range(10):
        assert sender.send("client-x", {}, channel="private-x") == []
    (answer,) = sender.send("client-x", {}, channel="private-x")
    assert answer["data"]["code"] == 4301
    assert len(receiver.take()) == 10
    assert sender.close is None
    room.now += 1
    assert sender.send("client-x", {}, channel="private-x") == []


@pytest.mark.parametrize(("size", "is_sent"), [(10_240, True), (10_241, False)])
def test_a_client_events_data_has_a_limit(size: int, is_sent: bool) -> None:
    _, sender, receiver = pair()
    answers = sender.send("client-x", "x" * size, channel="private-x")
    assert (answers == []) is is_sent
    assert len(receiver.take()) == is_sent


def test_a_client_event_with_a_long_name_is_refused() -> None:
    _, sender, _ = pair()
    (answer,) = sender.send("client-" + "x" * 200, {}, channel="private-x")
    assert answer["data"]["code"] == 4301


# Signing in


def test_a_signed_in_user_gets_what_is_sent_to_the_user() -> None:
    room = Room()
    one, two, stranger = room.join(), room.join(), room.join()
    for client in (one, two):
        (answer,) = client.sign_in('{"id":"7"}')
        assert answer["event"] == "pusher:signin_success"
        assert json.loads(answer["data"]) == {"user_data": '{"id":"7"}'}
    stranger.take()
    one.leave()
    assert room.publish("#server-to-user-7") == 1
    assert two.take()[-1]["channel"] == "#server-to-user-7"
    assert stranger.take() == []
    two.leave()
    assert room.hub.users == {}


def test_a_wrong_signin_signature_ends_the_connection() -> None:
    client = Room().join()
    client.send("pusher:signin", {"auth": "app-key:00", "user_data": '{"id":"7"}'})
    assert client.close is not None
    assert client.close.code == 4009


def test_a_signed_in_user_enters_a_presence_channel_without_channel_data() -> None:
    client = Room().join()
    client.sign_in('{"id":"7","user_info":{"name":"A"}}')
    (answer,) = client.subscribe("presence-x")
    assert json.loads(answer["data"])["presence"]["hash"] == {"7": {"name": "A"}}


def test_a_connection_signs_in_once() -> None:
    room = Room()
    client = room.join()
    client.sign_in('{"id":"7"}')
    (answer,) = client.sign_in('{"id":"8"}')
    assert answer["event"] == "pusher:error"
    assert list(room.hub.users) == ["7"]


@pytest.mark.parametrize("user_data", ["{}", '{"id":7}', '{"id":""}', "[]", "nonsense"])
def test_signin_needs_an_id_that_is_a_string(user_data: str) -> None:
    room = Room()
    client = room.join()
    (answer,) = client.sign_in(user_data)
    assert answer["event"] == "pusher:error"
    assert room.hub.users == {}


# Watchlists


def watching(client: Client, user_id: str, *watchlist: Any) -> list[dict[str, Any]]:
    return client.sign_in(json.dumps({"id": user_id, "watchlist": watchlist}))


def told(client: Client) -> list[tuple[str, list[str]]]:
    """The watchlist events since the last look."""
    found = []
    for message in client.take():
        if message["event"] == "pusher_internal:watchlist_events":
            found += [(event["name"], event["user_ids"]) for event in json.loads(message["data"])["events"]]
    return found


def test_watchers_are_told_of_a_users_first_and_last_connection_only() -> None:
    room = Room()
    watcher, tab, other_tab = room.join(), room.join(), room.join()
    watching(watcher, "1", "2", "3")
    assert told(watcher) == []
    watching(tab, "2")
    watching(other_tab, "2")
    assert told(watcher) == [("online", ["2"])]
    tab.leave()
    assert told(watcher) == []
    other_tab.leave()
    assert told(watcher) == [("offline", ["2"])]
    assert told(tab) == []


def test_a_user_is_told_at_signin_who_is_online() -> None:
    room = Room()
    for user_id in ("2", "4"):
        watching(room.join(), user_id)
    client = room.join()
    answers = watching(client, "1", "4", "2", "3")
    assert [answer["event"] for answer in answers] == [
        "pusher:signin_success",
        "pusher_internal:watchlist_events",
    ]
    assert told(client) == [("online", ["4", "2"])]


def test_a_watchlist_that_is_too_long_is_cut_and_the_client_told_with_4302() -> None:
    room = room_with(watchlist=2)
    client = room.join()
    answers = watching(client, "1", "2", "3", "4")
    assert answers[0]["event"] == "pusher:signin_success"
    assert answers[1]["data"]["code"] == 4302
    assert set(room.hub.watchers) == {"2", "3"}


@pytest.mark.parametrize("watchlist", [[7], "2", {"2": 1}, [None]])
def test_a_watchlist_that_is_no_list_of_strings_is_no_signin(watchlist: Any) -> None:
    room = Room()
    (answer,) = room.join().sign_in(json.dumps({"id": "1", "watchlist": watchlist}))
    assert answer["data"]["code"] == 4300
    assert room.hub.users == {}


def test_a_connection_that_is_gone_watches_nobody() -> None:
    room = Room()
    watcher, client = room.join(), room.join()
    watching(watcher, "1", "1", "2")
    watching(client, "2", "1")
    watcher.leave()
    client.leave()
    assert room.hub.watchers == {}
    assert room.hub.users == {}


# Silence, floods, nonsense


def test_an_app_has_a_rate_of_client_events_for_all_its_connections() -> None:
    room = room_with(app_client_events_per_second=2)
    clients = [room.join() for _ in range(3)]
    for client in clients:
        client.subscribe("private-x")
    answers = [client.send("client-x", {}, channel="private-x") for client in clients]
    assert answers[:2] == [[], []]
    assert answers[2][0]["data"]["code"] == 4301


def test_a_silent_client_is_pinged_once_and_then_closed_with_4201() -> None:
    room = Room()
    client = room.join()
    start, codes, pings = room.now, [], 0
    for second in range(1, 76):
        outcome = client.connection.check(start + second)
        pings += len(outcome.replies)
        if outcome.close:
            codes.append((second, outcome.close.code))
    assert pings == 1
    assert codes == [(75, 4201)]


@pytest.mark.parametrize("late", [50, 149, 150, 1_000])
def test_a_client_is_never_closed_before_it_had_time_to_answer_a_ping(late: int) -> None:
    """However long the process could not look."""
    room = Room()
    client = room.join()
    start = room.now + late
    assert client.connection.check(start).replies == (messages.PING,)
    closed = [second for second in range(1, 200) if client.connection.check(start + second).close]
    assert closed[0] == 30


def test_an_answer_to_the_ping_starts_it_all_anew() -> None:
    room = Room()
    client = room.join()
    assert client.connection.check(room.now + 149).replies == (messages.PING,)
    client.connection.alive(room.now + 150)
    assert client.connection.check(room.now + 180) == Outcome()
    assert client.connection.check(room.now + 200).replies == (messages.PING,)


def test_any_sign_of_life_keeps_a_client() -> None:
    room = Room()
    client = room.join()
    for _ in range(10):
        room.now += 119
        client.connection.alive(room.now)
        assert client.connection.check(room.now + 1).close is None


def test_a_flood_of_messages_ends_the_connection_with_4100() -> None:
    client = Room().join()
    for _ in range(200):
        client.send("pusher:ping", {})
    assert client.close is None
    client.send("pusher:ping", {})
    assert client.close is not None
    assert client.close.code == 4100


def test_unreadable_messages_count_for_the_flood_too() -> None:
    client = Room().join()
    for _ in range(200):
        client.say("nonsense")
    assert client.close is None
    client.say("nonsense")
    assert client.close is not None


def test_refused_subscriptions_count_for_the_flood_too() -> None:
    client = Room().join()
    for number in range(201):
        client.send("pusher:subscribe", {"channel": f"private-{number}", "auth": "x"})
    assert client.close is not None


def test_nonsense_is_answered_with_an_error_and_the_connection_stays() -> None:
    client = Room().join()
    (answer,) = client.say("nonsense")
    assert answer["event"] == "pusher:error"
    assert answer["data"]["code"] == 4300
    assert client.send("pusher:ping", {}) != []


def test_those_who_came_together_are_not_pinged_together() -> None:
    """Spec row L-03: in no second more than a tenth of all pings, in none of many rounds."""
    room = Room()
    jitter = random.Random(1)
    connections = []
    for n in range(3_000):
        socket_id = f"{n}.1"
        connections.append(Connection(room.hub, socket_id, socket_id, room.now, jitter.random()))
        connections[-1].open()
    per_second = []
    for second in range(1, 301):
        pinged = [one for one in connections if one.check(room.now + second, jitter.random()).ping]
        for connection in pinged:
            connection.alive(room.now + second)
        per_second.append(len(pinged))
    assert sum(per_second[:50]) == len(connections)  # nobody is pinged later than before
    assert max(per_second) <= len(connections) / 10
    assert max(per_second[200:]) <= max(per_second[:50])
