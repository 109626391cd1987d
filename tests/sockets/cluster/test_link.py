"""One link to a real Redis."""

from __future__ import annotations

import asyncio
import contextlib
import socket

import pytest

from bridge.sockets.cluster import link as module
from bridge.sockets.cluster.link import Link
from tests.proxy import proxy
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
async def test_a_link_that_is_not_heard_is_taken_for_dead_though_messages_come(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """But not while some of what came is not read: the answer may be in it."""
    monkeypatch.setattr(module, "ANSWER_TIMEOUT", 0.2)
    now, why, messages = asyncio.get_running_loop().time, list[str](), list[bytes]()
    with redis_server() as redis, redis.client() as other, proxy(redis.port) as between:
        link = Link(lambda topic, data: messages.append(data), why.append, lambda command, why: None)
        await link.open(address(redis, between.port), "bridge-x")
        link.subscribe([b"topic"])
        await link.ask("PING")
        between.silence(only="requests")
        asked_at = now()
        link.send("PING")
        await until(lambda: now() > asked_at + 0.3)
        assert link._transport is not None
        link._transport.pause_reading()
        other.publish("topic", "one")
        await until(link._has_unread)
        link.check(now())
        assert why == []
        link._transport.resume_reading()
        await until(lambda: messages == [b"one"])
        link.check(now())
        assert why == ["Redis does not answer"]


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
