"""What a request to the dashboard says, read and checked."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from bridge.errors import BridgeError
from bridge.sockets.pusher.app import App
from bridge.sockets.pusher.channels import is_publishable
from bridge.sockets.pusher.hub import Hub
from bridge.sockets.server.node import Node
from bridge.sockets.server.socket import Socket

LARGEST_REQUEST = 300_000  # bytes
Fields = Mapping[str, Any]
RANGES = {  # of time, in seconds: all of it, and one bar
    "1h": (3_600, 120),
    "6h": (21_600, 600),
    "24h": (86_400, 1_800),
    "7d": (604_800, 10_800),
    "30d": (2_592_000, 43_200),
}
JOB_RANGES = RANGES | {"1h": (3_600, 60)}  # jobs are counted by the minute; statistics may miss one


async def in_thread(work: Callable[..., Any], *arguments: Any) -> Any:
    """Runs `work` in a thread and returns its result. HTTPException 409 for a BridgeError."""
    try:
        return await asyncio.to_thread(work, *arguments)
    except BridgeError as problem:
        raise HTTPException(409, str(problem)) from None


def filters_of(request: Request) -> tuple[str, str]:
    """Returns the text to look for and the app's id; empty where everything is wanted."""
    return request.query_params.get("search", ""), request.query_params.get("app", "")


def range_of(request: Request, ranges: Mapping[str, tuple[int, int]], usual: str) -> tuple[int, int]:
    """Returns the seconds of the `range`, and of one bar; of the usual range where none of these is named."""
    return ranges.get(request.query_params.get("range", ""), ranges[usual])


async def fields_of(request: Request) -> Fields:
    """Reads the body: a JSON object, or a form's fields. HTTPException 413 or 400 where it is neither."""
    length = request.headers.get("content-length", "")
    if not length.isdecimal() or int(length) > LARGEST_REQUEST:
        raise HTTPException(413, f"the request is larger than {LARGEST_REQUEST} bytes, or does not say")
    try:
        body = await request.body()
    except ClientDisconnect:
        raise HTTPException(400, "the request ended before its body was whole") from None
    if request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        return dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
    try:
        fields = json.loads(body)
        json.dumps(fields, ensure_ascii=False).encode()
    except UnicodeEncodeError:  # JSON can say "\ud800", UTF-8 cannot
        raise HTTPException(400, "the request holds half of a character (a lone surrogate)") from None
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        raise HTTPException(400, "the request is no JSON object")
    return fields


def channel_of(app: App, fields: Fields) -> str:
    channel = fields.get("channel")
    if not isinstance(channel, str) or not is_publishable(channel, app.limits.channel_name_length):
        raise HTTPException(422, "the channel's name is not valid: letters, digits and _ - = @ , . ;")
    return channel


def name_of(app: App, fields: Fields) -> str:
    name = fields.get("event")
    if not isinstance(name, str) or not 0 < len(name) <= app.limits.event_name_length:
        raise HTTPException(422, f"the event needs a name of 1 to {app.limits.event_name_length} characters")
    return name


def data_of(app: App, fields: Fields) -> tuple[str, Any]:
    """Returns the field `data` as it was written, and its value. HTTPException 413 or 422 if not JSON."""
    text = fields.get("data")
    try:
        value = json.loads(text, parse_constant=_refuse) if isinstance(text, str) else None
    except RecursionError:
        raise HTTPException(422, "the data are nested too deep") from None
    except ValueError as problem:
        raise HTTPException(422, f"the data are no JSON: {problem}") from None
    if not isinstance(text, str):
        raise HTTPException(422, "the data are missing: give JSON")
    if len(text.encode()) > app.limits.event_bytes:
        raise HTTPException(413, f"the data are larger than {app.limits.event_bytes} bytes")
    return text, value


def _refuse(word: str) -> None:
    raise ValueError(f"{word} is none")


def hub_of(node: Node, app_id: str) -> Hub[Socket]:
    """Returns the app's hub. HTTPException 404 where no app has this id."""
    hub = node.hubs.get(app_id)
    if hub is None:
        raise HTTPException(404, "no app has this id")
    return hub


def app_of(node: Node, fields: Fields) -> App:
    """Returns the app that the field `appId` names. HTTPException 404 where no app has this id."""
    return hub_of(node, str(fields.get("appId", ""))).app
