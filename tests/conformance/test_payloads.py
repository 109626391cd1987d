"""Every recorded entry of Laravel 8.83 to 13.31, resolved without PHP: right, or refused with a reason.

A wrong result fails the build, whatever the share of right ones.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
import sqlalchemy as sa

from bridge.errors import JobError, Refused
from bridge.jobs.resolve.resolution import Resolution
from bridge.laravel.application import load
from bridge.phpeval.php.serialization.unserialize import unserialize
from bridge.serve.wiring.ladder import build_ladder
from tests.conformance.corpus import APP, RELEASES, Row, differences, resolve, rows
from tests.services import Database

WITHOUT_PHP = ("mapping", "framework", "native")
RIGHT_SHARE = {"12.67": 0.91, "13.31": 0.91}  # of the rows that Laravel broadcast; the others: 0.94


@pytest.fixture
def sqlite_app(tmp_path: Path) -> Mapping[str, str]:
    file = tmp_path / "app.sqlite"
    connection = sqlite3.connect(file)
    connection.executescript((APP / "app.sqlite.sql").read_text())
    connection.close()
    return {"DB_CONNECTION": "sqlite", "DB_DATABASE": str(file)}


@pytest.fixture
def mysql_app(mariadb_database: Database) -> Mapping[str, str]:
    engine = mariadb_database.engine()
    with engine.begin() as connection:
        connection.execute(sa.text("drop table if exists jobs, failed_jobs"))
        for statement in (APP / "app.mysql.sql").read_text().split(";\n"):
            if statement.strip():
                connection.exec_driver_sql(statement.replace("%", "%%"))
    engine.dispose()
    url = mariadb_database.url
    return {
        "DB_CONNECTION": "mysql",
        "DB_HOST": str(url.host),
        "DB_PORT": str(url.port),
        "DB_DATABASE": str(url.database),
        "DB_USERNAME": str(url.username),
        "DB_PASSWORD": str(url.password or ""),
    }


@pytest.fixture(params=["sqlite", "mysql"])
def environment(request: pytest.FixtureRequest) -> tuple[str, Mapping[str, str]]:
    return request.param, request.getfixturevalue(f"{request.param}_app")


def resolved(
    environment: tuple[str, Mapping[str, str]], release: str, version: str | None
) -> list[tuple[Row, Resolution]]:
    name, variables = environment
    ladder = build_ladder(load(APP, variables, version), {}, only=WITHOUT_PHP)
    return [(row, resolve(ladder, row)) for row in rows(release) if row.app_db == name]


@pytest.mark.parametrize("release", RELEASES)
def test_no_row_is_resolved_wrongly(environment: tuple[str, Mapping[str, str]], release: str) -> None:
    results = resolved(environment, release, release)
    wrong = [text for row, got in results if got.outcome != "refused" for text in differences(row, got)]
    assert wrong == []
    broadcast = [got for row, got in results if row.outcome == "broadcast"]
    right = [got for got in broadcast if got.outcome == "broadcast"]
    assert len(broadcast) > 90
    assert len(right) / len(broadcast) >= RIGHT_SHARE.get(release, 0.94)


@pytest.mark.parametrize("release", RELEASES)
def test_no_row_is_resolved_wrongly_where_the_release_is_not_told(
    environment: tuple[str, Mapping[str, str]], release: str
) -> None:
    results = resolved(environment, release, None)
    wrong = [text for row, got in results if got.outcome != "refused" for text in differences(row, got)]
    assert wrong == []


@pytest.mark.parametrize("release", RELEASES)
def test_every_refusal_says_why(environment: tuple[str, Mapping[str, str]], release: str) -> None:
    refused = [got for _, got in resolved(environment, release, release) if got.outcome == "refused"]
    assert refused
    assert all(len(got.why) > 20 for got in refused)


@pytest.mark.parametrize("release", RELEASES)
def test_every_well_formed_command_is_read(release: str) -> None:
    read = 0
    for row in rows(release):
        if row.kind == "malformed":
            continue
        document = json.loads(row.payload)
        command = document["data"].get("command") if isinstance(document["data"], dict) else None
        if not isinstance(command, str) or not command.startswith("O:"):
            continue
        try:
            unserialize(command.encode())
        except Refused as refusal:
            pytest.fail(f"{row.id}: {refusal}")
        read += 1
    assert read > 300


@pytest.mark.parametrize("only", ["mapping", "framework"])
def test_a_rung_that_is_not_allowed_does_not_answer(sqlite_app: Mapping[str, str], only: str) -> None:
    ladder = build_ladder(load(APP, sqlite_app, "11.56"), {}, only=(only,))
    answers = {resolve(ladder, row).by for row in rows("11.56") if row.app_db == "sqlite"}
    assert answers <= {only, None}


@pytest.mark.parametrize("release", RELEASES)
def test_a_batch_comes_to_what_its_jobs_come_to_one_by_one(
    environment: tuple[str, Mapping[str, str]], release: str
) -> None:
    name, variables = environment
    alone = {row.payload: got for row, got in resolved(environment, release, release)}
    documents = {text: json.loads(text) for text in alone if _is_object(text)}
    ladder = build_ladder(load(APP, variables, release), {}, only=WITHOUT_PHP)
    with contextlib.closing(ladder):
        for _ in range(2):  # the second time it is known which relations are touched
            for texts in _chunks(list(documents), 50):
                calls = ladder.batch([documents[text] for text in texts])
                for text, resolve_next in zip(texts, calls, strict=True):
                    assert _attempted(resolve_next) == alone[text], name


def _is_object(text: bytes) -> bool:
    try:
        return "job" in json.loads(text)
    except (ValueError, TypeError):
        return False


def _chunks(texts: list[bytes], size: int) -> Iterator[list[bytes]]:
    return (texts[at : at + size] for at in range(0, len(texts), size))


def _attempted(resolve_next: Callable[[], Resolution]) -> Resolution:
    try:
        return resolve_next()
    except JobError as problem:
        return Resolution(outcome="failed", event="", why=str(problem))
