"""Workers that are measured in turn: what they cost, how fast they empty a queue, how soon a client hears."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import redis
import sqlalchemy

from tests.end_to_end.bridge import COMMAND, bridge_serve
from tests.end_to_end.laravel import Laravel
from tests.end_to_end.processes import family, wait_until
from tests.end_to_end.stores import NOTHING, Store
from tests.end_to_end.wire import WireClient, wire_client


@dataclass(frozen=True, slots=True, kw_only=True)
class Drained:
    """What emptying one queue took: `seconds`, and seconds of CPU of the worker with its children."""

    seconds: float
    cpu: float


def as_laravel(document: Mapping[str, object]) -> str:
    """The JSON as Laravel writes it: bridge tells such a broadcast from other jobs without parsing it."""
    return json.dumps(document, separators=(",", ":")).replace("/", "\\/")


def cpu_seconds(pid: int) -> float:
    """Time on a CPU of the process and its children: of all threads that live, and of children waited for."""
    total = 0.0
    for member in family(pid):
        with contextlib.suppress(OSError):
            threads = Path(f"/proc/{member}/task").iterdir()
            total += sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / 1e9
            fields = Path(f"/proc/{member}/stat").read_text().rpartition(")")[2].split()
            total += sum(int(ticks) for ticks in fields[13:15]) / os.sysconf("SC_CLK_TCK")
    return total


def wait_until_idle(pid: int) -> None:
    """The process has started up: it has used hardly any CPU for half a second."""
    before = cpu_seconds(pid)
    while True:
        time.sleep(0.5)
        now = cpu_seconds(pid)
        if now - before < 0.1:
            return
        before = now


def drained(pid: int, store: Store, fill: Callable[[], object]) -> Drained:
    """The running worker has emptied the queue that `fill` filled while the worker stood still."""
    _signal(pid, signal.SIGSTOP)
    fill()
    cpu, began = cpu_seconds(pid), time.monotonic()
    _signal(pid, signal.SIGCONT)
    wait_until("the queue is empty", lambda: store.left() == NOTHING, timeout=900)
    seconds = time.monotonic() - began
    cpu = cpu_seconds(pid) - cpu
    assert store.failed() == 0
    return Drained(seconds=seconds, cpu=cpu)


def _signal(pid: int, number: signal.Signals) -> None:
    for member in family(pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(member, number)


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
                pipeline.rpush(key, as_laravel(payload | {"id": f"{number:032}"}))
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


@contextlib.contextmanager
def listening(
    app: Laravel, store: Store, *, entry: Sequence[str] = COMMAND
) -> Iterator[tuple[Callable[[int], None], WireClient]]:
    """A `bridge serve` that has started up, what pushes into its queue, and a client of it."""
    with (
        pusher(app, store) as push,
        bridge_serve(app, entry=entry) as bridge,
        wire_client(bridge.port, "lines") as client,
    ):
        wait_until_idle(bridge.process.pid)
        yield push, client


def reached(
    push: Callable[[int], None], client: WireClient, pushes: int, *, pause: tuple[float, float]
) -> list[float]:
    """Milliseconds from before each push until the client had it, sorted; pauses as long as chance says."""
    pushed = []
    for number in range(pushes):
        time.sleep(random.uniform(*pause))  # no step in time with the poll
        pushed.append(time.monotonic())
        push(number)
    wait_until("all are received", lambda: len(client.events()) >= pushes)
    at = {int(json.loads(it.data)["tag"].removeprefix("bench-")): it.at for it in client.events()}
    return sorted((at[number] - pushed[number]) * 1000 for number in range(pushes))


def quantiles(times: list[float]) -> str:
    """The columns p50, p99, worst."""
    p99 = times[min(len(times) - 1, round(0.99 * len(times)))]
    return f"{statistics.median(times):10.1f} {p99:10.1f} {times[-1]:10.1f}"
