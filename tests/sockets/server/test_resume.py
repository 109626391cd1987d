"""Resume with real sockets: raw frames, and Echo on pusher-js as they are, in Node and in Chromium."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import shutil
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from websockets.frames import Frame, Opcode

from bridge.broadcast import Broadcast
from bridge.sockets.pusher.messages import GAP
from bridge.sockets.server import node as node_module
from bridge.sockets.server.node import Node
from tests.sockets.server.running import (
    APP,
    LIMIT,
    UPGRADE,
    Client,
    Raw,
    Running,
    connect,
    running,
    text,
    until,
)
from tests.sockets.server.sdks import BROWSER, MASTER_KEY

pytestmark = pytest.mark.anyio

RESUMING = replace(APP, resume_seconds=120.0)
DOCS = Path(__file__).parents[3] / "docs/resume.md"
CHANNELS = [["channel", "news"], ["private", "orders"], ["join", "room"], ["encryptedPrivate", "sealed"]]
NAMES = {"news": "news", "orders": "private-orders", "room": "presence-room"}


def documented_line() -> str:
    """The one line of client configuration, as users copy it."""
    (line,) = re.findall(r"^ *(wsPath: .*),$", DOCS.read_text(), re.MULTILINE)
    return str(line)


# Frames


IN_BROWSER = UPGRADE.replace(b"protocol=7", b"protocol=7&client=js").replace(
    b"Host", b"Origin: http://x\r\nHost"
)


async def raw(
    server: Running, number: int, session: str = "0123456789abcdef", upgrade: bytes = UPGRADE
) -> Raw:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    client = Raw(reader, writer)
    client.send(upgrade.replace(b"/app/app-key", f"/app/r/{session}.{number}/app/app-key".encode()))
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), LIMIT)
    assert head.startswith(b"HTTP/1.1 101"), head
    assert (await client.message())["event"] == "pusher:connection_established"
    return client


async def subscribe(client: Raw, channel: str = "a") -> list[str]:
    """The events that follow, up to the answer to a ping."""
    client.send(text("pusher:subscribe", {"channel": channel}) + text("pusher:ping", {}))
    got = []
    while (message := await client.message())["event"] != "pusher:pong":
        got.append(message["data"] if message["event"] == "event" else message["event"])
    return got


CONFIRMED = "pusher_internal:subscription_succeeded"


@pytest.mark.parametrize("is_slow_reader", [False, True])
async def test_the_answer_to_a_numbered_ping_moves_the_position(is_slow_reader: bool) -> None:
    async with running(RESUMING) as server:
        client = await raw(server, 0)
        if is_slow_reader:  # the library's reader takes over with the first frame that is not plain
            client.send(Frame(Opcode.PING, b"x").serialize(mask=True))
            assert await client.frame() == (Opcode.PONG, b"x")
        assert await subscribe(client) == [CONFIRMED]
        server.publish("a", data="1")
        assert (await client.message())["data"] == "1"
        opcode, number = await client.frame()
        assert (opcode, len(number)) == (Opcode.PING, 8)
        pong = Frame(Opcode.PONG, number).serialize(mask=True)
        client.send(Frame(Opcode.PONG, b"12345678").serialize(mask=True))  # of no ping
        if not is_slow_reader:
            client.send(pong[:5])  # in two pieces, and beside a message
            await asyncio.sleep(0)
            pong = pong[5:]
        client.send(pong + text("pusher:ping", {}))
        assert (await client.message())["event"] == "pusher:pong"
        server.publish("a", data="2")
        await client.aclose()
        await until(lambda: not server.node.hubs[APP.id].sockets)
        server.publish("a", data="3")
        again = await raw(server, 1)
        assert await subscribe(again) == [CONFIRMED, "2", "3"]
        await again.aclose()


async def test_of_a_page_in_a_browser_only_its_own_answer_moves_the_position() -> None:
    """The browser would answer a frame for a page that it keeps, which never gets what was sent to it."""
    async with running(RESUMING) as server:
        client = await raw(server, 0, upgrade=IN_BROWSER)
        assert await subscribe(client) == [CONFIRMED]
        for number in ("1", "2"):
            server.publish("a", data=number)
            assert (await client.message())["data"] == number
            assert (await client.message())["event"] == "pusher:ping"
            if number == "1":
                client.send(text("pusher:pong", {}) + text("pusher:ping", {}))
                assert (await client.message())["event"] == "pusher:pong"
        client.send(Frame(Opcode.PONG, (2).to_bytes(8, "big")).serialize(mask=True) + text("pusher:ping", {}))
        assert (await client.message())["event"] == "pusher:pong"  # an answer to a frame is none
        await client.aclose()
        await until(lambda: not server.node.hubs[APP.id].sockets)
        server.publish("a", data="3")
        again = await raw(server, 1, upgrade=IN_BROWSER)
        assert await subscribe(again) == [CONFIRMED, "2", "3"]
        await again.aclose()


async def test_the_fast_reader_stays_with_a_client_that_answers() -> None:
    async with running(RESUMING) as server:
        client = await raw(server, 0)
        await subscribe(client)
        server.publish("a", data="1")
        await client.message()
        _, number = await client.frame()
        client.send(Frame(Opcode.PONG, number).serialize(mask=True) + text("pusher:ping", {}))
        assert (await client.message())["event"] == "pusher:pong"
        (socket,) = server.node.hubs[APP.id].sockets.values()
        assert socket._wire is None
        await client.aclose()


async def test_a_server_that_is_alone_waits_for_no_answer_when_it_stops(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(node_module, "ACK_TIMEOUT", 10 * LIMIT)
    async with running(RESUMING) as server:
        client = await raw(server, 0)
        await subscribe(client)
        server.publish("a", data="1")
        (socket,) = server.node.hubs[APP.id].sockets.values()
        server.node._ask_page(socket)
        assert socket.connection is not None
        assert socket.connection.session is not None
        assert socket.connection.session.ping is not None
        drain = asyncio.create_task(server.node.drain(10.0))
        assert await client.close_code() == 4100
        await drain
        await client.aclose()


async def test_an_app_that_does_not_resume_takes_such_clients_and_sends_no_pings() -> None:
    async with running(APP) as server:
        client = await raw(server, 3)
        assert await subscribe(client) == [CONFIRMED]
        server.publish("a", data="1")
        assert (await client.message())["data"] == "1"
        assert server.node.hubs[APP.id].sessions.by_id == {}
        assert len(server.node.hubs[APP.id].logs) == 0
        await client.aclose()


async def test_a_new_process_tells_of_a_gap() -> None:
    async with running(RESUMING) as server:
        client = await raw(server, 1)
        assert await subscribe(client) == [CONFIRMED, GAP]
        await client.aclose()


async def test_a_prefix_may_stand_before_the_session() -> None:
    async with running(RESUMING, path_prefix="/ws") as server:
        for before in ("", "/ws"):
            url = server.url().replace("/app/", f"{before}/app/r/0123456789abcdef.0/app/", 1)
            async with connect(url) as websocket:
                await Client(websocket, APP).get("pusher:connection_established")
        assert list(server.node.hubs[APP.id].sessions.by_id) == ["0123456789abcdef"]


# pusher-js and Echo as they are


class Page:
    """What the page told, in order."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.told: list[dict[str, Any]] = []

    async def read(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            self.told.append(json.loads(line))

    def count(self, **equal: Any) -> int:
        return sum(equal.items() <= one.items() for one in self.told)

    def numbers(self, channel: str) -> list[int]:
        return [one["data"]["n"] for one in self.told if one.get("channel") == channel]

    async def until(self, count: int, **equal: Any) -> None:
        await until(lambda: self.count(**equal) >= count)

    async def refuse(self, name: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"refuse {name}\n".encode())
        await self.until(1, refusing=name)


@asynccontextmanager
async def page(port: int, where: str = "node", channels: list[list[str]] = CHANNELS) -> AsyncIterator[Page]:
    executable = shutil.which("chromium") or shutil.which("chromium-browser") or "/usr/bin/chromium"
    app = {
        "id": APP.id,
        "key": APP.key,
        "secret": APP.secret,
        "master": base64.b64encode(MASTER_KEY).decode(),
    }
    given = {"in": where, "executable": executable, "app": app, "port": port, "channels": channels}
    given |= {"line": documented_line(), "event": ".event"}
    process = await asyncio.create_subprocess_exec(
        *("node", "resume.mjs", json.dumps(given)),
        cwd=BROWSER,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    one = Page(process)
    reading = asyncio.create_task(one.read())
    try:
        for _, name in channels:
            await one.until(1, subscribed=name)
        yield one
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await asyncio.wait_for(process.wait(), LIMIT)
        await reading


def cut(node: Node) -> None:
    """Every client's line breaks, with whatever is on its way."""
    for socket in tuple(node.hubs[APP.id].sockets.values()):
        socket.transport.abort()


def numbered(channel: str, number: int, socket_id: str | None = None) -> Broadcast:
    data = json.dumps({"n": number})
    return Broadcast(app_id=APP.id, channels=(channel,), name="event", data=data, socket_id=socket_id)


def holes_and_repeats(numbers: list[int], last: int) -> tuple[int, int]:
    """How many of 1 to `last` did not come, or came before one that precedes them; how many came twice."""
    expected, holes = 1, 0
    for number in numbers:
        if number > expected:
            holes += number - expected
        expected = max(expected, number + 1)
    holes += last + 1 - expected
    return holes, sum(Counter(numbers).values()) - len(set(numbers))


@pytest.mark.parametrize("where", ["node", "chromium"])
async def test_no_hole_over_many_cuts_with_echo_on_pusher_js_as_they_are(where: str) -> None:
    """Events flow all the time; what comes twice was on the way or not acknowledged when a line was cut."""
    cuts, each = 4, 40
    async with running(RESUMING) as server, page(server.port, where) as one:
        node, number, unacknowledged = server.node, 0, 0
        for turn in range(1, cuts + 1):
            await one.until(turn, subscribed="room")
            await one.until(turn, subscribed="orders")
            for at in range(each):
                number += 1
                node.publish([numbered(name, number) for name in NAMES.values()])
                if at == each // 2:
                    unacknowledged += number  # at most
                    cut(node)
                await asyncio.sleep(0.002)
        for name in NAMES:
            await until(lambda name=name: one.numbers(name)[-1:] == [number])  # type: ignore[misc]
        assert one.count(state="connected") == cuts + 1
        for name in NAMES:
            numbers = one.numbers(name)
            holes, repeats = holes_and_repeats(numbers, number)
            assert holes == 0, numbers
            assert repeats <= unacknowledged
            runs = sum(after != before + 1 for before, after in pairwise(numbers))
            assert runs <= cuts, numbers  # it goes back only where a line was cut
        assert [told for told in one.told if "gap" in told or "problem" in told] == []


async def test_a_gap_is_told_on_every_kind_of_channel_where_the_server_was_restarted() -> None:
    async with running(RESUMING) as server:
        port = server.port
        async with page(port) as one:
            hub = server.node.hubs[APP.id]
            hub.sessions.by_id.clear()  # as a new process has none
            cut(server.node)
            for _, name in CHANNELS:
                await one.until(1, gap=name)
                await one.until(2, subscribed=name)
            assert Counter(told["gap"] for told in one.told if "gap" in told) == {
                name: 1 for _, name in CHANNELS
            }


async def test_a_right_that_was_withdrawn_gives_nothing_and_a_sender_stays_excluded() -> None:
    async with running(RESUMING) as server, page(server.port, channels=CHANNELS[:2]) as one:
        node = server.node
        (socket_id,) = node.hubs[APP.id].sockets
        await one.refuse("private-orders")
        cut(node)
        node.publish([numbered("private-orders", 1), numbered("news", 1, socket_id), numbered("news", 2)])
        await one.until(1, refused="orders")
        await one.until(2, subscribed="news")
        node.publish([numbered("private-orders", 2), numbered("news", 3, socket_id), numbered("news", 4)])
        await until(lambda: 4 in one.numbers("news"))
        assert one.numbers("news") == [2, 4]
        assert one.numbers("orders") == []
