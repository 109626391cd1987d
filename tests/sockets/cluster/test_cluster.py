"""Nodes that share an app: what each client sees, wherever it is connected."""

from __future__ import annotations

import asyncio
import gc
import json
import math
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Any
from urllib.parse import urlencode

import pytest

from bridge.errors import ServiceUnavailable
from bridge.sockets.cluster import times
from bridge.sockets.cluster.bus import place_for
from bridge.sockets.cluster.envelope import Sealer
from bridge.sockets.cluster.link import GONE, LEAVE, PUBLISH, Script
from bridge.sockets.cluster.names import CONTROL_CHANNEL
from bridge.sockets.cluster.outgoing import MOST, Call, Sealed
from bridge.sockets.pusher.app import App, Limits
from bridge.sockets.pusher.hub_events import (
    CacheMissed,
    MemberAdded,
    MemberRemoved,
    Occupied,
    Published,
    SubscriptionCounted,
    Vacated,
)
from tests.proxy import proxy
from tests.services import Redis, redis_server
from tests.sockets.cluster.nodes import Member, member
from tests.sockets.server.running import APP, LIMIT, Client, broadcast, connect, signed, until


@asynccontextmanager
async def two(redis: Redis, app: App = APP) -> AsyncIterator[tuple[Member, Member]]:
    async with member(redis, app) as one, member(redis, app) as other:
        yield one, other


async def join(client: Client, channel: str, user: str, **info: Any) -> dict[str, Any]:
    data = {"user_id": user, **({"user_info": info} if info else {})}
    await client.subscribe(channel, json.dumps(data))
    answer = await client.get("pusher_internal:subscription_succeeded")
    found: dict[str, Any] = json.loads(answer["data"])["presence"]
    return found


@pytest.mark.anyio
async def test_an_event_reaches_the_subscribers_of_every_node_but_the_excluded(redis: Redis) -> None:
    async with two(redis) as (one, other), one.server.client("c") as here, other.server.client("c") as there:
        await one.server.node.publish_to_all([broadcast("c", data='{"n":1}')], origin="api")
        assert (await here.get("event"))["data"] == (await there.get("event"))["data"] == '{"n":1}'
        await one.server.node.publish_to_all([broadcast("c", socket_id=there.socket_id)], origin="api")
        await here.get("event")
        await there.silence()


def post(*numbers: int) -> bytes:
    """A signed request that publishes the number, or several together."""
    events = [{"name": "event", "channel": "c", "data": str(number)} for number in numbers]
    path = "/apps/app-id/events" if len(events) == 1 else "/apps/app-id/batch_events"
    body = json.dumps(events[0] if len(events) == 1 else {"batch": events}).encode()
    query = urlencode(signed(APP, "POST", path, body, {}))
    head = f"POST {path}?{query} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


@pytest.mark.anyio
async def test_events_by_http_need_no_application_and_are_answered_in_their_turn(redis: Redis) -> None:
    asked: list[str] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        asked.append(scope["path"])
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async with two(redis) as (one, other), other.server.client("c") as there:
        one.server.listener._http.app = application
        reader, writer = await asyncio.open_connection("127.0.0.1", one.server.port)
        writer.write(post(1) + post(2, 3, 4) + b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n" + post(5))
        got = [await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), LIMIT)]
        for _ in range(3):
            got.append(await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), LIMIT))
        statuses = [head.removeprefix(b"{}").split()[1] for head in got]
        assert statuses == [b"200", b"200", b"204", b"200"]
        assert asked == ["/x"]
        assert [(await there.get())["data"] for _ in range(5)] == ["1", "2", "3", "4", "5"]
        writer.write(post(6, 7))
        await writer.drain()
        writer.transport.abort()  # who does not wait for the answer has published all the same
        assert [(await there.get())["data"] for _ in range(2)] == ["6", "7"]


@pytest.mark.anyio
async def test_a_post_that_was_under_way_when_the_link_broke_is_answered_and_comes_once(redis: Redis) -> None:
    async with two(redis) as (one, other), other.server.client("c") as there:
        for number in range(1, 4):
            answers: list[int | None] = []
            one.cluster.publish_soon([broadcast("c", data=str(number))], "api", answers.append)
            if number > 1:  # else it has not even been sent
                await asyncio.sleep(0)
            one.cut()
            assert answers == [0]
            await one.back()
            assert (await there.get())["data"] == str(number)
        await there.silence()


@pytest.mark.anyio
async def test_it_is_known_when_what_was_published_is_back_or_will_not_come(redis: Redis) -> None:
    async with member(redis) as one, one.server.client("c") as client:
        back: list[int] = []
        receivers: list[int | None] = []
        assert not one.cluster.once_back(lambda: back.append(0))
        for number in (1, 2):
            one.cluster.publish_soon([broadcast("c"), broadcast("d")], "api", receivers.append)
            assert one.cluster.once_back(partial(back.append, number))
        await until(lambda: back == [1, 2] and receivers == [1, 1])
        assert not one.cluster.once_back(lambda: back.append(0))
        one.cluster.publish_soon([broadcast("c", data="3")], "api", receivers.append)
        assert one.cluster.once_back(lambda: back.append(3))
        one.cut()
        assert back == [1, 2, 3]
        assert [(await client.get("event"))["data"] for _ in range(3)] == ["{}", "{}", "3"]


@pytest.mark.anyio
async def test_the_same_event_many_times_at_once_comes_as_often(redis: Redis) -> None:
    async with two(redis) as (one, other), other.server.client("c") as b:
        same = [replace(broadcast("c"), job=f"job-{number}") for number in range(100)]
        assert await one.server.node.publish_to_all(same, origin="queue") == 100
        for _ in range(100):
            await b.get("event")
        await one.server.node.publish_to_all([broadcast("c")] * 10, origin="api")
        for _ in range(10):
            await b.get("event")
        await b.silence()


@pytest.mark.anyio
async def test_members_of_all_nodes_are_one_roster(redis: Redis) -> None:
    async with two(redis) as (one, other), one.server.client() as here, other.server.client() as there:
        assert (await join(here, "presence-r", "1", name="Ann"))["ids"] == ["1"]
        roster = await join(there, "presence-r", "2")
        assert sorted(roster["ids"]) == ["1", "2"]
        assert roster["hash"]["1"] == {"name": "Ann"}
        added = await here.get("pusher_internal:member_added")
        assert json.loads(added["data"]) == {"user_id": "2"}
        await there.send("pusher:unsubscribe", {"channel": "presence-r"})
        removed = await here.get("pusher_internal:member_removed")
        assert json.loads(removed["data"]) == {"user_id": "2"}
        await here.silence()


@pytest.mark.anyio
async def test_lists_of_members_larger_than_the_backlog_do_not_make_a_client_slow(redis: Redis) -> None:
    app = replace(APP, limits=replace(APP.limits, member_bytes=1_000_000))
    channels = [f"presence-{number}" for number in range(3)]
    async with (
        member(redis, app, max_backlog=200_000) as one,
        one.server.client(max_size=None) as first,
        one.server.client("news", max_size=None) as client,
    ):
        for channel in channels:
            await join(first, channel, "1", text="x" * 900_000)
        one.server.narrow()
        client.websocket.transport.pause_reading()
        for channel in channels:
            await client.subscribe(channel, json.dumps({"user_id": "2"}))
            await first.get("pusher_internal:member_added")
        (slow,) = one.server.node.slow
        for _ in range(2):
            await one.server.node.publish_to_all([broadcast("news")], origin="api")
            await until(lambda: slow.out is None)
        assert one.server.node.slow == {slow}
        client.websocket.transport.resume_reading()
        for channel in channels:
            assert (await client.get("pusher_internal:subscription_succeeded"))["channel"] == channel
        for _ in range(2):
            await client.get("event")


def told(*members: Member, of: type[Any] | tuple[type[Any], ...]) -> list[Any]:
    return [event for one in members for event in one.server.hub_events if isinstance(event, of)]


@pytest.mark.anyio
async def test_a_second_connection_of_a_user_elsewhere_is_no_change(redis: Redis) -> None:
    async with two(redis) as (one, other), one.server.client() as watcher:
        await join(watcher, "presence-r", "w")
        async with one.server.client() as first:
            await join(first, "presence-r", "1")
            await watcher.get("pusher_internal:member_added")
            async with other.server.client() as second:
                await join(second, "presence-r", "1")
                await first.send("pusher:unsubscribe", {"channel": "presence-r"})
                await until(lambda: len(one.server.node.hubs["app-id"].channels["presence-r"].sockets) == 1)
                await one.cluster.bus.link.ask("PING")  # type: ignore[union-attr]
                await watcher.silence()
        assert json.loads((await watcher.get("pusher_internal:member_removed"))["data"])["user_id"] == "1"


@pytest.mark.anyio
async def test_occupied_vacated_and_members_are_told_once_on_all_nodes(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(times, "AWAY", 0.3)
    async with two(redis) as (one, other):
        async with one.server.client() as a, other.server.client() as b:
            await join(a, "presence-r", "1")
            await join(b, "presence-r", "2")
        await until(lambda: bool(told(one, other, of=Vacated)))
        await until(lambda: len(told(one, other, of=MemberRemoved)) == 2)
        assert len(told(one, other, of=Occupied)) == 1
        assert [one.user_id for one in told(one, other, of=MemberAdded)] == ["1", "2"]
        assert len(told(one, other, of=Vacated)) == 1


@pytest.mark.anyio
async def test_who_leaves_here_and_enters_there_was_never_away(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(times, "AWAY", 10 * LIMIT)
    async with two(redis) as (one, other), other.server.client() as b:
        async with one.server.client() as a:
            await join(a, "presence-r", "1")
        await until(lambda: len(one.cluster.departures._due) == 2)  # of the member and the channel
        await join(b, "presence-r", "1")
        one.cluster.departures.look(math.inf)  # the time is up
        await one.cluster.bus.asking().ask("PING")
        assert not told(one, other, of=(Vacated, MemberRemoved))
        assert len(told(one, other, of=Occupied)) == len(told(one, other, of=MemberAdded)) == 1


@pytest.mark.anyio
async def test_a_full_channel_is_full_on_every_node(redis: Redis) -> None:
    app = replace(APP, limits=Limits(members=1))
    async with two(redis, app) as (one, other), one.server.client() as a, other.server.client() as b:
        await join(a, "presence-r", "1")
        await b.subscribe("presence-r", '{"user_id":"2"}')
        refused = await b.get("pusher:subscription_error")
        assert refused["data"]["status"] == 403
        await join(b, "presence-r", "1")
        await b.subscribe("c")
        await b.get("pusher_internal:subscription_succeeded")


@pytest.mark.anyio
async def test_a_refused_subscription_may_be_tried_again(redis: Redis) -> None:
    app = replace(APP, limits=Limits(members=1))
    async with member(redis, app) as one, member(redis, app) as other, other.server.client() as b:
        async with one.server.client() as a:
            await join(a, "presence-r", "1")
            await b.subscribe("presence-r", '{"user_id":"2"}')
            await b.get("pusher:subscription_error")
        await until(lambda: not redis.client().keys("*bridge:1:m:*"))
        assert (await join(b, "presence-r", "2"))["ids"] == ["2"]


@pytest.mark.anyio
async def test_client_events_cross_nodes_and_leave_out_the_sender(redis: Redis) -> None:
    async with (
        two(redis) as (one, other),
        one.server.client("private-c") as a,
        other.server.client("private-c") as b,
    ):
        await a.send("client-typing", {"n": 1}, channel="private-c")
        assert (await b.get("client-typing"))["data"] == {"n": 1}
        await a.silence()


@pytest.mark.anyio
async def test_signed_in_users_are_watched_reached_and_ended_everywhere(redis: Redis) -> None:
    async with two(redis) as (one, other), one.server.client() as watcher:
        await watcher.sign_in({"id": "w", "watchlist": ["u/ ü", "nobody"]})
        await watcher.get("pusher:signin_success")
        async with other.server.client() as user:
            await user.sign_in({"id": "u/ ü"})
            await user.get("pusher:signin_success")
            online = json.loads((await watcher.get("pusher_internal:watchlist_events"))["data"])
            assert online == {"events": [{"name": "online", "user_ids": ["u/ ü"]}]}
            async with one.server.client() as late:
                await late.sign_in({"id": "x", "watchlist": ["u/ ü"]})
                await late.get("pusher:signin_success")
                online = json.loads((await late.get("pusher_internal:watchlist_events"))["data"])
                assert online == {"events": [{"name": "online", "user_ids": ["u/ ü"]}]}
            await one.server.node.publish_to_all([broadcast("#server-to-user-u/ ü")], origin="api")
            await user.get("event")
            path = "/apps/app-id/users/u%2F%20%C3%BC/terminate_connections"
            assert (await one.server.request("POST", path, {})).status_code == 200
            assert await user.close_code() == 4009
        offline = json.loads((await watcher.get("pusher_internal:watchlist_events"))["data"])
        assert offline == {"events": [{"name": "offline", "user_ids": ["u/ ü"]}]}


@pytest.mark.anyio
async def test_a_node_whose_link_was_cut_ends_the_connections_of_a_user_too(redis: Redis) -> None:
    async with two(redis) as (one, other), other.server.client() as user:
        await user.sign_in({"id": "u"})
        await user.get("pusher:signin_success")
        other.task.cancel()  # nobody makes a new link
        other.cut()
        one.cluster.terminate(one.server.node.hubs[APP.id], "u")  # type: ignore[arg-type]
        await one.cluster.bus.asking().ask("PING")
        other.task = asyncio.create_task(other.cluster.run())
        assert await user.close_code() == 4009
        async with other.server.client() as again:
            await again.sign_in({"id": "u"})
            await again.get("pusher:signin_success")
            other.cut()
            await other.back()
            async with other.server.client("a"):
                await again.silence()  # it was not meant


def an_hour_later(member: Member) -> None:
    """Whoever connects to this node from now on is younger than whatever happened before."""
    now = member.server.node.now
    member.server.node.now = lambda: now() + 3600


async def started_earlier(member: Member) -> None:
    """The machine of this node runs for a day more than the others: so much more does its clock show."""
    member.task.cancel()
    bus, now = member.cluster.bus, member.server.node.now
    member.server.node.now = bus.now = lambda: now() + 86_400
    bus.read_clock(bus.asking())
    await bus.asking().ask("PING")


@pytest.mark.anyio
async def test_who_connects_after_the_user_was_ended_stays_though_the_link_was_away(redis: Redis) -> None:
    async with two(redis) as (one, other):
        await started_earlier(one)
        other.task.cancel()
        other.cut()
        one.cluster.terminate(one.server.node.hubs[APP.id], "u")  # type: ignore[arg-type]
        await one.cluster.bus.asking().ask("PING")
        an_hour_later(other)
        async with other.server.client() as user:
            await user.sign_in({"id": "u"})
            other.task = asyncio.create_task(other.cluster.run())
            await other.back()
            await user.get("pusher:signin_success")
            await user.silence()


@pytest.mark.anyio
async def test_who_becomes_the_user_after_the_user_was_ended_stays_though_connected_before(
    redis: Redis,
) -> None:
    async with two(redis) as (one, other), AsyncExitStack() as stack:
        early, late, early_member, late_member = [
            await stack.enter_async_context(other.server.client()) for _ in range(4)
        ]
        await early.sign_in({"id": "u"})
        await early.get("pusher:signin_success")
        await join(early_member, "presence-r", "u")
        other.task.cancel()
        other.cut()
        one.cluster.terminate(one.server.node.hubs[APP.id], "u")  # type: ignore[arg-type]
        await one.cluster.bus.asking().ask("PING")
        an_hour_later(other)
        await late.sign_in({"id": "u"})
        await join(late_member, "presence-r", "u")
        other.task = asyncio.create_task(other.cluster.run())
        assert await early.close_code() == await early_member.close_code() == 4009
        await late.get("pusher:signin_success")
        await late.silence()
        await late_member.silence()


@pytest.mark.anyio
async def test_who_has_left_before_the_order_comes_is_ended_where_it_is_signed_in(redis: Redis) -> None:
    async with two(redis) as (one, other), AsyncExitStack() as stack:
        user, member_alone = [await stack.enter_async_context(other.server.client()) for _ in range(2)]
        await user.sign_in({"id": "u"})
        await user.get("pusher:signin_success")
        for client in (user, member_alone):
            await join(client, "presence-r", "u")
        other.task.cancel()
        other.cut()
        one.cluster.terminate(one.server.node.hubs[APP.id], "u")  # type: ignore[arg-type]
        await one.cluster.bus.asking().ask("PING")
        for client in (user, member_alone):
            await client.send("pusher:unsubscribe", {"channel": "presence-r"})
            await client.silence()
        other.task = asyncio.create_task(other.cluster.run())
        assert await user.close_code() == 4009
        await member_alone.silence()  # nothing says any more whose connection it is


@pytest.mark.anyio
async def test_a_member_who_waits_for_redis_is_ended_like_one_who_is_in(redis: Redis) -> None:
    async with member(redis) as one, one.server.client() as client:
        one.task.cancel()
        one.cut()
        await client.subscribe("presence-r", '{"user_id":"u"}')
        await client.silence()
        one.cluster.terminate(one.server.node.hubs[APP.id], "u")  # type: ignore[arg-type]
        assert await client.close_code() == 4009


@pytest.mark.anyio
async def test_who_connects_elsewhere_before_a_node_is_back_that_has_ended_the_user_stays(
    redis: Redis,
) -> None:
    async with two(redis) as (one, other), other.server.client() as early:
        await early.sign_in({"id": "u"})
        await early.get("pusher:signin_success")
        one.task.cancel()
        one.cut()
        one.cluster.terminate(one.server.node.hubs[APP.id], "u")  # type: ignore[arg-type]
        an_hour_later(other)
        async with other.server.client() as user:
            await user.sign_in({"id": "u"})
            await user.get("pusher:signin_success")
            one.task = asyncio.create_task(one.cluster.run())
            assert await early.close_code() == 4009
            await user.silence()


@asynccontextmanager
async def app_added_to(other: Member, app: App) -> AsyncIterator[Client]:
    """A user of an app that this node serves only now, and is not told of yet: its next look is to come."""
    other.task.cancel()
    other.server.node.serve([APP, app])
    async with connect(other.server.url(app.key)) as websocket:
        user = Client(websocket, app)
        established = await user.get("pusher:connection_established")
        user.socket_id = json.loads(established["data"])["socket_id"]
        await user.sign_in({"id": "u"})
        await user.get("pusher:signin_success")
        yield user


@pytest.mark.anyio
async def test_users_of_an_app_that_was_added_are_ended_by_what_comes_after_them_only(redis: Redis) -> None:
    new = replace(APP, id="second", key="second-key")
    async with member(redis, apps=[APP, new]) as one, member(redis) as other:
        hub = one.server.node.hubs[new.id]
        one.cluster.terminate(hub, "u")  # type: ignore[arg-type]
        await one.cluster.bus.asking().ask("PING")
        an_hour_later(other)
        async with app_added_to(other, new) as user:
            other.task = asyncio.create_task(other.cluster.run())
            control = place_for(new.id, CONTROL_CHANNEL)
            await until(lambda: control in other.cluster.topics.by_place)
            await other.cluster.flush(LIMIT)
            other.cut()
            await other.back()
            await user.silence()


@pytest.mark.anyio
async def test_an_order_that_came_before_a_new_app_was_listened_to_is_obeyed(redis: Redis) -> None:
    new = replace(APP, id="second", key="second-key")
    async with (
        member(redis, apps=[APP, new]) as one,
        member(redis) as other,
        app_added_to(other, new) as user,
    ):
        one.cluster.terminate(one.server.node.hubs[new.id], "u")  # type: ignore[arg-type]
        await one.cluster.bus.asking().ask("PING")
        other.task = asyncio.create_task(other.cluster.run())
        assert await user.close_code() == 4009


@pytest.mark.anyio
async def test_who_has_left_a_node_that_stops_is_reported_as_gone(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(times, "AWAY", 10 * LIMIT)
    async with member(redis) as one:
        async with one.server.client() as client:
            await join(client, "presence-r", "1")
        await until(lambda: not one.server.node.connections)
        await one.cluster.flush(LIMIT)
        one.cluster.leave()
        await one.cluster.end_departures()
        await until(lambda: bool(told(one, of=Vacated)))
        assert len(told(one, of=(Vacated, MemberRemoved))) == 2


@pytest.mark.anyio
async def test_who_is_just_leaving_a_node_that_stops_is_reported_as_gone(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(times, "AWAY", 10 * LIMIT)
    async with member(redis) as one:
        run = one.cluster.bus.asking().run
        stopping: list[asyncio.Task[None]] = []

        def stop(script: Script, *arguments: Any, **options: Any) -> None:
            run(script, *arguments, **options)
            if script is LEAVE:
                one.cluster.leave()
                stopping.append(asyncio.create_task(one.cluster.end_departures()))

        one.cluster.bus.asking().run = stop  # type: ignore[method-assign]
        async with one.server.client() as client:
            await join(client, "presence-r", "1")
        await until(lambda: bool(stopping))
        await stopping[0]
        assert len(told(one, of=(Vacated, MemberRemoved))) == 2


@pytest.mark.anyio
async def test_who_has_left_is_reported_though_the_link_is_lost_with_the_question(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(times, "AWAY", 0.2)
    async with member(redis) as one:
        run = one.cluster.bus.asking().run
        questions: list[Script] = []

        def cut(script: Script, *arguments: Any, **options: Any) -> None:
            run(script, *arguments, **options)
            if script is GONE:
                questions.append(script)
                one.cut()  # before it goes out

        one.cluster.bus.asking().run = cut  # type: ignore[method-assign]
        async with one.server.client() as client:
            await join(client, "presence-r", "1")
        await until(lambda: len(told(one, of=(Vacated, MemberRemoved))) == 2)
        assert questions


@pytest.mark.anyio
async def test_who_has_left_is_reported_though_the_link_is_lost_with_the_answer_to_that(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(times, "AWAY", 0.2)
    async with member(redis) as one:
        link = one.cluster.bus.asking()
        run = link.run

        def deaf(script: Script, *arguments: Any, **options: Any) -> None:
            run(script, *arguments, **options)
            if script is LEAVE:
                link._take = lambda item: None  # type: ignore[method-assign]

        link.run = deaf  # type: ignore[method-assign]
        async with one.server.client() as client:
            await join(client, "presence-r", "1")
        key = one.cluster.names.key("g", place_for(APP.id, "presence-r"))
        with redis.client() as asking:
            await until(lambda: asking.hlen(key) == 2)
            assert asking.ttl(key) > 60  # for nodes whose link is away for long
        one.cut()
        await until(lambda: len(told(one, of=(Vacated, MemberRemoved))) == 2)
        await one.cluster.flush(LIMIT)
        with redis.client() as asking:
            assert not asking.exists(key)


@pytest.mark.anyio
async def test_a_user_whose_id_holds_half_a_character_is_a_user_like_any(redis: Redis) -> None:
    half = "\ud800"
    async with two(redis) as (one, other), one.server.client() as watcher, other.server.client() as user:
        await watcher.sign_in({"id": "w", "watchlist": [half]})
        await watcher.get("pusher:signin_success")
        await user.sign_in({"id": half})
        await user.get("pusher:signin_success")
        online = json.loads((await watcher.get("pusher_internal:watchlist_events"))["data"])
        assert online == {"events": [{"name": "online", "user_ids": [half]}]}
        await one.server.node.publish_to_all([broadcast(f"#server-to-user-{half}")], origin="api")
        await user.get("event")


@pytest.mark.anyio
async def test_the_last_event_of_a_cache_channel_is_known_everywhere(redis: Redis) -> None:
    async with two(redis) as (one, other):
        async with one.server.client("cache-c") as a, other.server.client("cache-c") as b:
            await a.get("pusher:cache_miss")
            await b.get("pusher:cache_miss")
            await until(lambda: len(told(one, other, of=CacheMissed)) == 1)
            await one.server.node.publish_to_all([broadcast("cache-c", data="1")], origin="api")
            assert (await b.get("event"))["data"] == "1"
        async with other.server.client("cache-c") as c:
            assert (await c.get("event"))["data"] == "1"
        answer = await one.server.request("GET", "/apps/app-id/channels/cache-c", info="cache")
        assert answer.json()["cache"]["data"] == "1"
        assert 1_700 < answer.json()["cache"]["ttl"] <= 1_800
        assert len(told(one, other, of=CacheMissed)) == 1


@pytest.mark.anyio
async def test_the_api_answers_for_all_nodes(redis: Redis) -> None:
    async with two(redis) as (one, other), one.server.client("c") as a, other.server.client("c") as b:
        await join(a, "presence-r", "1")
        await join(b, "presence-r", "2")

        async def get(path: str, **query: Any) -> Any:
            return (await one.server.request("GET", f"/apps/app-id{path}", **query)).json()

        occupied = (await get("/channels", info="subscription_count"))["channels"]
        assert occupied == {"c": {"subscription_count": 2}, "presence-r": {"subscription_count": 2}}
        assert await get("/channels/c") == {"occupied": True}
        counted = await get("/channels/d", info="subscription_count")
        assert counted == {"occupied": False, "subscription_count": 0}
        users = (await get("/channels/presence-r/users"))["users"]
        assert sorted(user["id"] for user in users) == ["1", "2"]
        found = await get("/channels", filter_by_prefix="presence-", info="user_count")
        assert found == {"channels": {"presence-r": {"user_count": 2}}}
        await until(lambda: one.cluster.elsewhere("app-id") == 1)
        assert await get("/connections") == {"connections": 2}
        body = {"name": "event", "channels": ["c"], "data": "{}", "info": "subscription_count"}
        answer = await other.server.request("POST", "/apps/app-id/events", body)
        assert answer.json() == {"channels": {"c": {"subscription_count": 2}}}
        await a.get("pusher_internal:member_added")
        await a.get("event")


@pytest.mark.anyio
async def test_nothing_is_kept_of_an_app_that_is_not_served_any_more(redis: Redis) -> None:
    def sealers() -> int:
        return sum(isinstance(one, Sealer) for one in gc.get_objects())

    def topics() -> set[bytes]:
        with redis.client() as client:
            return {topic.rpartition(b":1:")[2] for topic in client.pubsub_channels()}

    gc.collect()  # other tests' nodes
    before = sealers()
    async with member(redis) as one, one.server.client("c") as here:
        one.server.node.serve([APP, replace(APP, id="other", key="other-key")])
        await until(lambda: b"d0:other:#app" in topics())
        for app_id in ("app-id", "other"):
            event = replace(broadcast("c"), app_id=app_id)
            await one.server.node.publish_to_all([event], origin="api")
        assert sealers() == before + 2
        one.server.node.serve([APP])
        await until(lambda: sealers() == before + 1 and b"d0:other:#app" not in topics())
        await one.server.node.publish_to_all([broadcast("c", data="2")], origin="api")
        assert [(await here.get("event"))["data"] for _ in range(2)] == ["{}", "2"]


@pytest.mark.anyio
async def test_what_was_published_is_freed_without_the_garbage_collector(redis: Redis) -> None:
    def sealed() -> int:
        return sum(isinstance(one, Sealed | Call) for one in gc.get_objects())

    async with member(redis) as one, one.server.client("c") as here:
        gc.collect()  # other tests' nodes
        before = sealed()
        gc.disable()
        try:
            job = replace(broadcast("c"), job="uuid-1")
            for events, origin in (([job], "queue"), ([broadcast("c"), broadcast("d")], "api")):
                await one.server.node.publish_to_all(events, origin=origin)
                assert (await here.get("event"))["channel"] == "c"
            await until(lambda: sealed() == before)
        finally:
            gc.enable()


@pytest.mark.anyio
async def test_a_node_without_a_subscriber_of_the_channel_hears_nothing_of_it(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with two(redis) as (one, other), other.server.client("d") as there:
        link, heard = other.cluster.bus.link, list[bytes]()
        assert link is not None
        pushed = link._pushed

        def hear(topic: bytes, data: bytes) -> None:
            heard.append(topic.rpartition(b":")[2])
            pushed(topic, data)

        monkeypatch.setattr(link, "_pushed", hear)
        for channel in (*"c" * 100, "d"):
            await one.server.node.publish_to_all([broadcast(channel)], origin="api")
        assert (await there.get("event"))["channel"] == "d"
        assert heard == [b"d"]
        async with other.server.client("c") as also:
            await one.server.node.publish_to_all([broadcast("c")], origin="api")
            assert (await also.get("event"))["channel"] == "c"
            assert heard.count(b"c") == 1


@pytest.mark.anyio
async def test_an_app_with_other_limits_publishes_by_them(redis: Redis) -> None:
    with redis.client() as client:
        async with member(redis) as one:
            for seconds in (100, 500):
                one.server.node.serve([replace(APP, limits=Limits(cache_seconds=seconds))])
                await one.server.node.publish_to_all([broadcast("cache-c")], origin="api")
                (key,) = client.keys("*k:app-id:cache-c")
                assert seconds - LIMIT < client.ttl(key) <= seconds


@pytest.mark.anyio
async def test_subscribers_are_counted_over_all_nodes(redis: Redis) -> None:
    app = replace(APP, subscription_count=True)
    async with two(redis, app) as (one, other):
        async with one.server.client("c") as a, other.server.client("c"), other.server.client("c"):
            counts: list[int] = []
            while not counts or counts[-1] != 3:
                message = await a.get("pusher_internal:subscription_count")
                counts.append(json.loads(message["data"])["subscription_count"])
            assert counts == sorted(set(counts))
        await until(lambda: bool(told(one, other, of=SubscriptionCounted)))


@pytest.mark.anyio
async def test_subscribers_are_counted_though_the_clock_of_redis_was_put_back(redis: Redis) -> None:
    app = replace(APP, subscription_count=True)
    async with member(redis, app) as one, one.server.client("c") as a:
        await a.get("pusher_internal:subscription_count")
        with redis.client() as client:
            (key,) = client.keys("*:c:app-id:c")
            in_an_hour = client.time()[0] + 3600  # when it was last told, by the clock of then
            client.hset(key, mapping={"z": 200, "q": in_an_hour})
        async with one.server.client("c"):
            message = await a.get("pusher_internal:subscription_count")
            assert json.loads(message["data"])["subscription_count"] == 201


@pytest.mark.anyio
async def test_an_app_has_so_many_connections_on_all_nodes(redis: Redis) -> None:
    app = replace(APP, max_connections=1)
    async with member(redis, app) as one, member(redis, app) as other, one.server.client():
        await until(lambda: other.cluster.elsewhere("app-id") == 1)
        with pytest.raises(AssertionError, match="4004"):
            async with other.server.client():
                pass


# Faults ---------------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_a_node_that_is_stopped_at_the_moment_when_its_link_is_back_ends(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with member(redis) as one:
        one.cut()
        is_back, has_synced = one.cluster._has_synced.set, one.cluster._has_synced

        def stop() -> None:
            is_back()
            one.task.cancel()

        monkeypatch.setattr(has_synced, "set", stop)
        ended, _ = await asyncio.wait([one.task], timeout=LIMIT)
        assert ended


@pytest.mark.anyio
async def test_what_was_published_while_a_link_was_cut_comes_once_and_in_order(redis: Redis) -> None:
    async with two(redis) as (one, other), one.server.client("c") as a, other.server.client("c") as b:
        for number in range(0, 60, 2):
            other.cut()
            await one.server.node.publish_to_all([broadcast("c", data=str(number))], origin="api")
            if number % 3 == 0:
                await other.back()
            await one.server.node.publish_to_all([broadcast("c", data=str(number + 1))], origin="api")
        for client in (a, b):
            assert [(await client.get("event"))["data"] for _ in range(60)] == [str(n) for n in range(60)]
        await other.back()
        await b.silence()


@pytest.mark.anyio
@pytest.mark.parametrize("is_sent", [False, True], ids=["before it was sent", "before it was answered"])
async def test_what_has_waited_for_the_bus_is_not_lost_with_the_next_link(
    redis: Redis, monkeypatch: pytest.MonkeyPatch, is_sent: bool
) -> None:
    cuts: list[int] = []
    async with (
        two(redis) as (one, other),
        one.server.client("c", "private-c") as here,
        other.server.client("c", "private-c") as there,
        other.server.client() as user,
    ):
        node, hub, publishing = one.server.node, one.server.node.hubs[APP.id], one.cluster._publishing
        await user.sign_in({"id": "7"})
        await user.get("pusher:signin_success")
        empty = publishing.empty_spool

        def empty_and_cut() -> None:
            empty()
            if publishing.is_open and not cuts:
                cuts.append(1)
                if is_sent:
                    asyncio.get_running_loop().call_soon(one.cut)
                else:
                    one.cut()

        monkeypatch.setattr(publishing, "empty_spool", empty_and_cut)
        one.cut()
        for number in ("1", "2"):
            await node.publish_to_all([broadcast("c", data=number)], origin="api")
        socket = hub.sockets[here.socket_id]
        assert socket.connection is not None
        whisper = json.dumps({"event": "client-x", "data": {}, "channel": "private-c"})
        node.receive(socket, socket.connection, whisper)
        node.terminate_everywhere(hub, "7")
        await until(lambda: bool(cuts))
        assert [(await there.get()).get("data") for _ in range(3)] == ["1", "2", {}]
        assert await user.close_code() == 4009
        await one.back()
        await node.publish_to_all([broadcast("c", data="3")], origin="api")
        assert (await there.get("event"))["data"] == "3"
        await there.silence()


@pytest.mark.anyio
async def test_a_lost_message_is_noticed_by_the_next_and_fetched(redis: Redis) -> None:
    async with two(redis) as (one, other), other.server.client("c") as b:
        pushed = other.cluster.bus.link._pushed  # type: ignore[union-attr]
        other.cluster.bus.link._pushed = lambda topic, data: None  # type: ignore[union-attr]
        await one.server.node.publish_to_all([broadcast("c", data="1")], origin="api")
        await other.cluster.bus.link.ask("PING")  # type: ignore[union-attr]
        other.cluster.bus.link._pushed = pushed  # type: ignore[union-attr]
        for data in ("2", "3"):
            await one.server.node.publish_to_all([broadcast("c", data=data)], origin="api")
        assert [(await b.get("event"))["data"] for _ in range(3)] == ["1", "2", "3"]
        assert other.cluster.repairs == 1
        await b.silence()


@pytest.mark.anyio
@pytest.mark.parametrize("evicted", [False, True])
async def test_a_lost_message_is_noticed_though_none_follows_and_so_is_an_evicted_key(
    redis: Redis, monkeypatch: pytest.MonkeyPatch, evicted: bool
) -> None:
    monkeypatch.setattr(times, "COMPARE", 0.1)
    async with two(redis) as (one, other), other.server.client("c") as b:
        if evicted:
            with redis.client() as client:
                client.delete(*client.keys("*bridge:1:c:app-id:c"))
            assert (await b.get("bridge:gap"))["channel"] == "c"
        else:
            pushed = other.cluster.bus.link._pushed  # type: ignore[union-attr]
            other.cluster.bus.link._pushed = lambda topic, data: None  # type: ignore[union-attr]
            await one.server.node.publish_to_all([broadcast("c", data="1")], origin="api")
            await other.cluster.bus.link.ask("PING")  # type: ignore[union-attr]
            other.cluster.bus.link._pushed = pushed  # type: ignore[union-attr]
            assert (await b.get("event"))["data"] == "1"
        await one.server.node.publish_to_all([broadcast("c", data="2")], origin="api")
        assert (await b.get("event"))["data"] == "2"
        await b.silence()


@pytest.mark.anyio
async def test_a_hole_that_cannot_be_filled_is_announced(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(times, "COMPARE", 1e9)  # or it might be filled before the log is gone
    async with two(redis) as (one, other), other.server.client("c", "d") as b:
        other.cluster.bus.link._pushed = lambda topic, data: None  # type: ignore[union-attr]
        await one.server.node.publish_to_all([broadcast("c", data="1")], origin="api")
        with redis.client() as client:
            client.delete(*client.keys("*bridge:1:l:*"))
        other.cut()
        await other.back()
        assert (await b.get("bridge:gap"))["channel"] == "c"
        await one.server.node.publish_to_all([broadcast("c", "d", data="2")], origin="api")
        assert [(await b.get("event"))["channel"] for _ in range(2)] == ["c", "d"]


@pytest.mark.anyio
async def test_who_left_and_came_while_the_link_was_cut_is_told_afterwards(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(times, "SETTLE", 0.5)
    async with two(redis) as (one, other), one.server.client() as watcher, other.server.client() as new:
        await join(watcher, "presence-r", "w")
        async with other.server.client() as old:
            await join(old, "presence-r", "old")
            await watcher.get("pusher_internal:member_added")
            other.cut()
        await new.subscribe("presence-r", '{"user_id":"new"}')
        await new.get("pusher_internal:subscription_succeeded")
        seen = set()
        for _ in range(2):
            message = await watcher.get()
            seen.add((message["event"], json.loads(message["data"])["user_id"]))
        assert seen == {("pusher_internal:member_added", "new"), ("pusher_internal:member_removed", "old")}
        await watcher.silence()


async def silent_for_long(name: str, *members: Member) -> None:
    """What the node of this name said last was long ago, and of the others' clocks nothing else depends."""
    while True:
        for each in members:
            nodes = each.cluster.nodes
            if name in nodes.others:
                nodes._heard_from = nodes.others[name].at = -math.inf
        await asyncio.sleep(0.05)


@pytest.mark.anyio
async def test_the_members_of_a_dead_node_are_gone_once(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"BEAT": 0.3, "TICK": 0.1, "AWAY": 0.2}.items():
        monkeypatch.setattr(times, name, value)
    async with member(redis) as one, member(redis) as third, one.server.client() as watcher:
        await join(watcher, "presence-r", "w")
        async with member(redis) as dying, dying.server.client("c") as user:
            await join(user, "presence-r", "1")
            await watcher.get("pusher_internal:member_added")
            dying.vanish()
            growing_old = asyncio.create_task(silent_for_long(dying.cluster.node, one, third))
            removed = await watcher.get("pusher_internal:member_removed")
            assert json.loads(removed["data"])["user_id"] == "1"
            await until(lambda: not redis.client().keys(f"*:n:{dying.cluster.node}"))
            await until(lambda: bool(told(one, third, of=Vacated)))
            growing_old.cancel()
        assert len(told(one, third, of=Vacated)) == len(told(one, third, of=MemberRemoved)) == 1
        await watcher.silence()
        answer = await one.server.request("GET", "/apps/app-id/channels")
        assert list(answer.json()["channels"]) == ["presence-r"]


@pytest.mark.anyio
async def test_a_node_that_was_only_slow_begins_anew_and_its_pages_notice_nothing(redis: Redis) -> None:
    async with two(redis) as (one, other), one.server.client() as watcher, other.server.client("c") as user:
        await join(watcher, "presence-r", "w")
        await join(user, "presence-r", "1")
        await watcher.get("pusher_internal:member_added")
        name = other.cluster.node
        one.cluster.nodes.reap(name)
        await watcher.get("pusher_internal:member_removed")
        assert json.loads((await watcher.get("pusher_internal:member_added"))["data"])["user_id"] == "1"
        assert other.cluster.node != name
        await one.server.node.publish_to_all([broadcast("c")], origin="api")
        await user.get("event")


@pytest.mark.anyio
async def test_of_a_node_that_was_taken_for_dead_it_is_told_that_all_left_and_came_again(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(times, "AWAY", 0.0)
    with proxy(redis.port) as way:
        async with member(redis) as one, member(redis, port=way.port) as other, other.server.client() as user:
            await join(user, "presence-r", "1")
            way.refuse()
            one.cluster.nodes.reap(other.cluster.node)
            await until(lambda: len(told(one, other, of=(MemberRemoved, Vacated))) == 2)
            way.accept()
            await until(lambda: len(told(one, other, of=(MemberAdded, Occupied))) == 4)
            other.cut()
            await other.back()  # from now on nothing of it is news
            other.cluster.registrations.repair(other.server.node.hubs["app-id"], "presence-r")  # type: ignore[arg-type]
            await other.cluster.bus.asking().ask("PING")
            kinds = (MemberAdded, MemberRemoved, Occupied, Vacated)
            assert [len(told(one, other, of=kind)) for kind in kinds] == [2, 1, 2, 1]


@pytest.mark.anyio
async def test_redis_that_lost_everything_floods_nobody(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(times, "SETTLE", 10 * LIMIT)
    async with two(redis) as (one, other), one.server.client() as a, other.server.client() as b:
        await join(a, "presence-r", "1")
        await join(b, "presence-r", "2")
        await a.get("pusher_internal:member_added")
        await until(lambda: bool(one.cluster.others) and bool(other.cluster.others))
        with redis.client() as client:
            client.flushall()
        one.cut()
        other.cut()
        await one.back()
        await other.back()
        assert one.cluster.registrations._stale or other.cluster.registrations._stale
        for node in (one, other):
            link = node.cluster.bus.asking()
            node.cluster.registrations.look(link, math.inf)  # the time to settle is over
            await link.ask("PING")
        for client in (a, b):  # what the wiped log held cannot be known: that is said, and nothing else
            assert (await client.get())["event"] == "bridge:gap"
            await client.silence()
        assert len(told(one, other, of=Occupied)) == 1
        users = (await one.server.request("GET", "/apps/app-id/channels/presence-r/users")).json()["users"]
        assert sorted(user["id"] for user in users) == ["1", "2"]


@pytest.mark.anyio
async def test_jobs_do_not_wait_in_vain_for_a_node_that_died_before_redis_lost_everything(
    redis: Redis,
) -> None:
    async with member(redis) as one, one.server.client("c") as client, member(redis) as dying:
        await until(lambda: dying.cluster.node in one.cluster.others)
        dying.vanish()
        with redis.client() as emptied:
            emptied.flushall()
        one.cut()
        await until(lambda: one.cluster.nodes.is_awaiting)
        one.pass_time(6.0)  # of the 8 for which jobs wait
        assert not one.cluster.nodes.is_awaiting
        await one.server.node.publish_to_all([broadcast("c")], origin="queue")
        assert {(await client.get())["event"] for _ in range(2)} == {"bridge:gap", "event"}


@pytest.mark.anyio
async def test_redis_that_is_emptied_while_the_links_stand_is_noticed_with_the_next_beat(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(times, "BEAT", 0.2)
    monkeypatch.setattr(times, "COMPARE", 1e9)
    async with two(redis) as (one, other), one.server.client("c") as a, other.server.client("c") as b:
        await until(lambda: bool(one.cluster.others and other.cluster.others))
        with redis.client() as client:
            client.flushall()
        for page in (a, b):
            assert (await page.get())["event"] == "bridge:gap"
        await one.back()
        await other.back()
        await one.server.node.publish_to_all([broadcast("c", data="1")], origin="api")
        for page in (a, b):
            assert (await page.get("event"))["data"] == "1"
            await page.silence()


@pytest.mark.anyio
async def test_while_redis_is_away_jobs_wait_and_all_else_is_delivered_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(times, "BEAT", 0.2)
    monkeypatch.setattr(times, "JOBS_WAIT", 0.0)
    with redis_server() as redis:
        async with (
            two(redis) as (one, other),
            one.server.client("c", "private-c") as a,
            other.server.client("c", "private-c") as b,
        ):
            await until(lambda: bool(one.cluster.others and other.cluster.others))
            redis.stop()
            await until(lambda: not one.cluster.is_up and not other.cluster.is_up)
            with pytest.raises(ServiceUnavailable):
                await one.server.node.publish_to_all([broadcast("c")], origin="queue")
            await one.server.node.publish_to_all([broadcast("c", data="1")], origin="api")
            assert (await a.get("event"))["data"] == "1"
            await a.send("client-x", {}, channel="private-c")
            await a.silence()
            answer = await one.server.request("GET", "/apps/app-id/channels")
            assert answer.status_code == 503
            redis.start()
            await one.back()
            await other.back()
            # Redis came back empty: what its logs held is not known, so first of all that is said
            came = [await b.get() for _ in range(4)]
            assert sorted(one["event"] for one in came[:2]) == ["bridge:gap", "bridge:gap"]
            assert sorted(one["event"] for one in came[2:]) == ["client-x", "event"]
            assert [(await a.get())["event"] for _ in range(2)] == ["bridge:gap", "bridge:gap"]
            await a.silence()


@pytest.mark.anyio
async def test_what_was_accepted_while_redis_was_away_goes_out_however_long_that_took(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(times, "BEAT", 0.2)
    monkeypatch.setattr(times, "SPOOL_SECONDS", 0.1)
    monkeypatch.setattr(times, "SEEN", 1)  # so that what was delivered here long ago is forgotten
    with redis_server() as redis:
        async with (
            two(redis) as (one, other),
            one.server.client("c", "private-c") as a,
            other.server.client("c", "private-c") as b,
            other.server.client() as user,
        ):
            node, hub = one.server.node, one.server.node.hubs[APP.id]
            await user.sign_in({"id": "7"})
            await user.get("pusher:signin_success")
            await until(lambda: bool(one.cluster.others and other.cluster.others))
            redis.stop()
            await until(lambda: not one.cluster.is_up and not other.cluster.is_up)
            await node.publish_to_all([broadcast("c", data="1")], origin="api")
            assert (await a.get("event"))["data"] == "1"
            for _ in range(3):
                await a.send("client-x", {}, channel="private-c")
            await a.silence()
            node.terminate_everywhere(hub, "7")
            await asyncio.sleep(0.3)  # three times as long as anything may wait before more is refused
            with pytest.raises(ServiceUnavailable):
                await node.publish_to_all([broadcast("c", data="2")], origin="api")
            redis.start()
            await one.back()
            await other.back()
            assert await user.close_code() == 4009
            came = [await b.get() for _ in range(3)]
            assert sorted(one["event"] for one in came) == ["bridge:gap", "bridge:gap", "event"]
            assert next(one for one in came if one["event"] == "event")["data"] == "1"
            await b.silence()
            assert [(await a.get())["event"] for _ in range(2)] == ["bridge:gap", "bridge:gap"]
            await a.silence()


@pytest.mark.anyio
async def test_jobs_do_not_outlast_the_wait_of_their_worker(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with member(redis) as one, one.server.client("c") as client:
        node, link = one.server.node, one.cluster.bus.link
        with pytest.raises(ServiceUnavailable):  # on purpose without giving the loop a turn
            node.publish_from_thread([broadcast("c", data="1")], timeout=0.05)
        job = replace(broadcast("c", data="2"), job="uuid-2")
        redis.pause()
        try:
            monkeypatch.setattr(times, "JOBS_WAIT", 0.1)
            with pytest.raises(ServiceUnavailable):
                await node.publish_to_all([job], origin="queue")
            assert one.cluster.bus.link is link, "the job has not waited for the link to be given up"
        finally:
            redis.resume()
        monkeypatch.undo()
        await node.publish_to_all([job], origin="queue")
        assert (await client.get("event"))["data"] == "2"
        await client.silence()


# Forgery --------------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_nothing_that_is_not_ours_is_delivered(redis: Redis) -> None:
    async with two(redis) as (one, other), one.server.client("c", "d") as a, other.server.client() as b:
        await join(a, "presence-r", "1")
        await join(b, "presence-r", "2")
        await a.get("pusher_internal:member_added")
        with redis.client() as client:
            place = one.cluster.names.topic
            await one.server.node.publish_to_all([broadcast("c", data="1")], origin="api")
            await a.get("event")
            (entry,) = client.lrange(client.keys("*bridge:1:l:*")[0], 0, -1)
            captured = entry[entry.index(b":") + 9 :]
            record = client.hgetall(client.keys("*bridge:1:c:app-id:c")[0])
            top = record[b"t"]
            blobs = [
                captured,
                b"2:" + top + captured,
                b"9:" + b"x" * 8 + captured,
                b"",
                b"\x01",
                b"2:",
                b"+",
                b"-",
                b"+99 3 x",
                b"-3 2",
                b"^1",
                b"#x",
                b"#" + b"9" * 5000,
                b"2:" + top + b"\x01\x01" + b"y" * 60,
                b"2:" + top + b"\x02" + captured[1:],
                b"x" * 200_000,
                b"+3 %ff \xff",
                b"-1 %ff",
            ]
            link = one.cluster.bus.link
            for blob in blobs:
                for name in ("c", "d", "presence-r"):
                    client.publish(place(b"app-id:" + name.encode()), blob)
        await one.cluster.bus.link.ask("PING")  # type: ignore[union-attr]
        await a.silence()
        await b.silence()
        assert one.cluster.bus.link is link, "none of it ends the link"
        assert one.cluster.rejected.total() > 20
        await one.server.node.publish_to_all([broadcast("c", "d", data="2")], origin="api")
        assert [(await a.get("event"))["data"] for _ in range(2)] == ["2", "2"]


@pytest.mark.anyio
async def test_records_that_no_node_has_written_end_no_link(redis: Redis) -> None:
    async with member(redis) as one, one.server.client("c") as client:
        names, link = one.cluster.names, one.cluster.bus.link
        assert link is not None
        with redis.client() as other:
            for name, record in (
                ("deep", b"[" * 200_000), ("endless", b'{"beat":1e999}'), ("list", b"[]"), ("none", b""),
                (b"\xff\xfe", b'{"beat":1}'), ("no name", b'{"beat":1}'),
                ("odd", b'{"beat":1,"connections":{"app-id":1e999}}'),
            ):  # fmt: skip
                other.hset(names.nodes, name, record)
            other.sadd(names.key("n", one.cluster.node.encode()), b"junk", b"\xff \xff", b"a:%ff %ff")
            one.cluster.nodes.beat()
            await link.ask("PING")
            assert one.cluster.bus.link is link
            one.cut()
            await one.back()
            link = one.cluster.bus.link
            assert link is not None
            one.cluster.departures.gone(b"\xff", b"", 1)
            one.cluster.departures.gone(b"app-id:presence-x", b"%ff", 1)
            await link.ask("PING")
            assert one.cluster.bus.link is link
            other.delete(names.nodes)
        await one.server.node.publish_to_all([broadcast("c", data="2")], origin="api")
        assert (await client.get("event"))["data"] == "2"


@pytest.mark.anyio
async def test_a_job_that_comes_again_is_not_sent_twice(redis: Redis) -> None:
    async with two(redis) as (one, other), one.server.client("c") as a:
        same = replace(broadcast("c", data="1"), job="uuid-1")
        for node in (one, other):
            await node.server.node.publish_to_all([same, replace(same, data="2")], origin="queue")
        assert [(await a.get("event"))["data"] for _ in range(2)] == ["1", "2"]
        await a.silence()
        assert [one.receivers for one in told(one, other, of=Published)] == [1, 1, 0, 0]


@pytest.mark.anyio
async def test_jobs_that_meet_a_lost_link_go_out_once_and_in_order(redis: Redis) -> None:
    async with two(redis) as (one, other), other.server.client("c") as client:

        async def publish(*numbers: int) -> None:
            jobs = [replace(broadcast("c", data=str(number)), job=f"job-{number}") for number in numbers]
            await one.server.node.publish_to_all(jobs, origin="queue")

        for turn in range(20):
            batch = range(4 * turn, 4 * turn + 4)
            if turn % 2:  # Redis has had half of it, as where a link breaks in the middle
                await publish(*batch[:2])
            underway = asyncio.create_task(publish(*batch))
            for _ in range(turn % 4 // 2):  # it has been sent, and has no answer
                await asyncio.sleep(0)
            one.cut()
            await underway
        assert [(await client.get("event"))["data"] for _ in range(80)] == [
            str(number) for number in range(80)
        ]
        await client.silence()


@pytest.mark.anyio
async def test_what_is_published_in_one_turn_goes_out_in_one_call_before_all_that_follows(
    redis: Redis,
) -> None:
    async with two(redis) as (one, other), other.server.client("a", "b") as client:
        link = one.cluster.bus.link
        assert link is not None
        put, sent, receivers = link._put, list[bytes](), list[int | None]()
        link._put = lambda waits: (put(waits), sent.append(waits.command))  # type: ignore[assignment,func-returns-value]
        for number in range(MOST + 10):
            one.cluster.publish_soon([broadcast("ab"[number % 2], data=str(number))], "api", receivers.append)
        link.send("ECHO", "behind")
        one.cluster.publish_soon([broadcast("a", data="last")], "api", receivers.append)
        await until(lambda: len(receivers) == MOST + 11)
        kinds = {PUBLISH.sha: "events", b"behind": "ECHO"}
        found = [kind for command in sent for word, kind in kinds.items() if word in command]
        assert found == ["events", "events", "ECHO", "events"]
        assert receivers == [1] * (MOST + 11)
        assert [(await client.get("event"))["data"] for _ in range(MOST + 11)] == [
            *map(str, range(MOST + 10)),
            "last",
        ]


@pytest.mark.anyio
async def test_an_event_that_redis_cannot_keep_is_no_harm_to_those_beside_it(redis: Redis) -> None:
    async with member(redis) as one, one.server.client("a", "b") as client:
        key = one.cluster.names.key("l", b"app-id:b")
        with redis.client() as other:
            other.set(key, "no list")
            receivers: list[int | None] = []
            link = one.cluster.bus.link
            for name in ("a", "b", "a"):
                one.cluster.publish_soon([broadcast(name, data=name)], "api", receivers.append)
            await until(lambda: len(receivers) == 3)
            other.delete(key)
        assert receivers == [1, None, 1]
        assert one.cluster.bus.link is link
        assert [(await client.get("event"))["channel"] for _ in range(2)] == ["a", "a"]
        await client.silence()


@pytest.mark.anyio
@pytest.mark.parametrize("size", [10, 8_000])  # bytes of each that is missed: in one answer, or in two
async def test_a_user_for_whom_there_is_no_room_hears_so_after_what_was_missed(
    redis: Redis, size: int
) -> None:
    app = replace(APP, limits=replace(APP.limits, members=1))
    async with two(redis, app) as (one, other), one.server.client() as first, one.server.client() as second:
        await join(first, "presence-r", "1")
        one.task.cancel()
        one.cut()
        for _ in range(10):
            await other.server.node.publish_to_all([broadcast("presence-r", data="x" * size)], origin="api")
        await second.subscribe("presence-r", '{"user_id":"2"}')
        one.task = asyncio.create_task(one.cluster.run())
        await one.back()
        refusal = await second.get()
        assert (refusal["event"], refusal["data"]["type"]) == ("pusher:subscription_error", "LimitReached")
