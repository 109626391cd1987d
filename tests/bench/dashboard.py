"""What an open dashboard adds to the cost of a message, at 1,000 connections and 2,000 messages a second.

    python -m tests.bench.dashboard [--quick]

One server on a processor of its own, one generator that holds the connections (each message goes to ten of
them), and Chromium beside the generator. Counted is the CPU time of the whole server process per message, the
page's frames included. The turns change between a page of this server on its busiest panel (`open`) and the
same page of another server that has as much to show (`closed`), so that the browser works as hard in both:
processors that share a core slow each other down, and what a busy neighbour adds to every instruction is none
of the dashboard's cost. `idle` is a turn with an empty page, to show how much that is.
The median of the rounds' ratios counts; ends with 1 when it says that the dashboard adds 5 % or more.
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
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypeAlias

from tests.bench.fanout import HERE, free_port, wait_for

CONNECTIONS, CHANNELS, RATE = 1_000, 100, 2_000
ELSEWHERE_RATE = 400  # messages a second of the other server: more than a page is shown
MOST = 1.05  # of the cost without a page
BROWSER = HERE.parents[1] / "fixtures/browser"
STATES = ("idle", "closed", "open")

Server: TypeAlias = "subprocess.Popen[str]"


def main() -> int:
    arguments = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    arguments.add_argument("--quick", action="store_true", help="few short turns")
    quick = arguments.parse_args().quick
    compiler = shutil.which("cc") or shutil.which("gcc")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if compiler is None or chromium is None:
        print("dashboard: needs a C compiler and Chromium", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        generator = Path(folder) / "pusherload"
        subprocess.run([compiler, "-O2", "-o", generator, HERE / "pusherload.c"], check=True)
        server, port = stack.enter_context(served(generator))
        elsewhere = stack.enter_context(another())
        page = stack.enter_context(browser(chromium))
        addresses = {"idle": "about:blank", "closed": address(elsewhere), "open": address(port)}
        return report(server, page, addresses, rounds=6 if quick else 16, seconds=2 if quick else 3)


def report(server: Server, page: Page, addresses: Mapping[str, str], *, rounds: int, seconds: int) -> int:
    """The table is printed; 1 if the target was missed."""
    measure(server, seconds=1)  # everything is loaded
    print(f"{CONNECTIONS:,} connections, {RATE:,} messages/s, each to {CONNECTIONS // CHANNELS}")
    heads = "".join(f"{state:>9}" for state in STATES)
    print(f"{'CPU-µs per message':20}{heads}{'ratio':>8}   open page: late in ms, median / p95 / worst")
    costs: dict[str, list[float]] = {state: [] for state in STATES}
    for at in range(rounds):
        told: dict[str, int] = {}
        for state in STATES if at % 2 else reversed(STATES):
            page.open(addresses[state])
            costs[state].append(measure(server, seconds))
            if state == "open":
                told = page.told()
        now = {state: found[-1] for state, found in costs.items()}
        figures = "".join(f"{cost:9.1f}" for cost in now.values())
        late = " / ".join(str(told[name]) for name in ("median_ms", "p95_ms", "worst_ms"))
        print(f"{'':20}{figures}{now['open'] / now['closed']:8.3f}   {late}", flush=True)
    ratios = [here / there for here, there in zip(costs["open"], costs["closed"], strict=True)]
    low, ratio, high = statistics.quantiles(ratios, n=4)
    is_missed = ratio >= MOST
    figures = "".join(f"{statistics.median(found):9.1f}" for found in costs.values())
    mark = "  missed" if is_missed else ""
    print(f"{'median':20}{figures}{ratio:8.3f}   below {MOST}; half of them {low:.3f} to {high:.3f}{mark}")
    return int(is_missed)


def measure(server: Server, seconds: int) -> float:
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
def served(generator: Path) -> Iterator[tuple[Server, int]]:
    """The server, with everybody connected and subscribed."""
    load = [
        "taskset", "-c", "1", str(generator), "fanout", "--external", "--connections", str(CONNECTIONS),
        "--channels", str(CHANNELS), "--messages", str(10**9), "--timeout", "3600", "--port",
    ]  # fmt: skip
    with running("0") as (server, port), contextlib.ExitStack() as stack:
        clients = stack.enter_context(subprocess.Popen([*load, str(port)], stdout=subprocess.DEVNULL))
        stack.callback(clients.kill)
        wait_for_subscribers(server)
        yield server, port


@contextlib.contextmanager
def another() -> Iterator[int]:
    """The port of a server with as much to show, beside the generator; nobody is connected to it."""
    with running("1") as (server, port):
        assert server.stdin is not None
        server.stdin.write(f"{10**9} {ELSEWHERE_RATE} {CHANNELS}\n")
        server.stdin.flush()
        yield port


@contextlib.contextmanager
def running(processor: str) -> Iterator[tuple[Server, int]]:
    port = free_port()
    command = ["taskset", "-c", processor, sys.executable, "-m", "tests.bench.dashboard_server", str(port)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        try:
            wait_for(port)
            yield server, port
        finally:
            server.kill()


def wait_for_subscribers(server: Server) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        with contextlib.suppress(RuntimeError):
            measure(server, seconds=1)
            return
    raise RuntimeError("the generator's clients do not come")


class Page:
    """One page in a browser that stays."""

    def __init__(self, browser: Server) -> None:
        self._browser = browser

    def open(self, address: str) -> None:
        if (answer := self._asked(address)) != "open":
            raise RuntimeError(f"the page did not open: {answer}")

    def told(self) -> dict[str, int]:
        """How late its timers were since it was opened, in ms."""
        told: dict[str, int] = json.loads(self._asked("told"))
        return told

    def _asked(self, line: str) -> str:
        assert self._browser.stdin is not None
        assert self._browser.stdout is not None
        self._browser.stdin.write(f"{line}\n")
        self._browser.stdin.flush()
        return self._browser.stdout.readline().strip()


@contextlib.contextmanager
def browser(chromium: str) -> Iterator[Page]:
    command = ["taskset", "-c", "1", "node", str(HERE / "dashboard_page.mjs"), chromium]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=BROWSER
    ) as process:
        yield Page(process)


def address(port: int) -> str:
    return f"http://127.0.0.1:{port}/dashboard"


if __name__ == "__main__":
    sys.exit(main())
