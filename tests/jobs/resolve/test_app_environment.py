"""What the app's providers and bootstrap files change for every event, and what a deploy changes."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.errors import Refused
from bridge.jobs.resolve.app_environment import AppEnvironment, EnvironmentCache
from bridge.laravel.application import load
from bridge.laravel.payload import read_payload
from bridge.phpeval.laravel.app_source import AppSource
from bridge.phpeval.php.evaluator import new_evaluator
from bridge.phpeval.php.runtime.values import PhpObject
from bridge.serve.wiring.environment import shared_environment
from bridge.serve.wiring.ladder import build_ladder
from tests.phpeval.laravel.eloquent.app import App, Case, app, job

PROVIDER = """
    namespace App\\Providers;
    use App\\SPACE\\{Post, User, Watcher};
    use Illuminate\\Support\\Facades\\{Broadcast, Config, Date, DB, Event};
    class TestServiceProvider extends \\Illuminate\\Support\\ServiceProvider { function boot() { BODY } }
"""
HIDE = "function ($model) { $model->setHidden(['secret']); }"


@pytest.fixture
def own(tmp_path: Path) -> Iterator[App]:
    with app(tmp_path / "app") as made:
        yield made


def booting(case: Case, body: str, *, file: str = "app/Providers/TestServiceProvider.php") -> None:
    """The provider runs `body`; the event sends the post, its user, a moment and a setting."""
    source = PROVIDER.replace("SPACE", case.space.partition("\\")[2]).replace("BODY", body)
    path = case.app.path / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"<?php {source}")


def whole(case: Case, expression: str = "[$this->post, $this->post->user]") -> None:
    case.post("function user() { return $this->belongsTo(User::class); }", created_at="2024-01-01 00:00:00")
    case.add("User", "class User extends Model { protected $table = 'posts'; }")
    case.sends(expression)


@pytest.mark.parametrize(
    ("body", "differs"),
    [
        (f"Post::retrieved({HIDE});", True),
        ("Post::observe(Watcher::class);", True),
        ("Post::addGlobalScope('none', fn ($query) => $query->where('id', 0));", False),
        ("Post::resolveRelationUsing('author', fn ($post) => $post->belongsTo(User::class, 'id'));", False),
        (f"Event::listen('eloquent.retrieved: ' . Post::class, {HIDE});", True),
        ("date_default_timezone_set('America/New_York');", True),
        ("ini_set('serialize_precision', '3');", False),
        ("ini_set('precision', 3);", False),
        ("config(['broadcasting.default' => 'log']);", True),
        ("config()->set('broadcasting.default', 'log');", True),
        ("Config::set('broadcasting.default', 'log');", True),
        ("Broadcast::setDefaultDriver('log');", True),
        ("DB::setDefaultConnection('archive');", False),
        ("\\Illuminate\\Support\\Carbon::serializeUsing(fn ($date) => 'a date');", False),
        ("Date::use(\\Carbon\\Carbon::class);", False),
        ("Date::useCallable(fn ($date) => $date);", False),
        ("Date::use(fn ($date) => $date->addDay());", True),
        ("if (true) { Date::use(\\Carbon\\CarbonImmutable::class); }", False),
        ("\\Illuminate\\Support\\Carbon::setTestNow('2020-01-01');", False),
        ("foreach ([\\Illuminate\\Support\\Carbon::class] as $one) { $one::setToStringFormat('d'); }", False),
        ("now()->setToStringFormat('d/m/Y');", False),
        ("call_user_func([\\Carbon\\Carbon::class, 'serializeUsing'], fn ($date) => 'a date');", False),
        ("$name = 'serialize' . 'Using'; \\Carbon\\Carbon::$name(fn ($date) => 'a date');", False),
        ("$this->app->singleton('db', fn () => new Databases());", False),
    ],
)  # fmt: skip
def test_a_provider_that_changes_every_event_leaves_it_to_php(own: App, body: str, differs: bool) -> None:
    case = Case(own)
    whole(case)
    case.add("Watcher", f"class Watcher {{ function retrieved($model) {{ ({HIDE})($model); }} }}")
    plain = case.native().broadcasts
    booting(case, body)
    why = case.refused()
    assert "TestServiceProvider.php:" in why or "Watcher.php:" in why
    if differs:  # so the answer of before would have been wrong
        assert own.laravel(case.payload()).broadcasts != plain


@pytest.mark.parametrize(
    "body",
    [
        "// Post::retrieved(fn () => 1); date_default_timezone_set('UTC');\n",
        "/* Carbon::serializeUsing(fn () => 1); */",
        "Post::creating(fn ($post) => $post->title = 'x');",
        "config(['mail.default' => 'log']);",
        "\\Illuminate\\Support\\Str::macro('upper', fn () => 'no');",
    ],
)
def test_a_provider_that_changes_nothing_of_it_does_no_harm(own: App, body: str) -> None:
    case = Case(own)
    whole(case)
    booting(case, body)
    assert case.both().outcome == "broadcast"


@pytest.mark.parametrize(
    "file", ["app/Providers/Deep/Down.php", "app/Support/Hooks.php", "bootstrap/more.php"]
)
def test_a_hook_is_found_wherever_it_stands(own: App, file: str) -> None:
    case = Case(own)
    whole(case)
    booting(case, f"Post::retrieved({HIDE});", file=file)
    assert f"Post::retrieved(), which changes models ({file}:" in case.refused()


LOADED_AT_BOOT = {"autoload": {"psr-4": {"App\\": "app/"}, "files": ["support/helpers.php", "app/more.php"]}}


@pytest.mark.parametrize(
    "file",
    [
        "config/dates.php",
        "routes/channels.php",
        "support/helpers.php",
        "app/more.php",
        "elsewhere/deep/one.php",
    ],
)
@pytest.mark.parametrize(
    "line",
    [
        "\\Carbon\\Carbon::serializeUsing(fn ($date) => $date->format('U'));",
        "ini_set('serialize_precision', '5');",
        "date_default_timezone_set('Asia/Tokyo');",
    ],
)
def test_what_a_file_without_a_class_sets_is_found(own: App, file: str, line: str) -> None:
    case = Case(own)
    whole(case)
    composer = own.path / "composer.json"
    composer.write_text(json.dumps(json.loads(composer.read_text()) | LOADED_AT_BOOT))
    path = own.path / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"<?php\n{line}\nreturn [];")
    assert f"({file}:2)" in case.refused()


@pytest.mark.parametrize(
    "folder", ["database/seeders", "public", "resources/views", "tests", "storage/framework"]
)
def test_folders_that_do_not_run_at_boot_do_no_harm(own: App, folder: str) -> None:
    case = Case(own)
    whole(case)
    path = own.path / folder / "one.php"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("<?php\n\\Carbon\\Carbon::serializeUsing(fn ($date) => 1);")
    assert case.native().outcome == "broadcast"


def test_a_hook_that_only_a_request_sets_does_no_harm(own: App) -> None:
    case = Case(own)
    whole(case)
    file = own.path / "app/Http/Middleware/Tenant.php"
    file.parent.mkdir(parents=True)
    body = f"function go() {{ Post::retrieved({HIDE}); }}"
    file.write_text(f"<?php namespace App\\Http\\Middleware; class Tenant {{ {body} }}")
    assert case.native().outcome == "broadcast"


@pytest.mark.parametrize(
    "body",
    [
        "config(['chat.prefix' => 'changed']);",
        "Config::set('chat.prefix', 'changed');",
        "config()->set('chat.prefix', 'changed');",
        "$this->app['config']->set('chat.prefix', 'changed');",
        "$this->app->make('config')->set('chat.prefix', 'changed');",
        "$this->mergeConfigFrom(base_path('config/mail.php'), 'chat');",
    ],
)
def test_configuration_that_a_provider_sets_is_not_known(own: App, body: str) -> None:
    case = Case(own)
    whole(case, "config('chat.prefix')")
    booting(case, body)
    assert "config() of what a provider sets" in case.refused()


def test_other_configuration_is_known_all_the_same(own: App) -> None:
    case = Case(own)
    whole(case, "config('queue.default')")
    booting(case, "config(['chat.prefix' => 'changed']);")
    assert case.data() == {"it": "database"}


@pytest.mark.parametrize(
    ("body", "expression"),
    [
        ("\\Illuminate\\Database\\Eloquent\\Model::preventLazyLoading();", "$this->post->user->title"),
        (
            "\\Illuminate\\Support\\Str::macro('shout', fn ($text) => 'x');",
            "\\Illuminate\\Support\\Str::upper('x')",
        ),
    ],
)
def test_what_does_not_touch_this_event_does_no_harm(own: App, body: str, expression: str) -> None:
    case = Case(own)
    whole(case, expression)
    booting(case, body)
    case.both()


def test_a_macro_of_the_apps_own_is_refused(own: App) -> None:
    case = Case(own)
    whole(case, "\\Illuminate\\Support\\Str::shout('x')")
    booting(case, "\\Illuminate\\Support\\Str::macro('shout', fn ($text) => 'x');")
    assert "Str::shout()" in case.refused()


def test_a_job_of_a_tenant_does_not_take_the_short_way_of_the_others(own: App) -> None:
    case = Case(own)
    case.event("public $id;")
    plain = job(PhpObject(case.name("Sent"), {b"id": 7}))
    tenant = job(PhpObject(case.name("Sent"), {b"id": 8}), tenant_id="b")
    ladder = build_ladder(load(own.path, {}, "8.83"), {}, version=(8, 83), only=("native",))
    with contextlib.closing(ladder):
        outcomes = [ladder.resolve(read_payload(one)).outcome for one in (plain, plain, plain, tenant)]
    assert outcomes == ["broadcast"] * 3 + ["refused"]


@pytest.mark.parametrize("expression", ["auth()->id()", "session('a')", "request()->ip()", "\\Auth::user()"])
def test_what_only_a_request_has_is_refused_and_not_null(own: App, expression: str) -> None:
    case = Case(own)
    whole(case, expression)
    assert "Sent.php:" in case.refused()


# ---- deploys ---------------------------------------------------------------------------------


class Deploy:
    """An app asked through one ladder; `later` makes the clock pass the second of a look."""

    def __init__(self, case: Case) -> None:
        laravel = load(case.app.path, {}, "8.83")
        self.now = 0.0
        source = AppSource(case.app.path)
        known = shared_environment(laravel)
        self.environments = EnvironmentCache(source, known, lambda: self.now)

    def later(self) -> AppEnvironment:
        self.now += 1.5
        return self.environments.of((8, 83))


def test_a_deploy_is_seen_within_a_second(own: App) -> None:
    case = Case(own)
    case.add("Box", "class Box { static function value() { return 1; } }")
    deploy = Deploy(case)
    name = case.name("Box")
    before = deploy.later()
    assert new_evaluator(before).call_static(name, "value", ()) == 1
    case.add("Box", "class Box { static function value() { return 20; } }")
    assert deploy.environments.of((8, 83)) is before
    after = deploy.later()
    assert new_evaluator(after).call_static(name, "value", ()) == 20
    assert deploy.later() is after


def test_a_file_of_the_same_size_is_seen_by_its_time(own: App) -> None:
    case = Case(own)
    case.add("Box", "class Box { static function value() { return 1; } }")
    deploy, name = Deploy(case), case.name("Box")
    assert new_evaluator(deploy.later()).call_static(name, "value", ()) == 1
    case.add("Box", "class Box { static function value() { return 2; } }")
    file = own.path / case.space.replace("App\\", "app/") / "Box.php"
    os.utime(file, ns=(1, 1))
    assert new_evaluator(deploy.later()).call_static(name, "value", ()) == 2


def test_a_changed_provider_is_seen(own: App) -> None:
    case = Case(own)
    deploy = Deploy(case)
    deploy.later().require_unmodified_framework()
    booting(case, "date_default_timezone_set('UTC');")
    with pytest.raises(Refused, match="date_default_timezone_set"):
        deploy.later().require_unmodified_framework()


def test_a_class_that_was_missing_is_found_after_a_deploy(own: App) -> None:
    case = Case(own)
    deploy, name = Deploy(case), case.name("Late")
    assert deploy.later().classes.find(name) is None
    case.add("Late", "class Late { }")
    assert deploy.later().classes.find(name) is not None


def test_each_release_has_an_environment_of_its_own(own: App) -> None:
    deploy = Deploy(Case(own))
    deploy.later()
    assert deploy.environments.of((8, 83)) is not deploy.environments.of((11, 0))


def test_a_running_ladder_follows_the_source(own: App) -> None:
    case = Case(own)
    whole(case, "1")
    now = 0.0
    app = load(own.path, {}, "8.83")
    ladder = build_ladder(app, {}, version=(8, 83), only=("native",), clock=lambda: now)
    try:
        payload = read_payload(case.payload())
        assert json.loads(ladder.resolve(payload).broadcasts[0].data) == {"it": 1}
        case.sends("'another'")
        now = 2.0
        assert json.loads(ladder.resolve(payload).broadcasts[0].data) == {"it": "another"}
    finally:
        ladder.close()


@pytest.mark.parametrize(
    "options",
    [
        "[PDO::ATTR_STRINGIFY_FETCHES => true]",
        "extension_loaded('pdo_sqlite') ? [PDO::ATTR_CASE => PDO::CASE_UPPER] : []",
        "extension_loaded('pdo_sqlite') ? array_filter([PDO::ATTR_ORACLE_NULLS => 1]) : []",
        "extension_loaded('swoole') ? [PDO::ATTR_STRINGIFY_FETCHES => true] : []",
        "\\App\\Options::all()",
    ],
)
def test_options_of_a_connection_that_change_what_is_read_are_refused(own: App, options: str) -> None:
    _with_options(own, options)
    assert "change what is read" in whole_case(own).refused()


@pytest.mark.parametrize(
    "options",
    [
        "extension_loaded('pdo_sqlite') ? array_filter([PDO::ATTR_TIMEOUT => env('NOTHING')]) : []",
        "[(PHP_VERSION_ID >= 80500 ? \\Pdo\\Mysql::ATTR_SSL_CA : \\PDO::MYSQL_ATTR_SSL_CA) => null]",
        "[PDO::ATTR_PERSISTENT => true]",
    ],
)
def test_other_options_of_a_connection_do_no_harm(own: App, options: str) -> None:
    _with_options(own, options)
    assert whole_case(own).native().outcome == "broadcast"


def _with_options(own: App, options: str) -> None:
    config = own.path / "config/database.php"
    config.write_text(
        config.read_text().replace("'driver' => 'sqlite',", f"'driver' => 'sqlite', 'options' => {options},")
    )


def whole_case(own: App) -> Case:
    case = Case(own)
    case.post()
    case.sends("$this->post")
    return case


@pytest.mark.parametrize("name", ["Elsewhere", "Another"])
def test_a_hook_that_a_deploy_brings_is_noticed_wherever_it_stands(own: App, name: str) -> None:
    case = whole_case(own)
    case.add("Elsewhere", "class Elsewhere { }")
    source, moments = AppSource(own.path), iter(range(9))
    environments = EnvironmentCache(
        source, shared_environment(load(own.path, {}, "8.83")), lambda: next(moments)
    )
    assert environments.of((8, 83)).report.models == ()
    case.add(name, f"class {name} {{ function go() {{ Post::retrieved(fn ($p) => $p->makeHidden('x')); }} }}")
    (reason,) = environments.of((8, 83)).report.models
    assert "Post::retrieved(), which changes models" in str(reason)
