"""Pages that come back to any node get what they missed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from bridge.errors import ServiceUnavailable
from bridge.sockets.cluster import pages, times
from bridge.sockets.pusher.app import Limits
from bridge.sockets.pusher.hub_events import MemberAdded, MemberRemoved, Resumed
from bridge.sockets.pusher.messages import GAP
from bridge.sockets.server import node as node_module
from tests.proxy import proxy
from tests.services import Redis
from tests.sockets.cluster.nodes import Member, member
from tests.sockets.server.running import APP, LIMIT, Client, broadcast, connect, until
from tests.sockets.server.test_resume import NAMES, cut, holes_and_repeats, numbered
from tests.sockets.server.test_resume import page as echo_page

pytestmark = pytest.mark.anyio

RESUMING = replace(APP, resume_seconds=60.0)
CONFIRMED = "pusher_internal:subscription_succeeded"


@asynccontextmanager
async def two(redis: Redis, app: Any = RESUMING) -> AsyncIterator[tuple[Member, Member]]:
    async with member(redis, app) as one, member(redis, app) as other:
        yield one, other


@asynccontextmanager
async def page(
    at: Member, number: int, *, session: str = "a-page-of-its-own", answers: bool = True
) -> AsyncIterator[Client]:
    """A connection of a page; one that does not answer pings has a network that swallows them."""
    url = at.server.url().replace("/app/", f"/app/r/{session}.{number}/app/", 1)
    async with connect(url) as websocket:
        if not answers:
            websocket.protocol.recv_frame = ignoring_pings(websocket.protocol.recv_frame)  # type: ignore[method-assign]
        client = Client(websocket, APP)
        established = await client.get("pusher:connection_established")
        client.socket_id = json.loads(established["data"])["socket_id"]
        yield client


def ignoring_pings(receive: Any) -> Any:
    return lambda frame: None if frame.opcode == 9 else receive(frame)


async def publish(at: Member, channel: str, *numbers: int, socket_id: str | None = None) -> None:
    for number in numbers:
        await at.server.node.publish_to_all(
            [broadcast(channel, data=str(number), socket_id=socket_id)], origin="api"
        )


async def come(
    client: Client, channel: str = "a", channel_data: str | None = None, *, has_forgotten: bool = False
) -> list[str]:
    """What follows a subscription. Two more are made, one after the other: what a page missed is asked for
    when a channel is joined, and the link keeps the order. `has_forgotten`: the page is unknown, so they have
    a gap too."""
    await client.subscribe(channel, channel_data)
    got: list[str] = []
    for _ in range(2):
        last = f"last-{random.random()}"
        await client.subscribe(last)
        while (message := await client.get()).get("channel") != last:
            got.append(message["data"] if message["event"] == "event" else message["event"])
        if has_forgotten:
            await client.get(GAP)
    return got


async def acknowledged(at: Member, channel: str = "a") -> None:
    """The node knows that its page has everything, and has told Redis so."""
    (session,) = at.server.node.hubs[APP.id].sessions.by_id.values()
    hub = at.server.node.hubs[APP.id]
    await until(lambda: session.positions.get(channel) == hub.position(channel))
    await at.cluster.bus.asking().ask("PING")


async def gone(at: Member) -> None:
    await until(lambda: not at.server.node.hubs[APP.id].sockets)
    await at.cluster.bus.asking().ask("PING")


@pytest.mark.parametrize("elsewhere", [False, True], ids=["the same node", "another node"])
async def test_what_was_missed_comes_in_order_before_what_comes_from_now_on(
    redis: Redis, elsewhere: bool
) -> None:
    async with two(redis) as (one, other):
        async with page(one, 0) as client:
            assert await come(client) == [CONFIRMED]
            await publish(other, "a", 1, 2)
            assert [(await client.get())["data"] for _ in range(2)] == ["1", "2"]
            await acknowledged(one)
        await gone(one)
        await publish(one, "a", 3)
        await publish(other, "a", 4)
        then = other if elsewhere else one
        async with page(then, 1) as client:
            assert await come(client) == [CONFIRMED, "3", "4"]
            await publish(one, "a", 5)
            assert (await client.get())["data"] == "5"
            (resumed,) = [event for event in then.server.hub_events if type(event) is Resumed]
            assert resumed == Resumed(
                app_id=APP.id, channel="a", socket_id=client.socket_id, events=2, has_gap=False
            )


async def test_what_was_missed_does_not_make_a_client_slow_however_much_it_is(redis: Redis) -> None:
    missed = [f"{number} " + "x" * 5_000 for number in range(500)]
    async with member(redis, RESUMING, max_backlog=500_000) as one:
        async with page(one, 0) as client:
            await come(client)
        await gone(one)
        await one.server.node.publish_to_all([broadcast("a", data=data) for data in missed], origin="api")
        async with one.server.client("a") as watcher, page(one, 1) as client:
            one.server.narrow()
            client.websocket.transport.pause_reading()
            await client.subscribe("a")
            await until(lambda: bool(one.server.node.slow))
            (slow,) = one.server.node.slow
            for number in range(2):
                await publish(one, "a", number)
                assert (await watcher.get())["data"] == str(number)
                await until(lambda: slow.out is None)
            client.websocket.transport.resume_reading()
            await client.get(CONFIRMED)
            assert [(await client.get())["data"] for _ in range(502)] == [*missed, "0", "1"]


async def test_others_in_the_channel_notice_nothing_and_miss_nothing(redis: Redis) -> None:
    async with two(redis) as (one, other), other.server.client("a") as watcher:
        async with page(one, 0) as client:
            await come(client)
        await gone(one)
        await publish(one, "a", 1)
        async with page(other, 1) as client:
            assert await come(client) == [CONFIRMED, "1"]
        assert (await watcher.get())["data"] == "1"
        await watcher.silence()


async def test_a_node_that_was_killed_leaves_what_was_acknowledged(redis: Redis) -> None:
    async with two(redis) as (one, other), page(one, 0) as client:
        await come(client)
        await publish(other, "a", 1)
        await client.get("event")
        await acknowledged(one)
        one.vanish()
        await publish(other, "a", 2)
        async with page(other, 1) as again:
            assert await come(again) == [CONFIRMED, "2"]


async def test_a_page_is_confirmed_once_any_node_would_know_where_it_began(
    redis: Redis,
) -> None:
    with proxy(redis.port) as between:
        async with (
            member(redis, RESUMING, port=between.port) as one,
            member(redis, RESUMING) as other,
            one.server.client("a") as beside,
        ):
            async with page(one, 0) as client:
                await come(client, "b")
                between.stall()
                await client.subscribe("a")
                await client.silence()  # else it would be gone with this node, and nobody would tell of a gap
                between.resume()
                await client.get(CONFIRMED)
                one.vanish()
            async with page(other, 1) as client:
                await publish(other, "a", 1)
                assert await come(client) == [CONFIRMED, "1"]
            await beside.silence()


@pytest.mark.parametrize("what", ["the record is gone", "the record is made anew"])
async def test_where_a_page_began_is_known_to_all_whatever_comes_until_it_is_confirmed(
    redis: Redis, what: str
) -> None:
    with proxy(redis.port) as between:
        async with (
            member(redis, RESUMING, port=between.port) as one,
            member(redis, RESUMING) as other,
            one.server.client("a"),
        ):
            hub: Any = one.server.node.hubs[APP.id]
            async with page(one, 0, answers=False) as client:
                await come(client, "b")
                between.stall()
                await client.subscribe("a")
                await client.silence()
                await publish(other, "a", 1)  # so what the page missed has to be read
                if what == "the record is gone":
                    with redis.client() as store:
                        store.delete(one.cluster.names.key("r", b"app-id:a-page-of-its-own"))
                else:
                    one.cluster.ask(hub, hub.sessions.refresh(one.server.node.now() + LIMIT, 0.0))
                between.resume()
                await client.get(CONFIRMED)
                assert (await client.get())["data"] == "1"
                one.vanish()
            await publish(other, "a", 2)
            async with page(other, 1) as client:
                assert await come(client) == [CONFIRMED, "1", "2"]


async def test_a_page_that_is_new_gets_what_comes_until_it_is_confirmed_behind_that(
    redis: Redis,
) -> None:
    with proxy(redis.port) as between:
        async with (
            member(redis, RESUMING, port=between.port) as one,
            member(redis, RESUMING) as other,
            one.server.client("a") as beside,
            page(one, 0) as client,
        ):
            await come(client, "b")
            between.stall()
            await client.subscribe("a")
            await client.silence()
            await publish(other, "a", 1, 2)
            between.resume()
            assert [(await beside.get("event"))["data"] for _ in range(2)] == ["1", "2"]
            await publish(other, "a", 3)
            await client.get(CONFIRMED)
            assert [(await client.get())["data"] for _ in range(3)] == ["1", "2", "3"]
            await client.silence()
            assert not [told for told in one.server.hub_events if isinstance(told, Resumed)]


async def test_a_connection_that_only_seems_open_on_another_node_is_replaced(redis: Redis) -> None:
    async with two(redis) as (one, other), page(one, 0, answers=False) as client:
        await come(client)
        await publish(other, "a", 1)
        await client.get("event")
        async with page(other, 1) as again:
            assert await come(again) == [CONFIRMED, "1"]
            await publish(one, "a", 2, socket_id=client.socket_id)
            await publish(one, "a", 3)
            assert (await again.get())["data"] == "3"
            await acknowledged(other)
            one.server.node.hubs[APP.id].sessions.by_id["a-page-of-its-own"].positions.clear()
            await client.websocket.close()  # found dead at last: what it had kept is not written over
            await gone(one)
        await gone(other)
        async with page(one, 2) as last:
            assert await come(last) == [CONFIRMED]


async def test_a_page_that_is_not_known_is_told_of_a_gap_and_gets_no_history(redis: Redis) -> None:
    async with two(redis) as (one, other), one.server.client("a"):
        await publish(other, "a", 1)
        async with page(other, 5) as client:
            assert await come(client, has_forgotten=True) == [CONFIRMED, GAP]
            await publish(other, "a", 2)
            await client.get("event")
            client.websocket.transport.abort()
        await gone(other)


@pytest.mark.parametrize("how", ["more than is kept", "Redis was emptied"])
async def test_where_something_is_missing_a_gap_is_told(redis: Redis, how: str) -> None:
    app = replace(RESUMING, limits=Limits(resume_events=1_000))
    async with two(redis, app) as (one, other):
        async with page(one, 0) as client:
            await come(client)
        await gone(one)
        await publish(other, "a", 1)
        with redis.client() as store:
            if how == "Redis was emptied":
                store.flushall()
            else:
                (key,) = store.keys("*l:app-id:a")
                store.ltrim(key, 1, -1)  # as the script that publishes does
                await publish(other, "a", 2, 3)
                store.ltrim(key, -1, -1)
        async with page(other, 1) as client:
            got = await come(client, has_forgotten=how == "Redis was emptied")
            assert got == ([CONFIRMED, GAP] if how == "Redis was emptied" else [CONFIRMED, GAP, "3"])


@pytest.mark.parametrize("comes", ["nothing more", "another event"])
async def test_a_gap_is_told_where_redis_has_forgotten_the_channel_but_not_its_last_events(
    redis: Redis, comes: str
) -> None:
    """It does so two minutes after the last client has left, or when it evicts keys."""
    async with two(redis) as (one, other):
        async with page(one, 0) as client:
            await come(client)
        await gone(one)
        await publish(one, "a", 1)
        with redis.client() as store:
            store.delete(one.cluster.names.key("c", b"app-id:a"))
        await publish(one, "a", 2)  # to nobody: it is not kept
        watcher = other.server.client("a") if comes == "another event" else contextlib.nullcontext()
        async with watcher:
            if comes == "another event":
                await publish(one, "a", 3)
            async with page(other, 1) as client:
                got = await come(client)
                assert got == [CONFIRMED, GAP, "1", *(["3"] if comes == "another event" else [])]


async def test_a_channel_is_known_for_as_long_as_a_page_that_was_in_it(redis: Redis) -> None:
    app = replace(RESUMING, resume_seconds=600.0)
    async with member(redis, app) as one:
        async with page(one, 0) as client:
            await come(client)
        await gone(one)
        with redis.client() as store:
            together = store.pipeline(transaction=True)
            together.ttl(one.cluster.names.key("r", b"app-id:a-page-of-its-own"))
            together.ttl(one.cluster.names.key("c", b"app-id:a"))
            page_left, channel_left = together.execute()
            assert page_left > 600
            assert channel_left >= page_left - 1


@pytest.mark.parametrize("is_evicted", [True, False])
async def test_others_in_the_channel_are_told_of_that_too(redis: Redis, is_evicted: bool) -> None:
    async with two(redis) as (one, other), one.server.client("a") as client:
        await publish(other, "a", 1)
        assert (await client.get())["data"] == "1"
        one.task.cancel()
        one.cut()
        await publish(other, "a", 2)
        if is_evicted:
            with redis.client() as store:
                store.delete(one.cluster.names.key("c", b"app-id:a"))
            await publish(other, "a", 3)
            async with other.server.client("a"):
                await publish(other, "a", 4)
        one.task = asyncio.create_task(one.cluster.run())
        await one.back()
        if is_evicted:
            assert (await client.get())["event"] == GAP
        else:
            assert (await client.get())["data"] == "2"


async def test_a_page_is_known_after_redis_has_lost_its_last_writes(redis: Redis) -> None:
    """As after a failover to a replica that was behind."""
    async with two(redis) as (one, other):
        async with page(one, 0) as client:
            await come(client)
        await gone(one)
        with redis.client() as store:
            key = one.cluster.names.key("r", b"app-id:a-page-of-its-own")
            before = store.dump(key)
            async with page(one, 1, answers=False) as client:
                await come(client)
                await come(client, "b")
                store.restore(key, 60_000, before, replace=True)
                one.cut()
                await one.back()
                one.vanish()
        await publish(other, "b", 1)
        async with page(other, 2) as client:
            assert await come(client, "b") == [CONFIRMED, "1"]


async def test_over_a_lost_link_nothing_is_lost_and_nothing_is_silent(redis: Redis) -> None:
    async with two(redis) as (one, other):
        async with page(one, 0) as client:
            await come(client)
            one.cut()
            await publish(other, "a", 1)
            await one.back()
            assert (await client.get())["data"] == "1"
            await acknowledged(one)
        await gone(one)
        await publish(one, "a", 2)
        async with page(other, 1) as client:
            await client.subscribe("a")
            other.cut()  # whatever was asked of Redis for the page has no answer
            await publish(one, "a", 3)
            await other.back()
            got = []
            while "3" not in got:
                message = await client.get()
                got.append(message["data"] if message["event"] == "event" else message["event"])
            assert got == [CONFIRMED, "2", "3"]


async def test_a_connection_whose_browser_is_gone_does_not_take_the_page_back(redis: Redis) -> None:
    async with two(redis) as (one, other):
        async with page(one, 0) as client:
            await come(client)
        await gone(one)
        one.task.cancel()
        one.cut()
        async with page(one, 1, answers=False) as left_behind:
            await left_behind.subscribe("a")
            async with page(other, 2) as client:
                assert await come(client) == [CONFIRMED]
                one.task = asyncio.create_task(one.cluster.run())
                await one.back()
                await one.cluster.flush(LIMIT)
                await publish(other, "a", 1)
                assert (await client.get())["data"] == "1"
                await acknowledged(other)
            await gone(other)
            async with page(other, 3) as client:
                assert await come(client) == [CONFIRMED]


async def test_a_page_that_redis_has_forgotten_is_made_again_by_its_last_connection(redis: Redis) -> None:
    async with two(redis) as (one, other):
        one.task.cancel()
        one.cut()
        async with page(one, 1, answers=False), page(other, 2) as client:
            await come(client, has_forgotten=True)
            with redis.client() as store:
                key = one.cluster.names.key("r", b"app-id:a-page-of-its-own")
                store.delete(key)
                one.task = asyncio.create_task(one.cluster.run())
                await one.back()
                await one.cluster.flush(LIMIT)
                other.cut()
                await other.back()
                await other.cluster.flush(LIMIT)
                assert store.hget(key, "w") == client.socket_id.encode()
                assert b"pa" in store.hkeys(key)


@pytest.mark.parametrize("stays", [True, False])
async def test_a_gap_is_told_after_an_outage_with_more_events_than_are_kept(
    redis: Redis, stays: bool
) -> None:
    async with two(redis) as (one, other), other.server.client("a") as reader:
        async with page(one, 0) as client:
            await come(client)
            await publish(other, "a", 1)
            assert (await client.get())["data"] == "1"
            await acknowledged(one)
            one.task.cancel()
            one.cut()
            for first in range(2, 1102, 100):
                some = [broadcast("a", data=str(number)) for number in range(first, first + 100)]
                await other.server.node.publish_to_all(some, origin="queue")
            if stays:
                one.task = asyncio.create_task(one.cluster.run())
                await one.back()
                assert (await client.get())["event"] == GAP
                await publish(other, "a", 1102)
                assert (await client.get())["data"] == "1102"
        if not stays:
            await until(lambda: not one.server.node.hubs[APP.id].sockets)
            async with page(other, 1) as client:
                assert await come(client) == [CONFIRMED, GAP, *map(str, range(102, 1102))]
            one.task = asyncio.create_task(one.cluster.run())
            await one.back()
        reader.websocket.transport.abort()  # with what it has not read it would take long to close


async def test_a_sender_stays_excluded_over_nodes(redis: Redis) -> None:
    async with two(redis) as (one, other):
        async with page(one, 0) as client:
            await come(client)
            first = client.socket_id
        await gone(one)
        await publish(one, "a", 1, socket_id=first)
        await publish(one, "a", 2)
        async with page(other, 1) as client:
            assert await come(client) == [CONFIRMED, "2"]
            await publish(one, "a", 3, socket_id=first)
            await publish(one, "a", 4)
            assert (await client.get())["data"] == "4"


async def test_positions_in_presence_channels_and_of_users_and_cache_channels(redis: Redis) -> None:
    user = json.dumps({"user_id": "u 1"})
    async with two(redis) as (one, other):
        async with page(one, 0) as client:
            assert await come(client, "presence-p", user) == [CONFIRMED]
            assert await come(client, "cache-c") == [CONFIRMED, "pusher:cache_miss"]
            await client.sign_in({"id": "7 8"})
            await client.get("pusher:signin_success")
        await gone(one)
        for channel in ("presence-p", "cache-c", "#server-to-user-7 8"):
            await publish(one, channel, 1)
        async with page(other, 1) as client:
            assert await come(client, "presence-p", user) == [CONFIRMED, "1"]
            assert await come(client, "cache-c") == [CONFIRMED, "1"]
            await client.sign_in({"id": "7 8"})
            await client.get("pusher:signin_success")
            assert (await client.get())["data"] == "1"
            await acknowledged(other, "cache-c")
        await gone(other)
        async with page(one, 2) as client:
            assert await come(client, "cache-c") == [CONFIRMED]
            assert await come(client, "presence-p", json.dumps({"user_id": "another"})) == [CONFIRMED]


async def test_a_channel_that_was_left_has_no_position_any_more(redis: Redis) -> None:
    async with two(redis) as (one, other), other.server.client("a"):
        async with page(one, 0) as client:
            await come(client)
            await client.send("pusher:unsubscribe", {"channel": "a"})
            await client.silence()
        await gone(one)
        await publish(one, "a", 1)
        async with page(other, 1) as client:
            assert await come(client) == [CONFIRMED]


async def test_no_hole_while_pages_move_between_nodes_and_links_are_cut(redis: Redis) -> None:
    """Each page is told every number in order, or of a gap; it goes back only where it was cut."""
    random.seed(7)
    turns, running = 6, True
    async with two(redis) as nodes:
        sent = 0

        async def publisher() -> None:
            nonlocal sent
            while running:
                sent += 1
                job = replace(broadcast("a", data=str(sent)), job=f"job-{sent}")
                while True:  # as the worker does: a job's mark keeps it from going out twice
                    with contextlib.suppress(ServiceUnavailable):
                        await random.choice(nodes).server.node.publish_to_all([job], origin="queue")
                        break
                    await asyncio.sleep(0.01)
                await asyncio.sleep(0.002)

        async def one_page(number: int) -> list[list[str]]:
            got: list[list[str]] = []
            for turn in range(turns):
                at = random.choice(nodes)
                async with page(at, turn, session=f"page-number-{number:08d}") as client:
                    await client.subscribe("a")
                    got.append([])
                    for _ in range(random.randrange(5, 60)):
                        message = await client.get()
                        got[-1].append(message["data"] if message["event"] == "event" else message["event"])
                    if random.random() < 0.3:
                        random.choice(nodes).cut()
                    client.websocket.transport.abort()
                    # What had come is the page's, read or not: its client has answered for it.
                    with contextlib.suppress(ConnectionClosed):
                        while True:
                            message = await client.get()
                            got[-1].append(
                                message["data"] if message["event"] == "event" else message["event"]
                            )
            return got

        task = asyncio.create_task(publisher())
        pages = await asyncio.gather(*(one_page(number) for number in range(4)))
        running = False
        await task
        for got in pages:
            last = 0
            for turn, messages in enumerate(got):
                assert messages[0] == CONFIRMED
                numbers = [int(one) for one in messages[1:]]  # no gap: nothing was lost
                assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
                assert turn == 0 or numbers[0] <= last + 1
                last = numbers[-1]


# Presence over a rolling restart


async def test_a_node_that_rolls_makes_nobody_leave_or_join(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(times, "AWAY", 0.2)
    monkeypatch.setattr(times, "GRACE", 10 * LIMIT)  # until all pages are back
    app = replace(RESUMING, presence_grace=0.0)
    async with member(redis, app) as other, other.server.client() as watcher:
        await come(watcher, "presence-p", json.dumps({"user_id": "watcher"}))
        async with member(redis, app) as one:
            pages = []
            for number in range(5):
                opened = page(one, 0, session=f"page-number-{number:08d}")
                client = await opened.__aenter__()
                await come(client, "presence-p", json.dumps({"user_id": str(number)}))
                pages.append((opened, client))
            for _ in range(5):
                await watcher.get("pusher_internal:member_added")
            other.server.hub_events.clear()
            one.cluster.leave()
            await one.server.node.drain(LIMIT, code=4200)
            await publish(other, "presence-p", 1)
            for opened, _ in pages:
                await opened.__aexit__(None, None, None)
        for number in range(5):
            opened = page(other, 1, session=f"page-number-{number:08d}")
            client = await opened.__aenter__()
            got = await come(client, "presence-p", json.dumps({"user_id": str(number)}))
            assert got == [CONFIRMED, "1"]
            pages[number] = (opened, client)
        monkeypatch.setattr(times, "GRACE", 0.0)
        await until(lambda: not other.cluster.others)  # the node is taken out
        assert (await watcher.get())["data"] == "1"
        await watcher.silence()
        told = (MemberAdded, MemberRemoved)
        assert [event for event in other.server.hub_events if isinstance(event, told)] == []
        for opened, _ in pages:
            await opened.__aexit__(None, None, None)


# Echo as it is


@asynccontextmanager
async def moving(nodes: tuple[Member, Member]) -> AsyncIterator[tuple[int, list[Member]]]:
    """A port that leads to the first of the list, which the test changes."""
    to = list(nodes)

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            back, forth = await asyncio.open_connection("127.0.0.1", to[0].server.port)
        except OSError:
            writer.close()
            return
        await asyncio.gather(copy(reader, forth), copy(back, writer))

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async with await asyncio.start_server(forward, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1], to


async def test_echo_as_it_is_moves_between_nodes_without_a_hole(redis: Redis) -> None:
    async with two(redis) as nodes, moving(nodes) as (port, to), echo_page(port) as one:
        number = 0
        for turn in range(1, 5):
            await one.until(turn, subscribed="room")
            await one.until(turn, subscribed="orders")
            for at in range(30):
                number += 1
                await nodes[number % 2].server.node.publish_to_all(
                    [numbered(name, number) for name in NAMES.values()], origin="queue"
                )
                if at == 15:
                    leaving, _ = to
                    to.reverse()
                    if turn % 2:
                        cut(leaving.server.node)
                    else:  # as a node does that rolls: what has arrived is known before it closes
                        for socket in tuple(leaving.server.node.hubs[APP.id].sockets.values()):
                            socket.close(4200, "rolling")
        for name in NAMES:
            await until(lambda name=name: one.numbers(name)[-1:] == [number])  # type: ignore[misc]
            assert holes_and_repeats(one.numbers(name), number)[0] == 0
        assert [told for told in one.told if "gap" in told] == []


async def test_a_clean_stop_repeats_nothing(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_module, "ACK_TIMEOUT", LIMIT)
    async with two(redis) as nodes, moving(nodes) as (port, to), echo_page(port) as one:
        for number in range(1, 21):
            await publish_numbered(nodes[0], number)
        to.reverse()
        await nodes[0].server.node.drain(LIMIT, code=4200)
        for number in range(21, 41):
            await publish_numbered(nodes[1], number)
        await until(lambda: one.numbers("orders")[-1:] == [40])
        for name in NAMES:
            await until(lambda name=name: len(one.numbers(name)) >= 40)  # type: ignore[misc]
            assert one.numbers(name) == list(range(1, 41))


@pytest.mark.parametrize("is_asked", [False, True], ids=["at rest", "asked already"])
async def test_a_clean_stop_repeats_nothing_that_is_published_meanwhile(
    redis: Redis, monkeypatch: pytest.MonkeyPatch, is_asked: bool
) -> None:
    """A page that does not answer keeps the drain waiting, while another, which does, would get events."""
    monkeypatch.setattr(node_module, "ACK_TIMEOUT", LIMIT)
    last, running = 0, True
    got: list[int] = []

    async def publish_on() -> None:
        nonlocal last
        while running:
            await publish(other, "a", last + 1)
            last += 1
            await asyncio.sleep(0.005)

    async def take(client: Client) -> None:
        message = await client.get()
        if message["event"] == "event":
            got.append(int(message["data"]))

    async with two(redis) as (one, other):
        async with page(one, 0, session="answers-no-ping-at-all", answers=False) as silent:
            await come(silent)
            publishing = asyncio.create_task(publish_on())
            async with page(one, 0) as client:
                await client.subscribe("a")
                while len(got) < 3:
                    await take(client)
                node = one.server.node
                if is_asked:
                    node._ask_page(node.hubs[APP.id].sockets[client.socket_id])
                drain = asyncio.create_task(node.drain(LIMIT, code=4200))
                with contextlib.suppress(ConnectionClosed):
                    while True:
                        await take(client)
                assert client.websocket.close_code == 4200
        await drain
        async with page(other, 1) as client:
            await client.subscribe("a")
            await take(client)
            running = False
            await publishing
            while got[-1] < last:
                await take(client)
    assert got == list(range(got[0], last + 1))


async def test_a_page_that_takes_its_time_to_answer_delays_no_other_and_gets_nothing_twice(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node_module, "LONG_ACK_TIMEOUT", LIMIT)
    pings: list[Any] = []
    async with two(redis) as (one, other):
        async with page(one, 0, session="takes-its-own-time") as slow, page(one, 0) as quick:
            take = slow.websocket.protocol.recv_frame
            slow.websocket.protocol.recv_frame = lambda frame: (  # type: ignore[method-assign]
                pings.append(frame) if frame.opcode == 9 else take(frame)
            )
            await come(slow)
            await come(quick)
            await publish(other, "a", 1)
            assert (await slow.get())["data"] == (await quick.get())["data"] == "1"
            drain = asyncio.create_task(one.server.node.drain(LIMIT, code=4200, spread=0.01))
            assert await quick.close_code() == 4200
            await publish(other, "a", 2)
            assert slow.websocket.close_code is None, "its answer is awaited"
            await until(lambda: bool(pings))
            for ping in pings:
                await slow.websocket.pong(ping.data)
            assert await slow.close_code() == 4200
            await drain
        async with page(other, 1, session="takes-its-own-time") as slow:
            assert await come(slow) == [CONFIRMED, "2"]


@pytest.mark.parametrize("is_late", [False, True], ids=["waits for its answer", "comes too late"])
async def test_a_page_that_subscribes_while_it_is_about_to_be_closed_is_told_elsewhere(
    redis: Redis, is_late: bool
) -> None:
    async with two(redis) as (one, other):
        node, hub = one.server.node, one.server.node.hubs[APP.id]
        await publish(other, "cache-c", 1)
        async with page(one, 0) as client:
            socket = hub.sockets[client.socket_id]
            connection = socket.connection
            assert connection is not None
            subscribe = json.dumps({"event": "pusher:subscribe", "data": {"channel": "cache-c"}})
            if not is_late:
                node.receive(socket, connection, subscribe)
            node._ask_page(socket, is_last=True)
            if is_late:
                node.receive(socket, connection, subscribe)
            await until(lambda: getattr(hub.channels["cache-c"], "is_joined"))  # noqa: B009
            await one.cluster.bus.asking().ask("PING")
        await gone(one)
        async with page(other, 1) as client:
            assert await come(client, "cache-c") == [CONFIRMED, "1"]


async def test_what_a_page_has_said_while_the_bus_was_away_counts(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node_module, "ACK_TIMEOUT", LIMIT)
    async with two(redis) as (one, other):
        hub = one.server.node.hubs[APP.id]
        async with page(one, 0) as client:
            assert await come(client) == [CONFIRMED]
            await publish(other, "a", 1)
            assert (await client.get())["data"] == "1"
            one.task.cancel()  # nobody makes a new link
            one.cut()
            (session,) = hub.sessions.by_id.values()
            drain = asyncio.create_task(one.server.node.drain(LIMIT, code=4200))
            await until(lambda: session.is_finished and session.ping is None)
            one.task = asyncio.create_task(one.cluster.run())
            assert await client.close_code() == 4200
            await drain
        async with page(other, 1) as client:
            assert await come(client) == [CONFIRMED]


async def test_a_client_that_does_not_resume_is_closed_without_a_word_of_redis(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node_module, "ACK_TIMEOUT", 10 * LIMIT)
    async with member(redis, RESUMING) as one, one.server.client("a") as client:
        one.task.cancel()  # nobody gives the link up
        redis.pause()
        try:
            drain = asyncio.create_task(one.server.node.drain(LIMIT, code=4200))
            assert await client.close_code() == 4200
            await drain
        finally:
            redis.resume()


async def publish_numbered(at: Member, number: int) -> None:
    await at.server.node.publish_to_all([numbered(name, number) for name in NAMES.values()], origin="api")


async def test_a_page_record_that_no_node_has_written_ends_no_link(redis: Redis) -> None:
    async with member(redis, RESUMING) as one:
        key = one.cluster.names.key("r", b"app-id:a-page-of-its-own")
        with redis.client() as other:
            other.hset(key, mapping={b"w": b"x", b"s": b"\xff\xfe", b"p\xff\xfe": b"1", b"pa": b""})
        link = one.cluster.bus.link
        async with page(one, 1) as client:
            assert await come(client, has_forgotten=True) == [CONFIRMED, GAP], "as a page that is not known"
        await gone(one)
        assert one.cluster.bus.link is link
        assert one.cluster.rejected["page"] == 1


async def test_a_page_that_comes_with_other_channels_each_time_is_forgotten(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "MOST_BEFORE", 20)
    few = replace(RESUMING, limits=replace(Limits(), subscriptions=10))
    async with member(redis, few) as one:
        key = one.cluster.names.key("r", b"app-id:a-page-of-its-own")
        for number in range(8):
            async with page(one, number) as client:
                for at in range(10):
                    await client.subscribe(f"c-{number}-{at}")
                while (message := await client.get())["channel"] != f"c-{number}-9":
                    pass
                assert message["event"] in (CONFIRMED, GAP)
            await gone(one)
            with redis.client() as other:
                assert other.hlen(key) <= 3 + 20 + 10


async def test_a_client_event_is_no_last_event_of_a_cache_channel(redis: Redis) -> None:
    name = "private-cache-a"
    async with two(redis, APP) as (one, other), one.server.client(name) as client:
        topic = one.cluster.names.topic(b"app-id:" + name.encode())
        heard: list[dict[str, Any]] = []
        with redis.client() as someone, someone.pubsub() as listening:
            listening.subscribe(topic)
            await client.send("client-evil", {"x": 1}, channel=name)
            while not (heard and heard[-1]["type"] == "message"):
                heard += [message] if (message := listening.get_message(timeout=0.1)) else []
                await asyncio.sleep(0)
            someone.set(one.cluster.names.key("k", b"app-id:" + name.encode()), heard[-1]["data"])
        async with other.server.client(name) as late:
            assert (await late.get())["event"] == "pusher:cache_miss"
        assert other.cluster.rejected["kind"] == 1
