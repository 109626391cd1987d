"""What an open dashboard adds to the cost of a message, at 1,000 connections and 2,000 messages a second.

    python -m tests.bench.dashboard [--quick]

One server on a processor of its own, one generator that holds the connections (each message goes to ten of
them), and in every other turn a page of the dashboard in Chromium, on its busiest panel. Counted is the CPU
time of the whole server process per message, the page's frames included. Turns with and without the page
alternate; the quietest third of each counts, since whatever else the machine does only ever adds. Ends with 1
when the dashboard adds 5 % or more.
Needs Linux, two processors, a C compiler, Node and Chromium.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.bench.fanout import HERE, free_port, wait_for

CONNECTIONS, CHANNELS, RATE = 1_000, 100, 2_000
MOST = 1.05  # of the cost without a page
BROWSER = HERE.parents[1] / "fixtures/browser"


def main() -> int:
    arguments = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    arguments.add_argument("--quick", action="store_true", help="two short turns: does it run, not how much")
    quick = arguments.parse_args().quick
    compiler = shutil.which("cc") or shutil.which("gcc")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if compiler is None or chromium is None:
        print("dashboard: needs a C compiler and Chromium", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        generator = Path(folder) / "pusherload"
        subprocess.run([compiler, "-O2", "-o", generator, HERE / "pusherload.c"], check=True)
        with served(generator) as (server, port):
            return report(server, port, chromium, rounds=2 if quick else 12, seconds=2 if quick else 4)


def report(server: subprocess.Popen[str], port: int, chromium: str, *, rounds: int, seconds: int) -> int:
    """The table is printed; 1 if the target was missed."""
    measure(server, seconds=1)  # everything is loaded
    costs: dict[bool, list[float]] = {False: [], True: []}
    print(f"{CONNECTIONS:,} connections, {RATE:,} messages/s, each to {CONNECTIONS // CHANNELS}")
    heads = f"{'closed':>9}{'open':>9}{'ratio':>8}   page: late in ms, median / p95 / worst"
    print(f"{'CPU-µs per message':20}{heads}")
    for at in range(rounds):
        told: dict[str, Any] = {}
        for is_open in (at % 2 == 0, at % 2 == 1):
            if is_open:
                with page(port, chromium) as told:
                    costs[True].append(measure(server, seconds))
            else:
                costs[False].append(measure(server, seconds))
        without, beside = costs[False][-1], costs[True][-1]
        late = f"{told['median_ms']} / {told['p95_ms']} / {told['worst_ms']}, {told['rows']} rows"
        print(f"{'':20}{without:9.1f}{beside:9.1f}{beside / without:8.3f}   {late}", flush=True)
    without, beside = (statistics.mean(sorted(costs[is_open])[: max(1, rounds // 3)]) for is_open in costs)
    is_missed = beside / without >= MOST
    told_so = f"below {MOST}{'  missed' if is_missed else ''}"
    print(f"{'quietest third':20}{without:9.1f}{beside:9.1f}{beside / without:8.3f}   {told_so}")
    return int(is_missed)


def measure(server: subprocess.Popen[str], seconds: int) -> float:
    """CPU-µs per message."""
    assert server.stdin is not None
    assert server.stdout is not None
    server.stdin.write(f"{RATE * seconds} {RATE} {CHANNELS}\n")
    server.stdin.flush()
    told = json.loads(server.stdout.readline())
    if told["receivers"] != CONNECTIONS / CHANNELS:
        raise RuntimeError(f"each message went to {told['receivers']} of its subscribers")
    cost: float = told["cpu_us"]
    return cost


@contextlib.contextmanager
def served(generator: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """The server, with everybody connected and subscribed."""
    port = free_port()
    command = ["taskset", "-c", "0", sys.executable, "-m", "tests.bench.dashboard_server", str(port)]
    load = [
        "taskset", "-c", "1", str(generator), "fanout", "--external", "--port", str(port),
        "--connections", str(CONNECTIONS),
        "--channels", str(CHANNELS), "--messages", str(10**9), "--timeout", "3600",
    ]  # fmt: skip
    with (
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server,
        contextlib.ExitStack() as stack,
    ):
        try:
            wait_for(port)
            clients = stack.enter_context(subprocess.Popen(load, stdout=subprocess.DEVNULL))
            stack.callback(clients.kill)
            wait_for_subscribers(server)
            yield server, port
        finally:
            server.kill()


def wait_for_subscribers(server: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        with contextlib.suppress(RuntimeError):
            measure(server, seconds=1)
            return
    raise RuntimeError("the generator's clients do not come")


@contextlib.contextmanager
def page(port: int, chromium: str) -> Iterator[dict[str, Any]]:
    """A page of the dashboard is open; what it says of itself is in the dict afterwards."""
    command = [
        "taskset",
        "-c",
        "1",
        "node",
        str(HERE / "dashboard_page.mjs"),
        f"http://127.0.0.1:{port}/dashboard",
        chromium,
    ]
    told: dict[str, Any] = {}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=BROWSER
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            if process.stdout.readline() != "open\n":
                raise RuntimeError("the page did not open")
            yield told
            process.stdin.close()
            told.update(json.loads(process.stdout.readline()))
        finally:
            process.kill()


if __name__ == "__main__":
    sys.exit(main())
