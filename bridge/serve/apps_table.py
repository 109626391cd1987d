"""Apps out of a database table: each row is read as if it were an `[[apps]]` of bridge.toml."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from bridge.errors import ConfigurationError, ServiceUnavailable
from bridge.laravel.database import answering, engine
from bridge.settings.apps import APP_FIELDS, INHERITED, AppSettings, AppsTable, join, own_app
from bridge.settings.load import Settings

log = logging.getLogger(__name__)

COLUMNS: Mapping[str, str] = {
    "enable_client_messages": "client_events",  # laravel-websockets, soketi
    "capacity": "max_connections",  # laravel-websockets
    "max_client_events_per_sec": "limit_app_client_events_per_second",  # soketi, from here on
    "max_backend_events_per_sec": "limit_api_requests_per_second",
    "max_read_req_per_sec": "limit_api_reads_per_second",
    "max_presence_members_per_channel": "limit_members",
    "max_channel_name_length": "limit_channel_name_length",
    "max_event_channels_at_once": "limit_channels_per_event",
    "max_event_name_length": "limit_event_name_length",
    "max_event_batch_size": "limit_events_per_batch",
}
"""Columns that other servers name otherwise; any other is read when an `[[apps]]` has its name."""

_FROM_ONE = {"max_connections", *(name for name in APP_FIELDS if name.startswith("limit_"))}


def join_rows(apps: tuple[AppSettings, ...], settings: Settings, table: AppsTable) -> tuple[AppSettings, ...]:
    """`apps`, and those of the table. A row that is wrong is left out, and said to be.

    Raises ServiceUnavailable or ConfigurationError when the table cannot be read. Blocks.
    """
    joined, problems = read_rows(apps, settings, table)
    for problem in problems:
        log.warning("an app of the table is left out", extra={"action": "apps", "why": str(problem)})
    return joined


def read_rows(
    apps: tuple[AppSettings, ...], settings: Settings, table: AppsTable
) -> tuple[tuple[AppSettings, ...], Sequence[ConfigurationError]]:
    """`apps` and those of the table, and what is wrong with the rows that are left out. Raises as
    `join_rows`.

    Whoever may write into the table need not be whoever may reach what this machine reaches, so its webhooks
    go to public addresses only, and to `webhook_networks`."""
    joined = {app.id: app for app in apps}
    defaults = {name: getattr(settings, name) for name in INHERITED}
    problems: list[ConfigurationError] = []
    for row in rows(settings, table):
        key, place = f"app {row.get('id')}", f"table {table.table}"
        try:
            app = own_app(entry(row), key, place, defaults)
            webhooks = tuple(replace(webhook, within=table.webhook_networks) for webhook in app.webhooks)
            join(joined, replace(app, webhooks=webhooks), key)
        except ConfigurationError as problem:
            problems.append(problem)
    return tuple(joined.values()), problems


def rows(settings: Settings, table: AppsTable) -> Iterator[Mapping[str, Any]]:
    """The rows of the table as they stand now."""
    try:
        facts = settings.laravel.database(table.connection)
        database = engine(facts)
    except ConfigurationError as problem:
        raise table.fault(problem) from None
    name = facts.prefix + table.table
    try:
        with answering(facts), database.connect() as connection:
            if not sa.inspect(connection).has_table(name):
                raise ConfigurationError(
                    "apps_table.table",
                    f"is {name}, and {facts.place} has no such table",
                    where=table.where,
                    remedy="correct the name, or make the table",
                )
            found = connection.execute(sa.select(sa.text("*")).select_from(sa.table(name)))
            yield from [dict(row) for row in found.mappings()]
    except ConfigurationError as problem:
        raise problem if problem.key.startswith("apps_table.") else table.fault(problem) from None
    except ServiceUnavailable as problem:
        raise ServiceUnavailable(f"[apps_table] cannot be read: {problem}") from None
    finally:
        database.dispose()


def entry(row: Mapping[str, Any]) -> dict[str, Any]:
    """The row with the names and kinds of values of an `[[apps]]`; what is empty or unknown is not there.

    Numbers below 1 mean "no limit" in other servers' tables, and are left out. ConfigurationError names a
    column whose value cannot be what it should be.
    """
    found: dict[str, Any] = {}
    for column, given in row.items():
        name = COLUMNS.get(column, column)
        if name not in APP_FIELDS and name != "webhooks":
            continue
        try:
            value = _text(given)
            if value is None or value == "" or (name in _FROM_ONE and int(value) < 1):
                continue
            made = _KINDS.get(name, _plain)(value)
        except (ValueError, TypeError, AttributeError, RecursionError):
            kind = "a whole number" if name in _FROM_ONE else "JSON, as bridge.toml would have it"
            raise ConfigurationError(
                f"app {row.get('id')}.{column}", "is wrong", where="its row", remedy=f"write {kind}"
            ) from None
        if made is not None:
            found[name] = made
    return found


def _text(value: Any) -> Any:
    """Binary columns hold text all the same."""
    return bytes(value).decode() if isinstance(value, bytes | bytearray | memoryview) else value


def _plain(value: Any) -> Any:
    return value if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _switch(value: Any) -> Any:
    return value if isinstance(value, bool) else str(value)


def _names(value: Any) -> Any:
    """A JSON list, or names with commas between them."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        value = json.loads(value)
    return value or None


def _webhooks(value: Any) -> Any:
    """A JSON list in our words, or in soketi's."""
    entries = json.loads(value) if isinstance(value, str) else value
    if not isinstance(entries, list):
        return entries
    return [_webhook(entry) if isinstance(entry, dict) else entry for entry in entries] or None


def _webhook(entry: Mapping[str, Any]) -> dict[str, Any]:
    words = {"event_types": "events"}
    found = {words.get(name, name): value for name, value in entry.items() if name != "filter"}
    prefix = (entry.get("filter") or {}).get("channel_name_starts_with")
    return found | ({"prefixes": [prefix]} if prefix else {})


_KINDS: Mapping[str, Callable[[Any], Any]] = {
    **dict.fromkeys(
        ("client_events", "enabled", "tls_only", "subscription_count", "enable_statistics"), _switch
    ),
    **dict.fromkeys(("allowed_origins", "previous_secrets"), _names),
    "webhooks": _webhooks,
}
