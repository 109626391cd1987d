"""How many are subscribed to a channel on all nodes: told once, and right again after whatever was lost."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from bridge.sockets.cluster import link as scripts
from bridge.sockets.cluster import times
from bridge.sockets.cluster.link import COUNT, Link, Script
from bridge.sockets.pusher.hub_events import MemberRemoved, Vacated
from tests.proxy import proxy
from tests.services import Redis
from tests.sockets.cluster.nodes import member
from tests.sockets.cluster.test_cluster import join, told
from tests.sockets.cluster.test_lost_answers import HOW, Fault
from tests.sockets.cluster.test_refusals import key
from tests.sockets.cluster.test_resume import CONFIRMED
from tests.sockets.server.running import APP, until

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def calm(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing but what the test does is on the link."""
    for name, value in {"TICK": 0.05, "BEAT": 1e9, "COMPARE": 1e9, "SETTLE": 0.1}.items():
        monkeypatch.setattr(times, name, value)


async def subscribed(redis: Redis, expected: int, channel: str = "c") -> None:
    """So many are, as Redis has it: in the list of channels and, by nodes, in the channel itself."""
    with redis.client() as store:

        def found() -> tuple[int, int]:
            both = store.pipeline(transaction=True)  # or a script runs between
            listed, record = both.hget(key("i:app-id"), channel).hgetall(key(f"c:app-id:{channel}")).execute()
            nodes = sum(int(count) for field, count in record.items() if len(field) > 1)
            return int(listed or 0), nodes

        await until(lambda: found() == (expected, expected))


@pytest.mark.parametrize("is_told", [False, True], ids=["nobody is told", "subscribers are told"])
async def test_who_joins_a_channel_is_counted_by_that(
    redis: Redis, monkeypatch: pytest.MonkeyPatch, is_told: bool
) -> None:
    counted: list[object] = []
    run = Link.run

    def watched(link: Link, script: Script, keys: Any, *words: Any, **rest: Any) -> None:
        if script is COUNT:
            counted.append((words[3], words[4]))
        run(link, script, keys, *words, **rest)

    monkeypatch.setattr(Link, "run", watched)
    async with member(redis, replace(APP, subscription_count=is_told)) as one:
        hub: Any = one.server.node.hubs[APP.id]
        async with one.server.client("c"), one.server.client() as first, one.server.client() as second:
            await join(first, "presence-r", "1")
            await join(second, "presence-r", "2")
            await until(lambda: not hub.changed)
            assert counted == ([(b"c", 1)] if is_told else [])
            await subscribed(redis, 1)
            await subscribed(redis, 2, "presence-r")
            async with one.server.client("c"), one.server.client() as third:
                await join(third, "presence-r", "1")
                await subscribed(redis, 2)
                await subscribed(redis, 3, "presence-r")
            await subscribed(redis, 1)
            await subscribed(redis, 2, "presence-r")
            one.cut()
            await one.back()
            async with one.server.client("c"):
                await subscribed(redis, 2)
        await subscribed(redis, 0)
        await subscribed(redis, 0, "presence-r")


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize(
    ("script", "number"),
    [(scripts.JOIN, 1), (scripts.JOIN, 2), (COUNT, 1), (COUNT, 2)],
    ids=lambda value: value.name if isinstance(value, Script) else str(value),
)
async def test_a_count_that_was_lost_is_told_again(
    redis: Redis, script: Script, number: int, how: str
) -> None:
    """Of `JOIN`, the first is of the channel, the second of its second user; of `COUNT`, one tells that his
    second connection is there, the other that it is not."""
    with proxy(redis.port) as between:
        async with member(redis, port=between.port) as one:
            fault = Fault(one, between, script, number, how)
            async with one.server.client() as first, one.server.client() as second:
                await join(first, "presence-r", "1")
                await join(second, "presence-r", "2")
                async with one.server.client() as third:
                    await join(third, "presence-r", "2")
                    await subscribed(redis, 3, "presence-r")
                await subscribed(redis, 2, "presence-r")
                await fault.over()
                await subscribed(redis, 2, "presence-r")
            await subscribed(redis, 0, "presence-r")


async def test_who_came_while_a_channel_was_refused_is_counted_once_that_is_mended(redis: Redis) -> None:
    async with member(redis) as one, one.server.client("c"):
        await subscribed(redis, 1)
        one.task.cancel()
        one.cut()
        with redis.client() as store:
            record = store.dump(key("c:app-id:c"))
            store.set(key("c:app-id:c"), "no hash")
            async with one.server.client("c"):
                one.task = asyncio.create_task(one.cluster.run())
                await one.back()
                hub: Any = one.server.node.hubs[APP.id]
                await until(lambda: not hub.changed)
                await one.cluster.flush(60)
                store.restore(key("c:app-id:c"), 0, record, replace=True)
                await subscribed(redis, 2)
            await subscribed(redis, 1)


async def test_who_is_refused_is_not_counted_and_counts_when_he_comes_again(redis: Redis) -> None:
    roster = key("m:app-id:presence-r")
    async with member(redis) as one, one.server.client() as first, one.server.client() as second:
        await join(first, "presence-r", "1")
        await subscribed(redis, 1, "presence-r")
        with redis.client() as store:
            members = store.dump(roster)
            store.set(roster, "no hash")
            await second.subscribe("presence-r", '{"user_id":"2"}')
            await second.get("pusher:subscription_error")
            await subscribed(redis, 1, "presence-r")
            store.restore(roster, 0, members, replace=True)
        await second.subscribe("presence-r", '{"user_id":"2"}')
        await second.get(CONFIRMED)
        await subscribed(redis, 2, "presence-r")


async def test_a_count_that_is_refused_is_told_once_that_is_mended(redis: Redis) -> None:
    refused: list[str] = []
    async with member(redis) as one, one.server.client("c"):
        await subscribed(redis, 1)
        link = one.cluster.bus.asking()
        link._refused = lambda _, why: refused.append(why)
        with redis.client() as store, store.pipeline(transaction=True) as both:
            both.rename(key("c:app-id:c"), "aside")
            both.set(key("c:app-id:c"), "no hash")
            both.execute()
            async with one.server.client("c"):
                await until(lambda: bool(refused))
                store.rename("aside", key("c:app-id:c"))
                await subscribed(redis, 2)
            await subscribed(redis, 1)


async def test_a_channel_is_left_by_a_member_who_was_counted_as_away(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """He had lost his connection, and stayed for `presence_grace`."""
    monkeypatch.setattr(times, "AWAY", 0.1)
    app = replace(APP, presence_grace=1e9)
    async with member(redis, app) as one:
        hub: Any = one.server.node.hubs[APP.id]
        async with one.server.client() as client:
            await join(client, "presence-r", "1")
        await subscribed(redis, 0, "presence-r")
        one.cluster.ask(hub, hub.remove_absent(2e9).asks)
        await until(lambda: len(told(one, of=(MemberRemoved, Vacated))) == 2)
