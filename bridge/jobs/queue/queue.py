"""Job and Queue: what every queue driver gives, with its guarantees.

A driver takes the jobs of its `Selection` only: broadcasts, or the others (`selection.py` says which those
are). Every other job stays where and as it is: never reserved, never locked, never reordered. A driver
is used by one thread at a time, except `depth` and `wake`, which any thread may call. Every call may raise
`ServiceUnavailable`; the caller tries again later. Repeating a call is always safe: what was already done
counts as not ours.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from bridge.jobs.queue.failed_jobs import StoredPayload
from bridge.jobs.queue.selection import BROADCASTS, Selection, job_uuid, queued_at
from bridge.laravel.payload import writable

Value = TypeVar("Value")


class _Kept(Generic[Value]):
    """As `functools.cached_property`, without the lock that it has up to Python 3.11."""

    def __init__(self, read: Callable[[Job], Value]) -> None:
        self._read = read
        self.__doc__ = read.__doc__

    def __set_name__(self, owner: type[Job], name: str) -> None:
        self._name = name

    def __get__(self, job: Job, owner: type[Job]) -> Value:
        value = job.__dict__[self._name] = self._read(job)
        return value


@dataclass(kw_only=True)  # not frozen: as `Broadcast`
class Job:
    """One reserved job, not to be changed. What is read out of its document is kept: it is asked for at every
    step.

    queue     plain name, `default` (no `queues:` prefix)
    payload   the raw JSON as it stood in the queue; what `failed_jobs` stores
    document  the same, decoded; to be read only. Empty for what is no job: damaged JSON, no `job` in it
    attempts  reservations so far, this one included: 1 at the first
    receipt   the driver's own mark of this reservation; opaque to everybody else
    due_at    unix seconds since when it could be taken; None where the store does not say
    unread    where the payload stands that the memory does not suffice to read; `payload` is empty then, and
              `document` has nothing but a `uuid`
    """

    queue: str
    payload: bytes
    document: Mapping[str, object]
    attempts: int
    receipt: object
    due_at: float | None = None
    unread: StoredPayload | None = None

    @_Kept
    def uuid(self) -> str:
        """Laravel's `uuid`; for payloads without one (before Laravel 7) a hash that outlives a release."""
        return job_uuid(self.document) if self.document else hashlib.sha256(self.payload).hexdigest()

    @_Kept
    def queued_at(self) -> float | None:
        """Unix seconds, as the store or the payload says; None where neither does (Redis before
        Laravel 12)."""
        return queued_at(self.document) if self.due_at is None else self.due_at

    @_Kept
    def display_name(self) -> str:
        """For a broadcast the event's class, `App\\Events\\OrderShipped`; empty when the payload has none."""
        name = self.document.get("displayName")
        return writable(name) if isinstance(name, str) else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Depth:
    """Jobs of the queue by state, broadcasts and others alike (as Laravel's own `size` counts).

    oldest_at  unix seconds since when the oldest pending job has been due; None where there is none, or
               where its payload does not say
    """

    pending: int
    delayed: int
    reserved: int
    oldest_at: float | None = None


# What an exchange came to, to be called once: how many of the reservations of jobs that are done were still
# ours, and the jobs reserved. May raise ServiceUnavailable; the exchange may be begun anew then.
Exchange = Callable[[], tuple[int, Sequence[Job]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueOptions:
    """Options of every driver.

    queues           plain names, the most urgent first
    retry_after      seconds after which a reservation has expired
    connection_name  empty: the driver's own name
    selection        which jobs
    interval         seconds between looks while there is nothing to do; None: as the driver thinks right
    clock            unix seconds; Laravel compares the application's clocks, never the store's
    """

    queues: Sequence[str] = ("default",)
    retry_after: int = 90
    connection_name: str = ""
    selection: Selection = BROADCASTS
    interval: float | None = None
    clock: Callable[[], float] = time.time


DEFAULTS = QueueOptions()


class Queue(Protocol):
    """A Laravel queue connection, restricted to some queue names in strict priority order."""

    @property
    def connection_name(self) -> str:
        """Laravel's name of the queue connection (`database`, `redis`); goes into `failed_jobs`."""
        ...

    @property
    def retry_after(self) -> float:
        """Seconds after which a reservation has expired; 0 and less: never."""
        ...

    @property
    def is_single_writer(self) -> bool:
        """Whether a write of ours may end a transaction of the job at work (SQLite: see `sql.write_lock`)."""
        ...

    def check(self) -> None:
        """Returns once the store has answered and its tables or keys are usable.

        Raises ServiceUnavailable (cannot be reached) or ConfigurationError (reached, but wrong)."""
        ...

    def reserve(self, limit: int) -> Sequence[Job]:
        """Up to `limit` jobs that are now ours until `retry_after`, oldest first, priority kept.

        Fewer where they are large, and a job that was reserved before comes alone: see `jobs.queue.portion`.
        Atomic against every other worker: a job is given to one reserver only. Delayed jobs that are due
        and reservations that have expired are taken too. Empty when there is none."""
        ...

    def pause(self, queues: Collection[str]) -> None:
        """Reserves nothing from these queues, until the next call says otherwise."""
        ...

    def wait(self, timeout: float) -> None:
        """Returns when a job may be there, at the latest after `timeout` seconds. `wake` ends it early."""
        ...

    def wake(self) -> None:
        """Ends a `wait` under way (or the next one). Any thread may call it."""
        ...

    def delete(self, jobs: Sequence[Job]) -> int:
        """Removes the jobs from the queue; how many of the reservations were still ours.

        Fenced: a job that somebody reserved again after our `retry_after` ran out is left to them."""
        ...

    def delete_and_reserve(self, done: Sequence[Job], limit: int) -> Exchange:
        """`delete` and `reserve` at once, begun and perhaps not yet over: see `Exchange`.

        For who takes few jobs at a time, and many after each other. While jobs that were seen
        before are left, one that became free since then waits: see `jobs.queue.lookahead`."""
        ...

    def release(self, job: Job, delay: float, *, tried: bool = True) -> None:
        """Puts the job back, due in `delay` seconds, with its attempts kept, or restored if it was not
        `tried`. Fenced like `delete`."""
        ...

    def give_back(self, jobs: Sequence[Job]) -> None:
        """Jobs that were reserved and not begun are as before the reservation, attempts restored; in their
        order, and behind those that are skipped."""
        ...

    def leave(self, job: Job) -> None:
        """Undoes the reservation; this driver does not take the job any more. For unread ones."""
        ...

    def skip(self, jobs: Collection[Job]) -> None:
        """These too, which were given back, are not taken any more until `clear_skipped`."""
        ...

    def clear_skipped(self) -> None: ...

    def renew(self, jobs: Sequence[Job]) -> list[Job | None]:
        """The reservations of these jobs begin anew: the jobs as they are then, in their order; None where
        one is no longer ours."""
        ...

    def laravel_job_fields(self, job: Job) -> Mapping[str, object]:
        """What Laravel's own job object of this driver is made of, for `other/worker.php`; fit for JSON."""
        ...

    def mark_sent(self, jobs: Sequence[Job]) -> None:
        """Other processes that meet one of these jobs again shall know that its broadcasts went out, where
        the store can count them."""
        ...

    def was_sent(self, job: Job) -> bool:
        """Whether another process has marked it so."""
        ...

    def depth(self) -> dict[str, Depth]:
        """Queue name → counts."""
        ...

    def close(self) -> None:
        """Closes the connections; the driver is not used again."""
        ...
