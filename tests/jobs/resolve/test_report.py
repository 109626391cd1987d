"""What an app decides in odd places, said by itself or read from its source: each is right or refused."""

from __future__ import annotations

import contextlib
import json
import logging
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from bridge.jobs.resolve.ladder import RUNGS
from bridge.jobs.resolve.resolution import Resolution
from bridge.jobs.resolve.rungs.php import PhpRung
from bridge.laravel.app_report import AppReport, report_from_php
from bridge.laravel.application import load
from bridge.laravel.boot_source import report_from_source
from bridge.laravel.payload import read_payload
from bridge.phpeval.laravel.app_source import AppSource
from bridge.phpeval.php.runtime.values import PhpObject
from bridge.serve.wiring.ladder import build_ladder
from tests.phpeval.laravel.eloquent.app import App, Case, app, job

# A provider of the app, one of a package, a listener: `BODY` runs when they boot or hear.
_PROVIDER = """<?php namespace SPACE;
use Illuminate\\Database\\Eloquent\\Model; use Illuminate\\Database\\Eloquent\\Relations\\Relation;
use Illuminate\\Queue\\Events\\{JobProcessed, JobProcessing};
use Illuminate\\Support\\Facades\\{Broadcast, Bus, Date, DB, Event, Queue};
use Illuminate\\Support\\Carbon;
class NAME extends \\Illuminate\\Support\\ServiceProvider { function boot() { BODY } }
"""
HIDE = "function ($model) { $model->setHidden(['secret']); }"


@pytest.fixture
def own(tmp_path: Path) -> Iterator[App]:
    with app(tmp_path / "app") as made:
        yield made


def registers(own: App, name: str, file: str) -> None:
    """The app loads this provider too, as one in a folder of its own or of a package."""
    main = own.path / "app/Providers/TestServiceProvider.php"
    main.write_text(
        "<?php namespace App\\Providers; class TestServiceProvider extends "
        "\\Illuminate\\Support\\ServiceProvider { function register() "
        f"{{ require_once base_path('{file}'); $this->app->register(\\{name}::class); }} }}"
    )


def in_module(own: App, body: str) -> None:
    file = "Modules/Shop/Providers/ShopServiceProvider.php"
    _write(own, file, "Modules\\Shop\\Providers", "ShopServiceProvider", body)
    registers(own, "Modules\\Shop\\Providers\\ShopServiceProvider", file)


def in_domain(own: App, body: str) -> None:
    file = "app/Domain/Blog/BlogServiceProvider.php"
    _write(own, file, "App\\Domain\\Blog", "BlogServiceProvider", body)
    registers(own, "App\\Domain\\Blog\\BlogServiceProvider", file)


def in_package(own: App, body: str) -> None:
    file = "vendor/acme/kit/src/KitServiceProvider.php"
    _write(own, file, "Acme\\Kit", "KitServiceProvider", body)
    installs(own, "acme/kit", {"Acme\\Kit\\": "src/"}, "Acme\\Kit\\KitServiceProvider")


def in_booted(own: App, body: str) -> None:
    in_domain(own, f"$this->app->booted(function () {{ {body} }});")


def in_bootstrap(own: App, body: str) -> None:
    file = own.path / "bootstrap/app.php"
    uses = (
        "use Illuminate\\Database\\Eloquent\\Model; use Illuminate\\Database\\Eloquent\\Relations\\Relation; "
    )
    uses += "use Illuminate\\Queue\\Events\\JobProcessing; use Illuminate\\Support\\Carbon; "
    uses += "use Illuminate\\Support\\Facades\\{Broadcast, Bus, Date, DB, Event, Queue};\n"
    text = file.read_text().replace("<?php", f"<?php\n{uses}", 1)
    file.write_text(text.replace("return $app;", f"$app->booted(function () {{ {body} }});\nreturn $app;"))


PLACES = (in_module, in_domain, in_package, in_booted, in_bootstrap)


def installs(own: App, name: str, psr4: dict[str, str], *providers: str) -> None:
    """The package stands in vendor/composer/installed.json, and is loaded from vendor/."""
    package = {
        "name": name,
        "version": "1.0.0",
        "install-path": f"../{name}",
        "autoload": {"psr-4": psr4},
        "extra": {"laravel": {"providers": list(providers)}},
    }
    file = own.path / "vendor/composer/installed.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    installed = json.loads(file.read_text())["packages"] if file.exists() else []
    (own.path / "bootstrap/cache/packages.php").unlink(missing_ok=True)
    file.write_text(json.dumps({"packages": [*installed, package]}))
    prefix, folder = next(iter(psr4.items()))
    loader = own.path / "vendor/autoload.php"
    before = loader.read_text() if loader.exists() else "<?php require __DIR__.'/../bootstrap/autoload.php';"
    (own.path / "vendor/autoload.php").write_text(
        before + " spl_autoload_register(function ($class) {"
        f"$prefix = {json.dumps(prefix)}; $file = __DIR__.'/{name}/{folder}'"
        ".strtr(substr($class, strlen($prefix)), '\\\\', '/').'.php';"
        "if (strncmp($class, $prefix, strlen($prefix)) === 0 && is_file($file)) { require $file; } });"
    )


def _write(own: App, file: str, space: str, name: str, body: str) -> None:
    path = own.path / file
    path.parent.mkdir(parents=True, exist_ok=True)
    source = _PROVIDER.replace("SPACE", space).replace("NAME", name).replace("BODY", body)
    path.write_text(source)


def asked(own: App, payload: bytes, *, only: Sequence[str] = RUNGS) -> Resolution:
    """By all rungs, the app's own report included; from a PHP process of its own."""
    with contextlib.closing(PhpRung(own.path)) as php:
        ladder = build_ladder(
            load(own.path, {}, "8.83"), {}, version=(8, 83), only=only, php=php, report=php.report
        )
        with contextlib.closing(ladder):
            return ladder.resolve(read_payload(payload))


def said(own: App) -> AppReport:
    """What the booted app says of itself."""
    with contextlib.closing(PhpRung(own.path)) as php:
        report = php.report()
    assert report is not None
    return report_from_php(report, load(own.path, {}, "8.83").config)


def posts(own: App) -> Case:
    case = Case(own)
    case.post("function user() { return $this->belongsTo(Post::class); }", created_at="2024-01-01 00:00:00")
    case.sends("[$this->post, $this->post->created_at]")
    return case


def assert_right(case: Case, *, php: bool = True, source: bool = True) -> Resolution:
    """With PHP as Laravel, by the rung that `php` says; without it the same, or refused where `source`."""
    payload = case.payload()
    real, both = asked(case.app, payload, only=("php",)), asked(case.app, payload)
    assert (both.outcome, both.broadcasts) == (real.outcome, real.broadcasts), (both, real)
    assert both.by == ("php" if php else "native"), both
    alone = case.native()
    if source:
        assert alone.outcome == "refused", alone
    else:
        assert (alone.outcome, alone.broadcasts) == (real.outcome, real.broadcasts), (alone, real)
    return alone


Place = Callable[[App, str], None]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    "body",
    [
        "Event::listen(JobProcessing::class, fn () => DB::table('posts')->update(['title' => 'B']));",
        "Carbon::serializeUsing(fn ($date) => 'a date');",
    ],
)
def test_what_concerns_every_event_is_found_wherever_a_provider_stands(
    own: App, place: Place, body: str
) -> None:
    case = posts(own)
    place(own, body)
    assert_right(case)


@pytest.mark.parametrize(
    ("place", "body"),
    [
        (in_module, "Queue::before(fn () => DB::table('posts')->update(['title' => 'B']));"),
        (
            in_package,
            "Event::listen('Illuminate\\Queue\\*', fn () => DB::table('posts')->update(['title' => 'B']));",
        ),
        (in_bootstrap, "Event::listen('*', fn ($name) => null);"),
        (in_module, "Bus::pipeThrough([fn ($job, $next) => $next($job)]);"),
        (in_package, "Date::use(fn ($date) => $date->addDay());"),
        (in_booted, "Carbon::setTestNow('2020-01-01');"),
        (in_domain, "date_default_timezone_set('America/New_York');"),
        (in_package, "config(['broadcasting.default' => 'log']);"),
        (in_module, "ini_set('serialize_precision', '5');"),
    ],
)
def test_what_a_booted_app_changes_for_every_event_is_right(own: App, place: Place, body: str) -> None:
    case = posts(own)
    place(own, body)
    payload = case.payload()
    real, both, alone = asked(own, payload, only=("php",)), asked(own, payload), case.native()
    assert (both.outcome, both.broadcasts) == (real.outcome, real.broadcasts), (both, real)
    assert alone.outcome == "refused", alone


def of_model(case: Case, statement: str) -> str:
    return statement.replace("Post::", f"\\{case.name('Post')}::")


@pytest.mark.parametrize(
    ("place", "body"),
    [
        (in_module, f"Post::retrieved({HIDE});"),
        (in_package, f"Post::retrieved({HIDE});"),
        (
            in_booted,
            "Post::observe(new class { function retrieved($model) { $model->setHidden(['secret']); } });",
        ),
        (in_package, "Post::addGlobalScope('none', fn ($query) => $query->where('id', 0));"),
        (in_bootstrap, "Model::$snakeAttributes = false;"),
        (in_booted, "\\Illuminate\\Support\\Pluralizer::$uncountable[] = 'post';"),
        (
            in_module,
            "Event::listen('eloquent.retrieved: *', fn ($name, $it) => $it[0]->setHidden(['secret']));",
        ),
    ],
)
def test_what_concerns_models_leaves_other_events_native(own: App, place: Place, body: str) -> None:
    case = posts(own)
    case.post("function bestFriend() { return $this->belongsTo(Post::class, 'user_id'); }")
    case.sends("[$this->post, $this->post->load('bestFriend')]")
    channel = "function broadcastOn() { return new Channel('c'); }"
    case.add("Plain", f"class Plain implements ShouldBroadcast {{ public $id; {channel} }}")
    place(own, of_model(case, body))
    payload = case.payload()
    real, both, alone = asked(own, payload, only=("php",)), asked(own, payload), case.native()
    assert (both.outcome, both.broadcasts) == (real.outcome, real.broadcasts), (both, real)
    assert alone.outcome == "refused", alone
    plain = job(PhpObject(case.name("Plain"), {b"id": 7}))
    assert [asked(own, plain).by, own.native(plain).by] == ["native", "native"]


def test_that_a_model_with_soft_deletes_boots_with_the_app_is_no_reason(own: App) -> None:
    case = posts(own)
    case.post(
        "use SoftDeletes; function user() { return $this->belongsTo(Post::class); }",
        columns="deleted_at",
        user_id=1,
    )
    case.sends("$this->post->load('user')")
    in_booted(own, of_model(case, "Post::observe(new class { function created($model) { } });"))
    assert said(own).scopes == {}
    assert_right(case, php=False, source=False)


def test_a_morph_map_concerns_morph_relations_alone(own: App) -> None:
    case = posts(own)
    in_module(own, of_model(case, "Relation::morphMap(['post' => Post::class]);"))
    assert_right(case, php=False, source=False)
    case.post(
        "function notes() { return $this->morphMany(Note::class, 'of'); }",
        columns="of_type, of_id",
        of_type="post",
        of_id=1,
    )
    case.add("Note", "class Note extends Model { protected $table = 'posts'; protected $visible = ['id']; }")
    case.sends("$this->post->notes")
    assert_right(case)


@pytest.mark.parametrize("place", [in_module, in_package])
def test_dates_that_cannot_be_changed_are_native(own: App, place: Place) -> None:
    case = posts(own)
    case.post("protected $casts = ['created_at' => 'datetime'];", created_at="2024-01-31 10:00:00")
    case.sends(
        "[get_class($this->post->created_at), get_class(now()), $this->post->created_at->addDay(), "
        "$this->post->created_at, $this->post]"
    )
    place(own, "$this->dates(); } function dates() { Date::use(\\Carbon\\CarbonImmutable::class);")
    assert_right(case, php=False, source=False)


def test_the_booted_apps_time_zone_and_configuration_count(own: App) -> None:
    case = posts(own)
    case.sends("[config('chat.prefix'), config('chat.new.deep'), $this->post]")
    in_module(
        own,
        "date_default_timezone_set('Europe/Berlin');"
        "config(['chat.prefix' => 'set', 'chat.new' => ['deep' => 1.0]]);",
    )
    payload = case.payload()
    real, both = asked(own, payload, only=("php",)), asked(own, payload)
    assert (both.by, both.broadcasts) == ("native", real.broadcasts)
    assert case.native().outcome == "refused"


def test_a_database_that_is_another_than_the_files_say_is_read_by_php(own: App) -> None:
    case = posts(own)
    (own.path / "other.sqlite").write_bytes((own.path / "app.sqlite").read_bytes())
    with contextlib.closing(sqlite3.connect(own.path / "other.sqlite")) as other, other:
        other.execute("update posts set title = 'of another'")
    in_domain(own, "config(['database.connections.sqlite.database' => base_path('other.sqlite')]);")
    assert_right(case)
    assert b"of another" in str(asked(own, case.payload()).broadcasts).encode()
    ((name, reason),) = said(own).connections.items()
    assert name == "sqlite"
    assert "database.connections.sqlite.database" in str(reason)
    assert "other.sqlite" not in str(reason)


def test_encryption_of_models_with_another_key_is_not_read_with_the_apps(own: App) -> None:
    case = posts(own)
    in_module(
        own,
        "Model::encryptUsing(new \\Illuminate\\Encryption\\Encrypter(str_repeat('k', 32), 'AES-256-CBC'));",
    )
    report = said(own)
    assert "Encrypter" in str(report.encrypted)
    assert report_from_source(AppSource(own.path)).encrypted is not None
    assert_right(case, php=False, source=False)  # nothing in it is encrypted


def test_a_listener_of_a_known_tracer_does_no_harm_and_one_of_a_strange_package_does(own: App) -> None:
    case = posts(own)
    body = "Event::listen(JobProcessing::class, fn () => null);"
    _write(
        own,
        "vendor/laravel/telescope/src/KitServiceProvider.php",
        "Laravel\\Telescope",
        "KitServiceProvider",
        body,
    )
    installs(
        own, "laravel/telescope", {"Laravel\\Telescope\\": "src/"}, "Laravel\\Telescope\\KitServiceProvider"
    )
    assert_right(case, php=False, source=False)
    in_package(own, body)
    assert_right(case)


def test_a_listener_class_that_laravel_discovers_or_an_event_provider_lists_is_found(own: App) -> None:
    case = posts(own)
    (own.path / "app/Listeners").mkdir(exist_ok=True)
    (own.path / "app/Listeners/Switch.php").write_text(
        "<?php namespace App\\Listeners; use Illuminate\\Queue\\Events\\JobProcessing;"
        "use Illuminate\\Support\\Facades\\DB; class Switch_ {"
        "function handle(JobProcessing $event) { DB::table('posts')->update(['title' => 'B']); } }"
    )
    in_module(
        own,
        "require_once app_path('Listeners/Switch.php');"
        "Event::listen(JobProcessing::class, [\\App\\Listeners\\Switch_::class, 'handle']);",
    )
    assert_right(case)
    (reason,) = said(own).everything
    assert "app/Listeners/Switch.php" in str(reason)


# ---- without PHP ---------------------------------------------------------------------------------


def alone(own: App, *packages: tuple[str, str]) -> AppReport:
    """By the source, with composer.lock naming these packages and their providers, and no vendor/."""
    listed = [{"name": name, "extra": {"laravel": {"providers": [provider]}}} for name, provider in packages]
    (own.path / "bootstrap/cache/packages.php").unlink(missing_ok=True)  # that PHP has written
    (own.path / "composer.lock").write_text(json.dumps({"packages": listed}))
    return report_from_source(AppSource(own.path))


def test_the_packages_of_an_ordinary_app_keep_it_native(own: App) -> None:
    names = [
        "laravel/sanctum", "laravel/tinker", "laravel/telescope", "laravel/horizon", "laravel/sail",
        "laravel/breeze", "laravel/jetstream", "spatie/laravel-permission", "spatie/laravel-ignition",
        "livewire/livewire", "inertiajs/inertia-laravel", "filament/filament", "nesbot/carbon",
    ]  # fmt: skip
    report = alone(own, *((name, "Some\\Provider") for name in names))
    assert (report.everything, report.models) == ((), ())
    assert posts(own).native().outcome == "broadcast"


def test_a_package_of_tenants_refuses_all_and_an_unknown_one_without_source_models(own: App) -> None:
    report = alone(own, ("stancl/tenancy", "Stancl\\Tenancy\\TenancyServiceProvider"))
    assert ["stancl/tenancy" in str(reason) for reason in report.everything] == [True]
    report = alone(own, ("acme/kit", "Acme\\Kit\\KitServiceProvider"))
    assert report.everything == ()
    assert "acme/kit" in str(report.models[0])
    assert "acme/kit" in posts(own).refused()


def test_a_package_that_the_app_does_not_discover_does_not_count(own: App) -> None:
    (own.path / "composer.json").write_text(
        json.dumps(
            {"extra": {"laravel": {"dont-discover": ["acme/kit"]}}, "autoload": {"psr-4": {"App\\": "app/"}}}
        )
    )
    assert alone(own, ("acme/kit", "Acme\\Kit\\KitServiceProvider")).models == ()


def test_configuration_that_a_package_may_bring_is_not_known(own: App) -> None:
    case = posts(own)
    case.sends("config('permission.table_names', 'none')")
    assert case.data() == {"it": "none"}
    alone(own, ("spatie/laravel-permission", "Spatie\\Permission\\PermissionServiceProvider"))
    assert "config() of what a package sets" in case.refused()
    case.sends("config('chat.prefix')")
    assert case.native().outcome == "broadcast"


def test_a_provider_that_may_not_be_read_refuses_all_and_a_dangling_link_nothing(own: App) -> None:
    link = own.path / "app/Providers/.#TestServiceProvider.php"
    link.symlink_to("somebody@host.4711")
    assert report_from_source(AppSource(own.path)).everything == ()


def test_php_says_which_version_it_is(own: App) -> None:
    report = said(own)
    output = subprocess.run(
        ["php", "-r", "echo PHP_MAJOR_VERSION, '.', PHP_MINOR_VERSION;"], capture_output=True, text=True
    )
    assert report.php == tuple(map(int, output.stdout.split(".")))
    assert report.laravel is not None
    assert report.everything == report.models == ()


# ---- when it is asked ------------------------------------------------------------------------------


def test_the_report_is_asked_once_and_again_after_a_restart_or_a_change(
    own: App, caplog: pytest.LogCaptureFixture
) -> None:
    with contextlib.closing(PhpRung(own.path)) as php:
        first = php.report()
        assert php.report() is first
        assert php.report(True) is first  # it says the same
        in_domain(own, "Carbon::serializeUsing(fn ($date) => 'a date');")
        php.recycle()
        second = php.report()
        assert second is not None
        assert first is not None
        config = load(own.path, {}, "8.83").config
        assert report_from_php(first, config).everything == ()
        assert "serializer" in str(report_from_php(second, config).everything[0])


def test_a_running_ladder_hears_of_a_provider_that_changes(own: App) -> None:
    case = posts(own)
    in_domain(own, "")
    now = 0.0
    with contextlib.closing(PhpRung(own.path)) as php:
        app = load(own.path, {}, "8.83")
        ladder = build_ladder(app, {}, version=(8, 83), php=php, report=php.report, clock=lambda: now)
        with contextlib.closing(ladder):
            assert ladder.resolve(read_payload(case.payload())).by == "native"
            in_domain(own, "Carbon::serializeUsing(fn ($date) => 'a date');")
            now = 2.0
            time.sleep(1.1)  # PHP looks at its files once a second
            found = ladder.resolve(read_payload(case.payload()))
    assert (found.by, "a date" in found.broadcasts[0].data) == ("php", True)


def test_an_app_that_does_not_boot_is_read_from_its_source(
    own: App, caplog: pytest.LogCaptureFixture
) -> None:
    case = posts(own)
    (own.path / "bootstrap/broken.php").write_text("<?php throw new Exception('no');")
    file = own.path / "bootstrap/app.php"
    file.write_text(file.read_text().replace("return $app;", "require __DIR__.'/broken.php';"))
    assert asked(own, case.payload()).by == "native"
    assert any("its source is read" in record.message for record in caplog.records)


def test_without_the_rung_php_no_process_is_started(own: App) -> None:
    case = posts(own)

    def never(anew: bool) -> None:
        raise AssertionError

    ladder = build_ladder(load(own.path, {}, "8.83"), {}, version=(8, 83), only=("native",), report=never)
    with contextlib.closing(ladder):
        assert ladder.resolve(read_payload(case.payload())).by == "native"


def test_why_an_app_is_left_to_php_is_said_once(own: App, caplog: pytest.LogCaptureFixture) -> None:
    case = posts(own)
    in_domain(own, "Carbon::serializeUsing(fn ($date) => 'a date');")
    with contextlib.closing(PhpRung(own.path)) as php:
        ladder = build_ladder(load(own.path, {}, "8.83"), {}, version=(8, 83), php=php, report=php.report)
        with contextlib.closing(ladder), caplog.at_level(logging.WARNING):
            for _ in range(3):
                assert ladder.resolve(read_payload(case.payload())).by == "php"
    said_once = [record for record in caplog.records if record.message == "not evaluated natively"]
    assert len(said_once) == 1


# ---- what the app sends with ---------------------------------------------------------------------


OWN_BROADCASTER = (
    "Broadcast::extend('pusher', fn () => new class extends "
    "\\Illuminate\\Broadcasting\\Broadcasters\\NullBroadcaster {});"
)


def test_a_broadcaster_of_the_apps_own_is_not_taken_for_pushers(own: App) -> None:
    case = posts(own)
    in_module(own, OWN_BROADCASTER)
    found = asked(own, case.payload())
    assert (found.outcome, found.by) == ("refused", None)
    assert "the broadcast connection pusher is served by the app's own" in found.why
    assert case.native().outcome == "refused"


def test_a_driver_of_another_name_does_no_harm(own: App) -> None:
    case = posts(own)
    in_module(own, "Broadcast::extend('carrier', fn () => null);")
    assert asked(own, case.payload()).by == "native"


TENANCY = """
    Queue::createPayloadUsing(fn () => []);
    Event::listen(JobProcessing::class, function ($event) {
        $tenant = $event->job->payload()['tenant_id'] ?? null;
        $file = base_path($tenant ? "tenant_$tenant.sqlite" : 'app.sqlite');
        config(['database.connections.sqlite.database' => $file]);
        DB::purge('sqlite');
    });
"""


@pytest.mark.parametrize("place", [in_package, in_module])
def test_the_row_of_another_tenant_is_never_read(own: App, place: Place) -> None:
    case = posts(own)
    (own.path / "tenant_b.sqlite").write_bytes((own.path / "app.sqlite").read_bytes())
    with contextlib.closing(sqlite3.connect(own.path / "tenant_b.sqlite")) as other, other:
        other.execute("update posts set title = 'of tenant b'")
    place(own, TENANCY)
    event = PhpObject(case.name("Sent"), {b"post": case.model()})
    for payload, title in ((job(event, tenant_id="b"), "of tenant b"), (job(event), "Title")):
        found = asked(own, payload)
        assert (found.by, title in found.broadcasts[0].data) == ("php", True), found
        assert own.native(payload).outcome == "refused"
    assert "Title" in asked(own, job(event)).broadcasts[0].data
