"""Laravel's database and Redis connections as facts: what to connect to, and with what.

A `url` overrides the options beside it (`Support/ConfigurationUrlParser.php`); `write` overrides both, as for
Laravel's own writes. Of several hosts the first counts, where Laravel takes any.
"""

from __future__ import annotations

import os.path
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal
from urllib.parse import parse_qsl, unquote, urlsplit

from bridge.laravel.config import Config
from bridge.laravel.config_file import MYSQL_SSL_CA
from bridge.laravel.config_values import Unknown
from bridge.secret import Secret

SqlDriver = Literal["mysql", "mariadb", "pgsql", "sqlite"]

_SQL_DRIVERS: tuple[SqlDriver, ...] = ("mysql", "mariadb", "pgsql", "sqlite")
_PORTS: dict[SqlDriver, int] = {"mysql": 3306, "mariadb": 3306, "pgsql": 5432, "sqlite": 0}
_DRIVER_ALIASES = {
    "mysql2": "mysql", "postgres": "pgsql", "postgresql": "pgsql", "sqlite3": "sqlite", "redis": "tcp",
    "rediss": "tls",
}  # fmt: skip
_WORDS: dict[str, str | None] = {"null": None, "true": "1", "false": ""}


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseConnection:
    """One entry of `database.connections`.

    database     name, or for sqlite the absolute path (`:memory:` as it is)
    unix_socket  path, or None: then host and port count
    prefix       stands before every table name
    charset      MySQL's name of it
    ssl_ca       MySQL: path of the authority that must have signed the server's certificate
    ssl          PostgreSQL: `sslmode`, `sslcert`, `sslkey`, `sslrootcert` as far as they are set
    search_path  PostgreSQL: schemas in order, empty for the server's own
    timezone     in which the server shows timestamps, None for its own choice
    """

    name: str
    driver: SqlDriver
    host: str
    port: int
    database: str
    username: str | None
    password: Secret | None
    prefix: str
    unix_socket: str | None = None
    charset: str | None = None
    ssl_ca: str | None = None
    ssl: Mapping[str, str]
    search_path: tuple[str, ...] = ()
    timezone: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisConnection:
    """One entry of `database.redis`.

    unix_socket  path, or None: then host and port count
    tls          the server's certificate is checked, with `host` as its name
    prefix       stands before every key; empty for none
    packed       phpredis packs values (`serializer` or `compression`): unfit for a queue
    """

    name: str
    host: str
    port: int
    database: int
    username: str | None
    password: Secret | None
    prefix: str
    tls: bool = False
    unix_socket: str | None = None
    packed: bool = False


def database_connection(
    config: Config, name: str | None, *, base: str, env: Mapping[str, str]
) -> DatabaseConnection:
    """The connection called `name`, None for the default one. ConfigurationError where it is not usable."""
    name = name or config.text("database.default")
    if not name:
        raise config.error("database.default", "is empty", mend="set DB_CONNECTION")
    options = _Options(config, f"database.connections.{name}")
    known = next((driver for driver in _SQL_DRIVERS if driver == options.text("driver")), None)
    if known is None:
        raise config.error(
            f"database.connections.{name}.driver",
            "is missing" if options.text("driver") is None else "is no database that bridge can use",
            mend=f"use one of {', '.join(_SQL_DRIVERS)}",
        )
    database = options.text("database") or ""
    if known == "sqlite" and database != ":memory:":
        database = os.path.join(base, database)
    ssl = {key: options.text(key) or "" for key in ("sslmode", "sslcert", "sslkey", "sslrootcert")}
    password = options.text("password")
    return DatabaseConnection(
        name=name,
        driver=known,
        host=options.text("host") or "127.0.0.1",
        port=options.integer("port") or _PORTS[known],
        database=database,
        username=options.text("username"),
        password=Secret(password) if password else None,
        prefix=options.text("prefix") or "",
        unix_socket=(options.text("unix_socket") or None) if known in ("mysql", "mariadb") else None,
        charset=options.text("charset") if known in ("mysql", "mariadb") else None,
        ssl_ca=_ssl_ca(config, name, env) if known in ("mysql", "mariadb") else None,
        ssl={key: value for key, value in ssl.items() if value} if known == "pgsql" else {},
        search_path=_search_path(options) if known == "pgsql" else (),
        timezone=(options.text("timezone") or None) if known != "sqlite" else None,
    )


def redis_connection(config: Config, name: str | None) -> RedisConnection:
    """The connection called `name`, None for `default`. ConfigurationError where it is not usable."""
    name = name or "default"
    key = f"database.redis.{name}"
    if config.get(key) is None and name not in config.names("database.redis"):
        if name in config.names("database.redis.clusters"):
            raise config.error(
                f"database.redis.clusters.{name}", "is a cluster", mend="give the queue a single server"
            )
        raise config.error(key, "is not configured", mend="add it, or name another Redis connection")
    options = _Options(config, key)
    scheme, _, host = (options.text("host") or "127.0.0.1").rpartition("://")
    scheme = scheme or options.text("scheme") or ""
    path = options.text("path") if scheme == "unix" else None
    password = options.text("password")
    shared, own = "database.redis.options", f"{key}.options"
    return RedisConnection(
        name=name,
        host=host,
        port=options.integer("port") or 6379,
        database=options.integer("database") or 0,
        username=options.text("username") or None,
        password=Secret(password) if password else None,
        prefix=_first(config, f"{key}.prefix", f"{own}.prefix", f"{shared}.prefix") or "",
        tls=scheme.lower() in ("tls", "ssl", "rediss"),
        unix_socket=path or (host if host.startswith("/") else None),
        packed=any(
            _first(config, f"{place}.{option}") not in (None, "", "0")
            for place in (key, own, shared)
            for option in ("serializer", "compression")
        ),
    )


class _Options:
    """The options of one connection, each where Laravel takes it from: `write`, `url`, the option itself."""

    def __init__(self, config: Config, key: str) -> None:
        self._config = config
        self._key = key
        url = config.text(key) if isinstance(config.get(key), str) else config.text(f"{key}.url")
        self._url = _parse_url(url, config, key) if url else {}

    def text(self, name: str) -> str | None:
        written = self._config.get(f"{self._key}.write")
        if isinstance(written, dict):
            place = f"{self._key}.write.0.{name}" if 0 in written else f"{self._key}.write.{name}"
            if self._config.get(place) is not None:
                return self._one(place)
        return self._url[name] if name in self._url else self._one(f"{self._key}.{name}")

    def _one(self, place: str) -> str | None:
        """The text there, or the first of several."""
        several = isinstance(self._config.get(place), dict)
        return self._config.text(f"{place}.0" if several else place)

    def integer(self, name: str) -> int | None:
        text = self.text(name)
        if text and not text.strip().isdecimal():
            raise self._config.error(f"{self._key}.{name}", "is not a number", mend="write digits only")
        return int(text) if text else None


def _parse_url(url: str, config: Config, key: str) -> dict[str, str | None]:
    """Options by name. The URL's words `null`, `true`, `false` are PHP values, as Laravel reads them."""
    try:
        parts = urlsplit(re.sub(r"^(sqlite3?):///", r"\1://null/", url))
        found = {
            "driver": _DRIVER_ALIASES.get(parts.scheme, parts.scheme) or None,
            "host": parts.hostname and unquote(parts.hostname),
            "port": str(parts.port) if parts.port else None,
            "username": unquote(parts.username) if parts.username else None,
            "password": unquote(parts.password) if parts.password else None,
            "database": unquote(parts.path)[1:] if parts.path not in ("", "/") else None,
        }
    except ValueError:
        raise config.error(f"{key}.url", "is not a URL", mend="percent-encode its password") from None
    found = {name: _WORDS.get(value, value) for name, value in found.items() if value is not None}
    if found.get("driver") in ("tcp", "tls"):
        found["scheme"] = found["driver"]
    query = {name: _WORDS.get(value, value) for name, value in parse_qsl(parts.query, keep_blank_values=True)}
    return {name: value for name, value in found.items() if value is not None} | query


def _ssl_ca(config: Config, name: str, env: Mapping[str, str]) -> str | None:
    key = f"database.connections.{name}.options.{MYSQL_SSL_CA}"
    if isinstance(
        config.get(key), Unknown
    ):  # every skeleton asks extension_loaded() first, which only PHP can
        return env.get("MYSQL_ATTR_SSL_CA") or None
    return config.text(key)


def _search_path(options: _Options) -> tuple[str, ...]:
    text = options.text("search_path") or options.text("schema") or ""
    return tuple(schema.strip("'\"") for schema in re.split(r"[\s,]+", text) if schema)


def _first(config: Config, *keys: str) -> str | None:
    return next((text for key in keys if (text := config.text(key)) is not None), None)
