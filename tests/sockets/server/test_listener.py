import asyncio
import json
import resource
import socket
import ssl
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from bridge.errors import ConfigurationError, ServiceUnavailable
from bridge.sockets.server.acceptor import AT_ONCE
from bridge.sockets.server.binding import bind
from bridge.sockets.server.certificate import Certificate
from bridge.sockets.server.listener import Listener, Sharing, new_event_loop
from bridge.sockets.server.node import Node
from bridge.sockets.server.open_files import raise_limit
from tests.certificates import self_signed
from tests.sockets.server.running import LIMIT, Client, broadcast, connect, running, until

anyio = pytest.mark.anyio


def test_an_address_that_is_taken_is_named() -> None:
    with closing(bind("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
        with pytest.raises(ServiceUnavailable, match=str(port)):
            bind("127.0.0.1", port)


def test_a_host_that_does_not_exist_is_named() -> None:
    with pytest.raises(ConfigurationError, match=r"256\.0\.0\.1"):
        bind("256.0.0.1", 0)


def test_clients_wait_in_the_backlog_before_anything_runs() -> None:
    sock = bind("127.0.0.1", 0)
    with closing(sock), socket.create_connection(sock.getsockname(), timeout=LIMIT) as waiting:
        assert waiting.getpeername() == sock.getsockname()


def test_ipv6_can_be_bound() -> None:
    with closing(bind("::1", 0)) as sock:
        assert sock.family == socket.AF_INET6


def test_the_host_of_all_addresses_hears_both_families() -> None:
    with closing(bind("::", 0)) as sock:
        port = sock.getsockname()[1]
        for address in ("127.0.0.1", "::1"):
            with socket.create_connection((address, port), timeout=LIMIT):
                sock.accept()[0].close()


@pytest.fixture
def low_descriptor_limit() -> Iterator[int]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    yield hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_the_descriptor_limit_is_raised_to_the_hard_one(low_descriptor_limit: int) -> None:
    assert raise_limit() == low_descriptor_limit
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == low_descriptor_limit


def test_the_event_loop_is_uvloops() -> None:
    with closing(new_event_loop()) as loop:
        assert type(loop).__module__.startswith("uvloop")


@anyio
async def test_extra_routes_are_served_on_the_same_port() -> None:
    async def page(request: Request) -> PlainTextResponse:
        return PlainTextResponse("a page")

    async with running(routes=[Route("/demo", page)]) as server:
        answer = await server.request("GET", "/demo", sign=False)
        assert answer.text == "a page"
        assert "server" not in answer.headers


@anyio
async def test_signals_are_left_to_the_daemon() -> None:
    import signal

    before = signal.getsignal(signal.SIGTERM)
    async with running():
        assert signal.getsignal(signal.SIGTERM) is before


@anyio
async def test_tls_carries_the_same_protocol(tmp_path: Path) -> None:
    chain, key = self_signed(tmp_path)
    context = ssl.create_default_context(cafile=chain)
    async with running(certificate=Certificate(chain, key)) as server:
        url = server.url().replace("ws://", "wss://")
        async with connect(url, ssl=context) as websocket:
            client = Client(websocket, server.app)
            await client.get("pusher:connection_established")
            await client.send("pusher:subscribe", {"channel": "news", "auth": ""})
            await client.get("pusher_internal:subscription_succeeded")
            data = json.dumps("x" * 9_000)
            server.node.publish([broadcast("news", data=data)] * 200)
            for _ in range(200):
                assert (await client.get())["data"] == data
            stopping = asyncio.create_task(server.listener.stop(LIMIT))
            assert await client.close_code() == 4100
            await stopping


@anyio
async def test_whether_another_process_should_take_clients_is_asked_once_for_several_that_wait() -> None:
    asked = 0

    def yields(connections: int) -> bool:
        nonlocal asked
        asked += 1
        return False

    may_listen = asyncio.Event()
    sock = bind("127.0.0.1", 0)
    listener = Listener(Node([]), [sock], sharing=Sharing(yields=yields, may_listen=may_listen))
    task = asyncio.create_task(listener.run())
    await listener.started.wait()
    waiting = [socket.create_connection(sock.getsockname(), timeout=LIMIT) for _ in range(3 * AT_ONCE)]
    may_listen.set()
    await until(lambda: listener.connections == len(waiting))
    assert asked < len(waiting)
    for one in waiting:
        one.close()
    await listener.stop()
    await task
