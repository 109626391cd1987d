"""What `bridge events` says of an app's classes, held against what the ladder then does with real jobs."""

from __future__ import annotations

import contextlib
import io
import json
import re
import sqlite3
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from bridge.cli import main
from bridge.laravel.application import load
from bridge.serve.wiring.ladder import build_ladder
from tests.conformance.corpus import APP, resolve, rows

RELEASE = "11.56"


class Printed(NamedTuple):
    out: str
    err: str


def events(app: Path, *options: str) -> Printed:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        assert main(["events", "--app", str(app), *options]) == 0
    return Printed(out.getvalue(), err.getvalue())


def report(app: Path, *options: str) -> dict[str, dict[str, Any]]:
    lines = events(app, "--json", *options).out.splitlines()
    return {row["class"]: row for row in map(json.loads, lines)}


def app_with(folder: Path, **files: str) -> Path:
    """An app of the given classes, `Events_Shipped="…"` as app/Events/Shipped.php."""
    (folder / ".env").write_text("APP_ENV=testing\n")
    (folder / "composer.json").write_text('{"autoload": {"psr-4": {"App\\\\": "app/"}}}')
    for name, body in files.items():
        *spaces, short = name.split("_")
        file = folder.joinpath("app", *spaces, short + ".php")
        file.parent.mkdir(parents=True, exist_ok=True)
        space = "\\".join(["App", *spaces])
        file.write_text(f"<?php\nnamespace {space};\n{USES}{body}\n")
    return folder


USES = (
    "use Illuminate\\Contracts\\Broadcasting\\{ShouldBroadcast, ShouldBroadcastNow}; "
    "use Illuminate\\Broadcasting\\{Channel, PrivateChannel, PresenceChannel}; "
    "use Illuminate\\Queue\\SerializesModels; use Illuminate\\Notifications\\Notification; "
    "use Illuminate\\Database\\Eloquent\\Model;\n"
)


@pytest.fixture(scope="module")
def recorded() -> dict[str, dict[str, Any]]:
    return report(APP, "--laravel", RELEASE)


def test_every_broadcasting_class_of_the_recorded_app_is_listed(
    recorded: dict[str, dict[str, Any]],
) -> None:
    written = {f"App\\Events\\{path.stem}" for path in (APP / "app/Events").glob("*.php")
               if re.search(r"(?m)^class .*implements ShouldBroadcast", path.read_text())}  # fmt: skip
    assert written
    assert written <= {name for name, row in recorded.items() if row["kind"] in ("event", "event-now")}
    assert {row["kind"] for row in recorded.values()} == {"event", "event-now", "notification", "model"}


def test_the_native_rung_does_what_the_survey_says(
    recorded: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    """Over the recorded jobs. A class that is called native may still have a payload that is not; a class
    that is called refused never resolves."""
    file = tmp_path / "app.sqlite"
    connection = sqlite3.connect(file)
    connection.executescript((APP / "app.sqlite.sql").read_text())
    connection.close()
    environment = {"DB_CONNECTION": "sqlite", "DB_DATABASE": str(file)}
    ladder = build_ladder(load(APP, environment, RELEASE), {}, only=("native",))
    outcomes: dict[str, set[str]] = {}
    for row in rows(RELEASE):
        if row.app_db == "sqlite" and row.outcome == "broadcast":
            resolution = resolve(ladder, row)
            outcomes.setdefault(resolution.event, set()).add(resolution.outcome)
    said = {name: row["rung"] for name, row in recorded.items() if name in outcomes}
    native = [name for name, rung in said.items() if rung == "native"]
    refused = [name for name, rung in said.items() if rung == "refused"]
    assert len(native) > 25
    assert refused
    assert [name for name in native if outcomes[name] == {"refused"}] == []
    assert [name for name in refused if outcomes[name] != {"refused"}] == []


def test_a_class_is_found_through_its_app_parent_and_a_notification_by_its_channel(tmp_path: Path) -> None:
    app = app_with(
        tmp_path,
        Events_Base="abstract class Base implements ShouldBroadcast { public function broadcastOn()"
        " { return new PrivateChannel('orders.'.$this->id); } }",
        Events_Shipped="class Shipped extends Base { public int $id = 1; }",
        Events_Now="class Now implements ShouldBroadcastNow { public function broadcastOn()"
        " { return ['a', 'b']; } public function broadcastAs() { return 'now'; } }",
        Events_Silent="class Silent { public function broadcastOn() { return ['a']; } }",
        Notices_Paid="class Paid extends Notification { public function via($n) { return ['broadcast']; } }",
        Notices_Mailed="class Mailed extends Notification { public function via($n) { return ['mail']; } }",
    )
    found = report(app)
    assert {name: (row["kind"], row["rung"]) for name, row in found.items()} == {
        "App\\Events\\Shipped": ("event", "native"),
        "App\\Events\\Now": ("event-now", "http"),
        "App\\Notices\\Paid": ("notification", "framework"),
    }
    assert found["App\\Events\\Shipped"]["channels"] == ["private-orders.{id}"]
    assert found["App\\Events\\Now"]["channels"] == ["a", "b"]
    assert found["App\\Events\\Now"]["name"] == "now"


def test_a_notification_that_names_channels_of_its_own_is_not_of_its_parents_kind(tmp_path: Path) -> None:
    mail = "public function via($n) { return ['mail']; }"
    app = app_with(
        tmp_path,
        Notices_Base="class Base extends Notification { public function via($n) { return ['broadcast']; } }",
        Notices_Mailed=f"class Mailed extends Base {{ {mail} }}",
        Notices_MailedToo="class MailedToo extends Mailed { }",
        Notices_ByMail=f"trait ByMail {{ {mail} }}",
        Notices_Traited="class Traited extends Base { use ByMail; }",
        Notices_Same="class Same extends Base { }",
        Notices_More="class More extends Base {"
        " public function via($n) { return [...parent::via($n), 'mail']; } }",
        Notices_Broken=f"class Broken extends Base {{ {BROKEN} }}",
        Notices_Below="class Below extends Broken { }",
        Notices_MailedBelow=f"class MailedBelow extends Broken {{ {mail} }}",
    )
    listed = {name.rpartition("\\")[2] for name in report(app)}
    assert listed == {"Base", "Same", "More", "Broken", "Below"}


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("return $this->order->customer->secret();", "the method App\\Models\\Customer::secret()"),
        ("return $this->help();", "the function session()"),
        ("return ['a' => \\Illuminate\\Support\\Facades\\Auth::id()];", "Auth::id()"),
        ("return array_map(fn ($x) => session($x), [1]);", "the function session()"),
        ("return ['a' => $this->order->items()->sum('n')];", "sum() on a relation"),
        ("return ['a' => $this->order->items()->first()->secret()];", "Models\\Customer::secret()"),
        ("return ['a' => $this->order->items()->count(), 'b' => $this->order->items()->exists()];", ""),
        ("return ['a' => $this->order->total];", "the cast Vendor\\Money"),
        ("return ['a' => $this->order->label];", "the function route()"),
        ("return ['order' => $this->order];", "the cast Vendor\\Money"),
    ],
)
def test_a_refusal_is_found_through_methods_closures_models_relations_and_casts(
    tmp_path: Path, body: str, why: str
) -> None:
    app = app_with(
        tmp_path,
        Events_Shipped="class Shipped implements ShouldBroadcast { use SerializesModels; public $order;"
        "\npublic function __construct(\\App\\Models\\Order $given) { $this->order = $given; }"
        "\npublic function broadcastOn() { return []; }"
        "\nprivate function help() { return ['a' => session('a')]; }"
        f"\npublic function broadcastWith() {{\n{body}\n}} }}",
        Models_Order="class Order extends Model { protected $casts = ['total' => 'Vendor\\\\Money'];"
        "\npublic function customer() { return $this->belongsTo(Customer::class); }"
        "\npublic function items() { return $this->hasMany(Customer::class); }"
        "\npublic function getLabelAttribute($value) { return route($value); } }",
        Models_Customer="class Customer extends Model {}",
    )
    row = report(app)["App\\Events\\Shipped"]
    assert (row["rung"], why in row["why"]) == ("refused" if why else "native", True), row


SHIPPED_ORDER = (
    "class Shipped implements ShouldBroadcast { public \\App\\Models\\Order $order;"
    " public function broadcastOn() { return [new Channel('o.'.$this->order->customer->id)]; } }"
)


@pytest.mark.parametrize(
    ("boot", "rung"),
    [
        (
            "static::creating(function ($m) { $m->slug = static::slug(); static::where('a', 1)->get(); });",
            "native",
        ),
        ("static::observe(Watcher::class);", "native"),
        ("static::observe(new Watcher);", "native"),
        ("static::observe(Reader::class);", "refused"),
        ("static::observe(\\Nobody\\Watcher::class);", "refused"),
        ("static::retrieved(function ($m) { $m->a = 1; });", "refused"),
        ("foreach ([1] as $x) { static::slug(); }", "refused"),
    ],
)
def test_what_a_model_does_when_it_boots_counts_only_for_reading(
    tmp_path: Path, boot: str, rung: str
) -> None:
    app = app_with(
        tmp_path,
        Events_Shipped=SHIPPED_ORDER,
        Models_Order=f"class Order extends Model {{ protected static function booted() {{ {boot} }}"
        " public function customer() { return $this->belongsTo(Order::class); } }",
        Models_Watcher="class Watcher { public function saved($m) {} }",
        Models_Reader="class Reader { public function retrieved($m) {} }",
    )
    assert report(app)["App\\Events\\Shipped"]["rung"] == rung


@pytest.mark.parametrize(
    ("call", "relation", "rung"),
    [
        ("Relation::morphMap(['order' => Order::class]);", "belongsTo(Order::class)", "native"),
        ("Relation::morphMap(['order' => Order::class]);", "morphOne(Order::class, 'a')", "refused"),
        ("// Relation::morphMap([]);", "morphOne(Order::class, 'a')", "native"),
        ("Model::preventLazyLoading();", "belongsTo(Order::class)", "native"),
        ("Date::use(CarbonImmutable::class);", "belongsTo(Order::class)", "refused"),
        ("/* Date::use(CarbonImmutable::class); */", "belongsTo(Order::class)", "native"),
    ],
)
def test_what_a_provider_changes_counts_where_it_matters(
    tmp_path: Path, call: str, relation: str, rung: str
) -> None:
    app = app_with(
        tmp_path,
        Events_Shipped=SHIPPED_ORDER,
        Models_Order=f"class Order extends Model {{ public function customer()"
        f" {{ return $this->{relation}; }} }}",
        Providers_AppServiceProvider=f"class AppServiceProvider {{ public function boot() {{\n{call}\n}} }}",
    )
    assert report(app)["App\\Events\\Shipped"]["rung"] == rung


def test_a_class_with_a_constructor_that_only_php_can_run_is_native(tmp_path: Path) -> None:
    app = app_with(
        tmp_path,
        Events_Shipped="class Shipped implements ShouldBroadcast { public $by;"
        " public function __construct() { $this->by = auth()->id(); }"
        " public function broadcastOn() { return [new Channel('c.'.$this->by)]; } }",
    )
    assert report(app)["App\\Events\\Shipped"]["rung"] == "native"


def test_traits_and_parents_of_installed_packages_are_read(tmp_path: Path) -> None:
    app = app_with(
        tmp_path,
        Events_Shipped="class Shipped extends \\Maker\\Kit\\Event implements ShouldBroadcast {}",
        Events_Lost="class Lost extends \\Nobody\\Event implements ShouldBroadcast {}",
    )
    package = app / "vendor/maker/kit"
    (package / "src").mkdir(parents=True)
    (package / "src/Event.php").write_text(
        "<?php namespace Maker\\Kit; class Event { public function broadcastOn() { return ['kit']; } }"
    )
    (app / "vendor/composer").mkdir()
    (app / "vendor/composer/installed.json").write_text(
        json.dumps(
            {
                "packages": [
                    {
                        "name": "maker/kit",
                        "install-path": "../maker/kit",
                        "autoload": {"psr-4": {"Maker\\Kit\\": "src/"}},
                    }
                ]
            }
        )
    )
    found = report(app)
    assert (found["App\\Events\\Shipped"]["rung"], found["App\\Events\\Shipped"]["channels"]) == (
        "native",
        ["kit"],
    )
    assert (
        "the source of Nobody\\Event is not known (app/Events/Lost.php:" in found["App\\Events\\Lost"]["why"]
    )


def test_a_module_that_composer_links_into_vendor_is_the_apps_own(tmp_path: Path) -> None:
    app = app_with(tmp_path, Events_Silent="class Silent {}")
    (app / "modules/ai/src").mkdir(parents=True)
    (app / "modules/ai/src/Said.php").write_text(
        "<?php namespace Ai; class Said implements \\Illuminate\\Contracts\\Broadcasting\\ShouldBroadcast"
        " { public function broadcastOn() { return ['ai']; } }"
    )
    (app / "vendor/maker").mkdir(parents=True)
    (app / "vendor/maker/ai").symlink_to("../../modules/ai")
    (app / "vendor/composer").mkdir()
    package = {"name": "maker/ai", "install-path": "../maker/ai", "autoload": {"psr-4": {"Ai\\": "src/"}}}
    (app / "vendor/composer/installed.json").write_text(json.dumps({"packages": [package]}))
    assert report(app)["Ai\\Said"]["rung"] == "native"


def test_the_table_says_what_serves_each_class_and_why(tmp_path: Path) -> None:
    app = app_with(
        tmp_path,
        Events_Shipped="class Shipped implements ShouldBroadcast"
        " { public function broadcastOn() { return [session('a')]; } }",
    )
    shown = events(app).out
    assert "App\\Events\\Shipped  event         refused" in shown
    assert "the function session() is not evaluated natively (app/Events/Shipped.php:4)" in shown
    assert "1 classes: 1 refused" in shown


def test_a_folder_without_source_gives_a_clear_line(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("APP_ENV=testing\n")
    done = events(tmp_path)
    assert done.out == ""
    assert "has no PHP source" in done.err


RESOURCE = "class Order{0} extends \\Illuminate\\Http\\Resources\\Json\\{1} {{ {2} }}"
SHOWN = "public function toArray($request) {{ return [{}]; }}"


@pytest.mark.parametrize(
    ("model", "resource", "reason"),
    [
        (
            "",
            SHOWN.format("'id' => $this->id, 'more' => $this->when(true, fn () => strtoupper($this->x))"),
            "",
        ),
        ("", "", ""),
        ("protected $casts = ['x' => 'wibble'];", "", "the cast wibble of App\\Models\\Order::$x"),
        ("protected $casts = ['x' => 'wibble'];", SHOWN.format("$this->x"), "the cast wibble"),
        ("", SHOWN.format("$request->user()"), "the method Illuminate\\Http\\Request::user()"),
        ("", SHOWN.format("$this->when(true, fn () => session('a'))"), "the function session()"),
        ("", SHOWN.format("$this->response()"), "the method App\\Resources\\OrderResource::response()"),
        ("public function total() { return session('a'); }", SHOWN.format("$this->total()"), "session()"),
        ("public function getXAttribute() { return session('a'); }", SHOWN.format("$this->x"), "session()"),
        ("", "protected function filter($data) { return []; }", "OrderResource overrides filter()"),
        ("", "public function __get($name) { return 1; }", "OrderResource overrides __get()"),
        ("", "use \\Nobody\\Shows;", "the source of Nobody\\Shows is not known"),
    ],
)
@pytest.mark.parametrize(
    "expression",
    [
        "new OrderResource($this->order)",
        "OrderResource::make($this->order)->resolve()",
        "OrderResource::collection([$this->order])",
        "new OrderCollection([$this->order])",
        "['in' => fn () => new OrderResource($this->order)]",
    ],
)
def test_what_a_resource_shows_is_looked_at(
    tmp_path: Path, model: str, resource: str, reason: str, expression: str
) -> None:
    app = app_with(
        tmp_path,
        Models_Order=f"class Order extends Model {{ {model} }}",
        Resources_OrderResource=RESOURCE.format("Resource", "JsonResource", resource),
        Resources_OrderCollection=RESOURCE.format("Collection", "ResourceCollection", ""),
        Events_Shipped="use App\\Resources\\{OrderResource, OrderCollection};"
        "class Shipped implements ShouldBroadcast { use SerializesModels; public \\App\\Models\\Order $order;"
        " public function broadcastOn() { return ['a']; }"
        f" public function broadcastWith() {{ return ['order' => {expression}]; }} }}",
    )
    found = report(app)["App\\Events\\Shipped"]
    assert (found["rung"] == "native") is (not reason), found
    assert reason in found["why"]


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("$this->held = $order->load('customer');", "App\\Models\\Customer has a global scope"),
        ("$this->held = request()->user();", "the cast Vendor\\Money"),
        ("$this->held = \\Illuminate\\Support\\Facades\\Auth::user();", "the cast Vendor\\Money"),
        ("$this->held = auth()->user()->name;", ""),
        ("$this->held = $order;", ""),
    ],
)
def test_what_a_constructor_puts_into_an_untyped_property_is_restored(
    tmp_path: Path, given: str, why: str
) -> None:
    app = app_with(
        tmp_path,
        Events_Shipped="class Shipped implements ShouldBroadcast { use SerializesModels; public $held;"
        f" public function __construct(\\App\\Models\\Order $order) {{ {given} }}"
        " public function broadcastOn() { return ['a']; } }",
        Models_Order="class Order extends Model { public function customer()"
        " { return $this->belongsTo(Customer::class); } }",
        Models_Customer="class Customer extends Model { protected static function booted()"
        " { static::addGlobalScope('mine', fn ($query) => $query); } }",
        Models_User="class User extends Model { protected $casts = ['total' => 'Vendor\\\\Money']; }",
    )
    row = report(app)["App\\Events\\Shipped"]
    assert (row["rung"], why in row["why"]) == ("refused" if why else "native", True)


def test_files_that_are_not_understood_are_listed_and_readonly_may_come_first(tmp_path: Path) -> None:
    app = app_with(
        tmp_path,
        Events_Broken="class Broken implements ShouldBroadcast { function broadcastOn() { return [ } }",
        Events_First="class First implements ShouldBroadcast { public function __construct(readonly public"
        " int $id) {} public function broadcastOn() { return ['a']; } public function broadcastWith()"
        " { return ['readonly public' => $this->id]; } }",
    )
    found = report(app)
    assert {name: row["rung"] for name, row in found.items()} == {
        "App\\Events\\Broken": "refused",
        "App\\Events\\First": "native",
    }
    assert "app/Events/Broken.php:" in found["App\\Events\\Broken"]["why"]


def test_a_folder_that_is_no_app_is_wrong_usage_and_an_app_without_events_is_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "config").mkdir()
    assert main(["events", "--app", str(tmp_path)]) == 2
    assert "is not the root of a Laravel app" in capsys.readouterr().err
    (tmp_path / "artisan").touch()
    assert main(["events", "--app", str(tmp_path)]) == 0
    assert "no class in" in capsys.readouterr().err


def test_what_concerns_all_classes_is_said_once(tmp_path: Path) -> None:
    body = "class NAME implements ShouldBroadcast { public function broadcastOn() { return ['a']; } }"
    app = app_with(
        tmp_path,
        Events_One=body.replace("NAME", "One"),
        Events_Two=body.replace("NAME", "Two"),
        Providers_AppServiceProvider="class AppServiceProvider { public function boot() {"
        " \\Illuminate\\Support\\Carbon::serializeUsing(fn () => 'x');"
        " config(['database.default' => \"a'b\"]); } }",
    )
    out = events(app).out
    assert out.count("serializeUsing") == 1
    assert "every event: the app sets the configuration database while it boots" in out
    assert all("serializeUsing" in row["why"] for row in report(app).values())


BROKEN = "public function broken() { return 1 +; }"


def test_a_class_that_cannot_be_parsed_is_listed_whatever_makes_it_broadcast(tmp_path: Path) -> None:
    """By a base class, a trait, an interface or its own methods, in whatever file the parser gives up."""
    on = "public function broadcastOn() { return ['a']; }"
    app = app_with(
        tmp_path,
        Events_Base=f"abstract class Base implements ShouldBroadcast {{ {on} }}",
        Events_Child=f"class Child extends Base {{ {BROKEN} }}",
        Events_Grandchild="class Grandchild extends Child { }",
        Events_Marked=f"#[\\AllowDynamicProperties] final class Marked extends Base {{ {BROKEN} }}",
        Events_Now=f"class Plain {{ }} class Now implements ShouldBroadcastNow {{ {on} {BROKEN} }}",
        Events_Odd=f"abstract class Odd {{ {BROKEN} }}",
        Events_Own=f"class Own extends Odd implements ShouldBroadcast {{ {on} }}",
        Events_Own2="class Own2 extends Own { }",
        Contracts_Live=f"interface Live extends ShouldBroadcast {{ }} class Aside {{ {BROKEN} }}",
        Events_Lively=f"class Lively implements \\App\\Contracts\\Live {{ {on} }}",
        Notices_Paid=f"class Paid extends Notification {{ public function toBroadcast($n) {{ }} {BROKEN} }}",
        Notices_Mailed=f"class Mailed extends Notification {{ {BROKEN} }}",
        Models_Post=f"class Post extends Model {{\n use \\Illuminate\\Database\\Eloquent\\BroadcastsEvents;\n"
        f" {BROKEN} }}",
        Http_Sender=f"class Sender {{ public function send(ShouldBroadcast $event) {{ }} {BROKEN} }}",
    )
    found = report(app)
    assert {name: (row["kind"], row["rung"]) for name, row in found.items()} == {
        "App\\Events\\Child": ("event", "refused"),
        "App\\Events\\Grandchild": ("event", "refused"),
        "App\\Events\\Lively": ("event", "refused"),
        "App\\Events\\Marked": ("event", "refused"),
        "App\\Events\\Now": ("event-now", "http"),
        "App\\Events\\Own": ("event", "refused"),
        "App\\Events\\Own2": ("event", "refused"),
        "App\\Models\\Post": ("model", "refused"),
        "App\\Notices\\Paid": ("notification", "refused"),
    }
    assert "app/Events/Child.php:4" in found["App\\Events\\Child"]["why"]
    assert "app/Events/Odd.php:4" in found["App\\Events\\Own"]["why"]
    assert found["App\\Events\\Now"]["line"] == 4


@pytest.mark.parametrize(
    ("provider", "body", "why"),
    [
        ("Lang::addPath('x');", "return ['a' => __('a.b')];", "which changes translations"),
        ("app()->useLangPath('x');", "return ['a' => trans_choice('a.b', 2)];", "which changes translations"),
        ("app()->useLangPath('x');", "return ['a' => Lang::get('a.b')];", "which changes translations"),
        ("app()->setLocale('de');", "return ['a' => __('a.b')];", "nothing is translated natively"),
        ("app()->setLocale('de');", "return ['a' => now()->diffForHumans()];", "may not be English"),
        ("\\URL::forceScheme('https');", "return ['a' => url('b')];", "which changes addresses"),
        (
            "Builder::macro('mine', fn () => 1);",
            "return [$this->order->recent()];",
            "adds methods to queries",
        ),
        ("app()->useLangPath('x');", "return ['a' => url('b'), 'b' => now()->diffForHumans()];", ""),
    ],
)
def test_what_a_provider_changes_is_a_reason_for_those_who_rest_on_it(
    tmp_path: Path, provider: str, body: str, why: str
) -> None:
    uses = "use Illuminate\\Support\\Facades\\Lang; use Illuminate\\Database\\Eloquent\\Builder;"
    app = app_with(
        tmp_path,
        Events_Shipped=f"{uses} class Shipped implements ShouldBroadcast {{"
        " public \\App\\Models\\Order $order;"
        f" public function broadcastOn() {{ return ['a']; }} public function broadcastWith() {{ {body} }} }}",
        Models_Order="class Order extends Model {"
        " public function recent() { return $this->hasMany(Order::class)->large(); }"
        " public function scopeLarge($query) { return $query; } }",
        Providers_AppServiceProvider=f"{uses} class AppServiceProvider"
        " extends \\Illuminate\\Support\\ServiceProvider"
        f" {{ public function boot() {{ {provider} }} }}",
    )
    row = report(app)["App\\Events\\Shipped"]
    assert (row["rung"], why in row["why"]) == ("refused" if why else "native", True), row
