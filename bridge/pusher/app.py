"""App: one Pusher application, and what it allows."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much one app may ask for; the defaults are Pusher's, the last three our own.

    Lengths are in characters, sizes in bytes of UTF-8, rates per second and connection.
    """

    channel_name_length: int = 164
    event_name_length: int = 200
    event_bytes: int = 10_240
    channels_per_event: int = 100
    events_per_batch: int = 10
    request_bytes: int = 256_000
    members: int = 100
    member_bytes: int = 1_024
    user_id_length: int = 128
    client_events_per_second: int = 10
    cache_seconds: float = 1_800.0
    cached_channels: int = 10_000
    subscriptions: int = 500
    messages_per_second: int = 60
    messages_burst: int = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """One Pusher application.

    previous_secrets  still believed in signatures, never used to sign: for changing the secret
    client_events     whether clients may send `client-` events to each other
    allowed_origins   `example.com`, `*.example.com`, `https://example.com:8443`, `*`; none: every origin.
                      A request without an Origin header does not come from a browser and passes
    max_connections   at once on this node, None: as many as the node takes
    activity_timeout  seconds of silence after which a client should ping; told to it at the start
    ping_interval     seconds of silence after which the server pings; below a proxy's usual 60
    pong_timeout      seconds after `activity_timeout`, and after the ping, at which a client that stays
                      silent is closed with 4201
    """

    id: str
    key: str
    secret: str = field(repr=False)
    previous_secrets: tuple[str, ...] = field(default=(), repr=False)
    name: str = ""
    enabled: bool = True
    client_events: bool = True
    allowed_origins: tuple[str, ...] = ()
    max_connections: int | None = None
    activity_timeout: int = 120
    ping_interval: int = 50
    pong_timeout: int = 30
    limits: Limits = field(default_factory=Limits)

    def allows_origin(self, origin: str | None) -> bool:
        """Whether a browser page of this origin may connect."""
        if origin is None or not self.allowed_origins:
            return True
        try:
            host = urlsplit(origin.lower()).hostname or ""
        except ValueError:
            return False
        return any(_matches(rule.lower(), origin.lower(), host) for rule in self.allowed_origins)


def _matches(rule: str, origin: str, host: str) -> bool:
    if rule == "*":
        return True
    if "://" in rule:
        return origin == rule.rstrip("/")
    if rule.startswith("*."):
        return host.endswith(rule[1:]) and len(host) > len(rule) - 1
    return bool(host) and host == rule
