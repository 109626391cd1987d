"""Clients of a hub whose sockets are strings: they keep what they were sent."""

from __future__ import annotations

import json
from typing import Any

from bridge.broadcast import Broadcast
from bridge.sockets.pusher import signatures
from bridge.sockets.pusher.app import App
from bridge.sockets.pusher.connection import Connection
from bridge.sockets.pusher.hub import Hub
from bridge.sockets.pusher.hub_events import HubEvent
from bridge.sockets.pusher.outcome import Close, Outcome
from bridge.sockets.pusher.resume import Returning

APP = App(id="app-id", key="app-key", secret="app-secret")


class Room:
    """A hub, its clients and a clock that stands still unless moved."""

    def __init__(self, app: App = APP) -> None:
        self.hub: Hub[str] = Hub(app)
        self.now = 1_000.0
        self.joined = 0
        self.clients: dict[str, Client] = {}
        self.hub_events: list[HubEvent] = []

    def join(self, page: Returning | None = None) -> Client:
        self.joined += 1
        socket_id = f"{self.joined}.1"
        client = Client(self, Connection(self.hub, f"socket {socket_id}", socket_id, self.now))
        self.clients[client.connection.socket] = client
        if page is not None:
            client.connection.begin_session(page, self.now)
        self.perform(client, client.connection.open())
        return client

    def perform(self, client: Client, outcome: Outcome[str]) -> None:
        client.received += [json.loads(reply) for reply in outcome.replies]
        for delivery in outcome.deliveries:
            for socket in delivery.sockets:
                if socket != delivery.excluded:
                    self.clients[socket].received.append(json.loads(delivery.text))
        self.hub_events += outcome.hub_events
        if outcome.close is not None:
            client.close = outcome.close
            client.leave(outcome.close.code)

    def publish(self, *channels: str, data: str = "{}", socket_id: str | None = None) -> int:
        broadcast = Broadcast(
            app_id=self.hub.app.id, channels=channels, name="event", data=data, socket_id=socket_id
        )
        outcome = self.hub.publish(broadcast, self.now, "test")
        for delivery in outcome.deliveries:
            for socket in delivery.sockets:
                if socket != delivery.excluded:
                    self.clients[socket].received.append(json.loads(delivery.text))
        self.hub_events += outcome.hub_events
        return sum(delivery.receivers for delivery in outcome.deliveries)

    def happened(self, kind: type[HubEvent]) -> list[HubEvent]:
        return [event for event in self.hub_events if type(event) is kind]


class Client:
    def __init__(self, room: Room, connection: Connection[str]) -> None:
        self.room = room
        self.connection = connection
        self.received: list[dict[str, Any]] = []
        self.close: Close | None = None

    def say(self, text: str) -> list[dict[str, Any]]:
        """What this message brings to this client."""
        before = len(self.received)
        self.room.perform(self, self.connection.receive(text, self.room.now))
        return self.received[before:]

    def send(self, event: str, data: Any = None, **extra: Any) -> list[dict[str, Any]]:
        return self.say(json.dumps({"event": event, "data": data, **extra}))

    def subscribe(self, channel: str, channel_data: str | None = None) -> list[dict[str, Any]]:
        data = {"channel": channel, "auth": self.sign(channel, channel_data)}
        if channel_data is not None:
            data["channel_data"] = channel_data
        return self.send("pusher:subscribe", data)

    def enter(self, channel: str, user_id: Any, **user_info: Any) -> list[dict[str, Any]]:
        return self.subscribe(channel, json.dumps({"user_id": user_id, "user_info": user_info}))

    def sign(self, channel: str, channel_data: str | None = None) -> str:
        app = self.room.hub.app
        text = signatures.subscription_text(self.connection.socket_id, channel, channel_data)
        return f"{app.key}:{signatures.sign(app.secret, text)}"

    def sign_in(self, user_data: str) -> list[dict[str, Any]]:
        app = self.room.hub.app
        text = signatures.signin_text(self.connection.socket_id, user_data)
        auth = f"{app.key}:{signatures.sign(app.secret, text)}"
        return self.send("pusher:signin", {"auth": auth, "user_data": user_data})

    def leave(self, code: int = 1000) -> None:
        outcome = self.connection.closed(code, self.room.now)
        del self.room.clients[self.connection.socket]
        self.room.perform(self, outcome)

    def acknowledge(self) -> None:
        """Everything that was written has arrived: the numbered ping behind it is answered."""
        number = self.connection.next_ping()
        if number is not None:
            self.connection.acknowledged(number, self.room.now)

    def take(self) -> list[dict[str, Any]]:
        """What has come since the last look."""
        received, self.received = self.received, []
        return received
