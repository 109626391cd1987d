"""Several nodes of one app over one real Redis, in this process; and what cuts their links."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from bridge.sockets.cluster.cluster import Cluster
from bridge.sockets.cluster.link import Address
from bridge.sockets.pusher.app import App
from bridge.sockets.server.socket import Socket
from tests.services import Redis
from tests.sockets.server.running import APP, Running, running, until

PREFIX = "laravel_database_"


def address(redis: Redis, port: int | None = None) -> Address:
    return Address(port=port or redis.port, password=redis.password)


class Member:
    """One node: its server, its cluster, and the task that keeps it."""

    def __init__(self, server: Running, cluster: Cluster[Socket], task: asyncio.Task[None]) -> None:
        self.server = server
        self.cluster = cluster
        self.task = task

    def cut(self) -> None:
        """The link breaks; it is made anew."""
        link = self.cluster.bus.link
        if link is not None:
            link.end("cut by the test")

    async def back(self) -> None:
        await until(lambda: self.cluster.is_publishing)

    def pass_time(self, seconds: float) -> None:
        """So much passes at once, for all that has its time."""
        bus = self.cluster.bus
        now = bus.now
        bus.now = lambda: now() + seconds

    async def quiet(self) -> None:
        """Nothing waits for its time any more, and Redis has answered whatever was asked."""
        cluster = self.cluster
        registrations, departures = cluster.registrations, cluster.departures
        hubs = cluster.bus.home.hubs.values()

        def waits() -> bool:
            if registrations._stale or registrations._refused or departures._due or departures._unanswered:
                return True
            return not cluster.is_publishing or any(hub.changed for hub in hubs)

        for _ in range(2):  # an answer may bring more
            await until(lambda: not waits())
            await cluster.flush(60)

    def vanish(self) -> None:
        """The node dies: nothing of it is told to anybody any more."""
        self.task.cancel()
        self.cluster.bus.is_leaving = True
        self.cut()


@asynccontextmanager
async def member(
    redis: Redis, app: App = APP, port: int | None = None, **options: Any
) -> AsyncIterator[Member]:
    async with joined(Cluster(address(redis, port), prefix=PREFIX), app, **options) as one:
        yield one


@asynccontextmanager
async def joined(cluster: Cluster[Socket], app: App = APP, **options: Any) -> AsyncIterator[Member]:
    async with running(app, peers=cluster, **options) as server:
        await cluster.start(server.node)  # type: ignore[arg-type]
        task = asyncio.create_task(cluster.run())
        one = Member(server, cluster, task)
        await one.back()
        try:
            yield one
        finally:
            for each in {task, one.task}:  # a test may have made another
                each.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await each
            await cluster.stop()
