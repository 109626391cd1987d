"""Packages whose service providers the app loads, and what is known of the common ones.

Laravel finds them in bootstrap/cache/packages.php; where that is not made yet, in
vendor/composer/installed.json, but for those that the app's composer.json names under
`extra.laravel.dont-discover`. Where vendor/ is not there, composer.lock says the same. More are named in
config/app.php and bootstrap/providers.php.
Sources: Foundation/PackageManifest.php and ProviderRepository.php of 8 to 13.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bridge.laravel.config_file import Place, evaluate
from bridge.phpeval.laravel.files import read_file

# Packages whose providers change neither how models are read nor what a job does: what they register hears of
# jobs, queries and errors and writes that down, or has nothing to do with either. A vendor/* stands for all.
# Each was read, providers and listeners, in the release of autumn 2026.
_HARMLESS = """
    barryvdh/laravel-debugbar barryvdh/laravel-dompdf barryvdh/laravel-ide-helper
    beyondcode/laravel-websockets blade-ui-kit/blade-icons bugsnag/bugsnag-laravel
    dedoc/scramble facade/ignition filament/* fruitcake/laravel-cors fruitcake/laravel-debugbar
    honeybadger-io/honeybadger-laravel inertiajs/inertia-laravel
    inspector-apm/inspector-laravel intervention/image-laravel itsgoingd/clockwork
    kirschbaum-development/eloquent-power-joins knuckleswtf/scribe
    laravel/boost laravel/breeze laravel/cashier laravel/dusk laravel/fortify laravel/horizon
    laravel/jetstream laravel/mcp laravel/nightwatch laravel/octane laravel/pail laravel/passport
    laravel/pennant laravel/pulse laravel/reverb laravel/sail laravel/sanctum laravel/scout
    laravel/slack-notification-channel laravel/socialite laravel/telescope laravel/tinker laravel/ui
    laravel/wayfinder laravel-lang/common laravel-notification-channels/webpush livewire/flux
    livewire/livewire livewire/volt maatwebsite/excel nesbot/carbon nunomaduro/collision nunomaduro/termwind
    opcodesio/log-viewer pestphp/pest-plugin-laravel php-open-source-saver/jwt-auth predis/predis
    rollbar/rollbar-laravel sentry/sentry-laravel simplesoftwareio/simple-qrcode spatie/laravel-activitylog
    spatie/laravel-backup spatie/laravel-ignition spatie/laravel-medialibrary spatie/laravel-permission
    spatie/laravel-query-builder spatie/laravel-ray spatie/laravel-responsecache spatie/laravel-sitemap
    spatie/laravel-tags spatie/laravel-translatable spatie/laravel-webhook-client tightenco/ziggy
    tymon/jwt-auth yajra/laravel-datatables-oracle
"""
_NAMED = frozenset(name for name in _HARMLESS.split() if not name.endswith("/*"))
_VENDORS = frozenset(name.removesuffix("/*") for name in _HARMLESS.split() if name.endswith("/*"))
_TENANCY = re.compile(r"tenan(t|cy)|multi-?tenan", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """A package with service providers; `folder` from the app's root, None where its source is not there."""

    name: str
    providers: tuple[str, ...]
    folder: str | None

    @property
    def is_harmless(self) -> bool:
        return is_harmless(self.name)

    @property
    def is_tenancy(self) -> bool:
        """Whether it chooses the database by who a job belongs to, as its name tells."""
        return _TENANCY.search(self.name) is not None


def is_harmless(name: str) -> bool:
    """Whether the listeners and settings of this package are known to leave broadcasts as they are."""
    return name in _NAMED or name.partition("/")[0] in _VENDORS


MANIFEST = "bootstrap/cache/packages.php"
_LISTS = ("config/app.php", "bootstrap/providers.php", "bootstrap/cache/services.php")
FILES = (MANIFEST, *_LISTS)  # what says which packages are loaded, besides composer's own files
_PROVIDER = re.compile(r"\b[A-Z]\w*(?:\\{1,2}\w+)+Provider\b")


def loaded(path: Path, is_own: Callable[[str], bool]) -> tuple[Package, ...]:
    """The packages of the app in `path` whose providers it loads, found by Laravel or named by the app.

    `is_own`: whether a class is the app's. A provider of which nobody knows the package stands for one."""
    packages = list(_packages(_listed(path)))
    found = {package.name: package for package in _discovered(path, packages)}
    roots = sorted(_roots(packages), key=lambda root: -len(root[0]))
    known = {provider for package in found.values() for provider in package.providers}
    for provider in _named(path):
        if provider in known or provider.startswith("Illuminate\\") or is_own(provider):
            continue
        package = next((one for prefix, one in roots if provider.startswith(prefix)), {})
        name = str(package.get("name", provider))
        others = found[name].providers if name in found else ()
        folder = _folder(path, package) if package else None
        found[name] = Package(name=name, providers=(*others, provider), folder=folder)
    return tuple(found.values())


def _named(path: Path) -> Iterator[str]:
    for name in _LISTS:
        with contextlib.suppress(OSError):
            text = read_file(path / name).decode("utf-8", "replace")
            code = re.sub(r"/\*.*?\*/|^\s*(//|#).*$", "", text, flags=re.DOTALL | re.MULTILINE)
            yield from (one.replace("\\\\", "\\") for one in _PROVIDER.findall(code))


def _discovered(path: Path, packages: Iterable[dict[str, Any]]) -> Iterator[Package]:
    manifest = _manifest(path)
    by_name = {package["name"]: package for package in packages if isinstance(package.get("name"), str)}
    if manifest is not None:
        for name, providers in manifest.items():
            yield Package(
                name=name, providers=providers, folder=_folder(path, by_name.get(name) or {"name": name})
            )
        return
    ignored = _ignored(_document(path / "composer.json"))
    for name, package in by_name.items():
        providers = _providers(package)
        if providers and name not in ignored and "*" not in ignored:
            yield Package(name=name, providers=providers, folder=_folder(path, package))


def _manifest(path: Path) -> dict[str, tuple[str, ...]] | None:
    """Package → providers, as Laravel has noted them; None where it has not, or PHP alone could tell."""
    file = path / MANIFEST
    try:
        noted = evaluate(read_file(file), str(file), Place(str(path), {}))
    except OSError:
        return None
    if not isinstance(noted, dict):
        return None
    found = {}
    for name, entry in noted.items():
        listed = entry.get("providers") if isinstance(entry, dict) else None
        if isinstance(name, str) and isinstance(listed, dict):
            found[name] = tuple(one.lstrip("\\") for one in listed.values() if isinstance(one, str))
    return found


def _listed(path: Path) -> Any:
    installed = _document(path / "vendor/composer/installed.json")
    return installed if installed is not None else _document(path / "composer.lock")


def _folder(path: Path, package: dict[str, Any]) -> str | None:
    """Where the package's source is; None if it is not there."""
    given = package.get("install-path")
    place = f"vendor/composer/{given}" if isinstance(given, str) else f"vendor/{package['name']}"
    folder = os.path.normpath(place)
    return folder if (path / folder).is_dir() else None


def _roots(packages: Iterable[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    for package in packages:
        for kind in ("psr-4", "psr-0"):
            prefixes = _inside(package, "autoload", kind)
            for prefix in prefixes if isinstance(prefixes, dict) else ():
                if prefix:
                    yield str(prefix), package


def installed_version(path: Path, *names: str) -> str | None:
    """Version of the first installed of these packages, without a leading v."""
    for file in ("vendor/composer/installed.json", "composer.lock"):
        for package in _packages(_document(path / file)):
            if package.get("name") in names:
                return str(package.get("version", "")).removeprefix("v") or None
    return None


def _packages(document: Any) -> Iterator[dict[str, Any]]:
    listed = document.get("packages") if isinstance(document, dict) else document
    for package in listed if isinstance(listed, list) else ():
        if isinstance(package, dict):
            yield package


def _providers(package: dict[str, Any]) -> tuple[str, ...]:
    found = _inside(package, "extra", "laravel", "providers")
    return tuple(one.lstrip("\\") for one in found if isinstance(one, str)) if isinstance(found, list) else ()


def _ignored(composer: Any) -> frozenset[str]:
    found = _inside(composer, "extra", "laravel", "dont-discover")
    return frozenset(one for one in found if isinstance(one, str)) if isinstance(found, list) else frozenset()


def _inside(document: Any, *path: str) -> Any:
    for name in path:
        document = document.get(name) if isinstance(document, dict) else None
    return document


def _document(file: Path) -> Any:
    try:
        return json.loads(read_file(file))
    except (OSError, ValueError):
        return None
