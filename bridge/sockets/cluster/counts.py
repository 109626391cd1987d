"""Counts: how many are subscribed to each channel here; Redis adds up those of all nodes."""

from __future__ import annotations

from functools import partial
from typing import Any, Generic

from bridge.sockets.cluster import link as scripts
from bridge.sockets.cluster.bus import Bus, app_of, place_for
from bridge.sockets.cluster.link import Link
from bridge.sockets.pusher.hub_events import SubscriptionCounted
from bridge.sockets.pusher.outcome import S
from bridge.sockets.pusher.shared_hub import SharedHub

INTERVAL = 1.0  # seconds


class Counts(Generic[S]):
    """Sends those that have changed (`SharedHub.changed`), once in an interval."""

    def __init__(self, bus: Bus[S]) -> None:
        self._bus = bus
        self._sent_at = 0.0

    def look(self, link: Link, now: float) -> None:
        """To be called with each tick."""
        if now - self._sent_at < INTERVAL:
            return
        self._sent_at = now
        for hub in self._bus.home.hubs.values():
            changed, hub.changed = hub.changed, set()
            for name in changed:
                self._send(link, hub, name)

    def _send(self, link: Link, hub: SharedHub[S], name: str) -> None:
        bus, channel = self._bus, hub.shared(name)
        if channel is None:
            return
        if not channel.is_joined:
            hub.changed.add(name)
            return
        place = place_for(hub.app.id, name)
        key = bus.names.key
        node = bus.node.encode()

        def again(_why: str) -> None:
            hub.changed.add(name)

        is_to_be_sent = hub.app.subscription_count and not channel.kind.has_members
        link.run(
            scripts.COUNT,
            [key("c", place), key("i", app_of(place)), key("n", node), key("dead", node)],
            bus.node,
            place,
            bus.names.topic(place),
            place.partition(b":")[2],
            channel.connections,
            int(is_to_be_sent),
            then=partial(self._counted, bus.node, hub, name),
            lost=again,
            refused=again,
        )

    def _counted(self, node: str, hub: SharedHub[S], name: str, answer: Any) -> None:
        if self._bus.is_fenced(node, answer):
            return
        subscriptions, sent = answer
        channel = hub.shared(name)
        if subscriptions < 0:
            hub.changed.add(name)  # once the channel is registered again
        elif sent == 0 and channel is not None and channel.count not in (None, subscriptions):
            self._bus.home.answered(
                hub, hub.counted(name, subscriptions)
            )  # it was told while the link was away
        elif sent == 1:
            event = SubscriptionCounted(app_id=hub.app.id, channel=name, subscriptions=subscriptions)
            self._bus.home.tell(event)
        elif sent == 2:
            hub.changed.add(name)
