"""Many clients that judge for themselves what they see: real pusher-js in fixtures/browser/crowd.mjs, or very
many light ones.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.end_to_end.laravel import APP_KEY, APP_SECRET, BROWSER, ROOT
from tests.end_to_end.processes import environment, running, wait_until

PATIENCE = 300.0  # seconds
PAUSE = 0.1  # seconds between looks: each costs the clients' process time


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What all clients have seen so far.

    subscribed   clients that are, to everything, at this moment
    connections  of each client, until now
    states       of pusher-js, how often entered
    away         ms from each loss of a connection until subscribed to everything again
    holes        events that came neither in their place nor later
    removed      members that were said to be gone
    last         number of the last event of each client
    delays       ms from the publish of a LIVE event until it came, since the last look; of light clients
    late         ms by which timers of the clients' own process came late within 10 s, in all, at most, since
                 the last look: the more, the less their times tell of bridge
    """

    subscribed: int
    connections: list[int]
    states: dict[str, int]
    away: list[float]
    received: int
    holes: int
    twice: int
    disordered: int
    gaps: int
    removed: int
    last: list[int]
    late: float
    delays: list[float] = field(default_factory=list)

    def away_at(self, share: float) -> float:
        """ms within which this share was back."""
        times = sorted(self.away)
        return times[min(len(times) - 1, int(share * len(times)))] if times else 0.0


class Crowd:
    def __init__(self, process: subprocess.Popen[str], clients: int) -> None:
        self._process = process
        self.clients = clients

    def look(self) -> Seen:
        return Seen(**self._answer("all"))

    def wait(self, what: str, *, connections: int = 1, last: int = 0) -> Seen:
        """Everybody is subscribed, has had so many connections at least, and the event with that number."""

        def reached() -> bool:
            time.sleep(PAUSE)
            least = self._answer("")
            subscribed, connected, received = least["subscribed"], least["connections"], least["last"]
            return bool(subscribed == self.clients and connected >= connections and received >= last)

        wait_until(what, reached, timeout=PATIENCE)
        return self.look()

    def _answer(self, line: str) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer


@contextlib.contextmanager
def crowd(
    port: int, clients: int, log: Path, *, channel: str, event: str, **options: object
) -> Iterator[Crowd]:
    """`options`: room, private, resume; they come back by themselves."""
    given = {"secret": APP_SECRET, "channel": channel, "event": event, **options}
    with _started(["node", "crowd.mjs"], BROWSER, port, clients, log, given) as there:
        yield there


@contextlib.contextmanager
def light_crowd(
    port: int, clients: int, log: Path, *, channel: str, event: str, **options: object
) -> Iterator[Crowd]:
    """The same with `tests.chaos.light_clients`; `options`: first, room, private."""
    command = [sys.executable, "-m", "tests.chaos.light_clients"]
    given = {"secret": APP_SECRET, "channel": channel, "event": event, **options}
    with _started(command, ROOT, port, clients, log, given) as there:
        yield there


@contextlib.contextmanager
def _started(
    command: list[str], folder: Path, port: int, clients: int, log: Path, options: dict[str, object]
) -> Iterator[Crowd]:
    given = {"key": APP_KEY, "port": port, "clients": clients, **options}
    with running(
        [*command, json.dumps(given)],
        cwd=folder, log=log, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as process:  # fmt: skip
        yield Crowd(process, clients)
