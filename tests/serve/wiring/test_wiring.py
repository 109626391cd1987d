"""What the settings come to: rooms, and what is refused before anything is sent."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from bridge.errors import ConfigurationError, Refused
from bridge.jobs.queue.failed_jobs import DatabaseFailedJobs, NoFailedJobs
from bridge.laravel.application import load
from bridge.laravel.broadcast_handler import Call
from bridge.laravel.payload import read_payload
from bridge.phpeval.laravel.app_source import AppSource
from bridge.phpeval.php.runtime.values import PhpObject
from bridge.serve.destinations import addressed, destinations
from bridge.serve.wiring.failed_jobs import KeptInQueue, build_failed_jobs
from bridge.serve.wiring.ladder import build_ladder, decrypter, derives_from_broadcast_event
from bridge.serve.wiring.queue import build_queue
from bridge.settings.load import load_settings
from tests.phpeval.laravel.eloquent.app import Case, app, job

ENV = "PUSHER_APP_ID=1\nPUSHER_APP_KEY=k\nPUSHER_APP_SECRET=s\nDB_CONNECTION=sqlite\nDB_DATABASE=q.sqlite\n"
CONFIG = """<?php return ['default' => 'pusher', 'connections' => [
    'pusher' => ['driver' => 'pusher', 'app_id' => '1', 'key' => 'k', 'secret' => 's'],
    'more' => ['driver' => 'reverb', 'app_id' => '2', 'key' => 'm', 'secret' => 't',
        'options' => ['encryption_master_key_base64' => '%s']],
    'log' => ['driver' => 'log'], 'null' => ['driver' => 'null'],
]];"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / ".env").write_text(ENV)
    (tmp_path / "q.sqlite").touch()
    return tmp_path


def test_each_connection_that_sends_has_a_destination(folder: Path) -> None:
    (folder / "config").mkdir()
    (folder / "config/broadcasting.php").write_text(CONFIG % ("A" * 43 + "="))
    found = destinations(load_settings({}, {}, folder))
    assert {name: to.app_id for name, to in found.items()} == {"pusher": "1", "more": "2"}
    assert found["more"].master_key == bytes(32)
    assert found["pusher"].master_key is None


def test_a_master_key_that_is_none_is_named_without_its_text(folder: Path) -> None:
    (folder / "config").mkdir()
    (folder / "config/broadcasting.php").write_text(CONFIG % "canary")
    with pytest.raises(ConfigurationError, match="openssl rand -base64 32") as caught:
        destinations(load_settings({}, {}, folder))
    assert "canary" not in str(caught.value)


TWO = """<?php return ['default' => 'pusher', 'connections' => [
    'pusher' => ['driver' => 'pusher', 'app_id' => '1', 'key' => 'k', 'secret' => 's',
        'options' => ['host' => 'ws.shop.example', 'port' => 443]],
    'mobile' => ['driver' => 'pusher', 'app_id' => '2', 'key' => 'm', 'secret' => 't', 'options' => %s],
]];"""
CALL = Call(connection="mobile", channels=("orders",), name="Placed", data="{}", socket=None)
OTHERS = ["['host' => 'push.mobile.example', 'port' => 443]", "['cluster' => 'eu']"]
OURS = ["['host' => 'ws.shop.example', 'port' => 443]", "['host' => '127.0.0.1', 'port' => 6001]"]


@pytest.mark.parametrize("options", OTHERS)
def test_a_broadcast_to_another_server_is_refused(folder: Path, options: str) -> None:
    (folder / "config").mkdir()
    (folder / "config/broadcasting.php").write_text(TWO % options)
    with pytest.raises(Refused, match="is of the server"):
        addressed(CALL, destinations(load_settings({}, {}, folder)))
    own = '[[apps]]\nid = "2"\nkey = "m"\nsecret = "t"\n'
    (folder / "bridge.toml").write_text(own)
    served = load_settings({}, {}, folder)
    assert addressed(CALL, destinations(served)).app_id == "2"


@pytest.mark.parametrize("options", OURS)
def test_a_connection_of_the_same_server_or_of_our_own_address_is_served(folder: Path, options: str) -> None:
    (folder / "config").mkdir()
    (folder / "config/broadcasting.php").write_text(TWO % options)
    assert addressed(CALL, destinations(load_settings({"port": 6001}, {}, folder))).app_id == "2"


@pytest.mark.parametrize(
    ("driver", "kind"),
    [("database-uuids", DatabaseFailedJobs), ("null", NoFailedJobs), ("dynamodb", KeptInQueue)],
)
def test_failed_jobs_go_where_the_app_keeps_them(folder: Path, driver: str, kind: type) -> None:
    (folder / ".env").write_text(ENV + f"QUEUE_FAILED_DRIVER={driver}\n")
    failed = build_failed_jobs(load(folder, {}, "11.0"))
    assert isinstance(failed, kind)
    if isinstance(failed, KeptInQueue):
        with pytest.raises(ConfigurationError, match="QUEUE_FAILED_DRIVER"):
            failed.check()
    failed.close()


def test_a_redis_queue_that_packs_its_values_is_refused(folder: Path) -> None:
    (folder / "config").mkdir()
    (folder / "config/database.php").write_text(
        "<?php return ['redis' => ['client' => 'phpredis', 'options' => ['serializer' => 2], "
        "'default' => ['host' => '127.0.0.1', 'port' => 1, 'database' => 0]]];"
    )
    (folder / ".env").write_text(ENV + "QUEUE_CONNECTION=redis\n")
    with pytest.raises(ConfigurationError, match="packs its values"):
        build_queue(load_settings({}, {}, folder))


def test_an_encrypted_command_without_a_key_is_refused(folder: Path) -> None:
    with pytest.raises(Refused, match="APP_KEY"):
        decrypter(load(folder, {}, "11.0"))(b"e30=")


def test_a_rung_that_is_none_is_named(folder: Path) -> None:
    with pytest.raises(ConfigurationError, match="magic"):
        build_ladder(load(folder, {}, "11.0"), {}, only=("magic",))


@pytest.mark.parametrize(
    ("body", "derives"),
    [("", True), ("public $tries = 5;", False), ("function handle() { }", False), ("use Some;", False)],
)
def test_only_an_empty_child_of_broadcast_event_counts_as_one(folder: Path, body: str, derives: bool) -> None:
    (folder / "app").mkdir()
    (folder / "app/Own.php").write_text(
        f"<?php namespace App; class Own extends \\Illuminate\\Broadcasting\\BroadcastEvent {{ {body} }}"
    )
    source = AppSource(folder)
    assert derives_from_broadcast_event(source, "App\\Own") is derives
    assert derives_from_broadcast_event(source, "App\\Unknown") is None


@pytest.mark.parametrize("option", ["ATTR_STRINGIFY_FETCHES => true", "ATTR_CASE => \\PDO::CASE_UPPER"])
def test_options_of_a_connection_that_change_its_rows_are_refused(tmp_path: Path, option: str) -> None:
    with app(tmp_path / "app") as made:
        config = made.path / "config/database.php"
        text = config.read_text()
        config.write_text(
            text.replace("'prefix' => '',", f"'prefix' => '', 'options' => [\\PDO::{option}],", 1)
        )
        case = Case(made)
        case.post()
        case.sends("$this->post")
        assert "options of the database connection sqlite" in case.refused()


def test_an_event_that_goes_elsewhere_too_is_left_to_php_as_a_whole(folder: Path) -> None:
    (folder / "config").mkdir()
    (folder / "config/broadcasting.php").write_text(TWO % OTHERS[0])
    (folder / "composer.json").write_text('{"autoload": {"psr-4": {"App\\\\": "app/"}}}')
    (folder / "app/Events").mkdir(parents=True)
    (folder / "app/Events/Placed.php").write_text(
        "<?php namespace App\\Events; use Illuminate\\Contracts\\Broadcasting\\ShouldBroadcast; "
        "class Placed implements ShouldBroadcast { public $to; "
        "public function broadcastOn() { return ['orders']; } "
        "public function broadcastConnections() { return [$this->to, 'pusher']; } }"
    )
    settings = load_settings({"laravel_version": "12.0"}, {}, folder)
    for given, outcome in ((settings.elsewhere(), "refused"), ({}, "broadcast")):
        ladder = build_ladder(settings.laravel, {}, only=("native",), elsewhere=given)
        with contextlib.closing(ladder):
            said = ladder.resolve(read_payload(job(PhpObject("App\\Events\\Placed", {b"to": b"mobile"}))))
            assert (said.outcome, "mobile is of the server" in said.why) == (outcome, outcome == "refused")
            own = ladder.resolve(read_payload(job(PhpObject("App\\Events\\Placed", {b"to": b"pusher"}))))
            assert own.outcome == "broadcast"
