"""The servers that `python -m tests.bench` compares, each started anew for a load: the floor; the whole
daemon with an idle Redis queue; the same of another checkout where the variable BEFORE names one; and Reverb
where REVERB names a Laravel app that has it.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests import services
from tests.bench.fanout import Tools, wait_for
from tests.bench.workers import cpu_seconds, wait_until_idle
from tests.end_to_end.bridge import COMMAND, bridge_serve
from tests.end_to_end.laravel import APP_ID, APP_KEY, APP_SECRET, Laravel
from tests.end_to_end.processes import environment, listens, running, wait_until
from tests.end_to_end.stores import Store, open_store
from tests.services import free_port

ON_FIRST = ("taskset", "-c", "0")  # servers; the generator is on the second processor
LIMITS = {"BRIDGE_LIMIT_MEMBERS": "100000"}
QUEUE_WORK_AND_REVERB = "queue:work + Reverb"
SERVERS = ("floor", "before", "bridge", "Reverb", QUEUE_WORK_AND_REVERB, "queue:work")
ACCOUNT = ("--key", APP_KEY, "--app-id", APP_ID, "--secret", APP_SECRET)


class Servers:
    """`names`: those that are there. `store`: where the daemon's app has its queue."""

    def __init__(self, stack: contextlib.ExitStack, folder: Path, compiler: str) -> None:
        self._tools = Tools(folder, compiler)
        self._floor = str(folder / "floor")
        self.redis = stack.enter_context(services.redis_server())
        self.store: Store = stack.enter_context(open_store("redis", folder, lambda _: self.redis))
        self.app = Laravel.create(folder / "app", self.store.settings, port=free_port())
        self._folder = folder
        self._reverb = os.environ.get("REVERB")
        self._before = os.environ.get("BEFORE")
        there = {"before": self._before, "Reverb": self._reverb, QUEUE_WORK_AND_REVERB: self._reverb}
        self.names = tuple(name for name in SERVERS if there.get(name, True))

    def command(self, server: str) -> tuple[str, ...]:
        """What `bridge` is on a command line: of this checkout, or of the one `before`."""
        return (f"{self._before}/.venv/bin/python", *COMMAND[1:]) if server == "before" else COMMAND

    def load(self, server: str, *words: str) -> dict[str, Any]:
        """What the generator reports after this load on a fresh server. Raises when anything was lost."""
        with self.serving(server) as (pid, port):
            return self.generate(pid, port, *words)

    def seconds_to_listen(self, server: str) -> float:
        """CPU seconds of `bridge serve` until its port takes connections."""
        port = free_port()
        command = [
            *self.command(server),
            "serve",
            "--app",
            str(self.app.path),
            "--host",
            "127.0.0.1",
            "--port",
            str(port),
        ]
        log = self._folder / "listens.txt"
        with running(command, cwd=self.app.path, log=log, env=environment()) as process:
            while not listens(port):
                assert process.poll() is None, log.read_text()
                time.sleep(0.001)
            return cpu_seconds(process.pid)

    def generate(self, pid: int, port: int, *words: str) -> dict[str, Any]:
        return self._tools.generate(port, pid, *words, *ACCOUNT)

    @contextlib.contextmanager
    def holding(self, pid: int, port: int, connections: int) -> Iterator[None]:
        """Meanwhile so many clients are subscribed to the channel `bench`."""
        words = ["idle", "--connections", str(connections), "--hold", "600", "--port", str(port)]
        with subprocess.Popen(self._tools.command(*words, *ACCOUNT), stdout=subprocess.DEVNULL) as generator:
            try:
                wait_until("all are connected", lambda: len(os.listdir(f"/proc/{pid}/fd")) > connections)
                wait_until_idle(pid)
                yield
            finally:
                generator.terminate()

    @contextlib.contextmanager
    def serving(self, server: str) -> Iterator[tuple[int, int]]:
        """The process and its port; it has started up."""
        if server in ("bridge", "before"):
            entry = (*ON_FIRST, *self.command(server))
            with bridge_serve(self.app, name=server, entry=entry, env=LIMITS) as bridge:
                wait_until_idle(bridge.process.pid)
                yield bridge.process.pid, bridge.port
            return
        port = free_port()
        command, cwd = [self._floor, str(port)], self._folder
        env = environment()
        if server == "Reverb":
            cwd = Path(self._reverb or "")
            command = ["php", "artisan", "reverb:start", "--host=127.0.0.1", f"--port={port}"]
            env |= {"REVERB_APP_ID": APP_ID, "REVERB_APP_KEY": APP_KEY, "REVERB_APP_SECRET": APP_SECRET}
        log = self._folder / f"{server}.txt"
        with running([*ON_FIRST, *command], cwd=cwd, log=log, env=env) as process:
            wait_for(port)
            wait_until_idle(process.pid)
            yield process.pid, port


def seconds_to_answer(*command: str) -> float:
    """CPU seconds of a command."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return usage.ru_utime + usage.ru_stime


def resident(pid: int) -> float:
    """MB of a process's memory that are in RAM."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    [kilobytes] = (line.split()[1] for line in lines if line.startswith("VmRSS:"))
    return int(kilobytes) / 1024
