"""Departures: that a member or channel is gone is said some seconds later, if none is back on any node."""

from __future__ import annotations

import bisect
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, Generic

from bridge.sockets.cluster import link as scripts
from bridge.sockets.cluster import times
from bridge.sockets.cluster.bus import Bus
from bridge.sockets.cluster.happenings import Happenings
from bridge.sockets.cluster.records import Records
from bridge.sockets.pusher.hub_events import MemberRemoved, Vacated
from bridge.sockets.pusher.outcome import S

MOST_ASKED = 1_000


class Departures(Generic[S]):
    """Those that this node has to tell: of its own clients, and of a dead node that it took out."""

    def __init__(self, bus: Bus[S], records: Records[S], happenings: Happenings[S]) -> None:
        self._bus = bus
        self._records = records
        self._happenings = happenings
        self._due: deque[tuple[float, bytes, bytes, bytes]] = deque()
        self._unanswered: list[tuple[bytes, bytes]] = []
        self._asked: deque[tuple[float, bytes, bytes, bytes]] = deque(
            maxlen=MOST_ASKED
        )  # and answered, lately

    def add(self, place: bytes, word: bytes, at: bytes) -> None:
        """`word`: of the user, empty for the channel itself; `at`: Redis' own mark of this going."""
        self._due.append((self._bus.now() + times.AWAY, place, word, at))

    def unanswered(self, place: bytes, word: bytes) -> None:
        """Who has left may be gone: the answer is lost. Redis has noted it, as long as it loses nothing."""
        self._unanswered.append((place, word))

    def linked(self, *, is_emptied: bool) -> None:
        """There is a new link. Where Redis has lost all marks, it knows who is in which channel once every
        node has said so."""
        unanswered, self._unanswered = self._unanswered, []
        if is_emptied:
            gone = [*((place, word) for _, place, word, _ in self._due), *unanswered]
            due = self._bus.now() + times.SETTLE
            self._due = deque((due, place, word, b"") for place, word in gone)

    def ask_again(self) -> None:
        """Redis may have lost its last writes: who was told to be away is not to be taken for one who was
        not. To be called with each new link."""
        since = self._bus.now() - times.LOST_WRITES
        for at, place, word, moment in self._asked:
            if at >= since and moment:
                self._run(place, word, moment, then=_ignore, is_told=True)

    def look(self, now: float) -> None:
        """Asks Redis about those whose time has come. To be called while there is a link."""
        self._ask(now)

    def end(self) -> None:
        """This node stops: asks about all of them now, as nobody else would."""
        self._ask(float("inf"))

    def _ask(self, until: float) -> None:
        due = []
        while self._due and self._due[0][0] <= until:
            due.append(self._due.popleft())
        for one in due:
            _, place, word, at = one
            self._run(
                place,
                word,
                at,
                then=partial(self._answered, one),
                lost=partial(self._lost, one),
                refused=partial(self._refused, one),
            )

    def _run(
        self,
        place: bytes,
        word: bytes,
        at: bytes,
        then: Callable[[Any], None],
        lost: Callable[[str], None] | None = None,
        *,
        refused: Callable[[str], None] | None = None,
        is_told: bool = False,
    ) -> None:
        keys = [self._bus.names.key(kind, place) for kind in "gcm"]
        self._happenings.run(
            scripts.GONE, keys, word, at, place, then=then, lost=lost, refused=refused, is_told=is_told
        )

    def _answered(self, one: tuple[float, bytes, bytes, bytes], is_so: Any) -> None:
        _, place, word, at = one
        self._asked.append((self._bus.now(), place, word, at))
        self.gone(place, word, is_so)

    def _lost(self, one: tuple[float, bytes, bytes, bytes], _why: str) -> None:
        """The next link asks: it is told then, or was noted."""
        self._due.appendleft(one)

    def _refused(self, one: tuple[float, bytes, bytes, bytes], _why: str) -> None:
        """A key of the channel is not what it should be: asked again later."""
        _, place, word, at = one
        bisect.insort(self._due, (self._bus.now() + times.SETTLE, place, word, at))

    def gone(self, place: bytes, word: bytes, is_so: Any) -> None:
        who = self._records.who(place, word, "place")
        if who is None or not is_so:
            return
        app_id, name, user_id = who
        if name.startswith("#"):
            return
        if word:
            self._bus.home.tell(MemberRemoved(app_id=app_id, channel=name, user_id=user_id))
        else:
            self._bus.home.tell(Vacated(app_id=app_id, channel=name))


def _ignore(_: object) -> None:
    """It is told already."""
