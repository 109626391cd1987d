"""Hub events: what observers get. Frozen, complete, without a clock: observers add the time.

Statistics, webhooks, metrics and a dashboard are functions of these; none of them needs the hub.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from bridge.broadcast import Broadcast


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
    """A client's text message has been handled, whatever it was (pings too); `size` in characters."""

    app_id: str
    socket_id: str
    size: int = 0


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
    channel: str
    socket_id: str
    status: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageRefused:
    """A client's message had no effect; `code` as in `pusher:error`."""

    app_id: str
    socket_id: str
    code: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowClientClosed:
    """A client that reads too slowly is being closed; what waited for it is dropped."""

    app_id: str
    socket_id: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiCalled:
    """A request to the HTTP API has been answered. `path` is what follows `/apps/{app_id}`; `reason` what a
    refused one was told."""

    app_id: str
    method: str
    path: str
    status: int
    seconds: float
    reason: str = ""


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
    """Completion once, however many subscribers miss it, until the channel has had an event or is vacated."""

    app_id: str
    channel: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionCounted:
    """The channel's connections after a change; only where the app wants them counted, never presence."""

    app_id: str
    channel: str
    subscriptions: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedIn:
    app_id: str
    socket_id: str
    user_id: str


class Published(NamedTuple):
    """A broadcast has been given to every subscriber's socket; `receivers` counts them over all channels.
    A tuple, since one is made for every broadcast.

    `job` is the uuid of the job that it comes from, empty for all others.
    """

    app_id: str
    channels: tuple[str, ...]
    name: str
    data: str
    socket_id: str | None
    origin: str
    receivers: int
    job: str = ""


def published(broadcast: Broadcast, origin: str, receivers: int) -> Published:
    """That it went out to so many."""
    return Published(
        app_id=broadcast.app_id,
        channels=broadcast.channels,
        name=broadcast.name,
        data=broadcast.data,
        socket_id=broadcast.socket_id,
        origin=origin,
        receivers=receivers,
        job=broadcast.job,
    )


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Resumed:
    """A page has come back to a channel and got `events` that it missed; `has_gap`: perhaps not all."""

    app_id: str
    channel: str
    socket_id: str
    events: int
    has_gap: bool


HubEvent: TypeAlias = (
    Connected
    | Disconnected
    | ConnectionRefused
    | Received
    | Subscribed
    | Unsubscribed
    | SubscriptionRefused
    | MessageRefused
    | SlowClientClosed
    | ApiCalled
    | Occupied
    | Vacated
    | MemberAdded
    | MemberRemoved
    | CacheMissed
    | SubscriptionCounted
    | SignedIn
    | Published
    | ClientEventSent
    | Resumed
)
