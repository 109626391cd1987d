"""Marks: the jobs whose broadcasts went out lately, so that none goes out twice when its job comes again."""

from __future__ import annotations

import collections
import time
from collections.abc import Callable, Iterable

MOST = 100_000  # jobs remembered
KEPT = 600.0  # seconds, and twice retry_after at least


class Marks:
    """For one thread. Jobs are known by their uuid.

    retry_after  seconds after which a job may come again
    clock        monotonic seconds
    """

    def __init__(self, retry_after: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._kept = max(KEPT, 2 * retry_after)
        self._clock = clock
        self._marked: collections.OrderedDict[str, float] = collections.OrderedDict()

    def add(self, uuids: Iterable[str]) -> None:
        now = self._clock()
        for uuid in uuids:
            self._marked[uuid] = now
            self._marked.move_to_end(uuid)
        while self._marked and (
            len(self._marked) > MOST or now - next(iter(self._marked.values())) > self._kept
        ):
            self._marked.popitem(last=False)

    def __contains__(self, uuid: str) -> bool:
        return uuid in self._marked
