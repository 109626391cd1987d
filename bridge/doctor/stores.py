"""Checks of the stores: queue, failed jobs, Redis, cache; they are asked, not changed."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import redis
import sqlalchemy as sa

from bridge.doctor.eviction import eviction, unseen_eviction
from bridge.doctor.subject import ExaminedApp, Finding, Found
from bridge.errors import ConfigurationError, ServiceUnavailable
from bridge.jobs.queue.portion import LARGE, MOST_BYTES
from bridge.jobs.queue.redis.scripts import SCRIPTS, with_scripts
from bridge.jobs.queue.selection import BROADCASTS, MARK, broadcast_document
from bridge.jobs.queue.sql.large_rows import LargeRows
from bridge.jobs.queue.sql.statements import jobs_table, looks_ours, skips_locked
from bridge.jobs.resolve.rungs.php import TIMEOUT
from bridge.laravel.cache import NoStore, cache_store
from bridge.laravel.connections import DatabaseConnection
from bridge.laravel.database import answering, engine
from bridge.laravel.redis_client import redis_client
from bridge.laravel.redis_connections import RedisConnection
from bridge.serve.wiring.failed_jobs import failed_jobs
from bridge.serve.wiring.queue import build_queue, queue_key

SKEW = 5  # seconds that two clocks may differ
SCANS = 20  # of a thousand keys each, at most
OLDEST_REDIS = 5
SAMPLE = 200  # rows looked at for broadcasts in other queues
_NOW = {
    "mysql": "select unix_timestamp()",
    "mariadb": "select unix_timestamp()",
    "pgsql": "select extract(epoch from now())",
}


def queue(subject: ExaminedApp) -> Found:
    """Checks that the queue's store answers, lets us in, and has Laravel's tables or keys."""
    with contextlib.closing(build_queue(subject.settings)) as made:
        try:
            made.check()
        except ServiceUnavailable as problem:
            yield Finding(
                what=str(problem),
                where=_place(subject),
                remedy="start the server, or correct its host and port in .env",
            )


def _place(subject: ExaminedApp) -> str:
    facts = subject.settings.queue_connection()
    if facts.driver == "redis":
        return subject.settings.redis(facts.connection).place
    return subject.laravel.database(facts.connection).place


def other_queues(subject: ExaminedApp) -> Found:
    """Checks that no broadcasts wait in queues that bridge does not work on."""
    names = subject.settings.queue_names()
    with contextlib.suppress(ServiceUnavailable, ConfigurationError):  # the check above says so
        for name in sorted(set(_queues_with_broadcasts(subject)) - set(names)):
            yield Finding(
                what=f"broadcasts wait in the queue {name}, and bridge works on {', '.join(names)}",
                where=subject.settings.origins.get("queue", "the connection's own queue"),
                remedy=f"start it with --queue {','.join([*names, name])}, or set BRIDGE_QUEUE"
                + (", unless another server takes them" if subject.settings.bus else ""),
                hint=bool(subject.settings.bus),
            )


def _queues_with_broadcasts(subject: ExaminedApp) -> Iterator[str]:
    facts = subject.settings.queue_connection()
    if facts.driver == "redis":
        server = subject.settings.redis(facts.connection)
        start = f"{server.prefix}queues:".encode()
        with _redis(subject, server) as client:
            for key in _keys(client, start + b"*"):
                if client.type(key) == b"list" and not key.endswith(b":notify"):
                    for entry in _first_entries(client, key, 10):
                        if MARK in entry and broadcast_document(entry) is not None:
                            name = key.removeprefix(start).decode(errors="replace")
                            yield name.strip("{}") if server.tags_queues else name
                            break
        return
    database = subject.laravel.database(facts.connection)
    jobs = jobs_table(database.prefix + facts.table)
    with _connected(database) as connection:
        dialect = connection.dialect.name
        ours = looks_ours(jobs, dialect, BROADCASTS)
        look = sa.select(jobs.c.queue).where(ours).order_by(jobs.c.id.desc()).limit(SAMPLE)
        large = LargeRows(jobs, connection.engine.url).above(connection, LARGE) if dialect == "sqlite" else ()
        yield from connection.scalars(look, {"unreadable": list(large)} if dialect == "sqlite" else {})


def _first_entries(client: redis.Redis, key: bytes, most: int) -> list[bytes]:
    """Of a list, but for large ones."""
    given = (1, key, 0, most - 1, MOST_BYTES, LARGE)
    found = with_scripts(client, lambda: client.evalsha(SCRIPTS["head"].sha1, *given))
    return [entry for entry in cast(list[object], found) if isinstance(entry, bytes)]


def failed(subject: ExaminedApp) -> Found:
    """Checks that jobs that fail can be kept."""
    facts = subject.laravel.failed()
    if facts.driver == "null":
        yield Finding(
            what="failed jobs are not kept: what cannot be broadcast would be lost without a trace",
            where=subject.laravel.config.where("queue.failed.driver"),
            remedy="set QUEUE_FAILED_DRIVER to database-uuids",
        )
        return
    with contextlib.closing(failed_jobs(subject.laravel)) as made:
        try:
            made.check()
        except ServiceUnavailable as problem:
            yield Finding(what=str(problem), remedy="start the server, or correct its host and port in .env")


def versions(subject: ExaminedApp) -> Found:
    """Checks that the queue's server is new enough for several workers on one queue."""
    facts = subject.settings.queue_connection()
    with contextlib.suppress(ServiceUnavailable, ConfigurationError):
        if facts.driver == "redis":
            with _redis(subject, subject.settings.redis(facts.connection)) as client:
                yield from too_old(f"redis {client.info('server')['redis_version']}", _place(subject))
        elif subject.laravel.database(facts.connection).driver != "sqlite":
            with _connected(subject.laravel.database(facts.connection)) as server:
                version = server.exec_driver_sql("select version()").scalar_one()
            yield from too_old(version, _place(subject))


def too_old(version: str, where: str) -> Found:
    """What a server that reports this version cannot do."""
    name, _, number = version.partition(" ")
    if name == "redis":
        if int(number.partition(".")[0]) < OLDEST_REDIS:
            yield Finding(
                what=f"Redis {number} cannot wake a client that waits (CLIENT UNBLOCK): a stop takes longer",
                where=where,
                remedy=f"update it to {OLDEST_REDIS} or newer",
                hint=True,
            )
    elif not skips_locked(version):
        yield Finding(
            what=f"the database {version} knows no SKIP LOCKED: workers on one queue wait for each other",
            where=where,
            remedy="update it to MySQL 8.0.1, MariaDB 10.6 or PostgreSQL 9.5, or let bridge be the only "
            "worker",
            hint=True,
        )


def retry_after(subject: ExaminedApp) -> Found:
    """Checks that a reservation outlives the longest attempt."""
    facts, longest = subject.settings.queue_connection(), max(TIMEOUT, subject.settings.timeout)
    if facts.retry_after <= longest and subject.settings.php_binary and subject.has_code:
        yield Finding(
            what=f"retry_after is {facts.retry_after} s, and an attempt may take {longest}: it may run twice",
            where=f"{subject.laravel.config.where('queue')}, queue.connections.{facts.name}.retry_after",
            remedy=f"set it to more than {longest}; Laravel's own is 90",
        )


def clock(subject: ExaminedApp) -> Found:
    """Checks that the store's clock is ours: Laravel's delays are times of the app's clock."""
    facts = subject.settings.queue_connection()
    with contextlib.suppress(ServiceUnavailable, ConfigurationError):
        theirs = _their_time(subject, facts.driver, facts.connection)
        if theirs is not None and abs(theirs - subject.clock()) > SKEW:
            skew = abs(theirs - subject.clock())
            yield Finding(
                what=f"the clock of the queue's server and ours differ by {skew:.0f} s",
                where=_place(subject),
                remedy="set both by NTP: delays and retry_after go wrong, and TLS may",
            )


def _their_time(subject: ExaminedApp, driver: str, connection: str) -> float | None:
    if driver == "redis":
        with _redis(subject, subject.settings.redis(connection)) as client:
            seconds, microseconds = client.time()
        return seconds + microseconds / 1e6
    database = subject.laravel.database(connection)
    if database.driver not in _NOW:
        return None
    with _connected(database) as server:
        return float(server.exec_driver_sql(_NOW[database.driver]).scalar_one())


def redis_server(subject: ExaminedApp) -> Found:
    """Checks that Redis keeps jobs until they are taken, in a form that Laravel and bridge both read."""
    facts = subject.settings.queue_connection()
    if facts.driver != "redis":
        return
    server = subject.settings.redis(facts.connection)
    with contextlib.suppress(ServiceUnavailable, ConfigurationError), _redis(subject, server) as client:
        try:
            memory = client.info("memory")
        except redis.ResponseError:
            yield unseen_eviction(server.place)
            memory = {}
        yield from eviction(
            memory,
            server.place,
            user="the queue",
            lasting="jobs",
            expiring="which jobs are done: then a job may go out twice",
        )
        first = _first_entries(client, queue_key(server, subject.settings.queue_names()[0]).encode(), 1)
        if first and not _is_json(first[0]):
            yield Finding(
                what="entries of the queue are no JSON: phpredis packs them with a serializer or compression",
                where=f"database.redis.{server.name}",
                remedy="give the queue a Redis connection without these options",
            )
        yield from _other_prefix(subject, client, server)


def _other_prefix(subject: ExaminedApp, client: redis.Redis, server: RedisConnection) -> Found:
    name = queue_key(server, subject.settings.queue_names()[0]).removeprefix(server.prefix)
    keys = {
        key.decode(errors="replace").removesuffix(":notify") for key in _keys(client, f"*{name}*".encode())
    }
    prefixes = {key.removesuffix(name) for key in keys if key.endswith(name)}
    if prefixes and server.prefix not in prefixes:
        others = ", ".join(sorted(prefix or "(none)" for prefix in prefixes)[:3])
        yield Finding(
            what=f"no queue has the prefix {server.prefix or '(none)'}, but one has another: {others}",
            where=f"{subject.laravel.config.where('database')}, database.redis.options.prefix",
            remedy="if that is this app's, set REDIS_PREFIX as its PHP sees it (it comes from APP_NAME)",
            hint=True,
        )


def cache(subject: ExaminedApp) -> Found:
    """Checks that signals (queue:restart, queue:pause) and unique locks use a cache that both sides see."""
    name = subject.laravel.config.text("cache.default") or "null"
    where = subject.laravel.config.where("cache.default")
    with contextlib.closing(cache_store(subject.laravel, redis_connection=subject.settings.redis)) as store:
        if isinstance(store, NoStore):
            yield Finding(
                what=f"the cache {name} is each process's own: bridge never hears of queue:restart or pauses",
                where=where,
                remedy="set CACHE_STORE (CACHE_DRIVER before Laravel 11) to redis, database or file",
            )
        else:
            store.read(["illuminate:queue:restart"])


def maintenance(subject: ExaminedApp) -> Found:
    """Checks that the app is up."""
    storage = Path(subject.laravel.env.get("LARAVEL_STORAGE_PATH") or subject.path / "storage")
    down = storage / "framework/down"
    if down.exists() and not subject.settings.force:
        yield Finding(
            what="the app is in maintenance mode: no job is taken",
            where=subject.relative(down),
            remedy="php artisan up, or force = true in bridge.toml",
        )


@contextlib.contextmanager
def _connected(facts: DatabaseConnection) -> Iterator[sa.Connection]:
    made = engine(facts)
    try:
        with answering(facts), made.connect() as connection:
            yield connection
    finally:
        made.dispose()


@contextlib.contextmanager
def _redis(subject: ExaminedApp, facts: RedisConnection) -> Iterator[redis.Redis]:
    """In a cluster, the node that has the first queue."""
    key = queue_key(facts, subject.settings.queue_names()[0])
    with answering(facts), contextlib.closing(redis_client(facts, key=key)) as client:
        yield client


def _keys(client: redis.Redis, pattern: bytes) -> list[bytes]:
    found: list[bytes] = []
    cursor = 0
    for _ in range(SCANS):
        cursor, page = cast(tuple[int, list[bytes]], client.scan(cursor, match=pattern, count=1000))
        found += page
        if not cursor:
            break
    return found


def _is_json(entry: bytes) -> bool:
    try:
        json.loads(entry)
    except ValueError:
        return False
    return True
