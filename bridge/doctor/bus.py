"""Checks of the bus: the Redis over which several processes meet. It is asked; one probe key is written there
and deleted at once."""

from __future__ import annotations

import contextlib
import os
import re

import redis
from redis.exceptions import NoPermissionError

from bridge.doctor.eviction import eviction, unseen_eviction
from bridge.doctor.subject import ExaminedApp, Finding, Found
from bridge.laravel.redis_client import redis_client
from bridge.laravel.redis_connections import RedisConnection
from bridge.serve.wiring.sockets import build_cluster
from bridge.sockets.cluster.names import Names

SCANNED, MOST_KEYS = 1_000, 1_000_000  # keys of the database that are looked at: at once, and in all
MOST_FINDINGS = 10
_GLOB = re.compile(rb"[*?\[\]\\^-]")
CLUSTER_SINCE = (7, 0)  # topics that belong to a slot
OLDEST = (6, 0)  # RESP3, in which commands, answers and messages share a connection
_PROBE = """
local refused = {}
local key = KEYS[1]
local tries = {
  {'SET', key, '1', 'PX', '5000'}, {'GET', key}, {'EXISTS', key}, {'PTTL', key}, {'DEL', key},
  {'HSET', key, 'a', '1'}, {'HSETNX', key, 'b', '1'}, {'HINCRBY', key, 'a', '1'}, {'HGET', key, 'a'},
  {'HMGET', key, 'a', 'b'}, {'HGETALL', key}, {'HKEYS', key}, {'HLEN', key}, {'HEXISTS', key, 'a'},
  {'TYPE', key},
  {'EXPIRE', key, '5'}, {'PEXPIRE', key, '5000'}, {'PERSIST', key}, {'HDEL', key, 'b'}, {'DEL', key},
  {'SADD', key, '1'}, {'SISMEMBER', key, '1'}, {'SCARD', key}, {'SSCAN', key, '0'},
  {'SRANDMEMBER', key, '1'}, {'SREM', key, '1'}, {'DEL', key},
  {'RPUSH', key, '1'}, {'LTRIM', key, '0', '1'}, {'LRANGE', key, '0', '1'}, {'RPOP', key}, {'DEL', key},
  {'TIME'}, {ARGV[2], ARGV[1], ''},
}
for _, command in ipairs(tries) do
  local answer = redis.pcall(unpack(command))
  if type(answer) == 'table' and answer.err then
    local word = answer.err:match('^-?(%u+) ')
    if word == 'OOM' or word == 'READONLY' or word == 'MISCONF' then return answer.err end
    table.insert(refused, command[1])
  end
end
return refused
"""  # every command of sockets/cluster


def bus(subject: ExaminedApp) -> Found:
    """Checks that several processes have a Redis over which they can meet."""
    settings = subject.settings
    if settings.bus is None:
        if settings.processes > 1:
            yield Finding(
                what=f"processes is {settings.processes}, and they meet over a bus, which is not set",
                where=settings.origins.get("processes", ""),
                remedy="set bus (BRIDGE_BUS) to a Redis connection of the app, such as default",
            )
        return
    build_cluster(settings)  # raises for a prefix that is not fit for a cluster
    server = settings.redis(settings.bus)
    where = f"the bus, {server.place}"
    names = Names(server.prefix, server.database, is_sharded=bool(server.cluster))
    with contextlib.closing(redis_client(server, key=names.prefix.decode())) as client:
        try:
            yield from _looked_at(client, server, names, where)
        except redis.AuthenticationError as problem:
            yield Finding(
                what=f"Redis does not let bridge in ({_words(problem)})",
                where=where,
                remedy="correct the connection's username and password in .env",
            )
        except NoPermissionError as problem:
            yield _refused(server, where, _words(problem))
        except redis.RedisError as problem:
            yield Finding(
                what=f"Redis cannot be asked ({_words(problem)})",
                where=where,
                remedy="start it, or correct where it is in .env",
            )


def _looked_at(client: redis.Redis, server: RedisConnection, names: Names, where: str) -> Found:
    is_sharded = bool(server.cluster)
    client.ping()
    try:
        info = client.info()
    except redis.ResponseError:  # not needed to serve
        yield unseen_eviction(where)
    else:
        yield from _version(info, CLUSTER_SINCE if is_sharded else OLDEST, where)
        yield from eviction(
            info,
            where,
            user="the bus",
            lasting="who is in which channel",
            expiring="which jobs are done and what was sent last: then a job may go out twice, and events"
            " are missed",
        )
        if info.get("redis_mode") == "cluster" and not is_sharded:
            yield Finding(
                what="this is a node of a Redis Cluster, where the keys of the bus lie in several slots",
                where=where,
                remedy="describe the cluster in database.redis.clusters, and set bus to its name there",
            )
            return
    probe = names.key("doctor", os.urandom(8).hex().encode())
    try:
        refused = client.eval(
            _PROBE, 1, probe, names.topics + b"doctor", "SPUBLISH" if is_sharded else "PUBLISH"
        )
    except NoPermissionError as problem:
        yield _refused(server, where, _words(problem))
        return
    if isinstance(refused, bytes):
        yield Finding(
            what=f"Redis writes nothing now ({refused.decode(errors='replace')})",
            where=where,
            remedy="OOM: raise maxmemory; READONLY: name the primary; MISCONF: see why it cannot save",
        )
        return
    if isinstance(refused, list) and refused:
        yield _refused(server, where, ", ".join(sorted({name.decode().lower() for name in refused})))
    yield from _former_links(client, where)
    yield from _types(client, names, where)
    with contextlib.closing(client.pubsub()) as topics:  # type: ignore[no-untyped-call]
        try:
            subscribe = topics.ssubscribe if is_sharded else topics.subscribe
            subscribe((names.topics + b"doctor").decode())
            topics.get_message(timeout=5)
        except NoPermissionError as problem:
            yield _refused(server, where, _words(problem))


def _former_links(client: redis.Redis, where: str) -> Found:
    """Whether bridge may have Redis end a connection that was lost. The bus works without that."""
    try:  # nobody has this address
        client.execute_command("CLIENT", "KILL", "ID", "1", "ADDR", "0.0.0.0:0")  # type: ignore[no-untyped-call]
        client.execute_command("CLIENT", "INFO")  # type: ignore[no-untyped-call]
    except redis.ResponseError as problem:
        yield Finding(
            what="bridge cannot end its own lost connections to Redis: behind a proxy, what it had sent over"
            f" one may arrive later ({_words(problem)})",
            where=where,
            remedy="give the Redis user +client|kill and +client|info, which are part of +@connection, or"
            " upgrade a Redis that is older than 6.2",
            hint=True,
        )


def _types(client: redis.Redis, names: Names, where: str) -> Found:
    """A key of the bus that something else has written."""
    cursor, found, seen = 0, 0, 0
    pattern = _GLOB.sub(rb"\\\g<0>", names.prefix) + b"*"
    while seen < MOST_KEYS and found < MOST_FINDINGS:
        try:
            cursor, keys = client.scan(cursor, match=pattern, count=SCANNED)
        except NoPermissionError:  # not needed to serve
            return
        seen += SCANNED
        with client.pipeline(transaction=False) as asked:
            for key in keys:
                asked.type(key)
            types = asked.execute()
        for key, kind in zip(keys, types, strict=True):
            name, expected = bytes(key), names.type_of(bytes(key))  # type: ignore[arg-type]
            if expected is not None and kind not in (b"none", expected.encode()):
                found += 1
                yield Finding(
                    what=f"the key {name.decode(errors='replace')} is a {kind.decode()} where the bus has a"
                    f" {expected}: all that needs it is refused",
                    where=where,
                    remedy="delete it, and see what has written it",
                )
        if cursor == 0:
            return


def _version(info: dict[str, object], oldest: tuple[int, int], where: str) -> Found:
    version = str(info.get("redis_version", ""))
    numbers = version.split(".")[:2]
    if all(part.isdecimal() for part in numbers) and tuple(map(int, numbers)) < oldest:
        yield Finding(
            what=f"Redis is {version}, and the bus needs {oldest[0]}.{oldest[1]} or newer",
            where=where,
            remedy="upgrade it",
        )


def _refused(server: RedisConnection, where: str, what: str) -> Finding:
    pattern = f"{server.prefix}bridge:1:*"
    return Finding(
        what=f"the Redis user may not do all that the bus needs: {what}",
        where=where,
        remedy=f"give it ~{pattern} &{pattern} and +@connection +@pubsub +@scripting +@hash +@list +@set"
        " +@string +@keyspace +time",
    )


def _words(problem: Exception) -> str:
    """Redis' first line; a password never stands in it."""
    return str(problem).partition("\n")[0][:200]
