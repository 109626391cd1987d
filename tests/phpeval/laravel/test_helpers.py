"""Laravel's global functions by bridge and by Laravel 8 under PHP."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import pytest

from bridge.laravel.config import Config
from bridge.laravel.config_file import env
from bridge.laravel.config_values import Unknowable
from bridge.phpeval.laravel.helpers import FUNCTIONS, laravel_classes, laravel_functions
from bridge.phpeval.laravel.version import Version
from bridge.phpeval.php import functions
from bridge.phpeval.php.evaluator import new_evaluator
from tests.phpeval.laravel.evaluation import NOW, Outcome, TestEnvironment, laravel, natively, really
from tests.phpeval.laravel.php import Php

CONFIG = Config(
    items={
        "app": {"name": "Shop", "debug": False, "none": None},
        "chat": {
            "channels": {"lobby": "lobby.1"},
            "hosts": {0: "a", 1: "b"},
            "secret": Unknowable("a closure", "x"),
        },
    },
    files={},
    overrides={},
)
ENV = {"CHAT_PREFIX": "pre", "ON": "true", "EMPTY": "(empty)", "NUMBER": "5", "QUOTED": '"a b"'}


@pytest.fixture(scope="module")
def peer() -> Iterator[Php]:
    with laravel() as running:
        yield running


@cache
def environment(version: Version = (8, 83)) -> TestEnvironment:
    return TestEnvironment(
        natives=laravel_classes(lambda: NOW, "Europe/Berlin", "en", CONFIG),
        functions={**functions.FUNCTIONS, **laravel_functions(CONFIG, env(ENV))},
        constants=functions.CONSTANTS,
        version=version,
    )


DATA = """$i = ['a' => ['b' => [['n' => 1], ['n' => 2]], 'c' => null, 'd.e' => 5],
 'x' => new Collection([['n' => 7]]),
 'o' => (object) ['p' => (object) ['q' => 3], 'z' => null]]; """
BLANKS = (
    "null",
    "''",
    "'  '",
    "'a'",
    "0",
    "false",
    "[]",
    "[0]",
    "new Collection([])",
    "new Collection([1])",
    "0.0",
)
CALLS: dict[str, tuple[str, ...]] = {
    "blank": BLANKS,
    "filled": BLANKS,
    "class_basename": ("'App\\\\Models\\\\User'", "new Collection([])", "'Plain'", "''"),
    "collect": ("", "[1, 2]", "null", "'a'", "collect([3])"),
    "data_get": (
        "$i, 'a.b.0.n'",
        "$i, 'a.b.*.n'",
        "$i, 'a.c', 9",
        "$i, 'a.q', 9",
        "$i, ['a', 'd.e']",
        "$i, 'x.0.n'",
        "$i, 'x.*.n'",
        "$i, 'o.p.q'",
        "$i, 'o.z', fn () => 4",
        "$i, 'o.none', 5",
        "$i, null",
        "null, 'a', 3",
        "$i, 'a.*.*.n'",
        "$i, 'a.b.9.n', 1",
        "5, '*', 2",
    ),
    "e": ("'<a href=\"x\">T&amp;C\\'s</a>'", "null", "5", "'é'"),
    "head": ("[3, 4]", "['x' => 1]", "[]"),
    "last": ("[3, 4]", "['x' => 1, 'y' => 2]", "[]"),
    "now": ("", "'Asia/Tokyo'"),
    "today": ("", "'Asia/Tokyo'"),
    "optional": ("5, fn ($v) => $v + 1", "null, fn ($v) => 1"),
    "tap": ("collect([1]), fn ($c) => $c->push(2)",),
    "throw_if": ("false, 'x'", "0"),
    "throw_unless": ("true", "5"),
    "transform": (
        "5, fn ($v) => $v * 2",
        "'', fn ($v) => 1, 7",
        "null, fn ($v) => 1",
        "null, fn ($v) => 1, fn ($v) => [$v]",
    ),
    "value": ("5", "fn () => 6", "fn ($a, $b) => $a . $b, 'x', 'y'"),
    "with": ("5", "5, fn ($v) => $v + 1"),
}
# These want an app: test_urls.py has the addresses, test_translations.py the translations.
BARE = {
    "__",
    "asset",
    "config",
    "env",
    "request",
    "info",
    "logger",
    "str",
    "illuminate\\support\\enum_value",
    "trans",
    "trans_choice",
    "url",
}


def test_every_function_has_a_case() -> None:
    assert laravel_functions(CONFIG, env(ENV)).keys() == CALLS.keys() | BARE
    assert FUNCTIONS.keys() <= CALLS.keys() | BARE


@pytest.mark.parametrize("name", sorted(CALLS))
def test_every_function_gives_what_laravel_gives(name: str, peer: Php) -> None:
    for arguments in CALLS[name]:
        code = f"{DATA} return {name}({arguments});"
        theirs = code
        if name in ("now", "today"):  # these ask the container, which a bare PHP has not
            theirs = f"return \\Illuminate\\Support\\Carbon::{name}({arguments});"
        assert natively(environment(), code) == really(peer, theirs, zone="Europe/Berlin"), code


@pytest.mark.parametrize(
    "use",
    [
        "$o->name",
        "$o->none",
        "$o->name ?? 'd'",
        "$o->none ?? 'd'",
        "isset($o->name)",
        "isset($o->none)",
        "empty($o->name)",
        "$o['k']",
        "isset($o['k'])",
        "$o->method()",
        "json_encode(['o' => $o])",
        "$o->list",
        "(bool) $o",
    ],
)
@pytest.mark.parametrize(
    "held", ["null", "5", "(object) ['name' => 'n', 'list' => [1]]", "['k' => 1, 'name' => 2]"]
)
def test_optional_gives_what_laravel_gives(held: str, use: str, peer: Php) -> None:
    code = f"$o = optional({held}); return {use};"
    mine = natively(environment(), code)
    if mine.kind != "refused":
        assert mine == really(peer, code)


@pytest.mark.parametrize(
    ("code", "value"),
    [
        ("config('app.name')", "Shop"),
        ("config('chat.channels.lobby')", "lobby.1"),
        ("config('chat.channels')['lobby']", "lobby.1"),
        ("implode(config('chat.hosts'))", "ab"),
        ("config('chat.hosts.1')", "b"),
        ("config('chat.nope', 'd')", "d"),
        ("config('chat.nope', fn () => 'e')", "e"),
        ("config('app.none', 'd') ?? 'null'", "null"),
        ("config('app.debug') === false ? 'false' : 'other'", "false"),
        ("\\Illuminate\\Support\\Facades\\Config::get('app.name')", "Shop"),
        ("\\Config::get('nope', 'd')", "d"),
        ("\\Config::has('app.name') ? 'y' : 'n'", "y"),
        ("env('CHAT_PREFIX')", "pre"),
        ("env('NOPE', 'd')", "d"),
        ("env('ON') === true ? 'y' : 'n'", "y"),
        ("env('EMPTY')", ""),
        ("env('QUOTED')", "a b"),
        ("\\Illuminate\\Support\\Facades\\Log::info('x', ['a' => 1]) ?? 'null'", "null"),
        ("\\Log::channel('slack')->error('x') ?? 'null'", "null"),
        ("logger('x') ?? logger()->debug('y') ?? info('z') ?? 'null'", "null"),
    ],
)
def test_configuration_and_log(code: str, value: str) -> None:
    assert natively(environment(), f"return {code};") == Outcome("value", ["bytes", value.encode()])


@pytest.mark.parametrize(
    "code",
    [
        "config('chat.secret')",
        "config()",
        "config(['a' => 1])",
        "config('chat')",
        "url('/')",
        "route('x')",
        "str('a')",
        "blank(Str::of(''))",
        "tap(5)",
    ],
)
def test_what_only_php_can_tell_is_refused(code: str) -> None:
    assert natively(environment(), f"return {code};").kind == "refused"


def test_str_is_there_from_laravel_9_on() -> None:
    assert natively(environment((9, 0)), "return (string) str('ab')->upper();").content == ["bytes", b"AB"]


def test_enum_value_gives_names_and_values() -> None:
    newer, name = new_evaluator(environment((11, 36))), "illuminate\\support\\enum_value"
    enum_value = laravel_functions(CONFIG, env(ENV))[name]
    assert enum_value(newer, [b"a"]) == b"a"
    assert enum_value(newer, [None, 3]) == 3
