"""A node that really listens, and clients that really connect."""

from __future__ import annotations

import asyncio
import hashlib
import json
import socket
import struct
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any, cast
from urllib.parse import urlencode

import httpx
import websockets.asyncio.client
from websockets.asyncio.client import ClientConnection
from websockets.frames import Frame, Opcode

from bridge.broadcast import Broadcast
from bridge.sockets.pusher import signatures
from bridge.sockets.pusher.app import App
from bridge.sockets.pusher.hub_events import HubEvent
from bridge.sockets.server.binding import bind
from bridge.sockets.server.http_server import HttpOptions
from bridge.sockets.server.listener import Listener, ListenerOptions
from bridge.sockets.server.node import Node, NodeLimits

APP = App(id="app-id", key="app-key", secret="app-secret")
LIMIT = 60.0  # seconds anything may take: busy machines stand still for many of them
connect = partial(  # with no time limit but ours
    websockets.asyncio.client.connect,
    compression=None,
    open_timeout=LIMIT,
    close_timeout=LIMIT,
    ping_interval=None,
)


class Running:
    def __init__(self, node: Node, listener: Listener, port: int, hub_events: list[HubEvent]) -> None:
        self.node = node
        self.listener = listener
        self.port = port
        self.hub_events = hub_events
        self.app = next(iter(node.hubs.values())).app

    def url(self, key: str = "app-key") -> str:
        return f"ws://127.0.0.1:{self.port}/app/{key}?protocol=7&client=js&version=8.6.0&flash=false"

    @asynccontextmanager
    async def client(self, *channels: str, **options: Any) -> AsyncIterator[Client]:
        """A connection that has subscribed to these channels."""
        async with connect(self.url(), **options) as websocket:
            client = Client(websocket, self.app)
            established = await client.get("pusher:connection_established")
            client.socket_id = json.loads(established["data"])["socket_id"]
            for channel in channels:
                await client.subscribe(channel)
                await client.get("pusher_internal:subscription_succeeded")
            yield client

    def narrow(self) -> None:
        """From now on the kernel takes little for each client that does not read."""
        for hub in self.node.hubs.values():
            for one in hub.sockets.values():
                sock = one.transport.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16_384)

    def stop_clock(self) -> None:
        """From now on no time passes for the node: rates do not depend on how quick the machine is."""
        now = self.node.now()
        self.node.now = lambda: now

    def publish(self, *channels: str, data: str = "{}", socket_id: str | None = None) -> int:
        return self.node.publish([broadcast(*channels, data=data, socket_id=socket_id)])

    async def request(
        self, method: str, path: str, body: Any = None, *, sign: bool = True, **query: str
    ) -> httpx.Response:
        content = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        parameters = signed(self.app, method, path, content, query) if sign else query
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.port}", timeout=LIMIT) as client:
            return await client.request(
                method,
                f"{path}?{urlencode(parameters)}",
                content=content,
                headers={"Content-Type": "application/json"},
            )

    async def raw(self) -> Raw:
        """A plain TCP connection that has done the upgrade; frames are up to the test."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        raw = Raw(reader, writer)
        raw.send(UPGRADE)
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), LIMIT)
        assert head.startswith(b"HTTP/1.1 101"), head
        assert (await raw.message())["event"] == "pusher:connection_established"
        return raw


class Client:
    """A client by the `websockets` library."""

    def __init__(self, websocket: ClientConnection, app: App) -> None:
        self.websocket = websocket
        self.app = app
        self.socket_id = ""

    async def subscribe(self, channel: str, channel_data: str | None = None) -> None:
        if channel.startswith("presence-") and channel_data is None:
            channel_data = json.dumps({"user_id": self.socket_id})
        text = signatures.subscription_text(self.socket_id, channel, channel_data)
        data = {"channel": channel, "auth": f"{self.app.key}:{signatures.sign(self.app.secret, text)}"}
        if channel_data is not None:
            data["channel_data"] = channel_data
        await self.send("pusher:subscribe", data)

    async def sign_in(self, user: dict[str, Any]) -> None:
        user_data = json.dumps(user)
        text = signatures.signin_text(self.socket_id, user_data)
        auth = f"{self.app.key}:{signatures.sign(self.app.secret, text)}"
        await self.send("pusher:signin", {"auth": auth, "user_data": user_data})

    async def send(self, event: str, data: Any = None, **extra: Any) -> None:
        await self.websocket.send(json.dumps({"event": event, "data": data, **extra}))

    async def get(self, event: str | None = None) -> dict[str, Any]:
        """The next message. A ping is answered unless it is waited for: a test may take long."""
        message: dict[str, Any] = json.loads(await asyncio.wait_for(self.websocket.recv(), LIMIT))
        while message["event"] == "pusher:ping" != event:
            await self.send("pusher:pong", {})
            message = json.loads(await asyncio.wait_for(self.websocket.recv(), LIMIT))
        assert event is None or message["event"] == event, message
        return message

    async def silence(self) -> None:
        """Nothing is on its way to this client: the next answer is that to a ping."""
        await self.send("pusher:ping", {})
        await self.get("pusher:pong")

    async def close_code(self) -> int | None:
        await asyncio.wait_for(self.websocket.wait_closed(), LIMIT)
        return self.websocket.close_code


class Raw:
    """A client byte by byte."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def frame(self) -> tuple[int, bytes]:
        """Opcode and payload of the next frame."""

        async def read() -> tuple[int, bytes]:
            first, length = await self.reader.readexactly(2)
            if length == 126:
                (length,) = struct.unpack("!H", await self.reader.readexactly(2))
            elif length == 127:
                (length,) = struct.unpack("!Q", await self.reader.readexactly(8))
            return first & 0x0F, await self.reader.readexactly(length)

        return await asyncio.wait_for(read(), LIMIT)

    async def message(self) -> dict[str, Any]:
        opcode, payload = await self.frame()
        assert opcode == Opcode.TEXT, (opcode, payload)
        message: dict[str, Any] = json.loads(payload)
        return message

    async def close_code(self) -> int:
        """The code of the close frame, whatever comes before it; it is answered, and the server hangs up."""
        while True:
            opcode, payload = await self.frame()
            if opcode == Opcode.CLOSE:
                break
        self.send(Frame(Opcode.CLOSE, payload[:2]).serialize(mask=True))
        assert await asyncio.wait_for(self.reader.read(), LIMIT) == b""
        return int.from_bytes(payload[:2], "big")

    async def aclose(self) -> None:
        self.writer.close()
        with suppress(ConnectionError):  # the server was quicker
            await self.writer.wait_closed()

    def pause(self) -> None:
        """Nothing is read from the kernel's buffer any more."""
        cast("asyncio.Transport", self.writer.transport).pause_reading()

    def resume(self) -> None:
        cast("asyncio.Transport", self.writer.transport).resume_reading()


def text(event: str, data: Any = None, **extra: Any) -> bytes:
    """A client's text frame."""
    payload = json.dumps({"event": event, "data": data, **extra}).encode()
    return Frame(Opcode.TEXT, payload).serialize(mask=True)


PING = text("pusher:ping", {})
UPGRADE = (
    b"GET /app/app-key?protocol=7 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


def broadcast(
    *channels: str, data: str = "{}", app_id: str = "app-id", socket_id: str | None = None
) -> Broadcast:
    return Broadcast(app_id=app_id, channels=channels, name="event", data=data, socket_id=socket_id)


def signed(
    app: App, method: str, path: str, content: bytes, query: dict[str, str], now: float | None = None
) -> dict[str, str]:
    parameters = {
        **query,
        "auth_key": app.key,
        "auth_timestamp": str(int(time.time() if now is None else now)),
        "auth_version": "1.0",
    }
    if content:
        parameters["body_md5"] = hashlib.md5(content).hexdigest()
    signature = signatures.sign(app.secret, signatures.api_text(method, path, parameters.items()))
    return {**parameters, "auth_signature": signature}


async def until(condition: Callable[[], bool]) -> None:
    """Returns once the condition holds; fails after the limit."""
    async with asyncio.timeout(LIMIT):
        while not condition():  # noqa: ASYNC110  # there is no event for most of what is waited for
            await asyncio.sleep(0.01)


OF_NODE = ("observers", "proxies", "peers")
OF_LISTENER = ("ready", "routes")
OF_HTTP = ("request_timeout", "path_prefix")


@asynccontextmanager
async def running(app: App = APP, *, apps: Sequence[App] = (), **options: Any) -> AsyncIterator[Running]:
    """A server on a free port; `options` are the node's limits, but for those that are named above."""
    hub_events: list[HubEvent] = []

    def take(names: Sequence[str]) -> dict[str, Any]:
        return {name: options.pop(name) for name in names if name in options}

    of_node, of_listener, http = take(OF_NODE), take(OF_LISTENER), HttpOptions(**take(OF_HTTP))
    listener_options = ListenerOptions(certificate=options.pop("certificate", None), http=http)
    limits = NodeLimits(**({"stall_timeout": LIMIT, "close_timeout": LIMIT} | options))
    node = Node([app, *apps], **({"observers": [hub_events.append]} | of_node), limits=limits)
    sock = bind("127.0.0.1", 0)
    listener = Listener(node, [sock], options=listener_options, **of_listener)
    port = sock.getsockname()[1]
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(listener.run())
        await asyncio.wait_for(listener.listening.wait(), LIMIT)
        try:
            yield Running(node, listener, port, hub_events)
        finally:
            await listener.stop(drain=0.5)
