"""Where one request ends and the next begins: no bytes of a request are ever read as another one.

Each case sends a request whose body, or whatever stands behind it, is itself a request for a page that only
this attack asks for. The page counts how often it was served.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from urllib.parse import urlencode

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route
from websockets.frames import Frame, Opcode

from bridge.broadcast import Broadcast
from bridge.sockets.server.http_protocol import AT_ONCE, MAX_PIPELINED
from tests.sockets.server.running import APP, LIMIT, PING, UPGRADE, Raw, Running, running, signed, until

pytestmark = pytest.mark.anyio

SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
LAST = b"GET /up HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
EVENT = json.dumps({"name": "x", "channels": ["news"], "data": "{}"}).encode()
HANDSHAKE = UPGRADE.removesuffix(b"\r\n")


class Trap:
    """A page that counts its visitors."""

    def __init__(self) -> None:
        self.visits = 0

    async def serve(self, request: Request) -> PlainTextResponse:
        self.visits += 1
        return PlainTextResponse("smuggled")

    @property
    def route(self) -> Route:
        return Route("/smuggled", self.serve, methods=["GET", "POST"])


@asynccontextmanager
async def connected(server: Running) -> AsyncIterator[Raw]:
    raw = Raw(*await asyncio.open_connection("127.0.0.1", server.port))
    try:
        yield raw
    finally:
        await raw.aclose()


async def statuses(raw: Raw) -> list[int]:
    """Of all answers until the server ends the connection."""
    found = []
    while line := await asyncio.wait_for(raw.reader.readline(), LIMIT):
        assert line.startswith(b"HTTP/1.1 "), line
        found.append(int(line.split()[1]))
        length = 0
        while (header := await asyncio.wait_for(raw.reader.readline(), LIMIT)) != b"\r\n":
            name, _, value = header.partition(b": ")
            if name.lower() == b"content-length":
                length = int(value)
        await asyncio.wait_for(raw.reader.readexactly(length), LIMIT)
    return found


def published(event: bytes) -> bytes:
    """A request that publishes it."""
    query = urlencode(signed(APP, "POST", "/apps/app-id/events", event, {}))
    return with_body(f"POST /apps/app-id/events?{query} HTTP/1.1\r\nHost: x\r\n".encode(), event)


def with_body(head: bytes, body: bytes) -> bytes:
    return head + b"Content-Length: %d\r\n\r\n" % len(body) + body


def chunked(head: bytes, body: bytes) -> bytes:
    return head + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)


POST = b"POST /up HTTP/1.1\r\nHost: x\r\n"
UP = b"GET /up HTTP/1.1\r\nHost: x\r\n"
UPGRADES = {
    "h2c": POST + b"Connection: Upgrade\r\nUpgrade: h2c\r\n",
    "websocket by POST": HANDSHAKE.replace(b"GET", b"POST"),
    "websocket with a body": HANDSHAKE,
    "websocket over HTTP/1.0": HANDSHAKE.replace(b"HTTP/1.1", b"HTTP/1.0"),
    "websocket without a key": HANDSHAKE.replace(b"Sec-WebSocket-Key", b"X-Key"),
    "websocket with two keys": HANDSHAKE + b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
    "websocket of version 8": HANDSHAKE.replace(b"Version: 13", b"Version: 8"),
    "websocket elsewhere": HANDSHAKE.replace(b"/app/app-key", b"/up"),
    "several at once": POST + b"Connection: keep-alive, Upgrade\r\nUpgrade: TLS/1.0, h2c\r\n",
    "twice": POST + b"Connection: Upgrade\r\nUpgrade: h2c\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n",
    "in odd case": POST + b"CONNECTION: uPgRaDe\r\nUPGRADE: H2C\r\n",
    "without a word": POST + b"Connection: Upgrade\r\nUpgrade: \r\n",
    "to an unknown protocol": UP + b"Connection: Upgrade\r\nUpgrade: foo/2\r\n",
}


@pytest.mark.parametrize("framing", [with_body, chunked], ids=["length", "chunks"])
@pytest.mark.parametrize("is_split", [False, True], ids=["at once", "in two segments"])
@pytest.mark.parametrize("kind", UPGRADES)
async def test_the_body_of_a_request_with_an_upgrade_is_its_body(kind: str, is_split: bool, framing) -> None:  # type: ignore[no-untyped-def]
    trap = Trap()
    request: bytes = framing(UPGRADES[kind], SMUGGLED)
    end = request.index(b"\r\n\r\n") + 4
    async with running(routes=[trap.route]) as server, connected(server) as raw:
        raw.send(request[:end])
        if is_split:
            await raw.writer.drain()
            await server.request("GET", "/up", sign=False)  # the server has read the first segment
        raw.send(request[end:] + LAST)
        answered = await statuses(raw)
        assert answered[0] in (200, 405, 426), answered
        assert answered[1:] == ([] if "1.0" in kind else [200])
    assert trap.visits == 0


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(with_body(POST + b"Content-Length: 0\r\n", SMUGGLED), id="two lengths"),
        pytest.param(with_body(POST + b"Transfer-Encoding: chunked\r\n", SMUGGLED), id="length, chunks"),
        pytest.param(with_body(UPGRADES["h2c"] + b"Content-Length: 0\r\n", SMUGGLED), id="upgrade, lengths"),
        pytest.param(
            with_body(UPGRADES["h2c"] + b"Transfer-Encoding: chunked\r\n", SMUGGLED), id="upgrade, both"
        ),
        pytest.param(POST + b"Transfer-Encoding: xchunked\r\n\r\n" + SMUGGLED, id="an unknown encoding"),
        *(
            pytest.param(POST + coding + b"\r\n0\r\n\r\n" + SMUGGLED, id=coding.decode())
            for coding in (  # which proxies read in different ways
                b"Transfer-Encoding: ,chunked\r\n",
                b"Transfer-Encoding: gzip, chunked\r\n",
                b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
                b"Upgrade: h2c\r\nConnection: Upgrade\r\nTransfer-Encoding: , chunked\r\n",
            )
        ),
        pytest.param(POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n" + SMUGGLED, id="no chunk size"),
        pytest.param(
            POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n" + SMUGGLED, id="a chunk too long"
        ),
        pytest.param(POST + b"Transfer-Encoding: chunked\r\n\r\n1\nab\n0\n\n" + SMUGGLED, id="line feeds"),
        pytest.param(
            POST + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n" + SMUGGLED,
            id="2^72",
        ),
        pytest.param(with_body(POST + b"Host: y\r\n", SMUGGLED), id="two hosts"),
        pytest.param(b"CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n" + SMUGGLED, id="CONNECT"),
        pytest.param(with_body(b"CONNECT x:80 HTTP/1.1\r\nHost: x\r\n", SMUGGLED), id="CONNECT with a body"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + SMUGGLED, id="HTTP/2's preface"),
        pytest.param(POST + b"Content-Length: 100000000\r\n\r\n" + SMUGGLED * 10, id="too large"),
        pytest.param(
            POST + b"Transfer-Encoding: chunked\r\n\r\n" + b"100000\r\n" + SMUGGLED * 9_000,
            id="many chunks",
        ),
        pytest.param(b"GET /up HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" + SMUGGLED, id="the last"),
        pytest.param(b"GET /up HTTP/1.0\r\n\r\n" + SMUGGLED, id="HTTP/1.0"),
        pytest.param(b"GET /up\r\n" + SMUGGLED, id="HTTP/0.9"),
        pytest.param(b"GET /up HTTP/1.1\r\nHost: x\r\nX" + b"\r\n\r\n" + SMUGGLED, id="no colon"),
    ],
)
async def test_nothing_is_read_behind_a_request_that_is_refused_or_the_last(request_: bytes) -> None:
    trap = Trap()
    async with running(routes=[trap.route]) as server, connected(server) as raw:
        raw.send(request_)
        assert len(await statuses(raw)) == 1
        raw.send(SMUGGLED)
        await server.request("GET", "/up", sign=False)
    assert trap.visits == 0


async def test_what_comes_after_a_refusal_is_thrown_away_until_the_client_has_the_answer() -> None:
    trap = Trap()
    async with running(routes=[trap.route]) as server, connected(server) as raw:
        raw.send(b"nonsense\r\n\r\n")
        assert b" 400 " in await asyncio.wait_for(raw.reader.readline(), LIMIT)
        for _ in range(50):
            raw.send(SMUGGLED)
            await raw.writer.drain()
    assert trap.visits == 0


async def test_javas_http_client_publishes() -> None:
    """The bytes of Java 17's, which offers HTTP/2 with every first request; the body comes by itself."""
    query = urlencode(signed(APP, "POST", "/apps/app-id/events", EVENT, {}))
    head = (
        f"POST /apps/app-id/events?{query} HTTP/1.1\r\nConnection: Upgrade, HTTP2-Settings\r\n"
        f"Content-Length: {len(EVENT)}\r\nHost: 127.0.0.1:6001\r\n"
        "HTTP2-Settings: AAEAAEAAAAIAAAAAAAMAAAAAAAQBAAAAAAUAAEAAAAYABgAA\r\nUpgrade: h2c\r\n"
        "User-Agent: Java-http-client/17.0.15\r\nContent-Type: application/json\r\n\r\n"
    ).encode()
    async with running() as server, server.client("news") as client, connected(server) as raw:
        for _ in range(3):
            raw.send(head)
            await raw.writer.drain()
            await server.request("GET", "/up", sign=False)
            raw.send(EVENT)
            answer = await asyncio.wait_for(raw.reader.readuntil(b"{}"), LIMIT)
            assert answer.startswith(b"HTTP/1.1 200 ")
            await client.get("x")


async def test_a_chunked_event_is_published_even_octet_by_octet_and_its_trailer_is_no_header() -> None:
    query = urlencode(signed(APP, "POST", "/apps/app-id/events", EVENT, {}))
    chunks = b"".join(b"1;extension=x\r\n%c\r\n" % octet for octet in EVENT)
    request = (
        f"POST /apps/app-id/events?{query} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        + chunks
        + b"0\r\nX-Request-Id: of-the-trailer\r\n\r\n"
    )
    async with running() as server, server.client("news") as client, connected(server) as raw:
        for octet in request:
            raw.send(bytes((octet,)))
            await asyncio.sleep(0)
        assert b" 200 " in await asyncio.wait_for(raw.reader.readline(), LIMIT)
        await client.get("x")


async def test_chunks_that_carry_next_to_nothing_are_413() -> None:
    async with running() as server, connected(server) as raw:
        raw.send(POST + b"Transfer-Encoding: chunked\r\n\r\n")
        for _ in range(100):
            raw.send(b"1;" + b"x" * 100_000 + b"\r\na\r\n")
        assert b" 413 " in await asyncio.wait_for(raw.reader.readline(), LIMIT)


async def test_a_trailer_that_does_not_end_is_413() -> None:
    async with running() as server, connected(server) as raw:
        raw.send(POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX: " + b"x" * 6_000_000)
        assert b" 413 " in await asyncio.wait_for(raw.reader.readline(), LIMIT)


# Upgrades among requests


async def test_the_first_frame_may_come_with_the_handshake() -> None:
    async with running() as server, connected(server) as raw:
        raw.send(UPGRADE + PING + PING)
        head = await asyncio.wait_for(raw.reader.readuntil(b"\r\n\r\n"), LIMIT)
        assert head.startswith(b"HTTP/1.1 101")
        assert (await raw.message())["event"] == "pusher:connection_established"
        assert [(await raw.message())["event"] for _ in range(2)] == ["pusher:pong"] * 2


async def test_an_upgrade_behind_requests_comes_after_their_answers() -> None:
    release = asyncio.Event()

    async def slow(request: Request) -> PlainTextResponse:
        await release.wait()
        return PlainTextResponse("slow")

    async with running(routes=[Route("/slow", slow)]) as server, connected(server) as raw:
        raw.send(UP.replace(b"/up", b"/slow") + b"\r\n" + UP + b"\r\n" + UPGRADE + PING)
        await raw.writer.drain()
        await server.request("GET", "/up", sign=False)
        raw.send(PING)
        release.set()
        for body in (b"slow", b'{"health":"OK"}'):
            assert (await asyncio.wait_for(raw.reader.readuntil(body), LIMIT)).startswith(b"HTTP/1.1 200 ")
        head = await asyncio.wait_for(raw.reader.readuntil(b"\r\n\r\n"), LIMIT)
        assert head.startswith(b"HTTP/1.1 101")
        assert (await raw.message())["event"] == "pusher:connection_established"
        assert [(await raw.message())["event"] for _ in range(2)] == ["pusher:pong"] * 2


async def test_an_upgrade_behind_an_answer_that_is_not_read_keeps_the_order_of_bytes() -> None:
    size = 8_000_000

    async def large(request: Request) -> PlainTextResponse:
        return PlainTextResponse("x" * size)

    route = Route("/large", large)
    async with running(routes=[route], max_backlog=2 * size) as server, connected(server) as raw:
        raw.pause()
        raw.send(UP.replace(b"/up", b"/large") + b"\r\n" + UPGRADE + PING * 20)
        await until(lambda: server.node.connections == 1)
        raw.resume()
        await asyncio.wait_for(raw.reader.readuntil(b"\r\n\r\n"), LIMIT)
        assert await asyncio.wait_for(raw.reader.readexactly(size), LIMIT) == b"x" * size
        assert (await asyncio.wait_for(raw.reader.readuntil(b"\r\n\r\n"), LIMIT)).startswith(b"HTTP/1.1 101")
        assert (await raw.message())["event"] == "pusher:connection_established"
        assert [(await raw.message())["event"] for _ in range(20)] == ["pusher:pong"] * 20
        raw.send(Frame(Opcode.PING, b"last").serialize(mask=True))
        assert await raw.frame() == (Opcode.PONG, b"last")


async def test_an_unknown_websocket_version_is_told_the_one_that_is_spoken() -> None:
    async with running() as server, connected(server) as raw:
        raw.send(UPGRADE.replace(b"Version: 13", b"Version: 25"))
        head = await asyncio.wait_for(raw.reader.readuntil(b"\r\n\r\n"), LIMIT)
        assert head.startswith(b"HTTP/1.1 426 ")
        assert b"sec-websocket-version: 13\r\n" in head.lower()


# Many at once, and answers


async def test_upgrades_that_mean_nothing_are_pipelined_like_other_requests() -> None:
    async with running() as server, connected(server) as raw:
        raw.send((UPGRADES["to an unknown protocol"] + b"\r\n") * 3_000)
        answered = await statuses(raw)
        assert answered == [200] * (MAX_PIPELINED + 1) + [429]


async def test_pipelined_requests_are_answered_in_order_up_to_a_limit() -> None:
    async def echo(request: Request) -> PlainTextResponse:
        await asyncio.sleep(0)
        return PlainTextResponse(request.query_params["n"])

    async with running(routes=[Route("/echo", echo)]) as server, connected(server) as raw:
        raw.send(b"".join(UP.replace(b"/up", b"/echo?n=%d" % n) + b"\r\n" for n in range(MAX_PIPELINED * 3)))
        for n in range(MAX_PIPELINED + 1):
            head = await asyncio.wait_for(raw.reader.readuntil(b"\r\n\r\n"), LIMIT)
            assert head.startswith(b"HTTP/1.1 200 ")
            assert (await raw.reader.readexactly(len(str(n)))).decode() == str(n)
        last = await asyncio.wait_for(raw.reader.read(), LIMIT)
        assert last.startswith(b"HTTP/1.1 429 ")
        assert b"connection: close" in last


async def test_pipelined_publishes_leave_the_loop_to_others_and_are_answered_in_order() -> None:
    async with running() as server, connected(server) as raw:
        turns: Counter[int] = Counter()  # turn of the loop → publishes in it
        turn, publish = 0, server.node.publish

        def count() -> None:
            nonlocal turn
            turn += 1
            asyncio.get_running_loop().call_soon(count)

        def counted(broadcasts: Sequence[Broadcast], *, origin: str = "queue") -> int:
            turns[turn] += 1
            return publish(broadcasts, origin=origin)

        server.node.publish = counted  # type: ignore[method-assign]
        count()
        raw.send(published(EVENT) * 500 + LAST)
        assert await statuses(raw) == [200] * 501
        assert turns.total() == 500
        assert max(turns.values()) <= 2 * AT_ONCE, "the end of what was read, and the beginning of the next"


@pytest.mark.parametrize("told", [b"5", b"500"])
async def test_an_answer_that_is_not_as_long_as_it_says_ends_the_connection(told: bytes) -> None:
    async def app(scope, receive, send) -> None:  # type: ignore[no-untyped-def]
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", told)]})
        await send({"type": "http.response.body", "body": b"0123456789"})

    trap = Trap()
    async with running(routes=[Route("/wrong", Wrong(app)), trap.route]) as server, connected(server) as raw:
        raw.send(UP.replace(b"/up", b"/wrong") + b"\r\n" + SMUGGLED)
        try:
            answer = await asyncio.wait_for(raw.reader.read(), LIMIT)
        except ConnectionError:
            answer = b""
        assert b"smuggled" not in answer
    assert trap.visits == 0


class Wrong:
    """An ASGI application in a route."""

    def __init__(self, app) -> None:  # type: ignore[no-untyped-def]
        self._app = app

    async def __call__(self, scope, receive, send) -> None:  # type: ignore[no-untyped-def]
        await self._app(scope, receive, send)


async def test_a_line_break_in_a_header_of_an_answer_is_500() -> None:
    async def app(scope, receive, send) -> None:  # type: ignore[no-untyped-def]
        headers = [(b"location", b"/a\r\nSet-Cookie: b=c")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    async with running(routes=[Route("/wrong", Wrong(app))]) as server, connected(server) as raw:
        raw.send(UP.replace(b"/up", b"/wrong") + b"\r\n" + LAST)
        assert await statuses(raw) == [500, 200]


async def test_a_fault_of_a_page_is_500_and_the_connection_lives_on() -> None:
    async def broken(request: Request) -> PlainTextResponse:
        raise ValueError("a fault")

    async with running(routes=[Route("/broken", broken)]) as server, connected(server) as raw:
        raw.send(UP.replace(b"/up", b"/broken") + b"\r\n" + LAST)
        assert await statuses(raw) == [500, 200]


async def test_a_stream_is_chunked_and_ends_when_the_client_leaves() -> None:
    ended = asyncio.Event()

    async def stream(request: Request) -> StreamingResponse:
        async def pieces() -> AsyncIterator[bytes]:
            try:
                yield b"first"
                await asyncio.Event().wait()
            finally:
                ended.set()

        return StreamingResponse(pieces(), media_type="text/plain")

    async with running(routes=[Route("/stream", stream)]) as server:
        async with connected(server) as raw:
            raw.send(UP.replace(b"/up", b"/stream") + b"\r\n")
            answer = await asyncio.wait_for(raw.reader.readuntil(b"first\r\n"), LIMIT)
            assert b"transfer-encoding: chunked\r\n" in answer
            assert answer.endswith(b"\r\n\r\n5\r\nfirst\r\n")
            assert not ended.is_set()
        await asyncio.wait_for(ended.wait(), LIMIT)


async def test_a_stream_does_not_hold_up_a_stop() -> None:
    async def stream(request: Request) -> StreamingResponse:
        async def pieces() -> AsyncIterator[bytes]:
            yield b"first"
            await asyncio.Event().wait()

        return StreamingResponse(pieces(), media_type="text/plain")

    async with running(routes=[Route("/stream", stream)]) as server, connected(server) as raw:
        raw.send(UP.replace(b"/up", b"/stream") + b"\r\n")
        await asyncio.wait_for(raw.reader.readuntil(b"first\r\n"), LIMIT)
        await server.listener.stop(LIMIT)
        assert await asyncio.wait_for(raw.reader.read(), LIMIT) == b""


async def test_a_client_that_has_said_all_gets_its_answer() -> None:
    async def slow(request: Request) -> PlainTextResponse:
        await asyncio.sleep(0.05)
        return PlainTextResponse("slow")

    async with running(routes=[Route("/slow", slow)]) as server, connected(server) as raw:
        raw.send(UP.replace(b"/up", b"/slow") + b"\r\n")
        raw.writer.write_eof()
        assert (await asyncio.wait_for(raw.reader.read(), LIMIT)).endswith(b"slow")


async def test_a_client_that_waits_for_100_gets_it_and_is_told_at_once_when_the_body_is_too_large() -> None:
    query = urlencode(signed(APP, "POST", "/apps/app-id/events", EVENT, {}))
    begun = f"POST /apps/app-id/events?{query} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n".encode()
    async with running() as server, server.client("news") as client:
        async with connected(server) as raw:
            raw.send(begun + b"Content-Length: %d\r\n\r\n" % len(EVENT))
            await asyncio.wait_for(raw.reader.readuntil(b"100 Continue\r\n\r\n"), LIMIT)
            raw.send(EVENT)
            assert b" 200 " in await asyncio.wait_for(raw.reader.readline(), LIMIT)
            await client.get("x")
        async with connected(server) as raw:
            raw.send(begun + b"Content-Length: 100000000\r\n\r\n")
            assert await statuses(raw) == [413]


async def test_the_answer_to_head_has_no_body() -> None:
    async with running() as server, connected(server) as raw:
        raw.send(UP.replace(b"GET", b"HEAD") + b"\r\n" + LAST)
        head = await asyncio.wait_for(raw.reader.readuntil(b"\r\n\r\n"), LIMIT)
        assert b"content-length: 15" in head
        assert await statuses(raw) == [200]
