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

from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence

from bridge.sockets.pusher import messages
from bridge.sockets.pusher.app import App
from bridge.sockets.pusher.asks import Ask, Join, Leave, PassOn, Unwatch, Watch
from bridge.sockets.pusher.asks import Missed as CacheMiss
from bridge.sockets.pusher.channels import USER_CHANNEL, ChannelKind, kind_of
from bridge.sockets.pusher.close_codes import OVER_CAPACITY, UNAUTHORIZED
from bridge.sockets.pusher.hub import NOTHING_MISSED, Cached, Channel, Hub, Member, Missed
from bridge.sockets.pusher.hub_events import (
    Disconnected,
    HubEvent,
    Subscribed,
    SubscriptionRefused,
    Unsubscribed,
)
from bridge.sockets.pusher.outcome import Answered, Close, Delivery, Outcome, S
from bridge.sockets.pusher.resume import Position, Session
from bridge.sockets.pusher.shared_channel import Joined, Message, SharedChannel, Waiting
from bridge.sockets.pusher.shared_sessions import SharedSessions

PATIENCE = 10.0  # seconds that a subscription waits for its answer


class SharedHub(Hub[S]):
    """The connections of one app on this node, and what of all nodes concerns them.

    personal   the channels of users who are signed in here, by name
    online     users that are watched here → whether they are signed in anywhere
    changed    names of channels whose number of subscribers here has changed, and is not told by a `Join`
    """

    __slots__ = ("_generation", "_waiting", "changed", "now", "online", "personal")

    sessions: SharedSessions[S]

    def __init__(self, app: App) -> None:
        super().__init__(app)
        self.sessions = SharedSessions(app.id)
        self.personal: dict[str, SharedChannel[S]] = {}
        self.online: dict[str, bool] = {}
        self.changed: set[str] = set()
        self._generation = 0
        self._waiting: deque[tuple[SharedChannel[S], S, Waiting]] = (
            deque()
        )  # the oldest first; or they did wait
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
        hub_events: list[HubEvent] = []
        asks: list[Ask] = []
        for name in channels:
            left = self.unsubscribe(socket_id, socket, name, now + grace if grace else None)
            hub_events += left.hub_events
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
        hub_events.append(Disconnected(app_id=self.app.id, socket_id=socket_id, code=code))
        return Outcome(hub_events=tuple(hub_events), asks=tuple(asks))

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
        let_in: Answered[S] = Answered()
        if channel.is_joined and session is None:
            channel.sockets[socket] = None
        else:
            waiting = Waiting(socket_id=socket_id, member=None, since=now, replies=replies, session=session)
            self._wait(channel, socket, waiting)
            replies = ()
            let_in = self._let_in(channel)
        if watchlist:
            asks.append(Watch(user_ids=tuple(watchlist), socket_id=socket_id))
        return Outcome(
            replies=replies,
            deliveries=let_in.deliveries,
            hub_events=let_in.hub_events,
            asks=(*asks, *let_in.asks),
        )

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

    def sockets_of(self, user_id: str) -> set[S]:
        found = super().sockets_of(user_id)
        for channel in self.channels.values():
            if user_id in channel.asked:  # type: ignore[attr-defined]
                waiting = channel.waiting  # type: ignore[attr-defined]
                found.update(socket for socket in waiting if channel.user_of(socket) == user_id)
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
        self.now = now
        channel = self.shared(name)
        asks: list[Ask] = []
        is_new = channel is None
        if channel is None:
            channel = self._new(name, kind)
            self.channels[name] = channel
        waiting = Waiting(socket_id=socket_id, member=member, since=now, session=session)
        user_id = member.user_id if member else None
        if is_new or (user_id is not None and user_id not in channel.asked):
            if member is not None:
                channel.asked[member.user_id] = member.info
            info = member.info if member else None
            asks.append(Join(channel=name, generation=channel.generation, user_id=user_id, info=info))
        if not asks or (self.app.subscription_count and not kind.has_members):
            self.changed.add(name)  # else `Join` says how many there are, and nobody else is told
        if not channel.is_joined or (user_id is not None and user_id not in channel.confirmed):
            self._wait(channel, socket, waiting)
            return Outcome(asks=tuple(asks))
        if session is not None:
            self._wait(channel, socket, waiting)
            let_in = self._let_in(channel)
            return Outcome(
                deliveries=let_in.deliveries, hub_events=let_in.hub_events, asks=(*asks, *let_in.asks)
            )
        replies, hub_events, more = self._enter(channel, socket, waiting)
        return Outcome(replies=replies, hub_events=hub_events, asks=(*asks, *more))

    def subscribe_again(self, channel: Channel[S], socket: S) -> Outcome[S]:
        return super().subscribe_again(channel, socket) if socket in channel.sockets else Outcome()

    def _enter(
        self, channel: SharedChannel[S], socket: S, waiting: Waiting, missed: Missed = NOTHING_MISSED
    ) -> tuple[tuple[str, ...], tuple[HubEvent, ...], tuple[Ask, ...]]:
        """The socket gets what comes from now on: its replies, what is told, what is asked."""
        if waiting.replies is not None:
            channel.sockets[socket] = None
            return (*waiting.replies, *missed.texts), missed.hub_events, ()
        member = waiting.member
        channel.add(socket, member)
        name = channel.name
        event = Subscribed(
            app_id=self.app.id,
            channel=name,
            socket_id=waiting.socket_id,
            user_id=member.user_id if member else None,
            subscriptions=len(channel.sockets),
        )
        replies = (self.confirmation(channel), *missed.texts)
        told = (event, *missed.hub_events)
        if not channel.kind.is_cache or missed.has_last:
            return replies, told, ()
        cached = self.last_event(name, self.now)
        if cached is not None:
            return (*replies, cached.text), told, ()
        return (*replies, messages.cache_miss(name)), told, (CacheMiss(channel=name),)

    def unsubscribe(
        self, socket_id: str, socket: S, name: str, stays_until: float | None = None
    ) -> Outcome[S]:
        """Members who stay for a while keep the channel joined, also when nobody else is in it here."""
        channel = self.shared(name)
        assert channel is not None  # noqa: S101 - the connection knows its channels
        hub_events: tuple[HubEvent, ...] = ()
        waiting = channel.waiting.pop(socket, None)
        if waiting is not None:
            user_id = waiting.member.user_id if waiting.member else None
        else:
            user_id, _ = channel.remove(socket, stays_until)
            hub_events = (
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
        return Outcome(hub_events=hub_events, asks=self._leave(channel, gone))

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
                channel.remove_member(user_id)
                gone = None if channel.is_here(user_id) else user_id
                asks += self._leave(channel, gone)
        return Outcome(asks=tuple(asks))

    def _wait(self, channel: SharedChannel[S], socket: S, waiting: Waiting) -> None:
        channel.waiting[socket] = waiting
        self._waiting.append((channel, socket, waiting))

    def give_up(self, now: float) -> Answered[S]:
        """Subscriptions that have waited for too long are refused, their connections told to come back."""
        self.now = now
        deliveries: list[Delivery[S]] = []
        closes: list[tuple[S, Close]] = []
        while self._waiting:
            channel, socket, waiting = self._waiting[0]
            is_over = channel.waiting.get(socket) is not waiting
            if not is_over and now - waiting.since < PATIENCE:
                break
            self._waiting.popleft()
            if is_over:
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
            channel.take_roster(answer.roster or {})
            channel.version, channel.tag = answer.version, answer.tag
            channel.is_joined = channel.is_current = True
        elif not channel.is_current:
            deliveries += self._repair(channel, answer)
        else:
            for user_id in answer.users:  # mostly told already, by what came before the answer
                if user_id in channel.asked:
                    deliveries += channel.member_came(user_id, channel.asked[user_id])
        channel.confirmed.update(user for user in answer.users if user in channel.asked)
        return self._let_in(channel, answer.full, deliveries)

    def _let_in(
        self, channel: SharedChannel[S], full: Collection[str] = (), before: Sequence[Delivery[S]] = ()
    ) -> Answered[S]:
        """Who waits and need not any more is confirmed, and gets what it missed. What is told `before` is for
        those who are in the channel already."""
        if not channel.is_joined:
            return Answered()
        deliveries = list(before)
        if channel.waiting:
            deliveries = [delivery._replace(sockets=list(delivery.sockets)) for delivery in before]
        hub_events: list[HubEvent] = []
        asks: list[Ask] = []
        dropped: list[tuple[S, str]] = []
        for socket, waiting in tuple(channel.waiting.items()):
            user_id = waiting.member.user_id if waiting.member else None
            if user_id is not None and user_id in full:
                left = self._refuse(channel, socket, "LimitReached", 403, "the channel has too many members")
                deliveries += left.deliveries
                hub_events += left.hub_events
                asks += left.asks
                dropped += left.dropped
            elif user_id is None or user_id in channel.confirmed:
                missed = NOTHING_MISSED
                if waiting.session is not None:
                    found, more = self.sessions.past(channel, waiting, waiting.session, self.now)
                    asks += more
                    if found is None:
                        continue
                    missed = found
                del channel.waiting[socket]
                replies, told, more = self._enter(channel, socket, waiting, missed)
                deliveries += [Delivery(text=text, sockets=(socket,)) for text in replies]
                hub_events += told
                asks += more
        return Answered(
            deliveries=tuple(deliveries),
            hub_events=tuple(hub_events),
            asks=tuple(asks),
            dropped=tuple(dropped),
        )

    def _refuse(
        self, channel: SharedChannel[S], socket: S, kind: str, status: int, problem: str
    ) -> Answered[S]:
        """Who waits for the channel is not let in."""
        socket_id = channel.waiting[socket].socket_id
        event = SubscriptionRefused(
            app_id=self.app.id, channel=channel.name, socket_id=socket_id, status=status, reason=problem
        )
        left = self.unsubscribe(socket_id, socket, channel.name)
        text = messages.subscription_error(channel.name, kind, problem, status)
        return Answered(
            deliveries=(Delivery(text=text, sockets=(socket,)),),
            hub_events=(event, *left.hub_events),
            asks=left.asks,
            dropped=((socket, channel.name),),
        )

    def refused(self, name: str, users: Collection[str]) -> Answered[S]:
        """Redis cannot register the channel, or these users in it. Who waits for that is refused; who signs
        in goes on waiting, for there is no such answer to that."""
        channel = self.shared(name)
        if channel is None:
            return Answered()
        problem = "Redis refuses the channel: see bridge's log"
        answers = [
            self._refuse(channel, socket, "ServiceUnavailable", 503, problem)
            for socket, waiting in tuple(channel.waiting.items())
            if waiting.replies is None and (waiting.member.user_id in users if waiting.member else not users)
        ]
        return Answered(
            deliveries=tuple(delivery for answer in answers for delivery in answer.deliveries),
            hub_events=tuple(event for answer in answers for event in answer.hub_events),
            asks=tuple(ask for answer in answers for ask in answer.asks),
            dropped=tuple(one for answer in answers for one in answer.dropped),
        )

    # Pages that come back ---------------------------------------------------------------------------------

    def load(self, session: Session[S]) -> tuple[Ask, ...]:
        return self.sessions.load(session)

    def loaded(
        self,
        session_id: str,
        socket_id: str,
        earlier: Sequence[str],
        positions: Mapping[str, bytes] | None,
        gaps: Collection[str],
        now: float,
    ) -> Answered[S]:
        """The answer to `Load`. `positions` is None where the page is not known, `gaps` are keys of channels
        in which it was told of a gap and has not acknowledged that."""
        session = self.sessions.loaded(session_id, socket_id, earlier, positions, gaps)
        if session is None:
            return Answered()
        self.now = now
        answers = [
            self._let_in(channel) for channel in self.all_shared() if session.socket in channel.waiting
        ]
        return Answered(
            deliveries=tuple(delivery for answer in answers for delivery in answer.deliveries),
            hub_events=tuple(event for answer in answers for event in answer.hub_events),
            asks=tuple(ask for answer in answers for ask in answer.asks),
        )

    def read(
        self, name: str, generation: int, socket_id: str, events: Sequence[Message], has_gap: bool, now: float
    ) -> Answered[S]:
        """The answer to `Read`: the events up to the last that came here, `has_gap`: perhaps not all."""
        self.now = now
        found = self._asked_for(name, generation, socket_id)
        if found is None:
            return Answered()
        channel, socket, waiting, session = found
        waiting.is_reading = False
        if session.is_finished or not channel.is_current:
            return Answered()  # the page asks again elsewhere; or it is asked for when the channel is current
        del channel.waiting[socket]
        has_gap = has_gap or waiting.has_gap
        missed, kept = self.sessions.resumed(channel, waiting, session, events, has_gap=has_gap)
        replies, told, more = self._enter(channel, socket, waiting, missed)
        deliveries = tuple(Delivery(text=text, sockets=(socket,)) for text in replies)
        return Answered(deliveries=deliveries, hub_events=told, asks=(*kept, *more))

    def kept(self, name: str, generation: int, socket_id: str, now: float, *, is_kept: bool) -> Answered[S]:
        """The answer to a `Keep` that is awaited. Not kept: there is no record of the page; the whole of it
        makes a new one, and is awaited too."""
        self.now = now
        found = self._asked_for(name, generation, socket_id)
        if found is None:
            return Answered()
        channel, _, waiting, session = found
        if not is_kept:
            return Answered(asks=self.sessions.keep_all(session, awaited=(name, generation)))
        waiting.is_reading, waiting.is_kept = False, True
        return self._let_in(channel)

    def _asked_for(
        self, name: str, generation: int, socket_id: str
    ) -> tuple[SharedChannel[S], S, Waiting, Session[S]] | None:
        """Who still waits for the answer to a `Read` or a `Keep`; None where it comes too late."""
        channel, socket = self.shared(name), self.sockets.get(socket_id)
        if channel is None or channel.generation != generation or socket is None:
            return None
        waiting = channel.waiting.get(socket)
        if waiting is None or waiting.session is None or not waiting.is_reading:
            return None
        return channel, socket, waiting, waiting.session

    def position(self, name: str) -> Position:
        channel = self.shared(name)
        return b"" if channel is None else channel.tag

    def acknowledged(self, session: Session[S], number: int) -> Outcome[S]:
        return Outcome(asks=self.sessions.acknowledged(session, number))

    def forget_position(self, session: Session[S], key: str) -> tuple[Ask, ...]:
        return self.sessions.forget(session, key)

    def end_session(self, session: Session[S], now: float) -> Outcome[S]:
        return Outcome(asks=self.sessions.leave(session))

    def forget_absent(self, now: float) -> Outcome[S]:
        return Outcome(asks=self.sessions.refresh(now, self.app.resume_seconds))

    # Repair -----------------------------------------------------------------------------------------------

    def _repair(self, channel: SharedChannel[S], answer: Joined) -> list[Delivery[S]]:
        """What was missed while nothing could be heard. Who seems to have left is kept for now: after a fault
        of the bus itself, others may only have to be heard of again."""
        deliveries: list[Delivery[S]] = []
        if answer.has_gap:
            deliveries.append(
                Delivery(
                    text=messages.gap(channel.name, is_encrypted=channel.kind.is_encrypted),
                    sockets=channel.sockets,
                )
            )
        for message in answer.missed:
            deliveries += self._deliver(channel, message)
        channel.version, channel.tag, channel.is_current = answer.version, answer.tag, True
        if answer.roster is not None:
            for user_id, info in answer.roster.items():
                deliveries += channel.member_came(user_id, info)
            channel.is_stale = not channel.members_on_all_nodes.keys() <= answer.roster.keys()
        return deliveries

    def settled(self, name: str, generation: int, roster: Mapping[str, str | None]) -> Answered[S]:
        """A while after a fault: who is not in the roster now has left."""
        channel = self.shared(name)
        if channel is None or channel.generation != generation or not channel.is_current:
            return Answered()
        channel.is_stale = False
        deliveries: list[Delivery[S]] = []
        for user_id in tuple(channel.members_on_all_nodes):
            if user_id not in roster:
                deliveries += channel.member_went(user_id)
        for user_id, info in roster.items():
            deliveries += channel.member_came(user_id, info)
        return Answered(deliveries=tuple(deliveries))

    def event(
        self, name: str, previous: bytes, message: Message, now: float, is_new: Callable[[bytes], bool]
    ) -> tuple[Delivery[S], ...] | None:
        """The next event of the channel. None: others are missing before it.

        `is_new` is asked whether its tag is, unless the event is part of what an answer will bring."""
        channel = self.shared(name)
        if channel is None or not channel.is_current:
            return ()
        if previous != channel.tag:
            channel.is_current = False
            return None
        self.now = now
        channel.tag = message.tag
        return self._deliver(channel, message) if is_new(message.tag) else ()

    def passed_on(self, name: str, text: str, excluded: str) -> Answered[S]:
        """A client's event."""
        channel = self.shared(name)
        if channel is None or not channel.sockets:
            return Answered()
        sender = self.socket_of(excluded)
        return Answered(deliveries=(Delivery(text=text, sockets=channel.sockets, excluded=sender),))

    def came(self, name: str, version: int, user_id: str, info: str | None) -> Answered[S] | None:
        """A member of the channel is new. None: changes are missing before it."""
        channel = self.shared(name)
        if channel is None or not channel.follows(version):
            return (
                None if channel is not None and channel.is_joined and not channel.is_current else Answered()
            )
        return Answered(deliveries=tuple(channel.member_came(user_id, info)))

    def leaves(self, name: str, version: int) -> bool | None:
        """A member is said to have left, which is to be confirmed by `went`; None as for `came`."""
        channel = self.shared(name)
        if channel is None or not channel.follows(version):
            return None if channel is not None and channel.needs_resync else False
        return True

    def went(self, name: str, generation: int, user_id: str) -> Answered[S]:
        """A member of the channel is gone."""
        channel = self.shared(name)
        if channel is None or channel.generation != generation or not channel.is_current:
            return Answered()
        return Answered(deliveries=tuple(channel.member_went(user_id)))

    def counted(self, name: str, subscriptions: int) -> Answered[S]:
        """So many connections are subscribed, on all nodes."""
        channel = self.shared(name)
        if channel is None or not channel.sockets or channel.kind.has_members:
            return Answered()
        channel.count = subscriptions
        text = messages.subscription_count(name, subscriptions)
        return Answered(deliveries=(Delivery(text=text, sockets=channel.sockets),))

    # The bus ----------------------------------------------------------------------------------------------

    def lost(self) -> None:
        """Nothing is heard any more: all has to be asked for anew, by `joined` for each channel."""
        for channel in self.all_shared():
            channel.is_current = False
            for waiting in channel.waiting.values():
                waiting.is_reading = waiting.is_kept = False

    def pass_on(self, channel: Channel[S], socket: S, socket_id: str, text: str) -> Outcome[S]:
        return Outcome(asks=(PassOn(channel=channel.name, text=text, socket_id=socket_id),))

    def deliver_here(self, name: str, message: Message) -> Answered[S]:
        """An event that cannot be told to other nodes now, for those who are here."""
        channel = self.shared(name)
        return Answered() if channel is None else Answered(self._deliver(channel, message))

    # Parts ------------------------------------------------------------------------------------------------

    def _deliver(self, channel: SharedChannel[S], message: Message) -> tuple[Delivery[S], ...]:
        if channel.kind.is_cache:
            self._keep(channel.name, message.text, "", self.now)
        if not channel.sockets:
            return ()
        excluded = self.socket_of(message.excluded) if message.excluded else None
        return (Delivery(message.text, channel.sockets, excluded),)

    def _recall(self, name: str, cached: Cached | None) -> None:
        self.cached.pop(name, None)
        if cached is not None:
            self.cached[name] = cached
