"""The bus as `bridge doctor` sees it: a real Redis, with faults planted in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from bridge.doctor.bus import bus
from bridge.doctor.subject import ExaminedApp, Finding
from bridge.settings.load import load_settings
from tests import services

RIGHTS = ["+@connection", "+@pubsub", "+@scripting", "+@hash", "+@list", "+@set", "+@string", "+@keyspace"]
SECRET = "sesame-9f2c"


@pytest.fixture(scope="module")
def server() -> Iterator[services.Redis]:
    with services.redis_server() as server:
        yield server


@pytest.fixture
def client(server: services.Redis) -> Iterator[redis.Redis]:
    with server.client() as client:
        yield client
        client.config_set("maxmemory", "0")
        client.config_set("maxmemory-policy", "noeviction")


def found(folder: Path, server: services.Redis, **env: str) -> list[Finding]:
    lines = {
        **server.env, "APP_KEY": "x" * 32, "PUSHER_APP_ID": "1", "PUSHER_APP_KEY": "k",
        "PUSHER_APP_SECRET": "5f1c9e0b7a3d8c642e91", "QUEUE_CONNECTION": "redis",
        "BRIDGE_BUS": "default", "REDIS_PREFIX": "shop_", **env,
    }  # fmt: skip
    (folder / ".env").write_text("".join(f"{name}={value}\n" for name, value in lines.items() if value))
    return list(bus(ExaminedApp(settings=load_settings({}, {}, folder))))


def test_a_redis_as_it_comes_is_fine_and_nothing_stays_in_it(
    tmp_path: Path, server: services.Redis, client: redis.Redis
) -> None:
    assert found(tmp_path, server, BRIDGE_PROCESSES="2") == []
    assert client.dbsize() == 0


def test_processes_that_cannot_meet_are_found(tmp_path: Path, server: services.Redis) -> None:
    [one] = found(tmp_path, server, BRIDGE_PROCESSES="2", BRIDGE_BUS="")
    assert "over a bus, which is not set" in one.what
    assert found(tmp_path, server, BRIDGE_BUS="") == []


@pytest.mark.parametrize(("policy", "is_hint"), [("allkeys-lru", False), ("volatile-ttl", True)])
def test_a_redis_that_throws_away_is_found(
    tmp_path: Path, server: services.Redis, client: redis.Redis, policy: str, is_hint: bool
) -> None:
    client.config_set("maxmemory-policy", policy)
    assert found(tmp_path, server) == []  # it has no limit
    client.config_set("maxmemory", "100mb")
    [one] = found(tmp_path, server)
    assert (policy in one.what, one.hint) == (True, is_hint)


@pytest.mark.parametrize(
    ("granted", "lacks"),
    [
        ([*RIGHTS, "+time", "~shop_bridge:1:*", "&shop_bridge:1:*"], None),
        ([*RIGHTS, "+time", "+info", "~shop_bridge:1:*", "&shop_bridge:1:*"], None),
        ([*RIGHTS, "~shop_bridge:1:*", "&shop_bridge:1:*"], "time"),
        ([*RIGHTS, "+time", "-hsetnx", "-srandmember", "~*", "&*"], "hsetnx, srandmember"),
        ([*RIGHTS, "+time", "~other:*", "&*"], ""),
        ([*RIGHTS, "+time", "~*", "&other:*"], "publish"),
        (["+ping", "~*", "&*"], ""),
    ],
)  # fmt: skip
def test_the_rights_that_are_lacking_are_named(
    tmp_path: Path, server: services.Redis, client: redis.Redis, granted: list[str], lacks: str | None
) -> None:
    client.execute_command("ACL", "SETUSER", "few", "reset", "on", f">{SECRET}", *granted)  # type: ignore[no-untyped-call]
    all_found = found(tmp_path, server, REDIS_URL=f"redis://few:{SECRET}@{server.host}:{server.port}")
    faults = [one for one in all_found if not one.hint]
    hints = [one.what for one in all_found if one.hint]
    assert ("+info" in granted) is not any("may not INFO" in what for what in hints)
    if lacks is None:
        assert faults == []
        return
    assert faults
    assert all("may not do all that the bus needs" in one.what and lacks in one.what for one in faults[:1])
    assert all("&shop_bridge:1:*" in one.remedy for one in faults)


def test_a_redis_that_writes_nothing_is_not_taken_for_a_lack_of_rights(
    tmp_path: Path, server: services.Redis, client: redis.Redis
) -> None:
    client.config_set("maxmemory", "1")
    [full] = found(tmp_path, server)
    assert "writes nothing now" in full.what
    assert "OOM" in full.what
    client.config_set("maxmemory", "0")
    client.replicaof("127.0.0.1", "1")
    try:
        [replica] = found(tmp_path, server)
    finally:
        client.replicaof("NO", "ONE")
    assert "writes nothing now" in replica.what
    assert "READONLY" in replica.what


def test_a_wrong_password_and_a_redis_that_is_away_are_found_and_told_without_it(
    tmp_path: Path, server: services.Redis
) -> None:
    [one] = found(tmp_path, server, REDIS_PASSWORD=SECRET)
    assert "does not let bridge in" in one.what
    [other] = found(tmp_path, server, REDIS_PORT="1")
    assert "cannot be asked" in other.what
    assert SECRET not in f"{one}{other}"


def test_a_key_of_another_type_is_found(tmp_path: Path, server: services.Redis, client: redis.Redis) -> None:
    for prefix in ("shop_", "sh[o]*p_"):
        names = [f"{prefix}bridge:1:{rest}" for rest in ("c:1:news", "o:1", "nodes")]
        client.hset(names[2], "node", "{}")
        client.set(f"{prefix}bridge:1:unknown", "")
        client.set(f"{prefix}queues:c:1:x", "")
        client.rpush(names[0], "no hash")
        client.hset(names[1], "no", "list")
        spoiled = found(tmp_path, server, REDIS_PREFIX=prefix)
        client.flushall()
        assert sorted(one.what.partition(" where")[0] for one in spoiled) == [
            f"the key {names[0]} is a list",
            f"the key {names[1]} is a hash",
        ]
        assert all("delete it" in one.remedy for one in spoiled)


@pytest.mark.parametrize("lacks", ["client|kill", "client|info"])
def test_a_user_who_may_not_end_lost_connections_is_a_hint(
    tmp_path: Path, server: services.Redis, client: redis.Redis, lacks: str
) -> None:
    granted = [*RIGHTS, "+time", "+info", "~shop_bridge:1:*", "&shop_bridge:1:*", f"-{lacks}"]
    client.execute_command("ACL", "SETUSER", "few", "reset", "on", f">{SECRET}", *granted)  # type: ignore[no-untyped-call]
    [one] = found(tmp_path, server, REDIS_URL=f"redis://few:{SECRET}@{server.host}:{server.port}")
    assert one.hint
    assert "lost connections" in one.what
    assert lacks in one.what
