"""What was reserved is sent once, also where it takes longer than `retry_after` or its worker is killed."""

from __future__ import annotations

import contextlib
import json
import signal
from collections import Counter

import pytest
import sqlalchemy as sa

from tests.chaos.clients import client
from tests.end_to_end.bridge import bridge_serve
from tests.end_to_end.laravel import Laravel
from tests.end_to_end.processes import family, wait_until
from tests.end_to_end.stores import NOTHING, Store
from tests.end_to_end.wire import Received, WireClient, wire_client
from tests.services import free_port

RETRY_AFTER = 6  # seconds; the jobs of a batch take more than that together
SLOW = 50  # events of 0.2 s
PATIENCE = 180.0


@pytest.fixture
def impatient(app: Laravel) -> Laravel:
    """The app, whose reservations end soon."""
    set_up(app, QUEUE_RETRY_AFTER=str(RETRY_AFTER))
    return app


def set_up(app: Laravel, **settings: str) -> None:
    """The settings stand in the app's .env."""
    with (app.path / ".env").open("a") as env:
        env.writelines(f"{name}={value}\n" for name, value in settings.items())


def numbers(*clients: WireClient, of: int) -> Counter[int]:
    """How often each of the numbered events came, once there are as many as were sent."""

    def come() -> list[Received]:
        return [it for client in clients for it in client.events()]

    wait_until(f"{of} events have come", lambda: len(come()) >= of)
    return Counter(json.loads(it.data)["number"] for it in come())


def failures(store: Store) -> list[str]:
    """The first line of each exception in `failed_jobs`."""
    with store.engine.connect() as connection:
        found = connection.execute(sa.text("select exception from failed_jobs")).scalars()
        return [exception.partition("\n")[0] for exception in found]


def worked_off(store: Store) -> None:
    wait_until("the queue is empty", lambda: store.left() == NOTHING, timeout=PATIENCE)


def kept(app: Laravel) -> tuple[int, int]:
    """How many connections and subscriptions the next bridge will wait for."""
    file = app.path / f"storage/framework/bridge-clients-{app.port}.json"
    found = json.loads(file.read_text()) if file.exists() else {"connections": 0, "subscriptions": 0}
    return found["connections"], found["subscriptions"]


def test_a_batch_that_takes_longer_than_retry_after_is_sent_once(
    impatient: Laravel, store: Store, tag: str
) -> None:
    with bridge_serve(impatient) as bridge, wire_client(bridge.port) as client:
        client.subscribe("lines")
        impatient.dispatch("naps", tag=tag, count=SLOW)
        worked_off(store)
        assert numbers(client, of=SLOW) == Counter(range(1, SLOW + 1))
        assert bridge.terminate() == 0
    assert failures(store) == []


def test_two_bridges_send_no_socket_an_event_twice(impatient: Laravel, store: Store, tag: str) -> None:
    with (
        bridge_serve(impatient) as one,
        bridge_serve(impatient, port=free_port(), name="other") as other,
        wire_client(one.port) as first,
        wire_client(other.port) as second,
    ):
        first.subscribe("lines")
        second.subscribe("lines")
        impatient.dispatch("naps", tag=tag, count=SLOW)
        worked_off(store)
        assert numbers(first, second, of=SLOW) == Counter(range(1, SLOW + 1))
        assert one.terminate() == other.terminate() == 0
    assert failures(store) == []


def test_beside_queue_work_no_socket_gets_an_event_twice(impatient: Laravel, store: Store, tag: str) -> None:
    with bridge_serve(impatient) as bridge, wire_client(bridge.port) as client:
        client.subscribe("lines")
        impatient.dispatch("naps", tag=tag, count=SLOW)
        with impatient.queue_work("--sleep=0"):
            worked_off(store)
        assert numbers(client, of=SLOW) == Counter(range(1, SLOW + 1))
        assert bridge.terminate() == 0
    assert failures(store) == []


def test_what_kills_its_worker_takes_nobody_along(impatient: Laravel, store: Store, tag: str) -> None:
    good = 20
    set_up(impatient, QUEUE_RETRY_AFTER="2")
    with client(impatient.port, lambda: "") as watcher:
        with bridge_serve(impatient, name="before") as before:
            wait_until("the client is there", lambda: watcher.is_there)
            wait_until("bridge has kept how many there are", lambda: kept(impatient) == (1, 2))
            before.process.kill()
        impatient.dispatch("quick", tag=f"{tag}-before", count=good)
        impatient.dispatch("kills", tag=tag)
        impatient.dispatch("quick", tag=f"{tag}-after", count=good)
        deaths = 0
        while deaths < 8:
            with bridge_serve(impatient, name=f"b{deaths}") as bridge:
                wait_until(
                    "all is done, or bridge was killed",
                    lambda bridge=bridge: bridge.process.poll() is not None or store.left() == NOTHING,  # type: ignore[misc]
                    timeout=PATIENCE,
                )
                if store.left() == NOTHING:
                    watcher.catch_up()
                    assert bridge.terminate() == 0
                    break
                deaths += 1
    assert deaths == 3
    with store.engine.connect() as connection:
        (payload,) = connection.execute(sa.text("select payload from failed_jobs")).scalars()
    assert "kills" in payload
    # Each good one has come, and none twice on a socket. One that was sent when bridge was killed and not yet
    # deleted comes again, to whoever is there then.
    came = [[it.data for it in socket.messages] for socket in watcher.sockets]
    assert all(len(those) == len(set(those)) for those in came)
    told = [json.loads(data) for data in {data for those in came for data in those}]
    expected = [(f"{tag}-{when}", number) for when in ("before", "after") for number in range(1, good + 1)]
    assert sorted((it["tag"], it["number"]) for it in told) == sorted(expected)


def test_a_stop_gives_back_what_was_not_begun_and_leaves_no_php_behind(
    app: Laravel, store: Store, tag: str
) -> None:
    set_up(app, BRIDGE_DRAIN_SECONDS="5")
    app.dispatch("hangs", tag=tag)
    app.dispatch("quick", tag=tag, count=20)
    with bridge_serve(app) as bridge:
        wait_until("all are reserved", lambda: store.left().reserved > 1)
        wait_until("PHP is at work", lambda: len(family(bridge.process.pid)) > 1)
        processes = family(bridge.process.pid)
        assert bridge.terminate() == 0
    left = store.left()
    assert (left.waiting, left.reserved) == (21, 0)
    gone(processes)


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
@pytest.mark.parametrize("signals", [(signal.SIGKILL,), (signal.SIGTERM, signal.SIGTERM)])
def test_no_php_process_outlives_bridge(
    app: Laravel, store: Store, tag: str, signals: tuple[signal.Signals, ...]
) -> None:
    with bridge_serve(app) as bridge:
        app.dispatch("hangs", tag=tag)
        wait_until("PHP is at work", lambda: len(family(bridge.process.pid)) > 1)
        wait_until("it is reserved", lambda: store.left().reserved == 1)
        processes = family(bridge.process.pid)
        for number in signals:
            with contextlib.suppress(ProcessLookupError):
                bridge.process.send_signal(number)
            if number != signals[-1]:
                wait_until("it stops", lambda: "stopping" in bridge.log.read_text())
        bridge.process.wait(timeout=60)
        gone(processes)


def gone(processes: list[int]) -> None:
    def all_gone() -> bool:
        return not any(_lives(process) for process in processes)

    wait_until("no process is left", all_gone)


def _lives(process: int) -> bool:
    try:
        with open(f"/proc/{process}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
