"""What a deploy changes, of the worker of broadcasts: the ladder, its settings, the locks and the checks."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial

from bridge.broadcast import Broadcast
from bridge.errors import BridgeError, JobError
from bridge.jobs.queue.queue import Job
from bridge.jobs.resolve.checks import Check, Checks
from bridge.jobs.resolve.ladder import Ladder
from bridge.jobs.resolve.rungs.php import PhpRung
from bridge.jobs.resolve.trust import Disagreement
from bridge.jobs.worker.at_work import AtWork
from bridge.jobs.worker.loop import Result
from bridge.jobs.worker.progress import ProgressListener, ignore_progress
from bridge.jobs.worker.set_aside import SetAside
from bridge.laravel.cache import cache_store
from bridge.laravel.operator_signals import OperatorSignals
from bridge.laravel.payload import NotABroadcast, read_document
from bridge.serve.attempt import Attempt, FlushFirst, Order
from bridge.serve.destinations import destinations
from bridge.serve.wiring.ladder import agreement, build_ladder, event_mappings, unique_locks
from bridge.serve.wiring.trust import build_checks, earned_trust
from bridge.settings.load import Settings

BROADCAST_TRIES, BROADCAST_BACKOFF = 3, (3,)  # of broadcasts that say no number themselves
PHP_TRIES = 1  # of those whose own code throws, as queue:work

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class DeploymentHooks:
    """Called in the worker's thread: `on_step` with every step of every job, `restarted` at each
    `queue:restart`, `on_disagree` as `Trust` says."""

    on_step: ProgressListener = ignore_progress
    restarted: Callable[[], object] = lambda: None
    on_disagree: Callable[[Disagreement], object] = lambda found: None


class Deployment:
    """What a deploy changes: made anew after `queue:restart` or SIGHUP, in the worker's thread,
    between two batches.

    `reread` gives the settings as they are now; None: what was read at the start counts for ever.
    `aside`: the jobs that take long; `at_work`: which job is.
    """

    def __init__(
        self,
        settings: Settings,
        publish: Callable[[Sequence[Broadcast]], object],
        *,
        php: PhpRung | None,
        reread: Callable[[], Settings] | None,
        aside: SetAside,
        at_work: AtWork,
        hooks: DeploymentHooks = DeploymentHooks(),
    ) -> None:
        self._restarted = hooks.restarted
        self._on_disagree = hooks.on_disagree
        self.last_paused: Collection[str] | None = None  # before the first look
        self._publish = publish
        self._on_step = hooks.on_step
        self._aside = aside
        self._at_work = at_work
        self._php = php
        self._reread = reread
        self._is_stale = self._has_failed = False
        self._has_asked = False  # the app, how it is set up
        self._renewed = threading.Event()
        self._use(settings)
        self._signals = OperatorSignals(
            settings.laravel,
            partial(cache_store, settings.laravel, redis_connection=settings.redis),
            connection=settings.queue_connection().name,
            queues=settings.queue_names(),
            force=settings.force,
            restart=self._renew,
        )

    def attempt(self, jobs: Sequence[Job], is_enough: Callable[[], bool]) -> Sequence[Result]:
        return self._attempt(jobs, is_enough)

    def paused(self) -> Collection[str]:
        """The queues from which nothing may be taken now."""
        if self._is_stale:
            self._is_stale = False
            self._renew()
            self._renewed.set()
        if not self._has_asked:  # the worker begins: the first event shall not wait for PHP's boot
            self._has_asked = True
            self._ask_ahead()
        self._locks.retry()
        self.last_paused = paused = self._signals.paused()
        return paused

    def renew(self, within: float = 5.0) -> bool:
        """As after `queue:restart`; from another thread. Waits for it, but `within` seconds at most.

        False where it is known to have failed."""
        self._renewed.clear()
        self._has_failed = False
        self._is_stale = True
        self._renewed.wait(within)
        return not self._has_failed

    def unlock(self, jobs: Sequence[Job]) -> None:
        """Releases the locks of unique events."""
        for job in jobs:
            if b"UniqueBroadcastEvent" in job.payload:
                with contextlib.suppress(JobError, NotABroadcast):  # an unreadable job names no lock
                    self._locks.release(self._ladder.event(read_document(job.document)))

    def close(self) -> None:
        self._signals.close()
        self._locks.close()
        self._ladder.close()
        self._end_checks(self._ladder, self._checks)

    def _use(self, settings: Settings) -> None:
        """Uses all of it, or nothing: raises ConfigurationError where the new configuration is wrong."""
        to = destinations(settings)
        locks = unique_locks(settings.laravel, settings.redis)
        php = None
        if self._php is not None:
            backoff = ",".join(map(str, settings.backoff or BROADCAST_BACKOFF))
            tries = PHP_TRIES if settings.tries is None else settings.tries
            php = FlushFirst(
                self._php,
                lambda: attempt,
                tries=tries,
                backoff=backoff,
                lacks=lambda event: ladder.lacks(event),
                elsewhere=settings.elsewhere(),
            )
        pending: list[Check] = []
        ladder = build_ladder(
            settings.laravel,
            event_mappings(settings),
            php=php,
            report=None if self._php is None else self._php.report,
            locks=locks,
            trust=earned_trust(settings, self._php, self._on_disagree),
            check=lambda *check: pending.append(check),
            elsewhere=settings.elsewhere(),
        )
        checks = None
        if ladder.trust is not None and self._php is not None:
            checks = build_checks(settings, self._php, ladder.trust)
            checks.start()

        def after() -> None:
            if pending and checks is not None:
                checks.add(pending)
                pending.clear()

        attempt = Attempt(
            ladder.batch,
            to,
            self._publish,
            self._on_step,
            after,
            Order(self._aside, ladder.channels),
            self._at_work,
        )
        self._attempt = attempt
        self._ladder, self._locks, self._checks = ladder, locks, checks
        if self._php is not None:
            self._php.agree(agreement(settings.laravel))

    def _end_checks(self, ladder: Ladder, checks: Checks | None) -> None:
        if checks is not None:
            checks.close()
        if ladder.trust is not None:
            ladder.trust.save()

    def _ask_ahead(self) -> None:
        if self._php is not None:
            self._php.ask_ahead()

    def _renew(self) -> None:
        self._restarted()
        if self._reread is None:
            return
        locks, ladder, checks = self._locks, self._ladder, self._checks
        try:
            self._use(self._reread())
        except BridgeError as problem:
            about = {"action": "restart_signal", "why": str(problem)}
            log.warning("the app cannot be read anew, the old state stays", extra=about)
            self._has_failed = True
            return
        locks.close()
        ladder.close()
        self._end_checks(ladder, checks)
        if self._php is not None:
            self._php.recycle()
        self._ask_ahead()
        log.info("source and configuration are read anew", extra={"action": "restart_signal"})
