"""ApiObserver of the HTTP API, sent to the node's observers once they are answered."""

from __future__ import annotations

import logging
import re
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bridge.sockets.pusher.hub_events import ApiCalled
from bridge.sockets.server.node import Node

PREFIX = "/apps/"
REFUSED = 400  # statuses from here on
LONGEST_REASON = 200  # bytes
_ID = re.compile(rb"[\w.:-]{1,128}")

logger = logging.getLogger(__name__)


class ApiObserver:
    """Around the whole ASGI app; other paths pass untouched."""

    def __init__(self, app: ASGIApp, node: Node) -> None:
        self._app = app
        self._node = node

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(PREFIX) or not self._node.observers:
            await self._app(scope, receive, send)
            return
        started, status, reason = time.perf_counter(), 500, ""

        async def watched(message: Message) -> None:
            nonlocal status, reason
            if message["type"] == "http.response.start":
                status = message["status"]
            elif status >= REFUSED and not reason:
                reason = message.get("body", b"")[:LONGEST_REASON].decode(errors="replace")
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
                reason=reason,
            )
            if status >= REFUSED:
                about = {"action": "api", "app": called.app_id, "path": called.path, "status": status}
                logger.debug("API call refused", extra={**about, **_request_id(scope), "why": reason})
            self._node.tell(called)


def _request_id(scope: Scope) -> dict[str, str]:
    """The id that the app or a proxy gave the request, if it is one."""
    given = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
    return {"request_id": given.decode()} if _ID.fullmatch(given) else {}
