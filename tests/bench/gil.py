"""How long the loop waits for Python's lock (the GIL) while it has something to do, beside model jobs.

    python -m tests.bench.gil [--quick]

`bridge serve` works off events that hold a model, 2,000 a second from Redis, for one client. The thread of
its loop is looked at a thousand times a second: in the system call `futex` it waits for a lock, in
`epoll_wait` for something to do, and else it runs, or waits for a processor. It is Python's lock where the
word that it waits for lies in the interpreter's own data, as no other lock does that a thread of ours takes:
those of `threading` are in the heap, those of malloc in its arenas or in the C library. The waiting is given
in percent of the loop's waking time, which is the time that it waits for the lock or is on a processor
(schedstat). On a busy machine who has the lock is off the processor at times, and the loop waits longer.

With several processes the jobs have one of their own, and so a lock of their own: measured is that process
with sockets whose loop waits longest. The goal, at most 5 %, is for this. The loop beside the jobs passes
their broadcasts on to the bus; it is printed too.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import platform
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from tests import services
from tests.bench import queue_work
from tests.bench.workers import as_laravel, wait_until_idle
from tests.end_to_end.bridge import COMMAND, Bridge, bridge_serve, children
from tests.end_to_end.laravel import Laravel
from tests.end_to_end.processes import wait_until
from tests.end_to_end.stores import NOTHING, Store, open_store
from tests.end_to_end.wire import wire_client
from tests.services import free_port

RATE = 2_000  # jobs a second
CHUNK = 20  # jobs that are pushed together, as a busy app does
LOOK = 0.001  # seconds between two looks
SECONDS = 10.0
FUTEX = {"x86_64": "202", "aarch64": "98"}  # its number in /proc/…/syscall
BUS = {"BRIDGE_PROCESSES": "2", "BRIDGE_BUS": "default"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Waits:
    """Percent of its waking time that a loop waited for the lock: of those with sockets the one that waited
    longest, and the one beside the jobs, where they have a process of their own."""

    sockets: float
    jobs: float | None


class Loop:
    """The thread of a process's loop, its first, looked at from now on."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._waited = 0.0  # seconds
        self._data = interpreter_data(pid)
        self._began = self._on_processor()

    def look(self, seconds: float) -> None:
        """It has been as it is now for so long."""
        call, _, arguments = (self._thread / "syscall").read_text().partition(" ")
        if call == FUTEX[platform.machine()] and int(arguments.split(" ", 1)[0], 16) in self._data:
            self._waited += seconds

    def share(self) -> float:
        """Percent of its waking time that it waited."""
        return 100 * self._waited / (self._waited + self._on_processor() - self._began)

    @property
    def _thread(self) -> Path:
        return Path(f"/proc/{self.pid}/task/{self.pid}")

    def _on_processor(self) -> float:
        return int((self._thread / "schedstat").read_text().split()[0]) / 1e9


def interpreter_data(pid: int) -> range:
    """The addresses of what Python itself can write to, its lock among it: of libpython, else the program."""
    maps = [line.split(maxsplit=5) for line in Path(f"/proc/{pid}/maps").read_text().splitlines()]
    program = str(Path(f"/proc/{pid}/exe").resolve())
    files = {line[5] for line in maps if len(line) > 5}
    image = next((file for file in files if Path(file).name.startswith("libpython")), program)
    found = range(0)
    for line in maps:
        begin, end = (int(address, 16) for address in line[0].split("-"))
        if line[5:] == [image] and line[1].startswith("rw"):
            found = range(begin, end)
        elif len(line) == 5 and begin == found.stop:  # what is zero at the start follows without a file
            found = range(found.start, end)
    assert found, f"{image} has nothing to write to"
    return found


def payloads(app: Laravel, store: Store) -> list[dict[str, object]]:
    """Of one event for each user, as Laravel has queued it; the queue is empty again."""
    queue_work.dispatch(app, "model", queue_work.USERS)
    found = [json.loads(text) for text in store.payloads()]
    store.clear()
    return found


def numbered(documents: Sequence[dict[str, object]]) -> Iterator[str]:
    """Without end, each with an id of its own."""
    while True:
        for document in documents:
            id = str(uuid.uuid4())
            yield as_laravel({**document, "uuid": id, "id": id.replace("-", "")})


def waiting(
    app: Laravel,
    store: Store,
    texts: Iterator[str],
    *,
    seconds: float = SECONDS,
    entry: Sequence[str] = COMMAND,
    env: Mapping[str, str] = MappingProxyType({}),
) -> Waits:
    """`texts`: the jobs. Where they come faster than they are done, bridge is at work all the time."""
    with bridge_serve(app, entry=entry, env=env, patience=240) as bridge, wire_client(bridge.port, "lines"):
        waits = _waits(bridge, store, texts, seconds)
    store.clear()
    return waits


def _waits(bridge: Bridge, store: Store, texts: Iterator[str], seconds: float) -> Waits:
    store.push([next(texts) for _ in range(queue_work.WARM)])
    wait_until("the first jobs are done", lambda: store.left() == NOTHING)
    wait_until_idle(bridge.process.pid)
    found = children(bridge)
    jobs = [Loop(pid) for pid in found.pop("jobs", [])]
    sockets = [Loop(pid) for pids in found.values() for pid in pids] or [Loop(bridge.process.pid)]
    began = last = time.monotonic()
    pushed = 0
    while (now := time.monotonic()) < began + seconds:
        for loop in (*sockets, *jobs):
            loop.look(now - last)
        last = now
        due = int((now - began) * RATE) - pushed  # more than a chunk where we have been off the processor
        if due >= CHUNK:
            store.push([next(texts) for _ in range(due)])
            pushed += due
        time.sleep(LOOK)
    return Waits(
        sockets=max(loop.share() for loop in sockets), jobs=next((loop.share() for loop in jobs), None)
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a short run, for a first look")
    seconds = 3.0 if parser.parse_args().quick else SECONDS
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bridge-bench-")))
        redis = stack.enter_context(services.redis_server())
        store = stack.enter_context(open_store("redis", folder, lambda _: redis))
        app = Laravel.create(folder / "app", store.settings, port=free_port())
        for path, text in queue_work.FILES.items():
            (app.path / path).write_text(text)
        queue_work.add_users(store)
        texts = numbered(payloads(app, store))
        for name, env in (("one process", {}), ("--processes 2", BUS)):
            found = waiting(app, store, texts, seconds=seconds, env=env)
            beside = "" if found.jobs is None else f"; beside the jobs {found.jobs:.1f} %"
            print(f"{name:15} {found.sockets:5.1f} % of its waking time{beside}", flush=True)


if __name__ == "__main__":
    main()
