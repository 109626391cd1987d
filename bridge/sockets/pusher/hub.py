"""Hub: who is connected to one app, and what they are subscribed to.

A plain data structure: every method changes it at once and returns what shall be sent and told. It never
waits, has no clock and no sockets of its own (a handle is anything hashable). The rules it keeps:

- A channel exists while somebody is subscribed to it: `occupied` with the first, `vacated` after the last.
- A subscription is in two places, the channel's `sockets` here and the connection's own tuple of names;
  both change only in `Connection`, together.
- A member is a user, not a connection: `member_added` with a user's first, `member_removed` after the last.
  With `App.presence_grace` a member whose last connection was lost stays that long, and a page that is loaded
  again tells nobody anything; but only while somebody else is in the channel, and until somebody new needs
  the place: there are never more than `Limits.members`.
- What is kept of a cache channel outlives its subscribers, for a limited time and number.
- Where `App.resume_seconds` is set, pages get what they missed between two connections: see `resume`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Generic

from bridge.broadcast import Broadcast
from bridge.sockets.pusher import messages
from bridge.sockets.pusher.app import App
from bridge.sockets.pusher.asks import Ask
from bridge.sockets.pusher.channels import USER_CHANNEL, ChannelKind, is_cache, kind_of
from bridge.sockets.pusher.close_codes import UNAUTHORIZED
from bridge.sockets.pusher.hub_events import (
    CacheMissed,
    Connected,
    Disconnected,
    HubEvent,
    MemberAdded,
    MemberRemoved,
    Occupied,
    Resumed,
    Subscribed,
    SubscriptionCounted,
    Unsubscribed,
    Vacated,
    published,
)
from bridge.sockets.pusher.outcome import Delivery, Outcome, S
from bridge.sockets.pusher.rate_limit import RateLimit
from bridge.sockets.pusher.resume import Log, Logs, Position, Returning, Session, Sessions, position_key
from bridge.sockets.pusher.roster import Roster

MANY, COUNT_INTERVAL = 100, 5.0  # above so many subscribers they are counted at most every 5 s, as at Pusher


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A user in a presence channel. `info` is the JSON text of `user_info`, None when the app gave none."""

    user_id: str
    info: str | None


@dataclass(slots=True)
class Presence:
    """A member and the number of its connections in the channel; 0 while it is `leaving`."""

    member: Member
    connections: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Cached:
    """The last event of a cache channel: the whole message, its data alone, and when it is forgotten."""

    text: str
    data: str
    expires_at: float


class Channel(Generic[S]):
    """An occupied channel.

    sockets     each subscribed socket → its user_id, None unless presence
    members     user_id → presence; stays empty unless presence
    leaving     user_id of each member without a connection → when it is removed
    roster      of the members
    counted_at  when its subscribers were last told how many they are
    is_missed   whether somebody has missed a last event, and there was none since
    """

    __slots__ = (
        "counted_at",
        "is_missed",
        "kind",
        "leaving",
        "members",
        "name",
        "roster",
        "sockets",
    )

    def __init__(self, name: str, kind: ChannelKind) -> None:
        self.name = name
        self.kind = kind
        self.sockets: dict[S, str | None] = {}
        self.members: dict[str, Presence] = {}
        self.leaving: dict[str, float] = {}
        self.counted_at = float("-inf")
        self.is_missed = False
        self.roster = Roster()

    def has(self, socket: S) -> bool:
        """Whether the socket has subscribed."""
        return socket in self.sockets

    def has_room(self, user_id: str, members: int) -> bool:
        """Whether the user may become a member, or is one; `members` may be in the channel."""
        return len(self.members) - len(self.leaving) < members or user_id in self.members

    def make_room(self, user_id: str, members: int) -> list[str]:
        """Removes members without a connection, the ones due first, until the user fits in; who they were."""
        removed: list[str] = []
        while self.leaving and user_id not in self.members and len(self.members) >= members:
            removed.append(min(self.leaving, key=self.leaving.__getitem__))
            self.remove_member(removed[-1])
        return removed

    def user_of(self, socket: S) -> str | None:
        """The user_id that the socket has subscribed as; None unless presence."""
        return self.sockets[socket]

    def add(self, socket: S, member: Member | None) -> bool:
        """The socket is subscribed; whether that brought a new member."""
        self.sockets[socket] = member.user_id if member else None
        if member is None:
            return False
        self._list(member.user_id, member.info)
        presence = self.members.get(member.user_id)
        if presence is None:
            self.members[member.user_id] = Presence(member, 1)
            return True
        presence.member = member  # a later connection may carry newer user_info
        presence.connections += 1
        self.leaving.pop(member.user_id, None)
        return False

    def remove(self, socket: S, stays_until: float | None = None) -> tuple[str | None, bool]:
        """The socket is not subscribed any more; its user_id, and whether that took the member away.

        `stays_until`: when a member is removed whose last connection this was; None: at once.
        """
        user_id = self.sockets.pop(socket)
        if user_id is None:
            return None, False
        presence = self.members[user_id]
        presence.connections -= 1
        if presence.connections:
            return user_id, False
        if stays_until is not None:
            self.leaving[user_id] = stays_until
            return user_id, False
        self.remove_member(user_id)
        return user_id, True

    def remove_member(self, user_id: str) -> None:
        del self.members[user_id]
        self.leaving.pop(user_id, None)
        self._unlist(user_id)

    def _list(self, user_id: str, info: str | None) -> None:
        self.roster.put(user_id, info)

    def _unlist(self, user_id: str) -> None:
        self.roster.drop(user_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Missed:
    """What a page gets behind the confirmation of a channel that it has come back to.

    has_last  whether it has the channel's last event now
    """

    texts: tuple[str, ...] = ()
    hub_events: tuple[HubEvent, ...] = ()
    has_last: bool = False


NOTHING_MISSED = Missed()


def missed(app_id: str, name: str, socket_id: str, texts: Sequence[str], *, has_gap: bool) -> Missed:
    event = Resumed(app_id=app_id, channel=name, socket_id=socket_id, events=len(texts), has_gap=has_gap)
    gap = (messages.gap(name, is_encrypted=kind_of(name).is_encrypted),) if has_gap else ()
    return Missed(texts=(*gap, *texts), hub_events=(event,), has_last=not has_gap or bool(texts))


class Hub(Generic[S]):
    """The connections, channels and signed-in users of one app on this node.

    app        what it allows; a newer one may take its place
    sockets    socket_id → socket, every connection
    channels   name → channel, the occupied ones
    users      user_id → sockets signed in as that user
    watchers   user_id → sockets that are told when the user comes and goes
    cached     name → last event of a cache channel
    uncounted  names of channels whose subscribers have changed and are to be counted
    with_leaving  names of channels that may have a member without a connection
    sessions   pages that resume; logs: the last events of their channels
    client_events, api_requests, api_reads  rates of the whole app
    """

    __slots__ = (
        "api_reads",
        "api_requests",
        "app",
        "cached",
        "channels",
        "client_events",
        "logs",
        "sessions",
        "sockets",
        "uncounted",
        "users",
        "watchers",
        "with_leaving",
    )

    def __init__(self, app: App) -> None:
        self.app = app
        self.sockets: dict[str, S] = {}
        self.channels: dict[str, Channel[S]] = {}
        self.users: dict[str, set[S]] = {}
        self.watchers: dict[str, set[S]] = {}
        self.cached: dict[str, Cached] = {}
        self.uncounted: set[str] = set()
        self.with_leaving: set[str] = set()
        self.sessions: Sessions[S] = Sessions()
        self.logs = Logs()
        self.client_events, self.api_requests, self.api_reads = RateLimit(), RateLimit(), RateLimit()

    # Connections ----------------------------------------------------------------------------------------

    def connect(self, socket_id: str, socket: S) -> Outcome[S]:
        self.sockets[socket_id] = socket
        return Outcome(
            replies=(messages.connection_established(socket_id, self.app.activity_timeout),),
            hub_events=(Connected(app_id=self.app.id, socket_id=socket_id),),
        )

    def disconnect(
        self,
        socket_id: str,
        socket: S,
        channels: Sequence[str],
        user_id: str | None,
        watchlist: Sequence[str],
        code: int,
        now: float,
    ) -> Outcome[S]:
        """The connection has left its channels (`channels`), its user, the users it watched and the app.

        Its member stays for `presence_grace`, unless the app has ended the connection.
        """
        grace = 0.0 if code == UNAUTHORIZED else self.app.presence_grace
        deliveries: list[Delivery[S]] = []
        hub_events: list[HubEvent] = []
        for name in channels:
            left = self.unsubscribe(socket_id, socket, name, now + grace if grace else None)
            deliveries += left.deliveries
            hub_events += left.hub_events
        for watched in watchlist:
            _take_out(self.watchers, watched, socket)
        if user_id is not None and _take_out(self.users, user_id, socket):
            deliveries += self._tell_watchers("offline", user_id)
        del self.sockets[socket_id]
        hub_events.append(Disconnected(app_id=self.app.id, socket_id=socket_id, code=code))
        return Outcome(deliveries=tuple(deliveries), hub_events=tuple(hub_events))

    def sign_in(
        self,
        socket_id: str,
        socket: S,
        user_id: str,
        watchlist: Sequence[str],
        replies: tuple[str, ...],
        now: float,
        session: Session[S] | None = None,
    ) -> Outcome[S]:
        """The connection is the user's, and is told so by `replies`. Its watchers hear of the first; it hears
        who of its own is there."""
        deliveries = () if user_id in self.users else self._tell_watchers("online", user_id)
        self.users.setdefault(user_id, set()).add(socket)
        for watched in watchlist:
            self.watchers.setdefault(watched, set()).add(socket)
        online = [watched for watched in watchlist if watched in self.users]
        if online:
            replies = (*replies, messages.watchlist_event("online", online))
        if session is None:
            return Outcome(replies=replies, deliveries=deliveries)
        missed = self._missed(session, USER_CHANNEL + user_id, None, now)
        replies = (*replies, *missed.texts)
        return Outcome(replies=replies, deliveries=deliveries, hub_events=missed.hub_events)

    def _tell_watchers(self, what: str, user_id: str) -> tuple[Delivery[S], ...]:
        watchers = self.watchers.get(user_id)
        if not watchers:
            return ()
        return (Delivery(text=messages.watchlist_event(what, (user_id,)), sockets=watchers),)

    def sockets_of(self, user_id: str) -> set[S]:
        """Every connection signed in as this user, or a member under this id in some channel."""
        found = set(self.users.get(user_id, ()))
        for channel in self.channels.values():
            if user_id in channel.members:
                found.update(socket for socket, member in channel.sockets.items() if member == user_id)
        return found

    # Subscriptions --------------------------------------------------------------------------------------

    def subscribe(
        self,
        socket_id: str,
        socket: S,
        name: str,
        kind: ChannelKind,
        member: Member | None,
        now: float,
        session: Session[S] | None = None,
    ) -> Outcome[S]:
        """The socket is subscribed; it must not have been before. `member` is given for presence kinds,
        `session` where what the page missed follows the confirmation."""
        app_id = self.app.id
        deliveries: list[Delivery[S]] = []
        hub_events: list[HubEvent] = []
        channel = self.channels.get(name)
        if channel is None:
            channel = self.channels[name] = Channel(name, kind)
            hub_events.append(Occupied(app_id=app_id, channel=name))
        crowded_out = channel.make_room(member.user_id, self.app.limits.members) if member is not None else ()
        is_new = channel.add(socket, member)
        for user_id in crowded_out:
            text = messages.member_removed(name, user_id)
            deliveries.append(Delivery(text=text, sockets=channel.sockets, excluded=socket, may_wait=True))
            hub_events.append(MemberRemoved(app_id=app_id, channel=name, user_id=user_id))
        if member is not None and is_new:
            text = messages.member_added(name, member.user_id, member.info)
            deliveries.append(Delivery(text=text, sockets=channel.sockets, excluded=socket, may_wait=True))
            hub_events.append(MemberAdded(app_id=app_id, channel=name, user_id=member.user_id))
        hub_events.append(
            Subscribed(
                app_id=app_id,
                channel=name,
                socket_id=socket_id,
                user_id=member.user_id if member else None,
                subscriptions=len(channel.sockets),
            )
        )
        if self.app.subscription_count:
            self.uncounted.add(name)
        replies = [self.confirmation(channel)]
        missed = NOTHING_MISSED
        if session is not None:
            missed = self._missed(session, name, member.user_id if member else None, now)
            replies += missed.texts
            hub_events += missed.hub_events
        if kind.is_cache and not missed.has_last:
            cached = self.last_event(name, now)
            replies.append(cached.text if cached else messages.cache_miss(name))
            if cached is None and not channel.is_missed:
                channel.is_missed = True
                hub_events.append(CacheMissed(app_id=app_id, channel=name))
        return Outcome(replies=tuple(replies), deliveries=tuple(deliveries), hub_events=tuple(hub_events))

    def subscribe_again(self, channel: Channel[S], socket: S) -> Outcome[S]:
        """The socket has subscribed already: it is told so again."""
        return Outcome(replies=(self.confirmation(channel),))

    def confirmation(self, channel: Channel[S]) -> str:
        if channel.kind.has_members:
            return channel.roster.confirmation(channel.name)
        return messages.subscription_succeeded(channel.name)

    def unsubscribe(
        self, socket_id: str, socket: S, name: str, stays_until: float | None = None
    ) -> Outcome[S]:
        """The socket, which was subscribed, is not so any more. `stays_until`: see `Channel.remove`."""
        app_id = self.app.id
        channel = self.channels[name]
        user_id, is_gone = channel.remove(socket, stays_until)
        deliveries: tuple[Delivery[S], ...] = ()
        hub_events: list[HubEvent] = [
            Unsubscribed(
                app_id=app_id,
                channel=name,
                socket_id=socket_id,
                user_id=user_id,
                subscriptions=len(channel.sockets),
            )
        ]
        if user_id is not None and is_gone:
            text = messages.member_removed(name, user_id)
            deliveries = (Delivery(text=text, sockets=channel.sockets, may_wait=True),)
            hub_events.append(MemberRemoved(app_id=app_id, channel=name, user_id=user_id))
        if channel.leaving:
            self.with_leaving.add(name)
        if self.app.subscription_count:
            self.uncounted.add(name)
        if not channel.sockets:
            del self.channels[name]
            for member in channel.leaving:  # nobody is left to tell
                hub_events.append(MemberRemoved(app_id=app_id, channel=name, user_id=member))
            hub_events.append(Vacated(app_id=app_id, channel=name))
        return Outcome(deliveries=deliveries, hub_events=tuple(hub_events))

    def remove_absent(self, now: float) -> Outcome[S]:
        """Members whose time without a connection is over are gone. To be called every second."""
        deliveries: list[Delivery[S]] = []
        hub_events: list[HubEvent] = []
        for name in tuple(self.with_leaving):
            channel = self.channels.get(name)
            leaving = channel.leaving if channel is not None else {}
            if channel is None or not leaving:
                self.with_leaving.discard(name)
                continue
            for user_id in [user_id for user_id, until in leaving.items() if until <= now]:
                channel.remove_member(user_id)
                text = messages.member_removed(name, user_id)
                deliveries.append(Delivery(text=text, sockets=channel.sockets, may_wait=True))
                hub_events.append(MemberRemoved(app_id=self.app.id, channel=name, user_id=user_id))
        return Outcome(deliveries=tuple(deliveries), hub_events=tuple(hub_events))

    def count(self, now: float) -> Outcome[S]:
        """Subscribers of channels that have changed are told how many they are. To be called every second."""
        deliveries: list[Delivery[S]] = []
        hub_events: list[HubEvent] = []
        for name in tuple(self.uncounted):
            channel = self.channels.get(name)
            if channel is None or channel.kind.has_members:
                self.uncounted.discard(name)
                continue
            subscriptions = len(channel.sockets)
            if subscriptions > MANY and now - channel.counted_at < COUNT_INTERVAL:
                continue
            self.uncounted.discard(name)
            channel.counted_at = now
            text = messages.subscription_count(name, subscriptions)
            deliveries.append(Delivery(text=text, sockets=channel.sockets))
            hub_events.append(
                SubscriptionCounted(app_id=self.app.id, channel=name, subscriptions=subscriptions)
            )
        return Outcome(deliveries=tuple(deliveries), hub_events=tuple(hub_events))

    # Events ---------------------------------------------------------------------------------------------

    def publish(self, broadcast: Broadcast, now: float, origin: str) -> Outcome[S]:
        """One delivery for each of the broadcast's channels that somebody listens to, in their order.

        The excepted socket_id counts only while it is connected here. `now` is monotonic seconds.
        """
        excluded = self.socket_of(broadcast.socket_id) if broadcast.socket_id else None
        logs = self.logs.by_name
        deliveries: list[Delivery[S]] = []
        receivers = 0
        for name in broadcast.channels:
            channel = self.channels.get(name)
            keeps_last = is_cache(name) if channel is None else channel.kind.is_cache
            audience: Collection[S]
            if channel is not None:
                audience = channel.sockets
            elif name.startswith(USER_CHANNEL):
                audience = self.users.get(name.removeprefix(USER_CHANNEL), ())
            else:
                audience = ()
            log = logs.get(name) if logs else None
            if not audience and not keeps_last and log is None:
                continue
            text = messages.event(broadcast.name, name, broadcast.data)
            if log is not None:
                self._log(log, text, broadcast.socket_id, now)
            if keeps_last:
                self._keep(name, text, broadcast.data, now)
                if channel is not None:
                    channel.is_missed = False
            if audience:
                delivery = Delivery(text, audience, excluded)
                deliveries.append(delivery)
                receivers += delivery.receivers
        return Outcome((), tuple(deliveries), (published(broadcast, origin, receivers),))

    def pass_on(self, channel: Channel[S], socket: S, socket_id: str, text: str) -> Outcome[S]:
        """A client's event for all other subscribers of the channel."""
        return Outcome(deliveries=(Delivery(text=text, sockets=channel.sockets, excluded=socket),))

    # Pages that come back --------------------------------------------------------------------------------

    def begin_session(
        self, returning: Returning, socket: S, socket_id: str, now: float
    ) -> tuple[Session[S], S | None]:
        """The connection is this page's; the socket that the page had here until now, if that is there."""
        return self.sessions.begin(returning, socket, socket_id, now, self.app.resume_seconds)

    def load(self, session: Session[S]) -> tuple[Ask, ...]:
        """What other nodes are asked about a page that has connected."""
        return ()

    def forget_position(self, session: Session[S], key: str) -> tuple[Ask, ...]:
        """The page has left the channel."""
        session.forget(key)
        return ()

    def end_session(self, session: Session[S], now: float) -> Outcome[S]:
        """The page's connection is gone."""
        self.sessions.end(session, now, self.app.resume_seconds)
        return Outcome()

    def acknowledged(self, session: Session[S], number: int) -> Outcome[S]:
        """The page has everything that was written before the ping with this number."""
        session.answered(number)
        return Outcome()

    def position(self, name: str) -> Position:
        """Of the last event of a channel that a page is subscribed to."""
        log = self.logs.by_name.get(name)
        return 0 if log is None else log.number

    def forget_absent(self, now: float) -> Outcome[S]:
        """Pages that have not come back in time, and events that nobody needs any more, are gone. To be
        called every second."""
        self.sessions.expire(now)
        if self.logs.by_name:
            self.logs.expire(now, self.app.resume_seconds, self._is_listened_to)
        return Outcome()

    def socket_of(self, socket_id: str) -> S | None:
        """The connection with this id, or the present one of the page that had it."""
        pages = self.sessions.by_socket
        session = pages.get(socket_id) if pages else None
        return self.sockets.get(socket_id) if session is None else session.socket

    def _missed(self, session: Session[S], name: str, user_id: str | None, now: float) -> Missed:
        log = self.logs.open(name, now + self.app.resume_seconds)
        self.logs.make_room(len(self.channels) + len(self.users), self._is_listened_to)
        key = position_key(name, user_id)
        position, has_gap = session.past(key, now)
        session.before.pop(key, None)
        if has_gap:
            session.gaps.add(key)
        if position is None:
            session.positions[key] = log.number
            return (
                missed(self.app.id, name, session.socket_id, (), has_gap=True) if has_gap else NOTHING_MISSED
            )
        session.positions[key] = position  # until the client has it all
        events, is_whole = log.after(position)
        own = session.socket_ids
        texts = [event.text for event in events if event.excluded not in own]
        return missed(self.app.id, name, session.socket_id, texts, has_gap=has_gap or not is_whole)

    def _log(self, log: Log, text: str, excluded: str | None, now: float) -> None:
        limits = self.app.limits
        most, size = limits.resume_events, limits.resume_bytes
        self.logs.append(log, text, excluded or "", now, most=most, most_size=size)

    def _is_listened_to(self, name: str) -> bool:
        return name in self.channels or name.removeprefix(USER_CHANNEL) in self.users

    # Cache channels ---------------------------------------------------------------------------------------

    def last_event(self, name: str, now: float) -> Cached | None:
        cached = self.cached.get(name)
        return cached if cached is not None and cached.expires_at > now else None

    def forget_expired(self, now: float) -> None:
        """Forgets last events past their time. Entries are in order of time, so this is quick."""
        while self.cached:
            name = next(iter(self.cached))
            if self.cached[name].expires_at > now:
                return
            del self.cached[name]

    def _keep(self, name: str, text: str, data: str, now: float) -> None:
        limits = self.app.limits
        self.cached.pop(name, None)
        if len(self.cached) >= limits.cached_channels:
            del self.cached[next(iter(self.cached))]
        self.cached[name] = Cached(text=text, data=data, expires_at=now + limits.cache_seconds)


def _take_out(sets: dict[str, set[S]], name: str, socket: S) -> bool:
    """The socket is not in the set of this name any more; whether it was the last, and the set is gone."""
    sockets = sets.get(name)
    if sockets is None:
        return False
    sockets.discard(socket)
    if sockets:
        return False
    del sets[name]
    return True
