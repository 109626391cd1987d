"""SharedSessions: pages that resume at any node. What a page has is kept outside, where every node finds it.

A page that connects is asked for (`Load`); until the answer has come its subscriptions wait. What it
acknowledges is kept (`Keep`); what it missed is read from the channel's log (`Read`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from bridge.sockets.pusher.asks import Ask, Keep, Load, Read
from bridge.sockets.pusher.hub import NOTHING_MISSED, Missed, missed
from bridge.sockets.pusher.outcome import S
from bridge.sockets.pusher.resume import Position, Returning, Session, Sessions, position_key
from bridge.sockets.pusher.shared_channel import Message, SharedChannel, Waiting

_GAP = b"?"  # behind a position: the page was told of a gap and has not acknowledged that


class SharedSessions(Sessions[S]):
    """Those with a connection to this node; a page that has lost it may come back to any other."""

    __slots__ = ("_app_id", "_refreshed_at")

    def __init__(self, app_id: str) -> None:
        super().__init__()
        self._app_id = app_id
        self._refreshed_at = 0.0

    def begin(
        self, returning: Returning, socket: S, socket_id: str, now: float, seconds: float
    ) -> tuple[Session[S], S | None]:
        """What is known of the page comes with the answer to `Load`, wherever the page was before."""
        before = self.by_id.pop(returning.session_id, None)
        had = None
        if before is not None:
            had, before.socket = before.socket, None
            self._forget_socket_ids(before)
        session, _ = super().begin(returning, socket, socket_id, now, seconds)
        session.is_loaded = returning.is_first
        return session, had

    def load(self, session: Session[S]) -> tuple[Ask, ...]:
        return (Load(session_id=session.id, socket_id=session.socket_id, number=session.number),)

    def loaded(
        self,
        session_id: str,
        socket_id: str,
        earlier: Sequence[str],
        positions: Mapping[str, bytes] | None,
        gaps: Collection[str],
    ) -> Session[S] | None:
        """The answer to `Load`, as in `SharedHub.loaded`. The session, unless the answer is too late."""
        session = self.by_id.get(session_id)
        if session is None or session.socket_id != socket_id or session.is_loaded:
            return None
        session.is_loaded = True
        if positions is not None:
            session.is_known = True
            session.before, session.gaps = dict(positions), set(gaps)
        session.earlier = tuple(earlier)
        for one in earlier:
            self.by_socket[one] = session
        return session

    def past(
        self, channel: SharedChannel[S], waiting: Waiting, session: Session[S], now: float
    ) -> tuple[Missed | None, tuple[Ask, ...]]:
        """What the page missed in the channel; None: that is asked for, or will be, or would not reach it."""
        if session.is_finished or not session.is_loaded or not channel.is_current or waiting.is_reading:
            return None, ()
        key = _key(channel, waiting)
        if not waiting.is_past_known:
            position, waiting.has_gap = session.past(key, now)
            waiting.is_past_known = True
            waiting.is_new = position is None
            if position is not None:
                waiting.position = session.beginning[key] = position
            if waiting.has_gap:
                session.gaps.add(key)
        if waiting.is_new and not waiting.is_kept:  # else the page could come back as one that was never here
            waiting.position = session.beginning[key] = channel.tag
            waiting.is_reading = True
            return None, self.keep(session, [key], awaited=(channel.name, channel.generation))
        if isinstance(waiting.position, bytes) and waiting.position != channel.tag:
            waiting.is_reading = True
            read = Read(
                channel=channel.name,
                generation=channel.generation,
                socket_id=waiting.socket_id,
                tag=waiting.position,
            )
            return None, (read,)
        return self.resumed(channel, waiting, session, (), has_gap=waiting.has_gap)

    def resumed(
        self,
        channel: SharedChannel[S],
        waiting: Waiting,
        session: Session[S],
        events: Sequence[Message],
        *,
        has_gap: bool,
    ) -> tuple[Missed, tuple[Ask, ...]]:
        """The page goes on in the channel behind these events."""
        key = _key(channel, waiting)
        assert waiting.position is not None  # noqa: S101 - `past` has seen to that
        session.positions[key] = waiting.position
        session.beginning.pop(key, None)
        session.before.pop(key, None)
        asks = () if waiting.is_new else self.keep(session, [key])
        own = session.socket_ids
        texts = [event.text for event in events if event.excluded not in own]
        if waiting.is_new and not has_gap:
            return Missed(texts=tuple(texts), has_last=bool(texts)) if texts else NOTHING_MISSED, asks
        return missed(self._app_id, channel.name, session.socket_id, texts, has_gap=has_gap), asks

    def acknowledged(self, session: Session[S], number: int) -> tuple[Ask, ...]:
        """The page has everything that was written before the ping with this number."""
        changed = list(session.ping.positions) if session.ping is not None else []
        return self.keep(session, changed) if session.answered(number) else ()

    def forget(self, session: Session[S], key: str) -> tuple[Ask, ...]:
        """The page has left the channel."""
        session.forget(key)
        return (Keep(session_id=session.id, socket_id=session.socket_id, positions={key: b""}),)

    def leave(self, session: Session[S]) -> tuple[Ask, ...]:
        """The page has lost its connection: nothing of it stays here."""
        asks = self.keep(session, ())
        session.socket = None
        if self.by_id.get(session.id) is session:
            del self.by_id[session.id]
            self._forget_socket_ids(session)
        return asks

    def refresh(self, now: float, seconds: float) -> tuple[Ask, ...]:
        """What is kept outside is kept for longer, and what pages had before they came back is forgotten in
        time. To be called every second; `seconds`: the app's `resume_seconds`."""
        if now - self._refreshed_at < seconds / 2:
            return ()
        self._refreshed_at = now
        asks: list[Ask] = []
        for session in self.by_id.values():
            if now < session.before_until:
                asks += self.keep(session, ())
            else:
                session.before.clear()
                session.gaps &= session.positions.keys() | session.beginning.keys()
                asks += self.keep_all(session)
        return tuple(asks)

    def keep(
        self, session: Session[S], keys: Sequence[str], awaited: tuple[str, int] | None = None
    ) -> tuple[Ask, ...]:
        """These positions are kept, and all others for longer."""
        known = session.beginning | session.positions
        positions = {key: _value(session, key, known[key]) for key in keys if key in known}
        keep = Keep(session_id=session.id, socket_id=session.socket_id, positions=positions, awaited=awaited)
        return (keep,)

    def keep_all(self, session: Session[S], awaited: tuple[str, int] | None = None) -> tuple[Ask, ...]:
        """All that is known of a page is kept again."""
        if not session.is_loaded:
            return self.load(session)
        known = session.before | session.beginning | session.positions
        positions = {key: _value(session, key, position) for key, position in known.items()}
        return (
            Keep(
                session_id=session.id,
                socket_id=session.socket_id,
                positions=positions,
                number=session.number,
                is_whole=True,
                earlier=session.socket_ids,
                awaited=awaited,
            ),
        )

    def _forget_socket_ids(self, session: Session[S]) -> None:
        for socket_id in session.socket_ids:
            if self.by_socket.get(socket_id) is session:
                del self.by_socket[socket_id]


def _key(channel: SharedChannel[S], waiting: Waiting) -> str:
    return position_key(channel.name, waiting.member.user_id if waiting.member else None)


def _value(session: Session[S], key: str, position: Position) -> bytes:
    assert isinstance(position, bytes)  # noqa: S101 - those of a hub that shares its app are
    return position + _GAP if key in session.gaps else position
