"""The outbox of a node that really listens: whatever is put in whatever way, each socket gets it in order."""

import asyncio
import json
import random
from collections.abc import Callable

import pytest

from bridge.sockets.server import outbox
from bridge.sockets.server.outbox import text_frame
from bridge.sockets.server.socket import Socket
from tests.sockets.server.running import LIMIT, PING, Raw, Running, running, until

pytestmark = pytest.mark.anyio


async def clients_of(server: Running, count: int) -> dict[Socket, Raw]:
    clients: dict[Socket, Raw] = {}
    for _ in range(count):
        raw = await server.raw()
        (socket,) = set(server.node.hubs["app-id"].sockets.values()) - set(clients)
        clients[socket] = raw
    return clients


def writes_to(socket: Socket) -> list[bytes]:
    """What is written to it from now on, as it comes."""
    writes: list[bytes] = []
    send = socket.send

    def noted(data: bytes) -> int:
        writes.append(data)
        return send(data)

    socket.send = noted
    return writes


@pytest.mark.parametrize("seed", range(6))
async def test_frames_put_delayed_and_replied_arrive_in_the_order_in_which_they_came(seed: int) -> None:
    choice = random.Random(seed)
    async with running() as server:
        clients = await clients_of(server, 7)
        sockets = list(clients)
        audiences = [dict.fromkeys(choice.sample(sockets, size)) for size in (7, 5, 3)]
        out, expected = server.node._outbox, {socket: [] for socket in sockets}  # type: ignore[var-annotated]
        loop = asyncio.get_running_loop()

        def once_back(call: Callable[[], None]) -> bool:
            is_awaited = choice.random() < 0.5
            if is_awaited:
                loop.call_later(choice.choice((0, 0.001, LIMIT)), call)
            return is_awaited

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(outbox, "SLICE", 2)
            patch.setattr(outbox, "DELAY", 0.002)
            patch.setattr(outbox, "WORTH_WAITING", 0.0)
            patch.setattr(out, "_once_back", once_back)
            for number in range(400):
                frame = text_frame(json.dumps({"event": str(number)}))
                audience = choice.choice(audiences)
                match choice.randrange(8):
                    case 0 | 1 | 2:
                        out.put(frame, audience)
                        told = list(audience)
                    case 3:
                        excluded = choice.choice(sockets)
                        out.put(frame, audience, excluded)
                        told = [socket for socket in audience if socket is not excluded]
                    case 4 | 5:
                        out.put_delayed(frame, audience)
                        told = list(audience)
                    case 6:
                        told = [choice.choice(sockets)]
                        out.reply(frame, told[0])
                    case _:
                        await asyncio.sleep(choice.choice((0, 0, 0, 0.003)))
                        continue
                for socket in told:
                    expected[socket].append(str(number))
            for socket, client in clients.items():
                assert [(await client.message())["event"] for _ in expected[socket]] == expected[socket]
        for client in clients.values():
            await client.aclose()


@pytest.mark.parametrize("comes", [True, False])
async def test_a_flush_waits_for_what_is_on_its_way_at_most_for_as_long_as_the_last_one_took(
    comes: bool,
) -> None:
    async with running() as server:
        ((socket, client),) = (await clients_of(server, 1)).items()
        writes = writes_to(socket)
        calls: list[Callable[[], None]] = []

        def once_back(call: Callable[[], None]) -> bool:
            calls.append(call)
            out.put(text_frame('{"event":"3"}'), (socket,))
            if comes:
                asyncio.get_running_loop().call_soon(call)
            return True

        out, took = server.node._outbox, LIMIT if comes else 0.01
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(outbox, "DELAY", LIMIT)
            patch.setattr(out, "_once_back", once_back)
            out._took = 0.0  # the greeting may have taken long
            out.put(text_frame('{"event":"1"}'), (socket,))
            assert (await client.message())["event"] == "1"
            assert not calls  # it was soon done
            out._took = took
            out.put(text_frame('{"event":"2"}'), (socket,))
            assert [(await client.message())["event"] for _ in range(2)] == ["2", "3"]
            assert len(writes) == 2
            assert len(calls) == 1
        await client.aclose()


async def test_a_flush_waits_for_those_who_publish_at_the_same_time_but_not_for_one_alone() -> None:
    async with running() as server:
        ((socket, client),) = (await clients_of(server, 1)).items()
        writes = writes_to(socket)
        out, audience = server.node._outbox, (socket,)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(outbox, "DELAY", 10 * LIMIT)  # longer than `message` waits
            out._took, out._ended = 50 * LIMIT, asyncio.get_running_loop().time()
            out.put(text_frame('{"event":"1"}'), audience)
            assert (await client.message())["event"] == "1"
            out._took, out._ended = 50 * LIMIT, asyncio.get_running_loop().time()
            out.put(text_frame('{"event":"2"}'), audience)
            out.put(text_frame('{"event":"3"}'), audience)
            await until(lambda: out._patience is not None)
            out.put(text_frame('{"event":"4"}'), audience)
            out._arrived()  # the time is over
            assert [(await client.message())["event"] for _ in range(3)] == ["2", "3", "4"]
            assert len(writes) == 2
        await client.aclose()


async def test_an_answer_does_not_wait_behind_a_fan_out_to_others() -> None:
    async with running() as server:
        clients = await clients_of(server, 6)
        *others, (asking, client) = clients.items()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(outbox, "SLICE", 1)
            server.node._outbox.put(text_frame('{"event":"x"}'), [socket for socket, _ in others])
            connection = asking.connection
            assert connection is not None
            server.node.receive(asking, connection, '{"event":"pusher:ping"}')
            assert asking.out is None
            assert all(socket.out is not None for socket, _ in others)
            assert (await client.message())["event"] == "pusher:pong"
            for _, other in others:
                assert (await other.message())["event"] == "x"
        for each in clients.values():
            await each.aclose()


async def test_answers_to_messages_that_came_together_leave_in_one_write() -> None:
    async with running() as server:
        (socket, client), *_ = (await clients_of(server, 1)).items()
        writes = writes_to(socket)
        client.send(PING * 3)
        for _ in range(3):
            assert (await client.message())["event"] == "pusher:pong"
        assert len(writes) == 1
        await client.aclose()


async def test_members_who_come_at_once_are_told_in_one_write_and_before_what_follows() -> None:
    async with running() as server, server.client("presence-x") as watcher:
        hub = server.node.hubs["app-id"]
        (watching,) = hub.sockets.values()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(outbox, "DELAY", LIMIT)  # until something else goes to the watcher
            async with server.client("presence-x") as one, server.client("presence-x") as two:
                assert type(watching.out) is list
                assert len(watching.out) == 2
                server.publish("presence-x", data="1")
                got = [await watcher.get() for _ in range(3)]
        users = [json.loads(message["data"])["user_id"] for message in got[:2]]
        assert users == [one.socket_id, two.socket_id]
        assert got[2]["event"] == "event"
