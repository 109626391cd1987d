"""Nodes run on uvloop, as `bridge serve` does; their Redis is empty at the beginning of each test."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.services import Redis, redis_server


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"use_uvloop": True}


@pytest.fixture(scope="module")
def bus() -> Iterator[Redis]:
    with redis_server() as server:
        yield server


@pytest.fixture
def redis(bus: Redis) -> Redis:
    with bus.client() as client:
        client.flushall()
    return bus
