"""The sockets half, built from the settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bridge.errors import ConfigurationError
from bridge.settings.apps import AppSettings
from bridge.settings.load import Settings
from bridge.sockets.pusher.app import App, Limits
from bridge.sockets.server.socket import Socket

if TYPE_CHECKING:
    from bridge.sockets.cluster.cluster import Cluster

LONGEST_AWAY = 120
"""Seconds that Redis holds the record of a channel that nobody is in: `scripts/common.lua`."""


def build_cluster(settings: Settings) -> Cluster[Socket] | None:
    """What joins this process with others that serve the same apps; nothing is connected yet. None: alone."""
    if settings.bus is None:
        return None
    from bridge.sockets.cluster.cluster import Cluster  # takes 2 MB, which one node alone spares
    from bridge.sockets.cluster.link import Address

    if settings.resume_seconds > LONGEST_AWAY:
        raise ConfigurationError(
            "resume_seconds",
            f"is {settings.resume_seconds:g}, and with a bus {LONGEST_AWAY} is the most",
            remedy="what is known of an empty channel is kept for so long",
        )
    facts = settings.redis(settings.bus)
    if facts.sentinels is not None or facts.cluster:
        raise ConfigurationError(
            f"bus, the Redis connection {settings.bus},",
            f"is {facts.place}, where processes cannot meet",
            remedy="name a connection with one host and port, such as an address that leads to the primary",
        )
    return Cluster(
        Address(
            host=facts.host,
            port=facts.port,
            unix_socket=facts.unix_socket,
            tls=None if facts.tls is None else facts.tls.context(),
            username=facts.username,
            password=facts.password.reveal() if facts.password else None,
            database=facts.database,
        ),
        prefix=facts.prefix,
        retry_after=settings.queue_connection().retry_after,
    )


def pusher_app(app: AppSettings, settings: Settings) -> App:
    """The app as `sockets` knows it."""
    return App(
        id=app.id,
        key=app.key,
        secret=app.secret.reveal(),
        previous_secrets=tuple(secret.reveal() for secret in app.previous_secrets),
        name=app.name,
        client_events=app.client_events,
        allowed_origins=app.allowed_origins,
        max_connections=app.max_connections,
        enabled=app.enabled,
        tls_only=app.tls_only,
        subscription_count=app.subscription_count,
        keeps_statistics=app.enable_statistics,
        presence_grace=settings.presence_grace,
        resume_seconds=settings.resume_seconds,
        activity_timeout=app.activity_timeout or settings.activity_timeout,
        limits=limits_of(app, settings),
    )


def limits_of(app: AppSettings, settings: Settings) -> Limits:
    return Limits(**{**settings.limits, **app.limits})  # type: ignore[arg-type]
