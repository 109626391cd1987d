"""What a lost link had sent is still on its way, in a proxy that knows nothing of the loss:
Redis never hears it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from bridge.sockets.cluster import times
from bridge.sockets.pusher.hub_events import MemberAdded, MemberRemoved
from tests.proxy import Proxy, proxy
from tests.services import Redis
from tests.sockets.cluster.nodes import Member, member
from tests.sockets.cluster.test_cluster import join, told
from tests.sockets.cluster.test_publishing import key, publish
from tests.sockets.server.running import Client, broadcast, until

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def nodes(redis: Redis) -> AsyncIterator[tuple[Member, Member, Proxy]]:
    with proxy(redis.port) as between:
        async with member(redis, port=between.port) as one, member(redis) as other:
            yield one, other, between


@pytest.fixture
def no_right(redis: Redis) -> Iterator[None]:
    """Bridge's user may not end other connections."""
    with redis.client() as client:
        client.execute_command("ACL", "SETUSER", "default", "-client|kill")
        yield
        client.execute_command("ACL", "SETUSER", "default", "+client|kill")


def connected(redis: Redis) -> dict[int, str]:
    """The connections of nodes: the client's port and number."""
    with redis.client() as client:
        return {
            int(one["addr"].rpartition(":")[2]): one["id"]
            for one in client.client_list()
            if one["name"].startswith("bridge-")
        }


async def arrives(redis: Redis, between: Proxy, ports: set[int]) -> None:
    """Redis has got what was held, or will not get it."""
    between.release()
    await until(lambda: not ports & connected(redis).keys())


async def data(page: Client) -> list[str]:
    found = []
    while (message := await page.get())["data"] != "last":
        found.append(message["data"])
    return found


async def test_who_is_back_does_not_leave_by_what_an_old_link_had_sent(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(times, "AWAY", 1e9)  # however long it takes until the user is back
    async with nodes(redis) as (one, other, between), other.server.client() as watcher:
        await join(watcher, "presence-r", "w")
        async with one.server.client() as page:
            await join(page, "presence-r", "1")
            await watcher.get("pusher_internal:member_added")
            ports = between.ports
            between.hold()
            await page.send("pusher:unsubscribe", {"channel": "presence-r"})
            await until(lambda: not one.server.node.hubs["app-id"].channels)
            await until(lambda: between.held > 0)
            one.cut()
            await one.back()
            assert set((await join(page, "presence-r", "1"))["ids"]) == {"1", "w"}
            await arrives(redis, between, ports)
            with redis.client() as store:
                assert set(store.hkeys(key("m", "presence-r"))) == {b"1", b"w"}
                assert store.hget(key("c", "presence-r"), "z") == b"2"
            for event in (MemberAdded, MemberRemoved):
                assert [one.user_id for one in told(one, other, of=event)].count("1") == (
                    event is MemberAdded
                )
            await watcher.get("pusher_internal:member_removed")
            await watcher.get("pusher_internal:member_added")
            await watcher.silence()


@pytest.mark.parametrize("is_subscribed", [True, False])
async def test_an_event_that_is_sent_again_comes_once_and_in_order(redis: Redis, is_subscribed: bool) -> None:
    async with AsyncExitStack() as stack:
        one, other, between = await stack.enter_async_context(nodes(redis))
        pages = [await stack.enter_async_context(other.server.client("c"))]
        if is_subscribed:
            pages.append(await stack.enter_async_context(one.server.client("c")))
        ports = between.ports
        between.hold()
        for name in "AB":
            before = between.held
            one.cluster.publish_soon([broadcast("c", data=name)], "api", lambda receivers: None)
            await until(lambda before=before: between.held > before)  # type: ignore[misc]
        one.cut()
        await one.back()
        await one.cluster.flush(60)
        await publish(one, "C")
        await arrives(redis, between, ports)
        await publish(other, "last")
        for page in pages:
            assert await data(page) == ["A", "B", "C"]
        with redis.client() as store:
            entries = store.lrange(key("l"), 0, -1)
        assert [entry.rpartition(b'"data":"')[2].partition(b'"')[0] for entry in entries] == [
            b"A",
            b"B",
            b"C",
            b"last",
        ]
        assert one.cluster.gaps == other.cluster.gaps == 0


@pytest.mark.usefixtures("no_right")
async def test_a_user_who_may_end_no_connection_has_a_bus(redis: Redis) -> None:
    async with nodes(redis) as (one, other, _), other.server.client("c") as page:
        for _ in range(2):
            one.cut()
            await one.back()
        assert len(one.cluster._former_links) == 1
        await publish(one, "last")
        assert await data(page) == []


async def test_who_has_only_the_number_of_a_former_link_is_not_ended(redis: Redis) -> None:
    """Redis, or another one behind the same address, began to count anew."""
    async with member(redis) as one, member(redis) as other:
        [number] = [number for port, number in connected(redis).items() if port == _port(other)]
        link = other.cluster.bus.link
        one.cluster._former_links._links.append((number.encode(), b"127.0.0.1:1"))
        one.cut()
        await one.back()
        assert await other.cluster.flush(60)
        assert other.cluster.bus.link is link
        assert len(one.cluster._former_links) == 1


def _port(one: Member) -> int:
    transport = one.cluster.bus.asking()._transport
    assert transport is not None
    return int(transport.get_extra_info("sockname")[1])
