"""Rows in which bridge is replaced under many clients."""

from __future__ import annotations

import contextlib
import os
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

from tests import services
from tests.bench.workers import cpu_seconds
from tests.chaos.crowd import Crowd, Seen, crowd, light_crowd
from tests.chaos.ground import Ground
from tests.chaos.rig import PATIENCE, Figures, Rig
from tests.end_to_end.bridge import COMMAND, Bridge, bridge_serve
from tests.end_to_end.laravel import ROOT
from tests.end_to_end.processes import environment, running, wait_until
from tests.end_to_end.stores import NOTHING
from tests.end_to_end.test_restarts import ACTIVATE, knocking

EVENT = "App\\Events\\LineSaid"
CLIENTS = int(os.environ.get("CHAOS_CLIENTS", "1000"))
ROOM = 20  # clients that share a presence channel
VERY_MANY = int(os.environ.get("CHAOS_LIGHT_CLIENTS", "9000"))
LATEST = 10.0  # seconds after SIGTERM in which VERY_MANY are back
RATE = 10  # events a second, each to all clients: as many as a machine can follow that runs the clients too
BACKLOG = 16_384  # connections that wait until they are accepted, as far as the system lets them
# ms; pusher-js calls a connection unavailable that has not come about after 10 s. If its own process lost so
# much of them, that tells nothing of bridge.
STARVED = 5_000.0


@contextlib.contextmanager
def served(
    ground: Ground, *, resume: bool = False, private: bool = False, room: int = ROOM
) -> Iterator[tuple[Rig, Bridge, Crowd]]:
    """Two processes on a bus, and CLIENTS of real pusher-js, all of which are subscribed."""
    with contextlib.ExitStack() as stack:
        redis = stack.enter_context(services.redis_server())
        settings = {
            **redis.env,
            "BRIDGE_BUS": "default",
            "BRIDGE_PROCESSES": "2",
            "BRIDGE_NATIVE_TRUST": "proven",
            "BRIDGE_PRESENCE_GRACE": "5",
            **({"BRIDGE_RESUME_SECONDS": "60"} if resume else {}),
        }
        rig = stack.enter_context(ground.rig(settings=settings))
        rig.know("line")
        bridge = stack.enter_context(bridge_serve(rig.app, patience=PATIENCE))
        log = Path(ground.folder) / "crowd.txt"
        options = {"room": room, "private": private, "resume": resume}
        clients = stack.enter_context(
            crowd(bridge.port, CLIENTS, log, channel="lines", event=EVENT, **options)
        )
        clients.wait("everybody is subscribed")
        yield rig, bridge, clients


def allow_files() -> None:
    """As many open files as the system lets this process and its children have."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _reload(rig: Rig) -> str:
    """What it says; empty when it went well."""
    command = [*COMMAND, "reload", "--app", str(rig.app.path)]
    done = subprocess.run(
        command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    return "" if done.returncode == 0 else f"the reload ended with {done.returncode}: {done.stderr}"


def last_of(rig: Rig, clients: Crowd, what: str, *, connections: int) -> Seen:
    wait_until("the queue is empty", lambda: rig.store.left() == NOTHING, timeout=PATIENCE)
    rig.push("line")
    return clients.wait(what, connections=connections, last=rig.jobs)


def _roll(ground: Ground, *, resume: bool) -> Figures:
    moved = 0
    with served(ground, resume=resume) as (rig, bridge, clients):
        seen = clients.look()
        with knocking(bridge.port) as refused:
            for trial in range(ground.trials):
                with rig.flow(RATE, kinds=("line",)):
                    said = _reload(rig)
                    rig.must(not said, said)
                    clients.wait("everybody has moved", connections=trial + 2)
                seen = last_of(rig, clients, "everybody has the last", connections=trial + 2)
                moved = sum(number != trial + 2 for number in seen.connections)
                rig.must(not moved, f"{moved} clients moved more than once in reload {trial + 1}")
        rig.must(not refused, f"{len(refused)} connects were refused: {refused[:1]}")
        rig.must(not seen.disordered, f"{seen.disordered} events out of order")
        rig.must(not seen.removed, f"{seen.removed} members were said to be gone")
        rig.must(not seen.gaps, f"{seen.gaps} gaps")
        if resume:  # else one that moves misses what comes meanwhile, or gets it from both processes
            rig.must(not seen.holes + seen.twice, f"{seen.holes} events missed, {seen.twice} twice")
        bad = {state: times for state, times in seen.states.items() if state in ("unavailable", "failed")}
        rig.must(not bad, f"clients became {bad}")
        note = (
            f"{CLIENTS} clients; away {away(seen)}; {seen.received} events received, {seen.holes} missed,"
            f" {seen.twice} twice"
        )
        return Figures(trials=ground.trials, jobs=rig.jobs, broken=tuple(rig.broken), note=note)


def away(seen: Seen) -> str:
    median, most, longest = (seen.away_at(share) for share in (0.5, 0.99, 1.0))
    return f"{median:.0f} ms (median), {most:.0f} (99 %), {longest:.0f} at most"


def roll(ground: Ground) -> Figures:
    """`bridge reload` of two processes, again and again, under a steady flow: without resume."""
    return _roll(ground, resume=False)


def roll_with_resume(ground: Ground) -> Figures:
    """The same, and nobody misses anything."""
    return _roll(ground, resume=True)


def restart(ground: Ground) -> Figures:
    """SIGTERM and a new start, again and again, while the service manager keeps the port."""
    return _restart(ground, CLIENTS, partial(crowd, room=ROOM, private=False, resume=False))


def restart_under_very_many(ground: Ground) -> Figures:
    """The same with light clients. All of them must be back within LATEST."""
    return _restart(ground, VERY_MANY, light_crowd, latest=LATEST)


def _restart(
    ground: Ground,
    number: int,
    start_clients: Callable[..., AbstractContextManager[Crowd]],
    *,
    latest: float = 0.0,
) -> Figures:
    allow_files()
    slowest = late = cpu = 0.0
    with contextlib.ExitStack() as stack:
        rig = stack.enter_context(ground.rig(settings={"BRIDGE_NATIVE_TRUST": "proven"}))
        rig.know("line")
        kept = stack.enter_context(socket.create_server(("127.0.0.1", rig.app.port), backlog=BACKLOG))
        bridge = stack.enter_context(_activated(rig, kept, "bridge-0"))
        log = Path(ground.folder) / "crowd.txt"
        clients = stack.enter_context(start_clients(bridge.port, number, log, channel="lines", event=EVENT))
        seen = clients.wait("everybody is subscribed")
        refused = stack.enter_context(knocking(bridge.port))
        for trial in range(ground.trials):
            began = time.monotonic()
            code = bridge.terminate()
            rig.must(code == 0, f"stop {trial + 1}: exit {code}")
            bridge = stack.enter_context(_activated(rig, kept, f"bridge-{trial + 1}"))
            back = clients.wait("everybody is back", connections=trial + 2)
            slowest = max(slowest, time.monotonic() - began)
            late, cpu = max(late, back.late), max(cpu, cpu_seconds(bridge.process.pid))
            more = back.states.get("unavailable", 0) - seen.states.get("unavailable", 0)
            told = f"{more} clients became unavailable, whose own process lost {back.late:.0f} ms of 10 s"
            rig.must(not more or back.late >= STARVED, told)
            seen = last_of(rig, clients, "everybody has the last", connections=trial + 2)
        rig.must(not refused, f"{len(refused)} connects were refused: {refused[:1]}")
        failed = seen.states.get("failed", 0)
        rig.must(not failed, f"{failed} clients gave up")
        rig.must(not seen.holes + seen.twice, f"{seen.holes} events missed, {seen.twice} twice")
        if latest:
            rig.must(slowest <= latest, f"all were back after {slowest:.1f} s only")
        note = f"{number} clients; all back after {slowest:.1f} s at most; each away {away(seen)};"
        note += (
            f" their own process lost up to {late / 1000:.1f} s of 10; a start of bridge and all returns took"
        )
        note += f" {cpu:.1f} s of its CPU at most"
        return Figures(trials=ground.trials, jobs=rig.jobs, broken=tuple(rig.broken), note=note)


@contextlib.contextmanager
def _activated(rig: Rig, kept: socket.socket, name: str) -> Iterator[Bridge]:
    """As systemd starts it, with the socket that it keeps."""
    log = rig.app.path / "storage/logs" / f"{name}.txt"
    command = [sys.executable, "-c", ACTIVATE, str(kept.fileno()), *COMMAND, "serve"]
    with running(
        [*command, "--app", str(rig.app.path)],
        cwd=ROOT, log=log, env=environment(PYTHONUNBUFFERED="1"), pass_fds=(kept.fileno(),),
    ) as process:  # fmt: skip
        wait_until("it listens", lambda: f":{rig.app.port}\n" in log.read_text(), timeout=PATIENCE)
        yield Bridge(process=process, port=rig.app.port, log=log)
