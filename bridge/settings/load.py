"""Where the values come from, and the checks on what is no single value: events, apps, corrections."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bridge.errors import ConfigurationError
from bridge.laravel.application import BroadcastConnection, LaravelApp, QueueConnection, load
from bridge.laravel.config_values import Unknowable, Value
from bridge.laravel.dotenv import convert
from bridge.laravel.redis_connections import RedisConnection
from bridge.secret import Secret
from bridge.settings.apps import AppSettings, AppsTable, join, read_apps_table, read_webhooks, toml_apps
from bridge.settings.checks import read_value, reject_unknown
from bridge.settings.listening import read_toml
from bridge.settings.references import resolved
from bridge.settings.table import LIMIT, SETTINGS, Setting, text, words
from bridge.sockets.webhooks.events import Webhook


@dataclass(frozen=True, slots=True, kw_only=True)
class EventMapping:
    """One `[events."Class"]`: what its broadcasts are, with `{path}` placeholders still in them.

    name  `as`, None for the class name
    data  `with`, None for the event's public properties
    """

    channels: tuple[str, ...]
    name: str | None = None
    data: Mapping[str, object] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All of it. Units are in the table `SETTINGS`, whose names these fields have.

    laravel     the app on disk
    limits      the `limit_…` settings by the rest of their name, as `sockets.pusher.app.Limits` calls them
    events      class name without leading backslash → mapping
    toml_apps   `[[apps]]` as written; `apps()` joins them with the app's
    apps_table  where more apps are read from while bridge runs
    webhooks    of every app
    origins     setting → where its value was read, for those that are not defaults
    file        the bridge.toml that was read; None: there is none
    """

    laravel: LaravelApp
    host: str
    port: int
    listen_from: str | None
    ssl_cert: str | None
    ssl_key: str | None
    dashboard_path: str
    dashboard_password: Secret | None
    dashboard_link_secret: Secret | None
    dashboard_gate: str | None
    dashboard_origins: tuple[str, ...]
    dashboard_payloads: bool
    legacy_dashboard: str | None
    enable_statistics: bool
    create_statistics_table: bool
    statistics_interval: int
    metrics_addresses: tuple[str, ...]
    metrics_token: Secret | None
    alert_to: tuple[Secret, ...]
    alert_wait: float
    alert_failures: int
    alert_cut_clients: int
    alert_php_down: float
    alert_disagreements: bool
    queue: tuple[str, ...] | None
    connection: str | None
    retry_after: int | None
    tries: int | None
    backoff: tuple[int, ...] | None
    batch_size: int
    other_jobs: tuple[str, ...]
    workers: int
    timeout: int
    memory: int
    sleep: float
    rest: float
    name: str
    watch_code: bool
    once: bool
    stop_when_empty: bool
    max_jobs: int
    max_time: float
    bus: str | None
    processes: int
    drain_spread: float
    redis_prefix: str | None
    timezone: str | None
    laravel_version: str | None
    client_events: bool
    allowed_origins: tuple[str, ...]
    max_connections: int | None
    trusted_proxies: tuple[str, ...]
    proxy_protocol: bool
    path_prefix: str
    request_timeout: float
    activity_timeout: int
    presence_grace: float
    resume_seconds: float
    max_backlog: int
    stall_timeout: float
    php_binary: str
    php_processes: int
    native_trust: str
    native_trust_jobs: int
    state_path: str | None
    reconnect_gate: float | None
    force: bool
    shadow: bool
    shadow_to: str | None
    shadow_show_data: bool
    drain_seconds: float
    drain_jobs_seconds: float
    log_format: str
    log_level: str
    limits: Mapping[str, float]
    events: Mapping[str, EventMapping]
    toml_apps: tuple[AppSettings, ...]
    apps_table: AppsTable | None
    webhooks: tuple[Webhook, ...]
    origins: Mapping[str, str] = field(repr=False)
    file: Path | None

    @property
    def longest_stop(self) -> float:
        """Seconds from SIGTERM to the end, at most: other jobs, then broadcasts, clients and webhooks.

        Several processes end one kind after the other, each with a reserve."""
        reserve = 30.0 if self.processes > 1 else 5.0
        return self.drain_jobs_seconds + 2 * self.drain_seconds + reserve

    def certificate(self) -> tuple[str, str] | None:
        """Files of the certificate and of its key; None for plain HTTP. ConfigurationError for one alone."""
        if self.ssl_cert and self.ssl_key:
            return self.ssl_cert, self.ssl_key
        if not self.ssl_cert and not self.ssl_key:
            return None
        given, missing = ("ssl_cert", "ssl_key") if self.ssl_cert else ("ssl_key", "ssl_cert")
        raise ConfigurationError(
            missing,
            f"is missing beside {given}, and without it there is no TLS",
            where=self.origins.get(given, ""),
            remedy="give both, or neither; a PEM file that holds both may be given as both",
        )

    def queue_connection(self) -> QueueConnection:
        """The queue connection to work on. ConfigurationError if it is none that bridge can use."""
        facts = self.laravel.queue(self.connection)
        return facts if self.retry_after is None else replace(facts, retry_after=self.retry_after)

    def queue_names(self) -> tuple[str, ...]:
        """The queues to work on, first in priority first."""
        return self.queue or (self.queue_connection().queue,)

    def redis(self, name: str) -> RedisConnection:
        """The Redis connection `name`, with the prefix that was given by hand."""
        facts = self.laravel.redis(name)
        return facts if self.redis_prefix is None else replace(facts, prefix=self.redis_prefix)

    def apps(self) -> tuple[AppSettings, ...]:
        """The apps to serve: of every complete pusher and reverb connection, then those of bridge.toml.

        ConfigurationError if there is none (but for a table, which may bring some), if the default connection
        is incomplete, or if two disagree.
        """
        broadcasting = self.laravel.broadcasting()
        apps: dict[str, AppSettings] = {}
        for connection in broadcasting.connections.values():
            if connection.driver not in ("pusher", "reverb"):
                continue
            missing = _missing(connection)
            if not missing:
                join(apps, self._app(connection), f"broadcasting.connections.{connection.name}")
            elif connection.name == broadcasting.default:
                raise self.laravel.config.error(
                    f"broadcasting.connections.{connection.name}.{missing[0]}",
                    "is empty",
                    remedy="set "
                    + " and ".join(f"{connection.driver.upper()}_{_VARIABLES[name]}" for name in missing),
                )
        for app in self.toml_apps:
            join(apps, app, "[[apps]] in bridge.toml")
        if not apps and self.apps_table is None:
            raise self.laravel.config.error(
                "broadcasting.connections",
                "has no pusher or reverb connection with app_id, key and secret",
                remedy="set PUSHER_APP_ID, PUSHER_APP_KEY and PUSHER_APP_SECRET in .env, or add [[apps]] "
                "to bridge.toml",
            )
        return tuple(apps.values())

    def elsewhere(self) -> Mapping[str, str]:
        """Broadcast connections of another server than the default connection's → its host.

        Their clients are not here, unless bridge.toml lists their app."""
        broadcasting = self.laravel.broadcasting()
        default = broadcasting.connections.get(broadcasting.default)
        if default is None or default.server is None:
            return {}
        if self.apps_table is not None or self.laravel.config.partial:
            return {}
        own = {app.id for app in self.toml_apps} | {default.app_id, ""}
        return {
            one.name: one.server[0]
            for one in broadcasting.connections.values()
            if one.server is not None
            and one.server != default.server
            and one.key
            and one.app_id not in own
            and not (one.server[1] == str(self.port) and one.server[0] in _LOCAL)
        }

    def link_secret(self) -> Secret | None:
        """What signs links to the dashboard: its own secret, else that of the default connection's app, else
        none. The secrets of other apps open nothing."""
        broadcasting = self.laravel.broadcasting()
        default = broadcasting.connections.get(broadcasting.default)
        if self.dashboard_link_secret or default is None or default.driver not in ("pusher", "reverb"):
            return self.dashboard_link_secret
        return default.secret if default.secret and not _missing(default) else None

    def _app(self, connection: BroadcastConnection) -> AppSettings:
        return AppSettings(
            id=connection.app_id,
            key=connection.key,
            secret=connection.secret or Secret(""),
            name=self.laravel.name,
            connections=(connection.name,),
            client_events=self.client_events,
            allowed_origins=self.allowed_origins,
            enable_statistics=self.enable_statistics,
        )


# Tables rather than single values: `[events."Class"]`, `[[apps]]`, `[apps_table]`, …; as JSON in BRIDGE_NAME.
_TABLES = ("events", "apps", "apps_table", "webhooks", "app_config")
_LOCAL = ("localhost", "127.0.0.1", "::1")
_PLACES = ("BRIDGE_APP", "BRIDGE_CONFIG")  # what `--app` and `--config` say
_VARIABLES = {"app_id": "APP_ID", "key": "APP_KEY", "secret": "APP_SECRET"}


def load_settings(
    flags: Mapping[str, object],
    environ: Mapping[str, str],
    app_dir: Path | str | None = None,
    config_file: Path | str | None = None,
) -> Settings:
    """The settings, checked; ConfigurationError for the first that is wrong.

    `flags` by setting name; None means not given, other names are ignored. `app_dir` None: BRIDGE_APP, else
    the current folder. `config_file` None: BRIDGE_CONFIG, else the app's bridge.toml, if it has one. What
    lies in the current folder counts only if that is the app: anybody may have put it there.
    """
    base = Path(app_dir or environ.get("BRIDGE_APP") or ".")
    path, toml = read_toml(base, config_file or environ.get("BRIDGE_CONFIG"))
    file = str(path or "bridge.toml")
    names = [setting.name for setting in SETTINGS]
    _reject_unknown_names(toml, file, environ)

    def given(setting: Setting) -> Iterable[tuple[object, str]]:
        yield flags.get(setting.name), setting.flag
        yield environ.get(setting.variable) or None, f"{setting.variable} in the environment"
        yield toml.get(setting.name), file

    by_name = {setting.name: setting for setting in SETTINGS}
    origins: dict[str, str] = {}
    version = _value(by_name["laravel_version"], given(by_name["laravel_version"]), origins)
    timezone = _value(by_name["timezone"], given(by_name["timezone"]), origins)
    overrides = _overrides(*_table("app_config", toml, environ, file))
    apps_table = read_apps_table(*_table("apps_table", toml, environ, file))
    if apps_table is not None and apps_table.url is not None:
        overrides[f"database.connections.{apps_table.connection}"] = apps_table.url.reveal()
    laravel = load(base, environ, version, overrides | ({"app.timezone": timezone} if timezone else {}))
    toml = {
        name: value if name == "events" else resolved(value, laravel, file, name)
        for name, value in toml.items()
    }

    def all_sources(setting: Setting) -> Iterable[tuple[object, str]]:
        yield from given(setting)
        for name in (setting.variable, *setting.app_variables):
            text = laravel.dotenv.get(name) or laravel.env.get(name) or "null"
            yield convert(text), f"{name} in .env"
        for key in setting.app_keys:
            value = laravel.config.get(key)
            yield None if isinstance(value, Unknowable) else value, laravel.config.where(key)

    values = {setting.name: _value(setting, all_sources(setting), origins) for setting in SETTINGS}
    limits = {name.removeprefix(LIMIT): values.pop(name) for name in names if name.startswith(LIMIT)}
    return Settings(
        laravel=laravel,
        limits=limits,
        events=_events(*_table("events", toml, environ, file)),
        toml_apps=toml_apps(*_table("apps", toml, environ, file), defaults=values),
        apps_table=apps_table,
        webhooks=read_webhooks(*_table("webhooks", toml, environ, file), key="webhooks"),
        origins=origins,
        file=path,
        **values,
    )


def _reject_unknown_names(toml: Mapping[str, object], file: str, environ: Mapping[str, str]) -> None:
    reject_unknown(toml, [*(setting.name for setting in SETTINGS), *_TABLES], "", file)
    variables = [*(setting.variable for setting in SETTINGS), *(f"BRIDGE_{t.upper()}" for t in _TABLES)]
    ours = [name for name in environ if name.startswith("BRIDGE_")]
    reject_unknown(ours, [*variables, *_PLACES], "", "the environment")


def _value(setting: Setting, sources: Iterable[tuple[object, str]], origins: dict[str, str]) -> Any:
    """The first value that is given; `origins` learns where."""
    for value, where in sources:
        if value is not None:
            origins[setting.name] = where
            return read_value(setting.read, value, setting.name, where)
    return setting.default


def _table(name: str, toml: Mapping[str, Any], environ: Mapping[str, str], file: str) -> tuple[Any, str]:
    """The raw table and where it was read; None where there is none."""
    variable = f"BRIDGE_{name.upper()}"
    if not environ.get(variable):
        return toml.get(name), file
    where = f"{variable} in the environment"
    try:
        return json.loads(environ[variable]), where
    except ValueError:
        raise ConfigurationError(name, "is not JSON", where=where, remedy="write it as JSON") from None


def _overrides(table: Any, where: str) -> dict[str, Value]:
    """Dotted key of the app's configuration → value; a table within counts as a longer key."""
    if table is None:
        return {}
    if not isinstance(table, dict):
        raise ConfigurationError(
            "app_config", "is no table", where=where, remedy='write "queue.default" = "redis"'
        )
    flat: dict[str, Value] = {}
    for key, value in table.items():
        if isinstance(value, dict):
            flat |= {f"{key}.{inner}": one for inner, one in _overrides(value, where).items()}
        elif isinstance(value, str | int | float | bool):
            flat[key] = value
        else:
            raise ConfigurationError(
                f"app_config.{key}", "is no plain value", where=where, remedy="write a text, number or switch"
            )
    return flat


def _events(table: Any, where: str) -> dict[str, EventMapping]:
    example = 'write [events."App\\\\Events\\\\OrderShipped"] with channels = ["private-orders.{order.id}"]'
    if table is None:
        return {}
    if not isinstance(table, dict):
        raise ConfigurationError("events", "is no table", where=where, remedy=example)
    events = {}
    for name, entry in table.items():
        key = f'events."{name}"'
        if not isinstance(entry, dict):
            raise ConfigurationError(key, "is no table", where=where, remedy=example)
        reject_unknown(entry, ["channels", "as", "with"], f"{key}.", where)
        channels = entry.get("channels")
        if not isinstance(channels, list) or not channels:
            raise ConfigurationError(f"{key}.channels", "is no list of texts", where=where, remedy=example)
        data = entry.get("with")
        if data is not None and not isinstance(data, dict):
            raise ConfigurationError(
                f"{key}.with", "is no table", where=where, remedy='write with = {id = "{id}"}'
            )
        events[name.removeprefix("\\")] = EventMapping(
            channels=read_value(words, channels, f"{key}.channels", where),
            name=read_value(text, entry["as"], f"{key}.as", where) if "as" in entry else None,
            data=data,
        )
    return events


def _missing(connection: BroadcastConnection) -> list[str]:
    given = {"app_id": connection.app_id, "key": connection.key, "secret": connection.secret}
    return [name for name, value in given.items() if not value]
