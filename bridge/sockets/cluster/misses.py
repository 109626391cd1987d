"""Misses: that a cache channel had no event for a subscriber is told once on all nodes."""

from __future__ import annotations

from functools import partial
from typing import Any, Generic

from bridge.sockets.cluster import link as scripts
from bridge.sockets.cluster.bus import Bus, place_for
from bridge.sockets.cluster.happenings import Happenings
from bridge.sockets.pusher.hub_events import CacheMissed
from bridge.sockets.pusher.outcome import S


class Misses(Generic[S]):
    """What Redis could not be asked, or has not answered, waits for the next link."""

    def __init__(self, bus: Bus[S], happenings: Happenings[S]) -> None:
        self._bus = bus
        self._happenings = happenings
        self._unanswered: set[tuple[str, str]] = set()  # app id and channel

    def ask(self, app_id: str, name: str) -> None:
        """A subscriber was told that the channel had no event."""
        place = place_for(app_id, name)
        self._happenings.run(
            scripts.MISS,
            [self._bus.names.key(kind, place) for kind in "ck"],
            place,
            then=partial(self._answered, app_id, name),
            lost=lambda _: self._unanswered.add((app_id, name)),
        )

    def synced(self) -> None:
        """There is a new link, all is registered again, and what was noted is told."""
        unanswered, self._unanswered = self._unanswered, set()
        for app_id, name in unanswered:
            self.ask(app_id, name)

    def _answered(self, app_id: str, name: str, is_first: Any) -> None:
        if is_first:
            self._bus.home.tell(CacheMissed(app_id=app_id, channel=name))
