"""Laravel's Redis queue: `queues:NAME`, `:delayed`, `:reserved`, `:notify`.

Reserving looks first and moves second. LRANGE shows entries, Python decides which are ours and
writes their new attempts (`scan`); then a script moves exactly those bytes, each only if it is still in the
list. Nothing is popped before it is understood, other jobs keep their places, and the script, during which
Redis serves nobody else, parses no JSON.

How an idle queue is woken: `tokens`.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

import redis
from redis.exceptions import NoPermissionError, NoScriptError, RedisError, TimeoutError

from bridge.jobs.queue.lookahead import Lookahead, fresh
from bridge.jobs.queue.memory import Memory
from bridge.jobs.queue.portion import LARGE, MOST_BYTES, Portion
from bridge.jobs.queue.queue import DEFAULTS, Depth, Exchange, Job, QueueOptions
from bridge.jobs.queue.redis.errors import ELSEWHERE, reason, unavailable
from bridge.jobs.queue.redis.keys import Keys
from bridge.jobs.queue.redis.line import Command, Line, script
from bridge.jobs.queue.redis.scan import Scan
from bridge.jobs.queue.redis.scripts import SCRIPTS, Entry, run_script, with_scripts
from bridge.jobs.queue.redis.tokens import Tokens, TokenUse
from bridge.jobs.queue.redis.usable import check_keys
from bridge.jobs.queue.selection import queued_at
from bridge.laravel.payload import json_object

SENT_KEPT = 600  # seconds for which a mark is kept, and twice retry_after at least

log = logging.getLogger(__name__)


def _queued_at(entry: Entry = b"") -> float | None:
    """When the job at the head of a list was queued, as far as its payload tells; a large one does not."""
    document = json_object(entry) if isinstance(entry, bytes) else None
    return None if document is None else queued_at(document)


class RedisQueue:
    """See `queue.Queue` for what every method guarantees.

    client       answers in bytes; its pool must allow five connections. Stays the caller's
    prefix       of the Redis connection (`laravel_database_`), before every key
    options      names of its queues may bring their own `{hash tag}`
    tagged       whether the other names get one, as Laravel 13.5 gives it in a cluster
    tokens       see `TokenUse`
    memory       what is too large for it is left in the queue, unread
    """

    def __init__(
        self,
        client: redis.Redis,
        *,
        options: QueueOptions = DEFAULTS,
        prefix: str = "",
        tagged: bool = False,
        tokens: TokenUse = "share",
        memory: Memory | None = None,
    ) -> None:
        queues = options.queues
        self._client = client
        self._connection_name = options.connection_name or "redis"
        self._keys = {name: Keys.of(prefix, name, tagged=tagged) for name in queues}
        self._active = self._keys  # but for those that are paused
        self._retry_after = options.retry_after
        self._limit = 1  # of the last reservation
        self._clock = options.clock
        self._lookahead = Lookahead(self._look_ahead, group_key=lambda job: job.queue, fresh=fresh(queues))
        self._line = Line(client)
        self._exchange = Line(client)  # where an answer may be awaited while the other is used
        self._tokens = Tokens(client, self._line, tokens, options.interval)
        self._scan = Scan(
            client, self._line, options.selection, options.clock, memory or Memory(), self._tokens.note_end
        )

    @property
    def connection_name(self) -> str:
        return self._connection_name

    @property
    def retry_after(self) -> float:
        return self._retry_after

    @property
    def is_single_writer(self) -> bool:
        return False

    def check(self) -> None:
        check_keys(self._client, self._keys)

    def reserve(self, limit: int) -> Sequence[Job]:
        jobs: list[Job] = []
        portion = Portion(limit)
        self._limit = limit
        with self._translated():
            self._scan.begin()
            for queue, keys in self._active.items():
                if portion.left > 0:
                    jobs += self._reserve_from(queue, keys, portion)
            self._tokens.return_unused({job.queue for job in jobs}, self._keys)
        return jobs

    def pause(self, queues: Collection[str]) -> None:
        active = {queue: keys for queue, keys in self._keys.items() if queue not in queues}
        if active != self._active:
            self._active = active
            self._lookahead.forget()

    def wait(self, timeout: float) -> None:
        if self._scan.has_more:
            self._tokens.skip_wait()
            return
        with self._translated():
            self._scan.bring(self._active, self._tokens.wait(timeout, self._active, self._look))

    def wake(self) -> None:
        self._tokens.wake()

    def delete(self, jobs: Sequence[Job]) -> int:
        with self._translated():
            commands: list[Command] = [
                ("ZREM", self._keys[queue].reserved, *members) for queue, members in _by_queue(jobs).items()
            ]
            return sum(self._line.ask(*commands))

    def delete_and_reserve(self, done: Sequence[Job], limit: int) -> Exchange:
        with self._translated():
            seen = self._lookahead.pop(limit)
            queue = seen[0].queue if seen else ""
            # only those of one queue together: in a cluster, another one may live elsewhere
            together = [job for job in done if job.queue == queue]
            apart = [job for job in done if job.queue != queue]
            deleted = self.delete(apart) if apart else 0
            if not seen:
                return lambda: (deleted, ())
            self._exchange.send(self._claim_seen(seen, together))
        return lambda: self._exchanged(seen, together, deleted)

    def release(self, job: Job, delay: float, *, tried: bool = True) -> None:
        keys = self._keys[job.queue]
        due = int(self._clock()) + max(0, round(delay))
        entry = _member(job) if tried else job.payload
        with self._translated():
            self._script("release", (keys.reserved, keys.delayed), (_member(job), due, entry))

    def give_back(self, jobs: Sequence[Job]) -> None:
        self._lookahead.forget()
        with self._translated():
            for queue in _by_queue(jobs):
                keys = self._keys[queue]
                ours = [job for job in jobs if job.queue == queue]
                pairs = [part for job in ours for part in (_member(job), job.payload)]
                before = self._scan.last_skipped(queue)
                self._script("give_back", (keys.reserved, keys.list, keys.notify), [before, *pairs])

    def leave(self, job: Job) -> None:
        raise NotImplementedError("what cannot be read is not taken in the first place")

    def skip(self, jobs: Collection[Job]) -> None:
        self._scan.skip(jobs)

    def clear_skipped(self) -> None:
        self._scan.clear_skipped()

    def renew(self, jobs: Sequence[Job]) -> list[Job | None]:
        until = int(self._clock()) + self._retry_after
        with self._translated():
            pipeline = self._client.pipeline(transaction=False)
            for job in jobs:
                pipeline.zadd(self._keys[job.queue].reserved, {_member(job): until}, xx=True)
                pipeline.zscore(self._keys[job.queue].reserved, _member(job))
            scores = pipeline.execute()[1::2]
        return [None if score is None else job for job, score in zip(jobs, scores, strict=True)]

    def laravel_job_fields(self, job: Job) -> Mapping[str, object]:
        return {"driver": "redis", "reserved": _member(job).decode(), "row": {"attempts": job.attempts}}

    def mark_sent(self, jobs: Sequence[Job]) -> None:
        seconds = max(SENT_KEPT, 2 * self._retry_after)
        with self._translated(), _allowed():
            pipeline = self._client.pipeline(transaction=False)
            for job in jobs:
                pipeline.set(self._keys[job.queue].sent(job), b"1", ex=seconds)
            pipeline.execute()

    def was_sent(self, job: Job) -> bool:
        with self._translated(), _allowed():
            return bool(self._client.exists(self._keys[job.queue].sent(job)))
        return False

    def depth(self) -> dict[str, Depth]:

        def look() -> list[Any]:
            pipeline = self._client.pipeline(transaction=False)
            for keys in self._keys.values():
                pipeline.llen(keys.list)
                pipeline.zcard(keys.delayed)
                pipeline.zcard(keys.reserved)
                pipeline.evalsha(SCRIPTS["head"].sha1, 1, keys.list, 0, 0, MOST_BYTES, LARGE)
            return pipeline.execute()

        with _translated():
            counts = iter(with_scripts(self._client, look))
        return {
            queue: Depth(
                pending=next(counts),
                delayed=next(counts),
                reserved=next(counts),
                oldest_at=_queued_at(*next(counts)),
            )
            for queue in self._keys
        }

    def close(self) -> None:
        self._line.close()
        self._exchange.close()
        self._tokens.close()

    def _look(self) -> Sequence[Command]:
        return self._scan.look(self._active, self._limit, uses_up_tokens=self._tokens.uses_all)

    def _reserve_from(self, queue: str, keys: Keys, portion: Portion) -> list[Job]:
        found, at_head = self._scan.find(queue, keys, portion, uses_up_tokens=self._tokens.uses_up(queue))
        if not found:
            return []
        _, *taken = self._line.run(self._claim(keys, found, self._tokens.spent(queue, len(found))))
        self._scan.taken(queue, len(taken), sum(number <= at_head for number in taken))
        return [found[number - 1] for number in taken]

    def _look_ahead(self, limit: int) -> list[Job]:
        self._scan.begin()
        portion = Portion(limit, alone=False)
        seen: list[Job] = []
        for queue, keys in self._active.items():
            if portion.left > 0:
                seen += self._scan.find(queue, keys, portion, uses_up_tokens=self._tokens.uses_up(queue))[0]
        return seen

    def _claim(self, keys: Keys, found: Sequence[Job], tokens: int, done: Sequence[Job] = ()) -> Command:
        """What reserves jobs that were found and deletes others."""
        until = int(self._clock()) + self._retry_after
        # one argument for all: of many, redis-py would send each few KB apart
        texts = [text for job in found for text in (job.payload, _member(job))]
        packed = b"".join([part for text in texts for part in (len(text).to_bytes(4, "big"), text)])
        where = (keys.list, keys.reserved, keys.notify)
        return script("claim", where, until, tokens, packed, *map(_member, done))

    def _claim_seen(self, seen: Sequence[Job], done: Sequence[Job] = ()) -> Command:
        """The same for jobs of one queue out of a look ahead, for which no token is taken."""
        return self._claim(self._keys[seen[0].queue], seen, len(seen), done)

    def _exchanged(self, seen: Sequence[Job], done: Sequence[Job], deleted: int) -> tuple[int, Sequence[Job]]:
        with self._translated():
            try:
                removed, *taken = self._exchange.receive()
            except NoScriptError:
                removed, *taken = self._line.run(self._claim_seen(seen, done))
            limit = len(seen)
            while not taken and (seen := self._lookahead.pop(limit)):  # others were quicker
                _, *taken = self._line.run(self._claim_seen(seen))
        return deleted + removed, [seen[number - 1] for number in taken]

    def _script(self, name: str, keys: Sequence[bytes], arguments: Iterable[object] = ()) -> Any:
        return run_script(self._client, name, keys, arguments)

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        """For the thread that uses the driver."""
        try:
            yield
        except RedisError as error:
            if isinstance(error, (*ELSEWHERE, TimeoutError)):
                # another server has the address now, or the way there is gone: idle ones never notice
                self._client.connection_pool.disconnect()
            self.close()
            raise unavailable(error) from error
        except MemoryError:
            self.close()  # in the middle of an answer
            self._client.connection_pool.disconnect()
            self._scan.read_less()
            raise


def _member(job: Job) -> bytes:
    """The exact member of the reserved set."""
    if not isinstance(job.receipt, bytes):
        raise TypeError("this job was reserved from another queue")
    return job.receipt


def _by_queue(jobs: Sequence[Job]) -> dict[str, list[bytes]]:
    members: dict[str, list[bytes]] = {}
    for job in jobs:
        members.setdefault(job.queue, []).append(_member(job))
    return members


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    """For any thread: connections of the one that uses the driver are left to it."""
    try:
        yield
    except RedisError as error:
        raise unavailable(error) from error


@contextlib.contextmanager
def _allowed() -> Iterator[None]:
    """What is good to have: where Redis does not let this user do it, it is left out."""
    try:
        yield
    except NoPermissionError as error:
        log.debug("marks are not kept", extra={"action": "queue_marks", "why": reason(error)})
