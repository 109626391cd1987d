"""Connection: the protocol state of one client. `receive` takes a message and says what shall happen."""

from __future__ import annotations

from typing import Any, Generic, assert_never

from bridge.errors import ProtocolError
from bridge.sockets.pusher import messages, signatures
from bridge.sockets.pusher.asks import Ask
from bridge.sockets.pusher.channels import is_valid, kind_of
from bridge.sockets.pusher.close_codes import (
    CLIENT_EVENT_REFUSED,
    MALFORMED,
    OVER_CAPACITY,
    PONG_TIMEOUT,
    UNAUTHORIZED,
    WATCHLIST_CUT,
)
from bridge.sockets.pusher.hub import Hub, Member
from bridge.sockets.pusher.hub_events import ClientEventSent, MessageRefused, SignedIn, SubscriptionRefused
from bridge.sockets.pusher.messages import (
    ClientEvent,
    Ping,
    Pong,
    Signin,
    Subscribe,
    Unsubscribe,
)
from bridge.sockets.pusher.outcome import Close, Outcome, S
from bridge.sockets.pusher.resume import Returning, Session, channel_of, position_key

_NOTHING: Outcome[Any] = Outcome()
_NEVER: dict[str, float] = {}  # of most connections, never changed
_PONG: Outcome[Any] = Outcome(replies=(messages.PONG,))
# Both kinds: Pusher's SDK for iOS never answers the message, its WebSocket library always answers the frame.
# A browser answers the frame for a page that it keeps out of sight (back/forward cache), the page does not.
_PING: Outcome[Any] = Outcome(replies=(messages.PING,), ping=True)

PING_SPREAD = 0.3
"""Part of the ping interval by which pings differ: those who came together are not pinged together."""


class Connection(Generic[S]):
    """One client of one app.

    channels   names of its subscriptions, in order; the hub holds the other half
    user       set once the client has signed in
    watchlist  users whose coming and going it is told; the hub holds the other half
    seen       when anything last came from it; monotonic seconds, like every `now` here
    answers    whether it answers `pusher:ping`: then the answer to a ping frame is no sign of life
    session    the page that it is one of the connections of, where the page resumes
    jitter     from 0 to 1: how much sooner than others it is pinged the next time
    """

    __slots__ = (
        "_asked",
        "_calm_at",
        "_events",
        "_idle_at",
        "_pinged_at",
        "_second",
        "_session",
        "_since",
        "answers",
        "channels",
        "hub",
        "jitter",
        "seen",
        "socket",
        "socket_id",
        "user",
        "watchlist",
    )

    def __init__(
        self,
        hub: Hub[S],
        socket: S,
        socket_id: str,
        now: float,
        jitter: float = 0.0,
        *,
        answers: bool = False,
    ) -> None:
        self.hub = hub
        self.socket = socket
        self.socket_id = socket_id
        self.channels: tuple[str, ...] = ()
        self.user: Member | None = None
        self.watchlist: tuple[str, ...] = ()
        self._session: Session[S] | None = None
        self._since: dict[str, float] = _NEVER  # presence channel, or "" for the sign-in → from when on
        self.seen = now
        self.jitter = jitter
        self.answers = answers
        self._pinged_at: float | None = None  # and nothing has come since
        # `pusher:ping`s that the page is to answer: the numbers of `next_ping`, 0 for any other
        self._asked: tuple[int, ...] = ()
        self._idle_at = 0.0  # when the messages so far would be used up at the allowed rate
        self._calm_at = 0.0  # when its changes of subscriptions would be, likewise
        self._second = 0.0  # the second in which client events are being counted
        self._events = 0

    def open(self) -> Outcome[S]:
        """Connects the client and tells it so; the first call."""
        opened = self.hub.connect(self.socket_id, self.socket)
        session = self._session
        if session is None or not (asks := self.hub.load(session)):
            return opened
        return opened._replace(asks=asks)

    @property
    def session(self) -> Session[S] | None:
        """None also when another connection has taken it."""
        session = self._session
        return session if session is not None and session.socket is self.socket else None

    def begin_session(self, returning: Returning, now: float) -> S | None:
        """The client says which page it is, before any message; the socket that the page had here until now,
        if it is still there."""
        self._session, had = self.hub.begin_session(returning, self.socket, self.socket_id, now)
        return had

    def acknowledged(self, number: int, now: float) -> Outcome[S]:
        """Notes that the ping frame with this number was answered."""
        self.ponged(now)
        if self._session is None:
            return _NOTHING
        if (session := self.session) is None:
            self.hub.sessions.is_alive(self._session, self.socket_id)
            return _NOTHING
        # one that went out as a message is answered by a message
        return _NOTHING if number in self._asked else self.hub.acknowledged(session, number)

    def next_ping(self, *, is_last: bool = False) -> int | None:
        """The number of the ping that is to be written now, if the page has got something; see `Session`."""
        session = self.session
        if session is None:
            return None
        positions = {key: self.hub.position(channel_of(key)) for key in session.positions}
        return session.next_ping(positions, is_last=is_last)

    def asked(self, number: int) -> None:
        """Notes that the ping with this number goes out as `pusher:ping`, which only the page answers."""
        self._asked += (number,)

    def _answered(self) -> Outcome[S]:
        """The page has answered a `pusher:ping`: it has all that was written before."""
        self.answers = True
        number, self._asked = self._asked[0] if self._asked else 0, self._asked[1:]
        session = self.session
        return self.hub.acknowledged(session, number) if session is not None and number else _NOTHING

    def receive(self, text: str, now: float) -> Outcome[S]:
        """What a text message brings about. Never raises for anything that a client can send."""
        self.alive(now)
        try:
            self.count(now)
            message = messages.read(text)
            match message:
                case Subscribe():
                    return self._subscribe(message, now)
                case ClientEvent():
                    return self._client_event(message, now)
                case Ping():
                    return _PONG
                case Pong():
                    return self._answered()
                case Unsubscribe():
                    return self._unsubscribe(message, now)
                case Signin():
                    return self._sign_in(message, now)
                case _:
                    assert_never(message)
        except ProtocolError as refusal:
            return self._not_done(refusal)

    def alive(self, now: float) -> None:
        """Notes that anything has come from the client, be it a fragment or a ping frame."""
        self.seen = now
        self._pinged_at = None

    def ponged(self, now: float) -> None:
        """Notes that the client's WebSocket library has answered a ping frame."""
        if not self.answers:
            self.alive(now)

    def count(self, now: float) -> None:
        """Counts one more message. Raises ProtocolError 4100 when too many come too fast for too long."""
        limits = self.hub.app.limits
        self._idle_at = max(self._idle_at, now) + 1 / limits.messages_per_second
        if self._idle_at - now > limits.messages_burst / limits.messages_per_second:
            raise ProtocolError(OVER_CAPACITY, "messages come too fast", close=True)

    def _count_move(self, now: float) -> None:
        """The message has changed a subscription: it counts among those, for a page that opens or closes
        brings as many at once as there may be. Raises ProtocolError 4100 when it goes on like that."""
        limits = self.hub.app.limits
        self._idle_at -= 1 / limits.messages_per_second
        self._calm_at = max(self._calm_at, now) + 1 / limits.messages_per_second
        at_once = max(2 * limits.subscriptions, limits.messages_burst)
        if self._calm_at - now > at_once / limits.messages_per_second:
            raise ProtocolError(OVER_CAPACITY, "subscriptions change too fast", close=True)

    def check(self, now: float, jitter: float = 0.0) -> Outcome[S]:
        """Pings when the client has been silent, 4201 when it stays so. To be called every second or so.

        `jitter` is that of the ping after this one: with the same each time, clients would meet again.
        However late the call comes: nobody is closed who has not had `pong_timeout` seconds since a ping.
        That is enough: a WebSocket ping goes with it, which counts where clients do not answer messages.
        """
        silence = now - self.seen
        app = self.hub.app
        if silence < min(app.ping_interval, app.activity_timeout) * (1 - PING_SPREAD * self.jitter):
            return _NOTHING
        if self._pinged_at is None:
            self._pinged_at, self.jitter = now, jitter
            if self.answers:
                self._asked += (0,)
            return _PING
        if now - self._pinged_at < app.pong_timeout:
            return _NOTHING
        return Outcome(close=Close(code=PONG_TIMEOUT, reason="no answer to ping"))

    def closed(self, code: int, now: float) -> Outcome[S]:
        """The client is gone from the hub; the last call."""
        channels, self.channels = self.channels, ()
        user_id = self.user.user_id if self.user else None
        ended: Outcome[S] = _NOTHING
        if (session := self.session) is not None:
            ended = self.hub.end_session(session, now)
        gone = self.hub.disconnect(self.socket_id, self.socket, channels, user_id, self.watchlist, code, now)
        return gone if not ended.asks else gone._replace(asks=(*gone.asks, *ended.asks))

    def drop(self, channel: str) -> None:
        """Drops a subscription that is not made after all; the hub has forgotten it."""
        self._forget(channel)

    def _forget(self, channel: str) -> None:
        self.channels = tuple(name for name in self.channels if name != channel)
        if channel in self._since:
            del self._since[channel]

    def _note_since(self, key: str, now: float) -> None:
        if self._since is _NEVER:
            self._since = {}
        self._since[key] = now

    def was_of(self, user_id: str, at: float) -> bool:
        """Whether it was this user's at that moment already, and is: signed in, or a member of a channel."""
        if self.user is not None and self.user.user_id == user_id and self._since[""] <= at:
            return True
        return any(
            since <= at and name and self.hub.channels[name].user_of(self.socket) == user_id
            for name, since in self._since.items()
        )

    # Messages -------------------------------------------------------------------------------------------

    def _subscribe(self, message: Subscribe, now: float) -> Outcome[S]:
        name, limits = message.channel, self.hub.app.limits
        if not is_valid(name, limits.channel_name_length):
            return self._refused(name, "ChannelError", 400, "the channel's name is not valid")
        kind = kind_of(name)
        member: Member | None = None
        if kind.needs_auth:
            text = signatures.subscription_text(self.socket_id, name, message.channel_data)
            if not signatures.verify(self.hub.app, message.auth, text):
                return self._refused(name, "AuthError", 401, "the signature is not valid")
        if kind.has_members:
            try:
                member = self._member(message)
            except ProtocolError as problem:
                return self._refused(name, "AuthError", 400, str(problem))
        channel = self.hub.channels.get(name)
        if channel is not None and channel.has(self.socket):
            return self.hub.subscribe_again(channel, self.socket)
        if len(self.channels) >= limits.subscriptions:
            return self._refused(name, "LimitReached", 403, "too many subscriptions")
        if member and channel and not channel.has_room(member.user_id, limits.members):
            return self._refused(name, "LimitReached", 403, "the channel has too many members")
        self._count_move(now)
        outcome = self.hub.subscribe(self.socket_id, self.socket, name, kind, member, now, self.session)
        self.channels += (self.hub.channels[name].name,)  # the hub's own string: one for all
        if member is not None:
            self._note_since(self.channels[-1], now)
        return outcome

    def _unsubscribe(self, message: Unsubscribe, now: float) -> Outcome[S]:
        name = message.channel
        if name not in self.channels:
            return _NOTHING
        self._count_move(now)
        self._forget(name)
        kept: tuple[Ask, ...] = ()
        if (session := self.session) is not None:
            key = position_key(name, self.hub.channels[name].user_of(self.socket))
            kept = self.hub.forget_position(session, key)
        left = self.hub.unsubscribe(self.socket_id, self.socket, name)
        return left._replace(asks=(*kept, *left.asks)) if kept else left

    def _client_event(self, message: ClientEvent, now: float) -> Outcome[S]:
        app = self.hub.app
        channel = self.hub.channels.get(message.channel)
        if not app.client_events:
            raise ProtocolError(CLIENT_EVENT_REFUSED, "client events are switched off for this app")
        if not kind_of(message.channel).client_events:
            raise ProtocolError(
                CLIENT_EVENT_REFUSED, "client events are for private and presence channels only"
            )
        if channel is None or not channel.has(self.socket):
            raise ProtocolError(CLIENT_EVENT_REFUSED, "client events are for subscribers of the channel only")
        if len(message.name) > app.limits.event_name_length:
            raise ProtocolError(CLIENT_EVENT_REFUSED, "the client event's name is too long")
        if message.size > app.limits.event_bytes:
            raise ProtocolError(CLIENT_EVENT_REFUSED, "the client event's data is too long")
        self._count_client_event(now)
        user_id = channel.user_of(self.socket)
        text = messages.client_event(message, user_id)
        event = ClientEventSent(
            app_id=app.id,
            channel=channel.name,
            name=message.name,
            data=message.data,
            socket_id=self.socket_id,
            user_id=user_id,
            receivers=len(channel.sockets) - (self.socket in channel.sockets),
        )
        passed = self.hub.pass_on(channel, self.socket, self.socket_id, text)
        return Outcome(deliveries=passed.deliveries, hub_events=(event,), asks=passed.asks)

    def _sign_in(self, message: Signin, now: float) -> Outcome[S]:
        text = signatures.signin_text(self.socket_id, message.user_data)
        if not signatures.verify(self.hub.app, message.auth, text):
            raise ProtocolError(UNAUTHORIZED, "the signature of user_data is not valid", close=True)
        data = messages.parse(message.user_data, "user_data")
        user_id = data.get("id") if isinstance(data, dict) else None
        if not isinstance(user_id, str) or not user_id:
            raise ProtocolError(MALFORMED, "user_data has no id that is a string")
        if self.user is not None:
            raise ProtocolError(MALFORMED, "this connection is signed in already")
        watchlist = data.get("watchlist") or []
        if not isinstance(watchlist, list) or not all(isinstance(other, str) for other in watchlist):
            raise ProtocolError(MALFORMED, "user_data.watchlist is not a list of strings")
        info, limit = data.get("user_info"), self.hub.app.limits.watchlist
        self.user = Member(user_id=user_id, info=None if info is None else messages.to_json(info))
        self._note_since("", now)
        self.watchlist = tuple(dict.fromkeys(watchlist))[:limit]
        replies = [messages.signin_success(message.user_data)]
        if len(watchlist) > limit:
            replies.append(messages.error(WATCHLIST_CUT, f"the watchlist is cut to {limit} users"))
        signed_in = self.hub.sign_in(
            self.socket_id, self.socket, user_id, self.watchlist, tuple(replies), now, self.session
        )
        event = SignedIn(app_id=self.hub.app.id, socket_id=self.socket_id, user_id=user_id)
        return signed_in._replace(hub_events=(event, *signed_in.hub_events))

    # Parts ----------------------------------------------------------------------------------------------

    def _member(self, message: Subscribe) -> Member:
        """The user that subscribes, from the signed `channel_data`, else from the signin."""
        limits = self.hub.app.limits
        if message.channel_data is None:
            if self.user is None:
                raise ProtocolError(MALFORMED, "channel_data is missing")
            info = self.user.info
            too_long = info is not None and (
                len(info) > limits.member_bytes  # the rest only where it can make a difference
                and messages.json_size(messages.parse(info, "user_info"), info) > limits.member_bytes
            )
            if too_long or len(self.user.user_id) > limits.user_id_length:
                raise ProtocolError(MALFORMED, "id or user_info of the sign-in is too long for a member")
            return self.user
        data = messages.parse(message.channel_data, "channel_data")
        user_id = data.get("user_id") if isinstance(data, dict) else None
        if isinstance(user_id, int) and not isinstance(user_id, bool):
            user_id = str(user_id)  # some back ends send a number: the same user
        if not isinstance(user_id, str) or not 0 < len(user_id) <= limits.user_id_length:
            raise ProtocolError(MALFORMED, "channel_data.user_id is missing or too long")
        if "user_info" not in data:
            return Member(user_id=user_id, info=None)
        info = messages.to_json(data["user_info"])
        if messages.json_size(data["user_info"], info) > limits.member_bytes:
            raise ProtocolError(MALFORMED, "channel_data.user_info is too long")
        return Member(user_id=user_id, info=info)

    def _count_client_event(self, now: float) -> None:
        if now - self._second >= 1:
            self._second, self._events = now, 0
        self._events += 1
        limits = self.hub.app.limits
        if self._events > limits.client_events_per_second:
            raise ProtocolError(CLIENT_EVENT_REFUSED, "too many client events in one second")
        if self.hub.client_events.take(limits.app_client_events_per_second, now):
            raise ProtocolError(CLIENT_EVENT_REFUSED, "the app has too many client events in one second")

    def _refused(self, channel: str, kind: str, status: int, problem: str) -> Outcome[S]:
        """A subscription that is not made: the client is told, and nothing else has changed."""
        event = SubscriptionRefused(
            app_id=self.hub.app.id, channel=channel, socket_id=self.socket_id, status=status, reason=problem
        )
        reply = messages.subscription_error(channel, kind, problem, status)
        return Outcome(replies=(reply,), hub_events=(event,))

    def _not_done(self, refusal: ProtocolError) -> Outcome[S]:
        """A message without effect: the client is told, and closed if the rule says so."""
        code, reason = refusal.code, str(refusal)
        event = MessageRefused(app_id=self.hub.app.id, socket_id=self.socket_id, code=code, reason=reason)
        return Outcome(
            replies=(messages.error(code, reason),),
            hub_events=(event,),
            close=Close(code=code, reason=reason) if refusal.close else None,
        )
