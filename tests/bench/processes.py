"""What several processes carry, beside one: fan-out, publishing over HTTP, connecting.

    python -m tests.bench.processes [--quick] [--processes 2 3 4]

A process has one loop, so a load is at its end when the busiest process has used up a processor. Therefore
CPU time is what counts here. Four answers to how many times one process without a bus several carry:

    gain        what it spends on a unit, by what the busiest of them spends: as clients were spread here
    even        the same where clients are spread evenly: as many times its cost as there are processes that
                serve clients, by what all of bridge spends together, the parent and the jobs process included
    two cores   of two processes, where Redis shares their two processors: Redis' cost is added
    by clock    units a second, by those of one process. It means something only where the generator, Redis
                and each process have a processor each

The first three hold where the generator and Redis have no processor of their own, too, but not on a busy
machine: a load that takes longer has more of what processes do anyway.

Configurations take turns in each round, medians count; ends with 1 when a target is missed. Needs a C
compiler and PHP.
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
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests import services
from tests.bench.workers import wait_until_idle
from tests.end_to_end.bridge import bridge_serve, children
from tests.end_to_end.laravel import APP_ID, APP_KEY, APP_SECRET, Laravel
from tests.end_to_end.processes import wait_until
from tests.end_to_end.stores import Store, open_store

HERE = Path(__file__).parent
TARGET = 1.7  # gain of two processes
ALONE = "1, no bus"


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """`words` for the generator; what it counts as units is named by `unit`."""

    name: str
    words: tuple[str, ...]
    unit: str


def _fanout(connections: int, channels: int, messages: int, under_way: int) -> tuple[str, ...]:
    options = {
        "connections": connections,
        "channels": channels,
        "messages": messages,
        "warmup": max(messages // 10, under_way),
        "window": under_way,
        "publishers": min(under_way, 16),
    }
    return ("fanout", *(word for name, value in options.items() for word in (f"--{name}", str(value))))


def loads(scale: float) -> tuple[Load, ...]:
    def some(number: int) -> int:
        return max(int(number * scale), 16)

    connects = some(4_000)
    return (
        Load(name="fan-out to 900", words=_fanout(900, 1, some(300), 1), unit="deliveries"),
        Load(name="fan-out to 900, 16 at a time", words=_fanout(900, 1, some(600), 16), unit="deliveries"),
        Load(name="publish over HTTP", words=_fanout(64, 64, some(8_000), 32), unit="deliveries"),
        Load(
            name="connect, one channel",
            words=("idle", "--connections", f"{connects}", "--hold", "0"),
            unit="connected",
        ),
        Load(
            name="connect, a channel each",
            words=("idle", "--connections", f"{connects}", "--channels", f"{connects}", "--hold", "0"),
            unit="connected",
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """CPU-µs a unit: of all of bridge, of its busiest process, of Redis; and units a second."""

    bridge: float
    busiest: float
    redis: float
    rate: float


def median(costs: Sequence[Cost]) -> Cost:
    def of(name: str) -> float:
        return statistics.median(float(getattr(cost, name)) for cost in costs)

    return Cost(bridge=of("bridge"), busiest=of("busiest"), redis=of("redis"), rate=of("rate"))


class Bench:
    """The compiled generator, a store, and an app for each configuration."""

    def __init__(self, folder: Path, compiler: str, store: Store, redis: services.Redis) -> None:
        self._generator = folder / "pusherload"
        subprocess.run([compiler, "-O2", "-o", self._generator, HERE / "pusherload.c"], check=True)
        self._folder, self._store, self._redis = folder, store, redis
        self._apps: dict[str, Laravel] = {}

    def configuration(self, name: str, processes: int, *, bus: bool) -> None:
        settings = {
            **self._store.settings,
            "BRIDGE_PROCESSES": str(processes),
            "BRIDGE_LIMIT_MESSAGES_PER_SECOND": "1000000",
            **({"BRIDGE_BUS": "default"} if bus else {}),
        }
        self._apps[name] = Laravel.create(self._folder / f"app-{len(self._apps)}", settings)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._apps)

    def run(self, name: str, load: Load) -> Cost:
        """The load on a fresh bridge. Raises when anything was lost."""
        app = self._apps[name]
        with bridge_serve(app, patience=240) as bridge:
            found = children(bridge)
            pids = [pid for those in found.values() for pid in those]
            wait_until("it is ready", lambda: _is_ready(bridge.port))
            wait_until_idle(bridge.process.pid)
            figures = self._load(bridge.port, load, [bridge.process.pid, *pids])
        spent = figures["server_cpu_s_each" if load.words[0] == "fanout" else "connect_cpu_s_each"]
        units = figures[load.unit]
        *bridge_spent, redis_spent = (seconds / units * 1e6 for seconds in spent)
        rate = figures["deliveries_per_s" if load.words[0] == "fanout" else "connect_rate"]
        return Cost(bridge=sum(bridge_spent), busiest=max(bridge_spent), redis=redis_spent, rate=rate)

    def _load(self, port: int, load: Load, pids: Sequence[int]) -> dict[str, Any]:
        options = {
            "port": port,
            "timeout": 300,
            "key": APP_KEY,
            "app-id": APP_ID,
            "secret": APP_SECRET,
            "server-pid": ",".join(map(str, [*pids, self._redis.pid])),
        }
        flags = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        done = subprocess.run(
            [str(self._generator), *load.words, *flags], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"the load did not come through: {done.stdout}{done.stderr}")
        figures: dict[str, Any] = json.loads(done.stdout)
        return figures


def _is_ready(port: int) -> bool:
    return httpx.get(f"http://127.0.0.1:{port}/ready", timeout=60).status_code == 200


def report(bench: Bench, *, rounds: int, scale: float) -> int:
    """The tables are printed; 1 if a target was missed."""
    missed = False
    print(
        f"{'CPU-µs a unit':30}{'processes':>10}{'bridge':>9}{'busiest':>9}{'Redis':>8}{'gain':>7}{'even':>7}"
        f"{'two cores':>11}{'by clock':>10}{'rate':>10}"
    )
    for load in loads(scale):
        costs: dict[str, list[Cost]] = {name: [] for name in bench.names}
        for _ in range(rounds):
            for name, found in costs.items():
                found.append(bench.run(name, load))
        alone, rate = median(costs[ALONE]).bridge, median(costs[ALONE]).rate
        for name, found in costs.items():
            cost = median(found)
            gain = alone / cost.busiest
            even = (1 if name == ALONE else int(name)) * alone / cost.bridge
            of_two = f"{2 * alone / (cost.bridge + cost.redis):11.2f}" if name == "2" else " " * 11
            is_below = name == "2" and gain < TARGET
            missed |= is_below
            mark = f"  BELOW the target of {TARGET:g}" if is_below else ""
            print(
                f"{load.name:30}{name:>10}{cost.bridge:9.1f}{cost.busiest:9.1f}{cost.redis:8.1f}{gain:7.2f}"
                f"{even:7.2f}{of_two}{cost.rate / rate:10.2f}{cost.rate:10,.0f}{mark}",
                flush=True,
            )
    return int(missed)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one short round: does it run, not how fast")
    parser.add_argument("--processes", type=int, nargs="+", default=[2, 3, 4])
    given = parser.parse_args()
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        print("processes: needs a C compiler", file=sys.stderr)
        return 2
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bridge-bench-")))
        redis = stack.enter_context(services.redis_server())
        store = stack.enter_context(open_store("redis", folder, lambda _: redis))
        bench = Bench(folder, compiler, store, redis)
        bench.configuration(ALONE, 1, bus=False)
        bench.configuration("1", 1, bus=True)
        for number in [2] if given.quick else given.processes:
            bench.configuration(str(number), number, bus=True)
        return report(bench, rounds=1 if given.quick else 3, scale=0.1 if given.quick else 1.0)


if __name__ == "__main__":
    raise SystemExit(main())
