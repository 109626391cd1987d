"""What the history of jobs costs: the share of one processor at 1,000 jobs a second.

    python -m tests.bench.job_history [--quick]

CPU seconds of counting (three steps of each job, with the history and without it), and of writing the minutes
of twenty classes to SQLite, in one process. As a share: so it tells the same on a busy machine.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import sqlalchemy as sa

from bridge.jobs.worker.progress import JobProgress, Step
from bridge.monitoring.counters import Counters
from bridge.monitoring.job_counts import JobCounts
from bridge.monitoring.job_history import JobHistoryTable
from bridge.monitoring.job_recorder import JobRecorder

RATE = 1_000  # jobs a second
CLASSES = 20


class _None(JobCounts):
    """Counts nothing."""

    def add(self, *_: object, **__: object) -> None: ...


STEPS: tuple[Step, ...] = ("reserved", "resolved", "delivered")


def steps(count: int) -> list[JobProgress]:
    return [
        JobProgress(
            step=name,
            job=str(number),
            event=f"App\\Events\\Event{number % CLASSES}",
            queue="default",
            attempts=1,
            queued_at=1.0,
            rung="native" if name == "resolved" else "",
        )
        for number in range(count)
        for name in STEPS
    ]


def counted(tally: Counters, made: list[JobProgress]) -> float:
    """CPU seconds."""
    began = time.process_time()
    for step in made:
        tally.step(step)
    return time.process_time() - began


def main() -> None:
    count = 20_000 if "--quick" in sys.argv else 200_000
    made = steps(count)
    with_history, without = Counters(["1"]), Counters(["1"])
    without.jobs = _None()
    best = [min(counted(tally, made) for _ in range(3)) / count for tally in (with_history, without)]
    share = (best[0] - best[1]) * RATE
    with tempfile.TemporaryDirectory() as folder:
        table = JobHistoryTable(sa.create_engine(f"sqlite:///{Path(folder) / 'history.sqlite'}"))
        table.create()
        recorder = JobRecorder(with_history.jobs, table)
        recorder.record()
        began = time.process_time()
        minutes = 20
        for _ in range(minutes):
            for step in made[: 3 * CLASSES]:
                with_history.step(step)
            recorder.record()
        writing = (time.process_time() - began) / minutes / 60
        table.close()
    print(f"counting {best[0] * 1e6:.1f} µs a job, {best[1] * 1e6:.1f} without history")
    print(f"at {RATE:,} jobs/s: counting {share:.3%} of a processor, writing {writing:.3%}")


if __name__ == "__main__":
    main()
