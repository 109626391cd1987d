"""SharedHub: a hub whose app has subscribers on other nodes too. As pure as `Hub`: it asks, and is answered.

What holds for a channel is decided in one place, outside, in one order for all nodes; this hub keeps a copy
of it for every channel that has subscribers here. The rules:

- A socket that subscribes to a channel that is not joined yet, or as a user who is not in it through this
  node, waits. It is confirmed by the answer, with the roster of all nodes, and gets every event after that.
- Events come with the tag of the event before: where that is not the last one here, something was missed,
  and the channel has to be asked for anew (`event` answers None). Until then it is not current, and whatever
  comes is part of what the answer will bring.
- The roster is the filter: whatever is told of a member becomes a message only if it changes the roster. So
  each page hears of each change once, whoever repeats it.
- Nobody who has a connection here is believed to have left.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from bridge.sockets.pusher import messages
from bridge.sockets.pusher.app import App
from bridge.sockets.pusher.asks import Ask, Join, Leave, Missed, PassOn, Unwatch, Watch
from bridge.sockets.pusher.channels import USER_CHANNEL, ChannelKind, kind_of
from bridge.sockets.pusher.close_codes import OVER_CAPACITY, UNAUTHORIZED
from bridge.sockets.pusher.hub import Cached, Channel, Hub, Member
from bridge.sockets.pusher.hub_events import (
    Disconnected,
    HubEvent,
    Subscribed,
    SubscriptionRefused,
    Unsubscribed,
)
from bridge.sockets.pusher.outcome import Answered, Close, Delivery, Outcome, S
from bridge.sockets.pusher.resume import Session

PATIENCE = 10.0  # seconds that a subscription waits for its answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A socket that has subscribed and is not confirmed yet. `replies`: of a sign-in, instead."""

    socket_id: str
    member: Member | None
    since: float
    replies: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """An event of the channel: its message's text, its own tag, and the socket_id that does not get it."""

    text: str
    tag: bytes
    excluded: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """The answer to `Join`, and to what was asked anew after a fault: how the channel is, on all nodes.

    users    of this node that are in it now; `full`: those for whom there was no room
    tag      of its last event
    version  of its roster
    roster   user_id → info, None unless presence
    cached   of cache channels: the last event
    missed   events after the one that was the last here, in order; None: they cannot be had any more
    """

    channel: str
    generation: int
    users: Collection[str] = ()
    full: Collection[str] = ()
    tag: bytes = b""
    version: int = 0
    roster: Mapping[str, str | None] | None = None
    cached: Cached | None = None
    missed: Sequence[Message] | None = ()


class SharedChannel(Channel[S]):
    """A channel with subscribers here.

    waiting     sockets that are not confirmed yet
    asked       users here who are in it, or have been asked for
    confirmed   users here who are in it
    everybody   the roster: user_id → info, of all nodes
    is_joined   whether the first answer has come
    is_current  whether what comes next continues what came last
    is_stale    whether the roster holds somebody who seems to have left while nothing could be heard
    """

    __slots__ = (
        "asked",
        "confirmed",
        "everybody",
        "generation",
        "is_current",
        "is_joined",
        "is_stale",
        "tag",
        "version",
        "waiting",
    )

    def __init__(self, name: str, kind: ChannelKind, generation: int) -> None:
        super().__init__(name, kind)
        self.generation = generation
        self.waiting: dict[S, Waiting] = {}
        self.asked: dict[str, str | None] = {}
        self.confirmed: set[str] = set()
        self.everybody: dict[str, str | None] = {}
        self.is_joined = self.is_current = self.is_stale = False
        self.tag = b""
        self.version = 0

    @property
    def connections(self) -> int:
        return len(self.sockets) + len(self.waiting)

    @property
    def is_torn(self) -> bool:
        """Whether it has to be asked for again."""
        return self.is_joined and not self.is_current

    def roster(self) -> str:
        if self._roster is None:
            self._roster = self._encoded(self.everybody.items(), len(self.everybody))
        return self._roster

    def has(self, socket: S) -> bool:
        return socket in self.sockets or socket in self.waiting

    def has_room(self, user_id: str, members: int) -> bool:
        return True  # who asks is told

    def user_of(self, socket: S) -> str | None:
        waiting = self.waiting.get(socket)
        if waiting is None:
            return self.sockets[socket]
        return waiting.member.user_id if waiting.member else None

    def is_here(self, user_id: str) -> bool:
        """Whether the user has a connection here, waiting or not."""
        return user_id in self.members or any(
            waiting.member is not None and waiting.member.user_id == user_id
            for waiting in self.waiting.values()
        )

    def change_roster(self, user_id: str, info: str | None, *, is_in: bool) -> bool:
        """Whether that was news."""
        if is_in == (user_id in self.everybody):
            return False
        if is_in:
            self.everybody[user_id] = info
        else:
            del self.everybody[user_id]
        self._roster = None
        return True


class SharedHub(Hub[S]):
    """The connections of one app on this node, and what of all nodes concerns them.

    personal   the channels of users who are signed in here, by name
    online     users that are watched here → whether they are signed in anywhere
    changed    names of channels whose number of subscribers here has changed
    """

    __slots__ = ("_generation", "changed", "now", "online", "personal")

    def __init__(self, app: App) -> None:
        super().__init__(app)
        self.personal: dict[str, SharedChannel[S]] = {}
        self.online: dict[str, bool] = {}
        self.changed: set[str] = set()
        self._generation = 0
        self.now = 0.0  # of the last call that told it

    def shared(self, name: str) -> SharedChannel[S] | None:
        found = self.personal.get(name) if name.startswith(USER_CHANNEL) else self.channels.get(name)
        return found  # type: ignore[return-value]

    def all_shared(self) -> list[SharedChannel[S]]:
        return [*self.channels.values(), *self.personal.values()]  # type: ignore[list-item]

    def _new(self, name: str, kind: ChannelKind) -> SharedChannel[S]:
        self._generation += 1
        return SharedChannel(name, kind, self._generation)

    # Connections ----------------------------------------------------------------------------------------

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
        grace = 0.0 if code == UNAUTHORIZED else self.app.presence_grace
        happenings: list[HubEvent] = []
        asks: list[Ask] = []
        for name in channels:
            left = self.unsubscribe(socket_id, socket, name, now + grace if grace else None)
            happenings += left.happenings
            asks += left.asks
        unwatched = []
        for watched in watchlist:
            watchers = self.watchers.get(watched, set())
            watchers.discard(socket)
            if not watchers:
                self.watchers.pop(watched, None)
                self.online.pop(watched, None)
                unwatched.append(watched)
        if unwatched:
            asks.append(Unwatch(user_ids=tuple(unwatched)))
        if user_id is not None:
            asks += self._sign_out(socket, user_id)
        del self.sockets[socket_id]
        happenings.append(Disconnected(app_id=self.app.id, socket_id=socket_id, code=code))
        return Outcome(happenings=tuple(happenings), asks=tuple(asks))

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
        """The connection is told so once it gets the user's events: by the answer."""
        self.users.setdefault(user_id, set()).add(socket)
        for watched in watchlist:
            self.watchers.setdefault(watched, set()).add(socket)
        asks: list[Ask] = []
        name = USER_CHANNEL + user_id
        channel = self.personal.get(name)
        if channel is None:
            channel = self.personal[name] = self._new(name, kind_of(""))
            asks.append(Join(channel=name, generation=channel.generation))
        if channel.is_joined:
            channel.sockets[socket] = None
        else:
            channel.waiting[socket] = Waiting(
                socket_id=socket_id, member=None, since=self.now, replies=replies
            )
            replies = ()
        if watchlist:
            asks.append(Watch(user_ids=tuple(watchlist), socket_id=socket_id))
        return Outcome(replies=replies, asks=tuple(asks))

    def _sign_out(self, socket: S, user_id: str) -> list[Ask]:
        name = USER_CHANNEL + user_id
        sockets = self.users.get(user_id, set())
        sockets.discard(socket)
        channel = self.personal[name]
        channel.sockets.pop(socket, None)
        channel.waiting.pop(socket, None)
        if sockets:
            return []
        del self.users[user_id], self.personal[name]
        return [Leave(channel=name, is_last=True)]

    def told_online(self, user_id: str, is_online: bool) -> Answered[S]:
        """Whether a watched user is signed in anywhere; its watchers hear of a change."""
        if user_id not in self.watchers or self.online.get(user_id) is is_online:
            return Answered()
        was_known = user_id in self.online
        self.online[user_id] = is_online
        if not was_known:
            return Answered()
        return Answered(deliveries=self._tell_watchers("online" if is_online else "offline", user_id))

    def answered_watch(self, socket_id: str, user_ids: Sequence[str]) -> Answered[S]:
        """`Watch` is answered: `online` says of all these users whether they are there."""
        socket = self.sockets.get(socket_id)
        online = [user_id for user_id in user_ids if self.online.get(user_id)]
        if socket is None or not online:
            return Answered()
        text = messages.watchlist_event("online", online)
        return Answered(deliveries=(Delivery(text=text, sockets=(socket,)),))

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
        self.now = now
        channel = self.shared(name)
        asks: list[Ask] = []
        is_new = channel is None
        if channel is None:
            channel = self._new(name, kind)
            self.channels[name] = channel
        self.changed.add(name)
        waiting = Waiting(socket_id=socket_id, member=member, since=now)
        user_id = member.user_id if member else None
        if is_new or (user_id is not None and user_id not in channel.asked):
            if member is not None:
                channel.asked[member.user_id] = member.info
            info = member.info if member else None
            asks.append(Join(channel=name, generation=channel.generation, user_id=user_id, info=info))
        if not channel.is_joined or (user_id is not None and user_id not in channel.confirmed):
            channel.waiting[socket] = waiting
            return Outcome(asks=tuple(asks))
        replies, happenings, more = self._enter(channel, socket, waiting)
        return Outcome(replies=replies, happenings=happenings, asks=(*asks, *more))

    def subscribe_again(self, channel: Channel[S], socket: S) -> Outcome[S]:
        return super().subscribe_again(channel, socket) if socket in channel.sockets else Outcome()

    def _enter(
        self, channel: SharedChannel[S], socket: S, waiting: Waiting
    ) -> tuple[tuple[str, ...], tuple[HubEvent, ...], tuple[Ask, ...]]:
        """The socket gets what comes from now on: its replies, what is told, what is asked."""
        if waiting.replies is not None:
            channel.sockets[socket] = None
            return waiting.replies, (), ()
        member = waiting.member
        roster = channel._roster
        channel.add(socket, member)
        channel._roster = roster  # the members of all nodes are as they were
        name = channel.name
        event = Subscribed(
            app_id=self.app.id,
            channel=name,
            socket_id=waiting.socket_id,
            user_id=member.user_id if member else None,
            subscriptions=len(channel.sockets),
        )
        replies = (self.confirmation(channel),)
        if not channel.kind.is_cache:
            return replies, (event,), ()
        cached = self.last_event(name, self.now)
        if cached is not None:
            return (*replies, cached.text), (event,), ()
        return (*replies, messages.cache_miss(name)), (event,), (Missed(channel=name),)

    def unsubscribe(
        self, socket_id: str, socket: S, name: str, stays_until: float | None = None
    ) -> Outcome[S]:
        """Members who stay for a while keep the channel joined, also when nobody else is in it here."""
        channel = self.shared(name)
        assert channel is not None  # noqa: S101 - the connection knows its channels
        happenings: tuple[HubEvent, ...] = ()
        waiting = channel.waiting.pop(socket, None)
        if waiting is not None:
            user_id = waiting.member.user_id if waiting.member else None
        else:
            roster = channel._roster
            user_id, _ = channel.remove(socket, stays_until)
            channel._roster = roster
            happenings = (
                Unsubscribed(
                    app_id=self.app.id,
                    channel=name,
                    socket_id=socket_id,
                    user_id=user_id,
                    subscriptions=len(channel.sockets),
                ),
            )
        self.changed.add(name)
        if channel.leaving:
            self.with_leaving.add(name)
        gone = user_id if user_id is not None and not channel.is_here(user_id) else None
        return Outcome(happenings=happenings, asks=self._leave(channel, gone))

    def _leave(self, channel: SharedChannel[S], gone: str | None) -> tuple[Ask, ...]:
        """What is asked where a user, or everybody, is not in the channel any more."""
        if gone is not None:
            channel.asked.pop(gone, None)
            channel.confirmed.discard(gone)
        is_last = not channel.sockets and not channel.waiting and not channel.leaving
        if is_last:
            del self.channels[channel.name]
            self.changed.discard(channel.name)
        if not is_last and gone is None:
            return ()
        return (Leave(channel=channel.name, user_id=gone, is_last=is_last),)

    def remove_absent(self, now: float) -> Outcome[S]:
        asks: list[Ask] = []
        for name in tuple(self.with_leaving):
            channel = self.shared(name)
            if channel is None or not channel.leaving:
                self.with_leaving.discard(name)
                continue
            for user_id in [user_id for user_id, until in channel.leaving.items() if until <= now]:
                roster = channel._roster
                channel.remove_member(user_id)
                channel._roster = roster
                gone = None if channel.is_here(user_id) else user_id
                asks += self._leave(channel, gone)
        return Outcome(asks=tuple(asks))

    def give_up(self, now: float) -> Answered[S]:
        """Subscriptions that have waited for too long are refused, their connections told to come back."""
        self.now = now
        deliveries: list[Delivery[S]] = []
        closes: list[tuple[S, Close]] = []
        for channel in self.all_shared():
            for socket, waiting in channel.waiting.items():
                if now - waiting.since < PATIENCE:
                    continue
                if waiting.replies is None:
                    text = messages.subscription_error(
                        channel.name, "ServiceUnavailable", "the server cannot reach its peers now", 503
                    )
                    deliveries.append(Delivery(text=text, sockets=(socket,)))
                closes.append((socket, Close(code=OVER_CAPACITY, reason="the server cannot reach its peers")))
        return Answered(deliveries=tuple(deliveries), closes=tuple(closes))

    # Answers --------------------------------------------------------------------------------------------

    def joined(self, answer: Joined, now: float) -> Answered[S]:
        """The channel is as the answer says. Sockets that waited for it are confirmed."""
        self.now = now
        channel = self.shared(answer.channel)
        if channel is None or channel.generation != answer.generation:
            return Answered()
        deliveries: list[Delivery[S]] = []
        if channel.kind.is_cache and (not channel.is_joined or not channel.is_current):
            self._recall(answer.channel, answer.cached)
        if not channel.is_joined:
            channel.everybody = dict(answer.roster or {})
            channel._roster = None
            channel.version, channel.tag = answer.version, answer.tag
            channel.is_joined = channel.is_current = True
        elif not channel.is_current:
            deliveries += self._repair(channel, answer)
        else:
            for user_id in answer.users:  # mostly told already, by what came before the answer
                if user_id in channel.asked:
                    deliveries += self._came(channel, user_id, channel.asked[user_id])
        channel.confirmed.update(user for user in answer.users if user in channel.asked)
        return self._let_in(channel, answer.full, deliveries)

    def _let_in(
        self, channel: SharedChannel[S], full: Collection[str], deliveries: list[Delivery[S]]
    ) -> Answered[S]:
        happenings: list[HubEvent] = []
        asks: list[Ask] = []
        dropped: list[tuple[S, str]] = []
        for socket, waiting in tuple(channel.waiting.items()):
            user_id = waiting.member.user_id if waiting.member else None
            if user_id is not None and user_id in full:
                problem = "the channel has too many members"
                text = messages.subscription_error(channel.name, "LimitReached", problem, 403)
                deliveries.append(Delivery(text=text, sockets=(socket,)))
                happenings.append(
                    SubscriptionRefused(
                        app_id=self.app.id,
                        channel=channel.name,
                        socket_id=waiting.socket_id,
                        status=403,
                        reason=problem,
                    )
                )
                left = self.unsubscribe(waiting.socket_id, socket, channel.name)
                asks += left.asks
                dropped.append((socket, channel.name))
            elif user_id is None or user_id in channel.confirmed:
                del channel.waiting[socket]
                replies, told, more = self._enter(channel, socket, waiting)
                deliveries += [Delivery(text=text, sockets=(socket,)) for text in replies]
                happenings += told
                asks += more
        return Answered(
            deliveries=tuple(deliveries),
            happenings=tuple(happenings),
            asks=tuple(asks),
            dropped=tuple(dropped),
        )

    def _repair(self, channel: SharedChannel[S], answer: Joined) -> list[Delivery[S]]:
        """What was missed while nothing could be heard. Who seems to have left is kept for now: after a fault
        of the bus itself, others may only have to be heard of again."""
        deliveries: list[Delivery[S]] = []
        if answer.missed is None:
            deliveries.append(
                Delivery(
                    text=messages.gap(channel.name, is_encrypted=channel.kind.is_encrypted),
                    sockets=self._audience(channel),
                )
            )
        for message in answer.missed or ():
            deliveries += self._deliver(channel, message)
        channel.version, channel.tag, channel.is_current = answer.version, answer.tag, True
        if answer.roster is not None:
            for user_id, info in answer.roster.items():
                deliveries += self._came(channel, user_id, info)
            channel.is_stale = not channel.everybody.keys() <= answer.roster.keys()
        return deliveries

    def settled(self, name: str, generation: int, roster: Mapping[str, str | None]) -> Answered[S]:
        """A while after a fault: who is not in the roster now has left."""
        channel = self.shared(name)
        if channel is None or channel.generation != generation or not channel.is_current:
            return Answered()
        channel.is_stale = False
        deliveries: list[Delivery[S]] = []
        for user_id in tuple(channel.everybody):
            if user_id not in roster:
                deliveries += self._went(channel, user_id)
        for user_id, info in roster.items():
            deliveries += self._came(channel, user_id, info)
        return Answered(deliveries=tuple(deliveries))

    def event(
        self, name: str, previous: bytes, message: Message, now: float, is_new: bool = True
    ) -> Answered[S] | None:
        """The next event of the channel, or one that is known already. None: others are missing before it."""
        channel = self.shared(name)
        if channel is None or not channel.is_current:
            return Answered()
        if previous != channel.tag:
            channel.is_current = False
            return None
        self.now = now
        channel.tag = message.tag
        return Answered(deliveries=tuple(self._deliver(channel, message) if is_new else ()))

    def passed_on(self, name: str, text: str, excluded: str) -> Answered[S]:
        """A client's event."""
        channel = self.shared(name)
        if channel is None or not channel.sockets:
            return Answered()
        sender = self.sockets.get(excluded)
        return Answered(deliveries=(Delivery(text=text, sockets=channel.sockets, excluded=sender),))

    def came(self, name: str, version: int, user_id: str, info: str | None) -> Answered[S] | None:
        """A member of the channel is new. None: changes are missing before it."""
        channel = self.shared(name)
        if channel is None or not self._follows(channel, version):
            return (
                None if channel is not None and channel.is_joined and not channel.is_current else Answered()
            )
        return Answered(deliveries=tuple(self._came(channel, user_id, info)))

    def leaves(self, name: str, version: int) -> bool | None:
        """A member is said to have left, which is to be confirmed by `went`; None as for `came`."""
        channel = self.shared(name)
        if channel is None or not self._follows(channel, version):
            return None if channel is not None and channel.is_torn else False
        return True

    def went(self, name: str, generation: int, user_id: str) -> Answered[S]:
        """A member of the channel is gone."""
        channel = self.shared(name)
        if channel is None or channel.generation != generation or not channel.is_current:
            return Answered()
        return Answered(deliveries=tuple(self._went(channel, user_id)))

    def counted(self, name: str, subscriptions: int) -> Answered[S]:
        """So many connections are subscribed, on all nodes."""
        channel = self.shared(name)
        if channel is None or not channel.sockets or channel.kind.has_members:
            return Answered()
        text = messages.subscription_count(name, subscriptions)
        return Answered(deliveries=(Delivery(text=text, sockets=channel.sockets),))

    # The bus ----------------------------------------------------------------------------------------------

    def lost(self) -> None:
        """Nothing is heard any more: all has to be asked for anew, by `joined` for each channel."""
        for channel in self.all_shared():
            channel.is_current = False

    def pass_on(self, channel: Channel[S], socket: S, socket_id: str, text: str) -> Outcome[S]:
        return Outcome(asks=(PassOn(channel=channel.name, text=text, socket_id=socket_id),))

    def deliver_here(self, name: str, message: Message) -> Answered[S]:
        """An event that cannot be told to other nodes now, for those who are here."""
        channel = self.shared(name)
        return Answered() if channel is None else Answered(deliveries=tuple(self._deliver(channel, message)))

    # Parts ------------------------------------------------------------------------------------------------

    def _follows(self, channel: SharedChannel[S], version: int) -> bool:
        if not channel.is_current or version <= channel.version:
            return False
        if version != channel.version + 1:
            channel.is_current = False
            return False
        channel.version = version
        return True

    def _came(self, channel: SharedChannel[S], user_id: str, info: str | None) -> list[Delivery[S]]:
        if not channel.change_roster(user_id, info, is_in=True) or not channel.sockets:
            return []
        text = messages.member_added(channel.name, user_id, info)
        return [Delivery(text=text, sockets=channel.sockets, may_wait=True)]

    def _went(self, channel: SharedChannel[S], user_id: str) -> list[Delivery[S]]:
        if channel.is_here(user_id) or not channel.change_roster(user_id, None, is_in=False):
            return []
        text = messages.member_removed(channel.name, user_id)
        return [Delivery(text=text, sockets=channel.sockets, may_wait=True)]

    def _deliver(self, channel: SharedChannel[S], message: Message) -> list[Delivery[S]]:
        if channel.kind.is_cache:
            self._keep(channel.name, message.text, "", self.now)
        audience = self._audience(channel)
        if not audience:
            return []
        excluded = self.sockets.get(message.excluded) if message.excluded else None
        return [Delivery(text=message.text, sockets=audience, excluded=excluded)]

    def _audience(self, channel: SharedChannel[S]) -> Collection[S]:
        return channel.sockets

    def _recall(self, name: str, cached: Cached | None) -> None:
        self.cached.pop(name, None)
        if cached is not None:
            self.cached[name] = cached
