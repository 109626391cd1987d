"""Answers that have gone out, resolved again by native and by PHP, beside the way: see `trust.py`.

One thread with ladders of its own. It asks PHP only while a process is idle, and only what may be run a
second time: what native evaluation resolves has no side effects, but PHP would release a unique event's lock.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence

from bridge.errors import BridgeError
from bridge.jobs.resolve.comparison import Verdict, verdict
from bridge.jobs.resolve.ladder import Ladder
from bridge.jobs.resolve.resolution import Resolution
from bridge.jobs.resolve.trust import TWICE, Record, Trust
from bridge.laravel.payload import UNIQUE_BROADCAST_EVENT, Payload

WAITING = 100  # checks that wait; what comes then is not checked
PATIENCE = 0.5  # seconds between looks whether PHP is idle
WARM = 3  # readings of a job until the native ladder goes its short way, as the worker's does

Check = tuple[Record, Payload, Resolution]

log = logging.getLogger(__name__)


class Checks:
    """
    native, php  ladders of this thread alone, closed by it
    is_idle      whether PHP has nothing else to do
    """

    def __init__(self, native: Ladder, php: Ladder, trust: Trust, is_idle: Callable[[], bool]) -> None:
        self._native = native
        self._php = php
        self._trust = trust
        self._is_idle = is_idle
        self._waiting: queue.Queue[Check] = queue.Queue(WAITING)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="checks", daemon=True)

    def add(self, checks: Sequence[Check]) -> None:
        """Takes answers that have gone out, to check them. Any thread may call it."""
        for check in checks:
            if check[1].command_name != UNIQUE_BROADCAST_EVENT and not self._waiting.full():
                self._waiting.put(check)

    def start(self) -> None:
        self._thread.start()

    def close(self, timeout: float = 1.0) -> None:
        """Begins no further check."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join(timeout)

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                try:
                    check = self._waiting.get(timeout=PATIENCE)
                except queue.Empty:
                    continue
                while not self._is_idle() and not self._stopping.wait(PATIENCE):
                    pass
                if not self._stopping.is_set():
                    self.check(*check)
        finally:
            self._native.close()
            self._php.close()

    def check(self, record: Record, payload: Payload, sent: Resolution) -> None:
        """Compares, and learns from it. A difference counts once it is found twice, close together."""
        try:
            for _ in range(TWICE):
                found, paths = self._compared(payload, sent)
                self._trust.learn(record, found, paths, sent.path)
                if found != "different":
                    return
        except BridgeError as problem:  # PHP or a database is away: another job will be checked
            about = {"action": "check", "event_class": record.class_name, "why": str(problem)}
            log.info("native evaluation could not be checked", extra=about)
        except Exception:
            log.exception("a check met a fault of bridge's own", extra={"action": "check_fault"})

    def _compared(self, payload: Payload, sent: Resolution) -> tuple[Verdict, Sequence[str]]:
        for _ in range(WARM):
            native = self._native.resolve(payload)
        began = time.monotonic()
        php = self._php.resolve(payload)
        if (php.outcome, php.broadcasts) == (sent.outcome, sent.broadcasts):
            return "same", ()
        return verdict(native, php, lambda: self._native.resolve(payload), time.monotonic() - began)
