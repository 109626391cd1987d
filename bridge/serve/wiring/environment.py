"""What surrounds the app's code when it is evaluated, and what the booted app reports about itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

import sqlalchemy as sa

from bridge.errors import ConfigurationError, Refused
from bridge.jobs.resolve.app_environment import SharedEnvironment
from bridge.laravel.app_report import AppReport, report_from_php
from bridge.laravel.application import LaravelApp
from bridge.laravel.config import Config
from bridge.laravel.config_file import env
from bridge.laravel.config_values import Unknowable
from bridge.laravel.database import engine
from bridge.laravel.encryption import Encrypter
from bridge.phpeval.laravel.eloquent.reader import Records
from bridge.phpeval.laravel.framework_classes import MODEL_CONSTANTS
from bridge.phpeval.laravel.helpers import laravel_classes, laravel_functions
from bridge.phpeval.laravel.support.carbon import constants as carbon_constants
from bridge.phpeval.laravel.support.date_functions import date_functions
from bridge.phpeval.php.functions import CONSTANTS, FUNCTIONS
from bridge.phpeval.php.runtime.interpreter import Function, Native, ReferenceFunction

AskReport = Callable[[bool], Mapping[str, object] | None]
_CHANGES_ROWS = {8, 11, 17}  # PDO::ATTR_CASE, ATTR_ORACLE_NULLS, ATTR_STRINGIFY_FETCHES


def app_report(laravel: LaravelApp, ask: AskReport | None) -> Callable[[bool], AppReport | None]:
    """What the booted app says of itself, None where it cannot: for `EnvironmentCache`."""
    known: tuple[Mapping[str, object], AppReport] | None = None

    def report(anew: bool) -> AppReport | None:
        nonlocal known
        said = None if ask is None else ask(anew)
        if said is None:
            return None
        if known is None or known[0] is not said:
            known = (said, report_from_php(said, laravel.config))
        return known[1]

    return report


def _now() -> datetime:
    return datetime.now(UTC)


def shared_environment(laravel: LaravelApp) -> SharedEnvironment:
    """What surrounds the app's code, the same for every release."""
    locale = _known_text(laravel, "app.locale")

    def surrounding(
        config: Config, zone: str
    ) -> tuple[Mapping[str, Function | ReferenceFunction], Mapping[str, Native]]:
        classes = laravel_classes(_now, zone, locale, config)
        return {**laravel_functions(config, env(laravel.env)), **date_functions(_now, zone)}, classes

    functions, native_classes = surrounding(laravel.config, laravel.timezone.key)
    return SharedEnvironment(
        functions={**FUNCTIONS, **functions},
        constants={**CONSTANTS, **carbon_constants(), **MODEL_CONSTANTS},
        native_classes=native_classes,
        records=Records(partial(_database, laravel)),
        connection=_known_text(laravel, "database.default"),
        zone=laravel.timezone,
        decrypt=encrypter(laravel),
        language=_language(laravel),
        booted=lambda items, zone: surrounding(
            replace(laravel.config, items=items, defaults=frozenset()), zone
        ),
    )


def _known_text(laravel: LaravelApp, key: str) -> str:
    """A text of the configuration; empty where it is missing or only PHP could tell."""
    value = laravel.config.get(key)
    return value if isinstance(value, str) else ""


def _language(laravel: LaravelApp) -> tuple[str, str] | None:
    """The app's language and the one that it falls back to, empty for none; None where they are not known."""
    locale, fallback = (laravel.config.get(f"app.{name}") for name in ("locale", "fallback_locale"))
    if not isinstance(locale, str) or not isinstance(fallback, str | None):
        return None
    return locale, fallback or ""


def _database(laravel: LaravelApp, connection: str) -> tuple[sa.Engine, str]:
    """Engine and table prefix of a Laravel connection. Refused where it is not usable."""
    try:
        facts = laravel.database(connection or None)
        if not facts.database:
            raise Refused(f"{facts.name} has no database before the app runs, perhaps one for each tenant")
        made = engine(facts)
    except ConfigurationError as problem:
        raise Refused(str(problem)) from None
    options = laravel.config.get(f"database.connections.{facts.name}.options")
    if isinstance(options, Unknowable) or (isinstance(options, dict) and _CHANGES_ROWS & options.keys()):
        raise Refused(f"options of the database connection {facts.name} change what is read, or may")
    return made, facts.prefix


def encrypter(laravel: LaravelApp) -> Callable[[bytes], bytes]:
    try:
        return Encrypter(laravel.keys, laravel.cipher).decrypt
    except ConfigurationError as problem:
        reason = f"something is encrypted, and {problem}"

        def refuse(_: bytes) -> bytes:
            raise Refused(reason)

        return refuse
