"""Topics: what this node's link is subscribed to, and which hub each topic is for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic

from bridge.sockets.cluster.bus import Bus, place_for
from bridge.sockets.cluster.names import CONTROL_CHANNEL
from bridge.sockets.pusher.channels import USER_CHANNEL
from bridge.sockets.pusher.outcome import S
from bridge.sockets.pusher.shared_hub import SharedHub

SUBSCRIBED_AT_ONCE = 500


class Topics(Generic[S]):
    """by_place: place → hub and channel name, of each topic that is subscribed."""

    def __init__(self, bus: Bus[S]) -> None:
        self._bus = bus
        self.by_place: dict[bytes, tuple[SharedHub[S], str]] = {}

    def listen(self, hub: SharedHub[S], names: Sequence[str]) -> bool:
        """Subscribes to the topics of these channels, where they are not subscribed yet; whether one of them
        has not been heard for this hub so far."""
        new, is_new = [], False
        for name in names:
            place = place_for(hub.app.id, name)
            known = self.by_place.get(place)
            if known is None:
                new.append(self._bus.names.topic(place))
            if known is None or known[0] is not hub:  # an app with a new key has a new hub
                self.by_place[place] = (hub, name)
                is_new = True
        if self._bus.link is not None:
            for at in range(0, len(new), SUBSCRIBED_AT_ONCE):
                self._bus.link.subscribe(new[at : at + SUBSCRIBED_AT_ONCE])
        return is_new

    def unlisten(self, hub: SharedHub[S], name: str) -> None:
        """Ends the subscription, unless the hub needs it for somebody else."""
        is_watched = name.startswith(USER_CHANNEL) and name.removeprefix(USER_CHANNEL) in hub.watchers
        place = place_for(hub.app.id, name)
        if hub.shared(name) is not None or is_watched or self.by_place.get(place, (None,))[0] is not hub:
            return
        del self.by_place[place]
        if self._bus.link is not None:
            self._bus.link.unsubscribe([self._bus.names.topic(place)])

    def forget(self, app_id: str) -> None:
        """The app is not served any more. Its channels end with their last clients."""
        known = self.by_place.get(place_for(app_id, CONTROL_CHANNEL))
        if known is not None:
            self.unlisten(*known)

    def clear(self) -> None:
        """A new link is subscribed to nothing."""
        self.by_place.clear()
