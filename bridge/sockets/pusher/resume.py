"""Resume: what a page missed between two of its connections, for clients that know nothing of it.

A *session* is a page over all its connections: its id is part of the path that it connects to, with the
number of the try. The server remembers, for each channel, up to which event the page has everything: its
*position*.

- What was written may be lost with the connection, so a position moves only when the client has answered a
  WebSocket ping that was written behind the events; every client's library does that by itself. A page in a
  browser answers a `pusher:ping` instead: its browser would do the former for a page that it holds back.
- A page subscribes to its channels again, and its rights are checked again. Then it gets its confirmation,
  what came after its position, and what comes from now on. Nothing is replayed before that.
- Where it is not certain that nothing is missing, the page is told so: `bridge:gap` comes before the rest. So
  a page that has connected before and is not known (any more) hears of a gap in each of its channels.
- Whatever is sent for another socket of the same page (`toOthers`) excludes its later sockets too.
- An id only moves positions. It is unguessable, belongs to one app, and a position to one user of a presence
  channel; who knows another page's id still gets nothing without a right of his own.

Positions are opaque: numbers of a hub that is alone, tags of one that shares its app.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeAlias

from bridge.sockets.pusher.channels import USER_CHANNEL
from bridge.sockets.pusher.outcome import S

Position: TypeAlias = int | bytes

ACK_INTERVAL = 5  # seconds between two pings of one connection
EARLIER = 4  # sockets of a page before the present one that its requests may still name
MOST_ABSENT = 100_000  # sessions without a connection
MOST_POSITIONS = 1_000_000  # of all these
MOST_BEFORE = 1_000  # positions of one session in channels that it has not come back to
MOST_VACANT = 100_000  # logs of channels in which nobody is
LOOKS_FOR_VACANT = 10  # logs that are looked at when there are more
LOGS_PER_LOOK = 1_000

_PATH = re.compile(r"(?:/app)?/r/([\w-]{16,64})(?:\.(\d{1,9}))?(/app/[^/]+)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Returning:
    """Who connects, as the path tells. `number`: of the page's try to connect, from 0; None where it does not
    count."""

    session_id: str
    number: int | None

    @property
    def is_first(self) -> bool:
        """Whether this page has never tried to connect before."""
        return self.number == 0


def split_path(path: str) -> tuple[str, Returning | None]:
    """The path without its session, and the session: `/app/r/<id>.<number of the try>/app/<key>`."""
    found = _PATH.fullmatch(path)
    if found is None:
        return path, None
    session_id, number, rest = found.groups()
    return rest, Returning(session_id, None if number is None else int(number))


# Logs ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Logged:
    """An event of a channel: its message's text, and the socket_id that does not get it."""

    number: int
    text: str
    excluded: str
    at: float


_NO_EVENTS: deque[Logged] = deque(maxlen=0)  # most logs have none, and a deque takes 600 bytes


class Log:
    """The last events of a channel. `floor`: number of the last that it does not hold; `size`: characters.

    kept_until  when it is dropped, unless the channel has subscribers
    """

    __slots__ = ("events", "floor", "kept_until", "number", "size")

    def __init__(self, number: int, kept_until: float) -> None:
        self.events = _NO_EVENTS
        self.floor = self.number = number
        self.size = 0
        self.kept_until = kept_until

    def after(self, position: Position) -> tuple[list[Logged], bool]:
        """The events after the position, and whether these are all there were."""
        assert isinstance(position, int)  # noqa: S101 - those of a hub that is alone are
        found: list[Logged] = []
        for event in reversed(self.events):
            if event.number <= position:
                break
            found.append(event)
        found.reverse()
        return found, position >= self.floor

    def append(self, event: Logged, most: int, most_size: int) -> None:
        if self.events is _NO_EVENTS:
            self.events = deque()
        self.events.append(event)
        self.number = event.number
        self.size += len(event.text)
        while len(self.events) > most or self.size > most_size:
            self._drop()

    def drop_before(self, at: float) -> None:
        while self.events and self.events[0].at < at:
            self._drop()

    def _drop(self) -> None:
        event = self.events.popleft()
        self.floor = event.number
        self.size -= len(event.text)


class Logs:
    """The logs of an app, by channel: of those that a session has subscribed to, and for a while after.

    One sequence numbers the events of all of them, and the making of a log takes a number too: so a position
    from before a log was made is never taken for one of its own.

    by_name  channel → log
    """

    __slots__ = ("_sequence", "_to_look_at", "by_name")

    def __init__(self) -> None:
        self.by_name: dict[str, Log] = {}
        self._sequence = 0
        self._to_look_at: list[str] = []

    def __len__(self) -> int:
        return len(self.by_name)

    @property
    def size(self) -> int:
        """Characters of all texts."""
        return sum(log.size for log in self.by_name.values())

    def open(self, name: str, kept_until: float) -> Log:
        """The channel's log; from now on its events are kept."""
        log = self.by_name.pop(name, None)
        if log is None:
            self._sequence += 1
            log = Log(self._sequence, kept_until)
        self.by_name[name] = log  # as the last: those that nobody has opened for longest are the first
        log.kept_until = max(log.kept_until, kept_until)
        return log

    def make_room(self, occupied: int, is_listened_to: Callable[[str], bool]) -> None:
        """A log of a vacant channel is dropped where there are more than MOST_VACANT of these; `occupied`:
        how many channels are not. To be called for each log that is opened."""
        for _ in range(LOOKS_FOR_VACANT):
            if len(self.by_name) - occupied <= MOST_VACANT:
                return
            name = next(iter(self.by_name))
            log = self.by_name.pop(name)
            if is_listened_to(name):
                self.by_name[name] = log

    def append(self, log: Log, text: str, excluded: str, now: float, *, most: int, most_size: int) -> None:
        self._sequence += 1
        log.append(Logged(self._sequence, text, excluded, now), most, most_size)

    def expire(self, now: float, seconds: float, is_listened_to: Callable[[str], bool]) -> None:
        """Events older than `seconds` are gone, and the logs of channels that nobody is in, or was lately.
        To be called every second; looks at some logs each time."""
        if not self._to_look_at:
            self._to_look_at = list(self.by_name)
        batch, self._to_look_at = self._to_look_at[:LOGS_PER_LOOK], self._to_look_at[LOGS_PER_LOOK:]
        for name in batch:
            log = self.by_name.get(name)
            if log is None:
                continue
            log.drop_before(now - seconds)
            if is_listened_to(name):
                log.kept_until = max(log.kept_until, now + seconds)
            elif log.kept_until <= now:
                del self.by_name[name]


# Sessions -----------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Ping:
    """A ping on its way, and the positions that its answer confirms."""

    number: int
    positions: dict[str, Position]


@dataclass(slots=True, eq=False)
class Session(Generic[S]):
    """A page. Keys of positions are those of `position_key`.

    socket      its present connection; None while it is away
    socket_id   of that one, or of the last
    number      of the page's try that made this connection, 0 where it does not count
    earlier     socket_ids of those before, the newest last
    positions   of what it is subscribed to now
    beginning   of what it has subscribed to and is not confirmed in yet, where nodes share the app
    before      of what it was subscribed to before and has not come back to; until `before_until`
    is_loaded   whether it is known yet what is known of it
    is_known    whether `before` has all of these: where not, whatever it comes back to has a gap
    gaps        keys of channels in which it was told of a gap, and has not acknowledged that
    is_finished whether it gets nothing more from its present connection
    """

    id: str
    socket: S | None = None
    socket_id: str = ""
    number: int = 0
    earlier: tuple[str, ...] = ()
    positions: dict[str, Position] = field(default_factory=dict)
    beginning: dict[str, Position] = field(default_factory=dict)
    before: dict[str, Position] = field(default_factory=dict)
    before_until: float = 0.0
    is_loaded: bool = True
    is_known: bool = True
    gaps: set[str] = field(default_factory=set)
    ping: Ping | None = None
    pings: int = 0
    is_finished: bool = False
    away_until: float = 0.0

    def begin(self, socket: S, socket_id: str, now: float, seconds: float) -> None:
        """Begins with a new connection of the page; all that it was subscribed to is its past."""
        if self.socket is not None:
            self.end(now, seconds)
        if self.socket_id:
            self.earlier = (*self.earlier, self.socket_id)[-EARLIER:]
        self.socket, self.socket_id, self.is_finished = socket, socket_id, False
        self.before_until = now + seconds

    def end(self, now: float, seconds: float) -> None:
        """Notes that the page has lost its connection."""
        if self.before_until <= now:
            self.before.clear()
            self.gaps.intersection_update(self.positions)
            self.is_known = True
        for key in self.positions:
            self.before.pop(key, None)
        self.before |= self.positions  # as the last
        most = max(MOST_BEFORE, len(self.positions))
        while len(self.before) > most:
            forgotten = next(iter(self.before))
            del self.before[forgotten]
            self.gaps.discard(forgotten)
            self.is_known = False
        self.positions.clear()
        self.socket, self.ping = None, None
        self.away_until = now + seconds

    def past(self, key: str, now: float) -> tuple[Position | None, bool]:
        """Up to where the page had everything of this channel, None: it is not known to have been in it; and
        whether there may be a gap before that."""
        position = self.before.get(key)
        if now >= self.before_until:
            return None, False
        return position, key in self.gaps if position is not None else not self.is_known

    def forget(self, key: str) -> None:
        """Forgets a channel from which the page has unsubscribed."""
        for positions in (self.positions, self.beginning, self.before):
            positions.pop(key, None)
        self.gaps.discard(key)
        if self.ping is not None:
            self.ping.positions.pop(key, None)

    def next_ping(self, positions: dict[str, Position], *, is_last: bool = False) -> int | None:
        """The number of the ping that is to be written behind the events up to these positions; None: the
        page has them, or has one ping to answer. `is_last`: this one's answer is all that still counts."""
        if self.is_finished:
            return None
        if is_last:
            self.ping, self.is_finished = None, True
        if self.ping is not None or (positions == self.positions and not self.gaps):
            return None
        self.pings += 1
        self.ping = Ping(self.pings, positions)
        return self.pings

    def answered(self, number: int) -> bool:
        """The ping with this number is answered; whether a position has moved."""
        ping = self.ping
        if ping is None or ping.number != number:
            return False
        self.ping = None
        self.positions |= ping.positions
        self.gaps -= ping.positions.keys()
        return True

    @property
    def socket_ids(self) -> tuple[str, ...]:
        return (*self.earlier, self.socket_id)


class Sessions(Generic[S]):
    """The sessions of an app: those with a connection here, and those that had one lately.

    by_id      id → session
    by_socket  socket_id that a page had → session
    """

    __slots__ = ("_absent", "_in_turn", "_positions", "by_id", "by_socket")

    def __init__(self) -> None:
        self.by_id: dict[str, Session[S]] = {}
        self.by_socket: dict[str, Session[S]] = {}
        self._absent: dict[str, Session[S]] = {}  # in the order in which they are forgotten
        self._positions = 0  # of these
        self._in_turn: list[S] = []

    def begin(
        self, returning: Returning, socket: S, socket_id: str, now: float, seconds: float
    ) -> tuple[Session[S], S | None]:
        """The session of this connection, and the socket that it had until now, if that is still there."""
        session = self.by_id.get(returning.session_id)
        if session is None:
            session = self.by_id[returning.session_id] = Session(
                returning.session_id, is_known=returning.is_first
            )
            session.before_until = now + seconds
        if self._absent.pop(session.id, None) is not None:
            self._positions -= len(session.before)
        had = session.socket
        for earlier in session.socket_ids:
            self.by_socket.pop(earlier, None)
        session.begin(socket, socket_id, now, seconds)
        session.number = returning.number or 0
        for earlier in session.earlier:
            self.by_socket[earlier] = session
        return session, had

    def end(self, session: Session[S], now: float, seconds: float) -> None:
        session.end(now, seconds)
        self.by_socket[session.socket_id] = session
        self._absent[session.id] = session
        self._positions += len(session.before)
        while len(self._absent) > MOST_ABSENT or self._positions > MOST_POSITIONS:
            self._forget(next(iter(self._absent.values())))

    def is_alive(self, session: Session[S], socket_id: str) -> None:
        """A socket that the session had is in use: it is another page's, with the same id."""
        session = self.by_id.get(session.id, session)
        session.earlier = tuple(earlier for earlier in session.earlier if earlier != socket_id)
        if self.by_socket.get(socket_id) is session:
            del self.by_socket[socket_id]

    def in_turn(self) -> list[S]:
        """Sockets to be pinged, where they have got something: each comes once in ACK_INTERVAL calls."""
        if not self._in_turn:
            self._in_turn = [one.socket for one in self.by_id.values() if one.socket is not None]
        most = -(-len(self.by_id) // ACK_INTERVAL)
        batch, self._in_turn = self._in_turn[:most], self._in_turn[most:]
        return batch

    def expire(self, now: float) -> None:
        while self._absent:
            session = next(iter(self._absent.values()))
            if session.away_until > now:
                return
            self._forget(session)

    def _forget(self, session: Session[S]) -> None:
        del self._absent[session.id], self.by_id[session.id]
        self._positions -= len(session.before)
        for socket_id in session.socket_ids:
            self.by_socket.pop(socket_id, None)


def position_key(name: str, user_id: str | None) -> str:
    """A position in a presence channel is its user's; names have no spaces."""
    return name if user_id is None else f"{name} {user_id}"


def channel_of(key: str) -> str:
    """The name in a key of a position."""
    return key if key.startswith(USER_CHANNEL) else key.partition(" ")[0]
