"""A queue in a Redis Cluster: each name lies on one node, since the keys of one name share a hash tag."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence

from bridge.jobs.queue.queue import Depth, Exchange, Job, Queue

ROUND = 0.025  # seconds in which each of several queues is looked at once


class ClusterQueue:
    """See `queue.Queue` for what every method guarantees. One driver for each name, the most urgent first."""

    def __init__(self, queues: Mapping[str, Queue]) -> None:
        self._queues = dict(queues)
        self._paused: frozenset[str] = frozenset()

    @property
    def connection_name(self) -> str:
        return next(iter(self._queues.values())).connection_name

    @property
    def retry_after(self) -> float:
        return next(iter(self._queues.values())).retry_after

    @property
    def is_single_writer(self) -> bool:
        return False

    def check(self) -> None:
        for queue in self._queues.values():
            queue.check()

    def reserve(self, limit: int) -> Sequence[Job]:
        jobs: list[Job] = []
        for name, queue in self._queues.items():
            if len(jobs) < limit and name not in self._paused:
                jobs += queue.reserve(limit - len(jobs))
        return jobs

    def pause(self, queues: Collection[str]) -> None:
        self._paused = frozenset(queues)
        for name, queue in self._queues.items():
            queue.pause({name} & self._paused)

    def wait(self, timeout: float) -> None:
        """Blocks inside Redis with one name; several lie on several nodes, and are polled in turn."""
        active = [queue for name, queue in self._queues.items() if name not in self._paused]
        if len(active) == 1:
            active[0].wait(timeout)
            return
        until = time.monotonic() + timeout
        for queue in active or self._queues.values():
            queue.wait(min(ROUND / len(self._queues), max(0.0, until - time.monotonic())))

    def wake(self) -> None:
        for queue in self._queues.values():
            queue.wake()

    def delete(self, jobs: Sequence[Job]) -> int:
        return sum(self._queues[name].delete(some) for name, some in _by_queue(jobs).items())

    def delete_and_reserve(self, done: Sequence[Job], limit: int) -> Exchange:
        deleted = self.delete(done) if done else 0
        jobs = self.reserve(limit)
        return lambda: (deleted, jobs)

    def release(self, job: Job, delay: float, *, tried: bool = True) -> None:
        self._queues[job.queue].release(job, delay, tried=tried)

    def give_back(self, jobs: Sequence[Job]) -> None:
        for name, some in _by_queue(jobs).items():
            self._queues[name].give_back(some)

    def leave(self, job: Job) -> None:
        self._queues[job.queue].leave(job)

    def skip(self, jobs: Collection[Job]) -> None:
        for name, some in _by_queue(jobs).items():
            self._queues[name].skip(some)

    def clear_skipped(self) -> None:
        for queue in self._queues.values():
            queue.clear_skipped()

    def renew(self, jobs: Sequence[Job]) -> list[Job | None]:
        renewed: dict[int, Job | None] = {}
        for name, some in _by_queue(jobs).items():
            renewed |= zip(map(id, some), self._queues[name].renew(some), strict=True)
        return [renewed[id(job)] for job in jobs]

    def laravel_job_fields(self, job: Job) -> Mapping[str, object]:
        return self._queues[job.queue].laravel_job_fields(job)

    def mark_sent(self, jobs: Sequence[Job]) -> None:
        for name, some in _by_queue(jobs).items():
            self._queues[name].mark_sent(some)

    def was_sent(self, job: Job) -> bool:
        return self._queues[job.queue].was_sent(job)

    def depth(self) -> dict[str, Depth]:
        return {name: depth for queue in self._queues.values() for name, depth in queue.depth().items()}

    def close(self) -> None:
        for queue in self._queues.values():
            queue.close()


def _by_queue(jobs: Collection[Job]) -> dict[str, list[Job]]:
    found: dict[str, list[Job]] = {}
    for job in jobs:
        found.setdefault(job.queue, []).append(job)
    return found
