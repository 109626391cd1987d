"""bridge against Laravel's own `queue:work` on the same queue, and the way of one event at idle.

    python -m tests.bench.queue_work [--quick]

Rate: both workers, one process each, in turn in the same run, take the same jobs, queued by Laravel, out of
the same Redis and the same MariaDB. Each is started on the empty queue, stopped by SIGSTOP while the jobs are
queued, and timed from SIGCONT until the queue is empty: starting up counts for neither. queue:work runs as in
production but with the `null` broadcaster, so that it sends nothing; bridge has no subscriber. CPU is that of
the worker itself; the store's stands beside it.

Latency: a job is pushed as Laravel pushes it, every 0.1 s or so, into an idle queue; timed from before the
push until a subscribed WebSocket client of `bridge serve` has read the message.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import redis
import sqlalchemy

from tests import services
from tests.end_to_end.bridge import bridge_serve
from tests.end_to_end.laravel import Laravel
from tests.end_to_end.processes import wait_until
from tests.end_to_end.stores import NOTHING, STORES, Store, StoreName, open_store
from tests.end_to_end.wire import wire_client
from tests.services import free_port

TARGET = 5.0  # times the jobs per second of queue:work


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One worker emptying one queue: jobs per second; CPU of the worker and of the store, µs per job."""

    rate: float
    worker: float
    store: float


def median(runs: Sequence[Run]) -> Run:
    return Run(
        rate=statistics.median(run.rate for run in runs),
        worker=statistics.median(run.worker for run in runs),
        store=statistics.median(run.store for run in runs),
    )


def cpu_seconds(pid: int) -> float:
    """Time on a CPU of all threads of the process that live now."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


def settled(pid: int) -> None:
    """The worker has started up: it has used hardly any CPU for half a second."""
    before = cpu_seconds(pid)
    while True:
        time.sleep(0.5)
        now = cpu_seconds(pid)
        if now - before < 0.1:
            return
        before = now


def drained(
    worker: subprocess.Popen[str], app: Laravel, store: Store, server: services.Server, jobs: int
) -> Run:
    """The running worker has emptied a queue of so many events."""
    settled(worker.pid)
    os.kill(worker.pid, signal.SIGSTOP)
    app.dispatch("line", tag="bench", count=jobs)
    cpu, store_cpu = cpu_seconds(worker.pid), server.cpu_seconds()
    began = time.monotonic()
    os.kill(worker.pid, signal.SIGCONT)
    wait_until("the queue is empty", lambda: store.left() == NOTHING, timeout=300)
    took = time.monotonic() - began
    cpu, store_cpu = cpu_seconds(worker.pid) - cpu, server.cpu_seconds() - store_cpu
    assert store.failed() == 0
    return Run(rate=jobs / took, worker=cpu / jobs * 1e6, store=store_cpu / jobs * 1e6)


def rates(name: StoreName, server: services.Server, folder: Path, *, jobs: int, rounds: int) -> None:
    """Prints how fast queue:work and bridge are on this store."""
    folder.mkdir()
    with open_store(name, folder, lambda _: server) as store:
        null = Laravel.create(folder / "null", {**store.settings, "BROADCAST_DRIVER": "null"})
        app = Laravel.create(folder / "app", store.settings, port=free_port())
        php, ours = [], []
        for _ in range(rounds):
            # an idle queue:work looks often here, so that it does not sleep into the timed part
            with null.queue_work("--sleep=0.02") as worker:
                php.append(drained(worker, null, store, server, jobs))
            with bridge_serve(app) as bridge:
                ours.append(drained(bridge.process, app, store, server, jobs))
    peer, mine = median(php), median(ours)
    for label, run in (("queue:work", peer), ("bridge", mine)):
        print(f"{name:9} {label:11} {run.rate:10,.0f} {run.worker:14,.0f} {run.store:14,.0f}", flush=True)
    ratio = mine.rate / peer.rate
    verdict = "" if ratio >= TARGET else f"  BELOW the target of {TARGET:g}"
    print(f"{name:9} {'ratio':11} {ratio:10.1f} {mine.worker / peer.worker:14.2f}{verdict}", flush=True)


@contextlib.contextmanager
def pusher(app: Laravel, store: Store) -> Iterator[Callable[[int], None]]:
    """A function that pushes the event with that number as Laravel does: a payload that Laravel wrote."""
    mark = "bench-000000"
    app.dispatch("line", tag=mark)
    if store.connection == "redis":
        client = redis.Redis(
            port=int(store.settings["REDIS_PORT"]), password=store.settings["REDIS_PASSWORD"].strip('"')
        )
        key = f"{store.settings['REDIS_PREFIX']}queues:default"
        text = client.lpop(key)
        assert isinstance(text, bytes)
        client.delete(f"{key}:notify")

        def push_redis(number: int) -> None:
            payload = json.loads(text.replace(mark.encode(), b"bench-%06d" % number))
            with client.pipeline(transaction=True) as pipeline:
                pipeline.rpush(key, json.dumps(payload | {"id": f"{number:032}"}))
                pipeline.rpush(f"{key}:notify", "1")
                pipeline.execute()

        yield push_redis
        client.close()
    else:
        with store.engine.begin() as connection:
            row = connection.exec_driver_sql("select payload from jobs").scalar_one()
            connection.exec_driver_sql("delete from jobs")
        insert = sqlalchemy.text(
            "insert into jobs (queue, payload, attempts, reserved_at, available_at, created_at)"
            " values ('default', :payload, 0, null, :now, :now)"
        )

        def push_sql(number: int) -> None:
            payload = row.replace(mark, f"bench-{number:06}")
            with store.engine.begin() as connection:
                connection.execute(insert, {"payload": payload, "now": int(time.time())})

        yield push_sql


def latency(name: StoreName, server: Callable[[str], object], folder: Path, *, pushes: int) -> None:
    """Prints how long a pushed event takes to reach a client."""
    folder.mkdir()
    with open_store(name, folder, server) as store:
        app = Laravel.create(folder / "app", store.settings)
        with (
            pusher(app, store) as push,
            bridge_serve(app) as bridge,
            wire_client(bridge.port, "lines") as client,
        ):
            settled(bridge.process.pid)
            pushed = []
            for number in range(pushes):
                time.sleep(random.uniform(0.05, 0.15))  # no step in time with the poll
                pushed.append(time.monotonic())
                push(number)
            wait_until("all are received", lambda: len(client.events()) >= pushes)
            at = {int(json.loads(it.data)["tag"].removeprefix("bench-")): it.at for it in client.events()}
    times = sorted((at[number] - pushed[number]) * 1000 for number in range(pushes))
    p99 = times[min(len(times) - 1, round(0.99 * len(times)))]
    print(f"{name:9} {statistics.median(times):10.1f} {p99:10.1f} {times[-1]:10.1f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a short run, for a first look")
    quick = parser.parse_args().quick
    jobs, rounds, pushes = (500, 1, 10) if quick else (3000, 3, 40)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bridge-bench-")))
        servers = {
            "redis_server": stack.enter_context(services.redis_server()),
            "mariadb": stack.enter_context(services.mariadb()),
            "postgres": stack.enter_context(services.postgres()),
        }
        print(f"{jobs} BroadcastEvent jobs, median of {rounds} runs in turn")
        print(f"{'store':9} {'worker':11} {'jobs/s':>10} {'CPU-us/job':>14} {'of the store':>14}")
        rates("redis", servers["redis_server"], folder / "rate-redis", jobs=jobs, rounds=rounds)
        rates("mariadb", servers["mariadb"], folder / "rate-mariadb", jobs=jobs, rounds=rounds)
        print(f"\npush to received at idle, ms, {pushes} pushes")
        print(f"{'store':9} {'p50':>10} {'p99':>10} {'worst':>10}")
        for name in STORES:
            latency(name, servers.__getitem__, folder / f"latency-{name}", pushes=pushes)


if __name__ == "__main__":
    main()
