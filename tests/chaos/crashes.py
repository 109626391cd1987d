"""Rows in which bridge is killed: at random moments, and at each named point."""

from __future__ import annotations

import os
import signal
import time

from tests.chaos.entry import POINTS
from tests.chaos.ground import Ground
from tests.chaos.rig import MIXTURE, Figures, Rig
from tests.end_to_end.processes import wait_until

BYTES = 8_000  # of its record until a kill, at most: some hundred deeds


def random_kills(ground: Ground) -> Figures:
    """kill -9 at a random moment of a bridge that works on a steady flow; then it is started again.

    The moment is so many deeds after the start, however long a machine takes for them: a job that is at work when
    bridge is killed three times in a row counts as what kills it, and must not be good.
    """
    with ground.rig(retry_after=5) as rig:
        rig.know(*MIXTURE)
        with rig.watched(number=2):
            with rig.flow(20):
                for _ in range(ground.trials):
                    with rig.bridge() as bridge:
                        until = rig.recorded() + rig.chance.randint(0, BYTES)
                        wait_until("it has done so much", lambda until=until: rig.recorded() >= until)  # type: ignore[misc]
                        time.sleep(rig.chance.uniform(0, 0.01))  # between two deeds
                        os.kill(bridge.process.pid, signal.SIGKILL)
                        bridge.process.wait()
            finished(rig)
            return rig.figures(ground.trials)


def finished(rig: Rig) -> None:
    """A bridge that nothing happens to has done the rest."""
    with rig.bridge() as bridge:
        rig.drained()
        assert bridge.terminate() == 0


def named_points(ground: Ground, *points: str) -> Figures:
    """kill -9 at each point, so many times each, with jobs at hand that reach it; then all is done."""
    met = 0
    with ground.rig(retry_after=2) as rig:
        rig.know(*MIXTURE, "vanishing")
        (rig.app.path / "app/Events/Vanishing.php").unlink()
        with rig.watched():
            for point in points or POINTS:
                if point == "mid-delete" and ground.store == "redis":
                    continue  # one command
                for _ in range(ground.trials):
                    rig.push(*MIXTURE, *MIXTURE)
                    if point in ("before-release", "after-release", "after-fail"):
                        rig.push("vanishing", tries=1, fails=True)
                    met += rig.crash(point)
                    finished(rig)
            return rig.figures(met, note=f"{len(points or POINTS)} points")


def before_the_delete(ground: Ground) -> Figures:
    """kill -9 between fan-out and delete: sent again, and only to sockets that were opened after it."""
    return named_points(ground, "after-fan-out")


def after_a_notice(ground: Ground) -> Figures:
    """kill -9 when the notice of a job was taken and the job was not."""
    return named_points(ground, "after-wait")
