"""Sender: the way to one address, for one app. Events go in order, in batches, signed, again when refused."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import httpx

from bridge.sockets.pusher import signatures
from bridge.sockets.pusher.app import App
from bridge.sockets.webhooks.attempts import Outcome, WebhookAttempt
from bridge.sockets.webhooks.events import Event, Webhook
from bridge.sockets.webhooks.public_addresses import PrivateAddress

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class SenderLimits:
    """How a sender waits; all in seconds, but for the numbers of events.

    answer_timeout  that an address may take for the whole head of an answer
    batch_delay     gathers what comes together into one request
    batch           events of one request
    max_waiting     events that may wait; then the oldest are lost
    first           pause before a request is tried again, doubled each time
    longest         pause at most
    give_up         after which a batch is lost; as at Pusher
    summary         between two lines in the log about what was lost
    """

    answer_timeout: float = 10.0
    batch_delay: float = 0.05
    batch: int = 100
    max_waiting: int = 10_000
    first: float = 1.0
    longest: float = 60.0
    give_up: float = 300.0
    summary: float = 60.0


class Sender:
    """`run` posts what `put` brings, for ever. Everything on one loop.

    record  gets every request and how it ended"""

    def __init__(
        self,
        app: App,
        webhook: Webhook,
        http: httpx.AsyncClient,
        patience: SenderLimits | None,
        record: Callable[[WebhookAttempt], object] = lambda _: None,
    ) -> None:
        self.app = app  # a newer one may take its place
        self._webhook = webhook
        self._http = http
        self._patience = patience or SenderLimits()
        self._record = record
        self._waiting: deque[Event] = deque()
        self._has_work = asyncio.Event()
        self._is_idle = asyncio.Event()
        self._is_idle.set()
        self._lost = 0
        self._last_problem = ""
        self._said_at = float("-inf")

    def put(self, event: Event) -> None:
        """Queues the event, if the address wants it."""
        if not self._webhook.wants(event):
            return
        if len(self._waiting) >= self._patience.max_waiting:
            self._waiting.popleft()
            self._lose(1)
        self._waiting.append(event)
        self._is_idle.clear()
        self._has_work.set()

    async def idle(self) -> None:
        """Returns when nothing waits any more."""
        await self._is_idle.wait()

    async def run(self) -> None:
        while True:
            await self._has_work.wait()
            await asyncio.sleep(self._patience.batch_delay)
            count = min(len(self._waiting), self._patience.batch)
            await self._deliver([self._waiting.popleft() for _ in range(count)])
            if not self._waiting:
                self._has_work.clear()
                self._is_idle.set()

    def close(self) -> None:
        """Drops what still waits, and logs that."""
        self._lose(len(self._waiting))
        self._waiting.clear()
        self._say(0.0)

    async def _deliver(self, events: Sequence[Event]) -> None:
        """Delivers the batch to the address, or drops it."""
        loop, patience = asyncio.get_running_loop(), self._patience
        give_up_at, pause = loop.time() + patience.give_up, patience.first
        number = 0
        try:
            while True:
                number += 1
                began = loop.time()
                is_taken = await self._post(events)
                is_last = loop.time() + pause > give_up_at
                outcome: Outcome = "taken" if is_taken else "lost" if is_last else "again"
                self._report(events, number, loop.time() - began, outcome)
                if is_taken:
                    return
                if is_last:
                    self._lose(len(events))
                    return
                await asyncio.sleep(pause)
                pause = min(pause * 2, patience.longest)
        except asyncio.CancelledError:
            self._lose(len(events))
            self._say(0.0)
            raise

    def _report(self, events: Sequence[Event], number: int, seconds: float, outcome: Outcome) -> None:
        self._record(
            WebhookAttempt(
                at=time.time(),
                app_id=self.app.id,
                place=self._webhook.place,
                events=Counter(event.name for event in events),
                number=number,
                answer=self._last_problem,
                seconds=seconds,
                outcome=outcome,
            )
        )

    async def _post(self, events: Sequence[Event]) -> bool:
        """Whether the address has taken them. Redirects are not followed: they are no yes."""
        body = json.dumps(
            {"time_ms": int(time.time() * 1000), "events": [event.fields for event in events]},
            separators=(",", ":"),
        ).encode()
        headers = {
            **dict(self._webhook.headers),
            "Content-Type": "application/json",
            "X-Pusher-Key": self.app.key,
            "X-Pusher-Signature": signatures.sign(self.app.secret, body),
        }
        try:
            async with (
                asyncio.timeout(self._patience.answer_timeout),
                self._http.stream(
                    "POST", self._webhook.url, content=body, headers=headers, follow_redirects=False
                ) as answer,
            ):
                self._last_problem = f"answered {answer.status_code}"
                return answer.is_success
        except Exception as problem:  # httpx lets some through: nothing that an address says ends its sender
            ours = problem.__cause__
            self._last_problem = str(ours) if isinstance(ours, PrivateAddress) else type(problem).__name__
            return False

    def _lose(self, count: int) -> None:
        self._lost += count
        self._say(self._patience.summary)

    def _say(self, pause: float) -> None:
        now = asyncio.get_running_loop().time()
        if not self._lost or now - self._said_at < pause:
            return
        about = {"action": "webhook", "app_id": self.app.id, "url": self._webhook.place, "lost": self._lost}
        logger.warning("webhook events were lost", extra={**about, "why": self._last_problem or "too many"})
        self._lost, self._said_at = 0, now
