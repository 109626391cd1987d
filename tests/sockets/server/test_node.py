"""The protocol, publishing, draining: a real node and real clients."""

import asyncio
import contextlib
import json
import threading
from dataclasses import replace
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from bridge.errors import JobError, ServiceUnavailable
from bridge.sockets.pusher.app import App, Limits
from bridge.sockets.pusher.hub_events import (
    Connected,
    ConnectionRefused,
    HubEvent,
    Published,
    Received,
    SubscriptionCounted,
)
from bridge.sockets.server.node import Node
from bridge.sockets.server.outbox import SLICE
from tests.sockets.server.running import APP, LIMIT, Client, Running, broadcast, connect, running, until

pytestmark = pytest.mark.anyio


async def refused(server: Running, key: str = "app-key", origin: str | None = None) -> tuple[int, int | None]:
    """The code of the error that comes first, and the code that the connection is closed with."""
    async with connect(server.url(key), origin=origin) as websocket:  # type: ignore[arg-type]
        client = Client(websocket, server.app)
        error = await client.get("pusher:error")
        return error["data"]["code"], await client.close_code()


# Admission


async def test_a_client_is_told_its_socket_id_and_the_activity_timeout() -> None:
    async with running() as server, connect(server.url()) as websocket:
        established = await Client(websocket, server.app).get("pusher:connection_established")
        data = json.loads(established["data"])
        first, second = data["socket_id"].split(".")
        assert first.isdigit()
        assert second.isdigit()
        assert data["activity_timeout"] == 120
        assert server.hub_events == [Connected(app_id="app-id", socket_id=data["socket_id"])]


async def test_an_unknown_key_is_let_in_told_4001_and_closed_with_it() -> None:
    async with running() as server:
        assert await refused(server, key="other") == (4001, 4001)
        assert server.hub_events == [ConnectionRefused(app_id="", code=4001)]


async def test_a_disabled_app_is_4003() -> None:
    async with running(replace(APP, enabled=False)) as server:
        assert await refused(server) == (4003, 4003)


async def test_a_foreign_origin_is_4009_and_the_apps_own_is_welcome() -> None:
    async with running(replace(APP, allowed_origins=("example.com",))) as server:
        assert await refused(server, origin="https://evil.test") == (4009, 4009)
        async with server.client("news", origin="https://example.com"):
            assert server.node.connections == 1


async def test_a_full_app_is_4004_until_somebody_leaves() -> None:
    async with running(replace(APP, max_connections=1)) as server:
        async with server.client():
            assert await refused(server) == (4004, 4004)
        await until(lambda: server.node.connections == 0)
        async with server.client("news"):
            pass


async def test_a_full_node_is_4100() -> None:
    async with running(max_connections=1) as server, server.client():
        assert await refused(server) == (4100, 4100)


async def test_a_wrong_path_is_4005_as_a_close_that_the_page_can_see() -> None:
    async with running() as server:
        for key in ("", "app-key/more"):
            assert await refused(server, key=key) == (4005, 4005)


async def test_the_apps_can_be_changed_while_clients_are_connected() -> None:
    gone = App(id="gone-id", key="gone-key", secret="gone-secret")
    new = App(id="new-id", key="new-key", secret="new-secret")
    async with running(apps=[gone]) as server, server.client("news") as stays:
        async with connect(server.url("gone-key")) as websocket:
            leaves = Client(websocket, gone)
            await leaves.get("pusher:connection_established")
            server.node.serve([replace(APP, max_connections=1), new])
            assert await leaves.close_code() == 4001
        await stays.silence()
        assert server.publish("news") == 1
        assert (await stays.get())["event"] == "event"
        assert await refused(server) == (4004, 4004)
        assert await refused(server, "gone-key") == (4001, 4001)
        async with connect(server.url("new-key")) as websocket:
            await Client(websocket, new).get("pusher:connection_established")
        server.node.serve([replace(APP, enabled=False)])
        assert await stays.close_code() == 4003


async def test_an_app_with_a_new_key_is_another_app_to_its_clients() -> None:
    async with running() as server, server.client() as client:
        server.node.serve([replace(APP, key="new-key")])
        assert await client.close_code() == 4001
        async with connect(server.url("new-key")) as websocket:
            await Client(websocket, server.app).get("pusher:connection_established")


async def test_subscribers_are_told_how_many_they_are_where_the_app_wants_it() -> None:
    async with running(replace(APP, subscription_count=True)) as server, server.client("news") as client:
        async with server.client("news"):
            while True:  # the first count may come before the second client
                counted = await client.get("pusher_internal:subscription_count")
                if json.loads(counted["data"]) == {"subscription_count": 2}:
                    break
        counted = await client.get("pusher_internal:subscription_count")
        assert json.loads(counted["data"]) == {"subscription_count": 1}
        assert any(isinstance(told, SubscriptionCounted) for told in server.hub_events)


async def test_a_watcher_hears_of_a_user_who_comes_and_goes() -> None:
    async with running() as server, server.client() as watcher:
        await watcher.sign_in({"id": "1", "watchlist": ["2"]})
        await watcher.get("pusher:signin_success")
        async with server.client() as user:
            await user.sign_in({"id": "2"})
            online = await watcher.get("pusher_internal:watchlist_events")
            assert json.loads(online["data"]) == {"events": [{"name": "online", "user_ids": ["2"]}]}
        offline = await watcher.get("pusher_internal:watchlist_events")
        assert json.loads(offline["data"]) == {"events": [{"name": "offline", "user_ids": ["2"]}]}


async def test_each_app_has_its_own_channels() -> None:
    other = App(id="other-id", key="other-key", secret="other-secret")
    async with running(apps=[other]) as server, server.client("news") as client:
        assert server.node.publish([broadcast("news", app_id="other-id")]) == 0
        assert server.node.publish([broadcast("news")]) == 1
        assert (await client.get())["event"] == "event"


# Messages


async def test_every_kind_of_channel_is_subscribed_to_and_published_on() -> None:
    channels = ["news", "private-a", "private-encrypted-a", "presence-a"]
    async with running() as server, server.client(*channels) as client:
        for channel in channels:
            assert server.publish(channel, data='{"a":"\\u00e4","b":"\\/"}') == 1
            assert await client.get() == {
                "event": "event",
                "channel": channel,
                "data": '{"a":"\\u00e4","b":"\\/"}',
            }


async def test_the_excepted_socket_gets_nothing() -> None:
    async with running() as server, server.client("news") as sender, server.client("news") as other:
        assert server.publish("news", socket_id=sender.socket_id) == 1
        assert (await other.get())["event"] == "event"
        await sender.silence()


async def test_a_refused_subscription_is_an_auth_error_and_no_close() -> None:
    async with running() as server, server.client() as client:
        await client.send("pusher:subscribe", {"channel": "private-a", "auth": "app-key:0"})
        error = await client.get("pusher:subscription_error")
        assert error["channel"] == "private-a"
        assert error["data"] == {
            "type": "AuthError",
            "error": "the signature is not valid",
            "status": 401,
        }
        await client.silence()


async def test_an_unreadable_message_is_an_error_and_no_close() -> None:
    async with running() as server, server.client() as client:
        await client.websocket.send("nonsense")
        assert (await client.get("pusher:error"))["data"]["code"] == 4300
        await client.silence()


async def test_a_client_event_reaches_the_other_members_only() -> None:
    async with (
        running() as server,
        server.client("presence-a") as sender,
        server.client("presence-a") as receiver,
        server.client() as stranger,
    ):
        await sender.get("pusher_internal:member_added")
        await sender.send("client-typing", {"x": 1}, channel="presence-a")
        assert await receiver.get() == {
            "event": "client-typing",
            "channel": "presence-a",
            "data": {"x": 1},
            "user_id": sender.socket_id,
        }
        await sender.silence()
        await stranger.silence()


async def test_too_many_client_events_are_4301_as_a_message() -> None:
    async with running() as server, server.client("private-a") as client:
        server.stop_clock()
        for _ in range(11):
            await client.send("client-x", {}, channel="private-a")
        assert (await client.get("pusher:error"))["data"]["code"] == 4301
        await client.silence()


async def test_too_many_messages_are_4100_as_a_close() -> None:
    app = replace(APP, limits=Limits(messages_per_second=1, messages_burst=5))
    async with running(app) as server, server.client() as client:
        server.stop_clock()
        for _ in range(6):
            await client.send("pusher:ping", {})
        for _ in range(5):
            await client.get("pusher:pong")
        assert (await client.get("pusher:error"))["data"]["code"] == 4100
        assert await client.close_code() == 4100


async def test_a_wrong_signin_is_4009() -> None:
    async with running() as server, server.client() as client:
        await client.send("pusher:signin", {"auth": "app-key:0", "user_data": '{"id":"1"}'})
        assert (await client.get("pusher:error"))["data"]["code"] == 4009
        assert await client.close_code() == 4009


async def test_a_member_leaving_by_a_dropped_connection_is_removed() -> None:
    async with running() as server, server.client("presence-a") as client:
        async with server.client("presence-a") as other:
            added = await client.get("pusher_internal:member_added")
            assert json.loads(added["data"])["user_id"] == other.socket_id
            other.websocket.transport.abort()
        removed = await client.get("pusher_internal:member_removed")
        assert json.loads(removed["data"]) == {"user_id": other.socket_id}


# Order


async def test_a_subscription_between_two_broadcasts_of_one_turn_gets_the_second_only() -> None:
    """The outgoing queue must not look at the channel later than the broadcast was published."""
    async with running() as server, server.client("news") as early, server.client() as late:
        hub = server.node.hubs["app-id"]
        socket = hub.sockets[late.socket_id]
        connection = socket.connection
        assert connection is not None
        subscribe = json.dumps({"event": "pusher:subscribe", "data": {"channel": "news", "auth": ""}})
        server.publish("news", data="1")
        server.node.receive(socket, connection, subscribe)
        server.publish("news", data="2")
        assert [(await early.get())["data"] for _ in range(2)] == ["1", "2"]
        await late.get("pusher_internal:subscription_succeeded")
        assert (await late.get())["data"] == "2"
        await late.silence()


async def test_frames_of_one_turn_keep_their_order_over_channels_and_replies() -> None:
    async with running() as server, server.client("a", "b") as client, server.client("a", "b") as other:
        order = []
        for number in range(30):
            channel = "ab"[number % 3 == 0]
            server.publish(channel, data=str(number), socket_id=other.socket_id if number % 7 == 0 else None)
            order.append(str(number))
        assert [(await client.get())["data"] for _ in order] == order
        kept = [data for data in order if int(data) % 7]
        assert [(await other.get())["data"] for _ in kept] == kept
        await other.silence()


async def test_more_sockets_than_one_slice_all_get_everything_in_order() -> None:
    """Broadcasts that come while an earlier one is still being written out in slices stay behind it."""
    count = SLICE // 20
    async with running() as server:
        async with asyncio.TaskGroup() as tasks:
            connecting = [tasks.create_task(server.raw()) for _ in range(count)]
        clients = [task.result() for task in connecting]
        hub = server.node.hubs["app-id"]
        for socket in hub.sockets.values():
            assert socket.connection is not None
            text = json.dumps({"event": "pusher:subscribe", "data": {"channel": "news"}})
            server.node.receive(socket, socket.connection, text)
        for client in clients:
            await client.message()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("bridge.sockets.server.outbox.SLICE", count // 3)
            for number in range(6):
                assert server.publish("news", data=str(number)) == count
                await asyncio.sleep(0)
            for client in clients:
                assert [(await client.message())["data"] for _ in range(6)] == list("012345")
        for client in clients:
            await client.aclose()


# Publishing


@pytest.mark.parametrize("size", [100, 125, 126, 65_535, 65_536, 200_000])
async def test_data_of_any_size_arrives_whole(size: int) -> None:
    """The node has no limit of its own: the API has, and the queue's jobs have none in Laravel either."""
    async with running() as server, server.client("news") as client:
        envelope = len(json.dumps({"event": "event", "channel": "news", "data": ""}, separators=(",", ":")))
        server.publish("news", data="x" * (size - envelope))
        assert len((await client.get())["data"]) == size - envelope


async def test_a_broadcast_for_an_unknown_app_publishes_nothing_of_its_batch() -> None:
    async with running() as server, server.client("news") as client:
        with pytest.raises(JobError, match="other-id"):
            server.node.publish([broadcast("news"), broadcast("news", app_id="other-id")])
        await client.silence()


async def test_a_thread_publishes_a_batch_and_knows_its_receivers() -> None:
    async with running() as server, server.client("news") as client:
        batch = [broadcast("news", data=str(number)) for number in range(50)]
        receivers = await asyncio.to_thread(server.node.publish_from_thread, batch, timeout=LIMIT)
        assert receivers == 50
        assert [(await client.get())["data"] for _ in range(50)] == [str(number) for number in range(50)]
        assert sum(isinstance(told, Published) for told in server.hub_events) == 50


async def test_what_a_thread_has_published_is_with_the_kernel_when_it_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("bridge.sockets.server.outbox.SLICE", 1)
    async with running() as server, contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(server.client("news", "sport")) for _ in range(5)]
        outbox = server.node._outbox
        left: list[int] = []

        def publish() -> None:
            server.node.publish_from_thread([broadcast("news"), broadcast("sport"), broadcast("news")])
            left.append(len(outbox._run) + len(outbox._rest) + len(outbox._dirty))

        for _ in range(5):
            await asyncio.to_thread(publish)
        assert left == [0] * 5
        for client in clients:
            for _ in range(15):
                await client.get()


async def test_a_threads_mistake_is_raised_in_the_thread() -> None:
    async with running() as server:
        with pytest.raises(JobError):
            await asyncio.to_thread(server.node.publish_from_thread, [broadcast("news", app_id="other-id")])


def test_publishing_to_a_node_that_is_not_running_fails_at_once() -> None:
    with pytest.raises(ServiceUnavailable):
        Node([APP]).publish_from_thread([broadcast("news")])


async def test_publishing_after_the_end_fails_at_once() -> None:
    async with running() as server:
        pass
    with pytest.raises(ServiceUnavailable):
        await asyncio.to_thread(server.node.publish_from_thread, [broadcast("news")])


async def test_a_loop_that_does_not_answer_publishes_nothing_later() -> None:
    async with running() as server, server.client("news") as client:
        raised: list[Exception] = []

        def publish() -> None:
            try:
                server.node.publish_from_thread([broadcast("news")], timeout=0.05)
            except ServiceUnavailable as problem:
                raised.append(problem)

        thread = threading.Thread(target=publish)
        thread.start()
        thread.join(LIMIT)  # on purpose without giving the loop a turn
        assert len(raised) == 1
        await client.silence()


async def test_an_observer_that_fails_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    async with running() as server, server.client("news") as client:
        told: list[HubEvent] = []

        def broken(event: HubEvent) -> None:
            raise RuntimeError("broken")

        server.node.observers = (broken, told.append)
        server.publish("news")
        assert (await client.get())["event"] == "event"
        assert [type(event) for event in told] == [Published]
        assert "observer failed" in caplog.text


async def test_every_message_of_a_client_is_told() -> None:
    async with running() as server, server.client("news") as client:
        await client.silence()
        received = [event for event in server.hub_events if isinstance(event, Received)]
        ping = len(json.dumps({"event": "pusher:ping", "data": {}}))
        assert [(it.app_id, it.socket_id) for it in received] == [("app-id", client.socket_id)] * 2
        assert received[0].size > ping == received[1].size


# The end


@pytest.mark.parametrize("code", [4100, 4200])
async def test_a_stop_delivers_what_was_published_and_closes_with_its_code(code: int) -> None:
    async with running() as server, server.client("news") as client:
        server.publish("news", data="last")
        stopping = asyncio.create_task(server.listener.stop(LIMIT, code))
        assert (await client.get())["data"] == "last"
        assert await client.close_code() == code
        await asyncio.wait_for(stopping, LIMIT)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", server.port)


async def test_a_stop_does_not_wait_longer_than_its_limit_for_a_silent_client() -> None:
    async with running() as server:
        raw = await server.raw()
        started = asyncio.get_running_loop().time()
        await server.listener.stop(drain=0.3)
        assert asyncio.get_running_loop().time() - started < LIMIT / 2  # the client had LIMIT to answer
        await raw.aclose()


async def test_a_client_that_comes_while_draining_is_sent_away_with_4100() -> None:
    async with running() as server:
        server.node.is_draining = True
        assert await refused(server) == (4100, 4100)


async def test_a_closed_client_does_not_come_back_to_life() -> None:
    async with running() as server, server.client("news") as client:
        (socket,) = server.node.hubs["app-id"].sockets.values()
        socket.close(4200)
        socket.close(4001)
        assert server.publish("news") == 0
        assert await client.close_code() == 4200
        with pytest.raises(ConnectionClosed):
            await client.send("pusher:ping", {})


def test_a_node_shows_no_secret(capsys: pytest.CaptureFixture[str]) -> None:
    node: Any = Node([APP])
    assert "app-secret" not in repr(node.hubs["app-id"].app)
