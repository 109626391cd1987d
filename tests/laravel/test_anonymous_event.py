"""The job of an anonymous event, beside those that Laravel itself wrote."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from bridge.jobs.queue.selection import broadcast_document
from bridge.jobs.resolve.resolution import Resolution
from bridge.laravel.anonymous_event import ANONYMOUS_EVENT, anonymous_job
from bridge.laravel.payload import read_payload
from bridge.phpeval.php.runtime.values import PhpObject
from bridge.phpeval.php.serialization.unserialize import unserialize
from bridge.serve.wiring.ladder import build_ladder
from bridge.settings.load import load_settings

FIXTURES = Path(__file__).parents[2] / "fixtures/payloads"
ENV = "PUSHER_APP_ID=1\nPUSHER_APP_KEY=key\nPUSHER_APP_SECRET=secret\nBROADCAST_CONNECTION=pusher\n"


def recorded() -> bytes:
    with gzip.open(FIXTURES / "laravel-12.67.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    payload: str = next(row["row"]["payload"] for row in rows if row["id"] == "framework-anonymous")
    return payload.encode()


def resolved(folder: Path, payload: bytes, version: str) -> Resolution:
    (folder / ".env").write_text(ENV, encoding="utf-8")
    settings = load_settings({"laravel_version": version}, {}, folder)
    ladder = build_ladder(settings.laravel, {})
    try:
        return ladder.resolve(read_payload(payload))
    finally:
        ladder.close()


def command(payload: bytes) -> PhpObject:
    found = unserialize(read_payload(payload).command)
    assert isinstance(found, PhpObject)
    return found


def test_the_event_inside_has_what_laravels_own_has() -> None:
    _, payload = anonymous_job(["orders.1"], "n", {})
    ours, theirs = command(payload).get("event"), command(recorded()).get("event")
    assert isinstance(ours, PhpObject)
    assert isinstance(theirs, PhpObject)
    assert (ours.class_name, theirs.class_name) == (ANONYMOUS_EVENT, ANONYMOUS_EVENT)
    for name in ("channels", "payload", "includeCurrentUser", "shouldBroadcastNow", "socket"):
        assert ours.get(name) == theirs.get(name), name


def test_the_queue_takes_it_for_the_broadcast_it_is() -> None:
    job, payload = anonymous_job(["c"], "n", {})
    document = broadcast_document(payload)
    assert document is not None
    assert (document["uuid"], document["displayName"]) == (job, ANONYMOUS_EVENT)


@pytest.mark.parametrize("version", ["8.83", "9.52", "10.50", "11.5", "12.67", "13.1"])
def test_every_release_resolves_it_to_what_was_given(tmp_path: Path, version: str) -> None:
    data: dict[str, Any] = {
        "text": "ы \"' \\ / \0",
        "list": [1, 2.5, None, True, []],
        "deep": {"7": {"a": "b"}},
    }
    _, payload = anonymous_job(["private-a", "b"], "App\\X", data, connection="pusher")
    resolution = resolved(tmp_path, payload, version)
    assert (resolution.outcome, resolution.by, resolution.why) == ("broadcast", "framework", "")
    [call] = resolution.broadcasts
    assert (call.connection, call.channels, call.name) == ("pusher", ("private-a", "b"), "App\\X")
    assert json.loads(call.data) == data


def test_an_integer_that_php_cannot_hold_is_a_float_as_in_its_json_decode(tmp_path: Path) -> None:
    _, payload = anonymous_job(["c"], "n", {"large": 2**63, "most": 2**63 - 1, "least": -(2**63)})
    [call] = resolved(tmp_path, payload, "12.67").broadcasts
    assert (
        call.data == '{"large":9.223372036854776e+18,"most":9223372036854775807,"least":-9223372036854775808}'
    )
