"""Idle and hanging plain HTTP connections leave room for everybody else."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlencode

import pytest

from bridge.sockets.server import acceptor, http_server, listener, node
from bridge.sockets.server.certificate import Certificate
from tests.certificates import self_signed
from tests.sockets.server.running import APP, LIMIT, PING, UPGRADE, Raw, running, signed, until

pytestmark = pytest.mark.anyio

GET = b"GET /up HTTP/1.1\r\nHost: x\r\n\r\n"
MOST = 20


async def connect(port: int, begun: bytes = b"") -> Raw:
    raw = Raw(*await asyncio.open_connection("127.0.0.1", port))
    raw.send(begun)
    await raw.writer.drain()
    return raw


async def get(raw: Raw) -> None:
    raw.send(GET)
    answer = await asyncio.wait_for(raw.reader.readuntil(b'{"health":"OK"}'), LIMIT)
    assert answer.startswith(b"HTTP/1.1 200 ")


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "HTTP_CONNECTIONS", MOST)


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize(
    "begun",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"GET /", id="a begun request"),
        pytest.param(
            b"POST /up HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n", id="a body that is missing"
        ),
        pytest.param(b"nonsense\r\n\r\n", id="nonsense"),
    ],
)
async def test_whoever_keeps_the_server_waiting_for_longest_makes_room(begun: bytes) -> None:
    async with running() as server:
        socket = await server.raw()
        idle = [await connect(server.port, begun) for _ in range(5 * MOST)]
        other = await connect(server.port)
        for _ in range(3):
            await get(other)
        socket.send(PING)
        assert (await socket.message())["event"] == "pusher:pong"
        for raw in idle[: 3 * MOST]:  # the oldest have gone, before any time limit
            with suppress(ConnectionError):
                await asyncio.wait_for(raw.reader.read(), LIMIT)
        for raw in (*idle, other, socket):
            await raw.aclose()


async def post(raw: Raw) -> None:
    """An event, signed as a back end does it over a kept connection."""
    body = b'{"name":"x","channel":"news","data":"{}"}'
    query = urlencode(signed(APP, "POST", "/apps/app-id/events", body, {}))
    head = f"POST /apps/app-id/events?{query} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    raw.send(head.encode() + body)
    answer = await asyncio.wait_for(raw.reader.readuntil(b"\r\n\r\n{}"), LIMIT)
    assert answer.startswith(b"HTTP/1.1 200 ")


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("use", [get, post])
async def test_a_connection_that_is_used_now_and_then_outlives_those_that_are_not(
    use: Callable[[Raw], Awaitable[None]],
) -> None:
    async with running() as server:
        used = await connect(server.port)
        idle = []
        for _ in range(3 * MOST):
            await use(used)
            idle.append(await connect(server.port))
        for raw in (*idle, used):
            await raw.aclose()


@pytest.mark.usefixtures("few")
async def test_sockets_are_not_among_them() -> None:
    async with running() as server:
        sockets = [await server.raw() for _ in range(2 * MOST)]
        assert server.node.connections == 2 * MOST
        for raw in sockets:
            raw.send(PING)
            assert (await raw.message())["event"] == "pusher:pong"
            await raw.aclose()


async def test_a_tls_handshake_that_hangs_has_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "HANDSHAKE_TIMEOUT", 0.5)
    chain, key = self_signed(tmp_path)
    async with running(certificate=Certificate(chain, key)) as server:
        hanging = await connect(server.port, b"\x16\x03\x01")
        with suppress(ConnectionError):
            assert await asyncio.wait_for(hanging.reader.read(), LIMIT) == b""
        await hanging.aclose()
        monkeypatch.setattr(listener, "HANDSHAKE_TIMEOUT", LIMIT)
        context = ssl.create_default_context(cafile=chain)
        reader, writer = await asyncio.open_connection("localhost", server.port, ssl=context)
        await get(Raw(reader, writer))
        writer.close()


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize(
    "begun", [pytest.param(b"", id="nothing"), pytest.param(b"\x16\x03\x01", id="begun")]
)
async def test_hanging_tls_handshakes_make_room_for_others(
    tmp_path: Path, begun: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "HANDSHAKE_TIMEOUT", 10 * LIMIT)
    chain, key = self_signed(tmp_path)
    context = ssl.create_default_context(cafile=chain)
    async with running(certificate=Certificate(chain, key)) as server:
        hanging = [await connect(server.port, begun) for _ in range(5 * MOST)]
        reader, writer = await asyncio.open_connection("localhost", server.port, ssl=context)
        await get(Raw(reader, writer))
        gone = 0
        for raw in hanging[: 3 * MOST]:  # before any time limit
            with suppress(ConnectionError):
                assert await asyncio.wait_for(raw.reader.read(), LIMIT) == b""
            gone += 1
        assert gone == 3 * MOST
        await get(Raw(reader, writer))
        writer.close()
        for raw in hanging:
            await raw.aclose()


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, listener.new_event_loop])
def test_a_request_right_behind_the_handshake_is_answered(
    tmp_path: Path, new_loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    chain, key = self_signed(tmp_path)
    context = ssl.create_default_context(cafile=chain)

    def ask(port: int) -> bytes:
        """The Finished of TLS and the request in one segment."""
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
        with socket.create_connection(("127.0.0.1", port), timeout=LIMIT) as tcp:
            while True:
                try:
                    tls.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    tcp.sendall(outgoing.read())
                    incoming.write(tcp.recv(65_536))
            tls.write(GET)
            tcp.sendall(outgoing.read())
            while True:
                try:
                    return tls.read(65_536)
                except ssl.SSLWantReadError:
                    incoming.write(tcp.recv(65_536))

    async def serve() -> None:
        async with running(certificate=Certificate(chain, key)) as server:
            for _ in range(5):
                assert (await asyncio.to_thread(ask, server.port)).startswith(b"HTTP/1.1 200 ")

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(serve())


async def test_bodies_that_are_not_complete_take_no_more_than_their_share_of_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http_server, "MAX_UNFINISHED", 100_000)
    begun = b"POST /up HTTP/1.1\r\nHost: x\r\nContent-Length: 9001\r\n\r\n" + b"x" * 9_000
    async with running() as server:
        slow = [await connect(server.port, begun) for _ in range(30)]
        for raw in slow[:10]:  # the oldest have gone, before any time limit
            with suppress(ConnectionError):
                assert await asyncio.wait_for(raw.reader.read(), LIMIT) == b""
        last = slow[-1]
        last.send(b"x")  # completes it; then no byte of it counts any more
        assert (await asyncio.wait_for(last.reader.readline(), LIMIT)).startswith(b"HTTP/1.1 405 ")
        for _ in range(30):
            other = await connect(server.port, begun + b"x")
            assert (await asyncio.wait_for(other.reader.readline(), LIMIT)).startswith(b"HTTP/1.1 405 ")
            await other.aclose()
        slow[-2].send(b"x")
        assert (await asyncio.wait_for(slow[-2].reader.readline(), LIMIT)).startswith(b"HTTP/1.1 405 ")
        for raw in slow:
            await raw.aclose()


async def test_a_tls_connection_that_cannot_be_taken_is_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(acceptor, "RETRY", 0.01)
    accept, looks = socket.socket.accept, 0

    def without_descriptors(listening: socket.socket) -> tuple[socket.socket, object]:
        nonlocal looks
        looks += 1
        if looks <= 5:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return accept(listening)

    monkeypatch.setattr(socket.socket, "accept", without_descriptors)
    chain, key = self_signed(tmp_path)
    async with running(certificate=Certificate(chain, key)) as server:
        context = ssl.create_default_context(cafile=chain)
        reader, writer = await asyncio.open_connection("localhost", server.port, ssl=context)
        await get(Raw(reader, writer))
        writer.close()
    said = [record for record in caplog.records if record.message == "clients are refused"]
    [record] = said
    assert "open files that this process may have are in use: raise it" in record.why  # type: ignore[attr-defined]


def test_a_tls_handshake_has_far_less_than_a_minute() -> None:
    assert listener.HANDSHAKE_TIMEOUT <= 15


async def test_of_few_descriptors_most_are_left_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "raise_limit", lambda: 256)
    async with running() as server:
        await until(lambda: server.node.max_connections is not None)
        assert server.node.max_connections == (256 - 64 - 64) * 4 // 5  # plain HTTP's, the files, who closes


REFUSED = UPGRADE.replace(b"/app/app-key", b"/app/other-key")


async def test_clients_that_are_refused_and_do_not_answer_hold_no_more_descriptors_than_there_are() -> None:
    async with running(max_connections=MOST) as server:
        socket = await server.raw()
        refused = []
        for _ in range(10 * MOST):
            raw = await connect(server.port, REFUSED)
            await asyncio.wait_for(raw.reader.readuntil(b"4001"), LIMIT)
            refused.append(raw)
        await until(lambda: len(server.node.closing) <= MOST + node.LEAST_CLOSING)
        for raw in refused[: 5 * MOST]:  # the oldest are gone, long before their time limit
            with suppress(ConnectionError):
                await asyncio.wait_for(raw.reader.read(), LIMIT)
            await raw.aclose()
        socket.send(PING)
        assert (await socket.message())["event"] == "pusher:pong"
        for raw in (*refused[5 * MOST :], socket):
            await raw.aclose()
