"""Hub events: what observers get. Not to be changed, complete, without a clock: observers add the time.

Statistics, webhooks, metrics and a dashboard are functions of these; none of them needs the hub.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from bridge.broadcast import Broadcast
from bridge.sockets.pusher.immutable import immutable


@immutable
class Connected:
    app_id: str
    socket_id: str


@immutable
class Disconnected:
    """`code` is the close code that we sent or were sent; 1006 when the connection just ended."""

    app_id: str
    socket_id: str
    code: int


@immutable
class ConnectionRefused:
    """`app_id` is empty when the key belongs to no app."""

    app_id: str
    code: int


@immutable
class Received:
    """A client's text message has been handled, whatever it was (pings too); `size` in characters."""

    app_id: str
    socket_id: str
    size: int = 0


@immutable
class Subscribed:
    """`subscriptions` counts the channel's connections after it. `user_id` is None unless presence."""

    app_id: str
    channel: str
    socket_id: str
    user_id: str | None
    subscriptions: int


@immutable
class Unsubscribed:
    """`subscriptions` counts the channel's connections after it. `user_id` is None unless presence."""

    app_id: str
    channel: str
    socket_id: str
    user_id: str | None
    subscriptions: int


@immutable
class SubscriptionRefused:
    """`status` as in `pusher:subscription_error`: 401 signature, 400 name or data, 403 a limit."""

    app_id: str
    channel: str
    socket_id: str
    status: int
    reason: str


@immutable
class MessageRefused:
    """A client's message had no effect; `code` as in `pusher:error`."""

    app_id: str
    socket_id: str
    code: int
    reason: str


@immutable
class SlowClientClosed:
    """A client that reads too slowly is being closed; what waited for it is dropped."""

    app_id: str
    socket_id: str
    reason: str


@immutable
class ApiCalled:
    """A request to the HTTP API has been answered. `path` is what follows `/apps/{app_id}`; `reason` what a
    refused one was told."""

    app_id: str
    method: str
    path: str
    status: int
    seconds: float
    reason: str = ""


@immutable
class Occupied:
    app_id: str
    channel: str


@immutable
class Vacated:
    app_id: str
    channel: str


@immutable
class MemberAdded:
    app_id: str
    channel: str
    user_id: str


@immutable
class MemberRemoved:
    app_id: str
    channel: str
    user_id: str


@immutable
class CacheMissed:
    """Completion once, however many subscribers miss it, until the channel has had an event or is vacated."""

    app_id: str
    channel: str


@immutable
class SubscriptionCounted:
    """The channel's connections after a change; only where the app wants them counted, never presence."""

    app_id: str
    channel: str
    subscriptions: int


@immutable
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


_new = tuple.__new__


def published(broadcast: Broadcast, origin: str, receivers: int) -> Published:
    """That it went out to so many."""
    it = broadcast
    told = (it.app_id, it.channels, it.name, it.data, it.socket_id, origin, receivers, it.job)
    return _new(Published, told)  # a third of the time that `Published(…)` takes


@immutable
class ClientEventSent:
    """`data` is JSON text. `user_id` is None unless presence."""

    app_id: str
    channel: str
    name: str
    data: str
    socket_id: str
    user_id: str | None
    receivers: int


@immutable
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
