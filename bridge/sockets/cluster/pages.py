"""Pages: what pages that resume have, kept in Redis for whichever node they come back to."""

from __future__ import annotations

from typing import Any, Generic

from bridge.sockets.cluster import link as scripts
from bridge.sockets.cluster import times
from bridge.sockets.cluster.bus import Bus, place_for
from bridge.sockets.cluster.envelope import TAG
from bridge.sockets.cluster.link import Link
from bridge.sockets.cluster.records import Records
from bridge.sockets.pusher.asks import Keep, Load, Read
from bridge.sockets.pusher.outcome import S
from bridge.sockets.pusher.resume import EARLIER, MOST_BEFORE
from bridge.sockets.pusher.shared_hub import SharedHub


class Pages(Generic[S]):
    """Carries out what `SharedSessions` asks, and gives the hub the answers."""

    def __init__(self, bus: Bus[S], records: Records[S]) -> None:
        self._bus = bus
        self._records = records

    def load(self, link: Link, hub: SharedHub[S], ask: Load) -> None:
        def then(answer: Any) -> None:
            is_known, earlier, entries = answer
            found: dict[str, bytes] = {}
            gaps = []
            try:
                for word, value in zip(entries[::2], entries[1::2], strict=True):
                    key = word.decode("utf-8", "surrogatepass")
                    found[key] = value[:TAG]
                    if value[TAG:]:
                        gaps.append(key)
                ids = [one for one in earlier.decode().split(",") if one]
            except ValueError:  # nobody of ours has written this
                self._records.reject("page")
                is_known, ids, gaps = 0, [], []
            positions = found if is_known else None
            now = self._bus.now()
            self._bus.home.settle()
            self._bus.home.answered(
                hub, hub.loaded(ask.session_id, ask.socket_id, ids[-EARLIER:], positions, gaps, now)
            )

        most = max(MOST_BEFORE, 2 * hub.app.limits.subscriptions)
        words = (ask.socket_id, _seconds(hub), EARLIER, most, ask.number)
        link.run(
            scripts.LOAD,
            [self._key(hub, ask.session_id)],
            *words,
            then=then,
            refused=lambda _: then((0, b"", ())),  # as one that is not known
        )

    def keep(self, link: Link, hub: SharedHub[S], ask: Keep) -> None:
        def then(is_kept: Any) -> None:
            assert ask.awaited is not None  # noqa: S101 - only then it is called
            now = self._bus.now()
            self._bus.home.settle()
            is_done = bool(is_kept) or ask.is_whole  # else the record is another connection's of the page
            answered = hub.kept(*ask.awaited, ask.socket_id, now, is_kept=is_done)
            self._bus.home.answered(hub, answered)

        words: list[bytes | str | int] = []
        for key, tag in ask.positions.items():
            words += [key.encode("utf-8", "surrogatepass"), tag]
        link.run(
            scripts.KEEP,
            [self._key(hub, ask.session_id)],
            ask.socket_id,
            _seconds(hub),
            int(ask.is_whole),
            ",".join(ask.earlier),
            ask.number,
            *words,
            then=None if ask.awaited is None else then,
            refused=None
            if ask.awaited is None
            else lambda _: then(1),  # nor is a gap missed: it is not known
        )

    def read(self, link: Link, hub: SharedHub[S], ask: Read, most: int = times.FEW_BYTES) -> None:
        """`most`: bytes of what is brought; where that is not enough, it is asked for again."""
        place = place_for(hub.app.id, ask.channel)

        def then(answer: Any) -> None:
            has_gap, entries = answer
            if has_gap == scripts.MORE and most < times.MISSED_BYTES:
                self.read(link, hub, ask, times.MISSED_BYTES)
                return
            events = self._records.messages(hub, place, entries)
            is_short = len(events) < len(entries)
            self._bus.home.settle()
            now = self._bus.now()
            self._bus.home.answered(
                hub,
                hub.read(ask.channel, ask.generation, ask.socket_id, events, bool(has_gap) or is_short, now),
            )

        key = self._bus.names.key
        keys = [key("c", place), key("l", place)]
        link.run(scripts.READ, keys, ask.tag, most, then=then, refused=lambda _: then((1, ())), size=most)

    def _key(self, hub: SharedHub[S], session_id: str) -> bytes:
        return self._bus.names.key("r", place_for(hub.app.id, session_id))


def _seconds(hub: SharedHub[S]) -> int:
    """For how long a page is kept; it is kept anew before half of it is over."""
    return int(2 * hub.app.resume_seconds)
