"""App: one Pusher application, and what it allows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from bridge.sockets.pusher import origins

LEAST_MESSAGE = 65_536
"""Bytes that a client's message may have in any case."""

# Defaults for all apps.
ACTIVITY_TIMEOUT = 120  # seconds of silence after which a client should ping
MAX_BACKLOG = 1_048_576  # bytes that may wait for a slow client
STALL_TIMEOUT = 10.0  # seconds without progress after which a slow client is disconnected


def _limit(default: int | None, meaning: str) -> Any:
    return field(default=default, metadata={"meaning": meaning})


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much one app may ask for: the one table of limits. Whole numbers from 1; None: no limit.

    A row here is a setting too, `limit_…`, for all apps and for each. Defaults are Pusher's where it has one.
    Lengths are in characters, sizes in bytes of UTF-8.
    """

    channel_name_length: int = _limit(164, "Characters in a channel name, prefix included.")
    event_name_length: int = _limit(200, "Characters in an event name.")
    event_bytes: int = _limit(10_240, "Bytes of data in one event.")
    channels_per_event: int = _limit(100, "Channels that one event may be sent to.")
    events_per_batch: int = _limit(10, "Events in one batch of the HTTP API.")
    request_bytes: int = _limit(256_000, "Bytes in a request to the HTTP API; one event always fits.")
    members: int = _limit(100, "Members of a presence channel.")
    member_bytes: int = _limit(1_024, "Bytes of a member's data.")
    user_id_length: int = _limit(128, "Characters in a user id.")
    watchlist: int = _limit(100, "Users in one user's watchlist.")
    client_events_per_second: int = _limit(10, "Client events per second from one connection.")
    app_client_events_per_second: int | None = _limit(
        None, "Client events per second from all connections to an app."
    )
    api_requests_per_second: int | None = _limit(None, "Publishing requests (POST) per second to an app.")
    api_reads_per_second: int | None = _limit(None, "Reading requests (GET) per second to an app.")
    connections_per_address: int | None = _limit(
        None, "Connections to an app from one IPv4 address or one IPv6 /64 network."
    )
    subscriptions: int = _limit(500, "Channels that one connection may be subscribed to.")
    messages_per_second: int = _limit(60, "Messages per second that one connection may send on average.")
    messages_burst: int = _limit(200, "Messages that one connection may send at once.")
    cache_seconds: int = _limit(1_800, "Seconds that the last event of a cache channel is kept.")
    cached_channels: int = _limit(10_000, "Cache channels of an app whose last event is kept.")
    resume_events: int = _limit(1_000, "Events that a channel keeps for clients that resume.")
    resume_bytes: int = _limit(1_048_576, "Bytes of events that a channel keeps for clients that resume.")

    @property
    def message_bytes(self) -> int:
        """Of one message of a client: room for the largest client event, its quotes escaped, and for the
        largest member, as PHP writes it (`\\uXXXX`), with the largest watchlist."""
        user = 4 * self.member_bytes + self.watchlist * (self.user_id_length + 8)
        return max(LEAST_MESSAGE, 2 * self.event_bytes + 4_096, user + 4_096)

    @property
    def body_bytes(self) -> int:
        """Of one request: room for the largest event, its quotes escaped, and its channels."""
        return max(self.request_bytes, 2 * self.event_bytes + 65_536)


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """One Pusher application.

    previous_secrets  still believed in signatures, never used to sign: for changing the secret
    client_events     whether clients may send `client-` events to each other
    allowed_origins   rules of `pusher.origins`, all readable; none: every origin. A request without an
                      Origin header does not come from a browser and passes
    tls_only          plain connections are closed with 4000, which makes clients come back over TLS
    max_connections   at once on this node, None: as many as the node takes
    subscription_count  whether subscribers are told how many they are (not on presence channels)
    keeps_statistics  whether its numbers go into the app's statistics
    presence_grace    seconds that a member stays whose last connection was lost: a page that is loaded again
                      neither leaves nor joins
    resume_seconds    seconds for which a page may be away and get what it missed; 0: nobody does
    activity_timeout  seconds of silence after which a client should ping; told to it at the start
    ping_interval     seconds of silence after which the server pings at the latest; below HAProxy's 50
    pong_timeout      seconds after the ping at which a client that stays silent is closed with 4201
    """

    id: str
    key: str
    secret: str = field(repr=False)
    previous_secrets: tuple[str, ...] = field(default=(), repr=False)
    name: str = ""
    enabled: bool = True
    client_events: bool = True
    allowed_origins: tuple[str, ...] = ()
    tls_only: bool = False
    max_connections: int | None = None
    subscription_count: bool = False
    keeps_statistics: bool = True
    presence_grace: float = 0.0
    resume_seconds: float = 0.0
    activity_timeout: int = ACTIVITY_TIMEOUT
    ping_interval: int = 45
    pong_timeout: int = 30
    limits: Limits = field(default_factory=Limits)

    def allows_origin(self, origin: str | None) -> bool:
        """Whether a browser page of this origin may connect."""
        return origin is None or not self.allowed_origins or origins.allows(self.allowed_origins, origin)
