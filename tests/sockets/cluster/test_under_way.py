"""Events under way when a link broke, in channels whose log is full, as it is wherever events come regularly:
whether they had gone out is known from the log, and only where it has forgotten that is there a gap."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from bridge.sockets.cluster import times
from tests.proxy import Proxy, proxy
from tests.services import Redis
from tests.sockets.cluster.nodes import Member, member
from tests.sockets.cluster.test_publishing import come_back, key, leave_the_bus, publish
from tests.sockets.server.running import Client, broadcast, until

pytestmark = pytest.mark.anyio

HOW = ["before it runs", "before its answer", "between its event and its answer"]
LOG = 100  # events


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Logs are soon full, and none forgets by time."""
    monkeypatch.setattr(times, "LOG_EVENTS", LOG)
    monkeypatch.setattr(times, "LOG_SECONDS", 3_600)


@asynccontextmanager
async def nodes(redis: Redis) -> AsyncIterator[tuple[Member, Member, Proxy]]:
    with proxy(redis.port) as between:
        async with member(redis, port=between.port) as one, member(redis) as other:
            yield one, other, between


async def fill(one: Member, *pages: Client) -> None:
    """The log of the channel is full."""
    for number in range(LOG):
        await publish(one, f"before {number}")
    for page in pages:
        for number in range(LOG):
            assert (await page.get("event"))["data"] == f"before {number}"


@asynccontextmanager
async def full_log(
    redis: Redis, *, is_subscribed: bool
) -> AsyncIterator[tuple[Member, Member, Proxy, list[Client]]]:
    """A page at the other node, and one at the first if that `is_subscribed`."""
    async with AsyncExitStack() as stack:
        one, other, between = await stack.enter_async_context(nodes(redis))
        subscribed = (other, one) if is_subscribed else (other,)
        pages = [await stack.enter_async_context(each.server.client("c")) for each in subscribed]
        await fill(one, *pages)
        yield one, other, between, pages


async def break_with(redis: Redis, one: Member, between: Proxy, how: str, *events: str) -> None:
    """The node's link breaks while these are under way."""
    link = one.cluster.bus.link
    assert link is not None
    with redis.client() as client:
        before = client.hget(key("c"), "o")
        if how == HOW[0]:
            between.silence("requests")
        elif how == HOW[1]:
            between.silence("replies")
        else:
            link._take = lambda item: None  # type: ignore[method-assign]
        for data in events:
            one.cluster.publish_soon([broadcast("c", data=data)], "api", lambda receivers: None)
        if how == HOW[0]:
            await until(lambda: not link._out)
        else:
            await until(lambda: int(client.hget(key("c"), "o")) == int(before) + len(events))
        hub = one.server.node.hubs["app-id"]
        if how == HOW[2] and hub.channels:
            last = client.hget(key("c"), "t")
            await until(lambda: hub.position("c") == last)
    await leave_the_bus(one)


async def all_until_last(page: Client) -> list[str]:
    found = []
    while (message := await page.get())["data"] != "last":
        if message["event"] != "pusher:ping":
            found.append(message["data"] if message["event"] == "event" else message["event"])
    return found


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("is_subscribed", [True, False])
@pytest.mark.parametrize("meanwhile", [0, LOG // 2])
async def test_what_a_full_log_still_tells_makes_no_gap(
    redis: Redis, how: str, is_subscribed: bool, meanwhile: int
) -> None:
    async with full_log(redis, is_subscribed=is_subscribed) as (one, other, between, pages):
        await break_with(redis, one, between, how, "A", "B")
        theirs = [f"theirs {number}" for number in range(meanwhile)]
        ours = [f"ours {number}" for number in range(20)]
        for data in theirs:
            await publish(other, data)
        for data in ours:
            await publish(one, data)
        await come_back(one)
        await publish(one, "last")
        for at, page in enumerate(pages):
            found = await all_until_last(page)
            assert sorted(found) == sorted(["A", "B", *theirs, *ours])
            assert [data for data in found if data not in theirs] == ["A", "B", *ours]
            assert [data for data in found if data in theirs] == theirs
            if at == 0 and how != HOW[0]:
                assert found[:2] == ["A", "B"]
        with redis.client() as client:
            entries = client.lrange(key("l"), 0, -1)
            for data in ("A", "B"):
                assert sum(b'"data":"%s"' % data.encode() in entry for entry in entries) == 1
        assert one.cluster.gaps == other.cluster.gaps == 0


@pytest.mark.parametrize("how", HOW[:2])
@pytest.mark.parametrize("is_subscribed", [True, False])
async def test_what_had_waited_may_be_under_way_when_the_next_link_breaks(
    redis: Redis, how: str, is_subscribed: bool
) -> None:
    async with full_log(redis, is_subscribed=is_subscribed) as (one, other, between, pages):
        await leave_the_bus(one)
        waiting = one.cluster._publishing
        events = [f"A {number}" for number in range(5)]
        for data in events:
            await publish(one, data)
        empty_spool = waiting.empty_spool

        def silenced() -> None:
            between.silence("requests" if how == HOW[0] else "replies")
            empty_spool()

        waiting.empty_spool = silenced  # type: ignore[method-assign]
        with redis.client() as client:
            before = int(client.hget(key("c"), "o"))
            one.task = asyncio.create_task(one.cluster.run())
            await until(lambda: not len(waiting._spool))
            if how == HOW[1]:
                await until(lambda: int(client.hget(key("c"), "o")) == before + len(events))
        await leave_the_bus(one)
        waiting.empty_spool = empty_spool  # type: ignore[method-assign]
        await publish(other, "theirs")
        await come_back(one)
        await publish(one, "last")
        for page in pages:
            found = await all_until_last(page)
            assert [data for data in found if data != "theirs"] == events
            assert found.count("theirs") == 1


async def test_more_than_a_log_holds_may_be_under_way(redis: Redis) -> None:
    async with nodes(redis) as (one, other, between), other.server.client("c") as page:
        await fill(one, page)
        events = [f"A {number}" for number in range(3 * LOG)]
        await break_with(redis, one, between, HOW[0], *events)
        await publish(other, "theirs")
        await publish(one, "ours")
        await come_back(one)
        await publish(one, "last")
        assert await all_until_last(page) == ["theirs", *events, "ours"]
        with redis.client() as client:
            assert client.llen(key("l")) == LOG


@pytest.mark.parametrize("was_there", [True, False])
@pytest.mark.parametrize("how", HOW[:2])
async def test_what_follows_a_gap_comes_in_order(redis: Redis, was_there: bool, how: str) -> None:
    async with nodes(redis) as (one, other, between), other.server.client("c") as page:
        await fill(one, page)
        await break_with(redis, one, between, how, "A")
        theirs = [f"theirs {number}" for number in range(LOG + 2)]
        for data in theirs:
            await publish(other, data)
        if not was_there:
            await leave_the_bus(other)
        ours = [f"ours {number}" for number in range(20)]
        for data in ours:
            await publish(one, data)
        await come_back(one)
        if not was_there:
            await come_back(other)
        await publish(one, "last")
        found = await all_until_last(page)
        expected = [*theirs, "bridge:gap", *ours]
        assert [data for data in found if data != "A"] == expected
        assert found.count("A") == 1
