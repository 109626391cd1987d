"""What it costs to find out what one queued event broadcasts: natively, by the PHP rung, by `queue:work`.

    python -m tests.bench.resolve [--quick]

The same recorded Laravel 8 jobs, all ways in turn in one run, medians. CPU time of the processes that do the
work, children included, never that of Redis or MariaDB; start-up and first use left out.

native   the text of the job → what is sent: JSON, the ladder and its native rung in this process, reading the
         app's SQLite file where there is a model
batch    the same for fifty jobs at once, as the worker takes them: each has a model of its own, and related
         models in common
php      the same by the PHP rung: this process and the PHP process that it asks
redis    Laravel's own `queue:work` with the `null` broadcaster, out of Redis, its cheapest queue
jobs     and out of a `jobs` table on MariaDB, the queue that a new app has

Taking and deleting a job is part of the last two: this is what a worker costs in which nothing else than
resolving can be left out. The last columns say how many times as much as native they take, one by one and in
batches; the target is judged by batches, the worker's own way.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import redis
import sqlalchemy

from bridge.jobs.resolve.rungs.php import PhpPool, PhpRung
from bridge.laravel.application import load
from bridge.laravel.payload import read_payload
from bridge.serve.wiring.ladder import build_ladder
from tests import services
from tests.bench.workers import cpu_seconds, wait_until_idle
from tests.conformance.corpus import rows
from tests.end_to_end.processes import environment, running, wait_until
from tests.jobs.resolve import recorded_app

RELEASE = "8.83"
BATCH = 50  # jobs that the worker takes at once
MESSAGE = rb"s:2:\"id\";i:7;"  # the identifier of the model that the recorded jobs hold
FIRST_COPY = 1001
WARM = 200  # jobs before the first that counts
JOBS_CONNECTION = """
        'jobs' => [
            'driver' => 'mysql', 'host' => env('JOBS_DB_HOST'), 'port' => env('JOBS_DB_PORT'),
            'database' => env('JOBS_DB_DATABASE'), 'username' => env('JOBS_DB_USERNAME'),
            'password' => env('JOBS_DB_PASSWORD'), 'charset' => 'utf8mb4',
            'collation' => 'utf8mb4_unicode_ci', 'prefix' => '', 'strict' => true,
        ],"""
PREFIX = "bench_"
# The console's commands; and nothing that stops the clock or changes every event.
PROVIDER = """<?php namespace App\\Providers;
class TestServiceProvider extends \\Illuminate\\Support\\AggregateServiceProvider
{
    protected $providers = [\\Illuminate\\Foundation\\Providers\\ConsoleSupportServiceProvider::class];
}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A recorded job by its id; `target`: how many times less CPU native takes than queue:work."""

    label: str
    id: str
    target: float


KINDS = (
    Kind(label="literal", id="scalar-seed", target=10),
    Kind(label="code", id="shape-with-literal", target=10),
    Kind(label="model", id="model-message", target=3),
    Kind(label="relations", id="model-relations", target=3),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """CPU-µs for one job; `redis` and `jobs` of queue:work."""

    native: float
    batch: float
    php: float
    redis: float
    jobs: float


def recorded(id: str) -> bytes:
    """The first entry of that id in the app on SQLite."""
    return next(row.payload for row in rows(RELEASE) if (row.id, row.app_db) == (id, "sqlite"))


def create_app(folder: Path, **env: str) -> Path:
    """The app of the recordings, with a console."""
    app = recorded_app.create(folder, **env)
    (app / "app/Providers/TestServiceProvider.php").write_text(PROVIDER)
    shutil.copy(recorded_app.FIXTURES / "laravel/artisan", app / "artisan")
    return app


def children() -> list[int]:
    """The processes that this one has started and that still live."""
    tasks = Path("/proc/self/task").iterdir()
    return [int(pid) for task in tasks for pid in (task / "children").read_text().split()]


Way = Callable[[int], float]  # one way to work off so many jobs → CPU-µs a job


@contextlib.contextmanager
def rung(app: Path, name: str, text: bytes) -> Iterator[Way]:
    """The ladder with that rung only, warm."""
    before = children()
    with contextlib.closing(PhpRung(app, pool=PhpPool(jobs=1_000_000))) as php:
        ladder = build_ladder(load(app, {}, RELEASE), {}, only=(name,), php=php)
        with contextlib.closing(ladder):
            for _ in range(WARM):
                answer = ladder.resolve(read_payload(text))
                assert answer.outcome == "broadcast", answer
            helpers = [pid for pid in children() if pid not in before]

            def work(jobs: int) -> float:
                began = time.process_time() + sum(map(cpu_seconds, helpers))
                for _ in range(jobs):
                    ladder.resolve(read_payload(text))
                return (time.process_time() + sum(map(cpu_seconds, helpers)) - began) / jobs * 1e6

            yield work


def with_other_models(text: bytes, app: Path) -> list[bytes]:
    """The job BATCH times, each with a message of its own: copies of that which it holds, with its tags."""
    if MESSAGE not in text:
        return [text] * BATCH
    ids = range(FIRST_COPY, FIRST_COPY + BATCH)
    with contextlib.closing(sqlite3.connect(app / "app.sqlite")) as database, database:
        names = [row[1] for row in database.execute("pragma table_info(messages)")]
        rest = ", ".join(name for name in names if name != "id")
        for id in ids:
            database.execute(
                f"insert into messages (id, {rest}) select {id}, {rest} from messages where id = 7"
            )
            database.execute(
                f"insert into message_tag select {id}, tag_id, weight from message_tag where message_id = 7"
            )
    return [text.replace(MESSAGE, MESSAGE.replace(b"7", b"%d" % id)) for id in ids]


@contextlib.contextmanager
def batches(app: Path, text: bytes) -> Iterator[Way]:
    """The native rung, warm, in batches; so many jobs rounded up to whole ones."""
    texts = with_other_models(text, app)
    with contextlib.closing(build_ladder(load(app, {}, RELEASE), {}, only=("native",))) as ladder:

        def resolve() -> None:
            for attempt in ladder.batch([json.loads(text) for text in texts]):
                assert attempt().outcome == "broadcast"

        def work(jobs: int) -> float:
            count = -(-jobs // BATCH)
            began = time.process_time()
            for _ in range(count):
                resolve()
            return (time.process_time() - began) / (count * BATCH) * 1e6

        work(WARM)
        yield work


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """A queue of Laravel's: `name` in config/queue.php."""

    name: str
    push: Callable[[Sequence[str]], object]
    is_empty: Callable[[], bool]


def redis_queue(client: redis.Redis, prefix: str = PREFIX) -> Queue:
    key = f"{prefix}queues:default"
    return Queue(
        name="redis",
        push=lambda texts: client.rpush(key, *texts),
        is_empty=lambda: not client.exists(key, f"{key}:reserved", f"{key}:delayed"),
    )


def jobs_table(engine: sqlalchemy.Engine) -> Queue:
    insert = sqlalchemy.text(
        "insert into jobs (queue, payload, attempts, reserved_at, available_at, created_at)"
        " values ('default', :payload, 0, null, :now, :now)"
    )

    def push(texts: Sequence[str]) -> None:
        now = int(time.time())
        with engine.begin() as connection:
            connection.execute(insert, [{"payload": text, "now": now} for text in texts])

    def is_empty() -> bool:
        with engine.connect() as connection:
            return not connection.exec_driver_sql("select count(*) from jobs").scalar_one()

    return Queue(name="database", push=push, is_empty=is_empty)


@contextlib.contextmanager
def queue_work(app: Path, queue: Queue, text: bytes) -> Iterator[Way]:
    """A `queue:work`, warm. Idle it looks once a second, which does not tell."""
    log = app / f"storage/logs/work-{queue.name}.txt"
    command = ["php", "artisan", "--no-ansi", "queue:work", queue.name, "--sleep=1", "--memory=1024"]
    log.unlink(missing_ok=True)  # of a worker before
    document, given = json.loads(text), 0
    with running(command, cwd=app, log=log, env=environment()) as process:

        def is_done() -> bool:
            assert process.poll() is None, log.read_text()
            told = log.read_text()
            assert "Failed" not in told, told[-2000:]
            return queue.is_empty() and told.count("Processed:") == given

        def work(jobs: int) -> float:
            nonlocal given
            given += jobs
            texts = [
                json.dumps({**document, "uuid": f"{n}", "id": f"{n}", "attempts": 0}) for n in range(jobs)
            ]
            began = cpu_seconds(process.pid)
            queue.push(texts)
            wait_until("the queue is empty", is_done, timeout=300)
            return (cpu_seconds(process.pid) - began) / jobs * 1e6

        work(WARM)
        wait_until_idle(process.pid)
        yield work


def create_worker_app(folder: Path, env: Mapping[str, str], jobs: Mapping[str, str]) -> Path:
    """The app with the `null` broadcaster; its `database` queue lies on the server of `jobs` (.env lines)."""
    app = create_app(folder, BROADCAST_CONNECTION="null", **env, **{f"JOBS_{k}": v for k, v in jobs.items()})
    for name, before, after in (
        ("queue", "'driver' => 'database',", "'driver' => 'database', 'connection' => 'jobs',"),
        ("database", "'connections' => [", f"'connections' => [{JOBS_CONNECTION}"),
    ):
        config = app / f"config/{name}.php"
        text = config.read_text()
        assert before in text
        config.write_text(text.replace(before, after, 1))
    return app


def measure(
    kind: Kind, folder: Path, queues: Sequence[Queue], null: Path, *, jobs: int, rounds: int
) -> Costs:
    text = recorded(kind.id)
    app = create_app(folder / kind.id)
    with contextlib.ExitStack() as stack:
        ways = [
            stack.enter_context(rung(app, "native", text)),
            stack.enter_context(batches(app, text)),
            stack.enter_context(rung(app, "php", text)),
        ]
        ways += [stack.enter_context(queue_work(null, queue, text)) for queue in queues]
        runs = [[way(jobs) for way in ways] for _ in range(rounds)]
    native, batch, php, out_of_redis, out_of_jobs = map(statistics.median, zip(*runs, strict=True))
    return Costs(native=native, batch=batch, php=php, redis=out_of_redis, jobs=out_of_jobs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a short run, for a first look")
    quick = parser.parse_args().quick
    jobs, rounds = (200, 5) if quick else (500, 15)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bridge-bench-")))
        server = stack.enter_context(services.redis_server())
        client = stack.enter_context(contextlib.closing(server.client()))
        database = stack.enter_context(stack.enter_context(services.mariadb()).database())
        engine = database.engine()
        stack.callback(engine.dispose)
        queues = (redis_queue(client), jobs_table(engine))
        env = {**server.env, "REDIS_PREFIX": PREFIX}
        print(f"CPU-us a job, Laravel {RELEASE}; {jobs} jobs, median of {rounds} runs in turn")
        print(
            f"{'':10} {'native':>8} {'batch':>8} {'php':>8} {'queue:work out of':>19}   {'times native':>20}"
            f"   {'times batch':>13}"
        )
        print(
            f"{'event':10} {'':8} {'':8} {'':8} {'redis':>9} {'jobs':>9}"
            f"   {'php':>6} {'redis':>6} {'jobs':>6}   {'redis':>6} {'jobs':>6}"
        )
        for kind in KINDS:
            null = create_worker_app(folder / f"{kind.id}-null", env, database.env)
            costs = measure(kind, folder, queues, null, jobs=jobs, rounds=rounds)
            php, cheap, usual = (n / costs.native for n in (costs.php, costs.redis, costs.jobs))
            in_batches = [n / costs.batch for n in (costs.redis, costs.jobs)]
            verdict = "" if min(in_batches) >= kind.target else f"  BELOW the target of {kind.target:g}"
            print(
                f"{kind.label:10} {costs.native:8,.0f} {costs.batch:8,.0f} {costs.php:8,.0f}"
                f" {costs.redis:9,.0f} {costs.jobs:9,.0f}   {php:6.1f} {cheap:6.1f} {usual:6.1f}"
                f"   {in_batches[0]:6.1f} {in_batches[1]:6.1f}{verdict}",
                flush=True,
            )


if __name__ == "__main__":
    main()
