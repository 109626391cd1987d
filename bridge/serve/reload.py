"""Reloader: on SIGHUP, apps, webhooks and certificate as they are now, in the same process.

New processes in place of the old ones, as `bridge reload` starts them, are the business of `parent.py`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from bridge.errors import BridgeError
from bridge.serve.apps_table import join_rows
from bridge.serve.wiring.sockets import pusher_app
from bridge.settings.load import Settings
from bridge.settings.table import SETTINGS
from bridge.sockets.pusher.app import App
from bridge.sockets.server.certificate import Certificate
from bridge.sockets.server.node import Node
from bridge.sockets.webhooks.events import Webhook
from bridge.sockets.webhooks.webhooks import Webhooks

SECOND_LOOK = 1.0  # seconds after which an app that is gone is looked for again

log = logging.getLogger(__name__)

ServedApps = Sequence[tuple[App, Sequence[Webhook]]]


def read_apps(settings: Settings) -> ServedApps:
    """Every app with its webhooks. Raises ConfigurationError or ServiceUnavailable. May block."""
    apps = settings.apps()
    if settings.apps_table is not None:
        apps = join_rows(apps, settings, settings.apps_table)
    return [(pusher_app(app, settings), (*app.webhooks, *settings.webhooks)) for app in apps]


def needs_restart(old: Settings, new: Settings) -> list[str]:
    """What is not the same in both and is read at the start only. Raises ConfigurationError."""
    names = [row.name for row in SETTINGS if not row.renewed and hasattr(old, row.name)]
    changed = [name for name in names if getattr(old, name) != getattr(new, name)]
    if _QUEUE.isdisjoint(changed) and _queue(old) != _queue(new):
        changed.append("the queue connection")
    return changed


def warn_of(names: Sequence[str]) -> None:
    """Tells the log of what `needs_restart` found."""
    if names:
        about = {"action": "renew", "changed": ", ".join(names)}
        log.warning("what has changed here counts from the next start on", extra=about)


_QUEUE = frozenset({"queue", "connection", "retry_after", "redis_prefix"})


def _queue(settings: Settings) -> object:
    """All that the worker knows of the queue and its store."""
    facts = settings.queue_connection()
    store = settings.redis if facts.driver == "redis" else settings.laravel.database
    return facts, settings.queue_names(), store(facts.connection)


@dataclass(slots=True)
class Reloader:
    """`use` once at the start, then `run`. What cannot be read leaves everything as it is, and is said.

    reread   the settings as they are now; None: those of the start count for ever
    reload_jobs  makes the jobs half reload too, and waits for it; called in a thread. False: it has failed
    renewed  is called with the new settings, on the loop
    begun    is called when SIGHUP asks for all of it, and `done` with whether it went well
    """

    settings: Settings
    node: Node
    webhooks: Webhooks
    certificate: Certificate | None
    reread: Callable[[], Settings] | None
    reload_jobs: Callable[[], bool]
    renewed: Callable[[Settings], None]
    begun: Callable[[], object] = lambda: None
    done: Callable[[bool], object] = lambda is_done: None
    _started: Settings = field(init=False)
    _jobs_follow: bool = field(init=False, default=True)  # the jobs half has reloaded, too

    def __post_init__(self) -> None:
        self._started = self.settings

    def use(self, served: ServedApps) -> None:
        """Uses these apps and webhooks from now on. On the loop. ConfigurationError: those of before do."""
        self.webhooks.serve(served)  # it may raise, and then nothing has changed
        self.node.serve([app for app, _ in served])
        others = tuple(observer for observer in self.node.observers if observer != self.webhooks.observe)
        listens = any(webhooks for _, webhooks in served)
        self.node.observers = (*others, self.webhooks.observe) if listens else others

    async def run(self, reload_requested: asyncio.Event) -> None:
        """For ever: everything when `reload_requested` is set, the table's apps on its interval."""
        while True:
            table = self.settings.apps_table
            try:
                async with asyncio.timeout(max(table.interval, 1.0) if table else None):
                    await reload_requested.wait()
            except TimeoutError:
                await self._attempt("the old apps stay", self._renew_apps)
                continue
            reload_requested.clear()
            self.begun()
            kept = [
                await self._attempt("the old certificate stays", self._renew_certificate),
                await self._attempt("the old settings stay", self._renew_settings),
                await self._attempt(
                    "the old apps stay", partial(self._renew_apps, self.reload_jobs, self._renew_settings)
                ),
            ]
            if all(kept) and self._jobs_follow:
                log.info("SIGHUP: apps, webhooks and certificate are read anew", extra={"action": "renew"})
            else:
                log.error("SIGHUP: failed, the lines above say what stays", extra={"action": "renew"})
            self.done(all(kept) and self._jobs_follow)

    async def _attempt(self, otherwise: str, renew: Callable[[], Awaitable[None]]) -> bool:
        """Whether it went well; else the line `otherwise`. Nothing that is read here may end bridge."""
        try:
            await renew()
        except BridgeError as problem:
            log.error(otherwise, extra={"action": "renew", "why": str(problem)})
        except OSError as problem:  # a file that cannot be read just now
            log.error(
                otherwise, extra={"action": "renew", "why": f"{type(problem).__name__} {problem.strerror}"}
            )
        except Exception:
            log.exception(otherwise, extra={"action": "renew", "why": "a fault of bridge"})
        else:
            return True
        return False

    async def _renew_certificate(self) -> None:
        if self.certificate is not None:
            self.certificate.reload()

    async def _renew_settings(self) -> None:
        if self.reread is None:
            return
        settings = await asyncio.to_thread(self.reread)
        unused = needs_restart(self._started, settings)
        self.renewed(settings)
        self.settings = settings
        warn_of(unused)

    async def _renew_apps(
        self,
        reload_jobs: Callable[[], bool] = lambda: True,
        read_again: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        served = await asyncio.to_thread(read_apps, self.settings)
        if self.node.hubs.keys() - {app.id for app, _ in served}:
            # a file or a table that is just being written may make sense without its rest; pages that lose
            # their app do not come back by themselves, nor do jobs that lose theirs
            await asyncio.sleep(SECOND_LOOK)
            if read_again is not None:
                await read_again()
            served = await asyncio.to_thread(read_apps, self.settings)
        if lost := self._clients_that_lose(served):
            about = {"apps": ", ".join(sorted(lost)), "connections": sum(lost.values())}
            log.warning("apps with clients are not served any more", extra={"action": "renew", **about})
        # until the jobs half knows, jobs may still be for an app that is gone
        new = {app.id for app, _ in served}
        gone = [(hub.app, ()) for hub in self.node.hubs.values() if hub.app.id not in new]
        self.use([*gone, *served])
        self._jobs_follow = await asyncio.to_thread(reload_jobs)
        self.use(served)

    def _clients_that_lose(self, served: ServedApps) -> dict[str, int]:
        """Id of each app that these are without → clients that it has here."""
        kept = {app.id for app, _ in served}
        return {id: len(hub.sockets) for id, hub in self.node.hubs.items() if id not in kept and hub.sockets}
