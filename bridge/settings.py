"""Every setting of bridge, read once at the edge into one frozen object.

A value comes from the first of: flag, `BRIDGE_NAME` in the environment, `name` in bridge.toml, the app
(`BRIDGE_NAME` in its `.env`, then its own names and configuration), the default below. Nothing else reads
flags, the environment or bridge.toml. A wrong value stops the start with one line: the setting, where it was
read, what to do; the value itself is never shown.
"""

from __future__ import annotations

import difflib
import json
import tomllib
import zoneinfo
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bridge.errors import ConfigurationError, UsageError
from bridge.laravel.application import BroadcastConnection, LaravelApp, QueueConnection, load
from bridge.laravel.coercion import Unknown, Value
from bridge.laravel.connections import RedisConnection
from bridge.laravel.dotenv import convert
from bridge.laravel.version import parse_version
from bridge.secret import Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class AppSettings:
    """One Pusher app that is served.

    connections        names in config/broadcasting.php whose broadcasts go to it; none for `[[apps]]` alone
    previous_secrets   still believed in signatures
    max_connections    at once, None: as many as the server takes
    """

    id: str
    key: str
    secret: Secret
    name: str = ""
    connections: tuple[str, ...] = ()
    previous_secrets: tuple[Secret, ...] = ()
    client_events: bool = True
    allowed_origins: tuple[str, ...] = ()
    max_connections: int | None = None


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

    laravel  the app on disk
    limits   the `limit_…` settings by the rest of their name, as `pusher.app.Limits` calls them
    events   class name without leading backslash → mapping
    own_apps `[[apps]]` as written; `apps()` joins them with the app's
    origins  setting → where its value was read, for those that are not defaults
    """

    laravel: LaravelApp
    host: str
    port: int
    ssl_cert: str | None
    ssl_key: str | None
    dashboard_path: str
    queue: tuple[str, ...] | None
    connection: str | None
    retry_after: int | None
    tries: int
    backoff: float
    batch_size: int
    redis_prefix: str | None
    timezone: str | None
    laravel_version: str | None
    client_events: bool
    allowed_origins: tuple[str, ...]
    max_connections: int | None
    activity_timeout: int
    max_backlog: int
    stall_timeout: float
    drain_seconds: float
    log_level: str
    limits: Mapping[str, float]
    events: Mapping[str, EventMapping]
    own_apps: tuple[AppSettings, ...]
    origins: Mapping[str, str] = field(repr=False)

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

        ConfigurationError if there is none, if the default connection is incomplete, or if two disagree.
        """
        broadcasting = self.laravel.broadcasting()
        apps: dict[str, AppSettings] = {}
        for connection in broadcasting.connections.values():
            if connection.driver not in ("pusher", "reverb"):
                continue
            missing = _missing(connection)
            if not missing:
                _join(apps, self._app(connection), f"broadcasting.connections.{connection.name}")
            elif connection.name == broadcasting.default:
                raise self.laravel.config.error(
                    f"broadcasting.connections.{connection.name}.{missing[0]}",
                    "is empty",
                    mend="set "
                    + " and ".join(f"{connection.driver.upper()}_{_VARIABLES[name]}" for name in missing),
                )
        for app in self.own_apps:
            _join(apps, app, "[[apps]] in bridge.toml")
        if not apps:
            raise self.laravel.config.error(
                "broadcasting.connections",
                "has no pusher or reverb connection with app_id, key and secret",
                mend="set PUSHER_APP_ID, PUSHER_APP_KEY and PUSHER_APP_SECRET in .env, or add [[apps]] "
                "to bridge.toml",
            )
        return tuple(apps.values())

    def _app(self, connection: BroadcastConnection) -> AppSettings:
        return AppSettings(
            id=connection.app_id,
            key=connection.key,
            secret=connection.secret or Secret(""),
            name=self.laravel.name,
            connections=(connection.name,),
            client_events=self.client_events,
            allowed_origins=self.allowed_origins,
        )


# The table ------------------------------------------------------------------------------------------------


class _Wrong(ValueError):
    """The value is not of its kind; the text completes `must be …`."""


_Read = Callable[[object], Any]


def _text(value: object) -> str:
    if isinstance(value, str) and value.strip():
        return value.strip()
    raise _Wrong("a text")


def _words(value: object) -> tuple[str, ...]:
    items = value.split(",") if isinstance(value, str) else value
    if not isinstance(items, list) or not all(isinstance(item, str) and item.strip() for item in items):
        raise _Wrong("names with commas between them, or a list of texts")
    return tuple(item.strip() for item in items)


def _switch(value: object) -> bool:
    word = value.strip().lower() if isinstance(value, str) else value
    for answer, words in ((True, ("true", "1", "yes", "on")), (False, ("false", "0", "no", "off"))):
        if word is answer or word in words:
            return answer
    raise _Wrong("true or false")


def _whole(least: int, most: int | None = None) -> _Read:
    def read(value: object) -> int:
        digits = isinstance(value, str) and value.strip().isascii() and value.strip().isdecimal()
        number = int(str(value)) if digits or (isinstance(value, int) and not isinstance(value, bool)) else -1
        if number < least or (most is not None and number > most):
            raise _Wrong(f"a whole number from {least}" + ("" if most is None else f" to {most}"))
        return number

    return read


def _seconds(value: object) -> float:
    try:
        number = -1.0 if isinstance(value, bool) else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        number = -1.0
    if not 0 <= number < 1e9:
        raise _Wrong("a number of seconds")
    return number


def _level(value: object) -> str:
    levels = ("debug", "info", "warning", "error")
    if isinstance(value, str) and value.strip().lower() in levels:
        return value.strip().lower()
    raise _Wrong(f"one of {', '.join(levels)}")


def _timezone(value: object) -> str:
    try:
        return zoneinfo.ZoneInfo(_text(value)).key
    except (zoneinfo.ZoneInfoNotFoundError, ValueError):
        raise _Wrong("a time zone such as Europe/Berlin") from None


def _version(value: object) -> str:
    text = str(value) if isinstance(value, int | float) else _text(value)
    try:
        parse_version(text)
    except UsageError:
        raise _Wrong("a version such as 11.38") from None
    return text


@dataclass(frozen=True, slots=True)
class Setting:
    """One row: `default_text` is shown where the default depends; the rest says where else it may stand.

    app_variables  names in the app's `.env` that mean the same
    app_keys       keys of the app's configuration that mean the same
    """

    name: str
    read: _Read
    default: object
    help: str
    default_text: str = ""
    app_variables: tuple[str, ...] = ()
    app_keys: tuple[str, ...] = ()

    @property
    def variable(self) -> str:
        return f"BRIDGE_{self.name.upper()}"

    @property
    def flag(self) -> str:
        return f"--{self.name.replace('_', '-')}"


_COUNT = _whole(1)

SETTINGS: tuple[Setting, ...] = (
    Setting("host", _text, "0.0.0.0", "Address to listen on, as `websockets:serve` does."),  # noqa: S104
    Setting("port", _whole(0, 65535), 6001, "Port for WebSocket and HTTP; 0 takes a free one.",
            app_variables=("LARAVEL_WEBSOCKETS_PORT",), app_keys=("websockets.dashboard.port",)),
    Setting("ssl_cert", _text, None, "PEM file of the certificate chain; with it the port speaks TLS.",
            app_variables=("LARAVEL_WEBSOCKETS_SSL_LOCAL_CERT",), app_keys=("websockets.ssl.local_cert",)),
    Setting("ssl_key", _text, None, "PEM file of its private key.",
            app_variables=("LARAVEL_WEBSOCKETS_SSL_LOCAL_PK",), app_keys=("websockets.ssl.local_pk",)),
    Setting("dashboard_path", _text, "laravel-websockets", "Path of the debug page.",
            app_variables=("LARAVEL_WEBSOCKETS_PATH",),
            app_keys=("websockets.path", "websockets.dashboard.path")),
    Setting("queue", _words, None, "Queues to work on, first in priority first.", "the connection's queue"),
    Setting("connection", _text, None, "Queue connection to work on.", "`QUEUE_CONNECTION`"),
    Setting("retry_after", _COUNT, None, "Seconds until a job that was not finished is taken again.",
            "the connection's `retry_after`"),
    Setting("tries", _COUNT, 3, "Attempts of a job that says no number itself."),
    Setting("backoff", _seconds, 3.0, "Seconds before the next attempt of a job that says no number itself."),
    Setting("batch_size", _whole(1, 1000), 100, "Jobs reserved at once."),
    Setting("redis_prefix", lambda value: _text(value) if value else "", None,
            "Prefix of the app's Redis keys, where it cannot be read.", "`REDIS_PREFIX` or Laravel's own"),
    Setting("timezone", _timezone, None, "Time zone of `failed_at`.", "`app.timezone`"),
    Setting("laravel_version", _version, None, "Laravel's version, such as 11.38.", "the installed one"),
    Setting("client_events", _switch, True, "Whether clients may send `client-` events (whispers)."),
    Setting("allowed_origins", _words, (), "Hosts whose pages may connect; `*.example.com` is understood.",
            "every origin"),
    Setting("max_connections", _COUNT, None, "WebSocket connections at once.", "no limit"),
    Setting("activity_timeout", _COUNT, 120, "Seconds of silence after which a client is asked for a sign."),
    Setting("max_backlog", _whole(1024), 1_048_576, "Bytes that may wait for a slow reader; then it is cut."),
    Setting("stall_timeout", _seconds, 10.0, "Seconds that a slow reader may take nothing before it is cut."),
    Setting("drain_seconds", _seconds, 10.0, "Seconds to finish what is held when told to stop."),
    Setting("log_level", _level, "info", "debug, info, warning or error."),
    Setting("limit_channel_name_length", _COUNT, 164, "Characters of a channel name, prefix included."),
    Setting("limit_event_name_length", _COUNT, 200, "Characters of an event name."),
    Setting("limit_event_bytes", _COUNT, 10_240, "Bytes of the data of one event."),
    Setting("limit_channels_per_event", _COUNT, 100, "Channels of one event."),
    Setting("limit_events_per_batch", _COUNT, 10, "Events of one batch of the HTTP API."),
    Setting("limit_request_bytes", _COUNT, 256_000, "Bytes of a request to the HTTP API."),
    Setting("limit_members", _COUNT, 100, "Members of a presence channel."),
    Setting("limit_member_bytes", _COUNT, 1_024, "Bytes of what a member shows of itself."),
    Setting("limit_client_events_per_second", _COUNT, 10, "Client events of one connection each second."),
)  # fmt: skip

# Tables rather than single values: `[events."Class"]`, `[[apps]]`, `[app_config]`; as JSON in BRIDGE_NAME.
_TABLES = ("events", "apps", "app_config")
_LIMIT = "limit_"
_PLACES = ("BRIDGE_APP", "BRIDGE_CONFIG")  # what `--app` and `--config` say
_VARIABLES = {"app_id": "APP_ID", "key": "APP_KEY", "secret": "APP_SECRET"}


def settings_table() -> str:
    """The settings as a Markdown table, for the README."""
    rows = ["| bridge.toml | environment | default | meaning |", "| --- | --- | --- | --- |"]
    for setting in SETTINGS:
        shown = setting.default_text or ("none" if setting.default is None else f"`{_toml(setting.default)}`")
        rows.append(f"| `{setting.name}` | `{setting.variable}` | {shown} | {setting.help} |")
    return "\n".join(rows) + "\n"


# Reading --------------------------------------------------------------------------------------------------


def load_settings(
    flags: Mapping[str, object],
    environ: Mapping[str, str],
    app_dir: Path | str | None = None,
    config_file: Path | str | None = None,
) -> Settings:
    """The settings, checked; ConfigurationError for the first that is wrong.

    `flags` by setting name; None means not given, other names are ignored. `app_dir` None: BRIDGE_APP, else
    the current folder. `config_file` None: BRIDGE_CONFIG, else bridge.toml here or in the app, if there.
    """
    base = Path(app_dir or environ.get("BRIDGE_APP") or ".")
    file, toml = _toml_file(base, config_file or environ.get("BRIDGE_CONFIG"))
    names = [setting.name for setting in SETTINGS]
    _no_strangers(toml, [*names, *_TABLES], "", f"{file}")
    variables = [*(setting.variable for setting in SETTINGS), *(f"BRIDGE_{t.upper()}" for t in _TABLES)]
    ours = [name for name in environ if name.startswith("BRIDGE_")]
    _no_strangers(ours, [*variables, *_PLACES], "", "the environment")

    def given(setting: Setting) -> Iterable[tuple[object, str]]:
        yield flags.get(setting.name), setting.flag
        yield environ.get(setting.variable) or None, f"{setting.variable} in the environment"
        yield toml.get(setting.name), f"{file}"

    by_name = {setting.name: setting for setting in SETTINGS}
    origins: dict[str, str] = {}
    version = _value(by_name["laravel_version"], given(by_name["laravel_version"]), origins)
    timezone = _value(by_name["timezone"], given(by_name["timezone"]), origins)
    overrides = _overrides(*_table("app_config", toml, environ, file))
    laravel = load(base, environ, version, overrides | ({"app.timezone": timezone} if timezone else {}))

    def all_sources(setting: Setting) -> Iterable[tuple[object, str]]:
        yield from given(setting)
        for name in (setting.variable, *setting.app_variables):
            text = laravel.dotenv.get(name) or laravel.env.get(name) or "null"
            yield convert(text), f"{name} in .env"
        for key in setting.app_keys:
            value = laravel.config.get(key)
            yield None if isinstance(value, Unknown) else value, laravel.config.where(key)

    values = {setting.name: _value(setting, all_sources(setting), origins) for setting in SETTINGS}
    limits = {name.removeprefix(_LIMIT): values.pop(name) for name in names if name.startswith(_LIMIT)}
    return Settings(
        laravel=laravel,
        limits=limits,
        events=_events(*_table("events", toml, environ, file)),
        own_apps=_own_apps(*_table("apps", toml, environ, file), defaults=values),
        origins=origins,
        **values,
    )


def _value(setting: Setting, sources: Iterable[tuple[object, str]], origins: dict[str, str]) -> Any:
    """The first value that is given; `origins` learns where."""
    for value, where in sources:
        if value is not None:
            origins[setting.name] = where
            return _read(setting.read, value, setting.name, where)
    return setting.default


def _read(read: _Read, value: object, key: str, where: str) -> Any:
    try:
        return read(value)
    except _Wrong as wrong:
        raise ConfigurationError(key, "is wrong", where=where, mend=f"write {wrong}") from None


def _toml_file(base: Path, named: Path | str | None) -> tuple[str, dict[str, Any]]:
    """Path and content; the name alone and nothing where there is none."""
    candidates = [Path(named)] if named else [Path("bridge.toml"), base / "bridge.toml"]
    path = next((path for path in candidates if path.is_file()), None)
    if path is None:
        if named:
            raise ConfigurationError("--config", f"names no file: {named}", mend="correct the path")
        return "bridge.toml", {}
    try:
        return str(path), tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        line = str(error).rpartition(" (")[2].rstrip(")") if "(at " in str(error) else "not UTF-8"
        raise ConfigurationError(
            "bridge.toml", f"is not TOML, {line}", where=str(path), mend="see https://toml.io"
        ) from None


def _no_strangers(found: Iterable[str], known: list[str], prefix: str, where: str) -> None:
    for name in found:
        if name in known:
            continue
        near = difflib.get_close_matches(name, known, n=1)
        mend = f"did you mean {near[0]}?" if near else f"take it out; known are {', '.join(known)}"
        raise ConfigurationError(f"{prefix}{name}", "is no setting of bridge", where=where, mend=mend)


def _table(name: str, toml: Mapping[str, Any], environ: Mapping[str, str], file: str) -> tuple[Any, str]:
    """The raw table and where it was read; None where there is none."""
    variable = f"BRIDGE_{name.upper()}"
    if not environ.get(variable):
        return toml.get(name), file
    where = f"{variable} in the environment"
    try:
        return json.loads(environ[variable]), where
    except ValueError:
        raise ConfigurationError(name, "is not JSON", where=where, mend="write it as JSON") from None


def _overrides(table: Any, where: str) -> dict[str, Value]:
    """Dotted key of the app's configuration → value; a table within counts as a longer key."""
    if table is None:
        return {}
    if not isinstance(table, dict):
        raise ConfigurationError(
            "app_config", "is no table", where=where, mend='write "queue.default" = "redis"'
        )
    flat: dict[str, Value] = {}
    for key, value in table.items():
        if isinstance(value, dict):
            flat |= {f"{key}.{inner}": one for inner, one in _overrides(value, where).items()}
        elif isinstance(value, str | int | float | bool):
            flat[key] = value
        else:
            raise ConfigurationError(
                f"app_config.{key}", "is no plain value", where=where, mend="write a text, number or switch"
            )
    return flat


def _events(table: Any, where: str) -> dict[str, EventMapping]:
    example = 'write [events."App\\\\Events\\\\OrderShipped"] with channels = ["private-orders.{order.id}"]'
    if table is None:
        return {}
    if not isinstance(table, dict):
        raise ConfigurationError("events", "is no table", where=where, mend=example)
    events = {}
    for name, entry in table.items():
        key = f'events."{name}"'
        if not isinstance(entry, dict):
            raise ConfigurationError(key, "is no table", where=where, mend=example)
        _no_strangers(entry, ["channels", "as", "with"], f"{key}.", where)
        channels = entry.get("channels")
        if not isinstance(channels, list) or not channels:
            raise ConfigurationError(f"{key}.channels", "is no list of texts", where=where, mend=example)
        data = entry.get("with")
        if data is not None and not isinstance(data, dict):
            raise ConfigurationError(
                f"{key}.with", "is no table", where=where, mend='write with = {id = "{id}"}'
            )
        events[name.removeprefix("\\")] = EventMapping(
            channels=_read(_words, channels, f"{key}.channels", where),
            name=_read(_text, entry["as"], f"{key}.as", where) if "as" in entry else None,
            data=data,
        )
    return events


def _own_apps(table: Any, where: str, *, defaults: Mapping[str, Any]) -> tuple[AppSettings, ...]:
    if table is None:
        return ()
    if not isinstance(table, list) or not all(isinstance(entry, dict) for entry in table):
        raise ConfigurationError("apps", "is no list of tables", where=where, mend="write [[apps]]")
    return tuple(_own_app(entry, f"apps[{n}]", where, defaults) for n, entry in enumerate(table))


def _own_app(entry: dict[str, Any], key: str, where: str, defaults: Mapping[str, Any]) -> AppSettings:
    _no_strangers(entry, list(_APP_FIELDS), f"{key}.", where)
    found = {
        name: _read(read, entry[name], f"{key}.{name}", where)
        for name, read in _APP_FIELDS.items()
        if name in entry
    }
    for name in ("id", "key", "secret"):
        if name not in found:
            raise ConfigurationError(
                f"{key}.{name}", "is missing", where=where, mend="an app needs all three"
            )
    inherited = {name: defaults[name] for name in ("client_events", "allowed_origins")}
    return AppSettings(**(inherited | found))


_APP_FIELDS: dict[str, _Read] = {
    "id": lambda value: str(value) if isinstance(value, int) else _text(value),
    "key": _text,
    "secret": lambda value: Secret(_text(value)),
    "name": _text,
    "previous_secrets": lambda value: tuple(Secret(secret) for secret in _words(value)),
    "client_events": _switch,
    "allowed_origins": _words,
    "max_connections": _COUNT,
}


def _missing(connection: BroadcastConnection) -> list[str]:
    given = {"app_id": connection.app_id, "key": connection.key, "secret": connection.secret}
    return [name for name, value in given.items() if not value]


def _join(apps: dict[str, AppSettings], app: AppSettings, key: str) -> None:
    """The app is among `apps`; an equal one keeps its connections and takes the later's permissions."""
    for other in apps.values():
        same = (other.id == app.id, other.key == app.key)
        if any(same) and not (all(same) and other.secret == app.secret):
            raise ConfigurationError(
                key,
                f"has the id or key of another app, {other.id}, but is not the same",
                mend="give every app its own id and key, and one secret",
            )
    before = apps.get(app.id)
    connections = (*before.connections, *app.connections) if before else app.connections
    apps[app.id] = replace(app, connections=connections)


def _toml(value: object) -> str:
    return json.dumps(value)
