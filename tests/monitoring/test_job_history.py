"""Jobs by class, queue and rung: counted, kept in the app's database, added up, deleted when they are old."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.errors import ServiceUnavailable
from bridge.jobs.worker.progress import JobProgress, OtherJobRun
from bridge.monitoring.counters import Counters
from bridge.monitoring.job_counts import BOUNDS, MOST_KEYS, OTHERS, JobCounts, JobKey, JobRow, quantile
from bridge.monitoring.job_history import HOUR, MINUTE, TABLE, JobHistoryTable
from bridge.monitoring.job_recorder import JobRecorder
from tests import services

NOON = 1_782_907_200  # a whole hour
KEY = JobKey("App\\Events\\Sent", "default", "native")


class Clock:
    def __init__(self) -> None:
        self.now = float(NOON)

    def __call__(self) -> float:
        return self.now


Open = Callable[..., JobHistoryTable]


@pytest.fixture
def opened(database: services.Database) -> Iterator[Open]:
    made: list[JobHistoryTable] = []

    def open_table(**given: object) -> JobHistoryTable:
        made.append(JobHistoryTable(database.engine(), **given))  # type: ignore[arg-type]
        return made[-1]

    yield open_table
    for table in made:
        table.close()


def count(database: services.Database, where: str = "1 = 1") -> int:
    engine = database.engine()
    try:
        with engine.connect() as connection:
            return int(
                connection.exec_driver_sql(f"select count(*) from {TABLE} where {where}").scalar() or 0
            )
    finally:
        engine.dispose()


def row(done: int = 0, failed: int = 0, runs: dict[int, int] | None = None) -> JobRow:
    made = JobRow(done=done, failed=failed)
    for at, number in (runs or {}).items():
        made.runs[at] = number
    return made


# ---- counting --------------------------------------------------------------------------------------


def step(name: str, job: str = "1", **given: object) -> JobProgress:
    known = {"event": KEY.event, "queue": "default", "attempts": 1, **given}
    return JobProgress(step=name, job=job, **known)  # type: ignore[arg-type]


def test_a_job_counts_once_when_it_has_ended_under_the_rung_that_resolved_it() -> None:
    clock = Clock()
    tally = Counters(["1"], clock=clock)
    tally.step(step("reserved", queued_at=NOON - 3.0))
    assert tally.jobs.now() == {}
    tally.step(step("resolved", rung="native"))
    clock.now += 0.004
    tally.step(step("delivered"))
    [(key, found)] = tally.jobs.take().items()
    assert key == KEY
    assert (found.done, found.nothing, found.failed, found.released) == (1, 0, 0, 0)
    assert (BOUNDS[found.waits.index(1)], BOUNDS[found.runs.index(1)]) == (5.0, 0.005)
    assert tally.jobs.take() == {}


def test_ends_without_a_broadcast_are_told_apart_and_what_was_given_back_has_not_ended() -> None:
    tally = Counters(["1"])
    for number, end in enumerate(("failed", "released", "nothing", "given_back")):
        tally.step(step("reserved", str(number), attempts=2, queued_at=1.0))
        tally.step(step(end, str(number), error="Refused"))
    tally.ran(
        OtherJobRun(
            ended="done", uuid="u", name="SendMail", queue="mail", attempts=1, seconds=1.5, waited=0.3
        )
    )
    rows = tally.jobs.take()
    ended = rows.pop(JobKey(KEY.event, "default", ""))
    assert (ended.done, ended.nothing, ended.failed, ended.released) == (0, 1, 1, 1)
    assert sum(ended.waits) == 0, "the wait of the first attempt only"
    other = rows.pop(JobKey("SendMail", "mail", "other"))
    assert (other.done, BOUNDS[other.waits.index(1)], BOUNDS[other.runs.index(1)]) == (1, 0.5, 2.0)
    assert rows == {}


def test_names_without_end_do_not_make_rows_without_end() -> None:
    counts = JobCounts()
    for number in range(2 * MOST_KEYS):
        counts.add(JobKey(f"Class{number}", "q" * 300, "php"), "done")
    rows = counts.take()
    assert len(rows) == MOST_KEYS + 1
    assert rows[JobKey(OTHERS, "", "")].done == MOST_KEYS
    assert max(len(key.queue) for key in rows) == 255
    counts.add(JobKey("Class399", "q", "php"), "done")
    assert set(counts.take()) == {JobKey(OTHERS, "", "")}, "of the next minutes, too"


@given(st.lists(st.floats(0, 400), min_size=1, max_size=50), st.sampled_from([0.5, 0.95, 1.0]))
def test_a_quantile_lies_in_the_class_of_length_of_the_real_one(seconds: list[float], share: float) -> None:
    counts = JobCounts()
    for each in seconds:
        counts.add(KEY, "done", ran=each)
    found = quantile(counts.take()[KEY].runs, share)
    real = sorted(seconds)[max(0, -(-int(share * 100) * len(seconds) // 100) - 1)]
    above = next((bound for bound in BOUNDS if real <= bound), BOUNDS[-1])
    below = max([0.0, *(bound for bound in BOUNDS if bound < real)])
    assert found is not None
    assert min(below, BOUNDS[-1]) <= found <= above


def test_of_nothing_there_is_no_quantile() -> None:
    assert quantile(JobRow().runs, 0.5) is None


# ---- the table -------------------------------------------------------------------------------------


def test_the_table_is_made_once_with_the_apps_prefix(opened: Open) -> None:
    assert not opened(prefix="app_").is_there()
    assert opened(prefix="app_").create()
    assert not opened(prefix="app_").create()
    assert opened(prefix="app_").is_there()


def test_minutes_of_several_bridges_add_up_by_class_and_by_span(opened: Open) -> None:
    clock = Clock()
    table = opened(clock=clock)
    table.create()
    other = JobKey("App\\Events\\Ы'\"%", "high", "php")
    table.add([(NOON - 120, {KEY: row(3, runs={2: 3}), other: row(failed=2)}), (NOON - 60, {KEY: row(1)})])
    opened(clock=clock).add([(NOON - 120, {KEY: row(4, 1, {16: 1})}), (NOON - HOUR, {KEY: row(100)})])
    found = table.jobs(NOON - 600, NOON, 300)
    assert {key: (one.done, one.failed) for key, one in found.rows.items()} == {KEY: (8, 1), other: (0, 2)}
    assert (found.rows[KEY].runs[2], found.rows[KEY].runs[16]) == (3, 1)
    assert {at: (one.done, one.failed) for at, one in found.spans.items()} == {NOON - 300: (8, 3)}
    one = table.jobs(NOON - 600, NOON, 60, event=other.event, queue="high")
    assert {at: (each.done, each.failed) for at, each in one.spans.items()} == {NOON - 120: (0, 2)}
    assert set(one.rows) == {KEY, other}


def test_hours_take_the_place_of_old_minutes_and_nothing_counts_twice(
    opened: Open, database: services.Database
) -> None:
    clock = Clock()
    table = opened(clock=clock)
    table.create()
    for hour in range(-30, 1):
        for minute in (0, 59):
            table.add([(NOON + hour * HOUR + minute * MINUTE, {KEY: row(1)})])
    clock.now = NOON + 59.5 * MINUTE

    def month() -> int:
        start = NOON - 30 * 24 * HOUR
        return sum(one.done for one in table.jobs(start, NOON + HOUR, 12 * HOUR).rows.values())

    assert month() == 62
    table.tidy()
    assert (month(), count(database, "span = 3600")) == (62, 30)
    assert count(database, "span = 60") < 62
    before = count(database)
    table.add([(NOON - 30, {KEY: row(5)})])  # late
    table.tidy()
    table.tidy()
    assert month() == 67
    assert count(database) == before + 1
    clock.now = NOON + 40 * 24 * HOUR
    table.tidy()
    assert count(database) <= 1, "the hour that was just added up"
    table.tidy()
    assert count(database) == 0


# ---- recording -------------------------------------------------------------------------------------


def test_a_restart_keeps_what_was_counted_and_the_present_minute_is_shown(opened: Open) -> None:
    clock = Clock()
    counts = JobCounts()
    opened().create()
    first = JobRecorder(counts, opened(clock=clock), clock=clock)
    counts.add(KEY, "done", ran=0.1)
    first.record()
    counts.add(KEY, "failed")
    first.record()
    clock.now += 20
    again = JobCounts()
    second = JobRecorder(again, opened(clock=clock), clock=clock)
    again.add(KEY, "done", ran=0.1)
    found = second.jobs(HOUR, MINUTE)
    assert second.keeps
    assert (found.rows[KEY].done, found.rows[KEY].failed, sum(found.rows[KEY].runs)) == (2, 1, 2)
    assert {at: one.done for at, one in found.spans.items()} == {NOON - MINUTE: 1, NOON: 1}
    assert again.take(), "looking takes nothing away"


def test_without_a_table_the_last_hour_is_in_memory() -> None:
    clock = Clock()
    counts = JobCounts()
    recorder = JobRecorder(counts, None, clock=clock)
    for _ in range(90):
        counts.add(KEY, "done")
        clock.now += MINUTE
        recorder.record()
    assert not recorder.keeps
    assert recorder.jobs(HOUR, MINUTE).rows[KEY].done in (59, 60)
    assert recorder.jobs(HOUR, MINUTE, event="other", queue="default").spans == {}


def test_what_the_database_did_not_take_comes_when_it_answers(opened: Open) -> None:
    class Away(JobHistoryTable):
        away = True

        def add(self, minutes: object) -> None:
            if self.away:
                raise ServiceUnavailable("away")
            super().add(minutes)  # type: ignore[arg-type]

    clock = Clock()
    table = opened(clock=clock)
    table.create()
    away = Away(table._engine, clock=clock)
    counts = JobCounts()
    recorder = JobRecorder(counts, away, clock=clock)
    for _ in range(3):
        counts.add(KEY, "done")
        clock.now += MINUTE
        with pytest.raises(ServiceUnavailable):
            recorder.record()
    assert recorder.jobs(HOUR, MINUTE).rows[KEY].done == 3
    away.away = False
    recorder.record()
    found = table.jobs(NOON - HOUR, NOON + HOUR, MINUTE)
    assert [at - NOON for at in sorted(found.spans)] == [0, 60, 120]
    assert recorder.jobs(HOUR, MINUTE).rows[KEY].done == 3
