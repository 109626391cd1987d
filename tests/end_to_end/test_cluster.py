"""Two `bridge serve` of one app, joined by its Redis."""

from __future__ import annotations

import signal
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import services
from tests.end_to_end.bridge import bridge_serve
from tests.end_to_end.laravel import Laravel
from tests.end_to_end.processes import wait_until
from tests.end_to_end.stores import NOTHING, Store, open_store
from tests.end_to_end.wire import wire_client


@pytest.fixture
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """The queue in Redis; the bus is the same Redis."""
    folder = tmp_path / f"store-{uuid.uuid4().hex[:8]}"
    folder.mkdir()
    with open_store("redis", folder, request.getfixturevalue) as store:
        yield store


@pytest.fixture
def app(store: Store, tmp_path: Path) -> Laravel:
    return Laravel.create(tmp_path / "app", {**store.settings, "BRIDGE_BUS": "default"})


def test_every_job_reaches_the_clients_of_both_once(app: Laravel, store: Store, tag: str) -> None:
    count = 500
    with (
        bridge_serve(app) as one,
        bridge_serve(app, port=services.free_port(), name="other") as other,
        wire_client(one.port, "lines") as here,
        wire_client(other.port, "lines") as there,
    ):
        app.dispatch("line", tag=tag, count=count)
        wait_until("the queue is empty", lambda: store.left() == NOTHING)
        for client in (here, there):
            wait_until("all are received", lambda client=client: len(client.events()) >= count)  # type: ignore[misc]
        heard = [[event.data for event in client.events()] for client in (here, there)]
        assert heard[0] == heard[1]
        assert len(set(heard[0])) == len(heard[0]) == count
        assert one.terminate() == 0
        app.dispatch("line", tag=tag)
        wait_until("the other goes on", lambda: len(there.events()) == count + 1)
    assert store.failed() == 0


def test_one_that_is_killed_is_taken_out_and_its_jobs_come_again(
    app: Laravel, store: Store, tag: str, redis_server: services.Redis
) -> None:
    def nodes() -> int:
        with redis_server.client() as redis:
            return sum(int(redis.hlen(key)) for key in redis.keys("*bridge:1:nodes"))

    with (
        bridge_serve(app) as one,
        bridge_serve(app, port=services.free_port(), name="other") as other,
        wire_client(other.port, "lines") as there,
    ):
        wait_until("both are known", lambda: nodes() == 2)
        one.process.send_signal(signal.SIGKILL)
        app.dispatch("line", tag=tag, count=20)
        wait_until("the other delivers", lambda: len(there.events()) == 20)
        wait_until("the killed one is taken out", lambda: nodes() == 1)


def test_without_its_redis_it_does_not_start(app: Laravel, store: Store) -> None:
    text = (app.path / ".env").read_text()
    (app.path / ".env").write_text(text.replace("BRIDGE_BUS=default", "BRIDGE_BUS=nowhere"))
    with pytest.raises(AssertionError, match=r"bridge ended with 78.*redis\.nowhere"), bridge_serve(app):
        pass
