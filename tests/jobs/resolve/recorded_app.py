"""The app of the recordings, booted on the installed Laravel, and what its queue entries should come to."""

from __future__ import annotations

import dataclasses
import gzip
import json
import shutil
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bridge.laravel.payload import BROADCAST_EVENT, BroadcastEvent, read_document, read_payload
from bridge.laravel.payload import broadcast_event as read_event
from bridge.phpeval.php.runtime.values import PhpObject
from tests.versions import php_version, release

Sent = tuple[str, tuple[str, ...], str, str, str | None]  # connection, channels, name, data, socket

FIXTURES = Path(__file__).parents[3] / "fixtures"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One recorded entry. `sent`: each call of Laravel's to its broadcaster."""

    name: str
    database: str
    payload: str
    result: str
    is_broadcast: bool
    sent: tuple[Sent, ...]


def rows(version: str) -> Iterator[Row]:
    """Every entry of that release that is UTF-8, from all stores."""
    with gzip.open(FIXTURES / "payloads" / f"laravel-{version}.jsonl.gz", "rt", encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            entry = row.get("row", row.get("redis")) or {}
            payload = entry.get("payload", entry.get("value"))
            if payload is None:
                continue
            oracle = row["oracle"]
            yield Row(
                name=f"{row['id']}#{row['n']} {row['app_db']} {row['driver']}",
                database=row["app_db"],
                payload=payload,
                result=oracle["result"],
                is_broadcast=bool(oracle["is_broadcast_job"]),
                sent=tuple(
                    (c["connection"], tuple(c["channels"]), c["name"], c["payload"], c["socket"])
                    for c in oracle.get("broadcasts") or ()
                ),
            )


def create(folder: Path, **env: str) -> Path:
    """The app in `folder`; on its own SQLite file unless `env` (lines of .env) says otherwise."""
    shutil.copytree(FIXTURES / "payloads", folder, ignore=shutil.ignore_patterns("*.gz", "*.sql"))
    shutil.copytree(FIXTURES / "recorded_app", folder, dirs_exist_ok=True)
    for place in ("bootstrap/cache", "storage/logs", "storage/framework/views", "vendor"):
        (folder / place).mkdir(parents=True)
    (folder / "vendor").rmdir()
    # what an app says of its PHP, for rungs that do not ask it
    composer = json.loads((folder / "composer.json").read_text())
    composer["config"] = {"platform": {"php": php_version()}}
    (folder / "composer.json").write_text(json.dumps(composer))
    given = {"DB_CONNECTION": "sqlite", "DB_DATABASE": str(folder / "app.sqlite"), **env}
    if given["DB_CONNECTION"] == "sqlite":
        database = sqlite3.connect(given["DB_DATABASE"])
        database.executescript((FIXTURES / "payloads" / "app.sqlite.sql").read_text(encoding="utf-8"))
        database.close()
    lines = (FIXTURES / "payloads" / ".env").read_text().splitlines()
    kept = [line for line in lines if line.partition("=")[0] not in given]
    (folder / ".env").write_text("\n".join([*kept, *(f"{k}={v}" for k, v in given.items())]) + "\n")
    config = folder / "config" / "broadcasting.php"
    config.write_text(
        config.read_text().replace("'log' =>", "'own' => ['driver' => 'own'],\n        'log' =>")
    )
    return folder


def unread(payload: str) -> BroadcastEvent:
    """The job, its command left to PHP. Raises Unreadable."""
    read = read_payload(payload.encode())
    return dataclasses.replace(behaving("pid"), payload=read, event=PhpObject(read.display_name))


def behaving(how: str, *, token: str = "", timeout: int | None = None) -> BroadcastEvent:
    """The job of an `App\\Events\\Behaving` that does this; `token` comes back in its data."""
    event = _object("App\\Events\\Behaving", how=_string(how), token=_string(token))
    command = _object(BROADCAST_EVENT, event=event)
    return read_event(
        read_document(
            {
                "uuid": f"job {how} {token}",
                "displayName": "App\\Events\\Behaving",
                "job": "Illuminate\\Queue\\CallQueuedHandler@call",
                "timeout": timeout,
                "data": {
                    "commandName": BROADCAST_EVENT,
                    "command": command,
                },
            }
        ),
        lambda text: text,
        version=release(),
    )


def job_of(class_name: str, **lists: list[str]) -> BroadcastEvent:
    """The job of an event whose properties are lists of texts."""
    held = {
        name: f"a:{len(texts)}:{{{''.join(f'i:{at};{_string(one)}' for at, one in enumerate(texts))}}}"
        for name, texts in lists.items()
    }
    command = _object(BROADCAST_EVENT, event=_object(class_name, **held))
    document = {
        "uuid": "job of lists",
        "displayName": class_name,
        "job": "Illuminate\\Queue\\CallQueuedHandler@call",
        "data": {"commandName": BROADCAST_EVENT, "command": command},
    }
    return read_event(read_document(document), lambda text: text, version=release())


def _object(class_name: str, **properties: str) -> str:
    held = "".join(_string(name) + value for name, value in properties.items())
    return f'O:{len(class_name)}:"{class_name}":{len(properties)}:{{{held}}}'


def _string(text: str) -> str:
    return f's:{len(text.encode())}:"{text}";'
