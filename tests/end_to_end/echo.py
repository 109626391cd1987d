"""Echo clients: a Node process runs them, in itself or in Chromium, told what to do over a pipe."""

from __future__ import annotations

import contextlib
import itertools
import json
import queue
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from tests.end_to_end.laravel import APP_KEY, BROWSER, TOKENS
from tests.end_to_end.processes import PATIENCE, environment, running, wait_until

Place = Literal["node", "chromium"]
Happened = dict[str, Any]


class Client:
    """One Echo client; `happened` holds what it told, in order."""

    def __init__(self, driver: Driver, name: str) -> None:
        self._driver = driver
        self.name = name
        self.happened: list[Happened] = []

    def do(self, command: str, **arguments: Any) -> dict[str, Any]:
        """The driver's answer; AssertionError if the client threw."""
        return self._driver.ask(client=self.name, do=command, **arguments)

    def connect(self, *, port: int, app: str, user: str, tls: bool = False) -> str:
        """Connected to bridge as a user of the app; the socket_id. `tls` is Echo's forceTLS."""
        answer = self.do(
            "connect", key=APP_KEY, host="127.0.0.1", port=port, app=app, token=TOKENS[user], tls=tls
        )
        socket_id: str = answer["socket_id"]
        return socket_id

    def listen(
        self, kind: str, channel: str, *, events: tuple[str, ...] = (), whispers: tuple[str, ...] = ()
    ) -> None:
        """Subscribed, the server has confirmed it; event names as Echo takes them (`.name` is exact)."""
        answer = self.do("listen", kind=kind, channel=channel, events=events, whispers=whispers)
        assert answer == {"subscribed": channel}

    def whisper(self, channel: str, event: str, data: object) -> None:
        self.do("whisper", channel=channel, event=event, data=data)

    def leave(self, channel: str) -> None:
        self.do("leave", channel=channel)

    def catch_up(self) -> None:
        """All that the server wrote to this client before now is in `happened`."""
        self.do("catchUp")

    def close(self) -> None:
        self.do("close")

    def saw(self, happened: str, **equal: object) -> list[Happened]:
        """What happened of that kind, with these values."""
        wanted = {"happened": happened, **equal}
        return [it for it in list(self.happened) if wanted.items() <= it.items()]

    def received(self, tag: str) -> list[Happened]:
        """The events and whispers that bear the tag somewhere in their data."""
        return [it for it in list(self.happened) if "event" in it and tag in json.dumps(it["data"])]

    def await_received(self, tag: str) -> list[Happened]:
        return wait_until(f"{self.name} receives {tag}", lambda: self.received(tag))


class Driver:
    """Talks to driver.mjs: commands out; answers and happenings in, on a thread that ends with it."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._ids = itertools.count(1)
        self._answers: dict[int, queue.Queue[dict[str, Any]]] = {}
        self._clients: dict[str, Client] = {}
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def open(self, name: str, place: Place, *, page: str = "", pin: str = "") -> Client:
        """A client that is not connected yet; `page` is the address to load in Chromium.

        `pin` is the public key that Chromium believes without an authority; the first client's counts.
        """
        client = self._clients[name] = Client(self, name)
        executable = shutil.which("chromium") or shutil.which("chromium-browser") or "/usr/bin/chromium"
        self.ask(client=name, do="open", page=page, executable=executable, pin=pin, **{"in": place})
        return client

    def ask(self, **command: Any) -> dict[str, Any]:
        number = next(self._ids)
        answers: queue.Queue[dict[str, Any]] = queue.Queue()
        self._answers[number] = answers
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"id": number, **command}) + "\n")
        self._process.stdin.flush()
        try:
            line = answers.get(timeout=PATIENCE)
        except queue.Empty:
            raise AssertionError(f"no answer within {PATIENCE:g} s to {command}") from None
        assert "problem" not in line, line["problem"]
        answer: dict[str, Any] = line["answer"]
        return answer

    def join(self) -> None:
        self._reader.join(timeout=60)

    def _read(self) -> None:
        assert self._process.stdout is not None
        with contextlib.suppress(ValueError):  # closed under us at the end
            for text in self._process.stdout:
                line = json.loads(text)
                if "id" in line:
                    self._answers.pop(line["id"]).put(line)
                elif line["client"] in self._clients:
                    self._clients[line["client"]].happened.append(line)


@contextlib.contextmanager
def echo_driver(log: Path, **env: str) -> Iterator[Driver]:
    """Node runs and waits for commands; its clients and its browser end with the block."""
    assert (BROWSER / "node_modules").is_dir(), "run `npm ci` in fixtures/browser first (make test does)"
    with running(
        ["node", "driver.mjs"],
        cwd=BROWSER,
        log=log,
        env=environment(**env),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        driver = Driver(process)
        try:
            yield driver
        finally:
            assert process.stdin is not None
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=60)
            driver.join()
