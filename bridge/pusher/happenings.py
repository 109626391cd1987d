"""Happenings: what observers are told. Frozen, complete, without a clock: observers add the time.

Statistics, webhooks, metrics and a dashboard are functions of these; none of them needs the hub.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True, kw_only=True)
class Connected:
    app_id: str
    socket_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Disconnected:
    """`code` is the close code that we sent or were sent; 1006 when the connection just ended."""

    app_id: str
    socket_id: str
    code: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionRefused:
    """`app_id` is empty when the key belongs to no app."""

    app_id: str
    code: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """A client's text message has been handled, whatever it was (pings too)."""

    app_id: str
    socket_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscribed:
    """`subscriptions` counts the channel's connections after it. `user_id` is None unless presence."""

    app_id: str
    channel: str
    socket_id: str
    user_id: str | None
    subscriptions: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsubscribed:
    """`subscriptions` counts the channel's connections after it. `user_id` is None unless presence."""

    app_id: str
    channel: str
    socket_id: str
    user_id: str | None
    subscriptions: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionRefused:
    """`status` as in `pusher:subscription_error`: 401 signature, 400 name or data, 403 a limit."""

    app_id: str
    socket_id: str
    status: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Occupied:
    app_id: str
    channel: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Vacated:
    app_id: str
    channel: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberAdded:
    app_id: str
    channel: str
    user_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberRemoved:
    app_id: str
    channel: str
    user_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheMissed:
    app_id: str
    channel: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedIn:
    app_id: str
    socket_id: str
    user_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """A broadcast has been given to every subscriber's socket; `receivers` counts them over all channels."""

    app_id: str
    channels: tuple[str, ...]
    name: str
    data: str
    socket_id: str | None
    origin: str
    receivers: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientEventSent:
    """`data` is JSON text. `user_id` is None unless presence."""

    app_id: str
    channel: str
    name: str
    data: str
    socket_id: str
    user_id: str | None
    receivers: int


Happening: TypeAlias = (
    Connected
    | Disconnected
    | ConnectionRefused
    | Received
    | Subscribed
    | Unsubscribed
    | SubscriptionRefused
    | Occupied
    | Vacated
    | MemberAdded
    | MemberRemoved
    | CacheMissed
    | SignedIn
    | Published
    | ClientEventSent
)
