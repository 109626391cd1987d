"""A process of a bridge of several, seen from inside: what it inherits from its parent, and the line to it.

Both sides write JSON objects, one a line. The parent says when to stop and how, when jobs may be taken, and
how the others are; this process says that it serves, and once a second how it is. When the line ends the
parent is gone, and this process stops as well.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bridge.serve.counts import SharedCounts
from bridge.serve.inheritance import Inheritance
from bridge.sockets.pusher.close_codes import OVER_CAPACITY, RECONNECT
from bridge.sockets.server.binding import Listening

STATE_INTERVAL = 1.0  # seconds
ALONE = 5.0  # after a SIGTERM in which the parent says whether it has got one too


class Child:
    """On the loop: `start`, then `serves` once, then `end`. `state` is asked every second."""

    def __init__(self, given: Inheritance) -> None:
        for descriptor in given.descriptors:
            os.set_inheritable(descriptor, False)
        self.name, self.role = given.name, given.role
        self.address, self.is_first = given.address, given.is_first
        self.folder = Path(given.folder)
        self.private = socket.socket(fileno=given.private)
        self.listening = Listening([socket.socket(fileno=number) for number in given.listening], is_kept=True)
        self.may_take_jobs = asyncio.Event()
        self.code = RECONNECT if given.is_kept else OVER_CAPACITY
        self.spread = 0.0
        self.is_whole_stopping = False
        self.others: Mapping[str, Mapping[str, Any]] = {}  # name → how each process is, this one too
        self.clients = (0, 0)  # connections and subscriptions of all processes, as last reported
        self._counts = SharedCounts(given.counts)
        self._place = given.place
        self._line = socket.socket(fileno=given.line)
        self._is_ending = False
        self._is_parent_stopping = False
        self._received = b""

    def start(
        self,
        stopping: asyncio.Event,
        count: Callable[[], int],
        clients: Callable[[], tuple[int, int]],
        state: Callable[[], object],
    ) -> None:
        """`stopping` is set when the parent says so, or is gone; `count`: of all that is connected here;
        `clients`: WebSockets, and their subscriptions."""
        self._stopping, self._count, self._clients, self._state = stopping, count, clients, state
        self._loop = asyncio.get_running_loop()
        self._line.setblocking(False)
        self._loop.add_reader(self._line, self._hear)
        # whoever presses Ctrl-C means the parent
        self._loop.add_signal_handler(signal.SIGINT, lambda: None)
        self._tick()

    def serves(self) -> None:
        """Clients are taken, or jobs could be."""
        if self.role == "sockets":
            self._loop.add_signal_handler(signal.SIGTERM, self._terminated)
        self.share()
        self._send({"serves": True})

    def _terminated(self) -> None:
        """A SIGTERM to all processes means the parent, which ends the jobs before the clients; one to this
        process alone ends it a while later. The next ends it as if there were no handler."""
        self._loop.remove_signal_handler(signal.SIGTERM)
        self._loop.call_later(ALONE, self._end_alone)

    def _end_alone(self) -> None:
        if not self._is_parent_stopping:
            self._stopping.set()

    def rereads(self, is_done: bool) -> None:
        """Tells the parent that what SIGHUP asks for is done, or has failed."""
        self._send({"reread": is_done})

    def share(self) -> None:
        """Tells the others how many clients are here."""
        if self.role == "sockets" and not self._is_ending:
            self._counts.set(self._place, self._count())

    def yields(self, count: int) -> bool:
        """Whether another process should take the next client."""
        self._counts.set(self._place, count)
        return self._counts.has_fewer(self._place, count)

    def beside(self) -> int:
        """Clients of the other processes."""
        return self._counts.beside(self._place)

    def end(self) -> None:
        """Takes no further client."""
        self._is_ending = True
        self._counts.set(self._place, None)

    def ready(self) -> dict[str, Any]:
        """What `/ready` says: of the whole, as its processes last reported."""
        jobs = self.others.get("jobs", {})
        of_jobs = {name: value for name, value in jobs.items() if name not in ("ready", "queue", "bus")}
        own = self._state()
        return {
            "ready": bool(jobs.get("ready")),
            "queue": bool(jobs.get("queue")),
            **of_jobs,
            **(own if isinstance(own, dict) else {}),
            "draining": self.is_whole_stopping,
            "processes": {name: bool(one) for name, one in sorted(self.others.items())},
        }

    def _tick(self) -> None:
        self.share()
        self._send({"state": self._state(), "clients": self._clients()})
        self._loop.call_later(STATE_INTERVAL, self._tick)

    def _send(self, message: Mapping[str, object]) -> None:
        with contextlib.suppress(OSError):  # the parent is gone, which `_hear` sees, or busy
            self._line.send(json.dumps(message).encode() + b"\n")

    def _hear(self) -> None:
        try:
            data = self._line.recv(65_536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._loop.remove_reader(self._line)
            self._stopping.set()
            return
        *lines, self._received = (self._received + data).split(b"\n")
        for line in lines:
            message = json.loads(line)
            self.others = message.get("others", self.others)
            self.clients = message.get("clients", self.clients)
            self._is_parent_stopping = message.get("stopping", self._is_parent_stopping)
            if message.get("take_jobs"):
                self.may_take_jobs.set()
            if "stop" in message:
                self.code, self.spread = message["stop"]["code"], message["stop"]["spread"]
                self.is_whole_stopping = message["stop"]["whole"]
                self._stopping.set()
