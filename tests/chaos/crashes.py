"""Rows in which bridge is killed: at random moments, and at each named point."""

from __future__ import annotations

import os
import signal
import time

from tests.chaos.entry import POINTS
from tests.chaos.ground import Ground
from tests.chaos.rig import MIXTURE, Figures, Kind, Rig
from tests.end_to_end.processes import wait_until

BYTES = 40_000  # of its record until a kill, at most: some five hundred deeds

NAPS: tuple[Kind, ...] = ("naps",) * 20


def random_kills(ground: Ground) -> Figures:
    """kill -9 at a random moment of a bridge that works on a steady flow; then it is started again.

    No event may go out before the clients are back. The moment is so many deeds after the start, however long
    a machine takes for them: a job that was at work when bridge was killed for the third time is taken for
    what kills it.
    """
    with ground.rig(retry_after=5) as rig:
        rig.know(*MIXTURE)
        with rig.watched(number=2):
            rig.attended()
            with rig.flow(40):
                for _ in range(ground.trials):
                    with rig.bridge() as bridge:
                        until = rig.recorded() + rig.chance.randint(0, BYTES)
                        wait_until("it has done so much", lambda until=until: rig.recorded() >= until)  # type: ignore[misc]
                        time.sleep(rig.chance.uniform(0, 0.2))  # and not just after it has done so
                        os.kill(bridge.process.pid, signal.SIGKILL)
                        bridge.process.wait()
            finished(rig)
            return rig.figures(ground.trials)


def finished(rig: Rig) -> None:
    """A bridge that nothing happens to has done the rest."""
    with rig.bridge() as bridge:
        rig.drained()
        code = bridge.terminate()
        assert code == 0, f"a stop ended with {code}: see {bridge.log}"


def named_points(ground: Ground, *points: str) -> Figures:
    """kill -9 at each point, so many times each, with jobs at hand that reach it; then all is done."""
    tried = reached = 0
    with ground.rig(retry_after=2) as rig:
        rig.know(*MIXTURE, "naps", "throws")
        with rig.watched():
            rig.attended()
            for point in points or POINTS:
                if point == "mid-delete" and ground.store == "redis":
                    continue  # one command
                reached += 1
                for _ in range(ground.trials):
                    tried += 1
                    rig.push(*MIXTURE, *MIXTURE)
                    if point in ("before-release", "after-release", "after-fail"):
                        rig.push("throws", tries=2, fails=True)
                    met = _in_drain(rig) if point == "in-drain" else rig.crash(point)
                    rig.must(met, f"{point} was not reached")
                    finished(rig)
            return rig.figures(tried, note=f"{reached} point{'s' * (reached > 1)}")


def _in_drain(rig: Rig) -> bool:
    """SIGTERM while jobs are at hand that have not begun; whether bridge died of the point."""
    rig.push(*NAPS)
    with rig.bridge(crash_at="in-drain") as bridge:
        wait_until("the slow ones are at work", lambda: rig.store.left().reserved > 1)
        return bridge.terminate() == -signal.SIGKILL


def before_the_delete(ground: Ground) -> Figures:
    """kill -9 between fan-out and delete: sent again, and only to sockets that were opened after it."""
    return named_points(ground, "after-fan-out")


def after_a_notice(ground: Ground) -> Figures:
    """kill -9 when the notice of a job was taken and the job was not."""
    return named_points(ground, "after-wait")
