"""The Laravel app at a path: its environment and configuration, read once, and the facts that bridge needs.

Nothing is demanded before it is asked for: an app whose cache store is a riddle can still broadcast.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

from bridge.errors import ConfigurationError, Refused, UsageError
from bridge.laravel.config import Config, read_config
from bridge.laravel.config_file import Place, evaluate
from bridge.laravel.config_values import Value
from bridge.laravel.connections import DatabaseConnection, database_connection
from bridge.laravel.dotenv import read_dotenv
from bridge.laravel.packages import installed_version
from bridge.laravel.redis_connections import (
    PACKAGE_DRIVER,
    PACKAGE_SENTINELS,
    SENTINEL_CLIENT,
    RedisConnection,
    redis_connection,
)
from bridge.phpeval.laravel.support.time_zones import zone_info
from bridge.phpeval.laravel.version import Version, parse_version
from bridge.secret import Secret

FailedDriver = Literal["database", "database-uuids", "file", "dynamodb", "null"]

# Why a queue driver that Laravel knows is of no use here.
_OTHER_QUEUES = {
    "sync": "runs every job at once, so nothing is ever queued",
    "null": "throws every job away",
    "deferred": "runs every job in the web server, so nothing is ever queued",
    "background": "runs every job in a process of its own, so nothing is ever queued",
    "failover": "only says which other connections to try",
    PACKAGE_DRIVER: "is a package's own and not followed",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueConnection:
    """One entry of `queue.connections` that bridge can work on.

    connection   name of the database or Redis connection
    table        name without the database's prefix; empty for redis
    queue        the name that is used where none is given
    retry_after  seconds until a reservation ends
    block_for    seconds that PHP workers wait inside Redis, None for not at all
    """

    name: str
    driver: Literal["database", "redis"]
    connection: str
    table: str
    queue: str
    retry_after: int
    block_for: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedJobs:
    """Where failed jobs go: `connection`, `table` for the database drivers, `path`, `limit` for file."""

    driver: FailedDriver
    connection: str | None = None
    table: str = ""
    path: str = ""
    limit: int = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class BroadcastConnection:
    """One entry of `broadcasting.connections`.

    app_id, key, secret  of the Pusher app; empty or None unless the driver is pusher or reverb
    master_key           `options.encryption_master_key_base64`, or None
    server               host and port that Laravel posts to, Pusher's own as `pusher.com`; None: not known
    """

    name: str
    driver: str
    app_id: str = ""
    key: str = ""
    secret: Secret | None = None
    master_key: Secret | None = None
    server: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Broadcasting:
    """`default` names the connection of events that name none; it may be one that sends nothing."""

    default: str
    connections: Mapping[str, BroadcastConnection]


@dataclass(frozen=True, slots=True, kw_only=True)
class HorizonFacts:
    """`redis` with Horizon's own prefix; `trim`: minutes that `completed`, `failed`, … jobs are kept."""

    redis: RedisConnection
    trim: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class LaravelApp:
    """An app on disk.

    path     its folder, without links: what was read stays together
    link     the same as it was given: it may be a link, which a deploy changes
    version  as the framework was installed (`11.38.2`), or as the caller said; None if unknown
    env      what `env()` sees: the real environment over `.env` (which does not count beside a cached config)
    dotenv   what `.env` alone says, cached config or not
    """

    path: Path
    link: Path
    version: str | None
    config: Config
    env: Mapping[str, str] = field(repr=False)
    dotenv: Mapping[str, str] = field(repr=False)

    @property
    def release(self) -> Version | None:
        """Major and minor of `version`."""
        return _release(self.version)

    @property
    def name(self) -> str:
        return self.config.text("app.name") or "Laravel"

    @property
    def environment(self) -> str:
        return self.config.text("app.env") or "production"

    @property
    def keys(self) -> tuple[Secret, ...]:
        """APP_KEY and the previous keys, in the order in which Laravel tries them; empty if there is none."""
        previous = [f"app.previous_keys.{n}" for n in self.config.names("app.previous_keys")]
        texts = [self.config.text(key) for key in ("app.key", *previous)]
        return tuple(Secret(text) for text in texts if text)

    @property
    def cipher(self) -> str:
        return self.config.text("app.cipher") or "AES-256-CBC"

    @property
    def timezone(self) -> ZoneInfo:
        name = self.config.text("app.timezone") or "UTC"
        try:
            return zone_info(name)
        except Refused:
            raise self.config.error(
                "app.timezone", f"is no time zone: {name!r}", remedy="write one like Europe/Berlin"
            ) from None

    def queue(self, name: str | None = None) -> QueueConnection:
        """The queue connection called `name`, None for the default one."""
        config = self.config
        name = name or config.text("queue.default") or "null"
        key = f"queue.connections.{name}"
        driver = config.text(f"{key}.driver") or ("null" if name == "null" else None)
        if driver == SENTINEL_CLIENT:
            driver = "redis"
        if driver != "database" and driver != "redis":
            why = "is not configured" if driver is None else _OTHER_QUEUES.get(driver, "is not for bridge")
            remedy = "set QUEUE_CONNECTION to database or redis, or BRIDGE_CONNECTION to such a connection"
            raise config.error(
                key,
                f"has the driver {driver}, which {why}" if driver else why,
                remedy=PACKAGE_SENTINELS if driver == PACKAGE_DRIVER else remedy,
            )
        connection = config.text(f"{key}.connection")
        table = config.text(f"{key}.table") or ""
        if driver == "database" and not table:
            raise config.error(f"{key}.table", "is empty", remedy="write the name of the table, usually jobs")
        if driver == "database" and not connection:
            connection = config.text("database.default")
        retry_after = config.integer(f"{key}.retry_after")
        return QueueConnection(
            name=name,
            driver="redis" if driver == "redis" else "database",
            connection=connection or "default",
            table=table if driver == "database" else "",
            queue=config.text(f"{key}.queue") or "default",
            retry_after=60 if retry_after is None else retry_after,
            block_for=config.integer(f"{key}.block_for"),
        )

    def failed(self) -> FailedJobs:
        """Laravel's choice in `Queue/QueueServiceProvider.php`: no driver but a table means `database`."""
        config = self.config
        driver = config.text("queue.failed.driver")
        table = config.text("queue.failed.table") or ""
        if driver is None and "driver" not in config.names("queue.failed"):
            driver = "database" if table else "null"
        match driver:
            case "file":
                path = config.text("queue.failed.path")
                return FailedJobs(
                    driver="file",
                    path=path or str(self.path / "storage/framework/cache/failed-jobs.json"),
                    limit=config.integer("queue.failed.limit") or 100,
                )
            case "dynamodb":
                return FailedJobs(driver="dynamodb", table=table)
            case None | "null":
                return FailedJobs(driver="null")
            case _ if not table:
                return FailedJobs(driver="null")
            case _:
                uuids = driver == "database-uuids"
                connection = config.text("queue.failed.database") or config.text("database.default")
                return FailedJobs(
                    driver="database-uuids" if uuids else "database", connection=connection, table=table
                )

    def broadcasting(self) -> Broadcasting:
        """All connections, whatever their driver, in the app's order."""
        names = self.config.names("broadcasting.connections")
        connections = {name: self._broadcast_connection(name) for name in names}
        default = self.config.text("broadcasting.default") or "null"
        if default == "null" and self.config.partial and not self.env.keys() & _BROADCAST_DEFAULTS:
            complete = (one.name for one in reversed(connections.values()) if one.app_id and one.key)
            default = next(complete, default)
        return Broadcasting(default=default, connections=connections)

    def database(self, name: str | None = None) -> DatabaseConnection:
        """The database connection called `name`, None for the default one."""
        return database_connection(self.config, name, base=str(self.path), env=self.env)

    def redis(self, name: str | None = None) -> RedisConnection:
        """The Redis connection called `name`, None for `default`."""
        return redis_connection(self.config, name, self.release)

    def horizon(self) -> HorizonFacts | None:
        """Where Laravel Horizon keeps what it knows of jobs; None where it is not installed."""
        if installed_version(self.path, "laravel/horizon") is None:
            return None
        own = self.config
        file = self.path / "vendor/laravel/horizon/config/horizon.php"  # what an app has not published
        base: Value = {}
        if file.is_file():
            base = evaluate(file.read_bytes(), str(file), Place(base=str(self.path), env=self.env))
        defaults = replace(
            own, items={"horizon": base if isinstance(base, dict) else {}}, files={}, partial=False
        )

        def option(name: str) -> str | None:
            where = own if own.get(f"horizon.{name}") is not None else defaults
            return where.text(f"horizon.{name}")

        prefix = option("prefix") or "horizon:"
        minutes = {name: option(f"trim.{name}") for name in ("completed", "failed", "monitored")}
        return HorizonFacts(
            redis=redis_connection(own, option("use") or "default", self.release, prefix=prefix),
            trim={name: int(text) for name, text in minutes.items() if text and text.isdecimal()},
        )

    def _broadcast_connection(self, name: str) -> BroadcastConnection:
        key = f"broadcasting.connections.{name}"
        driver = self.config.text(f"{key}.driver") or "null"
        if driver not in ("pusher", "reverb"):
            return BroadcastConnection(name=name, driver=driver)
        secret = self.config.text(f"{key}.secret")
        master_key = self.config.text(f"{key}.options.encryption_master_key_base64")
        return BroadcastConnection(
            name=name,
            driver=driver,
            app_id=self.config.text(f"{key}.app_id") or "",
            key=self.config.text(f"{key}.key") or "",
            secret=Secret(secret) if secret else None,
            master_key=Secret(master_key) if master_key else None,
            server=self._server(f"{key}.options"),
        )

    def _server(self, options: str) -> tuple[str, str] | None:
        host, port = self.config.get(f"{options}.host"), self.config.get(f"{options}.port")
        if not host or (isinstance(host, str) and host.endswith("pusher.com")):
            return "pusher.com", ""
        return (host, str(port)) if isinstance(host, str) and isinstance(port, str | int) else None


_BROADCAST_DEFAULTS = {"BROADCAST_CONNECTION", "BROADCAST_DRIVER"}


def load(
    path: Path,
    environ: Mapping[str, str],
    version: str | None = None,
    given: Mapping[str, Value] | None = None,
) -> LaravelApp:
    """The app in the folder `path`. `environ` is the real environment, which wins over `.env`.

    `version` stands in place of the installed one; `given` (dotted key → value) in place of the app's
    configuration. Raises ConfigurationError if there is no app, or its `.env` is broken.
    """
    base = path.resolve()
    if not base.is_dir():
        raise ConfigurationError(
            "--app", f"is no folder: {path}", remedy="give the root of the Laravel app, where artisan is"
        )
    if not any((base / part).exists() for part in (".env", "config", "bootstrap")):
        raise ConfigurationError(
            "--app",
            f"holds no Laravel app, neither .env nor config/: {base}",
            remedy="give the root of the app, where artisan is",
        )
    cache = base / (environ.get("APP_CONFIG_CACHE") or "bootstrap/cache/config.php")
    dotenv = read_dotenv(base, environ)
    env = dict(environ) if cache.is_file() else {**dotenv, **environ}
    version = version or installed_version(base, "laravel/framework", "illuminate/queue")
    config = read_config(
        base,
        env,
        cache=cache,
        version=_release(version),
        has_vendor=(base / "vendor/composer/installed.json").is_file(),
        given=given or {},
    )
    return LaravelApp(path=base, link=path.absolute(), version=version, config=config, env=env, dotenv=dotenv)


def _release(version: str | None) -> Version | None:
    try:
        return parse_version(version) if version else None
    except UsageError:  # a branch: dev-master
        return None
