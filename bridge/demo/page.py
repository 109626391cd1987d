"""What the demo serves besides the server's own routes: the page, who may subscribe, pushing an event.

Only pages of this demo are answered: the request must name this machine (no foreign name that points here)
and bear the token that stands in the page (no other site's form).
"""

from __future__ import annotations

import asyncio
import hmac
import html
import json
import secrets
import sqlite3
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bridge.demo.app import DemoApp
from bridge.demo.feed import Feed
from bridge.sockets.pusher.signatures import sign, subscription_text

FOLDER = Path(__file__).parent
ASSETS = {"page.css": "text/css", "page.js": "text/javascript", "pusher.js": "text/javascript"}
LOOPBACK = ("127.0.0.1", "localhost", "::1")
LARGEST_REQUEST = 4_096  # bytes
LONGEST_TEXT = 500  # characters
LONGEST_NAME = 40
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'self'; img-src data:; connect-src 'self' ws:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}

Answer = Callable[[Mapping[str, str]], Awaitable[Response]]


def routes(app: DemoApp, feed: Feed) -> list[Route]:
    token = secrets.token_urlsafe(24)
    text = (FOLDER / "page.html").read_text(encoding="utf-8")
    for name, value in (("key", app.key), ("token", token), ("database", str(app.database))):
        text = text.replace(f"{{{{ {name} }}}}", html.escape(value))

    async def page(request: Request) -> Response:
        _check_host(request)
        return Response(text, media_type="text/html", headers=HEADERS)

    async def asset(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in ASSETS:
            raise HTTPException(404)
        return Response((FOLDER / name).read_bytes(), media_type=ASSETS[name], headers=HEADERS)

    async def auth(fields: Mapping[str, str]) -> Response:
        """What `/broadcasting/auth` of a Laravel app answers; everybody may subscribe to everything."""
        channel, socket_id = fields.get("channel_name", ""), fields.get("socket_id", "")
        answer = {}
        if channel.startswith("presence-"):
            user = {"id": _short(fields, "user_id"), "name": _short(fields, "name")}
            answer["channel_data"] = json.dumps({"user_id": user["id"], "user_info": user})
        signed = subscription_text(socket_id, channel, answer.get("channel_data"))
        return JSONResponse({"auth": f"{app.key}:{sign(app.secret.reveal(), signed)}", **answer})

    async def push(fields: Mapping[str, str]) -> Response:
        written = fields.get("text", "").strip()
        if not 0 < len(written) <= LONGEST_TEXT:
            raise HTTPException(422, f"write 1 to {LONGEST_TEXT} characters")
        try:
            await asyncio.to_thread(feed.push_text, written, _short(fields, "name"))
        except sqlite3.OperationalError:
            raise HTTPException(503, "another program locks the queue's file") from None
        return JSONResponse({"queued": True}, status_code=202)

    return [
        Route("/", page),
        Route("/demo/auth", _guarded(token, auth), methods=["POST"]),
        Route("/demo/push", _guarded(token, push), methods=["POST"]),
        Route("/demo/{name}", asset),
    ]


def _guarded(token: str, answer: Answer) -> Callable[[Request], Awaitable[Response]]:
    async def serve(request: Request) -> Response:
        _check_host(request)
        if not hmac.compare_digest(request.headers.get("x-demo-token", "").encode(), token.encode()):
            raise HTTPException(403, "the page is from an earlier run: load it again")
        if not 0 < int(request.headers.get("content-length", 0)) <= LARGEST_REQUEST:
            raise HTTPException(413, f"the request is empty or larger than {LARGEST_REQUEST} bytes")
        try:
            fields = json.loads(await request.body())
        except ValueError:
            fields = None
        if not isinstance(fields, dict) or not all(isinstance(value, str) for value in fields.values()):
            raise HTTPException(400, "the request is not a JSON object of texts")
        return await answer(fields)

    return serve


def _check_host(request: Request) -> None:
    if request.url.hostname not in LOOPBACK:
        raise HTTPException(403, "open the demo by the address that it printed")


def _short(fields: Mapping[str, str], name: str) -> str:
    return fields.get(name, "").strip()[:LONGEST_NAME] or "somebody"
