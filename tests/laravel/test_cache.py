"""Locks and signals that Debian's Laravel 8 writes, in each store; names of locks in all releases."""

from __future__ import annotations

import hashlib
import json
import logging
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bridge.errors import ConfigurationError, Refused, ServiceUnavailable
from bridge.laravel.application import LaravelApp, load
from bridge.laravel.cache import CacheStore, FileStore, Lock, NoStore, cache_store
from bridge.laravel.operator_signals import AFTER_FAULT, LOOK, OperatorSignals, Pauses
from bridge.laravel.payload import BroadcastEvent, broadcast_event, read_payload
from bridge.laravel.unique_locks import UniqueLocks, lock_name
from bridge.phpeval.laravel.version import Version
from tests import services
from tests.conformance import corpus
from tests.end_to_end.laravel import Laravel

STORES = ("redis", "sqlite", "mariadb", "file")
NAME = "laravel_unique_job:App\\Events\\Né:7"
_CONFIG = """<?php return [
    'default' => env('CACHE_DRIVER'),
    'stores' => [
        'database' => ['driver' => 'database', 'table' => 'cache', 'connection' => null],
        'file' => ['driver' => 'file', 'path' => storage_path('framework/cache/data')],
        'redis' => ['driver' => 'redis', 'connection' => 'cache', 'lock_connection' => 'default'],
        'memcached' => ['driver' => 'memcached'],
    ],
    'prefix' => 'shop_cache',
];
"""
_BOOT = """
require 'bootstrap/autoload.php';
$app = require 'bootstrap/app.php';
$app->make(Illuminate\\Contracts\\Console\\Kernel::class)->bootstrap();
$cache = $app->make('cache');
"""


class App:
    """An app whose default cache store is the one under test; `php` runs code in it and gives its JSON."""

    def __init__(self, laravel: Laravel) -> None:
        self.laravel = laravel

    def php(self, expression: str) -> Any:
        code = f"{_BOOT} echo json_encode({expression});"
        done = subprocess.run(
            ["php", "-r", code], cwd=self.laravel.path, capture_output=True, text=True, timeout=60, check=True
        )
        return json.loads(done.stdout)

    def facts(self, version: str | None = None) -> LaravelApp:
        return load(self.laravel.path, {}, version)

    def store(self, clock: Callable[[], float] = time.time) -> CacheStore:
        return cache_store(self.facts(), clock=clock)


def made(
    name: str, tmp_path: Path, database: services.Database, redis_server: services.Redis | None = None
) -> App:
    driver = "database" if name in ("sqlite", "mariadb") else name
    settings = {**database.env, "CACHE_DRIVER": "file", **(redis_server.env if redis_server else {})}
    laravel = Laravel.create(tmp_path / "app", settings)
    (laravel.path / "config/cache.php").write_text(_CONFIG)
    _use_driver(laravel, driver)
    if driver == "database":
        laravel.artisan("cache:table")
        laravel.artisan("migrate", "--force")
    return App(laravel)


def _use_driver(laravel: Laravel, driver: str) -> None:
    env = laravel.path / ".env"
    env.write_text(env.read_text().replace("CACHE_DRIVER=file", f"CACHE_DRIVER={driver}"))


@pytest.fixture(params=STORES)
def app(request: pytest.FixtureRequest, tmp_path: Path) -> App:
    """The test runs once on each store."""
    name: str = request.param
    database = request.getfixturevalue("mariadb_database" if name == "mariadb" else "sqlite_database")
    server: services.Redis | None = request.getfixturevalue("redis_server") if name == "redis" else None
    if server is not None:
        with closing(server.client()) as client:
            client.flushall()
    return made(name, tmp_path, database, server)


@pytest.fixture
def file_app(tmp_path: Path, sqlite_database: services.Database) -> App:
    return made("file", tmp_path, sqlite_database)


@pytest.fixture
def store(app: App) -> Iterator[CacheStore]:
    with closing(app.store()) as store:
        yield store


def taken(app: App) -> str | None:
    """PHP tries to take the lock; the owner it has then, None where somebody else has it."""
    name = json.dumps(NAME, ensure_ascii=False)
    lock = f"tap($cache->lock({name}, 600), function ($l) {{ $GLOBALS['got'] = $l->get(); }})"
    owner: str | None = app.php(f"[$l = {lock}, $GLOBALS['got'] ? $l->owner() : null][1]")
    return owner


def test_a_lock_that_laravel_took_is_released_whoever_has_it(app: App, store: CacheStore) -> None:
    assert taken(app) is not None
    assert taken(app) is None
    store.unlock(Lock(key=store.lock_key(NAME, (8, 83))))
    assert taken(app) is not None


def test_a_lock_is_released_for_its_owner_only(app: App, store: CacheStore) -> None:
    key, owner = store.lock_key(NAME, (8, 83)), taken(app)
    assert owner
    store.unlock(Lock(key=key, owner="somebody-else"))
    assert taken(app) is None
    store.unlock(Lock(key=key, owner=owner))
    assert taken(app) is not None


def test_a_lock_that_is_not_there_is_no_fault(store: CacheStore) -> None:
    store.unlock(Lock(key=store.lock_key(NAME, (8, 83))))
    store.unlock(Lock(key=store.lock_key(NAME, (8, 83)), owner="me"))


def test_values_that_laravel_put_are_read_until_they_expire(app: App, store: CacheStore) -> None:
    app.php(
        "[$cache->forever('seconds', 1700000000), $cache->put('yes', true, 600), $cache->put('no', 1, 1)]"
    )
    seconds, yes, missing = store.read(["seconds", "yes", "missing"])
    assert seconds is not None
    assert b"1700000000" in seconds
    assert yes == b"b:1;"
    assert missing is None
    services.wait_until(lambda: store.read(["no"]) == [None], "the value expires")
    if not app.php("$cache->getDefaultDriver() === 'redis'"):  # Redis has its own clock
        with closing(app.store(lambda: time.time() + 700)) as later:
            assert later.read(["seconds", "yes"]) == [seconds, None]


def test_a_redis_whose_laravel_is_not_known_is_read_in_both_forms(
    tmp_path: Path, sqlite_database: services.Database, redis_server: services.Redis
) -> None:
    app = made("redis", tmp_path, sqlite_database, redis_server)
    app.php("$cache->forever('said', 1)")
    (app.laravel.path / "composer.lock").unlink()
    assert app.facts().release is None
    with closing(app.store()) as store:
        assert store.read(["said", "silent"]) == [b"1", None]


# ---- names ----------------------------------------------------------------------------------------

UNIQUE = "Illuminate\\Broadcasting\\UniqueBroadcastEvent"


@pytest.mark.parametrize(
    ("releases", "name"),
    [
        ([(9, 23), (9, 52), (10, 50)], f"laravel_unique_job:{UNIQUE}7"),
        ([(11, 0), (11, 56), (12, 0), (12, 40)], f"laravel_unique_job:{UNIQUE}:7"),
        ([(12, 41), (12, 53)], "laravel_unique_job:App\\Events\\Sold:7"),
        (
            [(12, 54), (12, 67), (13, 0), (13, 26)],
            "laravel_unique_job:b96bf352c21241a505b9c220cfdf73d2:7",
        ),
    ],
)
def test_the_name_of_a_lock_is_that_of_the_release(releases: list[Version], name: str) -> None:
    assert {lock_name("App\\Events\\Sold", "7", release) for release in releases} == {name}


def test_the_hash_in_the_name_is_that_of_php() -> None:
    classes = ["A", "App\\Events\\Sold", "App\\Événements\\" + "Long" * 70]
    code = "echo json_encode(array_map(fn ($c) => hash('xxh128', $c), json_decode($argv[1])));"
    done = subprocess.run(["php", "-r", code, json.dumps(classes)], capture_output=True, check=True)
    ours = [lock_name(one, "", (13, 0)).split(":")[1] for one in classes]
    assert ours == json.loads(done.stdout)


def recorded(release: str, version: Version | None = None) -> Iterator[BroadcastEvent]:
    for row in corpus.rows(release):
        if row.id == "framework-unique":
            yield broadcast_event(read_payload(row.payload), lambda text: text, version=version)


def file_store(tmp_path: Path) -> FileStore:
    return FileStore(tmp_path, tmp_path, clock=time.time)


@pytest.mark.parametrize(
    ("release", "key"),
    [
        ((9, 52), f"laravel_unique_job:{UNIQUE}App\\Events\\UniqueBroadcastk-1"),
        ((10, 50), f"laravel_unique_job:{UNIQUE}App\\Events\\UniqueBroadcastk-1"),
        ((11, 56), f"laravel_unique_job:{UNIQUE}:App\\Events\\UniqueBroadcastk-1"),
        ((12, 67), "file-store-lock:laravel_unique_job:32d50b24d72190ce7355b0a540e585ea:k-1"),
    ],
)
def test_the_lock_of_a_recorded_unique_event_is_found(tmp_path: Path, release: Version, key: str) -> None:
    locks = UniqueLocks(file_store(tmp_path))
    found = [locks.of(event) for event in recorded("{}.{}".format(*release), release)]
    assert len(found) == 3
    assert set(found) == {Lock(key=key)}


def test_an_event_that_is_not_unique_has_no_lock(tmp_path: Path) -> None:
    rows = [row for row in corpus.rows("12.67") if row.id == "framework-unique-queue"]
    events = [broadcast_event(read_payload(row.payload), lambda text: text) for row in rows]
    assert events
    assert {UniqueLocks(file_store(tmp_path)).of(event) for event in events} == {None}


@pytest.mark.parametrize("release", ["10.50", "11.56", "12.67"])
def test_a_lock_whose_name_depends_on_an_unknown_release_is_refused(tmp_path: Path, release: str) -> None:
    for event in recorded(release):
        with pytest.raises(Refused, match="BRIDGE_LARAVEL_VERSION"):
            UniqueLocks(file_store(tmp_path)).of(event)
        assert UniqueLocks(NoStore()).of(event) == Lock(key="")


def test_a_lock_that_has_one_name_in_all_fitting_releases_needs_no_release(tmp_path: Path) -> None:
    event = next(recorded("9.52"))
    assert event.oldest != event.version
    assert UniqueLocks(file_store(tmp_path)).of(event) is not None


def test_a_job_that_names_the_owner_releases_the_lock_of_this_owner_only(tmp_path: Path) -> None:
    event = next(recorded("12.67", (13, 24)))
    event.command.properties[b"uniqueLockOwner"] = b"me"
    store = file_store(tmp_path)
    lock = UniqueLocks(store).of(event)
    assert lock is not None
    assert lock.owner == "me"
    digest = hashlib.sha1(lock.key.encode()).hexdigest()
    file = tmp_path / digest[:2] / digest[2:4] / digest
    file.parent.mkdir(parents=True)
    file.write_bytes(b'9999999999s:3:"you";')
    UniqueLocks(store).release(event)
    assert file.exists()
    file.write_bytes(b'9999999999s:2:"me";')
    UniqueLocks(store).release(event)
    assert not file.exists()


def test_a_unique_event_in_a_store_that_only_php_can_use_is_refused(file_app: App) -> None:
    _use_driver(file_app.laravel, "memcached")
    with pytest.raises(ConfigurationError, match="memcached") as problem:
        file_app.store()
    with pytest.raises(Refused, match="memcached"):
        UniqueLocks(problem.value).of(next(recorded("9.52", (9, 52))))


def test_an_owner_that_phpredis_packs_is_refused(
    tmp_path: Path, sqlite_database: services.Database, redis_server: services.Redis
) -> None:
    facts = made("redis", tmp_path, sqlite_database, redis_server).facts()
    packed = cache_store(facts, redis_connection=lambda name: replace(facts.redis(name), packed=True))
    event = next(recorded("12.67", (13, 24)))
    assert UniqueLocks(packed).of(event) is not None
    event.command.properties[b"uniqueLockOwner"] = b"me"
    with pytest.raises(Refused, match="packed"):
        UniqueLocks(packed).of(event)
    packed.close()


def test_a_lock_is_released_once_its_store_answers_again(
    tmp_path: Path, sqlite_database: services.Database
) -> None:
    with services.redis_server(persistent=True) as server, closing(server.client()) as client:
        app = made("redis", tmp_path, sqlite_database, server)
        now = 0.0
        locks = UniqueLocks(cache_store(app.facts("9.52")), clock=lambda: now)
        event = next(recorded("9.52", (9, 52)))
        lock = locks.of(event)
        assert lock is not None
        client.set(lock.key, "somebody")
        server.stop()
        locks.release(event)
        server.start()
        locks.retry()
        assert client.exists(lock.key)  # not asked again so soon
        now += AFTER_FAULT
        locks.retry()
        assert not client.exists(lock.key)
        locks.close()


# ---- signals --------------------------------------------------------------------------------------


class Watch:
    """Signals for two queues of an app that says it is of that release; each `look` is a second later."""

    def __init__(self, app: App, version: str = "13.26", *, force: bool = False) -> None:
        self.now, self.restarts = 0.0, 0
        self.signals = OperatorSignals(
            app.facts(version),
            lambda name: cache_store(app.facts(), name),  # in the form of the Laravel that writes
            connection="database",
            queues=("high", "default"),
            force=force,
            restart=self._restart,
            clock=lambda: self.now,
        )

    def _restart(self) -> None:
        self.restarts += 1

    def look(self) -> set[str]:
        self.now += LOOK
        return set(self.signals.paused())


def test_a_paused_queue_is_seen_within_a_second_and_so_is_its_end(app: App) -> None:
    watch = Watch(app)
    with closing(watch.signals):
        assert watch.look() == set()
        app.php("$cache->forever('illuminate:queue:paused:database:high', true)")
        assert set(watch.signals.paused()) == set()  # not yet a second later
        assert watch.look() == {"high"}
        app.php("[$cache->forget('illuminate:queue:paused:database:high'), $cache->forever('x', 1)]")
        assert watch.look() == set()
        app.php("$cache->put('illuminate:queues:paused', true, 600)")
        assert watch.look() == {"high", "default"}


def test_keys_that_the_release_does_not_know_pause_nothing(file_app: App) -> None:
    file_app.php(
        "[$cache->forever('illuminate:queue:paused:database:high', true),"
        " $cache->forever('illuminate:queues:paused', true)]"
    )
    for version, paused in (("12.39", set()), ("12.40", {"high"}), ("13.25", {"high", "default"})):
        watch = Watch(file_app, version)
        assert watch.look() == paused


def test_a_queue_that_is_paused_here_is_paused_for_laravel_and_for_a_worker_of_bridge(app: App) -> None:
    key = "illuminate:queue:paused:database:high"
    with closing(
        Pauses(app.facts("13.26"), lambda name: cache_store(app.facts(), name), "database")
    ) as pauses:
        watch = Watch(app)
        with closing(watch.signals):
            for _ in range(2):  # twice is no fault
                pauses.pause("high")
                assert app.php(f"$cache->get('{key}')") is True
                assert watch.look() == set(pauses.paused(["high", "default"])) == {"high"}
            for _ in range(2):
                pauses.resume("high")
                assert app.php(f"$cache->get('{key}')") is None
                assert watch.look() == set(pauses.paused(["high", "default"])) == set()


def test_before_laravel_knew_pauses_bridge_alone_heeds_its_own(file_app: App) -> None:
    with closing(
        Pauses(file_app.facts("8.83"), lambda name: cache_store(file_app.facts(), name), "database")
    ) as old:
        watch = Watch(file_app, "8.83")
        old.pause("high")
        assert (watch.look(), Watch(file_app).look()) == ({"high"}, set())
        old.resume("high")
        assert watch.look() == set()


def test_a_cache_that_nobody_else_sees_cannot_pause() -> None:
    with pytest.raises(ConfigurationError, match="CACHE_DRIVER"):
        NoStore().keep("x", b"b:1;")


def test_queue_restart_is_told_once(app: App) -> None:
    app.php("$cache->forever('illuminate:queue:restart', 1)")  # before the start: of no concern
    watch = Watch(app)
    with closing(watch.signals):
        watch.look()
        assert watch.restarts == 0
        app.laravel.artisan("queue:restart")
        watch.look()
        watch.look()
        assert watch.restarts == 1


def test_maintenance_mode_pauses_all_queues_unless_forced(file_app: App) -> None:
    watch, forced = Watch(file_app, "8.83"), Watch(file_app, "8.83", force=True)
    assert watch.look() == set()
    file_app.laravel.artisan("down")
    assert watch.look() == {"high", "default"}
    assert forced.look() == set()
    file_app.laravel.artisan("up")
    assert watch.look() == set()


def test_maintenance_mode_in_the_cache_is_seen_there_and_not_in_the_file(file_app: App) -> None:
    config = file_app.laravel.path / "config/app.php"
    config.write_text(
        config.read_text().replace("return [", "return ['maintenance' => ['driver' => 'cache'],", 1)
    )
    watch = Watch(file_app, "10.50")
    file_app.laravel.artisan("down")
    assert watch.look() == set()
    file_app.php("$cache->forever('illuminate:foundation:down', ['retry' => 60])")
    assert watch.look() == {"high", "default"}


def test_a_store_that_does_not_answer_changes_nothing_and_is_asked_less_often(
    tmp_path: Path, sqlite_database: services.Database, caplog: pytest.LogCaptureFixture
) -> None:
    with services.redis_server(persistent=True) as server:
        app = made("redis", tmp_path, sqlite_database, server)
        watch = Watch(app)
        with closing(watch.signals), caplog.at_level(logging.WARNING):
            app.php("$cache->forever('illuminate:queue:paused:database:high', true)")
            assert watch.look() == {"high"}
            server.stop()
            assert watch.look() == {"high"}
            assert watch.look() == {"high"}
            watch.now += AFTER_FAULT  # one line for the whole outage
            assert watch.look() == {"high"}
            assert [record.message for record in caplog.records] == [
                "the app's cache does not answer: pauses are not seen"
            ]
            server.start()
            app.php("[$cache->forget('illuminate:queue:paused:database:high')]")
            assert watch.look() == {"high"}
            watch.now += AFTER_FAULT
            assert watch.look() == set()


def test_a_cache_file_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    store = file_store(tmp_path)
    digest = hashlib.sha1(b"key").hexdigest()
    (tmp_path / digest[:2] / digest[2:4] / digest).mkdir(parents=True)  # a folder in its place
    with pytest.raises(ServiceUnavailable, match="let this user read"):
        store.read(["key"])
