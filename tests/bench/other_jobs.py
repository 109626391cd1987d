"""Jobs that are no broadcasts: bridge with one PHP worker against `queue:work` and `queue:listen`.

    python -m tests.bench.other_jobs [--quick]

Rate: each in turn, in the same run, takes the same trivial jobs, queued by Laravel, out of the same store.
Each is started on the empty queue, has booted its PHP for one job, is stopped by SIGSTOP while the jobs are
queued, and timed from SIGCONT until the queue is empty. CPU is that of the worker with its children; bridge's
is that of bridge and of its PHP. `queue:listen` boots PHP for each job, and gets a hundredth of the jobs.

Latency: broadcasts pushed one after another into a queue in which 50 jobs sleep for a second each, against
the same into an empty queue; from before the push until a client of `bridge serve` has read the message.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests import services
from tests.bench.workers import drained, listening, quantiles, reached
from tests.end_to_end.bridge import bridge_serve
from tests.end_to_end.laravel import Laravel
from tests.end_to_end.processes import environment, running, wait_until
from tests.end_to_end.stores import NOTHING, Store, StoreName, open_store

SLEEPING = 50  # jobs
TARGET = 1.0  # times the jobs per second of queue:work


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Jobs per second; µs of CPU per job."""

    rate: float
    cpu: float


def run(pid: int, app: Laravel, store: Store, jobs: int) -> Run:
    """The running worker has emptied a queue of so many jobs."""
    app.artisan("dispatch:other", "rests")
    wait_until("it has booted", lambda: store.left() == NOTHING, timeout=120)
    took = drained(pid, store, lambda: app.artisan("dispatch:other", "rests", f"--count={jobs}"))
    return Run(rate=jobs / took.seconds, cpu=took.cpu / jobs * 1e6)


@contextlib.contextmanager
def listen(app: Laravel) -> Iterator[int]:
    command = ["php", "artisan", "queue:listen", "--sleep=0"]
    with running(
        command, cwd=app.path, log=app.path / "storage/logs/listen.txt", env=environment()
    ) as process:
        yield process.pid


@contextlib.contextmanager
def work(app: Laravel) -> Iterator[int]:
    # an idle queue:work looks often here, so that it does not sleep into the timed part
    with app.queue_work("--sleep=0.02") as process:
        yield process.pid


@contextlib.contextmanager
def bridge(app: Laravel) -> Iterator[int]:
    with bridge_serve(app) as serving:
        yield serving.process.pid


WORKERS: dict[str, Callable[[Laravel], contextlib.AbstractContextManager[int]]] = {
    "queue:work": work,
    "queue:listen": listen,
    "bridge": bridge,
}


def rates(name: StoreName, server: object, folder: Path, *, jobs: int, rounds: int) -> None:
    """Prints how fast each is on this store."""
    folder.mkdir()
    with open_store(name, folder, lambda _: server) as store:
        app = Laravel.create(folder / "app", store.settings)
        runs: dict[str, list[Run]] = {worker: [] for worker in WORKERS}
        for _ in range(rounds):
            for worker, started in WORKERS.items():
                share = max(5, jobs // 100) if worker == "queue:listen" else jobs
                with started(app) as pid:
                    runs[worker].append(run(pid, app, store, share))
    rate = {worker: statistics.median(one.rate for one in of) for worker, of in runs.items()}
    for worker, of in runs.items():
        cpu = statistics.median(one.cpu for one in of)
        ratio = rate["bridge"] / rate[worker]
        verdict = f"  BELOW {TARGET:g}" if worker == "queue:work" and ratio < TARGET else ""
        print(f"{name:9} {worker:13} {rate[worker]:10,.0f} {cpu:12,.0f} {ratio:10.2f}{verdict}", flush=True)


def latency(name: StoreName, server: object, folder: Path, *, pushes: int, sleeping: bool) -> None:
    """Prints how long a broadcast takes to reach a client."""
    folder.mkdir()
    with open_store(name, folder, lambda _: server) as store:
        app = Laravel.create(folder / "app", store.settings)
        with listening(app, store) as (push, client):
            if sleeping:
                app.artisan("dispatch:other", "naps 1000", f"--count={SLEEPING}")
                wait_until("one sleeps", lambda: "naps 1000 attempt 1" in app.lines())
            times = reached(push, client, pushes, pause=(0.005, 0.035))
            if sleeping:
                assert store.left() != NOTHING, "the sleeping jobs were done too soon"
    queue = f"{SLEEPING} asleep" if sleeping else "empty"
    print(f"{name:9} {queue:13} {quantiles(times)}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a short run, for a first look")
    quick = parser.parse_args().quick
    jobs, rounds, pushes = (1000, 1, 200) if quick else (10_000, 3, 1000)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bridge-bench-")))
        servers: dict[StoreName, object] = {
            "redis": stack.enter_context(services.redis_server()),
            "mariadb": stack.enter_context(services.mariadb()),
        }
        print(f"{jobs} jobs that do nothing, median of {rounds} runs in turn; bridge with one PHP process")
        print(f"{'store':9} {'worker':13} {'jobs/s':>10} {'CPU-us/job':>12} {'bridge is':>10}")
        for name, server in servers.items():
            rates(name, server, folder / f"rate-{name}", jobs=jobs, rounds=rounds)
        print(f"\npush to received, ms, {pushes} broadcasts")
        print(f"{'store':9} {'queue':13} {'p50':>10} {'p99':>10} {'worst':>10}")
        for name in ("redis", "mariadb"):
            for sleeping in (False, True):
                latency(name, servers[name], folder / f"{name}-{sleeping}", pushes=pushes, sleeping=sleeping)


if __name__ == "__main__":
    main()
