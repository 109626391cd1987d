"""Laravel's Redis connections as facts: a server, the Sentinels that know it, or a cluster.

phpredis takes an option from the connection's own `options`, then from the shared `database.redis.options`,
then from the connection itself (`Redis/Connectors/PhpRedisConnector.php`). predis takes options from the
first two, and what concerns one server from the connection; a list of servers beside `replication` or
`cluster` is its form of Sentinel and Cluster. The client `phpredis-sentinel` is that of packages:
namoshek/laravel-redis-sentinel (`sentinel_host`, `sentinel_hosts`, …), goopil/laravel-redis-sentinel
(`sentinels`, `sentinel`), where a connection may name it as its own `client`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias
from urllib.parse import urlsplit

from bridge.laravel.config import Config
from bridge.laravel.connection_options import Options, parse_url, whole
from bridge.laravel.tls import SELF_SIGNED, Tls
from bridge.phpeval.laravel.version import NEWEST, Version
from bridge.secret import Secret

Server: TypeAlias = tuple[str, int]  # host, port

_SECURE = ("tls", "ssl", "rediss")
_PREFIX_OF_PHPREDIS = (9, 12)  # from here on phpredis too lets a connection's own prefix win
_PREFIX_OF_PREDIS = (8, 77)
_TAGGED_QUEUES = (13, 5)  # from here on Laravel puts a queue's name into braces itself, in a cluster

SENTINEL_CLIENT = "phpredis-sentinel"
"""Of the packages for phpredis; goopil's calls its driver of queues so, too."""
PACKAGE_DRIVER = "redis-sentinel"
"""Of monospice/laravel-redis-sentinel-drivers, whose connections are those of `database.redis-sentinel`."""
PACKAGE_SENTINELS = (
    "in place of the package's driver use predis' own form: the driver redis, and in database.redis a"
    " connection that is the list of Sentinels, with options => [replication => sentinel, service => …]"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sentinels:
    """Those that are asked which server is the primary of `service`."""

    servers: tuple[Server, ...]
    service: str
    username: str | None = None
    password: Secret | None = None
    tls: Tls | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisConnection:
    """One entry of `database.redis`.

    host, port    of the server; with `sentinels` they tell it, and these count for nothing
    unix_socket   path, or None: then host and port count
    tls           None: the connection is plain
    prefix        stands before every key; empty for none
    packed        phpredis packs values (`serializer` or `compression`): unfit for a queue
    sentinels     None: there are none
    cluster       some nodes of it; empty: it is none
    tags_queues   Laravel puts the names of queues into braces
    """

    name: str
    host: str
    port: int
    database: int
    username: str | None
    password: Secret | None
    prefix: str
    tls: Tls | None = None
    unix_socket: str | None = None
    packed: bool = False
    sentinels: Sentinels | None = None
    cluster: tuple[Server, ...] = ()
    tags_queues: bool = False

    @property
    def place(self) -> str:
        """Where it is, for messages."""
        if self.sentinels is not None:
            named = ", ".join(f"{host}:{port}" for host, port in self.sentinels.servers)
            return f"the primary {self.sentinels.service} of the Sentinels {named}"
        if self.cluster:
            return "the cluster of " + ", ".join(f"{host}:{port}" for host, port in self.cluster)
        return self.unix_socket or f"{self.host}:{self.port}"

    @property
    def tls_mend(self) -> str:
        """What to look at where TLS is wrong."""
        return (
            f"correct scheme (tls or tcp) and context (ssl for predis) of database.redis.{self.name};"
            f" {SELF_SIGNED}"
        )


def redis_connection(
    config: Config, name: str | None, release: Version | None = None, *, prefix: str | None = None
) -> RedisConnection:
    """The connection called `name`, None for `default`. ConfigurationError where it is not usable.

    `release` of Laravel decides which prefix wins; None: the newest rules. `prefix` stands in place of that
    of its options, as packages put theirs there."""
    name = name or "default"
    key = f"database.redis.{name}"
    if config.text("database.redis.driver") == PACKAGE_DRIVER:  # it takes the place of all these connections
        raise config.error(
            "database.redis.driver", f"is {PACKAGE_DRIVER}, which is not followed", remedy=PACKAGE_SENTINELS
        )
    client = config.text("database.redis.client") or "phpredis"
    known = isinstance(config.get(key), dict)
    own = config.text(f"{key}.client") if known else None
    if own and own not in ("predis", "phpredis"):  # Laravel itself reads no client of one connection
        client = own
    reader = _Reader(config, key, "predis" if client == "predis" else "phpredis", release or NEWEST, prefix)
    if config.get(key) is None and name not in config.names("database.redis"):
        if name in config.names("database.redis.clusters"):
            return reader.cluster(name, f"database.redis.clusters.{name}", "database.redis.clusters.options")
        raise config.error(key, "is not configured", remedy="add it, or name another Redis connection")
    if client == "predis" and config.get(f"{key}.0") is not None:
        replication = reader.shared("replication")
        if replication == "sentinel":
            return reader.predis_sentinels(name)
        if replication:
            raise config.error(
                f"{key}.options.replication",
                f"is {replication!r}, which bridge does not follow",
                remedy="use Sentinels (replication => sentinel), or name the primary as host and port",
            )
        return reader.cluster(name, key, f"{key}.options")
    if client not in ("predis", "phpredis"):
        return reader.package_sentinels(name, client)
    if known and client == "phpredis" and config.get(f"{key}.sentinel_hosts"):
        raise config.error(
            f"{key}.sentinel_hosts",
            "is there, and the client is phpredis, which knows no Sentinels without a package",
            remedy=f'under [app_config] in bridge.toml write "database.redis.client" = "{SENTINEL_CLIENT}" if'
            f' the app follows them, "{key}.sentinel_hosts" = "" if it does not',
        )
    return reader.server(name)


class _Reader:
    """`family`: whose rules count."""

    def __init__(
        self, config: Config, key: str, family: str, release: Version, prefix: str | None = None
    ) -> None:
        self._config = config
        self._given_prefix = prefix
        self._key = key
        self._family = family
        self._release = release
        self._options = Options(config, key)
        self._places = [f"{key}.options", "database.redis.options"]

    def server(self, name: str, sentinels: Sentinels | None = None) -> RedisConnection:
        scheme, _, host = (self._text("host") or "127.0.0.1").rpartition("://")
        scheme = scheme or self._text("scheme") or ""
        path = self._text("path") if scheme == "unix" else None
        return RedisConnection(
            name=name,
            host=host,
            port=whole(self._config, f"{self._key}.port", self._text("port")) or 6379,
            database=whole(self._config, f"{self._key}.database", self._text("database")) or 0,
            username=self._text("username") or None,
            password=_secret(self._text("password")),
            prefix=self._prefix(),
            tls=self._tls() if scheme.lower() in _SECURE else None,
            unix_socket=path or (host if host.startswith("/") else None),
            packed=self._packed(),
            sentinels=sentinels,
        )

    def predis_sentinels(self, name: str) -> RedisConnection:
        """What concerns the server itself stands in `options.parameters`."""
        nodes = self._nodes(self._key)
        service = self.shared("service")
        if not service:
            remedy = "write the name of the primary that the Sentinels know, such as mymaster"
            raise self._config.error(f"{self._key}.options.service", "is empty", remedy=remedy)
        sentinels = Sentinels(
            servers=tuple(node.server for node in nodes),
            service=service,
            username=nodes[0].username,
            password=nodes[0].password,
            tls=self._tls_of(nodes),
        )
        scheme = self._parameter("scheme") or ""
        place = self._first_array("ssl", [f"{one}.parameters" for one in self._places])
        secure = _tls(self._config, place) if place else Tls(key=self._key)
        return RedisConnection(
            name=name,
            host="",
            port=0,
            database=whole(self._config, f"{self._key}.database", self._parameter("database")) or 0,
            username=self._parameter("username") or None,
            password=_secret(self._parameter("password")),
            prefix=self._prefix(),
            tls=secure if scheme.lower() in _SECURE else None,
            sentinels=sentinels,
        )

    def package_sentinels(self, name: str, client: str) -> RedisConnection:
        """The forms of the packages that bring a client of their own, which is phpredis within."""
        config, key = self._config, self._key
        own = f"{key}.sentinel"
        listed = [f"{key}.sentinels.{number}" for number in config.names(f"{key}.sentinels")]
        several = _several(config, f"{key}.sentinel_hosts")
        if several or config.text(f"{key}.sentinel_host"):
            servers = several or [
                _server(config.text(f"{key}.sentinel_host") or "", config.integer(f"{key}.sentinel_port"))
            ]
            service = config.text(f"{key}.sentinel_service") or "mymaster"
            username, password = (config.text(f"{key}.sentinel_{one}") for one in ("username", "password"))
            ssl = f"{key}.sentinel_ssl"
        elif listed or config.get(own) is not None:
            hosts = listed or [own]
            servers = [
                _server(config.text(f"{one}.host") or "", config.integer(f"{one}.port")) for one in hosts
            ]
            service = config.text(f"{own}.service") or "master"
            username, password = (config.text(f"{own}.{one}") for one in ("username", "password"))
            ssl = f"{own}.ssl"
        else:
            raise config.error(
                "database.redis.client",
                f"is {client}, and {key} names no Sentinels in a form that bridge knows",
                remedy="write sentinel_host, sentinel_port and sentinel_service there, or set client to "
                "predis"
                f" or phpredis and {key}.host to an address that always leads to the primary",
            )
        secure = any(tls for _, tls in servers)
        return self.server(
            name,
            Sentinels(
                servers=tuple(server for server, _ in servers),
                service=service,
                username=username or None,
                password=_secret(password),
                tls=_tls(config, ssl) if secure or config.get(ssl) else None,
            ),
        )

    def cluster(self, name: str, key: str, options: str) -> RedisConnection:
        """A cluster of nodes at `key`; phpredis takes what is the same for all from the options."""
        config = self._config
        self._places = [
            f"{key}.options",
            *([options] if options != f"{key}.options" else []),
            self._places[-1],
        ]
        if self._family == "predis" and self.shared("cluster") != "redis":
            raise config.error(
                key,
                "is spread over its servers by predis itself, where no script reaches all keys of a queue",
                remedy="set database.redis.options.cluster to redis for a Redis Cluster, or give the queue a "
                "connection of its own with one server",
            )
        nodes = self._nodes(key)
        own = self.shared if self._family == "phpredis" else self._parameter
        username = own("username") or nodes[0].username
        password = _secret(own("password")) or nodes[0].password
        secure = self._tls_of(nodes)
        place = self._first_array("context", self._places)
        if secure is not None and place and self._family == "phpredis":
            secure = _tls(config, place)
        host, port = nodes[0].server
        return RedisConnection(
            name=name,
            host=host,
            port=port,
            database=0,
            username=username or None,
            password=password,
            prefix=self.shared("prefix") or "",
            tls=secure,
            packed=self._packed(),
            cluster=tuple(node.server for node in nodes),
            tags_queues=self._release >= _TAGGED_QUEUES,
        )

    def shared(self, option: str) -> str | None:
        """An option that counts for all servers of the connection."""
        return _first(self._config, *(f"{place}.{option}" for place in self._places))

    def _parameter(self, option: str) -> str | None:
        return _first(self._config, *(f"{place}.parameters.{option}" for place in self._places))

    def _text(self, name: str) -> str | None:
        """What the client takes for one server."""
        if self._family == "predis":
            own = self._options.text(name)
            return own if own not in (None, "") else self._parameter(name)
        given = self.shared(name)
        return self._options.text(name) if given is None else given

    def _prefix(self) -> str:
        own = self._config.text(f"{self._key}.prefix")
        begins = _PREFIX_OF_PREDIS if self._family == "predis" else _PREFIX_OF_PHPREDIS
        if own is not None and self._release >= begins:
            return own
        shared = self.shared("prefix") if self._given_prefix is None else self._given_prefix
        if shared is None and self._family == "phpredis":
            shared = own
        return shared or ""

    def _packed(self) -> bool:
        return any(
            _first(self._config, f"{place}.{option}") not in (None, "", "0")
            for place in (self._key, *self._places)
            for option in ("serializer", "compression")
        )

    def _tls(self) -> Tls:
        if self._family == "predis":
            places = [self._key, *(f"{place}.parameters" for place in self._places)]
            found = self._first_array("ssl", places)
        else:
            found = self._first_array("context", [*self._places, self._key])
        return _tls(self._config, found) if found else Tls(key=self._key)

    def _tls_of(self, nodes: Sequence[_Node]) -> Tls | None:
        """Of all of these together: what predis' node does not say itself, the parameters say."""
        shared = self._parameter("scheme") if self._family == "predis" else None
        secure = [node for node in nodes if (node.scheme or shared or "").lower() in _SECURE]
        if not secure:
            return None
        below = [f"{one}.parameters" for one in self._places] if self._family == "predis" else []
        place = self._first_array("ssl", [*(node.key for node in secure), *below])
        return _tls(self._config, place) if place else Tls(key=secure[0].key)

    def _first_array(self, option: str, places: Sequence[str]) -> str | None:
        return next(
            (f"{one}.{option}" for one in places if self._config.get(f"{one}.{option}") is not None), None
        )

    def _nodes(self, key: str) -> list[_Node]:
        numbers = [name for name in self._config.names(key) if name.isdecimal() or name != "options"]
        nodes = [_node(self._config, f"{key}.{number}") for number in numbers if number != "prefix"]
        if not nodes:
            raise self._config.error(key, "names no server", remedy="write a list of host and port")
        return nodes


@dataclass(frozen=True, slots=True, kw_only=True)
class _Node:
    key: str
    server: Server
    scheme: str | None
    username: str | None
    password: Secret | None


def _node(config: Config, key: str) -> _Node:
    """One of several servers: a URL, or options."""
    value = config.get(key)
    url = parse_url(value, config, key) if isinstance(value, str) else None
    get: Callable[[str], str | None] = Options(config, key).text if url is None else url.get
    server, tls = _server(get("host"), whole(config, f"{key}.port", get("port")), 6379)
    return _Node(
        key=key,
        server=server,
        scheme="tls" if tls else get("scheme"),
        username=get("username") or None,
        password=_secret(get("password")),
    )


def _several(config: Config, key: str) -> list[tuple[Server, bool]]:
    """The servers of a list of host and port, of a list of `host:port`, or of such with commas between."""
    value = config.get(key)
    if isinstance(value, str):
        return [_address(one, config, key) for one in value.split(",") if one.strip()]
    return [
        _address(one, config, key)
        if isinstance(one := config.get(f"{key}.{number}"), str)
        else _server(config.text(f"{key}.{number}.host"), config.integer(f"{key}.{number}.port"))
        for number in config.names(key)
    ]


def _address(text: str, config: Config, key: str) -> tuple[Server, bool]:
    scheme, _, place = text.strip().rpartition("://")
    try:
        parts = urlsplit(f"//{place}")
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise config.error(key, f"{text.strip()!r} is no host and port", remedy="write host:port") from None
    return _server(f"{scheme}://{host}" if scheme else host, port)


def _server(host: str | None, port: int | None, default: int = 26379) -> tuple[Server, bool]:
    """Host and port, and whether its scheme is one of TLS."""
    scheme, _, host = (host or "").rpartition("://")
    return (host or "127.0.0.1", port or default), scheme.lower() in _SECURE


_TEXTS = ("cafile", "capath", "local_cert", "local_pk", "passphrase", "ciphers")
_UNKNOWN = {  # checks that redis-py does not make
    "peer_fingerprint": "write the certificate's authority as cafile",
    "peer_name": "make it the host, or set verify_peer_name to false and cafile to an authority of your own",
}


def _tls(config: Config, place: str) -> Tls:
    """The options at `place`, or one level below: phpredis' form (`stream`), and Laravel 13's (`ssl`)."""
    place = next(
        (f"{place}.{one}" for one in ("stream", "ssl") if config.get(f"{place}.{one}") is not None), place
    )
    names = config.names(place) if config.get(place) is not None else ()
    for name, remedy in _UNKNOWN.items():
        if name in names and config.text(f"{place}.{name}"):
            raise config.error(f"{place}.{name}", "is a check that bridge does not make", remedy=remedy)
    found = {name: config.text(f"{place}.{name}") or None for name in _TEXTS if name in names}

    def switch(name: str) -> bool:
        value = config.text(f"{place}.{name}") if name in names else None
        return value is None or value not in ("", "0")

    return Tls(
        key=place,
        ca_file=found.get("cafile"),
        ca_path=found.get("capath"),
        certificate=found.get("local_cert"),
        private_key=found.get("local_pk"),
        passphrase=_secret(found.get("passphrase")),
        verify=switch("verify_peer"),
        verify_name=switch("verify_peer_name"),
        ciphers=found.get("ciphers"),
    )


def _secret(text: str | None) -> Secret | None:
    return Secret(text) if text else None


def _first(config: Config, *keys: str) -> str | None:
    return next((text for key in keys if (text := config.text(key)) is not None), None)
