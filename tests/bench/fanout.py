"""CPU per delivery and memory per connection, against the least that any server of one process can do.

    python -m tests.bench.fanout [--quick]

`floor.c` sends each message with one `send()` to each subscriber and does nothing else: what it costs is what
the kernel costs. Both servers run in turn in each round, pinned to one processor, the generator
(`pusherload.c`) to another; medians count. Ends with 1 when a target is missed. Needs Linux, two processors
and a C compiler.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
START_LIMIT = 20.0  # seconds for a server to listen


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One load; `ratio` is the most that bridge may cost of what the floor costs, per delivery."""

    name: str
    connections: int
    messages: int
    under_way: int
    ratio: float


CASES = (
    Case(name="one at a time, 900", connections=900, messages=300, under_way=1, ratio=1.15),
    Case(name="one at a time, 5000", connections=5_000, messages=60, under_way=1, ratio=1.15),
    Case(name="16 under way, 900", connections=900, messages=600, under_way=16, ratio=0.13),
)
IDLE_CONNECTIONS, IDLE_BYTES = 5_000, 6 * 1_024
PER_DELIVERY, PER_CONNECTION = "server_cpu_us_per_delivery", "bytes_per_connection"


def main() -> int:
    arguments = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    arguments.add_argument("--quick", action="store_true", help="one short round: does it run, not how fast")
    quick = arguments.parse_args().quick
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or (os.cpu_count() or 1) < 2:
        print("fanout: needs a C compiler and two processors", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        tools = Tools(Path(folder), compiler)
        return report(tools, rounds=1 if quick else 3, scale=0.2 if quick else 1.0)


def report(tools: Tools, *, rounds: int, scale: float) -> int:
    """The table is printed; 1 if a target was missed."""
    missed = False
    print(f"{'CPU-µs per delivery':24}{'floor':>9}{'bridge':>9}{'ratio':>8}{'target':>8}")
    for case in CASES:
        figures: dict[str, list[float]] = {"floor": [], "bridge": []}
        for _ in range(rounds):
            for server, found in figures.items():
                found.append(tools.run(server, *fanout(case, scale))[PER_DELIVERY])
        floor, bridge = statistics.median(figures["floor"]), statistics.median(figures["bridge"])
        ratio = bridge / floor
        missed |= ratio > case.ratio
        mark = "" if ratio <= case.ratio else "  missed"
        print(f"{case.name:24}{floor:9.2f}{bridge:9.2f}{ratio:8.2f}{case.ratio:8.2f}{mark}", flush=True)
    idle = ["idle", "--connections", str(IDLE_CONNECTIONS), "--hold", "0"]
    size = statistics.median(tools.run("bridge", *idle)[PER_CONNECTION] for _ in range(rounds))
    missed |= size > IDLE_BYTES
    mark = "" if size <= IDLE_BYTES else "  missed"
    print(f"{'bytes per connection':24}{'':9}{size:9.0f}{'':8}{IDLE_BYTES:8}{mark}")
    return int(missed)


def fanout(case: Case, scale: float) -> Sequence[str]:
    messages = max(int(case.messages * scale), 10)
    options = {
        "connections": case.connections,
        "messages": messages,
        "warmup": max(messages // 10, case.under_way),
        "window": case.under_way,
        "publishers": case.under_way,
    }
    return [
        "fanout",
        "--spin",
        *(word for name, value in options.items() for word in (f"--{name}", str(value))),
    ]


class Tools:
    """The compiled floor and generator, and bridge's own server."""

    def __init__(self, folder: Path, compiler: str) -> None:
        for name in ("floor", "pusherload"):
            subprocess.run([compiler, "-O2", "-o", folder / name, HERE / f"{name}.c"], check=True)
        self._generator = str(folder / "pusherload")
        self._servers = {
            "floor": [str(folder / "floor")],
            "bridge": [sys.executable, "-m", "tests.bench.node_server"],
        }

    def run(self, server: str, *load: str) -> dict[str, Any]:
        """What the generator reports after this load on a fresh server. Raises when anything was lost."""
        with self._serving(server) as (process, port):
            try:
                return self.generate(port, process.pid, *load)
            except RuntimeError as problem:
                raise RuntimeError(f"{server}: {problem}") from None

    def generate(self, port: int, pid: int, *load: str) -> dict[str, Any]:
        """`run`, on a server that is there."""
        where = ["--port", str(port), "--server-pid", str(pid), "--timeout", "120"]
        done = subprocess.run(self.command(*load, *where), capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"the load did not come through: {done.stdout}{done.stderr}")
        figures: dict[str, Any] = json.loads(done.stdout)
        return figures

    def command(self, *load: str) -> list[str]:
        """Runs the generator."""
        return ["taskset", "-c", "1", self._generator, *load]

    @contextmanager
    def _serving(self, server: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
        port = free_port()
        command = ["taskset", "-c", "0", *self._servers[server], str(port)]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
            try:
                wait_for(port)
                yield process, port
            finally:
                process.terminate()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def wait_for(port: int) -> None:
    deadline = time.monotonic() + START_LIMIT
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return


if __name__ == "__main__":
    raise SystemExit(main())
