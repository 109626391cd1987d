"""The sockets half, built from the settings."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from bridge.errors import ConfigurationError, ServiceUnavailable
from bridge.laravel.redis_connections import RedisConnection
from bridge.settings.apps import AppSettings
from bridge.settings.load import Settings
from bridge.sockets.pusher.app import App, Limits
from bridge.sockets.server.socket import Socket

if TYPE_CHECKING:
    from bridge.sockets.cluster.cluster import Cluster
    from bridge.sockets.cluster.link import Address, Find

LONGEST_AWAY = 120
"""Seconds that Redis holds the record of a channel that nobody is in: `scripts/common.lua`."""


def build_cluster(settings: Settings) -> Cluster[Socket] | None:
    """What joins this process with others that serve the same apps; nothing is connected yet. None: alone."""
    if settings.bus is None:
        return None
    from bridge.sockets.cluster.cluster import Cluster  # takes 2 MB, which one node alone spares
    from bridge.sockets.cluster.link import Address
    from bridge.sockets.cluster.names import Names, has_hash_tag

    if settings.resume_seconds > LONGEST_AWAY:
        raise ConfigurationError(
            "resume_seconds",
            f"is {settings.resume_seconds:g}, and with a bus {LONGEST_AWAY} is the most",
            remedy="what is known of an empty channel is kept for so long",
        )
    facts = settings.redis(settings.bus)
    if facts.cluster and "{" in facts.prefix and not has_hash_tag(facts.prefix):
        raise ConfigurationError(
            f"bus, the Redis connection {settings.bus},",
            f"has the prefix {facts.prefix}, with which a Redis Cluster keeps each key of the bus elsewhere",
            remedy="take the braces out of the prefix, or write a name between them",
        )
    address = Address(
        host=facts.host,
        port=facts.port,
        unix_socket=facts.unix_socket,
        tls=None if facts.tls is None else facts.tls.context(),
        username=facts.username,
        password=facts.password.reveal() if facts.password else None,
        database=facts.database,
        is_sharded=bool(facts.cluster),
    )
    key = Names(facts.prefix, facts.database, is_sharded=address.is_sharded).prefix.decode()
    return Cluster(
        address,
        prefix=facts.prefix,
        retry_after=settings.queue_connection().retry_after,
        find=_finder(facts, address, key),
    )


def _finder(facts: RedisConnection, address: Address, key: str) -> Find | None:
    """What gives `address` with the host and port of the primary; None where these never change."""
    import redis  # which the app's connections need anyway

    from bridge.laravel.redis_client import primary_finder

    primary = primary_finder(facts, key)
    if primary is None:
        return None

    async def find() -> Address:
        try:
            host, port = await asyncio.to_thread(primary)
        except redis.RedisError as problem:
            raise ServiceUnavailable(f"{facts.place}: {problem}") from None
        return replace(address, host=host, port=port, unix_socket=None)

    return find


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
