"""Comparison: notices a message that was lost with none after it, and what Redis has evicted of a channel."""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Generic

from bridge.sockets.cluster import link as scripts
from bridge.sockets.cluster import times
from bridge.sockets.cluster.bus import Bus, app_of, place_for
from bridge.sockets.cluster.link import Link
from bridge.sockets.cluster.names import LIST
from bridge.sockets.cluster.registrations import Registrations
from bridge.sockets.pusher.outcome import S
from bridge.sockets.pusher.shared_channel import SharedChannel
from bridge.sockets.pusher.shared_hub import SharedHub


class Comparison(Generic[S]):
    """Compares each channel's last event here with Redis, some channels with each tick."""

    def __init__(self, bus: Bus[S], registrations: Registrations[S]) -> None:
        self._bus = bus
        self._registrations = registrations
        self._to_compare: deque[tuple[SharedHub[S], SharedChannel[S]]] = deque()
        self._began_at = 0.0
        self._lists: dict[str, bytes | None] = {}  # app id → which list of channels those here are in

    def look(self, link: Link, now: float) -> None:
        """To be called with each tick."""
        if not self._to_compare and now - self._began_at >= times.COMPARE:
            self._began_at = now
            for hub in self._bus.home.hubs.values():
                self._to_compare += ((hub, channel) for channel in hub.all_shared())
                self._look_for_list(link, hub)
        for _ in range(min(len(self._to_compare), times.COMPARED)):
            hub, channel = self._to_compare.popleft()
            place, then = place_for(hub.app.id, channel.name), partial(self._compared, hub, channel)
            keys = [self._bus.names.key(kind, place) for kind in "cm"]
            if channel.kind.has_members:
                link.run(scripts.COMPARE, keys, then=partial(_spread, then))
            else:
                link.send("HGET", keys[0], "t", then=then)

    def _look_for_list(self, link: Link, hub: SharedHub[S]) -> None:
        """Whether the app's list of channels, which nothing else reads, is still the same."""
        key = self._bus.names.key("i", app_of(place_for(hub.app.id, "")))
        link.send("HSETNX", key, LIST, -1 - secrets.randbits(60))
        link.send("HGET", key, LIST, then=partial(self._listed, hub))

    def _listed(self, hub: SharedHub[S], which: bytes | None) -> None:
        """Where it is another one, Redis has evicted it. All channels here are counted again, which lists
        them."""
        if self._lists.get(hub.app.id) != which:
            self._lists[hub.app.id] = which
            hub.changed.update(hub.channels)

    def _compared(
        self, hub: SharedHub[S], channel: SharedChannel[S], tag: Any, version: Any = None, is_whole: int = 1
    ) -> None:
        if hub.shared(channel.name) is not channel or not channel.is_current:
            return
        if tag != channel.tag or not is_whole or (version is not None and int(version) != channel.version):
            channel.is_current = False
            self._registrations.repair(hub, channel.name)


def _spread(then: Callable[..., None], answer: Sequence[Any]) -> None:
    then(*answer)
