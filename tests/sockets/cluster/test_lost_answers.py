"""Each script of the bus, with the link cut before it has run, or after that and before its answer: what is
told is told once."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from bridge.sockets.cluster import link as scripts
from bridge.sockets.cluster import times
from bridge.sockets.cluster.link import Script, _Waits
from bridge.sockets.pusher.app import App
from bridge.sockets.pusher.asks import Missed
from bridge.sockets.pusher.hub_events import CacheMissed, MemberAdded, MemberRemoved, Occupied, Vacated
from tests.proxy import Proxy, proxy
from tests.services import Redis
from tests.sockets.cluster.nodes import PREFIX, Member, member
from tests.sockets.cluster.test_cluster import join, told, two
from tests.sockets.cluster.test_publishing import come_back, key, leave_the_bus, publish
from tests.sockets.server.running import APP, LIMIT, Client, until

pytestmark = pytest.mark.anyio

COUNTING = replace(APP, subscription_count=True, presence_grace=0.0)
G = f"{PREFIX}bridge:1:g:app-id:presence-r"
HOW = ["before it runs", "before its answer"]


@pytest.fixture(autouse=True)
def calm(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing but what the test does is on the link."""
    for name, value in {"TICK": 0.05, "BEAT": 1e9, "COMPARE": 1e9, "AWAY": 0.2, "REAPED": 2}.items():
        monkeypatch.setattr(times, name, value)


class Fault:
    """Cuts the link of a node with the call of this script that has this number."""

    def __init__(self, one: Member, between: Proxy, script: Script, number: int, how: str) -> None:
        self.one, self.between, self.script, self.how = one, between, script, how
        self.left = number
        self._watch()

    @property
    def has_come(self) -> bool:
        return self.left == 0

    def _watch(self) -> None:
        link = self.one.cluster.bus.asking()
        put = link._put

        def watched(waits: Any) -> None:
            if self.script.sha in waits.command and self.left:
                self.left -= 1
                if not self.left:
                    if self.how == HOW[0]:
                        asyncio.get_running_loop().call_soon(link.end, "cut by the test")
                        link._flush = lambda: None  # type: ignore[method-assign]
                    else:
                        self.between.lose_reply()
            put(waits)

        link._put = watched  # type: ignore[method-assign]

    async def over(self) -> None:
        await until(lambda: self.has_come)
        await self.one.back()
        await self.one.cluster.flush(60)


@asynccontextmanager
async def nodes(redis: Redis, app: App = COUNTING) -> AsyncIterator[tuple[Member, Member, Proxy]]:
    with proxy(redis.port) as between:
        async with member(redis, app, port=between.port) as one, member(redis, app) as other:
            yield one, other, between


def all_told(*members: Member) -> Counter[tuple[str, ...]]:
    found: Counter[tuple[str, ...]] = Counter()
    for event in told(*members, of=(Occupied, Vacated, MemberAdded, MemberRemoved)):
        found[type(event).__name__, event.channel, getattr(event, "user_id", "")] += 1
    return found


EXPECTED = Counter(
    {
        ("Occupied", "presence-r", ""): 1,
        ("MemberAdded", "presence-r", "w"): 1,
        ("MemberAdded", "presence-r", "1"): 1,
        ("MemberRemoved", "presence-r", "1"): 1,
        ("Occupied", "c", ""): 1,
        ("Vacated", "c", ""): 1,
    }
)


async def hears(watcher: Client, *expected: str) -> None:
    for name in expected:
        message = await watcher.get()
        assert message["event"] == f"pusher_internal:{name}"
        assert json.loads(message["data"])["user_id"] == "1"


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize(
    ("script", "number"),
    [(scripts.JOIN, 1), (scripts.JOIN, 2), (scripts.LEAVE, 1), (scripts.LEAVE, 2), (scripts.GONE, 1),
     (scripts.GONE, 2), (scripts.COUNT, 1)],
    ids=lambda value: value.name if isinstance(value, Script) else str(value),
)  # fmt: skip
async def test_who_comes_and_goes_is_told_once(redis: Redis, script: Script, number: int, how: str) -> None:
    async with nodes(redis) as (one, other, between), other.server.client() as watcher:
        await join(watcher, "presence-r", "w")
        fault = Fault(one, between, script, number, how)
        async with one.server.client() as client:
            await client.subscribe("c")
            while (await client.get())["event"] != "pusher_internal:subscription_succeeded":
                pass
            await client.subscribe("presence-r", '{"user_id":"1"}')
            while (await client.get())["event"] != "pusher_internal:subscription_succeeded":
                pass
            await hears(watcher, "member_added")
            if script is scripts.COUNT:
                await fault.over()
        await hears(watcher, "member_removed")
        await fault.over()
        await until(lambda: all_told(one, other) == EXPECTED)
        await one.quiet()
        await other.quiet()
        assert all_told(one, other) == EXPECTED
        await watcher.silence()
        with redis.client() as client:
            assert client.hkeys(client.keys("*bridge:1:m:*")[0]) == [b"w"]
            assert client.hgetall(client.keys("*bridge:1:i:*")[0]) == {b"presence-r": b"1"}
            assert not client.keys("*bridge:1:g:*")


CACHE = "cache-c"
AWAY = "the link is away"


@pytest.mark.parametrize("how", [*HOW, AWAY])
async def test_a_cache_miss_is_told_once(redis: Redis, how: str) -> None:
    async with nodes(redis, APP) as (one, other, between), one.server.client(CACHE) as first:
        await first.get("pusher:cache_miss")
        await until(lambda: len(told(one, other, of=CacheMissed)) == 1)
        with redis.client() as store:
            await publish(one, "1", CACHE)
            await first.get("event")
            store.delete(key("k", CACHE))  # as its time has passed
        one.server.node.hubs["app-id"].cached.clear()
        if how == AWAY:
            await leave_the_bus(one)
        else:
            fault = Fault(one, between, scripts.MISS, 1, how)
        async with one.server.client(CACHE) as second:
            await second.get("pusher:cache_miss")
            if how == AWAY:
                await come_back(one)
            else:
                await fault.over()
            await until(lambda: len(told(one, other, of=CacheMissed)) == 2)
            async with other.server.client(CACHE) as third:
                await third.get("pusher:cache_miss")
                await third.silence()
            for each in (one, other):
                await each.cluster.flush(60)
        assert len(told(one, other, of=CacheMissed)) == 2


def miss(one: Member) -> None:
    """A subscriber was told so just before."""
    hub = one.server.node.hubs["app-id"]
    one.cluster.ask(hub, [Missed(channel=CACHE)])  # type: ignore[arg-type]


@pytest.mark.parametrize("meanwhile", ["an event", "vacated"])
async def test_a_cache_miss_that_is_told_late_hides_no_later_one(redis: Redis, meanwhile: str) -> None:
    async with nodes(redis, APP) as (one, other, _), AsyncExitStack() as stack:
        misses = partial(told, one, other, of=CacheMissed)
        async with one.server.client(CACHE) as first:
            await first.get("pusher:cache_miss")
            await until(lambda: len(misses()) == 1)
        if meanwhile == "an event":
            first = await stack.enter_async_context(one.server.client(CACHE))
            await first.get("pusher:cache_miss")
            await until(lambda: len(misses()) == 2)
            await publish(one, "1", CACHE)
            await first.get("event")
        else:
            miss(one)
            await until(lambda: len(misses()) == 2)
        miss(one)
        await until(lambda: len(misses()) == 3)
        with redis.client() as store:
            store.delete(key("k", CACHE))  # as its time has passed
        later = await stack.enter_async_context(other.server.client(CACHE))
        await later.get("pusher:cache_miss")
        await until(lambda: len(misses()) == 4)


MORE = ["it runs twice", "Redis loses its last writes", "Redis loses everything"]


class Mishap:
    """What Redis does with the call of this script that has this number."""

    def __init__(self, redis: Redis, nodes: Sequence[Member], script: Script, number: int, how: str) -> None:
        self.redis, self.nodes, self.how = redis, nodes, how
        link, self.left = nodes[0].cluster.bus.asking(), number
        self.is_over = False
        put = link._put

        def watched(waits: Any) -> None:
            if script.sha in waits.command and self.left:
                self.left -= 1
                if not self.left:
                    waits = self._prepared(waits)
            put(waits)
            if self.how == MORE[0] and self.left == 0 and not self.is_over:
                self.is_over = True
                put(_Waits(waits.command, None))

        link._put = watched  # type: ignore[method-assign]

    def _prepared(self, waits: Any) -> Any:
        if self.how == MORE[0]:
            return waits
        with self.redis.client() as client:
            before = {key: (client.dump(key), max(client.pttl(key), 0)) for key in client.keys("*")}

        def then(answer: Any) -> None:
            with self.redis.client() as client, client.pipeline(transaction=True) as both:
                both.flushall()
                if self.how == MORE[1]:
                    for key, (value, ttl) in before.items():
                        both.restore(key, ttl, value)
                both.execute()
            waits.then(answer)
            self.is_over = True
            for one in self.nodes:
                one.cut()

        return _Waits(waits.command, then, size=waits.size)


@pytest.mark.parametrize("how", MORE)
@pytest.mark.parametrize(
    ("script", "number"),
    [(scripts.JOIN, 1), (scripts.JOIN, 2), (scripts.COUNT, 1), (scripts.LEAVE, 1), (scripts.LEAVE, 2),
     (scripts.GONE, 1), (scripts.GONE, 2)],
    ids=lambda value: value.name if isinstance(value, Script) else str(value),
)  # fmt: skip
async def test_whatever_redis_does_all_is_told_once_and_is_as_it_should_be(
    redis: Redis, monkeypatch: pytest.MonkeyPatch, script: Script, number: int, how: str
) -> None:
    monkeypatch.setattr(times, "SETTLE", LIMIT / 2)  # no node is dead after that
    monkeypatch.setattr(times, "BEAT", 0.5)
    async with two(redis, COUNTING) as (one, other), other.server.client() as watcher:
        await join(watcher, "presence-r", "w")
        await until(lambda: bool(one.cluster.others and other.cluster.others))
        mishap = Mishap(redis, (one, other), script, number, how)
        leaves = script in (scripts.LEAVE, scripts.GONE)
        async with one.server.client() as client:
            for channel in ("c", "presence-r"):
                await client.subscribe(channel, '{"user_id":"1"}')
                while (await client.get())["event"] != "pusher_internal:subscription_succeeded":
                    pass
                if mishap.is_over:  # who comes before all have registered again would be news
                    await one.back()
                    await other.back()
            if not leaves:
                await until(lambda: mishap.is_over)
                await one.back()
                await other.back()
        await until(lambda: mishap.is_over)
        for each in (one, other):
            await each.back()
            await each.cluster.flush(60)
        for each in (one, other):
            each.pass_time(times.SETTLE)
        await until(lambda: all_told(one, other) == EXPECTED)
        await one.quiet()
        await other.quiet()
        assert all_told(one, other) == EXPECTED
        seen = {"w"}
        await watcher.send("pusher:ping", {})
        while (message := await watcher.get())["event"] != "pusher:pong":
            if message["event"] == "pusher_internal:member_added":
                seen.add(json.loads(message["data"])["user_id"])
            elif message["event"] == "pusher_internal:member_removed":
                seen.remove(json.loads(message["data"])["user_id"])
            else:
                assert message["event"] == "bridge:gap"
                assert how == MORE[2]
        assert seen == {"w"}
        with redis.client() as client:
            assert client.hkeys(client.keys("*bridge:1:m:*")[0]) == [b"w"]
            assert client.hgetall(client.keys("*bridge:1:i:*")[0]) == {b"presence-r": b"1"}
            assert not client.keys("*bridge:1:g:*")


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("number", [1, 2, 3])
async def test_members_of_a_dead_node_are_told_once(redis: Redis, number: int, how: str) -> None:
    async with (
        nodes(redis) as (one, other, between),
        member(redis, COUNTING) as dying,
        other.server.client() as watcher,
        AsyncExitStack() as stack,
    ):
        await join(watcher, "presence-0", "w")
        for at in range(3):
            client = await stack.enter_async_context(dying.server.client())
            await join(client, f"presence-{at}", "1")
        await hears(watcher, "member_added")
        dying.vanish()
        fault = Fault(one, between, scripts.REAP, number, how)
        one.cluster.nodes.reap(dying.cluster.node)
        await fault.over()
        one.cluster.nodes.reap(dying.cluster.node)
        other.cluster.nodes.reap(dying.cluster.node)
        await hears(watcher, "member_removed")
        gone = Counter({("MemberRemoved", f"presence-{at}", "1"): 1 for at in range(3)})
        gone |= Counter({("Vacated", f"presence-{at}", ""): 1 for at in (1, 2)})

        def departures() -> Counter[tuple[str, ...]]:
            found = all_told(one, other)
            return Counter({key: found[key] for key in found if key[0] in ("MemberRemoved", "Vacated")})

        await until(lambda: departures() == gone)
        await one.quiet()
        await other.quiet()
        assert departures() == gone
        await watcher.silence()


async def count(client: Client, expected: int) -> None:
    """What it is told before may be older."""
    while True:
        message = await client.get("pusher_internal:subscription_count")
        if json.loads(message["data"])["subscription_count"] == expected:
            return


async def test_a_count_that_was_told_while_the_link_was_away_is_told_afterwards(redis: Redis) -> None:
    async with (
        member(redis, COUNTING) as one,
        member(redis, COUNTING) as other,
        one.server.client("c") as here,
        other.server.client("c") as there,
    ):
        for client in (here, there):
            await count(client, 2)
        one.task.cancel()
        one.cut()
        async with other.server.client("c") as third:
            for client in (third, there):
                await count(client, 3)
            one.task = asyncio.create_task(one.cluster.run())
            await one.back()
            await count(here, 3)
            await there.silence()


async def test_who_left_a_node_just_before_it_died_is_told(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with member(redis) as one, member(redis) as dying:
        monkeypatch.setattr(times, "AWAY", 1e9)
        async with dying.server.client() as client:
            await join(client, "presence-r", "1")
        await until(lambda: not dying.server.node.connections)
        await dying.cluster.flush(60)
        for _ in range(2):
            dying.cluster.nodes.beat()
        await dying.cluster.flush(60)
        dying.vanish()
        monkeypatch.setattr(times, "AWAY", 0.1)
        one.cluster.nodes.reap(dying.cluster.node)
        await until(lambda: len(told(one, of=(MemberRemoved, Vacated))) == 2)


async def test_what_is_asked_again_for_a_redis_that_may_have_lost_it_is_no_news(redis: Redis) -> None:
    async with nodes(redis) as (one, other, between), other.server.client() as watcher:
        await join(watcher, "presence-r", "w")
        with redis.client() as store:
            async with one.server.client() as client:
                await join(client, "presence-r", "1")
            await until(lambda: store.exists(G) == 1)
            lost = store.dump(G)
            await until(lambda: all_told(one, other)["MemberRemoved", "presence-r", "1"] == 1)
            await one.cluster.flush(60)
            store.restore(G, 0, lost)  # as a replica has it that did not get the last writes
            departed = one.cluster.departures
            fault = Fault(one, between, scripts.GONE, 1, HOW[1])
            departed.ask_again()
            await fault.over()
            assert store.exists(G) == 0
        assert all_told(one, other)["MemberRemoved", "presence-r", "1"] == 1
