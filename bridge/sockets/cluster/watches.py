"""Watches: whether users that somebody here watches are signed in, on any node."""

from __future__ import annotations

from functools import partial
from typing import Any, Generic

from bridge.sockets.cluster import times
from bridge.sockets.cluster.bus import Bus, place_for
from bridge.sockets.cluster.link import Link
from bridge.sockets.cluster.topics import Topics
from bridge.sockets.pusher.asks import Unwatch, Watch
from bridge.sockets.pusher.channels import USER_CHANNEL
from bridge.sockets.pusher.outcome import S
from bridge.sockets.pusher.shared_hub import SharedHub


class Watches(Generic[S]):
    """A user is there while the user's own channel has subscribers."""

    def __init__(self, bus: Bus[S], topics: Topics[S]) -> None:
        self._bus = bus
        self._topics = topics
        self._doubted: dict[tuple[str, str], float] = {}  # app id and user_id → when to ask again

    def watch(self, link: Link, hub: SharedHub[S], ask: Watch) -> None:
        self._topics.listen(hub, [USER_CHANNEL + user_id for user_id in ask.user_ids])
        for user_id in ask.user_ids:
            self.ask(hub, user_id)
        link.send("PING", then=partial(self._watched, hub, ask))

    def _watched(self, hub: SharedHub[S], ask: Watch, _: Any) -> None:
        self._bus.home.answered(hub, hub.answered_watch(ask.socket_id, ask.user_ids))

    def unwatch(self, hub: SharedHub[S], ask: Unwatch) -> None:
        for user_id in ask.user_ids:
            self._topics.unlisten(hub, USER_CHANNEL + user_id)

    def ask(self, hub: SharedHub[S], user_id: str, *, settles: bool = False) -> None:
        """`settles`: one who seems to have left is asked for again, when every node has registered who is
        there."""

        def then(answer: Any) -> None:
            is_online = int(answer or 0) > 0
            if settles and not is_online and hub.online.get(user_id):
                self._doubted[(hub.app.id, user_id)] = self._bus.now() + times.SETTLE
            else:
                self._bus.home.answered(hub, hub.told_online(user_id, is_online))

        if self._bus.link is not None:
            key = self._bus.names.key("c", place_for(hub.app.id, USER_CHANNEL + user_id))
            self._bus.link.send("HGET", key, "z", then=then)

    def look(self, now: float) -> None:
        """To be called with each tick."""
        for app_id, user_id in [of for of, due in self._doubted.items() if due <= now]:
            del self._doubted[(app_id, user_id)]
            hub = self._bus.home.hubs.get(app_id)
            if hub is not None:
                self.ask(hub, user_id)
