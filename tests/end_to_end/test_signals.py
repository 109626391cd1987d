"""What Laravel says to its workers through the cache, and bridge obeys: the whole, on files and SQLite."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance import corpus
from tests.end_to_end.bridge import bridge_serve
from tests.end_to_end.laravel import Laravel
from tests.end_to_end.processes import environment, wait_until
from tests.end_to_end.stores import NOTHING, Store, open_store
from tests.end_to_end.wire import wire_client

LOCK = "laravel_unique_job:Illuminate\\Broadcasting\\UniqueBroadcastEventApp\\Events\\UniqueBroadcastk-1"


@pytest.fixture
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    folder = tmp_path / "store"
    folder.mkdir()
    with open_store("sqlite", folder, request.getfixturevalue) as store:
        yield store


def php(app: Laravel, statement: str) -> str:
    """What the statement prints, run in the booted app."""
    code = (
        "require 'bootstrap/autoload.php'; $app = require 'bootstrap/app.php';"
        "$app->make(Illuminate\\Contracts\\Console\\Kernel::class)->bootstrap();"
        "$cache = $app->make('cache');" + statement
    )
    command = ["php", "-r", code]
    done = subprocess.run(
        command, cwd=app.path, env=environment(), capture_output=True, text=True, check=True
    )
    return done.stdout


def test_a_unique_event_of_laravel_9_is_delivered_and_may_be_dispatched_again(
    app: Laravel, store: Store
) -> None:
    shutil.copy(corpus.APP / "app/Events/UniqueBroadcast.php", app.path / "app/Events")
    lock = {"packages": [{"name": "laravel/framework", "version": "v9.52.21"}]}
    (app.path / "composer.lock").write_text(json.dumps(lock))
    with (app.path / ".env").open("a") as env:  # the PHP that is here runs another Laravel
        env.write("BRIDGE_NATIVE_TRUST=proven\n")
    row = next(row for row in corpus.rows("9.52") if row.id == "framework-unique")
    take = f"echo json_encode($cache->lock({json.dumps(LOCK)}, 600)->get());"
    assert php(app, take) == "true"
    with bridge_serve(app) as bridge, wire_client(bridge.port, "unique") as client:
        with store.engine.begin() as connection:
            connection.exec_driver_sql(
                "insert into jobs (queue, payload, attempts, available_at, created_at)"
                " values ('default', ?, 0, 0, 0)",
                (row.payload.decode(),),
            )
        wait_until("the event arrives", client.events)
        wait_until("the job is gone", lambda: store.left() == NOTHING)
        assert php(app, take) == "true"
        assert bridge.terminate() == 0


def test_no_job_is_taken_in_maintenance_mode(app: Laravel, store: Store, tag: str) -> None:
    with bridge_serve(app) as bridge, wire_client(bridge.port, "lines") as client:
        app.artisan("down")
        wait_until("the pause is seen", lambda: "queues are paused" in bridge.log.read_text())
        app.dispatch("line", tag=tag)
        assert store.left().waiting == 1
        app.artisan("up")
        wait_until("the event arrives", client.events)
        assert bridge.terminate() == 0


@pytest.mark.parametrize("how", ["queue:restart", "SIGHUP"])
def test_a_restart_signal_brings_a_new_configuration_while_clients_stay(
    app: Laravel, store: Store, tag: str, how: str
) -> None:
    mapping = '[events."App\\\\Events\\\\LineSaid"]\nchannels = ["moved"]\n'
    with bridge_serve(app) as bridge, wire_client(bridge.port, "lines", "moved") as client:
        app.dispatch("line", tag=tag)
        wait_until("the event arrives", client.events)
        (app.path / "bridge.toml").write_text(mapping)
        if how == "SIGHUP":
            bridge.process.send_signal(signal.SIGHUP)
        else:
            app.artisan(how)
        told = "source and configuration are read anew"
        wait_until("it is read anew", lambda: told in bridge.log.read_text())
        app.dispatch("line", tag=tag)
        wait_until("the other event arrives", lambda: len(client.events()) == 2)
        assert [event.channel for event in client.events()] == ["lines", "moved"]
        assert bridge.terminate() == 0


def test_a_broken_configuration_after_queue_restart_leaves_the_old_one(
    app: Laravel, store: Store, tag: str
) -> None:
    with bridge_serve(app) as bridge, wire_client(bridge.port, "lines") as client:
        app.dispatch("line", tag=tag)
        wait_until("jobs are taken", client.events)
        (app.path / "bridge.toml").write_text("not TOML")
        app.artisan("queue:restart")
        wait_until("it says so", lambda: "the old state stays" in bridge.log.read_text())
        app.dispatch("line", tag=tag)
        wait_until("the event arrives", lambda: len(client.events()) == 2)
        assert bridge.terminate() == 0
