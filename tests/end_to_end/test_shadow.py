"""`bridge serve --shadow` beside Laravel's own queue:work, which posts through it to the present server."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from subprocess import Popen, run
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.end_to_end.bridge import COMMAND
from tests.end_to_end.laravel import Laravel
from tests.end_to_end.processes import environment, running, wait_until
from tests.end_to_end.stores import NOTHING, Store, open_store

CASES = ("public", "private", "presence", "to-others", "notification", "encrypted")
NAMES = ("same", "different", "not_resolved", "posted_not_seen", "resolved_not_posted", "waiting")


@dataclass(frozen=True, slots=True)
class Present:
    """The server that the team has: writes down what it gets."""

    port: int
    got: list[dict[str, Any]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)


@contextlib.contextmanager
def present_server() -> Iterator[Present]:
    team: Present

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            team.got.append(json.loads(body))
            team.paths.append(self.path)
            answer = b'{"present":"server"}'
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        team = Present(server.server_port)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield team
        finally:
            server.shutdown()
            thread.join()


@dataclass(frozen=True, slots=True)
class Shadow:
    process: Popen[str]
    log: Path

    def seen(self) -> int:
        """Jobs that were resolved so far."""
        return self.log.read_text().count("a job was resolved")

    def ended(self) -> dict[str, int]:
        """SIGTERM; the numbers of the last summary."""
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(timeout=90) == 0, self.log.read_text()
        [line] = re.findall(r'^.*shadow: summary when="in all".*$', self.log.read_text(), re.MULTILINE)
        return {name: int(number) for name, number in re.findall(r"(\w+)=(\d+)", line)}


@contextlib.contextmanager
def shadow(app: Laravel, path: Path, *arguments: str) -> Iterator[Shadow]:
    """The shadow of `app` on the port where it posts; `path` is the source that it resolves with."""
    log = app.path / "storage/logs/shadow.txt"
    command = [*COMMAND, "serve", "--shadow", "--app", str(path), "--host", "127.0.0.1"]
    command += ["--port", str(app.port), *arguments]
    env = environment(PYTHONUNBUFFERED="1", BRIDGE_LOG_LEVEL="debug")
    with running(command, cwd=path, log=log, env=env) as process:
        found = Shadow(process, log)
        wait_until(
            "the shadow listens", lambda: "listening on" in log.read_text() or process.poll() is not None
        )
        assert process.poll() is None, log.read_text()
        yield found


@pytest.fixture(params=["sqlite", "redis"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    get: Callable[[str], object] = request.getfixturevalue
    with open_store(request.param, tmp_path, get) as opened:
        yield opened


@pytest.fixture
def present() -> Iterator[Present]:
    with present_server() as server:
        yield server


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Store]:
    with open_store("sqlite", tmp_path, dict[str, object]().__getitem__) as opened:
        yield opened


def sends(app: Path, payload: str) -> None:
    """The source of the event `line` gets a broadcastWith() that returns this."""
    event = app / "app/Events/LineSaid.php"
    source = event.read_text()
    event.write_text(
        f"{source[: source.rindex('}')]}public function broadcastWith() {{ return {payload}; }}\n}}\n"
    )


def worked_off(app: Laravel, store: Store) -> None:
    app.artisan("queue:work", "--stop-when-empty")
    assert store.left() == NOTHING
    assert store.failed() == 0


def test_everything_is_the_same_and_reaches_the_present_server_once(
    tmp_path: Path, store: Store, present: Present
) -> None:
    app = Laravel.create(tmp_path / "app", store.settings)
    with shadow(app, app.path, "--shadow-to", f"http://127.0.0.1:{present.port}") as ours:
        app.dispatch(*CASES, tag="shadowed", count=3)
        wait_until("every job is seen", lambda: ours.seen() == 3 * len(CASES))
        assert (store.left().waiting, store.left().reserved) == (3 * len(CASES), 0)
        worked_off(app, store)
        told = ours.ended()
    assert {name: told[name] for name in NAMES} == {**dict.fromkeys(NAMES, 0), "same": 3 * len(CASES)}
    assert len(present.got) == 3 * len(CASES)
    assert all(path.startswith("/apps/4711/events?") for path in present.paths)
    [expected] = app.oracle("private", tag="shadowed")
    assert [event["data"] for event in present.got if event["name"] == expected.name] == [expected.data] * 3


def test_jobs_that_are_worked_off_at_once_are_seen_when_laravel_posts(
    tmp_path: Path, store: Store, present: Present
) -> None:
    app = Laravel.create(tmp_path / "app", store.settings)
    with (
        shadow(app, app.path, "--shadow-to", f"http://127.0.0.1:{present.port}") as ours,
        app.queue_work("--sleep=0.01"),
    ):
        app.dispatch("line", tag="quick", count=40)
        wait_until("all have come", lambda: len(present.got) == 40)
        wait_until("the queue is empty", lambda: store.left() == NOTHING)
        told = ours.ended()
    assert {name: told[name] for name in NAMES} == {**dict.fromkeys(NAMES, 0), "same": 40}


def test_source_that_says_something_else_is_different_and_its_data_stay_private(
    tmp_path: Path, store: Store, present: Present
) -> None:
    app = Laravel.create(tmp_path / "app", store.settings)
    tampered = tmp_path / "tampered"
    shutil.copytree(app.path, tampered)
    sends(tampered, "['number' => $this->number, 'tag' => $this->tag . '!']")
    with shadow(app, tampered, "--shadow-to", f"http://127.0.0.1:{present.port}") as ours:
        app.dispatch("line", "private", tag="secret-tag", count=2)
        wait_until("every job is seen", lambda: ours.seen() == 4)
        worked_off(app, store)
        told = ours.ended()
    assert (told["same"], told["different"]) == (2, 2)
    log = ours.log.read_text()
    assert log.count("shadow: differs from what Laravel posted") == 2
    assert 'paths="data.tag"' in log
    assert "secret-tag" not in log


@pytest.mark.parametrize(
    ("payload", "told"),
    [
        ("['at' => now()->format('u'), 'tag' => $this->tag]", {"same": 2}),
        ("['version' => app()->version(), 'tag' => $this->tag]", {"same": 2, "by_php": 2}),
    ],
    ids=["clock", "php"],
)
def test_the_clock_and_the_php_rung_make_no_difference(
    tmp_path: Path, sqlite: Store, present: Present, payload: str, told: dict[str, int]
) -> None:
    app = Laravel.create(tmp_path / "app", sqlite.settings)
    sends(app.path, payload)
    with shadow(app, app.path, "--shadow-to", f"http://127.0.0.1:{present.port}") as ours:
        app.dispatch("line", tag="told", count=2)
        wait_until("every job is seen", lambda: ours.seen() == 2)
        worked_off(app, sqlite)
        assert ours.ended() == {**dict.fromkeys((*NAMES, "by_php"), 0), **told}


def test_what_no_rung_may_know_is_told_once_and_its_posts_are_no_surprise(
    tmp_path: Path, sqlite: Store, present: Present
) -> None:
    app = Laravel.create(tmp_path / "app", sqlite.settings)
    sends(app.path, "['version' => app()->version()]")
    (app.path / "bridge.toml").write_text('php_binary = ""\n')
    with shadow(app, app.path, "--shadow-to", f"http://127.0.0.1:{present.port}") as ours:
        app.dispatch("line", tag="refused", count=3)
        wait_until("every job is seen", lambda: ours.seen() == 3)
        worked_off(app, sqlite)
        assert ours.ended() == {**dict.fromkeys((*NAMES, "by_php"), 0), "not_resolved": 3}
    [line] = re.findall("^.*shadow: not resolved.*$", ours.log.read_text(), re.MULTILINE)
    assert "app/Events/LineSaid.php:" in line


def test_sighup_brings_a_mapping_and_loses_nothing_and_what_is_wrong_leaves_all_as_it_was(
    tmp_path: Path, sqlite: Store, present: Present
) -> None:
    app = Laravel.create(tmp_path / "app", sqlite.settings)
    toml = app.path / "bridge.toml"
    with shadow(app, app.path, "--shadow-to", f"http://127.0.0.1:{present.port}") as ours:
        app.dispatch("line", tag="before")
        wait_until("the first job is seen", lambda: ours.seen() == 1)
        toml.write_text("[events.'App\\Events\\LineSaid']\nchannels = 7\n")
        ours.process.send_signal(signal.SIGHUP)
        wait_until("the mistake is told", lambda: "the old settings stay" in ours.log.read_text())
        mapping = "[events.'App\\Events\\LineSaid']\nchannels = ['mapped']\n"
        toml.write_text("batch_size = 7\n" + mapping)
        ours.process.send_signal(signal.SIGHUP)
        wait_until("it is read anew", lambda: "SIGHUP:" in ours.log.read_text())
        assert 'changed="batch_size"' in ours.log.read_text()
        app.dispatch("line", tag="after")
        wait_until("the second job is seen", lambda: ours.seen() == 2)
        worked_off(app, sqlite)
        told = ours.ended()
    assert (told["same"], told["different"]) == (1, 1)
    assert 'paths="channels"' in ours.log.read_text()


def test_clients_are_sent_away(tmp_path: Path, sqlite: Store) -> None:
    app = Laravel.create(tmp_path / "app", sqlite.settings)
    with (
        shadow(app, app.path),
        connect(
            f"ws://127.0.0.1:{app.port}/app/app-key?protocol=7", compression=None, open_timeout=60
        ) as client,
    ):
        assert json.loads(client.recv(timeout=60))["event"] == "pusher:error"
        with pytest.raises(ConnectionClosed):
            client.recv(timeout=60)


def test_a_url_that_is_none_and_flags_without_shadow_are_refused(tmp_path: Path, sqlite: Store) -> None:
    app = Laravel.create(tmp_path / "app", sqlite.settings)
    for code, flags in ((78, ["--shadow", "--shadow-to", "localhost:6001"]), (2, ["--shadow-show-data"])):
        command = [*COMMAND, "serve", "--app", str(app.path), "--port", "0", *flags]
        done = run(command, env=environment(), capture_output=True, text=True, timeout=120)
        assert done.returncode == code
        assert "--shadow" in done.stderr


def test_without_a_present_server_it_answers_itself_and_shows_data_when_told_to(
    tmp_path: Path, store: Store
) -> None:
    app = Laravel.create(tmp_path / "app", store.settings)
    tampered = tmp_path / "tampered"
    shutil.copytree(app.path, tampered)
    event = tampered / "app/Events/LineSaid.php"
    event.write_text(event.read_text().replace("'lines'", "'other-lines'"))
    with shadow(app, tampered, "--shadow-show-data") as ours:
        app.dispatch("line", tag="shown")
        wait_until("the job is seen", lambda: ours.seen() == 1)
        worked_off(app, store)
        told = ours.ended()
    assert (told["same"], told["different"]) == (0, 1)
    log = ours.log.read_text()
    assert "no --shadow-to" in log
    [line] = re.findall(r"^.*shadow: differs.*$", log, re.MULTILINE)
    assert 'paths="channels"' in line
    assert line.count("shown") == 2
