"""The app's `websockets_statistics_entries`, on every database, with the columns of both releases."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from bridge.errors import ConfigurationError, ServiceUnavailable
from bridge.monitoring.statistics import RELEASE_1, RELEASE_2, TABLE, Counts, StatisticsTable
from tests import services
from tests.end_to_end.processes import environment
from tests.monitoring.dashboard.serving import serving, until

NOW = datetime(2026, 7, 1, 12, 0, 30, tzinfo=UTC)
COUNTS = Counts(peak=3, websocket=14, api=5)

Open = Callable[..., StatisticsTable]


@pytest.fixture
def opened(database: services.Database) -> Iterator[Open]:
    """A table on each database; arguments are StatisticsTable's."""
    made: list[StatisticsTable] = []

    def open_table(**given: object) -> StatisticsTable:
        defaults: dict[str, object] = {
            "timezone": ZoneInfo("Europe/Berlin"),
            "may_create": True,
            "clock": lambda: NOW,
        }
        made.append(StatisticsTable(database.engine(), **{**defaults, **given}))  # type: ignore[arg-type]
        return made[-1]

    yield open_table
    for table in made:
        table.close()


def rows(database: services.Database, table: str = TABLE) -> list[dict[str, object]]:
    engine = database.engine()
    try:
        with engine.connect() as connection:
            return [
                dict(row._mapping) for row in connection.exec_driver_sql(f"select * from {table} order by id")
            ]
    finally:
        engine.dispose()


def execute(database: services.Database, sql: str) -> None:
    engine = database.engine()
    try:
        with engine.begin() as connection:
            connection.exec_driver_sql(sql)
    finally:
        engine.dispose()


def test_a_row_has_the_columns_and_the_local_time_of_laravel_websockets(
    opened: Open, database: services.Database
) -> None:
    opened(prefix="app_").add({"4711": COUNTS, "2": Counts(peak=0, websocket=0, api=0)})
    first, second = rows(database, f"app_{TABLE}")
    assert {str(first.pop(name))[:19] for name in ("created_at", "updated_at")} == {"2026-07-01 14:00:30"}
    assert first == {"id": 1, "app_id": "4711", **dict(zip(RELEASE_1, (3, 14, 5), strict=True))}
    assert second["app_id"] == "2"


def test_a_table_of_release_2_is_written_with_its_own_columns(
    opened: Open, database: services.Database
) -> None:
    serial = {"mysql": "bigint auto_increment", "pgsql": "bigserial", "sqlite": "integer"}[database.driver]
    counters = ", ".join(f"{name} integer not null" for name in RELEASE_2)
    execute(
        database,
        f"create table {TABLE} (id {serial} primary key, app_id varchar(255) not null, {counters},"
        " created_at timestamp null, updated_at timestamp null)",
    )
    table = opened(may_create=False)
    table.add({"1": COUNTS})
    [row] = rows(database)
    assert [row[name] for name in RELEASE_2] == [3, 14, 5]
    assert table.latest("1")["websocket_message_count"]["y"] == [14]


def test_where_the_table_is_missing_it_is_made_only_if_that_is_allowed(opened: Open) -> None:
    with pytest.raises(ConfigurationError, match="BRIDGE_CREATE_STATISTICS_TABLE=true"):
        opened(may_create=False).add({"1": COUNTS})
    opened().add({"1": COUNTS})
    opened(may_create=False).add({"1": COUNTS})


def test_a_table_of_somebody_else_is_left_alone(opened: Open, database: services.Database) -> None:
    execute(database, f"create table {TABLE} (id integer primary key, app_id varchar(20))")
    with pytest.raises(ConfigurationError, match="has not laravel-websockets' columns"):
        opened().add({"1": COUNTS})


def test_the_last_rows_of_an_app_are_answered_oldest_first(opened: Open) -> None:
    table = opened()
    for number in range(125):
        table.add({"1": Counts(peak=number, websocket=0, api=0), "2": COUNTS})
    latest = table.latest("1")
    assert latest["peak_connections"]["y"] == list(range(5, 125))
    assert latest["peak_connections"]["x"][0].startswith("2026-07-01 14:00:30")


def test_history_adds_up_what_is_in_each_span_and_leaves_out_what_is_not(
    opened: Open, database: services.Database
) -> None:
    def add(before: timedelta, peak: int, app_id: str = "1") -> None:
        counts = Counts(peak=peak, websocket=10 * peak, api=1)
        opened(clock=lambda: NOW - before).add({app_id: counts})

    for seconds in (-60, 30, 29, 31, 331, 3_629, 3_631, 90_000):  # 12:01:30, noon, …
        add(timedelta(seconds=seconds), max(1, seconds // 10))
    add(timedelta(seconds=30), 1_000, "2")
    history = opened().history("1", 3_600, 300)
    noon = datetime(2026, 7, 1, 12, tzinfo=UTC).timestamp()
    assert (history.start, history.end, history.width) == (noon - 3_300, noon + 300, 300)
    assert [(span.at - noon, span.counts) for span in history.spans] == [
        (-600, Counts(peak=33, websocket=330, api=1)),
        (-300, Counts(peak=3, websocket=30, api=1)),
        (0, Counts(peak=3, websocket=60, api=3)),
    ]
    long = opened().history("1", 30 * 86_400, 43_200)
    assert (sum(span.counts.api for span in long.spans), len(long.spans)) == (8, 2)
    assert opened().history("none", 3_600, 300).spans == []


def test_history_is_the_apps_local_time_on_both_sides_of_its_clock_change(opened: Open) -> None:
    after = datetime(2026, 10, 25, 5, 0, 10, tzinfo=UTC)  # Berlin went back at 01:00 UTC
    opened(clock=lambda: after).add({"1": COUNTS})
    opened(clock=lambda: after - timedelta(hours=12)).add({"1": COUNTS})
    first, second = opened(clock=lambda: after).history("1", 86_400, 1_800).spans
    assert (second.at, first.at) == (after.timestamp() - 10, after.timestamp() - 12 * 3_600 - 10)


def test_a_row_without_a_time_is_in_no_history(opened: Open, database: services.Database) -> None:
    table = opened()
    table.add({"1": COUNTS})
    execute(database, f"update {TABLE} set created_at = null")
    assert table.history("1", 86_400, 1_800).spans == []


def test_old_rows_go_of_one_app_or_of_all(opened: Open, database: services.Database) -> None:
    for days in (0, 59, 61):
        opened(clock=lambda days=days: NOW - timedelta(days=days)).add({"1": COUNTS, "2": COUNTS})
    table = opened()
    assert table.clean(60, "1") == 1
    assert table.clean(60) == 1
    assert table.clean(60) == 0
    assert len(rows(database)) == 4


def test_a_database_that_is_away_is_said_without_its_password() -> None:
    url = sa.URL.create("mysql+pymysql", "u", "s3cret", "127.0.0.1", services.free_port(), "d")
    table = StatisticsTable(sa.create_engine(url), timezone=ZoneInfo("UTC"))
    with pytest.raises(ServiceUnavailable) as error:
        table.latest("1")
    assert "s3cret" not in str(error.value)
    table.close()


# ---- as a user meets them ------------------------------------------------------------------------


def test_a_running_bridge_writes_a_row_each_interval_and_the_last_when_it_ends(tmp_path: Path) -> None:
    with serving(tmp_path, statistics_interval="1") as served:
        until("a row is written", lambda: _written(tmp_path, 1))
        served.process.terminate()
        assert served.process.wait(timeout=60) == 0
        count = len(served.rows(f"select * from {TABLE}"))
        assert count >= 2
        assert {row[1] for row in served.rows(f"select * from {TABLE}")} == {"demo"}
        command = [sys.executable, "-m", "bridge", "statistics", "clean", "--app", str(served.app.path)]
        run = subprocess.run(
            [*command, "--days", "60"],
            env=environment(),
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
        assert run.stdout == "0 rows older than 60 days are deleted\n"
        run = subprocess.run(
            [*command, "--days=-1"],
            env=environment(),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert run.returncode == 2


def test_statistics_that_are_switched_off_are_not_written(tmp_path: Path) -> None:
    with serving(tmp_path, statistics_interval="1", enable_statistics="false") as served:
        person = served.logged_in()
        answer = person.get("/laravel-websockets/api/demo/statistics")
        assert (answer.status_code, "BRIDGE_ENABLE_STATISTICS" in answer.text) == (409, True)
        served.process.terminate()
        assert served.process.wait(timeout=60) == 0
        assert served.rows(f"select name from sqlite_master where name = '{TABLE}'") == []


def test_a_missing_table_is_told_once(tmp_path: Path) -> None:
    with serving(tmp_path, statistics_interval="1", create_statistics_table="false") as served:
        told = re.compile("statistics are not written")
        until("it is told", lambda: told.search(served.log.read_text()))
        client = served.client()
        points = client.get("/metrics").text.count("bridge_")
        assert points
        served.process.terminate()
        assert served.process.wait(timeout=60) == 0
        assert len(told.findall(served.log.read_text())) == 1


def _written(folder: Path, least: int) -> bool:
    engine = sa.create_engine(f"sqlite:///{folder}/app/database.sqlite")
    try:
        with engine.connect() as connection:
            count = connection.exec_driver_sql(f"select count(*) from {TABLE}").scalar_one()
            return bool(count >= least)
    except sa.exc.OperationalError:
        return False
    finally:
        engine.dispose()
