"""The HTTP API: one list of routes, one function per endpoint, the signature checked around all of them.

Sources: Pusher channels documentation, "HTTP API reference"; pusher-http-php 7.2, which takes only status 200
and shows the body of anything else to the developer: so errors are one short line of text.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from bridge.broadcast import Broadcast
from bridge.pusher import signatures
from bridge.pusher.channels import is_publishable, kind_of
from bridge.pusher.connection import UNAUTHORIZED
from bridge.pusher.hub import Hub
from bridge.server.node import Node
from bridge.server.socket import Socket

EMPTY = JSONResponse({})
SOCKET_ID = re.compile(r"[0-9]+\.[0-9]+")  # pusher-http-php Pusher::validate_socket_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request that is known to come from the app: query parameters, path parameters, the JSON body."""

    node: Node
    hub: Hub[Socket]
    query: Mapping[str, str]
    path: Mapping[str, str]
    body: Mapping[str, Any]


Endpoint = Callable[[Call], dict[str, Any]]


def routes(node: Node, ready: Callable[[], Mapping[str, object]]) -> list[Route]:
    """Everything that is served over plain HTTP."""

    def app_route(method: str, path: str, endpoint: Endpoint) -> Route:
        return Route("/apps/{app_id}" + path, _signed(node, endpoint), methods=[method])

    return [
        app_route("POST", "/events", post_event),
        app_route("POST", "/batch_events", post_batch),
        app_route("GET", "/channels", get_channels),
        app_route("GET", "/channels/{channel}", get_channel),
        app_route("GET", "/channels/{channel}/users", get_users),
        app_route("GET", "/connections", get_connections),
        app_route("POST", "/users/{user_id}/terminate_connections", terminate_connections),
        Route("/app/{key}", upgrade_required),
        Route("/up", lambda request: JSONResponse({"health": "OK"})),
        Route("/ready", lambda request: _readiness(node, ready)),
    ]


# Endpoints --------------------------------------------------------------------------------------------


def post_event(call: Call) -> dict[str, Any]:
    broadcast = _broadcast(call, call.body, "channels" if "channels" in call.body else "channel")
    call.node.publish([broadcast], origin="api")
    if "info" not in call.body:
        return {}
    words = _info(call.body["info"])
    return {"channels": {name: _attributes(call, name, words) for name in broadcast.channels}}


def post_batch(call: Call) -> dict[str, Any]:
    batch, limit = call.body.get("batch"), call.hub.app.limits.events_per_batch
    if not isinstance(batch, list) or not all(isinstance(entry, dict) for entry in batch):
        raise HTTPException(400, "batch is not a list of events")
    if len(batch) > limit:
        raise HTTPException(400, f"batch has more than {limit} events")
    broadcasts = [_broadcast(call, entry, "channel") for entry in batch]
    asked = [_info(entry.get("info", "")) for entry in batch]
    call.node.publish(broadcasts, origin="api")
    if not any(asked):
        return {}
    infos = zip(broadcasts, asked, strict=True)
    return {"batch": [_attributes(call, broadcast.channels[0], words) for broadcast, words in infos]}


def get_channels(call: Call) -> dict[str, Any]:
    prefix, words = call.query.get("filter_by_prefix", ""), _info(call.query.get("info", ""))
    if "user_count" in words and not kind_of(prefix).has_members:
        raise HTTPException(400, "info: user_count needs filter_by_prefix=presence-")
    names = [name for name in call.hub.channels if name.startswith(prefix)]
    return {"channels": {name: _attributes(call, name, words) for name in names}}


def get_channel(call: Call) -> dict[str, Any]:
    name, words = _channel(call), _info(call.query.get("info", ""))
    kind = kind_of(name)
    if "user_count" in words and not kind.has_members:
        raise HTTPException(400, "info: user_count is for presence channels only")
    if "cache" in words and not kind.is_cache:
        raise HTTPException(400, "info: cache is for cache channels only")
    answer: dict[str, Any] = {"occupied": name in call.hub.channels, **_attributes(call, name, words)}
    if "cache" in words:
        now = call.node.now()
        cached = call.hub.last_event(name, now)
        answer["cache"] = cached and {"data": cached.data, "ttl": int(cached.expires_at - now)}
    return answer


def get_users(call: Call) -> dict[str, Any]:
    name = _channel(call)
    if not kind_of(name).has_members:
        raise HTTPException(400, "only presence channels have users")
    channel = call.hub.channels.get(name)
    return {"users": [{"id": user_id} for user_id in (channel.members if channel else ())]}


def get_connections(call: Call) -> dict[str, Any]:
    return {"connections": len(call.hub.sockets)}


def terminate_connections(call: Call) -> dict[str, Any]:
    for socket in call.hub.sockets_of(call.path["user_id"]):
        socket.close(UNAUTHORIZED, "the app has ended this user's connections")
    return {}


async def upgrade_required(request: Request) -> Response:
    return PlainTextResponse(
        "This address speaks WebSocket: connect with pusher-js or Laravel Echo.\n",
        status_code=426,
        headers={"Upgrade": "websocket"},
    )


def _readiness(node: Node, ready: Callable[[], Mapping[str, object]]) -> Response:
    answer = {**ready(), "draining": node.is_draining}
    answer["ready"] = bool(answer.get("ready")) and not node.is_draining
    return JSONResponse(answer, status_code=200 if answer["ready"] else 503)


# Around them ------------------------------------------------------------------------------------------


def _signed(node: Node, endpoint: Endpoint) -> Callable[[Request], Any]:
    async def serve(request: Request) -> Response:
        hub = node.hubs.get(request.path_params["app_id"])
        if hub is None:
            raise HTTPException(404, "no app has this id")
        body = await _body(request, hub.app.limits.request_bytes)
        try:
            query = parse_qsl(request.scope["query_string"].decode(), keep_blank_values=True)
        except ValueError:
            raise HTTPException(400, "the query string is not readable") from None
        problem = signatures.refusal(
            hub.app,
            method=request.method,
            path=request.scope["path"],
            parameters=query,
            body=body,
            now=time.time(),
        )
        if problem is not None:
            raise HTTPException(401, problem)
        call = Call(
            node=node, hub=hub, query=dict(query), path=request.path_params, body=_json(body) if body else {}
        )
        answer = endpoint(call)
        return JSONResponse(answer) if answer else EMPTY

    return serve


async def _body(request: Request, limit: int) -> bytes:
    """The raw body, never more than `limit` bytes of it in memory. A length is asked for: no chunks."""
    if "transfer-encoding" in request.headers:
        raise HTTPException(411, "Content-Length is missing")
    if int(request.headers.get("content-length", 0)) > limit:
        raise HTTPException(413, f"the body is larger than {limit} bytes")
    return await request.body()


def _json(body: bytes) -> Mapping[str, Any]:
    try:
        value = json.loads(body.decode())
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise HTTPException(400, "the body is not a JSON object")
    return value


# Fields -----------------------------------------------------------------------------------------------


def _broadcast(call: Call, event: Mapping[str, Any], channels: str) -> Broadcast:
    """The event as a broadcast; `channels` names the field that holds them, a list or one name."""
    limits = call.hub.app.limits
    name, data, socket_id = event.get("name"), event.get("data"), event.get("socket_id")
    if not isinstance(name, str) or not 0 < len(name) <= limits.event_name_length:
        raise HTTPException(400, f"name is not a string of 1 to {limits.event_name_length} characters")
    if not isinstance(data, str):
        raise HTTPException(400, "data is not a string")
    if len(data.encode("utf-8", "surrogatepass")) > limits.event_bytes:
        raise HTTPException(413, f"data is larger than {limits.event_bytes} bytes")
    names = event.get(channels)
    if channels == "channel":
        names = [names]
    if not isinstance(names, list) or not names or not all(isinstance(channel, str) for channel in names):
        raise HTTPException(400, f"{channels} is missing or not a string")
    if len(names) > limits.channels_per_event:
        raise HTTPException(400, f"channels has more than {limits.channels_per_event} names")
    if not all(is_publishable(channel, limits.channel_name_length) for channel in names):
        raise HTTPException(400, f"{channels} holds a name that is not valid")
    if len(names) > 1 and any(kind_of(channel).is_encrypted for channel in names):
        raise HTTPException(400, "channels: an encrypted event goes to one channel")
    if socket_id is not None and not (isinstance(socket_id, str) and SOCKET_ID.fullmatch(socket_id)):
        raise HTTPException(400, "socket_id is not two integers and a dot")
    return Broadcast(
        app_id=call.hub.app.id,
        channels=tuple(dict.fromkeys(names)),
        name=name,
        data=data,
        socket_id=socket_id,
    )


def _channel(call: Call) -> str:
    name = call.path["channel"]
    if not is_publishable(name, call.hub.app.limits.channel_name_length):
        raise HTTPException(400, "the channel's name is not valid")
    return name


def _info(value: object) -> frozenset[str]:
    """The words of `info`."""
    if not isinstance(value, str):
        raise HTTPException(400, "info is not a string")
    return frozenset(word.strip() for word in value.split(",") if word.strip())


def _attributes(call: Call, name: str, words: Iterable[str]) -> dict[str, Any]:
    """Those of the asked attributes that fit the channel."""
    channel = call.hub.channels.get(name)
    has_members = kind_of(name).has_members
    answer: dict[str, Any] = {}
    if "user_count" in words and has_members:
        answer["user_count"] = len(channel.members) if channel else 0
    if "subscription_count" in words:
        answer["subscription_count"] = len(channel.sockets) if channel else 0
    return answer
