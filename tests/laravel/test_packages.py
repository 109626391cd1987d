"""Which packages an app loads, by what Laravel and Composer have written down, and what their source says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bridge.laravel.app_report import AppReport
from bridge.laravel.boot_source import report_from_source
from bridge.phpeval.laravel.app_source import AppSource

BEFORE_JOBS = "class {} extends \\Illuminate\\Support\\ServiceProvider {{ public function boot() {{ {} }} }}"
HEARS = "\\Queue::before(function () {});"
MANIFEST = (
    "<?php return array (\n  'acme/hooks' => \n  array (\n    'providers' => \n    array (\n      0 => "
)
LISTS = "<?php return ['providers' => [\n    App\\Providers\\AppServiceProvider::class,\n    {}\n]];"


@pytest.fixture
def app(tmp_path: Path) -> Path:
    (tmp_path / "composer.json").write_text('{"autoload": {"psr-4": {"App\\\\": "app/"}}}')
    return tmp_path


def write(app: Path, file: str, text: str) -> None:
    (app / file).parent.mkdir(parents=True, exist_ok=True)
    (app / file).write_text(text)


def installed(app: Path, *, body: str = HEARS, providers: tuple[str, ...] = ()) -> None:
    """The package acme/hooks in vendor/; `providers`: those that it names for discovery."""
    package = {
        "name": "acme/hooks",
        "install-path": "../acme/hooks",
        "autoload": {"psr-4": {"Acme\\Hooks\\": "src/"}},
        "extra": {"laravel": {"providers": list(providers)}},
    }
    write(app, "vendor/composer/installed.json", json.dumps({"packages": [package]}))
    code = "<?php namespace Acme\\Hooks;\n" + BEFORE_JOBS.format("HooksServiceProvider", body)
    write(app, "vendor/acme/hooks/src/HooksServiceProvider.php", code)


def told(app: Path) -> AppReport:
    return report_from_source(AppSource(app))


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("config/app.php", "Acme\\Hooks\\HooksServiceProvider::class,"),
        ("config/app.php", "'Acme\\\\Hooks\\\\HooksServiceProvider',"),
        ("bootstrap/providers.php", "\\Acme\\Hooks\\HooksServiceProvider::class,"),
        ("bootstrap/cache/services.php", "0 => 'Acme\\\\Hooks\\\\HooksServiceProvider',"),
    ],
)
def test_a_provider_that_the_app_names_is_read(app: Path, file: str, line: str) -> None:
    installed(app)
    assert told(app).everything == ()  # the package names none for discovery
    write(app, file, LISTS.replace("{}", line))
    (reason,) = told(app).everything
    assert reason.file == "vendor/acme/hooks/src/HooksServiceProvider.php"


@pytest.mark.parametrize(
    "line", ["// Acme\\Hooks\\HooksServiceProvider::class,", "/* Acme\\Hooks\\HooksServiceProvider */"]
)
def test_one_in_a_comment_is_not(app: Path, line: str) -> None:
    installed(app)
    write(app, "config/app.php", LISTS.replace("{}", line))
    assert told(app).everything == ()


def test_what_laravel_has_noted_counts(app: Path) -> None:
    installed(app, providers=("Acme\\Hooks\\HooksServiceProvider",))
    assert told(app).everything
    write(app, "bootstrap/cache/packages.php", "<?php return array ();")
    assert told(app).everything == ()
    write(app, "bootstrap/cache/packages.php", MANIFEST + "'Acme\\\\Hooks\\\\HooksServiceProvider',),),);")
    assert told(app).everything


def test_a_provider_of_which_nobody_knows_the_source_may_change_models(app: Path) -> None:
    write(app, "config/app.php", LISTS.replace("{}", "Nobody\\Knows\\ThisServiceProvider::class,"))
    assert told(app).everything == ()
    (reason,) = told(app).models
    assert "Nobody\\Knows\\ThisServiceProvider" in reason.text


def test_one_that_chooses_the_database_by_tenant_refuses_every_event(app: Path) -> None:
    write(app, "config/app.php", LISTS.replace("{}", "Stancl\\Tenancy\\TenancyServiceProvider::class,"))
    (reason,) = told(app).everything
    assert "tenant" in reason.text


def test_listeners_that_are_cached_are_read(app: Path) -> None:
    noted = "array ('Illuminate\\\\Queue\\\\Events\\\\JobProcessing' => array ('x@handle'))"
    events = f"<?php return array ('A' => {noted});"
    write(app, "bootstrap/cache/events.php", events)
    (reason,) = told(app).everything
    assert reason.file == "bootstrap/cache/events.php"


@pytest.mark.parametrize(
    ("code", "concerns"),
    [
        ("class Lines { function load() { $this->loadTranslationsFrom(base_path('own')); } }", "lines"),
        ("class Lines { function load() { $this->loadTranslationsFrom(f(1, 'b')); f(1, 'c'); } }", "lines"),
        ("class Lines { function load() { $this->loadTranslationsFrom(f('a'), null); } }", "lines"),
        ("class Lines { function load() { $this->loadTranslationsFrom(f('a', 1), 'own'); } }", ""),
        ("class Kit { function load($package) { $package->name('kit')->hasTranslations(); } }", "lines"),
        ("class Language { function choose() { app()->setLocale('de'); } }", "sets_locale"),
        ("class Language { function choose() { \\App :: setlocale('de'); } }", "sets_locale"),
        ("class Language { function setLocale($to) { } }", ""),
        ("use Illuminate\\Database\\Eloquent\\Builder as Q; class A { function b() { Q::macro(1); } }",
         "queries"),
        ("use Illuminate\\Database\\Eloquent\\{Builder as Q}; class A { function b() { Q::mixin(); } }",
         "queries"),
        ("use A\\Builder as Q; class A { function b() { foreach (C as $d) { R::macro(); } } }", ""),
        ("use Illuminate\\Translation\\Translator as Base; class Own extends Base { }", "lines"),
        ("use Illuminate\\Support\\Facades\\Broadcast as B; class A { function b() { B::extend('x', 1); } }",
         "everything"),
    ],
)  # fmt: skip
def test_what_a_class_of_the_app_changes_is_found(app: Path, code: str, concerns: str) -> None:
    write(app, "app/Services/Own.php", f"<?php namespace App\\Services;\n{code}")
    report = told(app)
    for name in ("lines", "sets_locale", "queries", "everything"):
        assert bool(getattr(report, name)) == (name == concerns), (name, getattr(report, name))


def test_a_change_of_what_is_noted_is_seen(app: Path) -> None:
    installed(app)
    source = AppSource(app)
    report_from_source(source)
    assert not source.changed()
    write(app, "bootstrap/cache/packages.php", MANIFEST + "'Acme\\\\Hooks\\\\HooksServiceProvider',),),);")
    assert source.changed()
