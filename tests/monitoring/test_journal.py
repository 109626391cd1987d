"""The last things that happened: in order, bounded, what is rare longer than what is common."""

from __future__ import annotations

import threading
from typing import get_args

import pytest

from bridge.jobs.resolve.trust import Disagreement
from bridge.jobs.worker.progress import JobProgress, OtherJobRun
from bridge.monitoring.dashboard.rows import _ROWS, row
from bridge.monitoring.journal import UNTOLD, Elsewhere, Entry, Journal
from bridge.sockets.pusher.hub_events import (
    ApiCalled,
    Connected,
    ConnectionRefused,
    HubEvent,
    MessageRefused,
    Published,
    Received,
    SlowClientClosed,
    SubscriptionRefused,
)


def connected(number: int) -> Connected:
    return Connected(app_id="1", socket_id=f"{number}.1")


REFUSED = SubscriptionRefused(app_id="1", channel="private-x", socket_id="1.1", status=401, reason="why")


def step(name: str, job: str = "7") -> JobProgress:
    return JobProgress(step=name, job=job, event="E", queue="default", attempts=1)  # type: ignore[arg-type]


def test_entries_come_in_order_after_a_number() -> None:
    journal = Journal(clock=lambda: 5.0)
    for number in range(3):
        journal.observe(connected(number))
    journal.step(step("failed"))
    assert [entry.number for entry in journal.since(0)] == [1, 2, 3, 4]
    assert [entry.what for entry in journal.since(2)] == [connected(2), step("failed")]
    assert [entry.at for entry in journal.since(3)] == [5.0]


def test_messages_alone_are_no_entries() -> None:
    journal = Journal()
    journal.observe(Received(app_id="1", socket_id="1.1"))
    assert journal.since(0) == []


def test_the_oldest_goes_first_and_what_is_rare_is_not_washed_away() -> None:
    journal = Journal(kept=10)
    journal.observe(REFUSED)
    for number in range(100):
        journal.observe(connected(number))
    assert [entry.number for entry in journal.since(0)] == [1, *range(92, 102)]


def called(status: int, app_id: str = "app-id", reason: str = "") -> ApiCalled:
    return ApiCalled(
        app_id=app_id, method="POST", path="/events", status=status, seconds=0.001, reason=reason
    )


def published(job: str) -> Published:
    return Published(
        app_id="1", channels=("c",), name="E", data="{}", socket_id=None, origin="queue", receivers=1, job=job
    )


@pytest.mark.parametrize(
    "flood",
    [
        called(401), called(404, app_id=""), REFUSED, connected(1),
        ConnectionRefused(app_id="", code=4001),
        MessageRefused(app_id="1", socket_id="1.1", code=4301, reason="fast"),
        SlowClientClosed(app_id="1", socket_id="1.1", reason="slow"),
    ],
)  # fmt: skip
def test_what_anybody_may_send_pushes_out_nothing_of_jobs(flood: HubEvent) -> None:
    journal = Journal(kept=10)
    for told in (step("reserved"), step("resolved"), step("failed")):
        journal.step(told)
    journal.observe(published("7"))
    for _ in range(1_000):
        journal.observe(flood)
    kept = [entry.what for entry in journal.since(0)][:4]
    assert kept == [step("reserved"), step("resolved"), step("failed"), published("7")]
    first = [entry.what for entry in journal.newest(0, 12)[0]]
    assert step("failed") in first


def test_a_flood_of_refusals_leaves_room_for_the_rest_on_the_page() -> None:
    journal = Journal()
    for number in range(20):
        journal.observe(connected(number))
    for _ in range(500):
        journal.observe(REFUSED)
    shown = [entry.what for entry in journal.newest(0, 20)[0]]
    assert (shown.count(REFUSED), len(shown)) == (5, 20)
    assert len(journal.newest(20, 20)[0]) == 20, "all of them, where there is nothing else"


def test_a_refused_call_says_why() -> None:
    shown = row(Entry(1, 0.0, called(401, reason="the signature is wrong")))
    assert (shown["tone"], shown["why"]) == ("bad", "the signature is wrong")


def test_the_newest_are_what_is_rare_and_then_the_rest_and_the_others_are_counted() -> None:
    journal = Journal()
    journal.step(step("failed"))
    for number in range(20):
        journal.observe(connected(number))
    entries, latest = journal.newest(0, 4)
    assert ([entry.number for entry in entries], latest) == ([1, 19, 20, 21], 21)
    assert journal.newest(21, 4) == ([], 21)
    assert [entry.number for entry in journal.newest(18, 40)[0]] == [19, 20, 21]


def test_the_way_of_a_job_is_all_that_bears_its_id() -> None:
    journal = Journal()
    journal.step(step("reserved", "7"), step("reserved", "8"))
    journal.step(step("failed", "7"))
    journal.observe(connected(1))
    assert [entry.what for entry in journal.trace("7")] == [step("reserved"), step("failed")]


def test_it_is_read_while_other_threads_write() -> None:
    journal = Journal(kept=200)

    def write() -> None:
        for _ in range(20_000):
            journal.step(step("reserved"))

    threads = [threading.Thread(target=write) for _ in range(3)]
    for thread in threads:
        thread.start()
    seen = 0
    while any(thread.is_alive() for thread in threads):
        numbers = [entry.number for entry in journal.since(seen)]
        assert numbers == sorted(set(numbers))
        seen = numbers[-1] if numbers else seen
    for thread in threads:
        thread.join()
    assert journal.since(0)[-1].number == 60_000


def test_everything_that_is_told_has_its_row_on_the_page() -> None:
    told = {kind for kind in get_args(HubEvent) if kind not in UNTOLD}
    assert set(_ROWS) == told | {JobProgress, OtherJobRun, Disagreement, Elsewhere}


def test_a_row_leaves_out_what_is_not_known() -> None:
    journal = Journal(clock=lambda: 5.0)
    journal.observe(REFUSED)
    assert row(journal.since(0)[0]) == {
        "n": 1, "at": 5.0, "kind": "refusal", "text": "subscription refused", "tone": "bad", "app": "1",
        "channel": "private-x", "socket": "1.1", "code": 401, "why": "why",
    }  # fmt: skip
