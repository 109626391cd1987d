"""Starts and stops the shadow, and brings it up to date."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bridge.errors import BridgeError
from bridge.jobs.resolve.ladder import Ladder
from bridge.jobs.resolve.rungs.php import PhpRung
from bridge.serve.destinations import destinations
from bridge.serve.lifecycle import first_error, hang_up_signal, stop_signal, wait_for_store
from bridge.serve.reload import needs_restart, warn_of
from bridge.serve.shadow.comparer import Comparer, ReadOnlyPhpRung
from bridge.serve.shadow.proxy import LARGEST, ProxyRoutes
from bridge.serve.wiring.ladder import build_ladder, event_mappings, php_rung
from bridge.serve.wiring.queue import build_inspector
from bridge.serve.wiring.sockets import pusher_app
from bridge.settings.load import Settings
from bridge.sockets.pusher.app import App
from bridge.sockets.server.binding import Listening, bind
from bridge.sockets.server.certificate import Certificate
from bridge.sockets.server.listener import Listener, ListenerOptions, new_event_loop
from bridge.sockets.server.node import Node

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shadow:
    """One `bridge serve --shadow`.

    to      the server to which Laravel's requests are passed on, or None
    reread  gives the settings as they are after a change
    show    is called with the numbers, as words, every second
    listening  where it listens; None: as the settings say. Closed at the end
    """

    settings: Settings
    announce: Callable[[str], None]
    reread: Callable[[], Settings]
    to: str | None
    show_data: bool
    show: Callable[[Sequence[str]], None] | None = None
    listening: Listening | None = None

    def run(self) -> int:
        """Until SIGTERM or SIGINT; the exit code. Raises ConfigurationError or ServiceUnavailable."""
        settings = self.settings
        settings.certificate()  # TLS that is half configured is no plain HTTP
        listening = self.listening or Listening([bind(settings.host, settings.port)])
        with contextlib.closing(listening), php_rung(settings) as php, contextlib.ExitStack() as stack:
            look = build_inspector(settings)
            stack.callback(look.close)
            watch = Comparer(
                look,
                _ladder(settings, php),
                destinations(settings),
                show_data=self.show_data,
                show=self.show,
            )
            stack.callback(watch.close)
            wait_for_store(watch.check)
            try:
                with asyncio.Runner(loop_factory=new_event_loop) as runner:
                    runner.run(self._serve(listening, watch, php))
            except BaseExceptionGroup as group:
                raise first_error(group) from None
        return 0

    async def _serve(self, listening: Listening, watch: Comparer, php: PhpRung | None) -> None:
        stopping, reload_requested = stop_signal(), hang_up_signal()
        posts = ProxyRoutes(self.to, _apps(self.settings), watch.look, watch.took)
        files = self.settings.certificate()
        certificate = Certificate(*files) if files else None
        listener = Listener(
            Node([]),  # no app: no client is taken
            listening.sockets,
            override_routes=posts.routes(),
            options=ListenerOptions(largest_body=LARGEST, certificate=certificate),
            ready=lambda: {"ready": watch.store_answers, "queue": watch.store_answers},
        )
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(listener.run())
            watch.start()
            renewing = tasks.create_task(self._renewal(reload_requested, watch, posts, certificate, php))
            try:
                await listener.listening.wait()
                self._say()
                self.announce(listening.address(tls=certificate is not None))
                await stopping.wait()
            finally:
                renewing.cancel()
                await listener.stop()
                await asyncio.to_thread(watch.stop)
                await posts.close()

    async def _renewal(
        self,
        reload_requested: asyncio.Event,
        watch: Comparer,
        posts: ProxyRoutes,
        certificate: Certificate | None,
        php: PhpRung | None,
    ) -> None:
        """For ever: after SIGHUP events, apps and certificate are read anew; what cannot be read stays."""
        while True:
            await reload_requested.wait()
            reload_requested.clear()
            try:
                if certificate is not None:
                    certificate.reload()
                settings = await asyncio.to_thread(self.reread)
                apps, unused = _apps(settings), needs_restart(self.settings, settings)
                watch.use(_ladder(settings, php), destinations(settings))
            except BridgeError as problem:
                log.error("the old settings stay", extra={"action": "renew", "why": str(problem)})
                continue
            posts.use(apps)
            if php is not None:
                php.recycle()
            warn_of(unused)
            log.info("SIGHUP: events, apps and certificate are read anew", extra={"action": "renew"})

    def _say(self) -> None:
        about = {"action": "shadow", "to": self.to or ""}
        if self.to is None:
            log.warning(
                "shadow: no --shadow-to, what Laravel posts is answered here and goes nowhere", extra=about
            )
        else:
            log.info("shadow: what Laravel posts is passed on", extra=about)


def _ladder(settings: Settings, php: PhpRung | None) -> Ladder:
    return build_ladder(
        settings.laravel,
        event_mappings(settings),
        php=None if php is None else ReadOnlyPhpRung(php),
        report=None if php is None else php.report,
    )


def _apps(settings: Settings) -> list[App]:
    return [pusher_app(app, settings) for app in settings.apps()]
