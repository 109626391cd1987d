"""The kinds of channels, and which names clients may subscribe to and servers publish to; the characters of
names are in `broadcast.py`. Others ask for a kind's properties, never for a prefix.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from bridge.broadcast import CHANNEL_CHARACTERS


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelKind:
    """What holds for every channel whose name begins with `prefix`.

    needs_auth     a subscription must be signed
    has_members    subscribers are users, known to each other
    is_cache       the last event is kept for the next subscriber
    client_events  subscribers may send `client-` events to each other
    is_encrypted   `data` is sealed by the publisher; the server only passes it on
    """

    prefix: str
    needs_auth: bool = False
    has_members: bool = False
    is_cache: bool = False
    client_events: bool = False
    is_encrypted: bool = False


KINDS = (  # longest prefix first: the first match counts
    ChannelKind(prefix="private-encrypted-cache-", needs_auth=True, is_cache=True, is_encrypted=True),
    ChannelKind(prefix="private-encrypted-", needs_auth=True, is_encrypted=True),
    ChannelKind(
        prefix="presence-cache-", needs_auth=True, has_members=True, is_cache=True, client_events=True
    ),
    ChannelKind(prefix="private-cache-", needs_auth=True, is_cache=True, client_events=True),
    ChannelKind(prefix="presence-", needs_auth=True, has_members=True, client_events=True),
    ChannelKind(prefix="private-", needs_auth=True, client_events=True),
    ChannelKind(prefix="cache-", is_cache=True),
    ChannelKind(prefix=""),
)

_BY_PREFIX = {kind.prefix: kind for kind in KINDS}
_PREFIX = re.compile("|".join(kind.prefix for kind in KINDS[:-1]))
_CACHE = tuple(kind.prefix for kind in KINDS if kind.is_cache)

USER_CHANNEL = "#server-to-user-"
"""Published to, never subscribed to: reaches every connection that is signed in as the user."""

_NAME = re.compile(f"[{CHANNEL_CHARACTERS}]+")


def kind_of(name: str) -> ChannelKind:
    prefix = _PREFIX.match(name)
    return KINDS[-1] if prefix is None else _BY_PREFIX[prefix[0]]


def is_cache(name: str) -> bool:
    """As `kind_of(name).is_cache`, and quicker: it is asked for every event."""
    return name.startswith(_CACHE)


def is_valid(name: str, max_length: int) -> bool:
    """Whether clients may subscribe to this name (`max_length` in characters, prefix included)."""
    return len(name) <= max_length and _NAME.fullmatch(name) is not None


def is_publishable(name: str, max_length: int) -> bool:
    """Whether servers may publish to this name: a channel, or a user's own."""
    if name.startswith(USER_CHANNEL):
        return name != USER_CHANNEL and len(name) <= max_length + len(USER_CHANNEL)
    return is_valid(name, max_length)
