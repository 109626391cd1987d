"""Jobs that take long go on in threads of their own: which these are, and what must wait for them.

No event may overtake one that was set aside, or that waits behind such a one, on any of its channels; where
those are not known, none of its class may.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass, replace
from typing import Any

from bridge.jobs.queue.queue import Job

MOST_WAITING = 10_000  # jobs that wait behind others; none is reserved beyond that

Channels = Collection[str] | None  # of an event; None: nobody knows


@dataclass(frozen=True, slots=True)
class SlowJob:
    """A reserved job whose answer comes later."""

    job: Job
    answer: Future[Any]
    channels: Channels


class SetAside:
    """For one thread."""

    def __init__(self) -> None:
        self._slow: list[SlowJob] = []
        self._channels: set[str] = set()
        self._classes: set[str] = set()
        self._finishing: Job | None = None
        self.waiting = 0  # jobs that are left in the queue until one that is slow has come to its end

    def __bool__(self) -> bool:
        """Whether any job is set aside."""
        return bool(self._slow)

    @property
    def jobs(self) -> Sequence[Job]:
        """Those that are set aside; they are reserved."""
        return [slow.job for slow in self._slow]

    @property
    def is_full(self) -> bool:
        """Whether so many wait that no more are to be reserved."""
        return self.waiting >= MOST_WAITING

    @property
    def blocks(self) -> bool:
        """Whether any event has to wait, perhaps."""
        return bool(self._channels or self._classes)

    def may_go(self, job: Job, channels: Channels) -> bool:
        """Whether the job overtakes none that it must not."""
        if job is self._finishing:
            return True
        if job.display_name in self._classes:
            return False
        return channels is None or self._channels.isdisjoint(channels)

    def block(self, job: Job, channels: Channels) -> None:
        """Lets nothing overtake this job, until one that is set aside ends."""
        if channels is None:
            self._classes.add(job.display_name)
        else:
            self._channels.update(channels)

    def add(self, slow: SlowJob) -> None:
        """Sets the job aside, which blocks others."""
        self._slow.append(slow)
        self.block(slow.job, slow.channels)

    def finished(self) -> Iterator[Job]:
        """Each whose answer has come, to be brought to its end before the next is asked for: it is set aside
        no longer, and blocked by nobody. Then nobody is waiting."""
        done = [slow.job for slow in self._slow if slow.answer.done()]
        if done:
            self._remain([slow for slow in self._slow if not slow.answer.done()])
        for self._finishing in done:
            yield self._finishing
        self._finishing = None

    def keep(self, jobs: Sequence[Job | None]) -> None:
        """What has become of the reservations of `jobs`, in their order; None: it is somebody else's now."""
        renewed = zip(self._slow, jobs, strict=True)
        kept = [replace(slow, job=job) for slow, job in renewed if job is not None]
        if len(kept) < len(self._slow):
            self._remain(kept)
        else:
            self._slow = kept

    def wait(self, timeout: float) -> None:
        """Returns when an answer has come, at the latest after `timeout` seconds."""
        wait([slow.answer for slow in self._slow], timeout, return_when="FIRST_COMPLETED")

    def _remain(self, slow: list[SlowJob]) -> None:
        """Who waited may meet those that remain again, in the order of the queue."""
        self._slow, self.waiting = slow, 0
        self._channels, self._classes = set(), set()
        for one in slow:
            self.block(one.job, one.channels)
