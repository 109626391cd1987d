"""One thread that sees what lies in the queue, resolves it, and compares it with what Laravel posted."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace

from bridge.errors import BridgeError, Refused, ServiceUnavailable
from bridge.jobs.queue.inspect import QueueInspector, SeenJob
from bridge.jobs.resolve.ladder import Ladder
from bridge.jobs.resolve.resolution import Answer
from bridge.jobs.resolve.rungs.php import PhpRung
from bridge.laravel.encryption import unseal
from bridge.laravel.payload import UNIQUE_BROADCAST_EVENT, BroadcastEvent, read_document
from bridge.serve.destinations import Destination, addressed
from bridge.serve.shadow.matcher import Event, Matcher, Pair, Posted, Resolved, differing

INTERVAL = 0.1  # seconds between looks, and ten times what a look took at least; a post asks for its own
RESTING_SHARE = 10
SPELL = 0.05  # seconds of resolving until the next look
PATIENCE = 0.25  # seconds that a post waits for a look
SUMMARY = 60.0  # seconds
SHOW_INTERVAL = 1.0  # seconds between the numbers on a terminal
SHOWN = 300  # characters of data

log = logging.getLogger(__name__)


class ReadOnlyPhpRung:
    """The PHP rung for a job that another worker runs too: not where running it changes something."""

    name = "php"

    def __init__(self, php: PhpRung) -> None:
        self._php = php

    def resolve(self, event: BroadcastEvent) -> Answer:
        if event.only_php or event.command.class_name == UNIQUE_BROADCAST_EVENT:
            what = event.only_php or "a lock of its own"
            raise Refused(f"the job has {what}, which two workers cannot both handle: not asked in shadow")
        return self._php.resolve(event)


class Comparer:
    """`show_data`: data that differ stand in the log, and not only the paths at which they do. `show` is told
    the numbers, as words, every second. The ladder is the watch's to close."""

    def __init__(
        self,
        look: QueueInspector,
        ladder: Ladder,
        destinations: Mapping[str, Destination],
        *,
        show_data: bool,
        show: Callable[[Sequence[str]], None] | None = None,
    ) -> None:
        self._look = look
        self._turn_to(ladder, destinations)
        self._newer: collections.deque[tuple[Ladder, Mapping[str, Destination]]] = collections.deque()
        self._show_data = show_data
        self._show = show
        self._matcher = Matcher()
        self._inbox: queue.SimpleQueue[Posted | Future[None]] = queue.SimpleQueue()
        self._jobs: collections.deque[SeenJob] = collections.deque()
        self._present: frozenset[str] = frozenset()
        self._reported: set[tuple[str, str]] = set()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="shadow")
        self.counts = dict.fromkeys(
            ("same", "different", "not_resolved", "posted_not_seen", "resolved_not_posted", "by_php"), 0
        )
        self.store_answers = False

    def check(self) -> None:
        """Looks once, while the thread does not run. Raises ServiceUnavailable."""
        sight = self._look.look()
        self.store_answers = True
        self._present = sight.present
        self._jobs.extend(sight.new)

    # ---- for the loop -------------------------------------------------------------------------------

    def start(self) -> None:
        self._thread.start()

    def use(self, ladder: Ladder, destinations: Mapping[str, Destination]) -> None:
        """Resolves the next jobs by these; what waits keeps its resolution."""
        self._newer.append((ladder, destinations))

    def close(self) -> None:
        """Closes its connections, while the thread does not run."""
        for ladder in (self._ladder, *(ladder for ladder, _ in self._newer)):
            ladder.close()

    def stop(self) -> None:
        """Compares what is at hand, and logs the last summary."""
        self._stopping.set()
        self._inbox.put(Future())
        self._thread.join()

    async def look(self) -> None:
        """Looks at what lies in the queue now; gives up when that takes long."""
        done: Future[None] = Future()
        self._inbox.put(done)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):  # `wait_for` of Python 3.11 can lose a cancel
                await asyncio.wrap_future(done)

    def took(self, events: Sequence[Event]) -> None:
        """Takes what Laravel posted."""
        now = time.monotonic()
        for event in events:
            self._inbox.put(Posted(event=event, at=now))

    # ---- the thread ---------------------------------------------------------------------------------

    def _run(self) -> None:
        rest, shown_at, summary_at = INTERVAL, 0.0, time.monotonic() + SUMMARY
        while not self._stopping.is_set():
            waiting, posts = self._received(0 if self._jobs else rest)
            began = time.monotonic()
            self._see()
            rest = max(INTERVAL, RESTING_SHARE * (time.monotonic() - began))
            for done in waiting:
                if done.set_running_or_notify_cancel():
                    done.set_result(None)
            self._work(posts, until=began + SPELL)
            if self._show is not None and began - shown_at >= SHOW_INTERVAL:
                shown_at = began
                self._show(self._words())
            if time.monotonic() > summary_at:
                summary_at += SUMMARY
                self._summarize("so far")
        _, posts = self._received(0)
        self._work(posts, until=time.monotonic() + 5.0, last=True)
        self._summarize("in all")

    def _turn_to(self, ladder: Ladder, destinations: Mapping[str, Destination]) -> None:
        self._ladder = ladder
        self._destinations = destinations
        self._keys = {to.app_id: to.master_key for to in destinations.values() if to.master_key}

    def _words(self) -> list[str]:
        """The numbers; of those that are no good news, only what there is."""
        numbers = {**self.counts, "waiting": self._matcher.waiting}
        always = ("same", "different", "waiting")
        return [
            f"{count:,} {name.replace('_', ' ')}"
            for name, count in numbers.items()
            if count or name in always
        ]

    def _received(self, rest: float) -> tuple[list[Future[None]], list[Posted]]:
        """What has come, waiting for the first of it."""
        looks: list[Future[None]] = []
        posts: list[Posted] = []
        with contextlib.suppress(queue.Empty):
            item = self._inbox.get(timeout=rest) if rest else self._inbox.get_nowait()
            while True:
                posts.append(item) if isinstance(item, Posted) else looks.append(item)
                item = self._inbox.get_nowait()
        return looks, posts

    def _see(self) -> None:
        try:
            self.check()
        except ServiceUnavailable as problem:
            if self.store_answers:
                about = {"action": "shadow_look", "why": str(problem)}
                log.warning("shadow: the queue does not answer", extra=about)
            self.store_answers = False

    def _work(self, posts: Sequence[Posted], *, until: float, last: bool = False) -> None:
        for posted in posts:
            self._matcher.post(replace(posted, event=self._opened(posted.event)))
        while self._jobs and time.monotonic() < until:
            job = self._jobs.popleft()
            self._matcher.expect(job.uuid, self._resolved(job))
            if not last and not self._inbox.empty():
                break  # Laravel waits
        if not self._jobs or last:
            for finding in self._matcher.findings(time.monotonic(), self._present, last=last):
                self._judge(finding)

    def _opened(self, event: Event) -> Event:
        """The event as it was before it was sealed."""
        key = self._keys.get(event.app_id)
        if key is None or not event.channels or not event.channels[0].startswith("private-encrypted-"):
            return event
        data = unseal(event.channels[0], event.data, key)
        return event if data is None else replace(event, data=data)

    def _resolved(self, job: SeenJob) -> list[Resolved]:
        """The calls that the job makes; one without an event where there is none."""
        while self._newer:
            self._ladder.close()
            self._turn_to(*self._newer.popleft())
        found = list(self._calls(job))
        outcome, why, by = found[0].outcome, found[0].why, found[0].by
        self.counts["by_php"] += by == "php"
        if outcome == "refused":
            self.counts["not_resolved"] += 1
            self._log_once(found[0].event_class, why)
        about = {"action": "shadow_resolved", "event_class": found[0].event_class, "uuid": job.uuid}
        log.debug("shadow: a job was resolved", extra={**about, "outcome": outcome, "by": by})
        return found

    def _calls(self, job: SeenJob) -> Iterator[Resolved]:
        payload = read_document(job.document)
        one = Resolved(
            uuid=job.uuid, event_class=payload.display_name, outcome="refused", why="", by=None, call=0,
            event=None, at=time.monotonic(), document=job.document,
        )  # fmt: skip
        try:
            said = self._ladder.resolve(payload)
            sent = [addressed(call, self._destinations) for call in said.broadcasts]
        except ServiceUnavailable as problem:
            yield replace(one, why=str(problem))
            return
        except BridgeError as problem:
            yield replace(one, outcome="failed", why=str(problem))
            return
        except Exception:  # the thread goes on, whatever one job does to it
            log.exception("shadow: a job was not resolved by a fault of bridge", extra={"uuid": job.uuid})
            yield replace(one, why="a fault of bridge itself")
            return
        one = replace(one, event_class=said.event, outcome=said.outcome, why=said.why, by=said.by)
        for number, (call, broadcast) in enumerate(zip(said.broadcasts, sent, strict=True)):
            event = Event(
                app_id=broadcast.app_id,
                channels=call.channels,
                name=call.name,
                data=call.data,
                socket=call.socket,
            )
            yield replace(one, call=number, event=event)
        if not sent:
            yield one

    def _judge(self, finding: Pair | Resolved | Posted) -> None:
        match finding:
            case Pair(resolved=Resolved(outcome="refused")):
                return  # counted when it was not resolved
            case Pair(resolved=ours, posted=posted, equal=equal):
                paths = [] if equal else self._differing(ours, posted.event)
                self.counts["different" if paths else "same"] += 1
                if paths:
                    self._log_finding("shadow: differs from what Laravel posted", ours, posted.event, paths)
            case Resolved():
                self.counts["resolved_not_posted"] += 1
                self._log_finding("shadow: resolved but never posted", finding, None, [])
            case Posted(event=event):
                self.counts["posted_not_seen"] += 1
                self._log_finding("shadow: posted but not seen in the queue", None, event, [])

    def _differing(self, ours: Resolved, theirs: Event) -> list[str]:
        """The paths that differ, but for those that change from one look to the next: clock and database."""
        if ours.event is None:
            return ["outcome"]
        found = set(differing(ours.event, theirs))
        again = list(self._calls(SeenJob(uuid=ours.uuid, document=ours.document)))
        second = again[ours.call].event if ours.call < len(again) else None
        if second is not None:
            found = found - set(differing(ours.event, second)) if second != theirs else set()
        return sorted(found)

    # ---- the log ------------------------------------------------------------------------------------

    def _log_finding(
        self, message: str, ours: Resolved | None, theirs: Event | None, paths: Sequence[str]
    ) -> None:
        event = theirs or (ours.event if ours else None)
        about: dict[str, object] = {"action": "shadow_finding"}
        if ours is not None:
            about |= {"event_class": ours.event_class, "uuid": ours.uuid, "by": ours.by}
            if ours.event is None:
                about |= {"outcome": ours.outcome, "why": ours.why}
        if event is not None:
            about["event"] = event.name
        if paths:
            about["paths"] = ", ".join(paths)
        if self._show_data:
            if ours is not None and ours.event is not None:
                about["resolved"] = _shown(ours.event)
            if theirs is not None:
                about["posted"] = _shown(theirs)
        log.warning(message, extra=about)

    def _log_once(self, event_class: str, why: str) -> None:
        if (event_class, why) not in self._reported and len(self._reported) < 1_000:
            self._reported.add((event_class, why))
            about = {"action": "shadow_finding", "event_class": event_class, "why": why}
            log.warning("shadow: not resolved", extra=about)

    def _summarize(self, when: str) -> None:
        about = {"action": "shadow_summary", "when": when, **self.counts, "waiting": self._matcher.waiting}
        log.info("shadow: summary", extra=about)


def _shown(event: Event) -> str:
    return f"{' '.join(event.channels)} {event.data}"[:SHOWN]
