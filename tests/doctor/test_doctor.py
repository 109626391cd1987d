"""`bridge doctor` finds faults that are planted in a healthy app, one at a time, and names the remedy."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import resource
import socket
import socketserver
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from bridge.cli import main
from bridge.doctor import javascript
from bridge.doctor.examine import examine
from bridge.doctor.listening import accept_queue
from bridge.doctor.stores import other_queues, too_old
from bridge.doctor.subject import ExaminedApp
from bridge.jobs.queue.portion import LARGE
from bridge.jobs.queue.redis.driver import RedisQueue
from bridge.settings.load import load_settings
from tests import services
from tests.conformance.corpus import rows
from tests.doctor.apps import App, copied, healthy
from tests.end_to_end.processes import environment, listens, running, wait_until
from tests.jobs.queue.stores import broadcast, without_memory
from tests.monitoring.test_alerts import mail_server_running
from tests.sockets.webhooks.receiver import receiving


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> App:
    return healthy(tmp_path_factory.mktemp("healthy"))


@pytest.fixture
def app(original: App, tmp_path: Path) -> App:
    return copied(original, tmp_path / "app")


@pytest.fixture(scope="module")
def redis_server() -> Iterator[services.Redis]:
    """One of its own: queues of other tests would be findings."""
    with services.redis_server() as server:
        yield server


@pytest.fixture
def on_redis(app: App, redis_server: services.Redis) -> Iterator[App]:
    prefix = f"doctor_{os.urandom(4).hex()}_"
    app.env(**redis_server.env, REDIS_PREFIX=prefix, QUEUE_CONNECTION="redis")
    yield app
    with contextlib.closing(redis_server.client()) as client:
        for key in client.scan_iter(match=f"*{prefix}*"):
            client.delete(key)


def the_fault(app: App, follows: str = "") -> dict[str, str]:
    """The only finding that counts, but for those of the check `follows`."""
    code, lines = app.doctor()
    faults = [line for line in lines if line["level"] == "fault" and line["check"] != follows]
    assert (code, len(faults)) == (1, 1), lines
    assert faults[0]["mend"]
    [fault] = faults
    return {name: str(value) for name, value in fault.items()}


# ---- health -------------------------------------------------------------------------------------


def test_a_healthy_app_has_no_finding(app: App, capsys: pytest.CaptureFixture[str]) -> None:
    assert app.doctor() == (0, [])
    assert main(["doctor", "--app", str(app.path)]) == 0
    said, *rest = capsys.readouterr().out.splitlines()
    assert said.startswith("the booted app says: Laravel ")
    assert rest == ["healthy: no fault was found"]


def test_what_keeps_every_event_from_being_native_is_a_hint(app: App) -> None:
    provider = app.path / "app/Providers/AppServiceProvider.php"
    added = "\\Illuminate\\Support\\Carbon::serializeUsing(fn ($date) => 'a date');"
    provider.write_text(
        provider.read_text().replace(
            "boot(BroadcastManager $broadcasting)\n    {",
            f"boot(BroadcastManager $broadcasting)\n    {{ {added}",
        )
    )
    code, [hint] = app.doctor()
    assert (code, hint["check"], hint["level"]) == (0, "app report", "hint")
    assert "every event is left to PHP: the app changes Carbon's serializer" in hint["what"]


def test_what_keeps_events_from_being_native_concerns_no_app_that_posts_all_of_them_itself(app: App) -> None:
    provider = app.path / "app/Providers/AppServiceProvider.php"
    added = "\\Illuminate\\Support\\Carbon::serializeUsing(fn ($date) => 'a date');"
    start = "boot(BroadcastManager $broadcasting)\n    {"
    provider.write_text(provider.read_text().replace(start, f"{start} {added}"))
    for file in (app.path / "app").glob("*/*.php"):
        text = file.read_text()
        if "toBroadcast" in text or "'broadcast'" in text:
            file.unlink()
        else:
            file.write_text(re.sub(r"\bShouldBroadcast\b", "ShouldBroadcastNow", text))
    assert app.doctor() == (0, [])


def test_a_healthy_app_on_redis_has_no_finding(on_redis: App) -> None:
    assert on_redis.doctor() == (0, [])


@pytest.mark.parametrize("server", ["mariadb", "postgres"])
def test_a_healthy_app_on_a_database_server_has_no_finding(
    app: App, server: str, request: pytest.FixtureRequest
) -> None:
    running: services.SqlServer = request.getfixturevalue(server)
    with running.database() as database:
        app.env(**database.env)
        assert app.doctor() == (0, [])


def test_a_folder_with_a_dotenv_alone_is_no_fault(tmp_path: Path) -> None:
    with services.sqlite(tmp_path) as database:
        lines = {
            **database.env, "QUEUE_CONNECTION": "database", "CACHE_STORE": "file", "PUSHER_APP_ID": "1",
            "PUSHER_APP_KEY": "k", "PUSHER_APP_SECRET": "5f1c9e0b7a3d8c642e91",
            "BROADCAST_CONNECTION": "pusher", "PUSHER_HOST": "bridge.internal",
            "BRIDGE_PORT": str(services.free_port()), "APP_KEY": "x" * 32,
        }  # fmt: skip
        (tmp_path / ".env").write_text("".join(f"{name}={value}\n" for name, value in lines.items()))
        assert App(tmp_path).doctor() == (0, [])


@pytest.mark.parametrize("major", [11, 13])
def test_reverb_needs_no_file_of_its_own_from_laravel_11_on(app: App, major: int) -> None:
    """The framework's own configuration says where Laravel posts."""
    port = load_settings({}, {}, app.path).port
    app.remove("config/broadcasting.php").replace("composer.lock", '"v8', f'"v{major}')
    app.env(
        BROADCAST_DRIVER=None, BROADCAST_CONNECTION="reverb", REVERB_APP_ID="1", REVERB_APP_KEY="app-key",
        REVERB_APP_SECRET="0b7a3d8c642e915f1c9e", REVERB_HOST="127.0.0.1", REVERB_PORT=str(port),
        REVERB_SCHEME="http", PUSHER_APP_ID=None, PUSHER_APP_KEY=None, PUSHER_APP_SECRET=None,
    )  # fmt: skip
    _, lines = app.doctor()
    assert [line for line in lines if line["check"] in ("posts", "broadcasting", "secrets")] == []
    app.env(REVERB_PORT="1")
    _, lines = app.doctor()
    assert [line["what"].partition(" here")[0] for line in lines if line["check"] == "posts"] == [
        "reverb posts to port 1"
    ]


@pytest.mark.parametrize(
    ("secret", "fault"),
    [
        ("app-secret", "is a sample value"), ("second-secret", "is a sample value"), ("local", "is a sample"),
        ("your-pusher-app-secret", "is a sample"), ("YOUR_SECRET_KEY_123456", "is a sample"),
        ("aaaaaaaaaaaaaaaaaaaaaaaa", "is a sample"), ("app-key", "is its key"),
        ("5f1c9e0b7a3d8c6", "has 15 characters"), ("5f1c9e0b7a3d8c642e91", ""),
    ],
)  # fmt: skip
def test_a_secret_that_can_be_guessed_is_a_fault_and_is_not_shown(app: App, secret: str, fault: str) -> None:
    app.env(APP_ENV="production", PUSHER_APP_SECRET=secret)
    code, lines = app.doctor()
    assert (code, len(lines)) == ((1, 1) if fault else (0, []) and (0, 0))
    if fault:
        assert (lines[0]["check"], lines[0]["level"], fault in lines[0]["what"]) == ("secrets", "fault", True)
        assert secret not in str(lines[0]).replace(fault, "")
    app.env(APP_ENV="local")
    assert app.doctor()[0] == 0, "no more than a hint where nobody else comes"


def test_every_secret_is_looked_at(app: App) -> None:
    app.env(APP_ENV="production")
    app.toml("dashboard_password = 'x'\ndashboard_link_secret = 'y'\nmetrics_token = 'z'\n")
    app.file("bridge.toml", (app.path / "bridge.toml").read_text() + """
[[apps]]
id = "2"
key = "second-key"
secret = "second-secret"
previous_secrets = ["old-secret"]
""")  # fmt: skip
    _, lines = app.doctor()
    assert [line["what"].partition(" is ")[0].partition(" has ")[0] for line in lines] == [
        "the secret of the app 2", "previous secret 1 of the app 2", "dashboard_password",
        "dashboard_link_secret", "metrics_token",
    ]  # fmt: skip


def test_a_table_of_apps_that_cannot_be_read_or_has_wrong_rows_is_a_fault(app: App) -> None:
    app.file("bridge.toml", (app.path / "bridge.toml").read_text() + "[apps_table]\ntable = 'my_apps'\n")
    fault = the_fault(app)
    assert (fault["check"], "my_apps" in fault["what"]) == ("apps table", True)
    _sql("create table my_apps (id, key, secret, max_connections)")(app)
    assert app.doctor() == (0, [])
    _sql("insert into my_apps values ('2', 'k2', 'x', 'unlimited')")(app)
    fault = the_fault(app)
    assert (fault["check"], fault["what"]) == ("apps table", "app 2.max_connections is wrong")


def test_root_is_told_whose_files_the_app_cannot_write(app: App) -> None:
    settings = load_settings({}, {}, app.path)
    storage = app.path / "storage"
    owner = storage.stat().st_uid
    assert list(examine(ExaminedApp(settings=settings, user=lambda: owner), {"user"})) == []
    if owner == 0:
        os.chown(storage, 12345, -1)
    [finding] = examine(ExaminedApp(settings=settings, user=lambda: 0), {"user"})
    assert "root" in finding.what
    assert f"sudo -u '#{storage.stat().st_uid}'" in finding.remedy


# ---- faults of files ------------------------------------------------------------------------------


class Fault(NamedTuple):
    """`plant` makes it; `check` finds it, with these words in what it says and in the remedy.

    follows  the check that may find something too: PHP itself stumbles over some faults
    """

    name: str
    plant: Callable[[App], object]
    check: str
    what: str
    remedy: str
    follows: str = ""


def _stop_booting(app: App) -> None:
    app.replace("app/Providers/AppServiceProvider.php", "class ", "clas ")


def _cache_config(app: App) -> None:
    """The configuration is cached, and `.env` changed afterwards."""
    subprocess.run(
        ["php", "artisan", "config:cache"], cwd=app.path, env=environment(), check=True, capture_output=True
    )
    moment = time.time() + 60
    os.utime(app.path / ".env", (moment, moment))


def _sql(statement: str) -> Callable[[App], None]:
    def plant(app: App) -> None:
        with contextlib.closing(sqlite3.connect(app.path / "database/queue.sqlite")) as database, database:
            database.execute(statement)

    return plant


def _wait_elsewhere(app: App) -> None:
    """A broadcast lies in the queue `high`."""
    [payload] = [r.payload for r in rows("8.83") if (r.id, r.n, r.app_db) == ("scalar-seed", 0, "sqlite")
                 and b'"attempts"' not in r.payload]  # fmt: skip
    with contextlib.closing(sqlite3.connect(app.path / "database/queue.sqlite")) as database, database:
        values = ("high", payload.decode())
        sql = "insert into jobs (queue, payload, attempts, available_at, created_at) values (?, ?, 0, 0, 0)"
        database.execute(sql, values)


def _pem(app: App, *, ends: timedelta = timedelta(days=90), other_key: bool = False) -> App:
    """A self-made certificate is the port's."""
    key, name = (
        ec.generate_private_key(ec.SECP256R1()),
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "x")]),
    )
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(1).not_valid_before(now - timedelta(days=90)).not_valid_after(now + ends)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    if other_key:
        key = ec.generate_private_key(ec.SECP256R1())
    plain = serialization.NoEncryption()
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    (app.path / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (app.path / "key.pem").write_bytes(key.private_bytes(*form))
    app.toml(f'ssl_cert = "{app.path}/cert.pem"\nssl_key = "{app.path}/key.pem"')
    app.echo("wsPort", "wssPort").echo("forceTLS: false", "forceTLS: true")
    return app.replace("config/broadcasting.php", "'scheme' => 'http'", "'scheme' => 'https'")


def _port(app: App) -> str:
    found = re.search(r"port = (\d+)", (app.path / "bridge.toml").read_text())
    assert found
    return found[1]


SECRET = "canarysecret"
REFUSED = r"""<?php
namespace App\Events;
class Refused implements \Illuminate\Contracts\Broadcasting\ShouldBroadcast
{
    public function broadcastOn() { return new \Illuminate\Broadcasting\Channel(app('where')->name()); }
}
"""

FAULTS = [
    Fault("no .env", lambda app: app.remove(".env"), "environment", "no .env", ".env.example"),
    Fault("a quote that never closes", lambda app: app.env(ZED='"open'), "names", "ZED has a quote",
          "close the quote"),
    Fault("a value with a space and no quotes", lambda app: app.env(APP_NAME="My shop"), "settings",
          "has a space in its value", "phpdotenv"),
    Fault("a name twice", lambda app: app.file(".env", (app.path / ".env").read_text() + "APP_NAME=Other\n"),
          "names", "APP_NAME is set 2 times", "leave one"),
    Fault("a misspelt name", lambda app: app.env(PUSHER_APP_CLUSTER=None, PUSHER_APP_CLUTSER="eu"), "names",
          "PUSHER_APP_CLUTSER is not known", "PUSHER_APP_CLUSTER"),
    Fault("the name of another release",
          lambda app: app.env(CACHE_STORE="file", CACHE_DRIVER=None), "names",
          "CACHE_STORE is set, but config/cache.php asks for CACHE_DRIVER", "write CACHE_DRIVER"),
    Fault("no APP_KEY", lambda app: app.env(APP_KEY=None), "keys", "APP_KEY is empty", "key:generate"),
    Fault("an APP_KEY of another length", lambda app: app.env(APP_KEY=SECRET), "keys", "32 bytes",
          "key:generate"),
    Fault("a cached configuration that is old", _cache_config, "cached configuration", "older than .env",
          "config:cache"),
    Fault("an old Laravel", lambda app: app.replace("composer.lock", '"v8', '"v7'), "release", "older than 8",
          "--shadow"),
    Fault("broadcasts to the log", lambda app: app.env(BROADCAST_DRIVER="log"), "broadcasting", "go nowhere",
          "pusher or reverb"),
    Fault("broadcasts to a connection that is not there", lambda app: app.env(BROADCAST_DRIVER="pussher"),
          "broadcasting", "pussher is not configured", "pusher or reverb", "boot"),
    Fault("an app without a secret", lambda app: app.env(PUSHER_APP_SECRET=None), "broadcasting",
          "pusher.secret is empty", "PUSHER_APP_SECRET", "boot"),
    Fault("Laravel posts to Pusher",
          lambda app: app.replace("config/broadcasting.php", "env('PUSHER_HOST', '127.0.0.1')", "null"),
          "posts", "goes to Pusher's own servers", "PUSHER_HOST"),
    Fault("Laravel posts to another port", lambda app: app.env(PUSHER_PORT="6002"), "posts",
          "posts to port 6002", "PUSHER_PORT="),
    Fault("Laravel posts by https",
          lambda app: app.replace("config/broadcasting.php", "'scheme' => 'http'", "'scheme' => 'https'"),
          "posts", "bridge speaks plain HTTP", "PUSHER_SCHEME=http"),
    Fault("no routes/channels.php", lambda app: app.remove("routes/channels.php").replace(
              "app/Providers/BroadcastServiceProvider.php", "require base_path('routes/channels.php');", ""),
          "routes", "routes/channels.php is missing", "install:broadcasting"),
    Fault("the provider in a comment",
          lambda app: app.replace("config/app.php", "App\\Providers\\BroadcastServiceProvider::class",
                                  "// App\\Providers\\BroadcastServiceProvider::class"),
          "routes", "BroadcastServiceProvider is not registered", "out of its comment"),
    Fault("no route to sign", lambda app: app.replace("app/Providers/BroadcastServiceProvider.php",
                                                      "Broadcast::routes(", "// Broadcast::routes("),
          "routes", "nothing makes the route /broadcasting/auth", "Broadcast::routes()"),
    Fault("origins without the app's own", lambda app: app.toml('allowed_origins = ["*.shop.example"]'),
          "origins", "shop.example", "add"),
    Fault("a queue that is none", lambda app: app.env(QUEUE_CONNECTION="sync"), "queue", "sync",
          "QUEUE_CONNECTION to database or redis"),
    Fault("no table jobs", _sql("drop table jobs"), "queue", "jobs is missing", "queue:table"),
    Fault("a table jobs without a column", _sql("alter table jobs rename column reserved_at to reserved"),
          "queue", "jobs is missing or not Laravel's", "queue:table"),
    Fault("no database file", lambda app: app.remove("database/queue.sqlite"), "queue",
          "names no file", "migrate"),
    Fault("broadcasts in another queue", _wait_elsewhere, "other queues", "wait in the queue high",
          "--queue default,high"),
    Fault("no table failed_jobs", _sql("drop table failed_jobs"), "failed jobs", "failed_jobs is missing",
          "queue:failed-table"),
    Fault("failed jobs that nobody keeps",
          lambda app: app.replace("config/queue.php", "'database-uuids'", "'null'"), "failed jobs",
          "not kept", "QUEUE_FAILED_DRIVER"),
    Fault("a short retry_after", lambda app: app.toml("retry_after = 30"), "retry_after", "30 s", "90"),
    Fault("a cache of its own", lambda app: app.env(CACHE_DRIVER="array"), "cache", "each process's own",
          "CACHE_STORE"),
    Fault("a cache that bridge does not know",
          lambda app: app.env(CACHE_DRIVER="m").replace(
              "config/cache.php", "'array' =>", "'m' => ['driver' => 'apc'], 'a' =>"),
          "cache", "apc", "redis, database or file"),
    Fault("maintenance", lambda app: app.file("storage/framework/down", "{}"), "maintenance",
          "maintenance mode", "php artisan up"),
    Fault("no PHP", lambda app: app.toml('php_binary = "/nowhere/php"'), "php", "no program /nowhere/php",
          "php-cli"),
    Fault("an app that does not boot", _stop_booting, "boot", "does not boot", "php artisan --version"),
    Fault("half a certificate",
          lambda app: app.file("c.pem", "").toml(f'ssl_cert = "{app.path}/c.pem"'),
          "certificate", "ssl_key is missing", "give both"),
    Fault("a certificate that is not there", lambda app: _pem(app).remove("cert.pem"),
          "certificate", "ssl_cert cannot be read", "correct the path"),
    Fault("a certificate and the key of another", lambda app: _pem(app, other_key=True), "certificate",
          "do not belong together", "private key it was made for"),
    Fault("a certificate that has ended", lambda app: _pem(app, ends=timedelta(days=-1)), "certificate",
          "ended on", "renew it"),
    Fault("a certificate that ends soon", lambda app: _pem(app, ends=timedelta(days=5)), "certificate",
          "ends in 4 days", "renew it"),
    Fault("more connections than files",
          lambda app: app.toml(f"max_connections = {resource.getrlimit(resource.RLIMIT_NOFILE)[1]}"), "files",
          "open files", "ulimit"),
    Fault("Echo without a key", lambda app: app.env(MIX_PUSHER_APP_KEY=None), "echo",
          ".env does not set MIX_PUSHER_APP_KEY", "set MIX_PUSHER_APP_KEY"),
    Fault("Echo with another key", lambda app: app.env(MIX_PUSHER_APP_KEY="other"), "echo",
          "the key of no app", "PUSHER_APP_KEY"),
    Fault("Echo without a host", lambda app: app.echo("wsHost: window.location.hostname,", ""), "echo",
          "connects to Pusher's own servers", "wsHost"),
    Fault("Echo to another port", lambda app: app.echo("wsPort: ", "wsPort: 1"), "echo",
          "Echo connects to port 1", "wsPort"),
    Fault("Echo with TLS, bridge without",
          lambda app: app.echo("forceTLS: false", "forceTLS: true").echo("wsPort", "wssPort"),
          "echo", "bridge has no certificate", "ssl_cert"),
    Fault("Echo without TLS, bridge with",
          lambda app: _pem(app).echo("forceTLS: true", "forceTLS: false").echo("wssPort", "wsPort"),
          "echo", "without TLS", "forceTLS: true"),
    Fault("Echo without a cluster",
          lambda app: app.echo("process.env.MIX_PUSHER_APP_CLUSTER ?? 'mt1'", "undefined"), "echo",
          "cluster is not set", "cluster: 'mt1'"),
    Fault("Echo for socket.io",
          lambda app: app.echo("broadcaster: 'pusher'", "broadcaster: 'socket.io'"), "echo",
          "socket.io", "pusher-js"),
    Fault("another origin that may not sign", lambda app: app.file(
              "config/cors.php", "<?php return ['paths' => ['api/*']];"
          ).echo("forceTLS", "authEndpoint: 'https://api.shop.example/broadcasting/auth', forceTLS"),
          "echo", "CORS", "broadcasting/auth"),
    Fault("an event that nobody can tell",
          lambda app: app.file("app/Events/Refused.php", REFUSED).remove("app/Events/Behaves.php")
          .toml('php_binary = ""'), "events",
          "App\\Events\\Refused is refused", "map it"),
    Fault("a mapping of no event",
          lambda app: app.file("bridge.toml", (app.path / "bridge.toml").read_text()
                               + '[events."App\\\\Events\\\\OrderShiped"]\nchannels = ["x"]\n'),
          "mappings", "OrderShiped", "did you mean App\\Events\\OrderShipped"),
]  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_planted_fault_is_found_and_its_mend_is_named(app: App, fault: Fault) -> None:
    fault.plant(app)
    found = the_fault(app, fault.follows)
    assert found["check"] == fault.check
    assert fault.what in found["what"]
    assert fault.remedy in found["mend"]
    assert SECRET not in json.dumps(found)


def test_broadcasts_in_another_queue_are_a_hint_where_another_server_may_take_them(app: App) -> None:
    """docs/processes.md: where order matters, one server takes the jobs."""
    _wait_elsewhere(app)
    app.toml('bus = "default"\nqueue = ["unused"]')
    [found] = other_queues(ExaminedApp(settings=load_settings({}, {}, app.path)))
    assert found.hint
    assert "unless another server takes them" in found.remedy


def test_thirty_faults_are_planted_at_least() -> None:
    assert len({fault.name for fault in FAULTS}) >= 30


# ---- faults of servers and of the machine -----------------------------------------------------------


@pytest.mark.parametrize("connection", ["mysql", "pgsql", "redis"])
def test_a_server_that_does_not_answer_is_found(app: App, connection: str) -> None:
    port = str(services.free_port())
    if connection == "redis":
        app.env(QUEUE_CONNECTION="redis", REDIS_PORT=port)
        found = the_fault(app)
    else:
        app.replace(
            "config/queue.php", "'table' => 'jobs'", f"'connection' => '{connection}', 'table' => 'jobs'"
        )
        app.env(DB_PORT=port, DB_HOST="127.0.0.1")
        found = the_fault(app)
    assert (found["check"], found["where"]) == ("queue", f"127.0.0.1:{port}")
    assert "start the server" in found["mend"]


def test_a_password_that_redis_does_not_take_is_found(on_redis: App) -> None:
    on_redis.env(REDIS_PASSWORD=SECRET)
    found = the_fault(on_redis)
    assert found["check"] == "queue"
    assert "REDIS_PASSWORD" in found["what"]
    assert SECRET not in json.dumps(found)


def test_redis_that_packs_its_values_is_found(on_redis: App) -> None:
    on_redis.replace("config/database.php", "'options' => [\n            'cluster'",
                     "'options' => [\n            'serializer' => 1, 'cluster'")  # fmt: skip
    assert "packs its values" in the_fault(on_redis)["what"]


def test_a_key_of_another_kind_is_found(on_redis: App, redis_server: services.Redis) -> None:
    prefix = load_settings({}, {}, on_redis.path).redis("default").prefix
    with contextlib.closing(redis_server.client()) as client:
        client.set(f"{prefix}queues:default:delayed", "a text")
    found = the_fault(on_redis)
    assert (found["check"], found["mend"]) == ("queue", "check REDIS_DB and REDIS_PREFIX")


def test_large_payloads_are_not_read_to_find_broadcasts_in_other_queues(
    on_redis: App, redis_server: services.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    prefix = load_settings({}, {}, on_redis.path).redis("default").prefix
    with contextlib.closing(redis_server.client()) as client:
        large = broadcast(note="x" * LARGE)
        client.rpush(f"{prefix}queues:default", large)
        client.rpush(f"{prefix}queues:high", large, broadcast())
    with contextlib.closing(RedisQueue(redis_server.client())) as queue:
        without_memory(queue, monkeypatch)
    assert "wait in the queue high" in the_fault(on_redis)["what"]


def test_redis_that_may_throw_jobs_away_is_found(app: App) -> None:
    options = {"maxmemory": "64mb", "maxmemory-policy": "allkeys-lru"}
    with services.redis_server(persistent=False, **options) as server:  # type: ignore[arg-type]
        app.env(**server.env, QUEUE_CONNECTION="redis")
        found = the_fault(app)
    assert found["check"] == "redis"
    assert "noeviction" in found["mend"]


def test_redis_that_may_forget_which_jobs_are_done_is_hinted_at(app: App) -> None:
    options = {"maxmemory": "64mb", "maxmemory-policy": "volatile-lru"}
    with services.redis_server(persistent=False, **options) as server:  # type: ignore[arg-type]
        app.env(**server.env, QUEUE_CONNECTION="redis")
        code, [hint] = app.doctor()
    assert (code, hint["check"], hint["level"]) == (0, "redis", "hint")
    assert "which jobs are done: then a job may go out twice" in hint["what"]


def test_a_user_who_may_not_see_whether_redis_throws_away_is_hinted_at(
    on_redis: App, redis_server: services.Redis
) -> None:
    with contextlib.closing(redis_server.client()) as client:
        client.execute_command(
            "ACL", "SETUSER", "few", "reset", "on", ">few-9f2c", "~*", "&*", "+@all", "-info"
        )  # type: ignore[no-untyped-call]
    on_redis.env(REDIS_URL=f"redis://few:few-9f2c@{redis_server.host}:{redis_server.port}")
    code, found = on_redis.doctor()
    assert code == 0
    assert [one["check"] for one in found if "may not INFO" in one["what"]] == ["redis"]


def test_a_prefix_that_another_queue_has_is_hinted_at(on_redis: App, redis_server: services.Redis) -> None:
    with contextlib.closing(redis_server.client()) as client:
        prefix = load_settings({}, {}, on_redis.path).redis("default").prefix
        client.rpush(f"php_{prefix}queues:default", "{}")
    code, [hint] = on_redis.doctor()
    assert (code, hint["level"]) == (0, "hint")
    assert f"php_{prefix}" in hint["what"]
    assert "REDIS_PREFIX" in hint["mend"]


@pytest.mark.parametrize("store", ["redis", "mariadb", "postgres"])
def test_a_clock_that_goes_wrong_is_found(app: App, store: str, request: pytest.FixtureRequest) -> None:
    with contextlib.ExitStack() as stack:
        if store == "redis":
            app.env(**request.getfixturevalue("redis_server").env, QUEUE_CONNECTION="redis")
        else:
            app.env(**stack.enter_context(request.getfixturevalue(store).database()).env)
        subject = ExaminedApp(settings=load_settings({}, {}, app.path), clock=lambda: time.time() + 600)
        [found] = [finding for finding in examine(subject) if not finding.hint]
    assert found.check == "clock"
    assert re.search(r"differ by (59\d|60\d) s", found.what)


@pytest.mark.parametrize(
    ("version", "is_old"),
    [
        ("5.7.44-log", True), ("8.0.36-0ubuntu0.22.04.1", False), ("10.5.23-MariaDB-0+deb11u1", True),
        ("5.5.5-10.11.6-MariaDB", False), ("PostgreSQL 9.4.26 on x86_64", True), ("redis 4.0.14", True),
        ("PostgreSQL 15.14 (Debian 15.14-0+deb12u1)", False), ("redis 7.0.15", False),
    ],
)  # fmt: skip
def test_a_server_that_is_too_old_is_hinted_at(version: str, is_old: bool) -> None:
    found = list(too_old(version, "db:3306"))
    assert [finding.hint for finding in found] == [True] * is_old
    assert all("update it" in finding.remedy for finding in found)


def test_who_holds_the_port_is_named(app: App) -> None:
    script = f"import socket, sys; s = socket.create_server(('127.0.0.1', {_port(app)})); print(flush=True);"
    command = [sys.executable, "-c", script + "sys.stdin.read()", "websockets:serve"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        found = the_fault(app)
        process.communicate()
    assert found["check"] == "port"
    assert f"taken by laravel-websockets (process {process.pid})" in found["what"]


def test_the_options_of_serve_count_as_they_would_there(app: App) -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = str(held.getsockname()[1])
        code, findings = app.doctor("--port", port, "--queue", "high,default")
        assert code == 1
        assert [(one["check"], one["where"]) for one in findings if one["check"] == "port"] == [
            ("port", "--port")
        ]
    code, [finding] = app.doctor("--port", "none")
    assert (code, finding["check"], finding["where"]) == (1, "settings", "--port")


def test_bridge_itself_on_its_port_is_no_fault(app: App, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bridge", "serve", "--app", str(app.path)]
    log = tmp_path / "log"
    with running(command, cwd=tmp_path, log=log, env=environment(PYTHONUNBUFFERED="1")):
        wait_until("bridge listens", lambda: "listening on" in log.read_text(), 60)
        assert app.doctor() == (0, [])


def test_another_worker_and_another_server_of_the_app_are_hinted_at(app: App) -> None:
    waiting = "fgets(STDIN);"
    started = [
        subprocess.Popen(["php", "-r", waiting, "--", name], cwd=app.path, stdin=subprocess.PIPE)
        for name in ("queue:work", "reverb:start")
    ]
    try:
        wait_until("both run", lambda: len(app.doctor()[1]) == 2, 60)
        code, hints = app.doctor()
    finally:
        for process in started:
            process.communicate()
    assert code == 0
    told = sorted(hint["what"].split()[0] for hint in hints)
    assert told == ["queue:work", "reverb:start"]
    assert {hint["check"] for hint in hints} == {"processes"}


def test_units_that_kill_too_soon_or_start_another_server_are_found(app: App, tmp_path: Path) -> None:
    folder = tmp_path / "machine/etc/supervisor/conf.d"
    folder.mkdir(parents=True)
    (folder / "bridge.conf").write_text(
        f"[program:bridge]\ncommand=/opt/bridge/bin/bridge serve --app {app.path}\nstopwaitsecs=69\n"
    )
    (folder / "ws.conf").write_text(f"[program:ws]\ncommand=php {app.path}/artisan websockets:serve\n")
    (folder / "else.conf").write_text("[program:x]\ncommand=php /elsewhere/artisan websockets:serve\n")
    subject = ExaminedApp(settings=load_settings({}, {}, app.path), root=tmp_path / "machine")
    fault, hint = [finding for finding in examine(subject) if finding.check == "units"]
    assert (fault.hint, hint.hint) == (False, True)
    assert fault.what == "bridge is killed after 69 s, and a stop may take 70 s"
    assert "stopwaitsecs" in fault.remedy
    assert "websockets:serve" in hint.what


# ---- what cannot be told ----------------------------------------------------------------------------


def test_options_that_only_the_page_knows_are_hinted_at(app: App) -> None:
    app.file(
        "resources/js/bootstrap.js", "window.Echo = new Echo({...window.settings, broadcaster: 'pusher'});"
    )
    code, [hint] = app.doctor()
    assert (code, hint["level"], hint["where"]) == (0, "hint", "resources/js/bootstrap.js:1")


def test_without_the_grammar_of_javascript_the_extra_is_named(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tree_sitter_javascript", None)  # as where it is not installed
    javascript._parser.cache_clear()
    code, [hint] = app.doctor()
    javascript._parser.cache_clear()
    assert (code, hint["level"], hint["check"]) == (0, "hint", "echo")
    assert "laravel-bridge[doctor]" in hint["mend"]
    app.remove("resources/js/bootstrap.js")
    assert app.doctor() == (0, [])


def test_an_app_that_is_not_there_is_wrong_usage_of_the_command(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["doctor", "--app", "/nowhere/app"]) == 78
    assert "/nowhere/app" in capsys.readouterr().err


def test_findings_are_told_to_people_with_place_and_mend(
    app: App, capsys: pytest.CaptureFixture[str]
) -> None:
    app.env(BROADCAST_DRIVER="log")
    assert main(["doctor", "--app", str(app.path)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("fault  broadcasting: the default broadcast connection is log")
    assert lines[2].startswith("       do  set BROADCAST_CONNECTION")
    assert lines[-1] == "1 fault was found"


def test_no_secret_is_told_even_where_php_tells_it(app: App) -> None:
    app.env(DB_PASSWORD=SECRET)
    app.replace(
        "app/Providers/BroadcastServiceProvider.php", "Broadcast::routes(",
        "throw new \\Exception('with '.env('DB_PASSWORD')); Broadcast::routes(",
    )  # fmt: skip
    found = the_fault(app)
    assert found["check"] == "boot"
    assert SECRET not in json.dumps(found)


@pytest.mark.parametrize(
    ("kernel", "most", "wanted"),
    [("4096\n", None, None), ("128\n", None, 4096), ("4096\n", 9000, 9000), ("4096\n", 99_000, 16384),
     ("16384\n", 99_000, None), ("4096\n", 2_000, None), (None, 99_000, None), ("x", 99_000, None)],
)  # fmt: skip
def test_an_accept_queue_that_is_too_short_is_hinted_at(
    tmp_path: Path, app: App, kernel: str | None, most: int | None, wanted: int | None
) -> None:
    if most is not None:
        app.toml(f"max_connections = {most}")
    root = tmp_path / "machine"
    (root / "proc/sys/net/core").mkdir(parents=True)
    if kernel is not None:
        (root / "proc/sys/net/core/somaxconn").write_text(kernel)
    found = list(accept_queue(ExaminedApp(settings=load_settings({}, {}, app.path), root=root)))
    assert [finding.hint for finding in found] == [True] * (wanted is not None)
    for finding in found:
        assert f" {wanted} may come back at once" in finding.what
        assert "somaxconn=16384" in finding.remedy


# ---- what tells people ---------------------------------------------------------------------------------


GATE = """
Route::get('/open', fn () => redirect('https://ws.example.com/laravel-websockets?token=a.b.c'));
Route::get('/guarded', fn () => redirect('/login'));
"""
MAIL = """<?php return ['default' => env('MAIL_MAILER'), 'mailers' => ['ses' => ['transport' => 'ses'],
'smtp' => [
    'transport' => 'smtp', 'host' => env('MAIL_HOST'), 'port' => env('MAIL_PORT'),
    'encryption' => env('MAIL_ENCRYPTION'), 'username' => env('MAIL_USERNAME'),
    'password' => env('MAIL_PASSWORD'),
]], 'from' => ['address' => 'shop@example.com', 'name' => 'Shop']];
"""


@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")
def test_alerts_that_nobody_would_get_are_found_and_none_is_sent(app: App) -> None:
    closed = services.free_port()
    with receiving() as receiver, mail_server_running() as (port, taken):
        mail = {
            "MAIL_MAILER": "smtp", "MAIL_HOST": "127.0.0.1", "MAIL_PORT": str(port), "MAIL_USERNAME": "u",
            "MAIL_PASSWORD": "p", "MAIL_ENCRYPTION": "null",
        }  # fmt: skip
        app.file("config/mail.php", MAIL).env(**mail).toml(
            f'alert_to = ["{receiver.url}", "mailto:ops@example.com"]\n'
        )
        assert app.doctor() == (0, [])
        app.env(MAIL_PASSWORD="wrong-password")
        fault = the_fault(app)
        assert (fault["check"], fault["where"].startswith(".env:")) == ("alerts", True)
        assert "SMTPAuthenticationError 535" in fault["what"]
        assert "wrong-password" not in str(fault)
        assert (receiver.bodies, taken.letters) == ([], [])
        app.env(MAIL_MAILER="ses")
        assert "MAIL_MAILER=smtp" in the_fault(app)["mend"]
        app.env(**mail).replace(
            "bridge.toml", receiver.url, f"slack:http://127.0.0.1:{closed}/T0/secret-path"
        )
        fault = the_fault(app)
        assert "do not reach http://127.0.0.1: ConnectionRefusedError" in fault["what"]
        assert "secret-path" not in str(fault)


def test_alerts_that_go_by_a_proxy_are_looked_for_behind_it(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bytes] = []

    class Proxy(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            asked.append(self.rfile.readline())
            while self.rfile.readline().strip():
                pass
            self.wfile.write(b"HTTP/1.1 407 Who are you\r\n\r\n")

    app.toml('alert_to = ["https://alerts.invalid/secret-path"]\n')
    for name in ("https_proxy", "all_proxy", "no_proxy"):  # they win over those in upper case
        monkeypatch.delenv(name, raising=False)
    with socketserver.TCPServer(("127.0.0.1", 0), Proxy) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("HTTPS_PROXY", f"http://user:canary@127.0.0.1:{server.server_address[1]}")
        fault = the_fault(app)
        assert "407 Who are you" in fault["what"]
        assert [line.split()[:2] for line in asked] == [[b"CONNECT", b"alerts.invalid:443"]]
        monkeypatch.setenv("NO_PROXY", "alerts.invalid")
        assert "gaierror" in the_fault(app)["what"]
        monkeypatch.setenv("NO_PROXY", "")
        monkeypatch.setenv("HTTPS_PROXY", "socks5://user:canary@127.0.0.1:9")
        assert "httpx[socks]" in the_fault(app)["what"]
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{services.free_port()}")
        assert "ConnectionRefusedError" in the_fault(app)["what"]
        server.shutdown()


def test_a_gate_that_lets_everybody_in_or_is_not_there_is_found(app: App) -> None:
    app.replace("routes/api.php", "Route::get('/up'", GATE + "Route::get('/up'")
    port = services.free_port()
    with running(
        ["php", "-S", f"127.0.0.1:{port}", "server.php"],
        cwd=app.path,
        log=app.path / "storage/logs/web.txt",
        env=environment(),
    ):
        wait_until("the app answers", lambda: listens(port))
        address = f"http://127.0.0.1:{port}"
        app.toml(f'dashboard_gate = "{address}/guarded"\n')
        assert app.doctor() == (0, [])
        app.replace("bridge.toml", "/guarded", "/open")
        fault = the_fault(app)
        assert (fault["check"], "lets everybody in" in fault["what"]) == ("gate", True)
        assert "Gate::authorize" in fault["mend"]
        app.replace("bridge.toml", "/open", "/nowhere")
        assert "answers 404" in the_fault(app)["what"]
    _, [hint] = app.doctor()
    assert (hint["level"], "cannot be asked from here" in hint["what"]) == ("hint", True)


def test_pipes_and_devices_in_the_app_are_not_waited_for(app: App) -> None:
    """A pipe gives nothing before somebody writes into it, and /dev/zero never ends."""
    folders = ("app/Events", "app/Providers", "bootstrap", "routes", "resources/js", "lang/en")
    for folder in folders:  # not config: Laravel itself would wait for these
        (app.path / folder).mkdir(parents=True, exist_ok=True)
        os.mkfifo(app.path / folder / "Pipe.php")
        os.symlink("/dev/zero", app.path / folder / "Endless.php")
    os.mkfifo(app.path / "resources/js/pipe.js")
    assert app.doctor() == (0, [])
    with contextlib.redirect_stdout(io.StringIO()) as out:
        assert main(["events", "--app", str(app.path)]) == 0
    assert "App\\Events\\ChatEvent" in out.getvalue()
