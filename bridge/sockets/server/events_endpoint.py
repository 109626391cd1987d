"""`POST /apps/{id}/events` answered within the call that has read it: most requests are this one.

The application behind it (`signed_endpoint`, `api`) decides everything: this is its short way for an event
that is published without question. Whatever is refused, asks back (`info`) or cannot be told to other nodes
now is left to it, untouched, so that there is one place where a request is refused.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

from starlette.exceptions import HTTPException

from bridge.sockets.pusher.hub_events import ApiCalled
from bridge.sockets.server import api
from bridge.sockets.server.http_protocol import Later, Request
from bridge.sockets.server.node import Node
from bridge.sockets.server.signed_endpoint import EMPTY, believed, read_json, spend

BEFORE, AFTER = "/apps/", "/events"


class EventsEndpoint:
    """What a `HttpServer` asks before its application."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def __call__(self, request: Request, later: Callable[[Request], Later]) -> bytes | Later | None:
        """The body of the answer, 200 and JSON, with the event published; or what that is given to once other
        nodes have the event. None: nothing has happened."""
        node, path = self._node, request.path
        if request.method != "POST" or not (path.startswith(BEFORE) and path.endswith(AFTER)):
            return None
        peers = node.peers
        if request.is_too_large or (peers is not None and not peers.is_publishing):
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
        if peers is None:
            node.publish([broadcast], origin="api")
            self._tell(app_id, started)
            return EMPTY
        answer = later(request)
        peers.publish_soon([broadcast], "api", partial(self._published, app_id, started, answer))
        return answer

    def _published(self, app_id: str, started: float, answer: Later, _receivers: int) -> None:
        self._tell(app_id, started)
        answer.answer(EMPTY)

    def _tell(self, app_id: str, started: float) -> None:
        if self._node.observers:
            seconds = time.perf_counter() - started
            called = ApiCalled(app_id=app_id, method="POST", path=AFTER, status=200, seconds=seconds)
            self._node.tell(called)
