"""Rows in which reservations come near their end, or several take from one queue."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator

from tests.chaos.crashes import finished
from tests.chaos.ground import Ground
from tests.chaos.rig import MIXTURE, Figures, Kind, Rig
from tests.end_to_end.bridge import Bridge
from tests.end_to_end.processes import wait_until
from tests.end_to_end.stores import NOTHING
from tests.services import free_port

RETRY_AFTER = 3  # seconds
SLOW: tuple[Kind, ...] = ("naps",) * 20  # of 0.2 s


@contextlib.contextmanager
def pair(rig: Rig) -> Iterator[tuple[Bridge, Bridge]]:
    """Two bridges on one queue, each with a client."""
    port = free_port()
    with contextlib.ExitStack() as stack:
        one = stack.enter_context(rig.bridge())
        stack.enter_context(rig.watched(only=rig.serving))
        two = stack.enter_context(rig.bridge(port=port))
        stack.enter_context(rig.watched(port=port, only=rig.serving))
        rig.there()
        yield one, two
        rig.must(one.terminate() == two.terminate() == 0, "a stop did not end with 0")


def one_bridge(ground: Ground) -> Figures:
    """Batches of PHP events that take longer together than `retry_after`."""
    with ground.rig(retry_after=RETRY_AFTER) as rig:
        rig.know("naps")
        with rig.bridge() as bridge, rig.watched():
            rig.there()
            for _ in range(ground.trials):
                rig.push(*SLOW)
                rig.drained()
            rig.must(bridge.terminate() == 0, "the stop did not end with 0")
            return rig.figures(ground.trials)


def two_bridges(ground: Ground) -> Figures:
    """The same, with two bridges on the queue."""
    with ground.rig(retry_after=RETRY_AFTER) as rig:
        rig.know("naps")
        with pair(rig):
            for _ in range(ground.trials):
                rig.push(*SLOW)
                rig.drained()
        return rig.figures(ground.trials, ordered=False)


def beside_queue_work(ground: Ground) -> Figures:
    """The same, with a bridge and Laravel's own worker on the queue."""
    with ground.rig(retry_after=RETRY_AFTER) as rig:
        rig.know("naps")
        with rig.bridge() as bridge, rig.watched():
            rig.there()
            with rig.app.queue_work("--sleep=0"):
                for _ in range(ground.trials):
                    rig.push(*SLOW)
                    rig.drained()
            rig.must(bridge.terminate() == 0, "the stop did not end with 0")
            return rig.figures(ground.trials, ordered=False, beside=True)


def all_three(ground: Ground) -> Figures:
    """Two bridges and Laravel's own worker on one queue of swift events."""
    with ground.rig() as rig:
        rig.know(*MIXTURE)
        with pair(rig), rig.app.queue_work("--sleep=0"):
            for _ in range(ground.trials):
                rig.push(*rig.chance.choices(MIXTURE, k=500))
                rig.drained()
        return rig.figures(ground.trials, ordered=False, beside=True)


def frozen(ground: Ground) -> Figures:
    """SIGSTOP for longer than `retry_after` in the middle of a batch, which a second bridge takes over."""
    with ground.rig(retry_after=2) as rig:
        rig.know("naps")
        with pair(rig) as (one, _):
            for _ in range(ground.trials):
                rig.push(*SLOW)
                time.sleep(rig.chance.uniform(0, 1))  # the moment is random, nothing is waited for
                os.kill(one.process.pid, signal.SIGSTOP)
                time.sleep(4)  # longer than the reservations
                os.kill(one.process.pid, signal.SIGCONT)
                rig.drained()
        return rig.figures(ground.trials, ordered=False)


def poison(ground: Ground) -> Figures:
    """One event that kills bridge each time, among forty good ones: it alone fails, after three crashes."""
    with ground.rig(retry_after=2) as rig:
        rig.know("kills", *MIXTURE)
        with rig.watched():
            rig.attended()
            for trial in range(ground.trials):
                rig.push(*MIXTURE * 4)
                rig.push("kills", fails=True)
                rig.push(*MIXTURE * 4)
                deaths = 0
                for _ in range(8):
                    with rig.bridge() as bridge:
                        wait_until(
                            "all is done, or bridge was killed",
                            lambda: bridge.process.poll() is not None or rig.store.left() == NOTHING,
                        )
                        if bridge.process.poll() is None:
                            rig.drained()
                            rig.must(bridge.terminate() == 0, "the stop did not end with 0")
                            break
                        deaths += 1
                rig.must(deaths == 3, f"trial {trial}: {deaths} crashes")
            finished(rig)
            return rig.figures(ground.trials)
