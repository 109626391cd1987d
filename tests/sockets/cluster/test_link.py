"""One link to a real Redis."""

from __future__ import annotations

import asyncio

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
