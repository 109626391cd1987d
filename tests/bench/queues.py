"""What the queues cost: `python -m tests.bench.queues [--quick] [--only mariadb,redis]`.

For each driver, on a real server with durability off and a real payload per job:

    jobs/s, us/job           reserve and delete, 50 at once, on a backlog; CPU of this process, of the store
    idle                     statements per second, share of one core, here and in the store
    push → reserved          at idle, one job every 0.1 to 0.3 s; with 50,000 delayed broadcasts in the queue,
                             and with 50,000 waiting jobs that are none besides
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import random
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from bridge.jobs.queue.queue import Job, Queue
from bridge.jobs.queue.selection import broadcast_document
from tests import services
from tests.jobs.queue.stores import Clock, RedisStore, SqlStore, broadcast, foreign, recorded

BATCH = 50
BESIDE = 50_000


class WallClock(Clock):
    def __call__(self) -> float:
        return time.time()


@dataclass
class Bench:
    """A store, with what the operating system says of its server."""

    name: str
    store: SqlStore | RedisStore
    server_cpu: Callable[[], float]
    statements: Callable[[], int]


@contextlib.contextmanager
def sql_bench(name: str, database: services.Database, cpu: Callable[[], float]) -> Iterator[Bench]:
    store = SqlStore(database)
    store.clock = WallClock()
    count = itertools.count()
    seen = [0]

    def counted(*_: object) -> None:
        seen[0] = next(count) + 1

    sa.event.listen(store.engine, "after_cursor_execute", counted)
    yield Bench(name, store, cpu, lambda: seen[0])
    store.close()


@contextlib.contextmanager
def bench_of(name: str) -> Iterator[Bench]:
    match name:
        case "mariadb" | "postgres":
            start = services.mariadb if name == "mariadb" else services.postgres
            with (
                start() as sql,
                sql.database() as database,
                sql_bench(name, database, sql.cpu_seconds) as bench,
            ):
                yield bench
        case "sqlite":
            with (
                tempfile.TemporaryDirectory() as folder,
                services.sqlite(Path(folder)) as database,
                sql_bench(name, database, lambda: 0.0) as bench,
            ):
                yield bench
        case "redis":
            with services.redis_server() as server:
                store = RedisStore(server)
                store.clock = WallClock()

                def commands() -> int:
                    info: Any = store.client.info("stats")
                    return int(info["total_commands_processed"])

                yield Bench(name, store, server.cpu_seconds, commands)
                store.close()
        case _:
            raise SystemExit(f"no such driver: {name}")


def fill(bench: Bench, jobs: int) -> None:
    kind = "redis" if isinstance(bench.store, RedisStore) else "database"
    entries = [
        entry for row, entry in recorded(kind) if row["kind"] != "malformed" and broadcast_document(entry)
    ]
    if isinstance(bench.store, RedisStore):
        pipeline = bench.store.client.pipeline()
        for number, entry in zip(range(jobs), itertools.cycle(entries), strict=False):
            entry = entry.replace(b'"id":"', b'"id":"%d-' % number, 1)  # as unique as Laravel makes them
            pipeline.rpush("laravel_database_queues:default", entry)
            pipeline.rpush("laravel_database_queues:default:notify", b"1")
        pipeline.execute()
    else:
        bench.store.push_many(list(itertools.islice(itertools.cycle(entries), jobs)))


def throughput(bench: Bench, queue: Queue, jobs: int) -> None:
    fill(bench, jobs)
    done = 0
    wall, own, store = time.perf_counter(), time.process_time(), bench.server_cpu()
    while done < jobs:
        taken = queue.reserve(BATCH)
        assert queue.delete(taken) == len(taken) > 0
        done += len(taken)
    wall, own = time.perf_counter() - wall, time.process_time() - own
    store = bench.server_cpu() - store
    print(
        f"{bench.name:9} backlog    {jobs / wall:8.0f} jobs/s   {own / jobs * 1e6:6.0f} us/job here"
        f"   {store / jobs * 1e6:6.0f} us/job store"
    )


def idle(bench: Bench, queue: Queue, seconds: float) -> None:
    statements = bench.statements()
    wall, own, store = time.perf_counter(), time.process_time(), bench.server_cpu()
    while time.perf_counter() - wall < seconds:
        assert not queue.reserve(BATCH)
        queue.wait(1)
    wall, own = time.perf_counter() - wall, time.process_time() - own
    store, statements = bench.server_cpu() - store, bench.statements() - statements
    print(
        f"{bench.name:9} idle       {statements / wall:8.1f} statements/s   {own / wall * 100:.2f} % core"
        f" here   {store / wall * 100:.2f} % store"
    )


def fill_beside(bench: Bench, jobs: int, *, delayed: bool) -> None:
    """So many are in the queue that are not to be had: broadcasts that are delayed, or jobs that are none."""
    for at in range(0, jobs, 1000):
        payloads = [broadcast() if delayed else foreign() for _ in range(min(1000, jobs - at))]
        delay = 86_400 if delayed else 0
        if isinstance(bench.store, SqlStore):
            bench.store.push_many(payloads, delay=delay)
            continue
        pipeline = bench.store.client.pipeline()
        for payload in payloads:
            if delayed:
                pipeline.zadd("laravel_database_queues:default:delayed", {payload: time.time() + delay})
            else:
                pipeline.rpush("laravel_database_queues:default", payload)
                pipeline.rpush("laravel_database_queues:default:notify", b"1")
        pipeline.execute()


def latency(bench: Bench, queue: Queue, jobs: int, beside: str = "") -> None:
    pushed: dict[str, float] = {}
    payloads = [broadcast() for _ in range(jobs)]

    def push() -> None:
        for payload in payloads:
            time.sleep(random.uniform(0.1, 0.3))
            document = broadcast_document(payload)
            assert document is not None
            pushed[str(document["uuid"])] = time.perf_counter()
            bench.store.push(payload)

    pusher = threading.Thread(target=push)
    pusher.start()
    took: list[float] = []
    while len(took) < jobs:
        taken: list[Job] = list(queue.reserve(BATCH))
        now = time.perf_counter()
        took += [(now - pushed[job.uuid]) * 1000 for job in taken]
        if taken:
            queue.delete(taken)
        else:
            queue.wait(1)
    pusher.join()
    cuts = statistics.quantiles(took, n=100, method="inclusive")
    print(f"{bench.name:9} latency    p50 {cuts[49]:6.1f} ms   p99 {cuts[98]:6.1f} ms   {beside}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a tenth of the work")
    parser.add_argument("--only", default="mariadb,postgres,sqlite,redis", help="drivers, with commas")
    chosen = parser.parse_args()
    scale = 0.2 if chosen.quick else 1
    for name in chosen.only.split(","):
        with bench_of(name) as bench:
            queue = bench.store.queue()
            queue.check()
            throughput(bench, queue, int(5000 * scale))
            idle(bench, queue, 10 * scale)
            latency(bench, queue, int(100 * scale))
            for delayed in (True, False):
                fill_beside(bench, int(BESIDE * scale), delayed=delayed)
                while jobs := queue.reserve(BATCH):  # so that the first look at all is over
                    queue.delete(jobs)
                latency(bench, queue, int(100 * scale), f"beside {BESIDE * scale:,.0f} more")


if __name__ == "__main__":
    main()
