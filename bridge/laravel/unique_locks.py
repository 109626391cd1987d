"""The locks of unique broadcast events: taken by the app at the dispatch, released when the job has ended.

Sources: Bus/UniqueLock.php, Broadcasting/UniqueBroadcastEvent.php, Queue/CallQueuedHandler.php of 9.52 to
13.26.
"""

from __future__ import annotations

import collections
import logging
import time
from collections.abc import Callable

import xxhash

from bridge.errors import BridgeError, ConfigurationError, Refused
from bridge.laravel.cache import CacheStore, Lock
from bridge.laravel.payload import UNIQUE_BROADCAST_EVENT, BroadcastEvent
from bridge.phpeval.laravel.version import Version
from bridge.phpeval.php.runtime.operators import to_string
from bridge.phpeval.php.runtime.values import EnumCase, PhpArray, PhpObject

AFTER_FAULT = 15.0  # seconds until a store that did not answer is asked again
KEPT = 1_000  # locks of a store that does not answer, to be released later

log = logging.getLogger(__name__)


class UniqueLocks:
    """`store`: the default cache store, or why there is none that bridge can use. `clock` in seconds."""

    def __init__(
        self, store: CacheStore | ConfigurationError, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._store = store
        self._clock = clock
        self._next_try = clock()
        self._owed: collections.deque[Lock] = collections.deque(maxlen=KEPT)

    def of(self, event: BroadcastEvent) -> Lock | None:
        """The lock of the event, None where it is not unique. Refused where only PHP can know it."""
        if event.command.class_name != UNIQUE_BROADCAST_EVENT:
            return None
        store = self._store
        if isinstance(store, ConfigurationError):
            raise Refused(f"a unique event, whose lock is out of reach: {store}")
        unique_id, owner = (_text(event, name) for name in ("uniqueId", "uniqueLockOwner"))
        releases = (event.oldest, event.version)
        keys = {store.lock_key(lock_name(event.class_name, unique_id, one), one) for one in releases}
        if len(keys) > 1:
            raise Refused("a unique event: say Laravel's version with BRIDGE_LARAVEL_VERSION")
        if owner and store.packed:
            raise Refused("a unique event, whose lock's owner is packed by phpredis")
        return Lock(key=keys.pop(), owner=owner)

    def release(self, event: BroadcastEvent) -> None:
        """Releases the event's lock, later if the store does not answer; what is not known stays locked."""
        try:
            lock = self.of(event)
        except Refused as refusal:
            about = {"action": "lock_kept", "event_class": event.class_name, "why": str(refusal)}
            log.warning("the lock of a unique event lasts until it expires", extra=about)
            return
        if lock is not None:
            self._owed.append(lock)
            self.retry()

    def retry(self) -> None:
        """Locks that could not be released before are, if the store answers now."""
        while self._owed and self._next_try <= self._clock() and not isinstance(self._store, Exception):
            try:
                self._store.unlock(self._owed[0])
            except BridgeError as problem:
                self._next_try = self._clock() + AFTER_FAULT
                about = {"action": "lock_owed", "locks": len(self._owed), "why": str(problem)}
                log.warning("locks of unique events are released later", extra=about)
                return
            self._owed.popleft()

    def close(self) -> None:
        if not isinstance(self._store, ConfigurationError):
            self._store.close()


def lock_name(event_class: str, unique_id: str, release: Version) -> str:
    """What a Laravel of that release (9.23 on) calls the lock. `unique_id` as it stands in the job."""
    if release >= (12, 54):
        return f"laravel_unique_job:{xxhash.xxh3_128_hexdigest(event_class.encode())}:{unique_id}"
    if release >= (12, 41):
        return f"laravel_unique_job:{event_class}:{unique_id}"
    separator = ":" if release >= (11, 0) else ""
    return f"laravel_unique_job:{UNIQUE_BROADCAST_EVENT}{separator}{unique_id}"


def _text(event: BroadcastEvent, name: str) -> str:
    value = event.command.get(name)
    if isinstance(value, PhpObject | PhpArray | EnumCase):
        raise Refused(f"a unique event whose {name} is no text")
    try:
        return to_string(value).decode()
    except UnicodeDecodeError:
        raise Refused(f"a unique event whose {name} is not UTF-8") from None
