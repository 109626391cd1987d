"""bridge against Laravel's own `queue:work` on the same queue, and the way of one event at idle.

    python -m tests.bench.queue_work [--quick]

Rate: both workers, one process each, in turn in the same run, take the same jobs, queued by Laravel, out of
the same Redis and the same MariaDB: events of two scalars (`line`), and events that hold one of 1,000 users
(`model`), whom the worker reads from the app's database, which is SQLite beside Redis. Each worker has done
some before; it is stopped by SIGSTOP while the jobs are queued, and timed from SIGCONT until the queue is
empty: starting up counts for neither. queue:work runs as in production but with the `null` broadcaster, so
that it sends nothing; bridge has no subscriber. CPU is that of the worker itself; the store's stands beside.

Latency: a job is pushed as Laravel pushes it, every 0.1 s or so, into an idle queue; timed from before the
push until a subscribed WebSocket client of `bridge serve` has read the message.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import sqlalchemy

from tests import services
from tests.bench.workers import drained, listening, quantiles, reached, wait_until_idle
from tests.end_to_end.bridge import bridge_serve
from tests.end_to_end.laravel import Laravel
from tests.end_to_end.processes import wait_until
from tests.end_to_end.stores import NOTHING, STORES, Store, StoreName, open_store
from tests.services import free_port

TARGET = 5.0  # times the jobs per second of queue:work
WARM = 200  # jobs before those that count: native evaluation earns trust beside PHP
USERS = 1_000
Kind = Literal["line", "model"]
KINDS: tuple[Kind, ...] = ("line", "model")

# An event that holds a model, and what queues it.
FILES = {
    "app/Events/UserSaid.php": r"""<?php

namespace App\Events;

use App\Models\User;
use Illuminate\Broadcasting\Channel;
use Illuminate\Contracts\Broadcasting\ShouldBroadcast;
use Illuminate\Queue\SerializesModels;

class UserSaid implements ShouldBroadcast
{
    use SerializesModels;

    public $user;

    public $tag;

    public function __construct(User $user, string $tag)
    {
        $this->user = $user;
        $this->tag = $tag;
    }

    public function broadcastOn()
    {
        return [new Channel('lines')];
    }
}
""",
    "app/Console/Commands/DispatchUsers.php": r"""<?php

namespace App\Console\Commands;

use App\Events\UserSaid;
use App\Models\User;
use Illuminate\Console\Command;
use Illuminate\Support\Facades\DB;

class DispatchUsers extends Command
{
    protected $signature = 'dispatch:users {count}';

    public function handle()
    {
        DB::transaction(function (): void {
            $users = User::orderBy('id')->get()->all();

            for ($number = 0; $number < (int) $this->argument('count'); $number++) {
                event(new UserSaid($users[$number % count($users)], "bench {$number}"));
            }
        });

        return 0;
    }
}
""",
}


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


def dispatch(app: Laravel, kind: Kind, jobs: int) -> None:
    if kind == "model":
        app.artisan("dispatch:users", str(jobs))
    else:
        app.dispatch(kind, tag="bench", count=jobs)


class UsesCpu(Protocol):
    """A server that works beside the worker."""

    def cpu_seconds(self) -> float: ...


def run(pid: int, app: Laravel, store: Store, server: UsesCpu, jobs: int, kind: Kind = "line") -> Run:
    """The running worker has emptied a queue of so many events."""
    dispatch(app, kind, WARM)
    wait_until("the first jobs are done", lambda: store.left() == NOTHING)
    wait_until_idle(pid)
    began = 0.0

    def fill() -> None:
        nonlocal began
        dispatch(app, kind, jobs)
        began = server.cpu_seconds()

    took = drained(pid, store, fill)
    of_store = (server.cpu_seconds() - began) / jobs * 1e6
    return Run(rate=jobs / took.seconds, worker=took.cpu / jobs * 1e6, store=of_store)


def add_users(store: Store) -> None:
    """The app has as many more users."""
    add = sqlalchemy.text(
        "insert into users (name, api_token, created_at, updated_at)"
        " values (:name, :name, '2024-01-15 10:30:00', '2024-01-15 10:30:00')"
    )
    with store.engine.begin() as connection:
        connection.execute(add, [{"name": f"User {number}"} for number in range(USERS)])


def rates(
    name: StoreName, server: services.Server, folder: Path, kind: Kind, *, jobs: int, rounds: int
) -> None:
    """Prints how fast queue:work and bridge are on this store."""
    folder.mkdir()
    with open_store(name, folder, lambda _: server) as store:
        null = Laravel.create(folder / "null", {**store.settings, "BROADCAST_DRIVER": "null"})
        app = Laravel.create(folder / "app", store.settings, port=free_port())
        for path, text in FILES.items():
            (null.path / path).write_text(text)
            (app.path / path).write_text(text)
        add_users(store)
        php, ours = [], []
        for _ in range(rounds):
            # an idle queue:work looks often here, so that it does not sleep into the timed part
            with null.queue_work("--sleep=0.02") as worker:
                php.append(run(worker.pid, null, store, server, jobs, kind))
            with bridge_serve(app) as bridge:
                ours.append(run(bridge.process.pid, app, store, server, jobs, kind))
    peer, mine = median(php), median(ours)
    for label, of in (("queue:work", peer), ("bridge", mine)):
        print(
            f"{name:9} {kind:6} {label:11} {of.rate:10,.0f} {of.worker:14,.0f} {of.store:14,.0f}", flush=True
        )
    ratio = mine.rate / peer.rate
    verdict = "" if ratio >= TARGET else f"  BELOW the target of {TARGET:g}"
    print(
        f"{name:9} {kind:6} {'ratio':11} {ratio:10.1f} {mine.worker / peer.worker:14.2f}{verdict}", flush=True
    )


def latency(name: StoreName, server: Callable[[str], object], folder: Path, *, pushes: int) -> None:
    """Prints how long a pushed event takes to reach a client."""
    folder.mkdir()
    with open_store(name, folder, server) as store:
        app = Laravel.create(folder / "app", store.settings)
        with listening(app, store) as (push, client):
            times = reached(push, client, pushes, pause=(0.05, 0.15))
    print(f"{name:9} {quantiles(times)}", flush=True)


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
        print(f"{'store':9} {'event':6} {'worker':11} {'jobs/s':>10} {'CPU-us/job':>14} {'of the store':>14}")
        for kind in KINDS:
            rates("redis", servers["redis_server"], folder / f"{kind}-redis", kind, jobs=jobs, rounds=rounds)
            rates("mariadb", servers["mariadb"], folder / f"{kind}-mariadb", kind, jobs=jobs, rounds=rounds)
        print(f"\npush to received at idle, ms, {pushes} pushes")
        print(f"{'store':9} {'p50':>10} {'p99':>10} {'worst':>10}")
        for name in STORES:
            latency(name, servers.__getitem__, folder / f"latency-{name}", pushes=pushes)


if __name__ == "__main__":
    main()
