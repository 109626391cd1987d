"""Node: this process as a Pusher server. Performs outcomes, publishes broadcasts, tells observers."""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import math
import os
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Protocol

from bridge.broadcast import Broadcast
from bridge.errors import JobError, ProtocolError, ServiceUnavailable
from bridge.sockets.pusher import admission, messages
from bridge.sockets.pusher.admission import UpgradeRequest
from bridge.sockets.pusher.app import MAX_BACKLOG, STALL_TIMEOUT, App, Limits
from bridge.sockets.pusher.asks import Ask
from bridge.sockets.pusher.close_codes import APP_DISABLED, OVER_CAPACITY, UNAUTHORIZED, UNKNOWN_APP
from bridge.sockets.pusher.connection import PING_SPREAD, Connection
from bridge.sockets.pusher.hub import Cached, Hub
from bridge.sockets.pusher.hub_events import ConnectionRefused, HubEvent, Received
from bridge.sockets.pusher.outcome import Answered, Delivery, Outcome
from bridge.sockets.pusher.resume import Session
from bridge.sockets.server.open_files import shortage
from bridge.sockets.server.outbox import PING_FRAME, Outbox, numbered_ping, text_frame
from bridge.sockets.server.socket import Socket
from bridge.sockets.server.trusted_proxies import Proxies, sender

LARGE = 16_384  # bytes from which an answer matters to a client's backlog
FULL_INTERVAL = 60.0  # seconds at least between warnings that clients are refused
SWEEP_INTERVAL = 1.0  # seconds between looks at silent, slow and closing sockets
PING_SLICE = 100  # sockets pinged before the loop may do something else
CLOSING_SHARE = 4  # a quarter of max_connections may be closing beyond it,
LEAST_CLOSING = 16  # and so many in any case
ACK_TIMEOUT = 1.0  # seconds in which a page that resumes may say what has arrived before it is closed
LONG_ACK_TIMEOUT = 5.0  # the same where the drain is spread: nobody waits for its end
ACK_STEP = 0.01  # seconds between looks at who has said so
CLOSE_SLICE = 200  # sockets closed by a drain before the loop may do something else
SPREAD_STEP = 0.05  # seconds between slices of a drain that is spread
SPREAD_DELAY = 0.25  # seconds before the first of them

logger = logging.getLogger(__name__)

Observer = Callable[[HubEvent], None]


class Peers(Protocol):
    """The other nodes that serve the same apps. `sockets.cluster` has the one that there is."""

    def hub(self, app: App) -> Hub[Socket]:
        """A hub that asks the other nodes."""

    def ask(self, hub: Hub[Socket], asks: Sequence[Ask]) -> None:
        """What a hub wants; the answers come by `Node.answered`."""

    async def flush(self, within: float) -> bool:
        """Whether what was asked so far is known to all, if they can be reached in so many seconds."""

    @property
    def is_publishing(self) -> bool:
        """Whether what is published reaches the other nodes now."""

    async def publish(self, broadcasts: Sequence[Broadcast], origin: str) -> int:
        """As `Node.publish`, for the subscribers of all nodes. Raises ServiceUnavailable as well."""

    def publish_soon(
        self, broadcasts: Sequence[Broadcast], origin: str, then: Callable[[int | None], None]
    ) -> None:
        """The same without waiting: `then` gets what that returns, later, or None where it raises. Only while
        `is_publishing`, and for apps that there are."""

    def once_back(self, call: Callable[[], None]) -> bool:
        """Whether something that this node has published has yet to come back to it, as to all others. Then
        the call is made once all that was published so far has come, or will not."""

    def terminate(self, hub: Hub[Socket], user_id: str) -> None: ...

    def elsewhere(self, app_id: str) -> int:
        """Connections of the app on the other nodes."""

    async def channels(self, hub: Hub[Socket]) -> dict[str, int]:
        """Occupied channels → subscriptions, on all nodes. This and the rest raise ServiceUnavailable."""

    async def subscriptions(self, hub: Hub[Socket], name: str) -> int: ...

    async def user_counts(self, hub: Hub[Socket], names: Sequence[str]) -> dict[str, int]: ...

    async def users(self, hub: Hub[Socket], name: str) -> list[str]: ...

    async def last_event(self, hub: Hub[Socket], name: str, now: float) -> Cached | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeLimits:
    """
    max_connections  over all apps, None: what `limit` says; beyond it clients are told to come back (4100)
    beside           connections of the processes that share this limit
    max_backlog      bytes a slow client may owe before it is cut
    stall_timeout    seconds without progress after which a slow client is cut
    close_timeout    seconds a client has to answer a close frame
    """

    max_connections: int | None = None
    beside: Callable[[], int] = lambda: 0
    max_backlog: int = MAX_BACKLOG
    stall_timeout: float = STALL_TIMEOUT
    close_timeout: float = 5.0


class Node:
    """The apps of this process and everybody connected to them.

    Lives on one loop: `start` on it, then everything but `publish_from_thread` from it only.

    observers  called with each event, on the loop, in order; they must be quick
    proxies    whose word about a client's address is believed
    peers      other nodes of the same apps; None: this one is alone
    largest_body  bytes that a request to the HTTP API may have, by the limits of its apps
    """

    def __init__(
        self,
        apps: Sequence[App],
        *,
        observers: Sequence[Observer] = (),
        limits: NodeLimits = NodeLimits(),
        proxies: Proxies | None = None,
        peers: Peers | None = None,
    ) -> None:
        self.peers = peers
        self._new_hub: Callable[[App], Hub[Socket]] = Hub if peers is None else peers.hub
        self.hubs: dict[str, Hub[Socket]] = {app.id: self._new_hub(app) for app in apps}
        self._take_apps()
        self.proxies = proxies or Proxies()
        self.addresses: Counter[tuple[str, str]] = Counter()  # app id and `sender` → connections
        self.observers = tuple(observers)
        self.max_connections = limits.max_connections
        self._beside = limits.beside
        self._full = f"max_connections is {limits.max_connections}"  # what limits them
        self._full_at = -math.inf
        self.max_backlog = limits.max_backlog
        self.stall_timeout = limits.stall_timeout
        self.close_timeout = limits.close_timeout
        self.slow: set[Socket] = set()
        self.closing: dict[Socket, float] = {}  # → when we stop waiting for the answer
        self.is_draining = False
        self._drain_code = OVER_CAPACITY
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._swept_at = 0.0
        self._silent: list[Socket] = []  # to be pinged or closed, where it is time
        self._all_closed = asyncio.Event()
        self._publishing: set[asyncio.Future[int]] = set()

    @property
    def connections(self) -> int:
        return sum(len(hub.sockets) for hub in self.hubs.values())

    def connections_of(self, hub: Hub[Socket]) -> int:
        """The app's, on all nodes."""
        return len(hub.sockets) + (0 if self.peers is None else self.peers.elsewhere(hub.app.id))

    def limit(self, most: int, why: str) -> None:
        """Where none is set: so many connections of this process, whatever others have."""
        self.max_connections, self._beside, self._full = most, lambda: 0, why

    # Life -----------------------------------------------------------------------------------------------

    def start(self) -> None:
        """The node belongs to the running loop and looks after its sockets."""
        self._loop = asyncio.get_running_loop()
        self.now = self._loop.time
        self._outbox = Outbox(self._loop) if self.peers is None else Outbox(self._loop, self.peers.once_back)
        self._swept_at = self.now()
        self._timer = self._loop.call_later(SWEEP_INTERVAL, self._sweep)

    def serve(self, apps: Sequence[App]) -> None:
        """These are the apps from now on. Clients of an app that is gone, or has another key, are closed with
        4001, those of one that is switched off with 4003; all others notice nothing."""
        known = {app.id: app for app in apps}
        for app_id, hub in tuple(self.hubs.items()):
            app = known.get(app_id)
            if app is None or app.key != hub.app.key:
                del self.hubs[app_id]
                self._close_all(hub, UNKNOWN_APP, "the app is not served any more")
            elif app != hub.app:
                hub.app = app
                if not app.enabled:
                    self._close_all(hub, APP_DISABLED, "this app is switched off")
        for app in apps:
            if app.id not in self.hubs:
                self.hubs[app.id] = self._new_hub(app)
        self._take_apps()

    def _take_apps(self) -> None:
        apps = [hub.app for hub in self.hubs.values()]
        self._by_key = {app.key: self.hubs[app.id] for app in apps}
        self.largest_body = max((app.limits.body_bytes for app in apps), default=Limits().body_bytes)

    def _close_all(self, hub: Hub[Socket], code: int, reason: str) -> None:
        for socket in tuple(hub.sockets.values()):
            socket.close(code, reason)

    async def drain(self, within: float, code: int = OVER_CAPACITY, spread: float = 0.0) -> None:
        """Everybody has got what was published and is closed with `code`, or cut off after `within` seconds.

        4100 brings clients back after a second, which is what the next process needs to bind the address;
        4200 brings them back at once, for when somebody keeps listening. `spread`: seconds over which they
        are closed, so that they do not all come back in one moment; until then they get what is published.
        """
        self.is_draining = True
        self._drain_code = code
        if spread:  # the processes that are replaced with this one get the same order: by then they take
            await asyncio.sleep(SPREAD_DELAY)  # nobody who would have to move once more
        sockets = [socket for hub in self.hubs.values() for socket in hub.sockets.values()]
        steps = spread / SPREAD_STEP
        size = min(CLOSE_SLICE, math.ceil(len(sockets) / steps)) if steps >= 1 else CLOSE_SLICE
        started, slices = self.now(), math.ceil(len(sockets) / max(size, 1))
        patience = LONG_ACK_TIMEOUT if spread else ACK_TIMEOUT
        waiting: dict[Socket, float] = {}
        for number in range(slices):
            for socket in sockets[number * size : (number + 1) * size]:
                if self.peers is not None:  # else what pages say would end with this process
                    self._ask_page(socket, is_last=True)
                waiting[socket] = self.now() + patience
            due = started + spread * (number + 1) / slices
            is_due = False
            while not is_due:
                await self._close_acknowledged(waiting, code)
                left = max(due - self.now(), 0.0)
                await asyncio.sleep(min(left, ACK_STEP) if waiting else left)
                is_due = self.now() >= due
        while waiting:
            await asyncio.sleep(ACK_STEP)
            await self._close_acknowledged(waiting, code)
        deadline = self.now() + within
        if self.closing:
            self._all_closed.clear()
            try:
                async with asyncio.timeout_at(deadline):
                    await self._all_closed.wait()
            except TimeoutError:
                pass
        for socket in tuple(self.closing):
            socket.transport.abort()

    async def _close_acknowledged(self, waiting: dict[Socket, float], code: int) -> None:
        """Closes those that have said what has arrived, so that exactly the rest comes from the node that
        they go to, once that is known there; and those for which nobody waits any more."""
        now, peers = self.now(), self.peers
        ready = [
            one for one, until in waiting.items() if now >= until or peers is None or not _owes_answer(one)
        ]
        has_pages = any(_session(one) is not None for one in ready)
        if peers is not None and has_pages and not await peers.flush(ACK_TIMEOUT):
            now = self.now()
            ready = [one for one in ready if now >= waiting[one] or _session(one) is None]
        for socket in ready:
            del waiting[socket]
            if socket.connection is not None:  # not gone meanwhile
                socket.close(code, "the server is restarting")

    def stop(self) -> None:
        """The node takes nothing more; after `drain`."""
        self.is_draining = True
        if self._timer is not None:
            self._timer.cancel()
        self._loop = None

    # Publishing -----------------------------------------------------------------------------------------

    def publish(self, broadcasts: Sequence[Broadcast], *, origin: str = "queue") -> int:
        """Puts every broadcast into the outgoing queue of all its subscribers; how many receivers that were.

        Broadcasts given together, or in the same turn of the loop, are written together. Raises JobError,
        having published nothing, when an app is not served here.
        """
        for broadcast in broadcasts:
            if broadcast.app_id not in self.hubs:
                raise JobError(f"no app has the id {broadcast.app_id}: check the broadcasting connection")
        now, receivers = self.now(), 0
        for broadcast in broadcasts:
            outcome = self.hubs[broadcast.app_id].publish(broadcast, now, origin)
            for delivery in outcome.deliveries:
                receivers += delivery.receivers
            self.deliver(outcome)
        return receivers

    async def publish_to_all(self, broadcasts: Sequence[Broadcast], *, origin: str) -> int:
        """`publish`, for the subscribers of all nodes; returns when they are sure to get it.

        Raises ServiceUnavailable where the other nodes cannot be told, or Redis refuses one of them; nothing
        is published then. JobError as `publish`."""
        if self.peers is None:
            return self.publish(broadcasts, origin=origin)
        return await self.peers.publish(broadcasts, origin)

    def publish_from_thread(self, broadcasts: Sequence[Broadcast], *, timeout: float = 10.0) -> int:
        """`publish`, from any other thread; blocks until all of it is written to the sockets, but for those
        that are slow: what was sent is then on its way, whatever becomes of this process.

        Raises ServiceUnavailable when the loop is gone or does not answer in `timeout` seconds; JobError as
        `publish` does, or where Redis refuses one of them. Nothing is published then, but for what the bus
        was given: the job's mark keeps that from going out again.
        """
        future: concurrent.futures.Future[int] = concurrent.futures.Future()

        def run() -> None:
            if self.peers is not None:
                if future.cancelled():
                    return
                task = asyncio.ensure_future(self.peers.publish(broadcasts, "queue"))
                self._publishing.add(task)
                task.add_done_callback(self._publishing.discard)
                task.add_done_callback(
                    lambda task: self._outbox.once_written(partial(_hand_over, future, task))
                )
                return
            if not future.set_running_or_notify_cancel():
                return
            try:
                receivers = self.publish(broadcasts)
            except BaseException as problem:
                future.set_exception(problem)
            else:
                self._outbox.once_written(partial(future.set_result, receivers))

        loop = self._loop
        try:
            if loop is None:
                raise RuntimeError
            loop.call_soon_threadsafe(run)
        except RuntimeError:
            raise ServiceUnavailable("the server is not running: nothing was published") from None
        try:
            return future.result(timeout)
        except TimeoutError:
            if future.cancel():
                raise ServiceUnavailable(f"the server did not answer in {timeout:g} s") from None
            return future.result()  # it has just begun

    # For sockets ----------------------------------------------------------------------------------------

    def admit(self, socket: Socket, arrival: UpgradeRequest) -> Connection[Socket]:
        """A connection for this client. Raises ProtocolError with the code that it is closed with."""
        self._hurry_closing()
        hub = self._by_key.get(arrival.key or "")
        is_limited = hub is not None and hub.app.limits.connections_per_address is not None
        address = sender(arrival.address) if is_limited else ""  # of a Unix socket nothing is known
        place = (hub.app.id if hub else "", address)
        try:
            app = admission.check(
                arrival,
                hub.app if hub else None,
                connections=self.connections_of(hub) if hub else 0,
                from_address=self.addresses[place] if address else 0,
            )
            if self.is_draining:
                raise ProtocolError(self._drain_code, "the server is restarting", close=True)
            if self.max_connections and self.connections + self._beside() >= self.max_connections:
                self.warn_full(self._full)
                raise ProtocolError(OVER_CAPACITY, "the server takes no more connections now", close=True)
        except ProtocolError as refusal:
            self.tell(ConnectionRefused(app_id=hub.app.id if hub else "", code=refusal.code))
            about = {"action": "refuse", "address": arrival.address, "code": refusal.code}
            logger.debug("connection refused", extra={**about, "why": str(refusal)})
            raise
        hub = self.hubs[app.id]
        if address:
            socket.address = address
            self.addresses[place] += 1
        socket_id = new_socket_id()
        while socket_id in hub.sockets:
            socket_id = new_socket_id()
        jitter = random.random()  # noqa: S311 (no secret)
        connection = Connection(hub, socket, socket_id, self.now(), jitter, answers=arrival.is_page)
        if arrival.returning is not None and app.resume_seconds:
            had = connection.begin_session(arrival.returning, self.now())
            if had is not None:  # its answer would tell that it is another page's
                self._outbox.put(numbered_ping(0), (had,))
        return connection

    def _hurry_closing(self) -> None:
        """Aborts the oldest of those that were closed, or never let in: each holds a descriptor until it
        answers."""
        if not self.closing or self.max_connections is None:
            return
        most = self.max_connections + max(self.max_connections // CLOSING_SHARE, LEAST_CLOSING)
        excess = self.connections + len(self.closing) - most
        for socket in tuple(islice(self.closing, max(excess, 0))):
            socket.transport.abort()

    def receive(
        self, socket: Socket, connection: Connection[Socket], text: str, *, is_last: bool = True
    ) -> None:
        """Handles a client's message; `is_last`: no other came with it, or all before it."""
        self._outbox.settle()
        outcome = connection.receive(text, self.now())
        self.perform(socket, outcome, at_once=is_last)
        self.ask(connection, outcome)
        if self.observers:
            app_id, size = connection.hub.app.id, len(text)
            self.tell(Received(app_id=app_id, socket_id=connection.socket_id, size=size))

    def acknowledged(self, connection: Connection[Socket], number: int) -> None:
        """Notes that the client has everything that was written before the ping with this number."""
        self.ask(connection, connection.acknowledged(number, self.now()))

    def leave(self, socket: Socket, connection: Connection[Socket], code: int) -> None:
        """Removes the connection from its app and channels."""
        self._outbox.settle()
        outcome = connection.closed(code, self.now())
        self.perform(socket, outcome)
        self.ask(connection, outcome)
        if socket.address:
            place = (connection.hub.app.id, socket.address)
            self.addresses[place] -= 1
            if not self.addresses[place]:
                del self.addresses[place]

    def perform(self, socket: Socket, outcome: Outcome[Socket], *, at_once: bool = True) -> None:
        """`at_once`: replies are written now, not with the next flush."""
        if outcome.replies or outcome.ping:
            frame = b"".join(map(text_frame, outcome.replies)) + (PING_FRAME if outcome.ping else b"")
            if len(frame) > LARGE:
                socket.expect(len(frame))
            if at_once:
                self._outbox.reply(frame, socket)
            else:
                self._outbox.put(frame, (socket,))
                self._outbox.settle()  # see `send`
        self.deliver(outcome)
        if outcome.close is not None:
            socket.close(outcome.close.code, outcome.close.reason)

    def ask(self, connection: Connection[Socket], outcome: Outcome[Socket]) -> None:
        """What the outcome asks of other nodes is on its way."""
        if outcome.asks and self.peers is not None:
            self.peers.ask(connection.hub, outcome.asks)

    def warn_full(self, why: str) -> None:
        """Says in the log that clients are refused: rarely, for each of them comes back again and again."""
        now = self.now()
        if now - self._full_at >= FULL_INTERVAL:
            self._full_at = now
            logger.error("clients are refused", extra={"action": "full", "why": why})

    def terminate_everywhere(self, hub: Hub[Socket], user_id: str) -> None:
        """Ends all connections of the user, on all nodes."""
        if self.peers is None:
            self.terminate(hub, user_id)
        else:
            self.peers.terminate(hub, user_id)

    # For peers --------------------------------------------------------------------------------------------

    def settle(self) -> None:
        """What was put so far does not depend on the hubs any more: they may change."""
        self._outbox.settle()

    def answered(self, hub: Hub[Socket], answered: Answered[Socket]) -> None:
        """An answer of other nodes has had its effect."""
        self.send(answered.deliveries)
        for event in answered.hub_events if self.observers else ():
            self.tell(event)
        for socket, name in answered.dropped:
            if socket.connection is not None:
                socket.connection.drop(name)
        if answered.asks and self.peers is not None:
            self.peers.ask(hub, answered.asks)
        for socket, close in answered.closes:
            socket.close(close.code, close.reason)

    def terminate(self, hub: Hub[Socket], user_id: str, at: float = math.inf) -> None:
        """Ends all connections here that were the user's at that moment; it must sign in again."""
        for socket in hub.sockets_of(user_id):
            if socket.connection is not None and socket.connection.was_of(user_id, at):
                socket.close(UNAUTHORIZED, "the app has ended this user's connections")

    def tell(self, event: HubEvent) -> None:
        for observer in self.observers:
            try:
                observer(event)
            except Exception:  # an observer's fault is not the client's
                logger.exception("observer failed", extra={"action": "observe"})

    def forget(self, socket: Socket) -> None:
        """The socket's transport has ended."""
        self.slow.discard(socket)
        self.closing.pop(socket, None)
        if not self.closing:
            self._all_closed.set()

    def send(self, deliveries: Sequence[Delivery[Socket]]) -> None:
        asked: dict[Socket, int] = {}
        for text, sockets, excluded, may_wait in deliveries:
            frame = text_frame(text)
            if type(sockets) is tuple:  # of the one that has asked for it
                (socket,) = sockets
                asked[socket] = asked.get(socket, 0) + len(frame)
            put = self._outbox.put_delayed if may_wait else self._outbox.put
            put(frame, sockets, excluded)
        for socket, size in asked.items():
            if size > LARGE:
                self._outbox.settle()  # into its slot: `expect` holds until that is written
                socket.expect(size)

    def deliver(self, outcome: Outcome[Socket]) -> None:
        """What others get is put, and observers are told."""
        self.send(outcome.deliveries)
        if self.observers:
            for event in outcome.hub_events:
                self.tell(event)

    def _check_silent(self) -> None:
        """Whoever was silent in this second is pinged or closed, a few in each turn of the loop."""
        now = self.now()
        batch, self._silent = self._silent[:PING_SLICE], self._silent[PING_SLICE:]
        for socket in batch:
            if socket.connection is not None:  # not closed meanwhile
                self.perform(socket, socket.connection.check(now, random.random()))  # noqa: S311
        if self._silent and self._loop is not None:
            self._loop.call_soon(self._check_silent)

    def _ping_pages(self, hub: Hub[Socket]) -> None:
        """Pages that have got something are asked whether it has arrived."""
        for socket in hub.sessions.in_turn():
            self._ask_page(socket)

    def _ask_page(self, socket: Socket, *, is_last: bool = False) -> None:
        """Whether it has what it got. `is_last`: a page that resumes gets nothing after that."""
        connection = socket.connection
        if connection is None or connection.session is None:
            return
        frame = b""
        number = connection.next_ping(is_last=is_last)
        if number is not None and connection.answers:  # its browser would answer a frame for a page that is
            connection.asked(number)  # out of sight
            frame = text_frame(messages.PING)
        elif number is not None:
            frame = numbered_ping(number)
        if is_last:
            self._outbox.settle()
            socket.finish(frame)
        elif frame:
            self._outbox.put(frame, (socket,))

    def _sweep(self) -> None:
        """All time limits of all sockets, once a second: no socket has a timer."""
        now = self.now()
        was_stopped = now - self._swept_at > 2 * SWEEP_INTERVAL
        self._swept_at = now
        if self._loop is not None:
            self._timer = self._loop.call_later(SWEEP_INTERVAL, self._sweep)
        if lack := shortage():
            self.warn_full(lack)
        if was_stopped:  # the process slept; what clients sent meanwhile is to be read first
            return
        is_checking = bool(self._silent)  # those of the second before, since the loop is busy
        for hub in self.hubs.values():
            hub.forget_expired(now)
            if hub.uncounted:
                self._outbox.settle()
                self.deliver(hub.count(now))
            if hub.with_leaving:
                self._outbox.settle()
                absent = hub.remove_absent(now)
                self.deliver(absent)
                if absent.asks and self.peers is not None:
                    self.peers.ask(hub, absent.asks)
            if hub.sessions.by_id:
                self._ping_pages(hub)
            kept = hub.forget_absent(now)
            if kept.asks and self.peers is not None:
                self.peers.ask(hub, kept.asks)
            if is_checking:
                continue
            silent_since = now - min(hub.app.ping_interval, hub.app.activity_timeout) * (1 - PING_SPREAD)
            for socket in tuple(hub.sockets.values()):
                connection = socket.connection
                if connection is not None and connection.seen <= silent_since:
                    self._silent.append(socket)
        if not is_checking:
            self._check_silent()
        for socket in tuple(self.slow):
            socket.check_progress(now, self.stall_timeout)
        for socket, deadline in tuple(self.closing.items()):
            if now >= deadline:
                socket.transport.abort()


def _hand_over(to: concurrent.futures.Future[int], done: asyncio.Future[int]) -> None:
    """What came of it is the answer of the other, unless that is not waited for any more."""
    if not to.set_running_or_notify_cancel():
        return
    if done.cancelled():
        to.set_exception(ServiceUnavailable("the server has ended: nothing is sure to be published"))
    elif (problem := done.exception()) is not None:
        to.set_exception(problem)
    else:
        to.set_result(done.result())


def _session(socket: Socket) -> Session[Socket] | None:
    return socket.connection.session if socket.connection is not None else None


def _owes_answer(socket: Socket) -> bool:
    session = _session(socket)
    return session is not None and session.ping is not None


def new_socket_id() -> str:
    """Two integers and a dot, as pusher-http-php checks it. Not a secret, but not to be guessed either."""
    first, second = divmod(int.from_bytes(os.urandom(16)) % 10**18, 10**9)
    return f"{first + 1}.{second + 1}"
