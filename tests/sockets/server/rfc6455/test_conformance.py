"""Every case of every table against bridge's own sockets, over TCP."""

from __future__ import annotations

import asyncio
import struct
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress

import pytest

from tests.sockets.server.rfc6455.cases import CLOSE, PONG, Case, Frame, close, closing
from tests.sockets.server.rfc6455.echo import echoing
from tests.sockets.server.rfc6455.tables import GROUPS
from tests.sockets.server.running import LIMIT, UPGRADE

pytestmark = pytest.mark.anyio

OFFER = b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n"
OCTET_BY_OCTET = 700  # bytes; a longer message would take too long, and would show nothing else


@pytest.mark.parametrize("group", GROUPS)
async def test_what_is_sent_at_once_gets_the_frames_of_its_case(group: str) -> None:
    async with echoing() as port:
        found = await failures(port, ((case, [case.sent + case.behind]) for case in GROUPS[group]))
    assert found == {}


@pytest.mark.parametrize("group", GROUPS)
async def test_what_is_sent_octet_by_octet_gets_the_same(group: str) -> None:
    async with echoing() as port:
        short = (case for case in GROUPS[group] if len(case.sent) <= OCTET_BY_OCTET)
        found = await failures(port, ((case, octets(case)) for case in short))
    assert found == {}


def test_ids_are_unique_and_no_group_is_empty() -> None:
    for cases in GROUPS.values():
        assert cases
        twice = [name for name, times in Counter(case.id for case in cases).items() if times > 1]
        assert twice == []


async def failures(port: int, cases: Iterable[tuple[Case, list[bytes]]]) -> dict[str, str]:
    """id → what was wrong."""
    found = {}
    for case, pieces in cases:
        try:
            await asyncio.wait_for(follow(port, case, pieces), LIMIT)
        except (AssertionError, OSError, EOFError, TimeoutError) as problem:
            found[case.id] = f"{type(problem).__name__} {problem}"[:300]
    return found


async def follow(port: int, case: Case, pieces: list[bytes]) -> None:
    """The case is played; raises AssertionError when something else comes back."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(UPGRADE.replace(b"\r\n\r\n", b"\r\n" + OFFER))
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101"), head
        assert b"extensions" not in head.lower()
        receiving = asyncio.create_task(receive(reader, len(case.expected)))
        try:
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0)
            frames = await receiving
        finally:
            receiving.cancel()
        for came, expected in zip(in_order(frames), in_order(case.expected), strict=True):
            assert same(came, expected), f"{shown(came)} for {shown(expected)}"
        if not case.is_closed:
            writer.write(close(1000))
            (last,) = await receive(reader, 1)
            assert last == (CLOSE, closing(1000)), f"after the last frame: {shown(last)}"
        writer.write_eof()
        rest = await reader.read()
        assert rest == b"", f"after the close frame: {rest[:50]!r}"
    finally:
        writer.close()
        with suppress(ConnectionError):  # the server was quicker
            await writer.wait_closed()


async def receive(reader: asyncio.StreamReader, count: int) -> list[Frame]:
    """The next frames; each must be whole, not masked, and of the shortest form."""
    frames: list[Frame] = []
    while len(frames) < count:
        first, size = await reader.readexactly(2)
        assert first & 0xF0 == 0x80, f"first octet {first:02x}"
        if size == 126:
            (size,) = struct.unpack("!H", await reader.readexactly(2))
            assert size >= 126
        elif size == 127:
            (size,) = struct.unpack("!Q", await reader.readexactly(8))
            assert size >= 65_536
        frames.append((first & 0x0F, await reader.readexactly(size)))
    return frames


def in_order(frames: Sequence[Frame]) -> list[Frame]:
    """Control frames may come between others at any place (5.4): messages, pongs, then a close frame."""
    end = len(frames) - bool(frames and frames[-1][0] == CLOSE)
    return [*sorted(frames[:end], key=lambda frame: frame[0] == PONG), *frames[end:]]


def same(came: Frame, expected: Frame) -> bool:
    """The server may give a reason of its own with its code."""
    if expected[0] == CLOSE and len(expected[1]) == 2:
        return came[0] == CLOSE and came[1][:2] == expected[1]
    return came == expected


def shown(frame: Frame) -> str:
    return f"opcode {frame[0]}, {len(frame[1])} octets {frame[1][:60]!r}"


def octets(case: Case) -> list[bytes]:
    *most, last = (case.sent[at : at + 1] for at in range(len(case.sent)))
    return [*most, last + case.behind]
