"""The statistics of an app, for the page and for laravel-websockets' own dashboard."""

from __future__ import annotations

import asyncio
import hmac
from dataclasses import dataclass
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from bridge.errors import BridgeError
from bridge.monitoring.dashboard.backend import DashboardBackend
from bridge.monitoring.dashboard.requests import (
    RANGES,
    fields_of,
    hub_of,
    in_thread,
    range_of,
)
from bridge.monitoring.dashboard.responses import HEADERS
from bridge.monitoring.statistics import Counts
from bridge.sockets.pusher.app import App
from bridge.sockets.server.node import Node


@dataclass(frozen=True, slots=True, kw_only=True)
class StatisticsEndpoints:
    node: Node
    backend: DashboardBackend

    async def history(self, request: Request) -> Any:
        """`spans`: from unix seconds, highest number of connections, messages of clients, API messages.

        `problem` is why there are none, empty where nothing is wrong."""
        hub = hub_of(self.node, request.query_params.get("app", ""))
        seconds, width = range_of(request, RANGES, "24h")
        try:
            found = await asyncio.to_thread(self.backend.history, hub.app.id, seconds, width)
        except BridgeError as problem:
            return {"spans": [], "problem": str(problem)}
        return {
            "start": found.start,
            "end": found.end,
            "width": found.width,
            "spans": [
                [span.at, span.counts.peak, span.counts.websocket, span.counts.api] for span in found.spans
            ],
            "problem": "" if hub.app.keeps_statistics else "enable_statistics is off: no rows are added",
        }

    async def statistics(self, request: Request) -> Any:
        app = hub_of(self.node, request.path_params["app_id"]).app
        _require_statistics(app)
        return await in_thread(self.backend.entries, app.id)

    async def add_statistics(self, request: Request) -> Response:
        """A row from another process, as laravel-websockets 1.x posts it to itself; `secret` is the app's."""
        fields = await fields_of(request)
        app = hub_of(self.node, str(fields.get("app_id", ""))).app
        if not hmac.compare_digest(str(fields.get("secret", "")).encode(), app.secret.encode()):
            raise HTTPException(403, "the secret is not this app's")
        _require_statistics(app)
        try:
            counts = Counts(
                peak=int(fields["peak_connection_count"]),
                websocket=int(fields["websocket_message_count"]),
                api=int(fields["api_message_count"]),
            )
        except (KeyError, TypeError, ValueError, OverflowError):
            raise HTTPException(422, "a counter is missing or no number") from None
        await in_thread(self.backend.add_entry, app.id, counts)
        return Response("ok", headers=HEADERS)


def _require_statistics(app: App) -> None:
    if not app.keeps_statistics:
        remedy = "switch it on with BRIDGE_ENABLE_STATISTICS=true, or for this app"
        raise HTTPException(409, f"enable_statistics is off: {remedy}")
