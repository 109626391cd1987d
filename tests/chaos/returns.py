"""Rows in which all clients lose their connections at once and come back: CLIENTS of real pusher-js and
VERY_MANY light ones.

With 10,000 clients in all the machine needs two cores beside those that the clients take (about two more),
net.core.somaxconn and net.ipv4.tcp_max_syn_backlog of 16384 (else connects wait for TCP to try again after
one and three seconds), and 24,000 open files (`ulimit -Hn`). Nothing else may run: the rows judge times.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import httpx

from bridge.sockets.pusher import signatures
from tests.chaos.crowd import Seen, light_crowd
from tests.chaos.ground import Ground
from tests.chaos.light_clients import LIVE
from tests.chaos.rig import Figures, Rig
from tests.chaos.rolls import CLIENTS, EVENT, VERY_MANY, allow_files, away, last_of, served
from tests.end_to_end.bridge import Bridge, children
from tests.end_to_end.laravel import APP_ID, APP_KEY, APP_SECRET
from tests.threads import repeatedly

LATEST, LATEST_SIGNED = 10.0, 15.0  # seconds in which all are subscribed again
ROOM = 100  # clients that share a presence channel
WATCHERS = 20  # light clients that tell how late LIVE events come
LIVE_PAUSE = 0.05  # seconds between two of these
LIVE_LATE = 250.0  # ms in which 99 % of them come, at those that are back
GROWTH = 1.5  # times the memory that the processes of sockets had before may be taken at most
DIED = "a process has ended and is started again"  # as the parent logs it


def all_return(ground: Ground) -> Figures:
    """Both processes with sockets are killed; all are back within LATEST."""
    return _all_return(ground, latest=LATEST, room=0, private=False)


def all_return_signed(ground: Ground) -> Figures:
    """The same with a private channel and a presence channel for each, within LATEST_SIGNED."""
    return _all_return(ground, latest=LATEST_SIGNED, room=ROOM, private=True)


def _all_return(ground: Ground, *, latest: float, room: int, private: bool) -> Figures:
    allow_files()
    slowest = late = growth = 0.0
    with contextlib.ExitStack() as stack:
        rig, bridge, pages = stack.enter_context(served(ground, private=private, room=room))
        folder = Path(ground.folder)
        options = {"first": CLIENTS, "room": room, "private": private}
        light = stack.enter_context(
            light_crowd(bridge.port, VERY_MANY, folder / "light.txt", channel="lines", event=EVENT, **options)
        )
        watchers = stack.enter_context(
            light_crowd(bridge.port, WATCHERS, folder / "watchers.txt", channel="live-only", event=EVENT)
        )
        crowds = {"pusher-js": pages, "light": light, "watchers": watchers}
        seen = {name: crowd.wait(f"all {name} are subscribed") for name, crowd in crowds.items()}
        delays: list[float] = []
        stack.enter_context(_live(bridge.port))
        for trial in range(ground.trials):
            before = _memory(bridge, "VmRSS")
            for crowd in crowds.values():
                crowd.look()  # what was late until now does not count
            began = time.monotonic()
            killed = _kill(bridge)
            for name, crowd in crowds.items():
                back = crowd.wait(f"all {name} are back", connections=trial + 2)
                late = max(late, back.late)
                delays += back.delays
            slowest = max(slowest, time.monotonic() - began)
            growth = max(growth, _memory(bridge, "VmHWM") / before)
            for name in ("pusher-js", "light"):
                what = f"all {name} have the last"
                seen[name] = last_of(rig, crowds[name], what, connections=trial + 2)
            deaths = bridge.log.read_text().count(DIED)
            rig.must(deaths == killed * (trial + 1), f"{deaths} processes ended, {killed} killed a trial")
        _judge(rig, seen, slowest=slowest, latest=latest, growth=growth, delays=delays)
        note = (
            f"{CLIENTS} clients of pusher-js, {VERY_MANY} light ones; all back after {slowest:.1f} s at most,"
            f" each away {away(seen['pusher-js'])} and {away(seen['light'])};"
            f" live events after {_at(delays):.0f} ms (99 % of {len(delays)});"
            f" memory at most {growth:.2f} times that before;"
            f" {sum(one.removed for one in seen.values())} members said to be gone;"
            f" somaxconn {_somaxconn()}; the clients' own processes lost up to {late / 1000:.1f} s of 10"
        )
        return Figures(trials=ground.trials, jobs=rig.jobs, broken=tuple(rig.broken), note=note)


def _judge(
    rig: Rig, seen: dict[str, Seen], *, slowest: float, latest: float, growth: float, delays: list[float]
) -> None:
    rig.must(slowest <= latest, f"all were back after {slowest:.1f} s only")
    rig.must(growth <= GROWTH, f"the processes took {growth:.2f} times the memory that they had before")
    rig.must(bool(delays), "no live event came to those who were back")
    rig.must(_at(delays) <= LIVE_LATE, f"live events came after {_at(delays):.0f} ms")
    for name, one in seen.items():
        ended = one.states.get("disconnected", 0) + one.states.get("failed", 0)
        rig.must(not ended, f"{ended} times a client of {name} was disconnected for good or refused")
        rig.must(not one.disordered, f"{one.disordered} events out of order, of {name}")
        rig.must(not one.twice, f"{one.twice} events twice, of {name}")


def _kill(bridge: Bridge) -> int:
    """All processes with sockets, at once; how many these were."""
    pids = _with_sockets(bridge)
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    return len(pids)


def _with_sockets(bridge: Bridge) -> list[int]:
    return [pid for name, pids in children(bridge).items() if name.startswith("sockets") for pid in pids]


def _memory(bridge: Bridge, what: str) -> int:
    """Of all processes with sockets: a line of their /proc/PID/status, in KiB."""
    lines = [
        line.split()
        for pid in _with_sockets(bridge)
        for line in Path(f"/proc/{pid}/status").read_text().splitlines()
    ]
    return sum(int(words[1]) for words in lines if words and words[0] == f"{what}:")


def _at(delays: list[float]) -> float:
    return sorted(delays)[int(0.99 * len(delays))] if delays else 0.0


def _somaxconn() -> int:
    return int(Path("/proc/sys/net/core/somaxconn").read_text())


@contextlib.contextmanager
def _live(port: int) -> Iterator[None]:
    """LIVE events are posted all the time, on one connection for as long as that lasts."""
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:

        def post() -> None:
            with contextlib.suppress(httpx.TransportError):  # whoever had it was killed
                _post(client)

        with repeatedly(post, LIVE_PAUSE):
            yield


def _post(client: httpx.Client) -> None:
    path, data = f"/apps/{APP_ID}/events", json.dumps({"at": time.monotonic()})
    body = json.dumps({"name": LIVE, "channel": "live-only", "data": data}).encode()
    query = {
        "auth_key": APP_KEY,
        "auth_timestamp": str(int(time.time())),
        "auth_version": "1.0",
        "body_md5": hashlib.md5(body).hexdigest(),
    }
    query["auth_signature"] = signatures.sign(APP_SECRET, signatures.api_text("POST", path, query.items()))
    client.post(path, params=query, content=body)
