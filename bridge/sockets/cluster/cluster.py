"""Cluster: keeps the hubs of this node and Redis alike, and carries events between nodes.

What a hub asks becomes a script call; what Redis answers and pushes becomes an answer to the hub. All of it
goes over one link, in one order, so an answer means that everything before it has been seen.

A lost link loses nothing for good: the next one subscribes to every topic again and registers with Redis,
for every channel, who is here and which event was the last (`_sync`). Redis answers with what was missed.
What Redis holds of this node and nobody here wants is taken back.

Its parts, each in the file of its name: `Topics` are subscribed to, `Incoming` reads what they bring,
`Registrations` registers who is here, `Counts` how many, `Departures` says who has left, `Misses` who found
no event in a cache channel, `Happenings` what an answer that was lost would have told, `Watches` who is
signed in, `Comparison` finds what was missed, `Pages` serves clients that resume, `Publishing` decides what
goes out when, `Outgoing` sends it, `FormerLinks` keeps what a lost link had sent from coming late, `Nodes`
knows the others, `Statistics` and `Questions` are about all of them, `Refusals` says which key is spoiled.

Happenings of a channel (occupied, vacated, members) are told by the node whose call made them so: once on all
nodes.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Generic

from bridge.errors import ConfigurationError, ServiceUnavailable
from bridge.sockets.cluster import times
from bridge.sockets.cluster.bus import Bus, Home, app_of, place_for
from bridge.sockets.cluster.comparison import Comparison
from bridge.sockets.cluster.counts import Counts
from bridge.sockets.cluster.departures import Departures
from bridge.sockets.cluster.former import FormerLinks
from bridge.sockets.cluster.happenings import Happenings
from bridge.sockets.cluster.incoming import Incoming
from bridge.sockets.cluster.link import Address, Find, Link
from bridge.sockets.cluster.misses import Misses
from bridge.sockets.cluster.names import CONTROL_CHANNEL, Names
from bridge.sockets.cluster.nodes import Nodes, Other
from bridge.sockets.cluster.pages import Pages
from bridge.sockets.cluster.publishing import Publishing
from bridge.sockets.cluster.questions import Questions
from bridge.sockets.cluster.records import Records, SeenTags
from bridge.sockets.cluster.refusals import Refusals
from bridge.sockets.cluster.registrations import Registrations
from bridge.sockets.cluster.statistics import Statistics
from bridge.sockets.cluster.topics import Topics
from bridge.sockets.cluster.watches import Watches
from bridge.sockets.pusher.app import App
from bridge.sockets.pusher.asks import Ask, Join, Keep, Leave, Load, Missed, PassOn, Read, Unwatch, Watch
from bridge.sockets.pusher.channels import USER_CHANNEL
from bridge.sockets.pusher.outcome import S
from bridge.sockets.pusher.shared_hub import SharedHub

log = logging.getLogger(__name__)


class Cluster(Generic[S]):
    """One per process. `start`, then `run` for as long as it serves, then `leave` before its clients are
    closed, `end_departures` after that, and `stop`.

    address      of Redis, and what it lets us in with
    find         gives the address of the primary, before each link; None: it is always `address`
    prefix       of the Redis connection
    retry_after  seconds after which a job may come again: its marks are kept for longer
    """

    def __init__(
        self, address: Address, *, prefix: str, retry_after: float = 90.0, find: Find | None = None
    ) -> None:
        self._address = address
        self._find = find
        self.names = Names(prefix, address.database, is_sharded=address.is_sharded)
        self.bus: Bus[S] = Bus(self.names, self._begin_anew)
        self._has_synced = asyncio.Event()  # or the link that was to be is lost
        self._lost = asyncio.Event()
        self._former_links = FormerLinks()
        self._served: set[str] = set()  # ids of the apps

        bus, records, seen, orders = self.bus, Records[S](), SeenTags(), SeenTags()
        self._records = records
        self.topics = Topics(bus)
        self._refusals = Refusals(bus)
        self._happenings = Happenings(bus, records)
        self.departures = Departures(bus, records, self._happenings)
        self.nodes = Nodes(
            bus,
            records,
            self.departures,
            self._happenings,
            heard=self._heard,
            register_again=self._register_again,
        )
        self.registrations = Registrations(bus, records, seen, self.departures, self._happenings)
        self._happenings.take = self.registrations.take
        self._misses = Misses(bus, self._happenings)
        self._counts = Counts(bus)
        self._watches = Watches(bus, self.topics)
        self._comparison = Comparison(bus, self.registrations)
        self._pages = Pages(bus, records)
        self._statistics = Statistics(bus, self.nodes)
        window = int(max(600.0, 2 * retry_after))
        self._incoming = Incoming(bus, self.topics, records, seen, orders, self.registrations, self._watches)
        self._publishing = Publishing(bus, records, seen, orders, self.nodes, self._incoming.own, window)

        # What `Peers` asks of this and one of the parts does; bound here, so that it costs no call more.
        self.publish = self._publishing.publish
        self.publish_soon = self._publishing.publish_soon
        self.once_back = self._publishing.once_back
        self.terminate = self._publishing.terminate
        self.elsewhere = self.nodes.connections
        self.share = self._statistics.share
        questions = Questions(bus, records)
        self.channels = questions.channels
        self.subscriptions = questions.subscriptions
        self.user_counts = questions.user_counts
        self.users = questions.users
        self.last_event = questions.last_event

    def hub(self, app: App) -> SharedHub[S]:
        return SharedHub(app)

    # Life ---------------------------------------------------------------------------------------------

    async def start(self, home: Home[S]) -> None:
        """Opens the first link. Raises ServiceUnavailable."""
        self.bus.home = home
        self.bus.now = asyncio.get_running_loop().time
        await self._connect()

    async def run(self) -> None:
        """For ever: a new link whenever one is lost, and everything that has its time."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._stay_linked())
            tasks.create_task(self._tick())

    def leave(self) -> None:
        """From now on nobody here leaves a channel: others take this node's clients for present until they
        are back elsewhere, or `GRACE` is over."""
        if not self.bus.is_leaving:
            self.bus.is_leaving = True
            self.nodes.beat()

    async def end_departures(self) -> None:
        """Whoever has left here is reported now, before the webhooks end. After `leave`."""
        await self.flush(1.0)  # of the last to leave Redis has still to say when that was
        if self.bus.link is not None:
            self.departures.end()
            await self.flush(1.0)

    async def stop(self) -> None:
        """What was sent is with Redis, as far as it answers."""
        await self.flush(1.0)
        link = self.bus.link
        if link is not None:
            self._lost.set()
            link.end("bridge ends", in_order=True)

    async def flush(self, within: float) -> bool:
        """Whether what was sent is with Redis, if that answers in so many seconds."""
        if self.bus.link is not None:
            with contextlib.suppress(ServiceUnavailable, TimeoutError):
                async with asyncio.timeout(within):
                    await self.bus.link.ask("PING")
                    return True
        return False

    async def _connect(self) -> None:
        address = self._address if self._find is None else await self._find()
        link = Link(self._incoming.pushed, self._lose, self._refusals.refused)
        await link.open(address, f"bridge-{self.bus.node}", self._former_links.end)
        self._lost.clear()
        self._has_synced.clear()
        self.bus.link = link
        self._happenings.recall(link)
        self.nodes.linked(link)
        self._sync(link)

    def _lose(self, why: str) -> None:
        bus = self.bus
        if bus.link is None:
            return
        was_up, bus.link, bus.is_synced = bus.is_synced, None, False
        self._has_synced.set()
        self.registrations.lost()
        self.nodes.lost()
        for hub in bus.home.hubs.values():
            hub.lost()
        self._lost.set()
        if was_up and not bus.is_leaving:
            log.warning("the bus is away", extra={"action": "bus_lost", "why": why})

    async def _stay_linked(self) -> None:
        pause = times.FIRST_PAUSE
        while True:
            await self._lost.wait()
            lost_at = self.bus.now()
            while self.bus.link is None:
                apart = random.uniform(0.5, 1)  # noqa: S311 - nodes shall not come together
                await asyncio.sleep(pause * apart)
                try:
                    await self._connect()
                    async with asyncio.timeout(times.SETTLE):  # `wait_for` of Python 3.11 can lose a cancel
                        await self._has_synced.wait()
                except (ServiceUnavailable, ConfigurationError, TimeoutError) as problem:
                    log.debug("the bus is away", extra={"action": "bus_lost", "why": str(problem)})
                pause = min(2 * pause, times.LONGEST_PAUSE)
            pause = times.FIRST_PAUSE
            lost_s = round(self.bus.now() - lost_at, 1)
            log.info("the bus is back", extra={"action": "bus_back", "lost_s": lost_s})

    async def _tick(self) -> None:
        bus = self.bus
        while True:
            await asyncio.sleep(times.TICK)
            now = bus.now()
            for hub in bus.home.hubs.values():
                given_up = hub.give_up(now)
                if given_up.closes:
                    bus.home.answered(hub, given_up)
            self._forget_removed()
            link = bus.link
            if link is None:
                continue
            link.check(now)
            for hub in bus.home.hubs.values():
                self._listen_to_orders(link, hub)
            self.nodes.look(now)
            self._counts.look(link, now)
            if bus.is_synced:
                self.registrations.look(link, now)
                self._watches.look(now)
            self._comparison.look(link, now)
            self.departures.look(now)

    def _forget_removed(self) -> None:
        """Nothing is kept of apps that are not served any more."""
        served = self.bus.home.hubs.keys()
        for app_id in self._served - served:
            self.topics.forget(app_id)
            self._publishing.forget_routes()
        self._served = set(served)
        self._records.keep(served)

    # The whole state, after a cut or when taken for dead ------------------------------------------------

    def _sync(self, link: Link) -> None:
        """Everything that is wanted here is asked for again, and sent before anything else is."""
        self.nodes.registers()
        self.departures.ask_again()
        self.topics.clear()
        hubs = self.bus.home.hubs.values()
        for hub in hubs:
            names = [*hub.channels, *hub.personal]
            self.topics.listen(hub, [*names, *(USER_CHANNEL + user for user in hub.watchers)])
            self._listen_to_orders(link, hub)
        for hub in hubs:
            for channel in hub.all_shared():
                self.registrations.ask_again(hub, channel)
            for user_id in hub.watchers:
                self._watches.ask(hub, user_id, settles=True)
            for session in tuple(hub.sessions.by_id.values()):
                self.ask(hub, hub.sessions.keep_all(session))
        self.registrations.take_back(link)
        self.nodes.beat()
        link.send("PING", then=self._synced)

    def _listen_to_orders(self, link: Link, hub: SharedHub[S]) -> None:
        """Those to all nodes; and those given before this one listened, to this app or on this link."""
        if self.topics.listen(hub, [CONTROL_CHANNEL]):
            orders = self.names.key("o", app_of(place_for(hub.app.id, CONTROL_CHANNEL)))
            link.send("LRANGE", orders, 0, -1, then=partial(self._incoming.orders, hub))

    def _synced(self, _: Any) -> None:
        self.bus.is_synced = True
        self.registrations.was_dead = False
        self._has_synced.set()
        self._misses.synced()
        self._publishing.empty_spool()

    def _begin_anew(self) -> None:
        """This node was taken for dead: it is another from now on."""
        log.warning("this node was taken for dead and begins anew", extra={"action": "bus_fenced"})
        self.registrations.was_dead = True
        self._register_again()

    def _register_again(self) -> None:
        for hub in self.bus.home.hubs.values():
            hub.lost()
        self.registrations.lost()
        if self.bus.link is not None:
            self._sync(self.bus.link)

    def _heard(self) -> None:
        self._statistics.sample()
        self._publishing.empty_spool()

    # What hubs ask ------------------------------------------------------------------------------------

    def ask(self, hub: SharedHub[S], asks: Sequence[Ask]) -> None:
        """Carries these out. Without a link they are dropped, but for client events and cache misses: the
        next link's `_sync` asks for whatever is wanted then."""
        for ask in asks:
            if isinstance(ask, PassOn):
                self._publishing.pass_on(hub, ask)
            elif isinstance(ask, Missed):
                self._misses.ask(hub.app.id, ask.channel)
            elif self.bus.link is not None:
                self._ask(self.bus.link, hub, ask)

    def _ask(self, link: Link, hub: SharedHub[S], ask: Ask) -> None:
        match ask:
            case Join():
                self.topics.listen(hub, [ask.channel])
                channel = hub.shared(ask.channel)
                if channel is not None and channel.generation == ask.generation:
                    users = {} if ask.user_id is None else {ask.user_id: ask.info}
                    self.registrations.join(hub, channel, users)
            case Leave():
                app_id = hub.app.id
                self.registrations.leave(app_id, ask.channel, ask.user_id, is_last=ask.is_last, hub=hub)
                if ask.is_last:
                    self.topics.unlisten(hub, ask.channel)
            case Watch():
                self._watches.watch(link, hub, ask)
            case Unwatch():
                self._watches.unwatch(hub, ask)
            case Load():
                self._pages.load(link, hub, ask)
            case Keep():
                self._pages.keep(link, hub, ask)
            case Read():
                self._pages.read(link, hub, ask)

    # For readiness and metrics ------------------------------------------------------------------------

    @property
    def is_up(self) -> bool:
        """Whether events go to other nodes now."""
        return self.bus.is_up

    @property
    def is_publishing(self) -> bool:
        """Whether events of jobs go out now."""
        return self._publishing.is_open

    @property
    def node(self) -> str:
        return self.bus.node

    @property
    def others(self) -> Mapping[str, Other]:
        return self.nodes.others

    @property
    def is_leader(self) -> bool:
        """Whether this node does what is done once on all nodes."""
        return self.nodes.is_leader

    @property
    def rejected(self) -> Counter[str]:
        """Messages that were not believed, by reason."""
        return self._records.rejected

    @property
    def gaps(self) -> int:
        return self.registrations.gaps + self._publishing.dropped

    @property
    def repairs(self) -> int:
        return self.registrations.repairs
