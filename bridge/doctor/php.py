"""Checks of PHP, for the events that only the app itself can resolve."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from bridge.doctor.subject import ExaminedApp, Finding, Found
from bridge.errors import ConfigurationError

PATIENCE = 60  # seconds for PHP to answer
# Laravel's major version → the oldest PHP that it runs on. Source: composer.json of each.
LEAST = {8: (7, 3), 9: (8, 0), 10: (8, 1), 11: (8, 2), 12: (8, 2), 13: (8, 3)}
# Those without which no Laravel boots; Debian has some of them in packages of their own.
NEEDED = ("json", "mbstring", "openssl", "tokenizer")
_PDO = {"mysql": "pdo_mysql", "mariadb": "pdo_mysql", "pgsql": "pdo_pgsql", "sqlite": "pdo_sqlite"}
_ASK = "echo json_encode([PHP_MAJOR_VERSION, PHP_MINOR_VERSION, get_loaded_extensions()]);"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Php:
    version: tuple[int, int]
    extensions: frozenset[str]


def program(subject: ExaminedApp) -> Found:
    """Checks that PHP is there, new enough for this Laravel, with the extensions of the app's stores."""
    settings = subject.settings
    if not settings.php_binary or not subject.has_code:
        return
    if shutil.which(settings.php_binary) is None:
        yield Finding(
            what=f"there is no program {settings.php_binary}: events that only PHP can resolve are refused",
            where=settings.origins.get("php_binary", "php_binary"),
            remedy='install PHP\'s command line (php-cli), or set php_binary = "" if you want none',
        )
        return
    php = _ask(settings.php_binary)
    if php is None:
        yield Finding(
            what=f"{settings.php_binary} does not run",
            where=settings.origins.get("php_binary", "php_binary"),
            remedy=f"try it by hand: {settings.php_binary} -v",
        )
        return
    release = subject.laravel.release
    least = LEAST.get(release[0]) if release else None
    if least and php.version < least:
        yield Finding(
            what=f"PHP {_dotted(php.version)} is older than Laravel {subject.laravel.version} needs",
            where=shutil.which(settings.php_binary) or "",
            remedy=f"install PHP {_dotted(least)} or newer, or name it in php_binary",
        )
    missing = sorted(_wanted(subject) - php.extensions)
    if missing:
        yield Finding(
            what=f"PHP lacks {', '.join(missing)}",
            where=shutil.which(settings.php_binary) or "",
            remedy="install " + " ".join(f"php-{_package(name)}" for name in missing),
        )


def boot(subject: ExaminedApp) -> Found:
    """Checks that the app boots."""
    artisan = subject.path / "artisan"
    php = shutil.which(subject.settings.php_binary or "")
    if not php or not subject.has_code or not artisan.is_file():
        return
    try:
        done = _run([php, "artisan", "--version", "--no-ansi"], subject.path)
        says = "" if done.returncode == 0 else _first_line(done.stdout + done.stderr)
        failed = done.returncode != 0
    except subprocess.TimeoutExpired:
        says, failed = f"no answer within {PATIENCE} s", True
    if failed:
        yield Finding(
            what=f"the app does not boot: {says or 'php artisan ends with an error'}",
            where="artisan",
            remedy="run `php artisan --version` there, as bridge's user; without vendor/: composer install",
        )


def _ask(binary: str) -> _Php | None:
    try:
        done = _run([binary, "-r", _ASK], Path("/"))
        major, minor, extensions = json.loads(done.stdout.splitlines()[-1])
    except (subprocess.TimeoutExpired, OSError, ValueError, IndexError):
        return None
    return _Php(version=(major, minor), extensions=frozenset(name.lower() for name in extensions))


def _run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, errors="replace", timeout=PATIENCE, check=False
    )


def _wanted(subject: ExaminedApp) -> set[str]:
    wanted = set(NEEDED)
    with contextlib.suppress(ConfigurationError):  # said by other checks
        wanted.add(_PDO[subject.laravel.database().driver])
    with contextlib.suppress(ConfigurationError):
        is_redis = subject.settings.queue_connection().driver == "redis"
        if is_redis and subject.laravel.config.get("database.redis.client") == "phpredis":
            wanted.add("redis")
    return wanted


def _package(extension: str) -> str:
    """Debian's name of it."""
    return {"pdo_mysql": "mysql", "pdo_pgsql": "pgsql", "pdo_sqlite": "sqlite3"}.get(extension, extension)


def _first_line(text: str) -> str:
    lines = (line.strip() for line in text.splitlines())
    return next((line for line in lines if line and not line.startswith("In ")), "")[:200]


def _dotted(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))
