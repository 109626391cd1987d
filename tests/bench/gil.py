"""How long the loop waits for Python's lock (the GIL) while it has something to do, beside model jobs.

    python -m tests.bench.gil [--quick]

`bridge serve` works off events that hold a model, 2,000 a second from Redis, for one client. The thread of
its loop is looked at a thousand times a second: in the system call `futex` it waits for the lock, in
`epoll_wait` for something to do, and else it runs, or waits for a processor. Its waiting is given in percent
of its waking time, which is the time that it waits for the lock or is on a processor (schedstat). On a busy
machine who has the lock is off the processor at times, and the loop waits longer.

With several processes the jobs have one of their own, and so a lock of their own: measured is that process
with sockets whose loop waits longest. The goal is at most 5 %.
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
from tests.bench.workers import wait_until_idle
from tests.end_to_end.bridge import COMMAND, bridge_serve, children
from tests.end_to_end.laravel import Laravel
from tests.end_to_end.processes import wait_until
from tests.end_to_end.stores import NOTHING, Store, open_store
from tests.end_to_end.wire import wire_client
from tests.services import free_port

RATE = 2_000  # jobs a second
CHUNK = 20  # jobs that are pushed together, as a busy app does
LOOK = 0.001  # seconds between two looks
SECONDS = 10.0
MOST = 5.0  # percent
FUTEX = {"x86_64": "202", "aarch64": "98"}  # its number in /proc/…/syscall
BUS = {"BRIDGE_PROCESSES": "2", "BRIDGE_BUS": "default"}


@dataclass(slots=True)
class Loop:
    """The thread of a process's loop, its first; `waited` seconds for the lock since it is looked at."""

    pid: int
    waited: float = 0.0
    _began: float = 0.0

    def begin(self) -> None:
        self.waited, self._began = 0.0, self._on_processor()

    def look(self, seconds: float) -> None:
        """It has been as it is now for so long."""
        if (self._thread / "syscall").read_text().split(" ", 1)[0] == FUTEX[platform.machine()]:
            self.waited += seconds

    def share(self) -> float:
        """Percent of its waking time that it waited."""
        return 100 * self.waited / (self.waited + self._on_processor() - self._began)

    @property
    def _thread(self) -> Path:
        return Path(f"/proc/{self.pid}/task/{self.pid}")

    def _on_processor(self) -> float:
        return int((self._thread / "schedstat").read_text().split()[0]) / 1e9


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
            yield json.dumps({**document, "uuid": id, "id": id.replace("-", "")})


def waiting(
    app: Laravel,
    store: Store,
    *,
    seconds: float = SECONDS,
    entry: Sequence[str] = COMMAND,
    env: Mapping[str, str] = MappingProxyType({}),
) -> float:
    """Percent of its waking time that the loop waits for the lock; of several loops the one that waits most.

    Raises AssertionError where the jobs are not done as fast as they come."""
    texts = numbered(payloads(app, store))
    with bridge_serve(app, entry=entry, env=env, patience=240) as bridge, wire_client(bridge.port, "lines"):
        store.push([next(texts) for _ in range(queue_work.WARM)])
        wait_until("the first jobs are done", lambda: store.left() == NOTHING)
        wait_until_idle(bridge.process.pid)
        sockets = [pid for name, pids in children(bridge).items() if name != "jobs" for pid in pids]
        loops = [Loop(pid) for pid in sockets or [bridge.process.pid]]
        for loop in loops:
            loop.begin()
        began = last = time.monotonic()
        pushed = 0
        while (now := time.monotonic()) < began + seconds:
            for loop in loops:
                loop.look(now - last)
            last = now
            if pushed < (now - began) * RATE:
                store.push([next(texts) for _ in range(CHUNK)])
                pushed += CHUNK
            time.sleep(LOOK)
        assert pushed > 0.9 * seconds * RATE, "this machine is too busy to push as many"
        found = max(loop.share() for loop in loops)
        assert store.left().waiting < RATE, "the jobs come faster than they are done"
        return found


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
        for name, env in (("one process", {}), ("--processes 2", BUS)):
            found = waiting(app, store, seconds=seconds, env=env)
            verdict = "met" if found <= MOST else "missed"
            print(f"{name:15} {found:5.1f} % of its waking time, {verdict}", flush=True)


if __name__ == "__main__":
    main()
