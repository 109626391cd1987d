"""The queue in a Redis Cluster of two nodes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from redis.cluster import ClusterNode, RedisCluster

from bridge.errors import ConfigurationError, ServiceUnavailable
from bridge.laravel.application import LaravelApp
from bridge.laravel.cache import Lock, cache_store
from bridge.serve.wiring.queue import build_inspector, build_push, build_queue
from bridge.settings.load import Settings, load_settings
from tests import services
from tests.infrastructure.conftest import MakeApp
from tests.infrastructure.servers import command, redis_cluster
from tests.jobs.queue.stores import broadcast, uuid_of, uuids
from tests.services import PASSWORD


@pytest.fixture(scope="module")
def nodes() -> Iterator[list[services.Redis]]:
    with redis_cluster() as running:
        yield running


@pytest.fixture
def database(nodes: list[services.Redis]) -> str:
    """What config/database.php returns."""
    listed = ", ".join(f"['host' => '127.0.0.1', 'port' => {node.port}]" for node in nodes)
    return (
        f"['redis' => ['client' => 'phpredis', 'options' => ['cluster' => 'redis', 'prefix' => 'app:',"
        f" 'password' => '{PASSWORD}'], 'clusters' => ['default' => [{listed}]]]]"
    )


@pytest.fixture
def cluster(nodes: list[services.Redis]) -> Iterator[RedisCluster]:
    started = [ClusterNode(node.host, node.port) for node in nodes]  # type: ignore[no-untyped-call]
    with contextlib.closing(RedisCluster(startup_nodes=started, password=PASSWORD)) as client:
        client.flushall(target_nodes=RedisCluster.ALL_NODES)
        yield client


def _settings(laravel: LaravelApp, queue: str) -> Settings:
    return load_settings({"queue": queue}, {"BRIDGE_LARAVEL_VERSION": laravel.version or ""}, laravel.path)


@pytest.mark.parametrize(
    ("version", "queues", "keys"),
    [
        ("12.30", ("{a}", "x{b}"), ("app:queues:{a}", "app:queues:x{b}")),
        ("13.5.0", ("a", "x{b}"), ("app:queues:{a}", "app:queues:x{b}")),
    ],
)
def test_jobs_of_queues_on_different_nodes_are_taken_and_settled(
    app: MakeApp,
    database: str,
    cluster: RedisCluster,
    version: str,
    queues: tuple[str, ...],
    keys: tuple[str, ...],
) -> None:
    settings = _settings(app(database, version=version), ",".join(queues))
    nodes = {cluster.get_node_from_key(key).port for key in keys}  # type: ignore[no-untyped-call]
    assert len(nodes) == 2
    payloads = [[broadcast(id=f"{key}{n}", attempts=0) for n in range(3)] for key in keys]
    for key, some in zip(keys, payloads, strict=True):
        cluster.rpush(key, *some)
    with contextlib.closing(build_inspector(settings)) as look:
        assert len(look.look().new) == 6
    with contextlib.closing(build_queue(settings)) as queue:
        queue.check()
        assert {name: depth.pending for name, depth in queue.depth().items()} == dict.fromkeys(queues, 3)
        jobs = [*queue.reserve(4), *queue.reserve(4)]
        assert uuids(jobs) == [uuid_of(payload) for some in payloads for payload in some]
        jobs = [job for job in queue.renew(jobs[::-1]) if job is not None][::-1]
        assert uuids(jobs) == [uuid_of(payload) for some in payloads for payload in some]
        assert queue.delete([jobs[0], jobs[3]]) == 2
        queue.release(jobs[1], 0)
        queue.give_back([jobs[4]])
        queue.mark_sent(jobs[4:5])
        assert queue.was_sent(jobs[4])
        deleted, more = queue.delete_and_reserve([jobs[2], jobs[5]], 10)()
        assert (deleted, set(uuids(more))) == (2, {jobs[1].uuid, jobs[4].uuid})
        queue.pause([queues[0]])
        queue.release(more[0], 0)
        assert [job.queue for job in queue.reserve(10)] == [queues[1]] * (more[0].queue == queues[1])
    with contextlib.closing(build_push(settings, "q")) as push:
        push.push(queues[1], payloads[0][0])
    assert cluster.lrange(keys[1], 0, -1) == [payloads[0][0]]


def test_a_queue_whose_keys_lie_apart_is_refused_with_a_name_that_helps(app: MakeApp, database: str) -> None:
    settings = _settings(app(database, version="12.30"), "default")
    with pytest.raises(ConfigurationError, match=r"default .*no hash tag.*\{default\}"):
        build_queue(settings)


def test_a_hash_tag_in_the_prefix_keeps_the_keys_of_every_queue_together(
    app: MakeApp, database: str, cluster: RedisCluster
) -> None:
    tagged = app(database.replace("'prefix' => 'app:'", "'prefix' => '{app}:'"), version="12.30")
    with contextlib.closing(build_queue(_settings(tagged, "high,default"))) as queue:
        queue.check()
        payloads = [broadcast(id=f"{n}", attempts=0) for n in range(2)]
        cluster.rpush("{app}:queues:default", *payloads)
        jobs = queue.reserve(2)
        assert uuids(jobs) == [uuid_of(payload) for payload in payloads]
        queue.release(jobs[0], 0)
        assert queue.delete(jobs[1:]) == 1
        assert uuids(queue.reserve(2)) == [jobs[0].uuid]


def test_a_wait_in_one_queue_ends_with_a_job(app: MakeApp, database: str, cluster: RedisCluster) -> None:
    settings = _settings(app(database), "{a}")
    with contextlib.closing(build_queue(settings)) as queue:
        assert list(queue.reserve(1)) == []
        queue.wait(0.01)
        cluster.rpush("app:queues:{a}", broadcast(id="1", attempts=0))
        cluster.rpush("app:queues:{a}:notify", 1)
        queue.wait(60)
        assert len(queue.reserve(1)) == 1


def test_a_slot_that_moves_takes_its_jobs_along(
    app: MakeApp, database: str, cluster: RedisCluster, nodes: list[services.Redis]
) -> None:
    settings = _settings(app(database), "{a}")
    key = "app:queues:{a}"
    slot = cluster.keyslot(key)  # type: ignore[no-untyped-call]
    with contextlib.closing(build_queue(settings)) as queue, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(contextlib.closing(node.client())) for node in nodes]
        ids = [command(client, "CLUSTER", "MYID").decode() for client in clients]
        cluster.rpush(key, broadcast(id="1", attempts=0), broadcast(id="2", attempts=0))
        jobs = list(queue.reserve(1))
        there = next(n for n, client in enumerate(clients) if _has(client, key))
        here = 1 - there
        command(clients[here], "CLUSTER", "SETSLOT", slot, "IMPORTING", ids[there])
        command(clients[there], "CLUSTER", "SETSLOT", slot, "MIGRATING", ids[here])
        keys = command(clients[there], "CLUSTER", "GETKEYSINSLOT", slot, 100)
        where = ("127.0.0.1", nodes[here].port, "", 0, 5000, "AUTH", PASSWORD, "KEYS")
        command(clients[there], "MIGRATE", *where, *keys)
        with pytest.raises(ServiceUnavailable):  # amid the move
            queue.delete(jobs)
        for client in (clients[here], clients[there]):
            command(client, "CLUSTER", "SETSLOT", slot, "NODE", ids[here])
        assert queue.delete(jobs) == 1
        assert len(queue.reserve(5)) == 1


def _has(client: redis.Redis, key: str) -> bool:
    try:
        return bool(client.exists(key))
    except redis.ResponseError:
        return False


def test_signals_are_read_and_locks_released_in_a_cluster(
    app: MakeApp, database: str, cluster: RedisCluster
) -> None:
    laravel = app(database)
    (laravel.path / "config/cache.php").write_text(
        "<?php return ['default' => 'redis', 'prefix' => 'c:', 'stores' => ['redis' =>"
        " ['driver' => 'redis', 'connection' => 'default']]];"
    )
    laravel = app(database)
    cluster.set("app:c:one", b"1")
    cluster.set("app:c:two", b"2")
    with contextlib.closing(cache_store(laravel)) as store:
        assert store.read(["one", "none", "two"]) == [b"1", None, b"2"]
        store.unlock(Lock(key="app:c:one"))
        store.unlock(Lock(key="app:c:two", owner="somebody else"))
    left: Any = cluster.mget_nonatomic(["app:c:one", "app:c:two"])
    assert left == [None, b"2"]
