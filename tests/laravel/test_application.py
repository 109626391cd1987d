from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bridge.errors import ConfigurationError
from bridge.laravel.application import LaravelApp, load
from tests.phpeval.laravel.php import php

MakeApp = Callable[..., LaravelApp]

FRAMEWORK = {"name": "laravel/framework", "version": "v11.38.2"}


@pytest.fixture
def make(tmp_path: Path) -> MakeApp:
    """An app of `.env` lines and config files by name."""

    def make(
        env: str = "", version: str | None = None, given: dict[str, str] | None = None, **files: str
    ) -> LaravelApp:
        (tmp_path / ".env").write_text(env)
        for name, array in files.items():
            (tmp_path / "config").mkdir(exist_ok=True)
            (tmp_path / f"config/{name}.php").write_text(f"<?php return {array};")
        return load(tmp_path, {}, version, given)

    return make


def test_the_real_environment_wins_over_the_file(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("APP_NAME=file\nAPP_ENV=local\nX=${APP_NAME}")
    app = load(tmp_path, {"APP_NAME": "real"})
    assert (app.name, app.environment, app.env["X"]) == ("real", "local", "real")


def test_the_file_of_the_real_environment_is_read_where_it_exists(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("APP_NAME=plain")
    (tmp_path / ".env.staging").write_text("APP_NAME=staged")
    assert load(tmp_path, {"APP_ENV": "staging"}).name == "staged"
    assert load(tmp_path, {"APP_ENV": "other"}).name == "plain"


def test_a_cached_configuration_makes_the_file_irrelevant_but_for_bridges_own(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("APP_KEY=file\nBRIDGE_PORT=7000")
    cache = tmp_path / "bootstrap/cache/config.php"
    cache.parent.mkdir(parents=True)
    cache.write_text("<?php return array('app' => array('name' => 'Cached', 'key' => NULL));")
    app = load(tmp_path, {})
    assert app.name == "Cached"
    assert app.keys == ()
    assert "APP_KEY" not in app.env
    assert app.dotenv["BRIDGE_PORT"] == "7000"


def test_a_broken_cached_configuration_names_the_line_and_the_command(tmp_path: Path) -> None:
    cache = tmp_path / "bootstrap/cache/config.php"
    cache.parent.mkdir(parents=True)
    cache.write_text("<?php\nreturn array(\n 'a' => ,\n);")
    with pytest.raises(ConfigurationError, match=r"config\.php:3.*config:cache"):
        load(tmp_path, {})


@pytest.mark.parametrize("make_it", [True, False])
def test_a_folder_without_an_app_says_what_to_give(tmp_path: Path, make_it: bool) -> None:
    folder = tmp_path / "none"
    if make_it:
        folder.mkdir()
    with pytest.raises(ConfigurationError, match="artisan"):
        load(folder, {})


@pytest.mark.parametrize(
    ("file", "document", "version"),
    [
        ("vendor/composer/installed.json", {"packages": [FRAMEWORK]}, "11.38.2"),
        ("vendor/composer/installed.json", [FRAMEWORK], "11.38.2"),
        ("composer.lock", {"packages": [{"name": "a/b"}, FRAMEWORK]}, "11.38.2"),
        ("composer.lock", {"packages": []}, None),
        ("composer.lock", "nonsense", None),
    ],
)  # fmt: skip
def test_the_version_is_the_installed_one(
    tmp_path: Path, file: str, document: object, version: str | None
) -> None:
    (tmp_path / ".env").touch()
    (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / file).write_text(json.dumps(document))
    app = load(tmp_path, {})
    assert app.version == version
    assert load(tmp_path, {}, "10.2").release == (10, 2)


def test_the_keys_are_the_current_one_and_the_previous_ones(make: MakeApp) -> None:
    app = make("APP_KEY=now\nAPP_PREVIOUS_KEYS=old,,older", "11.0")
    assert [key.reveal() for key in app.keys] == ["now", "old", "older"]
    assert make("APP_KEY=now\nAPP_PREVIOUS_KEYS=old", "10.0").keys == app.keys[:1]


def test_a_wrong_time_zone_is_named(make: MakeApp) -> None:
    assert make("APP_TIMEZONE=Europe/Berlin").timezone.key == "Europe/Berlin"
    with pytest.raises(ConfigurationError, match=r"app\.timezone"):
        _ = make("APP_TIMEZONE=Berlin").timezone


QUEUES = """['default' => env('Q'), 'connections' => [
    'sync' => ['driver' => 'sync'],
    'sqs' => ['driver' => 'sqs'],
    'a' => ['driver' => 'database', 'table' => 'work', 'queue' => 'x', 'retry_after' => '45',
            'connection' => 'two'],
    'b' => ['driver' => 'database', 'table' => 'jobs'],
    'r' => ['driver' => 'redis', 'queue' => '{default}', 'retry_after' => null, 'block_for' => 5],
    'odd' => ['driver' => 'redis', 'retry_after' => 'soon'],
    'php' => ['driver' => which()],
]]"""


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a", ("database", "two", "work", "x", 45, None)),
        ("b", ("database", "main", "jobs", "default", 60, None)),
        ("r", ("redis", "default", "", "{default}", 60, 5)),
    ],
)  # fmt: skip
def test_a_queue_connection_has_the_facts_of_its_options(
    make: MakeApp, name: str, expected: tuple[object, ...]
) -> None:
    app = make(f"Q={name}\nDB_CONNECTION=main", queue=QUEUES)
    facts = app.queue()
    assert facts == app.queue(name)
    assert facts.name == name
    assert (
        facts.driver, facts.connection, facts.table, facts.queue, facts.retry_after, facts.block_for
    ) == expected  # fmt: skip


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("sync", r"queue\.connections\.sync .*runs every job at once.*QUEUE_CONNECTION.*BRIDGE_CONNECTION"),
        ("sqs", r"has the driver sqs"),
        ("nope", r"queue\.connections\.nope .*is not configured"),
        ("null", r"throws every job away"),
        ("odd", r"queue\.connections\.odd\.retry_after .*queue\.php\) is not a whole number"),
        ("php", r"queue\.connections\.php\.driver .*queue\.php:9\) cannot be known.*which\(\)"),
    ],
)
def test_a_queue_connection_that_is_of_no_use_says_why(make: MakeApp, name: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        make(queue=QUEUES, version="10.0").queue(name)


@pytest.mark.parametrize(
    ("array", "driver", "connection", "table"),
    [
        ("['driver' => 'database-uuids', 'database' => 'x', 'table' => 'f']", "database-uuids", "x", "f"),
        ("['database' => 'x', 'table' => 'f']", "database", "x", "f"),
        ("['driver' => 'database', 'table' => 'f']", "database", "main", "f"),
        ("['driver' => null, 'table' => 'f']", "null", None, ""),
        ("['driver' => 'null']", "null", None, ""),
        ("['driver' => 'file']", "file", None, ""),
        ("[]", "null", None, ""),
    ],
)
def test_failed_jobs_go_where_laravel_puts_them(
    make: MakeApp, array: str, driver: str, connection: str | None, table: str
) -> None:
    failed = make("DB_CONNECTION=main", "10.0", queue=f"['failed' => {array}]").failed()
    assert (failed.driver, failed.connection, failed.table) == (driver, connection, table)
    assert failed.path.endswith("storage/framework/cache/failed-jobs.json") == (driver == "file")


def test_broadcasting_connections_carry_their_apps(make: MakeApp) -> None:
    broadcasting = make(
        "BROADCAST_CONNECTION=live\nS=canary",
        "10.0",
        broadcasting="['default' => env('BROADCAST_CONNECTION'), 'connections' => ["
        "'live' => ['driver' => 'pusher', 'app_id' => 7, 'key' => 'k', 'secret' => env('S'),"
        " 'options' => ['encryption_master_key_base64' => 'canary64']], 'log' => ['driver' => 'log']]]",
    ).broadcasting()
    assert broadcasting.default == "live"
    assert list(broadcasting.connections) == ["live", "log"]
    live = broadcasting.connections["live"]
    assert (live.driver, live.app_id, live.key) == ("pusher", "7", "k")
    assert live.secret is not None
    assert live.secret.reveal() == "canary"
    assert live.master_key is not None
    assert "canary" not in repr(broadcasting)


def test_in_a_folder_without_config_the_only_app_is_the_default_one(make: MakeApp) -> None:
    keys = "{0}_APP_ID=1\n{0}_APP_KEY=k\n{0}_APP_SECRET=s\n"
    assert make(keys.format("PUSHER")).broadcasting().default == "pusher"
    assert make(keys.format("REVERB")).broadcasting().default == "reverb"
    assert make(keys.format("REVERB") + "BROADCAST_CONNECTION=log").broadcasting().default == "log"
    assert make("").broadcasting().default == "null"


URLS = [
    "mysql://user:p%40ss%23word@db.example:3307/shop",
    "mysql2://user@db/shop?charset=latin1&prefix=x_",
    "postgres://u:null@db:5433/shop?sslmode=require",
    "pgsql://u:p@db",
    "mysql://u:0123@db/1234",
    "sqlite:////srv/db.sqlite",
    "sqlite:///relative.sqlite",
    "mysql://u:a%2Bb+c@db/shop",
    "mysql://u:true@db/",
]


@pytest.fixture(scope="module")
def laravels_urls() -> Iterator[Callable[[str], dict[str, object]]]:
    body = """
        $config = ['url' => $question, 'driver' => 'mysql', 'host' => 'h', 'port' => '1', 'database' => 'd',
                   'username' => 'n', 'password' => 'w', 'charset' => 'utf8mb4', 'prefix' => ''];
        return (new Illuminate\\Support\\ConfigurationUrlParser)->parseConfiguration($config);
    """
    with php(body) as process:

        def ask(url: str) -> dict[str, object]:
            answer = process.ask(url)["ok"]
            assert isinstance(answer, dict)
            return answer

        yield ask


@pytest.mark.parametrize("url", URLS)
def test_a_url_overrides_the_options_as_laravel_says(
    make: MakeApp, laravels_urls: Callable[[str], dict[str, object]], url: str
) -> None:
    real = laravels_urls(url)
    ours = make(
        f"U={url!r}",
        database="['connections' => ['c' => ['url' => env('U'), 'driver' => 'mysql', 'host' => 'h', "
        "'port' => '1', 'database' => 'd', 'username' => 'n', 'password' => 'w', 'charset' => 'utf8mb4', "
        "'prefix' => '']]]",
    ).database("c")
    database = str(real["database"])
    if real["driver"] == "sqlite" and not database.startswith("/"):
        database = f"{make().path}/{database}"
    assert (ours.driver, ours.database) == (real["driver"], database)
    if real["driver"] != "sqlite":
        password = ours.password.reveal() if ours.password else ""
        text = {None: "", True: "1"}.get(real["password"], str(real["password"]))  # type: ignore[call-overload]
        assert (ours.host, ours.port, ours.username) == (
            real["host"],
            int(str(real["port"])),
            real["username"],
        )
        assert password.removeprefix("0") == text.removeprefix("0")
        assert ours.prefix == real["prefix"]
    if real["driver"] == "mysql":
        assert ours.charset == real["charset"]
    assert ours.ssl.get("sslmode") == real.get("sslmode")


def test_writes_go_to_the_write_host(make: MakeApp) -> None:
    app = make(
        database="['connections' => ['c' => ['driver' => 'mysql', 'host' => 'h', 'username' => 'u', "
        "'read' => ['host' => ['r']], 'write' => ['host' => ['w1', 'w2'], 'username' => 'writer']]]]"
    )
    assert (app.database("c").host, app.database("c").username) == ("w1", "writer")


def test_the_authority_comes_from_the_environment_where_the_options_are_for_php_alone(make: MakeApp) -> None:
    authority = "array_filter([PDO::MYSQL_ATTR_SSL_CA => env('MYSQL_ATTR_SSL_CA')])"
    options = f"extension_loaded('pdo_mysql') ? {authority} : []"
    app = make(
        "MYSQL_ATTR_SSL_CA=/ca.pem",
        database=f"['connections' => ['a' => ['driver' => 'mysql', 'options' => {options}], "
        "'b' => ['driver' => 'mysql', 'options' => [PDO::MYSQL_ATTR_SSL_CA => '/own.pem']]]]",
    )
    given = [app.database(name).tls for name in ("a", "b")]
    assert [tls and tls.ca_file for tls in given] == ["/ca.pem", "/own.pem"]


def test_a_database_that_bridge_cannot_use_is_named(make: MakeApp) -> None:
    with pytest.raises(ConfigurationError, match=r"database\.connections\.sqlsrv\.driver .*mysql, mariadb"):
        make(database="['connections' => ['sqlsrv' => ['driver' => 'sqlsrv']]]").database("sqlsrv")
    with pytest.raises(ConfigurationError, match=r"database\.connections\.c\.url .*is not a URL"):
        make(
            "U=mysql://canary:x@h:port/d", database="['connections' => ['c' => ['url' => env('U')]]]"
        ).database("c")


REDIS = """['redis' => [
    'options' => ['prefix' => 'shared:'],
    'default' => ['host' => 'h', 'password' => env('P'), 'port' => '6380', 'database' => '2'],
    'own' => ['host' => 'tls://h', 'prefix' => 'own:', 'username' => 'u'],
    'url' => ['url' => 'rediss://u:p%2Fw@h:6381/3', 'prefix' => ''],
    'path' => ['scheme' => 'unix', 'path' => '/run/redis.sock'],
    'file' => ['host' => '/run/r.sock', 'port' => 0],
    'packed' => ['host' => 'h', 'options' => ['serializer' => 1]],
    'clusters' => ['big' => [['host' => 'h']]],
]]"""


def test_redis_connections_have_the_facts_of_their_options(make: MakeApp) -> None:
    app = make("P=canary", database=REDIS)
    default, own, url = app.redis(), app.redis("own"), app.redis("url")
    assert (default.host, default.port, default.database, default.prefix, bool(default.tls)) == (
        "h",
        6380,
        2,
        "shared:",
        False,
    )
    assert default.password is not None
    assert default.password.reveal() == "canary"
    assert "canary" not in repr(default)
    assert (own.host, bool(own.tls), own.prefix, own.username, own.password) == ("h", True, "own:", "u", None)
    assert (url.host, url.port, url.database, bool(url.tls), url.prefix) == ("h", 6381, 3, True, "")
    assert url.password is not None
    assert url.password.reveal() == "p/w"
    assert app.redis("path").unix_socket == "/run/redis.sock"
    assert app.redis("file").unix_socket == "/run/r.sock"
    assert app.redis("packed").packed
    assert not default.packed
    assert app.redis("big").cluster == (("h", 6379),)
    with pytest.raises(ConfigurationError, match=r"database\.redis\.none .*is not configured"):
        app.redis("none")


def test_only_what_is_asked_for_must_be_known(make: MakeApp) -> None:
    app = make(
        queue="['default' => 'redis', 'connections' => ['redis' => ['driver' => 'redis', 'queue' => 'q']]]",
        database="['redis' => ['default' => ['host' => 'h', 'password' => vault('x')]]]",
        app="['name' => title()]",
    )
    assert app.queue().queue == "q"
    with pytest.raises(ConfigurationError, match=r"database\.redis\.default\.password .*\[app_config\]"):
        app.redis()
    given = {"database.redis.default.password": "mine", "database.redis.options.prefix": ""}
    assert load(app.path, {}, None, given).redis().password is not None


def test_a_connection_written_down_by_hand_is_known_as_a_whole(make: MakeApp) -> None:
    given = {"database.connections.mysql.driver": "mysql", "database.connections.mysql.host": "db"}
    app = make("DB_CONNECTION=mysql", None, given, database="the_database_of($this)")
    facts = app.database("mysql")
    assert (facts.host, facts.port, facts.password) == ("db", 3306, None)
    with pytest.raises(ConfigurationError, match=r"database\.default .*cannot be known"):
        app.database()
