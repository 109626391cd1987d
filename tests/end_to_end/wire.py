"""A bare Pusher client over a WebSocket: for exact texts, counts and times, where Echo would hide them."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.end_to_end.laravel import APP_KEY, APP_SECRET
from tests.end_to_end.processes import PATIENCE, wait_until


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """One message: `data` is the text of its data field, `at` the monotonic clock in seconds."""

    event: str
    channel: str
    data: str
    at: float


class WireClient:
    """Connected; a thread collects what comes until the server or `close` ends it."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self.received: list[Received] = []
        self.close_code: int | None = None
        first = json.loads(connection.recv(timeout=60))
        assert first["event"] == "pusher:connection_established", first
        self.socket_id: str = json.loads(first["data"])["socket_id"]
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def subscribe(self, channel: str) -> None:
        """Subscribed and confirmed; a private channel is signed here with the app's secret."""
        data = {"channel": channel, "auth": ""}
        if channel.startswith("private-"):
            signature = hmac.new(APP_SECRET.encode(), f"{self.socket_id}:{channel}".encode(), hashlib.sha256)
            data["auth"] = f"{APP_KEY}:{signature.hexdigest()}"
        self._connection.send(json.dumps({"event": "pusher:subscribe", "data": data}))
        wait_until(
            f"subscribed to {channel}",
            lambda: any(
                it.channel == channel and it.event == "pusher_internal:subscription_succeeded"
                for it in list(self.received)
            ),
        )

    @property
    def is_open(self) -> bool:
        """Whether the server has not closed it, as far as is known."""
        return self._reader.is_alive()

    def events(self) -> list[Received]:
        """What was published: no protocol messages."""
        return [it for it in list(self.received) if not it.event.startswith("pusher")]

    def _read(self) -> None:
        try:
            while True:
                text = self._connection.recv()
                at = time.monotonic()
                message = json.loads(text)
                if message["event"] == "pusher:ping":
                    self._connection.send('{"event":"pusher:pong","data":{}}')
                data = message.get("data", "")
                self.received.append(
                    Received(
                        event=message["event"],
                        channel=message.get("channel", ""),
                        data=data if isinstance(data, str) else json.dumps(data),
                        at=at,
                    )
                )
        except ConnectionClosed as closed:
            self.close_code = closed.rcvd.code if closed.rcvd else None

    def join(self) -> None:
        self._reader.join(timeout=60)


@contextlib.contextmanager
def wire_client(port: int, *channels: str) -> Iterator[WireClient]:
    """A client of bridge on that port, subscribed to the channels."""
    with connect(
        f"ws://127.0.0.1:{port}/app/{APP_KEY}?protocol=7&client=wire&version=1.0",
        max_queue=None,
        open_timeout=PATIENCE,
        close_timeout=PATIENCE,
        ping_interval=None,
    ) as connection:
        client = WireClient(connection)
        for channel in channels:
            client.subscribe(channel)
        yield client
    client.join()
