"""The way of what Laravel posts: to the present server and its answer back, unchanged; and what it held."""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl

import httpx
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from bridge.serve.shadow.matcher import Event
from bridge.sockets.pusher import signatures
from bridge.sockets.pusher.app import App

LARGEST = 10 * 1024 * 1024  # bytes of a request
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]
# Of one connection, or written anew for the next one (RFC 9110, section 7.6.1).
_OWN = {
    "connection", "content-length", "host", "keep-alive", "proxy-authenticate", "proxy-authorization",
    "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
}  # fmt: skip


class ProxyRoutes:
    """Everything below `/apps/`.

    to      the present server; None: requests are checked as by the server and answered here
    before  is awaited while Laravel waits: its job is still in the queue then
    took    is called with the events that the server took
    """

    def __init__(
        self,
        to: str | None,
        apps: Sequence[App],
        before: Callable[[], Awaitable[None]],
        took: Callable[[Sequence[Event]], None],
    ) -> None:
        self._to = None if to is None else to.rstrip("/")
        self.use(apps)
        self._before = before
        self._took = took
        self._client = httpx.AsyncClient(timeout=60, follow_redirects=False, trust_env=False)

    def use(self, apps: Sequence[App]) -> None:
        """Takes requests of these apps from now on."""
        self._apps = {app.id: app for app in apps}

    def routes(self) -> list[BaseRoute]:
        return [Route("/apps/{app_id}/{rest:path}", self._serve, methods=METHODS)]

    async def close(self) -> None:
        await self._client.aclose()

    async def _serve(self, request: Request) -> Response:
        if int(request.headers.get("content-length", 0)) > LARGEST:
            return PlainTextResponse(f"the body is larger than {LARGEST} bytes", status_code=413)
        body = await request.body()
        app_id = request.path_params["app_id"]
        posted = list(_events(app_id, request.path_params["rest"], body)) if request.method == "POST" else []
        if posted:
            await self._before()
        answer = (
            self._answer(request, app_id, body) if self._to is None else await self._passed(request, body)
        )
        if posted and 200 <= answer.status_code < 300:
            self._took(posted)
        return answer

    async def _passed(self, request: Request, body: bytes) -> Response:
        path = request.scope["raw_path"].decode("ascii")
        query = request.scope["query_string"].decode("ascii")
        sent = httpx.Request(  # not the client's own: that adds headers
            request.method,
            f"{self._to}{path}" + (f"?{query}" if query else ""),
            headers=[(name, value) for name, value in request.headers.items() if name not in _OWN],
            content=body,
        )
        try:
            got = await self._client.send(sent, stream=True)
            try:
                text = b"".join([part async for part in got.aiter_raw()])
            finally:
                await got.aclose()
        except httpx.HTTPError as error:
            why = f"the server that bridge passes this on to does not answer ({type(error).__name__})"
            return PlainTextResponse(why, status_code=502)
        headers = {name: value for name, value in got.headers.items() if name not in _OWN}
        return Response(text, status_code=got.status_code, headers=headers)

    def _answer(self, request: Request, app_id: str, body: bytes) -> Response:
        app = self._apps.get(app_id)
        if app is None:
            return PlainTextResponse("no app has this id", status_code=404)
        problem = signatures.refusal(
            app,
            method=request.method,
            paths=(request.scope["path"], request.scope["raw_path"].decode("ascii")),
            parameters=parse_qsl(request.scope["query_string"].decode("latin-1"), keep_blank_values=True),
            body=body,
            now=time.time(),
        )
        return JSONResponse({}) if problem is None else PlainTextResponse(problem, status_code=401)


def _events(app_id: str, endpoint: str, body: bytes) -> Iterator[Event]:
    """The events of a request; none where it is no such request."""
    try:
        document = json.loads(body) if endpoint in ("events", "batch_events") else None
    except (ValueError, RecursionError):
        return
    if not isinstance(document, dict):
        return
    batch = document.get("batch") if endpoint == "batch_events" else [document]
    for entry in batch if isinstance(batch, list) else ():
        if isinstance(entry, dict) and (event := _event(app_id, entry)) is not None:
            yield event


def _event(app_id: str, entry: Mapping[str, Any]) -> Event | None:
    channels = entry.get("channels", [entry.get("channel")])
    match entry:
        case {"name": str(name), "data": str(data)} if isinstance(channels, list):
            socket = entry.get("socket_id")
            if all(isinstance(channel, str) for channel in channels):
                return Event(
                    app_id=app_id,
                    channels=tuple(channels),
                    name=name,
                    data=data,
                    socket=socket if isinstance(socket, str) else None,
                )
    return None
