"""Every code and status of the specification, provoked through a real socket: the tables are complete."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode

from bridge.sockets.pusher import close_codes
from bridge.sockets.pusher.app import App, Limits
from bridge.sockets.server import api
from bridge.sockets.server.http_request import MAX_HEAD
from bridge.sockets.server.node import Node
from bridge.sockets.server.signed_endpoint import REFUSAL_MEANINGS
from tests.sockets.server.running import APP, LIMIT, Client, Running, connect, running, signed

pytestmark = pytest.mark.anyio

# At the door: the app, the address that the client asks for, and its options -----------------------------

FULL = replace(APP, limits=Limits(connections_per_address=0))
DOOR: dict[int, tuple[App, str, dict[str, Any]]] = {
    close_codes.TLS_ONLY: (replace(APP, tls_only=True), "/app/app-key?protocol=7", {}),
    close_codes.UNKNOWN_APP: (APP, "/app/other?protocol=7", {}),
    close_codes.APP_DISABLED: (replace(APP, enabled=False), "/app/app-key?protocol=7", {}),
    close_codes.OVER_QUOTA: (replace(APP, max_connections=0), "/app/app-key?protocol=7", {}),
    close_codes.UNKNOWN_PATH: (APP, "/elsewhere?protocol=7", {}),
    close_codes.UNSUPPORTED_PROTOCOL: (APP, "/app/app-key?protocol=3", {}),
    close_codes.NO_PROTOCOL: (APP, "/app/app-key?protocol=", {}),
    close_codes.UNAUTHORIZED: (
        replace(APP, allowed_origins=("a.test",)),
        "/app/app-key",
        {"origin": "http://b.test"},
    ),
    close_codes.OVER_CAPACITY: (FULL, "/app/app-key?protocol=7", {}),
}


@pytest.mark.parametrize("code", DOOR)
async def test_who_may_not_enter_is_told_the_code_and_closed_with_it(code: int) -> None:
    app, path, options = DOOR[code]
    async with (
        running(app) as server,
        connect(f"ws://127.0.0.1:{server.port}{path}", **options) as websocket,
    ):
        client = Client(websocket, app)
        error = await client.get("pusher:error")
        assert error["data"]["code"] == code
        assert error["data"]["message"]
        assert await client.close_code() == code


# Inside ---------------------------------------------------------------------------------------------------


async def reconnect(server: Running, client: Client) -> None:
    await server.node.drain(LIMIT, close_codes.RECONNECT)


async def stay_silent(server: Running, client: Client) -> None:
    protocol = client.websocket.protocol
    send = protocol.send_frame

    def without_pongs(frame: Frame) -> None:
        if frame.opcode is not Opcode.PONG:
            send(frame)

    protocol.send_frame = without_pongs  # type: ignore[method-assign]
    await client.get("pusher:ping")


async def sign_in_badly(server: Running, client: Client) -> None:
    await client.send("pusher:signin", {"auth": "app-key:0", "user_data": '{"id":"1"}'})


async def flood(server: Running, client: Client) -> None:
    server.stop_clock()
    for _ in range(server.app.limits.messages_burst + 1):
        await client.send("pusher:pong", {})


async def send_nonsense(server: Running, client: Client) -> None:
    await client.websocket.send("nonsense")


async def whisper_aloud(server: Running, client: Client) -> None:
    await client.send("client-x", {}, channel="news")


async def watch_too_many(server: Running, client: Client) -> None:
    await client.sign_in({"id": "1", "watchlist": [f"u{number}" for number in range(101)]})


INSIDE: dict[tuple[str, int], tuple[App, Callable[[Running, Client], Awaitable[None]]]] = {
    ("close", close_codes.RECONNECT): (APP, reconnect),
    ("close", close_codes.PONG_TIMEOUT): (replace(APP, activity_timeout=1, pong_timeout=1), stay_silent),
    ("close", close_codes.UNAUTHORIZED): (APP, sign_in_badly),
    ("close", close_codes.OVER_CAPACITY): (APP, flood),
    ("error", close_codes.MALFORMED): (APP, send_nonsense),
    ("error", close_codes.CLIENT_EVENT_REFUSED): (APP, whisper_aloud),
    ("error", close_codes.WATCHLIST_CUT): (APP, watch_too_many),
}


@pytest.mark.parametrize(("kind", "code"), INSIDE)
async def test_what_goes_wrong_later_is_told_with_its_code(kind: str, code: int) -> None:
    app, provoke = INSIDE[kind, code]
    async with running(app) as server, server.client() as client:
        await provoke(server, client)
        if kind == "close":
            told = set()
            with suppress(ConnectionClosed):
                async for text in client.websocket:
                    message = json.loads(text)
                    if message["event"] != "pusher:ping":  # there may be one more
                        assert message["event"] == "pusher:error", message
                        told.add(message["data"]["code"])
            assert told <= {code}
            assert client.websocket.close_code == code
        else:
            seen = await client.get()
            while seen["event"] in ("pusher:signin_success", "pusher_internal:watchlist_events"):
                seen = await client.get()
            assert (seen["event"], seen["data"]["code"]) == ("pusher:error", code)
            await client.send("pusher:ping", {})
            while (await client.get())["event"] != "pusher:pong":
                pass


def test_every_code_of_the_protocol_is_in_a_table() -> None:
    known = {value for name, value in vars(close_codes).items() if name.isupper()}
    assert {*DOOR, *(code for _, code in INSIDE)} == known
    assert known >= {4000, 4001, 4003, 4004, 4005, 4007, 4008, 4009, 4100, 4200, 4201, 4301, 4302}


# Subscriptions --------------------------------------------------------------------------------------------

SUBSCRIPTIONS: dict[str, tuple[dict[str, Any], str, int]] = {
    "a name that is not valid": ({"channel": "a b"}, "ChannelError", 400),
    "a name too long": ({"channel": "x" * 165}, "ChannelError", 400),
    "the reserved sign": ({"channel": "#server-to-user-1"}, "ChannelError", 400),
    "no signature": ({"channel": "private-a"}, "AuthError", 401),
    "a wrong signature": ({"channel": "private-a", "auth": "app-key:00"}, "AuthError", 401),
    "another app's key": ({"channel": "private-a", "auth": "other:00"}, "AuthError", 401),
    "a wrong signature of a member": (
        {"channel": "presence-a", "auth": "app-key:00", "channel_data": '{"user_id":"1"}'},
        "AuthError",
        401,
    ),
    "one too many": ({"channel": "news"}, "LimitReached", 403),
}


@pytest.mark.parametrize("case", SUBSCRIPTIONS)
async def test_a_subscription_that_is_refused_says_why_and_leaves_no_trace(case: str) -> None:
    data, kind, status = SUBSCRIPTIONS[case]
    app = replace(APP, limits=Limits(subscriptions=0)) if kind == "LimitReached" else APP
    async with running(app) as server, server.client() as client:
        await client.send("pusher:subscribe", data)
        refusal = await client.get("pusher:subscription_error")
        assert refusal["channel"] == data["channel"]
        assert (refusal["data"]["type"], refusal["data"]["status"]) == (kind, status)
        assert refusal["data"]["error"]
        assert server.node.hubs["app-id"].channels == {}
        await client.silence()


async def test_a_full_presence_channel_is_403_and_a_member_without_id_400() -> None:
    app = replace(APP, limits=Limits(members=1))
    async with running(app) as server, server.client("presence-a"), server.client() as client:
        for channel, user, expected in (
            ("presence-a", '{"user_id":"2"}', ("LimitReached", 403)),
            ("presence-b", "{}", ("AuthError", 400)),
            ("presence-b", json.dumps({"user_id": "x" * 129}), ("AuthError", 400)),
        ):
            await client.subscribe(channel, user)
            data = (await client.get("pusher:subscription_error"))["data"]
            assert (data["type"], data["status"]) == expected


# The HTTP API ---------------------------------------------------------------------------------------------

EVENT = b'{"name":"x","channels":["news"],"data":""}'
POST, GET = "POST /apps/app-id/events", "GET /apps/app-id/channels"
NO_READS = replace(APP, limits=Limits(api_reads_per_second=1))

STATUSES: dict[int, tuple[App, str, bytes, str]] = {
    400: (APP, POST, b"{}", ""),
    401: (replace(APP, secret="another"), POST, EVENT, ""),
    403: (replace(APP, enabled=False), POST, EVENT, ""),
    404: (APP, "POST /apps/other/events", EVENT, ""),
    405: (APP, "DELETE /apps/app-id/events", b"", ""),
    408: (APP, POST, EVENT, "Content-Length: 100000\r\n"),
    413: (APP, POST, EVENT, "Content-Length: 10000000\r\n"),
    426: (APP, "GET /app/app-key", b"", ""),
    429: (NO_READS, GET, b"", ""),
    431: (APP, GET, b"x" * MAX_HEAD, "X: "),
    503: (APP, "GET /ready", b"", ""),
}


@pytest.mark.parametrize("status", STATUSES)
async def test_a_request_that_is_refused_has_its_status_and_one_line(status: int) -> None:
    app, line, body, head = STATUSES[status]
    method, path = line.split()
    options: dict[str, Any] = {"ready": lambda: {"ready": False}} if status == 503 else {}
    if status == 408:
        options["request_timeout"] = 0.3
    async with running(app, **options) as server:
        if status == 429:
            server.stop_clock()
            assert (await server.request(method, path)).status_code == 200
        query = urlencode(signed(APP, method, path, body, {}))
        length = "" if "Content-Length" in head else f"Content-Length: {len(body)}\r\n"
        begun = f"{method} {path}?{query} HTTP/1.1\r\nHost: x\r\n"
        request = f"{begun}{length}{head}\r\n".encode() + body
        if status == 431:  # exactly what is read: an answer is lost with what was not
            request = f"{begun}{head}".encode() + body
            request = request[: MAX_HEAD + 1]
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(request)
        answer = await response(reader)
        writer.close()
        await writer.wait_closed()
    assert answer.status_code == status
    assert answer.headers["content-type"] in ("text/plain; charset=utf-8", "application/json")
    assert answer.text
    assert "\n" not in answer.text.rstrip("\n")
    if status == 429:
        assert int(answer.headers["retry-after"]) >= 1
    if status == 405:
        assert answer.headers["allow"] == "POST"


def test_every_status_that_is_documented_is_in_the_table() -> None:
    pages = api.pages(Node([APP]), lambda: {})
    documented = {*REFUSAL_MEANINGS, *(status for page in pages for status in page.answers)} - {200}
    assert documented <= STATUSES.keys()


async def response(reader: asyncio.StreamReader) -> httpx.Response:
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), LIMIT)
    first, *lines = head.decode().split("\r\n")
    headers = {name: value for name, found, value in (line.partition(": ") for line in lines) if found}
    content = await asyncio.wait_for(reader.readexactly(int(headers["content-length"])), LIMIT)
    return httpx.Response(int(first.split()[1]), headers=headers, content=content)
