"""The HTTP API: what each endpoint does, and the one table of them at the end.

Sources: Pusher channels documentation, "HTTP API reference"; pusher-http-php 7.2, which takes only status 200
and shows the body of anything else to the developer: so errors are one short line of text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from bridge.broadcast import CHANNEL_CHARACTERS, Broadcast
from bridge.errors import ServiceUnavailable
from bridge.sockets.pusher.app import App, Limits
from bridge.sockets.pusher.channels import USER_CHANNEL, is_publishable, kind_of
from bridge.sockets.server import occupancy, openapi
from bridge.sockets.server.node import Node
from bridge.sockets.server.signed_endpoint import Call, Endpoint, Page, Schema, signed_route, to_json

SOCKET_ID = re.compile(r"[0-9]+\.[0-9]+")  # pusher-http-php Pusher::validate_socket_id


def routes(node: Node, ready: Callable[[], Mapping[str, object]]) -> list[Route]:
    """Everything that is served over plain HTTP."""
    signed = [signed_route(node, endpoint) for endpoint in ENDPOINTS]
    return signed + [Route(page.path, page.serve) for page in pages(node, ready)]


# Endpoints --------------------------------------------------------------------------------------------


async def post_event(call: Call) -> dict[str, Any]:
    """One event to up to 100 channels. The answer holds what `info` asked of them."""
    broadcast = event_of(call.hub.app, call.body)
    words = _info(call.body["info"]) if "info" in call.body else frozenset()
    await call.node.publish_to_all([broadcast], origin="api")
    if "info" not in call.body:
        return {}
    return {"channels": {name: await _attributes_now(call, name, words) for name in broadcast.channels}}


async def post_batch(call: Call) -> dict[str, Any]:
    """Up to 10 events, each to one channel, delivered in order."""
    broadcasts = batch_of(call.hub.app, call.body)
    asked = [_info(entry.get("info", "")) for entry in call.body["batch"]]
    await call.node.publish_to_all(broadcasts, origin="api")
    if not any(asked):
        return {}
    infos = zip(broadcasts, asked, strict=True)
    return {"batch": [await _attributes_now(call, one.channels[0], words) for one, words in infos]}


async def get_channels(call: Call) -> bytes:
    """The occupied channels."""
    prefix, words = call.query.get("filter_by_prefix", ""), _info(call.query.get("info", ""))
    if "user_count" in words and not kind_of(prefix).has_members:
        raise HTTPException(400, "info: user_count needs filter_by_prefix=presence-")
    occupied = await occupancy.channels(call.node, call.hub)
    names: list[str] = []
    async for some in occupancy.slices(tuple(occupied)):
        names += [name for name in some if name.startswith(prefix)]
    users = await occupancy.user_counts(call.node, call.hub, names) if "user_count" in words else {}
    parts: list[bytes] = []
    async for some in occupancy.slices(names):
        answer: dict[str, dict[str, int]] = {name: {} for name in some}
        for name, attributes in answer.items():
            if name in users:
                attributes["user_count"] = users[name]
            if "subscription_count" in words:
                attributes["subscription_count"] = occupied[name]
        parts.append(to_json(answer)[1:-1])
    return b'{"channels":{%s}}' % b",".join(parts)


async def get_channel(call: Call) -> dict[str, Any]:
    """One channel, occupied or not."""
    name, words = _channel(call), _info(call.query.get("info", ""))
    kind = kind_of(name)
    if "user_count" in words and not kind.has_members:
        raise HTTPException(400, "info: user_count is for presence channels only")
    if "cache" in words and not kind.is_cache:
        raise HTTPException(400, "info: cache is for cache channels only")
    is_occupied = await occupancy.subscriptions(call.node, call.hub, name) > 0
    answer: dict[str, Any] = {"occupied": is_occupied, **await _attributes(call, name, words)}
    if "cache" in words:
        now = call.node.now()
        cached = await occupancy.last_event(call.node, call.hub, name)
        answer["cache"] = cached and {"data": cached.data, "ttl": int(cached.expires_at - now)}
    return answer


async def get_users(call: Call) -> bytes:
    """The users of a presence channel."""
    name = _channel(call)
    if not kind_of(name).has_members:
        raise HTTPException(400, "only presence channels have users")
    parts: list[bytes] = []
    async for some in occupancy.slices(await occupancy.users(call.node, call.hub, name)):
        parts.append(to_json([{"id": user_id} for user_id in some])[1:-1])
    return b'{"users":[%s]}' % b",".join(parts)


async def get_connections(call: Call) -> dict[str, Any]:
    """How many clients are connected."""
    return {"connections": call.node.connections_of(call.hub)}


async def terminate_connections(call: Call) -> dict[str, Any]:
    """Ends all connections of a user, who must sign in again."""
    call.node.terminate_everywhere(call.hub, call.path["user_id"])
    return {}


# Fields -----------------------------------------------------------------------------------------------


def event_of(app: App, event: Mapping[str, Any]) -> Broadcast:
    """The event that is the whole body. Raises HTTPException 400 or 413."""
    return _broadcast(app, event, "channels" if "channels" in event else "channel")


def batch_of(app: App, body: Mapping[str, Any]) -> list[Broadcast]:
    """The events of the body, in order. Raises HTTPException 400 or 413."""
    batch, limit = body.get("batch"), app.limits.events_per_batch
    if not isinstance(batch, list) or not all(isinstance(entry, dict) for entry in batch):
        raise HTTPException(400, "batch is not a list of events")
    if len(batch) > limit:
        raise HTTPException(400, f"Batch too large: more than {limit} events")
    return [_broadcast(app, entry, "channel") for entry in batch]


def _broadcast(app: App, event: Mapping[str, Any], channels: str) -> Broadcast:
    """The event as a broadcast; `channels` names the field that holds them, a list or one name."""
    limits = app.limits
    name, data, socket_id = event.get("name"), event.get("data"), event.get("socket_id")
    if not isinstance(name, str) or not 0 < len(name) <= limits.event_name_length:
        raise HTTPException(400, f"name is not a string of 1 to {limits.event_name_length} characters")
    if not isinstance(data, str):
        raise HTTPException(400, "data is not a string")
    if len(data.encode("utf-8", "surrogatepass")) > limits.event_bytes:
        raise HTTPException(
            413, f"the content of this event (data) is larger than {limits.event_bytes} bytes"
        )
    names = event.get(channels)
    if channels == "channel":
        names = [names]
    if not isinstance(names, list) or not names:
        raise HTTPException(400, f"{channels} is missing or not a string")
    if len(names) > limits.channels_per_event:
        raise HTTPException(400, f"channels has more than {limits.channels_per_event} names")
    for channel in names:
        if not isinstance(channel, str):
            raise HTTPException(400, f"{channels} is missing or not a string")
        if not is_publishable(channel, limits.channel_name_length):
            raise HTTPException(400, f"{channels} holds a name that is not valid")
    if len(names) > 1 and any(kind_of(channel).is_encrypted for channel in names):
        raise HTTPException(400, "channels: an encrypted event goes to one channel")
    socket_id = None if socket_id == "" else socket_id  # some back ends say nobody like this
    if socket_id is not None and not (isinstance(socket_id, str) and SOCKET_ID.fullmatch(socket_id)):
        raise HTTPException(400, "socket_id is not two integers and a dot")
    return Broadcast(
        app_id=app.id,
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


async def _attributes_now(call: Call, name: str, words: Collection[str]) -> dict[str, Any]:
    """Those that are known: what was published would be published again after another answer than 200."""
    try:
        return await _attributes(call, name, words)
    except ServiceUnavailable:
        return {}


async def _attributes(call: Call, name: str, words: Collection[str]) -> dict[str, Any]:
    """Those of the asked attributes that fit the channel."""
    answer: dict[str, Any] = {}
    if "user_count" in words and kind_of(name).has_members:
        answer["user_count"] = (await occupancy.user_counts(call.node, call.hub, [name]))[name]
    if "subscription_count" in words:
        answer["subscription_count"] = await occupancy.subscriptions(call.node, call.hub, name)
    return answer


# As the functions above read and write them, in JSON Schema --------------------------------------------

_DEFAULTS = Limits()
CHANNEL: Schema = {
    "type": "string",
    "description": f"At most {_DEFAULTS.channel_name_length} characters; or `{USER_CHANNEL}` and an id.",
    "anyOf": [
        {"pattern": f"^[{CHANNEL_CHARACTERS}]+$", "maxLength": _DEFAULTS.channel_name_length},
        {
            "pattern": f"^{USER_CHANNEL}.+$",
            "maxLength": _DEFAULTS.channel_name_length + len(USER_CHANNEL),
        },
    ],
}
PRESENCE_CHANNEL: Schema = {
    "type": "string",
    "pattern": f"^presence-[{CHANNEL_CHARACTERS}]*$",
    "maxLength": _DEFAULTS.channel_name_length,
}
INFO: Schema = {"type": "string", "description": "Comma-separated: subscription_count, user_count, cache."}
ATTRIBUTES: Schema = {
    "type": "object",
    "properties": {"user_count": {"type": "integer"}, "subscription_count": {"type": "integer"}},
}
CHANNELS_ANSWER: Schema = {
    "type": "object",
    "properties": {"channels": {"type": "object", "additionalProperties": ATTRIBUTES}},
}
_EVENT: dict[str, Schema] = {
    "name": {"type": "string", "minLength": 1, "maxLength": _DEFAULTS.event_name_length},
    "data": {"type": "string", "description": f"At most {_DEFAULTS.event_bytes} bytes, delivered as it is."},
    "socket_id": {"type": ["string", "null"], "pattern": "^([0-9]+\\.[0-9]+)?$"},
    "info": INFO,
}
_CHANNELS: Schema = {
    "type": "array",
    "items": CHANNEL,
    "minItems": 1,
    "maxItems": _DEFAULTS.channels_per_event,
    "description": "An encrypted event goes to one channel.",
}
EVENT: Schema = {
    "type": "object",
    "properties": {**_EVENT, "channel": CHANNEL},
    "required": ["name", "data", "channel"],
}
EVENT_TO_MANY: Schema = {
    "type": "object",
    "properties": {**_EVENT, "channels": _CHANNELS},
    "required": ["name", "data", "channels"],
}
BATCH: Schema = {
    "type": "object",
    "properties": {"batch": {"type": "array", "items": EVENT, "maxItems": _DEFAULTS.events_per_batch}},
    "required": ["batch"],
}


# One row an endpoint: route, parameters, body, answer --------------------------------------------------

ENDPOINTS = (
    Endpoint(
        method="POST",
        path="/events",
        serve=post_event,
        body={"anyOf": [EVENT_TO_MANY, EVENT]},
        answer=CHANNELS_ANSWER,
    ),
    Endpoint(
        method="POST",
        path="/batch_events",
        serve=post_batch,
        body=BATCH,
        answer={"type": "object", "properties": {"batch": {"type": "array", "items": ATTRIBUTES}}},
    ),
    Endpoint(
        method="GET",
        path="/channels",
        serve=get_channels,
        parameters={"filter_by_prefix": {"type": "string"}, "info": INFO},
        answer=CHANNELS_ANSWER,
    ),
    Endpoint(
        method="GET",
        path="/channels/{channel}",
        serve=get_channel,
        parameters={"channel": CHANNEL, "info": INFO},
        answer={
            "type": "object",
            "properties": {
                "occupied": {"type": "boolean"},
                **ATTRIBUTES["properties"],
                "cache": {
                    "type": ["object", "null"],
                    "properties": {"data": {"type": "string"}, "ttl": {"type": "integer"}},
                    "required": ["data", "ttl"],
                },
            },
            "required": ["occupied"],
        },
    ),
    Endpoint(
        method="GET",
        path="/channels/{channel}/users",
        serve=get_users,
        parameters={"channel": PRESENCE_CHANNEL},
        answer={
            "type": "object",
            "properties": {
                "users": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "properties": {"id": {"type": "string"}},
                        "required": ["id"],
                    },
                }
            },
            "required": ["users"],
        },
    ),
    Endpoint(
        method="GET",
        path="/connections",
        serve=get_connections,
        answer={
            "type": "object",
            "properties": {"connections": {"type": "integer"}},
            "required": ["connections"],
        },
    ),
    Endpoint(
        method="POST",
        path="/users/{user_id}/terminate_connections",
        serve=terminate_connections,
        parameters={"user_id": {"type": "string", "minLength": 1}},
        answer={"type": "object"},
    ),
)


def pages(node: Node, ready: Callable[[], Mapping[str, object]]) -> list[Page]:
    """What needs no signature."""

    async def connect(request: Request) -> Response:
        """The address of WebSocket connections, for pusher-js and Laravel Echo."""
        return PlainTextResponse(
            "This address speaks WebSocket: connect with pusher-js or Laravel Echo.\n",
            status_code=426,
            headers={"Upgrade": "websocket", "Sec-WebSocket-Version": "13"},
        )

    async def up(request: Request) -> Response:
        """Whether the server answers."""
        return JSONResponse({"health": "OK"})

    async def readiness(request: Request) -> Response:
        """Whether the queue answers too, and the server is not about to end."""
        answer = {"draining": node.is_draining, **ready()}
        answer["ready"] = bool(answer.get("ready")) and not answer["draining"]
        return JSONResponse(answer, status_code=200 if answer["ready"] else 503)

    async def describe(request: Request) -> Response:
        """This document."""
        return JSONResponse(openapi.document(ENDPOINTS, known))

    json, text = "application/json", "text/plain"
    known = [
        Page(path="/app/{key}", serve=connect, answers={426: ("The request was no upgrade.", text)}),
        Page(path="/up", serve=up, answers={200: ("It does.", json)}),
        Page(path="/ready", serve=readiness, answers={200: ("It is.", json), 503: ("It is not.", json)}),
        Page(path="/openapi.json", serve=describe, answers={200: ("OpenAPI 3.1.", json)}),
    ]
    return known
