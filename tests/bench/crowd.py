"""Many Pusher clients in one process, for loads that `pusherload.c` does not make: presence channels,
hundreds of subscriptions a connection, pings that are timed while the server does something else.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import time
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any, TypeVar, cast

from bridge.sockets.pusher import signatures
from bridge.sockets.server.listener import new_event_loop
from tests.end_to_end.laravel import APP_ID, APP_KEY, APP_SECRET

T = TypeVar("T")
PATIENCE = 120.0  # seconds for any answer
SUBSCRIPTIONS = 400  # of one connection, below the limit
UPGRADE = (
    f"GET /app/{APP_KEY}?protocol=7&client=js HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n"
    "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
).encode()


def run(work: Coroutine[Any, Any, T]) -> T:
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        return runner.run(work)


class Client(asyncio.Protocol):
    """A TCP connection that waits for words in what it receives, and drops the rest."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self._kept = b""
        self._is_whole: Callable[[bytes], bool] = bool
        self._answer: asyncio.Future[bytes] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if self._answer is not None and not self._answer.done():
            self._kept += data
            if self._is_whole(self._kept):
                self._answer.set_result(self._kept)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionError("the server has closed the connection"))

    async def ask(self, data: bytes, is_whole: Callable[[bytes], bool]) -> bytes:
        """What came since `data` was sent, once it is the whole answer."""
        self._kept, self._is_whole = b"", is_whole
        self._answer = asyncio.get_running_loop().create_future()
        self.transport.write(data)
        async with asyncio.timeout(PATIENCE):
            return await self._answer


async def connect(port: int) -> Client:
    _, client = await asyncio.get_running_loop().create_connection(Client, "127.0.0.1", port)
    return client


async def websocket(port: int) -> tuple[Client, str]:
    """A client that is connected to the app, and its socket_id."""
    client = await connect(port)
    said = await client.ask(UPGRADE, lambda known: b"activity_timeout" in known)
    return client, said.split(b'socket_id\\":\\"')[1].split(b"\\")[0].decode()


def text_frame(text: str) -> bytes:
    """As a client sends it, under a mask of zeros."""
    data = text.encode()
    size = bytes((0x80 | len(data),)) if len(data) < 126 else b"\xfe" + len(data).to_bytes(2, "big")
    return b"\x81" + size + bytes(4) + data


def subscribe(channel: str, socket_id: str, channel_data: str | None = None) -> bytes:
    data = {"channel": channel}
    if channel.startswith("presence-"):
        text = signatures.subscription_text(socket_id, channel, channel_data)
        data |= {
            "auth": f"{APP_KEY}:{signatures.sign(APP_SECRET, text)}",
            "channel_data": channel_data or "",
        }
    return text_frame(json.dumps({"event": "pusher:subscribe", "data": data}))


def api_request(method: str, path: str, body: bytes = b"") -> bytes:
    """A signed request for the app's `path`."""
    path = f"/apps/{APP_ID}{path}"
    query = {"auth_key": APP_KEY, "auth_timestamp": str(int(time.time())), "auth_version": "1.0"}
    if body:
        query["body_md5"] = hashlib.md5(body).hexdigest()
    text = signatures.api_text(method, path, query.items())
    query["auth_signature"] = signatures.sign(APP_SECRET, text)
    asked = "&".join(f"{name}={value}" for name, value in query.items())
    return (
        f"{method} {path}?{asked} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
    )


def are_confirmed(subscriptions: int, known: bytes) -> bool:
    return known.count(b"subscription_succeeded") == subscriptions


def event(channel: str) -> bytes:
    """A request that publishes 200 bytes on the channel."""
    body = json.dumps({"name": "load", "channels": [channel], "data": "x" * 200})
    return api_request("POST", "/events", body.encode())


def is_http_answer(known: bytes) -> bool:
    """Whether all of it has come."""
    end = known.find(b"\r\n\r\n")
    if end < 0:
        return False
    head = known[:end].lower()
    if b"transfer-encoding: chunked" in head:
        return known.endswith(b"\r\n0\r\n\r\n")
    size = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
    return len(known) - end - 4 >= size


async def succeeded(client: Client, request: bytes) -> bytes:
    answer = await client.ask(request, is_http_answer)
    assert answer.startswith(b"HTTP/1.1 200 "), answer[:300]
    return answer


# Loads ------------------------------------------------------------------------------------------------


async def join_presence(port: int, members: int, seconds: float) -> None:
    """So many users join one presence channel, evenly over the time, and all of them stay."""
    started = time.monotonic()

    async def join(number: int) -> Client:
        await asyncio.sleep(started + number * seconds / members - time.monotonic())
        client, socket_id = await websocket(port)
        about = json.dumps({"user_id": str(number), "user_info": {"name": f"User {number}"}})
        request = subscribe("presence-room", socket_id, about)
        await client.ask(request, lambda known: b"subscription_succeeded" in known)
        return client

    clients = await asyncio.gather(*(join(number) for number in range(members)))
    await asyncio.sleep(0.5)  # the last of them are told to the others
    for client in clients:
        assert not client.transport.is_closing()


async def pongs(port: int, until: Awaitable[object]) -> list[float]:
    """Milliseconds to each pong, sorted, of a client that pings again and again until then."""
    client, _ = await websocket(port)
    ping = text_frame('{"event":"pusher:ping","data":{}}')
    took: list[float] = []
    work = asyncio.ensure_future(until)
    while not work.done():
        sent = time.monotonic()
        await client.ask(ping, lambda known: b"pusher:pong" in known)
        took.append((time.monotonic() - sent) * 1000)
        await asyncio.sleep(random.uniform(0, 0.01))
    work.result()
    return sorted(took)


async def pongs_beside_fanout(port: int, channel: str, messages: int) -> list[float]:
    """`pongs`, while a message goes to this channel every 50 ms."""

    async def publish() -> None:
        publisher = await connect(port)
        for _ in range(messages):
            await succeeded(publisher, event(channel))
            await asyncio.sleep(0.05)

    return await pongs(port, publish())


class Channels:
    """Clients that occupy this many channels, `c0` and so on."""

    def __init__(self, port: int, count: int) -> None:
        self.port, self.count = port, count
        self._clients: list[Client] = []

    async def open(self) -> None:
        for first in range(0, self.count, SUBSCRIPTIONS):
            client, socket_id = await websocket(self.port)
            names = [f"c{number}" for number in range(first, min(first + SUBSCRIPTIONS, self.count))]
            request = b"".join(subscribe(name, socket_id) for name in names)
            await client.ask(request, partial(are_confirmed, len(names)))
            self._clients.append(client)

    async def publish(self, messages: int) -> None:
        """To so many channels, in turn, one message after the other."""
        publisher = await connect(self.port)
        for number in range(messages):
            await succeeded(publisher, event(f"c{number * 7919 % self.count}"))

    async def longest_wait(self, times: int) -> float:
        """Milliseconds that a client waited at most for a pong while all channels were listed."""

        async def ask() -> None:
            reader = await connect(self.port)
            for _ in range(times):
                answer = await succeeded(reader, api_request("GET", "/channels"))
                assert answer.count(b":{}") == self.count
                await asyncio.sleep(0.05)

        return (await pongs(self.port, ask()))[-1]
