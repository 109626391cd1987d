"""Redis throws single keys of the bus away, as with maxmemory and allkeys-lru: nobody is told what is not so,
and what was lost is registered again."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest

from bridge.sockets.cluster import times
from bridge.sockets.cluster.counts import Counts
from bridge.sockets.pusher.hub_events import MemberAdded, MemberRemoved, Occupied, Vacated
from tests.services import Redis
from tests.sockets.cluster.nodes import PREFIX, Member, member
from tests.sockets.cluster.test_cluster import join, told, two
from tests.sockets.server.running import APP, LIMIT, Client, until

pytestmark = pytest.mark.anyio

ROSTER = f"{PREFIX}bridge:1:m:app-id:presence-r"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"TICK": 0.05, "BEAT": 1e9, "COMPARE": 1e9, "SETTLE": 6.0}.items():
        monkeypatch.setattr(times, name, value)


async def removed(watcher: Client, user: str) -> None:
    message = await watcher.get("pusher_internal:member_removed")
    assert json.loads(message["data"])["user_id"] == user


@pytest.mark.parametrize("noticed_by", ["a new link", "the comparison", "who comes"])
async def test_a_roster_that_is_evicted_is_made_again_and_nobody_seems_to_leave(
    redis: Redis, monkeypatch: pytest.MonkeyPatch, noticed_by: str
) -> None:
    async with two(redis) as (one, other), one.server.client() as watcher, other.server.client() as user:
        await join(watcher, "presence-r", "w")
        await join(user, "presence-r", "1")
        await watcher.get("pusher_internal:member_added")
        with redis.client() as store:
            store.delete(ROSTER)
            if noticed_by == "a new link":
                one.cut()
                await one.back()
            elif noticed_by == "the comparison":
                monkeypatch.setattr(times, "COMPARE", 0.1)
            expected = {b"w", b"1"}
            if noticed_by == "who comes":
                expected.add(b"2")
                async with one.server.client() as third:
                    await join(third, "presence-r", "2")
                    await watcher.get("pusher_internal:member_added")
                    await until(lambda: set(store.hkeys(ROSTER)) == expected)
                await user.get("pusher_internal:member_added")
                for page in (watcher, user):
                    await removed(page, "2")
                expected.remove(b"2")
            await until(lambda: set(store.hkeys(ROSTER)) == expected)
        for each in (one, other):
            await each.back()
            await each.cluster.flush(60)
        for each in (one, other):
            each.pass_time(times.SETTLE)
            await each.quiet()
        await watcher.silence()
        await user.silence()
        assert {event.user_id for event in told(one, other, of=MemberRemoved)} <= {"2"}
        users = [event.user_id for event in told(one, other, of=MemberAdded)]
        assert sorted(users) == ["1", "2", "w"] if noticed_by == "who comes" else ["1", "w"]


async def test_a_dead_node_is_taken_out_though_redis_has_evicted_that_it_was_there(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"DEAD": 6.0, "DEAD_FOR_ALL": 8.0, "BEAT": 0.3}.items():
        monkeypatch.setattr(times, name, value)
    async with two(redis) as (one, dying), one.server.client() as watcher, dying.server.client() as user:
        await join(watcher, "presence-r", "w")
        await join(user, "presence-r", "1")
        await watcher.get("pusher_internal:member_added")
        await until(lambda: bool(one.cluster.others))
        dying.vanish()
        with redis.client() as store:
            store.delete(f"{PREFIX}bridge:1:nodes")
        await removed(watcher, "1")


async def test_who_leaves_after_the_roster_was_evicted_is_gone_for_all(redis: Redis) -> None:
    async with two(redis) as (one, other), one.server.client() as watcher:
        await join(watcher, "presence-r", "w")
        async with other.server.client() as user, other.server.client() as stays:
            await join(stays, "presence-r", "2")
            await join(user, "presence-r", "1")
            for _ in range(2):
                await watcher.get("pusher_internal:member_added")
            with redis.client() as store:
                store.delete(ROSTER)
            await user.send("pusher:unsubscribe", {"channel": "presence-r"})
            await removed(watcher, "1")
            with redis.client() as store:
                await until(lambda: set(store.hkeys(ROSTER)) == {b"w", b"2"})
            await watcher.silence()


@pytest.mark.parametrize("leaves", ["at once", "later", "while the link is away"])
async def test_what_a_node_has_told_is_told_again_where_it_is_evicted(
    redis: Redis, monkeypatch: pytest.MonkeyPatch, leaves: str
) -> None:
    async with two(redis) as (one, other), one.server.client() as watcher:
        await join(watcher, "presence-r", "w")
        async with other.server.client("c") as user, other.server.client() as stays:
            await join(stays, "presence-r", "2")
            await join(user, "presence-r", "1")
            for _ in range(2):
                await watcher.get("pusher_internal:member_added")
            other.cluster.nodes.beat()
            await other.cluster.flush(60)
            with redis.client() as store:
                key = f"{PREFIX}bridge:1:n:{other.cluster.node}"
                before = store.smembers(key)
                store.delete(key)
                if leaves == "while the link is away":
                    other.task.cancel()
                    other.cut()
                elif leaves == "later":
                    other.cluster.nodes.beat()
                    await until(lambda: store.smembers(key) == before)
                await user.send("pusher:unsubscribe", {"channel": "presence-r"})
                if leaves == "while the link is away":
                    await until(
                        lambda: len(other.server.node.hubs["app-id"].channels["presence-r"].sockets) == 1
                    )
                    other.task = asyncio.create_task(other.cluster.run())
                    await other.back()
                await removed(watcher, "1")
                other.cluster.nodes.beat()
                await until(lambda: store.smembers(key) == before - {b"app-id:presence-r 1"})
                counts = f"{PREFIX}bridge:1:i:app-id"
                await until(lambda: store.hgetall(counts) == {b"presence-r": b"2", b"c": b"1"})
                assert set(store.hkeys(ROSTER)) == {b"w", b"2"}
            await watcher.silence()
            await stays.get("pusher_internal:member_added")
            await removed(stays, "1")
            await stays.silence()
        assert len(told(one, other, of=Occupied)) == 2


async def test_a_count_of_what_is_evicted_is_not_told(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """The set of what this node is subscribed to: found by the next beat, which is still to come."""
    answers: list[list[int]] = []
    counted = Counts._counted

    def watched(self: Any, *given: Any) -> None:
        answers.append(given[-1])
        counted(self, *given)

    monkeypatch.setattr(Counts, "_counted", watched)
    app = replace(APP, subscription_count=True)
    async with member(redis, app) as one, one.server.client("a") as client:
        await client.get("pusher_internal:subscription_count")
        with redis.client() as store:
            store.delete(f"{PREFIX}bridge:1:n:{one.cluster.node}")
        async with one.server.client("a"):
            await until(lambda: answers[-1][0] < 0)
            await client.silence()
            one.cluster.nodes.beat()
            message = await client.get("pusher_internal:subscription_count")
            assert json.loads(message["data"]) == {"subscription_count": 2}


CHANNELS = f"{PREFIX}bridge:1:i:app-id"


async def listed(one: Member) -> dict[str, int]:
    """As `GET /channels` gives them."""
    hub: Any = one.server.node.hubs["app-id"]
    return await one.cluster.channels(hub)


async def until_listed(one: Member, expected: dict[str, int]) -> None:
    while await listed(one) != expected:  # noqa: ASYNC110 - there is no event
        await asyncio.sleep(0.02)


async def test_the_list_of_channels_is_made_again_where_it_is_evicted(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = replace(APP, subscription_count=True)
    async with (
        two(redis, app) as (one, other),
        one.server.client() as here,
        other.server.client() as there,
        other.server.client() as member,
    ):
        for client, channel in ((here, "c"), (here, "d"), (there, "d"), (there, "e")):
            await client.subscribe(channel)
            while (await client.get())["event"] != "pusher_internal:subscription_succeeded":
                pass
        await join(member, "presence-r", "1")
        expected = {"c": 1, "d": 2, "e": 1, "presence-r": 1}
        async with asyncio.timeout(LIMIT):
            await until_listed(one, expected)
            monkeypatch.setattr(times, "COMPARE", 0.1)
            for _ in range(2):
                with redis.client() as store:
                    store.delete(CHANNELS)
                await until_listed(other, expected)
        await member.silence()
        assert len(told(one, other, of=Occupied)) == 4


@pytest.mark.parametrize("is_last", [False, True], ids=["others stay", "nobody stays"])
async def test_who_leaves_a_channel_whose_record_is_evicted(
    redis: Redis, monkeypatch: pytest.MonkeyPatch, is_last: bool
) -> None:
    """What others have registered is evicted too: nobody can say that all have left. Those who have not are
    registered again."""
    monkeypatch.setattr(times, "AWAY", 0.1)
    async with two(redis) as (one, other), one.server.client() as client, other.server.client("d"):
        if not is_last:
            await client.subscribe("c")
            await client.get("pusher_internal:subscription_succeeded")
        async with other.server.client("c") as leaves:
            with redis.client() as store:
                store.delete(f"{PREFIX}bridge:1:c:app-id:c")
            await leaves.send("pusher:unsubscribe", {"channel": "c"})
            await leaves.silence()
        await other.cluster.flush(60)
        await until(lambda: not other.cluster.departures._due)
        await other.cluster.flush(60)
        assert not told(one, other, of=Vacated)
        assert await listed(one) == {"d": 1}
        monkeypatch.setattr(times, "COMPARE", 0.1)
        async with asyncio.timeout(LIMIT):
            await until_listed(one, {"d": 1} if is_last else {"c": 1, "d": 1})


async def test_a_channel_whose_record_is_evicted_is_not_occupied_once_more(redis: Redis) -> None:
    async with two(redis) as (one, other), one.server.client("c"):
        with redis.client() as store:
            store.delete(f"{PREFIX}bridge:1:c:app-id:c")
        async with other.server.client("c"):
            assert len(told(one, other, of=Occupied)) == 1


async def test_who_comes_after_a_record_is_evicted_is_counted_with_those_who_were_there(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with two(redis) as (one, other), one.server.client("c"), other.server.client("c"):
        record = f"{PREFIX}bridge:1:c:app-id:c"
        with redis.client() as store:
            store.delete(record)
            async with one.server.client("c"):
                await until(lambda: store.hget(record, "z") == b"2")  # counted, and not registered again
                monkeypatch.setattr(times, "COMPARE", 0.1)
                await until(lambda: store.hget(record, "z") == b"3")
                await until(lambda: store.hget(CHANNELS, "c") == b"3")


@pytest.mark.parametrize("channel", ["c", "presence-r"])
async def test_a_channel_of_which_all_is_evicted_but_the_list_does_not_stay_in_that(
    redis: Redis, channel: str
) -> None:
    """Else nobody takes it out, and who comes next does not seem to be the first."""
    record = f"{PREFIX}bridge:1:c:app-id:{channel}"
    async with two(redis) as (one, other), other.server.client("d"):
        async with other.server.client() as leaves:
            await leaves.subscribe(channel, '{"user_id":"1"}')
            await leaves.get("pusher_internal:subscription_succeeded")
            with redis.client() as store:
                store.delete(record, f"{PREFIX}bridge:1:n:{other.cluster.node}")
                await leaves.send("pusher:unsubscribe", {"channel": channel})
                await leaves.silence()
                await other.cluster.flush(60)
                assert await listed(one) == {"d": 1}
                assert store.ttl(record) > 0
        async with one.server.client() as comes:
            await comes.subscribe(channel, '{"user_id":"2"}')
            await comes.get("pusher_internal:subscription_succeeded")
            assert sorted(event.channel for event in told(one, other, of=Occupied)) == sorted(
                [channel, channel, "d"]
            )
