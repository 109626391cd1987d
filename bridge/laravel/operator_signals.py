"""What an operator says to all queue workers: queue:pause, queue:restart, down.

Sources: Queue/{QueueManager,Worker}.php, Foundation/{FileBased,CacheBased}MaintenanceMode.php; spec
laravel-queue, section 9.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from bridge.errors import BridgeError, ConfigurationError
from bridge.laravel.application import LaravelApp
from bridge.laravel.cache import CacheStore
from bridge.phpeval.laravel.version import NEWEST, Version

LOOK = 1.0  # seconds between two looks
AFTER_FAULT = 15.0  # seconds until a store that did not answer is asked again

RESTART = "illuminate:queue:restart"
PAUSED = "illuminate:queue:paused:"  # and CONNECTION:QUEUE
OWN_PAUSED = "bridge:queue:paused:"  # the same, where Laravel knows no pauses yet: bridge alone heeds it
ALL_PAUSED = "illuminate:queues:paused"
DOWN = "illuminate:foundation:down"

log = logging.getLogger(__name__)


class OperatorSignals:
    """Used by one thread.

    open_store  the cache store of a name, None for the default one; may raise ConfigurationError
    connection  Laravel's name of the queue connection
    force       work in maintenance mode too
    restart     called after `queue:restart`
    clock       seconds, monotonic
    """

    def __init__(
        self,
        laravel: LaravelApp,
        open_store: Callable[[str | None], CacheStore],
        *,
        connection: str,
        queues: Sequence[str],
        force: bool,
        restart: Callable[[], object],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._restart = restart
        self._clock = clock
        self._store = _opened(open_store, None)
        release = laravel.release or NEWEST
        self._pauses = {queue: pause_key(release, connection, queue) for queue in queues}
        self._keys = [RESTART, *self._pauses.values(), *([ALL_PAUSED] if release >= (13, 25) else [])]
        self._down_file: Path | None = None
        self._down_store: CacheStore | None = None
        if not force:
            self._find_maintenance(laravel, open_store)
        self._next_look = clock()
        self._restarted_at: bytes | None = None
        self._has_looked = False
        self._is_lost = False
        self._paused: frozenset[str] = frozenset()

    def paused(self) -> frozenset[str]:
        """The queues from which no job may be taken now; looks once a second."""
        now = self._clock()
        if now < self._next_look:
            return self._paused
        self._next_look = now + LOOK
        try:
            self._look()
            self._is_lost = False
        except BridgeError as problem:
            self._next_look = now + AFTER_FAULT
            if not self._is_lost:
                log.warning(
                    "the app's cache does not answer: pauses are not seen",
                    extra={"action": "signals_lost", "why": str(problem)},
                )
            self._is_lost = True
        return self._paused

    def close(self) -> None:
        for store in (self._store, self._down_store):
            if store is not None:
                store.close()

    def _look(self) -> None:
        values = self._store.read(self._keys) if self._store else ()
        said = {key for key, value in zip(self._keys, values, strict=False) if value not in (None, b"b:0;")}
        restarted_at = values[0] if values else None
        down = self._is_down()
        everything = down or ALL_PAUSED in said
        paused = frozenset(queue for queue, key in self._pauses.items() if everything or key in said)
        if paused != self._paused:
            about = {"action": "queues_paused", "queues": ",".join(sorted(paused)), "maintenance": down}
            log.info("queues are paused" if paused else "no queue is paused any more", extra=about)
        self._paused = paused
        if self._has_looked and restarted_at != self._restarted_at:
            self._restart()
        self._restarted_at, self._has_looked = restarted_at, True

    def _is_down(self) -> bool:
        if self._down_store is not None:
            return self._down_store.read([DOWN]) != [None]
        return self._down_file is not None and self._down_file.exists()

    def _find_maintenance(self, laravel: LaravelApp, open_store: Callable[[str | None], CacheStore]) -> None:
        storage = laravel.env.get("LARAVEL_STORAGE_PATH") or str(laravel.path / "storage")
        self._down_file = Path(storage) / "framework/down"
        try:
            if laravel.config.text("app.maintenance.driver") == "cache":
                self._down_store = _opened(open_store, laravel.config.text("app.maintenance.store"))
        except ConfigurationError as problem:
            _say_unseen(problem)


def pause_key(release: Version, connection: str, queue: str) -> str:
    """The key of the cache that pauses the queue while it holds true."""
    return f"{PAUSED if release >= (12, 40) else OWN_PAUSED}{connection}:{queue}"


class Pauses:
    """Pauses queues as `queue:pause` does, and lets them go on. Any thread, but one at a time."""

    def __init__(
        self, laravel: LaravelApp, open_store: Callable[[str | None], CacheStore], connection: str
    ) -> None:
        self._release = laravel.release or NEWEST
        self._open_store = open_store
        self._connection = connection
        self._opened: CacheStore | None = None

    def paused(self, queues: Sequence[str]) -> frozenset[str]:
        """Those of the queues that are paused one by one. Raises BridgeError."""
        values = self._store().read([self._key(queue) for queue in queues])
        return frozenset(
            queue for queue, value in zip(queues, values, strict=True) if value not in (None, b"b:0;")
        )

    def pause(self, queue: str) -> None:
        """Pauses the queue: workers take no job from it, within a second or two. Raises BridgeError."""
        self._store().keep(self._key(queue), b"b:1;")

    def resume(self, queue: str) -> None:
        """Workers take its jobs again. Raises BridgeError."""
        self._store().forget(self._key(queue))

    def close(self) -> None:
        if self._opened is not None:
            self._opened.close()

    def _store(self) -> CacheStore:
        if self._opened is None:
            self._opened = self._open_store(None)
        return self._opened

    def _key(self, queue: str) -> str:
        return pause_key(self._release, self._connection, queue)


def _opened(open_store: Callable[[str | None], CacheStore], name: str | None) -> CacheStore | None:
    try:
        return open_store(name)
    except ConfigurationError as problem:
        _say_unseen(problem)
        return None


def _say_unseen(problem: ConfigurationError) -> None:
    log.info("signals to queue workers are not all seen", extra={"action": "signals", "why": str(problem)})
