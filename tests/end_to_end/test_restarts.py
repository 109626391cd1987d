"""A restart that no browser is blind for: the port stays open, jobs wait until everybody is back.

Real processes, real pusher-js, unmodified. The jobs wait for the clients however long it takes, so that no
result depends on how fast the machine is.
"""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.end_to_end.bridge import COMMAND, Bridge
from tests.end_to_end.laravel import ROOT, Laravel
from tests.end_to_end.processes import environment, running, wait_until
from tests.end_to_end.stores import NOTHING, Store
from tests.end_to_end.swarm import Swarm, swarm
from tests.end_to_end.wire import wire_client
from tests.threads import repeatedly

CLIENTS = 20
EVENT = "App\\Events\\LineSaid"

pytestmark = pytest.mark.parametrize("store", ["sqlite"], indirect=True)

Start = Callable[[str], contextlib.AbstractContextManager[Bridge]]

# As systemd does: the socket is descriptor 3, and the variables name the process that it is for.
ACTIVATE = (
    "import os, sys; os.dup2(int(sys.argv[1]), 3); os.environ['LISTEN_PID'] = str(os.getpid());"
    "os.environ['LISTEN_FDS'] = '1'; os.execv(sys.argv[2], sys.argv[2:])"
)


@pytest.fixture(params=["systemd", "bridge listen"])
def start(request: pytest.FixtureRequest, app: Laravel, tmp_path: Path) -> Iterator[Start]:
    """Starts a bridge whose port another process keeps open."""
    with (app.path / ".env").open("a") as env:
        env.write("BRIDGE_NATIVE_TRUST=proven\nBRIDGE_RECONNECT_GATE=600\n")
    command = [*COMMAND, "serve", "--app", str(app.path)]
    with contextlib.ExitStack() as stack:
        descriptors: tuple[int, ...] = ()
        if request.param == "systemd":
            kept = stack.enter_context(socket.create_server(("127.0.0.1", app.port), backlog=128))
            descriptors = (kept.fileno(),)
            command = [sys.executable, "-c", ACTIVATE, str(kept.fileno()), *command]
        else:
            with (app.path / ".env").open("a") as env:
                env.write(f"BRIDGE_LISTEN_FROM={tmp_path}/listen\n")
            listen = [*COMMAND, "listen", "--app", str(app.path), "--host", "127.0.0.1"]
            listen += ["--port", str(app.port)]
            log = tmp_path / "listen.txt"
            stack.enter_context(running(listen, cwd=ROOT, log=log, env=environment(PYTHONUNBUFFERED="1")))
            wait_until("the port is kept", lambda: "keeping http" in log.read_text())

        @contextlib.contextmanager
        def started(name: str) -> Iterator[Bridge]:
            log = tmp_path / f"{name}.txt"
            process_environment = environment(PYTHONUNBUFFERED="1", PYTHONPATH=str(ROOT))
            with running(
                command, cwd=ROOT, log=log, env=process_environment, pass_fds=descriptors
            ) as process:
                wait_until("it listens", lambda: f":{app.port}\n" in log.read_text())
                yield Bridge(process=process, port=app.port, log=log)

        yield started


class Jobs:
    """Numbered events, put into the jobs table while it runs."""

    def __init__(self, app: Laravel, store: Store, tag: str) -> None:
        app.dispatch("line", tag=tag)
        self._store, self._tag = store, tag
        with store.engine.begin() as connection:
            [self._payload] = connection.exec_driver_sql("select payload from jobs").scalars()
            connection.exec_driver_sql("delete from jobs")
        self._uuid = json.loads(self._payload)["uuid"]
        self.written = 0

    def name(self, number: int) -> str:
        return f"{number:0{len(self._tag)}d}"  # as long as the tag, whose length stands in the payload

    def write(self, count: int = 1) -> None:
        for _ in range(count):
            payload = self._payload.replace(self._tag, self.name(self.written))
            payload = payload.replace(self._uuid, str(uuid.uuid4()))
            with self._store.engine.begin() as connection:
                connection.exec_driver_sql(
                    "insert into jobs (queue, payload, attempts, available_at, created_at)"
                    " values ('default', ?, 0, 0, 0)",
                    (payload,),
                )
            self.written += 1

    def being_written(self) -> contextlib.AbstractContextManager[None]:
        return repeatedly(self.write, 0.05)


@contextlib.contextmanager
def knocking(port: int) -> Iterator[list[OSError]]:
    """Connects again and again; the errors met."""
    met: list[OSError] = []

    def knock() -> None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=60).close()
        except OSError as problem:
            met.append(problem)

    with repeatedly(knock, 0.01):
        yield met


def received(clients: Swarm, number: int) -> list[str]:
    return [data["tag"] for data in clients.data[number]]


def seen_by_all(clients: Swarm, jobs: Jobs) -> bool:
    return all(len(data) >= jobs.written for data in clients.data)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["stop", "crash"])
def test_no_client_is_refused_and_none_misses_an_event(
    app: Laravel, store: Store, start: Start, tag: str, tmp_path: Path, number: signal.Signals
) -> None:
    jobs = Jobs(app, store, tag)
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(start("first"))
        log = tmp_path / "swarm.txt"
        clients = stack.enter_context(swarm(app.port, CLIENTS, log, channel="lines", event=EVENT))
        wait_until("everybody is subscribed", lambda: clients.subscribed(1))
        refused = stack.enter_context(knocking(app.port))
        jobs.write(10)
        wait_until("everybody has them", lambda: seen_by_all(clients, jobs))
        # or they would come again: a crash between an event and its deletion is not what this is about
        wait_until("they are deleted", lambda: store.left() == NOTHING)
        kept = app.path / "storage/framework"
        counted = f'"connections": {CLIENTS}'
        wait_until(
            "the clients are counted",
            lambda: any(counted in one.read_text() for one in kept.glob("bridge-clients-*.json")),
        )
        if number == signal.SIGTERM:
            writing = stack.enter_context(contextlib.ExitStack())
            writing.enter_context(jobs.being_written())
        first.process.send_signal(number)
        first.process.wait(timeout=70)
        if number == signal.SIGKILL:
            jobs.write(10)
        second = stack.enter_context(start("second"))
        wait_until("everybody is subscribed again", lambda: clients.subscribed(2))
        if number == signal.SIGTERM:
            writing.close()
        wait_until("the queue is empty", lambda: store.left() == NOTHING)
        wait_until("everybody has everything", lambda: seen_by_all(clients, jobs))
        assert second.terminate() == 0
    everything = [jobs.name(one) for one in range(jobs.written)]
    for one in range(CLIENTS):
        assert received(clients, one) == everything
    assert refused == []
    assert f"jobs wait for {CLIENTS} clients" in second.log.read_text()
    assert f"{CLIENTS} clients are back" in second.log.read_text()


def test_ready_tells_that_jobs_wait_and_a_stop_meanwhile_is_a_stop(
    app: Laravel, store: Store, start: Start, tag: str
) -> None:
    jobs = Jobs(app, store, tag)
    (app.path / f"storage/framework/bridge-clients-{app.port}.json").write_text(
        '{"connections": 5, "subscriptions": 5, "is_clean": false}'
    )
    jobs.write(3)
    with start("first") as bridge:
        expected = {
            "ready": True, "queue": True, "draining": False, "waiting_for_clients": True, "other_jobs": True,
        }  # fmt: skip

        def is_ready() -> bool:  # not where the machine stands still while the queue is asked
            answer = httpx.get(f"http://127.0.0.1:{app.port}/ready", timeout=60)
            return answer.status_code == 200 and answer.json() | {"other_jobs": True} == expected

        wait_until("it is ready, and waits", is_ready)
        assert store.left().waiting == 3
        assert bridge.terminate() == 0
    assert store.left().waiting == 3
    kept = json.loads((app.path / f"storage/framework/bridge-clients-{app.port}.json").read_text())
    assert kept == {"connections": 5, "subscriptions": 5, "is_clean": True}


def test_clients_are_told_to_come_back_at_once(app: Laravel, store: Store, start: Start) -> None:
    with start("first") as bridge, wire_client(app.port, "lines") as client:
        assert bridge.terminate() == 0
        client.join()
        assert client.close_code == 4200
        with socket.create_connection(("127.0.0.1", app.port), timeout=60):
            assert bridge.process.poll() == 0
