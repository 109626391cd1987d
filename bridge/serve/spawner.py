"""Starts the child processes of the parent, each with a line to it and a private socket."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bridge.serve.counts import SharedCounts
from bridge.serve.inheritance import Inheritance, Role
from bridge.sockets.server.binding import Listening


@dataclass(slots=True)
class Process:
    """A child. `heard_at`: when it said something last; `kill_at`: when its time to end is over."""

    name: str
    role: Role
    pid: int
    place: int
    line: socket.socket
    path: str  # of its private socket
    started_at: float
    heard_at: float
    serves: bool = False
    is_ending: bool = False
    kill_at: float | None = None
    state: dict[str, Any] = field(default_factory=dict)
    clients: tuple[int, int] = (0, 0)  # connections and subscriptions
    reread: bool | None = None
    received: bytes = b""


class Spawner:
    """`command`: what starts a child. `folder`: of all private sockets. `numbers`: children so far."""

    def __init__(self, command: Sequence[str], listening: Listening) -> None:
        self._command = list(command)
        self._listening = listening
        self.counts = SharedCounts.new()
        folder = os.environ.get("RUNTIME_DIRECTORY", "").partition(":")[0] or None
        self.folder = Path(tempfile.mkdtemp(prefix="bridge-", dir=folder))
        self.numbers = 0

    def adopt(self, counts: int, folder: str, numbers: int) -> None:
        """Goes on with what the program before has left, in place of its own."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder = Path(folder)
        os.set_inheritable(counts, False)
        self.counts = SharedCounts(counts)
        self.numbers = numbers

    def start(
        self, name: str, role: Role, *, place: int, is_kept: bool, is_first: bool, address: str | None
    ) -> Process:
        """Starts a child. `place`: its own in the counts; the rest as in `Inheritance`. Raises OSError."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        self.numbers += 1
        path = str(self.folder / f"{name}.{self.numbers}")
        private = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        private.bind(path)
        private.listen(128)
        self.counts.set(place, None)
        clients = [sock.fileno() for sock in self._listening.sockets] if role == "sockets" else []
        given = Inheritance(
            name=name,
            role=role,
            line=theirs.fileno(),
            counts=self.counts.descriptor,
            place=place,
            private=private.fileno(),
            folder=str(self.folder),
            listening=clients,
            is_kept=is_kept,
            is_first=is_first,
            address=address,
        )
        for descriptor in given.descriptors:
            os.set_inheritable(descriptor, True)
        try:
            pid = os.posix_spawn(
                self._command[0],
                [*self._command, "--child", name],
                {**os.environ, **given.environ()},
                setsigmask=(),
            )
        finally:
            for descriptor in given.descriptors:
                os.set_inheritable(descriptor, False)
            theirs.close()
            private.close()
        now = time.monotonic()
        return Process(name, role, pid, place, ours, path, now, now)

    def address(self, process: Process) -> Path:
        """Where the others find it."""
        return self.folder / f"{process.name}.sock"

    def lead_to(self, process: Process) -> None:
        """Lets the others find this process, and no other of its name."""
        with contextlib.suppress(OSError):
            os.rename(process.path, self.address(process))
