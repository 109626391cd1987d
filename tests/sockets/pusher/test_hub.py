import json
from collections import Counter
from dataclasses import replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from bridge.sockets.pusher.app import Limits
from bridge.sockets.pusher.hub_events import (
    CacheMissed,
    Disconnected,
    MemberAdded,
    MemberRemoved,
    Occupied,
    Published,
    SubscriptionCounted,
    Vacated,
)
from tests.sockets.pusher.clients import APP, Client, Room


def test_a_broadcast_goes_to_the_subscribers_of_its_channels_only() -> None:
    room = Room()
    a, b = room.join(), room.join()
    a.subscribe("a")
    b.subscribe("b")
    a.take(), b.take()
    assert room.publish("a", "nobody", data='{"n":1}') == 1
    assert a.take() == [{"event": "event", "channel": "a", "data": '{"n":1}'}]
    assert b.take() == []
    (told,) = room.happened(Published)
    assert isinstance(told, Published)
    assert (told.channels, told.receivers, told.origin) == (("a", "nobody"), 1, "test")


def test_the_excepted_socket_is_left_out_and_nobody_else() -> None:
    room = Room()
    clients = [room.join() for _ in range(3)]
    for client in clients:
        client.subscribe("a")
        client.take()
    assert room.publish("a", socket_id=clients[1].connection.socket_id) == 2
    assert [len(client.take()) for client in clients] == [1, 0, 1]
    assert room.publish("a", socket_id="404.404") == 3


def test_a_socket_in_two_channels_of_a_broadcast_gets_both() -> None:
    room = Room()
    client = room.join()
    client.subscribe("a")
    client.subscribe("b")
    client.take()
    assert room.publish("b", "a") == 2
    assert [message["channel"] for message in client.take()] == ["b", "a"]


def test_a_cache_channel_gives_its_last_event_to_whoever_comes_later() -> None:
    room = Room()
    first, late = room.join(), room.join()
    succeeded, missed = first.subscribe("cache-x")
    assert (succeeded["event"], missed["event"]) == (
        "pusher_internal:subscription_succeeded",
        "pusher:cache_miss",
    )
    room.publish("cache-x", data="1")
    room.publish("cache-x", data="2")
    first.leave()
    assert [message.get("data") for message in late.subscribe("cache-x")] == ["{}", "2"]
    assert room.happened(CacheMissed) == [CacheMissed(app_id="app-id", channel="cache-x")]


def test_a_cached_event_is_forgotten_after_its_time() -> None:
    room = Room()
    room.publish("cache-x", "cache-y")
    room.now += 1_800
    assert room.join().subscribe("cache-x")[1]["event"] == "pusher:cache_miss"
    room.hub.forget_expired(room.now)
    assert room.hub.cached == {}


def test_the_number_of_cached_events_is_bounded_and_the_oldest_goes() -> None:
    room = Room(replace(APP, limits=replace(Limits(), cached_channels=2)))
    room.publish("cache-1", "cache-2", "cache-1", "cache-3")
    assert list(room.hub.cached) == ["cache-1", "cache-3"]


def test_a_miss_is_told_once_until_there_was_an_event() -> None:
    room = Room()
    for _ in range(3):
        assert room.join().subscribe("cache-x")[1]["event"] == "pusher:cache_miss"
    assert len(room.happened(CacheMissed)) == 1
    room.publish("cache-x")
    room.now += 1_800
    for _ in range(2):
        room.join().subscribe("cache-x")
    assert len(room.happened(CacheMissed)) == 2


def counts(room: Room, client: Client) -> list[int]:
    """The numbers of subscribers that the client is told at the next count."""
    client.take()
    outcome = room.hub.count(room.now)
    room.hub_events += outcome.hub_events
    for delivery in outcome.deliveries:
        for socket in delivery.sockets:
            room.clients[socket].received.append(json.loads(delivery.text))
    return [json.loads(message["data"])["subscription_count"] for message in client.take()]


def test_subscribers_are_counted_after_a_change_where_the_app_wants_it() -> None:
    room = Room(replace(APP, subscription_count=True))
    first, second = room.join(), room.join()
    first.subscribe("news")
    assert counts(room, first) == [1]
    second.subscribe("news")
    second.subscribe("other")
    assert counts(room, first) == [2]
    assert counts(room, first) == []
    second.leave()
    assert counts(room, first) == [1]
    assert room.happened(SubscriptionCounted)[0] == SubscriptionCounted(
        app_id="app-id", channel="news", subscriptions=1
    )
    assert room.hub.uncounted == set()


def test_nobody_is_counted_otherwise_nor_on_presence_channels() -> None:
    quiet, client = Room(), None
    client = quiet.join()
    client.subscribe("news")
    assert counts(quiet, client) == []
    room = Room(replace(APP, subscription_count=True))
    client = room.join()
    client.enter("presence-x", "1")
    assert counts(room, client) == []


def test_many_subscribers_are_counted_every_five_seconds_at_most() -> None:
    room = Room(replace(APP, subscription_count=True))
    clients = [room.join() for _ in range(102)]
    for client in clients[:101]:
        client.subscribe("news")
    assert counts(room, clients[0]) == [101]
    clients[101].subscribe("news")
    room.now += 4.9
    assert counts(room, clients[0]) == []
    room.now += 0.1
    assert counts(room, clients[0]) == [102]


def test_client_events_are_not_cached() -> None:
    room = Room()
    client = room.join()
    client.subscribe("private-cache-x")
    client.send("client-x", {}, channel="private-cache-x")
    assert room.hub.cached == {}


def test_the_end_of_a_connection_tells_its_code() -> None:
    room = Room()
    room.join().leave(1001)
    assert room.happened(Disconnected) == [Disconnected(app_id="app-id", socket_id="1.1", code=1001)]


CHANNELS = st.sampled_from(["a", "private-b", "presence-c", "presence-cache-d", "cache-e"])
USERS = st.sampled_from(["1", "2", "3"])


class HubSteps(RuleBasedStateMachine):
    """Random steps of many clients, beside the simplest model: each client's own set of channels."""

    clients: Bundle[Client] = Bundle("clients")

    def __init__(self) -> None:
        super().__init__()
        self.room = Room()
        self.model: dict[Client, dict[str, str | None]] = {}
        self.views: dict[tuple[Client, str], set[str]] = {}

    @rule(target=clients)
    def connect(self) -> Client:
        client = self.room.join()
        client.take()
        self.model[client] = {}
        return client

    @rule(client=clients, channel=CHANNELS, user=USERS)
    def subscribe(self, client: Client, channel: str, user: str) -> None:
        if client not in self.model:
            return
        is_presence = channel.startswith("presence-")
        answer = client.subscribe(channel, json.dumps({"user_id": user}) if is_presence else None)[0]
        assert answer["event"] == "pusher_internal:subscription_succeeded"
        self.model[client].setdefault(channel, user if is_presence else None)
        if is_presence:
            self.views[client, channel] = set(json.loads(answer["data"])["presence"]["hash"])
        self._look()

    @rule(client=clients, channel=CHANNELS)
    def unsubscribe(self, client: Client, channel: str) -> None:
        if client in self.model:
            client.send("pusher:unsubscribe", {"channel": channel})
            self.model[client].pop(channel, None)
            self.views.pop((client, channel), None)
            self._look()

    @rule(client=consumes(clients))
    def disconnect(self, client: Client) -> None:
        client.leave()
        for channel in self.model.pop(client):
            self.views.pop((client, channel), None)
        self._look()

    @rule(channel=CHANNELS, client=clients)
    def publish(self, channel: str, client: Client) -> None:
        is_there = client in self.model and channel in self.model[client]
        expected = sum(channel in channels for channels in self.model.values()) - is_there
        assert self.room.publish(channel, socket_id=client.connection.socket_id) == expected
        self._look()

    def _look(self) -> None:
        """Every client keeps its own list of members, as pusher-js does, from what it is told."""
        for client in self.model:
            for message in client.take():
                view = self.views.get((client, message.get("channel", "")), set())
                if message["event"] == "pusher_internal:member_added":
                    user = json.loads(message["data"])["user_id"]
                    assert user not in view
                    view.add(user)
                elif message["event"] == "pusher_internal:member_removed":
                    view.remove(json.loads(message["data"])["user_id"])

    @invariant()
    def the_hub_is_what_the_clients_did(self) -> None:
        hub = self.room.hub
        assert len(hub.sockets) == len(self.model)
        subscriptions = Counter(channel for channels in self.model.values() for channel in channels)
        assert {name: len(channel.sockets) for name, channel in hub.channels.items()} == subscriptions
        for name, channel in hub.channels.items():
            users = Counter(channels[name] for channels in self.model.values() if name in channels)
            users.pop(None, None)
            counted = {user_id: presence.connections for user_id, presence in channel.members.items()}
            assert counted == users
        for client, channels in self.model.items():
            assert set(client.connection.channels) == set(channels)

    @invariant()
    def every_member_list_is_right(self) -> None:
        for (client, channel), view in self.views.items():
            assert client in self.model
            assert view == set(self.room.hub.channels[channel].members)

    @invariant()
    def happenings_come_in_pairs(self) -> None:
        room = self.room
        assert len(room.happened(Occupied)) - len(room.happened(Vacated)) == len(room.hub.channels)
        members = sum(len(channel.members) for channel in room.hub.channels.values())
        assert len(room.happened(MemberAdded)) - len(room.happened(MemberRemoved)) == members


HubSteps.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestHubSteps = HubSteps.TestCase


# Members that were lost

GRACE = replace(APP, presence_grace=5.0)


def member_events(client: Client) -> list[tuple[str, str]]:
    events = {"pusher_internal:member_added": "added", "pusher_internal:member_removed": "removed"}
    return [
        (events[message["event"]], json.loads(message["data"])["user_id"])
        for message in client.take()
        if message["event"] in events
    ]


def remove_absent(room: Room, seconds: float) -> None:
    room.now += seconds
    outcome = room.hub.remove_absent(room.now)
    room.hub_events += outcome.hub_events
    for delivery in outcome.deliveries:
        for socket in delivery.sockets:
            room.clients[socket].received.append(json.loads(delivery.text))


def test_a_page_that_is_loaded_again_neither_leaves_nor_joins() -> None:
    room = Room(GRACE)
    others = [room.join() for _ in range(3)]
    for n, client in enumerate(others):
        client.enter("presence-x", str(n))
    page = room.join()
    page.enter("presence-x", "9")
    for client in others:
        client.take()
    for _ in range(100):
        page.leave(1001)
        remove_absent(room, 1.0)
        page = room.join()
        (confirmed,) = page.enter("presence-x", "9", name="newer")
        assert json.loads(confirmed["data"])["presence"]["hash"]["9"] == {"name": "newer"}
        assert json.loads(confirmed["data"])["presence"]["count"] == 4
    remove_absent(room, 60.0)
    assert [member_events(client) for client in others] == [[], [], []]
    assert len(room.happened(MemberAdded)) == 4
    assert room.happened(MemberRemoved) == []
    assert room.hub.with_leaving == set()


def test_who_does_not_come_back_is_removed_once_after_the_grace() -> None:
    room = Room(GRACE)
    watcher, lost = room.join(), room.join()
    watcher.enter("presence-x", "1")
    lost.enter("presence-x", "2")
    watcher.take()
    lost.leave(1006)
    remove_absent(room, 4.9)
    assert member_events(watcher) == []
    assert list(room.hub.channels["presence-x"].members) == ["1", "2"]
    remove_absent(room, 0.1)
    remove_absent(room, 10.0)
    assert member_events(watcher) == [("removed", "2")]
    assert len(room.happened(MemberRemoved)) == 1
    again = room.join()
    again.enter("presence-x", "2")
    assert member_events(watcher) == [("added", "2")]


def test_the_grace_counts_from_the_last_loss_and_other_connections_keep_the_member() -> None:
    room = Room(GRACE)
    watcher, one, other = room.join(), room.join(), room.join()
    watcher.enter("presence-x", "1")
    one.enter("presence-x", "2")
    other.enter("presence-x", "2")
    watcher.take()
    one.leave()
    remove_absent(room, 60.0)
    assert room.happened(MemberRemoved) == []
    other.leave()
    remove_absent(room, 4.0)
    back = room.join()
    back.enter("presence-x", "2")
    remove_absent(room, 4.0)
    back.leave()
    remove_absent(room, 4.0)
    assert member_events(watcher) == []
    remove_absent(room, 1.0)
    assert member_events(watcher) == [("removed", "2")]


def test_leaving_on_purpose_or_by_the_apps_will_has_no_grace() -> None:
    room = Room(GRACE)
    watcher, leaves, ended = room.join(), room.join(), room.join()
    watcher.enter("presence-x", "1")
    leaves.enter("presence-x", "2")
    ended.enter("presence-x", "3")
    watcher.take()
    leaves.send("pusher:unsubscribe", {"channel": "presence-x"})
    ended.leave(4009)
    assert member_events(watcher) == [("removed", "2"), ("removed", "3")]


def test_an_empty_channel_is_vacated_at_once_with_whoever_was_leaving() -> None:
    room = Room(GRACE)
    one, other = room.join(), room.join()
    one.enter("presence-x", "1")
    other.enter("presence-x", "2")
    one.leave()
    other.leave()
    assert room.hub.channels == {}
    removed = [MemberRemoved(app_id="app-id", channel="presence-x", user_id=user_id) for user_id in "21"]
    assert sorted(map(str, room.happened(MemberRemoved))) == sorted(map(str, removed))
    assert len(room.happened(Vacated)) == 1
    one = room.join()
    one.enter("presence-x", "3")
    remove_absent(room, 60.0)
    assert list(room.hub.channels["presence-x"].members) == ["3"]
    assert room.hub.with_leaving == set()


def test_who_is_leaving_takes_no_place_from_others() -> None:
    room = Room(replace(GRACE, limits=replace(GRACE.limits, members=2)))
    stays, lost, new = room.join(), room.join(), room.join()
    stays.enter("presence-x", "1")
    lost.enter("presence-x", "2")
    lost.leave()
    (answer,) = new.enter("presence-x", "3")
    assert answer["event"] == "pusher_internal:subscription_succeeded"


def test_members_who_are_lost_give_their_places_to_who_comes_and_nobody_is_told_of_more() -> None:
    room = Room(replace(GRACE, limits=replace(Limits(), members=3)))
    watcher = room.join()
    watcher.enter("presence-x", "0")
    for n in range(1, 20):  # each page is lost, and another user comes
        page = room.join()
        (confirmed,) = page.enter("presence-x", str(n))
        roster = json.loads(confirmed["data"])["presence"]
        assert roster["count"] == len(roster["ids"]) <= 3
        assert (roster["ids"][0], roster["ids"][-1]) == ("0", str(n))
        room.now += 0.01
        page.leave(1006)
    told = member_events(watcher)
    assert [user_id for what, user_id in told if what == "added"] == [str(n) for n in range(1, 20)]
    assert [user_id for what, user_id in told if what == "removed"] == [str(n) for n in range(1, 18)]
    assert list(room.hub.channels["presence-x"].members) == ["0", "18", "19"]
    back = room.join()
    back.enter("presence-x", "18")  # who is not gone yet takes nobody's place
    assert member_events(watcher) == []
    for n in (20, 21):
        room.join().enter("presence-x", str(n))
    (refused,) = [m for m in room.clients[f"socket {room.joined}.1"].take() if "error" in m["event"]]
    assert refused["data"]["status"] == 403
    assert list(room.hub.channels["presence-x"].members) == ["0", "18", "20"]


def test_a_member_has_the_same_limits_whether_channel_data_or_the_sign_in_names_it() -> None:
    for user in ({"id": "x" * 129}, {"id": "1", "user_info": {"about": "x" * 1_025}}):
        room = Room()
        client = room.join()
        client.sign_in(json.dumps(user))
        client.take()
        (answer,) = client.subscribe("presence-x")
        assert answer["event"] == "pusher:subscription_error", user
        assert room.hub.channels == {}
    room = Room()
    client = room.join()
    client.sign_in(json.dumps({"id": "1", "user_info": {"about": "x" * 900}}))
    (answer,) = client.subscribe("presence-x")
    assert answer["event"] == "pusher_internal:subscription_succeeded"
