"""What it costs to find out what one queued event broadcasts: natively, by the PHP rung, by `queue:work`.

    python -m tests.bench.resolve [--quick]

The same recorded Laravel 8 jobs in one run, CPU only, start-up and first use left out:

native      the ladder's native rung in this process, reading the app's SQLite file where there is a model
php         the PHP rung: this process and the PHP process that it asks
queue:work  Laravel's own worker with the `null` broadcaster, out of Redis, its cheapest queue. It is started
            on the empty queue and stopped by SIGSTOP while the jobs are pushed. Taking and deleting a job is
            part of it: this is what a worker costs in which nothing else than resolving can be left out.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import os
import shutil
import signal
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import redis

from bridge.laravel.application import load
from bridge.laravel.payload import Payload, read_payload
from bridge.resolvers.helper import HelperRung
from bridge.rooms import build_ladder
from tests.bench.queue_work import cpu_seconds, settled
from tests.conformance.corpus import rows
from tests.end_to_end.processes import environment, running, wait_until
from tests.resolvers import helper_app
from tests.services import redis_server

RELEASE = "8.83"
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
    """CPU-µs for one job."""

    native: float
    php: float
    queue_work: float


def recorded(id: str) -> Payload:
    """The first entry of that id in the app on SQLite."""
    return next(read_payload(row.payload) for row in rows(RELEASE) if (row.id, row.app_db) == (id, "sqlite"))


def create_app(folder: Path, **env: str) -> Path:
    """The app of the recordings, with a console."""
    app = helper_app.create(folder, **env)
    (app / "app/Providers/TestServiceProvider.php").write_text(PROVIDER)
    shutil.copy(helper_app.FIXTURES / "laravel/artisan", app / "artisan")
    return app


def children() -> list[int]:
    """The processes that this one has started and that still live."""
    tasks = Path("/proc/self/task").iterdir()
    return [int(pid) for task in tasks for pid in (task / "children").read_text().split()]


def each(
    resolve: Callable[[Payload], object], payload: Payload, jobs: int, pids: Callable[[], list[int]]
) -> float:
    """CPU-µs a job, of this process and of `pids`; after a tenth as many for warming up."""
    for _ in range(max(20, jobs // 10)):
        resolve(payload)
    others = pids()
    began = time.process_time() + sum(map(cpu_seconds, others))
    for _ in range(jobs):
        resolve(payload)
    took = time.process_time() + sum(map(cpu_seconds, others)) - began
    assert pids() == others, "a PHP process was replaced amid the measurement"
    return took / jobs * 1e6


def by_rung(app: Path, rung: str, payload: Payload, jobs: int) -> float:
    before = children()
    with contextlib.closing(HelperRung(app, jobs=10 * jobs)) as php:
        ladder = build_ladder(load(app, {}, RELEASE), {}, only=(rung,), php=php)
        with contextlib.closing(ladder):
            answer = ladder.resolve(payload)
            assert answer.outcome == "broadcast", answer
            pids = (lambda: [pid for pid in children() if pid not in before]) if rung == "php" else list[int]
            return each(ladder.resolve, payload, jobs, pids)


@contextlib.contextmanager
def queue_work(app: Path, client: redis.Redis) -> Iterator[Callable[[Payload, int], float]]:
    """A running worker, as a function that gives it so many jobs: CPU-µs a job."""
    key = f"{PREFIX}queues:default"
    command = ["php", "artisan", "--no-ansi", "queue:work", "redis", "--sleep=0.02", "--memory=1024"]
    with running(command, cwd=app, log=app / "storage/logs/work.txt", env=environment()) as worker:

        def is_empty() -> bool:
            assert worker.poll() is None, (app / "storage/logs/work.txt").read_text()
            return not client.exists(key, f"{key}:reserved", f"{key}:delayed")

        def work(payload: Payload, jobs: int) -> float:
            texts = [
                json.dumps({**payload.document, "uuid": f"{n}", "id": f"{n}", "attempts": 0})
                for n in range(jobs)
            ]
            settled(worker.pid)
            os.kill(worker.pid, signal.SIGSTOP)
            client.rpush(key, *texts)
            began = cpu_seconds(worker.pid)
            os.kill(worker.pid, signal.SIGCONT)
            wait_until("the queue is empty", is_empty, timeout=300)
            return (cpu_seconds(worker.pid) - began) / jobs * 1e6

        yield work


def processed(app: Path) -> int:
    """Jobs that queue:work said it has finished well."""
    log = (app / "storage/logs/work.txt").read_text()
    assert "Failed" not in log, log[-2000:]
    return log.count("Processed:")


def measure(
    kind: Kind, folder: Path, client: redis.Redis, env: dict[str, str], *, jobs: int, rounds: int
) -> Costs:
    payload = recorded(kind.id)
    app = create_app(folder / kind.id)
    null = create_app(
        folder / f"{kind.id}-null", BROADCAST_CONNECTION="null", QUEUE_CONNECTION="redis", **env
    )
    native, php, worked = [], [], []
    with queue_work(null, client) as work:
        work(payload, max(20, jobs // 10))
        for _ in range(rounds):
            native.append(by_rung(app, "native", payload, jobs))
            php.append(by_rung(app, "php", payload, jobs))
            worked.append(work(payload, jobs))
        wait_until(
            "every job is told of",
            functools.partial(lambda n: processed(null) == n, max(20, jobs // 10) + rounds * jobs),
        )
    return Costs(
        native=statistics.median(native), php=statistics.median(php), queue_work=statistics.median(worked)
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a short run, for a first look")
    quick = parser.parse_args().quick
    jobs, rounds = (300, 1) if quick else (1500, 3)
    with (
        tempfile.TemporaryDirectory(prefix="bridge-bench-") as folder,
        redis_server() as server,
        contextlib.closing(server.client()) as client,
    ):
        env = {**server.env, "REDIS_PREFIX": PREFIX}
        print(f"CPU-us a job, Laravel {RELEASE}; {jobs} jobs, median of {rounds} runs in turn")
        print(
            f"{'event':10} {'native':>8} {'php':>8} {'queue:work':>11} {'php/native':>11} {'work/native':>12}"
        )
        for kind in KINDS:
            costs = measure(kind, Path(folder), client, env, jobs=jobs, rounds=rounds)
            ratio = costs.queue_work / costs.native
            verdict = "" if ratio >= kind.target else f"  BELOW the target of {kind.target:g}"
            print(
                f"{kind.label:10} {costs.native:8,.0f} {costs.php:8,.0f} {costs.queue_work:11,.0f}"
                f" {costs.php / costs.native:11.1f} {ratio:12.1f}{verdict}",
                flush=True,
            )


if __name__ == "__main__":
    main()
