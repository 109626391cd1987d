"""Laravel's Redis queue: `queues:NAME`, `:delayed`, `:reserved`, `:notify`.

Reserving looks first and moves second. LRANGE shows entries, Python decides which are ours and
writes their new attempts; then a script moves exactly those bytes, each only if it is still in the list.
Nothing is popped before it is understood, other jobs keep their places, and the script, during which Redis
serves nobody else, parses no JSON.

Behind a backlog of other jobs the search goes on where it ended (`_ScanPosition`), a bounded piece per call.

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
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeVar

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
from bridge.jobs.queue.redis.scripts import SCRIPTS, Entry, with_scripts
from bridge.jobs.queue.selection import (
    name_and_uuid,
    queued_at,
    whole_number,
    with_attempts,
)
from bridge.laravel.payload import json_object
from bridge.laravel.tls import explain_tls_error

POLL_INTERVAL = 0.025  # seconds between looks where no token wakes us
SHARED_INTERVAL = 0.005  # the same while tokens of others lie about
RESTING_SHARE = 10  # a look that took t seconds is followed by 10 t of rest
TICK = 1  # seconds; a delayed job is at most this late
MIGRATED = 100  # members per call, as Laravel's chunks
EXPIRED_PAGES = 10  # of so many expired reservations of others, past which one of ours is looked for
LONGEST_ENTRY = 1 << 29  # bytes; Redis takes none that is longer
ENTRIES_BYTES = 1 << 40  # more than any entries have together
SENT_KEPT = 600  # seconds for which a mark is kept, and twice retry_after at least
WINDOW = 500  # entries per call behind the head of the list
TOLD = 1_000  # large entries that the log names, at most

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
        self._selection = options.selection
        self._tokens = tokens
        self._interval = options.interval or (POLL_INTERVAL if tokens == "none" else SHARED_INTERVAL)
        self._lookahead = Lookahead(self._look_ahead, group_key=lambda seen: seen[0], fresh=fresh(queues))
        self._woken = threading.Event()
        # the quickest of the last looks is what the server needs; the rest is a busy machine's waiting
        self._looks: collections.deque[float] = collections.deque(maxlen=8)
        self._line = PipelinedConnection(client)
        self._waiter: redis.Redis | None = None
        self._blocked_as: int | None = None  # client id of the connection inside BLPOP
        self._places: dict[str, _ScanPosition] = {}
        self._tokens_taken: set[str] = (
            set()
        )  # queues whose token woke us; it, or all of them, are to be used up
        self._unfinished = False  # the last `reserve` left something to look at
        self._seen: dict[str, object] = {}
        self._memory = memory or Memory()
        self._longest = LONGEST_ENTRY  # that could be read so far
        self._least_unread = LONGEST_ENTRY  # bytes; of those that a search has passed
        self._told_unread: set[tuple[int, bytes]] = set()
        self._skipped: set[bytes] = set()
        self._last_skipped: dict[str, bytes] = {}  # by queue

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
            self._unfinished = False
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
            if not self._unfinished:
                self._woken.wait(min(timeout, self._interval))
            self._woken.clear()
            return
        with self._translated():
            while not self._unfinished and not self._woken.is_set():
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
                before = self._last_skipped.get(queue, b"")
                self._script("give_back", (keys.reserved, keys.list, keys.notify), [before, *pairs])

    def leave(self, job: Job) -> None:
        raise NotImplementedError("what cannot be read is not taken in the first place")

    def skip(self, jobs: Collection[Job]) -> None:
        self._skipped.update(job.payload for job in jobs)
        self._last_skipped.update((job.queue, job.payload) for job in jobs)

    def clear_skipped(self) -> None:
        if self._skipped:
            self._skipped.clear()
            self._last_skipped.clear()
            self._places.clear()

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
        found, at_head = self._find(queue, keys, portion)
        if not found:
            return []
        tokens = len(found) if self._tokens == "none" else 1 if queue in self._tokens_taken else 0
        _, *taken = self._script("claim", *self._claim(keys, found, tokens))
        if place := self._places.get(queue):
            place.position -= sum(number <= at_head for number in taken)
            place.length -= len(taken)
        return [found[number - 1].job(queue) for number in taken]

    def _find(self, queue: str, keys: Keys, portion: Portion) -> tuple[list[_Found], int]:
        """Jobs of ours that wait, as many as fit into the portion; how many of them stand at the head of the
        list."""
        head, length = self._look(queue, keys, portion.left, int(self._clock()))
        found = self._ours(queue, head, portion)
        at_head = len(found)
        if portion.left > 0 and length > len(head):
            found += self._look_behind(queue, keys, len(head), length, portion)
        return found, at_head

    def _look_ahead(self, limit: int) -> list[tuple[str, _Found]]:
        self._unfinished = False
        portion = Portion(limit, alone=False)
        seen: list[tuple[str, _Found]] = []
        for queue, keys in self._active.items():
            if portion.left > 0:
                seen += [(queue, one) for one in self._find(queue, keys, portion)[0]]
        return seen

    def _claim(
        self, keys: Keys, found: Sequence[_Found], tokens: int, done: Sequence[Job] = ()
    ) -> tuple[Sequence[bytes], Sequence[bytes | int]]:
        """Keys and arguments of the script that reserves jobs that were found and deletes others."""
        until = int(self._clock()) + self._retry_after
        # one argument for all: of many, redis-py would send each few KB apart
        packed = b"".join(_sized(one.entry) + _sized(one.reserved) for one in found)
        return (keys.list, keys.reserved, keys.notify), (until, tokens, packed, *map(_member, done))

    def _claim_seen(
        self, seen: Sequence[tuple[str, _Found]], done: Sequence[Job] = ()
    ) -> tuple[Sequence[bytes], Sequence[bytes | int]]:
        """The same for jobs of one queue out of a look ahead, for which no token is taken."""
        return self._claim(self._keys[seen[0][0]], [one for _, one in seen], len(seen), done)

    def _exchanged(
        self, seen: Sequence[tuple[str, _Found]], done: Sequence[Job], deleted: int
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

    def _look(self, queue: str, keys: Keys, limit: int, now: int) -> tuple[list[Entry], int]:
        """Due members are migrated. Returns up to `limit` first entries of the list, and its length."""

        uses_up = self._tokens == "all" and queue in self._tokens_taken

        def look() -> list[Any]:
            pipeline = self._client.pipeline(transaction=False)
            if uses_up:  # first: what they stand for is looked at next
                pipeline.delete(keys.notify)
            pipeline.evalsha(SCRIPTS["migrate"].sha1, 3, keys.delayed, keys.list, keys.notify, now, MIGRATED)
            pipeline.evalsha(SCRIPTS["head"].sha1, 1, keys.reserved, *self._expired(0, now))
            pipeline.evalsha(SCRIPTS["head"].sha1, 1, keys.list, 0, limit - 1, MOST_BYTES, self._readable())
            pipeline.llen(keys.list)
            pipeline.evalsha(SCRIPTS["head"].sha1, 1, keys.list, -1, -1, MOST_BYTES, LARGE)
            return pipeline.execute()[uses_up:]

        due, expired, head, length, last = self._with_scripts(look)
        if expired and self._take_back(queue, keys, expired, now):
            due, expired, head, length, last = self._with_scripts(look)
        self._seen[queue] = self._mark(length, last)
        self._unfinished = self._unfinished or due == MIGRATED
        return head, length

    def _take_back(self, queue: str, keys: Keys, expired: Sequence[Entry], now: int) -> bool:
        """Whether reservations of our kind had expired, which are in the list again. Those of other jobs stay
        for who takes them: they may be at work in another thread of ours. Large ones stay unread."""
        start = 0
        for _ in range(EXPIRED_PAGES):
            read = list(self._read(queue, expired))
            ours = [member for member in read if self._selection.document(queue, member) is not None]
            if ours:
                moved: int = self._script("take_back", (keys.reserved, keys.list, keys.notify), (now, *ours))
                return moved > 0
            start += len(expired)
            expired = self._script("head", (keys.reserved,), self._expired(start, now))
            if not expired:
                break
        return False

    def _expired(self, start: int, now: int) -> tuple[int, ...]:
        """What to ask a reserved set for: members whose reservation has ended, from a position on."""
        return start, start + MIGRATED - 1, MOST_BYTES, self._readable(), now

    def _look_behind(self, queue: str, keys: Keys, start: int, length: int, portion: Portion) -> list[_Found]:
        """Jobs of ours among the next entries after those known to be others', never before `start`."""
        if self._readable() > self._least_unread:  # there is more memory than when they were passed
            self._least_unread = LONGEST_ENTRY
            self._places.clear()
        position = self._find_place(queue, keys, start, length)
        entries: list[Entry] = self._script(
            "head", (keys.list,), (position, position + WINDOW - 1, MOST_BYTES, self._readable())
        )
        found = self._ours(queue, entries, portion)
        if entries and not found:
            self._places[queue] = _ScanPosition(
                position=position + len(entries), entry=entries[-1], length=length
            )
            self._unfinished = self._unfinished or position + len(entries) < length
        return found

    def _ours(self, queue: str, entries: Iterable[Entry], portion: Portion) -> list[_Found]:
        found = []
        for entry in self._read(queue, entries):
            document = self._selection.document(queue, entry)
            if document is None or (self._skipped and entry in self._skipped):
                continue
            attempts = whole_number(document, "attempts") if document else 0
            if attempts is None and document.get("attempts") is not None:
                continue
            if attempts is None:  # Laravel's script would lose it
                document, attempts = {}, 0
            if not portion.takes(len(entry), attempts):
                break
            reserved = with_attempts(entry, document, attempts + 1) if document else entry
            found.append(_Found(entry=entry, reserved=reserved, document=document, attempts=attempts + 1))
        return found

    def _may_block(self, tokens: bool) -> bool:
        return self._tokens == "all" or not tokens

    def _find_place(self, queue: str, keys: Keys, start: int, length: int) -> int:
        """The position where the search goes on. Pops at the head move everything to the left, by as much as
        the list is shorter now; where entries behind were taken, or others pushed, it lies elsewhere near."""
        place = self._places.get(queue)
        if place is None or place.position <= start:
            return start
        moved = place.position - max(0, place.length - length)
        for back, end in ((0, moved), (0, place.position), (WINDOW, moved), (WINDOW, place.position)):
            first = max(0, end - 1 - back)
            read = self._range(keys.list, first, end - 1) if end > 0 else []
            if place.entry in read:
                place.position, place.length = first + read.index(place.entry) + 1, length
                return max(start, place.position)
        del self._places[queue]
        return start

    def _range(self, key: bytes, first: int, last: int) -> list[Entry]:
        entries: list[Entry] = self._script("head", (key,), (first, last, ENTRIES_BYTES, self._readable()))
        return entries

    def _readable(self) -> int:
        """Bytes from which on an entry is left in the queue: whoever reads it may be killed for it."""
        return min(self._longest, max(LARGE, self._memory.largest()))

    def _read(self, queue: str, entries: Iterable[Entry]) -> Iterator[bytes]:
        """Those that were read; the others stay in the queue, and the log names each once."""
        for entry in entries:
            if isinstance(entry, bytes):
                yield entry
                continue
            size, start = entry
            self._least_unread = min(self._least_unread, size)
            if (size, start) in self._told_unread or len(self._told_unread) >= TOLD:
                continue
            self._told_unread.add((size, start))
            if self._selection.may_take(start):
                name, uuid = name_and_uuid(start)
                about = {"action": "memory", "uuid": uuid, "event_class": name, "queue": queue}
                log.error(
                    "a job stays in the queue until there is memory to read it",
                    extra={**about, "kib": size >> 10},
                )

    def _state(self) -> tuple[bool, dict[str, object]]:
        """Whether any token lies about; and what a push to any of the lists would change."""

        def look() -> list[Any]:
            pipeline = self._client.pipeline(transaction=False)
            for keys in self._active.values():
                pipeline.llen(keys.notify)
                pipeline.llen(keys.list)
                pipeline.evalsha(SCRIPTS["head"].sha1, 1, keys.list, -1, -1, MOST_BYTES, LARGE)
            return pipeline.execute()

        answers = iter(self._with_scripts(look))
        tokens = 0
        seen: dict[str, object] = {}
        for queue in self._active:
            tokens += next(answers)
            seen[queue] = self._mark(next(answers), next(answers))
        return tokens > 0, seen

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
            if self._tokens == "all" and queue in self._tokens_taken:  # nobody has looked since the last one
                self._client.delete(woken_by[0])
            self._tokens_taken.add(queue)

    def _script(self, name: str, keys: Sequence[bytes], arguments: Iterable[object] = ()) -> Any:
        rest: tuple[Any, ...] = (*keys, *arguments)
        return self._with_scripts(lambda: self._client.evalsha(SCRIPTS[name].sha1, len(keys), *rest))

    def _with_scripts(self, work: Callable[[], Result]) -> Result:
        return with_scripts(self._client, work)

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
            self._longest = max(MOST_BYTES, self._readable() // 8)
            raise


@dataclass(slots=True, kw_only=True)
class _ScanPosition:
    """Where a search goes on: no entry before `position` is ours, and `entry` is the last of them. The list
    had `length` entries when it was there."""

    position: int
    entry: Entry
    length: int


class _Found(NamedTuple):
    """A job of ours in the list: the entry's bytes, and what they become when it is reserved."""

    entry: bytes
    reserved: bytes
    document: Mapping[str, object]
    attempts: int

    def job(self, queue: str) -> Job:
        return Job(
            queue=queue,
            payload=self.entry,
            document=self.document,
            attempts=self.attempts,
            receipt=self.reserved,
        )


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
