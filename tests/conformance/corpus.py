"""The recorded queue entries of real Laravel releases, and the comparison with what Laravel broadcast."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from bridge.errors import JobError
from bridge.jobs.resolve.ladder import Ladder
from bridge.jobs.resolve.resolution import Resolution
from bridge.laravel.payload import read_payload

APP = Path(__file__).parents[2] / "fixtures/payloads"
RELEASES = ("8.83", "9.52", "10.50", "11.56", "12.67", "13.31")
OUTCOMES = {
    "broadcast": "broadcast",
    "nothing_sent": "nothing",
    "exception": "failed",
    "failed": "failed",
    "other_job": "other",
    "not_popped": "failed",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One entry: the raw payload and what Laravel's worker did with it."""

    id: str
    n: int
    kind: str
    app_db: str
    payload: bytes
    outcome: str
    broadcasts: list[tuple[str, list[str], str, str, str | None]]


@lru_cache
def rows(release: str) -> tuple[Row, ...]:
    """Every entry of a release that reached a queue."""
    with gzip.open(APP / f"laravel-{release}.jsonl.gz", "rt", encoding="utf-8") as lines:
        return tuple(row for line in lines if (row := _row(json.loads(line))) is not None)


def _row(record: dict[str, Any]) -> Row | None:
    stored = record.get("row") or record.get("redis")
    if not stored:
        return None
    text = stored.get("payload", stored.get("value"))
    encoded = stored.get("payload_base64", stored.get("value_base64"))
    oracle = record["oracle"]
    return Row(
        id=record["id"],
        n=record["n"],
        kind=record["kind"],
        app_db=record["app_db"],
        payload=text.encode() if text is not None else base64.b64decode(encoded),
        outcome=OUTCOMES[oracle["result"]],
        broadcasts=[
            (b["connection"], b["channels"], b["name"], b["payload"], b["socket"])
            for b in oracle["broadcasts"] or []
        ],
    )


def resolve(ladder: Ladder, row: Row) -> Resolution:
    """As `bridge resolve` does, the third time: the worker's shortcuts are right as well."""
    try:
        for _ in range(2):
            ladder.resolve(read_payload(row.payload))
        return ladder.resolve(read_payload(row.payload))
    except JobError as problem:
        return Resolution(outcome="failed", event="", why=str(problem))


def differences(row: Row, resolution: Resolution) -> Iterator[str]:
    """Where the resolution says something else than Laravel did; data is compared byte for byte."""
    if resolution.outcome != row.outcome:
        yield f"{row.id}[{row.n}] is {resolution.outcome} ({resolution.why}), Laravel: {row.outcome}"
        return
    got = [(c.connection, list(c.channels), c.name, c.data, c.socket) for c in resolution.broadcasts]
    if row.outcome == "broadcast" and got != row.broadcasts:
        yield f"{row.id}[{row.n}] gives {got}, Laravel: {row.broadcasts}"
