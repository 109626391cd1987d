"""Many clients of real pusher-js in one Node process, and what each of them has seen."""

from __future__ import annotations

import contextlib
import json
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.end_to_end.laravel import APP_KEY, BROWSER
from tests.end_to_end.processes import environment, running


class Swarm:
    """What the clients have told so far, by their number.

    states         of their connections, in order
    subscriptions  how often the server has confirmed one
    data           of the events received, in order
    """

    def __init__(self, process: subprocess.Popen[str], clients: int) -> None:
        self._process = process
        self.states: list[list[str]] = [[] for _ in range(clients)]
        self.subscriptions = [0] * clients
        self.data: list[list[Any]] = [[] for _ in range(clients)]
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def subscribed(self, times: int) -> bool:
        """Whether every client has been subscribed so often."""
        return min(self.subscriptions) >= times

    def _read(self) -> None:
        assert self._process.stdout is not None
        with contextlib.suppress(ValueError):  # closed under us at the end
            for text in self._process.stdout:
                line = json.loads(text)
                client = line["client"]
                if "state" in line:
                    self.states[client].append(line["state"])
                elif "subscribed" in line:
                    self.subscriptions[client] += 1
                else:
                    self.data[client].append(line["data"])


@contextlib.contextmanager
def swarm(port: int, clients: int, log: Path, *, channel: str, event: str) -> Iterator[Swarm]:
    """Clients of one channel, which note one kind of event; they come back by themselves."""
    options = {"key": APP_KEY, "port": port, "clients": clients, "channel": channel, "event": event}
    with running(
        ["node", "swarm.mjs", json.dumps(options)],
        cwd=BROWSER, log=log, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as process:  # fmt: skip
        yield Swarm(process, clients)
