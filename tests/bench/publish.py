"""CPU per publish over the HTTP API, against an HTTP server of the same stack that only answers `{}`.

    python -m tests.bench.publish [--quick]

100,000 events a case, each signed as the SDKs sign them, over kept connections. The server's CPU time is what
counts, so the client need not be fast. Rounds take turns, medians count; ends with 1 when a target is missed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from bridge.sockets.pusher import signatures
from tests.bench.fanout import free_port, wait_for
from tests.bench.node_server import APP
from tests.bench.workers import cpu_seconds

DATA = json.dumps({"order": {"id": 4711, "state": "shipped", "note": "x" * 120}})
CHUNK = 20_000  # requests made ready at a time, before the clock runs
PATIENCE = 120.0  # seconds without an answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One way to publish; `ratio` is the most that it may cost of what the floor costs, per request."""

    name: str
    server: str = "tests.bench.node_server"
    subscribers: int = 0
    events_per_request: int = 1
    ratio: float


FLOOR = Case(name="floor: a post answered with {}", server="tests.bench.http_floor", ratio=1.0)
CASES = (
    FLOOR,
    Case(name="one event, nobody listens", ratio=2.5),
    Case(name="one event, one subscriber", subscribers=1, ratio=3.5),
    Case(name="batch of 10, one subscriber", subscribers=1, events_per_request=10, ratio=6.0),
)


def main() -> int:
    arguments = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    arguments.add_argument("--quick", action="store_true", help="one short round: does it run, not how fast")
    quick = arguments.parse_args().quick
    return report(events=5_000 if quick else 100_000, rounds=1 if quick else 3)


def report(*, events: int, rounds: int) -> int:
    """The table is printed; 1 if a target was missed."""
    costs: dict[str, list[float]] = {case.name: [] for case in CASES}
    for _ in range(rounds):
        for case in CASES:
            costs[case.name].append(measure(case, events // case.events_per_request))
    floor = statistics.median(costs[FLOOR.name])
    missed = False
    print(f"{'CPU-µs':32}{'a request':>10}{'an event':>10}{'ratio':>8}{'target':>8}")
    for case in CASES:
        cost = statistics.median(costs[case.name])
        ratio = cost / floor
        missed |= ratio > case.ratio
        mark = "" if ratio <= case.ratio else "  missed"
        event = cost / case.events_per_request
        print(f"{case.name:32}{cost:10.1f}{event:10.1f}{ratio:8.2f}{case.ratio:8.2f}{mark}", flush=True)
    alone, heard = (statistics.median(costs[case.name]) for case in CASES[1:3])
    print(f"{'of which the delivery':32}{heard - alone:10.1f}")
    return int(missed)


def measure(case: Case, requests: int) -> float:
    """CPU-µs of the server per request. Raises when an answer is not 200 or an event was lost."""
    with serving(case.server) as (process, port):
        publisher = Publisher(port, case.events_per_request)
        publisher.send(min(requests, 500))  # warm
        received = [Subscriber(port) for _ in range(case.subscribers)]
        spent = 0.0
        for at in range(0, requests, CHUNK):
            ready = publisher.prepare(min(CHUNK, requests - at))
            before = cpu_seconds(process.pid)
            publisher.post(ready)
            spent += cpu_seconds(process.pid) - before
        publisher.close()
        for subscriber in received:
            subscriber.expect(requests * case.events_per_request)
    return spent / requests * 1e6


class Publisher:
    """Posts one request after the other over one kept connection."""

    def __init__(self, port: int, events_per_request: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._batch = events_per_request
        self._count = 0

    def send(self, requests: int) -> None:
        self.post(self.prepare(requests))

    def prepare(self, requests: int) -> list[bytes]:
        return [self._request() for _ in range(requests)]

    def post(self, requests: Sequence[bytes]) -> None:
        for request in requests:
            self._socket.sendall(request)
            answer = self._socket.recv(65_536)
            while answer and not answer.endswith(b"}"):
                answer += self._socket.recv(65_536)
            if not (answer.startswith(b"HTTP/1.1 200") and answer.endswith(b"{}")):
                raise RuntimeError(f"the server answered {answer[:200]!r}")

    def close(self) -> None:
        self._socket.close()

    def _request(self) -> bytes:
        self._count += 1
        event = {"name": "App\\Events\\OrderShipped", "data": f'{DATA[:-1]}, "n": {self._count}}}'}
        if self._batch == 1:
            path = f"/apps/{APP.id}/events"
            body = json.dumps({**event, "channels": ["orders"]}).encode()
        else:
            path = f"/apps/{APP.id}/batch_events"
            body = json.dumps({"batch": [{**event, "channel": "orders"}] * self._batch}).encode()
        query = {
            "auth_key": APP.key,
            "auth_timestamp": str(int(time.time())),
            "auth_version": "1.0",
            "body_md5": hashlib.md5(body).hexdigest(),
        }
        query["auth_signature"] = signatures.sign(
            APP.secret, signatures.api_text("POST", path, query.items())
        )
        asked = "&".join(f"{name}={value}" for name, value in query.items())
        return (
            f"POST {path}?{asked} HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: GuzzleHttp/7\r\n"
            f"Content-Type: application/json\r\nX-Pusher-Library: pusher-http-php 7.2.6\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        ).encode() + body


class Subscriber:
    """A client of the channel that counts what it gets, on a thread of its own."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        upgrade = (
            f"GET /app/{APP.key} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        subscribe = b'{"event":"pusher:subscribe","data":{"channel":"orders"}}'
        self._socket.sendall(upgrade.encode())
        self._await(b"connection_established")
        self._socket.sendall(bytes((0x81, 0x80 | len(subscribe), 0, 0, 0, 0)) + subscribe)
        self._await(b"subscription_succeeded")
        self._found = 0
        self._thread = threading.Thread(target=self._count)
        self._thread.start()

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()

    def expect(self, events: int) -> None:
        """All of them have come; raises when they have not."""
        deadline = time.monotonic() + PATIENCE
        while self._found < events and time.monotonic() < deadline:
            time.sleep(0.01)
        self.close()
        if self._found != events:
            raise RuntimeError(f"{self._found} of {events} events arrived")

    def _await(self, word: bytes) -> None:
        known = b""
        while word not in known:
            known += self._socket.recv(65_536)

    def _count(self) -> None:
        word, rest = b"OrderShipped", b""
        while data := self._socket.recv(1_048_576):
            rest += data
            self._found += rest.count(word)
            # what may be the beginning of the word stays, a whole one does not
            rest = rest[-(len(word) - 1) :] if not rest.endswith(word) else b""


@contextmanager
def serving(module: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    port = free_port()
    command = ["taskset", "-c", "0", sys.executable, "-m", module, str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            wait_for(port)
            yield process, port
        finally:
            process.terminate()


if __name__ == "__main__":
    raise SystemExit(main())
