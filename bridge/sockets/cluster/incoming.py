"""Incoming: what the topics bring becomes calls of the hub that they are for.

| begins with | what it is | from |
|---|---|---|
| a digit | an event: the tag of the one before, and its envelope | publish.lua |
| `\\x01` | an envelope: a client's event, or an order to all nodes | nodes |
| `+`, `-` | a member came, or left: the roster's version, and who | join.lua, leave.lua, reap.lua |
| `#` | how many are subscribed | count.lua and others |
| `^` | whether this user is there has changed | join.lua, leave.lua, reap.lua |
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any, Generic

from bridge.sockets.cluster.bus import Bus, place_for
from bridge.sockets.cluster.envelope import CLIENT_EVENT, CONTROL, EVENT, Forged
from bridge.sockets.cluster.names import CONTROL_CHANNEL, split_place, word_user
from bridge.sockets.cluster.records import Records, SeenTags, split_event
from bridge.sockets.cluster.registrations import Registrations
from bridge.sockets.cluster.topics import Topics
from bridge.sockets.cluster.watches import Watches
from bridge.sockets.pusher.channels import USER_CHANNEL
from bridge.sockets.pusher.outcome import Answered, S
from bridge.sockets.pusher.shared_hub import SharedHub


class Incoming(Generic[S]):
    """Believes nobody: whatever is not sealed by a node of the app is rejected, or asked of Redis first."""

    def __init__(
        self,
        bus: Bus[S],
        topics: Topics[S],
        records: Records[S],
        seen: SeenTags,
        orders: SeenTags,
        registrations: Registrations[S],
        watches: Watches[S],
    ) -> None:
        self._bus = bus
        self._prefix = len(bus.names.topics)
        self._by_place = topics.by_place
        self._records = records
        self._seen = seen
        self._orders = orders
        self._registrations = registrations
        self._watches = watches

    def pushed(self, topic: bytes, data: bytes) -> None:
        place = topic[self._prefix :]
        known = self._by_place.get(place)
        if known is None or not data:
            return
        hub, name = known
        try:
            first = data[:1]
            if first.isdigit():
                self._event(hub, name, place, data)
            elif first == b"\x01":
                self._message(hub, name, place, data)
            elif first == b"+":
                version, word, sealed = data[1:].split(b" ", 2)
                info = self._records.info(hub, place, word, sealed)
                came = hub.came(name, _number(version), word_user(word), info)
                self._answer_or_repair(hub, name, came)
            elif first == b"-":
                version, word = data[1:].split(b" ", 1)
                self._left(hub, name, place, _number(version), word)
            elif first == b"#":
                if hub.app.subscription_count:
                    self._bus.home.answered(hub, hub.counted(name, _number(data[1:])))
            elif data == b"^":
                self._watches.ask(hub, name.removeprefix(USER_CHANNEL))
            else:
                self._records.reject("kind")
        except Forged as problem:
            self._records.reject(str(problem))
        except ValueError:
            self._records.reject("form")

    def orders(self, hub: SharedHub[S], envelopes: Sequence[bytes]) -> None:
        """What was ordered lately, while this node may have heard nothing; what it has heard is left out.
        An order is not for connections that became the user's after it."""
        place = place_for(hub.app.id, CONTROL_CHANNEL)
        for envelope in envelopes:
            try:
                self._message(hub, CONTROL_CHANNEL, place, envelope)
            except Forged as problem:
                self._records.reject(str(problem))
            except ValueError:
                self._records.reject("form")

    def own(self, place: bytes, envelope: bytes) -> None:
        """What this node has sent to a link that is lost, for who is here, unless they have it already: it
        comes before what they get next, which waits for no link."""
        app_id, name = split_place(place)
        hub = self._bus.home.hubs.get(app_id)
        if hub is None:  # the app is not served any more
            return
        try:
            if envelope[1] != EVENT:
                self._message(hub, name, place, envelope)
                return
            message = self._records.sealer(hub.app).event(place, envelope)
        except Forged:  # the app's secret or limits are others since: whoever listens will say the same
            return
        if self._seen.add(message.tag):
            self._bus.home.answered(hub, hub.deliver_here(name, message))

    def _event(self, hub: SharedHub[S], name: str, place: bytes, data: bytes) -> None:
        previous, envelope = split_event(data)
        message = self._records.sealer(hub.app).event(place, envelope)
        deliveries = hub.event(name, previous, message, self._bus.now(), self._seen.add)
        if deliveries is None:
            self._registrations.repair(hub, name)
        elif deliveries:
            self._bus.home.send(deliveries)

    def _message(self, hub: SharedHub[S], name: str, place: bytes, data: bytes) -> None:
        opened = self._records.sealer(hub.app).open(place, data)
        seen = self._orders if opened.kind == CONTROL else self._seen
        if not seen.add(opened.tag):
            return
        if opened.kind == CLIENT_EVENT:
            self._bus.home.answered(hub, hub.passed_on(name, opened.text, opened.excluded))
        elif opened.kind == CONTROL and name == CONTROL_CHANNEL:
            order = json.loads(opened.text)
            if "terminate" in order:
                at = order.get("at")  # 0.7.0 and those before it tell none, and keep no orders
                given = math.inf if at is None else self._bus.latest_here(at)
                self._bus.home.terminate(hub, order["terminate"], given)
        else:
            raise Forged("kind")

    def _left(self, hub: SharedHub[S], name: str, place: bytes, version: int, word: bytes) -> None:
        """A script says so, which cannot seal: the roster is asked before it is believed."""
        user_id = word_user(word)
        leaves = hub.leaves(name, version)
        if leaves is None:
            self._registrations.repair(hub, name)
        channel, link = hub.shared(name), self._bus.link
        if not leaves or channel is None or link is None:
            return
        generation = channel.generation

        def then(is_there: Any) -> None:
            if not is_there:
                self._bus.home.answered(hub, hub.went(name, generation, user_id))

        link.send("HEXISTS", self._bus.names.key("m", place), word, then=then)

    def _answer_or_repair(self, hub: SharedHub[S], name: str, answered: Answered[S] | None) -> None:
        if answered is None:
            self._registrations.repair(hub, name)
        elif answered.deliveries:
            self._bus.home.answered(hub, answered)


def _number(digits: bytes) -> int:
    if not 0 < len(digits) <= 18 or not digits.isdigit():
        raise ValueError("not a number")
    return int(digits)
