"""Nodes: who else is on the bus. Each sends a beat now and then; one that is silent for too long is dead.

Any node takes back what a dead one had registered. If that was only slow, it learns so from its next command
(`Bus.is_fenced`). One of all nodes is the leader: it does what is to be done once, such as to write
the statistics, and is the first to take a silent node for dead.
"""

from __future__ import annotations

import json
import logging
import secrets
import socket as sockets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic

from bridge.sockets.cluster import link as scripts
from bridge.sockets.cluster import times
from bridge.sockets.cluster.bus import Bus, flat
from bridge.sockets.cluster.departures import Departures
from bridge.sockets.cluster.happenings import Happenings
from bridge.sockets.cluster.link import Link
from bridge.sockets.cluster.names import WITNESS
from bridge.sockets.cluster.records import Records
from bridge.sockets.pusher.outcome import S

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Other:
    """Another node, as its last beat told. `at`: when that came, on our clock."""

    number: int
    at: float
    record: Mapping[str, Any]


class Nodes(Generic[S]):
    """What this node knows of the others, by what their beats say.

    others     name → node, without this one
    is_leader  whether this node does what is done once on all nodes
    """

    def __init__(
        self,
        bus: Bus[S],
        records: Records[S],
        departures: Departures[S],
        happenings: Happenings[S],
        *,
        heard: Callable[[], None],
        register_again: Callable[[], None],
    ) -> None:
        """`heard` is called whenever all others have been heard of, `register_again` where Redis has evicted
        what this node had registered."""
        self._bus = bus
        self._happenings = happenings
        self._records = records
        self._departures = departures
        self._heard = heard
        self._register_again = register_again
        self.others: dict[str, Other] = {}
        self.is_leader = False
        self._beat = 0
        self._beaten_at = 0.0
        self._heard_from = 0.0  # when the present link was made: before that nobody could be heard
        self._has_witness = False  # whether a beat has come since all was registered last
        self._memory = b""  # the name of what Redis holds in memory
        self._awaited: set[str] = set()  # nodes that have to register again before anything is published
        self._await_until = 0.0
        self._reaping: set[str] = set()
        self._missing: dict[str, float] = {}  # nodes of which Redis tells nothing any more → since when

    def registers(self) -> None:
        """All that is wanted here is about to be registered again."""
        self._has_witness = False

    def linked(self, link: Link) -> None:
        """There is a new link."""
        self._heard_from = self._bus.now()
        for other in self.others.values():  # what could not be heard says nothing
            other.at = self._heard_from
        self._bus.read_clock(link)
        fresh = secrets.token_hex(8).encode()
        link.send("SET", self._bus.names.born, fresh, "NX")
        link.send("GET", self._bus.names.born, then=partial(self._remembered, self._memory))

    def lost(self) -> None:
        """The link is lost: whoever was not taken out whole is found again."""
        self._reaping.clear()

    def _remembered(self, before: bytes, memory: Any) -> None:
        """Which memory of Redis this is. Another one than before has lost everything: nothing is published
        until every node that was there has registered its clients again, or had the time to."""
        self._memory = memory
        self._departures.linked(is_emptied=bool(before) and memory != before)
        if before and memory != before:
            log.warning("Redis has lost what it held", extra={"action": "bus_emptied"})
            self._awaited = {node for node in self.others if node != self._bus.node}
            self._await_until = self._bus.now() + times.AWAITED

    def _still_remembered(self, link: Link, memory: Any) -> None:
        """Redis that was emptied (FLUSHALL) has another memory though the link stands. All is registered
        again as after any loss, by a new link."""
        if memory != self._memory and self._memory and link is self._bus.link:
            link.end("Redis has lost what it held")

    @property
    def is_awaiting(self) -> bool:
        """Whether another node has still to register again."""
        if self._awaited and self._bus.now() > self._await_until:
            self._awaited.clear()
        return bool(self._awaited)

    def look(self, now: float) -> None:
        """To be called with each tick: sends the beat when it is due."""
        if now - self._beaten_at >= times.BEAT or self._awaited:
            self.beat()

    def beat(self) -> None:
        bus, link = self._bus, self._bus.link
        if link is None:
            return
        bus.read_clock(link)
        self._beaten_at = bus.now()
        self._beat += 1
        record = {
            "beat": self._beat,
            "machine": sockets.gethostname(),
            "speaks": [1, 1],
            "connections": {app_id: len(hub.sockets) for app_id, hub in bus.home.hubs.items()},
            "leaving": bus.is_leaving,
        }
        names, node = bus.names, bus.node.encode()
        link.run(
            scripts.BEAT,
            [names.nodes, names.key("dead", node), names.leader, self._happenings.key, names.key("n", node)],
            bus.node,
            json.dumps(record),
            1 if bus.is_leaving else times.LEASE,
            self._happenings.known(),
            WITNESS,
            then=partial(self._beaten, bus.node),
            refused=self._unheard,
        )

    def _unheard(self, _why: str) -> None:
        """Nobody can tell who leads."""
        self.is_leader = False

    def _beaten(self, node: str, answer: Any) -> None:
        bus = self._bus
        if bus.is_fenced(node, answer):
            return
        had_witness, self._has_witness = self._has_witness, True
        if answer[2] and had_witness and bus.link is not None:
            log.warning("Redis has evicted what it held of this node", extra={"action": "bus_evicted"})
            self._register_again()
        now = bus.now()
        self.is_leader = bool(answer[0])
        before, self.others = self.others, self._read(flat(answer[1]), now)
        self._awaited -= self.others.keys()
        self._heard()
        if bus.is_leaving:
            return
        if bus.link is not None:
            bus.link.send("GET", bus.names.born, then=partial(self._still_remembered, bus.link))
        for other, last in self.others.items():
            patience = times.DEAD if self.is_leader else times.DEAD_FOR_ALL
            if last.record.get("leaving"):
                patience = times.GRACE
            if now - last.at > patience:
                self.reap(other)
        self._look_for_missing(before, now)

    def _look_for_missing(self, before: Mapping[str, Other], now: float) -> None:
        """Mostly somebody has taken out whoever is not there any more; or Redis has evicted that it was, and
        it lives, or died since."""
        for other in before.keys() - self.others.keys():
            self._missing[other] = now
        for other, since in tuple(self._missing.items()):
            if other in self.others:
                del self._missing[other]
            elif now - max(since, self._heard_from) > times.DEAD_FOR_ALL:
                del self._missing[other]
                self.reap(other, is_missing=True)

    def _read(self, records: list[bytes], now: float) -> dict[str, Other]:
        known: dict[str, Other] = {}
        for name, text in zip(records[::2], records[1::2], strict=True):
            if not name.isalnum():  # no node's
                self._records.reject("node")
                continue
            other = name.decode()
            if other == self._bus.node:
                continue
            try:
                record = json.loads(text)
                number = int(record["beat"])
            except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
                record, number = {}, 0  # it never changes, so it is taken out as a dead one's
            before = self.others.get(other)
            at = now if before is None or before.number != number else max(before.at, self._heard_from)
            known[other] = Other(number, at, record)
        return known

    def reap(self, node: str, *, is_missing: bool = False) -> None:
        """Takes back what a dead node had registered, some entries at a time."""
        bus, link = self._bus, self._bus.link
        if link is None or node in self._reaping:
            return
        self._reaping.add(node)
        record = self.others[node].record if node in self.others else {}
        about = {"action": "bus_reap", "node": node, "machine": str(record.get("machine", ""))}
        if is_missing:
            log.debug("a node that is not there any more is looked for", extra=about)
        elif record.get("leaving"):
            log.info("a node has stopped and is taken out", extra=about)
        else:
            log.warning("a node is gone, its clients are taken out", extra=about)

        def then(answer: Any) -> None:
            for at in range(1, len(answer), 3):
                self._departures.add(*answer[at : at + 3])
            if answer[0] and bus.link is link:
                step()
            else:
                self._reaping.discard(node)

        def refused(_why: str) -> None:
            """A key is not what it should be: tried again, as nothing says that the node was taken out."""
            self._reaping.discard(node)

        def step() -> None:
            names = bus.names
            keys = [names.key("n", node.encode()), names.key("dead", node.encode()), names.nodes]
            words = (node, times.REAPED, names.prefix, names.topics)
            self._happenings.run(scripts.REAP, keys, *words, then=then, refused=refused)

        step()

    def connections(self, app_id: str) -> int:
        """The app's connections on the other nodes, as their last beats say."""
        total = 0
        for other in self.others.values():
            connections = other.record.get("connections")
            count = connections.get(app_id, 0) if isinstance(connections, dict) else 0
            total += count if isinstance(count, int) else 0
        return total
