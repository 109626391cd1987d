"""The bus of several processes behind Sentinels."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from bridge.errors import ServiceUnavailable
from bridge.serve.wiring.sockets import build_cluster
from bridge.settings.load import Settings, load_settings
from tests.infrastructure.conftest import MakeApp
from tests.infrastructure.servers import SERVICE, Watched, command, watched_redis
from tests.services import PASSWORD
from tests.sockets.cluster.conftest import anyio_backend, patient  # noqa: F401
from tests.sockets.cluster.nodes import Member, joined
from tests.sockets.server.running import Client, broadcast, until


@pytest.fixture
def watched() -> Iterator[Watched]:
    with watched_redis(sentinels=3) as servers:
        yield servers


@pytest.fixture
def settings(app: MakeApp, watched: Watched) -> Settings:
    listed = ", ".join(f"['host' => '127.0.0.1', 'port' => {one.port}]" for one in watched.sentinels)
    return settings_of(
        app,
        f"""['redis' => ['client' => 'phpredis-sentinel', 'options' => ['prefix' => 'app:'], 'default' => [
            'sentinel_hosts' => [{listed}], 'sentinel_service' => '{SERVICE}',
            'sentinel_password' => '{PASSWORD}', 'password' => '{PASSWORD}', 'database' => 2]]]""",
    )


def settings_of(app: MakeApp, database: str) -> Settings:
    laravel = app(database)
    (laravel.path / ".env").write_text("PUSHER_APP_ID=1\nPUSHER_APP_KEY=key\nPUSHER_APP_SECRET=secret\n")
    return load_settings({"bus": "default"}, {"BRIDGE_LARAVEL_VERSION": "12.30"}, laravel.path)


@asynccontextmanager
async def two(settings: Settings) -> AsyncIterator[tuple[Member, Member]]:
    async with AsyncExitStack() as stack:
        members = []
        for _ in range(2):
            cluster = build_cluster(settings)
            assert cluster is not None
            members.append(await stack.enter_async_context(joined(cluster)))
        yield members[0], members[1]


class Flow:
    """Jobs, one after the other, by both nodes in turn; and what a client on each gets."""

    def __init__(self, members: tuple[Member, Member], clients: tuple[Client, Client]) -> None:
        self.members = members
        self.clients = clients
        self.published = 0
        self.is_ending = False
        self.got: tuple[list[str], list[str]] = ([], [])

    async def run(self) -> None:
        while not self.is_ending:
            job = replace(broadcast("c", data=str(self.published)), job=f"job-{self.published}")
            node = self.members[self.published % 2].server.node
            with contextlib.suppress(ServiceUnavailable):
                await node.publish_to_all([job], origin="queue")
                self.published += 1

    async def read(self, client: Client, got: list[str]) -> None:
        while not got or got[-1] != "end":
            message = await client.get()
            got.append(message["data"] if message["event"] == "event" else message["event"])

    @classmethod
    async def through(
        cls, members: tuple[Member, Member], happens: Callable[[], Awaitable[None]]
    ) -> tuple[list[str], list[str]]:
        """What a subscriber of each node got while this happened, the last 30 events long after."""
        one, other = members
        async with one.server.client("c") as here, other.server.client("c") as there:
            flow = cls(members, (here, there))
            async with asyncio.TaskGroup() as tasks:
                flowing = tasks.create_task(flow.run())
                for client, got in zip(flow.clients, flow.got, strict=True):
                    tasks.create_task(flow.read(client, got))
                await until(lambda: flow.published > 30)
                await happens()
                await one.back()
                await other.back()
                since = flow.published
                await until(lambda: flow.published > since + 30)
                flow.is_ending = True
                await flowing
                await one.server.node.publish_to_all([broadcast("c", data="end")], origin="api")
            flow.check()
            return flow.got

    def check(self) -> None:
        """In order, none twice, and none missing but before a gap."""
        for got in self.got:
            following = 0
            may_be_missing = False
            for what in got[:-1]:
                if what == "bridge:gap":
                    may_be_missing = True
                    continue
                number = int(what)
                assert number >= following, got
                assert number == following or may_be_missing, got
                following, may_be_missing = number + 1, False
            assert following == self.published or may_be_missing, got


async def joins(client: Client, user: str) -> list[str]:
    """Who is in the channel once this user is."""
    await client.subscribe("presence-r", json.dumps({"user_id": user}))
    while True:
        message = await client.get()
        if message["event"] == "pusher_internal:subscription_succeeded":
            ids: list[str] = json.loads(message["data"])["presence"]["ids"]
            return sorted(ids)


def port_of(member: Member) -> int | None:
    """Where the node's link leads to."""
    link = member.cluster.bus.link
    transport: Any = None if link is None else link._transport
    return None if transport is None else transport.get_extra_info("peername")[1]


async def run_in_presence(
    members: tuple[Member, Member], happens: Callable[[], Awaitable[None]]
) -> tuple[list[str], list[str]]:
    """`Flow.through`, while a member on each node sees the other: before, afterwards, and no change."""
    one, other = members
    async with one.server.client() as here, other.server.client() as there, other.server.client() as new:
        await joins(here, "1")
        assert await joins(there, "2") == ["1", "2"]
        await here.get("pusher_internal:member_added")
        got = await Flow.through(members, happens)
        await there.silence()
        await here.silence()
        assert await joins(new, "3") == ["1", "2", "3"]
        for client in (here, there):
            added = await client.get("pusher_internal:member_added")
            assert json.loads(added["data"])["user_id"] == "3"
        return got


@pytest.mark.anyio
@pytest.mark.parametrize("how", ["the primary is killed", "on request"])
async def test_a_failover_by_sentinels_is_followed(settings: Settings, watched: Watched, how: str) -> None:
    async with two(settings) as members:
        assert {port_of(member) for member in members} == {watched.first.port}

        async def happens() -> None:
            watched.notices_soon()
            if how == "on request":
                with contextlib.closing(watched.sentinel.client()) as client:
                    command(client, "SENTINEL", "FAILOVER", SERVICE)
            else:
                watched.first.stop(signal.SIGKILL)
            # a Sentinel that stood still for two seconds does nothing for 30
            for _ in range(4):
                with contextlib.suppress(TimeoutError):
                    await until(lambda: all(port_of(member) == watched.second.port for member in members))
                    return
            raise TimeoutError("nobody has followed")

        await run_in_presence(members, happens)


@pytest.mark.anyio
async def test_without_sentinels_the_bus_is_unavailable_and_names_them(
    settings: Settings, watched: Watched
) -> None:
    async with two(settings) as (one, _):
        for sentinel in watched.sentinels:
            sentinel.stop()
        assert one.cluster._find is not None
        with pytest.raises(ServiceUnavailable, match=f"{SERVICE} of the Sentinels .*{watched.sentinel.port}"):
            await one.cluster._find()
