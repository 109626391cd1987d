"""What the dashboard asks of the jobs half."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol

from bridge.jobs.queue.listing import QueuedJob
from bridge.monitoring.dashboard.failures import FailedRow
from bridge.monitoring.job_history import Jobs
from bridge.monitoring.statistics import Counts, History


class DashboardBackend(Protocol):
    """What the jobs half does for the dashboard. Blocks, so never on the loop; raises BridgeError."""

    @property
    def shows_payloads(self) -> bool:
        """Whether `payload` answers. Does not block."""
        ...

    def failed(self) -> tuple[Sequence[FailedRow], bool]:
        """Returns the newest failed jobs, LOOKED_AT at most, and whether these are all."""
        ...

    def retry(self, id: str) -> None:
        """Puts the job back in its queue. Raises JobError where there is none of this id."""
        ...

    def delete(self, id: str) -> None:
        """Deletes the failed job. Raises JobError where there is none of this id."""
        ...

    def payload(self, id: str) -> str:
        """Its payload as text. Raises JobError where there is none of this id, or payloads are not shown."""
        ...

    def jobs(self, seconds: int, width: int, event: str, queue: str) -> tuple[Jobs, bool]:
        """As `JobRecorder.jobs`, and whether it outlives a restart."""
        ...

    def queued(self) -> Sequence[QueuedJob]:
        """Lists the jobs in the queues, as far as `QueueListing` does."""
        ...

    def paused(self) -> Collection[str]:
        """Lists the queues that are paused by name."""
        ...

    def pause(self, queue: str) -> None:
        """Pauses the queue for all workers. Raises JobError where bridge does not work on it."""
        ...

    def resume(self, queue: str) -> None:
        """Ends the pause. Raises JobError where bridge does not work on it."""
        ...

    def push(self, app_id: str, channels: Sequence[str], event: str, data: Any) -> str:
        """Pushes a broadcast job to the app's queue; its uuid."""
        ...

    def entries(self, app_id: str) -> Mapping[str, Mapping[str, Sequence[Any]]]:
        """The last statistics as laravel-websockets answers them: counter → x (times) and y."""
        ...

    def history(self, app_id: str, seconds: int, width: int) -> History:
        """As `StatisticsTable.history`; spans are at least two intervals of the statistics wide."""
        ...

    def add_entry(self, app_id: str, counts: Counts) -> None:
        """Writes one more row of statistics."""
        ...
