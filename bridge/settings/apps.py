"""The Pusher apps that are served, their webhooks, and where more of them may come from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from bridge.errors import ConfigurationError
from bridge.secret import Secret
from bridge.settings.checks import read_value, reject_unknown
from bridge.settings.table import (
    COUNT,
    LIMIT,
    SETTINGS,
    InvalidValue,
    Reader,
    networks,
    origin_rules,
    seconds,
    switch,
    text,
    words,
)
from bridge.sockets.webhooks.events import NAMES, Webhook


@dataclass(frozen=True, slots=True, kw_only=True)
class AppSettings:
    """One Pusher app that is served.

    connections        names in config/broadcasting.php whose broadcasts go to it; none for `[[apps]]` alone
    previous_secrets   still believed in signatures
    max_connections    at once, None: as many as the server takes
    activity_timeout   seconds, None: as in `Settings`
    limits             those that differ from `Settings.limits`
    webhooks           besides `Settings.webhooks`
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
    activity_timeout: int | None = None
    enabled: bool = True
    tls_only: bool = False
    subscription_count: bool = False
    enable_statistics: bool = True
    limits: Mapping[str, int] = field(default_factory=dict)
    webhooks: tuple[Webhook, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AppsTable:
    """A database table whose rows are apps, read at the start, on SIGHUP and every `interval` seconds.

    connection  of the app's config/database.php; None: the default one
    url         in place of a connection; then `connection` is a name of our own for it
    webhook_networks  private ones that webhooks of its rows may reach, besides public addresses
    where       it was read, for messages
    """

    connection: str | None = None
    url: Secret | None = None
    table: str = "websockets_apps"
    interval: float = 60.0
    webhook_networks: tuple[str, ...] = ()
    where: str = ""

    def fault(self, problem: ConfigurationError) -> ConfigurationError:
        """The same problem, of the key of `[apps_table]` that led to the database which has it."""
        if self.url is not None:
            is_file = problem.key.endswith(".database")
            remedy = (
                "name a file that is there: sqlite:////path/to/apps.sqlite" if is_file else problem.remedy
            )
            return ConfigurationError("apps_table.url", problem.problem, where=self.where, remedy=remedy)
        if self.connection is None:
            return problem
        return ConfigurationError(
            "apps_table.connection",
            f"is {self.connection}, which cannot be used: {problem.key} {problem.problem}",
            where=self.where,
            remedy=problem.remedy,
        )


def toml_apps(table: Any, where: str, *, defaults: Mapping[str, Any]) -> tuple[AppSettings, ...]:
    if table is None:
        return ()
    if not isinstance(table, list) or not all(isinstance(entry, dict) for entry in table):
        raise ConfigurationError("apps", "is no list of tables", where=where, remedy="write [[apps]]")
    return tuple(own_app(entry, f"apps[{n}]", where, defaults) for n, entry in enumerate(table))


def own_app(entry: dict[str, Any], key: str, where: str, defaults: Mapping[str, Any]) -> AppSettings:
    """One app, from a `[[apps]]` or a row of a table; `where` names the place."""
    reject_unknown(entry, [*APP_FIELDS, "webhooks"], f"{key}.", where)
    found = {
        name: read_value(read, entry[name], f"{key}.{name}", where)
        for name, read in APP_FIELDS.items()
        if name in entry
    }
    for name in ("id", "key", "secret"):
        if name not in found:
            raise ConfigurationError(
                f"{key}.{name}", "is missing", where=where, remedy="an app needs all three"
            )
    inherited = {name: defaults[name] for name in INHERITED}
    limits = {name.removeprefix(LIMIT): found.pop(name) for name in list(found) if name.startswith(LIMIT)}
    webhooks = read_webhooks(entry.get("webhooks"), where, key=f"{key}.webhooks")
    return AppSettings(limits=limits, webhooks=webhooks, **(inherited | found))


INHERITED = ("client_events", "allowed_origins", "enable_statistics")
"""What an app has from the settings of the same name where it says nothing itself."""

APP_FIELDS: dict[str, Reader] = {
    "id": lambda value: str(value) if isinstance(value, int) else text(value),
    "key": text,
    "secret": lambda value: Secret(text(value)),
    "name": text,
    "previous_secrets": lambda value: tuple(Secret(secret) for secret in words(value)),
    "client_events": switch,
    "allowed_origins": origin_rules,
    "max_connections": COUNT,
    "activity_timeout": COUNT,
    "enabled": switch,
    "tls_only": switch,
    "subscription_count": switch,
    "enable_statistics": switch,
    **{setting.name: setting.read for setting in SETTINGS if setting.name.startswith(LIMIT)},
}


def read_apps_table(table: Any, where: str) -> AppsTable | None:
    """`[apps_table]`; None where there is none."""
    if table is None:
        return None
    if not isinstance(table, dict):
        raise ConfigurationError("apps_table", "is no table", where=where, remedy="write [apps_table]")
    reject_unknown(table, list(_TABLE_FIELDS), "apps_table.", where)
    found = {
        name: read_value(read, table[name], f"apps_table.{name}", where)
        for name, read in _TABLE_FIELDS.items()
        if name in table
    }
    if "url" in found:
        if "connection" in found:
            raise ConfigurationError(
                "apps_table", "has connection and url", where=where, remedy="take one of them out"
            )
        found["connection"] = "bridge_apps"
    return AppsTable(**found, where=where)


def read_webhooks(entries: Any, where: str, *, key: str) -> tuple[Webhook, ...]:
    """`[[webhooks]]` or `[[apps.webhooks]]`."""
    if entries is None:
        return ()
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ConfigurationError(key, "is no list of tables", where=where, remedy=f"write [[{key}]]")
    return tuple(_webhook(entry, f"{key}[{n}]", where) for n, entry in enumerate(entries))


def _webhook(entry: dict[str, Any], key: str, where: str) -> Webhook:
    reject_unknown(entry, list(_WEBHOOK_FIELDS), f"{key}.", where)
    if "url" not in entry:
        raise ConfigurationError(f"{key}.url", "is missing", where=where, remedy="say where to post")
    return Webhook(
        **{name: read_value(_WEBHOOK_FIELDS[name], entry[name], f"{key}.{name}", where) for name in entry}
    )


def _url(value: object) -> str:
    import httpx  # only who has webhooks needs it

    try:
        url = httpx.URL(text(value))
    except httpx.InvalidURL:
        raise InvalidValue("an address such as https://example.com/hook") from None
    if url.scheme not in ("http", "https") or not url.host:
        raise InvalidValue("an address such as https://example.com/hook")
    return text(value)


def _event_names(value: object) -> frozenset[str]:
    names = frozenset(words(value))
    if names - frozenset(NAMES):
        raise InvalidValue(f"some of {', '.join(NAMES)}")
    return names


def _headers(value: object) -> tuple[tuple[str, str], ...]:
    if not isinstance(value, dict) or not all(
        isinstance(text, str) and text.isascii() and text.isprintable() and name.isascii() and name
        for name, text in value.items()
    ):
        raise InvalidValue('headers such as { Authorization = "Bearer secret" }')
    return tuple(value.items())


def join(apps: dict[str, AppSettings], app: AppSettings, key: str) -> None:
    """Adds the app to `apps`; an equal one keeps its connections and takes the later's permissions."""
    for other in apps.values():
        same = (other.id == app.id, other.key == app.key)
        if any(same) and not (all(same) and other.secret == app.secret):
            raise ConfigurationError(
                key,
                f"has the id or key of another app, {other.id}, but is not the same",
                remedy="give every app its own id and key, and one secret",
            )
    before = apps.get(app.id)
    connections = (*before.connections, *app.connections) if before else app.connections
    apps[app.id] = replace(app, connections=connections)


_TABLE_FIELDS: dict[str, Reader] = {
    "connection": text,
    "url": lambda value: Secret(text(value)),
    "table": text,
    "interval": seconds,
    "webhook_networks": networks,
}
_WEBHOOK_FIELDS: dict[str, Reader] = {
    "url": _url,
    "events": _event_names,
    "prefixes": words,
    "headers": _headers,
}
