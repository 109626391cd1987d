"""Laravel's database connections as facts: what to connect to, and with what."""

from __future__ import annotations

import os.path
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from bridge.laravel.config import Config
from bridge.laravel.config_file import MYSQL_OPTIONS
from bridge.laravel.config_values import Unknowable
from bridge.laravel.connection_options import Options
from bridge.laravel.tls import Tls
from bridge.secret import Secret

SqlDriver = Literal["mysql", "mariadb", "pgsql", "sqlite"]

_SQL_DRIVERS: tuple[SqlDriver, ...] = ("mysql", "mariadb", "pgsql", "sqlite")
_PORTS: dict[SqlDriver, int] = {"mysql": 3306, "mariadb": 3306, "pgsql": 5432, "sqlite": 0}


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseConnection:
    """One entry of `database.connections`.

    database     name, or for sqlite the absolute path (`:memory:` as it is)
    unix_socket  path, or None: then host and port count
    prefix       stands before every table name
    charset      MySQL's name of it
    tls          MySQL: None where the connection is plain
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
    tls: Tls | None = None
    ssl: Mapping[str, str]
    search_path: tuple[str, ...] = ()
    timezone: str | None = None

    @property
    def place(self) -> str:
        """Where it is, for messages."""
        if self.driver == "sqlite":
            return self.database
        return self.unix_socket or f"{self.host}:{self.port}"

    @property
    def tls_mend(self) -> str:
        """What to look at where TLS is wrong."""
        if self.driver == "pgsql":
            return "correct sslmode, sslrootcert, sslcert and sslkey of the connection"
        return "correct the options PDO::MYSQL_ATTR_SSL_… of the connection (MYSQL_ATTR_SSL_CA in .env)"


def database_connection(
    config: Config, name: str | None, *, base: str, env: Mapping[str, str]
) -> DatabaseConnection:
    """The connection called `name`, None for the default one. ConfigurationError where it is not usable."""
    name = name or config.text("database.default")
    if not name:
        raise config.error("database.default", "is empty", remedy="set DB_CONNECTION")
    options = Options(config, f"database.connections.{name}")
    known = next((driver for driver in _SQL_DRIVERS if driver == options.text("driver")), None)
    if known is None:
        raise config.error(
            f"database.connections.{name}.driver",
            "is missing" if options.text("driver") is None else "is no database that bridge can use",
            remedy=f"use one of {', '.join(_SQL_DRIVERS)}",
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
        tls=_mysql_tls(config, name, env) if known in ("mysql", "mariadb") else None,
        ssl={key: value for key, value in ssl.items() if value} if known == "pgsql" else {},
        search_path=_search_path(options) if known == "pgsql" else (),
        timezone=(options.text("timezone") or None) if known != "sqlite" else None,
    )


_TLS_OF_MYSQL = re.compile(r"(DB|DATABASE|MYSQL|MARIADB).*_(SSL|TLS|CA)(_|$)")


def _mysql_tls(config: Config, name: str, env: Mapping[str, str]) -> Tls | None:
    """PDO's options; a file or path among them is what makes PHP's driver speak TLS, and then it compares the
    name in the certificate as well, unless SSL_VERIFY_SERVER_CERT is off (`mysqlnd_vio.c`)."""
    place = f"database.connections.{name}.options"
    if isinstance(config.get(f"{place}.{MYSQL_OPTIONS['SSL_CA']}"), Unknowable):  # the options as a whole are
        authority = env.get("MYSQL_ATTR_SSL_CA")
        if not authority and any(value and _TLS_OF_MYSQL.search(name) for name, value in env.items()):
            config.text(f"{place}.{MYSQL_OPTIONS['SSL_CA']}")  # raises, with the reason and the remedy
        return Tls(key="MYSQL_ATTR_SSL_CA", ca_file=authority) if authority else None

    def option(name: str) -> str | None:
        return config.text(f"{place}.{MYSQL_OPTIONS[name]}")

    ca_file, ca_path, certificate, private_key, ciphers = (
        option(f"SSL_{one}") or None for one in ("CA", "CAPATH", "CERT", "KEY", "CIPHER")
    )
    if not (ca_file or ca_path or certificate or private_key or ciphers):
        return None
    verify = option("SSL_VERIFY_SERVER_CERT") not in ("", "0")
    return Tls(
        key=f"{place} (PDO::MYSQL_ATTR_SSL_…)",
        ca_file=ca_file,
        ca_path=ca_path,
        certificate=certificate,
        private_key=private_key,
        verify=verify,
        ciphers=ciphers,
    )


def _search_path(options: Options) -> tuple[str, ...]:
    text = options.text("search_path") or options.text("schema") or ""
    return tuple(schema.strip("'\"") for schema in re.split(r"[\s,]+", text) if schema)
