"""How a `bridge serve` begins and ends, in shadow too: its signals, its store, its error."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable
from typing import TypeVar

from bridge.errors import BridgeError, ServiceUnavailable

START_PATIENCE = 5.0  # seconds in which the queue's store must answer for the first time

T = TypeVar("T")


def first_error(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The error that ended the start; its companions only followed it."""
    ours = group.subgroup(BridgeError)
    first: BaseException = ours or group
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    return first


def stop_signal() -> asyncio.Event:
    """Set by the first SIGTERM or SIGINT; the second ends the process as if there were no handler."""
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()

    def stop() -> None:
        stopping.set()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    return stopping


def hang_up_signal() -> asyncio.Event:
    """Set by each SIGHUP."""
    reload_requested = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, reload_requested.set)
    return reload_requested


def reload_signals() -> asyncio.Event:
    """Set by each SIGHUP, and by SIGUSR2, which one process alone understands in the same way."""
    reload_requested = hang_up_signal()
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR2, reload_requested.set)
    return reload_requested


def wait_for_store(check: Callable[[], T]) -> T:
    """The store's answer, once it has one. Raises ServiceUnavailable if it has none in START_PATIENCE."""
    deadline = time.monotonic() + START_PATIENCE
    while True:
        try:
            return check()
        except ServiceUnavailable:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.25)
