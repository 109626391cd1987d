"""Marks: the jobs whose broadcasts went out lately, so that none goes out twice when its job comes again."""

from __future__ import annotations

import collections
import hashlib
import time
from collections.abc import Callable, Iterable

MOST = 100_000  # jobs remembered, at least
KEPT = 600.0  # seconds, and twice retry_after at least
PARTS = 8  # of the time and the number, which are forgotten one after the other
SHORT = 12  # bytes that stand for a uuid


class Marks:
    """For one thread. Jobs are known by their uuid; a set of short digests takes a third of the memory that
    uuids would take, and all of one part are forgotten at once.

    retry_after  seconds after which a job may come again
    clock        monotonic seconds
    """

    def __init__(self, retry_after: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._kept = max(KEPT, 2 * retry_after)
        self._clock = clock
        # Since when, and the digests; the newest part last.
        self._parts: collections.deque[tuple[float, set[bytes]]] = collections.deque()

    def add(self, uuids: Iterable[str]) -> None:
        now = self._clock()
        for uuid in uuids:
            if (
                not self._parts
                or now - self._parts[-1][0] >= self._kept / PARTS
                or len(self._parts[-1][1]) >= MOST / PARTS
            ):
                self._parts.append((now, set()))
            self._parts[-1][1].add(_short(uuid))
        while self._parts and (
            now - self._parts[0][0] > self._kept * (1 + 1 / PARTS)
            or sum(len(part) for _, part in self._parts) > MOST * (1 + 1 / PARTS)
        ):
            self._parts.popleft()

    def __contains__(self, uuid: str) -> bool:
        short = _short(uuid)
        return any(short in part for _, part in self._parts)


def _short(uuid: str) -> bytes:
    return hashlib.blake2b(uuid.encode(errors="replace"), digest_size=SHORT).digest()
