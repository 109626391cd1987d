"""The reconnect gate: after a restart no job is taken until the clients that were here are back.

An event that goes out before that is delivered to nobody, and done. How many there were outlives the process
in a small file, written once a second where the number has changed; an orderly stop leaves `is_clean`.
How long to wait follows from pusher-js 8.6: after a close with 4200 it comes back at once, with 4100 or after
a crash in one second, and where that is refused not before sixteen.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from bridge import state_file

AFTER_STOP, AFTER_CRASH = 2.0, 17.0  # seconds that jobs wait; after a stop longer while clients are coming
SHARE = 0.95  # of the connections and of the subscriptions of before; some pages have been closed
TICK = 0.25  # seconds between two looks while jobs wait; whoever comes within one is waited for
WRITE_INTERVAL = 1.0  # seconds
LARGEST = 4_096  # bytes of the file

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Present:
    """How many are here: connections, and subscriptions, without which a connection gets nothing."""

    connections: int = 0
    subscriptions: int = 0
    is_clean: bool = False  # the process stopped in order


class ReconnectGate:
    """`wait` once at the start, then `keep` until the stop, then `close`.

    file   where the numbers outlive a restart; None: there is no gate
    count  how many are here now; on the loop
    most   seconds that jobs wait; None: AFTER_STOP or AFTER_CRASH
    """

    def __init__(self, file: Path | None, count: Callable[[], Present], most: float | None = None) -> None:
        self._file = file
        self._count = count
        self._most = most
        self._written = self._before = Present() if file is None else _read(file)
        self.is_shut = self._before.connections > 0

    async def wait(self) -> None:
        """Waits until the clients of before are back, or their time is up."""
        if not self.is_shut:
            return
        before = self._before
        seconds = AFTER_STOP if before.is_clean else AFTER_CRASH
        seconds, longest = (seconds, AFTER_CRASH) if self._most is None else (self._most, self._most)
        about: dict[str, object] = {"action": "reconnect_gate", "seconds": seconds}
        log.info(f"jobs wait for {before.connections} clients to come back", extra=about)
        started = time.monotonic()
        last = self._count()
        while not self._has_all(last):
            await asyncio.sleep(TICK)
            now, took = self._count(), time.monotonic() - started
            if took >= longest or (now == last and (took >= seconds or self._has_most(now))):
                break
            last = now
        self.is_shut = False
        about = {"action": "reconnect_gate", "seconds": round(time.monotonic() - started, 1)}
        log.info(f"{self._count().connections} clients are back", extra=about)

    async def keep(self) -> None:
        """Writes the present numbers into the file, for ever."""
        while self._file is not None:
            await self._write(self._count())
            await asyncio.sleep(WRITE_INTERVAL)

    async def close(self) -> None:
        """Writes the numbers a last time. Call it on an orderly stop, before the clients are closed."""
        if self._file is not None:
            now = self._before if self.is_shut else self._count()
            await self._write(Present(now.connections, now.subscriptions, is_clean=True))

    async def _write(self, now: Present) -> None:
        if now != self._written and self._file is not None:
            self._written = now
            await asyncio.to_thread(_write, self._file, now)

    def _has_all(self, now: Present) -> bool:
        before = self._before
        return now.connections >= before.connections and now.subscriptions >= before.subscriptions

    def _has_most(self, now: Present) -> bool:
        before = self._before
        return (
            now.connections >= SHARE * before.connections
            and now.subscriptions >= SHARE * before.subscriptions
        )


def _read(file: Path) -> Present:
    """Where it is not known, nobody was here: then jobs do not wait."""
    try:
        found = json.loads(state_file.read(file, LARGEST))
        numbers = found["connections"], found["subscriptions"]
        if all(type(number) is int and number >= 0 for number in numbers):
            return Present(*numbers, is_clean=found["is_clean"] is True)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        pass
    return Present()


def _write(file: Path, now: Present) -> None:
    """Whole or not at all. Without it there is no gate at the next start, and nothing else is wrong."""
    try:
        state_file.write(file, json.dumps(asdict(now)))
    except OSError as problem:
        log.debug(
            "the number of clients cannot be kept", extra={"action": "reconnect_gate", "why": str(problem)}
        )
