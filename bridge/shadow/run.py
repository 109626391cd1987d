"""Starts and stops the shadow."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable
from dataclasses import dataclass

from bridge.daemon import address, first_error, stop_signal, wait_for_store
from bridge.rooms import build_ladder, build_look, destinations, event_mappings, php_rung, pusher_app
from bridge.server.certificate import Certificate
from bridge.server.listener import Listener, bind, new_event_loop
from bridge.server.node import Node
from bridge.settings import Settings
from bridge.shadow.posts import Posts
from bridge.shadow.watch import Harmless, Watch

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shadow:
    """One `bridge serve --shadow`. `to`: the server to which Laravel's requests are passed on, or None."""

    settings: Settings
    announce: Callable[[str], None]
    to: str | None
    show_data: bool

    def run(self) -> int:
        """Until SIGTERM or SIGINT; the exit code. Raises ConfigurationError or ServiceUnavailable."""
        settings = self.settings
        listening = bind(settings.host, settings.port)
        with contextlib.closing(listening), php_rung(settings) as php, contextlib.ExitStack() as stack:
            ladder = build_ladder(
                settings.laravel, event_mappings(settings), php=None if php is None else Harmless(php)
            )
            stack.callback(ladder.close)
            look = build_look(settings)
            stack.callback(look.close)
            watch = Watch(look, ladder, destinations(settings), show_data=self.show_data)
            wait_for_store(watch.check)
            try:
                with asyncio.Runner(loop_factory=new_event_loop) as runner:
                    runner.run(self._serve(listening, watch))
            except BaseExceptionGroup as group:
                raise first_error(group) from None
        return 0

    async def _serve(self, listening: socket.socket, watch: Watch) -> None:
        stopping = stop_signal()
        apps = [pusher_app(app, self.settings) for app in self.settings.apps()]
        posts = Posts(self.to, apps, watch.look, watch.took)
        certificate = None
        if self.settings.ssl_cert and self.settings.ssl_key:
            certificate = Certificate(self.settings.ssl_cert, self.settings.ssl_key)
        listener = Listener(
            Node([]),  # no app: no client is taken
            [listening],
            instead=posts.routes(),
            ready=lambda: {"ready": watch.store_answers, "queue": watch.store_answers},
            certificate=certificate,
        )
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(listener.run())
            watch.start()
            try:
                await listener.listening.wait()
                self._say()
                self.announce(address(listening, tls=certificate is not None))
                await stopping.wait()
            finally:
                await listener.stop()
                await asyncio.to_thread(watch.stop)
                await posts.close()

    def _say(self) -> None:
        about = {"action": "shadow", "to": self.to or ""}
        if self.to is None:
            log.warning(
                "shadow: no --shadow-to, what Laravel posts is answered here and goes nowhere", extra=about
            )
        else:
            log.info("shadow: what Laravel posts is passed on", extra=about)
