"""Records: opens what Redis holds and brings, and seals what goes there. What is not ours is dropped."""

from __future__ import annotations

import json
import logging
import time
from collections import Counter
from collections.abc import Collection, Sequence
from typing import Generic

from bridge.sockets.cluster import times
from bridge.sockets.cluster.envelope import MEMBER, TAG, Forged, Own, Sealer
from bridge.sockets.cluster.names import split_place, word_user
from bridge.sockets.pusher.app import App
from bridge.sockets.pusher.hub import Cached
from bridge.sockets.pusher.outcome import S
from bridge.sockets.pusher.shared_channel import Message
from bridge.sockets.pusher.shared_hub import SharedHub

log = logging.getLogger(__name__)


class Records(Generic[S]):
    """rejected: how many messages and entries were not believed, by reason."""

    def __init__(self) -> None:
        self.rejected: Counter[str] = Counter()
        self._sealers: dict[str, tuple[App, Sealer]] = {}
        self._own = Own()
        self._warned_at = 0.0

    def sealer(self, app: App) -> Sealer:
        known = self._sealers.get(app.id)
        if known is None or known[0] is not app:
            known = self._sealers[app.id] = (app, Sealer(app, self._own))
        return known[1]

    def keep(self, app_ids: Collection[str]) -> None:
        """Nothing is kept of other apps."""
        for app_id in self._sealers.keys() - set(app_ids):
            del self._sealers[app_id]

    def reject(self, reason: str) -> None:
        """Counts it, and logs a warning at most once a minute."""
        self.rejected[reason] += 1
        now = time.monotonic()
        if now - self._warned_at >= 60 or self._warned_at == 0:
            self._warned_at = now
            about = {"action": "bus_reject", "why": reason, "messages": self.rejected.total()}
            log.warning("messages on the bus are not ours and are dropped", extra=about)

    def who(self, place: bytes, word: bytes, reason: str) -> tuple[str, str, str] | None:
        """App id, channel and user_id, which is empty for the channel itself. None where nobody of ours has
        written that, which is rejected for this reason."""
        try:
            return (*split_place(place), word_user(word))
        except ValueError:
            self.reject(reason)
            return None

    def messages(self, hub: SharedHub[S], place: bytes, entries: Sequence[bytes]) -> list[Message]:
        """The events in a channel's log, but for those that are not ours."""
        found = []
        for entry in entries:
            try:
                found.append(self.sealer(hub.app).event(place, split_event(entry)[1]))
            except (Forged, ValueError):
                self.reject("log")
        return found

    def roster(self, hub: SharedHub[S], place: bytes, entries: Sequence[bytes]) -> dict[str, str | None]:
        """A presence channel's members, user_id → info."""
        found: dict[str, str | None] = {}
        for word, value in zip(entries[::2], entries[1::2], strict=True):
            try:
                found[word_user(word)] = self.info(hub, place, word, value.partition(b":")[2])
            except (Forged, ValueError):
                self.reject("roster")
        return found

    def info(self, hub: SharedHub[S], place: bytes, word: bytes, sealed: bytes) -> str | None:
        """A member's info. Raises Forged."""
        opened = self.sealer(hub.app).open(place + b" " + word, sealed)
        if opened.kind != MEMBER:
            raise Forged("kind")
        return opened.text or None

    def cached(
        self, hub: SharedHub[S], place: bytes, envelope: bytes | None, ttl: int, now: float
    ) -> Cached | None:
        """A cache channel's last event, of which `ttl` milliseconds are left."""
        if not envelope:
            return None
        try:
            opened = self.sealer(hub.app).event(place, envelope)
        except Forged as problem:
            self.reject(str(problem))
            return None
        data = json.loads(opened.text)["data"]
        return Cached(text=opened.text, data=data, expires_at=now + ttl / 1000)


class SeenTags:
    """The tags of the last messages that were delivered here: between `SEEN` and twice as many."""

    def __init__(self) -> None:
        self._new: set[bytes] = set()
        self._old: set[bytes] = set()

    def __contains__(self, tag: bytes) -> bool:
        return tag in self._new or tag in self._old

    def add(self, tag: bytes) -> bool:
        """Whether it is new. It is among the last ones from now on."""
        if tag in self._new:
            return False
        is_new = tag not in self._old
        self._new.add(tag)
        if len(self._new) >= times.SEEN:
            self._new, self._old = set(), self._new
        return is_new


def split_event(data: bytes) -> tuple[bytes, bytes]:
    """The tag of the event before, and the envelope. Raises ValueError."""
    start = data.index(b":", 0, 21) + 1
    return data[start : start + TAG], data[start + TAG :]
