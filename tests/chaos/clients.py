"""A client that is always there, or on its way back, and writes down all that it sees."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import re
import threading
import time
from collections.abc import Callable, Iterator

from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage
from websockets.sync.client import ClientConnection, connect

from tests.chaos.history import Message, Socket
from tests.end_to_end.laravel import APP_KEY, APP_SECRET
from tests.end_to_end.processes import wait_until

TAG = re.compile(r"job-[0-9a-f]{12}")
CHANNELS = ("lines", "private-orders.7")
BACK = 0.02  # seconds until it tries again


class Client:
    """`bridge` names who listens on the port at this moment; `pause` is slept after each message."""

    def __init__(self, port: int, bridge: Callable[[], str], *, pause: float = 0.0) -> None:
        self.sockets: list[Socket] = []
        self._port = port
        self._bridge = bridge
        self._pause = pause
        self._connection: ClientConnection | None = None
        self._answered = 0  # pings by the server, on any connection
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def is_there(self) -> bool:
        """Whether it is subscribed to everything at this moment."""
        return self._connection is not None and len(self.sockets[-1].subscribed) == len(CHANNELS)

    def catch_up(self) -> None:
        """It is subscribed, and everything that was sent to it before is here."""

        def caught_up() -> bool:
            wait_until("the client is there", lambda: self.is_there)
            connection, socket = self._connection, self.sockets[-1]
            answered, asked = self._answered, time.monotonic()
            if connection is None:
                return False
            with contextlib.suppress(ConnectionClosed, OSError):
                connection.send('{"event":"pusher:ping","data":{}}')
            wait_until(
                "the ping is answered, or the connection over",
                lambda: self._answered > answered or socket.closed is not None,
            )
            if self._answered > answered and socket.closed is None:
                socket.caught_up = asked
            return socket.caught_up == asked

        wait_until("the client has read everything", caught_up)

    def close(self) -> None:
        self._over.set()
        if (connection := self._connection) is not None:
            with contextlib.suppress(ConnectionClosed, OSError):
                connection.close()
        self._thread.join(timeout=60)

    def _run(self) -> None:
        address = f"ws://127.0.0.1:{self._port}/app/{APP_KEY}?protocol=7&client=chaos&version=1.0"
        while not self._over.wait(BACK):
            with (
                contextlib.suppress(OSError, EOFError, InvalidHandshake, InvalidMessage, ConnectionClosed),
                # its own pings would end a connection that the proxy has silenced
                connect(address, max_queue=None, ping_interval=None, open_timeout=20) as connection,
            ):
                self._read(connection)

    def _read(self, connection: ClientConnection) -> None:
        first = json.loads(connection.recv(timeout=30))
        if first["event"] != "pusher:connection_established":
            return
        socket_id = json.loads(first["data"])["socket_id"]
        socket = Socket(bridge=self._bridge())
        self.sockets.append(socket)
        self._connection = connection
        try:
            for channel in CHANNELS:
                connection.send(_subscribe(socket_id, channel))
            while True:
                text = connection.recv()
                self._take(socket, json.loads(text), time.monotonic(), connection)
                if self._pause:
                    time.sleep(self._pause)
        finally:
            self._connection = None
            socket.closed = time.monotonic()

    def _take(self, socket: Socket, message: dict[str, str], at: float, connection: ClientConnection) -> None:
        match message["event"]:
            case "pusher:ping":
                connection.send('{"event":"pusher:pong","data":{}}')
            case "pusher:pong":
                self._answered += 1
            case "pusher_internal:subscription_succeeded":
                socket.subscribed[message["channel"]] = at
            case name if not name.startswith("pusher"):
                found = TAG.search(message["data"])
                socket.messages.append(
                    Message(
                        job=found[0] if found else "",
                        at=at,
                        channel=message["channel"],
                        name=name,
                        data=message["data"],
                    )
                )


def _subscribe(socket_id: str, channel: str) -> str:
    data = {"channel": channel, "auth": ""}
    if channel.startswith("private-"):
        signature = hmac.new(APP_SECRET.encode(), f"{socket_id}:{channel}".encode(), hashlib.sha256)
        data["auth"] = f"{APP_KEY}:{signature.hexdigest()}"
    return json.dumps({"event": "pusher:subscribe", "data": data})


@contextlib.contextmanager
def client(port: int, bridge: Callable[[], str], *, pause: float = 0.0) -> Iterator[Client]:
    """On that port until the block ends."""
    made = Client(port, bridge, pause=pause)
    try:
        yield made
    finally:
        made.close()
