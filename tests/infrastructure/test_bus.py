"""The bus of several processes behind Sentinels, and in a Redis Cluster."""

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
import redis

from bridge.doctor.bus import bus
from bridge.doctor.subject import ExaminedApp
from bridge.errors import ConfigurationError, ServiceUnavailable
from bridge.serve.wiring.sockets import build_cluster
from bridge.settings.load import Settings, load_settings
from bridge.sockets.cluster.link import SCRIPTS, Address, Link
from tests import services
from tests.infrastructure.conftest import MakeApp
from tests.infrastructure.servers import SERVICE, Watched, command, is_in_step, redis_cluster, watched_redis
from tests.services import PASSWORD, wait_until
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


CLUSTER = """['redis' => ['client' => 'phpredis', 'options' => ['cluster' => 'redis', 'prefix' => '%s',
    'password' => '%s'], 'clusters' => ['default' => [%s]]]]"""


@pytest.fixture
def nodes() -> Iterator[list[services.Redis]]:
    """Three primaries; `replicated` makes a fourth server the replica of one of them."""
    with redis_cluster(3, **{"cluster-node-timeout": "2000"}) as running:
        yield running


def clustered(app: MakeApp, nodes: list[services.Redis], prefix: str = "app:") -> Settings:
    listed = ", ".join(f"['host' => '127.0.0.1', 'port' => {node.port}]" for node in nodes)
    return settings_of(app, CLUSTER % (prefix, PASSWORD, listed))


def move(nodes: list[services.Redis], slot: int, source: services.Redis) -> services.Redis:
    """To another node, with all keys; as `redis-cli --cluster reshard` does."""
    target = next(node for node in nodes if node is not source)
    with contextlib.ExitStack() as stack:
        clients = {node.port: stack.enter_context(contextlib.closing(node.client())) for node in nodes}
        here, there = clients[source.port], clients[target.port]
        ids = [command(client, "CLUSTER", "MYID").decode() for client in (here, there)]
        command(there, "CLUSTER", "SETSLOT", slot, "IMPORTING", ids[0])
        command(here, "CLUSTER", "SETSLOT", slot, "MIGRATING", ids[1])
        while keys := command(here, "CLUSTER", "GETKEYSINSLOT", slot, 100):
            where = ("127.0.0.1", target.port, "", 0, 5000, "AUTH", PASSWORD, "KEYS")
            command(here, "MIGRATE", *where, *keys)
        for client in (there, here, *clients.values()):
            command(client, "CLUSTER", "SETSLOT", slot, "NODE", ids[1])
    return target


def slot_of(members: tuple[Member, Member], node: services.Redis) -> int:
    with contextlib.closing(node.client()) as client:
        return int(command(client, "CLUSTER", "KEYSLOT", members[0].cluster.names.nodes))


@pytest.mark.anyio
@pytest.mark.parametrize("prefix", ["app:", "{app}:", ""])
async def test_in_a_cluster_the_bus_lies_in_one_slot_and_follows_it(
    app: MakeApp, nodes: list[services.Redis], prefix: str
) -> None:
    async with two(clustered(app, nodes, prefix)) as members:
        source = next(node for node in nodes if node.port == port_of(members[0]))
        slot = slot_of(members, source)
        with contextlib.closing(source.client()) as client:
            keys: Any = client.keys("*")
            assert keys
            assert all(key.startswith(f"{prefix}bridge:1:".encode()) for key in keys)
            assert {command(client, "CLUSTER", "KEYSLOT", key) for key in keys} == {slot}
        found: list[services.Redis] = []

        async def happens() -> None:
            found.append(await asyncio.to_thread(move, nodes, slot, source))
            await until(lambda: all(port_of(member) == found[0].port for member in members))

        got = await run_in_presence(members, happens)
        assert all("bridge:gap" not in one for one in got)


@pytest.mark.anyio
async def test_a_failover_in_a_cluster_is_followed(app: MakeApp, nodes: list[services.Redis]) -> None:
    async with AsyncExitStack() as stack:
        one, other = await stack.enter_async_context(two(clustered(app, nodes)))
        primary = next(node for node in nodes if node.port == port_of(one))
        replica = stack.enter_context(replica_of(primary, nodes))

        async def happens() -> None:
            primary.stop(signal.SIGKILL)
            for _ in range(4):
                with contextlib.suppress(TimeoutError):
                    await until(lambda: {port_of(one), port_of(other)} == {replica.port})
                    return
            raise TimeoutError("nobody has followed")

        await run_in_presence((one, other), happens)


@contextlib.contextmanager
def replica_of(primary: services.Redis, nodes: list[services.Redis]) -> Iterator[services.Redis]:
    settings = {
        "cluster-enabled": "yes",
        "cluster-port": str(services.free_port()),
        "cluster-node-timeout": "2000",
        "cluster-require-full-coverage": "no",
        "masterauth": PASSWORD,
    }
    with services.redis_server(**settings) as replica, contextlib.ExitStack() as stack:  # type: ignore[arg-type]
        client = stack.enter_context(contextlib.closing(replica.client()))
        first = stack.enter_context(contextlib.closing(primary.client()))
        own = command(first, "CLUSTER", "MYID").decode()
        found = command(first, "CONFIG", "GET", "cluster-port")
        port = found[b"cluster-port"] if isinstance(found, dict) else found[1]
        command(client, "CLUSTER", "MEET", "127.0.0.1", primary.port, int(port))

        def is_made() -> bool:
            try:
                command(client, "CLUSTER", "REPLICATE", own)
            except redis.ResponseError:  # it does not know the primary yet
                return False
            return True

        wait_until(is_made, "the replica knows its primary")
        wait_until(lambda: is_in_step(client), "the replica holds what the primary does")
        for node in nodes:  # those that do not know it give it no vote
            voter = stack.enter_context(contextlib.closing(node.client()))
            wait_until(lambda voter=voter: _knows_replica(voter), "all know the replica")  # type: ignore[misc]
        yield replica


def _knows_replica(client: redis.Redis) -> bool:
    return "slave" in str(command(client, "CLUSTER", "NODES"))


def test_braces_that_scatter_the_bus_are_refused(app: MakeApp, nodes: list[services.Redis]) -> None:
    with pytest.raises(ConfigurationError, match="take the braces out"):
        build_cluster(clustered(app, nodes, "{}app:"))


def test_the_doctor_tries_the_bus_of_a_cluster(app: MakeApp, nodes: list[services.Redis]) -> None:
    assert list(bus(ExaminedApp(settings=clustered(app, nodes)))) == []


@pytest.mark.anyio
async def test_a_cluster_without_topics_of_slots_is_refused() -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(b"%2\r\n+version\r\n+6.2.14\r\n+role\r\n+master\r\n+OK\r\n" + b"+OK\r\n" * len(SCRIPTS))
        with contextlib.suppress(ConnectionError):
            await reader.read()
        writer.close()

    async with await asyncio.start_server(greet, "127.0.0.1", 0) as server:
        link = Link(lambda topic, data: None, lambda why: None, lambda command, why: None)
        address = Address(port=server.sockets[0].getsockname()[1], is_sharded=True)
        with pytest.raises(ConfigurationError, match=r"is 6\.2\.14, .* the bus needs 7\.0"):
            await link.open(address, "bridge-x")
