"""An app as today's starter kits of Laravel begin one: native, whatever its providers do."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from bridge.jobs.resolve.resolution import Resolution
from bridge.jobs.resolve.rungs.php import PhpRung
from bridge.laravel.application import load
from bridge.laravel.payload import read_payload
from bridge.phpeval.php.runtime.values import PhpArray, PhpObject, Value
from bridge.serve.wiring.ladder import build_ladder
from bridge.serve.wiring.trust import earned_trust
from bridge.settings.load import load_settings
from tests.phpeval.laravel.eloquent.app import IDENTIFIER, Case, app, job
from tests.versions import laravel_version, release

FILES = {
    "composer.json": '{"require": {"php": "^8.3"}, "autoload": {"psr-4": {"App\\\\": "app/"}}}',
    ".env": "DB_CONNECTION=sqlite\nBROADCAST_CONNECTION=reverb\nREVERB_APP_KEY=key\n",
    "bootstrap/providers.php": "<?php return [App\\Providers\\AppServiceProvider::class];",
    "bootstrap/app.php": "<?php return \\Illuminate\\Foundation\\Application::configure()->create();",
    "app/Providers/AppServiceProvider.php": r"""<?php
        namespace App\Providers;
        use Carbon\CarbonImmutable;
        use Illuminate\Support\Facades\{DB};
        use Illuminate\Support\Facades\Date;
        use Illuminate\Support\ServiceProvider;
        use Illuminate\Validation\Rules\Password;
        class AppServiceProvider extends ServiceProvider {
            public function boot(): void { $this->configureDefaults(); }
            protected function configureDefaults(): void {
                Date::use(CarbonImmutable::class);
                DB::prohibitDestructiveCommands(app()->isProduction());
                Password::defaults(fn (): ?Password => app()->isProduction() ? Password::min(12) : null);
            }
        }""",
    "app/Models/User.php": r"""<?php
        namespace App\Models;
        use Illuminate\Database\Eloquent\Attributes\{Fillable, Hidden};
        use Illuminate\Database\Eloquent\Factories\HasFactory;
        use Illuminate\Foundation\Auth\User as Authenticatable;
        use Illuminate\Notifications\Notifiable;
        #[Fillable(['name', 'email', 'password'])]
        #[Hidden(['password', 'remember_token'])]
        class User extends Authenticatable {
            use HasFactory, Notifiable;
            protected function casts(): array { return ['verified_at' => 'datetime', 'x' => 'hashed']; }
        }""",
    "app/Events/Moved.php": r"""<?php
        namespace App\Events;
        use Illuminate\Broadcasting\{InteractsWithSockets, PrivateChannel};
        use Illuminate\Contracts\Broadcasting\ShouldBroadcast;
        use Illuminate\Foundation\Events\Dispatchable;
        use Illuminate\Queue\SerializesModels;
        class Moved implements ShouldBroadcast {
            use Dispatchable, InteractsWithSockets, SerializesModels;
            public function __construct(public int $to, public string $by) { }
            public function broadcastOn(): array { return [new PrivateChannel('rooms')]; }
        }""",
    "app/Events/Joined.php": r"""<?php
        namespace App\Events;
        use App\Models\User;
        use Illuminate\Broadcasting\{InteractsWithSockets, PrivateChannel};
        use Illuminate\Contracts\Broadcasting\ShouldBroadcast;
        use Illuminate\Queue\SerializesModels;
        class Joined implements ShouldBroadcast {
            use InteractsWithSockets, SerializesModels;
            public function __construct(public User $user) { }
            public function broadcastOn(): array { return [new PrivateChannel('rooms')]; }
        }""",
}


@pytest.fixture
def kit(tmp_path: Path) -> Path:
    for name, source in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(source)
    with (tmp_path / ".env").open("a") as env:
        env.write(f"DB_DATABASE={tmp_path / 'database.sqlite'}\n")
    with closing(sqlite3.connect(tmp_path / "database.sqlite")) as database:
        database.executescript(
            "create table users (id integer primary key, name text, password text, verified_at datetime);"
            "insert into users values (1, 'Ada', 's3cret', '2024-05-01 10:11:12')"
        )
    return tmp_path


def resolve(kit: Path, event: PhpObject) -> Resolution:
    with closing(build_ladder(load(kit, {}, "13.31"), {}, only=("native",))) as ladder:
        return ladder.resolve(read_payload(job(event)))


def test_an_event_of_two_scalars_is_native(kit: Path) -> None:
    (sent,) = resolve(kit, PhpObject("App\\Events\\Moved", {b"to": 5, b"by": b"Ada"})).broadcasts
    assert (sent.connection, sent.channels) == ("reverb", ("private-rooms",))
    assert json.loads(sent.data) == {"to": 5, "by": "Ada"}


def test_its_user_is_native_too_and_shows_nothing_hidden(kit: Path) -> None:
    held: dict[int | bytes, Value] = {
        b"class": b"App\\Models\\User",
        b"id": 1,
        b"relations": PhpArray(),
        b"connection": b"sqlite",
    }
    user = PhpObject(IDENTIFIER, held)
    (sent,) = resolve(kit, PhpObject("App\\Events\\Joined", {b"user": user})).broadcasts
    shown = {"id": 1, "name": "Ada", "verified_at": "2024-05-01T10:11:12.000000Z"}
    assert json.loads(sent.data) == {"user": shown}


KIT_PROVIDER = r"""
    namespace App\Providers;
    use Carbon\CarbonImmutable;
    use Illuminate\Support\Facades\{Date, DB};
    class TestServiceProvider extends \Illuminate\Support\ServiceProvider {
        public function boot(): void { $this->configureDefaults(); }
        protected function configureDefaults(): void {
            Date::use(CarbonImmutable::class);
            if (method_exists(DB::connection(), 'prohibitDestructiveCommands')) {
                DB::prohibitDestructiveCommands(app()->isProduction());
            }
        }
    }
"""


KIT_USER = r"""
    namespace App\Models;
    use Illuminate\Database\Eloquent\Factories\HasFactory;
    use Illuminate\Foundation\Auth\User as Authenticatable;
    use Illuminate\Notifications\Notifiable;
    MARKS
    class User extends Authenticatable {
        use HasFactory, Notifiable;
        PROPERTIES
    }
"""


def _user() -> str:
    """The model as the release's starter kit writes it."""
    hidden = "['password', 'two_factor_secret', 'two_factor_recovery_codes', 'remember_token']"
    fillable, uses = "['name', 'email', 'password']", "use Illuminate\\Database\\Eloquent\\Attributes\\"
    casts = "['email_verified_at' => 'datetime', 'two_factor_confirmed_at' => 'datetime'"
    casts += ", 'password' => 'hashed']" if release() >= (10, 10) else "]"
    properties = f"protected $fillable = {fillable}; protected $hidden = {hidden};"
    marks = ""
    if release() >= (13, 0):
        marks, properties = f"{uses}{{Fillable, Hidden}}; #[Fillable({fillable})] #[Hidden({hidden})]", ""
    if release() >= (11, 0):
        properties += f"protected function casts(): array {{ return {casts}; }}"
    else:
        properties += f"protected $casts = {casts};"
    return KIT_USER.replace("MARKS", marks).replace("PROPERTIES", properties)


def test_it_is_native_after_its_first_five_jobs_beside_the_booted_app(tmp_path: Path) -> None:
    with app(tmp_path / "app", KIT_PROVIDER) as made, closing(PhpRung(made.path)) as php:
        (made.path / "app/Models/User.php").write_text(f"<?php {_user()}")
        made.sql(
            "drop table if exists users; create table users (id integer primary key, name varchar,"
            " email varchar, email_verified_at datetime, password varchar, remember_token varchar,"
            " two_factor_secret text, two_factor_recovery_codes text,"
            " two_factor_confirmed_at datetime, created_at datetime,"
            " updated_at datetime);"
            "insert into users values (1, 'Ädä', 'a@b.test', '2026-05-01 10:11:12', 's3cret', 's3cret',"
            " 's3cret', 's3cret', null, '2026-05-01 10:11:12', null)"
        )
        case, users = Case(made), Case(made)
        case.event("public function __construct(public int $to, public string $by) { }")
        users.event("public function __construct(public \\App\\Models\\User $user) { }")
        identifier = users.model()
        identifier.properties[b"class"] = b"App\\Models\\User"
        settings = load_settings({"laravel_version": laravel_version()}, {}, made.path)
        ladder = build_ladder(
            settings.laravel, {}, php=php, report=php.report, trust=earned_trust(settings, php, keeps=False)
        )
        with closing(ladder):
            sent = [ladder.resolve(read_payload(case.payload(to=number, by=b"Ada"))) for number in range(7)]
            shown = [ladder.resolve(read_payload(users.payload(user=identifier))) for _ in range(7)]
    assert [one.by for one in sent] == [one.by for one in shown] == ["php"] * 5 + ["native"] * 2
    assert [json.loads(one.broadcasts[0].data) for one in sent] == [{"to": n, "by": "Ada"} for n in range(7)]
    (data,) = {one.broadcasts[0].data for one in shown}
    assert "s3cret" not in data
    assert json.loads(data)["user"]["email_verified_at"] == "2026-05-01T10:11:12.000000Z"
