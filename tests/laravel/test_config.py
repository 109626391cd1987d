"""`config/*.php` against real PHP, which loads the same files with the same environment."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from bridge.errors import ConfigurationError, Refused
from bridge.laravel.config import Config, read_config
from bridge.laravel.config_file import slug
from bridge.laravel.config_values import Unknowable, Value, to_int, to_string
from bridge.laravel.dotenv import parse
from tests.phpeval.laravel.php import Php, php

ENV = {
    "APP_NAME": "Chat Demo",
    "APP_KEY": "base64:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
    "APP_PREVIOUS_KEYS": "one,,two",
    "APP_DEBUG": "true",
    "REDIS_PASSWORD": "null",
    "MINUTES": "5",
    "ZERO": "0",
    "EMPTY": "",
}

_REQUIRE = r"""
    if (! function_exists('base_path')) {
        class FakeApp extends Illuminate\Container\Container {
            public $base;
            function at($x, $p) { return $this->base.($x ? '/'.$x : '').($p != '' ? '/'.$p : ''); }
        }
        function the_app() { static $app; return $app ??= new FakeApp; }
        function base_path($p = '') { return the_app()->at('', $p); }
        function app_path($p = '') { return the_app()->at('app', $p); }
        function config_path($p = '') { return the_app()->at('config', $p); }
        function database_path($p = '') { return the_app()->at('database', $p); }
        function public_path($p = '') { return the_app()->at('public', $p); }
        function resource_path($p = '') { return the_app()->at('resources', $p); }
        function storage_path($p = '') { return the_app()->at('storage', $p); }
    }
    the_app()->base = $question['base'];
    foreach ($question['env'] as $name => $value) { $_SERVER[$name] = $value; }
    $result = [];
    foreach ($question['files'] as $name => $file) { $result[$name] = (fn () => require $file)(); }
    return $result;
"""

EXPRESSIONS = (Path(__file__).parent / "expressions.php").read_text(encoding="utf-8")


def load(base: Path, env: Mapping[str, str] = ENV, version: tuple[int, ...] | None = (10, 0)) -> Config:
    return read_config(
        base, env, cache=base / "bootstrap/cache/config.php", version=version, has_vendor=False, given={}
    )


def app(base: Path, **files: str) -> Path:
    (base / "config").mkdir()
    for name, text in files.items():
        (base / "config" / f"{name}.php").write_text(text, encoding="utf-8")
    return base


def differences(ours: Value, real: object, key: str = "") -> list[str]:
    """Keys at which a known value is not PHP's."""
    if isinstance(ours, Unknowable):
        return []
    if isinstance(ours, dict) and isinstance(real, dict | list):
        pairs = dict(enumerate(real)) if isinstance(real, list) else real
        if [str(k) for k in ours] != [str(k) for k in pairs]:
            return [f"{key}: keys {list(ours)} {list(pairs)}"]
        return [
            line
            for (name, value), other in zip(ours.items(), pairs.values(), strict=True)
            for line in differences(value, other, f"{key}.{name}")
        ]
    return [] if type(ours) is type(real) and ours == real else [f"{key}: {ours!r} {real!r}"]


@pytest.fixture(scope="module")
def requiring() -> Iterator[Php]:
    with php(_REQUIRE) as process:
        yield process


def asked(requiring: Php, base: Path, env: Mapping[str, str] = ENV) -> object:
    files = {path.stem: str(path) for path in sorted((base / "config").glob("*.php"))}
    answer = requiring.ask({"base": str(base), "env": env, "files": files})
    assert "ok" in answer, answer
    return answer["ok"]


def test_expressions_have_the_values_that_php_gives_them(tmp_path: Path, requiring: Php) -> None:
    config = load(app(tmp_path, all=EXPRESSIONS))
    real = asked(requiring, tmp_path)
    assert isinstance(real, dict)
    assert differences(config.get("all"), real["all"]) == []


def test_only_what_php_alone_can_tell_is_unknown(tmp_path: Path) -> None:
    config = load(app(tmp_path, all=EXPRESSIONS))

    def unknown(value: Value, key: str) -> list[str]:
        if isinstance(value, Unknowable):
            return [key]
        return (
            [k for name, v in value.items() for k in unknown(v, f"{key}.{name}")]
            if isinstance(value, dict)
            else []
        )

    assert unknown(config.get("all"), "") == [
        ".unknown.closure", ".unknown.call", ".unknown.new", ".unknown.version",
        ".unknown.inside.x", ".unknown.sum",
    ]  # fmt: skip


def test_an_unknown_names_its_file_and_line(tmp_path: Path) -> None:
    config = load(app(tmp_path, x="<?php\nreturn [\n  'a' => 1,\n  'b' => secret_of('canary'),\n];"))
    value = config.get("x.b.c")
    assert isinstance(value, Unknowable)
    assert (value.file, value.line) == (str(tmp_path / "config/x.php"), 4)
    with pytest.raises(
        ConfigurationError, match=r'x\.b \(.*config/x\.php:4\).*secret_of\(\).*"x\.b" = '
    ) as caught:
        config.text("x.b")
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ("<?php\nreturn [\n 'a' => ,\n];", 3),
        ("<?php\n\nif (PHP_OS) { return []; }\nreturn [];", 3),
        ("<?php\nfunction f() {}\nreturn [];", 2),
        ("<?php\n$x = [];\n$x['a'] = 1;\nreturn $x;", 3),
        ("<?php\n$a = 1;", 0),
        ("<?php\nreturn ['a' => php_uname($b = 1),\n'b' => $b ?? 2];", 2),
    ],
)
def test_a_file_that_does_more_than_return_an_array_is_unknown_as_a_whole(
    tmp_path: Path, source: str, line: int
) -> None:
    value = load(app(tmp_path, x=source)).get("x.a")
    assert isinstance(value, Unknowable)
    assert value.line == line


def test_a_variable_with_something_unknown_in_it_makes_unknown_what_reads_it(tmp_path: Path) -> None:
    source = (
        "<?php $a = [php_uname()];\n$b = 2; $a2 = 1;\nreturn ['a' => $a ?? 1, 'b' => $b, 'c' => fn () => $a];"
    )
    config = load(app(tmp_path, x=source))
    assert isinstance(config.get("x.a"), Unknowable)
    assert config.get("x.b") == 2
    assert isinstance(config.get("x.c"), Unknowable)


def test_dotted_keys_are_answered_as_by_laravel(tmp_path: Path) -> None:
    config = load(
        app(tmp_path, x="<?php return ['a' => ['b' => null, 3 => 'three'], 'c' => false, 'd' => 1.0];")
    )
    assert config.get("x.a.b", "default") is None
    assert config.get("x.a.3") == "three"
    assert config.get("x.a.none", "default") == "default"
    assert config.get("x.c.none", "default") == "default"
    assert config.get("x.c") is False
    assert isinstance(config.get("x.d"), float)
    assert config.get("none") is None


def test_a_folder_below_config_is_part_of_the_key(tmp_path: Path) -> None:
    (app(tmp_path, x="<?php return [];") / "config/sub").mkdir()
    (tmp_path / "config/sub/y.php").write_text("<?php return ['z' => 1];")
    assert load(tmp_path).get("sub.y.z") == 1


def test_the_cached_configuration_alone_counts(tmp_path: Path) -> None:
    app(tmp_path, x="<?php return ['from' => 'file'];", only="<?php return [1];")
    (tmp_path / "bootstrap/cache").mkdir(parents=True)
    (tmp_path / "bootstrap/cache/config.php").write_text(
        "<?php return array (\n 'x' => array (\n 'from' => 'cache', 'n' => -1, 'nul' => 'a' . \"\\0\" . 'b',"
        "\n 'o' => \\Foo\\Bar::__set_state(array('a' => 1)), 's' => (object) array(), ), 'app' => array(), );"
    )
    config = load(tmp_path, version=(12, 0))
    assert config.cached
    assert config.get("x.from") == "cache"
    assert config.get("x.n") == -1
    assert config.get("x.nul") == "a\0b"
    assert isinstance(config.get("x.o"), Unknowable)
    assert isinstance(config.get("x.s"), Unknowable)
    assert config.get("only") is None
    assert config.get("app.name") is None


def test_from_11_on_the_frameworks_options_lie_under_those_of_the_app(tmp_path: Path) -> None:
    app(
        tmp_path,
        queue="<?php return ['default' => 'mine', 'connections' => ['mine' => ['driver' => 'redis'], "
        "'database' => ['driver' => 'database']]];",
    )
    new = load(tmp_path, version=(11, 5))
    assert new.get("queue.default") == "mine"
    assert new.get("queue.failed.table") == "failed_jobs"
    assert new.get("queue.connections.redis.queue") == "default"
    assert new.get("queue.connections.database.table") is None
    assert isinstance(new.get("queue.batching"), Unknowable)
    for name in ("mysql", "mariadb"):
        assert new.get(f"database.connections.{name}.strict") is True
        assert new.get(f"database.connections.{name}.collation") == "utf8mb4_unicode_ci"
    old = load(tmp_path, version=(10, 5))
    assert old.get("queue.failed.table") is None
    assert old.get("queue.connections.redis") is None


@pytest.mark.parametrize(
    ("version", "env", "expected"),
    [
        ((8, 83), {}, ["sync", "mysql", "laravel_database_", "null", 90]),
        ((10, 48), {"DB_QUEUE_RETRY_AFTER": "30"}, ["sync", "mysql", "laravel_database_", "null", 90]),
        ((11, 0), {"DB_QUEUE_RETRY_AFTER": "30"}, ["database", "sqlite", "laravel_database_", "null", 30]),
        ((12, 1), {"APP_NAME": "My App"}, ["database", "sqlite", "my-app-database-", "null", 90]),
        (
            (13, 0),
            {"BROADCAST_CONNECTION": "reverb"},
            ["database", "sqlite", "laravel-database-", "reverb", 90],
        ),
        (None, {"BROADCAST_DRIVER": "pusher"}, ["sync", "mysql", "laravel_database_", "pusher", 90]),
        (None, {"BROADCAST_CONNECTION": "pusher"}, ["database", "sqlite", "laravel_database_", "pusher", 90]),
        (None, {"REDIS_PREFIX": "own:"}, ["database", "sqlite", "own:", "null", 90]),
        ((12, 1), {"REDIS_PREFIX": ""}, ["database", "sqlite", "", "null", 90]),
    ],
)
def test_a_folder_without_config_has_the_defaults_of_its_version(
    tmp_path: Path, version: tuple[int, ...] | None, env: dict[str, str], expected: list[Value]
) -> None:
    config = load(tmp_path, env, version)
    keys = [
        "queue.default", "database.default", "database.redis.options.prefix", "broadcasting.default",
        "queue.connections.database.retry_after",
    ]  # fmt: skip
    assert [config.get(key) for key in keys] == expected
    assert isinstance(config.get("chat.prefix"), Unknowable)


def test_what_the_user_gives_stands_in_place_of_the_apps(tmp_path: Path) -> None:
    app(tmp_path, x="<?php return ['a' => unknown(), 'c' => ['d' => 1]];")
    config = read_config(
        tmp_path,
        {},
        cache=tmp_path / "none",
        version=None,
        has_vendor=False,
        given={"x.a": "mine", "x.c.e": 2},
    )
    assert config.text("x.a") == "mine"
    assert config.names("x.c") == ("d", "e")


def test_no_value_shows_in_a_repr(tmp_path: Path) -> None:
    config = load(app(tmp_path, x="<?php return ['a' => 'canary'];"))
    assert "canary" not in repr(config)


_SCALARS: list[Value] = [
    None, True, False, 0, 1, -1, 1.5, "", "0", "1", "01", " 1", "1 ", "1e1", "10", "a", "0.0", "-", 10,
]  # fmt: skip


def test_text_and_int_are_phps() -> None:
    with php("return [(string) $question, (int) $question];") as process:
        for value in _SCALARS:
            assert [to_string(value), to_int(value)] == process.ask(value)["ok"], json.dumps(value)


def test_a_slug_is_laravels_or_no_answer() -> None:
    titles = [
        "Laravel",
        "My App",
        "A@b.c",
        "--A__b  C--",
        "Größe_Ünï Łódź",
        "O'Neil & Sons",
        "ÆØÅ æøå ßþð đĐ ı",
    ]
    titles += [f"q{chr(code)}q" for code in range(0x80, 0x250)]
    with php("return Illuminate\\Support\\Str::slug($question[0], $question[1]);") as process:
        for title in titles:
            for separator in "-_":
                try:
                    ours = slug(title, separator)
                except Refused:
                    assert title in titles[7:], f"{title} has no slug"
                    continue
                assert ours == process.ask([title, separator])["ok"], title


def test_the_recorded_apps_configuration_is_known_as_a_whole(requiring: Php) -> None:
    base = Path(__file__).parents[2] / "fixtures/payloads"
    env = parse((base / ".env").read_text(encoding="utf-8"), {})
    config = load(base, env)
    real = asked(requiring, base, env)
    assert isinstance(real, dict)
    assert [line for name in real for line in differences(config.get(name), real[name], name)] == []
    assert not any(isinstance(config.get(name), Unknowable) for name in real)
    assert config.get("chat.channels.staff") == "staff.acme"
