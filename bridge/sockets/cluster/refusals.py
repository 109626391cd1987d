"""Refusals: says for which key Redis refuses commands. Only what depends on that key is refused."""

from __future__ import annotations

import logging
from functools import partial
from typing import Any, Generic

from bridge.sockets.cluster.bus import Bus
from bridge.sockets.cluster.link import SCRIPTS, keys_of
from bridge.sockets.pusher.outcome import S

log = logging.getLogger(__name__)


class Refusals(Generic[S]):
    """Logs at most one a minute: there may be as many of them as commands."""

    def __init__(self, bus: Bus[S]) -> None:
        self._bus = bus
        self._warned_at = -60.0

    def refused(self, command: bytes, why: str) -> None:
        now = self._bus.now()
        if now - self._warned_at < 60:
            return
        self._warned_at = now
        what, keys = keys_of(command)
        names = {sha: script.name for script in SCRIPTS for sha in (script.sha, script.sharded_sha)}
        about = {
            "action": "bus_refused",
            "command": names.get(what, what.decode(errors="replace")),
            "why": why,
        }
        log.error("Redis refuses a command of the bus", extra=about)
        for key in keys:
            expected = self._bus.names.type_of(key)
            if self._bus.link is not None and expected:
                self._bus.link.send("TYPE", key, then=partial(self._typed, key, expected))

    def _typed(self, key: bytes, expected: str, answer: Any) -> None:
        if answer not in (b"none", expected.encode()):
            about = {
                "action": "bus_refused",
                "key": key.decode(errors="replace"),
                "type": answer.decode(),
                "expected": expected,
            }
            log.error("a key of the bus is of another type: rename or delete it", extra=about)
