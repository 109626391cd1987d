"""`bridge init`: a bridge.toml from config/websockets.php and config/reverb.php, with which bridge serves."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from websockets.sync.client import connect

from bridge.cli import main
from bridge.secret import Secret
from bridge.settings.load import Settings, load_settings
from tests import services
from tests.end_to_end.bridge import COMMAND
from tests.end_to_end.processes import environment, running, wait_until

ENV = """APP_NAME=Shop
APP_KEY=base64:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=
BROADCAST_DRIVER={driver}
QUEUE_CONNECTION=database
CACHE_DRIVER=file
PUSHER_APP_ID=4711
PUSHER_APP_KEY=app-key
PUSHER_APP_SECRET=canary-first
SECOND_SECRET=canary-second
REVERB_APP_ID=88
REVERB_APP_KEY=reverb-key
REVERB_APP_SECRET=canary-reverb
"""
WEBSOCKETS = r"""<?php
use BeyondCode\LaravelWebSockets\Dashboard\Http\Middleware\Authorize;
return [
    'dashboard' => ['port' => env('LARAVEL_WEBSOCKETS_PORT', 6001)],
    'apps' => [
        [
            'id' => env('PUSHER_APP_ID'), 'name' => env('APP_NAME'), 'key' => env('PUSHER_APP_KEY'),
            'secret' => env('PUSHER_APP_SECRET'), 'path' => env('PUSHER_APP_PATH'), 'capacity' => 500,
            'enable_client_messages' => false, 'enable_statistics' => true,
        ],
        ['id' => 2, 'name' => 'Second', 'key' => 'second-key', 'secret' => env('SECOND_SECRET'),
         'capacity' => null, 'enable_client_messages' => true, 'enable_statistics' => false],
        ['id' => '3', 'key' => 'third-key', 'secret' => 'canary-third', 'path' => 'third'],
    ],
    'app_provider' => BeyondCode\LaravelWebSockets\Apps\ConfigAppProvider::class,
    'allowed_origins' => ['shop.example'],
    'max_request_size_in_kb' => 1000,
    'path' => 'ws-debug',
    'middleware' => ['web', Authorize::class],
    'statistics' => ['model' => 'X', 'logger' => 'Y', 'interval_in_seconds' => 30,
                     'delete_statistics_older_than_days' => 60, 'perform_dns_lookup' => false],
    'ssl' => ['local_cert' => env('LARAVEL_WEBSOCKETS_SSL_LOCAL_CERT', null),
              'local_pk' => env('LARAVEL_WEBSOCKETS_SSL_LOCAL_PK', null), 'passphrase' => null],
    'channel_manager' => 'Z',
    'of_our_own' => 1,
];
"""
REVERB = r"""<?php
return [
    'default' => env('REVERB_SERVER', 'reverb'),
    'servers' => ['reverb' => [
        'host' => env('REVERB_SERVER_HOST', '127.0.0.1'), 'port' => env('REVERB_SERVER_PORT', 8080),
        'path' => env('REVERB_SERVER_PATH', ''), 'hostname' => env('REVERB_HOST'), 'options' => ['tls' => []],
        'max_request_size' => env('REVERB_MAX_REQUEST_SIZE', 10_000),
        'scaling' => ['enabled' => env('REVERB_SCALING_ENABLED', false), 'channel' => 'reverb'],
        'pulse_ingest_interval' => 15, 'telescope_ingest_interval' => 15,
    ]],
    'apps' => ['provider' => 'config', 'apps' => [[
        'key' => env('REVERB_APP_KEY'), 'secret' => env('REVERB_APP_SECRET'),
        'app_id' => env('REVERB_APP_ID'),
        'options' => ['host' => env('REVERB_HOST'), 'port' => 443, 'scheme' => 'https', 'useTLS' => true],
        'allowed_origins' => ['*'], 'ping_interval' => 60, 'activity_timeout' => 30, 'max_connections' => 100,
        'max_message_size' => 10_000, 'accept_client_events_from' => 'none',
    ]]],
];
"""
BROADCASTING = r"""<?php
return ['default' => env('BROADCAST_DRIVER'), 'connections' => [
    'pusher' => ['driver' => 'pusher', 'key' => env('PUSHER_APP_KEY'), 'secret' => env('PUSHER_APP_SECRET'),
                 'app_id' => env('PUSHER_APP_ID'), 'options' => ['host' => '127.0.0.1']],
    'reverb' => ['driver' => 'reverb', 'key' => env('REVERB_APP_KEY'), 'secret' => env('REVERB_APP_SECRET'),
                 'app_id' => env('REVERB_APP_ID'), 'options' => ['host' => '127.0.0.1']],
]];
"""


def app(folder: Path, driver: str = "pusher", more: str = "", **config: str) -> Path:
    """An app with a `.env` and these files of config/."""
    (folder / "config").mkdir(parents=True)
    (folder / ".env").write_text(ENV.format(driver=driver) + more)
    for name, text in {"broadcasting": BROADCASTING, **config}.items():
        (folder / "config" / f"{name}.php").write_text(text)
    return folder


def init(folder: Path, *options: str) -> Settings:
    """The settings that the written file gives."""
    assert main(["init", "--app", str(folder), *options]) == 0
    return load_settings({}, {}, folder, folder / "bridge.toml")


def test_what_laravel_websockets_was_told_is_carried_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = init(app(tmp_path / "app", websockets=WEBSOCKETS))
    document = tomllib.loads((tmp_path / "app/bridge.toml").read_text())
    assert {name: value for name, value in document.items() if name != "apps"} == {
        "port": 6001,
        "dashboard_path": "ws-debug",
        "allowed_origins": ["shop.example"],
        "limit_request_bytes": 1_024_000,
        "limit_event_bytes": 1_024_000,
        "statistics_interval": 30,
    }
    by_id = {one.id: one for one in settings.apps()}
    assert set(by_id) == {"4711", "2", "3", "88"}
    assert (by_id["4711"].key, by_id["4711"].secret) == ("app-key", Secret("canary-first"))
    assert (by_id["4711"].max_connections, by_id["4711"].client_events) == (500, False)
    assert by_id["4711"].connections == ("pusher",)
    assert (by_id["2"].key, by_id["2"].secret) == ("second-key", Secret("canary-second"))
    assert (by_id["2"].client_events, by_id["2"].enable_statistics) == (True, False)
    assert by_id["3"].secret == Secret("canary-third")
    told = capsys.readouterr().out
    for left in ("websockets.middleware:", "websockets.of_our_own:", "websockets.apps.2.path:"):
        assert f"not carried over: {left}" in told
    assert "logger" not in told


def test_what_reverb_was_told_is_carried_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = init(app(tmp_path / "app", "reverb", "REVERB_SCALING_ENABLED=true\n", reverb=REVERB))
    assert (settings.host, settings.port, settings.activity_timeout) == ("127.0.0.1", 8080, 30)
    assert settings.limits == load_settings({}, {}, app(tmp_path / "other")).limits  # Reverb's are smaller
    by_id = {one.id: one for one in settings.apps()}
    assert (by_id["88"].secret, by_id["88"].max_connections) == (Secret("canary-reverb"), 100)
    assert (by_id["88"].client_events, by_id["88"].allowed_origins) == (False, ())
    assert "reverb.servers.reverb.scaling.enabled: bridge is one process" in capsys.readouterr().out


def test_of_two_servers_that_of_the_default_connection_counts(tmp_path: Path) -> None:
    both = {"websockets": WEBSOCKETS, "reverb": REVERB}
    settings = init(app(tmp_path / "pusher", "pusher", **both))
    assert settings.port == 6001
    assert {one.id for one in settings.apps()} == {"4711", "2", "3", "88"}
    assert init(app(tmp_path / "reverb", "reverb", **both)).port == 8080


def test_no_secret_is_copied_or_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    init(app(tmp_path / "app", websockets=WEBSOCKETS, reverb=REVERB))
    written = (tmp_path / "app/bridge.toml").read_text()
    assert "canary" not in written + capsys.readouterr().out
    assert 'secret = "${PUSHER_APP_SECRET}"' in written
    assert 'secret = "${websockets.apps.2.secret}"' in written


def test_a_file_that_is_there_stays_without_force(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = app(tmp_path / "app", websockets=WEBSOCKETS)
    (folder / "bridge.toml").write_text("port = 1\n")
    assert main(["init", "--app", str(folder)]) == 2
    assert "--force" in capsys.readouterr().err
    assert (folder / "bridge.toml").read_text() == "port = 1\n"
    assert init(folder, "--force").port == 6001


def test_an_app_of_neither_server_gets_the_defaults_in_comments(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = init(app(tmp_path / "app"))
    assert tomllib.loads((tmp_path / "app/bridge.toml").read_text()) == {}
    assert settings.port == 6001
    text = (tmp_path / "app/bridge.toml").read_text()
    assert "# port = 6001  # Port for WebSocket and HTTP" in text
    assert "# [[apps]]" in text
    assert "still to do" not in capsys.readouterr().err


def test_what_remains_to_be_done_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = app(tmp_path / "app", websockets=WEBSOCKETS)
    (folder / ".env").write_text("APP_NAME=x\nQUEUE_CONNECTION=sync\nPUSHER_APP_ID=1\nPUSHER_APP_KEY=k\n")
    assert main(["init", "--app", str(folder)]) == 0
    assert "still to do" in capsys.readouterr().err


@pytest.mark.parametrize(("driver", "key"), [("pusher", "third-key"), ("reverb", "reverb-key")])
def test_bridge_serves_with_the_written_file(tmp_path: Path, driver: str, key: str) -> None:
    port = services.free_port()
    with services.sqlite(tmp_path) as database:
        more = "".join(f"{name}={value}\n" for name, value in database.env.items())
        more += f"LARAVEL_WEBSOCKETS_PORT={port}\nREVERB_SERVER_PORT={port}\n"
        folder = app(tmp_path / "app", driver, more, websockets=WEBSOCKETS, reverb=REVERB)
        init(folder)
        log = tmp_path / "log"
        command = [*COMMAND, "serve", "--app", str(folder)]
        with running(command, cwd=tmp_path, log=log, env=environment(PYTHONUNBUFFERED="1")) as process:

            def listening() -> bool:
                assert process.poll() is None, log.read_text()
                return f":{port}\n" in log.read_text()

            wait_until("bridge listens", listening, 60)
            address = f"ws://127.0.0.1:{port}/app/{key}?protocol=7"
            origin = {"Origin": "https://shop.example"}
            with connect(address, additional_headers=origin, open_timeout=60) as client:
                assert "pusher:connection_established" in str(client.recv(60))
            process.terminate()
            assert process.wait(60) == 0
