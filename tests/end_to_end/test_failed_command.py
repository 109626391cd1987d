"""`bridge failed` beside `queue:failed` and `queue:retry` of Debian's Laravel."""

from __future__ import annotations

import contextlib
import io
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest
import sqlalchemy as sa

from bridge.cli import main
from bridge.serve.wiring.failed_jobs import failed_jobs
from bridge.settings.load import load_settings
from tests import services
from tests.end_to_end.laravel import Laravel

UNTIL = r"""<?php
namespace App\Jobs;
class Patient implements \Illuminate\Contracts\Queue\ShouldQueue
{
    use \Illuminate\Bus\Queueable;
    public function retryUntil() { return now()->setDate(2033, 5, 17)->setTime(12, 0); }
    public function handle() {}
}
"""


def command(name: str, **members: str) -> str:
    held = "".join(f's:{len(key)}:"{key}";{value}' for key, value in members.items())
    return f'O:{len(name)}:"{name}":{len(members)}:{{{held}}}'


def payload(uuid: str, name: str, command: object, **more: object) -> str:
    return json.dumps(
        {
            "uuid": uuid,
            "displayName": name,
            "job": "Illuminate\\Queue\\CallQueuedHandler@call",
            "data": {"commandName": name, "command": command},
            **more,
        },
        ensure_ascii=False,
    )


EVENT = 'O:12:"App\\Events\\X":1:{s:4:"text";s:14:"Zoë </b> 🎉";}'
BROADCAST = command("Illuminate\\Broadcasting\\BroadcastEvent", event=EVENT)

# name → payload: what differs in how PHP reads it and writes it again
PAYLOADS = {
    "plain": payload("u1", "App\\Events\\X", BROADCAST, maxTries=None, delay=60, backoff="1,5"),
    "counted": payload("u2", "App\\Events\\X", BROADCAST, id="random", attempts=3, retryUntil=5),
    "numbers": payload("u3", "App\\Events\\X", BROADCAST, a=[0.1, 1.0, -0.0, 1e100, 2**63, 2**53 + 1, 1e-7]),
    "shapes": payload("u4", "App\\Events\\X", BROADCAST, a={}, b=[], c={"0": 1, "1": 2}, d={"": None}),
    "another job": payload("u5", "App\\Jobs\\WriteLine", command("App\\Jobs\\WriteLine", line='s:1:"x";')),
    "patient": payload("u6", "App\\Jobs\\Patient", command("App\\Jobs\\Patient")),
    "a string job": json.dumps({"uuid": "u7", "job": "Some@thing", "data": {"a": "é/"}}),
}
REASON = "Exception: it / broke in /app/x.php:3\nStack trace:\n#0 {main}"


class App(NamedTuple):
    """An app whose queue and failed jobs are looked at from outside."""

    laravel: Laravel
    engine: sa.Engine
    redis: services.Redis | None

    def fail(self) -> None:
        """All of PAYLOADS have failed, and the queue is empty."""
        connection = "redis" if self.redis else "database"
        with self.engine.begin() as db:
            db.exec_driver_sql("delete from jobs")
            db.exec_driver_sql("delete from failed_jobs")
            for number, text in enumerate(PAYLOADS.values(), 1):
                row = {"n": number, "uuid": f"u{number}", "c": connection, "p": text, "e": REASON}
                db.execute(
                    sa.text(
                        "insert into failed_jobs (id, uuid, connection, queue, payload, exception, failed_at)"
                        " values (:n, :uuid, :c, 'high', :p, :e, '2024-05-17 14:00:00')"
                    ),
                    row,
                )

    def queued(self) -> Sequence[object]:
        """What lies in the queue `high`, times apart; it is empty afterwards."""
        if self.redis:
            with contextlib.closing(self.redis.client()) as client:
                entries = client.lrange("retry_queues:high", 0, -1)
                found = [*entries, *client.lrange("retry_queues:high:notify", 0, -1)]
                client.delete("retry_queues:high", "retry_queues:high:notify")
            return found
        columns = "queue, payload, attempts, reserved_at"
        with self.engine.begin() as db:
            rows = db.exec_driver_sql(
                f"select {columns}, available_at, created_at from jobs order by id"
            ).all()
            db.exec_driver_sql("delete from jobs")
        for row in rows:
            assert time.time() - 3600 < row[4] <= time.time()
            assert abs(row[4] - row[5]) <= 1  # two looks at the clock
        return [tuple(row)[:4] for row in rows]

    def ids(self) -> list[str]:
        """Of the failed jobs, newest first."""
        with self.engine.connect() as db:
            return [uuid for (uuid,) in db.exec_driver_sql("select uuid from failed_jobs order by id desc")]

    def bridge(self, *arguments: str, code: int = 0) -> tuple[str, str]:
        """Standard output and standard error."""
        out, err = io.StringIO(), io.StringIO()
        action, *rest = arguments
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            assert main(["failed", action, "--app", str(self.laravel.path), *rest]) == code, err.getvalue()
        return out.getvalue(), err.getvalue()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("failed")


def opened(folder: Path, server: services.Redis | None) -> Iterator[App]:
    place = folder / ("redis" if server else "database")
    place.mkdir()
    with services.sqlite(place) as database:
        settings = {**database.env, "QUEUE_CONNECTION": "redis" if server else "database"}
        if server:
            settings |= server.env | {"REDIS_PREFIX": "retry_"}
        laravel = Laravel.create(place / "app", settings)
        (laravel.path / "app/Jobs/Patient.php").write_text(UNTIL)
        engine = database.engine()
        yield App(laravel, engine, server)
        engine.dispose()


@pytest.fixture(scope="module")
def in_database(folder: Path) -> Iterator[App]:
    yield from opened(folder, None)


@pytest.fixture(scope="module")
def in_redis(folder: Path, redis_server: services.Redis) -> Iterator[App]:
    yield from opened(folder, redis_server)


@pytest.mark.parametrize("store", ["in_database", "in_redis"])
def test_what_goes_back_is_what_queue_retry_puts_back(request: pytest.FixtureRequest, store: str) -> None:
    app: App = request.getfixturevalue(store)
    app.fail()
    app.laravel.artisan("queue:retry", "all")
    theirs = app.queued()
    assert app.ids() == []
    app.fail()
    out, _ = app.bridge("retry", "all")
    assert app.queued() == theirs
    assert len(theirs) == len(PAYLOADS) * (2 if app.redis else 1)
    assert app.ids() == []
    assert out.splitlines()[0] == "u7 is back in the queue high"


def test_ids_queues_and_ranges_choose_as_for_queue_retry(in_database: App) -> None:
    app = in_database
    app.fail()
    app.bridge("retry", "u2", "u2", "u4")
    assert app.ids() == ["u7", "u6", "u5", "u3", "u1"]
    app.bridge("retry", "--queue", "low")
    assert len(app.ids()) == 5
    app.bridge("retry", "--queue", "high")
    assert app.ids() == []
    assert len(app.queued()) == 7
    with app.engine.begin() as db:
        db.exec_driver_sql("delete from failed_jobs")
    assert "named" in app.bridge("retry", code=2)[1]
    assert "write it like 1-5" in app.bridge("retry", "--range", "1", code=2)[1]


def test_an_id_that_nothing_has_is_told_and_the_others_go_back(in_database: App) -> None:
    app = in_database
    app.fail()
    out, err = app.bridge("retry", "u1", "nonsense", "u2", code=1)
    assert out.splitlines() == ["u1 is back in the queue high", "u2 is back in the queue high"]
    assert "nonsense" in err
    assert len(app.queued()) == 2


def test_a_job_of_which_only_php_knows_stays_and_says_so(in_database: App) -> None:
    app = in_database
    app.fail()
    with app.engine.begin() as db:
        for id, text in (("u1", payload("u1", "Gone", command("Vendor\\Gone"))), ("u2", "no json")):
            db.execute(sa.text("update failed_jobs set payload = :p where uuid = :i"), {"p": text, "i": id})
    out, err = app.bridge("retry", "u1", "u2", code=1)
    assert (out, app.queued()) == ("", [])
    assert "php artisan queue:retry" in err.splitlines()[0]
    assert "not JSON" in err.splitlines()[1]
    assert {"u1", "u2"} <= set(app.ids())


def test_the_list_has_what_queue_failed_shows_and_the_reason(in_database: App) -> None:
    app = in_database
    app.fail()
    out, _ = app.bridge("list", "--json")
    ours = [json.loads(line) for line in out.splitlines()]
    table = [row.split("|") for row in app.laravel.artisan("queue:failed").splitlines() if row[:1] == "|"][1:]
    theirs = [[cell.strip() for cell in row[1:-1]] for row in table]
    assert [[one[key] for key in ("id", "connection", "queue", "failed_at")] for one in ours] == [
        [*row[:3], row[4]] for row in theirs
    ]
    assert [one["class"] for one in ours[:3]] == ["Some@thing", "App\\Jobs\\Patient", "App\\Jobs\\WriteLine"]
    assert {one["reason"] for one in ours} == {"Exception: it / broke in /app/x.php:3"}
    text, _ = app.bridge("list", "--queue", "high")
    assert "database@high  App\\Jobs\\Patient\n    Exception: it / broke" in text
    assert app.bridge("list", "--queue", "low")[0] == "no failed jobs\n"


def test_one_is_shown_whole_and_can_be_resolved(in_database: App) -> None:
    app = in_database
    app.fail()
    out, _ = app.bridge("show", "u1")
    assert "class       App\\Events\\X" in out
    assert out.endswith(REASON + "\n")
    row = json.loads(app.bridge("show", "u1", "--json")[0])
    assert (row["id"], row["payload"]) == ("u1", PAYLOADS["plain"])
    assert "no failed job has the id u99" in app.bridge("show", "u99", code=1)[1]


def test_forget_and_flush_do_as_laravels(in_database: App) -> None:
    app = in_database
    app.fail()
    app.bridge("forget", "u3")
    assert "u3" not in app.ids()
    app.bridge("forget", "u3", code=1)
    app.bridge("flush", "--hours", str(24 * 365 * 200))
    assert len(app.ids()) == 6
    app.bridge("flush")
    assert app.ids() == []


def test_a_driver_that_bridge_cannot_use_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / ".env").write_text("QUEUE_FAILED_DRIVER=dynamodb\n")
    assert main(["failed", "list", "--app", str(tmp_path)]) == 78
    assert "dynamodb" in capsys.readouterr().err


def test_the_file_is_changed_under_laravels_lock(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("QUEUE_FAILED_DRIVER=file\n")
    (tmp_path / "storage/framework/cache").mkdir(parents=True)
    file = tmp_path / "storage/framework/cache/failed-jobs.json"
    entry = {"id": "u1", "connection": "database", "queue": "default", "payload": "{}", "exception": "",
             "failed_at": "2024-05-17 14:00:00", "failed_at_timestamp": 1}  # fmt: skip
    file.write_text(json.dumps([entry]))
    failed = failed_jobs(load_settings({}, {}, tmp_path).laravel)
    assert failed.forget("u1")
    locks = tmp_path / "storage/framework/cache/data"
    assert json.loads(file.read_text()) == []
    assert [path for path in locks.rglob("*") if path.is_file()] == []
    assert any(locks.iterdir())
