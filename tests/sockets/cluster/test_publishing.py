"""What becomes of events that Redis refuses, or has without an answer that says so."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest

from bridge.sockets.cluster.link import READ
from tests.services import Redis, redis_server
from tests.sockets.cluster.nodes import Member, member
from tests.sockets.server.running import APP, Client, broadcast, until

RESUMING = replace(APP, resume_seconds=30.0)


@pytest.fixture(scope="module")
def bus() -> Iterator[Redis]:
    with redis_server() as server:
        yield server


@pytest.fixture
def redis(bus: Redis) -> Redis:
    with bus.client() as client:
        client.flushall()
    return bus


def key(kind: str, channel: str = "c") -> bytes:
    return b"laravel_database_bridge:1:" + f"{kind}:{APP.id}:{channel}".encode()


async def publish(at: Member, data: str) -> int:
    return await at.server.node.publish_to_all([broadcast("c", data=data)], origin="api")


async def leave_the_bus(one: Member) -> None:
    one.task.cancel()
    one.cut()


async def come_back(one: Member) -> None:
    one.task = asyncio.create_task(one.cluster.run())
    await one.back()
    await one.cluster.bus.asking().ask("PING")


async def publish_unanswered(redis: Redis, one: Member, data: str) -> None:
    """Redis has the event, but the link breaks before it can say so."""
    link = one.cluster.bus.link
    assert link is not None
    link._take = lambda item: None  # type: ignore[method-assign]
    with redis.client() as client:
        last = client.hget(key("c"), "t")
        one.cluster.publish_soon([broadcast("c", data=data)], "api", lambda receivers: None)
        await until(lambda: client.hget(key("c"), "t") != last)
    await leave_the_bus(one)


async def events(client: Client) -> list[str]:
    """What comes until all that was published has come."""
    found = []
    while (message := await client.get())["data"] != "last":
        if message["event"] != "pusher:ping":
            found.append(message["data"] if message["event"] == "event" else message["event"])
    return found


@pytest.mark.anyio
@pytest.mark.parametrize("is_last", [False, True])
async def test_an_event_whose_answer_was_lost_hides_no_other(redis: Redis, is_last: bool) -> None:
    async with AsyncExitStack() as stack:
        one, other, third = [await stack.enter_async_context(member(redis)) for _ in range(3)]
        page = await stack.enter_async_context(other.server.client("c"))
        await publish_unanswered(redis, one, "A")
        assert (await page.get("event"))["data"] == "A"
        await leave_the_bus(other)
        if not is_last:
            await publish(third, "C")
        await come_back(one)
        await come_back(other)
        await publish(third, "last")
        assert await events(page) == ([] if is_last else ["C"])


@pytest.mark.anyio
async def test_an_event_whose_answer_was_lost_hides_no_other_from_a_page_that_resumes(redis: Redis) -> None:
    async with AsyncExitStack() as stack:
        one, other, third = [await stack.enter_async_context(member(redis, RESUMING)) for _ in range(3)]
        await stack.enter_async_context(other.server.client("c"))
        await publish_unanswered(redis, one, "A")
        with redis.client() as client:
            tag = client.hget(key("c"), "t")
        await publish(third, "C")
        await come_back(one)
        await publish(third, "D")
        gap, found = await third.cluster.bus.asking().ask_script(READ, [key("c"), key("l")], tag)
        assert not gap
        assert [entry.count(b'"data":"C"') - entry.count(b'"data":"D"') for entry in found] == [1, -1]


@pytest.mark.anyio
@pytest.mark.parametrize("was_sent", [False, True])
async def test_an_event_without_an_answer_that_a_log_may_have_dropped_ends_in_a_gap_not_in_silence(
    redis: Redis, was_sent: bool
) -> None:
    async with AsyncExitStack() as stack:
        one, other, third = [await stack.enter_async_context(member(redis)) for _ in range(3)]
        page = await stack.enter_async_context(other.server.client("c"))
        await publish(third, "0")
        assert (await page.get("event"))["data"] == "0"
        if was_sent:
            await publish_unanswered(redis, one, "A")
            assert (await page.get("event"))["data"] == "A"
        else:
            one.cluster.publish_soon([broadcast("c", data="A")], "api", lambda receivers: None)
            await leave_the_bus(one)
        await leave_the_bus(other)
        await publish(third, "C")
        with redis.client() as client:
            client.delete(key("l"))  # as its time has passed
        for item in one.cluster._publishing._spool._items:
            item.at -= 61
        await come_back(one)
        await come_back(other)
        await publish(third, "last")
        assert "bridge:gap" in await events(page)


@pytest.mark.anyio
async def test_a_job_whose_event_redis_did_not_keep_is_not_taken_for_published(redis: Redis) -> None:
    job = replace(broadcast("c", data="1"), job="uuid-1")
    async with member(redis) as one, one.server.client("c") as page:
        with redis.client() as client:
            client.set(key("l"), "no list")
            link = one.cluster.bus.link
            published = asyncio.create_task(one.server.node.publish_to_all([job], origin="queue"))
            await until(lambda: one.cluster.bus.link not in (link, None))
            client.delete(key("l"))
        assert await published == 1
        assert await one.server.node.publish_to_all([job], origin="queue") == 0
        assert (await page.get("event"))["data"] == "1"
        await page.silence()


@pytest.mark.anyio
async def test_a_channel_whose_record_has_lost_its_count_is_published_to(redis: Redis) -> None:
    async with member(redis) as one, one.server.client("c") as page:
        with redis.client() as client:
            client.hdel(key("c"), "z")
        assert await publish(one, "1") == 0
        assert (await page.get("event"))["data"] == "1"
