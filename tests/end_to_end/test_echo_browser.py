"""Real laravel-echo and pusher-js in headless Chromium, on the app's page: every event, every store."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.end_to_end.delivery import Delivery, Stage, stage
from tests.end_to_end.echo import Driver, echo_driver
from tests.end_to_end.stores import STORES, open_store


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driver]:
    with echo_driver(tmp_path_factory.mktemp("driver") / "log.txt") as driver:
        yield driver


@pytest.fixture(scope="module", params=STORES, name="stage")
def _stage(
    request: pytest.FixtureRequest, driver: Driver, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp(f"echo-{request.param}")
    (folder / "store").mkdir()
    with (
        open_store(request.param, folder / "store", request.getfixturevalue) as store,
        stage(store, folder, driver, "chromium") as made,
    ):
        yield made


class TestEchoInChromium(Delivery):
    pass
