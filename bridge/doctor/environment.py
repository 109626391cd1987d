"""Checks of `.env` and of the configuration that Laravel cached."""

from __future__ import annotations

import os
import re

from bridge.doctor.subject import ExaminedApp, Finding, Found
from bridge.laravel.encryption import Encrypter
from bridge.phpeval.laravel.files import read_file
from bridge.settings.table import SETTINGS

# Names that Laravel's own configuration files ask for, of 8 to 13, and those of the two servers' packages.
_NAMES = """
APP_NAME APP_ENV APP_KEY APP_PREVIOUS_KEYS APP_DEBUG APP_URL APP_TIMEZONE APP_LOCALE APP_FALLBACK_LOCALE
APP_MAINTENANCE_DRIVER APP_MAINTENANCE_STORE ASSET_URL
BROADCAST_DRIVER BROADCAST_CONNECTION QUEUE_CONNECTION QUEUE_FAILED_DRIVER
CACHE_DRIVER CACHE_STORE CACHE_PREFIX SESSION_DRIVER SESSION_LIFETIME SESSION_DOMAIN
DB_CONNECTION DB_URL DATABASE_URL DB_HOST DB_PORT DB_DATABASE DB_USERNAME DB_PASSWORD DB_SOCKET DB_CHARSET
DB_COLLATION DB_FOREIGN_KEYS DB_QUEUE DB_QUEUE_TABLE DB_QUEUE_CONNECTION DB_QUEUE_RETRY_AFTER
REDIS_CLIENT REDIS_CLUSTER REDIS_PREFIX REDIS_URL REDIS_HOST REDIS_USERNAME REDIS_PASSWORD REDIS_PORT
REDIS_DB REDIS_CACHE_DB REDIS_QUEUE REDIS_QUEUE_CONNECTION REDIS_QUEUE_RETRY_AFTER
PUSHER_APP_ID PUSHER_APP_KEY PUSHER_APP_SECRET PUSHER_APP_CLUSTER PUSHER_HOST PUSHER_PORT PUSHER_SCHEME
REVERB_APP_ID REVERB_APP_KEY REVERB_APP_SECRET REVERB_HOST REVERB_PORT REVERB_SCHEME REVERB_SERVER_HOST
REVERB_SERVER_PORT
LARAVEL_WEBSOCKETS_PORT LARAVEL_WEBSOCKETS_PATH LARAVEL_WEBSOCKETS_SSL_LOCAL_CERT
LARAVEL_WEBSOCKETS_SSL_LOCAL_PK LARAVEL_WEBSOCKETS_SSL_PASSPHRASE
"""
KNOWN = frozenset(_NAMES.split()) | {setting.variable for setting in SETTINGS}

# Newer name, older name: each stands in the configuration file of that name, in one release or the other.
RENAMED = (
    ("broadcasting", "BROADCAST_CONNECTION", "BROADCAST_DRIVER"),
    ("cache", "CACHE_STORE", "CACHE_DRIVER"),
    ("queue", "QUEUE_CONNECTION", "QUEUE_DRIVER"),
)
ALIKE = 0.87  # of difflib: one letter off in a name of this length
OLDEST = (8, 0)


def file(subject: ExaminedApp) -> Found:
    """Checks that there is a `.env`, and that this user may read it."""
    path = subject.path / ".env"
    if subject.laravel.config.cached:
        return
    if not path.is_file():
        if not subject.laravel.env.get("APP_KEY"):
            yield Finding(
                what="there is no .env",
                where=str(path),
                remedy="copy .env.example and fill it in, as Laravel wants",
            )
    elif not os.access(path, os.R_OK):
        yield Finding(
            what=".env cannot be read by this user",
            where=str(path),
            remedy="run bridge as the user of the app, or let it read the file",
        )


def names(subject: ExaminedApp) -> Found:
    """Checks that every line of `.env` is read, once, under a name that something asks for."""
    lines = subject.dotenv_lines
    for name, at in lines.items():
        text = subject.dotenv_text.splitlines()[at[-1] - 1]
        if '="' in text and name not in subject.laravel.dotenv and name not in subject.laravel.env:
            yield Finding(
                what=f"{name} has a quote that is never closed: it and every line after it do not count",
                where=subject.variable(name),
                remedy="close the quote",
            )
            return
    for name, at in lines.items():
        if len(at) > 1:
            numbers = ", ".join(map(str, at))
            yield Finding(
                what=f"{name} is set {len(at)} times, and the last counts",
                where=f".env, lines {numbers}",
                remedy="leave one of them",
            )
        if name in KNOWN or name.startswith(("MIX_", "VITE_")):
            continue
        import difflib  # a start makes checks of this file, not this one

        [near] = difflib.get_close_matches(name, KNOWN - lines.keys(), 1, ALIKE) or [""]
        if near:
            yield Finding(
                what=f"{name} is not known, and {near} is missing",
                where=subject.variable(name),
                remedy=f"write {near}, if that is what it means",
            )
    for config, newer, older in RENAMED:
        yield from _renamed(subject, config, newer, older)


def _renamed(subject: ExaminedApp, config: str, newer: str, older: str) -> Found:
    try:
        text = read_file(subject.path / f"config/{config}.php").decode("utf-8", "replace")
    except OSError:
        return
    asked = set(re.findall(r"""env\(\s*['"](\w+)['"]""", text))
    for name, other in ((newer, older), (older, newer)):
        is_read = name in asked or other not in asked or other in subject.dotenv_lines
        if name in subject.dotenv_lines and not is_read:
            yield Finding(
                what=f"{name} is set, but config/{config}.php asks for {other}",
                where=subject.variable(name),
                remedy=f"write {other}",
            )


def keys(subject: ExaminedApp) -> Found:
    """Checks that APP_KEY fits the cipher."""
    if subject.has_code or subject.laravel.keys:
        Encrypter(subject.laravel.keys, subject.laravel.cipher)
    return
    yield


def cached(subject: ExaminedApp) -> Found:
    """Checks that a cached configuration is newer than what it was made from."""
    if not subject.laravel.config.cached:
        return
    cache = subject.path / (subject.laravel.env.get("APP_CONFIG_CACHE") or "bootstrap/cache/config.php")
    sources = [subject.path / ".env", *sorted((subject.path / "config").rglob("*.php"))]
    made = cache.stat().st_mtime
    newer = [source for source in sources if source.is_file() and source.stat().st_mtime > made]
    if newer:
        yield Finding(
            what=f"the cached configuration is older than {subject.relative(newer[0])}, which does not count",
            where=subject.relative(cache),
            remedy="run `php artisan config:cache`, then `php artisan queue:restart`",
        )


def release(subject: ExaminedApp) -> Found:
    """Checks that Laravel's version is known, and one that bridge knows."""
    found = subject.laravel.release
    if found is None and subject.has_code:
        yield Finding(
            what="Laravel's version cannot be read, so the rules of the newest count",
            where="vendor/composer/installed.json, composer.lock",
            remedy="give it as laravel_version in bridge.toml",
            hint=True,
        )
    elif found is not None and found < OLDEST:
        yield Finding(
            what=f"Laravel {subject.laravel.version} is older than 8, the oldest that bridge was tried with",
            where="composer.lock",
            remedy="compare first: bridge serve --shadow",
        )
