"""Every address below `/{path}`, in one list; the five of laravel-websockets' dashboard among them.

Everything but the log-in and the page's own files needs a session; whatever changes something, its token
too. No key, secret or password is ever sent to the page.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from bridge import __version__
from bridge.monitoring.dashboard import processes
from bridge.monitoring.dashboard.backend import DashboardBackend
from bridge.monitoring.dashboard.event_stream import WATCHERS, EventStream, traces
from bridge.monitoring.dashboard.job_endpoints import JobEndpoints
from bridge.monitoring.dashboard.pages import Pages
from bridge.monitoring.dashboard.requests import filters_of
from bridge.monitoring.dashboard.responses import HEADERS, WritableJson
from bridge.monitoring.dashboard.session import SessionGuard
from bridge.monitoring.dashboard.socket_endpoints import SocketEndpoints
from bridge.monitoring.dashboard.statistics_endpoints import StatisticsEndpoints
from bridge.monitoring.journal import Journal
from bridge.sockets.server.node import Node
from bridge.sockets.webhooks.attempts import WebhookAttempt


@dataclass(frozen=True, slots=True, kw_only=True)
class Dashboard:
    """`path` without slashes around it. `about` is shown in the page: version of the app, queues.

    `attempts`: the last requests to webhooks, the newest last. `others`: the other processes of this bridge,
    if it has several."""

    path: str
    node: Node
    access: SessionGuard
    feed: EventStream
    journal: Journal
    backend: DashboardBackend
    about: Mapping[str, Any]
    attempts: Collection[WebhookAttempt] = ()
    others: processes.Others | None = None

    def routes(self) -> list[Route]:
        """Returns every route of the dashboard, for the listener."""
        base = f"/{self.path}"
        pages = Pages(path=self.path, access=self.access)
        sockets = SocketEndpoints(node=self.node, attempts=self.attempts, others=self.others)
        jobs = JobEndpoints(node=self.node, backend=self.backend, queues=self.about["queues"])
        statistics = StatisticsEndpoints(node=self.node, backend=self.backend)
        return [
            Route(base, pages.page),
            Route(f"{base}/", pages.page),
            Route(f"{base}/static/{{name}}", pages.static),
            Route(f"{base}/login", pages.log_in, methods=["POST"]),
            Route(f"{base}/logout", self._changing(pages.log_out, does=False), methods=["POST"]),
            Route(f"{base}/api/session", self._looking(self.session)),
            Route(f"{base}/api/feed", self.stream),
            Route(f"{base}/api/traces", self._looking(self.traces)),
            Route(f"{base}/api/channels", self._looking(sockets.channels)),
            Route(f"{base}/api/channels/{{app_id}}/{{name}}", self._looking(sockets.channel)),
            Route(f"{base}/api/connections", self._looking(sockets.connections)),
            Route(f"{base}/api/history", self._looking(statistics.history)),
            Route(f"{base}/api/webhooks", self._looking(sockets.webhooks)),
            Route(f"{base}/api/disconnect", self._changing(sockets.disconnect), methods=["POST"]),
            Route(f"{base}/api/failed", self._looking(jobs.failed)),
            Route(f"{base}/api/failed/retry", self._changing(jobs.retry), methods=["POST"]),
            Route(f"{base}/api/failed/delete", self._changing(jobs.delete), methods=["POST"]),
            Route(f"{base}/api/failed/payload", self._changing(jobs.payload), methods=["POST"]),
            Route(f"{base}/api/job-history", self._looking(jobs.job_history)),
            Route(f"{base}/api/queued", self._looking(jobs.queued)),
            Route(f"{base}/api/queues/pause", self._changing(jobs.pause), methods=["POST"]),
            Route(f"{base}/api/queues/continue", self._changing(jobs.resume), methods=["POST"]),
            Route(f"{base}/api/jobs", self._changing(jobs.push), methods=["POST"]),
            # laravel-websockets' own
            Route(f"{base}/api/{{app_id}}/statistics", self._looking(statistics.statistics)),
            Route(f"{base}/auth", self._changing(sockets.auth), methods=["POST"]),
            Route(f"{base}/event", self._changing(sockets.event), methods=["POST"]),
            Route(f"{base}/statistics", statistics.add_statistics, methods=["POST"]),
        ]

    async def session(self, request: Request) -> Any:
        hubs = self.node.hubs.values()
        session = self.access.require(request)
        return {
            "csrf": session.csrf,
            "may_do": session.may_do,
            "apps": [{"id": hub.app.id, "name": hub.app.name} for hub in hubs],
            "version": __version__,
            "can_log_out": session.opened != "demo",
            "shows_payloads": self.backend.shows_payloads and session.may_do,
            **self.about,
        }

    async def stream(self, request: Request) -> Response:
        self.access.require(request)
        if self.feed.watchers >= WATCHERS:
            raise HTTPException(429, f"{WATCHERS} pages look already")
        headers = {**HEADERS, "X-Accel-Buffering": "no"}
        return StreamingResponse(self._frames(request), media_type="text/event-stream", headers=headers)

    async def _frames(self, request: Request) -> AsyncIterator[bytes]:
        """The stream, which ends with the session."""
        async with contextlib.aclosing(self.feed.frames()) as frames:
            async for frame in frames:
                if self.access.session(request) is None:
                    return
                yield frame

    async def traces(self, request: Request) -> Any:
        return traces(self.journal, *filters_of(request))

    def _looking(
        self, answer: Callable[[Request], Awaitable[Any]]
    ) -> Callable[[Request], Awaitable[Response]]:
        async def serve(request: Request) -> Response:
            self.access.require(request)
            return _json(await answer(request))

        return serve

    def _changing(
        self, answer: Callable[[Request], Awaitable[Any]], *, does: bool = True
    ) -> Callable[[Request], Awaitable[Response]]:
        async def serve(request: Request) -> Response:
            self.access.require_change(request, does=does)
            return _json(await answer(request))

        return serve


def _json(answer: Any) -> Response:
    return answer if isinstance(answer, Response) else WritableJson(answer, headers=HEADERS)
