"""Asks: what a hub that shares its app with other nodes wants of them; `shared_hub` says what answers do.

A hub that is alone knows everything itself and asks nothing, so a single process pays nothing for this.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True, kw_only=True)
class Join:
    """The first subscriber of the channel here, or a user who is new to it here.

    generation  grows each time that the channel becomes occupied here: an answer to an older one is too late
    user_id     of presence channels; None otherwise
    info        JSON text of the user's `user_info`, None where there is none
    """

    channel: str
    generation: int
    user_id: str | None = None
    info: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Leave:
    """The last connection of a user in the channel here, or (`is_last`) the last subscriber here."""

    channel: str
    user_id: str | None = None
    is_last: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """Who of these users is signed in anywhere; and from now on, when they come and go."""

    user_ids: tuple[str, ...]
    socket_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unwatch:
    """Nobody here wants to know of these users any more."""

    user_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PassOn:
    """A client event: this text to all subscribers of the channel, but for the sender."""

    channel: str
    text: str
    socket_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Missed:
    """Somebody subscribed to a cache channel without a last event."""

    channel: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What is known of a page, which has a new connection: its `number`th, 0 where it does not count."""

    session_id: str
    socket_id: str
    number: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Keep:
    """What a page has: key of a position → tag, empty where it has left the channel.

    number    of its connection, as in `Load`
    is_whole  these are all of its positions
    earlier   its socket_ids, the newest last
    awaited   channel and generation, where the page is confirmed in the channel once that is kept
    """

    session_id: str
    socket_id: str
    positions: Mapping[str, bytes]
    number: int = 0
    is_whole: bool = False
    earlier: tuple[str, ...] = ()
    awaited: tuple[str, int] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """The events of a channel after the one with this tag, for a page that missed them."""

    channel: str
    generation: int
    socket_id: str
    tag: bytes


Ask: TypeAlias = Join | Leave | Watch | Unwatch | PassOn | Missed | Load | Keep | Read
