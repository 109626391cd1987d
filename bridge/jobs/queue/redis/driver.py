"""Laravel's Redis queue: `queues:NAME`, `:delayed`, `:reserved`, `:notify`.

Reserving looks first and moves second. LRANGE shows entries, Python decides which are ours and
writes their new attempts (`scan`); then a script moves exactly those bytes, each only if it is still in the
list. Nothing is popped before it is understood, other jobs keep their places, and the script, during which
Redis serves nobody else, parses no JSON.

An idle queue is woken by Laravel's own `:notify` tokens. While tokens lie there for jobs of others, who may
need them, the lists are polled instead. Where a second driver of ours takes the other jobs, one of the two
uses up all tokens and the other none (`TokenUse`): then no token of its jobs keeps the first from blocking.
"""

from __future__ import annotations

import collections
import contextlib
import logging
import threading
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, TypeVar

import redis
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    NoPermissionError,
    NoScriptError,
    RedisError,
    ResponseError,
    TimeoutError,
)

from bridge.errors import ConfigurationError
from bridge.jobs.queue.lookahead import Lookahead, fresh
from bridge.jobs.queue.memory import Memory
from bridge.jobs.queue.portion import LARGE, MOST_BYTES, Portion
from bridge.jobs.queue.queue import DEFAULTS, Depth, Exchange, Job, QueueOptions
from bridge.jobs.queue.redis.errors import ELSEWHERE, PASSING, TLS_REMEDY, reason, unavailable
from bridge.jobs.queue.redis.keys import Keys
from bridge.jobs.queue.redis.pipelined import PipelinedConnection
from bridge.jobs.queue.redis.rights import KEYS, missing_rights
from bridge.jobs.queue.redis.scan import Found, Scan
from bridge.jobs.queue.redis.scripts import SCRIPTS, Entry, run_script, with_scripts
from bridge.jobs.queue.selection import queued_at
from bridge.laravel.payload import json_object
from bridge.laravel.tls import explain_tls_error

POLL_INTERVAL = 0.025  # seconds between looks where no token wakes us
SHARED_INTERVAL = 0.005  # the same while tokens of others lie about
RESTING_SHARE = 10  # a look that took t seconds is followed by 10 t of rest
TICK = 1  # seconds; a delayed job is at most this late
SENT_KEPT = 600  # seconds for which a mark is kept, and twice retry_after at least

# What becomes of the tokens: `share`: those of our jobs are used up, others put back; `all`: all are used up;
# `none`: none is touched, and nothing is waited for but `wake` and the next look.
TokenUse = Literal["share", "all", "none"]

log = logging.getLogger(__name__)

Result = TypeVar("Result")


def _queued_at(entry: Entry = b"") -> float | None:
    """When the job at the head of a list was queued, as far as its payload tells; a large one does not."""
    document = json_object(entry) if isinstance(entry, bytes) else None
    return None if document is None else queued_at(document)


class RedisQueue:
    """See `queue.Queue` for what every method guarantees.

    client       answers in bytes; its pool must allow four connections. Stays the caller's
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
        self._clock = options.clock
        self._tokens = tokens
        self._interval = options.interval or (POLL_INTERVAL if tokens == "none" else SHARED_INTERVAL)
        self._lookahead = Lookahead(self._look_ahead, group_key=lambda seen: seen[0], fresh=fresh(queues))
        self._woken = threading.Event()
        # the quickest of the last looks is what the server needs; the rest is a busy machine's waiting
        self._looks: collections.deque[float] = collections.deque(maxlen=8)
        self._line = PipelinedConnection(client)
        self._waiter: redis.Redis | None = None
        self._blocked_as: int | None = None  # client id of the connection inside BLPOP
        self._tokens_taken: set[str] = (
            set()
        )  # queues whose token woke us; it, or all of them, are to be used up
        self._seen: dict[str, object] = {}
        self._scan = Scan(client, options.selection, options.clock, memory or Memory(), self._note_end)

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
        try:
            for name, keys in self._keys.items():
                self._check_rights(keys)
                for source in (keys.delayed, keys.reserved):
                    self._script("migrate", (source, keys.list, keys.notify), (0, 1))
                samples: list[bytes] = self._script("samples", (keys.list, keys.delayed), (1,))
                if any(sample and not sample.startswith(b"{") for sample in samples):
                    log.warning(
                        "entries are no JSON: a phpredis serializer or compression does not suit queues",
                        extra={"action": "queue_check", "queue": name},
                    )
        except (AuthenticationError, AuthorizationError) as error:
            raise ConfigurationError(
                "REDIS_USERNAME or REDIS_PASSWORD",
                f"is not accepted by Redis: {error}",
                remedy="see the app's .env",
            ) from error
        except ResponseError as error:
            if isinstance(error, PASSING) or str(error).startswith("BUSY"):
                raise unavailable(error) from error
            raise ConfigurationError(
                "the queue's Redis keys",
                f"cannot be used: {reason(error)}",
                remedy="check REDIS_DB and REDIS_PREFIX",
            ) from error
        except RedisError as error:
            is_tls = issubclass(self._client.connection_pool.connection_class, redis.SSLConnection)
            if fault := explain_tls_error(str(error), is_tls=is_tls):
                problem = f"fails, {fault}: {reason(error)}"
                raise ConfigurationError("TLS to Redis", problem, remedy=TLS_REMEDY) from error
            raise unavailable(error) from error

    def _check_rights(self, keys: Keys) -> None:
        missing = missing_rights(self._client, list_key=keys.list, set_key=keys.reserved)
        if not missing:
            return
        user = self._client.connection_pool.connection_kwargs.get("username") or "default"
        grants = " ".join(f"~{keys.list.decode()}*" if right == KEYS else f"+{right}" for right in missing)
        raise ConfigurationError(
            f"the Redis user {user}",
            f"lacks rights that a queue needs: {', '.join(missing)}",
            remedy=f"ACL SETUSER {user} {grants}",
        )

    def reserve(self, limit: int) -> Sequence[Job]:
        jobs: list[Job] = []
        portion = Portion(limit)
        with self._translated():
            self._scan.begin()
            for queue, keys in self._active.items():
                if portion.left > 0:
                    jobs += self._reserve_from(queue, keys, portion)
            for queue in self._tokens_taken - {job.queue for job in jobs} if self._tokens == "share" else ():
                keys = self._keys[queue]
                self._script("return_token", (keys.list, keys.notify))
            self._tokens_taken.clear()
        return jobs

    def pause(self, queues: Collection[str]) -> None:
        active = {queue: keys for queue, keys in self._keys.items() if queue not in queues}
        if active != self._active:
            self._active = active
            self._lookahead.forget()

    def wait(self, timeout: float) -> None:
        until = time.monotonic() + min(timeout, TICK)
        if self._tokens == "none":
            if not self._scan.has_more:
                self._woken.wait(min(timeout, self._interval))
            self._woken.clear()
            return
        with self._translated():
            while not self._scan.has_more and not self._woken.is_set():
                before = time.monotonic()
                tokens, seen = self._state()
                self._looks.append(time.monotonic() - before)
                if seen != self._seen:
                    self._seen = seen
                    return
                if self._may_block(tokens) and timeout >= TICK and self._active:
                    self._block()
                    return
                if (rest := until - time.monotonic()) <= 0:
                    return
                self._woken.wait(min(rest, max(self._interval, RESTING_SHARE * min(self._looks))))
        self._woken.clear()

    def wake(self) -> None:
        self._woken.set()
        with contextlib.suppress(RedisError):  # then BLPOP ends by itself, within a second
            for _ in range(20):
                blocked = self._blocked_as
                if blocked is None or self._client.client_unblock(blocked):
                    return
                time.sleep(0.002)  # it is about to block: not yet to be unblocked

    def delete(self, jobs: Sequence[Job]) -> int:
        with self._translated():
            pipeline = self._client.pipeline(transaction=False)
            for queue, members in _by_queue(jobs).items():
                pipeline.zrem(self._keys[queue].reserved, *members)
            return sum(pipeline.execute())

    def delete_and_reserve(self, done: Sequence[Job], limit: int) -> Exchange:
        with self._translated():
            seen = self._lookahead.pop(limit)
            queue = seen[0][0] if seen else ""
            # only those of one queue together: in a cluster, another one may live elsewhere
            together = [job for job in done if job.queue == queue]
            apart = [job for job in done if job.queue != queue]
            deleted = self.delete(apart) if apart else 0
            if not seen:
                return lambda: (deleted, ())
            keys, arguments = self._claim_seen(seen, together)
            self._line.send("EVALSHA", SCRIPTS["claim"].sha1, len(keys), *keys, *arguments)
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
        waiter, self._waiter = self._waiter, None
        if waiter is not None:
            waiter.close()

    def _reserve_from(self, queue: str, keys: Keys, portion: Portion) -> list[Job]:
        found, at_head = self._scan.find(queue, keys, portion, uses_up_tokens=self._uses_up(queue))
        if not found:
            return []
        tokens = len(found) if self._tokens == "none" else 1 if queue in self._tokens_taken else 0
        _, *taken = self._script("claim", *self._claim(keys, found, tokens))
        self._scan.taken(queue, len(taken), sum(number <= at_head for number in taken))
        return [found[number - 1].job(queue) for number in taken]

    def _look_ahead(self, limit: int) -> list[tuple[str, Found]]:
        self._scan.begin()
        portion = Portion(limit, alone=False)
        seen: list[tuple[str, Found]] = []
        for queue, keys in self._active.items():
            if portion.left > 0:
                found, _ = self._scan.find(queue, keys, portion, uses_up_tokens=self._uses_up(queue))
                seen += [(queue, one) for one in found]
        return seen

    def _claim(
        self, keys: Keys, found: Sequence[Found], tokens: int, done: Sequence[Job] = ()
    ) -> tuple[Sequence[bytes], Sequence[bytes | int]]:
        """Keys and arguments of the script that reserves jobs that were found and deletes others."""
        until = int(self._clock()) + self._retry_after
        # one argument for all: of many, redis-py would send each few KB apart
        packed = b"".join(_sized(one.entry) + _sized(one.reserved) for one in found)
        return (keys.list, keys.reserved, keys.notify), (until, tokens, packed, *map(_member, done))

    def _claim_seen(
        self, seen: Sequence[tuple[str, Found]], done: Sequence[Job] = ()
    ) -> tuple[Sequence[bytes], Sequence[bytes | int]]:
        """The same for jobs of one queue out of a look ahead, for which no token is taken."""
        return self._claim(self._keys[seen[0][0]], [one for _, one in seen], len(seen), done)

    def _exchanged(
        self, seen: Sequence[tuple[str, Found]], done: Sequence[Job], deleted: int
    ) -> tuple[int, Sequence[Job]]:
        with self._translated():
            try:
                removed, *taken = self._line.receive()
            except NoScriptError:
                removed, *taken = self._script("claim", *self._claim_seen(seen, done))
            limit = len(seen)
            while not taken and (seen := self._lookahead.pop(limit)):  # others were quicker
                _, *taken = self._script("claim", *self._claim_seen(seen))
        return deleted + removed, [seen[number - 1][1].job(seen[number - 1][0]) for number in taken]

    def _uses_up(self, queue: str) -> bool:
        """Whether all tokens of this queue go, since one has woken us."""
        return self._tokens == "all" and queue in self._tokens_taken

    def _may_block(self, tokens: bool) -> bool:
        return self._tokens == "all" or not tokens

    def _state(self) -> tuple[bool, dict[str, object]]:
        """Whether any token lies about; and what a push to any of the lists would change."""

        def look() -> list[Any]:
            pipeline = self._client.pipeline(transaction=False)
            for keys in self._active.values():
                pipeline.llen(keys.notify)
                pipeline.llen(keys.list)
                pipeline.evalsha(SCRIPTS["head"].sha1, 1, keys.list, -1, -1, MOST_BYTES, LARGE)
            return pipeline.execute()

        answers = iter(with_scripts(self._client, look))
        tokens = 0
        seen: dict[str, object] = {}
        for queue in self._active:
            tokens += next(answers)
            seen[queue] = self._mark(next(answers), next(answers))
        return tokens > 0, seen

    def _note_end(self, queue: str, length: int, last: object) -> None:
        self._seen[queue] = self._mark(length, last)

    def _mark(self, length: int, last: object) -> object:
        """What changes when there may be something new in a list of that length and last entry."""
        return last if self._tokens == "all" else (length, last)

    def _block(self) -> None:
        """Waits for a token, at most TICK seconds."""
        if self._waiter is None:
            self._waiter = self._client.client()  # type: ignore[no-untyped-call]
        try:
            self._blocked_as = self._waiter.client_id()
            if self._woken.is_set():
                return
            notify = {keys.notify: queue for queue, keys in self._active.items()}
            woken_by: Any = self._waiter.blpop(list(notify), timeout=TICK)
        finally:
            self._blocked_as = None
        if woken_by:
            queue = notify[woken_by[0]]
            if self._uses_up(queue):  # nobody has looked since the last one
                self._client.delete(woken_by[0])
            self._tokens_taken.add(queue)

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


def _sized(text: bytes) -> bytes:
    return len(text).to_bytes(4, "big") + text


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
