"""From a Redis connection's facts to a redis-py client: of a server, a Sentinels' primary, a cluster's node;
or to the address of that primary or node.

No client connects before its first command.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable
from functools import partial
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode, RedisCluster
from redis.exceptions import RedisClusterException
from redis.retry import Retry
from redis.sentinel import Sentinel

from bridge.laravel.redis_connections import RedisConnection, Sentinels, Server
from bridge.laravel.tls import STRICT, Tls

CONNECT_TIMEOUT = 5  # seconds until a server must have let us in
SENTINEL_TIMEOUT = 2  # seconds for each of the Sentinels


def redis_client(facts: RedisConnection, *, key: str = "", socket_timeout: float = 8.0) -> redis.Redis:
    """A client on the app's Redis, answering in bytes; the caller closes it.

    In a cluster it is that of the node that holds `key`, and all keys with the same hash tag; where they have
    moved, its next connection finds them. With Sentinels it is the primary's, whichever that is.
    `socket_timeout` in seconds must exceed the longest blocking command. Keys are not prefixed by it.
    """
    options = _options(facts, socket_timeout)
    if facts.cluster:
        return _node_client(facts, key, options)
    options["db"] = facts.database
    if facts.sentinels is not None:
        return _primary_client(facts.sentinels, options)
    if facts.unix_socket:
        return redis.Redis(unix_socket_path=facts.unix_socket, **options)
    return redis.Redis(host=facts.host, port=facts.port, **options)


def cluster_client(facts: RedisConnection, *, socket_timeout: float = 8.0) -> RedisCluster:
    """A client on all nodes of a cluster, for keys of any slot. It connects at once: may raise RedisError."""
    return _cluster(facts, _options(facts, socket_timeout))


def primary_finder(facts: RedisConnection, key: str) -> Callable[[], Server] | None:
    """What asks the Sentinels for the address of the primary, or a cluster for that of the node that holds
    `key`, each time it is called: it blocks for up to `SENTINEL_TIMEOUT` with each server that is asked, and
    may raise RedisError. None where the address never changes."""
    if facts.cluster:
        options = _options(facts, SENTINEL_TIMEOUT) | {"socket_connect_timeout": SENTINEL_TIMEOUT}
        return partial(_owner, facts, key, options)
    if facts.sentinels is None:
        return None
    service, sentinel = facts.sentinels.service, _sentinel(facts.sentinels)

    def find() -> Server:
        try:
            host, port = sentinel.discover_master(service)  # type: ignore[no-untyped-call]
        finally:
            for one in sentinel.sentinels:  # the next question may come days later
                one.close()
        return host, port

    return find


def _cluster(facts: RedisConnection, options: dict[str, Any]) -> RedisCluster:
    # Whichever is asked first may be cut off from the others.
    servers = random.sample(facts.cluster, len(facts.cluster))
    nodes = [ClusterNode(*server) for server in servers]  # type: ignore[no-untyped-call]
    try:
        return RedisCluster(startup_nodes=nodes, **options)
    except RedisClusterException as error:
        raise redis.ConnectionError(str(error)) from error


def _options(facts: RedisConnection, socket_timeout: float) -> dict[str, Any]:
    return {
        **_ssl(facts.tls),
        "username": facts.username,
        "password": facts.password.reveal() if facts.password else None,
        "decode_responses": False,
        "socket_connect_timeout": CONNECT_TIMEOUT,
        "socket_timeout": socket_timeout,
        "socket_keepalive": True,
        "health_check_interval": 30,
        # The server may have closed an idle one. Where one is silent, so are the others: whoever calls us
        # gives all of them up, and tries again later.
        "retry": Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,)),
    }


def _ssl(tls: Tls | None) -> dict[str, Any]:
    """The same in redis-py's words. Raises ConfigurationError where a file of it cannot be used."""
    if tls is None:
        return {}
    tls.context()
    return {
        "ssl": True,
        "ssl_ca_certs": tls.ca_file,
        "ssl_ca_path": tls.ca_path,
        "ssl_certfile": tls.certificate,
        "ssl_keyfile": tls.private_key,
        "ssl_password": tls.passphrase.reveal() if tls.passphrase else None,
        "ssl_cert_reqs": "required" if tls.verify else "none",
        "ssl_check_hostname": tls.verify and tls.verify_name,
        "ssl_ciphers": tls.ciphers,
        "ssl_exclude_verify_flags": [STRICT],
    }


def _primary_client(sentinels: Sentinels, options: dict[str, Any]) -> redis.Redis:
    client: redis.Redis = _sentinel(sentinels).master_for(sentinels.service, **options)  # type: ignore[no-untyped-call]
    return client


def _sentinel(sentinels: Sentinels) -> Sentinel:
    own = {
        "username": sentinels.username,
        "password": sentinels.password.reveal() if sentinels.password else None,
        "socket_timeout": SENTINEL_TIMEOUT,
        "socket_connect_timeout": SENTINEL_TIMEOUT,
        "retry": Retry(NoBackoff(), 0),
        **_ssl(sentinels.tls),
    }
    return Sentinel(list(sentinels.servers), sentinel_kwargs=own)  # type: ignore[no-untyped-call]


def _owner(facts: RedisConnection, key: str, options: dict[str, Any]) -> Server:
    with contextlib.closing(_cluster(facts, options)) as cluster:
        node = cluster.get_node_from_key(key)  # type: ignore[no-untyped-call]
    if node is None:
        raise redis.ConnectionError("no node of the cluster serves the key's slot")
    return node.host, node.port


def _node_client(facts: RedisConnection, key: str, options: dict[str, Any]) -> redis.Redis:
    kind = _NodeTlsConnection if facts.tls is not None else _NodeConnection
    own = {name: value for name, value in options.items() if name != "ssl"}
    pool = redis.ConnectionPool(connection_class=kind, owner=partial(_owner, facts, key, options), **own)
    return redis.Redis.from_pool(pool)


class _NodeConnection(redis.Connection):
    """Asks the cluster, each time it connects, which node it has to connect to."""

    def __init__(self, *, owner: Callable[[], Server], **options: Any) -> None:
        super().__init__(**options)  # type: ignore[no-untyped-call]
        self._owner = owner

    def _connect(self) -> Any:
        self.host, self.port = self._owner()
        return super()._connect()  # type: ignore[no-untyped-call]


class _NodeTlsConnection(_NodeConnection, redis.SSLConnection):
    pass
