"""Requests that never become complete, one byte at a time."""

import asyncio
from contextlib import suppress

import pytest

from bridge.sockets.server import http_protocol
from tests.sockets.server.running import LIMIT, PING, running, until

pytestmark = pytest.mark.anyio

GET = b"GET /up HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST /apps/app-id/events HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n"


@pytest.mark.parametrize(
    "begun",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"GET /up HTTP/1.1\r\nHost: x\r\n", id="headers"),
        pytest.param(POST + b"{", id="body"),
    ],
)
async def test_a_request_that_is_not_whole_in_time_is_408_and_the_end(begun: bytes) -> None:
    async with running(request_timeout=0.3) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(begun)
        answer = await asyncio.wait_for(reader.read(), LIMIT)
        assert answer.startswith(b"HTTP/1.1 408 ")
        head, _, body = answer.partition(b"\r\n\r\n")
        assert b"content-length: %d" % len(body) in head
        writer.close()
        await writer.wait_closed()


async def test_bytes_now_and_then_do_not_win_time() -> None:
    async with running(request_timeout=0.5) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET /")
        reading = asyncio.create_task(reader.read())
        async with asyncio.timeout(LIMIT):
            while not reading.done():
                writer.write(b"x")
                await asyncio.sleep(0.05)
        with suppress(ConnectionError):  # bytes that came too late reset the connection
            assert b" 408 " in reading.result()
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


@pytest.mark.parametrize("rest", [b"", b"GET /up HT", b"POST /up HTTP/1.1\r\nHost: x\r\n", GET + GET + b"G"])
async def test_a_client_that_is_refused_may_linger_for_so_long_whatever_came_behind_its_request(
    rest: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_protocol, "LINGER", 0.2)
    async with running(request_timeout=10 * LIMIT) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET /up HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n" + rest)
        answer = await asyncio.wait_for(reader.read(), LIMIT)
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert answer.count(b"HTTP/1.1 ") == 1
        await until(lambda: not server.listener.connections)
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def test_between_requests_and_after_an_upgrade_there_is_all_the_time() -> None:
    async with running(request_timeout=20.0) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)

        async def get() -> None:
            writer.write(GET)
            assert b" 200 " in await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), LIMIT)
            await reader.readexactly(len(b'{"health":"OK"}'))

        await get()
        raw = await server.raw()
        clock_reader, clock = await asyncio.open_connection("127.0.0.1", server.port)
        assert b" 408 " in await asyncio.wait_for(clock_reader.read(), LIMIT)  # the others' too
        await get()
        raw.send(PING)
        assert (await raw.message())["event"] == "pusher:pong"
        await raw.aclose()
        for each in (writer, clock):
            each.close()
            await each.wait_closed()
