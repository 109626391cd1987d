"""The threads that take jobs: the worker of broadcasts, and beside it the lanes of other jobs."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from bridge.jobs.other.php_lane import PhpWorkerLane
from bridge.jobs.queue.failed_jobs import FailedJobs
from bridge.jobs.queue.queue import Queue
from bridge.jobs.worker.loop import Worker
from bridge.jobs.worker.progress import RunListener
from bridge.jobs.worker.quota import Quota
from bridge.serve.wiring.failed_jobs import build_failed_jobs
from bridge.serve.wiring.other_jobs import build_lanes, other_jobs
from bridge.serve.wiring.queue import build_queue, build_write_lock
from bridge.settings.load import Settings

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class OtherJobsWorkers:
    """The lanes of other jobs, none where they are left; and what the worker of broadcasts must know of them.

    queue   the driver for broadcasts, which may not take what the lanes take
    failed  where broadcasts go that cannot be sent
    why     other jobs are left, where they are
    """

    lanes: Sequence[PhpWorkerLane]
    quota: Quota
    queue: Queue
    failed: FailedJobs
    why: str

    @classmethod
    def build(
        cls, settings: Settings, paused: Callable[[], Collection[str] | None], on_run: RunListener
    ) -> OtherJobsWorkers:
        """Connects and starts nothing yet. `paused`: queues from which nothing may be taken now; `on_run`
        is called with every attempt of another job."""
        others = other_jobs(settings)
        quota = Quota(
            lanes=1 + (settings.workers if others.selection else 0),
            most=1 if settings.once else settings.max_jobs,
            when_empty=settings.once or settings.stop_when_empty,
        )
        write_lock = build_write_lock(settings)
        return cls(
            build_lanes(settings, others, paused=paused, quota=quota, on_run=on_run, write_lock=write_lock),
            quota,
            build_queue(settings, tokens=others.tokens[0], write_lock=write_lock),
            build_failed_jobs(settings.laravel),
            others.why,
        )

    def recycle(self) -> None:
        """Has every PHP process replaced before its next job."""
        for lane in self.lanes:
            lane.recycle()

    def wake(self) -> None:
        """Wakes the lanes, for there may be other jobs."""
        for lane in self.lanes:
            lane.wake()


@dataclass(frozen=True, slots=True)
class WorkerThreads:
    """All of them, from start to stop."""

    worker: Worker
    others: OtherJobsWorkers

    def ready(self) -> dict[str, bool]:
        """For `/ready`. It says if PHP is down, but broadcasts go on."""
        answers = self.worker.answers
        lanes = self.others.lanes
        runs = {"other_jobs": all(lane.down is None for lane in lanes)} if lanes else {}
        return {"ready": answers, "queue": answers, **runs}

    def start(self) -> None:
        if not self.others.lanes:
            about = {"action": "other_jobs", "why": self.others.why}
            log.info("jobs that are no broadcasts are left in the queue", extra=about)
        self.worker.start()
        for lane in self.others.lanes:
            lane.start()

    def stop(self, timeout: float, *, others: float) -> None:
        """Stops all threads: none takes a job any more. Other jobs at work get `others` seconds to end, while
        broadcasts go on; then what the worker has in hand gets `timeout` seconds."""
        self.worker.stop_begins()
        with ThreadPoolExecutor(1 + len(self.others.lanes)) as stops:
            for lane in self.others.lanes:
                stops.submit(lane.stop, others)
        self.worker.stop(timeout)

    def close(self) -> None:
        """Closes the connections, but for those of a thread that has not ended."""
        if not self.worker.is_alive:
            self.others.queue.close()
            self.others.failed.close()
        for lane in self.others.lanes:
            lane.close()
