"""What the page gets of many failed jobs: pages, groups and what a search finds."""

from __future__ import annotations

import pytest

from bridge.monitoring.dashboard.failures import PAGE, FailedRow, group_of, page_of


def row(number: int = 0, /, **given: str) -> FailedRow:
    values = {
        "id": f"id-{number}",
        "uuid": f"uuid-{number}",
        "event": "App\\Events\\Sent",
        "queue": "default",
        "connection": "redis",
        "failed_at": f"2026-07-01 12:00:{number % 60:02}",
        "reason": "no row",
        "whole": "Refused: no row\n#0 somewhere",
        **given,
    }
    return FailedRow(**values)


def test_every_job_is_on_exactly_one_page() -> None:
    rows = [row(number) for number in range(2 * PAGE + 1)]
    pages = [page_of(rows, is_all=True, page=page) for page in (1, 2, 3)]
    assert [one["id"] for page in pages for one in page["rows"]] == [one.id for one in rows]
    assert {(page["total"], page["pages"], len(page["ids"])) for page in pages} == {
        (2 * PAGE + 1, 3, 2 * PAGE + 1)
    }
    assert page_of(rows, is_all=True, page=99)["page"] == 3
    assert page_of(rows, is_all=True, page=-1)["page"] == 1
    none = page_of([], is_all=True, page=5)
    assert (none["total"], none["page"], none["pages"], none["rows"]) == (0, 1, 1, [])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("No row for model [App\\Order] 17", "No row for model [App\\Order] 4711"),
        ("job 9f86d081-884c-4d65-9a2f-eaa0c55ad015 is", "job 00000000-884C-4d65-9a2f-eaa0c55ad015 is"),
        ("key 0123456789abcdef01", "key fedcba9876543210ff00"),
        ("the same", "the same"),
    ],
)
def test_failures_that_differ_in_numbers_and_ids_alone_are_equal(one: str, other: str) -> None:
    assert group_of(row(whole=f"E: {one}\n#0 a")) == group_of(row(whole=f"E: {other}\n#1 b"))


@pytest.mark.parametrize(
    "given",
    [{"event": "App\\Events\\Other"}, {"queue": "high"}, {"connection": "database"},
     {"whole": "E: no column"}, {"whole": "Other: no row"},
     {"event": "App\\Events\\Sen", "connection": "tredis"}],
)  # fmt: skip
def test_another_class_queue_or_reason_is_another_failure(given: dict[str, str]) -> None:
    assert group_of(row()) != group_of(row(0, **given))


def test_a_group_names_its_jobs_and_the_largest_comes_first() -> None:
    rows = [row(1), row(2, event="B"), row(3, event="B"), row(4), row(5), row(6, event="alone")]
    found = page_of(rows, is_all=False)
    assert [(one["event"][-4:], one["ids"]) for one in found["groups"]] == [
        ("Sent", ["id-1", "id-4", "id-5"]),
        ("B", ["id-2", "id-3"]),
    ]
    assert (found["groups"][0]["last_at"], found["groups"][0]["first_at"], found["is_all"]) == (
        rows[0].failed_at, rows[4].failed_at, False,
    )  # fmt: skip
    alone = page_of(rows, is_all=True, group=found["groups"][1]["key"])
    assert (alone["ids"], len(alone["groups"])) == (["id-2", "id-3"], 2)


@pytest.mark.parametrize(
    "text", ["UUID-7", "id-7", "\\events\\", " sent ", "DEFAULT", "redis", "12:00:07", "somewhere", ""]
)
def test_a_search_looks_at_all_that_is_told_whatever_the_case(text: str) -> None:
    rows = [row(7, uuid="uuid-7"), row(8, **dict.fromkeys(
        ("id", "uuid", "event", "queue", "connection", "failed_at", "reason", "whole"), "-"))]  # fmt: skip
    assert page_of(rows, is_all=True, search=text)["ids"] == (["id-7"] if text else ["id-7", "-"])
