"""The queue connection: its driver, and what inspects, lists, pauses and fills it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

from bridge.errors import ConfigurationError
from bridge.jobs.queue.inspect import DatabaseInspector, Looks, QueueInspector, RedisInspector
from bridge.jobs.queue.listing import DatabaseListing, Listings, QueueListing, RedisListing
from bridge.jobs.queue.push import DatabasePush, Push, RedisPush
from bridge.jobs.queue.queue import Queue, QueueOptions
from bridge.jobs.queue.redis.cluster import ClusterQueue
from bridge.jobs.queue.redis.driver import RedisQueue
from bridge.jobs.queue.redis.horizon import Horizon, HorizonQueue, Trim
from bridge.jobs.queue.redis.keys import Keys, has_hash_tag
from bridge.jobs.queue.redis.tokens import TokenUse
from bridge.jobs.queue.requeue import RecomputeFields
from bridge.jobs.queue.selection import BROADCASTS, Selection
from bridge.jobs.queue.sql.write_lock import SqliteWriteLock
from bridge.jobs.resolve.app_environment import AppEnvironment
from bridge.jobs.resolve.retry_until import refreshed
from bridge.laravel.application import LaravelApp
from bridge.laravel.cache import cache_store
from bridge.laravel.database import QUEUE_TIMEOUT, engine
from bridge.laravel.operator_signals import Pauses
from bridge.laravel.redis_client import redis_client
from bridge.laravel.redis_connections import RedisConnection
from bridge.phpeval.laravel.app_source import AppSource
from bridge.phpeval.laravel.version import NEWEST
from bridge.serve.wiring.environment import encrypter, shared_environment
from bridge.settings.load import Settings

log = logging.getLogger(__name__)

HORIZON_TIMEOUT = 2.0  # seconds in which its Redis must answer
InRedis = TypeVar("InRedis")
InDatabase = TypeVar("InDatabase")


def build_queue(
    settings: Settings,
    *,
    selection: Selection = BROADCASTS,
    tokens: TokenUse = "share",
    interval: float | None = None,
    write_lock: SqliteWriteLock | None = None,
) -> Queue:
    """The driver of the queue connection for some of its jobs; nothing is connected yet.

    `tokens` is for Redis, `write_lock` for SQLite. `interval`: seconds between looks; None: the driver's."""
    facts = settings.queue_connection()
    names = settings.queue_names()

    def options(queues: Sequence[str]) -> QueueOptions:
        return QueueOptions(
            queues=queues,
            retry_after=facts.retry_after,
            connection_name=facts.name,
            selection=selection,
            interval=interval,
        )

    if facts.driver == "redis":
        redis = _queue_redis(settings, facts.connection)

        def on_one_server(queues: Sequence[str]) -> RedisQueue:
            return RedisQueue(
                redis_client(redis, key=queue_key(redis, queues[0])),
                options=options(queues),
                prefix=redis.prefix,
                tagged=redis.tags_queues,
                tokens=tokens,
            )

        queue: Queue = (
            on_one_server(names)
            if not redis.cluster
            else ClusterQueue({name: on_one_server([name]) for name in names})
        )
        horizon = build_horizon(settings.laravel)
        return queue if horizon is None else HorizonQueue(queue, horizon)
    from bridge.jobs.queue.sql.driver import DatabaseQueue  # not for a queue in Redis

    database = settings.laravel.database(facts.connection)
    return DatabaseQueue(
        engine(database, timeout=QUEUE_TIMEOUT),
        options=options(names),
        table=database.prefix + facts.table,
        write_lock=write_lock,
    )


def build_horizon(laravel: LaravelApp) -> Horizon | None:
    """What Laravel Horizon knows of jobs, where the app has it; nothing is connected yet."""
    try:
        facts = laravel.horizon()
        if facts is None or facts.redis.cluster:
            return None
        client = redis_client(facts.redis, socket_timeout=HORIZON_TIMEOUT)
    except ConfigurationError as problem:
        log.warning("Horizon is not told of jobs", extra={"action": "horizon", "why": str(problem)})
        return None
    return Horizon(client, prefix=facts.redis.prefix, trim=Trim(**facts.trim))


def build_write_lock(settings: Settings) -> SqliteWriteLock | None:
    """What transactions of jobs and our own writes take turns by; None but on SQLite."""
    facts = settings.queue_connection()
    if facts.driver == "redis":
        return None
    database = settings.laravel.database(facts.connection)
    return SqliteWriteLock(beside=Path(database.database).parent) if database.driver == "sqlite" else None


def build_inspector(settings: Settings) -> QueueInspector:
    """The same queue, for looking only; nothing is connected yet."""
    looks = _of_each_place(settings, RedisInspector, DatabaseInspector)
    return looks[0] if len(looks) == 1 else Looks(looks)


def build_listing(settings: Settings) -> QueueListing:
    """What lies in the queues, for people; nothing is connected yet."""
    listings = _of_each_place(settings, RedisListing, DatabaseListing)
    return listings[0] if len(listings) == 1 else Listings(listings)


def _of_each_place(
    settings: Settings, in_redis: Callable[..., InRedis], in_database: Callable[..., InDatabase]
) -> Sequence[InRedis] | Sequence[InDatabase]:
    """One for each place where the queues lie: in a Redis cluster every queue has its own."""
    facts = settings.queue_connection()
    names = settings.queue_names()
    if facts.driver == "redis":
        redis = _queue_redis(settings, facts.connection)
        apart = [[name] for name in names] if redis.cluster else [names]
        return [
            in_redis(
                redis_client(redis, key=queue_key(redis, some[0])),
                queues=some,
                prefix=redis.prefix,
                tagged=redis.tags_queues,
            )
            for some in apart
        ]
    database = settings.laravel.database(facts.connection)
    jobs = engine(database, timeout=QUEUE_TIMEOUT)
    return [in_database(jobs, queues=names, table=database.prefix + facts.table)]


def build_pauses(settings: Settings) -> Pauses:
    """Pauses of the queues that bridge works on, where Laravel keeps them; nothing is connected yet."""
    store = partial(cache_store, settings.laravel, redis_connection=settings.redis)
    return Pauses(settings.laravel, store, settings.queue_connection().name)


def build_push(settings: Settings, connection: str) -> Push:
    """For writing into the queue connection of this name; nothing is connected yet."""
    facts = settings.laravel.queue(connection)
    if facts.driver == "redis":
        redis = _queue_redis(settings, facts.connection)
        return RedisPush(
            lambda queue: redis_client(redis, key=queue_key(redis, queue)),
            prefix=redis.prefix,
            tagged=redis.tags_queues,
        )
    database = settings.laravel.database(facts.connection)
    return DatabasePush(engine(database, timeout=QUEUE_TIMEOUT), table=database.prefix + facts.table)


def refresher(laravel: LaravelApp) -> RecomputeFields:
    """What is computed anew in a job's payload when it goes back into its queue."""
    environment = AppEnvironment(
        AppSource(laravel.path), laravel.release or NEWEST, shared_environment(laravel)
    )
    decrypt = encrypter(laravel)
    return lambda command: refreshed(command, decrypt, environment)


def queue_key(redis: RedisConnection, queue: str) -> str:
    """One of the queue's keys: in a cluster it tells the node. ConfigurationError where they lie apart."""
    if redis.cluster and not redis.tags_queues and not has_hash_tag(f"{redis.prefix}queues:{queue}"):
        raise ConfigurationError(
            f"the queue {queue}",
            "has no hash tag, without which its keys lie on several nodes of the Redis Cluster",
            remedy=f"call it {{{queue}}} in the app (REDIS_QUEUE) and in BRIDGE_QUEUE, as Laravel itself "
            "needs"
            " before 13.5",
        )
    return Keys.of(redis.prefix, queue, tagged=redis.tags_queues).list.decode()


def _queue_redis(settings: Settings, connection: str) -> RedisConnection:
    redis = settings.redis(connection)
    if redis.packed:
        raise ConfigurationError(
            f"database.redis.{redis.name}",
            "packs its values (serializer or compression), which loses jobs in Laravel itself",
            remedy="give the queue a Redis connection without these options",
        )
    return redis
