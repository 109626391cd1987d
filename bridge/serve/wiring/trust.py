"""What native evaluation has to earn beside PHP, and what that depends on."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from bridge import __version__
from bridge.jobs.resolve.checks import Checks
from bridge.jobs.resolve.ladder import RUNGS
from bridge.jobs.resolve.rungs.php import PhpRung
from bridge.jobs.resolve.trust import CheckRate, ClassTrust, Disagreement, Trust, by_class
from bridge.jobs.resolve.trust_file import TrustFile, TrustReader
from bridge.laravel.language_files import FOLDERS
from bridge.phpeval.laravel.app_source import AppSource
from bridge.phpeval.laravel.files import NoFile, read_file
from bridge.serve.wiring.ladder import MakeTrust, build_ladder, event_mappings
from bridge.settings.load import Settings
from bridge.settings.state import state_file


def earned_trust(
    settings: Settings,
    php: PhpRung | None,
    on_disagree: Callable[[Disagreement], object] = lambda found: None,
    *,
    keeps: bool = True,
) -> MakeTrust | None:
    """What native evaluation has to earn beside `php`; None where it stands on its own proof.

    Gets the app's source, and a number that changes with it. `keeps`: what is earned here outlives us."""
    if php is None or not _is_to_be_earned(settings):
        return None

    def make(source: AppSource, generation: Callable[[], int]) -> Trust:
        return Trust(
            trust_file(settings) if keeps else TrustReader(trust_file(settings)),
            partial(trust_basis, settings, source),
            generation,
            rate=CheckRate(jobs=settings.native_trust_jobs),
            php_is_down=lambda: php.down,
            on_disagree=on_disagree,
        )

    return make


def _is_to_be_earned(settings: Settings) -> bool:
    has_php = bool(settings.php_binary) and shutil.which(settings.php_binary) is not None
    is_app = (settings.laravel.path / "bootstrap/app.php").is_file()
    return has_php and is_app and settings.native_trust == "earned"


def earned_by_class(settings: Settings) -> dict[str, ClassTrust] | None:
    """What each class has earned so far; None where nothing has to be."""
    if not _is_to_be_earned(settings):
        return None
    try:
        basis = trust_basis(settings, AppSource(settings.laravel.path))
    except OSError:
        return {}
    return by_class(trust_file(settings).load(basis))


def build_checks(settings: Settings, php: PhpRung, trust: Trust) -> Checks:
    """What has gone out natively, checked beside; the thread is not started yet."""
    mapped = event_mappings(settings)
    native = build_ladder(settings.laravel, mapped, report=php.report)
    real = build_ladder(settings.laravel, mapped, only=RUNGS[-1:], php=php)

    def is_idle() -> bool:
        counts = php.processes()
        return php.down is None and counts["busy"] < counts["most"]

    return Checks(native, real, trust, is_idle)


def trust_file(settings: Settings) -> TrustFile:
    return TrustFile(state_file(settings, "native-trust"))


_BASIS_FILES = (  # without what PHP makes of them at its first boot: services.php and packages.php
    ".env", "bootstrap/app.php", "bootstrap/providers.php", "bootstrap/cache/config.php", "composer.json",
    "composer.lock", "vendor/composer/installed.json",
)  # fmt: skip


_ENV_NAME = re.compile(rb"""\benv\(\s*['"](\w+)""")


def trust_basis(settings: Settings, source: AppSource) -> str:
    """The hash of all that native answers are made of. Raises OSError where a file cannot be read."""
    laravel = settings.laravel
    digest = hashlib.sha256(f"{__version__} {laravel.version} {settings.native_trust_jobs}".encode())
    php = shutil.which(settings.php_binary)
    if php is not None:
        found = os.stat(php)  # of what a link leads to
        digest.update(f"{os.path.realpath(php)} {found.st_size} {found.st_mtime_ns}".encode())
    configs = sorted(str(file.relative_to(laravel.path)) for file in laravel.path.glob("config/**/*.php"))
    lines = [str(file.relative_to(laravel.path)) for file in _language_files(laravel.path)]
    names: set[bytes] = set()
    for relative in dict.fromkeys([*_BASIS_FILES, *configs, *sorted(lines), *source.files()]):
        try:
            text = read_file(laravel.path / relative)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError, NoFile):
            continue
        digest.update(b"\0".join((b"", relative.encode("utf-8", "replace"), hashlib.sha256(text).digest())))
        if relative in configs:
            names.update(_ENV_NAME.findall(text))
    for name in sorted(names):
        digest.update(name + b"=" + (laravel.env.get(name.decode()) or "").encode("utf-8", "replace"))
    return digest.hexdigest()


def _language_files(path: Path) -> Iterator[Path]:
    for folder in FOLDERS:
        yield from (path / folder).glob("**/*")
