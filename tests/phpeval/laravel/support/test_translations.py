"""Translations as a queue worker of real Laravel gives them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from bridge.jobs.resolve.resolution import Resolution
from bridge.jobs.resolve.rungs.php import PhpRung
from bridge.laravel.application import load
from bridge.laravel.language_files import LanguageFiles
from bridge.laravel.payload import read_payload
from bridge.phpeval.laravel.app_source import AppSource
from bridge.serve.wiring.ladder import build_ladder
from tests.phpeval.laravel.eloquent.app import App, Case, app, set_up_by_file
from tests.versions import laravel_version, release

LANG = "\\Illuminate\\Support\\Facades\\Lang::"
MESSAGES = """<?php

return [
    'welcome' => 'Welcome, :name! :Name and :NAME.',
    'order' => ['state' => ['paid' => 'Paid by :who', 'open' => 'Open'], 'dotted.key' => 'dotted'],
    'list' => ['first :a', 'second :A'],
    'apples' => '{0} No apples|{1} :count apple|[2,9] :count apples for :who|[10,*] many',
    'plain' => 'one apple|many apples',
    'mixed' => '{1} just one|some|:count others',
    'open' => '[*,5] few | [6,*] lots ',
    'words' => '[1,] odd|even',
    'three' => ':count день|:count дня|:count дней',
    'empty' => '', 'zero' => '0', 'number' => 7, 'null' => null,
    'joined' => 'a ' . 'b' . PHP_EOL,
    'unknown' => strtoupper('x'),
    'only' => 'only English',
    5 => 'five',
];
"""
LINES = {
    "Hello :name": "Hallo :name",
    "Hello :name, you have :n": "Du hast :n, :Name",
    "": "nothing", "empty": "", "0": "null", "404": "Nicht gefunden", "Näme": "Ümläut :näme",
    "messages.json": "JSON first", "list": ["a"], "count": "1 Ding|:count Dinge",
}  # fmt: skip
REPLACED = (
    "['name' => 'jürgen']", "['name' => null]", "['name' => true]", "['name' => 3.50]", "['name' => 12]",
    "['Name' => 'x', 'NAME' => 'y', 'name' => 'z']", "['name' => 'x', 'nam' => 'q']", "['NAME' => 'zed']",
    "['name' => ':Name', 'Name' => ':name']", "['a']", "['' => 'x']",
)  # fmt: skip
KEYS = (
    "messages.welcome", "messages.order", "messages.order.state.paid", "messages.order.dotted.key",
    "messages.nope", "messages.number", "../messages.welcome",
    "messages.empty", "messages.zero", "messages.null", "messages.joined", "messages.only",
    "messages.5", "messages.", "messages.order.", "nope", "nope.nope", "Hello :name", "", "empty", "0", "404",
    "Näme", "A sentence. And more.", "messages.json", "admin/users.title", "messages.list", "deep.a.b.c",
    "Hello :name, you have :n", ".", "x..y", " ", "validation.custom.nope", "pagination.next",
)  # fmt: skip
CALLS = [
    *(f"__({json.dumps(key, ensure_ascii=False)})" for key in KEYS),
    *(f"__('messages.welcome', {values})" for values in REPLACED),
    *(f"trans('Hello :name', {values}, 'de')" for values in REPLACED),
    "__()", "__(null)", "trans('messages.list', ['a' => 'x'])",
    "trans('messages.order.state', ['who' => 'ä'])",
    "__('messages.welcome', [], 'de')", "__('messages.only', [], 'de')", "__('Hello :name', [], 'fr')",
    "__('messages.welcome', ['name' => 'x'], '')",
    f"{LANG}get('messages.order.state.paid', ['who' => 'me'])", f"{LANG}has('messages.nope')",
    f"{LANG}has('messages.welcome')", f"{LANG}hasForLocale('messages.only', 'de')", f"{LANG}locale()",
    f"{LANG}has('Hello :name', 'de')", f"{LANG}getLocale()",
    *(
        f"trans_choice('messages.{key}', {number}, ['who' => 'Ann'])"
        for key in ("apples", "plain", "mixed", "open") for number in (0, 1, 2, 6, 10, 100)
    ),
    *(f"trans_choice('messages.three', {number}, [], 'ru')" for number in (0, 1, 2, 5, 11, 12, 21, 22, 111)),
    "trans_choice('messages.plain', [1, 2])", "trans_choice('messages.plain', collect([1]))",
    "trans_choice('messages.plain', 1, ['count' => 'own'])", "trans_choice('nope', 3)",
    "trans_choice('messages.mixed', 4, ['count' => 'own'])", "trans_choice('count', 4, [], 'de')",
    "trans_choice('messages.apples', 3, ['who' => 'a|b'])", "trans_choice('messages.only', 3, [], 'de')",
    "trans_choice('messages.plain', 2, [], 'fr')", f"{LANG}choice('messages.plain', 2)",
    "trans_choice('one|two', 2)", "trans_choice('messages.plain', 2, [], 'de')",
]  # fmt: skip
# Only PHP can tell these, or it throws.
LEFT = [
    "__('messages.unknown')", "__('pkg::messages.welcome')", "__('list')",
    "trans()", "trans('messages.welcome', null)", "trans_choice('messages.words', 2)",
    "trans_choice('messages.plain', 1.5)", "trans_choice('messages.plain', -1)", "__(5)", "__('*')",
    "__('x', [], 'a/b')", "__('broken.key')",
]  # fmt: skip


_OF_LARAVEL = re.compile("validation|pagination")  # from 10 on it has lines of its own for these


def _speaks(made: App, folder: str = "lang") -> None:
    """Its language files."""
    set_up_by_file(made, provider="Illuminate\\Translation\\TranslationServiceProvider::class")
    for file, text in {
        "en/messages.php": MESSAGES,
        "de/messages.php": "<?php return ['welcome' => 'Willkommen, :name', 'plain' => 'eins|viele'];",
        "ru/messages.php": MESSAGES,
        "en/admin/users.php": "<?php declare(strict_types=1);\nreturn ['title' => 'Users'];",
        "en/deep.php": "<?php return ['a' => ['b' => ['c' => 'ground']]];",
        "en/broken.php": "<?php return ['key' => ",
        "en.json": json.dumps({**LINES, "Hello :name": "Hello there :name"}),
        "de.json": json.dumps(LINES, ensure_ascii=False),
    }.items():
        place = made.path / folder / file
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, encoding="utf-8")


def _payload(made: App, calls: Sequence[str]) -> bytes:
    case = Case(made)
    entries = ", ".join(f"{number} => {call}" for number, call in enumerate(calls))
    case.event(f"public $post; public function broadcastWith() {{ return ['it' => [{entries}]]; }}")
    return case.payload(post=None)


def _answers(made: App, payload: bytes) -> tuple[Resolution, Resolution]:
    """PHP's, and bridge's with the booted app's report."""
    with closing(PhpRung(made.path)) as php:
        return _resolved(made, payload, php, "php"), _resolved(made, payload, php, "native", "php")


def _resolved(made: App, payload: bytes, php: PhpRung, *only: str) -> Resolution:
    laravel = load(made.path, {}, laravel_version())
    with closing(build_ladder(laravel, {}, only=only, php=php, report=php.report)) as ladder:
        return ladder.resolve(read_payload(payload))


@pytest.mark.parametrize("folder", ["lang", "resources/lang"])
def test_translations_are_laravels(tmp_path: Path, folder: str) -> None:
    with app(tmp_path / "app") as made:
        _speaks(made, folder)
        calls = CALLS if release() < (10, 0) else [one for one in CALLS if not _OF_LARAVEL.search(one)]
        payload = _payload(made, calls if folder == "lang" else calls[:3])
        ours, theirs = made.native(payload), made.laravel(payload)
        assert ours.outcome == "broadcast", ours.why
        assert theirs.outcome == "broadcast", theirs.why
        mine, real = (json.loads(one.broadcasts[0].data)["it"] for one in (ours, theirs))
        assert [[calls[at], mine[at]] for at in range(len(mine)) if mine[at] != real[at]] == []
        assert ours.broadcasts == theirs.broadcasts
        if folder == "lang":
            for call in LEFT:
                assert made.native(_payload(made, [call])).outcome == "refused", call


@pytest.mark.parametrize(
    ("boots", "told"),
    [
        ("$this->app->setLocale('de');", True),
        ("config(['app.locale' => 'de']);", True),
        (f"{LANG}setFallback('de');", True),
        ("__('messages.welcome');", True),
        (f"{LANG}addLines(['messages.welcome' => 'added'], 'en');", False),
        ("$this->loadJsonTranslationsFrom(base_path('own'));", False),
        ("$this->app->useLangPath(base_path('own'));", False),
        ("$this->app->extend('translation.loader', fn ($l) => new class($l) extends "
         "\\Illuminate\\Translation\\ArrayLoader {});", False),
    ],
)  # fmt: skip
def test_what_an_app_changes_in_translations_is_right_or_refused(
    tmp_path: Path, boots: str, told: bool
) -> None:
    provider = (
        "namespace App\\Providers; class TestServiceProvider extends "
        f"\\Illuminate\\Support\\ServiceProvider {{ function boot() {{ {boots} }} }}"
    )
    with app(tmp_path / "app", provider) as made:
        _speaks(made)
        (made.path / "own/en").mkdir(parents=True)
        (made.path / "own/en.json").write_text('{"messages.welcome": "own"}')
        (made.path / "own/en/messages.php").write_text("<?php return ['only' => 'own'];")
        payload = _payload(made, ["__('messages.welcome')", "__('messages.only')", "__('nope')"])
        alone, (real, ours) = made.native(payload), _answers(made, payload)
        assert ours.broadcasts == real.broadcasts
        assert ours.by == ("native" if told else "php")
        assert alone.outcome == "refused" or alone.broadcasts == real.broadcasts


def test_language_files_are_read_anew_when_they_change(tmp_path: Path) -> None:
    now = 0.0
    with app(tmp_path / "app") as made:
        _speaks(made)
        payload = read_payload(_payload(made, ["__('messages.only')", "__('new.key')"]))
        laravel = load(made.path, {}, laravel_version())
        with closing(build_ladder(laravel, {}, only=("native",), clock=lambda: now)) as ladder:
            for change, new in (("", "new.key"), ("<?php return ['key' => 'New'];", "New")):
                if change:
                    (made.path / "lang/en/new.php").write_text(change)
                now += 5.0
                found = ladder.resolve(payload)
                assert json.loads(found.broadcasts[0].data)["it"] == ["only English", new], found.why


class _Busy(AppSource):
    """A file comes just as the folder of the language is looked at."""

    def watch(self, files: Iterable[str]) -> None:
        watched = list(files)
        if "lang/en" in watched:
            (self.path / "lang/en/new.php").write_text("<?php return ['key' => 'New'];")
        super().watch(watched)


def test_a_language_file_that_comes_while_they_are_listed_is_seen(tmp_path: Path) -> None:
    (tmp_path / "lang/en").mkdir(parents=True)
    source = _Busy(tmp_path)
    lines = LanguageFiles(source, "en", "")
    assert source.changed() or lines.group(b"en", b"new")


def test_the_language_that_a_job_leaves_behind_in_its_process_is_not_the_apps(tmp_path: Path) -> None:
    with app(tmp_path / "app") as made, closing(PhpRung(made.path)) as php:
        _speaks(made)
        asked, leaves = _payload(made, ["__('messages.welcome')"]), _payload(made, ["app()->setLocale('de')"])
        assert _resolved(made, leaves, php, "php").by == "php"
        ours, (real, _) = _resolved(made, asked, php, "native", "php"), _answers(made, asked)
        assert (ours.by, ours.broadcasts) == ("native", real.broadcasts)
