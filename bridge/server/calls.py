"""Calls of the HTTP API, told to the node's observers once they are answered."""

from __future__ import annotations

import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bridge.pusher.happenings import ApiCalled
from bridge.server.node import Node

PREFIX = "/apps/"


class Calls:
    """Around the whole ASGI app; other paths pass untouched."""

    def __init__(self, app: ASGIApp, node: Node) -> None:
        self._app = app
        self._node = node

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(PREFIX) or not self._node.observers:
            await self._app(scope, receive, send)
            return
        started, status = time.perf_counter(), 500

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watched)
        finally:
            app_id, _, path = scope["path"].removeprefix(PREFIX).partition("/")
            called = ApiCalled(
                app_id=app_id if app_id in self._node.hubs else "",  # a stranger's text is no label
                method=scope["method"],
                path=f"/{path}",
                status=status,
                seconds=time.perf_counter() - started,
            )
            self._node.tell(called)
