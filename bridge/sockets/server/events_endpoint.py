"""`POST /apps/{id}/events` and `/batch_events` answered within the call that has read them: most requests are
these.

The application behind it (`signed_endpoint`, `api`) decides everything: this is its short way for events
that are published without question. Whatever is refused, asks back (`info`), is empty or cannot be told to
other nodes now is left to it, untouched, so that there is one place where a request is refused.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from starlette.exceptions import HTTPException

from bridge.broadcast import Broadcast
from bridge.sockets.pusher.app import App
from bridge.sockets.pusher.hub_events import ApiCalled
from bridge.sockets.server import api
from bridge.sockets.server.http_answer import Answered, Later
from bridge.sockets.server.http_request import Request
from bridge.sockets.server.node import Node
from bridge.sockets.server.signed_endpoint import EMPTY, believed, read_json, spend

BEFORE = "/apps/"


class EventsEndpoint:
    """What a `HttpServer` asks before its application."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def __call__(self, request: Request, connection: Answered) -> bytes | Later | None:
        """The body of the answer, 200 and JSON, with all of it published; or what that is given to once other
        nodes have it. None: nothing has happened."""
        node, path = self._node, request.path
        if request.method != "POST" or not path.startswith(BEFORE):
            return None
        app_id, slash, after = path[len(BEFORE) :].partition("/")
        read = _READERS.get(slash + after)
        if read is None:
            return None
        peers = node.peers
        if request.is_too_large or (peers is not None and not peers.is_publishing):
            return None
        started = time.perf_counter()
        try:
            hub, _ = believed(
                node,
                app_id,
                method="POST",
                paths=(path, request.raw_path.decode("ascii")),
                query=request.query,
                body=request.body,
            )
            broadcasts = read(hub.app, read_json(request.body))
            if not broadcasts:
                return None
            spend(hub, "POST", node.now())
        except HTTPException:
            return None
        if peers is None:
            node.publish(broadcasts, origin="api")
            self._notify(app_id, slash + after, started)
            return EMPTY
        answer = Later(connection, request)
        then = partial(self._published, app_id, slash + after, started, answer)
        peers.publish_soon(broadcasts, "api", then)
        return answer

    def _published(
        self, app_id: str, path: str, started: float, answer: Later, receivers: int | None
    ) -> None:
        if receivers is None:
            self._notify(app_id, path, started, 503)
            answer.fail(503, "Redis refuses the event: see bridge's log")
        else:
            self._notify(app_id, path, started)
            answer.answer(EMPTY)

    def _notify(self, app_id: str, path: str, started: float, status: int = 200) -> None:
        if self._node.observers:
            seconds = time.perf_counter() - started
            called = ApiCalled(app_id=app_id, method="POST", path=path, status=status, seconds=seconds)
            self._node.tell(called)


def _event(app: App, body: Mapping[str, Any]) -> Sequence[Broadcast]:
    return () if "info" in body else (api.event_of(app, body),)


def _batch(app: App, body: Mapping[str, Any]) -> Sequence[Broadcast]:
    broadcasts = api.batch_of(app, body)
    return () if any("info" in entry for entry in body["batch"]) else broadcasts


_READERS = {"/events": _event, "/batch_events": _batch}
"""What the body holds; nothing where the application has more to answer. Raise HTTPException."""
