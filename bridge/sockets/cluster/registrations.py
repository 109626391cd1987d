"""Registrations: tell Redis who of this node is in which channel, and ask again where that is in doubt."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Generic

from bridge.sockets.cluster import link as scripts
from bridge.sockets.cluster import times
from bridge.sockets.cluster.bus import Bus, app_of, flat, place_for
from bridge.sockets.cluster.departures import Departures
from bridge.sockets.cluster.envelope import MEMBER, TAG
from bridge.sockets.cluster.happenings import Happenings
from bridge.sockets.cluster.link import Link
from bridge.sockets.cluster.names import WITNESS, split_place, user_word, word_user
from bridge.sockets.cluster.records import Records, SeenTags
from bridge.sockets.pusher.hub_events import CacheMissed, MemberAdded, Occupied
from bridge.sockets.pusher.outcome import S
from bridge.sockets.pusher.shared_channel import Joined, Message, SharedChannel
from bridge.sockets.pusher.shared_hub import SharedHub

_PER_MEMBER = 256  # bytes of an entry of a roster beside the member's data: its user's id, nodes and seal
_UNKNOWN = 256 * 1024  # bytes at most of an answer of which nothing is known yet: few are so large
_PART = 1_000  # of this node's registrations that are read at once


class Registrations(Generic[S]):
    """Every answer of Redis goes to the hub that asked, if it still wants it.

    repairs   how often a channel was asked for again, because something was missed on a link that stands
    gaps      how often events could not be had any more
    was_dead  this node was taken for dead, and registers all again: who was said to have left comes back
    """

    def __init__(
        self,
        bus: Bus[S],
        records: Records[S],
        seen: SeenTags,
        departures: Departures[S],
        happenings: Happenings[S],
    ) -> None:
        self._bus = bus
        self._happenings = happenings
        self._records = records
        self._seen = seen
        self._departures = departures
        self.repairs = self.gaps = 0
        self.was_dead = False
        self._repairing: set[bytes] = set()
        self._stale: dict[bytes, float] = {}  # places whose roster is to be read again → when
        self._refused: dict[bytes, float] = {}  # places of which nothing could be had → when to ask again

    # Who comes -----------------------------------------------------------------------------------------

    def join(
        self,
        hub: SharedHub[S],
        channel: SharedChannel[S],
        users: Mapping[str, str | None],
        *,
        again: bool = False,
        most: int = times.FEW_BYTES,
    ) -> None:
        """Registers the channel, and these users (→ info) as members through this node. The hub gets the
        answer. `again`: with all that came since the last event here; where that is more than `most` bytes,
        it is asked for once more."""
        bus = self._bus
        if bus.link is None:
            return
        name = channel.name
        place = place_for(hub.app.id, name)
        key = bus.names.key
        keys = [key("c", place), key("m", place), key("n", bus.node.encode())]
        keys += [key("i", app_of(place)), key("g", place)]
        keys += [key("dead", bus.node.encode()), key("l", place), key("k", place)]
        flags = ("ad" if self.was_dead else "a") if again else ""
        if channel.kind.has_members and (again or not channel.is_joined):
            flags += "r"
        if channel.kind.is_cache and (again or not channel.is_joined):
            flags += "k"
        if (again or not channel.is_joined) and 2 * hub.app.resume_seconds > times.KNOWN:
            flags += str(int(2 * hub.app.resume_seconds))  # as long as a page that was in it
        words: list[bytes | str | int] = []
        sealer = self._records.sealer(hub.app)
        for user_id, info in users.items():
            word = user_word(user_id)
            words += [word, sealer.seal(place + b" " + word, MEMBER, info or "")]
        self._happenings.run(
            scripts.JOIN,
            keys,
            bus.node,
            place,
            bus.names.topic(place),
            place.partition(b":")[2],
            max(channel.connections, 1) if name in hub.channels else 1,
            os.urandom(TAG),
            0 if again else hub.app.limits.members,
            channel.tag if again else b"",
            flags,
            most,
            *words,
            then=partial(self._joined, bus.node, hub, name, channel.generation, tuple(users), flags, most),
            refused=partial(self._join_refused, hub, name, channel.generation, tuple(users)),
            size=_size(hub, channel, flags, most),
        )

    def _join_refused(
        self, hub: SharedHub[S], name: str, generation: int, users: Sequence[str], _why: str
    ) -> None:
        """A key of the channel is not what it should be: nobody can come. Who is here stays, and gets what is
        missed meanwhile, or hears of a gap, once that is mended."""
        place, channel = place_for(hub.app.id, name), hub.shared(name)
        self._repairing.discard(place)
        if channel is None or channel.generation != generation:
            return
        if channel.is_joined:
            self._refused.setdefault(place, self._bus.now() + times.SETTLE)
        self._bus.home.settle()
        self._bus.home.answered(hub, hub.refused(name, users))

    def _joined(
        self,
        node: str,
        hub: SharedHub[S],
        name: str,
        generation: int,
        users: Sequence[str],
        flags: str,
        most: int,
        answer: Any,
    ) -> None:
        bus, records = self._bus, self._records
        if bus.is_fenced(node, answer):
            return
        _, tag, version, _, came, added, full, members, cached, ttl, missed, gap = answer
        now, app_id = bus.now(), hub.app.id
        place = place_for(app_id, name)
        if came and not name.startswith("#"):
            bus.home.tell(Occupied(app_id=app_id, channel=name))
        for word in added:
            bus.home.tell(MemberAdded(app_id=app_id, channel=name, user_id=word_user(word)))
        refused = {word_user(word) for word in full}
        admitted = [user for user in users if user not in refused]
        channel = hub.shared(name)
        is_wanted = channel is not None and channel.generation == generation
        is_first = "a" not in flags or (gap == scripts.MORE and most < times.MISSED_BYTES)
        if channel is not None and is_wanted and channel.needs_resync and is_first:
            # what was missed comes before anything that this answer says
            known = {user: channel.asked[user] for user in admitted if user in channel.asked}
            self.join(hub, channel, known, again=True, most=times.MISSED_BYTES)
            # for whom there was no room: asked once more, and answered once the channel is current
            if outside := {user: channel.asked[user] for user in refused if user in channel.asked}:
                self.join(hub, channel, outside)
            return
        has_gap = bool(gap)
        bus.home.settle()
        joined = Joined(
            channel=name,
            generation=generation,
            users=admitted,
            full=refused,
            tag=tag,
            version=int(version),
            roster=records.roster(hub, place, members) if "r" in flags else None,
            cached=records.cached(hub, place, cached, ttl, now),
            missed=self._new_messages(hub, place, missed),
            has_gap=has_gap,
        )
        if "r" in flags:
            self._take_back_members(hub, name, members)
        if "a" in flags:
            self._repairing.discard(place)
            if hub.app.subscription_count and name in hub.channels:
                hub.changed.add(name)  # what was told of it meanwhile
            if has_gap and is_wanted:
                self.gaps += 1
        bus.home.answered(hub, hub.joined(joined, now))
        channel = hub.shared(name)
        if channel is not None and channel.is_stale:
            self._stale.setdefault(place, now + times.SETTLE)

    def _new_messages(self, hub: SharedHub[S], place: bytes, entries: Sequence[bytes]) -> list[Message]:
        return [
            message for message in self._records.messages(hub, place, entries) if self._seen.add(message.tag)
        ]

    # Who leaves ----------------------------------------------------------------------------------------

    def leave(
        self, app_id: str, name: str, user_id: str | None, *, is_last: bool, hub: SharedHub[S] | None
    ) -> None:
        """Takes back the user, or with `is_last` the channel. `hub` is None for an app that is not here."""
        bus = self._bus
        if bus.link is None or bus.is_leaving:
            return
        place = place_for(app_id, name)
        key = bus.names.key
        keys = [key("c", place), key("m", place), key("n", bus.node.encode())]
        keys += [key("i", app_of(place)), key("g", place), key("dead", bus.node.encode())]
        word = b"" if user_id is None else user_word(user_id)
        self._happenings.run(
            scripts.LEAVE,
            keys,
            bus.node,
            place,
            bus.names.topic(place),
            place.partition(b":")[2],
            word,
            int(is_last),
            int(hub is not None and hub.app.subscription_count),
            then=partial(self._left, bus.node, place, word),
            lost=partial(self._leave_lost, place, [word] * bool(word) + [b""] * is_last),
        )

    def _leave_lost(self, place: bytes, words: Sequence[bytes], _why: str) -> None:
        for word in words:
            self._departures.unanswered(place, word)

    def _left(self, node: str, place: bytes, word: bytes, answer: Any) -> None:
        if self._bus.is_fenced(node, answer):
            return
        removed, vacated = answer
        if removed:
            self._departures.add(place, word, removed)
        if vacated:
            self._departures.add(place, b"", vacated)

    def take(self, kind: bytes, place: bytes, word: bytes, at: bytes) -> None:
        """A happening whose answer was lost."""
        who = self._records.who(place, word, "note")
        if who is None:
            return
        app_id, name, user_id = who
        match kind:
            case b"o":
                self._bus.home.tell(Occupied(app_id=app_id, channel=name))
            case b"a":
                self._bus.home.tell(MemberAdded(app_id=app_id, channel=name, user_id=user_id))
            case b"l":
                self._departures.add(place, word, at)
            case b"g":
                self._departures.gone(place, word, 1)
            case b"m":
                self._bus.home.tell(CacheMissed(app_id=app_id, channel=name))
            case _:
                self._records.reject("note")

    def _take_back_members(self, hub: SharedHub[S], name: str, members: Sequence[bytes]) -> None:
        """Who is in the roster through this node, and nobody here wants: Redis has evicted what this node had
        told, so that `take_back` cannot know."""
        channel, node = hub.shared(name), self._bus.node.encode()
        for word, value in zip(members[::2], members[1::2], strict=True):
            if node in value.partition(b":")[0].split(b","):
                try:
                    user_id = word_user(word)
                except ValueError:  # no user's, as `roster` says
                    continue
                if channel is None or user_id not in channel.asked:
                    self.leave(hub.app.id, name, user_id, is_last=False, hub=hub)

    def take_back(self, link: Link, cursor: bytes | int = 0) -> None:
        """What Redis holds of this node and nobody here wants: who left while that could not be said. It is
        read in parts, since Redis ends a link for which too much waits."""
        registered = self._bus.names.key("n", self._bus.node.encode())

        def then(answer: Any) -> None:
            following, entries = answer
            self._take_back(entries)
            if following != b"0" and self._bus.link is link:
                self.take_back(link, following)

        link.send("SSCAN", registered, cursor, "COUNT", _PART, then=then, size=_UNKNOWN)

    def _take_back(self, entries: Sequence[bytes]) -> None:
        for entry in entries:
            if entry == WITNESS:
                continue
            place, _, word = entry.partition(b" ")
            who = self._records.who(place, word, "place")
            if who is None:
                continue
            app_id, name, user_id = who
            hub = self._bus.home.hubs.get(app_id)
            channel = hub.shared(name) if hub else None
            if channel is None or (word and user_id not in channel.asked):
                is_last = channel is None and not word
                self.leave(app_id, name, user_id if word else None, is_last=is_last, hub=hub)

    # Where that is in doubt ----------------------------------------------------------------------------

    def lost(self) -> None:
        """The link is lost, or this node has a new name: every channel will be asked for again."""
        self._repairing.clear()

    def ask_again(self, hub: SharedHub[S], channel: SharedChannel[S]) -> None:
        """Registers all that is wanted of the channel."""
        known = {user: channel.asked[user] for user in channel.confirmed}
        if channel.is_joined:
            self.join(hub, channel, known, again=True)
        for user_id, info in channel.asked.items():
            if user_id not in known:
                self.join(hub, channel, {user_id: info})
        if not channel.is_joined and not channel.asked:
            self.join(hub, channel, {})

    def repair(self, hub: SharedHub[S], name: str) -> None:
        """Something was missed on a link that stands: the channel is asked for again."""
        place, channel = place_for(hub.app.id, name), hub.shared(name)
        if channel is not None and place not in self._repairing:
            self._repairing.add(place)
            self.repairs += 1
            self.ask_again(hub, channel)

    def look(self, link: Link, now: float) -> None:
        """To be called with each tick. Who seemed to have left when Redis was read after a fault may only
        have had to be registered again: that is looked at once more."""
        for place in [place for place, due in self._refused.items() if due <= now]:
            del self._refused[place]
            hub, name, channel = self._find(place)
            if hub is not None and channel is not None:
                self.ask_again(hub, channel)
        for place in [place for place, due in self._stale.items() if due <= now]:
            del self._stale[place]
            hub, name, channel = self._find(place)
            if hub is not None and channel is not None:
                then = partial(self._settled, hub, name, channel.generation)
                link.send("HGETALL", self._bus.names.key("m", place), then=then, size=_roster_bytes(channel))

    def _find(self, place: bytes) -> tuple[SharedHub[S] | None, str, SharedChannel[S] | None]:
        app_id, name = split_place(place)
        hub = self._bus.home.hubs.get(app_id)
        return hub, name, None if hub is None else hub.shared(name)

    def _settled(self, hub: SharedHub[S], name: str, generation: int, answer: Any) -> None:
        roster = self._records.roster(hub, place_for(hub.app.id, name), flat(answer))
        self._bus.home.settle()
        self._bus.home.answered(hub, hub.settled(name, generation, roster))


def _size(hub: SharedHub[S], channel: SharedChannel[S], flags: str, most: int) -> int:
    """About how many bytes the answer to a `join` has."""
    limits = hub.app.limits
    size = most if "a" in flags else 0
    if "r" in flags and channel.is_joined:
        size += _roster_bytes(channel)
    elif "r" in flags:
        size += min(limits.members * (limits.member_bytes + _PER_MEMBER), _UNKNOWN)
    if "k" in flags:
        size += min(limits.event_bytes, _UNKNOWN)
    return size


def _roster_bytes(channel: SharedChannel[S]) -> int:
    return sum(len(info or "") + _PER_MEMBER for info in channel.members_on_all_nodes.values())
