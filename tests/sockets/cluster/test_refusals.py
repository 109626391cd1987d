"""A key of the bus that is of another type: what depends on it is refused, and nothing else is."""

from __future__ import annotations

import asyncio
import contextlib
import json
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import pytest

from bridge.errors import ServiceUnavailable
from bridge.sockets.cluster import times
from bridge.sockets.cluster.departures import Departures
from bridge.sockets.pusher.hub_events import MemberRemoved, Occupied, Vacated
from tests.services import Redis
from tests.sockets.cluster.nodes import PREFIX, Member, member
from tests.sockets.cluster.test_cluster import join, told, two
from tests.sockets.cluster.test_resume import CONFIRMED, page
from tests.sockets.server.running import APP, Client, broadcast, until

pytestmark = pytest.mark.anyio

RESUMING = replace(APP, resume_seconds=30.0)


def key(rest: str) -> str:
    return f"{PREFIX}bridge:1:{rest}"


async def subscribe(client: Client, channel: str) -> str:
    data = json.dumps({"user_id": "1"}) if channel.startswith("presence-") else None
    await client.subscribe(channel, data)
    while (message := await client.get()).get("channel") != channel:
        pass
    return str(message["event"])


async def publish(at: Member, channel: str, data: str) -> None:
    with contextlib.suppress(ServiceUnavailable):
        await at.server.node.publish_to_all([broadcast(channel, data=data)], origin="api")


@pytest.mark.parametrize(
    ("spoiled", "refuses"),
    [
        ("c:app-id:presence-a", True),
        ("m:app-id:presence-a", True),
        ("g:app-id:presence-a", True),
        ("l:app-id:presence-a", False),
        ("k:app-id:cache-b", False),
        ("r:app-id:a-page-of-its-own", False),
        ("o:app-id", False),
        ("s:app-id", False),
        ("nodes", False),
        ("duty", False),
        ("born", False),
    ],
)
async def test_only_what_depends_on_a_spoiled_key_is_refused(
    redis: Redis, monkeypatch: pytest.MonkeyPatch, spoiled: str, refuses: bool
) -> None:
    for name, value in {"TICK": 0.05, "BEAT": 0.1, "COMPARE": 0.1, "AWAY": 0.1, "SETTLE": 0.1}.items():
        monkeypatch.setattr(times, name, value)
    with redis.client() as store:
        async with member(redis, RESUMING) as one, one.server.client("d") as client:
            at_once = store.pipeline(transaction=True)  # or the node writes it anew meanwhile
            at_once.delete(key(spoiled))
            if spoiled.startswith("k"):
                at_once.rpush(key(spoiled), "no text")
            elif spoiled in ("duty", "born"):
                at_once.hset(key(spoiled), "no", "text")
            else:
                at_once.set(key(spoiled), "no collection")
            at_once.execute()
            link = one.cluster.bus.asking()
            async with page(one, 3) as other:
                got = await subscribe(other, "presence-a")
                assert got == ("pusher:subscription_error" if refuses else CONFIRMED)
                assert await subscribe(other, "cache-b") == CONFIRMED
                await publish(one, "presence-a", "1")
                one.cluster.terminate(one.server.node.hubs[APP.id], "nobody")  # type: ignore[arg-type]
                with contextlib.suppress(ServiceUnavailable):
                    await one.cluster.share({APP.id: (1, 1, 1)})
            await one.cluster.bus.asking().ask("PING")
            await asyncio.sleep(0.5)  # many beats, comparisons, departures
            await publish(one, "d", "2")
            assert (await client.get("event"))["data"] == "2"
            assert one.cluster.bus.link is link
            one.cut()
            await one.back()
            link = one.cluster.bus.asking()
            await asyncio.sleep(0.5)
            await publish(one, "d", "3")
            assert (await client.get("event"))["data"] == "3"
            assert one.cluster.bus.link is link
            store.delete(key(spoiled))
            async with one.server.client() as other:
                assert await subscribe(other, "presence-a") == CONFIRMED


async def test_a_channel_whose_key_was_spoiled_goes_on_once_that_is_mended(
    redis: Redis, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(times, "TICK", 0.05)
    monkeypatch.setattr(times, "SETTLE", 0.1)
    with redis.client() as store:
        async with two(redis) as (one, other), one.server.client("a") as client:
            await publish(other, "a", "1")
            assert (await client.get("event"))["data"] == "1"
            one.task.cancel()
            one.cut()
            await publish(other, "a", "2")
            record = store.dump(key("c:app-id:a"))
            store.set(key("c:app-id:a"), "no hash")
            one.task = asyncio.create_task(one.cluster.run())
            await one.back()
            with pytest.raises(ServiceUnavailable, match="Redis refuses"):
                await other.server.node.publish_to_all([broadcast("a", data="3")], origin="api")
            await client.silence()
            store.restore(key("c:app-id:a"), 0, record, replace=True)
            assert (await client.get("event"))["data"] == "2"
            await publish(other, "a", "4")
            assert (await client.get("event"))["data"] == "4"
    (found,) = {one.key for one in caplog.records if hasattr(one, "key")}
    assert found == key("c:app-id:a")


async def test_the_members_of_a_dead_node_are_gone_though_a_key_is_spoiled(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(times, "AWAY", 0.1)
    with redis.client() as store:
        async with member(redis) as one, member(redis) as dying, AsyncExitStack() as stack:
            for number in range(9):
                client = await stack.enter_async_context(dying.server.client())
                await join(client, f"presence-{number}", "1")
            store.sadd(key(f"n:{dying.cluster.node}"), "no place")
            for number in range(3):
                store.set(key(f"{'cmg'[number]}:app-id:presence-{number}"), "no hash")
            link = one.cluster.bus.asking()
            dying.vanish()
            one.cluster.nodes.reap(dying.cluster.node)
            await until(lambda: len(told(one, of=MemberRemoved)) == 6)
            assert one.cluster.bus.link is link
            assert not store.exists(key(f"n:{dying.cluster.node}"))
            assert not store.hexists(key("nodes"), dying.cluster.node)


async def test_a_dead_node_is_taken_out_once_the_key_that_hinders_it_is_mended(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"TICK": 0.05, "BEAT": 0.1, "AWAY": 0.1, "SETTLE": 0.1}.items():
        monkeypatch.setattr(times, name, value)
    with redis.client() as store:
        async with member(redis) as one, member(redis) as dying, dying.server.client() as client:
            await join(client, "presence-1", "1")
            registered = key(f"n:{dying.cluster.node}")
            dying.vanish()
            with store.pipeline(transaction=True) as both:
                both.rename(registered, "aside")
                both.set(registered, "no set")
                both.execute()
            one.cluster.nodes.reap(dying.cluster.node)
            await until(lambda: not one.cluster.nodes._reaping)
            store.rename("aside", registered)
            one.cluster.nodes.reap(dying.cluster.node)
            await until(lambda: len(told(one, of=MemberRemoved)) == 1)


async def test_a_departure_is_told_once_the_key_that_hinders_it_is_mended(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"TICK": 0.05, "AWAY": 0.1, "SETTLE": 0.1}.items():
        monkeypatch.setattr(times, name, value)
    refused: list[str] = []
    ask_later = Departures._refused

    def watched(self: Any, one: Any, why: str) -> None:
        refused.append(why)
        ask_later(self, one, why)

    monkeypatch.setattr(Departures, "_refused", watched)
    gone = key("g:app-id:presence-1")
    with redis.client() as store:
        async with member(redis, replace(APP, presence_grace=0.0)) as one:
            monkeypatch.setattr(times, "AWAY", 1e9)
            async with one.server.client() as client:
                await join(client, "presence-1", "1")
            await until(lambda: store.exists(gone) == 1)
            await one.cluster.flush(60)
            with store.pipeline(transaction=True) as both:
                both.rename(gone, "aside")
                both.set(gone, "no hash")
                both.execute()
            one.cluster.departures.end()
            await until(lambda: bool(refused))
            store.rename("aside", gone)
            await until(lambda: len(told(one, of=MemberRemoved)) == 1)


async def test_channels_are_joined_and_left_though_the_list_of_them_is_spoiled(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"TICK": 0.05, "COMPARE": 0.1, "AWAY": 0.1}.items():
        monkeypatch.setattr(times, name, value)
    path = "/apps/app-id/channels"
    with redis.client() as store:
        async with member(redis) as one, one.server.client("a"):
            store.delete(key("i:app-id"))
            store.set(key("i:app-id"), "no hash")
            async with one.server.client("b") as client, one.server.client() as third:
                await join(third, "presence-c", "1")
                await third.send("pusher:unsubscribe", {"channel": "presence-c"})
                await third.silence()
                await until(lambda: {one.channel for one in told(one, of=Vacated)} == {"presence-c"})
                assert (await one.server.request("GET", path)).status_code == 503
                await publish(one, "b", "1")
                assert (await client.get("event"))["data"] == "1"
                store.delete(key("i:app-id"))
                await until(lambda: store.hgetall(key("i:app-id")).keys() >= {b"a", b"b"})
                assert set((await one.server.request("GET", path)).json()["channels"]) == {"a", "b"}


@pytest.mark.parametrize("spoiled", ["m", "g"])
async def test_a_channel_that_nobody_could_enter_is_not_occupied(
    redis: Redis, monkeypatch: pytest.MonkeyPatch, spoiled: str
) -> None:
    for name, value in {"TICK": 0.05, "AWAY": 0.1}.items():
        monkeypatch.setattr(times, name, value)
    with redis.client() as store:
        async with member(redis) as one, one.server.client() as client:
            store.set(key(f"{spoiled}:app-id:presence-a"), "no hash")
            assert await subscribe(client, "presence-a") == "pusher:subscription_error"
            await one.cluster.flush(60)
            assert (await one.server.request("GET", "/apps/app-id/channels")).json() == {"channels": {}}
            store.delete(key(f"{spoiled}:app-id:presence-a"))
            await client.subscribe("presence-a", '{"user_id":"1"}')
            await client.get(CONFIRMED)
            await client.send("pusher:unsubscribe", {"channel": "presence-a"})
            await until(lambda: len(told(one, of=Vacated)) == 1)
            assert len(told(one, of=Occupied)) == 1


async def test_a_channel_is_left_though_its_roster_is_spoiled(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"TICK": 0.05, "AWAY": 0.1}.items():
        monkeypatch.setattr(times, name, value)
    with redis.client() as store:
        async with member(redis) as one, one.server.client() as client:
            await join(client, "presence-a", "1")
            store.set(key("m:app-id:presence-a"), "no hash")
            await client.send("pusher:unsubscribe", {"channel": "presence-a"})
            await until(lambda: len(told(one, of=Vacated)) == 1)
            assert (await one.server.request("GET", "/apps/app-id/channels")).json() == {"channels": {}}


async def test_members_hear_of_who_leaves_though_departures_cannot_be_noted(redis: Redis) -> None:
    with redis.client() as store:
        async with two(redis) as (one, other), one.server.client() as watcher, other.server.client() as user:
            await join(watcher, "presence-a", "w")
            await join(user, "presence-a", "1")
            await watcher.get("pusher_internal:member_added")
            store.set(key("g:app-id:presence-a"), "no hash")
            await user.send("pusher:unsubscribe", {"channel": "presence-a"})
            await watcher.get("pusher_internal:member_removed")
