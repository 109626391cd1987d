"""Nodes that share an app: what each client sees, wherever it is connected."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.services import Redis, redis_server
from tests.sockets.cluster.nodes import Member, member
from tests.sockets.server.running import Client, broadcast


@pytest.fixture(scope="module")
def bus() -> Iterator[Redis]:
    with redis_server() as server:
        yield server


@pytest.fixture
def redis(bus: Redis) -> Redis:
    with bus.client() as client:
        client.flushall()
    return bus


@asynccontextmanager
async def two(redis: Redis) -> AsyncIterator[tuple[Member, Member]]:
    async with member(redis) as one, member(redis) as other:
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
