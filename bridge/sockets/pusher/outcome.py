"""Outcome: what shall happen after a client's message or a broadcast, as data; `server.node` performs it.

What is made for every message is a tuple: a frozen dataclass takes two to three times as long to make.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

from bridge.sockets.pusher.asks import Ask
from bridge.sockets.pusher.hub_events import HubEvent

S = TypeVar("S", bound=Hashable)
"""The socket handle: the server's socket, or a string in tests."""


class Delivery(NamedTuple, Generic[S]):
    """One text for many sockets. `sockets` is the hub's own collection: perform it before the next change.

    `may_wait`: it may be kept for a moment, to be written with others; what comes after it waits behind it.
    """

    text: str
    sockets: Collection[S]
    excluded: S | None = None
    may_wait: bool = False

    @property
    def receivers(self) -> int:
        excluded = self.excluded
        return len(self.sockets) - (excluded is not None and excluded in self.sockets)


@dataclass(frozen=True, slots=True, kw_only=True)
class Close:
    """The connection ends with this WebSocket close code; the reason is at most 123 bytes."""

    code: int
    reason: str = ""


class Outcome(NamedTuple, Generic[S]):
    """In this order: replies to the connection itself, deliveries to others, hub events, perhaps a close.

    `ping`: a WebSocket ping frame goes to the connection, behind its replies. `asks`: what the other nodes
    have to be asked or told; a hub that is alone asks nothing.
    """

    replies: tuple[str, ...] = ()
    deliveries: tuple[Delivery[S], ...] = ()
    hub_events: tuple[HubEvent, ...] = ()
    close: Close | None = None
    ping: bool = False
    asks: tuple[Ask, ...] = ()


class Answered(NamedTuple, Generic[S]):
    """What an answer of other nodes brings about: as an outcome, but it may concern any number of sockets.

    dropped  subscriptions that are not made after all: each socket's connection forgets the channel
    closes   connections that end
    """

    deliveries: tuple[Delivery[S], ...] = ()
    hub_events: tuple[HubEvent, ...] = ()
    asks: tuple[Ask, ...] = ()
    dropped: tuple[tuple[S, str], ...] = ()
    closes: tuple[tuple[S, Close], ...] = ()
