"""Departures: that a member or channel is gone is said some seconds later, if none is back on any node."""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import Any, Generic

from bridge.sockets.cluster import link as scripts
from bridge.sockets.cluster import times
from bridge.sockets.cluster.bus import Bus
from bridge.sockets.cluster.link import Link
from bridge.sockets.cluster.names import split_place, word_user
from bridge.sockets.cluster.records import Records
from bridge.sockets.pusher.hub_events import MemberRemoved, Vacated
from bridge.sockets.pusher.outcome import S


class Departures(Generic[S]):
    """Those that this node has to tell: of its own clients, and of a dead node that it took out."""

    def __init__(self, bus: Bus[S], records: Records[S]) -> None:
        self._bus = bus
        self._records = records
        self._due: deque[tuple[float, bytes, bytes, bytes]] = deque()

    def add(self, place: bytes, word: bytes, at: bytes) -> None:
        """`word`: of the user, empty for the channel itself; `at`: Redis' own mark of this going, empty where
        its answer was lost. Then any mark counts: there is none if Redis never heard of this going."""
        self._due.append((self._bus.now() + times.AWAY, place, word, at))

    def look(self, link: Link, now: float) -> None:
        """Asks Redis about those whose time has come."""
        self._ask(link, now)

    def end(self, link: Link) -> None:
        """This node stops: asks about all of them now, as nobody else would."""
        self._ask(link, float("inf"))

    def _ask(self, link: Link, until: float) -> None:
        due = []
        while self._due and self._due[0][0] <= until:
            due.append(self._due.popleft())
        for one in due:
            _, place, word, at = one
            then, lost = partial(self.gone, place, word), partial(self._lost, one)
            link.run(scripts.GONE, [self._bus.names.key("g", place)], word, at, then=then, lost=lost)

    def _lost(self, one: tuple[float, bytes, bytes, bytes], _why: str) -> None:
        """The next link asks."""
        self._due.appendleft(one)

    def gone(self, place: bytes, word: bytes, is_so: Any) -> None:
        try:
            app_id, name = split_place(place)
            user_id = word_user(word)
        except ValueError:
            self._records.reject("place")
            return
        if not is_so or name.startswith("#"):
            return
        if word:
            self._bus.home.tell(MemberRemoved(app_id=app_id, channel=name, user_id=user_id))
        else:
            self._bus.home.tell(Vacated(app_id=app_id, channel=name))
