"""Packages whose service providers the app loads by itself, and what is known of the common ones.

Laravel finds them in vendor/composer/installed.json, but for those that the app's composer.json names under
`extra.laravel.dont-discover`. Where vendor/ is not there, composer.lock says the same.
Source: Foundation/PackageManifest.php of 8 to 13.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Packages whose providers change neither how models are read nor what a job does: what they register hears of
# jobs, queries and errors and writes that down, or has nothing to do with either. A vendor/* stands for all.
_HARMLESS = """
    barryvdh/laravel-debugbar barryvdh/laravel-dompdf barryvdh/laravel-ide-helper barryvdh/laravel-snappy
    beyondcode/laravel-dump-server beyondcode/laravel-websockets blade-ui-kit/* bugsnag/bugsnag-laravel
    dedoc/scramble facade/ignition fideloper/proxy filament/* fruitcake/laravel-cors
    fruitcake/laravel-debugbar honeybadger-io/honeybadger-laravel inertiajs/inertia-laravel
    inspector-apm/inspector-laravel intervention/image intervention/image-laravel itsgoingd/clockwork
    jenssegers/agent kirschbaum-development/eloquent-power-joins knuckleswtf/scribe
    laravel/boost laravel/breeze laravel/cashier laravel/dusk laravel/envoy laravel/folio laravel/fortify
    laravel/helpers laravel/horizon laravel/jetstream laravel/mcp laravel/nightwatch laravel/octane
    laravel/pail laravel/passport laravel/pennant laravel/pint laravel/prompts laravel/pulse laravel/reverb
    laravel/roster laravel/sail laravel/sanctum laravel/scout laravel/slack-notification-channel
    laravel/socialite laravel/telescope laravel/tinker laravel/ui laravel/vonage-notification-channel
    laravel/wayfinder laravel-lang/* laravel-notification-channels/* livewire/flux livewire/livewire
    livewire/volt maatwebsite/excel nesbot/carbon nunomaduro/collision nunomaduro/laravel-mojito
    nunomaduro/termwind opcodesio/log-viewer pestphp/* php-open-source-saver/jwt-auth
    predis/predis pusher/pusher-php-server rap2hpoutre/laravel-log-viewer rollbar/rollbar-laravel
    ryangjchandler/* sentry/sentry-laravel simplesoftwareio/simple-qrcode
    spatie/laravel-backup spatie/laravel-collection-macros spatie/laravel-csp
    spatie/laravel-error-share spatie/laravel-fractal spatie/laravel-google-calendar spatie/laravel-html
    spatie/laravel-ignition spatie/laravel-medialibrary spatie/laravel-newsletter spatie/laravel-permission
    spatie/laravel-query-builder spatie/laravel-ray spatie/laravel-responsecache spatie/laravel-sitemap
    spatie/laravel-tags spatie/laravel-translatable spatie/laravel-webhook-client spatie/once
    stechstudio/filament-impersonate symfony/* tightenco/ziggy tymon/jwt-auth yajra/laravel-datatables-oracle
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


def discovered(path: Path) -> tuple[Package, ...]:
    """The packages of the app in `path` whose providers Laravel loads."""
    ignored = _ignored(_document(path / "composer.json"))
    if "*" in ignored:
        return ()
    installed = _document(path / "vendor/composer/installed.json")
    listed = installed if installed is not None else _document(path / "composer.lock")
    found = []
    for package in _packages(listed):
        name, providers = package.get("name"), _providers(package)
        if not isinstance(name, str) or not providers or name in ignored:
            continue
        given = package.get("install-path")
        place = f"vendor/composer/{given}" if isinstance(given, str) else f"vendor/{name}"
        folder = os.path.normpath(place)
        there = (path / folder).is_dir()
        found.append(Package(name=name, providers=providers, folder=folder if there else None))
    return tuple(found)


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
        return json.loads(file.read_bytes())
    except (OSError, ValueError):
        return None
