"""`bridge` with named points: `python -m tests.chaos.entry serve …`. Not a line of bridge knows of it.

At each point it writes down what was done with which jobs, and where CHAOS_CRASH_AT names the point it kills
itself. The points are put around the methods where things happen, before `bridge.cli` starts.

    CHAOS_RECORD    file that gets a line for each job at each deed: time, bridge, deed, uuid, attempts, and
                    when a reservation was begun
    CHAOS_NAME      this process's name in it
    CHAOS_CRASH_AT  point, or `point:n`: kill -9 when it is reached (for the n-th time)
    CHAOS_TRACE     file that gets every minute where the most memory was allocated, and what it grew by
"""

from __future__ import annotations

import functools
import gc
import json
import os
import signal
import sys
import threading
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import sqlalchemy as sa

from bridge.broadcast import Broadcast
from bridge.cli import main
from bridge.jobs.queue.failed_jobs import DatabaseFailedJobs
from bridge.jobs.queue.marks import Marks
from bridge.jobs.queue.queue import Job
from bridge.jobs.queue.redis.driver import RedisQueue
from bridge.jobs.queue.sql.driver import DatabaseQueue
from bridge.serve.attempt import Attempt
from bridge.sockets.server.node import Node

POINTS = (
    "after-wait",  # the store has said that a job may be there
    "before-reserve",
    "after-reserve",
    "after-resolve",  # of one job
    "before-fan-out",
    "mid-fan-out",  # half of the broadcasts of a batch are out
    "after-fan-out",
    "after-mark",
    "before-delete",
    "mid-delete",  # the statement is done, and its transaction perhaps not committed; SQL only
    "after-delete",
    "before-release",
    "after-release",
    "after-fail",  # in failed_jobs, and not yet deleted
    "in-drain",  # before what was not begun is given back
)

_reached: Counter[str] = Counter()
_deleting = False


def at(point: str) -> None:
    """The point is reached."""
    _reached[point] += 1
    wanted, _, times = os.environ.get("CHAOS_CRASH_AT", "").partition(":")
    if point == wanted and _reached[point] == int(times or 1):
        os.kill(os.getpid(), signal.SIGKILL)


def record(deed: str, jobs: Iterable[tuple[str, int]], since: float | None = None) -> None:
    """In the file once this returns, whatever becomes of the process; in order. Jobs: uuid and attempts;
    `since`: when it was begun, if that may have been long ago."""
    now, name = time.monotonic(), os.environ["CHAOS_NAME"]
    # a line begins with its end: what a kill tore off is a line of its own
    lines = ["\n" + json.dumps([now + n * 1e-7, name, deed, *job, since]) for n, job in enumerate(jobs)]
    if lines:
        os.write(_file(), "".join(lines).encode())


@functools.cache
def _file() -> int:
    return os.open(os.environ["CHAOS_RECORD"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)


def around(owner: type, name: str, make: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    """`make` gets the method and gives what takes its place."""
    method = getattr(owner, name)
    setattr(owner, name, functools.wraps(method)(make(method)))


def _known(jobs: Iterable[Job]) -> list[tuple[str, int]]:
    return [(job.uuid, job.attempts) for job in jobs]


def _wait(wait: Callable[..., Any]) -> Callable[..., Any]:
    def waiting(self: Any, *given: Any) -> None:
        wait(self, *given)
        at("after-wait")

    return waiting


def _reserve(reserve: Callable[..., Any]) -> Callable[..., Any]:
    def reserving(self: Any, limit: int) -> Sequence[Job]:
        at("before-reserve")
        since = time.monotonic()
        jobs: Sequence[Job] = reserve(self, limit)
        if jobs:
            record("reserved", _known(jobs), since)
            at("after-reserve")
        return jobs

    return reserving


def _delete(delete: Callable[..., Any]) -> Callable[..., Any]:
    def deleting(self: Any, jobs: Sequence[Job]) -> int:
        global _deleting
        record("deleting", _known(jobs))
        at("before-delete")
        _deleting = True
        try:
            deleted: int = delete(self, jobs)
        finally:
            _deleting = False
        if deleted == len(jobs):  # if not, somebody else has some of them, and nobody can tell which
            record("deleted", _known(jobs))
        at("after-delete")
        return deleted

    return deleting


def _executed(*_: object) -> None:
    if _deleting:
        at("mid-delete")


def _release(release: Callable[..., Any]) -> Callable[..., Any]:
    def releasing(self: Any, job: Job, *given: Any, **named: Any) -> None:
        record("released", _known([job]))
        at("before-release")
        release(self, job, *given, **named)
        at("after-release")

    return releasing


def _give_back(give_back: Callable[..., Any]) -> Callable[..., Any]:
    def giving_back(self: Any, jobs: Sequence[Job]) -> None:
        record("given_back", _known(jobs))
        at("in-drain")
        give_back(self, jobs)

    return giving_back


def _record(keep: Callable[..., Any]) -> Callable[..., Any]:
    def recording(self: Any, job: Any) -> None:
        keep(self, job)
        record("failed", [(job.uuid, 0)])
        at("after-fail")

    return recording


def _add(add: Callable[..., Any]) -> Callable[..., Any]:
    def adding(self: Any, uuids: Iterable[str]) -> None:
        marked = list(uuids)
        add(self, marked)
        if marked:
            at("after-mark")

    return adding


def _one(one: Callable[..., Any]) -> Callable[..., Any]:
    def resolving(self: Any, *given: Any) -> Any:
        resolved = one(self, *given)
        at("after-resolve")
        return resolved

    return resolving


def _publish(publish: Callable[..., Any]) -> Callable[..., Any]:
    def publishing(self: Any, broadcasts: Sequence[Broadcast], **named: Any) -> int:
        at("before-fan-out")
        half = len(broadcasts) // 2
        sent = 0
        for part, reached in ((broadcasts[:half], "mid-fan-out"), (broadcasts[half:], "after-fan-out")):
            if part:
                sent += publish(self, part, **named)
                record("sent", dict.fromkeys((it.job, 0) for it in part))
            at(reached)
        return sent

    return publishing


def patch() -> None:
    """Every point is in its place."""
    for queue in (DatabaseQueue, RedisQueue):
        around(queue, "wait", _wait)
        around(queue, "reserve", _reserve)
        around(queue, "delete", _delete)
        around(queue, "release", _release)
        around(queue, "give_back", _give_back)
    sa.event.listen(sa.Engine, "after_cursor_execute", _executed)
    around(DatabaseFailedJobs, "record", _record)
    around(Marks, "add", _add)
    around(Attempt, "_one", _one)
    around(Node, "publish_from_thread", _publish)


def trace(file: str) -> None:
    """For ever: the file is written anew every minute. The first minute is what it grows from."""
    time.sleep(60)  # what is there from the start does not grow, and would take long to trace
    tracemalloc.start(6)
    first: tracemalloc.Snapshot | None = None
    while True:
        time.sleep(60)
        gc.collect()
        now = tracemalloc.take_snapshot()
        first = first or now
        lines = []
        for grown in now.compare_to(first, "traceback")[:40]:
            lines += [f"{grown.size_diff:+} bytes, {grown.count_diff:+} blocks", *grown.traceback.format()]
        with open(file, "w") as out:
            out.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    patch()
    if traced := os.environ.get("CHAOS_TRACE"):
        threading.Thread(target=trace, args=(traced,), daemon=True).start()
    sys.exit(main())
