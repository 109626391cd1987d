"""Whose word about a client's address is believed."""

import asyncio
import socket
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from bridge.sockets.pusher.app import Limits
from bridge.sockets.server.listener import Listener
from bridge.sockets.server.node import Node
from bridge.sockets.server.trusted_proxies import Proxies
from tests.sockets.server.running import APP, LIMIT, UPGRADE, Client, Raw, connect, running, until

PROXIES = Proxies(["10.0.0.0/8", "fd00::/8", "127.0.0.1"])
PROXY = "10.0.0.1"


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("1.1.1.1", ["9.9.9.9"], "1.1.1.1"),  # a stranger's word
        (PROXY, [], PROXY),
        (PROXY, ["9.9.9.9"], "9.9.9.9"),
        (PROXY, ["6.6.6.6, 9.9.9.9"], "9.9.9.9"),  # the client wrote the first itself
        (PROXY, ["9.9.9.9, 10.0.0.2"], "9.9.9.9"),  # two proxies
        (PROXY, ["9.9.9.9", "10.0.0.2"], "9.9.9.9"),  # in two headers
        (PROXY, ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),  # the client is in the trusted network itself
        (PROXY, ["nonsense, 10.0.0.2"], "10.0.0.2"),
        (PROXY, ["nonsense"], PROXY),
        (PROXY, [""], PROXY),
        (PROXY, ["9.9.9.9:1234"], "9.9.9.9"),
        (PROXY, ["2001:db8::1"], "2001:db8::1"),
        (PROXY, ["[2001:db8::1]:1234"], "2001:db8::1"),
        ("fd00::1", ["9.9.9.9"], "9.9.9.9"),
        ("::ffff:10.0.0.1", ["9.9.9.9"], "9.9.9.9"),
        ("", ["9.9.9.9"], ""),
    ],
)
def test_the_client_is_the_last_that_nobody_believed_vouches_for(
    peer: str, forwarded: list[str], client: str
) -> None:
    headers = [("X-Forwarded-For", value) for value in forwarded]
    assert PROXIES.client(peer, headers, is_secure=False) == (client, False)
    assert Proxies().client(peer, headers, is_secure=False) == (peer, False)


@pytest.mark.parametrize(
    ("headers", "client"),
    [
        ([("Forwarded", "for=9.9.9.9;proto=https")], ("9.9.9.9", True)),
        ([("Forwarded", 'for="[2001:db8::1]:1234"')], ("2001:db8::1", False)),
        (
            [("Forwarded", "for=6.6.6.6, for=9.9.9.9;proto=https;by=_x, For=10.0.0.2")],
            ("9.9.9.9", True),
        ),
        ([("Forwarded", "for=6.6.6.6"), ("Forwarded", "for=9.9.9.9")], ("9.9.9.9", False)),
        ([("Forwarded", "for=_hidden, for=10.0.0.2")], ("10.0.0.2", False)),
        ([("Forwarded", "for=unknown")], (PROXY, False)),
        ([("Forwarded", 'for="9.9.9.9')], (PROXY, False)),  # not readable
        ([("Forwarded", "by=10.0.0.2")], (PROXY, False)),
        # what a proxy does not know it passes on as the client wrote it
        ([("Forwarded", "for=6.6.6.6;proto=https"), ("X-Forwarded-For", "9.9.9.9")], ("9.9.9.9", True)),
        ([("Forwarded", "for=6.6.6.6;proto=https"), ("X-Forwarded-Proto", "http")], ("6.6.6.6", False)),
        ([("X-Forwarded-Ssl", "on")], (PROXY, True)),
        ([("X-Forwarded-Ssl", "off")], (PROXY, False)),
        ([("X-Forwarded-Ssl", "on"), ("X-Forwarded-Proto", "http")], (PROXY, False)),
        ([("CF-Visitor", '{"scheme":"https"}')], (PROXY, True)),
        ([("CF-Visitor", '{"scheme":"http"}')], (PROXY, False)),
        ([("CF-Visitor", "nonsense")], (PROXY, False)),
    ],
)
def test_other_headers_count_where_the_usual_ones_are_missing(
    headers: list[tuple[str, str]], client: tuple[str, bool]
) -> None:
    assert PROXIES.client(PROXY, headers, is_secure=False) == client
    assert PROXIES.client("1.1.1.1", headers, is_secure=False) == ("1.1.1.1", False)


@pytest.mark.parametrize(
    ("peer", "said", "is_secure"),
    [(PROXY, "https", True), (PROXY, "wss", True), (PROXY, "http", False), ("1.1.1.1", "https", False)],
)
def test_tls_in_front_of_a_proxy_counts_when_it_is_believed(peer: str, said: str, is_secure: bool) -> None:
    assert PROXIES.client(peer, [("x-forwarded-proto", said)], is_secure=False)[1] is is_secure


async def address(request: Request) -> JSONResponse:
    assert request.client is not None
    return JSONResponse([request.client.host, request.url.scheme])


@pytest.mark.anyio
async def test_pages_see_the_clients_address_and_scheme() -> None:
    headers = {"X-Forwarded-For": "9.9.9.9", "X-Forwarded-Proto": "https"}
    for proxies, seen in ((PROXIES, ["9.9.9.9", "https"]), (Proxies(), ["127.0.0.1", "http"])):
        async with (
            running(routes=[Route("/address", address)], proxies=proxies) as server,
            httpx.AsyncClient(timeout=60) as client,
        ):
            answer = await client.get(f"http://127.0.0.1:{server.port}/address", headers=headers)
            assert answer.json() == seen


@pytest.mark.anyio
async def test_an_address_may_have_so_many_connections_and_others_have_theirs() -> None:
    app = replace(APP, limits=Limits(connections_per_address=1))
    async with running(app, proxies=PROXIES) as server:

        async def first(address: str) -> str:
            headers = {"X-Forwarded-For": address}
            async with connect(server.url(), additional_headers=headers) as websocket:
                event: str = (await Client(websocket, server.app).get())["event"]
                return event

        async with connect(server.url(), additional_headers={"X-Forwarded-For": "9.9.9.9"}) as websocket:
            await Client(websocket, server.app).get("pusher:connection_established")
            assert await first("9.9.9.9") == "pusher:error"
            assert await first("9.9.9.8") == "pusher:connection_established"
        await until(lambda: server.node.connections == 0)
        assert await first("9.9.9.9") == "pusher:connection_established"
        await until(lambda: server.node.connections == 0)
        assert not server.node.addresses
        one = {"X-Forwarded-For": "2001:db9:1:2::1"}
        async with connect(server.url(), additional_headers=one) as websocket:
            await Client(websocket, server.app).get("pusher:connection_established")
            assert await first("2001:db9:1:2:ffff::99") == "pusher:error"  # the same machine's network
            assert await first("2001:db9:1:3::1") == "pusher:connection_established"


@pytest.mark.anyio
async def test_clients_whose_address_is_not_known_have_no_such_limit(tmp_path: Path) -> None:
    app = replace(APP, limits=Limits(connections_per_address=1))
    path = str(tmp_path / "bridge.sock")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(path)
        sock.listen()
        node = Node([app])
        listener = Listener(node, [sock])
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(listener.run())
            await asyncio.wait_for(listener.listening.wait(), LIMIT)
            for _ in range(3):
                reader, writer = await asyncio.open_unix_connection(path)
                raw = Raw(reader, writer)
                raw.send(UPGRADE)
                await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), LIMIT)
                assert (await raw.message())["event"] == "pusher:connection_established"
                await raw.aclose()
            await listener.stop(drain=0.5)


@pytest.mark.anyio
async def test_an_app_for_tls_only_takes_what_came_over_tls_to_the_proxy() -> None:
    app = replace(APP, tls_only=True)
    async with running(app, proxies=PROXIES) as server:
        for proto, event in (("https", "pusher:connection_established"), ("http", "pusher:error")):
            headers = {"X-Forwarded-Proto": proto}
            async with connect(server.url(), additional_headers=headers) as websocket:
                assert (await Client(websocket, server.app).get())["event"] == event
