"""A server that echoes: bridge's own listener, node and sockets; only what a message means is replaced."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bridge.sockets.pusher.admission import UpgradeRequest
from bridge.sockets.pusher.app import App, Limits
from bridge.sockets.pusher.connection import Connection
from bridge.sockets.pusher.outcome import Outcome
from bridge.sockets.server.binding import bind
from bridge.sockets.server.listener import Listener
from bridge.sockets.server.node import Node, NodeLimits
from bridge.sockets.server.socket import Socket

APP = App(
    id="app-id",
    key="app-key",
    secret="app-secret",
    limits=Limits(messages_per_second=10**9, messages_burst=10**9),
)


class Echo(Node):
    def admit(self, socket: Socket, arrival: UpgradeRequest) -> Connection[Socket]:
        connection = super().admit(socket, arrival)
        return Silent(connection.hub, socket, connection.socket_id, self.now())

    def receive(
        self, socket: Socket, connection: Connection[Socket], text: str, *, is_last: bool = True
    ) -> None:
        self.perform(socket, Outcome(replies=(text,)), at_once=is_last)


class Silent(Connection[Socket]):
    """Greets nobody."""

    __slots__ = ()

    def open(self) -> Outcome[Socket]:
        self.hub.connect(self.socket_id, self.socket)
        return Outcome()


@asynccontextmanager
async def echoing() -> AsyncIterator[int]:
    """The port of such a server."""
    sock = bind("127.0.0.1", 0)
    listener = Listener(Echo([APP], limits=NodeLimits(max_backlog=10**9, stall_timeout=300.0)), [sock])
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(listener.run())
        await listener.listening.wait()
        try:
            yield sock.getsockname()[1]
        finally:
            await listener.stop(drain=0.5)
