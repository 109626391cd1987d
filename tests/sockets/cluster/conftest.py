"""Nodes run on uvloop, as `bridge serve` does; their Redis is empty at the beginning of each test."""

from collections.abc import Iterator
from typing import Any

import pytest

from bridge.sockets.cluster import link, times
from tests.services import Redis, redis_server
from tests.sockets.server.running import LIMIT


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"use_uvloop": True}


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """No link and no node is taken for dead, and no job given up, however slow the machine is: all nodes of a
    test stand still together."""
    monkeypatch.setattr(link, "ANSWER_TIMEOUT", LIMIT)
    for name in ("DEAD", "DEAD_FOR_ALL", "JOBS_WAIT"):
        monkeypatch.setattr(times, name, LIMIT)


@pytest.fixture(scope="module")
def bus() -> Iterator[Redis]:
    with redis_server() as server:
        yield server


@pytest.fixture
def redis(bus: Redis) -> Redis:
    with bus.client() as client:
        client.flushall()
    return bus
