"""A copy of fixtures/laravel on one store, driven as its owner would: artisan, a web server, queue:work."""

from __future__ import annotations

import base64
import contextlib
import json
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from tests.end_to_end.processes import environment, listens, running, wait_until
from tests.services import free_port
from tests.versions import laravel_version

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "fixtures" / "laravel"
BROWSER = ROOT / "fixtures" / "browser"

APP_ID, APP_KEY, APP_SECRET = "4711", "app-key", "app-secret"
_MIGRATED: dict[bytes, tuple[bytes, dict[str, bytes]]] = {}
TOKENS = {"Ann": "ann-token", "Ben": "ben-token", "Cleo": "cleo-token"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """One call of Laravel's broadcaster, as Laravel itself makes it: what bridge has to equal."""

    channels: tuple[str, ...]
    name: str
    data: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Laravel:
    """An app in its own folder, migrated, with three users. `port` is where its Pusher client posts."""

    path: Path
    port: int

    @classmethod
    def create(cls, path: Path, settings: Mapping[str, str], *, port: int | None = None) -> Laravel:
        """`settings`: what .env says of the store (DB_*, QUEUE_CONNECTION, REDIS_*), quoted if need be."""
        shutil.copytree(SOURCE, path)
        port = free_port() if port is None else port
        lines = {
            "APP_NAME": "Bridge",
            "APP_ENV": "local",
            "APP_KEY": "base64:" + base64.b64encode(bytes(range(32))).decode(),
            "APP_DEBUG": "true",
            "BROADCAST_DRIVER": "pusher",
            "PUSHER_APP_ID": APP_ID,
            "PUSHER_APP_KEY": APP_KEY,
            "PUSHER_APP_SECRET": APP_SECRET,
            "PUSHER_PORT": str(port),
            "PUSHER_MASTER_KEY": base64.b64encode(bytes(range(100, 132))).decode(),
            **settings,
        }
        (path / ".env").write_text("".join(f"{name}={value}\n" for name, value in lines.items()))
        lock = {"packages": [{"name": "laravel/framework", "version": f"v{laravel_version()}"}]}
        (path / "composer.lock").write_text(json.dumps(lock))
        app = cls(path=path, port=port)
        database = Path(settings.get("DB_DATABASE", "").strip('"'))
        if settings.get("DB_CONNECTION") == "sqlite" and database.is_file():
            app._migrate_file(database)
        else:
            app.artisan("migrate", "--force")
        return app

    def _migrate_file(self, database: Path) -> None:
        """What `artisan migrate` makes of a file with these bytes, and of the app, is kept and copied."""
        before, cache = database.read_bytes(), self.path / "bootstrap/cache"
        made = _MIGRATED.get(before)
        if made is None:
            self.artisan("migrate", "--force")
            made = database.read_bytes(), {file.name: file.read_bytes() for file in cache.glob("*.php")}
            if not database.with_name(f"{database.name}-wal").exists():
                _MIGRATED[before] = made
        database.write_bytes(made[0])
        for name, text in made[1].items():
            (cache / name).write_bytes(text)

    def artisan(self, *arguments: str) -> str:
        """What the command printed; AssertionError with all of it when it failed."""
        done = subprocess.run(
            ["php", "artisan", "--no-ansi", *arguments],
            cwd=self.path,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, f"artisan {' '.join(arguments)}: {done.stdout}{done.stderr}"
        return done.stdout

    def dispatch(self, *cases: str, tag: str, count: int = 1, plain_every: int = 0) -> None:
        """Each case is queued `count` times, in order."""
        self.artisan(
            "dispatch:case",
            ",".join(cases),
            f"--tag={tag}",
            f"--count={count}",
            f"--plain-every={plain_every}",
        )

    def oracle(self, case: str, *, tag: str) -> list[Sent]:
        """What Laravel itself hands to Pusher for the case."""
        lines = [json.loads(line) for line in self.artisan("oracle", case, f"--tag={tag}").splitlines()]
        return [
            Sent(channels=tuple(line["channels"]), name=line["name"], data=line["data"]) for line in lines
        ]

    def lines(self) -> list[str]:
        """What the jobs that are no broadcasts wrote, one line for each run."""
        file = self.path / "storage" / "app" / "lines.txt"
        return file.read_text().splitlines() if file.exists() else []

    @contextlib.contextmanager
    def web(self) -> Iterator[str]:
        """The app answers HTTP; gives its address without a slash at the end."""
        port = free_port()
        env = environment(BROWSER_FIXTURE=str(BROWSER), PHP_CLI_SERVER_WORKERS="2")
        command = ["php", "-S", f"127.0.0.1:{port}", "server.php"]
        with running(command, cwd=self.path, log=self.path / "storage/logs/web.txt", env=env):
            wait_until("php -S listens", lambda: listens(port))
            yield f"http://127.0.0.1:{port}"

    @contextlib.contextmanager
    def queue_work(
        self, *arguments: str, env: Mapping[str, str] = MappingProxyType({})
    ) -> Iterator[subprocess.Popen[str]]:
        """Laravel's own worker runs; `env` counts before .env."""
        command = ["php", "artisan", "--no-ansi", "queue:work", *arguments]
        log = self.path / "storage/logs/work.txt"
        with running(command, cwd=self.path, log=log, env=environment(**env)) as process:
            yield process


def decoded(text: str) -> Any:
    """The value a JavaScript client sees for a message's data."""
    return json.loads(text)
