"""Healthy apps of real Laravel on real stores, to plant faults in."""

from __future__ import annotations

import contextlib
import io
import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bridge.cli import main
from tests import services
from tests.end_to_end.laravel import APP_KEY, Laravel

ECHO = """
import Echo from 'laravel-echo';
import Pusher from 'pusher-js';
window.Pusher = Pusher;

window.Echo = new Echo({
    broadcaster: 'pusher',
    key: process.env.MIX_PUSHER_APP_KEY,
    cluster: process.env.MIX_PUSHER_APP_CLUSTER ?? 'mt1',
    wsHost: window.location.hostname,
    wsPort: PORT,
    forceTLS: false,
    enabledTransports: ['ws', 'wss'],
});
"""


@dataclass(frozen=True, slots=True)
class App:
    """An app's folder, in which faults are planted; each of these calls gives the app, for the next."""

    path: Path

    def file(self, name: str, text: str) -> App:
        file = self.path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        return self

    def replace(self, name: str, old: str, new: str) -> App:
        text = (self.path / name).read_text(encoding="utf-8")
        assert old in text, f"{name} has no {old}"
        return self.file(name, text.replace(old, new))

    def remove(self, name: str) -> App:
        (self.path / name).unlink()
        return self

    def echo(self, old: str, new: str) -> App:
        """Echo's options have `new` for `old`."""
        return self.replace("resources/js/bootstrap.js", old, new)

    def env(self, **values: str | None) -> App:
        """The lines of `.env` say this now; None takes one out."""
        text = (self.path / ".env").read_text(encoding="utf-8")
        for name, value in values.items():
            text = re.sub(rf"^{name}=.*\n", "", text, flags=re.MULTILINE)
            text += "" if value is None else f"{name}={value}\n"
        return self.file(".env", text)

    def toml(self, more: str) -> App:
        """bridge.toml begins with these lines."""
        return self.file("bridge.toml", more + "\n" + (self.path / "bridge.toml").read_text(encoding="utf-8"))

    def doctor(self, *options: str) -> tuple[int, list[dict[str, Any]]]:
        """The exit code of `bridge doctor --json`, and its lines."""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main(["doctor", "--json", "--app", str(self.path), *options])
        assert err.getvalue() == ""
        return code, [json.loads(line) for line in out.getvalue().splitlines()]


def healthy(folder: Path) -> App:
    """An app on SQLite, everything about it right."""
    port = services.free_port()
    settings = {
        "DB_CONNECTION": "sqlite",
        "DB_DATABASE": str(folder / "queue.sqlite"),
        "QUEUE_CONNECTION": "database",
        "MIX_PUSHER_APP_KEY": APP_KEY,
        "APP_URL": "https://shop.example",
        "PUSHER_APP_SECRET": "5f1c9e0b7a3d8c642e91",
    }
    (folder / "queue.sqlite").touch()
    laravel = Laravel.create(folder / "app", settings, port=port)
    (folder / "queue.sqlite").rename(laravel.path / "database/queue.sqlite")
    app = App(laravel.path)
    app.env(DB_DATABASE=str(laravel.path / "database/queue.sqlite"))
    app.file("bridge.toml", f"port = {port}\nhost = '127.0.0.1'\n")
    app.file("resources/js/bootstrap.js", ECHO.replace("PORT", str(port)))
    app.file("package.json", '{"devDependencies": {"laravel-echo": "^1.16", "pusher-js": "^8.3"}}')
    return app


def copied(app: App, folder: Path) -> App:
    """The same app in another place."""
    shutil.copytree(app.path, folder)
    copy = App(folder)
    copy.env(DB_DATABASE=str(folder / "database/queue.sqlite"))
    return copy
