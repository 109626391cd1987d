"""Statistics of an app on all nodes, of which one node writes a row for each interval."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Generic

from bridge.sockets.cluster import link as scripts
from bridge.sockets.cluster.bus import Bus, app_of, flat, place_for
from bridge.sockets.cluster.nodes import Nodes
from bridge.sockets.pusher.outcome import S


class Statistics(Generic[S]):
    """Peaks of all nodes as this node sees them, and its own counts until Redis has them. What was under way
    when a link broke is not sent or asked for again, since it may have been counted: a row may lack it."""

    def __init__(self, bus: Bus[S], nodes: Nodes[S]) -> None:
        self._bus = bus
        self._nodes = nodes
        self._peaks: dict[str, int] = {}  # app → most connections on all nodes since they were last taken
        self._uncounted: Counter[tuple[str, str]] = Counter()  # app and word → counted, and not in Redis yet

    def sample(self) -> None:
        """To be called whenever the other nodes have been heard of."""
        for app_id, hub in self._bus.home.hubs.items():
            connections = len(hub.sockets) + self._nodes.connections(app_id)
            self._peaks[app_id] = max(connections, self._peaks.get(app_id, 0))

    async def share(self, rows: Mapping[str, tuple[int, int, int]]) -> dict[str, tuple[int, int, int]]:
        """An interval's statistics (most connections, messages of clients, messages by the API) of this node
        become those of all nodes, by app id, for the one node that writes them; none for the others."""
        for app_id, (peak, *messages) in rows.items():
            self._peaks[app_id] = max(peak, self._peaks.get(app_id, 0))
            for word, count in zip(("w", "a"), messages, strict=True):
                self._uncounted[(app_id, word)] += count
        link = self._bus.link
        if link is None:
            return {}
        uncounted, self._uncounted = self._uncounted, Counter()
        for (app_id, word), count in uncounted.items():
            link.send("HINCRBY", self._key(app_id), word, count)
        if not self._nodes.is_leader:
            self._peaks.clear()
            return {}
        peaks, self._peaks = self._peaks, {}
        shared = {}
        for app_id in rows:
            counts = flat(await link.ask_script(scripts.TAKE, [self._key(app_id)]))
            counted = dict(zip(counts[::2], map(int, counts[1::2]), strict=True))
            shared[app_id] = (peaks.get(app_id, 0), counted.get(b"w", 0), counted.get(b"a", 0))
        return shared

    def _key(self, app_id: str) -> bytes:
        return self._bus.names.key("s", app_of(place_for(app_id, "")))
