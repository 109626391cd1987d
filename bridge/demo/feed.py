"""Rows for the `jobs` table: recorded payloads of Laravel 12.67 with new values, as Laravel writes them.

`samples.json` holds the payloads as they were recorded (`case` is their name among the project's fixtures).
What is put into an event has a `pushed_at`, unix milliseconds, from which the page reckons the time.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import sqlite3
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import phpserialize

INTERVAL = 1.0  # seconds between sample events
PATIENCE = 5.0  # seconds to wait while the worker holds the file

Values = Callable[[int, int], Mapping[str, object]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A recorded payload and what becomes of one property: `values(number of the push, pushed_at)`."""

    case: str
    member: bytes
    values: Values


SAMPLES = (
    Sample(
        case="scalar-seed",  # ChatChannel
        member=b"object",
        values=lambda number, now: {"a": "b", "c": "d", "number": number, "pushed_at": now},
    ),
    Sample(
        case="channel-private-concat",  # private-room.17
        member=b"text",
        values=lambda number, now: {"says": "hi", "number": number, "pushed_at": now},
    ),
    Sample(
        case="channel-presence-interpolated",  # presence-room.5.red
        member=b"member",
        values=lambda number, now: {"team": "red", "size": number % 10, "pushed_at": now},
    ),
    Sample(
        case="shape-as-literal",  # releases, by the mapping in bridge.toml
        member=b"v",
        values=lambda number, now: {"number": number, "pushed_at": now},
    ),
)
OWN_CASE, OWN_MEMBER = "scalar-seed-with", b"\0App\\Events\\ChatMessage\0message"  # ChatChannel

INSERT = """\
insert into jobs (queue, attempts, reserved_at, available_at, created_at, payload)
values (?, 0, null, ?, ?, ?)"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """A row of `samples.json`."""

    queue: str
    payload: str


class Feed:
    """Pushes to the queue in the SQLite file `database`."""

    def __init__(self, database: Path) -> None:
        self._database = database
        self._recorded = recorded()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="feed", daemon=True)

    def start(self) -> None:
        """Pushes one sample event now and every second from now."""
        self._thread.start()

    def stop(self) -> None:
        """Stops pushing; also without `start`."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()

    def push_text(self, text: str, author: str) -> None:
        """Pushes an `App\\Events\\ChatMessage` with the text. OperationalError if the queue is locked."""
        now = _milliseconds()
        self._push(OWN_CASE, OWN_MEMBER, {"text": text, "from": author, "pushed_at": now}, now)

    def _run(self) -> None:
        for number, sample in enumerate(itertools.cycle(SAMPLES), 1):
            now = _milliseconds()
            with contextlib.suppress(sqlite3.OperationalError):  # somebody looks at the file and locks it
                self._push(sample.case, sample.member, sample.values(number, now), now)
            if self._stopped.wait(INTERVAL):
                return

    def _push(self, case: str, member: bytes, values: Mapping[str, object], now: int) -> None:
        recorded, seconds = self._recorded[case], now // 1000
        payload = with_values(recorded.payload, member, values, created_at=seconds)
        with contextlib.closing(sqlite3.connect(self._database, timeout=PATIENCE)) as connection, connection:
            connection.execute(INSERT, (recorded.queue, seconds, seconds, payload))


def recorded() -> dict[str, Recorded]:
    """Case → the row."""
    rows = json.loads((Path(__file__).parent / "samples.json").read_text(encoding="utf-8"))
    return {row["case"]: Recorded(queue=row["queue"], payload=row["payload"]) for row in rows}


def with_values(payload: str, member: bytes, values: Mapping[str, object], *, created_at: int) -> str:
    """The payload as Laravel writes it when the event's `member` is `values`; with a new uuid."""
    document = json.loads(payload)
    command = phpserialize.loads(document["data"]["command"].encode(), object_hook=phpserialize.phpobject)
    command.__php_vars__[b"event"].__php_vars__[member] = values
    document["data"]["command"] = phpserialize.dumps(command).decode()
    document |= {"uuid": str(uuid.uuid4()), "createdAt": created_at}
    return json.dumps(document, separators=(",", ":")).replace("/", "\\/")  # PHP's way with slashes


def _milliseconds() -> int:
    return time.time_ns() // 1_000_000
