"""One link to a real Redis."""

from __future__ import annotations

import asyncio
import contextlib
import socket

import pytest

from bridge.sockets.cluster import link as module
from bridge.sockets.cluster.link import Link
from tests.services import redis_server
from tests.sockets.cluster.nodes import address
from tests.sockets.server.running import until


@pytest.mark.anyio
async def test_a_link_whose_answers_take_long_together_is_not_taken_for_dead() -> None:
    now, why = asyncio.get_running_loop().time, list[str]()
    with redis_server() as redis, redis.client() as other:
        link = Link(lambda topic, data: None, why.append, lambda command, why: None)
        await link.open(address(redis), "bridge-x")
        first, second = link.ask("BLPOP", "first", 0), link.ask("BLPOP", "second", 0)
        asked_at = now()
        await until(lambda: now() > asked_at)
        still_at_work = now()
        other.rpush("first", "x")
        await first
        link.check(still_at_work + module.ANSWER_TIMEOUT)
        assert why == []
        link.check(now() + 2 * module.ANSWER_TIMEOUT)
        assert why == ["Redis does not answer"]
        assert second.done()


@pytest.mark.anyio
@pytest.mark.parametrize("in_order", [True, False])
async def test_what_was_sent_to_a_link_that_is_lost_does_not_arrive_later(in_order: bool) -> None:
    """The network is away: the kernel would try for minutes."""

    def read_all() -> None:
        while peer.recv(1 << 20):
            pass

    link = Link(lambda topic, data: None, lambda why: None, lambda command, why: None)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        await asyncio.get_running_loop().create_connection(lambda: link, *listening.getsockname())
        peer, _ = listening.accept()
        with peer, contextlib.nullcontext() if in_order else pytest.raises(ConnectionResetError):
            peer.settimeout(60)
            link.send("SET", "late", b"x" * 20_000_000)  # more than the kernel holds
            await until(lambda: not link._out)
            link.end("Redis does not answer", in_order=in_order)
            await asyncio.to_thread(read_all)
