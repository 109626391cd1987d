"""Bytes on real connections: frames of every kind, closing, slow readers."""

import asyncio
import json
import socket as sockets
from dataclasses import replace

import pytest
from websockets.frames import Frame, Opcode

from bridge.sockets.pusher.hub_events import Disconnected
from tests.sockets.server.running import APP, LIMIT, PING, UPGRADE, Raw, running, text, until

pytestmark = pytest.mark.anyio

PONG = {"event": "pusher:pong", "data": {}}


def frame(opcode: Opcode, payload: bytes, *, fin: bool = True) -> bytes:
    return Frame(opcode, payload, fin).serialize(mask=True)


async def test_several_frames_in_one_segment_are_all_read() -> None:
    async with running() as server:
        raw = await server.raw()
        raw.send(PING * 5)
        for _ in range(5):
            assert await raw.message() == PONG
        await raw.aclose()


async def test_a_frame_split_at_any_byte_is_read() -> None:
    async with running() as server:
        for cut in range(1, len(PING)):
            raw = await server.raw()
            raw.send(PING[:cut])
            await asyncio.sleep(0)
            await raw.writer.drain()
            raw.send(PING[cut:] + PING)
            assert await raw.message() == PONG
            assert await raw.message() == PONG
            await raw.aclose()


async def test_frames_byte_by_byte_are_read() -> None:
    async with running() as server:
        raw = await server.raw()
        for byte in PING + PING:
            raw.send(bytes([byte]))
            await asyncio.sleep(0)
        assert await raw.message() == PONG
        assert await raw.message() == PONG
        await raw.aclose()


async def test_a_fragmented_message_with_a_ping_between_its_fragments_is_read() -> None:
    payload = json.dumps({"event": "pusher:ping", "data": {}}).encode()
    async with running() as server:
        raw = await server.raw()
        raw.send(frame(Opcode.TEXT, payload[:5], fin=False))
        raw.send(frame(Opcode.PING, b"hello"))
        raw.send(frame(Opcode.CONT, payload[5:20], fin=False))
        raw.send(frame(Opcode.CONT, payload[20:]))
        assert await raw.frame() == (Opcode.PONG, b"hello")
        assert await raw.message() == PONG
        raw.send(PING)
        assert await raw.message() == PONG
        await raw.aclose()


@pytest.mark.parametrize("event_bytes", [250_000, 10_240])
async def test_a_message_may_be_as_large_as_the_app_lets_its_events_be(event_bytes: int) -> None:
    app = replace(APP, limits=replace(APP.limits, event_bytes=event_bytes))
    largest = '"' * 250_000  # each is two bytes once it is escaped
    async with (
        running(app) as server,
        server.client("private-x", max_size=None) as one,
        server.client("private-x", max_size=None) as other,
    ):
        await one.send("client-large", largest, channel="private-x")
        if len(largest) > event_bytes:
            assert await one.close_code() == 1009
            return
        assert (await other.get("client-large"))["data"] == largest
        await one.send("client-large", largest + " ", channel="private-x")
        assert (await one.get("pusher:error"))["data"]["code"] == 4301


async def test_a_message_may_be_as_large_as_the_app_lets_its_members_be() -> None:
    app = replace(APP, limits=replace(APP.limits, member_bytes=100_000, watchlist=2_000))
    info = {"name": "\u0436" * 49_000}  # 98 kB, written by PHP as 294 kB, whose backslashes are escaped again
    async with running(app) as server, server.client(max_size=None) as one:
        await one.subscribe("presence-x", json.dumps({"user_id": "1", "user_info": info}))
        roster = json.loads((await one.get("pusher_internal:subscription_succeeded"))["data"])
        assert roster["presence"]["hash"] == {"1": info}
        await one.sign_in({"id": "1", "watchlist": [f"{number:0128}" for number in range(2_000)]})
        await one.get("pusher:signin_success")


async def test_a_character_may_be_split_between_fragments() -> None:
    payload = json.dumps({"event": "pusher:ping", "data": {"\u00e4": 1}}, ensure_ascii=False).encode()
    cut = payload.index(b"\xc3") + 1
    async with running() as server:
        raw = await server.raw()
        raw.send(frame(Opcode.TEXT, payload[:cut], fin=False) + frame(Opcode.CONT, payload[cut:]))
        assert await raw.message() == PONG
        await raw.aclose()


async def test_a_message_of_the_16_bit_length_is_read() -> None:
    async with running() as server:
        raw = await server.raw()
        raw.send(text("pusher:ping", {"padding": "x" * 60_000}))
        assert await raw.message() == PONG
        await raw.aclose()


async def test_what_is_answered_is_in_the_order_of_the_questions() -> None:
    async with running() as server:
        raw = await server.raw()
        subscribe = [text("pusher:subscribe", {"channel": f"c{n}", "auth": ""}) for n in range(20)]
        raw.send(b"".join(subscribe))
        channels = [(await raw.message())["channel"] for _ in range(20)]
        assert channels == [f"c{n}" for n in range(20)]
        await raw.aclose()


@pytest.mark.parametrize(
    ("data", "code"),
    [
        pytest.param(frame(Opcode.TEXT, b"\xff\xfe"), 1007, id="not UTF-8"),
        pytest.param(frame(Opcode.TEXT, b"\xed\xa0\x80"), 1007, id="surrogate"),
        pytest.param(
            frame(Opcode.TEXT, b"\xc3", fin=False) + frame(Opcode.CONT, b"("),
            1007,
            id="not UTF-8, in fragments",
        ),
        pytest.param(frame(Opcode.BINARY, b"{}"), 1003, id="binary"),
        pytest.param(frame(Opcode.TEXT, b"x" * 65_537), 1009, id="65537 bytes"),
        pytest.param(
            frame(Opcode.TEXT, b"x" * 40_000, fin=False) + frame(Opcode.CONT, b"x" * 40_000),
            1009,
            id="80000 bytes in fragments",
        ),
        pytest.param(b"\x81\xff" + (2**62).to_bytes(8, "big") + b"mask", 1009, id="a length of 2^62"),
        pytest.param(b"\x81\xff" + b"\xff" * 8 + b"mask", 1009, id="a length of 2^64"),
        pytest.param(b"\x81\x05hello", 1002, id="not masked"),
        pytest.param(b"\xc1\x80mask", 1002, id="reserved bit"),
        pytest.param(b"\x83\x80mask", 1002, id="reserved opcode"),
        pytest.param(frame(Opcode.CONT, b"x"), 1002, id="continuation of nothing"),
        pytest.param(b"\x09\x80mask", 1002, id="fragmented ping"),
        pytest.param(b"\x89\xfe\x00\x7emask" + b"x" * 126, 1002, id="long ping"),
        pytest.param(b"\x88\x81maskx", 1002, id="close frame of one byte"),
    ],
)
async def test_what_breaks_the_rules_is_closed_with_its_code(data: bytes, code: int) -> None:
    async with running() as server:
        raw = await server.raw()
        raw.send(data)
        assert await raw.close_code() == code
        await raw.aclose()
        await until(lambda: server.node.connections == 0 and not server.node.closing)
        assert [told.code for told in server.hub_events if isinstance(told, Disconnected)] == [code]


async def test_a_message_that_is_too_big_does_not_lose_its_close_frame_while_it_is_still_being_sent() -> None:
    async with running() as server:
        raw = await server.raw()
        raw.send(frame(Opcode.TEXT, b"x" * 4_000_000))
        assert await raw.close_code() == 1009
        await raw.aclose()


async def test_a_flood_of_fragments_is_closed_with_4100() -> None:
    async with running() as server:
        raw = await server.raw()
        server.stop_clock()
        raw.send(frame(Opcode.TEXT, b"", fin=False) + frame(Opcode.CONT, b"", fin=False) * 10_000)
        assert await raw.close_code() == 4100
        await raw.aclose()


async def test_a_flood_of_pings_is_closed_with_4100() -> None:
    async with running() as server:
        raw = await server.raw()
        server.stop_clock()
        raw.send(frame(Opcode.PING, b"") * 1_000)
        assert await raw.close_code() == 4100
        await raw.aclose()


async def test_most_of_a_flood_of_tiny_frames_is_not_even_read() -> None:
    async with running() as server:
        raw = await server.raw()
        server.stop_clock()
        raw.send(frame(Opcode.PING, b"") * 40_000)
        answered = 0
        while (got := await raw.frame())[0] == Opcode.PONG:
            answered += 1
        assert got[0] == Opcode.CLOSE
        assert answered < 400  # 200 are allowed; what came with the one too many is read with it
        await raw.aclose()


@pytest.mark.parametrize("opcode", [Opcode.PING, Opcode.PONG, Opcode.TEXT])
async def test_a_client_that_is_being_closed_and_goes_on_sending_tiny_frames_is_not_read_any_more(
    opcode: Opcode,
) -> None:
    async with running(close_timeout=3_600.0) as server:
        raw = await server.raw()
        (socket,) = server.node.hubs["app-id"].sockets.values()
        socket.close(4200)
        raw.send(frame(opcode, b"") * 1_000)
        assert (await raw.frame())[0] == Opcode.CLOSE
        pongs = await asyncio.wait_for(raw.reader.read(), LIMIT)  # all until the server ends its side
        assert len(pongs) < 800, len(pongs)
        await raw.aclose()
        await until(lambda: not server.node.closing)


async def test_a_clients_close_is_answered_with_its_code() -> None:
    async with running() as server:
        raw = await server.raw()
        raw.send(frame(Opcode.CLOSE, (1001).to_bytes(2, "big") + b"bye"))
        assert await raw.frame() == (Opcode.CLOSE, (1001).to_bytes(2, "big") + b"bye")
        assert await asyncio.wait_for(raw.reader.read(), LIMIT) == b""
        await raw.aclose()
        await until(lambda: server.node.connections == 0)
        assert [told.code for told in server.hub_events if isinstance(told, Disconnected)] == [1001]


async def test_a_connection_that_just_ends_is_forgotten_with_1006() -> None:
    async with running() as server:
        raw = await server.raw()
        raw.send(text("pusher:subscribe", {"channel": "news", "auth": ""}))
        await raw.message()
        await raw.aclose()
        await until(lambda: server.node.connections == 0)
        assert server.node.hubs["app-id"].channels == {}
        assert [told.code for told in server.hub_events if isinstance(told, Disconnected)] == [1006]


async def test_what_was_published_before_a_close_arrives_before_the_close_frame() -> None:
    async with running() as server, server.client("news") as client:
        for number in range(3):
            server.publish("news", data=str(number))
        (socket,) = server.node.hubs["app-id"].sockets.values()
        socket.close(4200)
        assert [(await client.get())["data"] for _ in range(3)] == ["0", "1", "2"]
        assert await client.close_code() == 4200


async def test_a_client_that_does_not_answer_a_close_frame_is_cut_off_after_a_while() -> None:
    async with running(close_timeout=0.5) as server:
        raw = await server.raw()
        (socket,) = server.node.hubs["app-id"].sockets.values()
        socket.close(4200)
        assert (await raw.frame())[0] == Opcode.CLOSE
        assert await asyncio.wait_for(raw.reader.read(), LIMIT) == b""
        assert not server.node.closing
        await raw.aclose()


# The upgrade


async def head_of(request: bytes, port: int) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    head = await asyncio.wait_for(reader.read(500), LIMIT)
    writer.close()
    await writer.wait_closed()
    return head


@pytest.mark.parametrize(
    ("old", "new", "status"),
    [
        (b"Version: 13", b"Version: 8", b"426"),
        (b"dGhlIHNhbXBsZSBub25jZQ==", b"short", b"426"),
        (b"GET", b"POST", b"405"),
    ],
)
async def test_a_wrong_upgrade_is_refused_with_its_status(old: bytes, new: bytes, status: bytes) -> None:
    async with running() as server:
        head = await head_of(UPGRADE.replace(old, new), server.port)
        assert head.startswith(b"HTTP/1.1 " + status), head
        assert server.node.connections == 0


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param(b"Cookie: a=%s\r\n" % (b"x" * 60_000), id="a cookie of 60 KB"),
        pytest.param(b"".join(b"X-%d: 1\r\n" % n for n in range(1_000)), id="1000 headers"),
    ],
)
async def test_an_upgrade_may_have_as_many_headers_as_a_plain_request(headers: bytes) -> None:
    async with running() as server:
        head = await head_of(UPGRADE[:-2] + headers + b"\r\n", server.port)
        assert head.startswith(b"HTTP/1.1 101")


@pytest.mark.parametrize("version", ["", "8%206", "%00", "1" * 200, "1.0-SNAPSHOT+(build+7)", "v%C3%A4"])
async def test_a_client_may_call_its_version_what_it_likes(version: str) -> None:
    request = UPGRADE.replace(b"protocol=7", b"protocol=7&version=" + version.encode())
    async with running() as server:
        assert b"connection_established" in await head_of(request, server.port)


async def test_compression_is_not_negotiated() -> None:
    offer = b"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
    async with running() as server:
        head = await head_of(UPGRADE[:-2] + offer, server.port)
        assert head.startswith(b"HTTP/1.1 101")
        assert b"extensions" not in head.lower()


# Slow readers


async def stalled(port: int) -> Raw:
    """A client with small buffers that subscribes to `news` and then does not read."""
    sock = sockets.socket()
    sock.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 4_096)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
    reader, writer = await asyncio.open_connection(sock=sock, limit=1_024)
    raw = Raw(reader, writer)
    raw.send(UPGRADE)
    await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), LIMIT)
    await raw.message()
    raw.send(text("pusher:subscribe", {"channel": "news", "auth": ""}))
    await raw.message()
    raw.pause()
    return raw


async def test_a_client_that_does_not_read_is_cut_with_4100_and_the_others_get_everything() -> None:
    async with running(max_backlog=100_000, close_timeout=60.0) as server, server.client("news") as client:
        slow = await stalled(server.port)
        padding, number = "x" * 9_000, 0
        while not server.node.closing:
            assert number < 5_000
            server.publish("news", data=f"{number} {padding}")
            message = await client.get("event")
            assert message["data"].split()[0] == str(number)
            number += 1
        assert server.node.connections == 1
        slow.resume()
        received = []
        while True:
            opcode, payload = await slow.frame()
            if opcode == Opcode.CLOSE:
                break
            received.append(json.loads(payload)["data"].split()[0])
        assert received == [str(n) for n in range(len(received))]  # in order and whole, up to the cut
        assert int.from_bytes(payload[:2], "big") == 4100
        await slow.aclose()


@pytest.mark.parametrize("max_backlog", [500_000, 10_000])
async def test_lists_of_members_larger_than_the_backlog_do_not_make_a_client_slow(max_backlog: int) -> None:
    app = replace(APP, limits=replace(APP.limits, member_bytes=1_000_000))
    data = json.dumps({"user_id": "1", "user_info": "x" * 900_000})
    channels = [f"presence-{number}" for number in range(6)]  # 5.4 MB, of the 8 MB that may be asked for
    async with (
        running(app, max_backlog=max_backlog) as server,
        server.client(max_size=None, max_queue=None) as member,
        server.client("news", max_size=None, max_queue=None) as client,
    ):
        for channel in channels:
            await member.subscribe(channel, data)
            await member.get("pusher_internal:subscription_succeeded")
        server.narrow()
        client.websocket.transport.pause_reading()
        for channel in channels:
            await client.subscribe(channel, json.dumps({"user_id": "2"}))
        if max_backlog < 50_000:  # it has asked for far more than it takes
            for _ in range(5_000):
                if not server.node.closing:
                    server.publish("news", data="x" * 9_000)
                    await asyncio.sleep(0)
            assert server.node.closing
            client.websocket.transport.resume_reading()
            assert await client.close_code() == 4100
            return
        here = server.node.hubs["app-id"].channels
        await until(lambda: all(len(here[name].sockets) == 2 for name in channels))
        (slow,) = server.node.slow
        for number in range(2):
            server.publish("news", data=str(number))
            await until(lambda: slow.out is None)
        assert server.node.slow == {slow}
        client.websocket.transport.resume_reading()
        for channel in channels:
            assert (await client.get("pusher_internal:subscription_succeeded"))["channel"] == channel
        for _ in range(2):
            await client.get("event")


@pytest.mark.parametrize(("size", "max_backlog"), [(900_000, 100_000), (60_000, 20_000)])
async def test_who_has_read_a_long_list_and_then_stops_reading_is_as_slow_as_anybody(
    size: int, max_backlog: int
) -> None:
    app = replace(APP, limits=replace(APP.limits, member_bytes=1_000_000))
    data = json.dumps({"user_id": "1", "user_info": "x" * size})
    async with (
        running(app, max_backlog=max_backlog) as server,
        server.client("news", max_size=None, max_queue=None) as client,
    ):
        await client.subscribe("presence-r", data)
        await client.get("pusher_internal:subscription_succeeded")
        await until(lambda: not server.node.slow)
        server.narrow()
        client.websocket.transport.pause_reading()
        waiting = 0
        for _ in range(5_000):
            server.publish("news", data="x" * 9_000)
            for _ in range(4):
                await asyncio.sleep(0)
            if server.node.closing:
                break
            waiting = waiting + 9_000 if server.node.slow else 0
        assert server.node.closing
        assert waiting < max_backlog + size / 2
        client.websocket.transport.resume_reading()
        assert await client.close_code() == 4100


async def test_a_client_that_makes_no_progress_is_cut_with_4100() -> None:
    async with running(stall_timeout=1.0, close_timeout=0.5) as server:
        slow = await stalled(server.port)
        while server.node.connections and not server.node.slow:  # it may be cut between two looks
            server.publish("news", data="x" * 9_000)
            await asyncio.sleep(0)
        await until(lambda: server.node.connections == 0 and not server.node.closing)
        assert [told.code for told in server.hub_events if isinstance(told, Disconnected)] == [4100]
        await slow.aclose()


async def test_a_client_that_reads_again_has_missed_nothing() -> None:
    async with running(max_backlog=50_000_000) as server:
        slow = await stalled(server.port)
        sent = 0
        while not server.node.slow or sent < 1_000:
            server.publish("news", data=f"{sent} " + "x" * 9_000)
            sent += 1
            if sent % 50 == 0:
                await asyncio.sleep(0)
        slow.resume()
        for number in range(sent):
            assert (await slow.message())["data"].split()[0] == str(number)
        assert not server.node.slow
        slow.send(PING)
        assert await slow.message() == PONG
        await slow.aclose()


async def test_a_silent_client_gets_a_message_and_a_frame_to_answer() -> None:
    app = replace(APP, activity_timeout=1, pong_timeout=60)
    async with running(app) as server:
        raw = await server.raw()
        assert (await raw.message())["event"] == "pusher:ping"
        assert await raw.frame() == (Opcode.PING, b"")
        raw.send(frame(Opcode.PONG, b""))
        raw.send(PING)
        assert await raw.message() == PONG
        await raw.aclose()


async def test_control_frames_keep_a_silent_client() -> None:
    # far longer than two sweeps, so that a stall of this process cannot be taken for the client's silence
    app = replace(APP, activity_timeout=1, pong_timeout=10)
    async with running(app) as server:
        raw = await server.raw()
        deaf = await server.raw()
        async with asyncio.timeout(LIMIT):
            while server.node.connections == 2:
                raw.send(frame(Opcode.PING, b""))
                await asyncio.sleep(0.2)
        assert server.node.connections == 1
        assert (await deaf.message())["event"] == "pusher:ping"
        assert await deaf.close_code() == 4201
        raw.send(frame(Opcode.PING, b"last"))
        while await raw.frame() != (Opcode.PONG, b"last"):
            pass
        await raw.aclose()
        await deaf.aclose()
