"""Questions: what the HTTP API asks about all nodes, answered by Redis."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Generic

from bridge.sockets.cluster.bus import Bus, app_of, flat, place_for
from bridge.sockets.cluster.names import split_place, word_user
from bridge.sockets.cluster.records import Records
from bridge.sockets.pusher.hub import Cached
from bridge.sockets.pusher.outcome import S
from bridge.sockets.pusher.shared_hub import SharedHub


class Questions(Generic[S]):
    """All raise ServiceUnavailable while Redis is away."""

    def __init__(self, bus: Bus[S], records: Records[S]) -> None:
        self._bus = bus
        self._records = records

    async def channels(self, hub: SharedHub[S]) -> dict[str, int]:
        """The occupied channels, and how many are subscribed to each."""
        key = self._bus.names.key("i", app_of(place_for(hub.app.id, "")))
        counts = flat(await self._bus.asking().ask("HGETALL", key))
        pairs = zip(counts[::2], counts[1::2], strict=True)
        return {split_place(b":" + name)[1]: int(count) for name, count in pairs if int(count) > 0}

    async def subscriptions(self, hub: SharedHub[S], name: str) -> int:
        key = self._bus.names.key("c", place_for(hub.app.id, name))
        return int(await self._bus.asking().ask("HGET", key, "z") or 0)

    async def user_counts(self, hub: SharedHub[S], names: Sequence[str]) -> dict[str, int]:
        link = self._bus.asking()
        keys = [self._bus.names.key("m", place_for(hub.app.id, name)) for name in names]
        counts = await asyncio.gather(*(link.ask("HLEN", key) for key in keys))
        return dict(zip(names, counts, strict=True))

    async def users(self, hub: SharedHub[S], name: str) -> list[str]:
        key = self._bus.names.key("m", place_for(hub.app.id, name))
        return [word_user(word) for word in await self._bus.asking().ask("HKEYS", key)]

    async def last_event(self, hub: SharedHub[S], name: str, now: float) -> Cached | None:
        link, place = self._bus.asking(), place_for(hub.app.id, name)
        key = self._bus.names.key("k", place)
        envelope, ttl = await asyncio.gather(link.ask("GET", key), link.ask("PTTL", key))
        return self._records.cached(hub, place, envelope, ttl, now)
