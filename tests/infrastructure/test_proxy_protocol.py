"""The PROXY protocol: its two versions byte by byte, and HAProxy in TCP mode before a listener."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.sockets.pusher.app import App
from bridge.sockets.server import proxy_protocol
from bridge.sockets.server.binding import bind
from bridge.sockets.server.certificate import Certificate
from bridge.sockets.server.listener import Listener, ListenerOptions
from bridge.sockets.server.node import Node
from bridge.sockets.server.proxy_protocol import SIGNATURE, Malformed, Origin
from bridge.sockets.server.trusted_proxies import Proxies
from tests import services
from tests.infrastructure.servers import Certificates

pytestmark = pytest.mark.anyio
LIMIT = 20.0


def _read(data: bytes) -> tuple[Origin | None, bytes]:
    """What a header tells, and what is left behind it."""
    left = bytearray(data)

    async def read(size: int) -> bytes:
        if len(left) < size:
            raise EOFError
        part = bytes(left[:size])
        del left[:size]
        return part

    return asyncio.run(proxy_protocol.receive(read)), bytes(left)


def _two(command: int, family: int, content: bytes) -> bytes:
    return SIGNATURE + struct.pack(">BBH", 0x20 | command, family, len(content)) + content


IPV4 = socket.inet_aton("203.0.113.7") + socket.inet_aton("10.0.0.1") + struct.pack(">HH", 4711, 443)
IPV6 = socket.inet_pton(socket.AF_INET6, "2001:db8::7") + bytes(16) + struct.pack(">HH", 4711, 443)
SECURE = struct.pack(">BH", 0x20, 5) + b"\x01" + bytes(4)


@pytest.mark.parametrize(
    ("header", "origin"),
    [
        (b"PROXY TCP4 203.0.113.7 10.0.0.1 4711 443\r\n", Origin(address="203.0.113.7", port=4711)),
        (b"PROXY TCP6 2001:db8::7 ::1 4711 443\r\n", Origin(address="2001:db8::7", port=4711)),
        (b"PROXY UNKNOWN\r\n", None),
        (b"PROXY UNKNOWN ffff:f...f:ffff 1 2 3\r\n", None),
        (_two(1, 0x11, IPV4), Origin(address="203.0.113.7", port=4711)),
        (_two(1, 0x21, IPV6), Origin(address="2001:db8::7", port=4711)),
        (
            _two(1, 0x11, IPV4 + b"\x04\0\x01x" + SECURE),
            Origin(address="203.0.113.7", port=4711, is_secure=True),
        ),
        (_two(1, 0x11, IPV4 + b"\x01\xff\xffh2"), Origin(address="203.0.113.7", port=4711)),
        (_two(0, 0, b""), None),
        (_two(0, 0x11, IPV4), None),
        (_two(1, 0x31, bytes(216)), None),
        (_two(1, 0, b""), None),
    ],
)
def test_a_header_tells_where_a_connection_comes_from_and_no_byte_behind_it_is_read(
    header: bytes, origin: Origin | None
) -> None:
    assert _read(header + b"GET / HTTP/1.1\r\n") == (origin, b"GET / HTTP/1.1\r\n")


@pytest.mark.parametrize(
    "header",
    [
        b"GET /app/key HTTP/1.1\r\n\r\n",
        b"PROXY TCP4 203.0.113.7 10.0.0.1 4711\r\nGET /",
        b"PROXY TCP4 2001:db8::7 ::1 4711 443\r\n",
        b"PROXY TCP4 203.0.113.7 10.0.0.1 4711 65536\r\n",
        b"PROXY TCP4 203.0.113.7 10.0.0.1 -1 443\r\n",
        b"PROXY TCP4  203.0.113.7 10.0.0.1 4711 443\r\n",
        b"PROXY TCP4 " + b"1" * 200,
        b"PROXY TCP6 fe80::1%a\0\x1b[31m 2001:db8::1 4711 443\r\n",
        b"PROXY UDP4 203.0.113.7 10.0.0.1 4711 443\r\n",
        SIGNATURE + b"\x31\x11" + struct.pack(">H", len(IPV4)) + IPV4,
        _two(2, 0x11, IPV4),
        _two(1, 0x11, IPV4[:-1]),
        SIGNATURE + b"\x21\x11\xff\xff" + bytes(70_000),
    ],
)
def test_what_is_no_header_is_refused(header: bytes) -> None:
    with pytest.raises(Malformed):
        _read(header)


@given(
    st.binary(max_size=300),
    st.sampled_from([b"", b"PROXY ", b"PROXY TCP4 ", SIGNATURE, SIGNATURE + b"\x21\x11"]),
)
def test_any_bytes_are_read_or_refused(rest: bytes, start: bytes) -> None:
    with contextlib.suppress(Malformed, EOFError):
        _read(start + rest)


@dataclass(frozen=True)
class Served:
    node: Node
    port: int
    seen: list[tuple[str, bool]]


@contextlib.asynccontextmanager
async def _serving(
    trusted: str, *, proxy_protocol: bool = True, certificate: Certificate | None = None
) -> AsyncIterator[Served]:
    """A listener that notes from where its clients come."""
    seen: list[tuple[str, bool]] = []
    node = Node([App(id="1", key="key", secret="secret")], proxies=Proxies([trusted]))
    admit = node.admit

    def noting(sock, arrival):  # type: ignore[no-untyped-def]
        seen.append((arrival.address, arrival.is_secure))
        return admit(sock, arrival)

    node.admit = noting  # type: ignore[method-assign]
    listening = bind("127.0.0.1", 0)
    listener = Listener(
        node, [listening], options=ListenerOptions(proxy_protocol=proxy_protocol, certificate=certificate)
    )
    task = asyncio.create_task(listener.run())
    await asyncio.wait_for(listener.listening.wait(), LIMIT)
    try:
        yield Served(node, listening.getsockname()[1], seen)
    finally:
        await listener.stop(0)
        await task


HANDSHAKE = (
    b"GET /app/key?protocol=7 HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
)


async def _answer(port: int, data: bytes, tls: ssl.SSLContext | None = None) -> bytes:
    """The first line of the answer; empty where there is none."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls)
    try:
        for part in (data[:9], data[9:]):
            writer.write(part)
            await asyncio.sleep(0)
        async with asyncio.timeout(LIMIT):
            return await reader.readline()
    except ConnectionError:
        return b""
    finally:
        writer.close()


async def test_a_trusted_proxy_tells_the_address_and_a_client_behind_it_cannot() -> None:
    forged = HANDSHAKE + b"X-Forwarded-For: 198.51.100.1\r\nX-Forwarded-Proto: https\r\n\r\n"
    async with _serving("127.0.0.1") as served:
        assert b"101" in await _answer(served.port, b"PROXY TCP4 203.0.113.7 10.0.0.1 1 2\r\n" + forged)
        assert b"101" in await _answer(served.port, _two(1, 0x11, IPV4 + SECURE) + forged)
        assert b"101" in await _answer(served.port, _two(0, 0, b"") + HANDSHAKE + b"\r\n")
        assert served.seen == [("203.0.113.7", False), ("203.0.113.7", True), ("127.0.0.1", False)]


async def test_a_trusted_proxy_without_a_header_is_refused_and_the_log_says_why(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with _serving("127.0.0.1") as served:
        for _ in range(2):
            assert await _answer(served.port, HANDSHAKE + b"\r\n") == b""
    warned = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warned) == 1
    assert "without a header" in warned[0].__dict__["why"]


async def test_others_send_no_header_and_are_not_believed_if_they_do(
    caplog: pytest.LogCaptureFixture,
) -> None:
    header = b"PROXY TCP4 203.0.113.7 10.0.0.1 1 2\r\n"
    async with _serving("192.0.2.1") as served:
        assert b"101" in await _answer(served.port, HANDSHAKE + b"\r\n")
        assert b"400" in await _answer(served.port, header + HANDSHAKE + b"\r\n")
        assert served.seen == [("127.0.0.1", False)]
    async with _serving("127.0.0.1", proxy_protocol=False) as served:
        for _ in range(3):
            assert b"400" in await _answer(served.port, _two(1, 0x11, IPV4) + HANDSHAKE + b"\r\n")
    whys = [record.__dict__.get("why", "")[:25] for record in caplog.records]
    assert whys.count("set proxy_protocol = true") == 2, "once for each of the two servers: anybody may do so"


def _haproxy(
    folder: Path, ports: list[int], behind: list[int], version: str, certificates: Certificates | None
) -> str:
    """The path of a configuration: TLS ends at the first port, and is passed on at the second."""
    crt = ""
    if certificates is not None:
        chain, key = Path(certificates.chain), Path(certificates.key)
        (folder / "both.pem").write_text(chain.read_text() + key.read_text())
        crt = f"ssl crt {folder}/both.pem"
    path = folder / "haproxy.cfg"
    path.write_text(
        "defaults\n mode tcp\n timeout connect 5s\n timeout client 60s\n timeout server 60s\n"
        f"listen ends\n bind 127.0.0.1:{ports[0]} {crt}\n server b 127.0.0.1:{behind[0]} {version}\n"
        f"listen passes\n bind 127.0.0.1:{ports[1]}\n server b 127.0.0.1:{behind[1]} {version}\n"
    )
    return str(path)


@pytest.mark.parametrize(("version", "is_tls"), [("send-proxy", False), ("send-proxy-v2-ssl", True)])
async def test_haproxy_in_tcp_mode_tells_where_a_client_comes_from(
    tmp_path: Path, certificates: Certificates, version: str, is_tls: bool
) -> None:
    """HAProxy ends the TLS; and once more passes it on to a listener that has the certificate."""
    client = ssl.create_default_context(cafile=certificates.chain) if is_tls else None
    own = Certificate(certificates.chain, certificates.key)
    async with _serving("127.0.0.1") as plain, _serving("127.0.0.1", certificate=own) as secure:
        ports = [services.free_port() for _ in range(2)]
        config = _haproxy(
            tmp_path, ports, [plain.port, secure.port], version, certificates if is_tls else None
        )
        haproxy = await asyncio.create_subprocess_exec(
            services.program("haproxy", "haproxy"), "-db", "-f", config
        )
        try:
            async with asyncio.timeout(LIMIT):
                while True:
                    with contextlib.suppress(OSError):
                        socket.create_connection(("127.0.0.1", ports[0])).close()
                        break
                    await asyncio.sleep(0.05)
            assert b"101" in await _answer(ports[0], HANDSHAKE + b"\r\n", client)
            trusting = ssl.create_default_context(cafile=certificates.chain)
            assert b"101" in await _answer(ports[1], HANDSHAKE + b"\r\n", trusting)
        finally:
            haproxy.terminate()
            await haproxy.wait()
        assert plain.seen == [("127.0.0.1", is_tls)]
        assert secure.seen == [("127.0.0.1", True)]
