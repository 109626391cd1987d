"""`bridge serve` on the demo's app, with a dashboard that has a password; and a person who has logged in."""

from __future__ import annotations

import contextlib
import json
import re
import sqlite3
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from bridge.demo.app import DemoApp, write_app
from bridge.demo.feed import INSERT, SAMPLES, recorded, with_values
from tests.end_to_end.processes import environment, running, wait_until

PASSWORD = "open sesame & more"
PATIENCE = 60.0  # seconds for anything that should happen soon; CI machines stand still for seconds
BASE = "/laravel-websockets"


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A running bridge. `address` without a slash at the end."""

    app: DemoApp
    address: str
    log: Path
    process: subprocess.Popen[str]
    clients: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def client(self, **headers: str) -> httpx.Client:
        client = httpx.Client(base_url=self.address, headers=headers, trust_env=False, timeout=PATIENCE)
        return self.clients.enter_context(client)

    def logged_in(self) -> httpx.Client:
        """With the session's cookie and its token on every request."""
        client = self.client()
        answer = client.post(f"{BASE}/login", json={"password": PASSWORD})
        assert answer.status_code == 200, answer.text
        client.headers["X-CSRF-Token"] = client.get(f"{BASE}/api/session").json()["csrf"]
        return client

    def queue_sample(self, at: int = 0) -> str:
        """A recorded event is in the queue; the uuid of its job."""
        sample = SAMPLES[at]
        now = int(time.time())
        row = recorded()[sample.case]
        return self.queue(with_values(row.payload, sample.member, sample.values(1, 1), created_at=now))

    def queue_refused(self, event: str) -> str:
        """A job is in the queue whose class the app has no source of; its uuid."""
        document = json.loads(recorded()["channel-private-concat"].payload)
        known = "App\\Events\\PrivateConcat"
        document["displayName"] = event
        command = document["data"]["command"]
        document["data"]["command"] = command.replace(f'{len(known)}:"{known}"', f'{len(event)}:"{event}"')
        document["uuid"] = str(uuid.uuid4())
        return self.queue(json.dumps(document))

    def queue(self, payload: str) -> str:
        now = int(time.time())
        with contextlib.closing(sqlite3.connect(self.app.database, timeout=30)) as connection, connection:
            connection.execute(INSERT, ("default", now, now, payload))
        job: str = json.loads(payload)["uuid"]
        return job

    def rows(self, sql: str) -> list[Any]:
        with contextlib.closing(sqlite3.connect(self.app.database, timeout=30)) as connection:
            return connection.execute(sql).fetchall()


@contextlib.contextmanager
def serving(
    folder: Path, prepare: Callable[[Path], object] = lambda _: None, /, **settings: str
) -> Iterator[Served]:
    """`settings` in lower case, as `BRIDGE_…` of the environment; `prepare` gets the app's folder before."""
    path = folder / "app"
    path.mkdir()
    app = write_app(path)
    prepare(path)
    log = folder / "bridge.txt"
    given = {
        "dashboard_password": PASSWORD,
        "host": "127.0.0.1",
        "port": "0",
        "log_level": "info",
        "statistics_interval": "1000000",  # none by the clock, unless a test wants it
        **settings,
    }
    env = environment(**{f"BRIDGE_{name.upper()}": value for name, value in given.items()})
    command = [sys.executable, "-m", "bridge", "serve", "--app", str(path)]
    with running(command, cwd=path, log=log, env=env) as process:

        def address() -> str:
            written = log.read_text()
            assert process.poll() is None, f"bridge ended with {process.returncode}: {written}"
            found = re.search(r"^listening on (\S+)$", written, re.MULTILINE)
            return found[1] if found else ""

        where = wait_until("bridge says that it listens", address, PATIENCE)
        served = Served(app=app, address=where, log=log, process=process)
        with served.clients:
            yield served


def cache_in_files(app: Path) -> None:
    """Signals to workers pass through files, as in a fresh Laravel app."""
    (app / "config").mkdir(exist_ok=True)
    (app / "config/cache.php").write_text(
        "<?php return ['default' => 'file', 'stores' => ['file' => ['driver' => 'file',"
        " 'path' => storage_path('framework/cache/data')]], 'prefix' => 'p'];"
    )


def until(what: str, probe: Callable[[], Any]) -> Any:
    """The first true answer, within PATIENCE."""
    return wait_until(what, probe, PATIENCE)
