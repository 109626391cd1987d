"""Cluster: keeps the hubs of this node and Redis alike, and carries events between nodes.

What a hub asks becomes a script call; what Redis answers and pushes becomes an answer to the hub. All of it
goes over one link, in one order, so an answer means that everything before it has been seen.

- A lost link loses nothing for good: the next one subscribes to every topic again and tells Redis, for every
  channel, who is here and which event was the last (`_sync`). Redis answers with what was missed. What Redis
  holds of this node and nobody here wants is taken back.
- A node that is not heard of for a while is dead: any other takes back what it had told (`_reap`). If it
  was only slow, it learns so from its next command, takes a new name and tells everything again.
- An event that was published has an answer from Redis. A broadcast whose answer did not come is published
  again by its job, and the job's mark keeps it from going out twice.

Happenings of a channel (occupied, vacated, members) are told by the node whose call made them so: once on all
nodes. A going is told `AWAY` seconds later, if nobody has come back meanwhile on any node.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import random
import secrets
import socket as sockets
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from hashlib import blake2b
from typing import Any, Generic, Protocol

from bridge.broadcast import Broadcast
from bridge.errors import JobError, ServiceUnavailable
from bridge.sockets.cluster import link as scripts
from bridge.sockets.cluster.envelope import CLIENT_EVENT, CONTROL, EVENT, MEMBER, TAG, Forged, Sealer
from bridge.sockets.cluster.link import Address, Link, Then
from bridge.sockets.cluster.names import (
    CONTROL_CHANNEL,
    Names,
    place_of,
    split_place,
    user_word,
    word_user,
)
from bridge.sockets.pusher import messages
from bridge.sockets.pusher.app import App
from bridge.sockets.pusher.asks import Ask, Join, Keep, Leave, Load, Missed, PassOn, Read, Unwatch, Watch
from bridge.sockets.pusher.channels import USER_CHANNEL, kind_of
from bridge.sockets.pusher.hub import Cached
from bridge.sockets.pusher.hub_events import (
    CacheMissed,
    HubEvent,
    MemberAdded,
    MemberRemoved,
    Occupied,
    Published,
    SubscriptionCounted,
    Vacated,
)
from bridge.sockets.pusher.outcome import Answered, S
from bridge.sockets.pusher.resume import EARLIER, MOST_BEFORE
from bridge.sockets.pusher.shared_channel import Joined, Message, SharedChannel
from bridge.sockets.pusher.shared_hub import SharedHub

TICK = 0.5  # seconds between looks at everything below
BEAT = 2.0  # seconds between signs of life
DEAD = 8.0  # seconds without one, of our own unbroken link, after which a node is dead
DEAD_FOR_ALL = 11.0  # when also those take it for dead who do not have the duty
GRACE = 5.0  # seconds that a node which has stopped is held to be there, for its clients to come back
DUTY = 5_000  # ms
AWAY = 3.0  # seconds that somebody may be away unnoticed, as for Pusher's webhooks
COMPARE = 30.0  # seconds between comparisons of each channel's last event with Redis
COMPARED = 500  # channels in one tick
SETTLE = 10.0  # seconds after a fault in which every node has told again who is there
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 2.0  # seconds between tries to reach Redis
LOG_EVENTS, LOG_SECONDS = 1_000, 60
JOBS_WAIT = 8.0  # seconds for jobs to go out, with all links that are lost; the worker waits for ten
LOOK = 0.05  # seconds between looks for one
SPOOL_SECONDS, SPOOL_BYTES = 60.0, 64 * 1024 * 1024
SEEN = 50_000  # tags that are remembered, twice
REAPED = 200  # entries of a dead node in one step

log = logging.getLogger(__name__)

_place = lru_cache(maxsize=65_536)(place_of)


class Home(Protocol[S]):
    """What the cluster asks of its node."""

    @property
    def hubs(self) -> Mapping[str, SharedHub[S]]: ...

    def settle(self) -> None:
        """To be called before a hub changes who is subscribed."""

    def answered(self, hub: SharedHub[S], answered: Answered[S]) -> None: ...

    def tell(self, event: HubEvent) -> None: ...

    def terminate(self, hub: SharedHub[S], user_id: str) -> None: ...


@dataclass(slots=True)
class Other:
    """Another node, as its last beat told. `at`: when that came, on our clock."""

    number: int
    at: float
    record: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Spooled:
    """What goes to the bus, perhaps when it is back; `cache` is None for a client's event. `kept_…`: how many
    events of the channel its log holds, and for how long after this one."""

    place: bytes
    envelope: bytes
    cache: int | None
    at: float
    kept_events: int = LOG_EVENTS
    kept_seconds: int = LOG_SECONDS


class Cluster(Generic[S]):
    """One per process. `start`, then `run` for as long as it serves, then `leave` before its clients are
    closed, and `stop`.

    prefix       of the Redis connection
    retry_after  seconds after which a job may come again: its marks are kept for longer
    """

    def __init__(self, address: Address, *, prefix: str, retry_after: float = 90.0) -> None:
        self.address = address
        self.names = Names(prefix, address.database)
        self.node = _new_name()
        self.others: dict[str, Other] = {}
        self.rejected: Counter[str] = Counter()  # messages that were not believed, by reason
        self.gaps = self.repairs = 0
        self.has_duty = False
        self._window = int(max(600.0, 2 * retry_after))
        self._link: Link | None = None
        self._is_synced = asyncio.Event()
        self._lost = asyncio.Event()
        self._linked_at = 0.0
        self._beat = 0
        self._beaten_at = self._counted_at = 0.0
        self._born = b""
        self._awaited: set[str] = set()  # nodes that have to be heard of before anything is published
        self._await_until = 0.0
        self._places: dict[bytes, tuple[SharedHub[S], str]] = {}  # whose topics are subscribed
        self._repairing: set[bytes] = set()
        self._stale: dict[tuple[bytes, str], float] = {}  # place, watched user → when to look again
        self._to_compare: deque[tuple[SharedHub[S], SharedChannel[S]]] = deque()
        self._compared_at = 0.0
        self._going: deque[tuple[float, bytes, bytes, bytes]] = deque()
        self._spool: deque[Spooled] = deque()
        self._spooled = 0
        self._seen: set[bytes] = set()
        self._seen_before: set[bytes] = set()
        self._sealers: dict[str, tuple[App, Sealer]] = {}
        self._reaping: set[str] = set()
        self._peaks: dict[str, int] = {}  # app → most connections on all nodes since they were last taken
        self._unshared: Counter[tuple[str, str]] = Counter()  # app and word → counted and not told yet
        self._is_leaving = False
        self._warned_at = 0.0

    def hub(self, app: App) -> SharedHub[S]:
        return SharedHub(app)

    # Life ---------------------------------------------------------------------------------------------

    async def start(self, home: Home[S]) -> None:
        """Opens the first link. Raises ServiceUnavailable."""
        self.home = home
        self._loop = asyncio.get_running_loop()
        await self._connect()

    async def run(self) -> None:
        """For ever: a new link whenever one is lost, and everything that has its time."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._stay_linked())
            tasks.create_task(self._tick())

    def leave(self) -> None:
        """From now on nobody here leaves a channel: others take this node's clients for present until they
        are back elsewhere, or `GRACE` is over."""
        if not self._is_leaving:
            self._is_leaving = True
            self._send_beat()

    async def stop(self) -> None:
        """What was sent is with Redis, as far as it answers."""
        await self.told(1.0)
        link = self._link
        if link is not None:
            self._lost.set()
            link.end("bridge ends")

    async def told(self, within: float) -> None:
        """What was sent is with Redis, if that answers in so many seconds."""
        if self._link is not None:
            with contextlib.suppress(ServiceUnavailable, TimeoutError):
                async with asyncio.timeout(within):
                    await self._link.ask("PING")

    @property
    def is_up(self) -> bool:
        """Whether events go to other nodes now."""
        return self._link is not None and self._is_synced.is_set()

    async def _connect(self) -> None:
        link = Link(self._pushed, partial(self._lose, self.node))
        await link.open(self.address, f"bridge-{self.node}")
        self._lost.clear()
        self._link = link
        self._linked_at = self._loop.time()
        for other in self.others.values():  # what could not be heard says nothing
            other.at = self._linked_at
        fresh = secrets.token_hex(8).encode()
        link.send("SET", self.names.born, fresh, "NX")
        link.send("GET", self.names.born, then=partial(self._remembered, self._born))
        self._sync(link)

    def _lose(self, node: str, why: str) -> None:
        if self._link is None:
            return
        was_up, self._link = self._is_synced.is_set(), None
        self._is_synced.clear()
        self._repairing.clear()
        self._reaping.clear()  # whoever was not taken out whole is found again
        for hub in self.home.hubs.values():
            hub.lost()
        self._lost.set()
        if was_up and not self._is_leaving:
            log.warning("the bus is away", extra={"action": "bus_lost", "why": why})

    async def _stay_linked(self) -> None:
        pause = FIRST_PAUSE
        while True:
            await self._lost.wait()
            lost_at = self._loop.time()
            while self._link is None:
                apart = random.uniform(0.5, 1)  # noqa: S311 - nodes shall not come together
                await asyncio.sleep(pause * apart)
                try:
                    await self._connect()
                    await asyncio.wait_for(self._is_synced.wait(), SETTLE)
                except (ServiceUnavailable, TimeoutError) as problem:
                    log.debug("the bus is away", extra={"action": "bus_lost", "why": str(problem)})
                pause = min(2 * pause, LONGEST_PAUSE)
            pause = FIRST_PAUSE
            lost_s = round(self._loop.time() - lost_at, 1)
            log.info("the bus is back", extra={"action": "bus_back", "lost_s": lost_s})

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK)
            now = self._loop.time()
            for hub in self.home.hubs.values():
                given_up = hub.give_up(now)
                if given_up.closes:
                    self.home.answered(hub, given_up)
            link = self._link
            if link is None:
                continue
            link.check(now)
            for hub in self.home.hubs.values():
                self._listen(hub, [CONTROL_CHANNEL])
            if now - self._beaten_at >= BEAT or self._awaited:
                self._send_beat()
            if now - self._counted_at >= 1.0:
                self._counted_at = now
                self._count()
            self._look_at_stale(now)
            self._compare(link, now)
            while self._going and self._going[0][0] <= now:
                _, place, word, at = self._going.popleft()
                then = partial(self._gone, place, word)
                link.run(scripts.GONE, [self.names.key("g", place)], word, at, then=then)

    # The whole state, after a cut or when taken for dead ------------------------------------------------

    def _sync(self, link: Link) -> None:
        """Everything that is wanted here is asked for again, and sent before anything else is."""
        self._places.clear()
        for hub in self.home.hubs.values():
            names = [CONTROL_CHANNEL, *hub.channels, *hub.personal]
            self._listen(hub, [*names, *(USER_CHANNEL + user for user in hub.watchers)])
        for hub in self.home.hubs.values():
            for channel in hub.all_shared():
                self._ask_again(hub, channel)
            for user_id in hub.watchers:
                self._look_online(hub, user_id, settles=True)
            for session in tuple(hub.sessions.by_id.values()):
                self.ask(hub, hub.sessions.keep_all(session))
        link.send("SMEMBERS", self.names.key("n", self.node.encode()), then=self._take_back)
        self._send_beat()
        link.send("PING", then=self._synced)

    def _ask_again(self, hub: SharedHub[S], channel: SharedChannel[S]) -> None:
        known = {user: channel.asked[user] for user in channel.confirmed}
        if channel.is_joined:
            self._join(hub, channel, known, again=True)
        for user_id, info in channel.asked.items():
            if user_id not in known:
                self._join(hub, channel, {user_id: info})
        if not channel.is_joined and not channel.asked:
            self._join(hub, channel, {})

    def _take_back(self, told: Any) -> None:
        """What Redis holds of this node and nobody here wants: who left while it could not be told."""
        for entry in told or ():
            place, _, word = entry.partition(b" ")
            try:
                app_id, name = split_place(place)
                user_id = word_user(word) if word else None
            except ValueError:
                self._reject("place")
                continue
            hub = self.home.hubs.get(app_id)
            channel = hub.shared(name) if hub else None
            if channel is None or (user_id is not None and user_id not in channel.asked):
                self._leave(app_id, name, user_id, is_last=channel is None and not word, hub=hub)

    def _synced(self, _: Any) -> None:
        self._is_synced.set()
        self._publish_spooled()

    def _remembered(self, before: bytes, born: Any) -> None:
        """Which memory of Redis this is. Another one than before has lost everything: nothing is published
        until every node that was there has told its clients again."""
        self._born = born
        if before and born != before:
            log.warning("Redis has lost what it held", extra={"action": "bus_emptied"})
            self._awaited = {node for node in self.others if node != self.node}
            self._await_until = self._loop.time() + SETTLE

    def _fenced(self, node: str) -> None:
        """This node was taken for dead: it is another from now on."""
        if node != self.node or self._link is None:
            return
        self.node = _new_name()
        log.warning("this node was taken for dead and begins anew", extra={"action": "bus_fenced"})
        for hub in self.home.hubs.values():
            hub.lost()
        self._repairing.clear()
        self._sync(self._link)

    # What hubs ask ------------------------------------------------------------------------------------

    def ask(self, hub: SharedHub[S], asks: Sequence[Ask]) -> None:
        for ask in asks:
            match ask:
                case PassOn():
                    self._pass_on(hub, ask)
                case _ if self._link is None:
                    pass  # `_sync` will ask for whatever is wanted then
                case Join():
                    self._listen(hub, [ask.channel])
                    channel = hub.shared(ask.channel)
                    if channel is not None and channel.generation == ask.generation:
                        self._join(hub, channel, {} if ask.user_id is None else {ask.user_id: ask.info})
                case Leave():
                    self._leave(hub.app.id, ask.channel, ask.user_id, is_last=ask.is_last, hub=hub)
                    if ask.is_last:
                        self._unlisten(hub, ask.channel)
                case Watch():
                    self._listen(hub, [USER_CHANNEL + user_id for user_id in ask.user_ids])
                    for user_id in ask.user_ids:
                        self._look_online(hub, user_id)
                    self._link.send("PING", then=partial(self._watched, hub, ask))
                case Unwatch():
                    for user_id in ask.user_ids:
                        self._unlisten(hub, USER_CHANNEL + user_id)
                case Missed():
                    key = self.names.key("c", _place(hub.app.id, ask.channel))
                    told = partial(self._missed, hub.app.id, ask.channel)
                    self._link.send("HSETNX", key, "x", 1, then=told)
                case Load():
                    self._load(self._link, hub, ask)
                case Keep():
                    self._keep(self._link, hub, ask)
                case Read():
                    self._read(self._link, hub, ask)

    def _listen(self, hub: SharedHub[S], names: Sequence[str]) -> None:
        new = []
        for name in names:
            place = _place(hub.app.id, name)
            known = self._places.get(place)
            if known is None:
                new.append(self.names.topic(place))
            if known is None or known[0] is not hub:  # an app with a new key has a new hub
                self._places[place] = (hub, name)
        if self._link is not None:
            for at in range(0, len(new), 500):
                self._link.subscribe(new[at : at + 500])

    def _unlisten(self, hub: SharedHub[S], name: str) -> None:
        is_watched = name.startswith(USER_CHANNEL) and name.removeprefix(USER_CHANNEL) in hub.watchers
        place = _place(hub.app.id, name)
        if hub.shared(name) is not None or is_watched or self._places.get(place, (None,))[0] is not hub:
            return
        del self._places[place]
        if self._link is not None:
            self._link.unsubscribe([self.names.topic(place)])

    def _join(
        self,
        hub: SharedHub[S],
        channel: SharedChannel[S],
        users: Mapping[str, str | None],
        *,
        again: bool = False,
    ) -> None:
        link = self._link
        if link is None:
            return
        name = channel.name
        place = _place(hub.app.id, name)
        key = self.names.key
        keys = [key("c", place), key("m", place), key("n", self.node.encode())]
        keys += [key("i", place.partition(b":")[0]), key("g", place)]
        keys += [key("dead", self.node.encode()), key("l", place), key("k", place)]
        flags = "a" if again else ""
        if channel.kind.has_members and (again or not channel.is_joined):
            flags += "r"
        if channel.kind.is_cache and (again or not channel.is_joined):
            flags += "k"
        words: list[bytes | str | int] = []
        sealer = self._sealer(hub)
        for user_id, info in users.items():
            word = user_word(user_id)
            words += [word, sealer.seal(place + b" " + word, MEMBER, info or "")]
        link.run(
            scripts.JOIN,
            keys,
            self.node,
            place,
            self.names.topic(place),
            place.partition(b":")[2],
            max(channel.connections, 1) if name in hub.channels else 1,
            os.urandom(TAG),
            0 if again else hub.app.limits.members,
            channel.tag if again else b"",
            flags,
            *words,
            then=partial(self._joined, self.node, hub, name, channel.generation, tuple(users), flags),
        )

    def _joined(
        self,
        node: str,
        hub: SharedHub[S],
        name: str,
        generation: int,
        users: Sequence[str],
        flags: str,
        answer: Any,
    ) -> None:
        if answer == b"FENCED":
            self._fenced(node)
            return
        _, tag, version, _, came, added, full, flat, cached, ttl, missed = answer
        now, app_id = self._loop.time(), hub.app.id
        place = _place(app_id, name)
        if came and not name.startswith("#"):
            self.home.tell(Occupied(app_id=app_id, channel=name))
        for word in added:
            self.home.tell(MemberAdded(app_id=app_id, channel=name, user_id=word_user(word)))
        refused = {word_user(word) for word in full}
        self.home.settle()
        joined = Joined(
            channel=name,
            generation=generation,
            users=[user for user in users if user not in refused],
            full=refused,
            tag=tag,
            version=int(version),
            roster=self._roster(hub, place, flat) if "r" in flags else None,
            cached=self._cached(hub, place, cached, ttl, now),
            missed=None if missed == b"GAP" else self._missed_messages(hub, place, missed),
        )
        if "a" in flags:
            self._repairing.discard(place)
            channel = hub.shared(name)
            if missed == b"GAP" and channel is not None and channel.generation == generation:
                self.gaps += 1
        self.home.answered(hub, hub.joined(joined, now))
        channel = hub.shared(name)
        if channel is not None and channel.is_stale:
            self._stale.setdefault((place, ""), now + SETTLE)

    def _leave(
        self, app_id: str, name: str, user_id: str | None, *, is_last: bool, hub: SharedHub[S] | None
    ) -> None:
        link = self._link
        if link is None or self._is_leaving:
            return
        place = _place(app_id, name)
        key = self.names.key
        keys = [key("c", place), key("m", place), key("n", self.node.encode())]
        keys += [key("i", place.partition(b":")[0]), key("g", place), key("dead", self.node.encode())]
        word = b"" if user_id is None else user_word(user_id)
        link.run(
            scripts.LEAVE,
            keys,
            self.node,
            place,
            self.names.topic(place),
            place.partition(b":")[2],
            word,
            int(is_last),
            int(hub is not None and hub.app.subscription_count),
            then=partial(self._left, self.node, place, word),
        )

    def _left(self, node: str, place: bytes, word: bytes, answer: Any) -> None:
        if answer == b"FENCED":
            self._fenced(node)
            return
        removed, vacated = answer
        due = self._loop.time() + AWAY
        if removed:
            self._going.append((due, place, word, removed))
        if vacated:
            self._going.append((due, place, b"", vacated))

    def _gone(self, place: bytes, word: bytes, is_so: Any) -> None:
        try:
            app_id, name = split_place(place)
            user_id = word_user(word)
        except ValueError:
            self._reject("place")
            return
        if not is_so or name.startswith("#"):
            return
        if word:
            self.home.tell(MemberRemoved(app_id=app_id, channel=name, user_id=user_id))
        else:
            self.home.tell(Vacated(app_id=app_id, channel=name))

    def _missed(self, app_id: str, name: str, is_first: Any) -> None:
        if is_first:
            self.home.tell(CacheMissed(app_id=app_id, channel=name))

    # Pages that come back -----------------------------------------------------------------------------

    def _load(self, link: Link, hub: SharedHub[S], ask: Load) -> None:
        def then(answer: Any) -> None:
            is_known, earlier, flat = answer
            found: dict[str, bytes] = {}
            gaps = []
            try:
                for word, value in zip(flat[::2], flat[1::2], strict=True):
                    key = word.decode("utf-8", "surrogatepass")
                    found[key] = value[:TAG]
                    if value[TAG:]:
                        gaps.append(key)
                ids = [one for one in earlier.decode().split(",") if one]
            except ValueError:  # nobody of ours has written this
                self._reject("page")
                is_known, ids, gaps = 0, [], []
            positions = found if is_known else None
            now = self._loop.time()
            self.home.settle()
            self.home.answered(
                hub, hub.loaded(ask.session_id, ask.socket_id, ids[-EARLIER:], positions, gaps, now)
            )

        seconds, most = self._page_seconds(hub), max(MOST_BEFORE, 2 * hub.app.limits.subscriptions)
        words = (ask.socket_id, seconds, EARLIER, most)
        link.run(scripts.LOAD, [self._page(hub, ask.session_id)], *words, then=then)

    def _keep(self, link: Link, hub: SharedHub[S], ask: Keep) -> None:
        words: list[bytes | str | int] = []
        for key, tag in ask.positions.items():
            words += [key.encode("utf-8", "surrogatepass"), tag]
        link.run(
            scripts.KEEP,
            [self._page(hub, ask.session_id)],
            ask.socket_id,
            self._page_seconds(hub),
            int(ask.is_whole),
            ",".join(ask.earlier),
            *words,
        )

    def _read(self, link: Link, hub: SharedHub[S], ask: Read) -> None:
        place = _place(hub.app.id, ask.channel)

        def then(answer: Any) -> None:
            has_gap, entries = answer
            events = self._messages(hub, place, entries)
            is_short = len(events) < len(entries)
            self.home.settle()
            now = self._loop.time()
            self.home.answered(
                hub,
                hub.read(ask.channel, ask.generation, ask.socket_id, events, bool(has_gap) or is_short, now),
            )

        link.run(scripts.READ, [self.names.key("c", place), self.names.key("l", place)], ask.tag, then=then)

    def _page(self, hub: SharedHub[S], session_id: str) -> bytes:
        return self.names.key("r", _place(hub.app.id, session_id))

    def _page_seconds(self, hub: SharedHub[S]) -> int:
        """They are told again before half of it is over."""
        return int(2 * hub.app.resume_seconds)

    def _count(self) -> None:
        """How many are subscribed here, for the channels where that has changed."""
        link = self._link
        if link is None:
            return
        for hub in self.home.hubs.values():
            changed, hub.changed = hub.changed, set()
            for name in changed:
                channel = hub.shared(name)
                if channel is None:
                    continue
                if not channel.is_joined:
                    hub.changed.add(name)
                    continue
                place = _place(hub.app.id, name)
                key = self.names.key
                tells = hub.app.subscription_count and not channel.kind.has_members
                link.run(
                    scripts.COUNT,
                    [
                        key("c", place),
                        key("i", place.partition(b":")[0]),
                        key("n", self.node.encode()),
                        key("dead", self.node.encode()),
                    ],
                    self.node,
                    place,
                    self.names.topic(place),
                    place.partition(b":")[2],
                    channel.connections,
                    int(tells),
                    then=partial(self._counted, self.node, hub, name),
                )

    def _counted(self, node: str, hub: SharedHub[S], name: str, answer: Any) -> None:
        if answer == b"FENCED":
            self._fenced(node)
            return
        subscriptions, told = answer
        if told == 1:
            self.home.tell(SubscriptionCounted(app_id=hub.app.id, channel=name, subscriptions=subscriptions))
        elif told == 2:
            hub.changed.add(name)

    def _look_online(self, hub: SharedHub[S], user_id: str, *, settles: bool = False) -> None:
        """`settles`: who seems to have left is looked at again, when every node has told who is there."""

        def then(answer: Any) -> None:
            is_online = int(answer or 0) > 0
            if settles and not is_online and hub.online.get(user_id):
                self._stale[(_place(hub.app.id, CONTROL_CHANNEL), user_id)] = self._loop.time() + SETTLE
            else:
                self.home.answered(hub, hub.told_online(user_id, is_online))

        if self._link is not None:
            key = self.names.key("c", _place(hub.app.id, USER_CHANNEL + user_id))
            self._link.send("HGET", key, "z", then=then)

    def _watched(self, hub: SharedHub[S], ask: Watch, _: Any) -> None:
        self.home.answered(hub, hub.answered_watch(ask.socket_id, ask.user_ids))

    def _look_at_stale(self, now: float) -> None:
        """Who seemed to have left when Redis was read after a fault may only have had to be told again."""
        link = self._link
        if link is None or not self._is_synced.is_set():
            return
        for place, user_id in [at for at, due in self._stale.items() if due <= now]:
            del self._stale[(place, user_id)]
            app_id, name = split_place(place)
            hub = self.home.hubs.get(app_id)
            if hub is None:
                continue
            if user_id:
                self._look_online(hub, user_id)
            elif (channel := hub.shared(name)) is not None:
                then = partial(self._settled, hub, name, channel.generation)
                link.send("HGETALL", self.names.key("m", place), then=then)

    def _compare(self, link: Link, now: float) -> None:
        """A message that was lost with none after it is noticed here, and a record that was evicted."""
        if not self._to_compare and now - self._compared_at >= COMPARE:
            self._compared_at = now
            for hub in self.home.hubs.values():
                self._to_compare += ((hub, channel) for channel in hub.all_shared())
        for _ in range(min(len(self._to_compare), COMPARED)):
            hub, channel = self._to_compare.popleft()
            key = self.names.key("c", _place(hub.app.id, channel.name))
            link.send("HGET", key, "t", then=partial(self._compared, hub, channel))

    def _compared(self, hub: SharedHub[S], channel: SharedChannel[S], tag: Any) -> None:
        if hub.shared(channel.name) is channel and channel.is_current and tag != channel.tag:
            channel.is_current = False
            self._repair(hub, channel.name)

    def _settled(self, hub: SharedHub[S], name: str, generation: int, answer: Any) -> None:
        flat = _flat(answer)
        roster = self._roster(hub, _place(hub.app.id, name), flat)
        self.home.settle()
        self.home.answered(hub, hub.settled(name, generation, roster))

    # What comes ---------------------------------------------------------------------------------------

    def _pushed(self, topic: bytes, data: bytes) -> None:
        place = topic[len(self.names.topics) :]
        known = self._places.get(place)
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
                info = self._info(hub, place, word, sealed)
                came = hub.came(name, _number(version), word_user(word), info)
                self._answer_or_repair(hub, name, came)
            elif first == b"-":
                version, word = data[1:].split(b" ", 1)
                self._is_said_gone(hub, name, place, _number(version), word)
            elif first == b"#":
                if hub.app.subscription_count:
                    self.home.answered(hub, hub.counted(name, _number(data[1:])))
            elif data == b"^":
                self._look_online(hub, name.removeprefix(USER_CHANNEL))
            else:
                self._reject("kind")
        except Forged as problem:
            self._reject(str(problem))
        except ValueError:
            self._reject("form")

    def _event(self, hub: SharedHub[S], name: str, place: bytes, data: bytes) -> None:
        previous, envelope = _split_event(data)
        opened = self._sealer(hub).open(place, envelope)
        if opened.kind != EVENT:
            raise Forged("kind")
        channel = hub.shared(name)
        if channel is None or not channel.is_current:
            return  # it is part of what the channel's answer will bring
        message = Message(text=opened.text, tag=opened.tag, excluded=opened.excluded)
        is_new = not self._is_seen(opened.tag)
        answered = hub.event(name, previous, message, self._loop.time(), is_new)
        if answered is None:
            self._repair(hub, name)
            return
        self._see(opened.tag)
        if answered.deliveries:
            self.home.answered(hub, answered)

    def _message(self, hub: SharedHub[S], name: str, place: bytes, data: bytes) -> None:
        opened = self._sealer(hub).open(place, data)
        if not self._see(opened.tag):
            return
        if opened.kind == CLIENT_EVENT:
            self.home.answered(hub, hub.passed_on(name, opened.text, opened.excluded))
        elif opened.kind == CONTROL and name == CONTROL_CHANNEL:
            order = json.loads(opened.text)
            if "terminate" in order:
                self.home.terminate(hub, order["terminate"])
        else:
            raise Forged("kind")

    def _is_said_gone(self, hub: SharedHub[S], name: str, place: bytes, version: int, word: bytes) -> None:
        """A script says so, which cannot seal: the roster is asked before it is believed."""
        user_id = word_user(word)
        leaves = hub.leaves(name, version)
        if leaves is None:
            self._repair(hub, name)
        channel, link = hub.shared(name), self._link
        if not leaves or channel is None or link is None:
            return
        generation = channel.generation

        def then(is_there: Any) -> None:
            if not is_there:
                self.home.answered(hub, hub.went(name, generation, user_id))

        link.send("HEXISTS", self.names.key("m", place), word, then=then)

    def _answer_or_repair(self, hub: SharedHub[S], name: str, answered: Answered[S] | None) -> None:
        if answered is None:
            self._repair(hub, name)
        elif answered.deliveries:
            self.home.answered(hub, answered)

    def _repair(self, hub: SharedHub[S], name: str) -> None:
        """Something was missed on a link that stands: the channel is asked for again."""
        place, channel = _place(hub.app.id, name), hub.shared(name)
        if channel is not None and place not in self._repairing:
            self._repairing.add(place)
            self.repairs += 1
            self._ask_again(hub, channel)

    def _missed_messages(self, hub: SharedHub[S], place: bytes, entries: Sequence[bytes]) -> list[Message]:
        return [message for message in self._messages(hub, place, entries) if self._see(message.tag)]

    def _messages(self, hub: SharedHub[S], place: bytes, entries: Sequence[bytes]) -> list[Message]:
        """The events in a log, but for those that are not ours."""
        found = []
        for entry in entries:
            try:
                opened = self._sealer(hub).open(place, _split_event(entry)[1])
            except (Forged, ValueError):
                self._reject("log")
                continue
            if opened.kind == EVENT:
                found.append(Message(text=opened.text, tag=opened.tag, excluded=opened.excluded))
        return found

    def _roster(self, hub: SharedHub[S], place: bytes, flat: Sequence[bytes]) -> dict[str, str | None]:
        found: dict[str, str | None] = {}
        for word, held in zip(flat[::2], flat[1::2], strict=True):
            try:
                found[word_user(word)] = self._info(hub, place, word, held.partition(b":")[2])
            except (Forged, ValueError):
                self._reject("roster")
        return found

    def _info(self, hub: SharedHub[S], place: bytes, word: bytes, sealed: bytes) -> str | None:
        opened = self._sealer(hub).open(place + b" " + word, sealed)
        if opened.kind != MEMBER:
            raise Forged("kind")
        return opened.text or None

    def _cached(
        self, hub: SharedHub[S], place: bytes, envelope: bytes | None, ttl: int, now: float
    ) -> Cached | None:
        if not envelope:
            return None
        try:
            opened = self._sealer(hub).open(place, envelope)
            if opened.kind != EVENT:  # a client's, repeated as the app's
                raise Forged("kind")
        except Forged as problem:
            self._reject(str(problem))
            return None
        data = json.loads(opened.text)["data"]
        return Cached(text=opened.text, data=data, expires_at=now + ttl / 1000)

    def _is_seen(self, tag: bytes) -> bool:
        return tag in self._seen or tag in self._seen_before

    def _see(self, tag: bytes) -> bool:
        """Whether the message is new here; it is not any more."""
        if self._is_seen(tag):
            return False
        self._seen.add(tag)
        if len(self._seen) >= SEEN:
            self._seen, self._seen_before = set(), self._seen
        return True

    def _reject(self, reason: str) -> None:
        self.rejected[reason] += 1
        now = time.monotonic()
        if now - self._warned_at >= 60 or self._warned_at == 0:
            self._warned_at = now
            about = {"action": "bus_reject", "why": reason, "messages": self.rejected.total()}
            log.warning("messages on the bus are not ours and are dropped", extra=about)

    # Publishing ---------------------------------------------------------------------------------------

    async def publish(self, broadcasts: Sequence[Broadcast], origin: str) -> int:
        """Redis has them, in order, for the subscribers of all nodes; how many those are.

        Jobs wait up to `JOBS_WAIT` for the bus, so that those which come after them do not overtake them;
        then ServiceUnavailable. All else is delivered here at once, and elsewhere once it is back; for so
        long, and so much. JobError as `Node.publish`.
        """
        for broadcast in broadcasts:
            if broadcast.app_id not in self.home.hubs:
                raise JobError(f"no app has the id {broadcast.app_id}: check the broadcasting connection")
        if origin != "queue" and not self.is_publishing:
            return self._publish_here(broadcasts, origin)
        items = [(self._sealed(one, name), one.job, name) for one in broadcasts for name in one.channels]
        marks = _marks((job, name) for _, job, name in items)
        sent = [(item, mark) for (item, _, _), mark in zip(items, marks, strict=True)]
        try:
            answers = await (self._send_jobs(sent) if origin == "queue" else self._send_all(sent))
        except ServiceUnavailable:
            if origin == "queue":
                raise
            for item, _ in sent:  # receivers know those that had gone out by their tags
                self._put_by(item)
            return 0
        reached = iter(answers)
        for broadcast in broadcasts:
            receivers = sum(max(next(reached), 0) for _ in broadcast.channels)
            self.home.tell(_published(broadcast, origin, receivers))
        return sum(max(answer, 0) for answer in answers)

    async def _send_jobs(self, items: Sequence[tuple[Spooled, bytes]]) -> list[int]:
        """As `_send_all`, again after each link that is lost meanwhile: marks keep anything from going out
        twice."""
        try:
            async with asyncio.timeout(JOBS_WAIT):
                while True:
                    with contextlib.suppress(ServiceUnavailable):
                        if self.is_publishing:
                            return await self._send_all(items)
                    await asyncio.sleep(LOOK)
        except TimeoutError:
            raise ServiceUnavailable("the bus is away: nothing is sure to be published") from None

    async def _send_all(self, items: Sequence[tuple[Spooled, bytes]]) -> list[int]:
        """What Redis answers to each. Raises ServiceUnavailable."""
        answers: list[int] = []
        if not items:
            return answers
        link = self._asking()
        *first, (item, mark) = items
        for one, its_mark in first:
            self._send(link, one, its_mark, answers.append)
        last = self._loop.create_future()  # answers come in order: with the last all are there
        self._send(link, item, mark, partial(_answer, last))
        answers.append(await link.watch(last))
        return answers

    @property
    def is_publishing(self) -> bool:
        if self._awaited and self._loop.time() > self._await_until:
            self._awaited.clear()
        return self.is_up and not self._awaited

    def _sealed(self, broadcast: Broadcast, name: str) -> Spooled:
        hub = self.home.hubs[broadcast.app_id]
        place = _place(broadcast.app_id, name)
        text = messages.event(broadcast.name, name, broadcast.data)
        envelope = self._sealer(hub).seal(place, EVENT, text, broadcast.socket_id or "")
        cache = hub.app.limits.cache_seconds if kind_of(name).is_cache else 0
        events, seconds = LOG_EVENTS, LOG_SECONDS
        if hub.app.resume_seconds:
            events = max(events, hub.app.limits.resume_events)
            seconds = max(seconds, int(hub.app.resume_seconds))
        return Spooled(place, envelope, cache, self._loop.time(), events, seconds)

    def _send(self, link: Link, item: Spooled, mark: bytes, then: Then | None = None) -> None:
        key = self.names.key
        link.run(
            scripts.PUBLISH,
            [key("c", item.place), key("l", item.place), key("k", item.place)],
            item.envelope,
            item.envelope[2 : 2 + TAG],
            self.names.topic(item.place),
            item.kept_events,
            item.kept_seconds,
            mark,
            int(mark or 0) % 16,
            self._window,
            self.names.key("j", b""),
            item.cache or 0,
            then=then,
        )

    def _publish_here(self, broadcasts: Sequence[Broadcast], origin: str) -> int:
        """What waits for the bus to be back; who is here gets it now."""
        items = [(one, name, self._sealed(one, name)) for one in broadcasts for name in one.channels]
        size = sum(len(item.envelope) for _, _, item in items)
        oldest = self._spool[0].at if self._spool else self._loop.time()
        if self._spooled + size > SPOOL_BYTES or self._loop.time() - oldest > SPOOL_SECONDS:
            raise ServiceUnavailable("the bus is away for too long: nothing was published")
        receivers = 0
        for broadcast, name, item in items:
            hub = self.home.hubs[broadcast.app_id]
            text = messages.event(broadcast.name, name, broadcast.data)
            tag = item.envelope[2 : 2 + TAG]
            self._see(tag)
            message = Message(text=text, tag=tag, excluded=broadcast.socket_id or "")
            delivered = hub.deliver_here(name, message)
            receivers += sum(delivery.receivers for delivery in delivered.deliveries)
            self.home.answered(hub, delivered)
            self._put_by(item)
        for broadcast in broadcasts:
            self.home.tell(_published(broadcast, origin, receivers))
        return receivers

    def _put_by(self, item: Spooled) -> None:
        self._spool.append(item)
        self._spooled += len(item.envelope)

    def _pass_on(self, hub: SharedHub[S], ask: PassOn) -> None:
        place = _place(hub.app.id, ask.channel)
        envelope = self._sealer(hub).seal(place, CLIENT_EVENT, ask.text, ask.socket_id)
        if self._link is not None and self.is_publishing:
            self._link.send("PUBLISH", self.names.topic(place), envelope)
            return
        self._see(envelope[2 : 2 + TAG])
        self.home.answered(hub, hub.passed_on(ask.channel, ask.text, ask.socket_id))
        if self._spooled + len(envelope) <= SPOOL_BYTES:
            self._put_by(Spooled(place, envelope, None, self._loop.time()))

    def terminate(self, hub: SharedHub[S], user_id: str) -> None:
        """Ends all connections of the user, on all nodes."""
        place = _place(hub.app.id, CONTROL_CHANNEL)
        text = json.dumps({"terminate": user_id})
        envelope = self._sealer(hub).seal(place, CONTROL, text)
        if self._link is not None and self.is_up:
            self._link.send("PUBLISH", self.names.topic(place), envelope)
            return
        self.home.terminate(hub, user_id)
        self._put_by(Spooled(place, envelope, None, self._loop.time()))

    def _publish_spooled(self) -> None:
        link = self._link
        if link is None or not self.is_publishing:
            return
        oldest = self._loop.time() - 2 * SPOOL_SECONDS
        while self._spool:
            item = self._spool.popleft()
            self._spooled -= len(item.envelope)
            if item.at < oldest:
                continue
            if item.cache is None:
                link.send("PUBLISH", self.names.topic(item.place), item.envelope)
            else:
                self._send(link, item, b"")

    # Nodes --------------------------------------------------------------------------------------------

    def _send_beat(self) -> None:
        link = self._link
        if link is None:
            return
        self._beaten_at = self._loop.time()
        self._beat += 1
        record = {
            "beat": self._beat,
            "machine": sockets.gethostname(),
            "speaks": [1, 1],
            "connections": {app_id: len(hub.sockets) for app_id, hub in self.home.hubs.items()},
            "leaving": self._is_leaving,
        }
        key = self.names.key
        link.run(
            scripts.BEAT,
            [self.names.nodes, key("dead", self.node.encode()), self.names.duty],
            self.node,
            json.dumps(record),
            1 if self._is_leaving else DUTY,
            then=partial(self._beaten, self.node),
        )

    def _beaten(self, node: str, answer: Any) -> None:
        if answer == b"FENCED":
            self._fenced(node)
            return
        now = self._loop.time()
        self.has_duty = bool(answer[0])
        known: dict[str, Other] = {}
        flat = _flat(answer[1])
        for name, text in zip(flat[::2], flat[1::2], strict=True):
            if not name.isalnum():  # no node's
                self._reject("node")
                continue
            other = name.decode()
            if other == self.node:
                continue
            try:
                record = json.loads(text)
                number = int(record["beat"])
            except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
                record, number = {}, 0  # it never changes, so it is taken out as a dead one's
            before = self.others.get(other)
            at = now if before is None or before.number != number else max(before.at, self._linked_at)
            known[other] = Other(number, at, record)
        self.others = known
        for app_id, hub in self.home.hubs.items():
            connections = len(hub.sockets) + self.elsewhere(app_id)
            self._peaks[app_id] = max(connections, self._peaks.get(app_id, 0))
        if self._awaited:
            self._awaited -= known.keys()
            if self.is_publishing:
                self._publish_spooled()
        if self._is_leaving:
            return
        for other, last in known.items():
            patience = DEAD if self.has_duty else DEAD_FOR_ALL
            if last.record.get("leaving"):
                patience = GRACE
            if now - last.at > patience:
                self._reap(other)

    def _reap(self, node: str) -> None:
        link = self._link
        if link is None or node in self._reaping:
            return
        self._reaping.add(node)
        log.info("a node is gone, its clients are taken out", extra={"action": "bus_reap", "node": node})

        def then(answer: Any) -> None:
            due = self._loop.time() + AWAY
            for at in range(1, len(answer), 3):
                self._going.append((due, *answer[at : at + 3]))
            if answer[0] and self._link is link:
                step()
            else:
                self._reaping.discard(node)

        def step() -> None:
            key = self.names.key
            keys = [key("n", node.encode()), key("dead", node.encode()), self.names.nodes]
            link.run(scripts.REAP, keys, node, REAPED, self.names.prefix, self.names.topics, then=then)

        step()

    async def share(self, rows: Mapping[str, tuple[int, int, int]]) -> dict[str, tuple[int, int, int]]:
        """An interval's statistics (most connections, messages of clients, messages by the API) of this node
        become those of all nodes, by app id, for the one node that writes them; none for the others."""
        for app_id, (peak, *messages_) in rows.items():
            self._peaks[app_id] = max(peak, self._peaks.get(app_id, 0))
            for word, count in zip(("w", "a"), messages_, strict=True):
                self._unshared[(app_id, word)] += count
        link = self._link
        if link is None:
            return {}
        unshared, self._unshared = self._unshared, Counter()
        for (app_id, word), count in unshared.items():
            link.send("HINCRBY", self._statistics(app_id), word, count)
        if not self.has_duty:
            self._peaks.clear()
            return {}
        peaks, self._peaks = self._peaks, {}
        shared = {}
        for app_id in rows:
            flat = _flat(await link.ask_script(scripts.TAKE, [self._statistics(app_id)]))
            counted = dict(zip(flat[::2], map(int, flat[1::2]), strict=True))
            shared[app_id] = (peaks.get(app_id, 0), counted.get(b"w", 0), counted.get(b"a", 0))
        return shared

    def _statistics(self, app_id: str) -> bytes:
        return self.names.key("s", _place(app_id, "").partition(b":")[0])

    def elsewhere(self, app_id: str) -> int:
        """The app's connections on other nodes, as they told last."""
        total = 0
        for other in self.others.values():
            connections = other.record.get("connections")
            count = connections.get(app_id, 0) if isinstance(connections, dict) else 0
            total += count if isinstance(count, int) else 0
        return total

    # Questions of the HTTP API ------------------------------------------------------------------------

    def _asking(self) -> Link:
        if self._link is None:
            raise ServiceUnavailable("the bus is away: only all nodes together could tell")
        return self._link

    async def channels(self, hub: SharedHub[S]) -> dict[str, int]:
        """The occupied channels, and how many are subscribed to each."""
        key = self.names.key("i", _place(hub.app.id, "").partition(b":")[0])
        flat = _flat(await self._asking().ask("HGETALL", key))
        pairs = zip(flat[::2], flat[1::2], strict=True)
        return {split_place(b":" + name)[1]: int(count) for name, count in pairs if int(count) > 0}

    async def subscriptions(self, hub: SharedHub[S], name: str) -> int:
        key = self.names.key("c", _place(hub.app.id, name))
        return int(await self._asking().ask("HGET", key, "z") or 0)

    async def user_counts(self, hub: SharedHub[S], names: Sequence[str]) -> dict[str, int]:
        link = self._asking()
        keys = [self.names.key("m", _place(hub.app.id, name)) for name in names]
        counts = await asyncio.gather(*(link.ask("HLEN", key) for key in keys))
        return dict(zip(names, counts, strict=True))

    async def users(self, hub: SharedHub[S], name: str) -> list[str]:
        words = await self._asking().ask("HKEYS", self.names.key("m", _place(hub.app.id, name)))
        return [word_user(word) for word in words]

    async def last_event(self, hub: SharedHub[S], name: str, now: float) -> Cached | None:
        link, place = self._asking(), _place(hub.app.id, name)
        key = self.names.key("k", place)
        envelope, ttl = await asyncio.gather(link.ask("GET", key), link.ask("PTTL", key))
        return self._cached(hub, place, envelope, ttl, now)

    # Parts --------------------------------------------------------------------------------------------

    def _sealer(self, hub: SharedHub[S]) -> Sealer:
        known = self._sealers.get(hub.app.id)
        if known is None or known[0] is not hub.app:
            known = self._sealers[hub.app.id] = (hub.app, Sealer(hub.app))
        return known[1]


def _new_name() -> str:
    return "".join(secrets.choice("0123456789abcdefghijklmnopqrstuvwxyz") for _ in range(12))


def _answer(future: asyncio.Future[int], answer: int) -> None:
    if not future.done():
        future.set_result(answer)


def _marks(items: Iterable[tuple[str, str]]) -> Iterator[bytes]:
    """Of each job and channel; a job may send to a channel several times. Nothing where there is no job."""
    times: Counter[tuple[str, str]] = Counter()
    for job, channel in items:
        times[job, channel] += 1
        yield _mark(job, times[job, channel], channel) if job else b""


def _mark(job: str, times: int, channel: str) -> bytes:
    """A job's broadcast to a channel as a number: Redis keeps sets of numbers small."""
    digest = blake2b(f"{job}\0{times}\0{channel}".encode(), digest_size=8).digest()
    return b"%d" % (int.from_bytes(digest, "big") >> 1)


def _split_event(data: bytes) -> tuple[bytes, bytes]:
    """The tag before it, and the envelope. Raises ValueError."""
    start = data.index(b":", 0, 21) + 1
    return data[start : start + TAG], data[start + TAG :]


def _number(digits: bytes) -> int:
    if not 0 < len(digits) <= 18 or not digits.isdigit():
        raise ValueError("not a number")
    return int(digits)


def _flat(answer: Any) -> list[bytes]:
    """RESP3 answers a hash as a map, a script as a list."""
    return [part for pair in answer.items() for part in pair] if isinstance(answer, dict) else list(answer)


def _published(broadcast: Broadcast, origin: str, receivers: int) -> Published:
    return Published(
        app_id=broadcast.app_id,
        channels=broadcast.channels,
        name=broadcast.name,
        data=broadcast.data,
        socket_id=broadcast.socket_id,
        origin=origin,
        receivers=receivers,
        job=broadcast.job,
    )
