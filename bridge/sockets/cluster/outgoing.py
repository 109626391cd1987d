"""Outgoing: events on their way to Redis. All that are published in one turn of the loop go in one call of
`publish.lua`, and have one answer.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import hiredis

from bridge.sockets.cluster import link as scripts
from bridge.sockets.cluster import times
from bridge.sockets.cluster.bus import place_for
from bridge.sockets.cluster.envelope import TAG, Sealer
from bridge.sockets.cluster.link import Link, is_of_a_key, without_place, words
from bridge.sockets.cluster.names import Names
from bridge.sockets.pusher.app import App
from bridge.sockets.pusher.channels import kind_of

log = logging.getLogger(__name__)

ROUTES = 4_096  # channels whose words of the script are kept
MOST, MOST_BYTES = 64, 65_536  # events of one call, for which Redis does nothing else
_TAG_END = 2 + TAG


class Route:
    """How events of a channel go to the bus: the words of `publish.lua` that are the same for all of them,
    packed once.

    app      for whose settings that is; another one needs another route
    sealer   of that app
    seconds  after the last event that the log is kept
    last     tag of the last event of this node that Redis has answered, or nothing
    """

    __slots__ = ("_about", "_unmarked", "app", "keys", "last", "place", "sealer", "seconds")

    def __init__(self, app: App, name: str, names: Names, sealer: Sealer) -> None:
        self.app = app
        self.sealer = sealer
        self.place = place_for(app.id, name)
        events, seconds = times.LOG_EVENTS, times.LOG_SECONDS
        if app.resume_seconds:
            events = max(events, app.limits.resume_events)
            seconds = max(seconds, int(app.resume_seconds))
        self.seconds = seconds
        self.last = b""
        kept_for = app.limits.cache_seconds if kind_of(name).is_cache else 0
        self.keys = words(*(names.key(kind, self.place) for kind in "clk"))
        self._about = words(names.topic(self.place), events, seconds, kept_for)
        self._unmarked = self._about + words(b"", 0)

    def words(self, item: Sealed) -> bytes:
        """Of one event."""
        if item.mark:
            after = self._about + words(item.mark, int(item.mark) % 16)
        else:
            after = self._about + words(b"", item.again) if item.again else self._unmarked
        return b"$%d\r\n%b\r\n%b" % (len(item.envelope), item.envelope, after)


@cache
def _head(sha: bytes, events: int) -> bytes:
    """What a call of so many begins with."""
    return b"*%d\r\n%b" % (6 + 10 * events, words("EVALSHA", sha, 3 * events))


@dataclass(slots=True)  # not frozen, which takes three times as long to make
class Sealed:
    """What goes to the bus. `route` is None for what is not an event of the channel's log; `mark`: of a job
    and this channel; `is_here`: who is here has it already; `is_brief`: of a client, worth nothing later;
    `is_order`: to all nodes; `again`: where it may have gone out already, how `publish.lua` is told so."""

    place: bytes
    envelope: bytes
    at: float
    route: Route | None = None
    mark: bytes = b""
    is_here: bool = False
    is_brief: bool = False
    is_order: bool = False
    again: bytes = b""


class Call:
    """Events that are published together: `then` gets what Redis answers to each, once all are answered; or
    `lost` the reason why that does not come for one of them; or `refused` what Redis has against one of them,
    which would be the same at another time. They do not know it: without a circle, what was published is
    freed at once, with no work for the collector."""

    __slots__ = ("answers", "due", "lost", "refusal", "refused", "then", "why")

    def __init__(
        self,
        due: int,
        then: Callable[[list[int]], None],
        lost: Callable[[str], None],
        refused: Callable[[str], None],
    ) -> None:
        self.answers: list[int] = []
        self.due = due  # events that have no answer yet
        self.then = then
        self.lost = lost
        self.refused = refused
        self.why = self.refusal = ""


class Outgoing:
    """For one process, in the order in which it publishes."""

    def __init__(self, names: Names, window: int, sealer: Callable[[App], Sealer]) -> None:
        """`window`: seconds for which the marks of jobs are kept, and then as long again."""
        self._names = names
        self._sealer = sealer
        self._routes: dict[tuple[str, str], Route] = {}  # app id and channel →
        self._about = words(window, names.key("j", b""))
        self._alone = words("")
        self._link: Link | None = None
        self._items: list[Sealed] = []  # that go with the next call of the script,
        self._calls: list[Call] = []  # of which each of them is a part,
        self._size = 0  # and the bytes of their envelopes,
        self._wholes: list[int] = []  # and of those that go out together or not at all: first and number
        self._sent = self._back = 0  # calls of `send`, and how many of them are over
        self._once_back: deque[tuple[int, Callable[[], None]]] = deque()  # by the last that each waits for

    def route(self, app: App, name: str) -> Route:
        """The present one of the channel."""
        route = self._routes.get((app.id, name))
        if route is None or route.app is not app:
            if len(self._routes) >= ROUTES:
                self._routes.clear()
            route = self._routes[app.id, name] = Route(app, name, self._names, self._sealer(app))
        return route

    def forget_routes(self) -> None:
        """An app is not served any more."""
        self._routes.clear()

    def once_back(self, call: Callable[[], None]) -> bool:
        """As `Peers.once_back`."""
        if self._back == self._sent:
            return False
        self._once_back.append((self._sent, call))
        return True

    def send(
        self,
        link: Link,
        items: Sequence[Sealed],
        then: Callable[[list[int]], None],
        lost: Callable[[str], None],
        refused: Callable[[str], None],
    ) -> None:
        """Events of logs; they go out with the others of this turn, before anything that is sent after them.
        `then`, `lost` and `refused` as in `Call`. Where Redis refuses one of several, none goes out, for who
        is told so may publish all of them again; unless each has a mark, which keeps it from going out twice.
        """
        if not items:
            then([])
            return
        self._sent += 1
        call = Call(len(items), then, lost, refused)
        is_whole = len(items) > 1 and not all(item.mark for item in items)
        if is_whole:
            if len(self._items) + len(items) > MOST:
                self._close()
            self._wholes += (len(self._items) + 1, len(items))
        for item in items:
            if not is_whole and (len(self._items) >= MOST or self._size > MOST_BYTES):
                self._close()
            self._items.append(item)
            self._calls.append(call)
            self._size += len(item.envelope)
            if len(self._items) == 1:
                self._link = link
                link.gather(self._close)

    def _close(self) -> None:
        """What was gathered is with its link."""
        items, calls, link = self._items, self._calls, self._link
        if not items or link is None:
            return
        wholes, self._items, self._calls, self._size, self._wholes = self._wholes, [], [], 0, []
        call = [_head(link.sha(scripts.PUBLISH), len(items))]
        call += [item.route.keys for item in items]  # type: ignore[union-attr]
        call.append(self._about)
        call.append(words(" ".join(map(str, wholes))) if wholes else self._alone)
        call += [item.route.words(item) for item in items]  # type: ignore[union-attr]
        link.put(
            b"".join(call),
            lambda answers: self._answered(link, items, calls, answers),
            lambda why: self._are_lost(calls, why),
        )

    def _answered(self, link: Link, items: Sequence[Sealed], calls: Sequence[Call], answers: Any) -> None:
        why = ""
        for item, call, answer in zip(items, calls, answers, strict=True):
            if type(answer) is not hiredis.ReplyError:
                call.answers.append(answer)
                item.route.last = item.envelope[2:_TAG_END]  # type: ignore[union-attr]
            elif is_of_a_key(str(answer)):
                call.refusal = f"{without_place(str(answer))} ({item.place.decode()})"
            else:
                call.why = why = str(answer)
            call.due -= 1
            if not call.due:
                self._end(call)
        if why:
            link.refuse(why)

    def _are_lost(self, calls: Sequence[Call], why: str) -> None:
        for call in calls:
            call.why = why
            call.due -= 1
            if not call.due:
                self._end(call)

    def _end(self, call: Call) -> None:
        """All of it is answered, or will not be. A fault of who published it is no other's."""
        self._back += 1
        if self._once_back:
            self._are_back()
        try:
            if call.refusal:
                call.refused(call.refusal)
            elif call.why:
                call.lost(call.why)
            else:
                call.then(call.answers)
        except Exception:
            log.exception("a published event met a fault of bridge's own", extra={"action": "publish_fault"})

    def _are_back(self) -> None:
        """Those that wait for calls that are over; these end in their order."""
        while self._once_back and self._once_back[0][0] <= self._back:
            _, call = self._once_back.popleft()
            try:
                call()
            except Exception:
                about = {"action": "publish_fault"}
                log.exception("what waited for a published event met a fault of bridge's own", extra=about)
