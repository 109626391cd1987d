"""bridge.toml from what an app has: config/websockets.php (laravel-websockets) and config/reverb.php.

Two tables say for each key of theirs which setting it is, or why it is not carried over. Secrets stay where
they are: the file refers to `.env`, else to the app's configuration.
"""

from __future__ import annotations

import json
import os.path
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from bridge.laravel.application import LaravelApp
from bridge.laravel.config_values import Unknowable, Value
from bridge.settings.table import LIMIT, SETTINGS

Written: TypeAlias = "str | int | float | bool | list[str]"
Convert: TypeAlias = Callable[[Value], "Written | None"]  # None: as bridge does it anyhow


def _same(value: Value) -> Written | None:
    return value if isinstance(value, str | int | float | bool) and value != "" else None


def _number(value: Value) -> Written | None:
    text = str(value)
    return int(text) if text.isdecimal() and int(text) > 0 else None


def _kilobytes(value: Value) -> Written | None:
    number = _number(value)
    return number * 1024 if isinstance(number, int) else None


def _origins(value: Value) -> Written | None:
    found = [str(one) for one in value.values()] if isinstance(value, dict) else []
    return found if found and "*" not in found else None


def _senders(value: Value) -> Written | None:
    """Who may send client events: `all`, `members` of the channel (as ever), `none`."""
    return False if value == "none" else None


@dataclass(frozen=True, slots=True)
class Is:
    """The settings of these names. A limit is only carried over where bridge's own would be less."""

    names: tuple[str, ...]
    convert: Convert = _same

    def settings(self, value: Value) -> Iterator[tuple[str, Written]]:
        """Names and what they are to be."""
        written = self.convert(value)
        for name in self.names if written is not None else ():
            own = _DEFAULTS[name] if name.startswith(LIMIT) else None
            if written is not None and not (
                isinstance(own, int) and isinstance(written, int) and own >= written
            ):
                yield name, written


@dataclass(frozen=True, slots=True)
class Not:
    """Not carried over, said where the value is not `harmless`."""

    why: str
    harmless: tuple[Value, ...] = (None, "", False)


Rule: TypeAlias = Is | Not
_REQUEST = (
    "limit_request_bytes",
    "limit_event_bytes",
)  # the other servers have no limit of their own for data
_QUIET = Not("", harmless=())  # nothing to say of it


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One configuration file of another server.

    server  where the options of the server stand, `{}` for the default one's name
    apps    where the list of apps stands
    keys, app_keys  dotted key → rule; a key above stands for those below
    """

    file: str
    title: str
    driver: str
    server: str
    apps: str
    keys: dict[str, Rule]
    app_keys: dict[str, Rule]
    id: str


SOURCES = (
    Source(
        file="websockets",
        title="laravel-websockets",
        driver="pusher",
        server="websockets",
        apps="websockets.apps",
        id="id",
        keys={
            "dashboard.port": Is(("port",), _number),
            "dashboard.path": Is(("dashboard_path",)),
            "dashboard.domain": Not("the debug page is on every host"),
            "dashboard.middleware": Not(
                "the debug page has a password instead: dashboard_password", harmless=()
            ),
            "path": Is(("dashboard_path",)),
            "apps": _QUIET,
            "allowed_origins": Is(("allowed_origins",), _origins),
            "max_request_size_in_kb": Is(_REQUEST, _kilobytes),
            "ssl.local_cert": Is(("ssl_cert",)),
            "ssl.local_pk": Is(("ssl_key",)),
            "ssl.passphrase": Not("bridge takes a key without passphrase: openssl pkey -in KEY -out NEW"),
            "statistics.interval_in_seconds": Is(("statistics_interval",), _number),
            "statistics.delete_statistics_older_than_days": Not(
                "give it as --days to bridge statistics clean", harmless=(60,)
            ),
            "statistics": _QUIET,
            "ssl": _QUIET,
            "promise_resolver": _QUIET,
            "middleware": Not("the debug page has a password instead: dashboard_password", harmless=()),
            "app_provider": Not(
                "apps out of a database: see [apps_table]",
                harmless=("BeyondCode\\LaravelWebSockets\\Apps\\ConfigAppProvider",),
            ),
            "channel_manager": _QUIET,
            "managers": _QUIET,
            "handlers": Not("bridge has handlers of its own", harmless=()),
            "replication.mode": Not("bridge is one process", harmless=("local", None)),
            "replication": _QUIET,
        },
        app_keys={
            "name": Is(("name",)),
            "enable_client_messages": Is(("client_events",)),
            "enable_statistics": Is(("enable_statistics",)),
            "capacity": Is(("max_connections",), _number),
            "allowed_origins": Is(("allowed_origins",), _origins),
            "path": Not("bridge serves every app at /app/{key}"),
            "host": _QUIET,
        },
    ),
    Source(
        file="reverb",
        title="Reverb",
        driver="reverb",
        server="reverb.servers.{}",
        apps="reverb.apps.apps",
        id="app_id",
        keys={
            "host": Is(("host",)),
            "port": Is(("port",), _number),
            "path": Not("bridge serves at the root: let the proxy take the path off"),
            "hostname": _QUIET,
            "options.tls.local_cert": Is(("ssl_cert",)),
            "options.tls.local_pk": Is(("ssl_key",)),
            "options.tls.passphrase": Not(
                "bridge takes a key without passphrase: openssl pkey -in KEY -out NEW"
            ),
            "options": Not("TLS options other than certificate and key", harmless=()),
            "max_request_size": Is(_REQUEST, _number),
            "scaling.enabled": Not("bridge is one process"),
            "scaling": _QUIET,
            "pulse_ingest_interval": _QUIET,
            "telescope_ingest_interval": _QUIET,
        },
        app_keys={
            "options": _QUIET,
            "allowed_origins": Is(("allowed_origins",), _origins),
            "ping_interval": Not(
                "bridge asks after activity_timeout seconds of silence", harmless=(60, "60")
            ),
            "activity_timeout": _QUIET,  # of all apps together, see `_activity`
            "max_connections": Is(("max_connections",), _number),
            "max_message_size": Not(
                "what clients may send is limited by limit_event_bytes", harmless=(10_000, "10000")
            ),
            "accept_client_events_from": Is(("client_events",), _senders),
            "rate_limiting.enabled": Not("see limit_messages_per_second", harmless=(False, None)),
            "rate_limiting": _QUIET,
        },
    ),
)
_DEFAULTS = {setting.name: setting.default for setting in SETTINGS}
_PATHS = ("ssl_cert", "ssl_key")  # relative ones are those of the app
_COMMENTED = ("host", "port", "queue", "connection", "dashboard_password", "php_binary", "log_level")
_ENV_CALL = re.compile(r"""\benv\(\s*['"](\w+)['"]""")


@dataclass(slots=True)
class Draft:
    """What bridge.toml is to say; `left`: what could not be carried over, a line each."""

    sources: list[str] = field(default_factory=list)
    settings: dict[str, tuple[Written, str]] = field(default_factory=dict)
    apps: list[dict[str, Written]] = field(default_factory=list)
    left: list[str] = field(default_factory=list)


def draft(laravel: LaravelApp) -> Draft:
    """What the app's configuration says. Of two servers' files that of the default connection comes first."""
    made = Draft()
    broadcasting = laravel.broadcasting()
    default = broadcasting.connections.get(broadcasting.default)
    first = default.driver if default else ""
    for source in sorted(SOURCES, key=lambda one: one.driver != first):
        if isinstance(laravel.config.get(source.file), dict) and source.file in laravel.config.files:
            made.sources.append(f"config/{source.file}.php ({source.title})")
            _server(laravel, source, made)
            _apps(laravel, source, made)
    return made


def text(made: Draft) -> str:
    """The file."""
    return "\n".join(_lines(made)) + "\n"


def _server(laravel: LaravelApp, source: Source, made: Draft) -> None:
    name = laravel.config.get(f"{source.file}.default", "")
    place = source.server.format(name)
    for key, rule, value in _ruled(laravel, place, source.keys):
        where = f"{place}.{key}"
        if isinstance(rule, Is) and not isinstance(value, Unknowable):
            for setting, written in rule.settings(value):
                if isinstance(written, str) and setting in _PATHS:
                    written = os.path.join(laravel.path, written)
                made.settings.setdefault(setting, (written, where))
        else:
            made.left += (line for line in _left(where, rule, value) if line not in made.left)


def _apps(laravel: LaravelApp, source: Source, made: Draft) -> None:
    variables = _variables(laravel, source.file)
    timeouts = set()
    for number in laravel.config.names(source.apps):
        place = f"{source.apps}.{number}"
        written: dict[str, Written] = {}
        for name, key in (("id", source.id), ("key", "key"), ("secret", "secret")):
            value = laravel.config.get(f"{place}.{key}")
            text = "" if value is None or isinstance(value, Unknowable | dict) else str(value)
            if not text and not isinstance(value, Unknowable):
                break
            plain = text if text and name != "secret" else f"${{{place}.{key}}}"
            written[name] = f"${{{variables[text]}}}" if text in variables else plain
        else:
            made.left += [line for line in _options(laravel, source, place, written) if line not in made.left]
            timeout = laravel.config.get(f"{place}.activity_timeout")
            timeouts.add(_number(timeout))
            if all(app["id"] != written["id"] for app in made.apps):
                made.apps.append(written)
            continue
        made.left.append(f"{place}: the app has no id, key or secret")
    if len(timeouts) == 1 and isinstance(seconds := timeouts.pop(), int):
        made.settings.setdefault("activity_timeout", (seconds, f"{source.apps}.*.activity_timeout"))
    elif timeouts:
        made.left.append(f"{source.apps}.*.activity_timeout: bridge has one for all apps, activity_timeout")


def _options(laravel: LaravelApp, source: Source, place: str, app: dict[str, Written]) -> Iterator[str]:
    identity: dict[str, Rule] = {source.id: _QUIET, "key": _QUIET, "secret": _QUIET}
    for key, rule, value in _ruled(laravel, place, source.app_keys | identity):
        if isinstance(rule, Is) and not isinstance(value, Unknowable):
            app |= dict(rule.settings(value))
        else:
            yield from _left(f"{place}.{key}", rule, value)


def _ruled(laravel: LaravelApp, place: str, rules: dict[str, Rule]) -> Iterator[tuple[str, Rule, Value]]:
    """Every key below `place` with the rule that is nearest to it, `Not` where there is none."""
    for key, value in _leaves(laravel.config.get(place), ""):
        above = [key, *(key.rsplit(".", depth)[0] for depth in range(1, key.count(".") + 1))]
        named = next((name for name in above if name in rules), None)
        if named is None:
            yield key, Not("bridge has no such setting"), value
        elif named == key or not isinstance(rules[named], Is):
            yield named, rules[named], value
    for key, rule in rules.items():
        if isinstance(rule, Is) and isinstance(value := laravel.config.get(f"{place}.{key}"), dict):
            yield key, rule, value


def _leaves(value: Value, key: str) -> Iterator[tuple[str, Value]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _leaves(inner, f"{key}.{name}" if key else str(name))
    elif key:
        yield key, value


def _left(where: str, rule: Rule, value: Value) -> Iterator[str]:
    if isinstance(value, Unknowable):
        if rule != _QUIET:
            yield f"{where}: cannot be known without PHP, {value.reason}"
    elif isinstance(rule, Not) and rule != _QUIET and value not in rule.harmless:
        yield f"{where}: {rule.why}"


def _variables(laravel: LaravelApp, file: str) -> dict[str, str]:
    """Text → the variable of `.env` that holds it, of those that the configuration file asks for."""
    php = Path(laravel.config.files[file]).read_text(encoding="utf-8", errors="replace")
    return {
        laravel.dotenv[name]: name for name in reversed(_ENV_CALL.findall(php)) if laravel.dotenv.get(name)
    }


def _lines(made: Draft) -> Iterator[str]:
    read = f" from {' and '.join(made.sources)}" if made.sources else ""
    yield f"# Written by `bridge init`{read}."
    yield "# A line that begins with # shows a default; docs/settings.md has them all."
    yield '# Secrets stay in .env: "${NAME}" is what NAME says there, "${a.b}" what config(\'a.b\') says.'
    yield ""
    by_name = {setting.name: setting for setting in SETTINGS}
    for name, setting in by_name.items():
        if name in made.settings:
            value, where = made.settings[name]
            yield f"{name} = {_toml(value)}  # {where}"
        elif name in _COMMENTED:
            default = "…" if setting.default is None else _toml(setting.default)
            yield f"# {name} = {default}  # {setting.help.rstrip('.')}"
    for app in made.apps:
        yield ""
        yield "[[apps]]"
        for name, one in app.items():
            yield f"{name} = {_toml(one)}"
    if not made.apps:
        yield ""
        yield "# The apps are those of config/broadcasting.php and .env. One more:"
        yield from ("# [[apps]]", '# id = "second"', '# key = "second-key"', '# secret = "${SECOND_SECRET}"')
    if made.left:
        yield ""
        yield "# Not carried over:"
        yield from (f"#   {line}" for line in made.left)


def _toml(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
