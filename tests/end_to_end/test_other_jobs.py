"""Jobs that are no broadcasts: each ends as under `queue:work`, and none holds up a broadcast."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from tests import services
from tests.end_to_end.bridge import COMMAND, bridge_serve
from tests.end_to_end.laravel import Laravel
from tests.end_to_end.processes import environment, wait_until
from tests.end_to_end.stores import NOTHING, Left, Store, left_in_redis, open_store
from tests.end_to_end.wire import wire_client

PATIENCE = 120.0  # seconds; PHP boots anew after each job that ends it
RETRY_AFTER = 5  # seconds

CASES = (
    "batch", "chain", "closure", "listener", "mail", "notification", "encrypted", "unique", "overlap",
    "works", "works later:{\"delaySeconds\":1}", "deletes", "fails", "prints", "eats", "throws",
    "throws twice:{\"tries\":2}", "recovers:{\"tries\":2}", "releases:{\"tries\":2}",
    "throws too often:{\"tries\":5,\"maxExceptions\":2}",
    "hangs:{\"timeout\":1}", "hangs for good:{\"timeout\":1,\"tries\":3,\"failOnTimeout\":true}",
    "exits", "exits twice:{\"tries\":2}", "overflows", "killed", "works at last",
)  # fmt: skip

# The app writes a line for what Laravel's worker says of each job.
NOTES_EVENTS = r"""<?php
use App\Line;
use Illuminate\Queue\Jobs\{DatabaseJob, RedisJob};
use Illuminate\Support\Facades\Event;

foreach (['JobProcessing', 'JobProcessed', 'JobExceptionOccurred', 'JobFailed'] as $name) {
    Event::listen("Illuminate\\Queue\\Events\\{$name}", function ($event) use ($name): void {
        $job = $event->job;
        $driver = $job instanceof DatabaseJob ? 'database' : ($job instanceof RedisJob ? 'redis' : 'other');
        Line::write("{$name} {$job->resolveName()} {$job->attempts()} {$driver} {$job->getQueue()}");
    });
}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One of two apps that were the same when their jobs were queued."""

    app: Laravel
    engine: sa.Engine
    left: Callable[[], Left]

    def is_done(self) -> bool:
        return self.left() == NOTHING

    def ends(self) -> dict[str, Any]:
        """Everything that jobs leave behind, without what no two runs have in common."""
        with self.engine.connect() as connection:
            failed = connection.exec_driver_sql("select * from failed_jobs").mappings().all()
            batches = connection.exec_driver_sql(
                "select id, name, total_jobs, pending_jobs, failed_jobs, cancelled_at is null,"
                " finished_at is null from job_batches"
            )
            cache = self.app.path / "storage/framework/cache/data"
            log = (self.app.path / "storage/logs/laravel.log").read_text()
            return {
                "failed_jobs": sorted(
                    (
                        row["connection"],
                        row["queue"],
                        json.loads(row["payload"])["displayName"],
                        row["exception"].splitlines()[0].split(" in /")[0],
                    )
                    for row in failed
                ),
                "job_batches": [tuple(row) for row in batches],
                "lines": sorted(self.app.lines()),
                "cache": sorted(str(file.relative_to(cache)) for file in cache.rglob("*") if file.is_file()),
                "mails": sorted(line for line in log.splitlines() if line.startswith(("Subject:", "To:"))),
            }


@pytest.fixture
def sides(store: Store, app: Laravel, tmp_path: Path) -> Iterator[tuple[Side, Side]]:
    """The app, and a copy of it and of all that is in its stores."""
    with (app.path / ".env").open("a") as env:
        env.write(f"QUEUE_RETRY_AFTER={RETRY_AFTER}\n")
    (app.path / "storage/app/added.php").write_text(NOTES_EVENTS)
    app.artisan("dispatch:other", *CASES)
    source = Path(store.settings["DB_DATABASE"].strip('"'))
    database = tmp_path / "copy.sqlite"
    shutil.copy(source, database)
    copy = Laravel(path=tmp_path / "copy", port=services.free_port())
    shutil.copytree(app.path, copy.path)
    text = (copy.path / ".env").read_text().replace(str(source), str(database))
    engine = sa.create_engine(f"sqlite:///{database}")
    if store.connection == "redis":
        text = _copied_queue(text, store)
        left = lambda: _left_in_redis(store)  # noqa: E731
    else:
        left = lambda: _left_in_database(engine)  # noqa: E731
    (copy.path / ".env").write_text(text)
    yield (
        Side(app=app, engine=store.engine, left=store.left),
        Side(app=copy, engine=engine, left=left),
    )
    engine.dispose()


def _left_in_database(engine: sa.Engine) -> Left:
    with engine.connect() as connection:
        sql = "select count(*) - count(reserved_at), count(reserved_at) from jobs"
        waiting, reserved = connection.exec_driver_sql(sql).one()
    return Left(waiting=waiting, reserved=reserved)


def _client(store: Store) -> Any:
    import redis

    password = store.settings["REDIS_PASSWORD"].strip('"')
    return redis.Redis(port=int(store.settings["REDIS_PORT"]), password=password)


def _copied_queue(env: str, store: Store) -> str:
    prefix = store.settings["REDIS_PREFIX"]
    client = _client(store)
    for key in client.scan_iter(match=f"{prefix}*"):
        client.copy(key, f"{prefix}copy_".encode() + key.removeprefix(prefix.encode()))
    client.close()
    return env.replace(f"REDIS_PREFIX={prefix}", f"REDIS_PREFIX={prefix}copy_")


def _left_in_redis(store: Store) -> Left:
    with contextlib.closing(_client(store)) as client:
        return left_in_redis(client, f"{store.settings['REDIS_PREFIX']}copy_queues:default")


@pytest.fixture
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    folder = tmp_path / "store"
    folder.mkdir()
    with open_store(getattr(request, "param", "sqlite"), folder, request.getfixturevalue) as store:
        yield store


def workers_started(log: str) -> int:
    """PHP processes for other jobs, among those that the log tells of."""
    return len(re.findall(r"PHP process started .*script=\"worker\.php\"", log))


def other(app: Laravel, *names: str, count: int = 1) -> None:
    """Each case of App\\OtherCases is queued `count` times."""
    app.artisan("dispatch:other", *names, f"--count={count}")


@pytest.mark.parametrize("store", ["sqlite", "redis"], indirect=True)
def test_every_kind_of_job_ends_as_under_queue_work(sides: tuple[Side, Side]) -> None:
    theirs, ours = sides

    def worked_off() -> bool:
        # as a supervisor would: it is started again whenever a job has ended it
        command = ["php", "artisan", "queue:work", "--stop-when-empty", "--sleep=0.1"]
        with (theirs.app.path / "storage/logs/work.txt").open("ab") as log:
            subprocess.run(
                command, cwd=theirs.app.path, env=environment(), stdout=log, stderr=log, timeout=PATIENCE
            )
        return theirs.is_done()

    wait_until("queue:work is done", worked_off, timeout=PATIENCE)
    with bridge_serve(ours.app) as bridge:
        wait_until("bridge is done", ours.is_done, timeout=PATIENCE)
        assert bridge.terminate() == 0
    expected, got = theirs.ends(), ours.ends()
    assert got == expected
    assert len(got["failed_jobs"]) == 13
    assert "works at last done" in got["lines"]


@pytest.mark.parametrize("store", ["sqlite", "redis"], indirect=True)
def test_broadcasts_pass_by_jobs_that_are_slow(app: Laravel, store: Store, tag: str) -> None:
    other(app, "waits", "naps 100", "naps 100")
    with bridge_serve(app) as bridge, wire_client(bridge.port, "lines") as client:
        wait_until("a slow job is at work", lambda: "waits attempt 1" in app.lines())
        app.dispatch("line", tag=tag, count=50)
        wait_until("all broadcasts are received", lambda: len(client.events()) == 50)
        assert "waits done" not in app.lines()
        (app.path / "storage/app/go-on").touch()
        assert [json.loads(it.data)["number"] for it in client.events()] == list(range(1, 51))
        wait_until("the slow jobs are done", lambda: store.left() == NOTHING, timeout=PATIENCE)
        assert bridge.terminate() == 0
    assert [line for line in app.lines() if "done" in line] == ["waits done", *["naps 100 done"] * 2]


def test_several_workers_share_the_jobs(app: Laravel, store: Store) -> None:
    other(app, "naps 300", count=12)
    with bridge_serve(app, "--workers=3") as bridge:
        wait_until("all are done", lambda: store.left() == NOTHING, timeout=PATIENCE)
        assert bridge.terminate() == 0
        assert workers_started(bridge.log.read_text()) > 1
    assert app.lines().count("naps 300 done") == 12


def ended(app: Laravel, *flags: str) -> str:
    """What `bridge serve` wrote until it ended by itself, with 0."""
    address = ["--host=127.0.0.1", "--port=0"]
    done = subprocess.run(
        [*COMMAND, "serve", f"--app={app.path}", *address, *flags],
        cwd=app.path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


def test_it_ends_after_one_job_when_told_so(app: Laravel, store: Store) -> None:
    other(app, "works", count=3)
    ended(app, "--once")
    assert app.lines().count("works done") == 1
    assert store.left() == Left(waiting=2, reserved=0)


def test_it_ends_after_so_many_jobs(app: Laravel, store: Store, tag: str) -> None:
    other(app, "works", count=3)
    app.dispatch("line", tag=tag, count=3)
    ended(app, "--max-jobs=4")
    assert store.left() == Left(waiting=2, reserved=0)


def test_it_ends_when_there_is_nothing_left_also_of_what_jobs_queue(app: Laravel, store: Store) -> None:
    other(app, "chain", "works")
    ended(app, "--stop-when-empty")
    assert store.left() == NOTHING
    assert {"chained closure", "chain caught", "works done"} <= set(app.lines())


def test_it_ends_at_once_on_an_empty_queue_when_told_so(app: Laravel, store: Store) -> None:
    ended(app, "--once")
    ended(app, "--stop-when-empty", "--workers=2")
    assert store.left() == NOTHING


def test_it_ends_after_so_many_seconds(app: Laravel) -> None:
    ended(app, "--max-time=1")


def test_tries_and_backoff_count_for_jobs_that_say_none(app: Laravel, store: Store) -> None:
    other(app, "throws")
    log = ended(app, "--stop-when-empty", "--tries=3")
    assert [line for line in app.lines() if "attempt" in line] == [
        f"throws attempt {n}" for n in (1, 2, 3)
    ], log
    other(app, "throws")
    ended(app, "--stop-when-empty", "--tries=2", "--backoff=3600")
    assert store.left() == Left(waiting=1, reserved=0)
    assert store.failed() == 1
    [line] = [line for line in log.splitlines() if " error job failed " in line]
    assert re.search(r'why="RuntimeException at \S+/app/Jobs/Behaving\.php:\d+"', line), line
    assert "it throws" not in log


def test_only_the_jobs_named_are_run(app: Laravel, store: Store) -> None:
    other(app, "works", "encrypted", 'works:{"onQueue":"mails"}')
    flags = ["--other-jobs=App\\Jobs\\Hidden,mails", "--queue=default,mails", "--stop-when-empty"]
    log = ended(app, *flags)
    assert [line for line in app.lines() if "done" in line] == ["works encrypted done", "works done"], log
    assert store.left() == Left(waiting=1, reserved=0)


@pytest.mark.parametrize("store", ["sqlite", "redis"], indirect=True)
def test_what_is_no_job_goes_to_failed_jobs_and_others_go_on(app: Laravel, store: Store) -> None:
    """Laravel drops the first four without a word. The last two it fails itself."""
    whole = '{"uuid":"u-%d","displayName":"X","job":%s,"data":{},"attempts":0,"id":"x%d"}'
    damaged = ["garbage", "[]", '{"uuid":"u-1","attempts":0}', (whole % (2, '"Gone"', 2))[:-9]]
    named = [whole % (3, "5", 3), whole % (4, '"App\\\\Gone@handle"', 4)]
    store.push([*damaged, *named])
    other(app, "works")
    log = ended(app, "--stop-when-empty")
    assert store.left() == NOTHING, log
    assert app.lines().count("works done") == 1
    kept = sorted(store.failed_payloads())
    assert [text for text in kept if text in damaged] == sorted(damaged)
    assert len(kept) == len(damaged) + len(named), log
    with store.engine.connect() as connection:
        why = connection.exec_driver_sql("select exception from failed_jobs where payload = 'garbage'")
        assert why.scalar_one().startswith("bridge.errors.Unreadable: the payload is no JSON")


def test_without_php_other_jobs_are_left_and_the_start_says_so(app: Laravel, store: Store) -> None:
    other(app, "works")
    (app.path / "bridge.toml").write_text('php_binary = ""\n')
    assert "jobs that are no broadcasts are left in the queue" in ended(app, "--stop-when-empty")
    assert store.left() == Left(waiting=1, reserved=0)


def test_a_process_that_uses_much_memory_is_replaced_after_its_job(app: Laravel, store: Store) -> None:
    other(app, "works", "eats", "works")
    log = ended(app, "--stop-when-empty")
    assert workers_started(log) == 2
    assert app.lines().count("works done") == 2
    assert store.failed() == 0


def test_a_transaction_left_open_takes_no_other_job_with_it(app: Laravel, store: Store) -> None:
    other(app, "opens", "works", "throws")
    ended(app, "--stop-when-empty")
    assert store.left() == NOTHING
    assert store.failed() == 1
    with store.engine.connect() as connection:
        name = connection.exec_driver_sql("select name from users where id = 1").scalar_one()
    assert name == "Ann"


def test_the_queue_is_not_written_to_in_the_middle_of_a_jobs_transaction(app: Laravel, store: Store) -> None:
    other(app, "counts", "broadcasts", count=8)  # SQLite would end the transaction at once
    log = ended(app, "--stop-when-empty")
    assert store.left() == NOTHING
    assert store.failed() == 0, log
    assert app.lines().count("counts done") == app.lines().count("broadcasts done") == 8


def test_what_a_job_prints_goes_into_the_log(app: Laravel, store: Store) -> None:
    other(app, "prints")
    log = ended(app, "--stop-when-empty")
    assert "a job printed" in log
    assert "garbage" in log
    assert "printed_bytes=9524" in log  # to the last, which stood in a buffer
    assert app.lines().count("prints done") == 1


def test_changed_code_and_queue_restart_bring_a_new_process(app: Laravel, store: Store) -> None:
    source = app.path / "app/Jobs/Behaving.php"

    def run(*names: str) -> int:
        other(app, *names)
        wait_until("it is done", lambda: store.left() == NOTHING, timeout=PATIENCE)
        return started()

    def started() -> int:
        return workers_started(bridge.log.read_text())

    with bridge_serve(app) as bridge:
        run("works")
        wait_until("its process is told of", lambda: started() == 1)  # a thread writes the log
        source.write_text(source.read_text().replace("attempt {$this->attempts()}", "anew"))
        wait_until("the change is seen", lambda: run("works") == 2)  # it is looked for once a second
        assert "works anew" in app.lines()
        app.artisan("queue:restart")
        wait_until("it is read anew", lambda: "are read anew" in bridge.log.read_text())
        run("works")
        wait_until(
            "another is told of", lambda: started() >= 3
        )  # one more where Laravel's worker saw the restart before bridge did
        assert bridge.terminate() == 0


def test_a_stop_waits_for_the_job_at_work(app: Laravel, store: Store) -> None:
    other(app, "waits", "works")
    with bridge_serve(app) as bridge:
        wait_until("it is at work", lambda: "waits attempt 1" in app.lines())
        bridge.process.send_signal(signal.SIGTERM)
        wait_until("it stops", lambda: "stopping" in bridge.log.read_text())
        (app.path / "storage/app/go-on").touch()
        assert bridge.process.wait(timeout=PATIENCE) == 0
    assert "waits done" in app.lines()
    assert store.left() == Left(waiting=1, reserved=0)


def test_broadcasts_go_on_while_a_stop_waits_for_a_job(app: Laravel, store: Store, tag: str) -> None:
    (app.path / "bridge.toml").write_text("drain_jobs_seconds = 60")
    other(app, "waits", "works")
    with bridge_serve(app) as bridge, wire_client(bridge.port, "lines") as client:
        wait_until("it is at work", lambda: "waits attempt 1" in app.lines())
        bridge.process.send_signal(signal.SIGTERM)
        wait_until("it stops", lambda: "stopping" in bridge.log.read_text())
        ready = httpx.get(f"http://127.0.0.1:{bridge.port}/ready", timeout=PATIENCE)
        assert (ready.status_code, ready.json()["draining"]) == (503, True)
        assert httpx.get(f"http://127.0.0.1:{bridge.port}/up", timeout=PATIENCE).status_code == 200
        app.dispatch("line", tag=tag)
        wait_until("the broadcast is received", lambda: len(client.events()) == 1)
        assert "waits done" not in app.lines()
        (app.path / "storage/app/go-on").touch()
        assert bridge.process.wait(timeout=PATIENCE) == 0
    assert "waits done" in app.lines()
    assert store.left() == Left(waiting=1, reserved=0)


def test_the_dashboard_tells_what_became_of_each(app: Laravel) -> None:
    (app.path / "bridge.toml").write_text('dashboard_password = "see"')
    other(app, "works", 'throws twice:{"tries":2}', "exits")
    with (
        bridge_serve(app) as bridge,
        httpx.Client(base_url=f"http://127.0.0.1:{bridge.port}", timeout=PATIENCE) as person,
    ):
        assert person.post("/laravel-websockets/login", json={"password": "see"}).status_code == 200

        def told() -> set[tuple[str, str]]:
            with person.stream("GET", "/laravel-websockets/api/feed") as frames:
                first = next(line for line in frames.iter_lines() if line.startswith("data:"))
            rows = json.loads(first.removeprefix("data:"))["rows"]
            return {(row["event"], row["text"]) for row in rows if "uuid" in row}

        ends = ("other job done", "other job failed", "other job is tried later")
        expected = {("App\\Jobs\\Behaving", end) for end in ends}
        wait_until("each is told", lambda: told() == expected, timeout=PATIENCE)


def test_a_stop_that_cannot_wait_counts_as_an_attempt(app: Laravel, store: Store) -> None:
    (app.path / "bridge.toml").write_text("drain_jobs_seconds = 3")
    other(app, 'hangs:{"tries":5}')
    with bridge_serve(app) as bridge:
        wait_until("it is at work", lambda: "hangs attempt 1" in app.lines())
        assert bridge.terminate() == 0
    assert store.left() == Left(waiting=1, reserved=0)
    with bridge_serve(app, name="again") as bridge:
        wait_until("it is at work again", lambda: "hangs attempt 2" in app.lines())
        assert bridge.terminate() == 0
