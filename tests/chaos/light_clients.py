"""Very many clients in one process, where as many of real pusher-js would need more of a machine than bridge.

    python -m tests.chaos.light_clients JSON

They speak what a page on a few channels needs, and come back as pusher-js does: at once after a close with
4200 to 4299, after a second otherwise. The JSON, the lines on stdin and the answers are those of
fixtures/browser/crowd.mjs, without `resume`, and with `first`: the number of the first client, where another
crowd has those before. `unavailable`: away for ten seconds; `failed`: could not connect.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import sys
import time
from collections import Counter
from typing import Any, cast

import uvloop

UNAVAILABLE = 10.0  # seconds, of pusher-js
RETRY = 1.0  # seconds, of pusher-js
TICK = 0.1  # seconds
LIVE = "live"  # name of events whose data has `at`: when they were published, by the system's monotonic clock


class World:
    """What all of them know and have seen."""

    def __init__(self, given: dict[str, Any]) -> None:
        self.port, self.event = given["port"], given["event"]
        self.key, self.secret = given["key"], given["secret"].encode()
        self.upgrade = (
            f"GET /app/{self.key}?protocol=7&client=js&version=8.4.0&flash=false HTTP/1.1\r\n"
            "Host: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        ).encode()
        self.counts = dict.fromkeys(("received", "holes", "twice", "disordered", "gaps", "removed"), 0)
        self.states = Counter[str]()
        self.away: list[float] = []
        self.delays: list[float] = []
        self.late = 0.0
        first, room = given.get("first", 0), given.get("room", 0)
        self.clients = []
        for number in range(first, first + given["clients"]):
            names = [given["channel"]]
            names += [f"presence-room-{number // room}"] if room else []
            names += [f"private-{number}"] if given.get("private") else []
            self.clients.append(Client(self, number, names))

    def answer(self, line: str) -> dict[str, Any]:
        subscribed = sum(client.is_subscribed for client in self.clients)
        connections = [client.connections for client in self.clients]
        last = [client.last for client in self.clients]
        if not line:
            return {"subscribed": subscribed, "connections": min(connections), "last": min(last)}
        late, self.late = self.late, 0.0
        delays, self.delays = self.delays, []
        seen = {"subscribed": subscribed, "connections": connections, "last": last}
        seen |= {"late": late, "delays": delays}
        return {**self.counts, "states": self.states, "away": self.away, **seen}

    def sign(self, text: str) -> str:
        return f"{self.key}:{hmac.digest(self.secret, text.encode(), 'sha256').hex()}"


class Client:
    def __init__(self, world: World, number: int, names: list[str]) -> None:
        self.world, self.number, self.names = world, number, names
        self.connections = self.last = 0
        self.confirmed: set[str] = set()
        self.since = 0.0  # when it lost its connection; 0: it has one, or never had

    @property
    def is_subscribed(self) -> bool:
        return len(self.confirmed) == len(self.names)

    def subscriptions(self, socket_id: str) -> bytes:
        """Frames for all its channels."""
        frames = b""
        for name in self.names:
            data = {"channel": name}
            if name.startswith("private-"):
                data["auth"] = self.world.sign(f"{socket_id}:{name}")
            elif name.startswith("presence-"):
                data["channel_data"] = json.dumps({"user_id": f"u{self.number}"})
                data["auth"] = self.world.sign(f"{socket_id}:{name}:{data['channel_data']}")
            frames += frame(1, json.dumps({"event": "pusher:subscribe", "data": data}))
        return frames

    def connect(self) -> None:
        loop = asyncio.get_running_loop()
        task = loop.create_task(
            loop.create_connection(lambda: Connection(self), "127.0.0.1", self.world.port)
        )
        task.add_done_callback(self._tried)

    def _tried(self, task: asyncio.Task[Any]) -> None:
        if task.exception() is not None:
            self.world.states["failed"] += 1
            asyncio.get_running_loop().call_later(RETRY, self.connect)

    def lost(self, code: int) -> None:
        loop = asyncio.get_running_loop()
        self.confirmed.clear()
        self.since = self.since or loop.time()
        loop.call_later(0 if 4200 <= code < 4300 else RETRY, self.connect)

    def subscribed(self, name: str) -> None:
        self.confirmed.add(name)
        if self.is_subscribed and self.since:
            away = asyncio.get_running_loop().time() - self.since
            self.world.away.append(1000 * away)
            self.world.states["unavailable"] += away > UNAVAILABLE
            self.since = 0.0

    def event(self, number: int) -> None:
        counts = self.world.counts
        counts["received"] += 1
        counts["twice"] += number == self.last
        counts["disordered"] += number < self.last
        if self.last:
            counts["holes"] += max(number - self.last - 1, 0)
        self.last = max(self.last, number)


class Connection(asyncio.Protocol):
    def __init__(self, client: Client) -> None:
        self.client = client
        self.buffer = b""
        self.is_open = False
        self.code = 1006

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.write(self.client.world.upgrade)

    def connection_lost(self, problem: Exception | None) -> None:
        self.client.lost(self.code)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        if not self.is_open:
            head, end, rest = self.buffer.partition(b"\r\n\r\n")
            if not end:
                return
            assert head.startswith(b"HTTP/1.1 101"), head
            self.is_open, self.buffer = True, rest
        while len(self.buffer) >= 2:
            size, at = self.buffer[1], 2
            if size == 126:
                size, at = int.from_bytes(self.buffer[2:4], "big"), 4
            elif size == 127:
                size, at = int.from_bytes(self.buffer[2:10], "big"), 10
            if len(self.buffer) < at + size:
                return
            opcode, payload, self.buffer = (
                self.buffer[0] & 15,
                self.buffer[at : at + size],
                self.buffer[at + size :],
            )
            self._take(opcode, payload)

    def _take(self, opcode: int, payload: bytes) -> None:
        world = self.client.world
        if opcode == 8:
            self.code = int.from_bytes(payload[:2], "big")
            self.transport.close()
        elif opcode == 9:
            self.transport.write(frame(10, payload.decode()))
        else:
            message = json.loads(payload)
            match message["event"]:
                case "pusher:connection_established":
                    self.client.connections += 1
                    socket_id = json.loads(message["data"])["socket_id"]
                    self.transport.write(self.client.subscriptions(socket_id))
                case "pusher_internal:subscription_succeeded":
                    self.client.subscribed(message["channel"])
                case "pusher_internal:member_removed":
                    world.counts["removed"] += 1
                case "pusher:ping":
                    self.transport.write(frame(1, '{"event":"pusher:pong","data":{}}'))
                case _ if message["event"] == LIVE:
                    delay = time.monotonic() - json.loads(message["data"])["at"]
                    world.delays.append(1000 * delay)
                case world.event:
                    self.client.event(int(json.loads(message["data"])["tag"][-12:], 16))


def frame(opcode: int, text: str) -> bytes:
    """As a client sends it, with a mask of zeros; up to 65,535 bytes."""
    data = text.encode()
    size = len(data)
    length = bytes((0x80 | size,)) if size < 126 else b"\xfe" + size.to_bytes(2, "big")
    return bytes((0x80 | opcode,)) + length + bytes(4) + data


async def main(given: dict[str, Any]) -> None:
    loop = asyncio.get_running_loop()
    world = World(given)
    lines = asyncio.StreamReader(limit=1 << 20)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    ticking = loop.create_task(_tick(world))
    for at, client in enumerate(world.clients):
        client.connect()
        if at % 100 == 99:
            await asyncio.sleep(0.02)
    while line := await lines.readline():
        print(json.dumps(world.answer(line.decode().strip())), flush=True)
    ticking.cancel()


async def _tick(world: World) -> None:
    """By how much this process itself comes late within 10 s, at most."""
    loop = asyncio.get_running_loop()
    delays: list[tuple[float, float]] = []
    while True:
        due = loop.time() + TICK
        await asyncio.sleep(TICK)
        now = loop.time()
        delays = [(at, delay) for at, delay in [*delays, (now, 1000 * (now - due))] if now - at < 10]
        world.late = max(world.late, sum(delay for _, delay in delays))


if __name__ == "__main__":
    uvloop.run(main(json.loads(sys.argv[1])))
