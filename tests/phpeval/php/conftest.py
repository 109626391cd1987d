"""One PHP process for all tests of this room, and how many examples the properties try."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.phpeval.php.oracle import Oracle, oracle

settings.register_profile(
    "php",
    max_examples=int(os.environ.get("BRIDGE_EXAMPLES", "100")),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    derandomize="BRIDGE_EXAMPLES" not in os.environ,
    database=None,
)
settings.load_profile("php")


@pytest.fixture(scope="session")
def php() -> Iterator[Oracle]:
    if shutil.which("php") is None:
        pytest.fail("php is missing: apt-get install php-cli php-mbstring", pytrace=False)
    with oracle() as running:
        yield running
