"""Publishing: events go to Redis, which numbers them and passes them to all nodes, or wait for it.

An event that was published has an answer from Redis. A job's broadcast whose answer did not come is published
again by its job, and the job's mark keeps it from going out twice.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from hashlib import blake2b
from operator import attrgetter
from typing import Generic, TypeVar

from bridge.broadcast import Broadcast
from bridge.errors import JobError, ServiceUnavailable
from bridge.sockets.cluster import times
from bridge.sockets.cluster.bus import Bus, app_of, place_for
from bridge.sockets.cluster.envelope import CLIENT_EVENT, CONTROL, EVENT, TAG
from bridge.sockets.cluster.link import Link
from bridge.sockets.cluster.names import CONTROL_CHANNEL, split_place
from bridge.sockets.cluster.nodes import Nodes
from bridge.sockets.cluster.outgoing import Outgoing, Sealed
from bridge.sockets.cluster.records import Records, SeenTags
from bridge.sockets.pusher import messages
from bridge.sockets.pusher.asks import PassOn
from bridge.sockets.pusher.hub_events import published
from bridge.sockets.pusher.outcome import S
from bridge.sockets.pusher.shared_channel import Message
from bridge.sockets.pusher.shared_hub import SharedHub

T = TypeVar("T")

log = logging.getLogger(__name__)

AGAIN, LATE = b"again ", b"late "  # words of `publish.lua`


class Spool:
    """What waits for the bus to be back, the oldest first, up to `SPOOL_BYTES`."""

    def __len__(self) -> int:
        return len(self.items)

    def __init__(self) -> None:
        self.items: deque[Sealed] = deque()
        self._size = 0

    def has_room(self, size: int) -> bool:
        return self._size + size <= times.SPOOL_BYTES

    def has_waited(self, now: float) -> float:
        """Seconds, of the oldest."""
        return now - self.items[0].at if self.items else 0.0

    def put(self, item: Sealed) -> None:
        self.items.append(item)
        self._size += len(item.envelope)

    def sort(self) -> None:
        """Also those that were lost under way have their place."""
        self.items = deque(sorted(self.items, key=attrgetter("at")))

    def take(self) -> Iterator[Sealed]:
        """The oldest, as many as may be under way: so few that their tags are known until they come back
        (`SEEN`), and that the loop soon serves others."""
        count = size = 0
        while self.items and count < max(times.SEEN // 50, 1) and size < times.PORTION_BYTES:
            item = self.items.popleft()
            count += 1
            size += len(item.envelope)
            self._size -= len(item.envelope)
            yield item


class Publishing(Generic[S]):
    """For all that this node publishes, in the order in which it does."""

    def __init__(
        self,
        bus: Bus[S],
        records: Records[S],
        seen: SeenTags,
        orders: SeenTags,
        nodes: Nodes[S],
        deliver: Callable[[bytes, bytes], None],
        window: int,
    ) -> None:
        """`window`: seconds for which the marks of jobs are kept, and then as long again; `deliver` gives
        what is for a place to who is here, if they have it not."""
        self._bus = bus
        self._deliver = deliver
        self._records = records
        self._seen = seen
        self._orders = orders
        self._nodes = nodes
        self._spool = Spool()
        self.dropped = 0  # events that had waited, and that Redis then refused
        self._emptying: Link | None = None  # where a part of the spool is under way, and more follows
        self._warned_at = -60.0
        self._outgoing = Outgoing(bus.names, window, records.sealer)
        self.once_back = self._outgoing.once_back
        self.forget_routes = self._outgoing.forget_routes

    @property
    def is_open(self) -> bool:
        """Whether events go out now: not before those that have waited. `_may_send` is written out, for this
        is asked for each event."""
        bus = self._bus
        return (
            bus.link is not None and bus.is_synced and not self._spool.items and not self._nodes.is_awaiting
        )

    @property
    def _may_send(self) -> bool:
        """Not while other nodes have still to register their clients."""
        return self._bus.is_up and not self._nodes.is_awaiting

    async def publish(self, broadcasts: Sequence[Broadcast], origin: str) -> int:
        """Redis has them, in order, for the subscribers of all nodes; how many those are.

        Jobs wait up to `JOBS_WAIT` for the bus, so that those which come after them do not overtake them;
        then ServiceUnavailable. All else is delivered here at once, and elsewhere once it is back; for so
        long, and so much. JobError as `Node.publish`. Where Redis refuses an event for good, JobError for a
        job's, else ServiceUnavailable; nothing is published then but what has a job's mark.
        """
        for broadcast in broadcasts:
            if broadcast.app_id not in self._bus.home.hubs:
                raise JobError(f"no app has the id {broadcast.app_id}: check the broadcasting connection")
        if origin == "queue":
            return self._tell(broadcasts, origin, await self._send_jobs(self._sealed_jobs(broadcasts)))
        if not self.is_open:
            return self._publish_here(broadcasts, origin)
        answer: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()
        self.publish_soon(broadcasts, origin, partial(_answer, answer))
        if (receivers := await answer) is None:
            raise ServiceUnavailable("Redis refuses the event: see bridge's log")
        return receivers

    def publish_soon(
        self, broadcasts: Sequence[Broadcast], origin: str, then: Callable[[int | None], None]
    ) -> None:
        """`publish` of what is no job's, without waiting: `then` gets what that returns, or None where Redis
        refuses one of them. Only while it `is_open`, and for apps that there are."""
        items = [self._sealed(one, name) for one in broadcasts for name in one.channels]

        def lost(why: str) -> None:
            for item in items:
                self._lost(item, why)
            then(0)

        def answered(answers: Sequence[int]) -> None:
            then(self._tell(broadcasts, origin, answers))

        def refused(why: str) -> None:
            self._warn(why)
            then(None)

        self._outgoing.send(self._bus.asking(), items, answered, lost, refused)

    def _sealed_jobs(self, broadcasts: Sequence[Broadcast]) -> list[Sealed]:
        """Each broadcast for each of its channels; a job may send to a channel several times."""
        sent: Counter[tuple[str, str]] = Counter()
        items = []
        for broadcast in broadcasts:
            for name in broadcast.channels:
                item = self._sealed(broadcast, name)
                if broadcast.job:
                    sent[broadcast.job, name] += 1
                    item.mark = _mark(broadcast.job, sent[broadcast.job, name], name)
                items.append(item)
        return items

    def _tell(self, broadcasts: Sequence[Broadcast], origin: str, answers: Sequence[int]) -> int:
        """Reports them as published, by Redis' answer for each channel; how many they have reached."""
        at = total = 0
        for broadcast in broadcasts:
            receivers = 0
            for _ in broadcast.channels:
                receivers += max(answers[at], 0)
                at += 1
            self._bus.home.tell(published(broadcast, origin, receivers))
            total += receivers
        return total

    async def _send_jobs(self, items: Sequence[Sealed]) -> list[int]:
        """What Redis answers to each; sent again after each link that is lost meanwhile: marks keep anything
        from going out twice. Raises ServiceUnavailable; JobError where Redis refuses one of them."""
        try:
            async with asyncio.timeout(times.JOBS_WAIT):
                while True:
                    if self.is_open:
                        answers: asyncio.Future[list[int] | str | None]
                        answers = asyncio.get_running_loop().create_future()
                        answer, lost = partial(_answer, answers), partial(self._jobs_lost, items, answers)
                        self._outgoing.send(self._bus.asking(), items, answer, lost, answer)
                        found = await answers
                        if isinstance(found, str):
                            self._warn(found)
                            raise JobError(f"Redis refuses the event: {found}")
                        if found is not None:
                            return found
                    await asyncio.sleep(times.LOOK)
        except TimeoutError:
            raise ServiceUnavailable("the bus is away: nothing is sure to be published") from None

    def _jobs_lost(
        self, items: Sequence[Sealed], answers: asyncio.Future[list[int] | str | None], _why: str
    ) -> None:
        for item in items:
            self._unanswered(item)
        _answer(answers, None)

    def _sealed(self, broadcast: Broadcast, name: str) -> Sealed:
        hub = self._bus.home.hubs[broadcast.app_id]
        route = self._outgoing.route(hub.app, name)
        text = messages.event(broadcast.name, name, broadcast.data)
        envelope = route.sealer.seal(route.place, EVENT, text, broadcast.socket_id or "")
        return Sealed(route.place, envelope, self._bus.now(), route)

    # Of clients, and to nodes --------------------------------------------------------------------------

    def pass_on(self, hub: SharedHub[S], ask: PassOn) -> None:
        """A client's event. Those who are here get it at once where the bus is away."""
        place = place_for(hub.app.id, ask.channel)
        envelope = self._records.sealer(hub.app).seal(place, CLIENT_EVENT, ask.text, ask.socket_id)
        item = Sealed(place, envelope, self._bus.now(), is_brief=True)
        if self._bus.link is not None and self.is_open:
            self._send_plain(self._bus.link, item)
            return
        item.is_here = True
        self._seen.add(envelope[2 : 2 + TAG])
        self._bus.home.answered(hub, hub.passed_on(ask.channel, ask.text, ask.socket_id))
        if self._spool.has_room(len(envelope)):
            self._spool.put(item)

    def terminate(self, hub: SharedHub[S], user_id: str) -> None:
        """Ends all connections that the user has now, on all nodes."""
        place = place_for(hub.app.id, CONTROL_CHANNEL)
        text = json.dumps({"terminate": user_id, "at": self._bus.latest_ms()})
        envelope = self._records.sealer(hub.app).seal(place, CONTROL, text)
        item = Sealed(place, envelope, self._bus.now(), is_order=True)
        if self._bus.link is not None and self._bus.is_up:
            self._send_plain(self._bus.link, item)
            return
        self._orders.add(envelope[2 : 2 + TAG])
        self._bus.home.terminate(hub, user_id)
        self._spool.put(item)

    # While the bus is away -----------------------------------------------------------------------------

    def _publish_here(self, broadcasts: Sequence[Broadcast], origin: str) -> int:
        """What waits for the bus to be back; who is here gets it now."""
        items = [(one, name, self._sealed(one, name)) for one in broadcasts for name in one.channels]
        size = sum(len(item.envelope) for _, _, item in items)
        is_late = not self._may_send and self._spool.has_waited(self._bus.now()) > times.SPOOL_SECONDS
        if is_late or not self._spool.has_room(size):
            raise ServiceUnavailable("the bus is away for too long: nothing was published")
        receivers = 0
        for broadcast, name, item in items:
            hub = self._bus.home.hubs[broadcast.app_id]
            text = messages.event(broadcast.name, name, broadcast.data)
            tag = item.envelope[2 : 2 + TAG]
            self._seen.add(tag)
            message = Message(text, tag, broadcast.socket_id or "")
            delivered = hub.deliver_here(name, message)
            receivers += sum(delivery.receivers for delivery in delivered.deliveries)
            self._bus.home.answered(hub, delivered)
            item.is_here = True
            self._spool.put(item)
        for broadcast in broadcasts:
            self._bus.home.tell(published(broadcast, origin, receivers))
        return receivers

    def empty_spool(self) -> None:
        """What has waited goes out, however long it has: whoever published it was told that it will."""
        if self._bus.link is None or self._bus.link is not self._emptying:
            self._spool.sort()
            self._send_portion()

    def _send_portion(self, _: object = None) -> None:
        """The next ones follow once these are answered."""
        self._emptying, link = None, self._bus.link
        if link is None or not self._may_send:
            return
        now = self._bus.now()
        for item in self._spool.take():
            if item.is_brief and item.at < now - 2 * times.SPOOL_SECONDS:
                continue
            if item.is_here:  # may have been forgotten in a long time
                self._seen.add(item.envelope[2 : 2 + TAG])
            if item.route is None:
                self._send_plain(link, item)
            else:
                if item.again and now - item.at > item.route.seconds:
                    item.again = LATE + item.again.partition(b" ")[2]
                lost = partial(self._lost, item, before=self._latest(item))
                self._outgoing.send(link, (item,), _ignore, lost, self._drop)
        if self._spool:
            self._emptying = link
            link.send("PING", then=self._send_portion)

    def _send_plain(self, link: Link, item: Sealed) -> None:
        """What is not an event of the channel's log. An order is kept for nodes whose link is away."""
        lost = partial(self._lost, item)
        if item.is_order:
            key = self._bus.names.key("o", app_of(item.place))
            link.send("RPUSH", key, item.envelope)
            link.send("LTRIM", key, -times.ORDERS, -1)
            link.send("EXPIRE", key, times.ORDER_SECONDS)
        link.publish(self._bus.names.topic(item.place), item.envelope, lost)

    def _drop(self, why: str) -> None:
        self.dropped += 1
        self._warn(why)

    def _warn(self, why: str) -> None:
        """At most once a minute: there may be as many of them as events."""
        if (now := self._bus.now()) - self._warned_at >= 60:
            self._warned_at = now
            log.error("Redis refuses an event", extra={"action": "bus_refused", "why": why})

    def _lost(self, item: Sealed, _why: str, before: bytes | None = None) -> None:
        """It waits for the next link; where it had gone out, receivers and the log know it by its tag. Who is
        here gets it now: what is published next waits for no link."""
        self._unanswered(item, before)
        self._spool.put(item)
        if not item.is_here:
            item.is_here = True
            self._deliver(item.place, item.envelope)

    def _unanswered(self, item: Sealed, before: bytes | None = None) -> None:
        """It may have gone out; if so, it is in the log behind the event with the tag `before`, known when it
        was sent. Where that was not noted, it is the last one known now: all that came on the link before the
        answer is older, but for the event itself and those sent together with it."""
        if item.route is None or item.again:
            return
        if before is None:
            tag = item.envelope[2 : 2 + TAG]
            before = tag if tag in self._seen else self._latest(item)  # seen: it has come itself
        item.again = AGAIN + before

    def _latest(self, item: Sealed) -> bytes:
        """The tag of the last event of its channel that is known here, if there is one."""
        app_id, name = split_place(item.place)
        hub = self._bus.home.hubs.get(app_id)
        channel = None if hub is None else hub.shared(name)
        if channel is not None and channel.is_joined:
            return channel.tag
        return b"" if item.route is None else item.route.last


def _ignore(_: object) -> None:
    """Nobody waits for the answer."""


def _answer(future: asyncio.Future[T], answer: T, _why: str = "") -> None:
    if not future.done():
        future.set_result(answer)


def _mark(job: str, number: int, channel: str) -> bytes:
    """A job's broadcast to a channel as a number: Redis keeps sets of numbers small."""
    digest = blake2b(f"{job}\0{number}\0{channel}".encode(), digest_size=8).digest()
    return b"%d" % (int.from_bytes(digest, "big") >> 1)
