"""Waiting for a store that does not answer: with growing pauses, until it does or a stop cannot wait."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from bridge.errors import ServiceUnavailable

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 2.0  # seconds between tries of a store that does not answer
SILENT = 3.0  # seconds without an answer after which a store counts as one that does not

log = logging.getLogger(__name__)

Value = TypeVar("Value")


class StopDeadlinePassed(Exception):
    """A stop's time is up."""


class StoreRetry:
    """For one thread, but for `stop`.

    fault  called at each answer that fails to come
    """

    def __init__(self, fault: Callable[[], object] = lambda: None) -> None:
        self._fault = fault
        self._deadline = float("inf")  # monotonic; when a stop must have ended
        self.stopping = threading.Event()
        self.store_answers = threading.Event()  # set while the store does
        self._asked_at = float("inf")  # monotonic; when the answer that is awaited was asked for

    @property
    def answers(self) -> bool:
        """Whether the store does, as far as is known now: none is awaited for long. Any thread may ask."""
        return self.store_answers.is_set() and time.monotonic() - self._asked_at < SILENT

    def stop(self, timeout: float) -> None:
        """Pauses become short, and from `timeout` seconds on nothing is waited for."""
        self._deadline = time.monotonic() + timeout
        self.stopping.set()

    def __call__(self, work: Callable[[], Value]) -> Value:
        """What `work` returns, as soon as the store answers.

        Raises StopDeadlinePassed when a stop cannot wait for it.
        """
        pause, lost_at = FIRST_PAUSE, None
        while True:
            self._asked_at = time.monotonic()
            try:
                value = work()
                break
            except ServiceUnavailable as error:
                self._fault()
                self.store_answers.clear()
                if lost_at is None:
                    lost_at = time.monotonic()
                    log.warning(
                        "the queue does not answer", extra={"action": "store_lost", "why": str(error)}
                    )
            finally:
                self._asked_at = float("inf")
            if time.monotonic() + pause > self._deadline:
                raise StopDeadlinePassed
            if self.stopping.wait(pause * random.uniform(0.5, 1)):  # noqa: S311 - workers shall not come together
                time.sleep(FIRST_PAUSE)  # a stop shortens the pauses
            pause = min(2 * pause, LONGEST_PAUSE)
        if not self.store_answers.is_set():  # cheaper than to set it again
            self.store_answers.set()
        if lost_at is not None:
            lost_s = round(time.monotonic() - lost_at, 1)
            log.info("the queue answers again", extra={"action": "store_back", "lost_s": lost_s})
        return value
