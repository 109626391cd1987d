"""What Laravel posts goes to the present server as it came, and its answer back as it was."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bridge.serve.shadow.matcher import Event
from bridge.serve.shadow.proxy import METHODS, ProxyRoutes
from bridge.sockets.pusher import signatures
from bridge.sockets.pusher.app import App
from bridge.sockets.server.binding import bind
from bridge.sockets.server.listener import Listener
from bridge.sockets.server.node import Node

APP = App(id="app-id", key="app-key", secret="app-secret")
BODY = {"name": "Said", "channels": ["lines", "private-a"], "data": '{"n":1}', "socket_id": "1.2"}
EVENT = Event(app_id="app-id", channels=("lines", "private-a"), name="Said", data='{"n":1}', socket="1.2")


class Passed:
    """The shadow's way of posts, listening; what it told of, and how often it looked before."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.took: list[Event] = []
        self.looks = 0

    async def post(self, path: str, body: Any, *, secret: str = APP.secret, **headers: str) -> httpx.Response:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        query = {
            "auth_key": APP.key,
            "auth_timestamp": str(int(time.time())),
            "auth_version": "1.0",
            "body_md5": hashlib.md5(content).hexdigest(),
        }
        query["auth_signature"] = signatures.sign(secret, signatures.api_text("POST", path, query.items()))
        async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
            return await client.post(self.url + path, params=query, content=content, headers=headers)


@asynccontextmanager
async def serving(routes: list[Any]) -> AsyncIterator[int]:
    with bind("127.0.0.1", 0) as listening:
        listener = Listener(Node([]), [listening], override_routes=routes)
        task = asyncio.create_task(listener.run())
        await listener.listening.wait()
        yield listening.getsockname()[1]
        await listener.stop()
        await task


@asynccontextmanager
async def passing(to: str | None) -> AsyncIterator[Passed]:
    async def look() -> None:
        passed.looks += 1

    posts = ProxyRoutes(to, [APP], look, lambda events: passed.took.extend(events))
    async with serving(posts.routes()) as port:
        passed = Passed(port)
        yield passed
    await posts.close()


@asynccontextmanager
async def present(answer: Response) -> AsyncIterator[tuple[str, list[tuple[str, bytes, dict[str, str]]]]]:
    """A server with that answer for all; its address and what it got."""
    got = []

    async def take(request: Request) -> Response:
        got.append((str(request.url), await request.body(), dict(request.headers)))
        return answer

    async with serving([Route("/{path:path}", take, methods=METHODS)]) as port:
        yield f"http://127.0.0.1:{port}", got


def test_request_and_answer_pass_unchanged() -> None:
    async def run() -> None:
        packed = gzip.compress(b'{"packed":true}')
        answer = Response(packed, 200, {"Content-Encoding": "gzip", "X-Own": "1"}, "application/json")
        content = json.dumps(BODY, indent=3).encode()
        async with present(answer) as (url, got), passing(url + "/") as passed:
            back = await passed.post("/apps/app-id/events", content, **{"X-Pusher-Library": "php 7.2"})
            sent = str(back.request.url)
            [(address, body, headers)] = got
            assert address.removeprefix(url) == sent.removeprefix(passed.url)
            assert body == content
            assert headers["x-pusher-library"] == "php 7.2"
            assert (back.status_code, back.headers["x-own"], back.json()) == (200, "1", {"packed": True})
            assert passed.took == [EVENT]
            assert passed.looks == 1

    asyncio.run(run())


def test_every_event_of_a_batch_is_told() -> None:
    async def run() -> None:
        batch = [{"channel": "a", "name": "One", "data": "1"}, {"channel": "b", "name": "Two", "data": "2"}]
        async with present(Response("{}")) as (url, _), passing(url) as passed:
            await passed.post("/apps/app-id/batch_events", {"batch": batch})
            assert [(event.channels, event.name) for event in passed.took] == [
                (("a",), "One"),
                (("b",), "Two"),
            ]

    asyncio.run(run())


def test_what_the_present_server_refuses_is_not_counted() -> None:
    async def run() -> None:
        async with present(Response("too large", 413)) as (url, _), passing(url) as passed:
            back = await passed.post("/apps/app-id/events", BODY)
            assert (back.status_code, back.text) == (413, "too large")
            assert passed.took == []

    asyncio.run(run())


def test_a_present_server_that_is_down_is_told_to_laravel() -> None:
    async def run() -> None:
        with socket.create_server(("127.0.0.1", 0)) as closed:
            port = closed.getsockname()[1]
        async with passing(f"http://127.0.0.1:{port}") as passed:
            back = await passed.post("/apps/app-id/events", BODY)
            assert back.status_code == 502
            assert "does not answer" in back.text
            assert passed.took == []

    asyncio.run(run())


def test_without_a_present_server_only_signed_requests_are_taken() -> None:
    async def run() -> None:
        async with passing(None) as passed:
            assert (await passed.post("/apps/app-id/events", BODY, secret="other")).status_code == 401
            assert (await passed.post("/apps/other/events", BODY)).status_code == 404
            assert passed.took == []
            good = await passed.post("/apps/app-id/events", BODY)
            assert (good.status_code, good.json()) == (200, {})
            assert passed.took == [EVENT]

    asyncio.run(run())


def test_bodies_that_are_no_events_are_passed_on_all_the_same() -> None:
    async def run() -> None:
        async with present(Response("{}")) as (url, got), passing(url) as passed:
            for body in (b"", b"[", b"[]", b'{"name":1}', b'{"name":"a","data":"b","channels":[1]}'):
                assert (await passed.post("/apps/app-id/events", body)).status_code == 200
            assert len(got) == 5
            assert passed.took == []

    asyncio.run(run())
