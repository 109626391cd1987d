"""SharedChannel: a channel with subscribers on other nodes too, as far as it concerns those here."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from bridge.sockets.pusher import messages
from bridge.sockets.pusher.channels import ChannelKind
from bridge.sockets.pusher.hub import Cached, Channel, Member
from bridge.sockets.pusher.outcome import Delivery, S
from bridge.sockets.pusher.resume import Position, Session


@dataclass(slots=True, kw_only=True)
class Waiting:
    """A socket that has subscribed and is not confirmed yet.

    replies  of a sign-in, instead of the confirmation
    session  of a page that resumes; `position`, `has_gap`: what `Session.past` gave for the channel, once
             `is_past_known`; `is_reading`: what it missed is asked for, or its first position to be kept
    is_new   whether the page was not in the channel before: it begins at `position`, once that `is_kept`
    """

    socket_id: str
    member: Member | None
    since: float
    replies: tuple[str, ...] | None = None
    session: Session[Any] | None = None
    is_past_known: bool = False
    position: Position | None = None
    has_gap: bool = False
    is_reading: bool = False
    is_new: bool = False
    is_kept: bool = False


class Message(NamedTuple):
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
    missed   events after the one that was the last here, in order
    has_gap  whether others may be missing before these, which cannot be had any more
    """

    channel: str
    generation: int
    users: Collection[str] = ()
    full: Collection[str] = ()
    tag: bytes = b""
    version: int = 0
    roster: Mapping[str, str | None] | None = None
    cached: Cached | None = None
    missed: Sequence[Message] = ()
    has_gap: bool = False


class SharedChannel(Channel[S]):
    """A channel with subscribers here.

    waiting     sockets that are not confirmed yet
    asked       users here who are in it, or have been asked for
    confirmed   users here who are in it
    members_on_all_nodes  those of the roster: user_id → info
    count       of subscriptions on all nodes, as those here were told last
    is_joined   whether the first answer has come
    is_current  whether what comes next continues what came last
    is_stale    whether the roster holds somebody who seems to have left while nothing could be heard
    """

    __slots__ = (
        "asked",
        "confirmed",
        "count",
        "generation",
        "is_current",
        "is_joined",
        "is_stale",
        "members_on_all_nodes",
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
        self.members_on_all_nodes: dict[str, str | None] = {}
        self.is_joined = self.is_current = self.is_stale = False
        self.tag = b""
        self.version = 0
        self.count: int | None = None

    @property
    def connections(self) -> int:
        return len(self.sockets) + len(self.waiting)

    @property
    def needs_resync(self) -> bool:
        """Whether it has to be asked for again."""
        return self.is_joined and not self.is_current

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
        if is_in == (user_id in self.members_on_all_nodes):
            return False
        if is_in:
            self.members_on_all_nodes[user_id] = info
            self.roster.put(user_id, info)
        else:
            del self.members_on_all_nodes[user_id]
            self.roster.drop(user_id)
        return True

    def take_roster(self, members: Mapping[str, str | None]) -> None:
        """These are the members on all nodes: user_id → info."""
        self.members_on_all_nodes = dict(members)
        self.roster.replace(members)

    def _list(self, user_id: str, info: str | None) -> None:
        """The roster is that of all nodes: only what they say changes it."""

    def _unlist(self, user_id: str) -> None:
        """As `_list`."""

    def follows(self, version: int) -> bool:
        """Whether the change of the roster with this number is the next one. Where others are missing before
        it, the channel is not current any more."""
        if not self.is_current or version <= self.version:
            return False
        if version != self.version + 1:
            self.is_current = False
            return False
        self.version = version
        return True

    def member_came(self, user_id: str, info: str | None) -> list[Delivery[S]]:
        """Puts the user into the roster; those here are told where that is news."""
        if not self.change_roster(user_id, info, is_in=True) or not self.sockets:
            return []
        text = messages.member_added(self.name, user_id, info)
        return [Delivery(text=text, sockets=self.sockets, may_wait=True)]

    def member_went(self, user_id: str) -> list[Delivery[S]]:
        """Takes the user out of the roster, unless a connection here proves otherwise."""
        if self.is_here(user_id) or not self.change_roster(user_id, None, is_in=False):
            return []
        text = messages.member_removed(self.name, user_id)
        return [Delivery(text=text, sockets=self.sockets, may_wait=True)]
