"""Webhooks: the node's observer, and the tasks that post."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from bridge.sockets.pusher.app import App
from bridge.sockets.pusher.hub_events import HubEvent
from bridge.sockets.webhooks.attempts import KEPT, WebhookAttempt
from bridge.sockets.webhooks.debounce import DELAY, Debounce
from bridge.sockets.webhooks.events import Event, Webhook, event

if TYPE_CHECKING:  # who has no webhook spares the HTTP client, some 8 MB
    import httpx

    from bridge.sockets.webhooks.sender import Sender, SenderLimits


class Webhooks:
    """All webhooks of all apps. `serve` says which, `observe` takes hub events, `stop` ends it.

    delay     seconds that somebody may be away unnoticed
    attempts  the last requests, the newest last
    """

    def __init__(self, *, patience: SenderLimits | None = None, delay: float = DELAY) -> None:
        self.attempts: deque[WebhookAttempt] = deque(maxlen=KEPT)
        self._patience = patience
        self._debounce = Debounce(delay)
        self._senders: dict[tuple[str, Webhook], tuple[Sender, asyncio.Task[None]]] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._apps: Mapping[str, tuple[Sender, ...]] = {}
        self._http: dict[tuple[str, ...] | None, httpx.AsyncClient] = {}  # by `Webhook.within`
        self._timer: asyncio.TimerHandle | None = None

    def serve(self, apps: Iterable[tuple[App, Sequence[Webhook]]]) -> None:
        """Uses these webhooks from now on; those that stay keep what waits. On the loop.

        ConfigurationError, with nothing changed, where there can be no client for them."""
        wanted = {(app.id, webhook): app for app, webhooks in apps for webhook in webhooks}
        new = {key: self._sender(app, key[1]) for key, app in wanted.items() if key not in self._senders}
        for key in self._senders.keys() - wanted.keys():
            sender, task = self._senders.pop(key)
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)
            task.cancel()
            sender.close()
        for key, app in wanted.items():
            if key in new:
                self._senders[key] = (new[key], asyncio.create_task(new[key].run()))
            else:
                self._senders[key][0].app = app
        by_app: dict[str, tuple[Sender, ...]] = {}
        for (app_id, _), (sender, _) in self._senders.items():
            by_app[app_id] = (*by_app.get(app_id, ()), sender)
        self._apps = by_app

    def observe(self, hub_event: HubEvent) -> None:
        """Observes the node: is quick, and never raises for what an address does."""
        if hub_event.app_id not in self._apps:
            return
        ready_event = event(hub_event)
        if ready_event is None:
            return
        now = asyncio.get_running_loop().time()
        ready = self._debounce.take(ready_event, now)
        if ready is not None:
            self._put(ready)
        elif self._timer is None:
            self._wait()

    async def stop(self, within: float) -> None:
        """Posts what is delayed or waits, as far as `within` seconds allow; nothing runs any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for ready_event in self._debounce.due(float("inf")):
            self._put(ready_event)
        try:
            async with asyncio.timeout(within):
                for sender, _ in self._senders.values():
                    await sender.idle()
        except TimeoutError:
            pass
        self.serve([])
        await asyncio.gather(*self._ending, return_exceptions=True)
        clients, self._http = list(self._http.values()), {}
        for client in clients:
            await client.aclose()

    def _sender(self, app: App, webhook: Webhook) -> Sender:
        from bridge.sockets.webhooks.sender import Sender

        return Sender(app, webhook, self._client(webhook), self._patience, self.attempts.append)

    def _client(self, webhook: Webhook) -> httpx.AsyncClient:
        from bridge.sockets.webhooks.public_addresses import public_client, webhook_client

        if webhook.within not in self._http:
            self._http[webhook.within] = (
                webhook_client() if webhook.within is None else public_client(webhook.within)
            )
        return self._http[webhook.within]

    def _put(self, ready_event: Event) -> None:
        for sender in self._apps.get(ready_event.app_id, ()):
            sender.put(ready_event)

    def _wait(self) -> None:
        """Sets a timer for the next event that is delayed, if there is one."""
        at = self._debounce.next_at
        self._timer = None if at is None else asyncio.get_running_loop().call_at(at, self._come_due)

    def _come_due(self) -> None:
        for ready_event in self._debounce.due(asyncio.get_running_loop().time()):
            self._put(ready_event)
        self._wait()
