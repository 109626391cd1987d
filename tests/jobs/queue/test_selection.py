"""Which queue entries are broadcast jobs, on every entry that five Laravel releases wrote."""

from __future__ import annotations

import contextlib
import json
import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.jobs.queue.selection import (
    broadcast_document,
    job_uuid,
    like,
    other_document,
    whole_number,
    with_attempts,
)
from tests.jobs.queue.stores import broadcast, foreign, recorded

# Malformed cases in which the label and the class inside the command disagree, or the handler is odd.
OTHERS_BY_CLASS = {("bad-command-class", 0), ("bad-handler", 0), ("bad-handler", 1), ("bad-handler", 2)}
OURS_BY_CLASS = {("bad-command-name", 0)}


@pytest.mark.parametrize("driver", ["database", "redis"])
def test_every_recorded_entry_is_told_apart(driver: str) -> None:
    wrong, seen = [], 0
    for row, entry in recorded(driver):
        case = (row["id"], row["n"])
        subclass = row["id"] == "framework-encrypted" or b"EncryptedBroadcast" in entry
        expected = bool(row["oracle"].get("is_broadcast_job")) and not subclass
        expected = (expected and case not in OTHERS_BY_CLASS) or case in OURS_BY_CLASS
        seen += 1
        if (broadcast_document(entry) is not None) != expected:
            wrong.append((row["laravel"], *case, expected))
    assert seen > 800
    assert not wrong


@pytest.mark.parametrize(
    "entry",
    [
        b"",
        b"BroadcastEvent",
        b'"BroadcastEvent"',
        b'["BroadcastEvent"]',
        b'{"BroadcastEvent":',
        b'{"job":"Illuminate\\\\Queue\\\\CallQueuedHandler@call","data":"BroadcastEvent"}',
        b"[" * 100_000 + b"BroadcastEvent",
        broadcast().replace(b"Hello", b"\xff\xfe"),
        foreign(note="Illuminate\\Broadcasting\\BroadcastEvent"),
    ],
)
def test_what_is_not_surely_a_broadcast_is_not_ours(entry: bytes) -> None:
    assert broadcast_document(entry) is None


@pytest.mark.parametrize(
    ("entry", "found"),
    [
        (b"garbage", {}),
        (b'{"uuid":"1"}', {}),
        (b'{"job":5}', {"job": 5}),
        (b"", None),
        (b"\xff\xfe", None),
        (b"a\0b", None),
        (broadcast(), None),
        (broadcast()[:-5], None),
    ],
)
def test_text_that_is_no_job_is_taken_to_fail(entry: bytes, found: object) -> None:
    assert other_document(entry) == found


@given(st.integers(0, 10_000), st.integers(0, 10_000))
def test_new_attempts_change_nothing_else(before: int, after: int) -> None:
    entry = broadcast(attempts=before, tags=[], big=12345678901234567890, ratio=1.0)
    document = broadcast_document(entry)
    assert document is not None
    changed = with_attempts(entry, document, after)
    assert changed == entry.replace(b'"attempts":%d' % before, b'"attempts":%d' % after)


def test_doubtful_text_is_encoded_anew_with_the_same_meaning() -> None:
    for entry in (
        broadcast(attempts=1, **{"illuminate:log:context": {"data": {"attempts": 1}}}),
        broadcast(attempts=1.0),
        broadcast(attempts=1, nested={"attempts": 5}),
    ):
        document = broadcast_document(entry)
        assert document is not None
        assert json.loads(with_attempts(entry, document, 2)) == {**json.loads(entry), "attempts": 2}


def test_a_job_without_uuid_keeps_its_identity_when_it_is_tried_again() -> None:
    document = {"displayName": "App\\Events\\Old", "attempts": 0}
    assert job_uuid(document) == job_uuid({**document, "attempts": 3})
    assert job_uuid(document) != job_uuid({**document, "displayName": "App\\Events\\Other"})


@pytest.mark.parametrize(
    ("value", "number"), [(3, 3), (3.0, 3), (3.5, None), (float("inf"), None), (True, None), ("3", None)]
)
def test_only_whole_numbers_are_numbers(value: object, number: int | None) -> None:
    assert whole_number({"maxTries": value}, "maxTries") == number


@given(
    st.lists(st.text("ab_%", max_size=6), max_size=3),
    st.text("ab\n", max_size=10),
)
def test_text_is_like_patterns_as_a_database_says(patterns: list[str], text: str) -> None:
    patterns = [f"%{pattern}%" for pattern in patterns]
    with contextlib.closing(sqlite3.connect(":memory:")) as database:
        said = [database.execute("select ? like ?", (text, one)).fetchone()[0] for one in patterns]
    assert like(patterns)(text.encode()) == any(said)
