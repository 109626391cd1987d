"""HTTP requests that no client means well with: each is answered with its status, and the server lives on."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable
from urllib.parse import urlencode

import pytest

from bridge.sockets.server.http_request import MAX_HEAD
from tests.sockets.server.running import APP, LIMIT, Running, running, signed

pytestmark = pytest.mark.anyio

EVENTS = "/apps/app-id/events"
GOOD = json.dumps({"name": "x", "channels": ["news"], "data": ""}).encode()


def post(body: bytes = GOOD, *, head: str = "", query: str | None = None, path: str = EVENTS) -> bytes:
    """A signed request, byte by byte as it goes out; `head` are more headers."""
    asked = urlencode(signed(APP, "POST", path, body, {})) if query is None else query
    return (
        f"POST {path}?{asked} HTTP/1.1\r\nHost: x\r\n{head}Content-Length: {len(body)}\r\n\r\n".encode()
        + body
    )


async def answers(server: Running, request: bytes) -> list[int]:
    """The statuses of all answers to what is sent over one connection, until the server ends it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(request)
    statuses = []
    while line := await asyncio.wait_for(reader.readline(), LIMIT):
        statuses.append(int(line.split()[1]))
        length = 0
        while (header := await asyncio.wait_for(reader.readline(), LIMIT)) not in (b"\r\n", b""):
            name, _, value = header.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        await asyncio.wait_for(reader.readexactly(length), LIMIT)
    writer.close()
    await writer.wait_closed()
    return statuses


# Stands behind each request: it may be seen as one only where the end of the first is beyond doubt.
BEHIND = b"GET /up HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        # made when they are sent, since a signature is good for ten minutes;
        # where a body ends must not be a matter of opinion (RFC 9112, 6.3): nothing behind is read
        pytest.param(lambda: post(head="Content-Length: 0\r\n"), [400], id="two lengths"),
        pytest.param(lambda: post(head="Transfer-Encoding: chunked\r\n"), [400], id="length and chunks"),
        pytest.param(lambda: post(head="Transfer-Encoding: chunked, identity\r\n"), [400], id="odd encoding"),
        pytest.param(
            lambda: post(head="").replace(b"Content-Length: ", b"Content-Length: +"),
            [400],
            id="length with a sign",
        ),
        pytest.param(
            lambda: post().replace(b"Content-Length: ", b"Content-Length : "), [400], id="space in a name"
        ),
        pytest.param(
            lambda: post().replace(b"Content-Length: ", b"Content-Length: 0x"), [400], id="length in hex"
        ),
        pytest.param(lambda: post(head="X: 1\r\n folded\r\n"), [400], id="a folded header"),
        pytest.param(lambda: post(head="X\x00: 1\r\n"), [400], id="NUL in a header's name"),
        pytest.param(lambda: post(head="X: \x00\r\n"), [400], id="NUL in a header"),
        pytest.param(lambda: post(head="X: a\rY: b\r\n"), [400], id="a bare CR"),
        pytest.param(
            lambda: b"POST " + EVENTS.encode() + b" HTTP/9.9\r\n\r\n", [400], id="a version to come"
        ),
        pytest.param(lambda: b"\x16\x03\x01\x02\x00\x01\x00\x01", [400], id="TLS on a plain port"),
        pytest.param(lambda: b"nonsense\r\n\r\n", [400], id="nonsense"),
        pytest.param(
            lambda: b"GET /\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n", [400], id="a path that is not ASCII"
        ),
        # whole requests: each has its answer, and the one behind is served
        pytest.param(lambda: post(), [200, 200], id="a good one"),
        pytest.param(lambda: post(b"nonsense"), [400, 200], id="no JSON"),
        pytest.param(lambda: post(b"\xff\xfe"), [400, 200], id="no UTF-8"),
        pytest.param(lambda: post(b"[" * 100_000), [400, 200], id="deep JSON"),
        pytest.param(lambda: post(b'{"a":' * 50_000), [400, 200], id="deep JSON of objects"),
        pytest.param(
            lambda: post(b'{"name":' + b"9" * 10_000 + b"}"), [400, 200], id="a number of 10000 digits"
        ),
        pytest.param(lambda: post(b'{"name":NaN}'), [400, 200], id="NaN"),
        pytest.param(
            lambda: post(b'{"name":"\\ud800","channels":["news"],"data":""}'), [200, 200], id="half a pair"
        ),
        pytest.param(
            lambda: post(b'{"name":"x","name":7,"channels":["a"],"data":""}'), [400, 200], id="a key twice"
        ),
        pytest.param(lambda: post(query="auth_key=a&auth_key=b"), [401, 200], id="a parameter twice"),
        pytest.param(lambda: post(query="auth_key=a&AUTH_KEY=b"), [401, 200], id="a parameter in two cases"),
        pytest.param(lambda: post(query="&=&==&%&%zz&%ff&+"), [401, 200], id="a broken query"),
        pytest.param(
            lambda: post(query="&".join(f"a{n}=" for n in range(5_000))), [401, 200], id="5000 parameters"
        ),
        pytest.param(lambda: post(query="%61" * 10_000), [401, 200], id="a long query"),
        pytest.param(lambda: post(path="/apps/../apps/app-id/events"), [404, 200], id="dots"),
        pytest.param(lambda: post(path="/apps//events"), [404, 200], id="an empty app id"),
        pytest.param(
            lambda: post(path="/apps/app-id%2Fevents"), [200, 200], id="an encoded slash, signed like that"
        ),
        pytest.param(lambda: post(path="/" + "a" * 60_000), [404, 200], id="a long path"),
        pytest.param(lambda: b"BREW /up HTTP/1.1\r\nHost: x\r\n\r\n", [400], id="a method nobody knows"),
        pytest.param(lambda: b"DELETE /up HTTP/1.1\r\nHost: x\r\n\r\n", [405, 200], id="a method not served"),
        pytest.param(lambda: b"GET /app/app-key HTTP/1.1\r\nHost: x\r\n\r\n", [426, 200], id="no upgrade"),
        pytest.param(
            lambda: b"GET /up HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, close\r\nUpgrade: h2c\r\n\r\n",
            [200],
            id="an upgrade nobody offers",
        ),
    ],
)
async def test_a_hostile_request_gets_its_status_and_the_server_lives_on(
    request_: Callable[[], bytes], expected: list[int]
) -> None:
    async with running() as server:
        assert await answers(server, request_() + BEHIND) == expected
        assert (await server.request("POST", EVENTS, GOOD)).status_code == 200


async def test_headers_that_do_not_end_are_431() -> None:
    async with running() as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        begun = b"GET /up HTTP/1.1\r\nX: "
        writer.write(begun + b"x" * (MAX_HEAD - len(begun)))
        await writer.drain()
        writer.write(b"x")  # the last byte that is read, so that the answer is not lost with the connection
        answer = await asyncio.wait_for(reader.read(), LIMIT)
        assert answer.startswith(b"HTTP/1.1 431 ")
        assert b"65536 bytes" in answer
        writer.close()
        await writer.wait_closed()


async def test_many_small_headers_are_counted_together() -> None:
    async with running() as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        begun = b"GET /up HTTP/1.1\r\n"
        line = b"X: y\r\n"
        lines = (MAX_HEAD - len(begun)) // len(line) + 1
        writer.write(begun + line * (lines - 1))
        await writer.drain()
        writer.write(line)
        assert (await asyncio.wait_for(reader.read(), LIMIT)).startswith(b"HTTP/1.1 431 ")
        writer.close()
        await writer.wait_closed()


async def test_a_body_that_comes_byte_by_byte_is_taken_as_a_whole() -> None:
    async with running() as server, server.client("news") as client:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        for byte in post():
            writer.write(bytes((byte,)))
            await writer.drain()
        assert b" 200 " in await asyncio.wait_for(reader.readline(), LIMIT)
        assert (await client.get())["event"] == "x"
        writer.close()
        await writer.wait_closed()


async def test_a_client_that_leaves_in_the_middle_of_a_body_publishes_nothing() -> None:
    async with running() as server, server.client("news") as client:
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(post()[:-1])
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        assert (await server.request("GET", "/apps/app-id/channels")).status_code == 200
        await client.silence()


async def test_the_md5_of_another_body_does_not_pass() -> None:
    other = hashlib.md5(b"{}").hexdigest()
    query = urlencode({**signed(APP, "POST", EVENTS, GOOD, {}), "body_md5": other})
    async with running() as server, server.client("news") as client:
        assert await answers(server, post(query=query) + BEHIND) == [401, 200]
        await client.silence()
