"""Endpoint: one row of the HTTP API, and what is the same around all: app, body, signature, answer."""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from bridge.errors import ServiceUnavailable
from bridge.sockets.pusher import signatures
from bridge.sockets.pusher.hub import Hub
from bridge.sockets.server.node import Node
from bridge.sockets.server.socket import Socket

Schema = Mapping[str, Any]
"""JSON Schema, 2020-12."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request that is known to come from the app: query parameters, path parameters, the JSON body."""

    node: Node
    hub: Hub[Socket]
    query: Mapping[str, str]
    path: Mapping[str, str]
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One endpoint: its route, and all that `sockets.server.openapi` tells of it.

    path        below `/apps/{app_id}`
    serve       the answer, a JSON object or the text of one; its name and docstring name the operation.
                Raises HTTPException
    answer      the schema of that object
    parameters  name → schema; those that do not stand in the path are of the query string
    body        the schema of its JSON body; None: it takes none
    """

    method: str
    path: str
    serve: Callable[[Call], Awaitable[Mapping[str, Any] | bytes]]
    answer: Schema
    parameters: Mapping[str, Schema] = field(default_factory=dict)
    body: Schema | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Something that anybody may get.

    answers  status → its meaning and content type
    """

    path: str
    serve: Callable[[Request], Awaitable[Response]]
    answers: Mapping[int, tuple[str, str]]


REFUSAL_MEANINGS: Mapping[int, str] = {
    400: "A field or parameter is missing or not valid; the line names it.",
    401: "The signature is missing, wrong or too old; the line says which.",
    403: "The app is switched off.",
    404: "There is no such app.",
    413: "The body, or the data of an event, is too large.",
    503: "The other processes cannot be reached just now; Retry-After says when to come again.",
    429: "The app has too many requests in one second; Retry-After says when to come again.",
}
"""What any endpoint may answer instead, always with one line of text."""


def signed_route(node: Node, endpoint: Endpoint) -> Route:
    path = endpoint.path.replace("{user_id}", "{user_id:path}")  # an id may hold slashes
    route = Route("/apps/{app_id}" + path, _Served(node, endpoint), methods=[endpoint.method])
    route.path_regex = re.compile(route.path_regex.pattern, re.DOTALL)  # and line breaks
    return route


class _Served:
    """The endpoint as an ASGI application: without a request object, for these are most of all requests."""

    def __init__(self, node: Node, endpoint: Endpoint) -> None:
        self._node = node
        self._serve = endpoint.serve

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        node, path = self._node, scope["path_params"]
        # of an app that there is not, not even the body is asked for
        body: bytes = (await receive())["body"] if path["app_id"] in node.hubs else b""
        hub, parameters = believed(
            node,
            path["app_id"],
            method=scope["method"],
            paths=(scope["path"], scope["raw_path"].decode("ascii")),
            query=scope["query_string"],
            body=body,
        )
        spend(hub, scope["method"], node.now())
        call = Call(
            node=node, hub=hub, query=dict(parameters), path=path, body=read_json(body) if body else {}
        )
        try:
            answer = await self._serve(call)
        except ServiceUnavailable as problem:
            raise HTTPException(503, str(problem), {"Retry-After": "1"}) from None
        if answer:
            text = answer if isinstance(answer, bytes) else to_json(answer)
            await send(_start(len(text)))
            await send({"type": "http.response.body", "body": text})
        else:
            await send(_EMPTY_START)
            await send(_EMPTY_BODY)


def believed(
    node: Node, app_id: str, *, method: str, paths: tuple[str, str], query: bytes, body: bytes
) -> tuple[Hub[Socket], list[tuple[str, str]]]:
    """The app whose own this request is, and its query parameters. Raises HTTPException where it is nobody's.

    `paths` are the forms of its path, see `signatures.refusal`.
    """
    hub = node.hubs.get(app_id)
    if hub is None:
        raise HTTPException(404, "no app has this id")
    limit = hub.app.limits.body_bytes
    if len(body) > limit:
        raise HTTPException(413, f"the body is larger than {limit} bytes")
    parameters = query_parameters(query)
    problem = signatures.refusal(
        hub.app, method=method, paths=paths, parameters=parameters, body=body, now=time.time()
    )
    if problem is not None:
        raise HTTPException(401, problem)
    if not hub.app.enabled:
        raise HTTPException(403, "this app is switched off")
    return hub, parameters


def spend(hub: Hub[Socket], method: str, now: float) -> None:
    """Counts one more request of the app. Raises HTTPException 429 when there were too many."""
    limits = hub.app.limits
    if method == "POST":
        wait = hub.api_requests.take(limits.api_requests_per_second, now)
    else:
        wait = hub.api_reads.take(limits.api_reads_per_second, now)
    if wait:
        headers = {"Retry-After": str(math.ceil(wait))}
        raise HTTPException(429, "the app has too many requests in one second", headers)


def query_parameters(query: bytes) -> list[tuple[str, str]]:
    """Names and values, decoded, as they came. Raises HTTPException 400."""
    try:
        text = query.decode()
    except ValueError:
        raise HTTPException(400, "the query string is not readable") from None
    if "%" in text or "+" in text:
        return parse_qsl(text, keep_blank_values=True)
    parameters: list[tuple[str, str]] = []
    for pair in text.split("&"):  # the same, and much quicker
        if pair:
            name, _, value = pair.partition("=")
            parameters.append((name, value))
    return parameters


def to_json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def read_json(body: bytes) -> Mapping[str, Any]:
    value, end = None, -1
    try:
        text = body.decode()
        if text.startswith("{"):
            value, end = _DECODER.raw_decode(text)
        if end != len(text):  # what is no object alone; it takes a third longer
            value = _DECODER.decode(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise HTTPException(400, "the body is not a JSON object")
    return value


def _start(length: int) -> Message:
    headers = [(b"content-length", b"%d" % length), (b"content-type", b"application/json")]
    return {"type": "http.response.start", "status": 200, "headers": headers}


_DECODER = json.JSONDecoder()
EMPTY = b"{}"
_EMPTY_START = _start(len(EMPTY))
_EMPTY_BODY: Message = {"type": "http.response.body", "body": EMPTY}
