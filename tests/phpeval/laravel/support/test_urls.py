"""Addresses as a queue worker of real Laravel makes them, under many an `app.url`."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from bridge.jobs.resolve.resolution import Resolution
from bridge.jobs.resolve.rungs.php import PhpRung
from bridge.laravel.application import load
from bridge.laravel.payload import read_payload
from bridge.serve.wiring.ladder import build_ladder
from tests.phpeval.laravel.eloquent.app import QUIET_PROVIDER, App, Case, app, set_up_by_file
from tests.versions import laravel_version

PATHS = (
    "''", "'/'", "'//a'", "'img/logo.png'", "'/img/logo.png'", "'img//x/'", "'a b/ü?x=1&y=/2/'", "'#top'",
    "'?q=1'", "'https://other.test/x/'", "'mailto:a@b.test'", "'tel:1'", "'storage/' . 5", "'a?b?c'", "'%41'",
    "7", "'0'", "'index.php/x'", "'a/../b'", "' a '",
)  # fmt: skip
CALLS = [f"{name}({path})" for name in ("url", "asset") for path in PATHS] + [
    "url('users', [5, 'a b', 'x/y~z'])",
    "url('users/', ['k' => 5])",
    "url('users?x=1', ['7'])",
    "url('users', 'ann')",
    "url('', [1])",
]
# app.url, app.asset_url, whether they are answered natively
ROOTS = [
    ("http://localhost", "", True),
    ("https://shop.test", "", True),
    ("http://shop.test:8080", "https://cdn.test/x", True),
    ("https://a-b.c.test:443", "", True),
    ("http://x:80", "", True),
    ("https://shop.test", "https://cdn.test/", False),
    ("https://shop.test/", "", False),
    ("https://shop.test/app", "", False),
    ("http://Shop.test", "", False),
    ("shop.test", "", False),
]


@pytest.mark.parametrize(("at", "assets", "plain"), ROOTS)
def test_addresses_are_laravels(tmp_path: Path, at: str, assets: str, plain: bool) -> None:
    given = {"APP_URL": at} | ({"ASSET_URL": assets} if assets else {})
    made = App(tmp_path / "app", QUIET_PROVIDER, **given)
    set_up_by_file(made, "'asset_url' => env('ASSET_URL')")
    with closing(made):
        case = Case(made)
        entries = ", ".join(f"{number} => {call}" for number, call in enumerate(CALLS))
        case.event(f"public $post; public function broadcastWith() {{ return ['it' => [{entries}]]; }}")
        payload = case.payload(post=None)
        ours, theirs = made.native(payload), made.laravel(payload)
        assert ours.outcome == ("broadcast" if plain else "refused"), ours.why
        if plain:
            assert ours.broadcasts == theirs.broadcasts


FORCED = "\\Illuminate\\Support\\Facades\\URL::"


@pytest.mark.parametrize(
    ("boots", "told"),
    [
        (f"{FORCED}forceScheme('https');", True),
        (f"{FORCED}forceRootUrl('https://other.test/shop');", True),
        ("$this->app['url']->forceRootUrl('http://other.test');", True),
        (f"{FORCED}formatPathUsing(fn ($path) => '/en' . $path);", False),
        (f"{FORCED}formatHostUsing(fn ($host) => 'https://own.test');", False),
        ("config(['app.url' => 'https://set.test']);", True),
        ("$this->app['request']->server->set('HTTPS', 'on');", True),
    ],
)
def test_what_an_app_forces_on_addresses_is_right_or_refused(tmp_path: Path, boots: str, told: bool) -> None:
    provider = (
        "namespace App\\Providers; class TestServiceProvider extends "
        f"\\Illuminate\\Support\\ServiceProvider {{ function boot() {{ {boots} }} }}"
    )
    with app(tmp_path / "app", provider, APP_URL="http://localhost") as made:
        set_up_by_file(made, "'asset_url' => env('ASSET_URL')")
        case = Case(made)
        case.event("public $post; public function broadcastWith() { return [url('a'), asset('/b')]; }")
        payload = case.payload(post=None)
        assert made.native(payload).outcome == "refused"
        answers = [_resolved(made, payload, only) for only in (("php",), ("native", "php"))]
        assert answers[0].broadcasts == answers[1].broadcasts
        assert answers[1].by == ("native" if told else "php")


@pytest.mark.parametrize("bound", ["'url'", "\\Illuminate\\Contracts\\Routing\\UrlGenerator::class"])
def test_an_app_with_an_url_generator_of_its_own_is_refused(tmp_path: Path, bound: str) -> None:
    provider = (
        "namespace App\\Providers; class TestServiceProvider extends "
        "\\Illuminate\\Support\\ServiceProvider { function register() { BODY } }"
    )
    binding = f"$this->app->singleton({bound}, fn () => new \\App\\Addresses());"
    for body, outcome in (("", "broadcast"), (binding, "refused")):
        made_at = tmp_path / outcome
        with app(made_at, provider.replace("BODY", body), APP_URL="http://localhost") as made:
            set_up_by_file(made, "'asset_url' => env('ASSET_URL')")
            case = Case(made)
            case.event("public $post; public function broadcastWith() { return [url('a')]; }")
            assert made.native(case.payload(post=None)).outcome == outcome


def _resolved(made: App, payload: bytes, only: Sequence[str]) -> Resolution:
    with closing(PhpRung(made.path)) as php:
        laravel = load(made.path, {}, laravel_version())
        ladder = build_ladder(laravel, {}, only=only, php=php, report=php.report)
        with closing(ladder):
            return ladder.resolve(read_payload(payload))
