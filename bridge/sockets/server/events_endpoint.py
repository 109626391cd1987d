"""`POST /apps/{id}/events` answered within the call that has read it: most requests are this one.

The application behind it (`signed_endpoint`, `api`) decides everything: this is its short way for an event
that is published without question. Whatever is refused, asks back (`info`) or has to wait for other nodes is
left to it, untouched, so that there is one place where a request is refused.
"""

from __future__ import annotations

import time

from starlette.exceptions import HTTPException

from bridge.sockets.pusher.hub_events import ApiCalled
from bridge.sockets.server import api
from bridge.sockets.server.http_protocol import Request
from bridge.sockets.server.node import Node
from bridge.sockets.server.signed_endpoint import EMPTY, believed, read_json, spend

BEFORE, AFTER = "/apps/", "/events"


class EventsEndpoint:
    """What a `HttpServer` asks before its application."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def __call__(self, request: Request) -> bytes | None:
        """The body of the answer, 200 and JSON, with the event published. None: nothing has happened."""
        node, path = self._node, request.path
        if request.method != "POST" or not (path.startswith(BEFORE) and path.endswith(AFTER)):
            return None
        if node.peers is not None or request.is_too_large:
            return None
        started = time.perf_counter()
        app_id = path[len(BEFORE) : -len(AFTER)]
        if "/" in app_id:
            return None
        try:
            hub, _ = believed(
                node,
                app_id,
                method="POST",
                paths=(path, request.raw_path.decode("ascii")),
                query=request.query,
                body=request.body,
            )
            event = read_json(request.body)
            if "info" in event:
                return None
            broadcast = api.event_of(hub.app, event)
            spend(hub, "POST", node.now())
        except HTTPException:
            return None
        node.publish([broadcast], origin="api")
        if node.observers:
            seconds = time.perf_counter() - started
            node.tell(ApiCalled(app_id=app_id, method="POST", path=AFTER, status=200, seconds=seconds))
        return EMPTY
