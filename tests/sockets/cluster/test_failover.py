"""Another server becomes the primary while the links to the former one stand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bridge.errors import ServiceUnavailable
from bridge.sockets.cluster import link
from bridge.sockets.cluster.cluster import Cluster
from bridge.sockets.cluster.link import Address, Link
from bridge.sockets.server.socket import Socket
from tests.infrastructure.servers import is_in_step
from tests.services import PASSWORD, Redis, redis_server
from tests.sockets.cluster.nodes import PREFIX, address, joined
from tests.sockets.server.running import broadcast, until


@pytest.mark.anyio
async def test_a_demoted_primary_is_left_and_a_replica_is_none(redis: Redis) -> None:
    with redis_server(masterauth=PASSWORD) as second, redis.client() as first, second.client() as promoted:
        first.config_set("masterauth", PASSWORD)
        first.config_set("repl-diskless-sync-delay", "0")
        is_known, asked = False, list[int]()

        async def find() -> Address:
            found = second if is_known else redis
            asked.append(found.port)
            return address(found)

        promoted.replicaof("127.0.0.1", str(redis.port))
        cluster: Cluster[Socket] = Cluster(address(redis), prefix=PREFIX, find=find)
        async with joined(cluster) as one, one.server.client("c") as client:
            await until(lambda: is_in_step(promoted))
            promoted.replicaof("NO", "ONE")
            first.replicaof("127.0.0.1", str(second.port))
            try:
                # It does not write the beat; then its greeting says what it is.
                await until(lambda: len(asked) >= 3)
                assert not cluster.is_up
                link = Link(lambda topic, data: None, lambda why: None, lambda command, why: None)
                with pytest.raises(ServiceUnavailable, match="it is a replica"):
                    await link.open(address(redis), "bridge-x")
                is_known = True
                await one.back()
                await one.server.node.publish_to_all([broadcast("c", data="1")], origin="api")
                got = await client.get()
                assert (await client.get() if got["event"] == "bridge:gap" else got)["data"] == "1"
            finally:
                first.replicaof("NO", "ONE")
        assert set(asked) == {redis.port, second.port}


@pytest.mark.anyio
async def test_a_node_that_is_too_old_for_the_bus_ends_nobody_who_serves(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the nodes of a Redis Cluster are upgraded one by one."""
    found: list[Address] = []

    async def find() -> Address:
        found.append(replace(address(redis), is_sharded=True))
        return found[-1]

    cluster: Cluster[Socket] = Cluster(await find(), prefix=PREFIX, find=find)
    async with joined(cluster) as one:
        with monkeypatch.context() as older:
            older.setattr(link, "CLUSTER_SINCE", 99)
            tries = len(found) + 2
            one.cut()
            await until(lambda: len(found) >= tries or one.task.done())
            assert not one.task.done()
        await one.back()
