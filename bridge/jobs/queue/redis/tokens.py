"""How an idle queue is woken: by Laravel's own `:notify` tokens, or by looks.

While tokens lie there for jobs of others, who may need them, the lists are polled instead. Where a second
driver of ours takes the other jobs, one of the two uses up all tokens and the other none (`TokenUse`): then
no token of its jobs keeps the first from blocking.
"""

from __future__ import annotations

import collections
import contextlib
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Literal

import redis
from redis.exceptions import RedisError, ResponseError

from bridge.jobs.queue.portion import LARGE, MOST_BYTES
from bridge.jobs.queue.redis.keys import Keys
from bridge.jobs.queue.redis.line import Command, Line, script

POLL_INTERVAL = 0.025  # seconds between looks where no token wakes us
SHARED_INTERVAL = 0.005  # the same while tokens of others lie about
RESTING_SHARE = 10  # a look that took t seconds is followed by 10 t of rest
TICK = 1  # seconds; a delayed job is at most this late

# What becomes of the tokens: `share`: those of our jobs are used up, others put back; `all`: all are used up;
# `none`: none is touched, and nothing is waited for but `wake` and the next look.
TokenUse = Literal["share", "all", "none"]


class Tokens:
    """For one thread, but for `wake`. Every other call may raise RedisError.

    line      of the driver
    use       see `TokenUse`
    interval  seconds between looks; None: as is right for the use
    """

    def __init__(self, client: redis.Redis, line: Line, use: TokenUse, interval: float | None) -> None:
        self._client = client
        self._line = line
        self._use = use
        self._interval = interval or (POLL_INTERVAL if use == "none" else SHARED_INTERVAL)
        self._woken = threading.Event()
        # the quickest of the last looks is what the server needs; the rest is a busy machine's waiting
        self._looks: collections.deque[float] = collections.deque(maxlen=8)
        self._waiter = Line(client)
        self._blocked_as: int | None = None  # client id of the connection inside BLPOP
        self._taken: set[str] = set()  # queues whose token woke us; it, or all of them, are to be used up
        self._seen: dict[str, object] = {}
        self._lying: dict[str, int] = {}  # tokens that a look has seen since the last wait, by queue

    def wait(
        self, timeout: float, queues: Mapping[str, Keys], look: Callable[[], Sequence[Command]]
    ) -> Sequence[Any]:
        """Returns when there may be something new in one of these, or after `timeout` or TICK seconds.

        Where a token has woken us, what the commands of `look` have answered since; else nothing."""
        until = time.monotonic() + min(timeout, TICK)
        if self._use == "none":
            self._woken.wait(min(timeout, self._interval))
        while self._use != "none" and not self._woken.is_set():
            tokens = self._seen_tokens(queues)
            if tokens is None:
                before = time.monotonic()
                tokens, seen = self._state(queues)
                self._looks.append(time.monotonic() - before)
                if seen != self._seen:
                    self._seen = seen
                    return ()
            if (self._use == "all" or not tokens) and timeout >= TICK and queues:
                return self._block(queues, look())
            if (rest := until - time.monotonic()) <= 0:
                return ()
            self._woken.wait(min(rest, max(self._interval, RESTING_SHARE * min(self._looks, default=0.0))))
        self._woken.clear()
        return ()

    def skip_wait(self) -> None:
        """In place of a wait, where there is more to do at once."""
        self._woken.clear()

    def wake(self) -> None:
        """Ends a wait. Any thread may call it."""
        self._woken.set()
        self._unblock()

    def note_end(self, queue: str, length: int, last: object, tokens: int) -> None:
        """What a look at the queue has seen: the length and the last entry of its list, and its tokens."""
        self._seen[queue] = self._mark(length, last)
        self._lying[queue] = tokens

    @property
    def uses_all(self) -> bool:
        """Whether all tokens go once one has woken us."""
        return self._use == "all"

    def uses_up(self, queue: str) -> bool:
        """Whether all tokens of this queue go, since one has woken us."""
        return self.uses_all and queue in self._taken

    def spent(self, queue: str, jobs: int) -> int:
        """How many tokens of so many jobs are out of the list already, or shall stay there."""
        return jobs if self._use == "none" else int(queue in self._taken)

    def return_unused(self, served: Collection[str], keys: Mapping[str, Keys]) -> None:
        """Puts the tokens back that woke us for jobs of others: none was taken from any but these queues."""
        if self._use == "share":
            for queue in self._taken.difference(served):
                self._line.run(script("return_token", (keys[queue].list, keys[queue].notify)))
                self._lying.pop(queue, None)
        self._taken.clear()

    def close(self) -> None:
        self._waiter.close()

    def _seen_tokens(self, queues: Mapping[str, Keys]) -> bool | None:
        """Whether any token lies about, where the look that found nothing has just told. A push since then
        has left one, which ends `_block` at once."""
        lying, self._lying = self._lying, {}
        return any(lying.values()) if lying.keys() >= queues.keys() else None

    def _state(self, queues: Mapping[str, Keys]) -> tuple[bool, dict[str, object]]:
        """Whether any token lies about; and what a push to any of the lists would change."""
        commands = [
            command
            for keys in queues.values()
            for command in (
                ("LLEN", keys.notify),
                ("LLEN", keys.list),
                script("head", (keys.list,), -1, -1, MOST_BYTES, LARGE),
            )
        ]
        answers = iter(self._line.ask(*commands) if commands else ())
        tokens = 0
        seen: dict[str, object] = {}
        for queue in queues:
            tokens += next(answers)
            seen[queue] = self._mark(next(answers), next(answers))
        return tokens > 0, seen

    def _mark(self, length: int, last: object) -> object:
        """What changes when there may be something new in a list of that length and last entry."""
        return last if self._use == "all" else (length, last)

    def _block(self, queues: Mapping[str, Keys], look: Sequence[Command]) -> Sequence[Any]:
        """Waits for a token, at most TICK seconds. The look is sent along, and Redis begins it once the wait
        is over: a trip less for each event that comes to an idle queue."""
        notify = {keys.notify: queue for queue, keys in queues.items()}
        try:
            self._waiter.send(("CLIENT", "ID"), ("BLPOP", *notify, TICK), *look)
            self._blocked_as = self._waiter.receive()
            if self._woken.is_set():  # before it could be told whom to unblock
                self._unblock()
            [woken_by] = self._waiter.receive_each(1)
        finally:
            self._blocked_as = None
        is_woken = bool(woken_by) and not isinstance(woken_by, ResponseError)
        if is_woken:
            self._taken.add(notify[woken_by[0]])
        answers = self._waiter.receive_each(len(look))
        if isinstance(woken_by, ResponseError):
            raise woken_by
        if not is_woken or any(isinstance(answer, ResponseError) for answer in answers):
            return ()  # to be looked at anew: more may be due by now, and a refusal is met again
        return answers

    def _unblock(self) -> None:
        with contextlib.suppress(RedisError):  # then BLPOP ends by itself, within a second
            for _ in range(20):
                blocked = self._blocked_as
                if blocked is None or self._client.client_unblock(blocked):
                    return
                time.sleep(0.002)  # it is about to block: not yet to be unblocked
