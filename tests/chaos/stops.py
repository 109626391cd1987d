"""Rows in which bridge is told to stop, and other signals."""

from __future__ import annotations

import contextlib
import os
import signal
import time

from tests.chaos.crashes import finished
from tests.chaos.ground import Ground
from tests.chaos.rig import MIXTURE, Figures, Kind
from tests.end_to_end.processes import family, wait_until

LIFE = 1.6  # seconds until a stop, at most
GATE = 30  # seconds: the clients come back at once, but a loaded machine may be slow to let them
QUICK: tuple[Kind, ...] = ("quick",) * 20


def under_load(ground: Ground) -> Figures:
    """SIGTERM at a random moment of a steady flow: exit 0, nothing stays reserved; then a new start, at
    which no event goes out before the clients are back."""
    with ground.rig(settings={"BRIDGE_RECONNECT_GATE": str(GATE)}) as rig:
        rig.know(*MIXTURE)
        with rig.watched(number=2):
            rig.attended()
            with rig.flow(50):
                for number in range(ground.trials):
                    with rig.bridge() as bridge:
                        time.sleep(rig.chance.uniform(0, LIFE))  # the moment is random, nothing is waited for
                        code = bridge.terminate()
                        reserved = rig.store.left().reserved
                        rig.must(
                            not code and not reserved, f"stop {number}: exit {code}, {reserved} reserved"
                        )
            finished(rig)
            return rig.figures(ground.trials)


def while_php_hangs(ground: Ground) -> Figures:
    """SIGTERM while an event hangs in PHP and twenty wait behind it: all go back, and no PHP stays."""
    with ground.rig(settings={"BRIDGE_DRAIN_SECONDS": "3"}) as rig:
        rig.know("hangs", "quick")
        for number in range(ground.trials):
            rig.push("hangs", *QUICK)
            with rig.bridge() as bridge:
                wait_until("all are reserved", lambda: rig.store.left().reserved > 1)
                wait_until("PHP is at work", lambda: len(family(bridge.process.pid)) > 1)
                processes = family(bridge.process.pid)
                code = bridge.terminate()
            left = rig.store.left()
            rig.must(
                not code and (left.waiting, left.reserved) == (21, 0), f"stop {number}: exit {code}, {left}"
            )
            all_gone(processes)
            rig.store.clear()
        return Figures(trials=ground.trials, jobs=rig.jobs, broken=tuple(rig.broken))


def signals(ground: Ground) -> Figures:
    """SIGTERM twice or kill -9 while PHP hangs, SIGINT, SIGTERM during the start, SIGHUP storms."""
    with ground.rig(retry_after=2) as rig:
        rig.know(*MIXTURE, "hangs")
        with rig.watched():
            for _ in range(ground.trials):
                rig.push(*MIXTURE)
                with rig.bridge() as bridge:
                    for _ in range(30):
                        bridge.process.send_signal(signal.SIGHUP)
                    rig.push(*MIXTURE)
                    bridge.process.send_signal(signal.SIGINT)
                    code = bridge.process.wait(timeout=90)
                    rig.must(code == 0, f"SIGHUP, then SIGINT: exit {code}")
                code = rig.stopped_at_start(rig.chance.uniform(0, 2))
                rig.must(code in (0, -signal.SIGTERM), f"SIGTERM during the start: exit {code}")
            finished(rig)
            figures = rig.figures(3 * ground.trials, attended=False)
        for how in [(signal.SIGKILL,), (signal.SIGTERM, signal.SIGTERM)] * ground.trials:
            rig.push("hangs")
            with rig.bridge() as bridge:
                wait_until("PHP is at work", lambda: len(family(bridge.process.pid)) > 1)
                wait_until("it is reserved", lambda: rig.store.left().reserved == 1)
                processes = family(bridge.process.pid)
                for sent in how:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(bridge.process.pid, sent)
                    if sent != how[-1]:
                        wait_until("it stops", lambda: "stopping" in bridge.log.read_text())
                bridge.process.wait(timeout=90)
                all_gone(processes)
            rig.store.clear()
        return Figures(
            trials=figures.trials + 2 * ground.trials,
            jobs=rig.jobs,
            found=figures.found,
            broken=tuple(rig.broken),
        )


def all_gone(processes: list[int]) -> None:
    wait_until("no process is left", lambda: not any(_lives(it) for it in processes))


def _lives(process: int) -> bool:
    """Whether there is such a process that has not ended."""
    try:
        with open(f"/proc/{process}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
