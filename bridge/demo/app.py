"""The demo's Laravel app: a folder with `.env`, a queue in SQLite, the events' source, a bridge.toml."""

from __future__ import annotations

import base64
import contextlib
import secrets
import shutil
import sqlite3
from dataclasses import dataclass
from pathlib import Path

from bridge.secret import Secret

SOURCE = Path(__file__).parent / "app"
APP_ID = "demo"

ENV = """\
APP_NAME="bridge demo"
APP_KEY=base64:{app_key}

QUEUE_CONNECTION=database
DB_CONNECTION=sqlite
DB_DATABASE={database}
CACHE_STORE=file

BROADCAST_CONNECTION=pusher
PUSHER_APP_ID={id}
PUSHER_APP_KEY={key}
PUSHER_APP_SECRET={secret}
"""

# app/Events has no NamedLiteral.php: the last of the sample events is resolved by this mapping alone.
BRIDGE_TOML = """\
laravel_version = "12.67"   # which wrote the sample events
queue = ["default", "broadcasts"]
drain_seconds = 3
create_statistics_table = true
log_level = "warning"

[events."App\\\\Events\\\\NamedLiteral"]
channels = ["releases"]
as = "server.created"
with = { version = "{v.number}", pushed_at = "{v.pushed_at}" }
"""

# As the migrations of Laravel 12 make them (`queue:table`, `queue:failed-table`).
SCHEMA = """\
create table jobs (
    id integer primary key autoincrement not null, queue varchar not null, payload text not null,
    attempts integer not null, reserved_at integer, available_at integer not null, created_at integer not null
);
create index jobs_queue_index on jobs (queue);
create table failed_jobs (
    id integer primary key autoincrement not null, uuid varchar not null, connection text not null,
    queue text not null, payload text not null, exception text not null,
    failed_at datetime not null default CURRENT_TIMESTAMP
);
create unique index failed_jobs_uuid_unique on failed_jobs (uuid);
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoApp:
    """`key` and `secret` are those of the Pusher app, made for this run."""

    path: Path
    database: Path
    key: str
    secret: Secret


def write_app(folder: Path) -> DemoApp:
    """The app is in `folder`, with an empty queue."""
    key, secret = secrets.token_hex(10), secrets.token_hex(20)
    database = folder / "database.sqlite"
    app_key = base64.b64encode(secrets.token_bytes(32)).decode()
    env = ENV.format(app_key=app_key, database=database, id=APP_ID, key=key, secret=secret)
    (folder / ".env").write_text(env, encoding="utf-8")
    (folder / "bridge.toml").write_text(BRIDGE_TOML, encoding="utf-8")
    shutil.copytree(SOURCE, folder / "app")
    with contextlib.closing(sqlite3.connect(database)) as connection:
        connection.executescript(SCHEMA)
    return DemoApp(path=folder, database=database, key=key, secret=Secret(secret))
