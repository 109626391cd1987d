"""The app's cache stores, as far as a queue worker must know them: signals are read, locks are released; and
as far as an operator gives signals: values are kept for ever, and forgotten.

Facts: Cache/{Redis,Database,File}Store.php and their locks, of 8.83 to 13.26.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import redis
import sqlalchemy as sa
from redis.cluster import RedisCluster

from bridge.errors import ConfigurationError, ServiceUnavailable
from bridge.laravel.application import LaravelApp
from bridge.laravel.connections import DatabaseConnection
from bridge.laravel.database import answering, engine
from bridge.laravel.redis_client import cluster_client, redis_client
from bridge.laravel.redis_connections import RedisConnection
from bridge.phpeval.laravel.version import Version

ATTEMPT = 0.05  # seconds between attempts at a lock
FOREVER = 315_360_000  # seconds that a database keeps what is kept for ever: ten years, as Laravel's
NO_EXPIRY = b"9999999999"  # the same in a file
TIMEOUT = 2.0  # seconds in which Redis must answer: the worker waits meanwhile
_OWN_DRIVERS = ("array", "null")  # what one process keeps for itself, or nobody does

# Deletes a lock that has this owner.
_RELEASE = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end return 0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """key    of a lock in its store, in full
    owner  whose lock it must be; empty: whoever has it
    """

    key: str
    owner: str = ""


class CacheStore(Protocol):
    """One entry of `cache.stores`. Nothing is connected until something is read or released."""

    @property
    def packed(self) -> bool:
        """Whether values bear a form that only phpredis reads."""
        ...

    def read(self, keys: Sequence[str]) -> list[bytes | None]:
        """The values as they are stored, None where there is none. Raises BridgeError."""
        ...

    def keep(self, key: str, value: bytes) -> None:
        """Stores the value, as PHP serializes it, without expiry: Laravel's `forever`. Raises BridgeError."""
        ...

    def forget(self, key: str) -> None:
        """Deletes the value of this key. Raises BridgeError."""
        ...

    def lock_key(self, name: str, release: Version) -> str:
        """The key under which a Laravel of that release keeps the lock."""
        ...

    def unlock(self, lock: Lock) -> None:
        """Releases the lock, unless it belongs to another owner. Raises BridgeError."""
        ...

    def close(self) -> None:
        """Closes the connections; a later call opens them again."""
        ...


def cache_store(
    laravel: LaravelApp,
    name: str | None = None,
    *,
    redis_connection: Callable[[str], RedisConnection] | None = None,
    clock: Callable[[], float] = time.time,
) -> CacheStore:
    """The store called `name`, None for the default one.

    `redis_connection` gives a Redis connection by name, None: as the app has it. Raises ConfigurationError
    for a store that only PHP can use.
    """
    config = laravel.config
    name = name or config.text("cache.default") or "null"
    key = f"cache.stores.{name}"
    driver = config.text(f"{key}.driver") or name
    if driver in _OWN_DRIVERS:
        return NoStore()
    own_prefix = config.text(f"{key}.prefix")
    prefix = (config.text("cache.prefix") or "") if own_prefix is None else own_prefix
    connection, lock_connection = (config.text(f"{key}.{one}") for one in ("connection", "lock_connection"))
    match driver:
        case "redis":
            connect = redis_connection or laravel.redis
            connection = connection or "default"
            return RedisStore(
                connect(connection),
                connect(lock_connection or connection),
                prefix=prefix,
                release=laravel.release,
            )
        case "database":
            return DatabaseStore(
                laravel.database(connection),
                laravel.database(lock_connection or connection),
                table=config.text(f"{key}.table") or "cache",
                lock_table=config.text(f"{key}.lock_table") or "cache_locks",
                prefix=prefix,
                clock=clock,
            )
        case "file":
            path = config.text(f"{key}.path") or str(laravel.path / "storage/framework/cache/data")
            locks = config.text(f"{key}.lock_path") or path
            return FileStore(laravel.path / path, laravel.path / locks, clock=clock)
    raise config.error(
        key,
        f"has the driver {driver}, which bridge cannot use",
        remedy="use redis, database or file, or leave what depends on it to PHP",
    )


class NoStore:
    """The driver `array` or `null`: a queue worker finds nothing there, and nothing is locked for it."""

    packed = False

    def read(self, keys: Sequence[str]) -> list[bytes | None]:
        return [None] * len(keys)

    def keep(self, key: str, value: bytes) -> None:
        raise ConfigurationError(
            "cache.default",
            "is each process's own (array) or none, so nobody else would see what is kept there",
            remedy="set CACHE_DRIVER (CACHE_STORE from Laravel 11) to redis, database or file",
        )

    def forget(self, key: str) -> None:
        pass

    def lock_key(self, name: str, release: Version) -> str:
        return ""

    def unlock(self, lock: Lock) -> None:
        pass

    def close(self) -> None:
        pass


class RedisStore:
    """`release` None: not known, then a value may stand under the name of either form."""

    def __init__(
        self, facts: RedisConnection, lock_facts: RedisConnection, *, prefix: str, release: Version | None
    ) -> None:
        self._facts = facts
        self._lock_facts = lock_facts
        self._client: redis.Redis | RedisCluster | None = None
        self._lock_client: redis.Redis | RedisCluster | None = None
        self._prefix = prefix
        forms = [release] if release else [(10, 99), (11, 0)]
        self._starts = list(dict.fromkeys(facts.prefix + self._start(form) for form in forms))

    @property
    def packed(self) -> bool:
        return self._lock_facts.packed

    def read(self, keys: Sequence[str]) -> list[bytes | None]:
        names = [start + key for start in self._starts for key in keys]
        with answering(self._facts):
            pipeline = self._opened().pipeline(transaction=False)  # in a cluster they lie on several nodes
            for name in names:
                pipeline.get(name)
            values: Any = pipeline.execute()
        return [
            next((one for one in values[at :: len(keys)] if one is not None), None) for at in range(len(keys))
        ]

    def keep(self, key: str, value: bytes) -> None:
        if self._facts.packed:
            raise ConfigurationError(
                f"database.redis.{self._facts.name}",
                "packs its values (serializer or compression), which only phpredis can write",
                remedy="give the cache a Redis connection without these options, or use php artisan",
            )
        with answering(self._facts):
            client = self._opened()
            for start in self._starts:
                client.set(start + key, value)

    def forget(self, key: str) -> None:
        with answering(self._facts):
            client = self._opened()
            for start in self._starts:
                client.delete(start + key)

    def _opened(self) -> redis.Redis | RedisCluster:
        if self._client is None:
            self._client = _client(self._facts)
        return self._client

    def lock_key(self, name: str, release: Version) -> str:
        return self._lock_facts.prefix + self._start(release) + name

    def unlock(self, lock: Lock) -> None:
        with answering(self._lock_facts):
            if self._lock_client is None:
                self._lock_client = _client(self._lock_facts)
            if lock.owner:
                self._lock_client.eval(_RELEASE, 1, lock.key, lock.owner)
            else:
                self._lock_client.delete(lock.key)

    def close(self) -> None:
        for client in (self._client, self._lock_client):
            if client is not None:
                client.close()
        self._client = self._lock_client = None

    def _start(self, release: Version) -> str:
        return f"{self._prefix}:" if self._prefix and release < (11, 0) else self._prefix


class DatabaseStore:
    def __init__(
        self,
        facts: DatabaseConnection,
        lock_facts: DatabaseConnection,
        *,
        table: str,
        lock_table: str,
        prefix: str,
        clock: Callable[[], float],
    ) -> None:
        self._facts = facts
        self._lock_facts = lock_facts
        self._engine = engine(facts)
        self._lock_engine = self._engine if lock_facts == facts else engine(lock_facts)
        self._values = _table(facts.prefix + table, "key", "value", "expiration")
        self._locks = _table(lock_facts.prefix + lock_table, "key", "owner")
        self._prefix = prefix
        self._clock = clock

    packed = False

    def read(self, keys: Sequence[str]) -> list[bytes | None]:
        names, row = [self._prefix + key for key in keys], self._values.c
        live = sa.select(row.key, row.value).where(row.key.in_(names), row.expiration > int(self._clock()))
        with answering(self._facts), self._engine.connect() as connection:
            found = {key: value for key, value in connection.execute(live)}
        return [_bytes(found.get(name)) for name in names]

    def keep(self, key: str, value: bytes) -> None:
        row = self._values.c
        kept = {"value": value.decode(), "expiration": int(self._clock()) + FOREVER}
        with answering(self._facts), self._engine.begin() as connection:
            changed = sa.update(self._values).where(row.key == self._prefix + key).values(kept)
            if not connection.execute(changed).rowcount:
                connection.execute(sa.insert(self._values).values(key=self._prefix + key, **kept))

    def forget(self, key: str) -> None:
        gone = sa.delete(self._values).where(self._values.c.key == self._prefix + key)
        with answering(self._facts), self._engine.begin() as connection:
            connection.execute(gone)

    def lock_key(self, name: str, release: Version) -> str:
        return self._prefix + name

    def unlock(self, lock: Lock) -> None:
        row = self._locks.c
        delete = sa.delete(self._locks).where(row.key == lock.key)
        if lock.owner:
            delete = delete.where(row.owner == lock.owner)
        with answering(self._lock_facts), self._lock_engine.begin() as connection:
            connection.execute(delete)

    def close(self) -> None:
        self._engine.dispose()
        self._lock_engine.dispose()


class FileStore:
    """A file for each key: ten digits of expiry (unix seconds), then the serialized value."""

    packed = False

    def __init__(self, path: Path, lock_path: Path, *, clock: Callable[[], float]) -> None:
        self._path = path
        self._lock_path = lock_path
        self._clock = clock

    def read(self, keys: Sequence[str]) -> list[bytes | None]:
        return [self._value(self._path / _file(key)) for key in keys]

    def keep(self, key: str, value: bytes) -> None:
        file = self._path / _file(key)
        with _usable(file):
            file.parent.mkdir(parents=True, exist_ok=True)
            with file.open("a+b") as handle:
                fcntl.flock(handle, fcntl.LOCK_EX)
                handle.truncate(0)
                handle.write(NO_EXPIRY + value)

    def forget(self, key: str) -> None:
        file = self._path / _file(key)
        with _usable(file):
            file.unlink(missing_ok=True)

    def lock_key(self, name: str, release: Version) -> str:
        return f"file-store-lock:{name}" if release >= (12, 36) else name

    def unlock(self, lock: Lock) -> None:
        file = self._lock_path / _file(lock.key)
        if lock.owner and self._value(file) != _serialized(lock.owner):
            return
        with _usable(file):
            file.unlink(missing_ok=True)

    @contextmanager
    def hold(self, name: str, release: Version, *, seconds: int, patience: float) -> Iterator[None]:
        """The lock is ours within; it ends by itself after `seconds`. ServiceUnavailable after `patience`.

        Source: Cache/FileStore.php `add`, Cache/Lock.php `block`.
        """
        lock = Lock(key=self.lock_key(name, release), owner=secrets.token_hex(8))
        deadline = time.monotonic() + patience
        while not self._acquire(lock, seconds):
            if time.monotonic() > deadline:
                raise ServiceUnavailable(f"the app's lock {name} was not free within {patience:g} s")
            time.sleep(ATTEMPT)
        try:
            yield
        finally:
            self.unlock(lock)

    def close(self) -> None:
        pass

    def _acquire(self, lock: Lock, seconds: int) -> bool:
        file = self._lock_path / _file(lock.key)
        with _usable(file):
            file.parent.mkdir(parents=True, exist_ok=True)
            with file.open("a+b") as handle:
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    if os.fstat(handle.fileno()).st_ino != file.stat().st_ino:
                        return False
                except (BlockingIOError, FileNotFoundError):  # at work, or just released
                    return False
                handle.seek(0)
                expiry = handle.read(10)
                if expiry.isdigit() and int(expiry) > self._clock():
                    return False
                handle.truncate(0)
                handle.write(b"%010d" % (int(self._clock()) + seconds) + _serialized(lock.owner))
        return True

    def _value(self, file: Path) -> bytes | None:
        with _usable(file):
            try:
                content = file.read_bytes()
            except (FileNotFoundError, NotADirectoryError):
                return None
        expiry = content[:10]
        return content[10:] if expiry.isdigit() and int(expiry) > self._clock() else None


def _client(facts: RedisConnection) -> redis.Redis | RedisCluster:
    """A client that gives up soon: the worker waits meanwhile, and comes again later anyhow."""
    connect = cluster_client if facts.cluster else redis_client
    return connect(facts, socket_timeout=TIMEOUT)


def _serialized(text: str) -> bytes:
    return b's:%d:"%s";' % (len(text.encode()), text.encode())


def _file(key: str) -> str:
    digest = hashlib.sha1(key.encode(), usedforsecurity=False).hexdigest()
    return f"{digest[:2]}/{digest[2:4]}/{digest}"


@contextmanager
def _usable(file: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ServiceUnavailable(
            f"the cache file {file}, {error.strerror}: let this user read and write the cache"
        ) from None


def _table(name: str, *columns: str) -> sa.TableClause:
    schema, _, name = name.rpartition(".")
    return sa.table(name, *map(sa.column, columns), schema=schema or None)


def _bytes(value: object) -> bytes | None:
    return value.encode() if isinstance(value, str) else bytes(value) if isinstance(value, bytes) else None
