"""Redis ends a link that too many bytes wait for (`client-output-buffer-limit`, 32 MiB): a node never asks
for so many at once, however much it has missed."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from bridge.sockets.cluster import link, times
from bridge.sockets.pusher import shared_hub
from bridge.sockets.pusher.messages import GAP
from tests.proxy import Proxy, proxy
from tests.services import Redis
from tests.sockets.cluster.nodes import PREFIX, Member, member
from tests.sockets.cluster.test_resume import CONFIRMED, gone, page
from tests.sockets.server.running import APP, LIMIT, Client, broadcast, until

pytestmark = pytest.mark.anyio

LARGE = replace(
    APP, resume_seconds=60.0, limits=replace(APP.limits, event_bytes=100_000, member_bytes=100_000)
)
DATA = "x" * 50_000
CHANNELS = 20
EVENTS = 20  # of a channel: 1 MB, and 20 MB of all channels


@pytest.fixture(autouse=True)
def less_than_usual(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of what Redis lets wait otherwise; and nobody is refused because the machine is slow."""
    with redis.client() as client:
        client.config_set("client-output-buffer-limit", "pubsub 16777216 0 0")
    monkeypatch.setattr(shared_hub, "PATIENCE", LIMIT)
    monkeypatch.setattr(link, "ANSWER_TIMEOUT", LIMIT)
    for name in ("DEAD", "DEAD_FOR_ALL"):
        monkeypatch.setattr(times, name, LIMIT)


@asynccontextmanager
async def one_behind(redis: Redis) -> AsyncIterator[tuple[Member, Member, Proxy]]:
    """Two nodes, and the proxy over which the first one has its link."""
    with proxy(redis.port) as way:
        async with (
            member(redis, LARGE, way.port, max_backlog=100_000_000) as one,
            member(redis, LARGE, max_backlog=100_000_000) as other,
        ):
            yield one, other, way


async def away(one: Member, way: Proxy) -> None:
    way.refuse()
    way.cut()
    await until(lambda: not one.cluster.is_up)


async def publish(at: Member, channels: list[str], events: int) -> None:
    for number in range(events):
        sent = [broadcast(channel, data=f"{number} {DATA}") for channel in channels]
        await at.server.node.publish_to_all(sent, origin="api")


async def numbers(client: Client, events: int) -> list[int]:
    return [int((await client.get("event"))["data"].partition(" ")[0]) for _ in range(events)]


def links(redis: Redis) -> set[str]:
    with redis.client() as client:
        return {one["id"] for one in client.client_list() if one["name"].startswith("bridge-")}


async def test_a_node_that_has_missed_more_than_redis_keeps_for_it_comes_back_with_all_of_it(
    redis: Redis,
) -> None:
    channels = [f"c-{number}" for number in range(CHANNELS)]
    async with one_behind(redis) as (one, other, way), contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(one.server.client(name)) for name in channels]
        await away(one, way)
        await publish(other, channels, EVENTS)
        way.accept()
        await one.back()
        linked = links(redis)
        for client in clients:
            assert await numbers(client, EVENTS) == list(range(EVENTS))
        await publish(other, channels, 1)
        for client in clients:
            assert await numbers(client, 1) == [0]
        assert links(redis) == linked
        assert one.cluster.gaps == 0


async def test_what_one_channel_has_missed_beyond_that_is_a_gap(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(times, "MISSED_BYTES", 500_000)
    async with one_behind(redis) as (one, other, way), one.server.client("c") as client:
        await away(one, way)
        await publish(other, ["c"], EVENTS)
        way.accept()
        await one.back()
        await client.get(GAP)
        await publish(other, ["c"], 2)
        assert await numbers(client, 2) == [0, 1]
        await client.silence()


async def test_who_joins_while_what_was_missed_is_fetched_hides_none_of_it(redis: Redis) -> None:
    """The first answer tells that more was missed than comes with it, the second brings that; what comes
    between them says nothing of it."""
    async with one_behind(redis) as (one, other, way), one.server.client() as client:
        await client.subscribe("presence-c", json.dumps({"user_id": "1"}))
        await client.get(CONFIRMED)
        await away(one, way)
        await publish(other, ["presence-c"], EVENTS)
        async with one.server.client() as new:
            await new.subscribe(
                "presence-c", json.dumps({"user_id": "2"})
            )  # is asked for once the link is back
            await until(lambda: len(one.server.node.hubs[APP.id].channels["presence-c"].waiting) == 1)  # type: ignore[attr-defined]
            way.accept()
            await one.back()
            assert await numbers(client, EVENTS) == list(range(EVENTS))
            await client.get("pusher_internal:member_added")
            await new.get(CONFIRMED)
            await publish(other, ["presence-c"], 1)
            assert await numbers(client, 1) == await numbers(new, 1) == [0]


async def test_the_members_of_many_channels_are_read_by_a_node_that_comes_back(redis: Redis) -> None:
    channels = [f"presence-{number}" for number in range(200)]
    info = "x" * 90_000  # 18 MB in all channels
    async with (
        one_behind(redis) as (one, other, way),
        one.server.client() as client,
        other.server.client() as there,
    ):
        for who, user in ((client, {"user_id": "1"}), (there, {"user_id": "2", "user_info": info})):
            for channel in channels:
                await who.subscribe(channel, json.dumps(user))
            for _ in channels:
                await who.get(CONFIRMED)
        for _ in channels:
            await client.get("pusher_internal:member_added")
        await away(one, way)
        way.accept()
        await one.back()
        linked = links(redis)
        for channel in channels:
            await other.server.node.publish_to_all([broadcast(channel, data="0")], origin="api")
            assert await numbers(client, 1) == await numbers(there, 1) == [0]
        assert links(redis) == linked


async def test_pages_that_come_back_together_get_what_they_missed(redis: Redis) -> None:
    async with one_behind(redis) as (one, other, _), contextlib.AsyncExitStack() as stack:
        for number in range(CHANNELS):
            async with page(one, 0, session=f"a-page-of-its-own-{number}") as client:
                await client.subscribe("c")
                await client.get(CONFIRMED)
        await gone(one)
        await publish(other, ["c"], EVENTS)
        linked = links(redis)
        pages = [
            await stack.enter_async_context(page(one, 1, session=f"a-page-of-its-own-{number}"))
            for number in range(CHANNELS)
        ]
        for client in pages:
            await client.subscribe("c")
        for client in pages:
            await client.get(CONFIRMED)
            assert await numbers(client, EVENTS) == list(range(EVENTS))
        assert links(redis) == linked


async def test_a_link_that_is_lost_before_it_is_of_use_is_made_anew_at_once(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(times, "SETTLE", 10 * LIMIT)
    async with member(redis) as one:
        sync, calls = one.cluster._sync, []

        def lost_at_first(link: object) -> None:
            sync(link)  # type: ignore[arg-type]
            calls.append(link)
            if len(calls) == 1:
                asyncio.get_running_loop().call_soon(one.cut)

        monkeypatch.setattr(one.cluster, "_sync", lost_at_first)
        one.cut()
        await one.back()
        assert len(calls) == 2


async def test_what_nobody_here_wants_any_more_is_taken_back_however_much_it_is(redis: Redis) -> None:
    async with member(redis) as one, one.server.client("c"):
        with redis.client() as store:
            registered = f"{PREFIX}bridge:1:n:{one.cluster.node}"
            wanted = store.smembers(registered)
            store.sadd(registered, *(f"app-id:gone-{number}" for number in range(5_000)))
            one.cut()
            await one.back()
            await until(lambda: store.smembers(registered) == wanted)
